// A connection while it lives: facts, two halves with what waits for order, and its places in the table's lists.
#pragma once
#include "../../include/stream.h"
#include "wire.h"

enum {
    FLOW_TAIL = 16,    // delivered bytes per side kept to compare overlaps with
    FLOW_RECENT = 8,   // segments per side remembered to tell copies from retransmissions and conflicts
    FLOW_SETTLE = 16,  // packets of the connection after which nothing displaced is expected any more
};

#define FLOW_NOWHERE INT64_MIN // while joining: an offset that nothing told yet

// A segment, or the new part of one, that waits: for a hole before it, or for what it acknowledges.
struct held {
    struct held *prev, *next;
    int64_t at;         // offset of its first byte
    uint32_t size_bytes; // on the wire; `captured` of them are here
    uint32_t captured;
    uint32_t ack;
    bool ack_valid, segment_start;
    uint64_t arrival;   // number of the packet within the connection
    int64_t time_ns;
    uint8_t bytes[];
};

struct recent {
    uint32_t seq, size_bytes, ident, hash;
};

// One direction. Offsets are signed: while the flow is joining, 0 is just where the first information lay.
struct half {
    bool known;             // base_seq is the sequence number of offset 0
    bool syn;
    bool checksums;         // the SYN's was right, so a wrong one is not offload's
    uint32_t base_seq;
    int64_t next;           // delivered up to here
    int64_t high;           // end of the farthest byte seen
    int64_t claim;          // farthest that the other side acknowledged
    int64_t settled;        // the same, FLOW_SETTLE packets ago
    uint32_t last_ack;      // the newest acknowledgement of this side
    int64_t join_payload, join_ack, join_other; // lowest of each seen while joining; INT64_MAX: none
    struct held *head, *tail;
    size_t held_bytes, held_count;
    int64_t stuck_ns;       // since when nothing could be delivered although something waits
    bool stuck;
    bool fin, ended;
    int64_t fin_at;
    uint32_t fin_ack;
    bool fin_ack_valid;
    uint64_t fin_arrival;
    int64_t fin_ns;
    int64_t packet_ns;      // of the newest packet from this side
    int64_t piece_ns;       // of the newest piece delivered
    struct recent recent[FLOW_RECENT];
    uint8_t recent_at;
    uint64_t moved;         // number of the packet that last moved `next`
    uint8_t tail_bytes[FLOW_TAIL];
    uint8_t tail_size;
};

struct flow {
    struct conn conn;
    struct half half[2];
    void *state;            // the receiver's
    bool opened, joining, closed;
    bool superseded;        // a later connection of the same two ends has begun
    uint64_t packets;       // of the connection
    uint64_t join_packets;  // when the first payload came, or 0
    int64_t join_ns;
    uint32_t ring_ack[FLOW_SETTLE]; // acknowledgements of the newest packets
    uint32_t ring_valid, ring_side; // bits by place: there is one; which half it acknowledges
    int rst_side;           // -1: none
    int64_t rst_at;
    uint64_t rst_packets;
    int64_t rst_ns;
    bool closed_by_rst;

    // the table's
    uint64_t hash;
    struct flow *bucket_next;
    struct flow *older;     // an earlier connection of the same two ends that may still get late packets
    struct flow *lru_prev, *lru_next;
    struct flow *wait_prev, *wait_next;
    int64_t wait_ns;
    bool waiting, retired;  // in these lists
};
