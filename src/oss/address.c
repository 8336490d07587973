/*
 * Addresses. The endpoint is what a user typed: each way to get it wrong has its sentence.
 *
 *   style    URL of key k               for
 *   VIRTUAL  scheme://BUCKET.HOST/k     the service
 *   CNAME    scheme://HOST/k            a domain bound to the bucket
 *   PATH     scheme://HOST/BUCKET/k     IP addresses, localhost
 */
#include "oss/address.h"

#include "base/text.h"
#include "oss/types.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BUCKET_MIN 3u
#define BUCKET_MAX 63u
#define PORT_MAX   65535u
#define OSS_DOMAIN ".aliyuncs.com"

static bool all_of(const char *s, size_t len, const char *set)
{
    return strspn(s, set) >= len;
}

#define NAME_SET "abcdefghijklmnopqrstuvwxyz0123456789-"

int oss_bucket_check(const char *bucket, struct ou_error *err)
{
    size_t len = bucket ? strlen(bucket) : 0;

    if (!len)
        return ou_error_say(err, EINVAL, "bucket= is missing");
    if (len < BUCKET_MIN || len > BUCKET_MAX || !all_of(bucket, len, NAME_SET) ||
        bucket[0] == '-' || bucket[len - 1] == '-')
        return ou_error_say(err, EINVAL,
                            "bucket=%s: a bucket's name has 3 to 63 of a-z, 0-9 and -, "
                            "no - at its ends",
                            bucket);
    return 0;
}

int oss_region_check(const char *region, struct ou_error *err)
{
    size_t len = strlen(region);

    if (!len || len >= OSS_REGION_SIZE || !all_of(region, len, NAME_SET))
        return ou_error_say(err, EINVAL, "region=%s: a region looks like cn-hangzhou", region);
    return 0;
}

int oss_key_check(const char *key, struct ou_error *err)
{
    size_t len = strlen(key);

    if (!len)
        return ou_error_say(err, EINVAL, "an empty name is no key");
    if (len > OSS_KEY_MAX)
        return ou_error_say(err, ENAMETOOLONG, "key of %zu bytes: OSS takes at most %u", len,
                            OSS_KEY_MAX);
    if (!ou_utf8_valid(key, len))
        return ou_error_say(err, EILSEQ, "key %.80s: OSS takes UTF-8 only", key);
    if (key[0] == '/' || key[0] == '\\')
        return ou_error_say(err, EINVAL, "key %.80s: a key does not begin with %c", key, key[0]);
    return 0;
}

static bool is_ip(const char *host)
{
    struct in_addr v4;

    return host[0] == '[' || inet_pton(AF_INET, host, &v4) == 1;
}

/* "oss-R", "oss-R-internal", "vpc100-oss-R" -> R; also an odd old host, "oss-us-west-internal-1". */
static void region_of_label(const char *label, size_t len, char region[OSS_REGION_SIZE])
{
    char text[OSS_HOST_SIZE];
    char *internal;

    (void)snprintf(text, sizeof(text), "%.*s", (int)len, label);
    internal = strstr(text, "-internal");
    if (internal)
        memmove(internal, internal + strlen("-internal"),
                strlen(internal + strlen("-internal")) + 1);
    if (text[0] && strlen(text) < OSS_REGION_SIZE && !strstr(text, "accelerate") &&
        all_of(text, strlen(text), NAME_SET))
        (void)snprintf(region, OSS_REGION_SIZE, "%.*s", OSS_REGION_SIZE - 1, text);
}

static bool ends_with(const char *s, size_t len, const char *end)
{
    size_t end_len = strlen(end);

    return len > end_len && !memcmp(s + len - end_len, end, end_len);
}

