// One direction of a connection: bytes and holes in, heads and bodies out; finds its place again after a loss.
//
// 1. Every byte is part of a message, a blank line before one, or skipped; skipped bytes are told as one gap (GAP_UNPARSED).
// 2. Inside a body whose length is known no start line is looked for: a body may look like a request.
// 3. A hole inside known bytes (a length, a chunk) is stepped over; any other ends the message, and SIDE_RESYNC looks for the next.
// 4. `held` is used by one state at a time: an undecided start (at most START_BYTES_MAX), or an unfinished head.
#include "side.h"

#include "../../include/bounds.h"
#include "conn.h"

enum { HEAD_SLICE = 4096, HELD_KEPT = 16 * 1024 };

void side_init(struct side *s, int index, bool from_beginning)
{
    *s = (struct side){.index = index, .mode = from_beginning ? SIDE_START : SIDE_RESYNC};
}

void side_fini(struct side *s)
{
    buf_fini(&s->held);
}

static void clear_held(struct side *s)
{
    if (s->held.room > HELD_KEPT)
        buf_fini(&s->held);
    buf_clear(&s->held);
    s->held_starts = 0;
    s->scanned = 0;
}

// ---- bytes that belong to nothing -----------------------------------------------------------------------------------

static void skip(struct conn_state *c, struct side *s, const struct side_place *place, uint64_t size)
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

static void skip_held(struct conn_state *c, struct side *s)
{
    skip(c, s, &s->held_place, s->held.size);
    clear_held(s);
}

void side_forget_held(struct conn_state *c, struct side *s)
{
    if (s->held.size)
        skip_held(c, s);
    if (s->mode == SIDE_HEAD || s->mode == SIDE_START)
        s->mode = SIDE_RESYNC;
}

// ---- looking for a start --------------------------------------------------------------------------------------------

static enum start_verdict judge(struct side *s, struct bytes b, enum opaque_kind *opaque)
{
    enum start_care care = s->mode == SIDE_START ? START_TRUSTING : START_CAREFUL;
    enum start_verdict request = s->wants == HEAD_RESPONSE ? START_NO : start_of_request(b, care);
    enum start_verdict response = s->wants == HEAD_REQUEST ? START_NO : start_of_response(b);
    enum start_verdict other = s->wants == HEAD_NONE ? sniff_opaque(b, opaque) : START_NO;
    s->care = care;
    s->found = HEAD_NONE;
    if (other != START_NO) // an HTTP/2 preface looks like a request line until it is whole
        return other;
    if (response == START_YES || request == START_YES)
        s->found = response == START_YES ? HEAD_RESPONSE : HEAD_REQUEST;
    return request > response ? request : response;
}

// A head begins with what is held, of which the last `added` bytes are given back to the piece. Returns bytes taken of those.
static size_t begin_head(struct side *s, const struct side_place *at, size_t added)
{
    size_t back = s->held.size < added ? s->held.size : added;
    s->held.size -= back;
    if (!s->held.size) {
        s->held_place = *at;
        s->held_place.offset += added - back;
    }
    s->mode = SIDE_HEAD;
    s->line_checked = false;
    s->scanned = 0;
    return added - back;
}

// Adds to what is held and decides again, at every place in it where a segment began. Returns bytes taken.
static size_t decide_held(struct conn_state *c, struct side *s, const struct side_place *at, struct bytes rest)
{
    size_t old = s->held.size, n = START_BYTES_MAX - old < rest.size ? START_BYTES_MAX - old : rest.size;
    if (at->segment_start)
        s->held_starts |= UINT64_C(1) << old;
    if (!buf_add(&s->held, rest.at, n)) {
        skip_held(c, s);
        s->mode = SIDE_RESYNC;
        return 0;
    }
    while (s->held.size) {
        enum opaque_kind opaque = OPAQUE_OTHER;
        enum start_verdict verdict = judge(s, buf_view(&s->held), &opaque);
        if (verdict == START_YES && s->found == HEAD_NONE) {
            conn_opaque(c, opaque, at->time_ns);
            return n;
        }
        if (verdict == START_YES)
            return begin_head(s, at, n);
        if (verdict == START_MORE && s->held.size < START_BYTES_MAX)
            return n;
        s->mode = SIDE_RESYNC;
        uint64_t later = s->held_starts & ~UINT64_C(1);
        size_t drop = later ? (size_t)__builtin_ctzll(later) : s->held.size;
        skip(c, s, &s->held_place, drop);
        s->held_starts = drop < 64 ? s->held_starts >> drop : 0;
        buf_drop_front(&s->held, drop);
        s->held_place = *at;
        s->held_place.offset = at->offset + n - s->held.size;
    }
    clear_held(s);
    return n;
}

