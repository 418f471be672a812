// Reassembly: order, overlaps, loss, beginnings, endings, limits. Invariants are those of include/stream.h and wire/stream.c.
#include "play.h"

#include "include/bounds.h"
#include <stdlib.h>

static void stream_in_order_gives_pieces_with_their_acknowledgement(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', ACK, 0, 0, "get");
    play_send(&p, 'S', ACK, 0, 3, "ok");
    play_send(&p, 'C', ACK, 3, 2, "put");
    play_send(&p, 'C', FIN | ACK, 6, 2, "");
    play_send(&p, 'S', FIN | ACK, 2, 7, "");
    play_expect(&p, "open\nC0 get @0\nS0 ok @3\nC3 put @2\nC end fin\nS end fin\nclose fin\n");
    assert_int_equal(p.stats.conns_seen, 1);
    assert_int_equal(p.stats.bytes_kept, 8);
}

static void segments_out_of_order_are_put_in_order(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', ACK, 6, 0, "ghi");
    play_send(&p, 'C', ACK, 3, 0, "def");
    play_send(&p, 'C', ACK, 0, 0, "abc");
    play_expect(&p, "open\nC0 abc @0\nC3 def @0\nC6 ghi @0\nC end input\nS end input\nclose input\n");
    assert_int_equal(p.stats.out_of_order, 2);
}

static void retransmission_is_dropped_and_counted(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', ACK, 0, 0, "abc");
    play_send(&p, 'C', ACK, 0, 0, "abc");
    play_expect(&p, "open\nC0 abc @0\nC end input\nS end input\nclose input\n");
    assert_int_equal(p.stats.retransmitted, 1);
    assert_int_equal(p.stats.overlaps_conflicting, 0);
}

static void retransmission_with_other_content_keeps_first_copy_and_is_a_conflict(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', ACK, 0, 0, "abc");
    play_send(&p, 'C', ACK, 0, 0, "xyz");
    play_expect(&p, "open\nC0 abc @0\nC end input\nS end input\nclose input\n");
    assert_int_equal(p.stats.overlaps_conflicting, 1);
}

static void same_packet_twice_is_a_duplicate_not_a_retransmission(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    uint8_t frame[128];
    size_t size = play_frame(&p, frame, 'C', ACK, (int64_t[]){0, 0}, bytes_of_text("abc"));
    play_feed(&p, frame, size, 1);
    frame[14 + 8]--; // routed in between
    play_feed(&p, frame, size, 1);
    play_expect(&p, "open\nC0 abc @0\nC end input\nS end input\nclose input\n");
    assert_int_equal(p.stats.duplicates, 1);
    assert_int_equal(p.stats.retransmitted, 0);
}

static void overlap_with_delivered_bytes_keeps_first_copy(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', ACK, 0, 0, "abcd");
    play_send(&p, 'C', ACK, 2, 0, "XXefgh");
    play_expect(&p, "open\nC0 abcd @0\nC4 efgh @0 part\nC end input\nS end input\nclose input\n");
    assert_int_equal(p.stats.overlaps, 1);
    assert_int_equal(p.stats.overlaps_conflicting, 1);
}

static void overlap_among_held_segments_keeps_first_copy(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', ACK, 4, 0, "ef");
    play_send(&p, 'C', ACK, 8, 0, "ij");
    play_send(&p, 'C', ACK, 2, 0, "cdXXghXXkl");
    play_send(&p, 'C', ACK, 0, 0, "ab");
    play_expect(&p, "open\nC0 ab @0\nC2 cd @0\nC4 ef @0\nC6 gh @0 part\nC8 ij @0\nC10 kl @0 part\nC end input\nS end input\nclose input\n");
    assert_int_equal(p.stats.overlaps_conflicting, 1);
}

