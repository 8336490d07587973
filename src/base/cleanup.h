/*
 * Guards for owning locals: `ou_autofree char *s = NULL;`, `ou_autoclose int fd = -1;`.
 * To hand the value over, copy it and set the local to NULL; of a descriptor,
 * `return ou_take_fd(&fd);` does both (clang-tidy 14 takes a bare -1 for a dead store).
 */
#ifndef OSSUP_BASE_CLEANUP_H
#define OSSUP_BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

static inline void ou_free_at(void *p)
{
    free(*(void **)p);
}

static inline void ou_close_at(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static inline int ou_take_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

#define ou_autofree  __attribute__((cleanup(ou_free_at)))
#define ou_autoclose __attribute__((cleanup(ou_close_at)))
/* For a type's own guard: ou_auto(ou_buf_fini) struct ou_buf b = {0}; */
#define ou_auto(fini) __attribute__((cleanup(fini)))

#endif
