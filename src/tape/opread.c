// Reading document writes: blocks of ops in order of exchange and item, found by their names and filters where one document is asked for.
//
// Flow: the blocks of a tape that can hold a match, by first exchange; each is unpacked when the walk reaches it, its ops
// are sorted into those that wait, and an op is given once no later block can hold an earlier one.
// 1. A block stays unpacked while ops of it wait.
// 2. Of an exchange that several tapes saw, the ops of the copy that tape_select gives are given, the others' are not.
#include "select.h"

#include "../base/diag.h"
#include "../base/glob.h"
#include "oplog.h"

#include <stdlib.h>

struct block_ref {
    struct reel_segment *segment;
    int64_t id;
    uint64_t first_x;
};

struct unpacked {
    struct arena arena;
    struct reel_segment *segment;
    size_t waiting;
};

struct waiting {
    const struct op *op;
    struct unpacked *from;
};

struct life_list { // of one index: when its lives began
    struct life_mark { int64_t time_ns; uint64_t exchange; bool born; } *at;
    size_t count, room;
};

struct op_walk {
    struct tape *tape;
    struct reel *reel;
    const struct tape_op_filter *filter;
    size_t next_reel, next_block;
    struct unpacked *given;  // whose op the caller holds
    struct tape_op op;
    struct block_ref *blocks;
    size_t block_count, block_room;
    struct waiting *heap;
    size_t heap_count, heap_room;
    struct map *lives;      // index -> struct life_list *
    uint64_t timed;         // exchange whose times are known
    int64_t time_ns, answered_ns;
    bool timed_known;
    struct reel *held_reel; // a segment that is still written stays open during the walk: opening it costs more than a row
    struct reel_segment *held;
};

// ---- which documents ------------------------------------------------------------------------------------------------

static bool index_asked(const struct tape_op_filter *f, struct bytes name)
{
    for (size_t i = 0; i < f->index_count; i++)
        if (glob_match(bytes_of_text(f->index[i]), name))
            return true;
    return f->index_count == 0;
}

static bool op_matches(const struct tape_op_filter *f, const struct op *op)
{
    if (f->id.size && !bytes_equal(f->id, op->id))
        return false;
    if ((f->exchange_from && op->exchange < f->exchange_from) || (f->exchange_to && op->exchange >= f->exchange_to))
        return false;
    return index_asked(f, op->index) || (op->asked.size && index_asked(f, op->asked));
}

// Hashes of the document under each of the segment's names that fit; NULL with count 0: every block must be read.
struct hashes {
    uint64_t *at;
    size_t count, room;
    bool failed;
};

static void add_hash(struct hashes *h, uint64_t hash)
{
    if (h->count == h->room) {
        size_t room = h->room ? h->room * 2 : 16;
        uint64_t *grown = mem_grow(h->at, room * sizeof *grown);
        h->failed |= !grown;
        if (!grown)
            return;
        h->at = grown;
        h->room = room;
    }
    h->at[h->count++] = hash;
}

static bool add_name(struct op_walk *w, struct nummap *names, int64_t id, struct bytes text, struct hashes *hashes)
{
    bool fresh;
    if (!nummap_put(names, (uint64_t)id, &fresh))
        return false;
    if (fresh && w->filter->id.size)
        add_hash(hashes, oplog_hash(text, w->filter->id));
    return !hashes->failed;
}

static struct bytes text_of(sqlite3_stmt *stmt, int column)
{
    const void *at = sqlite3_column_blob(stmt, column);
    return bytes_of(at, at ? (size_t)sqlite3_column_bytes(stmt, column) : 0);
}

// Names under which matching ops may stand: those that fit, and the indices of ops that were asked of one that fits.
static bool matching_names(struct op_walk *w, struct open_segment *o, struct nummap *names, struct hashes *hashes)
{
    sqlite3_stmt *stmt = segment_prepare(o, "SELECT id,text FROM name");
    bool ok = stmt != NULL;
    while (ok && sqlite3_step(stmt) == SQLITE_ROW)
        if (index_asked(w->filter, text_of(stmt, 1)))
            ok = add_name(w, names, sqlite3_column_int64(stmt, 0), text_of(stmt, 1), hashes);
    sqlite3_finalize(stmt);
    stmt = ok && w->filter->index_count ? segment_prepare(o, "SELECT a.asked,a.name,n.text FROM op_alias a JOIN name n ON n.id=a.name") : NULL;
    while (ok && stmt && sqlite3_step(stmt) == SQLITE_ROW)
        if (index_asked(w->filter, text_of(stmt, 0)))
            ok = add_name(w, names, sqlite3_column_int64(stmt, 1), text_of(stmt, 2), hashes);
    sqlite3_finalize(stmt);
    return ok;
}

