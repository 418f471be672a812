// What happened per bucket of time: writes, reads, errors, destructive calls; by index (each life by itself) and by who.
#pragma once
#include "../tape/read.h"
#include "out.h"

struct timeline_settings {
    int64_t from_ns, to_ns;  // [from, to)
    int64_t bucket_ns;       // 0: chosen, so that at most `buckets_max` of a round size cover the range
    size_t buckets_max;      // 0: 60
    const struct out *like;  // destructive calls are told as lines for this output; NULL: plain
    size_t top;              // lanes shown per group; the rest is summed. 0: 12
};

struct timeline;
struct timeline *timeline_open(const struct timeline_settings *settings); // NULL: memory out
bool timeline_life(struct timeline *t, const struct incarnation *life);   // all lives come before the first row, in order of time
bool timeline_row(struct timeline *t, const struct tape_row *row, const char *tape_name); // false: memory out
void timeline_gap(struct timeline *t, const struct tape_gap_row *gap);
void timeline_print(struct timeline *t, struct out *out);                 // for eyes, never wider than the terminal
void timeline_json(struct timeline *t, struct buf *out);                  // one object
void timeline_close(struct timeline *t);
// The bucket size for a range: the smallest round one that needs at most `most` buckets.
int64_t timeline_bucket_ns(int64_t range_ns, size_t most);
