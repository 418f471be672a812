// Makes exchanges, ops and bodies for the tests of the tape, and looks into the files with plain SQL.
#pragma once
#include "../../../src/base/clock.h"
#include "../../../src/base/mem.h"
#include "../../../src/tape/write.h"

#include <ftw.h>
#include <glob.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define T0 INT64_C(1764000000000000000) // 2025-11-24T16:00:00Z

static inline int maker_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void maker_clear(const char *dir)
{
    nftw(dir, maker_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static inline const char *maker_dir(const char *name)
{
    static char dir[128];
    const char *base = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/estape-test-%s-%ld", base ? base : "/tmp", name, (long)getpid());
    maker_clear(dir);
    return dir;
}

static inline struct tape_writer *maker_open(const char *dir, struct tape_settings s)
{
    struct fault fault = {0};
    s.dir = dir;
    struct tape_writer *w = tape_write_open(&s, &fault);
    if (!w)
        print_message("%s\n", fault.text);
    assert_non_null(w);
    return w;
}

static inline void maker_close(struct tape_writer *w)
{
    struct fault fault = {0};
    bool ok = tape_write_close(w, &fault);
    if (!ok)
        print_message("%s\n", fault.text);
    assert_true(ok);
}

static inline struct endpoint maker_end(unsigned a, unsigned b, uint16_t port)
{
    struct endpoint e = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 10, [14] = (uint8_t)a, [15] = (uint8_t)b}, .port = port};
    return e;
}

// A PUT of one document, answered 201.
static inline struct exchange maker_exchange(uint64_t id, int64_t time_ns)
{
    static const struct bytes targets[1] = {{(const uint8_t *)"catalog", 7}};
    static const struct exchange_index indices[1] = {{{(const uint8_t *)"catalog", 7}, true, 1, 0, 0, 0}};
    static char path[64];
    snprintf(path, sizeof path, "/catalog/_doc/%llu", (unsigned long long)id);
    return (struct exchange){
        .id = id, .conn = 1 + id % 8, .client = maker_end(0, 5, (uint16_t)(40000 + id % 8)), .server = maker_end(0, 1, 9200),
        .time_ns = time_ns, .answered_ns = time_ns + 3 * WHEN_NS_PER_MS, .tcp_seq = (uint32_t)(id * 2654435761u),
        .verb = bytes_of_text("PUT"), .path = bytes_of_text(path), .principal = bytes_of_text("alice"),
        .agent = bytes_of_text("curl/7.88.1"), .auth = AUTH_BASIC, .api = bytes_of_text("index"),
        .action = bytes_of_text("indices:data/write/index"), .targets = targets, .target_count = 1, .indices = indices,
        .index_count = 1, .status = 201, .outcome = OUTCOME_OK, .docs = 1, .docs_ok = 1, .docs_failed = 0, .docs_deleted = 0,
        .docs_total = -1, .took_ms = -1, .request_bytes = 40, .response_bytes = 150,
        .flags = EXCHANGE_WRITE | EXCHANGE_REQUEST_KEPT | EXCHANGE_RESPONSE_KEPT,
    };
}

static inline void maker_body(struct tape_writer *w, uint64_t id, enum body_side side, const char *text)
{
    struct fault fault = {0};
    struct body_piece piece = {.bytes = bytes_of_text(text)};
    assert_true(tape_write_body(w, id, side, &piece, &fault));
}

static inline struct op maker_op(uint64_t exchange, uint32_t item, const char *id)
{
    return (struct op){.exchange = exchange, .item = item, .kind = OP_INDEX, .result = OP_CREATED, .status = 201,
                       .index = bytes_of_text("catalog"), .id = bytes_of_text(id), .shard = -1, .version = 1,
                       .seq_no = (int64_t)(exchange * 10 + item), .primary_term = 1, .asked_version = OP_NONE, .source_bytes = 20};
}

// A document write with bodies and its op.
static inline uint64_t maker_write(struct tape_writer *w, int64_t time_ns)
{
    struct fault fault = {0};
    uint64_t id = tape_write_next_id(w);
    char text[128], name[32];
    struct exchange x = maker_exchange(id, time_ns);
    snprintf(text, sizeof text, "{\"sku\":\"%llu\",\"price\":%llu}", (unsigned long long)id, (unsigned long long)(id * 7 % 1000));
    maker_body(w, id, BODY_REQUEST, text);
    snprintf(text, sizeof text, "{\"_index\":\"catalog\",\"_id\":\"%llu\",\"_version\":1,\"result\":\"created\"}", (unsigned long long)id);
    maker_body(w, id, BODY_RESPONSE, text);
    snprintf(name, sizeof name, "%llu", (unsigned long long)id);
    struct op op = maker_op(id, 0, name);
    assert_true(tape_write_ops(w, &op, 1, &fault));
    assert_true(tape_write_exchange(w, &x, &fault));
    return id;
}

// The n-th file of the tape whose name ends so, or NULL.
static inline const char *maker_file(const char *dir, const char *suffix, size_t n)
{
    static char path[600];
    glob_t found;
    snprintf(path, sizeof path, "%s/*%s", dir, suffix);
    int code = glob(path, 0, NULL, &found);
    path[0] = 0;
    if (code == 0 && n < found.gl_pathc)
        snprintf(path, sizeof path, "%s", found.gl_pathv[n]);
    if (code == 0)
        globfree(&found);
    return path[0] ? path : NULL;
}

static inline size_t maker_file_count(const char *dir, const char *suffix)
{
    size_t n = 0;
    while (maker_file(dir, suffix, n))
        n++;
    return n;
}

// First column of the first row as text, "-" when there is no row or it is null.
static inline const char *maker_sql(const char *path, const char *sql)
{
    static char text[4][2048];
    static unsigned turn;
    char *to = text[turn++ % 4];
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    assert_non_null(path);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    int code = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
    if (code != SQLITE_OK)
        print_message("%s: %s\n", sql, sqlite3_errmsg(db));
    assert_int_equal(code, SQLITE_OK);
    const char *got = sqlite3_step(s) == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : NULL;
    snprintf(to, sizeof text[0], "%s", got ? got : "-");
    sqlite3_finalize(s);
    sqlite3_close(db);
    return to;
}

static inline long long maker_number(const char *path, const char *sql)
{
    return atoll(maker_sql(path, sql));
}
