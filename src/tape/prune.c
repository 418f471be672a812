// Dropping old or chosen bodies: whole files by tombstone, single indices' bodies by emptying their entries in the blocks.
//
// The one place where a sealed segment is written again, on explicit demand. For an index: first every log tells its rows
// FORMAT_BODY_PRUNED, then the blocks are packed anew without those bodies. Entries keep their ordinals, with size 0. The
// second step goes by the exchange ids in the directories, so a prune that died in between is finished by running it again.
#include "prune.h"

#include "../../include/when.h"
#include "../base/buf.h"
#include "../base/diag.h"
#include "../base/glob.h"
#include "../base/map.h"
#include "block.h"
#include "blockfile.h"
#include "catalog.h"
#include "lock.h"
#include "repair.h"
#include "retention.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

struct pruning {
    struct catalog catalog;
    const struct prune_settings *settings;
    struct prune_result *result;
    struct nummap *ids; // exchanges whose bodies go
    int64_t now_us;
    struct fault *fault;
};

static int64_t end_us(const struct catalog_segment *s)
{
    return s->last_us != INT64_MIN ? s->last_us : s->start_us;
}

static bool drop_body(struct pruning *p, struct catalog_segment *s)
{
    if (s->body_gone)
        return true;
    p->result->bodies_dropped += s->body_bytes > 0;
    p->result->bytes_freed += s->body_bytes;
    return p->settings->dry_run || catalog_drop_body(&p->catalog, s, p->now_us, "prune", p->fault);
}

static bool drop_log(struct pruning *p, struct catalog_segment *s)
{
    if (s->log_gone)
        return true;
    if (!drop_body(p, s))
        return false;
    p->result->logs_dropped++;
    p->result->bytes_freed += s->log_bytes;
    return p->settings->dry_run || catalog_drop_log(&p->catalog, s, p->now_us, "prune", p->fault);
}

static bool drop_old(struct pruning *p)
{
    const struct prune_settings *want = p->settings;
    for (size_t i = 0; i < p->catalog.count; i++) {
        struct catalog_segment *s = &p->catalog.at[i];
        if (want->log_before_ns != WHEN_UNKNOWN && end_us(s) < when_us(want->log_before_ns) && !drop_log(p, s))
            return false;
        if (want->bodies_before_ns != WHEN_UNKNOWN && end_us(s) < when_us(want->bodies_before_ns) && !drop_body(p, s))
            return false;
    }
    return true;
}

static bool drop_named(struct pruning *p)
{
    for (size_t n = 0; n < p->settings->segment_count; n++) {
        struct catalog_segment *found = NULL;
        for (size_t i = 0; i < p->catalog.count && !found; i++)
            if (strcmp(p->catalog.at[i].name, p->settings->segment[n]) == 0)
                found = &p->catalog.at[i];
        if (!found || found->log_gone)
            return fault_user(p->fault, "there is no segment %s on this tape", p->settings->segment[n]);
    }
    for (size_t n = 0; n < p->settings->segment_count; n++)
        for (size_t i = 0; i < p->catalog.count; i++)
            if (strcmp(p->catalog.at[i].name, p->settings->segment[n]) == 0 &&
                !(p->settings->keep_log ? drop_body : drop_log)(p, &p->catalog.at[i]))
                return false;
    return true;
}

static bool drop_to_size(struct pruning *p)
{
    uint64_t bytes = catalog_bytes(&p->catalog);
    for (int logs = 0; p->settings->max_bytes && logs < 2; logs++)
        for (size_t i = 0; i < p->catalog.count && bytes > p->settings->max_bytes; i++) {
            struct catalog_segment *s = &p->catalog.at[i];
            if (logs ? s->log_gone : s->body_gone)
                continue;
            bytes -= logs ? s->log_bytes : s->body_bytes;
            if (!(logs ? drop_log : drop_body)(p, s))
                return false;
        }
    return true;
}

