// What the other side acknowledged, and how far it can be believed.
//
// A claim is settled when FLOW_SETTLE packets of the connection passed since and no newer acknowledgement takes it back:
// captures show acknowledgements before their data, and a forged one must not open a gap.
#pragma once
#include "../../include/segment.h"
#include "flow.h"

#define FLOW_JUMP_MAX (INT64_C(1) << 30) // a window is at most 1 GiB (RFC 7323)

static inline int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t claim_offset(const struct half *h, uint32_t seq); // of a sequence number: the one nearest to what was delivered
void claim_turn(struct flow *f, int side, const struct segment *seg); // another packet of the connection, from this side
void claim_note(struct flow *f, int acked, uint32_t ack);             // it acknowledges this much of side `acked`
int64_t claim_settled(const struct flow *f, int side);
int64_t claim_final(const struct flow *f, int side); // at the end, when nothing more can be waited for
