// Tests of reading tapes: order over segments and tapes, copies of two taps, conditions against a plain scan, bodies by range,
// ops by document, following, damage, and that reading changes nothing.
#include "../../../src/tape/read.h"

#include "tape_maker.h"

#include <fcntl.h>

static struct tape *reopen(const char *const *dirs, size_t count)
{
    struct fault fault = {0};
    struct tape *t = tape_open(dirs, count, &fault);
    if (!t)
        print_message("%s\n", fault.text);
    assert_non_null(t);
    return t;
}

struct seen {
    uint64_t ids[20000];
    int64_t times[20000];
    size_t tapes[20000];
    uint64_t also[20000];
    size_t count;
};

static bool note(void *ctx, const struct tape_row *row)
{
    struct seen *s = ctx;
    assert_true(s->count < 20000);
    s->ids[s->count] = row->x.id;
    s->times[s->count] = row->x.time_ns;
    s->tapes[s->count] = row->tape;
    s->also[s->count++] = row->also_at;
    return true;
}

static struct seen seen, again;

static void select_into(struct tape *t, struct tape_filter f, struct seen *s)
{
    struct fault fault = {0};
    s->count = 0;
    bool ok = tape_select(t, &f, note, s, &fault);
    if (!ok)
        print_message("%s\n", fault.text);
    assert_true(ok);
}

// `segments` segments of `each` exchanges; every third exchange is stored late, after 40 others.
static void make_disordered(const char *dir, int segments, int each)
{
    struct fault fault = {0};
    struct tape_settings settings = {.segment_ns = 3600 * WHEN_NS_PER_S, .segment_bytes = 1 << 30, .flush_ns = WHEN_NS_PER_S, .compression = 1};
    for (int s = 0; s < segments; s++) {
        struct tape_writer *w = maker_open(dir, settings);
        struct { uint64_t id; int64_t time_ns; } late[64];
        size_t waiting = 0;
        for (int i = 0; i < each; i++) {
            uint64_t id = tape_write_next_id(w);
            int64_t time_ns = T0 + ((int64_t)s * each + i) * WHEN_NS_PER_MS;
            if (i % 3 == 0 && waiting < 64) {
                late[waiting].id = id;
                late[waiting++].time_ns = time_ns;
            } else {
                struct exchange x = maker_exchange(id, time_ns);
                assert_true(tape_write_exchange(w, &x, &fault));
            }
            for (; waiting && (i % 40 == 39 || i == each - 1); waiting--) {
                struct exchange x = maker_exchange(late[waiting - 1].id, late[waiting - 1].time_ns);
                assert_true(tape_write_exchange(w, &x, &fault));
            }
        }
        maker_close(w);
    }
}

static void rows_come_in_order_of_time_over_all_segments(void **state)
{
    (void)state;
    const char *dir = maker_dir("read-order");
    make_disordered(dir, 5, 700);
    struct tape *t = reopen(&dir, 1);
    select_into(t, (struct tape_filter){0}, &seen);
    assert_int_equal(seen.count, 3500);
    for (size_t i = 1; i < seen.count; i++)
        assert_true(seen.times[i] > seen.times[i - 1]);
    tape_close(t);
    maker_clear(dir);
}

static void the_newest_are_the_tail_of_all(void **state)
{
    (void)state;
    const char *dir = maker_dir("read-newest");
    make_disordered(dir, 3, 300);
    struct tape *t = reopen(&dir, 1);
    select_into(t, (struct tape_filter){0}, &seen);
    for (int64_t n = 1; n < 1200; n = n * 2 + 1) {
        select_into(t, (struct tape_filter){.newest = n}, &again);
        size_t wanted = n < 900 ? (size_t)n : 900;
        assert_int_equal(again.count, wanted);
        assert_memory_equal(again.ids, seen.ids + 900 - wanted, wanted * sizeof *again.ids);
    }
    tape_close(t);
    maker_clear(dir);
}

