/*
 * JSON from outside: what is taken can be walked, keeps the depth it was promised,
 * and comes back byte by byte when it is written again.
 */
#include "base/json.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct walk {
    int depth;
    size_t values;
};

static void visit(const char *name, const struct ou_json *value, void *ctx)
{
    struct walk *w = ctx;
    const char *s = ou_json_value_string(value);
    uint64_t u;

    w->values++;
    w->depth++;
    assert(w->depth <= OU_JSON_DEPTH_MAX + 1);
    if (name)
        assert(ou_utf8_valid(name, strlen(name)));
    if (s)
        assert(ou_utf8_valid(s, strlen(s)) && !ou_json_value_u64(value, &u));
    for (size_t i = 0; i < ou_json_length(value); i++)
        visit(NULL, ou_json_at(value, i), w);
    assert(!ou_json_at(value, ou_json_length(value)));
    ou_json_each(value, visit, w);
    w->depth--;
}

static void written_bytes_come_back(const uint8_t *data, size_t size)
{
    ou_auto(ou_buf_fini) struct ou_buf text = {0};
    ou_auto(ou_json_free_at) struct ou_json *root = NULL;
    ou_autofree char *back = NULL;
    struct ou_error err;
    size_t len;

    ou_buf_adds(&text, "{\"k\":");
    ou_json_quote_bytes(&text, (const char *)data, size);
    ou_buf_adds(&text, "}");
    assert(ou_buf_check(&text, &err) == 0);
    assert(!memchr(text.data, '\n', text.len));
    assert(ou_json_parse(text.data, text.len, &root, &err) == 0);
    back = ou_json_bytes(root, "k", &len);
    assert(back && len == size && memcmp(back, data, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ou_json *root = NULL;
    struct ou_error err = OU_ERROR_INIT;
    struct walk w = {0};
    int r = ou_json_parse((const char *)data, size, &root, &err);

    if (r == 0) {
        visit(NULL, root, &w);
        assert(w.values > 0 && err.errnum == 0);
        ou_json_free(root);
    } else {
        assert(err.errnum == -r && err.message[0]);
    }
    if (size > 0)
        written_bytes_come_back(data, size);
    return 0;
}
