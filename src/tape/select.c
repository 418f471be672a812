// Selecting exchanges over all segments of all tapes, in order of time, in memory that does not grow with the tape.
//
// Flow: every segment that may hold a match is a source with a bound, the earliest time its unread part can hold. The
// source with the least bound is read one bucket (64 ids) further; its rows wait in a heap until no bound lies before them.
// 1. A source is opened only when its bound is the least, and closed after its last row was given.
// 2. A row is given when its time is before every bound (by TWIN_US more, with several tapes, so that the other tap's copy
//    has been met).
// 3. Of two taps' copies of one exchange (same endpoints and sequence number, close in time) the one that knows more is given.
// Backward everything is mirrored: bounds are the latest times, the latest row comes first.
#include "select.h"

#include "../base/diag.h"

struct source {
    struct reel *reel;
    struct reel_segment *segment;
    int64_t bound_us;
    struct plan plan;
    size_t next;    // bucket
    bool open;
};

struct selection {
    struct tape *tape;
    struct tape_filter filter;
    struct matcher *matcher;
    bool backward;
    struct source *sources;
    struct source **heap;      // of sources that are not exhausted
    size_t heap_count;
    struct raw_row **rows;     // heap of rows that wait
    size_t row_count, row_room;
    struct map *twins;         // several tapes: endpoints and sequence number -> newest raw row
    struct row_scratch scratch;
    struct raw_row *given;     // whose row the caller holds
    struct tape_row row;
    // where a selection of the newest begins: rows before this are not given
    bool from_mark;
    int64_t mark_us;
    uint64_t mark_id;
    size_t mark_reel;
};

// ---- order ----------------------------------------------------------------------------------------------------------

static bool time_before(const struct selection *s, int64_t a, int64_t b)
{
    return s->backward ? a > b : a < b;
}

static int row_order(const struct raw_row *a, int64_t time_us, uint64_t id, size_t reel)
{
    if (a->time_us != time_us)
        return a->time_us < time_us ? -1 : 1;
    if (a->id != id)
        return a->id < id ? -1 : 1;
    return a->reel->which < reel ? -1 : a->reel->which > reel;
}

static bool row_before(const struct selection *s, const struct raw_row *a, const struct raw_row *b)
{
    int order = row_order(a, b->time_us, b->id, b->reel->which);
    return s->backward ? order > 0 : order < 0;
}

static void sift_source(struct selection *s, size_t at)
{
    for (;;) {
        size_t least = at, left = 2 * at + 1, right = left + 1;
        if (left < s->heap_count && time_before(s, s->heap[left]->bound_us, s->heap[least]->bound_us))
            least = left;
        if (right < s->heap_count && time_before(s, s->heap[right]->bound_us, s->heap[least]->bound_us))
            least = right;
        if (least == at)
            return;
        struct source *moved = s->heap[at];
        s->heap[at] = s->heap[least];
        s->heap[least] = moved;
        at = least;
    }
}

static bool push_row(struct selection *s, struct raw_row *raw)
{
    if (s->row_count == s->row_room) {
        size_t room = s->row_room ? s->row_room * 2 : 256;
        struct raw_row **grown = mem_grow(s->rows, room * sizeof *grown);
        if (!grown)
            return false;
        s->rows = grown;
        s->row_room = room;
    }
    size_t at = s->row_count++;
    for (size_t up; at && row_before(s, raw, s->rows[up = (at - 1) / 2]); at = up)
        s->rows[at] = s->rows[up];
    s->rows[at] = raw;
    return true;
}

static struct raw_row *pop_row(struct selection *s)
{
    struct raw_row *top = s->rows[0], *last = s->rows[--s->row_count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < s->row_count; at = child) {
        if (child + 1 < s->row_count && row_before(s, s->rows[child + 1], s->rows[child]))
            child++;
        if (!row_before(s, s->rows[child], last))
            break;
        s->rows[at] = s->rows[child];
    }
    s->rows[at] = last;
    return top;
}

// ---- twins ----------------------------------------------------------------------------------------------------------

