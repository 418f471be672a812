// The catalog of a tape: reading and storing tape.db, matching it with the directory, dropping files.
//
// 1. The directory is the truth about which files there are; the catalog about which there were.
// 2. A segment's row exists before its first exchange, and stays when its files are dropped.
// 3. tape.db is in rollback-journal mode: readers on a read-only medium can open it at any time.
#include "catalog.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/mem.h"
#include "blockfile.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const companions[] = {"", "-wal", "-shm", "-journal"};

void catalog_path(const char *dir, const char *name, bool body, char *path, size_t size)
{
    snprintf(path, size, "%s/%s%s", dir, name, body ? FORMAT_BODY_SUFFIX : FORMAT_LOG_SUFFIX);
}

uint64_t catalog_file_bytes(const char *path)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < 2; i++) {
        char name[PATH_MAX + 16];
        struct stat st;
        snprintf(name, sizeof name, "%s%s", path, companions[i]);
        if (stat(name, &st) == 0)
            bytes += (uint64_t)st.st_size;
    }
    return bytes;
}

void catalog_unlink(const char *path)
{
    for (size_t i = 0; i < sizeof companions / sizeof *companions; i++) {
        char name[PATH_MAX + 16];
        snprintf(name, sizeof name, "%s%s", path, companions[i]);
        unlink(name);
    }
}

uint64_t catalog_body_bytes(const char *path)
{
    char blocks[PATH_MAX];
    blockfile_path(path, blocks, sizeof blocks);
    return catalog_file_bytes(path) + blockfile_bytes(blocks);
}

// The blocks first: as long as the body file is there, so is the memory of them.
void catalog_unlink_body(const char *path)
{
    char blocks[PATH_MAX];
    blockfile_path(path, blocks, sizeof blocks);
    unlink(blocks);
    catalog_unlink(path);
}

// A file whose maker died before it was whole.
static bool is_unfinished(const char *name)
{
    size_t size = strlen(name), suffix = strlen(FORMAT_NEW_SUFFIX);
    return size > suffix && strcmp(name + size - suffix, FORMAT_NEW_SUFFIX) == 0;
}

bool catalog_check_dir(const char *dir, bool *exists, struct fault *fault)
{
    *exists = false;
    DIR *d = opendir(dir);
    if (!d && errno == ENOENT)
        return true;
    if (!d && errno == ENOTDIR)
        return fault_user(fault, "%s is not a directory: name another one with --tape", dir);
    if (!d)
        return fault_errno(fault, errno, "cannot open %s", dir);
    *exists = true;
    bool tape = false, other = false;
    for (struct dirent *e; (e = readdir(d));) {
        size_t name_size;
        uint32_t number;
        bool body;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || strcmp(e->d_name, "lost+found") == 0 ||
            strcmp(e->d_name, FORMAT_LOCK_NAME) == 0 || is_unfinished(e->d_name))
            continue;
        if (strcmp(e->d_name, FORMAT_TAPE_NAME) == 0 || format_parse_name(e->d_name, &name_size, &number, &body))
            tape = true;
        else
            other = true;
    }
    closedir(d);
    if (other && !tape)
        return fault_user(fault, "%s is no tape and not empty: name another directory with --tape", dir);
    return true;
}

// ---- rows -----------------------------------------------------------------------------------------------------------

static const char select_sql[] =
    "SELECT number, name, start_us, first_us, last_us, next_id, first_x, last_x, rows, ops, gaps, alerts, log_bytes, body_bytes,"
    " sealed, repaired, body_gone_us IS NOT NULL, log_gone_us IS NOT NULL FROM segment ORDER BY number";
static const char store_sql[] =
    "INSERT INTO segment(number, name, start_us, first_us, last_us, next_id, first_x, last_x, rows, ops, gaps, alerts, log_bytes,"
    " body_bytes, sealed, repaired) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16) ON CONFLICT(number) DO UPDATE SET"
    " name=?2, start_us=?3, first_us=?4, last_us=?5, next_id=?6, first_x=?7, last_x=?8, rows=?9, ops=?10, gaps=?11, alerts=?12,"
    " log_bytes=?13, body_bytes=?14, sealed=?15, repaired=?16";

