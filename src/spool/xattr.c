/*
 * Extended attributes inside x-oss-meta-xattr: a percent-encoded JSON object whose
 * values are base64, as ossfs writes it. Each change decodes, edits and encodes the
 * whole: OSS bounds it to 8 KB.
 */
#include "spool/attr.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

/* What other metadata needs of OSS's 8 KB: modes, times, names of headers. */
#define XATTR_TEXT_MAX (OSS_META_MAX - 512u)

/* The decoded JSON, NULL without attributes. A header that others broke counts as none. */
static int decode(const struct spool_attr *attr, struct ou_json **root, struct ou_error *err)
{
    ou_autofree char *text = NULL;
    struct ou_error ignored;

    *root = NULL;
    if (!attr->xattr)
        return 0;
    text = strdup(attr->xattr);
    if (!text)
        return ou_error_set(err, ENOMEM, "extended attributes");
    if (ou_json_parse(text, ou_percent_decode(text, strlen(text), false), root, &ignored) < 0)
        *root = NULL;
    return 0;
}

struct walk {
    const char *name;   /* the attribute that is looked for or changed */
    struct ou_buf *out; /* JSON being built, or list of names */
    bool first;
    bool found;
};

static void list_name(const char *name, const struct ou_json *value, void *ctx)
{
    struct walk *w = ctx;

    (void)value;
    ou_buf_add(w->out, name, strlen(name) + 1);
}

static void copy_member(const char *name, const struct ou_json *value, void *ctx)
{
    struct walk *w = ctx;
    const char *text = ou_json_value_string(value);

    if (strcmp(name, w->name) == 0) {
        w->found = true;
        return;
    }
    if (!text)
        return;
    ou_buf_adds(w->out, w->first ? "" : ",");
    w->first = false;
    ou_json_quote(w->out, name);
    ou_buf_adds(w->out, ":");
    ou_json_quote(w->out, text);
}

ssize_t spool_xattr_get(const struct spool_attr *attr, const char *name, void *value, size_t size,
                        struct ou_error *err)
{
    ou_auto(ou_json_free_at) struct ou_json *root = NULL;
    ou_auto(ou_buf_fini) struct ou_buf bytes = {.max = OSS_META_MAX};
    const char *text;
    int r = decode(attr, &root, err);

    if (r < 0)
        return r;
    text = root ? ou_json_string(root, name) : NULL;
    if (!text || !ou_base64_decode(&bytes, text, strlen(text)))
        return ou_error_set(err, ENODATA, "attribute %s", name);
    if (size == 0)
        return (ssize_t)bytes.len;
    if (bytes.len > size)
        return ou_error_set(err, ERANGE, "attribute %s", name);
    if (bytes.len > 0)
        memcpy(value, bytes.data, bytes.len);
    return (ssize_t)bytes.len;
}

ssize_t spool_xattr_list(const struct spool_attr *attr, char *list, size_t size,
                         struct ou_error *err)
{
    ou_auto(ou_json_free_at) struct ou_json *root = NULL;
    ou_auto(ou_buf_fini) struct ou_buf names = {.max = OSS_META_MAX};
    struct walk w = {.out = &names};
    int r = decode(attr, &root, err);

    if (r < 0)
        return r;
    if (root)
        ou_json_each(root, list_name, &w);
    r = ou_buf_check(&names, err);
    if (r < 0)
        return r;
    if (size == 0)
        return (ssize_t)names.len;
    if (names.len > size)
        return ou_error_set(err, ERANGE, "list of attributes");
    if (names.len > 0)
        memcpy(list, names.data, names.len);
    return (ssize_t)names.len;
}

/* Rebuilds the header without @name, and with @value under it when that is not NULL. */
static int replace(struct spool_attr *attr, const char *name, const void *value, size_t size,
                   int flags, struct ou_error *err)
{
    ou_auto(ou_json_free_at) struct ou_json *root = NULL;
    ou_auto(ou_buf_fini) struct ou_buf json = {0}, base64 = {0}, encoded = {0};
    struct walk w = {.name = name, .out = &json, .first = true};
    int r = decode(attr, &root, err);
    char *text;

    if (r < 0)
        return r;
    ou_buf_adds(&json, "{");
    if (root)
        ou_json_each(root, copy_member, &w);
    if (w.found && (flags & XATTR_CREATE))
        return ou_error_set(err, EEXIST, "attribute %s", name);
    if (!w.found && (!value || (flags & XATTR_REPLACE)))
        return ou_error_set(err, ENODATA, "attribute %s", name);
    if (value) {
        ou_base64_encode(&base64, value, size);
        ou_buf_adds(&json, w.first ? "" : ",");
        w.first = false;
        ou_json_quote(&json, name);
        ou_buf_adds(&json, ":");
        ou_json_quote(&json, ou_buf_str(&base64));
    }
    ou_buf_adds(&json, "}");
    ou_percent_encode(&encoded, ou_buf_str(&json), json.len, "");
    if (json.failed || base64.failed || encoded.failed)
        return ou_error_set(err, ENOMEM, "attribute %s", name);
    if (encoded.len > XATTR_TEXT_MAX)
        return ou_error_say(err, ENOSPC,
                            "attribute %s: extended attributes are kept in the object's metadata, "
                            "which OSS bounds to 8 KB for all of them together",
                            name);
    text = w.first ? NULL : ou_buf_take(&encoded);
    if (!w.first && !text)
        return ou_error_set(err, ENOMEM, "attribute %s", name);
    free(attr->xattr);
    attr->xattr = text;
    return 0;
}

int spool_xattr_set(struct spool_attr *attr, const char *name, const void *value, size_t size,
                    int flags, struct ou_error *err)
{
    return replace(attr, name, value ? value : "", size, flags, err);
}

int spool_xattr_remove(struct spool_attr *attr, const char *name, struct ou_error *err)
{
    return replace(attr, name, NULL, 0, 0, err);
}
