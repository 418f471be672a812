// Opening the files of a tape for reading: sealed ones as they are, growing ones beside the recorder, crashed ones from a copy.
//
// A file can be in three conditions:
//   sealed   rollback-journal mode, never written again: opened immutable, so that no lock and no writable medium is needed
//   growing  a recorder holds the tape's lock: opened read-only through the write-ahead log that is there
//   left     a recorder died: recovering its log would write into the tape, so the file and its log are copied and the copy recovers
#include "read_inner.h"

#include "../base/diag.h"
#include "blockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WARNINGS_MOST = 200, BUSY_MS = 2000, WALK_MOST = 32, BODIES_MOST = 16 };

void tape_warn(struct tape *t, const char *format, ...)
{
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (size_t i = 0; i < t->warning_count; i++)
        if (strcmp(t->warnings[i], text) == 0)
            return;
    if (t->warning_count == WARNINGS_MOST)
        return;
    if (t->warning_count == t->warning_room) {
        size_t room = t->warning_room ? t->warning_room * 2 : 8;
        char **grown = mem_grow(t->warnings, room * sizeof *grown);
        if (!grown)
            return;
        t->warnings = grown;
        t->warning_room = room;
    }
    char *copy = mem_text_copy(text, strlen(text));
    if (copy)
        t->warnings[t->warning_count++] = copy;
}

bool reel_is_live(const char *dir)
{
    char path[4200];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    snprintf(path, sizeof path, "%s/%s", dir, FORMAT_LOCK_NAME);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool held = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    close(fd);
    return held;
}

// ---- private copies -------------------------------------------------------------------------------------------------

static bool copy_file(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return errno == ENOENT;
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = out >= 0;
    for (ssize_t n = 1; ok && n;) {
        n = sendfile(out, in, NULL, 1 << 30);
        ok = n >= 0 || errno == EINTR;
    }
    if (out >= 0)
        ok &= close(out) == 0;
    close(in);
    return ok;
}

static const char *const copied[] = {"", "-wal", "-journal", "-shm"}; // the last one is made by SQLite beside the copy

static void remove_copy(const char *copy_dir)
{
    char path[4300];
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/db%s", copy_dir, copied[i]);
        unlink(path);
    }
    rmdir(copy_dir);
}

