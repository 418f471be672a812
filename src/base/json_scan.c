// The JSON scanner: fed in pieces cut anywhere, constant memory, tokens handed to a callback.
//
// As lenient as Elasticsearch's parser: comments (// and /* */) and raw control characters in strings are accepted.
// 1. Every byte is looked at once; nothing is kept between feeds but the token under way (at most text_max bytes).
// 2. `stack` holds one bit a level: 1 object, 0 array; depth <= BOUND_JSON_DEPTH.
// 3. While skipping only brackets, strings and comments are followed; the grammar inside is not checked.
#include "json.h"
#include "../../include/bounds.h"
#include "json_skip.h"
#include "json_text.h"
#include "utf8.h"
#include "mem.h"

enum state {
    TOP,          // between top-level values
    VALUE,        // a value must come
    VALUE_OR_END, // behind '['
    KEY_OR_END,   // behind '{'
    KEY,          // behind ',' in an object
    COLON,
    AFTER,        // behind a value: ',' or the container's end
    STRING, NUMBER, LITERAL,
    SKIP, SKIP_STRING,
    SLASH, COMMENT_LINE, COMMENT_BLOCK, COMMENT_STAR, // behind '/'; inside a comment; behind '*' in one
};

struct json_scan {
    json_fn *fn;
    void *ctx;
    size_t text_max;
    uint64_t offset;     // of the first byte of the piece under way
    enum state state, resume; // resume: state to return to behind a comment
    unsigned depth;
    uint64_t stack[(BOUND_JSON_DEPTH + 64) / 64];
    bool malformed, stopped, memory_out;

    struct buf text;     // of the token under way, where it could not be borrowed
    uint64_t token_at;
    bool is_key, cut;
    bool escaped;        // a backslash came last
    unsigned hex_left;   // digits of \uXXXX still to come
    uint32_t hex, high;  // high: a high surrogate waits for its low one
    unsigned number;     // how far a number under way has got (enum number_at)
    const char *literal; // rest of true, false, null
    enum json_event literal_event;

    bool mute;           // the value under way is a skipped key's
    unsigned skip_depth;
};

struct json_scan *json_open(json_fn *fn, void *ctx, size_t text_max)
{
    struct json_scan *s = mem_zero(1, sizeof *s);
    if (!s)
        return NULL;
    s->fn = fn;
    s->ctx = ctx;
    s->text_max = text_max;
    return s;
}

void json_close(struct json_scan *s)
{
    if (!s)
        return;
    buf_fini(&s->text);
    mem_free(s);
}

void json_reset(struct json_scan *s)
{
    struct buf text = s->text;
    *s = (struct json_scan){.fn = s->fn, .ctx = s->ctx, .text_max = s->text_max};
    s->text = text;
    buf_clear(&s->text);
}

bool json_malformed(const struct json_scan *s)
{
    return s->malformed;
}

static bool in_object(const struct json_scan *s)
{
    return s->depth && (s->stack[(s->depth - 1) / 64] >> (s->depth - 1) % 64 & 1);
}

static enum json_do emit(struct json_scan *s, enum json_event event, struct bytes text, uint64_t at, uint64_t end)
{
    struct json_token token = {.event = event, .text = text, .cut = s->cut, .depth = s->depth, .at = at, .end = end};
    enum json_do answer = s->fn(s->ctx, &token);
    s->cut = false;
    if (answer == JSON_STOP)
        s->stopped = true;
    return answer;
}

static void value_ended(struct json_scan *s, uint64_t end)
{
    s->mute = false;
    if (s->depth) {
        s->state = AFTER;
        return;
    }
    s->state = TOP;
    emit(s, JSON_DOC_END, (struct bytes){0}, end, end);
}

static void fail(struct json_scan *s)
{
    s->malformed = true;
}

// ---- containers -----------------------------------------------------------------------------------------------------

static void open_container(struct json_scan *s, bool object, uint64_t at)
{
    bool skip = s->mute;
    if (!skip)
        skip = emit(s, object ? JSON_OBJECT : JSON_ARRAY, (struct bytes){0}, at, at + 1) == JSON_SKIP;
    if (s->depth >= BOUND_JSON_DEPTH) {
        fail(s);
        return;
    }
    uint64_t bit = UINT64_C(1) << s->depth % 64;
    if (object)
        s->stack[s->depth / 64] |= bit;
    else
        s->stack[s->depth / 64] &= ~bit;
    s->depth++;
    s->state = skip ? SKIP : object ? KEY_OR_END : VALUE_OR_END;
    s->skip_depth = 1;
}

