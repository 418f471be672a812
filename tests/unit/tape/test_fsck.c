// fsck: silent on what the writer writes, and it names the invariant that a damaged tape breaks.
#include "tape_maker.h"

#include "../../../src/tape/fsck.h"

struct seen {
    int invariants[64];
    size_t count;
    bool loud;
};

static void note(void *ctx, const struct fsck_finding *finding)
{
    struct seen *seen = ctx;
    if (seen->loud)
        print_message("%s: (%d) %s\n", finding->file, finding->invariant, finding->text);
    if (!finding->harmless && seen->count < 64)
        seen->invariants[seen->count++] = finding->invariant;
}

static struct seen check(const char *dir, bool loud, struct fsck_stats *stats)
{
    struct seen seen = {.loud = loud};
    struct fault fault = {0};
    assert_true(fsck_tape(dir, note, &seen, stats, &fault));
    return seen;
}

// Several segments, long bodies, holes, many indices.
static void fill(const char *dir)
{
    struct tape_writer *w = maker_open(dir, (struct tape_settings){.segment_ns = 20 * WHEN_NS_PER_S});
    struct fault fault = {0};
    static char text[100000];
    memset(text, 'a', sizeof text - 1);
    for (int i = 0; i < 100; i++) {
        int64_t time_ns = T0 + i * WHEN_NS_PER_S;
        maker_write(w, time_ns);
        if (i % 10 == 0) {
            uint64_t id = tape_write_next_id(w);
            struct exchange x = maker_exchange(id, time_ns);
            for (int piece = 0; piece < 6; piece++)
                maker_body(w, id, BODY_REQUEST, text);
            struct body_piece hole = {.hole_bytes = 1234};
            assert_true(tape_write_body(w, id, BODY_RESPONSE, &hole, &fault));
            maker_body(w, id, BODY_RESPONSE, "rest");
            assert_true(tape_write_exchange(w, &x, &fault));
        }
        if (i % 7 == 0)
            assert_true(tape_write_flush(w, &fault));
        assert_true(tape_write_tick(w, time_ns, &fault));
    }
    maker_close(w);
}

static void a_tape_as_written_has_no_findings(void **state)
{
    (void)state;
    const char *dir = maker_dir("clean");
    struct fsck_stats stats;
    fill(dir);
    assert_int_equal(check(dir, true, &stats).count, 0);
    assert_int_equal(stats.exchanges, 110);
    assert_int_equal(stats.ops, 100);
    assert_true(stats.segments >= 5 && stats.bodies >= 220);
    maker_clear(dir);
}

static void a_tape_being_written_has_no_findings(void **state)
{
    (void)state;
    const char *dir = maker_dir("live");
    struct fsck_stats stats;
    struct fault fault = {0};
    struct tape_writer *w = maker_open(dir, (struct tape_settings){0});
    for (int i = 0; i < 50; i++) {
        maker_write(w, T0 + i);
        if (i % 9 == 0)
            assert_true(tape_write_flush(w, &fault));
    }
    assert_int_equal(check(dir, true, &stats).count, 0);
    assert_int_equal(stats.exchanges, 46);
    maker_close(w);
    maker_clear(dir);
}

static void run(const char *path, const char *sql)
{
    sqlite3 *db;
    char *message = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    sqlite3_close(db);
}

