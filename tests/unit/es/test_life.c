// What answers teach: names, lives of indices, tasks that finish later, scrolls and points in time.
#include "es_probe.h"

#define MISSING "{\"error\":{\"type\":\"index_not_found_exception\",\"reason\":\"no such index [c]\",\"index\":\"c\"},\"status\":404}"

static struct probe_row *wrote(struct probe *p, const char *index, int seq_no, const char *result)
{
    char path[64], answer[256];
    snprintf(path, sizeof path, "/%s/_doc/d%d", index, seq_no);
    snprintf(answer, sizeof answer, "{\"_index\":\"%s\",\"_id\":\"d%d\",\"_version\":1,\"result\":\"%s\",\"_seq_no\":%d,\"_primary_term\":1}", index, seq_no, result, seq_no);
    return probe_call(p, (struct probe_ask){"PUT", path, .body = "{}"}, (struct probe_answer){201, answer});
}

static void assert_life(struct probe *p, size_t i, const char *index, bool born, bool seen, uint64_t exchange)
{
    assert_true(i < p->life_count);
    assert_text(p, p->lives[i].index, index);
    assert_int_equal(p->lives[i].born, born);
    assert_int_equal(p->lives[i].seen, seen);
    assert_int_equal(p->lives[i].exchange, exchange);
}

static void created_and_deleted_indices_are_two_lives(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    probe_call(p, (struct probe_ask){"PUT", "/c"}, (struct probe_answer){200, "{\"acknowledged\":true,\"shards_acknowledged\":true,\"index\":\"c\"}"});
    wrote(p, "c", 0, "created");
    wrote(p, "c", 1, "created");
    assert_int_equal(p->life_count, 1);
    assert_life(p, 0, "c", true, true, 1);
    probe_call(p, (struct probe_ask){"DELETE", "/c"}, (struct probe_answer){200, "{\"acknowledged\":true}"});
    assert_life(p, 1, "c", false, true, 4);
    wrote(p, "c", 0, "created");
    assert_life(p, 2, "c", true, false, 5);
    assert_int_equal(p->life_count, 3);
    probe_close(p);
}

static void cancelled_delete_is_believed_when_numbers_begin_again(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    for (int i = 0; i < 30; i++)
        wrote(p, "c", i, "created");
    size_t before = p->life_count;
    probe_lose(p, probe_request(p, (struct probe_ask){"DELETE", "/c"}), FATE_CLIENT_LEFT);
    assert_int_equal(p->life_count, before);
    wrote(p, "c", 3, "created"); // the first two of the new life were not seen
    assert_int_equal(p->life_count, before + 2);
    assert_life(p, before, "c", false, false, 31);
    assert_life(p, before + 1, "c", true, false, 32);
    probe_close(p);
}

static void cancelled_delete_is_not_believed_when_numbers_go_on(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    for (int i = 0; i < 20; i++)
        wrote(p, "c", i, "created");
    size_t before = p->life_count;
    probe_lose(p, probe_request(p, (struct probe_ask){"DELETE", "/c"}), FATE_SERVER_LEFT);
    for (int i = 20; i < 25; i++)
        wrote(p, "c", i, "created");
    assert_int_equal(p->life_count, before);
    p->now_ns += 61 * WHEN_NS_PER_S;
    wrote(p, "c", 25, "created");
    probe_call(p, (struct probe_ask){"PUT", "/c/_doc/x", .body = "{}"}, (struct probe_answer){404, MISSING});
    assert_int_equal(p->life_count, before + 1); // gone all the same, and not by that call
    assert_life(p, before, "c", false, false, 28);
    probe_close(p);
}

// As seen on OpenSearch 2.19: 60 ms passed between the request and the deed.
static void cancelled_delete_is_believed_although_writes_slipped_in_before_the_deed(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    for (int i = 0; i < 20; i++)
        wrote(p, "c", i, "created");
    size_t before = p->life_count;
    probe_lose(p, probe_request(p, (struct probe_ask){"DELETE", "/c"}), FATE_CLIENT_LEFT);
    wrote(p, "c", 20, "created");
    wrote(p, "c", 21, "created");
    probe_call(p, (struct probe_ask){"PUT", "/c/_doc/x", .body = "{}"}, (struct probe_answer){404, MISSING});
    assert_int_equal(p->life_count, before + 1);
    assert_life(p, before, "c", false, false, 21);
    wrote(p, "c", 0, "created");
    assert_int_equal(p->life_count, before + 2);
    assert_life(p, before + 1, "c", true, false, 25);
    probe_close(p);
}

