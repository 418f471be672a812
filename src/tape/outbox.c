// Walks the alert rows of a tape's segments for each sink, and keeps in alerts.db how far each came.
//
//   alert rows (segments, the recorder) -> batch in memory -> sink -> cursor and delivery row (alerts.db, the sender)
//
// 1. A sink's cursor moves only past alerts it is done with, in order: what was not finished is met again after a crash.
// 2. Segments are open only while a batch is read, so that the recorder can seal them.
// 3. When alerts.db cannot be written the cursor still moves in memory: the sink goes on, and repeats itself after a restart.
#include "outbox.h"

#include "../../include/when.h"
#include "../base/diag.h"
#include "../base/mem.h"
#include "db.h"
#include "format.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BATCH_ROWS = 64, BATCH_BYTES_MAX = 4 << 20, SINKS_MAX = 64, SINK_NAME_MAX = 64 };

struct row {
    int64_t alert, time_us;
    uint32_t segment;
    bool outcome;
    size_t id, rule, level, json;  // offsets in text
    size_t id_size, rule_size, level_size, json_size;
};

struct cursor {
    char sink[SINK_NAME_MAX];
    uint32_t segment;
    int64_t alert;
    struct row rows[BATCH_ROWS];
    size_t count, next;
    struct buf text;
};

struct outbox {
    char *dir;
    sqlite3 *db;               // NULL: no alerts.db yet
    struct cursor *cursors[SINKS_MAX];
    size_t cursor_count;
};

static char *path_of(const struct outbox *o, const char *name, struct buf *path)
{
    buf_clear(path);
    buf_format(path, "%s/%s", o->dir, name);
    return (char *)buf_text(path);
}

static bool open_db(struct outbox *o, bool write, struct fault *fault)
{
    struct buf path = {0};
    const char *name = path_of(o, FORMAT_ALERTS_NAME, &path);
    enum db_trouble trouble;
    bool ok = true;
    if (access(name, F_OK) == 0 && !db_is_empty(name))
        ok = db_open(name, &db_alerts, write, &o->db, fault);
    else if (write)
        ok = db_create(name, &db_alerts, &o->db, &trouble, fault);
    if (o->db)
        sqlite3_busy_timeout(o->db, 5000);
    buf_fini(&path);
    return ok;
}

struct outbox *outbox_open(const char *dir, bool write, struct fault *fault)
{
    struct outbox *o = mem_zero(1, sizeof *o);
    if (!o || !(o->dir = mem_text_copy(dir, strlen(dir)))) {
        mem_free(o);
        fault_memory(fault);
        return NULL;
    }
    if (access(dir, R_OK | X_OK) != 0)
        fault_user(fault, "cannot read the tape %s: %s", dir, strerror(errno));
    else if (open_db(o, write, fault))
        return o;
    outbox_close(o);
    return NULL;
}

void outbox_close(struct outbox *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < o->cursor_count; i++) {
        buf_fini(&o->cursors[i]->text);
        mem_free(o->cursors[i]);
    }
    db_close(o->db);
    mem_free(o->dir);
    mem_free(o);
}

static bool db_trouble_told(struct outbox *o, struct fault *fault)
{
    return db_fault(o->db, FORMAT_ALERTS_NAME, fault);
}

// Runs one statement that gives no rows. Arguments: "t" text, "i" integer, in order.
static bool run(struct outbox *o, struct fault *fault, const char *sql, const char *const *texts, const int64_t *numbers, const char *kinds)
{
    sqlite3_stmt *s = NULL;
    size_t text = 0, number = 0;
    if (!o->db)
        return fault_system(fault, "the tape has no %s", FORMAT_ALERTS_NAME);
    if (sqlite3_prepare_v2(o->db, sql, -1, &s, NULL) != SQLITE_OK)
        return db_trouble_told(o, fault);
    for (int i = 0; kinds[i]; i++) {
        if (kinds[i] == 't')
            db_bind_text(s, i + 1, bytes_of_text(texts[text++]));
        else
            db_bind(s, i + 1, numbers[number++]);
    }
    bool ok = db_run(s) == SQLITE_DONE || db_trouble_told(o, fault);
    sqlite3_finalize(s);
    return ok;
}