static void close_container(struct json_scan *s, bool object, uint64_t at)
{
    if (!s->depth || in_object(s) != object) {
        fail(s);
        return;
    }
    s->depth--;
    if (!s->mute)
        emit(s, object ? JSON_OBJECT_END : JSON_ARRAY_END, (struct bytes){0}, at, at + 1);
    value_ended(s, at + 1);
}

// ---- strings --------------------------------------------------------------------------------------------------------

static void keep(struct json_scan *s, const uint8_t *at, size_t size)
{
    if (s->mute || s->cut)
        return;
    if (size > s->text_max - s->text.size) {
        size = s->text_max - s->text.size;
        s->cut = true;
    }
    if (!buf_add(&s->text, at, size))
        s->memory_out = true;
}

static void keep_code(struct json_scan *s, uint32_t code)
{
    uint8_t u[4];
    keep(s, u, utf8_put(u, code));
}

static void drop_lone_surrogate(struct json_scan *s)
{
    if (s->high)
        keep_code(s, 0xfffd);
    s->high = 0;
}

static void end_hex(struct json_scan *s)
{
    uint32_t code = s->hex;
    if (code >= 0xdc00 && code < 0xe000 && s->high) {
        code = 0x10000 + ((s->high - 0xd800) << 10) + (code - 0xdc00);
        s->high = 0;
        keep_code(s, code);
        return;
    }
    drop_lone_surrogate(s);
    if (code >= 0xd800 && code < 0xdc00)
        s->high = code;
    else
        keep_code(s, code >= 0xdc00 && code < 0xe000 ? 0xfffd : code);
}

static void take_escape(struct json_scan *s, uint8_t c)
{
    s->escaped = false;
    if (c == 'u') {
        s->hex_left = 4;
        s->hex = 0;
        return;
    }
    int plain = json_plain_escape(c);
    if (plain < 0) {
        fail(s);
        return;
    }
    drop_lone_surrogate(s);
    keep(s, &(uint8_t){(uint8_t)plain}, 1);
}

static void take_hex(struct json_scan *s, uint8_t c)
{
    int digit = bytes_hex_value(c);
    if (digit < 0) {
        fail(s);
        return;
    }
    s->hex = s->hex << 4 | (uint32_t)digit;
    if (!--s->hex_left)
        end_hex(s);
}

static void begin_string(struct json_scan *s, bool is_key, uint64_t at)
{
    s->state = STRING;
    s->is_key = is_key;
    s->token_at = at;
    s->escaped = s->cut = false;
    s->hex_left = 0;
    s->high = 0;
    buf_clear(&s->text);
}

static void end_string(struct json_scan *s, struct bytes text, uint64_t end)
{
    if (s->is_key) {
        s->state = COLON;
        s->mute = emit(s, JSON_KEY, text, s->token_at, end) == JSON_SKIP;
        return;
    }
    bool leave = !s->mute && emit(s, JSON_STRING, text, s->token_at, end) == JSON_LEAVE;
    value_ended(s, end);
    if (leave && s->depth) {
        s->state = SKIP;
        s->skip_depth = 1;
    }
}

// Runs on from inside a string; returns where it stopped.
static const uint8_t *run_string(struct json_scan *s, const uint8_t *piece, const uint8_t *at, const uint8_t *end)
{
    // A string that begins and ends in this piece without an escape is borrowed.
    const uint8_t *whole = s->text.size == 0 && !s->escaped && !s->hex_left && !s->high && !s->cut &&
                                   s->token_at + 1 >= s->offset && piece + (s->token_at + 1 - s->offset) == at
                               ? at
                               : NULL;
    while (at < end && !s->malformed) {
        if (s->hex_left) {
            take_hex(s, *at++);
            continue;
        }
        if (s->escaped) {
            take_escape(s, *at++);
            continue;
        }
        const uint8_t *stop = json_skip_text(at, end);
        if (stop < end && *stop == '"' && whole == at) {
            size_t size = (size_t)(stop - at);
            s->cut = size > s->text_max;
            end_string(s, bytes_of(at, s->cut ? s->text_max : size), s->offset + (uint64_t)(stop + 1 - piece));
            return stop + 1;
        }
        whole = NULL;
        if (stop > at) {
            drop_lone_surrogate(s);
            keep(s, at, (size_t)(stop - at));
        }
        if (stop == end)
            return end;
        at = stop + 1;
        if (*stop == '"') {
            drop_lone_surrogate(s);
            end_string(s, buf_view(&s->text), s->offset + (uint64_t)(at - piece));
            return at;
        }
        s->escaped = true;
    }
    return at;
}

// ---- numbers and words ----------------------------------------------------------------------------------------------

