// Opening tapes for reading: which segments there are, what is known of them without opening them, what is new.
#include "read_inner.h"

#include "../base/clock.h"
#include "../base/diag.h"

#include "blockfile.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WAIT_STEP_MS = 50, TAPES_MOST = 64 }; // also_at is 64 bits

// ---- the segments of a directory ------------------------------------------------------------------------------------

struct reel_segment *reel_find(struct reel *r, uint32_t number)
{
    size_t low = 0, high = r->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (r->segments[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < r->count && r->segments[low].number == number ? &r->segments[low] : NULL;
}

static struct reel_segment *add_segment(struct reel *r, const char *name, size_t size, uint32_t number)
{
    struct reel_segment *s = reel_find(r, number);
    if (s)
        return s;
    if (r->count == r->room) {
        size_t room = r->room ? r->room * 2 : 16;
        struct reel_segment *grown = mem_grow(r->segments, room * sizeof *grown);
        if (!grown)
            return NULL;
        r->segments = grown;
        r->room = room;
    }
    size_t place = r->count++;
    for (; place && r->segments[place - 1].number > number; place--)
        r->segments[place] = r->segments[place - 1];
    s = &r->segments[place];
    *s = (struct reel_segment){.number = number, .first_us = INT64_MIN, .last_us = INT64_MAX, .last_x = UINT64_MAX};
    snprintf(s->name, sizeof s->name, "%.*s", (int)size, name);
    return s;
}

bool tape_is_empty(const char *dir)
{
    bool empty = true;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && empty && (e = readdir(d));) {
        size_t size;
        uint32_t number;
        bool body;
        empty = !format_parse_name(e->d_name, &size, &number, &body) || body;
    }
    if (d)
        closedir(d);
    return empty;
}

static bool list_directory(struct reel *r)
{
    DIR *dir = opendir(r->dir);
    if (!dir)
        return false;
    for (size_t i = 0; i < r->count; i++)
        r->segments[i].log_here = r->segments[i].body_here = false;
    for (struct dirent *e; (e = readdir(dir));) {
        size_t size;
        uint32_t number;
        bool body;
        if (!format_parse_name(e->d_name, &size, &number, &body) || size >= FORMAT_NAME_SIZE)
            continue;
        struct reel_segment *s = add_segment(r, e->d_name, size, number);
        if (s)
            *(body ? &s->body_here : &s->log_here) = true;
    }
    closedir(dir);
    return true;
}

static int64_t column_or(sqlite3_stmt *stmt, int column, int64_t otherwise)
{
    return sqlite3_column_type(stmt, column) == SQLITE_NULL ? otherwise : sqlite3_column_int64(stmt, column);
}

static char *column_text(sqlite3_stmt *stmt, int column, char *old)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);
    mem_free(old);
    return text ? mem_text_copy(text, strlen(text)) : NULL;
}

static void take_listed(struct reel *r, sqlite3_stmt *stmt)
{
    const char *name = (const char *)sqlite3_column_text(stmt, 1);
    struct reel_segment *s = name ? add_segment(r, name, strnlen(name, FORMAT_NAME_SIZE - 1), (uint32_t)sqlite3_column_int64(stmt, 0)) : NULL;
    if (!s)
        return;
    s->sealed = sqlite3_column_int(stmt, 11);
    s->body_gone_us = column_or(stmt, 12, 0);
    s->body_gone_why = column_text(stmt, 13, s->body_gone_why);
    s->log_gone_us = column_or(stmt, 14, 0);
    s->log_gone_why = column_text(stmt, 15, s->log_gone_why);
    s->listed = s->sealed;
    if (!s->sealed)
        return;
    s->first_us = column_or(stmt, 2, INT64_MAX); // empty: matches no time
    s->last_us = column_or(stmt, 3, INT64_MIN);
    s->first_x = (uint64_t)column_or(stmt, 4, 0);
    s->last_x = (uint64_t)column_or(stmt, 5, 0);
    s->rows = column_or(stmt, 6, 0);
    s->ops = column_or(stmt, 7, 0);
    s->gaps = column_or(stmt, 8, 0);
    s->alerts = column_or(stmt, 9, 0);
    s->log_bytes = column_or(stmt, 10, 0);
    s->body_bytes = column_or(stmt, 16, 0);
    s->told_first_us = s->rows || s->gaps ? s->first_us : INT64_MIN;
    s->told_last_us = s->last_us;
    s->told_first_x = s->first_x;
    s->told_last_x = s->last_x;
}

