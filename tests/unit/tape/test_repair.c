// Repair: what a dead recorder, a slow reader or a damaged file leaves is mended by the next one, and ids never repeat.
#include "tape_maker.h"

#include "../../../src/tape/fsck.h"

#include <fcntl.h>
#include <sys/wait.h>

static void note(void *ctx, const struct fsck_finding *finding)
{
    if (finding->harmless)
        return;
    print_message("%s: (%d) %s\n", finding->file, finding->invariant, finding->text);
    ++*(int *)ctx;
}

static int findings(const char *dir)
{
    int count = 0;
    struct fsck_stats stats;
    struct fault fault = {0};
    assert_true(fsck_tape(dir, note, &count, &stats, &fault));
    return count;
}

// A recorder that dies after `stored` flushed writes and some more that are not.
static void die(const char *dir, int stored, int more)
{
    pid_t pid = fork();
    if (!pid) {
        struct fault fault;
        struct tape_settings s = {.dir = dir};
        struct tape_writer *w = tape_write_open(&s, &fault);
        for (int i = 0; w && i < stored + more; i++) {
            maker_write(w, T0 + i * WHEN_NS_PER_S);
            if (i + 1 == stored)
                tape_write_flush(w, &fault);
        }
        _exit(w ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void a_dead_recorders_segment_is_sealed_and_the_hole_told(void **state)
{
    (void)state;
    const char *dir = maker_dir("dead");
    die(dir, 10, 5);
    assert_int_equal(findings(dir), 0); // readable and whole before anybody mends it
    struct tape_writer *w = maker_open(dir, (struct tape_settings){0});
    const char *log = maker_file(dir, ".log.db", 0);
    assert_string_equal(maker_sql(log, "SELECT json_array(rows,ops,sealed,repaired,next_id) FROM segment"), "[10,10,1,1,11]");
    assert_null(maker_file(dir, "-wal", 0));
    assert_int_equal(tape_write_next_id(w), 11);
    maker_write(w, T0 + 100 * WHEN_NS_PER_S);
    maker_close(w);
    assert_string_equal(maker_sql(maker_file(dir, ".log.db", 1), "SELECT json_array(\"from\",\"to\",cause) FROM gaps"),
                        "[\"2025-11-24T16:00:09.003000Z\",\"2025-11-24T16:01:40.000000Z\",\"not_recording\"]");
    assert_int_equal(findings(dir), 0);
    maker_clear(dir);
}

static void bodies_that_did_not_reach_the_disk_are_told_lost(void **state)
{
    (void)state;
    const char *dir = maker_dir("bodies");
    die(dir, 10, 0);
    char path[300];
    snprintf(path, sizeof path, "%s-wal", maker_file(dir, ".body.db", 0));
    assert_int_equal(truncate(path, 0), 0); // as when the log's write-ahead log was synced and this one was not
    maker_close(maker_open(dir, (struct tape_settings){0}));
    const char *log = maker_file(dir, ".log.db", 0);
    assert_string_equal(maker_sql(log, "SELECT json_array(count(*),sum(req=-2),sum(resp=-2)) FROM x"), "[10,10,10]");
    assert_int_equal(findings(dir), 0);
    maker_clear(dir);
}

static void change(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

// A recorder that died, with three bodies in the file of blocks. Its path.
static const char *die_with_blocks(const char *dir)
{
    static char text[100000];
    struct fault fault = {0};
    pid_t child = fork();
    if (!child) {
        struct tape_settings s = {.dir = dir};
        struct tape_writer *w = tape_write_open(&s, &fault);
        memset(text, 'x', sizeof text - 1);
        for (int i = 0; i < 3; i++) {
            uint64_t id = tape_write_next_id(w);
            struct exchange x = maker_exchange(id, T0 + i * WHEN_NS_PER_S);
            text[i * 1000] = (char)('a' + i);
            maker_body(w, id, BODY_REQUEST, text);
            if (!tape_write_exchange(w, &x, &fault) || !tape_write_flush(w, &fault))
                _exit(1);
        }
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    return maker_file(dir, ".body.dat", 0);
}

static void blocks_that_did_not_reach_the_disk_are_told_lost(void **state)
{
    (void)state;
    const char *dir = maker_dir("blocks");
    char path[300];
    struct stat st;
    snprintf(path, sizeof path, "%s", die_with_blocks(dir));
    assert_int_equal(findings(dir), 0);
    assert_int_equal(stat(path, &st), 0);
    // As when the rows reached the disk before their sync told them to, and the last block's bytes did not.
    char body[300];
    snprintf(body, sizeof body, "%s", maker_file(dir, ".body.db", 0));
    change(body, "UPDATE segment SET synced=1");
    assert_int_equal(truncate(path, st.st_size - 5), 0);
    assert_int_equal(findings(dir), 0); // a note
    maker_close(maker_open(dir, (struct tape_settings){0}));
    const char *log = maker_file(dir, ".log.db", 0);
    assert_string_equal(maker_sql(log, "SELECT json_array(count(*),sum(req=-2),sum(req>=0)) FROM x"), "[3,1,2]");
    assert_int_equal(findings(dir), 0);
    maker_clear(dir);
}

static void what_no_row_names_is_cut_off(void **state)
{
    (void)state;
    const char *dir = maker_dir("tail");
    char path[300];
    struct stat st, now;
    snprintf(path, sizeof path, "%s", die_with_blocks(dir));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size + 70000), 0);
    assert_int_equal(findings(dir), 0);
    maker_close(maker_open(dir, (struct tape_settings){0}));
    assert_int_equal(stat(path, &now), 0);
    assert_int_equal(now.st_size, st.st_size);
    assert_int_equal(maker_number(maker_file(dir, ".log.db", 0), "SELECT count(*) FROM x WHERE req>=0"), 3);
    assert_int_equal(findings(dir), 0);
    // Sealed, nothing of it may change.
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "?", 1, 20), 1);
    close(fd);
    assert_int_equal(findings(dir), 1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(findings(dir), 1);
    maker_clear(dir);
}

static void body_files_of_before_there_were_files_of_blocks_are_read(void **state)
{
    (void)state;
    const char *dir = maker_dir("former");
    char body[300];
    for (int sealed = 0; sealed < 2; sealed++) {
        die(dir, 10, 0);
        snprintf(body, sizeof body, "%s", maker_file(dir, ".body.db", (size_t)sealed));
        change(body, "ALTER TABLE block DROP COLUMN at; ALTER TABLE block DROP COLUMN bytes; ALTER TABLE segment DROP COLUMN synced");
        assert_int_equal(findings(dir), 0);
        maker_close(maker_open(dir, (struct tape_settings){0}));
        assert_int_equal(findings(dir), 0);
        assert_int_equal(maker_number(maker_file(dir, ".log.db", (size_t)sealed), "SELECT sum(req>=0) FROM x"), 10);
    }
    maker_clear(dir);
}

static void a_segment_never_filled_is_removed(void **state)
{
    (void)state;
    const char *dir = maker_dir("empty");
    die(dir, 3, 0);
    char path[300];
    snprintf(path, sizeof path, "%s/20251124T170000Z-000002.log.db", dir);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(findings(dir), 0);
    struct tape_writer *w = maker_open(dir, (struct tape_settings){0});
    assert_int_equal(maker_file_count(dir, ".log.db"), 1);
    maker_write(w, T0 + 100 * WHEN_NS_PER_S);
    maker_close(w);
    assert_int_equal(findings(dir), 0);
    maker_clear(dir);
}

static void a_lost_catalog_is_made_anew_from_the_segments(void **state)
{
    (void)state;
    const char *dir = maker_dir("catalog");
    die(dir, 5, 0);
    maker_close(maker_open(dir, (struct tape_settings){0}));
    char path[300];
    snprintf(path, sizeof path, "%s/tape.db", dir);
    unlink(path);
    struct tape_writer *w = maker_open(dir, (struct tape_settings){0});
    assert_int_equal(tape_write_next_id(w), 6);
    maker_close(w);
    assert_string_equal(maker_sql(path, "SELECT json_array(number,rows,sealed,start_us>0) FROM segment"), "[1,5,1,1]");
    maker_clear(dir);
}

static void a_damaged_segment_costs_no_id_twice(void **state)
{
    (void)state;
    const char *dir = maker_dir("damaged");
    die(dir, 20, 0);
    const char *log = maker_file(dir, ".log.db", 0);
    char path[300];
    snprintf(path, sizeof path, "%s-wal", log);
    unlink(path);
    int fd = open(log, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "this is no database at all, but it was one", 42), 42);
    close(fd);
    struct tape_writer *w = maker_open(dir, (struct tape_settings){0});
    assert_true(tape_write_next_id(w) >= 1000000000);
    maker_write(w, T0 + 100 * WHEN_NS_PER_S);
    maker_close(w);
    assert_int_equal(maker_file_count(dir, ".log.db"), 2);
    maker_clear(dir);
}

static void a_reader_in_the_way_does_not_stop_the_recorder(void **state)
{
    (void)state;
    const char *dir = maker_dir("reader");
    struct fault fault;
    struct tape_writer *w = maker_open(dir, (struct tape_settings){.segment_ns = 10 * WHEN_NS_PER_S});
    maker_write(w, T0);
    assert_true(tape_write_flush(w, &fault));
    sqlite3 *reader;
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_open_v2(maker_file(dir, ".log.db", 0), &reader, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(reader, "SELECT id FROM x", -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW); // its snapshot stays open
    for (int i = 1; i < 40; i++) {
        maker_write(w, T0 + i * WHEN_NS_PER_S);
        assert_true(tape_write_tick(w, T0 + i * WHEN_NS_PER_S, &fault));
    }
    assert_int_equal(findings(dir), 0);
    sqlite3_finalize(s);
    sqlite3_close(reader);
    maker_close(w);
    assert_null(maker_file(dir, "-wal", 0)); // tried again at the end
    assert_int_equal(findings(dir), 0);
    assert_int_equal(maker_file_count(dir, ".log.db"), 4);
    maker_clear(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_recorders_segment_is_sealed_and_the_hole_told),
        cmocka_unit_test(bodies_that_did_not_reach_the_disk_are_told_lost), cmocka_unit_test(a_segment_never_filled_is_removed),
        cmocka_unit_test(a_lost_catalog_is_made_anew_from_the_segments),    cmocka_unit_test(a_damaged_segment_costs_no_id_twice),
        cmocka_unit_test(a_reader_in_the_way_does_not_stop_the_recorder),
        cmocka_unit_test(blocks_that_did_not_reach_the_disk_are_told_lost), cmocka_unit_test(what_no_row_names_is_cut_off),
        cmocka_unit_test(body_files_of_before_there_were_files_of_blocks_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
