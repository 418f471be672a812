// Bodies of recorded writes: the document or update body of one step, whole requests kept while neighbours are read.
#pragma once
#include "plan.h"

struct source;
struct source *source_open(struct tape *t); // NULL: memory out
void source_close(struct source *s);
// The step's bytes, valid until the next call that is not for the same exchange. False with fault user: they are not on the
// tape (pruned, missing, holes); the text says why.
bool source_get(struct source *s, const struct plan_step *step, struct bytes *body, struct fault *fault);
// A whole request body (by-query calls, mappings).
bool source_request(struct source *s, size_t tape, uint64_t exchange, struct bytes *body, struct fault *fault);
