// What is no exchange: late outcomes, resolutions, lives of indices, gaps, opaque and ended connections, alerts, heartbeats.
//
// Gaps of one connection, side and cause that meet within a flush interval become one row with their count.
#include "writer.h"

#include "../base/clock.h"

#include <arpa/inet.h>

enum { ALERT_COMMIT_MS = 200 }; // between two commits for alerts of a file
#define GAP_JOIN_NS WHEN_NS_PER_S

void event_ip_text(const struct endpoint *e, char text[46])
{
    if (endpoint_is_v4(e))
        inet_ntop(AF_INET, e->ip + 12, text, 46);
    else
        inet_ntop(AF_INET6, e->ip, text, 46);
}

bool tape_write_late(struct tape_writer *w, const struct late_outcome *late, struct fault *f)
{
    if (!writer_ready(w, late->time_ns))
        return writer_result(w, f);
    sqlite3_stmt *row = w->seg.log_stmt[LOG_LATE];
    const int64_t counts[] = {late->docs, late->docs_ok, late->docs_failed, late->docs_deleted};
    db_bind(row, 1, (int64_t)late->exchange);
    db_bind(row, 2, when_us(late->time_ns));
    db_bind_text(row, 3, bytes_of_text(format_outcomes[late->outcome < OUTCOMES ? late->outcome : OUTCOME_UNKNOWN]));
    db_bind_text(row, 4, late->reason);
    for (int i = 0; i < 4; i++)
        db_bind_known(row, 5 + i, counts[i]);
    writer_stored(w, db_run(row));
    return writer_result(w, f);
}

// The same name told again with the same target is no news.
static bool is_news(struct tape_writer *w, const struct resolution *r)
{
    bool fresh = false;
    buf_clear(&w->key);
    buf_add_bytes(&w->key, r->kind);
    buf_add_byte(&w->key, 0);
    buf_add_bytes(&w->key, r->name);
    if (map_count(w->resolved) > 65536) {
        struct map *map = map_open();
        if (map) {
            map_close(w->resolved);
            w->resolved = map;
        }
    }
    union map_value *value = w->key.failed ? NULL : map_put(w->resolved, buf_view(&w->key), &fresh);
    if (!value)
        return writer_fail(w);
    uint64_t hash = map_hash(r->index, 1);
    if (!fresh && value->num == hash)
        return false;
    value->num = hash;
    return true;
}

bool tape_write_resolution(struct tape_writer *w, const struct resolution *r, struct fault *f)
{
    if (!writer_ready(w, r->time_ns) || !is_news(w, r))
        return writer_result(w, f);
    sqlite3_stmt *row = w->seg.log_stmt[LOG_RESOLUTION];
    db_bind(row, 1, when_us(r->time_ns));
    db_bind_word(row, 2, r->name);
    db_bind_word(row, 3, r->index);
    db_bind_word(row, 4, r->kind);
    writer_stored(w, db_run(row));
    return writer_result(w, f);
}

bool tape_write_life(struct tape_writer *w, const struct incarnation *life, struct fault *f)
{
    if (!writer_ready(w, life->time_ns))
        return writer_result(w, f);
    sqlite3_stmt *row = w->seg.log_stmt[LOG_LIFE];
    db_bind(row, 1, when_us(life->time_ns));
    db_bind_known(row, 2, life->exchange ? (int64_t)life->exchange : -1);
    db_bind_word(row, 3, life->index);
    db_bind_text(row, 4, life->uuid);
    db_bind(row, 5, life->born);
    db_bind(row, 6, life->seen);
    writer_stored(w, db_run(row));
    return writer_result(w, f);
}

// ---- gaps -----------------------------------------------------------------------------------------------------------

// Which side of a connection is the client: as an exchange on it told, else who sent the SYN, else the higher port.
static int client_side(struct tape_writer *w, const struct conn *conn)
{
    union map_value *port = nummap_find(w->conns, conn->serial);
    if (port && conn->end[0].port != conn->end[1].port)
        return conn->end[1].port + 1u == port->num;
    if (conn->initiator >= 0)
        return conn->initiator != 0;
    return conn->end[1].port > conn->end[0].port;
}

