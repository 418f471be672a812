// What goes to the receiver of a connection's bytes, in which order, and which holes it is told of.
//
// A piece leaves only when the other side's `next` covers its acknowledgement, or the other side was never captured,
// or its time is up (forged acknowledgements, copies sent later than the original).
#include "deliver.h"

#include "claim.h"

enum {
    ONE_SIDED_BYTES = 16 * 1024,        // above a hole; as Zeek does
    PATIENCE_PACKETS = FLOW_SETTLE + 8, // after which a piece no longer waits for what it acknowledges
};
#define PATIENCE_NS (2 * STREAM_SETTLE_NS)

// ---- towards the receiver -------------------------------------------------------------------------------------------

void deliver_open(struct streams *s, struct flow *f)
{
    if (f->opened)
        return;
    f->opened = true;
    f->state = s->sink->open(s->sink->ctx, &f->conn);
}

// A side that ended counts its FIN as one offset, as acknowledgements do.
static int64_t covered(const struct half *h)
{
    return h->next + (h->ended && h->fin);
}

static void set_ack(struct flow *f, int side, uint32_t ack, bool valid, bool *known, uint64_t *offset)
{
    const struct half *o = &f->half[!side];
    *known = valid && o->known;
    *offset = 0;
    if (!*known)
        return;
    int64_t at = claim_offset(o, ack);
    if (f->conn.seen[!side])
        at = least(at, o->next);
    *offset = (uint64_t)most(at, 0);
}

void deliver_gap(struct streams *s, struct flow *f, int side, int64_t end, enum gap_cause cause)
{
    struct half *h = &f->half[side];
    const struct held *behind = h->head;
    struct stream_gap gap = {.side = side, .offset = (uint64_t)h->next, .size_bytes = (uint64_t)(end - h->next), .cause = cause};
    gap.from_ns = h->piece_ns ? h->piece_ns : f->conn.first_ns;
    gap.to_ns = behind ? behind->time_ns : f->conn.last_ns;
    set_ack(f, side, behind ? behind->ack : 0, behind && behind->ack_valid, &gap.ack_known, &gap.ack);
    s->stats->gaps++;
    s->stats->gap_bytes += gap.size_bytes;
    if (cause == GAP_EVICTED)
        s->stats->evicted_bytes += gap.size_bytes;
    h->next = end;
    h->high = most(h->high, end);
    h->moved = f->packets;
    h->tail_size = 0;
    // What we did not see was acknowledged all the same.
    if (h->claim >= end)
        f->conn.acked[side] = (uint64_t)most((int64_t)f->conn.acked[side], end);
    s->sink->gap(s->sink->ctx, f->state, &gap);
}

void deliver_data(struct streams *s, struct flow *f, int side, const struct portion *p)
{
    struct half *h = &f->half[side];
    struct stream_piece piece = {.side = side, .offset = (uint64_t)h->next, .bytes = bytes_of(p->bytes, p->captured),
                                 .time_ns = p->time_ns, .segment_start = p->segment_start};
    set_ack(f, side, p->ack, p->ack_valid, &piece.ack_known, &piece.ack);
    h->next += p->captured;
    h->piece_ns = p->time_ns;
    h->moved = f->packets;
    tail_keep(h, p);
    s->stats->bytes_kept += p->captured;
    if (p->captured)
        s->sink->data(s->sink->ctx, f->state, &piece);
    if (p->captured < p->size_bytes)
        deliver_gap(s, f, side, h->next + (p->size_bytes - p->captured), GAP_SNAPLEN);
}

void deliver_end(struct streams *s, struct flow *f, int side, enum stream_end how, int64_t time_ns)
{
    struct half *h = &f->half[side];
    if (h->ended)
        return;
    h->ended = true;
    s->sink->end(s->sink->ctx, f->state, side, how, time_ns);
}

// ---- pumping --------------------------------------------------------------------------------------------------------

bool deliver_ack_is_covered(struct flow *f, int side, uint32_t ack, bool valid)
{
    const struct half *o = &f->half[!side];
    return !valid || !f->conn.seen[!side] || !o->known || claim_offset(o, ack) <= covered(o);
}

void deliver_head(struct streams *s, struct flow *f, int side)
{
    struct half *h = &f->half[side];
    struct held *p = h->head;
    if (p->at + p->size_bytes > h->next) {
        struct portion whole = {p->bytes, p->captured, p->size_bytes, p->ack, p->ack_valid, p->segment_start, p->time_ns};
        struct portion part = portion_part(&whole, p->at, h->next, p->at + p->size_bytes);
        deliver_data(s, f, side, &part);
    }
    held_drop(&s->held, h, p);
}

static void deliver_fin(struct streams *s, struct flow *f, int side)
{
    deliver_end(s, f, side, END_FIN, f->half[side].fin_ns);
}

bool deliver_side(struct streams *s, struct flow *f, int side)
{
    struct half *h = &f->half[side];
    bool moved = false;
    while (!h->ended && deliver_head_is_next(h) && !deliver_fin_is_next(h) && deliver_ack_is_covered(f, side, h->head->ack, h->head->ack_valid)) {
        deliver_head(s, f, side);
        moved = true;
    }
    if (deliver_fin_is_next(h) && deliver_ack_is_covered(f, side, h->fin_ack, h->fin_ack_valid)) {
        deliver_fin(s, f, side);
        moved = true;
    }
    return moved;
}

