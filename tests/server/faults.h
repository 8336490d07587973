/*
 * Faults: rules that make the server misbehave for chosen requests.
 *
 * A rule says for which requests (operation, key pattern, part number), which of
 * them (the n-th, every n-th, a stretch, by chance), and what to do. README.md has
 * the JSON. For each request all rules are asked in the order they were added;
 * those that act are merged into one *plan*, which the request then carries out.
 * Each rule counts the requests that match it, whether it acts or not.
 *
 * Any thread may call; a lock inside guards the rules.
 */
#ifndef SRV_FAULTS_H
#define SRV_FAULTS_H

#include "server/buf.h"

#include <stdint.h>

enum srv_cut {
    SRV_CUT_NONE,
    SRV_CUT_BEFORE_BODY, /* right after the request's head */
    SRV_CUT_AFTER_BODY,  /* the body was read, nothing is changed */
    SRV_CUT_AFTER_BYTES, /* of the request's body, or of the reply's if it has none */
    SRV_CUT_NO_ANSWER,   /* the change is made, its answer lost */
};

enum srv_when {
    SRV_BEFORE_BODY,
    SRV_AFTER_BODY,
    SRV_AFTER_APPLY,
    SRV_AT_BYTES,
};

enum srv_mangle {
    SRV_MANGLE_NONE,
    SRV_MANGLE_HTML,      /* HTML instead of the reply */
    SRV_MANGLE_MALFORMED, /* an end tag is wrong */
    SRV_MANGLE_TRUNCATED, /* the second half is missing */
    SRV_MANGLE_EMPTY,     /* 200 without a body */
};

/* What one request is to suffer. Zeroed memory is "nothing". */
struct srv_plan {
    char ids[96]; /* of the rules that act, joined by ',' */
    uint64_t delay_ms;

    /* answer .status instead of doing anything; 0: no */
    char *code;
    char *message;
    struct srv_pairs headers; /* further reply headers */
    int status;

    enum srv_cut cut;
    uint64_t cut_bytes;
    uint64_t stall_ms; /* 0: until the client goes */
    uint64_t stall_bytes;
    uint64_t clearing; /* with .until_cleared: srv_faults_clearing() when the rule acted */
    enum srv_when stall_when;

    enum srv_mangle mangle;
    int mangle_status;         /* with HTML */
    unsigned short_page;       /* most entries of a listing page; 0: as asked */
    uint64_t slow_bytes_per_s; /* bodies, both directions; 0: no */
    uint64_t qos_delay_ms;     /* value of x-oss-qos-delay-time; 0: none */
    uint64_t corrupt_at;       /* byte of the body, with .corrupt */
    char *omit;                /* DeleteMultiple: leave out keys of this pattern */
    char *replace_body;        /* first put this at the key behind the client's back */

    bool no_drain;         /* with .status: answer before the body was read */
    bool stall;            /* hold still at .stall_when */
    bool until_cleared;    /* the stall ends when the rules are cleared */
    bool skip_apply;       /* with a mangled reply: do not do what was asked */
    bool wrong_crc;        /* in the answer */
    bool wrong_etag;       /* in the answer */
    bool corrupt;          /* flip a bit */
    bool ignore_range;     /* 200 with everything */
    bool lie_about_length; /* Content-Length promises more than comes */
    bool abort_upload;     /* first abort the upload behind the client's back */
};

void srv_plan_fini(struct srv_plan *plan);

struct srv_faults;
struct srv_faults *srv_faults_new(void);
void srv_faults_free(struct srv_faults *f);

/*
 * srv_faults_add() - rules from JSON, one object or an array of them
 * @reply: {"ids":[...]}, or why not
 * Return: 0, or -1 and no rule was added.
 */
int srv_faults_add(struct srv_faults *f, const char *json, struct srv_buf *reply);
void srv_faults_list(struct srv_faults *f, struct srv_buf *reply); /* rules with their counts */
void srv_faults_clear(struct srv_faults *f);
uint64_t srv_faults_clearing(struct srv_faults *f); /* how often the rules were cleared */

/* @key: NULL if the request has none; @part: 0 if it has none */
void srv_faults_match(struct srv_faults *f, const char *operation, const char *key, uint64_t part,
                      struct srv_plan *plan);

#endif