static void read_index(struct reel *r)
{
    sqlite3_stmt *stmt = NULL;
    if (!r->index)
        return;
    int rc = sqlite3_prepare_v2(r->index,
                                "SELECT number,name,first_us,last_us,first_x,last_x,rows,ops,gaps,alerts,log_bytes,sealed,body_gone_us,body_gone_why,"
                                "log_gone_us,log_gone_why,body_bytes FROM segment ORDER BY number", -1, &stmt, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        take_listed(r, stmt);
        rc = SQLITE_OK;
    }
    if (rc != SQLITE_DONE)
        tape_warn(r->tape, "%s of tape %s cannot be read: %s; its segments are read one by one instead", FORMAT_TAPE_NAME, r->name, sqlite3_errmsg(r->index));
    sqlite3_finalize(stmt);
}

// Sealed by its own word although tape.db does not say so (it is missing, or older): asked when the segment is opened first.
// A rollback journal tells of a power loss while it was being sealed: the file alone is not whole.
static bool sealed_by_itself(struct reel *r, struct reel_segment *s)
{
    static const char *const files[] = {FORMAT_LOG_SUFFIX, FORMAT_BODY_SUFFIX}, *const left[] = {"-wal", "-journal"};
    char path[4300];
    struct stat st;
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s%s%s", r->dir, s->name, files[i / 2], left[i % 2]);
        if (stat(path, &st) == 0)
            return false;
    }
    return true;
}

void reel_refresh(struct reel *r)
{
    list_directory(r);
    read_index(r);
    for (size_t i = 0; i < r->count; i++) {
        struct reel_segment *s = &r->segments[i];
        if (!s->sealed && s->log_here && !s->open && sealed_by_itself(r, s) && !(r->live = reel_is_live(r->dir)))
            s->sealed = true;
        if (!s->log_here && !s->log_gone_us && s->listed)
            tape_warn(r->tape, "segment %s of tape %s is not there (%s%s): what it held is missing here", s->name, r->name, s->name, FORMAT_LOG_SUFFIX);
    }
}

static int64_t file_bytes(struct reel *r, const struct reel_segment *s, const char *end)
{
    char path[4300];
    struct stat st;
    int64_t bytes = 0;
    static const char *const more[] = {"", "-wal"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s%s%s", r->dir, s->name, end, more[i]);
        bytes += stat(path, &st) == 0 ? st.st_size : 0;
    }
    return bytes;
}

static int64_t blocks_bytes(struct reel *r, const struct reel_segment *s)
{
    char path[4300];
    snprintf(path, sizeof path, "%s/%s" FORMAT_BLOCKS_SUFFIX, r->dir, s->name);
    return (int64_t)blockfile_bytes(path);
}

void segment_measure(struct reel *r, struct reel_segment *s)
{
    if (s->log_here)
        s->log_bytes = file_bytes(r, s, FORMAT_LOG_SUFFIX);
    if (s->body_here)
        s->body_bytes = file_bytes(r, s, FORMAT_BODY_SUFFIX) + blocks_bytes(r, s);
    struct open_segment *o = s->listed || s->state == SEGMENT_BAD ? NULL : segment_pin(r, s);
    if (!o)
        return;
    sqlite3_stmt *stmt = segment_prepare(o, "SELECT (SELECT count(*) FROM x),(SELECT coalesce(sum(n),0) FROM op_block),(SELECT count(*) FROM gap),"
                                            "(SELECT count(*) FROM alert),(SELECT min(id) FROM x),(SELECT max(id) FROM x),"
                                            "(SELECT min(lo) FROM bucket),(SELECT max(hi) FROM bucket)");
    if (stmt && sqlite3_step(stmt) == SQLITE_ROW) {
        s->rows = sqlite3_column_int64(stmt, 0);
        s->ops = sqlite3_column_int64(stmt, 1);
        s->gaps = sqlite3_column_int64(stmt, 2);
        s->alerts = sqlite3_column_int64(stmt, 3);
        s->told_first_us = s->rows ? when_plus(o->start_us, sqlite3_column_int64(stmt, 6)) : INT64_MIN;
        s->told_last_us = s->rows ? when_plus(o->start_us, sqlite3_column_int64(stmt, 7)) : INT64_MIN;
        s->told_first_x = (uint64_t)sqlite3_column_int64(stmt, 4);
        s->told_last_x = (uint64_t)sqlite3_column_int64(stmt, 5);
    }
    sqlite3_finalize(stmt);
    segment_unpin(r, s);
}

// ---- tapes ----------------------------------------------------------------------------------------------------------

