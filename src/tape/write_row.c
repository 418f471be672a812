// Exchanges become rows: dictionary numbers for all that repeats, one narrow row, and marks that lead to it.
//
// 1. A dictionary row is written before the first row that names it, in the same transaction.
// 2. Every row of x is counted once in seek (its call, its bucket of ids) and lies within its bucket's lo and hi.
#include "writer.h"

#include "block.h"

#include <stdio.h>
#include <stdlib.h>

static void key_begin(struct tape_writer *w)
{
    buf_clear(&w->key);
}

static void key_text(struct tape_writer *w, struct bytes text)
{
    buf_add_varint(&w->key, text.size);
    buf_add_bytes(&w->key, text);
}

static void key_number(struct tape_writer *w, int64_t number)
{
    buf_add_zigzag(&w->key, number);
}

// The number for the key just built. Fresh: the caller binds columns 2.. of the statement and runs it.
static int64_t key_end(struct tape_writer *w, struct dict *d, enum log_statement which, sqlite3_stmt **fresh_row)
{
    bool fresh = false;
    int64_t number = w->key.failed ? 0 : dict_number(d, buf_view(&w->key), &fresh);
    *fresh_row = fresh ? w->seg.log_stmt[which] : NULL;
    if (!number)
        writer_fail(w);
    else if (fresh)
        db_bind(*fresh_row, 1, number);
    return number;
}

static int64_t store_fresh(struct tape_writer *w, sqlite3_stmt *fresh_row, int64_t number)
{
    return !fresh_row || writer_stored(w, db_run(fresh_row)) ? number : 0;
}

static int64_t text_number(struct tape_writer *w, struct dict *d, enum log_statement which, struct bytes text)
{
    sqlite3_stmt *row;
    key_begin(w);
    key_text(w, text);
    int64_t number = key_end(w, d, which, &row);
    if (row)
        db_bind_word(row, 2, text);
    return store_fresh(w, row, number);
}

int64_t row_name(struct tape_writer *w, struct bytes name)
{
    return text_number(w, &w->names, LOG_NAME, name);
}

static int64_t ip_number(struct tape_writer *w, const struct endpoint *e)
{
    char text[46];
    event_ip_text(e, text);
    return text_number(w, &w->ips, LOG_IP, bytes_of_text(text));
}

static int64_t who_number(struct tape_writer *w, const struct exchange *x)
{
    const struct bytes texts[] = {x->principal, bytes_of_text(format_auths[x->auth < AUTH_KINDS ? x->auth : AUTH_OTHER]), x->run_as,
                                  x->forwarded_for, x->agent, x->realm};
    sqlite3_stmt *row;
    key_begin(w);
    for (size_t i = 0; i < 6; i++)
        key_text(w, texts[i]);
    int64_t number = key_end(w, &w->whos, LOG_WHO, &row);
    for (int i = 0; row && i < 6; i++)
        db_bind_text(row, 2 + i, texts[i]);
    return store_fresh(w, row, number);
}

static int64_t shape_number(struct tape_writer *w, const struct exchange *x)
{
    sqlite3_stmt *row;
    key_begin(w);
    key_text(w, x->verb);
    key_text(w, x->api);
    key_text(w, x->action);
    key_text(w, x->reason);
    key_text(w, x->danger);
    key_number(w, x->status);
    key_number(w, x->outcome);
    key_number(w, x->flags);
    key_number(w, x->server_version);
    int64_t number = key_end(w, &w->shapes, LOG_SHAPE, &row);
    if (row) {
        db_bind_text(row, 2, x->verb);
        db_bind_text(row, 3, x->api);
        db_bind_text(row, 4, x->action);
        db_bind_known(row, 5, x->status > 0 ? x->status : -1);
        db_bind_text(row, 6, bytes_of_text(format_outcomes[x->outcome < OUTCOMES ? x->outcome : OUTCOME_UNKNOWN]));
        db_bind_text(row, 7, x->reason);
        db_bind_text(row, 8, x->danger);
        db_bind(row, 9, x->flags);
        db_bind(row, 10, x->server_version);
    }
    return store_fresh(w, row, number);
}

// ---- lists of names --------------------------------------------------------------------------------------------------

static int compare_marks(const void *a, const void *b)
{
    const struct mark *x = a, *y = b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return x->bucket < y->bucket ? -1 : x->bucket > y->bucket;
}

