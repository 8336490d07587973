/*
 * Names that programs give to what they are about to rename: pure.
 */
#ifndef OSSUP_SPOOL_TEMPORARY_H
#define OSSUP_SPOOL_TEMPORARY_H

#include <stdbool.h>

/**
 * spool_name_is_temporary() - the last component of @key looks like a name that does not last
 *
 * rsync's .name.XXXXXX, *.tmp, *.part, *~, .#*, *.swp.
 */
bool spool_name_is_temporary(const char *key);

#endif