static bool later_format(const char *why)
{
    return strncmp(why, "it is of format", 15) == 0;
}

static bool open_index(struct reel *r, struct fault *fault)
{
    char why[400];
    struct stat st;
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", r->dir, FORMAT_TAPE_NAME);
    if (stat(path, &st) != 0) {
        if (!r->count)
            return fault_user(fault, "%s is not a tape: it holds neither %s nor segments; 'estape record' makes one", r->dir, FORMAT_TAPE_NAME);
        tape_warn(r->tape, "tape %s has no %s: its segments are read one by one", r->name, FORMAT_TAPE_NAME);
        return true;
    }
    r->index = segment_open_file(r, FORMAT_TAPE_NAME, false, why, sizeof why);
    if (r->index)
        return true;
    if (later_format(why))
        return fault_user(fault, "tape %s cannot be read: %s", r->dir, why);
    if (access(path, R_OK) != 0)
        return fault_user(fault, "tape %s cannot be read: %s; it belongs to another user", r->dir, strerror(errno));
    if (!r->count)
        return fault_user(fault, "%s is not a tape: its %s cannot be read (%s)", r->dir, FORMAT_TAPE_NAME, why);
    tape_warn(r->tape, "%s of tape %s cannot be read: %s; its segments are read one by one instead", FORMAT_TAPE_NAME, r->name, why);
    return true;
}

static bool name_reel(struct reel *r, const char *dir)
{
    char *real = realpath(dir, NULL);
    const char *from = real ? real : dir, *slash = strrchr(from, '/');
    const char *name = slash && slash[1] ? slash + 1 : from;
    r->dir = mem_text_copy(dir, strlen(dir));
    r->name = mem_text_copy(name, strlen(name));
    free(real);
    return r->dir && r->name;
}

static bool open_reel(struct tape *t, size_t which, const char *dir, struct fault *fault)
{
    struct reel *r = &t->reels[which];
    *r = (struct reel){.which = which, .tape = t};
    if (!name_reel(r, dir))
        return fault_memory(fault);
    if (!list_directory(r)) {
        if (errno == ENOENT)
            return fault_user(fault, "there is no tape %s: make it with 'estape record', or name another with --tape DIR", dir);
        if (errno == ENOTDIR)
            return fault_user(fault, "%s is not a tape: a tape is a directory", dir);
        return fault_user(fault, "tape %s cannot be read: %s", dir, strerror(errno));
    }
    r->live = reel_is_live(dir);
    if (!open_index(r, fault))
        return false;
    reel_refresh(r);
    return true;
}

struct tape *tape_open(const char *const *dirs, size_t count, struct fault *fault)
{
    if (count > TAPES_MOST) {
        fault_user(fault, "%zu tapes are too many: at most %d at a time", count, TAPES_MOST);
        return NULL;
    }
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); // nobody asks SQLite what it holds: a lock less per allocation. Refused where it runs already
    struct tape *t = mem_zero(1, sizeof *t);
    if (t)
        t->reels = mem_zero(count, sizeof *t->reels);
    if (!t || !t->reels) {
        mem_free(t);
        fault_memory(fault);
        return NULL;
    }
    arena_init(&t->arena, 0);
    for (size_t i = 0; i < count; i++) {
        t->count = i + 1;
        if (!open_reel(t, i, dirs[i], fault)) {
            tape_close(t);
            return NULL;
        }
        for (size_t j = 0; j < i; j++)
            if (strcmp(t->reels[j].name, t->reels[i].name) == 0) {
                fault_user(fault, "two tapes are named %s: exchanges are told apart by the directory's name, rename one", t->reels[i].name);
                tape_close(t);
                return NULL;
            }
    }
    return t;
}

const char *tape_warning(struct tape *t)
{
    return t->warning_next < t->warning_count ? t->warnings[t->warning_next++] : NULL;
}

void tape_close(struct tape *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++) {
        struct reel *r = &t->reels[i];
        for (size_t j = 0; j < r->count; j++) {
            r->segments[j].pins = 0;
            segment_close(t, &r->segments[j]);
            mem_free(r->segments[j].body_gone_why);
            mem_free(r->segments[j].log_gone_why);
        }
        sqlite3_close(r->index);
        if (r->lates)
            nummap_close(r->lates);
        if (t->losers && t->losers[i])
            nummap_close(t->losers[i]);
        mem_free(r->segments);
        mem_free(r->dir);
        mem_free(r->name);
    }
    for (size_t i = 0; i < t->warning_count; i++)
        mem_free(t->warnings[i]);
    mem_free(t->warnings);
    mem_free(t->losers);
    body_reader_close(t->bodies);
    mem_free(t->reels);
    arena_fini(&t->arena);
    mem_free(t);
}