static bool store_name_marks(struct tape_writer *w)
{
    if (w->name_mark_count)
        qsort(w->name_marks, w->name_mark_count, sizeof *w->name_marks, compare_marks);
    sqlite3_stmt *row = w->seg.log_stmt[LOG_SEEK_NAME];
    for (size_t i = 0; i < w->name_mark_count; i++) {
        if (i && compare_marks(&w->name_marks[i - 1], &w->name_marks[i]) == 0)
            continue;
        db_bind(row, 1, w->name_marks[i].number);
        db_bind(row, 2, (int64_t)w->name_marks[i].bucket);
        if (!writer_stored(w, db_run(row)))
            return false;
    }
    w->name_mark_count = 0;
    return true;
}

static bool mark_name(struct tape_writer *w, int64_t name, uint64_t bucket)
{
    struct mark *seen = &w->names_seen[name % NAMES_SEEN];
    if (seen->number == name && seen->bucket == bucket)
        return true;
    if (w->name_mark_count == MARKS && !store_name_marks(w))
        return false;
    *seen = w->name_marks[w->name_mark_count++] = (struct mark){name, bucket};
    return true;
}

// Adds a name to w->list and marks that the exchange has it.
static bool list_add(struct tape_writer *w, struct bytes name, bool negative, uint64_t id)
{
    int64_t number = row_name(w, name);
    if (!number || !mark_name(w, number, id >> FORMAT_BUCKET_SHIFT))
        return false;
    buf_add_byte(&w->list, w->list.size ? ',' : '[');
    buf_add_decimal(&w->list, negative ? -number : number);
    return true;
}

static int64_t list_row(struct tape_writer *w, int64_t number, bool fresh)
{
    sqlite3_stmt *row = fresh ? w->seg.log_stmt[LOG_LIST] : NULL;
    if (row) {
        db_bind(row, 1, number);
        db_bind_word(row, 2, buf_view(&w->list));
    }
    return store_fresh(w, row, number);
}

// Number of the list of targets; 0: none. False: failed.
static bool targets_number(struct tape_writer *w, const struct exchange *x, int64_t *number)
{
    bool fresh = false;
    *number = 0;
    buf_clear(&w->list);
    for (size_t i = 0; i < x->target_count; i++)
        if (!list_add(w, x->targets[i], false, x->id))
            return false;
    if (!x->target_count)
        return true;
    buf_add_byte(&w->list, ']');
    *number = w->list.failed ? 0 : dict_number(&w->lists, buf_view(&w->list), &fresh);
    if (!*number)
        return writer_fail(w);
    *number = list_row(w, *number, fresh);
    return *number != 0;
}

// Binds the indices: nothing, the number of a list that was seen before, or the list itself. Answers of searches over many
// indices name another set of them each time.
static bool bind_indices(struct tape_writer *w, sqlite3_stmt *row, int at, const struct exchange *x)
{
    bool fresh = false;
    sqlite3_bind_null(row, at);
    if (!x->index_count)
        return true;
    buf_clear(&w->list);
    for (size_t i = 0; i < x->index_count; i++)
        if (!list_add(w, x->indices[i].index, !x->indices[i].concrete, x->id))
            return false;
    buf_add_byte(&w->list, ']');
    int64_t number = w->list.failed ? -1 : dict_number_if_repeated(&w->lists, buf_view(&w->list), &fresh);
    if (number < 0)
        return writer_fail(w);
    if (number && !list_row(w, number, fresh))
        return false;
    if (number)
        db_bind(row, at, number);
    else
        db_bind_text(row, at, buf_view(&w->list));
    return true;
}

// ---- calls -----------------------------------------------------------------------------------------------------------

static int64_t path_number(struct tape_writer *w, struct format_path path)
{
    sqlite3_stmt *row;
    key_begin(w);
    key_text(w, path.head);
    key_text(w, path.tail);
    int64_t number = key_end(w, &w->paths, LOG_PATH, &row);
    if (row) {
        db_bind_word(row, 2, path.head);
        db_bind_word(row, 3, path.tail);
    }
    return store_fresh(w, row, number);
}

// 0: nothing known about documents (stored as null), -1: failed.
static int64_t tally_number(struct tape_writer *w, const struct exchange *x)
{
    const int64_t counts[] = {x->docs, x->docs_ok, x->docs_failed, x->docs_deleted};
    if (counts[0] < 0 && counts[1] < 0 && counts[2] < 0 && counts[3] < 0)
        return 0;
    sqlite3_stmt *row;
    key_begin(w);
    for (size_t i = 0; i < 4; i++)
        key_number(w, counts[i]);
    int64_t number = key_end(w, &w->tallies, LOG_TALLY, &row);
    for (int i = 0; row && i < 4; i++)
        db_bind_known(row, 2 + i, counts[i]);
    number = store_fresh(w, row, number);
    return number ? number : -1;
}

