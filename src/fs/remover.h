/*
 * Removers: programs that take a whole tree away, and need to know less about its names.
 *
 * rm -r asks for the type of each name to tell directories from the rest; the rest is removed
 * whatever it is. A listing tells that much. What it does not tell, and what costs a HEAD for each
 * object, is whether a small one is a symlink. So rm, and nobody else, is told the listing's word:
 *   - a name of the listing is there, however old the listing is;
 *   - one that is no directory is a regular file with the defaults for attributes, unless more is
 *     known about it.
 * Both are wrong at times, harmlessly: a name that is gone is removed once more, and a symlink goes
 * as a file would. Where a listing was too large to be kept (fs/listing.h), which of the names that
 * rm has read were told to be directories takes its place. Root's rm need not know the attributes of
 * directories either.
 *
 * Neither LOOKUP nor GETATTR says what it is for, and programs that look at what they remove
 * (find -type f -delete) send the same ones in the same order. So it is rm by its name and its
 * command line, when it opens a directory, and it is believed in that directory while it has it
 * open: there it asks for the names that it has read, and for the last component of a path only. It
 * is left out where the answer could matter:
 *   - it may prompt (-i, -I; without -f where it is not root's, on a terminal), and shows the type
 *     and goes by the mode then; or it has an option that is not known here;
 *   - it is not root's, and the directory is sticky: the owner decides then;
 *   - it is another user's than root's or the daemon's: its command line lies in its memory, and
 *     a process can let others wait for that.
 *
 * The kernel may keep nothing of such an answer (timeouts of 0), and the inode's attributes stay
 * unknown: whoever else asks for the name or the inode gets the truth by a HEAD, or ESTALE where
 * the type was wrong, upon which the kernel looks the name up again.
 */
#ifndef OSSUP_FS_REMOVER_H
#define OSSUP_FS_REMOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Directories held open by them at once; more are not known as such. */
#define FS_REMOVERS_MAX 64u
/* Names told to be directories in one of them; with more, what was told is not kept. */
#define FS_REMOVER_DIRS_MAX 256u

struct fs;
struct fs_call;
struct fs_inode;
struct fs_stream;

struct fs_removers { /* zeroed memory is empty */
    struct fs_remover {
        const struct fs_stream *stream; /* the open directory */
        const struct fs_inode *dir;
        pid_t pid;
        bool root;   /* it may do anything */
        bool read;   /* it was told names */
        bool many;   /* directories among them, too many */
        char **dirs; /* else these; sorted */
        size_t dir_count;
    } at[FS_REMOVERS_MAX];
    unsigned count;
};

/**
 * fs_remover_opened() - @stream, of a directory, is being opened by who calls
 *
 * Reads /proc. Takes the filesystem's lock.
 */
void fs_remover_opened(struct fs *fs, const struct fs_stream *stream, const struct fs_call *call);
/** fs_remover_closed_locked() - @stream is closed. */
void fs_remover_closed_locked(struct fs *fs, const struct fs_stream *stream);
/** fs_remover_told_locked() - who reads @stream is told that there is @name. */
void fs_remover_told_locked(struct fs *fs, const struct fs_stream *stream, const char *name,
                            bool is_dir);
/** fs_removes_in_locked() - who calls removes whatever is in @dir. */
bool fs_removes_in_locked(struct fs *fs, const struct fs_call *call, const struct fs_inode *dir);

/** fs_remover_read_file_locked() - who calls, and removes all in @dir, has not read @name as a directory's. */
bool fs_remover_read_file_locked(const struct fs *fs, const struct fs_call *call,
                                 const struct fs_inode *dir, const char *name);
/** fs_removes_locked() - who calls removes @inode, whatever its attributes are. */
bool fs_removes_locked(struct fs *fs, const struct fs_call *call, const struct fs_inode *inode);

/**
 * fs_command_removes() - a command line that removes all that it finds, and asks nobody
 * @line: words as in /proc/PID/cmdline, each with its '\0'
 * @root: run by root
 *
 * Pure.
 */
bool fs_command_removes(const char *line, size_t len, bool root);

#endif
