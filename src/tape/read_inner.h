// Inside of the reader: tapes, their segments, and the dictionaries of a segment, shared by read*.c, select*.c, bodyread*.c, opread.c, sql*.c.
//
// 1. A segment's database is opened when its rows are needed and closed again when more than OPEN_MOST are open; one that
//    is pinned (somebody holds its dictionaries) stays.
// 2. What was learned from a segment's dictionaries lives as long as its connection (struct open_segment).
// 3. Nothing here writes to the tape's directory.
#pragma once
#include "read.h"

#include "../base/map.h"
#include "../base/mem.h"
#include "format.h"

#include <sqlite3.h>

enum { OPEN_MOST = 40 };

struct who_info { struct bytes principal, run_as, forwarded_for, agent, realm; enum auth_kind auth; };
struct shape_info { struct bytes verb, api, action, reason, danger; int status; enum outcome outcome; uint32_t flags, server_version; };
struct list_info { struct bytes *names; struct exchange_index *indices; size_t count; }; // the same names twice: as targets, as indices
struct path_info { struct bytes head, tail; };
struct conn_info { struct endpoint client, server; };
struct call_info { const struct who_info *who; const struct shape_info *shape; const struct list_info *targets; const struct path_info *path; };

// A table read forward by exchange id, for side tables that few rows have.
struct walker {
    const char *sql;
    sqlite3_stmt *stmt;      // prepared by the first seek
    int64_t low, at; // it stands on the row of x = at; there is no row in [low, at)
    bool valid;
};

// Statements of a segment, prepared when they are needed first: most visits need few of them.
enum segment_statement {
    SEGMENT_WHO, SEGMENT_SHAPE, SEGMENT_LIST, SEGMENT_NAME, SEGMENT_PATH, SEGMENT_CALL, SEGMENT_CONN, SEGMENT_WORD, SEGMENT_ROWS, SEGMENT_TALLY, SEGMENT_PART, SEGMENT_PLACES,
    SEGMENT_STATEMENTS
};

struct open_segment {
    sqlite3 *db;
    struct arena arena;        // all texts below
    struct nummap *whos, *shapes, *lists, *names, *paths, *calls, *conns, *words;
    sqlite3_stmt *statements[SEGMENT_STATEMENTS]; // segment_statement() gives them
    struct walker more, split, times;
    int64_t start_us;
    bool has_split, has_more;
};

enum segment_state { SEGMENT_UNTRIED, SEGMENT_GOOD, SEGMENT_BAD };

struct reel_segment {          // one segment of one tape
    char name[FORMAT_NAME_SIZE];
    uint32_t number;
    int64_t first_us, last_us; // of anything in it; last_us INT64_MAX while it grows
    uint64_t first_x, last_x;  // bounds for skipping: wide open while it grows
    int64_t told_first_us, told_last_us; // what is in it, for showing (segment_measure); INT64_MIN: nothing
    uint64_t told_first_x, told_last_x;
    int64_t rows, ops, gaps, alerts, log_bytes, body_bytes;
    bool sealed, listed;       // listed: the numbers above come from tape.db and are final
    bool log_here, body_here, lates_loaded;
    int64_t body_gone_us, log_gone_us;
    char *body_gone_why, *log_gone_why;
    enum segment_state state;
    struct open_segment *open; // NULL: closed
    sqlite3 *body;             // its body file, opened on demand
    bool body_bad;
    unsigned pins;
    uint64_t used;             // for least recently used
};

struct reel {                  // one tape directory
    char *dir, *name;
    size_t which;
    struct tape *tape;
    struct reel_segment *segments; // by number
    size_t count, room;
    sqlite3 *index;            // tape.db, or NULL when it is missing or damaged
    bool live;                 // a recorder holds the lock
    struct nummap *lates;      // exchange -> struct late_row *, of all segments; NULL until needed
    int64_t dir_ns, grown_ns;  // what tape_wait saw last
    uint64_t grown_bytes;
};

struct late_row { int64_t time_us; enum outcome outcome; struct bytes reason; int64_t docs, docs_ok, docs_failed, docs_deleted; };

struct tape {
    struct reel *reels;
    size_t count;
    char **warnings;           // told and not yet told
    size_t warning_count, warning_room, warning_next;
    uint64_t clock;            // of uses
    size_t open_count, body_count;
    struct arena arena;        // late rows
    struct body_reader *bodies; // bodyread.c's, made when the first body is read
    struct nummap **losers;    // per reel: exchanges that another reel tells (tape_ops); NULL until needed
};

// ---- segments (read_segment.c) --------------------------------------------------------------------------------------
void tape_warn(struct tape *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Opens a database of the tape for reading only. NULL: cannot; *why is told in words.
sqlite3 *segment_open_file(struct reel *r, const char *file, bool sealed, char *why, size_t room);
// The open segment, pinned once, or NULL (a warning was given the first time). Unpin when its texts are not needed any more.
struct open_segment *segment_pin(struct reel *r, struct reel_segment *s);
void segment_unpin(struct reel *r, struct reel_segment *s);
sqlite3 *segment_body(struct reel *r, struct reel_segment *s); // NULL: not there or bad
void segment_close(struct tape *t, struct reel_segment *s);
sqlite3_stmt *segment_prepare(struct open_segment *o, const char *sql); // NULL: memory out or a damaged schema
sqlite3_stmt *segment_statement(struct open_segment *o, enum segment_statement which); // the segment's own, reset; NULL as above
// Numbers of a segment that tape.db does not tell: counted in the segment itself, sizes from the files.
void segment_measure(struct reel *r, struct reel_segment *s);
bool reel_is_live(const char *dir);
void reel_refresh(struct reel *r); // looks for new segments and at what became of old ones
bool reel_load_lates(struct reel *r); // outcomes learned afterwards, wherever they stand. False: memory out
struct reel_segment *reel_find(struct reel *r, uint32_t number);
void body_reader_close(struct body_reader *b);

// ---- dictionaries (read_dict.c) -------------------------------------------------------------------------------------
const struct call_info *dict_call(struct open_segment *o, int64_t id);   // never NULL but when memory is out
const struct who_info *dict_who(struct open_segment *o, int64_t id);
const struct shape_info *dict_shape(struct open_segment *o, int64_t id);
const struct list_info *dict_list(struct open_segment *o, int64_t id); // 0: the empty one
struct bytes dict_name(struct open_segment *o, int64_t id);
const struct path_info *dict_path(struct open_segment *o, int64_t id);
const struct conn_info *dict_conn(struct open_segment *o, int64_t id);
struct bytes dict_word(struct open_segment *o, int64_t id);
struct bytes dict_column(struct open_segment *o, sqlite3_stmt *stmt, int column); // copied into the arena
bool dict_parse_ip(struct bytes text, uint8_t ip[16]);
const char *dict_ip_text(const struct endpoint *e, char *text, size_t room); // room >= 48
// Stands on the first row with x >= wanted; true when it is exactly that one.
bool walker_seek(struct open_segment *o, struct walker *w, int64_t x);
void walker_step(struct walker *w); // to the next row; at is INT64_MAX at the end
void walker_fini(struct walker *w);
