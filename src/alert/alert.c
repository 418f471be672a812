// Runs the rules over what passes and raises alerts: attempts, outcomes, repeats, correlations, the recorder's own troubles.
//
//   exchange -> candidates by index -> detection -> alert, and into the correlations that count the rule
//
// 1. An alert told at the attempt has the same id when its outcome is told; the outcome is told even if the rule, seeing the
//    answer, would not match any more.
// 2. A correlation counts an exchange once: at the attempt where the request says enough, else with the answer.
// 3. The first of a kind and every critical alert are told at once. Repeats of a kind (rule, who, from where; for level high
//    also: on what) within the grouping time are counted and told in a summary.
// 4. While rebuilding everything is learnt and nothing is told.
#include "alert.h"

#include "../base/clock.h"
#include "baseline.h"
#include "correlate.h"
#include "own.h"
#include "owed.h"
#include "repeats.h"
#include "text.h"

#include <stdio.h>

enum { PENDING_MAX = 65536, OPS_PENDING_MAX = 65536 };
#define OVERFLOW_QUIET_NS (300 * WHEN_NS_PER_S)
#define MEMORY_BEFORE_NS (600 * WHEN_NS_PER_S) // what "takes writes" looks back

// What was matched at an exchange's attempt.
struct pending {
    size_t count;
    struct {
        struct rule *rule;
        bool told, fed;
    } rules[];
};

struct alerter {
    struct alert_settings settings;
    char *tape_hint;
    struct rules *rules;
    alert_fn *fn;
    void *ctx;
    struct event event;
    struct matcher matcher;
    struct baseline *baseline;
    struct correlator *correlator;
    struct rule_list candidates;
    uint32_t *marks, mark;
    struct pending *found;         // of the attempt at hand: room for every rule
    struct nummap *pending, *attempted, *ops; // attempted: exchanges whose request was judged
    struct repeats *repeats;
    struct owed *owed;
    struct op_counts *ops_now;     // of ops_exchange
    uint64_t ops_exchange;
    struct buf text, json;
    bool rebuilding, sparse;
    int64_t now_ns, ticked_ns, told_overflow_ns;
    uint64_t told_overflow;
    struct alert_stats stats;
    struct alert_rule_stats *per_rule;
};

static void on_fired(void *ctx, const struct fired *f);
static void tell_summary(void *ctx, const struct repeat *r);

struct alerter *alert_open(const struct alert_settings *settings, struct rules *rules, alert_fn *fn, void *ctx)
{
    struct alerter *a = mem_zero(1, sizeof *a);
    if (!a)
        return NULL;
    const char *hint = settings->tape_hint ? settings->tape_hint : "";
    size_t state = settings->state_bytes_max ? settings->state_bytes_max : 64u << 20;
    a->settings = *settings;
    a->rules = rules;
    a->fn = fn;
    a->ctx = ctx;
    a->now_ns = a->ticked_ns = a->told_overflow_ns = WHEN_UNKNOWN;
    event_begin(&a->event);
    a->tape_hint = mem_text_copy(hint, strlen(hint));
    a->baseline = baseline_open(state / 4);
    a->correlator = correlator_open(rules, state / 2, on_fired, a);
    a->candidates.at = mem_zero(rules->all.count + 1, sizeof(struct rule *));
    a->marks = mem_zero(rules->all.count + 1, sizeof *a->marks);
    a->per_rule = mem_zero(rules->all.count + 1, sizeof *a->per_rule);
    a->found = mem_zero(1, sizeof *a->found + (rules->all.count + 1) * sizeof a->found->rules[0]);
    a->pending = nummap_open();
    a->attempted = nummap_open();
    a->ops = nummap_open();
    a->repeats = repeats_open(tell_summary, a);
    a->owed = owed_open();
    if (a->tape_hint && a->baseline && a->correlator && a->candidates.at && a->marks && a->per_rule && a->found && a->pending && a->attempted && a->ops &&
        a->repeats && a->owed)
        return a;
    alert_close(a);
    return NULL;
}

