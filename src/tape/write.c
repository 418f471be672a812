// Writing a tape: opening and closing, transactions, flushing, rotation and retention. The rooms are write_*.c.
//
// Flow: a call of the door -> writer_ready (segment, transaction) -> rows -> writer_result. tape_write_tick commits, bodies
// before the log that names them, at least every flush_ns.
// 1. A row names only blocks that were committed before or with it (write_body.c).
// 2. After a failed write nothing of the open transaction is believed: it is rolled back and counted.
// 3. `failed` is for good: every later call returns false with the same fault.
#include "writer.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "lock.h"
#include "repair.h"
#include "retention.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <zstd.h>

enum { TX_ROWS_MAX = 200000, TX_BODY_BYTES_MAX = 32 << 20, SPACE_CHECK_MS = 1000, SPACE_CHECK_BYTES = 1 << 20, ROTATE_WAIT_S = 60 };
#define RETAIN_NS (60 * WHEN_NS_PER_S)
#define IDS_SKIPPED UINT64_C(1000000000)

// ---- states ---------------------------------------------------------------------------------------------------------

bool writer_fail(struct tape_writer *w)
{
    if (!w->failed)
        fault_memory(&w->fault);
    w->failed = true;
    return false;
}

bool writer_result(struct tape_writer *w, struct fault *f)
{
    if (!w->failed)
        return true;
    *f = w->fault;
    return false;
}

bool writer_stored(struct tape_writer *w, int code)
{
    if (code == SQLITE_DONE || code == SQLITE_OK || code == SQLITE_ROW)
        return true;
    if (!w->seg.open || w->failed)
        return false;
    enum db_trouble trouble = db_trouble(w->seg.log, code);
    if (trouble == DB_DISK_FULL || trouble == DB_DISK_ERROR) {
        segment_stop_rows(w, trouble);
        return false;
    }
    db_fault(w->seg.log, w->seg.name, &w->fault);
    w->failed = true;
    return false;
}

void writer_note_time(struct tape_writer *w, int64_t time_ns)
{
    if (time_ns == WHEN_UNKNOWN)
        return;
    int64_t us = when_us(time_ns);
    if (time_ns > w->now_ns)
        w->now_ns = time_ns;
    if (w->seg.first_us == INT64_MIN || us < w->seg.first_us)
        w->seg.first_us = us;
    if (w->seg.last_us == INT64_MIN || us > w->seg.last_us)
        w->seg.last_us = us;
}

static bool begin_log(struct tape_writer *w)
{
    if (w->seg.log_tx)
        return true;
    if (!writer_stored(w, db_exec(w->seg.log, "BEGIN")))
        return false;
    w->seg.log_tx = true;
    w->seg.tx_rows = 0;
    return true;
}

// Nobody recorded between the end of what the tape held and the first moment of now.
static bool tell_unrecorded(struct tape_writer *w, int64_t time_ns)
{
    if (w->unrecorded_from_us == INT64_MIN || time_ns == WHEN_UNKNOWN)
        return true;
    int64_t from_us = w->unrecorded_from_us;
    w->unrecorded_from_us = INT64_MIN;
    if (when_us(time_ns) <= from_us)
        return true;
    struct gap_row row = {.count = 1, .gap = {.from_ns = from_us * WHEN_NS_PER_US, .to_ns = time_ns, .cause = GAP_NOT_RECORDING, .side = -1}};
    return event_store_gap_row(w, &row, 0);
}

bool writer_ready(struct tape_writer *w, int64_t time_ns)
{
    if (w->failed)
        return false;
    if (time_ns != WHEN_UNKNOWN && time_ns > w->now_ns)
        w->now_ns = time_ns;
    if (!writer_rotate_if_wanted(w)) // before a row, never behind one: what is raised by an exchange stands in its segment
        return false;
    bool fresh = !w->seg.open;
    if (w->rows_off || (fresh && !segment_begin(w, time_ns)))
        return false;
    if (fresh && w->settings.live)
        sqlite3_wal_autocheckpoint(w->seg.log, LOG_LIVE_PAGES);
    if (w->seg.tx_rows >= TX_ROWS_MAX || w->seg.tx_body_bytes >= TX_BODY_BYTES_MAX)
        writer_commit(w, false);
    if (w->unlooked_bytes >= SPACE_CHECK_BYTES)
        segment_check_space(w); // a second is too long where bodies come in by the hundred megabytes
    if (w->failed || !w->seg.open || !begin_log(w))
        return false;
    writer_note_time(w, time_ns);
    return tell_unrecorded(w, time_ns);
}

