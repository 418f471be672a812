// Reading bodies: where the parts of a body lie, the blocks they lie in, ranges of a decoded body.
//
// 1. A body is a map of parts: bytes in a block, or a hole; their sizes come from the blocks' directories, so that a range
//    of a large body is read without decoding what stands before it.
// 2. Blocks decoded last are kept (BLOCKS_KEPT), since neighbours share them. One of a growing segment is read again when it
//    does not know an entry: it may have grown.
// 3. A block is believed only when its checksum fits and its directory names the exchange and side that were asked for.
#include "select.h"

#include "../base/diag.h"
#include "block.h"
#include "blockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BLOCKS_KEPT = 8, PLACES = 256, PLACES_NEAR = 64, PART_RAW = 1, PART_HOLE_UNKNOWN = 2 };

struct kept_block {
    struct reel *reel;
    uint32_t segment;
    int64_t block;
    uint64_t used;
    struct buf raw, dir, packed;
    struct block_entry *entries; // of dir, decoded
    uint32_t entry_count, entry_room;
};

struct body_part {
    uint64_t at, size;  // in the decoded body; a hole of unknown size has size 0
    uint32_t segment;
    int64_t place;      // -1: a hole
    uint64_t hole_bytes;
    bool raw, hole_unknown;
};

struct body_map {
    struct reel *reel;
    uint64_t id;
    enum body_side side;
    enum tape_body_state state;
    struct body_part *parts;
    size_t count, room;
    uint64_t size;
    bool valid, final; // final: of a sealed segment, it stays true
};

// Places of the requests of some exchanges in a row, for who reads one body after the other.
struct body_places {
    struct reel *reel;
    uint32_t segment;
    uint64_t from, last; // first id of the run; the id asked for last
    int64_t at[PLACES]; // below 0: ask the row
};

struct body_reader {
    struct kept_block kept[BLOCKS_KEPT];
    struct body_map map;
    struct body_places places;
    uint64_t clock;
};

void body_reader_close(struct body_reader *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < BLOCKS_KEPT; i++) {
        buf_fini(&b->kept[i].raw);
        buf_fini(&b->kept[i].dir);
        buf_fini(&b->kept[i].packed);
        mem_free(b->kept[i].entries);
    }
    mem_free(b->map.parts);
    mem_free(b);
}

static struct body_reader *reader_of(struct tape *t)
{
    if (!t->bodies)
        t->bodies = mem_zero(1, sizeof *t->bodies);
    return t->bodies;
}

// ---- blocks ---------------------------------------------------------------------------------------------------------

// What keeps the bodies of a segment from being read.
static enum tape_body_state missing_state(struct reel *r, const struct reel_segment *s)
{
    if (!s)
        return TAPE_BODY_MISSING;
    if (!s->body_here && s->body_gone_us)
        return TAPE_BODY_PRUNED;
    if (!s->body_here)
        tape_warn(r->tape, "the body file of segment %s of tape %s is not there: its bodies are missing", s->name, r->name);
    return s->body_here ? TAPE_BODY_DAMAGED : TAPE_BODY_MISSING;
}

// A block's bytes from the file beside the body file: of one that is not there, or denied, a line tells.
static enum tape_body_state fetch_block(struct reel *r, struct reel_segment *s, uint64_t at, uint64_t bytes, struct buf *out)
{
    char path[4300];
    snprintf(path, sizeof path, "%s/%s" FORMAT_BLOCKS_SUFFIX, r->dir, s->name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        tape_warn(r->tape, "the bodies in %s" FORMAT_BLOCKS_SUFFIX " of tape %s cannot be read: %s", s->name, r->name,
                  errno == ENOENT ? "it is not there" : strerror(errno));
        return TAPE_BODY_MISSING;
    }
    bool ok = blockfile_read(fd, at, bytes, out);
    close(fd);
    return ok ? TAPE_BODY_WHOLE : TAPE_BODY_DAMAGED;
}

// From a row of size, sum, dir, data, at, bytes.
static enum tape_body_state take_block(struct reel *r, struct reel_segment *s, sqlite3_stmt *row, struct kept_block *kept)
{
    struct bytes dir = db_blob(row, 2), data = db_blob(row, 3);
    buf_clear(&kept->dir);
    if (sqlite3_column_type(row, 3) == SQLITE_NULL) {
        enum tape_body_state state =
            fetch_block(r, s, (uint64_t)sqlite3_column_int64(row, 4), (uint64_t)sqlite3_column_int64(row, 5), &kept->packed);
        if (state != TAPE_BODY_WHOLE)
            return state;
        data = buf_view(&kept->packed);
    }
    bool ok = (int64_t)block_sum(dir, data) == sqlite3_column_int64(row, 1) &&
              block_unpack(data, (uint64_t)sqlite3_column_int64(row, 0), &kept->raw) && buf_add_bytes(&kept->dir, dir);
    return ok ? TAPE_BODY_WHOLE : TAPE_BODY_DAMAGED;
}

