#include "server/dialect_s3.h"

#include "server/clock.h"
#include "server/digest.h"
#include "server/text.h"

#include <stdio.h>

#define ALGORITHM "AWS4-HMAC-SHA256"
#define AMZ       "x-amz-"
#define OSS       "x-oss-"
#define SCOPE_MAX 4 /* date, region, service, "aws4_request" */

struct signature {
    char *copy; /* the header, cut into what follows */
    const char *key_id, *headers, *value;
    const char *scope[SCOPE_MAX];
};

static void signature_fini(struct signature *s)
{
    free(s->copy);
}

static int refused(struct srv_request *r, const char *why)
{
    return srv_fail(&r->error, "SignatureDoesNotMatch", "S3 dialect: %s.", why);
}

/* Credential=ID/DATE/REGION/SERVICE/aws4_request, SignedHeaders=a;b, Signature=HEX */
static int parse(struct srv_request *r, const char *fields, struct signature *s)
{
    char *rest = s->copy = srv_xstrdup(fields), *credential = NULL;

    while (rest != NULL) {
        char *field = strsep(&rest, ",");

        field += strspn(field, " ");
        if (srv_starts_with(field, "Credential="))
            credential = strchr(field, '=') + 1;
        else if (srv_starts_with(field, "SignedHeaders="))
            s->headers = strchr(field, '=') + 1;
        else if (srv_starts_with(field, "Signature="))
            s->value = strchr(field, '=') + 1;
    }
    if (credential == NULL || s->headers[0] == '\0' || s->value[0] == '\0')
        return refused(r, "a part of Authorization is missing");
    s->key_id = strsep(&credential, "/");
    for (size_t i = 0; i < SCOPE_MAX; i++) {
        if (credential == NULL)
            return refused(r, "Credential is too short");
        s->scope[i] = strsep(&credential, "/");
    }
    return 0;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_query(const struct srv_pairs *query, struct srv_buf *out)
{
    srv_autofree char **list = srv_xcalloc(query->count + 1, sizeof(char *));

    for (size_t i = 0; i < query->count; i++) {
        struct srv_buf one = {0};

        srv_percent_encode(&one, query->items[i].name, false);
        srv_buf_puts(&one, "=");
        srv_percent_encode(&one, query->items[i].value == NULL ? "" : query->items[i].value, false);
        list[i] = srv_buf_take(&one);
    }
    qsort(list, query->count, sizeof(char *), compare_text);
    for (size_t i = 0; i < query->count; i++) {
        srv_buf_printf(out, "%s%s", i == 0 ? "" : "&", list[i]);
        free(list[i]);
    }
}

static void add_headers(const struct srv_request *r, const char *names, struct srv_buf *out)
{
    srv_autofree char *copy = srv_xstrdup(names);
    char *rest = copy;

    while (rest != NULL) {
        const char *name = strsep(&rest, ";"), *value = srv_header(r, name);

        srv_buf_printf(out, "%s:%s\n", name, value == NULL ? "" : value);
    }
}

static void canonical_request(const struct srv_request *r, const struct signature *s,
                              struct srv_buf *out)
{
    const char *hash = srv_header(r, AMZ "content-sha256");

    srv_buf_printf(out, "%s\n%.*s\n", r->method, (int)strcspn(r->target, "?"), r->target);
    add_query(&r->query, out);
    srv_buf_puts(out, "\n");
    add_headers(r, s->headers, out);
    srv_buf_printf(out, "\n%s\n%s", s->headers, hash == NULL ? "UNSIGNED-PAYLOAD" : hash);
}

static void string_to_sign(const struct srv_request *r, const struct signature *s, const char *date,
                           struct srv_buf *out)
{
    srv_autobuf struct srv_buf canonical = {0};
    uint8_t hash[SRV_SHA256_BYTES];
    char hex[2 * SRV_SHA256_BYTES + 1];

    canonical_request(r, s, &canonical);
    srv_sha256(srv_buf_str(&canonical), canonical.len, hash);
    srv_hex(hex, hash, sizeof(hash), false);
    srv_buf_printf(out, ALGORITHM "\n%s\n%s/%s/%s/%s\n%s", date, s->scope[0], s->scope[1],
                   s->scope[2], s->scope[3], hex);
}

static int verify(struct srv_request *r, const struct signature *s)
{
    const char *date = srv_header(r, AMZ "date");
    srv_autobuf struct srv_buf text = {0};
    srv_autofree char *secret = NULL, *seed = NULL;
    uint8_t key[SRV_SHA256_BYTES];
    char hex[2 * SRV_SHA256_BYTES + 1];

    if (date == NULL)
        return refused(r, "x-amz-date is missing");
    secret = srv_credentials_secret(r->srv->credentials, s->key_id, NULL, srv_clock_ms() / 1000,
                                    &r->error);
    if (secret == NULL)
        return -1;
    string_to_sign(r, s, date, &text);
    seed = srv_xasprintf("AWS4%s", secret);
    srv_hmac_sha256(seed, strlen(seed), s->scope[0], strlen(s->scope[0]), key);
    for (size_t i = 1; i <= SCOPE_MAX; i++) {
        const char *step = i < SCOPE_MAX ? s->scope[i] : srv_buf_str(&text);
        uint8_t next[SRV_SHA256_BYTES];

        srv_hmac_sha256(key, sizeof(key), step, strlen(step), next);
        memcpy(key, next, sizeof(key));
    }
    srv_hex(hex, key, sizeof(key), false);
    return srv_streq(hex, s->value) ? 0 : refused(r, "the signature is another");
}

/* Their values have no counterpart, or only S3's own names. */
static bool has_no_counterpart(const char *name)
{
    static const char *const names[] = {AMZ "acl", AMZ "storage-class", AMZ "content-sha256",
                                        AMZ "date"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (srv_streq(name, names[i]))
            return true;
    return false;
}

static void rename_headers(struct srv_pairs *pairs, const char *from, const char *to)
{
    struct srv_pairs renamed = {0};

    for (size_t i = 0; i < pairs->count; i++) {
        const char *name = pairs->items[i].name;
        srv_autofree char *other = NULL;

        if (has_no_counterpart(name))
            continue;
        if (srv_starts_with(name, from))
            other = srv_xasprintf("%s%s", to, name + strlen(from));
        srv_pairs_add(&renamed, other == NULL ? name : other, pairs->items[i].value);
    }
    srv_pairs_fini(pairs);
    *pairs = renamed;
}

int srv_s3_translate(struct srv_request *r)
{
    __attribute__((cleanup(signature_fini))) struct signature s = {
        .key_id = "", .headers = "", .value = "", .scope = {"", "", "", ""}};
    const char *authorization = srv_header(r, "authorization");

    if (!r->srv->s3 || authorization == NULL || !srv_starts_with(authorization, ALGORITHM " "))
        return 0;
    r->s3 = true;
    if (parse(r, authorization + strlen(ALGORITHM " "), &s) < 0 || verify(r, &s) < 0)
        return -1;
    rename_headers(&r->headers, AMZ, OSS);
    return 0;
}

void srv_s3_reply(struct srv_request *r)
{
    if (r->s3)
        rename_headers(&r->reply.headers, OSS, AMZ);
}