// RFC 8259 as a walk: -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?, byte by byte, so that a number of any length
// and cut anywhere is checked.
enum number_at { NUMBER_START, NUMBER_MINUS, NUMBER_ZERO, NUMBER_WHOLE, NUMBER_DOT, NUMBER_FRACTION, NUMBER_E, NUMBER_E_SIGN, NUMBER_EXPONENT, NUMBER_BAD };

static enum number_at number_step(enum number_at at, uint8_t c)
{
    // Columns: '-', '+', '0', '1'-'9', '.', 'e'
    enum { B = NUMBER_BAD };
    static const uint8_t next[NUMBER_BAD][6] = {
        [NUMBER_START] = {NUMBER_MINUS, B, NUMBER_ZERO, NUMBER_WHOLE, B, B},
        [NUMBER_MINUS] = {B, B, NUMBER_ZERO, NUMBER_WHOLE, B, B},
        [NUMBER_ZERO] = {B, B, B, B, NUMBER_DOT, NUMBER_E},
        [NUMBER_WHOLE] = {B, B, NUMBER_WHOLE, NUMBER_WHOLE, NUMBER_DOT, NUMBER_E},
        [NUMBER_DOT] = {B, B, NUMBER_FRACTION, NUMBER_FRACTION, B, B},
        [NUMBER_FRACTION] = {B, B, NUMBER_FRACTION, NUMBER_FRACTION, B, NUMBER_E},
        [NUMBER_E] = {NUMBER_E_SIGN, NUMBER_E_SIGN, NUMBER_EXPONENT, NUMBER_EXPONENT, B, B},
        [NUMBER_E_SIGN] = {B, B, NUMBER_EXPONENT, NUMBER_EXPONENT, B, B},
        [NUMBER_EXPONENT] = {B, B, NUMBER_EXPONENT, NUMBER_EXPONENT, B, B},
    };
    unsigned column = c == '-' ? 0 : c == '+' ? 1 : c == '0' ? 2 : json_is_digit(c) ? 3 : c == '.' ? 4 : 5;
    return next[at][column];
}

