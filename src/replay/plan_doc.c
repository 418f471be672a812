// One document's records brought together: judged, what the copy holds marked, handed on to be ordered and reduced.
#include "plan_group.h"

#include "../base/diag.h"
#include "../base/mem.h"

#include <stdlib.h>

static void take_hole_verdicts(struct group *g)
{
    for (size_t i = 0; i < g->count; i++) {
        struct op_rec *r = g->ops[i];
        if (r->result != OP_UNKNOWN)
            continue;
        union map_value *v = nummap_find(g->p->unanswered_of, rec_key(r->tape, r->exchange, r->item));
        const struct plan_unanswered *u = v && v->num ? &g->p->unanswered[v->num - 1] : NULL;
        if (!u || !u->judged)
            continue;
        r->marks |= u->done ? REC_DONE : REC_NOT_DONE;
        if (u->done && u->primary_term >= 0) {
            r->seq_no = u->seq_no;
            r->primary_term = u->primary_term;
        }
    }
}

// A filtered answer hides the version, but its neighbours' chain leaves room for one only.
static void infer_versions(struct group *g)
{
    for (size_t i = 0; i < g->count; i++) {
        if (!took_effect(g->ops[i]) || g->ops[i]->version >= 0)
            continue;
        size_t prev = i, next = i, hidden = 0;
        while (prev > 0 && !took_effect(g->ops[prev - 1]))
            prev--;
        for (; next < g->count && !(took_effect(g->ops[next]) && g->ops[next]->version >= 0); next++)
            hidden += took_effect(g->ops[next]);
        // Behind one whose version stays open nothing is sure, nor behind a by-query call, which writes versions that nobody sees.
        if (!prev || g->ops[prev - 1]->life != g->ops[i]->life || g->ops[prev - 1]->version < 0 || g->ops[prev - 1]->epoch != g->ops[i]->epoch)
            continue;
        int64_t from = g->ops[prev - 1]->version;
        bool closed = next < g->count && g->ops[next]->life == g->ops[i]->life && g->ops[next]->epoch == g->ops[i]->epoch && !(g->ops[next]->op_flags & OP_EXTERNAL);
        bool sure = closed ? g->ops[next]->version == from + (int64_t)hidden + 1 : g->ops[i]->result != OP_ACCEPTED || g->ops[i]->kind != OP_UPDATE;
        if (closed && g->ops[next]->version == from + 1 && g->ops[i]->result == OP_ACCEPTED && g->ops[i]->kind == OP_UPDATE) {
            g->ops[i]->result = OP_NOOP; // no room for it: it changed nothing
            continue;
        }
        if (sure && !(g->ops[i]->op_flags & OP_EXTERNAL))
            g->ops[i]->version = from + 1;
    }
}

// Everything before a held operation is held: applying it again would revert the document (trap 2).
static void spread_held(struct group *g)
{
    uint16_t mark = 0;
    for (size_t i = g->count; i-- > 0;) {
        struct op_rec *r = g->ops[i];
        if ((r->marks & REC_HELD) && took_effect(r))
            mark = REC_HELD;
        else if (!mark && (r->marks & REC_UNSURE) && took_effect(r))
            mark = REC_UNSURE;
        if (mark == REC_HELD)
            r->marks = (uint16_t)((r->marks & ~REC_UNSURE) | REC_HELD);
        else if (mark == REC_UNSURE && !(r->marks & REC_HELD))
            r->marks |= REC_UNSURE;
    }
}

// An incremental plan: what stands before the last applied operation is on the target, or came too late to be put before it.
static void pass_applied(struct group *g)
{
    struct plan *p = g->p;
    int64_t life, term, seq_no;
    if (!p->set.applied || !p->set.applied(p->set.applied_ctx, g->ops[0]->hash, &life, &term, &seq_no))
        return;
    for (size_t i = 0; i < g->count; i++) {
        struct op_rec *r = g->ops[i];
        bool before = r->life < life || (r->life == life && r->seq_no >= 0 && (r->primary_term < term || (r->primary_term == term && r->seq_no <= seq_no)));
        if (!before || r->result == OP_NOOP)
            continue;
        r->marks |= REC_HELD;
        p->slots[r->slot].count.late += took_effect(r) && r->kind == OP_UPDATE;
    }
}

