// Content codings are undone as a stream, in bounded steps; what cannot be decoded goes on raw.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <zlib.h>
#include <zstd.h>

#include "talk.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static size_t squeeze(struct bytes text, int window_bits, uint8_t *to, size_t room)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)text.at;
    z.avail_in = (uInt)text.size;
    z.next_out = to;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

static void add_request(struct buf *b, const char *coding, const uint8_t *body, size_t size)
{
    buf_format(b, "PUT /1 HTTP/1.1\r\nContent-Encoding: %s\r\nContent-Length: %zu\r\n\r\n", coding, size);
    buf_add(b, body, size);
}

// Sends the body so coded and wants to see `expected` of it.
static void check_body(const char *coding, const uint8_t *body, size_t size, const char *expected)
{
    struct buf request = {0}, trace = {0};
    add_request(&request, coding, body, size);
    const struct step steps[] = {{STEP_DATA, 0, (const char *)request.at, request.size, 0, 0}, S(OK), FIN_C, FIN_S, {0}};
    buf_format(&trace, "1> PUT /1 [Content-Encoding=%s]\n%s1< 200\n1< 'ok'\n1< end 2\n1. answered\n", coding, expected);
    talk_check(steps, NULL, buf_text(&trace));
    buf_fini(&request);
    buf_fini(&trace);
}

static const int gzip_bits = 15 + 16, zlib_bits = 15, raw_bits = -15;

static void gzip_is_undone(void **state)
{
    (void)state;
    uint8_t coded[200];
    char expected[100];
    size_t n = squeeze(bytes_of_text("{\"index\":{}}"), gzip_bits, coded, sizeof coded);
    snprintf(expected, sizeof expected, "1> '{\"index\":{}}'\n1> end %zu gzip\n", n);
    check_body("gzip", coded, n, expected);
    check_body("X-GZip", coded, n, expected);
}

static void deflate_is_undone_wrapped_and_raw(void **state)
{
    (void)state;
    uint8_t coded[200];
    char expected[100];
    size_t n = squeeze(bytes_of_text("{\"index\":{}}"), zlib_bits, coded, sizeof coded);
    snprintf(expected, sizeof expected, "1> '{\"index\":{}}'\n1> end %zu deflate\n", n);
    check_body("deflate", coded, n, expected);
    n = squeeze(bytes_of_text("{\"index\":{}}"), raw_bits, coded, sizeof coded);
    snprintf(expected, sizeof expected, "1> '{\"index\":{}}'\n1> end %zu deflate\n", n);
    check_body("deflate", coded, n, expected);
}

static void zstd_is_undone_also_in_several_frames(void **state)
{
    (void)state;
    uint8_t coded[300];
    char expected[100];
    size_t n = ZSTD_compress(coded, sizeof coded, "abc", 3, 3);
    n += ZSTD_compress(coded + n, sizeof coded - n, "def", 3, 3);
    snprintf(expected, sizeof expected, "1> 'abcdef'\n1> end %zu zstd\n", n);
    check_body("zstd", coded, n, expected);
}

static void gzip_of_several_members_is_one_body(void **state)
{
    (void)state;
    uint8_t coded[300];
    char expected[100];
    size_t n = squeeze(bytes_of_text("abc"), gzip_bits, coded, sizeof coded);
    n += squeeze(bytes_of_text("def"), gzip_bits, coded + n, sizeof coded - n);
    memset(coded + n, 0, 7); // padding, as tar files have it
    n += 7;
    snprintf(expected, sizeof expected, "1> 'abcdef'\n1> end %zu gzip\n", n);
    check_body("gzip", coded, n, expected);
}

static void body_that_never_was_gzip_goes_on_raw(void **state)
{
    (void)state;
    struct talk t;
    struct buf request = {0};
    add_request(&request, "gzip", (const uint8_t *)"{\"plain\":1}", 11);
    const struct step steps[] = {{STEP_DATA, 0, (const char *)request.at, request.size, 0, 0}, S(OK), FIN_C, FIN_S, {0}};
    const char *trace = talk_play(&t, steps, NULL, CUT_WHOLE, 0);
    const char *expected = "1> PUT /1 [Content-Encoding=gzip]\n1> raw '{\"plain\":1}'\n1> end 11 gzip undecodable\n1< 200\n";
    assert_memory_equal(trace, expected, strlen(expected));
    assert_int_equal(t.stats.undecodable, 1);
    talk_fini(&t);
    buf_fini(&request);
}

static void gzip_that_stops_early_is_undecodable(void **state)
{
    (void)state;
    uint8_t coded[200];
    char expected[100];
    size_t n = squeeze(bytes_of_text("abcabc"), gzip_bits, coded, sizeof coded) - 8;
    snprintf(expected, sizeof expected, "1> 'abcabc'\n1> end %zu gzip undecodable\n", n);
    check_body("gzip", coded, n, expected);
}

static void unknown_and_stacked_codings_stay_raw(void **state)
{
    (void)state;
    check_body("br", (const uint8_t *)"abc", 3, "1> raw 'abc'\n1> end 3 other undecodable\n");
    check_body("gzip, gzip", (const uint8_t *)"abc", 3, "1> raw 'abc'\n1> end 3 other undecodable\n");
    check_body("identity", (const uint8_t *)"abc", 3, "1> 'abc'\n1> end 3\n");
    check_body("gzip", NULL, 0, "1> end 0 gzip\n");
}

