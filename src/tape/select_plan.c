// Which parts of a segment can hold a match: from its summary without opening it, then from its dictionaries and seek tables.
#include "select.h"

#include <stdlib.h>

enum { CALLS_SOUGHT_MOST = 4000 }; // past this many matching calls, asking for each one's buckets costs more than reading all

// ---- without opening ------------------------------------------------------------------------------------------------

// Some word of this kind in the segment's summary may match. Also true where there is no summary.
static bool summary_may(const struct matcher *m, struct reel *r, struct reel_segment *s, const char *what)
{
    sqlite3_stmt *stmt = NULL;
    bool any = false, may = false;
    if (sqlite3_prepare_v2(r->index, "SELECT word FROM summary WHERE segment=? AND what=?", -1, &stmt, NULL) != SQLITE_OK)
        return true;
    sqlite3_bind_int64(stmt, 1, s->number);
    sqlite3_bind_text(stmt, 2, what, -1, SQLITE_STATIC);
    while (!may && sqlite3_step(stmt) == SQLITE_ROW) {
        any = true;
        may = matcher_word(m, what, bytes_of(sqlite3_column_blob(stmt, 0), (size_t)sqlite3_column_bytes(stmt, 0)));
    }
    sqlite3_finalize(stmt);
    return may || !any;
}

// A segment without any dangerous call has no summary of them, so that absence is asked of the verbs' summary.
static bool has_summary(struct reel *r, struct reel_segment *s)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(r->index, "SELECT 1 FROM summary WHERE segment=? AND what='verb' LIMIT 1", -1, &stmt, NULL) != SQLITE_OK)
        return false;
    sqlite3_bind_int64(stmt, 1, s->number);
    bool any = sqlite3_step(stmt) == SQLITE_ROW;
    sqlite3_finalize(stmt);
    return any;
}

static bool summary_has_danger(const struct matcher *m, struct reel *r, struct reel_segment *s)
{
    sqlite3_stmt *stmt = NULL;
    bool may = false;
    if (sqlite3_prepare_v2(r->index, "SELECT word FROM summary WHERE segment=? AND what='danger'", -1, &stmt, NULL) != SQLITE_OK)
        return true;
    sqlite3_bind_int64(stmt, 1, s->number);
    while (!may && sqlite3_step(stmt) == SQLITE_ROW)
        may = matcher_word(m, "danger", bytes_of(sqlite3_column_blob(stmt, 0), (size_t)sqlite3_column_bytes(stmt, 0)));
    sqlite3_finalize(stmt);
    return may;
}

bool plan_skips(const struct matcher *m, struct reel *r, struct reel_segment *s)
{
    const struct tape_filter *f = matcher_filter(m);
    if (!s->log_here || s->state == SEGMENT_BAD)
        return true;
    if (!s->listed)
        return false;
    if (!s->rows)
        return true;
    bool since = f->since_ns && f->since_ns != WHEN_UNKNOWN, until = f->until_ns && f->until_ns != WHEN_UNKNOWN;
    if ((since && s->last_us < f->since_ns / 1000) || (until && s->first_us > f->until_ns / 1000))
        return true;
    if ((f->id_from && s->last_x < f->id_from) || (f->id_to && s->first_x >= f->id_to))
        return true;
    if (!r->index || !has_summary(r, s))
        return false;
    return (f->verb_count && !summary_may(m, r, s, "verb")) || (f->api_count && !summary_may(m, r, s, "api")) ||
           ((f->destructive || f->danger_count) && !summary_has_danger(m, r, s)) || (f->writes && !summary_may(m, r, s, "write"));
}

// ---- sets of ids ----------------------------------------------------------------------------------------------------

static bool put(struct nummap *set, int64_t id, uint64_t mark)
{
    bool fresh;
    union map_value *v = nummap_put(set, (uint64_t)id, &fresh);
    if (v)
        v->num = fresh ? mark : v->num | mark;
    return v != NULL;
}

struct sets {
    struct nummap *whos, *shapes;
};

static void sets_fini(struct sets *sets)
{
    struct nummap *const all[] = {sets->whos, sets->shapes};
    for (size_t i = 0; i < 2; i++)
        if (all[i])
            nummap_close(all[i]);
}

