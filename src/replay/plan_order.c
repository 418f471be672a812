// The order of effect of one document's records: by the cluster's numbers, without them by time and version.
#include "plan_group.h"

#include "../base/diag.h"
#include "../base/mem.h"

#include <stdlib.h>

static bool surely_before(const struct op_rec *a, const struct op_rec *b)
{
    if (a->exchange == b->exchange && a->tape == b->tape) // items of one bulk meet a shard in their order
        return a->item < b->item;
    return a->life != b->life ? a->life < b->life : done_at(a) < b->time_ns;
}

static int by_number(const void *a, const void *b)
{
    const struct op_rec *x = *(struct op_rec *const *)a, *y = *(struct op_rec *const *)b;
    if (x->life != y->life)
        return x->life < y->life ? -1 : 1;
    if (x->primary_term != y->primary_term)
        return x->primary_term < y->primary_term ? -1 : 1;
    if (x->seq_no != y->seq_no)
        return x->seq_no < y->seq_no ? -1 : 1;
    bool nx = x->result == OP_NOOP, ny = y->result == OP_NOOP; // a noop repeats the number of what it found
    if (nx != ny)
        return nx ? 1 : -1;
    return done_at(x) < done_at(y) ? -1 : done_at(x) > done_at(y);
}

// Without a number: never before what surely came before it, never behind what surely came later; between, the version
// decides where both have one, else the time of the answer (and the document is marked).
static void insert_by_time(struct op_rec **list, size_t *count, struct op_rec *r)
{
    size_t at = *count;
    while (at > 0) {
        struct op_rec *prev = list[at - 1];
        if (surely_before(prev, r))
            break;
        if (!surely_before(r, prev)) {
            bool versions = prev->version >= 0 && r->version >= 0 && prev->life == r->life;
            if (versions ? prev->version <= r->version : done_at(prev) <= done_at(r))
                break;
            if (!versions && took_effect(prev) && took_effect(r))
                r->marks |= REC_TIME_ORDER;
        }
        at--;
    }
    if (at > 0 && !surely_before(list[at - 1], r) && !(list[at - 1]->version >= 0 && r->version >= 0) && took_effect(list[at - 1]) && took_effect(r))
        r->marks |= REC_TIME_ORDER;
    memmove(list + at + 1, list + at, (*count - at) * sizeof *list);
    list[at] = r;
    *count += 1;
}

static int by_answer(const void *a, const void *b)
{
    const struct op_rec *x = *(struct op_rec *const *)a, *y = *(struct op_rec *const *)b;
    if (x->life != y->life)
        return x->life < y->life ? -1 : 1;
    if (done_at(x) != done_at(y))
        return done_at(x) < done_at(y) ? -1 : 1;
    if (x->exchange != y->exchange)
        return x->exchange < y->exchange ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

// Two taps, or a retry seen twice, give the same op twice: equal numbers of the same life and term.
static void drop_copies(struct group *g)
{
    size_t kept = 0;
    for (size_t i = 0; i < g->count; i++) {
        struct op_rec *r = g->ops[i], *prev = kept ? g->ops[kept - 1] : NULL;
        bool copy = prev && r->seq_no >= 0 && prev->seq_no == r->seq_no && prev->primary_term == r->primary_term && prev->life == r->life &&
                    r->result != OP_NOOP && prev->result == r->result && prev->kind == r->kind && prev->tape != r->tape;
        if (!copy)
            g->ops[kept++] = r;
    }
    g->count = kept;
}

bool plan_order_group(struct group *g)
{
    struct op_rec **list = arena_alloc(&g->arena, (g->count + 1) * sizeof *list), **rest = arena_alloc(&g->arena, (g->count + 1) * sizeof *rest);
    size_t count = 0, others = 0;
    if (!list || !rest)
        return false;
    for (size_t i = 0; i < g->count; i++) {
        struct op_rec *r = g->ops[i];
        if (r->seq_no >= 0 && r->result != OP_FAILED)
            list[count++] = r;
        else
            rest[others++] = r;
    }
    if (count)
        qsort(list, count, sizeof *list, by_number);
    if (others)
        qsort(rest, others, sizeof *rest, by_answer);
    for (size_t i = 0; i < others; i++)
        insert_by_time(list, &count, rest[i]);
    memcpy(g->ops, list, count * sizeof *list);
    drop_copies(g);
    return true;
}
