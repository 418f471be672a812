// Writing JSON: compact and indented; what is written is always valid UTF-8.
#include "json.h"
#include "utf8.h"

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
        size_t length = c >= 0x80 ? utf8_length(text.at + i, text.size - i, NULL) : 0;
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
