// A bounded queue of byte messages between two threads: one writes, one reads. Full: the writer waits. Messages are
// contiguous and 16-byte aligned, so that a message may hold pointers into itself.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring;
struct ring *ring_open(size_t size_bytes); // rounded up to a power of two; NULL: memory out
void ring_close(struct ring *r);

// Writer. A message is at most a quarter of the ring. Waits while the ring is full; NULL once the reader has left or when
// the size is too large. Commit publishes what the last reserve gave (kept bytes may be fewer).
void *ring_reserve(struct ring *r, size_t size);
void ring_commit(struct ring *r, size_t size);
void ring_finish(struct ring *r); // no more messages

// Reader. The oldest message, or NULL after wait_ms without one, or at the end (*ended). Release frees it.
void *ring_peek(struct ring *r, size_t *size, int wait_ms, bool *ended);
void ring_release(struct ring *r);
void ring_leave(struct ring *r); // the reader gives up: the writer is not held up any more

size_t ring_used_bytes(const struct ring *r); // from either thread, a moment's view
