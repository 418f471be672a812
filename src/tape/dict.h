// A dictionary of a segment: texts and combinations that repeat become small numbers, in bounded memory.
#pragma once
#include "../base/buf.h"
#include "../base/map.h"

// Forgets everything when it has grown too large: what comes again gets a second number, which readers expect.
struct dict {
    struct map *map;
    size_t key_bytes;
    int64_t last; // number given out last
};

bool dict_init(struct dict *d);
void dict_fini(struct dict *d);
void dict_clear(struct dict *d);  // a new segment: numbers begin again
// The key's number; *fresh when it is new and its row has to be written. 0: memory out.
int64_t dict_number(struct dict *d, struct bytes key, bool *fresh);
// First sight: 0. From the second sight on its number (*fresh the first time it has one). -1: memory out.
int64_t dict_number_if_repeated(struct dict *d, struct bytes key, bool *fresh);
