// Fuzzes http with scripted connections: pieces, holes, ends and acknowledgements in any order that wire may give them in.
//
// Input: a flags byte, then records of one operation byte (bit 0 the side, bits 1-3 the operation), a length of two bytes
// (little endian), and for data that many bytes. Checked: the order of calls per exchange, one close each, sizes that add up.
#include "src/http/http.h"

#include <stdlib.h>

#define MUST(condition) \
    do { \
        if (!(condition)) \
            abort(); \
    } while (0)

struct seen {
    uint64_t body[2], holes[2];
    bool request_ended, responded, response_ended, raw[2];
};

struct watch {
    struct conn conn;
    uint64_t open, closed, gap_bytes, gap_bytes_told;
    unsigned opaque;
};

static uint64_t check_bytes(struct bytes b)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < b.size; i++)
        sum += b.at[i];
    return sum;
}

static volatile uint64_t sink_of_bytes;

static void check_headers(const struct header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sink_of_bytes += check_bytes(headers[i].name) + check_bytes(headers[i].value);
}

static void *on_request(void *ctx, const struct request_head *head)
{
    struct watch *w = ctx;
    struct seen *x = calloc(1, sizeof *x);
    w->open++;
    MUST(head->conn == &w->conn && head->method.size && head->target.size);
    MUST(head->client_side == 0 || head->client_side == 1);
    sink_of_bytes += check_bytes(head->method) + check_bytes(head->target);
    check_headers(head->headers, head->header_count);
    return x;
}

static void body(struct seen *x, int way, const struct body_piece *piece)
{
    MUST((piece->hole_bytes > 0) != (piece->bytes.size > 0));
    MUST(!x->raw[way] || piece->raw);
    x->raw[way] = piece->raw;
    x->body[way] += piece->bytes.size + piece->hole_bytes;
    x->holes[way] += piece->hole_bytes;
    sink_of_bytes += check_bytes(piece->bytes);
}

static void end(struct seen *x, int way, const struct message_end *m)
{
    if (m->coding == CODING_IDENTITY)
        MUST(x->body[way] == m->wire_bytes && x->holes[way] == m->missing_bytes && !m->undecodable);
    MUST(m->missing_bytes <= m->wire_bytes);
    MUST(!m->missing_bytes || m->truncated);
}

static void on_request_body(void *ctx, void *handle, const struct body_piece *piece)
{
    (void)ctx;
    MUST(!((struct seen *)handle)->request_ended);
    body(handle, 0, piece);
}

static void on_request_end(void *ctx, void *handle, const struct message_end *m)
{
    struct seen *x = handle;
    (void)ctx;
    MUST(!x->request_ended);
    x->request_ended = true;
    end(x, 0, m);
}

static void on_response(void *ctx, void *handle, const struct response_head *head)
{
    struct seen *x = handle;
    (void)ctx;
    MUST(!x->responded && head->status >= 100);
    x->responded = true;
    check_headers(head->headers, head->header_count);
}

static void on_response_body(void *ctx, void *handle, const struct body_piece *piece)
{
    struct seen *x = handle;
    (void)ctx;
    MUST(x->responded && !x->response_ended);
    body(x, 1, piece);
}

static void on_response_end(void *ctx, void *handle, const struct message_end *m)
{
    struct seen *x = handle;
    (void)ctx;
    MUST(x->responded && !x->response_ended);
    x->response_ended = true;
    end(x, 1, m);
}

static void on_close(void *ctx, void *handle, const struct exchange_end *m)
{
    struct watch *w = ctx;
    struct seen *x = handle;
    MUST(x->request_ended && x->responded == x->response_ended);
    MUST((m->fate == FATE_ANSWERED) == x->responded);
    w->open--;
    free(x);
}

static void on_gap(void *ctx, const struct conn *conn, const struct stream_gap *gap)
{
    struct watch *w = ctx;
    MUST(conn == &w->conn);
    if (gap->cause != GAP_UNPARSED && gap->cause != GAP_ORPHAN)
        w->gap_bytes_told += gap->size_bytes;
}

static void on_opaque(void *ctx, const struct conn *conn, enum opaque_kind kind, int64_t time_ns)
{
    (void)conn, (void)kind, (void)time_ns;
    MUST(++((struct watch *)ctx)->opaque == 1);
}

