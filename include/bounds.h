// Every limit of the product, with its reason and what the user sees when it is reached.
#pragma once
#include <stddef.h>
#include <stdint.h>

// http.max_content_length of the cluster is 100 MiB by default and can be raised; a body past this is cut and flagged.
#define BOUND_BODY_BYTES_MAX (UINT64_C(1) << 32)
// Heads: the cluster's http.max_header_size is 16 KiB (8 KiB older), http.max_initial_line_length 4 KiB; both can be
// raised. Past this a head is cut and flagged as EXCHANGE_HEAD_TRUNCATED.
#define BOUND_HEAD_BYTES_MAX (256 * 1024)
#define BOUND_HEADERS_MAX 256
// Redaction needs a whole body of a secret-carrying API in memory; a longer one is dropped whole and flagged.
#define BOUND_REDACT_BYTES_MAX (4 * 1024 * 1024)
// Rules see this much of a request that is no bulk.
#define BOUND_RULE_BODY_BYTES (64 * 1024)
// Out-of-order bytes waiting for a hole, per connection and in all; past it the hole is declared a gap (GAP_EVICTED).
#define BOUND_REORDER_CONN_BYTES (4 * 1024 * 1024)
#define BOUND_REORDER_ALL_BYTES (32 * 1024 * 1024)
// Connections remembered; past it the one idle longest is closed (END_EVICTED) and counted.
#define BOUND_CONNECTIONS 65536
// JSON nesting that readers follow; Elasticsearch's own limit for mappings is 20 and for parsing 1000.
#define BOUND_JSON_DEPTH 1000
// Unfinished heads and undecided message starts, all connections together; past it a head is cut and flagged, and what
// follows it is told as GAP_UNPARSED.
#define BOUND_HELD_ALL_BYTES ((size_t)64 << 20)
// Requests waiting for their answers, on one connection and in all; past it the oldest is closed as FATE_ANSWER_LOST and counted.
#define BOUND_WAITING_CONN 4096
#define BOUND_WAITING_ALL 262144
