// Undoes content codings as a stream: gzip (of several members), deflate (wrapped or raw), zstd (of several frames).
//
// 1. One step yields at most DECODER_STEP_BYTES: a decompression bomb flows through in pieces, it never lies in memory.
// 2. Behind the last gzip member anything that is not another member is padding, as gzip(1) and the node treat it.
// 3. "deflate" is a zlib stream by the standard and a raw one by some clients: its first two bytes decide.
#include "coding.h"

#include "../base/mem.h"

#include <zlib.h>
#include <zstd.h>

enum {
    ZSTD_WINDOW_LOG_MAX = 23, // RFC 9659: no larger window over HTTP
    GZIP_WINDOW = 15 + 16,
    ZLIB_WINDOW = 15,
    RAW_WINDOW = -15,
};

struct decoder {
    enum body_coding coding;
    uint8_t *out; // borrowed from the shelf
    z_stream z;
    bool z_made;
    ZSTD_DCtx *zstd;
    uint8_t first[2]; // of a deflate body, until both are here
    size_t first_size;
    bool started, ended, padding;
};

static void *z_alloc(void *ctx, unsigned count, unsigned size)
{
    (void)ctx;
    return mem_zero(count, size);
}

static void z_free(void *ctx, void *at)
{
    (void)ctx;
    mem_free(at);
}

bool decoder_shelf_init(struct decoder_shelf *shelf)
{
    *shelf = (struct decoder_shelf){.out = mem_alloc(DECODER_STEP_BYTES)};
    return shelf->out != NULL;
}

static void decoder_close(struct decoder *d)
{
    if (!d)
        return;
    if (d->z_made)
        inflateEnd(&d->z);
    ZSTD_freeDCtx(d->zstd);
    mem_free(d);
}

void decoder_shelf_fini(struct decoder_shelf *shelf)
{
    for (size_t i = 0; i < CODING_OTHER; i++)
        decoder_close(shelf->free[i]);
    mem_free(shelf->out);
    *shelf = (struct decoder_shelf){0};
}

static bool make_inner(struct decoder *d)
{
    if (d->coding == CODING_ZSTD) {
        d->zstd = ZSTD_createDCtx();
        return d->zstd && !ZSTD_isError(ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX));
    }
    d->z.zalloc = z_alloc;
    d->z.zfree = z_free;
    d->z_made = inflateInit2(&d->z, GZIP_WINDOW) == Z_OK;
    return d->z_made;
}

struct decoder *decoder_take(struct decoder_shelf *shelf, enum body_coding coding)
{
    if (coding <= CODING_IDENTITY || coding >= CODING_OTHER)
        return NULL;
    struct decoder *d = shelf->free[coding];
    shelf->free[coding] = NULL;
    if (!d) {
        d = mem_zero(1, sizeof *d);
        if (!d)
            return NULL;
        d->coding = coding;
        if (!make_inner(d)) {
            decoder_close(d);
            return NULL;
        }
    } else if (d->zstd) {
        ZSTD_DCtx_reset(d->zstd, ZSTD_reset_session_only);
    } else if (coding == CODING_GZIP) {
        inflateReset2(&d->z, GZIP_WINDOW);
    }
    d->out = shelf->out;
    d->first_size = 0;
    d->started = d->ended = d->padding = false;
    return d;
}

void decoder_give(struct decoder_shelf *shelf, struct decoder *d)
{
    if (!d)
        return;
    if (shelf->free[d->coding])
        decoder_close(d);
    else
        shelf->free[d->coding] = d;
}

bool decoder_ended(const struct decoder *d)
{
    return d->ended;
}

// The next member begins with these two bytes, or what follows is padding.
static bool next_member(struct decoder *d, struct bytes *in)
{
    static const uint8_t magic[2] = {0x1f, 0x8b};
    while (d->first_size < 2 && in->size) {
        if (in->at[0] != magic[d->first_size])
            return false;
        d->first_size++;
        *in = bytes_from(*in, 1);
    }
    return true;
}

