// What the rooms of fsck share: where findings go, the segment under the lens.
#pragma once
#include "../base/map.h"
#include "db.h"
#include "fsck.h"
#include "read_inner.h"

struct fsck {
    struct reel reel;        // dir, for opening files as readers do
    fsck_fn *fn;
    void *ctx;
    struct fsck_stats *stats;
    struct fault *fault;
    bool failed;             // memory out
};

struct fsck_segment {
    struct fsck *all;
    char name[FORMAT_NAME_SIZE], file[FORMAT_NAME_SIZE + 16], body_file[FORMAT_NAME_SIZE + 16], blocks_file[FORMAT_NAME_SIZE + 16];
    uint32_t number;
    bool listed, sealed, body_gone, log_gone, log_here, body_here;
    uint64_t first_x, last_x;
    sqlite3 *log, *body;
    struct nummap *blocks;   // block -> number of bodies, filled by fsck_bodies
};

void fsck_say(struct fsck *f, const char *file, int invariant, bool harmless, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
// Says `text` with the number when the query's first column is not 0. The query's failure is a finding too.
bool fsck_expect_none(struct fsck *f, sqlite3 *db, const char *file, int invariant, const char *sql, const char *text);
bool fsck_integrity(struct fsck *f, sqlite3 *db, const char *file, uint32_t application_id);

void fsck_log(struct fsck_segment *s);     // invariants 2 to 6, 9, 11
void fsck_bodies(struct fsck_segment *s);  // 7
void fsck_places(struct fsck_segment *s);  // 8
