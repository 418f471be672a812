// Plays scripted conversations into the door of http and writes down what comes out.
#include "talk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

// ---- the trace ------------------------------------------------------------------------------------------------------

struct seen {
    uint64_t id;
    int64_t request_ns;
    bool request_ended, responded, response_ended, closed;
};

// The trace itself must not run out of memory.
static void reserve_trace(struct talk *t)
{
    if (t->options.failing)
        buf_reserve(&t->trace, 64 * 1024);
}

static void line_end(struct talk *t)
{
    if (t->last)
        buf_add_text(&t->trace, t->over_fill ? "\n" : "'\n");
    t->last = NULL;
}

static void add_escaped(struct buf *b, struct bytes s)
{
    for (size_t i = 0; i < s.size; i++) {
        if (s.at[i] == '\r')
            buf_add_text(b, "\\r");
        else if (s.at[i] == '\n')
            buf_add_text(b, "\\n");
        else if (s.at[i] < ' ' || s.at[i] > '~' || s.at[i] == '\\')
            buf_format(b, "\\x%02x", s.at[i]);
        else
            buf_add_byte(b, s.at[i]);
    }
}

static void add_headers(struct talk *t, const struct header *headers, size_t count)
{
    for (size_t i = 0; i < count && count <= 8; i++) {
        if (bytes_equal_text_nocase(headers[i].name, "content-length") || bytes_equal_text_nocase(headers[i].name, "transfer-encoding"))
            continue;
        buf_add_text(&t->trace, " [");
        add_escaped(&t->trace, headers[i].name);
        buf_add_byte(&t->trace, '=');
        add_escaped(&t->trace, headers[i].value);
        buf_add_byte(&t->trace, ']');
    }
    if (count > 8)
        buf_format(&t->trace, " [%zu fields]", count);
}

static void *on_request(void *ctx, const struct request_head *head)
{
    struct talk *t = ctx;
    line_end(t);
    struct seen *x = calloc(1, sizeof *x);
    x->id = ++t->next_id;
    assert_true(head->time_ns >= t->request_ns); // the log lists a connection's requests by time
    x->request_ns = t->request_ns = head->time_ns;
    t->requests_open++;
    assert_int_equal(head->client_side, t->options.server_first ? 1 : 0);
    buf_format(&t->trace, "%llu> ", (unsigned long long)x->id);
    add_escaped(&t->trace, head->method);
    buf_add_byte(&t->trace, ' ');
    if (head->target.size > 200)
        buf_format(&t->trace, "(%zu bytes)", head->target.size);
    else
        add_escaped(&t->trace, head->target);
    if (head->version_minor != 1)
        buf_format(&t->trace, " 1.%d", head->version_minor);
    add_headers(t, head->headers, head->header_count);
    buf_add_text(&t->trace, head->head_truncated ? " cut\n" : "\n");
    return x;
}

static void body(struct talk *t, struct seen *x, int way, const struct body_piece *piece)
{
    assert_false(x->closed);
    if (piece->hole_bytes) {
        line_end(t);
        buf_format(&t->trace, "%llu%c hole %llu%s\n", (unsigned long long)x->id, "><"[way], (unsigned long long)piece->hole_bytes, piece->hole_unknown ? " unknown" : "");
        return;
    }
    assert_true(piece->bytes.size > 0);
    if (t->over_fill)
        return;
    if (t->last != x || t->last_way != way || t->last_raw != piece->raw) {
        line_end(t);
        buf_format(&t->trace, "%llu%c %s'", (unsigned long long)x->id, "><"[way], piece->raw ? "raw " : "");
        t->last = x;
        t->last_way = way;
        t->last_raw = piece->raw;
    }
    add_escaped(&t->trace, piece->bytes);
}

static void end(struct talk *t, struct seen *x, int way, const struct message_end *m)
{
    static const char *const codings[] = {"", " gzip", " deflate", " zstd", " other"};
    assert_false(x->closed);
    assert_true(m->time_ns >= x->request_ns);
    line_end(t);
    buf_format(&t->trace, "%llu%c end %llu", (unsigned long long)x->id, "><"[way], (unsigned long long)m->wire_bytes);
    if (m->missing_bytes)
        buf_format(&t->trace, " missing %llu", (unsigned long long)m->missing_bytes);
    buf_format(&t->trace, "%s%s%s%s\n", codings[m->coding], m->undecodable ? " undecodable" : "", m->complete ? "" : " incomplete", m->truncated ? " truncated" : "");
}

static void on_request_body(void *ctx, void *handle, const struct body_piece *piece)
{
    assert_false(((struct seen *)handle)->request_ended);
    body(ctx, handle, 0, piece);
}

static void on_request_end(void *ctx, void *handle, const struct message_end *m)
{
    struct seen *x = handle;
    assert_false(x->request_ended);
    x->request_ended = true;
    end(ctx, x, 0, m);
}