// ---- segments ---------------------------------------------------------------------------------------------------------

// The segment with the smallest number of at least `from`; false: none.
static bool find_segment(const struct outbox *o, uint32_t from, bool newest, uint32_t *number, char *file, size_t room)
{
    DIR *dir = opendir(o->dir);
    bool found = false;
    for (struct dirent *d; dir && (d = readdir(dir));) {
        size_t size;
        uint32_t n;
        bool body;
        if (!format_parse_name(d->d_name, &size, &n, &body) || body || n < from)
            continue;
        size_t tail = strlen(d->d_name);
        if (tail < sizeof FORMAT_LOG_SUFFIX || strcmp(d->d_name + tail - strlen(FORMAT_LOG_SUFFIX), FORMAT_LOG_SUFFIX) != 0)
            continue;
        if (found && (newest ? n <= *number : n >= *number))
            continue;
        found = true;
        *number = n;
        snprintf(file, room, "%s", d->d_name);
    }
    if (dir)
        closedir(dir);
    return found;
}

static bool open_segment(const struct outbox *o, const char *file, sqlite3 **db)
{
    struct buf path = {0};
    struct fault ignored;
    buf_format(&path, "%s/%s", o->dir, file);
    bool ok = !db_is_empty(buf_text(&path)) && db_open(buf_text(&path), &db_log, false, db, &ignored);
    buf_fini(&path);
    if (ok)
        sqlite3_busy_timeout(*db, 2000);
    return ok;
}

static void take_text(struct cursor *c, sqlite3_stmt *s, int column, size_t *at, size_t *size)
{
    struct bytes text = db_text(s, column);
    *at = c->text.size;
    *size = text.size;
    buf_add_bytes(&c->text, text);
}

// Reads on from the cursor inside one segment.
static bool read_segment(struct outbox *o, struct cursor *c, uint32_t number, const char *file, int64_t after)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    bool ok = open_segment(o, file, &db) &&
              sqlite3_prepare_v2(db, "SELECT id, time_us, outcome, alert, rule, level, json FROM alert WHERE id > ?1 ORDER BY id LIMIT ?2", -1, &s, NULL) == SQLITE_OK;
    if (ok) {
        db_bind(s, 1, after);
        db_bind(s, 2, BATCH_ROWS);
    }
    int code = SQLITE_DONE;
    while (ok && c->count < BATCH_ROWS && c->text.size < BATCH_BYTES_MAX && (code = sqlite3_step(s)) == SQLITE_ROW) {
        struct row *r = &c->rows[c->count];
        *r = (struct row){.alert = sqlite3_column_int64(s, 0), .time_us = sqlite3_column_int64(s, 1), .outcome = sqlite3_column_int(s, 2) != 0, .segment = number};
        take_text(c, s, 3, &r->id, &r->id_size);
        take_text(c, s, 4, &r->rule, &r->rule_size);
        take_text(c, s, 5, &r->level, &r->level_size);
        take_text(c, s, 6, &r->json, &r->json_size);
        c->count += !c->text.failed;
        ok = !c->text.failed;
    }
    ok = ok && (code == SQLITE_DONE || code == SQLITE_ROW);
    sqlite3_finalize(s);
    db_close(db);
    return ok;
}

static bool fill(struct outbox *o, struct cursor *c)
{
    char file[128];
    uint32_t number = 0, from = c->segment;
    c->count = c->next = 0;
    buf_clear(&c->text);
    while (!c->count && find_segment(o, from, false, &number, file, sizeof file)) {
        if (!read_segment(o, c, number, file, number == c->segment ? c->alert : 0))
            return c->count > 0; // it is being sealed or made: asked again in a moment
        from = number + 1;
        // Nothing more in an older one: it need not be opened again. The newest may still grow.
        uint32_t newer;
        if (!c->count && find_segment(o, from, false, &newer, file, sizeof file) && number >= c->segment) {
            c->segment = number;
            c->alert = number == c->segment ? c->alert : 0;
        }
    }
    return c->count > 0;
}

