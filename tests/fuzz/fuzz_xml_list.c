/*
 * Listings from outside: what is taken is sorted, every entry has a key that ends where it says,
 * and a page that goes on tells where.
 * layer: oss
 */
#include "oss/xml.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_entry(const struct oss_list_entry *e)
{
    assert(e->key && e->key[e->key_len] == '\0');
    assert(strlen(e->etag) < OSS_ETAG_SIZE && strlen(e->type) < sizeof(e->type));
    assert(!e->is_prefix || !e->size);
}

static int order(const struct oss_list_entry *a, const struct oss_list_entry *b)
{
    size_t len = a->key_len < b->key_len ? a->key_len : b->key_len;
    int r = memcmp(a->key, b->key, len);

    return r ? r : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct oss_list_page page;
    struct ou_error err = OU_ERROR_INIT;
    char *marker = NULL;
    int r = oss_xml_list(data, size, &page, &marker, &err);

    if (r < 0) {
        assert(err.errnum == -r && err.message[0]);
        return 0;
    }
    assert(page.count <= OSS_XML_ENTRIES_MAX);
    for (size_t i = 0; i < page.count; i++) {
        check_entry(&page.entries[i]);
        assert(!i || order(&page.entries[i - 1], &page.entries[i]) <= 0);
    }
    assert(page.truncated ? page.next_token || marker : !page.next_token && !marker);
    oss_list_page_fini(&page);
    free(marker);
    return 0;
}
