// Measures what semantics cost: a capture through capture, wire and http alone and with es behind them, and one bulk item through es.
//
// usage: bench_es CAPTURE      prints name TAB value TAB goal TAB unit; "with" and "without" are CPU seconds of one thread
#include "src/capture/capture.h"
#include "src/es/es.h"
#include "src/http/http.h"
#include "src/wire/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ITEMS = 2000, BULKS = 100, ROUNDS = 5, PIECE = 16384 };

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// ---- sinks that take and forget -------------------------------------------------------------------------------------

static void *take_request(void *ctx, const struct request_head *head) { (void)head; return ctx; }
static void take_piece(void *ctx, void *h, const struct body_piece *p) { (void)ctx, (void)h, (void)p; }
static void take_end(void *ctx, void *h, const struct message_end *e) { (void)ctx, (void)h, (void)e; }
static void take_response(void *ctx, void *h, const struct response_head *r) { (void)ctx, (void)h, (void)r; }
static void take_close(void *ctx, void *h, const struct exchange_end *e) { (void)ctx, (void)h, (void)e; }
static void take_gap(void *ctx, const struct conn *c, const struct stream_gap *g) { (void)ctx, (void)c, (void)g; }
static void take_opaque(void *ctx, const struct conn *c, enum opaque_kind k, int64_t t) { (void)ctx, (void)c, (void)k, (void)t; }
static void take_conn(void *ctx, const struct conn *c, int side, enum stream_end how, int64_t t) { (void)ctx, (void)c, (void)side, (void)how, (void)t; }

struct counted {
    uint64_t ids, ops;
};
static uint64_t next_id(void *ctx) { return ++((struct counted *)ctx)->ids; }
static void take_exchange(void *ctx, const struct exchange *x) { (void)ctx, (void)x; }
static void take_body(void *ctx, uint64_t id, enum body_side s, const struct body_piece *p) { (void)ctx, (void)id, (void)s, (void)p; }
static void take_ops(void *ctx, const struct op *ops, size_t n) { (void)ops; ((struct counted *)ctx)->ops += n; }
static void take_late(void *ctx, const struct late_outcome *l) { (void)ctx, (void)l; }
static void take_resolved(void *ctx, const struct resolution *r) { (void)ctx, (void)r; }
static void take_life(void *ctx, const struct incarnation *l) { (void)ctx, (void)l; }

static struct es *open_es(struct counted *c)
{
    static const struct es_settings settings = {.bodies = ES_BODIES_WRITES, .read_requests = true, .ops = true};
    struct record_sink sink = {.ctx = c, .next_id = next_id, .attempt = take_exchange, .body = take_body, .ops = take_ops, .done = take_exchange,
                               .late = take_late, .resolved = take_resolved, .life = take_life, .gap = take_gap, .opaque = take_opaque, .conn_close = take_conn};
    return es_open(&settings, &sink);
}

static double walk(const char *path, bool with_es)
{
    struct counted counted = {0};
    struct message_sink nothing = {.ctx = &counted, .request = take_request, .request_body = take_piece, .request_end = take_end, .response = take_response,
                                   .response_body = take_piece, .response_end = take_end, .close = take_close, .gap = take_gap, .opaque = take_opaque,
                                   .conn_close = take_conn};
    struct fault fault = {0};
    struct capture_source source = {path, false};
    struct capture_settings settings = {.sources = &source, .source_count = 1, .snaplen_bytes = 262144};
    struct wire_settings ports = {0};
    struct es *es = with_es ? open_es(&counted) : NULL;
    struct http *http = http_open(es ? es_sink(es) : &nothing);
    struct wire *wire = wire_open(&ports, http_sink(http));
    struct capture *capture = capture_open(&settings, &fault);
    if (!capture || !wire) {
        fprintf(stderr, "bench_es: %s\n", fault.text);
        exit(1);
    }
    double began = cpu_seconds();
    struct packet packet;
    while (capture_next(capture, 100, &packet, &fault) == CAPTURE_PACKET)
        wire_feed(wire, &packet);
    wire_close(wire);
    http_close(http);
    if (es)
        es_close(es);
    double took = cpu_seconds() - began;
    capture_close(capture);
    return took;
}

