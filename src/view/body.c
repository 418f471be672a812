// A recorded body for eyes. What cannot be laid out (holes, broken JSON, binary) is shown as it is, escaped.
#include "body.h"

#include "../base/clock.h"
#include "../base/json.h"
#include "emit.h"

enum { HEX_BYTES_MAX = 512, ARENA_BYTES_MAX = 256 << 20 };

const char *body_state_name(enum tape_body_state state)
{
    static const char *const names[] = {"whole", "holes", "not_kept", "pruned", "missing", "damaged", "lost"};
    return names[state];
}

const char *body_state_text(enum tape_body_state state)
{
    static const char *const texts[] = {
        "", "bytes of it were not seen", "not kept, as the recorder was told", "dropped since, to save space",
        "its body file is not there", "its body file is damaged",
        "it could not be stored: the disk was full, or the power went",
    };
    return texts[state];
}

static bool hole_add(struct body_text *b, const struct body_piece *piece)
{
    if (b->hole_count == b->hole_room) {
        size_t room = b->hole_room ? b->hole_room * 2 : 16;
        struct body_hole *grown = mem_grow(b->holes, room * sizeof *grown);
        if (!grown)
            return false;
        b->holes = grown;
        b->hole_room = room;
    }
    b->holes[b->hole_count++] = (struct body_hole){b->bytes.size, piece->hole_bytes, piece->hole_unknown};
    return true;
}

bool body_piece_add(void *body_text, const struct body_piece *piece)
{
    struct body_text *b = body_text;
    size_t take = piece->bytes.size;
    b->raw |= piece->raw;
    b->total_bytes += take;
    if (b->limit_bytes && b->bytes.size + take > b->limit_bytes)
        take = b->limit_bytes - b->bytes.size;
    if (piece->hole_bytes || piece->hole_unknown)
        b->failed |= !hole_add(b, piece);
    buf_add(&b->bytes, piece->bytes.at, take);
    b->failed |= b->bytes.failed;
    return !b->failed;
}

void body_text_fini(struct body_text *b)
{
    buf_fini(&b->bytes);
    mem_free(b->holes);
    b->holes = NULL;
}

// ---- printing -------------------------------------------------------------------------------------------------------

static void print_lines(struct out *o, struct bytes text, int indent)
{
    while (text.size) {
        const uint8_t *end = memchr(text.at, '\n', text.size);
        size_t size = end ? (size_t)(end - text.at) : text.size;
        size_t shown = size && text.at[size - 1] == '\r' ? size - 1 : size;
        out_pad(o, (size_t)indent);
        emit_lines(&o->text, (struct bytes){text.at, shown});
        buf_add_byte(&o->text, '\n');
        text = bytes_from(text, end ? size + 1 : size);
        if (!out_push(o))
            return;
    }
}

static void print_hex(struct out *o, struct bytes text, int indent)
{
    size_t size = text.size < HEX_BYTES_MAX ? text.size : HEX_BYTES_MAX;
    for (size_t at = 0; at < size; at += 16) {
        out_pad(o, (size_t)indent);
        buf_format(&o->text, "%06zx ", at);
        for (size_t i = at; i < at + 16; i++)
            if (i < size)
                buf_format(&o->text, " %02x", text.at[i]);
            else
                buf_add_text(&o->text, "   ");
        buf_add_text(&o->text, "  ");
        for (size_t i = at; i < at + 16 && i < size; i++)
            buf_add_byte(&o->text, text.at[i] >= 0x20 && text.at[i] < 0x7f ? text.at[i] : '.');
        buf_add_byte(&o->text, '\n');
    }
    if (text.size > size) {
        out_pad(o, (size_t)indent);
        buf_format(&o->text, "... %zu bytes more\n", text.size - size);
    }
}

static bool looks_binary(struct bytes text)
{
    size_t odd = 0, seen = 0;
    for (size_t at = 0; at < text.size && seen < 4096; seen++) {
        struct emit_char c = emit_next(bytes_from(text, at));
        odd += c.code < 0 || (c.code < 0x20 && c.code != '\n' && c.code != '\r' && c.code != '\t');
        at += c.size;
    }
    return odd * 20 > seen;
}

static bool print_json(struct out *o, struct bytes text, int indent)
{
    struct arena arena;
    struct buf pretty = {0};
    arena_init(&arena, ARENA_BYTES_MAX);
    struct json *tree = json_parse(&arena, text, NULL);
    if (tree) {
        json_write_pretty(&pretty, tree, 2);
        print_lines(o, buf_view(&pretty), indent);
    }
    bool ok = tree && !pretty.failed;
    buf_fini(&pretty);
    arena_fini(&arena);
    return ok;
}

static void print_hole(struct out *o, const struct body_hole *hole, int indent)
{
    out_pad(o, (size_t)indent);
    out_paint(o, PAINT_MAGENTA);
    if (hole->unknown && !hole->bytes)
        buf_add_text(&o->text, "[... bytes not seen, how many is not known ...]");
    else
        buf_format(&o->text, "[... %llu bytes%s not seen ...]", (unsigned long long)hole->bytes, hole->unknown ? " as sent" : "");
    out_paint(o, PAINT_NONE);
    buf_add_byte(&o->text, '\n');
}

static void print_note(struct out *o, const char *text, int indent)
{
    out_pad(o, (size_t)indent);
    out_paint(o, PAINT_MAGENTA);
    buf_format(&o->text, "[%s]", text);
    out_paint(o, PAINT_NONE);
    buf_add_byte(&o->text, '\n');
}

static void print_with_holes(struct out *o, const struct body_text *b, int indent)
{
    uint64_t at = 0;
    for (size_t i = 0; i < b->hole_count; i++) {
        struct bytes seen = bytes_from(buf_view(&b->bytes), at);
        seen.size = b->holes[i].at - at;
        print_lines(o, seen, indent);
        print_hole(o, &b->holes[i], indent);
        at = b->holes[i].at;
    }
    print_lines(o, bytes_from(buf_view(&b->bytes), at), indent);
}

void body_print(struct out *o, const struct body_text *b, enum tape_body_state state, bool truncated, int indent)
{
    struct bytes text = buf_view(&b->bytes);
    bool cut = b->total_bytes > b->bytes.size;
    if (state >= TAPE_BODY_NOT_KEPT)
        print_note(o, body_state_text(state), indent);
    if (b->raw)
        print_note(o, "as sent: its content coding could not be undone", indent);
    if (b->hole_count)
        print_with_holes(o, b, indent);
    else if (text.size && (b->raw || looks_binary(text)))
        print_hex(o, text, indent);
    else if (text.size && (cut || !print_json(o, text, indent)))
        print_lines(o, text, indent);
    if (cut) {
        out_pad(o, (size_t)indent);
        buf_format(&o->text, "... %llu bytes more\n", (unsigned long long)(b->total_bytes - b->bytes.size));
    }
    if (truncated && !b->hole_count && state < TAPE_BODY_NOT_KEPT)
        print_note(o, "it ends too early: the rest was not seen", indent);
}
