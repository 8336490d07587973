#include "server/faults.h"

#include "server/lock.h"
#include "server/record.h"
#include "server/text.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

struct rule {
    struct rule *next;
    char *id;
    char *operation; /* "*": any */
    char *key;       /* glob, NULL: any */
    uint64_t part;   /* 0: any */
    uint64_t nth;    /* only this one; 0: does not matter, as all below */
    uint64_t every;
    uint64_t from;
    uint64_t count; /* act at most so often */
    double probability;
    json_object *json; /* as it came, for the list */
    json_object *action;
    uint64_t seen;  /* requests that matched */
    uint64_t acted; /* of them */
};

struct srv_faults {
    pthread_mutex_t lock; /* guards all below */
    struct rule *first;
    struct rule **end;
    uint64_t next_id;
    uint64_t clearing;
    uint64_t random;
};

struct srv_faults *srv_faults_new(void)
{
    struct srv_faults *f = srv_xcalloc(1, sizeof(*f));

    (void)pthread_mutex_init(&f->lock, NULL);
    f->end = &f->first;
    f->next_id = 1;
    if (getrandom(&f->random, sizeof(f->random), 0) != sizeof(f->random))
        f->random = 1;
    f->random |= 1;
    return f;
}

static void free_rules(struct rule *rule)
{
    while (rule != NULL) {
        struct rule *next = rule->next;

        (void)json_object_put(rule->json);
        free(rule->id);
        free(rule->operation);
        free(rule->key);
        free(rule);
        rule = next;
    }
}

void srv_faults_free(struct srv_faults *f)
{
    if (f == NULL)
        return;
    free_rules(f->first);
    (void)pthread_mutex_destroy(&f->lock);
    free(f);
}

void srv_faults_clear(struct srv_faults *f)
{
    srv_lock_scope(&f->lock);
    free_rules(f->first);
    f->first = NULL;
    f->end = &f->first;
    f->clearing++;
}

uint64_t srv_faults_clearing(struct srv_faults *f)
{
    srv_lock_scope(&f->lock);
    return f->clearing;
}

/* --- reading rules --- */

static uint64_t number(json_object *json, const char *name)
{
    int64_t value = srv_json_int(json, name, 0);

    return value > 0 ? (uint64_t)value : 0;
}

static const char *const known_actions[] = {
    "status",       "cut-before-body", "cut-after-body", "cut-after-bytes", "apply-no-answer",
    "delay",        "stall",           "slow",           "wrong-crc",       "wrong-etag",
    "corrupt-body", "expire-token",    "html",           "malformed-xml",   "truncated-xml",
    "ignore-range", "omit-key",        "short-page",     "empty-body-200",  "bad-content-length",
    "abort-upload", "replace-object",
};

static bool is_known_action(const char *type)
{
    for (size_t i = 0; i < sizeof(known_actions) / sizeof(known_actions[0]); i++)
        if (srv_streq(known_actions[i], type))
            return true;
    return false;
}

static const char *const known_members[] = {
    "id", "operation", "key", "part", "nth", "every", "from", "count", "probability", "action",
};

/* A misspelt member would make a rule that acts always, or never: refuse it. */
static bool members_known(json_object *json)
{
    json_object_object_foreach(json, name, value)
    {
        bool known = false;

        (void)value;
        for (size_t i = 0; i < sizeof(known_members) / sizeof(known_members[0]); i++)
            known = known || srv_streq(known_members[i], name);
        if (!known)
            return false;
    }
    return true;
}

static struct rule *read_rule(json_object *json, const char **why)
{
    json_object *action = srv_json_member(json, "action");
    json_object *chance = srv_json_member(json, "probability");
    const char *type = srv_json_text(action, "type");
    struct rule *rule;

    if (!json_object_is_type(json, json_type_object) || !members_known(json)) {
        *why = "a rule has an unknown member";
        return NULL;
    }
    if (srv_json_text(json, "operation") == NULL || type == NULL || !is_known_action(type)) {
        *why = "a rule needs an operation and an action of a known type";
        return NULL;
    }
    rule = srv_xcalloc(1, sizeof(*rule));
    rule->json = json_object_get(json);
    rule->action = action;
    rule->id = srv_xstrdup(srv_json_text(json, "id"));
    rule->operation = srv_xstrdup(srv_json_text(json, "operation"));
    rule->key = srv_xstrdup(srv_json_text(json, "key"));
    rule->part = number(json, "part");
    rule->nth = number(json, "nth");
    rule->every = number(json, "every");
    rule->from = number(json, "from");
    rule->count = number(json, "count");
    rule->probability = chance == NULL ? 1.0 : json_object_get_double(chance);
    return rule;
}

static struct rule *read_rules(json_object *json, const char **why)
{
    bool list = json_object_is_type(json, json_type_array);
    size_t count = list ? json_object_array_length(json) : 1;
    struct rule *first = NULL;
    struct rule **end = &first;