// ---- one item of a bulk ---------------------------------------------------------------------------------------------

struct text {
    char *at;
    size_t size;
};

static void feed(void (*fn)(void *, void *, const struct body_piece *), void *ctx, void *handle, const struct text *t)
{
    for (size_t at = 0; at < t->size; at += PIECE) {
        struct body_piece piece = {.bytes = bytes_of(t->at + at, t->size - at < PIECE ? t->size - at : PIECE)};
        fn(ctx, handle, &piece);
    }
}

static double bulk_item_ns(void)
{
    struct text request = {malloc(ITEMS * 600), 0}, answer = {malloc(ITEMS * 300), 0};
    answer.size = (size_t)sprintf(answer.at, "{\"took\":7,\"errors\":false,\"items\":[");
    for (unsigned i = 0; i < ITEMS; i++) {
        request.size += (size_t)sprintf(request.at + request.size, "{\"index\":{\"_id\":\"%08x\"}}\n{\"@timestamp\":\"2026-02-01T10:00:00Z\",\"level\":\"INFO\",\"host\":{\"name\":\"web-1\"},"
                                        "\"message\":\"alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa quebec romeo\"}\n", i * 2654435761u);
        answer.size += (size_t)sprintf(answer.at + answer.size, "%s{\"index\":{\"_index\":\"logs\",\"_id\":\"%08x\",\"_version\":1,\"result\":\"created\",\"_shards\":{\"total\":2,\"successful\":2,"
                                       "\"failed\":0},\"_seq_no\":%u,\"_primary_term\":1,\"status\":201}}", i ? "," : "", i * 2654435761u, i);
    }
    answer.size += (size_t)sprintf(answer.at + answer.size, "]}");
    struct counted counted = {0};
    struct es *es = open_es(&counted);
    const struct message_sink *sink = es_sink(es);
    struct conn conn = {.serial = 1, .end = {{.port = 40000}, {.port = 9200}}};
    struct header type = {bytes_of_text("Content-Type"), bytes_of_text("application/x-ndjson")};
    double began = cpu_seconds();
    for (int i = 0; i < BULKS; i++) {
        struct request_head head = {.conn = &conn, .time_ns = i + 1, .method = bytes_of_text("POST"), .target = bytes_of_text("/logs/_bulk"), .version_minor = 1, .headers = &type, .header_count = 1};
        struct response_head back = {.time_ns = i + 1, .status = 200};
        struct message_end asked = {.time_ns = i + 1, .wire_bytes = request.size, .complete = true}, told = {.time_ns = i + 1, .wire_bytes = answer.size, .complete = true};
        struct exchange_end end = {FATE_ANSWERED, i + 1};
        void *handle = sink->request(sink->ctx, &head);
        feed(sink->request_body, sink->ctx, handle, &request);
        sink->request_end(sink->ctx, handle, &asked);
        sink->response(sink->ctx, handle, &back);
        feed(sink->response_body, sink->ctx, handle, &answer);
        sink->response_end(sink->ctx, handle, &told);
        sink->close(sink->ctx, handle, &end);
    }
    double took = cpu_seconds() - began;
    es_close(es);
    free(request.at);
    free(answer.at);
    if (counted.ops != (uint64_t)ITEMS * BULKS) {
        fprintf(stderr, "bench_es: %llu ops, not %d\n", (unsigned long long)counted.ops, ITEMS * BULKS);
        exit(1);
    }
    return took * 1e9 / ((double)ITEMS * BULKS);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    double with[ROUNDS], without[ROUNDS], item[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        without[i] = walk(argv[1], false);
        with[i] = walk(argv[1], true);
        item[i] = bulk_item_ns();
    }
    qsort(with, ROUNDS, sizeof *with, by_size);
    qsort(without, ROUNDS, sizeof *without, by_size);
    qsort(item, ROUNDS, sizeof *item, by_size);
    printf("without\t%.4f\t-\ts\nwith\t%.4f\t-\ts\n", without[ROUNDS / 2], with[ROUNDS / 2]);
    printf("one item of a bulk, request and answer\t%.1f\t<= 400\tns\n", item[ROUNDS / 2]);
    return 0;
}
