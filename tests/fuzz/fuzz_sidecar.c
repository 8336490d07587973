/*
 * Records of a sidecar whose checksums were right, whoever wrote them: read twice, as recovery does,
 * and rewritten, as compaction does. (fuzz_journal is about torn lines and wrong sums.)
 *
 * layer: spool
 */
#include "spool/sidecar.h"

#include "base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each line that is JSON; ends with what @fn returns when it is negative. */
static int each_line(const char *at, size_t size,
                     int (*fn)(void *ctx, const struct ou_json *line, struct ou_error *err),
                     void *ctx)
{
    const char *end = at + size;
    int r = 0;

    while (r == 0 && at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at)), *stop = lf ? lf : end;
        ou_auto(ou_json_free_at) struct ou_json *line = NULL;
        struct ou_error err = OU_ERROR_INIT;

        if (ou_json_parse(at, (size_t)(stop - at), &line, &err) == 0 && line)
            r = fn(ctx, line, &err);
        at = stop + 1;
    }
    return r;
}

static int survey(void *ctx, const struct ou_json *line, struct ou_error *err)
{
    return spool_sidecar_survey(ctx, line, err);
}

static void check_within(const struct extent_map *map, uint64_t size)
{
    struct extent e;

    for (uint64_t at = 0; extent_map_next(map, at, &e); at = e.offset + e.size)
        assert(e.size > 0 && e.offset >= at && e.offset + e.size <= size);
}

static void check(const struct spool_sidecar *s)
{
    assert(strlen(s->id) < sizeof(s->id));
    assert(!s->begun || s->key);
    assert(s->base_limit <= s->size && s->size <= SPOOL_SIZE_MAX);
    check_within(&s->map, s->size);
    check_within(&s->changed, s->size);
    check_within(&s->upload.moved, s->size);
    assert(s->upload.part_count <= s->upload.part_room);
    for (size_t i = 0; i < s->upload.part_count; i++)
        assert(s->upload.parts[i].part.number >= 1 &&
               s->upload.parts[i].part.number <= OSS_PART_NUMBER_MAX);
}

struct replay {
    struct spool_sidecar s;
    const struct spool_sidecar_trust *trust;
};

static int apply(void *ctx, const struct ou_json *line, struct ou_error *err)
{
    struct replay *replay = ctx;
    int r = spool_sidecar_apply(&replay->s, line, replay->trust, err);

    assert(r == 0 || r == -EBADMSG || r == -ENOTSUP || r == -ENOMEM);
    if (r == 0)
        check(&replay->s);
    return r;
}

/* What compaction writes is the same version. */
static void check_rewritten(const struct spool_sidecar *s)
{
    ou_auto(ou_buf_fini) struct ou_buf text = {0};
    struct replay again = {.trust = NULL};
    struct ou_error err = OU_ERROR_INIT;
    struct extent a, b;
    uint64_t at = 0;

    if (spool_record_all(&text, s, "boot", &err) < 0)
        return;
    assert(each_line(text.data, text.len, apply, &again) == 0);
    assert(s->key && again.s.key && strcmp(again.s.key, s->key) == 0);
    assert(again.s.seq == s->seq);
    assert(again.s.version == s->version && again.s.unlinked == s->unlinked);
    if (s->version) {
        assert(again.s.size == s->size && again.s.base_limit == s->base_limit);
        while (extent_map_next(&s->map, at, &a)) {
            assert(extent_map_next(&again.s.map, at, &b));
            assert(a.offset == b.offset && a.size == b.size && a.slot == b.slot);
            at = a.offset + a.size;
        }
        assert(!extent_map_next(&again.s.map, at, &b));
    }
    spool_sidecar_fini(&again.s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct spool_sidecar_trust trust = {.boot = "another boot"};
    struct replay replay = {.trust = &trust};

    if (each_line((const char *)data, size, survey, &trust) == 0 &&
        each_line((const char *)data, size, apply, &replay) == 0 && replay.s.begun)
        check_rewritten(&replay.s);
    spool_sidecar_fini(&replay.s);
    return 0;
}
