// Conditions are answered from indexes: the rows of exchanges that a selection steps over are counted, in each segment file it opens.
#include "../../../src/tape/format.h"
#include "../../../src/tape/read.h"

#include "tape_maker.h"

enum { SEGMENTS = 3, EACH = 4000, RARE_EVERY = 1000, BUCKET = 1 << FORMAT_BUCKET_SHIFT };

// ---- what SQLite did, seen from outside -----------------------------------------------------------------------------------

static struct { size_t rows, full_scans; } steps;

static bool reads_exchanges(sqlite3_stmt *stmt)
{
    const char *sql = sqlite3_sql(stmt), *from = sql ? strstr(sql, "FROM x") : NULL;
    return from && (from[6] == ' ' || from[6] == 0);
}

static int on_trace(unsigned what, void *ctx, void *stmt, void *more)
{
    (void)ctx, (void)more;
    if (!reads_exchanges(stmt))
        return 0;
    if (what == SQLITE_TRACE_ROW)
        steps.rows++;
    else
        steps.full_scans += (size_t)sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1);
    return 0;
}

static int on_database(sqlite3 *db, char **error, const struct sqlite3_api_routines *api)
{
    (void)error, (void)api;
    return sqlite3_trace_v2(db, SQLITE_TRACE_ROW | SQLITE_TRACE_PROFILE, on_trace, NULL);
}

// ---- a tape with few of what is looked for --------------------------------------------------------------------------------

// Every RARE_EVERY-th exchange deletes: mallory, of the index purge-1, asked for by its alias `doomed`. All others are alice's and read.
static void make_tape(const char *dir)
{
    struct fault fault = {0};
    struct tape_settings settings = {.segment_ns = 3600 * WHEN_NS_PER_S, .segment_bytes = 1 << 30, .flush_ns = WHEN_NS_PER_S, .compression = 1};
    for (int s = 0; s < SEGMENTS; s++) {
        struct tape_writer *w = maker_open(dir, settings);
        for (size_t i = 0; i < EACH; i++) {
            uint64_t id = tape_write_next_id(w);
            struct exchange x = maker_exchange(id, T0 + (int64_t)id * WHEN_NS_PER_MS);
            struct bytes target = bytes_of_text("doomed");
            struct exchange_index index = {bytes_of_text("purge-1"), true, 1, 0, 0, 0};
            x.flags = 0;
            x.api = bytes_of_text("search");
            if (i % RARE_EVERY == RARE_EVERY / 2) {
                x.flags = EXCHANGE_WRITE;
                x.api = bytes_of_text("indices.delete");
                x.danger = bytes_of_text("index.delete");
                x.principal = bytes_of_text("mallory");
                x.targets = &target;
                x.indices = &index;
            }
            assert_true(tape_write_exchange(w, &x, &fault));
        }
        maker_close(w);
    }
}

static bool count_row(void *ctx, const struct tape_row *row)
{
    (void)row;
    ++*(size_t *)ctx;
    return true;
}

static void expect(const char *dir, const char *what, struct tape_filter f, size_t found, size_t rows_max)
{
    struct fault fault = {0};
    size_t count = 0;
    struct tape *t = tape_open(&dir, 1, &fault);
    assert_non_null(t);
    steps.rows = steps.full_scans = 0;
    assert_true(tape_select(t, &f, count_row, &count, &fault));
    tape_close(t);
    if (count != found || steps.rows > rows_max || steps.full_scans)
        fail_msg("%s: %zu found, %zu rows stepped over (at most %zu), %zu steps of full scans", what, count, steps.rows, rows_max, steps.full_scans);
}

#define LIST(name, ...) .name = (const char *const[]){__VA_ARGS__}, .name##_count = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

static void a_condition_steps_over_the_buckets_of_its_matches_alone(void **state)
{
    (void)state;
    const char *dir = maker_dir("seek");
    const size_t rare = SEGMENTS * EACH / RARE_EVERY, few = rare * BUCKET;
    sqlite3_auto_extension((void (*)(void))on_database);
    make_tape(dir);
    expect(dir, "no condition: the counter counts", (struct tape_filter){0}, SEGMENTS * EACH, SEGMENTS * EACH);
    assert_true(steps.rows == SEGMENTS * EACH);
    expect(dir, "--writes", (struct tape_filter){.writes = true}, rare, few);
    expect(dir, "--destructive", (struct tape_filter){.destructive = true}, rare, few);
    expect(dir, "--index NAME", (struct tape_filter){LIST(index, "purge-1")}, rare, few);
    expect(dir, "--index ALIAS", (struct tape_filter){LIST(index, "doomed")}, rare, few);
    expect(dir, "--index WILDCARD", (struct tape_filter){LIST(index, "pu*-1")}, rare, few);
    expect(dir, "--index WILDCARD of an alias", (struct tape_filter){LIST(index, "*oomed")}, rare, few);
    expect(dir, "--api NAME", (struct tape_filter){LIST(api, "indices.delete")}, rare, few);
    expect(dir, "--api WILDCARD", (struct tape_filter){LIST(api, "indices.*")}, rare, few);
    expect(dir, "--who NAME", (struct tape_filter){LIST(who, "mallory")}, rare, few);
    expect(dir, "--who WILDCARD", (struct tape_filter){LIST(who, "mal*")}, rare, few);
    expect(dir, "several", (struct tape_filter){LIST(who, "mallory"), LIST(index, "purge-*"), .writes = true, .destructive = true}, rare, few);
    expect(dir, "--destructive -n 2", (struct tape_filter){.destructive = true, .newest = 2}, 2, 4 * BUCKET);
    expect(dir, "--index of nothing", (struct tape_filter){LIST(index, "nothing*")}, 0, 0);
    expect(dir, "--who of nobody", (struct tape_filter){LIST(who, "nobody")}, 0, 0);
    expect(dir, "both there, never together", (struct tape_filter){LIST(who, "alice"), LIST(api, "indices.delete")}, 0, 0);
    sqlite3_reset_auto_extension();
    maker_clear(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_condition_steps_over_the_buckets_of_its_matches_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
