// What a bulk asked for and what was answered, item by item, kept compactly until both can be joined.
//
// A queue is first in, first out. Names that repeat from one item to the next (index, type, routing, pipeline, error) cost a
// bit; an item of a typical bulk takes 12 bytes and its id. All queues of one es share a budget: when it is spent a push is
// refused and the caller counts instead.
#pragma once
#include "../../include/op.h"
#include "../base/buf.h"

struct op_budget {
    size_t used_bytes, max_bytes;
};

struct op_ask {
    enum op_kind kind;
    uint32_t flags; // enum op_flags
    struct bytes index, type, id, routing, pipeline;
    int64_t asked_version;
    uint64_t action_at, action_bytes, source_at, source_bytes;
};

struct op_answer {
    enum op_kind kind;
    enum op_result result;
    uint32_t flags;
    int status;
    struct bytes index, type, id, error_type, index_uuid;
    int shard;
    int64_t version, seq_no, primary_term;
    bool told_result; // the answer has `result` (or version 5's `created`, `found`): nothing was filtered out
};

struct opqueue_block;
struct opqueue {
    struct op_budget *budget;
    struct opqueue_block *first, *last;
    size_t count;        // records in it
    size_t read_at;      // in the first block
    struct buf pushed, popped; // the names of the last record, by which the next is shortened
    struct bytes pushed_names[5], popped_names[5];
    uint64_t pushed_at, popped_at; // offsets count on from the record before
};

void opqueue_init(struct opqueue *q, struct op_budget *budget);
void opqueue_fini(struct opqueue *q);
// False: the budget is spent or memory is out; the queue is as before.
bool opqueue_push_ask(struct opqueue *q, const struct op_ask *ask);
bool opqueue_push_answer(struct opqueue *q, const struct op_answer *answer);
// False when it is empty. Strings are borrowed until the next pop. A queue holds records of one sort only.
bool opqueue_pop_ask(struct opqueue *q, struct op_ask *ask);
bool opqueue_pop_answer(struct opqueue *q, struct op_answer *answer);
