// Nouns packed into messages of the queue between the wire side and the tape side, and handed out again there.
#pragma once
#include "../include/record.h"
#include "base/ring.h"

struct parcel_stats {
    uint64_t refused; // a message that did not fit the queue: hostile sizes; counted and told
};

// The sink for es_open: every call becomes a message; pieces of one body that come one behind the other share one.
// next_id and its context come from the tape.
struct parcel_packer {
    struct ring *ring;
    uint64_t (*next_id)(void *ctx);
    void *next_id_ctx;
    struct body_parcel *body; // under construction at the ring's head, or NULL
    size_t body_room;
    struct parcel_stats stats;
};
struct record_sink parcel_sink(struct parcel_packer *p);
void parcel_flush(struct parcel_packer *p); // a body's message under construction is sent; any other message does so, too

// Messages of the recorder itself.
enum parcel_kind {
    PARCEL_ATTEMPT, PARCEL_BODY, PARCEL_OPS, PARCEL_DONE, PARCEL_LATE, PARCEL_RESOLVED, PARCEL_LIFE, PARCEL_GAP, PARCEL_OPAQUE,
    PARCEL_CONN_CLOSE, PARCEL_NOTE
};
// A note is any small struct of the recorder's own: copied as it is, given back by its tag.
bool parcel_note(struct parcel_packer *p, int tag, const void *note, size_t size);

// Where messages go on the other side. Bytes stay valid until the call returns.
struct parcel_receiver {
    struct record_sink sink; // next_id is not used
    void (*note)(void *ctx, int tag, const void *note, size_t size);
};
void parcel_open_message(const void *message, const struct parcel_receiver *to);
