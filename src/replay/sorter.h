// Sorts records of any size and number in bounded memory: runs go to an unlinked file, a merge brings them back in order.
#pragma once
#include "../../include/bytes.h"
#include "../../include/fault.h"
#include <stdbool.h>

struct sorter;
typedef int sorter_compare(const void *a, const void *b); // of whole records; a total order (ties keep the order of adding).
// Their first 64 bits, as a number of this machine, order before anything else

// dir: where runs go (may be NULL: $TMPDIR, else /tmp). memory_bytes: what the records in memory may take.
struct sorter *sorter_open(const char *dir, size_t memory_bytes, sorter_compare *compare); // NULL: memory out
bool sorter_add(struct sorter *s, struct bytes record, struct fault *fault);
bool sorter_finish(struct sorter *s, struct fault *fault); // no more records; then next; once
// The next record in order, 8-byte aligned, valid until the next call; size 0: the end. False: fault.
bool sorter_next(struct sorter *s, struct bytes *record, struct fault *fault);
bool sorter_rewind(struct sorter *s, struct fault *fault); // from the start again
void sorter_close(struct sorter *s);
