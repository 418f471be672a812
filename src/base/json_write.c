// Writing JSON: compact and indented; what is written is always valid UTF-8.
#include "json.h"

// Length of the valid UTF-8 sequence at `at`, or 0.
static size_t utf8_length(const uint8_t *at, size_t left)
{
    uint8_t c = at[0];
    size_t need = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    if (!need || need > left)
        return 0;
    for (size_t i = 1; i < need; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && at[1] < 0xa0) || (c == 0xed && at[1] > 0x9f) || (c == 0xf0 && at[1] < 0x90) || (c == 0xf4 && at[1] > 0x8f))
        return 0;
    return need;
}

static void write_special(struct buf *out, uint8_t c)
{
    static const char names[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *found = c ? strchr(names, c) : NULL;
    if (found) {
        buf_add_byte(out, '\\');
        buf_add_byte(out, (uint8_t)letters[found - names]);
        return;
    }
    buf_format(out, "\\u%04x", c);
}

void json_write_text(struct buf *out, struct bytes text)
{
    size_t from = 0, i = 0;
    buf_add_byte(out, '"');
    while (i < text.size) {
        uint8_t c = text.at[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            i++;
            continue;
        }
        size_t length = c >= 0x80 ? utf8_length(text.at + i, text.size - i) : 0;
        if (length) {
            i += length;
            continue;
        }
        buf_add(out, text.at + from, i - from);
        if (c >= 0x80)
            buf_add_text(out, "\xef\xbf\xbd");
        else
            write_special(out, c);
        from = ++i;
    }
    if (i > from)
        buf_add(out, text.at + from, i - from);
    buf_add_byte(out, '"');
}

static void write_break(struct buf *out, int indent, int level)
{
    if (indent < 0)
        return;
    buf_add_byte(out, '\n');
    for (int i = 0; i < indent * level; i++)
        buf_add_byte(out, ' ');
}

static void write_value(struct buf *out, const struct json *j, int indent, int level)
{
    switch (j->kind) {
    case JSON_KIND_NULL: buf_add_text(out, "null"); return;
    case JSON_KIND_FALSE: buf_add_text(out, "false"); return;
    case JSON_KIND_TRUE: buf_add_text(out, "true"); return;
    case JSON_KIND_NUMBER: buf_add_bytes(out, j->text); return;
    case JSON_KIND_STRING: json_write_text(out, j->text); return;
    default: break;
    }
    bool object = j->kind == JSON_KIND_OBJECT;
    buf_add_byte(out, object ? '{' : '[');
    for (const struct json *member = j->first; member; member = member->next) {
        if (member != j->first)
            buf_add_byte(out, ',');
        write_break(out, indent, level + 1);
        if (object) {
            json_write_text(out, member->key);
            buf_add_text(out, indent < 0 ? ":" : ": ");
        }
        write_value(out, member, indent, level + 1);
    }
    if (j->first)
        write_break(out, indent, level);
    buf_add_byte(out, object ? '}' : ']');
}

void json_write(struct buf *out, const struct json *j)
{
    write_value(out, j, -1, 0);
}

void json_write_pretty(struct buf *out, const struct json *j, int indent)
{
    write_value(out, j, indent, 0);
}