    for (size_t i = 0; i < count; i++) {
        *end = read_rule(list ? json_object_array_get_idx(json, i) : json, why);
        if (*end == NULL) {
            free_rules(first);
            return NULL;
        }
        end = &(*end)->next;
    }
    return first;
}

int srv_faults_add(struct srv_faults *f, const char *json, struct srv_buf *reply)
{
    json_object *parsed = json_tokener_parse(json);
    const char *why = "this is no JSON";
    struct rule *rules = parsed == NULL ? NULL : read_rules(parsed, &why);

    (void)json_object_put(parsed);
    if (rules == NULL) {
        srv_buf_puts(reply, "{\"error\":");
        srv_json_string(reply, why);
        srv_buf_puts(reply, "}\n");
        return -1;
    }
    srv_lock_scope(&f->lock);
    *f->end = rules;
    srv_buf_puts(reply, "{\"ids\":[");
    for (struct rule *rule = rules; rule != NULL; rule = rule->next) {
        if (rule->id == NULL)
            rule->id = srv_xasprintf("rule-%" PRIu64, f->next_id++);
        if (rule != rules)
            srv_buf_puts(reply, ",");
        srv_json_string(reply, rule->id);
        f->end = &rule->next;
    }
    srv_buf_puts(reply, "]}\n");
    return 0;
}

void srv_faults_list(struct srv_faults *f, struct srv_buf *reply)
{
    srv_lock_scope(&f->lock);
    srv_buf_puts(reply, "[");
    for (const struct rule *rule = f->first; rule != NULL; rule = rule->next) {
        srv_buf_puts(reply, rule == f->first ? "{\"id\":" : ",\n{\"id\":");
        srv_json_string(reply, rule->id);
        srv_buf_printf(reply, ",\"seen\":%" PRIu64 ",\"acted\":%" PRIu64 ",\"rule\":%s}",
                       rule->seen, rule->acted,
                       json_object_to_json_string_ext(rule->json, JSON_C_TO_STRING_PLAIN));
    }
    srv_buf_puts(reply, "]\n");
}

/* --- which rules act --- */

static bool matches(const struct rule *rule, const char *operation, const char *key, uint64_t part)
{
    if (!srv_streq(rule->operation, "*") && !srv_streq(rule->operation, operation))
        return false;
    if (rule->part != 0 && rule->part != part)
        return false;
    return rule->key == NULL || (key != NULL && fnmatch(rule->key, key, 0) == 0);
}

static bool chance_locked(struct srv_faults *f, double probability)
{
    if (probability >= 1.0)
        return true;
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return (double)(f->random >> 11) / (double)(UINT64_C(1) << 53) < probability;
}

static bool acts_locked(struct srv_faults *f, struct rule *rule)
{
    rule->seen++;
    if (rule->nth != 0 && rule->seen != rule->nth)
        return false;
    if (rule->every != 0 && rule->seen % rule->every != 0)
        return false;
    if (rule->seen < rule->from)
        return false;
    if (rule->count != 0 && rule->acted >= rule->count)
        return false;
    if (!chance_locked(f, rule->probability))
        return false;
    rule->acted++;
    return true;
}

/* --- what they do --- */

static void plan_status(json_object *a, struct srv_plan *plan)
{
    const char *code = srv_json_text(a, "code");
    const char *message = srv_json_text(a, "message");
    json_object *headers = srv_json_member(a, "headers");
    int64_t retry_after = srv_json_int(a, "retry_after", -1);

    if (plan->status != 0)
        return;
    plan->status = (int)srv_json_int(a, "status", 503);
    plan->code = srv_xstrdup(code == NULL ? "ServiceUnavailable" : code);
    plan->message = srv_xstrdup(message == NULL ? "A fault rule says so." : message);
    plan->no_drain = !srv_json_bool(a, "drain", true);
    if (retry_after >= 0) {
        srv_autofree char *text = srv_xasprintf("%" PRId64, retry_after);

        srv_pairs_add(&plan->headers, "Retry-After", text);
    }
    if (json_object_is_type(headers, json_type_object)) {
        json_object_object_foreach(headers, name, value)
        {
            srv_pairs_add(&plan->headers, name, json_object_get_string(value));
        }
    }
}

static void plan_stall_locked(const struct srv_faults *f, json_object *a, struct srv_plan *plan)
{
    const char *when = srv_json_text(a, "when");
    const char *until = srv_json_text(a, "until");

    plan->stall = true;
    plan->stall_ms = number(a, "ms");
    plan->stall_bytes = number(a, "bytes");
    plan->until_cleared = until != NULL && srv_streq(until, "cleared");
    plan->clearing = f->clearing;
    plan->stall_when = SRV_AFTER_BODY;
    if (srv_json_member(a, "bytes") != NULL)
        plan->stall_when = SRV_AT_BYTES;
    else if (when != NULL && srv_streq(when, "before-body"))
        plan->stall_when = SRV_BEFORE_BODY;
    else if (when != NULL && srv_streq(when, "after-apply"))
        plan->stall_when = SRV_AFTER_APPLY;
}

