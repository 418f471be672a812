// Bytes, maps, globs, arenas, times, sizes: the small things everything stands on.
#include "src/base/buf.h"
#include "src/base/clock.h"
#include "src/base/diag.h"
#include "src/base/glob.h"
#include "src/base/map.h"
#include "src/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

static void varints_come_back_and_cut_ones_are_refused(void **state)
{
    (void)state;
    static const uint64_t values[] = {0, 1, 127, 128, 300, UINT32_MAX, UINT64_C(1) << 63, UINT64_MAX};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct buf b = {0};
        uint64_t back;
        assert_true(buf_add_varint(&b, values[i]));
        struct bytes view = buf_view(&b);
        assert_true(take_varint(&view, &back));
        assert_true(back == values[i] && view.size == 0);
        view = bytes_of(b.at, b.size - 1);
        assert_false(take_varint(&view, &back));
        int64_t signed_back;
        buf_clear(&b);
        assert_true(buf_add_zigzag(&b, (int64_t)values[i]));
        view = buf_view(&b);
        assert_true(take_zigzag(&view, &signed_back));
        assert_true(signed_back == (int64_t)values[i]);
        buf_fini(&b);
    }
    struct bytes over = bytes_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10);
    uint64_t ignored;
    assert_false(take_varint(&over, &ignored));
}

static void buf_keeps_what_it_had_when_memory_is_out(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_true(buf_add_text(&b, "kept"));
    mem_fail_after(1);
    static char big[10000];
    assert_false(buf_add(&b, big, sizeof big));
    mem_fail_after(0);
    assert_true(b.failed);
    assert_string_equal(buf_text(&b), "kept");
    buf_drop_front(&b, 2);
    assert_string_equal(buf_text(&b), "pt");
    buf_drop_front(&b, 9);
    assert_int_equal(b.size, 0);
    buf_fini(&b);
}

static void map_finds_what_was_put_and_forgets_what_was_dropped(void **state)
{
    (void)state;
    struct map *m = map_open();
    struct nummap *n = nummap_open();
    char key[32];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 5000; i++) {
            bool fresh;
            int size = snprintf(key, sizeof key, "key-%u", i);
            union map_value *v = map_put(m, bytes_of(key, (size_t)size), &fresh);
            assert_true(fresh == (round == 0 || i % 3 == 0));
            v->num = i;
            nummap_put(n, i * UINT64_C(4294967296), &fresh)->num = i;
            assert_true(fresh == (round == 0 || i % 3 == 0));
        }
        assert_int_equal(map_count(m), 5000);
        assert_int_equal(nummap_count(n), 5000);
        for (unsigned i = 0; i < 5000; i += 3) {
            int size = snprintf(key, sizeof key, "key-%u", i);
            assert_true(map_drop(m, bytes_of(key, (size_t)size)));
            assert_false(map_drop(m, bytes_of(key, (size_t)size)));
            assert_true(nummap_drop(n, i * UINT64_C(4294967296)));
        }
        for (unsigned i = 0; i < 5000; i++) {
            int size = snprintf(key, sizeof key, "key-%u", i);
            union map_value *v = map_find(m, bytes_of(key, (size_t)size));
            union map_value *w = nummap_find(n, i * UINT64_C(4294967296));
            assert_true((v == NULL) == (i % 3 == 0) && (w == NULL) == (i % 3 == 0));
            if (v)
                assert_true(v->num == i && w->num == i);
        }
    }
    size_t at = 0, seen = 0;
    struct bytes k;
    union map_value *v;
    while (map_next(m, &at, &k, &v))
        seen++;
    assert_int_equal(seen, map_count(m));
    map_close(m);
    nummap_close(n);
}

static void map_out_of_memory_answers_for_what_it_holds(void **state)
{
    (void)state;
    for (unsigned long nth = 1; nth < 60; nth++) {
        mem_fail_after(nth);
        struct map *m = map_open();
        unsigned held = 0;
        for (unsigned i = 0; m && i < 40; i++) {
            union map_value *v = map_put(m, bytes_of(&i, sizeof i), NULL);
            if (v) {
                v->num = i;
                held++;
            }
        }
        mem_fail_after(0);
        if (!m)
            continue;
        assert_int_equal(map_count(m), held);
        for (unsigned i = 0; i < 40; i++) {
            union map_value *v = map_find(m, bytes_of(&i, sizeof i));
            assert_true(!v || v->num == i);
        }
        map_close(m);
    }
}

static void glob_follows_stars_only(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool match;
    } rows[] = {
        {"", "", true}, {"*", "", true}, {"*", "x", true}, {"logs-*", "logs-2026", true}, {"logs-*", "log", false}, {"*-a-*b", "x-a-ab", true},
        {"a?c", "abc", false}, {"a?c", "a?c", true}, {"**", "q", true}, {"a*b*c", "aXbYcZ", false}, {"a*b*c", "aXbYc", true}, {"A", "a", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (glob_match(bytes_of_text(rows[i].pattern), bytes_of_text(rows[i].text)) != rows[i].match)
            fail_msg("%s %s", rows[i].pattern, rows[i].text);
}

static void arena_keeps_to_its_ceiling(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 20000);
    size_t got = 0;
    for (int i = 0; i < 1000; i++)
        got += arena_alloc(&a, 100) != NULL;
    assert_true(got >= 100 && got <= 200);
    assert_null(arena_alloc(&a, 30000));
    arena_reset(&a);
    assert_string_equal(arena_copy(&a, "text", 4), "text");
    assert_null(arena_alloc(&a, SIZE_MAX));
    arena_fini(&a);
}

