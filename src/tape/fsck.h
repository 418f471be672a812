// Checking a tape: SQLite's own check, checksums, references between rows and blocks, the invariants of docs/tape-format.md.
#pragma once
#include "../../include/fault.h"
#include <stdbool.h>
#include <stdint.h>

struct fsck_finding {
    const char *file;  // within the tape's directory, "" for the directory
    int invariant;     // number in docs/tape-format.md
    bool harmless;     // a note: nothing is wrong with what is stored
    const char *text;  // one line
};
typedef void fsck_fn(void *ctx, const struct fsck_finding *finding);

struct fsck_stats {
    uint64_t segments, exchanges, ops, bodies, blocks, bytes, damaged; // damaged: findings that are not harmless
};

// Never writes; works beside a recorder, on what is committed. False: dir is no tape, or of a later format, or memory is out.
bool fsck_tape(const char *dir, fsck_fn *fn, void *ctx, struct fsck_stats *stats, struct fault *fault);
