// Reads as witnesses of unanswered writes: what they show, and what they do not.
#include "plan_case.h"

static void get(uint64_t id, const char *verb, const char *path, int at, int status, const char *reason)
{
    fake_exchange(tape, &(struct exchange){.id = id, .time_ns = MS(at), .answered_ns = MS(at + 2), .api = bytes_of_text(*verb == 'H' ? "exists" : "get"), .verb = bytes_of_text(verb),
                                           .path = bytes_of_text(path), .targets = cat_target, .target_count = 1, .status = status, .reason = bytes_of_text(reason ? reason : "")}, NULL);
}

static void unanswered(enum op_kind kind, const char *document, int at)
{
    PUT(20, kind, document, OP_UNKNOWN, OP_NONE, 0, at, -1);
    PUT(30, OP_INDEX, "other", OP_CREATED, 9, 1, at + 1000); // more holes than writes: they show nothing
    set.allow_gaps = true;
}

static void a_read_that_finds_it_shows_that_a_create_happened(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "b", OP_CREATED, 0, 1, 0);
    unanswered(OP_CREATE, "a b", 100);
    get(21, "GET", "/cat/_doc/a%20b?preference=x", 200, 200, NULL);
    build();
    assert_int_equal(plan_total(plan)->judged_done, 1);
    assert_int_equal(plan_total(plan)->unknown, 0);
    assert_string_equal(docs, "b:I10 a b:C20 other:I30");
}

static void a_head_that_finds_it_counts_too(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "b", OP_CREATED, 0, 1, 0);
    unanswered(OP_INDEX, "a", 100);
    get(21, "HEAD", "/cat/_doc/a", 200, 200, NULL);
    build();
    assert_int_equal(plan_total(plan)->judged_done, 1);
}

static void a_read_that_finds_nothing_shows_that_a_delete_happened(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    unanswered(OP_DELETE, "a", 100);
    get(21, "GET", "/cat/_doc/a", 200, 404, NULL);
    build();
    assert_int_equal(plan_total(plan)->judged_done, 1);
}

static void reads_that_others_can_explain_show_nothing(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0); // it was there before
    unanswered(OP_INDEX, "a", 100);
    get(21, "GET", "/cat/_doc/a", 200, 200, NULL);      // so this shows nothing
    get(22, "GET", "/cat/_doc/other+one", 210, 200, NULL);
    get(23, "HEAD", "/cat/_doc/a", 220, 404, NULL);     // the index may be missing
    get(24, "GET", "/cat/_doc/a", 230, 404, "index_not_found_exception");
    build();
    assert_int_equal(plan_total(plan)->judged_done, 0);
    assert_int_equal(plan_total(plan)->unknown, 1);
}

static void a_read_before_the_write_or_behind_the_next_shows_nothing(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "b", OP_CREATED, 0, 1, 0);
    unanswered(OP_CREATE, "a", 100);
    get(9, "GET", "/cat/_doc/a", 50, 200, NULL);
    PUT(22, OP_INDEX, "a", OP_UNKNOWN, OP_NONE, 0, 150, -1); // may have made it as well
    get(23, "GET", "/cat/_doc/a", 200, 200, NULL);
    build();
    assert_int_equal(plan_total(plan)->unknown, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_read_that_finds_it_shows_that_a_create_happened), T(a_head_that_finds_it_counts_too), T(a_read_that_finds_nothing_shows_that_a_delete_happened),
        T(reads_that_others_can_explain_show_nothing), T(a_read_before_the_write_or_behind_the_next_shows_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
