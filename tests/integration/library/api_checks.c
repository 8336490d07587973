/*
 * What the header promises, call by call: api_checks ENDPOINT FILE. FILE has more than 5 parts of
 * 100 KiB. Ends at the first promise that does not hold.
 */
#include <errno.h>
#include <inttypes.h>
#include <ossup/ossup.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: %s: %s\n", __func__, __LINE__, #condition, error.code,     \
                    error.message);                                                                \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static const char *endpoint, *file;
static struct ossup_error error = {.struct_size = sizeof(error)};

static struct ossup_client *client_new(const char *secret)
{
    struct ossup_config config = {.struct_size = sizeof(config),
                                  .endpoint = endpoint,
                                  .region = "cn-hangzhou",
                                  .access_key_id = getenv("TEST_KEY_ID"),
                                  .access_key_secret = secret};
    struct ossup_client *client = NULL;

    CHECK(ossup_client_new(&config, &client, &error) == 0);
    return client;
}

static struct ossup_upload upload_of(const char *key)
{
    return (struct ossup_upload){.struct_size = sizeof(struct ossup_upload),
                                 .bucket = "bucket",
                                 .key = key,
                                 .file = file,
                                 .part_size = OSSUP_PART_SIZE_MIN};
}

static void assert_refused(struct ossup_client *client, const struct ossup_upload *upload,
                           const char *code, const char *word)
{
    CHECK(ossup_resumable_upload(client, upload, NULL, &error) < 0);
    CHECK(!strcmp(error.code, code));
    CHECK(strstr(error.message, word));
}

static void arguments(struct ossup_client *client)
{
    const struct ossup_meta bad_name = {"A", "b"}, bad_value = {"a", "b\n"};
    struct ossup_upload u = upload_of("key");

    u.struct_size = 0;
    assert_refused(client, &u, "InvalidArgument", "struct_size");
    u = upload_of(NULL);
    assert_refused(client, &u, "InvalidArgument", "key");
    u = upload_of("key");
    u.part_size = OSSUP_PART_SIZE_MIN - 1;
    assert_refused(client, &u, "InvalidArgument", "100K to 5G");
    u.part_size = OSSUP_PART_SIZE_MAX + 1;
    assert_refused(client, &u, "InvalidArgument", "100K to 5G");
    u = upload_of("key");
    u.threads = OSSUP_THREADS_MAX + 1;
    assert_refused(client, &u, "InvalidArgument", "1 to 64");
    u = upload_of("key");
    u.checkpoint_dir = "/no/such/directory";
    assert_refused(client, &u, "ENOENT", "/no/such/directory");
    u = upload_of("key");
    u.meta = &bad_name;
    u.meta_count = 1;
    assert_refused(client, &u, "InvalidArgument", "metadata name");
    u.meta = &bad_value;
    assert_refused(client, &u, "InvalidArgument", "not printable");
    u = upload_of("key");
    u.traffic_limit = 1;
    assert_refused(client, &u, "InvalidArgument", "819200");
    u = upload_of("key");
    u.bucket = "B";
    assert_refused(client, &u, "InvalidArgument", "B");
    CHECK(ossup_resumable_upload(client, NULL, NULL, NULL) == -EINVAL);
}

static void refusals(void)
{
    struct ossup_client *client = client_new("wrong");
    struct ossup_upload u = upload_of("key");

    assert_refused(client, &u, "SignatureDoesNotMatch", "secret");
    CHECK(error.http_status == 403 && error.request_id[0] && error.errnum == EACCES);
    ossup_client_free(client);
    client = client_new(getenv("TEST_SECRET"));
    u.bucket = "nobucket";
    assert_refused(client, &u, "NoSuchBucket", "bucket");
    ossup_client_free(client);
}

struct seen {
    pthread_t thread;
    uint64_t confirmed, total, resumed, calls, stop_at;
};

static int on_progress(void *ctx, const struct ossup_progress *progress)
{
    struct seen *seen = ctx;

    CHECK(pthread_equal(seen->thread, pthread_self()));
    CHECK(progress->struct_size == sizeof(*progress));
    CHECK(progress->bytes_confirmed >= seen->confirmed);
    seen->confirmed = progress->bytes_confirmed;
    seen->total = progress->bytes_total;
    seen->resumed = progress->parts_resumed;
    seen->calls++;
    return seen->stop_at && seen->confirmed >= seen->stop_at;
}

