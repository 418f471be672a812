// Inside of selecting: stored rows, conditions on them, and the walk over segments that gives them in order of time.
#pragma once
#include "read_inner.h"

#define TWIN_US INT64_C(5000000) // two taps' moments of one exchange are no further apart

// ---- rows (select_row.c) --------------------------------------------------------------------------------------------
struct raw_row {               // a row of table x, not yet joined
    struct reel *reel;
    struct reel_segment *segment; // pinned
    int64_t time_us, dur_us;   // dur -1: unknown
    uint64_t id;
    int64_t conn, call, word, tally, took, hits, req, resp, req_bytes, resp_bytes, seq;
    uint64_t also_at;
    bool dropped;              // another tap tells it better
    bool word_known;
    int64_t list;              // of its indices; -1: the list itself stands in text; 0: none
    uint32_t var_size, oid_size, list_size;
    struct raw_row *next_twin; // same key in the table of twins
    char text[];
};
struct raw_row *row_read(struct reel *r, struct reel_segment *s); // of the row SEGMENT_ROWS stands on; NULL: memory out
// Joins a row. Everything borrowed lives until the next call with the same scratch, or until the segment is unpinned.
struct row_scratch { struct buf path; struct exchange_index *indices; size_t index_room, index_count; char trace[56]; struct buf texts; };
bool row_join(struct raw_row *raw, struct row_scratch *scratch, struct tape_row *row); // false: memory out
void row_scratch_fini(struct row_scratch *s);

// The stored row of one exchange, its segment pinned; NULL: not there. row_free unpins and frees.
struct raw_row *row_find(struct reel *r, uint64_t id);
void row_free(struct raw_row *raw);

// ---- conditions (select_filter.c) -----------------------------------------------------------------------------------
struct matcher;
struct matcher *matcher_open(const struct tape_filter *filter, struct fault *fault); // borrows the filter
void matcher_close(struct matcher *m);
const struct tape_filter *matcher_filter(const struct matcher *m);
// What dictionaries can tell. NULL lists match everything.
bool matcher_has_calls(const struct matcher *m);    // some condition rests on who or shape
bool matcher_has_client(const struct matcher *m);
bool matcher_who(const struct matcher *m, const struct who_info *who);
bool matcher_shape(const struct matcher *m, const struct shape_info *shape, bool answer_final); // answer_final false: status and outcome may turn out differently
bool matcher_name(const struct matcher *m, struct bytes name);       // an index by itself
bool matcher_needs_names(const struct matcher *m);
bool matcher_ip(const struct matcher *m, const uint8_t ip[16]);      // some port of this address may match
bool matcher_forwarded(const struct matcher *m, struct bytes forwarded_for);
bool matcher_row(const struct matcher *m, const struct tape_row *row); // everything
bool matcher_word(const struct matcher *m, const char *what, struct bytes word); // of a segment's summary: may rows with it match?

// ---- plans (select_plan.c) ------------------------------------------------------------------------------------------
struct plan_bucket {
    int64_t id;         // holds ids id << FORMAT_BUCKET_SHIFT ...
    int64_t lo_us, hi_us;
};
struct plan {
    struct plan_bucket *buckets; // those that can hold a match, in order of lo (forward) or of hi, latest first (backward)
    size_t count;
    struct nummap *calls;        // calls that can match; NULL: any
    struct nummap *names;        // names of which a match has one, among its targets or indices; NULL: any
    struct nummap *lists, *named_calls; // with names: lists that hold one, calls whose targets do
};
bool plan_skips(const struct matcher *m, struct reel *r, struct reel_segment *s); // nothing in it can match: known without opening it
bool plan_make(const struct matcher *m, struct reel *r, struct reel_segment *s, bool backward, struct plan *plan); // false: memory out. Damage is told, and the plan empty
bool plan_may(const struct plan *plan, sqlite3_stmt *row); // may the row (of s->open->rows) match, by call and names?
void plan_fini(struct plan *plan);

// ---- iteration (select.c) -------------------------------------------------------------------------------------------
struct selection;
struct selection *selection_open(struct tape *t, const struct tape_filter *filter, struct fault *fault);
// 1: a row, 0: the end, -1: fault. The row is valid until the next call.
int selection_next(struct selection *s, const struct tape_row **row, struct fault *fault);
void selection_close(struct selection *s);

// ---- ops (opread.c) -------------------------------------------------------------------------------------------------
struct op_walk;
struct op_walk *op_walk_open(struct tape *t, const struct tape_op_filter *filter, struct fault *fault); // borrows the filter
int op_walk_next(struct op_walk *w, const struct tape_op **op, struct fault *fault); // 1: an op, valid until the next call; 0: the end; -1: fault
void op_walk_close(struct op_walk *w);
