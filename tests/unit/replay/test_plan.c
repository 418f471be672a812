// What the plan makes of recorded operations: order, reduction, accidents, judgement. One test per promise or trap.
#include "plan_case.h"

// ---- order and reduction ----------------------------------------------------------------------------------------------

static void order_is_the_clusters_not_the_wires(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_UPDATED, 5, 2, 0, 500); // a slow bulk, overtaken (trap 1)
    PUT(11, OP_INDEX, "a", OP_CREATED, 1, 1, 10, 20);
    PUT(12, OP_UPDATE, "a", OP_UPDATED, 7, 3, 30, 40);
    build();
    assert_string_equal(docs, "a:I10,U12");
}

static void higher_primary_term_wins_over_number(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 9, 1, 0, .term = 1);
    PUT(11, OP_INDEX, "a", OP_UPDATED, 8, 2, 10, .term = 2);
    build();
    assert_string_equal(docs, "a:I11");
}

static void full_write_or_delete_makes_the_past_unnecessary(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    PUT(11, OP_UPDATE, "a", OP_UPDATED, 1, 2, 10, .flags = OP_SCRIPTED);
    PUT(12, OP_INDEX, "a", OP_UPDATED, 2, 3, 20);
    PUT(13, OP_UPDATE, "a", OP_UPDATED, 3, 4, 30);
    PUT(14, OP_CREATE, "b", OP_CREATED, 4, 1, 40);
    PUT(15, OP_DELETE, "b", OP_DELETED, 5, 2, 50);
    build();
    assert_string_equal(docs, "a:I12,U13 b:D15");
}

static void refused_dropped_and_noop_items_are_left_out(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    PUT(11, OP_UPDATE, "a", OP_NOOP, 0, 1, 10);
    PUT(12, OP_CREATE, "a", OP_FAILED, OP_NONE, 0, 20, .error = "version_conflict_engine_exception");
    PUT(13, OP_UPDATE, "z", OP_FAILED, OP_NONE, 0, 30, .error = "document_missing_exception");
    PUT(14, OP_INDEX, "b", OP_FAILED, OP_NONE, 0, 40, .error = "es_rejected_execution_exception");
    PUT(15, OP_INDEX, "c", OP_DROPPED, OP_NONE, 0, 50);
    build();
    assert_string_equal(docs, "a:I10");
    assert_null(plan_refusal(plan));
    assert_int_equal(plan_total(plan)->refused, 3);
    assert_int_equal(plan_total(plan)->noops, 1);
}

static void script_then_delete_drops_both(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_UPDATE, "a", OP_CREATED, 0, 1, 0, .flags = OP_SCRIPTED | OP_UPSERT);
    PUT(11, OP_DELETE, "a", OP_DELETED, 1, 2, 10); // trap 3: the delete stands for both
    build();
    assert_string_equal(docs, "a:D11");
}

static void script_that_deleted_is_a_delete(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    PUT(11, OP_UPDATE, "a", OP_DELETED, 1, 2, 10, .flags = OP_SCRIPTED);
    build();
    assert_string_equal(docs, "a:U11");
}

static void same_id_on_two_shards_is_two_documents(void **state)
{
    (void)state;
    fake_exchange(tape, &(struct exchange){.id = 1, .time_ns = MS(-1000), .answered_ns = MS(-990), .api = bytes_of_text("indices.create"),
                                           .targets = cat_target, .target_count = 1, .status = 200,
                                           .server_version = 60809}, "{\"settings\":{\"index\":{\"number_of_shards\":5}}}");
    fake_life(tape, "cat", 1, MS(-995), true, true);
    PUT(10, OP_INDEX, "1", OP_CREATED, 0, 1, 0);                                   // shard 3
    PUT(11, OP_INDEX, "1", OP_CREATED, 0, 1, 10, .routing = "hello");              // another shard
    PUT(12, OP_DELETE, "1", OP_DELETED, 1, 2, 20);                                 // trap 4: meets the first only
    build();
    assert_string_equal(docs, "1:I11 1:D12");
}

static void forgotten_routing_meets_the_document_where_shards_agree(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "1", OP_CREATED, 0, 1, 0, .routing = "hello");
    PUT(11, OP_DELETE, "1", OP_DELETED, 1, 2, 10);
    build();
    assert_string_equal(docs, "1:D11");
}

static void without_numbers_the_version_chain_decides(void **state)
{
    (void)state;
    PUT(10, OP_INDEX, "a", OP_UPDATED, OP_NONE, 3, 0, 100); // version 5: overlapping writes
    PUT(11, OP_INDEX, "a", OP_UPDATED, OP_NONE, 2, 5, 110);
    PUT(12, OP_INDEX, "a", OP_CREATED, OP_NONE, 1, 6, 90);
    build();
    assert_string_equal(docs, "a:I10");
    assert_int_equal(check_life(plan_check(plan), 0)->verdict, CHECK_NO_PROOF);
    assert_int_equal(check_life(plan_check(plan), 0)->chains_proven, 1);
}