static size_t step_start(struct conn_state *c, struct side *s, const struct side_place *at, struct bytes rest)
{
    if (s->held.size)
        return decide_held(c, s, at, rest);
    bool here = s->mode == SIDE_START || at->segment_start || (s->proved_known && at->offset == s->proved);
    if (!here) {
        skip(c, s, at, rest.size);
        return rest.size;
    }
    enum opaque_kind opaque = OPAQUE_OTHER;
    enum start_verdict verdict = judge(s, rest, &opaque);
    if (verdict == START_YES && s->found == HEAD_NONE) {
        conn_opaque(c, opaque, at->time_ns);
        return rest.size;
    }
    if (verdict == START_NO && s->mode == SIDE_START) {
        s->mode = SIDE_RESYNC;
        return 0;
    }
    if (verdict == START_NO) {
        skip(c, s, at, rest.size);
        return rest.size;
    }
    s->held_place = *at;
    s->line_checked = false;
    if (verdict == START_YES) {
        s->mode = SIDE_HEAD;
        return 0;
    }
    s->held_starts = at->segment_start;
    size_t n = rest.size < START_BYTES_MAX ? rest.size : START_BYTES_MAX;
    if (!buf_add(&s->held, rest.at, n))
        skip(c, s, at, n);
    return n;
}

// ---- heads ----------------------------------------------------------------------------------------------------------

static void apply(struct conn_state *c, struct side *s, struct framing framing, uint64_t end, int64_t time_ns)
{
    switch (framing.kind) {
    case FRAMING_LENGTH:
        s->left = framing.length;
        s->mode = SIDE_LENGTH;
        if (s->left)
            return;
        break;
    case FRAMING_CHUNKED:
        chunked_begin(&s->chunked);
        s->mode = SIDE_CHUNKED;
        return;
    case FRAMING_CLOSE:
        s->mode = SIDE_CLOSE;
        return;
    case FRAMING_UNKNOWN:
    case FRAMING_BROKEN:
        s->mode = SIDE_RESYNC;
        conn_finish(c, s, framing.kind == FRAMING_UNKNOWN ? FINISH_LOST : FINISH_BROKEN, end, time_ns);
        return;
    case FRAMING_REFUSED:
        s->mode = SIDE_RESYNC;
        return;
    case FRAMING_OPAQUE:
        return;
    case FRAMING_NONE:
        break;
    }
    s->mode = SIDE_START;
    conn_finish(c, s, FINISH_COMPLETE, end, time_ns);
}

static void take_head(struct conn_state *c, struct side *s, struct bytes head, int64_t time_ns)
{
    struct framing framing = conn_head(c, s, &s->held_place, head, HEAD_WHOLE);
    if (framing.kind == FRAMING_REFUSED)
        skip(c, s, &s->held_place, head.size);
    apply(c, s, framing, s->held_place.offset + head.size, time_ns);
}

// Once a request's first line is whole it must look like one. False: it does not.
static bool line_fits(struct side *s, struct bytes head)
{
    const uint8_t *lf = memchr(head.at, '\n', head.size);
    if (s->line_checked || !lf)
        return true;
    s->line_checked = true;
    return s->found != HEAD_REQUEST || start_line_fits(bytes_of(head.at, (size_t)(lf - head.at)), s->wants == HEAD_REQUEST ? s->care : START_CAREFUL);
}

// The head lies whole in this piece, or its beginning does.
static size_t head_in_place(struct conn_state *c, struct side *s, struct bytes rest, int64_t time_ns)
{
    size_t scanned = 0, size = start_head_size(rest, &scanned);
    if (!line_fits(s, rest)) {
        size_t n = (size_t)((const uint8_t *)memchr(rest.at, '\n', rest.size) - rest.at) + 1;
        skip(c, s, &s->held_place, n);
        s->mode = SIDE_RESYNC;
        return n;
    }
    if (size && size <= BOUND_HEAD_BYTES_MAX) {
        take_head(c, s, bytes_of(rest.at, size), time_ns);
        return size;
    }
    size_t n = rest.size < BOUND_HEAD_BYTES_MAX ? rest.size : BOUND_HEAD_BYTES_MAX;
    s->scanned = scanned < n ? scanned : n;
    if (!buf_add(&s->held, rest.at, n)) {
        skip(c, s, &s->held_place, n);
        s->mode = SIDE_RESYNC;
    }
    return n;
}

static void tell_overlong(struct conn_state *c, struct side *s)
{
    s->framing = conn_head(c, s, &s->held_place, buf_view(&s->held), HEAD_TOO_LONG);
    if (s->framing.kind == FRAMING_REFUSED) {
        skip_held(c, s);
        s->mode = SIDE_RESYNC;
        return;
    }
    size_t n = s->held.size;
    s->newline = s->held.at[n - 1] == '\n' ? 1 : s->held.at[n - 1] == '\r' && s->held.at[n - 2] == '\n' ? 2 : 0;
    clear_held(s);
    if (s->mode == SIDE_HEAD)
        s->mode = SIDE_OVERLONG;
}

