// Removes the chunked transfer coding from a body, by llhttp, whatever the head before it looked like.
//
// The parser is primed with a head of our own, so that it starts where a body starts: a head that llhttp refuses can still
// have a body that it reads.
#include "chunked.h"

static int on_chunk_header(llhttp_t *p)
{
    ((struct chunked *)p->data)->chunk_left = p->content_length;
    return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t size)
{
    struct chunked *c = p->data;
    c->chunk_left -= size < c->chunk_left ? size : c->chunk_left;
    if (!c->filling)
        c->emit(c->emit_ctx, bytes_of(at, size));
    return 0;
}

static int on_message_complete(llhttp_t *p)
{
    ((struct chunked *)p->data)->done = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t chunked_settings = {
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void chunked_begin(struct chunked *c)
{
    static const char head[] = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    c->chunk_left = 0;
    c->done = c->filling = false;
    llhttp_init(&c->parser, HTTP_REQUEST, &chunked_settings);
    llhttp_set_lenient_headers(&c->parser, 1); // trailers
#if LLHTTP_VERSION_MAJOR > 9 || (LLHTTP_VERSION_MAJOR == 9 && LLHTTP_VERSION_MINOR >= 1)
    llhttp_set_lenient_optional_lf_after_cr(&c->parser, 0);
    llhttp_set_lenient_optional_crlf_after_chunk(&c->parser, 0);
    llhttp_set_lenient_optional_cr_before_lf(&c->parser, 1);
    llhttp_set_lenient_spaces_after_chunk_size(&c->parser, 1);
#endif
    c->parser.data = c;
    llhttp_execute(&c->parser, head, sizeof head - 1);
}

enum chunked_verdict chunked_feed(struct chunked *c, struct bytes in, void (*emit)(void *ctx, struct bytes), void *ctx, size_t *used)
{
    c->emit = emit;
    c->emit_ctx = ctx;
    llhttp_errno_t error = llhttp_execute(&c->parser, (const char *)in.at, in.size);
    *used = in.size;
    if (error == HPE_OK)
        return CHUNKED_MORE;
    const char *stopped = llhttp_get_error_pos(&c->parser);
    if (stopped)
        *used = (size_t)((const uint8_t *)stopped - in.at);
    return c->done ? CHUNKED_DONE : CHUNKED_BAD;
}

enum chunked_verdict chunked_skip(struct chunked *c, uint64_t size)
{
    static const uint8_t filler[64 * 1024];
    enum chunked_verdict verdict = CHUNKED_MORE;
    c->filling = true;
    while (size && verdict == CHUNKED_MORE) {
        size_t n = size < sizeof filler ? (size_t)size : sizeof filler, used;
        verdict = chunked_feed(c, bytes_of(filler, n), c->emit, c->emit_ctx, &used);
        size -= n;
    }
    c->filling = false;
    return verdict;
}
