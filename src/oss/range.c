/*
 * Content-Range: "bytes FIRST-LAST/TOTAL", nothing else.
 */
#include "oss/range.h"

#include "base/text.h"
#include "oss/xml.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Digits up to the character @end, which is stepped over. */
static bool take(const char **at, char end, uint64_t *value)
{
    char digits[24];
    size_t len = strspn(*at, "0123456789");

    if (!len || len >= sizeof(digits) || (*at)[len] != end)
        return false;
    memcpy(digits, *at, len);
    digits[len] = '\0';
    *at += len + (end != '\0');
    return ou_parse_u64(digits, value);
}

static bool parse(const char *text, uint64_t *first, uint64_t *last, uint64_t *total)
{
    if (strncmp(text, "bytes ", 6) != 0)
        return false;
    text += 6;
    return take(&text, '-', first) && take(&text, '/', last) && take(&text, '\0', total) &&
           *first <= *last && *last < *total;
}

int oss_range_check(int status, const char *content_range, const char *content_length,
                    uint64_t offset, uint64_t size, struct ou_error *err)
{
    uint64_t first, last, total, length;
    bool has_length = content_length && ou_parse_u64(content_length, &length);

    if (status == 200) {
        if (offset == 0 && has_length && length == size)
            return 0;
        return oss_xml_bad(err, "the whole object where a range is due");
    }
    if (status != 206 || !content_range || !parse(content_range, &first, &last, &total))
        return oss_xml_bad(err, "HTTP %d without the range", status);
    if (first == offset && last - first + 1 < size && last + 1 == total)
        return ou_error_set(err, ESTALE, "the object is shorter now");
    if (first != offset || last - first + 1 != size || (has_length && length != size))
        return oss_xml_bad(err, "the range %.60s", content_range);
    return 0;
}
