// Ops of the tape become sorted records: chosen indices only, life, shard, what is held, what was refused and why.
#include "plan_inside.h"

#include "../base/diag.h"
#include "../base/mem.h"

struct ops_pass {
    struct plan *p;
    struct buf rec;
    bool failed, locate;
    uint64_t taking;         // exchange being taken, plus one
    size_t taking_tape;
    plan_source_fn *sources; // a pass that only hands out what was parsed
    void *ctx;
};

static const struct {
    const char *name;
    enum plan_error error;
} errors[] = {
    {"document_missing_exception", PLAN_ERR_DOC_MISSING}, {"version_conflict_engine_exception", PLAN_ERR_CONFLICT},
    {"document_already_exists_exception", PLAN_ERR_CONFLICT}, {"index_not_found_exception", PLAN_ERR_INDEX_GONE},
    {"index_closed_exception", PLAN_ERR_INDEX_CLOSED}, {"cluster_block_exception", PLAN_ERR_BLOCKED},
};

static enum plan_error error_of(const struct op *op)
{
    if (op->result != OP_FAILED)
        return PLAN_ERR_NONE;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (bytes_equal_text(op->error_type, errors[i].name))
            return errors[i].error;
    return PLAN_ERR_OTHER;
}

// Refusals by the parser or the mapper consume nothing; a 400 from inside the engine may have consumed a number.
static bool may_be_engine_failure(const struct op *op)
{
    return op->result == OP_FAILED && op->status == 400 &&
           (bytes_equal_text(op->error_type, "illegal_argument_exception") || bytes_equal_text(op->error_type, "max_bytes_length_exceeded_exception"));
}

static bool consumed_number(const struct op *op)
{
    return op->result == OP_CREATED || op->result == OP_UPDATED || op->result == OP_DELETED || op->result == OP_NOT_FOUND || op->result == OP_ACCEPTED;
}

static bool is_accepted(const struct op *op)
{
    return consumed_number(op) || op->result == OP_NOOP;
}

static const struct plan_seam *seam_of(const struct plan *p, uint32_t slot)
{
    for (size_t i = 0; i < p->set.seam_count; i++)
        if (strcmp(p->set.seams[i].to, p->slots[slot].to) == 0)
            return &p->set.seams[i];
    return NULL;
}

// Key of the life that the restored copy came from.
static int64_t seam_life(const struct plan *p, const struct plan_name *n, const struct plan_seam *seam)
{
    int64_t key = n->life_count ? n->lives[0].key : PLAN_LIFE_FIRST;
    for (size_t i = 0; i < n->life_count; i++)
        if (seam->time_ns != WHEN_UNKNOWN && n->lives[i].key <= seam->time_ns)
            key = n->lives[i].key;
    (void)p;
    return key;
}

enum held { HELD_NO, HELD_UNSURE, HELD_YES };

static enum held held_by_seam(const struct plan *p, const struct plan_name *n, const struct plan_seam *seam, const struct tape_op *t, int64_t life, int shard)
{
    if (!seam || seam->kind == PLAN_SEAM_NONE || seam->kind == PLAN_SEAM_EMPTY || n->redirected)
        return HELD_NO;
    int64_t from = seam_life(p, n, seam);
    if (life != from)
        return life < from ? HELD_YES : HELD_NO;
    if (seam->kind == PLAN_SEAM_SEQ && t->op.seq_no >= 0 && shard >= 0 && (uint32_t)shard < seam->route.shards)
        return t->op.seq_no > seam->max_seq[shard] ? HELD_NO : t->op.seq_no > seam->sure_seq[shard] ? HELD_UNSURE : HELD_YES;
    if (seam->time_ns == WHEN_UNKNOWN)
        return HELD_NO;
    if (t->answered_ns != WHEN_UNKNOWN && t->answered_ns < seam->time_ns)
        return HELD_YES;
    // While the snapshot was being taken: the documents are compared by version.
    return seam->end_ns != WHEN_UNKNOWN && t->time_ns <= seam->end_ns ? HELD_UNSURE : HELD_NO;
}

