// What is lost stays where it was: holes are accounted for, the next message is found, later pairs do not shift.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "talk.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static const struct talk_options whole_only = {.whole_only = true};

static void hole_in_a_body_of_known_length_keeps_its_place(void **state)
{
    (void)state;
    const struct step steps[] = {C("PUT /1 HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"), LOSE_C(4), C("hijGET /2 HTTP/1.1\r\n\r\n"), S("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"), LOSE_S(2), S("4567"),
                                 S("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> PUT /1\n1> 'abc'\ngap client lost 42+4\n1> hole 4\n1> 'hij'\n1> end 10 missing 4 truncated\n2> GET /2\n2> end 0\n"
               "1< 200\ngap server lost 38+2\n1< hole 2\n1< '4567'\n1< end 6 missing 2 truncated\n1. answered\n2< 200\n2< end 0\n2. answered\n");
}

static void hole_at_the_end_of_a_body_ends_it(void **state)
{
    (void)state;
    const struct step steps[] = {C("PUT /1 HTTP/1.1\r\nContent-Length: 5\r\n\r\nab"), LOSE_C(3), S(OK), C("GET /2 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> PUT /1\n1> 'ab'\ngap client lost 40+3\n1> hole 3\n1> end 5 missing 3 truncated\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n"
               "2> GET /2\n2> end 0\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void hole_past_a_body_may_hide_requests(void **state)
{
    (void)state;
    const struct step steps[] = {C("PUT /1 HTTP/1.1\r\nContent-Length: 5\r\n\r\nab"), LOSE_C(3), S(OK), LOSE_C(30), S("HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx"), C("GET /3 HTTP/1.1\r\n\r\n"), S(OK),
                                 FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> PUT /1\n1> 'ab'\ngap client lost 40+3\n1> hole 3\n1> end 5 missing 3 truncated\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n"
               "gap client lost 43+30\ngap server orphan 40+46\n"
               "2> GET /3\n2> end 0\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void lost_request_takes_its_answer_with_it(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /1 HTTP/1.1\r\n\r\n"), S(OK), LOSE_C(30), S("HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx"), C("GET /3 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> GET /1\n1> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\ngap client lost 19+30\ngap server orphan 40+46\n"
               "2> GET /3\n2> end 0\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void request_whose_head_was_lost_does_not_take_the_next_answer(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /1 HTTP/1.1\r\n\r\n"), S(OK), LOSE_C(60), C("{\"index\":{}}\n{\"a\":\"GET /x\"}\n"), S("HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx"),
                                 C("GET /3 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, &whole_only,
               "1> GET /1\n1> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\ngap client lost 19+60\ngap server orphan 40+46\n"
               "gap client unparsed 79+28\n2> GET /3\n2> end 0\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void lost_answer_does_not_shift_the_next(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /1 HTTP/1.1\r\n\r\n"), LOSE_S(40), C("GET /2 HTTP/1.1\r\n\r\n"), LOSE_S(40), C("GET /3 HTTP/1.1\r\n\r\n"),
                                 S("HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx"), C("GET /4 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> GET /1\n1> end 0\ngap server lost 0+40\n2> GET /2\n2> end 0\ngap server lost 40+40\n3> GET /3\n3> end 0\n"
               "1. answer lost\n2. answer lost\n3< 404\n3< 'x'\n3< end 1\n3. answered\n4> GET /4\n4> end 0\n4< 200\n4< 'ok'\n4< end 2\n4. answered\n");
}

static void answer_whose_head_was_lost_is_not_given_to_the_next(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /1 HTTP/1.1\r\n\r\n"), LOSE_S(100), S("tail of the body"), C("GET /2 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, &whole_only,
               "1> GET /1\n1> end 0\ngap server lost 0+100\n2> GET /2\n2> end 0\ngap server unparsed 100+16\n"
               "1. answer lost\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void lost_answer_among_pipelined_ones_leaves_the_doubtful_unpaired(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\n"), S(OK), LOSE_S(40), S(OK), C("GET /4 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> GET /1\n1> end 0\n2> GET /2\n2> end 0\n3> GET /3\n3> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\ngap server lost 40+40\n"
               "gap server orphan 80+40\n4> GET /4\n4> end 0\n2. answer lost\n3. answer lost\n4< 200\n4< 'ok'\n4< end 2\n4. answered\n");
}

static void last_of_pipelined_requests_gets_the_answer_behind_a_loss(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"), S("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), LOSE_S(10), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> GET /1\n1> end 0\n2> GET /2\n2> end 0\n1< 200\n1< 'ab'\ngap server lost 52+10\n1< hole 10 unknown\n1< end 12 missing 10 incomplete truncated\n1. answered\n"
               "2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void lost_request_among_pipelined_ones_does_not_shift_the_rest(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /1 HTTP/1.1\r\n\r\n"), LOSE_C(19), C("GET /3 HTTP/1.1\r\n\r\n"), S(OK OK OK), C("GET /4 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> GET /1\n1> end 0\ngap client lost 19+19\n2> GET /3\n2> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\ngap server orphan 40+40\ngap server orphan 80+40\n"
               "3> GET /4\n3> end 0\n2. answer lost\n3< 200\n3< 'ok'\n3< end 2\n3. answered\n");
}

static void gap_in_a_request_head_reports_what_survived(void **state)
{
    (void)state;
    const struct step steps[] = {C("POST /a/_bulk HTTP/1.1\r\nHost: es\r\nContent-Le"), LOSE_C(50), C("{\"index\":{}}\n"), S(OK), C("GET /2 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, &whole_only,
               "gap client lost 44+50\n1> POST /a/_bulk [Host=es] cut\n1> end 0 incomplete truncated\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n"
               "gap client unparsed 94+13\n2> GET /2\n2> end 0\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void snap_length_in_the_target_reports_its_beginning(void **state)
{
    (void)state;
    const struct step steps[] = {C("DELETE /cat"), SNAP_C(50), S("HTTP/1.1 200 OK\r\nContent-Ty"), SNAP_S(60), C("GET /2 HTT"), SNAP_C(80), S("HTTP/1.1 404 Not"), SNAP_S(60), FIN_C, FIN_S, {0}};
    talk_check(steps, &whole_only,
               "gap client snaplen 11+50\n1> DELETE /cat cut\n1> end 0 incomplete truncated\ngap server snaplen 27+60\n1< 200 cut\n1< end 0 incomplete truncated\n1. answered\n"
               "gap client snaplen 71+80\n2> GET /2 cut\n2> end 0 incomplete truncated\ngap server snaplen 103+60\n2< 404 cut\n2< end 0 incomplete truncated\n2. answered\n");
}

static void snap_length_in_a_known_body_keeps_the_connection_in_step(void **state)
{
    (void)state;
    const struct step steps[] = {C("PUT /1 HTTP/1.1\r\nContent-Length: 8\r\n\r\nab"), SNAP_C(6), S("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"), SNAP_S(8), C("GET /2 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> PUT /1\n1> 'ab'\ngap client snaplen 40+6\n1> hole 6\n1> end 8 missing 6 truncated\n1< 200\n1< 'x'\ngap server snaplen 39+8\n1< hole 8\n1< end 9 missing 8 truncated\n1. answered\n"
               "2> GET /2\n2> end 0\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void hole_within_one_chunk_is_stepped_over(void **state)
{
    (void)state;
    const struct step steps[] = {C("PUT /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nA\r\nab"), LOSE_C(8), C("\r\n2\r\nyz\r\n0\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"), S(OK OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> PUT /1\n1> 'ab'\ngap client lost 52+8\n1> hole 8\n1> 'yz'\n1> end 12 missing 8 truncated\n2> GET /2\n2> end 0\n"
               "1< 200\n1< 'ok'\n1< end 2\n1. answered\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void hole_across_chunks_ends_the_message(void **state)
{
    (void)state;
    const struct step steps[] = {C("PUT /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nA\r\nab"), LOSE_C(9), C("\n2\r\nyz\r\n0\r\n\r\n"), S(OK), C("GET /2 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, &whole_only,
               "1> PUT /1\n1> 'ab'\ngap client lost 52+9\n1> hole 9 unknown\n1> end 11 missing 9 incomplete truncated\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n"
               "gap client unparsed 61+13\n2> GET /2\n2> end 0\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void joined_midstream_begins_at_the_next_request(void **state)
{
    (void)state;
    const struct talk_options options = {.midstream = true, .whole_only = true};
    const struct step steps[] = {C("rest of a bulk\"}\nPUT /x HTTP/1.1\r\n"), S("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"), C("GET /1 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, &options,
               "gap server orphan 0+40\ngap client unparsed 0+34\n1> GET /1\n1> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n");
    const struct step answer[] = {S("rest of an answer"), C("GET /1 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(answer, &options, "1> GET /1\n1> end 0\ngap server unparsed 0+17\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n");
}

static void orphan_answer_to_an_unseen_head_has_no_body(void **state)
{
    (void)state;
    const struct talk_options options = {.midstream = true};
    const struct step steps[] = {S("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"), C("HEAD /1 HTTP/1.1\r\n\r\n"), S("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"), FIN_C, FIN_S, {0}};
    talk_check(steps, &options, "1> HEAD /1\n1> end 0\ngap server orphan 0+40\n1< 200\n1< end 0\n1. answered\n");
}

static void one_sided_requests_are_told_at_once(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /1 HTTP/1.1\r\n\r\n"), UNSEEN_S(40), C("GET /2 HTTP/1.1\r\n\r\n"), UNSEEN_S(40), C("GET /3 HTTP/1.1\r\n\r\nGET /4 HTTP/1.1\r\n\r\n"), FIN_C, {0}};
    talk_check(steps, NULL,
               "1> GET /1\n1> end 0\n1. answer lost\n2> GET /2\n2> end 0\n2. answer lost\n3> GET /3\n3> end 0\n4> GET /4\n4> end 0\n3. answer lost\n4. answer lost\n");
}

static void one_sided_answers_are_orphans(void **state)
{
    (void)state;
    const struct step steps[] = {S(OK), S(OK), FIN_S, {0}};
    struct talk t;
    assert_string_equal(talk_play(&t, steps, NULL, CUT_WHOLE, 0), "gap server orphan 0+40\ngap server orphan 40+40\n");
    assert_int_equal(t.stats.orphans, 2);
    talk_fini(&t);
}

static void second_answer_behind_the_real_one_belongs_to_nothing(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /1 HTTP/1.1\r\n\r\nstray"), S(OK "HTTP/1.0 400 Bad Request\r\nContent-Length: 5\r\n\r\nempty"), FIN_S, FIN_C, {0}};
    talk_check(steps, &whole_only, "1> GET /1\n1> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\ngap server orphan 40+52\ngap client unparsed 19+5\n");
}

static void requests_go_on_where_acknowledgements_are_unknown(void **state)
{
    (void)state;
    const struct talk_options options = {.no_acks = true};
    const struct step steps[] = {C("GET /1 HTTP/1.1\r\n\r\n"), C("GET /2 HTTP/1.1\r\n\r\n"), S(OK), S("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), FIN_C, FIN_S, {0}};
    talk_check(steps, &options, "1> GET /1\n1> end 0\n2> GET /2\n2> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n2< 404\n2< end 0\n2. answered\n");
}

static void read_until_close_answer_ends_when_the_client_asks_again(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /1 HTTP/1.1\r\n\r\n"), S("HTTP/1.1 200 OK\r\n\r\nbody"), C("GET /2 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, &whole_only,
               "1> GET /1\n1> end 0\n1< 200\n1< 'body'\n2> GET /2\n2> end 0\n1< end 4 incomplete\n1. answered\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void recording_that_ends_inside_a_body_says_so(void **state)
{
    (void)state;
    const struct step steps[] = {C("PUT /1 HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"), ACK_S, {0}};
    talk_check(steps, NULL, "1> PUT /1\n1> 'abc'\n1> end 3 incomplete truncated\n1. open\n");
}

static void answer_behind_a_loss_is_not_given_back_to_a_request_before_a_lost_one(void **state)
{
    (void)state;
    // Answer 1 and request 2 are lost; the answer that comes acknowledges more than request 1.
    const struct step steps[] = {C("DELETE /1 HTTP/1.1\r\n\r\n"), LOSE_C(30), LOSE_S(40), S("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"), C("GET /3 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> DELETE /1\n1> end 0\ngap client lost 22+30\ngap server lost 0+40\ngap server orphan 40+43\n2> GET /3\n2> end 0\n1. answer lost\n"
               "2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
    // Here request 2 has begun to come.
    const struct step begun[] = {C("DELETE /1 HTTP/1.1\r\n\r\n"), C("PUT /2 HTTP/1.1\r\nContent-Length: 9\r\n\r\n"), LOSE_S(40), S("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"), LOSE_C(9), FIN_C, FIN_S, {0}};
    talk_check(begun, NULL,
               "1> DELETE /1\n1> end 0\n2> PUT /2\ngap server lost 0+40\ngap server orphan 40+43\ngap client lost 60+9\n2> hole 9\n2> end 9 missing 9 truncated\n"
               "1. answer lost\n2. answer lost\n");
}

static void answers_in_doubt_leave_no_hang_up(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /1 HTTP/1.1\r\n\r\n"), LOSE_C(19), C("GET /3 HTTP/1.1\r\n\r\n"), S(OK OK OK), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL,
               "1> GET /1\n1> end 0\ngap client lost 19+19\n2> GET /3\n2> end 0\n1< 200\n1< 'ok'\n1< end 2\n1. answered\ngap server orphan 40+40\ngap server orphan 80+40\n2. answer lost\n");
}

// Four segments an exchange, each lost with a chance of `percent`: every request whose first segment survived is told, and an
// answer (which names its request) never comes to another one.
static void lose_at_random(unsigned percent, unsigned seed)
{
    enum { EXCHANGES = 150 };
    static char text[EXCHANGES][4][96];
    struct step steps[EXCHANGES * 4 + 3];
    size_t n = 0, survivors = 0, told = 0;
    srand(seed);
    for (int i = 0; i < EXCHANGES; i++) {
        snprintf(text[i][0], sizeof text[i][0], "PUT /%04d HTTP/1.1\r\n%s\r\n\r\n", i, i % 3 ? "Content-Length: 12" : "Transfer-Encoding: chunked");
        snprintf(text[i][1], sizeof text[i][1], "%s", i % 3 ? "{\"GET /\":12}" : "6\r\n{\"a\":1\r\n1\r\n}\r\n0\r\n\r\n");
        snprintf(text[i][2], sizeof text[i][2], "HTTP/1.1 20%d Fine\r\n%s\r\n\r\n%s%04d", i % 2, i % 5 ? "Content-Length: 14" : "Transfer-Encoding: chunked", i % 5 ? "" : "e\r\n", i);
        snprintf(text[i][3], sizeof text[i][3], "%s%s", "0123456789", i % 5 ? "" : "\r\n0\r\n\r\n");
        for (int k = 0; k < 4; k++) {
            bool lost = (unsigned)(rand() % 100) < percent;
            survivors += k == 0 && !lost;
            steps[n++] = (struct step){lost ? STEP_LOSE : STEP_DATA, k > 1, text[i][k], strlen(text[i][k]), 0, GAP_LOST};
        }
    }
    steps[n] = (struct step){0};
    struct talk t;
    const char *trace = talk_play(&t, steps, NULL, CUT_WHOLE, seed);
    int asked[EXCHANGES + 1] = {0};
    for (const char *line = trace; *line; line = strchr(line, '\n') + 1) {
        int id, number;
        if (sscanf(line, "%d> PUT /%d", &id, &number) == 2) {
            asked[id] = number;
            told++;
        } else if (sscanf(line, "%d< '%4d", &id, &number) == 2 && line[strcspn(line, "'") + 1] == '0' && strncmp(strchr(line, '\'') + 1, "0123", 4) != 0) {
            assert_int_equal(asked[id], number);
        } else if (sscanf(line, "%d< 20%d", &id, &number) == 2) {
            assert_int_equal(asked[id] % 2, number);
        }
    }
    assert_int_equal(told, survivors);
    assert_true(t.stats.pairs * 100 >= survivors * (percent > 10 ? 40 : 80));
    talk_fini(&t);
}

static void random_losses_lose_no_request_and_mix_no_pair(void **state)
{
    (void)state;
    static const unsigned percents[] = {0, 1, 3, 10, 30};
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++)
        for (unsigned seed = 1; seed <= 40; seed++)
            lose_at_random(percents[i], seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hole_in_a_body_of_known_length_keeps_its_place),
        cmocka_unit_test(hole_at_the_end_of_a_body_ends_it),
        cmocka_unit_test(hole_past_a_body_may_hide_requests),
        cmocka_unit_test(lost_request_takes_its_answer_with_it),
        cmocka_unit_test(request_whose_head_was_lost_does_not_take_the_next_answer),
        cmocka_unit_test(lost_answer_does_not_shift_the_next),
        cmocka_unit_test(answer_whose_head_was_lost_is_not_given_to_the_next),
        cmocka_unit_test(lost_answer_among_pipelined_ones_leaves_the_doubtful_unpaired),
        cmocka_unit_test(last_of_pipelined_requests_gets_the_answer_behind_a_loss),
        cmocka_unit_test(lost_request_among_pipelined_ones_does_not_shift_the_rest),
        cmocka_unit_test(gap_in_a_request_head_reports_what_survived),
        cmocka_unit_test(snap_length_in_the_target_reports_its_beginning),
        cmocka_unit_test(snap_length_in_a_known_body_keeps_the_connection_in_step),
        cmocka_unit_test(hole_within_one_chunk_is_stepped_over),
        cmocka_unit_test(hole_across_chunks_ends_the_message),
        cmocka_unit_test(joined_midstream_begins_at_the_next_request),
        cmocka_unit_test(orphan_answer_to_an_unseen_head_has_no_body),
        cmocka_unit_test(one_sided_requests_are_told_at_once),
        cmocka_unit_test(one_sided_answers_are_orphans),
        cmocka_unit_test(second_answer_behind_the_real_one_belongs_to_nothing),
        cmocka_unit_test(requests_go_on_where_acknowledgements_are_unknown),
        cmocka_unit_test(read_until_close_answer_ends_when_the_client_asks_again),
        cmocka_unit_test(answer_behind_a_loss_is_not_given_back_to_a_request_before_a_lost_one),
        cmocka_unit_test(random_losses_lose_no_request_and_mix_no_pair),
        cmocka_unit_test(answers_in_doubt_leave_no_hang_up),
        cmocka_unit_test(recording_that_ends_inside_a_body_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
