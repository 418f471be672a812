// What tapes cover and what they do not, gathered in one visit to each segment.
#pragma once
#include "read.h"

struct info_gap {            // by cause
    uint64_t gaps, bytes, packets, rows_lost;
    int64_t time_ns;         // length of all of them together (for not_recording: real time without a recorder)
    int64_t first_ns, last_ns;
};

struct info_span {           // a time without a recorder
    size_t tape;
    int64_t from_ns, to_ns;
};

struct info_flow {           // a client's connections to a server, and what was not seen of them
    struct bytes client, server; // addresses; client empty: those in which no HTTP was found
    uint16_t port;
    uint64_t conns, midstream, only_client, only_server, gaps, gap_bytes;
};

struct info_opaque {
    struct bytes kind, server, client;
    uint16_t port;
    uint64_t conns;
    int64_t first_ns, last_ns;
};

struct info_count {
    struct bytes what, word; // what: api, danger, outcome, verb, principal, write
    uint64_t n;
};

struct info_tape {
    const char *name, *dir;
    bool live;
    int64_t first_ns, last_ns; // WHEN_UNKNOWN: no exchange
    int64_t beat_first_ns, beat_last_ns; // heartbeats: between them somebody listened; WHEN_UNKNOWN: none
    uint64_t exchanges, ops, alerts, log_bytes, body_bytes;
    uint64_t segments, damaged, missing, dropped;        // damaged and missing ones cannot be read
    uint64_t bodies_kept, bodies_dropped, bodies_missing; // segments
};

struct info_counters {       // of the recorders' heartbeats, all runs together
    uint64_t packets, bytes, kernel_dropped, interface_dropped, orphans, unparsed_bytes, overlaps_conflicting, undecodable;
};

struct info {
    const struct info_tape *tapes;
    size_t tape_count;
    struct info_gap gaps[GAP_CAUSES];
    const struct info_span *spans;
    size_t span_count;
    const struct info_flow *flows;
    size_t flow_count;
    const struct info_opaque *opaques;
    size_t opaque_count;
    const struct info_count *counts;
    size_t count_count;
    struct info_counters counters;
    uint64_t truncated, head_truncated, redacted, undecoded, malformed, own; // exchanges
};

// Everything lives until info_close.
struct info *info_open(struct tape *t, struct fault *fault);
void info_close(struct info *info);
