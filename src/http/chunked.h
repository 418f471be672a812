// Removes the chunked transfer coding from a body, by llhttp, whatever the head before it looked like.
#pragma once
#include "../../include/bytes.h"
#include <llhttp.h>

enum chunked_verdict { CHUNKED_MORE, CHUNKED_DONE, CHUNKED_BAD };

struct chunked {
    llhttp_t parser;
    uint64_t chunk_left; // bytes that still belong to the chunk being read: a hole no larger than this can be skipped
    bool done, filling;
    void (*emit)(void *ctx, struct bytes bytes);
    void *emit_ctx;
};

void chunked_begin(struct chunked *c);
// Hands the data to `emit`; *used: bytes that belong to this body (all of them unless it is done or bad).
enum chunked_verdict chunked_feed(struct chunked *c, struct bytes in, void (*emit)(void *ctx, struct bytes), void *ctx, size_t *used);
// Steps over `size` missing bytes, size <= chunk_left.
enum chunked_verdict chunked_skip(struct chunked *c, uint64_t size);
