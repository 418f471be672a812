// Reading JSON in place: the slower paths of the cursor.
#include "opjson.h"
#include "../base/utf8.h"

// Where the string that begins at `from` (behind its quote) ends: its closing quote, or NULL when the text ends first.
static const uint8_t *find_quote(const uint8_t *from, const uint8_t *end)
{
    for (const uint8_t *p = from; p < end; p++) {
        p = memchr(p, '"', (size_t)(end - p));
        if (!p)
            return NULL;
        const uint8_t *slash = p;
        while (slash > from && slash[-1] == '\\')
            slash--;
        if (((p - slash) & 1) == 0)
            return p;
    }
    return NULL;
}

enum opjson_got opjson_text_slow(struct opjson *c, struct opjson_text *text)
{
    const uint8_t *from = c->at + 1, *quote = find_quote(from, c->end);
    if (!quote)
        return OPJSON_MORE;
    *text = (struct opjson_text){bytes_of(from, (size_t)(quote - from)), true};
    c->at = quote + 1;
    return OPJSON_OK;
}

// Numbers and the three literals: all bytes up to a delimiter. At the end of the text one cannot know that it is over.
static enum opjson_got read_literal(struct opjson *c, struct bytes *text)
{
    const uint8_t *p = c->at;
    while (p < c->end && !opjson_ends_literal(*p)) {
        bool fits = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || *p == '-' || *p == '+' || *p == '.' || *p == 'E' || *p == 'N' || *p == 'I';
        if (!fits)
            return OPJSON_BAD;
        p++;
    }
    if (p == c->end)
        return OPJSON_MORE;
    if (p == c->at)
        return OPJSON_BAD;
    *text = bytes_of(c->at, (size_t)(p - c->at));
    c->at = p;
    return OPJSON_OK;
}

static enum opjson_got skip_container(struct opjson *c)
{
    size_t depth = 0;
    for (const uint8_t *p = c->at; p < c->end; p++) {
        if (*p == '"') {
            const uint8_t *q = opjson_find_stop(p + 1, c->end);
            p = q == c->end ? NULL : *q == '"' ? q : find_quote(p + 1, c->end);
            if (!p)
                return OPJSON_MORE;
        } else if (*p == '{' || *p == '[') {
            depth++;
        } else if ((*p == '}' || *p == ']') && --depth == 0) {
            c->at = p + 1;
            return OPJSON_OK;
        }
    }
    return OPJSON_MORE;
}

enum opjson_got opjson_skip(struct opjson *c)
{
    uint8_t byte;
    enum opjson_got got = opjson_peek(c, &byte);
    if (got)
        return got;
    struct opjson_text ignored;
    if (byte == '{' || byte == '[')
        return skip_container(c);
    return byte == '"' ? opjson_read_text(c, &ignored) : read_literal(c, &ignored.raw);
}

enum opjson_got opjson_read_scalar(struct opjson *c, struct opjson_text *text)
{
    uint8_t byte;
    enum opjson_got got = opjson_peek(c, &byte);
    if (got)
        return got;
    if (byte == '"')
        return opjson_read_text(c, text);
    text->escaped = false;
    got = read_literal(c, &text->raw);
    if (got == OPJSON_OK && bytes_equal_text(text->raw, "null"))
        text->raw.size = 0;
    return got;
}

enum opjson_got opjson_int_slow(struct opjson *c, int64_t *number, int64_t otherwise)
{
    struct opjson_text value;
    enum opjson_got got = opjson_read_scalar(c, &value);
    if (got == OPJSON_OK)
        *number = opjson_int(value.raw, otherwise);
    return got;
}

static bool read_hex4(const uint8_t *at, const uint8_t *end, uint32_t *value)
{
    if (end - at < 4)
        return false;
    *value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = bytes_hex_value(at[i]);
        if (digit < 0)
            return false;
        *value = *value << 4 | (uint32_t)digit;
    }
    return true;
}

// The escape whose letter stands at `p` (behind the backslash); returns what follows it.
static const uint8_t *add_escape(struct buf *into, const uint8_t *p, const uint8_t *end)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *simple = *p ? strchr(from, *p) : NULL;
    if (simple) {
        buf_add_byte(into, (uint8_t)to[simple - from]);
        return p + 1;
    }
    uint32_t c, low;
    if (*p != 'u' || !read_hex4(p + 1, end, &c)) {
        buf_add_byte(into, *p);
        return p + 1;
    }
    p += 5;
    if (c >= 0xd800 && c < 0xe000) {
        bool pair = c < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u' && read_hex4(p + 2, end, &low) && low >= 0xdc00 && low < 0xe000;
        c = pair ? 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00) : 0xfffd;
        p += pair ? 6 : 0;
    }
    uint8_t code[4];
    buf_add(into, code, utf8_put(code, c));
    return p;
}

void opjson_append_plain(struct buf *into, struct bytes raw)
{
    const uint8_t *p = raw.at, *end = raw.at + raw.size;
    while (p < end) {
        const uint8_t *slash = memchr(p, '\\', (size_t)(end - p));
        const uint8_t *stop = slash ? slash : end;
        buf_add(into, p, (size_t)(stop - p));
        p = stop;
        if (slash)
            p = slash + 1 < end ? add_escape(into, slash + 1, end) : end;
    }
}

struct bytes opjson_plain(struct opjson_text text, struct buf *into)
{
    if (!text.escaped)
        return text.raw;
    // The caller's buffer may hold other borrowed views: it must not move. Resolving never lengthens a string.
    if (into->room - into->size < text.raw.size)
        return (struct bytes){0};
    size_t from = into->size;
    opjson_append_plain(into, text.raw);
    return bytes_of(into->at + from, into->size - from);
}

int64_t opjson_int(struct bytes text, int64_t otherwise)
{
    bool minus = text.size && text.at[0] == '-';
    if (text.size == (size_t)minus || text.size > 20)
        return otherwise;
    uint64_t value = 0;
    for (size_t i = minus; i < text.size; i++) {
        unsigned digit = text.at[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return otherwise;
        value = value * 10 + digit;
    }
    if (value > (uint64_t)INT64_MAX)
        return otherwise;
    return minus ? -(int64_t)value : (int64_t)value;
}
