// The door of http: takes streams from wire, keeps a state per connection, counts.
#include "http.h"

#include "../base/mem.h"
#include "conn.h"

static void *open_conn(void *ctx, const struct conn *conn)
{
    struct http *h = ctx;
    struct conn_state *c = conn_open(h, conn);
    if (!c)
        h->stats.evicted++;
    return c;
}

static void feed(void *ctx, void *state, const struct stream_piece *piece)
{
    (void)ctx;
    if (state)
        conn_data(state, piece);
}

static void feed_gap(void *ctx, void *state, const struct stream_gap *gap)
{
    (void)ctx;
    if (state)
        conn_gap(state, gap);
}

static void end_side(void *ctx, void *state, int side, enum stream_end how, int64_t time_ns)
{
    (void)ctx;
    if (state)
        conn_end(state, side, how, time_ns);
}

static void close_conn(void *ctx, void *state, enum stream_end how, int64_t time_ns)
{
    (void)ctx;
    if (state)
        conn_close(state, how, time_ns);
}

struct http *http_open(const struct message_sink *sink)
{
    struct http *h = mem_zero(1, sizeof *h);
    if (!h)
        return NULL;
    if (!decoder_shelf_init(&h->shelf)) {
        mem_free(h);
        return NULL;
    }
    head_room_init(&h->room);
    h->sink = *sink;
    h->door = (struct stream_sink){h, open_conn, feed, feed_gap, end_side, close_conn};
    return h;
}

const struct stream_sink *http_sink(struct http *h)
{
    return &h->door;
}

void http_stats(const struct http *h, struct http_stats *stats)
{
    *stats = h->stats;
}

void http_close(struct http *h)
{
    if (!h)
        return;
    head_room_fini(&h->room);
    decoder_shelf_fini(&h->shelf);
    mem_free(h);
}