static void read_row(sqlite3_stmt *s, struct catalog_segment *to)
{
    *to = (struct catalog_segment){
        .number = (uint32_t)sqlite3_column_int64(s, 0), .start_us = sqlite3_column_int64(s, 2),
        .first_us = sqlite3_column_type(s, 3) == SQLITE_NULL ? INT64_MIN : sqlite3_column_int64(s, 3),
        .last_us = sqlite3_column_type(s, 4) == SQLITE_NULL ? INT64_MIN : sqlite3_column_int64(s, 4),
        .next_id = (uint64_t)sqlite3_column_int64(s, 5), .first_x = (uint64_t)sqlite3_column_int64(s, 6),
        .last_x = (uint64_t)sqlite3_column_int64(s, 7), .rows = (uint64_t)sqlite3_column_int64(s, 8),
        .ops = (uint64_t)sqlite3_column_int64(s, 9), .gaps = (uint64_t)sqlite3_column_int64(s, 10),
        .alerts = (uint64_t)sqlite3_column_int64(s, 11), .log_bytes = (uint64_t)sqlite3_column_int64(s, 12),
        .body_bytes = (uint64_t)sqlite3_column_int64(s, 13), .sealed = sqlite3_column_int(s, 14), .repaired = sqlite3_column_int(s, 15),
        .body_gone = sqlite3_column_int(s, 16), .log_gone = sqlite3_column_int(s, 17),
    };
    struct bytes name = db_text(s, 1);
    memcpy(to->name, name.at, name.size < sizeof to->name - 1 ? name.size : sizeof to->name - 1);
}

static struct catalog_segment *append(struct catalog *c, const struct catalog_segment *s)
{
    if (c->count == c->room) {
        size_t room = c->room ? c->room * 2 : 32;
        struct catalog_segment *at = mem_grow(c->at, room * sizeof *at);
        if (!at)
            return NULL;
        c->at = at;
        c->room = room;
    }
    size_t place = c->count++;
    for (; place && c->at[place - 1].number > s->number; place--)
        c->at[place] = c->at[place - 1];
    c->at[place] = *s;
    return &c->at[place];
}

static bool read_rows(struct catalog *c, struct fault *fault)
{
    sqlite3_stmt *s = NULL;
    bool ok = sqlite3_prepare_v2(c->db, select_sql, -1, &s, NULL) == SQLITE_OK;
    int code = SQLITE_DONE;
    while (ok && (code = sqlite3_step(s)) == SQLITE_ROW) {
        struct catalog_segment row;
        read_row(s, &row);
        if (!append(c, &row)) {
            sqlite3_finalize(s);
            return fault_memory(fault);
        }
    }
    ok = ok && code == SQLITE_DONE;
    if (!ok)
        db_fault(c->db, FORMAT_TAPE_NAME, fault);
    sqlite3_finalize(s);
    return ok;
}

static void bind_when(sqlite3_stmt *s, int at, int64_t us)
{
    if (us == INT64_MIN)
        sqlite3_bind_null(s, at);
    else
        sqlite3_bind_int64(s, at, us);
}

bool catalog_store(struct catalog *c, const struct catalog_segment *s, struct fault *fault)
{
    sqlite3_stmt *stmt = NULL;
    bool ok = sqlite3_prepare_v2(c->db, store_sql, -1, &stmt, NULL) == SQLITE_OK;
    if (ok) {
        const int64_t numbers[] = {(int64_t)s->next_id, (int64_t)s->first_x, (int64_t)s->last_x, (int64_t)s->rows, (int64_t)s->ops,
                                   (int64_t)s->gaps, (int64_t)s->alerts, (int64_t)s->log_bytes, (int64_t)s->body_bytes, s->sealed,
                                   s->repaired};
        db_bind(stmt, 1, s->number);
        db_bind_text(stmt, 2, bytes_of_text(s->name));
        db_bind(stmt, 3, s->start_us);
        bind_when(stmt, 4, s->first_us);
        bind_when(stmt, 5, s->last_us);
        for (int i = 0; i < 11; i++)
            db_bind(stmt, 6 + i, numbers[i]);
        ok = db_run(stmt) == SQLITE_DONE;
    }
    if (!ok)
        db_fault(c->db, FORMAT_TAPE_NAME, fault);
    sqlite3_finalize(stmt);
    return ok;
}

