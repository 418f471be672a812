// The journal of a replay: an SQLite file.
//
// Flow: put -> table in memory, and a packed record -> commit: one row of `log` with all records since -> the table is full:
// its rows go to `doc`, sorted by key, and the log begins anew. Open: the log's rows come back into the table.
// Keys are hashes: each alone would touch a page of its own, so they are written in large, sorted lots.
// Invariants: 1. what was committed is in `log` or `doc`. 2. the table is newer than `doc`. 3. `log` and the table never grow
// beyond KEPT_MAX. 4. intents and ends are read by a later run alone: while nothing older stands in their way they are only logged.
#include "journal.h"

#include "../base/diag.h"
#include "../base/mem.h"
#include "db.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum { FIND, PUT, META, SET_META, LOG, LOGS, DOCS, STATEMENTS };
enum { KEPT_MAX = 1500000, ROOM_FIRST = 1 << 12 };

static const char *const statements[STATEMENTS] = {
    "SELECT state, seq_no, primary_term, version, steps FROM doc WHERE key=?1",
    "INSERT OR REPLACE INTO doc(key, state, seq_no, primary_term, version, steps) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    "SELECT value FROM meta WHERE key=?1",
    "INSERT OR REPLACE INTO meta(key, value) VALUES(?1, ?2)",
    "INSERT INTO log(data) VALUES(?1)",
    "SELECT data FROM log ORDER BY n",
    "SELECT EXISTS(SELECT 1 FROM doc)",
};

struct slot { // empty: state JOURNAL_NONE
    uint64_t key;
    struct journal_doc doc;
};

struct journal {
    sqlite3 *db;
    sqlite3_stmt *s[STATEMENTS];
    char *path;
    struct slot *slots;
    size_t room, count;  // room is a power of two
    struct buf pending;  // records since the last commit
    size_t records;      // in `log`
    bool fresh;          // nothing was noted when it was opened
    bool docs;           // there are rows in `doc`
    int lock;            // one writer; -1: somebody else is
};

// ---- the table --------------------------------------------------------------------------------------------------------

static struct slot *slot_of(const struct journal *j, uint64_t key)
{
    size_t i = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (j->room - 1);
    while (j->slots[i].doc.state != JOURNAL_NONE && j->slots[i].key != key)
        i = (i + 1) & (j->room - 1);
    return &j->slots[i];
}

static bool grow(struct journal *j)
{
    struct journal old = *j;
    j->room = old.room ? old.room * 2 : ROOM_FIRST;
    j->slots = mem_zero(j->room, sizeof *j->slots);
    if (!j->slots) {
        *j = old;
        return false;
    }
    for (size_t i = 0; i < old.room; i++)
        if (old.slots[i].doc.state != JOURNAL_NONE)
            *slot_of(j, old.slots[i].key) = old.slots[i];
    mem_free(old.slots);
    return true;
}

static bool remember(struct journal *j, uint64_t key, const struct journal_doc *doc)
{
    if ((j->count + 1) * 4 > j->room * 3 && !grow(j))
        return false;
    struct slot *s = slot_of(j, key);
    j->count += s->doc.state == JOURNAL_NONE;
    *s = (struct slot){key, *doc};
    return true;
}

// ---- records ----------------------------------------------------------------------------------------------------------

static bool pack(struct buf *b, uint64_t key, const struct journal_doc *doc)
{
    buf_add(b, &key, sizeof key);
    buf_add_byte(b, (uint8_t)doc->state);
    buf_add_varint(b, (uint64_t)(doc->seq_no + 1));
    buf_add_varint(b, (uint64_t)(doc->primary_term + 1));
    buf_add_varint(b, (uint64_t)(doc->version + 1));
    return buf_add_varint(b, doc->steps);
}

static bool unpack(struct bytes *from, uint64_t *key, struct journal_doc *doc)
{
    uint64_t seq_no, term, version, steps;
    if (from->size < sizeof *key + 1)
        return false;
    memcpy(key, from->at, sizeof *key);
    doc->state = (enum journal_state)from->at[sizeof *key];
    *from = bytes_from(*from, sizeof *key + 1);
    if (!take_varint(from, &seq_no) || !take_varint(from, &term) || !take_varint(from, &version) || !take_varint(from, &steps))
        return false;
    doc->seq_no = (int64_t)seq_no - 1;
    doc->primary_term = (int64_t)term - 1;
    doc->version = (int64_t)version - 1;
    doc->steps = (uint32_t)steps;
    return doc->state > JOURNAL_NONE && doc->state <= JOURNAL_OWN;
}

// The log into the table; `fill`: once more, for settling.
static bool load(struct journal *j, bool fill, struct fault *fault)
{
    j->records = 0;
    sqlite3_stmt *s = j->s[LOGS];
    int rc = SQLITE_DONE;
    bool ok = true;
    while (ok && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct bytes rest = bytes_of(sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0));
        uint64_t key;
        struct journal_doc doc;
        while (ok && rest.size) {
            if (!unpack(&rest, &key, &doc)) {
                sqlite3_reset(s);
                return fault_user(fault, "%s is damaged: its records cannot be read; name another with --journal, and restore the copy anew", j->path);
            }
            j->records++;
            ok = remember(j, key, &doc) || fault_memory(fault);
        }
    }
    sqlite3_reset(s);
    if (ok && rc != SQLITE_DONE)
        return db_fault(j->db, j->path, fault);
    if (ok && fill)
        return true;
    if (ok)
        j->docs = sqlite3_step(j->s[DOCS]) == SQLITE_ROW && sqlite3_column_int(j->s[DOCS], 0);
    sqlite3_reset(j->s[DOCS]);
    return ok;
}

