// An in-memory tape behind the reading door: tests say what was recorded, the plan reads it as it would read a real one.
#pragma once
#include "../../../src/tape/read.h"

struct tape *fake_open(void);
// An exchange; everything borrowed must live as long as the tape. The id is x.id. `body` may be NULL.
void fake_exchange(struct tape *t, const struct exchange *x, const char *body);
void fake_op(struct tape *t, const struct op *op, int64_t time_ns, int64_t answered_ns); // its exchange is made if it is missing
void fake_life(struct tape *t, const char *index, uint64_t exchange, int64_t time_ns, bool born, bool seen);
void fake_life_of(struct tape *t, size_t which, const char *index, uint64_t exchange, int64_t time_ns, bool born, bool seen); // as another tap told it
void fake_resolution(struct tape *t, const char *name, const char *index, int64_t time_ns);
void fake_gap(struct tape *t, int64_t from_ns, int64_t to_ns, uint64_t bytes, enum gap_cause cause, int side);
