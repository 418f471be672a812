// The history of one document, replayed as far as the tape allows: a full write is known, a partial one is merged into what
// is known, a script makes the document unknown until the next full write.
//
// 1. Only accepted writes change the state; a write without an answer makes it unknown.
// 2. A jump in the document's version means a write that is not in the list (by query, or lost): the state is unknown after it.
#include "doc.h"

#include "../base/clock.h"
#include "../base/mem.h"
#include "body.h"
#include "column.h"
#include "diff.h"
#include "emit.h"

#include <stdlib.h>

enum { VALUE_COLUMNS = 60, CHANGES_MOST = 40, ARENA_MAX = 512 << 20 };

// ---- order ----------------------------------------------------------------------------------------------------------

static int order_bytes(struct bytes a, struct bytes b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.at, b.at, size) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int64_t moment(const struct doc_write *w)
{
    return w->answered_ns != WHEN_UNKNOWN ? w->answered_ns : w->time_ns;
}

static int order_writes(const void *a, const void *b)
{
    const struct doc_write *x = a, *y = b;
    int64_t left = moment(x), right = moment(y);
    int index = order_bytes(x->op.index, y->op.index);
    if (index)
        return index;
    if (x->life != y->life)
        return x->life < y->life ? -1 : 1;
    if (left != right)
        return left < right ? -1 : 1;
    if (x->op.exchange != y->op.exchange)
        return x->op.exchange < y->op.exchange ? -1 : 1;
    return x->op.item < y->op.item ? -1 : x->op.item > y->op.item;
}

static bool numbered(const struct doc_write *w)
{
    return w->op.seq_no >= 0 && w->op.primary_term >= 0;
}

static bool out_of_order(const struct doc_write *first, const struct doc_write *second)
{
    if (!bytes_equal(first->op.index, second->op.index) || first->life != second->life || !numbered(first) || !numbered(second))
        return false;
    if (first->op.primary_term != second->op.primary_term)
        return first->op.primary_term > second->op.primary_term;
    return first->op.seq_no > second->op.seq_no;
}

void doc_sort(struct doc *d)
{
    if (d->count)
        qsort(d->writes, d->count, sizeof *d->writes, order_writes);
    // Answers that overtook each other: the few that are out of order move to their place.
    for (size_t i = 1; i < d->count; i++)
        for (size_t j = i; j && out_of_order(&d->writes[j - 1], &d->writes[j]); j--) {
            struct doc_write moved = d->writes[j];
            d->writes[j] = d->writes[j - 1];
            d->writes[j - 1] = moved;
        }
}

// ---- replaying ------------------------------------------------------------------------------------------------------

enum known { KNOWN_ABSENT, KNOWN_WHOLE, KNOWN_NOT };

struct state {
    enum known known;
    const struct json *document;   // KNOWN_WHOLE
    int64_t version;
};

struct step {
    struct state before, after;
    const struct json *patch;      // what a partial update or a write onto an unknown document set
    struct bytes script;
    bool accepted, missed_versions, new_life;
    const char *note;              // what keeps the document from being known, or NULL
};

static bool is_accepted(enum op_result result)
{
    return result == OP_CREATED || result == OP_UPDATED || result == OP_DELETED || result == OP_NOT_FOUND || result == OP_ACCEPTED;
}

static const struct json *document_of(const struct json *source, const char *member)
{
    const struct json *found = source ? json_member(source, member) : NULL;
    return found && found->kind == JSON_KIND_OBJECT ? found : NULL;
}

// An update's body: { "doc": ... }, { "script": ... }, "upsert" beside them; or (where the caller cut it out) the doc itself.
static bool is_update_body(const struct json *source)
{
    static const char *const names[] = {"doc", "script", "upsert", "doc_as_upsert", "scripted_upsert", "detect_noop", "_source", "fields", "lang", "params", "inline"};
    if (!source || source->kind != JSON_KIND_OBJECT)
        return false;
    for (const struct json *m = source->first; m; m = m->next) {
        bool known = false;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            known |= bytes_equal_text(m->key, names[i]);
        if (!known)
            return false;
    }
    return source->first != NULL;
}

