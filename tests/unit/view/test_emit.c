// Tests of src/view/emit: nothing that a terminal would obey or hide passes; widths and cuts are right.
#include "../../../src/view/emit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static void text_is(struct bytes from, const char *wanted)
{
    struct buf out = {0};
    emit_text(&out, from);
    assert_string_equal(buf_text(&out), wanted);
    assert_int_equal(emit_columns(from), emit_columns(bytes_of_text(wanted)));
    buf_fini(&out);
}

static void control_characters_are_spelled_out(void **state)
{
    (void)state;
    text_is(bytes_of("a\x1b[31mb\x07\0\r\n\t", 12), "a\\x1b[31mb\\x07\\x00\\r\\n\\t");
    text_is(bytes_of_text("\x7f"), "\\x7f");
    text_is(bytes_of_text("\xc2\x9b" "31m"), "\\u009b31m"); // a CSI in one character
}

static void text_that_reorders_or_hides_is_spelled_out(void **state)
{
    (void)state;
    text_is(bytes_of_text("a\xe2\x80\xae" "b"), "a\\u202eb");
    text_is(bytes_of_text("\xe2\x81\xa6\xe2\x81\xa9"), "\\u2066\\u2069");
    text_is(bytes_of_text("\xe2\x80\x8b\xef\xbb\xbf\xc2\xad"), "\\u200b\\ufeff\\u00ad");
    text_is(bytes_of_text("\xf3\xa0\x81\x81"), "\\U000e0041");
}

static void broken_utf8_is_spelled_byte_by_byte(void **state)
{
    (void)state;
    text_is(bytes_of("\xff\xfe", 2), "\\xff\\xfe");
    text_is(bytes_of("\xc3", 1), "\\xc3");               // cut off
    text_is(bytes_of("\xc0\xaf", 2), "\\xc0\\xaf");      // overlong '/'
    text_is(bytes_of("\xed\xa0\x80", 3), "\\xed\\xa0\\x80"); // a surrogate
    text_is(bytes_of("\xf4\x90\x80\x80", 4), "\\xf4\\x90\\x80\\x80");
}

static void ordinary_text_passes(void **state)
{
    (void)state;
    text_is(bytes_of_text("/catalog/_doc/gr\xc3\xb6\xc3\x9f" "e?x=\"1\"\\"), "/catalog/_doc/gr\xc3\xb6\xc3\x9f" "e?x=\"1\"\\");
    assert_int_equal(emit_columns(bytes_of_text("\xe6\x97\xa5\xe6\x9c\xac")), 4); // two wide characters
    assert_int_equal(emit_columns(bytes_of_text("e\xcc\x81")), 1);                // a combining accent
}

static void every_byte_pair_gives_harmless_text(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 65536; i++) {
        uint8_t pair[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        struct buf out = {0};
        emit_text(&out, bytes_of(pair, 2));
        for (size_t k = 0; k < out.size; k++)
            assert_true(out.at[k] >= 0x20 && out.at[k] != 0x7f);
        for (struct bytes rest = buf_view(&out); rest.size;) {
            struct emit_char c = emit_next(rest);
            assert_true(c.plain && c.size);
            rest = bytes_from(rest, c.size);
        }
        buf_fini(&out);
    }
}

static void input_beside_a_forbidden_page_is_not_overrun(void **state)
{
    (void)state;
    long page = sysconf(_SC_PAGESIZE);
    uint8_t *at = mmap(NULL, 2 * (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(at, MAP_FAILED);
    assert_int_equal(mprotect(at + page, (size_t)page, PROT_NONE), 0);
    static const uint8_t leads[] = {0xc3, 0xe2, 0xf0, 0x41, 0x1b};
    for (size_t i = 0; i < sizeof leads; i++)
        for (size_t size = 1; size < 5; size++) {
            uint8_t *from = at + page - size;
            memset(from, 0x80, size);
            from[size - 1] = leads[i];
            struct buf out = {0};
            emit_text(&out, bytes_of(from, size));
            emit_json(&out, bytes_of(from, size));
            emit_csv(&out, bytes_of(from, size));
            emit_cut(&out, bytes_of(from, size), 3, true);
            buf_fini(&out);
        }
    munmap(at, 2 * (size_t)page);
}

static void cut_text_fits_and_says_so(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wanted;
        size_t columns;
        bool unicode;
    } cases[] = {
        {"abcdef", "abcdef", 6, false}, {"abcdef", "ab...", 5, false}, {"abcdef", "abcd\xe2\x80\xa6", 5, true}, {"abcdef", "..", 2, false},
        {"abcdef", "", 0, true}, {"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", "\xe6\x97\xa5\xe2\x80\xa6", 4, true}, {"a\x1b" "bcdef", "a\\x1b\xe2\x80\xa6", 6, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = {0};
        size_t used = emit_cut(&out, bytes_of_text(cases[i].text), cases[i].columns, cases[i].unicode);
        assert_string_equal(buf_text(&out), cases[i].wanted);
        assert_true(used <= cases[i].columns);
        buf_fini(&out);
    }
}

static void json_keeps_the_meaning_and_escapes_what_a_terminal_obeys(void **state)
{
    (void)state;
    struct buf out = {0};
    emit_json(&out, bytes_of("\"\\\n\t\x1b\x7f\xc2\x9b\xe2\x80\xae\xf3\xa0\x81\x81\xff/", 17));
    assert_string_equal(buf_text(&out), "\"\\\"\\\\\\n\\t\\u001b\\u007f\\u009b\\u202e\\udb40\\udc41\xef\xbf\xbd/\"");
    buf_fini(&out);
}

static void csv_quotes_only_what_must_be(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"plain", "plain"}, {"a,b", "\"a,b\""}, {"say \"x\"", "\"say \"\"x\"\"\""}, {"two\nlines", "\"two\nlines\""}, {"=1+1", "=1+1"}, {"", ""}, {" a", "\" a\""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = {0};
        emit_csv(&out, bytes_of_text(cases[i][0]));
        assert_string_equal(buf_text(&out), cases[i][1]);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_characters_are_spelled_out),
        cmocka_unit_test(text_that_reorders_or_hides_is_spelled_out),
        cmocka_unit_test(broken_utf8_is_spelled_byte_by_byte),
        cmocka_unit_test(ordinary_text_passes),
        cmocka_unit_test(every_byte_pair_gives_harmless_text),
        cmocka_unit_test(input_beside_a_forbidden_page_is_not_overrun),
        cmocka_unit_test(cut_text_fits_and_says_so),
        cmocka_unit_test(json_keeps_the_meaning_and_escapes_what_a_terminal_obeys),
        cmocka_unit_test(csv_quotes_only_what_must_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
