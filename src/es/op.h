// Joins what a request asked for with what was answered, by position, and hands ops out; counts them per index.
//
// As long as both sides are whole, ops leave as answer items arrive. Where a hole or a filter makes positions unsure, the
// answers are kept (compactly, same budget) and joined at the end with full knowledge.
#pragma once
#include "../../include/exchange.h"
#include "../../include/record.h"
#include "bulk.h"
#include "opqueue.h"

struct op_join_hooks {
    void *ctx;
    void (*ops)(void *ctx, const struct op *ops, size_t count);
    // A write's answer told something about names or lives: called for every joined op before it leaves.
    void (*told)(void *ctx, const struct op *op);
};

struct op_join;
// exchange: its id. items_max: indices counted apart; the rest is counted in the totals only.
struct op_join *op_join_open(uint64_t exchange, const struct op_join_hooks *hooks, struct op_budget *budget); // NULL: memory out
void op_join_close(struct op_join *j);
struct opqueue *op_join_asks(struct op_join *j);    // where the request's items are put
void op_join_positions_unsure(struct op_join *j);   // before the first answer: join at the end only
void op_join_answer(struct op_join *j, const struct op_answer *answer); // the next item's answer
void op_join_answer_hole(struct op_join *j); // bytes of the answer are missing: what follows counts from the end
void op_join_flush(struct op_join *j);              // what was joined leaves now

// What became of items that no answer item spoke of.
struct op_rest {
    enum op_result result; // OP_UNKNOWN, OP_FAILED, OP_ACCEPTED
    int status;
    struct bytes error_type;
};
struct op_end {
    const struct bulk_totals *request; // NULL: a single write
    bool answers_complete;             // the answer ended whole
    bool answers_holed;                // bytes of the answer are missing: its last run counts from the end
    bool answers_sparse;               // a filter leaves out the items that went well
    struct op_rest rest;
};
void op_join_finish(struct op_join *j, const struct op_end *end);

struct op_totals {
    uint64_t docs, ok, failed, deleted, unknown;
};
const struct op_totals *op_join_totals(const struct op_join *j);
const struct exchange_index *op_join_indices(const struct op_join *j, size_t *count); // borrowed
// The first error type among the failed, for the exchange's reason.
struct bytes op_join_error(const struct op_join *j);
