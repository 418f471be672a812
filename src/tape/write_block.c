// Where a compressed block goes: a row of the body file, its bytes there or in the file of blocks, and what is synced when.
#include "writer.h"

#include "block.h"

#include <stdio.h>

static bool open_body(struct tape_writer *w)
{
    static const char *const sql[BODY_STATEMENTS] = {
        [BODY_BLOCK] = "REPLACE INTO block(id, size, sum, dir, data, at, bytes) VALUES(?,?,?,?,?,?,?)",
        [BODY_SYNCED] = "UPDATE segment SET synced=?",
    };
    struct segment_state *s = &w->seg;
    enum db_trouble trouble = DB_FINE;
    char path[4096];
    if (!s->body) {
        catalog_path(w->catalog.dir, s->name, true, path, sizeof path);
        if (!db_create(path, &db_body, &s->body, &trouble, &w->fault)) {
            if (trouble == DB_BROKEN)
                w->failed = true;
            else
                body_stop(w, trouble);
            return false;
        }
        if (w->settings.live)
            sqlite3_wal_autocheckpoint(s->body, BODY_LIVE_PAGES);
        char row[256];
        snprintf(row, sizeof row, "INSERT INTO segment(number, tape, name) VALUES(%u,'%s','%s')", s->number, w->catalog.id, s->name);
        int code = db_exec(s->body, row);
        if (code != SQLITE_OK || !db_prepare(s->body, sql, BODY_STATEMENTS, s->body_stmt)) {
            body_stop(w, db_trouble(s->body, code == SQLITE_OK ? sqlite3_extended_errcode(s->body) : code));
            return false;
        }
    }
    if (!s->body_tx) {
        int code = db_exec(s->body, "BEGIN");
        if (code != SQLITE_OK) {
            body_stop(w, db_trouble(s->body, code));
            return false;
        }
        s->body_tx = true;
    }
    return true;
}

static enum db_trouble append_block(struct tape_writer *w, struct bytes data, uint64_t *at)
{
    struct blockfile *blocks = &w->seg.blocks;
    enum db_trouble trouble = DB_FINE;
    if (blocks->fd < 0) {
        char body[4096], path[4096];
        catalog_path(w->catalog.dir, w->seg.name, true, body, sizeof body);
        blockfile_path(body, path, sizeof path);
        trouble = blockfile_open(blocks, path);
    }
    return trouble == DB_FINE ? blockfile_append(blocks, data, at) : trouble;
}

bool body_insert_block(struct tape_writer *w, const struct pack_job *job)
{
    if (w->bodies_off || !open_body(w))
        return false;
    if (job->failed)
        return writer_fail(w);
    uint64_t at = 0;
    enum db_trouble trouble = job->whole ? append_block(w, buf_view(&job->data), &at) : DB_FINE;
    if (trouble != DB_FINE) {
        body_stop(w, trouble);
        return false;
    }
    sqlite3_stmt *row = w->seg.body_stmt[BODY_BLOCK];
    db_bind(row, 1, job->block);
    db_bind(row, 2, (int64_t)job->raw.size);
    db_bind(row, 3, (int64_t)block_sum(buf_view(&job->dir), buf_view(&job->data)));
    db_bind_blob(row, 4, buf_view(&job->dir));
    if (job->whole)
        sqlite3_bind_null(row, 5);
    else
        db_bind_blob(row, 5, buf_view(&job->data));
    db_bind_known(row, 6, job->whole ? (int64_t)at : -1);
    db_bind_known(row, 7, job->whole ? (int64_t)job->data.size : -1);
    int code = db_run(row);
    if (code != SQLITE_DONE) {
        body_stop(w, db_trouble(w->seg.body, code));
        return false;
    }
    w->seg.tx_body_bytes += job->dir.size + (job->whole ? 0 : job->data.size);
    w->unlooked_bytes += job->data.size;
    return true;
}

// The blocks first, so that `synced` tells how far no row has to be doubted after a power loss.
enum db_trouble body_sync_blocks(struct tape_writer *w)
{
    struct segment_state *s = &w->seg;
    bool news = s->blocks.unsynced;
    enum db_trouble trouble = blockfile_sync(&s->blocks, w->catalog.dir);
    if (trouble != DB_FINE || !news || !s->body_tx)
        return trouble;
    db_bind(s->body_stmt[BODY_SYNCED], 1, (int64_t)s->blocks.size);
    return db_trouble(s->body, db_run(s->body_stmt[BODY_SYNCED]));
}
