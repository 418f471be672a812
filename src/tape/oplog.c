// Blocks of ops: packing by column, unpacking, and the filter over the hashes of the documents in a block.
//
// Block: byte 1 (layout), varint op count, one zstd frame. Inside the frame, for each column of `enum column` in that
// order: varint size, bytes. A value is relative to what stands before it, so that the usual case is a small number:
//   STRINGS   the texts that other columns name by number (from 1; 0: empty): varint size, bytes
//   EXCHANGE  zigzag distance to the op before (from 0)
//   ITEM      zigzag distance to the item before + 1 in the same exchange, to 0 in a new one
//   KIND      one byte: kind | result << 2 | has seq_no << 6 | has primary term << 7
//   FLAGS     varint;   STATUS  varint;   INDEX  string number
//   RARE      varint, bits of `enum rare`;   RARE_VALUES  those values in the order of the bits
//   ID_PREFIX varint, bytes shared with the id before;   ID_SIZE  varint, further bytes;   ID_BYTES  these
//   VERSION   zigzag;   SEQ  zigzag distance to the index's last + 1;   TERM  zigzag distance to the index's last
//   ACTION_AT zigzag distance to the end of the op before in the same exchange, to 0 in a new one;   ACTION_BYTES  varint
//   SOURCE_AT zigzag distance to the end of the action line;   SOURCE_BYTES  varint
//
// Filter: varint n (hashes, before equal ones fell together), varint m (values stored), then m Golomb-Rice codes of the
// distances between the sorted values hash * (n * 256) / 2^64: quotient by 256 in unary (ones, then a zero), 8 bits of
// remainder, least significant bit first.
#include "oplog.h"

#include "../base/map.h"

#include <xxhash.h>
#include <zstd.h>

enum column {
    STRINGS, EXCHANGE, ITEM, KIND, FLAGS, STATUS, INDEX, RARE, RARE_VALUES, ID_PREFIX, ID_SIZE, ID_BYTES, VERSION, SEQ, TERM,
    ACTION_AT, ACTION_BYTES, SOURCE_AT, SOURCE_BYTES, COLUMNS
};

enum rare {
    RARE_ASKED = 1, RARE_TYPE = 2, RARE_ROUTING = 4, RARE_PIPELINE = 8, RARE_ERROR = 16, RARE_UUID = 32, RARE_SHARD = 64,
    RARE_ASKED_VERSION = 128
};

enum { LAYOUT = 1, FILTER_BITS = 8, OPS_MAX = 1 << 20, HAS_SEQ = 64, HAS_TERM = 128 };
#define RAW_BYTES_MAX (UINT64_C(1) << 28)

// What later values of an index are relative to.
struct last {
    int64_t seq_no, primary_term;
};

// The place from which the next op's values are told.
struct cursor {
    uint64_t exchange, item_next, end;
};

uint64_t oplog_hash(struct bytes index, struct bytes id)
{
    return XXH3_64bits_withSeed(id.at, id.size, XXH3_64bits(index.at, index.size));
}

uint64_t oplog_sum(struct bytes block, struct bytes filter)
{
    return XXH3_64bits_withSeed(block.at, block.size, XXH3_64bits(filter.at, filter.size));
}

// The difference of two numbers as the signed step that leads from `from` to `to`, wrapping.
static int64_t step(uint64_t to, uint64_t from)
{
    return (int64_t)(to - from);
}

static void cursor_enter(struct cursor *at, uint64_t exchange)
{
    if (at->exchange != exchange)
        *at = (struct cursor){.exchange = exchange};
}

static void cursor_leave(struct cursor *at, const struct op *op)
{
    at->item_next = (uint64_t)op->item + 1;
    at->end = op->source_at + op->source_bytes;
}

// ---- packing --------------------------------------------------------------------------------------------------------

struct packer {
    struct buf column[COLUMNS];
    struct map *strings;      // text -> number
    struct buf lasts;         // struct last, by string number
    struct bytes index_seen;  // the index before, and its number: runs are the rule
    uint64_t index_number;
    struct cursor at;
    struct bytes id;          // the id before
};

static uint64_t string_number(struct packer *p, struct bytes text)
{
    if (!text.size)
        return 0;
    bool fresh = false;
    union map_value *value = map_put(p->strings, text, &fresh);
    if (!value) {
        p->column[STRINGS].failed = true;
        return 0;
    }
    if (fresh) {
        value->num = map_count(p->strings);
        buf_add_varint(&p->column[STRINGS], text.size);
        buf_add_bytes(&p->column[STRINGS], text);
        buf_add(&p->lasts, &(struct last){0, 0}, sizeof(struct last));
    }
    return value->num;
}