static int64_t call_number(struct tape_writer *w, const struct exchange *x, struct format_path path)
{
    int64_t parts[4];
    if (!(parts[0] = who_number(w, x)) || !(parts[1] = shape_number(w, x)) || !targets_number(w, x, &parts[2]) ||
        !(parts[3] = path_number(w, path)))
        return 0;
    sqlite3_stmt *row;
    key_begin(w);
    for (size_t i = 0; i < 4; i++)
        key_number(w, parts[i]);
    int64_t number = key_end(w, &w->calls, LOG_CALL, &row);
    for (int i = 0; row && i < 4; i++)
        db_bind(row, 2 + i, parts[i]);
    return store_fresh(w, row, number);
}

// The connection's row, and the mark that its client was here.
static bool store_conn(struct tape_writer *w, const struct exchange *x)
{
    bool fresh = false;
    int64_t client = ip_number(w, &x->client);
    if (!client)
        return false;
    uint64_t bucket = x->id >> FORMAT_BUCKET_SHIFT;
    struct mark *seen = &w->clients_seen[client % CLIENTS_SEEN];
    if (seen->number != client || seen->bucket != bucket) {
        sqlite3_stmt *seek = w->seg.log_stmt[LOG_SEEK_CLIENT];
        db_bind(seek, 1, client);
        db_bind(seek, 2, (int64_t)bucket);
        if (!writer_stored(w, db_run(seek)))
            return false;
        *seen = (struct mark){client, bucket};
    }
    if (!x->conn)
        return true;
    union map_value *value = nummap_put(w->conns, x->conn, &fresh);
    if (!value)
        return writer_fail(w);
    if (!fresh)
        return true;
    value->num = x->client.port + 1u;
    int64_t server = ip_number(w, &x->server);
    sqlite3_stmt *row = w->seg.log_stmt[LOG_CONN];
    db_bind(row, 1, (int64_t)x->conn);
    db_bind(row, 2, client);
    db_bind(row, 3, x->client.port);
    db_bind(row, 4, server);
    db_bind(row, 5, x->server.port);
    return server && writer_stored(w, db_run(row));
}

static bool store_rare(struct tape_writer *w, const struct exchange *x)
{
    if (!x->traceparent.size && !x->task.size)
        return true;
    sqlite3_stmt *row = w->seg.log_stmt[LOG_MORE];
    uint8_t packed[25];
    size_t size = format_pack_trace(x->traceparent, packed);
    db_bind(row, 1, (int64_t)x->id);
    if (size)
        db_bind_blob(row, 2, bytes_of(packed, size));
    else
        db_bind_text(row, 2, x->traceparent);
    db_bind_text(row, 3, x->task);
    return writer_stored(w, db_run(row));
}

static int64_t at_least_0(int64_t n)
{
    return n > 0 ? n : 0;
}

// Counts by index are written where they do not follow from the exchange's own.
static bool store_split(struct tape_writer *w, const struct exchange *x)
{
    for (size_t i = 0; i < x->index_count; i++) {
        const struct exchange_index *index = &x->indices[i];
        bool alone = x->index_count == 1;
        if (index->ok == (alone ? at_least_0(x->docs_ok) : 0) && index->failed == (alone ? at_least_0(x->docs_failed) : 0) &&
            index->deleted == (alone ? at_least_0(x->docs_deleted) : 0) && index->unknown == 0)
            continue;
        sqlite3_stmt *row = w->seg.log_stmt[LOG_SPLIT];
        db_bind(row, 1, (int64_t)x->id);
        db_bind(row, 2, (int64_t)i);
        db_bind(row, 3, index->ok);
        db_bind(row, 4, index->failed);
        db_bind(row, 5, index->deleted);
        db_bind(row, 6, index->unknown);
        if (!writer_stored(w, db_run(row)))
            return false;
    }
    return true;
}

static bool mark(struct tape_writer *w, uint64_t id, int64_t call, int64_t t)
{
    uint64_t bucket = id >> FORMAT_BUCKET_SHIFT;
    bool fresh = false;
    if (w->mark_count == MARKS && !row_store_marks(w))
        return false;
    w->marks[w->mark_count++] = (struct mark){call, bucket};
    union map_value *value = nummap_put(w->spans, bucket, &fresh);
    if (!value)
        return writer_fail(w);
    if (!fresh) {
        struct span *span = &w->span_list[value->num];
        span->lo = t < span->lo ? t : span->lo;
        span->hi = t > span->hi ? t : span->hi;
        return true;
    }
    if (w->span_count == w->span_room) {
        size_t room = w->span_room ? w->span_room * 2 : 1024;
        struct span *list = mem_grow(w->span_list, room * sizeof *list);
        if (!list) {
            nummap_drop(w->spans, bucket);
            return writer_fail(w);
        }
        w->span_list = list;
        w->span_room = room;
    }
    value->num = w->span_count;
    w->span_list[w->span_count++] = (struct span){bucket, t, t};
    return true;
}

