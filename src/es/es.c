// The door of es: receives messages from http, keeps one call per exchange, hands out the record's nouns.
#include "es_call.h"

#include "../base/glob.h"
#include "../base/mem.h"

enum { NAMES_MAX = 65536 };

struct bytes es_header(const struct header *headers, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_equal_text_nocase(headers[i].name, name))
            return headers[i].value;
    return (struct bytes){0};
}

struct bytes es_keep(struct call *c, struct bytes text)
{
    const void *copy = text.size ? arena_copy(&c->arena, text.at, text.size) : NULL;
    if (copy)
        return bytes_of(copy, text.size);
    if (text.size) // memory is out: the row says that something is missing
        c->x.flags |= EXCHANGE_HEAD_TRUNCATED;
    return bytes_of("", 0);
}

bool es_is_security(const struct es *e, struct bytes name)
{
    struct bytes index;
    return target_is_security(name) || (resolve_find(e->resolve, name, &index) && target_is_security(index));
}

bool es_is_excluded(const struct es *e, struct bytes index)
{
    for (size_t i = 0; i < e->exclude_count; i++)
        if (glob_match(bytes_of_text(e->exclude[i]), index))
            return true;
    return false;
}

// ---- the message sink -----------------------------------------------------------------------------------------------------

static void release(struct call *c)
{
    es_body_release(c, &c->request);
    es_body_release(c, &c->response);
    buf_fini(&c->head);
    buf_fini(&c->line);
    buf_fini(&c->location);
    buf_fini(&c->told_text);
    bulk_close(c->bulk);
    answer_bulk_close(c->answers);
    reads_close(c->reads);
    op_join_close(c->join);
    arena_fini(&c->arena);
    mem_free(c);
}

// No memory for a call: a row with verb and bare path, and nothing more, is what can still be told.
static void tell_bare(struct es *e, const struct request_head *head)
{
    struct bytes path, query;
    path_split(head->target, &path, &query);
    if (path.size && path.at[0] != '/')
        path.size = 0;
    struct exchange x = {
        .id = e->sink.next_id(e->sink.ctx), .conn = head->conn->serial, .client = head->conn->end[head->client_side],
        .server = head->conn->end[!head->client_side], .time_ns = head->time_ns, .answered_ns = WHEN_UNKNOWN, .verb = head->method, .path = path,
        .outcome = OUTCOME_UNKNOWN, .reason = bytes_of_text("out_of_memory"), .docs = -1, .docs_ok = -1, .docs_failed = -1, .docs_deleted = -1,
        .docs_total = -1, .took_ms = -1, .flags = EXCHANGE_HEAD_TRUNCATED | EXCHANGE_TRUNCATED,
    };
    e->stats.exchanges++;
    e->sink.done(e->sink.ctx, &x);
}

static void *take_request(void *ctx, const struct request_head *head)
{
    struct es *e = ctx;
    struct call *c = mem_zero(1, sizeof *c);
    if (!c) {
        tell_bare(e, head);
        return NULL;
    }
    c->es = e;
    arena_init(&c->arena, ES_CALL_ARENA_MAX);
    c->x.id = e->sink.next_id(e->sink.ctx);
    e->stats.exchanges++;
    es_request_open(c, head);
    return c;
}

static void take_request_body(void *ctx, void *handle, const struct body_piece *piece)
{
    (void)ctx;
    if (handle)
        es_request_feed(handle, piece);
}

static void take_request_end(void *ctx, void *handle, const struct message_end *end)
{
    (void)ctx;
    if (handle)
        es_request_end(handle, end);
}

static void take_response(void *ctx, void *handle, const struct response_head *head)
{
    (void)ctx;
    if (handle)
        es_answer_open(handle, head);
}

static void take_response_body(void *ctx, void *handle, const struct body_piece *piece)
{
    (void)ctx;
    if (handle)
        es_answer_feed(handle, piece);
}

static void take_response_end(void *ctx, void *handle, const struct message_end *end)
{
    (void)ctx;
    if (handle)
        es_answer_end(handle, end);
}

static void take_close(void *ctx, void *handle, const struct exchange_end *end)
{
    struct es *e = ctx;
    struct call *c = handle;
    if (!c)
        return;
    es_outcome(c, end);
    c->x.flags &= ~(uint32_t)EXCHANGE_ATTEMPT;
    e->sink.done(e->sink.ctx, &c->x);
    release(c);
}

static void pass_gap(void *ctx, const struct conn *conn, const struct stream_gap *gap)
{
    struct es *e = ctx;
    e->sink.gap(e->sink.ctx, conn, gap);
}

static void pass_opaque(void *ctx, const struct conn *conn, enum opaque_kind kind, int64_t time_ns)
{
    struct es *e = ctx;
    e->sink.opaque(e->sink.ctx, conn, kind, time_ns);
}

static void pass_conn_close(void *ctx, const struct conn *conn, int client_side, enum stream_end how, int64_t time_ns)
{
    struct es *e = ctx;
    e->sink.conn_close(e->sink.ctx, conn, client_side, how, time_ns);
}

// ---- the door -------------------------------------------------------------------------------------------------------------

static bool copy_patterns(struct es *e, const struct es_settings *settings)
{
    e->exclude = mem_zero(settings->exclude_count + 1, sizeof *e->exclude);
    for (size_t i = 0; e->exclude && i < settings->exclude_count; i++) {
        const char *pattern = settings->exclude_index[i];
        if (!(e->exclude[i] = mem_text_copy(pattern, strlen(pattern))))
            return false;
        e->exclude_count++;
    }
    return e->exclude != NULL;
}

struct es *es_open(const struct es_settings *settings, const struct record_sink *sink)
{
    struct es *e = mem_zero(1, sizeof *e);
    if (!e)
        return NULL;
    e->sink = *sink;
    e->bodies = settings->bodies;
    e->read_requests = settings->read_requests;
    e->ops = settings->ops;
    e->items.max_bytes = ES_ITEMS_BYTES_MAX;
    e->held.max_bytes = ES_HELD_BYTES_MAX;
    e->door = (struct message_sink){
        .ctx = e, .request = take_request, .request_body = take_request_body, .request_end = take_request_end, .response = take_response,
        .response_body = take_response_body, .response_end = take_response_end, .close = take_close, .gap = pass_gap, .opaque = pass_opaque,
        .conn_close = pass_conn_close,
    };
    e->whos = who_open(NAMES_MAX);
    e->versions = version_open(settings->versions, settings->version_count);
    if (!copy_patterns(e, settings) || !e->whos || !e->versions || !es_learn_open(e)) {
        es_close(e);
        return NULL;
    }
    return e;
}

const struct message_sink *es_sink(struct es *e)
{
    return &e->door;
}

void es_tick(struct es *e, int64_t now_ns)
{
    (void)e, (void)now_ns;
}

void es_stats(const struct es *e, struct es_stats *stats)
{
    *stats = e->stats;
}

void es_close(struct es *e)
{
    if (!e)
        return;
    if (e->whos)
        who_close(e->whos);
    if (e->versions)
        version_close(e->versions);
    es_learn_close(e);
    for (size_t i = 0; i < e->exclude_count; i++)
        mem_free(e->exclude[i]);
    mem_free(e->exclude);
    mem_free(e);
}
