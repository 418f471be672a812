// Drives es as http would and keeps deep copies of everything that it hands out, for assertions.
#pragma once
// Calls are written as short lists: what is left out is zero.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include "../../../src/base/mem.h"
#include "../../../src/base/buf.h"
#include "../../../src/es/es.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

enum { PROBE_ROWS = 64, PROBE_OPS = 4096 };

struct probe_row {
    struct exchange x;
    struct buf request, response; // stored bodies; holes as that many '?'
    bool attempted, done;
    struct exchange attempt;
    struct arena arena;
};

struct probe {
    struct es *es;
    const struct message_sink *in;
    struct conn conn;
    struct probe_row rows[PROBE_ROWS];
    size_t row_count;
    struct op ops[PROBE_OPS];
    size_t op_count;
    struct arena arena;
    struct buf all;      // every byte of every string handed out, for hunting secrets
    struct late_outcome late[16];
    size_t late_count;
    struct resolution resolved[64];
    size_t resolved_count;
    struct incarnation lives[64];
    size_t life_count;
    uint64_t next_id;
    size_t cut;          // bodies are fed in pieces of this size; 0: whole
    int64_t now_ns;
    enum exchange_fate fate;
    bool deaf;           // keeps no copies but of bytes in `heard`: for tests in which memory runs out
    unsigned deaf_done;
    uint8_t heard[1 << 16];
    size_t heard_size;
};

struct probe_ask {
    const char *verb, *target, *type, *auth; // type: content type; NULL: application/json
    const char *body;                        // NULL: none
    size_t body_size;                        // 0: text
    size_t hole_at, hole_bytes;              // of the request body, when hole_bytes > 0
    const char *agent;
    bool unfinished;                         // no request end
};
struct probe_answer {
    int status;
    const char *body, *type, *location;
    size_t body_size, hole_at, hole_bytes;
    bool cut_off;                            // ended before its framing said
};

static struct bytes probe_copy(struct probe *p, struct bytes b)
{
    buf_add_bytes(&p->all, b);
    buf_add_byte(&p->all, '\n');
    return bytes_of(arena_copy(&p->arena, b.at ? b.at : (const uint8_t *)"", b.size), b.size);
}

static void probe_hear(struct probe *p, struct bytes b)
{
    for (size_t i = 0; i < b.size && p->heard_size < sizeof p->heard; i++)
        p->heard[p->heard_size++] = b.at[i];
}

static void probe_hear_exchange(struct probe *p, const struct exchange *x)
{
    probe_hear(p, x->path);
    probe_hear(p, x->reason);
    probe_hear(p, x->body_head);
    probe_hear(p, x->principal);
}

static struct exchange probe_copy_exchange(struct probe *p, const struct exchange *x)
{
    struct exchange c = *x;
    struct bytes *texts[] = {&c.verb, &c.path, &c.principal, &c.run_as, &c.forwarded_for, &c.agent, &c.opaque_id, &c.traceparent, &c.realm,
                             &c.api, &c.action, &c.reason, &c.danger, &c.task, &c.body_head};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = probe_copy(p, *texts[i]);
    struct bytes *targets = arena_alloc(&p->arena, (x->target_count + 1) * sizeof *targets);
    for (size_t i = 0; i < x->target_count; i++)
        targets[i] = probe_copy(p, x->targets[i]);
    c.targets = targets;
    struct exchange_index *indices = arena_alloc(&p->arena, (x->index_count + 1) * sizeof *indices);
    for (size_t i = 0; i < x->index_count; i++) {
        indices[i] = x->indices[i];
        indices[i].index = probe_copy(p, indices[i].index);
    }
    c.indices = indices;
    return c;
}

static struct probe_row *probe_row_of(struct probe *p, uint64_t id)
{
    assert_true(id >= 1 && id <= p->next_id);
    assert_true(id <= PROBE_ROWS);
    if (id > p->row_count)
        p->row_count = id;
    return &p->rows[id - 1];
}

static uint64_t probe_next_id(void *ctx)
{
    struct probe *p = ctx;
    return ++p->next_id;
}

static void probe_attempt(void *ctx, const struct exchange *x)
{
    struct probe *p = ctx;
    if (p->deaf) {
        probe_hear_exchange(p, x);
        return;
    }
    struct probe_row *row = probe_row_of(p, x->id);
    assert_false(row->attempted);
    assert_false(row->done);
    assert_true(x->flags & EXCHANGE_ATTEMPT);
    row->attempted = true;
    row->attempt = probe_copy_exchange(p, x);
}

