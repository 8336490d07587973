/*
 * Lookups that meet: a second call comes in at each moment at which the first has let the lock go,
 * one moment after the other. Whichever it is, what both need is asked once.
 */
#include "fs/resolve.h"

#include "unit/spool/spool_bucket.h"

static struct {
    struct spool *spool;
    struct fs *fs;
    unsigned lists;
    void (*second)(void); /* the call that comes in, once; NULL: none, or it has been made */
    unsigned moments;     /* to let pass before it */
    pthread_t first;
} scene;

/* The bucket holds dir/a and dir/b; what is asked with a prefix in dir/ gets both, else dir/. */
int __wrap_oss_list_objects(struct oss_client *c, const struct oss_call *call, const char *prefix,
                            const char *delimiter, const char *start_after, const char *token,
                            unsigned max_keys, struct oss_list_page *out, struct ou_error *err);
int __wrap_oss_list_objects(struct oss_client *c, const struct oss_call *call, const char *prefix,
                            const char *delimiter, const char *start_after, const char *token,
                            unsigned max_keys, struct oss_list_page *out, struct ou_error *err)
{
    static const char *const keys[] = {"dir/", "dir/a", "dir/b"};
    bool inside = strncmp(prefix, keys[0], strlen(keys[0])) == 0;

    (void)c;
    (void)call;
    (void)delimiter;
    (void)start_after;
    (void)token;
    (void)max_keys;
    (void)err;
    scene.lists++;
    out->entries = calloc(3, sizeof(*out->entries));
    assert_non_null(out->entries);
    for (size_t i = inside ? 1 : 0; i < (inside ? 3 : 1); i++) {
        struct oss_list_entry *entry = &out->entries[out->count];

        if (strncmp(keys[i], prefix, strlen(prefix)) != 0)
            continue;
        *entry = (struct oss_list_entry){.key = strdup(keys[i]),
                                         .key_len = strlen(keys[i]),
                                         .is_prefix = !inside,
                                         .size = inside ? strlen("first") : 0};
        if (inside)
            (void)snprintf(entry->etag, sizeof(entry->etag), "%s",
                           bucket_find(keys[i])->bytes.etag);
        out->count++;
    }
    return 0;
}

void __real_ou_mutex_unlock(struct ou_mutex *m);
void __wrap_ou_mutex_unlock(struct ou_mutex *m);
void __wrap_ou_mutex_unlock(struct ou_mutex *m)
{
    void (*second)(void) = scene.second;

    __real_ou_mutex_unlock(m);
    if (!second || !scene.fs || m != &scene.fs->lock || !pthread_equal(scene.first, pthread_self()))
        return;
    if (scene.moments > 0) {
        scene.moments--;
        return;
    }
    scene.second = NULL;
    second();
}

/* Return: what fs_resolve() does; the inode stays in use to the end. */
static int look_up(uint64_t parent, const char *name, uint64_t deadline_ms, uint64_t *id)
{
    struct fs_call call = fs_call_own(scene.fs);
    struct ou_error err = OU_ERROR_INIT;
    struct fs_inode *inode = NULL;
    uint64_t until_ms;
    int r;

    if (deadline_ms)
        call.deadline_ms = deadline_ms;
    r = fs_resolve(scene.fs, parent, name, true, &call, &inode, &until_ms, &err);
    if (r == 0 && id)
        *id = inode ? inode->id : 0;
    return r;
}

/* A mount of the bucket that knows nothing yet. */
static void begin(const char *dir, unsigned moment)
{
    ou_autofree char *own = NULL;
    struct fs_config config = {.client = (struct oss_client *)&world, .attr_timeout_ms = 3600000};
    struct ou_error err = OU_ERROR_INIT;

    world_reset();
    bucket_put("dir/a", (const unsigned char *)"first", 5);
    bucket_put("dir/b", (const unsigned char *)"other", 5);
    scene.first = pthread_self();
    assert_true(asprintf(&own, "%s/%u", dir, moment) > 0);
    assert_int_equal(mkdir(own, 0700), 0);
    scene.spool = config.spool = world_spool(own);
    assert_int_equal(fs_new(&config, &scene.fs, &err), 0);
}

static void end(void)
{
    struct fs *fs = scene.fs;

    scene.fs = NULL;
    fs_free(fs);
    spool_close(scene.spool);
}

/* Where the first call is on the way with the request, the second would wait: it gives up. */
#define AT_ONCE UINT64_C(1)

static uint64_t dir_id;

static void same_file(void)
{
    int r = look_up(dir_id, "a", AT_ONCE, NULL);

    assert_true(r == 0 || r == -ETIMEDOUT);
}

static void other_file(void)
{
    int r = look_up(dir_id, "b", AT_ONCE, NULL);

    assert_true(r == 0 || r == -ETIMEDOUT);
}

static void same_directory(void)
{
    int r = look_up(FS_ROOT_ID, "dir", AT_ONCE, NULL);

    assert_true(r == 0 || r == -ETIMEDOUT);
}

/* Is there such a moment? Then .second was called in it. */
static bool came_in(void)
{
    bool came = !scene.second;

    scene.second = NULL;
    return came;
}

static void attributes_are_asked_for_once(void **state)
{
    bool came = true;

    for (unsigned moment = 0; came; moment++) {
        begin(*state, moment);
        assert_int_equal(look_up(FS_ROOT_ID, "dir", 0, &dir_id), 0);
        (void)look_up(dir_id, "x", 0, NULL);
        (void)look_up(dir_id, "y", 0, NULL); /* the second unknown name: the directory is listed */
        bucket.op_count[OP_HEAD] = scene.lists = 0;
        scene.moments = moment;
        scene.second = same_file;
        assert_int_equal(look_up(dir_id, "a", 0, NULL), 0);
        came = came_in();
        assert_int_equal(bucket.op_count[OP_HEAD], 1);
        assert_int_equal(scene.lists, 0);
        end();
    }
}

static void a_directory_is_listed_once(void **state)
{
    bool came = true;

    for (unsigned moment = 0; came; moment++) {
        begin(*state, moment);
        assert_int_equal(look_up(FS_ROOT_ID, "dir", 0, &dir_id), 0);
        (void)look_up(dir_id, "x", 0, NULL);
        scene.lists = 0;
        scene.moments = moment;
        scene.second = other_file;
        assert_int_equal(look_up(dir_id, "a", 0, NULL), 0);
        came = came_in();
        assert_int_equal(scene.lists, 1);
        end();
    }
}

static void a_marker_is_asked_for_once(void **state)
{
    bool came = true;

    for (unsigned moment = 0; came; moment++) {
        begin(*state, moment);
        (void)look_up(FS_ROOT_ID, "x", 0, NULL);
        (void)look_up(FS_ROOT_ID, "y", 0, NULL);
        bucket.op_count[OP_HEAD] = scene.lists = 0;
        scene.moments = moment;
        scene.second = same_directory;
        assert_int_equal(look_up(FS_ROOT_ID, "dir", 0, NULL), 0);
        came = came_in();
        assert_int_equal(bucket.op_count[OP_HEAD] + scene.lists, 1);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_in_dir(attributes_are_asked_for_once),
        unit_test_in_dir(a_directory_is_listed_once),
        unit_test_in_dir(a_marker_is_asked_for_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