static void on_response(void *ctx, void *handle, const struct response_head *head)
{
    struct talk *t = ctx;
    struct seen *x = handle;
    line_end(t);
    assert_false(x->responded || x->closed);
    assert_true(head->time_ns >= x->request_ns);
    x->responded = true;
    buf_format(&t->trace, "%llu< %d", (unsigned long long)x->id, head->status);
    add_headers(t, head->headers, head->header_count);
    buf_add_text(&t->trace, head->head_truncated ? " cut\n" : "\n");
}

static void on_response_body(void *ctx, void *handle, const struct body_piece *piece)
{
    struct seen *x = handle;
    assert_true(x->responded && !x->response_ended);
    body(ctx, x, 1, piece);
}

static void on_response_end(void *ctx, void *handle, const struct message_end *m)
{
    struct seen *x = handle;
    assert_true(x->responded && !x->response_ended);
    x->response_ended = true;
    end(ctx, x, 1, m);
}

static void on_close(void *ctx, void *handle, const struct exchange_end *m)
{
    static const char *const fates[] = {"answered", "client left", "server left", "answer lost", "incomplete", "never acknowledged", "open"};
    struct talk *t = ctx;
    struct seen *x = handle;
    line_end(t);
    assert_false(x->closed);
    assert_true(x->request_ended);
    assert_int_equal(x->responded, x->response_ended);
    x->closed = true;
    t->requests_open--;
    buf_format(&t->trace, "%llu. %s\n", (unsigned long long)x->id, fates[m->fate]);
    free(x);
}

static void on_gap(void *ctx, const struct conn *conn, const struct stream_gap *gap)
{
    static const char *const causes[GAP_CAUSES] = {"lost", "snaplen", "midstream", "evicted", "end", "kernel", "pause", "unparsed", "orphan", "disk"};
    struct talk *t = ctx;
    line_end(t);
    assert_ptr_equal(conn, &t->conn);
    bool client = (gap->side == 1) == t->options.server_first;
    t->orphans += gap->cause == GAP_ORPHAN;
    buf_format(&t->trace, "gap %s %s %llu+%llu\n", client ? "client" : "server", causes[gap->cause], (unsigned long long)gap->offset, (unsigned long long)gap->size_bytes);
}

static void on_opaque(void *ctx, const struct conn *conn, enum opaque_kind kind, int64_t time_ns)
{
    static const char *const kinds[] = {"tls", "http2", "upgrade", "connect", "other"};
    struct talk *t = ctx;
    (void)conn, (void)time_ns;
    line_end(t);
    buf_format(&t->trace, "opaque %s\n", kinds[kind]);
}

static void on_conn_close(void *ctx, const struct conn *conn, int client_side, enum stream_end how, int64_t time_ns)
{
    struct talk *t = ctx;
    (void)conn, (void)how, (void)time_ns;
    line_end(t);
    t->conn_closed++;
    assert_int_equal(client_side >= 0, t->next_id > 0 || t->orphans > 0);
    assert_int_equal(t->requests_open, 0);
}

// ---- playing --------------------------------------------------------------------------------------------------------

enum { GUARDED_BYTES = 1 << 20 };

static uint8_t *guarded_end(void)
{
    static uint8_t *end;
    if (!end) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        uint8_t *at = mmap(NULL, GUARDED_BYTES + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(at != MAP_FAILED);
        assert_int_equal(mprotect(at + GUARDED_BYTES, page, PROT_NONE), 0);
        end = at + GUARDED_BYTES;
    }
    return end;
}

static int real_side(const struct talk *t, int side)
{
    return t->options.server_first ? !side : side;
}

static void acknowledge(struct talk *t, int side)
{
    t->shown[side] = t->sent[side];
    if (t->options.no_acks)
        return;
    t->conn.acked[real_side(t, side)] = t->sent[side];
    t->conn.ack_known[real_side(t, side)] = true;
}

static void send_piece(struct talk *t, const struct stream_sink *to, void *state, int side, struct bytes bytes)
{
    uint8_t *at = guarded_end() - bytes.size;
    memcpy(at, bytes.at, bytes.size);
    struct stream_piece piece = {
        .side = real_side(t, side),
        .offset = t->sent[side],
        .bytes = bytes_of(at, bytes.size),
        .time_ns = t->now_ns,
        .segment_start = true,
        .ack_known = !t->options.no_acks,
        .ack = t->options.no_acks ? 0 : t->shown[!side],
    };
    to->data(to->ctx, state, &piece);
    memset(at, 0xdd, bytes.size);
    t->sent[side] += bytes.size;
}

static void send_cut(struct talk *t, const struct stream_sink *to, void *state, const struct step *step, enum cutting cutting)
{
    struct bytes rest = bytes_of(step->text, step->size);
    t->conn.seen[real_side(t, step->side)] = true;
    acknowledge(t, !step->side);
    while (rest.size) {
        size_t n = cutting == CUT_WHOLE ? rest.size : cutting == CUT_BYTES ? 1 : 1 + (size_t)(rand() % 40);
        if (n > rest.size)
            n = rest.size;
        send_piece(t, to, state, step->side, bytes_of(rest.at, n));
        rest = bytes_from(rest, n);
    }
}

