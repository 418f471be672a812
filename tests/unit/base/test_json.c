// The JSON scanner and tree: tokens, offsets, skipping, hostile input, the same result however the input is cut.
#include "src/base/json.h"
#include "src/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

struct trace {
    struct buf out;
    const char *skip_key; // this key's value is skipped
    bool skip_arrays;
    const char *leave_text; // behind this string its container is left
};

static enum json_do note(void *ctx, const struct json_token *t)
{
    struct trace *tr = ctx;
    static const char *const names[] = {"{", "}", "[", "]", "k", "s", "n", "t", "f", "0", "."};
    buf_format(&tr->out, "%s", names[t->event]);
    if (t->text.size)
        buf_add_bytes(&tr->out, t->text);
    if (t->cut)
        buf_add_text(&tr->out, "~");
    buf_format(&tr->out, "@%u:%llu-%llu ", t->depth, (unsigned long long)t->at, (unsigned long long)t->end);
    if (t->event == JSON_KEY && tr->skip_key && bytes_equal_text(t->text, tr->skip_key))
        return JSON_SKIP;
    if (t->event == JSON_ARRAY && tr->skip_arrays)
        return JSON_SKIP;
    if (t->event == JSON_STRING && tr->leave_text && bytes_equal_text(t->text, tr->leave_text))
        return JSON_LEAVE;
    return JSON_GO;
}

static bool scan(struct trace *tr, const char *text, size_t size, size_t step, size_t text_max)
{
    struct json_scan *s = json_open(note, tr, text_max);
    bool ok = true;
    buf_clear(&tr->out);
    for (size_t i = 0; i < size && ok; i += step) {
        // A copy of its own: reading past the piece is seen by the sanitizer.
        size_t n = size - i < step ? size - i : step;
        char *piece = malloc(n);
        memcpy(piece, text + i, n);
        ok = json_feed(s, bytes_of(piece, n));
        free(piece);
    }
    ok = json_end(s) && ok;
    json_close(s);
    return ok;
}

// Pieces shorter than a block are skipped byte by byte, longer ones by blocks: both must pass over the same.
static void long_skips_are_the_same_however_the_input_is_cut(void **state)
{
    static const char *const bits[] = {"\"", "\\\"", "\\\\", "{", "}", "[", "]", "a", "bcd efg", "/", ",", ":", "\\\\\\\"", "\xc3\xa4", "\\u00e4"};
    uint64_t seed = 7;
    (void)state;
    for (int round = 0; round < 400; round++) {
        struct buf text = {0};
        struct trace bytewise = {.skip_arrays = true, .leave_text = "x"}, blockwise = bytewise;
        buf_add_text(&text, round % 2 ? "{\"i\":\"x\",\"d\":[" : "{\"d\":[");
        unsigned depth = 0;
        bool inside = false;
        for (int i = 0; i < 120; i++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            const char *bit = bits[(seed >> 33) % (sizeof bits / sizeof *bits)];
            if (!inside && (bit[0] == '\\' || bit[0] == '/' || (depth == 0 && (bit[0] == '}' || bit[0] == ']'))))
                continue; // nothing but brackets and strings is understood out there
            inside ^= bit[0] == '"';
            depth += !inside && (bit[0] == '{' || bit[0] == '[') ? 1u : 0;
            depth -= !inside && (bit[0] == '}' || bit[0] == ']') ? 1u : 0;
            buf_add_text(&text, bit);
        }
        buf_add_text(&text, inside ? "\"" : "");
        for (; depth; depth--)
            buf_add_text(&text, "}");
        buf_add_text(&text, "],\"e\":1} [] /* { */ 2 ");
        assert_true(scan(&bytewise, (const char *)text.at, text.size, 1, 100));
        for (size_t step = 60; step <= text.size; step += 1 + step / 16) {
            assert_true(scan(&blockwise, (const char *)text.at, text.size, step, 100));
            assert_string_equal(buf_text(&blockwise.out), buf_text(&bytewise.out));
        }
        assert_true(strstr(buf_text(&bytewise.out), "n1@1") != NULL || round % 2);
        buf_fini(&bytewise.out);
        buf_fini(&blockwise.out);
        buf_fini(&text);
    }
}

static void a_container_is_left_behind_a_string(void **state)
{
    struct trace tr = {.leave_text = "x"};
    const char *text = "[{\"a\":\"x\",\"b\":{\"c\":[1,\"}\"]}},{\"a\":\"y\"},[\"x\"],\"x\",3]";
    (void)state;
    for (size_t step = 1; step <= strlen(text); step++) {
        assert_true(scan(&tr, text, strlen(text), step, 100));
        assert_string_equal(buf_text(&tr.out), "[@0:0-1 {@1:1-2 ka@2:2-5 sx@2:6-9 }@1:27-28 {@1:29-30 ka@2:30-33 sy@2:34-37 }@1:37-38 [@1:39-40 sx@2:40-43 "
                                               "]@1:43-44 sx@1:45-48 ]@0:50-51 .@0:51-51 ");
    }
    buf_fini(&tr.out);
}

