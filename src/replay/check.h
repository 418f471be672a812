// The proof of completeness: per life and shard the recorded sequence numbers must be dense, holes explained.
//
// Fed with every op of an index (any order), then finished; a second feeding of the same ops finds the moments around
// the holes. Memory: one bit per number (in chunks), whatever the numbers are.
#pragma once
#include "../../include/fault.h"
#include "../../include/op.h"
#include <stdbool.h>

enum check_verdict {
    CHECK_PROVEN,       // dense from `first` to `last`
    CHECK_EXPLAINED,    // every hole has an explanation, in sum
    CHECK_MISSING,      // numbers that nothing explains: writes are missing on the tape
    CHECK_NO_PROOF,     // no numbers at all (version 5, filtered answers)
    CHECK_VERDICTS
};

struct check_hole {
    int64_t from, to;          // numbers, inclusive
    int64_t after_ns, until_ns; // effect lies between: request of the number before it, answer of the one behind it; WHEN_UNKNOWN
    uint64_t before_exchange, behind_exchange;
    bool primary_change;       // it lies where another copy of the shard became its primary
};

struct check_shard {
    uint32_t name;             // caller's number of the index
    int64_t life;              // caller's key of the life
    int shard;                 // -1: shards are not told apart
    int64_t first, last;       // smallest and largest recorded number; OP_NONE
    int64_t expected_first;    // what it should begin with; OP_NONE: not known
    int64_t floor;             // holes below it are no loss (a restored copy holds them), but still judge unanswered writes; OP_NONE
    uint64_t numbers;          // distinct recorded
    uint64_t repeated;         // numbers seen under two primary terms
    uint64_t missing;          // in holes between expected first (or floor) and last
    int64_t term_first, term_last;
    int64_t time_first_ns, time_last_ns;
    const struct check_hole *holes; // at most CHECK_HOLES_MAX are kept
    size_t hole_count;
    enum check_verdict verdict;
};

struct check_life {            // what explains holes, per index and life
    uint32_t name;
    int64_t life;
    uint64_t accepted_without_number, by_query, own, unanswered, engine_failures;
    uint64_t primary_changes;  // numbers not seen where a primary changed: what ran there was run again, or filled up
    uint64_t missing, explained, unexplained;
    uint64_t ops, numbered;
    uint64_t chains_proven, chains_broken; // per document by _version (see check_chain)
    enum check_verdict verdict;
};

enum { CHECK_HOLES_MAX = 4096 };

struct check;
struct check *check_open(void); // NULL: memory out
void check_close(struct check *c);

struct check_op {
    uint32_t name;
    int64_t life;
    int shard;
    int64_t seq_no, primary_term, time_ns, answered_ns;
    uint64_t exchange;
    bool accepted;       // consumed a number or would have (noops and drops are not fed)
    bool unanswered;
    bool engine_failure; // refused with 400 by the engine: may have consumed a number
};
bool check_feed(struct check *c, const struct check_op *op); // false: memory out
// Writes whose numbers the wire never shows: a by-query call, estape's own writes.
bool check_explain(struct check *c, uint32_t name, int64_t life, uint64_t by_query, uint64_t own);
// The life's numbers begin here: at 0 when it was born on this tape.
bool check_expect(struct check *c, uint32_t name, int64_t life, int shard, int64_t first);
// A restored copy holds what is below `floor`.
bool check_floor(struct check *c, uint32_t name, int64_t life, int shard, int64_t floor);
// One document's recorded versions were a chain, or not.
bool check_chain(struct check *c, uint32_t name, int64_t life, bool whole);
bool check_finish(struct check *c);
bool check_has_holes(const struct check *c);
void check_locate(struct check *c, const struct check_op *op); // second feeding
void check_conclude(struct check *c);                          // after it: what the moments explain
size_t check_shard_count(const struct check *c);
const struct check_shard *check_shard(const struct check *c, size_t i); // sorted by name, life, shard
size_t check_life_count(const struct check *c);
const struct check_life *check_life(const struct check *c, size_t i);
const struct check_shard *check_find_shard(const struct check *c, uint32_t name, int64_t life, int shard);