static enum tape_body_state load_block(struct reel *r, struct reel_segment *s, int64_t block, struct kept_block *kept)
{
    sqlite3 *db = segment_body(r, s);
    sqlite3_stmt *stmt = NULL;
    if (!db)
        return missing_state(r, s);
    enum tape_body_state state = TAPE_BODY_DAMAGED;
    if (sqlite3_prepare_v2(db, "SELECT size,sum,dir,data,at,bytes FROM block WHERE id=?", -1, &stmt, NULL) == SQLITE_OK) {
        sqlite3_bind_int64(stmt, 1, block);
        if (sqlite3_step(stmt) == SQLITE_ROW)
            state = take_block(r, s, stmt, kept);
    }
    sqlite3_finalize(stmt);
    if (state == TAPE_BODY_DAMAGED)
        tape_warn(r->tape, "a block of bodies in segment %s of tape %s is damaged; 'estape fsck' tells more", s->name, r->name);
    if (!s->sealed && r->live) {
        sqlite3_close(s->body); // an open connection would keep the recorder from sealing
        s->body = NULL;
        r->tape->body_count--;
    }
    return state;
}

static struct kept_block *find_kept(struct body_reader *b, struct reel *r, uint32_t segment, int64_t block, struct kept_block **oldest)
{
    *oldest = &b->kept[0];
    for (size_t i = 0; i < BLOCKS_KEPT; i++) {
        struct kept_block *k = &b->kept[i];
        if (k->reel == r && k->segment == segment && k->block == block)
            return k;
        if (k->used < (*oldest)->used)
            *oldest = k;
    }
    return NULL;
}

// A damaged directory ends early. False: memory out.
static bool decode_entries(struct kept_block *k)
{
    struct block_walk walk = {.rest = buf_view(&k->dir)};
    struct block_entry e;
    for (k->entry_count = 0; block_next_entry(&walk, &e); k->entries[k->entry_count++] = e) {
        if (k->entry_count < k->entry_room)
            continue;
        uint32_t room = k->entry_room ? k->entry_room * 2 : 64;
        struct block_entry *grown = mem_grow(k->entries, room * sizeof *grown);
        if (!grown)
            return false;
        k->entries = grown;
        k->entry_room = room;
    }
    return true;
}

static bool entry_at(const struct kept_block *k, uint32_t ordinal, struct block_entry *e)
{
    if (ordinal >= k->entry_count)
        return false;
    *e = k->entries[ordinal];
    return true;
}

// The bytes of the entry at a place, borrowed until a few blocks later. *state WHOLE when they are there.
static struct bytes place_read(struct reel *r, struct reel_segment *s, int64_t place, uint64_t id, enum body_side side, enum tape_body_state *state)
{
    struct body_reader *b = r->tape->bodies;
    int64_t block = place / FORMAT_BODIES_PER_BLOCK;
    uint32_t ordinal = (uint32_t)(place % FORMAT_BODIES_PER_BLOCK);
    struct kept_block *oldest, *k = find_kept(b, r, s->number, block, &oldest);
    for (int attempt = 0; attempt < 2; attempt++) {
        bool fresh = !k || attempt;
        if (!k)
            k = oldest;
        if (fresh) {
            k->reel = NULL;
            *state = load_block(r, s, block, k);
            if (*state != TAPE_BODY_WHOLE)
                return (struct bytes){NULL, 0};
            k->reel = r;
            k->segment = s->number;
            k->block = block;
            if (!decode_entries(k))
                break;
        }
        k->used = ++b->clock;
        struct block_entry e;
        if (entry_at(k, ordinal, &e) && e.exchange == id && e.side == side && e.offset + e.size <= k->raw.size) {
            *state = TAPE_BODY_WHOLE;
            return bytes_of(k->raw.at + e.offset, e.size);
        }
        if (fresh || s->sealed)
            break;
    }
    *state = TAPE_BODY_DAMAGED;
    tape_warn(r->tape, "segment %s of tape %s names a body that its body file does not hold; 'estape fsck' tells more", s->name, r->name);
    return (struct bytes){NULL, 0};
}

