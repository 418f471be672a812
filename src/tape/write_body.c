// Bodies become blocks: collected while they arrive, grouped with their like when their exchange is done, compressed.
//
// Flow: piece -> pending data of (exchange, side) -> [256 KiB, or a hole, or too much pending: a part in a block] ->
// exchange done -> builder of similar bodies, or a block of its own -> committed before the row that names it.
// 1. Pending data of all bodies together stays below BODY_PENDING_BYTES_MAX.
// 2. A block that is rewritten at a commit only grows: what it held keeps its place.
// 3. A place is named by a row only if its block was stored in the same or an earlier commit; when storing fails, rows of
//    the open transaction that name such a place are told FORMAT_BODY_LOST.
// 4. A block that is whole when it is stored first goes to the file of blocks and is written once; one that grew from commit
//    to commit stays in the body file, so that what was synced with it before cannot go with the power.
#include "writer.h"

#include "block.h"

#include <stdio.h>
#include <xxhash.h>
#include <zstd.h>

enum { PART_RAW = 1, PART_HOLE_UNKNOWN = 2 };

static uint64_t pending_key(uint64_t id, enum body_side side)
{
    return id * 2 + (side == BODY_RESPONSE);
}

static struct pending *find_pending(struct tape_writer *w, uint64_t id, enum body_side side)
{
    union map_value *value = nummap_find(w->pending, pending_key(id, side));
    return value ? value->ptr : NULL;
}

static struct pending *make_pending(struct tape_writer *w, uint64_t id, enum body_side side)
{
    bool fresh = false;
    union map_value *value = nummap_put(w->pending, pending_key(id, side), &fresh);
    if (value && !value->ptr) {
        value->ptr = mem_zero(1, sizeof(struct pending));
        if (!value->ptr)
            nummap_drop(w->pending, pending_key(id, side));
        else
            return value->ptr;
        value = NULL;
    }
    if (!value)
        writer_fail(w);
    return value ? value->ptr : NULL;
}

static void drop_data(struct tape_writer *w, struct pending *p)
{
    w->pending_bytes -= p->data.size;
    buf_clear(&p->data);
}

static void free_pending(struct tape_writer *w, struct pending *p)
{
    drop_data(w, p);
    buf_fini(&p->data);
    mem_free(p->parts);
    mem_free(p);
}

static void forget_pending(struct tape_writer *w, uint64_t id, enum body_side side)
{
    struct pending *p = find_pending(w, id, side);
    if (!p)
        return;
    nummap_drop(w->pending, pending_key(id, side));
    free_pending(w, p);
}

// The disk does not take it: nothing of this body is kept.
static void lose(struct tape_writer *w, struct pending *p, uint64_t more)
{
    if (!p->lost)
        w->lost_bodies++;
    w->lost_body_bytes += p->data.size + more;
    p->lost = true;
    p->part_count = 0;
    drop_data(w, p);
    buf_fini(&p->data);
}

// ---- blocks ---------------------------------------------------------------------------------------------------------

// Stores blocks that are compressed by now; `all`: waits for those that are not.
static bool store_packed(struct tape_writer *w, bool all)
{
    for (struct pack_job *job; (job = pack_take(w->pack, all));) {
        bool ok = body_insert_block(w, job);
        // Trouble has emptied the ring already.
        if (!ok)
            return false;
        pack_release(w->pack);
    }
    return true;
}

static void swap(struct buf *a, struct buf *b)
{
    struct buf old = *a;
    *a = *b;
    *b = old;
}

// A job to fill; NULL: bodies are off now, or the writer failed.
static struct pack_job *next_job(struct tape_writer *w, int64_t block)
{
    if (w->bodies_off || w->failed || !store_packed(w, false))
        return NULL;
    struct pack_job *job = pack_slot(w->pack), *oldest;
    if (!job) {
        oldest = pack_take(w->pack, true);
        if (!body_insert_block(w, oldest))
            return NULL;
        pack_release(w->pack);
        job = pack_slot(w->pack);
    }
    job->block = block;
    buf_clear(&job->dir);
    buf_clear(&job->raw);
    return job;
}

