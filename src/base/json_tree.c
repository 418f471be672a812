// The JSON tree: a whole document in memory, numbers with their spelling, key order and duplicate keys kept.
#include "../../include/bounds.h"
#include "json.h"
#include "json_text.h"
#include "utf8.h"
#include "map.h"

#include <stdlib.h>

struct parser {
    struct arena *arena;
    const uint8_t *start, *at, *end;
    unsigned depth;
};

static bool skip_comment(struct parser *p)
{
    if (p->end - p->at < 2)
        return false;
    if (p->at[1] == '/') {
        const uint8_t *line = memchr(p->at, '\n', (size_t)(p->end - p->at));
        p->at = line ? line + 1 : p->end;
        return true;
    }
    if (p->at[1] != '*')
        return false;
    const uint8_t *close = p->end - p->at > 3 ? memmem(p->at + 2, (size_t)(p->end - p->at) - 2, "*/", 2) : NULL;
    if (!close)
        return false;
    p->at = close + 2;
    return true;
}

static bool skip_space(struct parser *p)
{
    for (;;) {
        while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t'))
            p->at++;
        if (p->at == p->end)
            return false;
        if (*p->at != '/')
            return true;
        if (!skip_comment(p))
            return false;
    }
}

static bool take_hex4(const uint8_t *at, const uint8_t *end, uint32_t *code)
{
    if (end - at < 4)
        return false;
    *code = 0;
    for (int i = 0; i < 4; i++) {
        int digit = bytes_hex_value(at[i]);
        if (digit < 0)
            return false;
        *code = *code << 4 | (uint32_t)digit;
    }
    return true;
}

// One escape behind its backslash; *at ends behind it. Resolved text is never longer than its escape.
static bool unescape(const uint8_t **at, const uint8_t *end, uint8_t *to, size_t *size)
{
    if (*at == end)
        return false;
    uint8_t c = *(*at)++;
    if (c != 'u') {
        int plain = json_plain_escape(c);
        if (plain < 0)
            return false;
        *to = (uint8_t)plain;
        *size = 1;
        return true;
    }
    uint32_t code, low;
    if (!take_hex4(*at, end, &code))
        return false;
    *at += 4;
    if (code >= 0xd800 && code < 0xdc00 && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u' && take_hex4(*at + 2, end, &low) &&
        low >= 0xdc00 && low < 0xe000) {
        *at += 6;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xd800 && code < 0xe000) {
        code = 0xfffd;
    }
    *size = utf8_put(to, code);
    return true;
}

static bool parse_string(struct parser *p, struct bytes *text)
{
    const uint8_t *from = ++p->at, *at = from;
    while (at < p->end && *at != '"' && *at != '\\')
        at++;
    if (at == p->end)
        return false;
    if (*at == '"') {
        *text = bytes_of(from, (size_t)(at - from));
        p->at = at + 1;
        return true;
    }
    const uint8_t *close = at;
    while (close < p->end && *close != '"')
        close += *close == '\\' ? 2 : 1;
    if (close >= p->end)
        return false;
    uint8_t *to = arena_alloc(p->arena, (size_t)(close - from));
    if (!to)
        return false;
    size_t used = (size_t)(at - from);
    memcpy(to, from, used);
    while (at < close) {
        if (*at != '\\') {
            to[used++] = *at++;
            continue;
        }
        size_t size;
        at++;
        if (!unescape(&at, close, to + used, &size))
            return false;
        used += size;
    }
    *text = bytes_of(to, used);
    p->at = close + 1;
    return true;
}

static bool parse_number(struct parser *p, struct bytes *text)
{
    const uint8_t *from = p->at, *at = from;
#define DIGITS()                                    \
    do {                                            \
        const uint8_t *first = at;                  \
        while (at < p->end && json_is_digit(*at))      \
            at++;                                   \
        if (at == first)                            \
            return false;                           \
    } while (0)
    if (at < p->end && *at == '-')
        at++;
    if (at < p->end && *at == '0')
        at++;
    else
        DIGITS();
    if (at < p->end && *at == '.') {
        at++;
        DIGITS();
    }
    if (at < p->end && (*at | 32) == 'e') {
        at++;
        if (at < p->end && (*at == '+' || *at == '-'))
            at++;
        DIGITS();
    }
#undef DIGITS
    *text = bytes_of(from, (size_t)(at - from));
    p->at = at;
    return true;
}

static struct json *parse_value(struct parser *p);

