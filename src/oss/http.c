/*
 * Connections and the loop that drives one exchange.
 *
 *   connecting --> sending --> waiting --> receiving --> done
 *
 * curl does the work; this loop watches: cancel (wakes the poll), the deadline, silence
 * and the rate limit. Silence is measured from the last byte that moved, also one that
 * only the kernel saw leave (a big socket buffer on a slow line drains for minutes after
 * curl has written its last byte). Connecting has curl's own time limit.
 *
 * A slot holds one connection at most. It returns to the pool after each exchange; curl has
 * closed the connection by then if the reply was not complete.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "oss/http_curl.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define WATCH_MS    1000u /* how often a sender looks at its sockets' queues */
#define MOVING_MS   2000u /* bytes that old still count as "moving" */
#define CONNECT_MS  UINT64_C(10000)
#define POLL_MAX_MS 60000u

/* -- the pool -- */

static void share_lock(CURL *easy, curl_lock_data data, curl_lock_access access, void *ctx)
{
    struct oss_http *http = ctx;

    (void)easy, (void)access;
    ou_mutex_lock(&http->share_locks[data]);
}

static void share_unlock(CURL *easy, curl_lock_data data, void *ctx)
{
    struct oss_http *http = ctx;

    (void)easy;
    ou_mutex_unlock(&http->share_locks[data]);
}

static char *copy(const char *s, bool *failed)
{
    char *c = s ? strdup(s) : NULL;

    if (s && !c)
        *failed = true;
    return c;
}

int oss_http_new(const struct oss_http_options *options, struct oss_http **http,
                 struct ou_error *err)
{
    struct oss_http *h;
    bool failed = false;

    oss_http_once();
    h = calloc(1, sizeof(*h));
    if (!h)
        return ou_error_set(err, ENOMEM, "set up HTTP");
    ou_mutex_init(&h->lock, OSS_RANK_HTTP_POOL);
    for (int i = 0; i < CURL_LOCK_DATA_LAST; i++)
        ou_mutex_init(&h->share_locks[i], OSS_RANK_HTTP_SHARE + i);
    h->options = *options;
    h->options.user_agent = copy(options->user_agent ? options->user_agent : "ossfs-up", &failed);
    h->options.cacert = copy(options->cacert, &failed);
    if (!h->options.connect_timeout_ms)
        h->options.connect_timeout_ms = CONNECT_MS;
    h->share = curl_share_init();
    if (failed || !h->share) {
        oss_http_free(h);
        return ou_error_set(err, ENOMEM, "set up HTTP");
    }
    (void)curl_share_setopt(h->share, CURLSHOPT_LOCKFUNC, share_lock);
    (void)curl_share_setopt(h->share, CURLSHOPT_UNLOCKFUNC, share_unlock);
    (void)curl_share_setopt(h->share, CURLSHOPT_USERDATA, h);
    (void)curl_share_setopt(h->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    (void)curl_share_setopt(h->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    *http = h;
    return 0;
}

static void slot_free(struct slot *s)
{
    if (s->easy)
        curl_easy_cleanup(s->easy);
    if (s->multi)
        (void)curl_multi_cleanup(s->multi);
    free(s);
}

void oss_http_free(struct oss_http *http)
{
    if (!http)
        return;
    while (http->locked.idle) {
        struct slot *s = http->locked.idle;

        http->locked.idle = s->next;
        slot_free(s);
    }
    if (http->share)
        (void)curl_share_cleanup(http->share);
    for (int i = 0; i < CURL_LOCK_DATA_LAST; i++)
        ou_mutex_fini(&http->share_locks[i]);
    ou_mutex_fini(&http->lock);
    free((char *)http->options.user_agent);
    free((char *)http->options.cacert);
    free(http);
}

static struct slot *slot_new(struct oss_http *http)
{
    struct slot *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    for (unsigned i = 0; i < OSS_HTTP_SOCKETS; i++)
        s->sockets[i] = -1;
    s->multi = curl_multi_init();
    s->easy = curl_easy_init();
    if (!s->multi || !s->easy) {
        slot_free(s);
        return NULL;
    }
    (void)curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, 1L);
    oss_http_fixed_options(http, s);
    return s;
}

static struct slot *slot_take(struct oss_http *http)
{
    struct slot *s;

