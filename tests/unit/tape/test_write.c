// The writer: what is written is in plain SQL what the design says, and survives the segment's end.
#include "tape_maker.h"

static void one_document_write_is_one_row_of_audit(void **state)
{
    (void)state;
    const char *dir = maker_dir("audit");
    struct tape_writer *w = maker_open(dir, (struct tape_settings){0});
    assert_int_equal(maker_write(w, T0), 1);
    maker_close(w);
    const char *log = maker_file(dir, ".log.db", 0);
    assert_string_equal(maker_sql(log, "SELECT json_array(id,time,answered,client_ip,client_port,server_ip,server_port,principal,auth,"
                                       "run_as,forwarded_for,agent,opaque_id) FROM audit"),
                        "[1,\"2025-11-24T16:00:00.000000Z\",\"2025-11-24T16:00:00.003000Z\",\"10.0.0.5\",40001,\"10.0.0.1\",9200,"
                        "\"alice\",\"basic\",null,null,\"curl/7.88.1\",null]");
    assert_string_equal(maker_sql(log, "SELECT json_array(verb,path,api,action,json(targets),json(indices),status,outcome,reason) FROM audit"),
                        "[\"PUT\",\"/catalog/_doc/1\",\"index\",\"indices:data/write/index\",[\"catalog\"],"
                        "[\"catalog\"],201,\"ok\",null]");
    assert_string_equal(maker_sql(log, "SELECT json_array(docs,docs_ok,docs_failed,docs_deleted,took_ms,duration_ms,request_bytes,"
                                       "response_bytes,truncated,\"write\",destructive) FROM audit"),
                        "[1,1,0,0,null,3.0,40,150,0,1,null]");
    assert_string_equal(maker_sql(log, "SELECT json_array(id,\"index\",concrete,ok,failed,deleted,unknown) FROM writes"),
                        "[1,\"catalog\",1,1,0,0,0]");
    assert_string_equal(maker_sql(log, "PRAGMA journal_mode"), "delete");
    assert_int_equal(maker_number(log, "SELECT sealed FROM segment"), 1);
    maker_clear(dir);
}