static void bounds_of_time_and_id_are_exact(void **state)
{
    (void)state;
    const char *dir = maker_dir("read-bounds");
    make_disordered(dir, 2, 500);
    struct tape *t = reopen(&dir, 1);
    select_into(t, (struct tape_filter){.since_ns = T0 + 100 * WHEN_NS_PER_MS, .until_ns = T0 + 700 * WHEN_NS_PER_MS}, &seen);
    assert_int_equal(seen.count, 600);
    assert_true(seen.times[0] == T0 + 100 * WHEN_NS_PER_MS && seen.times[599] == T0 + 699 * WHEN_NS_PER_MS);
    select_into(t, (struct tape_filter){.id_from = 130, .id_to = 131}, &seen);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.ids[0], 130);
    tape_close(t);
    maker_clear(dir);
}

// Exchanges of many shapes; what the conditions give must be what a plain look at every row gives.
static const char *const principals[] = {"alice", "bob", ""}, *const apis[] = {"index", "indices.delete", "search"}, *const names[] = {"catalog", "logs-1", "logs-2", "orders"};

static void make_mixed(const char *dir, size_t count)
{
    struct fault fault = {0};
    struct tape_settings settings = {.segment_ns = 3600 * WHEN_NS_PER_S, .segment_bytes = 1 << 30, .flush_ns = WHEN_NS_PER_S, .compression = 1};
    for (int s = 0; s < 3; s++) {
        struct tape_writer *w = maker_open(dir, settings);
        for (size_t i = 0; i < count; i++) {
            uint64_t id = tape_write_next_id(w);
            struct exchange x = maker_exchange(id, T0 + (int64_t)id * WHEN_NS_PER_MS);
            uint64_t dice = id * 2654435761u >> 7;
            struct bytes target = bytes_of_text(names[dice % 4]);
            struct exchange_index index = {target, dice % 5 != 0, 1, 0, 0, 0};
            x.principal = bytes_of_text(principals[dice % 3]);
            x.run_as = dice % 11 ? bytes_of_text("") : bytes_of_text("carol");
            x.api = bytes_of_text(apis[dice / 3 % 3]);
            x.verb = bytes_of_text(dice % 2 ? "PUT" : "DELETE");
            x.danger = dice / 3 % 3 == 1 ? bytes_of_text("index.delete") : bytes_of_text("");
            x.flags = dice / 3 % 3 == 2 ? 0 : EXCHANGE_WRITE;
            x.status = dice % 7 ? (dice % 4 ? 200 : 404) : 0;
            x.outcome = x.status ? (x.status == 200 ? OUTCOME_OK : OUTCOME_FAILED) : OUTCOME_UNANSWERED;
            x.client = maker_end((unsigned)(dice % 3), (unsigned)(dice % 9), 40000);
            x.conn = 1 + dice % 27;
            x.forwarded_for = dice % 13 ? bytes_of_text("") : bytes_of_text("10.0.99.1, 10.0.0.1");
            x.targets = &target;
            x.indices = &index;
            assert_true(tape_write_exchange(w, &x, &fault));
        }
        maker_close(w);
    }
}

struct plain {
    const struct tape_filter *f;
    size_t count;
};

static bool wild(const char *pattern, struct bytes text)
{
    size_t size = strlen(pattern);
    bool star = size && pattern[size - 1] == '*';
    return star ? text.size >= size - 1 && memcmp(text.at, pattern, size - 1) == 0 : bytes_equal_text(text, pattern);
}

static bool any(const char *const *list, size_t count, struct bytes text)
{
    for (size_t i = 0; i < count; i++)
        if (wild(list[i], text))
            return true;
    return !count;
}

static bool plain_row(void *ctx, const struct tape_row *row)
{
    struct plain *p = ctx;
    const struct tape_filter *f = p->f;
    const struct exchange *x = &row->x;
    static const char *const outcomes[] = {"ok", "partial", "failed", "unanswered", "unknown"};
    bool ok = any(f->api, f->api_count, x->api) && any(f->verb, f->verb_count, x->verb) && any(f->outcome, f->outcome_count, bytes_of_text(outcomes[x->outcome]));
    ok = ok && (any(f->who, f->who_count, x->principal) || (x->run_as.size && any(f->who, f->who_count, x->run_as)));
    ok = ok && (any(f->index, f->index_count, x->targets[0]) || any(f->index, f->index_count, x->indices[0].index));
    ok = ok && (!f->writes || x->flags & EXCHANGE_WRITE) && (!f->destructive || x->danger.size);
    for (size_t i = 0; ok && i < f->status_count; i++)
        ok = strcmp(f->status[i], "none") == 0 ? x->status == 0 : strcmp(f->status[i], "4xx") == 0 ? x->status / 100 == 4 : x->status == atoi(f->status[i]);
    if (ok && f->client_count)
        ok = x->client.ip[14] == 1 || (x->forwarded_for.size && strcmp(f->client[0], "10.0.99.0/24") == 0);
    p->count += ok;
    return true;
}

