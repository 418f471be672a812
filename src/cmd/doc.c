// estape doc: every version of one document, who wrote it and how, and what changed.
#include "cmd.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/json.h"
#include "../base/map.h"
#include "../base/mem.h"
#include "../view/column.h"
#include "../view/doc.h"
#include "../view/emit.h"
#include "../view/line.h"
#include "tape_options.h"

struct doc_options {
    struct option_list tapes;
    int64_t since, until;
    bool json, reads;
    const char *color;
};

#define AT(field) offsetof(struct doc_options, field)
static const struct option options[] = {
    TAPE_OPTION(AT(tapes)),
    {'S', "since", OPTION_TIME, AT(since), "TIME", "Only writes from this moment on.", NULL, false},
    {'U', "until", OPTION_TIME, AT(until), "TIME", "Only writes before this moment.", NULL, false},
    {0, "reads", OPTION_FLAG, AT(reads), NULL, "List who read the document as well (get, mget, source, exists; not searches).", NULL, false},
    JSON_OPTION(AT(json), "One JSON object with all versions, changes and, where known, the whole document."),
    COLOR_OPTION(AT(color)),
};

enum { NAMES_MOST = 64, SOURCE_BYTES_MAX = 16 << 20 };

struct gathering {
    struct tape *tape;
    struct arena arena;
    struct doc doc;
    size_t room;
    const char *names[NAMES_MOST]; // of the index: itself, and what it is known as
    size_t name_count;
    bool failed;
};

static struct bytes keep(struct gathering *g, struct bytes text)
{
    void *copy = text.size ? arena_copy(&g->arena, text.at, text.size) : NULL;
    g->failed |= text.size && !copy;
    return bytes_of(copy, copy ? text.size : 0);
}

// ---- names ----------------------------------------------------------------------------------------------------------

static bool has_name(const struct gathering *g, struct bytes name)
{
    for (size_t i = 0; i < g->name_count; i++)
        if (bytes_equal_text(name, g->names[i]))
            return true;
    return false;
}

static void add_name(struct gathering *g, struct bytes name)
{
    if (has_name(g, name) || g->name_count == NAMES_MOST || memchr(name.at, '*', name.size))
        return;
    char *copy = arena_copy(&g->arena, name.at, name.size);
    g->failed |= !copy;
    if (copy)
        g->names[g->name_count++] = copy;
}

struct name_walk {
    struct gathering *g;
    struct bytes asked;
};

// An alias leads to its indices; an index is also written to by its aliases' names where an answer did not tell the index.
static bool add_resolved(void *ctx, size_t which, const struct resolution *r)
{
    struct name_walk *w = ctx;
    (void)which;
    if (bytes_equal(r->name, w->asked))
        add_name(w->g, r->index);
    else if (bytes_equal(r->index, w->asked))
        add_name(w->g, r->name);
    return !w->g->failed;
}

// ---- writes ---------------------------------------------------------------------------------------------------------

static bool add_write(void *ctx, const struct tape_op *op)
{
    struct gathering *g = ctx;
    if (g->doc.count == g->room) {
        size_t room = g->room ? g->room * 2 : 32;
        struct doc_write *grown = mem_grow(g->doc.writes, room * sizeof *grown);
        g->failed |= !grown;
        if (!grown)
            return false;
        g->doc.writes = grown;
        g->room = room;
    }
    struct doc_write *w = &g->doc.writes[g->doc.count++];
    *w = (struct doc_write){.op = op->op, .tape = op->tape, .time_ns = op->time_ns, .answered_ns = op->answered_ns, .life = op->life};
    struct bytes *texts[] = {&w->op.asked, &w->op.index, &w->op.type, &w->op.id, &w->op.routing, &w->op.pipeline, &w->op.error_type, &w->op.index_uuid};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = keep(g, *texts[i]);
    return !g->failed;
}

struct head_walk {
    struct gathering *g;
    struct doc_write *write;
};

static bool add_head(void *ctx, const struct tape_row *row)
{
    struct head_walk *h = ctx;
    char ip[64];
    struct buf who = {0};
    line_who(&who, &row->x);
    h->write->who = keep(h->g, buf_view(&who));
    h->write->client = keep(h->g, bytes_of_text(view_ip(&row->x.client, ip, sizeof ip)));
    h->write->agent = keep(h->g, row->x.agent);
    h->write->api = keep(h->g, row->x.api);
    h->g->failed |= who.failed;
    buf_fini(&who);
    return false;
}

static bool add_source(struct gathering *g, struct doc_write *w, struct fault *fault)
{
    struct buf source = {0};
    if (!w->op.source_bytes || w->op.source_bytes > SOURCE_BYTES_MAX)
        return true;
    bool ok = tape_body_range(g->tape, w->tape, w->op.exchange, BODY_REQUEST, w->op.source_at, w->op.source_bytes, &source, &w->source_state, fault);
    if (ok)
        w->source = keep(g, buf_view(&source));
    buf_fini(&source);
    return ok;
}