void alert_close(struct alerter *a)
{
    if (!a)
        return;
    nummap_close_each(a->pending, mem_free);
    nummap_close(a->attempted);
    nummap_close_each(a->ops, mem_free);
    repeats_close(a->repeats);
    owed_close(a->owed);
    if (a->correlator)
        correlator_close(a->correlator);
    baseline_close(a->baseline);
    event_end(&a->event);
    matcher_fini(&a->matcher);
    buf_fini(&a->text);
    buf_fini(&a->json);
    mem_free(a->candidates.at);
    mem_free(a->marks);
    mem_free(a->per_rule);
    mem_free(a->found);
    mem_free(a->tape_hint);
    mem_free(a);
}

// ---- telling ----------------------------------------------------------------------------------------------------------

static void make_id(char id[33], const struct rule *rule, struct bytes what, uint64_t a, int64_t b)
{
    const char *name = rule ? rule->id ? rule->id : rule->title : "recorder";
    uint64_t parts[] = {map_hash(bytes_of_text(name), 0), rule ? rule->version : 0, map_hash(what, 0), a, (uint64_t)b};
    uint64_t high = map_hash(bytes_of(parts, sizeof parts), 1), low = map_hash(bytes_of(parts, sizeof parts), 2);
    snprintf(id, 33, "%016llx%016llx", (unsigned long long)high, (unsigned long long)low);
}

static void tell(struct alerter *a, struct telling *t)
{
    if (a->rebuilding)
        return;
    t->tape_hint = a->tape_hint;
    buf_clear(&a->text);
    buf_clear(&a->json);
    telling_text(t, &a->text);
    telling_json(t, buf_view(&a->text), &a->json);
    struct alert alert = {
        .time_ns = t->time_ns, .exchange = t->exchange, .level = t->level, .title = t->title, .attempt = t->attempt, .outcome = t->outcome,
        .grouped = t->repeats > 0, .text = buf_view(&a->text), .json = buf_view(&a->json),
    };
    char own[64] = "recorder.";
    if (!t->rule)
        strncat(own, t->kind, sizeof own - strlen(own) - 1);
    alert.rule = t->rule ? t->rule->name ? t->rule->name : t->rule->id ? t->rule->id : t->rule->title : own;
    memcpy(alert.id, t->id, sizeof alert.id);
    a->stats.raised++;
    if (t->rule)
        a->per_rule[t->rule->number].raised++;
    a->fn(a->ctx, &alert);
}

static void tell_summary(void *ctx, const struct repeat *r)
{
    char id[33];
    make_id(id, r->rule, bytes_of_text(r->who), (uint64_t)r->first_ns, r->last_ns);
    struct telling t = {.rule = r->rule, .level = r->rule->level, .title = r->rule->title, .id = id, .time_ns = r->last_ns,
                        .exchange = r->last_exchange, .own_text = bytes_of_text(r->who), .repeats = r->count, .repeats_from_ns = r->first_ns};
    tell(ctx, &t);
}

static bool is_first(struct alerter *a, struct rule *rule)
{
    if (repeats_is_first(a->repeats, rule, &a->event))
        return true;
    a->stats.grouped++;
    return false;
}

// ---- exchanges --------------------------------------------------------------------------------------------------------

static void raise_alert(struct alerter *a, struct rule *rule, bool attempt, bool outcome)
{
    const struct exchange *x = a->event.x;
    char id[33];
    make_id(id, rule, (struct bytes){0}, x->id, x->time_ns);
    struct telling t = {.rule = rule, .level = rule->level, .title = rule->title, .id = id, .time_ns = x->time_ns, .exchange = x->id,
                        .event = &a->event, .attempt = attempt, .outcome = outcome};
    tell(a, &t);
}

