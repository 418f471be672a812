// What tapes cover and what they do not: the catalog tells it of sealed segments, the others are visited.
#include "info.h"

#include "../base/diag.h"
#include "read_inner.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct list {
    void *at;
    size_t count, room, size;
};

struct gathering {
    struct info info;        // first: info_close gets its address
    struct tape *tape;
    struct arena arena;
    struct list tapes, spans, flows, opaques, counts;
    struct map *flow_at, *opaque_at, *count_at; // key -> place in the list
    struct info_counters run; // of the run that is being read
    uint64_t run_packets;
    bool failed;
};

static void *list_add(struct gathering *g, struct list *list)
{
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 16;
        void *grown = mem_grow(list->at, room * list->size);
        g->failed |= !grown;
        if (!grown)
            return NULL;
        list->at = grown;
        list->room = room;
    }
    void *made = (char *)list->at + list->count++ * list->size;
    memset(made, 0, list->size);
    return made;
}

// The row of a list with this key, made when it is new.
static void *keyed(struct gathering *g, struct map *map, struct list *list, struct bytes key, bool *fresh)
{
    union map_value *v = map_put(map, key, fresh);
    g->failed |= !v;
    if (!v)
        return NULL;
    if (*fresh) {
        v->num = list->count;
        return list_add(g, list);
    }
    return v->num < list->count ? (char *)list->at + v->num * list->size : NULL;
}

static struct bytes text_of(sqlite3_stmt *stmt, int column)
{
    const void *at = sqlite3_column_blob(stmt, column);
    return bytes_of(at, at ? (size_t)sqlite3_column_bytes(stmt, column) : 0);
}

static struct bytes keep(struct gathering *g, struct bytes text)
{
    void *copy = arena_copy(&g->arena, text.size ? (const void *)text.at : "", text.size);
    g->failed |= !copy;
    return bytes_of(copy, copy ? text.size : 0);
}

static uint64_t number(sqlite3_stmt *stmt, int column)
{
    int64_t n = sqlite3_column_int64(stmt, column);
    return n < 0 ? 0 : (uint64_t)n;
}

// ---- rows -----------------------------------------------------------------------------------------------------------

static struct info_flow *flow_of(struct gathering *g, struct bytes client, struct bytes server, uint16_t port)
{
    struct buf key = {0};
    bool fresh = false;
    buf_add_bytes(&key, client);
    buf_format(&key, "|%u|", port);
    buf_add_bytes(&key, server);
    struct info_flow *f = key.failed ? NULL : keyed(g, g->flow_at, &g->flows, buf_view(&key), &fresh);
    g->failed |= key.failed;
    buf_fini(&key);
    if (f && fresh)
        *f = (struct info_flow){.client = keep(g, client), .server = keep(g, server), .port = port};
    return f;
}

static void row_gap(struct gathering *g, struct reel *r, sqlite3_stmt *stmt)
{
    enum gap_cause cause = (enum gap_cause)format_word_find(format_causes, GAP_CAUSES, text_of(stmt, 2), GAP_LOST);
    struct info_gap *sum = &g->info.gaps[cause];
    int64_t from_ns = when_from_us(sqlite3_column_int64(stmt, 0)), to_ns = when_from_us(sqlite3_column_int64(stmt, 1));
    sum->first_ns = !sum->gaps || from_ns < sum->first_ns ? from_ns : sum->first_ns;
    sum->last_ns = !sum->gaps || to_ns > sum->last_ns ? to_ns : sum->last_ns;
    sum->gaps += number(stmt, 8);
    sum->bytes += number(stmt, 3);
    sum->packets += number(stmt, 4);
    sum->rows_lost += number(stmt, 9);
    sum->time_ns = when_plus(sum->time_ns, when_from_us(sqlite3_column_int64(stmt, 10)));
    if (cause == GAP_NOT_RECORDING) {
        struct info_span *span = list_add(g, &g->spans);
        if (span)
            *span = (struct info_span){r->which, from_ns, to_ns};
    }
    if (!text_of(stmt, 6).size)
        return;
    struct info_flow *f = flow_of(g, text_of(stmt, 5), text_of(stmt, 6), (uint16_t)number(stmt, 7));
    if (f) {
        f->gaps += number(stmt, 8);
        f->gap_bytes += number(stmt, 3);
    }
}

static void row_conns(struct gathering *g, struct reel *r, sqlite3_stmt *stmt)
{
    (void)r;
    struct info_flow *f = flow_of(g, text_of(stmt, 2), text_of(stmt, 0), (uint16_t)number(stmt, 1));
    if (!f)
        return;
    f->conns += number(stmt, 3);
    f->midstream += number(stmt, 4);
    f->only_client += number(stmt, 5);
    f->only_server += number(stmt, 6);
}