static bool add_block(struct op_walk *w, struct reel_segment *s, sqlite3_stmt *stmt)
{
    if (w->block_count == w->block_room) {
        size_t room = w->block_room ? w->block_room * 2 : 64;
        struct block_ref *grown = mem_grow(w->blocks, room * sizeof *grown);
        if (!grown)
            return false;
        w->blocks = grown;
        w->block_room = room;
    }
    w->blocks[w->block_count++] = (struct block_ref){s, sqlite3_column_int64(stmt, 0), (uint64_t)sqlite3_column_int64(stmt, 1)};
    return true;
}

static bool block_named(struct nummap *blocks, int64_t id)
{
    return nummap_find(blocks, (uint64_t)id) != NULL;
}

// Blocks that hold one of the names.
static bool blocks_of_names(struct open_segment *o, struct nummap *names, struct nummap *blocks)
{
    sqlite3_stmt *stmt = segment_prepare(o, "SELECT block FROM op_name WHERE name=?");
    size_t at = 0;
    uint64_t name;
    union map_value *v;
    bool ok = stmt != NULL, fresh;
    while (ok && nummap_next(names, &at, &name, &v)) {
        sqlite3_reset(stmt);
        sqlite3_bind_int64(stmt, 1, (int64_t)name);
        while (ok && sqlite3_step(stmt) == SQLITE_ROW)
            ok = nummap_put(blocks, (uint64_t)sqlite3_column_int64(stmt, 0), &fresh) != NULL;
    }
    sqlite3_finalize(stmt);
    return ok;
}

static bool filter_may(const struct hashes *h, sqlite3_stmt *stmt)
{
    struct bytes filter = {sqlite3_column_blob(stmt, 2), (size_t)sqlite3_column_bytes(stmt, 2)};
    if (!oplog_filter_valid(filter))
        return true;
    for (size_t i = 0; i < h->count; i++)
        if (oplog_filter_has(filter, h->at[i]))
            return true;
    return false;
}

static bool collect_blocks(struct op_walk *w, struct reel_segment *s, struct open_segment *o)
{
    const struct tape_op_filter *f = w->filter;
    struct nummap *names = nummap_open(), *blocks = nummap_open();
    struct hashes hashes = {0};
    bool by_name = f->index_count > 0;
    bool ok = names && blocks && ((!by_name && !f->id.size) || (matching_names(w, o, names, &hashes) && blocks_of_names(o, names, blocks)));
    sqlite3_stmt *stmt = ok ? segment_prepare(o, f->id.size ? "SELECT id,first_x,filter FROM op_block WHERE last_x>=? AND first_x<? ORDER BY id"
                                                            : "SELECT id,first_x FROM op_block WHERE last_x>=? AND first_x<? ORDER BY id") : NULL;
    ok = stmt != NULL;
    if (ok) {
        sqlite3_bind_int64(stmt, 1, (int64_t)f->exchange_from);
        sqlite3_bind_int64(stmt, 2, f->exchange_to ? (int64_t)f->exchange_to : INT64_MAX);
    }
    while (ok && sqlite3_step(stmt) == SQLITE_ROW) {
        if (by_name && !block_named(blocks, sqlite3_column_int64(stmt, 0)))
            continue;
        if (f->id.size && !filter_may(&hashes, stmt))
            continue;
        ok = add_block(w, s, stmt);
    }
    sqlite3_finalize(stmt);
    if (names)
        nummap_close(names);
    if (blocks)
        nummap_close(blocks);
    mem_free(hashes.at);
    return ok;
}

// ---- lives ----------------------------------------------------------------------------------------------------------

struct life_load {
    struct map *lives;
    size_t which;
    bool failed;
};

