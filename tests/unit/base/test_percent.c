// Percent-decoding: escapes of either case, what is no escape, plus signs, and decoding in place.
#include "../../../src/base/percent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void escapes_are_decoded_and_what_is_none_stays(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        bool plus;
        size_t malformed;
    } cases[] = {
        {"", "", false, 0},
        {"plain", "plain", false, 0},
        {"a%20b", "a b", false, 0},
        {"%c3%A9", "\xc3\xa9", false, 0},
        {"a+b", "a+b", false, 0},
        {"a+b", "a b", true, 0},
        {"a%2bb", "a+b", true, 0},       // an escaped plus is a plus
        {"%", "%", false, 1},
        {"%4", "%4", false, 1},
        {"%4g", "%4g", false, 1},
        {"%%41%g1", "%A%g1", false, 2},
        {"%2541", "%41", false, 0},      // once
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t text[32];
        size_t size = strlen(cases[i].from), malformed = 99;
        memcpy(text, cases[i].from, size);
        size_t made = percent_decode(bytes_of(text, size), cases[i].plus, text, &malformed);
        assert_true(bytes_equal_text(bytes_of(text, made), cases[i].to));
        assert_int_equal(malformed, cases[i].malformed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(escapes_are_decoded_and_what_is_none_stays)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
