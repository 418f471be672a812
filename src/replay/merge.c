// Partial updates folded into a document by the cluster's merge rules.
#include "merge.h"

#include "../../include/bounds.h"

static struct json *copy_node(struct arena *a, const struct json *from, struct bytes key)
{
    struct json *n = arena_alloc(a, sizeof *n);
    if (n) {
        *n = *from;
        n->key = key;
        n->next = NULL;
    }
    return n;
}

static struct json *member_of(const struct json *object, struct bytes key)
{
    struct json *found = NULL;
    for (struct json *m = object->first; m; m = m->next)
        if (bytes_equal(m->key, key))
            found = m;
    return found;
}

// Java compares parsed values: 1 and 1.0 are an Integer and a Double there, hence different, though equal as JSON values.
static bool number_is_integer(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.at[i] == '.' || text.at[i] == 'e' || text.at[i] == 'E')
            return false;
    return true;
}

static bool same_value(const struct json *x, const struct json *y)
{
    if (x->kind == JSON_KIND_NUMBER && y->kind == JSON_KIND_NUMBER && number_is_integer(x->text) != number_is_integer(y->text))
        return false;
    return json_equal(x, y);
}

static struct json *merge_at(struct arena *a, const struct json *base, const struct json *doc, bool *changed, unsigned depth)
{
    struct json *out = copy_node(a, base, base->key);
    if (!out || depth > BOUND_JSON_DEPTH)
        return NULL;
    out->first = NULL;
    out->count = 0;
    out->raw = (struct bytes){0};
    struct json **tail = &out->first;
    for (const struct json *m = base->first; m; m = m->next) {
        if (member_of(base, m->key) != m) // an earlier duplicate: the last one counts
            continue;
        const struct json *with = member_of(doc, m->key);
        struct json *kept;
        if (with && with->kind == JSON_KIND_OBJECT && m->kind == JSON_KIND_OBJECT) {
            kept = merge_at(a, m, with, changed, depth + 1);
        } else {
            if (with && !same_value(m, with))
                *changed = true;
            kept = copy_node(a, with ? with : m, m->key);
        }
        if (!kept)
            return NULL;
        *tail = kept;
        tail = &kept->next;
        out->count++;
    }
    for (const struct json *m = doc->first; m; m = m->next) {
        if (member_of(doc, m->key) != m || member_of(base, m->key))
            continue;
        struct json *added = copy_node(a, m, m->key);
        if (!added)
            return NULL;
        *changed = true;
        *tail = added;
        tail = &added->next;
        out->count++;
    }
    return out;
}

struct json *merge_update(struct arena *a, const struct json *base, const struct json *doc, bool *changed)
{
    *changed = false;
    if (base->kind != JSON_KIND_OBJECT || doc->kind != JSON_KIND_OBJECT)
        return NULL;
    return merge_at(a, base, doc, changed, 0);
}

bool merge_can_combine(const struct json *a, const struct json *b)
{
    for (const struct json *m = b->first; m; m = m->next) {
        if (m->kind != JSON_KIND_OBJECT)
            continue;
        const struct json *before = member_of(a, m->key);
        if (before && (before->kind != JSON_KIND_OBJECT || !merge_can_combine(before, m)))
            return false;
    }
    return true;
}

static bool number_plain(struct bytes text)
{
    size_t digits = 0, exponent = 0;
    bool integer = number_is_integer(text), in_exponent = false, significant = false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.at[i];
        if (c == 'e' || c == 'E')
            in_exponent = true;
        else if (c >= '0' && c <= '9' && in_exponent)
            exponent = exponent < 1000 ? exponent * 10 + (c - '0') : exponent;
        else if (c >= '0' && c <= '9' && (significant || c != '0')) {
            significant = true;
            digits++;
        }
    }
    return digits <= (integer ? 18u : 15u) && exponent < 200 && text.size < 64;
}

bool merge_numbers_plain(const struct json *j)
{
    if (j->kind == JSON_KIND_NUMBER)
        return number_plain(j->text);
    for (const struct json *m = j->first; m; m = m->next)
        if (!merge_numbers_plain(m))
            return false;
    return true;
}