static const int64_t now_ns = INT64_C(1764000000) * WHEN_NS_PER_S; // 2025-11-24T16:00:00Z

static void times_are_read_as_people_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *text, *utc; // NULL: refused
    } rows[] = {
        {"2026-11-24T14:02:11Z", "2026-11-24T14:02:11.000000Z"}, {"2026-11-24T14:02:11.123456789Z", "2026-11-24T14:02:11.123456Z"},
        {"2026-11-24T14:02:11+01:00", "2026-11-24T13:02:11.000000Z"}, {"2026-11-24 14:02", "2026-11-24T14:02:00.000000Z"},
        {"2026-11-24", "2026-11-24T00:00:00.000000Z"}, {"14:02", "2025-11-24T14:02:00.000000Z"}, {"14:02:11.5", "2025-11-24T14:02:11.500000Z"},
        {"now", "2025-11-24T16:00:00.000000Z"}, {"today", "2025-11-24T00:00:00.000000Z"}, {"yesterday", "2025-11-23T00:00:00.000000Z"},
        {"-2h", "2025-11-24T14:00:00.000000Z"}, {"2h ago", "2025-11-24T14:00:00.000000Z"}, {"90s", "2025-11-24T15:58:30.000000Z"},
        {"1h30m", "2025-11-24T14:30:00.000000Z"}, {"@1700000000.5", "2023-11-14T22:13:20.500000Z"}, {"2024-02-29", "2024-02-29T00:00:00.000000Z"},
        {"1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500000Z"},
        {"2025-02-29", NULL}, {"2026-13-01", NULL}, {"25:00", NULL}, {"", NULL}, {"soon", NULL}, {"2026-11-24T", NULL}, {"12", NULL}, {"2h x", NULL},
        {"@", NULL}, {"9999-01-01", NULL}, {"-", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t t;
        char text[40];
        bool ok = clock_parse(rows[i].text, now_ns, &t);
        if (ok != (rows[i].utc != NULL) || (ok && strcmp(clock_format_utc(t, text, sizeof text), rows[i].utc) != 0))
            fail_msg("%s -> %s", rows[i].text, ok ? text : "refused");
    }
}

static void spans_and_sizes_are_read_and_shown(void **state)
{
    (void)state;
    int64_t span;
    uint64_t size;
    char text[40];
    assert_true(clock_parse_span("1h30m", &span) && span == 5400 * WHEN_NS_PER_S);
    assert_true(clock_parse_span("7d", &span) && span == 7 * 86400 * WHEN_NS_PER_S);
    assert_true(clock_parse_span("45", &span) && span == 45 * WHEN_NS_PER_S);
    assert_false(clock_parse_span("5 parsecs", &span) || clock_parse_span("", &span) || clock_parse_span("-5m", &span) || clock_parse_span("5x", &span));
    assert_true(clock_parse_size("1.5GiB", &size) && size == 1610612736);
    assert_true(clock_parse_size("64M", &size) && size == 64 << 20);
    assert_true(clock_parse_size("500", &size) && size == 500);
    assert_false(clock_parse_size("lots", &size) || clock_parse_size("5X", &size) || clock_parse_size("-1", &size));
    assert_string_equal(clock_format_size(12897485, text, sizeof text), "12.3 MiB");
    assert_string_equal(clock_format_size(0, text, sizeof text), "0 B");
    assert_string_equal(clock_format_span(3200000000, text, sizeof text), "3.2 s");
    assert_string_equal(clock_format_span(INT64_C(183600) * WHEN_NS_PER_S, text, sizeof text), "2 d 3 h");
}

static void faults_are_one_line_of_their_kind(void **state)
{
    (void)state;
    struct fault f = {0};
    assert_false(fault_user(&f, "no such %s", "device"));
    assert_true(f.kind == FAULT_USER);
    assert_string_equal(f.text, "no such device");
    assert_false(fault_errno(&f, 2, "cannot open %s", "x"));
    assert_string_equal(f.text, "cannot open x: No such file or directory");
    assert_true(f.kind == FAULT_SYSTEM && f.error == 2);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    tzset();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints_come_back_and_cut_ones_are_refused),
        cmocka_unit_test(buf_keeps_what_it_had_when_memory_is_out),
        cmocka_unit_test(map_finds_what_was_put_and_forgets_what_was_dropped),
        cmocka_unit_test(map_out_of_memory_answers_for_what_it_holds),
        cmocka_unit_test(glob_follows_stars_only),
        cmocka_unit_test(arena_keeps_to_its_ceiling),
        cmocka_unit_test(times_are_read_as_people_write_them),
        cmocka_unit_test(spans_and_sizes_are_read_and_shown),
        cmocka_unit_test(faults_are_one_line_of_their_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
