/*
 * The client of a local server that is told to misbehave, and bodies that are a function of their
 * offset. Header only, one server for a whole program.
 */
#ifndef OSSUP_TESTS_FAULT_FIXTURE_H
#define OSSUP_TESTS_FAULT_FIXTURE_H

#include "server.h"

#include "unit/unit.h"

#include "oss/ops.h"

static struct server *server;
static struct server_client client;

#define C client.client

static inline int setup(void **state)
{
    (void)state;
    server = server_start(NULL);
    server_client(server, &client, OSS_SIGN_CHOICE_V4, NULL);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    server_client_fini(&client);
    server_stop(server);
    return 0;
}

static inline int calm(void **state)
{
    (void)state;
    server_calm(server);
    return 0;
}

static struct ou_error err;

static inline void ok_at(int r, int line)
{
    if (r < 0)
        print_error("line %d: %s\n", line, err.message);
    assert_true(r >= 0);
}

#define ok(call) ok_at((call), __LINE__)

/* A fault that happens @count times; @rest: further members of the rule, with a comma before. */
static inline void fault(const char *operation, unsigned count, const char *rest,
                         const char *action)
{
    char rule[512];

    (void)snprintf(rule, sizeof(rule),
                   "{\"operation\":\"%s\",\"count\":%u%s,\"action\":{\"type\":%s}}", operation,
                   count, rest, action);
    server_fault(server, rule);
}

/* -- bodies that are a function of their offset -- */

struct pattern {
    uint64_t size;
    unsigned begun; /* how often it was read from offset 0 */
    int fail_at;    /* the read that fails, counting from 1; 0: none */
    int reads;
};

static inline unsigned char pattern_at(uint64_t offset)
{
    return (unsigned char)(offset * 31 + (offset >> 9));
}

static inline ssize_t read_pattern(void *ctx, void *buf, size_t len, uint64_t offset,
                                   struct ou_error *e)
{
    struct pattern *p = ctx;
    unsigned char *out = buf;

    p->begun += offset == 0;
    if (++p->reads == p->fail_at)
        return ou_error_set(e, EDQUOT, "read the spool");
    assert_true(offset + len <= p->size);
    for (size_t i = 0; i < len; i++)
        out[i] = pattern_at(offset + i);
    return (ssize_t)len;
}

struct checked {
    uint64_t first; /* offset in the object of the wanted range */
    uint64_t got;
};

static inline int check_pattern(void *ctx, const void *data, size_t len, uint64_t offset,
                                struct ou_error *e)
{
    struct checked *c = ctx;
    const unsigned char *in = data;

    (void)e;
    assert_int_equal(offset, c->got); /* nothing twice, nothing left out */
    for (size_t i = 0; i < len; i++)
        assert_int_equal(in[i], pattern_at(c->first + offset + i));
    c->got += len;
    return 0;
}

static inline int put_with(const struct oss_call *call, const char *key, struct pattern *p)
{
    struct oss_body body = {.size = p->size, .read = read_pattern, .ctx = p};

    return oss_put_object(C, call, key, NULL, &body, NULL, &err);
}

static inline void put(const char *key, uint64_t size)
{
    struct pattern p = {.size = size};

    ok(put_with(NULL, key, &p));
}

static inline void assert_is_whole(const char *key, uint64_t size)
{
    struct checked c = {.got = 0};
    struct oss_sink sink = {.write = check_pattern, .ctx = &c};

    ok(oss_get_object(C, NULL, key, 0, size, NULL, &sink, NULL, &err));
    assert_int_equal(c.got, size);
}

static const struct oss_call one_attempt = {.deadline_ms = OSS_ONE_ATTEMPT};

#define BIG ((uint64_t)3 << 20)

#define calmly(test) cmocka_unit_test_setup(test, calm)

#endif