static void acknowledged_hole_becomes_a_gap_after_settling(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', ACK, 4, 0, "efg");
    play_send(&p, 'S', ACK, 0, 7, "");
    assert_int_equal(p.trace.size, strlen("open\n"));
    play_settle(&p, 7, 0);
    play_send(&p, 'C', ACK, 7, 0, "h");
    play_expect(&p, "open\nC0 gap 4 lost\nC4 efg @0\nC7 h @0\nC end input\nS end input\nclose input\n");
    assert_int_equal(p.stats.gap_bytes, 4);
}

static void hole_that_nobody_acknowledged_waits_for_the_retransmission(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', ACK, 4, 0, "efg");
    for (int i = 0; i < 40; i++)
        play_send(&p, 'S', ACK, 0, 0, "");
    p.time_ns += 30 * WHEN_NS_PER_S;
    play_send(&p, 'C', ACK, 0, 0, "abcd");
    play_expect(&p, "open\nC0 abcd @0\nC4 efg @0\nC end input\nS end input\nclose input\n");
    assert_int_equal(p.stats.gaps, 0);
}

static void lost_tail_is_a_gap_before_what_acknowledged_it(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', ACK, 0, 0, "one");
    play_send(&p, 'C', ACK, 3, 20, "two"); // acknowledges an answer that was not captured
    play_settle(&p, 6, 20);
    play_expect(&p, "open\nC0 one @0\nS0 gap 20 lost\nC3 two @20\nC end input\nS end input\nclose input\n");
}

static void lost_tail_on_a_quiet_connection_is_a_gap_after_a_second(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', ACK, 0, 20, "delete");
    wire_tick(p.wire, p.time_ns + WHEN_NS_PER_S / 2);
    assert_int_equal(p.trace.size, strlen("open\n"));
    wire_tick(p.wire, p.time_ns + 2 * WHEN_NS_PER_S);
    assert_string_equal(buf_text(&p.trace), "open\nS0 gap 20 lost\nC0 delete @20\n");
    play_end(&p);
    buf_fini(&p.trace);
}

static void acknowledgement_before_the_data_waits_for_the_data(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'S', ACK, 0, 3, "ok");
    play_send(&p, 'C', ACK, 0, 0, "get");
    play_expect(&p, "open\nC0 get @0\nS0 ok @3\nC end input\nS end input\nclose input\n");
}

static void forged_acknowledgement_opens_no_gap(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'S', ACK, 0, 100000, "");
    for (int i = 0; i < 40; i++) {
        play_send(&p, 'C', ACK, i, 0, "x");
        play_send(&p, 'S', ACK, 0, i + 1, "");
    }
    p.gather = true;
    play_end(&p);
    assert_int_equal(p.stats.gaps, 0);
    assert_int_equal(p.stats.bytes_kept, 40);
    buf_fini(&p.trace);
}

static void forged_acknowledgement_on_data_delays_it_and_no_more(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', ACK, 0, 100000, "abc");
    for (int i = 0; i < 30; i++) {
        play_send(&p, 'S', ACK, 0, 3, "");
        play_send(&p, 'C', ACK, 3, 0, "");
    }
    play_expect(&p, "open\nC0 abc @0\nC end input\nS end input\nclose input\n");
}

static void two_copies_that_wait_for_one_another_do_not_hang(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', ACK, 0, 2, "next"); // the answer before it was not captured,
    play_send(&p, 'S', ACK, 0, 4, "ok");   // only its retransmission, which acknowledges more
    play_expect(&p, "open\nS0 ok @0\nC0 next @2\nC end input\nS end input\nclose input\n");
}

static void midstream_begins_with_the_first_packet(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_send(&p, 'C', ACK, 500, 700, "get");
    play_send(&p, 'S', ACK, 700, 503, "ok");
    play_settle(&p, 503, 702);
    play_expect(&p, "open midstream\nC0 get @0\nS0 ok @3\nC end input\nS end input\nclose input\n");
    assert_int_equal(p.stats.conns_midstream, 1);
}

