// Unanswered writes judged by what the tape shows later: holes in a shard's numbers, versions, refusals of a retry.
//
// Each kind of evidence decides alone, and only where it decides without a guess; what stays open stays unknown.
#include "plan_inside.h"

#include "../base/diag.h"
#include "../base/mem.h"

#include <stdlib.h>

// A write without an answer may still run while the cluster is slow; later than this it did not.
#define LATE_NS (120 * WHEN_NS_PER_S)

static int by_shard(const void *a, const void *b)
{
    const struct plan_unanswered *x = *(struct plan_unanswered *const *)a, *y = *(struct plan_unanswered *const *)b;
    if (x->name != y->name)
        return x->name < y->name ? -1 : 1;
    if (x->life != y->life)
        return x->life < y->life ? -1 : 1;
    if (x->shard != y->shard)
        return x->shard < y->shard ? -1 : 1;
    return x->time_ns < y->time_ns ? -1 : x->time_ns > y->time_ns;
}

static const struct check_life *life_of(const struct check *c, uint32_t name, int64_t life)
{
    for (size_t i = 0; i < check_life_count(c); i++)
        if (check_life(c, i)->name == name && check_life(c, i)->life == life)
            return check_life(c, i);
    return NULL;
}

static uint64_t holes_after(const struct check_shard *s, int64_t time_ns, const struct check_hole **only, bool *others)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s->hole_count; i++)
        if (s->holes[i].until_ns == WHEN_UNKNOWN || s->holes[i].until_ns >= time_ns) {
            n += (uint64_t)(s->holes[i].to - s->holes[i].from) + 1;
            *only = &s->holes[i];
            *others |= s->holes[i].primary_change;
        }
    return n;
}

static void settle(struct plan_unanswered *u, bool done)
{
    u->judged = true;
    u->done = done;
}

// One shard's unanswered ops against its holes: none of them, or all of them, where the counts leave no choice.
static void judge_shard(const struct check *c, struct plan_unanswered **u, size_t count)
{
    const struct check_shard *s = check_find_shard(c, u[0]->name, u[0]->life, u[0]->shard);
    const struct check_life *life = life_of(c, u[0]->name, u[0]->life);
    if (!s || !life || !s->numbers || life->accepted_without_number || life->by_query || life->own)
        return;
    const struct check_hole *only = NULL;
    bool others = life->engine_failures > 0;
    uint64_t holes = holes_after(s, u[0]->time_ns, &only, &others);
    if (!holes) {
        // Dense to the end of what was recorded: what was sent long before that end did not happen.
        for (size_t i = 0; i < count; i++)
            if (s->time_last_ns != WHEN_UNKNOWN && u[i]->time_ns + LATE_NS < s->time_last_ns)
                settle(u[i], false);
        return;
    }
    if (others || holes != count)
        return;
    for (size_t i = 0; i < count; i++)
        settle(u[i], true);
    if (count == 1) {
        u[0]->seq_no = only->from;
        u[0]->primary_term = s->term_last == s->term_first ? s->term_first : OP_NONE;
        return;
    }
    // Several: holes in order and requests in order, if no hole could belong to a later request.
    size_t at = 0;
    for (size_t i = 0; i < s->hole_count; i++)
        for (int64_t n = s->holes[i].from; n <= s->holes[i].to; n++) {
            const struct check_hole *h = &s->holes[i];
            if (h->until_ns != WHEN_UNKNOWN && h->until_ns < u[0]->time_ns)
                continue;
            if (at >= count || (at + 1 < count && (h->until_ns == WHEN_UNKNOWN || u[at + 1]->time_ns <= h->until_ns)))
                return;
            u[at]->seq_no = n;
            u[at]->primary_term = s->term_last == s->term_first ? s->term_first : OP_NONE;
            at++;
        }
}

bool plan_judge_holes(struct plan *p, struct fault *fault)
{
    struct plan_unanswered **order = mem_alloc(p->unanswered_count * sizeof *order);
    size_t n = 0;
    if (!order)
        return fault_memory(fault);
    for (size_t i = 0; i < p->unanswered_count; i++)
        order[n++] = &p->unanswered[i];
    if (n)
        qsort(order, n, sizeof *order, by_shard);
    for (size_t from = 0, to; from < n; from = to) {
        bool known = true;
        for (to = from; to < n && order[to]->name == order[from]->name && order[to]->life == order[from]->life && order[to]->shard == order[from]->shard; to++)
            known &= order[to]->id_known && order[to]->shard >= 0;
        // An op whose shard nobody knows could fill any shard's hole: then nothing of this index is judged by holes.
        bool stray = false;
        for (size_t i = 0; i < n; i++)
            stray |= order[i]->name == order[from]->name && order[i]->life == order[from]->life && order[i]->shard < 0;
        if (known && !stray)
            judge_shard(p->check, order + from, to - from);
    }
    mem_free(order);
    return true;
}

