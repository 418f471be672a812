// The columns of the log, declared once, and the two formats that are nothing but columns: JSON lines and CSV.
#include "column.h"

#include "../base/clock.h"
#include "emit.h"

#include <arpa/inet.h>
#include <stdio.h>

const char *view_outcome_name(enum outcome outcome)
{
    static const char *const names[OUTCOMES] = {"ok", "partial", "failed", "unanswered", "unknown"};
    return (unsigned)outcome < OUTCOMES ? names[outcome] : "unknown";
}

const char *view_auth_name(enum auth_kind auth)
{
    static const char *const names[AUTH_KINDS] = {"none", "basic", "api_key", "bearer", "jwt", "service", "sigv4", "cert", "proxy", "negotiate", "other"};
    return (unsigned)auth < AUTH_KINDS ? names[auth] : "other";
}

const char *view_op_name(enum op_kind kind)
{
    static const char *const names[OP_KINDS] = {"index", "create", "update", "delete"};
    return (unsigned)kind < OP_KINDS ? names[kind] : "unknown";
}

const char *view_result_name(enum op_result result)
{
    static const char *const names[OP_RESULTS] = {"unknown", "created", "updated", "deleted", "not_found", "noop", "failed", "dropped", "accepted"};
    return (unsigned)result < OP_RESULTS ? names[result] : "unknown";
}

static const struct {
    const char *name, *text;
} causes[GAP_CAUSES] = {
    [GAP_LOST] = {"lost", "lost on the way to the capture"},
    [GAP_SNAPLEN] = {"snaplen", "cut by a snap length"},
    [GAP_MIDSTREAM] = {"midstream", "before the recording joined the connection"},
    [GAP_EVICTED] = {"evicted", "dropped at a limit of memory"},
    [GAP_END] = {"end", "open when the input ended"},
    [GAP_KERNEL] = {"kernel", "dropped by the kernel"},
    [GAP_NOT_RECORDING] = {"not_recording", "nobody was recording"},
    [GAP_UNPARSED] = {"unparsed", "belongs to no message"},
    [GAP_ORPHAN] = {"orphan", "answers without a request"},
    [GAP_DISK] = {"disk", "refused by the disk"},
};

const char *view_cause_name(enum gap_cause cause)
{
    return (unsigned)cause < GAP_CAUSES ? causes[cause].name : "unknown";
}

const char *view_cause_text(enum gap_cause cause)
{
    return (unsigned)cause < GAP_CAUSES ? causes[cause].text : "for an unknown reason";
}

char *view_ip(const struct endpoint *e, char *text, size_t room)
{
    bool four = endpoint_is_v4(e);
    if (!inet_ntop(four ? AF_INET : AF_INET6, four ? e->ip + 12 : e->ip, text, (socklen_t)room))
        snprintf(text, room, "?");
    return text;
}

char *view_endpoint(const struct endpoint *e, char *text, size_t room)
{
    char ip[48];
    view_ip(e, ip, sizeof ip);
    snprintf(text, room, endpoint_is_v4(e) ? "%s:%u" : "[%s]:%u", ip, e->port);
    return text;
}

char *view_id(const struct tape_row *row, const char *tape_name, char *text, size_t room)
{
    snprintf(text, room, "%s%s%llu", tape_name ? tape_name : "", tape_name ? ":" : "", (unsigned long long)row->x.id);
    return text;
}

struct bytes view_action_text(const struct exchange *x)
{
    return x->api.size ? x->api : x->path;
}

// ---- getters --------------------------------------------------------------------------------------------------------

static void set_text(struct cell *c, struct bytes text)
{
    c->kind = text.size ? CELL_TEXT : CELL_NULL;
    c->text = text;
}

static void set_room(struct cell *c)
{
    set_text(c, bytes_of_text(c->room));
}

static void set_number(struct cell *c, int64_t number)
{
    c->kind = number < 0 ? CELL_NULL : CELL_NUMBER;
    c->number = number;
}