static bool load_life(void *ctx, size_t which, const struct incarnation *life)
{
    struct life_load *l = ctx;
    bool fresh;
    if (which != l->which)
        return true;
    union map_value *v = map_put(l->lives, life->index, &fresh);
    if (v && fresh)
        v->ptr = mem_zero(1, sizeof(struct life_list));
    struct life_list *list = v ? v->ptr : NULL;
    if (list && list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 4;
        struct life_mark *grown = mem_grow(list->at, room * sizeof *grown);
        if (grown) {
            list->at = grown;
            list->room = room;
        }
    }
    l->failed |= !list || list->count == list->room;
    if (!l->failed)
        list->at[list->count++] = (struct life_mark){life->time_ns, life->exchange, life->born};
    return !l->failed;
}

static void free_lives(void *at)
{
    struct life_list *list = at;
    if (list)
        mem_free(list->at);
    mem_free(list);
}

// A birth begins a new life where something of the index was known before. A write that was under way when the index was
// born belongs to the new life when it was sent after the old one had ended.
static uint32_t life_of(struct op_walk *w, const struct op *op)
{
    union map_value *v = w->lives ? map_find(w->lives, op->index) : NULL;
    const struct life_list *list = v ? v->ptr : NULL;
    uint32_t life = 0;
    int64_t died_ns = INT64_MIN;
    for (size_t i = 0; list && i < list->count; i++) {
        const struct life_mark *m = &list->at[i];
        if (!m->born) {
            died_ns = m->time_ns;
            continue;
        }
        bool own = m->exchange && m->exchange == op->exchange;
        bool under_way = w->answered_ns != WHEN_UNKNOWN && w->answered_ns >= m->time_ns && w->time_ns > died_ns && died_ns != INT64_MIN;
        if (!own && !under_way && w->time_ns < m->time_ns)
            break;
        life += i > 0;
    }
    return life;
}

// ---- ops that wait --------------------------------------------------------------------------------------------------

static bool op_before(const struct op *a, const struct op *b)
{
    return a->exchange != b->exchange ? a->exchange < b->exchange : a->item < b->item;
}

static bool push_op(struct op_walk *w, const struct op *op, struct unpacked *from)
{
    if (w->heap_count == w->heap_room) {
        size_t room = w->heap_room ? w->heap_room * 2 : 4096;
        struct waiting *grown = mem_grow(w->heap, room * sizeof *grown);
        if (!grown)
            return false;
        w->heap = grown;
        w->heap_room = room;
    }
    size_t at = w->heap_count++;
    for (size_t up; at && op_before(op, w->heap[up = (at - 1) / 2].op); at = up)
        w->heap[at] = w->heap[up];
    w->heap[at] = (struct waiting){op, from};
    from->waiting++;
    return true;
}

static struct waiting pop_op(struct op_walk *w)
{
    struct waiting top = w->heap[0], last = w->heap[--w->heap_count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < w->heap_count; at = child) {
        if (child + 1 < w->heap_count && op_before(w->heap[child + 1].op, w->heap[child].op))
            child++;
        if (!op_before(w->heap[child].op, last.op))
            break;
        w->heap[at] = w->heap[child];
    }
    w->heap[at] = last;
    return top;
}

static void release(struct unpacked *u)
{
    if (--u->waiting)
        return;
    arena_fini(&u->arena);
    mem_free(u);
}

// A damaged block is told and left out. False: memory out.
static bool unpack_block(struct op_walk *w, const struct block_ref *ref)
{
    struct open_segment *o = segment_pin(w->reel, ref->segment);
    if (!o)
        return true;
    struct unpacked *u = mem_zero(1, sizeof *u);
    sqlite3_stmt *stmt = segment_prepare(o, "SELECT sum,filter,data FROM op_block WHERE id=?");
    struct op *ops = NULL;
    size_t count = 0;
    bool ok = u && stmt, good = false;
    if (u)
        arena_init(&u->arena, 0);
    if (ok) {
        u->waiting = 1;
        u->segment = ref->segment;
        sqlite3_bind_int64(stmt, 1, ref->id);
        if (sqlite3_step(stmt) == SQLITE_ROW) {
            struct bytes filter = {sqlite3_column_blob(stmt, 1), (size_t)sqlite3_column_bytes(stmt, 1)};
            struct bytes data = {sqlite3_column_blob(stmt, 2), (size_t)sqlite3_column_bytes(stmt, 2)};
            good = (int64_t)oplog_sum(data, filter) == sqlite3_column_int64(stmt, 0) && oplog_unpack(&u->arena, data, &ops, &count);
        }
        if (!good)
            tape_warn(w->tape, "a block of document writes in segment %s of tape %s is damaged: they are missing here; 'estape fsck' tells more", ref->segment->name, w->reel->name);
    }
    for (size_t i = 0; ok && good && i < count; i++)
        if (op_matches(w->filter, &ops[i]))
            ok = push_op(w, &ops[i], u);
    sqlite3_finalize(stmt);
    if (u && u->waiting)
        release(u);
    else
        mem_free(u);
    segment_unpin(w->reel, ref->segment);
    return ok;
}

