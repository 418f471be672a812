// Repairing a segment after a crash: recover its files, tell rows whose bodies did not reach the disk, sum up, seal.
#include "repair.h"

#include "../base/buf.h"
#include "../base/diag.h"
#include "../base/map.h"
#include "block.h"
#include "blockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static const char finish_sql[] =
    "DELETE FROM summary;"
    "CREATE TEMP TABLE per_call AS SELECT call, sum(n) AS n FROM seek GROUP BY call;"
    "INSERT INTO summary SELECT 'api', coalesce(h.api,''), sum(k.n) FROM per_call k JOIN call c ON c.id=k.call JOIN shape h"
    " ON h.id=c.shape GROUP BY 2;"
    "INSERT INTO summary SELECT 'danger', h.danger, sum(k.n) FROM per_call k JOIN call c ON c.id=k.call JOIN shape h"
    " ON h.id=c.shape WHERE h.danger IS NOT NULL GROUP BY 2;"
    "INSERT INTO summary SELECT 'outcome', h.outcome, sum(k.n) FROM per_call k JOIN call c ON c.id=k.call JOIN shape h"
    " ON h.id=c.shape GROUP BY 2;"
    "INSERT INTO summary SELECT 'verb', coalesce(h.verb,''), sum(k.n) FROM per_call k JOIN call c ON c.id=k.call JOIN shape h"
    " ON h.id=c.shape GROUP BY 2;"
    "INSERT INTO summary SELECT 'write', CAST(h.flags&1 AS TEXT), sum(k.n) FROM per_call k JOIN call c ON c.id=k.call JOIN shape h"
    " ON h.id=c.shape GROUP BY 2;"
    "INSERT INTO summary SELECT 'principal', coalesce(w.principal,''), sum(k.n) FROM per_call k JOIN call c ON c.id=k.call"
    " JOIN who w ON w.id=c.who GROUP BY 2;"
    "INSERT INTO summary SELECT 'late', '', count(*) FROM late HAVING count(*)>0;"
    "DROP TABLE per_call;";

int repair_finish_log(sqlite3 *log, bool repaired)
{
    int code = db_exec(log, "BEGIN IMMEDIATE");
    if (code == SQLITE_OK)
        code = db_exec(log, finish_sql);
    if (code == SQLITE_OK)
        code = db_exec(log, repaired ? "UPDATE segment SET sealed=1, repaired=1" : "UPDATE segment SET sealed=1");
    if (code == SQLITE_OK)
        code = db_exec(log, "COMMIT");
    if (code != SQLITE_OK)
        db_exec(log, "ROLLBACK");
    return code;
}

// ---- places ---------------------------------------------------------------------------------------------------------

// block -> number of bodies in its directory
static struct nummap *count_blocks(sqlite3 *body)
{
    struct nummap *counts = nummap_open();
    sqlite3_stmt *s = NULL;
    if (!counts || !body || sqlite3_prepare_v2(body, "SELECT id, dir FROM block", -1, &s, NULL) != SQLITE_OK)
        return counts;
    while (sqlite3_step(s) == SQLITE_ROW) {
        struct bytes dir = db_blob(s, 1);
        uint64_t numbers = 0;
        bool fresh;
        for (size_t i = 0; i < dir.size; i++)
            numbers += !(dir.at[i] & 0x80);
        union map_value *value = nummap_put(counts, (uint64_t)sqlite3_column_int64(s, 0), &fresh);
        if (!value) {
            nummap_close(counts);
            counts = NULL;
            break;
        }
        value->num = numbers / 2; // an entry is two numbers
    }
    sqlite3_finalize(s);
    return counts;
}

static bool is_there(struct nummap *counts, int64_t place)
{
    union map_value *value = nummap_find(counts, (uint64_t)(place / FORMAT_BODIES_PER_BLOCK));
    return value && (uint64_t)(place % FORMAT_BODIES_PER_BLOCK) < value->num;
}