static void probe_body(void *ctx, uint64_t id, enum body_side side, const struct body_piece *piece)
{
    struct probe *p = ctx;
    if (p->deaf) {
        probe_hear(p, piece->bytes);
        return;
    }
    struct probe_row *row = probe_row_of(p, id);
    assert_false(row->done);
    struct buf *to = side == BODY_REQUEST ? &row->request : &row->response;
    buf_add_bytes(to, piece->bytes);
    for (uint64_t i = 0; i < piece->hole_bytes; i++)
        buf_add_byte(to, '?');
    buf_add_bytes(&p->all, piece->bytes);
}

static void probe_ops(void *ctx, const struct op *ops, size_t count)
{
    struct probe *p = ctx;
    for (size_t i = 0; !p->deaf && i < count && p->op_count < PROBE_OPS; i++) {
        struct op *op = &p->ops[p->op_count++];
        *op = ops[i];
        assert_false(probe_row_of(p, op->exchange)->done);
        struct bytes *texts[] = {&op->asked, &op->index, &op->type, &op->id, &op->routing, &op->pipeline, &op->error_type, &op->index_uuid};
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
            *texts[k] = probe_copy(p, *texts[k]);
    }
}

static void probe_done(void *ctx, const struct exchange *x)
{
    struct probe *p = ctx;
    p->deaf_done += p->deaf;
    if (p->deaf) {
        probe_hear_exchange(p, x);
        return;
    }
    struct probe_row *row = probe_row_of(p, x->id);
    assert_false(row->done);
    row->done = true;
    row->x = probe_copy_exchange(p, x);
}

static void probe_late(void *ctx, const struct late_outcome *late)
{
    struct probe *p = ctx;
    if (p->deaf)
        return;
    struct late_outcome *to = &p->late[p->late_count++ % 16];
    *to = *late;
    to->reason = probe_copy(p, late->reason);
}

static void probe_resolved(void *ctx, const struct resolution *r)
{
    struct probe *p = ctx;
    if (p->deaf)
        return;
    struct resolution *to = &p->resolved[p->resolved_count++ % 64];
    *to = *r;
    to->name = probe_copy(p, r->name);
    to->index = probe_copy(p, r->index);
    to->kind = probe_copy(p, r->kind);
}

static void probe_life(void *ctx, const struct incarnation *life)
{
    struct probe *p = ctx;
    if (p->deaf)
        return;
    struct incarnation *to = &p->lives[p->life_count++ % 64];
    *to = *life;
    to->index = probe_copy(p, life->index);
    to->uuid = probe_copy(p, life->uuid);
}

static void probe_gap(void *ctx, const struct conn *conn, const struct stream_gap *gap)
{
    (void)ctx, (void)conn, (void)gap;
}

static void probe_opaque(void *ctx, const struct conn *conn, enum opaque_kind kind, int64_t time_ns)
{
    (void)ctx, (void)conn, (void)kind, (void)time_ns;
}

static void probe_conn_close(void *ctx, const struct conn *conn, int client_side, enum stream_end how, int64_t time_ns)
{
    (void)ctx, (void)conn, (void)client_side, (void)how, (void)time_ns;
}

static struct probe *probe_open_with(struct es_settings settings)
{
    struct probe *p = mem_zero(1, sizeof *p);
    arena_init(&p->arena, 0);
    struct record_sink sink = {.ctx = p, .next_id = probe_next_id, .attempt = probe_attempt, .body = probe_body, .ops = probe_ops, .done = probe_done,
                               .late = probe_late, .resolved = probe_resolved, .life = probe_life, .gap = probe_gap, .opaque = probe_opaque,
                               .conn_close = probe_conn_close};
    p->es = es_open(&settings, &sink);
    assert_non_null(p->es);
    p->in = es_sink(p->es);
    p->conn = (struct conn){.serial = 1, .end = {{.port = 40000}, {.port = 9200}}, .seen = {true, true}, .initiator = 0};
    p->now_ns = INT64_C(1700000000) * WHEN_NS_PER_S;
    return p;
}

static inline struct probe *probe_open(void)
{
    return probe_open_with((struct es_settings){.bodies = ES_BODIES_WRITES, .read_requests = true, .ops = true});
}

static inline void probe_close(struct probe *p)
{
    es_close(p->es);
    for (size_t i = 0; i < PROBE_ROWS; i++) {
        buf_fini(&p->rows[i].request);
        buf_fini(&p->rows[i].response);
    }
    buf_fini(&p->all);
    arena_fini(&p->arena);
    mem_free(p);
}

