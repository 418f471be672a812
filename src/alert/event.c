// What a rule sees: values, and an exchange decoded as far as rules ask.
//
// 1. Nothing is decoded unless a rule asks; what was decoded is kept until the next event_set.
// 2. Paths into JSON ignore how settings were spelt: "a.b" finds {"a":{"b":..}} and {"a.b":..}, lists are walked through.
#include "event_inner.h"

#include "../base/percent.h"
#include "find.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum { JSON_PATH_VALUES_MAX = 4096, SETTINGS_MAX = 512 };

// ---- values -----------------------------------------------------------------------------------------------------------

void values_clear(struct values *v)
{
    v->count = 0;
}

void values_fini(struct values *v)
{
    mem_free(v->at);
    *v = (struct values){0};
}

bool values_add(struct values *v, struct value value)
{
    if (v->count == v->room) {
        size_t room = v->room ? v->room * 2 : 16;
        struct value *at = mem_grow(v->at, room * sizeof *at);
        if (!at)
            return false;
        v->at = at;
        v->room = room;
    }
    v->at[v->count++] = value;
    return true;
}

void values_add_text(struct values *v, struct bytes text)
{
    values_add(v, (struct value){.kind = VALUE_TEXT, .text = text});
}

void values_add_word(struct values *v, const char *word)
{
    values_add_text(v, bytes_of_text(word));
}

// The text of a number is made when somebody asks for it: value_text.
void values_add_int(struct values *v, int64_t n)
{
    values_add(v, (struct value){.kind = VALUE_INT, .num = n, .real = (double)n});
}

void values_add_real(struct values *v, double n)
{
    values_add(v, (struct value){.kind = VALUE_REAL, .num = (int64_t)n, .real = n});
}

struct bytes value_text(const struct value *v, char room[VALUE_TEXT_ROOM])
{
    if (v->text.size || (v->kind != VALUE_INT && v->kind != VALUE_REAL))
        return v->text;
    int size = v->kind == VALUE_INT ? snprintf(room, VALUE_TEXT_ROOM, "%lld", (long long)v->num) : snprintf(room, VALUE_TEXT_ROOM, "%.6g", v->real);
    return bytes_of(room, (size_t)size);
}

void values_add_bool(struct values *v, bool truth)
{
    values_add(v, (struct value){VALUE_BOOL, bytes_of_text(truth ? "true" : "false"), truth, truth});
}

void values_add_json(struct values *v, const struct json *j)
{
    switch (j->kind) {
    case JSON_KIND_NULL: values_add(v, (struct value){.kind = VALUE_NULL}); break;
    case JSON_KIND_FALSE: values_add_bool(v, false); break;
    case JSON_KIND_TRUE: values_add_bool(v, true); break;
    case JSON_KIND_STRING: values_add_text(v, j->text); break;
    case JSON_KIND_NUMBER: {
        char text[64];
        if (j->text.size >= sizeof text) {
            values_add_text(v, j->text);
            break;
        }
        memcpy(text, j->text.at, j->text.size);
        text[j->text.size] = 0;
        bool whole = !strpbrk(text, ".eE");
        values_add(v, (struct value){whole ? VALUE_INT : VALUE_REAL, j->text, whole ? strtoll(text, NULL, 10) : 0, strtod(text, NULL)});
        break;
    }
    case JSON_KIND_ARRAY:
    case JSON_KIND_OBJECT: break;
    }
}

// ---- the event --------------------------------------------------------------------------------------------------------

void event_begin(struct event *e)
{
    *e = (struct event){0};
    arena_init(&e->arena, 8u << 20);
}

void event_set(struct event *e, const struct exchange *x, bool attempt, const struct op_counts *ops, struct baseline *baseline)
{
    struct arena arena = e->arena;
    struct values names = e->settings_names;
    names.count = 0;
    if (arena.used_bytes)
        arena_reset(&arena);
    e->x = x;
    e->attempt = attempt;
    e->ops = ops;
    e->baseline = baseline;
    e->arena = arena;
    e->ops_tried = e->body_tried = e->body_parsed = e->digits_known = e->path_cut = e->settings_tried = e->ip_done[0] = e->ip_done[1] = false;
    e->body = NULL;
    e->settings_names = names;
    e->settings_nodes = NULL;
}

void event_end(struct event *e)
{
    arena_fini(&e->arena);
    values_fini(&e->settings_names);
    buf_fini(&e->fetched);
}

struct bytes event_decode(struct arena *a, struct bytes text, bool plus_is_space)
{
    if (!memchr(text.at, '%', text.size) && !(plus_is_space && memchr(text.at, '+', text.size)))
        return text;
    uint8_t *to = arena_alloc(a, text.size);
    return to ? bytes_of(to, percent_decode(text, plus_is_space, to, NULL)) : text;
}

