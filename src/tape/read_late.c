// Outcomes learned after an exchange was stored: rows of a later moment, perhaps of a later segment, that name it.
#include "read_inner.h"

#include "../base/diag.h"

// The segments that a sealed tape's summaries name as holding late outcomes; those without a summary are looked into.
static bool may_hold_lates(struct reel *r, struct reel_segment *s)
{
    sqlite3_stmt *stmt = NULL;
    bool any = false, late = false;
    if (!s->listed || !r->index)
        return true;
    if (sqlite3_prepare_v2(r->index, "SELECT EXISTS(SELECT 1 FROM summary WHERE segment=?1 AND what='verb'), EXISTS(SELECT 1 FROM summary WHERE segment=?1 AND what='late')",
                           -1, &stmt, NULL) != SQLITE_OK)
        return true;
    sqlite3_bind_int64(stmt, 1, s->number);
    if (sqlite3_step(stmt) == SQLITE_ROW) {
        any = sqlite3_column_int(stmt, 0);
        late = sqlite3_column_int(stmt, 1);
    }
    sqlite3_finalize(stmt);
    return late || !any;
}

static int64_t number_or(sqlite3_stmt *stmt, int column)
{
    return sqlite3_column_type(stmt, column) == SQLITE_NULL ? -1 : sqlite3_column_int64(stmt, column);
}

static struct late_row *late_read(struct reel *r, sqlite3_stmt *stmt)
{
    struct late_row *late = arena_alloc(&r->tape->arena, sizeof *late);
    struct bytes reason = {sqlite3_column_blob(stmt, 3), (size_t)sqlite3_column_bytes(stmt, 3)};
    struct bytes outcome = {sqlite3_column_blob(stmt, 2), (size_t)sqlite3_column_bytes(stmt, 2)};
    void *copy = reason.size ? arena_copy(&r->tape->arena, reason.at, reason.size) : NULL;
    if (!late || (reason.size && !copy))
        return NULL;
    *late = (struct late_row){
        .time_us = sqlite3_column_int64(stmt, 1),
        .outcome = (enum outcome)format_word_find(format_outcomes, OUTCOMES, outcome, OUTCOME_UNKNOWN),
        .reason = {copy, reason.size}, .docs = number_or(stmt, 4), .docs_ok = number_or(stmt, 5), .docs_failed = number_or(stmt, 6), .docs_deleted = number_or(stmt, 7),
    };
    return late;
}

static bool load_from(struct reel *r, struct reel_segment *s)
{
    struct open_segment *o = segment_pin(r, s);
    if (!o)
        return true;
    sqlite3_stmt *stmt = segment_prepare(o, "SELECT x,time_us,outcome,reason,docs,docs_ok,docs_failed,docs_deleted FROM late");
    bool ok = true, fresh;
    while (ok && stmt && sqlite3_step(stmt) == SQLITE_ROW) {
        union map_value *v = nummap_put(r->lates, (uint64_t)sqlite3_column_int64(stmt, 0), &fresh);
        const struct late_row *old = v ? v->ptr : NULL;
        ok = v != NULL;
        if (ok && (!old || old->time_us < sqlite3_column_int64(stmt, 1))) {
            struct late_row *late = late_read(r, stmt);
            ok = late != NULL;
            if (ok)
                v->ptr = late;
            else if (fresh)
                nummap_drop(r->lates, (uint64_t)sqlite3_column_int64(stmt, 0));
        }
    }
    sqlite3_finalize(stmt);
    s->lates_loaded = ok && s->sealed;
    segment_unpin(r, s);
    return ok;
}

bool reel_load_lates(struct reel *r)
{
    if (!r->lates && !(r->lates = nummap_open()))
        return false;
    for (size_t i = 0; i < r->count; i++) {
        struct reel_segment *s = &r->segments[i];
        if (s->lates_loaded || !s->log_here)
            continue;
        if (!may_hold_lates(r, s))
            s->lates_loaded = true;
        else if (!load_from(r, s))
            return false;
    }
    return true;
}

bool tape_lates(struct tape *t, tape_late_fn *fn, void *ctx, struct fault *fault)
{
    for (size_t i = 0; i < t->count; i++) {
        size_t at = 0;
        uint64_t x;
        union map_value *v;
        if (!reel_load_lates(&t->reels[i]))
            return fault_memory(fault);
        while (nummap_next(t->reels[i].lates, &at, &x, &v)) {
            const struct late_row *l = v->ptr;
            struct late_outcome late = {.exchange = x, .time_ns = when_from_us(l->time_us), .outcome = l->outcome, .reason = l->reason, .docs = l->docs,
                                        .docs_ok = l->docs_ok, .docs_failed = l->docs_failed, .docs_deleted = l->docs_deleted};
            if (!fn(ctx, i, &late))
                return true;
        }
    }
    return true;
}