static bool step_update(struct arena *a, const struct doc_write *w, const struct json *source, struct step *s)
{
    bool body = is_update_body(source);
    const struct json *doc = body ? document_of(source, "doc") : source, *upsert = body ? document_of(source, "upsert") : NULL;
    const struct json *script = body ? json_member(source, "script") : NULL;
    if (script)
        s->script = script->kind == JSON_KIND_STRING ? script->text : script->raw;
    s->after.known = KNOWN_NOT;
    if (w->op.result == OP_CREATED) {
        const struct json *made = upsert ? upsert : doc;
        if (body && json_true(json_member(source, "scripted_upsert")))
            made = NULL;
        if (made)
            s->after = (struct state){KNOWN_WHOLE, made, 0};
        return true;
    }
    if (script || w->op.flags & OP_SCRIPTED) {
        s->note = "a script changed it: what it became is not known";
        return true;
    }
    s->patch = doc;
    if (doc && s->before.known == KNOWN_WHOLE) {
        const struct json *merged = diff_merge(a, s->before.document, doc);
        if (!merged)
            return false;
        s->after = (struct state){KNOWN_WHOLE, merged, 0};
    }
    return true;
}

static bool step_source(struct arena *a, const struct doc_write *w, struct step *s)
{
    const struct json *source = w->source.size ? json_parse(a, w->source, NULL) : NULL;
    s->after.known = KNOWN_NOT;
    if (!source) {
        s->note = w->source_state >= TAPE_BODY_NOT_KEPT ? body_state_text(w->source_state) : w->source_state == TAPE_BODY_HOLES ? "bytes of it were not seen"
                : w->source.size ? "its source is not JSON" : "its source is not on the tape";
        return true;
    }
    if (w->op.kind == OP_UPDATE)
        return step_update(a, w, source, s);
    s->after = (struct state){KNOWN_WHOLE, source, 0};
    if (w->op.flags & OP_PIPELINE)
        s->note = "an ingest pipeline may have changed what was sent";
    return true;
}

// What one write did to the state. False: memory out.
static bool take_step(struct arena *a, const struct doc_write *w, const struct doc_write *last, struct state *state, struct step *s)
{
    *s = (struct step){.accepted = is_accepted(w->op.result)};
    s->new_life = !last || last->life != w->life || !bytes_equal(last->op.index, w->op.index);
    if (s->new_life)
        *state = (struct state){w->life || w->op.result == OP_CREATED ? KNOWN_ABSENT : KNOWN_NOT, NULL, -1};
    s->missed_versions = s->accepted && state->version >= 0 && w->op.version > state->version + 1 && !(w->op.flags & OP_EXTERNAL);
    if (s->missed_versions)
        state->known = KNOWN_NOT;
    if (s->accepted && w->op.result == OP_CREATED)
        state->known = KNOWN_ABSENT;
    s->before = s->after = *state;
    bool ok = true;
    if (w->op.result == OP_UNKNOWN) {
        s->note = "no answer was seen: it may have happened";
        s->after.known = KNOWN_NOT;
    } else if (s->accepted && w->op.kind == OP_DELETE) {
        s->after.known = KNOWN_ABSENT;
    } else if (s->accepted) {
        ok = step_source(a, w, s);
    }
    s->after.version = s->accepted && w->op.version >= 0 ? w->op.version : w->op.result == OP_UNKNOWN ? -1 : state->version;
    *state = s->after;
    return ok;
}

// ---- text -----------------------------------------------------------------------------------------------------------

struct change_printer {
    struct out *out;
    size_t count;
    bool partial; // the value before is not known
};

static void put_value(struct out *o, const struct json *value, size_t most)
{
    struct buf text = {0};
    json_write(&text, value);
    emit_cut(&o->text, buf_view(&text), most, o->unicode);
    buf_fini(&text);
}

