// Going on with what is being recorded: rounds of plan and apply as the tape grows, until the copy is near enough.
//
// Flow: wait for the tape to grow -> plan of what is new -> apply -> lag. Then the user is told, or replay_switch.c takes over.
#include "replay_follow.h"

#include "../base/clock.h"
#include "../base/diag.h"

#include <stdio.h>

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

// What a round wrote is compared before another round changes it.
static bool compare_round(struct replay_following *f, struct fault *fault)
{
    struct verify_settings v = {.plan = f->run->plan, .source = f->apply->source, .target = f->run->target, .about = &f->run->about, .indices = f->run->indices,
                                .index_count = f->run->index_count, .journal = f->run->journal, .allow_gaps = f->apply->allow_gaps, .live = f->apply->live, .difference = f->difference, .ctx = f->ctx};
    struct verify_report part;
    bool ok = verify_run(&v, &part, fault);
    verify_add(&f->compared, &part);
    return ok;
}

bool replay_round(struct replay_following *f, bool *any, struct fault *fault)
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
    return ok && (!f->comparing || f->report->interrupted || compare_round(f, fault));
}

void replay_tell(const struct replay_following *f, const char *text)
{
    if (!f->quiet)
        fprintf(stderr, "%s%s\n", f->terminal ? "\r\033[K" : "", text);
}

static void tell_lag(const struct replay_following *f, int64_t lag_ns, int64_t *told_ns)
{
    char text[120];
    if (clock_steady_ns() - *told_ns < 5 * WHEN_NS_PER_S)
        return;
    *told_ns = clock_steady_ns();
    snprintf(text, sizeof text, "following: the last round took %.1f s, %llu documents in all", (double)lag_ns / 1e9, (unsigned long long)f->report->applied);
    replay_tell(f, text);
}

bool replay_come_near(struct replay_following *f, bool *near, struct fault *fault)
{
    int64_t told_ns = 0;
    *near = false;
    while (!*(volatile const bool *)f->stop) {
        bool any;
        tape_wait(f->tape, 500);
        int64_t began_ns = clock_now_ns();
        if (!replay_round(f, &any, fault))
            return false;
        // What was planned now was on the tape when the round began; the recorder needs its flush interval on top.
        int64_t lag_ns = clock_now_ns() - began_ns;
        if (f->report->interrupted)
            return true;
        if (lag_ns <= WHEN_NS_PER_S) {
            *near = true;
            return true;
        }
        tell_lag(f, lag_ns, &told_ns);
    }
    return true;
}

bool replay_follow(struct replay_following *f, struct fault *fault)
{
    bool near, told = false;
    do {
        if (!replay_come_near(f, &near, fault))
            return false;
        if (near && f->cutover)
            return replay_switch(f, fault);
        if (near && !told)
            replay_tell(f, "the copy is less than a second behind the tape: switch now (--cutover NAME does it); Ctrl-C ends");
        told |= near;
    } while (near);
    return true;
}