static bool fill_ids(struct open_segment *o, const char *sql, struct nummap *set, bool (*match)(const struct matcher *, struct open_segment *, sqlite3_stmt *, const void *),
                     const struct matcher *m, const void *ctx)
{
    sqlite3_stmt *stmt = segment_prepare(o, sql);
    bool ok = stmt != NULL;
    int rc = SQLITE_DONE;
    while (ok && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        if (match(m, o, stmt, ctx))
            ok = put(set, sqlite3_column_int64(stmt, 0), 1);
    sqlite3_finalize(stmt);
    return ok && rc == SQLITE_DONE;
}

static bool match_who(const struct matcher *m, struct open_segment *o, sqlite3_stmt *stmt, const void *ctx)
{
    (void)ctx;
    const struct who_info *who = dict_who(o, sqlite3_column_int64(stmt, 0));
    return who && matcher_who(m, who);
}

static bool match_shape(const struct matcher *m, struct open_segment *o, sqlite3_stmt *stmt, const void *final)
{
    const struct shape_info *shape = dict_shape(o, sqlite3_column_int64(stmt, 0));
    return shape && matcher_shape(m, shape, *(const bool *)final);
}

static bool match_name(const struct matcher *m, struct open_segment *o, sqlite3_stmt *stmt, const void *ctx)
{
    (void)o, (void)ctx;
    return matcher_name(m, bytes_of(sqlite3_column_blob(stmt, 1), (size_t)sqlite3_column_bytes(stmt, 1)));
}

// Does the list in this text hold one of the names?
static bool holds_name(struct nummap *names, struct bytes list)
{
    int64_t number;
    while (format_next_number(&list, &number))
        if (nummap_find(names, (uint64_t)(number < 0 ? -number : number)))
            return true;
    return false;
}

static bool match_list(const struct matcher *m, struct open_segment *o, sqlite3_stmt *stmt, const void *names)
{
    (void)m, (void)o;
    return holds_name((struct nummap *)(uintptr_t)names, bytes_of(sqlite3_column_blob(stmt, 1), (size_t)sqlite3_column_bytes(stmt, 1)));
}

static bool match_targets(const struct matcher *m, struct open_segment *o, sqlite3_stmt *stmt, const void *lists)
{
    (void)m, (void)o;
    return nummap_find((struct nummap *)(uintptr_t)lists, (uint64_t)sqlite3_column_int64(stmt, 1)) != NULL;
}

static bool match_call(const struct matcher *m, struct open_segment *o, sqlite3_stmt *stmt, const void *ctx)
{
    (void)m, (void)o;
    const struct sets *sets = ctx;
    return nummap_find(sets->whos, (uint64_t)sqlite3_column_int64(stmt, 1)) && nummap_find(sets->shapes, (uint64_t)sqlite3_column_int64(stmt, 2));
}

// The names that match, and what holds them.
static bool matching_names(const struct matcher *m, struct open_segment *o, struct plan *plan)
{
    plan->names = nummap_open();
    plan->lists = nummap_open();
    plan->named_calls = nummap_open();
    return plan->names && plan->lists && plan->named_calls && fill_ids(o, "SELECT id,text FROM name", plan->names, match_name, m, NULL) &&
           (!nummap_count(plan->names) || (fill_ids(o, "SELECT id,names FROM list", plan->lists, match_list, m, plan->names) &&
                                           fill_ids(o, "SELECT id,targets FROM call", plan->named_calls, match_targets, m, plan->lists)));
}

bool plan_may(const struct plan *plan, sqlite3_stmt *row)
{
    uint64_t call = (uint64_t)sqlite3_column_int64(row, 5);
    if (plan->calls && !nummap_find(plan->calls, call))
        return false;
    if (!plan->names || nummap_find(plan->named_calls, call))
        return true;
    switch (sqlite3_column_type(row, 15)) {
    case SQLITE_INTEGER: return nummap_find(plan->lists, (uint64_t)sqlite3_column_int64(row, 15)) != NULL;
    case SQLITE_TEXT: return holds_name(plan->names, bytes_of(sqlite3_column_blob(row, 15), (size_t)sqlite3_column_bytes(row, 15)));
    default: return false;
    }
}

// The calls that can match; empty when none can.
static struct nummap *matching_calls(const struct matcher *m, struct reel *r, struct open_segment *o)
{
    struct sets sets = {nummap_open(), nummap_open()};
    struct nummap *calls = nummap_open();
    // A late outcome can make any shape match, and so can another tap's copy that knows the answer.
    bool final = (!r->lates || !nummap_count(r->lates)) && r->tape->count == 1;
    bool ok = calls && sets.whos && sets.shapes;
    ok = ok && fill_ids(o, "SELECT id FROM who", sets.whos, match_who, m, NULL) && fill_ids(o, "SELECT id FROM shape", sets.shapes, match_shape, m, &final);
    if (ok && nummap_count(sets.whos) && nummap_count(sets.shapes))
        ok = fill_ids(o, "SELECT id,who,shape FROM call", calls, match_call, m, &sets);
    sets_fini(&sets);
    if (ok)
        return calls;
    if (calls)
        nummap_close(calls);
    return NULL;
}

// ---- buckets --------------------------------------------------------------------------------------------------------

enum { BY_CALL = 1, BY_CLIENT = 2, BY_NAME = 4 };

static bool seek_into(struct open_segment *o, const char *sql, struct nummap *ids, struct nummap *buckets, uint64_t mark)
{
    sqlite3_stmt *stmt = segment_prepare(o, sql);
    bool ok = stmt != NULL;
    size_t at = 0;
    uint64_t id;
    union map_value *v;
    while (ok && nummap_next(ids, &at, &id, &v)) {
        int rc;
        sqlite3_reset(stmt);
        sqlite3_bind_int64(stmt, 1, (int64_t)id);
        while (ok && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
            ok = put(buckets, sqlite3_column_int64(stmt, 0), mark);
        ok = ok && rc == SQLITE_DONE;
    }
    sqlite3_finalize(stmt);
    return ok;
}

static bool match_ip(const struct matcher *m, struct open_segment *o, sqlite3_stmt *stmt, const void *ctx)
{
    (void)o, (void)ctx;
    uint8_t ip[16];
    return dict_parse_ip(bytes_of(sqlite3_column_blob(stmt, 1), (size_t)sqlite3_column_bytes(stmt, 1)), ip) && matcher_ip(m, ip);
}

static bool match_forwarded(const struct matcher *m, struct open_segment *o, sqlite3_stmt *stmt, const void *ctx)
{
    (void)ctx;
    const struct who_info *who = dict_who(o, sqlite3_column_int64(stmt, 1));
    return who && matcher_forwarded(m, who->forwarded_for);
}

// Buckets with a matching client, be it the connection's or one that was forwarded for.
static bool seek_clients(const struct matcher *m, struct open_segment *o, struct nummap *buckets)
{
    struct nummap *ips = nummap_open(), *calls = nummap_open();
    bool ok = ips && calls && fill_ids(o, "SELECT id,text FROM ip", ips, match_ip, m, NULL) &&
              fill_ids(o, "SELECT id,who FROM call WHERE who IN (SELECT id FROM who WHERE forwarded_for IS NOT NULL)", calls, match_forwarded, m, NULL) &&
              seek_into(o, "SELECT bucket FROM seek_client WHERE ip=?", ips, buckets, BY_CLIENT) &&
              seek_into(o, "SELECT bucket FROM seek WHERE call=?", calls, buckets, BY_CLIENT);
    if (ips)
        nummap_close(ips);
    if (calls)
        nummap_close(calls);
    return ok;
}

static int order_forward(const void *a, const void *b)
{
    const struct plan_bucket *x = a, *y = b;
    return x->lo_us != y->lo_us ? (x->lo_us < y->lo_us ? -1 : 1) : x->id < y->id ? -1 : x->id > y->id;
}

static int order_backward(const void *a, const void *b)
{
    const struct plan_bucket *x = a, *y = b;
    return x->hi_us != y->hi_us ? (x->hi_us > y->hi_us ? -1 : 1) : x->id > y->id ? -1 : x->id < y->id;
}

static bool collect(const struct matcher *m, struct open_segment *o, struct nummap *buckets, uint64_t wanted, struct plan *plan)
{
    const struct tape_filter *f = matcher_filter(m);
    int64_t since_us = f->since_ns && f->since_ns != WHEN_UNKNOWN ? f->since_ns / 1000 : INT64_MIN;
    int64_t until_us = f->until_ns && f->until_ns != WHEN_UNKNOWN ? f->until_ns / 1000 : INT64_MAX;
    int64_t first = (int64_t)(f->id_from >> FORMAT_BUCKET_SHIFT), last = f->id_to ? (int64_t)((f->id_to - 1) >> FORMAT_BUCKET_SHIFT) : INT64_MAX;
    size_t room = 0;
    int rc = SQLITE_NOMEM;
    sqlite3_stmt *stmt = segment_prepare(o, "SELECT id,lo,hi FROM bucket WHERE id BETWEEN ? AND ? ORDER BY id");
    if (stmt) {
        sqlite3_bind_int64(stmt, 1, first);
        sqlite3_bind_int64(stmt, 2, last);
    }
    while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct plan_bucket b = {sqlite3_column_int64(stmt, 0), when_plus(o->start_us, sqlite3_column_int64(stmt, 1)), when_plus(o->start_us, sqlite3_column_int64(stmt, 2))};
        union map_value *v = buckets ? nummap_find(buckets, (uint64_t)b.id) : NULL;
        if (b.hi_us < since_us || b.lo_us > until_us || (buckets && (!v || (v->num & wanted) != wanted)))
            continue;
        if (plan->count == room) {
            room = room ? room * 2 : 64;
            struct plan_bucket *grown = mem_grow(plan->buckets, room * sizeof *grown);
            if (!grown)
                break;
            plan->buckets = grown;
        }
        plan->buckets[plan->count++] = b;
    }
    sqlite3_finalize(stmt);
    return rc == SQLITE_DONE;
}

bool plan_make(const struct matcher *m, struct reel *r, struct reel_segment *s, bool backward, struct plan *plan)
{
    struct open_segment *o = s->open;
    struct nummap *buckets = nummap_open();
    uint64_t wanted = 0;
    bool ok = buckets != NULL;
    *plan = (struct plan){0};
    if (ok && matcher_has_calls(m)) {
        plan->calls = matching_calls(m, r, o);
        ok = plan->calls != NULL;
    }
    if (ok && matcher_needs_names(m))
        ok = matching_names(m, o, plan);
    bool none = ok && ((plan->calls && !nummap_count(plan->calls)) || (plan->names && !nummap_count(plan->names)));
    if (ok && !none && plan->names && nummap_count(plan->names) <= CALLS_SOUGHT_MOST) {
        wanted |= BY_NAME;
        ok = seek_into(o, "SELECT bucket FROM seek_name WHERE name=?", plan->names, buckets, BY_NAME);
    }
    if (ok && !none && plan->calls && nummap_count(plan->calls) <= CALLS_SOUGHT_MOST) {
        wanted |= BY_CALL;
        ok = seek_into(o, "SELECT bucket FROM seek WHERE call=?", plan->calls, buckets, BY_CALL);
    }
    if (ok && !none && matcher_has_client(m)) {
        wanted |= BY_CLIENT;
        ok = seek_clients(m, o, buckets);
    }
    if (ok && !none)
        ok = collect(m, o, wanted ? buckets : NULL, wanted, plan);
    if (buckets)
        nummap_close(buckets);
    if (!ok) {
        int code = sqlite3_errcode(o->db) & 0xff;
        plan_fini(plan);
        if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE || code == SQLITE_NOMEM)
            return false;
        tape_warn(r->tape, "segment %s of tape %s cannot be read: %s; what it holds is missing here, 'estape fsck' tells more", s->name, r->name, sqlite3_errmsg(o->db));
        return true;
    }
    if (plan->count)
        qsort(plan->buckets, plan->count, sizeof *plan->buckets, backward ? order_backward : order_forward);
    return true;
}

void plan_fini(struct plan *plan)
{
    mem_free(plan->buckets);
    nummap_close(plan->calls);
    nummap_close(plan->names);
    nummap_close(plan->lists);
    nummap_close(plan->named_calls);
    *plan = (struct plan){0};
}