static void plan_mangle(json_object *a, struct srv_plan *plan, enum srv_mangle mangle, bool apply)
{
    plan->mangle = mangle;
    plan->mangle_status = (int)srv_json_int(a, "status", 502);
    plan->skip_apply = !srv_json_bool(a, "apply", apply);
}

static void plan_cut(json_object *a, struct srv_plan *plan, enum srv_cut cut)
{
    plan->cut = cut;
    plan->cut_bytes = number(a, "bytes");
}

static void plan_text(char **slot, json_object *a, const char *name, const char *fallback)
{
    const char *text = srv_json_text(a, name);

    free(*slot);
    *slot = srv_xstrdup(text == NULL ? fallback : text);
}

static void plan_expired(struct srv_plan *plan)
{
    if (plan->status != 0)
        return;
    plan->status = 403;
    plan->code = srv_xstrdup("SecurityTokenExpired");
    plan->message = srv_xstrdup("The security token you provided has expired.");
}

static void merge_locked(const struct srv_faults *f, json_object *a, struct srv_plan *plan)
{
    const char *type = srv_json_text(a, "type");

    if (srv_streq(type, "status")) {
        plan_status(a, plan);
    } else if (srv_streq(type, "cut-before-body")) {
        plan_cut(a, plan, SRV_CUT_BEFORE_BODY);
    } else if (srv_streq(type, "cut-after-body")) {
        plan_cut(a, plan, SRV_CUT_AFTER_BODY);
    } else if (srv_streq(type, "cut-after-bytes")) {
        plan_cut(a, plan, SRV_CUT_AFTER_BYTES);
    } else if (srv_streq(type, "apply-no-answer")) {
        plan_cut(a, plan, SRV_CUT_NO_ANSWER);
    } else if (srv_streq(type, "delay")) {
        plan->delay_ms += number(a, "ms");
    } else if (srv_streq(type, "stall")) {
        plan_stall_locked(f, a, plan);
    } else if (srv_streq(type, "slow")) {
        plan->slow_bytes_per_s = number(a, "bytes_per_s");
        plan->qos_delay_ms = (uint64_t)srv_json_int(a, "qos_delay_ms", 1000);
    } else if (srv_streq(type, "wrong-crc")) {
        plan->wrong_crc = true;
    } else if (srv_streq(type, "wrong-etag")) {
        plan->wrong_etag = true;
    } else if (srv_streq(type, "corrupt-body")) {
        plan->corrupt = true;
        plan->corrupt_at = number(a, "at");
    } else if (srv_streq(type, "expire-token")) {
        plan_expired(plan);
    } else if (srv_streq(type, "html")) {
        plan_mangle(a, plan, SRV_MANGLE_HTML, false);
    } else if (srv_streq(type, "malformed-xml")) {
        plan_mangle(a, plan, SRV_MANGLE_MALFORMED, true);
    } else if (srv_streq(type, "truncated-xml")) {
        plan_mangle(a, plan, SRV_MANGLE_TRUNCATED, true);
    } else if (srv_streq(type, "empty-body-200")) {
        plan_mangle(a, plan, SRV_MANGLE_EMPTY, false);
    } else if (srv_streq(type, "ignore-range")) {
        plan->ignore_range = true;
    } else if (srv_streq(type, "omit-key")) {
        plan_text(&plan->omit, a, "omit", "*");
    } else if (srv_streq(type, "short-page")) {
        plan->short_page = (unsigned)srv_json_int(a, "max", 1);
    } else if (srv_streq(type, "bad-content-length")) {
        plan->lie_about_length = true;
    } else if (srv_streq(type, "abort-upload")) {
        plan->abort_upload = true;
    } else {
        plan_text(&plan->replace_body, a, "body", "replaced behind the client's back");
    }
}

void srv_faults_match(struct srv_faults *f, const char *operation, const char *key, uint64_t part,
                      struct srv_plan *plan)
{
    srv_lock_scope(&f->lock);
    for (struct rule *rule = f->first; rule != NULL; rule = rule->next) {
        size_t len = strlen(plan->ids);

        if (!matches(rule, operation, key, part) || !acts_locked(f, rule))
            continue;
        (void)snprintf(plan->ids + len, sizeof(plan->ids) - len, "%s%s", len > 0 ? "," : "",
                       rule->id);
        merge_locked(f, rule->action, plan);
    }
}

void srv_plan_fini(struct srv_plan *plan)
{
    free(plan->code);
    free(plan->message);
    free(plan->omit);
    free(plan->replace_body);
    srv_pairs_fini(&plan->headers);
    *plan = (struct srv_plan){0};
}
