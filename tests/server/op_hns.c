#include "server/hns.h"

#include "server/attrs.h"
#include "server/clock.h"
#include "server/ops.h"
#include "server/text.h"
#include "server/xml.h"

#include <inttypes.h>
#include <stdio.h>

#define DELETE_BATCH 100u

/* 'f' a file, 'd' a directory, 0 nothing */
static char kind_of(struct srv_request *r, const char *name)
{
    srv_autofree char *directory = srv_xasprintf("%s/", name);
    struct srv_error missing = {0};
    srv_autoobject struct srv_object *o =
        srv_store_get(r->srv->store, r->bucket, directory, &missing);
    char kind = 'd';

    srv_error_fini(&missing);
    if (o == NULL) {
        o = srv_store_get(r->srv->store, r->bucket, name, &missing);
        kind = o == NULL ? '\0' : 'f';
        srv_error_fini(&missing);
    }
    return kind;
}

static int already_exists(struct srv_request *r)
{
    return srv_fail(&r->error, "FileAlreadyExists",
                    "The object you specified already exists and can not be overwritten.");
}

static char *without_slash(const char *name)
{
    size_t len = strlen(name);

    return srv_xstrndup(name, len > 0 && name[len - 1] == '/' ? len - 1 : len);
}

static int make_directory(struct srv_request *r, const char *name)
{
    srv_autofree char *key = srv_xasprintf("%s/", name);
    srv_autoobject struct srv_object *o = srv_object_new(SRV_DIRECTORY);

    srv_pairs_add(&o->attrs.headers, "content-type", "application/x-directory");
    o->attrs.storage_class = srv_xstrdup(SRV_STANDARD_CLASS);
    o->attrs.acl = srv_xstrdup("default");
    o->attrs.tags = srv_xstrdup("");
    o->mtime_ms = srv_clock_ms();
    (void)snprintf(o->etag, sizeof(o->etag), "null");
    return srv_store_put(r->srv->store, r->bucket, key, o, false, &r->error);
}

static int make_parents(struct srv_request *r, const char *name)
{
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        srv_autofree char *parent = srv_xstrndup(name, (size_t)(slash - name));
        char kind = kind_of(r, parent);

        if (kind == 'f')
            return already_exists(r);
        if (kind == '\0' && make_directory(r, parent) < 0)
            return -1;
    }
    return 0;
}

static int check_path(struct srv_request *r, const char *key)
{
    if (strstr(key, "//") != NULL)
        return srv_fail(&r->error, "InvalidObjectName",
                        "Names in a hierarchical bucket hold no empty component.");
    return 0;
}

int srv_hns_before_write(struct srv_request *r)
{
    srv_autofree char *name = NULL;

    if (!r->bucket_hns)
        return 0;
    name = without_slash(r->key);
    if (check_path(r, r->key) < 0)
        return -1;
    if (kind_of(r, name) == 'd')
        return already_exists(r);
    return make_parents(r, name);
}

int srv_hns_before_delete(struct srv_request *r)
{
    srv_autofree char *name = without_slash(r->key);

    if (!r->bucket_hns || kind_of(r, name) != 'd')
        return 0;
    return srv_fail(&r->error, "OperationNotSupported", "A directory goes by DeleteDirectory.");
}

struct srv_object *srv_hns_get(struct srv_request *r)
{
    srv_autofree char *directory = NULL;
    struct srv_error missing = {0};
    struct srv_object *o;

    if (!r->bucket_hns)
        return srv_store_get(r->srv->store, r->bucket, r->key, &r->error);
    directory = srv_xasprintf("%s/", r->key);
    o = srv_store_get(r->srv->store, r->bucket, directory, &missing);
    srv_error_fini(&missing);
    return o != NULL ? o : srv_store_get(r->srv->store, r->bucket, r->key, &r->error);
}

int srv_create_directory_finish(struct srv_request *r)
{
    srv_autofree char *name = without_slash(r->key);
    char kind;

    if (check_path(r, name) < 0)
        return -1;
    kind = kind_of(r, name);
    if (kind == 'f')
        return already_exists(r);
    if (kind == 'd')
        return 0;
    return make_parents(r, name) < 0 ? -1 : make_directory(r, name);
}

static int no_such_key(struct srv_request *r, const char *key)
{
    (void)srv_fail(&r->error, "NoSuchKey", "The specified key does not exist.");
    srv_error_detail(&r->error, "Key", key);
    return -1;
}

