// The N-th allocation, write or sync fails, or the power goes at the N-th write, for N = 1, 2, ... until none does: what was
// flushed stays, the tape opens again, fsck finds nothing.
//
// A VFS around SQLite's own counts writes and syncs and makes them fail; the file of blocks is met at its system calls. For power loss it keeps a copy of every file as of its
// last sync; at the chosen write each file of the tape is either that copy or as it is now, by chance.
#include "tape_maker.h"

#include "../../../src/tape/fsck.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

enum kind { NOTHING, WRITE_FULL, WRITE_ERROR, SYNC_ERROR, POWER };

static struct {
    enum kind kind;
    long at;          // fails at this count
    bool once;        // only then, else from then on
    long writes, syncs;
    char durable[200], crash[200];
    bool crashed;
} plan;

static uint64_t promised[400]; // ids that a flush told as stored
static size_t promised_count, written_count, crash_promised;
static long block_writes; // to the file of blocks
static uint64_t written[400];

// Every N (make torture), else steps that grow.
static bool every(void)
{
    return getenv("ESTAPE_TORTURE") != NULL;
}

// ---- the VFS --------------------------------------------------------------------------------------------------------

struct shim {
    sqlite3_file base;
    sqlite3_file *real;
    char name[400];
};

static sqlite3_vfs *inner;
static sqlite3_vfs outer;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER; // two files can be sealed at once; a copy must be of one moment

static void copy_file(const char *from, const char *to)
{
    int in = open(from, O_RDONLY), out = in < 0 ? -1 : open(to, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    static char block[1 << 16];
    for (ssize_t n; out >= 0 && (n = read(in, block, sizeof block)) > 0;)
        assert_int_equal(write(out, block, (size_t)n), n);
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
}

static const char *base_name(const char *path)
{
    return strrchr(path, '/') + 1;
}

// Every file as it may stand on the disk when the power goes now.
static void crash_now(const char *dir)
{
    char path[600], durable[600], to[600];
    struct stat st;
    mkdir(plan.crash, 0700);
    for (size_t i = 0; maker_file(dir, "", i); i++) {
        snprintf(path, sizeof path, "%s", maker_file(dir, "", i));
        if (strstr(path, "-shm"))
            continue;
        snprintf(durable, sizeof durable, "%s/%s", plan.durable, base_name(path));
        snprintf(to, sizeof to, "%s/%s", plan.crash, base_name(path));
        bool synced = stat(durable, &st) == 0;
        if (rand() % 2)
            copy_file(path, to);
        else if (synced)
            copy_file(durable, to);
        else
            close(open(to, O_CREAT | O_WRONLY, 0600)); // the name is there, its content is not
    }
    plan.crashed = true;
    crash_promised = promised_count;
}

static bool fails(enum kind kind, long count)
{
    return plan.kind == kind && (plan.once ? count == plan.at : count >= plan.at);
}

static int shim_close(sqlite3_file *f) { return ((struct shim *)f)->real->pMethods->xClose(((struct shim *)f)->real); }
static int shim_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at) { return ((struct shim *)f)->real->pMethods->xRead(((struct shim *)f)->real, to, n, at); }

static int write_or_fail(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
    struct shim *s = (struct shim *)f;
    if (s->name[0]) {
        plan.writes++;
        if (fails(WRITE_FULL, plan.writes))
            return SQLITE_FULL;
        if (fails(WRITE_ERROR, plan.writes))
            return SQLITE_IOERR_WRITE;
        if (plan.kind == POWER && plan.writes == plan.at && !plan.crashed) {
            char dir[400];
            snprintf(dir, sizeof dir, "%.*s", (int)(base_name(s->name) - s->name - 1), s->name);
            if (rand() % 2) // a write that was cut short
                s->real->pMethods->xWrite(s->real, from, n / 2, at);
            crash_now(dir);
        }
    }
    return s->real->pMethods->xWrite(s->real, from, n, at);
}

