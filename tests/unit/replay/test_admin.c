// Administrative calls: left out and counted, or made again in their place; a deletion that is made again.
#include "plan_case.h"

static void call(uint64_t id, const char *api, const char *verb, const char *path, int at, const struct bytes *target, const char *body)
{
    fake_exchange(tape, &(struct exchange){.id = id, .time_ns = MS(at), .answered_ns = MS(at + 2), .api = bytes_of_text(api), .verb = bytes_of_text(verb),
                                           .path = bytes_of_text(path), .targets = target, .target_count = target ? 1 : 0, .status = 200}, body);
}

static const char *calls(void) // "api api ..." of the plan's barriers in order
{
    static char text[400];
    text[0] = 0;
    for (size_t i = 0; i < plan_barrier_count(plan); i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "", plan_barrier(plan, i)->api);
    return text;
}

static void recorded(void)
{
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    call(11, "indices.put_settings", "PUT", "/cat/_settings", 20, cat_target, "{\"index.refresh_interval\":\"5s\"}");
    call(12, "indices.update_aliases", "POST", "/_aliases", 30, cat_target, "{\"actions\":[{\"add\":{\"index\":\"cat\",\"alias\":\"c\"}}]}");
    call(13, "ingest.put_pipeline", "PUT", "/_ingest/pipeline/p", 40, NULL, "{\"processors\":[]}");
    call(14, "indices.rollover", "POST", "/cat/_rollover", 45, cat_target, NULL);
    PUT(15, OP_UPDATE, "a", OP_UPDATED, 1, 2, 50);
}

static void without_being_asked_for_they_are_left_out_and_counted(void **state)
{
    (void)state;
    recorded();
    build();
    assert_string_equal(calls(), "");
    assert_int_equal(plan_total(plan)->admin_left, 4);
    assert_int_equal(note(PLAN_NOTE_TOLD), 1);
    assert_null(plan_refusal(plan));
    assert_string_equal(docs, "a:I10,U15");
}

static void they_keep_their_place_between_the_writes(void **state)
{
    (void)state;
    set.admin = true;
    recorded();
    build();
    assert_string_equal(calls(), "indices.put_settings indices.update_aliases ingest.put_pipeline");
    assert_int_equal(plan_total(plan)->admin_left, 1); // rollover makes an index: told
    assert_string_equal(docs, "a:I10 a:U15");          // nothing is reduced across them
    assert_false(plan_changes(plan, 0, 0, UINT32_MAX)); // but they change no document
    assert_int_equal(plan_barrier(plan, 2)->slot_count, 0); // of the cluster
}

static void what_the_copy_holds_and_what_is_skipped_is_not_made_again(void **state)
{
    (void)state;
    static const char *skip[] = {"12"};
    static const int64_t max[1] = {0}, sure[1] = {0};
    static struct plan_seam seam = {.to = "cat", .kind = PLAN_SEAM_SEQ, .end_ns = WHEN_UNKNOWN, .route = {.shards = 1}, .max_seq = max, .sure_seq = sure};
    seam.time_ns = MS(25);
    set.admin = true;
    set.seams = &seam;
    set.seam_count = 1;
    set.skip = skip;
    set.skip_count = 1;
    recorded();
    build();
    assert_string_equal(calls(), "ingest.put_pipeline");
}

static void a_close_that_nothing_reopens_is_left_to_the_user(void **state)
{
    (void)state;
    set.admin = true;
    recorded();
    call(20, "indices.close", "POST", "/cat/_close", 60, cat_target, NULL);
    call(21, "indices.open", "POST", "/cat/_open", 70, cat_target, NULL);
    call(22, "indices.close", "POST", "/cat/_close", 80, cat_target, NULL);
    build();
    assert_string_equal(calls(), "indices.put_settings indices.update_aliases ingest.put_pipeline indices.close indices.open");
    assert_int_equal(plan_total(plan)->admin_left, 2);
}