static struct route_index route_of(const struct plan *p, const struct plan_name *n, size_t life, uint32_t slot)
{
    const struct plan_seam *seam = seam_of(p, slot);
    if (life < n->life_count && n->lives[life].route.shards)
        return n->lives[life].route;
    bool copied = seam && (seam->kind == PLAN_SEAM_SEQ || seam->kind == PLAN_SEAM_TIME) && life < n->life_count && n->lives[life].key == seam_life(p, n, seam);
    if (!n->redirected && (copied || life == 0))
        return p->slots[slot].route;
    // A life that began by itself has the default number of shards of its version.
    struct route_index r = {.shards = p->slots[slot].route.old_default ? 5 : 1, .old_default = p->slots[slot].route.old_default};
    return r;
}

// Where a deletion is made again, documents lie on the shards of the life that it leaves.
static void settle_routes(struct plan *p)
{
    for (size_t i = 0; i < p->name_count; i++) {
        const struct plan_name *n = &p->names[i];
        if (n->outlived && n->outlived < n->life_count)
            p->slots[n->slot].route = route_of(p, n, n->life_count - 1, (uint32_t)n->slot);
    }
}

static bool before_point(const struct plan *p, const struct tape_op *t, const struct plan_name *n, size_t life)
{
    if (!p->has_before)
        return true;
    for (size_t i = 0; i < n->life_count; i++)
        if (n->lives[i].ended && plan_point_hit(&p->before, n->lives[i].end_tape, n->lives[i].end_exchange))
            return life <= i; // it ended a life of this very index: all of that life comes before it
    return t->tape == p->before.tape ? t->op.exchange < p->before.id : t->time_ns < p->before.time_ns;
}

static uint32_t epoch_of(const struct plan *p, const struct tape_op *t)
{
    size_t low = 0, high = p->barrier_count;
    int64_t done_ns = t->answered_ns == WHEN_UNKNOWN ? t->time_ns : t->answered_ns;
    while (low < high) { // barriers that started before this op was answered stand before it
        size_t mid = (low + high) / 2;
        if (p->barriers[mid].time_ns < done_ns)
            low = mid + 1;
        else
            high = mid;
    }
    return (uint32_t)low;
}

static bool after_a_skip(const struct plan *p, const struct tape_op *t)
{
    for (size_t i = 0; i < p->skip_count; i++)
        if (t->answered_ns == WHEN_UNKNOWN ? t->time_ns >= p->skips[i].time_ns : t->answered_ns >= p->skips[i].time_ns)
            return true;
    return false;
}

// The life began because a skipped operation ended the one before, or took the place of the alias' index.
static bool is_reborn(const struct plan_name *n, size_t life)
{
    bool reborn = n->redirected;
    for (size_t i = 0; i < life && i < n->life_count; i++)
        reborn |= n->lives[i].end_skipped;
    return reborn;
}

// ---- minted ids -------------------------------------------------------------------------------------------------------

static bool mint_row(void *ctx, const struct tape_row *row)
{
    struct plan *p = ctx;
    uint8_t *k = p->mint_key;
    memcpy(k, row->x.client.ip, 16);
    memcpy(k + 16, row->x.server.ip, 16);
    memcpy(k + 32, &row->x.client.port, 2);
    memcpy(k + 34, &row->x.server.port, 2);
    memcpy(k + 36, &row->x.tcp_seq, 4);
    p->mint_size = 40;
    return false;
}

// 20 characters like the cluster's own, from what every tap sees alike: the same again in every run.
static bool mint_id(struct plan *p, const struct tape_op *t, char id[21])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct fault ignored = {0};
    if (p->minted_exchange != t->op.exchange || p->minted_tape != t->tape || !p->mint_size) {
        p->mint_size = 0;
        if (!tape_get(p->set.tape, t->tape, t->op.exchange, mint_row, p, &ignored) || !p->mint_size)
            return false;
        p->minted_exchange = t->op.exchange;
        p->minted_tape = t->tape;
    }
    memcpy(p->mint_key + 40, &t->op.item, 4);
    uint64_t h[2] = {map_hash(bytes_of(p->mint_key, 44), 1), map_hash(bytes_of(p->mint_key, 44), 2)};
    for (int i = 0; i < 20; i++) {
        id[i] = letters[h[i / 10] & 63];
        h[i / 10] >>= 6;
    }
    id[20] = 0;
    return true;
}

