// The tape's memory of what was seen, in tape.db: read when a recording begins, stored a while after it changed.
#pragma once
#include "../../include/seen.h"
#include "write.h"

// Every row kept by recordings before. False: fn said stop, or it cannot be read.
bool tape_seen_each(struct tape_writer *w, seen_fn *fn, void *ctx);
// begin, put..., end: all or nothing. A disk that refuses is no fault: false, and the rows are to be put again.
bool tape_seen_begin(struct tape_writer *w);
bool tape_seen_put(void *writer, const struct seen *seen); // a seen_fn
bool tape_seen_end(struct tape_writer *w, bool ok);