static void set_time(struct cell *c, int64_t time_ns)
{
    c->kind = CELL_NULL;
    if (time_ns == WHEN_UNKNOWN)
        return;
    clock_format_utc(time_ns, c->room, sizeof c->room);
    set_room(c);
}

static void set_bool(struct cell *c, bool truth)
{
    c->kind = CELL_BOOL;
    c->truth = truth;
}

#define GET(name) static void get_##name(const struct tape_row *r, const char *tape, struct cell *c)
#define GET_TEXT(name, field) GET(name) { (void)tape; set_text(c, r->x.field); }
#define GET_NUMBER(name, value) GET(name) { (void)tape; set_number(c, (int64_t)(value)); }

GET(id)
{
    if (!tape) {
        set_number(c, (int64_t)r->x.id);
        return;
    }
    view_id(r, tape, c->room, sizeof c->room);
    set_room(c);
}
GET(time) { (void)tape; set_time(c, r->x.time_ns); }
GET(answered) { (void)tape; set_time(c, r->x.status ? r->x.answered_ns : WHEN_UNKNOWN); }
GET(client_ip) { (void)tape; view_ip(&r->x.client, c->room, sizeof c->room); set_room(c); }
GET(server_ip) { (void)tape; view_ip(&r->x.server, c->room, sizeof c->room); set_room(c); }
GET_NUMBER(client_port, r->x.client.port)
GET_NUMBER(server_port, r->x.server.port)
GET_TEXT(principal, principal)
GET(auth) { (void)tape; set_text(c, bytes_of_text(view_auth_name(r->x.auth))); }
GET_TEXT(run_as, run_as)
GET_TEXT(forwarded_for, forwarded_for)
GET_TEXT(agent, agent)
GET_TEXT(opaque_id, opaque_id)
GET_TEXT(verb, verb)
GET_TEXT(path, path)
GET_TEXT(api, api)
GET_TEXT(action, action)
GET(targets)
{
    (void)tape;
    c->kind = CELL_LIST;
    c->list = r->x.targets;
    c->count = r->x.target_count;
}
GET(indices)
{
    (void)tape;
    c->kind = CELL_LIST;
    c->list = NULL;
    c->indices = r->x.indices;
    c->count = r->x.index_count;
}
GET_NUMBER(status, r->x.status ? r->x.status : -1)
GET(outcome) { (void)tape; set_text(c, bytes_of_text(view_outcome_name(r->x.outcome))); }
GET_TEXT(reason, reason)
GET_NUMBER(docs, r->x.docs)
GET_NUMBER(docs_ok, r->x.docs_ok)
GET_NUMBER(docs_failed, r->x.docs_failed)
GET_NUMBER(docs_deleted, r->x.docs_deleted)
GET_NUMBER(took_ms, r->x.took_ms)
GET(duration_ms)
{
    (void)tape;
    bool known = r->x.status && r->x.answered_ns != WHEN_UNKNOWN && r->x.answered_ns >= r->x.time_ns;
    set_number(c, known ? (r->x.answered_ns - r->x.time_ns) / WHEN_NS_PER_MS : -1);
}
GET_NUMBER(request_bytes, r->x.request_bytes)
GET_NUMBER(response_bytes, r->x.response_bytes)
GET(truncated) { (void)tape; set_bool(c, r->x.flags & EXCHANGE_TRUNCATED); }
GET(write) { (void)tape; set_bool(c, r->x.flags & EXCHANGE_WRITE); }
GET_TEXT(destructive, danger)

