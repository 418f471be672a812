// Inside of tape_sql: virtual tables over all segments, each a definition and a cursor.
#pragma once
#include "select.h"

enum sql_op { SQL_EQ, SQL_GT, SQL_GE, SQL_LT, SQL_LE, SQL_IS_NOT_NULL };

struct sql_limit {          // a condition that was handed down; SQLite checks it again, so it may let too much through
    int column;
    enum sql_op op;
    struct bytes text;      // its value as text
    int64_t number;
    bool is_number;
};

struct sql_cursor {
    sqlite3_vtab_cursor base;
    struct tape *tape;
    const struct sql_table *table;
    void *state;            // of the table's own
    int64_t row;
    bool end;
};

struct sql_table {
    const char *name;
    const char *columns;    // as in CREATE TABLE
    const char *limits;     // per column one letter: '.' none, '=' equality, '<' also ranges, '!' also IS NOT NULL
    bool by_time;           // rows come in order of the first column '<' named time, then id
    bool (*begin)(struct sql_cursor *c, const struct sql_limit *limits, size_t count, struct fault *fault);
    int (*next)(struct sql_cursor *c, struct fault *fault);  // 1, 0, -1
    void (*column)(struct sql_cursor *c, sqlite3_context *to, int column);
    void (*end)(struct sql_cursor *c);
    bool (*counted)(const struct reel_segment *s); // plain tables: false when the catalog knows that a segment has none
    const char *segment_sql; // plain tables: the query run on each segment; its rows are the columns behind `tape` and `segment`
};

extern const struct sql_table sql_audit, sql_writes, sql_ops, sql_segments;
extern const struct sql_table sql_plain[];
extern const size_t sql_plain_count;

// Texts of columns.
void sql_result_text(sqlite3_context *to, struct bytes text);        // null when empty
void sql_result_word(sqlite3_context *to, const char *text);
void sql_result_known(sqlite3_context *to, int64_t number);          // null when negative
void sql_result_time(sqlite3_context *to, int64_t time_ns);          // null when unknown
// The day or moment that a text compared with a time column stands for, widened to be safe. False: not understood.
bool sql_time_bounds(struct bytes text, int64_t *from_ns, int64_t *to_ns);
