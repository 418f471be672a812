// Test helper: events written as JSON become exchanges and are fed to an alerter; what it raises is counted by rule.
#pragma once
#include "src/alert/alert.h"
#include "src/base/json.h"
#include "src/base/mem.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FEED_BEGIN_NS INT64_C(1700000000000000000)

struct feed {
    struct rules *rules;
    struct alerter *alerter;
    struct arena arena;
    uint64_t next_id;
    struct {
        char rule[64];
        unsigned count, attempts, outcomes, summaries;
        enum alert_level level;
        char id[33];
        char text[2048];
        char json[4096];
    } seen[256];
    size_t seen_count;
};

static inline size_t feed_place(struct feed *f, const char *rule)
{
    size_t i = 0;
    while (i < f->seen_count && strcmp(f->seen[i].rule, rule) != 0)
        i++;
    if (i == f->seen_count && i < 256) {
        memset(&f->seen[i], 0, sizeof f->seen[i]);
        snprintf(f->seen[i].rule, sizeof f->seen[i].rule, "%s", rule);
        f->seen_count++;
    }
    return i;
}

static inline void feed_alert(void *ctx, const struct alert *a)
{
    struct feed *f = ctx;
    size_t i = feed_place(f, a->rule);
    f->seen[i].count++;
    f->seen[i].attempts += a->attempt;
    f->seen[i].outcomes += a->outcome;
    f->seen[i].summaries += a->grouped;
    f->seen[i].level = a->level;
    memcpy(f->seen[i].id, a->id, 33);
    snprintf(f->seen[i].text, sizeof f->seen[i].text, "%.*s", (int)a->text.size, (const char *)a->text.at);
    snprintf(f->seen[i].json, sizeof f->seen[i].json, "%.*s", (int)a->json.size, (const char *)a->json.at);
}

static inline void feed_finding(void *ctx, const char *file, int line, const char *rule, const char *text, bool error)
{
    char *last = ctx;
    if (error && last && !*last)
        snprintf(last, 512, "%s:%d: %s: %s", file, line, rule, text);
}

static struct bytes feed_text(const struct json *j, const char *key)
{
    const struct json *m = json_member(j, key);
    return m && m->kind == JSON_KIND_STRING ? m->text : (struct bytes){0};
}

static int64_t feed_number(const struct json *j, const char *key, int64_t otherwise)
{
    const struct json *m = json_member(j, key);
    return m ? json_int(m, otherwise) : otherwise;
}

static double feed_real(const struct json *j, const char *key)
{
    const struct json *m = json_member(j, key);
    char text[40];
    if (!m)
        return 0;
    snprintf(text, sizeof text, "%.*s", (int)m->text.size, (const char *)m->text.at);
    return strtod(text, NULL);
}

static bool feed_flag(const struct json *j, const char *key)
{
    const struct json *m = json_member(j, key);
    return m && m->kind == JSON_KIND_TRUE;
}

static const struct bytes *feed_list(struct feed *f, const struct json *j, const char *key, size_t *count)
{
    const struct json *list = json_member(j, key);
    struct bytes *at = arena_alloc(&f->arena, (list ? list->count + 1 : 1) * sizeof *at);
    *count = 0;
    for (const struct json *c = list ? list->first : NULL; c; c = c->next)
        at[(*count)++] = c->text;
    return at;
}

static inline void feed_exchange(struct feed *f, const struct json *j, struct exchange *x)
{
    static const struct {
        const char *name;
        unsigned flag;
    } flags[] = {{"write", EXCHANGE_WRITE}, {"wildcard", EXCHANGE_WILDCARD}, {"malformed", EXCHANGE_MALFORMED}, {"undecoded", EXCHANGE_UNDECODED},
                 {"own", EXCHANGE_OWN}, {"truncated", EXCHANGE_TRUNCATED}, {"head_truncated", EXCHANGE_HEAD_TRUNCATED}};
    static const char *const outcomes[OUTCOMES] = {"ok", "partial", "failed", "unanswered", "unknown"};
    struct bytes ip = feed_text(j, "client_ip");
    char text[64] = "10.0.0.9";
    *x = (struct exchange){.id = ++f->next_id, .answered_ns = WHEN_UNKNOWN, .server.port = 9200, .client.port = 40000};
    x->time_ns = FEED_BEGIN_NS + (int64_t)(feed_real(j, "at") * 1e9);
    if (ip.size)
        snprintf(text, sizeof text, "%.*s", (int)ip.size, (const char *)ip.at);
    x->client.ip[10] = x->client.ip[11] = x->server.ip[10] = x->server.ip[11] = 0xff;
    assert_true(inet_pton(AF_INET, text, x->client.ip + 12) == 1 || inet_pton(AF_INET6, text, x->client.ip) == 1);
    x->verb = feed_text(j, "verb");
    x->path = feed_text(j, "path");
    x->api = feed_text(j, "api");
    x->action = feed_text(j, "action");
    x->principal = feed_text(j, "principal");
    x->agent = feed_text(j, "agent");
    x->opaque_id = feed_text(j, "opaque_id");
    x->run_as = feed_text(j, "run_as");
    x->reason = feed_text(j, "reason");
    x->danger = feed_text(j, "destructive");
    x->body_head = feed_text(j, "body");
    x->targets = feed_list(f, j, "targets", &x->target_count);
    x->status = (int)feed_number(j, "status", 0);
    x->docs = feed_number(j, "docs", -1);
    x->docs_ok = feed_number(j, "docs_ok", -1);
    x->docs_failed = feed_number(j, "docs_failed", -1);
    x->docs_deleted = feed_number(j, "docs_deleted", -1);
    x->docs_total = feed_number(j, "docs_total", -1);
    x->took_ms = feed_number(j, "took_ms", -1);
    x->request_bytes = (uint64_t)feed_number(j, "request_bytes", 0);
    x->response_bytes = (uint64_t)feed_number(j, "response_bytes", 0);
    x->outcome = OUTCOME_UNKNOWN;
    for (int i = 0; i < OUTCOMES; i++)
        if (bytes_equal_text(feed_text(j, "outcome"), outcomes[i]))
            x->outcome = (enum outcome)i;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        x->flags |= feed_flag(j, flags[i].name) ? flags[i].flag : 0;
}