size_t tape_count(const struct tape *t)
{
    return t->count;
}

const char *tape_name(const struct tape *t, size_t which)
{
    return t->reels[which].name;
}

bool tape_span(struct tape *t, int64_t *first_ns, int64_t *last_ns)
{
    bool any = false;
    for (size_t i = 0; i < t->count; i++)
        for (size_t j = 0; j < t->reels[i].count; j++) {
            struct reel_segment *s = &t->reels[i].segments[j];
            if (!s->log_here)
                continue;
            if (!s->listed)
                segment_measure(&t->reels[i], s);
            if (!s->rows || s->told_first_us == INT64_MIN)
                continue;
            if (!any || when_from_us(s->told_first_us) < *first_ns)
                *first_ns = when_from_us(s->told_first_us);
            if (!any || when_from_us(s->told_last_us) > *last_ns)
                *last_ns = when_from_us(s->told_last_us);
            any = true;
        }
    return any;
}

// ---- ids ------------------------------------------------------------------------------------------------------------

bool tape_parse_id(struct tape *t, const char *text, size_t *which, uint64_t *id, struct fault *fault)
{
    const char *colon = strrchr(text, ':'), *digits = colon ? colon + 1 : text;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(digits, &end, 10);
    if (*digits < '0' || *digits > '9' || *end || errno || !value || value > INT64_MAX)
        return fault_user(fault, "'%s' is no exchange id: an id is a number as 'estape log' shows it%s", text, t->count > 1 ? ", NAME:4711 with several tapes" : "");
    *id = value;
    *which = 0;
    if (!colon) {
        if (t->count > 1)
            return fault_user(fault, "'%s' could be an exchange of any of the %zu tapes: say which, as %s:%s", text, t->count, t->reels[0].name, text);
        return true;
    }
    for (size_t i = 0; i < t->count; i++)
        if (strlen(t->reels[i].name) == (size_t)(colon - text) && strncmp(t->reels[i].name, text, (size_t)(colon - text)) == 0) {
            *which = i;
            return true;
        }
    return fault_user(fault, "'%s': no tape of that name is open; there is %s", text, t->reels[0].name);
}

// ---- waiting --------------------------------------------------------------------------------------------------------

// What can be seen of a growing tape without reading it: the directory's change time, and size and time of the newest log.
static void look(struct reel *r, int64_t *dir_ns, int64_t *grown_ns, uint64_t *grown_bytes)
{
    static const char *const ends[] = {"", "-wal"};
    struct stat st;
    char path[4300];
    *dir_ns = stat(r->dir, &st) == 0 ? st.st_mtim.tv_sec * WHEN_NS_PER_S + st.st_mtim.tv_nsec : 0;
    *grown_ns = 0;
    *grown_bytes = 0;
    for (size_t i = 0; r->count && i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s%s%s", r->dir, r->segments[r->count - 1].name, FORMAT_LOG_SUFFIX, ends[i]);
        if (stat(path, &st) != 0)
            continue;
        *grown_ns += st.st_mtim.tv_sec * WHEN_NS_PER_S + st.st_mtim.tv_nsec;
        *grown_bytes += (uint64_t)st.st_size;
    }
}

bool tape_wait(struct tape *t, int wait_ms)
{
    int64_t until_ns = clock_steady_ns() + wait_ms * WHEN_NS_PER_MS;
    for (;;) {
        bool fresh = false;
        for (size_t i = 0; i < t->count; i++) {
            struct reel *r = &t->reels[i];
            int64_t dir_ns, grown_ns;
            uint64_t grown_bytes;
            look(r, &dir_ns, &grown_ns, &grown_bytes);
            if (dir_ns == r->dir_ns && grown_ns == r->grown_ns && grown_bytes == r->grown_bytes)
                continue;
            if (dir_ns != r->dir_ns)
                reel_refresh(r);
            look(r, &r->dir_ns, &r->grown_ns, &r->grown_bytes);
            fresh = true;
        }
        int64_t left_ns = until_ns - clock_steady_ns();
        if (fresh || left_ns <= 0)
            return fresh;
        usleep((left_ns < WAIT_STEP_MS * WHEN_NS_PER_MS ? (useconds_t)(left_ns / 1000) + 1 : WAIT_STEP_MS * 1000));
    }
}
