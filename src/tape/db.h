// SQLite files of a tape: made and opened with the right permissions and settings, failures told apart.
#pragma once
#include "../../include/bytes.h"
#include "../../include/fault.h"

#include <sqlite3.h>

// What a failed call means for the recorder: the disk refuses (try again later), or something is broken for good.
enum db_trouble { DB_FINE, DB_DISK_FULL, DB_DISK_ERROR, DB_BUSY, DB_BROKEN };
enum db_trouble db_trouble(sqlite3 *db, int code);
// Fills the fault from the connection's last error. Returns false.
bool db_fault(sqlite3 *db, const char *path, struct fault *fault);

struct db_kind {
    uint32_t application_id;
    const char *sql;       // schema
    int page_bytes, cache_kib, checkpoint_pages;
    bool wal;
};
extern const struct db_kind db_log, db_body, db_tape, db_alerts, db_journal;

// A new file, readable by its owner alone; false with *trouble and the fault filled, nothing left behind.
bool db_create(const char *path, const struct db_kind *kind, sqlite3 **db, enum db_trouble *trouble, struct fault *fault);
// Made, but its schema never committed: whoever made it died in between. Rolls back what that left.
bool db_is_empty(const char *path);
// An existing file. Fault user: not ours, or of a later format (told which).
bool db_open(const char *path, const struct db_kind *kind, bool write, sqlite3 **db, struct fault *fault);
void db_close(sqlite3 *db); // NULL is fine

int db_exec(sqlite3 *db, const char *sql);
// First column of the first row; `otherwise` when there is none or it is null. An error counts as none.
int64_t db_int(sqlite3 *db, const char *sql, int64_t otherwise);
// Prepares count statements; false when one of them fails (those before stay for db_finalize).
bool db_prepare(sqlite3 *db, const char *const *sql, size_t count, sqlite3_stmt **statements);
void db_finalize(size_t count, sqlite3_stmt **statements);

void db_bind(sqlite3_stmt *s, int at, int64_t value);
void db_bind_known(sqlite3_stmt *s, int at, int64_t value); // null when negative
void db_bind_text(sqlite3_stmt *s, int at, struct bytes text); // null when empty
void db_bind_word(sqlite3_stmt *s, int at, struct bytes text); // '' when empty
void db_bind_blob(sqlite3_stmt *s, int at, struct bytes blob);
struct bytes db_text(sqlite3_stmt *s, int column);
struct bytes db_blob(sqlite3_stmt *s, int column);
// Steps a statement that gives no rows, and resets it. SQLITE_DONE or the error.
int db_run(sqlite3_stmt *s);

// Makes what was committed to the write-ahead log durable.
int db_sync(sqlite3 *db);
int db_sync_whole(sqlite3 *db); // and what of it was folded into the file
// Folds the write-ahead log in and leaves a plain file that can be read on a read-only medium. A small one is made anew with
// small pages: dozens of tables that hold a few rows each would take a page of 4 KiB each.
int db_seal(sqlite3 *db);
bool db_sync_dir(const char *dir);
