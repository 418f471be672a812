// Partial updates fold by the cluster's merge rules.
#include "../../../src/replay/merge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void expect(const char *base, const char *doc, const char *result, bool changes)
{
    struct arena a;
    struct buf out = {0};
    bool changed;
    arena_init(&a, 0);
    struct json *b = json_parse(&a, bytes_of_text(base), NULL), *d = json_parse(&a, bytes_of_text(doc), NULL);
    struct json *m = merge_update(&a, b, d, &changed);
    assert_non_null(m);
    json_write(&out, m);
    assert_string_equal(buf_text(&out), result);
    assert_int_equal(changed, changes);
    buf_fini(&out);
    arena_fini(&a);
}

static void maps_merge_recursively_and_arrays_are_replaced(void **state)
{
    (void)state;
    expect("{\"a\":{\"x\":1,\"y\":[1,2]},\"b\":2}", "{\"a\":{\"y\":[3],\"z\":true}}", "{\"a\":{\"x\":1,\"y\":[3],\"z\":true},\"b\":2}", true);
    expect("{\"a\":1}", "{\"a\":{\"x\":1}}", "{\"a\":{\"x\":1}}", true);
    expect("{\"a\":{\"x\":1}}", "{\"a\":7}", "{\"a\":7}", true);
}

static void nulls_are_kept_and_empty_maps_change_nothing(void **state)
{
    (void)state;
    expect("{\"a\":1}", "{\"a\":null}", "{\"a\":null}", true);
    expect("{\"a\":null}", "{\"a\":null}", "{\"a\":null}", false);
    expect("{\"a\":{\"x\":1}}", "{\"a\":{}}", "{\"a\":{\"x\":1}}", false);
    expect("{}", "{\"a\":{}}", "{\"a\":{}}", true);
}

static void noop_is_detected_by_value_and_type(void **state)
{
    (void)state;
    expect("{\"a\":1,\"b\":[1,{\"c\":2}]}", "{\"b\":[1,{\"c\":2}]}", "{\"a\":1,\"b\":[1,{\"c\":2}]}", false);
    expect("{\"a\":1}", "{\"a\":1.0}", "{\"a\":1.0}", true);
    expect("{\"a\":\"1\"}", "{\"a\":1}", "{\"a\":1}", true);
}

static void numbers_survive_byte_for_byte(void **state)
{
    (void)state;
    expect("{\"n\":9223372036854775810,\"d\":0.1000,\"e\":1E+3}", "{\"x\":12345678901234567890}", "{\"n\":9223372036854775810,\"d\":0.1000,\"e\":1E+3,\"x\":12345678901234567890}", true);
}

static void last_duplicate_key_wins(void **state)
{
    (void)state;
    expect("{\"a\":1,\"a\":2}", "{\"b\":1,\"b\":3}", "{\"a\":2,\"b\":3}", true);
}

static bool combine(const char *a, const char *b)
{
    struct arena m;
    arena_init(&m, 0);
    bool ok = merge_can_combine(json_parse(&m, bytes_of_text(a), NULL), json_parse(&m, bytes_of_text(b), NULL));
    arena_fini(&m);
    return ok;
}

static void updates_combine_only_where_no_map_meets_a_scalar(void **state)
{
    (void)state;
    assert_true(combine("{\"a\":1}", "{\"a\":2,\"b\":{\"c\":1}}"));
    assert_true(combine("{\"a\":{\"x\":1}}", "{\"a\":{\"x\":2}}"));
    assert_true(combine("{\"a\":{\"x\":1}}", "{\"a\":5}"));
    assert_false(combine("{\"a\":1}", "{\"a\":{\"x\":2}}"));
    assert_false(combine("{\"a\":{\"x\":null}}", "{\"a\":{\"x\":{\"y\":1}}}"));
}

static bool plain(const char *text)
{
    struct arena m;
    arena_init(&m, 0);
    bool ok = merge_numbers_plain(json_parse(&m, bytes_of_text(text), NULL));
    arena_fini(&m);
    return ok;
}

static void numbers_that_a_cluster_would_rewrite_are_noticed(void **state)
{
    (void)state;
    assert_true(plain("{\"a\":[1,-2.5,1e10,123456789012345678]}"));
    assert_true(plain("[0.00000123456789012345]"));
    assert_false(plain("{\"a\":{\"b\":9223372036854775810}}"));
    assert_false(plain("[0.1234567890123456789]"));
    assert_false(plain("[1e300]"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_merge_recursively_and_arrays_are_replaced), cmocka_unit_test(nulls_are_kept_and_empty_maps_change_nothing),
        cmocka_unit_test(noop_is_detected_by_value_and_type), cmocka_unit_test(numbers_survive_byte_for_byte), cmocka_unit_test(last_duplicate_key_wins),
        cmocka_unit_test(updates_combine_only_where_no_map_meets_a_scalar), cmocka_unit_test(numbers_that_a_cluster_would_rewrite_are_noticed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
