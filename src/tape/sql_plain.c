// The virtual tables that are a query over each segment in turn, and the list of segments itself.
#include "sql.h"

#include "../base/diag.h"

#include <stdio.h>

// ---- a query over each segment --------------------------------------------------------------------------------------

struct plain_state {
    size_t reel, segment;    // the next one to look at
    struct reel *in;         // where the statement runs
    struct reel_segment *at;
    sqlite3_stmt *stmt;
    int64_t since_us, until_us;
};

static void leave_segment(struct plain_state *s)
{
    sqlite3_finalize(s->stmt);
    s->stmt = NULL;
    if (s->at)
        segment_unpin(s->in, s->at);
    s->at = NULL;
}

static bool begin_plain(struct sql_cursor *c, const struct sql_limit *limits, size_t count, struct fault *fault)
{
    struct plain_state *s = c->state = mem_zero(1, sizeof *s);
    if (!s)
        return fault_memory(fault);
    s->since_us = INT64_MIN;
    s->until_us = INT64_MAX;
    for (size_t i = 0; i < count; i++) {
        int64_t from_ns, to_ns;
        if (!sql_time_bounds(limits[i].text, &from_ns, &to_ns))
            continue;
        enum sql_op op = limits[i].op;
        if ((op == SQL_EQ || op == SQL_GT || op == SQL_GE) && from_ns / 1000 > s->since_us)
            s->since_us = from_ns / 1000;
        if ((op == SQL_EQ || op == SQL_LT || op == SQL_LE) && to_ns / 1000 < s->until_us)
            s->until_us = to_ns / 1000;
    }
    return true;
}

// Enters the next segment that can hold rows; false: there is none.
static bool enter_segment(struct sql_cursor *c, struct plain_state *s)
{
    for (; s->reel < c->tape->count; s->reel++, s->segment = 0)
        while (s->segment < c->tape->reels[s->reel].count) {
            struct reel *r = &c->tape->reels[s->reel];
            struct reel_segment *g = &r->segments[s->segment++];
            bool outside = g->listed && (g->last_us < s->since_us || g->first_us > s->until_us || (c->table->counted && !c->table->counted(g)));
            struct open_segment *o = g->log_here && !outside ? segment_pin(r, g) : NULL;
            if (!o)
                continue;
            s->in = r;
            s->at = g;
            s->stmt = segment_prepare(o, c->table->segment_sql);
            if (s->stmt)
                return true;
            leave_segment(s);
        }
    return false;
}

static int next_plain(struct sql_cursor *c, struct fault *fault)
{
    (void)fault;
    struct plain_state *s = c->state;
    while (s->stmt || enter_segment(c, s)) {
        int rc = sqlite3_step(s->stmt);
        if (rc == SQLITE_ROW)
            return 1;
        if (rc != SQLITE_DONE)
            tape_warn(c->tape, "segment %s of tape %s is damaged: %s; 'estape fsck' tells more", s->at->name, s->in->name, sqlite3_errmsg(s->at->open->db));
        leave_segment(s);
    }
    return 0;
}

static void column_plain(struct sql_cursor *c, sqlite3_context *to, int column)
{
    struct plain_state *s = c->state;
    int own = sqlite3_column_count(s->stmt);
    if (column < own)
        sqlite3_result_value(to, sqlite3_column_value(s->stmt, column));
    else if (column == own)
        sqlite3_result_text(to, s->at->name, -1, SQLITE_TRANSIENT);
    else
        sqlite3_result_text(to, s->in->name, -1, SQLITE_TRANSIENT);
}

static void end_plain(struct sql_cursor *c)
{
    leave_segment(c->state);
    mem_free(c->state);
}

static bool has_gaps(const struct reel_segment *g)
{
    return g->gaps > 0;
}

static bool has_alerts(const struct reel_segment *g)
{
    return g->alerts > 0;
}

#define TIME(us) "strftime('%Y-%m-%dT%H:%M:%S',(" us ")/1000000,'unixepoch')||printf('.%06dZ',(" us ")%1000000)"
#define PLAIN .begin = begin_plain, .next = next_plain, .column = column_plain, .end = end_plain
#define HOME ",segment TEXT,tape TEXT"