static void files_are_for_their_owner_alone(void **state)
{
    (void)state;
    const char *dir = maker_dir("modes");
    mode_t old = umask(0);
    struct tape_writer *w = maker_open(dir, (struct tape_settings){0});
    maker_write(w, T0);
    struct fault fault;
    assert_true(tape_write_flush(w, &fault));
    struct stat st;
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_true(maker_file_count(dir, "") >= 7); // two pairs with -wal and -shm, tape.db, lock
    for (size_t i = 0; maker_file(dir, "", i); i++) {
        assert_int_equal(stat(maker_file(dir, "", i), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    maker_close(w);
    umask(old);
    maker_clear(dir);
}

static void ids_go_on_where_they_ended(void **state)
{
    (void)state;
    const char *dir = maker_dir("ids");
    struct tape_writer *w = maker_open(dir, (struct tape_settings){0});
    for (int i = 0; i < 10; i++)
        maker_write(w, T0 + i * WHEN_NS_PER_S);
    tape_write_next_id(w); // given out, its exchange never finished
    maker_close(w);
    w = maker_open(dir, (struct tape_settings){0});
    assert_int_equal(tape_write_next_id(w), 12);
    maker_close(w);
    maker_clear(dir);
}

static void time_between_two_recordings_is_a_gap(void **state)
{
    (void)state;
    const char *dir = maker_dir("between");
    struct tape_writer *w = maker_open(dir, (struct tape_settings){0});
    maker_write(w, T0);
    maker_close(w);
    w = maker_open(dir, (struct tape_settings){0});
    maker_write(w, T0 + 60 * WHEN_NS_PER_S);
    maker_close(w);
    assert_int_equal(maker_file_count(dir, ".log.db"), 2);
    assert_string_equal(maker_sql(maker_file(dir, ".log.db", 1), "SELECT json_array(\"from\",\"to\",cause) FROM gaps"),
                        "[\"2025-11-24T16:00:00.003000Z\",\"2025-11-24T16:01:00.000000Z\",\"not_recording\"]");
    maker_clear(dir);
}

static void a_second_writer_is_refused_with_the_pid(void **state)
{
    (void)state;
    const char *dir = maker_dir("second");
    struct tape_writer *w = maker_open(dir, (struct tape_settings){0});
    struct fault fault = {0};
    struct tape_settings s = {.dir = dir};
    char expect[256];
    snprintf(expect, sizeof expect, "another recorder is writing %s, pid %ld", dir, (long)getpid());
    assert_null(tape_write_open(&s, &fault));
    assert_int_equal(fault.kind, FAULT_USER);
    assert_string_equal(fault.text, expect);
    maker_close(w);
    maker_clear(dir);
}

static void a_directory_of_something_else_stays_untouched(void **state)
{
    (void)state;
    const char *dir = maker_dir("else");
    char path[256];
    assert_int_equal(mkdir(dir, 0755), 0);
    snprintf(path, sizeof path, "%s/letter.txt", dir);
    FILE *f = fopen(path, "w");
    fclose(f);
    struct fault fault = {0};
    struct tape_settings s = {.dir = dir};
    assert_null(tape_write_open(&s, &fault));
    assert_int_equal(fault.kind, FAULT_USER);
    assert_int_equal(maker_file_count(dir, ""), 1);
    s.dir = path;
    assert_null(tape_write_open(&s, &fault));
    assert_int_equal(fault.kind, FAULT_USER);
    maker_clear(dir);
}

static void a_later_format_is_refused(void **state)
{
    (void)state;
    const char *dir = maker_dir("later");
    maker_close(maker_open(dir, (struct tape_settings){0}));
    char path[256];
    snprintf(path, sizeof path, "%s/tape.db", dir);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA user_version=2", NULL, NULL, NULL);
    sqlite3_close(db);
    struct fault fault = {0};
    struct tape_settings s = {.dir = dir};
    assert_null(tape_write_open(&s, &fault));
    assert_int_equal(fault.kind, FAULT_USER);
    assert_non_null(strstr(fault.text, "version 2"));
    maker_clear(dir);
}

static void an_attempt_is_replaced_by_its_outcome(void **state)
{
    (void)state;
    const char *dir = maker_dir("attempt");
    struct tape_writer *w = maker_open(dir, (struct tape_settings){0});
    struct fault fault = {0};
    uint64_t id = tape_write_next_id(w);
    struct exchange x = maker_exchange(id, T0);
    x.flags |= EXCHANGE_ATTEMPT;
    x.status = 0;
    x.answered_ns = WHEN_UNKNOWN;
    x.outcome = OUTCOME_UNKNOWN;
    assert_true(tape_write_exchange(w, &x, &fault));
    struct tape_alert alert = {.exchange = id, .time_ns = T0, .id = bytes_of_text("a1"), .rule = bytes_of_text("r"),
                               .title = bytes_of_text("t"), .level = bytes_of_text("high"), .json = bytes_of_text("{}")};
    assert_true(tape_write_alert(w, &alert, &fault));
    assert_true(tape_write_alerts_end(w, &fault)); // committed together
    assert_string_equal(maker_sql(maker_file(dir, ".log.db", 0), "SELECT json_array((SELECT count(*) FROM alert),outcome) FROM audit"),
                        "[1,\"unknown\"]");
    x = maker_exchange(id, T0);
    assert_true(tape_write_exchange(w, &x, &fault));
    maker_close(w);
    const char *log = maker_file(dir, ".log.db", 0);
    assert_string_equal(maker_sql(log, "SELECT json_group_array(outcome) FROM audit"), "[\"ok\"]");
    assert_string_equal(maker_sql(log, "SELECT json_array(sum(n),(SELECT rows FROM segment)) FROM seek"), "[1,1]");
    maker_clear(dir);
}

static void rows_of_several_indices_keep_their_counts(void **state)
{
    (void)state;
    const char *dir = maker_dir("indices");
    struct tape_writer *w = maker_open(dir, (struct tape_settings){0});
    struct fault fault = {0};
    struct exchange x = maker_exchange(tape_write_next_id(w), T0);
    struct bytes targets[] = {bytes_of_text("a*"), bytes_of_text("-a\"1")};
    struct exchange_index indices[] = {{bytes_of_text("a2"), true, 5, 1, 0, 0}, {bytes_of_text("a3"), false, 0, 0, 7, 2}};
    x.targets = targets;
    x.target_count = 2;
    x.indices = indices;
    x.index_count = 2;
    assert_true(tape_write_exchange(w, &x, &fault));
    maker_close(w);
    const char *log = maker_file(dir, ".log.db", 0);
    assert_string_equal(maker_sql(log, "SELECT json_group_array(json_array(\"index\",concrete,ok,failed,deleted,unknown)) FROM"
                                       " (SELECT * FROM writes ORDER BY \"index\")"),
                        "[[\"a2\",1,5,1,0,0],[\"a3\",0,0,0,7,2]]");
    assert_string_equal(maker_sql(log, "SELECT targets FROM audit"), "[\"a*\",\"-a\\\"1\"]");
    maker_clear(dir);
}

static void a_late_outcome_shows_in_audit(void **state)
{
    (void)state;
    const char *dir = maker_dir("late");
    struct tape_writer *w = maker_open(dir, (struct tape_settings){0});
    struct fault fault = {0};
    uint64_t id = maker_write(w, T0);
    struct late_outcome late = {.exchange = id, .time_ns = T0 + WHEN_NS_PER_S, .outcome = OUTCOME_PARTIAL, .reason = bytes_of_text("x"),
                                .docs = 9, .docs_ok = 5, .docs_failed = 4, .docs_deleted = 0};
    assert_true(tape_write_late(w, &late, &fault));
    maker_close(w);
    const char *log = maker_file(dir, ".log.db", 0);
    assert_string_equal(maker_sql(log, "SELECT json_array(outcome,reason,docs,docs_ok,docs_failed) FROM audit"),
                        "[\"partial\",\"x\",9,5,4]");
    assert_int_equal(maker_number(log, "SELECT n FROM summary WHERE what='late'"), 1);
    maker_clear(dir);
}

static void time_rotates_segments_and_the_catalog_knows_them(void **state)
{
    (void)state;
    const char *dir = maker_dir("rotate");
    struct tape_writer *w = maker_open(dir, (struct tape_settings){.segment_ns = 10 * WHEN_NS_PER_S});
    struct fault fault = {0};
    for (int i = 0; i < 35; i++) {
        maker_write(w, T0 + i * WHEN_NS_PER_S);
        assert_true(tape_write_tick(w, T0 + i * WHEN_NS_PER_S, &fault));
    }
    maker_close(w);
    assert_int_equal(maker_file_count(dir, ".log.db"), 4);
    char path[256];
    snprintf(path, sizeof path, "%s/tape.db", dir);
    assert_string_equal(maker_sql(path, "SELECT json_array(count(*),sum(rows),sum(ops),min(sealed),max(last_x)) FROM segment"),
                        "[4,35,35,1,35]");
    assert_int_equal(maker_number(path, "SELECT sum(n) FROM summary WHERE what='api' AND word='index'"), 35);
    maker_clear(dir);
}

static void small_rows_stay_small(void **state)
{
    (void)state;
    const char *dir = maker_dir("size");
    struct tape_writer *w = maker_open(dir, (struct tape_settings){0});
    enum { N = 50000 };
    for (int i = 0; i < N; i++)
        maker_write(w, T0 + i * 7 * WHEN_NS_PER_MS);
    maker_close(w);
    struct stat st;
    const char *log = maker_file(dir, ".log.db", 0);
    assert_int_equal(stat(log, &st), 0);
    assert_int_equal(maker_number(log, "SELECT count(*) FROM x"), N);
    print_message("%.1f bytes of log an exchange, its op included\n", (double)st.st_size / N);
    assert_true(st.st_size / N < 100);
    maker_clear(dir);
}

static void raise_two(struct tape_writer *w, uint64_t id)
{
    struct fault fault = {0};
    for (int i = 0; i < 2; i++) {
        struct tape_alert alert = {.exchange = id, .time_ns = T0, .id = bytes_of_text(i ? "a2" : "a1"), .rule = bytes_of_text("r"),
                                   .level = bytes_of_text("high"), .json = bytes_of_text("{}")};
        assert_true(tape_write_alert(w, &alert, &fault));
    }
}

// At the very row where the transaction is full.
static void alerts_commit_with_their_exchange_and_not_before_the_last(void **state)
{
    (void)state;
    const char *dir = maker_dir("alerts-tx");
    struct tape_writer *w = maker_open(dir, (struct tape_settings){.live = true});
    struct fault fault = {0};
    uint64_t id = 0;
    for (int i = 0; i < 200000; i++) // as many as a transaction takes
        id = maker_write(w, T0);
    const char *log = maker_file(dir, ".log.db", 0);
    raise_two(w, id);
    assert_int_equal(maker_number(log, "SELECT count(*) FROM x"), 0);
    assert_int_equal(maker_number(log, "SELECT count(*) FROM alert"), 0);
    assert_true(tape_write_alerts_end(w, &fault));
    assert_int_equal(maker_number(log, "SELECT count(*) FROM x"), 200000);
    assert_int_equal(maker_number(log, "SELECT count(*) FROM alert"), 2);
    maker_close(w);
    maker_clear(dir);
}

static void alerts_stand_in_the_segment_of_their_exchange(void **state)
{
    (void)state;
    const char *dir = maker_dir("alerts-segment");
    struct tape_writer *w = maker_open(dir, (struct tape_settings){.segment_ns = WHEN_NS_PER_S});
    struct fault fault = {0};
    maker_write(w, T0);
    uint64_t id = tape_write_next_id(w); // its ops stand in the way of rotation
    struct op op = {.exchange = id, .kind = OP_INDEX, .result = OP_CREATED, .index = bytes_of_text("catalog"), .id = bytes_of_text("1"), .seq_no = 0, .version = 1};
    assert_true(tape_write_ops(w, &op, 1, &fault));
    assert_true(tape_write_tick(w, T0 + 5 * WHEN_NS_PER_S, &fault));
    struct exchange x = maker_exchange(id, T0 + 5 * WHEN_NS_PER_S);
    assert_true(tape_write_exchange(w, &x, &fault));
    raise_two(w, id);
    assert_true(tape_write_alerts_end(w, &fault));
    maker_write(w, T0 + 6 * WHEN_NS_PER_S);
    maker_close(w);
    assert_int_equal(maker_file_count(dir, ".log.db"), 2);
    int64_t joined = 0;
    for (size_t i = 0; i < 2; i++)
        joined += maker_number(maker_file(dir, ".log.db", i), "SELECT count(*) FROM alert JOIN x ON x.id=alert.x");
    assert_int_equal(joined, 2);
    maker_clear(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_document_write_is_one_row_of_audit), cmocka_unit_test(files_are_for_their_owner_alone),
        cmocka_unit_test(ids_go_on_where_they_ended),             cmocka_unit_test(time_between_two_recordings_is_a_gap),
        cmocka_unit_test(a_second_writer_is_refused_with_the_pid), cmocka_unit_test(a_directory_of_something_else_stays_untouched),
        cmocka_unit_test(a_later_format_is_refused),              cmocka_unit_test(an_attempt_is_replaced_by_its_outcome),
        cmocka_unit_test(rows_of_several_indices_keep_their_counts), cmocka_unit_test(a_late_outcome_shows_in_audit),
        cmocka_unit_test(time_rotates_segments_and_the_catalog_knows_them), cmocka_unit_test(small_rows_stay_small),
        cmocka_unit_test(alerts_commit_with_their_exchange_and_not_before_the_last), cmocka_unit_test(alerts_stand_in_the_segment_of_their_exchange),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
