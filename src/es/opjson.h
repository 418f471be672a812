// A cursor over JSON text that lies in memory: reads what the inner loops of bulks need and passes over the rest quickly.
//
// Every read says OK, MORE (the text ended inside the value: come back with more of it) or BAD (this is not JSON). Nothing is
// read past `end`. Values that are passed over are checked for brackets and strings only.
#pragma once
#include "../base/buf.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum opjson_got { OPJSON_OK, OPJSON_MORE, OPJSON_BAD };

struct opjson {
    const uint8_t *at, *end;
};

// A string as it stands between its quotes.
struct opjson_text {
    struct bytes raw;
    bool escaped; // holds backslashes: opjson_plain resolves them
};

static inline struct opjson opjson_of(struct bytes text)
{
    const uint8_t *at = text.at ? text.at : (const uint8_t *)"";
    return (struct opjson){at, at + text.size};
}

// The next byte that is no white space, not consumed.
static inline enum opjson_got opjson_peek(struct opjson *c, uint8_t *byte)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t' || *c->at == '\r'))
        c->at++;
    if (c->at == c->end)
        return OPJSON_MORE;
    *byte = *c->at;
    return OPJSON_OK;
}

// Consumes `byte` after white space.
static inline enum opjson_got opjson_expect(struct opjson *c, uint8_t byte)
{
    uint8_t found;
    enum opjson_got got = opjson_peek(c, &found);
    if (got)
        return got;
    if (found != byte)
        return OPJSON_BAD;
    c->at++;
    return OPJSON_OK;
}

// The first '"' or '\\' in [at, end), or end. Keys and ids are short: mostly one step of sixteen bytes.
static inline const uint8_t *opjson_find_stop(const uint8_t *at, const uint8_t *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    for (; end - at >= 16; at += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)at);
        unsigned mask = (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)));
        if (mask)
            return at + __builtin_ctz(mask);
    }
#endif
    while (at < end && *at != '"' && *at != '\\')
        at++;
    return at;
}

enum opjson_got opjson_text_slow(struct opjson *c, struct opjson_text *text);

// A string; the cursor stands on its opening quote.
static inline enum opjson_got opjson_read_text(struct opjson *c, struct opjson_text *text)
{
    const uint8_t *from = c->at + 1, *p = from < c->end ? opjson_find_stop(from, c->end) : c->end;
    if (p == c->end)
        return OPJSON_MORE;
    if (*p == '\\')
        return opjson_text_slow(c, text);
    *text = (struct opjson_text){bytes_of(from, (size_t)(p - from)), false};
    c->at = p + 1;
    return OPJSON_OK;
}

// Negative, quoted, long or no number at all.
enum opjson_got opjson_int_slow(struct opjson *c, int64_t *number, int64_t otherwise);

// Passes over one value of any kind.
enum opjson_got opjson_skip(struct opjson *c);
// A string, or a number or literal as it is written. null gives an empty text. Containers are BAD.
enum opjson_got opjson_read_scalar(struct opjson *c, struct opjson_text *text);
// After a member or element: `,` continues (*more), the closing bracket ends.
static inline enum opjson_got opjson_next(struct opjson *c, uint8_t close, bool *more)
{
    uint8_t byte;
    enum opjson_got got = opjson_peek(c, &byte);
    if (got)
        return got;
    if (byte != ',' && byte != close)
        return OPJSON_BAD;
    c->at++;
    *more = byte == ',';
    return OPJSON_OK;
}

// The key of a member and its colon. The cursor may stand on white space before the key.
static inline enum opjson_got opjson_read_key(struct opjson *c, struct opjson_text *key)
{
    uint8_t byte;
    enum opjson_got got = opjson_peek(c, &byte);
    if (got)
        return got;
    if (byte != '"')
        return OPJSON_BAD;
    got = opjson_read_text(c, key);
    return got ? got : opjson_expect(c, ':');
}

static inline bool opjson_ends_literal(uint8_t byte)
{
    return byte == ',' || byte == '}' || byte == ']' || byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

// A whole number; `otherwise` for any other scalar.
static inline enum opjson_got opjson_read_int(struct opjson *c, int64_t *number, int64_t otherwise)
{
    uint8_t byte;
    enum opjson_got got = opjson_peek(c, &byte);
    if (got)
        return got;
    const uint8_t *p = c->at;
    uint64_t value = 0;
    while (p < c->end && p - c->at < 18 && (uint8_t)(*p - '0') < 10)
        value = value * 10 + (uint64_t)(*p++ - '0');
    if (p == c->end)
        return OPJSON_MORE;
    if (p > c->at && opjson_ends_literal(*p)) {
        *number = (int64_t)value;
        c->at = p;
        return OPJSON_OK;
    }
    return opjson_int_slow(c, number, otherwise);
}

// The string with its escapes resolved: `raw` itself, or a copy appended to `into` (borrowed from it; lone surrogates become
// U+FFFD). Empty when memory is out.
struct bytes opjson_plain(struct opjson_text text, struct buf *into);
// Appends the resolved string.
void opjson_append_plain(struct buf *into, struct bytes raw);
// A whole number, also inside quotes' text; `otherwise` when it is none.
int64_t opjson_int(struct bytes text, int64_t otherwise);
