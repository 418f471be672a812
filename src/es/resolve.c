// Names and the index each stood for last.
#include "resolve.h"

#include "../base/glob.h"
#include "../base/map.h"

struct resolve {
    resolve_told_fn *fn;
    void *ctx;
    struct map *names; // name -> index text in the arena
    struct arena arena;
};

struct entry {
    struct bytes index;
};

enum { ARENA_BYTES_MAX = 16 << 20 };

struct resolve *resolve_open(resolve_told_fn *fn, void *ctx)
{
    struct resolve *r = mem_zero(1, sizeof *r);
    if (!r)
        return NULL;
    r->fn = fn;
    r->ctx = ctx;
    r->names = map_open();
    arena_init(&r->arena, ARENA_BYTES_MAX);
    if (r->names)
        return r;
    mem_free(r);
    return NULL;
}

void resolve_close(struct resolve *r)
{
    if (!r)
        return;
    map_close(r->names);
    arena_fini(&r->arena);
    mem_free(r);
}

static bool start_anew(struct resolve *r)
{
    struct map *fresh = map_open();
    if (!fresh)
        return false;
    map_close(r->names);
    r->names = fresh;
    arena_reset(&r->arena);
    return true;
}

static bool remember(struct resolve *r, struct bytes name, struct bytes index)
{
    if (map_count(r->names) >= RESOLVE_NAMES_MAX && !start_anew(r))
        return false;
    struct entry *entry = arena_alloc(&r->arena, sizeof *entry);
    const void *copy = entry ? arena_copy(&r->arena, index.at, index.size) : NULL;
    if (!copy)
        return false;
    bool fresh;
    union map_value *value = map_put(r->names, name, &fresh);
    if (!value)
        return false;
    entry->index = bytes_of(copy, index.size);
    value->ptr = entry;
    return true;
}

void resolve_learn(struct resolve *r, int64_t time_ns, struct bytes name, struct bytes index, const char *kind)
{
    if (!name.size || !index.size || bytes_equal(name, index))
        return;
    union map_value *known = map_find(r->names, name);
    if (known && bytes_equal(((struct entry *)known->ptr)->index, index))
        return;
    // A table that cannot grow starts anew: the row is told, perhaps again.
    if (!remember(r, name, index) && start_anew(r))
        remember(r, name, index);
    r->fn(r->ctx, &(struct resolution){time_ns, name, index, bytes_of_text(kind)});
}

bool resolve_find(struct resolve *r, struct bytes name, struct bytes *index)
{
    union map_value *known = map_find(r->names, name);
    if (known)
        *index = ((struct entry *)known->ptr)->index;
    return known != NULL;
}

void resolve_learn_write(struct resolve *r, int64_t time_ns, struct bytes asked, struct bytes index)
{
    static const char backing[] = ".ds-";
    bool math = asked.size && asked.at[0] == '<';
    bool stream = index.size > sizeof backing - 1 && memcmp(index.at, backing, sizeof backing - 1) == 0;
    resolve_learn(r, time_ns, asked, index, math ? "date_math" : stream ? "stream" : "write");
}

// ---- answers ------------------------------------------------------------------------------------------------------------

// An alias of several indices resolves only by its write index: the first pass counts, the second learns.

static void each_alias(const struct json *aliases, void (*fn)(void *, struct bytes, bool), void *ctx)
{
    for (const struct json *a = aliases ? aliases->first : NULL; a; a = a->next) {
        bool named = aliases->kind == JSON_KIND_OBJECT;
        struct bytes name = named ? a->key : a->text; // cluster state lists names only
        fn(ctx, name, named && json_true(json_member(a, "is_write_index")));
    }
}

struct alias_pass {
    struct resolve *resolve;
    struct map *counts;
    int64_t time_ns;
    struct bytes index;
    bool learn;
};

static void visit_alias(void *ctx, struct bytes name, bool write_index)
{
    struct alias_pass *p = ctx;
    bool fresh;
    if (!p->learn) {
        union map_value *count = map_put(p->counts, name, &fresh);
        if (count)
            count->num++;
        return;
    }
    union map_value *count = map_find(p->counts, name);
    if (write_index || (count && count->num == 1))
        resolve_learn(p->resolve, p->time_ns, name, p->index, write_index ? "write" : "alias");
}

static void visit_indices(struct alias_pass *p, const struct json *indices)
{
    for (const struct json *i = indices->first; i; i = i->next) {
        p->index = i->key;
        each_alias(json_member(i, "aliases"), visit_alias, p);
    }
}

static void learn_indices(struct resolve *r, int64_t time_ns, const struct json *indices)
{
    struct alias_pass pass = {r, map_open(), time_ns, {0}, false};
    if (!pass.counts)
        return;
    visit_indices(&pass, indices);
    pass.learn = true;
    visit_indices(&pass, indices);
    map_close(pass.counts);
}

static void learn_cat(struct resolve *r, int64_t time_ns, const struct json *rows)
{
    struct map *counts = map_open();
    if (!counts)
        return;
    for (int pass = 0; pass < 2; pass++)
        for (const struct json *row = rows->first; row; row = row->next) {
            const struct json *alias = json_member(row, "alias"), *index = json_member(row, "index");
            if (!alias || !index || alias->kind != JSON_KIND_STRING || index->kind != JSON_KIND_STRING)
                continue;
            bool fresh, write_index = json_is_text(json_member(row, "is_write_index"), "true");
            union map_value *count = pass ? map_find(counts, alias->text) : map_put(counts, alias->text, &fresh);
            if (!pass && count)
                count->num++;
            if (pass && (write_index || (count && count->num == 1)))
                resolve_learn(r, time_ns, alias->text, index->text, write_index ? "write" : "alias");
        }
    map_close(counts);
}

