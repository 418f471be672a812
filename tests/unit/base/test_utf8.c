// UTF-8: what is well formed, how many bytes of what is not stand for one U+FFFD, and writing it.
#include "../../../src/base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void characters_are_as_long_as_the_standard_says(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t left, length, bad;
    } cases[] = {
        {"a", 1, 1, 0},
        {"\xc3\xa9", 2, 2, 0},
        {"\xc3\xa9", 1, 0, 1},              // cut
        {"\xc0\x80", 2, 0, 1},              // longer than needed
        {"\xe6\x97\xa5", 3, 3, 0},
        {"\xe6\x97\xa5", 2, 0, 2},
        {"\xe0\x80\x80", 3, 0, 1},
        {"\xed\xa0\x80", 3, 0, 1},          // a surrogate
        {"\xf0\x9f\x98\x80", 4, 4, 0},
        {"\xf0\x9f\x98\x41", 4, 0, 3},
        {"\xf0\x80\x80\x80", 4, 0, 1},
        {"\xf4\x90\x80\x80", 4, 0, 1},      // past U+10FFFF
        {"\xf5\x80\x80\x80", 4, 0, 1},
        {"\x80", 1, 0, 1},
        {"", 0, 0, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t bad = 0;
        assert_int_equal(utf8_length((const uint8_t *)cases[i].text, cases[i].left, &bad), cases[i].length);
        if (!cases[i].length)
            assert_int_equal(bad, cases[i].bad);
    }
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x110000; code++) {
        uint8_t bytes[4];
        if (code >= 0xd800 && code < 0xe000)
            continue;
        size_t size = utf8_put(bytes, code);
        assert_int_equal(utf8_length(bytes, size, NULL), size);
        if (size > 1)
            assert_int_equal(utf8_length(bytes, size - 1, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_are_as_long_as_the_standard_says),
        cmocka_unit_test(what_is_written_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
