// One document's records: put into the order of effect, judged, reduced to the steps that bring the target there.
//
// States of a document in the model (what the target will hold): unknown (only the restored copy tells), there, gone.
// After a skipped operation the source's own state differs from the model: the document has diverged.
#include "plan_inside.h"

#include "../base/diag.h"
#include "../base/mem.h"

#include <stdlib.h>

enum model { MODEL_UNKNOWN, MODEL_THERE, MODEL_GONE };

struct group {
    struct plan *p;
    struct op_rec **ops;
    size_t count, room;
    struct arena arena;
    struct buf out;
    struct plan_step *steps;
    size_t step_count, step_room;
};

static bool took_effect(const struct op_rec *r)
{
    return r->result == OP_CREATED || r->result == OP_UPDATED || r->result == OP_DELETED || r->result == OP_NOT_FOUND || r->result == OP_ACCEPTED ||
           (r->result == OP_UNKNOWN && (r->marks & REC_DONE));
}

static int64_t done_at(const struct op_rec *r)
{
    return r->answered_ns == WHEN_UNKNOWN ? r->time_ns + WHEN_NS_PER_MS : r->answered_ns;
}

static bool surely_before(const struct op_rec *a, const struct op_rec *b)
{
    if (a->exchange == b->exchange && a->tape == b->tape) // items of one bulk meet a shard in their order
        return a->item < b->item;
    return a->life != b->life ? a->life < b->life : done_at(a) < b->time_ns;
}

// ---- order ------------------------------------------------------------------------------------------------------------

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

static bool order_group(struct group *g)
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
    return true;
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

// ---- reduction --------------------------------------------------------------------------------------------------------

struct reducing {
    struct group *g;
    enum model model;
    bool diverged;
    uint32_t epoch;
    uint32_t doc_flags;
    int64_t held_seq, held_term, held_version, final_version;
    int64_t step_life; // of the last step: numbers mean nothing without their life
    struct plan_count *count;
};

static bool push_step(struct reducing *x, const struct op_rec *r, uint16_t flags)
{
    struct group *g = x->g;
    if (g->step_count == g->step_room) {
        size_t room = g->step_room ? g->step_room * 2 : 16;
        struct plan_step *grown = mem_grow(g->steps, room * sizeof *grown);
        if (!grown)
            return false;
        g->steps = grown;
        g->step_room = room;
    }
    flags = (uint16_t)(flags | (r->marks & REC_UNSURE ? PLAN_STEP_UNSURE : 0) | (r->marks & REC_MINTED ? PLAN_STEP_MINTED : 0));
    g->steps[g->step_count++] = (struct plan_step){
        .exchange = r->exchange, .source_at = r->source_at, .source_bytes = r->source_bytes, .seq_no = r->seq_no, .primary_term = r->primary_term,
        .version = r->version, .time_ns = r->time_ns, .item = r->item, .op_flags = r->op_flags, .tape = r->tape, .flags = flags, .kind = r->kind,
        .result = r->result, .pipeline = r->pipeline};
    x->step_life = r->life;
    if (r->marks & REC_TIME_ORDER)
        x->doc_flags |= PLAN_DOC_TIME_ORDER;
    return true;
}

static bool replace_all(struct reducing *x, const struct op_rec *r, uint16_t flags)
{
    x->g->step_count = 0;
    return push_step(x, r, flags);
}

static bool emit(struct reducing *x, const struct op_rec *any)
{
    struct group *g = x->g;
    struct plan *p = g->p;
    if (!g->step_count)
        return true;
    bool only_gone = x->doc_flags & PLAN_DOC_BASE_EMPTY && g->step_count == 1 && g->steps[0].kind == OP_DELETE && g->steps[0].result != OP_UPDATED;
    if (only_gone) { // it never was on an empty target
        g->step_count = 0;
        return true;
    }
    struct bytes id = rec_id(any), routing = rec_routing(any), type = rec_type(any);
    struct doc_head head;
    memset(&head, 0, sizeof head);
    head.place = plan_place(x->epoch, g->steps[0].exchange);
    head.item = g->steps[0].item;
    head.epoch = x->epoch;
    head.slot = any->slot;
    head.flags = x->doc_flags | (x->diverged ? PLAN_DOC_DIVERGED : 0);
    head.step_count = (uint32_t)g->step_count;
    head.shard = any->shard;
    head.hash = any->hash;
    head.held_seq = x->held_seq;
    head.held_term = x->held_term;
    head.final_version = x->final_version;
    head.life = x->step_life;
    head.held_version = x->held_version;
    head.id_size = (uint32_t)id.size;
    head.routing_size = (uint32_t)routing.size;
    head.type_size = (uint32_t)type.size;
    buf_clear(&g->out);
    buf_add(&g->out, &head, sizeof head);
    buf_add(&g->out, g->steps, g->step_count * sizeof *g->steps);
    buf_add_bytes(&g->out, id);
    buf_add_bytes(&g->out, routing);
    buf_add_bytes(&g->out, type);
    if (g->out.failed)
        return fault_memory(p->fault);
    x->count->documents++;
    x->count->steps += g->step_count;
    for (size_t i = 0; i < g->step_count; i++) {
        x->count->source_bytes += g->steps[i].source_bytes;
        if (g->steps[i].source_bytes > p->largest.bytes)
            p->largest = (struct plan_largest){g->steps[i].source_bytes, g->steps[i].exchange, g->steps[i].item, any->slot};
        x->count->minted += (g->steps[i].flags & PLAN_STEP_MINTED) != 0;
        x->count->unsure += (g->steps[i].flags & PLAN_STEP_UNSURE) != 0;
    }
    x->count->time_ordered += (x->doc_flags & PLAN_DOC_TIME_ORDER) != 0;
    g->step_count = 0;
    return sorter_add(p->by_place, buf_view(&g->out), p->fault);
}