#define LIST(name, ...) .name = (const char *const[]){__VA_ARGS__}, .name##_count = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

static void conditions_give_what_a_plain_look_at_every_row_gives(void **state)
{
    (void)state;
    const char *dir = maker_dir("read-filter");
    make_mixed(dir, 1000);
    struct tape *t = reopen(&dir, 1);
    const struct tape_filter filters[] = {
        {0}, {LIST(who, "alice")}, {LIST(who, "c*")}, {LIST(who, "alice", "carol")}, {LIST(api, "indices.*")}, {LIST(api, "index", "search"), LIST(verb, "PUT")},
        {LIST(index, "logs-*")}, {LIST(index, "orders"), .writes = true}, {.destructive = true}, {.writes = true}, {LIST(outcome, "unanswered")},
        {LIST(status, "none")}, {LIST(status, "4xx")}, {LIST(status, "404")}, {LIST(who, "nobody")}, {LIST(index, "nothing")},
        {LIST(index, "catalog"), LIST(who, "bob"), LIST(outcome, "ok"), .destructive = true},
    };
    struct fault fault = {0};
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        struct plain plain = {&filters[i], 0};
        assert_true(tape_select(t, &(struct tape_filter){0}, plain_row, &plain, &fault));
        select_into(t, filters[i], &seen);
        assert_int_equal(seen.count, plain.count);
        struct tape_filter newest = filters[i];
        newest.newest = 7;
        select_into(t, newest, &again);
        assert_int_equal(again.count, plain.count < 7 ? plain.count : 7);
    }
    struct tape_filter net = {LIST(client, "10.0.1.0/24")};
    struct plain by_net = {&net, 0};
    assert_true(tape_select(t, &(struct tape_filter){0}, plain_row, &by_net, &fault));
    select_into(t, net, &seen);
    assert_int_equal(seen.count, by_net.count);
    struct tape_filter forwarded = {LIST(client, "10.0.99.1")};
    select_into(t, forwarded, &seen);
    assert_true(seen.count > 100);
    tape_close(t);
    maker_clear(dir);
}

static void what_two_taps_saw_is_given_once_and_the_better_copy_wins(void **state)
{
    (void)state;
    char first[200], second[200];
    struct fault fault = {0};
    struct tape_settings settings = {.segment_ns = 3600 * WHEN_NS_PER_S, .segment_bytes = 1 << 30, .flush_ns = WHEN_NS_PER_S, .compression = 1};
    snprintf(first, sizeof first, "%s", maker_dir("read-tap-a"));
    snprintf(second, sizeof second, "%s", maker_dir("read-tap-b"));
    const char *const dirs[] = {first, second};
    for (int tap = 0; tap < 2; tap++) {
        struct tape_writer *w = maker_open(dirs[tap], settings);
        for (int i = 0; i < 1000; i++) {
            if (i % 10 == tap) // each misses some
                continue;
            struct exchange x = maker_exchange((uint64_t)i + 1, T0 + i * WHEN_NS_PER_MS + tap * 300000);
            x.id = tape_write_next_id(w);
            if (i % 10 == 5 && tap == 0) { // the first lost the answer
                x.status = 0;
                x.outcome = OUTCOME_UNKNOWN;
                x.answered_ns = WHEN_UNKNOWN;
            }
            struct op op = maker_op(x.id, 0, "d");
            assert_true(tape_write_ops(w, &op, 1, &fault));
            assert_true(tape_write_exchange(w, &x, &fault));
        }
        maker_close(w);
    }
    struct tape *t = reopen(dirs, 2);
    select_into(t, (struct tape_filter){0}, &seen);
    assert_int_equal(seen.count, 1000);
    size_t both = 0;
    for (size_t i = 0; i < seen.count; i++) {
        both += seen.also[i] != 0;
        assert_true(i == 0 || seen.times[i] >= seen.times[i - 1]);
    }
    assert_int_equal(both, 800);
    select_into(t, (struct tape_filter){LIST(outcome, "unknown")}, &seen);
    assert_int_equal(seen.count, 0);
    select_into(t, (struct tape_filter){.newest = 100}, &seen);
    assert_int_equal(seen.count, 100);
    tape_close(t);
    maker_clear(first);
    maker_clear(second);
}

