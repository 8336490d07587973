#include "server/sign.h"

#include "server/digest.h"
#include "server/text.h"

/* A query parameter, encoded; V4 sorts by the encoded name. */
struct encoded {
    char *name;
    char *value;
};

static int compare_encoded(const void *a, const void *b)
{
    const struct encoded *left = a, *right = b;
    int order = strcmp(left->name, right->name);

    return order != 0 ? order : strcmp(left->value, right->value);
}

static char *encode(const char *s)
{
    struct srv_buf b = {0};

    srv_percent_encode(&b, s == NULL ? "" : s, false);
    return srv_buf_take(&b);
}

static void add_query(const struct srv_pairs *query, struct srv_buf *out)
{
    struct encoded *list = srv_xcalloc(query->count, sizeof(*list));
    size_t n = 0;

    for (size_t i = 0; i < query->count; i++) {
        if (srv_streq(query->items[i].name, "x-oss-signature"))
            continue;
        list[n].name = encode(query->items[i].name);
        list[n].value = encode(query->items[i].value);
        n++;
    }
    qsort(list, n, sizeof(*list), compare_encoded);
    for (size_t i = 0; i < n; i++) {
        srv_buf_printf(out, "%s%s", i == 0 ? "" : "&", list[i].name);
        if (list[i].value[0] != '\0')
            srv_buf_printf(out, "=%s", list[i].value);
        free(list[i].name);
        free(list[i].value);
    }
    free(list);
}

static bool signed_by_default(const char *name)
{
    return srv_streq(name, "content-type") || srv_streq(name, "content-md5") ||
           srv_starts_with(name, "x-oss-");
}

static bool listed(const char *list, const char *name)
{
    size_t len = strlen(name);

    while (*list != '\0') {
        size_t n = strcspn(list, ";");

        if (n == len && strncmp(list, name, n) == 0)
            return true;
        list += n + (list[n] == ';');
    }
    return false;
}

static int compare_headers(const void *a, const void *b)
{
    return strcmp((*(const struct srv_pair *const *)a)->name,
                  (*(const struct srv_pair *const *)b)->name);
}

static void add_headers(const struct srv_pairs *headers, const char *additional,
                        struct srv_buf *out)
{
    srv_autofree const struct srv_pair **sorted =
        srv_xcalloc(headers->count, sizeof(const struct srv_pair *));
    size_t n = 0;

    for (size_t i = 0; i < headers->count; i++) {
        const char *name = headers->items[i].name;

        if (signed_by_default(name) || listed(additional, name))
            sorted[n++] = &headers->items[i];
    }
    qsort(sorted, n, sizeof(const struct srv_pair *), compare_headers);
    for (size_t i = 0; i < n; i++)
        srv_buf_printf(out, "%s:%s\n", sorted[i]->name, sorted[i]->value);
}

void srv_v4_canonical_request(const struct srv_sign_input *in, const char *additional,
                              struct srv_buf *out)
{
    srv_buf_printf(out, "%s\n/", in->method);
    if (in->bucket != NULL) {
        srv_percent_encode(out, in->bucket, true);
        srv_buf_puts(out, "/");
        srv_percent_encode(out, in->key == NULL ? "" : in->key, true);
    }
    srv_buf_puts(out, "\n");
    add_query(in->query, out);
    srv_buf_puts(out, "\n");
    add_headers(in->headers, additional, out);
    srv_buf_printf(out, "\n%s\n%s", additional, SRV_V4_PAYLOAD);
}

void srv_v4_string_to_sign(const char *time, const char *scope, const char *canonical_request,
                           struct srv_buf *out)
{
    uint8_t hash[SRV_SHA256_BYTES];
    char hex[2 * SRV_SHA256_BYTES + 1];

    srv_sha256(canonical_request, strlen(canonical_request), hash);
    srv_hex(hex, hash, sizeof(hash), false);
    srv_buf_printf(out, "%s\n%s\n%s\n%s", SRV_V4_ALGORITHM, time, scope, hex);
}

void srv_v4_signature(const char *secret, const char *date8, const char *region,
                      const char *product, const char *string_to_sign,
                      char signature[SRV_V4_SIGNATURE_MAX])
{
    const char *const steps[] = {date8, region, product, "aliyun_v4_request", string_to_sign};
    srv_autofree char *seed = srv_xasprintf("aliyun_v4%s", secret);
    uint8_t key[SRV_SHA256_BYTES];

    srv_hmac_sha256(seed, strlen(seed), steps[0], strlen(steps[0]), key);
    for (size_t i = 1; i < sizeof(steps) / sizeof(steps[0]); i++) {
        uint8_t next[SRV_SHA256_BYTES];

        srv_hmac_sha256(key, sizeof(key), steps[i], strlen(steps[i]), next);
        memcpy(key, next, sizeof(key));
    }
    srv_hex(signature, key, sizeof(key), false);
}
