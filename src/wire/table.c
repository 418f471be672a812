// The connections that live: found by their two ends, kept in order of last packet, and in order of who waits longest.
//
// 1. A flow is in `closed` iff flow->retired, else in `open`; and in `waiting` iff flow->waiting.
// 2. Of flows with the same two ends only the newest is in a bucket; the other hangs on its `older`.
#include "table.h"

#include "../base/map.h"
#include "../base/mem.h"

#include <sys/random.h>

enum { ROOM_FIRST = 1024 };

bool table_init(struct table *t)
{
    *t = (struct table){.room = ROOM_FIRST};
    if (getrandom(&t->seed, sizeof t->seed, GRND_NONBLOCK) != sizeof t->seed)
        t->seed = (uintptr_t)t;
    t->buckets = mem_zero(t->room, sizeof *t->buckets);
    return t->buckets;
}

static void free_list(struct list *l)
{
    for (struct flow *f = l->first, *next; f; f = next) {
        next = f->lru_next;
        mem_free(f);
    }
    *l = (struct list){0};
}

void table_fini(struct table *t)
{
    free_list(&t->open);
    free_list(&t->closed);
    mem_free(t->buckets);
    t->buckets = NULL;
}

uint64_t table_hash(const struct table *t, const struct endpoint *a, const struct endpoint *b)
{
    // Sum and product do not depend on the order of the two ends; each end's hash is keyed.
    uint8_t key[18];
    memcpy(key, a->ip, 16);
    memcpy(key + 16, &a->port, 2);
    uint64_t x = map_hash(bytes_of(key, sizeof key), t->seed);
    memcpy(key, b->ip, 16);
    memcpy(key + 16, &b->port, 2);
    uint64_t y = map_hash(bytes_of(key, sizeof key), t->seed);
    uint64_t sum = x + y;
    return (sum ^ sum >> 29) + (x | 1) * (y | 1);
}

static bool has_ends(const struct flow *f, const struct endpoint *from, const struct endpoint *to, int *side)
{
    for (*side = 0; *side < 2; ++*side)
        if (endpoint_equal(&f->conn.end[*side], from) && endpoint_equal(&f->conn.end[!*side], to))
            return true;
    return false;
}

struct flow *table_find(const struct table *t, uint64_t hash, const struct endpoint *from, const struct endpoint *to, int *side)
{
    for (struct flow *f = t->buckets[hash & (t->room - 1)]; f; f = f->bucket_next)
        if (f->hash == hash && has_ends(f, from, to, side))
            return f;
    return NULL;
}

static void grow(struct table *t)
{
    size_t room = t->room * 2;
    struct flow **buckets = mem_zero(room, sizeof *buckets);
    if (!buckets)
        return; // longer chains until memory is back
    for (size_t i = 0; i < t->room; i++)
        for (struct flow *f = t->buckets[i], *next; f; f = next) {
            next = f->bucket_next;
            f->bucket_next = buckets[f->hash & (room - 1)];
            buckets[f->hash & (room - 1)] = f;
        }
    mem_free(t->buckets);
    t->buckets = buckets;
    t->room = room;
}

static void list_append(struct list *l, struct flow *f)
{
    f->lru_prev = l->last;
    f->lru_next = NULL;
    *(l->last ? &l->last->lru_next : &l->first) = f;
    l->last = f;
}

static void list_remove(struct list *l, struct flow *f)
{
    *(f->lru_prev ? &f->lru_prev->lru_next : &l->first) = f->lru_next;
    *(f->lru_next ? &f->lru_next->lru_prev : &l->last) = f->lru_prev;
}

static struct flow **bucket_place(struct table *t, const struct flow *f)
{
    struct flow **at = &t->buckets[f->hash & (t->room - 1)];
    while (*at && *at != f)
        at = &(*at)->bucket_next;
    return *at ? at : NULL;
}

struct flow *table_add(struct table *t, uint64_t hash, const struct endpoint *from, const struct endpoint *to)
{
    struct flow *f = mem_zero(1, sizeof *f);
    if (!f)
        return NULL;
    if (t->count >= t->room)
        grow(t);
    f->hash = hash;
    f->conn.end[0] = *from;
    f->conn.end[1] = *to;
    int side;
    struct flow *old = table_find(t, hash, from, to, &side);
    if (old) {
        struct flow **at = bucket_place(t, old);
        *at = old->bucket_next;
        old->bucket_next = NULL;
        f->older = old;
        old->superseded = true;
    }
    struct flow **bucket = &t->buckets[hash & (t->room - 1)];
    f->bucket_next = *bucket;
    *bucket = f;
    list_append(&t->open, f);
    t->count++;
    return f;
}

void table_drop(struct table *t, struct flow *f)
{
    table_wait(t, f, false, 0);
    list_remove(f->retired ? &t->closed : &t->open, f);
    t->closed_count -= f->retired;
    t->count--;
    struct flow **at = bucket_place(t, f);
    if (at) {
        if (f->older) {
            f->older->bucket_next = f->bucket_next;
            f->older->superseded = false;
            *at = f->older;
        } else {
            *at = f->bucket_next;
        }
    } else { // it hangs on a newer one
        int side;
        struct flow *newer = table_find(t, f->hash, &f->conn.end[0], &f->conn.end[1], &side);
        while (newer && newer->older != f)
            newer = newer->older;
        if (newer)
            newer->older = f->older;
    }
    mem_free(f);
}

void table_touch(struct table *t, struct flow *f)
{
    struct list *l = f->retired ? &t->closed : &t->open;
    if (l->last == f)
        return;
    list_remove(l, f);
    list_append(l, f);
}

void table_retire(struct table *t, struct flow *f)
{
    list_remove(&t->open, f);
    list_append(&t->closed, f);
    t->closed_count++;
    f->retired = true;
    table_wait(t, f, false, 0);
}

void table_wait(struct table *t, struct flow *f, bool waits, int64_t now_ns)
{
    if (waits == f->waiting)
        return;
    f->waiting = waits;
    if (!waits) {
        *(f->wait_prev ? &f->wait_prev->wait_next : &t->waiting.first) = f->wait_next;
        *(f->wait_next ? &f->wait_next->wait_prev : &t->waiting.last) = f->wait_prev;
        return;
    }
    f->wait_ns = now_ns;
    f->wait_prev = t->waiting.last;
    f->wait_next = NULL;
    *(f->wait_prev ? &f->wait_prev->wait_next : &t->waiting.first) = f;
    t->waiting.last = f;
}

void table_wait_again(struct table *t, struct flow *f, int64_t now_ns)
{
    table_wait(t, f, false, now_ns);
    table_wait(t, f, true, now_ns);
}
