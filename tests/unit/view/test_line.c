// The words of one line of the log.
#include "../../../src/view/line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void documents_are_worked_on_and_hits_are_found(void **state)
{
    (void)state;
    static const struct {
        struct exchange x;
        const char *words;
    } cases[] = {
        {{.docs = -1, .docs_total = 7}, "7 hits"},
        {{.docs = -1, .docs_total = 1}, "1 hit"},
        {{.docs = 0, .docs_total = 0, .flags = EXCHANGE_WRITE}, "0 docs"},
        {{.docs = -1, .docs_total = 5, .flags = EXCHANGE_WRITE}, "5 docs"},
        {{.docs = 5, .docs_total = 5, .docs_failed = 2, .docs_deleted = 3, .flags = EXCHANGE_WRITE}, "5 docs, 2 failed, 3 deleted"},
        {{.docs = 1, .docs_total = -1, .docs_failed = 0, .docs_deleted = 1, .flags = EXCHANGE_WRITE}, "1 doc"},
        {{.docs = -1, .docs_total = -1}, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = {0};
        line_docs(&out, &cases[i].x);
        buf_add_byte(&out, 0);
        assert_string_equal((const char *)out.at, cases[i].words);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(documents_are_worked_on_and_hits_are_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
