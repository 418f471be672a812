// Blocks of ops: what goes in comes out, the filter never denies what is there, damage is told and never crashes.
#include "../../../src/tape/oplog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t seed = 88172645463325252u;

static uint64_t chance(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return below ? seed % below : seed;
}

static struct bytes text_in(struct arena *a, const char *format, unsigned long long n)
{
    char text[64];
    snprintf(text, sizeof text, format, n);
    return bytes_of(arena_copy(a, text, strlen(text)), strlen(text));
}

static struct op odd_op(struct arena *a, uint64_t exchange, uint32_t item)
{
    struct op op = {.exchange = exchange, .item = item, .kind = (enum op_kind)chance(OP_KINDS), .result = (enum op_result)chance(OP_RESULTS),
                    .flags = (uint32_t)chance(16384), .status = (int)chance(600), .shard = -1, .version = OP_NONE, .seq_no = OP_NONE,
                    .primary_term = OP_NONE, .asked_version = OP_NONE};
    op.index = text_in(a, "index-%llu", chance(5));
    if (chance(10))
        op.id = text_in(a, "%020llx", chance(0));
    if (!chance(3))
        op.asked = text_in(a, "alias-%llu", chance(3));
    if (!chance(4))
        op.routing = text_in(a, "r%llu", chance(0));
    if (!chance(9))
        op.error_type = text_in(a, "error_%llu", chance(4));
    if (!chance(9))
        op.type = bytes_of_text("typ");
    if (!chance(9))
        op.pipeline = bytes_of_text("pipe");
    if (!chance(9))
        op.index_uuid = bytes_of_text("0123456789012345678901");
    if (!chance(5))
        op.shard = (int)chance(100);
    if (chance(5)) {
        op.version = (int64_t)chance(0) >> 1;
        op.seq_no = (int64_t)chance(INT64_MAX);
        op.primary_term = (int64_t)chance(4);
    }
    if (!chance(5))
        op.asked_version = (int64_t)chance(INT64_MAX);
    op.action_at = chance(0);
    op.action_bytes = chance(300);
    op.source_at = chance(0);
    op.source_bytes = chance(5000);
    return op;
}

static void same_op(const struct op *a, const struct op *b)
{
    assert_true(bytes_equal(a->asked, b->asked) && bytes_equal(a->index, b->index) && bytes_equal(a->type, b->type));
    assert_true(bytes_equal(a->id, b->id) && bytes_equal(a->routing, b->routing) && bytes_equal(a->pipeline, b->pipeline));
    assert_true(bytes_equal(a->error_type, b->error_type) && bytes_equal(a->index_uuid, b->index_uuid));
    assert_true(a->exchange == b->exchange && a->item == b->item && a->kind == b->kind && a->result == b->result);
    assert_true(a->flags == b->flags && a->status == b->status && a->shard == b->shard && a->version == b->version);
    assert_true(a->seq_no == b->seq_no && a->primary_term == b->primary_term && a->asked_version == b->asked_version);
    assert_true(a->action_at == b->action_at && a->action_bytes == b->action_bytes);
    assert_true(a->source_at == b->source_at && a->source_bytes == b->source_bytes);
}

static void ops_of_every_kind_come_back_as_they_were(void **state)
{
    (void)state;
    struct arena a, b;
    arena_init(&a, 0);
    arena_init(&b, 0);
    static const size_t sizes[] = {0, 1, 2, 100, 4096};
    for (size_t s = 0; s < 5; s++) {
        size_t n = sizes[s], got;
        struct op *ops = arena_alloc(&a, (n + 1) * sizeof *ops), *back;
        uint64_t exchange = 1000;
        for (size_t i = 0; i < n; i++)
            ops[i] = odd_op(&a, chance(3) ? exchange : ++exchange, chance(9) ? (uint32_t)i : UINT32_MAX);
        struct buf block = {0}, filter = {0};
        assert_true(oplog_pack(ops, n, 1, NULL, &block, &filter));
        assert_true(oplog_unpack(&b, buf_view(&block), &back, &got));
        assert_int_equal(got, n);
        for (size_t i = 0; i < n; i++)
            same_op(&ops[i], &back[i]);
        assert_true(oplog_filter_valid(buf_view(&filter)));
        for (size_t i = 0; i < n; i++)
            if (ops[i].id.size)
                assert_true(oplog_filter_has(buf_view(&filter), oplog_hash(ops[i].index, ops[i].id)));
        buf_fini(&block);
        buf_fini(&filter);
        arena_reset(&b);
    }
    arena_fini(&a);
    arena_fini(&b);
}

