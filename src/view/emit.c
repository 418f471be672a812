// Escaping: decides which recorded characters a terminal may see as they are, and spells out all others.
#include "emit.h"

#include <stdio.h>

struct range {
    int32_t from, to;
};

// Characters that reorder, hide or imitate other text: format controls (Unicode category Cf), line and paragraph
// separators, fillers that render as nothing, variation selectors, private use, tags, noncharacters.
static const struct range unseen[] = {
    {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},     {0x34f, 0x34f},     {0x600, 0x605},     {0x61c, 0x61c},
    {0x6dd, 0x6dd},   {0x70f, 0x70f},   {0x8e2, 0x8e2},   {0x115f, 0x1160},   {0x17b4, 0x17b5},   {0x180b, 0x180f},
    {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0x3164, 0x3164},   {0xd800, 0xf8ff},   {0xfdd0, 0xfdef},
    {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0xffa0, 0xffa0}, {0xfff0, 0xfffb},   {0xfffe, 0xffff},   {0x110bd, 0x110bd},
    {0x13430, 0x1343f}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0x1fffe, 0x1ffff}, {0xe0000, 0x10ffff},
};

// East Asian wide and emoji blocks: two columns. Coarse on purpose: a wrong width only shifts a column.
static const struct range wide[] = {
    {0x1100, 0x115f}, {0x231a, 0x231b}, {0x2e80, 0x303e}, {0x3041, 0x33ff}, {0x3400, 0x4dbf}, {0x4e00, 0x9fff}, {0xa000, 0xa4cf},
    {0xa960, 0xa97f}, {0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0xffe0, 0xffe6},
    {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
};

// Combining marks: no column of their own.
static const struct range combining[] = {
    {0x300, 0x36f}, {0x483, 0x489}, {0x591, 0x5bd}, {0x610, 0x61a}, {0x64b, 0x65f}, {0x900, 0x902}, {0xe31, 0xe31},
    {0xe34, 0xe3a}, {0xe47, 0xe4e}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x20d0, 0x20ff}, {0xfe20, 0xfe2f},
};

static bool within(const struct range *table, size_t count, int32_t code)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (code > table[middle].to)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && code >= table[low].from;
}
#define WITHIN(table, code) within(table, sizeof table / sizeof *table, code)