const struct sql_table sql_plain[] = {
    {.name = "gaps", PLAIN, .counted = has_gaps,
     .columns = "\"from\" TEXT,\"to\" TEXT,cause TEXT,bytes INTEGER,packets INTEGER,client TEXT,client_port INTEGER,server TEXT,server_port INTEGER,side TEXT,"
                "count INTEGER,rows_lost INTEGER" HOME,
     .limits = "<<............", .segment_sql = "SELECT * FROM gaps ORDER BY \"from\""},
    {.name = "alerts", PLAIN, .counted = has_alerts,
     .columns = "id TEXT,time TEXT,level TEXT,rule TEXT,title TEXT,exchange INTEGER,second_word INTEGER,json TEXT" HOME,
     .limits = ".<........", .segment_sql = "SELECT id,time,level,rule,title,exchange,second_word,json FROM alerts"},
    {.name = "heartbeats", PLAIN,
     .columns = "time TEXT,packets INTEGER,bytes INTEGER,kernel_dropped INTEGER,interface_dropped INTEGER,gap_bytes INTEGER,gaps INTEGER,conns INTEGER,"
                "conns_midstream INTEGER,conns_one_sided INTEGER,requests INTEGER,responses INTEGER,orphans INTEGER,truncated INTEGER,unparsed_bytes INTEGER,"
                "overlaps_conflicting INTEGER,undecodable INTEGER" HOME,
     .limits = "<..................",
     .segment_sql = "SELECT " TIME("time_us") ",packets,bytes,kernel_dropped,interface_dropped,gap_bytes,gaps,conns,conns_midstream,conns_one_sided,requests,"
                    "responses,orphans,truncated,unparsed_bytes,overlaps_conflicting,undecodable FROM beat ORDER BY time_us"},
    {.name = "lives", PLAIN,
     .columns = "time TEXT,exchange INTEGER,\"index\" TEXT,uuid TEXT,born INTEGER,seen INTEGER" HOME, .limits = "<.......",
     .segment_sql = "SELECT " TIME("time_us") ",x,name,uuid,born,seen FROM life ORDER BY time_us,id"},
    {.name = "resolutions", PLAIN,
     .columns = "time TEXT,name TEXT,target TEXT,kind TEXT" HOME, .limits = "<.....",
     .segment_sql = "SELECT " TIME("time_us") ",name,target,kind FROM resolution ORDER BY time_us,id"},
    {.name = "late", PLAIN,
     .columns = "exchange INTEGER,time TEXT,outcome TEXT,reason TEXT,docs INTEGER,docs_ok INTEGER,docs_failed INTEGER,docs_deleted INTEGER" HOME,
     .limits = ".<........",
     .segment_sql = "SELECT x," TIME("time_us") ",outcome,reason,docs,docs_ok,docs_failed,docs_deleted FROM late"},
    {.name = "opaque", PLAIN,
     .columns = "kind TEXT,server TEXT,server_port INTEGER,client TEXT,conns INTEGER,first TEXT,last TEXT" HOME, .limits = NULL,
     .segment_sql = "SELECT kind,server,server_port,client,conns," TIME("first_us") "," TIME("last_us") " FROM opaque"},
    {.name = "connections", PLAIN,
     .columns = "server TEXT,server_port INTEGER,client TEXT,conns INTEGER,midstream INTEGER,only_client INTEGER,only_server INTEGER,reset INTEGER,idle INTEGER,"
                "evicted INTEGER,first TEXT,last TEXT" HOME, .limits = NULL,
     .segment_sql = "SELECT server,server_port,client,conns,midstream,only_client,only_server,reset,idle,evicted," TIME("first_us") "," TIME("last_us") " FROM conns"},
    {.name = "summary", PLAIN,
     .columns = "what TEXT,word TEXT,n INTEGER" HOME, .limits = NULL, .segment_sql = "SELECT what,word,n FROM summary"},
};
const size_t sql_plain_count = sizeof sql_plain / sizeof *sql_plain;

