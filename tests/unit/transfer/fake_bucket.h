/*
 * A bucket in memory behind the functions of oss/ops.h that the engine calls (by -Wl,--wrap;
 * FAKE_BUCKET_WRAP in extra.cmake lists them). It follows oss-protocol section 5 strictly, counts
 * requests, and misbehaves by rules: "the n-th request of this kind: this fault".
 *
 * Header only, one bucket for a whole program. bucket_reset() begins a test. The hook is called
 * without the lock, in the thread of the request, so that a test can act at a chosen moment.
 */
#ifndef OSSUP_TESTS_FAKE_BUCKET_H
#define OSSUP_TESTS_FAKE_BUCKET_H

#include "unit/unit.h"

#include "base/clock.h"
#include "base/crc64.h"
#include "base/mutex.h"
#include "oss/etag.h"
#include "oss/ops.h"
#include "transfer/engine_internal.h"

#include <inttypes.h>
#include <sched.h>

#define BUCKET_OBJECTS 1100
#define BUCKET_UPLOADS 32
#define BUCKET_PARTS   600
#define BUCKET_CHUNK   ((size_t)16 << 10) /* what curl asks for at a time */

enum bucket_op {
    OP_ANY,
    OP_PUT,
    OP_COPY,
    OP_HEAD,
    OP_INITIATE,
    OP_PART,
    OP_PART_COPY,
    OP_COMPLETE,
    OP_ABORT,
    OP_LIST_PARTS,
    OP_LIST_UPLOADS,
    OP_COUNT
};

enum bucket_fault {
    FAULT_NONE,
    FAULT_CONNECT,     /* never sent */
    FAULT_LOST,        /* the connection breaks before it takes effect */
    FAULT_UNAVAILABLE, /* 503 */
    FAULT_UNANSWERED,  /* takes effect, the answer is lost */
    FAULT_WRONG_CRC,   /* takes effect, damaged on the way */
    FAULT_DENIED,      /* 403 AccessDenied */
    FAULT_NO_UPLOAD,   /* the upload id is gone behind our back */
    FAULT_INVALID_PART,
    FAULT_TOO_LARGE,
    FAULT_CHANGED /* 412 */
};

enum bucket_moment { MOMENT_BEGIN, MOMENT_BODY, MOMENT_SENT, MOMENT_APPLIED };

struct bucket_bytes {
    unsigned char *data;
    uint64_t size, crc64;
    char etag[OSS_ETAG_SIZE];
};

struct bucket_object {
    char key[64];
    struct bucket_bytes bytes;
    bool exists;
};

struct bucket_upload {
    char id[OSS_UPLOAD_ID_SIZE], key[64];
    struct timespec initiated;
    struct bucket_bytes parts[BUCKET_PARTS]; /* by number - 1 */
    bool open;
};

struct bucket_rule {
    enum bucket_op op; /* OP_ANY: counts all requests */
    unsigned nth;      /* of this kind, from 1; 0: each */
    enum bucket_fault fault;
};

static struct {
    struct ou_mutex lock;
    bool ready;
    struct bucket_object objects[BUCKET_OBJECTS];
    struct bucket_upload uploads[BUCKET_UPLOADS];
    unsigned upload_count, op_count[OP_COUNT], part_sent[BUCKET_PARTS + 1];
    struct bucket_rule rules[8];
    size_t rule_count;
    _Atomic bool down; /* nothing works any more: the moment of a crash */
    bool no_crc;       /* answers and lists carry no CRC-64 */
    bool late_cancel;  /* a Put notices when its body is sent, as a real connection may */
    unsigned in_flight, in_flight_most;
    unsigned serial;
    void (*hook)(enum bucket_op op, unsigned number, enum bucket_moment moment);
} bucket;

static inline void bucket_bytes_fini(struct bucket_bytes *b)
{
    free(b->data);
    *b = (struct bucket_bytes){0};
}

