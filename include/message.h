// What leaves src/http: requests with their answers, bodies in decoded pieces. src/es receives it.
//
// Order of calls for one exchange (handle):
//   request  request_body* request_end  response  response_body* response_end  close
// The answer may begin before request_end (early refusals, 413); a call may be left out when the bytes were never
// seen; close always comes, once, last. Calls of different exchanges interleave freely.
#pragma once
#include "bytes.h"
#include "stream.h"

struct header {
    struct bytes name, value;
};

struct request_head {
    const struct conn *conn;
    int client_side;        // which side of conn is the client
    int64_t time_ns;        // first byte
    uint64_t stream_offset; // of the first byte, in the client's stream
    struct bytes method, target;
    int version_minor;      // HTTP/1.x
    const struct header *headers;
    size_t header_count;
    bool head_truncated;    // a snap length or a gap cut the head: what survived is here
};

struct response_head {
    int64_t time_ns;
    int status;
    const struct header *headers;
    size_t header_count;
    bool head_truncated;
};

enum body_coding { CODING_IDENTITY, CODING_GZIP, CODING_DEFLATE, CODING_ZSTD, CODING_OTHER };

// One piece of a body. Decoded where the coding is known and intact, else raw.
struct body_piece {
    struct bytes bytes;
    uint64_t hole_bytes; // > 0: not data but that many missing bytes (wire bytes; bytes is empty)
    bool hole_unknown;   // the hole's decoded size is unknown (chunked or compressed)
    bool raw;            // still content-coded: it could not be decoded from here on
};

struct message_end {
    int64_t time_ns;        // last byte
    uint64_t wire_bytes;    // body bytes as sent, transfer coding removed, content coding not; holes counted in
    uint64_t missing_bytes; // of these, never seen
    enum body_coding coding;
    bool undecodable;       // content coding broken or unknown, at least from some byte on
    bool complete;          // the message ended as its framing says; false: cut off
    bool truncated;         // bytes missing inside or at the end
};

enum exchange_fate {
    FATE_ANSWERED,
    FATE_CLIENT_LEFT,     // complete and acknowledged, then the client closed or reset
    FATE_SERVER_LEFT,     // complete and acknowledged, then the server closed or reset without an answer
    FATE_ANSWER_LOST,     // we lost the answer (gap, one-sided capture)
    FATE_INCOMPLETE,      // the client stopped in the middle of the request
    FATE_NEVER_ACKNOWLEDGED, // complete on the wire, its bytes were never acknowledged and the connection died
    FATE_OPEN,            // recording ended while it was waiting
};

struct exchange_end {
    enum exchange_fate fate;
    int64_t time_ns;
};

enum opaque_kind { OPAQUE_TLS, OPAQUE_HTTP2, OPAQUE_UPGRADE, OPAQUE_CONNECT, OPAQUE_OTHER };

// request returns the receiver's handle for the exchange, handed back in every later call.
// Everything borrowed (heads, pieces) is valid until the call returns.
struct message_sink {
    void *ctx;
    void *(*request)(void *ctx, const struct request_head *head);
    void (*request_body)(void *ctx, void *handle, const struct body_piece *piece);
    void (*request_end)(void *ctx, void *handle, const struct message_end *end);
    void (*response)(void *ctx, void *handle, const struct response_head *head);
    void (*response_body)(void *ctx, void *handle, const struct body_piece *piece);
    void (*response_end)(void *ctx, void *handle, const struct message_end *end);
    void (*close)(void *ctx, void *handle, const struct exchange_end *end);
    void (*gap)(void *ctx, const struct conn *conn, const struct stream_gap *gap); // every gap, passed through with what http knows
    void (*opaque)(void *ctx, const struct conn *conn, enum opaque_kind kind, int64_t time_ns); // once per connection
    void (*conn_close)(void *ctx, const struct conn *conn, int client_side, enum stream_end how, int64_t time_ns); // client_side -1: neither a request nor an answer was ever found on it
};
