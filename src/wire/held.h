// What a connection holds back: segments that wait for a hole or for what they acknowledge, and the last bytes delivered.
#pragma once
#include "flow.h"

// A segment's payload, or the part of it that is new.
struct portion {
    const uint8_t *bytes;
    uint32_t captured, size_bytes; // here; on the wire
    uint32_t ack;
    bool ack_valid, segment_start;
    int64_t time_ns;
};

struct held_totals {
    struct wire_stats *stats;
    size_t held_bytes; // over all connections
};

// The part between two offsets of the stream, where the portion begins at `at`.
struct portion portion_part(const struct portion *p, int64_t at, int64_t from, int64_t to);

// Puts the parts that nothing held covers yet into the half's list; the first copy stays. Counts overlaps and conflicts.
void held_add(struct held_totals *t, struct flow *f, int side, int64_t at, const struct portion *p);
void held_drop(struct held_totals *t, struct half *h, struct held *p);

// The last bytes delivered: they end at half->next; after a gap they begin anew.
void tail_keep(struct half *h, const struct portion *p);
// Do the bytes of the portion that were delivered already differ from what was? Looks at the last few only.
bool tail_differs(const struct half *h, const struct portion *p, int64_t at);
