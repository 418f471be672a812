// Writes alerts out: who did what to which index, from where, with what, when, what became of it, and what to type next.
//
// Everything that came from the wire passes text_add_safe or the JSON writer: a hostile agent cannot draw on a terminal.
#include "text.h"

#include "../base/clock.h"
#include "baseline.h"

#include <stdio.h>

enum { VALUE_MAX = 160, LIST_MAX = 6, JSON_VALUE_MAX = 2048 };

#define ATTEMPTED "Attempted: the answer is not known yet."
#define KIND_ATTEMPT "\"kind\":\"attempt\""

static const char *const outcome_words[OUTCOMES] = {"ok", "partial", "failed", "unanswered", "unknown"};

void text_add_safe(struct buf *out, struct bytes text, size_t most)
{
    size_t n = text.size;
    if (n > most) {
        n = most;
        while (n && (text.at[n] & 0xc0) == 0x80)
            n--;
    }
    for (size_t i = 0; i < n; i++) {
        uint8_t c = text.at[i];
        bool c1 = c == 0xc2 && i + 1 < n && text.at[i + 1] < 0xa0;
        if (c < 0x20 || c == 0x7f || c1) {
            buf_format(out, "\\x%02x", c1 ? text.at[++i] : c);
            continue;
        }
        buf_add_byte(out, c);
    }
    if (n < text.size)
        buf_add_text(out, "...");
}

static void add_targets(struct buf *out, const struct exchange *x)
{
    size_t count = x->index_count && !x->target_count ? x->index_count : x->target_count;
    for (size_t i = 0; i < count && i < LIST_MAX; i++) {
        buf_add_text(out, i ? ", " : "");
        text_add_safe(out, x->target_count ? x->targets[i] : x->indices[i].index, VALUE_MAX);
    }
    if (count > LIST_MAX)
        buf_format(out, " and %zu more", count - LIST_MAX);
}

static void add_who(struct buf *out, struct event *e)
{
    const struct exchange *x = e->x;
    buf_add_text(out, " by ");
    if (x->principal.size)
        text_add_safe(out, x->principal, VALUE_MAX);
    else
        buf_add_text(out, "an anonymous caller");
    if (x->run_as.size) {
        buf_add_text(out, " as ");
        text_add_safe(out, x->run_as, VALUE_MAX);
    }
    buf_format(out, " from %s", event_client_ip(e));
    if (x->forwarded_for.size) {
        buf_add_text(out, " (forwarded for ");
        text_add_safe(out, x->forwarded_for, VALUE_MAX);
        buf_add_text(out, ")");
    }
    if (x->agent.size) {
        buf_add_text(out, " with ");
        text_add_safe(out, x->agent, VALUE_MAX);
    }
}

static void add_time(struct buf *out, int64_t time_ns)
{
    char text[48];
    if (time_ns != WHEN_UNKNOWN)
        buf_format(out, " at %s", clock_format_utc(time_ns, text, sizeof text));
}

static void add_outcome(struct buf *out, const struct telling *t, struct event *e)
{
    const struct exchange *x = e->x;
    if (e->attempt) {
        buf_add_text(out, " " ATTEMPTED);
        return;
    }
    switch (x->outcome) {
    case OUTCOME_OK: buf_add_text(out, " Done"); break;
    case OUTCOME_PARTIAL: buf_add_text(out, " Done in part"); break;
    case OUTCOME_FAILED: buf_add_text(out, " Refused: it had no effect"); break;
    case OUTCOME_UNANSWERED: buf_add_text(out, " Unanswered: the client or the connection went away, and the cluster may well have done it"); break;
    default: buf_add_text(out, " Its answer was not seen, so whether it was done is unknown"); break;
    }
    if (x->status > 0)
        buf_format(out, " (%d", x->status);
    if (x->reason.size) {
        buf_add_text(out, x->status > 0 ? ", " : " (");
        text_add_safe(out, x->reason, VALUE_MAX);
    }
    buf_add_text(out, x->status > 0 || x->reason.size ? ")" : "");
    if (x->docs_deleted > 0)
        buf_format(out, ", %lld documents deleted", (long long)x->docs_deleted);
    else if (x->docs > 0)
        buf_format(out, ", %lld document writes", (long long)x->docs);
    buf_add_text(out, ".");
    (void)t;
}

