// Evaluates compiled detections. Time is bounded: patterns need no recursion, regular expressions run under limits.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "match.h"

#include "../base/clock.h"
#include "event_inner.h"
#include "find.h"

#include <arpa/inet.h>
#include <pcre2.h>
#include <stdlib.h>
#include <time.h>

// Far above what an honest rule needs on 64 KiB; a hostile one is over within about a millisecond.
enum { REGEX_STEPS_MAX = 20000, REGEX_DEPTH_MAX = 2000, REGEX_HEAP_KIB = 256 };

struct regex {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *limits;
};

void matcher_fini(struct matcher *m)
{
    values_fini(&m->values);
    values_fini(&m->others);
}

// ---- regular expressions ----------------------------------------------------------------------------------------------

void regex_close(struct regex *r)
{
    if (!r)
        return;
    pcre2_code_free(r->code);
    pcre2_match_data_free(r->data);
    pcre2_match_context_free(r->limits);
    mem_free(r);
}

struct regex *regex_compile(struct bytes text, uint32_t options, const char **why)
{
    struct regex *r = mem_zero(1, sizeof *r);
    int error = 0;
    size_t at = 0;
    *why = "out of memory";
    if (!r)
        return NULL;
    r->code = pcre2_compile(text.at, text.size, options | PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &error, &at, NULL);
    r->data = r->code ? pcre2_match_data_create(1, NULL) : NULL;
    r->limits = r->data ? pcre2_match_context_create(NULL) : NULL;
    if (!r->limits) {
        if (!r->code)
            *why = "not a valid regular expression";
        regex_close(r);
        return NULL;
    }
    pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); // without it the interpreter runs, under the same limits
    pcre2_set_match_limit(r->limits, REGEX_STEPS_MAX);
    pcre2_set_depth_limit(r->limits, REGEX_DEPTH_MAX);
    pcre2_set_heap_limit(r->limits, REGEX_HEAP_KIB);
    return r;
}

static bool regex_find(struct matcher *m, const struct regex *r, struct bytes text)
{
    int found = pcre2_match(r->code, text.at ? text.at : (const uint8_t *)"", text.size, 0, 0, r->data, r->limits);
    if (found >= 0)
        return true;
    if (found != PCRE2_ERROR_NOMATCH)
        m->limited++;
    return false;
}

static bool is_quantifier(struct bytes text, size_t i)
{
    return i < text.size && memchr("*+?{", text.at[i], 4);
}

bool regex_check_subset(struct bytes text, const char **why)
{
    bool in_class = false, after_quantifier = false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.at[i];
        bool quantifier = false;
        if (c == '\\') {
            uint8_t next = i + 1 < text.size ? text.at[i + 1] : 0;
            if (next >= '0' && next <= '9')
                return *why = "back-references are outside Sigma's subset of regular expressions", false;
            if ((next | 32) >= 'a' && (next | 32) <= 'z')
                return *why = "escapes such as \\d, \\w, \\s are outside Sigma's subset of regular expressions: write a class as [0-9]", false;
            i++;
        } else if (in_class) {
            if (c == '[' && i + 1 < text.size && memchr(":.=", text.at[i + 1], 3))
                return *why = "named classes as [:alpha:] are outside Sigma's subset of regular expressions", false;
            in_class = c != ']';
        } else if (c == '[') {
            in_class = true;
            i += i + 1 < text.size && text.at[i + 1] == '^';
            i += i + 1 < text.size && text.at[i + 1] == ']';
        } else if (c == '(' && i + 1 < text.size && (text.at[i + 1] == '?' || text.at[i + 1] == '*')) {
            return *why = "(?...) groups (lookaround, flags, names) are outside Sigma's subset of regular expressions: use ( ) and the modifiers i, m, s", false;
        } else if (is_quantifier(text, i)) {
            if (after_quantifier)
                return *why = "lazy and possessive quantifiers are outside Sigma's subset of regular expressions: x* finds the same as x*?", false;
            quantifier = true;
            const uint8_t *end = c == '{' ? memchr(text.at + i, '}', text.size - i) : NULL;
            if (end)
                i = (size_t)(end - text.at);
        }
        after_quantifier = quantifier;
    }
    return true;
}

// ---- patterns ---------------------------------------------------------------------------------------------------------

static bool is_wild(uint8_t c)
{
    return c == '*' || c == '?';
}

