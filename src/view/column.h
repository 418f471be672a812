// The columns of the log, declared once: names, order and values for --json, --csv and the view `audit`'s readers.
#pragma once
#include "../tape/read.h"

enum cell_kind { CELL_NULL, CELL_TEXT, CELL_NUMBER, CELL_BOOL, CELL_LIST };

struct cell {
    enum cell_kind kind;
    struct bytes text;         // CELL_TEXT; may point into `room`
    int64_t number;
    bool truth;
    const struct bytes *list;  // CELL_LIST: targets of the row
    const struct exchange_index *indices; // CELL_LIST: concrete indices of the row (list is NULL)
    size_t count;
    char room[96];
};

struct column {
    const char *name;
    void (*get)(const struct tape_row *row, const char *tape_name, struct cell *cell); // tape_name NULL: one tape alone
};

extern const struct column view_columns[];
extern const size_t view_column_count;

const char *view_outcome_name(enum outcome outcome);
const char *view_auth_name(enum auth_kind auth);
const char *view_op_name(enum op_kind kind);
const char *view_result_name(enum op_result result);
const char *view_cause_name(enum gap_cause cause);   // one word
const char *view_cause_text(enum gap_cause cause);   // for people
// "10.1.2.3" or "2001:db8::1". room >= 48. Returns text.
char *view_ip(const struct endpoint *e, char *text, size_t room);
char *view_endpoint(const struct endpoint *e, char *text, size_t room); // with port: "10.1.2.3:9200", "[::1]:9200"
char *view_id(const struct tape_row *row, const char *tape_name, char *text, size_t room); // "4711", "NAME:4711"
struct bytes view_action_text(const struct exchange *x); // api where known, else the path

// One row as one line.
void view_row_json(struct buf *out, const struct tape_row *row, const char *tape_name);
void view_csv_head(struct buf *out);
void view_row_csv(struct buf *out, const struct tape_row *row, const char *tape_name, bool escaped); // escaped: for a terminal
