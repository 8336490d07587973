/*
 * Signs the requests that requests.js has written and compares the Authorization headers.
 *
 *   compare COUNT < requests.jsonl
 *
 * Exit: 0 all of COUNT requests agree, 1 one differs (its string to sign is printed) or lines are
 * missing, 2 wrong usage.
 */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "oss/sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_MAX 64

struct request {
    struct oss_sign_input in;
    struct oss_param query[LIST_MAX], headers[LIST_MAX];
    const char *additional[LIST_MAX];
};

static size_t read_pairs(const struct ou_json *array, struct oss_param *out)
{
    size_t count = ou_json_length(array);

    if (count > LIST_MAX)
        abort();
    for (size_t i = 0; i < count; i++) {
        const struct ou_json *pair = ou_json_at(array, i);

        out[i].name = ou_json_value_string(ou_json_at(pair, 0));
        out[i].value = ou_json_value_string(ou_json_at(pair, 1));
    }
    return count;
}

static void read_request(const struct ou_json *line, struct request *r)
{
    const struct ou_json *additional = ou_json_get(line, "additional_headers");

    *r = (struct request){0};
    r->in.method = ou_json_string(line, "method");
    r->in.bucket = ou_json_string(line, "bucket");
    r->in.key = ou_json_string(line, "key");
    r->in.region = ou_json_string(line, "region");
    r->in.product = ou_json_string(line, "product");
    r->in.query = r->query;
    r->in.query_count = read_pairs(ou_json_get(line, "query"), r->query);
    r->in.headers = r->headers;
    r->in.header_count = read_pairs(ou_json_get(line, "headers"), r->headers);
    r->in.additional_headers = r->additional;
    r->in.additional_count = ou_json_length(additional);
    if (r->in.additional_count > LIST_MAX)
        abort();
    for (size_t i = 0; i < r->in.additional_count; i++)
        r->additional[i] = ou_json_value_string(ou_json_at(additional, i));
}

/* Return: the signature version when both agree, 0 when they differ. */
static unsigned compare(const struct ou_json *line)
{
    ou_auto(ou_buf_fini) struct ou_buf ours = {0};
    ou_auto(ou_buf_fini) struct ou_buf text = {0};
    const char *theirs = ou_json_string(line, "authorization");
    struct ou_error err = OU_ERROR_INIT;
    uint64_t version = 0;
    struct request r;

    read_request(line, &r);
    if (!theirs || !ou_json_u64(line, "version", &version))
        return 0;
    if (oss_sign_authorization(version == 4 ? OSS_SIGN_V4 : OSS_SIGN_V1, &r.in,
                               ou_json_string(line, "access_key_id"),
                               ou_json_string(line, "access_key_secret"), &ours, &text, &err) < 0) {
        (void)printf("refused: %s\n", err.message);
        return 0;
    }
    if (strcmp(ou_buf_str(&ours), theirs) == 0)
        return (unsigned)version;
    (void)printf("ours:   %s\ntheirs: %s\nstring to sign:\n%s\n", ou_buf_str(&ours), theirs,
                 ou_buf_str(&text));
    return 0;
}

int main(int argc, char **argv)
{
    ou_autofree char *line = NULL;
    size_t room = 0, agreed[5] = {0}, total = 0;
    uint64_t wanted;
    ssize_t len;

    if (argc != 2 || !ou_parse_u64(argv[1], &wanted) || wanted == 0)
        return 2;
    while ((len = getline(&line, &room, stdin)) > 0) {
        ou_auto(ou_json_free_at) struct ou_json *json = NULL;
        struct ou_error err = OU_ERROR_INIT;
        unsigned version;

        total++;
        if (ou_json_parse(line, (size_t)len, &json, &err) < 0) {
            (void)printf("line %zu: %s\n", total, err.message);
            return 1;
        }
        version = compare(json);
        if (version == 0)
            (void)printf("differs, line %zu: %s\n", total, line);
        else
            agreed[version == 4 ? 4 : 1]++;
    }
    (void)printf("%zu requests: %zu agree by V1, %zu by V4\n", total, agreed[1], agreed[4]);
    return total == wanted && agreed[1] + agreed[4] == total ? 0 : 1;
}