static int shim_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
    pthread_mutex_lock(&one_at_a_time);
    int code = write_or_fail(f, from, n, at);
    pthread_mutex_unlock(&one_at_a_time);
    return code;
}

static int shim_truncate(sqlite3_file *f, sqlite3_int64 n)
{
    pthread_mutex_lock(&one_at_a_time);
    int code = ((struct shim *)f)->real->pMethods->xTruncate(((struct shim *)f)->real, n);
    pthread_mutex_unlock(&one_at_a_time);
    return code;
}

static int sync_or_fail(sqlite3_file *f, int flags)
{
    struct shim *s = (struct shim *)f;
    plan.syncs++;
    if (fails(SYNC_ERROR, plan.syncs))
        return SQLITE_IOERR_FSYNC;
    if (plan.kind == POWER && s->name[0]) {
        char to[700];
        snprintf(to, sizeof to, "%s/%s", plan.durable, base_name(s->name));
        copy_file(s->name, to);
        return SQLITE_OK;
    }
    (void)flags;
    return SQLITE_OK; // nothing here needs the real disk
}

static int shim_sync(sqlite3_file *f, int flags)
{
    pthread_mutex_lock(&one_at_a_time);
    int code = sync_or_fail(f, flags);
    pthread_mutex_unlock(&one_at_a_time);
    return code;
}

static int shim_size(sqlite3_file *f, sqlite3_int64 *n) { return ((struct shim *)f)->real->pMethods->xFileSize(((struct shim *)f)->real, n); }
static int shim_lock(sqlite3_file *f, int l) { return ((struct shim *)f)->real->pMethods->xLock(((struct shim *)f)->real, l); }
static int shim_unlock(sqlite3_file *f, int l) { return ((struct shim *)f)->real->pMethods->xUnlock(((struct shim *)f)->real, l); }
static int shim_reserved(sqlite3_file *f, int *r) { return ((struct shim *)f)->real->pMethods->xCheckReservedLock(((struct shim *)f)->real, r); }
static int shim_control(sqlite3_file *f, int op, void *a) { return ((struct shim *)f)->real->pMethods->xFileControl(((struct shim *)f)->real, op, a); }
static int shim_sector(sqlite3_file *f) { return ((struct shim *)f)->real->pMethods->xSectorSize(((struct shim *)f)->real); }
static int shim_traits(sqlite3_file *f) { return ((struct shim *)f)->real->pMethods->xDeviceCharacteristics(((struct shim *)f)->real); }
static int shim_map(sqlite3_file *f, int p, int n, int e, void volatile **m) { return ((struct shim *)f)->real->pMethods->xShmMap(((struct shim *)f)->real, p, n, e, m); }
static int shim_shm_lock(sqlite3_file *f, int o, int n, int flags) { return ((struct shim *)f)->real->pMethods->xShmLock(((struct shim *)f)->real, o, n, flags); }
static void shim_barrier(sqlite3_file *f) { ((struct shim *)f)->real->pMethods->xShmBarrier(((struct shim *)f)->real); }
static int shim_unmap(sqlite3_file *f, int d) { return ((struct shim *)f)->real->pMethods->xShmUnmap(((struct shim *)f)->real, d); }
static int shim_fetch(sqlite3_file *f, sqlite3_int64 at, int n, void **p) { (void)f, (void)at, (void)n; *p = NULL; return SQLITE_OK; }
static int shim_unfetch(sqlite3_file *f, sqlite3_int64 at, void *p) { (void)f, (void)at, (void)p; return SQLITE_OK; }

static const sqlite3_io_methods methods = {
    3, shim_close, shim_read, shim_write, shim_truncate, shim_sync, shim_size, shim_lock, shim_unlock, shim_reserved, shim_control,
    shim_sector, shim_traits, shim_map, shim_shm_lock, shim_barrier, shim_unmap, shim_fetch, shim_unfetch,
};

// ---- the file of blocks, which is not SQLite's ----------------------------------------------------------------------