static inline void bucket_reset(void)
{
    if (!bucket.ready)
        ou_mutex_init(&bucket.lock, OU_RANK_BASE);
    bucket.ready = true;
    for (size_t i = 0; i < BUCKET_OBJECTS; i++)
        bucket_bytes_fini(&bucket.objects[i].bytes);
    for (size_t i = 0; i < BUCKET_UPLOADS; i++)
        for (size_t p = 0; p < BUCKET_PARTS; p++)
            bucket_bytes_fini(&bucket.uploads[i].parts[p]);
    memset(bucket.objects, 0, sizeof(bucket.objects));
    memset(bucket.uploads, 0, sizeof(bucket.uploads));
    memset(bucket.op_count, 0, sizeof(bucket.op_count));
    memset(bucket.part_sent, 0, sizeof(bucket.part_sent));
    bucket.upload_count = bucket.in_flight = bucket.in_flight_most = bucket.serial = 0;
    bucket.rule_count = 0;
    bucket.down = bucket.no_crc = bucket.late_cancel = false;
    bucket.hook = NULL;
}

static inline void bucket_rule(enum bucket_op op, unsigned nth, enum bucket_fault fault)
{
    assert_true(bucket.rule_count < 8);
    bucket.rules[bucket.rule_count++] = (struct bucket_rule){op, nth, fault};
}

static inline struct bucket_object *bucket_find(const char *key)
{
    for (size_t i = 0; i < BUCKET_OBJECTS; i++)
        if (bucket.objects[i].exists && !strcmp(bucket.objects[i].key, key))
            return &bucket.objects[i];
    return NULL;
}

static inline struct bucket_upload *bucket_upload_of(const char *id, const char *key)
{
    for (unsigned i = 0; i < bucket.upload_count; i++)
        if (bucket.uploads[i].open && !strcmp(bucket.uploads[i].id, id) &&
            !strcmp(bucket.uploads[i].key, key))
            return &bucket.uploads[i];
    return NULL;
}

static inline unsigned bucket_open_uploads(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < bucket.upload_count; i++)
        n += bucket.uploads[i].open;
    return n;
}

/* Takes the bytes. */
static inline void bucket_store(const char *key, struct bucket_bytes *bytes)
{
    struct bucket_object *o = bucket_find(key);

    for (size_t i = 0; !o && i < BUCKET_OBJECTS; i++)
        if (!bucket.objects[i].exists)
            o = &bucket.objects[i];
    assert_non_null(o);
    bucket_bytes_fini(&o->bytes);
    (void)snprintf(o->key, sizeof(o->key), "%s", key);
    o->bytes = *bytes;
    o->exists = true;
    *bytes = (struct bucket_bytes){0};
}

static inline void bucket_seal(struct bucket_bytes *b)
{
    b->crc64 = ou_crc64(0, b->data, b->size);
    (void)snprintf(b->etag, sizeof(b->etag), "%016" PRIX64, b->crc64);
}

static inline void bucket_put(const char *key, const unsigned char *data, size_t size)
{
    struct bucket_bytes b = {.data = malloc(size + 1), .size = size};

    memcpy(b.data, data, size);
    bucket_seal(&b);
    bucket_store(key, &b);
}

static inline const char *bucket_add_upload(const char *key, struct timespec initiated)
{
    struct bucket_upload *u = &bucket.uploads[bucket.upload_count++];

    assert_true(bucket.upload_count < BUCKET_UPLOADS);
    (void)snprintf(u->id, sizeof(u->id), "ID%u", ++bucket.serial);
    (void)snprintf(u->key, sizeof(u->key), "%s", key);
    u->initiated = initiated;
    u->open = true;
    return u->id;
}

/* -- requests -- */

static inline int bucket_error(struct ou_error *err, int errnum, int status, const char *code)
{
    (void)ou_error_say(err, errnum, "HTTP %d: %s", status, code);
    err->http_status = status;
    (void)snprintf(err->code, sizeof(err->code), "%s", code);
    return -errnum;
}

