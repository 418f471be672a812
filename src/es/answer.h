// Reads what the cluster answered to writes: bulk items as they pass, single writes, by-query counts, acknowledgements.
#pragma once
#include "opqueue.h"
#include "opjson.h"

#define ANSWER_ITEM_MAX (1024 * 1024) // of one bulk item; errors that quote documents can be long
#define ANSWER_HEAD_MAX (64 * 1024)   // of any other answer; what matters stands in front

// ---- one write's answer: a bulk item's inner object, or the answer to a single write ----------------------------------
// The cursor stands before the object. `kind` is in *answer already. Strings are views, or in `into` (cleared by the caller
// before each item, with room for the whole text reserved) where they held escapes. At OPJSON_MORE what was read so far
// stands in *answer.
enum opjson_got answer_read_write(struct opjson *c, struct op_answer *answer, struct buf *into);
void answer_clear(struct op_answer *answer, enum op_kind kind);
// Concludes the result from result word, status and error. minted: the request gave no id.
void answer_conclude(struct op_answer *answer, bool minted);

// ---- a bulk's answer, streaming -------------------------------------------------------------------------------------------
struct answer_bulk_totals {
    int64_t took_ms;      // -1 not told; several answers (streaming bulk) are summed
    int errors;           // -1 not told, 0, 1: the word `errors`
    bool has_items;       // an `items` array began
    uint64_t items;
    bool complete;        // it ended as JSON should
    bool malformed;
    bool holes;
    int status;           // of a refusal of the whole bulk, 0: none
    char error_type[128]; // of it
};

typedef void answer_item_fn(void *ctx, const struct op_answer *answer);
struct answer_bulk;
struct answer_bulk *answer_bulk_open(answer_item_fn *fn, void *ctx); // NULL: memory out
void answer_bulk_feed(struct answer_bulk *a, struct bytes bytes);
// Bytes are missing: fn is not called any more until an item begins again; `lost` in later totals tells.
void answer_bulk_hole(struct answer_bulk *a);
void answer_bulk_end(struct answer_bulk *a);
const struct answer_bulk_totals *answer_bulk_total(const struct answer_bulk *a);
void answer_bulk_close(struct answer_bulk *a);

// ---- everything else ------------------------------------------------------------------------------------------------------
struct answer_head { // -1: not told
    int64_t took_ms, total, updated, deleted, created, noops, version_conflicts, shards_failed, shards_total;
    int timed_out, acknowledged, errors, found;
    bool has_failures;       // failures[] is not empty
    struct bytes error_type, failure_type, task, result; // views, or in `into`
    struct bytes old_index, new_index;
    int rolled_over;
    bool is_object, whole;   // whole: the object ended inside the text
};
// `into`: for strings with escapes, reserved by this call.
void answer_read_head(struct bytes text, struct answer_head *head, struct buf *into);
