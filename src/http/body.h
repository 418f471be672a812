// A body on its way out: content coding undone, holes told, sizes kept.
#pragma once
#include "coding.h"

struct body_out {
    void (*piece)(void *ctx, void *handle, const struct body_piece *piece); // NULL: nobody wants it
    void *ctx, *handle;
};

struct body {
    enum body_coding coding;
    struct decoder *decoder;  // NULL: identity, or undecodable
    uint64_t wire_bytes, missing_bytes, out_bytes; // out: how far it has been told, holes counted in
    bool open, undecodable, truncated;
};

void body_begin(struct body *b, enum body_coding coding);
void body_feed(struct body *b, struct decoder_shelf *shelf, const struct body_out *out, struct bytes bytes);
// `unknown`: how much of these bytes is body cannot be told (framing was among them).
void body_hole(struct body *b, struct decoder_shelf *shelf, const struct body_out *out, uint64_t size, bool unknown);
void body_end(struct body *b, struct decoder_shelf *shelf, bool complete, int64_t time_ns, struct message_end *end);