// Runs `fix` for every row of `find` (key columns..., place last) whose place is not there.
static int fix_places(sqlite3 *log, struct nummap *counts, const char *find, const char *fix)
{
    sqlite3_stmt *from = NULL, *to = NULL;
    int code = sqlite3_prepare_v2(log, find, -1, &from, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(log, fix, -1, &to, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(from)) == SQLITE_ROW) {
        int last = sqlite3_column_count(from) - 1;
        code = SQLITE_OK;
        if (is_there(counts, sqlite3_column_int64(from, last)))
            continue;
        for (int i = 0; i < last; i++)
            db_bind(to, i + 1, sqlite3_column_int64(from, i));
        code = db_run(to);
        code = code == SQLITE_DONE ? SQLITE_OK : code;
    }
    sqlite3_finalize(from);
    sqlite3_finalize(to);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static bool has_bytes(int fd, sqlite3_stmt *row, struct buf *data, bool *unreadable)
{
    bool read = fd >= 0 && blockfile_read(fd, (uint64_t)sqlite3_column_int64(row, 3), (uint64_t)sqlite3_column_int64(row, 4), data);
    *unreadable = fd >= 0 && !read && errno != ERANGE;
    return read && (int64_t)block_sum(db_blob(row, 2), buf_view(data)) == sqlite3_column_int64(row, 1);
}

// Drops the rows of blocks whose bytes are not in the file beside; only those behind `synced` have to be read.
static int drop_rows(sqlite3 *body, int fd)
{
    static const char sql[] = "SELECT id, sum, dir, at, bytes FROM block WHERE at+bytes>?";
    sqlite3_stmt *rows = NULL, *drop = NULL;
    struct buf data = {0};
    bool unreadable = false;
    int code = sqlite3_prepare_v2(body, sql, -1, &rows, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(body, "DELETE FROM block WHERE id=?", -1, &drop, NULL);
    if (code == SQLITE_OK)
        db_bind(rows, 1, fd < 0 ? -1 : db_int(body, "SELECT synced FROM segment", 0));
    while (code == SQLITE_OK && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        code = SQLITE_OK;
        if (has_bytes(fd, rows, &data, &unreadable))
            continue;
        db_bind(drop, 1, sqlite3_column_int64(rows, 0));
        code = unreadable ? SQLITE_IOERR_READ : db_run(drop);
        code = code == SQLITE_DONE ? SQLITE_OK : code;
    }
    sqlite3_finalize(rows);
    sqlite3_finalize(drop);
    buf_fini(&data);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

// The file of blocks as the rows know it: what none of them names is cut off, and all of it is on the disk.
static enum db_trouble mend_blocks(sqlite3 *body, const char *body_path)
{
    char path[PATH_MAX];
    blockfile_path(body_path, path, sizeof path);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno != ENOENT)
        return DB_DISK_ERROR;
    int code = blockfile_adapt(body);
    if (code == SQLITE_OK)
        code = drop_rows(body, fd);
    enum db_trouble trouble = db_trouble(body, code);
    int64_t end = db_int(body, "SELECT max(at+bytes) FROM block", 0);
    if (trouble == DB_FINE && fd >= 0 && !blockfile_cut(fd, end))
        trouble = DB_DISK_ERROR;
    if (trouble == DB_FINE && fd >= 0 && !end)
        unlink(path);
    if (fd >= 0)
        close(fd);
    return trouble == DB_BROKEN && code != SQLITE_NOMEM ? DB_FINE : trouble; // a damaged body file holds what can be read of it
}

static int tell_lost_bodies(sqlite3 *log, sqlite3 *body)
{
    struct nummap *counts = count_blocks(body);
    if (!counts)
        return SQLITE_NOMEM;
    int code = db_exec(log, "BEGIN IMMEDIATE");
    if (code == SQLITE_OK)
        code = fix_places(log, counts, "SELECT id, req FROM x WHERE req>=0", "UPDATE x SET req=-2 WHERE id=?");
    if (code == SQLITE_OK)
        code = fix_places(log, counts, "SELECT id, resp FROM x WHERE resp>=0", "UPDATE x SET resp=-2 WHERE id=?");
    // A long body with a part missing is lost as a whole: its length would lie.
    if (code == SQLITE_OK)
        code = fix_places(log, counts, "SELECT x, place FROM part WHERE side=0 AND segment IS NULL AND place IS NOT NULL",
                          "UPDATE x SET req=-2 WHERE id=?");
    if (code == SQLITE_OK)
        code = fix_places(log, counts, "SELECT x, place FROM part WHERE side=1 AND segment IS NULL AND place IS NOT NULL",
                          "UPDATE x SET resp=-2 WHERE id=?");
    if (code == SQLITE_OK)
        code = db_exec(log, "DELETE FROM part WHERE (SELECT CASE side WHEN 0 THEN req ELSE resp END FROM x WHERE id=part.x)=-2;"
                            "COMMIT");
    if (code != SQLITE_OK)
        db_exec(log, "ROLLBACK");
    nummap_close(counts);
    return code;
}

// ---- a segment ------------------------------------------------------------------------------------------------------

// It cannot be read: it is left to fsck and the reader, who say so; nothing waits for it again.
static bool give_up(struct catalog *c, struct catalog_segment *s, bool *ids_lost, struct fault *fault)
{
    s->sealed = s->repaired = true;
    *ids_lost = true;
    return catalog_store(c, s, fault);
}

// What a killed recorder wrote and nobody synced is seen now, and can still go with the power; then nothing may say that it is there.
static int keep_bodies(const char *dir, sqlite3 *body)
{
    int code = body ? db_sync_whole(body) : SQLITE_OK;
    return code == SQLITE_OK && body && !db_sync_dir(dir) ? SQLITE_IOERR_FSYNC : code;
}

// DB_FINE: whole. DB_BROKEN: damaged. Anything else: not now.
static enum db_trouble mend(const char *dir, struct catalog_segment *s, sqlite3 *log, sqlite3 *body)
{
    if (db_int(log, "SELECT count(*) FROM segment", 0) != 1)
        return sqlite3_errcode(log) == SQLITE_OK || sqlite3_errcode(log) == SQLITE_DONE ? DB_BROKEN
                                                                                       : db_trouble(log, sqlite3_extended_errcode(log));
    s->start_us = db_int(log, "SELECT start_us FROM segment", s->start_us);
    if (db_int(log, "SELECT sealed FROM segment", 0))
        return DB_FINE;
    int code = tell_lost_bodies(log, body);
    if (code == SQLITE_OK && (code = keep_bodies(dir, body)) != SQLITE_OK)
        return db_trouble(body, code);
    if (code == SQLITE_OK)
        code = repair_finish_log(log, true);
    return db_trouble(log, code);
}

// What taking over needs to know of a segment, sealed in the catalog or not.
static void note_numbers(struct catalog_segment *s, sqlite3 *log)
{
    s->last_us = db_int(log, "SELECT last_us FROM segment", INT64_MIN);
    s->next_id = (uint64_t)db_int(log, "SELECT next_id FROM segment", (int64_t)s->next_id);
    s->last_x = (uint64_t)db_int(log, "SELECT last_x FROM segment", 0);
}

// Power went away behind the schema's commit and before that of the segment's own row: nothing was ever in it.
static bool was_never_begun(const char *log_path)
{
    sqlite3 *log = NULL;
    struct fault ignored = {0};
    bool never = db_open(log_path, &db_log, true, &log, &ignored) && db_int(log, "SELECT count(*) FROM segment", -1) == 0 &&
                 db_int(log, "SELECT count(*) FROM x", -1) == 0;
    db_close(log);
    return never;
}

bool repair_segment(struct catalog *c, struct catalog_segment *s, bool *ids_lost, struct fault *fault)
{
    char log_path[PATH_MAX], body_path[PATH_MAX];
    struct stat st;
    sqlite3 *log = NULL, *body = NULL;
    catalog_path(c->dir, s->name, false, log_path, sizeof log_path);
    catalog_path(c->dir, s->name, true, body_path, sizeof body_path);
    if (stat(log_path, &st) != 0)
        return give_up(c, s, ids_lost, fault);
    if (db_is_empty(log_path) || was_never_begun(log_path)) {
        // Its row first and its log last: whatever is left when we die in between is found again by its log, and taken away.
        bool forgotten = catalog_forget(c, s->number, fault);
        if (forgotten) {
            catalog_unlink_body(body_path);
            catalog_unlink(log_path);
        }
        return forgotten;
    }
    struct fault why = {0};
    if (!db_open(log_path, &db_log, true, &log, &why)) {
        if (why.kind == FAULT_USER) {
            *fault = why;
            return false;
        }
        return give_up(c, s, ids_lost, fault);
    }
    if (stat(body_path, &st) == 0) {
        if (db_is_empty(body_path))
            catalog_unlink_body(body_path);
        else if (!db_open(body_path, &db_body, true, &body, &why))
            body = NULL;
    }
    enum db_trouble trouble = body ? mend_blocks(body, body_path) : DB_FINE;
    if (trouble == DB_FINE)
        trouble = mend(c->dir, s, log, body);
    bool ok = trouble != DB_BROKEN;
    // A reader in the way, or a full disk: what is in the write-ahead logs stays there, and the segment unsealed in the catalog, for now.
    bool plain = trouble == DB_FINE && (!body || db_seal(body) == SQLITE_OK) && db_seal(log) == SQLITE_OK;
    db_close(body);
    if (!ok)
        ok = give_up(c, s, ids_lost, fault);
    else if (plain)
        ok = catalog_take_summary(c, s, log, fault);
    else
        note_numbers(s, log);
    db_close(log);
    return ok;
}

bool repair_all(struct catalog *c, bool *ids_lost, struct fault *fault)
{
    *ids_lost = false;
    for (size_t i = 0; i < c->count;) {
        uint32_t number = c->at[i].number;
        if (!c->at[i].sealed && !c->at[i].log_gone && !repair_segment(c, &c->at[i], ids_lost, fault))
            return false;
        i += i < c->count && c->at[i].number == number; // an empty one is gone from the list
    }
    return true;
}
