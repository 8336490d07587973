/*
 * The control path, /-/control/...: unsigned, and for this machine only. README.md
 * describes it. Requests here are neither logged nor slowed down nor made to fail.
 */
#include "server/ops.h"

#include "server/attrs.h"
#include "server/clock.h"
#include "server/record.h"
#include "server/text.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#define LOG_PATIENCE_NS UINT64_C(250000000)
#define LOG_POLL_NS     UINT64_C(1000000)

static bool from_this_machine(struct srv_request *r)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info == NULL ? NULL : info->client_addr;

    if (address == NULL)
        return false;
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    return address->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

static int bad(struct srv_request *r, const char *why)
{
    return srv_fail(&r->error, "InvalidArgument", "%s", why);
}

/* --- log, state --- */

/* A reply whose last byte has just gone out may not have its line yet. */
static void wait_for_streams(struct srv_request *r)
{
    uint64_t deadline = srv_steady_ns() + LOG_PATIENCE_NS;

    while (atomic_load(&r->srv->streaming) > 0 && srv_steady_ns() < deadline)
        if (!srv_request_sleep(r, LOG_POLL_NS))
            return;
}

static int get_log(struct srv_request *r)
{
    char block[65536];
    uint64_t size = 0;
    ssize_t n;
    int fd;

    wait_for_streams(r);
    fd = srv_reqlog_read(r->srv->log, &size);
    if (fd < 0)
        return srv_fail(&r->error, "InternalError", "The request log cannot be read.");
    while (size > 0 && (n = read(fd, block, size < sizeof(block) ? size : sizeof(block))) > 0) {
        srv_buf_add(&r->reply.body, block, (size_t)n);
        size -= (uint64_t)n;
    }
    (void)close(fd);
    srv_reply_header(r, "Content-Type", "application/x-ndjson");
    return 0;
}

static int delete_log(struct srv_request *r)
{
    wait_for_streams(r);
    srv_reqlog_clear(r->srv->log);
    return 0;
}

static int get_state(struct srv_request *r)
{
    struct srv_buf *out = &r->reply.body;
    srv_autopairs struct srv_pairs names = {0};

    srv_store_bucket_names(r->srv->store, &names);
    srv_buf_puts(out, "{\"buckets\":[");
    for (size_t i = 0; i < names.count; i++) {
        struct srv_bucket_info info = {0};
        struct srv_error gone = {0};

        if (srv_store_bucket_info(r->srv->store, names.items[i].name, &info, &gone) == 0)
            srv_buf_printf(out,
                           "%s{\"name\":\"%s\",\"objects\":%" PRIu64 ",\"bytes\":%" PRIu64
                           ",\"uploads\":%" PRIu64 ",\"parts\":%" PRIu64 "}",
                           i > 0 ? "," : "", info.name, info.object_count, info.bytes,
                           info.upload_count, info.part_count);
        srv_bucket_info_fini(&info);
        srv_error_fini(&gone);
    }
    srv_buf_printf(out, "],\"time_offset\":%" PRId64 ",\"requests\":%" PRIu64 "}\n",
                   srv_clock_offset_ms() / 1000, atomic_load(&r->srv->request_counter));
    srv_reply_header(r, "Content-Type", "application/json");
    return 0;
}

/* --- faults --- */

static int post_faults(struct srv_request *r)
{
    if (srv_faults_add(r->srv->faults, srv_buf_str(&r->text), &r->reply.body) < 0)
        r->reply.status = 400;
    srv_reply_header(r, "Content-Type", "application/json");
    return 0;
}

static int get_faults(struct srv_request *r)
{
    srv_faults_list(r->srv->faults, &r->reply.body);
    srv_reply_header(r, "Content-Type", "application/json");
    return 0;
}

static int delete_faults(struct srv_request *r)
{
    srv_faults_clear(r->srv->faults);
    return 0;
}

/* --- changes behind the client's back --- */

static int post_time(struct srv_request *r, json_object *json)
{
    if (srv_json_member(json, "offset") == NULL)
        return bad(r, "offset (seconds) is missing");
    srv_clock_set_offset_ms(srv_json_int(json, "offset", 0) * 1000);
    return 0;
}

static int post_expire_token(struct srv_request *r, json_object *json)
{
    const char *token = srv_json_text(json, "token");

    if (token == NULL || !srv_credentials_expire(r->srv->credentials, token))
        return bad(r, "no such token");
    return 0;
}

static int post_add_sts(struct srv_request *r, json_object *json)
{
    const char *key_id = srv_json_text(json, "access_key");
    const char *secret = srv_json_text(json, "secret");

    if (key_id == NULL || secret == NULL)
        return bad(r, "access_key or secret is missing");
    srv_credentials_add(r->srv->credentials, key_id, secret, srv_json_text(json, "token"),
                        srv_json_int(json, "expires", 0));
    return 0;
}

static void read_headers(json_object *json, struct srv_pairs *headers)
{
    json_object *member = srv_json_member(json, "headers");

    if (!json_object_is_type(member, json_type_object))
        return;
    json_object_object_foreach(member, name, value)
    {
        srv_pairs_add(headers, name, json_object_get_string(value));
    }
}

