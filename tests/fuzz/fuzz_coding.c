// Fuzzes the content codings: any bytes, whole and in pieces, must come out the same; what was packed must come out as it went in.
//
// Input: byte 0 the coding (bits 0-1) and whether the rest is packed first (bit 2; into two members where bit 3), byte 1 seeds the cuts.
#include "src/base/buf.h"
#include "src/http/coding.h"

#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

enum { OUT_MAX = 4 << 20 }; // a bomb is not unpacked to its end here

struct seen {
    struct buf out;
    uint64_t bytes;
};

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void see(void *ctx, struct bytes piece)
{
    struct seen *s = ctx;
    must(piece.size && piece.size <= DECODER_STEP_BYTES);
    s->bytes += piece.size;
    if (s->out.size < OUT_MAX)
        buf_add(&s->out, piece.at, piece.size);
}

// Feeds a copy of each piece, so that a read beyond it is seen.
static enum decoded feed(struct decoder_shelf *shelf, enum body_coding coding, struct bytes in, unsigned cuts, struct seen *seen, bool *ended)
{
    struct decoder *d = decoder_take(shelf, coding);
    enum decoded verdict = DECODED_OK;
    must(d != NULL);
    while (in.size && verdict == DECODED_OK && seen->bytes < OUT_MAX) {
        cuts = cuts * 1103515245 + 12345;
        size_t n = cuts ? cuts >> 16 & 63 : in.size;
        n = n + 1 < in.size ? n + 1 : in.size;
        uint8_t *copy = malloc(n);
        must(copy != NULL);
        memcpy(copy, in.at, n);
        struct bytes rest;
        verdict = decoder_feed(d, bytes_of(copy, n), see, seen, &rest);
        must(rest.size <= n && (!rest.size || (rest.at >= copy && rest.at + rest.size <= copy + n)));
        free(copy);
        in = bytes_from(in, n);
    }
    *ended = decoder_ended(d);
    decoder_give(shelf, d);
    return verdict;
}

static void pack(enum body_coding coding, struct bytes in, int level, struct buf *out)
{
    size_t room = compressBound((uLong)in.size) + ZSTD_compressBound(in.size) + 64;
    uint8_t *to = malloc(room);
    must(to != NULL);
    if (coding == CODING_ZSTD) {
        room = ZSTD_compress(to, room, in.at, in.size, level % 4 + 1);
        must(!ZSTD_isError(room));
    } else {
        z_stream z = {0};
        must(deflateInit2(&z, level % 10, Z_DEFLATED, coding == CODING_GZIP ? 31 : level & 16 ? -15 : 15, 8, Z_DEFAULT_STRATEGY) == Z_OK);
        z.next_in = (Bytef *)in.at;
        z.avail_in = (uInt)in.size;
        z.next_out = to;
        z.avail_out = (uInt)room;
        must(deflate(&z, Z_FINISH) == Z_STREAM_END);
        room = z.total_out;
        deflateEnd(&z);
    }
    buf_add(out, to, room);
    free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum body_coding codings[] = {CODING_GZIP, CODING_DEFLATE, CODING_ZSTD, CODING_GZIP};
    static struct decoder_shelf shelf; // as a connection does, decoders are used again
    if (size < 2 || (!shelf.out && !decoder_shelf_init(&shelf)))
        return 0;
    enum body_coding coding = codings[data[0] & 3];
    bool packed = data[0] & 4;
    struct bytes in = bytes_of(data + 2, size - 2), first = in;
    struct buf coded = {0};
    struct seen whole = {0}, pieces = {0};
    bool whole_ended, pieces_ended;
    if (packed) {
        if (data[0] & 8 && coding != CODING_DEFLATE)
            first.size /= 2;
        pack(coding, first, data[1], &coded);
        if (first.size < in.size)
            pack(coding, bytes_from(in, first.size), data[1] / 3, &coded);
    }
    struct bytes wire = packed ? buf_view(&coded) : in;
    enum decoded a = feed(&shelf, coding, wire, 0, &whole, &whole_ended);
    enum decoded b = feed(&shelf, coding, wire, data[1] + 1u, &pieces, &pieces_ended);
    if (whole.bytes < OUT_MAX && pieces.bytes < OUT_MAX)
        must(a == b && (a != DECODED_OK || (whole_ended == pieces_ended && bytes_equal(buf_view(&whole.out), buf_view(&pieces.out)))));
    if (packed)
        must(a == DECODED_OK && whole_ended && bytes_equal(buf_view(&whole.out), in));
    buf_fini(&whole.out);
    buf_fini(&pieces.out);
    buf_fini(&coded);
    return 0;
}
