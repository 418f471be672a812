// The one allocator door: every allocation of the program passes here, so that tests can make the N-th one fail.
#pragma once
#include <stdbool.h>
#include <stddef.h>

// NULL when memory is out (or a test says so); never aborts. size 0 gives a valid pointer.
void *mem_alloc(size_t size);
void *mem_zero(size_t count, size_t size);        // overflow-checked, zeroed
void *mem_grow(void *old, size_t size);           // as realloc: old stays valid on failure
char *mem_text_copy(const void *at, size_t size); // NUL-terminated copy
void mem_free(void *at);

// Tests: the `nth` next allocation (from 1) and all after it fail; 0 switches off. Returns allocations counted so far.
// Also switched on by the environment variable ESTAPE_FAIL_ALLOC in builds with -DESTAPE_FAULTS.
unsigned long mem_fail_after(unsigned long nth);

// An arena: allocations that die together. Blocks of at least 4 KiB, a ceiling in bytes (0: none).
struct arena {
    struct arena_block *head;
    size_t used_bytes, ceiling_bytes;
};
void arena_init(struct arena *a, size_t ceiling_bytes);
void *arena_alloc(struct arena *a, size_t size);  // NULL at the ceiling or when memory is out; 16-byte aligned
void *arena_copy(struct arena *a, const void *at, size_t size); // a NUL follows the copy
void arena_reset(struct arena *a);                // keeps one block
void arena_fini(struct arena *a);