    ou_mutex_lock(&http->lock);
    s = http->locked.idle;
    if (s)
        http->locked.idle = s->next;
    ou_mutex_unlock(&http->lock);
    return s ? s : slot_new(http);
}

static void slot_give(struct oss_http *http, struct slot *s)
{
    ou_lock_scope(&http->lock);
    s->next = http->locked.idle;
    http->locked.idle = s;
}

/* -- the loop -- */

static void wake(void *arg)
{
    (void)curl_multi_wakeup(arg);
}

/* Bytes that left the sockets' queues are progress, though curl has nothing to tell. */
static void watch_queue(struct run *r, uint64_t now)
{
    int64_t unacked = 0;

    for (unsigned i = 0; i < OSS_HTTP_SOCKETS; i++) {
        int bytes = 0;

        if (r->slot->sockets[i] >= 0 && ioctl(r->slot->sockets[i], SIOCOUTQ, &bytes) == 0)
            unacked += bytes;
    }
    if (r->unacked >= 0 && unacked != r->unacked)
        r->moved_ms = now;
    r->unacked = unacked;
}

static bool is_sending(const struct run *r)
{
    return r->x->body_size && r->sends && !r->replied;
}

/* Several looks before silence is too long. */
static uint64_t watch_ms(const struct run *r)
{
    uint64_t part = r->x->idle_timeout_ms / 8;

    return part && part < WATCH_MS ? part : WATCH_MS;
}

/* Has a limit been passed? Return: 0 go on, or negative errno. */
static int check_limits(struct run *r, uint64_t now)
{
    struct oss_http_exchange *x = r->x;
    bool moving;

    if (is_sending(r) && now - r->moved_ms >= watch_ms(r) / 2)
        watch_queue(r, now);
    moving = (r->offset || x->received) && (r->held || now - r->moved_ms < MOVING_MS);
    if (x->deadline_ms && now >= x->deadline_ms && (!moving || now >= x->deadline_moving_ms))
        return oss_http_timeout(r, "no whole reply before the deadline", 0);
    if (x->idle_timeout_ms && r->sends && !r->held && now - r->moved_ms >= x->idle_timeout_ms)
        return oss_http_timeout(r, "nothing was heard", x->idle_timeout_ms);
    return 0;
}

static void sooner(uint64_t *when, uint64_t candidate)
{
    if (candidate && (!*when || candidate < *when))
        *when = candidate;
}

static int poll_ms(const struct run *r, uint64_t now)
{
    const struct oss_http_exchange *x = r->x;
    uint64_t when = now + (is_sending(r) ? watch_ms(r) : POLL_MAX_MS);

    if (r->held) {
        sooner(&when, r->hold_up_ms > now ? r->hold_up_ms : 0);
        sooner(&when, r->hold_down_ms > now ? r->hold_down_ms : 0);
    } else if (x->idle_timeout_ms && r->sends) {
        sooner(&when, r->moved_ms + x->idle_timeout_ms);
    }
    if (x->deadline_ms)
        sooner(&when, x->deadline_ms > now ? x->deadline_ms : now + MOVING_MS / 4);
    return when > now ? (int)(when - now) : 1;
}

/* After a pause of the rate limit. Return: the code of what curl delivers meanwhile. */
static CURLcode let_go(struct run *r, uint64_t now)
{
    if (!r->held || now < r->hold_up_ms || now < r->hold_down_ms)
        return CURLE_OK;
    r->held = false;
    r->moved_ms = now;
    return curl_easy_pause(r->slot->easy, CURLPAUSE_CONT);
}

static CURLcode finished(const struct run *r)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(r->slot->multi, &left)))
        if (message->msg == CURLMSG_DONE)
            return message->data.result;
    return CURLE_RECV_ERROR; /* curl always tells; be safe */
}

static int drive(struct run *r)
{
    CURLM *multi = r->slot->multi;
    int running = 0;

    for (;;) {
        CURLcode code = CURLE_OK;
        uint64_t now;

        if (curl_multi_perform(multi, &running) != CURLM_OK)
            return ou_error_set(r->err, ENOMEM, "drive a connection");
        if (!running)
            code = finished(r);
        if (r->result < 0)
            return r->result;
        if (!running && code == CURLE_OK && r->replied)
            return 0;
        if (!running) /* curl is content with half a head, too */
            return oss_http_failure(r, code == CURLE_OK ? CURLE_GOT_NOTHING : code);
        if (ou_cancel_triggered(r->x->cancel))
            return ou_error_set(r->err, EINTR, "%s", r->x->method);
        now = ou_now_ms();
        code = let_go(r, now);
        if (r->result < 0)
            return r->result;
        if (code != CURLE_OK)
            return oss_http_failure(r, code);
        r->result = check_limits(r, now);
        if (r->result < 0)
            return r->result;
        (void)curl_multi_poll(multi, NULL, 0, poll_ms(r, now), NULL);
    }
}

int oss_http_run(struct oss_http *http, struct oss_http_exchange *x, struct ou_error *err)
{
    struct ou_error why = OU_ERROR_INIT;
    struct run r = {.http = http, .x = x, .err = &why, .moved_ms = ou_now_ms(), .unacked = -1};
    struct ou_cancel_hook hook;
    int result;

    r.slot = slot_take(http);
    if (!r.slot)
        return ou_error_set(err, ENOMEM, "open a connection");
    r.slot->run = &r;
    result = oss_http_setup(&r);
    if (result == 0 && curl_multi_add_handle(r.slot->multi, r.slot->easy) != CURLM_OK)
        result = ou_error_set(&why, ENOMEM, "open a connection");
    if (result == 0) {
        ou_cancel_attach(x->cancel, &hook, wake, r.slot->multi);
        result = drive(&r);
        ou_cancel_detach(x->cancel, &hook);
        (void)curl_multi_remove_handle(r.slot->multi, r.slot->easy);
    }
    r.slot->run = NULL;
    slot_give(http, r.slot);
    curl_slist_free_all(r.headers);
    x->was_sent = r.sends > 0;
    if (result < 0)
        *err = why;
    return result;
}
