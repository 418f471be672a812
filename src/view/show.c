// One exchange whole. Facts come as a table of names and values; what is not known is left out.
#include "show.h"

#include "../base/clock.h"
#include "../base/json.h"
#include "column.h"
#include "emit.h"
#include "line.h"
#include "table.h"

#include <stdio.h>

enum { LABEL_COLUMNS = 14, JSON_ARENA_MAX = 256 << 20 };

static const struct {
    uint32_t flag;
    const char *name, *text;
} flags[] = {
    {EXCHANGE_WRITE, "write", "changes data or configuration"},
    {EXCHANGE_TRUNCATED, "truncated", "bytes of a kept body are missing"},
    {EXCHANGE_HEAD_TRUNCATED, "head_truncated", "the request's head was cut: path or headers may be incomplete"},
    {EXCHANGE_REDACTED, "redacted", "secrets were taken out"},
    {EXCHANGE_OWN, "own", "estape's own traffic"},
    {EXCHANGE_WILDCARD, "wildcard", "targets hold a wildcard"},
    {EXCHANGE_UNDECODED, "undecoded", "a body could not be decoded, or is no text"},
    {EXCHANGE_MALFORMED, "malformed", "a body that should be JSON is not"},
    {EXCHANGE_ATTEMPT, "attempt", "told before its answer"},
};

// ---- text -----------------------------------------------------------------------------------------------------------

static void label(struct out *o, const char *name)
{
    out_paint(o, PAINT_DIM);
    buf_format(&o->text, "%-*s", LABEL_COLUMNS, name);
    out_paint(o, PAINT_NONE);
}

static void fact(struct out *o, const char *name, struct bytes text)
{
    if (!text.size)
        return;
    label(o, name);
    emit_text(&o->text, text);
    buf_add_byte(&o->text, '\n');
}

static void fact_buf(struct out *o, const char *name, struct buf *text)
{
    fact(o, name, buf_view(text));
    buf_clear(text);
}

static void heading(struct out *o, const char *text)
{
    out_paint(o, PAINT_BOLD);
    buf_format(&o->text, "\n%s\n", text);
    out_paint(o, PAINT_NONE);
}

static void print_who(struct out *o, const struct exchange *x, struct buf *text)
{
    char ip[64];
    line_who(text, x);
    if (x->principal.size && x->auth != AUTH_NONE)
        buf_format(text, " (%s)", view_auth_name(x->auth));
    fact_buf(o, "who", text);
    fact(o, "realm", x->realm);
    fact(o, "client", bytes_of_text(view_endpoint(&x->client, ip, sizeof ip)));
    fact(o, "forwarded for", x->forwarded_for);
    fact(o, "agent", x->agent);
    fact(o, "opaque id", x->opaque_id);
    fact(o, "trace", x->traceparent);
    buf_add_text(text, view_endpoint(&x->server, ip, sizeof ip));
    if (x->server_version) {
        uint32_t v = x->server_version % 1000000;
        buf_format(text, " (%s %u.%u.%u)", x->server_version >= 1000000 ? "OpenSearch" : "Elasticsearch", v / 10000, v / 100 % 100, v % 100);
    }
    fact_buf(o, "server", text);
}

static void print_names(struct out *o, const struct exchange *x, struct buf *text)
{
    for (size_t i = 0; i < x->target_count; i++) {
        buf_add_text(text, i ? ", " : "");
        buf_add_bytes(text, x->targets[i]);
    }
    fact_buf(o, "targets", text);
    for (size_t i = 0; i < x->index_count; i++) {
        const struct exchange_index *n = &x->indices[i];
        buf_add_bytes(text, n->index);
        if (!n->concrete)
            buf_add_text(text, " (as asked)");
        if (n->ok || n->failed || n->deleted || n->unknown)
            buf_format(text, "  %u ok", n->ok);
        if (n->deleted)
            buf_format(text, ", of these %u deleted", n->deleted);
        if (n->failed)
            buf_format(text, ", %u failed", n->failed);
        if (n->unknown)
            buf_format(text, ", %u unknown", n->unknown);
        fact_buf(o, i ? "" : "indices", text);
    }
}

static void print_outcome(struct out *o, const struct exchange *x, const struct late_outcome *late, struct buf *text)
{
    char time[48];
    line_outcome(text, x);
    if (x->outcome == OUTCOME_OK && x->status)
        buf_add_text(text, " ok");
    fact_buf(o, "outcome", text);
    if (late)
        buf_format(text, "learned at %s", clock_format_local(late->time_ns, time, sizeof time));
    fact_buf(o, "", text);
    line_docs(text, x);
    fact_buf(o, "documents", text);
    if (x->status && x->answered_ns != WHEN_UNKNOWN) {
        buf_format(text, "%.3f ms", (double)(x->answered_ns - x->time_ns) / 1e6);
        if (x->took_ms >= 0)
            buf_format(text, ", the cluster's own took: %lld ms", (long long)x->took_ms);
    }
    fact_buf(o, "duration", text);
    fact(o, "task", x->task);
    fact(o, "danger", x->danger);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (x->flags & flags[i].flag && flags[i].flag != EXCHANGE_WRITE)
            fact(o, "note", bytes_of_text(flags[i].text));
}