// ---- one op -----------------------------------------------------------------------------------------------------------

static bool add_unanswered(struct plan *p, const struct tape_op *t, uint32_t name, int64_t life, int shard, bool id_known)
{
    if (p->unanswered_count == p->unanswered_room) {
        size_t room = p->unanswered_room ? p->unanswered_room * 2 : 64;
        struct plan_unanswered *grown = mem_grow(p->unanswered, room * sizeof *grown);
        if (!grown)
            return false;
        p->unanswered = grown;
        p->unanswered_room = room;
    }
    p->unanswered[p->unanswered_count++] = (struct plan_unanswered){
        .exchange = t->op.exchange, .time_ns = t->time_ns, .life = life, .item = t->op.item, .name = name, .tape = (uint16_t)t->tape,
        .shard = shard, .id_known = id_known, .seq_no = OP_NONE, .primary_term = OP_NONE};
    bool fresh;
    union map_value *v = nummap_put(p->unanswered_of, rec_key(t->tape, t->op.exchange, t->op.item), &fresh);
    if (!v)
        return false;
    v->num = p->unanswered_count;
    return true;
}

static bool feed_check(struct ops_pass *s, const struct tape_op *t, uint32_t name, int64_t life, int shard)
{
    const struct op *op = &t->op;
    struct check_op c = {.name = name, .life = life, .shard = shard, .seq_no = op->seq_no, .primary_term = op->primary_term, .time_ns = t->time_ns,
                         .answered_ns = t->answered_ns, .exchange = op->exchange, .accepted = consumed_number(op),
                         .unanswered = op->result == OP_UNKNOWN, .engine_failure = may_be_engine_failure(op)};
    if (s->locate)
        check_locate(s->p->check, &c);
    else
        return check_feed(s->p->check, &c);
    return true;
}

static void count_op(struct plan_count *c, const struct op *op)
{
    c->ops++;
    c->by_kind[op->kind]++;
    c->accepted += consumed_number(op);
    c->noops += op->result == OP_NOOP;
    c->dropped += op->result == OP_DROPPED;
    c->refused += op->result == OP_FAILED;
    c->scripts += (op->flags & OP_SCRIPTED) && is_accepted(op);
    c->pipelines += (op->flags & OP_PIPELINE) && is_accepted(op);
    if (is_accepted(op)) {
        c->truncated_ops += (op->flags & OP_HOLE) != 0;
        c->redacted_ops += (op->flags & OP_REDACTED) != 0;
    }
}

// A type counts once a document stood under it: a delete that found nothing may have named any.
static bool learn_type(struct plan_slot *slot, const struct op *op)
{
    struct bytes type = plan_own_type(op->type);
    if (!type.size || op->result == OP_FAILED || op->result == OP_NOT_FOUND || slot->several_types)
        return true;
    if (slot->type) {
        slot->several_types = !bytes_equal_text(type, slot->type);
        return true;
    }
    slot->type = mem_text_copy(type.at, type.size);
    return slot->type != NULL;
}

static bool keep_record(struct ops_pass *s, const struct tape_op *t, struct op_rec *r, struct bytes id)
{
    struct plan *p = s->p;
    const struct op *op = &t->op;
    const struct route_index *route = &p->slots[r->slot].route;
    if (!learn_type(&p->slots[r->slot], op))
        return false;
    r->shard = route_shard(route, id, op->routing);
    buf_clear(&s->rec);
    r->id_size = (uint16_t)(id.size > 65535 ? 65535 : id.size);
    r->routing_size = (uint16_t)(op->routing.size > 65535 ? 65535 : op->routing.size);
    r->type_size = (uint16_t)(op->type.size > 65535 ? 65535 : op->type.size);
    // Hashed as data, not as a seed: for ids of a few bytes a seed shifts the hash of one id onto its neighbour's.
    uint64_t key[3] = {map_hash(id, 7), r->slot, r->shard >= 0 ? (uint64_t)r->shard : map_hash(op->routing, 7) | UINT64_C(1) << 63};
    r->hash = map_hash(bytes_of(key, sizeof key), 7);
    buf_add(&s->rec, r, sizeof *r);
    buf_add(&s->rec, id.at, r->id_size);
    buf_add(&s->rec, op->routing.at, r->routing_size);
    buf_add(&s->rec, op->type.at, r->type_size);
    if (s->rec.failed)
        return false;
    return sorter_add(p->by_doc, buf_view(&s->rec), p->fault);
}