static void row_opaque(struct gathering *g, struct reel *r, sqlite3_stmt *stmt)
{
    (void)r;
    struct buf key = {0};
    bool fresh = false;
    for (int i = 0; i < 4; i++) {
        buf_add_bytes(&key, text_of(stmt, i));
        buf_add_byte(&key, '|');
    }
    struct info_opaque *o = key.failed ? NULL : keyed(g, g->opaque_at, &g->opaques, buf_view(&key), &fresh);
    g->failed |= key.failed;
    buf_fini(&key);
    if (!o)
        return;
    int64_t first_ns = when_from_us(sqlite3_column_int64(stmt, 5)), last_ns = when_from_us(sqlite3_column_int64(stmt, 6));
    if (fresh)
        *o = (struct info_opaque){keep(g, text_of(stmt, 0)), keep(g, text_of(stmt, 1)), keep(g, text_of(stmt, 3)), (uint16_t)number(stmt, 2), 0, first_ns, last_ns};
    o->conns += number(stmt, 4);
    o->first_ns = first_ns < o->first_ns ? first_ns : o->first_ns;
    o->last_ns = last_ns > o->last_ns ? last_ns : o->last_ns;
}

static void row_count(struct gathering *g, struct reel *r, sqlite3_stmt *stmt)
{
    (void)r;
    struct buf key = {0};
    bool fresh = false;
    buf_add_bytes(&key, text_of(stmt, 0));
    buf_add_byte(&key, '|');
    buf_add_bytes(&key, text_of(stmt, 1));
    struct info_count *c = key.failed ? NULL : keyed(g, g->count_at, &g->counts, buf_view(&key), &fresh);
    g->failed |= key.failed;
    buf_fini(&key);
    if (c && fresh)
        *c = (struct info_count){keep(g, text_of(stmt, 0)), keep(g, text_of(stmt, 1)), 0};
    if (c)
        c->n += number(stmt, 2);
}

static void row_flags(struct gathering *g, struct reel *r, sqlite3_stmt *stmt)
{
    (void)r;
    uint64_t flags = number(stmt, 0), n = number(stmt, 1);
    const struct {
        uint32_t flag;
        uint64_t *sum;
    } sums[] = {
        {EXCHANGE_TRUNCATED, &g->info.truncated}, {EXCHANGE_HEAD_TRUNCATED, &g->info.head_truncated}, {EXCHANGE_REDACTED, &g->info.redacted},
        {EXCHANGE_UNDECODED, &g->info.undecoded}, {EXCHANGE_MALFORMED, &g->info.malformed}, {EXCHANGE_OWN, &g->info.own},
    };
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
        if (flags & sums[i].flag)
            *sums[i].sum += n;
}

static void end_run(struct gathering *g)
{
    uint64_t *total = (uint64_t *)&g->info.counters, *run = (uint64_t *)&g->run;
    for (size_t i = 0; i < sizeof g->run / sizeof *run; i++)
        total[i] += run[i];
    g->run = (struct info_counters){0};
    g->run_packets = 0;
}

// Counters grow while a recorder runs; where they fall another one began.
static void row_beat(struct gathering *g, struct reel *r, sqlite3_stmt *stmt)
{
    struct info_tape *tape = (struct info_tape *)g->tapes.at + r->which;
    int64_t time_ns = when_from_us(sqlite3_column_int64(stmt, 8));
    if (tape->beat_first_ns == WHEN_UNKNOWN || time_ns < tape->beat_first_ns)
        tape->beat_first_ns = time_ns;
    if (tape->beat_last_ns == WHEN_UNKNOWN || time_ns > tape->beat_last_ns)
        tape->beat_last_ns = time_ns;
    if (number(stmt, 0) < g->run_packets)
        end_run(g);
    g->run_packets = number(stmt, 0);
    g->run = (struct info_counters){number(stmt, 0), number(stmt, 1), number(stmt, 2), number(stmt, 3), number(stmt, 4), number(stmt, 5), number(stmt, 6), number(stmt, 7)};
}

// ---- a segment ------------------------------------------------------------------------------------------------------

enum { COUNTS = COVERS, VISITS };

static void (*const takes[VISITS])(struct gathering *g, struct reel *r, sqlite3_stmt *stmt) = {
    [COVER_GAPS] = row_gap, [COVER_CONNS] = row_conns, [COVER_OPAQUE] = row_opaque, [COVER_BEATS] = row_beat, [COVER_FLAGS] = row_flags, [COUNTS] = row_count,
};