// ---- by index -------------------------------------------------------------------------------------------------------

static bool is_chosen(const struct pruning *p, struct bytes name)
{
    for (size_t i = 0; i < p->settings->index_count; i++)
        if (glob_match(bytes_of_text(p->settings->index[i]), name))
            return true;
    return false;
}

static bool broken(struct pruning *p, sqlite3 *db, const char *what)
{
    return db_fault(db, what, p->fault);
}

// The names that match, marked in a temporary table.
static bool mark_names(struct pruning *p, sqlite3 *log, const char *what)
{
    sqlite3_stmt *names = NULL, *mark = NULL;
    int code = db_exec(log, "CREATE TEMP TABLE chosen(name INTEGER PRIMARY KEY)");
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(log, "SELECT id, text FROM name", -1, &names, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(log, "INSERT INTO chosen VALUES(?)", -1, &mark, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(names)) == SQLITE_ROW) {
        code = SQLITE_OK;
        if (!is_chosen(p, db_text(names, 1)))
            continue;
        db_bind(mark, 1, sqlite3_column_int64(names, 0));
        code = db_run(mark) == SQLITE_DONE ? SQLITE_OK : sqlite3_errcode(log);
    }
    sqlite3_finalize(names);
    sqlite3_finalize(mark);
    return code == SQLITE_DONE || broken(p, log, what);
}

// Exchanges with a chosen name among their targets or indices.
#define LISTS "(SELECT l.id FROM list l, json_each(l.names) e WHERE abs(e.value) IN (SELECT name FROM chosen))"
#define CHOSEN "(call IN (SELECT id FROM call WHERE targets IN " LISTS ") OR typeof(idx)='integer' AND idx IN " LISTS \
    " OR typeof(idx)='text' AND EXISTS(SELECT 1 FROM json_each(idx) WHERE abs(value) IN (SELECT name FROM chosen)))"

static bool collect_ids(struct pruning *p, sqlite3 *log, const char *what)
{
    static const char sql[] = "SELECT id FROM x WHERE " CHOSEN " AND (req IS NOT NULL OR resp IS NOT NULL)";
    sqlite3_stmt *rows = NULL;
    int code = sqlite3_prepare_v2(log, sql, -1, &rows, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        bool fresh = false;
        code = SQLITE_OK;
        if (!nummap_put(p->ids, (uint64_t)sqlite3_column_int64(rows, 0), &fresh)) {
            sqlite3_finalize(rows);
            return fault_memory(p->fault);
        }
        p->result->exchanges_stripped += fresh;
    }
    sqlite3_finalize(rows);
    return code == SQLITE_DONE || broken(p, log, what);
}

static const char tell_pruned_sql[] =
    "BEGIN IMMEDIATE;"
    "CREATE TEMP TABLE gone AS SELECT id FROM x WHERE " CHOSEN ";"
    "UPDATE x SET req=-3 WHERE req IS NOT NULL AND req!=-2 AND id IN (SELECT id FROM gone);"
    "UPDATE x SET resp=-3 WHERE resp IS NOT NULL AND resp!=-2 AND id IN (SELECT id FROM gone);"
    "DELETE FROM part WHERE x IN (SELECT id FROM gone);"
    "COMMIT;";

static bool strip_log(struct pruning *p, struct catalog_segment *s)
{
    char path[PATH_MAX];
    sqlite3 *log;
    catalog_path(p->catalog.dir, s->name, false, path, sizeof path);
    if (!db_open(path, &db_log, !p->settings->dry_run, &log, p->fault))
        return false;
    db_exec(log, "PRAGMA synchronous=FULL");
    bool ok = mark_names(p, log, s->name) && collect_ids(p, log, s->name);
    if (ok && !p->settings->dry_run)
        ok = db_exec(log, tell_pruned_sql) == SQLITE_OK || broken(p, log, s->name);
    db_close(log);
    return ok;
}

struct repack {
    struct buf raw, left, dir, data, beside;
    int fd; // the file of blocks, -1: there is none
    bool changed;
};

