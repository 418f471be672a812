// The writer's state, shared by its rooms (write*.c): the current segment, dictionaries, bodies and ops under construction.
#pragma once
#include "../base/buf.h"
#include "../base/map.h"
#include "../base/mem.h"
#include "blockfile.h"
#include "catalog.h"
#include "dict.h"
#include "pack.h"
#include "write.h"

#include <stdatomic.h>

enum {
    BODY_BLOCK_BYTES = 256 * 1024,      // decoded size at which a block is closed
    BODY_OWN_BYTES = 64 * 1024,         // a body of this size gets a block of its own
    BODY_PENDING_BYTES_MAX = 16 << 20,  // of bodies that are not stored yet, all together
    BUILDERS = 8,                       // blocks under construction: similar bodies meet in the same one
    OP_TEXT_BYTES_MAX = 1 << 20,
    BODY_LIVE_PAGES = 256, LOG_LIVE_PAGES = 1024, // 4 MiB: folding in more at once would keep a device's alerts waiting
    MARKS = 1 << 15,
    NAMES_SEEN = 1 << 10,
    CLIENTS_SEEN = 1 << 8,
};

// Why nothing (or no body) is stored at the moment.
enum trouble { TROUBLE_NONE, TROUBLE_FULL, TROUBLE_ERROR };

enum log_statement {
    LOG_NAME, LOG_WORD, LOG_IP, LOG_WHO, LOG_SHAPE, LOG_LIST, LOG_PATH, LOG_TALLY, LOG_CALL, LOG_CONN, LOG_X,
    LOG_MORE, LOG_SPLIT, LOG_PART, LOG_LATE, LOG_SEEK, LOG_SEEK_CLIENT, LOG_SEEK_NAME, LOG_BUCKET, LOG_OP_BLOCK,
    LOG_OP_NAME, LOG_OP_ALIAS, LOG_LIFE,
    LOG_RESOLUTION, LOG_GAP, LOG_ALERT, LOG_OPAQUE, LOG_CONNS, LOG_BEAT, LOG_SEGMENT, LOG_X_PLACES, LOG_PARTS_DROP, LOG_STATEMENTS
};
enum body_statement { BODY_BLOCK, BODY_SYNCED, BODY_STATEMENTS };

struct body_part {
    uint32_t segment;
    int64_t place;       // -1: a hole
    uint64_t hole;
    int flags;           // enum part_flags of docs/tape-format.md: 1 raw, 2 hole's size unknown
};

// A body of an exchange that is not finished.
struct pending {
    struct buf data;     // what came after the last part
    struct body_part *parts;
    size_t part_count, part_room;
    bool raw, lost;
    uint64_t lost_bytes;
};

struct builder {
    int64_t block;       // its number, 0: nothing begun
    struct buf raw, dir;
    uint64_t last_exchange;
    uint32_t count, stored; // bodies in it; of these committed with an earlier version of the block
    bool dirty;
    int64_t before;         // the block closed since the last commit that was there at it, 0: none
    uint32_t before_stored; // with this many bodies
};

struct mark {
    int64_t number;
    uint64_t bucket;
};

struct span {
    uint64_t bucket;
    int64_t lo, hi;
};

struct gap_row {
    struct tape_gap gap;
    bool known;
    struct endpoint client, server;
    uint64_t count;
};

struct segment_state {
    bool open;
    uint32_t number;
    char name[FORMAT_NAME_SIZE];
    int64_t start_us, first_us, last_us;
    uint64_t first_x, last_x, rows, ops;
    sqlite3 *log, *body;
    sqlite3_stmt *log_stmt[LOG_STATEMENTS], *body_stmt[BODY_STATEMENTS];
    struct blockfile blocks;
    bool log_tx, body_tx, log_unsynced, body_unsynced;
    bool rotate;                 // wanted; done when no exchange stands between its ops and its row
    int64_t rotate_steady_ns;    // since when
    uint64_t tx_rows, tx_body_bytes, tx_first_x; // tx_body_bytes: for the body file itself
    int64_t last_block, committed_block; // body blocks given out; known to be committed
    uint64_t body_bytes, log_bytes;      // on disk, as of the last look
};

struct tape_writer {
    struct tape_settings settings;
    struct catalog catalog;
    int lock;
    _Atomic uint64_t next_id;
    struct segment_state seg;
    bool failed;                 // for good: fault says why
    struct fault fault;

    int64_t now_ns;              // newest moment told, WHEN_UNKNOWN before the first
    int64_t flushed_steady_ns, checked_steady_ns, retained_ns;
    int64_t alert_steady_ns;     // when an alert last committed
    int64_t unrecorded_from_us;  // end of what was recorded before us, INT64_MIN: nothing was, or it is told

    enum trouble bodies_off, rows_off;
    int64_t off_from_ns, off_steady_ns;
    uint64_t lost_rows, lost_bodies, lost_body_bytes;
    uint64_t unlooked_bytes;     // written to the body file since the disk's room was looked at
    uint32_t abandoned;          // segment to repair once the disk takes writes again

