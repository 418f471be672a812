// What the other side acknowledged, and how far it can be believed.
//
// 1. ring_ack holds the acknowledgements of the newest FLOW_SETTLE packets by packet number; what falls out of it is settled.
#include "claim.h"

int64_t claim_offset(const struct half *h, uint32_t seq)
{
    return h->next + (int32_t)(seq - (h->base_seq + (uint32_t)h->next));
}

// The least and the most that the acknowledgements of this side among the newest `count` packets say; the newest of all when
// there is none among them.
static void newest_claims(const struct flow *f, int side, unsigned count, int64_t *low, int64_t *high)
{
    const struct half *h = &f->half[side];
    bool any = false;
    *low = *high = f->conn.ack_known[side] ? claim_offset(h, h->last_ack) : 0;
    for (uint64_t back = 0; back < count && back < f->packets; back++) {
        unsigned place = (f->packets - back) % FLOW_SETTLE;
        if (!(f->ring_valid >> place & 1) || (int)(f->ring_side >> place & 1) != side)
            continue;
        int64_t at = claim_offset(h, f->ring_ack[place]);
        *low = any ? least(*low, at) : at;
        *high = any ? most(*high, at) : at;
        any = true;
    }
}

// The claim of FLOW_SETTLE packets ago, unless the newest half of the ring takes it back.
int64_t claim_settled(const struct flow *f, int side)
{
    int64_t low, high;
    newest_claims(f, side, FLOW_SETTLE / 2, &low, &high);
    return least(f->half[side].settled, low);
}

// At the end nothing more can be waited for: what a recent acknowledgement says, counts.
int64_t claim_final(const struct flow *f, int side)
{
    int64_t low, high;
    newest_claims(f, side, FLOW_SETTLE, &low, &high);
    return least(f->half[side].claim, high);
}

void claim_note(struct flow *f, int acked, uint32_t ack)
{
    struct half *h = &f->half[acked];
    if (!h->known) {
        h->known = true;
        h->base_seq = ack;
        f->conn.first_seq[acked] = ack;
    }
    int64_t at = claim_offset(h, ack);
    if (at > most(h->next, h->high) + FLOW_JUMP_MAX)
        return;
    if (f->joining)
        h->join_ack = least(h->join_ack, at);
    h->claim = most(h->claim, at);
    h->last_ack = ack;
    f->conn.ack_known[acked] = true;
    int64_t shown = f->conn.seen[acked] ? least(h->claim, h->high) : h->claim;
    if (shown > (int64_t)f->conn.acked[acked])
        f->conn.acked[acked] = (uint64_t)shown;
}

void claim_turn(struct flow *f, int side, const struct segment *seg)
{
    f->packets++;
    unsigned place = f->packets % FLOW_SETTLE;
    uint32_t bit = UINT32_C(1) << place;
    if (f->ring_valid & bit) {
        struct half *h = &f->half[f->ring_side >> place & 1];
        h->settled = most(h->settled, claim_offset(h, f->ring_ack[place]));
    }
    f->ring_valid &= ~bit;
    if (!(seg->flags & SEGMENT_ACK))
        return;
    f->ring_valid |= bit;
    f->ring_side = (f->ring_side & ~bit) | (uint32_t)!side << place;
    f->ring_ack[place] = seg->ack;
}