static void add_usual(struct buf *out, struct event *e)
{
    struct bytes index = {0};
    if (!e->baseline || !(e->x->flags & EXCHANGE_WRITE))
        return;
    if (baseline_live_writes(e->baseline, e->x, &index) && !e->ops) {
        double rate = baseline_rate(e->baseline, index);
        buf_add_text(out, " ");
        text_add_safe(out, index, VALUE_MAX);
        buf_add_text(out, " is taking writes");
        if (rate >= 0.1)
            buf_format(out, ", about %.*f a second", rate < 10 ? 1 : 0, rate);
        buf_add_text(out, ".");
    }
    int64_t known = baseline_known_docs(e->baseline, e->x);
    if (known > 0)
        buf_format(out, " It was known to hold %lld documents.", (long long)known);
    if (baseline_gap_before(e->baseline, e->x, 60 * WHEN_NS_PER_S))
        buf_add_text(out, " Part of what happened in the minute before it was not recorded.");
}

static bool destroys(const struct rule *rule)
{
    for (size_t i = 0; rule && i < rule->tag_count; i++)
        if (strcmp(rule->tags[i], "attack.t1485") == 0)
            return true;
    return false;
}

// What to type: the story around it; and, where data was destroyed, how everything but this one call comes back: what would be
// written first, since that needs no target and does no harm when it is pasted as it stands.
static void add_next(struct buf *out, const struct telling *t, bool json)
{
    const char *hint = t->tape_hint ? t->tape_hint : "";
    if (!t->exchange)
        return;
    struct buf line = {0};
    buf_format(&line, "estape timeline --around %llu%s%s", (unsigned long long)t->exchange, *hint ? " " : "", hint);
    if (json) {
        json_write_text(out, buf_view(&line));
    } else {
        buf_add_text(out, " Next: ");
        text_add_safe(out, buf_view(&line), 4096);
    }
    buf_fini(&line);
    if (destroys(t->rule) && !(t->event && !t->event->attempt && t->event->x->outcome == OUTCOME_FAILED)) {
        buf_format(&line, "estape replay --skip %llu%s%s --dry-run", (unsigned long long)t->exchange, *hint ? " " : "", hint);
        if (json) {
            buf_add_text(out, ",");
            json_write_text(out, buf_view(&line));
        } else {
            buf_add_text(out, "; to have everything but this call back: ");
            text_add_safe(out, buf_view(&line), 4096);
        }
        buf_fini(&line);
    }
}

static void add_group(struct buf *out, const struct fired *f)
{
    const struct correlation *k = f->rule->correlation;
    struct bytes rest = f->group;
    for (size_t i = 0; i < k->key_count; i++) {
        const uint8_t *end = rest.size ? memchr(rest.at, 0x1f, rest.size) : NULL;
        struct bytes one = bytes_of(rest.at, end ? (size_t)(end - rest.at) : rest.size);
        rest = bytes_from(rest, one.size + (end ? 1 : 0));
        buf_add_text(out, i ? ", " : " [");
        text_add_safe(out, k->keys[i].name, 64);
        buf_add_text(out, " ");
        text_add_safe(out, one.size ? one : bytes_of_text("-"), VALUE_MAX);
    }
    buf_add_text(out, k->key_count ? "]" : "");
}

static void add_fired(struct buf *out, const struct fired *f)
{
    static const char *const units[] = {"matches", "distinct values", "in sum", "", ""};
    const struct correlation *k = f->rule->correlation;
    char span[40];
    clock_format_span(f->time_ns - f->first_ns, span, sizeof span);
    if (*units[k->type])
        buf_format(out, " %.10g %s in %s", f->number, units[k->type], span);
    else
        buf_format(out, " %llu steps in %s", (unsigned long long)f->matches, span);
    add_group(out, f);
    for (size_t i = 0; i < f->value_count; i++) {
        buf_add_text(out, i ? ", " : ": ");
        text_add_safe(out, f->values[i], VALUE_MAX);
    }
    buf_add_text(out, "; exchanges");
    for (size_t i = 0; i < f->exchange_count; i++)
        buf_format(out, " %llu", (unsigned long long)f->exchanges[i]);
    buf_add_text(out, ".");
}