static int post_put_object(struct srv_request *r, json_object *json)
{
    const char *bucket = srv_json_text(json, "bucket");
    const char *key = srv_json_text(json, "key");
    const char *body = srv_json_text(json, "body");
    srv_autopairs struct srv_pairs headers = {0};
    srv_autoobject struct srv_object *o = NULL;
    srv_autofree uint8_t *bytes = NULL;
    int64_t len = 0;

    if (bucket == NULL || key == NULL || body == NULL || !srv_key_valid(key))
        return bad(r, "bucket, key or body (base64) is missing");
    if (body[0] != '\0')
        len = srv_base64_decode(body, &bytes);
    if (len < 0)
        return bad(r, "body is no base64");
    read_headers(json, &headers);
    o = srv_object_from_memory(r->srv, &headers, bytes, (size_t)len);
    if (o == NULL)
        return bad(r, "the object could not be made");
    return srv_store_put(r->srv->store, bucket, key, o, false, &r->error);
}

static int post_delete_object(struct srv_request *r, json_object *json)
{
    const char *bucket = srv_json_text(json, "bucket");
    const char *key = srv_json_text(json, "key");

    if (bucket == NULL || key == NULL)
        return bad(r, "bucket or key is missing");
    return srv_store_delete(r->srv->store, bucket, key, &r->error);
}

static int post_abort_upload(struct srv_request *r, json_object *json)
{
    const char *bucket = srv_json_text(json, "bucket");
    const char *key = srv_json_text(json, "key");
    const char *id = srv_json_text(json, "upload_id");

    if (bucket == NULL || key == NULL || id == NULL)
        return bad(r, "bucket, key or upload_id is missing");
    return srv_store_abort(r->srv->store, bucket, key, id, &r->error);
}

/* --- switches --- */

struct switch_slot {
    const char *name;
    _Atomic uint64_t *number; /* one of the two */
    atomic_bool *flag;
};

#define SWITCH_COUNT 9

static void list_switches(struct srv_switches *s, struct switch_slot slots[SWITCH_COUNT])
{
    const struct switch_slot all[SWITCH_COUNT] = {
        {"copy-size-limit", &s->copy_size_limit, NULL},
        {"list-short-pages", &s->short_pages, NULL},
        {"bandwidth-up", &s->bandwidth_up, NULL},
        {"bandwidth-down", &s->bandwidth_down, NULL},
        {"latency-ms", &s->latency_ms, NULL},
        {"qps", &s->qps, NULL},
        {"restore-ms", &s->restore_ms, NULL},
        {"copied-part-without-crc", NULL, &s->copied_part_without_crc},
        {"no-md5", NULL, &s->no_md5},
    };

    memcpy(slots, all, sizeof(all));
}

static int set_switch(struct srv_request *r, const char *name, json_object *value)
{
    struct switch_slot slots[SWITCH_COUNT];

    list_switches(&r->srv->switches, slots);
    for (size_t i = 0; i < SWITCH_COUNT; i++) {
        if (!srv_streq(slots[i].name, name))
            continue;
        if (slots[i].number != NULL && json_object_is_type(value, json_type_int) &&
            json_object_get_int64(value) >= 0) {
            *slots[i].number = (uint64_t)json_object_get_int64(value);
            return 0;
        }
        if (slots[i].flag != NULL && json_object_is_type(value, json_type_boolean)) {
            *slots[i].flag = json_object_get_boolean(value) != 0;
            return 0;
        }
        return bad(r, "an option is of the wrong type");
    }
    return bad(r, "no such option");
}

static int post_option(struct srv_request *r, json_object *json)
{
    json_object_object_foreach(json, name, value)
    {
        if (set_switch(r, name, value) < 0)
            return -1;
    }
    return 0;
}

/* --- dispatch --- */

static const struct {
    const char *method;
    const char *name;
    int (*plain)(struct srv_request *r);
    int (*with_json)(struct srv_request *r, json_object *json);
} commands[] = {
    {"GET", "log", get_log, NULL},
    {"DELETE", "log", delete_log, NULL},
    {"GET", "state", get_state, NULL},
    {"POST", "faults", post_faults, NULL},
    {"GET", "faults", get_faults, NULL},
    {"DELETE", "faults", delete_faults, NULL},
    {"POST", "time", NULL, post_time},
    {"POST", "expire-token", NULL, post_expire_token},
    {"POST", "add-credential", NULL, post_add_sts},
    {"POST", "put-object", NULL, post_put_object},
    {"POST", "delete-object", NULL, post_delete_object},
    {"POST", "abort-upload", NULL, post_abort_upload},
    {"POST", "option", NULL, post_option},
};

int srv_control_begin(struct srv_request *r)
{
    return from_this_machine(r)
               ? 0
               : srv_fail(&r->error, "AccessDenied", "The control path is for this machine only.");
}

int srv_control_finish(struct srv_request *r)
{
    const char *name = r->target + strlen(SRV_CONTROL_PREFIX);
    json_object *json;
    int done;

    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (!srv_streq(commands[i].method, r->method) || !srv_streq(commands[i].name, name))
            continue;
        if (commands[i].plain != NULL)
            return commands[i].plain(r);
        json = json_tokener_parse(srv_buf_str(&r->text));
        done = json_object_is_type(json, json_type_object) ? commands[i].with_json(r, json)
                                                           : bad(r, "the body is no JSON object");
        (void)json_object_put(json);
        return done;
    }
    return bad(r, "no such control command");
}