static void missing_index_that_was_asked_for_before_the_rebirth_ends_nothing(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    wrote(p, "c", 0, "created");
    probe_call(p, (struct probe_ask){"DELETE", "/c"}, (struct probe_answer){200, "{\"acknowledged\":true}"});
    void *early = probe_request(p, (struct probe_ask){"DELETE", "/c/_doc/x"});
    wrote(p, "c", 0, "created");
    size_t before = p->life_count;
    probe_answer(p, early, (struct probe_answer){404, MISSING});
    assert_int_equal(p->life_count, before);
    probe_call(p, (struct probe_ask){"DELETE", "/c/_doc/x"}, (struct probe_answer){404, MISSING});
    assert_int_equal(p->life_count, before + 1); // asked since: it is gone
    probe_close(p);
}

static void late_answer_of_a_dead_life_begins_no_new_one(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    for (int i = 0; i < 20; i++)
        wrote(p, "c", i, "created");
    probe_call(p, (struct probe_ask){"DELETE", "/c"}, (struct probe_answer){200, "{\"acknowledged\":true}"});
    size_t before = p->life_count;
    wrote(p, "c", 20, "created");
    wrote(p, "c", 18, "created");
    assert_int_equal(p->life_count, before);
    wrote(p, "c", 1, "created");
    assert_int_equal(p->life_count, before + 1);
    assert_life(p, before, "c", true, false, 24);
    probe_close(p);
}

static void refused_delete_ends_no_life(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    wrote(p, "c", 0, "created");
    probe_call(p, (struct probe_ask){"DELETE", "/c"}, (struct probe_answer){403, "{\"error\":{\"type\":\"security_exception\"},\"status\":403}"});
    wrote(p, "c", 0, "updated");
    assert_int_equal(p->life_count, 1);
    probe_close(p);
}

static void another_uuid_in_an_error_is_another_life(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    static const char *const uuids[] = {"u1", "u1", "u2"};
    for (int i = 0; i < 3; i++) {
        char answer[256];
        snprintf(answer, sizeof answer, "{\"error\":{\"type\":\"version_conflict_engine_exception\",\"index_uuid\":\"%s\",\"shard\":\"0\",\"index\":\"c\"},\"status\":409}", uuids[i]);
        probe_call(p, (struct probe_ask){"PUT", "/c/_create/1", .body = "{}"}, (struct probe_answer){409, answer});
    }
    assert_int_equal(p->life_count, 2);
    assert_life(p, 0, "c", false, false, 3);
    assert_text(p, p->lives[0].uuid, "u1");
    assert_life(p, 1, "c", true, false, 3);
    probe_close(p);
}

static void wildcard_delete_ends_all_lives_it_fits_and_remove_index_too(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    wrote(p, "logs-1", 0, "created");
    wrote(p, "logs-2", 0, "created");
    wrote(p, "other", 0, "created");
    probe_call(p, (struct probe_ask){"DELETE", "/logs-*"}, (struct probe_answer){200, "{\"acknowledged\":true}"});
    assert_int_equal(p->life_count, 5);
    probe_call(p, (struct probe_ask){"POST", "/_aliases", .body = "{\"actions\":[{\"remove_index\":{\"index\":\"other\"}},{\"add\":{\"alias\":\"a\",\"index\":\"next\"}}]}"},
               (struct probe_answer){200, "{\"acknowledged\":true}"});
    assert_int_equal(p->life_count, 6);
    assert_life(p, 5, "other", false, true, 5);
    assert_int_equal(p->resolved_count, 1);
    assert_text(p, p->resolved[0].name, "a");
    assert_text(p, p->resolved[0].index, "next");
    probe_close(p);
}

static void a_new_indexs_aliases_lead_to_it_unless_they_lead_elsewhere(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    const struct probe_answer made = {200, "{\"acknowledged\":true,\"shards_acknowledged\":true}"};
    probe_call(p, (struct probe_ask){"PUT", "/c-1", .body = "{\"aliases\":{\"c\":{},\"r\":{\"is_write_index\":false}}}"}, made);
    assert_int_equal(p->resolved_count, 1);
    assert_text(p, p->resolved[0].name, "c");
    assert_text(p, p->resolved[0].index, "c-1");
    struct probe_row *row = probe_call(p, (struct probe_ask){"PUT", "/c/_doc/1?filter_path=result", .body = "{}"}, (struct probe_answer){201, "{\"result\":\"created\"}"});
    assert_true(p->op_count == 1 && row->x.docs_ok == 1);
    probe_call(p, (struct probe_ask){"PUT", "/c-2", .body = "{\"aliases\":{\"c\":{}}}"}, made); // c-1 keeps the writes
    assert_int_equal(p->resolved_count, 1);
    probe_call(p, (struct probe_ask){"POST", "/c-1/_split/c-3", .body = "{\"aliases\":{\"c\":{\"is_write_index\":true}}}"}, made);
    assert_int_equal(p->resolved_count, 2);
    assert_text(p, p->resolved[1].index, "c-3");
    probe_call(p, (struct probe_ask){"PUT", "/c-4", .body = "{\"aliases\":{\"d\":{}}}"}, (struct probe_answer){400, "{\"error\":{\"type\":\"resource_already_exists_exception\"},\"status\":400}"});
    assert_int_equal(p->resolved_count, 2);
    probe_close(p);
}