// ---- giving ---------------------------------------------------------------------------------------------------------

static void let_go(struct op_walk *w)
{
    if (w->held)
        segment_unpin(w->held_reel, w->held);
    w->held = NULL;
}

static void hold(struct op_walk *w, struct reel_segment *s)
{
    if (w->held == s)
        return;
    let_go(w);
    if (s->sealed || !segment_pin(w->reel, s))
        return;
    w->held_reel = w->reel;
    w->held = s;
}

// Times of the op's exchange: from its own segment as a rule, where rows are read forward.
static void find_times(struct op_walk *w, const struct op *op, struct reel_segment *s)
{
    if (w->timed_known && w->timed == op->exchange)
        return;
    w->timed = op->exchange;
    w->timed_known = true;
    w->time_ns = w->answered_ns = WHEN_UNKNOWN;
    hold(w, s);
    struct open_segment *o = segment_pin(w->reel, s);
    if (o && walker_seek(o, &o->times, (int64_t)op->exchange)) {
        int64_t time_us = when_plus(o->start_us, sqlite3_column_int64(o->times.stmt, 1));
        w->time_ns = when_from_us(time_us);
        if (sqlite3_column_type(o->times.stmt, 2) != SQLITE_NULL)
            w->answered_ns = when_from_us(when_plus(time_us, sqlite3_column_int64(o->times.stmt, 2)));
    } else {
        struct raw_row *raw = row_find(w->reel, op->exchange);
        if (raw) {
            w->time_ns = when_from_us(raw->time_us);
            w->answered_ns = raw->dur_us < 0 ? WHEN_UNKNOWN : when_from_us(when_plus(raw->time_us, raw->dur_us));
        }
        row_free(raw);
    }
    if (o)
        segment_unpin(w->reel, s);
}

// The first of those that wait; false: it is not wanted.
static bool take_op(struct op_walk *w)
{
    const struct tape_op_filter *f = w->filter;
    struct waiting top = pop_op(w);
    const struct op *op = top.op;
    w->given = top.from;
    if (w->tape->losers && nummap_find(w->tape->losers[w->reel->which], op->exchange))
        return false;
    find_times(w, op, top.from->segment);
    if ((f->since_ns && f->since_ns != WHEN_UNKNOWN && w->time_ns < f->since_ns) || (f->until_ns && f->until_ns != WHEN_UNKNOWN && w->time_ns >= f->until_ns))
        return false;
    w->op = (struct tape_op){.op = *op, .tape = w->reel->which, .time_ns = w->time_ns, .answered_ns = w->answered_ns, .life = life_of(w, op)};
    return true;
}

// ---- several tapes --------------------------------------------------------------------------------------------------

static bool note_given(void *ctx, const struct tape_row *row)
{
    struct nummap **given = ctx;
    bool fresh;
    return nummap_put(given[row->tape], row->x.id, &fresh) != NULL;
}

static bool note_loser(void *ctx, const struct tape_row *row)
{
    struct nummap **maps = ctx; // [0] given, [1] losers, of one tape
    bool fresh;
    return nummap_find(maps[0], row->x.id) || nummap_put(maps[1], row->x.id, &fresh) != NULL;
}

// Exchanges with writes that another tape's copy stands for: those of a tape alone that the merged selection does not give.
static bool find_losers(struct tape *t, struct fault *fault)
{
    struct tape_filter writes = {.writes = true};
    struct nummap **given = mem_zero(t->count, sizeof *given);
    t->losers = mem_zero(t->count, sizeof *t->losers);
    bool ok = given && t->losers;
    for (size_t i = 0; ok && i < t->count; i++)
        ok = (given[i] = nummap_open()) && (t->losers[i] = nummap_open());
    ok = ok && tape_select(t, &writes, note_given, given, fault);
    for (size_t i = 0; ok && i < t->count; i++) {
        struct tape alone = *t; // one reel of it, its segments shared
        struct nummap *maps[] = {given[i], t->losers[i]};
        alone.reels = &t->reels[i];
        alone.count = 1;
        ok = tape_select(&alone, &writes, note_loser, maps, fault);
    }
    for (size_t i = 0; given && i < t->count; i++)
        if (given[i])
            nummap_close(given[i]);
    mem_free(given);
    return ok || fault->kind || fault_memory(fault);
}

