#include "server/params.h"

#include "server/text.h"

#define PAGE_MAX   1000u
#define TEXT_BYTES 1024u

int srv_param_invalid(struct srv_request *r, const char *name)
{
    const char *value = srv_query(r, name);

    (void)srv_fail(&r->error, "InvalidArgument", "The argument %s is not valid.", name);
    srv_error_detail(&r->error, "ArgumentName", name);
    srv_error_detail(&r->error, "ArgumentValue", value == NULL ? "" : value);
    return -1;
}

int srv_param_url(struct srv_request *r, bool *url)
{
    const char *type = srv_query(r, "encoding-type");

    *url = type != NULL && srv_streq(type, "url");
    return type == NULL || *url ? 0 : srv_param_invalid(r, "encoding-type");
}

int srv_param_max(struct srv_request *r, const char *name, uint64_t *max)
{
    const char *text = srv_query(r, name);

    if (text == NULL)
        return 0;
    if (!srv_parse_u64(text, max) || *max < 1 || *max > PAGE_MAX)
        return srv_param_invalid(r, name);
    return 0;
}

const char *srv_param_text(struct srv_request *r, const char *name)
{
    const char *text = srv_query(r, name);

    if (text == NULL)
        return "";
    if (strlen(text) >= TEXT_BYTES)
        (void)srv_param_invalid(r, name);
    return text;
}

size_t srv_page_limit(const struct srv_request *r, uint64_t max)
{
    uint64_t limit = r->srv->switches.short_pages;

    if (r->plan.short_page > 0)
        limit = r->plan.short_page;
    return (size_t)(limit > 0 && limit < max ? limit : max);
}
