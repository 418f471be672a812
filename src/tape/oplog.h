// Blocks of ops: a batch of document writes packed by column, compressed, with a filter that tells which documents it holds.
//
// Stateless: the writer packs, every reader unpacks. Byte layout in oplog.c and docs/tape-format.md.
#pragma once
#include "../../include/op.h"
#include "../base/buf.h"
#include "../base/mem.h"

// What the filter is asked for: one document of one index (`op.index`, concrete or as asked).
uint64_t oplog_hash(struct bytes index, struct bytes id);

// Packs ops (in order of exchange, item) into *block, and the hashes of their documents into *filter. Both are appended
// to cleared buffers. `zstd` is a ZSTD_CCtx kept by the caller, or NULL. False: memory out.
bool oplog_pack(const struct op *ops, size_t count, int level, void *zstd, struct buf *block, struct buf *filter);

// Unpacks a block. *ops and all strings live in the arena. False: damaged, or memory out (arena ceiling included).
bool oplog_unpack(struct arena *a, struct bytes block, struct op **ops, size_t *count);

// May the block hold the document? false is certain; true is wrong for one block in 256.
bool oplog_filter_has(struct bytes filter, uint64_t hash);
bool oplog_filter_valid(struct bytes filter); // well-formed to its end

// XXH3 of a block as stored in op_block.sum.
uint64_t oplog_sum(struct bytes block, struct bytes filter);
