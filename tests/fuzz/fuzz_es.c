// Fuzzes es: a call, its answer, cuts and holes from the input; what is handed out must be in order, counted and in bounds.
#include "src/base/mem.h"
#include "src/es/es.h"

#include <stdlib.h>

static const struct {
    const char *verb, *target;
} calls[] = {
    {"POST", "/_bulk"},
    {"PUT", "/c/t/_bulk?routing=r&pipeline=p"},
    {"POST", "/_bulk?filter_path=errors,items.*.error"},
    {"POST", "/c/_bulk/stream"},
    {"PUT", "/c/_doc/1"},
    {"POST", "/c/_update/1"},
    {"POST", "/.security/_doc"},
    {"POST", "/_security/user/u/_password"},
    {"POST", "/_aliases"},
    {"POST", "/_msearch"},
    {"POST", "/c/_search?scroll=1m"},
    {"POST", "/_search/scroll"},
    {"POST", "/c/_delete_by_query?wait_for_completion=false"},
    {"GET", "/_tasks/n:1"},
    {"GET", "/_alias"},
    {"POST", "/_reindex"},
    {"GET", "/_data_stream"},
    {"POST", "/_what/ever?token=abc"},
};

struct watch {
    uint64_t next_id, ops, body_bytes[2], gone;
    int64_t last_item;
    bool done;
};

static void must(bool ok)
{
    if (!ok)
        abort();
}

static uint64_t next_id(void *ctx)
{
    return ++((struct watch *)ctx)->next_id;
}

static void see_attempt(void *ctx, const struct exchange *x)
{
    must(!((struct watch *)ctx)->done && x->flags & EXCHANGE_ATTEMPT);
}

static void see_body(void *ctx, uint64_t id, enum body_side side, const struct body_piece *piece)
{
    struct watch *w = ctx;
    must(id == w->next_id && !w->done);
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < piece->bytes.size; i++)
        sum = (uint8_t)(sum + piece->bytes.at[i]);
    w->body_bytes[side] += piece->bytes.size + piece->hole_bytes;
}

static void see_text(struct bytes b)
{
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < b.size; i++)
        sum = (uint8_t)(sum + b.at[i]);
}

static void see_ops(void *ctx, const struct op *ops, size_t count)
{
    struct watch *w = ctx;
    for (size_t i = 0; i < count; i++) {
        must(!w->done && (int64_t)ops[i].item > w->last_item);
        w->last_item = ops[i].item;
        must(ops[i].kind < OP_KINDS && ops[i].result < OP_RESULTS);
        must(ops[i].source_bytes == 0 || ops[i].source_at + ops[i].source_bytes <= w->body_bytes[BODY_REQUEST]);
        see_text(ops[i].index), see_text(ops[i].asked), see_text(ops[i].id), see_text(ops[i].type), see_text(ops[i].routing), see_text(ops[i].error_type);
        w->ops++;
    }
}

static void see_done(void *ctx, const struct exchange *x)
{
    struct watch *w = ctx;
    must(!w->done && !(x->flags & EXCHANGE_ATTEMPT));
    w->done = true;
    see_text(x->path), see_text(x->reason), see_text(x->body_head), see_text(x->task);
    uint64_t sum = 0;
    for (size_t i = 0; i < x->index_count; i++) {
        see_text(x->indices[i].index);
        sum += x->indices[i].ok + x->indices[i].failed + x->indices[i].unknown;
        must(x->indices[i].deleted <= x->indices[i].ok);
    }
    for (size_t i = 0; i < x->target_count; i++)
        see_text(x->targets[i]);
    must(w->ops == 0 || sum == w->ops || x->index_count >= 4096);
}

static void see_late(void *ctx, const struct late_outcome *late)
{
    (void)ctx;
    see_text(late->reason);
}

static void see_resolved(void *ctx, const struct resolution *r)
{
    (void)ctx;
    see_text(r->name), see_text(r->index);
}

static void see_life(void *ctx, const struct incarnation *life)
{
    (void)ctx;
    see_text(life->index), see_text(life->uuid);
}

typedef void piece_fn(void *ctx, void *handle, const struct body_piece *piece);

// Bytes 0xfe and 0xff in the input are a border of pieces and a hole.
static void feed(const struct message_sink *in, void *handle, piece_fn *fn, struct bytes body, bool raw)
{
    while (body.size) {
        size_t n = 0;
        while (n < body.size && body.at[n] < 0xfe)
            n++;
        if (n) {
            uint8_t *copy = mem_alloc(n);
            memcpy(copy, body.at, n);
            fn(in->ctx, handle, &(struct body_piece){.bytes = bytes_of(copy, n), .raw = raw});
            mem_free(copy);
        }
        if (n < body.size && body.at[n] == 0xff)
            fn(in->ctx, handle, &(struct body_piece){.hole_bytes = 17, .hole_unknown = n & 1});
        body = bytes_from(body, n + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    struct watch w = {.last_item = -1};
    struct record_sink sink = {.ctx = &w, .next_id = next_id, .attempt = see_attempt, .body = see_body, .ops = see_ops, .done = see_done, .late = see_late,
                               .resolved = see_resolved, .life = see_life};
    struct es_settings settings = {.bodies = data[1] & 1 ? ES_BODIES_ALL : ES_BODIES_WRITES, .read_requests = true, .ops = true};
    struct es *es = es_open(&settings, &sink);
    const struct message_sink *in = es_sink(es);
    struct conn conn = {.serial = 1, .end = {{.port = 1}, {.port = 9200}}};
    size_t which = data[0] % (sizeof calls / sizeof *calls);
    struct bytes rest = bytes_of(data + 3, size - 3);
    // The request ends at the first NUL, the answer follows.
    const uint8_t *nul = memchr(rest.at, 0, rest.size);
    struct bytes request = nul ? bytes_of(rest.at, (size_t)(nul - rest.at)) : rest, answer = nul ? bytes_from(rest, request.size + 1) : bytes_of(rest.at, 0);
    struct request_head head = {.conn = &conn, .time_ns = 1, .method = bytes_of_text(calls[which].verb), .target = bytes_of_text(calls[which].target)};
    void *handle = in->request(in->ctx, &head);
    feed(in, handle, in->request_body, request, data[1] & 2);
    if (!(data[1] & 4))
        in->request_end(in->ctx, handle, &(struct message_end){.complete = !(data[1] & 8), .wire_bytes = request.size});
    if (nul) {
        static const int statuses[] = {200, 201, 404, 429};
        in->response(in->ctx, handle, &(struct response_head){.status = statuses[data[2] & 3]});
        feed(in, handle, in->response_body, answer, data[1] & 16);
        if (!(data[1] & 32))
            in->response_end(in->ctx, handle, &(struct message_end){.complete = !(data[1] & 64), .wire_bytes = answer.size});
    }
    in->close(in->ctx, handle, &(struct exchange_end){.fate = nul ? FATE_ANSWERED : (enum exchange_fate)(data[2] % 7)});
    must(w.done);
    es_close(es);
    return 0;
}