void telling_text(const struct telling *t, struct buf *out)
{
    struct event *e = t->event;
    for (const char *c = alert_level_names[t->level]; *c; c++)
        buf_add_byte(out, (uint8_t)(*c & ~32));
    buf_add_text(out, ": ");
    text_add_safe(out, bytes_of_text(t->title), 256);
    if (t->repeats) {
        char span[40];
        buf_format(out, ": %llu more like it in %s", (unsigned long long)t->repeats, clock_format_span(t->time_ns - t->repeats_from_ns, span, sizeof span));
    }
    if (t->own_text.size) {
        buf_add_text(out, ": ");
        text_add_safe(out, t->own_text, 1024);
    }
    if (e && (e->x->target_count || e->x->index_count)) {
        buf_add_text(out, ": ");
        add_targets(out, e->x);
    }
    if (e)
        add_who(out, e);
    add_time(out, t->time_ns);
    buf_add_text(out, ".");
    if (e) {
        buf_add_text(out, " ");
        text_add_safe(out, e->x->verb, 32);
        buf_add_text(out, " ");
        text_add_safe(out, e->x->path, VALUE_MAX);
        buf_add_text(out, ".");
    }
    if (t->fired)
        add_fired(out, t->fired);
    if (e) {
        add_outcome(out, t, e);
        add_usual(out, e);
    }
    add_next(out, t, false);
}

// ---- JSON -------------------------------------------------------------------------------------------------------------

static void add_name(struct buf *out, const char *name)
{
    buf_format(out, "%s\"%s\":", out->size > 1 ? "," : "", name);
}

static void add_string(struct buf *out, const char *name, struct bytes text)
{
    add_name(out, name);
    if (text.size)
        json_write_text(out, text.size > JSON_VALUE_MAX ? bytes_of(text.at, JSON_VALUE_MAX) : text);
    else
        buf_add_text(out, "null");
}

static void add_number(struct buf *out, const char *name, int64_t n)
{
    add_name(out, name);
    if (n < 0)
        buf_add_text(out, "null");
    else
        buf_format(out, "%lld", (long long)n);
}

static void add_moment(struct buf *out, const char *name, int64_t ns)
{
    char text[48];
    add_string(out, name, ns == WHEN_UNKNOWN ? (struct bytes){0} : bytes_of_text(clock_format_utc(ns, text, sizeof text)));
}

static void add_exchange(struct buf *out, struct event *e)
{
    const struct exchange *x = e->x;
    add_string(out, "principal", x->principal);
    add_string(out, "run_as", x->run_as);
    add_string(out, "client_ip", bytes_of_text(event_client_ip(e)));
    add_string(out, "forwarded_for", x->forwarded_for);
    add_string(out, "agent", x->agent);
    add_string(out, "opaque_id", x->opaque_id);
    add_string(out, "verb", x->verb);
    add_string(out, "path", x->path);
    add_string(out, "api", x->api);
    add_name(out, "targets");
    buf_add_text(out, "[");
    for (size_t i = 0; i < x->target_count && i < 256; i++) {
        buf_add_text(out, i ? "," : "");
        json_write_text(out, x->targets[i]);
    }
    buf_add_text(out, "]");
    add_name(out, "indices");
    buf_add_text(out, "[");
    bool any = false;
    for (size_t i = 0; i < x->index_count && i < 256; i++) {
        if (!x->indices[i].concrete)
            continue;
        buf_add_text(out, any ? "," : "");
        json_write_text(out, x->indices[i].index);
        any = true;
    }
    buf_add_text(out, "]");
    add_number(out, "docs", x->docs);
    add_number(out, "docs_deleted", x->docs_deleted);
    add_number(out, "status", !e->attempt && x->status > 0 ? x->status : -1);
    add_string(out, "outcome", e->attempt ? (struct bytes){0} : bytes_of_text(outcome_words[x->outcome < OUTCOMES ? x->outcome : OUTCOME_UNKNOWN]));
    add_string(out, "reason", e->attempt ? (struct bytes){0} : x->reason);
}

