// Conversations with known content, damaged at random: whatever was captured must come out, in place, in causal order.
#include "play.h"

#include <stdlib.h>

enum { ROUNDS = 400, PACKETS_MAX = 600, STREAM_MAX = 400000, WINDOW = 8 };

struct planned {
    int side;
    int flags;
    uint32_t seq, ack, size; // offsets
    double place;
};

struct truth {
    struct planned packets[PACKETS_MAX];
    size_t count;
    uint32_t sent[2];
    uint8_t captured[2][STREAM_MAX / 8]; // bit per byte of each side's stream
};

struct check {
    struct truth *truth;
    const struct conn *conn;
    uint64_t next[2], kept[2], gaps[2];
    unsigned opens, closes;
};

static unsigned seed;

static unsigned draw(unsigned below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static uint8_t content(int side, uint64_t at)
{
    uint32_t v = (uint32_t)at * 2654435761u + (uint32_t)side * 40503u;
    return (uint8_t)(v >> 24);
}

static int true_side(const struct conn *conn, int side)
{
    return conn->end[side].port == SERVER_PORT;
}

static void *check_open(void *ctx, const struct conn *conn)
{
    struct check *c = ctx;
    c->opens++;
    c->conn = conn;
    return c;
}

static void check_ack(const struct check *c, int side, bool known, uint64_t ack)
{
    if (known && c->conn->seen[!side])
        assert_true(ack <= c->next[!true_side(c->conn, side)]);
}

static void check_data(void *ctx, void *state, const struct stream_piece *piece)
{
    struct check *c = ctx;
    (void)state;
    int side = true_side(c->conn, piece->side);
    assert_int_equal(piece->offset, c->next[side]);
    for (size_t i = 0; i < piece->bytes.size; i++)
        assert_int_equal(piece->bytes.at[i], content(side, piece->offset + i));
    check_ack(c, piece->side, piece->ack_known, piece->ack);
    c->next[side] += piece->bytes.size;
    c->kept[side] += piece->bytes.size;
}

static void check_gap(void *ctx, void *state, const struct stream_gap *gap)
{
    struct check *c = ctx;
    (void)state;
    int side = true_side(c->conn, gap->side);
    assert_int_equal(gap->offset, c->next[side]);
    assert_true(gap->size_bytes > 0);
    check_ack(c, gap->side, gap->ack_known, gap->ack);
    c->next[side] += gap->size_bytes;
    c->gaps[side] += gap->size_bytes;
}

static void check_end(void *ctx, void *state, int side, enum stream_end how, int64_t time_ns)
{
    (void)ctx, (void)state, (void)side, (void)how, (void)time_ns;
}

static void check_close(void *ctx, void *state, enum stream_end how, int64_t time_ns)
{
    struct check *c = ctx;
    (void)state, (void)how, (void)time_ns;
    c->closes++;
}

static void plan(struct truth *t, int side, int flags, uint32_t seq, uint32_t ack, uint32_t size)
{
    if (t->count == PACKETS_MAX)
        return;
    t->packets[t->count] = (struct planned){side, flags, seq, ack, size, (double)t->count};
    t->count++;
}

// Requests and answers in turn, in segments, with pure acknowledgements now and then.
static void plan_conversation(struct truth *t)
{
    memset(t, 0, sizeof *t);
    plan(t, 0, SYN, 0, 0, 0);
    plan(t, 1, SYN | ACK, 0, 0, 0);
    plan(t, 0, ACK, 0, 0, 0);
    for (unsigned exchange = 0; exchange < 20; exchange++)
        for (int side = 0; side < 2; side++)
            for (unsigned segments = 1 + draw(6); segments; segments--) {
                uint32_t size = 1 + draw(1400);
                plan(t, side, ACK, t->sent[side], t->sent[!side], size);
                t->sent[side] += size;
                if (draw(2))
                    plan(t, !side, ACK, t->sent[!side], t->sent[side], 0);
            }
    for (int i = 0; i < 4; i++)
        plan(t, i % 2, ACK, t->sent[i % 2], t->sent[!(i % 2)], 0);
}

static int by_place(const void *a, const void *b)
{
    const struct planned *x = a, *y = b;
    return x->place < y->place ? -1 : x->place > y->place;
}

static void send_one(struct play *p, struct truth *t, const struct planned *q)
{
    uint8_t frame[54 + 1500], data[1500];
    for (uint32_t i = 0; i < q->size; i++) {
        data[i] = content(q->side, q->seq + i);
        t->captured[q->side][(q->seq + i) / 8] |= (uint8_t)(1u << (q->seq + i) % 8);
    }
    play_feed(p, frame, play_frame(p, frame, q->side ? 'S' : 'C', q->flags, (int64_t[]){q->seq, q->ack}, bytes_of(data, q->size)), 1);
}

static uint64_t captured(const struct truth *t, int side)
{
    uint64_t n = 0;
    for (size_t i = 0; i < sizeof t->captured[side]; i++)
        n += (unsigned)__builtin_popcount(t->captured[side][i]);
    return n;
}

struct damage {
    unsigned loss_percent, late_percent, twice_percent;
    bool shuffle;
    int only; // -1: both
    uint32_t isn;
};

static void run_damaged(struct truth *t, struct check *c, const struct damage *d, struct wire_stats *stats)
{
    struct play p;
    play_begin(&p);
    wire_close(p.wire);
    *c = (struct check){.truth = t};
    struct stream_sink sink = {c, check_open, check_data, check_gap, check_end, check_close};
    p.wire = wire_open(&(struct wire_settings){0}, &sink);
    p.isn[0] += d->isn;
    p.isn[1] += d->isn * 3;
    for (size_t i = 0; i < t->count; i++)
        if (d->shuffle)
            t->packets[i].place = (double)i + draw(WINDOW * 100) / 100.0;
        else if (draw(100) < d->late_percent)
            t->packets[i].place = (double)i + 0.5 + draw(WINDOW + 1);
    qsort(t->packets, t->count, sizeof *t->packets, by_place);
    for (size_t i = 0; i < t->count; i++) {
        if (draw(100) < d->loss_percent || (d->only >= 0 && t->packets[i].side != d->only))
            continue;
        send_one(&p, t, &t->packets[i]);
        if (draw(100) < d->twice_percent)
            send_one(&p, t, &t->packets[i]);
    }
    play_end(&p);
    *stats = p.stats;
    buf_fini(&p.trace);
    assert_int_equal(c->opens, c->closes);
}

static void reordered_conversation_is_the_ordered_one(void **state)
{
    (void)state;
    static struct truth t;
    for (seed = 1; seed <= ROUNDS; seed++) {
        unsigned again = seed;
        plan_conversation(&t);
        struct check c;
        struct wire_stats stats;
        struct damage d = {.late_percent = 30, .shuffle = again % 2, .only = -1, .isn = again * 2654435761u};
        run_damaged(&t, &c, &d, &stats);
        for (int side = 0; side < 2; side++) {
            assert_int_equal(c.kept[side], t.sent[side]);
            assert_int_equal(c.gaps[side], 0);
        }
        seed = again;
    }
}

static void lost_packets_are_gaps_of_exactly_their_bytes(void **state)
{
    (void)state;
    static struct truth t;
    for (seed = 1; seed <= ROUNDS; seed++) {
        unsigned again = seed;
        plan_conversation(&t);
        struct check c;
        struct wire_stats stats;
        struct damage d = {.loss_percent = 1 + again % 10, .late_percent = again % 3 ? 0 : 30, .twice_percent = again % 2 ? 0 : 20, .only = -1};
        run_damaged(&t, &c, &d, &stats);
        for (int side = 0; side < 2 && c.opens == 1; side++) {
            assert_int_equal(c.kept[side], captured(&t, side));
            assert_in_range(c.next[side], c.kept[side], t.sent[side]);
            assert_int_equal(c.kept[side] + c.gaps[side], c.next[side]);
        }
        seed = again;
    }
}

static void one_side_alone_gives_all_of_its_bytes(void **state)
{
    (void)state;
    static struct truth t;
    for (seed = 1; seed <= ROUNDS; seed++) {
        unsigned again = seed;
        plan_conversation(&t);
        struct check c;
        struct wire_stats stats;
        struct damage d = {.late_percent = 30, .twice_percent = 10, .only = again % 2};
        run_damaged(&t, &c, &d, &stats);
        assert_int_equal(c.kept[again % 2], t.sent[again % 2]);
        assert_int_equal(c.gaps[0] + c.gaps[1], 0);
        seed = again;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reordered_conversation_is_the_ordered_one),
        cmocka_unit_test(lost_packets_are_gaps_of_exactly_their_bytes),
        cmocka_unit_test(one_side_alone_gives_all_of_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
