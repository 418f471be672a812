// Messages without loss: framing, heads that are odd, keep-alive, pipelining.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "talk.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void request_and_answer_are_one_exchange(void **state)
{
    (void)state;
    const struct step steps[] = {
        C("PUT /a/_doc/1?refresh HTTP/1.1\r\nHost: es\r\nContent-Length: 7\r\n\r\n{\"a\":1}"),
        S("HTTP/1.1 201 Created\r\nX-Opaque-Id: 7\r\nContent-Length: 2\r\n\r\n{}"), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> PUT /a/_doc/1?refresh [Host=es]\n1> '{\"a\":1}'\n1> end 7\n"
               "1< 201 [X-Opaque-Id=7]\n1< '{}'\n1< end 2\n1. answered\n");
}

static void keep_alive_follows_on(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /1 HTTP/1.1\r\n\r\n"), S(OK), C("GET /2 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> GET /1\n1> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n"
               "2> GET /2\n2> end 0\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    const struct step steps[] = {
        C("PUT /1 HTTP/1.1\r\nContent-Length: 1\r\n\r\n1HEAD /2 HTTP/1.1\r\n\r\nHEAD /3 HTTP/1.1\r\n\r\nGET /4 HTTP/1.1\r\n\r\n"),
        S("HTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nA"), S("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n"),
        S("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nD"), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> PUT /1\n1> '1'\n1> end 1\n2> HEAD /2\n2> end 0\n3> HEAD /3\n3> end 0\n4> GET /4\n4> end 0\n"
               "1< 201\n1< 'A'\n1< end 1\n1. answered\n2< 200\n2< end 0\n2. answered\n3< 404\n3< end 0\n3. answered\n4< 200\n4< 'D'\n4< end 1\n4. answered\n");
}

