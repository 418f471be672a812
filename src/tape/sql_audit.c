// The virtual tables that rest on selecting: audit (exchanges), writes (exchange and index), ops (document writes).
#include "sql.h"

#include "../base/diag.h"
#include "../base/json.h"

// ---- conditions to a filter -----------------------------------------------------------------------------------------

enum { WORDS_MOST = 16 };

struct select_state {
    struct tape_filter filter;
    const char *words[WORDS_MOST]; // the filter's lists point here, one word each
    char *copies[WORDS_MOST];
    size_t word_count;
    struct selection *selection;
    const struct tape_row *row;
    size_t place;                  // writes: which index of the row
    struct buf text;
};

static bool add_word(struct select_state *s, const char *const **list, size_t *count, struct bytes text)
{
    if (*count || s->word_count == WORDS_MOST) // two conditions on one column: SQLite checks the other
        return true;
    char *copy = mem_text_copy(text.at, text.size);
    if (!copy)
        return false;
    s->copies[s->word_count] = copy;
    s->words[s->word_count] = copy;
    *list = &s->words[s->word_count++];
    *count = 1;
    return true;
}

static void limit_time(struct tape_filter *f, const struct sql_limit *l)
{
    int64_t from_ns, to_ns;
    if (!sql_time_bounds(l->text, &from_ns, &to_ns))
        return;
    bool lower = l->op == SQL_GT || l->op == SQL_GE || l->op == SQL_EQ, upper = l->op == SQL_LT || l->op == SQL_LE || l->op == SQL_EQ;
    if (lower && (!f->since_ns || from_ns > f->since_ns))
        f->since_ns = from_ns;
    if (upper && (!f->until_ns || to_ns < f->until_ns))
        f->until_ns = to_ns;
}

static void limit_id(struct tape_filter *f, const struct sql_limit *l)
{
    if (!l->is_number || l->number < 0)
        return;
    uint64_t n = (uint64_t)l->number;
    bool lower = l->op == SQL_GT || l->op == SQL_GE || l->op == SQL_EQ, upper = l->op == SQL_LT || l->op == SQL_LE || l->op == SQL_EQ;
    if (lower && n > f->id_from)
        f->id_from = n;
    if (upper && (!f->id_to || n + 1 < f->id_to))
        f->id_to = n + 1;
}

static bool usable_word(struct bytes text)
{
    return text.size && !memchr(text.at, 0, text.size);
}

static bool begin_select(struct sql_cursor *c, struct select_state **out)
{
    struct select_state *s = mem_zero(1, sizeof *s);
    c->state = *out = s;
    return s != NULL;
}

static void end_select(struct sql_cursor *c)
{
    struct select_state *s = c->state;
    selection_close(s->selection);
    for (size_t i = 0; i < s->word_count; i++)
        mem_free(s->copies[i]);
    buf_fini(&s->text);
    mem_free(s);
}

// ---- audit ----------------------------------------------------------------------------------------------------------

enum audit_column {
    A_ID, A_TIME, A_ANSWERED, A_CLIENT_IP, A_CLIENT_PORT, A_SERVER_IP, A_SERVER_PORT, A_PRINCIPAL, A_AUTH, A_RUN_AS, A_FORWARDED_FOR, A_AGENT,
    A_OPAQUE_ID, A_VERB, A_PATH, A_API, A_ACTION, A_TARGETS, A_INDICES, A_STATUS, A_OUTCOME, A_REASON, A_DOCS, A_DOCS_OK, A_DOCS_FAILED,
    A_DOCS_DELETED, A_TOOK, A_DURATION, A_REQUEST_BYTES, A_RESPONSE_BYTES, A_TRUNCATED, A_WRITE, A_DESTRUCTIVE, A_TAPE, A_INDEX
};

static bool limit_audit(struct select_state *s, const struct sql_limit *l)
{
    struct tape_filter *f = &s->filter;
    bool word = usable_word(l->text);
    switch (l->column) {
    case A_ID: limit_id(f, l); return true;
    case A_TIME: limit_time(f, l); return true;
    case A_CLIENT_IP: return !word || memchr(l->text.at, '*', l->text.size) || !dict_parse_ip(l->text, (uint8_t[16]){0}) || add_word(s, &f->client, &f->client_count, l->text);
    case A_PRINCIPAL: return !word || add_word(s, &f->who, &f->who_count, l->text);
    case A_AGENT: return !word || add_word(s, &f->agent, &f->agent_count, l->text);
    case A_VERB: return !word || add_word(s, &f->verb, &f->verb_count, l->text);
    case A_API: return !word || add_word(s, &f->api, &f->api_count, l->text);
    case A_OUTCOME: return !word || add_word(s, &f->outcome, &f->outcome_count, l->text);
    case A_INDEX: return !word || add_word(s, &f->index, &f->index_count, l->text);
    case A_WRITE: f->writes |= l->is_number && l->number; return true;
    case A_DESTRUCTIVE:
        f->destructive = true;
        return l->op != SQL_EQ || !word || add_word(s, &f->danger, &f->danger_count, l->text);
    default: return true;
    }
}

