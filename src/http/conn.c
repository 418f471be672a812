// One connection inside http: two sides, the requests that wait, and what the message sink is told.
//
// Flow: a side finds a head -> conn_head tells it (an answer is paired first, so that its framing is known) -> conn_body,
// conn_hole -> conn_finish -> close, when request and answer have both ended or the connection has.
// 1. Every handle gets exactly one close, as its last call; its request is told before its answer.
// 2. Roles come from what the streams begin with, never from ports; a side that answers cannot be the one that sent the SYN.
// 3. An answer that belongs to no request is read to its end, counted, and told as a gap (GAP_ORPHAN).
// 4. The sink hears nothing of a connection without roles, except gaps of wire and what else it proves to be.
#include "conn.h"

#include "../../include/bounds.h"
#include "../base/mem.h"

struct conn_state *conn_open(struct http *h, const struct conn *conn)
{
    struct conn_state *c = mem_zero(1, sizeof *c);
    if (!c)
        return NULL;
    c->http = h;
    c->conn = conn;
    c->client = c->first_left = -1;
    for (int i = 0; i < 2; i++)
        side_init(&c->side[i], i, conn->syn[i] && !conn->midstream);
    return c;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static struct side *client_side(struct conn_state *c)
{
    return &c->side[c->client];
}

static struct side *server_side(struct conn_state *c)
{
    return &c->side[!c->client];
}

// ---- exchanges come and go ------------------------------------------------------------------------------------------

static void close_exchange(struct conn_state *c, struct pending *p, enum exchange_fate fate, int64_t time_ns)
{
    struct message_sink *sink = &c->http->sink;
    if (!p->phantom)
        sink->close(sink->ctx, p->handle, &(struct exchange_end){fate, later(time_ns, p->time_ns)});
    pair_remove(&c->queue, p);
    c->http->waiting--;
}

// Closes what has both ends, and what a later answer has passed.
static void close_if_done(struct conn_state *c, struct pending *p)
{
    if (p->open || p->answer == ANSWER_OPEN)
        return;
    if (p->answer == ANSWER_ENDED)
        close_exchange(c, p, FATE_ANSWERED, p->time_ns);
    else if (p->passed)
        close_exchange(c, p, FATE_ANSWER_LOST, p->time_ns);
}

static void close_passed(struct conn_state *c)
{
    for (struct pending *p = c->queue.first, *next; p; p = next) {
        next = p->next;
        if (p->passed)
            close_if_done(c, p);
    }
}

// The client has received past what it waits for, and we have not seen a byte of it: that answer is lost (one-sided capture).
static void pass_unseen(struct conn_state *c, const struct pending *newest)
{
    const struct side *server = server_side(c);
    for (struct pending *p = c->queue.first; p != newest && newest->ack_known; p = p->next)
        if (p->answer == ANSWER_NONE && p->ack_known && newest->ack > p->ack && server->at <= p->ack)
            p->passed = true;
    close_passed(c);
}

// Past the limits the oldest that waits is given up.
static void pass_oldest(struct conn_state *c)
{
    if (c->queue.waiting <= BOUND_WAITING_CONN && (c->http->waiting <= BOUND_WAITING_ALL || c->queue.waiting < 2))
        return;
    struct pending *p = c->queue.first;
    while (p && (p->open || p->answer != ANSWER_NONE))
        p = p->next;
    if (!p)
        return;
    c->http->stats.evicted++;
    p->passed = true;
    close_if_done(c, p);
}

// ---- what is lost or not understood ---------------------------------------------------------------------------------

static void add_phantom(struct conn_state *c, uint64_t from, uint64_t to, uint64_t ack)
{
    size_t before = c->queue.waiting;
    pair_add_phantom(&c->queue, from, to, ack);
    c->http->waiting += c->queue.waiting - before;
}

void conn_lost(struct conn_state *c, struct side *s, uint64_t from, uint64_t to)
{
    s->lost_end = to;
    if (c->client < 0)
        return;
    if (s->index != c->client) {
        pair_lose(&c->queue, to);
        return;
    }
    add_phantom(c, from, to, server_side(c)->at);
    pass_oldest(c);
}

void conn_tell_skipped(struct conn_state *c, struct side *s)
{
    struct message_sink *sink = &c->http->sink;
    if (!s->skipped_bytes || c->client < 0)
        return;
    struct stream_gap gap = {
        .side = s->index,
        .offset = s->skipped_offset,
        .size_bytes = s->skipped_bytes,
        .from_ns = s->skipped_from_ns,
        .to_ns = s->skipped_to_ns,
        .cause = GAP_UNPARSED,
    };
    s->skipped_bytes = 0;
    c->http->stats.unparsed_bytes += gap.size_bytes;
    sink->gap(sink->ctx, c->conn, &gap);
}

static void set_roles(struct conn_state *c, int client)
{
    c->client = client;
    struct side *from = client_side(c), *to = server_side(c);
    from->wants = HEAD_REQUEST;
    to->wants = HEAD_RESPONSE;
    if (from->lost_end)
        add_phantom(c, 0, from->lost_end, 0);
    if (to->lost_end)
        pair_lose(&c->queue, to->lost_end);
}

static void settle_roles(struct conn_state *c, int client, const struct side *speaker)
{
    if (c->client >= 0)
        return;
    set_roles(c, client);
    struct side *other = &c->side[!speaker->index];
    if (other->mode == SIDE_HEAD && other->found != other->wants)
        side_forget_held(c, other);
}

void conn_opaque(struct conn_state *c, enum opaque_kind kind, int64_t time_ns)
{
    struct message_sink *sink = &c->http->sink;
    for (int i = 0; i < 2; i++)
        side_mute(c, &c->side[i]);
    if (c->opaque_told)
        return;
    c->opaque_told = true;
    c->http->stats.opaque_conns++;
    sink->opaque(sink->ctx, c->conn, kind, time_ns);
}

// ---- heads ----------------------------------------------------------------------------------------------------------

static void begin_message(struct side *s, const struct side_place *place, struct pending *of, enum body_coding coding)
{
    s->in_message = true;
    s->of = of;
    s->message_start = place->offset;
    s->begun_ns = s->message_ns = place->time_ns;
    body_begin(&s->body, coding);
}

static struct framing length_or(const struct head *head, enum framing_kind otherwise)
{
    if (head->length_bad)
        return (struct framing){FRAMING_BROKEN, 0};
    return head->length_known ? (struct framing){FRAMING_LENGTH, head->length} : (struct framing){otherwise, 0};
}

// As the node reads a request: chunked wins over a length, no word of a body means none.
static struct framing request_framing(const struct head *head, enum head_state state)
{
    if (state != HEAD_WHOLE && state != HEAD_TOO_LONG)
        return (struct framing){FRAMING_UNKNOWN, 0};
    if (bytes_equal_text(head->method, "CONNECT"))
        return (struct framing){FRAMING_NONE, 0};
    if (head->chunked)
        return (struct framing){FRAMING_CHUNKED, 0};
    return length_or(head, FRAMING_NONE);
}

static enum pair_method method_of(struct bytes method)
{
    if (bytes_equal_text(method, "HEAD"))
        return METHOD_HEAD;
    return bytes_equal_text(method, "CONNECT") ? METHOD_CONNECT : METHOD_OTHER;
}

static void fill_pending(struct conn_state *c, struct pending *p, const struct side_place *place, const struct head *head, struct framing framing, uint64_t head_end)
{
    p->start = place->offset;
    p->ack = place->ack;
    p->ack_known = place->ack_known;
    if (c->conn->seen[!c->client] && p->ack_known && p->ack > server_side(c)->at)
        p->ack = server_side(c)->at;
    p->open = true;
    p->expects_continue = head->expects_continue;
    p->method = method_of(head->method);
    p->begun_ns = p->time_ns = place->time_ns;
    p->end = framing.kind == FRAMING_CHUNKED ? UINT64_MAX : head_end + (framing.kind == FRAMING_LENGTH ? framing.length : 0);
}

static struct framing request_head(struct conn_state *c, struct side *s, const struct side_place *place, const struct head *head, enum head_state state, uint64_t head_end)
{
    struct http *h = c->http;
    struct framing framing = request_framing(head, state);
    settle_roles(c, s->index, s);
    conn_tell_skipped(c, s);
    struct pending *p = pair_add(&c->queue);
    if (!p) {
        h->stats.evicted++;
        return (struct framing){FRAMING_REFUSED, 0};
    }
    h->waiting++;
    fill_pending(c, p, place, head, framing, head_end);
    pass_unseen(c, p);
    c->requests_found = true;
    h->stats.requests++;
    struct request_head told = {
        .conn = c->conn,
        .client_side = c->client,
        .time_ns = place->time_ns,
        .stream_offset = place->offset,
        .method = head->method,
        .target = head->target,
        .version_minor = head->version_minor,
        .headers = head->headers,
        .header_count = head->header_count,
        .head_truncated = head->cut,
    };
    p->handle = h->sink.request(h->sink.ctx, &told);
    begin_message(s, place, p, head->coding);
    pass_oldest(c);
    return framing;
}

// 100 and its kind: not the answer, and there may be several.
static struct framing interim_head(struct conn_state *c, const struct side_place *place, enum head_state state)
{
    c->http->stats.interim++;
    for (struct pending *p = c->queue.first; p; p = p->next)
        if (p->answer == ANSWER_NONE && p->expects_continue && !p->continued && (!place->ack_known || p->start < place->ack)) {
            p->continued = true;
            break;
        }
    return (struct framing){state == HEAD_WHOLE ? FRAMING_NONE : FRAMING_UNKNOWN, 0};
}

// RFC 9112 6.3, with the request's method known from the pair.
static struct framing response_framing(const struct head *head, const struct pending *of, enum head_state state)
{
    if (state != HEAD_WHOLE && state != HEAD_TOO_LONG)
        return (struct framing){FRAMING_UNKNOWN, 0};
    if (head->status == 101 || (of && of->method == METHOD_CONNECT && head->status / 100 == 2))
        return (struct framing){FRAMING_OPAQUE, 0};
    if (head->status == 204 || head->status == 304 || (of && of->method == METHOD_HEAD))
        return (struct framing){FRAMING_NONE, 0};
    if (head->chunked)
        return (struct framing){FRAMING_CHUNKED, 0};
    if (head->transfer_coded)
        return (struct framing){FRAMING_CLOSE, 0};
    return length_or(head, FRAMING_CLOSE);
}

static struct pending *pair(struct conn_state *c, const struct side_place *place, const struct head *head)
{
    struct pair_place at = {.start = place->offset, .ack_known = place->ack_known, .ack = place->ack, .status = head->status};
    struct pending *p = pair_pick(&c->queue, &at);
    struct side *client = client_side(c);
    if (!p && client->mode == SIDE_HEAD && client->held.size) { // refused while its head still came
        side_cut_head(c, client);
        p = pair_pick(&c->queue, &at);
    }
    close_passed(c);
    return p;
}

static struct framing response_head(struct conn_state *c, struct side *s, const struct side_place *place, const struct head *head, enum head_state state)
{
    struct http *h = c->http;
    if (c->client < 0 && c->conn->initiator == s->index)
        return (struct framing){FRAMING_REFUSED, 0};
    settle_roles(c, !s->index, s);
    conn_tell_skipped(c, s);
    if (head->status / 100 == 1 && head->status != 101)
        return interim_head(c, place, state);
    h->stats.responses++;
    struct pending *p = pair(c, place, head);
    begin_message(s, place, p, head->coding);
    struct framing framing = response_framing(head, p, state);
    if (p) {
        struct response_head told = {
            .time_ns = later(place->time_ns, p->begun_ns),
            .status = head->status,
            .headers = head->headers,
            .header_count = head->header_count,
            .head_truncated = head->cut,
        };
        h->stats.pairs++;
        p->answer = ANSWER_OPEN;
        h->sink.response(h->sink.ctx, p->handle, &told);
    }
    if (framing.kind == FRAMING_OPAQUE) {
        conn_finish(c, s, FINISH_COMPLETE, s->at, place->time_ns);
        conn_opaque(c, head->status == 101 ? OPAQUE_UPGRADE : OPAQUE_CONNECT, place->time_ns);
    }
    return framing;
}

struct framing conn_head(struct conn_state *c, struct side *s, const struct side_place *place, struct bytes bytes, enum head_state state)
{
    struct http *h = c->http;
    struct head head;
    if (!head_parse(&h->room, s->found, bytes, state == HEAD_WHOLE, &head))
        return (struct framing){FRAMING_REFUSED, 0};
    h->stats.parse_errors += head.malformed;
    h->stats.heads_truncated += head.cut;
    h->stats.resyncs += s->lost_end == place->offset && place->offset > 0;
    if (s->found == HEAD_REQUEST)
        return request_head(c, s, place, &head, state, place->offset + bytes.size);
    return response_head(c, s, place, &head, state);
}

// ---- bodies and ends ------------------------------------------------------------------------------------------------

static struct body_out body_out(struct conn_state *c, const struct side *s)
{
    const struct message_sink *sink = &c->http->sink;
    struct body_out out = {.ctx = sink->ctx};
    if (s->of) {
        out.handle = s->of->handle;
        out.piece = s->index == c->client ? sink->request_body : sink->response_body;
    }
    return out;
}

void conn_body(struct conn_state *c, struct side *s, struct bytes bytes)
{
    struct body_out out = body_out(c, s);
    body_feed(&s->body, &c->http->shelf, &out, bytes);
}

void conn_hole(struct conn_state *c, struct side *s, uint64_t size, bool unknown)
{
    struct body_out out = body_out(c, s);
    if (size)
        body_hole(&s->body, &c->http->shelf, &out, size, unknown);
}

bool conn_doubts_body(const struct conn_state *c, const struct side *s)
{
    const struct pending *of = s->of;
    if (s->index == c->client) // it waited for 100 and was refused: the body never comes
        return of && of->expects_continue && !of->continued && of->answer != ANSWER_NONE;
    if (s->mode == SIDE_LENGTH) // to a HEAD that we never saw?
        return !of;
    for (const struct pending *p = c->queue.first; p; p = p->next) // asked again: so the answer was over
        if (p->answer == ANSWER_NONE && !p->phantom && p->ack_known && p->ack > s->message_start)
            return true;
    return false;
}

static void finish_request(struct conn_state *c, struct pending *p, enum finish how, uint64_t end_offset, const struct message_end *end)
{
    struct message_sink *sink = &c->http->sink;
    c->http->stats.truncated_requests += end->truncated;
    p->open = false;
    p->complete = how == FINISH_COMPLETE;
    p->lost_bytes = how == FINISH_LOST || (how == FINISH_COMPLETE && end->missing_bytes);
    p->end = end_offset;
    p->time_ns = later(p->time_ns, end->time_ns);
    sink->request_end(sink->ctx, p->handle, end);
    close_if_done(c, p);
}

static void finish_response(struct conn_state *c, struct pending *p, const struct message_end *end)
{
    struct message_sink *sink = &c->http->sink;
    p->answer = ANSWER_ENDED;
    p->time_ns = later(p->time_ns, end->time_ns);
    sink->response_end(sink->ctx, p->handle, end);
    close_if_done(c, p);
}

static void tell_orphan(struct conn_state *c, const struct side *s, uint64_t end_offset, const struct message_end *end)
{
    struct message_sink *sink = &c->http->sink;
    uint64_t size = end_offset - s->message_start;
    struct stream_gap gap = {
        .side = s->index,
        .offset = s->message_start,
        .size_bytes = size > end->missing_bytes ? size - end->missing_bytes : 0,
        .from_ns = s->begun_ns,
        .to_ns = end->time_ns,
        .cause = GAP_ORPHAN,
    };
    c->http->stats.orphans++;
    c->orphans_found = true;
    sink->gap(sink->ctx, c->conn, &gap);
}

void conn_finish(struct conn_state *c, struct side *s, enum finish how, uint64_t end_offset, int64_t time_ns)
{
    struct message_end end;
    if (!s->in_message)
        return;
    body_end(&s->body, &c->http->shelf, how == FINISH_COMPLETE, s->of ? later(time_ns, s->of->begun_ns) : time_ns, &end);
    end.truncated |= how == FINISH_LOST || how == FINISH_OPEN;
    c->http->stats.undecodable += end.undecodable;
    struct pending *of = s->of;
    s->in_message = false;
    s->of = NULL;
    if (s->index == c->client) {
        finish_request(c, of, how, end_offset, &end);
        return;
    }
    c->http->stats.truncated_responses += end.truncated;
    if (of)
        finish_response(c, of, &end);
    else
        tell_orphan(c, s, end_offset, &end);
}

// ---- the connection -------------------------------------------------------------------------------------------------

void conn_data(struct conn_state *c, const struct stream_piece *piece)
{
    struct side *s = &c->side[piece->side], *other = &c->side[!piece->side];
    if (!piece->bytes.size)
        return;
    if (piece->ack_known) {
        other->proved = piece->ack;
        other->proved_known = true;
    }
    side_data(c, s, piece);
}

void conn_gap(struct conn_state *c, const struct stream_gap *gap)
{
    struct message_sink *sink = &c->http->sink;
    c->http->stats.gap_bytes += gap->size_bytes;
    sink->gap(sink->ctx, c->conn, gap);
    side_gap(c, &c->side[gap->side], gap);
}

void conn_end(struct conn_state *c, int side, enum stream_end how, int64_t time_ns)
{
    if (c->first_left < 0 && (how == END_FIN || how == END_RST))
        c->first_left = side;
    side_end(c, &c->side[side], how, time_ns);
}

static void close_waiting(struct conn_state *c, enum stream_end how, int64_t time_ns)
{
    struct pair_death death = {.conn = c->conn, .client = c->client, .first_left = c->first_left, .how = how};
    for (struct pending *p; (p = c->queue.first) != NULL;)
        close_exchange(c, p, p->phantom ? FATE_OPEN : pair_fate(&c->queue, p, &death), time_ns);
}

void conn_close(struct conn_state *c, enum stream_end how, int64_t time_ns)
{
    struct message_sink *sink = &c->http->sink;
    for (int i = 0; i < 2; i++)
        side_end(c, &c->side[i], how, time_ns);
    close_waiting(c, how, time_ns);
    if (c->client < 0 && !c->opaque_told && c->side[0].bytes_seen && c->side[1].bytes_seen)
        conn_opaque(c, OPAQUE_OTHER, time_ns);
    sink->conn_close(sink->ctx, c->conn, c->requests_found || c->orphans_found ? c->client : -1, how, time_ns);
    for (int i = 0; i < 2; i++)
        side_fini(c, &c->side[i]);
    mem_free(c);
}
