// Checking a tape: its directory and catalog, then segment by segment (fsck_log.c, fsck_body.c).
//
// Every finding carries the number of the invariant it breaks. A file that does not pass SQLite's own check is told once and
// not looked into any further.
#include "fsck.h"

#include "../base/diag.h"
#include "../base/mem.h"
#include "catalog.h"
#include "fsck_inner.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

void fsck_say(struct fsck *f, const char *file, int invariant, bool harmless, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    f->stats->damaged += !harmless;
    struct fsck_finding finding = {file, invariant, harmless, text};
    f->fn(f->ctx, &finding);
}

bool fsck_expect_none(struct fsck *f, sqlite3 *db, const char *file, int invariant, const char *sql, const char *text)
{
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(s);
    int64_t count = code == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    if (code != SQLITE_ROW)
        fsck_say(f, file, invariant, false, "cannot be checked: %s", sqlite3_errmsg(db));
    else if (count)
        fsck_say(f, file, invariant, false, "%s: %lld", text, (long long)count);
    sqlite3_finalize(s);
    return code == SQLITE_ROW && !count;
}

bool fsck_integrity(struct fsck *f, sqlite3 *db, const char *file, uint32_t application_id)
{
    sqlite3_stmt *s = NULL;
    bool ok = true;
    int code = sqlite3_prepare_v2(db, "PRAGMA integrity_check(5)", -1, &s, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(s)) == SQLITE_ROW) {
        struct bytes line = db_text(s, 0);
        code = SQLITE_OK;
        if (bytes_equal_text(line, "ok"))
            continue;
        ok = false;
        fsck_say(f, file, 1, false, "%.*s", (int)(line.size < 400 ? line.size : 400), (const char *)line.at);
    }
    if (code != SQLITE_DONE) {
        ok = false;
        fsck_say(f, file, 1, false, "%s", sqlite3_errmsg(db));
    }
    sqlite3_finalize(s);
    if ((uint32_t)db_int(db, "PRAGMA application_id", 0) != application_id) {
        ok = false;
        fsck_say(f, file, 1, false, "it does not carry the application id of its kind");
    }
    return ok;
}

// ---- the list of segments -------------------------------------------------------------------------------------------

struct list {
    struct fsck_segment *at;
    size_t count, room;
};

static struct fsck_segment *segment_of(struct fsck *f, struct list *list, uint32_t number, const char *name, size_t name_size)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->at[i].number == number)
            return &list->at[i];
    if (list->count == list->room) {
        size_t more = list->room ? list->room * 2 : 64;
        struct fsck_segment *at = mem_grow(list->at, more * sizeof *at);
        if (!at) {
            f->failed = true;
            return NULL;
        }
        list->at = at;
        list->room = more;
    }
    struct fsck_segment *s = &list->at[list->count++];
    *s = (struct fsck_segment){.all = f, .number = number};
    snprintf(s->name, sizeof s->name, "%.*s", (int)name_size, name);
    snprintf(s->file, sizeof s->file, "%s" FORMAT_LOG_SUFFIX, s->name);
    snprintf(s->body_file, sizeof s->body_file, "%s" FORMAT_BODY_SUFFIX, s->name);
    snprintf(s->blocks_file, sizeof s->blocks_file, "%s" FORMAT_BLOCKS_SUFFIX, s->name);
    return s;
}

static bool list_directory(struct fsck *f, struct list *list, bool *is_tape)
{
    DIR *d = opendir(f->reel.dir);
    if (!d)
        return errno == ENOENT ? fault_user(f->fault, "%s does not exist", f->reel.dir)
                               : fault_errno(f->fault, errno, "cannot open %s", f->reel.dir);
    for (struct dirent *e; (e = readdir(d)) && !f->failed;) {
        size_t size;
        uint32_t number;
        bool body;
        *is_tape |= strcmp(e->d_name, FORMAT_TAPE_NAME) == 0;
        if (!format_parse_name(e->d_name, &size, &number, &body))
            continue;
        *is_tape = true;
        struct fsck_segment *s = segment_of(f, list, number, e->d_name, size);
        if (s)
            *(body ? &s->body_here : &s->log_here) = true;
    }
    closedir(d);
    return true;
}

