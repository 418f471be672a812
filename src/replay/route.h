// Which shard a document lives on: the cluster's own formula.
#pragma once
#include "../../include/bytes.h"
#include <stdbool.h>

// murmur3_x86_32, seed 0, over the UTF-16LE form of UTF-8 text (Elasticsearch: Murmur3HashFunction). Characters beyond
// the basic plane are two units; bytes that are no UTF-8 count as U+FFFD, as the cluster's decoder reads them.
uint32_t route_hash(struct bytes text);

struct route_index {
    uint32_t shards;         // number_of_shards; 0: not known
    uint32_t routing_shards; // routing_num_shards; 0: derived from `modern`
    uint32_t partition;      // routing_partition_size; 0 or 1: none
    bool old_default;        // created before 7.0: routing_num_shards defaults to the number of shards
    bool modulo;             // created on Elasticsearch 9.4 or later
};

// Default routing_num_shards of an index created on 7.0 or later, or on OpenSearch: n << max(1, 10 - ceil(log2 n)).
uint32_t route_default_routing_shards(uint32_t shards);
// Shard of a document, or -1 when the number of shards is not known. `routing` is empty where none was given.
int route_shard(const struct route_index *index, struct bytes id, struct bytes routing);