static void midstream_earlier_data_that_comes_late_is_kept(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_send(&p, 'C', ACK, 503, 700, "put");
    play_send(&p, 'S', ACK, 700, 506, "ok");
    play_send(&p, 'C', ACK, 500, 700, "get");
    play_settle(&p, 506, 702);
    play_expect(&p, "open midstream\nC0 get @0\nC3 put @0\nS0 ok @6\nC end input\nS end input\nclose input\n");
}

static void handshake_behind_the_data_is_still_the_beginning(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_send(&p, 'C', ACK, 0, 0, "get");
    play_send(&p, 'S', SYN | ACK, 0, 0, "");
    play_send(&p, 'C', SYN, 0, 0, "");
    play_expect(&p, "open\nC0 get @0\nC end input\nS end input\nclose input\n");
    assert_int_equal(p.stats.conns_midstream, 0);
}

static void quiet_midstream_request_is_told_within_a_second(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_send(&p, 'C', ACK, 500, 700, "delete");
    wire_tick(p.wire, p.time_ns + WHEN_NS_PER_S / 2);
    assert_string_equal(buf_text(&p.trace), "open midstream one-sided\nC0 delete @0\n");
    play_end(&p);
    buf_fini(&p.trace);
}

static void lost_first_answer_of_a_midstream_connection_is_a_gap(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_send(&p, 'C', ACK, 500, 700, "one");
    play_send(&p, 'C', ACK, 503, 710, "two"); // the answer of 10 bytes was not captured
    play_send(&p, 'S', ACK, 710, 506, "ok");
    play_settle(&p, 506, 712);
    play_expect(&p, "open midstream\nC0 one @0\nS0 gap 10 lost\nC3 two @10\nS10 ok @6\nC end input\nS end input\nclose input\n");
}

static void one_sided_hole_waits_for_bytes_above_it(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    char block[2001];
    memset(block, 'x', 2000);
    block[2000] = 0;
    play_send(&p, 'C', SYN, 0, 0, "");
    play_send(&p, 'C', ACK, 0, 0, "abc");
    for (int i = 0; i < 20; i++)
        play_send(&p, 'C', ACK, 10 + i * 2000, 0, block);
    p.gather = true;
    play_end(&p);
    assert_int_equal(p.stats.gaps, 1);
    assert_int_equal(p.stats.gap_bytes, 7);
    assert_int_equal(p.stats.bytes_kept, 3 + 40000);
    buf_fini(&p.trace);
}

static void one_sided_hole_waits_a_second(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_send(&p, 'C', SYN, 0, 0, "");
    play_send(&p, 'C', ACK, 0, 0, "abc");
    play_send(&p, 'C', ACK, 10, 0, "xyz");
    wire_tick(p.wire, p.time_ns + WHEN_NS_PER_S / 3);
    assert_string_equal(buf_text(&p.trace), "open one-sided\nC0 abc @0\n");
    for (int i = 1; i < 8; i++)
        wire_tick(p.wire, p.time_ns + i * WHEN_NS_PER_S / 3);
    assert_string_equal(buf_text(&p.trace), "open one-sided\nC0 abc @0\nC3 gap 7 lost\nC10 xyz @0\n");
    play_end(&p);
    buf_fini(&p.trace);
}

static void one_sided_without_acknowledgements_loses_nothing(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    p.gather = true;
    play_send(&p, 'C', SYN, 0, 0, "");
    for (int i = 0; i < 50; i++)
        play_send(&p, 'C', ACK, i * 2, i * 100, "ab");
    play_end(&p);
    assert_int_equal(p.stats.gaps, 0);
    assert_int_equal(p.stats.bytes_kept, 100);
    buf_fini(&p.trace);
}