static void chunks_with_extensions_and_trailers_are_joined(void **state)
{
    (void)state;
    const struct step steps[] = {
        C("POST /_bulk HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;name=value\r\nabc\r\n0A ;x=\"y\"\r\n0123456789\r\n0\r\nX-Check: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
        S("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nA\r\n0\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> POST /_bulk\n1> 'abc0123456789'\n1> end 13\n2> GET /\n2> end 0\n"
               "1< 200\n1< 'A'\n1< end 1\n1. answered\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void http_1_0_stays_open_when_the_node_leaves_it_open(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), S("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"), C("GET /2 HTTP/1.0\r\n\r\n"),
                                 S("HTTP/1.0 200 OK\r\n\r\nuntil the end"), FIN_S, FIN_C, {0}};
    talk_check(steps, NULL,
               "1> GET /1 1.0 [Connection=keep-alive]\n1> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n"
               "2> GET /2 1.0\n2> end 0\n2< 200\n2< 'until the end'\n2< end 13\n2. answered\n");
}

static void answer_that_ends_with_the_connection_is_cut_by_a_reset(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET / HTTP/1.1\r\n\r\n"), S("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf"), RST_S, {0}};
    talk_check(steps, NULL, "1> GET /\n1> end 0\n1< 200 [Connection=close]\n1< 'half'\n1< end 4 incomplete\n1. answered\n");
}

static void answers_without_a_body_have_none(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /1 HTTP/1.1\r\n\r\n"), S("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"), C("GET /2 HTTP/1.1\r\n\r\n"),
                                 S("HTTP/1.1 204 No Content\r\n\r\n"), C("HEAD /3 HTTP/1.1\r\n\r\n"), S("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
                                 C("GET /4 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> GET /1\n1> end 0\n1< 304\n1< end 0\n1. answered\n2> GET /2\n2> end 0\n2< 204\n2< end 0\n2. answered\n"
               "3> HEAD /3\n3> end 0\n3< 200\n3< end 0\n3. answered\n4> GET /4\n4> end 0\n4< 200\n4< 'ok'\n4< end 2\n4. answered\n");
}

static void interim_answers_are_not_the_answer(void **state)
{
    (void)state;
    const struct step steps[] = {C("PUT /1 HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"), S("HTTP/1.1 100 Continue\r\n\r\n"), S("HTTP/1.1 100 Continue\r\n\r\n"), C("{}"),
                                 S("HTTP/1.1 102 Processing\r\n\r\n" OK), C("GET /2 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> PUT /1 [Expect=100-continue]\n1> '{}'\n1> end 2\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n"
               "2> GET /2\n2> end 0\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void early_refusal_belongs_to_the_request_being_sent(void **state)
{
    (void)state;
    const struct step steps[] = {C("PUT /big HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"), S("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"), C("defghi"),
                                 C("GET /2 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> PUT /big\n1> 'abc'\n1< 413\n1< end 0\n1> 'defghi'\n1> end 9\n1. answered\n"
               "2> GET /2\n2> end 0\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void early_refusal_may_end_the_connection(void **state)
{
    (void)state;
    const struct step steps[] = {C("PUT /big HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"), S("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), FIN_S, RST_C, {0}};
    talk_check(steps, NULL, "1> PUT /big\n1> 'abc'\n1< 413 [Connection=close]\n1< end 0\n1> end 3 incomplete\n1. answered\n");
}

static void body_refused_by_417_never_comes(void **state)
{
    (void)state;
    const struct step steps[] = {C("POST /1 HTTP/1.1\r\nExpect: something-else\r\nContent-Length: 50\r\n\r\n"), S("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n"),
                                 C("POST /1 HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> POST /1 [Expect=something-else]\n1< 417\n1< end 0\n1> end 0 incomplete\n1. answered\n"
               "2> POST /1\n2> '{}'\n2> end 2\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void body_sent_without_waiting_is_still_the_body(void **state)
{
    (void)state;
    const struct step plain[] = {C("POST /1 HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n"), S("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"),
                                 C("{\"a\":1"), C("GET /2 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(plain, NULL,
               "1> POST /1 [Expect=100-continue]\n1< 413\n1< end 0\n1> '{\"a\":1'\n1> end 6\n1. answered\n"
               "2> GET /2\n2> end 0\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void body_that_looks_like_a_request_is_a_body(void **state)
{
    (void)state;
    const struct step steps[] = {C("PUT /1 HTTP/1.1\r\nContent-Length: 39\r\n\r\n"), C("DELETE /a HTTP/1.1\r\nHost: evil.test\r\n\r\n"), S("HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\n"),
                                 S("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> PUT /1\n1> 'DELETE /a HTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n'\n1> end 39\n"
               "1< 200\n1< 'HTTP/1.1 500 Oh\\r\\nContent-Length: 0\\r\\n\\r\\n'\n1< end 38\n1. answered\n");
}

static void blank_lines_before_a_request_are_tolerated(void **state)
{
    (void)state;
    const struct step steps[] = {C("\r\n\r\nGET /1 HTTP/1.1\r\n\r\n\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"), S(OK), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> GET /1\n1> end 0\n2> GET /2\n2> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void odd_targets_are_written_down_as_sent(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET http://es:9200/a?b HTTP/1.1\r\n\r\n"), S(OK), C("OPTIONS * HTTP/1.1\r\n\r\n"), S(OK), C("GET /bad uri here HTTP/1.1\r\nHost: a\r\n\r\n"),
                                 S("HTTP/1.0 400 Bad Request\r\nContent-Length: 1\r\n\r\nx"), FIN_S, FIN_C, {0}};
    talk_check(steps, NULL,
               "1> GET http://es:9200/a?b\n1> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n2> OPTIONS *\n2> end 0\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n"
               "3> GET /bad uri here [Host=a]\n3> end 0\n3< 400\n3< 'x'\n3< end 1\n3. answered\n");
}

static void unknown_and_lower_case_methods_are_written_down(void **state)
{
    (void)state;
    const struct step steps[] = {C("FROB /1 HTTP/1.1\r\n\r\n"), S(OK), C("get /2 HTTP/1.1\r\nA: b\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> FROB /1\n1> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n2> get /2 [A=b]\n2> end 0\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void request_without_a_version_is_written_down(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /1 HTTP/1.1\r\n\r\n"), S(OK), C("GET /2\r\n\r\n"), S("HTTP/1.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), FIN_S, FIN_C, {0}};
    talk_check(steps, NULL, "1> GET /1\n1> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n2> GET /2 1.0\n2> end 0\n2< 400\n2< end 0\n2. answered\n");
}

static void chunked_wins_over_a_length(void **state)
{
    (void)state;
    const struct step steps[] = {C("PUT /1 HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"), S(OK), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> PUT /1\n1> 'abcde'\n1> end 5\n2> GET /2\n2> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void repeated_transfer_codings_still_mean_chunked(void **state)
{
    (void)state;
    const struct step steps[] = {C("PUT /1 HTTP/1.1\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: CHUNKED\r\n\r\n1\r\na\r\n0\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL, "1> PUT /1\n1> 'a'\n1> end 1\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n");
}

static void equal_lengths_and_leading_zeros_are_one_length(void **state)
{
    (void)state;
    const struct step steps[] = {C("PUT /1 HTTP/1.1\r\nContent-Length: 0002\r\nContent-Length: 2\r\n\r\n{}"), S("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok"), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL, "1> PUT /1\n1> '{}'\n1> end 2\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n");
}

static void lengths_that_make_no_sense_end_the_request(void **state)
{
    (void)state;
    static const char *const lengths[] = {"2\r\nContent-Length: 3", "-1", "18446744073709551615", "9223372036854775808", "2x", "+2", "", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        char text[200];
        int n = snprintf(text, sizeof text, "PUT /1 HTTP/1.1\r\nContent-Length: %s\r\n\r\n{}", lengths[i]);
        const struct step steps[] = {{STEP_DATA, 0, text, (size_t)n, 0, 0}, S("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), FIN_S, FIN_C, {0}};
        char expected[300];
        snprintf(expected, sizeof expected, "1> PUT /1\n1> end 0 incomplete\n1< 400\n1< end 0\n1. answered\ngap client unparsed %d+2\n", n - 2);
        talk_check(steps, NULL, expected);
    }
}

static void folded_fields_are_one_field(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /1 HTTP/1.1\r\nX-A: one\r\n  two\r\n\tthree\r\nX-B:\r\nX-C:  c \r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL, "1> GET /1 [X-A=one two three] [X-B=] [X-C=c]\n1> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n");
}

static void bare_line_feeds_end_lines_too(void **state)
{
    (void)state;
    const struct step steps[] = {C("PUT /1 HTTP/1.1\nX-A: one\nContent-Length: 2\n\n{}"), S("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL, "1> PUT /1 [X-A=one]\n1> '{}'\n1> end 2\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n");
}

static void broken_chunk_sizes_end_the_message_and_the_next_is_found(void **state)
{
    (void)state;
    static const char *const sizes[] = {"10000000000000000", "FFFFFFFFFFFFFFFFF", "xyz", "-1"};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char text[200];
        int n = snprintf(text, sizeof text, "PUT /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\nabc", sizes[i]);
        const struct step steps[] = {{STEP_DATA, 0, text, (size_t)n, 0, 0}, S("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), C("GET /2 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
        struct talk t;
        const char *trace = talk_play(&t, steps, NULL, CUT_WHOLE, 0);
        const char *begin = "1> PUT /1\n1> end 0 incomplete\n1< 400\n1< end 0\n1. answered\ngap client unparsed ";
        assert_memory_equal(trace, begin, strlen(begin));
        assert_non_null(strstr(trace, "2> GET /2\n2> end 0\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n"));
        assert_int_equal(t.stats.parse_errors, 1);
        talk_fini(&t);
    }
}

static void upgrade_offer_answered_in_http_goes_on(void **state)
{
    (void)state;
    const struct step steps[] = {C("POST /1 HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\nContent-Length: 2\r\n\r\n{}"), S(OK),
                                 C("GET /2 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> POST /1 [Connection=Upgrade, HTTP2-Settings] [Upgrade=h2c] [HTTP2-Settings=AAMAAABkAAQ]\n1> '{}'\n1> end 2\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n"
               "2> GET /2\n2> end 0\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void two_hundred_pipelined_reads_keep_their_answers(void **state)
{
    (void)state;
    struct buf ask = {0}, answer = {0}, expected = {0};
    for (int i = 0; i < 200; i++) {
        buf_format(&ask, "GET /%d HTTP/1.1\r\n\r\n", i);
        buf_format(&answer, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n%04d", i);
        buf_format(&expected, "%d> GET /%d\n%d> end 0\n", i + 1, i, i + 1);
    }
    for (int i = 0; i < 200; i++)
        buf_format(&expected, "%d< 200\n%d< '%04d'\n%d< end 4\n%d. answered\n", i + 1, i + 1, i, i + 1, i + 1);
    const struct step steps[] = {{STEP_DATA, 0, buf_text(&ask), ask.size, 0, 0}, {STEP_DATA, 1, buf_text(&answer), answer.size, 0, 0}, FIN_C, FIN_S, {0}};
    talk_check(steps, NULL, buf_text(&expected));
    buf_fini(&ask);
    buf_fini(&answer);
    buf_fini(&expected);
}

static void times_never_turn_back(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /1 HTTP/1.1\r\n\r\n"), BACK, S(OK), C("PUT /2 HTTP/1.1\r\nContent-Length: 2\r\n\r\n"), BACK, C("{}"), S("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), BACK, S("ok"), FIN_C, BACK, FIN_S, {0}};
    talk_check(steps, NULL, "1> GET /1\n1> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n2> PUT /2\n2> '{}'\n2> end 2\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void server_seen_first_is_no_client(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /1 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    const struct talk_options options = {.server_first = true};
    talk_check(steps, &options, "1> GET /1\n1> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n");
}

static void request_cut_off_by_its_client_is_incomplete(void **state)
{
    (void)state;
    const struct step steps[] = {C("PUT /1 HTTP/1.1\r\nContent-Length: 20\r\n\r\n{\"a\""), ACK_S, FIN_C, FIN_S, {0}};
    talk_check(steps, NULL, "1> PUT /1\n1> '{\"a\"'\n1> end 4 incomplete\n1. incomplete\n");
    const struct step head[] = {C("PUT /1?x=y HTTP/1.1\r\nA: b\r\nContent-Le"), ACK_S, RST_C, {0}};
    talk_check(head, NULL, "1> PUT /1?x=y [A=b] cut\n1> end 0 incomplete\n1. incomplete\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_and_answer_are_one_exchange),
        cmocka_unit_test(keep_alive_follows_on),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(chunks_with_extensions_and_trailers_are_joined),
        cmocka_unit_test(http_1_0_stays_open_when_the_node_leaves_it_open),
        cmocka_unit_test(answer_that_ends_with_the_connection_is_cut_by_a_reset),
        cmocka_unit_test(answers_without_a_body_have_none),
        cmocka_unit_test(interim_answers_are_not_the_answer),
        cmocka_unit_test(early_refusal_belongs_to_the_request_being_sent),
        cmocka_unit_test(early_refusal_may_end_the_connection),
        cmocka_unit_test(body_refused_by_417_never_comes),
        cmocka_unit_test(body_sent_without_waiting_is_still_the_body),
        cmocka_unit_test(body_that_looks_like_a_request_is_a_body),
        cmocka_unit_test(blank_lines_before_a_request_are_tolerated),
        cmocka_unit_test(odd_targets_are_written_down_as_sent),
        cmocka_unit_test(unknown_and_lower_case_methods_are_written_down),
        cmocka_unit_test(request_without_a_version_is_written_down),
        cmocka_unit_test(chunked_wins_over_a_length),
        cmocka_unit_test(repeated_transfer_codings_still_mean_chunked),
        cmocka_unit_test(equal_lengths_and_leading_zeros_are_one_length),
        cmocka_unit_test(lengths_that_make_no_sense_end_the_request),
        cmocka_unit_test(folded_fields_are_one_field),
        cmocka_unit_test(bare_line_feeds_end_lines_too),
        cmocka_unit_test(broken_chunk_sizes_end_the_message_and_the_next_is_found),
        cmocka_unit_test(upgrade_offer_answered_in_http_goes_on),
        cmocka_unit_test(two_hundred_pipelined_reads_keep_their_answers),
        cmocka_unit_test(times_never_turn_back),
        cmocka_unit_test(server_seen_first_is_no_client),
        cmocka_unit_test(request_cut_off_by_its_client_is_incomplete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