// ---- sinks ------------------------------------------------------------------------------------------------------------

static struct cursor *find_cursor(struct outbox *o, const char *sink)
{
    for (size_t i = 0; i < o->cursor_count; i++)
        if (strcmp(o->cursors[i]->sink, sink) == 0)
            return o->cursors[i];
    return NULL;
}

static bool read_cursor(struct outbox *o, struct cursor *c)
{
    sqlite3_stmt *s = NULL;
    bool found = false;
    if (o->db && sqlite3_prepare_v2(o->db, "SELECT segment, alert FROM cursor WHERE sink=?1", -1, &s, NULL) == SQLITE_OK) {
        db_bind_text(s, 1, bytes_of_text(c->sink));
        found = sqlite3_step(s) == SQLITE_ROW;
        if (found) {
            c->segment = (uint32_t)sqlite3_column_int64(s, 0);
            c->alert = sqlite3_column_int64(s, 1);
        }
    }
    sqlite3_finalize(s);
    return found;
}

static void begin_behind_newest(struct outbox *o, struct cursor *c)
{
    char file[128];
    sqlite3 *db = NULL;
    if (!find_segment(o, 0, true, &c->segment, file, sizeof file))
        return;
    if (open_segment(o, file, &db))
        c->alert = db_int(db, "SELECT max(id) FROM alert", 0);
    db_close(db);
}

static bool store_cursor(struct outbox *o, const struct cursor *c, struct fault *fault)
{
    return run(o, fault, "INSERT OR REPLACE INTO cursor(sink, segment, alert) VALUES(?1, ?2, ?3)", (const char *[]){c->sink},
               (int64_t[]){c->segment, c->alert}, "tii");
}

bool outbox_register(struct outbox *o, const char *sink, bool from_start, struct fault *fault)
{
    struct cursor *c = find_cursor(o, sink);
    if (c)
        return true;
    if (o->cursor_count == SINKS_MAX || strlen(sink) >= SINK_NAME_MAX)
        return fault_user(fault, "at most %d sinks, with names shorter than %d characters", SINKS_MAX, SINK_NAME_MAX);
    c = mem_zero(1, sizeof *c);
    if (!c)
        return fault_memory(fault);
    o->cursors[o->cursor_count++] = c;
    snprintf(c->sink, sizeof c->sink, "%s", sink);
    if (read_cursor(o, c))
        return true;
    if (!from_start)
        begin_behind_newest(o, c);
    return store_cursor(o, c, fault);
}

static struct bytes text_of(const struct cursor *c, size_t at, size_t size)
{
    return bytes_of(c->text.at + at, size);
}

static struct outbox_item item_of(const struct cursor *c, const struct row *r)
{
    return (struct outbox_item){
        .segment = r->segment, .alert = r->alert, .time_ns = r->time_us * WHEN_NS_PER_US, .outcome = r->outcome,
        .id = text_of(c, r->id, r->id_size), .rule = text_of(c, r->rule, r->rule_size), .level = text_of(c, r->level, r->level_size),
        .json = text_of(c, r->json, r->json_size),
    };
}

static void read_tries(struct outbox *o, const char *sink, struct outbox_item *item)
{
    sqlite3_stmt *s = NULL;
    if (o->db && sqlite3_prepare_v2(o->db, "SELECT tries, next_us FROM delivery WHERE sink=?1 AND segment=?2 AND alert=?3", -1, &s, NULL) == SQLITE_OK) {
        db_bind_text(s, 1, bytes_of_text(sink));
        db_bind(s, 2, item->segment);
        db_bind(s, 3, item->alert);
        if (sqlite3_step(s) == SQLITE_ROW) {
            item->tries = sqlite3_column_int(s, 0);
            item->next_ns = sqlite3_column_int64(s, 1) * WHEN_NS_PER_US;
        }
    }
    sqlite3_finalize(s);
}