static void names_are_learned_from_every_answer_that_tells_and_once(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    for (int again = 0; again < 2; again++) {
        probe_call(p, (struct probe_ask){"GET", "/_alias"}, (struct probe_answer){200,
            "{\"i1\":{\"aliases\":{\"one\":{},\"many\":{}}},\"i2\":{\"aliases\":{\"many\":{\"is_write_index\":true}}},\"i3\":{\"aliases\":{\"both\":{}}},\"i4\":{\"aliases\":{\"both\":{}}}}"});
        assert_int_equal(p->resolved_count, 2);
    }
    assert_text(p, p->resolved[0].name, "one");
    assert_text(p, p->resolved[1].index, "i2");
    probe_call(p, (struct probe_ask){"POST", "/many/_rollover"}, (struct probe_answer){200, "{\"acknowledged\":true,\"rolled_over\":true,\"old_index\":\"i2\",\"new_index\":\"i5\"}"});
    assert_int_equal(p->resolved_count, 3);
    assert_text(p, p->resolved[2].index, "i5");
    assert_life(p, 0, "i5", true, true, 3);
    probe_call(p, (struct probe_ask){"GET", "/_data_stream/logs"}, (struct probe_answer){200,
        "{\"data_streams\":[{\"name\":\"logs\",\"indices\":[{\"index_name\":\".ds-logs-1\"},{\"index_name\":\".ds-logs-2\"}]}]}"});
    assert_text(p, p->resolved[3].index, ".ds-logs-2");
    assert_text(p, p->resolved[3].kind, "stream");
    probe_call(p, (struct probe_ask){"GET", "/_cat/aliases?format=json"}, (struct probe_answer){200, "[{\"alias\":\"cat\",\"index\":\"i9\",\"is_write_index\":\"-\"}]"});
    assert_text(p, p->resolved[4].name, "cat");
    probe_call(p, (struct probe_ask){"POST", "/%3Cl-%7Bnow%2Fd%7D%3E/_doc", .body = "{}"}, (struct probe_answer){201, "{\"_index\":\"l-2026.11.25\",\"_id\":\"x\",\"_version\":1,\"result\":\"created\",\"_seq_no\":3,\"_primary_term\":1}"});
    assert_text(p, p->resolved[5].name, "<l-{now/d}>");
    assert_text(p, p->resolved[5].kind, "date_math");
    assert_int_equal(p->resolved_count, 6);
    probe_call(p, (struct probe_ask){"GET", "/_cat/aliases?v"}, (struct probe_answer){200, "alias index filter routing.index routing.search is_write_index\n"
        "t1    x1    -      -             -              -\nt2    x2    -      -             -              -\nt2    x3    -      -             -              true\n", .type = "text/plain; charset=UTF-8"});
    assert_int_equal(p->resolved_count, 8);
    assert_text(p, p->resolved[6].index, "x1");
    assert_text(p, p->resolved[7].index, "x3");
    probe_close(p);
}

static void scrolls_and_points_in_time_know_the_indices_of_their_search(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    probe_call(p, (struct probe_ask){"POST", "/c,d/_search?scroll=1m", .body = "{}"}, (struct probe_answer){200, "{\"_scroll_id\":\"SCROLL1\",\"took\":1,\"hits\":{\"total\":1,\"hits\":[]}}"});
    struct probe_row *row = probe_call(p, (struct probe_ask){"POST", "/_search/scroll", .body = "{\"scroll\":\"1m\",\"scroll_id\":\"SCROLL1\"}"},
                                       (struct probe_answer){200, "{\"_scroll_id\":\"SCROLL2\",\"took\":1,\"hits\":{\"total\":1,\"hits\":[]}}"});
    assert_int_equal(row->x.target_count, 2);
    assert_text(p, row->x.targets[1], "d");
    row = probe_call(p, (struct probe_ask){"DELETE", "/_search/scroll", .body = "{\"scroll_id\":[\"SCROLL2\"]}"}, (struct probe_answer){200, "{\"succeeded\":true}"});
    assert_int_equal(row->x.target_count, 2);
    probe_call(p, (struct probe_ask){"POST", "/e/_pit?keep_alive=1m"}, (struct probe_answer){200, "{\"id\":\"PIT1\"}"});
    row = probe_call(p, (struct probe_ask){"POST", "/_search", .body = "{\"pit\":{\"id\":\"PIT1\"}}"}, (struct probe_answer){200, "{\"took\":1,\"hits\":{\"hits\":[]}}"});
    assert_true(row->x.target_count >= 1);
    assert_text(p, row->x.targets[row->x.target_count - 1], "e");
    row = probe_call(p, (struct probe_ask){"GET", "/_search/scroll/unknown"}, (struct probe_answer){200, "{\"took\":1,\"hits\":{\"hits\":[]}}"});
    assert_int_equal(row->x.target_count, 0);
    probe_close(p);
}

