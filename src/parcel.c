// Nouns packed into messages of the queue between the wire side and the tape side, and handed out again there.
//
// A message is the noun's struct followed by its arrays and strings; its pointers lead into the message itself, which the ring
// keeps in one place until it is released. Long bodies and op batches are cut into several messages.
#include "parcel.h"

#include "base/buf.h"

enum { BODY_PIECE_BYTES = 128 * 1024, OPS_PER_MESSAGE = 256, MESSAGE_BYTES_MAX = 1 << 20 };

struct parcel {
    enum parcel_kind kind;
    int tag;
};

// The tail of a message under construction: strings are appended, their views moved there.
struct packing {
    uint8_t *at;
    size_t used;
};

static void *pack_array(struct packing *p, const void *from, size_t size)
{
    p->used = (p->used + 7) & ~(size_t)7;
    void *to = p->at + p->used;
    if (size)
        memcpy(to, from, size);
    p->used += size;
    return to;
}

static void pack_bytes(struct packing *p, struct bytes *b)
{
    if (b->size)
        memcpy(p->at + p->used, b->at, b->size);
    b->at = p->at + p->used;
    p->used += b->size;
}

static void *pack_begin(struct parcel_packer *p, enum parcel_kind kind, size_t size, struct packing *packing)
{
    parcel_flush(p);
    struct parcel *parcel = size <= MESSAGE_BYTES_MAX ? ring_reserve(p->ring, sizeof *parcel + size) : NULL;
    if (!parcel) {
        p->stats.refused++;
        return NULL;
    }
    parcel->kind = kind;
    *packing = (struct packing){(uint8_t *)parcel, sizeof *parcel};
    return parcel;
}

static void pack_end(struct parcel_packer *p, const struct packing *packing)
{
    ring_commit(p->ring, packing->used);
}

// The strings of each noun, by place: one row a string.
#define STRING(type, field) offsetof(struct type, field)
static const size_t exchange_strings[] = {
    STRING(exchange, verb),     STRING(exchange, path),     STRING(exchange, principal), STRING(exchange, run_as),
    STRING(exchange, forwarded_for), STRING(exchange, agent), STRING(exchange, opaque_id), STRING(exchange, traceparent),
    STRING(exchange, realm),    STRING(exchange, api),      STRING(exchange, action),    STRING(exchange, reason),
    STRING(exchange, danger),   STRING(exchange, task),     STRING(exchange, body_head),
};
static const size_t op_strings[] = {
    STRING(op, asked),   STRING(op, index),    STRING(op, type),       STRING(op, id),
    STRING(op, routing), STRING(op, pipeline), STRING(op, error_type), STRING(op, index_uuid),
};
static const size_t late_strings[] = {STRING(late_outcome, reason)};
static const size_t resolution_strings[] = {STRING(resolution, name), STRING(resolution, index), STRING(resolution, kind)};
static const size_t life_strings[] = {STRING(incarnation, index), STRING(incarnation, uuid)};
#define COUNT(a) (sizeof(a) / sizeof *(a))

static struct bytes *string_at(void *noun, size_t offset)
{
    return (struct bytes *)((uint8_t *)noun + offset);
}

static size_t strings_size(const void *noun, const size_t *offsets, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += ((const struct bytes *)((const uint8_t *)noun + offsets[i]))->size;
    return size;
}

static void pack_strings(struct packing *p, void *noun, const size_t *offsets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pack_bytes(p, string_at(noun, offsets[i]));
}

static void send_flat(struct parcel_packer *p, enum parcel_kind kind, const void *noun, size_t noun_size, const size_t *offsets,
                      size_t count)
{
    struct packing packing;
    if (!pack_begin(p, kind, noun_size + 16 + strings_size(noun, offsets, count), &packing))
        return;
    void *copy = pack_array(&packing, noun, noun_size);
    pack_strings(&packing, copy, offsets, count);
    pack_end(p, &packing);
}