static void pack_string(struct packer *p, struct bytes text, unsigned bit, unsigned *mask)
{
    if (!text.size)
        return;
    *mask |= bit;
    buf_add_varint(&p->column[RARE_VALUES], string_number(p, text));
}

static void pack_rare(struct packer *p, const struct op *op)
{
    unsigned mask = 0;
    struct buf *values = &p->column[RARE_VALUES];
    pack_string(p, op->asked, RARE_ASKED, &mask);
    pack_string(p, op->type, RARE_TYPE, &mask);
    if (op->routing.size) {
        mask |= RARE_ROUTING;
        buf_add_varint(values, op->routing.size);
        buf_add_bytes(values, op->routing);
    }
    pack_string(p, op->pipeline, RARE_PIPELINE, &mask);
    pack_string(p, op->error_type, RARE_ERROR, &mask);
    pack_string(p, op->index_uuid, RARE_UUID, &mask);
    if (op->shard >= 0) {
        mask |= RARE_SHARD;
        buf_add_varint(values, (uint64_t)op->shard);
    }
    if (op->asked_version != OP_NONE) {
        mask |= RARE_ASKED_VERSION;
        buf_add_zigzag(values, op->asked_version);
    }
    buf_add_varint(&p->column[RARE], mask);
}

static void pack_id(struct packer *p, struct bytes id)
{
    size_t same = 0, most = id.size < p->id.size ? id.size : p->id.size;
    while (same < most && id.at[same] == p->id.at[same])
        same++;
    buf_add_varint(&p->column[ID_PREFIX], same);
    buf_add_varint(&p->column[ID_SIZE], id.size - same);
    if (id.size > same)
        buf_add(&p->column[ID_BYTES], id.at + same, id.size - same);
    p->id = id;
}

static void pack_numbers(struct packer *p, const struct op *op, uint64_t index)
{
    static const struct last nothing; // of the empty name
    struct last *last = index && p->lasts.size >= index * sizeof *last ? (struct last *)(void *)p->lasts.at + index - 1 : NULL;
    const struct last *from = last ? last : &nothing;
    unsigned kind = (unsigned)op->kind | (unsigned)op->result << 2;
    if (op->seq_no != OP_NONE) {
        kind |= HAS_SEQ;
        buf_add_zigzag(&p->column[SEQ], step((uint64_t)op->seq_no, (uint64_t)from->seq_no + 1));
    }
    if (op->primary_term != OP_NONE) {
        kind |= HAS_TERM;
        buf_add_zigzag(&p->column[TERM], step((uint64_t)op->primary_term, (uint64_t)from->primary_term));
    }
    if (last && op->seq_no != OP_NONE)
        last->seq_no = op->seq_no;
    if (last && op->primary_term != OP_NONE)
        last->primary_term = op->primary_term;
    buf_add_byte(&p->column[KIND], (uint8_t)kind);
    buf_add_zigzag(&p->column[VERSION], op->version);
}

static void pack_op(struct packer *p, const struct op *op)
{
    buf_add_zigzag(&p->column[EXCHANGE], step(op->exchange, p->at.exchange));
    cursor_enter(&p->at, op->exchange);
    buf_add_zigzag(&p->column[ITEM], step(op->item, p->at.item_next));
    buf_add_varint(&p->column[FLAGS], op->flags);
    buf_add_varint(&p->column[STATUS], (uint64_t)(op->status > 0 ? op->status : 0));
    if (!p->index_number || !bytes_equal(op->index, p->index_seen)) {
        p->index_number = string_number(p, op->index);
        p->index_seen = op->index;
    }
    buf_add_varint(&p->column[INDEX], p->index_number);
    pack_rare(p, op);
    pack_id(p, op->id);
    pack_numbers(p, op, p->index_number);
    buf_add_zigzag(&p->column[ACTION_AT], step(op->action_at, p->at.end));
    buf_add_varint(&p->column[ACTION_BYTES], op->action_bytes);
    buf_add_zigzag(&p->column[SOURCE_AT], step(op->source_at, op->action_at + op->action_bytes));
    buf_add_varint(&p->column[SOURCE_BYTES], op->source_bytes);
    cursor_leave(&p->at, op);
}