typedef void probe_piece_fn(void *ctx, void *handle, const struct body_piece *piece);
static void probe_feed(struct probe *p, void *handle, probe_piece_fn *fn, struct bytes bytes)
{
    size_t cut = p->cut ? p->cut : bytes.size;
    while (bytes.size) {
        size_t n = bytes.size < cut ? bytes.size : cut;
        // Every piece lies in memory of its own, so that a read past it is found.
        uint8_t *copy = mem_alloc(n);
        memcpy(copy, bytes.at, n);
        fn(p->in->ctx, handle, &(struct body_piece){.bytes = bytes_of(copy, n)});
        mem_free(copy);
        bytes = bytes_from(bytes, n);
    }
}

static void probe_feed_holed(struct probe *p, void *handle, probe_piece_fn *fn, struct bytes body, size_t hole_at, size_t hole_bytes)
{
    if (!hole_bytes) {
        probe_feed(p, handle, fn, body);
        return;
    }
    probe_feed(p, handle, fn, bytes_of(body.at, hole_at));
    fn(p->in->ctx, handle, &(struct body_piece){.hole_bytes = hole_bytes});
    probe_feed(p, handle, fn, bytes_from(body, hole_at + hole_bytes));
}

static inline void *probe_request(struct probe *p, struct probe_ask ask)
{
    struct header headers[4];
    size_t n = 0;
    headers[n++] = (struct header){bytes_of_text("Content-Type"), bytes_of_text(ask.type ? ask.type : "application/json")};
    if (ask.auth)
        headers[n++] = (struct header){bytes_of_text("Authorization"), bytes_of_text(ask.auth)};
    if (ask.agent)
        headers[n++] = (struct header){bytes_of_text("User-Agent"), bytes_of_text(ask.agent)};
    struct request_head head = {.conn = &p->conn, .client_side = 0, .time_ns = p->now_ns, .method = bytes_of_text(ask.verb),
                                .target = bytes_of_text(ask.target), .version_minor = 1, .headers = headers, .header_count = n};
    void *handle = p->in->request(p->in->ctx, &head);
    size_t size = ask.body_size ? ask.body_size : ask.body ? strlen(ask.body) : 0;
    if (size)
        probe_feed_holed(p, handle, p->in->request_body, bytes_of(ask.body, size), ask.hole_at, ask.hole_bytes);
    p->now_ns += WHEN_NS_PER_MS;
    if (!ask.unfinished)
        p->in->request_end(p->in->ctx, handle, &(struct message_end){.time_ns = p->now_ns, .wire_bytes = size, .missing_bytes = ask.hole_bytes,
                                                                    .complete = true, .truncated = ask.hole_bytes > 0});
    return handle;
}

static inline void probe_answer(struct probe *p, void *handle, struct probe_answer a)
{
    struct header headers[2];
    size_t n = 0;
    headers[n++] = (struct header){bytes_of_text("content-type"), bytes_of_text(a.type ? a.type : "application/json; charset=UTF-8")};
    if (a.location)
        headers[n++] = (struct header){bytes_of_text("Location"), bytes_of_text(a.location)};
    p->now_ns += WHEN_NS_PER_MS;
    p->in->response(p->in->ctx, handle, &(struct response_head){.time_ns = p->now_ns, .status = a.status, .headers = headers, .header_count = n});
    size_t size = a.body_size ? a.body_size : a.body ? strlen(a.body) : 0;
    if (size)
        probe_feed_holed(p, handle, p->in->response_body, bytes_of(a.body, size), a.hole_at, a.hole_bytes);
    p->in->response_end(p->in->ctx, handle, &(struct message_end){.time_ns = p->now_ns, .wire_bytes = size, .missing_bytes = a.hole_bytes,
                                                                 .complete = !a.cut_off, .truncated = a.cut_off || a.hole_bytes > 0});
    p->in->close(p->in->ctx, handle, &(struct exchange_end){.fate = FATE_ANSWERED, .time_ns = p->now_ns});
}

static inline void probe_lose(struct probe *p, void *handle, enum exchange_fate fate)
{
    p->in->close(p->in->ctx, handle, &(struct exchange_end){.fate = fate, .time_ns = p->now_ns});
}

// A whole exchange; returns its row.
static inline struct probe_row *probe_call(struct probe *p, struct probe_ask ask, struct probe_answer answer)
{
    void *handle = probe_request(p, ask);
    probe_answer(p, handle, answer);
    return &p->rows[p->next_id - 1];
}

static inline const char *probe_text(struct probe *p, struct bytes b)
{
    return arena_copy(&p->arena, b.at ? b.at : (const uint8_t *)"", b.size);
}

#define assert_text(p, got, wanted) assert_string_equal(probe_text(p, got), wanted)
