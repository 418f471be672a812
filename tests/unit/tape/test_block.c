// Bodies: whatever pieces come in whatever order of exchanges, the reader gives back the same bytes and holes.
#include "tape_maker.h"

#include "../../../src/base/buf.h"
#include "../../../src/tape/block.h"
#include "../../../src/tape/fsck.h"
#include "../../../src/tape/read.h"

enum { BODIES = 120, AT_ONCE = 25 };

// A body as it was written: bytes, and holes as marks in them.
struct truth {
    uint64_t id;
    struct buf bytes;  // a hole of n is n bytes 0x01
    bool kept, holes, raw;
    size_t left;       // bytes still to come
};

static uint64_t seed = 0x9e3779b97f4a7c15;

static size_t chance(size_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static void write_piece(struct tape_writer *w, struct truth *t)
{
    static uint8_t text[200000];
    struct fault fault;
    size_t size = 1 + chance(chance(4) ? 3000 : sizeof text);
    struct body_piece piece = {.raw = t->raw};
    size = size < t->left ? size : t->left;
    for (size_t i = 0; i < size; i++)
        text[i] = (uint8_t)(chance(5) ? 'a' + i % 7 : 32 + chance(90));
    piece.bytes = bytes_of(text, size);
    if (t->holes && !chance(6)) {
        size = size < 50000 ? size : 50000;
        piece.bytes = bytes_of(NULL, 0);
        piece.hole_bytes = size;
        memset(text, 1, size);
    }
    t->left -= size;
    t->kept = true;
    buf_add(&t->bytes, text, size);
    assert_true(tape_write_body(w, t->id, BODY_REQUEST, &piece, &fault));
}

static bool gather(void *ctx, const struct body_piece *piece)
{
    struct buf *got = ctx;
    static const uint8_t mark = 1;
    buf_add_bytes(got, piece->bytes);
    for (uint64_t i = 0; i < piece->hole_bytes; i++)
        buf_add(got, &mark, 1);
    return true;
}

static void note(void *ctx, const struct fsck_finding *finding)
{
    print_message("%s: (%d) %s\n", finding->file, finding->invariant, finding->text);
    ++*(int *)ctx;
}

static void bodies_in_interleaved_pieces_come_back_whole(void **state)
{
    (void)state;
    const char *dir = maker_dir("pieces");
    static struct truth all[BODIES];
    struct truth *open[AT_ONCE] = {0};
    struct fault fault = {0};
    struct tape_writer *w = maker_open(dir, (struct tape_settings){.segment_ns = 40 * WHEN_NS_PER_S});
    size_t begun = 0, done = 0;
    for (int64_t step = 0; done < BODIES; step++) {
        size_t k = chance(AT_ONCE);
        if (!open[k] && begun < BODIES) {
            open[k] = &all[begun++];
            *open[k] = (struct truth){.id = tape_write_next_id(w), .left = chance(3) ? chance(2000) : chance(1500000), .holes = !chance(3),
                                      .raw = !chance(8)};
        }
        if (!open[k])
            continue;
        if (open[k]->left) {
            write_piece(w, open[k]);
        } else {
            struct exchange x = maker_exchange(open[k]->id, T0 + (int64_t)done * WHEN_NS_PER_S);
            assert_true(tape_write_exchange(w, &x, &fault));
            assert_true(tape_write_tick(w, T0 + (int64_t)done * WHEN_NS_PER_S, &fault));
            open[k] = NULL;
            done++;
        }
        if (step % 97 == 0)
            assert_true(tape_write_flush(w, &fault));
    }
    maker_close(w);
    assert_true(maker_file_count(dir, ".body.db") >= 3);
    int findings = 0;
    struct fsck_stats stats;
    assert_true(fsck_tape(dir, note, &findings, &stats, &fault));
    assert_int_equal(findings, 0);

    struct tape *t = tape_open(&dir, 1, &fault);
    assert_non_null(t);
    for (size_t i = 0; i < BODIES; i++) {
        struct buf got = {0};
        enum tape_body_state told;
        assert_true(tape_body(t, 0, all[i].id, BODY_REQUEST, gather, &got, &told, &fault));
        assert_int_equal(got.size, all[i].bytes.size);
        if (got.size)
            assert_memory_equal(got.at, all[i].bytes.at, got.size);
        bool hole = memchr(got.size ? got.at : (const uint8_t *)"", 1, got.size) != NULL;
        assert_int_equal(told, hole ? TAPE_BODY_HOLES : TAPE_BODY_WHOLE);
        buf_fini(&got);
        buf_fini(&all[i].bytes);
    }
    tape_close(t);
    maker_clear(dir);
}

static void thousands_of_open_bodies_stay_in_bounds_and_whole(void **state)
{
    (void)state;
    const char *dir = maker_dir("open");
    enum { OPEN = 3000, PIECES = 3 };
    struct fault fault = {0};
    static char text[4000];
    struct tape_writer *w = maker_open(dir, (struct tape_settings){0});
    for (int p = 0; p < PIECES; p++)
        for (uint64_t id = 1; id <= OPEN; id++) {
            memset(text, (int)('a' + (id + (uint64_t)p) % 26), sizeof text - 1);
            maker_body(w, id, BODY_REQUEST, text);
        }
    for (uint64_t i = 1; i <= OPEN; i++) {
        struct exchange x = maker_exchange(tape_write_next_id(w), T0 + (int64_t)i);
        assert_true(tape_write_exchange(w, &x, &fault));
    }
    maker_close(w);
    struct tape *t = tape_open(&dir, 1, &fault);
    for (uint64_t id = 1; id <= OPEN; id += 37) {
        struct buf got = {0};
        enum tape_body_state told;
        assert_true(tape_body(t, 0, id, BODY_REQUEST, gather, &got, &told, &fault));
        assert_int_equal(told, TAPE_BODY_WHOLE);
        assert_int_equal(got.size, PIECES * (sizeof text - 1));
        for (int p = 0; p < PIECES; p++)
            assert_int_equal(got.at[(size_t)p * (sizeof text - 1) + 5], 'a' + (id + (uint64_t)p) % 26);
        buf_fini(&got);
    }
    tape_close(t);
    maker_clear(dir);
}

static void a_directory_is_walked_and_damage_is_told(void **state)
{
    (void)state;
    struct buf dir = {0};
    const struct block_entry entries[] = {{900, BODY_REQUEST, false, 0, 10}, {17, BODY_RESPONSE, true, 10, 0}, {1000000, BODY_REQUEST, false, 10, 70000}};
    uint64_t last = 0;
    for (size_t i = 0; i < 3; i++) {
        assert_true(block_pack_entry(&dir, last, &entries[i]));
        last = entries[i].exchange;
    }
    struct block_entry e;
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(block_find_entry(buf_view(&dir), i, &e));
        assert_true(e.exchange == entries[i].exchange && e.side == entries[i].side && e.part == entries[i].part);
        assert_true(e.offset == entries[i].offset && e.size == entries[i].size);
    }
    assert_false(block_find_entry(buf_view(&dir), 3, &e));
    for (size_t size = 0; size < dir.size; size++) {
        uint8_t *copy = malloc(size + 1);
        memcpy(copy, dir.at, size);
        assert_false(block_find_entry(bytes_of(copy, size), 2, &e));
        free(copy);
    }
    struct buf out = {0};
    assert_false(block_unpack(bytes_of("not a frame", 11), 11, &out));
    assert_false(block_unpack(bytes_of("", 0), 0, &out));
    buf_fini(&out);
    buf_fini(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_in_interleaved_pieces_come_back_whole),
        cmocka_unit_test(thousands_of_open_bodies_stay_in_bounds_and_whole),
        cmocka_unit_test(a_directory_is_walked_and_damage_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
