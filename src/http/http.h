// The door of http: streams become exchanges (include/message.h). The only stage that knows llhttp; decodes content codings.
#pragma once
#include "../../include/message.h"

struct http_stats {
    uint64_t requests, responses, pairs, interim, orphans, truncated_requests, truncated_responses, heads_truncated;
    uint64_t resyncs, parse_errors, unparsed_bytes, gap_bytes, opaque_conns, undecodable, evicted;
};

struct http;
struct http *http_open(const struct message_sink *sink);   // NULL: memory out
// The sink to give to wire_open. Connections in which no verb and path ever begin a message stay silent (no exchange),
// but are told by `opaque` once they prove to be TLS, HTTP/2 or something else.
const struct stream_sink *http_sink(struct http *h);
void http_stats(const struct http *h, struct http_stats *stats);
void http_close(struct http *h);