// The size of an entry without decoding its block.
static bool place_size(struct reel *r, struct reel_segment *s, int64_t place, uint64_t *size)
{
    sqlite3 *db = segment_body(r, s);
    sqlite3_stmt *stmt = NULL;
    struct block_entry e;
    bool ok = db && sqlite3_prepare_v2(db, "SELECT dir FROM block WHERE id=?", -1, &stmt, NULL) == SQLITE_OK;
    if (ok)
        sqlite3_bind_int64(stmt, 1, place / FORMAT_BODIES_PER_BLOCK);
    ok = ok && sqlite3_step(stmt) == SQLITE_ROW &&
         block_find_entry(bytes_of(sqlite3_column_blob(stmt, 0), (size_t)sqlite3_column_bytes(stmt, 0)), (uint32_t)(place % FORMAT_BODIES_PER_BLOCK), &e);
    if (ok)
        *size = e.size;
    sqlite3_finalize(stmt);
    return ok;
}

// ---- maps -----------------------------------------------------------------------------------------------------------

static struct body_part *add_part(struct body_map *m)
{
    if (m->count == m->room) {
        size_t room = m->room ? m->room * 2 : 16;
        struct body_part *grown = mem_grow(m->parts, room * sizeof *grown);
        if (!grown)
            return NULL;
        m->parts = grown;
        m->room = room;
    }
    m->parts[m->count] = (struct body_part){.at = m->size, .place = -1};
    return &m->parts[m->count++];
}

static bool map_parts(struct body_map *m, struct raw_row *raw)
{
    sqlite3_stmt *stmt = segment_statement(raw->segment->open, SEGMENT_PART);
    bool ok = true;
    sqlite3_bind_int64(stmt, 1, (int64_t)raw->id);
    sqlite3_bind_int(stmt, 2, m->side == BODY_RESPONSE);
    while (ok && sqlite3_step(stmt) == SQLITE_ROW) {
        struct body_part *p = add_part(m);
        if (!p) {
            ok = false;
            break;
        }
        int flags = sqlite3_column_int(stmt, 4);
        p->raw = flags & PART_RAW;
        p->segment = sqlite3_column_type(stmt, 1) == SQLITE_NULL ? raw->segment->number : (uint32_t)sqlite3_column_int64(stmt, 1);
        if (sqlite3_column_type(stmt, 2) == SQLITE_NULL) {
            p->hole_bytes = (uint64_t)sqlite3_column_int64(stmt, 3);
            p->hole_unknown = flags & PART_HOLE_UNKNOWN;
            p->size = p->hole_unknown ? 0 : p->hole_bytes;
            m->state = m->state == TAPE_BODY_WHOLE ? TAPE_BODY_HOLES : m->state;
        } else {
            p->place = sqlite3_column_int64(stmt, 2);
            struct reel_segment *s = reel_find(m->reel, p->segment);
            if (!s || !place_size(m->reel, s, p->place, &p->size))
                m->state = missing_state(m->reel, s);
        }
        m->size += p->size;
    }
    sqlite3_reset(stmt);
    return ok;
}

static bool map_one(struct body_map *m, struct reel_segment *s, int64_t place)
{
    struct body_part *p = add_part(m);
    if (!p)
        return false;
    p->segment = s->number;
    p->place = place;
    struct bytes bytes = place_read(m->reel, s, place, m->id, m->side, &m->state);
    p->size = m->size = bytes.size;
    return true;
}

// No place: an empty body that was kept, or one that was not.
static bool map_none(struct body_map *m, struct raw_row *raw)
{
    const struct call_info *call = dict_call(raw->segment->open, raw->call);
    int64_t sent = m->side == BODY_REQUEST ? raw->req_bytes : raw->resp_bytes;
    uint32_t kept = m->side == BODY_REQUEST ? EXCHANGE_REQUEST_KEPT : EXCHANGE_RESPONSE_KEPT;
    if (call)
        m->state = sent > 0 && !(call->shape->flags & kept) ? TAPE_BODY_NOT_KEPT : TAPE_BODY_WHOLE;
    return call != NULL;
}

static void load_places(struct body_places *p, struct raw_row *raw)
{
    sqlite3_stmt *stmt = segment_statement(raw->segment->open, SEGMENT_PLACES);
    p->reel = raw->reel;
    p->segment = raw->segment->number;
    p->from = raw->id;
    for (size_t i = 0; i < PLACES; i++)
        p->at[i] = -1;
    sqlite3_bind_int64(stmt, 1, (int64_t)raw->id);
    sqlite3_bind_int64(stmt, 2, (int64_t)raw->id + PLACES);
    while (sqlite3_step(stmt) == SQLITE_ROW)
        if (sqlite3_column_type(stmt, 1) != SQLITE_NULL)
            p->at[sqlite3_column_int64(stmt, 0) - (int64_t)raw->id] = sqlite3_column_int64(stmt, 1);
    sqlite3_reset(stmt);
}

