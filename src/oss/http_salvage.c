/*
 * The answer that came before the body was sent.
 *
 * A server that refuses an upload answers at once and hangs up; our next write then fails, and
 * curl gives up though the answer lies in the socket, where it arrived before the hang-up. It is
 * read here, when curl closes the connection, so that a 403 is a 403 and not a broken pipe.
 *
 * Plain HTTP only: what lies in the socket of a TLS connection cannot be read without its
 * keys, which are gone by then. There the request counts as broken and is repeated.
 */
#include "base/cleanup.h"
#include "oss/http_curl.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ANSWER_MAX 65536u /* head and body of a refusal */

static bool is_waiting_for_answer(const struct run *r)
{
    return r->sends && !r->replied && r->result == 0 && r->x->body_size &&
           !strncmp(r->x->url, "http:", 5);
}

static size_t receive(int fd, char *buf)
{
    size_t len = 0;
    ssize_t got;

    while (len < ANSWER_MAX && (got = recv(fd, buf + len, ANSWER_MAX - len, MSG_DONTWAIT)) > 0)
        len += (size_t)got;
    return len;
}

void oss_http_salvage(struct run *r, int fd)
{
    ou_autofree char *answer = NULL;
    const char *at, *end, *body;

    if (!is_waiting_for_answer(r))
        return;
    answer = malloc(ANSWER_MAX);
    if (!answer)
        return;
    end = answer + receive(fd, answer);
    /* Only a whole head, of one block, that says no: anything else is a broken connection. */
    if (end - answer < 16 || memcmp(answer, "HTTP/1.", 7) != 0 ||
        (answer[9] != '4' && answer[9] != '5'))
        return;
    body = memmem(answer, (size_t)(end - answer), "\r\n\r\n", 4);
    if (!body)
        return;
    body += 4;
    for (at = answer; at < body && r->result == 0;) {
        const char *next = memchr(at, '\n', (size_t)(body - at));

        next = next ? next + 1 : body;
        oss_http_take_line(r, at, (size_t)(next - at));
        at = next;
    }
    if (r->replied && body < end)
        oss_http_take_body(r, body, (size_t)(end - body));
}