struct catalog_segment *catalog_add(struct catalog *c, const struct catalog_segment *s, struct fault *fault)
{
    struct catalog_segment *added = append(c, s);
    if (!added) {
        fault_memory(fault);
        return NULL;
    }
    if (catalog_store(c, s, fault))
        return added;
    memmove(added, added + 1, (size_t)(c->at + c->count - (added + 1)) * sizeof *added);
    c->count--;
    return NULL;
}

static bool run_one(struct catalog *c, const char *sql, int64_t a, int64_t b, const char *text, struct fault *fault)
{
    sqlite3_stmt *s = NULL;
    bool ok = sqlite3_prepare_v2(c->db, sql, -1, &s, NULL) == SQLITE_OK;
    if (ok) {
        db_bind(s, 1, a);
        if (sqlite3_bind_parameter_count(s) > 1)
            db_bind(s, 2, b);
        if (sqlite3_bind_parameter_count(s) > 2)
            db_bind_text(s, 3, bytes_of_text(text));
        ok = db_run(s) == SQLITE_DONE;
    }
    if (!ok)
        db_fault(c->db, FORMAT_TAPE_NAME, fault);
    sqlite3_finalize(s);
    return ok;
}

bool catalog_forget(struct catalog *c, uint32_t number, struct fault *fault)
{
    if (!run_one(c, "DELETE FROM segment WHERE number=?", number, 0, NULL, fault))
        return false;
    for (size_t i = 0; i < c->count; i++)
        if (c->at[i].number == number) {
            memmove(&c->at[i], &c->at[i + 1], (c->count - i - 1) * sizeof *c->at);
            c->count--;
            return true;
        }
    return true;
}

