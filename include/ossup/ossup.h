/*
 * libossup: resumable upload of local files to Alibaba Cloud OSS.
 *
 *     struct ossup_config config = {0};
 *     struct ossup_upload upload = {0};
 *     struct ossup_error error = {0};
 *     struct ossup_client *client;
 *
 *     config.struct_size = sizeof(config);
 *     config.endpoint = "oss-cn-hangzhou.aliyuncs.com";
 *     upload.struct_size = sizeof(upload);
 *     upload.bucket = "my-bucket";
 *     upload.key = "backup.tar";
 *     upload.file = "/srv/backup.tar";
 *     error.struct_size = sizeof(error);
 *     if (ossup_client_new(&config, &client, &error) < 0 ||
 *         ossup_resumable_upload(client, &upload, NULL, &error) < 0)
 *         fprintf(stderr, "%s\n", error.message);
 *
 * A file larger than one part is sent in parts, several at once, and a checkpoint beside it (or in a
 * directory of your choice) records what has arrived. Whatever ends the process, the same call goes
 * on from there. What is in OSS at the end is compared with the file by CRC-64. If the file
 * changes while it is uploaded, the upload is given up: an object never mixes two versions.
 *
 * Nothing is written but the checkpoint. `ossfs-up gc --checkpoint-dir` is told of its directory,
 * so that it leaves unfinished uploads alone. `ossfs-up put` goes on with the library's, and the
 * other way round.
 *
 * Structs: zero them and set struct_size; members may be added at their ends in later versions.
 * Strings are copied or borrowed for the call only. Sizes are bytes.
 *
 * Functions that can fail return 0 or a negative errno and fill *error, if it is not NULL.
 * The library prints nothing, never exits, installs no signal handlers. A client may be used by any
 * number of threads at once.
 */
#ifndef OSSUP_OSSUP_H
#define OSSUP_OSSUP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OSSUP_VERSION_MAJOR 0
#define OSSUP_VERSION_MINOR 1

#define OSSUP_API __attribute__((visibility("default")))

#define OSSUP_PART_SIZE_MIN     (UINT64_C(100) << 10)
#define OSSUP_PART_SIZE_MAX     (UINT64_C(5) << 30)
#define OSSUP_PART_SIZE_DEFAULT (UINT64_C(8) << 20)
#define OSSUP_THREADS_MAX       64u
#define OSSUP_THREADS_DEFAULT   3u

struct ossup_client;
struct ossup_cancel;

struct ossup_error {
    size_t struct_size;
    int errnum;          /* positive */
    int http_status;     /* 0: OSS has not answered */
    char code[64];       /* OSS's, as "AccessDenied"; or one of ours, see below; never "" */
    char request_id[64]; /* what support asks for; "" if OSS has not answered */
    char message[512];   /* one line: what, on what, why, and the way out */
};
/*
 * Codes of ours: InvalidArgument, Canceled, FileChanged (while it was uploaded; nothing was
 * published), UploadInProgress (by another process or thread), CheckpointVersion (written by a later
 * version: left alone), HostNotFound, ConnectFailed, ConnectionLost, Timeout, TlsFailed,
 * TlsRefused, BadReply, CrcMismatch; else the errno's name, as "ENOENT".
 */

/* -- client -- */

enum ossup_addressing {
    OSSUP_ADDRESS_AUTO, /* path style for IP addresses and localhost, else virtual-host style */
    OSSUP_ADDRESS_PATH,
    OSSUP_ADDRESS_VIRTUAL,
    OSSUP_ADDRESS_CNAME
};
enum ossup_signature {
    OSSUP_SIGN_AUTO /* V4 where the region is known */,
    OSSUP_SIGN_V1,
    OSSUP_SIGN_V4
};

