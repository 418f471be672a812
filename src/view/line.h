// The log as lines for eyes: one per exchange, and one for what was not seen in between.
#pragma once
#include "out.h"
#include "../tape/read.h"

struct line_state {
    struct out *out;
    bool several;
    char day[16];           // the day of the last heading, where days stand in headings
    size_t who, action;     // widths seen so far, so that lines stand under each other
};

void line_init(struct line_state *l, struct out *out, bool several);
bool line_row(struct line_state *l, const struct tape_row *row, const char *tape_name); // false: stop, output is gone

// Gaps that fall between two rows are told in one line.
struct line_gap {
    int64_t from_ns, to_ns;
    uint64_t bytes, packets, count;
    uint64_t by_cause[GAP_CAUSES];
};
void line_gap_add(struct line_gap *sum, const struct tape_gap_row *gap);
bool line_gap(struct line_state *l, const struct line_gap *sum);

// What became of it, in one or two words: "201", "404 index_not_found_exception", "unanswered".
void line_outcome(struct buf *out, const struct exchange *x);
void line_who(struct buf *out, const struct exchange *x);      // "alice", "key VuaCfG", "alice as bob", "-"
void line_targets(struct buf *out, const struct exchange *x);  // concrete indices where known, else as asked; escaped
void line_docs(struct buf *out, const struct exchange *x);     // "500 docs, 3 failed"
