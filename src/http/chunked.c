// Removes the chunked transfer coding from a body (RFC 9112 section 7.1), as leniently as the node does.
//
// Not by llhttp: that refuses a blank behind the size, which the node takes, and cannot step over a hole within a chunk.
#include "chunked.h"

void chunked_begin(struct chunked *c)
{
    *c = (struct chunked){.state = CHUNKED_SIZE};
}

static void size_is_known(struct chunked *c)
{
    c->left = c->size;
    c->state = c->size ? CHUNKED_DATA : CHUNKED_TRAILER;
    c->size = 0;
    c->digits = 0;
}

static enum chunked_verdict take_size_byte(struct chunked *c, uint8_t byte)
{
    int digit = bytes_hex_value(byte);
    if (digit >= 0) {
        if (c->size > (uint64_t)INT64_MAX >> 4)
            return CHUNKED_BAD;
        c->size = c->size << 4 | (unsigned)digit;
        c->digits = 1;
        return CHUNKED_MORE;
    }
    if (!c->digits)
        return byte == ' ' || byte == '\t' ? CHUNKED_MORE : CHUNKED_BAD;
    if (byte == '\n')
        size_is_known(c);
    else if (byte == ';' || byte == ' ' || byte == '\t' || byte == '\r')
        c->state = CHUNKED_EXTENSION;
    else
        return CHUNKED_BAD;
    return CHUNKED_MORE;
}

// One byte of anything but data.
static enum chunked_verdict take_byte(struct chunked *c, uint8_t byte)
{
    switch (c->state) {
    case CHUNKED_SIZE:
        return take_size_byte(c, byte);
    case CHUNKED_EXTENSION:
        if (byte == '\n')
            size_is_known(c);
        break;
    case CHUNKED_DELIMITER:
        if (byte != '\n')
            return byte == '\r' ? CHUNKED_MORE : CHUNKED_BAD;
        c->state = CHUNKED_SIZE;
        break;
    case CHUNKED_TRAILER:
    case CHUNKED_TRAILER_CR:
        if (byte == '\n')
            return CHUNKED_DONE;
        c->state = byte == '\r' && c->state == CHUNKED_TRAILER ? CHUNKED_TRAILER_CR : CHUNKED_FIELD;
        break;
    case CHUNKED_FIELD:
        if (byte == '\n')
            c->state = CHUNKED_TRAILER;
        break;
    case CHUNKED_DATA:
        break;
    }
    return CHUNKED_MORE;
}

void chunked_skip(struct chunked *c, uint64_t size)
{
    c->left -= size;
    if (!c->left)
        c->state = CHUNKED_DELIMITER;
}

enum chunked_verdict chunked_feed(struct chunked *c, struct bytes in, void (*emit)(void *ctx, struct bytes), void *ctx, size_t *used)
{
    enum chunked_verdict verdict = CHUNKED_MORE;
    size_t at = 0;
    while (at < in.size && verdict == CHUNKED_MORE) {
        if (c->state != CHUNKED_DATA) {
            verdict = take_byte(c, in.at[at]);
            at += verdict != CHUNKED_BAD;
            continue;
        }
        size_t n = c->left < in.size - at ? (size_t)c->left : in.size - at;
        emit(ctx, bytes_of(in.at + at, n));
        chunked_skip(c, n);
        at += n;
    }
    *used = at;
    return verdict;
}
