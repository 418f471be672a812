// A body on its way out: content coding undone, holes told, sizes kept.
//
// 1. Identity bytes are handed on where they lie; nothing is copied.
// 2. After a hole, or where the coding breaks, a coded body goes on raw: a decoder cannot find its place again.
// 3. Past BOUND_BODY_BYTES_MAX, on the wire or decoded, bytes are told as a hole: cut, flagged, never dropped silently.
#include "body.h"

#include "../../include/bounds.h"

struct emission {
    struct body *body;
    const struct body_out *out;
    bool raw;
};

static void emit_hole(struct body *b, const struct body_out *out, uint64_t size, bool unknown)
{
    if (out->piece)
        out->piece(out->ctx, out->handle, &(struct body_piece){.hole_bytes = size, .hole_unknown = unknown, .raw = b->undecodable});
}

static void emit(void *ctx, struct bytes bytes)
{
    struct emission *e = ctx;
    struct body *b = e->body;
    uint64_t room = b->out_bytes < BOUND_BODY_BYTES_MAX ? BOUND_BODY_BYTES_MAX - b->out_bytes : 0;
    uint64_t kept = bytes.size < room ? bytes.size : room;
    b->out_bytes += kept;
    if (kept && e->out->piece)
        e->out->piece(e->out->ctx, e->out->handle, &(struct body_piece){.bytes = {bytes.at, (size_t)kept}, .raw = e->raw});
    if (kept == bytes.size)
        return;
    b->truncated = true;
    emit_hole(b, e->out, bytes.size - kept, b->coding != CODING_IDENTITY);
    if (b->coding == CODING_IDENTITY)
        b->missing_bytes += bytes.size - kept;
}

static void drop_decoder(struct body *b, struct decoder_shelf *shelf)
{
    decoder_give(shelf, b->decoder);
    b->decoder = NULL;
    b->undecodable = b->coding != CODING_IDENTITY;
}

void body_begin(struct body *b, enum body_coding coding)
{
    *b = (struct body){.open = true, .coding = coding};
}

void body_feed(struct body *b, struct decoder_shelf *shelf, const struct body_out *out, struct bytes bytes)
{
    struct emission e = {b, out, false};
    if (!bytes.size)
        return;
    if (b->coding != CODING_IDENTITY && !b->wire_bytes && out->piece) {
        b->decoder = decoder_take(shelf, b->coding);
        b->undecodable = !b->decoder;
    }
    b->wire_bytes += bytes.size;
    if (b->decoder) {
        struct bytes rest;
        enum decoded verdict = decoder_feed(b->decoder, bytes, emit, &e, &rest);
        if (verdict == DECODED_OK)
            return;
        drop_decoder(b, shelf);
        if (b->out_bytes || b->wire_bytes != bytes.size) // else it never was in this coding: all of it is raw
            bytes = rest;
    }
    e.raw = b->undecodable;
    emit(&e, bytes);
}

void body_hole(struct body *b, struct decoder_shelf *shelf, const struct body_out *out, uint64_t size, bool unknown)
{
    if (b->coding != CODING_IDENTITY) {
        drop_decoder(b, shelf);
        unknown = true;
    }
    b->out_bytes += size;
    b->wire_bytes += size;
    b->missing_bytes += size;
    b->truncated = true;
    emit_hole(b, out, size, unknown);
}

void body_end(struct body *b, struct decoder_shelf *shelf, bool complete, int64_t time_ns, struct message_end *end)
{
    if (b->decoder && !decoder_ended(b->decoder))
        b->undecodable = true;
    *end = (struct message_end){
        .time_ns = time_ns,
        .wire_bytes = b->wire_bytes,
        .missing_bytes = b->missing_bytes,
        .coding = b->coding,
        .undecodable = b->undecodable,
        .complete = complete,
        .truncated = b->truncated,
    };
    decoder_give(shelf, b->decoder);
    *b = (struct body){0};
}
