// The life of a segment: begun, sealed, abandoned when the disk refuses, and what happens until the disk takes writes again.
//
// States: rows on, bodies on -> (room runs short, or a body's block refused) bodies off -> (a row refused) rows off, no segment
// -> (room again) a new segment with a GAP_DISK row, bodies on.
#include "writer.h"

#include "../base/clock.h"
#include "repair.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum { RETRY_MS = 1000, RETRY_BODIES_MS = 5000 };
#define RESERVE_BYTES_MAX (UINT64_C(64) << 20)

static const char *const log_sql[LOG_STATEMENTS] = {
    [LOG_NAME] = "INSERT INTO name VALUES(?,?)",
    [LOG_WORD] = "INSERT INTO word VALUES(?,?)",
    [LOG_IP] = "INSERT INTO ip VALUES(?,?)",
    [LOG_WHO] = "INSERT INTO who VALUES(?,?,?,?,?,?,?)",
    [LOG_SHAPE] = "INSERT INTO shape VALUES(?,?,?,?,?,?,?,?,?,?)",
    [LOG_LIST] = "INSERT INTO list VALUES(?,?)",
    [LOG_PATH] = "INSERT INTO path VALUES(?,?,?)",
    [LOG_TALLY] = "INSERT INTO tally VALUES(?,?,?,?,?)",
    [LOG_CALL] = "INSERT INTO call VALUES(?,?,?,?,?)",
    [LOG_CONN] = "REPLACE INTO conn VALUES(?,?,?,?,?)",
    [LOG_X] = "REPLACE INTO x VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [LOG_MORE] = "REPLACE INTO more VALUES(?,?,?)",
    [LOG_SPLIT] = "REPLACE INTO split VALUES(?,?,?,?,?,?)",
    [LOG_PART] = "REPLACE INTO part VALUES(?,?,?,?,?,?,?)",
    [LOG_LATE] = "REPLACE INTO late VALUES(?,?,?,?,?,?,?,?)",
    [LOG_SEEK] = "INSERT INTO seek VALUES(?,?,?) ON CONFLICT(call,bucket) DO UPDATE SET n=n+excluded.n",
    [LOG_SEEK_CLIENT] = "INSERT OR IGNORE INTO seek_client VALUES(?,?)",
    [LOG_SEEK_NAME] = "INSERT OR IGNORE INTO seek_name VALUES(?,?)",
    [LOG_BUCKET] = "INSERT INTO bucket VALUES(?,?,?) ON CONFLICT(id) DO UPDATE SET lo=min(lo,excluded.lo), hi=max(hi,excluded.hi)",
    [LOG_OP_BLOCK] = "REPLACE INTO op_block VALUES(?,?,?,?,?,?,?)",
    [LOG_OP_NAME] = "INSERT OR IGNORE INTO op_name VALUES(?,?)",
    [LOG_OP_ALIAS] = "INSERT OR IGNORE INTO op_alias VALUES(?,?)",
    [LOG_LIFE] = "INSERT INTO life(time_us,x,name,uuid,born,seen) VALUES(?,?,?,?,?,?)",
    [LOG_RESOLUTION] = "INSERT INTO resolution(time_us,name,target,kind) VALUES(?,?,?,?)",
    [LOG_GAP] = "INSERT INTO gap(from_us,to_us,cause,bytes,packets,client,client_port,server,server_port,side,n,rows_lost)"
                " VALUES(?,?,?,?,?,?,?,?,?,?,?,?)",
    [LOG_ALERT] = "INSERT INTO alert(alert,x,time_us,rule,title,level,outcome,json) VALUES(?,?,?,?,?,?,?,?)",
    [LOG_OPAQUE] = "INSERT INTO opaque VALUES(?1,?2,?3,?4,1,?5,?5) ON CONFLICT(kind,server,server_port,client) DO UPDATE SET"
                   " conns=conns+1, first_us=min(first_us,?5), last_us=max(last_us,?5)",
    [LOG_CONNS] = "INSERT INTO conns VALUES(?1,?2,?3,1,?4,?5,?6,?7,?8,?9,?10,?11) ON CONFLICT(server,server_port,client) DO UPDATE SET"
                  " conns=conns+1, midstream=midstream+?4, only_client=only_client+?5, only_server=only_server+?6,"
                  " reset=reset+?7, idle=idle+?8, evicted=evicted+?9, first_us=min(first_us,?10), last_us=max(last_us,?11)",
    [LOG_BEAT] = "REPLACE INTO beat VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [LOG_SEGMENT] = "UPDATE segment SET first_us=?, last_us=?, next_id=?, first_x=?, last_x=?, rows=?, ops=?",
    [LOG_X_PLACES] = "UPDATE x SET req=CASE ?1 WHEN 0 THEN -2 ELSE req END, resp=CASE ?1 WHEN 1 THEN -2 ELSE resp END WHERE id=?2",
    [LOG_PARTS_DROP] = "DELETE FROM part WHERE x=? AND side=?",
};

