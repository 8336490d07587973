/*
 * Files with credentials: where they lie, who may read them, and their content. Private to
 * oss/cred*.c. Any thread.
 */
#ifndef OSSUP_OSS_CRED_FILE_H
#define OSSUP_OSS_CRED_FILE_H

#include "oss/cred_provider.h"

#include <limits.h>

#define OSS_CRED_FILE_MAX (256u << 10) /* bytes; a config.json of many profiles has some KiB */

/**
 * oss_cred_file_read() - the whole file into @out, for the caller to fini
 * @secret: refuse it unless its mode keeps it from others: read for owner and group, write for the
 *          owner, nothing else (0600, 0640, 0400, ...)
 *
 * Return: 0; -ENOENT; -EACCES the mode is wrong, or we may not read it; -EBADMSG no text file;
 * -EFBIG. The sentence names @path and the way out.
 */
int oss_cred_file_read(const char *path, bool secret, struct oss_cred_text *out,
                       struct ou_error *err);
/** oss_cred_home_path() - @relative below the home directory: $HOME, else that of the user id. */
int oss_cred_home_path(const char *relative, char out[PATH_MAX], struct ou_error *err);
/** oss_cred_file_exists() - there is something of this name, readable or not. */
bool oss_cred_file_exists(const char *path);

#endif