bool writer_ready_behind(struct tape_writer *w, int64_t time_ns)
{
    if (w->failed || w->rows_off || !w->seg.open || !w->seg.log_tx)
        return writer_ready(w, time_ns);
    writer_note_time(w, time_ns);
    return true;
}

// ---- commits --------------------------------------------------------------------------------------------------------

static void bind_when(sqlite3_stmt *s, int at, int64_t us)
{
    if (us == INT64_MIN)
        sqlite3_bind_null(s, at);
    else
        db_bind(s, at, us);
}

static bool store_segment(struct tape_writer *w)
{
    struct segment_state *s = &w->seg;
    sqlite3_stmt *row = s->log_stmt[LOG_SEGMENT];
    bind_when(row, 1, s->first_us);
    bind_when(row, 2, s->last_us);
    db_bind(row, 3, (int64_t)atomic_load(&w->next_id));
    db_bind_known(row, 4, s->rows ? (int64_t)s->first_x : -1);
    db_bind_known(row, 5, s->rows ? (int64_t)s->last_x : -1);
    db_bind(row, 6, (int64_t)s->rows);
    db_bind(row, 7, (int64_t)s->ops);
    return writer_stored(w, db_run(row));
}

static void look_at_sizes(struct tape_writer *w)
{
    char path[PATH_MAX];
    catalog_path(w->catalog.dir, w->seg.name, false, path, sizeof path);
    w->seg.log_bytes = catalog_file_bytes(path);
    catalog_path(w->catalog.dir, w->seg.name, true, path, sizeof path);
    w->seg.body_bytes = catalog_body_bytes(path);
}

bool writer_commit(struct tape_writer *w, bool sync)
{
    struct segment_state *s = &w->seg;
    if (!s->open || w->failed)
        return !w->failed;
    if (s->log_tx || s->body_tx || (sync && s->body_unsynced)) // no synced row before its body
        body_commit(w, sync);
    if (w->failed || !s->open)
        return !w->failed;
    if (s->log_tx) {
        if (!op_store(w) || !event_store_gaps(w) || !row_store_marks(w) || !store_segment(w) ||
            !writer_stored(w, db_exec(s->log, "COMMIT")))
            return !w->failed;
        s->log_tx = false;
        s->tx_rows = 0;
        s->log_unsynced = true;
    }
    if (sync && s->log_unsynced) {
        if (!writer_stored(w, db_sync(s->log)))
            return !w->failed;
        s->log_unsynced = false;
    }
    return true;
}

bool tape_write_flush(struct tape_writer *w, struct fault *f)
{
    w->flushed_steady_ns = clock_steady_ns();
    segment_resume(w);
    if (!w->failed && !w->rows_off)
        writer_commit(w, true);
    if (w->seg.open)
        look_at_sizes(w);
    return writer_result(w, f);
}

// ---- time -----------------------------------------------------------------------------------------------------------

static bool wants_rotation(struct tape_writer *w)
{
    const struct segment_state *s = &w->seg;
    if (!s->open || s->first_us == INT64_MIN)
        return false;
    bool large = w->settings.segment_bytes && s->log_bytes + s->body_bytes >= w->settings.segment_bytes;
    bool old = w->settings.segment_ns && w->now_ns != WHEN_UNKNOWN &&
               when_us(w->now_ns) - s->first_us >= w->settings.segment_ns / WHEN_NS_PER_US;
    return large || old;
}

// An exchange's ops and its row shall stand in one segment: rotation waits for a moment when none is in between.
static bool rotate(struct tape_writer *w)
{
    int64_t steady = clock_steady_ns();
    if (!w->seg.rotate)
        w->seg.rotate_steady_ns = steady;
    w->seg.rotate = true;
    if (nummap_count(w->op_owners) && steady - w->seg.rotate_steady_ns < ROTATE_WAIT_S * WHEN_NS_PER_S)
        return true;
    w->seg.rotate = false; // sealing writes, too
    if (!segment_seal(w))
        return false;
    w->retained_ns = WHEN_UNKNOWN; // look at once
    return true;
}

