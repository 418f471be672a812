// Dropping old or chosen bodies and segments of a tape that nobody records on.
#pragma once
#include "../../include/fault.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prune_settings {
    int64_t bodies_before_ns, log_before_ns; // segments that ended before; WHEN_UNKNOWN: none
    uint64_t max_bytes;                      // then the oldest bodies, then the oldest logs until the tape fits; 0: no limit
    const char *const *index;                // bodies of exchanges with these indices or targets ('*' is a wildcard), everywhere
    size_t index_count;
    const char *const *segment;              // by name
    size_t segment_count;
    bool keep_log;                           // with segment: only their bodies
    bool dry_run;                            // counts only
};

struct prune_result {
    uint64_t bodies_dropped, logs_dropped;   // files
    uint64_t exchanges_stripped;             // exchanges whose bodies went, by index
    uint64_t bytes_freed;
};

// Fault user: no tape, somebody records on it (pid), a segment of that name is not there.
bool tape_prune(const char *dir, const struct prune_settings *settings, int64_t now_ns, struct prune_result *result, struct fault *fault);
