/*
 * Lines of a checkpoint whose checksums were right, whoever wrote them: what is believed of them
 * could be an upload's. (fuzz_journal is about what comes before: torn lines and wrong sums.)
 *
 * layer: transfer
 */
#include "transfer/checkpoint_lines.h"

#include "base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_parts(const struct xfer_checkpoint_state *s)
{
    assert(s->part_count <= OSS_PART_NUMBER_MAX && s->part_count <= s->part_cap);
    assert(s->part_count == 0 || s->upload_id[0]);
    for (size_t i = 0; i < s->part_count; i++) {
        const struct oss_part *part = &s->parts[i];

        assert(part->number >= 1 && part->number <= OSS_PART_NUMBER_MAX);
        assert(s->slot[part->number] == i + 1); /* so each number is there once */
        assert(part->size >= 1 && part->size <= OSS_PART_SIZE_MAX && part->has_crc64);
        assert(s->where[i].number == part->number && s->where[i].size == part->size);
        assert(!s->where[i].copy && strlen(part->etag) < sizeof(part->etag));
    }
}

static void check(const struct xfer_checkpoint_state *s)
{
    assert(strlen(s->upload_id) < sizeof(s->upload_id));
    assert(!(s->initiating && s->upload_id[0]));
    assert(!s->publishing || s->upload_id[0]);
    assert(s->has_header || (s->part_count == 0 && !s->upload_id[0] && !s->initiating));
    check_parts(s);
    if (s->has_header && !s->damaged)
        assert(!xfer_checkpoint_differs(s, &s->header)); /* it fits itself */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct xfer_checkpoint_state state = {0};
    const char *at = (const char *)data, *end = at + size;

    while (at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at)), *stop = lf ? lf : end;
        ou_auto(ou_json_free_at) struct ou_json *line = NULL;
        struct ou_error err = OU_ERROR_INIT;
        int r = ou_json_parse(at, (size_t)(stop - at), &line, &err);

        at = stop + 1;
        if (r < 0 || !line)
            continue;
        r = xfer_checkpoint_apply(&state, line, &err);
        assert(r == 0 || r == -EPROTO || r == -ENOMEM);
        check(&state);
        if (r < 0)
            break;
    }
    xfer_checkpoint_state_fini(&state);
    return 0;
}