void event_cut_path(struct event *e)
{
    if (e->path_cut)
        return;
    e->path_cut = true;
    struct bytes path = e->x->path, stem = path;
    const uint8_t *mark = path.size ? memchr(path.at, '?', path.size) : NULL;
    e->query = mark ? bytes_from(path, (size_t)(mark - path.at) + 1) : (struct bytes){0};
    if (mark)
        stem.size = (size_t)(mark - path.at);
    if (stem.size > 1 && stem.at[stem.size - 1] == '/')
        stem.size--;
    e->stem = stem.size ? event_decode(&e->arena, stem, false) : stem;
}

// The next parameter of a query as sent; false at the end.
static bool next_param(struct bytes *rest, struct bytes *name, struct bytes *value)
{
    if (!rest->size)
        return false;
    const uint8_t *end = memchr(rest->at, '&', rest->size);
    struct bytes one = bytes_of(rest->at, end ? (size_t)(end - rest->at) : rest->size);
    *rest = bytes_from(*rest, one.size + (end ? 1 : 0));
    const uint8_t *equal = one.size ? memchr(one.at, '=', one.size) : NULL;
    *name = bytes_of(one.at, equal ? (size_t)(equal - one.at) : one.size);
    *value = equal ? bytes_from(one, name->size + 1) : bytes_of(one.at + one.size, 0);
    return true;
}

bool event_find_param(struct event *e, struct bytes wanted, struct bytes *found)
{
    event_cut_path(e);
    struct bytes rest = e->query, name, value;
    while (next_param(&rest, &name, &value))
        if (bytes_equal(event_decode(&e->arena, name, true), wanted)) {
            *found = event_decode(&e->arena, value, true);
            return true;
        }
    return false;
}

static bool is_bulk(const struct exchange *x)
{
    return bytes_equal_text(x->api, "bulk") || bytes_equal_text(x->api, "msearch") || bytes_equal_text(x->api, "bulk_stream");
}

void event_try_body(struct event *e)
{
    if (e->body_tried)
        return;
    e->body_tried = true;
    e->body_text = e->x->body_head;
    if (!e->body_text.size && e->body_fn && (e->x->flags & EXCHANGE_REQUEST_KEPT) && !is_bulk(e->x)) {
        buf_clear(&e->fetched);
        if (e->body_fn(e->body_ctx, e->x, &e->fetched))
            e->body_text = buf_view(&e->fetched);
    }
    if (!e->body_text.size)
        event_find_param(e, bytes_of_text("source"), &e->body_text);
    e->body_escapes = e->body_text.size && memchr(e->body_text.at, '\\', e->body_text.size);
}

struct json *event_json(struct event *e)
{
    event_try_body(e);
    if (!e->body_parsed && e->body_text.size)
        e->body = json_parse(&e->arena, e->body_text, NULL);
    e->body_parsed = true;
    return e->body;
}

// To build a tree costs more than all rules together: first it is looked whether the longest name of the path stands in the text
// at all. A name may be spelt with escapes, so a text with a backslash says nothing.
bool event_may_hold(struct event *e, struct bytes path)
{
    struct bytes longest = {0};
    uint64_t ignored = 0;
    uint8_t low[64];
    event_try_body(e);
    if (!e->body_text.size)
        return false;
    if (e->body_parsed || e->body_escapes)
        return true;
    for (struct bytes rest = path; rest.size;) {
        const uint8_t *dot = memchr(rest.at, '.', rest.size);
        struct bytes one = bytes_of(rest.at, dot ? (size_t)(dot - rest.at) : rest.size);
        rest = bytes_from(rest, one.size + (dot ? 1 : 0));
        if (one.size > longest.size && one.at[0] != '*')
            longest = one;
    }
    if (longest.size > sizeof low)
        return true;
    for (size_t i = 0; i < longest.size; i++)
        low[i] = longest.at[i] >= 'A' && longest.at[i] <= 'Z' ? longest.at[i] | 32 : longest.at[i];
    return find_nocase(e->body_text, bytes_of(low, longest.size), &ignored) || ignored;
}

