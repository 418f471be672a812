// Counts of reads come out of the answer however it is cut, and documents that look like counts do not count.
#include "../../../src/es/reads.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>

struct told {
    char text[512];
};

static void on_index(void *ctx, struct bytes name)
{
    struct told *t = ctx;
    sprintf(t->text + strlen(t->text), "%.*s ", (int)name.size, (const char *)name.at);
}

static void on_handle(void *ctx, const char *name, struct bytes value)
{
    struct told *t = ctx;
    sprintf(t->text + strlen(t->text), "%s=%.*s ", name, (int)value.size, (const char *)value.at);
}

static struct reads_result scan(const char *text, size_t piece, struct told *told)
{
    struct reads_result r;
    struct reads *s = reads_open();
    memset(told, 0, sizeof *told);
    reads_on_index(s, on_index, told);
    reads_on_handle(s, on_handle, told);
    for (size_t at = 0; at < strlen(text); at += piece)
        reads_feed(s, bytes_of(text + at, strlen(text) - at < piece ? strlen(text) - at : piece));
    reads_end(s, &r);
    reads_close(s);
    return r;
}

static void counts_are_found_at_every_cut(void **state)
{
    static const struct { const char *text; int64_t total, returned, took; int timed_out; const char *told; } cases[] = {
        {"{\"took\":5,\"timed_out\":false,\"_shards\":{\"total\":2,\"failed\":1},\"hits\":{\"total\":{\"value\":10000,\"relation\":\"gte\"},\"hits\":["
         "{\"_index\":\"a\",\"_id\":\"1\",\"_source\":{\"took\":9,\"hits\":{\"total\":7},\"_index\":\"no\"}},{\"_index\":\"b\",\"_source\":{}},{\"_index\":\"a\"}]}}",
         10000, 3, 5, 0, "a b "},
        {"{\"took\":1,\"timed_out\":true,\"hits\":{\"total\":42,\"max_score\":1.0,\"hits\":[]}}", 42, 0, 1, 1, ""},
        {"{\"count\":17,\"_shards\":{\"failed\":0}}", 17, -1, -1, -1, ""},
        {"{\"_scroll_id\":\"abc\",\"took\":1,\"hits\":{\"total\":1,\"hits\":[{\"_index\":\"x\"}]}}", 1, 1, 1, -1, "_scroll_id=abc x "},
        {"{\"id\":\"pit1\"}", -1, -1, -1, -1, "id=pit1 "},
        {"{\"took\":9,\"responses\":[{\"took\":1,\"hits\":{\"total\":2,\"hits\":[]}},{\"hits\":{\"total\":{\"value\":3},\"hits\":[{\"_index\":\"m\"}]}},{\"error\":{\"type\":\"x\"}}]}",
         5, 1, 9, -1, "m "},
        {"{\"docs\":[{\"_index\":\"a\",\"found\":true,\"_source\":{\"found\":true}},{\"_index\":\"a\",\"found\":false}]}", 1, 1, -1, -1, "a "},
        {"{\"_index\":\"g\",\"_id\":\"1\",\"found\":true,\"_source\":{\"count\":3}}", 1, 1, -1, -1, "g "},
        {"{\"columns\":[{\"name\":\"a\"}],\"rows\":[[1],[2],[3]]}", 3, 3, -1, -1, ""},
        {"{\"took\":4,\"is_partial\":false,\"columns\":[],\"values\":[]}", 0, 0, 4, -1, ""},
        {"{\"id\":\"as1\",\"is_running\":false,\"response\":{\"took\":8,\"timed_out\":false,\"hits\":{\"total\":{\"value\":6,\"relation\":\"eq\"},\"hits\":[]}}}", 6, 0, 8, 0, "id=as1 "},
        {"{\"took\":3,\"timed_out\":false,\"hits\":{\"total\":{\"value\":2,\"relation\":\"eq\"},\"events\":[{\"_index\":\"ev-1\",\"_source\":{}},{\"_index\":\"ev-2\"}]}}", 2, 2, 3, 0, "ev-1 ev-2 "},
        {"{\"took\":3,\"hits\":{\"total\":{\"value\":1},\"sequences\":[{\"join_keys\":[1],\"events\":[{\"_index\":\"ev-1\"}]}]}}", 1, 1, 3, -1, ""},
        {"[{\"count\":\"1\"}]", -1, -1, -1, -1, ""},
        {"{}", -1, -1, -1, -1, ""},
        {"{\"hits\":{\"total\":-1,\"hits\":[]}}", -1, 0, -1, -1, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t piece = 1; piece < 8; piece++) {
            struct told told;
            struct reads_result r = scan(cases[i].text, piece == 7 ? 1 << 20 : piece, &told);
            if (r.hits_total != cases[i].total || r.hits_returned != cases[i].returned || r.took_ms != cases[i].took || r.timed_out != cases[i].timed_out ||
                strcmp(told.text, cases[i].told) != 0 || r.malformed || !r.complete)
                fail_msg("%s in pieces of %zu: total %ld returned %ld took %ld timed out %d told '%s'", cases[i].text, piece, (long)r.hits_total,
                         (long)r.hits_returned, (long)r.took_ms, r.timed_out, told.text);
        }
}

static void answers_of_a_multi_search_that_failed_are_counted(void **state)
{
    static const struct { const char *text; int64_t answers, failed; const char *type; } cases[] = {
        {"{\"took\":9,\"responses\":[{\"took\":1,\"hits\":{\"total\":2,\"hits\":[]},\"status\":200},{\"error\":{\"root_cause\":[{\"type\":\"no\"}],\"type\":\"search_phase\","
         "\"failed_shards\":[{\"reason\":{\"type\":\"no\"}}]},\"status\":400}]}", 2, 1, "search_phase"},
        {"{\"responses\":[{\"error\":{\"type\":\"gone\"},\"status\":404},{\"error\":{\"type\":\"busy\"},\"status\":429},{\"status\":500}]}", 3, 2, "busy"},
        {"{\"responses\":[{\"status\":200,\"hits\":{\"hits\":[{\"status\":500,\"_source\":{\"status\":500,\"error\":{\"type\":\"x\"}}}]}}]}", 1, -1, ""},
        {"{\"status\":500,\"error\":{\"type\":\"x\"}}", -1, -1, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t piece = 1; piece < 8; piece++) {
            struct told told;
            struct reads_result r = scan(cases[i].text, piece == 7 ? 1 << 20 : piece, &told);
            if (r.answers != cases[i].answers || r.answers_failed != cases[i].failed || strcmp(r.error_type, cases[i].type) != 0)
                fail_msg("%s in pieces of %zu: %ld answers, %ld failed, '%s'", cases[i].text, piece, (long)r.answers, (long)r.answers_failed, r.error_type);
        }
}

static void a_cut_answer_keeps_what_came_before(void **state)
{
    struct told told;
    struct reads_result r = scan("{\"took\":5,\"hits\":{\"total\":3,\"hits\":[{\"_index\":\"a\",\"_so", 3, &told);
    (void)state;
    assert_int_equal(r.took_ms, 5);
    assert_int_equal(r.hits_total, 3);
    assert_false(r.complete);
    r = scan("{\"took\":5,,}", 3, &told);
    assert_true(r.malformed);
    assert_int_equal(r.took_ms, 5);
}

static void a_reader_starts_anew_after_reset(void **state)
{
    struct reads *s = reads_open();
    struct reads_result r;
    (void)state;
    reads_feed(s, bytes_of_text("{\"took\":5,\"hits\":{\"to"));
    reads_reset(s);
    reads_feed(s, bytes_of_text("{\"count\":2}"));
    reads_end(s, &r);
    assert_int_equal(r.hits_total, 2);
    assert_int_equal(r.took_ms, -1);
    reads_close(s);
}

static void many_indices_are_told_within_the_bound(void **state)
{
    struct reads *s = reads_open();
    char hit[64];
    struct told told = {""};
    (void)state;
    reads_on_index(s, on_index, &told);
    reads_feed(s, bytes_of_text("{\"hits\":{\"hits\":["));
    for (int i = 0; i < 5000; i++) {
        sprintf(hit, "%s{\"_index\":\"i%d\"}", i ? "," : "", i % 20);
        reads_feed(s, bytes_of_text(hit));
    }
    struct reads_result r;
    reads_end(s, &r);
    assert_int_equal(r.hits_returned, 5000);
    assert_non_null(strstr(told.text, "i19 "));
    reads_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_found_at_every_cut),
        cmocka_unit_test(answers_of_a_multi_search_that_failed_are_counted),
        cmocka_unit_test(a_cut_answer_keeps_what_came_before),
        cmocka_unit_test(a_reader_starts_anew_after_reset),
        cmocka_unit_test(many_indices_are_told_within_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
