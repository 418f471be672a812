// Aligned tables: the first rows are kept to measure the columns, then widths are fixed and the rest streams.
//
// 1. On a terminal no line is wider than it: the widest text columns give way until the row fits.
// 2. Elsewhere nothing is cut.
// 3. A column of numbers stands to the right.
#include "table.h"

#include "../base/mem.h"
#include "emit.h"

#include <stdarg.h>
#include <stdio.h>

enum { KEPT_ROWS = 2000, COLUMN_LEAST = 6, SEPARATION = 2 };

struct column_state {
    char *name;
    size_t width;
    bool text; // some value was no number
};

struct table {
    struct out *out;
    enum table_format format;
    struct column_state *columns;
    size_t column_count, rows, kept;
    struct buf cells; // kept rows: per cell a type byte, a size, the bytes
    bool measured, failed;
};

struct table *table_open(struct out *out, enum table_format format, const char *const *names, size_t columns)
{
    struct table *t = mem_zero(1, sizeof *t);
    if (!t)
        return NULL;
    *t = (struct table){.out = out, .format = format, .column_count = columns};
    t->columns = mem_zero(columns, sizeof *t->columns);
    for (size_t i = 0; t->columns && i < columns; i++) {
        t->columns[i].name = mem_text_copy(names[i], strlen(names[i]));
        t->failed |= !t->columns[i].name;
        t->columns[i].width = emit_columns(bytes_of_text(names[i]));
    }
    if (t->columns && !t->failed) {
        if (format == TABLE_CSV) {
            for (size_t i = 0; i < columns; i++) {
                if (i)
                    buf_add_byte(&out->text, ',');
                emit_csv(&out->text, bytes_of_text(names[i]));
            }
            buf_add_text(&out->text, "\r\n");
        }
        return t;
    }
    t->failed = true;
    table_close(t);
    return NULL;
}

// ---- formats for programs -------------------------------------------------------------------------------------------

static void blob_text(struct buf *out, struct bytes blob)
{
    for (size_t i = 0; i < blob.size; i++)
        buf_format(out, "%02x", blob.at[i]);
}

static void value_json(struct buf *out, struct bytes value, int type)
{
    struct buf hex = {0};
    switch (type) {
    case TABLE_NULL: buf_add_text(out, "null"); break;
    case TABLE_INTEGER:
    case TABLE_BOOL: buf_add_bytes(out, value); break;
    case TABLE_REAL: // what is no JSON number (Inf) goes as text
        if (value.size && (unsigned)(value.at[value.size - 1] - '0') < 10u)
            buf_add_bytes(out, value);
        else
            emit_json(out, value);
        break;
    case TABLE_BLOB:
        blob_text(&hex, value);
        emit_json(out, buf_view(&hex));
        buf_fini(&hex);
        break;
    default: emit_json(out, value);
    }
}

static void row_json(struct table *t, const struct bytes *values, const int *types)
{
    struct buf *out = &t->out->text;
    for (size_t i = 0; i < t->column_count; i++) {
        buf_add_byte(out, i ? ',' : '{');
        emit_json(out, bytes_of_text(t->columns[i].name));
        buf_add_byte(out, ':');
        value_json(out, values[i], types[i]);
    }
    buf_add_text(out, "}\n");
}

static void row_csv(struct table *t, const struct bytes *values, const int *types)
{
    struct buf shown = {0};
    for (size_t i = 0; i < t->column_count; i++) {
        if (i)
            buf_add_byte(&t->out->text, ',');
        buf_clear(&shown);
        if (types[i] == TABLE_BLOB)
            blob_text(&shown, values[i]);
        else if (t->out->terminal)
            emit_text(&shown, values[i]);
        else
            buf_add_bytes(&shown, values[i]);
        if (types[i] != TABLE_NULL)
            emit_csv(&t->out->text, buf_view(&shown));
    }
    buf_fini(&shown);
    buf_add_text(&t->out->text, "\r\n");
}

// ---- text -----------------------------------------------------------------------------------------------------------

static bool is_number(int type)
{
    return type == TABLE_INTEGER || type == TABLE_REAL;
}

static void keep_row(struct table *t, const struct bytes *values, const int *types)
{
    struct buf hex = {0};
    for (size_t i = 0; i < t->column_count; i++) {
        struct bytes value = types[i] == TABLE_NULL ? (struct bytes){NULL, 0} : values[i];
        if (types[i] == TABLE_BLOB) {
            buf_clear(&hex);
            blob_text(&hex, value);
            value = buf_view(&hex);
        }
        size_t columns = emit_columns(value);
        if (!t->measured && columns > t->columns[i].width)
            t->columns[i].width = columns;
        if (!t->measured && !is_number(types[i]) && types[i] != TABLE_NULL)
            t->columns[i].text = true;
        buf_add_byte(&t->cells, (uint8_t)types[i]);
        buf_add_varint(&t->cells, value.size);
        buf_add_bytes(&t->cells, value);
    }
    buf_fini(&hex);
    t->kept++;
}

