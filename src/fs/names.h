/*
 * Names: which file names can be keys, and which keys can be paths. Pure; any thread.
 *
 * A *position* is where something stands in a directory's listing: the key without
 * the directory's own key. That is "name" for an object and "name/" for what lies
 * under it; positions compare as bytes, as OSS sorts keys (oss-protocol 6.1). Since
 * '/' sorts after '!' to '.', other names can stand between "a" and "a/".
 *
 * Protocol facts (oss-protocol 1.4): a key is 1..1023 bytes of UTF-8 and begins with
 * neither '/' nor '\'.
 */
#ifndef OSSUP_FS_NAMES_H
#define OSSUP_FS_NAMES_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define FS_NAME_MAX 255u /* bytes of one component */

/**
 * fs_name_check() - can @name stand in @dir_key?
 * @dir_key: "" or ends in "/"
 * @is_dir:  the key gets a "/" too
 *
 * Return: 0, -ENAMETOOLONG (component or key), -EILSEQ (no UTF-8, or a key that would begin
 * with a backslash), -EINVAL ("", ".", "..", or a slash inside).
 */
int fs_name_check(const char *dir_key, const char *name, bool is_dir, struct ou_error *err);

/** fs_name_shown() - can a path express @name, a component found in a listing? @len without a "/". */
bool fs_name_shown(const char *name, size_t len);

/** fs_key_shown() - can a path express @key (relative to the mount)? A trailing "/" is fine. */
bool fs_key_shown(const char *key);

/** fs_key_join() - malloc'ed @dir_key + @name (+ "/"); NULL: no memory. */
char *fs_key_join(const char *dir_key, const char *name, bool is_dir);

/**
 * fs_name_before() - a string that sorts before "name", with few names between
 *
 * For start_after, which is exclusive. Writes at most FS_NAME_MAX + 8 bytes and a NUL to @out.
 * "" where only the beginning of the directory will do.
 */
#define FS_NAME_BEFORE_SIZE (FS_NAME_MAX + 16)
void fs_name_before(const char *name, char out[FS_NAME_BEFORE_SIZE]);

#endif
