// Writes a capture of Elasticsearch-like traffic to standard output: fixed seed, any length, for benchmarks and scale tests.
//
// A node that answers consistently is simulated (sequence numbers, versions, item by item), so that what a recorder derives from
// the answers can be checked and planned with; bodies come from a word list, so compression ratios are upper bounds. A simulation.
//
// usage: gen [--mb N | --exchanges N] [--mode mix|small|writes|bulk] [--mtu N] [--seed N] [--conns N] [--rate N] [--docs N]
//            [--rare N] [--items N] [--loss PERMILLE] [--truth FILE]
//   mix     what services do: half of the bytes bulks, 85 % of the calls searches, some chunked, gzip, HEAD (default)
//   small   tiny reads and writes; --rare N of the exchanges go to the index `rare`
//   writes  single document writes over --docs documents of the index `catalog`
//   bulk    bulks of --items documents over --docs documents of the index `catalog`
// --truth FILE: a line per exchange: client address and port, verb, path, status, size and CRC-32 of the request's and of the
// answer's body, content codings and chunks taken off.
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { CONNS_MAX = 4096, PORT = 9200 };

struct settings {
    uint64_t bytes_max, exchanges_max, seed, rate, docs, rare;
    unsigned mtu, conns, items, loss;
    const char *mode, *truth_path;
};

struct text {
    char *at;
    size_t size, room;
};

struct conn {
    uint16_t port;
    uint32_t seq[2]; // client, server
    unsigned left;   // requests until it is closed
    bool open, user;
    unsigned unacked;
};

struct gen {
    struct settings s;
    uint64_t rng, loss_rng, time_ns, bytes, exchanges, packets;
    struct conn conns[CONNS_MAX];
    uint16_t next_port;
    uint64_t seq_no[64], writes;
    struct text request, response, body, answer, packed;
    FILE *truth;
    char pool_docs[512][1024];
};

static void die(const char *why)
{
    fprintf(stderr, "gen: %s\n", why);
    exit(2);
}

