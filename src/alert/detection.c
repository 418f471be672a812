// Compiles a rule's detection: its named selections and the condition that joins them, to one tree.
//
// condition = or ; or = and { "or" and } ; and = not { "and" not } ; not = "not" not | operand
// operand = "(" or ")" | ("1" | "any" | "all") "of" ("them" | PATTERN) | NAME
#include "rule.h"

#include "../base/glob.h"

#include <ctype.h>

enum { CONDITION_DEPTH_MAX = 64 };

static struct expr *make(struct loader *l, enum expr_kind kind)
{
    struct expr *e = arena_alloc(&l->rules->arena, sizeof *e);
    if (e)
        *e = (struct expr){.kind = kind};
    else
        loader_refuse(l, 0, "out of memory");
    return e;
}

static void adopt(struct expr *parent, struct expr ***tail, struct expr *child)
{
    (void)parent;
    **tail = child;
    *tail = &child->next;
}

// ---- selections -------------------------------------------------------------------------------------------------------

static struct expr *compile_entry(struct loader *l, const struct yaml *entry)
{
    struct expr *e = make(l, EXPR_ITEM);
    struct item *item = e ? arena_alloc(&l->rules->arena, sizeof *item) : NULL;
    if (!item || !item_compile(l, entry, item))
        return NULL;
    e->item = item;
    return e;
}

static struct expr *compile_map(struct loader *l, const struct yaml *map)
{
    struct expr *e = make(l, EXPR_AND), **tail = e ? &e->first : NULL;
    bool ok = e != NULL;
    for (const struct yaml *entry = map->first; e && entry; entry = entry->next) {
        struct expr *child = compile_entry(l, entry);
        if (child)
            adopt(e, &tail, child);
        ok &= child != NULL;
    }
    if (e && !map->count) {
        loader_refuse(l, map->line, "an empty selection would match everything");
        ok = false;
    }
    return ok ? e : NULL;
}

static struct expr *compile_selection(struct loader *l, const struct yaml *y)
{
    if (y->kind == YAML_MAP)
        return compile_map(l, y);
    if (y->kind == YAML_SCALAR || (y->first && y->first->kind == YAML_SCALAR)) { // keywords
        for (const struct yaml *v = y->first; v; v = v->next)
            if (v->kind != YAML_SCALAR) {
                loader_refuse(l, v->line, "a list holds either keywords or maps, not both");
                return NULL;
            }
        struct yaml keywords = *y;
        keywords.key = (struct bytes){0};
        keywords.key_line = y->line;
        return compile_entry(l, &keywords);
    }
    struct expr *e = make(l, EXPR_OR), **tail = e ? &e->first : NULL;
    bool ok = e != NULL;
    for (const struct yaml *v = y->first; e && v; v = v->next) {
        if (v->kind != YAML_MAP) {
            loader_refuse(l, v->line, "a list holds either keywords or maps, not both");
            return NULL;
        }
        struct expr *child = compile_map(l, v);
        if (child)
            adopt(e, &tail, child);
        ok &= child != NULL;
    }
    if (e && !y->count) {
        loader_refuse(l, y->line, "an empty selection would match everything");
        ok = false;
    }
    return ok ? e : NULL;
}

// ---- the condition ----------------------------------------------------------------------------------------------------

enum { SELECTIONS_MAX = 256 };

struct selections {
    struct bytes name[SELECTIONS_MAX];
    struct expr *expr[SELECTIONS_MAX];
    bool used[SELECTIONS_MAX];
    size_t count;
};

struct parse {
    struct loader *l;
    struct selections *s;
    struct bytes rest;
    struct bytes token;  // empty at the end
    int line;
    unsigned depth;
    bool failed;
};

static bool is_name(uint8_t c)
{
    return isalnum(c) || c == '_' || c == '-' || c == '*' || c == '.' || c >= 0x80;
}

static void next_token(struct parse *p)
{
    while (p->rest.size && isspace(p->rest.at[0]))
        p->rest = bytes_from(p->rest, 1);
    size_t n = 0;
    while (n < p->rest.size && is_name(p->rest.at[n]))
        n++;
    if (!n && p->rest.size)
        n = 1;
    p->token = bytes_of(p->rest.at, n);
    p->rest = bytes_from(p->rest, n);
}

static struct expr *fail(struct parse *p, const char *what)
{
    if (!p->failed)
        loader_refuse(p->l, p->line, "condition: %s%s%.*s%s", what, p->token.size ? " at '" : " at its end", (int)p->token.size,
                      p->token.size ? (const char *)p->token.at : "", p->token.size ? "'" : "");
    p->failed = true;
    return NULL;
}

static bool accept(struct parse *p, const char *word)
{
    if (!bytes_equal_text(p->token, word))
        return false;
    next_token(p);
    return true;
}

static struct expr *reference(struct parse *p, size_t which)
{
    struct expr *copy = make(p->l, EXPR_AND);
    p->s->used[which] = true;
    if (copy && p->s->expr[which]) {
        *copy = *p->s->expr[which];
        copy->next = NULL;
    }
    return copy;
}