static void check(const char *text, const char *expected, const char *skip_key, bool skip_arrays)
{
    struct trace tr = {.skip_key = skip_key, .skip_arrays = skip_arrays};
    for (size_t step = 1; step <= strlen(text); step++) {
        assert_true(scan(&tr, text, strlen(text), step, 1000));
        assert_string_equal(buf_text(&tr.out), expected);
    }
    buf_fini(&tr.out);
}

static void scanner_tells_tokens_and_offsets_however_cut(void **state)
{
    (void)state;
    check("{\"a\":[1,-2.5e3,true,null],\"b\":\"x\"}", "{@0:0-1 ka@1:1-4 [@1:5-6 n1@2:6-7 n-2.5e3@2:8-14 t@2:15-19 0@2:20-24 ]@1:24-25 kb@1:26-29 sx@1:30-33 }@0:33-34 .@0:34-34 ", NULL, false);
    check("1 \"\" false", "n1@0:0-1 .@0:1-1 s@0:2-4 .@0:4-4 f@0:5-10 .@0:10-10 ", NULL, false);
}

static void scanner_resolves_escapes(void **state)
{
    (void)state;
    check("\"a\\n\\u00e9\\ud83d\\ude00\\\"\"", "sa\n\xc3\xa9\xf0\x9f\x98\x80\"@0:0-25 .@0:25-25 ", NULL, false);
    check("\"\\ud83dx\\udc00\"", "s\xef\xbf\xbdx\xef\xbf\xbd@0:0-15 .@0:15-15 ", NULL, false);
    check("\"\\ud83d\\ud83d\\ude00\"", "s\xef\xbf\xbd\xf0\x9f\x98\x80@0:0-20 .@0:20-20 ", NULL, false);
}

static void scanner_skips_values_and_containers(void **state)
{
    (void)state;
    check("{\"a\":{\"x\":[\"}\\\"\"]},\"b\":1}", "{@0:0-1 ka@1:1-4 kb@1:19-22 n1@1:23-24 }@0:24-25 .@0:25-25 ", "a", false);
    check("{\"a\":12,\"b\":\"q\"}", "{@0:0-1 ka@1:1-4 kb@1:8-11 sq@1:12-15 }@0:15-16 .@0:16-16 ", "a", false);
    check("{\"a\":[1,[2,\"]\"/*]*/]],\"b\":[]}", "{@0:0-1 ka@1:1-4 [@1:5-6 ]@1:20-21 kb@1:22-25 [@1:26-27 ]@1:27-28 }@0:28-29 .@0:29-29 ", NULL, true);
}

static void scanner_takes_comments_as_elasticsearch_does(void **state)
{
    (void)state;
    check("{/* } */\"a\"://x\n1}", "{@0:0-1 ka@1:8-11 n1@1:16-17 }@0:17-18 .@0:18-18 ", NULL, false);
}

static void scanner_cuts_long_texts_and_says_so(void **state)
{
    (void)state;
    struct trace tr = {0};
    for (size_t step = 1; step < 12; step++) {
        assert_true(scan(&tr, "[\"abcdefgh\",\"ab\"]", 17, step, 4));
        assert_string_equal(buf_text(&tr.out), "[@0:0-1 sabcd~@1:1-11 sab@1:12-16 ]@0:16-17 .@0:17-17 ");
    }
    buf_fini(&tr.out);
}

static void malformed_input_is_refused_by_both(void **state)
{
    (void)state;
    static const char *const bad[] = {"{", "}", "[1,]", "{\"a\"}", "{\"a\":}", "{a:1}", "[1 2]", "\"", "\"\\x\"", "tru", "truex", "01", "-", "1.",
                                      "1e", "+1", "[}", "{\"a\":1,}", "/", "/*", "\"\\u12g4\"", "nul", "[\"a\" \"b\"]", "\"\\"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct trace tr = {0};
        struct arena a;
        arena_init(&a, 0);
        char *copy = malloc(strlen(bad[i]));
        memcpy(copy, bad[i], strlen(bad[i]));
        if (scan(&tr, bad[i], strlen(bad[i]), 1, 100) || json_parse(&a, bytes_of(copy, strlen(bad[i])), NULL))
            fail_msg("accepted: %s", bad[i]);
        free(copy);
        arena_fini(&a);
        buf_fini(&tr.out);
    }
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    static char deep[5000];
    memset(deep, '[', sizeof deep);
    struct trace tr = {0};
    struct arena a;
    arena_init(&a, 0);
    assert_false(scan(&tr, deep, sizeof deep, 100, 10));
    assert_null(json_parse(&a, bytes_of(deep, sizeof deep), NULL));
    arena_fini(&a);
    buf_fini(&tr.out);
}

static struct json *tree(struct arena *a, const char *text)
{
    return json_parse(a, bytes_of_text(text), NULL);
}