// ---- ops and bodies -------------------------------------------------------------------------------------------------

struct ops_seen {
    uint64_t last;
    uint32_t item;
    size_t count;
    bool times;
};

static bool note_op(void *ctx, const struct tape_op *op)
{
    struct ops_seen *s = ctx;
    assert_true(op->op.exchange > s->last || (op->op.exchange == s->last && op->op.item > s->item) || !s->count);
    s->last = op->op.exchange;
    s->item = op->op.item;
    s->times |= op->time_ns == WHEN_UNKNOWN || op->answered_ns == WHEN_UNKNOWN;
    s->count++;
    return true;
}

static void ops_come_in_order_and_one_document_is_found(void **state)
{
    (void)state;
    const char *dir = maker_dir("read-ops");
    struct tape_settings settings = {.segment_ns = 3600 * WHEN_NS_PER_S, .segment_bytes = 1 << 30, .flush_ns = WHEN_NS_PER_S, .compression = 1};
    for (int s = 0; s < 2; s++) {
        struct tape_writer *w = maker_open(dir, settings);
        for (int i = 0; i < 6000; i++)
            maker_write(w, T0 + (s * 6000 + i) * WHEN_NS_PER_MS);
        maker_close(w);
    }
    struct tape *t = reopen(&dir, 1);
    struct fault fault = {0};
    struct ops_seen all = {0}, one = {0}, none = {0}, range = {0}, time = {0}, wild_one = {0};
    assert_true(tape_ops(t, &(struct tape_op_filter){0}, note_op, &all, &fault));
    assert_int_equal(all.count, 12000);
    assert_false(all.times);
    assert_true(tape_ops(t, &(struct tape_op_filter){LIST(index, "catalog"), .id = bytes_of_text("7777")}, note_op, &one, &fault));
    assert_int_equal(one.count, 1);
    assert_int_equal(one.last, 7777);
    assert_true(tape_ops(t, &(struct tape_op_filter){LIST(index, "cat*"), .id = bytes_of_text("7")}, note_op, &wild_one, &fault));
    assert_int_equal(wild_one.count, 1);
    assert_true(tape_ops(t, &(struct tape_op_filter){LIST(index, "other"), .id = bytes_of_text("7777")}, note_op, &none, &fault));
    assert_int_equal(none.count, 0);
    assert_true(tape_ops(t, &(struct tape_op_filter){.exchange_from = 100, .exchange_to = 200}, note_op, &range, &fault));
    assert_int_equal(range.count, 100);
    assert_true(tape_ops(t, &(struct tape_op_filter){.since_ns = T0 + 11990 * WHEN_NS_PER_MS}, note_op, &time, &fault));
    assert_int_equal(time.count, 10);
    tape_close(t);
    maker_clear(dir);
}

static bool collect(void *ctx, const struct body_piece *piece)
{
    struct buf *b = ctx;
    if (piece->hole_bytes)
        buf_format(b, "<%llu>", (unsigned long long)piece->hole_bytes);
    return buf_add_bytes(b, piece->bytes);
}

