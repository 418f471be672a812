// The switch: the name of an index moves over to the copy while services write on.
//
// Flow: compare everything -> rounds, each compared -> block writes to the old index -> rounds until the tape is dry -> one
// _aliases call -> count what was refused meanwhile. Writers wait from the block to the call, so nothing long stands between.
// 1. Every document was compared after our last write to it: by the whole comparison, or by the round that wrote it.
// 2. The tape is dry when it holds every request that was sent before one that we sent ourselves after the block, and its answer,
//    and the highest number of every shard of the old index. (The block is answered while writes that were sent before it are
//    still at work.) Where that cannot be told (several tapes, version 5, numbers that no answer showed, a recorder that does
//    not see our requests, a request that takes long), when nothing new came for DRY_NS.
// 3. When anything fails the block is taken back, and the name stays where it was.
#include "replay_follow.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/mem.h"

#include <stdio.h>

// A recorder flushes every second, and a plan leaves the newest two seconds to the next one.
#define DRY_NS (5 * WHEN_NS_PER_S)

// A request that is still at work is looked for among so many sent before ours.
enum { AT_WORK_MAX = 20000 };

struct switching {
    struct replay_following *f;
    struct arena arena;
    const struct json *old;  // the concrete indices behind the name
    int64_t began_ns;        // of the block
    const char *to;          // the copy
};

static bool call(const struct switching *s, const char *what, const char *verb, const char *path, struct bytes body, struct fault *fault)
{
    struct target_reply reply = {0};
    char why[300];
    bool ok = target_call(s->f->run->target, verb, path, body, &reply, fault);
    if (ok && reply.status / 100 != 2) {
        target_reason(&reply, why, sizeof why);
        ok = fault_system(fault, "%s: the target answered %s", what, why);
    }
    target_reply_fini(&reply);
    return ok;
}

static bool call_index(const struct switching *s, const char *what, const char *verb, struct bytes index, const char *rest, const char *body, struct fault *fault)
{
    struct buf path = {0};
    buf_add_byte(&path, '/');
    target_encode(&path, index);
    buf_add_text(&path, rest);
    bool ok = call(s, what, verb, buf_text(&path), bytes_of_text(body), fault);
    buf_fini(&path);
    return ok;
}

// The concrete indices behind the name; none: nothing there.
static bool find_old(struct switching *s, struct fault *fault)
{
    struct buf path = {0};
    bool missing;
    buf_add_byte(&path, '/');
    target_encode(&path, bytes_of_text(s->f->cutover));
    buf_add_text(&path, "/_alias");
    s->old = target_find(s->f->run->target, &s->arena, buf_text(&path), &missing, fault);
    buf_fini(&path);
    return s->old || missing;
}

static const struct json *first_old(const struct switching *s)
{
    return s->old ? s->old->first : NULL;
}

static bool block(struct switching *s, bool on, struct fault *fault)
{
    bool ok = true;
    for (const struct json *i = first_old(s); i && ok; i = i->next)
        if (!bytes_equal_text(i->key, s->to))
            ok = call_index(s, "blocking writes to the old index", "PUT", i->key, "/_settings", on ? "{\"index.blocks.write\":true}" : "{\"index.blocks.write\":null}", fault);
    return ok;
}

static bool move_name(struct switching *s, struct fault *fault)
{
    struct buf body = {0};
    const char *name = s->f->cutover;
    buf_add_text(&body, "{\"actions\":[");
    for (const struct json *i = first_old(s); i; i = i->next) {
        bool concrete = bytes_equal_text(i->key, name);
        buf_format(&body, "{\"%s\":{\"index\":", concrete ? "remove_index" : "remove");
        json_write_text(&body, i->key);
        if (!concrete) {
            buf_add_text(&body, ",\"alias\":");
            json_write_text(&body, bytes_of_text(name));
        }
        buf_add_text(&body, "}},");
    }
    buf_add_text(&body, "{\"add\":{\"index\":");
    json_write_text(&body, bytes_of_text(s->to));
    buf_add_text(&body, ",\"alias\":");
    json_write_text(&body, bytes_of_text(name));
    buf_add_text(&body, "}}]}");
    bool ok = (!body.failed || fault_memory(fault)) && call(s, "the switch", "POST", "/_aliases", buf_view(&body), fault);
    buf_fini(&body);
    return ok;
}

// ---- dry --------------------------------------------------------------------------------------------------------------

struct own_seen {
    const char *opaque;
    int64_t answered_ns; // the newest answer, 0: none
    int64_t blocked_ns;  // the block's answer
    uint64_t behind;     // the first request that was sent after it, 0: none
};