// ---- opening and closing ----------------------------------------------------------------------------------------------

struct journal *journal_open(const char *path, struct fault *fault)
{
    struct journal *j = mem_zero(1, sizeof *j);
    enum db_trouble trouble;
    if (!j || !(j->path = mem_text_copy(path, strlen(path)))) {
        mem_free(j);
        fault_memory(fault);
        return NULL;
    }
    j->lock = -1;
    bool ok = access(path, F_OK) == 0 && !db_is_empty(path) ? db_open(path, &db_journal, true, &j->db, fault) : db_create(path, &db_journal, &j->db, &trouble, fault);
    if (ok && !db_prepare(j->db, statements, STATEMENTS, j->s))
        ok = db_fault(j->db, path, fault);
    int lock = ok ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0)
        j->lock = lock;
    else if (lock >= 0)
        close(lock);
    ok = ok && (grow(j) || fault_memory(fault)) && load(j, false, fault);
    if (ok) {
        j->fresh = !j->count && !j->docs;
        return j;
    }
    struct fault ignored;
    journal_close(j, &ignored);
    return NULL;
}

static int by_key(const void *a, const void *b)
{
    uint64_t x = ((const struct slot *)a)->key, y = ((const struct slot *)b)->key;
    return x < y ? -1 : x > y;
}

static bool put_row(struct journal *j, const struct slot *slot)
{
    sqlite3_stmt *s = j->s[PUT];
    sqlite3_bind_int64(s, 1, (int64_t)slot->key);
    db_bind(s, 2, slot->doc.state);
    db_bind_known(s, 3, slot->doc.seq_no);
    db_bind_known(s, 4, slot->doc.primary_term);
    db_bind_known(s, 5, slot->doc.version);
    db_bind(s, 6, slot->doc.steps);
    return db_run(s) == SQLITE_DONE;
}

// The table to `doc`, in one transaction with the end of the log.
static bool settle(struct journal *j, struct fault *fault)
{
    size_t n = 0;
    if (!load(j, true, fault))
        return false;
    for (size_t i = 0; i < j->room; i++)
        if (j->slots[i].doc.state != JOURNAL_NONE)
            j->slots[n++] = j->slots[i];
    qsort(j->slots, n, sizeof *j->slots, by_key);
    bool ok = db_exec(j->db, "BEGIN") == SQLITE_OK;
    for (size_t i = 0; i < n && ok; i++)
        ok = put_row(j, &j->slots[i]);
    ok = ok && db_exec(j->db, "DELETE FROM log") == SQLITE_OK && db_exec(j->db, "COMMIT") == SQLITE_OK;
    if (!ok)
        return db_fault(j->db, j->path, fault);
    memset(j->slots, 0, j->room * sizeof *j->slots);
    j->count = j->records = 0;
    j->docs = true;
    return true;
}

bool journal_commit(struct journal *j, struct fault *fault)
{
    if (!j->pending.size)
        return !j->pending.failed || fault_memory(fault);
    if (j->pending.failed)
        return fault_memory(fault);
    db_bind_blob(j->s[LOG], 1, buf_view(&j->pending));
    if (db_run(j->s[LOG]) != SQLITE_DONE)
        return db_fault(j->db, j->path, fault);
    buf_clear(&j->pending);
    return j->records < KEPT_MAX || settle(j, fault);
}

bool journal_close(struct journal *j, struct fault *fault)
{
    if (!j)
        return true;
    bool ok = !j->db || journal_commit(j, fault);
    db_finalize(STATEMENTS, j->s);
    if (j->db && j->lock >= 0)
        db_seal(j->db);
    db_close(j->db);
    if (j->lock >= 0) // behind the database: closing any descriptor of a file ends SQLite's own locks on it
        close(j->lock);
    mem_free(j->path);
    mem_free(j->slots);
    buf_fini(&j->pending);
    mem_free(j);
    return ok;
}

// ---- the door ---------------------------------------------------------------------------------------------------------

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

static bool may_write(const struct journal *j, struct fault *fault)
{
    return j->lock >= 0 || fault_user(fault, "%s is in use by another replay", j->path);
}

bool journal_set_meta(struct journal *j, const char *key, struct bytes value, struct fault *fault)
{
    if (!may_write(j, fault) || !journal_commit(j, fault))
        return false;
    db_bind_text(j->s[SET_META], 1, bytes_of_text(key));
    db_bind_word(j->s[SET_META], 2, value);
    if (db_run(j->s[SET_META]) != SQLITE_DONE)
        return db_fault(j->db, j->path, fault);
    return db_sync(j->db) == SQLITE_OK || db_fault(j->db, j->path, fault);
}

bool journal_find(struct journal *j, uint64_t key, struct journal_doc *doc)
{
    const struct slot *slot = slot_of(j, key);
    *doc = (struct journal_doc){JOURNAL_NONE, -1, -1, -1, 0};
    if (slot->doc.state != JOURNAL_NONE) {
        *doc = slot->doc;
        return true;
    }
    if (!j->docs)
        return false;
    sqlite3_stmt *s = j->s[FIND];
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
    if (!may_write(j, fault))
        return false;
    bool later = j->fresh && (doc->state == JOURNAL_INTENT || doc->state == JOURNAL_DONE);
    j->records++;
    return (pack(&j->pending, key, doc) && (later || remember(j, key, doc))) || fault_memory(fault);
}

bool journal_is_fresh(const struct journal *j)
{
    return j->fresh;
}