static void async_search_that_ends_later_is_told_late(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    probe_call(p, (struct probe_ask){"POST", "/c/_async_search", .body = "{}"}, (struct probe_answer){200, "{\"id\":\"A1\",\"is_partial\":true,\"is_running\":true,\"response\":{\"took\":1}}"});
    assert_text(p, p->rows[0].x.task, "A1");
    struct probe_row *row = probe_call(p, (struct probe_ask){"GET", "/_async_search/A1"}, (struct probe_answer){200, "{\"id\":\"A1\",\"is_partial\":false,\"is_running\":false,\"response\":{\"took\":9}}"});
    assert_int_equal(p->late_count, 1);
    assert_true(p->late[0].exchange == 1 && p->late[0].outcome == OUTCOME_OK);
    assert_int_equal(row->x.target_count, 1);
    probe_close(p);
}

static void task_that_failed_says_why(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    static const struct {
        const char *answer;
        enum outcome outcome;
        const char *reason;
        int64_t failed;
    } cases[] = {
        {"{\"completed\":true,\"response\":{\"total\":5,\"updated\":3,\"version_conflicts\":2,\"failures\":[]}}", OUTCOME_PARTIAL, "version_conflict_engine_exception", 2},
        {"{\"completed\":true,\"response\":{\"total\":5,\"created\":3,\"failures\":[{\"cause\":{\"type\":\"mapper_parsing_exception\"}}]}}", OUTCOME_PARTIAL, "mapper_parsing_exception", 1},
        {"{\"completed\":true,\"error\":{\"type\":\"script_exception\",\"reason\":\"x\"}}", OUTCOME_FAILED, "script_exception", -1},
        {"{\"completed\":true,\"response\":{\"total\":5,\"deleted\":3,\"canceled\":\"by user request\",\"failures\":[]}}", OUTCOME_PARTIAL, "canceled", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char answer[64], path[64];
        snprintf(answer, sizeof answer, "{\"task\":\"n:%zu\"}", i);
        snprintf(path, sizeof path, "/_tasks/n:%zu", i);
        probe_call(p, (struct probe_ask){"POST", "/c/_update_by_query?wait_for_completion=false"}, (struct probe_answer){200, answer});
        for (int again = 0; again < 2; again++) // asked twice, told once
            probe_call(p, (struct probe_ask){"GET", path}, (struct probe_answer){200, cases[i].answer});
        assert_int_equal(p->late_count, i + 1);
        assert_int_equal(p->late[i].outcome, cases[i].outcome);
        assert_text(p, p->late[i].reason, cases[i].reason);
        assert_int_equal(p->late[i].docs_failed, cases[i].failed);
    }
    probe_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(created_and_deleted_indices_are_two_lives),
        cmocka_unit_test(cancelled_delete_is_believed_when_numbers_begin_again),
        cmocka_unit_test(cancelled_delete_is_not_believed_when_numbers_go_on),
        cmocka_unit_test(cancelled_delete_is_believed_although_writes_slipped_in_before_the_deed),
        cmocka_unit_test(missing_index_that_was_asked_for_before_the_rebirth_ends_nothing),
        cmocka_unit_test(late_answer_of_a_dead_life_begins_no_new_one),
        cmocka_unit_test(refused_delete_ends_no_life),
        cmocka_unit_test(another_uuid_in_an_error_is_another_life),
        cmocka_unit_test(wildcard_delete_ends_all_lives_it_fits_and_remove_index_too),
        cmocka_unit_test(a_new_indexs_aliases_lead_to_it_unless_they_lead_elsewhere),
        cmocka_unit_test(names_are_learned_from_every_answer_that_tells_and_once),
        cmocka_unit_test(scrolls_and_points_in_time_know_the_indices_of_their_search),
        cmocka_unit_test(async_search_that_ends_later_is_told_late),
        cmocka_unit_test(task_that_failed_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