// A block that holds this one body or part alone; its data is taken. Its place, or -1.
static int64_t store_own(struct tape_writer *w, const struct block_entry *entry, struct buf *data)
{
    int64_t block = ++w->seg.last_block;
    struct pack_job *job = next_job(w, block);
    if (!job)
        return -1;
    if (!block_pack_entry(&job->dir, 0, entry)) {
        writer_fail(w);
        return -1;
    }
    swap(&job->raw, data);
    job->whole = true;
    pack_put(w->pack);
    return block * FORMAT_BODIES_PER_BLOCK;
}

static void begin_builder(struct builder *b)
{
    if (b->stored) { // until the next commit a rollback takes the block back to this
        b->before = b->block;
        b->before_stored = b->stored;
    }
    b->block = 0;
    b->count = b->stored = 0;
    b->last_exchange = 0;
    b->dirty = false;
    buf_clear(&b->raw);
    buf_clear(&b->dir);
}

// Stores the block; `full`: it is closed, its bytes are taken, else they are copied, for it will grow.
static bool store_builder(struct tape_writer *w, struct builder *b, bool full)
{
    if (!b->dirty)
        return true;
    struct pack_job *job = next_job(w, b->block);
    if (!job)
        return false;
    if (full) {
        swap(&job->raw, &b->raw);
        swap(&job->dir, &b->dir);
    } else if (!buf_add_bytes(&job->raw, buf_view(&b->raw)) || !buf_add_bytes(&job->dir, buf_view(&b->dir))) {
        return writer_fail(w);
    }
    job->whole = full && !b->stored;
    pack_put(w->pack);
    b->dirty = false;
    return true;
}

static int64_t add_to_builder(struct tape_writer *w, struct builder *b, const struct block_entry *entry, struct bytes raw)
{
    if (b->block && (b->raw.size + raw.size > BODY_BLOCK_BYTES || b->count == FORMAT_BODIES_PER_BLOCK)) {
        if (!store_builder(w, b, true))
            return -1;
        begin_builder(b);
    }
    if (!b->block)
        b->block = ++w->seg.last_block;
    size_t raw_size = b->raw.size, dir_size = b->dir.size;
    if (!buf_add_bytes(&b->raw, raw) || !block_pack_entry(&b->dir, b->last_exchange, entry)) {
        b->raw.size = raw_size;
        b->dir.size = dir_size;
        writer_fail(w);
        return -1;
    }
    b->last_exchange = entry->exchange;
    b->dirty = true;
    return b->block * FORMAT_BODIES_PER_BLOCK + b->count++;
}

// Similar bodies share a block: by side, and by api where it is known.
static struct builder *builder_for(struct tape_writer *w, enum body_side side, struct bytes api)
{
    size_t kinds = BUILDERS / 2;
    return &w->builders[(side == BODY_RESPONSE) * kinds + XXH3_64bits(api.at, api.size) % kinds];
}

static int64_t place_data(struct tape_writer *w, struct pending *p, const struct block_entry *entry, struct bytes api)
{
    struct bytes raw = buf_view(&p->data);
    if (raw.size < BODY_OWN_BYTES) {
        int64_t place = add_to_builder(w, builder_for(w, entry->side, api), entry, raw);
        if (place >= 0)
            drop_data(w, p);
        return place;
    }
    int64_t place = store_own(w, entry, &p->data);
    if (place >= 0) {
        w->pending_bytes -= raw.size;
        buf_clear(&p->data); // a buffer that served another block before
    }
    return place;
}

// ---- parts ----------------------------------------------------------------------------------------------------------

