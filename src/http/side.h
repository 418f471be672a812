// One direction of a connection: bytes and holes in, heads and bodies out; finds its place again after a loss.
#pragma once
#include "../base/buf.h"
#include "body.h"
#include "chunked.h"
#include "head.h"
#include "pair.h"
#include "sniff.h"
#include "start.h"

enum side_mode {
    SIDE_RESYNC,   // somewhere: a message is believed only where a segment begins
    SIDE_START,    // between two messages: the next byte begins one
    SIDE_HEAD,     // in a head that is not whole yet
    SIDE_OVERLONG, // in a head that was told already, being longer than we keep
    SIDE_LENGTH,   // in a body of known length
    SIDE_CHUNKED,
    SIDE_CLOSE,    // in a body that ends with the connection
    SIDE_OPAQUE,   // another protocol, or ended: nothing is looked at
};

// Where a byte lies and what its segment said.
struct side_place {
    uint64_t offset;
    int64_t time_ns;
    bool segment_start, ack_known;
    uint64_t ack;
};

enum framing_kind { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE, FRAMING_UNKNOWN, FRAMING_BROKEN, FRAMING_REFUSED, FRAMING_OPAQUE };
struct framing {
    enum framing_kind kind; // UNKNOWN: bytes were lost; BROKEN: what is there makes no sense; REFUSED: no head of a message at all
    uint64_t length;
};

enum finish {
    FINISH_COMPLETE,
    FINISH_LEFT,   // the sender stopped in the middle
    FINISH_BROKEN, // its framing makes no sense from here on
    FINISH_LOST,   // we lost bytes and with them its end
    FINISH_OPEN,   // the recording ended, or a limit of ours was reached
};

struct side {
    enum side_mode mode;
    enum head_kind wants;      // HEAD_NONE: whichever comes
    enum head_kind found;      // what the head being read is
    enum start_care care;      // what its first line must show
    int index;
    uint64_t at;               // next byte's offset
    int64_t clock_ns;          // newest time of this side: displaced packets do not turn it back
    uint64_t proved;           // the peer's last data acknowledged this side up to here: a message may begin here
    bool proved_known;
    struct buf held;           // a start that is not decided yet, or an unfinished head
    struct side_place held_place;
    uint64_t held_starts;      // bit n: held.at[n] began a segment
    size_t scanned;            // of the unfinished head
    bool line_checked;
    unsigned newline;          // SIDE_OVERLONG: 1 after LF, 2 after LF CR
    struct framing framing;    // SIDE_OVERLONG: what comes after the head
    uint64_t left;             // SIDE_LENGTH
    struct chunked chunked;
    // bytes seen and not understood, told together
    uint64_t skipped_offset, skipped_bytes;
    int64_t skipped_from_ns, skipped_to_ns;
    uint64_t lost_end;         // end of the last bytes lost or skipped; 0: none
    // the message being read
    bool in_message;
    struct pending *of;        // NULL: an answer that belongs to no request
    struct body body;
    uint64_t message_start;
    int64_t begun_ns, message_ns; // its first byte, its newest one
    uint64_t bytes_seen;
};

struct conn_state;
void side_init(struct side *s, int index, bool from_beginning);
void side_fini(struct conn_state *c, struct side *s);
void side_data(struct conn_state *c, struct side *s, const struct stream_piece *piece);
void side_gap(struct conn_state *c, struct side *s, const struct stream_gap *gap);
void side_end(struct conn_state *c, struct side *s, enum stream_end how, int64_t time_ns); // may be called twice
void side_mute(struct conn_state *c, struct side *s);       // another protocol from here on
void side_cut_head(struct conn_state *c, struct side *s);   // tells an unfinished head as it is: it was answered already
// For seek.
bool side_hold(struct conn_state *c, struct side *s, const uint8_t *at, size_t size); // false: no room
void side_clear_held(struct conn_state *c, struct side *s);
void side_skip(struct conn_state *c, struct side *s, const struct side_place *place, uint64_t size); // bytes that belong to nothing
void side_skip_held(struct conn_state *c, struct side *s);
void side_forget_held(struct conn_state *c, struct side *s); // what is held turned out to be nothing