// An exchange that was stored as an attempt is stored again with its answer: the first row and its count go.
static bool forget_attempt(struct tape_writer *w, uint64_t id)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "UPDATE seek SET n=n-1 WHERE call=(SELECT call FROM x WHERE id=%lld) AND bucket=%lld;"
             "DELETE FROM x WHERE id=%lld; DELETE FROM split WHERE x=%lld;",
             (long long)id, (long long)(id >> FORMAT_BUCKET_SHIFT), (long long)id, (long long)id);
    nummap_drop(w->attempts, id);
    if (!row_store_marks(w) || !writer_stored(w, db_exec(w->seg.log, sql)))
        return false;
    w->seg.rows--;
    return true;
}

static bool bind_opaque_id(struct tape_writer *w, sqlite3_stmt *row, int at, struct bytes text)
{
    if (!text.size) {
        sqlite3_bind_null(row, at);
        return true;
    }
    bool fresh = false;
    int64_t number = dict_number_if_repeated(&w->words, text, &fresh);
    if (number < 0)
        return writer_fail(w);
    if (fresh) {
        sqlite3_stmt *word = w->seg.log_stmt[LOG_WORD];
        db_bind(word, 1, number);
        db_bind_word(word, 2, text);
        if (!writer_stored(w, db_run(word)))
            return false;
    }
    if (number)
        db_bind(row, at, number);
    else
        db_bind_text(row, at, text);
    return true;
}

static void bind_place(sqlite3_stmt *row, int at, int64_t place)
{
    if (place == BODY_NONE)
        sqlite3_bind_null(row, at);
    else
        db_bind(row, at, place);
}

static bool store_exchange(struct tape_writer *w, const struct exchange *x, int64_t req, int64_t resp)
{
    struct format_path path = format_split_path(x->path);
    int64_t call = call_number(w, x, path);
    int64_t tally = call ? tally_number(w, x) : -1;
    if (!call || tally < 0 || !store_conn(w, x))
        return false;
    int64_t time_us = x->time_ns == WHEN_UNKNOWN ? w->seg.start_us : when_us(x->time_ns), t = time_us - w->seg.start_us;
    sqlite3_stmt *row = w->seg.log_stmt[LOG_X];
    if (!bind_opaque_id(w, row, 8, x->opaque_id) || !bind_indices(w, row, 16, x))
        return false;
    db_bind(row, 1, (int64_t)x->id);
    db_bind(row, 2, t);
    if (x->answered_ns == WHEN_UNKNOWN)
        sqlite3_bind_null(row, 3);
    else
        db_bind(row, 3, when_us(x->answered_ns) - time_us);
    db_bind_known(row, 4, x->conn ? (int64_t)x->conn : -1);
    db_bind(row, 5, (int32_t)x->tcp_seq);
    db_bind(row, 6, call);
    db_bind_text(row, 7, path.var);
    bind_place(row, 9, req);
    bind_place(row, 10, resp);
    db_bind(row, 11, (int64_t)x->request_bytes);
    db_bind(row, 12, (int64_t)x->response_bytes);
    db_bind_known(row, 13, x->took_ms);
    db_bind_known(row, 14, tally ? tally : -1);
    db_bind_known(row, 15, x->docs_total);
    return writer_stored(w, db_run(row)) && store_rare(w, x) && store_split(w, x) && mark(w, x->id, call, t);
}

// Bodies went off while this exchange's were being placed: what its first body was told does not hold.
static int64_t withdraw(struct tape_writer *w, uint64_t id, enum body_side side, int64_t place)
{
    if (place == FORMAT_BODY_PARTS) {
        sqlite3_stmt *parts = w->seg.log_stmt[LOG_PARTS_DROP];
        db_bind(parts, 1, (int64_t)id);
        db_bind(parts, 2, side);
        writer_stored(w, db_run(parts));
    }
    return place == BODY_NONE ? BODY_NONE : FORMAT_BODY_LOST;
}

static void count_row(struct segment_state *s, uint64_t id)
{
    s->first_x = !s->rows || id < s->first_x ? id : s->first_x;
    s->last_x = !s->rows || id > s->last_x ? id : s->last_x;
    s->tx_first_x = !s->tx_rows || id < s->tx_first_x ? id : s->tx_first_x;
    s->rows++;
    s->tx_rows++;
}

