// Reassembly of one connection: segments in any order become ordered pieces and gaps (include/stream.h).
//
// Flow: stream_feed notes what the segment says about both sides (beginning, acknowledgement, reset), places its payload
// (delivered at once when it is next and its acknowledgement is covered, else held) and then pumps: delivers what has become
// deliverable, and decides about holes.
// 1. held lists are sorted by offset and never overlap; nothing in them lies before `next` once pumped.
// 2. While joining nothing is delivered and offsets may be negative; leaving the join moves offset 0 to the beginning.
// 3. A piece leaves only when the other side's `next` covers its acknowledgement, or the other side was never captured,
//    or its time is up (forged acknowledgements, copies sent later than the original).
// States: joining -> flowing -> (reset pending ->) closed.
#include "stream.h"

#include "../../include/bounds.h"
#include "../base/map.h"
#include "claim.h"
#include "held.h"

enum {
    HELD_MAX = 4096,                    // pieces per connection: keeps inserting cheap
    ONE_SIDED_BYTES = 16 * 1024,        // above a hole; as Zeek does
    PATIENCE_PACKETS = FLOW_SETTLE + 8, // after which a piece no longer waits for what it acknowledges
};
#define PATIENCE_NS (2 * STREAM_SETTLE_NS)
#define NONE INT64_MAX

static struct half *other_half(struct flow *f, int side)
{
    return &f->half[!side];
}

// ---- towards the receiver -------------------------------------------------------------------------------------------

static void open_receiver(struct streams *s, struct flow *f)
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
    const struct half *o = other_half(f, side);
    *known = valid && o->known;
    *offset = 0;
    if (!*known)
        return;
    int64_t at = claim_offset(o, ack);
    if (f->conn.seen[!side])
        at = least(at, o->next);
    *offset = (uint64_t)most(at, 0);
}

static void give_gap(struct streams *s, struct flow *f, int side, int64_t end, enum gap_cause cause)
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

static void give_data(struct streams *s, struct flow *f, int side, const struct portion *p)
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
        give_gap(s, f, side, h->next + (p->size_bytes - p->captured), GAP_SNAPLEN);
}

static void give_end(struct streams *s, struct flow *f, int side, enum stream_end how, int64_t time_ns)
{
    struct half *h = &f->half[side];
    if (h->ended)
        return;
    h->ended = true;
    s->sink->end(s->sink->ctx, f->state, side, how, time_ns);
}

// ---- joining --------------------------------------------------------------------------------------------------------

// Where this side's stream begins: its SYN says; else the lowest that was sent or acknowledged.
static int64_t beginning(const struct half *h)
{
    if (h->syn)
        return 0;
    int64_t at = least(h->join_payload, h->join_ack);
    if (at != NONE && h->join_payload != NONE && h->join_payload - at > FLOW_JUMP_MAX / 16)
        at = h->join_payload;
    return at != NONE ? at : h->join_other;
}

static void move(int64_t *at, int64_t by)
{
    if (*at != FLOW_NOWHERE)
        *at -= by;
}

static void move_origin(struct half *h, int64_t by)
{
    h->base_seq += (uint32_t)by;
    move(&h->high, by);
    move(&h->claim, by);
    move(&h->settled, by);
    h->fin_at -= by;
    for (struct held *p = h->head; p; p = p->next)
        p->at -= by;
}

static void end_join(struct streams *s, struct flow *f)
{
    f->joining = false;
    for (int side = 0; side < 2; side++) {
        struct half *h = &f->half[side];
        if (!h->known) {
            h->high = h->claim = h->settled = 0;
            continue;
        }
        int64_t at = beginning(h);
        if (at != NONE && at != 0)
            move_origin(h, at);
        h->next = 0;
        h->high = most(h->high, 0);
        h->claim = most(h->claim, 0);
        h->settled = most(h->settled, 0);
        f->conn.first_seq[side] = h->base_seq;
        f->conn.syn[side] = h->syn;
        if (f->conn.ack_known[side])
            f->conn.acked[side] = (uint64_t)(f->conn.seen[side] ? least(h->claim, h->high) : h->claim);
    }
    f->conn.midstream = f->conn.initiator < 0 && !f->half[0].syn && !f->half[1].syn;
    s->stats->conns_midstream += f->conn.midstream;
    open_receiver(s, f);
}

static bool join_is_over(const struct flow *f, int64_t now_ns)
{
    if (f->half[0].syn && f->half[1].syn)
        return true;
    return f->join_packets && (f->packets - f->join_packets >= FLOW_SETTLE || now_ns - f->join_ns >= STREAM_JOIN_NS);
}