static void witness_chain(struct group *g)
{
    struct plan *p = g->p;
    const struct op_rec *last = NULL;
    bool whole = true, any = false;
    int64_t between = 0; // writes whose versions nobody told
    for (size_t i = 0; i < g->count; i++) {
        const struct op_rec *r = g->ops[i];
        if (!took_effect(r))
            continue;
        if (r->version < 0) {
            between++;
            continue;
        }
        // Across a barrier the by-query call may have written too.
        if (last && last->life == r->life && last->epoch == r->epoch && !(r->op_flags & OP_EXTERNAL)) {
            any = true;
            bool restart = r->result == OP_CREATED && r->version == 1 && (last->result == OP_DELETED || last->result == OP_NOT_FOUND);
            restart |= r->result == OP_NOT_FOUND && r->version == 1;
            whole &= restart || r->version == last->version + 1 + between;
        }
        last = r;
        between = 0;
    }
    if (any && last)
        for (size_t n = 0; n < p->name_count; n++)
            if (p->names[n].slot == (int)last->slot) {
                check_chain(p->check, (uint32_t)n, last->life, whole);
                break;
            }
}

static struct bytes type_of(const struct plan *p, const struct op_rec *r)
{
    struct bytes own = rec_own_type(r);
    const char *usual = p->slots[r->slot].type;
    return own.size || !usual || p->slots[r->slot].several_types ? own : bytes_of_text(usual);
}

// The type is part of the document's key: known only now that all ops were read.
static void key_type(struct group *g)
{
    struct bytes type = type_of(g->p, g->ops[0]);
    if (!type.size)
        return;
    uint64_t key[2] = {g->ops[0]->hash, map_hash(type, 7)};
    uint64_t hash = map_hash(bytes_of(key, sizeof key), 7);
    for (size_t i = 0; i < g->count; i++)
        g->ops[i]->hash = hash;
}

static bool finish_group(struct group *g)
{
    if (!g->count)
        return true;
    take_hole_verdicts(g);
    key_type(g);
    if (!plan_order_group(g))
        return fault_memory(g->p->fault);
    plan_judge_versions(g->ops, g->count);
    plan_judge_reads(g->p, g->ops, g->count);
    infer_versions(g);
    pass_applied(g);
    spread_held(g);
    witness_chain(g);
    g->step_count = 0;
    bool ok = plan_reduce_group(g);
    g->count = 0;
    arena_reset(&g->arena);
    return ok && !g->p->fail_memory;
}

static bool same_id(const struct op_rec *a, const struct op_rec *b)
{
    return a->hash == b->hash && a->slot == b->slot && a->shard == b->shard && bytes_equal(rec_id(a), rec_id(b)) &&
           (a->shard >= 0 || bytes_equal(rec_routing(a), rec_routing(b)));
}

static bool same_document(struct plan *p, const struct op_rec *a, const struct op_rec *b)
{
    if (!same_id(a, b))
        return false;
    bool same = bytes_equal(type_of(p, a), type_of(p, b));
    p->slots[a->slot].type_clashes += !same;
    return same;
}

static int by_place(const void *a, const void *b)
{
    const struct doc_head *x = a, *y = b;
    if (x->place != y->place)
        return x->place < y->place ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

static bool add_record(struct group *g, struct bytes record)
{
    if (g->count == g->room) {
        size_t room = g->room ? g->room * 2 : 64;
        struct op_rec **grown = mem_grow(g->ops, room * sizeof *grown);
        if (!grown)
            return false;
        g->ops = grown;
        g->room = room;
    }
    struct op_rec *copy = arena_copy(&g->arena, record.at, record.size);
    if (copy)
        g->ops[g->count++] = copy;
    return copy != NULL;
}

bool plan_docs_reduce(struct plan *p, struct fault *fault)
{
    size_t memory = p->set.memory_bytes ? p->set.memory_bytes : (size_t)256 << 20;
    struct group g = {.p = p};
    struct bytes record;
    p->fault = fault;
    p->by_place = sorter_open(p->spill_dir, memory / 4, by_place);
    if (!p->by_place)
        return fault_memory(fault);
    arena_init(&g.arena, 0);
    bool ok = true;
    while ((ok = sorter_next(p->by_doc, &record, fault)) && record.size) {
        if (g.count && !same_document(p, g.ops[0], (const struct op_rec *)(const void *)record.at) && !(ok = finish_group(&g)))
            break;
        if (!add_record(&g, record)) {
            ok = fault_memory(fault);
            break;
        }
    }
    ok = ok && finish_group(&g);
    if (!ok && fault->kind == FAULT_NONE)
        fault_memory(fault);
    mem_free(g.ops);
    mem_free(g.steps);
    arena_fini(&g.arena);
    buf_fini(&g.out);
    sorter_close(p->by_doc);
    p->by_doc = NULL;
    return ok && sorter_finish(p->by_place, fault);
}