static void snap_length_leaves_a_gap_of_the_missing_bytes(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    p.snaplen = 54 + 3;
    play_send(&p, 'C', ACK, 0, 0, "abcdefgh");
    p.snaplen = 262144;
    play_send(&p, 'C', ACK, 8, 0, "ij");
    play_expect(&p, "open\nC0 abc @0\nC3 gap 5 snaplen\nC8 ij @0\nC end input\nS end input\nclose input\n");
    assert_int_equal(p.stats.snap_cut, 1);
}

static void sequence_numbers_wrap(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    p.isn[0] = UINT32_MAX - 5;
    play_handshake(&p);
    play_send(&p, 'C', ACK, 0, 0, "abc");
    play_send(&p, 'C', ACK, 6, 0, "ghi");
    play_send(&p, 'C', ACK, 3, 0, "def");
    play_send(&p, 'S', ACK, 0, 9, "ok");
    play_expect(&p, "open\nC0 abc @0\nC3 def @0\nC6 ghi @0\nS0 ok @9\nC end input\nS end input\nclose input\n");
}

static void offsets_go_on_past_four_gigabytes(void **state)
{
    (void)state;
    // Only the client is seen, with holes of 768 MiB, which become gaps by the one-sided rule.
    struct play p;
    play_begin(&p);
    play_send(&p, 'C', SYN, 0, 0, "");
    uint64_t at = 0;
    for (int i = 0; i < 8; i++, at += UINT64_C(768) << 20) {
        play_send(&p, 'C', ACK, (int64_t)at, 0, "a");
        for (int t = 0; t < 8; t++)
            wire_tick(p.wire, p.time_ns += WHEN_NS_PER_S / 3);
    }
    play_end(&p);
    char last[64];
    snprintf(last, sizeof last, "C%llu a", (unsigned long long)(at - (UINT64_C(768) << 20)));
    assert_non_null(strstr(buf_text(&p.trace), last));
    assert_true(at > UINT64_C(5) << 30);
    buf_fini(&p.trace);
}

static void data_in_the_syn_is_offset_zero(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_send(&p, 'C', SYN, 0, 0, "get");
    play_send(&p, 'S', SYN | ACK, 0, 3, "");
    play_send(&p, 'C', ACK, 3, 0, "put");
    play_expect(&p, "open\nC0 get\nC3 put @0\nC end input\nS end input\nclose input\n");
}

static void simultaneous_open_is_one_connection(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_send(&p, 'C', SYN, 0, 0, "");
    play_send(&p, 'S', SYN, 0, 0, "");
    play_send(&p, 'C', SYN | ACK, 0, 0, "");
    play_send(&p, 'S', SYN | ACK, 0, 0, "");
    play_send(&p, 'C', ACK, 0, 0, "get");
    play_expect(&p, "open\nC0 get @0\nC end input\nS end input\nclose input\n");
    assert_int_equal(p.stats.conns_seen, 1);
}

static void port_reuse_after_the_end_is_a_new_connection(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', ACK, 0, 0, "one");
    play_send(&p, 'C', FIN | ACK, 3, 0, "");
    play_send(&p, 'S', FIN | ACK, 0, 4, "");
    play_send(&p, 'C', ACK, 4, 1, "");
    p.isn[0] = 900000, p.isn[1] = 777;
    play_handshake(&p);
    play_send(&p, 'C', ACK, 0, 0, "two");
    play_expect(&p, "open\nC0 one @0\nC end fin\nS end fin\nclose fin\nopen\nC0 two @0\nC end input\nS end input\nclose input\n");
    assert_int_equal(p.stats.conns_seen, 2);
}

static void port_reuse_without_an_end_closes_the_old_connection(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', ACK, 0, 0, "one");
    p.isn[0] = 90000000, p.isn[1] = 77700000;
    play_handshake(&p);
    play_send(&p, 'C', ACK, 0, 0, "two");
    play_settle(&p, 3, 0);
    play_expect(&p, "open\nC0 one @0\nopen\nC0 two @0\nC end reused\nS end reused\nclose reused\nC end input\nS end input\nclose input\n");
}

