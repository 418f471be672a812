// Retention and prune: what goes is a file with a tombstone, what was chosen is gone from the disk, the rest stays whole.
#include "tape_maker.h"

#include "../../../src/tape/fsck.h"
#include "../../../src/tape/prune.h"

#include <fcntl.h>

static void note(void *ctx, const struct fsck_finding *finding)
{
    print_message("%s: (%d) %s\n", finding->file, finding->invariant, finding->text);
    ++*(int *)ctx;
}

static void expect_clean(const char *dir)
{
    int findings = 0;
    struct fsck_stats stats;
    struct fault fault = {0};
    assert_true(fsck_tape(dir, note, &findings, &stats, &fault));
    assert_int_equal(findings, 0);
}

static const char *catalog(const char *dir)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/tape.db", dir);
    return path;
}

// One write a second for `seconds`, a segment every ten.
static void fill(const char *dir, struct tape_settings s, int seconds)
{
    s.segment_ns = 10 * WHEN_NS_PER_S;
    struct tape_writer *w = maker_open(dir, s);
    struct fault fault = {0};
    for (int i = 0; i < seconds; i++) {
        maker_write(w, T0 + i * WHEN_NS_PER_S);
        assert_true(tape_write_tick(w, T0 + i * WHEN_NS_PER_S, &fault));
    }
    maker_close(w);
}

static void old_bodies_go_before_old_rows(void **state)
{
    (void)state;
    const char *dir = maker_dir("age");
    fill(dir, (struct tape_settings){.keep_bodies_ns = 25 * WHEN_NS_PER_S, .keep_log_ns = 65 * WHEN_NS_PER_S}, 100);
    size_t logs = maker_file_count(dir, ".log.db"), bodies = maker_file_count(dir, ".body.db");
    assert_true(bodies >= 3 && bodies <= 5);
    assert_true(logs >= 7 && logs <= 9);
    assert_int_equal(maker_number(catalog(dir), "SELECT count(*) FROM segment WHERE body_gone_us IS NOT NULL AND body_gone_why='age'"),
                     10 - (long)bodies);
    assert_int_equal(maker_number(catalog(dir), "SELECT count(*) FROM segment WHERE log_gone_us IS NOT NULL"), 10 - (long)logs);
    expect_clean(dir);
    maker_clear(dir);
}

static void a_full_tape_drops_its_oldest_bodies_first(void **state)
{
    (void)state;
    const char *dir = maker_dir("maxbytes");
    fill(dir, (struct tape_settings){0}, 100);
    long long bytes = maker_number(catalog(dir), "SELECT sum(log_bytes+body_bytes) FROM segment");
    long long body = maker_number(catalog(dir), "SELECT body_bytes FROM segment WHERE number=1");
    maker_clear(dir);
    fill(dir, (struct tape_settings){.max_bytes = (uint64_t)(bytes - 2 * body)}, 100);
    assert_int_equal(maker_file_count(dir, ".log.db"), 10);
    assert_true(maker_file_count(dir, ".body.db") < 10);
    assert_int_equal(maker_number(catalog(dir), "SELECT min(body_gone_us IS NOT NULL) FROM segment WHERE number=1"), 1);
    assert_int_equal(maker_number(catalog(dir), "SELECT body_gone_us IS NOT NULL FROM segment WHERE number=10"), 0);
    expect_clean(dir);
    maker_clear(dir);
}

static void ids_are_not_used_again_when_all_logs_are_gone(void **state)
{
    (void)state;
    const char *dir = maker_dir("allgone");
    struct prune_result result;
    struct fault fault = {0};
    fill(dir, (struct tape_settings){0}, 30);
    struct prune_settings all = {.bodies_before_ns = WHEN_UNKNOWN, .log_before_ns = T0 + 100 * WHEN_NS_PER_S};
    assert_true(tape_prune(dir, &all, T0 + 200 * WHEN_NS_PER_S, &result, &fault));
    assert_int_equal(result.logs_dropped, 3);
    assert_int_equal(maker_file_count(dir, ".log.db") + maker_file_count(dir, ".body.db"), 0);
    struct tape_writer *w = maker_open(dir, (struct tape_settings){0});
    assert_int_equal(tape_write_next_id(w), 31);
    maker_close(w);
    expect_clean(dir);
    maker_clear(dir);
}

static void a_dry_run_changes_nothing(void **state)
{
    (void)state;
    const char *dir = maker_dir("dry");
    struct prune_result result;
    struct fault fault = {0};
    fill(dir, (struct tape_settings){0}, 30);
    const char *index[] = {"cat*"};
    struct prune_settings all = {.bodies_before_ns = T0 + 100 * WHEN_NS_PER_S, .log_before_ns = WHEN_UNKNOWN, .dry_run = true,
                                 .index = index, .index_count = 1};
    assert_true(tape_prune(dir, &all, T0, &result, &fault));
    assert_int_equal(result.bodies_dropped, 3);
    assert_int_equal(result.exchanges_stripped, 30);
    assert_int_equal(maker_file_count(dir, ".body.db"), 3);
    expect_clean(dir);
    maker_clear(dir);
}