// A bulk as shippers send it: generated ids, one index, dense sequence numbers.
static struct op *plain_bulk(struct arena *a, size_t n, const char *id_format)
{
    struct op *ops = arena_alloc(a, n * sizeof *ops);
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t source_bytes = 300 + chance(200);
        ops[i] = (struct op){.exchange = 7 + i / 500, .item = (uint32_t)(i % 500), .kind = OP_INDEX, .result = OP_CREATED, .status = 201,
                             .flags = OP_FROM_BULK, .index = bytes_of_text("logs-2026.11.24"), .shard = -1, .version = 1,
                             .seq_no = (int64_t)(90000 + i), .primary_term = 1, .asked_version = OP_NONE};
        ops[i].id = text_in(a, id_format, strchr(id_format, 'x') ? chance(0) : 1000000 + i);
        if (i % 500 == 0)
            at = 0;
        ops[i].action_at = at;
        ops[i].action_bytes = 60;
        ops[i].source_at = at + 61;
        ops[i].source_bytes = source_bytes;
        at += 62 + source_bytes;
    }
    return ops;
}

static void ordinary_bulks_take_few_bytes_an_op(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    static const char *const formats[] = {"%016llx", "%llu  "};
    for (size_t f = 0; f < 2; f++) {
        struct buf block = {0}, filter = {0};
        assert_true(oplog_pack(plain_bulk(&a, 4096, formats[f]), 4096, 1, NULL, &block, &filter));
        double each = (double)(block.size + filter.size) / 4096;
        print_message("%s: %.2f bytes an op\n", formats[f], each);
        assert_true(each < (f ? 6.0 : 14.0)); // 8 random bytes of id, 2 of size, 1.25 of filter
        buf_fini(&block);
        buf_fini(&filter);
    }
    arena_fini(&a);
}

static void filter_rarely_claims_a_stranger(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    struct buf block = {0}, filter = {0};
    assert_true(oplog_pack(plain_bulk(&a, 4096, "%016llx"), 4096, 1, NULL, &block, &filter));
    unsigned claims = 0;
    for (int i = 0; i < 20000; i++)
        claims += oplog_filter_has(buf_view(&filter), chance(0));
    assert_true(claims < 200); // expected 78
    buf_fini(&block);
    buf_fini(&filter);
    arena_fini(&a);
}

static void damaged_blocks_are_told_and_never_crash(void **state)
{
    (void)state;
    struct arena a, b;
    arena_init(&a, 0);
    arena_init(&b, 64 << 20);
    size_t n = 300, got;
    struct op *ops = arena_alloc(&a, n * sizeof *ops), *back;
    for (size_t i = 0; i < n; i++)
        ops[i] = odd_op(&a, 5, (uint32_t)i);
    struct buf block = {0}, filter = {0};
    assert_true(oplog_pack(ops, n, 1, NULL, &block, &filter));
    for (int round = 0; round < 3000; round++) {
        size_t size = chance(4) ? block.size : chance(block.size);
        uint8_t *copy = malloc(size ? size : 1); // its end is watched by the sanitizer
        memcpy(copy, block.at, size);
        for (uint64_t flips = chance(4); flips && size; flips--)
            copy[chance(size)] ^= (uint8_t)(1u << chance(8));
        oplog_unpack(&b, bytes_of(copy, size), &back, &got);
        arena_reset(&b);
        free(copy);
        size = chance(filter.size);
        copy = malloc(size ? size : 1);
        memcpy(copy, filter.at, size);
        if (size)
            copy[chance(size)] ^= (uint8_t)(1u << chance(8));
        oplog_filter_has(bytes_of(copy, size), chance(0));
        oplog_filter_valid(bytes_of(copy, size));
        free(copy);
    }
    assert_false(oplog_unpack(&b, bytes_of(block.at, block.size - 1), &back, &got));
    assert_false(oplog_unpack(&b, bytes_of(block.at, 0), &back, &got));
    buf_fini(&block);
    buf_fini(&filter);
    arena_fini(&a);
    arena_fini(&b);
}

static void memory_running_out_is_told(void **state)
{
    (void)state;
    struct arena a, b;
    arena_init(&a, 0);
    size_t n = 64, got;
    struct op *ops = plain_bulk(&a, n, "%016llx"), *back;
    struct buf block = {0}, filter = {0};
    bool done = false;
    for (unsigned long nth = 1; !done; nth++) {
        assert_true(nth < 1000);
        mem_fail_after(nth);
        done = oplog_pack(ops, n, 1, NULL, &block, &filter);
        if (done) {
            arena_init(&b, 0);
            done = oplog_unpack(&b, buf_view(&block), &back, &got);
            arena_fini(&b);
        }
        mem_fail_after(0);
        buf_fini(&block);
        buf_fini(&filter);
        block = filter = (struct buf){0};
    }
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ops_of_every_kind_come_back_as_they_were), cmocka_unit_test(ordinary_bulks_take_few_bytes_an_op),
        cmocka_unit_test(filter_rarely_claims_a_stranger),          cmocka_unit_test(damaged_blocks_are_told_and_never_crash),
        cmocka_unit_test(memory_running_out_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