static bool gather(struct gathering *g, const struct doc_options *o, struct fault *fault)
{
    struct name_walk names = {g, g->doc.index};
    add_name(g, g->doc.index);
    struct tape_op_filter filter = {.since_ns = o->since, .until_ns = o->until, .id = g->doc.id};
    bool ok = tape_resolutions(g->tape, add_resolved, &names, fault);
    filter.index = g->name_count ? g->names : (const char *const[]){""};
    filter.index_count = g->name_count ? g->name_count : 1;
    ok = ok && tape_ops(g->tape, &filter, add_write, g, fault);
    for (size_t i = 0; ok && i < g->doc.count && !g->failed; i++) {
        struct doc_write *w = &g->doc.writes[i];
        struct head_walk head = {g, w};
        struct fault absent = {0}; // a write whose exchange never got its row
        if (!tape_get(g->tape, w->tape, w->op.exchange, add_head, &head, &absent) && absent.kind == FAULT_SYSTEM) {
            *fault = absent;
            return false;
        }
        ok = absent.kind || add_source(g, w, fault);
    }
    if (ok && g->failed)
        return fault_memory(fault);
    doc_sort(&g->doc);
    return ok;
}

// ---- reads ----------------------------------------------------------------------------------------------------------

struct read_walk {
    struct gathering *g;
    struct out *out;
    struct line_state lines;
    struct fault *fault;
    bool json, several, failed;
    size_t count;
};

static bool hex(uint8_t c, unsigned *value)
{
    unsigned lower = c | 32;
    bool digit = c >= '0' && c <= '9', letter = lower >= 'a' && lower <= 'f';
    *value = digit ? c - 48u : lower - 'a' + 10;
    return digit || letter;
}

// One segment of a path against a plain text, percent-decoded on the way.
static bool segment_is(struct bytes segment, struct bytes text)
{
    size_t at = 0;
    for (size_t i = 0; i < segment.size; i++, at++) {
        unsigned high, low;
        uint8_t c = segment.at[i];
        if (c == '%' && i + 2 < segment.size && hex(segment.at[i + 1], &high) && hex(segment.at[i + 2], &low)) {
            c = (uint8_t)(high << 4 | low);
            i += 2;
        }
        if (at >= text.size || text.at[at] != c)
            return false;
    }
    return at == text.size;
}

static bool path_names(struct bytes path, struct bytes id)
{
    size_t place = 0;
    for (size_t i = 0; i < path.size && path.at[i] != '?';) {
        size_t start = i + 1, end = start;
        while (end < path.size && path.at[end] != '/' && path.at[end] != '?')
            end++;
        if (place++ >= 1 && segment_is(bytes_of(path.at + start, end - start), id))
            return true;
        i = end;
    }
    return false;
}

static bool collect_piece(void *ctx, const struct body_piece *piece)
{
    struct buf *body = ctx;
    return body->size + piece->bytes.size <= SOURCE_BYTES_MAX && buf_add_bytes(body, piece->bytes);
}

// { "docs": [ { "_index", "_id" } ] } or { "ids": [ ... ] }
static bool body_names(const struct json *body, struct bytes id)
{
    const struct json *docs = json_member(body, "docs"), *ids = json_member(body, "ids");
    for (const struct json *d = docs ? docs->first : NULL; d; d = d->next) {
        const struct json *of = json_member(d, "_id");
        if (of && bytes_equal(of->text, id))
            return true;
    }
    for (const struct json *i = ids ? ids->first : NULL; i; i = i->next)
        if (bytes_equal(i->text, id))
            return true;
    return false;
}

static bool mget_names(struct read_walk *w, const struct tape_row *row)
{
    struct buf body = {0};
    struct arena arena;
    enum tape_body_state state;
    struct fault ignored = {0}; // a body that cannot be had is no reason to stop
    arena_init(&arena, 0);
    bool names = tape_body(w->g->tape, row->tape, row->x.id, BODY_REQUEST, collect_piece, &body, &state, &ignored) && body.size;
    const struct json *tree = names ? json_parse(&arena, buf_view(&body), NULL) : NULL;
    names = tree && body_names(tree, w->g->doc.id);
    arena_fini(&arena);
    buf_fini(&body);
    return names;
}

