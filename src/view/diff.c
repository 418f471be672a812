// What changed between two JSON documents, path by path.
#include "diff.h"

struct walk {
    diff_fn *fn;
    void *ctx;
    struct buf path;
};

static struct json *member(const struct json *object, struct bytes key)
{
    struct json *found = NULL;
    for (struct json *m = object && object->kind == JSON_KIND_OBJECT ? object->first : NULL; m; m = m->next)
        if (bytes_equal(m->key, key))
            found = m;
    return found;
}

// Of several members of one name the last one counts.
static bool is_last(const struct json *m)
{
    for (const struct json *n = m->next; n; n = n->next)
        if (bytes_equal(n->key, m->key))
            return false;
    return true;
}

static size_t enter(struct walk *w, struct bytes key)
{
    size_t before = w->path.size;
    bool dotted = !key.size || memchr(key.at, '.', key.size) != NULL;
    if (before)
        buf_add_byte(&w->path, '.');
    if (dotted)
        json_write_text(&w->path, key);
    else
        buf_add_bytes(&w->path, key);
    return before;
}

static bool walk(struct walk *w, const struct json *from, const struct json *to);

static bool walk_member(struct walk *w, struct bytes key, const struct json *from, const struct json *to)
{
    size_t before = enter(w, key);
    bool go = !w->path.failed;
    if (go && from && to && from->kind == JSON_KIND_OBJECT && to->kind == JSON_KIND_OBJECT)
        go = walk(w, from, to);
    else if (go && !(from && to && json_equal(from, to)))
        go = w->fn(w->ctx, !from ? DIFF_ADD : !to ? DIFF_REMOVE : DIFF_REPLACE, buf_view(&w->path), from, to);
    w->path.size = before;
    return go;
}

static bool walk(struct walk *w, const struct json *from, const struct json *to)
{
    for (const struct json *m = from ? from->first : NULL; m; m = m->next)
        if (is_last(m) && !walk_member(w, m->key, m, member(to, m->key)))
            return false;
    for (const struct json *m = to->first; m; m = m->next)
        if (is_last(m) && !member(from, m->key) && !walk_member(w, m->key, NULL, m))
            return false;
    return true;
}

bool diff_json(const struct json *from, const struct json *to, diff_fn *fn, void *ctx)
{
    struct walk w = {.fn = fn, .ctx = ctx};
    bool go;
    if (to->kind == JSON_KIND_OBJECT && (!from || from->kind == JSON_KIND_OBJECT))
        go = walk(&w, from, to);
    else
        go = (from && json_equal(from, to)) || fn(ctx, from ? DIFF_REPLACE : DIFF_ADD, bytes_of("", 0), from, to);
    go &= !w.path.failed;
    buf_fini(&w.path);
    return go;
}

static struct json *copy_node(struct arena *a, const struct json *from)
{
    struct json *node = arena_alloc(a, sizeof *node);
    if (node) {
        *node = *from;
        node->next = NULL;
    }
    return node;
}

static struct json *merged_member(struct arena *a, const struct json *base, const struct json *patch)
{
    if (base && patch && base->kind == JSON_KIND_OBJECT && patch->kind == JSON_KIND_OBJECT) {
        struct json *made = diff_merge(a, base, patch);
        if (made)
            made->key = patch->key;
        return made;
    }
    return copy_node(a, patch ? patch : base);
}

struct json *diff_merge(struct arena *a, const struct json *base, const struct json *patch)
{
    if (base->kind != JSON_KIND_OBJECT || patch->kind != JSON_KIND_OBJECT)
        return copy_node(a, patch);
    struct json *made = copy_node(a, base), **end;
    if (!made)
        return NULL;
    made->first = NULL;
    made->count = 0;
    made->raw = bytes_of(NULL, 0);
    end = &made->first;
    for (int pass = 0; pass < 2; pass++)
        for (const struct json *m = pass ? patch->first : base->first; m; m = m->next) {
            if (!is_last(m) || (pass && member(base, m->key)))
                continue;
            *end = merged_member(a, pass ? NULL : m, pass ? m : member(patch, m->key));
            if (!*end)
                return NULL;
            end = &(*end)->next;
            made->count++;
        }
    return made;
}