static bool begin_audit(struct sql_cursor *c, const struct sql_limit *limits, size_t count, struct fault *fault)
{
    struct select_state *s;
    bool ok = begin_select(c, &s);
    for (size_t i = 0; ok && i < count; i++)
        ok = limit_audit(s, &limits[i]);
    if (!ok)
        return fault_memory(fault);
    s->selection = selection_open(c->tape, &s->filter, fault);
    return s->selection != NULL;
}

static int next_audit(struct sql_cursor *c, struct fault *fault)
{
    struct select_state *s = c->state;
    return selection_next(s->selection, &s->row, fault);
}

static void result_list(struct select_state *s, sqlite3_context *to, bool indices)
{
    const struct exchange *x = &s->row->x;
    buf_clear(&s->text);
    buf_add_byte(&s->text, '[');
    size_t count = indices ? x->index_count : x->target_count;
    bool first = true;
    for (size_t i = 0; i < count; i++) {
        if (indices && !x->indices[i].concrete)
            continue;
        if (!first)
            buf_add_byte(&s->text, ',');
        json_write_text(&s->text, indices ? x->indices[i].index : x->targets[i]);
        first = false;
    }
    buf_add_byte(&s->text, ']');
    sql_result_text(to, buf_view(&s->text));
}

static void result_ip(sqlite3_context *to, const struct endpoint *e)
{
    char text[64];
    sqlite3_result_text(to, dict_ip_text(e, text, sizeof text), -1, SQLITE_TRANSIENT);
}

static struct bytes audit_text(const struct exchange *x, int column)
{
    switch (column) {
    case A_PRINCIPAL: return x->principal;
    case A_RUN_AS: return x->run_as;
    case A_FORWARDED_FOR: return x->forwarded_for;
    case A_AGENT: return x->agent;
    case A_OPAQUE_ID: return x->opaque_id;
    case A_VERB: return x->verb;
    case A_PATH: return x->path;
    case A_API: return x->api;
    case A_ACTION: return x->action;
    case A_REASON: return x->reason;
    default: return x->danger;
    }
}

static void column_audit(struct sql_cursor *c, sqlite3_context *to, int column)
{
    struct select_state *s = c->state;
    const struct exchange *x = &s->row->x;
    bool answered = x->status && x->answered_ns != WHEN_UNKNOWN;
    switch (column) {
    case A_ID: sqlite3_result_int64(to, (sqlite3_int64)x->id); break;
    case A_TIME: sql_result_time(to, x->time_ns); break;
    case A_ANSWERED: sql_result_time(to, answered ? x->answered_ns : WHEN_UNKNOWN); break;
    case A_CLIENT_IP: result_ip(to, &x->client); break;
    case A_CLIENT_PORT: sqlite3_result_int(to, x->client.port); break;
    case A_SERVER_IP: result_ip(to, &x->server); break;
    case A_SERVER_PORT: sqlite3_result_int(to, x->server.port); break;
    case A_AUTH: sql_result_word(to, format_auths[x->auth]); break;
    case A_TARGETS: case A_INDICES: result_list(s, to, column == A_INDICES); break;
    case A_STATUS: sql_result_known(to, x->status ? x->status : -1); break;
    case A_OUTCOME: sql_result_word(to, format_outcomes[x->outcome]); break;
    case A_DOCS: sql_result_known(to, x->docs); break;
    case A_DOCS_OK: sql_result_known(to, x->docs_ok); break;
    case A_DOCS_FAILED: sql_result_known(to, x->docs_failed); break;
    case A_DOCS_DELETED: sql_result_known(to, x->docs_deleted); break;
    case A_TOOK: sql_result_known(to, x->took_ms); break;
    case A_DURATION: sql_result_known(to, answered && x->answered_ns >= x->time_ns ? (x->answered_ns - x->time_ns) / WHEN_NS_PER_MS : -1); break;
    case A_REQUEST_BYTES: sqlite3_result_int64(to, (sqlite3_int64)x->request_bytes); break;
    case A_RESPONSE_BYTES: sqlite3_result_int64(to, (sqlite3_int64)x->response_bytes); break;
    case A_TRUNCATED: sqlite3_result_int(to, (x->flags & EXCHANGE_TRUNCATED) != 0); break;
    case A_WRITE: sqlite3_result_int(to, (x->flags & EXCHANGE_WRITE) != 0); break;
    case A_TAPE: sql_result_word(to, tape_name(c->tape, s->row->tape)); break;
    case A_INDEX: // a condition only: what was asked for fits by definition
        sql_result_text(to, s->filter.index_count ? bytes_of_text(s->filter.index[0]) : bytes_of_text(NULL));
        break;
    default: sql_result_text(to, audit_text(x, column));
    }
}

