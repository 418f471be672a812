// A little player for the tests of wire: packets said in one line each, and what came out of the streams as text.
#pragma once
#include "include/when.h"
#include "src/base/buf.h"
#include "src/base/mem.h"
#include "src/wire/wire.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };
enum { CLIENT_ISN = 1000, SERVER_ISN = 5000, CLIENT_PORT = 40000, SERVER_PORT = 9200 };

struct play {
    struct wire *wire;
    struct buf trace;
    int64_t time_ns;
    uint32_t isn[2];
    uint16_t client_port;
    uint16_t ident;
    uint32_t snaplen;
    bool gather; // join neighbouring pieces in the trace
    int last_side;
    uint64_t last_end;
    bool last_data;
    struct wire_stats stats; // after play_end
};

// The trace: `C0+3 abc @0` is a piece of the client at offset 0 that acknowledged 0; `C3 gap 4 lost`; `C end fin`; `close fin`.
static inline void *play_open(void *ctx, const struct conn *conn)
{
    struct play *p = ctx;
    buf_format(&p->trace, "open%s%s\n", conn->midstream ? " midstream" : "", conn->seen[0] && conn->seen[1] ? "" : " one-sided");
    p->last_data = false;
    return (void *)conn;
}

static inline char play_side(const struct conn *conn, int side)
{
    return conn->end[side].port == SERVER_PORT ? 'S' : 'C';
}

static inline void play_data(void *ctx, void *state, const struct stream_piece *piece)
{
    struct play *p = ctx;
    if (p->gather && p->last_data && p->last_side == piece->side && p->last_end == piece->offset) {
        p->trace.size--;
        buf_add_bytes(&p->trace, piece->bytes);
        buf_add_byte(&p->trace, '\n');
    } else {
        buf_format(&p->trace, "%c%llu ", play_side(state, piece->side), (unsigned long long)piece->offset);
        buf_add_bytes(&p->trace, piece->bytes);
        if (!p->gather && piece->ack_known)
            buf_format(&p->trace, " @%llu", (unsigned long long)piece->ack);
        if (!p->gather && !piece->segment_start)
            buf_add_text(&p->trace, " part");
        buf_add_byte(&p->trace, '\n');
    }
    p->last_data = true;
    p->last_side = piece->side;
    p->last_end = piece->offset + piece->bytes.size;
}

static inline void play_gap(void *ctx, void *state, const struct stream_gap *gap)
{
    static const char *const names[GAP_CAUSES] = {"lost", "snaplen", "midstream", "evicted", "end"};
    struct play *p = ctx;
    buf_format(&p->trace, "%c%llu gap %llu %s\n", play_side(state, gap->side), (unsigned long long)gap->offset,
               (unsigned long long)gap->size_bytes, names[gap->cause]);
    p->last_data = false;
}

static const char *const play_ends[] = {"fin", "rst", "idle", "reused", "input", "evicted"};

static inline void play_stream_end(void *ctx, void *state, int side, enum stream_end how, int64_t time_ns)
{
    struct play *p = ctx;
    (void)time_ns;
    buf_format(&p->trace, "%c end %s\n", play_side(state, side), play_ends[how]);
    p->last_data = false;
}

static inline void play_close(void *ctx, void *state, enum stream_end how, int64_t time_ns)
{
    struct play *p = ctx;
    (void)state, (void)time_ns;
    buf_format(&p->trace, "close %s\n", play_ends[how]);
    p->last_data = false;
}

static inline void play_begin(struct play *p)
{
    *p = (struct play){.time_ns = INT64_C(1700000000000000000), .isn = {CLIENT_ISN, SERVER_ISN}, .client_port = CLIENT_PORT, .snaplen = 262144};
    struct stream_sink sink = {p, play_open, play_data, play_gap, play_stream_end, play_close};
    struct wire_settings settings = {0};
    p->wire = wire_open(&settings, &sink);
    assert_non_null(p->wire);
}

static inline void play_end(struct play *p)
{
    wire_stats(p->wire, &p->stats);
    wire_close(p->wire);
    p->wire = NULL;
}

static inline void play_put_16(uint8_t *at, uint32_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static inline void play_put_32(uint8_t *at, uint32_t v)
{
    play_put_16(at, v >> 16);
    play_put_16(at + 2, v);
}

// An Ethernet frame with IPv4 and TCP. Offsets count from the first byte behind the SYN; frame holds at least 54 + size bytes.
static inline size_t play_frame(struct play *p, uint8_t *frame, char side, int flags, const int64_t offsets[2], struct bytes data)
{
    int from = side == 'S';
    memset(frame, 0, 54);
    frame[12] = 8;
    uint8_t *ip = frame + 14, *tcp = ip + 20;
    ip[0] = 0x45;
    play_put_16(ip + 2, (uint32_t)(40 + data.size));
    play_put_16(ip + 4, ++p->ident);
    ip[8] = 64;
    ip[9] = 6;
    play_put_32(ip + 12, from ? 0x0a000002 : 0x0a000001);
    play_put_32(ip + 16, from ? 0x0a000001 : 0x0a000002);
    play_put_16(tcp, from ? SERVER_PORT : p->client_port);
    play_put_16(tcp + 2, from ? p->client_port : SERVER_PORT);
    play_put_32(tcp + 4, p->isn[from] + 1 + (uint32_t)offsets[0] - !!(flags & SYN));
    play_put_32(tcp + 8, flags & ACK ? p->isn[!from] + 1 + (uint32_t)offsets[1] : 0);
    tcp[12] = 5 << 4;
    tcp[13] = (uint8_t)flags;
    play_put_16(tcp + 14, 1024);
    if (data.size)
        memcpy(frame + 54, data.at, data.size);
    return 54 + data.size;
}

static inline void play_feed(struct play *p, const uint8_t *frame, size_t size, int linktype)
{
    struct packet packet = {p->time_ns, frame, (uint32_t)(size < p->snaplen ? size : p->snaplen), (uint32_t)size, linktype, 0};
    p->time_ns += 100000;
    wire_feed(p->wire, &packet);
}

static inline void play_send(struct play *p, char side, int flags, int64_t seq, int64_t ack, const char *text)
{
    uint8_t frame[54 + 4096];
    struct bytes data = bytes_of_text(text);
    assert_true(data.size <= 4096);
    play_feed(p, frame, play_frame(p, frame, side, flags, (int64_t[]){seq, ack}, data), 1);
}

static inline void play_handshake(struct play *p)
{
    play_send(p, 'C', SYN, 0, 0, "");
    play_send(p, 'S', SYN | ACK, 0, 0, "");
    play_send(p, 'C', ACK, 0, 0, "");
}

// So many packets of the connection that nothing more is expected out of order.
static inline void play_settle(struct play *p, int64_t client, int64_t server)
{
    for (int i = 0; i < 20; i++)
        play_send(p, i % 2 ? 'S' : 'C', ACK, i % 2 ? server : client, i % 2 ? client : server, "");
}

// Ends the play and compares the trace.
static inline void play_expect(struct play *p, const char *expected)
{
    if (p->wire)
        play_end(p);
    assert_string_equal(buf_text(&p->trace), expected);
    buf_fini(&p->trace);
}