/* What the host of the service itself tells: region and product. */
static void learn_from_host(struct oss_address *a)
{
    const char *host = a->host, *dot = strchr(host, '.');
    size_t len = strlen(host), head;

    a->product = "oss";
    if (!dot || !ends_with(host, len, OSS_DOMAIN))
        return;
    head = len - strlen(OSS_DOMAIN); /* what stands before the domain */
    if (ends_with(host, head, ".oss-cloudbox")) {
        a->product = "oss-cloudbox";
        region_of_label(host, (size_t)(dot - host), a->region);
    } else if (ends_with(host, head, ".oss") && (size_t)(dot - host) == head - 4) {
        region_of_label(host, head - 4, a->region);
    } else if ((size_t)(dot - host) == head && !strncmp(host, "oss-", 4)) {
        region_of_label(host + 4, head - 4, a->region);
    } else if ((size_t)(dot - host) == head && !strncmp(host, "vpc100-oss-", 11)) {
        region_of_label(host + 11, head - 11, a->region);
    }
}

/* "http:/host", "https//host": a scheme was meant. */
static bool is_scheme_typo(const char *s)
{
    if (strncasecmp(s, "http", 4) != 0)
        return false;
    s += s[4] == 's' || s[4] == 'S' ? 5 : 4;
    return (s[0] == ':' && s[1] == '/') || (s[0] == '/' && s[1] == '/');
}

static int parse_scheme(struct oss_address *a, const char **rest, struct ou_error *err)
{
    const char *colon = strstr(*rest, "://");

    (void)snprintf(a->scheme, sizeof(a->scheme), "https");
    if (!colon && !is_scheme_typo(*rest))
        return 0;
    if (!colon)
        return ou_error_say(err, EINVAL, "endpoint=%s: it begins with https:// or http://", *rest);
    if ((colon - *rest) == 4 && !strncasecmp(*rest, "http", 4))
        (void)snprintf(a->scheme, sizeof(a->scheme), "http");
    else if ((colon - *rest) != 5 || strncasecmp(*rest, "https", 5) != 0)
        return ou_error_say(err, EINVAL, "endpoint=%s: it begins with https:// or http://", *rest);
    *rest = colon + 3;
    return 0;
}

static int parse_port(struct oss_address *a, const char *endpoint, const char *port,
                      struct ou_error *err)
{
    uint64_t n;

    if (!ou_parse_u64(port, &n) || !n || n > PORT_MAX)
        return ou_error_say(err, EINVAL, "endpoint=%s: the port is a number from 1 to %u", endpoint,
                            PORT_MAX);
    a->port = (unsigned)n;
    return 0;
}

static int check_host(const char *endpoint, const char *host, struct ou_error *err)
{
    struct in6_addr v6;
    size_t len = strlen(host);

    if (host[0] == '[') {
        char text[OSS_HOST_SIZE];

        (void)snprintf(text, sizeof(text), "%.*s", (int)(len - 2), host + 1);
        if (inet_pton(AF_INET6, text, &v6) != 1)
            return ou_error_say(err, EINVAL, "endpoint=%s: no IPv6 address stands in []", endpoint);
        return 0;
    }
    if (!all_of(host, len, NAME_SET "._") || host[0] == '.' || host[0] == '-' || strstr(host, ".."))
        return ou_error_say(err, EINVAL,
                            "endpoint=%s: \"%s\" is no host name; one looks like "
                            "oss-cn-hangzhou.aliyuncs.com",
                            endpoint, host);
    return 0;
}

/* Splits HOST[:PORT]; anything after it was meant for another place. */
static int parse_authority(struct oss_address *a, const char *endpoint, const char *rest,
                           struct ou_error *err)
{
    size_t len = strcspn(rest, "/?#");
    const char *end = rest + len;
    const char *colon;
    int r;

