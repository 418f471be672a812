// What an alerter learnt and must not forget at a restart: who and what was seen since when, and what is usual for an index.
#pragma once
#include "bytes.h"

#include <stdint.h>

struct seen {
    const char *kind;            // "begin", "actor", "writer" (word: a hash), "index" (word: its name)
    struct bytes word;
    int64_t first_us, last_us;
    int64_t writes, by_hand, docs; // of an index; docs -1: not known
};
typedef bool seen_fn(void *ctx, const struct seen *seen);
