// One document's records on their way from the sorter to steps. What plan_doc.c, plan_order.c and plan_reduce.c share; not for others.
#pragma once
#include "../base/mem.h"
#include "plan_inside.h"

struct group {
    struct plan *p;
    struct op_rec **ops;
    size_t count, room;
    struct arena arena;
    struct buf out;
    struct plan_step *steps;
    size_t step_count, step_room;
};

static inline bool took_effect(const struct op_rec *r)
{
    return r->result == OP_CREATED || r->result == OP_UPDATED || r->result == OP_DELETED || r->result == OP_NOT_FOUND || r->result == OP_ACCEPTED ||
           (r->result == OP_UNKNOWN && (r->marks & REC_DONE));
}

static inline int64_t done_at(const struct op_rec *r)
{
    return r->answered_ns == WHEN_UNKNOWN ? r->time_ns + WHEN_NS_PER_MS : r->answered_ns;
}

bool plan_order_group(struct group *g);  // into the order of effect, what two taps saw once; false: memory out
bool plan_reduce_group(struct group *g); // to steps, into the second sorter; false: fault
