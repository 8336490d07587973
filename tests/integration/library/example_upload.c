/*
 * Example: upload a file, show how far it is, go on after Ctrl-C or a crash when called again.
 *
 *     cc example_upload.c $(pkg-config --cflags --libs ossup) -o example_upload
 *     OSS_ACCESS_KEY_ID=... OSS_ACCESS_KEY_SECRET=... \
 *         ./example_upload oss-cn-hangzhou.aliyuncs.com my-bucket backup.tar /srv/backup.tar
 */
#include <inttypes.h>
#include <ossup/ossup.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static struct ossup_cancel *cancel;

static void on_interrupt(int signal)
{
    (void)signal;
    ossup_cancel_trigger(cancel); /* allowed in a handler */
}

static int show(void *ctx, const struct ossup_progress *progress)
{
    (void)ctx;
    fprintf(stderr, "%" PRIu64 " of %" PRIu64 " bytes, %" PRIu64 " parts by an earlier run\n",
            progress->bytes_confirmed, progress->bytes_total, progress->parts_resumed);
    return 0;
}

int main(int argc, char **argv)
{
    struct ossup_config config = {0};
    struct ossup_upload upload = {0};
    struct ossup_result result = {0};
    struct ossup_error error = {0};
    struct ossup_client *client = NULL;
    int status = EXIT_FAILURE;

    if (argc < 5) {
        fprintf(stderr, "usage: %s ENDPOINT BUCKET KEY FILE [PART-SIZE]\n", argv[0]);
        return 2;
    }
    config.struct_size = sizeof(config);
    config.endpoint = argv[1];
    upload.struct_size = sizeof(upload);
    upload.bucket = argv[2];
    upload.key = argv[3];
    upload.file = argv[4];
    upload.part_size = argc > 5 ? strtoull(argv[5], NULL, 10) : 0;
    upload.progress = show;
    upload.cancel = cancel = ossup_cancel_new();
    result.struct_size = sizeof(result);
    error.struct_size = sizeof(error);
    if (cancel)
        signal(SIGINT, on_interrupt);

    if (ossup_client_new(&config, &client, &error) < 0 ||
        ossup_resumable_upload(client, &upload, &result, &error) < 0) {
        fprintf(stderr, "%s: %s (request %s)\n", error.code, error.message, error.request_id);
    } else {
        printf("etag=%s crc64=%" PRIu64 " sent=%" PRIu64 " resumed=%" PRIu64 " request=%s\n",
               result.etag, result.crc64, result.bytes_sent, result.bytes_resumed,
               result.request_id);
        status = EXIT_SUCCESS;
    }
    signal(SIGINT, SIG_DFL);
    ossup_client_free(client);
    ossup_cancel_free(cancel);
    return status;
}
