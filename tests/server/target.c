#include "server/target.h"

#include "server/text.h"

#include <arpa/inet.h>
#include <stdio.h>

#define HOST_MAX 256

static bool query_byte_allowed(char c)
{
    /* RFC 3986 query characters, without '+': half the world reads that as a space */
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~!$&'()*,;=:@/?%", c) != NULL);
}

static int bad_uri(struct srv_error *err, const char *what)
{
    return srv_fail(err, "InvalidURI", "Couldn't parse the specified URI: %s.", what);
}

static int add_pair(const char *text, size_t len, struct srv_pairs *pairs, struct srv_error *err)
{
    const char *equals = memchr(text, '=', len);
    size_t name_len = equals == NULL ? len : (size_t)(equals - text);
    srv_autofree char *name = srv_percent_decode(text, name_len);
    srv_autofree char *value =
        equals == NULL ? NULL : srv_percent_decode(equals + 1, len - name_len - 1);

    if (name == NULL || (equals != NULL && value == NULL))
        return bad_uri(err, "a malformed escape in the query");
    srv_pairs_add(pairs, name, value);
    return 0;
}

int srv_target_query(const char *query, struct srv_pairs *pairs, struct srv_error *err)
{
    for (const char *p = query; *p != '\0'; p++)
        if (!query_byte_allowed(*p))
            return bad_uri(err, "a byte in the query has to be percent-encoded");
    while (*query != '\0') {
        size_t len = strcspn(query, "&");

        if (len > 0 && add_pair(query, len, pairs, err) < 0)
            return -1;
        query += len + (query[len] == '&');
    }
    return 0;
}

static bool is_address(const char *host)
{
    unsigned char buffer[sizeof(struct in6_addr)];

    return host[0] == '[' || srv_streq(host, "localhost") || inet_pton(AF_INET, host, buffer) == 1;
}

/* The bucket in front of the domain (the caller frees), or NULL. */
static char *bucket_of_host(const char *host, const char *domain)
{
    size_t host_len = strlen(host), domain_len = strlen(domain);

    if (host_len <= domain_len + 1 || !srv_streq(host + host_len - domain_len, domain) ||
        host[host_len - domain_len - 1] != '.')
        return NULL;
    return srv_xstrndup(host, host_len - domain_len - 1);
}

static int check_names(const char *bucket, const char *key, struct srv_error *err)
{
    if (bucket != NULL && !srv_bucket_name_valid(bucket)) {
        (void)srv_fail(err, "InvalidBucketName", "The specified bucket is not valid.");
        srv_error_detail(err, "BucketName", bucket);
        return -1;
    }
    if (key != NULL && !srv_key_valid(key))
        return srv_fail(err, "InvalidObjectName", "The specified object is not valid.");
    return 0;
}

int srv_target_address(const char *path, const char *host, const char *domain, char **bucket,
                       char **key, struct srv_error *err)
{
    char name[HOST_MAX] = "";
    const char *slash;

    *bucket = *key = NULL;
    if (path[0] != '/')
        return bad_uri(err, "the path does not begin with a slash");
    path++;
    if (host != NULL && strlen(host) < sizeof(name)) {
        size_t len = host[0] == '[' ? strlen(host) : strcspn(host, ":");

        (void)snprintf(name, sizeof(name), "%.*s", (int)len, host);
    }
    if (domain != NULL && !is_address(name)) {
        *bucket = bucket_of_host(name, domain);
        if (*bucket == NULL && srv_streq(name, domain) && path[0] != '\0')
            return srv_fail(err, "SecondLevelDomainForbidden",
                            "The bucket you are attempting to access must be addressed using OSS "
                            "third level domain.");
    }
    if (*bucket == NULL && path[0] != '\0') {
        slash = strchr(path, '/');
        *bucket = srv_percent_decode(path, slash == NULL ? strlen(path) : (size_t)(slash - path));
        if (*bucket == NULL)
            return bad_uri(err, "a malformed escape in the bucket");
        path = slash == NULL ? "" : slash + 1;
    }
    if (path[0] != '\0') {
        *key = srv_percent_decode(path, strlen(path));
        if (*key == NULL)
            return bad_uri(err, "a malformed escape in the key");
    }
    return check_names(*bucket, *key, err);
}