static inline enum bucket_fault bucket_begin(enum bucket_op op, unsigned number)
{
    enum bucket_fault fault = FAULT_NONE;
    unsigned n, all;

    if (bucket.hook)
        bucket.hook(op, number, MOMENT_BEGIN);
    ou_mutex_lock(&bucket.lock);
    n = bucket.op_count[op] += !bucket.down;
    all = bucket.op_count[OP_ANY] += !bucket.down;
    if (op == OP_PART && number <= BUCKET_PARTS && !bucket.down)
        bucket.part_sent[number]++;
    for (size_t i = 0; i < bucket.rule_count; i++) {
        const struct bucket_rule *r = &bucket.rules[i];

        if ((r->op == op || r->op == OP_ANY) &&
            (r->nth == 0 || r->nth == (r->op == OP_ANY ? all : n)))
            fault = r->fault;
    }
    if (bucket.down)
        fault = FAULT_LOST;
    if (op == OP_PART || op == OP_PART_COPY) {
        bucket.in_flight++;
        if (bucket.in_flight > bucket.in_flight_most)
            bucket.in_flight_most = bucket.in_flight;
    }
    ou_mutex_unlock(&bucket.lock);
    return fault;
}

/* Ends the request; @r: how it went on the server. */
static inline int bucket_end(enum bucket_op op, unsigned number, enum bucket_fault fault, int r,
                             struct ou_error *err)
{
    if (bucket.hook && r >= 0)
        bucket.hook(op, number, MOMENT_APPLIED);
    ou_mutex_lock(&bucket.lock);
    if (op == OP_PART || op == OP_PART_COPY)
        bucket.in_flight--;
    if (bucket.down && r >= 0)
        fault = FAULT_UNANSWERED;
    ou_mutex_unlock(&bucket.lock);
    if (r >= 0 && fault == FAULT_UNANSWERED)
        return bucket_error(err, EIO, 0, "ConnectionLost");
    if (r >= 0 && fault == FAULT_WRONG_CRC && op != OP_COMPLETE)
        return bucket_error(err, EIO, 200, "CrcMismatch");
    return r;
}

/* The faults that leave no trace on the server. Return: 0, or negative errno. */
static inline int bucket_refuse(enum bucket_fault fault, const struct oss_call *call,
                                struct ou_error *err)
{
    if (call && ou_cancel_triggered(call->cancel))
        return ou_error_set(err, EINTR, "request");
    switch (fault) {
    case FAULT_CONNECT:
        return bucket_error(err, ECONNREFUSED, 0, "ConnectFailed");
    case FAULT_LOST:
        return bucket_error(err, EIO, 0, "ConnectionLost");
    case FAULT_UNAVAILABLE:
        return bucket_error(err, EIO, 503, "ServiceUnavailable");
    case FAULT_DENIED:
        return bucket_error(err, EACCES, 403, "AccessDenied");
    case FAULT_INVALID_PART:
        return bucket_error(err, EIO, 400, "InvalidPart");
    case FAULT_TOO_LARGE:
        return bucket_error(err, EFBIG, 400, "EntityTooLarge");
    case FAULT_CHANGED:
        return bucket_error(err, ESTALE, 412, "PreconditionFailed");
    default:
        return 0;
    }
}

static inline int bucket_no_upload(struct ou_error *err)
{
    return bucket_error(err, ENOENT, 404, "NoSuchUpload");
}

/* Pulls a body as curl does. */
static inline int bucket_receive(enum bucket_op op, unsigned number, const struct oss_call *call,
                                 const struct oss_body *body, struct bucket_bytes *out,
                                 struct ou_error *err)
{
    uint64_t at = 0;

    *out = (struct bucket_bytes){.data = malloc(body->size + 1), .size = body->size};
    while (at < body->size) {
        size_t want = body->size - at < BUCKET_CHUNK ? (size_t)(body->size - at) : BUCKET_CHUNK;
        ssize_t n;

        if (!bucket.late_cancel && ou_cancel_triggered(call->cancel)) {
            bucket_bytes_fini(out);
            return ou_error_set(err, EINTR, "request");
        }
        n = body->read(body->ctx, out->data + at, want, at, err);
        if (n <= 0) {
            bucket_bytes_fini(out);
            return (int)n;
        }
        at += (uint64_t)n;
        if (bucket.hook)
            bucket.hook(op, number, MOMENT_BODY);
    }
    if (bucket.hook)
        bucket.hook(op, number, MOMENT_SENT);
    return 0;
}

