// Dynamic mapping before the documents, by the cluster's own rules in a scratch index.
#include "scout.h"

#include "../base/diag.h"
#include "../base/map.h"
#include "../base/mem.h"

#include <stdio.h>

enum { DOCUMENTS_MAX = 20000, BULK_BYTES = 4 << 20, SHAPES_MAX = 100000, SHAPE_DEPTH = 64 };

struct scouting {
    const struct apply_settings *set;
    struct scout_report *report;
    struct fault *fault;
    uint32_t slot;              // the one looked at
    struct map *known;          // dotted paths the target has, or has been told
    struct nummap *shapes;      // of documents that were looked at: the same keys in the same places decide nothing new
    struct arena arena;
    struct buf path, bulk;
    bool fresh;                 // the document at hand brings something new
    uint64_t documents;
    const struct preflight_index *index;
    char scratch[80];
    bool made;
};

static const struct preflight_index *index_of(const struct apply_settings *set, uint32_t slot)
{
    for (size_t i = 0; i < set->index_count; i++)
        if (strcmp(set->indices[i].name, plan_slot(set->plan, slot)->to) == 0)
            return &set->indices[i];
    return NULL;
}

// ---- fields -----------------------------------------------------------------------------------------------------------

// A subtree that takes whatever comes: below it nothing is decided.
static const char closed_mark[] = "\x01";

static bool learn(struct scouting *s, const struct json *properties, bool dynamic)
{
    size_t base = s->path.size;
    for (struct json *f = properties ? properties->first : NULL; f; f = f->next) {
        bool fresh;
        const struct json *deeper = json_member(f, "properties"), *own = json_member(f, "dynamic"), *type = json_member(f, "type");
        bool object = deeper || !type || json_is_text(type, "object") || json_is_text(type, "nested");
        bool open = own ? json_is_text(own, "true") : dynamic;
        buf_add_bytes(&s->path, f->key);
        bool ok = map_put(s->known, buf_view(&s->path), &fresh) != NULL;
        if (!object || !open || json_is_text(json_member(f, "enabled"), "false")) {
            size_t end = s->path.size;
            buf_add_text(&s->path, closed_mark);
            ok = ok && map_put(s->known, buf_view(&s->path), &fresh);
            s->path.size = end;
        }
        buf_add_byte(&s->path, '.');
        ok = ok && learn(s, deeper, open);
        s->path.size = base;
        if (!ok)
            return false;
    }
    return !s->path.failed;
}

static bool closed(struct scouting *s)
{
    size_t end = s->path.size;
    buf_add_text(&s->path, closed_mark);
    bool is = map_find(s->known, buf_view(&s->path)) != NULL;
    s->path.size = end;
    return is;
}

static bool walk(struct scouting *s, const struct json *j, unsigned depth)
{
    size_t base = s->path.size;
    for (struct json *m = j->first; m; m = m->next) {
        struct json *v = m;
        s->path.size = base;
        buf_add_bytes(&s->path, m->key);
        if (closed(s))
            continue;
        // Arrays decide by their elements; null and empty arrays decide nothing.
        bool decides = v->kind != JSON_KIND_NULL && !(v->kind == JSON_KIND_ARRAY && !v->first);
        if (decides && !map_find(s->known, buf_view(&s->path))) {
            bool fresh;
            s->fresh = true;
            s->report->fields++;
            if (!map_put(s->known, buf_view(&s->path), &fresh))
                return false;
        }
        buf_add_byte(&s->path, '.');
        if (depth < 100 && v->kind == JSON_KIND_OBJECT && !walk(s, v, depth + 1))
            return false;
        for (struct json *e = v->kind == JSON_KIND_ARRAY ? v->first : NULL; e && depth < 100; e = e->next)
            if (e->kind == JSON_KIND_OBJECT && !walk(s, e, depth + 1))
                return false;
    }
    s->path.size = base;
    return !s->path.failed;
}

static bool keep(struct scouting *s, const struct json *doc)
{
    if (s->documents >= DOCUMENTS_MAX)
        return true;
    buf_format(&s->bulk, "{\"index\":{\"_index\":\"%s\"", s->scratch);
    if (!s->set->about->typeless) {
        buf_add_text(&s->bulk, ",\"_type\":");
        json_write_text(&s->bulk, preflight_type(s->index));
    }
    buf_add_text(&s->bulk, "}}\n");
    target_add_line(&s->bulk, doc->raw);
    s->documents++;
    return !s->bulk.failed;
}

static bool see_document(struct scouting *s, const struct json *doc)
{
    if (!doc || doc->kind != JSON_KIND_OBJECT)
        return true;
    s->fresh = false;
    s->path.size = 0;
    return walk(s, doc, 0) && (!s->fresh || keep(s, doc));
}

