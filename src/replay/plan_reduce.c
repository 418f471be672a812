// One document's records, in order, reduced to the steps that bring the target there.
//
// States of a document in the model (what the target will hold): unknown (only the restored copy tells), there, gone.
// After a skipped operation the source's own state differs from the model: the document has diverged.
#include "plan_group.h"

#include "../base/diag.h"
#include "../base/mem.h"

enum model { MODEL_UNKNOWN, MODEL_THERE, MODEL_GONE };

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
    if (r->error == PLAN_ERR_BLOCKED && p->set.blocked_since_ns && done_at(r) >= p->set.blocked_since_ns && (!p->set.blocked_until_ns || done_at(r) < p->set.blocked_until_ns))
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
        bool sure = x->model == MODEL_THERE;
        x->count->collisions += sure;
        x->count->collisions_possible += !sure;
        plan_note_add(x->g->p, PLAN_NOTE_COLLISION, r, "%s", sure ? "inserted by upsert only because of the skipped operation: merged as it would have been"
                                                                  : "inserted by upsert; merged if the restored copy holds its document, which the skipped operation then took from it");
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

// A barrier lies between: what stands before it goes out by itself, and the by-query call may have touched the document.
static bool next_epoch(struct reducing *x, const struct op_rec *r)
{
    if (!emit(x, r))
        return false;
    if (plan_changes(x->g->p, r->slot, x->epoch, r->epoch))
        x->model = MODEL_UNKNOWN;
    x->epoch = r->epoch;
    x->doc_flags &= ~(uint32_t)(PLAN_DOC_BASE_EMPTY | PLAN_DOC_HELD_EXISTS | PLAN_DOC_HELD_GONE);
    x->held_seq = OP_NONE;
    return true;
}

// A script while the snapshot was taken, with neither number nor version: twice would be wrong, and so would never.
static bool undecidable_script(struct reducing *x, const struct op_rec *r)
{
    if (!(r->marks & REC_UNSURE) || !(r->op_flags & OP_SCRIPTED) || !took_effect(r) || r->seq_no >= 0 || r->version >= 0)
        return false;
    x->count->unknown++;
    plan_note_add(x->g->p, PLAN_NOTE_UNKNOWN, r, "a script while the snapshot was taken, its answer filtered: whether the copy holds it is not known");
    return x->g->p->set.unknown != PLAN_UNKNOWN_APPLY;
}

static bool reduce_op(struct reducing *x, struct op_rec *r)
{
    uint16_t flags = 0;
    if (r->marks & REC_SKIPPED) {
        x->diverged |= took_effect(r) || r->result == OP_UNKNOWN;
        return true;
    }
    if (r->marks & REC_HELD) {
        held_op(x, r);
        return true;
    }
    if ((r->result == OP_UNKNOWN && !unknown_op(x, r, &flags)) || undecidable_script(x, r))
        return true;
    return (r->result == OP_FAILED ? refused_op(x, r) : accepted_op(x, r, flags)) || fault_memory(x->g->p->fault);
}

bool plan_reduce_group(struct group *g)
{
    struct plan *p = g->p;
    const struct op_rec *first = g->ops[0];
    struct plan_slot *slot = &p->slots[first->slot];
    bool empty = !p->incremental && (slot->seam == PLAN_SEAM_EMPTY || slot->deleted); // else only the target knows what came before
    struct reducing x = {.g = g, .model = empty ? MODEL_GONE : MODEL_UNKNOWN, .epoch = first->epoch, .held_seq = OP_NONE, .held_term = OP_NONE, .held_version = OP_NONE,
                         .final_version = OP_NONE, .count = &slot->count, .doc_flags = empty ? PLAN_DOC_BASE_EMPTY : 0,
                         .diverged = (first->marks & REC_REBORN) || (p->incremental && p->skip_count > 0 && (first->marks & REC_AFTER_SKIP))};
    int64_t life = first->life;
    for (size_t i = 0; i < g->count; i++) {
        struct op_rec *r = g->ops[i];
        x.diverged |= r->life != life && p->skip_count > 0;
        life = r->life;
        if (r->epoch > x.epoch && !next_epoch(&x, r))
            return false;
        x.diverged |= (r->marks & REC_AFTER_SKIP) && !(r->marks & REC_SKIPPED) && life != first->life;
        if (!reduce_op(&x, r))
            return false;
    }
    x.doc_flags |= PLAN_DOC_LAST;
    return emit(&x, g->ops[g->count - 1]);
}
