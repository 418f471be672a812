// Compact records in a chain of blocks: varints, and names only where they differ from the record before.
//
// 1. A record lies in one block, contiguous.
// 2. pushed_names and popped_names hold the same names after the same record: the reader repeats the writer's state.
// 3. Every block's bytes are counted in the budget, and given back when the block goes.
#include "opqueue.h"

#include "../base/mem.h"

enum { BLOCK_BYTES = 16 * 1024, NAMES = 5, NUMBERS = 6, RECORD_OVERHEAD = 160 };

struct opqueue_block {
    struct opqueue_block *next;
    size_t size, room;
    uint8_t at[];
};

void opqueue_init(struct opqueue *q, struct op_budget *budget)
{
    *q = (struct opqueue){.budget = budget};
}

static void drop_first(struct opqueue *q)
{
    struct opqueue_block *block = q->first;
    q->first = block->next;
    if (!q->first)
        q->last = NULL;
    q->read_at = 0;
    q->budget->used_bytes -= sizeof *block + block->room;
    mem_free(block);
}

void opqueue_fini(struct opqueue *q)
{
    while (q->first)
        drop_first(q);
    buf_fini(&q->pushed);
    buf_fini(&q->popped);
    q->count = 0;
}

// Room for a record of at most `size` bytes in the last block.
static uint8_t *reserve(struct opqueue *q, size_t size)
{
    if (q->last && q->last->room - q->last->size >= size)
        return q->last->at + q->last->size;
    size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
    // The first block of a small bulk is small.
    if (!q->first && room == BLOCK_BYTES)
        room = size > BLOCK_BYTES / 16 ? size : BLOCK_BYTES / 16;
    if (q->budget->used_bytes + sizeof *q->last + room > q->budget->max_bytes)
        return NULL;
    struct opqueue_block *block = mem_alloc(sizeof *block + room);
    if (!block)
        return NULL;
    *block = (struct opqueue_block){.room = room};
    if (q->last)
        q->last->next = block;
    else
        q->first = block;
    q->last = block;
    q->budget->used_bytes += sizeof *block + room;
    return block->at;
}

