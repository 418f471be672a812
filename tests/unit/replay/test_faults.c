// Our own machine fails: every allocation of a plan once, a working file that cannot be written, a journal that cannot grow.
#include "../../../src/base/mem.h"
#include "../../../src/tape/journal.h"
#include "plan_case.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void everything(void)
{
    static const char *skip[] = {"50"};
    set.skip = skip;
    set.skip_count = 1;
    set.admin = true;
    set.unknown = PLAN_UNKNOWN_APPLY;
    one_shard();
    fake_resolution(tape, "alias", "cat", MS(-500));
    PUT(10, OP_INDEX, "a", OP_CREATED, 0, 1, 0);
    PUT(11, OP_UPDATE, "a", OP_UPDATED, 1, 2, 10, .flags = OP_SCRIPTED);
    PUT(12, OP_INDEX, "", OP_ACCEPTED, OP_NONE, 0, 20, .flags = OP_ID_UNKNOWN);
    PUT(13, OP_CREATE, "u", OP_UNKNOWN, OP_NONE, 0, 30, -1);
    fake_exchange(tape, &(struct exchange){.id = 14, .time_ns = MS(40), .answered_ns = MS(41), .api = bytes_of_text("get"), .verb = bytes_of_text("GET"),
                                           .path = bytes_of_text("/cat/_doc/u"), .targets = cat_target, .target_count = 1, .status = 200}, NULL);
    fake_exchange(tape, &(struct exchange){.id = 15, .time_ns = MS(50), .answered_ns = MS(60), .api = bytes_of_text("update_by_query"), .targets = cat_target, .target_count = 1,
                                           .status = 200, .verb = bytes_of_text("POST"), .path = bytes_of_text("/cat/_update_by_query"), .docs_total = 1, .docs_ok = 1}, "{}");
    fake_exchange(tape, &(struct exchange){.id = 16, .time_ns = MS(70), .answered_ns = MS(71), .api = bytes_of_text("indices.update_aliases"), .targets = cat_target,
                                           .target_count = 1, .status = 200, .verb = bytes_of_text("POST"), .path = bytes_of_text("/_aliases")},
                  "{\"actions\":[{\"add\":{\"index\":\"cat\",\"alias\":\"c\"}}]}");
    accident(100);
    PUT(60, OP_UPDATE, "a", OP_CREATED, 0, 1, 20000, .flags = OP_UPSERT);
    PUT(61, OP_UPDATE, "b", OP_FAILED, OP_NONE, 0, 20010, .error = "document_missing_exception");
}

static void memory_that_runs_out_anywhere_in_a_plan_is_a_fault(void **state)
{
    (void)state;
    everything();
    unsigned long n = 0;
    bool done = false;
    while (!done) {
        struct fault f = {0};
        struct plan_doc d = {0};
        bool ok = true;
        mem_fail_after(++n);
        struct plan *p = plan_build(&set, &f);
        for (ok = p != NULL; ok;) {
            ok = plan_next(p, &d, &f);
            if (ok && !d.step_count)
                break;
        }
        mem_fail_after(0);
        done = p && ok;
        if (!p)
            assert_true(f.kind != FAULT_NONE);
        plan_close(p);
        assert_true(n < 100000);
    }
    assert_true(n > 50); // it had something to fail
}

static void a_working_file_that_cannot_be_written_is_a_fault_that_names_its_place(void **state)
{
    (void)state;
    static char ids[20000][8];
    struct rlimit old, small;
    struct fault f = {0};
    one_shard();
    set.memory_bytes = 1 << 18;
    set.spill_dir = "/tmp";
    for (int i = 0; i < 20000; i++) {
        snprintf(ids[i], sizeof ids[i], "%d", i);
        PUT((uint64_t)i + 100, OP_INDEX, ids[i], OP_CREATED, i, 1, i);
    }
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){200000, old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    struct plan *p = plan_build(&set, &f);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_null(p);
    assert_int_equal(f.kind, FAULT_SYSTEM);
    assert_non_null(strstr(f.text, "working file"));
}

