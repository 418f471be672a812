// What is kept of a read's answer: how many hits, whether it timed out; the documents are passed over, never stored.
#pragma once
#include "../../include/bytes.h"

#define READS_ERROR_MAX 64

struct reads_result { // -1: not told
    int64_t hits_total;   // hits.total (number, or object with value); count; rows of SQL and ES|QL
    bool hits_at_least;   // relation "gte"
    int64_t hits_returned; // hits in this answer
    int64_t took_ms;
    int timed_out;        // -1 not told, 0, 1
    int64_t shards_failed;
    int64_t answers, answers_failed; // msearch: its answers, and those with a status of 400 and more other than 404
    char error_type[READS_ERROR_MAX]; // of the first that failed, "" where not told
    bool malformed, complete;
};

// A streaming scan in constant memory. The answer may be cut anywhere.
struct reads;
struct reads *reads_open(void); // NULL: memory out
bool reads_feed(struct reads *r, struct bytes piece);
void reads_end(struct reads *r, struct reads_result *result);
void reads_reset(struct reads *r);
void reads_close(struct reads *r);
// Indices named by `_index` of the first hits, each once: called for each new one while feeding. May be NULL.
typedef void reads_index_fn(void *ctx, struct bytes index);
void reads_on_index(struct reads *r, reads_index_fn *fn, void *ctx);
// Text members at the top that tie calls together: "_scroll_id", "pit_id", "id" (PIT, async search). Called as met.
typedef void reads_handle_fn(void *ctx, const char *name, struct bytes value);
void reads_on_handle(struct reads *r, reads_handle_fn *fn, void *ctx);