static bool see_own(void *ctx, const struct tape_row *row)
{
    struct own_seen *o = ctx;
    const struct exchange *x = &row->x;
    if (!bytes_equal_text(x->opaque_id, o->opaque) || x->answered_ns == WHEN_UNKNOWN)
        return true;
    if (x->answered_ns > o->answered_ns)
        o->answered_ns = x->answered_ns;
    if (bytes_equal_text(x->api, "indices.put_settings"))
        o->blocked_ns = x->answered_ns;
    else if (o->blocked_ns && x->time_ns > o->blocked_ns && (!o->behind || x->id < o->behind))
        o->behind = x->id;
    return true;
}

// Our own requests since the block that the tape holds. A recorder keeps the order of what it sees: what was answered before
// one of them is there, too.
static bool own_on_tape(const struct switching *s, struct own_seen *own, struct fault *fault)
{
    struct tape_filter filter = {.since_ns = s->began_ns, .until_ns = WHEN_UNKNOWN};
    *own = (struct own_seen){.opaque = target_opaque_id(s->f->run->target)};
    return tape_count(s->f->tape) > 1 || tape_select(s->f->tape, &filter, see_own, own, fault);
}

struct sent {
    uint64_t count;
    int64_t answered_ns; // the newest
};

static bool see_sent(void *ctx, const struct tape_row *row)
{
    struct sent *b = ctx;
    b->count++;
    if (row->x.answered_ns != WHEN_UNKNOWN && row->x.answered_ns > b->answered_ns)
        b->answered_ns = row->x.answered_ns;
    return true;
}

// Whether a request that was sent before ours is still at work: numbers are given in the order of sending and reach the tape in
// that of the answers, so its number is missing. What was answered later than ours is for a later look.
static bool none_at_work(const struct switching *s, const struct own_seen *own, bool *none, struct fault *fault)
{
    struct sent sent = {0};
    struct tape_filter filter = {.since_ns = WHEN_UNKNOWN, .until_ns = WHEN_UNKNOWN, .id_to = own->behind,
                                 .id_from = own->behind > AT_WORK_MAX ? own->behind - AT_WORK_MAX : 1};
    bool ok = !own->behind || tape_select(s->f->tape, &filter, see_sent, &sent, fault);
    *none = ok && own->behind && sent.count == filter.id_to - filter.id_from && sent.answered_ns <= own->answered_ns;
    return ok;
}

// Whether the plans saw the highest number of every shard of the old indices. The question is itself a request of ours.
static bool numbers_agree(struct switching *s, bool *agree, struct fault *fault)
{
    int64_t *now = mem_alloc(PREFLIGHT_SHARDS_MAX * sizeof *now);
    bool ok = now || fault_memory(fault);
    *agree = s->f->run->about.seq_no;
    for (const struct json *i = first_old(s); i && ok && *agree; i = i->next) {
        const char *name = bytes_equal_text(i->key, s->to) ? NULL : arena_copy(&s->arena, i->key.at, i->key.size);
        for (size_t k = 0; k < PREFLIGHT_SHARDS_MAX; k++)
            now[k] = -1;
        ok = !name || preflight_numbers(s->f->run->target, name, now, fault);
        for (size_t k = 0; name && k < PREFLIGHT_SHARDS_MAX; k++)
            *agree &= now[k] < 0 || now[k] == plan_seen_highest(s->f->run->plan, name, (int)k);
    }
    mem_free(now);
    return ok;
}

static bool drain(struct switching *s, struct fault *fault)
{
    struct replay_following *f = s->f;
    bool agree;
    if (!numbers_agree(s, &agree, fault)) // a request of ours behind the block, to be found on the tape
        return false;
    for (int64_t dry_ns = clock_steady_ns(); clock_steady_ns() - dry_ns < DRY_NS;) {
        bool any, none;
        struct own_seen own;
        tape_wait(f->tape, 200);
        if (!own_on_tape(s, &own, fault) || !none_at_work(s, &own, &none, fault))
            return false;
        f->run->made.settings.whole_until_ns = own.answered_ns;
        if (!replay_round(f, &any, fault))
            return false;
        if (f->report->interrupted)
            return fault_user(fault, "stopped: %s was not switched, and takes writes again", f->cutover);
        if (own.answered_ns && !numbers_agree(s, &agree, fault))
            return false;
        if (none && agree)
            return true;
        if (any)
            dry_ns = clock_steady_ns();
    }
    return true;
}

// ---- comparing --------------------------------------------------------------------------------------------------------

static bool not_awaited(void *ctx, const struct plan_doc *doc)
{
    const struct switching *s = ctx;
    bool seen = true;
    for (size_t i = 0; i < doc->step_count; i++)
        seen &= plan_seen_has(s->f->run->seen, doc->steps[i].tape, doc->steps[i].exchange);
    return seen; // else a round will write it, and compare it
}

static void tell_difference(void *ctx, const struct plan_doc *doc, enum verify_difference what, bool since, struct bytes want, struct bytes have)
{
    const struct replay_following *f = ((const struct switching *)ctx)->f;
    if (f->difference)
        f->difference(f->ctx, doc, what, since, want, have);
}