const struct sql_table sql_audit = {
    .name = "audit",
    .columns = "id INTEGER,time TEXT,answered TEXT,client_ip TEXT,client_port INTEGER,server_ip TEXT,server_port INTEGER,principal TEXT,auth TEXT,run_as TEXT,"
               "forwarded_for TEXT,agent TEXT,opaque_id TEXT,verb TEXT,path TEXT,api TEXT,action TEXT,targets TEXT,indices TEXT,status INTEGER,outcome TEXT,"
               "reason TEXT,docs INTEGER,docs_ok INTEGER,docs_failed INTEGER,docs_deleted INTEGER,took_ms INTEGER,duration_ms INTEGER,request_bytes INTEGER,"
               "response_bytes INTEGER,truncated INTEGER,\"write\" INTEGER,destructive TEXT,tape TEXT,\"index\" TEXT HIDDEN",
    .limits = "<<.=...=...=.=.=....=.........==!.=",
    .by_time = true,
    .begin = begin_audit, .next = next_audit, .column = column_audit, .end = end_select,
};

// ---- writes ---------------------------------------------------------------------------------------------------------

enum write_column { W_ID, W_TIME, W_PRINCIPAL, W_API, W_INDEX, W_CONCRETE, W_OK, W_FAILED, W_DELETED, W_UNKNOWN, W_TAPE };

static bool begin_writes(struct sql_cursor *c, const struct sql_limit *limits, size_t count, struct fault *fault)
{
    static const int as_audit[] = {A_ID, A_TIME, A_PRINCIPAL, A_API, A_INDEX};
    struct select_state *s;
    bool ok = begin_select(c, &s);
    for (size_t i = 0; ok && i < count; i++) {
        struct sql_limit l = limits[i];
        if ((size_t)l.column >= sizeof as_audit / sizeof *as_audit)
            continue;
        l.column = as_audit[l.column];
        ok = limit_audit(s, &l);
    }
    if (!ok)
        return fault_memory(fault);
    s->filter.writes = true;
    s->selection = selection_open(c->tape, &s->filter, fault);
    return s->selection != NULL;
}

static int next_writes(struct sql_cursor *c, struct fault *fault)
{
    struct select_state *s = c->state;
    s->place++;
    while (!s->row || s->place >= s->row->x.index_count) {
        int got = selection_next(s->selection, &s->row, fault);
        if (got <= 0)
            return got;
        s->place = 0;
    }
    return 1;
}

static void column_writes(struct sql_cursor *c, sqlite3_context *to, int column)
{
    struct select_state *s = c->state;
    const struct exchange *x = &s->row->x;
    const struct exchange_index *i = &x->indices[s->place];
    switch (column) {
    case W_ID: sqlite3_result_int64(to, (sqlite3_int64)x->id); break;
    case W_TIME: sql_result_time(to, x->time_ns); break;
    case W_PRINCIPAL: sql_result_text(to, x->principal); break;
    case W_API: sql_result_text(to, x->api); break;
    case W_INDEX: sql_result_text(to, i->index); break;
    case W_CONCRETE: sqlite3_result_int(to, i->concrete); break;
    case W_OK: sqlite3_result_int64(to, i->ok); break;
    case W_FAILED: sqlite3_result_int64(to, i->failed); break;
    case W_DELETED: sqlite3_result_int64(to, i->deleted); break;
    case W_UNKNOWN: sqlite3_result_int64(to, i->unknown); break;
    default: sql_result_word(to, tape_name(c->tape, s->row->tape));
    }
}

const struct sql_table sql_writes = {
    .name = "writes",
    .columns = "id INTEGER,time TEXT,principal TEXT,api TEXT,\"index\" TEXT,concrete INTEGER,ok INTEGER,failed INTEGER,deleted INTEGER,unknown INTEGER,tape TEXT",
    .limits = "<<===......",
    .by_time = true,
    .begin = begin_writes, .next = next_writes, .column = column_writes, .end = end_select,
};

// ---- ops ------------------------------------------------------------------------------------------------------------