static void tree_finds_members_and_paths(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    struct json *j = tree(&a, " {\"a\":{\"b\":[1,{\"c\":\"x\\ty\"}]},\"n\":9007199254740993,\"n\":-7,\"s\":\"12\",\"t\":true} ");
    assert_non_null(j);
    assert_int_equal(json_int(json_member(j, "n"), 0), -7);
    assert_int_equal(json_int(json_member(j, "s"), 0), 12);
    assert_int_equal(json_int(json_path(j, "a.b"), 5), 5);
    assert_true(json_true(json_member(j, "t")));
    assert_true(bytes_equal_text(json_path(j, "a.b")->raw, "[1,{\"c\":\"x\\ty\"}]"));
    assert_true(json_is_text(json_member(json_path(j, "a.b")->first->next, "c"), "x\ty"));
    assert_null(json_path(j, "a.z.q"));
    arena_fini(&a);
}

static void equality_is_of_values(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"1", "1.0", true}, {"1e0", "10e-1", true}, {"100", "1E2", true}, {"0", "-0.0", true}, {"0.001", "1e-3", true},
        {"9007199254740993", "9007199254740992", false}, {"1.10", "1.1", true}, {"12", "1.2", false}, {"0.5", "5e-1", true},
        {"1e400", "1e401", false}, {"-1", "1", false}, {"10.05", "1.005e1", true}, {"105", "1.05", false},
        {"{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", true}, {"{\"a\":1,\"a\":2}", "{\"a\":2}", true}, {"{\"a\":null}", "{}", false},
        {"[1,2]", "[2,1]", false}, {"\"\\u00e9\"", "\"\xc3\xa9\"", true}, {"true", "false", false}, {"[]", "{}", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena a;
        arena_init(&a, 0);
        if (json_equal(tree(&a, rows[i].a), tree(&a, rows[i].b)) != rows[i].equal || json_equal(tree(&a, rows[i].b), tree(&a, rows[i].a)) != rows[i].equal)
            fail_msg("%s %s", rows[i].a, rows[i].b);
        arena_fini(&a);
    }
}

static void large_objects_are_equal_by_members_too(void **state)
{
    (void)state;
    struct buf x = {0}, y = {0};
    for (int i = 0; i < 100; i++) {
        buf_format(&x, "%c\"k%d\":%d", i ? ',' : '{', i, i);
        buf_format(&y, "%c\"k%d\":%d", i ? ',' : '{', 99 - i, 99 - i);
    }
    buf_add_byte(&x, '}');
    buf_add_byte(&y, '}');
    struct arena a;
    arena_init(&a, 0);
    assert_true(json_equal(tree(&a, buf_text(&x)), tree(&a, buf_text(&y))));
    y.at[y.size - 2] = '7';
    assert_false(json_equal(tree(&a, buf_text(&x)), tree(&a, buf_text(&y))));
    arena_fini(&a);
    buf_fini(&x);
    buf_fini(&y);
}

static void written_json_is_valid_utf8(void **state)
{
    (void)state;
    struct buf out = {0};
    json_write_text(&out, bytes_of("a\"\\\n\x01\xff\xc3\xa9\xed\xa0\x80", 11));
    assert_string_equal(buf_text(&out), "\"a\\\"\\\\\\n\\u0001\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    buf_clear(&out);
    struct arena a;
    arena_init(&a, 0);
    json_write(&out, tree(&a, "{ \"a\" : [ 1.50 , {} , [] ], \"b\":null }"));
    assert_string_equal(buf_text(&out), "{\"a\":[1.50,{},[]],\"b\":null}");
    buf_clear(&out);
    json_write_pretty(&out, tree(&a, "{\"a\":[1,2]}"), 2);
    assert_string_equal(buf_text(&out), "{\n  \"a\": [\n    1,\n    2\n  ]\n}");
    arena_fini(&a);
    buf_fini(&out);
}

static void memory_that_runs_out_never_crashes(void **state)
{
    (void)state;
    const char *text = "{\"a\":[\"x\\ny\",{\"b\":\"\\u00e9\"}],\"c\":12345}";
    for (unsigned long nth = 1; nth < 20; nth++) {
        struct arena a;
        struct trace tr = {0};
        arena_init(&a, 0);
        mem_fail_after(nth);
        struct json *j = tree(&a, text);
        struct json_scan *s = json_open(note, &tr, 100);
        if (s)
            json_feed(s, bytes_of_text(text));
        json_close(s);
        mem_fail_after(0);
        (void)j;
        arena_fini(&a);
        buf_fini(&tr.out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scanner_tells_tokens_and_offsets_however_cut),
        cmocka_unit_test(scanner_resolves_escapes),
        cmocka_unit_test(scanner_skips_values_and_containers),
        cmocka_unit_test(scanner_takes_comments_as_elasticsearch_does),
        cmocka_unit_test(scanner_cuts_long_texts_and_says_so),
        cmocka_unit_test(malformed_input_is_refused_by_both),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(tree_finds_members_and_paths),
        cmocka_unit_test(equality_is_of_values),
        cmocka_unit_test(large_objects_are_equal_by_members_too),
        cmocka_unit_test(written_json_is_valid_utf8),
        cmocka_unit_test(long_skips_are_the_same_however_the_input_is_cut),
        cmocka_unit_test(a_container_is_left_behind_a_string),
        cmocka_unit_test(memory_that_runs_out_never_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