// ---- shapes -----------------------------------------------------------------------------------------------------------

static size_t string_end(struct bytes b, size_t at)
{
    for (;;) {
        const uint8_t *quote = at < b.size ? memchr(b.at + at, '"', b.size - at) : NULL;
        size_t end = quote ? (size_t)(quote - b.at) : b.size, slashes = 0;
        while (end - slashes > at && b.at[end - slashes - 1] == '\\')
            slashes++;
        if (!quote || slashes % 2 == 0)
            return end;
        at = end + 1;
    }
}

static uint64_t mix(uint64_t h, uint64_t what)
{
    h = (h ^ what) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

// A hash of all that walk() looks at: keys and where they stand, nulls, empty arrays. 0: too deep to tell.
static uint64_t shape_of(struct bytes b, bool update)
{
    bool object[SHAPE_DEPTH];
    unsigned depth = 0;
    uint64_t h = update;
    bool key = false, first = false; // the next string is a key; the next thing is an array's first
    for (size_t at = 0; at < b.size; at++) {
        uint8_t c = b.at[at];
        bool scalar = false;
        switch (c) {
        case '{': case '[':
            if (depth == SHAPE_DEPTH)
                return 0;
            object[depth++] = key = c == '{';
            first = c == '[';
            h = mix(h, c);
            break;
        case '}': case ']':
            depth -= depth > 0;
            key = first = false;
            h = mix(h, c);
            break;
        case ',':
            key = depth && object[depth - 1];
            break;
        case '"': {
            size_t end = string_end(b, at + 1);
            if (key && end <= b.size)
                h = mix(h, map_hash(bytes_of(b.at + at + 1, end - at - 1), 17));
            scalar = !key;
            key = false;
            at = end;
            break;
        }
        case ' ': case '\t': case '\n': case '\r': case ':':
            break;
        default:
            while (at + 1 < b.size && b.at[at + 1] != ',' && b.at[at + 1] != '}' && b.at[at + 1] != ']')
                at++;
            scalar = true;
        }
        if (scalar && (first || (depth && object[depth - 1])))
            h = mix(h, c == 'n' ? 'n' : 'v');
        first &= !scalar;
    }
    return h ? h : 1;
}

static bool see_source(void *ctx, uint32_t slot, const struct tape_op *t)
{
    struct scouting *s = ctx;
    struct plan_step step = {.exchange = t->op.exchange, .tape = (uint16_t)t->tape, .item = t->op.item, .source_at = t->op.source_at, .source_bytes = t->op.source_bytes};
    struct bytes body;
    struct fault why = {0};
    if (slot != s->slot)
        return true;
    s->report->writes++;
    if (!source_get(s->set->source, &step, &body, &why)) {
        if (why.kind == FAULT_USER && s->set->allow_gaps)
            return true;
        *s->fault = why;
        return false;
    }
    uint64_t shape = shape_of(body, t->op.kind == OP_UPDATE);
    if (shape && nummap_find(s->shapes, shape))
        return true;
    arena_reset(&s->arena);
    struct json *j = json_parse(&s->arena, body, NULL);
    if (!j)
        return true; // another format, or refused by now: nothing to learn from
    bool ok = t->op.kind == OP_UPDATE ? see_document(s, json_member(j, "doc")) && see_document(s, json_member(j, "upsert")) : see_document(s, j), fresh;
    if (ok && shape && nummap_count(s->shapes) < SHAPES_MAX)
        ok = nummap_put(s->shapes, shape, &fresh) != NULL;
    return ok || fault_memory(s->fault);
}

// ---- the scratch index ------------------------------------------------------------------------------------------------

static void path_of(struct buf *out, const char *index, const char *rest)
{
    buf_clear(out);
    buf_add_byte(out, '/');
    target_encode(out, bytes_of_text(index));
    buf_add_text(out, rest);
}

static bool send(struct scouting *s, const char *what, const char *verb, const char *path, struct bytes body)
{
    struct target_reply reply = {0};
    char why[300];
    bool ok = target_call(s->set->target, verb, path, body, &reply, s->fault);
    if (ok && reply.status / 100 != 2) {
        target_reason(&reply, why, sizeof why);
        ok = fault_system(s->fault, "%s: the target answered %s (--mappings=as-is goes on without)", what, why);
    }
    target_reply_fini(&reply);
    return ok;
}

static bool make_scratch(struct scouting *s, const struct json *mappings, const struct json *settings)
{
    static const char *const copied[] = {"analysis", "similarity", "mapping"};
    struct buf body = {0}, path = {0};
    buf_add_text(&body, "{\"settings\":{\"index\":{\"number_of_shards\":1,\"number_of_replicas\":0");
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) {
        const struct json *c = settings ? json_member(settings, copied[i]) : NULL;
        if (c) {
            buf_format(&body, ",\"%s\":", copied[i]);
            buf_add_bytes(&body, c->raw);
        }
    }
    buf_add_text(&body, "}}");
    if (mappings && mappings->first) {
        buf_add_text(&body, ",\"mappings\":");
        buf_add_bytes(&body, mappings->raw);
    }
    buf_add_byte(&body, '}');
    path_of(&path, s->scratch, "");
    bool ok = (!body.failed && !path.failed) || fault_memory(s->fault);
    ok = ok && send(s, "making a scratch index for mappings", "PUT", buf_text(&path), buf_view(&body));
    s->made = ok;
    buf_fini(&body);
    buf_fini(&path);
    return ok;
}