static void late_packet_of_the_old_connection_goes_to_the_old_connection(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', ACK, 0, 0, "one");
    uint32_t old[2] = {p.isn[0], p.isn[1]};
    p.isn[0] = 90000000, p.isn[1] = 77700000;
    play_handshake(&p);
    uint32_t new[2] = {p.isn[0], p.isn[1]};
    memcpy(p.isn, old, sizeof old);
    play_send(&p, 'S', ACK, 0, 3, "ok");
    memcpy(p.isn, new, sizeof new);
    play_send(&p, 'C', ACK, 0, 0, "two");
    play_settle(&p, 3, 0);
    play_expect(&p, "open\nC0 one @0\nopen\nS0 ok @3\nC0 two @0\nC end reused\nS end reused\nclose reused\nC end input\nS end input\nclose input\n");
}

static void forged_syn_does_not_end_a_connection(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', ACK, 0, 0, "one");
    p.isn[0] = 90000000;
    play_send(&p, 'C', SYN, 0, 0, "");
    p.isn[0] = CLIENT_ISN;
    for (int i = 0; i < 30; i++)
        play_send(&p, 'C', ACK, 3 + i, 0, "x");
    play_end(&p);
    assert_non_null(strstr(buf_text(&p.trace), "C32 x"));
    assert_null(strstr(buf_text(&p.trace), "reused"));
    buf_fini(&p.trace);
}

static void new_connection_whose_beginning_was_lost_is_not_taken_for_the_old(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', FIN | ACK, 0, 0, "");
    play_send(&p, 'S', FIN | ACK, 0, 1, "");
    p.isn[0] = 90000000, p.isn[1] = 77700000;
    play_send(&p, 'C', ACK, 0, 0, "two");
    play_settle(&p, 3, 0);
    play_expect(&p, "open\nC end fin\nS end fin\nclose fin\nopen midstream\nC0 two @0\nC end input\nS end input\nclose input\n");
}

static void reset_ends_both_sides_after_late_packets(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', ACK, 0, 0, "get");
    play_send(&p, 'S', RST, 2, 0, "");
    play_send(&p, 'S', ACK, 0, 3, "ok"); // was sent before the reset
    wire_tick(p.wire, p.time_ns + WHEN_NS_PER_S);
    assert_string_equal(buf_text(&p.trace), "open\nC0 get @0\nS0 ok @3\nS end rst\nC end rst\nclose rst\n");
    play_end(&p);
    assert_int_equal(p.stats.resets, 1);
    buf_fini(&p.trace);
}

static void reset_outside_of_the_window_is_ignored(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', RST, 1 << 28, 0, "");
    play_send(&p, 'C', ACK, 0, 0, "get");
    wire_tick(p.wire, p.time_ns + 5 * WHEN_NS_PER_S);
    play_expect(&p, "open\nC0 get @0\nC end input\nS end input\nclose input\n");
}

static void reset_that_nobody_believed_does_not_end_the_connection(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', RST, 0, 0, "");
    for (int i = 0; i < 30; i++)
        play_send(&p, 'C', ACK, i, 0, "x");
    p.time_ns += 2 * WHEN_NS_PER_S;
    play_send(&p, 'C', ACK, 30, 0, "y");
    play_end(&p);
    assert_non_null(strstr(buf_text(&p.trace), "C30 y"));
    assert_null(strstr(buf_text(&p.trace), "rst"));
    buf_fini(&p.trace);
}

static void refused_connection_is_no_stream(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_send(&p, 'C', SYN, 0, 0, "");
    play_send(&p, 'S', RST | ACK, -5001, 0, "");
    wire_tick(p.wire, p.time_ns + WHEN_NS_PER_S);
    play_expect(&p, "");
    assert_int_equal(p.stats.resets, 1);
}

