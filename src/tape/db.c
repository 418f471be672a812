// SQLite files of a tape: opening, small helpers around statements, syncing and sealing.
#include "db.h"

#include "../base/diag.h"
#include "../base/file.h"
#include "format.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

// Logs: many small rows. Bodies: few large blobs, never touched twice. WAL files are folded in every few MiB.
// A small cache is full within minutes, so that a recorder's memory is flat from then on; 8 MiB recorded no faster.
const struct db_kind db_log = {FORMAT_LOG_ID, format_log_sql, 4096, 2048, 4096, true};
// Blocks of bodies are long: with pages of 16 KiB writing them takes 30 % less of the kernel, for 2 % more disk.
const struct db_kind db_body = {FORMAT_BODY_ID, format_body_sql, 16384, 2048, 2048, true};
const struct db_kind db_tape = {FORMAT_TAPE_ID, format_tape_sql, 4096, 512, 0, false};
// What a power cut takes from it is sent a second time: no alert waits for the disk.
const struct db_kind db_alerts = {FORMAT_ALERTS_ID, format_alerts_sql, 4096, 512, 1000, true};
const struct db_kind db_journal = {FORMAT_JOURNAL_ID, format_journal_sql, 4096, 2048, 1000, true};

enum { BUSY_MS = 5000, SMALL_BYTES = 4 << 20, SMALL_PAGE_BYTES = 1024 };

enum db_trouble db_trouble(sqlite3 *db, int code)
{
    int error = db ? sqlite3_system_errno(db) : 0;
    switch (code & 0xff) {
    case SQLITE_OK: case SQLITE_ROW: case SQLITE_DONE: return DB_FINE;
    case SQLITE_FULL: return DB_DISK_FULL;
    case SQLITE_BUSY: case SQLITE_LOCKED: return DB_BUSY;
    case SQLITE_IOERR:
        if (code == SQLITE_IOERR_NOMEM)
            return DB_BROKEN;
        return error == ENOSPC || error == EDQUOT ? DB_DISK_FULL : DB_DISK_ERROR;
    case SQLITE_CANTOPEN: // the WAL or the shared memory could not be made
        return error == ENOSPC || error == EDQUOT ? DB_DISK_FULL : error == EIO ? DB_DISK_ERROR : DB_BROKEN;
    default: return DB_BROKEN;
    }
}

bool db_fault(sqlite3 *db, const char *path, struct fault *fault)
{
    int code = db ? sqlite3_errcode(db) : SQLITE_NOMEM;
    if ((code & 0xff) == SQLITE_NOMEM)
        return fault_memory(fault);
    int error = sqlite3_system_errno(db);
    if (error)
        return fault_errno(fault, error, "%s: %s", path, sqlite3_errmsg(db));
    return fault_system(fault, "%s: %s", path, sqlite3_errmsg(db));
}

int db_exec(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

int64_t db_int(sqlite3 *db, const char *sql, int64_t otherwise)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW &&
        sqlite3_column_type(s, 0) != SQLITE_NULL)
        otherwise = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return otherwise;
}

// Commits are made durable by db_sync where the file is in WAL mode, else by SQLite itself.
static int configure(sqlite3 *db, const struct db_kind *kind)
{
    char sql[256];
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, BUSY_MS);
    snprintf(sql, sizeof sql, "PRAGMA synchronous=%s; PRAGMA cache_size=-%d; PRAGMA wal_autocheckpoint=%d; PRAGMA secure_delete=OFF;"
             "PRAGMA temp_store=MEMORY;", kind->wal ? "NORMAL" : "FULL", kind->cache_kib, kind->checkpoint_pages);
    return db_exec(db, sql);
}