static bool see_chosen(struct ops_pass *s, const struct tape_op *t, int name, uint32_t slot)
{
    struct plan *p = s->p;
    const struct op *op = &t->op;
    struct plan_name *n = &p->names[name];
    int shard = route_shard(&p->slots[slot].route, op->id, op->routing); // near enough to tell lives apart
    size_t at = plan_names_life(p, name, t, shard);
    int64_t life = n->life_count ? n->lives[at].key : PLAN_LIFE_FIRST;
    struct route_index route = route_of(p, n, at, slot);
    int life_shard = route_shard(&route, op->id, op->routing);
    if (!s->sources && !(p->set.seen && p->set.seen->incremental) && !feed_check(s, t, (uint32_t)name, life, life_shard))
        return false;
    if (s->locate)
        return true;
    if (p->set.seen && !s->sources && op->seq_no >= 0 && op->result != OP_NOOP && !plan_seen_number(p->set.seen, n->text, life, life_shard, op->seq_no))
        return false;
    if (at < n->outlived) { // gone with a deletion that is made again
        p->slots[slot].count.outlived += !s->sources;
        return true;
    }
    bool outside = !before_point(p, t, n, at) || (p->set.since_ns != WHEN_UNKNOWN && t->time_ns < p->set.since_ns) ||
                   (p->set.until_ns != WHEN_UNKNOWN && t->time_ns >= p->set.until_ns);
    struct plan_count *c = &p->slots[slot].count;
    if (s->sources) {
        bool parsed = is_accepted(op) || error_of(op) == PLAN_ERR_CONFLICT;
        enum held done = held_by_seam(p, n, seam_of(p, slot), t, life, life_shard);
        return outside || !parsed || done == HELD_YES || !op->source_bytes || (op->flags & OP_HOLE) || plan_is_skipped(p, t->tape, op->exchange) || s->sources(s->ctx, slot, t);
    }
    if (outside) {
        c->outside++;
        return true;
    }
    count_op(c, op);
    bool skipped = plan_is_skipped(p, t->tape, op->exchange);
    c->skipped += skipped && is_accepted(op);
    enum plan_error error = error_of(op);
    if (op->result == OP_DROPPED || error == PLAN_ERR_OTHER)
        return true;
    enum held held = held_by_seam(p, n, seam_of(p, slot), t, life, life_shard);
    if (held == HELD_YES && life < seam_life(p, n, seam_of(p, slot))) {
        c->held++;
        return true; // of an earlier life: gone with it
    }
    struct op_rec r = {.life = life, .exchange = op->exchange, .time_ns = t->time_ns, .answered_ns = t->answered_ns, .version = op->version,
                       .seq_no = op->seq_no, .primary_term = op->primary_term, .source_at = op->source_at, .source_bytes = op->source_bytes,
                       .slot = slot, .item = op->item, .op_flags = op->flags, .epoch = epoch_of(p, t), .tape = (uint16_t)t->tape,
                       .status = (uint16_t)op->status, .kind = (uint8_t)op->kind, .result = (uint8_t)op->result, .error = (uint8_t)error};
    r.marks = (uint16_t)((held == HELD_YES ? REC_HELD : held == HELD_UNSURE ? REC_UNSURE : 0) | (skipped ? REC_SKIPPED : 0) | (after_a_skip(p, t) ? REC_AFTER_SKIP : 0) |
                         (p->skip_count && is_reborn(n, at) ? REC_REBORN : 0));
    if (op->pipeline.size && !(r.pipeline = plan_text_number(p, op->pipeline)))
        return false;
    struct bytes id = op->id;
    char minted[21];
    bool id_unknown = (op->flags & OP_ID_UNKNOWN) || (!id.size && op->kind != OP_DELETE && op->kind != OP_UPDATE);
    if (op->result == OP_UNKNOWN && !add_unanswered(p, t, (uint32_t)name, life, id_unknown ? -1 : life_shard, !id_unknown))
        return false;
    if (op->result == OP_UNKNOWN)
        p->unanswered[p->unanswered_count - 1].document = plan_document(slot, id, route_shard(&p->slots[slot].route, id, op->routing));
    if (id_unknown) {
        if (op->result == OP_FAILED)
            return true;
        if (!mint_id(p, t, minted)) {
            c->unknown_ids++;
            plan_note_add(p, PLAN_NOTE_TRUNCATED, &r, "the document's id is not known and none can be made");
            return true;
        }
        id = bytes_of_text(minted);
        r.marks |= REC_MINTED;
    } else if (!id.size) {
        return true; // refused before it had one
    }
    return keep_record(s, t, &r, id);
}