// ---- beginning ------------------------------------------------------------------------------------------------------

static uint32_t next_number(const struct tape_writer *w)
{
    return w->catalog.count ? w->catalog.at[w->catalog.count - 1].number + 1 : 1;
}

static void start_off(struct tape_writer *w)
{
    if (!w->rows_off && !w->bodies_off)
        w->off_from_ns = w->now_ns;
    w->off_steady_ns = clock_steady_ns();
}

static bool fill_log(struct tape_writer *w, enum db_trouble *trouble)
{
    struct segment_state *s = &w->seg;
    char sql[320];
    snprintf(sql, sizeof sql, "INSERT INTO segment(number,tape,name,start_us,next_id) VALUES(%u,'%s','%s',%lld,%llu)", s->number,
             w->catalog.id, s->name, (long long)s->start_us, (unsigned long long)atomic_load(&w->next_id));
    int code = db_exec(s->log, sql);
    if (code == SQLITE_OK && !db_prepare(s->log, log_sql, LOG_STATEMENTS, s->log_stmt))
        code = sqlite3_extended_errcode(s->log);
    if (code == SQLITE_OK)
        return true;
    *trouble = db_trouble(s->log, code);
    db_fault(s->log, s->name, &w->fault);
    return false;
}

static bool list_segment(struct tape_writer *w, enum db_trouble *trouble)
{
    const struct segment_state *s = &w->seg;
    struct catalog_segment row = {.number = s->number, .start_us = s->start_us, .first_us = INT64_MIN, .last_us = INT64_MIN,
                                  .next_id = atomic_load(&w->next_id)};
    snprintf(row.name, sizeof row.name, "%s", s->name);
    if (catalog_add(&w->catalog, &row, &w->fault))
        return true;
    *trouble = db_trouble(w->catalog.db, sqlite3_extended_errcode(w->catalog.db));
    *trouble = *trouble == DB_FINE ? DB_BROKEN : *trouble; // memory
    return false;
}

static void let_go(struct segment_state *s)
{
    db_finalize(LOG_STATEMENTS, s->log_stmt);
    db_finalize(BODY_STATEMENTS, s->body_stmt);
    db_close(s->log);
    db_close(s->body);
    blockfile_close(&s->blocks);
    s->log = s->body = NULL;
    s->open = s->log_tx = s->body_tx = false;
}

bool segment_begin(struct tape_writer *w, int64_t time_ns)
{
    struct segment_state *s = &w->seg;
    char path[PATH_MAX];
    enum db_trouble trouble = DB_BROKEN;
    if (time_ns == WHEN_UNKNOWN)
        time_ns = w->now_ns != WHEN_UNKNOWN ? w->now_ns : clock_now_ns();
    *s = (struct segment_state){.number = next_number(w), .start_us = when_us(time_ns), .first_us = INT64_MIN, .last_us = INT64_MIN,
                                .blocks = {.fd = -1}};
    format_segment_name(s->start_us, s->number, s->name);
    catalog_path(w->catalog.dir, s->name, false, path, sizeof path);
    bool made = db_create(path, &db_log, &s->log, &trouble, &w->fault);
    if (!made || !fill_log(w, &trouble) || !list_segment(w, &trouble)) {
        // Nothing is in it yet: a number must not be used twice.
        let_go(s);
        if (made)
            catalog_unlink(path);
        if (trouble == DB_BROKEN) {
            w->failed = true;
            return false;
        }
        start_off(w);
        w->rows_off = trouble == DB_DISK_FULL ? TROUBLE_FULL : TROUBLE_ERROR;
        return false;
    }
    s->open = true;
    db_sync_dir(w->catalog.dir);
    row_forget(w);
    op_forget(w);
    body_forget_blocks(w);
    return true;
}

