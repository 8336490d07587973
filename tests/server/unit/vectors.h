/*
 * tests/data/oss-vectors.json for cmocka tests, read once a test program.
 */
#ifndef SRV_UNIT_VECTORS_H
#define SRV_UNIT_VECTORS_H

/* cmocka.h wants these before itself. */
#include <setjmp.h> // IWYU pragma: keep
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <json-c/json.h>

/* vectors_get() - the member @name of the file; the test fails if it is not there */
struct json_object *vectors_get(const char *name);
/* vectors_text() - a string member; NULL if it is null or absent */
const char *vectors_text(struct json_object *json, const char *name);
uint64_t vectors_u64(struct json_object *json, const char *name);
struct json_object *vectors_member(struct json_object *json, const char *name);

int vectors_setup(void **state);
int vectors_teardown(void **state);

#endif