static void on_fired(void *ctx, const struct fired *f)
{
    struct alerter *a = ctx;
    a->stats.matched++;
    a->per_rule[f->rule->number].matched++;
    if (!f->rule->enabled || f->rule->silent)
        return;
    char id[33];
    make_id(id, f->rule, f->group, 0, f->first_ns);
    struct telling t = {.rule = f->rule, .level = f->rule->level, .title = f->rule->title, .id = id, .time_ns = f->time_ns,
                        .exchange = f->exchange, .event = f->live ? &a->event : NULL, .fired = f, .attempt = f->live && a->event.attempt};
    tell(a, &t);
    if (t.attempt && !a->rebuilding)
        owed_add(a->owed, f, id);
}

// What became of the call by which a correlation fired when it was attempted.
static void tell_owed(void *ctx, const struct fired *f, const char *id)
{
    struct alerter *a = ctx;
    struct telling t = {.rule = f->rule, .level = f->rule->level, .title = f->rule->title, .id = id, .time_ns = f->time_ns, .exchange = f->exchange,
                        .event = &a->event, .fired = f, .outcome = true};
    tell(a, &t);
}

static struct pending *pending_of(struct alerter *a, uint64_t id)
{
    union map_value *v = nummap_count(a->pending) ? nummap_find(a->pending, id) : NULL;
    return v ? v->ptr : NULL;
}

static size_t place_in(const struct pending *p, const struct rule *rule)
{
    size_t i = 0;
    while (p && i < p->count && p->rules[i].rule != rule)
        i++;
    return p && i < p->count ? i : SIZE_MAX;
}

static void find_candidates(struct alerter *a)
{
    if (++a->mark == 0) {
        memset(a->marks, 0, (a->rules->all.count + 1) * sizeof *a->marks);
        a->mark = 1;
    }
    index_candidates(a->rules, &a->event, &a->candidates, a->marks, a->mark);
}

// Time is taken of every sixteenth evaluation: reading the clock costs as much as many a rule.
static bool evaluate(struct alerter *a, const struct rule *rule)
{
    struct alert_rule_stats *s = &a->per_rule[rule->number];
    bool measured = a->settings.profile && s->evaluated % 16 == 0;
    int64_t begun_ns = measured ? clock_steady_ns() : 0;
    a->matcher.implied = rule->implied;
    bool matches = expr_match(&a->matcher, rule->expr, &a->event);
    if (measured)
        s->spent_ns += clock_steady_ns() - begun_ns;
    s->evaluated++;
    s->matched += matches;
    return matches;
}

// Every rule that matches, with what to do about it. The event is set.
static void run_rules(struct alerter *a, struct pending *p, bool judged, void (*matched)(struct alerter *, struct pending *, struct rule *))
{
    bool own = a->event.x->flags & EXCHANGE_OWN;
    a->stats.events++;
    find_candidates(a);
    for (size_t i = 0; i < a->candidates.count; i++) {
        struct rule *rule = a->candidates.at[i];
        if ((own && !rule->sees_own) || (judged && rule->request_only))
            continue;
        a->stats.evaluated++;
        if (!evaluate(a, rule))
            continue;
        a->stats.matched++;
        matched(a, p, rule);
    }
}

static bool alone(const struct rule *rule)
{
    return rule->enabled && !rule->silent;
}

static bool feed_ready(struct alerter *a, struct rule *rule)
{
    bool ready = rule->feed_count > 0;
    for (size_t i = 0; i < rule->feed_count; i++)
        ready &= correlator_wants(a->correlator, &rule->feeds[i], &a->event);
    return ready;
}

static void matched_attempt(struct alerter *a, struct pending *p, struct rule *rule)
{
    bool told = alone(rule) && is_first(a, rule), fed = feed_ready(a, rule);
    p->rules[p->count].rule = rule;
    p->rules[p->count].told = told || !alone(rule);
    p->rules[p->count++].fed = fed;
    if (told)
        raise_alert(a, rule, true, false);
    if (fed)
        correlator_feed(a->correlator, rule, &a->event);
}

static void matched_done(struct alerter *a, struct pending *p, struct rule *rule)
{
    size_t at = place_in(p, rule);
    if (alone(rule) && at == SIZE_MAX && is_first(a, rule))
        raise_alert(a, rule, false, false);
    if (rule->feed_count && (at == SIZE_MAX || !p->rules[at].fed))
        correlator_feed(a->correlator, rule, &a->event);
}