static void coded_body_is_raw_behind_a_hole(void **state)
{
    (void)state;
    uint8_t coded[200];
    struct buf request = {0}, trace = {0};
    size_t n = squeeze(bytes_of_text("abcdefghijklmnopqrstuvwxyz"), gzip_bits, coded, sizeof coded);
    add_request(&request, "gzip", coded, n);
    const struct step steps[] = {{STEP_DATA, 0, (const char *)request.at, request.size - 9, 0, 0}, LOSE_C(7), C("yz"), S(OK), FIN_C, FIN_S, {0}};
    struct talk t;
    const char *got = talk_play(&t, steps, NULL, CUT_WHOLE, 0);
    assert_non_null(strstr(got, "1> hole 7 unknown\n1> raw 'yz'\n"));
    buf_format(&trace, "1> end %zu missing 7 gzip undecodable truncated\n", n);
    assert_non_null(strstr(got, buf_text(&trace)));
    talk_fini(&t);
    buf_fini(&request);
    buf_fini(&trace);
}

static void chunked_and_gzip_together_are_undone(void **state)
{
    (void)state;
    uint8_t coded[200];
    struct buf request = {0}, trace = {0};
    size_t n = squeeze(bytes_of_text("{\"a\":1}\n{\"a\":2}\n"), gzip_bits, coded, sizeof coded);
    buf_format(&request, "POST /_bulk HTTP/1.1\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n");
    buf_add(&request, coded, 5);
    buf_format(&request, "\r\n%zx\r\n", n - 5);
    buf_add(&request, coded + 5, n - 5);
    buf_add_text(&request, "\r\n0\r\n\r\n");
    const struct step steps[] = {{STEP_DATA, 0, (const char *)request.at, request.size, 0, 0}, S(OK), FIN_C, FIN_S, {0}};
    buf_format(&trace, "1> POST /_bulk [Content-Encoding=gzip]\n1> '{\"a\":1}\\n{\"a\":2}\\n'\n1> end %zu gzip\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n", n);
    talk_check(steps, NULL, buf_text(&trace));
    buf_fini(&request);
    buf_fini(&trace);
}

// ---- a bomb ---------------------------------------------------------------------------------------------------------

struct bomb_watch {
    uint64_t bytes, largest;
};

static void *any_request(void *ctx, const struct request_head *head)
{
    (void)head;
    return ctx;
}

static void watch_body(void *ctx, void *handle, const struct body_piece *piece)
{
    struct bomb_watch *w = ctx;
    (void)handle;
    w->bytes += piece->bytes.size;
    w->largest = piece->bytes.size > w->largest ? piece->bytes.size : w->largest;
}

static void ignore_end(void *ctx, void *handle, const struct message_end *end)
{
    (void)ctx, (void)handle, (void)end;
}

static void ignore_response(void *ctx, void *handle, const struct response_head *head)
{
    (void)ctx, (void)handle, (void)head;
}

static void ignore_close(void *ctx, void *handle, const struct exchange_end *end)
{
    (void)ctx, (void)handle, (void)end;
}

static void ignore_gap(void *ctx, const struct conn *conn, const struct stream_gap *gap)
{
    (void)ctx, (void)conn, (void)gap;
}

static void ignore_opaque(void *ctx, const struct conn *conn, enum opaque_kind kind, int64_t time_ns)
{
    (void)ctx, (void)conn, (void)kind, (void)time_ns;
}

static void ignore_conn_close(void *ctx, const struct conn *conn, int client_side, enum stream_end how, int64_t time_ns)
{
    (void)ctx, (void)conn, (void)client_side, (void)how, (void)time_ns;
}

static void bomb_flows_through_in_bounded_pieces(void **state)
{
    (void)state;
    enum { BOMB_BYTES = 64 << 20 };
    uint8_t *zeroes = calloc(1, BOMB_BYTES), *coded = malloc(1 << 20);
    size_t n = squeeze(bytes_of(zeroes, BOMB_BYTES), gzip_bits, coded, 1 << 20);
    free(zeroes);
    struct buf request = {0};
    add_request(&request, "gzip", coded, n);
    struct bomb_watch watch = {0};
    struct message_sink sink = {&watch, any_request, watch_body, ignore_end, ignore_response, watch_body, ignore_end, ignore_close, ignore_gap, ignore_opaque, ignore_conn_close};
    struct http *h = http_open(&sink);
    const struct stream_sink *to = http_sink(h);
    struct conn conn = {.serial = 1, .seen = {true, true}, .syn = {true, true}};
    void *c = to->open(to->ctx, &conn);
    struct stream_piece piece = {.bytes = buf_view(&request), .segment_start = true, .ack_known = true};
    to->data(to->ctx, c, &piece);
    to->close(to->ctx, c, END_INPUT, 0);
    http_close(h);
    assert_int_equal(watch.bytes, BOMB_BYTES);
    assert_true(watch.largest <= 64 * 1024);
    buf_fini(&request);
    free(coded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gzip_is_undone),
        cmocka_unit_test(deflate_is_undone_wrapped_and_raw),
        cmocka_unit_test(zstd_is_undone_also_in_several_frames),
        cmocka_unit_test(gzip_of_several_members_is_one_body),
        cmocka_unit_test(body_that_never_was_gzip_goes_on_raw),
        cmocka_unit_test(gzip_that_stops_early_is_undecodable),
        cmocka_unit_test(unknown_and_stacked_codings_stay_raw),
        cmocka_unit_test(coded_body_is_raw_behind_a_hole),
        cmocka_unit_test(chunked_and_gzip_together_are_undone),
        cmocka_unit_test(bomb_flows_through_in_bounded_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
