// Reassembly of one connection: segments in any order become ordered pieces and gaps (include/stream.h).
//
// When a hole is a gap:
//  - the other side acknowledged past it, and SETTLE packets of the connection or one second passed since; or
//  - the other side was never captured (or went silent when the hole opened), and 16 KiB lie above the hole or one second
//    passed; or a limit was reached; or the input ended.
// An acknowledgement counts only if later ones do not take it back: a forged one must not open a gap.
#pragma once
#include "../../include/segment.h"
#include "flow.h"
#include "held.h"

#define STREAM_JOIN_NS INT64_C(250000000)     // how long the beginning may still move
#define STREAM_SETTLE_NS INT64_C(1000000000)
#define STREAM_CLOSED_NS INT64_C(60000000000) // a closed connection is remembered for its late packets

struct streams {
    const struct stream_sink *sink;
    struct wire_stats *stats;
    struct held_totals held;
};

struct stream_in {
    const struct segment *segment;
    int side;
    uint32_t ident;
    bool checksum_good, checksum_bad; // neither: not known
    bool conflict; // set by stream_feed: the same place was seen with other bytes
};

void stream_feed(struct streams *s, struct flow *f, struct stream_in *in);
// Time passed: what waited long enough is decided.
void stream_age(struct streams *s, struct flow *f, int64_t now_ns);
bool stream_waits(const struct flow *f);     // stream_age has something to look at
bool stream_over(const struct flow *f);      // both sides have said their last word: close it
void stream_evict(struct streams *s, struct flow *f); // makes room: the hole that waits becomes a gap
// Delivers what is left with its gaps, ends both sides. The flow stays, closed.
void stream_close(struct streams *s, struct flow *f, enum stream_end how, int64_t time_ns);