static struct expr *parse_of(struct parse *p, bool all)
{
    bool them = bytes_equal_text(p->token, "them");
    struct bytes pattern = them ? bytes_of("*", 1) : p->token;
    struct expr *e = make(p->l, all ? EXPR_AND : EXPR_OR), **tail = e ? &e->first : NULL;
    if (!e)
        return NULL;
    if (!pattern.size || !is_name(pattern.at[0]))
        return fail(p, "'them' or a pattern of names must stand behind 'of'");
    for (size_t i = 0; i < p->s->count; i++) {
        struct bytes name = p->s->name[i];
        if ((name.at[0] == '_' && pattern.at[0] != '_') || !glob_match(pattern, name))
            continue;
        struct expr *child = reference(p, i);
        if (child)
            adopt(e, &tail, child);
    }
    if (!e->first)
        return fail(p, "no selection has such a name");
    next_token(p);
    return e;
}

static struct expr *parse_or(struct parse *p);

static struct expr *parse_operand(struct parse *p)
{
    struct bytes was = p->token, rest = p->rest;
    if (accept(p, "(")) {
        struct expr *e = parse_or(p);
        return !e || accept(p, ")") ? e : fail(p, "a closing parenthesis is missing");
    }
    bool all = bytes_equal_text(was, "all"), one = bytes_equal_text(was, "1") || bytes_equal_text(was, "any");
    if (all || one) {
        next_token(p);
        if (accept(p, "of"))
            return parse_of(p, all);
        p->token = was;
        p->rest = rest;
    }
    if (bytes_equal_text(was, "|"))
        return fail(p, "the old pipe syntax (| count() ...) is not supported: write a correlation");
    for (size_t i = 0; i < p->s->count; i++)
        if (bytes_equal(p->s->name[i], was)) {
            struct expr *e = reference(p, i);
            next_token(p);
            return e;
        }
    return fail(p, was.size ? "no selection has this name" : "a name is missing");
}

static struct expr *parse_not(struct parse *p)
{
    if (++p->depth > CONDITION_DEPTH_MAX)
        return fail(p, "nested too deeply");
    struct expr *e;
    if (accept(p, "not")) {
        struct expr *child = parse_not(p);
        e = child ? make(p->l, EXPR_NOT) : NULL;
        if (e)
            e->first = child;
    } else {
        e = parse_operand(p);
    }
    p->depth--;
    return e;
}

static struct expr *parse_chain(struct parse *p, enum expr_kind kind)
{
    struct expr *first = kind == EXPR_OR ? parse_chain(p, EXPR_AND) : parse_not(p), *e = NULL, **tail = NULL;
    while (first && accept(p, kind == EXPR_OR ? "or" : "and")) {
        if (!e) {
            e = make(p->l, kind);
            if (!e)
                return NULL;
            tail = &e->first;
            adopt(e, &tail, first);
        }
        struct expr *next = kind == EXPR_OR ? parse_chain(p, EXPR_AND) : parse_not(p);
        if (!next)
            return NULL;
        adopt(e, &tail, next);
    }
    return e ? e : first;
}

static struct expr *parse_or(struct parse *p)
{
    return parse_chain(p, EXPR_OR);
}

static struct expr *parse_condition(struct loader *l, struct selections *s, const struct yaml *y)
{
    if (y->kind != YAML_SCALAR) {
        loader_refuse(l, y->line, "a condition is one line of text");
        return NULL;
    }
    struct parse p = {.l = l, .s = s, .rest = y->text, .line = y->line};
    next_token(&p);
    struct expr *e = parse_or(&p);
    if (e && p.token.size)
        return fail(&p, bytes_equal_text(p.token, "|") ? "the old pipe syntax (| count() ...) is not supported: write a correlation" : "unexpected text");
    return p.failed ? NULL : e;
}

static struct expr *parse_conditions(struct loader *l, struct selections *s, const struct yaml *y)
{
    if (y->kind != YAML_LIST)
        return parse_condition(l, s, y);
    struct expr *e = make(l, EXPR_OR), **tail = e ? &e->first : NULL;
    for (const struct yaml *one = y->first; e && one; one = one->next) {
        struct expr *child = parse_condition(l, s, one);
        if (!child)
            return NULL;
        adopt(e, &tail, child);
    }
    if (e && !e->first)
        loader_refuse(l, y->line, "a condition is missing");
    return e && e->first ? e : NULL;
}

struct expr *detection_compile(struct loader *l, const struct yaml *detection, bool filter)
{
    struct selections s = {.count = 0};
    size_t before = l->errors;
    const struct yaml *condition = NULL;
    for (const struct yaml *y = detection->first; y; y = y->next) {
        if (bytes_equal_text(y->key, "condition")) {
            condition = y;
        } else if (bytes_equal_text(y->key, "timeframe")) {
            loader_refuse(l, y->key_line, "'timeframe' is not supported: write a correlation");
        } else if (filter && bytes_equal_text(y->key, "rules")) {
            continue;
        } else if (s.count == SELECTIONS_MAX) {
            loader_refuse(l, y->key_line, "more than %d selections", SELECTIONS_MAX);
            return NULL;
        } else if (!y->key.size) {
            loader_refuse(l, y->key_line, "a selection without a name");
        } else {
            s.name[s.count] = y->key;
            s.expr[s.count++] = compile_selection(l, y);
        }
    }
    if (!condition) {
        loader_refuse(l, detection->line, "the condition is missing");
        return NULL;
    }
    if (!s.count)
        loader_refuse(l, detection->line, "there is no selection");
    struct expr *e = parse_conditions(l, &s, condition);
    for (size_t i = 0; e && i < s.count; i++)
        if (!s.used[i] && s.name[i].at[0] != '_')
            loader_note(l, condition->line, "the selection '%.*s' is not used by the condition", (int)s.name[i].size, (const char *)s.name[i].at);
    return l->errors == before ? e : NULL;
}