    struct dict names, words, ips, whos, shapes, lists, paths, tallies, calls;
    struct nummap *conns;        // serial -> client's port + 1, of connections that have a row in this segment
    struct nummap *attempts;     // exchanges stored before their answer
    struct nummap *op_owners;    // exchanges whose ops are stored and whose row is not yet
    struct buf key, list;

    struct nummap *pending;      // id * 2 + side -> struct pending
    uint64_t pending_bytes;
    struct builder builders[BUILDERS];
    struct pack *pack;           // compresses blocks beside us
    void *zstd;                  // ZSTD_CCtx, for ops

    struct op *ops;              // the block of ops under construction
    size_t op_count, ops_stored;
    struct arena op_text;
    int64_t op_block;
    struct buf op_data, op_filter;

    struct mark marks[MARKS], name_marks[MARKS]; // call or name, and bucket
    size_t mark_count, name_mark_count;
    struct mark names_seen[NAMES_SEEN];          // marked a moment ago, by the name's low bits
    struct mark clients_seen[CLIENTS_SEEN];      // the same for clients
    struct nummap *spans;        // bucket -> place in span_list + 1
    struct span *span_list;
    size_t span_count, span_room;
    struct nummap *gaps;         // connection, side, cause -> struct gap_row
    struct map *resolved;        // kind and name -> hash of the target told last
};

// ---- write.c --------------------------------------------------------------------------------------------------------
// Ready to write a row: a segment is open, in a transaction. False: nothing can be stored now, or never
// (w->failed); `return !w->failed` is right after it.
bool writer_ready(struct tape_writer *w, int64_t time_ns);
// The same for a row that must share the transaction and the segment of the row before it: commits and rotates nothing.
bool writer_ready_behind(struct tape_writer *w, int64_t time_ns);
// What a statement on the log gave. False: the row is not stored; rows are off, or w->failed.
bool writer_stored(struct tape_writer *w, int code);
bool writer_fail(struct tape_writer *w);            // memory is out: for good
// The end of a door's call: false with the fault when the writer failed.
bool writer_result(struct tape_writer *w, struct fault *f);
void writer_note_time(struct tape_writer *w, int64_t time_ns);
bool writer_commit(struct tape_writer *w, bool sync); // false: w->failed
bool writer_rotate_if_wanted(struct tape_writer *w);  // false: w->failed

// ---- write_segment.c -------------------------------------------------------------------------------------------------
bool segment_begin(struct tape_writer *w, int64_t time_ns);     // false: disk trouble, or w->failed
bool segment_seal(struct tape_writer *w);                       // false: w->failed
void segment_abandon(struct tape_writer *w);                    // closes without a further write
void segment_reseal(struct tape_writer *w);              // earlier segments that a reader or the disk kept from being sealed
// After a disk error: rolls back, lets go of the segment, counts what is lost.
void segment_stop_rows(struct tape_writer *w, enum db_trouble trouble);
bool segment_resume(struct tape_writer *w);                     // tries again when the disk has room; false: w->failed
bool segment_resume_bodies(struct tape_writer *w);
void segment_check_space(struct tape_writer *w);                // bodies go off while there is still room for rows

// ---- write_body.c ----------------------------------------------------------------------------------------------------
#define BODY_NONE INT64_MIN
// Places what is known of the body and forgets it. The value for x.req or x.resp; BODY_NONE: null.
int64_t body_finish(struct tape_writer *w, uint64_t id, enum body_side side, struct bytes api);
bool body_store_open(struct tape_writer *w); // writes dirty builders; false: bodies are off now
bool body_commit(struct tape_writer *w, bool sync); // false: bodies are off now
void body_stop(struct tape_writer *w, enum db_trouble trouble);
void body_forget_blocks(struct tape_writer *w); // the segment is left: builders are emptied, parts not committed are lost
void body_fini(struct tape_writer *w);

// ---- write_block.c ---------------------------------------------------------------------------------------------------
bool body_insert_block(struct tape_writer *w, const struct pack_job *job); // false: bodies are off now
// The file of blocks on the disk, and a row of the open transaction that says so.
enum db_trouble body_sync_blocks(struct tape_writer *w);

// ---- write_op.c ------------------------------------------------------------------------------------------------------
bool op_store(struct tape_writer *w);  // writes the block under construction as far as it is new
void op_forget(struct tape_writer *w); // a new segment
void op_fini(struct tape_writer *w);

// ---- write_row.c -----------------------------------------------------------------------------------------------------
bool row_store_marks(struct tape_writer *w); // seek, bucket
void row_forget(struct tape_writer *w);      // a new segment: dictionaries and marks begin again
int64_t row_name(struct tape_writer *w, struct bytes name); // number in table name; 0: failed

// ---- write_event.c ---------------------------------------------------------------------------------------------------
bool event_store_gaps(struct tape_writer *w);
bool event_store_gap_row(struct tape_writer *w, const struct gap_row *row, uint64_t rows_lost);
void event_fini(struct tape_writer *w);
void event_ip_text(const struct endpoint *e, char text[46]);