// ---- the walk -------------------------------------------------------------------------------------------------------

static int block_order(const void *a, const void *b)
{
    const struct block_ref *x = a, *y = b;
    if (x->first_x != y->first_x)
        return x->first_x < y->first_x ? -1 : 1;
    return x->segment->number != y->segment->number ? (x->segment->number < y->segment->number ? -1 : 1) : x->id < y->id ? -1 : x->id > y->id;
}

static void end_reel(struct op_walk *w)
{
    if (w->given)
        release(w->given);
    w->given = NULL;
    while (w->heap_count)
        release(pop_op(w).from);
    map_close_each(w->lives, free_lives);
    w->lives = NULL;
    w->block_count = w->next_block = 0;
    w->timed_known = false;
    w->reel = NULL;
}

static bool begin_reel(struct op_walk *w, struct fault *fault)
{
    w->reel = &w->tape->reels[w->next_reel++];
    w->lives = map_open();
    struct life_load load = {w->lives, w->reel->which, false};
    bool ok = w->lives && tape_lives(w->tape, load_life, &load, fault) && !load.failed;
    const struct tape_op_filter *f = w->filter;
    int64_t since_us = f->since_ns && f->since_ns != WHEN_UNKNOWN ? f->since_ns / 1000 : INT64_MIN;
    int64_t until_us = f->until_ns && f->until_ns != WHEN_UNKNOWN ? f->until_ns / 1000 : INT64_MAX;
    for (size_t i = 0; ok && i < w->reel->count; i++) {
        struct reel_segment *s = &w->reel->segments[i];
        if (!s->log_here || (s->listed && (!s->ops || s->last_us < since_us || s->first_us > until_us)))
            continue;
        struct open_segment *o = segment_pin(w->reel, s);
        if (!o)
            continue;
        ok = collect_blocks(w, s, o);
        segment_unpin(w->reel, s);
    }
    if (w->block_count)
        qsort(w->blocks, w->block_count, sizeof *w->blocks, block_order);
    return ok || fault_memory(fault);
}

struct op_walk *op_walk_open(struct tape *t, const struct tape_op_filter *filter, struct fault *fault)
{
    struct op_walk *w = NULL;
    if (t->count > 1 && !t->losers && !find_losers(t, fault))
        return NULL;
    w = mem_zero(1, sizeof *w);
    if (w)
        *w = (struct op_walk){.tape = t, .filter = filter};
    else
        fault_memory(fault);
    return w;
}

int op_walk_next(struct op_walk *w, const struct tape_op **op, struct fault *fault)
{
    for (;;) {
        if (w->given)
            release(w->given);
        w->given = NULL;
        if (!w->reel && w->next_reel == w->tape->count)
            return 0;
        if (!w->reel && !begin_reel(w, fault))
            return -1;
        uint64_t bound = w->next_block < w->block_count ? w->blocks[w->next_block].first_x : UINT64_MAX;
        if (w->heap_count && w->heap[0].op->exchange < bound) {
            if (take_op(w)) {
                *op = &w->op;
                return 1;
            }
        } else if (w->next_block < w->block_count) {
            if (!unpack_block(w, &w->blocks[w->next_block++])) {
                fault_memory(fault);
                return -1;
            }
        } else {
            end_reel(w);
        }
    }
}

void op_walk_close(struct op_walk *w)
{
    if (!w)
        return;
    let_go(w);
    end_reel(w);
    mem_free(w->heap);
    mem_free(w->blocks);
    mem_free(w);
}

bool tape_ops(struct tape *t, const struct tape_op_filter *filter, tape_op_fn *fn, void *ctx, struct fault *fault)
{
    const struct tape_op *op;
    int got = 0;
    struct op_walk *w = op_walk_open(t, filter, fault);
    while (w && (got = op_walk_next(w, &op, fault)) > 0 && fn(ctx, op))
        ;
    op_walk_close(w);
    return w && got >= 0;
}