// Sorts values below 2^32 by their 16-bit halves.
static bool sort_values(uint32_t *values, size_t count)
{
    uint32_t *other = mem_alloc(count * sizeof *other + (65536 + 1) * sizeof(uint32_t));
    if (!other)
        return false;
    uint32_t *starts = other + count;
    for (int pass = 0; pass < 2; pass++) {
        memset(starts, 0, (65536 + 1) * sizeof *starts);
        for (size_t i = 0; i < count; i++)
            starts[(values[i] >> 16 * pass & 0xffff) + 1]++;
        for (size_t i = 1; i <= 65535; i++)
            starts[i] += starts[i - 1];
        for (size_t i = 0; i < count; i++)
            other[starts[values[i] >> 16 * pass & 0xffff]++] = values[i];
        memcpy(values, other, count * sizeof *values);
    }
    mem_free(other);
    return true;
}

static uint32_t filter_value(uint64_t hash, uint64_t n)
{
    return (uint32_t)((unsigned __int128)hash * (n << FILTER_BITS) >> 64);
}

struct bit_writer {
    struct buf *to;
    uint64_t bits;
    unsigned count;
};

static void put_bits(struct bit_writer *w, uint32_t value, unsigned count)
{
    w->bits |= (uint64_t)value << w->count;
    for (w->count += count; w->count >= 8; w->count -= 8, w->bits >>= 8)
        buf_add_byte(w->to, (uint8_t)w->bits);
}

static bool pack_filter(const struct op *ops, size_t count, struct buf *filter)
{
    uint32_t *values = mem_alloc(count * sizeof *values + 1);
    if (!values)
        return false;
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += ops[i].id.size > 0;
    for (size_t i = 0, to = 0; i < count; i++)
        if (ops[i].id.size)
            values[to++] = filter_value(oplog_hash(ops[i].index, ops[i].id), n);
    bool sorted = sort_values(values, n);
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (!m || values[i] != values[m - 1])
            values[m++] = values[i];
    buf_add_varint(filter, n);
    buf_add_varint(filter, m);
    struct bit_writer bits = {.to = filter};
    for (size_t i = 0; i < m; i++) {
        uint32_t distance = values[i] - (i ? values[i - 1] : 0);
        for (uint32_t q = distance >> FILTER_BITS; q; q--)
            put_bits(&bits, 1, 1);
        put_bits(&bits, 0, 1);
        put_bits(&bits, distance & ((1u << FILTER_BITS) - 1), FILTER_BITS);
    }
    put_bits(&bits, 0, 7);
    mem_free(values);
    return sorted && !filter->failed;
}

static bool compress_columns(struct packer *p, int level, void *zstd, struct buf *block)
{
    struct buf raw = {0};
    for (int i = 0; i < COLUMNS; i++) {
        raw.failed |= p->column[i].failed;
        buf_add_varint(&raw, p->column[i].size);
        buf_add_bytes(&raw, buf_view(&p->column[i]));
    }
    size_t bound = ZSTD_compressBound(raw.size);
    bool ok = !raw.failed && !p->lasts.failed && raw.size <= RAW_BYTES_MAX && buf_reserve(block, bound);
    if (ok) {
        size_t size = zstd ? ZSTD_compressCCtx(zstd, block->at + block->size, bound, raw.at, raw.size, level)
                           : ZSTD_compress(block->at + block->size, bound, raw.at, raw.size, level);
        ok = !ZSTD_isError(size);
        block->size += ok ? size : 0;
    }
    buf_fini(&raw);
    return ok;
}

bool oplog_pack(const struct op *ops, size_t count, int level, void *zstd, struct buf *block, struct buf *filter)
{
    struct packer p = {.strings = map_open()};
    buf_clear(block);
    buf_clear(filter);
    bool ok = p.strings && count <= OPS_MAX;
    for (size_t i = 0; ok && i < count; i++)
        pack_op(&p, &ops[i]);
    buf_add_byte(block, LAYOUT);
    buf_add_varint(block, count);
    ok = ok && compress_columns(&p, level, zstd, block) && !block->failed && pack_filter(ops, count, filter);
    for (int i = 0; i < COLUMNS; i++)
        buf_fini(&p.column[i]);
    buf_fini(&p.lasts);
    if (p.strings)
        map_close(p.strings);
    return ok;
}

// ---- unpacking ------------------------------------------------------------------------------------------------------

struct unpacker {
    struct bytes column[COLUMNS];
    struct bytes *strings; // [0] is the empty one
    struct last *lasts;
    size_t string_count;
    struct cursor at;
    struct bytes id;
    struct arena *arena;
    bool ok;
};

static uint64_t next_varint(struct unpacker *u, enum column column)
{
    uint64_t v;
    u->ok &= take_varint(&u->column[column], &v);
    return v;
}

static int64_t next_zigzag(struct unpacker *u, enum column column)
{
    int64_t v;
    u->ok &= take_zigzag(&u->column[column], &v);
    return v;
}

