// Removes the chunked transfer coding from a body (RFC 9112 section 7.1), as leniently as the node does.
#pragma once
#include "../../include/bytes.h"

enum chunked_verdict { CHUNKED_MORE, CHUNKED_DONE, CHUNKED_BAD };

enum chunked_state {
    CHUNKED_SIZE,       // digits of a chunk's size
    CHUNKED_EXTENSION,  // the rest of that line
    CHUNKED_DATA,
    CHUNKED_DELIMITER,  // the line end behind the data
    CHUNKED_TRAILER,    // at the beginning of a line of the trailer section
    CHUNKED_TRAILER_CR, // behind a CR there
    CHUNKED_FIELD,      // within such a line
};

struct chunked {
    enum chunked_state state;
    unsigned digits;
    uint64_t size;
    uint64_t left; // bytes that still belong to the chunk being read: a hole no larger than this can be stepped over
};

void chunked_begin(struct chunked *c);
// Hands the data to `emit`; *used: bytes that belong to this body (all of them unless it is done or bad).
enum chunked_verdict chunked_feed(struct chunked *c, struct bytes in, void (*emit)(void *ctx, struct bytes), void *ctx, size_t *used);
void chunked_skip(struct chunked *c, uint64_t size); // steps over `size` missing bytes, size <= left
