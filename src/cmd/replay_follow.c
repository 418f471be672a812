// Going on with what is being recorded, and the switch.
//
// Flow: wait for the tape to grow -> plan of what is new -> apply -> lag. Cut-over: lag under a second -> block writes to the
// old index -> drain -> compare everything -> one _aliases call -> count what was refused meanwhile.
#include "replay_follow.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/mem.h"

#include <stdio.h>
#include <unistd.h>

// A recorder flushes every second, and a plan leaves the newest two seconds to the next one: so long nothing new must come
// before a tape is dry.
#define DRY_NS (5 * WHEN_NS_PER_S)

static bool applied(void *ctx, uint64_t hash, int64_t *life, int64_t *term, int64_t *seq_no)
{
    struct journal *j = ctx;
    struct journal_doc d;
    if (!j || !journal_find(j, apply_source_key(hash), &d))
        return false;
    *life = d.version < 0 ? 0 : d.version;
    *term = d.primary_term;
    *seq_no = d.seq_no;
    return true;
}

static bool one_round(struct replay_following *f, bool *any, struct fault *fault)
{
    struct replay_run *r = f->run;
    r->made.settings.applied = applied;
    r->made.settings.applied_ctx = r->journal;
    plan_close(r->plan);
    f->apply->plan = r->plan = plan_build(&r->made.settings, fault);
    if (!r->plan)
        return false;
    const struct plan_count *c = plan_total(r->plan);
    const uint64_t *from = (const uint64_t *)c;
    uint64_t *to = (uint64_t *)&f->sum;
    for (size_t i = 0; i < sizeof f->sum / sizeof *to; i++)
        to[i] += from[i];
    *any = c->documents || plan_barrier_count(r->plan) || plan_mapping_count(r->plan);
    if (!*any)
        return true;
    uint64_t before = f->report->documents;
    f->apply->following = true;
    f->apply->mappings_as_they_are = true; // decided in order as it goes on
    bool ok = apply_run(f->apply, f->report, fault);
    f->report->documents = before + c->documents;
    return ok;
}


static void tell(const struct replay_following *f, const char *text)
{
    if (!f->quiet)
        fprintf(stderr, "%s%s\n", f->terminal ? "\r\033[K" : "", text);
}

// ---- the switch -------------------------------------------------------------------------------------------------------

static bool call(struct replay_following *f, const char *what, const char *verb, const char *path, struct bytes body, struct fault *fault)
{
    struct target_reply reply = {0};
    char why[300];
    bool ok = target_call(f->run->target, verb, path, body, &reply, fault);
    if (ok && reply.status / 100 != 2) {
        target_reason(&reply, why, sizeof why);
        ok = fault_system(fault, "%s: the target answered %s", what, why);
    }
    target_reply_fini(&reply);
    return ok;
}

// The concrete indices behind a name; none: nothing there.
static bool behind_name(struct replay_following *f, struct arena *a, struct json **list, struct fault *fault)
{
    struct buf path = {0};
    bool missing;
    buf_add_byte(&path, '/');
    target_encode(&path, bytes_of_text(f->cutover));
    buf_add_text(&path, "/_alias");
    *list = target_find(f->run->target, a, buf_text(&path), &missing, fault);
    buf_fini(&path);
    return *list || missing;
}

static bool block(struct replay_following *f, const struct json *list, bool on, struct fault *fault)
{
    struct buf path = {0};
    bool ok = true;
    for (const struct json *i = list ? list->first : NULL; i && ok; i = i->next) {
        if (bytes_equal_text(i->key, plan_slot(f->run->plan, 0)->to))
            continue;
        buf_clear(&path);
        buf_add_byte(&path, '/');
        target_encode(&path, i->key);
        buf_add_text(&path, "/_settings");
        ok = call(f, "blocking writes to the old index", "PUT", buf_text(&path), bytes_of_text(on ? "{\"index.blocks.write\":true}" : "{\"index.blocks.write\":null}"), fault);
    }
    buf_fini(&path);
    return ok;
}

static bool swap(struct replay_following *f, const struct json *list, struct fault *fault)
{
    struct buf body = {0};
    const char *to = plan_slot(f->run->plan, 0)->to;
    buf_add_text(&body, "{\"actions\":[");
    for (const struct json *i = list ? list->first : NULL; i; i = i->next) {
        bool concrete = bytes_equal_text(i->key, f->cutover);
        buf_format(&body, "{\"%s\":{\"index\":", concrete ? "remove_index" : "remove");
        json_write_text(&body, i->key);
        if (!concrete) {
            buf_add_text(&body, ",\"alias\":");
            json_write_text(&body, bytes_of_text(f->cutover));
        }
        buf_add_text(&body, "}},");
    }
    buf_add_text(&body, "{\"add\":{\"index\":");
    json_write_text(&body, bytes_of_text(to));
    buf_add_text(&body, ",\"alias\":");
    json_write_text(&body, bytes_of_text(f->cutover));
    buf_add_text(&body, "}}]}");
    bool ok = (!body.failed || fault_memory(fault)) && call(f, "the switch", "POST", "/_aliases", buf_view(&body), fault);
    buf_fini(&body);
    return ok;
}

static bool drain(struct replay_following *f, struct fault *fault)
{
    int64_t dry_ns = clock_steady_ns();
    while (clock_steady_ns() - dry_ns < DRY_NS) {
        bool any;
        tape_wait(f->tape, 500);
        if (!one_round(f, &any, fault))
            return false;
        if (any)
            dry_ns = clock_steady_ns();
    }
    return true;
}