static bool is_blocks(int fd, char path[400])
{
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = plan.kind ? readlink(link, path, 399) : -1;
    path[n < 0 ? 0 : n] = 0;
    return n > 4 && strcmp(path + n - 4, ".dat") == 0;
}

ssize_t pwrite(int fd, const void *from, size_t size, off_t at)
{
    char path[400];
    if (!is_blocks(fd, path))
        return syscall(SYS_pwrite64, fd, from, size, at);
    pthread_mutex_lock(&one_at_a_time);
    plan.writes++;
    block_writes++;
    bool full = fails(WRITE_FULL, plan.writes), error = fails(WRITE_ERROR, plan.writes);
    if (plan.kind == POWER && plan.writes == plan.at && !plan.crashed) {
        char dir[400];
        snprintf(dir, sizeof dir, "%.*s", (int)(base_name(path) - path - 1), path);
        if (rand() % 2)
            syscall(SYS_pwrite64, fd, from, size / 2, at);
        crash_now(dir);
    }
    pthread_mutex_unlock(&one_at_a_time);
    errno = full ? ENOSPC : EIO;
    return full || error ? -1 : syscall(SYS_pwrite64, fd, from, size, at);
}

int fdatasync(int fd)
{
    char path[400], to[700];
    if (!is_blocks(fd, path))
        return (int)syscall(SYS_fdatasync, fd);
    pthread_mutex_lock(&one_at_a_time);
    plan.syncs++;
    bool error = fails(SYNC_ERROR, plan.syncs);
    snprintf(to, sizeof to, "%s/%s", plan.durable, base_name(path));
    if (plan.kind == POWER)
        copy_file(path, to);
    pthread_mutex_unlock(&one_at_a_time);
    errno = EIO;
    return error ? -1 : 0;
}

// db_create syncs a file before it stands at its place; SQLite's VFS sees it from then on.
static void keep_made(const char *name)
{
    char to[700];
    struct stat st;
    snprintf(to, sizeof to, "%s/%s", plan.durable, base_name(name));
    pthread_mutex_lock(&one_at_a_time);
    if (stat(to, &st) != 0)
        copy_file(name, to);
    pthread_mutex_unlock(&one_at_a_time);
}

static int shim_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
    (void)v;
    struct shim *s = (struct shim *)f;
    s->real = (sqlite3_file *)(s + 1);
    s->name[0] = 0;
    if (name)
        snprintf(s->name, sizeof s->name, "%s", name);
    int code = inner->xOpen(inner, name, s->real, flags, out);
    if (plan.kind == POWER && name && flags & SQLITE_OPEN_MAIN_DB)
        keep_made(name);
    f->pMethods = s->real->pMethods ? &methods : NULL;
    return code;
}

static int shim_delete(sqlite3_vfs *v, const char *name, int sync)
{
    (void)v;
    char to[700];
    snprintf(to, sizeof to, "%s/%s", plan.durable, base_name(name));
    pthread_mutex_lock(&one_at_a_time);
    if (plan.kind == POWER)
        unlink(to);
    int code = inner->xDelete(inner, name, sync);
    pthread_mutex_unlock(&one_at_a_time);
    return code;
}

static int set_up(void **state)
{
    (void)state;
    inner = sqlite3_vfs_find(NULL);
    outer = *inner;
    outer.zName = "shim";
    outer.szOsFile = (int)sizeof(struct shim) + inner->szOsFile;
    outer.xOpen = shim_open;
    outer.xDelete = shim_delete;
    return sqlite3_vfs_register(&outer, 1);
}

// ---- the scenario ---------------------------------------------------------------------------------------------------

