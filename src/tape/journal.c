// The journal of a replay, a SQLite file.
#include "journal.h"

#include "../base/diag.h"
#include "../base/mem.h"
#include "db.h"

#include <unistd.h>

enum { FIND, PUT, META, SET_META, COUNT, STATEMENTS };

static const char *const statements[STATEMENTS] = {
    "SELECT state, seq_no, primary_term, version, steps FROM doc WHERE key=?1",
    "INSERT OR REPLACE INTO doc(key, state, seq_no, primary_term, version, steps) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    "SELECT value FROM meta WHERE key=?1",
    "INSERT OR REPLACE INTO meta(key, value) VALUES(?1, ?2)",
    "SELECT count(*) FROM doc WHERE state=?1",
};

struct journal {
    sqlite3 *db;
    sqlite3_stmt *s[STATEMENTS];
    char *path;
    bool open; // a transaction is
};

struct journal *journal_open(const char *path, struct fault *fault)
{
    struct journal *j = mem_zero(1, sizeof *j);
    enum db_trouble trouble;
    if (!j || !(j->path = mem_text_copy(path, strlen(path)))) {
        mem_free(j);
        fault_memory(fault);
        return NULL;
    }
    bool ok = access(path, F_OK) == 0 && !db_is_empty(path) ? db_open(path, &db_journal, true, &j->db, fault) : db_create(path, &db_journal, &j->db, &trouble, fault);
    if (ok && !db_prepare(j->db, statements, STATEMENTS, j->s))
        ok = db_fault(j->db, path, fault);
    if (ok)
        return j;
    struct fault ignored;
    journal_close(j, &ignored);
    return NULL;
}

bool journal_commit(struct journal *j, struct fault *fault)
{
    if (!j->open)
        return true;
    j->open = false;
    return db_exec(j->db, "COMMIT") == SQLITE_OK || db_fault(j->db, j->path, fault);
}

bool journal_close(struct journal *j, struct fault *fault)
{
    if (!j)
        return true;
    bool ok = !j->db || journal_commit(j, fault);
    db_finalize(STATEMENTS, j->s);
    if (j->db)
        db_seal(j->db);
    db_close(j->db);
    mem_free(j->path);
    mem_free(j);
    return ok;
}

bool journal_meta(struct journal *j, const char *key, struct buf *out)
{
    sqlite3_stmt *s = j->s[META];
    db_bind_text(s, 1, bytes_of_text(key));
    bool found = sqlite3_step(s) == SQLITE_ROW;
    if (found) {
        buf_clear(out);
        buf_add_bytes(out, db_text(s, 0));
    }
    sqlite3_reset(s);
    return found;
}

static bool begin(struct journal *j, struct fault *fault)
{
    if (!j->open && db_exec(j->db, "BEGIN") != SQLITE_OK)
        return db_fault(j->db, j->path, fault);
    j->open = true;
    return true;
}

bool journal_set_meta(struct journal *j, const char *key, struct bytes value, struct fault *fault)
{
    if (!begin(j, fault))
        return false;
    db_bind_text(j->s[SET_META], 1, bytes_of_text(key));
    db_bind_word(j->s[SET_META], 2, value);
    if (db_run(j->s[SET_META]) != SQLITE_DONE)
        return db_fault(j->db, j->path, fault);
    return journal_commit(j, fault) && (db_sync(j->db) == SQLITE_OK || db_fault(j->db, j->path, fault));
}

bool journal_find(struct journal *j, uint64_t key, struct journal_doc *doc)
{
    sqlite3_stmt *s = j->s[FIND];
    *doc = (struct journal_doc){JOURNAL_NONE, -1, -1, -1, 0};
    sqlite3_bind_int64(s, 1, (int64_t)key);
    bool found = sqlite3_step(s) == SQLITE_ROW;
    if (found) {
        int64_t *to[] = {&doc->seq_no, &doc->primary_term, &doc->version};
        doc->state = (enum journal_state)sqlite3_column_int(s, 0);
        for (int i = 0; i < 3; i++)
            *to[i] = sqlite3_column_type(s, i + 1) == SQLITE_NULL ? -1 : sqlite3_column_int64(s, i + 1);
        doc->steps = (uint32_t)sqlite3_column_int(s, 4);
    }
    sqlite3_reset(s);
    return found;
}

bool journal_put(struct journal *j, uint64_t key, const struct journal_doc *doc, struct fault *fault)
{
    sqlite3_stmt *s = j->s[PUT];
    if (!begin(j, fault))
        return false;
    sqlite3_bind_int64(s, 1, (int64_t)key);
    db_bind(s, 2, doc->state);
    db_bind_known(s, 3, doc->seq_no);
    db_bind_known(s, 4, doc->primary_term);
    db_bind_known(s, 5, doc->version);
    db_bind(s, 6, doc->steps);
    return db_run(s) == SQLITE_DONE || db_fault(j->db, j->path, fault);
}

uint64_t journal_count(struct journal *j, enum journal_state state)
{
    sqlite3_stmt *s = j->s[COUNT];
    db_bind(s, 1, state);
    uint64_t n = sqlite3_step(s) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
    sqlite3_reset(s);
    return n;
}
