// Reads and stores table usual of tape.db. Tapes made before it existed get it when something is to be stored.
#include "seen.h"

#include "writer.h"

static const char make_sql[] =
    "CREATE TABLE IF NOT EXISTS usual(kind TEXT NOT NULL, word TEXT NOT NULL, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL,"
    " writes INTEGER NOT NULL, by_hand INTEGER NOT NULL, docs INTEGER, PRIMARY KEY(kind, word)) WITHOUT ROWID";

bool tape_seen_each(struct tape_writer *w, seen_fn *fn, void *ctx)
{
    sqlite3_stmt *s = NULL;
    bool ok = sqlite3_prepare_v2(w->catalog.db, "SELECT kind,word,first_us,last_us,writes,by_hand,docs FROM usual", -1, &s, NULL) == SQLITE_OK;
    int code = SQLITE_DONE;
    while (ok && (code = sqlite3_step(s)) == SQLITE_ROW) {
        struct seen row = {
            .kind = (const char *)sqlite3_column_text(s, 0), .word = db_text(s, 1), .first_us = sqlite3_column_int64(s, 2),
            .last_us = sqlite3_column_int64(s, 3), .writes = sqlite3_column_int64(s, 4), .by_hand = sqlite3_column_int64(s, 5),
            .docs = sqlite3_column_type(s, 6) == SQLITE_NULL ? -1 : sqlite3_column_int64(s, 6),
        };
        ok = row.kind && fn(ctx, &row);
    }
    sqlite3_finalize(s);
    return ok && code == SQLITE_DONE;
}

bool tape_seen_begin(struct tape_writer *w)
{
    if (w->failed || w->rows_off || db_exec(w->catalog.db, "BEGIN IMMEDIATE") != SQLITE_OK)
        return false;
    return db_exec(w->catalog.db, make_sql) == SQLITE_OK || tape_seen_end(w, false);
}

bool tape_seen_put(void *writer, const struct seen *seen)
{
    struct tape_writer *w = writer;
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(w->catalog.db, "REPLACE INTO usual VALUES(?,?,?,?,?,?,?)", -1, &s, NULL) != SQLITE_OK)
        return false;
    db_bind_text(s, 1, bytes_of_text(seen->kind));
    db_bind_word(s, 2, seen->word);
    db_bind(s, 3, seen->first_us);
    db_bind(s, 4, seen->last_us);
    db_bind(s, 5, seen->writes);
    db_bind(s, 6, seen->by_hand);
    db_bind_known(s, 7, seen->docs);
    bool ok = db_run(s) == SQLITE_DONE;
    sqlite3_finalize(s);
    return ok;
}

bool tape_seen_end(struct tape_writer *w, bool ok)
{
    ok = ok && db_exec(w->catalog.db, "COMMIT") == SQLITE_OK;
    if (!ok)
        db_exec(w->catalog.db, "ROLLBACK");
    return ok;
}