// False: the writer gave up (which is allowed; lying is not).
static bool record(const char *dir, struct fault *fault)
{
    static char text[150000];
    struct tape_settings s = {.dir = dir, .segment_ns = 12 * WHEN_NS_PER_S};
    promised_count = written_count = 0;
    if (!text[0])
        for (size_t i = 0; i < sizeof text - 1; i++)
            text[i] = (char)('a' + (i * i >> 7) % 26);
    struct tape_writer *w = tape_write_open(&s, fault);
    if (!w)
        return false;
    bool ok = true;
    for (int i = 0; ok && i < 30; i++) {
        int64_t time_ns = T0 + i * WHEN_NS_PER_S;
        uint64_t id = tape_write_next_id(w);
        struct exchange x = maker_exchange(id, time_ns);
        struct body_piece piece = {.bytes = bytes_of_text("{\"a\":1}")}, hole = {.hole_bytes = 99};
        char name[24];
        snprintf(name, sizeof name, "doc-%d", i);
        struct op op = maker_op(id, 0, name);
        if (i % 10 == 5)
            piece.bytes = bytes_of(text, sizeof text - 1);
        ok = tape_write_body(w, id, BODY_REQUEST, &piece, fault) && (i % 10 != 5 || tape_write_body(w, id, BODY_REQUEST, &piece, fault)) &&
             (i % 7 || tape_write_body(w, id, BODY_RESPONSE, &hole, fault)) && tape_write_body(w, id, BODY_RESPONSE, &piece, fault) &&
             tape_write_ops(w, &op, 1, fault) && tape_write_exchange(w, &x, fault);
        written[written_count++] = id;
        struct tape_alert alert = {.exchange = id, .time_ns = time_ns, .id = bytes_of_text(name), .rule = bytes_of_text("r"),
                                   .title = bytes_of_text("t"), .level = bytes_of_text("high"), .json = bytes_of_text("{}")};
        if (ok && i % 6 == 3)
            ok = tape_write_alert(w, &alert, fault) && tape_write_alerts_end(w, fault);
        if (ok && i % 4 == 3) {
            ok = tape_write_flush(w, fault);
            // Rows that were on before the flush and are on after it are stored.
            if (ok && !tape_write_trouble(w)) {
                memcpy(promised, written, written_count * sizeof *written);
                promised_count = written_count;
            } else
                written_count = promised_count;
        } else if (ok && tape_write_trouble(w))
            written_count = promised_count;
        ok = ok && tape_write_tick(w, time_ns, fault);
    }
    bool closed = tape_write_close(w, fault);
    if (ok && closed && !plan.kind) {
        memcpy(promised, written, written_count * sizeof *written);
        promised_count = written_count;
    }
    return ok && closed;
}

static void note(void *ctx, const struct fsck_finding *finding)
{
    if (finding->harmless)
        return;
    print_message("%s: (%d) %s\n", finding->file, finding->invariant, finding->text);
    ++*(int *)ctx;
}

static bool is_stored(const char *dir, uint64_t id)
{
    char sql[80];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM x WHERE id=%llu", (unsigned long long)id);
    for (size_t i = 0; maker_file(dir, ".log.db", i); i++)
        if (maker_number(maker_file(dir, ".log.db", i), sql))
            return true;
    return false;
}

// Opens the tape as the next recorder would, and looks at everything.
static void expect_whole(const char *dir, size_t count, long n)
{
    struct fault fault = {0};
    struct fsck_stats stats;
    struct tape_settings s = {.dir = dir};
    int findings = 0;
    plan.kind = NOTHING;
    struct tape_writer *w = tape_write_open(&s, &fault);
    if (!w)
        fail_msg("N = %ld: %s", n, fault.text);
    uint64_t next = tape_write_next_id(w);
    maker_close(w);
    if (maker_file(dir, "", 0))
        assert_true(fsck_tape(dir, note, &findings, &stats, &fault));
    if (findings)
        fail_msg("N = %ld: %d findings", n, findings);
    for (size_t i = 0; i < count; i++) {
        if (!is_stored(dir, promised[i]))
            fail_msg("N = %ld: exchange %llu was flushed and is gone", n, (unsigned long long)promised[i]);
        assert_true(next > promised[i]);
    }
}

