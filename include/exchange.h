// One HTTP request with its answer or the reason why there is none: a row of the log. Names as in docs/fields.md.
#pragma once
#include "bytes.h"
#include "endpoint.h"
#include "when.h"

enum outcome { OUTCOME_OK, OUTCOME_PARTIAL, OUTCOME_FAILED, OUTCOME_UNANSWERED, OUTCOME_UNKNOWN, OUTCOMES };

enum auth_kind {
    AUTH_NONE, AUTH_BASIC, AUTH_API_KEY, AUTH_BEARER, AUTH_JWT, AUTH_SERVICE, AUTH_SIGV4, AUTH_CERT, AUTH_PROXY,
    AUTH_NEGOTIATE, AUTH_OTHER, AUTH_KINDS
};

enum exchange_flags {
    EXCHANGE_WRITE = 1,           // it changes data or configuration
    EXCHANGE_TRUNCATED = 2,       // bytes of a kept body are missing
    EXCHANGE_HEAD_TRUNCATED = 4,  // the request's head was cut: path or headers may be incomplete
    EXCHANGE_REDACTED = 8,        // something was taken out of a body or the path
    EXCHANGE_OWN = 16,            // estape's own traffic
    EXCHANGE_WILDCARD = 32,       // targets hold *, _all or an exclusion
    EXCHANGE_REQUEST_KEPT = 64,   // its request body is (or was) in a body file
    EXCHANGE_RESPONSE_KEPT = 128,
    EXCHANGE_UNDECODED = 256,     // a body was kept content-coded, or is SMILE or CBOR
    EXCHANGE_MALFORMED = 512,     // a body that should be JSON is not
    EXCHANGE_ATTEMPT = 1024,      // handed over when the request was complete, before its answer
    EXCHANGE_DUPLICATE_VIEW = 2048,
};

// Document counts of one exchange for one index.
struct exchange_index {
    struct bytes index; // concrete index, or the requested name when no answer tells it
    bool concrete;
    uint32_t ok, failed, deleted, unknown;
};

// All bytes are borrowed. -1 in a number means: not known.
struct exchange {
    uint64_t id;
    uint64_t conn;              // serial of its connection
    struct endpoint client, server;
    int64_t time_ns, answered_ns; // first byte of the request, last byte of the answer or WHEN_UNKNOWN
    uint32_t tcp_seq;           // sequence number of the request's first byte: the same at every tap
    struct bytes verb, path;    // as sent, secrets redacted, percent-encoding untouched
    struct bytes principal, run_as, forwarded_for, agent, opaque_id, traceparent, realm;
    enum auth_kind auth;
    struct bytes api, action;   // empty: no published route fits
    const struct bytes *targets; // index expressions as asked
    size_t target_count;
    const struct exchange_index *indices;
    size_t index_count;
    int status;                 // 0: unanswered
    enum outcome outcome;
    struct bytes reason;        // the cluster's error type, or why an answer is missing
    int64_t docs, docs_ok, docs_failed, docs_deleted;
    int64_t docs_total;         // by-query: total; reads: hit count
    int64_t took_ms;
    uint64_t request_bytes, response_bytes; // body sizes on the wire
    uint32_t flags;             // enum exchange_flags
    struct bytes danger;        // danger class, empty below level medium
    struct bytes task;          // id of the task that will finish it (wait_for_completion=false)
    struct bytes body_head;     // first bytes of a request that is no bulk, redacted, for rules (not stored twice)
    uint32_t server_version;    // of the cluster as learned, major*10000+minor*100+patch; +1000000 for OpenSearch; 0 unknown
};
