/* LD_PRELOAD for the daemon: a kernel that knows no FUSE_NOTIFY_PRUNE, as Linux before 6.18. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/uio.h>

#define NOTIFY_PRUNE 9

ssize_t writev(int fd, const struct iovec *out, int count)
{
    ssize_t (*real)(int, const struct iovec *, int) = dlsym(RTLD_NEXT, "writev");
    struct fuse_out_header head;

    if (count > 0 && out[0].iov_len >= sizeof(head)) {
        memcpy(&head, out[0].iov_base, sizeof(head));
        if (head.unique == 0 && head.error == NOTIFY_PRUNE && head.len > sizeof(head)) {
            errno = EINVAL;
            return -1;
        }
    }
    return real(fd, out, count);
}