static bool add_part(struct tape_writer *w, struct pending *p, struct body_part part)
{
    if (p->part_count == p->part_room) {
        size_t room = p->part_room ? p->part_room * 2 : 8;
        struct body_part *parts = mem_grow(p->parts, room * sizeof *parts);
        if (!parts)
            return writer_fail(w);
        p->parts = parts;
        p->part_room = room;
    }
    p->parts[p->part_count++] = part;
    return true;
}

// The pending data becomes a part of its own. False: the body is lost, or the writer failed.
static bool cut_part(struct tape_writer *w, struct pending *p, uint64_t id, enum body_side side)
{
    if (!p->data.size)
        return true;
    struct block_entry entry = {.exchange = id, .side = side, .part = true, .size = p->data.size};
    int64_t place = place_data(w, p, &entry, bytes_of("", 0));
    if (place < 0) {
        if (!p->lost)
            lose(w, p, 0);
        return false;
    }
    return add_part(w, p, (struct body_part){w->seg.number, place, 0, p->raw ? PART_RAW : 0});
}

static bool cut_all(struct tape_writer *w)
{
    size_t at = 0;
    uint64_t key;
    union map_value *value;
    while (nummap_next(w->pending, &at, &key, &value)) {
        struct pending *p = value->ptr;
        cut_part(w, p, key / 2, key & 1 ? BODY_RESPONSE : BODY_REQUEST);
        buf_fini(&p->data);
        if (w->failed)
            return false;
    }
    return true;
}

static bool add_hole(struct tape_writer *w, struct pending *p, uint64_t id, enum body_side side, const struct body_piece *piece)
{
    if (!cut_part(w, p, id, side))
        return false;
    int flags = (piece->hole_unknown ? PART_HOLE_UNKNOWN : 0) | (p->raw ? PART_RAW : 0);
    struct body_part *last = p->part_count ? &p->parts[p->part_count - 1] : NULL;
    if (last && last->place < 0 && last->flags == flags) {
        last->hole += piece->hole_bytes;
        return true;
    }
    return add_part(w, p, (struct body_part){0, -1, piece->hole_bytes, flags});
}

bool tape_write_body(struct tape_writer *w, uint64_t id, enum body_side side, const struct body_piece *piece, struct fault *f)
{
    struct pending *p = w->failed ? NULL : make_pending(w, id, side);
    if (!p)
        return writer_result(w, f);
    if (p->lost || w->rows_off || w->bodies_off) {
        lose(w, p, piece->bytes.size);
        return writer_result(w, f);
    }
    bool hole = piece->hole_bytes || piece->hole_unknown;
    bool cut = piece->raw != p->raw || p->data.size >= BODY_BLOCK_BYTES;
    if ((hole || cut) && !writer_ready(w, WHEN_UNKNOWN)) {
        lose(w, p, piece->bytes.size);
        return writer_result(w, f);
    }
    if (cut && !cut_part(w, p, id, side))
        return writer_result(w, f);
    p->raw = piece->raw;
    if (hole) {
        add_hole(w, p, id, side, piece);
        return writer_result(w, f);
    }
    if (!buf_add_bytes(&p->data, piece->bytes)) {
        writer_fail(w);
        return writer_result(w, f);
    }
    w->pending_bytes += piece->bytes.size;
    if (w->pending_bytes > BODY_PENDING_BYTES_MAX && writer_ready(w, WHEN_UNKNOWN))
        cut_all(w);
    return writer_result(w, f);
}

static bool store_parts(struct tape_writer *w, const struct pending *p, uint64_t id, enum body_side side)
{
    sqlite3_stmt *row = w->seg.log_stmt[LOG_PART];
    for (size_t i = 0; i < p->part_count; i++) {
        const struct body_part *part = &p->parts[i];
        db_bind(row, 1, (int64_t)id);
        db_bind(row, 2, side == BODY_RESPONSE);
        db_bind(row, 3, (int64_t)i);
        db_bind_known(row, 4, part->place < 0 || part->segment == w->seg.number ? -1 : (int64_t)part->segment);
        db_bind_known(row, 5, part->place);
        db_bind_known(row, 6, part->place < 0 ? (int64_t)part->hole : -1);
        db_bind(row, 7, part->flags);
        if (!writer_stored(w, db_run(row)))
            return false;
    }
    return true;
}