static void late_recreation_restarts_the_chain(void **state)
{
    (void)state;
    PUT(10, OP_INDEX, "a", OP_UPDATED, OP_NONE, 7, 0);
    PUT(11, OP_DELETE, "a", OP_DELETED, OP_NONE, 8, 10);
    PUT(12, OP_INDEX, "a", OP_CREATED, OP_NONE, 1, 100000);
    build();
    assert_string_equal(docs, "a:I12");
    assert_int_equal(check_life(plan_check(plan), 0)->chains_broken, 0);
}

// ---- filtered answers -------------------------------------------------------------------------------------------------

static void filtered_ids_are_minted_the_same_every_time(void **state)
{
    (void)state;
    char *first;
    struct fault f;
    PUT(10, OP_INDEX, "", OP_ACCEPTED, OP_NONE, 0, 0, .flags = OP_ID_UNKNOWN);
    PUT(10, OP_INDEX, "", OP_ACCEPTED, OP_NONE, 0, 0, .flags = OP_ID_UNKNOWN, .item = 1);
    build();
    first = strdup(docs);
    assert_int_equal(strlen(first), 2 * 24 + 1);
    assert_int_equal(plan_total(plan)->minted, 2);
    assert_int_not_equal(strncmp(first, first + 25, 20), 0);
    plan_close(plan);
    free(docs);
    build();
    assert_string_equal(docs, first);
    free(first);
    (void)f;
}

// ---- barriers ---------------------------------------------------------------------------------------------------------

static void nothing_crosses_a_barrier(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    fake_exchange(tape, &(struct exchange){.id = 11, .time_ns = MS(20), .answered_ns = MS(40), .api = bytes_of_text("update_by_query"),
                                           .targets = cat_target, .target_count = 1, .status = 200,
                                           .verb = bytes_of_text("POST"), .path = bytes_of_text("/cat/_update_by_query"), .docs_total = 1, .docs_ok = 1}, "{}");
    PUT(12, OP_INDEX, "a", OP_UPDATED, 2, 3, 50);
    build();
    assert_string_equal(docs, "a:I10 a:I12");
    assert_int_equal(plan_barrier_count(plan), 1);
    assert_int_equal(check_life(plan_check(plan), 0)->verdict, CHECK_EXPLAINED); // number 1 is the query's
}

// ---- the end of the range ---------------------------------------------------------------------------------------------

static void call(uint64_t id, int start_ms, int end_ms)
{
    fake_exchange(tape, &(struct exchange){.id = id, .time_ns = MS(start_ms), .answered_ns = MS(end_ms), .api = bytes_of_text("update_by_query"), .targets = cat_target, .target_count = 1,
                                           .status = 200, .verb = bytes_of_text("POST"), .path = bytes_of_text("/cat/_update_by_query"), .docs_total = 1, .docs_ok = 1}, "{}");
}

static void a_call_that_took_hours_is_taken_once_by_plans_that_follow(void **state)
{
    (void)state;
    one_shard();
    set.seen = plan_seen_open(1);
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    PUT(500000, OP_INDEX, "a", OP_UPDATED, 1, 2, 9000000); // far behind it by number and by time
    build();
    assert_int_equal(plan_barrier_count(plan), 0);
    call(11, 20, 9000100); // asked early, on the tape only now
    PUT(500001, OP_INDEX, "a", OP_UPDATED, 3, 4, 9000200);
    for (int round = 0; round < 2; round++) {
        plan_close(plan);
        free(docs);
        build();
        assert_int_equal(plan_barrier_count(plan), round == 0);
    }
    assert_int_equal(plan_seen_highest(plan, "cat", 0), 3);
    plan_close(plan);
    plan = NULL;
    plan_seen_close(set.seen);
}

// A write of that moment is left out, too: a call must not overtake it.
static void a_call_of_this_moment_is_left_to_the_next_plan_that_follows(void **state)
{
    (void)state;
    one_shard();
    set.seen = plan_seen_open(1);
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    int64_t now_ns = clock_now_ns();
    fake_exchange(tape, &(struct exchange){.id = 11, .time_ns = now_ns, .answered_ns = now_ns, .api = bytes_of_text("update_by_query"), .targets = cat_target, .target_count = 1,
                                           .status = 200, .verb = bytes_of_text("POST"), .path = bytes_of_text("/cat/_update_by_query"), .docs_total = 1, .docs_ok = 1}, "{}");
    build();
    assert_int_equal(plan_barrier_count(plan), 0);
    set.whole_until_ns = now_ns; // known to be there with all before it
    plan_close(plan);
    free(docs);
    build();
    assert_int_equal(plan_barrier_count(plan), 1);
    plan_close(plan);
    plan = NULL;
    plan_seen_close(set.seen);
}

static bool see_source(void *ctx, uint32_t slot, const struct tape_op *op)
{
    (void)slot;
    buf_format(ctx, "%llu ", (unsigned long long)op->op.exchange);
    return true;
}

static void a_write_refused_by_a_conflict_still_decides_types_and_one_refused_by_the_mapper_does_not(void **state)
{
    (void)state;
    struct buf seen = {0};
    struct fault f = {0};
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    PUT(11, OP_CREATE, "a", OP_FAILED, OP_NONE, 0, 10, .error = "version_conflict_engine_exception");
    PUT(12, OP_INDEX, "b", OP_FAILED, OP_NONE, 0, 20, .error = "mapper_parsing_exception");
    build();
    assert_true(plan_sources(plan, see_source, &seen, &f));
    assert_string_equal(buf_text(&seen), "10 11 ");
    buf_fini(&seen);
}