// A backslash escapes a wildcard or a backslash; before anything else, and at the end, it stands for itself.
bool pattern_parse(struct arena *a, struct bytes text, struct pattern *p)
{
    *p = (struct pattern){.byte = arena_alloc(a, text.size + 1), .special = arena_alloc(a, text.size + 1)};
    if (!p->byte || !p->special)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.at[i];
        enum special special = c == '*' ? STAR : c == '?' ? QUESTION : PLAIN;
        if (c == '\\' && i + 1 < text.size && (is_wild(text.at[i + 1]) || text.at[i + 1] == '\\')) {
            c = text.at[++i];
            special = PLAIN;
        }
        p->byte[p->size] = c;
        p->special[p->size++] = (uint8_t)special;
    }
    return true;
}

bool pattern_plain(const struct pattern *p)
{
    for (size_t i = 0; i < p->size; i++)
        if (p->special[i])
            return false;
    return true;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 32 : c;
}

static bool seal_folded(struct pattern *p)
{
    struct buf text = {0};
    const char *why;
    buf_add_text(&text, "\\A");
    for (size_t i = 0; i < p->size; i++) {
        if (p->special[i] == PLAIN && p->byte[i] < 0x80 && p->byte[i] >= ' ' && !((lower(p->byte[i]) >= 'a' && lower(p->byte[i]) <= 'z') || (p->byte[i] >= '0' && p->byte[i] <= '9')))
            buf_add_byte(&text, '\\');
        if (p->special[i] != PLAIN)
            buf_add_text(&text, p->special[i] == STAR ? ".*" : ".");
        else
            buf_add_byte(&text, p->byte[i]);
    }
    buf_add_text(&text, "\\z");
    p->folded = text.failed ? NULL : regex_compile(buf_view(&text), PCRE2_CASELESS | PCRE2_DOTALL, &why);
    buf_fini(&text);
    return p->folded != NULL;
}

bool pattern_seal(struct arena *a, struct pattern *p, bool cased)
{
    bool wide = false;
    size_t stars = 0, others = 0;
    (void)a;
    p->cased = cased;
    for (size_t i = 0; i < p->size; i++) {
        wide |= p->special[i] == PLAIN && p->byte[i] >= 0x80;
        stars += p->special[i] == STAR;
        others += p->special[i] == QUESTION;
        if (!cased && p->special[i] == PLAIN)
            p->byte[i] = lower(p->byte[i]);
    }
    bool first = p->size && p->special[0] == STAR, last = p->size && p->special[p->size - 1] == STAR;
    p->core = bytes_of(p->byte, p->size);
    p->shape = SHAPE_GENERAL;
    if (!others && stars == p->size && p->size)
        p->shape = SHAPE_ANYTHING;
    else if (!others && !stars)
        p->shape = SHAPE_EXACT;
    else if (!others && stars == 1 && last)
        p->shape = SHAPE_PREFIX, p->core.size--;
    else if (!others && stars == 1 && first)
        p->shape = SHAPE_SUFFIX, p->core = bytes_from(p->core, 1);
    else if (!others && stars == 2 && first && last)
        p->shape = SHAPE_CONTAINS, p->core = bytes_of(p->byte + 1, p->size - 2);
    return !wide || cased || seal_folded(p);
}

static bool same(const struct pattern *p, const uint8_t *at, struct bytes core)
{
    return p->cased ? memcmp(at, core.at, core.size) == 0 : find_same_nocase(at, core);
}

static size_t char_size(struct bytes text, size_t at)
{
    size_t size = 1;
    while (text.at[at] >= 0xc0 && at + size < text.size && (text.at[at + size] & 0xc0) == 0x80 && size < 4)
        size++;
    return size;
}

// Only the last star needs to be remembered: an earlier one can take no match that a later one could not.
static bool match_general(struct matcher *m, const struct pattern *p, struct bytes text)
{
    size_t i = 0, t = 0, star = SIZE_MAX, star_t = 0;
    for (size_t steps = 0; t < text.size; steps++) {
        if (steps > FIND_STEPS_MAX) {
            m->limited++;
            return false;
        }
        if (i < p->size && p->special[i] == STAR) {
            star = i++;
            star_t = t;
        } else if (i < p->size && p->special[i] == QUESTION) {
            i++;
            t += char_size(text, t);
        } else if (i < p->size && (p->cased ? text.at[t] : lower(text.at[t])) == p->byte[i]) {
            i++, t++;
        } else if (star != SIZE_MAX) {
            i = star + 1;
            star_t += char_size(text, star_t);
            t = star_t;
        } else {
            return false;
        }
    }
    while (i < p->size && p->special[i] == STAR)
        i++;
    return i == p->size;
}