static uint8_t *put_varint(uint8_t *to, uint64_t v)
{
    while (v >= 0x80) {
        *to++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *to++ = (uint8_t)v;
    return to;
}

static uint64_t fold_sign(int64_t v)
{
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

static int64_t unfold_sign(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static uint8_t *put_text(uint8_t *to, struct bytes text)
{
    to = put_varint(to, text.size);
    if (text.size)
        memcpy(to, text.at, text.size);
    return to + text.size;
}

// Remembers the record's names, so that the next one can leave them out.
static bool remember(struct buf *keep, struct bytes known[NAMES], const struct bytes names[NAMES], unsigned same)
{
    if (same == (1u << NAMES) - 1)
        return true;
    size_t size = 0;
    for (int i = 0; i < NAMES; i++)
        size += names[i].size;
    // Names may be borrowed from `keep` itself: build beside it, then swap.
    struct buf fresh = {0};
    if (!buf_reserve(&fresh, size + 1)) {
        buf_fini(&fresh);
        return false;
    }
    for (int i = 0; i < NAMES; i++) {
        known[i] = bytes_of(fresh.at + fresh.size, names[i].size);
        buf_add_bytes(&fresh, names[i]);
    }
    buf_fini(keep);
    *keep = fresh;
    return true;
}

static unsigned names_same(const struct bytes known[NAMES], const struct bytes names[NAMES])
{
    unsigned same = 0;
    for (int i = 0; i < NAMES; i++)
        same |= (unsigned)bytes_equal(known[i], names[i]) << i;
    return same;
}

// One record: which names are the same, the head, the id, the other names, the numbers.
static bool push(struct opqueue *q, uint64_t head, struct bytes id, const struct bytes names[NAMES], const uint64_t numbers[NUMBERS])
{
    unsigned same = names_same(q->pushed_names, names);
    size_t most = RECORD_OVERHEAD + id.size;
    for (int i = 0; i < NAMES; i++)
        most += same >> i & 1 ? 0 : names[i].size;
    uint8_t *from = reserve(q, most), *to = from;
    if (!from || !remember(&q->pushed, q->pushed_names, names, same))
        return false;
    *to++ = (uint8_t)same;
    to = put_varint(to, head);
    to = put_text(to, id);
    for (int i = 0; i < NAMES; i++)
        if (!(same >> i & 1))
            to = put_text(to, q->pushed_names[i]);
    for (int i = 0; i < NUMBERS; i++)
        to = put_varint(to, numbers[i]);
    q->last->size += (size_t)(to - from);
    q->count++;
    return true;
}

static uint64_t get_varint(const uint8_t **from)
{
    uint64_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = *(*from)++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return v;
    }
}

static struct bytes get_text(const uint8_t **from)
{
    size_t size = get_varint(from);
    struct bytes text = bytes_of(*from, size);
    *from += size;
    return text;
}

static bool pop(struct opqueue *q, uint64_t *head, struct bytes *id, uint64_t numbers[NUMBERS])
{
    // A block is dropped only when the record after its last is asked for: views stay valid until then.
    while (q->first && q->read_at == q->first->size) {
        if (!q->first->next)
            return false;
        drop_first(q);
    }
    if (!q->first)
        return false;
    const uint8_t *from = q->first->at + q->read_at;
    unsigned same = *from++;
    *head = get_varint(&from);
    *id = get_text(&from);
    struct bytes names[NAMES];
    for (int i = 0; i < NAMES; i++)
        names[i] = same >> i & 1 ? q->popped_names[i] : get_text(&from);
    for (int i = 0; i < NUMBERS; i++)
        numbers[i] = get_varint(&from);
    if (!remember(&q->popped, q->popped_names, names, same))
        return false;
    q->read_at = (size_t)(from - q->first->at);
    q->count--;
    return true;
}

bool opqueue_push_ask(struct opqueue *q, const struct op_ask *ask)
{
    const struct bytes names[NAMES] = {ask->index, ask->type, ask->routing, ask->pipeline};
    const uint64_t numbers[NUMBERS] = {ask->action_at - q->pushed_at, ask->action_bytes, ask->source_at - ask->action_at, ask->source_bytes,
                                       fold_sign(ask->asked_version)};
    if (!push(q, (uint64_t)ask->flags << 2 | ask->kind, ask->id, names, numbers))
        return false;
    q->pushed_at = ask->action_at;
    return true;
}

bool opqueue_pop_ask(struct opqueue *q, struct op_ask *ask)
{
    uint64_t head, numbers[NUMBERS];
    *ask = (struct op_ask){.asked_version = OP_NONE};
    if (!pop(q, &head, &ask->id, numbers))
        return false;
    ask->kind = (enum op_kind)(head & 3);
    ask->flags = (uint32_t)(head >> 2);
    ask->index = q->popped_names[0];
    ask->type = q->popped_names[1];
    ask->routing = q->popped_names[2];
    ask->pipeline = q->popped_names[3];
    ask->action_at = q->popped_at += numbers[0];
    ask->action_bytes = numbers[1];
    ask->source_at = ask->action_at + numbers[2];
    ask->source_bytes = numbers[3];
    ask->asked_version = unfold_sign(numbers[4]);
    return true;
}

bool opqueue_push_answer(struct opqueue *q, const struct op_answer *a)
{
    const struct bytes names[NAMES] = {a->index, a->type, a->error_type, a->index_uuid};
    uint64_t head = (uint64_t)a->flags << 8 | (uint64_t)a->told_result << 7 | (uint64_t)a->result << 2 | a->kind;
    const uint64_t numbers[NUMBERS] = {fold_sign(a->status), fold_sign(a->shard), fold_sign(a->version), fold_sign(a->seq_no), fold_sign(a->primary_term)};
    return push(q, head, a->id, names, numbers);
}

bool opqueue_pop_answer(struct opqueue *q, struct op_answer *a)
{
    uint64_t head, numbers[NUMBERS];
    *a = (struct op_answer){.shard = -1, .version = OP_NONE, .seq_no = OP_NONE, .primary_term = OP_NONE};
    if (!pop(q, &head, &a->id, numbers))
        return false;
    a->kind = (enum op_kind)(head & 3);
    a->result = (enum op_result)(head >> 2 & 31);
    a->told_result = head >> 7 & 1;
    a->flags = (uint32_t)(head >> 8);
    a->index = q->popped_names[0];
    a->type = q->popped_names[1];
    a->error_type = q->popped_names[2];
    a->index_uuid = q->popped_names[3];
    a->status = (int)unfold_sign(numbers[0]);
    a->shard = (int)unfold_sign(numbers[1]);
    a->version = unfold_sign(numbers[2]);
    a->seq_no = unfold_sign(numbers[3]);
    a->primary_term = unfold_sign(numbers[4]);
    return true;
}