static bool take_over(struct scouting *s, struct arena *a)
{
    struct buf path = {0};
    path_of(&path, s->scratch, "/_mapping");
    struct json *j = target_json(s->set->target, a, "GET", buf_text(&path), (struct bytes){0}, s->fault);
    struct json *m = j && j->first ? json_member(j->first, "mappings") : NULL;
    bool ok = m != NULL;
    if (m && !s->set->about->typeless) { // one type inside
        char rest[300];
        struct buf type = {0};
        m = m->first;
        target_encode(&type, m ? m->key : bytes_of_text("_doc"));
        snprintf(rest, sizeof rest, "/_mapping/%s", buf_text(&type));
        path_of(&path, s->index->name, rest);
        buf_fini(&type);
    } else {
        path_of(&path, s->index->name, "/_mapping");
    }
    ok = ok && (!m || send(s, "putting the learned mapping", "PUT", buf_text(&path), m->raw));
    buf_fini(&path);
    return ok;
}

static bool look_at(struct scouting *s)
{
    struct arena a;
    struct buf path = {0};
    bool missing;
    arena_init(&a, 0);
    path_of(&path, s->index->name, "/_mapping");
    struct json *j = target_find(s->set->target, &a, buf_text(&path), &missing, s->fault);
    struct json *m = j && j->first ? json_member(j->first, "mappings") : NULL, *inner = m && !s->set->about->typeless ? m->first : m;
    path_of(&path, s->index->name, "/_settings");
    struct json *all = m ? target_json(s->set->target, &a, "GET", buf_text(&path), (struct bytes){0}, s->fault) : NULL;
    struct json *settings = all && all->first ? json_path(all->first, "settings.index") : NULL, *dynamic = inner ? json_member(inner, "dynamic") : NULL;
    buf_fini(&path);
    bool ok = missing || settings != NULL;
    if (!ok || missing || (dynamic && !json_is_text(dynamic, "true"))) {
        arena_fini(&a);
        return ok || s->fault->kind != FAULT_NONE ? ok : fault_system(s->fault, "%s: its mapping cannot be read", s->index->name);
    }
    s->path.size = 0;
    ok = learn(s, inner ? json_member(inner, "properties") : NULL, true) || fault_memory(s->fault);
    ok = ok && plan_sources(s->set->plan, see_source, s, s->fault);
    if (ok && s->documents) {
        ok = make_scratch(s, m, settings) && send(s, "filling the scratch index", "POST", "/_bulk", buf_view(&s->bulk)) && take_over(s, &a);
        s->report->documents += s->documents;
    }
    if (s->made) {
        struct target_reply reply = {0};
        struct fault ignored = {0};
        path_of(&path, s->scratch, "");
        target_call(s->set->target, "DELETE", buf_text(&path), (struct bytes){0}, &reply, &ignored);
        target_reply_fini(&reply);
        buf_fini(&path);
    }
    arena_fini(&a);
    return ok;
}

bool scout_run(const struct apply_settings *set, struct scout_report *report, struct fault *fault)
{
    bool ok = true;
    *report = (struct scout_report){0};
    for (uint32_t slot = 0; ok && slot < plan_slot_count(set->plan); slot++) {
        struct scouting s = {.set = set, .report = report, .fault = fault, .slot = slot, .known = map_open(), .shapes = nummap_open(), .index = index_of(set, slot)};
        arena_init(&s.arena, 0);
        snprintf(s.scratch, sizeof s.scratch, "%s-scratch-%u", target_opaque_id(set->target), slot);
        ok = s.known && s.shapes ? look_at(&s) : fault_memory(fault);
        nummap_close(s.shapes);
        if (s.known)
            map_close(s.known);
        arena_fini(&s.arena);
        buf_fini(&s.path);
        buf_fini(&s.bulk);
    }
    return ok;
}
