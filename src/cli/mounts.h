/*
 * Mounts of this program on this machine, found without asking any network.
 */
#ifndef OSSUP_CLI_MOUNTS_H
#define OSSUP_CLI_MOUNTS_H

#include "base/error.h"

/** cli_mounts_each() - calls @fn for the mountpoint of every fuse.ossfs-up in /proc/self/mounts */
int cli_mounts_each(int (*fn)(void *ctx, const char *mountpoint, struct ou_error *err), void *ctx,
                    struct ou_error *err);

/**
 * cli_mounts_control() - the control socket of the daemon that serves @path
 *
 * Return: 0 and a malloc'ed path; -ENODATA with a sentence when @path is not in such a mount.
 */
int cli_mounts_control(const char *path, char **socket, struct ou_error *err);

/**
 * cli_mounts_relative() - @path below its mount's root, "" for the root itself; malloc'ed
 *
 * Ends in "/" when @path is a directory below the root: the keys under it begin so.
 */
int cli_mounts_relative(const char *path, char **relative, struct ou_error *err);

#endif