// The whole plan, made anew. The counts are added to f->compared.
static bool compare_whole(struct switching *s, struct fault *fault)
{
    struct replay_following *f = s->f;
    struct plan_settings whole = f->run->made.settings;
    whole.seen = NULL;
    whole.applied = NULL;
    struct plan *plan = plan_build(&whole, fault);
    if (!plan)
        return false;
    struct verify_settings v = {.plan = plan, .source = f->apply->source, .target = f->run->target, .about = &f->run->about, .indices = f->run->indices,
                                .index_count = f->run->index_count, .journal = f->run->journal, .allow_gaps = whole.allow_gaps, .wanted = not_awaited, .live = f->apply->live,
                                .difference = tell_difference, .ctx = s};
    struct verify_report part;
    bool ok = verify_run(&v, &part, fault);
    verify_add(&f->compared, &part);
    plan_close(plan);
    return ok;
}

static bool equal(const struct switching *s, struct fault *fault)
{
    const struct verify_report *c = &s->f->compared;
    if (!(c->missing + c->should_be_gone + c->different + s->f->report->refused + s->f->report->missing_base))
        return true;
    return fault_system(fault, "the target does not equal the plan: %s was not switched (%llu missing, %llu different, %llu should be gone, %llu refused)", s->f->cutover,
                        (unsigned long long)c->missing, (unsigned long long)c->different, (unsigned long long)c->should_be_gone,
                        (unsigned long long)(s->f->report->refused + s->f->report->missing_base));
}

// ---- the switch -------------------------------------------------------------------------------------------------------

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

static bool count_refused(struct switching *s, struct fault *fault)
{
    struct refused r = {.name = s->f->cutover};
    struct tape_op_filter filter = {.since_ns = s->began_ns, .until_ns = WHEN_UNKNOWN};
    tape_wait(s->f->tape, 1500);
    bool ok = tape_ops(s->f->tape, &filter, see_refused, &r, fault);
    s->f->refused_meanwhile = r.count;
    return ok;
}

// A later run of the same choices must know which refusals were our own doing.
static bool note_block(const struct switching *s, struct fault *fault)
{
    struct buf value = {0};
    const struct plan_settings *set = &s->f->run->made.settings;
    buf_format(&value, "%lld %lld", (long long)set->blocked_since_ns, (long long)set->blocked_until_ns);
    bool ok = !s->f->run->journal || journal_set_meta(s->f->run->journal, REPLAY_BLOCKED, buf_view(&value), fault);
    buf_fini(&value);
    return ok;
}

// What the rounds cannot see decides itself only in a whole plan: unanswered writes, and what came behind a later write.
static bool left_open(const struct replay_following *f, uint64_t unknown_before)
{
    return f->sum.late || f->sum.unknown + f->sum.unknown_ids > unknown_before;
}

static bool take_over(struct switching *s, uint64_t unknown_before, struct fault *fault)
{
    struct replay_following *f = s->f;
    s->began_ns = clock_now_ns();
    f->run->made.settings.blocked_since_ns = s->began_ns;
    f->run->made.settings.blocked_until_ns = 0;
    bool ok = note_block(s, fault) && block(s, true, fault) && drain(s, fault) && (!left_open(f, unknown_before) || compare_whole(s, fault)) && equal(s, fault) &&
              call_index(s, "refreshing the copy", "POST", bytes_of_text(s->to), "/_refresh", "", fault) && move_name(s, fault);
    if (!ok) {
        struct fault first = *fault;
        block(s, false, fault);
        f->run->made.settings.blocked_until_ns = clock_now_ns();
        note_block(s, fault);
        *fault = first;
    }
    f->switched = ok;
    f->blocked_ns = clock_now_ns() - s->began_ns;
    return ok;
}

bool replay_switch(struct replay_following *f, struct fault *fault)
{
    struct switching s = {.f = f, .to = plan_slot(f->run->plan, 0)->to};
    uint64_t unknown_before = f->sum.unknown + f->sum.unknown_ids;
    bool near = false;
    char *to = mem_text_copy(s.to, strlen(s.to)); // the plan is replaced in every round
    arena_init(&s.arena, 0);
    s.to = to;
    bool ok = to != NULL || fault_memory(fault);
    // All of the comparison and most of the copy's refresh come before the block.
    f->comparing = true;
    ok = ok && compare_whole(&s, fault) && equal(&s, fault) && call_index(&s, "refreshing the copy", "POST", bytes_of_text(s.to), "/_refresh", "", fault) &&
         replay_come_near(f, &near, fault) && equal(&s, fault);
    if (ok && near && !f->report->interrupted)
        ok = find_old(&s, fault) && take_over(&s, unknown_before, fault) && count_refused(&s, fault);
    arena_fini(&s.arena);
    mem_free(to);
    return ok;
}
