/*
 * ListBucketResult, V1 and V2, into one page in byte order.
 *
 * Fields of an entry gather in .now until its element is closed. EncodingType may come
 * behind the keys it speaks of, so keys are decoded at the end. OSS sends contents and
 * common prefixes as two sorted runs; sorting them together is the merge.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "oss/xml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct list {
    struct oss_list_page page;
    size_t room;
    struct oss_list_entry now;
    bool has_size;
    bool encoded;
    char *next_marker;
};

static void list_fini(struct list *l)
{
    oss_list_page_fini(&l->page);
    free(l->now.key);
    free(l->next_marker);
}

static int keep_text(char **out, const char *text, struct ou_error *err)
{
    free(*out);
    *out = strdup(text);
    return *out ? 0 : ou_error_set(err, ENOMEM, "parse a listing");
}

static int push(struct list *l, struct ou_error *err)
{
    struct oss_list_page *p = &l->page;

    if (!l->now.key || !l->now.key_len)
        return oss_xml_bad(err, "an entry without a key");
    if (!l->now.is_prefix && !l->has_size)
        return oss_xml_bad(err, "no size of %.80s", l->now.key);
    if (p->count == OSS_XML_ENTRIES_MAX)
        return oss_xml_bad(err, "more than %u entries in a page", OSS_XML_ENTRIES_MAX);
    if (p->count == l->room) {
        size_t room = l->room ? l->room * 2 : 16;
        struct oss_list_entry *more = realloc(p->entries, room * sizeof(*more));

        if (!more)
            return ou_error_set(err, ENOMEM, "parse a listing");
        p->entries = more;
        l->room = room;
    }
    p->entries[p->count++] = l->now;
    l->now = (struct oss_list_entry){.key = NULL};
    l->has_size = false;
    return 0;
}

static int close_content(struct list *l, const struct oss_xml_element *e, struct ou_error *err)
{
    struct oss_list_entry *now = &l->now;

    if (!strcmp(e->name, "Key")) {
        now->key_len = e->len;
        return keep_text(&now->key, e->whole, err);
    }
    if (!strcmp(e->name, "Size"))
        l->has_size = ou_parse_u64(e->text, &now->size);
    else if (!strcmp(e->name, "LastModified"))
        (void)ou_parse_iso8601(e->text, &now->last_modified);
    else if (!strcmp(e->name, "ETag"))
        (void)oss_xml_etag(now->etag, e->text);
    else if (!strcmp(e->name, "Type"))
        (void)oss_xml_copy(now->type, sizeof(now->type), e->text);
    else if (!strcmp(e->name, "StorageClass"))
        (void)oss_xml_copy(now->storage_class, sizeof(now->storage_class), e->text);
    return 0;
}

static int close_top(struct list *l, const struct oss_xml_element *e, struct ou_error *err)
{
    if (!strcmp(e->name, "Contents"))
        return push(l, err);
    if (!strcmp(e->name, "CommonPrefixes")) {
        l->now.is_prefix = true;
        return push(l, err);
    }
    if (!strcmp(e->name, "IsTruncated"))
        l->page.truncated = !strcmp(e->text, "true");
    else if (!strcmp(e->name, "EncodingType"))
        l->encoded = !strcmp(e->text, "url");
    else if (!strcmp(e->name, "NextContinuationToken") && e->len)
        return keep_text(&l->page.next_token, e->text, err);
    else if (!strcmp(e->name, "NextMarker") && e->len)
        return keep_text(&l->next_marker, e->whole, err);
    return 0;
}

static int close_list(void *ctx, const struct oss_xml_element *e, struct ou_error *err)
{
    struct list *l = ctx;

    if (e->depth == 1)
        return close_top(l, e, err);
    if (e->depth == 2 && !strcmp(e->parent, "Contents"))
        return close_content(l, e, err);
    if (e->depth == 2 && oss_xml_is(e, "CommonPrefixes", "Prefix")) {
        l->now.key_len = e->len;
        return keep_text(&l->now.key, e->whole, err);
    }
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const struct oss_list_entry *x = a, *y = b;
    size_t len = x->key_len < y->key_len ? x->key_len : y->key_len;
    int order = memcmp(x->key, y->key, len);

    return order ? order : (x->key_len > y->key_len) - (x->key_len < y->key_len);
}

static void finish(struct list *l)
{
    struct oss_list_page *p = &l->page;

    for (size_t i = 0; i < p->count; i++)
        p->entries[i].key_len = oss_xml_key(p->entries[i].key, l->encoded);
    if (l->next_marker)
        (void)oss_xml_key(l->next_marker, l->encoded);
    if (l->encoded && p->next_token) /* base64 may hold a plus of its own */
        p->next_token[ou_percent_decode(p->next_token, strlen(p->next_token), false)] = '\0';
    for (size_t i = 1; i < p->count; i++)
        if (by_key(&p->entries[i - 1], &p->entries[i]) > 0) {
            qsort(p->entries, p->count, sizeof(*p->entries), by_key);
            break;
        }
    if (!p->truncated) {
        free(p->next_token);
        p->next_token = NULL;
    }
}

int oss_xml_list(const void *data, size_t len, struct oss_list_page *out, char **next_marker,
                 struct ou_error *err)
{
    ou_auto(list_fini) struct list l = {.has_size = false};
    int r = oss_xml_parse(data, len, "ListBucketResult", close_list, &l, err);

    if (r < 0)
        return r;
    finish(&l);
    if (l.page.truncated && !l.page.next_token && !l.next_marker)
        return oss_xml_bad(err, "a listing that goes on, and does not say where");
    *out = l.page;
    *next_marker = l.page.truncated ? l.next_marker : NULL;
    if (*next_marker)
        l.next_marker = NULL;
    l.page = (struct oss_list_page){.entries = NULL};
    return 0;
}