/* The parent has to be there: unlike a write, a rename makes none. */
static int check_parent(struct srv_request *r, const char *name)
{
    const char *slash = strrchr(name, '/');
    srv_autofree char *parent = slash == NULL ? NULL : srv_xstrndup(name, (size_t)(slash - name));

    if (parent != NULL && kind_of(r, parent) != 'd')
        return no_such_key(r, parent);
    return 0;
}

int srv_rename_finish(struct srv_request *r)
{
    const char *header = srv_header(r, "x-oss-rename-source");
    srv_autofree char *decoded = header == NULL ? NULL : srv_percent_decode(header, strlen(header));
    srv_autofree char *from = NULL;
    srv_autofree char *to = without_slash(r->key);
    srv_autofree char *from_directory = NULL;
    srv_autofree char *to_directory = NULL;
    char kind;

    if (decoded == NULL || !srv_key_valid(decoded))
        return srv_fail(&r->error, "InvalidArgument", "x-oss-rename-source is no object name.");
    from = without_slash(decoded);
    if (check_path(r, to) < 0)
        return -1;
    kind = kind_of(r, from);
    if (kind == '\0')
        return no_such_key(r, from);
    if (kind_of(r, to) != '\0')
        return already_exists(r);
    if (check_parent(r, to) < 0)
        return -1;
    if (kind == 'f')
        return srv_store_rename(r->srv->store, r->bucket, from, to, &r->error);
    from_directory = srv_xasprintf("%s/", from);
    to_directory = srv_xasprintf("%s/", to);
    if (srv_starts_with(to_directory, from_directory))
        return srv_fail(&r->error, "InvalidArgument", "A directory cannot move into itself.");
    return srv_store_rename(r->srv->store, r->bucket, from_directory, to_directory, &r->error);
}

/* What a recursive delete takes in one call: the deepest first, so that parents outlive children. */
static int delete_batch(struct srv_request *r, const char *directory, uint64_t *deleted, bool *more)
{
    struct srv_list_page page = {0};
    int result = srv_store_list(r->srv->store, r->bucket, directory, "", directory, DELETE_BATCH,
                                &page, &r->error);

    for (size_t i = page.count; result == 0 && i > 0; i--) {
        result = srv_store_delete(r->srv->store, r->bucket, page.entries[i - 1].name, &r->error);
        *deleted += result == 0;
    }
    *more = page.truncated || page.count == DELETE_BATCH;
    srv_list_page_fini(&page);
    return result;
}

int srv_delete_directory_finish(struct srv_request *r)
{
    srv_autofree char *name = without_slash(r->key);
    srv_autofree char *directory = srv_xasprintf("%s/", name);
    srv_autofree char *token = srv_base64(directory, strlen(directory));
    const char *given = srv_header(r, "x-oss-delete-token");
    bool recursive = srv_header_is(r, "x-oss-delete-recursive", "true");
    struct srv_list_page below = {0};
    uint64_t deleted = 0;
    bool more = false;
    struct srv_buf *xml;

    if (given != NULL && !srv_streq(given, token))
        return srv_fail(&r->error, "InvalidArgument", "x-oss-delete-token is not valid.");
    if (kind_of(r, name) != 'd')
        return no_such_key(r, name);
    if (srv_store_list(r->srv->store, r->bucket, directory, "", directory, 1, &below, &r->error) <
        0)
        return -1;
    more = below.count > 0;
    srv_list_page_fini(&below);
    if (more && !recursive)
        return srv_fail(&r->error, "FileAlreadyExists", "The directory is not empty.");
    if (more && delete_batch(r, directory, &deleted, &more) < 0)
        return -1;
    if (!more) {
        if (srv_store_delete(r->srv->store, r->bucket, directory, &r->error) < 0)
            return -1;
        deleted++;
    }
    xml = srv_reply_xml(r);
    srv_buf_puts(xml, "<DeleteDirectoryResult>");
    srv_xml_text(xml, "DirectoryName", name);
    srv_buf_printf(xml, "<DeleteNumber>%" PRIu64 "</DeleteNumber>", deleted);
    if (more)
        srv_xml_text(xml, "NextDeleteToken", token);
    srv_buf_puts(xml, "</DeleteDirectoryResult>\n");
    return 0;
}