static void before_keeps_the_whole_life_and_nothing_of_the_next(void **state)
{
    (void)state;
    one_shard();
    set.before = "50";
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    PUT(51, OP_INDEX, "b", OP_CREATED, 1, 1, 101, 103); // asked after the DELETE, done before it
    accident(100);
    PUT(60, OP_INDEX, "a", OP_CREATED, 0, 1, 115);
    PUT(61, OP_INDEX, "c", OP_CREATED, 1, 1, 5000);
    build();
    assert_string_equal(docs, "a:I10 b:I51");
    assert_null(plan_refusal(plan));
}

static void a_rebirth_that_each_tap_concludes_is_one_life(void **state)
{
    (void)state;
    static const char *skip[] = {"50"};
    one_shard();
    set.skip = skip;
    set.skip_count = 1;
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    accident(100);
    PUT(60, OP_INDEX, "b", OP_CREATED, 0, 1, 115);
    PUT(61, OP_INDEX, "c", OP_CREATED, 1, 1, 130);
    fake_life_of(tape, 1, "cat", 61, MS(135), true, false);
    build();
    assert_null(plan_refusal(plan));
    assert_string_equal(docs, "a:I10 b:I60 c:I61");
}

static void twenty_writes_before_the_accident(void)
{
    one_shard();
    set.before = "50";
    for (int i = 0; i < 20; i++)
        PUT(10 + (uint64_t)i, OP_INDEX, "a", OP_UPDATED, i, i + 1, i);
    accident(100);
}

static void an_early_write_of_the_new_life_belongs_to_it_in_whatever_order_tapes_are_read(void **state)
{
    (void)state;
    twenty_writes_before_the_accident();
    for (int i = 0; i < 40; i++)
        if (i != 7)
            PUT(60 + (uint64_t)i, OP_INDEX, "b", OP_UPDATED, i, i + 1, 115 + i);
    PUT(200, OP_INDEX, "c", OP_CREATED, 7, 1, 101, 130); // the other tape's: asked before the first answer of the new life
    build();
    assert_null(plan_refusal(plan));
    assert_string_equal(docs, "a:I29");
}

static void a_number_below_those_the_old_life_had_answered_is_of_the_new_one(void **state)
{
    (void)state;
    twenty_writes_before_the_accident();
    PUT(60, OP_INDEX, "b", OP_CREATED, 0, 1, 102, 120);
    PUT(61, OP_INDEX, "c", OP_CREATED, 15, 1, 103, 140); // under way at the deletion, and as near to 20 as to 1
    PUT(62, OP_INDEX, "d", OP_CREATED, 20, 1, 104, 118); // what the old life goes on with
    build();
    assert_null(plan_refusal(plan));
    assert_string_equal(docs, "a:I29 d:I62");
}

static void a_missing_index_that_another_tap_answered_late_ends_no_new_life(void **state)
{
    (void)state;
    static const char *skip[] = {"50"};
    one_shard();
    set.skip = skip;
    set.skip_count = 1;
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    accident(100);
    PUT(60, OP_INDEX, "b", OP_CREATED, 0, 1, 115);
    fake_exchange(tape, &(struct exchange){.id = 70, .time_ns = MS(112), .answered_ns = MS(123), .api = bytes_of_text("update"), .verb = bytes_of_text("POST"), .status = 404,
                                           .targets = cat_target, .target_count = 1, .outcome = OUTCOME_FAILED}, NULL);
    fake_life_of(tape, 1, "cat", 70, MS(123), false, false);
    PUT(61, OP_INDEX, "c", OP_CREATED, 1, 1, 130);
    fake_life_of(tape, 1, "cat", 61, MS(135), true, false);
    build();
    assert_null(plan_refusal(plan));
    assert_string_equal(docs, "a:I10 b:I60 c:I61");
}

static void a_deletion_that_is_neither_skipped_nor_the_end_refuses(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    accident(100);
    PUT(61, OP_INDEX, "c", OP_CREATED, 0, 1, 5000);
    build();
    assert_non_null(plan_refusal(plan));
    assert_non_null(strstr(plan_refusal(plan), "--skip 50"));
}

// ---- the second life --------------------------------------------------------------------------------------------------

static void skip_50(void)
{
    static const char *skip[] = {"50"};
    set.skip = skip;
    set.skip_count = 1;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    PUT(11, OP_INDEX, "b", OP_CREATED, 1, 1, 10);
    accident(100);
}

static void skip_continues_into_the_second_life(void **state)
{
    (void)state;
    skip_50();
    PUT(60, OP_INDEX, "a", OP_CREATED, 0, 1, 20000);
    PUT(61, OP_DELETE, "b", OP_NOT_FOUND, 1, 1, 20010); // accepted: it matters
    build();
    assert_string_equal(docs, "a:I60 b:D61");
    assert_null(plan_refusal(plan));
}