bool outbox_head(struct outbox *o, const char *sink, struct outbox_item *item, bool *found, struct fault *fault)
{
    struct cursor *c = find_cursor(o, sink);
    *found = false;
    if (!c)
        return fault_system(fault, "the sink %s is not registered", sink);
    if (c->next == c->count && !fill(o, c))
        return true;
    *item = item_of(c, &c->rows[c->next]);
    read_tries(o, sink, item);
    *found = true;
    return true;
}

bool outbox_each(struct outbox *o, struct outbox_place *at, outbox_each_fn *fn, void *ctx)
{
    struct cursor *c = mem_zero(1, sizeof *c);
    bool more = c != NULL;
    if (c) {
        c->segment = at->segment;
        c->alert = at->alert;
    }
    while (more && fill(o, c))
        for (; more && c->next < c->count; c->next++) {
            const struct row *r = &c->rows[c->next];
            struct outbox_item item = item_of(c, r);
            more = fn(ctx, &item);
            c->segment = at->segment = r->segment;
            c->alert = at->alert = r->alert;
        }
    if (c)
        buf_fini(&c->text);
    mem_free(c);
    return more;
}

static bool store_delivery(struct outbox *o, const char *sink, const struct outbox_item *item, const char *state, int tries, int64_t now_ns, int64_t next_ns,
                           const char *why, struct fault *fault)
{
    char id[64];
    snprintf(id, sizeof id, "%.*s", (int)item->id.size, (const char *)item->id.at);
    return run(o, fault, "INSERT OR REPLACE INTO delivery(sink, segment, alert, id, state, tries, next_us, last_us, why) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)",
               (const char *[]){sink, id, state, why ? why : ""}, (int64_t[]){item->segment, item->alert, tries, next_ns / 1000, now_ns / 1000}, "tiittiiit");
}

bool outbox_finish(struct outbox *o, const char *sink, const struct outbox_item *item, const char *state, int64_t now_ns, const char *why, struct fault *fault)
{
    struct cursor *c = find_cursor(o, sink);
    if (!c)
        return fault_system(fault, "the sink %s is not registered", sink);
    c->segment = item->segment;
    c->alert = item->alert;
    if (c->next < c->count)
        c->next++;
    bool ok = o->db && db_exec(o->db, "BEGIN IMMEDIATE") == SQLITE_OK;
    ok = ok && (!state || store_delivery(o, sink, item, state, item->tries + 1, now_ns, 0, why, fault)) && store_cursor(o, c, fault);
    if (o->db && sqlite3_get_autocommit(o->db) == 0)
        ok = db_exec(o->db, ok ? "COMMIT" : "ROLLBACK") == SQLITE_OK && ok;
    return ok || db_trouble_told(o, fault);
}

bool outbox_failed(struct outbox *o, const char *sink, const struct outbox_item *item, int64_t now_ns, int64_t next_ns, const char *why, struct fault *fault)
{
    return store_delivery(o, sink, item, "failed", item->tries + 1, now_ns, next_ns, why, fault);
}

uint64_t outbox_waiting(struct outbox *o, const char *sink)
{
    struct cursor *c = find_cursor(o, sink);
    char file[128];
    uint32_t number, from = c ? c->segment : 0;
    uint64_t waiting = 0;
    while (c && waiting < 1000 && find_segment(o, from, false, &number, file, sizeof file)) {
        sqlite3 *db = NULL;
        char sql[96];
        snprintf(sql, sizeof sql, "SELECT count(*) FROM alert WHERE id > %lld", number == c->segment ? (long long)c->alert : 0);
        if (open_segment(o, file, &db))
            waiting += (uint64_t)db_int(db, sql, 0);
        db_close(db);
        from = number + 1;
    }
    return waiting;
}

