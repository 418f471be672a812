// Following a tape that grows: which exchanges were given already, although slow ones are stored after later ones.
//
// A cursor holds per tape a base and the ids given at or above it. Ids below the base were all there (or are given up:
// an exchange that takes more than HOLD ids to be stored is not waited for).
#include "select.h"

#include "../base/diag.h"

enum { HOLD = 200000 };

struct reel_cursor {
    uint64_t base;         // every id below is done with
    uint64_t top;          // largest id given
    struct nummap *given;  // ids >= base
};

struct tape_cursor {
    size_t count;
    struct reel_cursor reels[];
};

static bool mark(struct tape_cursor *c, size_t which, uint64_t id)
{
    bool fresh;
    struct reel_cursor *r = &c->reels[which];
    if (id < r->base)
        return true;
    r->top = id > r->top ? id : r->top;
    return nummap_put(r->given, id, &fresh) != NULL;
}

static void advance(struct reel_cursor *r)
{
    uint64_t lowest = r->top > HOLD ? r->top - HOLD : 0;
    while (r->base <= r->top && (r->base < lowest || nummap_find(r->given, r->base)))
        nummap_drop(r->given, r->base++);
}

static bool mark_row(void *ctx, const struct tape_row *row)
{
    tape_cursor_seen(ctx, row);
    return true;
}

void tape_cursor_seen(struct tape_cursor *c, const struct tape_row *row)
{
    mark(c, row->tape, row->x.id);
}

// The largest exchange id there is, from the segments' own words.
static uint64_t newest_id(struct reel *r)
{
    uint64_t newest = 0;
    for (size_t i = 0; i < r->count; i++) {
        struct reel_segment *s = &r->segments[i];
        if (s->listed) {
            newest = s->last_x > newest ? s->last_x : newest;
            continue;
        }
        struct open_segment *o = segment_pin(r, s);
        sqlite3_stmt *stmt = o ? segment_prepare(o, "SELECT max(id) FROM x") : NULL;
        if (stmt && sqlite3_step(stmt) == SQLITE_ROW && (uint64_t)sqlite3_column_int64(stmt, 0) > newest)
            newest = (uint64_t)sqlite3_column_int64(stmt, 0);
        sqlite3_finalize(stmt);
        if (o)
            segment_unpin(r, s);
    }
    return newest;
}

struct tape_cursor *tape_cursor_open(struct tape *t, struct fault *fault)
{
    struct tape_cursor *c = mem_zero(1, sizeof *c + t->count * sizeof c->reels[0]);
    if (!c) {
        fault_memory(fault);
        return NULL;
    }
    c->count = t->count;
    for (size_t i = 0; i < t->count; i++) {
        uint64_t newest = newest_id(&t->reels[i]);
        c->reels[i].base = newest > HOLD / 20 ? newest - HOLD / 20 : 1;
        c->reels[i].given = nummap_open();
        struct tape_filter since = {.id_from = c->reels[i].base};
        if (!c->reels[i].given || (t->count == 1 && !tape_select(t, &since, mark_row, c, fault))) {
            if (!fault->kind)
                fault_memory(fault);
            tape_cursor_close(c);
            return NULL;
        }
        c->reels[i].top = newest > c->reels[i].top ? newest : c->reels[i].top;
        if (t->count > 1) // several tapes: what is there now is taken as given
            c->reels[i].base = newest + 1;
        advance(&c->reels[i]);
    }
    return c;
}

void tape_cursor_close(struct tape_cursor *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++)
        if (c->reels[i].given)
            nummap_close(c->reels[i].given);
    mem_free(c);
}

struct following {
    struct tape_cursor *cursor;
    tape_row_fn *fn;
    void *ctx;
    bool failed, stopped;
};

static bool give(void *ctx, const struct tape_row *row)
{
    struct following *f = ctx;
    struct reel_cursor *r = &f->cursor->reels[row->tape];
    if (row->x.id < r->base || nummap_find(r->given, row->x.id))
        return true;
    f->failed |= !mark(f->cursor, row->tape, row->x.id);
    f->stopped = f->failed || !f->fn(f->ctx, row);
    return !f->stopped;
}

bool tape_follow(struct tape *t, struct tape_cursor *c, const struct tape_filter *filter, tape_row_fn *fn, void *ctx, struct fault *fault)
{
    struct following f = {.cursor = c, .fn = fn, .ctx = ctx};
    struct tape_filter from = *filter;
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < c->count; i++)
        least = c->reels[i].base < least ? c->reels[i].base : least;
    from.id_from = from.id_from > least ? from.id_from : least;
    from.newest = 0;
    if (!tape_select(t, &from, give, &f, fault))
        return false;
    for (size_t i = 0; i < c->count; i++)
        advance(&c->reels[i]);
    return !f.failed || fault_memory(fault);
}
