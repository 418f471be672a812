// The door of wire: decodes a packet, finds its connection, feeds the connection's reassembly, and lets time pass.
//
// Flow: wire_feed -> decode -> (ports) -> connection, one of two when the same two ends met again -> stream_feed -> settle:
// the connection is closed, listed as waiting, or left alone.
// 1. A connection is in the waiting list iff stream_waits says so.
// 2. The clock is the newest packet's, or the tick's; a packet from far away in time moves it there and the next one back.
#include "wire.h"

#include "../../include/bounds.h"
#include "../../include/when.h"
#include "../base/mem.h"
#include "claim.h"
#include "decode.h"
#include "fragment.h"
#include "stream.h"
#include "table.h"

#include <stdlib.h>

enum {
    CLOSED_MAX = 16384,
    NEAR = 16 << 20,        // no window in use is larger
    NEAR_CLOSED = 64 << 10, // a retransmission of a closed connection lies within
    NEAR_BEHIND = 64 << 20, // and one of an open connection
    NEAR_AHEAD = 1 << 30,   // the largest window there is
};
#define TIME_MAX (INT64_MAX / 2)
#define IDLE_DEFAULT_NS (3600 * WHEN_NS_PER_S)

struct wire {
    struct stream_sink sink;
    struct wire_stats stats;
    struct decoder decoder;
    struct table table;
    struct streams streams;
    bool any_port;
    uint8_t ports[65536 / 8];
    int64_t idle_ns, now_ns, fragments_ns;
    uint64_t serial;
};

struct wire *wire_open(const struct wire_settings *settings, const struct stream_sink *sink)
{
    struct wire *w = mem_zero(1, sizeof *w);
    if (!w)
        return NULL;
    w->sink = *sink;
    w->idle_ns = settings->idle_ns ? settings->idle_ns : IDLE_DEFAULT_NS;
    w->any_port = settings->port_count == 0;
    for (size_t i = 0; i < settings->port_count; i++)
        w->ports[settings->ports[i] / 8] |= (uint8_t)(1u << settings->ports[i] % 8);
    w->decoder = (struct decoder){fragments_open(&w->stats), &w->stats};
    w->streams = (struct streams){&w->sink, &w->stats, {&w->stats, 0}};
    if (!w->decoder.fragments || !table_init(&w->table)) {
        fragments_close(w->decoder.fragments);
        mem_free(w);
        return NULL;
    }
    return w;
}

static bool port_is_watched(const struct wire *w, uint16_t port)
{
    return w->ports[port / 8] >> port % 8 & 1;
}

// ---- the life of a connection ---------------------------------------------------------------------------------------

static void close_flow(struct wire *w, struct flow *f, enum stream_end how)
{
    if (!f->closed) {
        stream_close(&w->streams, f, how, f->conn.last_ns);
        w->stats.conns_evicted += how == END_EVICTED;
    }
}

static void drop_flow(struct wire *w, struct flow *f, enum stream_end how)
{
    close_flow(w, f, how);
    table_drop(&w->table, f);
}

static void drop_closed(struct wire *w)
{
    table_drop(&w->table, w->table.closed.first);
}

static void retire(struct wire *w, struct flow *f)
{
    table_retire(&w->table, f);
    if (w->table.closed_count > CLOSED_MAX)
        drop_closed(w);
}

// What a packet or the passing of time has made of the connection.
static void settle(struct wire *w, struct flow *f, bool was_closed)
{
    if (!f->closed && stream_over(f))
        close_flow(w, f, f->rst_side >= 0 ? END_RST : END_FIN);
    if (f->closed && !was_closed)
        retire(w, f);
    else
        table_wait(&w->table, f, stream_waits(f), w->now_ns);
}

static struct flow *new_flow(struct wire *w, uint64_t hash, const struct segment *seg)
{
    if (w->table.count >= BOUND_CONNECTIONS) {
        if (w->table.closed_count)
            drop_closed(w);
        else
            drop_flow(w, w->table.open.first, END_EVICTED);
    }
    struct flow *f = table_add(&w->table, hash, &seg->from, &seg->to);
    if (!f) {
        w->stats.evicted_bytes += seg->payload_bytes;
        return NULL;
    }
    f->conn.serial = ++w->serial;
    f->conn.initiator = -1;
    f->conn.first_ns = f->conn.last_ns = seg->time_ns;
    f->joining = true;
    f->rst_side = -1;
    for (int side = 0; side < 2; side++) {
        struct half *h = &f->half[side];
        h->join_payload = h->join_ack = h->join_other = INT64_MAX;
        h->high = h->claim = h->settled = FLOW_NOWHERE;
    }
    w->stats.conns_seen++;
    return f;
}

