// One direction of a connection: bytes and holes in, heads and bodies out; finds its place again after a loss.
//
// 1. Every byte is part of a message, a blank line before one, or skipped; skipped bytes are told as one gap (GAP_UNPARSED).
// 2. Inside a body whose length is known no start line is looked for: a body may look like a request.
// 3. A hole inside known bytes (a length, a chunk) is stepped over; any other ends the message, and SIDE_RESYNC looks for the next.
// 4. `held` is used by one state at a time: an undecided start (at most START_BYTES_MAX), or an unfinished head.
#include "side.h"

#include "../../include/bounds.h"
#include "conn.h"
#include "seek.h"

enum { HELD_KEPT = 1024 };

void side_init(struct side *s, int index, bool from_beginning)
{
    *s = (struct side){.index = index, .mode = from_beginning ? SIDE_START : SIDE_RESYNC};
}

void side_fini(struct conn_state *c, struct side *s)
{
    c->http->held_bytes -= s->held.room;
    buf_fini(&s->held);
}

// Adds to what is held. False: no memory, or all connections together hold too much.
bool side_hold(struct conn_state *c, struct side *s, const uint8_t *at, size_t size)
{
    struct http *h = c->http;
    size_t room = s->held.room;
    bool ok = h->held_bytes < BOUND_HELD_ALL_BYTES && buf_add(&s->held, at, size);
    h->held_bytes += s->held.room - room;
    h->stats.evicted += !ok;
    return ok;
}

void side_clear_held(struct conn_state *c, struct side *s)
{
    if (s->held.room > HELD_KEPT) {
        c->http->held_bytes -= s->held.room;
        buf_fini(&s->held);
    }
    buf_clear(&s->held);
    s->held_starts = 0;
    s->scanned = 0;
}

// ---- bytes that belong to nothing -----------------------------------------------------------------------------------

void side_skip(struct conn_state *c, struct side *s, const struct side_place *place, uint64_t size)
{
    if (!size)
        return;
    if (!s->skipped_bytes) {
        s->skipped_offset = place->offset;
        s->skipped_from_ns = place->time_ns;
    }
    s->skipped_bytes += size;
    s->skipped_to_ns = place->time_ns;
    conn_lost(c, s, place->offset, place->offset + size);
}

void side_skip_held(struct conn_state *c, struct side *s)
{
    side_skip(c, s, &s->held_place, s->held.size);
    side_clear_held(c, s);
}

void side_forget_held(struct conn_state *c, struct side *s)
{
    if (s->held.size)
        side_skip_held(c, s);
    if (s->mode == SIDE_HEAD || s->mode == SIDE_START)
        s->mode = SIDE_RESYNC;
}

void side_cut_head(struct conn_state *c, struct side *s)
{
    if (s->mode == SIDE_HEAD && s->held.size)
        seek_cut_head(c, s, FINISH_BROKEN, s->held_place.time_ns);
}

// ---- bodies ---------------------------------------------------------------------------------------------------------

static void body_bytes(struct conn_state *c, struct side *s, struct bytes bytes, uint64_t end, int64_t time_ns)
{
    s->left -= bytes.size;
    conn_body(c, s, bytes);
    if (s->left)
        return;
    s->mode = SIDE_START;
    conn_finish(c, s, FINISH_COMPLETE, end, time_ns);
}

// A body is due, but its sender may well have begun another message instead. Returns bytes taken, or SIZE_MAX: it is the body.
static size_t doubt_body(struct conn_state *c, struct side *s, const struct side_place *at, struct bytes rest)
{
    size_t old = s->held.size, n = START_BYTES_MAX - old < rest.size ? START_BYTES_MAX - old : rest.size;
    if (!old && (!at->segment_start || !conn_doubts_body(c, s)))
        return SIZE_MAX;
    if (!old)
        s->held_place = *at;
    if (!side_hold(c, s, rest.at, n))
        return SIZE_MAX;
    bool client = s->index == c->client;
    enum start_verdict verdict = client ? start_of_request(buf_view(&s->held), START_CAREFUL) : start_of_response(buf_view(&s->held));
    if (verdict == START_MORE && s->held.size < s->left)
        return n;
    if (verdict == START_YES) {
        conn_finish(c, s, FINISH_LEFT, s->held_place.offset, s->message_ns);
        s->found = client ? HEAD_REQUEST : HEAD_RESPONSE;
        s->care = START_CAREFUL;
        return seek_begin_head(s, at, n);
    }
    // It is the body. What was held is handed on; what was just added stays in the piece.
    s->held.size = old;
    if (old)
        body_bytes(c, s, buf_view(&s->held), s->held_place.offset + old, at->time_ns);
    side_clear_held(c, s);
    return old ? 0 : SIZE_MAX;
}