bool event_store_gap_row(struct tape_writer *w, const struct gap_row *g, uint64_t rows_lost)
{
    sqlite3_stmt *row = w->seg.log_stmt[LOG_GAP];
    char client[46], server[46];
    int64_t from_us = g->gap.from_ns == WHEN_UNKNOWN ? w->seg.start_us : when_us(g->gap.from_ns);
    db_bind(row, 1, from_us);
    db_bind(row, 2, g->gap.to_ns == WHEN_UNKNOWN ? from_us : when_us(g->gap.to_ns));
    db_bind_text(row, 3, bytes_of_text(format_causes[g->gap.cause < GAP_CAUSES ? g->gap.cause : GAP_LOST]));
    db_bind(row, 4, (int64_t)g->gap.bytes);
    db_bind(row, 5, (int64_t)g->gap.packets);
    for (int i = 6; i <= 9; i++)
        sqlite3_bind_null(row, i);
    if (g->known) {
        event_ip_text(&g->client, client);
        event_ip_text(&g->server, server);
        db_bind_text(row, 6, bytes_of_text(client));
        db_bind(row, 7, g->client.port);
        db_bind_text(row, 8, bytes_of_text(server));
        db_bind(row, 9, g->server.port);
    }
    db_bind(row, 10, g->gap.side);
    db_bind(row, 11, (int64_t)g->count);
    db_bind(row, 12, (int64_t)rows_lost);
    return writer_stored(w, db_run(row));
}

bool event_store_gaps(struct tape_writer *w)
{
    size_t at = 0;
    uint64_t key;
    union map_value *value;
    bool ok = true;
    while (nummap_next(w->gaps, &at, &key, &value)) {
        struct gap_row *row = value->ptr;
        if (row && row->count)
            ok = ok && event_store_gap_row(w, row, 0);
        mem_free(row);
        value->ptr = NULL;
    }
    struct nummap *fresh = nummap_count(w->gaps) ? nummap_open() : NULL;
    if (fresh) {
        nummap_close(w->gaps);
        w->gaps = fresh;
    }
    return ok;
}

static struct gap_row make_row(struct tape_writer *w, const struct tape_gap *gap)
{
    struct gap_row row = {.gap = *gap, .count = 1, .known = gap->conn != NULL};
    if (row.known) {
        int client = client_side(w, gap->conn);
        row.client = gap->conn->end[client];
        row.server = gap->conn->end[!client];
        row.gap.side = gap->side < 0 ? -1 : gap->side != client;
    }
    row.gap.conn = NULL;
    return row;
}

bool tape_write_gap(struct tape_writer *w, const struct tape_gap *gap, struct fault *f)
{
    if (!writer_ready(w, gap->to_ns))
        return writer_result(w, f);
    bool fresh = false;
    uint64_t key = ((gap->conn ? gap->conn->serial : 0) * GAP_CAUSES + gap->cause) * 4 + (uint64_t)(gap->side + 1);
    if (nummap_count(w->gaps) > 4096 && !event_store_gaps(w))
        return writer_result(w, f);
    union map_value *value = nummap_put(w->gaps, key, &fresh);
    if (value && !value->ptr)
        value->ptr = mem_zero(1, sizeof(struct gap_row));
    if (!value || !value->ptr) {
        writer_fail(w);
        return writer_result(w, f);
    }
    struct gap_row *row = value->ptr;
    if (row->count && gap->from_ns - row->gap.to_ns > GAP_JOIN_NS) {
        event_store_gap_row(w, row, 0);
        row->count = 0;
    }
    if (!row->count) {
        *row = make_row(w, gap);
        return writer_result(w, f);
    }
    row->gap.from_ns = gap->from_ns < row->gap.from_ns ? gap->from_ns : row->gap.from_ns;
    row->gap.to_ns = gap->to_ns > row->gap.to_ns ? gap->to_ns : row->gap.to_ns;
    row->gap.bytes += gap->bytes;
    row->gap.packets += gap->packets;
    row->count++;
    return writer_result(w, f);
}

// ---- connections ----------------------------------------------------------------------------------------------------

bool tape_write_opaque(struct tape_writer *w, const struct conn *conn, enum opaque_kind kind, int64_t time_ns, struct fault *f)
{
    if (!writer_ready(w, time_ns))
        return writer_result(w, f);
    sqlite3_stmt *row = w->seg.log_stmt[LOG_OPAQUE];
    char client[46], server[46];
    int side = client_side(w, conn);
    event_ip_text(&conn->end[side], client);
    event_ip_text(&conn->end[!side], server);
    db_bind_text(row, 1, bytes_of_text(format_opaques[kind <= OPAQUE_OTHER ? kind : OPAQUE_OTHER]));
    db_bind_text(row, 2, bytes_of_text(server));
    db_bind(row, 3, conn->end[!side].port);
    db_bind_text(row, 4, bytes_of_text(client));
    db_bind(row, 5, when_us(time_ns));
    writer_stored(w, db_run(row));
    return writer_result(w, f);
}