// dir: a template for mkdtemp, filled.
static bool make_copy(const char *path, char *dir, size_t room)
{
    const char *tmp = getenv("TMPDIR");
    char from[4300], to[4200];
    snprintf(dir, room, "%s/estape-read-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        return false;
    for (size_t i = 0; i < 3; i++) {
        snprintf(from, sizeof from, "%s%s", path, copied[i]);
        snprintf(to, sizeof to, "%s/db%s", dir, copied[i]);
        if (!copy_file(from, to)) {
            int error = errno;
            remove_copy(dir);
            errno = error;
            return false;
        }
    }
    return true;
}

// ---- opening a file -------------------------------------------------------------------------------------------------

// A path inside a URI: what SQLite would take for syntax is escaped.
static bool uri_of(struct buf *uri, const char *path, const char *query)
{
    buf_add_text(uri, path[0] == '/' ? "file://" : "file:");
    for (const char *c = path; *c; c++)
        if (*c == '?' || *c == '#' || *c == '%')
            buf_format(uri, "%%%02x", (unsigned char)*c);
        else
            buf_add_byte(uri, (uint8_t)*c);
    buf_format(uri, "?%s", query);
    return !uri->failed;
}

static int64_t pragma_number(sqlite3 *db, const char *sql, int *rc)
{
    sqlite3_stmt *stmt = NULL;
    int64_t value = -1;
    *rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (*rc == SQLITE_OK && (*rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        value = sqlite3_column_int64(stmt, 0);
        *rc = SQLITE_OK;
    }
    sqlite3_finalize(stmt);
    return value;
}

// Opens and reads something, so that a file that is none is known now. NULL: *why tells; *later: a later format.
static sqlite3 *try_open(const char *path, const char *query, int flags, char *why, size_t room)
{
    struct buf uri = {0};
    sqlite3 *db = NULL;
    int rc = uri_of(&uri, path, query) ? sqlite3_open_v2(buf_text(&uri), &db, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL) : SQLITE_NOMEM;
    buf_fini(&uri);
    int64_t version = 0;
    if (rc == SQLITE_OK) {
        sqlite3_busy_timeout(db, BUSY_MS);
        version = pragma_number(db, "PRAGMA user_version", &rc);
    }
    if (rc == SQLITE_OK)
        pragma_number(db, "SELECT count(*) FROM sqlite_schema", &rc);
    if (rc == SQLITE_OK && version <= FORMAT_VERSION)
        return db;
    if (rc == SQLITE_OK)
        snprintf(why, room, "it is of format %lld, and this estape reads up to %d: use a later estape", (long long)version, FORMAT_VERSION);
    else
        snprintf(why, room, "%s", db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
    sqlite3_close(db);
    return NULL;
}

static bool exists(const char *path, const char *end)
{
    char file[4300];
    struct stat st;
    snprintf(file, sizeof file, "%s%s", path, end);
    return stat(file, &st) == 0;
}

sqlite3 *segment_open_file(struct reel *r, const char *file, bool sealed, char *why, size_t room)
{
    char path[4200], copy_dir[4096], copy[4200];
    snprintf(path, sizeof path, "%s/%s", r->dir, file);
    if (!exists(path, "")) {
        snprintf(why, room, "it is not there");
        return NULL;
    }
    if (access(path, R_OK) != 0) {
        snprintf(why, room, "%s", strerror(errno));
        return NULL;
    }
    r->live = !sealed && reel_is_live(r->dir);
    if (sealed || (!r->live && !exists(path, "-wal") && !exists(path, "-journal")))
        return try_open(path, "mode=ro&immutable=1", SQLITE_OPEN_READONLY, why, room);
    if (r->live) {
        sqlite3 *db = try_open(path, "mode=ro", SQLITE_OPEN_READONLY, why, room);
        if (db)
            return db;
    }
    if (!make_copy(path, copy_dir, sizeof copy_dir)) {
        snprintf(why, room, "it was left by a recorder that died, and cannot be copied to be read: %s", strerror(errno));
        return NULL;
    }
    snprintf(copy, sizeof copy, "%s/db", copy_dir);
    sqlite3 *db = try_open(copy, "mode=rw", SQLITE_OPEN_READWRITE, why, room);
    remove_copy(copy_dir); // the connection keeps its files
    return db;
}

// ---- segments -------------------------------------------------------------------------------------------------------

sqlite3_stmt *segment_prepare(struct open_segment *o, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    return sqlite3_prepare_v3(o->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) == SQLITE_OK ? stmt : NULL;
}

static const char *const statement_sql[SEGMENT_STATEMENTS] = {
    [SEGMENT_WHO] = "SELECT principal,auth,run_as,forwarded_for,agent,realm FROM who WHERE id=?",
    [SEGMENT_SHAPE] = "SELECT verb,api,action,status,outcome,reason,danger,flags,server_version FROM shape WHERE id=?",
    [SEGMENT_LIST] = "SELECT names FROM list WHERE id=?",
    [SEGMENT_NAME] = "SELECT text FROM name WHERE id=?",
    [SEGMENT_PATH] = "SELECT head,tail FROM path WHERE id=?",
    [SEGMENT_CALL] = "SELECT who,shape,targets,path FROM call WHERE id=?",
    [SEGMENT_CONN] = "SELECT (SELECT text FROM ip WHERE id=client),client_port,(SELECT text FROM ip WHERE id=server),server_port FROM conn WHERE id=?",
    [SEGMENT_WORD] = "SELECT text FROM word WHERE id=?",
    [SEGMENT_ROWS] = "SELECT id,t,dur,conn,seq,call,var,oid,req,resp,req_bytes,resp_bytes,took,tally,hits,idx FROM x WHERE id>=? AND id<? ORDER BY id",
    [SEGMENT_PLACES] = "SELECT id,req FROM x WHERE id>=? AND id<?",
    [SEGMENT_TALLY] = "SELECT docs,docs_ok,docs_failed,docs_deleted FROM tally WHERE id=?",
    [SEGMENT_PART] = "SELECT n,segment,place,hole,flags FROM part WHERE x=? AND side=? ORDER BY n",
};

sqlite3_stmt *segment_statement(struct open_segment *o, enum segment_statement which)
{
    sqlite3_stmt **stmt = &o->statements[which];
    if (!*stmt)
        *stmt = segment_prepare(o, statement_sql[which]);
    sqlite3_reset(*stmt);
    return *stmt;
}

static void open_close(struct open_segment *o)
{
    struct nummap *const maps[] = {o->whos, o->shapes, o->lists, o->names, o->paths, o->calls, o->conns, o->words};
    for (size_t i = 0; i < SEGMENT_STATEMENTS; i++)
        sqlite3_finalize(o->statements[i]);
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        if (maps[i])
            nummap_close(maps[i]);
    walker_fini(&o->more);
    walker_fini(&o->split);
    walker_fini(&o->times);
    sqlite3_close(o->db);
    arena_fini(&o->arena);
    mem_free(o);
}

static bool has_rows(struct open_segment *o, const char *sql)
{
    sqlite3_stmt *stmt = segment_prepare(o, sql);
    bool any = stmt && sqlite3_step(stmt) == SQLITE_ROW;
    sqlite3_finalize(stmt);
    return any;
}

static bool open_begin(struct open_segment *o)
{
    struct nummap **const maps[] = {&o->whos, &o->shapes, &o->lists, &o->names, &o->paths, &o->calls, &o->conns, &o->words};
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        if (!(*maps[i] = nummap_open()))
            return false;
    sqlite3_stmt *stmt = segment_prepare(o, "SELECT start_us FROM segment");
    bool ok = stmt && sqlite3_step(stmt) == SQLITE_ROW;
    if (ok)
        o->start_us = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    if (!ok)
        return false;
    o->more.sql = "SELECT x,trace,task FROM more WHERE x>=? ORDER BY x";
    o->split.sql = "SELECT x,place,ok,failed,deleted,unknown FROM split WHERE x>=? ORDER BY x,place";
    o->times.sql = "SELECT id,t,dur FROM x WHERE id>=? ORDER BY id";
    o->has_split = has_rows(o, "SELECT 1 FROM split LIMIT 1");
    o->has_more = has_rows(o, "SELECT 1 FROM more LIMIT 1");
    return true;
}

void segment_close(struct tape *t, struct reel_segment *s)
{
    if (s->open) {
        open_close(s->open);
        s->open = NULL;
        t->open_count--;
    }
    if (s->body) {
        sqlite3_close(s->body);
        s->body = NULL;
        t->body_count--;
    }
}

// Closes the connection that was used longest ago and is not pinned.
static void make_room(struct tape *t)
{
    struct reel_segment *oldest = NULL;
    for (size_t i = 0; i < t->count; i++)
        for (size_t j = 0; j < t->reels[i].count; j++) {
            struct reel_segment *s = &t->reels[i].segments[j];
            if ((s->open || s->body) && !s->pins && (!oldest || s->used < oldest->used))
                oldest = s;
        }
    if (oldest)
        segment_close(t, oldest);
}

static bool is_denied(const struct reel *r, const char *file)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", r->dir, file);
    return access(path, R_OK) != 0 && errno == EACCES;
}

struct open_segment *segment_pin(struct reel *r, struct reel_segment *s)
{
    struct tape *t = r->tape;
    char file[FORMAT_NAME_SIZE + 16], why[400] = "its tables are damaged";
    s->used = ++t->clock;
    if (s->open) {
        s->pins++;
        return s->open;
    }
    if (s->state == SEGMENT_BAD || !s->log_here)
        return NULL;
    if (t->open_count >= OPEN_MOST)
        make_room(t);
    struct open_segment *o = mem_zero(1, sizeof *o);
    if (!o) {
        tape_warn(t, "out of memory: segment %s of tape %s is not read", s->name, r->name);
        return NULL;
    }
    arena_init(&o->arena, 0);
    snprintf(file, sizeof file, "%s%s", s->name, FORMAT_LOG_SUFFIX);
    o->db = segment_open_file(r, file, s->sealed, why, sizeof why);
    if (!o->db || !open_begin(o)) {
        if (o->db && sqlite3_errcode(o->db) != SQLITE_OK)
            snprintf(why, sizeof why, "%s", sqlite3_errmsg(o->db));
        open_close(o);
        if (r->live && !s->sealed && !is_denied(r, file)) // just being made: look again later
            return NULL;
        s->state = SEGMENT_BAD;
        tape_warn(t, "segment %s of tape %s cannot be read: %s; what it holds is missing here, 'estape fsck' tells more", s->name, r->name, why);
        return NULL;
    }
    s->open = o;
    s->state = SEGMENT_GOOD;
    t->open_count++;
    s->pins++;
    return o;
}

sqlite3 *segment_body(struct reel *r, struct reel_segment *s)
{
    struct tape *t = r->tape;
    char file[FORMAT_NAME_SIZE + 16], why[400];
    s->used = ++t->clock;
    if (s->body || s->body_bad || !s->body_here)
        return s->body;
    if (t->body_count >= BODIES_MOST)
        make_room(t);
    snprintf(file, sizeof file, "%s%s", s->name, FORMAT_BODY_SUFFIX);
    s->body = segment_open_file(r, file, s->sealed, why, sizeof why);
    s->body_bad = !s->body;
    t->body_count += s->body != NULL;
    if (s->body)
        blockfile_adapt(s->body); // where it fails, the blocks do not read: told then
    else
        tape_warn(t, "the bodies of segment %s of tape %s cannot be read: %s", s->name, r->name, why);
    return s->body;
}

// ---- walkers --------------------------------------------------------------------------------------------------------

void walker_step(struct walker *w)
{
    w->low = w->at + 1;
    w->at = sqlite3_step(w->stmt) == SQLITE_ROW ? sqlite3_column_int64(w->stmt, 0) : INT64_MAX;
}

bool walker_seek(struct open_segment *o, struct walker *w, int64_t x)
{
    if (!w->stmt && !(w->stmt = segment_prepare(o, w->sql)))
        return false;
    if (w->valid && x >= w->low && x < w->at)
        return false;
    for (int steps = 0; w->valid && x >= w->low && w->at < x && steps < WALK_MOST; steps++)
        walker_step(w);
    if (!w->valid || x < w->low || w->at < x) {
        sqlite3_reset(w->stmt);
        sqlite3_bind_int64(w->stmt, 1, x);
        w->at = x - 1;
        walker_step(w);
        w->valid = true;
    }
    return w->at == x;
}

static void walker_rest(struct walker *w)
{
    if (w->valid)
        sqlite3_reset(w->stmt);
    w->valid = false;
}

void walker_fini(struct walker *w)
{
    sqlite3_finalize(w->stmt);
    w->stmt = NULL;
}

// A statement left in the middle would hold on to an old view, and an open connection would keep the recorder from sealing.
void segment_unpin(struct reel *r, struct reel_segment *s)
{
    if (!s->pins || --s->pins || !s->open)
        return;
    walker_rest(&s->open->more);
    walker_rest(&s->open->split);
    walker_rest(&s->open->times);
    if (!s->sealed && r->live)
        segment_close(r->tape, s);
}