// Rules that matched the attempt and were not judged again still owe their correlations what only the answer tells.
static void feed_rest(struct alerter *a, const struct pending *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->rules[i].rule->request_only && p->rules[i].rule->feed_count && !p->rules[i].fed)
            correlator_feed(a->correlator, p->rules[i].rule, &a->event);
}

static void see_time(struct alerter *a, int64_t time_ns)
{
    if (time_ns > a->now_ns)
        a->now_ns = time_ns;
}

static void set_event(struct alerter *a, const struct exchange *x, bool attempt)
{
    union map_value *ops = attempt || !nummap_count(a->ops) ? NULL : nummap_find(a->ops, x->id);
    event_set(&a->event, x, attempt, ops ? ops->ptr : NULL, a->baseline);
    see_time(a, x->time_ns);
}

void alert_attempt(struct alerter *a, const struct exchange *x)
{
    struct pending *found = a->found;
    found->count = 0;
    set_event(a, x, true);
    run_rules(a, found, false, matched_attempt);
    if (nummap_count(a->attempted) < PENDING_MAX)
        nummap_put(a->attempted, x->id, NULL);
    if (x->flags & EXCHANGE_WRITE)
        baseline_write(a->baseline, x);
    if (!found->count)
        return;
    size_t size = sizeof *found + found->count * sizeof found->rules[0];
    struct pending *kept = nummap_count(a->pending) < PENDING_MAX ? mem_alloc(size) : NULL;
    union map_value *v = kept ? nummap_put(a->pending, x->id, NULL) : NULL;
    if (!v) {
        mem_free(kept);
        return;
    }
    memcpy(kept, found, size);
    mem_free(v->ptr);
    v->ptr = kept;
}

static void drop_ops(struct alerter *a, uint64_t id)
{
    union map_value *v = nummap_find(a->ops, id);
    if (!v)
        return;
    mem_free(v->ptr);
    nummap_drop(a->ops, id);
    a->ops_now = NULL;
}

void alert_done(struct alerter *a, const struct exchange *x)
{
    struct pending *p = pending_of(a, x->id);
    set_event(a, x, false);
    bool judged = nummap_count(a->attempted) && nummap_drop(a->attempted, x->id);
    run_rules(a, p, judged, matched_done);
    if (p && judged)
        feed_rest(a, p);
    for (size_t i = 0; p && i < p->count; i++)
        if (alone(p->rules[i].rule) && p->rules[i].told)
            raise_alert(a, p->rules[i].rule, false, true);
    owed_pay(a->owed, x->id, tell_owed, a);
    if (p) {
        mem_free(p);
        nummap_drop(a->pending, x->id);
    }
    if (!a->sparse)
        baseline_see(a->baseline, x);
    if (nummap_count(a->ops))
        drop_ops(a, x->id);
}

void alert_ops(struct alerter *a, const struct op *ops, size_t count)
{
    baseline_ops(a->baseline, ops, count);
    for (size_t i = 0; i < count; i++) {
        const struct op *op = &ops[i];
        if (!a->ops_now || a->ops_exchange != op->exchange) {
            union map_value *v = nummap_find(a->ops, op->exchange);
            if (!v && nummap_count(a->ops) < OPS_PENDING_MAX)
                v = nummap_put(a->ops, op->exchange, NULL);
            if (v && !v->ptr)
                v->ptr = mem_zero(1, sizeof(struct op_counts));
            a->ops_now = v ? v->ptr : NULL;
            a->ops_exchange = op->exchange;
            if (!a->ops_now)
                return;
        }
        op_counts_add(a->ops_now, op);
    }
}

void alert_gap(struct alerter *a, const struct stream_gap *gap)
{
    baseline_gap(a->baseline, gap);
}

// ---- the recorder about itself ----------------------------------------------------------------------------------------

