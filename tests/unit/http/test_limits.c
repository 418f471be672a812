// Limits cut and flag; they neither drop silently nor let memory grow.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "talk.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

#include "../../../include/bounds.h"

static void very_long_target_is_whole(void **state)
{
    (void)state;
    struct buf request = {0};
    buf_add_text(&request, "DELETE /");
    for (int i = 0; i < 12000; i++)
        buf_format(&request, "index-%05d,", i);
    buf_add_text(&request, " HTTP/1.1\r\n\r\n");
    const struct step steps[] = {{STEP_DATA, 0, buf_text(&request), request.size, 0, 0}, S(OK), FIN_C, FIN_S, {0}};
    const struct talk_options options = {.whole_only = true};
    talk_check(steps, &options, "1> DELETE (144001 bytes)\n1> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n");
    struct talk t;
    assert_non_null(strstr(talk_play(&t, steps, NULL, CUT_RANDOM, 1), "1> DELETE (144001 bytes)\n1> end 0\n"));
    talk_fini(&t);
    buf_fini(&request);
}

static void head_past_the_limit_is_cut_and_its_body_kept(void **state)
{
    (void)state;
    struct buf request = {0};
    buf_add_text(&request, "PUT /1 HTTP/1.1\r\nContent-Length: 2\r\n");
    while (request.size < BOUND_HEAD_BYTES_MAX + 50000)
        buf_add_text(&request, "X-Padding: 0123456789012345678901234567890123456789\r\n");
    buf_add_text(&request, "X-Last: 1\r\n\r\n{}GET /2 HTTP/1.1\r\n\r\n");
    const struct step steps[] = {{STEP_DATA, 0, buf_text(&request), request.size, 0, 0}, S(OK OK), FIN_C, FIN_S, {0}};
    const char *expected = "1> PUT /1 [256 fields] cut\n1> '{}'\n1> end 2\n2> GET /2\n2> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n";
    struct talk t;
    assert_string_equal(talk_play(&t, steps, NULL, CUT_WHOLE, 0), expected);
    talk_fini(&t);
    assert_string_equal(talk_play(&t, steps, NULL, CUT_RANDOM, 3), expected);
    talk_fini(&t);
    buf_fini(&request);
}