static bool print_change(void *ctx, enum diff_kind kind, struct bytes path, const struct json *from, const struct json *to)
{
    struct change_printer *p = ctx;
    static const enum paint paints[] = {PAINT_GREEN, PAINT_RED, PAINT_YELLOW};
    if (++p->count > CHANGES_MOST)
        return true;
    struct out *o = p->out;
    size_t most = o->columns > 40 ? o->columns / 2 - 10 : VALUE_COLUMNS;
    buf_add_text(&o->text, "      ");
    out_paint(o, p->partial ? PAINT_YELLOW : paints[kind]);
    buf_add_byte(&o->text, p->partial ? '~' : "+-~"[kind]);
    buf_add_byte(&o->text, ' ');
    emit_cut(&o->text, path, VALUE_COLUMNS, o->unicode);
    out_paint(o, PAINT_NONE);
    buf_add_text(&o->text, ": ");
    if (from)
        put_value(o, from, most);
    if (p->partial)
        buf_add_byte(&o->text, '?');
    if ((from || p->partial) && to)
        buf_add_text(&o->text, " -> ");
    if (to)
        put_value(o, to, most);
    buf_add_byte(&o->text, '\n');
    return true;
}

static void print_changes(struct out *o, const struct step *s)
{
    struct change_printer p = {.out = o};
    if (s->script.size) {
        buf_add_text(&o->text, "      script: ");
        emit_cut(&o->text, s->script, o->columns > 40 ? o->columns - 20 : 200, o->unicode);
        buf_add_byte(&o->text, '\n');
    }
    if (s->after.known == KNOWN_WHOLE && s->before.known != KNOWN_NOT) {
        diff_json(s->before.known == KNOWN_WHOLE ? s->before.document : NULL, s->after.document, print_change, &p);
    } else if (s->after.known == KNOWN_WHOLE) {
        buf_add_text(&o->text, "      what it was before is not known; it became:\n");
        diff_json(NULL, s->after.document, print_change, &p);
    } else if (s->patch) {
        p.partial = true;
        diff_json(NULL, s->patch, print_change, &p);
    }
    if (p.count > CHANGES_MOST)
        buf_format(&o->text, "      and %zu more\n", p.count - CHANGES_MOST);
    if (s->note) {
        out_paint(o, PAINT_MAGENTA);
        buf_format(&o->text, "      (%s)\n", s->note);
        out_paint(o, PAINT_NONE);
    }
}

static void print_how(struct out *o, const struct doc_write *w)
{
    const struct op *op = &w->op;
    buf_add_text(&o->text, view_op_name(op->kind));
    if (op->flags & OP_SCRIPTED)
        buf_add_text(&o->text, " by script");
    else if (op->flags & OP_UPSERT)
        buf_add_text(&o->text, " or insert");
    if (op->flags & OP_FROM_BULK)
        buf_format(&o->text, " (bulk item %u)", op->item);
    buf_add_text(&o->text, "  ");
    enum paint paint = op->result == OP_FAILED ? PAINT_RED : op->result == OP_UNKNOWN ? PAINT_MAGENTA : op->result == OP_DELETED ? PAINT_YELLOW : PAINT_GREEN;
    out_paint(o, paint);
    buf_add_text(&o->text, op->result == OP_UNKNOWN ? "unanswered" : view_result_name(op->result));
    out_paint(o, PAINT_NONE);
    if (op->status && op->result == OP_FAILED)
        buf_format(&o->text, " %d", op->status);
    if (op->error_type.size) {
        buf_add_byte(&o->text, ' ');
        emit_text(&o->text, op->error_type);
    }
    if (op->version >= 0)
        buf_format(&o->text, "  version %lld", (long long)op->version);
    if (op->seq_no >= 0)
        buf_format(&o->text, "  seq_no %lld", (long long)op->seq_no);
    if (op->primary_term >= 0)
        buf_format(&o->text, "  term %lld", (long long)op->primary_term);
    if (op->routing.size) {
        buf_add_text(&o->text, "  routing ");
        emit_text(&o->text, op->routing);
    }
}