static uint64_t next(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

static uint64_t pick(struct gen *g, uint64_t below)
{
    return (next(&g->rng) >> 11) % below;
}

static void text_room(struct text *t, size_t more)
{
    if (t->room - t->size >= more)
        return;
    t->room = (t->size + more) * 2 + 256;
    t->at = realloc(t->at, t->room);
    if (!t->at)
        die("out of memory");
}

static void text_put(struct text *t, const void *at, size_t size)
{
    text_room(t, size + 1);
    memcpy(t->at + t->size, at, size);
    t->size += size;
    t->at[t->size] = 0;
}

__attribute__((format(printf, 2, 3))) static void text_add(struct text *t, const char *format, ...)
{
    char small[2048];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    text_put(t, small, n < 0 ? 0 : (size_t)n < sizeof small ? (size_t)n : sizeof small - 1);
}

// ---- packets --------------------------------------------------------------------------------------------------------

static void put16(uint8_t *at, unsigned v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static void put32(uint8_t *at, uint32_t v)
{
    put16(at, v >> 16);
    put16(at + 2, v & 0xffff);
}

enum { FIN = 1, SYN = 2, PSH = 8, ACK = 16 };

static void packet(struct gen *g, struct conn *c, int from, unsigned flags, const void *data, size_t size)
{
    uint8_t head[16 + 14 + 20 + 32] = {0}, *eth = head + 16, *ip = eth + 14, *tcp = ip + 20;
    uint32_t frame = (uint32_t)(14 + 20 + 32 + size);
    uint32_t stamp[4] = {(uint32_t)(g->time_ns / 1000000000), (uint32_t)(g->time_ns / 1000 % 1000000), frame, frame};
    memcpy(head, stamp, sizeof stamp);
    g->time_ns += 700 + size / 2;
    put16(eth + 12, 0x0800);
    ip[0] = 0x45;
    put16(ip + 2, 52 + (unsigned)size > 65535 ? 0 : 52 + (unsigned)size);
    ip[8] = 64;
    ip[9] = 6;
    put32(ip + 12, from == 0 ? 0x0a000000u + c->port % 40 + 10 : 0x0a000001);
    put32(ip + 16, from == 0 ? 0x0a000001 : 0x0a000000u + c->port % 40 + 10);
    put16(tcp, from == 0 ? c->port : PORT);
    put16(tcp + 2, from == 0 ? PORT : c->port);
    put32(tcp + 4, c->seq[from]);
    put32(tcp + 8, flags & ACK ? c->seq[1 - from] : 0);
    tcp[12] = 0x80;
    tcp[13] = (uint8_t)flags;
    put16(tcp + 14, 512);
    tcp[20] = tcp[21] = 1;
    tcp[22] = 8;
    tcp[23] = 10;
    put32(tcp + 24, (uint32_t)(g->time_ns / 1000000));
    c->seq[from] += (uint32_t)size + (flags & (SYN | FIN) ? 1 : 0);
    g->packets++;
    if (g->s.loss && next(&g->loss_rng) % 1000 < g->s.loss)
        return;
    g->bytes += 16 + frame;
    if (fwrite(head, sizeof head, 1, stdout) != 1 || (size && fwrite(data, size, 1, stdout) != 1))
        exit(1); // the reader has gone
}

static void send_bytes(struct gen *g, struct conn *c, int from, const struct text *t)
{
    size_t mss = g->s.mtu - 52;
    for (size_t at = 0; at < t->size;) {
        size_t size = t->size - at < mss ? t->size - at : mss;
        packet(g, c, from, ACK | (at + size == t->size ? PSH : 0), t->at + at, size);
        at += size;
        if (++c->unacked % 2 == 0 && at < t->size)
            packet(g, c, 1 - from, ACK, NULL, 0);
    }
}

static struct conn *take_conn(struct gen *g)
{
    struct conn *c = &g->conns[pick(g, g->s.conns)];
    if (c->open && c->left-- > 0)
        return c;
    if (c->open) {
        packet(g, c, 0, FIN | ACK, NULL, 0);
        packet(g, c, 1, FIN | ACK, NULL, 0);
        packet(g, c, 0, ACK, NULL, 0);
    }
    *c = (struct conn){.port = g->next_port, .seq = {(uint32_t)next(&g->rng), (uint32_t)next(&g->rng)}, .open = true,
                       .left = (unsigned)pick(g, 2800) + 200, .user = pick(g, 7) > 0};
    g->next_port = g->next_port >= 60000 ? 20000 : (uint16_t)(g->next_port + 1);
    packet(g, c, 0, SYN, NULL, 0);
    packet(g, c, 1, SYN | ACK, NULL, 0);
    packet(g, c, 0, ACK, NULL, 0);
    return c;
}

// ---- what is said ---------------------------------------------------------------------------------------------------

static const char *const words[] = {
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet", "kilo", "lima", "mike", "november", "oscar", "papa",
    "quebec", "romeo", "sierra", "tango", "uniform", "victor", "whiskey", "xray", "yankee", "zulu", "error", "warn", "info", "debug", "timeout",
    "refused", "connect", "login", "logout", "checkout", "payment", "order", "invoice", "customer", "session", "shard", "replica", "node", "cluster",
    "mapping", "alias", "template", "pipeline", "snapshot", "restore",
};
static const char *const indices[] = {
    "logs-app-2026.01.01", "logs-app-2026.01.02", "logs-app-2026.01.03", "logs-app-2026.01.04", "logs-app-2026.01.05", "logs-app-2026.01.06",
    "logs-app-2026.01.07", "logs-app-2026.01.08", "logs-app-2026.01.09", "logs-app-2026.01.10", "logs-app-2026.01.11", "logs-app-2026.01.12",
    "logs-app-2026.02.01", "logs-app-2026.02.02", "logs-app-2026.02.03", "logs-app-2026.02.04", "logs-app-2026.02.05", "logs-app-2026.02.06",
    "orders", "customers", ".kibana_1", "metrics-system-default", "audit-000007", "products-v3",
};
enum { INDICES = sizeof indices / sizeof *indices, WORDS = sizeof words / sizeof *words };
static const char *const users[] = {"elastic", "kibana_system", "ingest", "reporting", "alice", "bob"};
// base64 of user:not-a-real-pw
static const char *const basic[] = {"ZWxhc3RpYzpub3QtYS1yZWFsLXB3", "a2liYW5hX3N5c3RlbTpub3QtYS1yZWFsLXB3", "aW5nZXN0Om5vdC1hLXJlYWwtcHc=",
                                    "cmVwb3J0aW5nOm5vdC1hLXJlYWwtcHc=", "YWxpY2U6bm90LWEtcmVhbC1wdw==", "Ym9iOm5vdC1hLXJlYWwtcHc="};

static void write_doc(struct gen *g, struct text *t)
{
    static const char *const levels[] = {"INFO", "WARN", "ERROR", "DEBUG"};
    text_add(t, "{\"@timestamp\":\"2026-02-%02uT%02u:%02u:%02u.%03uZ\",\"level\":\"%s\",\"host\":{\"name\":\"web-%03u\",\"ip\":\"10.%u.%u.%u\"},\"trace.id\":\"%016" PRIx64 "%016" PRIx64
                "\",\"http\":{\"status\":%u,\"bytes\":%u,\"path\":\"/%s/%s/%s\"},\"duration_ms\":%u.%03u,\"user\":\"%s\",\"message\":\"",
             (unsigned)pick(g, 28) + 1, (unsigned)pick(g, 24), (unsigned)pick(g, 60), (unsigned)pick(g, 60), (unsigned)pick(g, 1000), levels[pick(g, 4)],
             (unsigned)pick(g, 200), (unsigned)pick(g, 256), (unsigned)pick(g, 256), (unsigned)pick(g, 256), next(&g->rng), next(&g->rng),
             (unsigned[]){200, 200, 200, 201, 302, 404, 500}[pick(g, 7)], (unsigned)pick(g, 90000) + 100, words[pick(g, WORDS)], words[pick(g, WORDS)],
             words[pick(g, WORDS)], (unsigned)pick(g, 150), (unsigned)pick(g, 1000), users[pick(g, 6)]);
    for (uint64_t n = 6 + pick(g, 24); n; n--)
        text_add(t, "%s%s", words[pick(g, WORDS)], n > 1 ? " " : "");
    text_add(t, "\"}");
}

static void request(struct gen *g, struct conn *c, const char *verb, const char *path, const char *type, bool chunked, bool gzip_answer)
{
    struct text *t = &g->request;
    t->size = 0;
    text_add(t, "%s %s HTTP/1.1\r\nHost: es01.internal:9200\r\nUser-Agent: elasticsearch-py/8.12.0 (Python/3.11.7; elastic-transport/8.12.0)\r\n"
                "Accept: application/vnd.elasticsearch+json; compatible-with=8\r\nConnection: keep-alive\r\n", verb, path);
    if (c->user)
        text_add(t, "Authorization: Basic %s\r\n", basic[c->port % 6]);
    if (pick(g, 10) < 3)
        text_add(t, "X-Opaque-Id: job-%06u\r\n", (unsigned)pick(g, 1000000));
    if (gzip_answer)
        text_add(t, "Accept-Encoding: gzip\r\n");
    if (!g->body.size) {
        text_add(t, "\r\n");
        return;
    }
    text_add(t, "Content-Type: %s\r\n", type);
    if (!chunked) {
        text_add(t, "Content-Length: %zu\r\n\r\n", g->body.size);
        text_put(t, g->body.at, g->body.size);
        return;
    }
    text_add(t, "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0; at < g->body.size; at += 8192) {
        size_t size = g->body.size - at < 8192 ? g->body.size - at : 8192;
        text_add(t, "%zx\r\n", size);
        text_put(t, g->body.at + at, size);
        text_add(t, "\r\n");
    }
    text_add(t, "0\r\n\r\n");
}

static void gzip_answer(struct gen *g)
{
    z_stream z = {0};
    if (deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        die("zlib");
    g->packed.size = 0;
    text_room(&g->packed, deflateBound(&z, g->answer.size) + 32);
    z.next_in = (Bytef *)g->answer.at;
    z.avail_in = (uInt)g->answer.size;
    z.next_out = (Bytef *)g->packed.at;
    z.avail_out = (uInt)g->packed.room;
    deflate(&z, Z_FINISH);
    g->packed.size = z.total_out;
    deflateEnd(&z);
}

static void respond(struct gen *g, const char *status, bool head, bool gzip)
{
    struct text *t = &g->response, *body = &g->answer;
    if (gzip && !head) {
        gzip_answer(g);
        body = &g->packed;
    }
    t->size = 0;
    text_add(t, "HTTP/1.1 %s\r\nX-elastic-product: Elasticsearch\r\ncontent-type: application/vnd.elasticsearch+json;compatible-with=8\r\n%scontent-length: %zu\r\n\r\n",
             status, gzip && !head ? "content-encoding: gzip\r\n" : "", body->size);
    if (!head)
        text_put(t, body->at, body->size);
}

static void tell_truth(const struct gen *g, const struct conn *c)
{
    const char *request = g->request.at, *path = strchr(request, ' ') + 1;
    bool head = strncmp(request, "HEAD ", 5) == 0;
    size_t answered = head ? 0 : g->answer.size;
    fprintf(g->truth, "10.0.0.%u\t%u\t%.*s\t%.*s\t%.3s\t%zu\t%08lx\t%zu\t%08lx\n", c->port % 40u + 10, c->port, (int)(path - 1 - request), request,
            (int)strcspn(path, " "), path, g->response.at + sizeof "HTTP/1.1 " - 1, g->body.size, crc32(0, (const Bytef *)g->body.at, (uInt)g->body.size), answered,
            crc32(0, (const Bytef *)g->answer.at, (uInt)answered));
}

static void exchange(struct gen *g, struct conn *c)
{
    if (g->truth)
        tell_truth(g, c);
    send_bytes(g, c, 0, &g->request);
    packet(g, c, 1, ACK, NULL, 0);
    g->time_ns += 200000;
    send_bytes(g, c, 1, &g->response);
    packet(g, c, 0, ACK, NULL, 0);
    g->exchanges++;
    uint64_t due = UINT64_C(1769904000000000000) + g->exchanges * 1000000000 / g->s.rate;
    if (g->time_ns < due)
        g->time_ns = due;
}

static void write_item_answer(struct gen *g, const char *kind, unsigned index, const char *id, uint64_t version)
{
    static const char *const results[][2] = {{"created", "201"}, {"updated", "200"}, {"deleted", "200"}};
    unsigned r = strcmp(kind, "delete") == 0 ? 2 : version > 1;
    text_add(&g->answer, "{\"%s\":{\"_index\":\"%s\",\"_id\":\"%s\",\"_version\":%" PRIu64 ",\"result\":\"%s\",\"_shards\":{\"total\":2,\"successful\":2,\"failed\":0},\"_seq_no\":%" PRIu64
                         ",\"_primary_term\":1,\"status\":%s}}", kind, indices[index], id, version, results[r][0], g->seq_no[index]++, results[r][1]);
}

static void bulk(struct gen *g, struct conn *c, unsigned items)
{
    bool all_indices = pick(g, 3) == 0, chunked = pick(g, 4) == 0;
    unsigned index = (unsigned)pick(g, INDICES);
    g->answer.size = 0;
    text_add(&g->answer, "{\"took\":%u,\"errors\":false,\"items\":[", (unsigned)pick(g, 90));
    for (unsigned i = 0; i < items; i++) {
        unsigned p = (unsigned)pick(g, 100), at = all_indices ? (unsigned)pick(g, INDICES) : index;
        const char *kind = p < 70 ? "index" : p < 90 ? "create" : p < 97 ? "update" : "delete";
        char id[24];
        snprintf(id, sizeof id, "%04x%016" PRIx64, (unsigned)pick(g, 65536), next(&g->rng));
        text_add(&g->body, "{\"%s\": {\"_id\": \"%s\"", kind, id);
        if (all_indices)
            text_add(&g->body, ", \"_index\": \"%s\"", indices[at]);
        text_add(&g->body, "}}\n");
        if (p < 90) {
            write_doc(g, &g->body);
            text_add(&g->body, "\n");
        } else if (p < 97) {
            text_add(&g->body, "{\"doc\": {\"level\": \"INFO\", \"duration_ms\": 0.%06u}}\n", (unsigned)pick(g, 1000000));
        }
        if (i)
            text_add(&g->answer, ",");
        write_item_answer(g, kind, at, id, p < 90 ? 1 : 2);
    }
    text_add(&g->answer, "]}");
    char path[64];
    snprintf(path, sizeof path, all_indices ? "/_bulk" : "/%s/_bulk", indices[index]);
    request(g, c, "POST", path, "application/x-ndjson", chunked, false);
    respond(g, "200 OK", false, false);
    exchange(g, c);
}

static void search(struct gen *g, struct conn *c, const char *index)
{
    char path[96];
    bool gzip = pick(g, 10) == 0;
    text_add(&g->body, "{\"size\": %u, \"track_total_hits\": %s, \"query\": {\"bool\": {\"must\": [{\"match\": {\"message\": \"%s %s %s\"}}], \"filter\": [{\"range\": {\"@timestamp\": {\"gte\": \"now-15m\", "
                       "\"lt\": \"now\"}}}, {\"term\": {\"host.name\": \"web-%03u\"}}]}}, \"sort\": [{\"@timestamp\": \"desc\"}]}",
             (unsigned[]){0, 10, 20, 50}[pick(g, 4)], pick(g, 2) ? "true" : "false", words[pick(g, WORDS)], words[pick(g, WORDS)], words[pick(g, WORDS)], (unsigned)pick(g, 200));
    g->answer.size = 0;
    text_add(&g->answer, "{\"took\":%u,\"timed_out\":false,\"_shards\":{\"total\":5,\"successful\":5,\"skipped\":0,\"failed\":0},\"hits\":{\"total\":{\"value\":%u,\"relation\":\"eq\"},\"max_score\":1.0,\"hits\":[",
             (unsigned)pick(g, 90), (unsigned)pick(g, 10000));
    for (uint64_t n = 1 + pick(g, 12), i = 0; i < n; i++)
        text_add(&g->answer, "%s{\"_index\": \"%s\", \"_id\": \"%020" PRIx64 "\", \"_score\": 1.0, \"_source\": %s}", i ? "," : "", index, next(&g->rng), g->pool_docs[pick(g, 512)]);
    text_add(&g->answer, "]}}");
    snprintf(path, sizeof path, "/%s/_search?typed_keys=true", index);
    request(g, c, "POST", path, "application/json", false, gzip);
    respond(g, "200 OK", false, gzip);
    exchange(g, c);
}

static void simple(struct gen *g, struct conn *c, const char *verb, const char *path, const char *status, const char *answer)
{
    g->answer.size = 0;
    text_add(&g->answer, "%s", answer);
    bool gzip = strcmp(verb, "HEAD") != 0 && pick(g, 10) == 0;
    request(g, c, verb, path, "application/json", false, gzip);
    respond(g, status, strcmp(verb, "HEAD") == 0, gzip);
    exchange(g, c);
}

static void one_write(struct gen *g, struct conn *c, unsigned index, const char *id, uint64_t version)
{
    char path[128], answer[512];
    snprintf(path, sizeof path, "/%s/_doc/%s", indices[index], id);
    write_doc(g, &g->body);
    snprintf(answer, sizeof answer, "{\"_index\":\"%s\",\"_id\":\"%s\",\"_version\":%" PRIu64 ",\"result\":\"%s\",\"_shards\":{\"total\":2,\"successful\":2,\"failed\":0},\"_seq_no\":%" PRIu64 ",\"_primary_term\":1}",
             indices[index], id, version, version > 1 ? "updated" : "created", g->seq_no[index]++);
    simple(g, c, "PUT", path, version > 1 ? "200 OK" : "201 Created", answer);
}

static void mix(struct gen *g, struct conn *c)
{
    unsigned p = (unsigned)pick(g, 1000), index = (unsigned)pick(g, INDICES);
    char path[128], id[24];
    snprintf(id, sizeof id, "%04x%016" PRIx64, (unsigned)pick(g, 65536), next(&g->rng));
    if (p < 9) {
        bulk(g, c, (unsigned[]){30, 100, 300, 1000, 2000}[pick(g, 5)]);
    } else if (p < 800) {
        search(g, c, indices[index]);
    } else if (p < 860) {
        char answer[1400];
        snprintf(path, sizeof path, "/%s/_doc/%s", indices[index], id);
        snprintf(answer, sizeof answer, "{\"_index\":\"%s\",\"_id\":\"%s\",\"_version\":1,\"_seq_no\":5,\"_primary_term\":1,\"found\":true,\"_source\":%s}", indices[index], id, g->pool_docs[pick(g, 512)]);
        simple(g, c, "GET", path, "200 OK", answer);
    } else if (p < 900) {
        one_write(g, c, index, id, 1);
    } else if (p < 930) {
        snprintf(path, sizeof path, "/%s", indices[index]);
        simple(g, c, "HEAD", path, pick(g, 2) ? "200 OK" : "404 Not Found", "{\"acknowledged\":true}");
    } else if (p < 960) {
        simple(g, c, "GET", "/_cluster/health", "200 OK", "{\"cluster_name\":\"es\",\"status\":\"green\",\"timed_out\":false,\"number_of_nodes\":3}");
    } else if (p < 980) {
        char answer[400];
        snprintf(path, sizeof path, "/%s/_update/%s", indices[index], id);
        text_add(&g->body, "{\"doc\":{\"level\":\"WARN\"}}");
        snprintf(answer, sizeof answer, "{\"_index\":\"%s\",\"_id\":\"%s\",\"_version\":2,\"result\":\"updated\",\"_shards\":{\"total\":2,\"successful\":2,\"failed\":0},\"_seq_no\":%" PRIu64 ",\"_primary_term\":1}",
                 indices[index], id, g->seq_no[index]++);
        simple(g, c, "POST", path, "200 OK", answer);
    } else if (p < 995) {
        snprintf(path, sizeof path, "/%s/_count", indices[index]);
        simple(g, c, "GET", path, "200 OK", "{\"count\":4711,\"_shards\":{\"total\":5,\"successful\":5,\"skipped\":0,\"failed\":0}}");
    } else if (p < 998) {
        snprintf(path, sizeof path, "/%s/_delete_by_query", indices[index]);
        text_add(&g->body, "{\"query\":{\"term\":{\"user\":\"bob\"}}}");
        simple(g, c, "POST", path, "200 OK", "{\"took\":12,\"timed_out\":false,\"total\":0,\"deleted\":0,\"batches\":0,\"version_conflicts\":0,\"noops\":0,\"failures\":[]}");
    } else {
        snprintf(path, sizeof path, "/%s", indices[index]);
        simple(g, c, "DELETE", path, "200 OK", "{\"acknowledged\":true}");
        g->seq_no[index] = 0;
    }
}

static void small(struct gen *g, struct conn *c)
{
    unsigned index = (unsigned)pick(g, INDICES);
    char path[128];
    if (g->s.rare && g->exchanges % (g->s.exchanges_max / g->s.rare ? g->s.exchanges_max / g->s.rare : 1) == 0) {
        simple(g, c, "GET", "/rare/_count", "200 OK", "{\"count\":7}");
        return;
    }
    if (pick(g, 10) == 0) {
        char id[24];
        snprintf(id, sizeof id, "%016" PRIx64, next(&g->rng));
        one_write(g, c, index, id, 1);
        return;
    }
    snprintf(path, sizeof path, pick(g, 2) ? "/%s/_count" : "/%s/_search?size=0", indices[index]);
    simple(g, c, "GET", path, "200 OK", "{\"took\":1,\"timed_out\":false,\"hits\":{\"total\":{\"value\":3,\"relation\":\"eq\"},\"hits\":[]}}");
}

static void writes(struct gen *g, struct conn *c)
{
    uint64_t n = g->writes++;
    char id[24];
    snprintf(id, sizeof id, "%" PRIu64, n % g->s.docs);
    one_write(g, c, 18, id, n / g->s.docs + 1);
}

static void bulk_writes(struct gen *g, struct conn *c)
{
    g->answer.size = 0;
    text_add(&g->answer, "{\"took\":7,\"errors\":false,\"items\":[");
    for (unsigned i = 0; i < g->s.items; i++) {
        uint64_t n = g->writes++;
        char id[24];
        snprintf(id, sizeof id, "%" PRIu64, n % g->s.docs);
        text_add(&g->body, "{\"index\":{\"_id\":\"%s\"}}\n", id);
        text_add(&g->body, "{\"n\":%" PRIu64 ",\"w\":\"%s %s\"}\n", n, words[pick(g, WORDS)], words[pick(g, WORDS)]);
        if (i)
            text_add(&g->answer, ",");
        write_item_answer(g, "index", 18, id, n / g->s.docs + 1);
    }
    text_add(&g->answer, "]}");
    request(g, c, "POST", "/orders/_bulk", "application/x-ndjson", false, false);
    respond(g, "200 OK", false, false);
    exchange(g, c);
}

static const struct {
    const char *name;
    void (*step)(struct gen *, struct conn *);
} modes[] = {{"mix", mix}, {"small", small}, {"writes", writes}, {"bulk", bulk_writes}};

static uint64_t number(const char *text)
{
    char *end;
    uint64_t v = strtoull(text, &end, 10);
    if (*end || end == text)
        die("a value is not a number");
    return v;
}

int main(int argc, char **argv)
{
    static struct gen g = {.s = {.seed = 1, .rate = 2000, .docs = 100000, .mtu = 1500, .conns = 32, .items = 500, .mode = "mix"}, .next_port = 20000};
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (strcmp(name, "--mb") == 0) g.s.bytes_max = number(value) * 1000000;
        else if (strcmp(name, "--exchanges") == 0) g.s.exchanges_max = number(value);
        else if (strcmp(name, "--mode") == 0) g.s.mode = value;
        else if (strcmp(name, "--mtu") == 0) g.s.mtu = (unsigned)number(value);
        else if (strcmp(name, "--seed") == 0) g.s.seed = number(value);
        else if (strcmp(name, "--conns") == 0) g.s.conns = (unsigned)number(value);
        else if (strcmp(name, "--rate") == 0) g.s.rate = number(value);
        else if (strcmp(name, "--docs") == 0) g.s.docs = number(value);
        else if (strcmp(name, "--rare") == 0) g.s.rare = number(value);
        else if (strcmp(name, "--items") == 0) g.s.items = (unsigned)number(value);
        else if (strcmp(name, "--loss") == 0) g.s.loss = (unsigned)number(value);
        else if (strcmp(name, "--truth") == 0) g.s.truth_path = value;
        else die("no such option");
    }
    if (argc % 2 == 0 || (!g.s.bytes_max && !g.s.exchanges_max) || !g.s.conns || g.s.conns > CONNS_MAX || g.s.mtu < 576 || !g.s.rate || !g.s.docs)
        die("usage: gen [--mb N | --exchanges N] [--mode mix|small|writes|bulk] [--mtu N] [--seed N] [--conns N] [--rate N] [--docs N] [--rare N] [--items N] [--loss PERMILLE] [--truth FILE]");
    void (*step)(struct gen *, struct conn *) = NULL;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(g.s.mode, modes[i].name) == 0)
            step = modes[i].step;
    if (!step)
        die("no such mode");
    if (g.s.truth_path && !(g.truth = fopen(g.s.truth_path, "w")))
        die("the truth cannot be written");
    setvbuf(stdout, NULL, _IOFBF, 1 << 20);
    g.rng = g.s.seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    g.loss_rng = g.s.seed * UINT64_C(0xd6e8feb86659fd93) + 1;
    g.time_ns = UINT64_C(1769904000000000000); // 2026-02-01
    const uint32_t file_head[6] = {0xa1b2c3d4, 4 << 16 | 2, 0, 0, 262144, 1};
    fwrite(file_head, sizeof file_head, 1, stdout);
    for (size_t i = 0; i < 512; i++) {
        g.body.size = 0;
        write_doc(&g, &g.body);
        snprintf(g.pool_docs[i], sizeof g.pool_docs[i], "%s", g.body.at);
    }
    while ((!g.s.bytes_max || g.bytes < g.s.bytes_max) && (!g.s.exchanges_max || g.exchanges < g.s.exchanges_max)) {
        g.body.size = 0;
        step(&g, take_conn(&g));
    }
    if (fflush(stdout) != 0 || (g.truth && fclose(g.truth) != 0))
        return 1;
    fprintf(stderr, "%" PRIu64 " exchanges, %" PRIu64 " packets, %" PRIu64 " bytes\n", g.exchanges, g.packets, g.bytes);
    return 0;
}
