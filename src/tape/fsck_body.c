// Checking a body file: blocks and their directories, and that every place a row names is what the row says.
#include "block.h"
#include "blockfile.h"
#include "fsck_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Entries in the directory; -1: it does not cover `size` bytes exactly.
static int64_t count_entries(struct bytes dir, uint64_t size)
{
    struct block_walk walk = {.rest = dir};
    struct block_entry entry;
    int64_t count = 0;
    while (block_next_entry(&walk, &entry))
        count++;
    return walk.rest.size || walk.offset != size ? -1 : count;
}

// The file of blocks beside a body file.
struct beside {
    int fd;
    uint64_t synced; // behind it a power loss can have taken bytes
    struct buf data;
    bool told;
};

static void open_beside(struct fsck_segment *s, struct beside *b)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", s->all->reel.dir, s->blocks_file);
    *b = (struct beside){.fd = open(path, O_RDONLY | O_CLOEXEC), .synced = (uint64_t)db_int(s->body, "SELECT synced FROM segment", 0)};
    s->all->stats->bytes += blockfile_bytes(path);
    if (b->fd < 0 && errno != ENOENT) {
        fsck_say(s->all, s->blocks_file, 1, false, "cannot be read: %s", strerror(errno));
        b->told = true;
    }
}

// A row's bytes; false: it is told why there are none, or they may have gone with the power.
static bool find_bytes(struct fsck_segment *s, struct beside *b, sqlite3_stmt *row, struct bytes *data)
{
    uint64_t at = (uint64_t)sqlite3_column_int64(row, 5), bytes = (uint64_t)sqlite3_column_int64(row, 6);
    *data = db_blob(row, 4);
    if (sqlite3_column_type(row, 4) != SQLITE_NULL)
        return true;
    if (b->fd < 0 && !b->told)
        fsck_say(s->all, s->blocks_file, 10, false, "the file is missing");
    b->told |= b->fd < 0;
    if (b->fd < 0)
        return false;
    bool read = blockfile_read(b->fd, at, bytes, &b->data);
    *data = buf_view(&b->data);
    bool doubtful = !s->sealed && at + bytes > b->synced;
    if (doubtful && (!read || block_sum(db_blob(row, 3), *data) != (uint64_t)sqlite3_column_int64(row, 2)))
        return false;
    if (!read)
        fsck_say(s->all, s->blocks_file, 7, false, "block %lld: the file ends before it, or cannot be read", (long long)sqlite3_column_int64(row, 0));
    return read;
}

static void check_block(struct fsck_segment *s, sqlite3_stmt *row, struct bytes data, int64_t entries, struct buf *raw)
{
    const char *wrong = NULL;
    if (block_sum(db_blob(row, 3), data) != (uint64_t)sqlite3_column_int64(row, 2))
        wrong = "its checksum is wrong";
    else if (!block_unpack(data, (uint64_t)sqlite3_column_int64(row, 1), raw))
        wrong = "it does not decode to the size told";
    else if (entries < 0)
        wrong = "its directory does not cover it";
    if (wrong)
        fsck_say(s->all, sqlite3_column_type(row, 4) == SQLITE_NULL ? s->blocks_file : s->body_file, 7, false, "block %lld: %s",
                 (long long)sqlite3_column_int64(row, 0), wrong);
}