// ---- versions ---------------------------------------------------------------------------------------------------------

static bool counts(const struct op_rec *r)
{
    return r->version >= 0 && !(r->op_flags & OP_EXTERNAL) &&
           (r->result == OP_CREATED || r->result == OP_UPDATED || r->result == OP_DELETED || r->result == OP_NOT_FOUND);
}

static bool open_case(const struct op_rec *r)
{
    return r->result == OP_UNKNOWN && !(r->marks & (REC_DONE | REC_NOT_DONE));
}

static void settle_all(struct op_rec **ops, size_t from, size_t to, uint16_t mark)
{
    for (size_t i = from; i < to; i++)
        if (open_case(ops[i]))
            ops[i]->marks |= mark;
}

// A retry of the same create that found the document there: the first one made it.
static void judge_conflicts(struct op_rec **ops, size_t count)
{
    bool exists = false, known = false;
    for (size_t i = 0; i < count; i++) {
        struct op_rec *r = ops[i];
        if (i == 0 && r->life != PLAN_LIFE_FIRST)
            known = true, exists = false; // its index was born on this tape and nothing was there before
        if (r->result == OP_UNKNOWN && open_case(r) && (r->kind == OP_CREATE || r->kind == OP_INDEX) && known && !exists) {
            for (size_t k = i + 1; k < count && ops[k]->life == r->life; k++) {
                if (ops[k]->result == OP_FAILED && ops[k]->error == PLAN_ERR_CONFLICT && ops[k]->kind == OP_CREATE) {
                    size_t open = 0;
                    for (size_t o = i; o < k; o++)
                        open += open_case(ops[o]);
                    if (open == 1)
                        r->marks |= REC_DONE;
                    break;
                }
                if (ops[k]->result != OP_FAILED && ops[k]->result != OP_UNKNOWN)
                    break;
            }
        }
        if (r->result == OP_CREATED || r->result == OP_UPDATED)
            known = true, exists = true;
        if (r->result == OP_DELETED || r->result == OP_NOT_FOUND)
            known = true, exists = false;
        if (open_case(r))
            known = false;
        else if (r->result == OP_UNKNOWN && (r->marks & REC_DONE))
            known = true, exists = r->kind != OP_DELETE;
    }
}

void plan_judge_versions(struct op_rec **ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!open_case(ops[i]))
            continue;
        size_t from = i, to = i, open = 0;
        while (from > 0 && !counts(ops[from - 1]) && ops[from - 1]->life == ops[i]->life)
            from--;
        while (to < count && !counts(ops[to]) && ops[to]->life == ops[i]->life)
            to++;
        for (size_t k = from; k < to; k++)
            open += open_case(ops[k]) || (ops[k]->result == OP_UNKNOWN && (ops[k]->marks & REC_DONE)) || ops[k]->result == OP_ACCEPTED;
        bool before = from > 0 && ops[from - 1]->life == ops[i]->life, behind = to < count && ops[to]->life == ops[i]->life;
        if (!behind || ops[to]->epoch != ops[i]->epoch || (before && ops[from - 1]->epoch != ops[i]->epoch))
            continue; // a by-query call between them writes versions that nobody sees
        if (before && ops[to]->version == ops[from - 1]->version + 1) {
            settle_all(ops, from, to, REC_NOT_DONE);
        } else if (before && ops[to]->version == ops[from - 1]->version + 1 + (int64_t)open) {
            settle_all(ops, from, to, REC_DONE);
        } else if (!before && ops[to]->result == OP_CREATED && ops[to]->version == 1) {
            settle_all(ops, from, to, REC_NOT_DONE);
        } else if (!before && from == 0 && ops[i]->life != PLAN_LIFE_FIRST && ops[to]->version == 1 + (int64_t)open) {
            settle_all(ops, from, to, REC_DONE); // its index was born on this tape: it began at nothing
        }
    }
    judge_conflicts(ops, count);
}
