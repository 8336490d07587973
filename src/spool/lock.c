/*
 * One daemon at a time: flock on DIR/lock, which holds the owner's pid for the message. The
 * kernel lets go of it with the process, so nothing stale is ever to be cleaned up.
 */
#include "spool/internal.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int busy(struct spool *spool, struct ou_error *err)
{
    char text[32] = "?";
    ssize_t n = pread(spool->lock_fd, text, sizeof(text) - 1, 0);

    if (n > 0)
        text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return ou_error_say(err, EBUSY,
                        "the spool %s is in use by process %s: unmount it there, or choose "
                        "another spool= directory",
                        spool->dir, text);
}

int spool_lock_take(struct spool *spool, struct ou_error *err)
{
    char text[32];

    spool->lock_fd =
        openat(spool->dirfd, SPOOL_LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (spool->lock_fd < 0)
        return ou_error_set(err, errno, "open %s/" SPOOL_LOCK_NAME, spool->dir);
    if (flock(spool->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? busy(spool, err)
                                    : ou_error_set(err, errno, "lock %s", spool->dir);
    (void)snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(spool->lock_fd, 0) < 0)
        return ou_error_set(err, errno, "write %s/" SPOOL_LOCK_NAME, spool->dir);
    if (ou_pwrite_all(spool->lock_fd, text, strlen(text), 0, err) < 0)
        return ou_error_prefix(err, "write %s/" SPOOL_LOCK_NAME, spool->dir);
    return 0;
}

void spool_read_boot_id(char boot[SPOOL_BOOT_SIZE])
{
    struct ou_error ignored = OU_ERROR_INIT;
    ou_autoclose int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? ou_pread_full(fd, boot, SPOOL_BOOT_SIZE - 1, 0, &ignored) : 0;

    boot[n > 0 ? n : 0] = '\0';
    boot[strspn(boot, "0123456789abcdef-")] = '\0';
    if (!*boot) /* no /proc: never trust what was not synced by this process's boot */
        (void)snprintf(boot, SPOOL_BOOT_SIZE, "unknown-%lx", (unsigned long)ou_wall().tv_nsec);
}
