// Compiles one line of a detection: a field, its modifiers and its values.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "item_inner.h"

#include <arpa/inet.h>
#include <limits.h>
#include <pcre2.h>
#include <stdlib.h>

enum { EXPANSIONS_MAX = 1000, MODIFIERS_MAX = 12 };

bool work_refuse(struct chain *c, const struct work *w, const char *what)
{
    loader_refuse(c->l, w->line ? w->line : c->line, "%s", what);
    return false;
}

bool work_need_text(struct chain *c, struct work *w, const char *modifier)
{
    if (w->kind == WORK_TEXT)
        return true;
    loader_refuse(c->l, w->line, "the modifier '%s' needs text; put the value in quotes if text is meant", modifier);
    return false;
}

bool work_memory(struct chain *c, const void *at)
{
    if (!at)
        loader_refuse(c->l, c->line, "out of memory");
    return at != NULL;
}

static bool pattern_extend(struct chain *c, struct work *w, bool front, bool back)
{
    struct pattern old = w->pattern, *p = &w->pattern;
    front = front && !(old.size && old.special[0] == STAR);
    back = back && !(old.size && old.special[old.size - 1] == STAR) && !(front && !old.size);
    if (!front && !back)
        return true;
    p->byte = arena_alloc(&c->l->rules->arena, old.size + 2);
    p->special = arena_alloc(&c->l->rules->arena, old.size + 2);
    if (!work_memory(c, p->byte) || !work_memory(c, p->special))
        return false;
    size_t n = 0;
    if (front)
        p->byte[n] = '*', p->special[n++] = STAR;
    memcpy(p->byte + n, old.byte, old.size);
    memcpy(p->special + n, old.special, old.size);
    n += old.size;
    if (back)
        p->byte[n] = '*', p->special[n++] = STAR;
    p->size = n;
    return true;
}

static bool apply_ends(struct chain *c, struct work *w, const char *name, bool front, bool back)
{
    if (w->kind == WORK_TEST && w->test.kind == TEST_FIELD) {
        w->test.ref_ends |= front;
        w->test.ref_starts |= back;
        return true;
    }
    return work_need_text(c, w, name) && pattern_extend(c, w, front, back);
}

static bool apply_contains(struct chain *c, struct work *w) { return apply_ends(c, w, "contains", true, true); }
static bool apply_startswith(struct chain *c, struct work *w) { return apply_ends(c, w, "startswith", false, true); }
static bool apply_endswith(struct chain *c, struct work *w) { return apply_ends(c, w, "endswith", true, false); }

static bool apply_cased(struct chain *c, struct work *w)
{
    c->cased = true;
    if (w->kind == WORK_TEST && w->test.kind == TEST_FIELD)
        return true;
    return work_need_text(c, w, "cased");
}

static bool apply_all(struct chain *c, struct work *w) { (void)w; return c->all = true; }
static bool apply_neq(struct chain *c, struct work *w) { (void)w; return c->negated = true; }
static bool apply_expand(struct chain *c, struct work *w) { (void)c, (void)w; return true; } // done before the others

static bool apply_exists(struct chain *c, struct work *w)
{
    if (c->applied || c->item->keyword)
        return work_refuse(c, w, "the modifier 'exists' stands alone, on a field");
    if (w->kind != WORK_BOOL)
        return work_refuse(c, w, "the modifier 'exists' needs true or false");
    w->kind = WORK_TEST;
    w->test = (struct test){.kind = TEST_EXISTS, .truth = w->truth};
    return true;
}

static bool apply_regex(struct chain *c, struct work *w)
{
    if (c->applied)
        return work_refuse(c, w, "the modifier 're' must come first");
    if (w->kind == WORK_NUMBER) // a bare number is as good a regular expression as a quoted one
        w->kind = WORK_TEXT;
    if (!work_need_text(c, w, "re"))
        return false;
    w->kind = WORK_TEST;
    w->test = (struct test){.kind = TEST_REGEX};
    return true;
}

static bool regex_option(struct chain *c, struct work *w, uint32_t option)
{
    if (w->kind != WORK_TEST || w->test.kind != TEST_REGEX)
        return work_refuse(c, w, "the modifiers i, m and s belong behind 're'");
    c->regex_options |= option;
    return true;
}

