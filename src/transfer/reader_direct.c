/*
 * What of a reader needs no block and no lock: a GET into the caller's buffer, and the cache.
 */
#include "transfer/reader_internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

size_t xfer_reader_kept(const struct xfer_reader *reader, uint64_t offset, void *buf, size_t len)
{
    const struct xfer_reader_cache *cache = &reader->pool->cache;
    const struct xfer_version version = xfer_reader_version(reader);

    return cache->block ? cache->get(cache->ctx, &version, offset, buf, len) : 0;
}

void xfer_reader_keep(const struct xfer_reader *reader, uint64_t offset, const void *data,
                      size_t len)
{
    const struct xfer_reader_cache *cache = &reader->pool->cache;
    const struct xfer_version version = xfer_reader_version(reader);

    if (cache->block)
        cache->put(cache->ctx, &version, offset, data, len);
}

struct direct {
    char *buf;
    uint64_t size, filled;
};

static int direct_fill(void *ctx, const void *data, size_t len, uint64_t offset,
                       struct ou_error *err)
{
    struct direct *d = ctx;

    if (offset != d->filled || len > d->size - d->filled)
        return ou_error_set(err, EIO, "bytes that were not asked for");
    memcpy(d->buf + offset, data, len);
    d->filled += len;
    return 0;
}

/* [@from, @to) of the object into @buf; offered to the cache. */
static int get_range(struct xfer_reader *reader, const struct oss_call *call, char *buf,
                     uint64_t from, uint64_t to, struct ou_error *err)
{
    struct direct d = {.buf = buf, .size = to - from};
    struct oss_sink sink = {.write = direct_fill, .ctx = &d};
    int r = oss_get_object(reader->pool->client, call, reader->key, from, d.size, reader->etag,
                           &sink, NULL, err);

    r = xfer_reader_verdict(r, err);
    if (r == 0 && d.filled != d.size)
        r = ou_error_set(err, EIO, "read %s: the reply ended early", reader->key);
    if (r == 0)
        xfer_reader_keep(reader, from, buf, d.size);
    return r;
}

int xfer_reader_get(struct xfer_reader *reader, const struct oss_call *call, char *buf,
                    uint64_t pos, uint64_t end, struct ou_error *err)
{
    uint64_t block = reader->pool->cache.block ? reader->pool->cache.block : 1;
    uint64_t from = pos / block * block;
    uint64_t to = (end + block - 1) / block * block;
    ou_autofree char *wider = NULL;
    int r;

    if (to > reader->size)
        to = reader->size;
    if (from < pos || end < to)
        wider = malloc(to - from);
    if (!wider) /* without the memory for it, no more than what was asked for */
        return get_range(reader, call, buf, pos, end, err);
    r = get_range(reader, call, wider, from, to, err);
    if (r == 0)
        memcpy(buf, wider + (pos - from), end - pos);
    return r;
}