static void a_range_of_a_long_body_is_the_part_of_the_whole(void **state)
{
    (void)state;
    const char *dir = maker_dir("read-body");
    struct fault fault = {0};
    struct tape_settings settings = {.segment_ns = 3600 * WHEN_NS_PER_S, .segment_bytes = 1 << 30, .flush_ns = WHEN_NS_PER_S, .compression = 1};
    struct tape_writer *w = maker_open(dir, settings);
    uint64_t id = tape_write_next_id(w), small = 0;
    enum { SIZE = 3000000 };
    uint8_t *body = mem_alloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        body[i] = (uint8_t)("0123456789abcdef"[i * 2654435761u >> 9 & 15]);
    for (size_t at = 0; at < SIZE; at += 10007) {
        struct body_piece piece = {.bytes = bytes_of(body + at, at + 10007 < SIZE ? 10007 : SIZE - at)};
        assert_true(tape_write_body(w, id, BODY_REQUEST, &piece, &fault));
        if (at == 10007 * 50)
            small = maker_write(w, T0);
    }
    struct exchange x = maker_exchange(id, T0 + 1);
    assert_true(tape_write_exchange(w, &x, &fault));
    uint64_t holed = tape_write_next_id(w);
    struct body_piece pieces[] = {{.bytes = bytes_of_text("begin")}, {.hole_bytes = 100}, {.bytes = bytes_of_text("end")}};
    for (size_t i = 0; i < 3; i++)
        assert_true(tape_write_body(w, holed, BODY_REQUEST, &pieces[i], &fault));
    x = maker_exchange(holed, T0 + 2);
    assert_true(tape_write_exchange(w, &x, &fault));
    maker_close(w);

    struct tape *t = reopen(&dir, 1);
    enum tape_body_state body_state;
    struct buf out = {0};
    assert_true(tape_body(t, 0, id, BODY_REQUEST, collect, &out, &body_state, &fault));
    assert_int_equal(body_state, TAPE_BODY_WHOLE);
    assert_int_equal(out.size, SIZE);
    assert_memory_equal(out.at, body, SIZE);
    for (size_t at = 0; at < SIZE; at += 170001) {
        buf_clear(&out);
        assert_true(tape_body_range(t, 0, id, BODY_REQUEST, at, 1000, &out, &body_state, &fault));
        assert_int_equal(body_state, TAPE_BODY_WHOLE);
        assert_int_equal(out.size, 1000);
        assert_memory_equal(out.at, body + at, 1000);
    }
    buf_clear(&out);
    assert_true(tape_body_range(t, 0, id, BODY_REQUEST, SIZE - 10, 20, &out, &body_state, &fault));
    assert_int_equal(out.size, 10);
    assert_int_equal(body_state, TAPE_BODY_HOLES); // it ends too early
    buf_clear(&out);
    assert_true(tape_body(t, 0, holed, BODY_REQUEST, collect, &out, &body_state, &fault));
    assert_string_equal(buf_text(&out), "begin<100>end");
    assert_int_equal(body_state, TAPE_BODY_HOLES);
    buf_clear(&out);
    assert_true(tape_body_range(t, 0, holed, BODY_REQUEST, 105, 3, &out, &body_state, &fault));
    assert_string_equal(buf_text(&out), "end");
    assert_int_equal(body_state, TAPE_BODY_WHOLE);
    buf_clear(&out);
    assert_true(tape_body_range(t, 0, holed, BODY_REQUEST, 3, 5, &out, &body_state, &fault));
    assert_int_equal(body_state, TAPE_BODY_HOLES);
    buf_clear(&out);
    assert_true(tape_body(t, 0, small, BODY_RESPONSE, collect, &out, &body_state, &fault));
    assert_non_null(strstr(buf_text(&out), "\"result\":\"created\""));
    tape_close(t);

    // Without its file of blocks what stands there is missing, told in one line; the rest is read.
    assert_int_equal(remove(maker_file(dir, ".body.dat", 0)), 0);
    t = reopen(&dir, 1);
    buf_clear(&out);
    assert_true(tape_body(t, 0, id, BODY_REQUEST, collect, &out, &body_state, &fault));
    assert_int_equal(body_state, TAPE_BODY_MISSING);
    assert_non_null(strstr(tape_warning(t), ".body.dat"));
    assert_null(tape_warning(t));
    buf_clear(&out);
    assert_true(tape_body(t, 0, small, BODY_RESPONSE, collect, &out, &body_state, &fault));
    assert_int_equal(body_state, TAPE_BODY_WHOLE);
    tape_close(t);

    // Without its body file the same asks get an honest state.
    assert_int_equal(remove(maker_file(dir, ".body.db", 0)), 0);
    t = reopen(&dir, 1);
    buf_clear(&out);
    assert_true(tape_body(t, 0, id, BODY_REQUEST, collect, &out, &body_state, &fault));
    assert_int_equal(body_state, TAPE_BODY_MISSING);
    assert_int_equal(out.size, 0);
    assert_non_null(tape_warning(t));
    tape_close(t);
    buf_fini(&out);
    mem_free(body);
    maker_clear(dir);
}