static void run_all(enum kind kind, bool once, const char *what)
{
    long n = 1;
    struct fault fault;
    for (bool reached = true; reached; n += every() ? 1 : kind == SYNC_ERROR ? 1 + n / 50 : 1 + n / 6) {
        const char *dir = maker_dir(what);
        plan.kind = kind;
        plan.at = n;
        plan.once = once;
        plan.writes = plan.syncs = 0;
        fault = (struct fault){0};
        bool ok = record(dir, &fault);
        reached = (kind == SYNC_ERROR ? plan.syncs : plan.writes) >= n;
        if (!ok)
            assert_true(fault.kind != FAULT_NONE && fault.text[0]);
        expect_whole(dir, promised_count, n);
        maker_clear(dir);
    }
    assert_true(n > 20);
    assert_int_equal(promised_count, 28);
    assert_true(block_writes > 0);
}

static void a_full_disk_at_any_write_loses_nothing_flushed(void **state) { (void)state; run_all(WRITE_FULL, true, "full1"); }
static void a_disk_that_stays_full_loses_nothing_flushed(void **state) { (void)state; run_all(WRITE_FULL, false, "full"); }
static void a_write_error_loses_nothing_flushed(void **state) { (void)state; run_all(WRITE_ERROR, true, "error1"); }
static void a_disk_that_stays_broken_loses_nothing_flushed(void **state) { (void)state; run_all(WRITE_ERROR, false, "error"); }
static void a_failed_sync_loses_nothing_flushed(void **state) { (void)state; run_all(SYNC_ERROR, true, "sync1"); }

static void power_loss_at_any_write_loses_nothing_flushed(void **state)
{
    (void)state;
    struct fault fault;
    long n = 1;
    srand(11);
    for (plan.crashed = true; plan.crashed; n += every() ? 1 : 1 + n / 20) {
        const char *dir = maker_dir("power");
        char tape[200];
        snprintf(tape, sizeof tape, "%s", dir);
        snprintf(plan.durable, sizeof plan.durable, "%.150s-durable", tape);
        snprintf(plan.crash, sizeof plan.crash, "%.150s-crash", tape);
        maker_clear(plan.durable);
        maker_clear(plan.crash);
        mkdir(plan.durable, 0700);
        plan.kind = POWER;
        plan.at = n;
        plan.writes = plan.syncs = 0;
        plan.crashed = false;
        assert_true(record(tape, &fault));
        if (plan.crashed)
            expect_whole(plan.crash, crash_promised, n);
        maker_clear(tape);
        maker_clear(plan.durable);
        maker_clear(plan.crash);
    }
    assert_true(n > 40);
}

static void memory_running_out_anywhere_loses_nothing_flushed(void **state)
{
    (void)state;
    struct fault fault;
    plan.kind = NOTHING;
    unsigned long n = 1;
    for (bool ok = false; !ok; n += every() ? 1 : 1 + n / 20) {
        const char *dir = maker_dir("memory");
        fault = (struct fault){0};
        mem_fail_after(n);
        ok = record(dir, &fault);
        mem_fail_after(0);
        if (!ok)
            assert_true(fault.kind != FAULT_NONE && fault.text[0]);
        expect_whole(dir, promised_count, (long)n);
        maker_clear(dir);
    }
    assert_true(n > 50);
    assert_int_equal(promised_count, 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_running_out_anywhere_loses_nothing_flushed),
        cmocka_unit_test(a_full_disk_at_any_write_loses_nothing_flushed),
        cmocka_unit_test(a_disk_that_stays_full_loses_nothing_flushed),
        cmocka_unit_test(a_write_error_loses_nothing_flushed),
        cmocka_unit_test(a_disk_that_stays_broken_loses_nothing_flushed),
        cmocka_unit_test(a_failed_sync_loses_nothing_flushed),
        cmocka_unit_test(power_loss_at_any_write_loses_nothing_flushed),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