// One UTF-8 sequence, shortest form only, no surrogates; size 0: not UTF-8.
static size_t decode(struct bytes text, int32_t *code)
{
    static const int32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t lead = text.at[0];
    size_t size = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    if (!size || size > text.size)
        return 0;
    int32_t value = size == 1 ? lead : lead & (0x7f >> size);
    for (size_t i = 1; i < size; i++) {
        if ((text.at[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (text.at[i] & 0x3f);
    }
    if (value < least[size] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *code = value;
    return size;
}

struct emit_char emit_next(struct bytes text)
{
    struct emit_char c = {1, -1, 4, false}; // \xff
    if (!text.size)
        return (struct emit_char){0, -1, 0, false};
    size_t size = decode(text, &c.code);
    if (!size)
        return c;
    c.size = size;
    c.plain = c.code < 0x7f ? c.code >= 0x20 : !WITHIN(unseen, c.code);
    if (c.plain)
        c.columns = c.code < 0x300 ? 1 : WITHIN(combining, c.code) ? 0 : WITHIN(wide, c.code) ? 2 : 1;
    else
        c.columns = c.code == '\n' || c.code == '\t' || c.code == '\r' ? 2 : c.code < 0x80 ? 4 : c.code < 0x10000 ? 6 : 10;
    return c;
}

static void escape(struct buf *out, struct emit_char c, uint8_t byte)
{
    if (c.code < 0)
        buf_format(out, "\\x%02x", byte);
    else if (c.code == '\n' || c.code == '\t' || c.code == '\r')
        buf_format(out, "\\%c", c.code == '\n' ? 'n' : c.code == '\t' ? 't' : 'r');
    else if (c.code < 0x80)
        buf_format(out, "\\x%02x", (unsigned)c.code);
    else if (c.code < 0x10000)
        buf_format(out, "\\u%04x", (unsigned)c.code);
    else
        buf_format(out, "\\U%08x", (unsigned)c.code);
}

static void emit(struct buf *out, struct bytes text, bool lines)
{
    size_t from = 0, at = 0;
    while (at < text.size) {
        struct emit_char c = emit_next(bytes_from(text, at));
        if (!c.plain && !(lines && (c.code == '\n' || c.code == '\t'))) {
            buf_add(out, text.at + from, at - from);
            escape(out, c, text.at[at]);
            from = at + c.size;
        }
        at += c.size;
    }
    if (text.size > from)
        buf_add(out, text.at + from, text.size - from);
}

void emit_text(struct buf *out, struct bytes text)
{
    emit(out, text, false);
}

void emit_lines(struct buf *out, struct bytes text)
{
    emit(out, text, true);
}

size_t emit_columns(struct bytes text)
{
    size_t columns = 0;
    for (size_t at = 0; at < text.size;) {
        struct emit_char c = emit_next(bytes_from(text, at));
        columns += c.columns;
        at += c.size;
    }
    return columns;
}

size_t emit_cut(struct buf *out, struct bytes text, size_t columns, bool unicode)
{
    size_t dots = unicode ? 1 : columns < 3 ? columns : 3;
    size_t used = 0, at = 0, fit_at = 0, fit_used = 0;
    while (at < text.size && used <= columns) {
        struct emit_char c = emit_next(bytes_from(text, at));
        if (used + c.columns + dots <= columns) {
            fit_at = at + c.size;
            fit_used = used + c.columns;
        }
        used += c.columns;
        at += c.size;
    }
    if (used <= columns) {
        emit_text(out, text);
        return used;
    }
    if (!columns)
        return 0;
    emit_text(out, (struct bytes){text.at, fit_at});
    buf_add(out, unicode ? "…" : "...", unicode ? strlen("…") : dots);
    return fit_used + dots;
}

void emit_json(struct buf *out, struct bytes text)
{
    buf_add_byte(out, '"');
    size_t from = 0, at = 0;
    while (at < text.size) {
        struct emit_char c = emit_next(bytes_from(text, at));
        if (c.plain && c.code != '"' && c.code != '\\') {
            at += c.size;
            continue;
        }
        buf_add(out, text.at + from, at - from);
        const char *known = "\"\\\n\t\r\b\f", *hit = c.code > 0 && c.code < 0x80 ? strchr(known, c.code) : NULL;
        if (c.code < 0)
            buf_add_text(out, "\xef\xbf\xbd");
        else if (hit)
            buf_format(out, "\\%c", "\"\\ntrbf"[hit - known]);
        else if (c.code < 0x10000)
            buf_format(out, "\\u%04x", (unsigned)c.code);
        else
            buf_format(out, "\\u%04x\\u%04x", 0xd7c0u + ((unsigned)c.code >> 10), 0xdc00u + ((unsigned)c.code & 0x3ff));
        at += c.size;
        from = at;
    }
    if (text.size > from)
        buf_add(out, text.at + from, text.size - from);
    buf_add_byte(out, '"');
}

void emit_csv(struct buf *out, struct bytes text)
{
    bool quote = text.size && (text.at[0] == ' ' || text.at[text.size - 1] == ' ');
    for (size_t i = 0; i < text.size && !quote; i++)
        quote = text.at[i] == '"' || text.at[i] == ',' || text.at[i] == '\n' || text.at[i] == '\r';
    if (!quote) {
        buf_add_bytes(out, text);
        return;
    }
    buf_add_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] == '"')
            buf_add_byte(out, '"');
        buf_add_byte(out, text.at[i]);
    }
    buf_add_byte(out, '"');
}