static enum decoded inflate_some(struct decoder *d, struct bytes *in, void (*emit)(void *ctx, struct bytes), void *ctx)
{
    int result;
    do {
        d->z.next_in = (Bytef *)in->at;
        d->z.avail_in = in->size > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uInt)in->size;
        uInt given = d->z.avail_in;
        d->z.next_out = d->out;
        d->z.avail_out = DECODER_STEP_BYTES;
        result = inflate(&d->z, Z_NO_FLUSH);
        *in = bytes_from(*in, given - d->z.avail_in);
        size_t n = DECODER_STEP_BYTES - d->z.avail_out;
        if (n)
            emit(ctx, bytes_of(d->out, n));
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
            return DECODED_BROKEN;
    } while (result == Z_OK && (in->size || d->z.avail_out == 0));
    d->ended = result == Z_STREAM_END;
    return DECODED_OK;
}

static enum decoded inflate_bytes(struct decoder *d, const uint8_t *at, size_t size, void (*emit)(void *ctx, struct bytes), void *ctx)
{
    struct bytes in = bytes_of(at, size);
    return inflate_some(d, &in, emit, ctx);
}

static enum decoded feed_gzip(struct decoder *d, struct bytes *in, void (*emit)(void *ctx, struct bytes), void *ctx)
{
    static const uint8_t magic[2] = {0x1f, 0x8b};
    while (in->size && !d->padding) {
        if (d->ended) {
            if (!next_member(d, in)) {
                d->padding = true;
                break;
            }
            if (d->first_size < 2)
                break;
            d->first_size = 0;
            d->ended = false;
            inflateReset2(&d->z, GZIP_WINDOW);
            if (inflate_bytes(d, magic, sizeof magic, emit, ctx) != DECODED_OK)
                return DECODED_BROKEN;
            continue;
        }
        if (inflate_some(d, in, emit, ctx) != DECODED_OK)
            return DECODED_BROKEN;
    }
    return DECODED_OK;
}

// RFC 1950: method 8, a window of at most 32 KiB, and a check that makes the pair a multiple of 31.
static bool is_zlib(const uint8_t first[2])
{
    return (first[0] & 15) == 8 && first[0] >> 4 <= 7 && ((unsigned)first[0] << 8 | first[1]) % 31 == 0;
}

static enum decoded feed_deflate(struct decoder *d, struct bytes *in, void (*emit)(void *ctx, struct bytes), void *ctx)
{
    while (!d->started && in->size) {
        d->first[d->first_size++] = in->at[0];
        *in = bytes_from(*in, 1);
        if (d->first_size < 2)
            continue;
        d->started = true;
        inflateReset2(&d->z, is_zlib(d->first) ? ZLIB_WINDOW : RAW_WINDOW);
        if (inflate_bytes(d, d->first, 2, emit, ctx) != DECODED_OK)
            return DECODED_BROKEN;
    }
    while (in->size && !d->ended)
        if (inflate_some(d, in, emit, ctx) != DECODED_OK)
            return DECODED_BROKEN;
    return DECODED_OK;
}

static enum decoded feed_zstd(struct decoder *d, struct bytes *in, void (*emit)(void *ctx, struct bytes), void *ctx)
{
    ZSTD_inBuffer from = {in->at, in->size, 0};
    ZSTD_outBuffer to = {d->out, DECODER_STEP_BYTES, 0};
    size_t result;
    do {
        to.pos = 0;
        size_t before = from.pos;
        result = ZSTD_decompressStream(d->zstd, &to, &from);
        if (to.pos)
            emit(ctx, bytes_of(d->out, to.pos));
        if (ZSTD_isError(result)) {
            *in = bytes_from(*in, before);
            return DECODED_BROKEN;
        }
        d->ended = result == 0;
    } while (from.pos < from.size || to.pos == DECODER_STEP_BYTES);
    *in = bytes_from(*in, from.pos);
    return DECODED_OK;
}

enum decoded decoder_feed(struct decoder *d, struct bytes in, void (*emit)(void *ctx, struct bytes), void *ctx, struct bytes *rest)
{
    enum decoded verdict = d->coding == CODING_GZIP    ? feed_gzip(d, &in, emit, ctx)
                           : d->coding == CODING_ZSTD ? feed_zstd(d, &in, emit, ctx)
                                                      : feed_deflate(d, &in, emit, ctx);
    *rest = in;
    return verdict;
}
