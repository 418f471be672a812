// One row of the log: read as it is stored, then joined with its dictionaries when it is given out.
#include "select.h"

enum { COL_ID, COL_T, COL_DUR, COL_CONN, COL_SEQ, COL_CALL, COL_VAR, COL_OID, COL_REQ, COL_RESP, COL_REQ_BYTES, COL_RESP_BYTES, COL_TOOK, COL_TALLY, COL_HITS, COL_INDICES };

static int64_t known(sqlite3_stmt *stmt, int column)
{
    return sqlite3_column_type(stmt, column) == SQLITE_NULL ? -1 : sqlite3_column_int64(stmt, column);
}

struct raw_row *row_read(struct reel *r, struct reel_segment *s)
{
    sqlite3_stmt *stmt = s->open->statements[SEGMENT_ROWS]; // stands on the row
    bool word = sqlite3_column_type(stmt, COL_OID) == SQLITE_INTEGER, text = !word && sqlite3_column_type(stmt, COL_OID) != SQLITE_NULL;
    const void *var = sqlite3_column_blob(stmt, COL_VAR), *oid = text ? sqlite3_column_blob(stmt, COL_OID) : NULL;
    size_t var_size = (size_t)sqlite3_column_bytes(stmt, COL_VAR), oid_size = text ? (size_t)sqlite3_column_bytes(stmt, COL_OID) : 0;
    bool listed = sqlite3_column_type(stmt, COL_INDICES) == SQLITE_TEXT;
    const void *list = listed ? sqlite3_column_blob(stmt, COL_INDICES) : NULL;
    size_t list_size = listed ? (size_t)sqlite3_column_bytes(stmt, COL_INDICES) : 0;
    struct raw_row *raw = mem_alloc(sizeof *raw + var_size + oid_size + list_size);
    if (!raw)
        return NULL;
    *raw = (struct raw_row){
        .reel = r, .segment = s,
        .time_us = when_plus(s->open->start_us, sqlite3_column_int64(stmt, COL_T)),
        .dur_us = known(stmt, COL_DUR),
        .id = (uint64_t)sqlite3_column_int64(stmt, COL_ID),
        .conn = known(stmt, COL_CONN),
        .seq = sqlite3_column_type(stmt, COL_SEQ) == SQLITE_NULL ? -1 : (int64_t)(uint32_t)sqlite3_column_int64(stmt, COL_SEQ),
        .call = sqlite3_column_int64(stmt, COL_CALL),
        .req = sqlite3_column_type(stmt, COL_REQ) == SQLITE_NULL ? INT64_MIN : sqlite3_column_int64(stmt, COL_REQ),
        .resp = sqlite3_column_type(stmt, COL_RESP) == SQLITE_NULL ? INT64_MIN : sqlite3_column_int64(stmt, COL_RESP),
        .req_bytes = sqlite3_column_int64(stmt, COL_REQ_BYTES), .resp_bytes = sqlite3_column_int64(stmt, COL_RESP_BYTES),
        .took = known(stmt, COL_TOOK), .tally = known(stmt, COL_TALLY), .hits = known(stmt, COL_HITS),
        .word_known = word, .word = word ? sqlite3_column_int64(stmt, COL_OID) : 0,
        .list = listed ? -1 : sqlite3_column_int64(stmt, COL_INDICES),
        .var_size = (uint32_t)var_size, .oid_size = (uint32_t)oid_size, .list_size = (uint32_t)list_size,
    };
    if (var_size)
        memcpy(raw->text, var, var_size);
    if (oid_size)
        memcpy(raw->text + var_size, oid, oid_size);
    if (list_size)
        memcpy(raw->text + var_size + oid_size, list, list_size);
    return raw;
}

static void join_tally(struct open_segment *o, const struct raw_row *raw, struct exchange *x)
{
    x->docs = x->docs_ok = x->docs_failed = x->docs_deleted = -1;
    if (raw->tally < 0)
        return;
    sqlite3_stmt *stmt = segment_statement(o, SEGMENT_TALLY);
    sqlite3_bind_int64(stmt, 1, raw->tally);
    if (sqlite3_step(stmt) == SQLITE_ROW) {
        x->docs = known(stmt, 0);
        x->docs_ok = known(stmt, 1);
        x->docs_failed = known(stmt, 2);
        x->docs_deleted = known(stmt, 3);
    }
    sqlite3_reset(stmt);
}