static void noop_of_the_second_life_is_folded(void **state)
{
    (void)state;
    skip_50();
    PUT(60, OP_UPDATE, "a", OP_CREATED, 0, 1, 20000, .flags = OP_UPSERT);
    PUT(61, OP_UPDATE, "a", OP_NOOP, 0, 1, 20010);
    build();
    assert_string_equal(docs, "a:I10,U60,U61 b:I11");
    assert_int_equal(plan_total(plan)->collisions, 1); // the upsert inserted where it would have merged
}

static void an_upsert_that_inserted_is_a_collision_only_perhaps_where_the_copy_decides(void **state)
{
    (void)state;
    skip_50();
    PUT(60, OP_UPDATE, "zz", OP_CREATED, 0, 1, 20000, .flags = OP_UPSERT); // may be in the restored copy
    build();
    assert_int_equal(plan_total(plan)->collisions, 0);
    assert_int_equal(plan_total(plan)->collisions_possible, 1);
    assert_int_equal(plan_note_total(plan, PLAN_NOTE_COLLISION), 1);
}

static void casualties_are_listed_and_applied_on_demand(void **state)
{
    (void)state;
    skip_50();
    PUT(60, OP_UPDATE, "a", OP_FAILED, OP_NONE, 0, 20000, .error = "document_missing_exception");
    PUT(61, OP_DELETE, "b", OP_FAILED, OP_NONE, 0, 110, .error = "index_not_found_exception");
    PUT(62, OP_UPDATE, "zz", OP_FAILED, OP_NONE, 0, 20010, .error = "document_missing_exception"); // may be in the restored copy
    build();
    assert_string_equal(docs, "a:I10 b:I11");
    assert_int_equal(plan_total(plan)->casualties, 2);
    assert_int_equal(plan_total(plan)->casualties_possible, 1);
    plan_close(plan);
    free(docs);
    set.casualties_apply = true;
    build();
    assert_string_equal(docs, "a:I10,U60 b:D61 zz:U62");
}

// What is noted as applied is a number in a life: the second life's numbers begin anew.
static void a_refused_write_of_the_second_life_does_not_move_the_document_into_it(void **state)
{
    (void)state;
    struct fault f;
    struct plan_doc d;
    skip_50();
    build();
    assert_true(plan_rewind(plan, &f) && plan_next(plan, &d, &f));
    int64_t first = d.life, number = d.steps[d.step_count - 1].seq_no;
    plan_close(plan);
    free(docs);
    PUT(60, OP_UPDATE, "a", OP_FAILED, OP_NONE, 0, 20000, .error = "document_missing_exception");
    build();
    assert_true(plan_rewind(plan, &f) && plan_next(plan, &d, &f));
    assert_true(bytes_equal_text(d.id, "a") && d.life == first && d.steps[d.step_count - 1].seq_no == number);
    plan_close(plan);
    free(docs);
    PUT(61, OP_INDEX, "a", OP_CREATED, 0, 1, 20010);
    build();
    assert_true(plan_rewind(plan, &f));
    do // by place: it stands behind b now
        assert_true(plan_next(plan, &d, &f));
    while (d.step_count && !bytes_equal_text(d.id, "a"));
    assert_true(d.life > first && d.steps[0].exchange == 61);
}

static void refused_either_way_is_left_out(void **state)
{
    (void)state;
    skip_50();
    PUT(60, OP_CREATE, "a", OP_CREATED, 0, 1, 20000);                                                              // collision: newest data wins
    PUT(61, OP_CREATE, "a", OP_FAILED, OP_NONE, 0, 20010, .error = "version_conflict_engine_exception");            // refused in both lives
    PUT(62, OP_DELETE, "b", OP_NOT_FOUND, 1, 1, 20020);
    PUT(63, OP_UPDATE, "b", OP_FAILED, OP_NONE, 0, 20030, .error = "document_missing_exception");                   // gone in both
    build();
    assert_string_equal(docs, "a:C60 b:D62");
    assert_int_equal(plan_total(plan)->collisions, 1);
    assert_int_equal(plan_total(plan)->casualties, 0);
    assert_int_equal(plan_total(plan)->left_out_refused, 2);
}

static void alias_that_became_an_index_belongs_to_the_index_it_meant(void **state)
{
    static const char *index[] = {"cat_v1"}, *skip[] = {"50"};
    (void)state;
    set.index = index;
    set.skip = skip;
    set.skip_count = 1;
    fake_resolution(tape, "cat", "cat_v1", MS(-5000));
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0, .index = "cat_v1");
    fake_exchange(tape, &(struct exchange){.id = 50, .time_ns = MS(100), .answered_ns = MS(101), .api = bytes_of_text("indices.delete"),
                                           .targets = cat_v1_target, .target_count = 1}, NULL);
    fake_life(tape, "cat_v1", 50, MS(100), false, true);
    fake_life(tape, "cat", 60, MS(200), true, false);
    PUT(60, OP_INDEX, "a", OP_CREATED, 0, 1, 200, .index = "cat");
    PUT(61, OP_INDEX, "n", OP_CREATED, 1, 1, 210, .index = "cat");
    build();
    assert_string_equal(docs, "a:I60 n:I61");
    assert_int_equal(plan_slot_count(plan), 1);
    assert_int_equal(plan_total(plan)->redirected, 2);
}