// A recorder commits an exchange's operations over up to a flush interval: a plan that will go on leaves the newest to the next.
static bool too_fresh(const struct plan *p, const struct tape_op *t)
{
    int64_t done_ns = t->answered_ns == WHEN_UNKNOWN ? t->time_ns : t->answered_ns;
    int64_t whole_ns = p->started_ns - 2 * WHEN_NS_PER_S;
    if (whole_ns < p->set.whole_until_ns)
        whole_ns = p->set.whole_until_ns;
    return t->time_ns == WHEN_UNKNOWN || done_ns > whole_ns;
}

static bool see_op(void *ctx, const struct tape_op *t)
{
    struct ops_pass *s = ctx;
    struct plan *p = s->p;
    bool resolved = true;
    struct bytes concrete = t->op.index;
    if (p->set.seen && !s->sources && !s->locate && too_fresh(p, t))
        return true;
    if (p->set.seen && !s->sources && !s->locate && plan_seen_has(p->set.seen, t->tape, t->op.exchange) && !(s->taking == t->op.exchange + 1 && s->taking_tape == t->tape))
        return true;
    if (p->set.seen && !s->sources && !s->locate && s->taking != t->op.exchange + 1) {
        s->taking = t->op.exchange + 1; // its further items are part of the same exchange
        s->taking_tape = t->tape;
        if (!plan_seen_add(p->set.seen, t->tape, t->op.exchange, t->time_ns))
            return !(s->failed = true);
    }
    if (t->op.flags & OP_INDEX_ASKED)
        concrete = plan_names_resolve(p, t->op.index, t->time_ns, &resolved);
    int name = plan_names_find(p, concrete);
    if (t->answered_ns != WHEN_UNKNOWN && t->answered_ns > p->newest_ns)
        p->newest_ns = t->answered_ns;
    int chosen = name < 0 ? -2 : plan_names_slot(p, name);
    if (chosen < 0)
        return !(s->failed = chosen == -2);
    uint32_t slot = (uint32_t)chosen;
    if (!resolved && !s->sources)
        p->slots[slot].count.unresolved_names++;
    p->slots[slot].count.redirected += p->names[name].redirected && !s->locate && !s->sources;
    if (!see_chosen(s, t, name, slot) || p->fail_memory)
        s->failed = true;
    return !s->failed;
}

