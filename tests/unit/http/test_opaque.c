// What is not HTTP is named; what is, is recognised by how messages begin and by nothing else.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "talk.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static const struct talk_options whole_only = {.whole_only = true};

static void tls_from_its_beginning_is_named(void **state)
{
    (void)state;
    const struct step steps[] = {C("\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03" "hello"), S("\x16\x03\x03\x00\x40\x02\x00\x00\x3c"), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL, "opaque tls\n");
}

static void tls_joined_midstream_is_named(void **state)
{
    (void)state;
    const struct talk_options options = {.midstream = true, .whole_only = true};
    const struct step steps[] = {S("\xfe\xdc\xba tail of a record"), S("\x17\x03\x03\x01\x00" "secret"), C("\x17\x03\x03\x00\x20" "x"), {0}};
    talk_check(steps, &options, "opaque tls\n");
}

static void http2_preface_is_named(void **state)
{
    (void)state;
    const struct step steps[] = {C("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"), S("\0\0\0\4\0\0\0\0\0"), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL, "opaque http2\n");
}

static void another_protocol_is_named_when_both_sides_spoke(void **state)
{
    (void)state;
    const struct step ssh[] = {S("SSH-2.0-OpenSSH_9.2\r\n"), C("SSH-2.0-OpenSSH_9.2\r\n"), FIN_C, FIN_S, {0}};
    talk_check(ssh, NULL, "opaque other\n");
    const struct step redis[] = {C("GET /key\r\n"), S("$-1\r\n"), FIN_C, FIN_S, {0}};
    talk_check(redis, NULL, "opaque other\n");
    const struct step silent[] = {C("anything"), ACK_S, FIN_C, FIN_S, {0}};
    talk_check(silent, NULL, "");
}

static void switched_protocol_is_opaque(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"), S("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05hello"),
                                 C("GET /not-a-request HTTP/1.1\r\n\r\n"), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL, "1> GET /ws [Upgrade=websocket] [Connection=Upgrade]\n1> end 0\n1< 101 [Upgrade=websocket]\n1< end 0\n1. answered\nopaque upgrade\n");
}

static void tunnel_is_opaque_only_when_it_was_granted(void **state)
{
    (void)state;
    const struct step granted[] = {C("CONNECT es:9200 HTTP/1.1\r\n\r\n"), S("HTTP/1.1 200 Connection established\r\n\r\n"), C("\x16\x03\x01"), S("x"), FIN_C, FIN_S, {0}};
    talk_check(granted, NULL, "1> CONNECT es:9200\n1> end 0\n1< 200\n1< end 0\n1. answered\nopaque connect\n");
    const struct step refused[] = {C("CONNECT es:9200 HTTP/1.1\r\n\r\n"), S("HTTP/1.1 405 No\r\nContent-Length: 1\r\n\r\nx"), C("GET /2 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(refused, NULL,
               "1> CONNECT es:9200\n1> end 0\n1< 405\n1< 'x'\n1< end 1\n1. answered\n2> GET /2\n2> end 0\n2< 200\n2< 'ok'\n2< end 2\n2. answered\n");
}

static void request_waiting_at_an_upgrade_keeps_its_fate(void **state)
{
    (void)state;
    const struct step steps[] = {C("GET /ws HTTP/1.1\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"), S("HTTP/1.1 101 Switching Protocols\r\n\r\n"), FIN_S, FIN_C, {0}};
    talk_check(steps, NULL,
               "1> GET /ws [Upgrade=x] [Connection=Upgrade]\n1> end 0\n2> GET /2\n2> end 0\n1< 101\n1< end 0\n1. answered\nopaque upgrade\n2. server left\n");
}

static void side_that_sent_the_syn_is_no_server(void **state)
{
    (void)state;
    const struct step steps[] = {C("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), S("what?"), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL, "opaque other\n");
}

static void client_that_speaks_late_is_found(void **state)
{
    (void)state;
    const struct step steps[] = {S("220 ready\r\n"), C("HELLO\r\n"), C("GET /1 HTTP/1.1\r\n\r\n"), S(OK), FIN_C, FIN_S, {0}};
    talk_check(steps, &whole_only,
               "gap client unparsed 0+7\n1> GET /1\n1> end 0\ngap server unparsed 0+11\n1< 200\n1< 'ok'\n1< end 2\n1. answered\n");
}

static void gaps_of_a_connection_without_messages_are_told(void **state)
{
    (void)state;
    const struct step steps[] = {LOSE_C(100), ACK_S, LOSE_S(50), FIN_C, FIN_S, {0}};
    talk_check(steps, NULL, "gap client lost 0+100\ngap server lost 0+50\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_from_its_beginning_is_named),
        cmocka_unit_test(tls_joined_midstream_is_named),
        cmocka_unit_test(http2_preface_is_named),
        cmocka_unit_test(another_protocol_is_named_when_both_sides_spoke),
        cmocka_unit_test(switched_protocol_is_opaque),
        cmocka_unit_test(tunnel_is_opaque_only_when_it_was_granted),
        cmocka_unit_test(request_waiting_at_an_upgrade_keeps_its_fate),
        cmocka_unit_test(side_that_sent_the_syn_is_no_server),
        cmocka_unit_test(client_that_speaks_late_is_found),
        cmocka_unit_test(gaps_of_a_connection_without_messages_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
