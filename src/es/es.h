// The door of es: HTTP messages become exchanges with api, targets, ops and danger, secrets taken out (include/record.h).
#pragma once
#include "../../include/message.h"
#include "../../include/record.h"

enum es_bodies { ES_BODIES_WRITES, ES_BODIES_ALL, ES_BODIES_NONE };

struct es_version_of { // --version-of HOST:PORT=7.10
    struct endpoint server;
    uint32_t version;  // as struct exchange's server_version
};

struct es_settings {
    enum es_bodies bodies;
    bool read_requests;              // keep the request bodies of reads (default true)
    const char *const *exclude_index; // patterns whose bodies stay off the tape
    size_t exclude_count;
    const struct es_version_of *versions;
    size_t version_count;
    bool ops;                        // take writes apart (default true; benchmarks switch it off)
};

struct es_stats {
    uint64_t exchanges, unknown_routes, writes, ops, ops_failed, redactions, redactions_failed_closed, malformed, undecoded;
    uint64_t destructive;
};

struct es;
struct es *es_open(const struct es_settings *settings, const struct record_sink *sink); // NULL: memory out
const struct message_sink *es_sink(struct es *e);
void es_tick(struct es *e, int64_t now_ns);
void es_stats(const struct es *e, struct es_stats *stats);
void es_close(struct es *e);
