// Deletes by live traffic on the target: those since the restore are known, those of earlier indices of the name are not believed.
#include "../../../src/base/mem.h"
#include "../../../src/replay/live.h"
#include "fake_tape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define MS(n) (INT64_C(1700000000000000000) + (int64_t)(n) * 1000000)

static struct tape *tape;
static struct plan *plan;
static struct live *live;
static struct preflight_index *copy;

static void put(uint64_t x, const char *name, const char *id, enum op_kind kind, enum op_result result, int64_t seq_no, int ms)
{
    struct op op = {.exchange = x, .kind = kind, .result = result, .index = bytes_of_text(name), .id = bytes_of_text(id), .shard = -1, .version = 1, .seq_no = seq_no,
                    .primary_term = 1, .status = 200, .asked_version = OP_NONE, .source_bytes = 10};
    fake_op(tape, &op, MS(ms), MS(ms + 1));
}

static int setup(void **state)
{
    (void)state;
    struct fault f = {0};
    static const char *names[] = {"cat"};
    static const struct plan_map maps[] = {{"cat", "cat_copy"}};
    tape = fake_open();
    put(1, "cat", "a", OP_INDEX, OP_CREATED, 0, 0);
    struct plan_settings set = {.tape = tape, .index = names, .index_count = 1, .maps = maps, .map_count = 1, .since_ns = WHEN_UNKNOWN, .until_ns = WHEN_UNKNOWN,
                                .memory_bytes = 1 << 20};
    plan = plan_build(&set, &f);
    copy = mem_zero(1, sizeof *copy);
    assert_non_null(plan);
    *copy = (struct preflight_index){.name = "cat_copy", .exists = true, .restored = true, .restored_ns = MS(1000)};
    copy->seam = (struct plan_seam){.to = "cat_copy", .kind = PLAN_SEAM_SEQ, .time_ns = MS(500), .end_ns = MS(600), .route = {.shards = 1}, .max_seq = copy->max_seq};
    copy->max_seq[0] = 40;
    live = live_open(tape, plan);
    assert_non_null(live);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    live_close(live);
    plan_close(plan);
    tape_close(tape);
    mem_free(copy);
    return 0;
}

static bool deleted(const char *id)
{
    struct fault f = {0};
    struct plan_doc doc = {.id = bytes_of_text(id), .shard = 0};
    assert_true(live_refresh(live, copy, 1, &f));
    return live_deleted(live, &doc);
}

static void a_delete_since_the_restore_is_known(void **state)
{
    (void)state;
    put(10, "cat_copy", "a", OP_DELETE, OP_DELETED, 41, 2000);
    put(11, "cat_copy", "b", OP_INDEX, OP_CREATED, 42, 2010);
    assert_true(deleted("a"));
    assert_false(deleted("b"));
    put(12, "cat_copy", "b", OP_UPDATE, OP_DELETED, 43, 2020); // a script
    assert_true(deleted("b"));
}

static void a_delete_that_found_nothing_yet_counts(void **state)
{
    (void)state;
    put(10, "cat_copy", "a", OP_DELETE, OP_NOT_FOUND, 41, 2000);
    assert_true(deleted("a"));
}

static void a_refused_delete_and_other_indices_do_not_count(void **state)
{
    (void)state;
    put(10, "cat_copy", "a", OP_DELETE, OP_FAILED, OP_NONE, 2000);
    put(11, "cat", "a", OP_DELETE, OP_DELETED, 99, 2000);
    assert_false(deleted("a"));
}

static void what_came_before_the_restore_does_not_count(void **state)
{
    (void)state;
    put(10, "cat_copy", "a", OP_DELETE, OP_DELETED, 99, 900); // of an earlier copy of that name
    put(11, "cat_copy", "b", OP_DELETE, OP_DELETED, 40, 2000); // a number that the restored copy holds
    assert_false(deleted("a"));
    assert_false(deleted("b"));
}

static void the_newest_life_of_the_name_bounds_where_no_restore_is_known(void **state)
{
    (void)state;
    copy->restored_ns = WHEN_UNKNOWN;
    copy->seam.kind = PLAN_SEAM_EMPTY;
    put(10, "cat_copy", "a", OP_DELETE, OP_DELETED, 1, 1500);
    assert_false(deleted("a")); // of which index of that name, nothing tells
    fake_life(tape, "cat_copy", 5, MS(1800), true, true);
    put(11, "cat_copy", "b", OP_DELETE, OP_DELETED, 1, 2000);
    assert_false(deleted("a"));
    assert_true(deleted("b"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {T(a_delete_since_the_restore_is_known), T(a_delete_that_found_nothing_yet_counts),
                                       T(a_refused_delete_and_other_indices_do_not_count), T(what_came_before_the_restore_does_not_count),
                                       T(the_newest_life_of_the_name_bounds_where_no_restore_is_known)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