static int64_t finish(struct tape_writer *w, struct pending *p, uint64_t id, enum body_side side, struct bytes api)
{
    if (!p->lost && (w->bodies_off || w->rows_off))
        lose(w, p, 0);
    if (p->lost)
        return FORMAT_BODY_LOST;
    if (!p->part_count && !p->raw) {
        if (!p->data.size)
            return BODY_NONE;
        struct block_entry entry = {.exchange = id, .side = side, .size = p->data.size};
        int64_t place = place_data(w, p, &entry, api);
        if (place < 0 && !p->lost)
            lose(w, p, 0);
        return place < 0 ? FORMAT_BODY_LOST : place;
    }
    if (!cut_part(w, p, id, side))
        return FORMAT_BODY_LOST;
    return store_parts(w, p, id, side) ? FORMAT_BODY_PARTS : FORMAT_BODY_LOST;
}

int64_t body_finish(struct tape_writer *w, uint64_t id, enum body_side side, struct bytes api)
{
    struct pending *p = find_pending(w, id, side);
    if (!p)
        return BODY_NONE;
    int64_t place = finish(w, p, id, side, api);
    forget_pending(w, id, side);
    return place;
}

// ---- commits and disk trouble ---------------------------------------------------------------------------------------

bool body_store_open(struct tape_writer *w)
{
    for (size_t i = 0; i < BUILDERS; i++)
        if (!store_builder(w, &w->builders[i], false))
            return false;
    return store_packed(w, true);
}

bool body_commit(struct tape_writer *w, bool sync)
{
    struct segment_state *s = &w->seg;
    if (w->bodies_off || !s->open || !body_store_open(w))
        return false;
    enum db_trouble trouble = sync ? body_sync_blocks(w) : DB_FINE;
    if (trouble == DB_FINE && s->body_tx)
        trouble = db_trouble(s->body, db_exec(s->body, "COMMIT"));
    if (trouble != DB_FINE) {
        body_stop(w, trouble);
        return false;
    }
    s->body_tx = false;
    blockfile_keep(&s->blocks);
    s->committed_block = s->last_block;
    s->body_unsynced |= s->tx_body_bytes > 0;
    s->tx_body_bytes = 0;
    for (size_t i = 0; i < BUILDERS; i++) {
        w->builders[i].stored = w->builders[i].count;
        w->builders[i].before = 0;
    }
    if (!sync || !s->body_unsynced)
        return true;
    int code = db_sync(s->body);
    s->body_unsynced = code != SQLITE_OK;
    if (code == SQLITE_OK)
        return true;
    body_stop(w, db_trouble(s->body, code));
    return false;
}

// Is what this place names in a committed block?
static bool committed(const struct tape_writer *w, int64_t place)
{
    int64_t block = place / FORMAT_BODIES_PER_BLOCK, ordinal = place % FORMAT_BODIES_PER_BLOCK;
    for (size_t i = 0; i < BUILDERS; i++)
        if (w->builders[i].block == block)
            return ordinal < w->builders[i].stored;
    for (size_t i = 0; i < BUILDERS; i++)
        if (w->builders[i].before == block)
            return ordinal < w->builders[i].before_stored;
    return block <= w->seg.committed_block;
}