static void print_write(struct out *o, const struct doc *d, const struct doc_write *w, const struct step *s)
{
    char time[48];
    if (s->missed_versions) {
        out_paint(o, PAINT_MAGENTA);
        buf_format(&o->text, "  -- versions %lld to %lld are not among the recorded writes: by query, or not seen\n", (long long)s->before.version + 1, (long long)w->op.version - 1);
        out_paint(o, PAINT_NONE);
    }
    buf_add_text(&o->text, "  ");
    out_paint(o, PAINT_DIM);
    buf_add_text(&o->text, w->time_ns == WHEN_UNKNOWN ? "time not known" : clock_format_local(w->time_ns, time, sizeof time));
    out_paint(o, PAINT_NONE);
    buf_add_text(&o->text, "  ");
    emit_text(&o->text, w->who);
    buf_add_byte(&o->text, '@');
    emit_text(&o->text, w->client);
    buf_add_text(&o->text, "  exchange ");
    if (d->tapes)
        buf_format(&o->text, "%s:", d->tapes[w->tape]);
    buf_format(&o->text, "%llu\n    ", (unsigned long long)w->op.exchange);
    print_how(o, w);
    buf_add_byte(&o->text, '\n');
    print_changes(o, s);
}

bool doc_print(struct out *o, const struct doc *d)
{
    struct arena arena;
    struct state state = {KNOWN_NOT, NULL, -1};
    arena_init(&arena, ARENA_MAX);
    bool ok = true;
    for (size_t i = 0; ok && i < d->count; i++) {
        struct step s;
        const struct doc_write *w = &d->writes[i];
        ok = take_step(&arena, w, i ? w - 1 : NULL, &state, &s);
        if (ok && s.new_life) {
            out_paint(o, PAINT_BOLD);
            buf_add_text(&o->text, i ? "\n" : "");
            emit_text(&o->text, w->op.index);
            buf_add_byte(&o->text, '/');
            emit_text(&o->text, w->op.id);
            buf_format(&o->text, "  life %u of the index\n", w->life + 1);
            out_paint(o, PAINT_NONE);
        }
        if (ok)
            print_write(o, d, w, &s);
        ok = ok && out_push(o);
    }
    arena_fini(&arena);
    return ok;
}

// ---- JSON -----------------------------------------------------------------------------------------------------------

struct change_json {
    struct buf *out;
    bool first;
};

// A value goes through the escaping writer as well: documents are from the wire.
static void value_json(struct buf *out, const struct json *v)
{
    switch (v->kind) {
    case JSON_KIND_NULL: buf_add_text(out, "null"); return;
    case JSON_KIND_TRUE: buf_add_text(out, "true"); return;
    case JSON_KIND_FALSE: buf_add_text(out, "false"); return;
    case JSON_KIND_NUMBER: buf_add_bytes(out, v->text); return;
    case JSON_KIND_STRING: emit_json(out, v->text); return;
    case JSON_KIND_ARRAY:
    case JSON_KIND_OBJECT: break;
    }
    bool object = v->kind == JSON_KIND_OBJECT;
    buf_add_byte(out, object ? '{' : '[');
    for (const struct json *m = v->first; m; m = m->next) {
        if (m != v->first)
            buf_add_byte(out, ',');
        if (object) {
            emit_json(out, m->key);
            buf_add_byte(out, ':');
        }
        value_json(out, m);
    }
    buf_add_byte(out, object ? '}' : ']');
}

static bool json_change(void *ctx, enum diff_kind kind, struct bytes path, const struct json *from, const struct json *to)
{
    struct change_json *c = ctx;
    static const char *const kinds[] = {"add", "remove", "replace"};
    buf_format(c->out, "%s{\"change\":\"%s\",\"path\":", c->first ? "" : ",", kinds[kind]);
    emit_json(c->out, path);
    if (from) {
        buf_add_text(c->out, ",\"from\":");
        value_json(c->out, from);
    }
    if (to) {
        buf_add_text(c->out, ",\"to\":");
        value_json(c->out, to);
    }
    buf_add_byte(c->out, '}');
    c->first = false;
    return true;
}