static bool copy_summary(struct catalog *c, uint32_t number, sqlite3 *log)
{
    sqlite3_stmt *from = NULL, *to = NULL;
    int code = sqlite3_prepare_v2(log, "SELECT what, word, n FROM summary", -1, &from, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(c->db, "REPLACE INTO summary VALUES(?,?,?,?)", -1, &to, NULL);
    bool ok = code == SQLITE_OK;
    while (ok && (code = sqlite3_step(from)) == SQLITE_ROW) {
        db_bind(to, 1, number);
        db_bind_word(to, 2, db_text(from, 0));
        db_bind_word(to, 3, db_text(from, 1));
        db_bind(to, 4, sqlite3_column_int64(from, 2));
        ok = db_run(to) == SQLITE_DONE;
    }
    sqlite3_finalize(from);
    sqlite3_finalize(to);
    return ok && code == SQLITE_DONE;
}

// The rows of a query as JSON arrays, numbered. *whole: the log could be read. False: the catalog could not be written.
static bool copy_cover(struct catalog *c, uint32_t number, sqlite3 *log, const struct format_cover_query *cover, bool *whole)
{
    sqlite3_stmt *from = NULL, *to = NULL;
    char sql[160] = "REPLACE INTO coverage VALUES(?1,?2,?3,json_array(?4";
    for (int i = 1; i < cover->columns; i++)
        snprintf(sql + strlen(sql), sizeof sql - strlen(sql), ",?%d", 4 + i);
    strcat(sql, "))");
    int code = sqlite3_prepare_v2(log, cover->sql, -1, &from, NULL);
    bool ok = sqlite3_prepare_v2(c->db, sql, -1, &to, NULL) == SQLITE_OK;
    for (int64_t n = 0; ok && code == SQLITE_OK && (code = sqlite3_step(from)) == SQLITE_ROW; n++, code = SQLITE_OK) {
        sqlite3_clear_bindings(to);
        db_bind(to, 1, number);
        db_bind_word(to, 2, bytes_of_text(cover->what));
        db_bind(to, 3, n);
        for (int i = 0; ok && i < cover->columns; i++)
            ok = sqlite3_bind_value(to, 4 + i, sqlite3_column_value(from, i)) == SQLITE_OK;
        ok = ok && db_run(to) == SQLITE_DONE;
    }
    sqlite3_finalize(from);
    sqlite3_finalize(to);
    *whole &= code == SQLITE_DONE;
    return ok;
}

// Where a log is damaged the mark is not set, and readers look into the log.
static bool copy_coverage(struct catalog *c, uint32_t number, sqlite3 *log)
{
    char sql[120];
    bool whole = true;
    snprintf(sql, sizeof sql, "DELETE FROM coverage WHERE segment=%u", (unsigned)number);
    bool ok = db_exec(c->db, sql) == SQLITE_OK;
    for (size_t i = 0; ok && i < COVERS; i++)
        ok = copy_cover(c, number, log, &format_covers[i], &whole);
    snprintf(sql, sizeof sql, "INSERT INTO coverage VALUES(%u,'',0,'[]')", (unsigned)number);
    return ok && (!whole || db_exec(c->db, sql) == SQLITE_OK);
}

bool catalog_take_summary(struct catalog *c, struct catalog_segment *s, sqlite3 *log, struct fault *fault)
{
    char path[PATH_MAX];
    s->first_us = db_int(log, "SELECT first_us FROM segment", INT64_MIN);
    s->last_us = db_int(log, "SELECT last_us FROM segment", INT64_MIN);
    s->next_id = (uint64_t)db_int(log, "SELECT next_id FROM segment", (int64_t)s->next_id);
    s->first_x = (uint64_t)db_int(log, "SELECT first_x FROM segment", 0);
    s->last_x = (uint64_t)db_int(log, "SELECT last_x FROM segment", 0);
    s->rows = (uint64_t)db_int(log, "SELECT rows FROM segment", 0);
    s->ops = (uint64_t)db_int(log, "SELECT ops FROM segment", 0);
    s->gaps = (uint64_t)db_int(log, "SELECT count(*) FROM gap", 0);
    s->alerts = (uint64_t)db_int(log, "SELECT count(*) FROM alert", 0);
    s->repaired = db_int(log, "SELECT repaired FROM segment", 0) != 0;
    s->sealed = true;
    catalog_path(c->dir, s->name, false, path, sizeof path);
    s->log_bytes = catalog_file_bytes(path);
    catalog_path(c->dir, s->name, true, path, sizeof path);
    s->body_bytes = catalog_body_bytes(path);
    if (db_exec(c->db, "BEGIN IMMEDIATE") != SQLITE_OK || !copy_summary(c, s->number, log) || !copy_coverage(c, s->number, log)) {
        db_fault(c->db, FORMAT_TAPE_NAME, fault);
        db_exec(c->db, "ROLLBACK");
        return false;
    }
    if (!catalog_store(c, s, fault)) {
        db_exec(c->db, "ROLLBACK");
        return false;
    }
    if (db_exec(c->db, "COMMIT") == SQLITE_OK)
        return true;
    db_fault(c->db, FORMAT_TAPE_NAME, fault);
    db_exec(c->db, "ROLLBACK");
    return false;
}

// ---- dropping -------------------------------------------------------------------------------------------------------

bool catalog_drop_body(struct catalog *c, struct catalog_segment *s, int64_t now_us, const char *why, struct fault *fault)
{
    char path[PATH_MAX];
    if (!run_one(c, "UPDATE segment SET body_gone_us=?2, body_gone_why=?3 WHERE number=?1", s->number, now_us, why, fault))
        return false;
    s->body_gone = true;
    catalog_path(c->dir, s->name, true, path, sizeof path);
    catalog_unlink_body(path);
    return true;
}

bool catalog_drop_log(struct catalog *c, struct catalog_segment *s, int64_t now_us, const char *why, struct fault *fault)
{
    char path[PATH_MAX];
    if (!s->body_gone && !catalog_drop_body(c, s, now_us, why, fault))
        return false;
    if (!run_one(c, "UPDATE segment SET log_gone_us=?2, log_gone_why=?3 WHERE number=?1", s->number, now_us, why, fault) ||
        !run_one(c, "DELETE FROM summary WHERE segment=?", s->number, 0, NULL, fault) ||
        !run_one(c, "DELETE FROM coverage WHERE segment=?", s->number, 0, NULL, fault))
        return false;
    s->log_gone = true;
    catalog_path(c->dir, s->name, false, path, sizeof path);
    catalog_unlink(path);
    return true;
}

uint64_t catalog_bytes(const struct catalog *c)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < c->count; i++)
        if (c->at[i].sealed)
            bytes += (c->at[i].log_gone ? 0 : c->at[i].log_bytes) + (c->at[i].body_gone ? 0 : c->at[i].body_bytes);
    return bytes;
}

