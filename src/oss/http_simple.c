/*
 * One curl easy handle an exchange, made and destroyed. See oss/http_simple.h.
 */
#include "oss/http_simple.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <openssl/crypto.h>

#define CONNECT_TIMEOUT_MS 5000
#define TIMEOUT_MS         10000

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT); /* counted; also done by oss/http.c */
}

void oss_http_answer_fini(struct oss_http_answer *answer)
{
    if (answer->body)
        OPENSSL_cleanse(answer->body, OSS_HTTP_SIMPLE_MAX);
    free(answer->body);
    *answer = (struct oss_http_answer){0};
}

static size_t collect(char *data, size_t size, size_t count, void *ctx)
{
    struct oss_http_answer *answer = ctx;
    size_t len = size * count;

    if (len > OSS_HTTP_SIMPLE_MAX - answer->len)
        return 0; /* ends it with CURLE_WRITE_ERROR */
    memcpy(answer->body + answer->len, data, len);
    answer->len += len;
    return len;
}

static int failed(CURLcode code, const char *detail, struct ou_error *err)
{
    static const struct {
        CURLcode curl;
        int errnum;
        const char *code;
    } table[] = {
        {CURLE_COULDNT_RESOLVE_HOST, EHOSTUNREACH, "HostNotFound"},
        {CURLE_COULDNT_RESOLVE_PROXY, EHOSTUNREACH, "HostNotFound"},
        {CURLE_COULDNT_CONNECT, ECONNREFUSED, "ConnectFailed"},
        {CURLE_OPERATION_TIMEDOUT, ETIMEDOUT, "Timeout"},
        {CURLE_PEER_FAILED_VERIFICATION, EKEYREJECTED, "TlsRefused"},
        {CURLE_SSL_CONNECT_ERROR, EPROTO, "TlsFailed"},
        {CURLE_WRITE_ERROR, EMSGSIZE, "BadReply"},
        {CURLE_WEIRD_SERVER_REPLY, EPROTO, "BadReply"},
        {CURLE_UNSUPPORTED_PROTOCOL, EINVAL, ""},
        {CURLE_URL_MALFORMAT, EINVAL, ""},
        {CURLE_OUT_OF_MEMORY, ENOMEM, ""},
    };
    size_t i = 0;
    int r;

    while (i < sizeof(table) / sizeof(table[0]) && table[i].curl != code)
        i++;
    if (i == sizeof(table) / sizeof(table[0])) {
        r = ou_error_say(err, EIO, "%s", *detail ? detail : curl_easy_strerror(code));
        (void)snprintf(err->code, sizeof(err->code), "ConnectionLost");
        return r;
    }
    if (code == CURLE_WRITE_ERROR)
        r = ou_error_say(err, EMSGSIZE, "the answer is larger than %u bytes", OSS_HTTP_SIMPLE_MAX);
    else if (code == CURLE_PEER_FAILED_VERIFICATION)
        r = ou_error_say(err, EKEYREJECTED,
                         "its certificate is refused (%s); cacert=FILE names a private authority",
                         *detail ? detail : curl_easy_strerror(code));
    else
        r = ou_error_say(err, table[i].errnum, "%s", *detail ? detail : curl_easy_strerror(code));
    (void)snprintf(err->code, sizeof(err->code), "%s", table[i].code);
    return r;
}

static bool append_header(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);

    if (longer)
        *list = longer;
    return longer != NULL;
}

static bool build_headers(const struct oss_http_simple *request, struct curl_slist **list)
{
    if (!append_header(list, "Expect:"))
        return false;
    for (const char *const *h = request->headers; h && *h; h++) {
        if (!append_header(list, *h))
            return false;
    }
    return true;
}

static void set_options(CURL *curl, const struct oss_http_simple *request,
                        const struct curl_slist *headers, struct oss_http_answer *answer,
                        char *detail)
{
    uint64_t connect_ms =
        request->connect_timeout_ms ? request->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    uint64_t total_ms = request->timeout_ms ? request->timeout_ms : TIMEOUT_MS;
    bool has_body = strcmp(request->method, "GET") != 0;

    (void)curl_easy_setopt(curl, CURLOPT_URL, request->url);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)total_ms);
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "ossfs-up");
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    if (request->cacert) /* CURLOPT_CAPATH stays: the system's authorities count as well */
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, request->cacert);
    if (request->direct)
        (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    if (has_body) {
        const char *body = request->body ? request->body : "";

        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    }
}

int oss_http_simple(const struct oss_http_simple *request, struct oss_http_answer *answer,
                    struct ou_error *err)
{
    char detail[CURL_ERROR_SIZE] = "";
    struct oss_http_answer got = {.body = calloc(1, OSS_HTTP_SIMPLE_MAX + 1)};
    struct curl_slist *headers = NULL;
    CURLcode code = CURLE_OUT_OF_MEMORY;
    CURL *curl;
    long status = 0;

    (void)pthread_once(&curl_once, init_curl);
    curl = curl_easy_init();
    if (curl && got.body && build_headers(request, &headers)) {
        set_options(curl, request, headers, &got, detail);
        code = curl_easy_perform(curl);
        (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    if (code != CURLE_OK) {
        oss_http_answer_fini(&got);
        return failed(code, detail, err);
    }
    got.status = (int)status;
    got.body[got.len] = '\0';
    *answer = got;
    return 0;
}
