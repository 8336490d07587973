#include "server/unit/vectors.h"

#include "server/text.h"

static json_object *vectors;

int vectors_setup(void **state)
{
    (void)state;
    vectors = json_object_from_file(OSSUP_VECTORS);
    return vectors == NULL ? -1 : 0;
}

int vectors_teardown(void **state)
{
    (void)state;
    (void)json_object_put(vectors);
    return 0;
}

json_object *vectors_member(json_object *json, const char *name)
{
    json_object *member = NULL;

    return json_object_object_get_ex(json, name, &member) ? member : NULL;
}

json_object *vectors_get(const char *name)
{
    json_object *member = vectors_member(vectors, name);

    assert_non_null(member);
    return member;
}

const char *vectors_text(json_object *json, const char *name)
{
    return json_object_get_string(vectors_member(json, name));
}

uint64_t vectors_u64(json_object *json, const char *name)
{
    const char *text = vectors_text(json, name);
    uint64_t value = 0;

    assert_non_null(text);
    assert_true(srv_parse_u64(text, &value));
    return value;
}
