// The catalog of a tape, tape.db: every segment it has or had, their summaries, tombstones. Owned by the writer.
#pragma once
#include "../../include/fault.h"
#include "db.h"
#include "format.h"

struct catalog_segment {
    uint32_t number;
    char name[FORMAT_NAME_SIZE];
    int64_t start_us;
    int64_t first_us, last_us;     // INT64_MIN: nothing told
    uint64_t next_id, first_x, last_x;
    uint64_t rows, ops, gaps, alerts;
    uint64_t log_bytes, body_bytes;
    bool sealed, repaired;
    bool body_gone, log_gone;
};

struct catalog {
    char *dir;
    sqlite3 *db;
    struct catalog_segment *at;    // by number
    size_t count, room;
    char id[33];                   // the tape's own id
};

// True when dir holds a tape or may become one (missing or empty). Fault user otherwise; nothing is touched.
bool catalog_check_dir(const char *dir, bool *exists, struct fault *fault);
// Opens or makes tape.db; takes segments into the list that only the directory knows.
bool catalog_open(struct catalog *c, const char *dir, struct fault *fault);
void catalog_close(struct catalog *c);

struct catalog_segment *catalog_add(struct catalog *c, const struct catalog_segment *s, struct fault *fault); // a copy, stored
bool catalog_store(struct catalog *c, const struct catalog_segment *s, struct fault *fault);
bool catalog_forget(struct catalog *c, uint32_t number, struct fault *fault);
// Copies the summary rows of a sealed segment's log into the catalog, and its numbers into *s; stores *s.
bool catalog_take_summary(struct catalog *c, struct catalog_segment *s, sqlite3 *log, struct fault *fault);
// The tombstone first, the file after: a crash between leaves a file that the next open removes.
bool catalog_drop_body(struct catalog *c, struct catalog_segment *s, int64_t now_us, const char *why, struct fault *fault);
bool catalog_drop_log(struct catalog *c, struct catalog_segment *s, int64_t now_us, const char *why, struct fault *fault);
uint64_t catalog_bytes(const struct catalog *c); // on disk, sealed segments and tombstones only

// "DIR/NAME.log.db" or "DIR/NAME.body.db". size is that of `path`.
void catalog_path(const char *dir, const char *name, bool body, char *path, size_t size);
// Bytes of a SQLite file and its companions on disk.
uint64_t catalog_file_bytes(const char *path);
void catalog_unlink(const char *path); // and its companions
// The same for a body file, its file of blocks included.
uint64_t catalog_body_bytes(const char *path);
void catalog_unlink_body(const char *path);