// ---- which connection -----------------------------------------------------------------------------------------------

static bool is_beginning_of(const struct flow *f, int side, const struct segment *seg)
{
    const struct half *h = &f->half[side];
    if (h->syn)
        return h->base_seq == seg->seq + 1;
    if (!h->known || !f->joining)
        return h->known && claim_offset(h, seg->seq + 1) == 0;
    // Its data or their acknowledgement was captured first, and a SYN-ACK tells rather exactly where it began.
    int64_t at = claim_offset(h, seg->seq + 1), room = f->half[!side].syn ? 1 << 16 : 1 << 24;
    int64_t lowest = h->join_payload < h->join_ack ? h->join_payload : h->join_ack;
    return lowest == INT64_MAX || (at <= lowest && lowest - at <= room);
}

static bool is_far(const struct half *h, uint32_t seq)
{
    int64_t at = claim_offset(h, seq), high = h->claim > h->high ? h->claim : h->high;
    return at < h->next - NEAR || at > (high > h->next ? high : h->next) + NEAR;
}

// Neither its own numbers nor those it acknowledges are anywhere near: it belongs to another connection of the same two ends.
static bool is_foreign(const struct flow *f, int side, const struct segment *seg)
{
    const struct half *h = &f->half[side], *o = &f->half[!side];
    return seg->flags & SEGMENT_ACK && h->known && o->known && is_far(h, seg->seq) && is_far(o, seg->ack);
}

// A SYN-ACK acknowledges the SYN that it answers, and what rode in it.
static bool answers_another_syn(const struct flow *f, int side, const struct segment *seg)
{
    const struct half *o = &f->half[!side];
    int64_t at = claim_offset(o, seg->ack);
    return seg->flags & SEGMENT_SYN && seg->flags & SEGMENT_ACK && o->syn && (at < 0 || at > 1 << 16);
}

// How far the segment lies from what this connection would send next; a later connection has other sequence numbers.
static uint64_t distance(const struct flow *f, int side, const struct segment *seg)
{
    const struct half *h = &f->half[side], *o = &f->half[!side];
    if (seg->flags & SEGMENT_SYN && h->syn)
        return h->base_seq == seg->seq + 1 ? 0 : UINT64_MAX;
    if (answers_another_syn(f, side, seg))
        return UINT64_MAX;
    if (h->known)
        return (uint64_t)llabs(claim_offset(h, seg->seq) - h->next);
    if (seg->flags & SEGMENT_ACK && o->known)
        return (uint64_t)llabs(claim_offset(o, seg->ack) - o->next);
    return UINT64_C(1) << 32;
}

// New data for a connection that was closed: not its own.
static bool is_over_for(const struct flow *f, int side, const struct segment *seg)
{
    const struct half *h = &f->half[side];
    return f->closed && seg->payload_bytes && h->known && claim_offset(h, seg->seq) + seg->payload_bytes > h->high;
}

static bool begins_anew(const struct flow *f, int side, const struct segment *seg)
{
    const struct half *h = &f->half[side];
    if (seg->flags & SEGMENT_SYN) {
        if (answers_another_syn(f, side, seg))
            return true;
        if (is_beginning_of(f, side, seg))
            return false;
        return h->syn || h->known || f->closed;
    }
    if (!seg->payload_bytes || !h->known)
        return false;
    if (is_foreign(f, side, seg))
        return true;
    if (f->joining)
        return false;
    int64_t at = claim_offset(h, seg->seq);
    // Nobody believed the reset that closed it: it goes on.
    if (f->closed && f->closed_by_rst && at >= h->high)
        return true;
    // So far away that it belongs to another connection, whose beginning was not seen.
    if (f->closed)
        return at < h->next - NEAR_CLOSED || at > h->next + NEAR_CLOSED;
    return at < h->next - NEAR_BEHIND || at > h->high + NEAR_AHEAD;
}

static struct flow *choose_flow(struct wire *w, const struct segment *seg, int *side)
{
    uint64_t hash = table_hash(&w->table, &seg->from, &seg->to);
    struct flow *f = table_find(&w->table, hash, &seg->from, &seg->to, side);
    if (!f) {
        *side = 0;
        return seg->flags & SEGMENT_RST && !seg->payload_bytes ? NULL : new_flow(w, hash, seg);
    }
    struct flow *older = f->older;
    int older_side = older && endpoint_equal(&older->conn.end[0], &seg->from) && endpoint_equal(&older->conn.end[1], &seg->to) ? 0 : 1;
    if (older && !is_over_for(older, older_side, seg) && distance(older, older_side, seg) < distance(f, *side, seg)) {
        *side = older_side;
        return older;
    }
    if (seg->flags & SEGMENT_RST || !begins_anew(f, *side, seg))
        return is_foreign(f, *side, seg) && !seg->payload_bytes && !(seg->flags & SEGMENT_SYN) ? NULL : f;
    if (older)
        drop_flow(w, older, END_REUSED);
    *side = 0;
    return new_flow(w, hash, seg);
}