// ---- the journal ------------------------------------------------------------------------------------------------------

static char path[64]; // in main: one per process

static void remove_journal(void)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-new"};
    char name[80];
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
}

static void what_was_committed_is_there_again_after_a_crash(void **state)
{
    (void)state;
    struct fault f = {0};
    struct journal_doc d;
    struct buf value = {0};
    remove_journal();
    pid_t child = fork();
    if (!child) { // ends without closing
        struct journal *j = journal_open(path, &f);
        for (uint64_t i = 1; i <= 5000; i++)
            journal_put(j, i * UINT64_C(0x9e3779b97f4a7c15), &(struct journal_doc){i % 2 ? JOURNAL_DONE : JOURNAL_INTENT, (int64_t)i, 3, -1, (uint32_t)i}, &f);
        journal_commit(j, &f);
        journal_set_meta(j, "plan", bytes_of_text("p"), &f);
        journal_put(j, 77, &(struct journal_doc){JOURNAL_DONE, 1, 1, 1, 1}, &f); // not committed
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    struct journal *j = journal_open(path, &f);
    assert_non_null(j);
    assert_false(journal_is_fresh(j));
    for (uint64_t i = 1; i <= 5000; i++) {
        assert_true(journal_find(j, i * UINT64_C(0x9e3779b97f4a7c15), &d));
        assert_true(d.state == (i % 2 ? JOURNAL_DONE : JOURNAL_INTENT) && d.seq_no == (int64_t)i && d.primary_term == 3 && d.version == -1 && d.steps == i);
    }
    assert_false(journal_find(j, 77, &d));
    assert_true(journal_meta(j, "plan", &value) && bytes_equal_text(buf_view(&value), "p"));
    journal_put(j, UINT64_C(0x9e3779b97f4a7c15), &(struct journal_doc){JOURNAL_REFUSED, 9, 9, 9, 9}, &f);
    assert_true(journal_find(j, UINT64_C(0x9e3779b97f4a7c15), &d) && d.state == JOURNAL_REFUSED); // newer than what was noted
    buf_fini(&value);
    assert_true(journal_close(j, &f));
    remove_journal();
}

static void a_second_writer_is_refused(void **state)
{
    (void)state;
    struct fault f = {0};
    remove_journal();
    struct journal *first = journal_open(path, &f), *second = journal_open(path, &f);
    assert_true(first && second);
    assert_true(journal_set_meta(first, "plan", bytes_of_text("p"), &f));
    assert_false(journal_put(second, 1, &(struct journal_doc){JOURNAL_DONE, 1, 1, 1, 1}, &f));
    assert_non_null(strstr(f.text, "in use"));
    journal_close(second, &f);
    journal_close(first, &f);
    remove_journal();
}

static void a_disk_that_is_full_is_a_fault_of_the_journal(void **state)
{
    (void)state;
    struct rlimit old, small;
    struct fault f = {0};
    remove_journal();
    struct journal *j = journal_open(path, &f);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){65536, old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    bool ok = true;
    for (uint64_t i = 1; i < 200000 && ok; i++) {
        ok = journal_put(j, i * UINT64_C(0x9e3779b97f4a7c15), &(struct journal_doc){JOURNAL_DONE, (int64_t)i, 1, 1, 1}, &f);
        if (i % 1000 == 0)
            ok = ok && journal_commit(j, &f);
    }
    setrlimit(RLIMIT_FSIZE, &old);
    assert_false(ok);
    assert_true(f.kind == FAULT_SYSTEM);
    struct fault second;
    journal_close(j, &second);
    remove_journal();
}

int main(void)
{
    snprintf(path, sizeof path, "/tmp/estape-unit-journal-%d.db", (int)getpid());
    const struct CMUnitTest tests[] = {T(memory_that_runs_out_anywhere_in_a_plan_is_a_fault), T(a_working_file_that_cannot_be_written_is_a_fault_that_names_its_place),
                                       T(what_was_committed_is_there_again_after_a_crash), T(a_second_writer_is_refused), T(a_disk_that_is_full_is_a_fault_of_the_journal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
