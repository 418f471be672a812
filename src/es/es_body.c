// What leaves of a body, and what is collected of it on the way.
#include "es_call.h"

#include "../../include/bounds.h"
#include "../base/mem.h"

static struct es_body *side_of(struct call *c, enum body_side side)
{
    return side == BODY_REQUEST ? &c->request : &c->response;
}

// Rules see the first bytes of a request that is no bulk, kept or not.
static void add_head(struct call *c, struct bytes bytes)
{
    if (c->route.flags & ROUTE_BULK)
        return;
    size_t room = c->head.size < BOUND_RULE_BODY_BYTES ? BOUND_RULE_BODY_BYTES - c->head.size : 0;
    buf_add(&c->head, bytes.at, bytes.size < room ? bytes.size : room);
}

void es_body_emit(struct call *c, enum body_side side, struct bytes bytes)
{
    struct es_body *b = side_of(c, side);
    if (!bytes.size)
        return;
    if (side == BODY_REQUEST)
        add_head(c, bytes);
    b->bytes += bytes.size;
    if (!b->keep)
        return;
    b->emitted = true;
    c->es->sink.body(c->es->sink.ctx, c->x.id, side, &(struct body_piece){.bytes = bytes});
}

void es_body_hole(struct call *c, enum body_side side, const struct body_piece *piece)
{
    struct es_body *b = side_of(c, side);
    b->bytes += piece->hole_bytes;
    b->missing = true;
    if (!b->keep)
        return;
    b->emitted = true;
    c->es->sink.body(c->es->sink.ctx, c->x.id, side, piece);
}

void es_body_note_hole(struct call *c, enum body_side side, const struct body_piece *piece)
{
    struct es_body *b = side_of(c, side);
    b->broken = b->missing = true;
    if (b->mode == REDACT_NONE)
        es_body_hole(c, side, piece);
}

void es_body_emit_unread(struct call *c, enum body_side side, const struct body_piece *piece)
{
    struct es_body *b = side_of(c, side);
    // The name that would have told may have been in what is missing.
    bool blind = b->guarded && (b->missing || (piece->raw && b->bytes));
    if (redact_watch(&b->watch, piece->bytes) || blind) {
        c->x.flags |= EXCHANGE_REDACTED;
        es_body_hole(c, side, &(struct body_piece){.hole_bytes = piece->bytes.size});
        return;
    }
    if (!piece->raw) {
        es_body_emit(c, side, piece->bytes);
        return;
    }
    b->bytes += piece->bytes.size;
    if (!b->keep)
        return;
    b->emitted = true;
    c->es->sink.body(c->es->sink.ctx, c->x.id, side, piece);
}

bool es_body_collect(struct call *c, struct es_body *b, struct bytes bytes)
{
    struct op_budget *held = &c->es->held;
    if (b->over)
        return false;
    bool fits = b->whole.size + bytes.size <= b->collect_max && held->used_bytes + bytes.size <= held->max_bytes;
    if (!fits || !buf_add_bytes(&b->whole, bytes)) {
        b->over = true;
        return false;
    }
    held->used_bytes += bytes.size;
    return true;
}

void es_body_release(struct call *c, struct es_body *b)
{
    c->es->held.used_bytes -= b->whole.size;
    buf_fini(&b->whole);
}

static void drop(struct call *c, struct es_body *b)
{
    if (!b->dropped)
        c->es->stats.redactions_failed_closed++;
    b->dropped = true;
    c->x.flags |= EXCHANGE_REDACTED;
    if (b->keep)
        b->missing = true;
}

// A reindex names its indices in its body alone, which is read for them only after it has left: any mention of a security index counts.
static bool mentions_security(const struct call *c, const struct es_body *b)
{
    struct redact_watch watch = {0};
    return c->security || (c->route.api == API_REINDEX && redact_watch(&watch, buf_view(&b->whole)));
}

void es_body_finish(struct call *c, enum body_side side, bool refused)
{
    struct es_body *b = side_of(c, side);
    if (b->mode == REDACT_NONE || b->mode == REDACT_WHOLE || (side == BODY_RESPONSE && !b->keep))
        return;
    if (!b->whole.size && !b->over && !b->broken)
        return;
    if (b->over || b->broken || !b->decodable) {
        drop(c, b);
        return;
    }
    struct redact_body how = {.mode = b->mode, .api = c->x.api, .response = side == BODY_RESPONSE, .refused = refused, .lines = b->lines, .scripts = mentions_security(c, b)};
    struct buf out = {0};
    bool changed = false;
    if (!redact_json(&how, buf_view(&b->whole), &out, &changed)) {
        c->x.flags |= EXCHANGE_MALFORMED;
        drop(c, b);
    } else {
        if (changed) {
            c->x.flags |= EXCHANGE_REDACTED;
            c->es->stats.redactions++;
        }
        es_body_emit(c, side, buf_view(&out));
    }
    buf_fini(&out);
}

static bool type_holds(struct bytes type, const char *word, size_t size)
{
    for (size_t i = 0; i + size <= type.size; i++)
        if ((type.at[i] | 32) == word[0] && bytes_equal_text_nocase(bytes_of(type.at + i, size), word))
            return true;
    return false;
}

// application/json, its vendored forms, NDJSON; nothing given counts as JSON, as version 5 and probing do.
bool es_header_is_json(struct bytes type, bool *lines)
{
    static const char plain[] = "application/json";
    static const char *const others[] = {"cbor", "smile", "yaml", "octet-stream", "vnd.apache.arrow", "csv", "tab-separated", "protobuf"};
    *lines = false;
    const uint8_t *semicolon = type.size ? memchr(type.at, ';', type.size) : NULL;
    if (semicolon)
        type.size = (size_t)(semicolon - type.at);
    if (!type.size || (type.size == sizeof plain - 1 && memcmp(type.at, plain, type.size) == 0))
        return true;
    *lines = type_holds(type, "ndjson", 6);
    if (type.size > 5 && memcmp(type.at + type.size - 5, "+json", 5) == 0)
        return true;
    for (size_t k = 0; k < sizeof others / sizeof *others && !*lines; k++)
        if (type_holds(type, others[k], strlen(others[k])))
            return false;
    return true;
}