static void add_nothing(struct buf *out)
{
    static const char *const names[] = {"principal", "run_as", "client_ip", "forwarded_for", "agent", "opaque_id", "verb", "path", "api"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        add_string(out, names[i], (struct bytes){0});
    buf_add_text(out, ",\"targets\":[],\"indices\":[],\"docs\":null,\"docs_deleted\":null,\"status\":null,\"outcome\":null,\"reason\":null");
}

static void add_correlation(struct buf *out, const struct fired *f)
{
    const struct correlation *k = f->rule->correlation;
    struct bytes rest = f->group;
    add_name(out, "group");
    buf_add_text(out, "{");
    for (size_t i = 0; i < k->key_count; i++) {
        const uint8_t *end = rest.size ? memchr(rest.at, 0x1f, rest.size) : NULL;
        struct bytes one = bytes_of(rest.at, end ? (size_t)(end - rest.at) : rest.size);
        rest = bytes_from(rest, one.size + (end ? 1 : 0));
        buf_add_text(out, i ? "," : "");
        json_write_text(out, k->keys[i].name);
        buf_add_text(out, ":");
        json_write_text(out, one);
    }
    buf_add_text(out, "}");
    add_moment(out, "window_start", f->first_ns);
    add_name(out, "number");
    buf_format(out, "%.15g", f->number);
    add_name(out, "exchanges");
    buf_add_text(out, "[");
    for (size_t i = 0; i < f->exchange_count; i++)
        buf_format(out, "%s%llu", i ? "," : "", (unsigned long long)f->exchanges[i]);
    buf_add_text(out, "]");
}

void telling_json(const struct telling *t, struct bytes text, struct buf *out)
{
    buf_add_text(out, "{");
    add_string(out, "id", bytes_of_text(t->id));
    add_moment(out, "time", t->time_ns);
    add_string(out, "level", bytes_of_text(alert_level_names[t->level]));
    if (t->rule) {
        const char *name = t->rule->name ? t->rule->name : t->rule->id ? t->rule->id : t->rule->title;
        add_string(out, "rule", bytes_of_text(name));
        add_string(out, "rule_id", bytes_of_text(t->rule->id ? t->rule->id : ""));
    } else {
        add_name(out, "rule");
        buf_format(out, "\"recorder.%s\"", t->kind);
        add_string(out, "rule_id", (struct bytes){0});
    }
    add_string(out, "title", bytes_of_text(t->title));
    add_number(out, "exchange", t->exchange ? (int64_t)t->exchange : -1);
    if (t->event)
        add_exchange(out, t->event);
    else
        add_nothing(out);
    const char *kind = !t->rule ? "recorder" : t->repeats ? "summary" : t->outcome ? "outcome" : t->attempt ? "attempt" : t->fired ? "correlation" : "alert";
    add_string(out, "kind", bytes_of_text(kind));
    if (t->repeats)
        add_number(out, "repeats", (int64_t)t->repeats);
    if (t->fired)
        add_correlation(out, t->fired);
    add_name(out, "tags");
    buf_add_text(out, "[");
    for (size_t i = 0; t->rule && i < t->rule->tag_count; i++) {
        buf_add_text(out, i ? "," : "");
        json_write_text(out, bytes_of_text(t->rule->tags[i]));
    }
    buf_add_text(out, "]");
    add_string(out, "text", text);
    add_name(out, "next");
    buf_add_text(out, "[");
    add_next(out, t, true);
    buf_add_text(out, "]}");
}

// ---- a second word from the first alone -------------------------------------------------------------------------------

bool alert_is_attempt(struct bytes json)
{
    return json.size && memmem(json.at, json.size, KIND_ATTEMPT, strlen(KIND_ATTEMPT));
}

// The JSON is ours, and a quote inside a text of it is escaped: names and nulls are met nowhere else.
void alert_end_unseen(struct bytes attempt, struct buf *json)
{
    static const struct {
        const char *from, *to;
    } changes[] = { // in the order in which they stand
        {"\"outcome\":null", "\"outcome\":\"unknown\""},
        {"\"reason\":null", "\"reason\":\"recorder_ended\""},
        {KIND_ATTEMPT, "\"kind\":\"outcome\""},
        {ATTEMPTED, "The recorder ended before the answer was seen, so whether it was done is unknown."},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes && attempt.size; i++) {
        const uint8_t *found = memmem(attempt.at, attempt.size, changes[i].from, strlen(changes[i].from));
        if (!found)
            continue;
        buf_add(json, attempt.at, (size_t)(found - attempt.at));
        buf_add_text(json, changes[i].to);
        attempt = bytes_from(attempt, (size_t)(found - attempt.at) + strlen(changes[i].from));
    }
    buf_add_bytes(json, attempt);
}