static bool parse_members(struct parser *p, struct json *into)
{
    bool object = into->kind == JSON_KIND_OBJECT;
    uint8_t close = object ? '}' : ']';
    struct json **tail = &into->first;
    p->at++;
    if (!skip_space(p))
        return false;
    if (*p->at == close) {
        p->at++;
        return true;
    }
    for (;;) {
        struct bytes key = {0};
        if (object) {
            if (!skip_space(p) || *p->at != '"' || !parse_string(p, &key) || !skip_space(p) || *p->at != ':')
                return false;
            p->at++;
        }
        struct json *value = parse_value(p);
        if (!value)
            return false;
        value->key = key;
        *tail = value;
        tail = &value->next;
        into->count++;
        if (!skip_space(p))
            return false;
        uint8_t c = *p->at;
        if (c != ',' && c != close)
            return false;
        p->at++;
        if (c == close)
            return true;
    }
}

static bool parse_word(struct parser *p, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(p->end - p->at) < size || memcmp(p->at, word, size) != 0)
        return false;
    p->at += size;
    return true;
}

static bool parse_into(struct parser *p, struct json *j)
{
    switch (*p->at) {
    case '{':
    case '[':
        j->kind = *p->at == '{' ? JSON_KIND_OBJECT : JSON_KIND_ARRAY;
        if (p->depth >= BOUND_JSON_DEPTH)
            return false;
        p->depth++;
        if (!parse_members(p, j))
            return false;
        p->depth--;
        return true;
    case '"':
        j->kind = JSON_KIND_STRING;
        return parse_string(p, &j->text);
    case 't':
        j->kind = JSON_KIND_TRUE;
        return parse_word(p, "true");
    case 'f':
        j->kind = JSON_KIND_FALSE;
        return parse_word(p, "false");
    case 'n':
        j->kind = JSON_KIND_NULL;
        return parse_word(p, "null");
    default:
        j->kind = JSON_KIND_NUMBER;
        return parse_number(p, &j->text);
    }
}

static struct json *parse_value(struct parser *p)
{
    if (!skip_space(p))
        return NULL;
    struct json *j = arena_alloc(p->arena, sizeof *j);
    if (!j)
        return NULL;
    *j = (struct json){0};
    const uint8_t *from = p->at;
    if (!parse_into(p, j))
        return NULL;
    j->raw = bytes_of(from, (size_t)(p->at - from));
    return j;
}

struct json *json_parse(struct arena *a, struct bytes text, size_t *error_at)
{
    struct parser p = {.arena = a, .start = text.at, .at = text.at, .end = text.at + text.size};
    struct json *j = parse_value(&p);
    if (j && skip_space(&p))
        j = NULL;
    if (j && p.at != p.end) // a comment that does not end
        j = NULL;
    if (!j && error_at)
        *error_at = (size_t)(p.at - p.start);
    return j;
}

// ---- looking --------------------------------------------------------------------------------------------------------

static struct json *member_bytes(const struct json *object, struct bytes key)
{
    struct json *found = NULL;
    if (!object || object->kind != JSON_KIND_OBJECT)
        return NULL;
    for (struct json *j = object->first; j; j = j->next)
        if (bytes_equal(j->key, key))
            found = j;
    return found;
}

struct json *json_member(const struct json *object, const char *key)
{
    return member_bytes(object, bytes_of_text(key));
}

struct json *json_path(const struct json *from, const char *dotted)
{
    const struct json *at = from;
    while (at && *dotted) {
        size_t size = strcspn(dotted, ".");
        at = member_bytes(at, bytes_of(dotted, size));
        dotted += size;
        dotted += *dotted == '.';
    }
    return (struct json *)at;
}

bool json_is_text(const struct json *j, const char *text)
{
    return j && j->kind == JSON_KIND_STRING && bytes_equal_text(j->text, text);
}

int64_t json_int(const struct json *j, int64_t otherwise)
{
    if (!j || (j->kind != JSON_KIND_NUMBER && j->kind != JSON_KIND_STRING) || !j->text.size || j->text.size > 20)
        return otherwise;
    char text[24];
    memcpy(text, j->text.at, j->text.size);
    text[j->text.size] = 0;
    char *end;
    if (*text != '-' && (*text < '0' || *text > '9'))
        return otherwise;
    // Saturation would invent a number: what does not fit is not known.
    long long value = strtoll(text, &end, 10);
    if (*end || end == text || value == INT64_MAX || value == INT64_MIN)
        return otherwise;
    return value;
}

bool json_true(const struct json *j)
{
    return j && (j->kind == JSON_KIND_TRUE || json_is_text(j, "true"));
}