bool pattern_match(struct matcher *m, const struct pattern *p, struct bytes text)
{
    if (p->folded)
        return regex_find(m, p->folded, text);
    switch (p->shape) {
    case SHAPE_ANYTHING: return true;
    case SHAPE_EXACT: return text.size == p->core.size && same(p, text.at, p->core);
    case SHAPE_PREFIX: return text.size >= p->core.size && same(p, text.at, p->core);
    case SHAPE_SUFFIX: return text.size >= p->core.size && same(p, text.at + text.size - p->core.size, p->core);
    case SHAPE_CONTAINS: return p->cased ? memmem(text.at, text.size, p->core.at, p->core.size) != NULL : find_nocase(text, p->core, &m->limited);
    case SHAPE_GENERAL: break;
    }
    return match_general(m, p, text);
}

// ---- tests ------------------------------------------------------------------------------------------------------------

// A value as a number: numbers, times and texts that spell one.
static bool number_of(const struct value *v, double *number)
{
    if (v->kind == VALUE_INT || v->kind == VALUE_REAL || v->kind == VALUE_TIME) {
        *number = v->real;
        return true;
    }
    if (v->kind != VALUE_TEXT || !v->text.size || v->text.size > 40 || v->text.at[0] == ' ')
        return false;
    char text[48], *end;
    memcpy(text, v->text.at, v->text.size);
    text[v->text.size] = 0;
    if (strspn(text, "+-.0123456789eE") != v->text.size)
        return false;
    *number = strtod(text, &end);
    return end != text && !*end;
}

static bool match_compare(const struct test *t, const struct value *v)
{
    double n;
    if (!number_of(v, &n))
        return false;
    switch (t->compare) {
    case COMPARE_GT: return n > t->number;
    case COMPARE_GTE: return n >= t->number;
    case COMPARE_LT: return n < t->number;
    case COMPARE_LTE: return n <= t->number;
    }
    return false;
}

static bool match_bool(const struct test *t, const struct value *v)
{
    if (v->kind == VALUE_BOOL)
        return (v->num != 0) == t->truth;
    return v->kind == VALUE_TEXT && bytes_equal_text_nocase(v->text, t->truth ? "true" : "false");
}

