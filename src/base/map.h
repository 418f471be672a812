// Hash maps: byte-string keys, and 64-bit keys, to a pointer or a number. Keyed with a random seed (hostile keys).
#pragma once
#include "../../include/bytes.h"

union map_value {
    void *ptr;
    uint64_t num;
};

struct map; // byte-string keys, copied
struct map *map_open(void);                                   // NULL: memory out
void map_close(struct map *m);                                // NULL is allowed; values are not freed
void map_close_each(struct map *m, void (*end)(void *));      // the same, with end(ptr) for every value
size_t map_count(const struct map *m);
union map_value *map_find(struct map *m, struct bytes key);   // NULL: absent. Valid until the next put or drop
union map_value *map_put(struct map *m, struct bytes key, bool *fresh); // found or made zeroed; NULL: memory out
bool map_drop(struct map *m, struct bytes key);
// Visits in unspecified order; *at starts at 0. The key is borrowed.
bool map_next(struct map *m, size_t *at, struct bytes *key, union map_value **value);

uint64_t map_hash(struct bytes key, uint64_t seed); // XXH3, for those who need a hash alone

struct nummap; // 64-bit keys
struct nummap *nummap_open(void);
void nummap_close(struct nummap *m);
void nummap_close_each(struct nummap *m, void (*end)(void *));
size_t nummap_count(const struct nummap *m);
union map_value *nummap_find(struct nummap *m, uint64_t key);
union map_value *nummap_put(struct nummap *m, uint64_t key, bool *fresh);
bool nummap_drop(struct nummap *m, uint64_t key);
bool nummap_next(struct nummap *m, size_t *at, uint64_t *key, union map_value **value);
