// Reading what is no exchange: gaps, lives of indices, resolutions of names, over all segments.
#include "read_inner.h"

#include "../base/diag.h"

// Gives each row of a query over one segment to `row`; false: stop. Segments are visited in order of number.
typedef bool event_row(void *ctx, struct reel *r, sqlite3_stmt *stmt);

static bool each_row(struct tape *t, struct reel *r, struct reel_segment *s, const char *sql, event_row *row, void *ctx)
{
    struct open_segment *o = segment_pin(r, s);
    if (!o)
        return true;
    sqlite3_stmt *stmt = segment_prepare(o, sql);
    bool go = true;
    int rc = SQLITE_ERROR;
    while (go && stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        go = row(ctx, r, stmt);
    if (go && rc != SQLITE_DONE)
        tape_warn(t, "segment %s of tape %s is damaged: %s; 'estape fsck' tells more", s->name, r->name, sqlite3_errmsg(o->db));
    sqlite3_finalize(stmt);
    segment_unpin(r, s);
    return go;
}

static struct bytes text_of(sqlite3_stmt *stmt, int column)
{
    const void *at = sqlite3_column_blob(stmt, column);
    return bytes_of(at, at ? (size_t)sqlite3_column_bytes(stmt, column) : 0);
}

// ---- gaps -----------------------------------------------------------------------------------------------------------

struct gap_walk {
    tape_gap_fn *fn;
    void *ctx;
    int64_t since_us, until_us;
};

static bool gap_row(void *ctx, struct reel *r, sqlite3_stmt *stmt)
{
    struct gap_walk *w = ctx;
    struct tape_gap_row g = {
        .tape = r->which, .from_ns = when_from_us(sqlite3_column_int64(stmt, 0)), .to_ns = when_from_us(sqlite3_column_int64(stmt, 1)),
        .cause = (enum gap_cause)format_word_find(format_causes, GAP_CAUSES, text_of(stmt, 2), GAP_LOST),
        .bytes = (uint64_t)sqlite3_column_int64(stmt, 3), .packets = (uint64_t)sqlite3_column_int64(stmt, 4), .side = sqlite3_column_int(stmt, 9),
        .count = (uint64_t)sqlite3_column_int64(stmt, 10), .rows_lost = (uint64_t)sqlite3_column_int64(stmt, 11),
    };
    if (sqlite3_column_int64(stmt, 1) < w->since_us || sqlite3_column_int64(stmt, 0) >= w->until_us)
        return true;
    if (dict_parse_ip(text_of(stmt, 5), g.client.ip))
        g.client.port = (uint16_t)sqlite3_column_int(stmt, 6);
    if (dict_parse_ip(text_of(stmt, 7), g.server.ip))
        g.server.port = (uint16_t)sqlite3_column_int(stmt, 8);
    return w->fn(w->ctx, &g);
}

bool tape_gaps(struct tape *t, int64_t since_ns, int64_t until_ns, tape_gap_fn *fn, void *ctx, struct fault *fault)
{
    (void)fault;
    struct gap_walk w = {fn, ctx, since_ns && since_ns != WHEN_UNKNOWN ? since_ns / 1000 : INT64_MIN, until_ns && until_ns != WHEN_UNKNOWN ? until_ns / 1000 : INT64_MAX};
    for (size_t i = 0; i < t->count; i++)
        for (size_t j = 0; j < t->reels[i].count; j++) {
            struct reel_segment *s = &t->reels[i].segments[j];
            bool outside = s->listed && (!s->gaps || s->last_us < w.since_us || s->first_us > w.until_us);
            if (s->log_here && !outside &&
                !each_row(t, &t->reels[i], s, "SELECT from_us,to_us,cause,bytes,packets,client,client_port,server,server_port,side,n,rows_lost FROM gap ORDER BY from_us", gap_row, &w))
                return true;
        }
    return true;
}

// ---- resolutions and lives ------------------------------------------------------------------------------------------

struct other_walk {
    tape_resolution_fn *resolution;
    tape_life_fn *life;
    void *ctx;
};

static bool resolution_row(void *ctx, struct reel *r, sqlite3_stmt *stmt)
{
    struct other_walk *w = ctx;
    struct resolution found = {.time_ns = when_from_us(sqlite3_column_int64(stmt, 0)), .name = text_of(stmt, 1), .index = text_of(stmt, 2), .kind = text_of(stmt, 3)};
    return w->resolution(w->ctx, r->which, &found);
}

static bool life_row(void *ctx, struct reel *r, sqlite3_stmt *stmt)
{
    struct other_walk *w = ctx;
    struct incarnation life = {
        .time_ns = when_from_us(sqlite3_column_int64(stmt, 0)), .exchange = (uint64_t)sqlite3_column_int64(stmt, 1), .index = text_of(stmt, 2), .uuid = text_of(stmt, 3),
        .born = sqlite3_column_int(stmt, 4), .seen = sqlite3_column_int(stmt, 5),
    };
    return w->life(w->ctx, r->which, &life);
}

static bool walk_others(struct tape *t, const char *sql, event_row *row, struct other_walk *w)
{
    for (size_t i = 0; i < t->count; i++)
        for (size_t j = 0; j < t->reels[i].count; j++)
            if (t->reels[i].segments[j].log_here && !each_row(t, &t->reels[i], &t->reels[i].segments[j], sql, row, w))
                return true;
    return true;
}

bool tape_resolutions(struct tape *t, tape_resolution_fn *fn, void *ctx, struct fault *fault)
{
    (void)fault;
    struct other_walk w = {.resolution = fn, .ctx = ctx};
    return walk_others(t, "SELECT time_us,name,target,kind FROM resolution ORDER BY time_us,id", resolution_row, &w);
}

bool tape_lives(struct tape *t, tape_life_fn *fn, void *ctx, struct fault *fault)
{
    (void)fault;
    struct other_walk w = {.life = fn, .ctx = ctx};
    return walk_others(t, "SELECT time_us,x,name,uuid,born,seen FROM life ORDER BY time_us,id", life_row, &w);
}