static bool apply_i(struct chain *c, struct work *w) { return regex_option(c, w, PCRE2_CASELESS); }
static bool apply_m(struct chain *c, struct work *w) { return regex_option(c, w, PCRE2_MULTILINE); }
static bool apply_s(struct chain *c, struct work *w) { return regex_option(c, w, PCRE2_DOTALL); }

static bool parse_cidr(const char *text, struct test *t)
{
    char address[64];
    const char *slash = strchr(text, '/');
    struct in_addr four;
    size_t size = slash ? (size_t)(slash - text) : strlen(text);
    if (size >= sizeof address)
        return false;
    memcpy(address, text, size);
    address[size] = 0;
    unsigned base = 0, most = 128;
    if (inet_pton(AF_INET, address, &four) == 1) {
        t->ip[10] = t->ip[11] = 0xff;
        memcpy(t->ip + 12, &four, 4);
        base = 96;
        most = 32;
    } else if (inet_pton(AF_INET6, address, t->ip) != 1) {
        return false;
    }
    char *end = NULL;
    unsigned long bits = slash ? strtoul(slash + 1, &end, 10) : most;
    if (slash && (end == slash + 1 || *end || bits > most || slash[1] == '+' || slash[1] == '-'))
        return false;
    t->ip_bits = base + (unsigned)bits;
    for (unsigned i = t->ip_bits; i < 128; i++)
        if (t->ip[i / 8] & (0x80 >> i % 8))
            return false;
    return true;
}

static bool apply_cidr(struct chain *c, struct work *w)
{
    if (c->applied)
        return work_refuse(c, w, "the modifier 'cidr' must come first");
    if (!work_need_text(c, w, "cidr"))
        return false;
    w->test = (struct test){.kind = TEST_CIDR};
    if (!parse_cidr((const char *)w->raw.at, &w->test)) {
        loader_refuse(c->l, w->line, "'%s' is no network: say it as 10.1.0.0/16 or fd00::/8, host bits zero", (const char *)w->raw.at);
        return false;
    }
    w->kind = WORK_TEST;
    return true;
}

static bool compare(struct chain *c, struct work *w, enum compare op)
{
    if (w->kind != WORK_NUMBER)
        return work_refuse(c, w, "gt, gte, lt and lte need a number");
    w->kind = WORK_TEST;
    w->test = (struct test){.kind = TEST_COMPARE, .compare = op, .number = w->number};
    return true;
}

static bool apply_gt(struct chain *c, struct work *w) { return compare(c, w, COMPARE_GT); }
static bool apply_gte(struct chain *c, struct work *w) { return compare(c, w, COMPARE_GTE); }
static bool apply_lt(struct chain *c, struct work *w) { return compare(c, w, COMPARE_LT); }
static bool apply_lte(struct chain *c, struct work *w) { return compare(c, w, COMPARE_LTE); }

static bool time_part(struct chain *c, struct work *w, enum time_part part)
{
    if (w->kind != WORK_NUMBER)
        return work_refuse(c, w, "a part of a time is compared with a number");
    w->kind = WORK_TEST;
    w->test = (struct test){.kind = TEST_PART, .part = part, .number = w->number};
    return true;
}

static bool apply_minute(struct chain *c, struct work *w) { return time_part(c, w, PART_MINUTE); }
static bool apply_hour(struct chain *c, struct work *w) { return time_part(c, w, PART_HOUR); }
static bool apply_day(struct chain *c, struct work *w) { return time_part(c, w, PART_DAY); }
static bool apply_week(struct chain *c, struct work *w) { return time_part(c, w, PART_WEEK); }
static bool apply_month(struct chain *c, struct work *w) { return time_part(c, w, PART_MONTH); }
static bool apply_year(struct chain *c, struct work *w) { return time_part(c, w, PART_YEAR); }

static bool apply_fieldref(struct chain *c, struct work *w)
{
    const char *why = NULL;
    if (!work_need_text(c, w, "fieldref"))
        return false;
    if (!pattern_plain(&w->pattern))
        return work_refuse(c, w, "a field reference holds no wildcards");
    struct bytes name = bytes_of(w->pattern.byte, w->pattern.size);
    w->test = (struct test){.kind = TEST_FIELD};
    if (!field_find(&c->l->rules->arena, name, &w->test.field, &why)) {
        loader_refuse(c->l, w->line, "unknown field '%s' in a field reference%s%s", (const char *)w->raw.at, why ? ": " : "", why ? why : "");
        return false;
    }
    w->kind = WORK_TEST;
    return true;
}

// ---- placeholders -----------------------------------------------------------------------------------------------------