// ---- ending ---------------------------------------------------------------------------------------------------------

static struct catalog_segment *catalog_row(struct tape_writer *w, uint32_t number)
{
    for (size_t i = w->catalog.count; i-- > 0;)
        if (w->catalog.at[i].number == number)
            return &w->catalog.at[i];
    return NULL;
}

struct sealing {
    sqlite3 *db;
    int code;
    pthread_t thread;
    bool beside;
};

static void *seal(void *ctx)
{
    struct sealing *s = ctx;
    s->code = s->db ? db_seal(s->db) : SQLITE_OK;
    return NULL;
}

// Folding in is copying and waiting for the disk: both files do it at the same time.
static void start_sealing(struct sealing *s)
{
    s->beside = s->db && pthread_create(&s->thread, NULL, seal, s) == 0;
}

static int end_sealing(struct sealing *s)
{
    if (s->beside)
        pthread_join(s->thread, NULL);
    else
        seal(s);
    return s->code;
}

bool segment_seal(struct tape_writer *w)
{
    struct segment_state *s = &w->seg;
    if (!s->open)
        return !w->failed;
    if (w->now_ns != WHEN_UNKNOWN && s->last_us != INT64_MIN && when_us(w->now_ns) > s->last_us) {
        s->last_us = when_us(w->now_ns); // we were listening until now
        if (!writer_ready(w, WHEN_UNKNOWN))
            return !w->failed;
    }
    if (!writer_commit(w, true) || !s->open)
        return !w->failed;
    db_finalize(LOG_STATEMENTS, s->log_stmt);
    db_finalize(BODY_STATEMENTS, s->body_stmt);
    struct sealing body = {.db = s->body};
    start_sealing(&body);
    int code = repair_finish_log(s->log, false);
    if (code == SQLITE_OK)
        code = db_sync(s->log);
    if (code != SQLITE_OK) {
        end_sealing(&body);
        enum db_trouble trouble = db_trouble(s->log, code);
        if (trouble == DB_BROKEN)
            w->failed = !db_fault(s->log, s->name, &w->fault);
        segment_stop_rows(w, trouble);
        return !w->failed;
    }
    // From here on failing is harmless. A reader in the way leaves the segment unsealed in the catalog: it is tried again.
    bool plain = db_seal(s->log) == SQLITE_OK;
    plain &= end_sealing(&body) == SQLITE_OK;
    struct catalog_segment *row = catalog_row(w, s->number);
    struct fault ignored;
    if (row && plain)
        catalog_take_summary(&w->catalog, row, s->log, &ignored);
    body_forget_blocks(w);
    let_go(s);
    return true;
}

void segment_abandon(struct tape_writer *w)
{
    struct segment_state *s = &w->seg;
    if (!s->open)
        return;
    if (s->body && s->body_tx)
        db_exec(s->body, "ROLLBACK");
    if (s->log_tx)
        db_exec(s->log, "ROLLBACK");
    w->lost_rows += s->tx_rows;
    w->abandoned = s->number;
    s->body_tx = s->log_tx = false;
    body_forget_blocks(w);
    op_forget(w);
    row_forget(w);
    let_go(s);
}

void segment_reseal(struct tape_writer *w)
{
    struct fault ignored;
    bool ids_lost;
    for (size_t i = 0; i < w->catalog.count; i++) {
        struct catalog_segment *row = &w->catalog.at[i];
        if (!row->sealed && !row->log_gone && (!w->seg.open || row->number != w->seg.number))
            repair_segment(&w->catalog, row, &ids_lost, &ignored);
    }
}

// ---- disk trouble ---------------------------------------------------------------------------------------------------

void segment_stop_rows(struct tape_writer *w, enum db_trouble trouble)
{
    start_off(w);
    w->rows_off = trouble == DB_DISK_FULL ? TROUBLE_FULL : TROUBLE_ERROR;
    segment_abandon(w);
}

