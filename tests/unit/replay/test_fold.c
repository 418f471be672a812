// Steps become requests: what is folded, what is left to the target.
#include "../../../src/replay/fold.h"
#include "fake_tape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct tape *tape;
static struct source *source;
static struct plan_step steps[16];
static struct plan_doc doc;
static struct fold_action action;
static struct fold_settings set;

static int setup(void **state)
{
    (void)state;
    tape = fake_open();
    source = source_open(tape);
    doc = (struct plan_doc){.steps = steps, .id = bytes_of_text("a")};
    set = (struct fold_settings){.combine = true};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fold_fini(&action);
    action = (struct fold_action){0};
    source_close(source);
    tape_close(tape);
    return 0;
}

static void step(enum op_kind kind, const char *body, uint32_t op_flags, uint16_t flags)
{
    uint64_t id = 100 + doc.step_count;
    fake_exchange(tape, &(struct exchange){.id = id}, body);
    steps[doc.step_count++] = (struct plan_step){.exchange = id, .kind = (uint8_t)kind, .source_bytes = body ? strlen(body) : 0, .op_flags = op_flags, .flags = flags,
                                                 .result = kind == OP_UPDATE ? OP_UPDATED : OP_CREATED};
}

static void expect(size_t from, enum fold_kind kind, size_t count, const char *body)
{
    struct fault f = {0};
    if (!fold_next(source, &doc, from, &set, &action, &f))
        fail_msg("%s", f.text);
    assert_int_equal(action.kind, kind);
    assert_int_equal(action.steps, count);
    if (body)
        assert_string_equal(buf_text(&action.body), body);
}

static void partial_updates_fold_into_a_full_document(void **state)
{
    (void)state;
    step(OP_INDEX, "{\"a\":1,\"m\":{\"x\":1}}", 0, 0);
    step(OP_UPDATE, "{\"doc\":{\"m\":{\"y\":2}}}", 0, 0);
    step(OP_UPDATE, "{\"doc\":{\"a\":null}}", 0, 0);
    expect(0, FOLD_FULL, 3, "{\"a\":null,\"m\":{\"x\":1,\"y\":2}}");
}

static void an_untouched_document_keeps_its_bytes(void **state)
{
    (void)state;
    step(OP_INDEX, "{ \"n\" : 9223372036854775810.10 }", 0, 0);
    expect(0, FOLD_FULL, 1, "{ \"n\" : 9223372036854775810.10 }");
    assert_true(action.raw);
}

static void scripts_stop_the_folding_and_run_on_the_target(void **state)
{
    (void)state;
    step(OP_INDEX, "{\"a\":1}", 0, 0);
    step(OP_UPDATE, "{\"script\":\"ctx._source.a++\"}", OP_SCRIPTED, 0);
    step(OP_UPDATE, "{\"doc\":{\"b\":1}}", 0, 0);
    expect(0, FOLD_FULL, 1, "{\"a\":1}");
    expect(1, FOLD_UPDATE, 1, "{\"script\":\"ctx._source.a++\"}");
    expect(2, FOLD_UPDATE, 1, "{\"doc\":{\"b\":1}}");
}

static void large_numbers_are_left_to_the_target(void **state)
{
    (void)state;
    step(OP_INDEX, "{\"n\":9223372036854775810}", 0, 0); // trap 7: version 5 makes a string of it
    step(OP_UPDATE, "{\"doc\":{\"b\":1}}", 0, 0);
    expect(0, FOLD_FULL, 1, "{\"n\":9223372036854775810}");
    expect(1, FOLD_UPDATE, 1, "{\"doc\":{\"b\":1}}");
}

static void updates_without_a_base_combine_only_where_that_is_exact(void **state)
{
    (void)state;
    step(OP_UPDATE, "{\"doc\":{\"a\":1}}", 0, 0);
    step(OP_UPDATE, "{\"doc\":{\"b\":{\"x\":1}}}", 0, 0);
    step(OP_UPDATE, "{\"doc\":{\"a\":{\"z\":1}}}", 0, 0); // a map onto what may be a map in the copy
    expect(0, FOLD_UPDATE, 2, "{\"doc\":{\"a\":1,\"b\":{\"x\":1}}}");
    expect(2, FOLD_UPDATE, 1, "{\"doc\":{\"a\":{\"z\":1}}}");
    set.combine = false; // versions are kept: one by one
    expect(0, FOLD_UPDATE, 1, NULL);
}

static void an_upsert_that_inserted_is_a_full_document(void **state)
{
    (void)state;
    step(OP_UPDATE, "{\"doc\":{\"a\":1},\"upsert\":{\"u\":1}}", OP_UPSERT, PLAN_STEP_INSERT);
    step(OP_UPDATE, "{\"doc\":{\"b\":2}}", 0, 0);
    expect(0, FOLD_FULL, 2, "{\"u\":1,\"b\":2}");
    doc.step_count = 0;
    step(OP_UPDATE, "{\"doc\":{\"a\":1},\"doc_as_upsert\":true}", OP_UPSERT, PLAN_STEP_INSERT);
    steps[0].exchange = 110;
    fake_exchange(tape, &(struct exchange){.id = 110}, "{\"doc\":{\"a\":1},\"doc_as_upsert\":true}");
    steps[0].source_bytes = strlen("{\"doc\":{\"a\":1},\"doc_as_upsert\":true}");
    expect(0, FOLD_FULL, 1, "{\"a\":1}");
}

static void an_upsert_after_an_accident_merges_onto_what_is_there(void **state)
{
    (void)state;
    step(OP_INDEX, "{\"a\":1}", 0, 0);
    step(OP_UPDATE, "{\"doc\":{\"b\":2},\"upsert\":{\"u\":1}}", OP_UPSERT, PLAN_STEP_COLLISION);
    expect(0, FOLD_FULL, 2, "{\"a\":1,\"b\":2}");
    expect(1, FOLD_UPDATE, 1, NULL);
    assert_true(action.may_insert);
    assert_string_equal(buf_text(&action.insert), "{\"u\":1}");
}

static void a_body_that_is_gone_is_the_users_to_decide(void **state)
{
    struct fault f = {0};
    (void)state;
    step(OP_INDEX, "{\"a\":1}", 0, 0);
    steps[0].exchange = 999;
    assert_false(fold_next(source, &doc, 0, &set, &action, &f));
    assert_int_equal(f.kind, FAULT_USER);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {T(partial_updates_fold_into_a_full_document), T(an_untouched_document_keeps_its_bytes),
                                       T(scripts_stop_the_folding_and_run_on_the_target), T(large_numbers_are_left_to_the_target),
                                       T(updates_without_a_base_combine_only_where_that_is_exact), T(an_upsert_that_inserted_is_a_full_document),
                                       T(an_upsert_after_an_accident_merges_onto_what_is_there), T(a_body_that_is_gone_is_the_users_to_decide)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
