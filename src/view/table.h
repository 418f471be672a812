// Aligned tables for people, and the same rows as JSON lines or CSV for programs: whatever has named columns.
#pragma once
#include "out.h"

enum table_format { TABLE_TEXT, TABLE_JSON, TABLE_CSV };
enum table_type { TABLE_NULL, TABLE_INTEGER, TABLE_REAL, TABLE_STRING, TABLE_BLOB, TABLE_BOOL }; // the first five as in tape_sql_fn

struct table;
// Names are copied. TEXT keeps rows until it is printed (up to a few thousand; then column widths are fixed and rows stream).
struct table *table_open(struct out *out, enum table_format format, const char *const *names, size_t columns); // NULL: memory out
bool table_row(struct table *t, const struct bytes *values, const int *types); // false: stop (output is gone, memory out)
bool table_close(struct table *t); // prints what is left

// Convenience for building rows cell by cell.
struct table_cells {
    struct buf text;
    struct { size_t at, size; int type; } cell[32];
    size_t count;
};
void table_cell_text(struct table_cells *c, struct bytes text);
void table_cell_format(struct table_cells *c, int type, const char *format, ...) __attribute__((format(printf, 3, 4)));
void table_cell_null(struct table_cells *c);
bool table_cells_row(struct table *t, struct table_cells *c); // adds the row and empties the cells
void table_cells_fini(struct table_cells *c);
