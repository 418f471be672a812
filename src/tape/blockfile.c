// Blocks of bodies in a plain file: appended by the recorder, synced before the rows that name them, read at a place.
//
// A write-ahead log would take them a second time, and half of a recording's writes are these.
// 1. Bytes that a committed row names never change; only prune takes them away, when no row names them any more.
// 2. What no row names is nothing: it is overwritten by what comes next, or cut off at the next start.
#include "blockfile.h"

#include "format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BEGIN_BYTES = 1 << 20, WIPE_BYTES = 1 << 16 };

static enum db_trouble trouble_of(int error)
{
    return error == ENOSPC || error == EDQUOT ? DB_DISK_FULL : DB_DISK_ERROR;
}

void blockfile_init(struct blockfile *b)
{
    *b = (struct blockfile){.fd = -1};
}

enum db_trouble blockfile_open(struct blockfile *b, const char *path)
{
    blockfile_init(b);
    b->fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
    b->unlisted = true;
    return b->fd < 0 ? trouble_of(errno) : DB_FINE;
}

void blockfile_close(struct blockfile *b)
{
    if (b->fd >= 0)
        close(b->fd);
    blockfile_init(b);
}

static bool write_at(int fd, struct bytes what, uint64_t at)
{
    while (what.size) {
        ssize_t n = pwrite(fd, what.at, what.size, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n ? errno : ENOSPC;
            return false;
        }
        what = bytes_of(what.at + n, what.size - (size_t)n);
        at += (uint64_t)n;
    }
    return true;
}

static void cut(struct blockfile *b, uint64_t size)
{
    if (ftruncate(b->fd, (off_t)size) != 0)
        b->unsynced = true; // the tail stays, unnamed, until what comes next is written over it
    b->size = size;
    b->begun = b->begun < size ? b->begun : size;
}

enum db_trouble blockfile_append(struct blockfile *b, struct bytes block, uint64_t *at)
{
    if (!write_at(b->fd, block, b->size)) {
        int error = errno;
        cut(b, b->size);
        return trouble_of(error);
    }
    *at = b->size;
    b->size += block.size;
    b->unsynced = true;
    // The disk works while we do: the sync at the flush finds little left.
    if (b->size - b->begun >= BEGIN_BYTES) {
        sync_file_range(b->fd, (off_t)b->begun, (off_t)(b->size - b->begun), SYNC_FILE_RANGE_WRITE);
        b->begun = b->size;
    }
    return DB_FINE;
}

enum db_trouble blockfile_sync(struct blockfile *b, const char *dir)
{
    if (b->fd < 0 || !b->unsynced)
        return DB_FINE;
    if (fdatasync(b->fd) != 0)
        return trouble_of(errno);
    if (b->unlisted && !db_sync_dir(dir))
        return DB_DISK_ERROR;
    b->unsynced = b->unlisted = false;
    return DB_FINE;
}

void blockfile_keep(struct blockfile *b)
{
    b->kept = b->size;
}

void blockfile_take_back(struct blockfile *b)
{
    if (b->fd >= 0 && b->size > b->kept)
        cut(b, b->kept);
}

// ---- for everyone ---------------------------------------------------------------------------------------------------

int blockfile_adapt(sqlite3 *body)
{
    if (db_int(body, "SELECT count(*) FROM pragma_table_info('block') WHERE name='at'", 0))
        return SQLITE_OK;
    if (sqlite3_db_readonly(body, "main"))
        return db_exec(body, "CREATE TEMP VIEW block AS SELECT *, NULL AS at, NULL AS bytes FROM main.block");
    return db_exec(body, "ALTER TABLE block ADD COLUMN at INTEGER; ALTER TABLE block ADD COLUMN bytes INTEGER");
}

void blockfile_path(const char *body_path, char *path, size_t size)
{
    size_t stem = strlen(body_path) - strlen(FORMAT_BODY_SUFFIX);
    snprintf(path, size, "%.*s" FORMAT_BLOCKS_SUFFIX, (int)stem, body_path);
}

uint64_t blockfile_bytes(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return 0;
    uint64_t there = (uint64_t)st.st_blocks * 512, told = (uint64_t)st.st_size;
    return there < told ? there : told;
}

bool blockfile_read(int fd, uint64_t at, uint64_t bytes, struct buf *out)
{
    struct stat st;
    buf_clear(out);
    if (fstat(fd, &st) != 0)
        return false;
    // What a damaged row says must not make us reserve it.
    if (bytes > (uint64_t)st.st_size || at > (uint64_t)st.st_size - bytes) {
        errno = ERANGE;
        return false;
    }
    if (!buf_reserve(out, bytes)) {
        errno = ENOMEM;
        return false;
    }
    while (out->size < bytes) {
        ssize_t n = pread(fd, out->at + out->size, bytes - out->size, (off_t)(at + out->size));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n ? errno : ERANGE;
            return false;
        }
        out->size += (size_t)n;
    }
    return true;
}

bool blockfile_wipe(int fd, int64_t from, int64_t to)
{
    static const uint8_t nothing[WIPE_BYTES];
    struct stat st;
    if (fstat(fd, &st) != 0)
        return false;
    to = to < st.st_size ? to : st.st_size;
    if (from >= to || fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, to - from) == 0)
        return true;
    for (int64_t n; from < to; from += n) {
        n = to - from < WIPE_BYTES ? to - from : WIPE_BYTES;
        if (!write_at(fd, bytes_of(nothing, (size_t)n), (uint64_t)from))
            return false;
    }
    return true;
}

bool blockfile_cut(int fd, int64_t end)
{
    struct stat st;
    return fstat(fd, &st) == 0 && (st.st_size <= end || ftruncate(fd, end) == 0) && fsync(fd) == 0;
}