static bool twin_key(struct raw_row *raw, uint8_t key[40])
{
    const struct conn_info *conn = raw->conn < 0 || raw->seq < 0 ? NULL : dict_conn(raw->segment->open, raw->conn);
    uint32_t seq = (uint32_t)raw->seq;
    if (!conn)
        return false;
    memcpy(key, conn->client.ip, 16);
    memcpy(key + 16, &conn->client.port, 2);
    memcpy(key + 18, conn->server.ip, 16);
    memcpy(key + 34, &conn->server.port, 2);
    memcpy(key + 36, &seq, 4);
    return true;
}

// How much a copy tells: a known outcome above all, then whole heads and bodies.
static int worth(struct raw_row *raw)
{
    const struct call_info *call = dict_call(raw->segment->open, raw->call);
    if (!call)
        return 0;
    const struct shape_info *h = call->shape;
    return 4 * (h->outcome != OUTCOME_UNKNOWN) + 2 * !(h->flags & EXCHANGE_HEAD_TRUNCATED) + !(h->flags & EXCHANGE_TRUNCATED);
}

static bool note_twin(struct selection *s, struct raw_row *raw)
{
    uint8_t key[40];
    bool fresh;
    if (!s->twins || !twin_key(raw, key))
        return true;
    union map_value *v = map_put(s->twins, bytes_of(key, sizeof key), &fresh);
    if (!v)
        return false;
    struct raw_row *other = fresh ? NULL : v->ptr;
    int64_t apart = other ? other->time_us - raw->time_us : 0;
    if (other && other->reel != raw->reel && apart <= TWIN_US && apart >= -TWIN_US) {
        int more = worth(other) - worth(raw);
        bool keep_other = more > 0 || (more == 0 && other->reel->which < raw->reel->which);
        struct raw_row *kept = keep_other ? other : raw, *lost = keep_other ? raw : other;
        kept->also_at |= lost->also_at | (lost->reel->which < 64 ? UINT64_C(1) << lost->reel->which : 0);
        lost->dropped = true;
        v->ptr = kept;
        return true;
    }
    v->ptr = raw;
    return true;
}

static void free_row(struct selection *s, struct raw_row *raw)
{
    uint8_t key[40];
    if (!raw)
        return;
    if (s->twins && twin_key(raw, key)) {
        union map_value *v = map_find(s->twins, bytes_of(key, sizeof key));
        if (v && v->ptr == raw)
            map_drop(s->twins, bytes_of(key, sizeof key));
    }
    row_free(raw);
}

// ---- sources --------------------------------------------------------------------------------------------------------

static void drop_source(struct selection *s)
{
    struct source *top = s->heap[0];
    s->heap[0] = s->heap[--s->heap_count];
    sift_source(s, 0);
    plan_fini(&top->plan);
    if (top->open)
        segment_unpin(top->reel, top->segment);
    top->open = false;
}

static int64_t bucket_bound(const struct selection *s, const struct plan_bucket *b)
{
    return s->backward ? b->hi_us : b->lo_us;
}

// Plans the source on top; false: memory out. A damaged segment is told and left out.
static bool open_source(struct selection *s)
{
    struct source *top = s->heap[0];
    if (!segment_pin(top->reel, top->segment)) {
        drop_source(s);
        return true;
    }
    top->open = true;
    if (!plan_make(s->matcher, top->reel, top->segment, s->backward, &top->plan))
        return false;
    if (!top->plan.count) {
        drop_source(s);
        return true;
    }
    top->bound_us = bucket_bound(s, &top->plan.buckets[0]);
    sift_source(s, 0);
    return true;
}

static bool raw_wanted(const struct selection *s, const struct source *from, sqlite3_stmt *stmt)
{
    const struct tape_filter *f = &s->filter;
    int64_t time_ns = when_from_us(when_plus(from->segment->open->start_us, sqlite3_column_int64(stmt, 1)));
    if (!plan_may(&from->plan, stmt))
        return false;
    if (f->conn && (uint64_t)sqlite3_column_int64(stmt, 3) != f->conn)
        return false;
    return (!f->since_ns || f->since_ns == WHEN_UNKNOWN || time_ns >= f->since_ns) && (!f->until_ns || f->until_ns == WHEN_UNKNOWN || time_ns < f->until_ns);
}