static void list_catalog(struct fsck *f, struct list *list)
{
    char why[300];
    sqlite3 *db = segment_open_file(&f->reel, FORMAT_TAPE_NAME, false, why, sizeof why);
    if (!db) {
        fsck_say(f, FORMAT_TAPE_NAME, 1, false, "%s", why);
        return;
    }
    sqlite3_stmt *s = NULL;
    if (fsck_integrity(f, db, FORMAT_TAPE_NAME, FORMAT_TAPE_ID) &&
        sqlite3_prepare_v2(db, "SELECT number, name, sealed, body_gone_us IS NOT NULL, log_gone_us IS NOT NULL, body_bytes FROM segment",
                           -1, &s, NULL) == SQLITE_OK)
        while (sqlite3_step(s) == SQLITE_ROW && !f->failed) {
            struct bytes name = db_text(s, 1);
            struct fsck_segment *row = segment_of(f, list, (uint32_t)sqlite3_column_int64(s, 0), (const char *)name.at, name.size);
            if (!row)
                break;
            row->listed = true;
            row->sealed = sqlite3_column_int(s, 2);
            row->body_gone = sqlite3_column_int(s, 3);
            row->log_gone = sqlite3_column_int(s, 4);
            if (row->sealed && sqlite3_column_int64(s, 5) > 0 && !row->body_here && !row->body_gone)
                fsck_say(f, row->body_file, 10, false, "the file is missing");
        }
    sqlite3_finalize(s);
    sqlite3_close(db);
}

// ---- a segment ------------------------------------------------------------------------------------------------------

// A recorder that dies, or a power loss, can leave a file without its tables, and a log with its tables but without its row.
static bool is_newborn(const struct fsck_segment *s, sqlite3 *db, const char *file)
{
    if (s->sealed)
        return false;
    if (db_int(db, "SELECT count(*) FROM sqlite_schema", -1) == 0)
        return db_int(db, "PRAGMA application_id", -1) == 0;
    return file == s->file && db_int(db, "SELECT (SELECT count(*) FROM segment) + (SELECT count(*) FROM x)", -1) == 0;
}

static sqlite3 *open_file(struct fsck_segment *s, const char *file, uint32_t application_id)
{
    char why[300], path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", s->all->reel.dir, file);
    s->all->stats->bytes += catalog_file_bytes(path);
    sqlite3 *db = segment_open_file(&s->all->reel, file, s->sealed, why, sizeof why);
    if (!db)
        fsck_say(s->all, file, 1, false, "%s", why);
    else if (is_newborn(s, db, file)) {
        fsck_say(s->all, file, 1, true, "it is empty: its recorder died before anything was in it");
        sqlite3_close(db);
        db = NULL;
    } else if (!fsck_integrity(s->all, db, file, application_id)) {
        sqlite3_close(db);
        db = NULL;
    }
    return db;
}

static void check_wal_left(struct fsck_segment *s, const char *file)
{
    char path[PATH_MAX];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s-wal", s->all->reel.dir, file);
    if (s->sealed && stat(path, &st) == 0 && st.st_size > 0)
        fsck_say(s->all, file, 11, false, "a write-ahead log is left beside a sealed segment");
}