bool writer_rotate_if_wanted(struct tape_writer *w)
{
    return !w->seg.open || !w->seg.rotate || nummap_count(w->op_owners) ? !w->failed : rotate(w);
}

static bool retain(struct tape_writer *w)
{
    if (w->now_ns == WHEN_UNKNOWN || (w->retained_ns != WHEN_UNKNOWN && w->now_ns - w->retained_ns < RETAIN_NS))
        return true;
    w->retained_ns = w->now_ns;
    segment_reseal(w);
    uint64_t current = w->seg.open ? w->seg.log_bytes + w->seg.body_bytes : 0;
    struct fault why = {0};
    if (retention_apply(&w->catalog, &w->settings, when_us(w->now_ns), current, &why))
        return true;
    // A full disk or a reader in the way: tried again in a minute.
    enum db_trouble trouble = db_trouble(w->catalog.db, sqlite3_extended_errcode(w->catalog.db));
    if (trouble == DB_DISK_FULL || trouble == DB_DISK_ERROR || trouble == DB_BUSY)
        return true;
    w->fault = why;
    w->failed = true;
    return false;
}

bool tape_write_tick(struct tape_writer *w, int64_t now_ns, struct fault *f)
{
    if (w->failed)
        return writer_result(w, f);
    int64_t steady = clock_steady_ns();
    if (now_ns != WHEN_UNKNOWN && now_ns > w->now_ns)
        w->now_ns = now_ns;
    if (!w->seg.open && !w->rows_off && w->settings.live)
        writer_ready(w, now_ns); // from the first moment on the tape says that somebody listens
    if (steady - w->flushed_steady_ns >= w->settings.flush_ns && !tape_write_flush(w, f))
        return false;
    if (steady - w->checked_steady_ns >= SPACE_CHECK_MS * WHEN_NS_PER_MS) {
        w->checked_steady_ns = steady;
        segment_check_space(w);
    }
    if (w->bodies_off && !segment_resume_bodies(w))
        return writer_result(w, f);
    if (wants_rotation(w) && !rotate(w))
        return writer_result(w, f);
    retain(w);
    return writer_result(w, f);
}

// ---- small questions ------------------------------------------------------------------------------------------------

uint64_t tape_write_next_id(struct tape_writer *w)
{
    return atomic_fetch_add_explicit(&w->next_id, 1, memory_order_relaxed);
}

const char *tape_write_trouble(const struct tape_writer *w)
{
    static const char *const rows[] = {NULL, "disk full: nothing is stored", "disk error: nothing is stored"};
    static const char *const bodies[] = {NULL, "disk full: bodies are not kept", "disk error: bodies are not kept"};
    return w->rows_off ? rows[w->rows_off] : bodies[w->bodies_off];
}

bool tape_write_stores_rows(const struct tape_writer *w)
{
    return w->rows_off == TROUBLE_NONE;
}

uint64_t tape_write_bytes(const struct tape_writer *w)
{
    return catalog_bytes(&w->catalog) + (w->seg.open ? w->seg.log_bytes + w->seg.body_bytes : 0);
}

// ---- opening and closing --------------------------------------------------------------------------------------------

static struct tape_settings with_defaults(const struct tape_settings *given)
{
    struct tape_settings s = *given;
    s.segment_bytes = s.segment_bytes ? s.segment_bytes : UINT64_C(1) << 30;
    s.segment_ns = s.segment_ns > 0 ? s.segment_ns : 3600 * WHEN_NS_PER_S;
    s.flush_ns = s.flush_ns > 0 ? s.flush_ns : WHEN_NS_PER_S;
    s.compression = s.compression ? s.compression : 1;
    return s;
}

static bool make_dir(const char *dir, bool exists, struct fault *fault)
{
    if (exists || mkdir(dir, 0700) == 0)
        return true;
    return errno == ENOENT ? fault_user(fault, "cannot create %s: the directory above does not exist", dir)
                           : fault_errno(fault, errno, "cannot create %s", dir);
}