static bool find_placeholder(struct bytes text, size_t from, size_t *start, size_t *end)
{
    for (size_t i = from; i < text.size; i++) {
        if (text.at[i] != '%' || (i && text.at[i - 1] == '\\'))
            continue;
        size_t j = i + 1;
        while (j < text.size && work_is_word(text.at[j]))
            j++;
        if (j > i + 1 && j < text.size && text.at[j] == '%') {
            *start = i;
            *end = j + 1;
            return true;
        }
    }
    return false;
}

struct expansion {
    struct chain *c;
    struct bytes *texts;
    size_t count;
};

static bool expand_text(struct expansion *x, struct bytes text, int line)
{
    size_t start, end;
    struct loader *l = x->c->l;
    if (x->count == EXPANSIONS_MAX) {
        loader_refuse(l, line, "a value expands to more than %d texts", EXPANSIONS_MAX);
        return false;
    }
    if (!find_placeholder(text, 0, &start, &end)) {
        x->texts[x->count++] = text;
        return true;
    }
    struct bytes name = bytes_of(text.at + start + 1, end - start - 2);
    union map_value *found = map_find(l->rules->placeholders, name);
    if (!found) {
        loader_refuse(l, line, "the placeholder %%%.*s%% has no values: give them in a document 'placeholders:'", (int)name.size, (const char *)name.at);
        return false;
    }
    const struct yaml *list = found->ptr;
    for (const struct yaml *v = list->first; v; v = v->next) {
        struct buf filled = {0};
        buf_add(&filled, text.at, start);
        buf_add_bytes(&filled, v->text);
        buf_add_bytes(&filled, bytes_from(text, end));
        void *copy = filled.failed ? NULL : arena_copy(&l->rules->arena, filled.at, filled.size);
        struct bytes next = bytes_of(copy, filled.size);
        buf_fini(&filled);
        // A value that itself holds its own placeholder would never end: names inside values are not expanded.
        if (!work_memory(x->c, copy) || (v->text.size && find_placeholder(v->text, 0, &(size_t){0}, &(size_t){0}))) {
            loader_refuse(l, v->line, "a placeholder's value holds a placeholder");
            return false;
        }
        if (!expand_text(x, next, line))
            return false;
    }
    return true;
}

// Where placeholders are filled, "\\%" is a plain percent sign.
static struct bytes unescape_percent(struct chain *c, struct bytes text)
{
    uint8_t *to = arena_alloc(&c->l->rules->arena, text.size + 1);
    size_t n = 0;
    if (!to)
        return text;
    for (size_t i = 0; i < text.size; i++)
        if (text.at[i] != '\\' || i + 1 == text.size || text.at[i + 1] != '%')
            to[n++] = text.at[i];
    to[n] = 0; // some modifiers read it as a C string
    return bytes_of(to, n);
}

static bool expand(struct chain *c, struct work *w)
{
    if (w->kind != WORK_TEXT)
        return true;
    struct expansion x = {.c = c, .texts = mem_zero(EXPANSIONS_MAX, sizeof(struct bytes))};
    struct work plain = *w;
    bool ok = work_memory(c, x.texts) && expand_text(&x, w->raw, w->line) && work_become_any(c, w, x.count);
    for (size_t i = 0; ok && i < x.count; i++) {
        w->any[i] = plain;
        w->any[i].raw = unescape_percent(c, x.texts[i]);
        x.texts[i] = w->any[i].raw;
        ok = work_memory(c, pattern_parse(&c->l->rules->arena, x.texts[i], &w->any[i].pattern) ? x.texts : NULL);
    }
    if (ok && !x.count)
        ok = work_refuse(c, w, "a placeholder without any value");
    mem_free(x.texts);
    return ok;
}

// ---- the chain --------------------------------------------------------------------------------------------------------

struct modifier {
    const char *name;
    bool (*apply)(struct chain *c, struct work *w);
};