static const struct {
    const char *suffix, *sql;
    int invariant;
} damages[] = {
    {".log.db", "PRAGMA application_id=1", 1},
    {".log.db", "UPDATE segment SET name='other'", 2},
    {".log.db", "UPDATE x SET call=9999 WHERE id=(SELECT min(id) FROM x)", 3},
    {".log.db", "DELETE FROM who", 3},
    {".log.db", "UPDATE seek SET n=n+1", 4},
    {".log.db", "DELETE FROM seek WHERE bucket=(SELECT max(bucket) FROM seek)", 4},
    {".log.db", "INSERT INTO seek SELECT call, bucket+1000000, 1 FROM seek LIMIT 1", 4},
    {".log.db", "UPDATE x SET t=t+1000000000 WHERE id=(SELECT min(id) FROM x)", 4},
    {".log.db", "DELETE FROM x WHERE id=(SELECT max(id) FROM x)", 5},
    {".log.db", "UPDATE segment SET next_id=1", 5},
    {".log.db", "UPDATE op_block SET data=substr(data,1,length(data)-1)", 6},
    {".log.db", "UPDATE segment SET ops=ops+1", 6},
    {".log.db", "DELETE FROM op_name", 6},
    {".body.db", "UPDATE block SET data=substr(data,1,length(data)-1)", 7},
    {".body.db", "UPDATE block SET dir=x'00'", 7},
    {".body.db", "DELETE FROM block WHERE id=1", 8},
    {".log.db", "UPDATE x SET req=req+1 WHERE id=(SELECT min(id) FROM x)", 8},
    {".log.db", "DELETE FROM part WHERE n=0", 9},
    {".log.db", "DELETE FROM summary", 11},
    {"tape.db", "UPDATE segment SET body_gone_us=NULL, body_bytes=1, name='20000101T000000Z-000099', number=99 WHERE number=1", 10},
};

static void each_damage_is_told_by_its_number(void **state)
{
    (void)state;
    struct fsck_stats stats;
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        const char *dir = maker_dir("damage");
        fill(dir);
        run(maker_file(dir, damages[i].suffix, 0), damages[i].sql);
        struct seen seen = check(dir, false, &stats);
        bool found = false;
        for (size_t k = 0; k < seen.count; k++)
            found |= seen.invariants[k] == damages[i].invariant;
        if (!found)
            print_message("not found: %s\n", damages[i].sql);
        assert_true(found);
        maker_clear(dir);
    }
}

static void a_missing_file_is_told(void **state)
{
    (void)state;
    const char *dir = maker_dir("missing");
    struct fsck_stats stats;
    fill(dir);
    unlink(maker_file(dir, ".body.db", 1));
    unlink(maker_file(dir, ".log.db", 3));
    struct seen seen = check(dir, false, &stats);
    assert_true(seen.count >= 2);
    for (size_t i = 0; i < seen.count; i++)
        assert_true(seen.invariants[i] == 10 || seen.invariants[i] == 8);
    maker_clear(dir);
}

static void any_byte_flipped_never_crashes(void **state)
{
    (void)state;
    const char *dir = maker_dir("flip");
    struct fsck_stats stats;
    fill(dir);
    char path[256];
    unsigned told = 0;
    srand(7);
    for (int round = 0; round < 60; round++) {
        snprintf(path, sizeof path, "%s", maker_file(dir, round % 2 ? ".body.db" : ".log.db", 2));
        FILE *f = fopen(path, "r+");
        fseek(f, 0, SEEK_END);
        long size = ftell(f), at = rand() % size;
        fseek(f, at, SEEK_SET);
        int old = fgetc(f);
        fseek(f, at, SEEK_SET);
        fputc(old ^ (1 << rand() % 8), f);
        fclose(f);
        told += check(dir, false, &stats).count > 0;
        f = fopen(path, "r+");
        fseek(f, at, SEEK_SET);
        fputc(old, f);
        fclose(f);
    }
    print_message("%u of 60 flips told\n", told);
    assert_true(told > 0); // most pages of a small tape are empty
    assert_int_equal(check(dir, true, &stats).count, 0);
    maker_clear(dir);
}

static void what_is_no_tape_is_a_users_fault(void **state)
{
    (void)state;
    const char *dir = maker_dir("notape");
    struct fsck_stats stats;
    struct seen seen = {0};
    struct fault fault = {0};
    assert_false(fsck_tape(dir, note, &seen, &stats, &fault));
    assert_int_equal(fault.kind, FAULT_USER);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_false(fsck_tape(dir, note, &seen, &stats, &fault));
    assert_int_equal(fault.kind, FAULT_USER);
    maker_clear(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tape_as_written_has_no_findings), cmocka_unit_test(a_tape_being_written_has_no_findings),
        cmocka_unit_test(each_damage_is_told_by_its_number), cmocka_unit_test(a_missing_file_is_told),
        cmocka_unit_test(any_byte_flipped_never_crashes),    cmocka_unit_test(what_is_no_tape_is_a_users_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