#define COLUMN(name) {#name, get_##name}
const struct column view_columns[] = {
    COLUMN(id), COLUMN(time), COLUMN(answered),
    COLUMN(client_ip), COLUMN(client_port), COLUMN(server_ip), COLUMN(server_port),
    COLUMN(principal), COLUMN(auth), COLUMN(run_as), COLUMN(forwarded_for), COLUMN(agent), COLUMN(opaque_id),
    COLUMN(verb), COLUMN(path), COLUMN(api), COLUMN(action), COLUMN(targets), COLUMN(indices),
    COLUMN(status), COLUMN(outcome), COLUMN(reason),
    COLUMN(docs), COLUMN(docs_ok), COLUMN(docs_failed), COLUMN(docs_deleted),
    COLUMN(took_ms), COLUMN(duration_ms), COLUMN(request_bytes), COLUMN(response_bytes), COLUMN(truncated),
    COLUMN(write), COLUMN(destructive),
};
const size_t view_column_count = sizeof view_columns / sizeof *view_columns;

// ---- formats --------------------------------------------------------------------------------------------------------

// The i-th text of a list cell; false: an index that is only the name asked for, which `indices` leaves out.
static bool list_item(const struct cell *c, size_t i, struct bytes *text)
{
    *text = c->list ? c->list[i] : c->indices[i].index;
    return c->list || c->indices[i].concrete;
}

static void cell_json(struct buf *out, const struct cell *c)
{
    bool first = true;
    struct bytes text;
    switch (c->kind) {
    case CELL_NULL: buf_add_text(out, "null"); break;
    case CELL_TEXT: emit_json(out, c->text); break;
    case CELL_NUMBER: buf_format(out, "%lld", (long long)c->number); break;
    case CELL_BOOL: buf_add_text(out, c->truth ? "true" : "false"); break;
    case CELL_LIST:
        buf_add_byte(out, '[');
        for (size_t i = 0; i < c->count; i++) {
            if (!list_item(c, i, &text))
                continue;
            if (!first)
                buf_add_byte(out, ',');
            emit_json(out, text);
            first = false;
        }
        buf_add_byte(out, ']');
    }
}

void view_row_json(struct buf *out, const struct tape_row *row, const char *tape_name)
{
    for (size_t i = 0; i < view_column_count; i++) {
        struct cell c = {0};
        view_columns[i].get(row, tape_name, &c);
        buf_format(out, "%c\"%s\":", i ? ',' : '{', view_columns[i].name);
        cell_json(out, &c);
    }
    buf_add_text(out, "}\n");
}

static void cell_text(struct buf *out, const struct cell *c)
{
    bool first = true;
    struct bytes text;
    switch (c->kind) {
    case CELL_NULL: break;
    case CELL_TEXT: buf_add_bytes(out, c->text); break;
    case CELL_NUMBER: buf_format(out, "%lld", (long long)c->number); break;
    case CELL_BOOL: buf_add_text(out, c->truth ? "true" : "false"); break;
    case CELL_LIST:
        for (size_t i = 0; i < c->count; i++) {
            if (!list_item(c, i, &text))
                continue;
            if (!first)
                buf_add_byte(out, ',');
            buf_add_bytes(out, text);
            first = false;
        }
    }
}

void view_csv_head(struct buf *out)
{
    for (size_t i = 0; i < view_column_count; i++)
        buf_format(out, "%s%s", i ? "," : "", view_columns[i].name);
    buf_add_text(out, "\r\n");
}

void view_row_csv(struct buf *out, const struct tape_row *row, const char *tape_name, bool escaped)
{
    struct buf text = {0}, shown = {0};
    for (size_t i = 0; i < view_column_count; i++) {
        struct cell c = {0};
        view_columns[i].get(row, tape_name, &c);
        buf_clear(&text);
        buf_clear(&shown);
        cell_text(&text, &c);
        if (i)
            buf_add_byte(out, ',');
        if (escaped)
            emit_text(&shown, buf_view(&text));
        emit_csv(out, buf_view(escaped ? &shown : &text));
        out->failed |= text.failed | shown.failed;
    }
    buf_add_text(out, "\r\n");
    buf_fini(&text);
    buf_fini(&shown);
}
