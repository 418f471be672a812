// Body blocks: the directory's encoding, decoding of the data, the checksum.
//
// A directory is a run of entries: zigzag of the exchange id's distance from the entry before (from 0), then a varint
// size * 4 + part * 2 + side. Offsets follow from the sizes.
#include "block.h"

#include <xxhash.h>
#include <zstd.h>

bool block_pack_entry(struct buf *dir, uint64_t last_exchange, const struct block_entry *entry)
{
    return buf_add_zigzag(dir, (int64_t)(entry->exchange - last_exchange)) &&
           buf_add_varint(dir, entry->size << 2 | (uint64_t)entry->part << 1 | (entry->side == BODY_RESPONSE));
}

bool block_next_entry(struct block_walk *walk, struct block_entry *entry)
{
    struct bytes rest = walk->rest;
    int64_t step;
    uint64_t packed;
    if (!rest.size || !take_zigzag(&rest, &step) || !take_varint(&rest, &packed))
        return false;
    uint64_t size = packed >> 2;
    if (size > UINT64_MAX - walk->offset)
        return false;
    walk->rest = rest;
    walk->exchange += (uint64_t)step;
    *entry = (struct block_entry){walk->exchange, packed & 1 ? BODY_RESPONSE : BODY_REQUEST, (packed >> 1) & 1, walk->offset, size};
    walk->offset += size;
    return true;
}

bool block_find_entry(struct bytes dir, uint32_t ordinal, struct block_entry *entry)
{
    struct block_walk walk = {.rest = dir};
    for (uint32_t i = 0; i <= ordinal; i++)
        if (!block_next_entry(&walk, entry))
            return false;
    return true;
}

bool block_unpack(struct bytes data, uint64_t size, struct buf *out)
{
    // A size that the frame does not confirm would make us reserve what a damaged row says.
    unsigned long long told = ZSTD_getFrameContentSize(data.at, data.size);
    if (told == ZSTD_CONTENTSIZE_ERROR || told == ZSTD_CONTENTSIZE_UNKNOWN || told != size || size > (UINT64_C(1) << 30))
        return false;
    buf_clear(out);
    if (!buf_reserve(out, size))
        return false;
    size_t got = ZSTD_decompress(out->at, size, data.at, data.size);
    if (ZSTD_isError(got) || got != size)
        return false;
    out->size = size;
    return true;
}

uint64_t block_sum(struct bytes dir, struct bytes data)
{
    return XXH3_64bits_withSeed(data.at, data.size, XXH3_64bits(dir.at, dir.size));
}
