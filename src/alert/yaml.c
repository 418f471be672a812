// Builds the tree of a rule file from libyaml's events.
//
// Rules come from strangers: the tree is bounded in depth and size, and what could make one text mean two things to two
// readers (anchors, tags, duplicate and merge keys) is an error with its line.
#include "yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

enum { DEPTH_MAX = 32, NODES_MAX = 200000 };

struct build {
    struct arena *arena;
    struct yaml_error *error;
    struct yaml *stack[DEPTH_MAX];
    size_t depth, nodes;
    struct bytes key;         // a key that waits for its value
    int key_line;
    bool have_key;
    struct yaml *first, *last; // documents
    struct yaml *root;         // of the document under construction
};

static bool refuse(struct build *b, int line, const char *what)
{
    b->error->line = line;
    snprintf(b->error->text, sizeof b->error->text, "%s", what);
    return false;
}

static bool place_key(struct build *b, struct bytes key, int line)
{
    struct yaml *map = b->stack[b->depth - 1];
    if (bytes_equal_text(key, "<<"))
        return refuse(b, line, "merge keys (<<) are not supported");
    for (struct yaml *m = map->first; m; m = m->next)
        if (bytes_equal(m->key, key)) {
            b->error->line = line;
            snprintf(b->error->text, sizeof b->error->text, "duplicate key '%.*s': it stands in line %d already", (int)(key.size < 80 ? key.size : 80),
                     (const char *)key.at, m->key_line);
            return false;
        }
    b->key = key;
    b->key_line = line;
    b->have_key = true;
    return true;
}

static bool place(struct build *b, struct yaml *y)
{
    if (!b->depth) {
        b->root = y;
        return true;
    }
    struct yaml *into = b->stack[b->depth - 1];
    if (into->kind == YAML_MAP) {
        if (!b->have_key) {
            if (y->kind != YAML_SCALAR)
                return refuse(b, y->line, "a key must be plain text");
            return place_key(b, y->text, y->line);
        }
        y->key = b->key;
        y->key_line = b->key_line;
        b->have_key = false;
    }
    if (into->last)
        into->last->next = y;
    else
        into->first = y;
    into->last = y;
    into->count++;
    return true;
}

static struct yaml *make(struct build *b, enum yaml_kind kind, const yaml_event_t *event)
{
    struct yaml *y = ++b->nodes > NODES_MAX ? NULL : arena_alloc(b->arena, sizeof *y);
    int line = (int)event->start_mark.line + 1;
    if (!y) {
        refuse(b, line, b->nodes > NODES_MAX ? "the file is too large" : "out of memory");
        return NULL;
    }
    *y = (struct yaml){.kind = kind, .line = line};
    return y;
}

static bool take_scalar(struct build *b, const yaml_event_t *event)
{
    struct yaml *y = make(b, YAML_SCALAR, event);
    if (!y)
        return false;
    y->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    void *copy = arena_copy(b->arena, event->data.scalar.value, event->data.scalar.length);
    if (!copy)
        return refuse(b, y->line, "out of memory");
    y->text = bytes_of(copy, event->data.scalar.length);
    if (memchr(copy, 0, y->text.size))
        return refuse(b, y->line, "a NUL character");
    return place(b, y);
}

static bool take_begin(struct build *b, enum yaml_kind kind, const yaml_event_t *event)
{
    struct yaml *y = make(b, kind, event);
    if (!y || !place(b, y))
        return false;
    if (b->depth == DEPTH_MAX)
        return refuse(b, y->line, "nested too deeply");
    b->stack[b->depth++] = y;
    return true;
}

static bool take_end(struct build *b)
{
    b->depth--;
    return true;
}

static bool refuse_marks(struct build *b, const yaml_event_t *event)
{
    int line = (int)event->start_mark.line + 1;
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (event->type) {
    case YAML_SCALAR_EVENT: anchor = event->data.scalar.anchor; tag = event->data.scalar.tag; break;
    case YAML_SEQUENCE_START_EVENT: anchor = event->data.sequence_start.anchor; tag = event->data.sequence_start.tag; break;
    case YAML_MAPPING_START_EVENT: anchor = event->data.mapping_start.anchor; tag = event->data.mapping_start.tag; break;
    case YAML_ALIAS_EVENT: return refuse(b, line, "aliases (*name) are not supported");
    default: return true;
    }
    if (anchor)
        return refuse(b, line, "anchors (&name) are not supported");
    if (tag)
        return refuse(b, line, "tags (!name) are not supported");
    return true;
}