static inline void bucket_damage(enum bucket_fault fault, struct bucket_bytes *b)
{
    if (fault == FAULT_WRONG_CRC && b->size > 0)
        b->data[b->size / 2] ^= 1;
    bucket_seal(b);
}

static inline void bucket_answer(const struct bucket_bytes *b, struct oss_written *out)
{
    *out = (struct oss_written){.crc64 = b->crc64, .has_crc64 = !bucket.no_crc};
    (void)snprintf(out->etag, sizeof(out->etag), "%s", b->etag);
    (void)snprintf(out->request_id, sizeof(out->request_id), "R%u", ++bucket.serial);
}

int __wrap_oss_put_object(struct oss_client *c, const struct oss_call *call, const char *key,
                          const struct oss_object_headers *headers, const struct oss_body *body,
                          struct oss_written *out, struct ou_error *err);
int __wrap_oss_put_object(struct oss_client *c, const struct oss_call *call, const char *key,
                          const struct oss_object_headers *headers, const struct oss_body *body,
                          struct oss_written *out, struct ou_error *err)
{
    enum bucket_fault fault = bucket_begin(OP_PUT, 0);
    struct bucket_bytes b = {0};
    int r = bucket_refuse(fault, call, err);

    (void)c;
    if (r == 0)
        r = bucket_receive(OP_PUT, 0, call, body, &b, err);
    ou_mutex_lock(&bucket.lock);
    if (r == 0 && headers->forbid_overwrite && bucket_find(key)) {
        r = bucket_error(err, EEXIST, 409, "FileAlreadyExists");
        bucket_bytes_fini(&b);
    }
    if (r == 0) {
        bucket_damage(fault, &b);
        bucket_answer(&b, out);
        bucket_store(key, &b);
    }
    ou_mutex_unlock(&bucket.lock);
    r = bucket_end(OP_PUT, 0, fault, r, err);
    return r == 0 && bucket.late_cancel && ou_cancel_triggered(call->cancel)
               ? ou_error_set(err, EINTR, "request")
               : r;
}

int __wrap_oss_copy_object(struct oss_client *c, const struct oss_call *call,
                           const char *source_key, const char *if_match, const char *key,
                           const struct oss_object_headers *headers, struct oss_written *out,
                           struct ou_error *err);
int __wrap_oss_copy_object(struct oss_client *c, const struct oss_call *call,
                           const char *source_key, const char *if_match, const char *key,
                           const struct oss_object_headers *headers, struct oss_written *out,
                           struct ou_error *err)
{
    enum bucket_fault fault = bucket_begin(OP_COPY, 0);
    int r = bucket_refuse(fault, call, err);

    (void)c;
    (void)headers;
    (void)if_match;
    ou_mutex_lock(&bucket.lock);
    if (r == 0) {
        struct bucket_object *o = bucket_find(source_key);

        assert_non_null(o);
        bucket_answer(&o->bytes, out);
        if (strcmp(source_key, key) != 0)
            bucket_put(key, o->bytes.data, o->bytes.size);
    }
    ou_mutex_unlock(&bucket.lock);
    return bucket_end(OP_COPY, 0, fault, r, err);
}

int __wrap_oss_head_object(struct oss_client *c, const struct oss_call *call, const char *key,
                           struct oss_object *out, struct ou_error *err);
int __wrap_oss_head_object(struct oss_client *c, const struct oss_call *call, const char *key,
                           struct oss_object *out, struct ou_error *err)
{
    enum bucket_fault fault = bucket_begin(OP_HEAD, 0);
    int r = bucket_refuse(fault, call, err);