bool tape_write_conn(struct tape_writer *w, const struct conn *conn, int side, enum stream_end how, int64_t time_ns, struct fault *f)
{
    if (!writer_ready(w, time_ns))
        return writer_result(w, f);
    sqlite3_stmt *row = w->seg.log_stmt[LOG_CONNS];
    char client[46] = "", server[46] = "";
    bool http = side == 0 || side == 1;
    if (http) {
        event_ip_text(&conn->end[side], client);
        event_ip_text(&conn->end[!side], server);
    }
    db_bind_word(row, 1, bytes_of_text(server));
    db_bind(row, 2, http ? conn->end[!side].port : 0);
    db_bind_word(row, 3, bytes_of_text(client));
    db_bind(row, 4, conn->midstream);
    db_bind(row, 5, http && conn->seen[side] && !conn->seen[!side]);
    db_bind(row, 6, http && !conn->seen[side] && conn->seen[!side]);
    db_bind(row, 7, how == END_RST);
    db_bind(row, 8, how == END_IDLE);
    db_bind(row, 9, how == END_EVICTED);
    db_bind(row, 10, when_us(conn->first_ns));
    db_bind(row, 11, when_us(time_ns));
    writer_stored(w, db_run(row));
    return writer_result(w, f);
}

// ---- alerts and heartbeats ------------------------------------------------------------------------------------------

bool tape_write_alert(struct tape_writer *w, const struct tape_alert *alert, struct fault *f)
{
    if (!writer_ready_behind(w, alert->time_ns))
        return writer_result(w, f);
    sqlite3_stmt *row = w->seg.log_stmt[LOG_ALERT];
    db_bind_word(row, 1, alert->id);
    db_bind_known(row, 2, alert->exchange ? (int64_t)alert->exchange : -1);
    db_bind(row, 3, when_us(alert->time_ns));
    db_bind_word(row, 4, alert->rule);
    db_bind_text(row, 5, alert->title);
    db_bind_word(row, 6, alert->level);
    db_bind(row, 7, alert->outcome);
    db_bind_word(row, 8, alert->json);
    writer_stored(w, db_run(row));
    return writer_result(w, f);
}

// The sender sees it at once; the sync follows with the next flush. The alerts of a file can come by the hundred a second,
// and each commit packs the block of ops again: a few a second are enough there.
bool tape_write_alerts_end(struct tape_writer *w, struct fault *f)
{
    int64_t steady_ns = clock_steady_ns();
    if (w->settings.live || steady_ns - w->alert_steady_ns >= ALERT_COMMIT_MS * WHEN_NS_PER_MS) {
        w->alert_steady_ns = steady_ns;
        writer_commit(w, false);
    }
    return writer_result(w, f);
}

bool tape_write_heartbeat(struct tape_writer *w, int64_t time_ns, const struct tape_counters *c, struct fault *f)
{
    if (!writer_ready(w, time_ns))
        return writer_result(w, f);
    const uint64_t counters[] = {c->packets, c->bytes, c->kernel_dropped, c->interface_dropped, c->gap_bytes, c->gaps, c->conns,
                                 c->conns_midstream, c->conns_one_sided, c->requests, c->responses, c->orphans, c->truncated,
                                 c->unparsed_bytes, c->overlaps_conflicting, c->undecodable};
    sqlite3_stmt *row = w->seg.log_stmt[LOG_BEAT];
    db_bind(row, 1, when_us(time_ns));
    for (int i = 0; i < 16; i++)
        db_bind(row, 2 + i, (int64_t)counters[i]);
    writer_stored(w, db_run(row));
    return writer_result(w, f);
}

void event_fini(struct tape_writer *w)
{
    size_t at = 0;
    uint64_t key;
    union map_value *value;
    while (w->gaps && nummap_next(w->gaps, &at, &key, &value))
        mem_free(value->ptr);
    nummap_close(w->gaps);
    map_close(w->resolved);
}