static void end_document(struct build *b)
{
    struct yaml *root = b->root;
    b->root = NULL;
    b->have_key = false;
    if (!root || (root->kind == YAML_SCALAR && !root->text.size))
        return;
    if (b->last)
        b->last->next = root;
    else
        b->first = root;
    b->last = root;
}

static bool take_event(struct build *b, const yaml_event_t *event)
{
    if (!refuse_marks(b, event))
        return false;
    switch (event->type) {
    case YAML_SCALAR_EVENT: return take_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT: return take_begin(b, YAML_LIST, event);
    case YAML_MAPPING_START_EVENT: return take_begin(b, YAML_MAP, event);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: return take_end(b);
    case YAML_DOCUMENT_END_EVENT: end_document(b); return true;
    default: return true;
    }
}

// A document reaches from its first line to the line before the next one begins.
static void cut_sources(struct yaml *documents, struct bytes text)
{
    size_t at = 0;
    int line = 1;
    for (struct yaml *y = documents; y; y = y->next) {
        int until = y->next ? y->next->line : INT32_MAX;
        size_t from = at;
        while (at < text.size && line < until) {
            const uint8_t *end = memchr(text.at + at, '\n', text.size - at);
            at = end ? (size_t)(end - text.at) + 1 : text.size;
            line++;
        }
        y->source = bytes_of(text.at + from, at - from);
    }
}

struct yaml *yaml_parse(struct arena *a, struct bytes text, struct yaml_error *error)
{
    struct build b = {.arena = a, .error = error};
    yaml_parser_t parser;
    *error = (struct yaml_error){0};
    if (!yaml_parser_initialize(&parser)) {
        refuse(&b, 0, "out of memory");
        return NULL;
    }
    yaml_parser_set_input_string(&parser, text.at, text.size);
    bool ok = true;
    for (bool ended = false; ok && !ended;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            int line = (int)(parser.problem_mark.line ? parser.problem_mark.line : parser.context_mark.line) + 1;
            ok = refuse(&b, line, parser.problem ? parser.problem : "not YAML");
            break;
        }
        ended = event.type == YAML_STREAM_END_EVENT;
        ok = take_event(&b, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (ok && !b.first)
        ok = refuse(&b, 1, "the file holds no rule");
    if (ok)
        cut_sources(b.first, text);
    return ok ? b.first : NULL;
}

struct yaml *yaml_member(const struct yaml *map, const char *key)
{
    if (!map || map->kind != YAML_MAP)
        return NULL;
    for (struct yaml *m = map->first; m; m = m->next)
        if (bytes_equal_text(m->key, key))
            return m;
    return NULL;
}

static bool is_one_of(const struct yaml *y, const char *const *words)
{
    if (y->kind != YAML_SCALAR || y->quoted)
        return false;
    for (; *words; words++)
        if (bytes_equal_text(y->text, *words))
            return true;
    return false;
}

bool yaml_is_null(const struct yaml *y)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};
    return is_one_of(y, words);
}

bool yaml_is_bool(const struct yaml *y, bool *value)
{
    static const char *const yes[] = {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", NULL};
    static const char *const no[] = {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", NULL};
    *value = is_one_of(y, yes);
    return *value || is_one_of(y, no);
}

bool yaml_is_int(const struct yaml *y, int64_t *value)
{
    if (y->kind != YAML_SCALAR || y->quoted || !y->text.size || y->text.size > 20)
        return false;
    const char *text = (const char *)y->text.at, *digits = text + (*text == '-' || *text == '+');
    int base = digits[0] == '0' && digits[1] == 'x' ? 16 : digits[0] == '0' && digits[1] ? 8 : 10;
    if (digits[0] < '0' || digits[0] > '9')
        return false;
    char *end;
    long long v = strtoll(text, &end, base);
    if (*end)
        return false;
    *value = v;
    return true;
}

bool yaml_is_number(const struct yaml *y, double *value)
{
    int64_t whole;
    if (yaml_is_int(y, &whole)) {
        *value = (double)whole;
        return true;
    }
    if (y->kind != YAML_SCALAR || y->quoted || !y->text.size || y->text.size > 40)
        return false;
    const char *text = (const char *)y->text.at;
    if (strspn(text, "+-.0123456789eE") != y->text.size || !strpbrk(text, ".") || !strpbrk(text, "0123456789"))
        return false;
    char *end;
    *value = strtod(text, &end);
    return !*end;
}
