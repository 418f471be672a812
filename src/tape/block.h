// Body blocks: bodies of many exchanges in one compressed run of bytes, with a directory. Stateless, for both sides.
#pragma once
#include "../../include/record.h"
#include "../base/buf.h"

// One entry of a block's directory: a body, or one part of a long body.
struct block_entry {
    uint64_t exchange;
    enum body_side side;
    bool part;       // one of several parts: table part says which
    uint64_t offset; // in the decoded block
    uint64_t size;
};

bool block_pack_entry(struct buf *dir, uint64_t last_exchange, const struct block_entry *entry);
// The entry with this ordinal; false: no such entry or a damaged directory.
bool block_find_entry(struct bytes dir, uint32_t ordinal, struct block_entry *entry);
// Walks a directory: *state starts as {0} with rest = dir.
struct block_walk {
    struct bytes rest;
    uint64_t exchange, offset;
};
bool block_next_entry(struct block_walk *walk, struct block_entry *entry); // false: end, or damage when rest is not empty

// Decodes data (one zstd frame) of a block whose decoded size is known. *out is replaced. False: damaged or memory out.
bool block_unpack(struct bytes data, uint64_t size, struct buf *out);

// XXH3 of directory and data as stored in block.sum.
uint64_t block_sum(struct bytes dir, struct bytes data);