static int by_document(const void *a, const void *b)
{
    const struct op_rec *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    if (x->slot != y->slot)
        return x->slot < y->slot ? -1 : 1;
    if (x->shard != y->shard)
        return x->shard < y->shard ? -1 : 1;
    size_t n = x->id_size < y->id_size ? x->id_size : y->id_size;
    int order = memcmp(x + 1, y + 1, n);
    if (order || x->id_size != y->id_size)
        return order ? order : x->id_size < y->id_size ? -1 : 1;
    struct bytes type = rec_own_type(x), other = rec_own_type(y);
    n = type.size < other.size ? type.size : other.size;
    order = n ? memcmp(type.at, other.at, n) : 0;
    if (order || type.size != other.size)
        return order ? order : type.size < other.size ? -1 : 1;
    if (x->life != y->life)
        return x->life < y->life ? -1 : 1;
    if (x->tape != y->tape)
        return x->tape < y->tape ? -1 : 1;
    if (x->exchange != y->exchange)
        return x->exchange < y->exchange ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

static bool expect_firsts(struct plan *p)
{
    for (size_t i = 0; i < p->name_count; i++) {
        struct plan_name *n = &p->names[i];
        for (size_t l = 0; n->slot >= 0 && l < n->life_count; l++) {
            struct route_index r = route_of(p, n, l, (uint32_t)n->slot);
            for (uint32_t shard = 0; n->lives[l].born && shard < r.shards && r.shards <= 1024; shard++)
                if (!check_expect(p->check, (uint32_t)i, n->lives[l].key, (int)shard, 0))
                    return false;
        }
        const struct plan_seam *seam = n->slot >= 0 ? seam_of(p, (uint32_t)n->slot) : NULL;
        if (!seam || seam->kind != PLAN_SEAM_SEQ || n->redirected)
            continue;
        for (uint32_t shard = 0; shard < seam->route.shards; shard++)
            if (!check_floor(p->check, (uint32_t)i, seam_life(p, n, seam), (int)shard, seam->max_seq[shard] + 1))
                return false;
    }
    return true;
}

static bool of_barrier(const struct plan_barrier *b, int slot)
{
    bool hit = false;
    for (size_t i = 0; i < b->slot_count; i++)
        hit |= slot >= 0 && b->slots[i] == (uint32_t)slot;
    return hit;
}

// A call over several indices tells one count: it may explain holes in any of them.
static bool explain_by_query(struct plan *p)
{
    for (size_t i = 0; i < p->barrier_count; i++) {
        const struct plan_barrier *b = &p->barriers[i];
        for (size_t k = 0; b->kind != PLAN_BARRIER_ADMIN && k < p->name_count; k++) {
            const struct plan_name *n = &p->names[k];
            if (!of_barrier(b, n->slot))
                continue;
            size_t life = 0;
            while (life + 1 < n->life_count && n->lives[life].end_ns < b->time_ns)
                life++;
            uint64_t wrote = (uint64_t)(b->updated > 0 ? b->updated : 0);
            if (!check_explain(p->check, (uint32_t)k, n->life_count ? n->lives[life].key : PLAN_LIFE_FIRST, wrote, 0))
                return false;
            if (b->slot_count == 1)
                break;
        }
    }
    return true;
}

bool plan_ops_load(struct plan *p, struct fault *fault)
{
    size_t memory = p->set.memory_bytes ? p->set.memory_bytes : (size_t)256 << 20;
    struct ops_pass s = {.p = p};
    struct tape_op_filter f = {.since_ns = WHEN_UNKNOWN, .until_ns = WHEN_UNKNOWN};
    if (p->set.seen && p->set.seen->incremental && p->set.seen->tapes == 1)
        f.exchange_from = p->set.seen->floor[0];
    p->fault = fault;
    p->by_doc = sorter_open(p->spill_dir, memory / 2, by_document);
    p->check = check_open();
    p->unanswered_of = nummap_open();
    bool ok = p->by_doc && p->check && p->unanswered_of;
    if (!ok)
        return fault_memory(fault);
    settle_routes(p);
    ok = tape_ops(p->set.tape, &f, see_op, &s, fault);
    if (ok && s.failed && fault->kind == FAULT_NONE)
        ok = fault_memory(fault);
    ok = ok && !s.failed;
    if (ok && (!expect_firsts(p) || !explain_by_query(p) || !check_finish(p->check)))
        ok = fault_memory(fault);
    if (ok && check_has_holes(p->check)) {
        s.locate = true;
        ok = tape_ops(p->set.tape, &f, see_op, &s, fault) && !s.failed;
        check_conclude(p->check);
    }
    buf_fini(&s.rec);
    if (ok && !plan_seen_types(p))
        ok = fault_memory(fault);
    if (ok && p->set.seen)
        plan_seen_settle(p->set.seen);
    return ok && sorter_finish(p->by_doc, fault);
}

bool plan_sources(struct plan *p, plan_source_fn *fn, void *ctx, struct fault *fault)
{
    struct ops_pass s = {.p = p, .sources = fn, .ctx = ctx};
    struct tape_op_filter f = {.since_ns = WHEN_UNKNOWN, .until_ns = WHEN_UNKNOWN};
    p->fault = fault;
    return tape_ops(p->set.tape, &f, see_op, &s, fault) && fault->kind == FAULT_NONE;
}