static bool match_cidr(const struct test *t, const struct value *v)
{
    char text[64];
    struct in_addr four;
    uint8_t ip[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (v->kind != VALUE_TEXT || v->text.size >= sizeof text)
        return false;
    memcpy(text, v->text.at, v->text.size);
    text[v->text.size] = 0;
    if (inet_pton(AF_INET, text, &four) == 1)
        memcpy(ip + 12, &four, 4);
    else if (inet_pton(AF_INET6, text, ip) != 1)
        return false;
    unsigned whole = t->ip_bits / 8, rest = t->ip_bits % 8;
    if (memcmp(ip, t->ip, whole) != 0)
        return false;
    return !rest || ((ip[whole] ^ t->ip[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

static bool match_part(const struct test *t, const struct value *v)
{
    char text[64];
    int64_t ns = v->num;
    if (v->kind == VALUE_TEXT && v->text.size < sizeof text) {
        memcpy(text, v->text.at, v->text.size);
        text[v->text.size] = 0;
        if (!clock_parse(text, 0, &ns))
            return false;
    } else if (v->kind != VALUE_TIME) {
        return false;
    }
    time_t seconds = (time_t)(ns / WHEN_NS_PER_S);
    struct tm tm;
    char week[4];
    gmtime_r(&seconds, &tm);
    strftime(week, sizeof week, "%V", &tm);
    const int parts[] = {tm.tm_min, tm.tm_hour, tm.tm_mday, atoi(week), tm.tm_mon + 1, tm.tm_year + 1900};
    return parts[t->part] == (int)t->number;
}

static bool text_equal(struct bytes a, struct bytes b, bool cased)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        if (cased ? a.at[i] != b.at[i] : lower(a.at[i]) != lower(b.at[i]))
            return false;
    return true;
}

// Case beyond ASCII: the other field's text becomes a pattern of its own. Rare, so it is made each time.
static bool match_folded(struct matcher *m, const struct test *t, struct bytes text, struct bytes other)
{
    struct arena a;
    struct pattern p = {0};
    bool found = false;
    arena_init(&a, 0);
    p.byte = arena_alloc(&a, other.size + 2);
    p.special = arena_alloc(&a, other.size + 2);
    if (p.byte && p.special) {
        if (t->ref_ends)
            p.special[p.size] = STAR, p.byte[p.size++] = '*';
        memcpy(p.byte + p.size, other.at, other.size);
        memset(p.special + p.size, PLAIN, other.size);
        p.size += other.size;
        if (t->ref_starts)
            p.special[p.size] = STAR, p.byte[p.size++] = '*';
        found = seal_folded(&p) && regex_find(m, p.folded, text);
        regex_close(p.folded);
    }
    arena_fini(&a);
    return found;
}

static bool is_ascii(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.at[i] >= 0x80)
            return false;
    return true;
}

static bool match_texts(struct matcher *m, const struct test *t, struct bytes text, struct bytes other)
{
    if (!t->cased && !is_ascii(other))
        return match_folded(m, t, text, other);
    if (other.size > text.size || (!other.size && (t->ref_starts || t->ref_ends)))
        return false;
    if (t->ref_starts && t->ref_ends) {
        size_t steps = 0;
        for (size_t i = 0; i + other.size <= text.size; i++, steps += other.size) {
            if (text_equal(bytes_of(text.at + i, other.size), other, t->cased))
                return true;
            if (steps > FIND_STEPS_MAX) {
                m->limited++;
                return false;
            }
        }
        return false;
    }
    if (t->ref_starts)
        return text_equal(bytes_of(text.at, other.size), other, t->cased);
    if (t->ref_ends)
        return text_equal(bytes_from(text, text.size - other.size), other, t->cased);
    return text_equal(text, other, t->cased);
}

static bool match_field(struct matcher *m, const struct test *t, const struct value *v)
{
    for (size_t i = 0; i < m->others.count; i++) {
        const struct value *o = &m->others.at[i];
        double a, b;
        if (o->kind == VALUE_NULL || v->kind == VALUE_NULL)
            continue;
        if (!t->ref_starts && !t->ref_ends && number_of(v, &a) && number_of(o, &b) && a == b)
            return true;
        char mine[VALUE_TEXT_ROOM], other[VALUE_TEXT_ROOM];
        if (match_texts(m, t, value_text(v, mine), value_text(o, other)))
            return true;
    }
    return false;
}

static bool match_value(struct matcher *m, const struct test *t, const struct value *v)
{
    double n;
    char room[VALUE_TEXT_ROOM];
    switch (t->kind) {
    case TEST_PATTERN: return v->kind != VALUE_NULL && pattern_match(m, &t->pattern, value_text(v, room));
    case TEST_NUMBER: return number_of(v, &n) && n == t->number;
    case TEST_BOOL: return match_bool(t, v);
    case TEST_REGEX: return v->kind != VALUE_NULL && regex_find(m, t->regex, value_text(v, room));
    case TEST_CIDR: return match_cidr(t, v);
    case TEST_COMPARE: return match_compare(t, v);
    case TEST_PART: return match_part(t, v);
    case TEST_FIELD: return match_field(m, t, v);
    case TEST_NULL: return v->kind == VALUE_NULL;
    case TEST_EXISTS:
    case TEST_ANY: break;
    }
    return false;
}

static bool match_test(struct matcher *m, const struct test *t, struct event *e, const struct values *values)
{
    if (t->kind == TEST_ANY) {
        for (size_t i = 0; i < t->any_count; i++)
            if (match_test(m, &t->any[i], e, values))
                return true;
        return false;
    }
    if (t->kind == TEST_EXISTS)
        return (values->count > 0) == t->truth;
    if (t->kind == TEST_NULL && !values->count)
        return true;
    if (t->kind == TEST_FIELD) {
        values_clear(&m->others);
        t->field.get(e, &t->field, &m->others);
    }
    for (size_t i = 0; i < values->count; i++)
        if (match_value(m, t, &values->at[i]))
            return true;
    return false;
}

static bool item_match(struct matcher *m, const struct item *item, struct event *e)
{
    struct value one;
    struct values direct = {.at = &one}, *values = &m->values;
    if (item == m->implied)
        return true;
    if (item->field.direct) {
        direct.count = field_direct_value(item->field.direct, &item->field, e->x, &one);
        values = &direct;
    } else {
        values_clear(values);
        if (item->keyword)
            event_texts(e, values);
        else if (!item->digits || item->digits <= event_digits(e)) // else no number in the body is that large
            item->field.get(e, &item->field, values);
    }
    bool found = item->all;
    for (size_t i = 0; i < item->test_count && found == item->all; i++)
        found = match_test(m, &item->tests[i], e, values);
    return found != item->negated;
}

bool expr_match(struct matcher *m, const struct expr *expr, struct event *e)
{
    switch (expr->kind) {
    case EXPR_ITEM: return item_match(m, expr->item, e);
    case EXPR_NOT: return !expr_match(m, expr->first, e);
    case EXPR_AND:
        for (const struct expr *c = expr->first; c; c = c->next)
            if (!expr_match(m, c, e))
                return false;
        return true;
    case EXPR_OR:
        for (const struct expr *c = expr->first; c; c = c->next)
            if (expr_match(m, c, e))
                return true;
        return false;
    }
    return false;
}