static void print_body(struct out *o, const struct show *s, enum body_side side)
{
    const struct exchange *x = &s->row->x;
    uint64_t wire = side == BODY_REQUEST ? x->request_bytes : x->response_bytes;
    char size[32];
    bool present = s->bodies[side] && (s->bodies[side]->bytes.size || s->bodies[side]->hole_count);
    if (!present && !wire && s->states[side] == TAPE_BODY_WHOLE)
        return;
    struct buf text = {0};
    buf_format(&text, "%s body, %s as sent", side == BODY_REQUEST ? "request" : "response", clock_format_size(wire, size, sizeof size));
    heading(o, buf_text(&text));
    buf_fini(&text);
    body_print(o, s->bodies[side], s->states[side], false, 2);
}

static void op_cells(struct table_cells *c, const struct show_op *p)
{
    const struct op *op = &p->op;
    table_cell_format(c, TABLE_INTEGER, "%u", op->item);
    table_cell_format(c, TABLE_STRING, "%s%s", view_op_name(op->kind), op->flags & OP_SCRIPTED ? " (script)" : op->flags & OP_UPSERT ? " (upsert)" : "");
    table_cell_text(c, op->index);
    table_cell_text(c, op->id.size ? op->id : bytes_of_text("?"));
    table_cell_format(c, TABLE_STRING, "%s", view_result_name(op->result));
    if (op->version >= 0)
        table_cell_format(c, TABLE_INTEGER, "%lld", (long long)op->version);
    else
        table_cell_null(c);
    if (op->seq_no >= 0)
        table_cell_format(c, TABLE_INTEGER, "%lld", (long long)op->seq_no);
    else
        table_cell_null(c);
    if (op->status)
        table_cell_format(c, TABLE_INTEGER, "%d", op->status);
    else
        table_cell_null(c);
    table_cell_text(c, op->error_type);
}

static void print_ops(struct out *o, const struct show *s)
{
    static const char *const heads[] = {"item", "op", "index", "id", "result", "version", "seq_no", "status", "error"};
    if (!s->op_count)
        return;
    heading(o, "document writes");
    struct table *t = table_open(o, TABLE_TEXT, heads, sizeof heads / sizeof *heads);
    struct table_cells c = {0};
    for (size_t i = 0; t && i < s->op_count; i++) {
        op_cells(&c, &s->ops[i]);
        if (!table_cells_row(t, &c))
            break;
    }
    table_cells_fini(&c);
    if (t)
        table_close(t);
    if (s->ops_more)
        buf_format(&o->text, "and %llu more: estape sql \"SELECT * FROM ops WHERE exchange=%llu\"\n", (unsigned long long)s->ops_more, (unsigned long long)s->row->x.id);
}

static void print_alerts(struct out *o, const struct show *s)
{
    if (!s->alert_count)
        return;
    heading(o, "alerts");
    for (size_t i = 0; i < s->alert_count; i++) {
        const struct show_alert *a = &s->alerts[i];
        buf_add_text(&o->text, "  ");
        emit_text(&o->text, a->level);
        buf_add_text(&o->text, "  ");
        emit_text(&o->text, a->title.size ? a->title : a->rule);
        buf_add_text(&o->text, "  (");
        emit_text(&o->text, a->rule);
        buf_add_text(&o->text, ")\n");
    }
}

void show_print(struct out *o, const struct show *s)
{
    const struct exchange *x = &s->row->x;
    struct buf text = {0};
    char id[320], time[48];
    out_paint(o, PAINT_BOLD);
    emit_text(&o->text, x->verb);
    buf_add_byte(&o->text, ' ');
    emit_text(&o->text, x->path);
    out_paint(o, PAINT_NONE);
    buf_add_byte(&o->text, '\n');
    fact(o, "exchange", bytes_of_text(view_id(s->row, s->tape_name, id, sizeof id)));
    fact(o, "time", bytes_of_text(clock_format_local(x->time_ns, time, sizeof time)));
    fact(o, "api", x->api.size ? x->api : bytes_of_text("unknown: no published route fits"));
    fact(o, "action", x->action);
    print_who(o, x, &text);
    print_names(o, x, &text);
    print_outcome(o, x, s->late, &text);
    for (size_t i = 0; i < s->also_count; i++)
        fact(o, i ? "" : "also seen by", bytes_of_text(s->also[i]));
    print_alerts(o, s);
    print_ops(o, s);
    print_body(o, s, BODY_REQUEST);
    print_body(o, s, BODY_RESPONSE);
    o->text.failed |= text.failed;
    buf_fini(&text);
}