static void an_unanswered_one_wants_a_decision(void **state)
{
    (void)state;
    set.admin = true;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    fake_exchange(tape, &(struct exchange){.id = 11, .time_ns = MS(20), .answered_ns = WHEN_UNKNOWN, .api = bytes_of_text("indices.put_settings"), .verb = bytes_of_text("PUT"),
                                           .path = bytes_of_text("/cat/_settings"), .targets = cat_target, .target_count = 1, .outcome = OUTCOME_UNANSWERED}, "{}");
    build();
    assert_non_null(strstr(plan_refusal(plan), "--unknown"));
}

static void alias_actions_are_renamed_and_those_of_others_dropped(void **state)
{
    (void)state;
    static const struct plan_map maps[] = {{"cat", "cat_copy"}};
    struct buf out = {0};
    size_t actions;
    set.maps = maps;
    set.map_count = 1;
    set.index_count = 0;
    recorded();
    build();
    assert_true(plan_aliases(plan, MS(30), bytes_of_text("{\"actions\":[{\"add\":{\"index\":\"cat\",\"alias\":\"c\",\"filter\":{\"term\":{\"a\":1}}}},"
                                                          "{\"remove\":{\"indices\":[\"dog\",\"ca*\"],\"alias\":\"d\"}},{\"remove_index\":{\"index\":\"cat\"}},"
                                                          "{\"add\":{\"index\":\"dog\",\"alias\":\"e\"}}]}"), &out, &actions));
    assert_int_equal(actions, 2);
    assert_string_equal(buf_text(&out), "{\"actions\":[{\"add\":{\"index\":\"cat_copy\",\"alias\":\"c\",\"filter\":{\"term\":{\"a\":1}}}},{\"remove\":{\"index\":\"cat_copy\",\"alias\":\"d\"}}]}");
    buf_fini(&out);
}

// ---- deletions --------------------------------------------------------------------------------------------------------

static void a_deletion_made_again_leaves_only_the_last_life(void **state)
{
    (void)state;
    set.admin = true;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    PUT(11, OP_INDEX, "b", OP_CREATED, 1, 1, 10);
    accident(100);
    PUT(61, OP_UPDATE, "a", OP_CREATED, 0, 1, 5000, .flags = OP_UPSERT);
    PUT(62, OP_UPDATE, "a", OP_UPDATED, 1, 2, 5010);
    build();
    assert_null(plan_refusal(plan));
    assert_true(plan_slot(plan, 0)->deleted);
    assert_int_equal(plan_slot(plan, 0)->deletion, 50);
    assert_int_equal(plan_total(plan)->outlived, 2);
    assert_string_equal(docs, "a:U61,U62"); // onto nothing: no collision, no casualty
    assert_int_equal(plan_total(plan)->collisions, 0);
}

static void a_skipped_deletion_is_not_made_again(void **state)
{
    (void)state;
    static const char *skip[] = {"50"};
    set.admin = true;
    set.skip = skip;
    set.skip_count = 1;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    accident(100);
    PUT(61, OP_INDEX, "c", OP_CREATED, 0, 1, 5000);
    build();
    assert_false(plan_slot(plan, 0)->deleted);
    assert_string_equal(docs, "a:I10 c:I61");
}

static void numbers_missing_from_a_deleted_life_refuse_nothing(void **state)
{
    (void)state;
    set.admin = true;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    PUT(11, OP_INDEX, "b", OP_CREATED, 7, 1, 10);
    accident(100);
    PUT(61, OP_INDEX, "c", OP_CREATED, 0, 1, 5000);
    build();
    assert_null(plan_refusal(plan));
    assert_string_equal(docs, "c:I61");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(without_being_asked_for_they_are_left_out_and_counted), T(they_keep_their_place_between_the_writes),
        T(what_the_copy_holds_and_what_is_skipped_is_not_made_again), T(a_close_that_nothing_reopens_is_left_to_the_user), T(an_unanswered_one_wants_a_decision),
        T(alias_actions_are_renamed_and_those_of_others_dropped), T(a_deletion_made_again_leaves_only_the_last_life), T(a_skipped_deletion_is_not_made_again),
        T(numbers_missing_from_a_deleted_life_refuse_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