// ---- segments -------------------------------------------------------------------------------------------------------

enum segment_column {
    S_NUMBER, S_NAME, S_FIRST, S_LAST, S_FIRST_ID, S_LAST_ID, S_EXCHANGES, S_OPS, S_GAPS, S_ALERTS, S_LOG_BYTES, S_BODY_BYTES, S_SEALED, S_STATE,
    S_BODIES, S_BODIES_WHY, S_TAPE
};

struct list_state {
    size_t reel, next;
    const struct reel_segment *at;
    struct reel *in;
};

static bool begin_list(struct sql_cursor *c, const struct sql_limit *limits, size_t count, struct fault *fault)
{
    (void)limits, (void)count;
    c->state = mem_zero(1, sizeof(struct list_state));
    return c->state || fault_memory(fault);
}

static int next_list(struct sql_cursor *c, struct fault *fault)
{
    (void)fault;
    struct list_state *s = c->state;
    while (s->reel < c->tape->count && s->next == c->tape->reels[s->reel].count) {
        s->reel++;
        s->next = 0;
    }
    if (s->reel == c->tape->count)
        return 0;
    s->in = &c->tape->reels[s->reel];
    segment_measure(s->in, &s->in->segments[s->next]);
    s->at = &s->in->segments[s->next++];
    return 1;
}

static void column_list(struct sql_cursor *c, sqlite3_context *to, int column)
{
    const struct list_state *s = c->state;
    const struct reel_segment *g = s->at;
    bool times = g->told_first_us != INT64_MIN && g->told_first_us <= g->told_last_us;
    switch (column) {
    case S_NUMBER: sqlite3_result_int64(to, g->number); break;
    case S_NAME: sqlite3_result_text(to, g->name, -1, SQLITE_TRANSIENT); break;
    case S_FIRST: sql_result_time(to, times ? when_from_us(g->told_first_us) : WHEN_UNKNOWN); break;
    case S_LAST: sql_result_time(to, times ? when_from_us(g->told_last_us) : WHEN_UNKNOWN); break;
    case S_FIRST_ID: sql_result_known(to, g->rows ? (int64_t)g->told_first_x : -1); break;
    case S_LAST_ID: sql_result_known(to, g->rows ? (int64_t)g->told_last_x : -1); break;
    case S_EXCHANGES: sqlite3_result_int64(to, g->rows); break;
    case S_OPS: sqlite3_result_int64(to, g->ops); break;
    case S_GAPS: sqlite3_result_int64(to, g->gaps); break;
    case S_ALERTS: sqlite3_result_int64(to, g->alerts); break;
    case S_LOG_BYTES: sqlite3_result_int64(to, g->log_bytes); break;
    case S_BODY_BYTES: sqlite3_result_int64(to, g->body_bytes); break;
    case S_SEALED: sqlite3_result_int(to, g->sealed); break;
    case S_STATE: sql_result_word(to, g->log_gone_us ? "dropped" : !g->log_here ? "missing" : g->state == SEGMENT_BAD ? "damaged" : g->sealed ? "sealed" : s->in->live ? "growing" : "left"); break;
    case S_BODIES: sql_result_word(to, g->body_here ? "kept" : g->body_gone_us ? "dropped" : g->body_bytes ? "missing" : "none"); break;
    case S_BODIES_WHY: sql_result_text(to, bytes_of_text(g->body_gone_why)); break;
    default: sqlite3_result_text(to, s->in->name, -1, SQLITE_TRANSIENT);
    }
}

static void end_list(struct sql_cursor *c)
{
    mem_free(c->state);
}

const struct sql_table sql_segments = {
    .name = "segments",
    .columns = "number INTEGER,name TEXT,first TEXT,last TEXT,first_id INTEGER,last_id INTEGER,exchanges INTEGER,ops INTEGER,gaps INTEGER,alerts INTEGER,"
               "log_bytes INTEGER,body_bytes INTEGER,sealed INTEGER,state TEXT,bodies TEXT,bodies_why TEXT,tape TEXT",
    .begin = begin_list, .next = next_list, .column = column_list, .end = end_list,
};