static const char counts_sql[] =
    "WITH a AS (SELECT h.*,s.n AS n FROM (SELECT call,sum(n) AS n FROM seek GROUP BY call) s JOIN call c ON c.id=s.call JOIN shape h ON h.id=c.shape)"
    " SELECT 'api',coalesce(api,''),sum(n) FROM a GROUP BY 2 UNION ALL SELECT 'danger',danger,sum(n) FROM a WHERE danger IS NOT NULL GROUP BY 2"
    " UNION ALL SELECT 'outcome',outcome,sum(n) FROM a GROUP BY 2 UNION ALL SELECT 'verb',coalesce(verb,''),sum(n) FROM a GROUP BY 2"
    " UNION ALL SELECT 'write',CAST(flags&1 AS TEXT),sum(n) FROM a GROUP BY 2";

static void visit(struct gathering *g, struct reel *r, struct reel_segment *s, struct open_segment *o)
{
    for (int i = 0; i < VISITS && !g->failed; i++) {
        sqlite3_stmt *stmt = segment_prepare(o, i == COUNTS ? counts_sql : format_covers[i].sql);
        int rc = SQLITE_ERROR;
        while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
            takes[i](g, r, stmt);
        if (rc != SQLITE_DONE)
            tape_warn(r->tape, "segment %s of tape %s is damaged: %s; 'estape fsck' tells more", s->name, r->name, sqlite3_errmsg(o->db));
        sqlite3_finalize(stmt);
    }
}

// ---- the catalog ----------------------------------------------------------------------------------------------------

// What the catalog keeps of each sealed segment; the statements take its number. NULL in `covered`: there is no such table.
struct shelf {
    sqlite3_stmt *covered, *rows[VISITS];
};

static void shelf_open(struct shelf *f, struct reel *r)
{
    struct buf sql = {0};
    *f = (struct shelf){0};
    if (!r->index)
        return;
    for (int i = 0; i < COVERS; i++) {
        buf_clear(&sql);
        for (int k = 0; k < format_covers[i].columns; k++)
            buf_format(&sql, "%sjson_extract(row,'$[%d]')", k ? "," : "SELECT ", k);
        buf_format(&sql, " FROM coverage WHERE segment=?1 AND what='%s' ORDER BY n", format_covers[i].what);
        if (sql.failed || sqlite3_prepare_v2(r->index, buf_text(&sql), -1, &f->rows[i], NULL) != SQLITE_OK)
            break;
    }
    buf_fini(&sql);
    if (f->rows[COVERS - 1] && sqlite3_prepare_v2(r->index, "SELECT what,word,n FROM summary WHERE segment=?1", -1, &f->rows[COUNTS], NULL) == SQLITE_OK)
        sqlite3_prepare_v2(r->index, "SELECT 1 FROM coverage WHERE segment=?1 AND what=''", -1, &f->covered, NULL);
}

static void shelf_close(struct shelf *f)
{
    sqlite3_finalize(f->covered);
    for (int i = 0; i < VISITS; i++)
        sqlite3_finalize(f->rows[i]);
}

// The file is as long as when it was sealed and begins as it should; what else can be wrong with it `fsck` finds.
static bool looks_whole(const struct reel *r, const struct reel_segment *s)
{
    char path[4300];
    struct stat st;
    uint8_t head[72];
    snprintf(path, sizeof path, "%s/%s%s", r->dir, s->name, FORMAT_LOG_SUFFIX);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool whole = fstat(fd, &st) == 0 && st.st_size == s->log_bytes && pread(fd, head, sizeof head, 0) == sizeof head && memcmp(head, "SQLite format 3", 16) == 0;
    close(fd);
    uint32_t version = whole ? (uint32_t)head[60] << 24 | (uint32_t)head[61] << 16 | (uint32_t)head[62] << 8 | head[63] : 0;
    uint32_t id = whole ? (uint32_t)head[68] << 24 | (uint32_t)head[69] << 16 | (uint32_t)head[70] << 8 | head[71] : 0;
    return whole && version <= FORMAT_VERSION && id == FORMAT_LOG_ID;
}

// False: the catalog does not tell, the segment must be visited.
static bool take_from_shelf(struct gathering *g, struct shelf *f, struct reel *r, struct reel_segment *s)
{
    if (!s->listed || !f->covered || !looks_whole(r, s))
        return false;
    sqlite3_reset(f->covered);
    sqlite3_bind_int64(f->covered, 1, s->number);
    bool covered = sqlite3_step(f->covered) == SQLITE_ROW;
    sqlite3_reset(f->covered);
    for (int i = 0; covered && i < VISITS; i++) {
        sqlite3_bind_int64(f->rows[i], 1, s->number);
        while (sqlite3_step(f->rows[i]) == SQLITE_ROW)
            takes[i](g, r, f->rows[i]);
        sqlite3_reset(f->rows[i]);
    }
    return covered;
}

