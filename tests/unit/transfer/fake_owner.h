/*
 * The owner of a file that is uploaded: bytes in memory that change under a lock, a journal, and
 * what the engine told. One engine, one owner a test; owner_init() ... owner_fini().
 */
#ifndef OSSUP_TESTS_FAKE_OWNER_H
#define OSSUP_TESTS_FAKE_OWNER_H

#include "unit/transfer/fake_bucket.h"

#define PART_SIZE    ((uint64_t)OSS_PART_SIZE_MIN)
#define OWNER_EVENTS 2048

struct owner_event {
    enum xfer_event_kind kind;
    char upload_id[OSS_UPLOAD_ID_SIZE];
    struct oss_part part;
    struct xfer_plan_part where;
};

struct owner {
    struct ou_mutex lock; /* rank OU_RANK_SPOOL: the engine's functions are called under it */
    pthread_cond_t change;
    unsigned char *data;
    uint64_t size;
    const char *key;
    struct xfer_upload *upload;

    int publish; /* what may_publish() answers */
    unsigned asked, unpublished, unpublished_maybe, progressed;
    uint64_t confirmed;
    bool forbid_overwrite;
    int read_error; /* read() fails with it */
    struct owner_event *events;
    size_t event_count;
    size_t fail_event;  /* record() fails at this one, from 1; 0: never */
    size_t crash_event; /* the bucket is down from this one on, from 1; 0: never */
    bool crash_unsaved; /* .. and it is not saved */
    void (*at_gate)(struct owner *o);

    bool done;
    struct xfer_result result;
    struct ou_error err; /* errnum 0: success */
};

static inline ssize_t owner_read(void *ctx, void *buf, size_t len, uint64_t offset,
                                 struct ou_error *err)
{
    struct owner *o = ctx;

    ou_lock_scope(&o->lock);
    if (o->read_error)
        return ou_error_set(err, o->read_error, "read");
    if (offset >= o->size)
        return 0;
    if (len > o->size - offset)
        len = (size_t)(o->size - offset);
    memcpy(buf, o->data + offset, len);
    return (ssize_t)len;
}

static inline int owner_headers(void *ctx, struct oss_object_headers *out, struct ou_error *err)
{
    struct owner *o = ctx;

    (void)err;
    out->forbid_overwrite = o->forbid_overwrite;
    return 0;
}

static inline void owner_save(struct owner *o, const struct xfer_event *event)
{
    struct owner_event *e = &o->events[o->event_count++];

    assert_true(o->event_count <= OWNER_EVENTS);
    *e = (struct owner_event){.kind = event->kind};
    if (event->upload_id)
        (void)snprintf(e->upload_id, sizeof(e->upload_id), "%s", event->upload_id);
    if (event->part)
        e->part = *event->part;
    if (event->where)
        e->where = *event->where;
}

static inline int owner_record(void *ctx, const struct xfer_event *event, struct ou_error *err)
{
    struct owner *o = ctx;
    bool crash;

    ou_lock_scope(&o->lock);
    if (bucket.down)
        return 0; /* a dead process journals nothing */
    if (o->fail_event == o->event_count + 1)
        return ou_error_set(err, ENOSPC, "journal");
    if (event->kind == XFER_EVENT_PART && xfer_event_stale(event))
        return 0;
    crash = o->crash_event == o->event_count + 1;
    if (!crash || !o->crash_unsaved)
        owner_save(o, event);
    if (crash) {
        ou_lock_scope(&bucket.lock);
        bucket.down = true;
    }
    return 0;
}

static inline int owner_may_publish(void *ctx, struct ou_error *err)
{
    struct owner *o = ctx;
    int r;

    if (o->at_gate)
        o->at_gate(o);
    ou_lock_scope(&o->lock);
    o->asked++;
    r = o->publish;
    (void)pthread_cond_broadcast(&o->change);
    return r < 0 ? ou_error_set(err, -r, "publish") : r;
}

static inline void owner_done(void *ctx, const struct xfer_result *result,
                              const struct ou_error *err)
{
    struct owner *o = ctx;

    ou_lock_scope(&o->lock);
    assert_false(o->done);
    o->done = true;
    o->upload = NULL;
    o->result = *result;
    o->err = err ? *err : (struct ou_error)OU_ERROR_INIT;
    (void)pthread_cond_broadcast(&o->change);
}

static inline void owner_progress(void *ctx, uint64_t confirmed, uint64_t total)
{
    struct owner *o = ctx;

    ou_lock_scope(&o->lock);
    assert_true(confirmed <= total);
    o->confirmed = confirmed;
    o->progressed++;
}

static inline void owner_unpublished(void *ctx, bool maybe)
{
    struct owner *o = ctx;

    ou_lock_scope(&o->lock);
    o->unpublished++;
    o->unpublished_maybe += maybe;
    (void)pthread_cond_broadcast(&o->change);
}

