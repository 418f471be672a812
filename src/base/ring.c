// A bounded queue of byte messages between two threads: one writes, one reads.
//
// Layout: a ring of `size` bytes (a power of two). A message is a header of 16 bytes {size, kind} and its bytes, rounded up to
// 16. One that would wrap is preceded by a filler that runs to the ring's end.
// 1. head (written up to) belongs to the writer, tail (read up to) to the reader; both only grow.
// 2. head - tail <= size.
//    Each end keeps what it last saw of the other and looks again only when that is used up: at full flow neither cache line
//    travels from core to core with every message.
// 3. Sleeping: a side sets its `asleep` flag, looks again, then sleeps; the other side publishes first and looks at the flag
//    after (both sequentially consistent), so no wake-up is lost. A reader that has just been busy naps without the flag for
//    a millisecond first: a writer in full flow never pays for waking it.
#include "ring.h"
#include "mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { HEADER_BYTES = 16, NAP_NS = 1000000 };

struct ring_header {
    uint64_t size;
    uint64_t filler;
};

struct ring {
    uint8_t *at;
    size_t size, mask;
    // The two ends on cache lines of their own.
    char pad_head[64];
    _Atomic uint64_t head;
    uint64_t reserved_at, tail_seen; // the writer's own
    char pad_tail[64];
    _Atomic uint64_t tail;
    uint64_t head_seen;              // the reader's own
    bool reader_busy;
    char pad_flags[64];
    _Atomic bool reader_asleep, writer_asleep, finished, left;
    char pad_lock[64];
    pthread_mutex_t lock;
    pthread_cond_t wake;
};

struct ring *ring_open(size_t size_bytes)
{
    size_t size = 4096;
    while (size < size_bytes)
        size *= 2;
    struct ring *r = mem_zero(1, sizeof *r);
    if (!r)
        return NULL;
    r->at = mem_alloc(size);
    if (!r->at) {
        mem_free(r);
        return NULL;
    }
    r->size = size;
    r->mask = size - 1;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, &attr);
    pthread_condattr_destroy(&attr);
    return r;
}

void ring_close(struct ring *r)
{
    if (!r)
        return;
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->wake);
    mem_free(r->at);
    mem_free(r);
}

static void wake_if(struct ring *r, _Atomic bool *asleep)
{
    if (!atomic_load(asleep))
        return;
    pthread_mutex_lock(&r->lock);
    pthread_cond_broadcast(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

static void sleep_on(struct ring *r, int wait_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&r->wake, &r->lock, &until);
}

static size_t rounded(size_t size)
{
    return (size + HEADER_BYTES + 15) & ~(size_t)15;
}

// Waits until `need` bytes are free behind head; false when the reader has left.
static bool wait_for_room(struct ring *r, uint64_t head, size_t need)
{
    while (head + need - r->tail_seen > r->size) {
        r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
        if (head + need - r->tail_seen <= r->size)
            break;
        pthread_mutex_lock(&r->lock);
        atomic_store(&r->writer_asleep, true);
        // Woken when half the ring is free: fewer switches than one per message.
        if (head + need - atomic_load(&r->tail) > r->size && !atomic_load(&r->left))
            sleep_on(r, 50);
        atomic_store(&r->writer_asleep, false);
        pthread_mutex_unlock(&r->lock);
        if (atomic_load(&r->left))
            return false;
    }
    return true;
}

void *ring_reserve(struct ring *r, size_t size)
{
    size_t need = rounded(size);
    if (need > r->size / 4 || atomic_load_explicit(&r->left, memory_order_relaxed))
        return NULL;
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    size_t to_end = r->size - (head & r->mask);
    if (to_end < need) {
        if (!wait_for_room(r, head, to_end))
            return NULL;
        *(struct ring_header *)(r->at + (head & r->mask)) = (struct ring_header){to_end - HEADER_BYTES, 1};
        head += to_end;
        atomic_store(&r->head, head);
        wake_if(r, &r->reader_asleep);
    }
    if (!wait_for_room(r, head, need))
        return NULL;
    r->reserved_at = head;
    return r->at + (head & r->mask) + HEADER_BYTES;
}

void ring_commit(struct ring *r, size_t size)
{
    *(struct ring_header *)(r->at + (r->reserved_at & r->mask)) = (struct ring_header){size, 0};
    atomic_store(&r->head, r->reserved_at + rounded(size));
    wake_if(r, &r->reader_asleep);
}

void ring_finish(struct ring *r)
{
    atomic_store(&r->finished, true);
    wake_if(r, &r->reader_asleep);
}

static void nap(void)
{
    struct timespec t = {0, NAP_NS};
    nanosleep(&t, NULL);
}

void *ring_peek(struct ring *r, size_t *size, int wait_ms, bool *ended)
{
    *ended = false;
    for (int round = 0;; round++) {
        uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
        while (tail != r->head_seen || tail != (r->head_seen = atomic_load(&r->head))) {
            struct ring_header *h = (struct ring_header *)(r->at + (tail & r->mask));
            if (!h->filler) {
                *size = h->size;
                r->reader_busy = true;
                return (uint8_t *)h + HEADER_BYTES;
            }
            tail += h->size + HEADER_BYTES;
            atomic_store(&r->tail, tail);
        }
        if (atomic_load(&r->finished) && tail == atomic_load(&r->head)) {
            *ended = true;
            return NULL;
        }
        if (round > (r->reader_busy ? 1 : 0))
            return NULL;
        if (round == 0 && r->reader_busy) {
            r->reader_busy = false;
            nap();
            round = -1;
            continue;
        }
        pthread_mutex_lock(&r->lock);
        atomic_store(&r->reader_asleep, true);
        if (tail == atomic_load(&r->head) && !atomic_load(&r->finished))
            sleep_on(r, wait_ms);
        atomic_store(&r->reader_asleep, false);
        pthread_mutex_unlock(&r->lock);
    }
}

void ring_release(struct ring *r)
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    struct ring_header *h = (struct ring_header *)(r->at + (tail & r->mask));
    tail += rounded(h->size);
    atomic_store(&r->tail, tail);
    if (atomic_load(&r->writer_asleep) && atomic_load_explicit(&r->head, memory_order_relaxed) - tail <= r->size / 2)
        wake_if(r, &r->writer_asleep);
}

void ring_leave(struct ring *r)
{
    atomic_store(&r->left, true);
    wake_if(r, &r->writer_asleep);
}

size_t ring_used_bytes(const struct ring *r)
{
    return (size_t)(atomic_load(&r->head) - atomic_load(&r->tail));
}