    (void)c;
    ou_mutex_lock(&bucket.lock);
    if (r == 0) {
        struct bucket_object *o = bucket_find(key);

        r = o != NULL;
        *out = (struct oss_object){0};
        if (o) {
            out->size = o->bytes.size;
            out->crc64 = o->bytes.crc64;
            out->has_crc64 = !bucket.no_crc;
            (void)snprintf(out->etag, sizeof(out->etag), "%s", o->bytes.etag);
        }
    }
    ou_mutex_unlock(&bucket.lock);
    return bucket_end(OP_HEAD, 0, fault, r, err);
}

int __wrap_oss_initiate_upload(struct oss_client *c, const struct oss_call *call, const char *key,
                               const struct oss_object_headers *headers,
                               char upload_id[OSS_UPLOAD_ID_SIZE], struct ou_error *err);
int __wrap_oss_initiate_upload(struct oss_client *c, const struct oss_call *call, const char *key,
                               const struct oss_object_headers *headers,
                               char upload_id[OSS_UPLOAD_ID_SIZE], struct ou_error *err)
{
    enum bucket_fault fault = bucket_begin(OP_INITIATE, 0);
    int r = bucket_refuse(fault, call, err);

    (void)c;
    (void)headers;
    ou_mutex_lock(&bucket.lock);
    if (r == 0)
        (void)snprintf(upload_id, OSS_UPLOAD_ID_SIZE, "%s", bucket_add_upload(key, ou_wall()));
    ou_mutex_unlock(&bucket.lock);
    return bucket_end(OP_INITIATE, 0, fault, r, err);
}

static inline int bucket_store_part(const char *key, const char *id, unsigned number,
                                    enum bucket_fault fault, struct bucket_bytes *b,
                                    struct oss_written *out, struct ou_error *err)
{
    struct bucket_upload *u;
    int r = 0;

    ou_mutex_lock(&bucket.lock);
    u = bucket_upload_of(id, key);
    if (u && fault == FAULT_NO_UPLOAD)
        u->open = false;
    if (!u || !u->open) {
        bucket_bytes_fini(b);
        r = bucket_no_upload(err);
    } else {
        assert_in_range(number, 1, BUCKET_PARTS);
        bucket_damage(fault, b);
        bucket_answer(b, out);
        bucket_bytes_fini(&u->parts[number - 1]);
        u->parts[number - 1] = *b;
    }
    ou_mutex_unlock(&bucket.lock);
    return r;
}

int __wrap_oss_upload_part(struct oss_client *c, const struct oss_call *call, const char *key,
                           const char *upload_id, unsigned number, const struct oss_body *body,
                           struct oss_written *out, struct ou_error *err);
int __wrap_oss_upload_part(struct oss_client *c, const struct oss_call *call, const char *key,
                           const char *upload_id, unsigned number, const struct oss_body *body,
                           struct oss_written *out, struct ou_error *err)
{
    enum bucket_fault fault = bucket_begin(OP_PART, number);
    struct bucket_bytes b = {0};
    int r = bucket_refuse(fault, call, err);

    (void)c;
    if (r == 0)
        r = bucket_receive(OP_PART, number, call, body, &b, err);
    if (r == 0)
        r = bucket_store_part(key, upload_id, number, fault, &b, out, err);
    return bucket_end(OP_PART, number, fault, r, err);
}

int __wrap_oss_upload_part_copy(struct oss_client *c, const struct oss_call *call, const char *key,
                                const char *upload_id, unsigned number, const char *source_key,
                                uint64_t offset, uint64_t size, const char *if_match,
                                struct oss_written *out, struct ou_error *err);
int __wrap_oss_upload_part_copy(struct oss_client *c, const struct oss_call *call, const char *key,
                                const char *upload_id, unsigned number, const char *source_key,
                                uint64_t offset, uint64_t size, const char *if_match,
                                struct oss_written *out, struct ou_error *err)
{
    enum bucket_fault fault = bucket_begin(OP_PART_COPY, number);
    struct bucket_bytes b = {.size = size};
    int r = bucket_refuse(fault, call, err);