static void json_text(struct buf *out, const char *name, struct bytes text)
{
    buf_format(out, ",\"%s\":", name);
    if (text.size)
        emit_json(out, text);
    else
        buf_add_text(out, "null");
}

static void json_known(struct buf *out, const char *name, int64_t n)
{
    if (n < 0)
        buf_format(out, ",\"%s\":null", name);
    else
        buf_format(out, ",\"%s\":%lld", name, (long long)n);
}

static void json_time(struct buf *out, const char *name, int64_t time_ns)
{
    char text[48];
    if (time_ns == WHEN_UNKNOWN)
        buf_format(out, ",\"%s\":null", name);
    else
        buf_format(out, ",\"%s\":\"%s\"", name, clock_format_utc(time_ns, text, sizeof text));
}

static void json_write_entry(struct buf *out, const struct doc *d, const struct doc_write *w, const struct step *s)
{
    const struct op *op = &w->op;
    if (d->tapes) {
        buf_add_text(out, "{\"exchange\":\"");
        buf_format(out, "%s:%llu\"", d->tapes[w->tape], (unsigned long long)op->exchange);
    } else {
        buf_format(out, "{\"exchange\":%llu", (unsigned long long)op->exchange);
    }
    buf_format(out, ",\"item\":%u", op->item);
    json_time(out, "time", w->time_ns);
    json_time(out, "answered", w->answered_ns);
    json_text(out, "principal", w->who);
    json_text(out, "client_ip", w->client);
    json_text(out, "agent", w->agent);
    json_text(out, "api", w->api);
    json_text(out, "index", op->index);
    json_text(out, "id", op->id);
    json_text(out, "routing", op->routing);
    buf_format(out, ",\"life\":%u,\"op\":\"%s\",\"scripted\":%s,\"bulk\":%s,\"result\":\"%s\"", w->life + 1, view_op_name(op->kind),
               op->flags & OP_SCRIPTED ? "true" : "false", op->flags & OP_FROM_BULK ? "true" : "false", view_result_name(op->result));
    json_known(out, "status", op->status ? op->status : -1);
    json_text(out, "error", op->error_type);
    json_known(out, "version", op->version);
    json_known(out, "seq_no", op->seq_no);
    json_known(out, "primary_term", op->primary_term);
    buf_format(out, ",\"missed_versions\":%s", s->missed_versions ? "true" : "false");
    json_text(out, "note", bytes_of_text(s->note));
    json_text(out, "script", s->script);
    struct change_json c = {out, true};
    bool diff = s->accepted && s->after.known == KNOWN_WHOLE && s->before.known != KNOWN_NOT;
    buf_add_text(out, diff ? ",\"changes\":[" : ",\"changes\":null");
    if (diff) {
        diff_json(s->before.known == KNOWN_WHOLE ? s->before.document : NULL, s->after.document, json_change, &c);
        buf_add_byte(out, ']');
    }
    buf_format(out, ",\"exists\":%s,\"document\":", s->after.known == KNOWN_WHOLE ? "true" : s->after.known == KNOWN_ABSENT ? "false" : "null");
    if (s->after.known == KNOWN_WHOLE)
        value_json(out, s->after.document);
    else
        buf_add_text(out, "null");
    buf_add_byte(out, '}');
}

bool doc_json(struct buf *out, const struct doc *d)
{
    struct arena arena;
    struct state state = {KNOWN_NOT, NULL, -1};
    arena_init(&arena, ARENA_MAX);
    buf_add_text(out, "{\"index\":");
    emit_json(out, d->index);
    json_text(out, "id", d->id);
    buf_add_text(out, ",\"versions\":[");
    bool ok = true;
    for (size_t i = 0; ok && i < d->count; i++) {
        struct step s;
        ok = take_step(&arena, &d->writes[i], i ? &d->writes[i - 1] : NULL, &state, &s);
        if (!ok)
            break;
        buf_add_text(out, i ? "," : "");
        json_write_entry(out, d, &d->writes[i], &s);
    }
    buf_add_byte(out, ']');
    arena_fini(&arena);
    return ok && !out->failed;
}