static void on_conn_close(void *ctx, const struct conn *conn, int client_side, enum stream_end how, int64_t time_ns)
{
    struct watch *w = ctx;
    (void)conn, (void)how, (void)time_ns, (void)client_side;
    MUST(++w->closed == 1 && w->open == 0);
}

struct script {
    const uint8_t *at;
    size_t left;
    uint64_t sent[2], now_ns;
    bool ended[2];
};

static bool take(struct script *s, void *to, size_t size)
{
    if (s->left < size)
        return false;
    memcpy(to, s->at, size);
    s->at += size;
    s->left -= size;
    return true;
}

enum operation { DATA, DATA_INSIDE, GAP, FIN, RST, DATA_UNKNOWN_ACK, BIG_GAP, DATA_OLD_ACK };

static void send_data(struct watch *w, struct script *s, const struct stream_sink *to, void *state, unsigned op, size_t size)
{
    int side = op & 1;
    enum operation kind = op >> 1 & 7;
    size = size < s->left ? size : s->left;
    if (!size)
        return;
    uint8_t *copy = malloc(size); // so that a read past its end is seen
    take(s, copy, size);
    uint64_t ack = s->sent[!side];
    struct stream_piece piece = {
        .side = side,
        .offset = s->sent[side],
        .bytes = bytes_of(copy, size),
        .time_ns = (int64_t)s->now_ns,
        .segment_start = kind != DATA_INSIDE,
        .ack_known = kind != DATA_UNKNOWN_ACK,
        .ack = kind == DATA_OLD_ACK ? ack / 2 : ack,
    };
    w->conn.seen[side] = true;
    w->conn.acked[!side] = ack;
    w->conn.ack_known[!side] |= kind != DATA_UNKNOWN_ACK;
    s->sent[side] += size;
    to->data(to->ctx, state, &piece);
    free(copy);
}

static void send_gap(struct watch *w, struct script *s, const struct stream_sink *to, void *state, int side, uint64_t size)
{
    struct stream_gap gap = {.side = side, .offset = s->sent[side], .size_bytes = size, .cause = GAP_LOST, .to_ns = (int64_t)s->now_ns};
    if (!size)
        return;
    w->gap_bytes += size;
    s->sent[side] += size;
    to->gap(to->ctx, state, &gap);
}

static void play(struct watch *w, struct script *s, const struct stream_sink *to, void *state)
{
    uint8_t op;
    uint16_t size;
    while (take(s, &op, 1) && take(s, &size, 2)) {
        int side = op & 1;
        s->now_ns += 1000;
        if (s->ended[side])
            continue;
        switch ((enum operation)(op >> 1 & 7)) {
        case DATA:
        case DATA_INSIDE:
        case DATA_UNKNOWN_ACK:
        case DATA_OLD_ACK:
            send_data(w, s, to, state, op, size);
            break;
        case GAP:
            send_gap(w, s, to, state, side, size);
            break;
        case BIG_GAP:
            send_gap(w, s, to, state, side, (uint64_t)size << 20);
            break;
        case FIN:
        case RST:
            s->ended[side] = true;
            to->end(to->ctx, state, side, (op >> 1 & 7) == FIN ? END_FIN : END_RST, (int64_t)s->now_ns);
            break;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct watch w = {.conn = {.serial = 1, .initiator = -1}};
    struct script s = {.at = data, .left = size};
    uint8_t flags;
    if (!take(&s, &flags, 1))
        return 0;
    w.conn.midstream = flags & 1;
    w.conn.syn[0] = w.conn.syn[1] = !w.conn.midstream;
    if (!w.conn.midstream)
        w.conn.initiator = flags >> 1 & 1;
    struct message_sink sink = {&w, on_request, on_request_body, on_request_end, on_response, on_response_body, on_response_end, on_close, on_gap, on_opaque, on_conn_close};
    struct http *h = http_open(&sink);
    const struct stream_sink *to = http_sink(h);
    void *state = to->open(to->ctx, &w.conn);
    play(&w, &s, to, state);
    static const enum stream_end hows[] = {END_INPUT, END_IDLE, END_REUSED, END_EVICTED};
    for (int side = 0; side < 2; side++)
        if (!s.ended[side])
            to->end(to->ctx, state, side, hows[flags >> 2 & 3], (int64_t)s.now_ns);
    to->close(to->ctx, state, hows[flags >> 2 & 3], (int64_t)s.now_ns);
    MUST(w.closed == 1 && w.gap_bytes == w.gap_bytes_told);
    http_close(h);
    return 0;
}
