/*
 * A set of credentials as services and programs write it in JSON. Pure; any thread. Private to
 * oss/cred*.c and tests. Source: oss-protocol 11.3 to 11.5.
 *
 *   {"AccessKeyId":..,"AccessKeySecret":..,"SecurityToken":..,"Expiration":"2024-03-05T14:09:10Z"}
 *       the metadata service (with "Code":"Success") and credential_process; the last two optional
 *   {"Credentials":{ the same }}
 *       STS
 *   {"mode":"StsToken","access_key_id":..,"access_key_secret":..,"sts_token":..,"expiration":..}
 *       programs for the aliyun command line; expiration also in Unix seconds
 */
#ifndef OSSUP_OSS_CRED_JSON_H
#define OSSUP_OSS_CRED_JSON_H

#include "oss/cred_provider.h"

/**
 * oss_cred_json_parse() - the set in @text
 * @what: the source, for sentences
 *
 * Return: 0 and a set for the caller to fini; -EBADMSG not JSON, not of these shapes, or a time
 * that is none; -EACCES a Code other than Success (it is put into @err, too); -EINVAL a part is
 * missing or no possible key.
 */
int oss_cred_json_parse(const char *what, const char *text, size_t len, struct oss_credentials *out,
                        struct ou_error *err);
/**
 * oss_cred_json_refusal() - turn an error answer into @err
 * @status: HTTP status; @text: {"Code":..,"Message":..,"RequestId":..} or anything else
 *
 * Return: negative errno, with http_status, code and request_id set: -EIO for 5xx and 429, else
 * -EACCES.
 */
int oss_cred_json_refusal(const char *what, int status, const char *text, size_t len,
                          struct ou_error *err);

#endif