static size_t next_string(struct unpacker *u, enum column column)
{
    uint64_t number = next_varint(u, column);
    if (number <= u->string_count)
        return (size_t)number;
    u->ok = false;
    return 0;
}

static void unpack_rare(struct unpacker *u, struct op *op)
{
    uint64_t mask = next_varint(u, RARE), size;
    if (mask & RARE_ASKED)
        op->asked = u->strings[next_string(u, RARE_VALUES)];
    if (mask & RARE_TYPE)
        op->type = u->strings[next_string(u, RARE_VALUES)];
    if (mask & RARE_ROUTING) {
        size = next_varint(u, RARE_VALUES);
        u->ok &= take_bytes(&u->column[RARE_VALUES], size, &op->routing);
    }
    if (mask & RARE_PIPELINE)
        op->pipeline = u->strings[next_string(u, RARE_VALUES)];
    if (mask & RARE_ERROR)
        op->error_type = u->strings[next_string(u, RARE_VALUES)];
    if (mask & RARE_UUID)
        op->index_uuid = u->strings[next_string(u, RARE_VALUES)];
    op->shard = mask & RARE_SHARD ? (int)(next_varint(u, RARE_VALUES) & INT32_MAX) : -1;
    op->asked_version = mask & RARE_ASKED_VERSION ? next_zigzag(u, RARE_VALUES) : OP_NONE;
}

static void unpack_id(struct unpacker *u, struct op *op)
{
    uint64_t same = next_varint(u, ID_PREFIX), more = next_varint(u, ID_SIZE);
    struct bytes rest;
    if (!take_bytes(&u->column[ID_BYTES], more, &rest) || same > u->id.size) {
        u->ok = false;
        return;
    }
    if (same) {
        uint8_t *id = arena_alloc(u->arena, same + more);
        if (!id) {
            u->ok = false;
            return;
        }
        memcpy(id, u->id.at, same);
        if (more)
            memcpy(id + same, rest.at, more);
        rest = bytes_of(id, same + more);
    }
    u->id = op->id = rest;
}

static void unpack_numbers(struct unpacker *u, struct op *op, size_t index)
{
    struct bytes byte;
    if (!take_bytes(&u->column[KIND], 1, &byte)) {
        u->ok = false;
        return;
    }
    unsigned kind = byte.at[0];
    struct last *last = &u->lasts[index];
    op->kind = (enum op_kind)(kind & 3);
    op->result = (enum op_result)(kind >> 2 & 15);
    u->ok &= op->result < OP_RESULTS;
    op->version = next_zigzag(u, VERSION);
    op->seq_no = op->primary_term = OP_NONE;
    if (kind & HAS_SEQ)
        op->seq_no = (int64_t)((uint64_t)last->seq_no + 1 + (uint64_t)next_zigzag(u, SEQ));
    if (kind & HAS_TERM)
        op->primary_term = (int64_t)((uint64_t)last->primary_term + (uint64_t)next_zigzag(u, TERM));
    if (index && kind & HAS_SEQ)
        last->seq_no = op->seq_no;
    if (index && kind & HAS_TERM)
        last->primary_term = op->primary_term;
}

static void unpack_op(struct unpacker *u, struct op *op)
{
    op->exchange = u->at.exchange + (uint64_t)next_zigzag(u, EXCHANGE);
    cursor_enter(&u->at, op->exchange);
    op->item = (uint32_t)(u->at.item_next + (uint64_t)next_zigzag(u, ITEM));
    op->flags = (uint32_t)next_varint(u, FLAGS);
    op->status = (int)(next_varint(u, STATUS) & INT32_MAX);
    size_t index = next_string(u, INDEX);
    op->index = u->strings[index];
    unpack_rare(u, op);
    unpack_id(u, op);
    unpack_numbers(u, op, index);
    op->action_at = u->at.end + (uint64_t)next_zigzag(u, ACTION_AT);
    op->action_bytes = next_varint(u, ACTION_BYTES);
    op->source_at = op->action_at + op->action_bytes + (uint64_t)next_zigzag(u, SOURCE_AT);
    op->source_bytes = next_varint(u, SOURCE_BYTES);
    cursor_leave(&u->at, op);
}