// Finds the body of an exchange; false: no such exchange, or memory out.
static bool map_make(struct tape *t, size_t which, uint64_t id, enum body_side side, struct fault *fault)
{
    struct body_reader *b = reader_of(t);
    struct reel *r = &t->reels[which];
    if (!b)
        return fault_memory(fault);
    struct body_map *m = &b->map;
    if (m->valid && m->final && m->reel == r && m->id == id && m->side == side)
        return true;
    *m = (struct body_map){.reel = r, .id = id, .side = side, .parts = m->parts, .room = m->room};
    struct body_places *places = &b->places;
    bool near = places->last < id && id - places->last < PLACES_NEAR;
    places->last = id;
    if (side == BODY_REQUEST && places->reel == r && id - places->from < PLACES && places->at[id - places->from] >= 0) {
        m->valid = map_one(m, reel_find(r, places->segment), places->at[id - places->from]);
        m->final = true;
        return m->valid || fault_memory(fault);
    }
    struct raw_row *raw = row_find(r, id);
    if (!raw)
        return tape_get(t, which, id, NULL, NULL, fault); // tells why
    if (near && side == BODY_REQUEST && raw->segment->sealed)
        load_places(places, raw);
    int64_t place = side == BODY_REQUEST ? raw->req : raw->resp;
    bool ok = true;
    if (place >= 0)
        ok = map_one(m, raw->segment, place);
    else if (place == FORMAT_BODY_PARTS)
        ok = map_parts(m, raw);
    else if (place == FORMAT_BODY_LOST)
        m->state = TAPE_BODY_LOST;
    else if (place == FORMAT_BODY_PRUNED)
        m->state = TAPE_BODY_PRUNED;
    else
        ok = map_none(m, raw);
    m->final = raw->segment->sealed;
    m->valid = ok;
    row_free(raw);
    return ok || fault_memory(fault);
}

// ---- the door -------------------------------------------------------------------------------------------------------

static struct bytes part_bytes(struct body_map *m, const struct body_part *p)
{
    enum tape_body_state state = TAPE_BODY_MISSING;
    struct reel_segment *s = reel_find(m->reel, p->segment);
    struct bytes bytes = s ? place_read(m->reel, s, p->place, m->id, m->side, &state) : (struct bytes){NULL, 0};
    if (state != TAPE_BODY_WHOLE)
        m->state = state;
    return bytes;
}

bool tape_body(struct tape *t, size_t which, uint64_t id, enum body_side side, tape_body_fn *fn, void *ctx, enum tape_body_state *state, struct fault *fault)
{
    if (!map_make(t, which, id, side, fault))
        return false;
    struct body_map *m = &t->bodies->map;
    for (size_t i = 0; i < m->count; i++) {
        const struct body_part *p = &m->parts[i];
        struct body_piece piece = {.raw = p->raw, .hole_bytes = p->hole_bytes, .hole_unknown = p->hole_unknown};
        if (p->place >= 0)
            piece.bytes = part_bytes(m, p);
        if (p->place >= 0 && !piece.bytes.at)
            continue;
        if (!fn(ctx, &piece))
            break;
    }
    *state = m->state;
    return true;
}

bool tape_body_range(struct tape *t, size_t which, uint64_t id, enum body_side side, uint64_t at, uint64_t size, struct buf *out, enum tape_body_state *state,
                     struct fault *fault)
{
    if (!map_make(t, which, id, side, fault))
        return false;
    struct body_map *m = &t->bodies->map;
    uint64_t end = at + size < at ? UINT64_MAX : at + size, got = 0;
    *state = m->state == TAPE_BODY_HOLES ? TAPE_BODY_WHOLE : m->state; // holes elsewhere do not matter here
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (m->parts[middle].at + m->parts[middle].size <= at)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t i = low; i < m->count && m->parts[i].at < end; i++) {
        const struct body_part *p = &m->parts[i];
        if (p->place < 0) {
            *state = TAPE_BODY_HOLES;
            continue;
        }
        struct bytes bytes = part_bytes(m, p);
        if (m->state > TAPE_BODY_HOLES)
            *state = m->state;
        uint64_t from = at > p->at ? at - p->at : 0, to = end - p->at < p->size ? end - p->at : p->size;
        if (bytes.size < to || from >= to)
            continue;
        if (!buf_add(out, bytes.at + from, to - from))
            return fault_memory(fault);
        got += to - from;
    }
    if (got < size && *state == TAPE_BODY_WHOLE)
        *state = m->state == TAPE_BODY_WHOLE ? TAPE_BODY_HOLES : m->state;
    return true;
}