static void skipped_bulk_leaves_its_items_out(void **state)
{
    static const char *skip[] = {"11"};
    (void)state;
    one_shard();
    set.skip = skip;
    set.skip_count = 1;
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    PUT(11, OP_DELETE, "a", OP_DELETED, 1, 2, 10);
    PUT(12, OP_UPDATE, "a", OP_FAILED, OP_NONE, 0, 20, .error = "document_missing_exception");
    build();
    assert_string_equal(docs, "a:I10");
    assert_int_equal(plan_total(plan)->casualties, 1);
}

// ---- what the restored copy holds -------------------------------------------------------------------------------------

// A copy of the one shard, taken at 25 ms.
static void copy_holds(const int64_t *max, const int64_t *sure)
{
    static struct plan_seam seam;
    seam = (struct plan_seam){.to = "cat", .kind = PLAN_SEAM_SEQ, .time_ns = MS(25), .end_ns = MS(26), .route = {.shards = 1}, .max_seq = max, .sure_seq = sure};
    set.seams = &seam;
    set.seam_count = 1;
}

static void held_operations_are_not_applied_twice(void **state)
{
    static const int64_t max[] = {2};
    (void)state;
    one_shard();
    copy_holds(max, max);
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    PUT(11, OP_INDEX, "b", OP_CREATED, 1, 1, 10);
    PUT(12, OP_UPDATE, "a", OP_UPDATED, 2, 2, 20);
    PUT(13, OP_UPDATE, "a", OP_UPDATED, 3, 3, 30);
    build();
    assert_string_equal(docs, "a:U13");
    assert_int_equal(plan_total(plan)->held, 3);
}

static void an_unanswered_write_before_a_held_one_is_held(void **state)
{
    static const int64_t max[] = {2};
    (void)state;
    one_shard();
    copy_holds(max, max);
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    PUT(11, OP_INDEX, "a", OP_UNKNOWN, OP_NONE, 0, 10, -1); // trap 2
    PUT(12, OP_INDEX, "a", OP_UPDATED, 2, 3, 20);
    build();
    assert_string_equal(docs, "");
    assert_null(plan_refusal(plan));
}

static void the_uncertain_zone_is_marked_for_comparison(void **state)
{
    static const int64_t max[] = {5}, sure[] = {0};
    struct plan_doc d;
    struct fault f;
    (void)state;
    one_shard();
    copy_holds(max, sure);
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    PUT(11, OP_INDEX, "a", OP_UPDATED, 1, 2, 10);
    build();
    assert_string_equal(docs, "a:I11");
    assert_true(plan_rewind(plan, &f) && plan_next(plan, &d, &f));
    assert_true(d.steps[0].flags & PLAN_STEP_UNSURE);
    assert_int_equal(d.held_seq, 0);
}

// ---- unanswered writes ------------------------------------------------------------------------------------------------

static void unknown_refuses_unless_the_user_decides(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    PUT(11, OP_INDEX, "b", OP_UNKNOWN, OP_NONE, 0, 10, -1);
    build();
    assert_non_null(plan_refusal(plan));
    assert_non_null(strstr(plan_refusal(plan), "--unknown=skip"));
    plan_close(plan);
    free(docs);
    set.unknown = PLAN_UNKNOWN_APPLY;
    build();
    assert_string_equal(docs, "a:I10 b:I11");
    assert_null(plan_refusal(plan));
    plan_close(plan);
    free(docs);
    set.unknown = PLAN_UNKNOWN_SKIP;
    build();
    assert_string_equal(docs, "a:I10");
    assert_null(plan_refusal(plan));
}

static void a_hole_of_the_right_size_shows_that_it_happened(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    PUT(11, OP_INDEX, "b", OP_UNKNOWN, OP_NONE, 0, 10, -1);
    PUT(12, OP_INDEX, "c", OP_CREATED, 2, 1, 20);
    build();
    assert_string_equal(docs, "a:I10 b:I11 c:I12");
    assert_int_equal(plan_total(plan)->judged_done, 1);
    assert_null(plan_refusal(plan));
}

static void dense_numbers_long_after_show_that_it_did_not(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    PUT(11, OP_INDEX, "b", OP_UNKNOWN, OP_NONE, 0, 10, -1);
    PUT(12, OP_INDEX, "c", OP_CREATED, 1, 1, 200000);
    build();
    assert_string_equal(docs, "a:I10 c:I12");
    assert_int_equal(plan_total(plan)->judged_not_done, 1);
}

static void the_next_version_judges_an_unanswered_write(void **state)
{
    (void)state;
    PUT(10, OP_INDEX, "a", OP_CREATED, OP_NONE, 1, 0); // no numbers: versions alone
    PUT(11, OP_INDEX, "a", OP_UNKNOWN, OP_NONE, 0, 10, -1);
    PUT(12, OP_UPDATE, "a", OP_UPDATED, OP_NONE, 3, 20);
    PUT(13, OP_INDEX, "b", OP_CREATED, OP_NONE, 1, 0);
    PUT(14, OP_INDEX, "b", OP_UNKNOWN, OP_NONE, 0, 10, -1);
    PUT(15, OP_UPDATE, "b", OP_UPDATED, OP_NONE, 2, 20);
    build();
    assert_string_equal(docs, "a:I11,U12 b:I13,U15");
    assert_null(plan_refusal(plan));
}

