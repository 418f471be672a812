// The way out of a connection's reassembly: pieces, gaps and ends in causal order (when a hole is a gap: stream.h).
#pragma once
#include "stream.h"

void deliver_open(struct streams *s, struct flow *f); // tells the receiver of the connection, once
// The receiver gets it, and `next` moves on: a portion that begins there, a hole from there to `end`, the side's last word (once).
void deliver_data(struct streams *s, struct flow *f, int side, const struct portion *p);
void deliver_gap(struct streams *s, struct flow *f, int side, int64_t end, enum gap_cause cause);
void deliver_end(struct streams *s, struct flow *f, int side, enum stream_end how, int64_t time_ns);

// The first held segment of a side, the part of it that is new.
void deliver_head(struct streams *s, struct flow *f, int side);
// All that waits for nothing on this side; whether something left.
bool deliver_side(struct streams *s, struct flow *f, int side);
// All that waits for nothing on both, and what waited long enough.
void deliver_pump(struct streams *s, struct flow *f, int64_t now_ns);

// Was what a segment of this side acknowledges delivered, as far as it can be known?
bool deliver_ack_is_covered(struct flow *f, int side, uint32_t ack, bool valid);
// Does the other side have something that waits for this side to reach beyond `next`?
bool deliver_other_waits(struct flow *f, int side);

static inline bool deliver_head_is_next(const struct half *h)
{
    return h->head && h->head->at <= h->next;
}

static inline bool deliver_fin_is_next(const struct half *h)
{
    return h->fin && !h->ended && h->fin_at <= h->next;
}

static inline bool deliver_can_decide(const struct flow *f, int side)
{
    return !f->half[side].ended && f->half[side].known && f->conn.seen[side];
}
