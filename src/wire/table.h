// The connections that live: found by their two ends, kept in order of last packet, and in order of who waits longest.
#pragma once
#include "flow.h"

struct list {
    struct flow *first, *last;
};

struct table {
    struct flow **buckets;
    size_t room, count;         // room: a power of two
    uint64_t seed;
    struct list open, closed;   // by last packet, oldest first
    size_t closed_count;
    struct list waiting;        // by wait_ns, oldest first
};

bool table_init(struct table *t);
void table_fini(struct table *t); // frees every flow
uint64_t table_hash(const struct table *t, const struct endpoint *a, const struct endpoint *b); // the same for both directions
struct flow *table_find(const struct table *t, uint64_t hash, const struct endpoint *from, const struct endpoint *to, int *side);
// A new flow whose side A is `from`. When there is one of the same two ends it becomes the new one's `older`.
struct flow *table_add(struct table *t, uint64_t hash, const struct endpoint *from, const struct endpoint *to);
void table_drop(struct table *t, struct flow *f); // frees it; an older one takes its place, if there is one
void table_touch(struct table *t, struct flow *f);   // had a packet now
void table_retire(struct table *t, struct flow *f);  // was just closed
void table_wait(struct table *t, struct flow *f, bool waits, int64_t now_ns); // joins, stays in or leaves the waiting list
void table_wait_again(struct table *t, struct flow *f, int64_t now_ns);       // to the end of the waiting list