static void data_behind_a_fin_is_not_part_of_the_stream(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', FIN | ACK, 0, 0, "get");
    play_send(&p, 'C', ACK, 3, 0, "late");
    play_send(&p, 'S', FIN | ACK, 0, 4, "ok");
    play_expect(&p, "open\nC0 get @0\nC end fin\nS0 ok @3\nS end fin\nclose fin\n");
}

static void fin_waits_for_the_data_before_it(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', FIN | ACK, 6, 0, "");
    play_send(&p, 'C', ACK, 3, 0, "put");
    play_send(&p, 'C', ACK, 0, 0, "get");
    play_expect(&p, "open\nC0 get @0\nC3 put @0\nC end fin\nS end input\nclose input\n");
}

static void acknowledged_fin_that_was_not_captured_is_no_gap(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', ACK, 0, 0, "get");
    play_send(&p, 'S', ACK, 0, 3, "ok");
    play_send(&p, 'C', FIN | ACK, 3, 3, ""); // acknowledges the server's FIN, too
    play_settle(&p, 4, 3);
    play_expect(&p, "open\nC0 get @0\nS0 ok @3\nC end fin\nS end input\nclose input\n");
    assert_int_equal(p.stats.gaps, 0);
}

static void half_closed_connection_still_answers(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', FIN | ACK, 0, 0, "get");
    p.time_ns += 60 * WHEN_NS_PER_S;
    play_send(&p, 'S', ACK, 0, 4, "ok");
    play_send(&p, 'S', FIN | ACK, 2, 4, "");
    play_expect(&p, "open\nC0 get @0\nC end fin\nS0 ok @3\nS end fin\nclose fin\n");
}

static void keepalive_probes_are_counted_and_harmless(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', ACK, 0, 0, "get");
    play_send(&p, 'C', ACK, 2, 0, "");
    play_send(&p, 'C', ACK, 2, 0, "\xff"); // one byte of garbage, as some stacks do
    play_send(&p, 'C', ACK, 3, 0, "put");
    play_expect(&p, "open\nC0 get @0\nC3 put @0\nC end input\nS end input\nclose input\n");
    assert_int_equal(p.stats.keepalives, 2);
    assert_int_equal(p.stats.overlaps_conflicting, 0);
}

static void midstream_probe_is_not_the_beginning(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_send(&p, 'C', ACK, 499, 700, "");
    play_send(&p, 'S', ACK, 700, 500, "");
    play_send(&p, 'C', ACK, 500, 700, "get");
    play_settle(&p, 503, 700);
    play_expect(&p, "open midstream\nC0 get @0\nC end input\nS end input\nclose input\n");
}

static void data_without_acknowledgement_flag_is_not_taken(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', 0, 0, 0, "xxx");
    play_send(&p, 'C', ACK, 0, 0, "get");
    play_expect(&p, "open\nC0 get @0\nC end input\nS end input\nclose input\n");
    assert_int_equal(p.stats.malformed, 1);
}

static void idle_connection_is_closed_by_the_clock(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    play_send(&p, 'C', ACK, 0, 0, "get");
    wire_tick(p.wire, p.time_ns + 3601 * WHEN_NS_PER_S);
    assert_string_equal(buf_text(&p.trace), "open\nC0 get @0\nC end idle\nS end idle\nclose idle\n");
    play_end(&p);
    assert_int_equal(p.stats.conns_open, 0);
    buf_fini(&p.trace);
}

static void held_bytes_of_a_connection_are_bounded(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    p.gather = true;
    play_handshake(&p);
    char block[4001];
    memset(block, 'x', 4000);
    block[4000] = 0;
    struct wire_stats s;
    for (int i = 0; i < 3000; i++) {
        play_send(&p, 'C', ACK, 10 + i * 4000, 0, block);
        wire_stats(p.wire, &s);
        assert_true(s.reorder_bytes <= BOUND_REORDER_CONN_BYTES + 8192);
    }
    play_end(&p);
    assert_non_null(strstr(buf_text(&p.trace), "C0 gap 10 evicted"));
    assert_int_equal(p.stats.bytes_kept + s.reorder_bytes > 0, 1);
    assert_int_equal(p.stats.evicted_bytes, 10);
    buf_fini(&p.trace);
}