static void versions_say_nothing_across_a_by_query_call(void **state)
{
    (void)state;
    PUT(10, OP_INDEX, "a", OP_CREATED, OP_NONE, 1, 0);
    fake_exchange(tape, &(struct exchange){.id = 11, .time_ns = MS(5), .answered_ns = MS(8), .api = bytes_of_text("update_by_query"), .verb = bytes_of_text("POST"),
                                           .path = bytes_of_text("/cat/_update_by_query"), .targets = cat_target, .target_count = 1, .outcome = OUTCOME_OK, .status = 200}, "{}");
    PUT(12, OP_INDEX, "a", OP_UNKNOWN, OP_NONE, 0, 10, -1);
    PUT(13, OP_UPDATE, "a", OP_UPDATED, OP_NONE, 3, 20); // 2 was the call's, or the unanswered write's
    build();
    assert_int_equal(plan_total(plan)->unknown, 1);
    assert_int_equal(plan_total(plan)->judged_done, 0);
}

static void a_retry_that_met_a_conflict_shows_that_the_first_was_done(void **state)
{
    (void)state;
    PUT(10, OP_DELETE, "a", OP_NOT_FOUND, OP_NONE, 1, 0);
    PUT(11, OP_CREATE, "a", OP_UNKNOWN, OP_NONE, 0, 10, -1);
    PUT(12, OP_CREATE, "a", OP_FAILED, OP_NONE, 0, 2000, .error = "version_conflict_engine_exception");
    build();
    assert_string_equal(docs, "a:C11");
    assert_int_equal(plan_total(plan)->judged_done, 1);
}

static void a_first_create_whose_retry_met_a_conflict_was_done(void **state)
{
    (void)state;
    one_shard(); // born on this tape: nothing was there before
    PUT(11, OP_CREATE, "a", OP_UNKNOWN, OP_NONE, 0, 10, -1);
    PUT(12, OP_CREATE, "a", OP_FAILED, OP_NONE, 0, 2000, .error = "version_conflict_engine_exception");
    build();
    assert_string_equal(docs, "a:C11");
    assert_int_equal(plan_total(plan)->judged_done, 1);
}

static void of_two_unanswered_creates_none_is_taken_for_the_one_that_met_the_retry(void **state)
{
    (void)state;
    PUT(10, OP_DELETE, "a", OP_NOT_FOUND, OP_NONE, 1, 0);
    PUT(11, OP_CREATE, "a", OP_UNKNOWN, OP_NONE, 0, 10, -1);
    PUT(12, OP_CREATE, "a", OP_UNKNOWN, OP_NONE, 0, 1000, -1);
    PUT(13, OP_CREATE, "a", OP_FAILED, OP_NONE, 0, 2000, .error = "version_conflict_engine_exception");
    build();
    assert_int_equal(plan_total(plan)->judged_done, 0);
    assert_int_equal(plan_total(plan)->unknown, 2);
}

static void holes_below_a_restored_copy_judge_what_came_before_it(void **state)
{
    static const int64_t max[] = {2};
    (void)state;
    one_shard();
    copy_holds(max, max);
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    PUT(11, OP_INDEX, "b", OP_UNKNOWN, OP_NONE, 0, 10, -1); // number 1, below the copy's 2
    PUT(12, OP_INDEX, "c", OP_CREATED, 2, 1, 20);
    PUT(13, OP_INDEX, "d", OP_UNKNOWN, OP_NONE, 0, 30, -1); // number 3
    PUT(14, OP_INDEX, "e", OP_CREATED, 4, 1, 40);
    build();
    assert_int_equal(plan_total(plan)->judged_done + plan_total(plan)->held, 4);
    assert_int_equal(plan_total(plan)->unknown, 0);
    assert_null(plan_refusal(plan));
    assert_int_equal(plan_total(plan)->missing_numbers, 0);
}

static void numbers_lost_to_a_change_of_primary_are_explained_and_judge_nothing(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    PUT(11, OP_INDEX, "b", OP_CREATED, 2, 2, 30, .term = 2); // ran as number 1 under the primary that was lost, and again
    build();
    assert_null(plan_refusal(plan));
    assert_int_equal(check_life(plan_check(plan), 0)->verdict, CHECK_EXPLAINED);
    assert_int_equal(check_life(plan_check(plan), 0)->primary_changes, 1);
    plan_close(plan);
    free(docs);
    PUT(13, OP_INDEX, "d", OP_CREATED, 9, 1, 60, .term = 2); // one write was under way at the change: more than one number it does not explain
    build();
    assert_int_equal(check_life(plan_check(plan), 0)->primary_changes, 1);
    assert_non_null(plan_refusal(plan));
    plan_close(plan);
    free(docs);
    PUT(12, OP_INDEX, "c", OP_UNKNOWN, OP_NONE, 0, 10, -1); // whether the number was its own nobody knows
    build();
    assert_int_equal(plan_total(plan)->unknown, 1);
}