    (void)c;
    if (r == 0) {
        ou_mutex_lock(&bucket.lock);
        struct bucket_object *o = bucket_find(source_key);

        assert_non_null(o);
        assert_true(offset + size <= o->bytes.size);
        if (if_match && strcmp(if_match, o->bytes.etag) != 0) {
            r = bucket_error(err, ESTALE, 412, "PreconditionFailed");
        } else {
            b.data = malloc(size + 1);
            memcpy(b.data, o->bytes.data + offset, size);
        }
        ou_mutex_unlock(&bucket.lock);
    }
    if (r == 0)
        r = bucket_store_part(key, upload_id, number, fault, &b, out, err);
    if (r == 0)
        out->has_crc64 = false; /* oss-protocol 5.4 */
    return bucket_end(OP_PART_COPY, number, fault, r, err);
}

/* Puts the listed parts together; oss-protocol 5.5. */
static inline int bucket_assemble(struct bucket_upload *u, const struct oss_part *parts,
                                  size_t count, struct bucket_bytes *out, struct ou_error *err)
{
    uint64_t at = 0, size = 0;

    for (size_t i = 0; i < count; i++) {
        struct bucket_bytes *b = &u->parts[parts[i].number - 1];

        if (!b->data || strcmp(b->etag, parts[i].etag) != 0)
            return bucket_error(err, EIO, 400, "InvalidPart");
        if (i > 0 && parts[i].number <= parts[i - 1].number)
            return bucket_error(err, EIO, 400, "InvalidPartOrder");
        if (i + 1 < count && b->size < OSS_PART_SIZE_MIN)
            return bucket_error(err, EIO, 400, "EntityTooSmall");
        size += b->size;
    }
    *out = (struct bucket_bytes){.data = malloc(size + 1), .size = size};
    for (size_t i = 0; i < count; i++) {
        struct bucket_bytes *b = &u->parts[parts[i].number - 1];

        memcpy(out->data + at, b->data, b->size);
        at += b->size;
    }
    return 0;
}

int __wrap_oss_complete_upload(struct oss_client *c, const struct oss_call *call, const char *key,
                               const char *upload_id, const struct oss_part *parts, size_t count,
                               bool forbid_overwrite, struct oss_written *out,
                               struct ou_error *err);
int __wrap_oss_complete_upload(struct oss_client *c, const struct oss_call *call, const char *key,
                               const char *upload_id, const struct oss_part *parts, size_t count,
                               bool forbid_overwrite, struct oss_written *out, struct ou_error *err)
{
    enum bucket_fault fault = bucket_begin(OP_COMPLETE, 0);
    struct bucket_bytes b = {0};
    int r = bucket_refuse(fault, call, err);

    (void)c;
    ou_mutex_lock(&bucket.lock);
    if (r == 0) {
        struct bucket_upload *u = bucket_upload_of(upload_id, key);

        if (u && fault == FAULT_NO_UPLOAD)
            u->open = false;
        if (!u || !u->open)
            r = bucket_no_upload(err);
        else if (forbid_overwrite && bucket_find(key))
            r = bucket_error(err, EEXIST, 409, "FileAlreadyExists");
        else
            r = bucket_assemble(u, parts, count, &b, err);
        if (r == 0) {
            bucket_damage(fault, &b);
            assert_true(oss_multipart_etag(parts, count, b.etag));
            bucket_answer(&b, out);
            bucket_store(key, &b);
            u->open = false;
        }
    }
    ou_mutex_unlock(&bucket.lock);
    return bucket_end(OP_COMPLETE, 0, fault, r, err);
}

int __wrap_oss_abort_upload(struct oss_client *c, const struct oss_call *call, const char *key,
                            const char *upload_id, struct ou_error *err);