static void many_tiny_held_segments_are_bounded(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    p.gather = true;
    play_handshake(&p);
    for (int i = 0; i < 20000; i++)
        play_send(&p, 'C', ACK, 40000 - 2 * i, 0, "x");
    struct wire_stats s;
    wire_stats(p.wire, &s);
    assert_true(s.reorder_bytes < 4200 * 128);
    play_end(&p);
    buf_fini(&p.trace);
}

static void connections_are_bounded_and_the_oldest_goes(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    for (int i = 0; i < BOUND_CONNECTIONS + 100; i++) {
        p.client_port = (uint16_t)(1024 + i % 60000);
        uint8_t frame[128];
        size_t size = play_frame(&p, frame, 'C', SYN, (int64_t[]){0, 0}, bytes_of_text(""));
        frame[14 + 15] = (uint8_t)(1 + i / 60000);
        play_feed(&p, frame, size, 1);
    }
    play_end(&p);
    assert_int_equal(p.stats.conns_open, BOUND_CONNECTIONS);
    assert_int_equal(p.stats.conns_evicted, 100);
    buf_fini(&p.trace);
}

static void memory_that_runs_out_leaves_gaps_and_no_crash(void **state)
{
    (void)state;
    for (unsigned long nth = 1; nth < 40; nth++) {
        struct play p;
        play_begin(&p);
        mem_fail_after(nth);
        play_handshake(&p);
        play_send(&p, 'C', ACK, 6, 0, "ghi");
        play_send(&p, 'C', ACK, 12, 0, "mno");
        play_send(&p, 'C', ACK, 3, 0, "def");
        play_send(&p, 'C', ACK, 0, 0, "abc");
        play_send(&p, 'S', ACK, 0, 15, "ok");
        mem_fail_after(0);
        play_settle(&p, 15, 2);
        play_end(&p);
        buf_fini(&p.trace);
    }
}

static void ports_that_are_not_watched_are_counted(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    wire_close(p.wire);
    const uint16_t ports[] = {9201, 9202};
    struct stream_sink sink = {&p, play_open, play_data, play_gap, play_stream_end, play_close};
    struct wire_settings settings = {ports, 2, 0};
    p.wire = wire_open(&settings, &sink);
    play_send(&p, 'C', SYN, 0, 0, "");
    play_expect(&p, "");
    assert_int_equal(p.stats.other_port, 1);
    assert_int_equal(p.stats.packets_kept, 0);
}