static void two_unanswered_and_one_hole_stay_unknown(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    PUT(11, OP_INDEX, "b", OP_UNKNOWN, OP_NONE, 0, 10, -1);
    PUT(12, OP_INDEX, "c", OP_UNKNOWN, OP_NONE, 0, 10, -1);
    PUT(13, OP_INDEX, "d", OP_CREATED, 2, 1, 20);
    build();
    assert_int_equal(plan_total(plan)->unknown, 2);
    assert_non_null(plan_refusal(plan));
}

// ---- what is missing --------------------------------------------------------------------------------------------------

static void missing_numbers_refuse_and_tell_where(void **state)
{
    const struct check_shard *s;
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    PUT(11, OP_INDEX, "b", OP_CREATED, 3, 1, 50);
    build();
    assert_non_null(plan_refusal(plan));
    s = check_shard(plan_check(plan), 0);
    assert_int_equal(s->verdict, CHECK_MISSING);
    assert_int_equal(s->hole_count, 1);
    assert_int_equal(s->holes[0].from, 1);
    assert_int_equal(s->holes[0].to, 2);
    assert_int_equal(s->holes[0].after_ns, MS(0));
    assert_int_equal(s->holes[0].until_ns, MS(55));
    plan_close(plan);
    free(docs);
    set.allow_gaps = true;
    build();
    assert_null(plan_refusal(plan));
}

static void lost_bytes_refuse_only_where_nothing_proves_them_harmless(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    fake_gap(tape, MS(1), MS(2), 1000, GAP_LOST, 0);
    PUT(11, OP_INDEX, "b", OP_CREATED, 1, 1, 50);
    build();
    assert_null(plan_refusal(plan)); // the numbers are dense: no write was among the lost bytes
    plan_close(plan);
    free(docs);
    PUT(12, OP_INDEX, "", OP_ACCEPTED, OP_NONE, 0, 60, .flags = OP_ID_UNKNOWN);
    build();
    assert_non_null(plan_refusal(plan));
}

static void an_engine_failure_explains_a_hole(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    struct op op = {.exchange = 11, .kind = OP_INDEX, .result = OP_FAILED, .index = bytes_of_text("cat"), .id = bytes_of_text("x"), .status = 400,
                    .error_type = bytes_of_text("illegal_argument_exception"), .version = OP_NONE, .seq_no = OP_NONE, .primary_term = OP_NONE, .shard = -1};
    fake_op(tape, &op, MS(10), MS(15));
    PUT(12, OP_INDEX, "b", OP_CREATED, 2, 1, 50);
    build();
    assert_null(plan_refusal(plan));
    assert_int_equal(check_life(plan_check(plan), 0)->verdict, CHECK_EXPLAINED);
}

static void a_truncated_write_refuses(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0, .flags = OP_HOLE);
    build();
    assert_non_null(plan_refusal(plan));
}

static void short_ids_on_neighbouring_shards_have_keys_of_their_own(void **state)
{
    struct plan_doc d;
    struct fault f;
    uint64_t seen[400];
    size_t n = 0;
    static char ids[100][8];
    (void)state;
    fake_exchange(tape, &(struct exchange){.id = 1, .time_ns = MS(-1000), .answered_ns = MS(-990), .api = bytes_of_text("indices.create"), .targets = cat_target,
                                           .target_count = 1, .status = 200, .server_version = 71002}, "{\"settings\":{\"number_of_shards\":4}}");
    fake_life(tape, "cat", 1, MS(-995), true, true);
    for (int i = 0; i < 100; i++) {
        snprintf(ids[i], sizeof ids[i], "s%d", i);
        PUT((uint64_t)i + 100, OP_INDEX, ids[i], OP_CREATED, i, 1, i);
    }
    set.allow_gaps = true;
    build();
    assert_true(plan_rewind(plan, &f));
    for (assert_true(plan_next(plan, &d, &f)); d.step_count; assert_true(plan_next(plan, &d, &f))) {
        for (size_t k = 0; k < n; k++)
            assert_true(seen[k] != d.hash);
        seen[n++] = d.hash;
    }
    assert_int_equal(n, 100);
}

static void many_documents_spill_and_lose_nothing(void **state)
{
    (void)state;
    one_shard();
    set.memory_bytes = 1 << 18;
    static char ids[20000][8];
    for (int i = 0; i < 20000; i++) {
        snprintf(ids[i], sizeof ids[i], "%d", i % 10000);
        PUT((uint64_t)i + 100, OP_INDEX, ids[i], i < 10000 ? OP_CREATED : OP_UPDATED, i, i < 10000 ? 1 : 2, i);
    }
    struct fault f;
    plan = plan_build(&set, &f);
    assert_non_null(plan);
    uint64_t n = 0, last = 0;
    for (struct plan_doc d;; n++) {
        assert_true(plan_next(plan, &d, &f));
        if (!d.step_count)
            break;
        assert_true(d.steps[0].exchange > last && d.steps[0].exchange >= 10100); // by place on the tape
        last = d.steps[0].exchange;
    }
    assert_int_equal(n, 10000);
    assert_null(plan_refusal(plan));
}