// The earlier connection of the same two ends gets the late packets of its own for a while.
static void retire_older(struct wire *w, struct flow *f)
{
    if (f->older && f->opened && (f->packets >= FLOW_SETTLE || w->now_ns - f->conn.first_ns >= STREAM_SETTLE_NS))
        drop_flow(w, f->older, END_REUSED);
}

// ---- feeding --------------------------------------------------------------------------------------------------------

static void relieve(struct wire *w)
{
    while (w->streams.held.held_bytes > BOUND_REORDER_ALL_BYTES && w->table.waiting.first) {
        struct flow *f = w->table.waiting.first;
        size_t before = w->streams.held.held_bytes;
        stream_evict(&w->streams, f);
        if (w->streams.held.held_bytes == before)
            close_flow(w, f, END_EVICTED);
        settle(w, f, false);
        if (f->waiting)
            table_wait_again(&w->table, f, w->now_ns);
    }
}

static void let_time_pass(struct wire *w)
{
    for (struct flow *f; (f = w->table.waiting.first) && llabs(w->now_ns - f->wait_ns) >= STREAM_JOIN_NS;) {
        stream_age(&w->streams, f, w->now_ns);
        settle(w, f, false);
        if (f->waiting)
            table_wait_again(&w->table, f, w->now_ns);
    }
    for (struct flow *f; (f = w->table.open.first) && w->now_ns - f->conn.last_ns >= w->idle_ns;)
        drop_flow(w, f, END_IDLE);
    for (struct flow *f; (f = w->table.closed.first) && w->now_ns - f->conn.last_ns >= STREAM_CLOSED_NS;)
        drop_closed(w);
    if (llabs(w->now_ns - w->fragments_ns) >= WHEN_NS_PER_S) {
        w->fragments_ns = w->now_ns;
        fragments_tick(w->decoder.fragments, w->now_ns);
    }
}

void wire_feed(struct wire *w, const struct packet *packet)
{
    w->stats.packets_seen++;
    struct packet moment = *packet;
    // A time outside of 1970 to 2116 is damage; kept in range, so that differences of times cannot overflow.
    moment.time_ns = packet->time_ns < 0 ? 0 : packet->time_ns > TIME_MAX ? TIME_MAX : packet->time_ns;
    w->now_ns = moment.time_ns;
    let_time_pass(w);
    struct decoded decoded;
    if (decode_packet(&w->decoder, &moment, &decoded) != DECODE_SEGMENT)
        return;
    const struct segment *seg = &decoded.segment;
    if (!w->any_port && !port_is_watched(w, seg->from.port) && !port_is_watched(w, seg->to.port)) {
        w->stats.other_port++;
        return;
    }
    w->stats.packets_kept++;
    w->stats.segments_seen++;
    struct stream_in in = {.segment = seg, .ident = decoded.ident, .checksum_good = decoded.checksum == CHECKSUM_GOOD,
                           .checksum_bad = decoded.checksum == CHECKSUM_BAD};
    struct flow *f = choose_flow(w, seg, &in.side);
    if (!f)
        return;
    bool was_closed = f->closed;
    if (f->closed)
        f->conn.last_ns = seg->time_ns;
    else
        stream_feed(&w->streams, f, &in);
    table_touch(&w->table, f);
    settle(w, f, was_closed);
    if (!f->closed)
        retire_older(w, f);
    if (w->streams.held.held_bytes > BOUND_REORDER_ALL_BYTES)
        relieve(w);
}

void wire_tick(struct wire *w, int64_t now_ns)
{
    w->now_ns = now_ns;
    let_time_pass(w);
}

void wire_stats(const struct wire *w, struct wire_stats *stats)
{
    *stats = w->stats;
    stats->conns_open = w->table.count - w->table.closed_count;
    stats->reorder_bytes = w->streams.held.held_bytes;
}

void wire_close(struct wire *w)
{
    if (!w)
        return;
    for (struct flow *f; (f = w->table.open.first);)
        drop_flow(w, f, f->superseded ? END_REUSED : END_INPUT);
    table_fini(&w->table);
    fragments_close(w->decoder.fragments);
    mem_free(w);
}