bool deliver_other_waits(struct flow *f, int side)
{
    struct half *o = &f->half[!side];
    return deliver_head_is_next(o) && !deliver_ack_is_covered(f, !side, o->head->ack, o->head->ack_valid);
}

static bool hole_is_lost(struct flow *f, int side, int64_t now_ns, int64_t *end)
{
    struct half *h = &f->half[side];
    int64_t limit = claim_settled(f, side);
    if (h->stuck && now_ns - h->stuck_ns >= STREAM_SETTLE_NS)
        limit = most(limit, least(h->claim, claim_offset(h, h->last_ack)));
    if (h->fin)
        limit = least(limit, h->fin_at);
    if (h->head)
        limit = least(limit, h->head->at);
    // Nothing beyond: as long as the stream still moves by itself, the acknowledgement is early or forged.
    else if (f->packets - h->moved < FLOW_SETTLE && now_ns - h->stuck_ns < STREAM_SETTLE_NS)
        limit = h->next;
    *end = limit;
    // One byte past the end may be a FIN that was not captured.
    if (limit == h->next + 1 && !h->head && !h->fin && !deliver_other_waits(f, side))
        return false;
    return limit > h->next;
}

static bool hole_is_unwitnessed(const struct flow *f, int side, int64_t now_ns)
{
    const struct half *h = &f->half[side], *o = &f->half[!side];
    int64_t first = h->head ? h->head->at : h->fin ? h->fin_at : h->next;
    if (first <= h->next || !h->stuck)
        return false;
    bool old = now_ns - h->stuck_ns >= STREAM_SETTLE_NS, deep = h->held_bytes >= ONE_SIDED_BYTES;
    if (!f->conn.seen[!side])
        return old || deep;
    // A receiver with a hole answers every segment above it. Silence says that its packets do not come by here.
    return old && deep && o->packet_ns < h->stuck_ns;
}

// Waits for what it acknowledges, and that will not come: forged, or a copy that was sent after the original.
static bool piece_is_due(struct flow *f, int side, int64_t now_ns)
{
    struct half *h = &f->half[side], *o = &f->half[!side];
    if (deliver_fin_is_next(h) && !deliver_head_is_next(h))
        return f->packets - h->fin_arrival >= FLOW_SETTLE || now_ns - h->fin_ns >= STREAM_SETTLE_NS;
    if (!deliver_head_is_next(h))
        return false;
    if (deliver_head_is_next(o) && o->head->arrival < h->head->arrival)
        return true; // both wait for one another: the later one is the copy
    return f->packets - h->head->arrival >= PATIENCE_PACKETS || now_ns - h->head->time_ns >= PATIENCE_NS;
}

static bool decide_hole(struct streams *s, struct flow *f, int side, int64_t now_ns)
{
    struct half *h = &f->half[side];
    int64_t end;
    // The usual case: nothing waits and nothing beyond was ever acknowledged.
    if (!h->head && !h->fin && h->claim <= h->next && h->settled <= h->next)
        return false;
    if (!deliver_can_decide(f, side) || deliver_head_is_next(h))
        return false;
    if (!hole_is_lost(f, side, now_ns, &end)) {
        if (!hole_is_unwitnessed(f, side, now_ns))
            return false;
        end = h->head ? h->head->at : h->fin_at;
    }
    deliver_gap(s, f, side, end, GAP_LOST);
    return true;
}

static bool decide_piece(struct streams *s, struct flow *f, int side, int64_t now_ns)
{
    struct half *h = &f->half[side];
    if (!deliver_can_decide(f, side) || !piece_is_due(f, side, now_ns))
        return false;
    if (deliver_head_is_next(h) && !deliver_fin_is_next(h))
        deliver_head(s, f, side);
    else
        deliver_fin(s, f, side);
    return true;
}

static bool is_stuck(const struct half *h)
{
    if (h->ended)
        return false;
    return h->head || h->claim > (h->fin ? h->next + 1 : h->next) || (h->fin && h->fin_at > h->next) || deliver_fin_is_next(h);
}

static void mark_stuck(struct flow *f, const int64_t before[2], int64_t now_ns)
{
    for (int side = 0; side < 2; side++) {
        struct half *h = &f->half[side];
        bool stuck = is_stuck(h);
        // A hole is as old as the segment above it.
        if (stuck && (!h->stuck || h->next != before[side]))
            h->stuck_ns = h->head ? least(h->head->time_ns, now_ns) : now_ns;
        h->stuck = stuck;
    }
}

void deliver_pump(struct streams *s, struct flow *f, int64_t now_ns)
{
    int64_t before[2] = {f->half[0].next, f->half[1].next};
    bool moved;
    do {
        do {
            moved = deliver_side(s, f, 0);
            moved |= deliver_side(s, f, 1);
        } while (moved);
        // Holes first: what fills one may be what a piece waits for.
        moved = decide_hole(s, f, 0, now_ns) || decide_hole(s, f, 1, now_ns) || decide_piece(s, f, 0, now_ns) || decide_piece(s, f, 1, now_ns);
    } while (moved);
    for (int side = 0; side < 2; side++) {
        struct half *h = &f->half[side];
        while (h->ended && h->head) // behind the last word
            held_drop(&s->held, h, h->head);
    }
    mark_stuck(f, before, now_ns);
}