// ---- a growing tape -------------------------------------------------------------------------------------------------

static void readers_see_what_is_committed_while_the_recorder_writes_and_do_not_hold_it_up(void **state)
{
    (void)state;
    const char *dir = maker_dir("read-live");
    struct fault fault = {0};
    struct tape_settings settings = {.segment_ns = 3600 * WHEN_NS_PER_S, .segment_bytes = 1 << 30, .flush_ns = WHEN_NS_PER_S, .compression = 1, .live = true};
    struct tape_writer *w = maker_open(dir, settings);
    for (int i = 0; i < 100; i++)
        maker_write(w, T0 + i * WHEN_NS_PER_MS);
    assert_true(tape_write_flush(w, &fault));
    struct tape *t = reopen(&dir, 1);
    struct tape_cursor *cursor = tape_cursor_open(t, &fault);
    assert_non_null(cursor);
    select_into(t, (struct tape_filter){0}, &seen);
    assert_int_equal(seen.count, 100);
    tape_wait(t, 0);
    assert_false(tape_wait(t, 60));
    uint64_t slow = tape_write_next_id(w); // stored after later ones
    for (int i = 0; i < 10; i++)
        maker_write(w, T0 + (200 + i) * WHEN_NS_PER_MS);
    assert_true(tape_write_flush(w, &fault));
    assert_true(tape_wait(t, 1000));
    again.count = 0;
    assert_true(tape_follow(t, cursor, &(struct tape_filter){0}, note, &again, &fault));
    assert_int_equal(again.count, 10);
    struct exchange x = maker_exchange(slow, T0 + 150 * WHEN_NS_PER_MS);
    assert_true(tape_write_exchange(w, &x, &fault));
    assert_true(tape_write_flush(w, &fault));
    again.count = 0;
    assert_true(tape_follow(t, cursor, &(struct tape_filter){0}, note, &again, &fault));
    assert_int_equal(again.count, 1);
    assert_int_equal(again.ids[0], slow);
    again.count = 0;
    assert_true(tape_follow(t, cursor, &(struct tape_filter){0}, note, &again, &fault));
    assert_int_equal(again.count, 0);
    maker_close(w); // seals, although a reader is there
    assert_int_equal(maker_file_count(dir, "-wal"), 0);
    assert_true(tape_wait(t, 1000));
    select_into(t, (struct tape_filter){0}, &seen);
    assert_int_equal(seen.count, 111);
    tape_cursor_close(cursor);
    tape_close(t);
    maker_clear(dir);
}

static void a_tape_that_is_read_does_not_change(void **state)
{
    (void)state;
    const char *dir = maker_dir("read-only");
    struct tape_settings settings = {.segment_ns = 3600 * WHEN_NS_PER_S, .segment_bytes = 1 << 30, .flush_ns = WHEN_NS_PER_S, .compression = 1};
    struct tape_writer *w = maker_open(dir, settings);
    for (int i = 0; i < 50; i++)
        maker_write(w, T0 + i * WHEN_NS_PER_MS);
    maker_close(w);
    size_t files = maker_file_count(dir, "");
    struct stat before, after;
    assert_int_equal(stat(dir, &before), 0);
    struct tape *t = reopen(&dir, 1);
    select_into(t, (struct tape_filter){0}, &seen);
    enum tape_body_state body_state;
    struct fault fault = {0};
    struct buf out = {0};
    assert_true(tape_body(t, 0, 1, BODY_REQUEST, collect, &out, &body_state, &fault));
    tape_close(t);
    buf_fini(&out);
    assert_int_equal(stat(dir, &after), 0);
    assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);
    assert_int_equal(maker_file_count(dir, ""), files);
    maker_clear(dir);
}

// ---- bad tapes ------------------------------------------------------------------------------------------------------