static uint32_t count_of(int64_t n)
{
    return n < 0 ? 0 : n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

static bool index_room(struct row_scratch *s, size_t count)
{
    if (s->index_room >= count)
        return true;
    size_t room = count < 16 ? 16 : count * 2;
    struct exchange_index *grown = mem_grow(s->indices, room * sizeof *grown);
    if (!grown)
        return false;
    s->indices = grown;
    s->index_room = room;
    return true;
}

// The names of its indices: in a list that is kept, or in the row itself.
static bool list_indices(struct open_segment *o, const struct raw_row *raw, struct row_scratch *s)
{
    s->index_count = 0;
    if (raw->list >= 0) {
        const struct list_info *list = raw->list ? dict_list(o, raw->list) : NULL;
        if (!raw->list)
            return true;
        if (!list || !index_room(s, list->count))
            return false;
        if (list->count)
            memcpy(s->indices, list->indices, list->count * sizeof *s->indices);
        s->index_count = list->count;
        return true;
    }
    struct bytes text = bytes_of(raw->text + raw->var_size + raw->oid_size, raw->list_size);
    int64_t number;
    while (format_next_number(&text, &number)) {
        if (!index_room(s, s->index_count + 1))
            return false;
        s->indices[s->index_count++] = (struct exchange_index){.index = dict_name(o, number < 0 ? -number : number), .concrete = number > 0};
    }
    return true;
}

// Counts by index: from table split; where it is silent an exchange with one index has its own counts there.
static bool join_indices(struct open_segment *o, const struct raw_row *raw, struct row_scratch *s, struct exchange *x)
{
    if (!list_indices(o, raw, s))
        return false;
    x->indices = s->indices;
    x->index_count = s->index_count;
    bool split = o->has_split && s->index_count && walker_seek(o, &o->split, (int64_t)raw->id);
    if (!split && s->index_count == 1 && x->docs > 0) {
        s->indices[0].ok = count_of(x->docs_ok);
        s->indices[0].failed = count_of(x->docs_failed);
        s->indices[0].deleted = count_of(x->docs_deleted);
    }
    for (; split && o->split.at == (int64_t)raw->id; walker_step(&o->split)) {
        int64_t place = sqlite3_column_int64(o->split.stmt, 1);
        if (place < 0 || (size_t)place >= s->index_count)
            continue;
        struct exchange_index *i = &s->indices[place];
        i->ok = count_of(sqlite3_column_int64(o->split.stmt, 2));
        i->failed = count_of(sqlite3_column_int64(o->split.stmt, 3));
        i->deleted = count_of(sqlite3_column_int64(o->split.stmt, 4));
        i->unknown = count_of(sqlite3_column_int64(o->split.stmt, 5));
    }
    return true;
}

static void join_more(struct open_segment *o, const struct raw_row *raw, struct row_scratch *s, struct exchange *x)
{
    if (!o->has_more || !walker_seek(o, &o->more, (int64_t)raw->id))
        return;
    struct bytes trace = {sqlite3_column_blob(o->more.stmt, 1), (size_t)sqlite3_column_bytes(o->more.stmt, 1)};
    struct bytes task = {sqlite3_column_blob(o->more.stmt, 2), (size_t)sqlite3_column_bytes(o->more.stmt, 2)};
    size_t usual = format_unpack_trace(trace, s->trace);
    size_t at = s->texts.size;
    buf_add_bytes(&s->texts, trace);
    buf_add_bytes(&s->texts, task);
    if (s->texts.failed)
        return;
    x->traceparent = usual ? bytes_of(s->trace, usual) : bytes_of(s->texts.at + at, trace.size);
    x->task = bytes_of(s->texts.at + at + trace.size, task.size);
}

// What was learned about the outcome afterwards.
static void join_late(const struct raw_row *raw, struct exchange *x)
{
    union map_value *v = raw->reel->lates ? nummap_find(raw->reel->lates, raw->id) : NULL;
    if (!v)
        return;
    const struct late_row *late = v->ptr;
    x->outcome = late->outcome;
    x->reason = late->reason;
    x->docs = late->docs >= 0 ? late->docs : x->docs;
    x->docs_ok = late->docs_ok >= 0 ? late->docs_ok : x->docs_ok;
    x->docs_failed = late->docs_failed >= 0 ? late->docs_failed : x->docs_failed;
    x->docs_deleted = late->docs_deleted >= 0 ? late->docs_deleted : x->docs_deleted;
}

bool row_join(struct raw_row *raw, struct row_scratch *s, struct tape_row *row)
{
    struct open_segment *o = raw->segment->open;
    const struct call_info *call = dict_call(o, raw->call);
    const struct conn_info *conn = raw->conn < 0 ? NULL : dict_conn(o, raw->conn);
    if (!call || (raw->conn >= 0 && !conn))
        return false;
    buf_clear(&s->path);
    buf_clear(&s->texts);
    buf_add_bytes(&s->path, call->path->head);
    buf_add(&s->path, raw->text, raw->var_size);
    buf_add_bytes(&s->path, call->path->tail);
    const struct shape_info *h = call->shape;
    *row = (struct tape_row){.tape = raw->reel->which, .also_at = raw->also_at};
    struct exchange *x = &row->x;
    *x = (struct exchange){
        .id = raw->id, .conn = raw->conn < 0 ? 0 : (uint64_t)raw->conn,
        .time_ns = when_from_us(raw->time_us), .answered_ns = raw->dur_us < 0 ? WHEN_UNKNOWN : when_from_us(when_plus(raw->time_us, raw->dur_us)),
        .tcp_seq = raw->seq < 0 ? 0 : (uint32_t)raw->seq, .verb = h->verb, .path = buf_view(&s->path),
        .principal = call->who->principal, .run_as = call->who->run_as, .forwarded_for = call->who->forwarded_for,
        .agent = call->who->agent, .realm = call->who->realm, .auth = call->who->auth, .api = h->api, .action = h->action,
        .targets = call->targets->names, .target_count = call->targets->count, .status = h->status, .outcome = h->outcome,
        .reason = h->reason, .docs_total = raw->hits, .took_ms = raw->took, .request_bytes = (uint64_t)raw->req_bytes,
        .response_bytes = (uint64_t)raw->resp_bytes, .flags = h->flags, .danger = h->danger, .server_version = h->server_version,
        .opaque_id = raw->word_known ? dict_word(o, raw->word) : bytes_of(raw->text + raw->var_size, raw->oid_size),
    };
    if (conn) {
        x->client = conn->client;
        x->server = conn->server;
    }
    join_tally(o, raw, x);
    join_more(o, raw, s, x);
    join_late(raw, x);
    return join_indices(o, raw, s, x) && !s->path.failed && !s->texts.failed;
}

void row_scratch_fini(struct row_scratch *s)
{
    buf_fini(&s->path);
    buf_fini(&s->texts);
    mem_free(s->indices);
}
