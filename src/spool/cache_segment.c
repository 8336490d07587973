#include "spool/cache_segment.h"

#include "base/cleanup.h"
#include "base/crc64.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAGIC     "ossupc1\n"
#define NAME_SALT 0 /* CRC-64 of nothing */

struct identity {
    char magic[8];
    uint64_t size, number;
    char etag[104];
    char key[1920];
};
_Static_assert(sizeof(struct identity) == 2048, "told in the header");
_Static_assert(sizeof(struct identity) + SPOOL_CACHE_BLOCKS * sizeof(uint64_t) ==
                   SPOOL_SEGMENT_HEAD,
               "told in the header");

static bool fill_identity(const struct spool_segment_id *id, struct identity *out)
{
    const struct xfer_version *v = id->version;
    size_t key = strlen(v->key), etag = strlen(v->etag);

    memset(out, 0, sizeof(*out));
    if (!etag || key >= sizeof(out->key) || etag >= sizeof(out->etag))
        return false;
    memcpy(out->magic, MAGIC, sizeof(out->magic));
    out->size = v->size;
    out->number = id->number;
    memcpy(out->etag, v->etag, etag);
    memcpy(out->key, v->key, key);
    return true;
}

bool spool_segment_name(const struct spool_segment_id *id, char name[SPOOL_SEGMENT_NAME_SIZE])
{
    struct identity identity;

    if (!fill_identity(id, &identity))
        return false;
    (void)snprintf(name, SPOOL_SEGMENT_NAME_SIZE, "%016" PRIx64,
                   ou_crc64(NAME_SALT, &identity, sizeof(identity)));
    return true;
}

bool spool_segment_is_name(const char *name)
{
    return strlen(name) == SPOOL_SEGMENT_NAME_SIZE - 1 &&
           strspn(name, "0123456789abcdef") == SPOOL_SEGMENT_NAME_SIZE - 1;
}

size_t spool_segment_block_size(const struct spool_segment_id *id, unsigned block)
{
    uint64_t start = id->number * SPOOL_CACHE_SEGMENT + block * SPOOL_CACHE_BLOCK;
    uint64_t size = id->version->size;

    if (start >= size)
        return 0;
    return (size_t)(size - start < SPOOL_CACHE_BLOCK ? size - start : SPOOL_CACHE_BLOCK);
}

int spool_segment_make(int dirfd, const char *name, const struct spool_segment_id *id,
                       struct ou_error *err)
{
    ou_autoclose int fd = -1;
    struct identity identity;
    int r;

    if (!fill_identity(id, &identity))
        return ou_error_set(err, ENAMETOOLONG, "keep %s", id->version->key);
    fd = openat(dirfd, name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return ou_error_set(err, errno, "create %s/%s", SPOOL_CACHE_NAME, name);
    r = ou_pwrite_all(fd, &identity, sizeof(identity), 0, err);
    return r < 0 ? r : ou_take_fd(&fd);
}

int spool_segment_open(int dirfd, const char *name, const struct spool_segment_id *id,
                       struct ou_error *err)
{
    ou_autoclose int fd = openat(dirfd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    struct identity wanted, found;
    ssize_t n;

    if (fd < 0)
        return ou_error_set(err, errno, "open %s/%s", SPOOL_CACHE_NAME, name);
    n = ou_pread_full(fd, &found, sizeof(found), 0, err);
    if (n < 0)
        return (int)n;
    if ((size_t)n < sizeof(found) || !fill_identity(id, &wanted) ||
        memcmp(&wanted, &found, sizeof(found)) != 0)
        return ou_error_set(err, EBADMSG, "read %s/%s", SPOOL_CACHE_NAME, name);
    return ou_take_fd(&fd);
}

void spool_segment_load(int fd, struct spool_segment_map *map)
{
    uint64_t crc[SPOOL_CACHE_BLOCKS] = {0};
    struct ou_error err;

    *map = (struct spool_segment_map){{0}};
    if (ou_pread_full(fd, crc, sizeof(crc), sizeof(struct identity), &err) < 0)
        return;
    for (unsigned i = 0; i < SPOOL_CACHE_BLOCKS; i++)
        if (crc[i])
            map->word[i / 64] |= UINT64_C(1) << (i % 64);
}

static uint64_t crc_offset(unsigned block)
{
    return sizeof(struct identity) + block * sizeof(uint64_t);
}

static uint64_t data_offset(unsigned block)
{
    return SPOOL_SEGMENT_HEAD + block * SPOOL_CACHE_BLOCK;
}

int spool_segment_read(int fd, unsigned block, void *buf, size_t size, struct ou_error *err)
{
    uint64_t crc = 0;
    ssize_t n = ou_pread_full(fd, &crc, sizeof(crc), crc_offset(block), err);

    if (n < 0)
        return (int)n;
    if (crc == 0)
        return 0;
    n = ou_pread_full(fd, buf, size, data_offset(block), err);
    if (n < 0)
        return (int)n;
    if ((size_t)n < size || ou_crc64(0, buf, size) != crc)
        return ou_error_set(err, EBADMSG, "read a block of the cache");
    return 1;
}

int spool_segment_write(int fd, unsigned block, const void *data, size_t size, struct ou_error *err)
{
    uint64_t crc = ou_crc64(0, data, size);
    int r = ou_pwrite_all(fd, data, size, data_offset(block), err);

    return r < 0 ? r : ou_pwrite_all(fd, &crc, sizeof(crc), crc_offset(block), err);
}