static void store_attempt(struct tape_writer *w, const struct exchange *x)
{
    bool fresh = false;
    if (nummap_find(w->attempts, x->id))
        return;
    if (!nummap_put(w->attempts, x->id, &fresh))
        writer_fail(w);
    else if (store_exchange(w, x, BODY_NONE, BODY_NONE))
        count_row(&w->seg, x->id);
}

static void store_done(struct tape_writer *w, const struct exchange *x)
{
    if (nummap_find(w->attempts, x->id) && !forget_attempt(w, x->id))
        return;
    bool bodies_off = w->bodies_off;
    int64_t req = body_finish(w, x->id, BODY_REQUEST, x->api);
    int64_t resp = body_finish(w, x->id, BODY_RESPONSE, x->api);
    if (!bodies_off && w->bodies_off && w->seg.open) {
        req = withdraw(w, x->id, BODY_REQUEST, req);
        resp = withdraw(w, x->id, BODY_RESPONSE, resp);
    }
    // Placing a body can end in disk trouble that takes the segment away.
    if (!w->seg.open || !w->seg.log_tx || !store_exchange(w, x, req, resp))
        w->lost_rows += !w->failed;
    else
        count_row(&w->seg, x->id);
}

bool tape_write_exchange(struct tape_writer *w, const struct exchange *x, struct fault *f)
{
    if (x->flags & EXCHANGE_ATTEMPT) {
        if (writer_ready(w, x->time_ns))
            store_attempt(w, x);
        return writer_result(w, f);
    }
    if (writer_ready(w, x->time_ns)) {
        writer_note_time(w, x->answered_ns);
        store_done(w, x);
    } else { // its bodies are not waited for any more
        w->lost_rows += !w->failed;
        body_finish(w, x->id, BODY_REQUEST, x->api);
        body_finish(w, x->id, BODY_RESPONSE, x->api);
    }
    nummap_drop(w->op_owners, x->id);
    return writer_result(w, f);
}

// ---- marks ----------------------------------------------------------------------------------------------------------

static bool store_seek(struct tape_writer *w)
{
    if (w->mark_count)
        qsort(w->marks, w->mark_count, sizeof *w->marks, compare_marks);
    sqlite3_stmt *row = w->seg.log_stmt[LOG_SEEK];
    for (size_t from = 0, to; from < w->mark_count; from = to) {
        for (to = from + 1; to < w->mark_count && compare_marks(&w->marks[from], &w->marks[to]) == 0; to++)
            ;
        db_bind(row, 1, w->marks[from].number);
        db_bind(row, 2, (int64_t)w->marks[from].bucket);
        db_bind(row, 3, (int64_t)(to - from));
        if (!writer_stored(w, db_run(row)))
            return false;
    }
    w->mark_count = 0;
    return true;
}

bool row_store_marks(struct tape_writer *w)
{
    if (!store_seek(w) || !store_name_marks(w))
        return false;
    sqlite3_stmt *row = w->seg.log_stmt[LOG_BUCKET];
    for (size_t i = 0; i < w->span_count; i++) {
        db_bind(row, 1, (int64_t)w->span_list[i].bucket);
        db_bind(row, 2, w->span_list[i].lo);
        db_bind(row, 3, w->span_list[i].hi);
        if (!writer_stored(w, db_run(row)))
            return false;
        nummap_drop(w->spans, w->span_list[i].bucket);
    }
    w->span_count = 0;
    return true;
}

// Empties a map, with a fresh one where memory allows.
static void renew(struct nummap **m)
{
    struct nummap *fresh = nummap_open();
    if (fresh) {
        nummap_close(*m);
        *m = fresh;
        return;
    }
    size_t at = 0;
    uint64_t key;
    union map_value *value;
    while (nummap_next(*m, &at, &key, &value)) {
        nummap_drop(*m, key);
        at = 0; // dropping may move what follows
    }
}

void row_forget(struct tape_writer *w)
{
    struct dict *const dicts[] = {&w->names, &w->words, &w->ips, &w->whos, &w->shapes, &w->lists, &w->paths, &w->tallies, &w->calls};
    for (size_t i = 0; i < sizeof dicts / sizeof *dicts; i++)
        dict_clear(dicts[i]);
    for (size_t i = 0; i < w->span_count; i++)
        nummap_drop(w->spans, w->span_list[i].bucket);
    w->mark_count = w->name_mark_count = w->span_count = 0;
    memset(w->names_seen, 0, sizeof w->names_seen);
    memset(w->clients_seen, 0, sizeof w->clients_seen);
    renew(&w->attempts);
    renew(&w->conns); // their rows belong to the segment that is gone
}