// ---- pumping --------------------------------------------------------------------------------------------------------

static bool ack_is_covered(struct flow *f, int side, uint32_t ack, bool valid)
{
    const struct half *o = other_half(f, side);
    return !valid || !f->conn.seen[!side] || !o->known || claim_offset(o, ack) <= covered(o);
}

static bool head_is_next(const struct half *h)
{
    return h->head && h->head->at <= h->next;
}

static void give_head(struct streams *s, struct flow *f, int side)
{
    struct half *h = &f->half[side];
    struct held *p = h->head;
    if (p->at + p->size_bytes > h->next) {
        struct portion whole = {p->bytes, p->captured, p->size_bytes, p->ack, p->ack_valid, p->segment_start, p->time_ns};
        struct portion part = portion_part(&whole, p->at, h->next, p->at + p->size_bytes);
        give_data(s, f, side, &part);
    }
    held_drop(&s->held, h, p);
}

static bool fin_is_next(const struct half *h)
{
    return h->fin && !h->ended && h->fin_at <= h->next;
}

static void give_fin(struct streams *s, struct flow *f, int side)
{
    give_end(s, f, side, END_FIN, f->half[side].fin_ns);
}

static bool pump_side(struct streams *s, struct flow *f, int side)
{
    struct half *h = &f->half[side];
    bool moved = false;
    while (!h->ended && head_is_next(h) && !fin_is_next(h) && ack_is_covered(f, side, h->head->ack, h->head->ack_valid)) {
        give_head(s, f, side);
        moved = true;
    }
    if (fin_is_next(h) && ack_is_covered(f, side, h->fin_ack, h->fin_ack_valid)) {
        give_fin(s, f, side);
        moved = true;
    }
    return moved;
}

// Does the other side have something that waits for this side to reach beyond `next`?
static bool other_waits(struct flow *f, int side)
{
    struct half *o = other_half(f, side);
    return head_is_next(o) && !ack_is_covered(f, !side, o->head->ack, o->head->ack_valid);
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
    if (limit == h->next + 1 && !h->head && !h->fin && !other_waits(f, side))
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
    struct half *h = &f->half[side], *o = other_half(f, side);
    if (fin_is_next(h) && !head_is_next(h))
        return f->packets - h->fin_arrival >= FLOW_SETTLE || now_ns - h->fin_ns >= STREAM_SETTLE_NS;
    if (!head_is_next(h))
        return false;
    if (head_is_next(o) && o->head->arrival < h->head->arrival)
        return true; // both wait for one another: the later one is the copy
    return f->packets - h->head->arrival >= PATIENCE_PACKETS || now_ns - h->head->time_ns >= PATIENCE_NS;
}

static bool can_decide(const struct flow *f, int side)
{
    return !f->half[side].ended && f->half[side].known && f->conn.seen[side];
}

static bool decide_hole(struct streams *s, struct flow *f, int side, int64_t now_ns)
{
    struct half *h = &f->half[side];
    int64_t end;
    // The usual case: nothing waits and nothing beyond was ever acknowledged.
    if (!h->head && !h->fin && h->claim <= h->next && h->settled <= h->next)
        return false;
    if (!can_decide(f, side) || head_is_next(h))
        return false;
    if (!hole_is_lost(f, side, now_ns, &end)) {
        if (!hole_is_unwitnessed(f, side, now_ns))
            return false;
        end = h->head ? h->head->at : h->fin_at;
    }
    give_gap(s, f, side, end, GAP_LOST);
    return true;
}

static bool decide_piece(struct streams *s, struct flow *f, int side, int64_t now_ns)
{
    struct half *h = &f->half[side];
    if (!can_decide(f, side) || !piece_is_due(f, side, now_ns))
        return false;
    if (head_is_next(h) && !fin_is_next(h))
        give_head(s, f, side);
    else
        give_fin(s, f, side);
    return true;
}