static bool number_byte(uint8_t c)
{
    return json_is_digit(c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

static void end_number(struct json_scan *s, uint64_t end)
{
    enum number_at at = s->number;
    if (at != NUMBER_ZERO && at != NUMBER_WHOLE && at != NUMBER_FRACTION && at != NUMBER_EXPONENT) {
        fail(s);
        return;
    }
    if (!s->mute)
        emit(s, JSON_NUMBER, buf_view(&s->text), s->token_at, end);
    value_ended(s, end);
}

static const uint8_t *run_number(struct json_scan *s, const uint8_t *piece, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *from = at;
    while (at < end && number_byte(*at)) {
        s->number = number_step(s->number, *at++);
        if (s->number == NUMBER_BAD) {
            fail(s);
            return at;
        }
    }
    keep(s, from, (size_t)(at - from));
    if (at < end)
        end_number(s, s->offset + (uint64_t)(at - piece));
    return at;
}

static void begin_literal(struct json_scan *s, const char *rest, enum json_event event, uint64_t at)
{
    s->state = LITERAL;
    s->literal = rest;
    s->literal_event = event;
    s->token_at = at;
}

static void take_literal(struct json_scan *s, uint8_t c, uint64_t end)
{
    if (c != (uint8_t)*s->literal) {
        fail(s);
        return;
    }
    if (*++s->literal)
        return;
    if (!s->mute)
        emit(s, s->literal_event, (struct bytes){0}, s->token_at, end);
    value_ended(s, end);
}

// ---- skipping -------------------------------------------------------------------------------------------------------

static const uint8_t skip_stops[256] = {['"'] = 1, ['{'] = 1, ['}'] = 1, ['['] = 1, [']'] = 1, ['/'] = 1};

static const uint8_t *run_skip(struct json_scan *s, const uint8_t *piece, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *look = at; // up to here byte by byte
    while (at < end) {
        if (at >= look && end - at >= JSON_SKIP_BLOCK) {
            struct json_skip skip = {s->skip_depth, s->state == SKIP_STRING, s->escaped};
            unsigned passed = json_skip_block(&skip, at);
            at += passed;
            if (!passed)
                look = at + JSON_SKIP_BLOCK;
            s->skip_depth = skip.depth;
            s->state = skip.in_string ? SKIP_STRING : SKIP;
            s->escaped = skip.escaped;
            if (!s->skip_depth) {
                close_container(s, at[-1] == '}', s->offset + (uint64_t)(at - 1 - piece));
                return at;
            }
            continue;
        }
        if (s->state == SKIP_STRING) {
            if (s->escaped) {
                s->escaped = false;
                at++;
                continue;
            }
            at = json_skip_text(at, end);
            if (at == end)
                return end;
            if (*at++ == '"')
                s->state = SKIP;
            else
                s->escaped = true;
            continue;
        }
        while (at < end && !skip_stops[*at])
            at++;
        if (at == end)
            return end;
        uint8_t c = *at++;
        switch (c) {
        case '"':
            s->state = SKIP_STRING;
            s->escaped = false;
            break;
        case '/':
            s->resume = SKIP;
            s->state = SLASH;
            return at;
        case '{':
        case '[':
            s->skip_depth++;
            break;
        default:
            if (--s->skip_depth == 0) {
                close_container(s, c == '}', s->offset + (uint64_t)(at - 1 - piece));
                return at;
            }
        }
    }
    return at;
}

// ---- the walk -------------------------------------------------------------------------------------------------------

static void begin_value(struct json_scan *s, uint8_t c, uint64_t at)
{
    switch (c) {
    case '{': open_container(s, true, at); return;
    case '[': open_container(s, false, at); return;
    case '"': begin_string(s, false, at); return;
    case 't': begin_literal(s, "rue", JSON_TRUE, at); return;
    case 'f': begin_literal(s, "alse", JSON_FALSE, at); return;
    case 'n': begin_literal(s, "ull", JSON_NULL, at); return;
    default: break;
    }
    if (c != '-' && (c < '0' || c > '9')) {
        fail(s);
        return;
    }
    s->state = NUMBER;
    s->token_at = at;
    s->cut = false;
    buf_clear(&s->text);
    s->number = number_step(NUMBER_START, c);
    keep(s, &c, 1);
}

static void take_structure(struct json_scan *s, uint8_t c, uint64_t at)
{
    switch (s->state) {
    case TOP:
    case VALUE:
        begin_value(s, c, at);
        return;
    case VALUE_OR_END:
        if (c == ']')
            close_container(s, false, at);
        else
            begin_value(s, c, at);
        return;
    case KEY_OR_END:
        if (c == '}') {
            close_container(s, true, at);
            return;
        }
        // fall through
    case KEY:
        if (c == '"')
            begin_string(s, true, at);
        else
            fail(s);
        return;
    case COLON:
        if (c == ':')
            s->state = VALUE;
        else
            fail(s);
        return;
    case AFTER:
        if (c == ',')
            s->state = in_object(s) ? KEY : VALUE;
        else if (c == '}' || c == ']')
            close_container(s, c == '}', at);
        else
            fail(s);
        return;
    default:
        fail(s);
    }
}

static const uint8_t *run_comment(struct json_scan *s, const uint8_t *at, const uint8_t *end)
{
    for (; at < end; at++) {
        switch (s->state) {
        case SLASH:
            if (*at != '/' && *at != '*') {
                fail(s);
                return at;
            }
            s->state = *at == '/' ? COMMENT_LINE : COMMENT_BLOCK;
            break;
        case COMMENT_LINE:
            if (*at == '\n') {
                s->state = s->resume;
                return at + 1;
            }
            break;
        case COMMENT_BLOCK:
            if (*at == '*')
                s->state = COMMENT_STAR;
            break;
        default:
            if (*at == '/') {
                s->state = s->resume;
                return at + 1;
            }
            if (*at != '*')
                s->state = COMMENT_BLOCK;
        }
    }
    return at;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

bool json_feed(struct json_scan *s, struct bytes piece)
{
    const uint8_t *at = piece.at, *end = piece.at + piece.size;
    while (at < end && !s->malformed && !s->stopped && !s->memory_out) {
        switch (s->state) {
        case STRING:
            at = run_string(s, piece.at, at, end);
            break;
        case NUMBER:
            at = run_number(s, piece.at, at, end);
            break;
        case LITERAL:
            take_literal(s, *at, s->offset + (uint64_t)(at - piece.at) + 1);
            at++;
            break;
        case SKIP:
        case SKIP_STRING:
            at = run_skip(s, piece.at, at, end);
            break;
        case SLASH:
        case COMMENT_LINE:
        case COMMENT_BLOCK:
        case COMMENT_STAR:
            at = run_comment(s, at, end);
            break;
        default:
            if (is_space(*at)) {
                at++;
            } else if (*at == '/') {
                s->resume = s->state;
                s->state = SLASH;
                at++;
            } else {
                take_structure(s, *at, s->offset + (uint64_t)(at - piece.at));
                at++;
            }
        }
    }
    s->offset += (uint64_t)(at - piece.at);
    return !s->malformed && !s->stopped && !s->memory_out;
}

bool json_end(struct json_scan *s)
{
    if (s->malformed || s->stopped || s->memory_out)
        return false;
    if (s->state == NUMBER && s->depth == 0)
        end_number(s, s->offset);
    enum state rest = s->state == COMMENT_LINE ? s->resume : s->state;
    return rest == TOP && !s->malformed;
}