// Rows of the open transaction that name a place which will not be there.
static bool withdraw_places(struct tape_writer *w)
{
    sqlite3_stmt *rows = NULL, *row = w->seg.log_stmt[LOG_X_PLACES], *parts = w->seg.log_stmt[LOG_PARTS_DROP];
    if (!w->seg.log_tx || !w->seg.tx_rows)
        return true;
    int code = sqlite3_prepare_v2(w->seg.log, "SELECT id, req, resp, (SELECT max(place) FROM part WHERE x=id AND side=0 AND segment IS NULL),"
                                  " (SELECT max(place) FROM part WHERE x=id AND side=1 AND segment IS NULL) FROM x WHERE id>=?",
                                  -1, &rows, NULL);
    if (code == SQLITE_OK)
        db_bind(rows, 1, (int64_t)w->seg.tx_first_x);
    while (code == SQLITE_OK && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        code = SQLITE_OK;
        for (int side = 0; side < 2 && code == SQLITE_OK; side++) {
            int column = 1 + side;
            bool has_parts = sqlite3_column_type(rows, column) != SQLITE_NULL && sqlite3_column_int64(rows, column) == FORMAT_BODY_PARTS;
            int64_t place = sqlite3_column_int64(rows, has_parts ? column + 2 : column);
            if (sqlite3_column_type(rows, column) == SQLITE_NULL || place < 0 || committed(w, place))
                continue;
            db_bind(row, 1, side);
            db_bind(row, 2, sqlite3_column_int64(rows, 0));
            db_bind(parts, 1, sqlite3_column_int64(rows, 0));
            db_bind(parts, 2, side);
            w->lost_bodies++;
            code = db_run(row);
            code = code == SQLITE_DONE && has_parts ? db_run(parts) : code;
            code = code == SQLITE_DONE ? SQLITE_OK : code;
        }
    }
    sqlite3_finalize(rows);
    return writer_stored(w, code == SQLITE_OK ? SQLITE_DONE : code);
}

// Parts of bodies still arriving that were in blocks which are gone.
static void lose_pending_parts(struct tape_writer *w)
{
    size_t at = 0;
    uint64_t key;
    union map_value *value;
    while (nummap_next(w->pending, &at, &key, &value)) {
        struct pending *p = value->ptr;
        bool gone = false;
        for (size_t i = 0; i < p->part_count; i++)
            gone |= p->parts[i].place >= 0 && p->parts[i].segment == w->seg.number && !committed(w, p->parts[i].place);
        if (gone && !p->lost)
            lose(w, p, 0);
    }
}

static void empty_builders(struct tape_writer *w)
{
    for (size_t i = 0; i < BUILDERS; i++) {
        begin_builder(&w->builders[i]);
        w->builders[i].before = 0;
    }
}

void body_stop(struct tape_writer *w, enum db_trouble trouble)
{
    struct segment_state *s = &w->seg;
    if (trouble == DB_BROKEN && s->body && (sqlite3_errcode(s->body) & 0xff) == SQLITE_NOMEM) {
        writer_fail(w);
        return;
    }
    if (w->bodies_off || w->failed)
        return;
    w->bodies_off = trouble == DB_DISK_FULL ? TROUBLE_FULL : TROUBLE_ERROR;
    if (!w->rows_off)
        w->off_from_ns = w->now_ns;
    if (s->body && s->body_tx)
        db_exec(s->body, "ROLLBACK");
    s->body_tx = false;
    s->tx_body_bytes = 0;
    blockfile_take_back(&s->blocks);
    pack_discard(w->pack);
    lose_pending_parts(w);
    withdraw_places(w);
    empty_builders(w);
    // What the file's write-ahead log holds of the disk is what the rows need now.
    if (s->body && w->bodies_off == TROUBLE_FULL)
        sqlite3_wal_checkpoint_v2(s->body, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}

void body_forget_blocks(struct tape_writer *w)
{
    pack_discard(w->pack);
    lose_pending_parts(w);
    empty_builders(w);
}

void body_fini(struct tape_writer *w)
{
    size_t at = 0;
    uint64_t key;
    union map_value *value;
    while (w->pending && nummap_next(w->pending, &at, &key, &value))
        free_pending(w, value->ptr);
    nummap_close(w->pending);
    for (size_t i = 0; i < BUILDERS; i++) {
        buf_fini(&w->builders[i].raw);
        buf_fini(&w->builders[i].dir);
    }
    pack_close(w->pack);
    ZSTD_freeCCtx(w->zstd);
}