// Free bytes, less what the body file and its write-ahead log may still grow by without a new body (what is not committed
// goes into the log, what is in the log goes into the file), and in *reserve what of them is kept back for rows; UINT64_MAX
// when the file system does not tell.
static uint64_t room(const struct tape_writer *w, uint64_t *reserve)
{
    struct statvfs st;
    struct stat wal = {0};
    char path[PATH_MAX + 8];
    *reserve = 0;
    if (w->seg.open && w->seg.body) {
        catalog_path(w->catalog.dir, w->seg.name, true, path, PATH_MAX);
        strcat(path, "-wal");
        if (stat(path, &wal) != 0)
            wal.st_size = 0;
    }
    if (statvfs(w->catalog.dir, &st) != 0 || !st.f_blocks)
        return UINT64_MAX;
    uint64_t unit = st.f_frsize ? st.f_frsize : st.f_bsize, all = st.f_blocks * unit;
    *reserve = all / 8 < RESERVE_BYTES_MAX ? all / 8 : RESERVE_BYTES_MAX;
    uint64_t free_bytes = st.f_bavail * unit, owed = (uint64_t)wal.st_size + 2 * w->seg.tx_body_bytes;
    return free_bytes > owed ? free_bytes - owed : 0;
}

void segment_check_space(struct tape_writer *w)
{
    uint64_t reserve;
    w->unlooked_bytes = 0;
    if (w->bodies_off || w->rows_off || !w->seg.open || room(w, &reserve) >= reserve)
        return;
    if (writer_commit(w, true) && w->seg.open) { // what is there is still stored
        w->off_steady_ns = clock_steady_ns();
        body_stop(w, DB_DISK_FULL);
    }
}

static void tell_gap(struct tape_writer *w)
{
    struct gap_row row = {.count = 1, .gap = {.from_ns = w->off_from_ns, .to_ns = w->now_ns, .bytes = w->lost_body_bytes,
                                              .cause = GAP_DISK, .side = -1}};
    if (!event_store_gap_row(w, &row, w->lost_rows))
        return;
    writer_commit(w, true);
    if (!w->seg.open || w->rows_off)
        return;
    w->lost_rows = w->lost_bodies = w->lost_body_bytes = 0;
}

bool segment_resume(struct tape_writer *w)
{
    uint64_t reserve, steady = (uint64_t)clock_steady_ns();
    if (!w->rows_off || (int64_t)steady - w->off_steady_ns < RETRY_MS * WHEN_NS_PER_MS)
        return !w->failed;
    w->off_steady_ns = (int64_t)steady;
    if (room(w, &reserve) < reserve / 2)
        return true;
    struct catalog_segment *old = w->abandoned ? catalog_row(w, w->abandoned) : NULL;
    bool ids_lost;
    struct fault ignored;
    if (old)
        repair_segment(&w->catalog, old, &ids_lost, &ignored); // what fails now is done at the next open
    w->abandoned = 0;
    enum trouble before = w->rows_off;
    w->rows_off = w->bodies_off = TROUBLE_NONE;
    int64_t from_ns = w->off_from_ns;
    if (!segment_begin(w, WHEN_UNKNOWN)) {
        w->off_from_ns = from_ns;
        w->rows_off = w->rows_off ? w->rows_off : before;
        return !w->failed;
    }
    if (writer_ready(w, WHEN_UNKNOWN))
        tell_gap(w);
    if (w->rows_off)
        w->off_from_ns = from_ns;
    return !w->failed;
}

bool segment_resume_bodies(struct tape_writer *w)
{
    uint64_t reserve;
    int64_t steady = clock_steady_ns();
    if (!w->bodies_off || w->rows_off || steady - w->off_steady_ns < RETRY_BODIES_MS * WHEN_NS_PER_MS)
        return !w->failed;
    w->off_steady_ns = steady;
    if (room(w, &reserve) < reserve * 2)
        return true;
    // After an error nothing in the old body file can be trusted to have been written: a new segment begins.
    if (w->bodies_off == TROUBLE_ERROR && !segment_seal(w))
        return false;
    w->bodies_off = TROUBLE_NONE;
    if (writer_ready(w, WHEN_UNKNOWN))
        tell_gap(w);
    return !w->failed;
}