// ---- equality as values ---------------------------------------------------------------------------------------------

// A number as 0.d1d2d3... x 10^exponent without zeros at either end of the digits.
struct decimal {
    bool negative;
    const uint8_t *at;    // the spelling's digits, dot included
    size_t first, last;   // of significant digits in it; first > last: zero
    int64_t exponent;
};

static struct decimal decimal_of(struct bytes t)
{
    struct decimal d = {.at = t.at, .first = 1, .last = 0};
    size_t i = t.size && t.at[0] == '-', end = i, dot = SIZE_MAX;
    d.negative = i == 1;
    for (; end < t.size && (t.at[end] | 32) != 'e'; end++)
        if (t.at[end] == '.')
            dot = end;
    int64_t shift = 0;
    if (end < t.size) {
        bool negative = end + 1 < t.size && t.at[end + 1] == '-';
        for (size_t k = end + 1; k < t.size; k++)
            if (json_is_digit(t.at[k]) && shift < INT64_C(1) << 40)
                shift = shift * 10 + (t.at[k] - '0');
        shift = negative ? -shift : shift;
    }
    size_t whole = (dot == SIZE_MAX ? end : dot) - i; // digits before the dot
    bool found = false;
    for (size_t k = i; k < end; k++) {
        if (t.at[k] == '.' || t.at[k] == '0')
            continue;
        if (!found)
            d.first = k;
        d.last = k;
        found = true;
    }
    if (!found) {
        d.negative = false;
        return d;
    }
    size_t before = d.first - i - (dot != SIZE_MAX && d.first > dot);
    d.exponent = (int64_t)whole - (int64_t)before + shift;
    return d;
}

static bool numbers_equal(struct bytes a, struct bytes b)
{
    if (bytes_equal(a, b))
        return true;
    struct decimal x = decimal_of(a), y = decimal_of(b);
    bool zero_x = x.first > x.last, zero_y = y.first > y.last;
    if (zero_x || zero_y)
        return zero_x && zero_y;
    if (x.negative != y.negative || x.exponent != y.exponent)
        return false;
    size_t i = x.first, k = y.first;
    for (;; i++, k++) {
        if (i <= x.last && x.at[i] == '.')
            i++;
        if (k <= y.last && y.at[k] == '.')
            k++;
        if (i > x.last || k > y.last)
            return i > x.last && k > y.last;
        if (x.at[i] != y.at[k])
            return false;
    }
}

static bool objects_equal(const struct json *a, const struct json *b)
{
    // Few members: search; many: by a map, so that hostile objects cost no square.
    if (a->count <= 16 && b->count <= 16) {
        for (const struct json *j = a->first; j; j = j->next)
            if (member_bytes(a, j->key) == j && !json_equal(j, member_bytes(b, j->key)))
                return false;
        for (const struct json *j = b->first; j; j = j->next)
            if (!member_bytes(a, j->key))
                return false;
        return true;
    }
    struct map *left = map_open(), *right = map_open();
    bool equal = left && right;
    for (const struct json *j = a->first; equal && j; j = j->next) {
        union map_value *v = map_put(left, j->key, NULL);
        if (!(equal = v != NULL))
            break;
        v->ptr = (void *)j;
    }
    for (const struct json *j = b->first; equal && j; j = j->next) {
        union map_value *v = map_put(right, j->key, NULL);
        if (!(equal = v != NULL))
            break;
        v->ptr = (void *)j;
    }
    equal = equal && map_count(left) == map_count(right);
    size_t at = 0;
    struct bytes key;
    union map_value *value;
    while (equal && map_next(left, &at, &key, &value)) {
        union map_value *other = map_find(right, key);
        equal = other && json_equal(value->ptr, other->ptr);
    }
    map_close(left);
    map_close(right);
    return equal;
}

bool json_equal(const struct json *a, const struct json *b)
{
    if (!a || !b || a->kind != b->kind)
        return false;
    switch (a->kind) {
    case JSON_KIND_NUMBER:
        return numbers_equal(a->text, b->text);
    case JSON_KIND_STRING:
        return bytes_equal(a->text, b->text);
    case JSON_KIND_OBJECT:
        return objects_equal(a, b);
    case JSON_KIND_ARRAY: {
        const struct json *x = a->first, *y = b->first;
        for (; x && y; x = x->next, y = y->next)
            if (!json_equal(x, y))
                return false;
        return !x && !y;
    }
    default:
        return true;
    }
}