// ---- opening --------------------------------------------------------------------------------------------------------

static bool make_id(struct catalog *c, struct fault *fault)
{
    uint8_t random[16];
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return fault_errno(fault, errno, "no random numbers");
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(c->id + 2 * i, 3, "%02x", random[i]);
    char sql[128];
    snprintf(sql, sizeof sql, "INSERT INTO tape VALUES('%s',%lld)", c->id, (long long)when_us(clock_now_ns()));
    return db_exec(c->db, sql) == SQLITE_OK || db_fault(c->db, FORMAT_TAPE_NAME, fault);
}

static bool read_id(struct catalog *c, struct fault *fault)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(c->db, "SELECT id FROM tape", -1, &s, NULL) != SQLITE_OK)
        return db_fault(c->db, FORMAT_TAPE_NAME, fault);
    bool found = sqlite3_step(s) == SQLITE_ROW;
    if (found) {
        struct bytes id = db_text(s, 0);
        snprintf(c->id, sizeof c->id, "%.*s", (int)(id.size < 32 ? id.size : 32), (const char *)id.at);
    }
    sqlite3_finalize(s);
    return found || make_id(c, fault);
}

// Segments whose files are here but which the catalog does not know: it was lost, or their recorder died between the two.
static bool adopt(struct catalog *c, const char *file, struct fault *fault)
{
    size_t name_size;
    struct catalog_segment s = {.first_us = INT64_MIN, .last_us = INT64_MIN};
    bool body;
    if (!format_parse_name(file, &name_size, &s.number, &body) || body || name_size >= sizeof s.name)
        return true;
    for (size_t i = 0; i < c->count; i++)
        if (c->at[i].number == s.number)
            return true;
    memcpy(s.name, file, name_size);
    return catalog_add(c, &s, fault) != NULL;
}

static bool match_directory(struct catalog *c, struct fault *fault)
{
    DIR *d = opendir(c->dir);
    if (!d)
        return fault_errno(fault, errno, "cannot open %s", c->dir);
    bool ok = true;
    for (struct dirent *e; ok && (e = readdir(d));) {
        if (is_unfinished(e->d_name))
            unlinkat(dirfd(d), e->d_name, 0);
        ok = adopt(c, e->d_name, fault);
    }
    closedir(d);
    char path[PATH_MAX];
    for (size_t i = 0; ok && i < c->count; i++) { // files whose tombstone stands
        catalog_path(c->dir, c->at[i].name, true, path, sizeof path);
        if (c->at[i].body_gone)
            catalog_unlink_body(path);
        catalog_path(c->dir, c->at[i].name, false, path, sizeof path);
        if (c->at[i].log_gone)
            catalog_unlink(path);
    }
    return ok;
}

bool catalog_open(struct catalog *c, const char *dir, struct fault *fault)
{
    *c = (struct catalog){.dir = mem_text_copy(dir, strlen(dir))};
    char path[PATH_MAX];
    struct stat st;
    enum db_trouble trouble;
    if (!c->dir)
        return fault_memory(fault);
    snprintf(path, sizeof path, "%s/" FORMAT_TAPE_NAME, dir);
    bool there = stat(path, &st) == 0;
    if (there && db_is_empty(path)) {
        catalog_unlink(path);
        there = false;
    }
    bool ok = there ? db_open(path, &db_tape, true, &c->db, fault) && (db_exec(c->db, format_tape_more_sql) == SQLITE_OK || db_fault(c->db, path, fault)) : db_create(path, &db_tape, &c->db, &trouble, fault);
    ok = ok && read_id(c, fault) && read_rows(c, fault) && match_directory(c, fault);
    if (!ok)
        catalog_close(c);
    return ok;
}

void catalog_close(struct catalog *c)
{
    db_close(c->db);
    mem_free(c->at);
    mem_free(c->dir);
    *c = (struct catalog){0};
}
