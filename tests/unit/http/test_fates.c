// Why a request has no answer is told exactly.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "talk.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

#define GET "GET /1 HTTP/1.1\r\n\r\n"
#define ASKED "1> GET /1\n1> end 0\n"

static void client_that_hangs_up_left(void **state)
{
    (void)state;
    const struct step fin[] = {C("DELETE /catalog HTTP/1.1\r\n\r\n"), ACK_S, FIN_C, FIN_S, {0}};
    talk_check(fin, NULL, "1> DELETE /catalog\n1> end 0\n1. client left\n");
    const struct step rst[] = {C(GET), ACK_S, RST_C, {0}};
    talk_check(rst, NULL, ASKED "1. client left\n");
}

static void half_close_without_an_answer_is_a_client_that_left(void **state)
{
    (void)state;
    const struct step steps[] = {C(GET), FIN_C, ACK_S, CLOSE_AS(END_INPUT), {0}};
    talk_check(steps, NULL, ASKED "1. client left\n");
}

static void half_close_with_an_answer_is_answered(void **state)
{
    (void)state;
    const struct step steps[] = {C(GET), FIN_C, S(OK), FIN_S, {0}};
    talk_check(steps, NULL, ASKED "1< 200\n1< 'ok'\n1< end 2\n1. answered\n");
}

static void server_that_closes_without_an_answer_left(void **state)
{
    (void)state;
    const struct step fin[] = {C(GET), ACK_S, FIN_S, FIN_C, {0}};
    talk_check(fin, NULL, ASKED "1. server left\n");
    const struct step rst[] = {C(GET), ACK_S, RST_S, {0}};
    talk_check(rst, NULL, ASKED "1. server left\n");
}

static void bytes_never_acknowledged_never_arrived(void **state)
{
    (void)state;
    const struct step first[] = {C("GET /0 HTTP/1.1\r\n\r\n"), S(OK), C("GET /x HTTP/1.1\r\n\r\n"), RST_C, {0}};
    talk_check(first, NULL, "1> GET /0\n1> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n2> GET /x\n2> end 0\n2. never acknowledged\n");
    const struct step idle[] = {C("GET /0 HTTP/1.1\r\n\r\n"), S(OK), C("GET /x HTTP/1.1\r\n\r\n"), CLOSE_AS(END_IDLE), {0}};
    talk_check(idle, NULL, "1> GET /0\n1> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n2> GET /x\n2> end 0\n2. never acknowledged\n");
}

static void answer_that_was_not_captured_is_lost(void **state)
{
    (void)state;
    const struct step steps[] = {C(GET), ACK_S, LOSE_S(100), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL, ASKED "gap server lost 0+100\n1. answer lost\n");
}

static void loss_before_the_request_is_not_its_answer(void **state)
{
    (void)state;
    const struct step steps[] = {C(GET), LOSE_S(40), C("GET /2 HTTP/1.1\r\n\r\n"), ACK_S, FIN_C, FIN_S, {0}};
    talk_check(steps, NULL, ASKED "gap server lost 0+40\n2> GET /2\n2> end 0\n1. answer lost\n2. client left\n");
}

static void request_waiting_when_the_recording_ends_is_open(void **state)
{
    (void)state;
    const struct step steps[] = {C(GET), ACK_S, {0}};
    talk_check(steps, NULL, ASKED "1. open\n");
    const struct step unacknowledged[] = {C(GET), S(""), {0}};
    talk_check(unacknowledged, NULL, ASKED "1. open\n");
}

static void server_that_closes_inside_a_request_got_it_incomplete(void **state)
{
    (void)state;
    const struct step steps[] = {C("PUT /1 HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"), ACK_S, FIN_S, FIN_C, {0}};
    talk_check(steps, NULL, "1> PUT /1\n1> 'abc'\n1> end 3 incomplete\n1. incomplete\n");
}

static void request_with_holes_that_was_not_answered_may_have_been_done(void **state)
{
    (void)state;
    const struct step steps[] = {C("PUT /1 HTTP/1.1\r\nContent-Length: 5\r\n\r\nab"), LOSE_C(3), ACK_S, FIN_C, FIN_S, {0}};
    talk_check(steps, NULL, "1> PUT /1\n1> 'ab'\ngap client lost 40+3\n1> hole 3\n1> end 5 missing 3 truncated\n1. client left\n");
}

static void all_pipelined_requests_share_the_hang_up(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nPUT /3 HTTP/1.1\r\nContent-Length: 5\r\n\r\na"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> GET /1\n1> end 0\n2> GET /2\n2> end 0\n3> PUT /3\n3> 'a'\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n3> end 1 incomplete\n2. client left\n3. incomplete\n");
}

static void connection_that_was_reused_lost_its_answer(void **state)
{
    (void)state;
    const struct step steps[] = {C(GET), ACK_S, CLOSE_AS(END_REUSED), {0}};
    talk_check(steps, NULL, ASKED "1. answer lost\n");
    const struct step evicted[] = {C(GET), ACK_S, CLOSE_AS(END_EVICTED), {0}};
    talk_check(evicted, NULL, ASKED "1. answer lost\n");
}

static void answer_cut_off_by_the_server_is_still_an_answer(void **state)
{
    (void)state;
    const struct step steps[] = {C(GET), S("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), FIN_S, FIN_C, {0}};
    talk_check(steps, NULL, ASKED "1< 200\n1< 'abc'\n1< end 3 incomplete\n1. answered\n");
    const struct step head[] = {C(GET), S("HTTP/1.1 503 Serv"), RST_S, {0}};
    talk_check(head, NULL, ASKED "1< 503 cut\n1< end 0 incomplete\n1. answered\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_that_hangs_up_left),
        cmocka_unit_test(half_close_without_an_answer_is_a_client_that_left),
        cmocka_unit_test(half_close_with_an_answer_is_answered),
        cmocka_unit_test(server_that_closes_without_an_answer_left),
        cmocka_unit_test(bytes_never_acknowledged_never_arrived),
        cmocka_unit_test(answer_that_was_not_captured_is_lost),
        cmocka_unit_test(loss_before_the_request_is_not_its_answer),
        cmocka_unit_test(request_waiting_when_the_recording_ends_is_open),
        cmocka_unit_test(server_that_closes_inside_a_request_got_it_incomplete),
        cmocka_unit_test(request_with_holes_that_was_not_answered_may_have_been_done),
        cmocka_unit_test(all_pipelined_requests_share_the_hang_up),
        cmocka_unit_test(connection_that_was_reused_lost_its_answer),
        cmocka_unit_test(answer_cut_off_by_the_server_is_still_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
