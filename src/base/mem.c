// The one allocator door: every allocation of the program passes here, so that tests can make the N-th one fail.
#include "mem.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Test switch, off in normal life: allocations still allowed before all fail. Counted so that a test knows when it is through.
static _Atomic unsigned long fail_at;
static _Atomic unsigned long counted;

#ifdef ESTAPE_FAULTS
__attribute__((constructor)) static void fail_from_environment(void)
{
    const char *nth = getenv("ESTAPE_FAIL_ALLOC");
    if (nth)
        mem_fail_after(strtoul(nth, NULL, 10));
}
#endif

static bool refused(void)
{
    unsigned long at = atomic_load_explicit(&fail_at, memory_order_relaxed);
    if (!at)
        return false;
    return atomic_fetch_add(&counted, 1) + 1 >= at;
}

unsigned long mem_fail_after(unsigned long nth)
{
    unsigned long before = atomic_exchange(&counted, 0);
    atomic_store(&fail_at, nth);
    return before;
}

void *mem_alloc(size_t size)
{
    return refused() ? NULL : malloc(size ? size : 1);
}

void *mem_zero(size_t count, size_t size)
{
    if (refused())
        return NULL;
    return calloc(count ? count : 1, size ? size : 1);
}

void *mem_grow(void *old, size_t size)
{
    return refused() ? NULL : realloc(old, size ? size : 1);
}

char *mem_text_copy(const void *at, size_t size)
{
    char *copy = size < SIZE_MAX ? mem_alloc(size + 1) : NULL;
    if (!copy)
        return NULL;
    if (size)
        memcpy(copy, at, size);
    copy[size] = 0;
    return copy;
}

void mem_free(void *at)
{
    free(at);
}

// ---- arenas ---------------------------------------------------------------------------------------------------------

enum { BLOCK_BYTES = 4096, ALIGN = 16 };

struct arena_block {
    struct arena_block *next;
    size_t room, used;
    _Alignas(ALIGN) unsigned char at[];
};

void arena_init(struct arena *a, size_t ceiling_bytes)
{
    *a = (struct arena){.ceiling_bytes = ceiling_bytes};
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (!size)
        size = ALIGN;
    struct arena_block *b = a->head;
    if (!b || b->room - b->used < size) {
        // Blocks double up to 64 KiB, so that a large document costs few allocations.
        size_t room = b ? (b->room < 65536 ? b->room * 2 : 65536) : BLOCK_BYTES - sizeof *b;
        if (room < size)
            room = size;
        if (a->ceiling_bytes && room > a->ceiling_bytes - (a->used_bytes < a->ceiling_bytes ? a->used_bytes : a->ceiling_bytes))
            room = size;
        if (a->ceiling_bytes && a->used_bytes + room > a->ceiling_bytes)
            return NULL;
        b = mem_alloc(sizeof *b + room);
        if (!b)
            return NULL;
        *b = (struct arena_block){.next = a->head, .room = room};
        a->head = b;
        a->used_bytes += room;
    }
    void *at = b->at + b->used;
    b->used += size;
    return at;
}

void *arena_copy(struct arena *a, const void *at, size_t size)
{
    unsigned char *copy = size < SIZE_MAX ? arena_alloc(a, size + 1) : NULL;
    if (!copy)
        return NULL;
    if (size)
        memcpy(copy, at, size);
    copy[size] = 0;
    return copy;
}

void arena_reset(struct arena *a)
{
    struct arena_block *keep = a->head;
    if (!keep)
        return;
    for (struct arena_block *b = keep->next, *next; b; b = next) {
        next = b->next;
        mem_free(b);
    }
    keep->next = NULL;
    keep->used = 0;
    a->used_bytes = keep->room;
}

void arena_fini(struct arena *a)
{
    for (struct arena_block *b = a->head, *next; b; b = next) {
        next = b->next;
        mem_free(b);
    }
    a->head = NULL;
    a->used_bytes = 0;
}
