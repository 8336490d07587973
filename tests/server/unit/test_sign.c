#include "server/sign.h"
#include "server/target.h"
#include "server/unit/vectors.h"

#include <ctype.h>

static void read_headers(json_object *list, struct srv_pairs *headers)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *pair = json_object_array_get_idx(list, i);
        srv_autofree char *name =
            srv_xstrdup(json_object_get_string(json_object_array_get_idx(pair, 0)));
        const char *value = json_object_get_string(json_object_array_get_idx(pair, 1));
        size_t len;

        for (char *p = name; *p != '\0'; p++)
            *p = (char)tolower((unsigned char)*p);
        value += strspn(value, " \t");
        for (len = strlen(value); len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t');)
            len--;
        {
            srv_autofree char *trimmed = srv_xstrndup(value, len);

            srv_pairs_add(headers, name, trimmed);
        }
    }
}

/* What the server would see: the query comes from the wire form where a vector has one. */
static void read_query(json_object *vector, struct srv_pairs *query)
{
    const char *wire = vectors_text(vectors_member(vector, "expect"), "query_string");
    json_object *list = vectors_member(vectors_member(vector, "input"), "query");
    struct srv_error err = {0};

    if (wire != NULL) {
        assert_int_equal(srv_target_query(wire, query, &err), 0);
        return;
    }
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *pair = json_object_array_get_idx(list, i);

        srv_pairs_add(query, json_object_get_string(json_object_array_get_idx(pair, 0)),
                      json_object_get_string(json_object_array_get_idx(pair, 1)));
    }
}

struct vector {
    const char *kind;
    json_object *input;
    json_object *expect;
    struct srv_pairs headers;
    struct srv_pairs query;
    struct srv_sign_input in;
};

static void check_v1(const struct vector *v)
{
    const char *date = srv_pairs_get(&v->headers, "x-oss-date");
    struct srv_buf text = {0};
    char signature[SRV_V1_SIGNATURE_MAX];

    if (date == NULL)
        date = srv_pairs_get(&v->headers, "date");
    if (srv_streq(v->kind, "v1-presign"))
        date = vectors_text(v->input, "expires_unix");
    srv_v1_string_to_sign(&v->in, date == NULL ? "" : date, &text);
    assert_string_equal(srv_buf_str(&text), vectors_text(v->expect, "string_to_sign"));
    srv_v1_signature(vectors_text(v->input, "access_key_secret"), srv_buf_str(&text), signature);
    assert_string_equal(signature, vectors_text(v->expect, "signature"));
    srv_buf_fini(&text);
}

/* The list of additional headers as the client sent it, the caller frees. */
static char *sent_additional(const struct vector *v)
{
    const char *authorization = vectors_text(v->expect, "authorization");
    const char *query = srv_pairs_get(&v->query, "x-oss-additional-headers");
    const char *at = authorization == NULL ? NULL : strstr(authorization, "AdditionalHeaders=");

    if (at == NULL)
        return srv_xstrdup(query == NULL ? "" : query);
    at += strlen("AdditionalHeaders=");
    return srv_xstrndup(at, strcspn(at, ","));
}

static void check_v4(const struct vector *v)
{
    const char *when = srv_pairs_get(&v->headers, "x-oss-date");
    const char *region = vectors_text(v->input, "region");
    const char *product = vectors_text(v->input, "product");
    srv_autofree char *additional = sent_additional(v);
    srv_autofree char *date = NULL;
    srv_autofree char *scope = NULL;
    struct srv_buf canonical = {0};
    struct srv_buf text = {0};
    char signature[SRV_V4_SIGNATURE_MAX];

    if (srv_streq(v->kind, "v4-presign"))
        when = vectors_text(v->input, "date");
    date = srv_xstrndup(when, 8);
    scope = srv_xasprintf("%s/%s/%s/aliyun_v4_request", date, region, product);
    srv_v4_canonical_request(&v->in, additional, &canonical);
    assert_string_equal(srv_buf_str(&canonical), vectors_text(v->expect, "canonical_request"));
    srv_v4_string_to_sign(when, scope, srv_buf_str(&canonical), &text);
    assert_string_equal(srv_buf_str(&text), vectors_text(v->expect, "string_to_sign"));
    srv_v4_signature(vectors_text(v->input, "access_key_secret"), date, region, product,
                     srv_buf_str(&text), signature);
    assert_string_equal(signature, vectors_text(v->expect, "signature"));
    srv_buf_fini(&canonical);
    srv_buf_fini(&text);
}

static size_t check_vectors(const char *version, void (*check)(const struct vector *v))
{
    json_object *list = vectors_get("signing");
    size_t checked = 0;

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *json = json_object_array_get_idx(list, i);
        struct vector v = {.kind = vectors_text(json, "kind"),
                           .input = vectors_member(json, "input"),
                           .expect = vectors_member(json, "expect")};

        if (!srv_starts_with(v.kind, version))
            continue;
        read_headers(vectors_member(v.input, "headers"), &v.headers);
        read_query(json, &v.query);
        v.in = (struct srv_sign_input){vectors_text(v.input, "method"),
                                       vectors_text(v.input, "bucket"),
                                       vectors_text(v.input, "key"), &v.query, &v.headers};
        if (v.in.bucket != NULL && v.in.bucket[0] == '\0')
            v.in.bucket = NULL;
        check(&v);
        srv_pairs_fini(&v.headers);
        srv_pairs_fini(&v.query);
        checked++;
    }
    return checked;
}

static void every_v1_vector_gives_its_signature(void **state)
{
    (void)state;
    assert_int_equal(check_vectors("v1", check_v1), 54);
}

static void every_v4_vector_gives_its_signature(void **state)
{
    (void)state;
    assert_int_equal(check_vectors("v4", check_v4), 59);
}

static void v1_signs_the_listed_names_and_no_others(void **state)
{
    static const char *const unsigned_names[] = {
        "list-type",     "prefix",      "delimiter",       "marker",     "max-keys",
        "start-after",   "fetch-owner", "max-parts",       "key-marker", "part-number-marker",
        "encoding-type", "max-uploads", "upload-id-marker"};
    json_object *names = vectors_member(vectors_get("v1_signed_query_names"), "names");

    (void)state;
    for (size_t i = 0; i < json_object_array_length(names); i++)
        assert_true(
            srv_v1_signs_query(json_object_get_string(json_object_array_get_idx(names, i))));
    for (size_t i = 0; i < sizeof(unsigned_names) / sizeof(unsigned_names[0]); i++)
        assert_false(srv_v1_signs_query(unsigned_names[i]));
    assert_true(srv_v1_signs_query("x-oss-anything"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_v1_vector_gives_its_signature),
        cmocka_unit_test(every_v4_vector_gives_its_signature),
        cmocka_unit_test(v1_signs_the_listed_names_and_no_others),
    };

    return cmocka_run_group_tests_name("server sign", tests, vectors_setup, vectors_teardown);
}
