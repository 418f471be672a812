// Records come back in order, in memory and from runs on disk.
#include "../../../src/replay/sorter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static int by_number(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, 8);
    memcpy(&y, b, 8);
    return x < y ? -1 : x > y;
}

static void sorts(size_t memory, size_t count)
{
    struct fault f = {0};
    struct sorter *s = sorter_open(NULL, memory, by_number);
    uint64_t random = 88172645463325252u;
    uint8_t rec[300];
    for (size_t i = 0; i < count; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        uint64_t key = random % (count / 2), n = i;
        memcpy(rec, &key, 8);
        memcpy(rec + 8, &n, 8);
        size_t size = 16 + random % 200;
        memset(rec + 16, (int)(size & 0xff), size - 16);
        assert_true(sorter_add(s, bytes_of(rec, size), &f));
    }
    assert_true(sorter_finish(s, &f));
    for (int round = 0; round < 2; round++) {
        uint64_t last = 0, last_n = 0, seen = 0;
        for (struct bytes r;;) {
            assert_true(sorter_next(s, &r, &f));
            if (!r.size)
                break;
            uint64_t key, n;
            memcpy(&key, r.at, 8);
            memcpy(&n, r.at + 8, 8);
            assert_true(key >= last);
            if (seen && key == last)
                assert_true(n > last_n); // ties keep their order
            if (r.size > 16)
                assert_int_equal(r.at[r.size - 1], r.size & 0xff);
            last = key;
            last_n = n;
            seen++;
        }
        assert_int_equal(seen, count);
        assert_true(sorter_rewind(s, &f));
    }
    sorter_close(s);
}

static void records_in_memory_come_back_sorted(void **state)
{
    (void)state;
    sorts(8 << 20, 5000);
}

static void runs_on_disk_come_back_sorted(void **state)
{
    (void)state;
    sorts(64 << 10, 20000);
}

static void a_record_larger_than_memory_is_kept(void **state)
{
    struct fault f = {0};
    struct sorter *s = sorter_open(NULL, 4096, by_number);
    size_t size = 200000;
    uint8_t *big = calloc(1, size);
    struct bytes r;
    (void)state;
    for (int i = 3; i > 0; i--) {
        uint64_t key = (uint64_t)i;
        memcpy(big, &key, 8);
        assert_true(sorter_add(s, bytes_of(big, size), &f));
    }
    assert_true(sorter_finish(s, &f));
    for (int i = 1; i <= 3; i++) {
        assert_true(sorter_next(s, &r, &f));
        assert_int_equal(r.size, size);
        assert_int_equal(r.at[0], i);
    }
    assert_true(sorter_next(s, &r, &f));
    assert_int_equal(r.size, 0);
    free(big);
    sorter_close(s);
}

static void nothing_added_gives_nothing(void **state)
{
    struct fault f = {0};
    struct sorter *s = sorter_open(NULL, 4096, by_number);
    struct bytes r;
    (void)state;
    assert_true(sorter_finish(s, &f));
    assert_true(sorter_next(s, &r, &f));
    assert_int_equal(r.size, 0);
    sorter_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(records_in_memory_come_back_sorted), cmocka_unit_test(runs_on_disk_come_back_sorted),
                                       cmocka_unit_test(a_record_larger_than_memory_is_kept), cmocka_unit_test(nothing_added_gives_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