int __wrap_oss_abort_upload(struct oss_client *c, const struct oss_call *call, const char *key,
                            const char *upload_id, struct ou_error *err)
{
    enum bucket_fault fault = bucket_begin(OP_ABORT, 0);
    int r = bucket_refuse(fault, call, err);

    (void)c;
    ou_mutex_lock(&bucket.lock);
    if (r == 0) {
        struct bucket_upload *u = bucket_upload_of(upload_id, key);

        if (u)
            u->open = false;
    }
    ou_mutex_unlock(&bucket.lock);
    return bucket_end(OP_ABORT, 0, fault, r, err);
}

int __wrap_oss_list_parts(struct oss_client *c, const struct oss_call *call, const char *key,
                          const char *upload_id, struct oss_part_list *out, struct ou_error *err);
int __wrap_oss_list_parts(struct oss_client *c, const struct oss_call *call, const char *key,
                          const char *upload_id, struct oss_part_list *out, struct ou_error *err)
{
    enum bucket_fault fault = bucket_begin(OP_LIST_PARTS, 0);
    int r = bucket_refuse(fault, call, err);

    (void)c;
    ou_mutex_lock(&bucket.lock);
    if (r == 0) {
        struct bucket_upload *u = bucket_upload_of(upload_id, key);

        r = u != NULL;
        *out = (struct oss_part_list){0};
        if (u)
            out->parts = calloc(BUCKET_PARTS, sizeof(*out->parts));
        for (unsigned i = 0; u && i < BUCKET_PARTS; i++) {
            struct oss_part *p = &out->parts[out->count];

            if (!u->parts[i].data)
                continue;
            *p = (struct oss_part){.number = i + 1,
                                   .size = u->parts[i].size,
                                   .crc64 = u->parts[i].crc64,
                                   .has_crc64 = !bucket.no_crc};
            (void)snprintf(p->etag, sizeof(p->etag), "%s", u->parts[i].etag);
            out->count++;
        }
    }
    ou_mutex_unlock(&bucket.lock);
    return bucket_end(OP_LIST_PARTS, 0, fault, r, err);
}

int __wrap_oss_list_uploads(struct oss_client *c, const struct oss_call *call, const char *prefix,
                            const char *key_marker, const char *upload_id_marker,
                            struct oss_upload_list *out, struct ou_error *err);
int __wrap_oss_list_uploads(struct oss_client *c, const struct oss_call *call, const char *prefix,
                            const char *key_marker, const char *upload_id_marker,
                            struct oss_upload_list *out, struct ou_error *err)
{
    enum bucket_fault fault = bucket_begin(OP_LIST_UPLOADS, 0);
    int r = bucket_refuse(fault, call, err);

    (void)c;
    assert_null(key_marker); /* one page is all it has */
    assert_null(upload_id_marker);
    ou_mutex_lock(&bucket.lock);
    if (r == 0) {
        *out = (struct oss_upload_list){0};
        out->uploads = calloc(BUCKET_UPLOADS, sizeof(*out->uploads));
        for (unsigned i = 0; i < bucket.upload_count; i++) {
            struct oss_upload_entry *e = &out->uploads[out->count];

            if (!bucket.uploads[i].open ||
                strncmp(bucket.uploads[i].key, prefix, strlen(prefix)) != 0)
                continue;
            e->key = strdup(bucket.uploads[i].key);
            e->initiated = bucket.uploads[i].initiated;
            (void)snprintf(e->upload_id, sizeof(e->upload_id), "%s", bucket.uploads[i].id);
            out->count++;
        }
    }
    ou_mutex_unlock(&bucket.lock);
    return bucket_end(OP_LIST_UPLOADS, 0, fault, r, err);
}

void __wrap_oss_client_stats(struct oss_client *c, struct oss_client_stats *out);
void __wrap_oss_client_stats(struct oss_client *c, struct oss_client_stats *out)
{
    (void)c;
    *out = (struct oss_client_stats){0};
}

uint64_t __wrap_oss_error_delay_ms(const struct ou_error *err, unsigned attempt, uint32_t random);
uint64_t __wrap_oss_error_delay_ms(const struct ou_error *err, unsigned attempt, uint32_t random)
{
    (void)err;
    (void)random;
    return attempt > 3; /* as good as at once */
}

#endif