// A new file's bytes, made in memory. NULL: memory out, or the schema is wrong.
static unsigned char *make_image(const struct db_kind *kind, size_t *size)
{
    sqlite3 *db = NULL;
    sqlite3_int64 bytes = 0;
    unsigned char *image = NULL;
    char stamp[128];
    snprintf(stamp, sizeof stamp, "PRAGMA page_size=%d; BEGIN; PRAGMA application_id=%u; PRAGMA user_version=%d;", kind->page_bytes,
             (unsigned)kind->application_id, FORMAT_VERSION);
    if (sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK && db_exec(db, stamp) == SQLITE_OK &&
        db_exec(db, kind->sql) == SQLITE_OK && db_exec(db, "COMMIT") == SQLITE_OK)
        image = sqlite3_serialize(db, "main", &bytes, 0);
    db_close(db);
    if (image && kind->wal) // SQLite's file format, bytes 18 and 19 of the header
        image[18] = image[19] = 2;
    *size = (size_t)bytes;
    return image;
}

// Written beside its place, synced and renamed there: at its place a file is whole or not at all, for one sync where
// SQLite's own transactions take six.
static bool write_image(const char *path, const struct db_kind *kind)
{
    size_t size;
    char beside[PATH_MAX];
    int error = 0;
    struct stat there;
    unsigned char *image = make_image(kind, &size);
    snprintf(beside, sizeof beside, "%s" FORMAT_NEW_SUFFIX, path);
    int fd = image ? open(beside, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    if (!image)
        error = ENOMEM;
    else if (stat(path, &there) == 0 && there.st_size > 0)
        error = EEXIST;
    else if (fd < 0 || !file_write(fd, bytes_of(image, size)) || fsync(fd) != 0 || rename(beside, path) != 0)
        error = errno;
    if (fd >= 0)
        close(fd);
    if (error && fd >= 0)
        unlink(beside);
    sqlite3_free(image);
    errno = error;
    return !error;
}

bool db_create(const char *path, const struct db_kind *kind, sqlite3 **db, enum db_trouble *trouble, struct fault *fault)
{
    *db = NULL;
    *trouble = DB_BROKEN;
    if (!write_image(path, kind)) {
        *trouble = errno == ENOSPC || errno == EDQUOT ? DB_DISK_FULL : errno == EIO ? DB_DISK_ERROR : DB_BROKEN;
        return errno == ENOMEM ? fault_memory(fault) : fault_errno(fault, errno, "cannot create %s", path);
    }
    int code = sqlite3_open_v2(path, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        code = configure(*db, kind);
    if (code == SQLITE_OK)
        return true;
    *trouble = db_trouble(*db, code);
    db_fault(*db, path, fault);
    db_close(*db);
    *db = NULL;
    unlink(path);
    return false;
}

bool db_is_empty(const char *path)
{
    sqlite3 *db = NULL;
    bool empty = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK &&
                 db_int(db, "SELECT count(*) FROM sqlite_schema", -1) == 0 && db_int(db, "PRAGMA application_id", -1) == 0;
    db_close(db);
    return empty;
}

bool db_open(const char *path, const struct db_kind *kind, bool write, sqlite3 **db, struct fault *fault)
{
    int flags = SQLITE_OPEN_NOMUTEX | (write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
    *db = NULL;
    int64_t id = 0, version = 0;
    int code = sqlite3_open_v2(path, db, flags, NULL);
    if (code == SQLITE_OK)
        code = configure(*db, kind);
    if (code == SQLITE_OK)
        code = db_exec(*db, "SELECT 1 FROM sqlite_schema");
    if (code != SQLITE_OK) {
        db_fault(*db, path, fault);
        goto refuse;
    }
    id = db_int(*db, "PRAGMA application_id", 0);
    version = db_int(*db, "PRAGMA user_version", 0);
    if ((uint32_t)id != kind->application_id) {
        fault_user(fault, "%s is not a file of a tape", path);
        goto refuse;
    }
    if (version > FORMAT_VERSION) {
        fault_user(fault, "%s has format version %lld, this program knows versions up to %d: use a newer estape", path, (long long)version,
                   FORMAT_VERSION);
        goto refuse;
    }
    return true;
refuse:
    db_close(*db);
    *db = NULL;
    return false;
}

void db_close(sqlite3 *db)
{
    sqlite3_close(db);
}

bool db_prepare(sqlite3 *db, const char *const *sql, size_t count, sqlite3_stmt **statements)
{
    for (size_t i = 0; i < count; i++)
        if (sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &statements[i], NULL) != SQLITE_OK)
            return false;
    return true;
}

void db_finalize(size_t count, sqlite3_stmt **statements)
{
    for (size_t i = 0; i < count; i++) {
        sqlite3_finalize(statements[i]);
        statements[i] = NULL;
    }
}

void db_bind(sqlite3_stmt *s, int at, int64_t value)
{
    sqlite3_bind_int64(s, at, value);
}

void db_bind_known(sqlite3_stmt *s, int at, int64_t value)
{
    if (value < 0)
        sqlite3_bind_null(s, at);
    else
        sqlite3_bind_int64(s, at, value);
}

void db_bind_text(sqlite3_stmt *s, int at, struct bytes text)
{
    if (text.size)
        sqlite3_bind_text64(s, at, (const char *)text.at, text.size, SQLITE_STATIC, SQLITE_UTF8);
    else
        sqlite3_bind_null(s, at);
}

void db_bind_word(sqlite3_stmt *s, int at, struct bytes text)
{
    sqlite3_bind_text64(s, at, text.size ? (const char *)text.at : "", text.size, SQLITE_STATIC, SQLITE_UTF8);
}

void db_bind_blob(sqlite3_stmt *s, int at, struct bytes blob)
{
    if (blob.size)
        sqlite3_bind_blob64(s, at, blob.at, blob.size, SQLITE_STATIC);
    else
        sqlite3_bind_zeroblob(s, at, 0);
}

struct bytes db_text(sqlite3_stmt *s, int column)
{
    const void *at = sqlite3_column_text(s, column);
    return bytes_of(at, at ? (size_t)sqlite3_column_bytes(s, column) : 0);
}

struct bytes db_blob(sqlite3_stmt *s, int column)
{
    const void *at = sqlite3_column_blob(s, column);
    return bytes_of(at, at ? (size_t)sqlite3_column_bytes(s, column) : 0);
}

int db_run(sqlite3_stmt *s)
{
    int code = sqlite3_step(s);
    int reset = sqlite3_reset(s);
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_DONE : reset != SQLITE_OK ? reset : code;
}

int db_sync(sqlite3 *db)
{
    sqlite3_file *file = NULL;
    int code = sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);
    if (code != SQLITE_OK || !file || !file->pMethods)
        return code;
    return file->pMethods->xSync(file, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
}

static int sync_main(sqlite3 *db)
{
    sqlite3_file *file = NULL;
    int code = sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    return code != SQLITE_OK || !file || !file->pMethods ? code : file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
}

int db_sync_whole(sqlite3 *db)
{
    int code = db_sync(db);
    return code == SQLITE_OK ? sync_main(db) : code;
}

// Only two bytes of the file's first sector change: no journal is needed for them on the disk, a file is in one mode or the other.
static int leave_wal(sqlite3 *db)
{
    sqlite3_stmt *s = NULL;
    int code = db_exec(db, "PRAGMA synchronous=OFF");
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(db, "PRAGMA journal_mode=MEMORY", -1, &s, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(s);
        if (code == SQLITE_ROW)
            code = bytes_equal_text(db_text(s, 0), "memory") ? SQLITE_OK : SQLITE_BUSY;
    }
    sqlite3_finalize(s);
    int restored = db_exec(db, "PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL");
    return code == SQLITE_OK ? restored : code;
}

int db_seal(sqlite3 *db)
{
    // A reader that still holds the file keeps it in WAL mode (SQLITE_BUSY): the recorder must not wait for it.
    sqlite3_busy_timeout(db, 100);
    int code = db_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    if (code == SQLITE_OK)
        code = leave_wal(db);
    if (code == SQLITE_OK)
        code = sync_main(db);
    int64_t pages = db_int(db, "PRAGMA page_count", 0), page = db_int(db, "PRAGMA page_size", 0);
    if (code == SQLITE_OK && pages * page <= SMALL_BYTES && page > SMALL_PAGE_BYTES)
        db_exec(db, "PRAGMA page_size=1024; VACUUM"); // if it fails the file stays as it was
    return code;
}

bool db_sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = fsync(fd) == 0;
    close(fd);
    return ok;
}
