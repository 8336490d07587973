/*
 * The OSS client: one bucket, its address, its credentials, its connections.
 *
 * Thread-safe: any number of threads may run operations at once; the client
 * keeps at most `connections` requests in flight, fewer under throttling, and
 * reuses connections. Each operation (oss/ops.h) is one blocking call.
 */
#ifndef OSSUP_OSS_CLIENT_H
#define OSSUP_OSS_CLIENT_H

#include "base/error.h"
#include "base/thread.h"
#include "oss/credentials.h"

#include <stdbool.h>
#include <stdint.h>

enum oss_addressing { OSS_ADDRESS_AUTO, OSS_ADDRESS_PATH, OSS_ADDRESS_VIRTUAL, OSS_ADDRESS_CNAME };
enum oss_sign_choice { OSS_SIGN_AUTO, OSS_SIGN_CHOICE_V1, OSS_SIGN_CHOICE_V4 };

struct oss_config { /* copied by oss_client_new() */
    const char *
        endpoint; /* "oss-cn-hangzhou.aliyuncs.com", "http://127.0.0.1:9000"; https unless http:// */
    const char *region; /* NULL: from the endpoint's name; unknown then: V1 */
    const char *bucket;
    enum oss_addressing addressing;
    enum oss_sign_choice sign;
    unsigned connections;          /* requests in flight at once; 0: 16 */
    uint64_t connect_timeout_ms;   /* 0: 10 s */
    uint64_t idle_timeout_ms;      /* no byte either way for so long: give up; 0: 60 s */
    uint64_t limit_up, limit_down; /* bytes per second, whole client; 0: none */
    uint64_t traffic_limit;        /* x-oss-traffic-limit, bits per second, per request; 0: none */
    bool requester_pays;
    const char *storage_class, *sse, *sse_key_id; /* defaults for writes; NULL: the bucket's */
    const char *cacert;                           /* PEM file; NULL: the system's */
    bool no_verify;
    const char *user_agent;
};

struct oss_client;

/**
 * oss_client_new() - checks the configuration (one sentence each); contacts nobody
 * @chain: borrowed; NULL: requests go unsigned, for public buckets
 */
int oss_client_new(const struct oss_config *config, struct oss_cred_chain *chain,
                   struct oss_client **client, struct ou_error *err);
/** oss_client_free() - no operation may be running. */
void oss_client_free(struct oss_client *client);

const char *oss_client_bucket(const struct oss_client *client);
const char *oss_client_endpoint(const struct oss_client *client); /* as given, with scheme */
const char *oss_client_region(const struct oss_client *client);   /* "" if unknown */
struct oss_cred_chain *oss_client_credentials(struct oss_client *client);

/* How one operation is to be run. Zeroed memory: interactive, default deadline, no cancel. */
struct oss_call {
    /*
     * Retries end at this moment (ou_now_ms() scale) and the last error is returned.
     * 0: the client's request_timeout from now. OSS_ONE_ATTEMPT: no retry at all, for
     * callers with a schedule of their own (the transfer engine); a refused token or a
     * skewed clock is still mended and the request repeated once.
     *
     * An attempt that is on its way is cut off at the deadline, too, unless it is moving bytes:
     * then it may take as long beyond as its size needs at 16 KB/s. Complete and copies, for
     * which OSS may be silent for minutes, have five times the default deadline and five
     * times idle_timeout.
     */
    uint64_t deadline_ms;
    struct ou_cancel *cancel; /* -EINTR soon after it is triggered; NULL: none */
    bool background;          /* yields the last connections to foreground calls */
};
#define OSS_ONE_ATTEMPT UINT64_MAX
/** oss_client_set_request_timeout() - for calls without a deadline; default 60000. */
void oss_client_set_request_timeout(struct oss_client *client, uint64_t ms);

/**
 * oss_client_set_hierarchical() - what oss_bucket_info() has told; false until then
 *
 * In a hierarchical bucket keys that end in "/" are real directories: to put one makes it, without
 * metadata, a copy of one onto itself changes nothing, and they are deleted one by one.
 */
void oss_client_set_hierarchical(struct oss_client *client, bool hierarchical);
bool oss_client_hierarchical(const struct oss_client *client);

struct oss_client_stats {
    uint64_t requests, retries, throttled, bytes_up, bytes_down;
    unsigned in_flight, connections_allowed; /* the latter falls under throttling and recovers */
    int64_t clock_offset_s;                  /* server - local, learnt from RequestTimeTooSkewed */
    int64_t server_ahead_s; /* server - local, as the last answer tells: for times that OSS tells */
};
void oss_client_stats(struct oss_client *client, struct oss_client_stats *out);

/*
 * -- what an error means (oss/errors.c: one table) --
 *
 * ou_error.code is OSS's, or one of ours where no reply of OSS was there or fit to be used:
 * HostNotFound ConnectFailed TlsFailed TlsRefused ConnectionLost Timeout BadReply CrcMismatch.
 * "" with http_status 0 is a failure on this side: memory, -EINTR, a callback's own.
 */
enum oss_verdict {
    OSS_RETRY,    /* a repetition can help: network, 5xx, throttling, broken replies */
    OSS_THROTTLE, /* likewise, and send less */
    OSS_REFRESH,  /* new credentials may help */
    OSS_FINAL     /* no repetition helps */
};
enum oss_verdict oss_error_verdict(const struct ou_error *err);
/** oss_error_is() - the OSS code of @err is @code. */
bool oss_error_is(const struct ou_error *err, const char *code);
/**
 * oss_error_delay_ms() - how long to wait before the request that ended with @err is repeated
 * @attempt: 0 for the first repetition; @random: any 32 random bits (the caller draws them)
 *
 * Full-jitter exponential, uniform in 0..min(cap, base * 2^attempt); when the service has said how
 * long (err->wait_ms), that long and a little more, so that not all come back at one moment.
 */
uint64_t oss_error_delay_ms(const struct ou_error *err, unsigned attempt, uint32_t random);

#endif