// Takes columns from the widest until the row fits the terminal.
static void fit(struct table *t)
{
    size_t limit = t->out->columns, total = 0, widest, next;
    if (!limit)
        return;
    for (size_t i = 0; i < t->column_count; i++)
        total += t->columns[i].width + (i ? SEPARATION : 0);
    while (total > limit) {
        widest = next = 0;
        for (size_t i = 0; i < t->column_count; i++)
            if (t->columns[i].width > t->columns[widest].width)
                widest = i;
        for (size_t i = 0; i < t->column_count; i++)
            if (i != widest && t->columns[i].width > next)
                next = t->columns[i].width;
        size_t width = t->columns[widest].width, floor = next < COLUMN_LEAST ? COLUMN_LEAST : next;
        size_t give = width > floor ? width - floor : 1;
        if (width <= COLUMN_LEAST)
            return;
        give = give > total - limit ? total - limit : give;
        t->columns[widest].width -= give;
        total -= give;
    }
}

// The last column is not padded; a cell is cut only on a terminal.
static size_t put_cell(struct table *t, size_t i, struct bytes value, bool right, size_t left)
{
    struct column_state *c = &t->columns[i];
    struct buf cut = {0};
    bool bounded = t->out->columns != 0;
    size_t room = bounded ? (c->width < left ? c->width : left) : SIZE_MAX;
    size_t used = emit_cut(&cut, value, room, t->out->unicode);
    size_t width = c->width < left ? c->width : left, pad = used < width ? width - used : 0;
    if (right)
        out_pad(t->out, pad);
    buf_add_bytes(&t->out->text, buf_view(&cut));
    if (!right && i + 1 < t->column_count)
        out_pad(t->out, pad);
    t->out->text.failed |= cut.failed;
    buf_fini(&cut);
    return used < width ? width : used;
}

static void put_row(struct table *t, struct bytes *from, const char *head)
{
    size_t left = t->out->columns ? t->out->columns : SIZE_MAX;
    for (size_t i = 0; i < t->column_count; i++) {
        struct bytes type = {(const uint8_t *)"", 1}, value = {NULL, 0};
        uint64_t size = 0;
        if (from && !(take_bytes(from, 1, &type) && take_varint(from, &size) && take_bytes(from, size, &value)))
            return;
        if (!from)
            value = bytes_of_text(t->columns[i].name);
        if (i && left > SEPARATION) {
            out_pad(t->out, SEPARATION);
            left -= SEPARATION;
        } else if (i) {
            left = 0;
        }
        bool right = !t->columns[i].text && (head || is_number(type.at[0]));
        size_t used = left ? put_cell(t, i, value, right, left) : 0;
        left -= used < left ? used : left;
    }
    while (t->out->text.size && t->out->text.at[t->out->text.size - 1] == ' ')
        t->out->text.size--;
    buf_add_byte(&t->out->text, '\n');
}

static bool print_kept(struct table *t)
{
    if (!t->measured) {
        fit(t);
        t->measured = true;
        out_paint(t->out, PAINT_BOLD);
        put_row(t, NULL, "head");
        out_paint(t->out, PAINT_NONE);
    }
    struct bytes from = buf_view(&t->cells);
    for (; t->kept && out_push(t->out); t->kept--)
        put_row(t, &from, NULL);
    t->kept = 0;
    t->failed |= t->cells.failed;
    buf_clear(&t->cells);
    return !t->failed && !t->out->error;
}

bool table_row(struct table *t, const struct bytes *values, const int *types)
{
    t->rows++;
    if (t->format == TABLE_JSON)
        row_json(t, values, types);
    else if (t->format == TABLE_CSV)
        row_csv(t, values, types);
    else
        keep_row(t, values, types);
    if (t->format == TABLE_TEXT && t->kept >= (t->measured ? 1 : KEPT_ROWS))
        return print_kept(t);
    return out_push(t->out);
}

bool table_close(struct table *t)
{
    bool ok = !t->failed;
    if (ok && t->format == TABLE_TEXT)
        ok = print_kept(t);
    for (size_t i = 0; t->columns && i < t->column_count; i++)
        mem_free(t->columns[i].name);
    mem_free(t->columns);
    buf_fini(&t->cells);
    mem_free(t);
    return ok;
}

// ---- cells ----------------------------------------------------------------------------------------------------------

static void add_cell(struct table_cells *c, int type, size_t from)
{
    if (c->count == sizeof c->cell / sizeof *c->cell)
        return;
    c->cell[c->count].at = from;
    c->cell[c->count].size = c->text.size - from;
    c->cell[c->count++].type = type;
}

void table_cell_text(struct table_cells *c, struct bytes text)
{
    size_t from = c->text.size;
    buf_add_bytes(&c->text, text);
    add_cell(c, TABLE_STRING, from);
}

void table_cell_format(struct table_cells *c, int type, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t from = c->text.size;
    buf_add_text(&c->text, text);
    add_cell(c, type, from);
}

void table_cell_null(struct table_cells *c)
{
    add_cell(c, TABLE_NULL, c->text.size);
}

bool table_cells_row(struct table *t, struct table_cells *c)
{
    struct bytes values[sizeof c->cell / sizeof *c->cell];
    int types[sizeof c->cell / sizeof *c->cell];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        types[i] = i < c->count ? c->cell[i].type : TABLE_NULL;
        values[i] = i < c->count && c->cell[i].size ? (struct bytes){c->text.at + c->cell[i].at, c->cell[i].size} : (struct bytes){NULL, 0};
    }
    bool ok = !c->text.failed && table_row(t, values, types);
    buf_clear(&c->text);
    c->count = 0;
    return ok;
}

void table_cells_fini(struct table_cells *c)
{
    buf_fini(&c->text);
}
