// Which request does an answer belong to: acknowledgement bounds, order decides, and doubt is told instead of guessed.
#pragma once
#include "../../include/message.h"
#include "body.h"

enum pair_answer { ANSWER_NONE, ANSWER_OPEN, ANSWER_ENDED };
enum pair_method { METHOD_OTHER, METHOD_HEAD, METHOD_CONNECT };

struct pending {
    struct pending *next;
    void *handle;            // of the message sink
    uint64_t start;          // of its first byte in the client's stream
    uint64_t end;            // where it ends, as far as that is known; UINT64_MAX while it cannot be told
    uint64_t ack;            // how far the client had received the server's stream when it began to send this
    bool ack_known;
    bool phantom;            // no request, but client bytes that were lost or not understood: none, one or many requests
    bool open;               // its bytes are still coming
    bool complete;           // it ended as its framing says
    bool lost_bytes;         // we lost bytes of it: that it did not end is our doing
    bool expects_continue, continued;
    bool doubtful;           // an answer came that may have been its own
    bool passed;             // an answer to a later request has come
    enum pair_method method;
    enum pair_answer answer;
    int64_t begun_ns;        // its first byte
    int64_t time_ns;         // of the newest thing that happened to it
};

struct pair_queue {
    struct pending *first, *last;
    size_t waiting;
    bool doubt;              // server bytes that may hold whole answers were lost since the last pair
    uint64_t lost_end;       // where the last such loss ended in the server's stream
};

// What is known of an answer when its head is there.
struct pair_place {
    uint64_t start;          // of the answer in the server's stream
    bool ack_known;
    uint64_t ack;            // how far the server had received the client's stream
    int status;
};

struct pending *pair_add(struct pair_queue *q);                 // NULL: memory out
void pair_add_phantom(struct pair_queue *q, uint64_t start, uint64_t end, uint64_t ack);
void pair_lose(struct pair_queue *q, uint64_t end);             // server bytes up to `end` were lost or not understood
// The request that this answer belongs to, those before it marked as passed; NULL: to none that is known for sure.
struct pending *pair_pick(struct pair_queue *q, const struct pair_place *place);
void pair_remove(struct pair_queue *q, struct pending *p);      // and frees it

struct pair_death {
    const struct conn *conn;
    int client;
    int first_left;          // side that first said it sends no more (FIN or RST); -1: none did
    enum stream_end how;     // how the connection ended
};
enum exchange_fate pair_fate(const struct pair_queue *q, const struct pending *p, const struct pair_death *death);
