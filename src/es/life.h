// Lives of index names: born by creation, ended by deletion, seen as calls or concluded from what follows.
//
// Within one life sequence numbers grow; the next begins at 0 again under another uuid. A deletion whose answer was not seen
// is believed when numbers begin again, when a write created the index anew, or when the index is said to be missing.
#pragma once
#include "../../include/record.h"

#define LIFE_INDICES_MAX 65536 // past it the table starts anew: a life may be told twice

struct life;
typedef void life_told_fn(void *ctx, const struct incarnation *life);
struct life *life_open(life_told_fn *fn, void *ctx); // NULL: memory out
void life_close(struct life *l);

struct life_moment {
    int64_t time_ns, asked_ns; // of the answer, of its request
    uint64_t exchange;
};
void life_born(struct life *l, struct life_moment at, struct bytes index);
// name may be a pattern: every index known that it fits. sure: the cluster acknowledged it; else it is remembered as possible.
void life_died(struct life *l, struct life_moment at, struct bytes name, bool sure);
// index_not_found_exception. What was asked before this life began tells of the one before.
void life_missing(struct life *l, struct life_moment at, struct bytes index);
// Every answered write: its index, number, uuid.
void life_wrote(struct life *l, struct life_moment at, const struct op *op);