static bool is_stuck(const struct half *h)
{
    if (h->ended)
        return false;
    return h->head || h->claim > (h->fin ? h->next + 1 : h->next) || (h->fin && h->fin_at > h->next) || fin_is_next(h);
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

static void pump(struct streams *s, struct flow *f, int64_t now_ns)
{
    int64_t before[2] = {f->half[0].next, f->half[1].next};
    bool moved;
    do {
        do {
            moved = pump_side(s, f, 0);
            moved |= pump_side(s, f, 1);
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

// ---- feeding --------------------------------------------------------------------------------------------------------

static void note_syn(struct flow *f, int side, const struct segment *seg)
{
    struct half *h = &f->half[side];
    if (h->syn)
        return;
    if (f->joining) {
        if (h->known)
            move_origin(h, claim_offset(h, seg->seq + 1));
        h->known = true;
        h->base_seq = seg->seq + 1;
        h->syn = true;
        f->conn.first_seq[side] = h->base_seq;
        f->conn.syn[side] = true;
    }
    if (!(seg->flags & SEGMENT_ACK) && f->conn.initiator < 0 && (f->joining || h->base_seq == seg->seq + 1))
        f->conn.initiator = side;
    else if (seg->flags & SEGMENT_ACK && f->conn.initiator < 0)
        f->conn.initiator = !side;
}

// True when this very packet was seen before.
static bool note_recent(struct streams *s, struct flow *f, struct stream_in *in)
{
    struct half *h = &f->half[in->side];
    const struct segment *seg = in->segment;
    uint32_t hash = seg->payload.size ? (uint32_t)map_hash(seg->payload, 0) : 0;
    for (int i = 0; i < FLOW_RECENT; i++) {
        const struct recent *r = &h->recent[i];
        if (r->seq != seg->seq || r->size_bytes != seg->payload_bytes)
            continue;
        if (r->ident == in->ident && r->hash == hash) {
            s->stats->duplicates++;
            return true;
        }
        in->conflict |= seg->payload_bytes && r->hash != hash;
    }
    h->recent[h->recent_at++ % FLOW_RECENT] = (struct recent){seg->seq, seg->payload_bytes, in->ident, hash};
    return false;
}

static void note_rst(struct streams *s, struct flow *f, const struct stream_in *in)
{
    struct half *h = &f->half[in->side];
    const struct half *o = other_half(f, in->side);
    const struct segment *seg = in->segment;
    int64_t at = claim_offset(h, seg->seq);
    // A refusal of a SYN carries the sequence number 0 and acknowledges the SYN.
    bool refusal = !h->known && seg->flags & SEGMENT_ACK && o->known && claim_offset(o, seg->ack) == 0;
    // The receiver demands a sequence number within its window; a little slack for what we have not seen.
    bool fits = h->known && (f->joining || (at >= h->next - 65536 && at <= most(h->high, h->claim) + (4 << 20)));
    if (!refusal && !fits)
        return;
    s->stats->resets++;
    if (f->rst_side >= 0)
        return;
    f->rst_side = in->side;
    f->rst_at = refusal ? 0 : at;
    f->rst_packets = f->packets;
    f->rst_ns = seg->time_ns;
}

static void note_fin(struct flow *f, const struct stream_in *in, int64_t end)
{
    struct half *h = &f->half[in->side];
    if (h->fin)
        return;
    h->fin = true;
    h->fin_at = end;
    h->fin_ack = in->segment->ack;
    h->fin_ack_valid = in->segment->flags & SEGMENT_ACK;
    h->fin_arrival = f->packets;
    h->fin_ns = in->segment->time_ns;
    h->high = most(h->high, end);
}

static bool is_probe(const struct flow *f, const struct half *h, int64_t at, uint32_t size)
{
    if (size > 1)
        return false;
    if (f->joining)
        return size == 1 && h->join_payload == NONE && h->join_ack != NONE && h->claim >= at + 1;
    return at == h->high - 1 && at + size <= h->next;
}

static void place(struct streams *s, struct flow *f, const struct stream_in *in, int64_t at)
{
    const struct segment *seg = in->segment;
    struct half *h = &f->half[in->side];
    struct portion p = {seg->payload.at, (uint32_t)seg->payload.size, seg->payload_bytes, seg->ack, seg->flags & SEGMENT_ACK, true, seg->time_ns};
    int64_t end = at + p.size_bytes;
    if (is_probe(f, h, at, p.size_bytes)) {
        s->stats->keepalives++;
        return;
    }
    if (f->joining)
        h->join_payload = least(h->join_payload, at);
    else if (end <= h->next) {
        s->stats->retransmitted++;
        s->stats->overlaps_conflicting += in->conflict || tail_differs(h, &p, at);
        return;
    }
    if (f->rst_side == in->side && at >= f->rst_at && !f->closed)
        f->rst_side = -1; // it goes on: nobody believed the reset
    if (!f->joining && at < h->next) {
        s->stats->overlaps++;
        s->stats->overlaps_conflicting += tail_differs(h, &p, at);
        p = portion_part(&p, at, h->next, end);
        at = h->next;
    }
    h->high = most(h->high, end);
    if (h->claim > (int64_t)f->conn.acked[in->side] && !f->joining)
        f->conn.acked[in->side] = (uint64_t)least(h->claim, h->high);
    bool next = !f->joining && at == h->next && !h->ended && !fin_is_next(h);
    if (next && !h->head && ack_is_covered(f, in->side, p.ack, p.ack_valid)) {
        give_data(s, f, in->side, &p);
        return;
    }
    s->stats->out_of_order += !next && !f->joining;
    held_add(&s->held, f, in->side, at, &p);
    if (h->held_bytes > BOUND_REORDER_CONN_BYTES || h->held_count > HELD_MAX)
        stream_evict(s, f);
}

static void note_facts(struct flow *f, const struct stream_in *in)
{
    f->conn.last_ns = in->segment->time_ns;
    f->half[in->side].packet_ns = in->segment->time_ns;
    if (f->conn.seen[in->side])
        return;
    f->conn.seen[in->side] = true;
    // What was acknowledged of a side that nobody had seen is a claim from now on.
    if (f->conn.ack_known[in->side] && !f->joining)
        f->conn.acked[in->side] = 0;
}

static void take_payload(struct streams *s, struct flow *f, const struct stream_in *in)
{
    const struct segment *seg = in->segment;
    struct half *h = &f->half[in->side];
    if (!h->known) {
        h->known = true;
        h->base_seq = seg->seq + !!(seg->flags & SEGMENT_SYN);
        f->conn.first_seq[in->side] = h->base_seq;
    }
    int64_t at = claim_offset(h, seg->seq + !!(seg->flags & SEGMENT_SYN));
    if (f->joining && !seg->payload_bytes)
        h->join_other = least(h->join_other, at);
    if (f->joining && !f->join_packets && (seg->payload_bytes || seg->flags & SEGMENT_FIN)) {
        f->join_packets = f->packets;
        f->join_ns = seg->time_ns;
    }
    bool keepalive = !seg->payload_bytes && !f->joining && at == h->next - 1 && !(seg->flags & (SEGMENT_SYN | SEGMENT_FIN | SEGMENT_RST));
    s->stats->keepalives += keepalive;
    if (seg->payload_bytes)
        place(s, f, in, at);
    if (seg->flags & SEGMENT_FIN)
        note_fin(f, in, at + seg->payload_bytes);
}

void stream_feed(struct streams *s, struct flow *f, struct stream_in *in)
{
    const struct segment *seg = in->segment;
    if (in->checksum_bad && f->half[in->side].checksums) {
        s->stats->malformed++; // the other side's stack has dropped it
        return;
    }
    if (note_recent(s, f, in))
        return;
    f->half[in->side].checksums |= in->checksum_good && seg->flags & SEGMENT_SYN;
    note_facts(f, in);
    claim_turn(f, in->side, seg);
    if (seg->flags & SEGMENT_SYN)
        note_syn(f, in->side, seg);
    if (seg->flags & SEGMENT_ACK)
        claim_note(f, !in->side, seg->ack);
    if (seg->flags & SEGMENT_RST) {
        note_rst(s, f, in);
    } else if (seg->flags & (SEGMENT_ACK | SEGMENT_SYN)) {
        take_payload(s, f, in);
    } else if (seg->payload_bytes) {
        s->stats->malformed++; // no stack takes data without an acknowledgement
    }
    if (f->joining && join_is_over(f, seg->time_ns))
        end_join(s, f);
    if (!f->joining)
        pump(s, f, seg->time_ns);
}

// ---- time, limits, the end ------------------------------------------------------------------------------------------

bool stream_waits(const struct flow *f)
{
    if (f->closed)
        return false;
    return f->rst_side >= 0 || (f->joining && f->join_packets) || f->half[0].stuck || f->half[1].stuck;
}

void stream_age(struct streams *s, struct flow *f, int64_t now_ns)
{
    if (f->closed)
        return;
    if (f->joining && join_is_over(f, now_ns))
        end_join(s, f);
    if (!f->joining)
        pump(s, f, now_ns);
    if (f->rst_side >= 0 && now_ns - f->rst_ns >= STREAM_JOIN_NS)
        stream_close(s, f, END_RST, f->rst_ns);
}

bool stream_over(const struct flow *f)
{
    if (f->joining || f->closed)
        return false;
    return (f->half[0].ended && f->half[1].ended) || (f->rst_side >= 0 && f->packets - f->rst_packets >= FLOW_SETTLE);
}

void stream_evict(struct streams *s, struct flow *f)
{
    if (f->joining)
        end_join(s, f);
    pump(s, f, f->conn.last_ns);
    int side = f->half[1].held_bytes > f->half[0].held_bytes;
    struct half *h = &f->half[side];
    if (!h->head || h->ended)
        return;
    if (h->head->at > h->next)
        give_gap(s, f, side, h->head->at, GAP_EVICTED);
    give_head(s, f, side);
    pump(s, f, f->conn.last_ns);
}

// Which side's next word comes first: one that waits for nothing, else the one that arrived first.
static int next_to_flush(struct flow *f)
{
    const struct held *a = f->half[0].head, *b = f->half[1].head;
    if (!a || !b)
        return a ? 0 : b ? 1 : -1;
    bool free_a = ack_is_covered(f, 0, a->ack, a->ack_valid), free_b = ack_is_covered(f, 1, b->ack, b->ack_valid);
    if (free_a != free_b)
        return free_a ? 0 : 1;
    return a->arrival <= b->arrival ? 0 : 1;
}

// A hole that was acknowledged, though not long ago, is lost now.
static bool flush_claimed(struct streams *s, struct flow *f, int side)
{
    struct half *h = &f->half[side];
    if (!can_decide(f, side) || head_is_next(h))
        return false;
    int64_t end = claim_final(f, side);
    if (h->fin)
        end = least(end, h->fin_at);
    if (h->head)
        end = least(end, h->head->at);
    bool maybe_fin = end == h->next + 1 && !h->head && !h->fin && !other_waits(f, side);
    if (end <= h->next || maybe_fin)
        return false;
    give_gap(s, f, side, end, GAP_LOST);
    return true;
}

static void flush_one(struct streams *s, struct flow *f, int side, enum gap_cause cause)
{
    struct half *h = &f->half[side];
    struct held *p = h->head;
    // Far beyond anything the other side acknowledged: not part of the conversation.
    bool stray = p->at > h->next + FLOW_JUMP_MAX / 16 && h->claim < p->at && f->conn.seen[!side];
    if (h->ended || stray || (h->fin && p->at >= h->fin_at)) {
        s->stats->evicted_bytes += stray ? p->size_bytes : 0;
        held_drop(&s->held, h, p);
        return;
    }
    if (p->at > h->next)
        give_gap(s, f, side, p->at, cause);
    give_head(s, f, side);
}

static void flush(struct streams *s, struct flow *f, enum gap_cause cause)
{
    for (int side;;) {
        if (pump_side(s, f, 0) || pump_side(s, f, 1) || flush_claimed(s, f, 0) || flush_claimed(s, f, 1))
            continue;
        side = next_to_flush(f);
        if (side < 0)
            break;
        flush_one(s, f, side, cause);
    }
    for (int side = 0; side < 2; side++) {
        struct half *h = &f->half[side];
        if (can_decide(f, side) && h->fin && h->fin_at > h->next)
            give_gap(s, f, side, h->fin_at, cause);
    }
}

void stream_close(struct streams *s, struct flow *f, enum stream_end how, int64_t time_ns)
{
    if (f->closed)
        return;
    bool silent = !f->opened && !f->join_packets && !f->half[0].head && !f->half[1].head;
    if (f->joining && !silent)
        end_join(s, f);
    f->closed = true;
    // Only the wait for late packets was cut short.
    if (how == END_INPUT && f->half[0].fin && f->half[1].fin)
        how = END_FIN;
    else if (how == END_INPUT && f->rst_side >= 0)
        how = END_RST;
    f->closed_by_rst = how == END_RST;
    f->conn.last_ns = most(f->conn.last_ns, 0);
    s->stats->conns_one_sided += !(f->conn.seen[0] && f->conn.seen[1]);
    if (silent)
        return;
    flush(s, f, how == END_EVICTED ? GAP_EVICTED : GAP_END);
    // Whose reset it was, ends first: so the receiver knows who broke off.
    int first = f->rst_side >= 0 ? f->rst_side : 0;
    give_end(s, f, first, f->half[first].fin ? END_FIN : how, time_ns);
    give_end(s, f, !first, f->half[!first].fin ? END_FIN : how, time_ns);
    s->sink->close(s->sink->ctx, f->state, how, time_ns);
    f->state = NULL;
}