static bool print_read(void *ctx, const struct tape_row *row)
{
    struct read_walk *w = ctx;
    const char *name = w->several ? tape_name(w->g->tape, row->tape) : NULL;
    bool many = bytes_equal_text(row->x.api, "mget");
    if (!path_names(row->x.path, w->g->doc.id) && !(many && mget_names(w, row)))
        return true;
    if (w->json) {
        if (w->count)
            buf_add_byte(&w->out->text, ',');
        view_row_json(&w->out->text, row, name);
        w->out->text.size--; // its line feed
        w->count++;
        return out_push(w->out);
    }
    if (!w->count++)
        buf_add_text(&w->out->text, "\nreads\n");
    return line_row(&w->lines, row, name);
}

static bool print_reads(struct gathering *g, const struct doc_options *o, struct out *out, struct fault *fault)
{
    static const char *const apis[] = {"get", "get_source", "exists", "exists_source", "mget", "explain", "termvectors", "mtermvectors"};
    struct tape_filter filter = {.since_ns = o->since, .until_ns = o->until, .api = apis, .api_count = sizeof apis / sizeof *apis, .index = g->names, .index_count = g->name_count};
    struct read_walk walk = {.g = g, .out = out, .fault = fault, .json = o->json, .several = tape_count(g->tape) > 1};
    line_init(&walk.lines, out, walk.several);
    if (!tape_select(g->tape, &filter, print_read, &walk, fault))
        return false;
    if (!walk.count && !o->json)
        buf_add_text(&out->text, "\nno read of it was recorded\n");
    return true;
}

// ---- the command ----------------------------------------------------------------------------------------------------

static bool split(const char *text, struct bytes *index, struct bytes *id, struct fault *fault)
{
    const char *slash = strchr(text, '/');
    if (!slash || slash == text || !slash[1])
        return fault_user(fault, "'%s' names no document: say INDEX/ID", text);
    *index = bytes_of(text, (size_t)(slash - text));
    *id = bytes_of_text(slash + 1);
    return true;
}

static bool print(struct gathering *g, const struct doc_options *o, struct out *out, struct fault *fault)
{
    char first[48], last[48];
    int64_t first_ns, last_ns;
    if (!g->doc.count && !o->reads) {
        if (!tape_span(g->tape, &first_ns, &last_ns))
            return fault_user(fault, "nothing was recorded on this tape");
        return fault_user(fault, "no write of document %.*s in %.*s was recorded between %s and %s%s", (int)g->doc.id.size, (const char *)g->doc.id.at,
                          (int)g->doc.index.size, (const char *)g->doc.index.at, clock_format_local(first_ns, first, sizeof first),
                          clock_format_local(last_ns, last, sizeof last), o->since || o->until ? " (within --since and --until)" : "; see 'estape info' for what was not seen");
    }
    bool ok = o->json ? doc_json(&out->text, &g->doc) : doc_print(out, &g->doc);
    if (!ok)
        return out->error || fault_memory(fault);
    if (o->json && o->reads)
        buf_add_text(&out->text, ",\"reads\":[");
    ok = !o->reads || print_reads(g, o, out, fault);
    if (o->json)
        buf_add_text(&out->text, o->reads ? "]}\n" : "}\n");
    return ok;
}

static int run(void *settings, int operand_count, char **operands)
{
    struct doc_options *o = settings;
    struct fault fault = {0};
    struct out out;
    struct gathering g = {0};
    const char *names[64];
    tape_options_output(&out, o->color);
    bool ok = true;
    if (operand_count != 1)
        ok = fault_user(&fault, operand_count ? "doc takes one document" : "doc needs a document: INDEX/ID");
    ok = ok && split(operands[0], &g.doc.index, &g.doc.id, &fault);
    g.tape = ok ? tape_options_open(&o->tapes, &fault) : NULL;
    arena_init(&g.arena, 0);
    if (g.tape) {
        for (size_t i = 0; i < tape_count(g.tape) && i < 64; i++)
            names[i] = tape_name(g.tape, i);
        g.doc.tapes = tape_count(g.tape) > 1 ? names : NULL;
        ok = gather(&g, o, &fault) && print(&g, o, &out, &fault);
    }
    struct tape *t = g.tape;
    int status = tape_options_end(t, &out, t && ok, &fault, 0);
    mem_free(g.doc.writes);
    arena_fini(&g.arena);
    return status;
}

const struct command cmd_doc = {
    .name = "doc",
    .summary = "list every version of one document: when, by whom, how, and what changed",
    .operands = "INDEX/ID",
    .text = "Lists every recorded write of a document in the cluster's own order, through deletions of its index as well, with what changed from version to version: "
            "whole documents are compared, partial updates are merged into what is known. After a script or a write that was not seen, what the document became "
            "is not known until it is written whole again; the list says so.\n\n"
            "INDEX may be an index, an alias or a data stream. The id is taken as it is, slashes included.",
    .examples = "estape doc catalog/p509\tits versions\n"
                "estape doc catalog/p509 --reads\tand who read it\n",
    .see_also = "log show timeline",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(struct doc_options),
    .run = run,
};