static const struct modifier modifiers[] = {
    {"contains", apply_contains}, {"startswith", apply_startswith}, {"endswith", apply_endswith}, {"all", apply_all}, {"cased", apply_cased},
    {"exists", apply_exists}, {"neq", apply_neq}, {"lt", apply_lt}, {"lte", apply_lte}, {"gt", apply_gt}, {"gte", apply_gte},
    {"cidr", apply_cidr}, {"re", apply_regex}, {"i", apply_i}, {"ignorecase", apply_i}, {"m", apply_m}, {"multiline", apply_m},
    {"s", apply_s}, {"dotall", apply_s}, {"base64", encode_base64}, {"base64offset", encode_base64offset}, {"wide", encode_wide_le},
    {"utf16le", encode_wide_le}, {"utf16be", encode_utf16be}, {"utf16", encode_utf16}, {"windash", encode_windash}, {"fieldref", apply_fieldref},
    {"expand", apply_expand}, {"minute", apply_minute}, {"hour", apply_hour}, {"day", apply_day}, {"week", apply_week},
    {"month", apply_month}, {"year", apply_year},
};

static const struct modifier *find_modifier(struct bytes name)
{
    for (size_t i = 0; i < sizeof modifiers / sizeof *modifiers; i++)
        if (bytes_equal_text(name, modifiers[i].name))
            return &modifiers[i];
    return NULL;
}

static bool apply(struct chain *c, const struct modifier *m, struct work *w)
{
    if (w->kind != WORK_ANY)
        return m->apply(c, w);
    for (size_t i = 0; i < w->any_count; i++)
        if (!apply(c, m, &w->any[i]))
            return false;
    return true;
}

static bool finish_regex(struct chain *c, struct work *w)
{
    const char *why;
    struct regex *regex = NULL;
    if (regex_check_subset(w->raw, &why))
        regex = regex_compile(w->raw, c->regex_options, &why);
    if (!regex) {
        loader_refuse(c->l, w->line, "%s", why);
        return false;
    }
    w->test.regex = regex;
    return rules_keep_regex(c->l->rules, regex);
}

static bool finish(struct chain *c, struct work *w, struct test *t)
{
    switch (w->kind) {
    case WORK_TEXT:
        *t = (struct test){.kind = TEST_PATTERN, .pattern = w->pattern};
        if (!pattern_seal(&c->l->rules->arena, &t->pattern, c->cased))
            return work_refuse(c, w, "this text cannot be compared without regard to case");
        return !t->pattern.folded || rules_keep_regex(c->l->rules, t->pattern.folded);
    case WORK_NUMBER: *t = (struct test){.kind = TEST_NUMBER, .number = w->number}; return true;
    case WORK_BOOL: *t = (struct test){.kind = TEST_BOOL, .truth = w->truth}; return true;
    case WORK_NULL: *t = (struct test){.kind = TEST_NULL}; return true;
    case WORK_TEST:
        if (w->test.kind == TEST_REGEX && !finish_regex(c, w))
            return false;
        *t = w->test;
        t->cased = c->cased;
        return true;
    case WORK_ANY: break;
    }
    *t = (struct test){.kind = TEST_ANY, .any = arena_alloc(&c->l->rules->arena, w->any_count * sizeof *t), .any_count = w->any_count};
    if (!work_memory(c, t->any))
        return false;
    for (size_t i = 0; i < w->any_count; i++)
        if (!finish(c, &w->any[i], &t->any[i]))
            return false;
    return true;
}

static bool take_value(struct chain *c, const struct yaml *y, struct work *w)
{
    *w = (struct work){.line = y->line, .raw = y->text};
    if (y->kind != YAML_SCALAR) {
        loader_refuse(c->l, y->line, "a value must be text, a number, true, false or null");
        return false;
    }
    if (yaml_is_null(y))
        w->kind = WORK_NULL;
    else if (yaml_is_bool(y, &w->truth))
        w->kind = WORK_BOOL;
    else if (yaml_is_number(y, &w->number))
        w->kind = WORK_NUMBER;
    else
        w->kind = WORK_TEXT;
    return w->kind != WORK_TEXT || work_memory(c, pattern_parse(&c->l->rules->arena, y->text, &w->pattern) ? y : NULL);
}