struct ossup_config {
    size_t struct_size;
    const char *endpoint; /* "oss-cn-hangzhou.aliyuncs.com", "http://127.0.0.1:9000" */
    const char *region;   /* NULL: from the endpoint's name */
    /*
     * NULL: OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET and OSS_SESSION_TOKEN, ALIBABA_CLOUD_*, OIDC,
     * ~/.ossutilconfig, ~/.aliyun/config.json, ~/.passwd-ossfs, in this order. What expires is
     * renewed.
     */
    const char *access_key_id, *access_key_secret, *security_token;
    unsigned connections;        /* requests in flight at once, for each bucket; 0: 16 */
    uint64_t connect_timeout_ms; /* 0: 10 s */
    uint64_t patience_ms;        /* with no success for so long an upload fails; 0: 60 s */
    uint64_t limit_up;           /* bytes per second, for each bucket; 0: none */
    enum ossup_addressing addressing;
    enum ossup_signature signature;
    const char *cacert;     /* PEM file of the authorities to trust; NULL: the system's */
    const char *user_agent; /* NULL: the library's */
};

/** ossup_client_new() - looks for credentials (which may ask a service); OSS is not contacted */
OSSUP_API int ossup_client_new(const struct ossup_config *config, struct ossup_client **client,
                               struct ossup_error *error);
/** ossup_client_free() - no upload may be running. NULL is fine. */
OSSUP_API void ossup_client_free(struct ossup_client *client);

/* -- cancel -- */

/** ossup_cancel_new() - a flag for one upload or several; NULL: no descriptor or memory is left */
OSSUP_API struct ossup_cancel *ossup_cancel_new(void);
/** ossup_cancel_trigger() - any thread, and signal handlers too. It stays triggered. */
OSSUP_API void ossup_cancel_trigger(struct ossup_cancel *cancel);
OSSUP_API void ossup_cancel_free(struct ossup_cancel *cancel);

/* -- upload -- */

struct ossup_meta {
    const char *name; /* a-z, 0-9, "-", "_"; without x-oss-meta- */
    const char *value;
};

struct ossup_progress {
    size_t struct_size;       /* set by the library */
    uint64_t bytes_confirmed; /* OSS has them */
    uint64_t bytes_total;
    uint64_t parts_resumed; /* sent by an earlier run */
};

struct ossup_upload {
    size_t struct_size;
    const char *bucket, *key; /* required */
    const char *file;         /* required: a regular file */
    /*
     * 0: that of the upload that is resumed, else 8 MiB. Below 100 KiB or above 5 GiB is an error; grows
     * by itself where the file would need more than 10000 parts. Up to one part: one PutObject.
     */
    uint64_t part_size;
    unsigned threads;           /* parts in flight at once, 1 to 64; 0: 3 */
    const char *checkpoint_dir; /* must exist; NULL: the file's own directory */
    const char *content_type;   /* NULL: application/octet-stream */
    const char *cache_control, *content_disposition, *content_encoding; /* NULL: none */
    const char *storage_class; /* Standard, IA, Archive, ...; NULL: the bucket's */
    const struct ossup_meta *meta;
    size_t meta_count;
    uint64_t traffic_limit; /* bits per second, each request: 819200 to 838860800; 0: none */
    int forbid_overwrite;   /* fail with FileAlreadyExists if the key exists */
    /*
     * Called on the calling thread as parts arrive; not with each of them when they come fast.
     * Not 0 cancels the upload.
     */
    int (*progress)(void *ctx, const struct ossup_progress *progress);
    void *progress_ctx;
    struct ossup_cancel *cancel; /* NULL: none */
};

struct ossup_result {
    size_t struct_size;
    uint64_t crc64;         /* of the object, if has_crc64 */
    int has_crc64;          /* OSS told one, and it is the file's */
    uint64_t bytes_sent;    /* over the network, repetitions included */
    uint64_t bytes_resumed; /* sent by an earlier run */
    char etag[80];          /* without quotes */
    char request_id[64];    /* "" when the answer was lost and the object was found complete */
    char version_id[128];   /* "" outside versioned buckets */
};

/**
 * ossup_resumable_upload() - returns when the object is there, or why it is not
 * @result: may be NULL
 *
 * After a failure the same call goes on from the checkpoint, but after FileChanged begins anew.
 * Canceled keeps the checkpoint.
 */
OSSUP_API int ossup_resumable_upload(struct ossup_client *client, const struct ossup_upload *upload,
                                     struct ossup_result *result, struct ossup_error *error);

#ifdef __cplusplus
}
#endif

#endif
