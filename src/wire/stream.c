// Reassembly of one connection: segments in any order become ordered pieces and gaps (include/stream.h).
//
// Flow: stream_feed notes what the segment says about both sides (beginning, acknowledgement, reset), places its payload
// (delivered at once when it is next and its acknowledgement is covered, else held) and then pumps (deliver.c): delivers
// what has become deliverable, and decides about holes.
// 1. held lists are sorted by offset and never overlap; nothing in them lies before `next` once pumped.
// 2. While joining nothing is delivered and offsets may be negative; leaving the join moves offset 0 to the beginning.
// States: joining -> flowing -> (reset pending ->) closed.
#include "stream.h"

#include "../../include/bounds.h"
#include "../base/map.h"
#include "claim.h"
#include "deliver.h"
#include "held.h"

enum { HELD_MAX = 4096 }; // pieces per connection: keeps inserting cheap
#define NONE INT64_MAX

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
    deliver_open(s, f);
}

static bool join_is_over(const struct flow *f, int64_t now_ns)
{
    if (f->half[0].syn && f->half[1].syn)
        return true;
    return f->join_packets && (f->packets - f->join_packets >= FLOW_SETTLE || now_ns - f->join_ns >= STREAM_JOIN_NS);
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
    const struct half *o = &f->half[!in->side];
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
    bool next = !f->joining && at == h->next && !h->ended && !deliver_fin_is_next(h);
    if (next && !h->head && deliver_ack_is_covered(f, in->side, p.ack, p.ack_valid)) {
        deliver_data(s, f, in->side, &p);
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
        deliver_pump(s, f, seg->time_ns);
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
        deliver_pump(s, f, now_ns);
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
    deliver_pump(s, f, f->conn.last_ns);
    int side = f->half[1].held_bytes > f->half[0].held_bytes;
    struct half *h = &f->half[side];
    if (!h->head || h->ended)
        return;
    if (h->head->at > h->next)
        deliver_gap(s, f, side, h->head->at, GAP_EVICTED);
    deliver_head(s, f, side);
    deliver_pump(s, f, f->conn.last_ns);
}

// Which side's next word comes first: one that waits for nothing, else the one that arrived first.
static int next_to_flush(struct flow *f)
{
    const struct held *a = f->half[0].head, *b = f->half[1].head;
    if (!a || !b)
        return a ? 0 : b ? 1 : -1;
    bool free_a = deliver_ack_is_covered(f, 0, a->ack, a->ack_valid), free_b = deliver_ack_is_covered(f, 1, b->ack, b->ack_valid);
    if (free_a != free_b)
        return free_a ? 0 : 1;
    return a->arrival <= b->arrival ? 0 : 1;
}

// A hole that was acknowledged, though not long ago, is lost now.
static bool flush_claimed(struct streams *s, struct flow *f, int side)
{
    struct half *h = &f->half[side];
    if (!deliver_can_decide(f, side) || deliver_head_is_next(h))
        return false;
    int64_t end = claim_final(f, side);
    if (h->fin)
        end = least(end, h->fin_at);
    if (h->head)
        end = least(end, h->head->at);
    bool maybe_fin = end == h->next + 1 && !h->head && !h->fin && !deliver_other_waits(f, side);
    if (end <= h->next || maybe_fin)
        return false;
    deliver_gap(s, f, side, end, GAP_LOST);
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
        deliver_gap(s, f, side, p->at, cause);
    deliver_head(s, f, side);
}

static void flush(struct streams *s, struct flow *f, enum gap_cause cause)
{
    for (int side;;) {
        if (deliver_side(s, f, 0) || deliver_side(s, f, 1) || flush_claimed(s, f, 0) || flush_claimed(s, f, 1))
            continue;
        side = next_to_flush(f);
        if (side < 0)
            break;
        flush_one(s, f, side, cause);
    }
    for (int side = 0; side < 2; side++) {
        struct half *h = &f->half[side];
        if (deliver_can_decide(f, side) && h->fin && h->fin_at > h->next)
            deliver_gap(s, f, side, h->fin_at, cause);
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
    deliver_end(s, f, first, f->half[first].fin ? END_FIN : how, time_ns);
    deliver_end(s, f, !first, f->half[!first].fin ? END_FIN : how, time_ns);
    s->sink->close(s->sink->ctx, f->state, how, time_ns);
    f->state = NULL;
}
