// Fuzzes decoding and reassembly: any packets on any link type, checked against the promises of include/stream.h.
//
// Input: one byte chooses the link type; then packets, each a head of four bytes (captured length in two, big end first; a
// byte that says how much later it came, and one that says how much longer it was on the wire) and its bytes.
#include "src/wire/wire.h"

#include <stdio.h>
#include <stdlib.h>

static volatile uint8_t sink_of_bytes;

struct state {
    const struct conn *conn;
    uint64_t next[2];
    unsigned ended;
};

static void demand(int holds)
{
    if (!holds)
        abort();
}

static void *open_stream(void *ctx, const struct conn *conn)
{
    (void)ctx;
    struct state *s = calloc(1, sizeof *s);
    demand(s != NULL);
    s->conn = conn;
    return s;
}

static void data(void *ctx, void *state, const struct stream_piece *p)
{
    struct state *s = state;
    (void)ctx;
    demand(p->offset == s->next[p->side] && p->bytes.size > 0 && !(s->ended & 1u << p->side));
    demand(!p->ack_known || !s->conn->seen[!p->side] || p->ack <= s->next[!p->side]);
    for (size_t i = 0; i < p->bytes.size; i++)
        sink_of_bytes += p->bytes.at[i];
    s->next[p->side] += p->bytes.size;
}

static void gap(void *ctx, void *state, const struct stream_gap *g)
{
    struct state *s = state;
    (void)ctx;
    demand(g->offset == s->next[g->side] && g->size_bytes > 0 && !(s->ended & 1u << g->side));
    demand(!g->ack_known || !s->conn->seen[!g->side] || g->ack <= s->next[!g->side]);
    s->next[g->side] += g->size_bytes;
}

static void end(void *ctx, void *state, int side, enum stream_end how, int64_t time_ns)
{
    struct state *s = state;
    (void)ctx, (void)how, (void)time_ns;
    demand(!(s->ended & 1u << side));
    s->ended |= 1u << side;
}

static void close_stream(void *ctx, void *state, enum stream_end how, int64_t time_ns)
{
    struct state *s = state;
    (void)ctx, (void)how, (void)time_ns;
    demand(s->ended == 3);
    free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size)
{
    static const int links[] = {1, 0, 12, 101, 108, 113, 228, 229, 276};
    if (!size)
        return 0;
    struct stream_sink sink = {NULL, open_stream, data, gap, end, close_stream};
    struct wire_settings settings = {0};
    struct wire *w = wire_open(&settings, &sink);
    if (!w)
        return 0;
    int link = links[at[0] % (sizeof links / sizeof *links)];
    int64_t time_ns = INT64_C(1700000000000000000);
    for (size_t i = 1; i + 4 <= size;) {
        size_t captured = (size_t)at[i] << 8 | at[i + 1];
        time_ns += (int64_t)at[i + 2] * at[i + 2] * at[i + 2] * 1000;
        uint32_t more = at[i + 3];
        i += 4;
        if (captured > size - i)
            captured = size - i;
        // A copy of its own, so that reading beyond it is seen.
        uint8_t *copy = malloc(captured ? captured : 1);
        demand(copy != NULL);
        if (captured)
            memcpy(copy, at + i, captured);
        struct packet packet = {time_ns, copy, (uint32_t)captured, (uint32_t)captured + more, link, 0};
        wire_feed(w, &packet);
        free(copy);
        i += captured;
    }
    struct wire_stats stats;
    wire_stats(w, &stats);
    wire_tick(w, time_ns + INT64_C(700000000));
    wire_close(w);
    return 0;
}

#ifdef FUZZ_MAIN
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        static uint8_t input[1 << 20];
        FILE *f = fopen(argv[i], "rb");
        if (!f)
            return 1;
        LLVMFuzzerTestOneInput(input, fread(input, 1, sizeof input, f));
        fclose(f);
    }
    return 0;
}
#endif
