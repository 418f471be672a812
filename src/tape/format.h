// The tape's format: file names, versions, the SQL of every file, and the small numbers that rows are packed with.
//
// Shared by the writer and the reader; docs/tape-format.md says the same in prose. A directory holds
//     NAME.log.db NAME.body.db NAME.body.dat   of one segment; NAME = 20261124T140211Z-000042 (start time, number)
//     tape.db alerts.db lock     replay-NAME.db
#pragma once
#include "../../include/exchange.h"
#include "../../include/op.h"
#include "../../include/stream.h"
#include "../../include/message.h"
#include <stddef.h>

#define FORMAT_VERSION 1 // PRAGMA user_version of every file; a later one is refused

// PRAGMA application_id: what `file` and we know the files by.
#define FORMAT_LOG_ID 0x65744c47   // "etLG"
#define FORMAT_BODY_ID 0x65744244  // "etBD"
#define FORMAT_TAPE_ID 0x65745450  // "etTP"
#define FORMAT_ALERTS_ID 0x6574414c // "etAL"
#define FORMAT_JOURNAL_ID 0x6574524a // "etRJ"

#define FORMAT_LOG_SUFFIX ".log.db"
#define FORMAT_BODY_SUFFIX ".body.db"
#define FORMAT_BLOCKS_SUFFIX ".body.dat"
#define FORMAT_NEW_SUFFIX "-new" // a file that is being made: not there yet
#define FORMAT_TAPE_NAME "tape.db"
#define FORMAT_ALERTS_NAME "alerts.db"
#define FORMAT_LOCK_NAME "lock"
#define FORMAT_NAME_SIZE 32        // of a segment's name, NUL included

// Exchanges are found through `seek`, which knows buckets of this many ids: id >> FORMAT_BUCKET_SHIFT.
#define FORMAT_BUCKET_SHIFT 6
// A body's place: block number * FORMAT_BODIES_PER_BLOCK + ordinal in the block's directory.
#define FORMAT_BODIES_PER_BLOCK 4096
#define FORMAT_BODY_PARTS (-1)     // x.req, x.resp: see table part
#define FORMAT_BODY_LOST (-2)      // it was to be kept, but the disk was full or the power went
#define FORMAT_BODY_PRUNED (-3)    // it was kept, and dropped by `prune` since
#define FORMAT_OPS_PER_BLOCK 4096

extern const char format_log_sql[], format_body_sql[], format_tape_sql[], format_alerts_sql[], format_journal_sql[];
extern const char format_tape_more_sql[]; // tables that a tape.db of an earlier program lacks

// What `info` tells of a segment: queries over its log, whose rows the catalog keeps (table coverage) once it is sealed.
enum format_cover { COVER_GAPS, COVER_CONNS, COVER_OPAQUE, COVER_BEATS, COVER_FLAGS, COVERS };
struct format_cover_query {
    const char *what;
    int columns;
    const char *sql;
};
extern const struct format_cover_query format_covers[COVERS];

// Words stored for the enumerators.
extern const char *const format_outcomes[OUTCOMES];
extern const char *const format_auths[AUTH_KINDS];
extern const char *const format_causes[GAP_CAUSES];
extern const char *const format_opaques[OPAQUE_OTHER + 1];
extern const char *const format_op_kinds[OP_KINDS];
extern const char *const format_op_results[OP_RESULTS];
// The place of `word` in one of these tables, or `otherwise`.
int format_word_find(const char *const *words, size_t count, struct bytes word, int otherwise);

// "20261124T140211Z-000042" for a start time and a number.
void format_segment_name(int64_t start_us, uint32_t number, char name[FORMAT_NAME_SIZE]);
// True when `file` is a segment's log or body file name; its NAME part's length and the number are told.
bool format_parse_name(const char *file, size_t *name_size, uint32_t *number, bool *body);

// The next number of a list of names ("[3,-4]": not 0, negative where an index is not concrete); false at its end.
bool format_next_number(struct bytes *list, int64_t *number);

// traceparent in its usual spelling is stored as 25 bytes; anything else as it is. Both return the size.
size_t format_pack_trace(struct bytes text, uint8_t packed[25]);          // 0: not of the usual spelling
size_t format_unpack_trace(struct bytes packed, char text[56]);           // 0: it is stored as it is

// Path = head || var || tail: head and tail repeat and live in table `path`, var stands in the row.
struct format_path {
    struct bytes head, var, tail;
};
struct format_path format_split_path(struct bytes path);