    if (strcmp(end, "/") != 0 && *end)
        return ou_error_say(err, EINVAL,
                            "endpoint=%s: nothing may follow the host; the bucket is given apart",
                            endpoint);
    if (memchr(rest, '@', len))
        return ou_error_say(err, EINVAL, "endpoint=: no user or password belongs into it");
    colon = rest[0] == '[' ? strchr(rest, ']') : rest;
    if (!colon)
        return ou_error_say(err, EINVAL, "endpoint=%s: a ] is missing", endpoint);
    colon = memchr(colon, ':', (size_t)(end - colon));
    if (colon) {
        char port[16];

        (void)snprintf(port, sizeof(port), "%.*s", (int)(end - colon - 1), colon + 1);
        r = parse_port(a, endpoint, port, err);
        if (r < 0)
            return r;
        len = (size_t)(colon - rest);
    }
    if (!len)
        return ou_error_say(err, EINVAL, "endpoint=%s: the host is missing", endpoint);
    if (len >= sizeof(a->host))
        return ou_error_say(err, EINVAL, "endpoint=: a host name has at most %zu bytes",
                            sizeof(a->host) - 1);
    for (size_t i = 0; i < len; i++)
        a->host[i] = (char)tolower((unsigned char)rest[i]);
    a->host[len] = '\0';
    return check_host(endpoint, a->host, err);
}

static void build_base(struct oss_address *a, const char *bucket)
{
    char port[16] = "";

    if (a->port)
        (void)snprintf(port, sizeof(port), ":%u", a->port);
    if (a->style == OSS_ADDRESS_VIRTUAL)
        (void)snprintf(a->base, sizeof(a->base), "%s://%s.%s%s", a->scheme, bucket, a->host, port);
    else if (a->style == OSS_ADDRESS_CNAME)
        (void)snprintf(a->base, sizeof(a->base), "%s://%s%s", a->scheme, a->host, port);
    else
        (void)snprintf(a->base, sizeof(a->base), "%s://%s%s/%s", a->scheme, a->host, port, bucket);
}

int oss_address_init(struct oss_address *a, const char *endpoint, enum oss_addressing style,
                     const char *bucket, struct ou_error *err)
{
    const char *rest = endpoint;
    size_t bucket_len;
    int r;

    memset(a, 0, sizeof(*a));
    r = oss_bucket_check(bucket, err);
    if (r < 0)
        return r;
    if (!endpoint || !*endpoint)
        return ou_error_say(err, EINVAL,
                            "endpoint= is missing; it looks like oss-cn-hangzhou.aliyuncs.com");
    for (const char *c = endpoint; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return ou_error_say(err, EINVAL, "endpoint=\"%s\": there is a blank in it", endpoint);
    r = parse_scheme(a, &rest, err);
    if (r < 0)
        return r;
    r = parse_authority(a, endpoint, rest, err);
    if (r < 0)
        return r;

    /* "bucket.oss-cn-hangzhou.aliyuncs.com", as consoles show it: the bucket is put there by us. */
    bucket_len = strlen(bucket);
    if (style != OSS_ADDRESS_CNAME && ends_with(a->host, strlen(a->host), OSS_DOMAIN) &&
        !strncmp(a->host, bucket, bucket_len) && !strncmp(a->host + bucket_len, ".oss-", 5))
        memmove(a->host, a->host + bucket_len + 1, strlen(a->host + bucket_len + 1) + 1);

    learn_from_host(a);
    a->style = style;
    if (style == OSS_ADDRESS_AUTO)
        a->style = is_ip(a->host) || !strcmp(a->host, "localhost") ? OSS_ADDRESS_PATH
                                                                   : OSS_ADDRESS_VIRTUAL;
    if (style == OSS_ADDRESS_VIRTUAL && is_ip(a->host))
        return ou_error_say(err, EINVAL,
                            "endpoint=%s: addressing=virtual takes a host name, no IP address",
                            endpoint);
    build_base(a, bucket);
    return 0;
}

void oss_address_url(const struct oss_address *a, const char *key, const char *query,
                     struct ou_buf *out)
{
    ou_buf_adds(out, a->base);
    ou_buf_adds(out, "/");
    if (key)
        ou_percent_encode(out, key, strlen(key), "/");
    if (*query) {
        ou_buf_adds(out, "?");
        ou_buf_adds(out, query);
    }
}