// What was last written within this before the comparison of the rest is compared while writes are blocked.
#define SETTLED_NS (600 * WHEN_NS_PER_S)

static void add_up(struct verify_report *to, const struct verify_report *from)
{
    to->documents += from->documents - from->unsampled;
    to->equal += from->equal;
    to->different += from->different;
    to->missing += from->missing;
    to->should_be_gone += from->should_be_gone;
    to->version_different += from->version_different;
    to->present_only += from->present_only;
    to->left_alone += from->left_alone;
    to->refused += from->refused;
}

// Documents whose last write lies in [since, until), 0: open. The counts are added to f->compared.
static bool compare(struct replay_following *f, int64_t since_ns, int64_t until_ns, bool *equal, struct fault *fault)
{
    struct plan_settings whole = f->run->made.settings;
    whole.seen = NULL;
    whole.applied = NULL;
    struct plan *plan = plan_build(&whole, fault);
    if (!plan)
        return false;
    struct verify_settings v = {.plan = plan, .source = f->apply->source, .target = f->run->target, .about = &f->run->about, .indices = f->run->indices,
                                .index_count = f->run->index_count, .journal = f->run->journal, .allow_gaps = whole.allow_gaps, .since_ns = since_ns, .until_ns = until_ns, .difference = f->difference, .ctx = f->ctx};
    struct verify_report part;
    bool ok = verify_run(&v, &part, fault);
    add_up(&f->compared, &part);
    *equal = !(f->compared.missing + f->compared.should_be_gone + f->compared.different);
    plan_close(plan);
    return ok;
}

struct refused {
    const char *name;
    uint64_t count;
};

static bool see_refused(void *ctx, const struct tape_op *t)
{
    struct refused *r = ctx;
    if (t->op.result == OP_FAILED && bytes_equal_text(t->op.error_type, "cluster_block_exception") &&
        (bytes_equal_text(t->op.index, r->name) || bytes_equal_text(t->op.asked, r->name)))
        r->count++;
    return true;
}

static bool count_refused(struct replay_following *f, int64_t since_ns, struct fault *fault)
{
    struct refused r = {.name = f->cutover};
    struct tape_op_filter filter = {.since_ns = since_ns, .until_ns = WHEN_UNKNOWN};
    tape_wait(f->tape, 1500);
    bool ok = tape_ops(f->tape, &filter, see_refused, &r, fault);
    f->refused_meanwhile = r.count;
    return ok;
}

// Rounds that follow leave it out: it takes seconds where much is written.
static bool refresh_copy(struct replay_following *f, struct fault *fault)
{
    struct buf path = {0};
    buf_add_byte(&path, '/');
    target_encode(&path, bytes_of_text(plan_slot(f->run->plan, 0)->to));
    buf_add_text(&path, "/_refresh");
    bool ok = call(f, "refreshing the copy", "POST", buf_text(&path), (struct bytes){0}, fault);
    buf_fini(&path);
    return ok;
}

static bool switch_over(struct replay_following *f, struct fault *fault)
{
    struct arena a;
    struct json *list = NULL;
    int64_t began_ns = clock_now_ns();
    bool equal = false;
    arena_init(&a, 0);
    // Most of the comparison comes before the block, which shall be short.
    int64_t settled_ns = began_ns - SETTLED_NS;
    bool ok = behind_name(f, &a, &list, fault) && compare(f, 0, settled_ns, &equal, fault);
    if (ok && equal) {
        began_ns = clock_now_ns();
        f->run->made.settings.blocked_since_ns = began_ns;
        ok = block(f, list, true, fault) && drain(f, fault) && compare(f, settled_ns, 0, &equal, fault);
    }
    if (ok && !equal)
        ok = fault_system(fault, "the target does not equal the plan: %s was not switched (%llu missing, %llu different, %llu should be gone)", f->cutover,
                          (unsigned long long)f->compared.missing, (unsigned long long)f->compared.different, (unsigned long long)f->compared.should_be_gone);
    ok = ok && refresh_copy(f, fault) && swap(f, list, fault);
    if (!ok) {
        struct fault first = *fault;
        block(f, list, false, fault);
        *fault = first;
    }
    f->switched = ok;
    f->blocked_ns = clock_now_ns() - began_ns;
    ok = ok && count_refused(f, began_ns, fault);
    arena_fini(&a);
    return ok;
}

static void tell_lag(const struct replay_following *f, int64_t lag_ns, int64_t *told_ns)
{
    char text[120];
    if (clock_steady_ns() - *told_ns < 5 * WHEN_NS_PER_S)
        return;
    *told_ns = clock_steady_ns();
    snprintf(text, sizeof text, "following: the last round took %.1f s, %llu documents in all", (double)lag_ns / 1e9, (unsigned long long)f->report->applied);
    tell(f, text);
}

bool replay_follow(struct replay_following *f, struct fault *fault)
{
    bool told = false;
    int64_t told_ns = 0;
    while (!*(volatile const bool *)f->stop) {
        bool any;
        tape_wait(f->tape, 500);
        int64_t began_ns = clock_now_ns();
        if (!one_round(f, &any, fault))
            return false;
        // What was planned now was on the tape when the round began; the recorder needs its flush interval on top.
        int64_t lag_ns = clock_now_ns() - began_ns;
        if (f->report->interrupted)
            return true;
        if (lag_ns > WHEN_NS_PER_S) {
            tell_lag(f, lag_ns, &told_ns);
            continue;
        }
        if (f->cutover)
            return switch_over(f, fault);
        if (!told)
            tell(f, "the copy is less than a second behind the tape: switch now (--cutover NAME does it); Ctrl-C ends");
        told = true;
    }
    return true;
}