static bool file_holds(const char *path, const char *text)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    assert_int_equal(fstat(fd, &st), 0);
    char *all = malloc((size_t)st.st_size);
    assert_int_equal(read(fd, all, (size_t)st.st_size), st.st_size);
    close(fd);
    bool holds = memmem(all, (size_t)st.st_size, text, strlen(text)) != NULL;
    free(all);
    return holds;
}

static void pruning_an_index_removes_its_bodies_alone(void **state)
{
    (void)state;
    const char *dir = maker_dir("index");
    struct tape_writer *w = maker_open(dir, (struct tape_settings){0});
    struct fault fault = {0};
    struct prune_result result;
    static char text[300000];
    srand(3);
    for (size_t i = 0; i < sizeof text - 1; i++)
        text[i] = (char)(33 + rand() % 90); // so that zstd leaves it nearly as it is
    for (int i = 0; i < 40; i++) {
        uint64_t id = tape_write_next_id(w);
        struct exchange x = maker_exchange(id, T0 + i);
        struct exchange_index secret = {bytes_of_text("secret"), true, 1, 0, 0, 0};
        bool chosen = i % 2;
        if (chosen)
            x.indices = &secret;
        maker_body(w, id, BODY_REQUEST, i == 1 || i == 2 ? text : chosen ? "{\"a\":\"KLMNOPQ-7zyxwvut-secret-words\"}" : "{\"a\":\"public\"}");
        assert_true(tape_write_exchange(w, &x, &fault));
    }
    maker_close(w);
    int fd = open(maker_file(dir, ".body.dat", 0), O_RDONLY);
    char head[64], nothing[64] = "";
    assert_true(pread(fd, head, sizeof head, 1000) == sizeof head && memcmp(head, nothing, sizeof head) != 0);
    const char *index[] = {"secret"};
    struct prune_settings s = {.bodies_before_ns = WHEN_UNKNOWN, .log_before_ns = WHEN_UNKNOWN, .index = index, .index_count = 1};
    assert_true(tape_prune(dir, &s, T0, &result, &fault));
    assert_int_equal(result.exchanges_stripped, 20);
    assert_true(result.bytes_freed > 100000);
    const char *log = maker_file(dir, ".log.db", 0);
    assert_int_equal(maker_number(log, "SELECT count(*) FROM x WHERE req=-3"), 20);
    assert_int_equal(maker_number(log, "SELECT count(*) FROM x WHERE req>=0"), 20);
    assert_false(file_holds(maker_file(dir, ".body.db", 0), "KLMNOPQ-7zyxwvut"));
    assert_true(file_holds(maker_file(dir, ".body.db", 0), "public"));
    assert_true(pread(fd, head, sizeof head, 1000) == sizeof head && memcmp(head, nothing, sizeof head) == 0);
    close(fd);
    expect_clean(dir);
    assert_true(tape_prune(dir, &s, T0, &result, &fault)); // again: nothing left to do, nothing broken
    expect_clean(dir);
    maker_clear(dir);
}

static void a_recorder_keeps_prune_away(void **state)
{
    (void)state;
    const char *dir = maker_dir("busy");
    struct prune_settings s = {.bodies_before_ns = WHEN_UNKNOWN, .log_before_ns = WHEN_UNKNOWN};
    struct prune_result result;
    struct fault fault = {0};
    assert_false(tape_prune(dir, &s, T0, &result, &fault));
    assert_int_equal(fault.kind, FAULT_USER);
    struct tape_writer *w = maker_open(dir, (struct tape_settings){0});
    assert_false(tape_prune(dir, &s, T0, &result, &fault));
    assert_int_equal(fault.kind, FAULT_USER);
    assert_non_null(strstr(fault.text, "pid"));
    maker_close(w);
    const char *name[] = {"nonesuch"};
    s.segment = name;
    s.segment_count = 1;
    assert_false(tape_prune(dir, &s, T0, &result, &fault));
    assert_int_equal(fault.kind, FAULT_USER);
    maker_clear(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_bodies_go_before_old_rows), cmocka_unit_test(a_full_tape_drops_its_oldest_bodies_first),
        cmocka_unit_test(ids_are_not_used_again_when_all_logs_are_gone), cmocka_unit_test(a_dry_run_changes_nothing),
        cmocka_unit_test(pruning_an_index_removes_its_bodies_alone), cmocka_unit_test(a_recorder_keeps_prune_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