static void head_past_the_limit_without_a_length_is_followed_by_the_next_request(void **state)
{
    (void)state;
    struct buf request = {0};
    buf_add_text(&request, "PUT /1 HTTP/1.1\r\n");
    while (request.size < BOUND_HEAD_BYTES_MAX + 5000)
        buf_add_text(&request, "X-Padding: 0123456789012345678901234567890123456789\r\n");
    buf_add_text(&request, "Content-Length: 2\r\n\r\n{}");
    const struct step steps[] = {{STEP_DATA, 0, buf_text(&request), request.size, 0, 0}, S(OK), C("GET /2 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    struct talk t;
    const char *trace = talk_play(&t, steps, NULL, CUT_WHOLE, 0);
    assert_non_null(strstr(trace, "1> PUT /1 [256 fields] cut\n1> end 0 incomplete truncated\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n"));
    assert_non_null(strstr(trace, "2> GET /2\n2> end 0\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n"));
    talk_fini(&t);
    buf_fini(&request);
}

static void fields_past_the_limit_still_frame_the_body(void **state)
{
    (void)state;
    struct buf request = {0};
    buf_add_text(&request, "PUT /1 HTTP/1.1\r\n");
    for (int i = 0; i < 300; i++)
        buf_format(&request, "X-%d: v\r\n", i);
    buf_add_text(&request, "Content-Length: 2\r\n\r\n{}");
    const struct step steps[] = {{STEP_DATA, 0, buf_text(&request), request.size, 0, 0}, S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL, "1> PUT /1 [256 fields] cut\n1> '{}'\n1> end 2\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n");
    buf_fini(&request);
}

static void endless_line_does_not_grow_memory(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /"), FILL_C(8 << 20), ACK_S, FIN_C, FIN_S, {0}};
    struct talk t;
    const char *trace = talk_play(&t, steps, NULL, CUT_WHOLE, 0);
    assert_string_equal(trace, "1> GET (262140 bytes) cut\n1> end 0 incomplete\n1. incomplete\n");
    talk_fini(&t);
}

static void large_bodies_are_counted_to_the_byte(void **state)
{
    (void)state;
    const struct step steps[] = {C("PUT /1 HTTP/1.1\r\nContent-Length: 104857603\r\n\r\n"), FILL_C(104857600), C("abc"), S(OK), FIN_C, FIN_S, {0}};
    struct talk t;
    assert_string_equal(talk_play(&t, steps, NULL, CUT_WHOLE, 0), "1> PUT /1\n1> end 104857603\n1< 200\n1< end 2\n1. answered\n");
    talk_fini(&t);
}

static void body_past_the_limit_is_cut_and_flagged(void **state)
{
    (void)state;
    uint64_t hole = BOUND_BODY_BYTES_MAX - 1;
    const struct step steps[] = {C("PUT /1 HTTP/1.1\r\nContent-Length: 4294967300\r\n\r\na"), LOSE_C(hole), C("bcdeGET /2 HTTP/1.1\r\n\r\n"), S(OK OK), FIN_C, FIN_S, {0}};
    struct talk t;
    const char *trace = talk_play(&t, steps, NULL, CUT_WHOLE, 0);
    assert_non_null(strstr(trace, "1> hole 4294967295\n1> hole 4\n1> end 4294967300 missing 4294967299 truncated\n2> GET /2\n"));
    talk_fini(&t);
}

static void requests_without_answers_are_bounded(void **state)
{
    (void)state;
    struct buf request = {0};
    for (int i = 0; i < 10000; i++)
        buf_format(&request, "GET /%d HTTP/1.1\r\n\r\n", i);
    const struct step steps[] = {{STEP_DATA, 0, buf_text(&request), request.size, 0, 0}, ACK_S, FIN_C, FIN_S, {0}};
    struct talk t;
    const char *trace = talk_play(&t, steps, NULL, CUT_WHOLE, 0);
    assert_non_null(strstr(trace, "1. answer lost\n"));
    assert_non_null(strstr(trace, "10000. client left\n"));
    assert_int_equal(t.stats.requests, 10000);
    assert_int_equal(t.stats.evicted, 10000 - 4096);
    talk_fini(&t);
    buf_fini(&request);
}

// ---- many connections -----------------------------------------------------------------------------------------------

struct crowd {
    uint64_t requests, cut, open, lost;
};

static void *crowd_request(void *ctx, const struct request_head *head)
{
    struct crowd *w = ctx;
    w->requests++;
    w->open++;
    w->cut += head->head_truncated;
    return ctx;
}

static void crowd_body(void *ctx, void *handle, const struct body_piece *piece)
{
    (void)ctx, (void)handle, (void)piece;
}

static void crowd_end(void *ctx, void *handle, const struct message_end *end)
{
    (void)ctx, (void)handle, (void)end;
}

static void crowd_response(void *ctx, void *handle, const struct response_head *head)
{
    (void)ctx, (void)handle, (void)head;
}

static void crowd_close(void *ctx, void *handle, const struct exchange_end *end)
{
    struct crowd *w = ctx;
    (void)handle;
    w->open--;
    w->lost += end->fate == FATE_ANSWER_LOST;
}

static void crowd_gap(void *ctx, const struct conn *conn, const struct stream_gap *gap)
{
    (void)ctx, (void)conn, (void)gap;
}

static void crowd_opaque(void *ctx, const struct conn *conn, enum opaque_kind kind, int64_t time_ns)
{
    (void)ctx, (void)conn, (void)kind, (void)time_ns;
}

static void crowd_conn_close(void *ctx, const struct conn *conn, int client_side, enum stream_end how, int64_t time_ns)
{
    (void)ctx, (void)conn, (void)client_side, (void)how, (void)time_ns;
}

static const struct message_sink crowd_sink = {NULL, crowd_request, crowd_body, crowd_end, crowd_response, crowd_body, crowd_end, crowd_close, crowd_gap, crowd_opaque, crowd_conn_close};

enum { CROWD = 400 };

// Sends the same bytes on every connection, closes all of them, then sends them on one more.
static void crowd_plays(struct crowd *w, struct bytes bytes, struct http_stats *stats, uint64_t *open_before_close)
{
    struct message_sink sink = crowd_sink;
    sink.ctx = w;
    struct http *h = http_open(&sink);
    const struct stream_sink *to = http_sink(h);
    static struct conn conns[CROWD + 1];
    void *states[CROWD + 1];
    struct stream_piece piece = {.bytes = bytes, .segment_start = true, .ack_known = true};
    for (int i = 0; i < CROWD; i++) {
        conns[i] = (struct conn){.serial = (uint64_t)i, .seen = {true, true}, .syn = {true, true}};
        states[i] = to->open(to->ctx, &conns[i]);
        to->data(to->ctx, states[i], &piece);
    }
    *open_before_close = w->open;
    for (int i = 0; i < CROWD; i++)
        to->close(to->ctx, states[i], END_INPUT, 0);
    http_stats(h, stats);
    conns[CROWD] = conns[0];
    states[CROWD] = to->open(to->ctx, &conns[CROWD]);
    to->data(to->ctx, states[CROWD], &piece);
    struct http_stats again;
    http_stats(h, &again);
    assert_int_equal(again.evicted, stats->evicted); // what was let go can be used again
    to->close(to->ctx, states[CROWD], END_INPUT, 0);
    http_close(h);
    assert_int_equal(w->open, 0);
}

static void unfinished_heads_of_many_connections_are_bounded(void **state)
{
    (void)state;
    struct buf head = {0};
    buf_add_text(&head, "GET /1 HTTP/1.1\r\nX: ");
    while (head.size < BOUND_HEAD_BYTES_MAX - 1)
        buf_add_byte(&head, 'x');
    struct crowd w = {0};
    struct http_stats stats;
    uint64_t open;
    crowd_plays(&w, buf_view(&head), &stats, &open);
    assert_int_equal(w.requests, CROWD + 1); // none is lost
    assert_int_equal(w.cut, CROWD + 1);
    assert_in_range(open, CROWD - (BOUND_HELD_ALL_BYTES / BOUND_HEAD_BYTES_MAX) - 1, CROWD - 1); // those past the limit were told at once
    assert_int_equal(stats.evicted, open);
    buf_fini(&head);
}

static void waiting_requests_of_many_connections_are_bounded(void **state)
{
    (void)state;
    struct buf asked = {0};
    for (int i = 0; i < 1000; i++)
        buf_add_text(&asked, "GET /1 HTTP/1.1\r\n\r\n");
    struct crowd w = {0};
    struct http_stats stats;
    uint64_t open;
    crowd_plays(&w, buf_view(&asked), &stats, &open);
    assert_int_equal(w.requests, (CROWD + 1) * 1000);
    assert_in_range(open, BOUND_WAITING_ALL, BOUND_WAITING_ALL + CROWD);
    assert_int_equal(stats.evicted, CROWD * 1000 - open);
    buf_fini(&asked);
}

// Every allocation fails once: nothing crashes, every handle is closed (the trace asserts it).
static void memory_that_runs_out_loses_no_handle(void **state)
{
    (void)state;
    struct talk_options options = {0};
    const struct step steps[] = {C("PUT /1 HTTP/1.1\r\nContent-Encoding: gzip\r\nX: a\r\n b\r\nContent-Le"), C("ngth: 2\r\n\r\n{}"), S("HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: 2\r\n\r\n"), S("ok"), LOSE_C(5),
                                 C("GET /2 HT"), C("TP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    for (unsigned long nth = 1; nth < 60; nth++) {
        struct talk t;
        options.failing = nth;
        talk_play(&t, steps, &options, CUT_RANDOM, (unsigned)nth);
        talk_fini(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(very_long_target_is_whole),
        cmocka_unit_test(head_past_the_limit_is_cut_and_its_body_kept),
        cmocka_unit_test(head_past_the_limit_without_a_length_is_followed_by_the_next_request),
        cmocka_unit_test(fields_past_the_limit_still_frame_the_body),
        cmocka_unit_test(endless_line_does_not_grow_memory),
        cmocka_unit_test(large_bodies_are_counted_to_the_byte),
        cmocka_unit_test(body_past_the_limit_is_cut_and_flagged),
        cmocka_unit_test(requests_without_answers_are_bounded),
        cmocka_unit_test(unfinished_heads_of_many_connections_are_bounded),
        cmocka_unit_test(waiting_requests_of_many_connections_are_bounded),
        cmocka_unit_test(memory_that_runs_out_loses_no_handle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