unsigned event_digits(struct event *e)
{
    event_try_body(e);
    if (e->digits_known)
        return e->digits;
    unsigned run = 0, longest = e->body_escapes ? UINT_MAX : 0;
    for (size_t i = 0; i < e->body_text.size && longest < UINT_MAX; i++) {
        if (!run)
            i = find_digit(e->body_text, i);
        if (i == e->body_text.size)
            break;
        uint8_t c = e->body_text.at[i];
        bool digit = c >= '0' && c <= '9';
        if ((c | 32) == 'e' || c == '.') // behind a digit: 1e9, 1.e9
            longest = UINT_MAX;
        run = digit ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    e->digits = longest;
    e->digits_known = true;
    return longest;
}

// Follows a dotted path through objects (also where the key itself holds dots) and lists.
void event_walk_json(const struct json *j, struct bytes path, struct values *out, unsigned depth)
{
    if (!j || depth > 64 || out->count > JSON_PATH_VALUES_MAX)
        return;
    if (j->kind == JSON_KIND_ARRAY) {
        for (const struct json *c = j->first; c; c = c->next)
            event_walk_json(c, path, out, depth + 1);
        return;
    }
    if (!path.size) {
        if (j->kind != JSON_KIND_OBJECT)
            values_add_json(out, j);
        else
            values_add(out, (struct value){.kind = VALUE_TEXT, .text = j->raw});
        return;
    }
    if (j->kind != JSON_KIND_OBJECT)
        return;
    for (const struct json *c = j->first; c; c = c->next) {
        bool any = path.at[0] == '*' && (path.size == 1 || path.at[1] == '.');
        size_t size = any ? 1 : c->key.size;
        if (!any && (size > path.size || memcmp(c->key.at, path.at, size) != 0))
            continue;
        if (size == path.size)
            event_walk_json(c, bytes_from(path, size), out, depth + 1);
        else if (path.at[size] == '.')
            event_walk_json(c, bytes_from(path, size + 1), out, depth + 1);
    }
}

void op_counts_add(struct op_counts *counts, const struct op *op)
{
    if (op->kind < OP_KINDS)
        counts->kinds[op->kind]++;
    counts->overwritten += op->kind == OP_INDEX && op->result == OP_UPDATED;
    counts->scripted += (op->flags & OP_SCRIPTED) != 0;
}

static void count_op(void *ctx, const struct op *op)
{
    op_counts_add(ctx, op);
}

void event_try_ops(struct event *e)
{
    if (e->ops || e->ops_tried || !e->ops_fn || e->attempt || e->x->docs <= 0)
        return;
    e->ops_tried = true;
    e->ops_found = (struct op_counts){0};
    e->ops_fn(e->ops_ctx, e->x, count_op, &e->ops_found);
    e->ops = &e->ops_found;
}

// ---- settings: one spelling for the many a cluster accepts ------------------------------------------------------------

struct settings_walk {
    struct event *e;
    bool index;         // index settings: "number_of_replicas" means "index.number_of_replicas"
    uint8_t name[512];
};

static void add_setting(struct settings_walk *w, size_t size, const struct json *j)
{
    static const char prefix[] = "index.";
    struct event *e = w->e;
    if (e->settings_names.count == SETTINGS_MAX)
        return;
    bool whole = !w->index || (size > 6 && memcmp(w->name, prefix, 6) == 0);
    size_t add = whole ? 0 : 6;
    uint8_t *name = arena_alloc(&e->arena, size + add + 1);
    if (!name)
        return;
    memcpy(name, prefix, add);
    memcpy(name + add, w->name, size);
    e->settings_nodes[e->settings_names.count] = j;
    values_add_text(&e->settings_names, bytes_of(name, size + add));
}

static void walk_settings(struct settings_walk *w, size_t size, const struct json *j, unsigned depth)
{
    if (j->kind != JSON_KIND_OBJECT || depth > 16) {
        add_setting(w, size, j);
        return;
    }
    for (const struct json *c = j->first; c; c = c->next) {
        size_t dot = size ? 1 : 0, end = size + dot + c->key.size;
        if (end >= sizeof w->name)
            continue;
        if (dot)
            w->name[size] = '.';
        memcpy(w->name + size + dot, c->key.at, c->key.size);
        walk_settings(w, end, c, depth + 1);
    }
}

void event_try_settings(struct event *e)
{
    if (e->settings_tried)
        return;
    e->settings_tried = true;
    event_json(e);
    if (!e->body || e->body->kind != JSON_KIND_OBJECT)
        return;
    e->settings_nodes = arena_alloc(&e->arena, SETTINGS_MAX * sizeof *e->settings_nodes);
    if (!e->settings_nodes)
        return;
    static const char *const roots[] = {"settings", "template.settings", "persistent", "transient", "index_settings", NULL};
    bool found = false, cluster = bytes_equal_text(e->x->api, "cluster.put_settings");
    struct settings_walk w = {.e = e, .index = !cluster};
    for (const char *const *root = roots; *root; root++) {
        const struct json *j = json_path(e->body, *root);
        if (j && j->kind == JSON_KIND_OBJECT) {
            found = true;
            walk_settings(&w, 0, j, 0);
        }
    }
    if (!found && bytes_equal_text(e->x->api, "indices.put_settings"))
        walk_settings(&w, 0, e->body, 0);
}