static void damage_anywhere_in_a_segment_costs_no_more_than_that_segment(void **state)
{
    (void)state;
    const char *dir = maker_dir("read-damage");
    make_disordered(dir, 2, 400);
    char path[600];
    snprintf(path, sizeof path, "%s", maker_file(dir, ".log.db", 0));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    uint8_t page[512], junk[512];
    memset(junk, 0xa5, sizeof junk);
    for (off_t at = 0; at < st.st_size; at += 4096 * 3 + 512) {
        int fd = open(path, O_RDWR);
        assert_true(fd >= 0 && pread(fd, page, sizeof page, at) == sizeof page && pwrite(fd, junk, sizeof junk, at) == sizeof junk);
        struct tape *t = reopen(&dir, 1);
        select_into(t, (struct tape_filter){0}, &seen);
        assert_true(seen.count >= 400); // the second segment at least
        struct fault fault = {0};
        struct ops_seen ops = {0};
        tape_ops(t, &(struct tape_op_filter){0}, note_op, &ops, &fault);
        tape_close(t);
        assert_true(pwrite(fd, page, sizeof page, at) == sizeof page);
        close(fd);
    }
    maker_clear(dir);
}

static void what_is_no_tape_is_refused_with_a_reason(void **state)
{
    (void)state;
    struct fault fault = {0};
    const char *missing = "/nonexistent/tape";
    assert_null(tape_open(&missing, 1, &fault));
    assert_int_equal(fault.kind, FAULT_USER);
    assert_non_null(strstr(fault.text, "there is no tape"));
    const char *dir = maker_dir("read-foreign");
    mkdir(dir, 0700);
    assert_null(tape_open(&dir, 1, &fault));
    assert_non_null(strstr(fault.text, "is not a tape"));
    maker_clear(dir);
    make_disordered(dir, 1, 10);
    sqlite3 *db = NULL;
    char path[600];
    snprintf(path, sizeof path, "%s/tape.db", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=9", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_null(tape_open(&dir, 1, &fault));
    assert_int_equal(fault.kind, FAULT_USER);
    assert_non_null(strstr(fault.text, "format 9"));
    remove(path); // without its catalog the segments are read one by one
    struct tape *t = reopen(&dir, 1);
    select_into(t, (struct tape_filter){0}, &seen);
    assert_int_equal(seen.count, 10);
    assert_non_null(tape_warning(t));
    tape_close(t);
    maker_clear(dir);
}

static void a_failing_allocation_is_a_fault_and_never_a_crash(void **state)
{
    (void)state;
    const char *dir = maker_dir("read-alloc");
    make_mixed(dir, 60);
    bool done = false;
    unsigned tried = 0;
    for (unsigned long nth = 1; !done && nth < 20000; nth += nth < 400 ? 1 : 37) {
        struct fault fault = {0};
        struct tape_filter f = {LIST(index, "logs-*"), LIST(client, "10.0.0.0/8"), .newest = 5};
        mem_fail_after(nth);
        struct tape *t = tape_open(&dir, 1, &fault);
        seen.count = 0;
        bool ok = t && tape_select(t, &f, note, &seen, &fault);
        struct ops_seen ops = {0};
        ok = ok && tape_ops(t, &(struct tape_op_filter){LIST(index, "catalog"), .id = bytes_of_text("1")}, note_op, &ops, &fault);
        done = mem_fail_after(0) < nth;
        if (!ok)
            assert_true(fault.kind != FAULT_NONE);
        else
            assert_true((seen.count == 5 && ops.count <= 1) || tape_warning(t)); // never silently less
        tape_close(t);
        tried++;
    }
    assert_true(done && tried > 100);
    maker_clear(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_in_order_of_time_over_all_segments),
        cmocka_unit_test(the_newest_are_the_tail_of_all),
        cmocka_unit_test(bounds_of_time_and_id_are_exact),
        cmocka_unit_test(conditions_give_what_a_plain_look_at_every_row_gives),
        cmocka_unit_test(what_two_taps_saw_is_given_once_and_the_better_copy_wins),
        cmocka_unit_test(ops_come_in_order_and_one_document_is_found),
        cmocka_unit_test(a_range_of_a_long_body_is_the_part_of_the_whole),
        cmocka_unit_test(readers_see_what_is_committed_while_the_recorder_writes_and_do_not_hold_it_up),
        cmocka_unit_test(a_tape_that_is_read_does_not_change),
        cmocka_unit_test(damage_anywhere_in_a_segment_costs_no_more_than_that_segment),
        cmocka_unit_test(what_is_no_tape_is_refused_with_a_reason),
        cmocka_unit_test(a_failing_allocation_is_a_fault_and_never_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
