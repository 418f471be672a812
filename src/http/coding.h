// Undoes content codings as a stream: gzip (of several members), deflate (wrapped or raw), zstd (of several frames).
#pragma once
#include "../../include/message.h"

struct decoder;

// Keeps decoders for the next body, since making one costs more than a small body.
struct decoder_shelf {
    struct decoder *free[CODING_OTHER];
    uint8_t *out; // what one step can yield
};

enum decoded { DECODED_OK, DECODED_BROKEN };

bool decoder_shelf_init(struct decoder_shelf *shelf);
void decoder_shelf_fini(struct decoder_shelf *shelf);
struct decoder *decoder_take(struct decoder_shelf *shelf, enum body_coding coding); // NULL: no such coding, or memory out
void decoder_give(struct decoder_shelf *shelf, struct decoder *d);

// Hands what comes out to `emit` in steps of at most DECODER_STEP_BYTES, however much it is. When the coding breaks, *rest
// is the part of the input that was not decoded.
#define DECODER_STEP_BYTES ((size_t)64 * 1024)
enum decoded decoder_feed(struct decoder *d, struct bytes in, void (*emit)(void *ctx, struct bytes), void *ctx, struct bytes *rest);
bool decoder_ended(const struct decoder *d); // at the end of a member: the body may end here