static bool init(struct tape_writer *w)
{
    struct dict *const dicts[] = {&w->names, &w->words, &w->ips, &w->whos, &w->shapes, &w->lists, &w->paths, &w->tallies, &w->calls};
    for (size_t i = 0; i < sizeof dicts / sizeof *dicts; i++)
        if (!dict_init(dicts[i]))
            return false;
    arena_init(&w->op_text, 0);
    w->ops = mem_alloc(FORMAT_OPS_PER_BLOCK * sizeof *w->ops);
    w->zstd = ZSTD_createCCtx();
    w->pack = pack_open(w->settings.compression);
    return (w->conns = nummap_open()) && (w->attempts = nummap_open()) && (w->op_owners = nummap_open()) &&
           (w->pending = nummap_open()) && (w->spans = nummap_open()) && (w->gaps = nummap_open()) && (w->resolved = map_open()) &&
           w->ops && w->zstd && w->pack;
}

static void destroy(struct tape_writer *w)
{
    struct dict *const dicts[] = {&w->names, &w->words, &w->ips, &w->whos, &w->shapes, &w->lists, &w->paths, &w->tallies, &w->calls};
    for (size_t i = 0; i < sizeof dicts / sizeof *dicts; i++)
        dict_fini(dicts[i]);
    body_fini(w);
    op_fini(w);
    event_fini(w);
    nummap_close(w->conns);
    nummap_close(w->attempts);
    nummap_close(w->op_owners);
    nummap_close(w->spans);
    mem_free(w->span_list);
    buf_fini(&w->key);
    buf_fini(&w->list);
    catalog_close(&w->catalog);
    lock_drop(w->lock);
    mem_free(w);
}

// Where the tape ends, and which ids are used up.
static bool take_over(struct tape_writer *w, struct fault *fault)
{
    bool ids_lost;
    uint64_t next_id = 1;
    if (!repair_all(&w->catalog, &ids_lost, fault))
        return false;
    for (size_t i = 0; i < w->catalog.count; i++) {
        const struct catalog_segment *s = &w->catalog.at[i];
        next_id = s->next_id > next_id ? s->next_id : next_id;
        next_id = s->last_x >= next_id ? s->last_x + 1 : next_id;
        w->unrecorded_from_us = s->last_us > w->unrecorded_from_us ? s->last_us : w->unrecorded_from_us;
    }
    // An id must never mean two exchanges: where a damaged segment hides how far they went, a wide berth is given.
    atomic_store(&w->next_id, ids_lost ? (next_id / IDS_SKIPPED + 1) * IDS_SKIPPED : next_id);
    return true;
}

struct tape_writer *tape_write_open(const struct tape_settings *settings, struct fault *fault)
{
    bool exists;
    if (!catalog_check_dir(settings->dir, &exists, fault) || !make_dir(settings->dir, exists, fault))
        return NULL;
    struct tape_writer *w = mem_zero(1, sizeof *w);
    if (!w) {
        fault_memory(fault);
        return NULL;
    }
    w->settings = with_defaults(settings);
    w->now_ns = w->retained_ns = WHEN_UNKNOWN;
    w->unrecorded_from_us = INT64_MIN;
    w->flushed_steady_ns = w->checked_steady_ns = clock_steady_ns();
    w->lock = lock_take(settings->dir, fault);
    bool ok = w->lock >= 0 && (init(w) || fault_memory(fault)) && catalog_open(&w->catalog, settings->dir, fault) && take_over(w, fault);
    if (!ok) {
        destroy(w);
        return NULL;
    }
    w->settings.dir = w->catalog.dir;
    return w;
}

bool tape_write_close(struct tape_writer *w, struct fault *f)
{
    if (!w)
        return true;
    w->off_steady_ns = 0; // one last try, whatever time has passed
    segment_resume(w);
    if (!w->failed && segment_seal(w)) {
        w->retained_ns = WHEN_UNKNOWN;
        retain(w);
    }
    bool ok = writer_result(w, f);
    if (ok && w->rows_off)
        ok = fault_system(f, "%s: %llu rows of the last moments are lost", tape_write_trouble(w), (unsigned long long)w->lost_rows);
    if (w->seg.open)
        segment_abandon(w);
    destroy(w);
    return ok;
}