static bool read_columns(struct unpacker *u, struct bytes frame)
{
    unsigned long long size = ZSTD_getFrameContentSize(frame.at, frame.size);
    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN || size > RAW_BYTES_MAX)
        return false;
    uint8_t *raw = arena_alloc(u->arena, (size_t)size + 1);
    size_t got = raw ? ZSTD_decompress(raw, (size_t)size, frame.at, frame.size) : 0;
    if (!raw || ZSTD_isError(got) || got != size)
        return false;
    struct bytes rest = bytes_of(raw, (size_t)size);
    for (int i = 0; i < COLUMNS; i++) {
        uint64_t column_size;
        if (!take_varint(&rest, &column_size) || !take_bytes(&rest, column_size, &u->column[i]))
            return false;
    }
    return rest.size == 0;
}

static bool read_strings(struct unpacker *u)
{
    struct bytes rest = u->column[STRINGS], text;
    uint64_t size;
    for (; rest.size; u->string_count++)
        if (!take_varint(&rest, &size) || !take_bytes(&rest, size, &text))
            return false;
    u->strings = arena_alloc(u->arena, (u->string_count + 1) * sizeof *u->strings);
    u->lasts = arena_alloc(u->arena, (u->string_count + 1) * sizeof *u->lasts);
    if (!u->strings || !u->lasts)
        return false;
    memset(u->lasts, 0, (u->string_count + 1) * sizeof *u->lasts);
    u->strings[0] = bytes_of("", 0);
    rest = u->column[STRINGS];
    for (size_t i = 1; i <= u->string_count; i++)
        if (!take_varint(&rest, &size) || !take_bytes(&rest, size, &u->strings[i]))
            return false;
    return true;
}

bool oplog_unpack(struct arena *a, struct bytes block, struct op **ops, size_t *count)
{
    struct bytes layout;
    uint64_t told;
    struct unpacker u = {.arena = a, .ok = true};
    *ops = NULL;
    *count = 0;
    if (!take_bytes(&block, 1, &layout) || layout.at[0] != LAYOUT || !take_varint(&block, &told) || told > OPS_MAX ||
        !read_columns(&u, block) || u.column[KIND].size != told || !read_strings(&u))
        return false;
    *ops = arena_alloc(a, (size_t)told * sizeof **ops + 1);
    if (!*ops)
        return false;
    memset(*ops, 0, (size_t)told * sizeof **ops);
    for (size_t i = 0; i < told && u.ok; i++)
        unpack_op(&u, &(*ops)[i]);
    if (u.ok)
        *count = (size_t)told;
    return u.ok;
}

// ---- the filter's reading side --------------------------------------------------------------------------------------

struct bit_reader {
    struct bytes from;
    size_t bit;
    bool ok;
};

static uint32_t get_bit(struct bit_reader *r)
{
    if (r->bit >> 3 >= r->from.size) {
        r->ok = false;
        return 0;
    }
    uint32_t bit = r->from.at[r->bit >> 3] >> (r->bit & 7) & 1;
    r->bit++;
    return bit;
}

static uint64_t get_distance(struct bit_reader *r)
{
    uint64_t quotient = 0;
    while (get_bit(r))
        quotient++;
    uint32_t rest = 0;
    size_t at = r->bit >> 3;
    if (at + 1 < r->from.size) {
        rest = (uint32_t)(r->from.at[at] | r->from.at[at + 1] << 8) >> (r->bit & 7) & 255;
        r->bit += FILTER_BITS;
    } else {
        for (unsigned i = 0; i < FILTER_BITS; i++)
            rest |= get_bit(r) << i;
    }
    return quotient << FILTER_BITS | rest;
}

// Walks the filter; stops at `wanted` or past it when `seek` is set. True: well-formed as far as it was read.
static bool walk_filter(struct bytes filter, bool seek, uint64_t hash, bool *found)
{
    uint64_t n, m, at = 0;
    *found = false;
    if (!take_varint(&filter, &n) || !take_varint(&filter, &m) || m > n || n > OPS_MAX)
        return false;
    uint64_t wanted = seek ? filter_value(hash, n) : UINT64_MAX;
    struct bit_reader bits = {.from = filter, .ok = true};
    for (uint64_t i = 0; i < m && at < wanted; i++) {
        at += get_distance(&bits);
        if (!bits.ok)
            return false;
        *found |= at == wanted;
    }
    // The first value can be 0, before which the loop does not look.
    if (seek && wanted == 0 && m)
        *found = get_distance(&bits) == 0 && bits.ok;
    return at < n << FILTER_BITS || m == 0;
}

bool oplog_filter_has(struct bytes filter, uint64_t hash)
{
    bool found;
    return !walk_filter(filter, true, hash, &found) || found; // damaged: look into the block
}

bool oplog_filter_valid(struct bytes filter)
{
    bool found;
    return walk_filter(filter, false, 0, &found);
}
