/* A line of attrs.cache, as far as the index needs it; told in fs/attrs_file_impl.h. Pure. */
#include "fs/attrs_file_impl.h"

#include <stdlib.h>
#include <string.h>

#define KEY "{\"k\":"

static bool begins(const char *at, const char *end, const char *with)
{
    size_t len = strlen(with);

    return (size_t)(end - at) >= len && memcmp(at, with, len) == 0;
}

/* The end of the string that begins at @at with its quote; NULL. @plain: nothing in it is escaped. */
static const char *string_end(const char *at, const char *end, bool *plain)
{
    *plain = true;
    if (at == end || *at != '"')
        return NULL;
    for (at++; at < end && *at != '"'; at++) {
        if (*at != '\\')
            continue;
        *plain = false;
        if (++at == end)
            return NULL;
    }
    return at < end ? at + 1 : NULL;
}

static bool parsed_hash(const char *line, size_t len, uint64_t *hash)
{
    ou_auto(ou_json_free_at) struct ou_json *json = NULL;
    ou_autofree char *key = NULL;
    struct ou_error err;
    size_t key_len;

    if (ou_json_parse(line, len, &json, &err) < 0)
        return false;
    key = ou_json_bytes(json, "k", &key_len);
    if (key)
        *hash = fs_hash(key, key_len, 0);
    return key != NULL;
}

/* The number after ,"m": which stands in no string, as its quotes would be escaped there. */
static int64_t modified(const char *at, const char *end)
{
    static const char name[] = ",\"m\":";
    const char *m = memmem(at, (size_t)(end - at), name, sizeof(name) - 1);
    char digits[24] = "";

    if (!m)
        return FS_MODIFIED_UNKNOWN;
    m += sizeof(name) - 1;
    for (size_t i = 0; i + 1 < sizeof(digits) && m < end && *m != ',' && *m != '}'; i++)
        digits[i] = *m++;
    return strtoll(digits, NULL, 10);
}

struct fs_attrs_line fs_attrs_line(const char *line, size_t len)
{
    const char *end = line + len, *key = line + sizeof(KEY) - 1, *rest;
    struct fs_attrs_line l = {.what = FS_LINE_OTHER};
    bool plain;

    if (begins(line, end, "{\"mount\":\"ended\""))
        l.what = FS_LINE_ENDED;
    if (!begins(line, end, KEY) || !(rest = string_end(key, end, &plain)))
        return l;
    l.key_len = (size_t)(rest - key);
    if (plain)
        l.hash = fs_hash(key + 1, l.key_len - 2, 0);
    else if (!parsed_hash(line, len, &l.hash))
        return l;
    l.what = begins(rest, end, ",\"gone\":true") ? FS_LINE_GONE : FS_LINE_RECORD;
    l.implied = begins(rest, end, ",\"implied\":true");
    l.modified_s = modified(rest, end);
    return l;
}
