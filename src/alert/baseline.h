// What is usual on this cluster: which indices take writes, who writes them, who has been seen, how much an index holds.
#pragma once
#include "../../include/exchange.h"
#include "../../include/op.h"
#include "../../include/seen.h"
#include "../../include/stream.h"

struct baseline;
struct baseline *baseline_open(size_t state_bytes_max); // NULL: memory out
void baseline_close(struct baseline *b);

void baseline_ops(struct baseline *b, const struct op *ops, size_t count);
void baseline_see(struct baseline *b, const struct exchange *x);     // after the rules have seen it
void baseline_write(struct baseline *b, const struct exchange *x);   // a document write was attempted
void baseline_gap(struct baseline *b, const struct stream_gap *gap);

// What was learnt since baseline_saved was called (it is stored now); and a row of it, met again after a restart.
bool baseline_save(struct baseline *b, seen_fn *put, void *ctx);
void baseline_saved(struct baseline *b);
void baseline_load(struct baseline *b, const struct seen *seen);

// Questions about an exchange before it is seen. Moments are packet time.
bool baseline_live_writes(struct baseline *b, const struct exchange *x, struct bytes *index); // one of its targets takes writes
bool baseline_first_seen(struct baseline *b, const struct exchange *x);  // principal and address are new, after a day of history
bool baseline_first_write(struct baseline *b, const struct exchange *x); // principal and address never wrote this index, which others do
bool baseline_app_only(struct baseline *b, const struct exchange *x);    // the index was written by applications alone so far
int64_t baseline_known_docs(struct baseline *b, const struct exchange *x); // -1: not known
bool baseline_gap_before(struct baseline *b, const struct exchange *x, int64_t span_ns);
double baseline_rate(struct baseline *b, struct bytes index);            // document writes a second of late, 0 unknown
uint64_t baseline_evicted(const struct baseline *b);                     // entries forgotten at the bound
