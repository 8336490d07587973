#include "server/range.h"

#include "server/clock.h"
#include "server/text.h"

/* "A-B", "A-" or "-N" without anything behind it; a missing number leaves its has_ false. */
static bool split(const char *spec, bool *has_first, uint64_t *first, bool *has_last,
                  uint64_t *last)
{
    const char *dash = strchr(spec, '-');
    srv_autofree char *left = NULL;

    if (dash == NULL)
        return false;
    left = srv_xstrndup(spec, (size_t)(dash - spec));
    *has_first = left[0] != '\0';
    *has_last = dash[1] != '\0';
    if (*has_first && !srv_parse_u64(left, first))
        return false;
    if (*has_last && !srv_parse_u64(dash + 1, last))
        return false;
    return *has_first || *has_last;
}

enum srv_range srv_range_parse(const char *range, bool standard, uint64_t size, uint64_t *first,
                               uint64_t *last)
{
    bool has_first = false, has_last = false;
    uint64_t a = 0, b = 0;

    if (range == NULL || !srv_starts_with(range, "bytes="))
        return SRV_RANGE_WHOLE;
    if (!split(range + strlen("bytes="), &has_first, &a, &has_last, &b))
        return SRV_RANGE_WHOLE;
    if (!has_first) {
        if (b == 0)
            return SRV_RANGE_UNSATISFIABLE;
        if (b > size && !standard)
            return SRV_RANGE_WHOLE;
        if (size == 0)
            return SRV_RANGE_UNSATISFIABLE;
        *first = b > size ? 0 : size - b;
        *last = size - 1;
        return SRV_RANGE_PARTIAL;
    }
    if (has_last && b < a)
        return SRV_RANGE_WHOLE;
    if (a >= size)
        return standard ? SRV_RANGE_UNSATISFIABLE : SRV_RANGE_WHOLE;
    if (has_last && b >= size && !standard)
        return SRV_RANGE_WHOLE;
    *first = a;
    *last = has_last && b < size ? b : size - 1;
    return SRV_RANGE_PARTIAL;
}

static const char *condition(const struct srv_pairs *headers, const char *prefix, const char *name)
{
    srv_autofree char *full = srv_xasprintf("%s%s", prefix, name);

    return srv_pairs_get(headers, full);
}

static bool same_etag(const char *wanted, const char *etag)
{
    size_t len = strlen(wanted);

    if (srv_streq(wanted, "*"))
        return true;
    if (len >= 2 && wanted[0] == '"' && wanted[len - 1] == '"') {
        wanted++;
        len -= 2;
    }
    return len == strlen(etag) && strncmp(wanted, etag, len) == 0;
}

int srv_condition_status(const struct srv_pairs *headers, const char *prefix, const char *etag,
                         int64_t mtime)
{
    const char *match = condition(headers, prefix, "if-match");
    const char *none_match = condition(headers, prefix, "if-none-match");
    const char *modified = condition(headers, prefix, "if-modified-since");
    const char *unmodified = condition(headers, prefix, "if-unmodified-since");
    int64_t when;

    if (match != NULL && !same_etag(match, etag))
        return 412;
    if (unmodified != NULL && srv_time_parse_http(unmodified, &when) && mtime > when)
        return 412;
    if (none_match != NULL && same_etag(none_match, etag))
        return 304;
    if (modified != NULL && srv_time_parse_http(modified, &when) && mtime <= when)
        return 304;
    return 0;
}