static size_t step_length(struct conn_state *c, struct side *s, const struct side_place *at, struct bytes rest)
{
    if (!s->body.wire_bytes) {
        size_t n = doubt_body(c, s, at, rest);
        if (n != SIZE_MAX)
            return n;
    }
    size_t n = s->left < rest.size ? (size_t)s->left : rest.size;
    body_bytes(c, s, bytes_of(rest.at, n), at->offset + n, at->time_ns);
    return n;
}

struct chunk_target {
    struct conn_state *c;
    struct side *s;
};

static void emit_chunk(void *ctx, struct bytes bytes)
{
    struct chunk_target *t = ctx;
    conn_body(t->c, t->s, bytes);
}

static void chunked_result(struct conn_state *c, struct side *s, enum chunked_verdict verdict, uint64_t end, int64_t time_ns)
{
    if (verdict == CHUNKED_MORE)
        return;
    s->mode = verdict == CHUNKED_DONE ? SIDE_START : SIDE_RESYNC;
    if (verdict == CHUNKED_BAD)
        c->http->stats.parse_errors++;
    conn_finish(c, s, verdict == CHUNKED_DONE ? FINISH_COMPLETE : FINISH_BROKEN, end, time_ns);
}

static size_t step_chunked(struct conn_state *c, struct side *s, const struct side_place *at, struct bytes rest)
{
    struct chunk_target target = {c, s};
    size_t used;
    enum chunked_verdict verdict = chunked_feed(&s->chunked, rest, emit_chunk, &target, &used);
    chunked_result(c, s, verdict, at->offset + used, at->time_ns);
    return used;
}

static size_t step_close(struct conn_state *c, struct side *s, const struct side_place *at, struct bytes rest)
{
    if (at->segment_start && conn_doubts_body(c, s) && start_of_response(rest) == START_YES) {
        s->mode = SIDE_START;
        conn_finish(c, s, FINISH_BROKEN, at->offset, s->message_ns);
        return 0;
    }
    conn_body(c, s, rest);
    return rest.size;
}

static size_t step(struct conn_state *c, struct side *s, const struct side_place *at, struct bytes rest)
{
    switch (s->mode) {
    case SIDE_RESYNC:
    case SIDE_START:
        return seek_start(c, s, at, rest);
    case SIDE_HEAD:
        return seek_head(c, s, at, rest);
    case SIDE_OVERLONG:
        return seek_overlong(c, s, at, rest);
    case SIDE_LENGTH:
        return step_length(c, s, at, rest);
    case SIDE_CHUNKED:
        return step_chunked(c, s, at, rest);
    case SIDE_CLOSE:
        return step_close(c, s, at, rest);
    case SIDE_OPAQUE:
        break;
    }
    return rest.size;
}

// Blank lines before a message: the node tolerates them.
static size_t step_blank(struct conn_state *c, struct side *s, const struct side_place *at, struct bytes rest)
{
    if (s->held.size || (s->mode != SIDE_START && s->mode != SIDE_RESYNC))
        return 0;
    if (s->mode == SIDE_RESYNC && !at->segment_start)
        return 0;
    size_t n = start_blank(rest);
    if (s->mode == SIDE_RESYNC)
        side_skip(c, s, at, n);
    return n;
}

static int64_t advance_clock(struct side *s, int64_t time_ns)
{
    s->clock_ns = time_ns > s->clock_ns ? time_ns : s->clock_ns;
    return s->clock_ns;
}

void side_data(struct conn_state *c, struct side *s, const struct stream_piece *piece)
{
    struct side_place at = {piece->offset, advance_clock(s, piece->time_ns), piece->segment_start, piece->ack_known, piece->ack};
    struct bytes rest = piece->bytes;
    s->at = piece->offset;
    s->bytes_seen += rest.size;
    while (rest.size && s->mode != SIDE_OPAQUE) {
        size_t blank = step_blank(c, s, &at, rest);
        size_t n = blank ? blank : step(c, s, &at, rest);
        rest = bytes_from(rest, n);
        at.offset += n;
        s->at += n;
        at.segment_start = at.segment_start && (n == 0 || blank);
    }
    s->at = piece->offset + piece->bytes.size;
    if (s->in_message)
        s->message_ns = at.time_ns;
}