static bool unknown_op(struct reducing *x, struct op_rec *r, uint16_t *flags)
{
    struct plan *p = x->g->p;
    if (r->marks & REC_DONE) {
        x->count->judged_done++;
        *flags |= PLAN_STEP_JUDGED;
        return plan_note_add(p, PLAN_NOTE_JUDGED, r, "unanswered, but it happened: %s", r->seq_no >= 0 ? "a number of its shard is missing exactly there" : "later answers show it");
    }
    if (r->marks & REC_NOT_DONE) {
        x->count->judged_not_done++;
        plan_note_add(p, PLAN_NOTE_JUDGED, r, "unanswered, and it did not happen: later answers leave no room for it");
        return false;
    }
    x->count->unknown++;
    plan_note_add(p, PLAN_NOTE_UNKNOWN, r, "unanswered, and nothing on the tape shows whether it happened");
    *flags |= PLAN_STEP_ASSUMED;
    return p->set.unknown == PLAN_UNKNOWN_APPLY;
}

// Refused only because of the accident? Then it is a casualty: told, applied when asked for.
static bool refused_op(struct reducing *x, const struct op_rec *r)
{
    struct plan *p = x->g->p;
    bool casualty = false, possible = false;
    if (!x->diverged && !(r->marks & REC_AFTER_SKIP))
        return true;
    if (r->error == PLAN_ERR_BLOCKED && p->set.blocked_since_ns && done_at(r) >= p->set.blocked_since_ns)
        casualty = false;
    else if (r->error == PLAN_ERR_INDEX_GONE || r->error == PLAN_ERR_INDEX_CLOSED || r->error == PLAN_ERR_BLOCKED)
        casualty = r->kind != OP_CREATE || x->model != MODEL_THERE;
    else if (r->error == PLAN_ERR_DOC_MISSING && r->kind == OP_UPDATE)
        casualty = x->model == MODEL_THERE, possible = x->model == MODEL_UNKNOWN;
    if (!casualty && !possible) {
        x->count->left_out_refused++;
        return true;
    }
    x->count->casualties += casualty;
    x->count->casualties_possible += possible;
    plan_note_add(p, PLAN_NOTE_CASUALTY, r, "%s", casualty ? "refused only because of the skipped operation"
                                                            : "refused because its document was gone; a casualty if the restored copy holds it");
    if (!p->set.casualties_apply)
        return true;
    if (r->kind == OP_INDEX || r->kind == OP_CREATE) {
        x->model = MODEL_THERE;
        return replace_all(x, r, PLAN_STEP_CASUALTY);
    }
    if (r->kind == OP_DELETE) {
        x->model = MODEL_GONE;
        return replace_all(x, r, PLAN_STEP_CASUALTY);
    }
    return push_step(x, r, PLAN_STEP_CASUALTY);
}

static bool update_op(struct reducing *x, const struct op_rec *r, uint16_t flags)
{
    bool created = r->result == OP_CREATED;
    if (r->result == OP_NOOP)
        return x->diverged && x->model != MODEL_GONE ? push_step(x, r, PLAN_STEP_NOOP) : true;
    if (r->result == OP_DELETED && !x->diverged) { // a script that set ctx.op to delete
        x->model = MODEL_GONE;
        return replace_all(x, r, flags);
    }
    if (created && !x->diverged && !(r->op_flags & OP_SCRIPTED)) {
        x->model = MODEL_THERE;
        return replace_all(x, r, flags | PLAN_STEP_INSERT);
    }
    if (created && x->diverged && x->model != MODEL_GONE) {
        x->count->collisions += x->model == MODEL_THERE;
        plan_note_add(x->g->p, PLAN_NOTE_COLLISION, r, "inserted by upsert only because of the skipped operation: merged as it would have been");
        flags |= PLAN_STEP_COLLISION;
    } else if (created && !(r->op_flags & OP_SCRIPTED)) {
        x->model = MODEL_THERE;
        return replace_all(x, r, flags | PLAN_STEP_INSERT);
    }
    if (x->model != MODEL_UNKNOWN || created)
        x->model = MODEL_THERE;
    return push_step(x, r, flags);
}