// ---- what people ask and say ------------------------------------------------------------------------------------------

static sqlite3_stmt *ask(struct outbox *o, const char *sql, struct bytes first)
{
    sqlite3_stmt *s = NULL;
    if (!o->db || sqlite3_prepare_v2(o->db, sql, -1, &s, NULL) != SQLITE_OK)
        return NULL;
    db_bind_text(s, 1, first);
    return s;
}

static void copy_text(sqlite3_stmt *s, int column, char *to, size_t room)
{
    struct bytes text = db_text(s, column);
    snprintf(to, room, "%.*s", (int)text.size, text.size ? (const char *)text.at : "");
}

bool outbox_states(struct outbox *o, struct bytes id, outbox_state_fn *fn, void *ctx)
{
    sqlite3_stmt *s = ask(o, "SELECT sink, state, tries, last_us, why FROM delivery WHERE id=?1 ORDER BY sink, segment, alert", id);
    bool more = true;
    while (more && s && sqlite3_step(s) == SQLITE_ROW) {
        char sink[SINK_NAME_MAX], state[32], why[512];
        copy_text(s, 0, sink, sizeof sink);
        copy_text(s, 1, state, sizeof state);
        copy_text(s, 4, why, sizeof why);
        more = fn(ctx, sink, state, sqlite3_column_int(s, 2), sqlite3_column_int64(s, 3) * WHEN_NS_PER_US, why);
    }
    sqlite3_finalize(s);
    return more;
}

bool outbox_ack(struct outbox *o, const char *id, const char *by, const char *why, int64_t now_ns, struct fault *fault)
{
    return run(o, fault, "INSERT OR REPLACE INTO mark(id, acked_by, acked_why, acked_us) VALUES(?1,?2,?3,?4)", (const char *[]){id, by, why},
               (int64_t[]){now_ns / 1000}, "ttti");
}

bool outbox_mark(struct outbox *o, struct bytes id, struct outbox_mark *mark)
{
    sqlite3_stmt *s = ask(o, "SELECT acked_us, acked_by, acked_why FROM mark WHERE id=?1", id);
    *mark = (struct outbox_mark){0};
    if (s && sqlite3_step(s) == SQLITE_ROW) {
        mark->acked = true;
        mark->acked_ns = sqlite3_column_int64(s, 0) * WHEN_NS_PER_US;
        copy_text(s, 1, mark->by, sizeof mark->by);
        copy_text(s, 2, mark->why, sizeof mark->why);
    }
    sqlite3_finalize(s);
    return mark->acked;
}

bool outbox_mute(struct outbox *o, const char *what, int64_t until_ns, const char *by, const char *why, int64_t now_ns, struct fault *fault)
{
    return run(o, fault, "INSERT OR REPLACE INTO mute(what, by, why, since_us, until_us) VALUES(?1,?2,?3,?4,nullif(?5,0))", (const char *[]){what, by, why},
               (int64_t[]){now_ns / 1000, until_ns / 1000}, "tttii");
}

bool outbox_unmute(struct outbox *o, const char *what, struct fault *fault)
{
    return run(o, fault, "DELETE FROM mute WHERE what=?1", (const char *[]){what}, NULL, "t");
}

bool outbox_muted(struct outbox *o, struct bytes id, struct bytes rule, int64_t now_ns)
{
    sqlite3_stmt *s = ask(o, "SELECT 1 FROM mute WHERE (what=?1 OR what=?2) AND (until_us IS NULL OR until_us > ?3)", id);
    bool muted = false;
    if (s) {
        db_bind_text(s, 2, rule);
        db_bind(s, 3, now_ns / 1000);
        muted = sqlite3_step(s) == SQLITE_ROW;
    }
    sqlite3_finalize(s);
    return muted;
}