void alert_own(struct alerter *a, int64_t time_ns, const char *kind, const char *text)
{
    enum alert_level level;
    const char *title = own_title(kind, &level);
    level = !a->settings.live && level > ALERT_LOW ? ALERT_LOW : level;
    char id[33];
    make_id(id, NULL, bytes_of_text(kind), 0, time_ns);
    struct telling t = {.kind = kind, .own_text = bytes_of_text(text), .level = level, .title = title, .id = id, .time_ns = time_ns};
    tell(a, &t);
}

static void tell_overflow(struct alerter *a, int64_t now_ns)
{
    uint64_t overflow = correlator_overflow(a->correlator) + baseline_evicted(a->baseline);
    a->stats.state_evicted = overflow;
    a->stats.regex_limited = a->matcher.limited;
    if (overflow == a->told_overflow || (a->told_overflow_ns != WHEN_UNKNOWN && now_ns - a->told_overflow_ns < OVERFLOW_QUIET_NS))
        return;
    char text[160];
    snprintf(text, sizeof text, "%llu entries were forgotten at the memory bound: correlations and baselines may have missed something",
             (unsigned long long)(overflow - a->told_overflow));
    a->told_overflow = overflow;
    a->told_overflow_ns = now_ns;
    alert_own(a, now_ns, "state", text);
}

void alert_tick(struct alerter *a, int64_t now_ns)
{
    see_time(a, now_ns);
    if (a->ticked_ns != WHEN_UNKNOWN && now_ns - a->ticked_ns < WHEN_NS_PER_S)
        return;
    a->ticked_ns = now_ns;
    correlator_tick(a->correlator, now_ns);
    repeats_end(a->repeats, now_ns);
    tell_overflow(a, now_ns);
}

void alert_untold(struct alerter *a)
{
    repeats_forget(a->repeats);
}

void alert_finish(struct alerter *a)
{
    if (a->now_ns == WHEN_UNKNOWN)
        return;
    repeats_end(a->repeats, INT64_MAX);
    tell_overflow(a, a->now_ns);
}

void alert_rebuild_begin(struct alerter *a, bool sparse)
{
    a->rebuilding = true;
    a->sparse = sparse;
}

bool alert_save(struct alerter *a, seen_fn *put, void *ctx)
{
    return baseline_save(a->baseline, put, ctx);
}

void alert_saved(struct alerter *a)
{
    baseline_saved(a->baseline);
}

bool alert_load(void *alerter, const struct seen *seen)
{
    struct alerter *a = alerter;
    baseline_load(a->baseline, seen);
    return true;
}

void alert_body_source(struct alerter *a, alert_body_fn *fn, void *ctx)
{
    a->event.body_fn = fn;
    a->event.body_ctx = ctx;
}

void alert_ops_source(struct alerter *a, alert_ops_fn *fn, void *ctx)
{
    a->event.ops_fn = fn;
    a->event.ops_ctx = ctx;
}

void alert_rule_stats(const struct alerter *a, size_t rule, struct alert_rule_stats *stats)
{
    *stats = rule < a->rules->all.count ? a->per_rule[rule] : (struct alert_rule_stats){0};
    uint64_t measured = (stats->evaluated + 15) / 16;
    if (measured)
        stats->spent_ns = (int64_t)((double)stats->spent_ns * (double)stats->evaluated / (double)measured);
}

void alert_rebuild_end(struct alerter *a)
{
    a->rebuilding = a->sparse = false;
    repeats_forget_counts(a->repeats); // told, or lost with the process that counted them
}

void alert_stats(const struct alerter *a, struct alert_stats *stats)
{
    *stats = a->stats;
    stats->regex_limited = a->matcher.limited;
    stats->state_evicted = correlator_overflow(a->correlator) + baseline_evicted(a->baseline);
}

int64_t alert_memory_ns(const struct rules *rules)
{
    int64_t longest = correlator_longest_ns(rules);
    return longest > MEMORY_BEFORE_NS ? longest : MEMORY_BEFORE_NS;
}