static void send_exchange(struct parcel_packer *p, enum parcel_kind kind, const struct exchange *x)
{
    size_t size = sizeof *x + 64 + strings_size(x, exchange_strings, COUNT(exchange_strings));
    size += x->target_count * sizeof *x->targets + x->index_count * sizeof *x->indices;
    for (size_t i = 0; i < x->target_count; i++)
        size += x->targets[i].size;
    for (size_t i = 0; i < x->index_count; i++)
        size += x->indices[i].index.size;
    struct packing packing;
    if (!pack_begin(p, kind, size, &packing))
        return;
    struct exchange *copy = pack_array(&packing, x, sizeof *x);
    struct bytes *targets = pack_array(&packing, x->targets, x->target_count * sizeof *x->targets);
    struct exchange_index *indices = pack_array(&packing, x->indices, x->index_count * sizeof *x->indices);
    copy->targets = targets;
    copy->indices = indices;
    for (size_t i = 0; i < x->target_count; i++)
        pack_bytes(&packing, &targets[i]);
    for (size_t i = 0; i < x->index_count; i++)
        pack_bytes(&packing, &indices[i].index);
    pack_strings(&packing, copy, exchange_strings, COUNT(exchange_strings));
    pack_end(p, &packing);
}

static uint64_t sink_next_id(void *ctx)
{
    struct parcel_packer *p = ctx;
    return p->next_id(p->next_id_ctx);
}

static void sink_attempt(void *ctx, const struct exchange *x)
{
    send_exchange(ctx, PARCEL_ATTEMPT, x);
}

static void sink_done(void *ctx, const struct exchange *x)
{
    send_exchange(ctx, PARCEL_DONE, x);
}

struct body_parcel {
    uint64_t id;
    enum body_side side;
    struct body_piece piece;
};

void parcel_flush(struct parcel_packer *p)
{
    if (!p->body)
        return;
    const uint8_t *end = p->body->piece.bytes.at + p->body->piece.bytes.size;
    size_t before = (sizeof(struct parcel) + 7) & ~(size_t)7;
    ring_commit(p->ring, (size_t)(end - ((const uint8_t *)p->body - before)));
    p->body = NULL;
}

static bool begin_body(struct parcel_packer *p, const struct body_parcel *parcel, size_t room)
{
    struct packing packing;
    if (!pack_begin(p, PARCEL_BODY, sizeof *parcel + 16 + room, &packing))
        return false;
    p->body = pack_array(&packing, parcel, sizeof *parcel);
    p->body->piece.bytes = bytes_of(packing.at + packing.used, 0);
    p->body_room = room;
    return true;
}

static bool continues(const struct body_parcel *body, uint64_t id, enum body_side side, const struct body_piece *piece)
{
    return body && body->id == id && body->side == side && body->piece.raw == piece->raw && !piece->hole_bytes && !piece->hole_unknown;
}

static void sink_body(void *ctx, uint64_t id, enum body_side side, const struct body_piece *piece)
{
    struct parcel_packer *p = ctx;
    struct body_parcel parcel = {id, side, *piece};
    struct bytes rest = piece->bytes;
    if (!continues(p->body, id, side, piece) && !begin_body(p, &parcel, BODY_PIECE_BYTES))
        return;
    while (rest.size) {
        if (!p->body_room && !begin_body(p, &parcel, BODY_PIECE_BYTES))
            return;
        size_t size = rest.size < p->body_room ? rest.size : p->body_room;
        struct bytes *bytes = &p->body->piece.bytes;
        memcpy((uint8_t *)(uintptr_t)bytes->at + bytes->size, rest.at, size);
        bytes->size += size;
        p->body_room -= size;
        rest = bytes_from(rest, size);
    }
    if (p->body->piece.hole_bytes || p->body->piece.hole_unknown)
        parcel_flush(p); // stands alone
}

struct ops_parcel {
    struct op *ops;
    size_t count;
};

static void sink_ops(void *ctx, const struct op *ops, size_t count)
{
    struct parcel_packer *p = ctx;
    for (size_t from = 0, to; from < count; from = to) {
        size_t size = sizeof(struct ops_parcel) + 64;
        for (to = from; to < count && to - from < OPS_PER_MESSAGE; to++) {
            size_t more = sizeof *ops + strings_size(&ops[to], op_strings, COUNT(op_strings));
            if (to > from && size + more > MESSAGE_BYTES_MAX)
                break;
            size += more;
        }
        struct packing packing;
        if (!pack_begin(p, PARCEL_OPS, size, &packing))
            continue;
        struct ops_parcel *parcel = pack_array(&packing, &(struct ops_parcel){NULL, to - from}, sizeof *parcel);
        parcel->ops = pack_array(&packing, ops + from, (to - from) * sizeof *ops);
        for (size_t i = 0; i < parcel->count; i++)
            pack_strings(&packing, &parcel->ops[i], op_strings, COUNT(op_strings));
        pack_end(p, &packing);
    }
}

