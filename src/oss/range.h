/*
 * Is this reply the range that was asked for? Private to src/oss. Pure; any thread.
 */
#ifndef OSSUP_OSS_RANGE_H
#define OSSUP_OSS_RANGE_H

#include "base/error.h"

#include <stdint.h>

/**
 * oss_range_check() - compare a 2xx reply with the range [@offset, @offset + @size), @size > 0
 * @content_range, @content_length: header values, NULL if absent
 *
 * Return: 0 the body will be exactly that range (206, or a 200 that happens to be it);
 *   -ESTALE the object ends before the range does; code BadReply: anything else.
 */
int oss_range_check(int status, const char *content_range, const char *content_length,
                    uint64_t offset, uint64_t size, struct ou_error *err);

#endif