static void same_id_under_two_types_is_two_documents(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "1", OP_CREATED, 0, 1, 0, .type = "left");
    PUT(11, OP_INDEX, "1", OP_CREATED, 1, 1, 10, .type = "right");
    PUT(12, OP_DELETE, "1", OP_DELETED, 2, 2, 20, .type = "left");
    PUT(13, OP_UPDATE, "1", OP_UPDATED, 3, 2, 30, .type = "right");
    build();
    assert_string_equal(docs, "1:I11,U13 1:D12");
    assert_true(plan_slot(plan, 0)->several_types);
    assert_int_equal(plan_slot(plan, 0)->type_clashes, 1);
    struct fault f;
    struct plan_doc d;
    assert_true(plan_rewind(plan, &f) && plan_next(plan, &d, &f));
    uint64_t first = d.hash;
    assert_true(bytes_equal_text(d.type, "right"));
    assert_true(plan_next(plan, &d, &f));
    assert_true(bytes_equal_text(d.type, "left"));
    assert_true(d.hash != first); // lanes and the journal keep them apart
}

static void no_type_and_doc_mean_the_type_of_an_index_that_has_one(void **state)
{
    (void)state;
    one_shard();
    PUT(10, OP_INDEX, "1", OP_CREATED, 0, 1, 0, .type = "_doc");
    PUT(11, OP_INDEX, "1", OP_UPDATED, 1, 2, 10, .type = "left");
    PUT(12, OP_UPDATE, "1", OP_UPDATED, 2, 3, 20);
    PUT(13, OP_DELETE, "1", OP_NOT_FOUND, 3, 1, 30, .type = "other"); // names a type that never was
    build();
    assert_string_equal(docs, "1:I11,U12 1:D13");
    assert_false(plan_slot(plan, 0)->several_types);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(order_is_the_clusters_not_the_wires), T(higher_primary_term_wins_over_number), T(full_write_or_delete_makes_the_past_unnecessary),
        T(refused_dropped_and_noop_items_are_left_out), T(script_then_delete_drops_both), T(script_that_deleted_is_a_delete),
        T(same_id_under_two_types_is_two_documents), T(no_type_and_doc_mean_the_type_of_an_index_that_has_one),
        T(same_id_on_two_shards_is_two_documents), T(forgotten_routing_meets_the_document_where_shards_agree), T(without_numbers_the_version_chain_decides),
        T(late_recreation_restarts_the_chain), T(filtered_ids_are_minted_the_same_every_time), T(nothing_crosses_a_barrier),
        T(a_call_that_took_hours_is_taken_once_by_plans_that_follow), T(a_call_of_this_moment_is_left_to_the_next_plan_that_follows), T(a_write_refused_by_a_conflict_still_decides_types_and_one_refused_by_the_mapper_does_not),
        T(before_keeps_the_whole_life_and_nothing_of_the_next), T(a_deletion_that_is_neither_skipped_nor_the_end_refuses),
        T(an_early_write_of_the_new_life_belongs_to_it_in_whatever_order_tapes_are_read), T(a_rebirth_that_each_tap_concludes_is_one_life), T(a_missing_index_that_another_tap_answered_late_ends_no_new_life), T(a_number_below_those_the_old_life_had_answered_is_of_the_new_one),
        T(skip_continues_into_the_second_life), T(noop_of_the_second_life_is_folded), T(casualties_are_listed_and_applied_on_demand),
        T(an_upsert_that_inserted_is_a_collision_only_perhaps_where_the_copy_decides),
        T(a_refused_write_of_the_second_life_does_not_move_the_document_into_it), T(refused_either_way_is_left_out), T(alias_that_became_an_index_belongs_to_the_index_it_meant), T(skipped_bulk_leaves_its_items_out),
        T(held_operations_are_not_applied_twice), T(an_unanswered_write_before_a_held_one_is_held), T(the_uncertain_zone_is_marked_for_comparison),
        T(unknown_refuses_unless_the_user_decides), T(a_hole_of_the_right_size_shows_that_it_happened), T(dense_numbers_long_after_show_that_it_did_not),
        T(the_next_version_judges_an_unanswered_write), T(a_retry_that_met_a_conflict_shows_that_the_first_was_done), T(two_unanswered_and_one_hole_stay_unknown),
        T(versions_say_nothing_across_a_by_query_call), T(a_first_create_whose_retry_met_a_conflict_was_done), T(of_two_unanswered_creates_none_is_taken_for_the_one_that_met_the_retry),
        T(holes_below_a_restored_copy_judge_what_came_before_it), T(numbers_lost_to_a_change_of_primary_are_explained_and_judge_nothing),
        T(missing_numbers_refuse_and_tell_where), T(lost_bytes_refuse_only_where_nothing_proves_them_harmless), T(an_engine_failure_explains_a_hole),
        T(a_truncated_write_refuses), T(short_ids_on_neighbouring_shards_have_keys_of_their_own), T(many_documents_spill_and_lose_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