static bool read_bucket(struct selection *s, struct fault *fault)
{
    struct source *top = s->heap[0];
    struct open_segment *o = top->segment->open;
    const struct tape_filter *f = &s->filter;
    uint64_t from = (uint64_t)top->plan.buckets[top->next].id << FORMAT_BUCKET_SHIFT, to = from + (1u << FORMAT_BUCKET_SHIFT);
    from = f->id_from > from ? f->id_from : from;
    to = f->id_to && f->id_to < to ? f->id_to : to;
    bool ok = true;
    int rc = SQLITE_DONE;
    sqlite3_stmt *rows = segment_statement(o, SEGMENT_ROWS);
    sqlite3_bind_int64(rows, 1, (int64_t)from);
    sqlite3_bind_int64(rows, 2, (int64_t)to);
    while (ok && (rc = sqlite3_step(rows)) == SQLITE_ROW) {
        if (!raw_wanted(s, top, rows))
            continue;
        struct raw_row *raw = row_read(top->reel, top->segment);
        if (!raw) {
            ok = false;
            break;
        }
        top->segment->pins++;
        ok = push_row(s, raw);
        if (!ok)
            free_row(s, raw);
        ok = ok && note_twin(s, raw);
    }
    sqlite3_reset(rows);
    if (ok && rc != SQLITE_DONE)
        tape_warn(top->reel->tape, "segment %s of tape %s is damaged: %s; some of what it holds is missing here, 'estape fsck' tells more", top->segment->name, top->reel->name,
                  sqlite3_errmsg(o->db));
    if (!ok)
        return fault_memory(fault);
    if (++top->next == top->plan.count) {
        drop_source(s);
        return true;
    }
    top->bound_us = bucket_bound(s, &top->plan.buckets[top->next]);
    sift_source(s, 0);
    return true;
}

// ---- the walk -------------------------------------------------------------------------------------------------------

static bool row_is_due(const struct selection *s)
{
    if (!s->row_count)
        return false;
    if (!s->heap_count)
        return true;
    int64_t slack_us = s->twins ? TWIN_US : 0, time_us = s->rows[0]->time_us, bound_us = s->heap[0]->bound_us;
    if (s->backward)
        return bound_us < INT64_MAX - slack_us && time_us > bound_us + slack_us;
    return bound_us > INT64_MIN + slack_us && time_us < bound_us - slack_us;
}

// The next row that is due and not dropped, not yet joined; owned by the caller. 1, 0 or -1.
static int next_raw(struct selection *s, struct raw_row **raw, struct fault *fault)
{
    for (;;) {
        if (row_is_due(s)) {
            struct raw_row *first = pop_row(s);
            if (!first->dropped) {
                *raw = first;
                return 1;
            }
            free_row(s, first);
            continue;
        }
        if (!s->heap_count)
            return 0;
        bool ok = s->heap[0]->open ? read_bucket(s, fault) : open_source(s) || fault_memory(fault);
        if (!ok)
            return -1;
    }
}

// An attempt whose last word stands in a later segment.
static bool row_is_superseded(const struct raw_row *raw)
{
    struct raw_row *newest = row_find(raw->reel, raw->id);
    bool superseded = newest && newest->segment != raw->segment;
    row_free(newest);
    return superseded;
}

int selection_next(struct selection *s, const struct tape_row **row, struct fault *fault)
{
    for (;;) {
        free_row(s, s->given);
        s->given = NULL;
        int got = next_raw(s, &s->given, fault);
        if (got <= 0)
            return got;
        if (s->from_mark && row_order(s->given, s->mark_us, s->mark_id, s->mark_reel) < 0)
            continue;
        if (!row_join(s->given, &s->scratch, &s->row)) {
            fault_memory(fault);
            return -1;
        }
        if ((s->row.x.flags & EXCHANGE_ATTEMPT) && row_is_superseded(s->given))
            continue;
        if (matcher_row(s->matcher, &s->row)) {
            *row = &s->row;
            return 1;
        }
    }
}

