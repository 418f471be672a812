// A matcher for the small patterns of restores, bounded in steps: they come from the wire, a full engine would be a way to stall us.
#include "target_rename.h"

#define ELEMENTS_MAX 64
#define GROUPS_MAX 10
#define STEPS_MAX 20000

enum kind { CHAR, RUN, OPEN, CLOSE };

struct element {
    enum kind kind;
    uint8_t c;    // CHAR: the byte; RUN: its class; OPEN and CLOSE: the group's number
    bool one, many, lazy; // RUN: at least one; more than one
};

struct rename {
    struct element at[ELEMENTS_MAX];
    size_t count;
    bool from_start, to_end;
    struct bytes name;
    size_t open[GROUPS_MAX], close[GROUPS_MAX];
    unsigned steps;
};

static bool starts(struct bytes b, const char *text)
{
    size_t n = strlen(text);
    return b.size >= n && memcmp(b.at, text, n) == 0;
}

// A class at the front of the pattern: how many bytes it takes, 0 none.
static size_t class_read(struct bytes p, uint8_t *class)
{
    static const struct { const char *text; uint8_t class; } classes[] = {
        {".", '.'}, {"\\d", 'd'}, {"\\w", 'w'}, {"[0-9]", 'd'}, {"[a-z]", 'a'}, {"[a-z0-9]", 'z'}};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (starts(p, classes[i].text)) {
            *class = classes[i].class;
            return strlen(classes[i].text);
        }
    return 0;
}

static bool class_has(uint8_t class, uint8_t c)
{
    bool digit = c >= '0' && c <= '9', lower = c >= 'a' && c <= 'z';
    switch (class) {
    case '.': return c != '\n';
    case 'd': return digit;
    case 'a': return lower;
    case 'z': return lower || digit;
    default: return lower || digit || (c >= 'A' && c <= 'Z') || c == '_';
    }
}

static bool rename_read(struct rename *r, struct bytes p)
{
    uint8_t stack[GROUPS_MAX], class;
    unsigned depth = 0, groups = 0;
    if (starts(p, "^")) {
        r->from_start = true;
        p = bytes_from(p, 1);
    }
    while (p.size) {
        struct element *e = &r->at[r->count];
        size_t n;
        if (r->count++ == ELEMENTS_MAX)
            return false;
        if (p.size == 1 && p.at[0] == '$') {
            r->to_end = true;
            r->count--;
            break;
        }
        if (p.at[0] == '(') {
            if (++groups == GROUPS_MAX || starts(p, "(?"))
                return false;
            stack[depth++] = (uint8_t)groups;
            *e = (struct element){.kind = OPEN, .c = (uint8_t)groups};
            p = bytes_from(p, 1);
        } else if (p.at[0] == ')') {
            if (depth == 0)
                return false;
            *e = (struct element){.kind = CLOSE, .c = stack[--depth]};
            p = bytes_from(p, 1);
            if (p.size && memchr("*+?{", p.at[0], 4))
                return false;
        } else if ((n = class_read(p, &class)) > 0) {
            p = bytes_from(p, n);
            bool star = starts(p, "*"), plus = starts(p, "+");
            *e = (struct element){.kind = RUN, .c = class, .one = !star, .many = star || plus};
            p = bytes_from(p, star || plus);
            if (e->many && starts(p, "?")) {
                e->lazy = true;
                p = bytes_from(p, 1);
            }
            if (p.size && memchr("*+?{", p.at[0], 4))
                return false;
        } else {
            bool escaped = p.at[0] == '\\';
            if (escaped)
                p = bytes_from(p, 1);
            if (p.size == 0 || memchr("|[]{}*+?^$", p.at[0], escaped ? 0 : 10) || (escaped && class_has('w', p.at[0])))
                return false;
            *e = (struct element){.kind = CHAR, .c = p.at[0]};
            p = bytes_from(p, 1);
            if (p.size && memchr("*+?{", p.at[0], 4))
                return false;
        }
    }
    return depth == 0;
}

// Where the match from element i at byte `at` ends; SIZE_MAX: none.
static size_t rename_match(struct rename *r, size_t i, size_t at)
{
    if (r->steps++ > STEPS_MAX)
        return SIZE_MAX;
    if (i == r->count)
        return r->to_end && at != r->name.size ? SIZE_MAX : at;
    const struct element *e = &r->at[i];
    if (e->kind == CHAR)
        return at < r->name.size && r->name.at[at] == e->c ? rename_match(r, i + 1, at + 1) : SIZE_MAX;
    if (e->kind != RUN) {
        size_t *mark = e->kind == OPEN ? &r->open[e->c] : &r->close[e->c], before = *mark;
        *mark = at;
        size_t end = rename_match(r, i + 1, at);
        if (end == SIZE_MAX)
            *mark = before;
        return end;
    }
    size_t most = 0, least = e->one ? 1 : 0, limit = e->many ? SIZE_MAX : 1;
    while (most < limit && at + most < r->name.size && class_has(e->c, r->name.at[at + most]))
        most++;
    for (size_t n = 0; most >= least && n <= most - least; n++) {
        size_t end = rename_match(r, i + 1, at + (e->lazy ? least + n : most - n));
        if (end != SIZE_MAX)
            return end;
    }
    return SIZE_MAX;
}

struct made {
    char *at;
    size_t size, room;
};

static bool made_add(struct made *m, const uint8_t *at, size_t size)
{
    if (size > m->room - m->size)
        return false;
    memcpy(m->at + m->size, at, size);
    m->size += size;
    return true;
}

// $1 and \$ in the replacement, as Java's Matcher takes them.
static bool add_replacement(struct made *m, const struct rename *r, struct bytes with, size_t from, size_t to)
{
    for (size_t i = 0; i < with.size; i++) {
        if (with.at[i] == '\\' && i + 1 < with.size) {
            i++;
        } else if (with.at[i] == '$') {
            unsigned group = i + 1 < with.size ? (unsigned)(with.at[i + 1] - '0') : GROUPS_MAX;
            if (group >= GROUPS_MAX)
                return false;
            size_t a = group ? r->open[group] : from, b = group ? r->close[group] : to;
            if (a == SIZE_MAX || b == SIZE_MAX || !made_add(m, r->name.at + a, b - a))
                return false;
            i++;
            continue;
        }
        if (!made_add(m, with.at + i, 1))
            return false;
    }
    return true;
}

bool target_rename(struct bytes name, struct bytes pattern, struct bytes replacement, char *to, size_t room, size_t *size)
{
    struct rename r = {.name = name};
    struct made m = {to, 0, room};
    if (name.size > 255 || !rename_read(&r, pattern))
        return false;
    for (size_t at = 0; at <= name.size;) {
        for (size_t g = 0; g < GROUPS_MAX; g++)
            r.open[g] = r.close[g] = SIZE_MAX;
        size_t end = at > 0 && r.from_start ? SIZE_MAX : rename_match(&r, 0, at);
        if (r.steps > STEPS_MAX || (end != SIZE_MAX && !add_replacement(&m, &r, replacement, at, end)))
            return false;
        bool moved = end != SIZE_MAX && end > at;
        if (!moved && at < name.size && !made_add(&m, name.at + at, 1))
            return false;
        at = moved ? end : at + 1;
    }
    *size = m.size;
    return true;
}