static void check_segment(struct fsck_segment *s)
{
    struct fsck *f = s->all;
    if (!s->listed)
        fsck_say(f, s->file, 2, s->log_here, "the catalog does not know this segment");
    if ((s->log_gone && s->log_here) || (s->body_gone && s->body_here))
        fsck_say(f, s->log_gone && s->log_here ? s->file : s->body_file, 10, true, "it was dropped, and is still there");
    if (!s->log_here && !s->log_gone)
        fsck_say(f, s->file, 10, false, "the file is missing");
    if (!s->log_here)
        return;
    f->stats->segments++;
    check_wal_left(s, s->file);
    check_wal_left(s, s->body_file);
    s->blocks = nummap_open();
    if (!s->blocks) {
        f->failed = true;
        return;
    }
    // The log's snapshot first: bodies only grow.
    s->log = open_file(s, s->file, FORMAT_LOG_ID);
    if (s->log)
        db_exec(s->log, "BEGIN; SELECT 1 FROM segment");
    s->body = s->body_here && !s->body_gone ? open_file(s, s->body_file, FORMAT_BODY_ID) : NULL;
    if (s->body)
        fsck_bodies(s);
    if (s->log) {
        fsck_log(s);
        if (!s->body_gone && (s->body || !s->body_here))
            fsck_places(s);
    }
    sqlite3_close(s->log);
    sqlite3_close(s->body);
    s->log = s->body = NULL;
    nummap_close(s->blocks);
    s->blocks = NULL;
}

// ---- ids across segments --------------------------------------------------------------------------------------------

static int by_number(const void *a, const void *b)
{
    const struct fsck_segment *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

// Ids of `later` that `earlier` has too.
static void check_pair(struct fsck *f, const struct fsck_segment *earlier, const struct fsck_segment *later)
{
    char why[300];
    sqlite3 *a = segment_open_file(&f->reel, earlier->file, earlier->sealed, why, sizeof why);
    sqlite3 *b = segment_open_file(&f->reel, later->file, later->sealed, why, sizeof why);
    sqlite3_stmt *ids = NULL, *has = NULL;
    if (a && b && sqlite3_prepare_v2(b, "SELECT id FROM x WHERE id<=?", -1, &ids, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(a, "SELECT h.flags&1024 FROM x JOIN call c ON c.id=x.call JOIN shape h ON h.id=c.shape WHERE x.id=?", -1, &has,
                           NULL) == SQLITE_OK) {
        db_bind(ids, 1, (int64_t)earlier->last_x);
        while (sqlite3_step(ids) == SQLITE_ROW) {
            db_bind(has, 1, sqlite3_column_int64(ids, 0));
            if (sqlite3_step(has) == SQLITE_ROW && !sqlite3_column_int(has, 0))
                fsck_say(f, later->file, 12, false, "exchange %lld stands in %s too", (long long)sqlite3_column_int64(ids, 0), earlier->name);
            sqlite3_reset(has);
        }
    }
    sqlite3_finalize(ids);
    sqlite3_finalize(has);
    sqlite3_close(a);
    sqlite3_close(b);
}

static void check_ids(struct fsck *f, struct list *list)
{
    for (size_t i = 1; i < list->count; i++)
        for (size_t k = i; list->at[i].first_x && k-- > 0;)
            if (list->at[k].last_x >= list->at[i].first_x && list->at[k].first_x <= list->at[i].last_x)
                check_pair(f, &list->at[k], &list->at[i]);
}

bool fsck_tape(const char *dir, fsck_fn *fn, void *ctx, struct fsck_stats *stats, struct fault *fault)
{
    *stats = (struct fsck_stats){0};
    struct fsck f = {.reel = {.dir = mem_text_copy(dir, strlen(dir))}, .fn = fn, .ctx = ctx, .stats = stats, .fault = fault};
    struct list list = {0};
    bool is_tape = false;
    if (!f.reel.dir)
        return fault_memory(fault);
    bool ok = list_directory(&f, &list, &is_tape);
    if (ok && !is_tape)
        ok = fault_user(fault, "%s is not a tape: it holds neither %s nor segments; 'estape record' makes one", dir, FORMAT_TAPE_NAME);
    if (ok)
        list_catalog(&f, &list);
    if (list.count)
        qsort(list.at, list.count, sizeof *list.at, by_number);
    for (size_t i = 0; ok && i < list.count && !f.failed; i++)
        check_segment(&list.at[i]);
    if (ok && !f.failed)
        check_ids(&f, &list);
    mem_free(list.at);
    mem_free(f.reel.dir);
    return ok && f.failed ? fault_memory(fault) : ok;
}