static bool gather_sources(struct selection *s)
{
    size_t count = 0;
    for (size_t i = 0; i < s->tape->count; i++)
        count += s->tape->reels[i].count;
    s->sources = mem_zero(count, sizeof *s->sources);
    s->heap = mem_zero(count, sizeof *s->heap);
    if (!s->sources || !s->heap)
        return false;
    for (size_t i = 0; i < s->tape->count; i++)
        for (size_t j = 0; j < s->tape->reels[i].count; j++) {
            struct reel_segment *g = &s->tape->reels[i].segments[j];
            if (plan_skips(s->matcher, &s->tape->reels[i], g))
                continue;
            struct source *source = &s->sources[s->heap_count];
            *source = (struct source){.reel = &s->tape->reels[i], .segment = g, .bound_us = s->backward ? g->last_us : g->first_us};
            s->heap[s->heap_count++] = source;
        }
    for (size_t i = s->heap_count / 2; i-- > 0;)
        sift_source(s, i);
    return true;
}

static struct selection *begin(struct tape *t, const struct tape_filter *filter, bool backward, struct fault *fault)
{
    struct selection *s = mem_zero(1, sizeof *s);
    if (!s) {
        fault_memory(fault);
        return NULL;
    }
    s->tape = t;
    s->filter = *filter;
    s->backward = backward;
    s->matcher = matcher_open(&s->filter, fault);
    if (!s->matcher) {
        selection_close(s);
        return NULL;
    }
    if (t->count > 1)
        s->twins = map_open();
    bool ok = t->count == 1 || s->twins;
    for (size_t i = 0; ok && i < t->count; i++)
        ok = reel_load_lates(&t->reels[i]);
    if (ok && gather_sources(s))
        return s;
    fault_memory(fault);
    selection_close(s);
    return NULL;
}

// Counts back from the end, so that the newest N can be given oldest first without holding them.
static bool find_mark(struct selection *s, struct fault *fault)
{
    const struct tape_row *row;
    int got = 0;
    struct selection *back = begin(s->tape, &s->filter, true, fault);
    if (!back)
        return false;
    for (int64_t n = 0; n < s->filter.newest && (got = selection_next(back, &row, fault)) > 0; n++) {
        s->mark_us = back->given->time_us;
        s->mark_id = back->given->id;
        s->mark_reel = back->given->reel->which;
        s->from_mark = true;
    }
    selection_close(back);
    return got >= 0;
}

struct selection *selection_open(struct tape *t, const struct tape_filter *filter, struct fault *fault)
{
    struct selection *s = begin(t, filter, false, fault);
    if (!s || filter->newest <= 0)
        return s;
    bool ok = find_mark(s, fault);
    struct tape_filter from = *filter;
    int64_t mark_ns = when_from_us(s->mark_us);
    if (s->from_mark && (!from.since_ns || from.since_ns == WHEN_UNKNOWN || from.since_ns < mark_ns))
        from.since_ns = mark_ns;
    from.newest = 0;
    struct selection *narrow = ok ? begin(t, &from, false, fault) : NULL;
    if (narrow) {
        narrow->from_mark = s->from_mark;
        narrow->mark_us = s->mark_us;
        narrow->mark_id = s->mark_id;
        narrow->mark_reel = s->mark_reel;
    }
    selection_close(s);
    return narrow;
}

void selection_close(struct selection *s)
{
    if (!s)
        return;
    free_row(s, s->given);
    while (s->row_count)
        free_row(s, s->rows[--s->row_count]);
    while (s->heap_count)
        drop_source(s);
    row_scratch_fini(&s->scratch);
    matcher_close(s->matcher);
    if (s->twins)
        map_close(s->twins);
    mem_free(s->sources);
    mem_free(s->heap);
    mem_free(s->rows);
    mem_free(s);
}

bool tape_select(struct tape *t, const struct tape_filter *filter, tape_row_fn *fn, void *ctx, struct fault *fault)
{
    const struct tape_row *row;
    int got = 0;
    struct selection *s = selection_open(t, filter, fault);
    if (!s)
        return false;
    while ((got = selection_next(s, &row, fault)) > 0 && fn(ctx, row))
        ;
    selection_close(s);
    return got >= 0;
}
