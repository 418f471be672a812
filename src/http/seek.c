// Finds where messages begin on one side, and takes their heads to the connection.
//
// A start is believed where it is due (SIDE_START) or where a segment begins (SIDE_RESYNC). While bytes are too few to decide they
// are held; what turns out to be nothing is skipped. A head that is whole within its piece is never copied.
#include "seek.h"

#include "../../include/bounds.h"

enum { HEAD_SLICE = 4096 };

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
size_t seek_begin_head(struct side *s, const struct side_place *at, size_t added)
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
    if (!side_hold(c, s, rest.at, n)) {
        side_skip_held(c, s);
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
            return seek_begin_head(s, at, n);
        if (verdict == START_MORE && s->held.size < START_BYTES_MAX)
            return n;
        s->mode = SIDE_RESYNC;
        uint64_t later = s->held_starts & ~UINT64_C(1);
        size_t drop = later ? (size_t)__builtin_ctzll(later) : s->held.size;
        side_skip(c, s, &s->held_place, drop);
        s->held_starts = drop < 64 ? s->held_starts >> drop : 0;
        buf_drop_front(&s->held, drop);
        s->held_place = *at;
        s->held_place.offset = at->offset + n - s->held.size;
    }
    side_clear_held(c, s);
    return n;
}

size_t seek_start(struct conn_state *c, struct side *s, const struct side_place *at, struct bytes rest)
{
    if (s->held.size)
        return decide_held(c, s, at, rest);
    bool here = s->mode == SIDE_START || at->segment_start || (s->proved_known && at->offset == s->proved);
    if (!here) {
        side_skip(c, s, at, rest.size);
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
        side_skip(c, s, at, rest.size);
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
    if (!side_hold(c, s, rest.at, n))
        side_skip(c, s, at, n);
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
        side_skip(c, s, &s->held_place, head.size);
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

static enum head_state cut_state(enum finish how)
{
    return how == FINISH_LEFT ? HEAD_CUT_LEFT : how == FINISH_OPEN ? HEAD_CUT_OPEN : HEAD_CUT;
}

// Tells what there is of an unfinished head, or skips it when that is too little.
static void cut_head(struct conn_state *c, struct side *s, struct bytes head, enum finish how, int64_t time_ns)
{
    bool known = s->line_checked || s->found == HEAD_RESPONSE || start_of_request(head, START_CAREFUL) == START_YES;
    s->mode = SIDE_RESYNC;
    if (!known || conn_head(c, s, &s->held_place, head, cut_state(how)).kind == FRAMING_REFUSED)
        side_skip(c, s, &s->held_place, head.size);
    else
        conn_finish(c, s, how, s->held_place.offset + head.size, time_ns);
}

// The head lies whole in this piece, or its beginning does.
static size_t head_in_place(struct conn_state *c, struct side *s, struct bytes rest, int64_t time_ns)
{
    size_t scanned = 0, size = start_head_size(rest, &scanned);
    if (!line_fits(s, rest)) {
        size_t n = (size_t)((const uint8_t *)memchr(rest.at, '\n', rest.size) - rest.at) + 1;
        side_skip(c, s, &s->held_place, n);
        s->mode = SIDE_RESYNC;
        return n;
    }
    if (size && size <= BOUND_HEAD_BYTES_MAX) {
        take_head(c, s, bytes_of(rest.at, size), time_ns);
        return size;
    }
    size_t n = rest.size < BOUND_HEAD_BYTES_MAX ? rest.size : BOUND_HEAD_BYTES_MAX;
    s->scanned = scanned < n ? scanned : n;
    if (!side_hold(c, s, rest.at, n))
        cut_head(c, s, bytes_of(rest.at, n), FINISH_OPEN, time_ns);
    return n;
}

static void tell_overlong(struct conn_state *c, struct side *s)
{
    s->framing = conn_head(c, s, &s->held_place, buf_view(&s->held), HEAD_TOO_LONG);
    if (s->framing.kind == FRAMING_REFUSED) {
        side_skip_held(c, s);
        s->mode = SIDE_RESYNC;
        return;
    }
    size_t n = s->held.size;
    s->newline = s->held.at[n - 1] == '\n' ? 1 : s->held.at[n - 1] == '\r' && s->held.at[n - 2] == '\n' ? 2 : 0;
    side_clear_held(c, s);
    if (s->mode == SIDE_HEAD)
        s->mode = SIDE_OVERLONG;
}

// A word and a blank that were no request line after all: a segment begins one while no line end has come.
static bool restarts(const struct side *s, const struct side_place *at, struct bytes rest)
{
    return at->segment_start && !s->line_checked && s->found == HEAD_REQUEST && s->care == START_TRUSTING &&
           start_of_request(rest, START_CAREFUL) == START_YES && start_of_request(buf_view(&s->held), START_CAREFUL) != START_YES;
}

size_t seek_head(struct conn_state *c, struct side *s, const struct side_place *at, struct bytes rest)
{
    if (s->held.size && restarts(s, at, rest)) {
        side_skip_held(c, s);
        s->held_place = *at;
    }
    if (!s->held.size)
        return head_in_place(c, s, rest, at->time_ns);
    size_t old = s->held.size, n = BOUND_HEAD_BYTES_MAX - old;
    n = n < HEAD_SLICE ? n : HEAD_SLICE;
    n = n < rest.size ? n : rest.size;
    if (!side_hold(c, s, rest.at, n)) {
        seek_cut_head(c, s, FINISH_OPEN, at->time_ns);
        return 0;
    }
    if (!line_fits(s, buf_view(&s->held))) {
        side_skip_held(c, s);
        s->mode = SIDE_RESYNC;
        return n;
    }
    size_t size = start_head_size(buf_view(&s->held), &s->scanned);
    if (size) {
        take_head(c, s, bytes_of(s->held.at, size), at->time_ns);
        side_clear_held(c, s);
        return size - old;
    }
    if (s->held.size == BOUND_HEAD_BYTES_MAX)
        tell_overlong(c, s);
    return n;
}

size_t seek_overlong(struct conn_state *c, struct side *s, const struct side_place *at, struct bytes rest)
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

void seek_cut_head(struct conn_state *c, struct side *s, enum finish how, int64_t time_ns)
{
    cut_head(c, s, buf_view(&s->held), how, time_ns);
    side_clear_held(c, s);
}
