// Hash maps: byte-string keys, and 64-bit keys, to a pointer or a number. Open addressing, linear probing, load under 3/4.
//
// A slot's hash is never 0 while it is taken. Dropping shifts the run behind it back, so there are no tombstones.
#include "map.h"
#include "mem.h"

#include <sys/random.h>
#include <time.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t map_hash(struct bytes key, uint64_t seed)
{
    return XXH3_64bits_withSeed(key.size ? (const void *)key.at : "", key.size, seed);
}

static uint64_t fresh_seed(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == sizeof seed)
        return seed;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_nsec * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)t.tv_sec;
}

struct slot {
    uint64_t hash; // 0: free
    union {
        uint8_t *at; // byte-string maps: a copy of the key
        uint64_t num;
    } key;
    size_t key_size;
    union map_value value;
};

struct table {
    struct slot *slots;
    size_t room, count; // room: a power of two, or 0
    uint64_t seed;
};

static size_t probe(const struct table *t, uint64_t hash, bool (*same)(const struct slot *, const void *), const void *key)
{
    size_t i = hash & (t->room - 1);
    while (t->slots[i].hash && !(t->slots[i].hash == hash && same(&t->slots[i], key)))
        i = (i + 1) & (t->room - 1);
    return i;
}

static bool grow(struct table *t)
{
    if (t->room && t->count < t->room - t->room / 4)
        return true;
    size_t room = t->room ? t->room * 2 : 16;
    struct slot *slots = mem_zero(room, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < t->room; i++) {
        if (!t->slots[i].hash)
            continue;
        size_t at = t->slots[i].hash & (room - 1);
        while (slots[at].hash)
            at = (at + 1) & (room - 1);
        slots[at] = t->slots[i];
    }
    mem_free(t->slots);
    t->slots = slots;
    t->room = room;
    return true;
}

static void shift_back(struct table *t, size_t hole)
{
    size_t mask = t->room - 1;
    for (size_t i = (hole + 1) & mask; t->slots[i].hash; i = (i + 1) & mask) {
        size_t home = t->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            t->slots[hole] = t->slots[i];
            hole = i;
        }
    }
    t->slots[hole] = (struct slot){0};
    t->count--;
}

// ---- byte-string keys -----------------------------------------------------------------------------------------------

struct map {
    struct table table;
};

static bool same_text(const struct slot *s, const void *key)
{
    const struct bytes *k = key;
    return bytes_equal((struct bytes){s->key.at, s->key_size}, *k);
}

static uint64_t text_hash(const struct map *m, struct bytes key)
{
    uint64_t h = map_hash(key, m->table.seed);
    return h ? h : 1;
}

struct map *map_open(void)
{
    struct map *m = mem_zero(1, sizeof *m);
    if (m)
        m->table.seed = fresh_seed();
    return m;
}

void map_close(struct map *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->table.room; i++)
        if (m->table.slots[i].hash)
            mem_free(m->table.slots[i].key.at);
    mem_free(m->table.slots);
    mem_free(m);
}

void map_close_each(struct map *m, void (*end)(void *))
{
    size_t at = 0;
    struct bytes key;
    union map_value *v;
    while (m && map_next(m, &at, &key, &v))
        end(v->ptr);
    map_close(m);
}

size_t map_count(const struct map *m)
{
    return m->table.count;
}

union map_value *map_find(struct map *m, struct bytes key)
{
    if (!m->table.count)
        return NULL;
    size_t i = probe(&m->table, text_hash(m, key), same_text, &key);
    return m->table.slots[i].hash ? &m->table.slots[i].value : NULL;
}

union map_value *map_put(struct map *m, struct bytes key, bool *fresh)
{
    if (fresh)
        *fresh = false;
    if (!grow(&m->table)) {
        // A full table can still answer for a key it holds.
        return m->table.room && m->table.count < m->table.room ? map_find(m, key) : NULL;
    }
    uint64_t hash = text_hash(m, key);
    size_t i = probe(&m->table, hash, same_text, &key);
    struct slot *s = &m->table.slots[i];
    if (s->hash)
        return &s->value;
    uint8_t *copy = (uint8_t *)mem_text_copy(key.at, key.size);
    if (!copy)
        return NULL;
    *s = (struct slot){.hash = hash, .key = {.at = copy}, .key_size = key.size};
    m->table.count++;
    if (fresh)
        *fresh = true;
    return &s->value;
}

bool map_drop(struct map *m, struct bytes key)
{
    if (!m->table.count)
        return false;
    size_t i = probe(&m->table, text_hash(m, key), same_text, &key);
    if (!m->table.slots[i].hash)
        return false;
    mem_free(m->table.slots[i].key.at);
    shift_back(&m->table, i);
    return true;
}

bool map_next(struct map *m, size_t *at, struct bytes *key, union map_value **value)
{
    for (; *at < m->table.room; ++*at) {
        struct slot *s = &m->table.slots[*at];
        if (!s->hash)
            continue;
        *key = (struct bytes){s->key.at, s->key_size};
        *value = &s->value;
        ++*at;
        return true;
    }
    return false;
}

// ---- 64-bit keys ----------------------------------------------------------------------------------------------------

struct nummap {
    struct table table;
};

static bool same_num(const struct slot *s, const void *key)
{
    return s->key.num == *(const uint64_t *)key;
}

static uint64_t num_hash(const struct nummap *m, uint64_t key)
{
    uint64_t h = (key ^ m->table.seed) * UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    h ^= h >> 32;
    return h ? h : 1;
}

struct nummap *nummap_open(void)
{
    struct nummap *m = mem_zero(1, sizeof *m);
    if (m)
        m->table.seed = fresh_seed();
    return m;
}

void nummap_close(struct nummap *m)
{
    if (!m)
        return;
    mem_free(m->table.slots);
    mem_free(m);
}

void nummap_close_each(struct nummap *m, void (*end)(void *))
{
    size_t at = 0;
    uint64_t key;
    union map_value *v;
    while (m && nummap_next(m, &at, &key, &v))
        end(v->ptr);
    nummap_close(m);
}

size_t nummap_count(const struct nummap *m)
{
    return m->table.count;
}

union map_value *nummap_find(struct nummap *m, uint64_t key)
{
    if (!m->table.count)
        return NULL;
    size_t i = probe(&m->table, num_hash(m, key), same_num, &key);
    return m->table.slots[i].hash ? &m->table.slots[i].value : NULL;
}

union map_value *nummap_put(struct nummap *m, uint64_t key, bool *fresh)
{
    if (fresh)
        *fresh = false;
    if (!grow(&m->table))
        return m->table.room && m->table.count < m->table.room ? nummap_find(m, key) : NULL;
    uint64_t hash = num_hash(m, key);
    size_t i = probe(&m->table, hash, same_num, &key);
    struct slot *s = &m->table.slots[i];
    if (s->hash)
        return &s->value;
    *s = (struct slot){.hash = hash, .key = {.num = key}};
    m->table.count++;
    if (fresh)
        *fresh = true;
    return &s->value;
}

bool nummap_drop(struct nummap *m, uint64_t key)
{
    if (!m->table.count)
        return false;
    size_t i = probe(&m->table, num_hash(m, key), same_num, &key);
    if (!m->table.slots[i].hash)
        return false;
    shift_back(&m->table, i);
    return true;
}

bool nummap_next(struct nummap *m, size_t *at, uint64_t *key, union map_value **value)
{
    for (; *at < m->table.room; ++*at) {
        struct slot *s = &m->table.slots[*at];
        if (!s->hash)
            continue;
        *key = s->key.num;
        *value = &s->value;
        ++*at;
        return true;
    }
    return false;
}