static bool accepted_op(struct reducing *x, const struct op_rec *r, uint16_t flags)
{
    x->final_version = r->version; // unknown where its answer hid it: the version before would be wrong
    switch (r->kind) {
    case OP_CREATE:
        if (x->diverged && x->model == MODEL_THERE) {
            x->count->collisions++;
            plan_note_add(x->g->p, PLAN_NOTE_COLLISION, r, "created only because of the skipped operation: the newest data wins");
            flags |= PLAN_STEP_COLLISION;
        }
        // fall through
    case OP_INDEX:
        x->model = MODEL_THERE;
        return replace_all(x, r, flags);
    case OP_DELETE:
        x->model = MODEL_GONE;
        return replace_all(x, r, flags);
    default:
        return update_op(x, r, flags);
    }
}

static void held_op(struct reducing *x, const struct op_rec *r)
{
    x->count->held++;
    if (!took_effect(r))
        return;
    x->held_seq = r->seq_no;
    x->held_term = r->primary_term;
    x->held_version = r->version;
    x->final_version = r->version;
    bool gone = r->kind == OP_DELETE || r->result == OP_DELETED;
    x->model = gone ? MODEL_GONE : MODEL_THERE;
    x->doc_flags = (x->doc_flags & ~(uint32_t)(PLAN_DOC_HELD_EXISTS | PLAN_DOC_HELD_GONE)) | (gone ? PLAN_DOC_HELD_GONE : PLAN_DOC_HELD_EXISTS);
}

static bool reduce_group(struct group *g)
{
    struct plan *p = g->p;
    const struct op_rec *first = g->ops[0];
    struct plan_slot *slot = &p->slots[first->slot];
    bool empty = slot->seam == PLAN_SEAM_EMPTY || slot->deleted;
    struct reducing x = {.g = g, .model = empty ? MODEL_GONE : MODEL_UNKNOWN, .epoch = first->epoch, .held_seq = OP_NONE, .held_term = OP_NONE, .held_version = OP_NONE,
                         .final_version = OP_NONE, .count = &slot->count, .doc_flags = empty ? PLAN_DOC_BASE_EMPTY : 0};
    int64_t life = first->life;
    bool incremental = p->set.seen && p->set.seen->floor && p->incremental;
    if (incremental) { // what came before is on the target: only it knows the document
        x.model = MODEL_UNKNOWN;
        x.doc_flags = 0;
        x.diverged = p->skip_count > 0 && (first->marks & REC_AFTER_SKIP);
    }
    for (size_t i = 0; i < g->count; i++) {
        struct op_rec *r = g->ops[i];
        if (r->life != life) {
            x.diverged |= p->skip_count > 0;
            life = r->life;
        }
        if (r->epoch > x.epoch) {
            if (!emit(&x, r))
                return false;
            bool changed = plan_changes(p, r->slot, x.epoch, r->epoch);
            x.epoch = r->epoch;
            x.doc_flags &= ~(uint32_t)(PLAN_DOC_BASE_EMPTY | PLAN_DOC_HELD_EXISTS | PLAN_DOC_HELD_GONE);
            x.held_seq = OP_NONE;
            if (changed)
                x.model = MODEL_UNKNOWN; // the barrier may have touched it
        }
        if (r->marks & REC_SKIPPED) {
            x.diverged |= took_effect(r) || r->result == OP_UNKNOWN;
            continue;
        }
        if ((r->marks & REC_AFTER_SKIP) && life != first->life)
            x.diverged = true;
        uint16_t flags = 0;
        if (r->marks & REC_HELD) {
            held_op(&x, r);
            continue;
        }
        if (r->result == OP_UNKNOWN && !unknown_op(&x, r, &flags))
            continue;
        if ((r->marks & REC_UNSURE) && (r->op_flags & OP_SCRIPTED) && took_effect(r) && r->seq_no < 0 && r->version < 0) {
            x.count->unknown++; // neither number nor version: whether the copy holds it cannot be told, and twice would be wrong
            plan_note_add(p, PLAN_NOTE_UNKNOWN, r, "a script while the snapshot was taken, its answer filtered: whether the copy holds it is not known");
            if (p->set.unknown != PLAN_UNKNOWN_APPLY)
                continue;
        }
        bool ok = r->result == OP_FAILED ? refused_op(&x, r) : accepted_op(&x, r, flags);
        if (!ok)
            return fault_memory(p->fault);
    }
    x.doc_flags |= PLAN_DOC_LAST;
    return emit(&x, g->ops[g->count - 1]);
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
    if (!order_group(g))
        return fault_memory(g->p->fault);
    drop_copies(g);
    plan_judge_versions(g->ops, g->count);
    plan_judge_reads(g->p, g->ops, g->count);
    infer_versions(g);
    pass_applied(g);
    spread_held(g);
    witness_chain(g);
    g->step_count = 0;
    bool ok = reduce_group(g);
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
