/*
 * One upload of a fake owner on an engine of its own: what the engine's tests begin and end with.
 * Header only, for one program each.
 */
#ifndef OSSUP_TESTS_ENGINE_RUN_H
#define OSSUP_TESTS_ENGINE_RUN_H

#include "unit/transfer/fake_owner.h"

static struct owner *subject;
static struct xfer_engine *engine;
static unsigned hook_runs;

static inline int reset(void **state)
{
    (void)state;
    bucket_reset();
    hook_runs = 0;
    return 0;
}

static inline struct xfer_upload *upload_of(struct owner *o)
{
    ou_lock_scope(&o->lock);
    return o->upload;
}

static inline void begin(struct owner *o, uint64_t size, uint64_t threshold)
{
    struct xfer_plan plan = owner_plan(size, threshold);

    engine = engine_start(4, 3);
    subject = o;
    owner_start(o, engine, &plan, NULL);
}

static inline void end(struct owner *o)
{
    xfer_engine_free(engine);
    owner_fini(o);
}

#endif