void fsck_bodies(struct fsck_segment *s)
{
    struct buf raw = {0};
    struct beside beside;
    sqlite3_stmt *row = NULL;
    int code = blockfile_adapt(s->body);
    open_beside(s, &beside);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(s->body, "SELECT id, size, sum, dir, data, at, bytes FROM block", -1, &row, NULL);
    while (code == SQLITE_OK && sqlite3_step(row) == SQLITE_ROW && !s->all->failed) {
        struct bytes data;
        int64_t entries = count_entries(db_blob(row, 3), (uint64_t)sqlite3_column_int64(row, 1));
        if (find_bytes(s, &beside, row, &data))
            check_block(s, row, data, entries, &raw);
        bool fresh;
        union map_value *value = nummap_put(s->blocks, (uint64_t)sqlite3_column_int64(row, 0), &fresh);
        if (value)
            value->num = entries > 0 ? (uint64_t)entries : 0;
        else
            s->all->failed = true;
        s->all->stats->blocks++;
        s->all->stats->bodies += entries > 0 ? (uint64_t)entries : 0;
    }
    sqlite3_finalize(row);
    if (code != SQLITE_OK)
        fsck_say(s->all, s->body_file, 7, false, "cannot be checked: %s", sqlite3_errmsg(s->body));
    if (beside.fd >= 0)
        close(beside.fd);
    buf_fini(&beside.data);
    buf_fini(&raw);
}

// Rows come ordered by place, so each directory is walked once.
struct reading {
    sqlite3_stmt *dir;
    int64_t block;
    struct block_walk walk;
    struct block_entry entry;
    int64_t ordinal; // of entry, -1 before the first
    bool ok;
};

static bool find_place(struct reading *r, int64_t place, struct block_entry *entry)
{
    int64_t block = place / FORMAT_BODIES_PER_BLOCK, ordinal = place % FORMAT_BODIES_PER_BLOCK;
    if (r->block != block) {
        sqlite3_reset(r->dir);
        db_bind(r->dir, 1, block);
        r->ok = sqlite3_step(r->dir) == SQLITE_ROW;
        r->block = block;
        r->ordinal = -1;
        r->walk = (struct block_walk){.rest = r->ok ? db_blob(r->dir, 0) : bytes_of("", 0)};
    }
    while (r->ok && r->ordinal < ordinal) {
        r->ok = block_next_entry(&r->walk, &r->entry);
        r->ordinal++;
    }
    *entry = r->entry;
    return r->ok;
}

void fsck_places(struct fsck_segment *s)
{
    static const char sql[] =
        "SELECT req, id, 0, 0 FROM x WHERE req>=0 UNION ALL SELECT resp, id, 1, 0 FROM x WHERE resp>=0"
        " UNION ALL SELECT place, x, side, 1 FROM part WHERE place IS NOT NULL AND segment IS NULL ORDER BY 1";
    sqlite3_stmt *row = NULL;
    struct reading reading = {.block = -1};
    if (!s->body) {
        fsck_expect_none(s->all, s->log, s->file, 8, "SELECT count(*) FROM x WHERE req>=0 OR resp>=0", "bodies without a body file");
        return;
    }
    uint64_t bad = 0, gone = 0;
    int64_t first = 0;
    if (sqlite3_prepare_v2(s->log, sql, -1, &row, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(s->body, "SELECT dir FROM block WHERE id=?", -1, &reading.dir, NULL) == SQLITE_OK)
        while (sqlite3_step(row) == SQLITE_ROW) {
            struct block_entry entry;
            bool there = find_place(&reading, sqlite3_column_int64(row, 0), &entry);
            if (there && entry.exchange == (uint64_t)sqlite3_column_int64(row, 1) && (int)entry.side == sqlite3_column_int(row, 2) &&
                (int)entry.part == sqlite3_column_int(row, 3))
                continue;
            if (!there && !s->sealed) {
                gone++;
                continue;
            }
            if (!bad++)
                first = sqlite3_column_int64(row, 1);
        }
    // The log's last rows can outlive the bodies that were not synced yet; repair.c marks them.
    if (gone)
        fsck_say(s->all, s->file, 8, true, "bodies that went with the power: %llu; the next recording marks them as lost", (unsigned long long)gone);
    if (bad)
        fsck_say(s->all, s->file, 8, false, "bodies that are not where their rows say: %llu, the first of exchange %lld", (unsigned long long)bad,
                 (long long)first);
    sqlite3_finalize(row);
    sqlite3_finalize(reading.dir);
}