static void send_fill(struct talk *t, const struct stream_sink *to, void *state, const struct step *step)
{
    static char block[64 * 1024];
    memset(block, 'x', sizeof block);
    for (size_t left = step->size; left;) {
        size_t n = left < sizeof block ? left : sizeof block;
        send_piece(t, to, state, step->side, bytes_of(block, n));
        left -= n;
    }
}

static void play_step(struct talk *t, const struct stream_sink *to, void *state, const struct step *step, enum cutting cutting)
{
    int side = step->side;
    t->now_ns += 1000000;
    switch (step->kind) {
    case STEP_DATA:
        send_cut(t, to, state, step, cutting);
        break;
    case STEP_BACK:
        t->now_ns -= 10000000;
        break;
    case STEP_FILL:
        send_fill(t, to, state, step);
        break;
    case STEP_LOSE: {
        struct stream_gap gap = {.side = real_side(t, side), .offset = t->sent[side], .size_bytes = step->size, .from_ns = t->now_ns, .to_ns = t->now_ns, .cause = step->cause};
        t->sent[side] += step->size;
        to->gap(to->ctx, state, &gap);
        break;
    }
    case STEP_UNSEEN:
        t->sent[side] += step->size;
        break;
    case STEP_ACK:
        t->conn.seen[real_side(t, !side)] = true;
        acknowledge(t, side);
        break;
    case STEP_END:
        if (step->how == END_FIN)
            acknowledge(t, !side);
        to->end(to->ctx, state, real_side(t, side), step->how, t->now_ns);
        break;
    default:
        break;
    }
}

const char *talk_play(struct talk *t, const struct step *steps, const struct talk_options *options, enum cutting cutting, unsigned seed)
{
    *t = (struct talk){0};
    if (options)
        t->options = *options;
    srand(seed);
    struct message_sink sink = {t, on_request, on_request_body, on_request_end, on_response, on_response_body, on_response_end, on_close, on_gap, on_opaque, on_conn_close};
    struct http *h = http_open(&sink);
    assert_non_null(h);
    reserve_trace(t);
    mem_fail_after(t->options.failing);
    const struct stream_sink *to = http_sink(h);
    t->conn.serial = 1;
    t->conn.midstream = t->options.midstream;
    t->conn.initiator = t->options.midstream ? -1 : real_side(t, 0);
    t->conn.syn[0] = t->conn.syn[1] = !t->options.midstream;
    void *state = to->open(to->ctx, &t->conn);
    assert_true(state || t->options.failing);
    for (const struct step *s = steps; s->kind != STEP_DONE; s++)
        t->over_fill |= s->kind == STEP_FILL;
    bool ended[2] = {false, false};
    enum stream_end how = END_INPUT;
    const struct step *s = steps;
    for (; s->kind != STEP_DONE && s->kind != STEP_CLOSE; s++) {
        play_step(t, to, state, s, cutting);
        if (s->kind == STEP_END) {
            ended[s->side] = true;
            how = s->how == END_RST || (ended[0] && ended[1]) ? s->how : how;
        }
    }
    if (s->kind == STEP_CLOSE)
        how = s->how;
    t->now_ns += 1000000;
    for (int side = 0; side < 2; side++)
        if (!ended[side])
            to->end(to->ctx, state, real_side(t, side), how, t->now_ns);
    to->close(to->ctx, state, how, t->now_ns);
    mem_fail_after(0);
    assert_true(t->conn_closed == 1 || !state);
    http_stats(h, &t->stats);
    http_close(h);
    assert_false(t->trace.failed);
    return buf_text(&t->trace);
}

void talk_fini(struct talk *t)
{
    buf_fini(&t->trace);
}

static void check_once(const struct step *steps, const struct talk_options *options, const char *expected, enum cutting cutting, unsigned seed)
{
    static const char *const names[] = {"whole", "byte by byte", "cut at random places"};
    struct talk t;
    const char *trace = talk_play(&t, steps, options, cutting, seed);
    if (strcmp(trace, expected) != 0)
        print_error("played %s (seed %u), expected:\n%sbut was:\n%s", names[cutting], seed, expected, trace);
    assert_true(strcmp(trace, expected) == 0);
    talk_fini(&t);
}

void talk_check(const struct step *steps, const struct talk_options *options, const char *expected)
{
    check_once(steps, options, expected, CUT_WHOLE, 0);
    if (options && options->whole_only)
        return;
    check_once(steps, options, expected, CUT_BYTES, 0);
    for (unsigned seed = 1; seed <= 20; seed++)
        check_once(steps, options, expected, CUT_RANDOM, seed);
}
