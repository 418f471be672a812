// One connection inside http: two sides, the requests that wait, and what the message sink is told.
#pragma once
#include "http.h"
#include "pair.h"
#include "side.h"

struct http {
    struct message_sink sink;
    struct stream_sink door;
    struct http_stats stats;
    struct head_room room;
    struct decoder_shelf shelf;
    size_t held_bytes; // in all sides
    size_t waiting;    // requests in all queues
};

struct conn_state {
    struct http *http;
    const struct conn *conn;
    struct side side[2];
    struct pair_queue queue;
    int client;        // side; -1: not known yet
    bool requests_found, orphans_found, opaque_told;
    int first_left;    // side that first said it sends no more
};

struct conn_state *conn_open(struct http *h, const struct conn *conn); // NULL: memory out
void conn_data(struct conn_state *c, const struct stream_piece *piece);
void conn_gap(struct conn_state *c, const struct stream_gap *gap);
void conn_end(struct conn_state *c, int side, enum stream_end how, int64_t time_ns);
void conn_close(struct conn_state *c, enum stream_end how, int64_t time_ns); // frees c

// What a side tells its connection.
enum head_state { HEAD_WHOLE, HEAD_CUT, HEAD_CUT_LEFT, HEAD_CUT_OPEN, HEAD_TOO_LONG };
struct framing conn_head(struct conn_state *c, struct side *s, const struct side_place *place, struct bytes head, enum head_state state);
void conn_body(struct conn_state *c, struct side *s, struct bytes bytes);
void conn_hole(struct conn_state *c, struct side *s, uint64_t size, bool unknown);
void conn_finish(struct conn_state *c, struct side *s, enum finish how, uint64_t end_offset, int64_t time_ns);
void conn_lost(struct conn_state *c, struct side *s, uint64_t from, uint64_t to); // these bytes may hold whole messages
void conn_opaque(struct conn_state *c, enum opaque_kind kind, int64_t time_ns);
// Would a start line here be believed, although a body is due?
bool conn_doubts_body(const struct conn_state *c, const struct side *s);
void conn_tell_skipped(struct conn_state *c, struct side *s);