// ---- holes and the end ----------------------------------------------------------------------------------------------

static void resync_after(struct conn_state *c, struct side *s, const struct stream_gap *gap, uint64_t from)
{
    s->mode = SIDE_RESYNC;
    conn_lost(c, s, from, gap->offset + gap->size_bytes);
}

static void gap_in_length(struct conn_state *c, struct side *s, const struct stream_gap *gap)
{
    if (s->held.size) { // undecided: what is held is the body
        s->left -= s->held.size;
        conn_body(c, s, buf_view(&s->held));
        side_clear_held(c, s);
    }
    uint64_t n = gap->size_bytes < s->left ? gap->size_bytes : s->left;
    conn_hole(c, s, n, false);
    s->left -= n;
    if (s->left)
        return;
    s->mode = SIDE_START;
    conn_finish(c, s, FINISH_COMPLETE, gap->offset + n, s->clock_ns);
    if (n < gap->size_bytes)
        resync_after(c, s, gap, gap->offset + n);
}

static void gap_in_chunks(struct conn_state *c, struct side *s, const struct stream_gap *gap)
{
    if (gap->size_bytes <= s->chunked.left) {
        conn_hole(c, s, gap->size_bytes, false);
        chunked_skip(&s->chunked, gap->size_bytes);
        return;
    }
    conn_hole(c, s, gap->size_bytes, true);
    conn_finish(c, s, FINISH_LOST, gap->offset + gap->size_bytes, s->clock_ns);
    resync_after(c, s, gap, gap->offset);
}

void side_gap(struct conn_state *c, struct side *s, const struct stream_gap *gap)
{
    if (!gap->size_bytes)
        return;
    advance_clock(s, gap->from_ns);
    switch (s->mode) {
    case SIDE_OPAQUE:
        break;
    case SIDE_RESYNC:
    case SIDE_START:
        if (s->held.size)
            side_skip_held(c, s);
        resync_after(c, s, gap, gap->offset);
        break;
    case SIDE_HEAD:
        seek_cut_head(c, s, FINISH_LOST, s->held_place.time_ns);
        resync_after(c, s, gap, gap->offset);
        break;
    case SIDE_OVERLONG:
        conn_finish(c, s, FINISH_LOST, gap->offset, s->clock_ns);
        resync_after(c, s, gap, gap->offset);
        break;
    case SIDE_LENGTH:
        gap_in_length(c, s, gap);
        break;
    case SIDE_CHUNKED:
        gap_in_chunks(c, s, gap);
        break;
    case SIDE_CLOSE:
        conn_hole(c, s, gap->size_bytes, false);
        pair_lose(&c->queue, gap->offset + gap->size_bytes);
        break;
    }
    s->at = gap->offset + gap->size_bytes;
}

void side_end(struct conn_state *c, struct side *s, enum stream_end how, int64_t time_ns)
{
    time_ns = advance_clock(s, time_ns);
    enum finish finish = how == END_FIN || how == END_RST ? FINISH_LEFT : FINISH_OPEN;
    switch (s->mode) {
    case SIDE_RESYNC:
    case SIDE_START:
        if (s->held.size)
            side_skip_held(c, s);
        break;
    case SIDE_HEAD:
        seek_cut_head(c, s, finish, time_ns);
        break;
    case SIDE_LENGTH:
        if (s->held.size)
            conn_body(c, s, buf_view(&s->held));
        side_clear_held(c, s);
        conn_finish(c, s, finish, s->at, time_ns);
        break;
    case SIDE_OVERLONG:
    case SIDE_CHUNKED:
        conn_finish(c, s, finish, s->at, time_ns);
        break;
    case SIDE_CLOSE:
        conn_finish(c, s, how == END_FIN ? FINISH_COMPLETE : finish, s->at, time_ns);
        break;
    case SIDE_OPAQUE:
        break;
    }
    conn_tell_skipped(c, s);
    s->mode = SIDE_OPAQUE;
}

void side_mute(struct conn_state *c, struct side *s)
{
    if (s->in_message)
        conn_finish(c, s, FINISH_BROKEN, s->at, s->message_ns);
    conn_tell_skipped(c, s);
    s->held.size = 0;
    side_clear_held(c, s);
    s->mode = SIDE_OPAQUE;
}
