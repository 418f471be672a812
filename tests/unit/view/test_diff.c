// Tests of src/view/diff: changes by path, and an update's merge.
#include "../../../src/view/diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static bool note(void *ctx, enum diff_kind kind, struct bytes path, const struct json *from, const struct json *to)
{
    struct buf *out = ctx;
    buf_add_byte(out, (uint8_t)"+-~"[kind]);
    buf_add_bytes(out, path);
    buf_add_byte(out, '=');
    if (from)
        json_write(out, from);
    buf_add_byte(out, '>');
    if (to)
        json_write(out, to);
    buf_add_byte(out, ' ');
    return true;
}

static void differs(const char *from, const char *to, const char *wanted)
{
    struct arena a;
    struct buf out = {0};
    arena_init(&a, 0);
    const struct json *left = from ? json_parse(&a, bytes_of_text(from), NULL) : NULL, *right = json_parse(&a, bytes_of_text(to), NULL);
    assert_true(diff_json(left, right, note, &out));
    assert_string_equal(buf_text(&out), wanted);
    buf_fini(&out);
    arena_fini(&a);
}

static void equal_documents_have_no_changes(void **state)
{
    (void)state;
    differs("{\"a\":1,\"b\":{\"c\":[1,2]}}", "{\"b\":{\"c\":[1.0,2]},\"a\":1}", "");
}

static void changes_are_told_by_path(void **state)
{
    (void)state;
    differs("{\"a\":1,\"b\":{\"c\":2,\"d\":3},\"e\":[1]}", "{\"a\":1,\"b\":{\"c\":5},\"e\":[1,2],\"f\":null}", "~b.c=2>5 -b.d=3> ~e=[1]>[1,2] +f=>null ");
    differs("{\"a\":{\"b\":1}}", "{\"a\":2}", "~a={\"b\":1}>2 ");
    differs("{\"a.b\":1}", "{\"a.b\":2}", "~\"a.b\"=1>2 ");
}

static void a_new_document_adds_its_members(void **state)
{
    (void)state;
    differs(NULL, "{\"a\":1,\"b\":{\"c\":2}}", "+a=>1 +b=>{\"c\":2} ");
}

static void of_equal_keys_the_last_counts(void **state)
{
    (void)state;
    differs("{\"a\":1,\"a\":2}", "{\"a\":2}", "");
    differs("{\"a\":1}", "{\"a\":1,\"a\":3}", "~a=1>3 ");
}

static void merges(const char *base, const char *patch, const char *wanted)
{
    struct arena a;
    struct buf out = {0};
    arena_init(&a, 0);
    const struct json *made = diff_merge(&a, json_parse(&a, bytes_of_text(base), NULL), json_parse(&a, bytes_of_text(patch), NULL));
    assert_non_null(made);
    json_write(&out, made);
    assert_string_equal(buf_text(&out), wanted);
    buf_fini(&out);
    arena_fini(&a);
}

static void a_merge_goes_into_objects_and_replaces_the_rest(void **state)
{
    (void)state;
    merges("{\"a\":1,\"b\":{\"c\":1,\"d\":[1,2]}}", "{\"b\":{\"d\":[3],\"e\":null},\"f\":0}", "{\"a\":1,\"b\":{\"c\":1,\"d\":[3],\"e\":null},\"f\":0}");
    merges("{\"a\":{\"x\":1}}", "{\"a\":5}", "{\"a\":5}");
    merges("{\"a\":5}", "{\"a\":{\"x\":1}}", "{\"a\":{\"x\":1}}");
    merges("{\"a\":1}", "{}", "{\"a\":1}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_documents_have_no_changes),
        cmocka_unit_test(changes_are_told_by_path),
        cmocka_unit_test(a_new_document_adds_its_members),
        cmocka_unit_test(of_equal_keys_the_last_counts),
        cmocka_unit_test(a_merge_goes_into_objects_and_replaces_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
