/*
 * The text of a passwd_file, as ossfs reads it. Pure; any thread. Private to oss/cred*.c and tests.
 *
 *   bucket:ak:secret          keys of one bucket
 *   ak:secret                 keys of all others (an empty bucket means the same)
 *   bucket:ak:secret:token    with a security token
 *   ak:secret:token           if "ak" cannot be a bucket's name, as no real key id can
 *   OSSAccessKeyId=ak         both together are another way to write ak:secret
 *   OSSSecretKey=secret
 *   # comment
 *
 * No blanks within a line, no [sections]; a bucket, and the keys for all others, once.
 * Source: oss-protocol 11.2.
 */
#ifndef OSSUP_OSS_CRED_PASSWD_H
#define OSSUP_OSS_CRED_PASSWD_H

#include "oss/cred_provider.h"

/**
 * oss_cred_passwd_parse() - the keys of @bucket (NULL: those of all others)
 * @what: the file's name, for sentences
 * @text: the content; overwritten
 *
 * Return: 0 and a set for the caller to fini; -ENOKEY none for this bucket; -EBADMSG a bad or
 * doubled line, with its number; -EINVAL no possible key.
 */
int oss_cred_passwd_parse(const char *what, char *text, const char *bucket,
                          struct oss_credentials *out, struct ou_error *err);

#endif