// One event, `repeat` times `step` seconds apart. "attempt": alert_attempt alone; "both": attempt, then the outcome.
static inline void feed_event(struct feed *f, const struct json *j)
{
    int64_t repeat = feed_number(j, "repeat", 1);
    double step = feed_real(j, "step");
    for (int64_t n = 0; n < repeat; n++) {
        struct exchange x;
        feed_exchange(f, j, &x);
        x.time_ns += (int64_t)((double)n * step * 1e9);
        if (feed_flag(j, "gap")) {
            struct stream_gap gap = {.from_ns = x.time_ns - 1000, .to_ns = x.time_ns, .size_bytes = 100, .cause = GAP_LOST};
            alert_gap(f->alerter, &gap);
            continue;
        }
        alert_tick(f->alerter, x.time_ns);
        if (feed_flag(j, "attempt") || feed_flag(j, "both")) {
            struct exchange attempt = x;
            attempt.outcome = OUTCOME_UNANSWERED;
            attempt.status = 0;
            attempt.flags |= EXCHANGE_ATTEMPT;
            alert_attempt(f->alerter, &attempt);
        }
        if (feed_flag(j, "attempt"))
            continue;
        for (int64_t i = feed_number(j, "overwritten", 0); i > 0; i--) {
            struct op op = {.exchange = x.id, .kind = OP_INDEX, .result = OP_UPDATED, .index = x.target_count ? x.targets[0] : (struct bytes){0}, .seq_no = OP_NONE, .version = 2};
            alert_ops(f->alerter, &op, 1);
        }
        for (int64_t i = feed_number(j, "created", 0), k = 0; i > 0; i--, k++) {
            struct op op = {.exchange = x.id, .kind = OP_INDEX, .result = OP_CREATED, .index = x.target_count ? x.targets[0] : (struct bytes){0}, .seq_no = k, .version = 1};
            alert_ops(f->alerter, &op, 1);
        }
        alert_done(f->alerter, &x);
    }
}

// Rules: text of a file, or NULL for the built-in pack.
static inline void feed_open_live(struct feed *f, const char *text, bool live)
{
    struct fault fault = {0};
    char finding[512] = "";
    memset(f, 0, sizeof *f);
    arena_init(&f->arena, 0);
    f->rules = rules_open();
    assert_non_null(f->rules);
    assert_true(text ? rules_add_text(f->rules, "test.yml", bytes_of_text(text), feed_finding, finding, &fault) : rules_add_builtin(f->rules, &fault));
    assert_true(rules_seal(f->rules, feed_finding, finding, &fault));
    assert_string_equal(finding, "");
    struct alert_settings settings = {.tape_hint = "--tape T", .live = live};
    f->alerter = alert_open(&settings, f->rules, feed_alert, f);
    assert_non_null(f->alerter);
}

static inline void feed_open(struct feed *f, const char *text)
{
    feed_open_live(f, text, true);
}

static inline void feed_close(struct feed *f)
{
    alert_close(f->alerter);
    rules_close(f->rules);
    arena_fini(&f->arena);
}

static inline void feed_json(struct feed *f, const char *text)
{
    struct json *j = json_parse(&f->arena, bytes_of_text(text), NULL);
    assert_non_null(j);
    if (j->kind == JSON_KIND_ARRAY)
        for (const struct json *c = j->first; c; c = c->next)
            feed_event(f, c);
    else
        feed_event(f, j);
}

static inline unsigned feed_count(struct feed *f, const char *rule)
{
    return f->seen[feed_place(f, rule)].count;
}
