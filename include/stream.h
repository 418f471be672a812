// What leaves src/wire: per connection two ordered byte streams with their gaps, in causal order.
//
// Promises of the sender (wire), which the receiver (http) relies on:
//  1. Per side, data and gaps come in stream order and together cover every offset once.
//  2. Causal order across the two sides: a piece is delivered only after everything its segment acknowledged of the
//     other side was delivered, as data or as a gap. A side that the capture never shows is not waited for.
//  3. A gap is declared only when the other side acknowledged past the hole and waiting longer cannot fill it, or at
//     the end of input, or (one-sided traffic) by the rule of wire/stream.h.
//  4. One piece is one segment's payload, or the part of it that was new.
#pragma once
#include "bytes.h"
#include "endpoint.h"

enum stream_side { SIDE_A, SIDE_B }; // A sent the first packet seen; http decides which of them is the client

// Facts of a connection, kept up to date by wire while the connection lives; receivers read only.
struct conn {
    uint64_t serial;        // from 1, in order of first packet
    struct endpoint end[2]; // by side
    uint32_t first_seq[2];  // sequence number of stream offset 0; valid where seen[side]
    uint64_t acked[2];      // how far the other side has acknowledged this side's stream (offset), 0 if never
    bool ack_known[2];      // acked[side] rests on a real ACK
    bool seen[2];           // at least one packet from this side was captured
    bool syn[2];            // this side's SYN (or SYN-ACK) was seen: offset 0 is the true beginning
    bool midstream;         // joined after its beginning
    int initiator;          // side that sent the SYN, or -1
    int64_t first_ns, last_ns;
};

struct stream_piece {
    int side;
    uint64_t offset;        // of its first byte in this side's stream, unrolled to 64 bits
    struct bytes bytes;     // borrowed until the call returns
    int64_t time_ns;        // of the packet that brought it
    bool segment_start;     // begins where a TCP segment's payload began
    bool ack_known;
    uint64_t ack;           // offset in the other side's stream that this segment acknowledged
};

enum gap_cause {
    GAP_LOST,       // acknowledged by the peer, never captured
    GAP_SNAPLEN,    // cut by a snap length
    GAP_MIDSTREAM,  // before we joined
    GAP_EVICTED,    // a limit of ours was reached
    GAP_END,        // input ended with a hole open
    GAP_KERNEL,     // the kernel dropped packets (no connection known)
    GAP_NOT_RECORDING, // nobody was recording
    GAP_UNPARSED,   // bytes seen that belong to no message (http)
    GAP_ORPHAN,     // an answer without any request (http)
    GAP_DISK,       // rows or bodies that the disk refused (tape)
    GAP_CAUSES
};

struct stream_gap {
    int side;
    uint64_t offset, size_bytes;
    int64_t from_ns, to_ns; // between these moments the bytes passed
    enum gap_cause cause;
    bool ack_known;         // of the piece behind the gap, as in stream_piece
    uint64_t ack;
};

enum stream_end { END_FIN, END_RST, END_IDLE, END_REUSED, END_INPUT, END_EVICTED };

// open returns the receiver's own state for the connection, handed back in every later call; close frees it.
struct stream_sink {
    void *ctx;
    void *(*open)(void *ctx, const struct conn *conn);
    void (*data)(void *ctx, void *state, const struct stream_piece *piece);
    void (*gap)(void *ctx, void *state, const struct stream_gap *gap);
    void (*end)(void *ctx, void *state, int side, enum stream_end how, int64_t time_ns); // this side sends no more
    void (*close)(void *ctx, void *state, enum stream_end how, int64_t time_ns);         // once, after both ends
};