static bool take_values(struct chain *c, const struct yaml *entry, const struct modifier *const *mods, size_t mod_count)
{
    bool list = entry->kind == YAML_LIST;
    size_t count = list ? entry->count : 1, i = 0;
    struct item *item = c->item;
    if (!count) {
        loader_refuse(c->l, entry->line, "an empty list of values can never match");
        return false;
    }
    item->tests = arena_alloc(&c->l->rules->arena, count * sizeof *item->tests);
    if (!work_memory(c, item->tests))
        return false;
    bool expands = false;
    for (size_t m = 0; m < mod_count; m++)
        expands |= mods[m]->apply == apply_expand;
    for (const struct yaml *y = list ? entry->first : entry; y && i < count; y = y->next, i++) {
        struct work w;
        if (!take_value(c, y, &w))
            return false;
        if (w.kind == WORK_NULL && list && count > 1)
            return work_refuse(c, &w, "null stands alone, never inside a list");
        if (w.kind == WORK_NULL && mod_count && !(mod_count == 1 && mods[0]->apply == apply_neq))
            return work_refuse(c, &w, "null takes no modifiers");
        if (item->keyword && (w.kind == WORK_NULL || w.kind == WORK_BOOL))
            return work_refuse(c, &w, "a keyword must be text or a number");
        if (item->keyword && w.kind == WORK_NUMBER) {
            w.kind = WORK_TEXT;
            if (!work_memory(c, pattern_parse(&c->l->rules->arena, w.raw, &w.pattern) ? y : NULL))
                return false;
        }
        c->line = y->line;
        if (expands && !expand(c, &w))
            return false;
        for (c->applied = 0; c->applied < mod_count; c->applied++)
            if (!apply(c, mods[c->applied], &w))
                return false;
        if (item->keyword && w.kind == WORK_TEXT && !pattern_extend(c, &w, true, true))
            return false;
        if (!finish(c, &w, &item->tests[item->test_count]))
            return false;
        item->test_count++;
    }
    return true;
}

static bool take_modifiers(struct loader *l, const struct yaml *entry, struct bytes text, const struct modifier **mods, size_t *count)
{
    while (text.size) {
        const uint8_t *bar = memchr(text.at, '|', text.size);
        struct bytes name = bytes_of(text.at, bar ? (size_t)(bar - text.at) : text.size);
        const struct modifier *m = find_modifier(name);
        if (!m || *count == MODIFIERS_MAX) {
            loader_refuse(l, entry->key_line, m ? "too many modifiers" : "unknown modifier '%.*s'", (int)name.size, (const char *)name.at);
            return false;
        }
        mods[(*count)++] = m;
        text = bytes_from(text, name.size + (bar ? 1 : 0));
    }
    return true;
}

static bool take_field(struct loader *l, const struct yaml *entry, struct bytes name, struct item *item)
{
    const char *why;
    item->name = name;
    item->keyword = !name.size;
    if (item->keyword || field_find(&l->rules->arena, name, &item->field, &why)) {
        if (bytes_equal_text(name, "own"))
            l->rule->sees_own = true;
        return true;
    }
    const char *nearest = why ? NULL : field_nearest(name);
    loader_refuse(l, entry->key_line, "unknown field '%.*s'%s%s%s%s", (int)name.size, (const char *)name.at, why ? ": " : nearest ? "; did you mean '" : "",
                  why ? why : nearest ? nearest : "", nearest ? "'?" : "", "");
    return false;
}

// "body.size|gte: 10000" cannot be without a number of five digits.
static unsigned digits_needed(const struct item *item)
{
    unsigned least = UINT_MAX;
    for (size_t i = 0; i < item->test_count; i++) {
        const struct test *t = &item->tests[i];
        if (!field_of_body(&item->field) || t->kind != TEST_COMPARE || (t->compare != COMPARE_GT && t->compare != COMPARE_GTE) || t->number < 10)
            return 0;
        unsigned digits = 1;
        for (double n = t->number; n >= 10; n /= 10)
            digits++;
        least = digits < least ? digits : least;
    }
    return least;
}

bool item_compile(struct loader *l, const struct yaml *entry, struct item *item)
{
    const struct modifier *mods[MODIFIERS_MAX];
    size_t count = 0;
    *item = (struct item){.line = entry->key_line ? entry->key_line : entry->line};
    struct bytes key = entry->key, name = key;
    const uint8_t *bar = key.size ? memchr(key.at, '|', key.size) : NULL;
    if (bar)
        name.size = (size_t)(bar - key.at);
    if (!take_modifiers(l, entry, bar ? bytes_from(key, name.size + 1) : (struct bytes){0}, mods, &count) || !take_field(l, entry, name, item))
        return false;
    struct chain c = {.l = l, .item = item, .line = entry->line};
    if (!take_values(&c, entry, mods, count))
        return false;
    item->all = c.all;
    item->negated = c.negated;
    item->digits = digits_needed(item);
    if (item->all && item->test_count < 2) {
        loader_refuse(l, item->line, "'all' on a single value: give a list");
        return false;
    }
    return true;
}