static void cancel_and_resume(struct ossup_client *client)
{
    struct seen seen = {.thread = pthread_self(), .stop_at = 2 * OSSUP_PART_SIZE_MIN};
    struct ossup_result result = {.struct_size = sizeof(result)};
    struct ossup_upload u = upload_of("resumed");

    u.threads = 1;
    u.progress = on_progress;
    u.progress_ctx = &seen;
    assert_refused(client, &u, "Canceled", "checkpoint was kept");
    CHECK(seen.confirmed >= seen.stop_at && seen.confirmed < seen.total);

    seen = (struct seen){.thread = pthread_self()};
    u.part_size = 0; /* that of the checkpoint */
    CHECK(ossup_resumable_upload(client, &u, &result, &error) == 0);
    CHECK(seen.confirmed == seen.total && seen.resumed >= 2);
    CHECK(result.bytes_resumed >= 2 * OSSUP_PART_SIZE_MIN);
    CHECK(result.bytes_sent + result.bytes_resumed == seen.total);
    CHECK(result.has_crc64 && result.etag[0] && result.request_id[0]);
}

static void canceled_before(struct ossup_client *client)
{
    struct ossup_upload u = upload_of("never");

    u.cancel = ossup_cancel_new();
    ossup_cancel_trigger(u.cancel);
    ossup_cancel_trigger(u.cancel);
    u.checkpoint_dir = getenv("TEST_CHECKPOINT_DIR");
    assert_refused(client, &u, "Canceled", "never");
    assert_refused(client, &u, "Canceled", "never"); /* it stays triggered */
    ossup_cancel_free(u.cancel);
}

static void with_headers(struct ossup_client *client)
{
    const struct ossup_meta meta[] = {{"color", "blue"}, {"n", ""}};
    struct ossup_upload u = upload_of("headers");

    u.meta = meta;
    u.meta_count = 1;
    u.content_type = "text/x-test";
    u.cache_control = "no-cache";
    u.storage_class = "IA";
    u.traffic_limit = 838860800;
    CHECK(ossup_resumable_upload(client, &u, NULL, &error) == 0);
    u.forbid_overwrite = 1;
    assert_refused(client, &u, "FileAlreadyExists", "headers");
}

/* A program that was compiled with an older, shorter header. */
static void shorter_structs(struct ossup_client *client)
{
    struct ossup_upload u = upload_of("short");
    struct ossup_result result = {.struct_size = offsetof(struct ossup_result, bytes_resumed)};

    u.struct_size = offsetof(struct ossup_upload, content_type);
    u.content_type = (const char *)1; /* not there, as far as the library can know */
    memset(&result.bytes_resumed, 0xaa, sizeof(result) - result.struct_size);
    CHECK(ossup_resumable_upload(client, &u, &result, NULL) == 0);
    CHECK(result.bytes_sent > 0 && result.bytes_resumed == UINT64_C(0xaaaaaaaaaaaaaaaa));
    CHECK(result.struct_size == offsetof(struct ossup_result, bytes_resumed));
}

static void *one_of_many(void *client)
{
    static int next;
    struct ossup_upload u;
    char key[32];

    (void)snprintf(key, sizeof(key), "many%d", __atomic_add_fetch(&next, 1, __ATOMIC_RELAXED));
    u = upload_of(key);
    return ossup_resumable_upload(client, &u, NULL, NULL) == 0 ? client : NULL;
}

static void many_threads(struct ossup_client *client)
{
    pthread_t threads[6];

    for (size_t i = 0; i < 6; i++)
        CHECK(pthread_create(&threads[i], NULL, one_of_many, client) == 0);
    for (size_t i = 0; i < 6; i++) {
        void *went_well;

        CHECK(pthread_join(threads[i], &went_well) == 0 && went_well);
    }
}

int main(int argc, char **argv)
{
    struct ossup_client *client;

    if (argc != 3)
        return 2;
    endpoint = argv[1];
    file = argv[2];
    client = client_new(getenv("TEST_SECRET"));
    arguments(client);
    refusals();
    cancel_and_resume(client);
    canceled_before(client);
    with_headers(client);
    shorter_structs(client);
    many_threads(client);
    ossup_client_free(client);
    ossup_client_free(NULL);
    ossup_cancel_free(NULL);
    return 0;
}
