// Reading tapes: rows of the log over all segments of one or several tapes, bodies, ops, gaps, coverage, plain SQL.
// Never opens a segment for writing. Works while a recorder writes, and on a read-only medium.
#pragma once
#include "../../include/fault.h"
#include "../../include/record.h"
#include "../base/buf.h"

struct tape;
bool tape_is_empty(const char *dir); // nothing was ever recorded there; asked without opening anything
// One or several directories (merged by time; an exchange that two taps saw is given once). Fault user: not a tape, a
// later format version (told which). A damaged segment or a missing body file is a warning (tape_warning), the rest reads.
struct tape *tape_open(const char *const *dirs, size_t count, struct fault *fault);
const char *tape_warning(struct tape *t);  // next warning line, or NULL
void tape_close(struct tape *t);
size_t tape_count(const struct tape *t);
const char *tape_name(const struct tape *t, size_t which); // of its directory

// First and last moment of exchanges on the tapes; false: there are none.
bool tape_span(struct tape *t, int64_t *first_ns, int64_t *last_ns);

struct tape_filter { // NULL or 0 or WHEN_UNKNOWN: no condition. Text lists: one of them; '*' is a wildcard
    int64_t since_ns, until_ns;               // [since, until)
    const char *const *who, *const *client, *const *agent, *const *api, *const *verb, *const *index, *const *outcome, *const *danger;
    size_t who_count, client_count, agent_count, api_count, verb_count, index_count, outcome_count, danger_count;
    const char *const *status;                // "404", "4xx", "500-599", "none"
    size_t status_count;
    bool writes, destructive;
    const char *grep;                         // in path, opaque id, agent, reason: plain substring, no case
    uint64_t id_from, id_to;                  // [from, to); 0: open
    uint64_t conn;                            // with conn_client: serials begin again with each recording
    struct endpoint conn_client;
    int64_t newest;                           // the last N only (still oldest first); 0: all
};

struct tape_row {
    struct exchange x;
    size_t tape;           // which of the directories
    uint64_t also_at;      // bit set of other tapes that saw it too; of a row of tape_get tape_seen_by tells it
};

// Oldest first (time, then id). fn returns false to stop.
typedef bool tape_row_fn(void *ctx, const struct tape_row *row);
bool tape_select(struct tape *t, const struct tape_filter *filter, tape_row_fn *fn, void *ctx, struct fault *fault);
// One exchange; false with fault user when there is none ("pruned" is told apart from "never recorded").
bool tape_get(struct tape *t, size_t which, uint64_t id, tape_row_fn *fn, void *ctx, struct fault *fault);
bool tape_seen_by(struct tape *t, const struct tape_row *row, uint64_t *also_at, struct fault *fault);
// "4711" or "NAME:4711" -> which, id.
bool tape_parse_id(struct tape *t, const char *text, size_t *which, uint64_t *id, struct fault *fault);

enum tape_body_state { TAPE_BODY_WHOLE, TAPE_BODY_HOLES, TAPE_BODY_NOT_KEPT, TAPE_BODY_PRUNED, TAPE_BODY_MISSING, TAPE_BODY_DAMAGED, TAPE_BODY_LOST }; // LOST: the disk did not take it
// Pieces in order (holes as in body_piece). fn returns false to stop. The state tells what the user may believe.
typedef bool tape_body_fn(void *ctx, const struct body_piece *piece);
bool tape_body(struct tape *t, size_t which, uint64_t id, enum body_side side, tape_body_fn *fn, void *ctx, enum tape_body_state *state, struct fault *fault);
// A range of the decoded body, whole in memory (for documents of one bulk item).
bool tape_body_range(struct tape *t, size_t which, uint64_t id, enum body_side side, uint64_t at, uint64_t size, struct buf *out, enum tape_body_state *state, struct fault *fault);

struct tape_op {
    struct op op;
    size_t tape;
    int64_t time_ns, answered_ns; // of its exchange
    uint32_t life;                // incarnation number of its index on this tape, from 0
};
struct tape_op_filter {
    int64_t since_ns, until_ns;
    const char *const *index;     // concrete or asked, wildcards
    size_t index_count;
    struct bytes id;              // one document: found by the blocks' filters, not by reading all
    uint64_t exchange_from, exchange_to;
};
typedef bool tape_op_fn(void *ctx, const struct tape_op *op);
bool tape_ops(struct tape *t, const struct tape_op_filter *filter, tape_op_fn *fn, void *ctx, struct fault *fault); // in order of exchange id, item

struct tape_gap_row {
    size_t tape;
    int64_t from_ns, to_ns;
    enum gap_cause cause;
    uint64_t bytes, packets;
    struct endpoint client, server; // port 0: none
    int side;
    uint64_t count;      // of gaps that fell together in this row, at least 1
    uint64_t rows_lost;  // exchanges the disk refused
};
typedef bool tape_gap_fn(void *ctx, const struct tape_gap_row *gap);
bool tape_gaps(struct tape *t, int64_t since_ns, int64_t until_ns, tape_gap_fn *fn, void *ctx, struct fault *fault);
typedef bool tape_resolution_fn(void *ctx, size_t which, const struct resolution *r);
bool tape_resolutions(struct tape *t, tape_resolution_fn *fn, void *ctx, struct fault *fault);
typedef bool tape_life_fn(void *ctx, size_t which, const struct incarnation *life);
bool tape_lives(struct tape *t, tape_life_fn *fn, void *ctx, struct fault *fault);
typedef bool tape_late_fn(void *ctx, size_t which, const struct late_outcome *late);
bool tape_lates(struct tape *t, tape_late_fn *fn, void *ctx, struct fault *fault);

// Rows of any read-only SQL over the views `audit`, `gaps`, `alerts`, `writes`, `segments`, ... of all segments.
// fn comes once with values and types NULL, for the names alone, then once per row.
typedef bool tape_sql_fn(void *ctx, int columns, const char *const *names, const struct bytes *values, const int *types); // types: 0 null 1 integer 2 real 3 text 4 blob
bool tape_sql(struct tape *t, const char *sql, tape_sql_fn *fn, void *ctx, struct fault *fault);

// For -f: a cursor knows what was given already, also where a slow exchange is committed after later ones.
struct tape_cursor;
struct tape_cursor *tape_cursor_open(struct tape *t, struct fault *fault); // stands behind what is committed now
void tape_cursor_seen(struct tape_cursor *c, const struct tape_row *row);  // this row was given by other means (tape_select)
void tape_cursor_close(struct tape_cursor *c);
// Rows that match and were not given yet, each once, ordered by time within a call.
bool tape_follow(struct tape *t, struct tape_cursor *c, const struct tape_filter *filter, tape_row_fn *fn, void *ctx, struct fault *fault);
// Waits until something new was committed, at most wait_ms; true: look again. For -f.
bool tape_wait(struct tape *t, int wait_ms);