enum op_column {
    O_EXCHANGE, O_ITEM, O_TIME, O_INDEX, O_ID, O_OP, O_RESULT, O_STATUS, O_VERSION, O_SEQ_NO, O_PRIMARY_TERM, O_ROUTING, O_PIPELINE, O_TYPE, O_ASKED,
    O_ERROR_TYPE, O_LIFE, O_FLAGS, O_TAPE
};

struct op_state {
    struct tape_op_filter filter;
    const char *index;
    char *index_copy, *id_copy;
    struct op_walk *walk;
    const struct tape_op *op;
};

static bool limit_ops(struct op_state *s, const struct sql_limit *l)
{
    struct tape_filter as = {.since_ns = s->filter.since_ns, .until_ns = s->filter.until_ns, .id_from = s->filter.exchange_from, .id_to = s->filter.exchange_to};
    if (l->column == O_TIME)
        limit_time(&as, l);
    if (l->column == O_EXCHANGE)
        limit_id(&as, l);
    s->filter.since_ns = as.since_ns;
    s->filter.until_ns = as.until_ns;
    s->filter.exchange_from = as.id_from;
    s->filter.exchange_to = as.id_to;
    if (l->column == O_INDEX && usable_word(l->text) && !s->index_copy) {
        s->index = s->index_copy = mem_text_copy(l->text.at, l->text.size);
        s->filter.index = &s->index;
        s->filter.index_count = 1;
        return s->index_copy != NULL;
    }
    if (l->column == O_ID && l->text.size && !s->id_copy) {
        s->id_copy = mem_text_copy(l->text.at, l->text.size);
        s->filter.id = bytes_of(s->id_copy, l->text.size);
        return s->id_copy != NULL;
    }
    return true;
}

static bool begin_ops(struct sql_cursor *c, const struct sql_limit *limits, size_t count, struct fault *fault)
{
    struct op_state *s = c->state = mem_zero(1, sizeof *s);
    bool ok = s != NULL;
    for (size_t i = 0; ok && i < count; i++)
        ok = limit_ops(s, &limits[i]);
    if (!ok)
        return fault_memory(fault);
    s->walk = op_walk_open(c->tape, &s->filter, fault);
    return s->walk != NULL;
}

static int next_ops(struct sql_cursor *c, struct fault *fault)
{
    struct op_state *s = c->state;
    return op_walk_next(s->walk, &s->op, fault);
}

static void column_ops(struct sql_cursor *c, sqlite3_context *to, int column)
{
    struct op_state *s = c->state;
    const struct op *op = &s->op->op;
    switch (column) {
    case O_EXCHANGE: sqlite3_result_int64(to, (sqlite3_int64)op->exchange); break;
    case O_ITEM: sqlite3_result_int64(to, op->item); break;
    case O_TIME: sql_result_time(to, s->op->time_ns); break;
    case O_INDEX: sql_result_text(to, op->index); break;
    case O_ID: sql_result_text(to, op->id); break;
    case O_OP: sql_result_word(to, format_op_kinds[op->kind]); break;
    case O_RESULT: sql_result_word(to, format_op_results[op->result]); break;
    case O_STATUS: sql_result_known(to, op->status ? op->status : -1); break;
    case O_VERSION: sql_result_known(to, op->version); break;
    case O_SEQ_NO: sql_result_known(to, op->seq_no); break;
    case O_PRIMARY_TERM: sql_result_known(to, op->primary_term); break;
    case O_ROUTING: sql_result_text(to, op->routing); break;
    case O_PIPELINE: sql_result_text(to, op->pipeline); break;
    case O_TYPE: sql_result_text(to, op->type); break;
    case O_ASKED: sql_result_text(to, op->asked); break;
    case O_ERROR_TYPE: sql_result_text(to, op->error_type); break;
    case O_LIFE: sqlite3_result_int64(to, s->op->life + 1); break;
    case O_FLAGS: sqlite3_result_int64(to, op->flags); break;
    default: sql_result_word(to, tape_name(c->tape, s->op->tape));
    }
}

static void end_ops(struct sql_cursor *c)
{
    struct op_state *s = c->state;
    op_walk_close(s->walk);
    mem_free(s->index_copy);
    mem_free(s->id_copy);
    mem_free(s);
}

const struct sql_table sql_ops = {
    .name = "ops",
    .columns = "exchange INTEGER,item INTEGER,time TEXT,\"index\" TEXT,id TEXT,op TEXT,result TEXT,status INTEGER,version INTEGER,seq_no INTEGER,"
               "primary_term INTEGER,routing TEXT,pipeline TEXT,type TEXT,asked TEXT,error_type TEXT,life INTEGER,flags INTEGER,tape TEXT",
    .limits = "<.<==..............",
    .begin = begin_ops, .next = next_ops, .column = column_ops, .end = end_ops,
};