// The next word of a line; empty at its end.
static struct bytes next_word(struct bytes *line)
{
    while (line->size && *line->at == ' ')
        *line = bytes_from(*line, 1);
    const uint8_t *space = line->size ? memchr(line->at, ' ', line->size) : NULL;
    struct bytes word = bytes_of(line->at, space ? (size_t)(space - line->at) : line->size);
    *line = bytes_from(*line, word.size);
    return word;
}

static void learn_line(struct resolve *r, int64_t time_ns, struct bytes line, struct map *counts, bool learn)
{
    bool fresh;
    struct bytes alias = next_word(&line), index = next_word(&line), last = index, word;
    if (!index.size)
        return;
    while ((word = next_word(&line)).size)
        last = word;
    union map_value *count = learn ? map_find(counts, alias) : map_put(counts, alias, &fresh);
    bool write_index = bytes_equal_text(last, "true");
    if (!learn && count)
        count->num++;
    if (learn && (write_index || (count && count->num == 1)))
        resolve_learn(r, time_ns, alias, index, write_index ? "write" : "alias");
}

void resolve_learn_columns(struct resolve *r, int64_t time_ns, struct bytes text, bool heading)
{
    struct map *counts = map_open();
    for (int pass = 0; counts && pass < 2; pass++) {
        struct bytes rest = text;
        for (bool first = true; rest.size; first = false) {
            const uint8_t *newline = memchr(rest.at, '\n', rest.size);
            size_t size = newline ? (size_t)(newline - rest.at) : rest.size;
            if (newline && !(first && heading)) // the last line may be cut
                learn_line(r, time_ns, bytes_of(rest.at, size), counts, pass == 1);
            rest = bytes_from(rest, size + (newline != NULL));
        }
    }
    if (counts)
        map_close(counts);
}

static void learn_streams(struct resolve *r, int64_t time_ns, const struct json *streams)
{
    for (const struct json *s = streams->first; s; s = s->next) {
        const struct json *name = json_member(s, "name"), *indices = json_member(s, "indices"), *last = NULL;
        for (const struct json *i = indices ? indices->first : NULL; i; i = i->next)
            last = json_member(i, "index_name");
        if (name && last && name->kind == JSON_KIND_STRING && last->kind == JSON_KIND_STRING)
            resolve_learn(r, time_ns, name->text, last->text, "stream");
    }
}

void resolve_learn_answer(struct resolve *r, int64_t time_ns, const struct json *answer)
{
    const struct json *metadata = json_path(answer, "metadata.indices"), *streams = json_member(answer, "data_streams");
    if (answer->kind == JSON_KIND_ARRAY)
        learn_cat(r, time_ns, answer);
    else if (streams && streams->kind == JSON_KIND_ARRAY)
        learn_streams(r, time_ns, streams);
    else if (metadata && metadata->kind == JSON_KIND_OBJECT)
        learn_indices(r, time_ns, metadata);
    else if (answer->kind == JSON_KIND_OBJECT)
        learn_indices(r, time_ns, answer);
}

// ---- _aliases requests --------------------------------------------------------------------------------------------------

static struct bytes only_text(const struct json *one, const struct json *several)
{
    if (one && one->kind == JSON_KIND_STRING)
        return one->text;
    if (several && several->kind == JSON_KIND_ARRAY && several->count == 1 && several->first->kind == JSON_KIND_STRING)
        return several->first->text;
    return (struct bytes){0};
}

static void read_removed(const struct json *names, resolve_action_fn *fn, void *ctx)
{
    if (!names)
        return;
    if (names->kind == JSON_KIND_STRING)
        fn(ctx, &(struct resolve_action){.index = names->text});
    for (const struct json *n = names->first; n; n = n->next)
        if (n->kind == JSON_KIND_STRING)
            fn(ctx, &(struct resolve_action){.index = n->text});
}

static bool takes_writes(const struct json *alias)
{
    const struct json *write_index = json_member(alias, "is_write_index");
    return !write_index || json_true(write_index);
}

void resolve_read_actions(const struct json *body, resolve_action_fn *fn, void *ctx)
{
    const struct json *actions = json_member(body, "actions");
    for (const struct json *a = actions ? actions->first : NULL; a; a = a->next) {
        const struct json *add = json_member(a, "add"), *removed = json_member(a, "remove_index");
        if (removed) {
            read_removed(json_member(removed, "index"), fn, ctx);
            read_removed(json_member(removed, "indices"), fn, ctx);
        }
        if (!add)
            continue;
        struct resolve_action action = {only_text(json_member(add, "alias"), json_member(add, "aliases")),
                                        only_text(json_member(add, "index"), json_member(add, "indices")), json_true(json_member(add, "is_write_index"))};
        if (action.name.size && action.index.size && !glob_is_pattern(action.index) && takes_writes(add))
            fn(ctx, &action);
    }
}

void resolve_read_aliases(const struct json *body, struct bytes index, resolve_action_fn *fn, void *ctx)
{
    const struct json *aliases = json_member(body, "aliases");
    for (const struct json *a = aliases && aliases->kind == JSON_KIND_OBJECT && index.size ? aliases->first : NULL; a; a = a->next)
        if (a->key.size && takes_writes(a))
            fn(ctx, &(struct resolve_action){a->key, index, json_true(json_member(a, "is_write_index"))});
}