static void sink_late(void *ctx, const struct late_outcome *late)
{
    send_flat(ctx, PARCEL_LATE, late, sizeof *late, late_strings, COUNT(late_strings));
}

static void sink_resolved(void *ctx, const struct resolution *r)
{
    send_flat(ctx, PARCEL_RESOLVED, r, sizeof *r, resolution_strings, COUNT(resolution_strings));
}

static void sink_life(void *ctx, const struct incarnation *life)
{
    send_flat(ctx, PARCEL_LIFE, life, sizeof *life, life_strings, COUNT(life_strings));
}

struct conn_parcel {
    bool known;
    struct conn conn;
    int side;
    int how; // enum stream_end or enum opaque_kind
    int64_t time_ns;
    struct stream_gap gap;
};

static void send_conn(struct parcel_packer *p, enum parcel_kind kind, const struct conn *conn, struct conn_parcel parcel)
{
    parcel.known = conn != NULL;
    if (conn)
        parcel.conn = *conn;
    send_flat(p, kind, &parcel, sizeof parcel, NULL, 0);
}

static void sink_gap(void *ctx, const struct conn *conn, const struct stream_gap *gap)
{
    send_conn(ctx, PARCEL_GAP, conn, (struct conn_parcel){.gap = *gap});
}

static void sink_opaque(void *ctx, const struct conn *conn, enum opaque_kind kind, int64_t time_ns)
{
    send_conn(ctx, PARCEL_OPAQUE, conn, (struct conn_parcel){.how = (int)kind, .time_ns = time_ns});
}

static void sink_conn_close(void *ctx, const struct conn *conn, int client_side, enum stream_end how, int64_t time_ns)
{
    send_conn(ctx, PARCEL_CONN_CLOSE, conn, (struct conn_parcel){.side = client_side, .how = (int)how, .time_ns = time_ns});
}

struct record_sink parcel_sink(struct parcel_packer *p)
{
    return (struct record_sink){
        .ctx = p,           .next_id = sink_next_id,   .attempt = sink_attempt, .body = sink_body,
        .ops = sink_ops,    .done = sink_done,         .late = sink_late,       .resolved = sink_resolved,
        .life = sink_life,  .gap = sink_gap,           .opaque = sink_opaque,   .conn_close = sink_conn_close,
    };
}

struct note_parcel {
    size_t size;
};

bool parcel_note(struct parcel_packer *p, int tag, const void *note, size_t size)
{
    struct packing packing;
    struct parcel *parcel = pack_begin(p, PARCEL_NOTE, size + 64, &packing);
    if (!parcel)
        return false;
    parcel->tag = tag;
    pack_array(&packing, &(struct note_parcel){size}, sizeof(struct note_parcel));
    pack_array(&packing, note, size);
    pack_end(p, &packing);
    return true;
}

void parcel_open_message(const void *message, const struct parcel_receiver *to)
{
    const struct parcel *parcel = message;
    const void *noun = (const uint8_t *)message + ((sizeof *parcel + 7) & ~(size_t)7);
    const struct record_sink *sink = &to->sink;
    const struct body_parcel *body = noun;
    const struct ops_parcel *ops = noun;
    const struct conn_parcel *c = noun;
    const struct note_parcel *note = noun;
    switch (parcel->kind) {
    case PARCEL_ATTEMPT: sink->attempt(sink->ctx, noun); break;
    case PARCEL_BODY: sink->body(sink->ctx, body->id, body->side, &body->piece); break;
    case PARCEL_OPS: sink->ops(sink->ctx, ops->ops, ops->count); break;
    case PARCEL_DONE: sink->done(sink->ctx, noun); break;
    case PARCEL_LATE: sink->late(sink->ctx, noun); break;
    case PARCEL_RESOLVED: sink->resolved(sink->ctx, noun); break;
    case PARCEL_LIFE: sink->life(sink->ctx, noun); break;
    case PARCEL_GAP: sink->gap(sink->ctx, c->known ? &c->conn : NULL, &c->gap); break;
    case PARCEL_OPAQUE: sink->opaque(sink->ctx, &c->conn, (enum opaque_kind)c->how, c->time_ns); break;
    case PARCEL_CONN_CLOSE: sink->conn_close(sink->ctx, &c->conn, c->side, (enum stream_end)c->how, c->time_ns); break;
    case PARCEL_NOTE: to->note(sink->ctx, parcel->tag, note + 1, note->size); break;
    }
}