static const struct xfer_upload_ops owner_ops = {
    .read = owner_read,
    .headers = owner_headers,
    .record = owner_record,
    .may_publish = owner_may_publish,
    .done = owner_done,
    .progress = owner_progress,
    .unpublished = owner_unpublished,
};

static inline void owner_init(struct owner *o, const char *key, uint64_t size)
{
    struct unit_random random = {.state = size + 1};

    *o = (struct owner){.key = key, .size = size, .publish = 1};
    ou_mutex_init(&o->lock, OU_RANK_SPOOL);
    ou_cond_init(&o->change);
    o->data = malloc(size + 1);
    o->events = calloc(OWNER_EVENTS, sizeof(*o->events));
    unit_random_bytes(&random, o->data, size);
}

static inline void owner_fini(struct owner *o)
{
    free(o->data);
    free(o->events);
    (void)pthread_cond_destroy(&o->change);
    ou_mutex_fini(&o->lock);
}

/* A plan without a base; @threshold as xfer_plan_input.put_threshold. */
static inline struct xfer_plan owner_plan(uint64_t size, uint64_t threshold)
{
    struct xfer_plan_input in = {.size = size, .part_size = PART_SIZE, .put_threshold = threshold};
    struct xfer_plan plan = {0};
    struct ou_error err;

    assert_int_equal(xfer_plan_make(&in, &plan, &err), 0);
    return plan;
}

static inline struct xfer_engine *engine_start(unsigned workers, unsigned threads)
{
    struct xfer_engine_config config = {.workers = workers, .threads = threads};
    struct xfer_engine *e = NULL;
    struct ou_error err;

    assert_int_equal(xfer_engine_new(&config, &e, &err), 0);
    return e;
}

static inline void owner_start(struct owner *o, struct xfer_engine *e, struct xfer_plan *plan,
                               const struct xfer_resume *resume)
{
    struct xfer_upload_spec spec = {
        .key = o->key, .plan = plan, .resume = resume, .ops = &owner_ops, .ctx = o};
    struct ou_error err;

    assert_int_equal(xfer_upload_start(e, &spec, &o->upload, &err), 0);
    assert_null(plan->parts);
}

static inline void owner_wait_done(struct owner *o)
{
    ou_lock_scope(&o->lock);
    while (!o->done)
        ou_cond_wait(&o->change, &o->lock);
}

static inline void owner_wait_asked(struct owner *o, unsigned times)
{
    ou_lock_scope(&o->lock);
    while (o->asked < times && !o->done)
        ou_cond_wait(&o->change, &o->lock);
}

/* A write as a careful owner makes it: touch and change under the lock that read() takes. */
static inline void owner_write(struct owner *o, uint64_t offset, uint64_t size, int byte)
{
    ou_lock_scope(&o->lock);
    if (o->upload)
        xfer_upload_touch(o->upload, offset, size);
    memset(o->data + offset, byte, size);
}

static inline void assert_published(struct owner *o)
{
    struct bucket_object *object = bucket_find(o->key);

    assert_true(o->done);
    assert_string_equal(o->err.message, "");
    assert_int_equal(o->err.errnum, 0);
    assert_non_null(object);
    assert_int_equal(object->bytes.size, o->size);
    assert_memory_equal(object->bytes.data, o->data, o->size);
    assert_string_equal(o->result.written.etag, object->bytes.etag);
    assert_int_equal(bucket_open_uploads(), 0);
}

/* What the journal tells a later run. The strings and arrays live as long as the owner and @parts. */
struct owner_memory {
    struct xfer_resume resume;
    struct oss_part parts[BUCKET_PARTS];
    struct xfer_plan_part where[BUCKET_PARTS];
};

static inline void owner_remember(const struct owner *o, struct owner_memory *m)
{
    memset(m, 0, sizeof(*m));
    m->resume.parts = m->parts;
    m->resume.where = m->where;
    for (size_t i = 0; i < o->event_count; i++) {
        const struct owner_event *e = &o->events[i];

        switch (e->kind) {
        case XFER_EVENT_INITIATING:
            m->resume.initiating = true;
            m->resume.initiated = ou_wall();
            break;
        case XFER_EVENT_UPLOAD_ID:
            m->resume.initiating = false;
            m->resume.upload_id = e->upload_id;
            m->resume.part_count = 0;
            break;
        case XFER_EVENT_PART:
            m->parts[m->resume.part_count] = e->part;
            m->where[m->resume.part_count++] = e->where;
            break;
        case XFER_EVENT_PUBLISHING:
            m->resume.publishing = true;
            break;
        case XFER_EVENT_FORGET:
            m->resume.upload_id = NULL;
            m->resume.publishing = false;
            m->resume.part_count = 0;
            break;
        }
    }
}

#endif