static void tell_segment(struct gathering *g, struct shelf *shelf, struct reel *r, struct reel_segment *s, struct info_tape *tape)
{
    tape->segments += !s->log_gone_us;
    tape->dropped += s->log_gone_us != 0;
    tape->missing += !s->log_here && !s->log_gone_us;
    tape->bodies_kept += s->body_here;
    tape->bodies_dropped += !s->body_here && s->body_gone_us && !s->log_gone_us;
    tape->bodies_missing += !s->body_here && !s->body_gone_us && s->body_bytes > 0 && s->log_here;
    if (!s->log_here)
        return;
    struct open_segment *o = take_from_shelf(g, shelf, r, s) ? NULL : segment_pin(r, s);
    segment_measure(r, s);
    if (o) {
        visit(g, r, s, o);
        segment_unpin(r, s);
    }
    tape->damaged += s->state == SEGMENT_BAD;
    tape->exchanges += (uint64_t)s->rows;
    tape->ops += (uint64_t)s->ops;
    tape->alerts += (uint64_t)s->alerts;
    tape->log_bytes += (uint64_t)s->log_bytes;
    tape->body_bytes += s->body_here ? (uint64_t)s->body_bytes : 0;
    if (!s->rows || s->told_first_us == INT64_MIN)
        return;
    if (tape->first_ns == WHEN_UNKNOWN || when_from_us(s->told_first_us) < tape->first_ns)
        tape->first_ns = when_from_us(s->told_first_us);
    if (tape->last_ns == WHEN_UNKNOWN || when_from_us(s->told_last_us) > tape->last_ns)
        tape->last_ns = when_from_us(s->told_last_us);
}

static bool gather(struct gathering *g)
{
    for (size_t i = 0; i < g->tape->count && !g->failed; i++) {
        struct reel *r = &g->tape->reels[i];
        struct info_tape *tape = list_add(g, &g->tapes);
        if (!tape)
            return false;
        *tape = (struct info_tape){.name = r->name, .dir = r->dir, .live = reel_is_live(r->dir), .first_ns = WHEN_UNKNOWN, .last_ns = WHEN_UNKNOWN,
                                    .beat_first_ns = WHEN_UNKNOWN, .beat_last_ns = WHEN_UNKNOWN};
        struct shelf shelf;
        shelf_open(&shelf, r);
        for (size_t j = 0; j < r->count && !g->failed; j++)
            tell_segment(g, &shelf, r, &r->segments[j], tape);
        shelf_close(&shelf);
        end_run(g);
    }
    return !g->failed;
}

struct info *info_open(struct tape *t, struct fault *fault)
{
    struct gathering *g = mem_zero(1, sizeof *g);
    if (!g) {
        fault_memory(fault);
        return NULL;
    }
    g->tape = t;
    arena_init(&g->arena, 0);
    g->tapes.size = sizeof(struct info_tape);
    g->spans.size = sizeof(struct info_span);
    g->flows.size = sizeof(struct info_flow);
    g->opaques.size = sizeof(struct info_opaque);
    g->counts.size = sizeof(struct info_count);
    g->flow_at = map_open();
    g->opaque_at = map_open();
    g->count_at = map_open();
    if (!g->flow_at || !g->opaque_at || !g->count_at || !gather(g)) {
        info_close(&g->info);
        fault_memory(fault);
        return NULL;
    }
    g->info.tapes = g->tapes.at;
    g->info.tape_count = g->tapes.count;
    g->info.spans = g->spans.at;
    g->info.span_count = g->spans.count;
    g->info.flows = g->flows.at;
    g->info.flow_count = g->flows.count;
    g->info.opaques = g->opaques.at;
    g->info.opaque_count = g->opaques.count;
    g->info.counts = g->counts.at;
    g->info.count_count = g->counts.count;
    return &g->info;
}

void info_close(struct info *info)
{
    struct gathering *g = (struct gathering *)info;
    if (!g)
        return;
    struct list *const lists[] = {&g->tapes, &g->spans, &g->flows, &g->opaques, &g->counts};
    struct map *const maps[] = {g->flow_at, g->opaque_at, g->count_at};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        mem_free(lists[i]->at);
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        if (maps[i])
            map_close(maps[i]);
    arena_fini(&g->arena);
    mem_free(g);
}
