// estape show: one exchange whole, or one of its bodies as it was sent.
#include "cmd.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/mem.h"
#include "../view/emit.h"
#include "../view/show.h"
#include "tape_options.h"

#include <stdio.h>

struct show_options {
    struct option_list tapes;
    bool json, request, response, full;
    const char *color;
};

#define AT(field) offsetof(struct show_options, field)
static const struct option options[] = {
    TAPE_OPTION(AT(tapes)),
    {0, "request", OPTION_FLAG, AT(request), NULL, "Only the request's body, decoded, byte for byte (escaped on a terminal).", NULL, false},
    {0, "response", OPTION_FLAG, AT(response), NULL, "Only the response's body.", NULL, false},
    {0, "full", OPTION_FLAG, AT(full), NULL, "Show long bodies and all document writes instead of their beginning.", NULL, false},
    JSON_OPTION(AT(json), "The exchange as one JSON object, everything in it."),
    COLOR_OPTION(AT(color)),
};

enum { BODY_SHOWN_BYTES = 64 * 1024, OPS_SHOWN = 200 };

struct gathered {
    struct body_text bodies[2];
    struct show_op *ops;
    size_t op_count, op_room, op_limit;
    uint64_t ops_more;
    struct show_alert *alerts;
    size_t alert_count, alert_room;
    struct arena arena;
    struct late_outcome late;
    uint64_t id;
    size_t which;
    bool has_late, failed;
};

static struct bytes keep(struct gathered *g, struct bytes text)
{
    void *copy = text.size ? arena_copy(&g->arena, text.at, text.size) : NULL;
    g->failed |= text.size && !copy;
    return copy ? bytes_of(copy, text.size) : bytes_of(NULL, 0);
}

static void *grow(void *at, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return at;
    size_t more = *room ? *room * 2 : 32;
    void *grown = mem_grow(at, more * size);
    if (grown)
        *room = more;
    return grown;
}

static bool keep_op(void *ctx, const struct tape_op *op)
{
    struct gathered *g = ctx;
    if (op->tape != g->which)
        return true;
    if (g->op_limit && g->op_count == g->op_limit) {
        g->ops_more++;
        return true;
    }
    struct show_op *ops = grow(g->ops, g->op_count, &g->op_room, sizeof *ops);
    g->failed |= !ops;
    if (!ops)
        return false;
    g->ops = ops;
    struct show_op *kept = &g->ops[g->op_count++];
    *kept = (struct show_op){op->op, op->life};
    kept->op.index = keep(g, op->op.index);
    kept->op.id = keep(g, op->op.id);
    kept->op.routing = keep(g, op->op.routing);
    kept->op.error_type = keep(g, op->op.error_type);
    return !g->failed;
}

static bool keep_alert(void *ctx, int columns, const char *const *names, const struct bytes *values, const int *types)
{
    struct gathered *g = ctx;
    (void)columns, (void)names, (void)types;
    if (!values)
        return true;
    struct show_alert *alerts = grow(g->alerts, g->alert_count, &g->alert_room, sizeof *alerts);
    g->failed |= !alerts;
    if (!alerts)
        return false;
    g->alerts = alerts;
    g->alerts[g->alert_count++] = (struct show_alert){keep(g, values[0]), keep(g, values[1]), keep(g, values[2]), keep(g, values[3])};
    return !g->failed;
}

static bool keep_late(void *ctx, size_t which, const struct late_outcome *late)
{
    struct gathered *g = ctx;
    if (which != g->which || late->exchange != g->id)
        return true;
    g->late = *late;
    g->has_late = true;
    return false;
}

struct printing {
    const struct show_options *options;
    struct out *out;
    struct tape *tape;
    struct gathered *g;
    struct show show;
    struct fault *fault;
    bool failed;
};

static bool print(void *ctx, const struct tape_row *row)
{
    struct printing *p = ctx;
    const char *also[64];
    uint64_t also_at;
    p->show.row = row;
    p->show.also = also;
    p->failed = !tape_seen_by(p->tape, row, &also_at, p->fault);
    for (size_t i = 0; i < tape_count(p->tape) && i < 64; i++)
        if (also_at >> i & 1)
            also[p->show.also_count++] = tape_name(p->tape, i);
    if (p->options->json)
        show_json(&p->out->text, &p->show);
    else
        show_print(p->out, &p->show);
    return false;
}

