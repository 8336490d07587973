#include "server/segments.h"

#include "server/datadir.h"

#include <unistd.h>

#define READ_BLOCK ((size_t)256 << 10)

static const struct srv_segment *find_segment(const struct srv_segments *s, uint64_t *position)
{
    for (size_t i = 0; i < s->count; i++) {
        if (*position < s->items[i].length)
            return &s->items[i];
        *position -= s->items[i].length;
    }
    return NULL;
}

int64_t srv_segments_read(const struct srv_segments *s, uint64_t position, void *buffer, size_t len)
{
    const struct srv_segment *seg = find_segment(s, &position);
    ssize_t n;
    int fd;

    if (seg == NULL || len == 0)
        return 0;
    if (len > seg->length - position)
        len = (size_t)(seg->length - position);
    fd = srv_datadir_open_file(seg->file->dir, seg->file->id);
    if (fd < 0)
        return -1;
    n = pread(fd, buffer, len, (off_t)(seg->offset + position));
    (void)close(fd);
    return n > 0 ? n : -1;
}

static int read_into(const struct srv_segments *s, struct srv_digest *digest)
{
    srv_autofree uint8_t *block = srv_xcalloc(READ_BLOCK, 1);
    uint64_t done = 0;

    while (done < s->size) {
        int64_t n = srv_segments_read(s, done, block, READ_BLOCK);

        if (n <= 0)
            return -1;
        srv_digest_add(digest, block, (size_t)n);
        done += (uint64_t)n;
    }
    return 0;
}

/* -- the CRC-64 -- */

/* That of the bytes up to @begin is *@crc, that of those up to @end will be. */
static int read_crc(struct srv_datafile *f, uint64_t begin, uint64_t end, uint64_t *crc)
{
    struct srv_segment piece = {f, begin, end - begin};
    struct srv_segments bytes = {.items = &piece, .count = 1, .cap = 1, .size = end - begin};
    struct srv_digest digest = {.crc = *crc};

    if (begin < end && read_into(&bytes, &digest) < 0)
        return -1;
    *crc = digest.crc;
    return 0;
}

static int prefix_crc(struct srv_datafile *f, uint64_t length, uint64_t *crc)
{
    uint64_t marks = length / SRV_MARK_BYTES;

    if (length == f->size) {
        *crc = f->crc;
        return 0;
    }
    *crc = marks > 0 ? f->marks[marks - 1] : 0;
    return read_crc(f, marks * SRV_MARK_BYTES, length, crc);
}

static int segment_crc(const struct srv_segment *seg, uint64_t *crc)
{
    struct srv_datafile *f = seg->file;
    uint64_t end = seg->offset + seg->length, before = 0;

    *crc = 0;
    if (seg->length != f->size && (f->mark_count == 0 || seg->length < 2 * SRV_MARK_BYTES))
        return read_crc(f, seg->offset, end, crc);
    if (prefix_crc(f, seg->offset, &before) < 0 || prefix_crc(f, end, crc) < 0)
        return -1;
    *crc ^= srv_crc64_combine(before, 0, seg->length);
    return 0;
}

int srv_segments_crc(const struct srv_segments *s, uint64_t *crc)
{
    *crc = 0;
    for (size_t i = 0; i < s->count; i++) {
        uint64_t next;

        if (segment_crc(&s->items[i], &next) < 0)
            return -1;
        *crc = srv_crc64_combine(*crc, next, s->items[i].length);
    }
    return 0;
}

/* -- the MD5 -- */

static bool known_md5(const struct srv_segments *s, uint8_t md5[SRV_MD5_BYTES])
{
    const struct srv_datafile *f;

    if (s->count != 1)
        return false;
    f = s->items[0].file;
    if (!f->has_md5 || s->size != f->size)
        return false;
    memcpy(md5, f->md5, SRV_MD5_BYTES);
    return true;
}

int srv_segments_md5(const struct srv_segments *s, uint64_t most, uint8_t md5[SRV_MD5_BYTES])
{
    struct srv_digest digest;
    int r;

    if (known_md5(s, md5))
        return 1;
    if (s->size > most)
        return 0;
    srv_digest_init(&digest, true);
    r = read_into(s, &digest);
    (void)srv_digest_md5(&digest, md5);
    srv_digest_fini(&digest);
    return r < 0 ? -1 : 1;
}