// The block without the chosen exchanges' bodies. False: memory out, or damaged (then it stays as it is).
static bool repack_block(struct pruning *p, struct repack *r, sqlite3_stmt *row)
{
    struct bytes dir = db_blob(row, 2), data = db_blob(row, 3);
    uint64_t size = (uint64_t)sqlite3_column_int64(row, 1);
    struct block_walk walk = {.rest = dir};
    struct block_entry entry;
    r->changed = false;
    while (block_next_entry(&walk, &entry))
        r->changed |= entry.size && nummap_find(p->ids, entry.exchange);
    if (!r->changed)
        return true;
    if (sqlite3_column_type(row, 3) == SQLITE_NULL) {
        if (!blockfile_read(r->fd, (uint64_t)sqlite3_column_int64(row, 4), (uint64_t)sqlite3_column_int64(row, 5), &r->beside))
            return false;
        data = buf_view(&r->beside);
    }
    if (!block_unpack(data, size, &r->raw) || walk.rest.size || walk.offset != size)
        return false;
    buf_clear(&r->left);
    buf_clear(&r->dir);
    buf_clear(&r->data);
    uint64_t last = 0;
    walk = (struct block_walk){.rest = dir};
    while (block_next_entry(&walk, &entry)) {
        if (nummap_find(p->ids, entry.exchange))
            entry.size = 0;
        else
            buf_add(&r->left, r->raw.at + entry.offset, entry.size);
        block_pack_entry(&r->dir, last, &entry);
        last = entry.exchange;
    }
    size_t bound = ZSTD_compressBound(r->left.size);
    if (r->left.failed || r->dir.failed || !buf_reserve(&r->data, bound))
        return false;
    size_t packed = ZSTD_compress(r->data.at, bound, r->left.at, r->left.size, 1);
    r->data.size = ZSTD_isError(packed) ? 0 : packed;
    return !ZSTD_isError(packed);
}