static bool gather(struct tape *t, struct gathered *g, const struct show_options *o, struct show *show, struct fault *fault)
{
    struct buf sql = {0};
    struct tape_op_filter ops = {.exchange_from = g->id, .exchange_to = g->id + 1};
    for (int side = 0; side < 2; side++) {
        g->bodies[side].limit_bytes = o->full || o->json ? 0 : BODY_SHOWN_BYTES;
        if (!tape_body(t, g->which, g->id, (enum body_side)side, body_piece_add, &g->bodies[side], &show->states[side], fault))
            return false;
        if (g->bodies[side].failed)
            return fault_memory(fault);
        show->bodies[side] = &g->bodies[side];
    }
    g->op_limit = o->full || o->json ? 0 : OPS_SHOWN;
    // The second word on an alert repeats the first: one line each.
    buf_format(&sql, "SELECT min(time),level,rule,title FROM alerts WHERE exchange=%llu AND tape='", (unsigned long long)g->id);
    for (const char *c = tape_name(t, g->which); *c; c++) {
        buf_add_byte(&sql, (uint8_t)*c);
        if (*c == '\'')
            buf_add_byte(&sql, '\'');
    }
    buf_add_text(&sql, "' GROUP BY id ORDER BY 1");
    bool ok = tape_ops(t, &ops, keep_op, g, fault) && tape_sql(t, buf_text(&sql), keep_alert, g, fault) && tape_lates(t, keep_late, g, fault);
    buf_fini(&sql);
    if (!ok)
        return false;
    show->ops = g->ops;
    show->op_count = g->op_count;
    show->ops_more = g->ops_more;
    show->alerts = g->alerts;
    show->alert_count = g->alert_count;
    show->late = g->has_late ? &g->late : NULL;
    return !g->failed || fault_memory(fault);
}

static bool print_whole(const struct show_options *o, struct out *out, struct tape *t, size_t which, uint64_t id, struct fault *fault)
{
    struct gathered g = {.id = id, .which = which};
    struct printing p = {.options = o, .out = out, .tape = t, .g = &g, .fault = fault};
    arena_init(&g.arena, 0);
    p.show.tape_name = tape_count(t) > 1 ? tape_name(t, which) : NULL;
    bool ok = tape_get(t, which, id, NULL, NULL, fault) && gather(t, &g, o, &p.show, fault) && tape_get(t, which, id, print, &p, fault) && !p.failed;
    for (int side = 0; side < 2; side++)
        body_text_fini(&g.bodies[side]);
    mem_free(g.ops);
    mem_free(g.alerts);
    arena_fini(&g.arena);
    return ok;
}

// ---- a body alone ---------------------------------------------------------------------------------------------------

struct raw_printing {
    struct out *out;
    uint64_t holes;
};

static bool print_piece(void *ctx, const struct body_piece *piece)
{
    struct raw_printing *p = ctx;
    p->holes += piece->hole_bytes || piece->hole_unknown;
    if (p->out->terminal)
        emit_lines(&p->out->text, piece->bytes);
    else
        buf_add_bytes(&p->out->text, piece->bytes);
    return out_push(p->out);
}

static bool print_raw(enum body_side side, struct out *out, struct tape *t, size_t which, uint64_t id, int *status, struct fault *fault)
{
    struct raw_printing p = {.out = out};
    enum tape_body_state state;
    if (!tape_get(t, which, id, NULL, NULL, fault) || !tape_body(t, which, id, side, print_piece, &p, &state, fault))
        return false;
    if (state >= TAPE_BODY_NOT_KEPT)
        return fault_user(fault, "the %s body of exchange %llu is not here: %s", side == BODY_REQUEST ? "request" : "response", (unsigned long long)id, body_state_text(state));
    if (p.holes) {
        out_flush(out);
        diag_warn("the body has holes where bytes were not seen; they are left out here");
        *status = 1;
    }
    return true;
}

static int run(void *settings, int operand_count, char **operands)
{
    struct show_options *o = settings;
    struct fault fault = {0};
    struct out out;
    size_t which;
    uint64_t id;
    int status = 0;
    tape_options_output(&out, o->color);
    bool ok = true;
    if (operand_count == 0)
        ok = fault_user(&fault, "show needs the id of an exchange, as 'estape log' prints it");
    if (ok && (o->request + o->response + o->json > 1))
        ok = fault_user(&fault, "--request, --response and --json exclude each other");
    if (ok && operand_count > 1 && (o->request || o->response))
        ok = fault_user(&fault, "--request and --response take one exchange");
    struct tape *t = ok ? tape_options_open(&o->tapes, &fault) : NULL;
    ok = t != NULL;
    for (int i = 0; ok && i < operand_count; i++) {
        if (i && !o->json)
            buf_add_byte(&out.text, '\n');
        ok = tape_parse_id(t, operands[i], &which, &id, &fault) &&
             (o->request || o->response ? print_raw(o->request ? BODY_REQUEST : BODY_RESPONSE, &out, t, which, id, &status, &fault)
                                        : print_whole(o, &out, t, which, id, &fault));
    }
    return tape_options_end(t, &out, ok, &fault, status);
}

const struct command cmd_show = {
    .name = "show",
    .summary = "print one exchange whole, bodies decoded",
    .operands = "ID...",
    .text = "Prints everything that is known of an exchange: who, what, what became of it, alerts, its document writes, and its bodies laid out for reading, with "
            "marks where bytes were not seen.\n\n"
            "Long bodies and long lists of document writes are cut; --full shows them whole. With several tapes an id is written NAME:4711.",
    .examples = "estape show 4711\tone exchange\n"
                "estape show --request 4711 > body.ndjson\tits request body as it was sent, decoded\n",
    .see_also = "log doc",
    .exit_text = "0: printed, 1: printed with holes (--request, --response), or the output failed, 2: no such exchange or body.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(struct show_options),
    .run = run,
};
