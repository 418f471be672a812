// Paths, percent-decoding and query strings are read as the node reads them.
#include "../../../src/es/path.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <unistd.h>

// The text flush against a page that must not be touched.
static struct bytes guarded(const char *text)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = strlen(text);
    uint8_t *at = mmap(NULL, page * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(at, MAP_FAILED);
    mprotect(at + page, page, PROT_NONE);
    memcpy(at + page - n, text, n);
    return bytes_of(at + page - n, n);
}

static void assert_text(struct bytes b, const char *text)
{
    if (!bytes_equal_text(b, text))
        fail_msg("'%.*s' is not '%s'", (int)b.size, b.size ? (const char *)b.at : "", text);
}

static void decoding_replaces_what_is_no_utf8_and_keeps_broken_escapes(void **state)
{
    static const struct { const char *raw; bool plus; const char *text; bool malformed; } cases[] = {
        {"plain", true, "plain", false}, {"a%2Cb", false, "a,b", false}, {"a+b", false, "a+b", false}, {"a+b", true, "a b", false},
        {"%2B", true, "+", false}, {"caf%C3%A9", false, "caf\xc3\xa9", false}, {"%ff", false, "\xef\xbf\xbd", false}, {"%C3x", false, "\xef\xbf\xbdx", false},
        {"%E2%82", false, "\xef\xbf\xbd", false}, {"%ED%A0%80", false, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", false}, {"%F0%9F%98%80", false, "\xf0\x9f\x98\x80", false},
        {"%", false, "%", true}, {"a%zz", false, "a%zz", true}, {"%4", false, "%4", true}, {"%%41", false, "%A", true}, {"", false, "", false},
    };
    struct arena a;
    (void)state;
    arena_init(&a, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool malformed;
        assert_text(path_decode(&a, guarded(cases[i].raw), cases[i].plus, &malformed), cases[i].text);
        assert_int_equal(malformed, cases[i].malformed);
    }
    arena_fini(&a);
}

static void a_target_is_cut_into_path_and_query(void **state)
{
    static const struct { const char *target, *path, *query; } cases[] = {
        {"/a/b?c=d&e", "/a/b", "c=d&e"}, {"/a", "/a", ""}, {"/?x", "/", "x"}, {"http://u:p@h:9200/a?b#c", "/a", "b"}, {"http://h", "/", ""},
        {"/a?b=http://x/y", "/a", "b=http://x/y"}, {"", "", ""}, {"*", "*", ""}, {"/a#b?c", "/a", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes path, query;
        path_split(guarded(cases[i].target), &path, &query);
        assert_text(path, cases[i].path);
        assert_text(query, cases[i].query);
    }
}

static void of_a_parameter_given_twice_the_last_decides(void **state)
{
    struct arena a;
    struct path_query q;
    (void)state;
    arena_init(&a, 0);
    path_query_read(&a, guarded("routing=a&routing=b%20c;refresh&op_type=create&version=7&empty=&x=1=2"), &q);
    assert_text(path_query_value(&q, "routing"), "b c");
    assert_true(path_query_true(&q, "refresh", false));
    assert_true(path_query_true(&q, "empty", false));
    assert_false(path_query_true(&q, "absent", false));
    assert_int_equal(path_query_int(&q, "version", -1), 7);
    assert_int_equal(path_query_int(&q, "op_type", -1), -1);
    assert_text(path_query_value(&q, "x"), "1=2");
    assert_null(path_query_find(&q, "y"));
    path_query_read(&a, guarded("wait_for_completion=false"), &q);
    assert_false(path_query_true(&q, "wait_for_completion", true));
    path_query_read(&a, guarded("&&=&;"), &q);
    assert_false(q.cut);
    arena_fini(&a);
}

static void too_many_parameters_are_cut_and_said_so(void **state)
{
    struct arena a;
    struct path_query q;
    char text[4096] = "";
    (void)state;
    arena_init(&a, 0);
    for (int i = 0; i < 1000; i++)
        strcat(text, "a=1&");
    path_query_read(&a, bytes_of_text(text), &q);
    assert_true(q.cut);
    assert_int_equal(q.count, 256);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoding_replaces_what_is_no_utf8_and_keeps_broken_escapes),
        cmocka_unit_test(a_target_is_cut_into_path_and_query),
        cmocka_unit_test(of_a_parameter_given_twice_the_last_decides),
        cmocka_unit_test(too_many_parameters_are_cut_and_said_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
