/* Told in fs/remover.h. */
#include "fs/remover.h"

#include "base/cleanup.h"
#include "fs/stat.h"
#include "fs/state.h"
#include "fs/stream.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMAND_MAX (256u << 10) /* bytes of a command line; who has a longer one is not known */
#define PROC_PATH   64

/* -- the command line -- */

/* Options that change nothing about what is asked of us. */
static bool long_option(const char *word, bool *recursive, bool *force)
{
    static const char *const harmless[] = {"--dir",
                                           "--verbose",
                                           "--preserve-root",
                                           "--preserve-root=all",
                                           "--no-preserve-root",
                                           "--one-file-system"};

    bool r = strcmp(word, "--recursive") == 0, f = strcmp(word, "--force") == 0;
    bool known = r || f;

    *recursive |= r;
    *force |= f;
    for (size_t i = 0; i < sizeof(harmless) / sizeof(*harmless); i++)
        known |= strcmp(word, harmless[i]) == 0;
    return known;
}

static bool short_options(const char *letters, bool *recursive, bool *force)
{
    for (; *letters; letters++) {
        if (!strchr("rRfdv", *letters))
            return false;
        *recursive |= *letters == 'r' || *letters == 'R';
        *force |= *letters == 'f';
    }
    return true;
}

bool fs_command_removes(const char *line, size_t len, bool root)
{
    const char *word = line, *end = line + len;
    bool recursive = false, force = false;
    const char *slash;

    if (len == 0 || line[len - 1] != '\0')
        return false;
    slash = strrchr(word, '/');
    if (strcmp(slash ? slash + 1 : word, "rm") != 0)
        return false; /* a script of that name: its first word is the interpreter */
    while ((word += strlen(word) + 1) < end && strcmp(word, "--") != 0) {
        if (word[0] != '-' || word[1] == '\0')
            continue; /* a path; options may follow it */
        if (!(word[1] == '-' ? long_option(word, &recursive, &force)
                             : short_options(word + 1, &recursive, &force)))
            return false;
    }
    return recursive && (force || root);
}

/* -- the process -- */

/* Return: bytes read, @size if there may be more; 0: nothing is known. */
static size_t read_of(pid_t pid, const char *what, char *buf, size_t size)
{
    char path[PROC_PATH];
    ou_autoclose int fd = -1;
    size_t len = 0;

    (void)snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, what);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && len < size) {
        ssize_t n = read(fd, buf + len, size - len);

        if (n < 0)
            return 0;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return len;
}

/* Does /proc tell of the processes that the kernel's numbers are of? */
static bool proc_is_ours(void)
{
    char target[PROC_PATH], self[PROC_PATH];
    ssize_t n = readlink("/proc/self", target, sizeof(target));
    int len = snprintf(self, sizeof(self), "%ld", (long)getpid());

    return n == len && memcmp(target, self, (size_t)n) == 0;
}

static bool removes(pid_t pid, uid_t uid)
{
    static const char rm[] = "rm\n";
    ou_autofree char *line = NULL;
    char name[sizeof(rm)];
    size_t len;

    if (pid <= 0 || (uid != 0 && uid != geteuid()))
        return false;
    if (read_of(pid, "comm", name, sizeof(name)) != sizeof(rm) - 1 ||
        memcmp(name, rm, sizeof(rm) - 1) != 0 || !proc_is_ours())
        return false;
    line = malloc(COMMAND_MAX);
    len = line ? read_of(pid, "cmdline", line, COMMAND_MAX) : 0;
    return len < COMMAND_MAX && fs_command_removes(line, len, uid == 0);
}

/* -- those that are at it -- */

void fs_remover_opened(struct fs *fs, const struct fs_stream *stream, const struct fs_call *call)
{
    struct fs_removers *r = &fs->removers;

    if (!removes(call->pid, call->uid))
        return;
    ou_lock_scope(&fs->lock);
    if (r->count < FS_REMOVERS_MAX)
        r->at[r->count++] = (struct fs_remover){.stream = stream,
                                                .dir = fs_stream_dir(stream),
                                                .pid = call->pid,
                                                .root = call->uid == 0};
}

static void forget_dirs(struct fs_remover *r)
{
    for (size_t i = 0; i < r->dir_count; i++)
        free(r->dirs[i]);
    free(r->dirs);
    r->dirs = NULL;
    r->dir_count = 0;
}

void fs_remover_closed_locked(struct fs *fs, const struct fs_stream *stream)
{
    struct fs_removers *r = &fs->removers;

    for (unsigned i = 0; i < r->count; i++) {
        if (r->at[i].stream != stream)
            continue;
        forget_dirs(&r->at[i]);
        r->at[i] = r->at[--r->count];
        return;
    }
}

/* The first of .dirs that is not before @name. */
static size_t find_dir(const struct fs_remover *r, const char *name)
{
    size_t low = 0, high = r->dir_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(r->dirs[middle], name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has_dir(const struct fs_remover *r, const char *name)
{
    size_t at = find_dir(r, name);

    return at < r->dir_count && strcmp(r->dirs[at], name) == 0;
}

static bool add_dir(struct fs_remover *r, const char *name)
{
    size_t at = find_dir(r, name);
    char *copy = r->dir_count < FS_REMOVER_DIRS_MAX ? strdup(name) : NULL;

    if (copy && !r->dirs)
        r->dirs = calloc(FS_REMOVER_DIRS_MAX, sizeof(*r->dirs));
    if (!copy || !r->dirs) {
        free(copy);
        return false;
    }
    memmove(&r->dirs[at + 1], &r->dirs[at], (r->dir_count - at) * sizeof(*r->dirs));
    r->dirs[at] = copy;
    r->dir_count++;
    return true;
}

void fs_remover_told_locked(struct fs *fs, const struct fs_stream *stream, const char *name,
                            bool is_dir)
{
    for (unsigned i = 0; i < fs->removers.count; i++) {
        struct fs_remover *r = &fs->removers.at[i];

        if (r->stream != stream)
            continue;
        r->read = true;
        if (is_dir && !r->many && !has_dir(r, name) && !add_dir(r, name)) {
            r->many = true;
            forget_dirs(r);
        }
        return;
    }
}

bool fs_remover_read_file_locked(const struct fs *fs, const struct fs_call *call,
                                 const struct fs_inode *dir, const char *name)
{
    bool read = false;

    for (unsigned i = 0; i < fs->removers.count; i++) {
        const struct fs_remover *r = &fs->removers.at[i];

        if (r->dir != dir || r->pid != call->pid)
            continue;
        if (r->many || has_dir(r, name))
            return false;
        read |= r->read;
    }
    return read;
}

static bool may_remove_all_locked(struct fs *fs, const struct fs_inode *dir)
{
    struct stat st;

    fs_stat_locked(fs, dir, &st);
    return (dir->staged || dir->attr_known) && !(st.st_mode & S_ISVTX);
}

bool fs_removes_in_locked(struct fs *fs, const struct fs_call *call, const struct fs_inode *dir)
{
    const struct fs_removers *r = &fs->removers;

    for (unsigned i = 0; i < r->count; i++)
        if (r->at[i].dir == dir && r->at[i].pid == call->pid)
            return r->at[i].root || may_remove_all_locked(fs, dir);
    return false;
}

bool fs_removes_locked(struct fs *fs, const struct fs_call *call, const struct fs_inode *inode)
{
    if (inode->dir && call->uid != 0)
        return false; /* what may be done in it depends on its mode */
    return (inode->dir && fs_removes_in_locked(fs, call, inode)) ||
           (inode->parent && fs_removes_in_locked(fs, call, inode->parent));
}