// A word and a blank that were no request line after all: a segment begins one while no line end has come.
static bool restarts(const struct side *s, const struct side_place *at, struct bytes rest)
{
    return at->segment_start && !s->line_checked && s->found == HEAD_REQUEST && s->care == START_TRUSTING &&
           start_of_request(rest, START_CAREFUL) == START_YES && start_of_request(buf_view(&s->held), START_CAREFUL) != START_YES;
}

static size_t step_head(struct conn_state *c, struct side *s, const struct side_place *at, struct bytes rest)
{
    if (s->held.size && restarts(s, at, rest)) {
        skip_held(c, s);
        s->held_place = *at;
    }
    if (!s->held.size)
        return head_in_place(c, s, rest, at->time_ns);
    size_t old = s->held.size, n = BOUND_HEAD_BYTES_MAX - old;
    n = n < HEAD_SLICE ? n : HEAD_SLICE;
    n = n < rest.size ? n : rest.size;
    if (!buf_add(&s->held, rest.at, n)) {
        c->http->stats.evicted++;
        skip_held(c, s);
        s->mode = SIDE_RESYNC;
        return 0;
    }
    if (!line_fits(s, buf_view(&s->held))) {
        skip_held(c, s);
        s->mode = SIDE_RESYNC;
        return n;
    }
    size_t size = start_head_size(buf_view(&s->held), &s->scanned);
    if (size) {
        take_head(c, s, bytes_of(s->held.at, size), at->time_ns);
        clear_held(s);
        return size - old;
    }
    if (s->held.size == BOUND_HEAD_BYTES_MAX)
        tell_overlong(c, s);
    return n;
}

static size_t step_overlong(struct conn_state *c, struct side *s, const struct side_place *at, struct bytes rest)
{
    for (size_t i = 0; i < rest.size; i++) {
        uint8_t byte = rest.at[i];
        if (byte == '\n' && s->newline) {
            if (s->framing.kind == FRAMING_NONE) // the fields that say how it goes on may be among those cut off
                s->framing.kind = FRAMING_UNKNOWN;
            apply(c, s, s->framing, at->offset + i + 1, at->time_ns);
            return i + 1;
        }
        s->newline = byte == '\n' ? 1 : byte == '\r' && s->newline == 1 ? 2 : 0;
    }
    return rest.size;
}

static enum head_state cut_state(enum finish how)
{
    return how == FINISH_LEFT ? HEAD_CUT_LEFT : how == FINISH_OPEN ? HEAD_CUT_OPEN : HEAD_CUT;
}

// Tells what there is of an unfinished head.
static void tell_cut_head(struct conn_state *c, struct side *s, enum finish how, int64_t time_ns)
{
    struct bytes head = buf_view(&s->held);
    bool known = s->line_checked || s->found == HEAD_RESPONSE || start_of_request(head, START_CAREFUL) == START_YES;
    if (!known || conn_head(c, s, &s->held_place, head, cut_state(how)).kind == FRAMING_REFUSED) {
        skip_held(c, s);
        s->mode = SIDE_RESYNC;
        return;
    }
    uint64_t end = s->held_place.offset + head.size;
    clear_held(s);
    s->mode = SIDE_RESYNC;
    conn_finish(c, s, how, end, time_ns);
}

void side_cut_head(struct conn_state *c, struct side *s)
{
    if (s->mode == SIDE_HEAD && s->held.size)
        tell_cut_head(c, s, FINISH_BROKEN, s->held_place.time_ns);
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
    if (!buf_add(&s->held, rest.at, n))
        return SIZE_MAX;
    bool client = s->index == c->client;
    enum start_verdict verdict = client ? start_of_request(buf_view(&s->held), START_CAREFUL) : start_of_response(buf_view(&s->held));
    if (verdict == START_MORE && s->held.size < s->left)
        return n;
    if (verdict == START_YES) {
        conn_finish(c, s, FINISH_LEFT, s->held_place.offset, s->message_ns);
        s->found = client ? HEAD_REQUEST : HEAD_RESPONSE;
        s->care = START_CAREFUL;
        return begin_head(s, at, n);
    }
    // It is the body. What was held is handed on; what was just added stays in the piece.
    s->held.size = old;
    if (old)
        body_bytes(c, s, buf_view(&s->held), s->held_place.offset + old, at->time_ns);
    clear_held(s);
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
        return step_start(c, s, at, rest);
    case SIDE_HEAD:
        return step_head(c, s, at, rest);
    case SIDE_OVERLONG:
        return step_overlong(c, s, at, rest);
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
        skip(c, s, at, n);
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
        clear_held(s);
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
            skip_held(c, s);
        resync_after(c, s, gap, gap->offset);
        break;
    case SIDE_HEAD:
        tell_cut_head(c, s, FINISH_LOST, s->held_place.time_ns);
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
            skip_held(c, s);
        break;
    case SIDE_HEAD:
        tell_cut_head(c, s, finish, time_ns);
        break;
    case SIDE_LENGTH:
        if (s->held.size)
            conn_body(c, s, buf_view(&s->held));
        clear_held(s);
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
    clear_held(s);
    s->mode = SIDE_OPAQUE;
}