static void times_far_away_do_not_end_the_connections(void **state)
{
    (void)state;
    struct play p;
    play_begin(&p);
    play_handshake(&p);
    int64_t now = p.time_ns;
    p.time_ns = INT64_MAX - WHEN_NS_PER_S;
    play_send(&p, 'C', ACK, 0, 0, "");
    p.time_ns = INT64_MIN;
    play_send(&p, 'C', ACK, 0, 0, "");
    p.time_ns = now;
    play_send(&p, 'C', ACK, 0, 0, "get");
    play_send(&p, 'S', ACK, 0, 3, "ok");
    play_settle(&p, 3, 2);
    play_end(&p);
    assert_non_null(strstr(buf_text(&p.trace), "get"));
    assert_non_null(strstr(buf_text(&p.trace), "S0 ok"));
    buf_fini(&p.trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stream_in_order_gives_pieces_with_their_acknowledgement),
        cmocka_unit_test(segments_out_of_order_are_put_in_order),
        cmocka_unit_test(retransmission_is_dropped_and_counted),
        cmocka_unit_test(retransmission_with_other_content_keeps_first_copy_and_is_a_conflict),
        cmocka_unit_test(same_packet_twice_is_a_duplicate_not_a_retransmission),
        cmocka_unit_test(overlap_with_delivered_bytes_keeps_first_copy),
        cmocka_unit_test(overlap_among_held_segments_keeps_first_copy),
        cmocka_unit_test(acknowledged_hole_becomes_a_gap_after_settling),
        cmocka_unit_test(hole_that_nobody_acknowledged_waits_for_the_retransmission),
        cmocka_unit_test(lost_tail_is_a_gap_before_what_acknowledged_it),
        cmocka_unit_test(lost_tail_on_a_quiet_connection_is_a_gap_after_a_second),
        cmocka_unit_test(acknowledgement_before_the_data_waits_for_the_data),
        cmocka_unit_test(forged_acknowledgement_opens_no_gap),
        cmocka_unit_test(forged_acknowledgement_on_data_delays_it_and_no_more),
        cmocka_unit_test(two_copies_that_wait_for_one_another_do_not_hang),
        cmocka_unit_test(midstream_begins_with_the_first_packet),
        cmocka_unit_test(midstream_earlier_data_that_comes_late_is_kept),
        cmocka_unit_test(handshake_behind_the_data_is_still_the_beginning),
        cmocka_unit_test(quiet_midstream_request_is_told_within_a_second),
        cmocka_unit_test(lost_first_answer_of_a_midstream_connection_is_a_gap),
        cmocka_unit_test(one_sided_hole_waits_for_bytes_above_it),
        cmocka_unit_test(one_sided_hole_waits_a_second),
        cmocka_unit_test(one_sided_without_acknowledgements_loses_nothing),
        cmocka_unit_test(snap_length_leaves_a_gap_of_the_missing_bytes),
        cmocka_unit_test(sequence_numbers_wrap),
        cmocka_unit_test(offsets_go_on_past_four_gigabytes),
        cmocka_unit_test(data_in_the_syn_is_offset_zero),
        cmocka_unit_test(simultaneous_open_is_one_connection),
        cmocka_unit_test(port_reuse_after_the_end_is_a_new_connection),
        cmocka_unit_test(port_reuse_without_an_end_closes_the_old_connection),
        cmocka_unit_test(late_packet_of_the_old_connection_goes_to_the_old_connection),
        cmocka_unit_test(forged_syn_does_not_end_a_connection),
        cmocka_unit_test(new_connection_whose_beginning_was_lost_is_not_taken_for_the_old),
        cmocka_unit_test(reset_ends_both_sides_after_late_packets),
        cmocka_unit_test(reset_outside_of_the_window_is_ignored),
        cmocka_unit_test(reset_that_nobody_believed_does_not_end_the_connection),
        cmocka_unit_test(refused_connection_is_no_stream),
        cmocka_unit_test(data_behind_a_fin_is_not_part_of_the_stream),
        cmocka_unit_test(fin_waits_for_the_data_before_it),
        cmocka_unit_test(acknowledged_fin_that_was_not_captured_is_no_gap),
        cmocka_unit_test(half_closed_connection_still_answers),
        cmocka_unit_test(keepalive_probes_are_counted_and_harmless),
        cmocka_unit_test(midstream_probe_is_not_the_beginning),
        cmocka_unit_test(data_without_acknowledgement_flag_is_not_taken),
        cmocka_unit_test(idle_connection_is_closed_by_the_clock),
        cmocka_unit_test(held_bytes_of_a_connection_are_bounded),
        cmocka_unit_test(many_tiny_held_segments_are_bounded),
        cmocka_unit_test(connections_are_bounded_and_the_oldest_goes),
        cmocka_unit_test(memory_that_runs_out_leaves_gaps_and_no_crash),
        cmocka_unit_test(ports_that_are_not_watched_are_counted),
        cmocka_unit_test(times_far_away_do_not_end_the_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
