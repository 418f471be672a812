// What leaves src/es and enters the tape side: the product's nouns, redacted, in order of happening.
#pragma once
#include "exchange.h"
#include "message.h"
#include "op.h"

enum body_side { BODY_REQUEST, BODY_RESPONSE };

// An outcome learned after the exchange was handed over (a task that finished, an answer behind a gap).
struct late_outcome {
    uint64_t exchange;
    int64_t time_ns;
    enum outcome outcome;
    struct bytes reason;
    int64_t docs, docs_ok, docs_failed, docs_deleted;
};

// A name resolved at a moment: alias, data stream or date math -> concrete index.
struct resolution {
    int64_t time_ns;
    struct bytes name, index;
    struct bytes kind; // "alias", "stream", "date_math", "write"
};

// A life of an index begins or ends.
struct incarnation {
    int64_t time_ns;
    uint64_t exchange;
    struct bytes index, uuid;
    bool born; // else: died
    bool seen; // by a call on the wire; false: concluded (sequence numbers began again, another uuid)
};

struct record_sink {
    void *ctx;
    uint64_t (*next_id)(void *ctx);                                   // a new exchange id, never used before on this tape
    void (*attempt)(void *ctx, const struct exchange *x);             // request complete, no answer yet; EXCHANGE_ATTEMPT set
    void (*body)(void *ctx, uint64_t id, enum body_side side, const struct body_piece *piece); // redacted, in order
    void (*ops)(void *ctx, const struct op *ops, size_t count);       // of one exchange, in item order; may come in several calls
    void (*done)(void *ctx, const struct exchange *x);                // last word on it, after its bodies and ops
    void (*late)(void *ctx, const struct late_outcome *late);
    void (*resolved)(void *ctx, const struct resolution *r);
    void (*life)(void *ctx, const struct incarnation *life);
    void (*gap)(void *ctx, const struct conn *conn, const struct stream_gap *gap); // conn may be NULL
    void (*opaque)(void *ctx, const struct conn *conn, enum opaque_kind kind, int64_t time_ns);
    void (*conn_close)(void *ctx, const struct conn *conn, int client_side, enum stream_end how, int64_t time_ns);
};
