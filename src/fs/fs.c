/* Making and freeing the filesystem's state; status. */
#include "fs/attrs_file.h"
#include "fs/giveback.h"
#include "fs/hide.h"
#include "fs/local_root.h"
#include "fs/rename.h"
#include "fs/rename_journal.h"
#include "fs/session.h"
#include "fs/stage.h"
#include "fs/state.h"

#include "base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_THREADS_DEFAULT 64u
#define REQUEST_TIMEOUT_MS      UINT64_C(60000)
#define ATTRS_MIN               256u /* records in memory */
#define WAIT_THREADS            256u /* close=upload of so many files at once */

struct fs_call fs_call_own(const struct fs *fs)
{
    uint64_t now_ms = ou_now_ms();

    return (struct fs_call){.may_wait = true,
                            .deadline_ms = now_ms + fs->config.request_timeout_ms,
                            .begun_ms = now_ms};
}

static int fill(struct fs *fs, struct ou_error *err)
{
    int r = fs_tree_init(&fs->tree, fs->prefix, err);

    fs->tree.attrs.saved_max =
        fs->config.inodes_max / 2 > ATTRS_MIN ? fs->config.inodes_max / 2 : ATTRS_MIN;
    if (r == 0)
        r = fs_pool_new("request", fs->config.request_threads, &fs->requests, err);
    if (r == 0)
        r = fs_pool_new("wait", WAIT_THREADS, &fs->waits, err);
    if (r == 0)
        r = fs_renames_open(spool_dir(fs->spool), &fs->renames, err);
    if (r == 0)
        r = fs_find_renames(fs, err);
    if (r == 0)
        r = fs_attrs_file_open(fs, spool_dir(fs->spool), &fs->attrs_file, err);
    if (r == 0 && fs->prefix[0] == '\0')
        fs_local_root_load(fs);
    if (r == 0)
        fs_hide_load(fs);
    return r == 0 ? fs_stage_all(fs, err) : r;
}

int fs_new(const struct fs_config *config, struct fs **out, struct ou_error *err)
{
    struct fs *fs = calloc(1, sizeof(*fs));
    int r;

    if (!fs)
        return ou_error_set(err, ENOMEM, "filesystem");
    fs->config = *config;
    fs->client = config->client;
    fs->spool = config->spool;
    fs->started = ou_wall();
    if (!fs->config.request_threads)
        fs->config.request_threads = REQUEST_THREADS_DEFAULT;
    if (!fs->config.inodes_max)
        fs->config.inodes_max = FS_INODES_MAX;
    if (!fs->config.attrs_max)
        fs->config.attrs_max = FS_ATTRS_DISK_MAX;
    if (!fs->config.request_timeout_ms)
        fs->config.request_timeout_ms = REQUEST_TIMEOUT_MS;
    fs->prefix = strdup(config->prefix ? config->prefix : "");
    fs->fsname = strdup(config->fsname ? config->fsname : "ossfs-up");
    fs->config.prefix = fs->prefix;
    fs->config.fsname = fs->fsname;
    ou_mutex_init(&fs->lock, OU_RANK_FS);
    fs_flights_init(&fs->flights);
    fs->nowait = ou_cancel_new();
    fs->ending = ou_cancel_new();
    r = fs->prefix && fs->fsname && fs->nowait && fs->ending
            ? 0
            : ou_error_set(err, ENOMEM, "filesystem");
    if (r == 0) {
        ou_cancel_trigger(fs->nowait);
        r = fill(fs, err);
    }
    if (r < 0) {
        fs_free(fs);
        return r;
    }
    *out = fs;
    return 0;
}

void fs_free(struct fs *fs)
{
    if (!fs)
        return;
    if (fs->ending)
        ou_cancel_trigger(fs->ending);
    fs_pool_free(fs->requests);
    fs_pool_free(fs->waits);
    fs_forget_renames(fs);
    fs_session_free(fs);
    if (fs->attrs_file && fs->prefix[0] == '\0')
        fs_local_root_keep(fs);
    fs_attrs_file_close(fs->attrs_file);
    fs_renames_close(fs->renames);
    fs_tree_fini(&fs->tree);
    fs_flights_fini(&fs->flights);
    fs_gone_fini(&fs->gone);
    ou_cancel_unref(fs->nowait);
    ou_cancel_unref(fs->ending);
    ou_mutex_fini(&fs->lock);
    free(fs->control_path);
    free(fs->prefix);
    free(fs->fsname);
    free(fs);
}

const struct spool_events *fs_spool_events(void)
{
    static const struct spool_events events = {
        .published = fs_published,
        .delete_refused = fs_delete_refused,
    };

    return &events;
}

void fs_set_control_path(struct fs *fs, const char *path)
{
    char *copy = strdup(path);

    ou_lock_scope(&fs->lock);
    free(fs->control_path);
    fs->control_path = copy;
}

void fs_status(struct fs *fs, struct ou_buf *json)
{
    unsigned running, waits;
    size_t waiting, waits_waiting;
    uint64_t hidden = 0;

    fs_pool_numbers(fs->requests, &running, &waiting);
    fs_pool_numbers(fs->waits, &waits, &waits_waiting);
    ou_lock_scope(&fs->lock);
    for (const struct fs_segment *s = fs->tree.listings.oldest; s; s = s->newer)
        hidden += s->hidden;
    ou_buf_addf(json, "\"inodes\":%zu,\"inodes_limit\":%zu", fs->tree.by_id.count,
                fs->config.inodes_max);
    ou_buf_addf(json, ",\"open_files\":%u,\"open_directories\":%u", fs->open_files, fs->open_dirs);
    ou_buf_addf(json, ",\"listed_names\":%zu,\"hidden_keys\":%" PRIu64, fs->tree.listings.names,
                hidden);
    ou_buf_addf(json, ",\"cached_attributes\":%zu,\"known_attributes\":%zu,\"known_limit\":%zu",
                fs->tree.attrs.table.count, fs->tree.attrs.disk.count, fs->config.attrs_max);
    ou_buf_addf(json, ",\"requests_running\":%u,\"requests_waiting\":%zu", running + waits,
                waiting + waits_waiting);
}
