#include "server.h"

#include "unit/unit.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define ARGUMENTS_MAX 32

struct server {
    pid_t pid;
    int port;
    char *root;
    char url[64];
};

static void read_line(int fd, char *line, size_t size)
{
    size_t len = 0;

    while (len + 1 < size && read(fd, line + len, 1) == 1 && line[len] != '\n')
        len++;
    line[len] = '\0';
}

struct server *server_start(const char *const *arguments)
{
    struct server *s = calloc(1, sizeof(*s));
    const char *argv[ARGUMENTS_MAX] = {OSSUP_SERVER};
    size_t n = 1;
    char line[128];
    void *root = NULL;
    int out[2];
    const char *colon;

    assert_non_null(s);
    assert_int_equal(unit_dir_setup(&root), 0);
    s->root = root;
    argv[n++] = "--root";
    argv[n++] = s->root;
    argv[n++] = "--access-key";
    argv[n++] = SERVER_KEY_ID;
    argv[n++] = "--secret";
    argv[n++] = SERVER_SECRET;
    argv[n++] = "--bucket";
    argv[n++] = SERVER_BUCKET;
    while (arguments && *arguments && n + 1 < ARGUMENTS_MAX)
        argv[n++] = *arguments++;
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (!s->pid) {
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* a failed test ends without server_stop() */
        (void)dup2(out[1], STDOUT_FILENO);
        (void)execv(OSSUP_SERVER, (char *const *)argv);
        _exit(127);
    }
    (void)close(out[1]);
    read_line(out[0], line, sizeof(line)); /* it has bound its port by then */
    (void)close(out[0]);
    colon = strrchr(line, ':');
    assert_non_null(colon);
    s->port = (int)strtol(colon + 1, NULL, 10);
    (void)snprintf(s->url, sizeof(s->url), "%s", strstr(line, "http"));
    return s;
}

void server_stop(struct server *s)
{
    void *root = s->root;
    int status = 0;

    assert_int_equal(kill(s->pid, SIGTERM), 0);
    assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
    assert_int_equal(status, 0);
    assert_int_equal(unit_dir_teardown(&root), 0);
    free(s);
}

const char *server_url(const struct server *s)
{
    return s->url;
}

const char *server_root(const struct server *s)
{
    return s->root;
}

char *server_control(const struct server *s, const char *method, const char *command,
                     const char *json)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->port)};
    ou_autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ou_auto(ou_buf_fini) struct ou_buf text = {0};
    struct ou_error err;
    char block[4096];
    char *body;
    ssize_t got;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    ou_buf_addf(&text,
                "%s /-/control/%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                "Content-Length: %zu\r\n\r\n%s",
                method, command, json ? strlen(json) : (size_t)0, json ? json : "");
    assert_int_equal(ou_write_all(fd, text.data, text.len, &err), 0);
    ou_buf_clear(&text);
    while ((got = read(fd, block, sizeof(block))) > 0)
        ou_buf_add(&text, block, (size_t)got);
    if (strncmp(ou_buf_str(&text), "HTTP/1.1 2", 10) != 0)
        print_error("%s\n", ou_buf_str(&text));
    assert_memory_equal(ou_buf_str(&text), "HTTP/1.1 2", 10);
    body = strstr(text.data, "\r\n\r\n");
    assert_non_null(body);
    body = strdup(body + 4);
    assert_non_null(body);
    return body;
}

void server_tell(const struct server *s, const char *method, const char *command, const char *json)
{
    free(server_control(s, method, command, json));
}

void server_fault(const struct server *s, const char *rule)
{
    server_tell(s, "POST", "faults", rule);
}

void server_calm(const struct server *s)
{
    server_tell(s, "DELETE", "faults", NULL);
    server_tell(s, "POST", "time", "{\"offset\":0}");
    server_tell(s, "DELETE", "log", NULL);
}

unsigned server_count(const struct server *s, const char *operation)
{
    char *log = server_control(s, "GET", "log", NULL);
    char wanted[64];
    unsigned count = 0;

    (void)snprintf(wanted, sizeof(wanted), "\"operation\":\"%s\"", operation);
    for (const char *at = log; (at = strstr(at, wanted)); at++)
        count++;
    free(log);
    return count;
}

void server_client(const struct server *s, struct server_client *c, enum oss_sign_choice sign,
                   const struct oss_config *config)
{
    struct oss_cred_config cred = {.access_key_id = SERVER_KEY_ID,
                                   .access_key_secret = SERVER_SECRET};
    struct oss_config f = config ? *config : (struct oss_config){.endpoint = NULL};
    struct ou_error err = OU_ERROR_INIT;

    if (!f.endpoint)
        f.endpoint = s->url;
    if (!f.bucket)
        f.bucket = SERVER_BUCKET;
    if (!f.region && sign != OSS_SIGN_CHOICE_V1)
        f.region = SERVER_REGION;
    f.sign = sign;
    if (!c->chain)
        assert_int_equal(oss_cred_chain_new(&cred, &c->chain, &err), 0);
    assert_int_equal(oss_client_new(&f, c->chain, &c->client, &err), 0);
}

void server_client_fini(struct server_client *c)
{
    oss_client_free(c->client);
    if (c->chain)
        oss_cred_chain_free(c->chain);
    *c = (struct server_client){.chain = NULL};
}