static int strip_blocks(struct pruning *p, sqlite3 *body, struct repack *r)
{
    sqlite3_stmt *from = NULL, *to = NULL;
    int code = sqlite3_prepare_v2(body, "SELECT id, size, dir, data, at, bytes FROM block ORDER BY id", -1, &from, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(body, "UPDATE block SET size=?, sum=?, dir=?, data=?, at=NULL, bytes=NULL WHERE id=?", -1, &to, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(from)) == SQLITE_ROW) {
        code = SQLITE_OK;
        if (!repack_block(p, r, from) || !r->changed)
            continue;
        db_bind(to, 1, (int64_t)r->left.size);
        db_bind(to, 2, (int64_t)block_sum(buf_view(&r->dir), buf_view(&r->data)));
        db_bind_blob(to, 3, buf_view(&r->dir));
        db_bind_blob(to, 4, buf_view(&r->data));
        db_bind(to, 5, sqlite3_column_int64(from, 0));
        code = db_run(to);
        code = code == SQLITE_DONE ? SQLITE_OK : code;
    }
    sqlite3_finalize(from);
    sqlite3_finalize(to);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

// Whatever no row names any more: what this prune took out, and what one that died left. False: errno tells why.
static bool wipe_unnamed(sqlite3 *body, int fd)
{
    sqlite3_stmt *rows = NULL;
    int64_t end = 0;
    int code = sqlite3_prepare_v2(body, "SELECT at, at+bytes FROM block WHERE at IS NOT NULL ORDER BY at", -1, &rows, NULL);
    bool ok = true;
    while (ok && code == SQLITE_OK && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        int64_t at = sqlite3_column_int64(rows, 0), to = sqlite3_column_int64(rows, 1);
        ok = blockfile_wipe(fd, end, at);
        end = to > end ? to : end;
        code = SQLITE_OK;
    }
    sqlite3_finalize(rows);
    return ok && (code != SQLITE_DONE || blockfile_cut(fd, end));
}

static int strip_file(struct pruning *p, sqlite3 *body, struct repack *r)
{
    int code = blockfile_adapt(body);
    // What is pruned is really gone: freed pages are overwritten, then the file is made anew.
    if (code == SQLITE_OK)
        code = db_exec(body, "PRAGMA synchronous=FULL; PRAGMA secure_delete=ON; BEGIN IMMEDIATE");
    if (code == SQLITE_OK)
        code = strip_blocks(p, body, r);
    if (code == SQLITE_OK)
        code = db_exec(body, "COMMIT");
    if (code == SQLITE_OK)
        code = db_exec(body, "VACUUM");
    return code;
}

static bool strip_body(struct pruning *p, struct catalog_segment *s)
{
    char path[PATH_MAX], blocks[PATH_MAX];
    struct stat st;
    sqlite3 *body;
    catalog_path(p->catalog.dir, s->name, true, path, sizeof path);
    blockfile_path(path, blocks, sizeof blocks);
    if (s->body_gone || stat(path, &st) != 0)
        return true;
    struct repack r = {.fd = open(blocks, O_RDWR | O_CLOEXEC | O_NOFOLLOW)};
    if (r.fd < 0 && errno != ENOENT)
        return fault_errno(p->fault, errno, "cannot open %s", blocks);
    bool ok = db_open(path, &db_body, true, &body, p->fault);
    if (ok) {
        ok = strip_file(p, body, &r) == SQLITE_OK || broken(p, body, s->name);
        if (ok && r.fd >= 0 && !wipe_unnamed(body, r.fd))
            ok = fault_errno(p->fault, errno, "cannot write %s", blocks);
        db_close(body);
    }
    if (r.fd >= 0)
        close(r.fd);
    buf_fini(&r.raw);
    buf_fini(&r.left);
    buf_fini(&r.dir);
    buf_fini(&r.data);
    buf_fini(&r.beside);
    if (!ok)
        return false;
    uint64_t before = s->body_bytes;
    s->body_bytes = catalog_body_bytes(path);
    p->result->bytes_freed += before > s->body_bytes ? before - s->body_bytes : 0;
    return catalog_store(&p->catalog, s, p->fault);
}

static bool drop_chosen(struct pruning *p)
{
    if (!p->settings->index_count)
        return true;
    p->ids = nummap_open();
    if (!p->ids)
        return fault_memory(p->fault);
    for (size_t i = 0; i < p->catalog.count; i++)
        if (!p->catalog.at[i].log_gone && !strip_log(p, &p->catalog.at[i]))
            return false;
    for (size_t i = 0; i < p->catalog.count && !p->settings->dry_run; i++)
        if (!strip_body(p, &p->catalog.at[i]))
            return false;
    return true;
}

bool tape_prune(const char *dir, const struct prune_settings *settings, int64_t now_ns, struct prune_result *result, struct fault *fault)
{
    bool exists, ids_lost;
    char path[PATH_MAX];
    struct stat st;
    *result = (struct prune_result){0};
    struct pruning p = {.settings = settings, .result = result, .now_us = when_us(now_ns), .fault = fault};
    snprintf(path, sizeof path, "%s/" FORMAT_TAPE_NAME, dir);
    if (!catalog_check_dir(dir, &exists, fault))
        return false;
    if (!exists || stat(path, &st) != 0)
        return fault_user(fault, "%s is not a tape: it holds no %s; 'estape record' makes one", dir, FORMAT_TAPE_NAME);
    int lock = lock_take(dir, fault);
    bool ok = lock >= 0 && catalog_open(&p.catalog, dir, fault);
    if (ok) {
        ok = repair_all(&p.catalog, &ids_lost, fault) && drop_named(&p) && drop_old(&p) && drop_chosen(&p) && drop_to_size(&p);
        catalog_close(&p.catalog);
    }
    nummap_close(p.ids);
    lock_drop(lock);
    return ok;
}