// ---- JSON -----------------------------------------------------------------------------------------------------------

static void member(struct buf *out, const char *name, struct bytes text)
{
    buf_format(out, ",\"%s\":", name);
    if (text.size)
        emit_json(out, text);
    else
        buf_add_text(out, "null");
}

static void json_known(struct buf *out, const char *name, int64_t number)
{
    if (number < 0)
        buf_format(out, ",\"%s\":null", name);
    else
        buf_format(out, ",\"%s\":%lld", name, (long long)number);
}

static void json_body(struct buf *out, const struct show *s, enum body_side side)
{
    const struct body_text *b = s->bodies[side];
    buf_format(out, ",\"%s\":{\"state\":\"%s\",\"bytes\":%llu,\"body\":", side == BODY_REQUEST ? "request" : "response", body_state_name(s->states[side]),
               (unsigned long long)(side == BODY_REQUEST ? s->row->x.request_bytes : s->row->x.response_bytes));
    if (b && b->bytes.size)
        emit_json(out, buf_view(&b->bytes));
    else
        buf_add_text(out, "null");
    buf_add_text(out, ",\"holes\":[");
    for (size_t i = 0; b && i < b->hole_count; i++)
        buf_format(out, "%s{\"at\":%llu,\"bytes\":%llu,\"exact\":%s}", i ? "," : "", (unsigned long long)b->holes[i].at, (unsigned long long)b->holes[i].bytes,
                   b->holes[i].unknown ? "false" : "true");
    buf_add_text(out, "]}");
}

static void json_op(struct buf *out, const struct show_op *p)
{
    const struct op *op = &p->op;
    buf_format(out, "{\"item\":%u,\"op\":\"%s\"", op->item, view_op_name(op->kind));
    member(out, "index", op->index);
    member(out, "id", op->id);
    member(out, "routing", op->routing);
    buf_format(out, ",\"result\":\"%s\"", view_result_name(op->result));
    json_known(out, "status", op->status ? op->status : -1);
    member(out, "error", op->error_type);
    json_known(out, "version", op->version);
    json_known(out, "seq_no", op->seq_no);
    json_known(out, "primary_term", op->primary_term);
    buf_format(out, ",\"scripted\":%s,\"life\":%u}", op->flags & OP_SCRIPTED ? "true" : "false", p->life + 1);
}

void show_json(struct buf *out, const struct show *s)
{
    const struct exchange *x = &s->row->x;
    view_row_json(out, s->row, s->tape_name);
    out->size -= 2; // "}\n": further members follow
    member(out, "traceparent", x->traceparent);
    member(out, "realm", x->realm);
    member(out, "task", x->task);
    json_known(out, "hits", x->docs_total);
    json_known(out, "server_version", x->server_version ? (int64_t)x->server_version : -1);
    buf_add_text(out, ",\"flags\":[");
    bool first = true;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (x->flags & flags[i].flag) {
            buf_format(out, "%s\"%s\"", first ? "" : ",", flags[i].name);
            first = false;
        }
    buf_add_byte(out, ']');
    buf_add_text(out, ",\"also\":[");
    for (size_t i = 0; i < s->also_count; i++) {
        buf_add_text(out, i ? "," : "");
        emit_json(out, bytes_of_text(s->also[i]));
    }
    buf_add_byte(out, ']');
    json_body(out, s, BODY_REQUEST);
    json_body(out, s, BODY_RESPONSE);
    buf_add_text(out, ",\"ops\":[");
    for (size_t i = 0; i < s->op_count; i++) {
        buf_add_text(out, i ? "," : "");
        json_op(out, &s->ops[i]);
    }
    buf_add_text(out, "],\"alerts\":[");
    for (size_t i = 0; i < s->alert_count; i++) {
        buf_add_text(out, i ? ",{\"time\":" : "{\"time\":");
        emit_json(out, s->alerts[i].time);
        member(out, "level", s->alerts[i].level);
        member(out, "rule", s->alerts[i].rule);
        member(out, "title", s->alerts[i].title);
        buf_add_byte(out, '}');
    }
    char time[48];
    if (s->late)
        buf_format(out, "],\"late\":{\"time\":\"%s\",\"outcome\":\"%s\"}}\n", clock_format_utc(s->late->time_ns, time, sizeof time), view_outcome_name(s->late->outcome));
    else
        buf_add_text(out, "],\"late\":null}\n");
}
