// Link types, tags, tunnels, IP headers and fragments; every packet lies flush against a forbidden page.
#include "play.h"

#include "src/wire/decode.h"
#include "src/wire/fragment.h"
#include <sys/mman.h>
#include <unistd.h>

struct bench {
    struct wire_stats stats;
    struct decoder decoder;
    struct decoded out;
    uint8_t *page; // the end of readable memory
};

static uint8_t *guarded_end(void)
{
    static uint8_t *end;
    if (!end) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE), room = 32 * page;
        uint8_t *at = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(at != MAP_FAILED);
        assert_int_equal(mprotect(at + room, page, PROT_NONE), 0);
        end = at + room;
    }
    return end;
}

static void bench_begin(struct bench *b)
{
    *b = (struct bench){.page = guarded_end()};
    b->decoder = (struct decoder){fragments_open(&b->stats), &b->stats};
    assert_non_null(b->decoder.fragments);
}

static void bench_end(struct bench *b)
{
    fragments_close(b->decoder.fragments);
}

static enum decode_result decode_cut(struct bench *b, int linktype, const uint8_t *at, size_t size, size_t captured)
{
    uint8_t *flush = b->page - captured;
    memcpy(flush, at, captured);
    struct packet packet = {1000, flush, (uint32_t)captured, (uint32_t)size, linktype, 0};
    return decode_packet(&b->decoder, &packet, &b->out);
}

static enum decode_result decode(struct bench *b, int linktype, const struct buf *frame)
{
    assert_false(frame->failed);
    return decode_cut(b, linktype, frame->at, frame->size, frame->size);
}

static void add_16(struct buf *b, unsigned v)
{
    buf_add_byte(b, (uint8_t)(v >> 8));
    buf_add_byte(b, (uint8_t)v);
}

static void add_32(struct buf *b, uint32_t v)
{
    add_16(b, v >> 16);
    add_16(b, v & 0xffff);
}

static void add_ethernet(struct buf *b, unsigned type)
{
    buf_add(b, "\2\0\0\0\0\2\2\0\0\0\0\1", 12);
    add_16(b, type);
}

static void add_ipv4(struct buf *b, unsigned protocol, unsigned payload, unsigned fragment)
{
    buf_add(b, "\x45\0", 2);
    add_16(b, 20 + payload);
    add_16(b, 7);
    add_16(b, fragment);
    buf_add_byte(b, 64);
    buf_add_byte(b, (uint8_t)protocol);
    add_16(b, 0);
    add_32(b, 0x0a000001);
    add_32(b, 0x0a000002);
}

static void add_ipv6(struct buf *b, unsigned next, unsigned payload)
{
    add_32(b, 0x60000000);
    add_16(b, payload);
    buf_add_byte(b, (uint8_t)next);
    buf_add_byte(b, 64);
    buf_add(b, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2", 32);
}

// 20 bytes of header.
static void add_tcp(struct buf *b, const char *payload)
{
    add_16(b, 40000);
    add_16(b, 9200);
    add_32(b, 1001);
    add_32(b, 5001);
    buf_add(b, "\x50\x18\x04\0\0\0\0\0", 8);
    buf_add_text(b, payload);
}

static void add_ip_tcp(struct buf *b, const char *payload)
{
    add_ipv4(b, 6, 20 + (unsigned)strlen(payload), 0x4000);
    add_tcp(b, payload);
}

static void add_frame(struct buf *b, const char *payload)
{
    add_ethernet(b, 0x0800);
    add_ip_tcp(b, payload);
}

static void expect_segment(struct bench *b, int linktype, struct buf *frame, const char *payload)
{
    assert_int_equal(decode(b, linktype, frame), DECODE_SEGMENT);
    assert_int_equal(b->out.segment.seq, 1001);
    assert_int_equal(b->out.segment.ack, 5001);
    assert_int_equal(b->out.segment.from.port, 40000);
    assert_int_equal(b->out.segment.to.port, 9200);
    assert_int_equal(b->out.segment.payload_bytes, strlen(payload));
    assert_true(bytes_equal_text(b->out.segment.payload, payload));
    // Whatever is cut off, nothing is read beyond it.
    for (size_t captured = 0; captured < frame->size; captured++)
        decode_cut(b, linktype, frame->at, frame->size, captured);
    buf_fini(frame);
    bench_end(b);
}

static void ethernet_gives_the_segment_and_its_ends(void **state)
{
    (void)state;
    struct bench b;
    struct buf f = {0};
    bench_begin(&b);
    add_frame(&f, "get");
    expect_segment(&b, 1, &f, "get");
    assert_true(endpoint_is_v4(&b.out.segment.from));
    assert_int_equal(b.out.segment.from.ip[15], 1);
    assert_int_equal(b.out.segment.to.ip[15], 2);
    assert_int_equal(b.out.segment.flags, SEGMENT_ACK | SEGMENT_PSH);
}

static void ethernet_padding_is_not_payload(void **state)
{
    (void)state;
    struct bench b;
    struct buf f = {0};
    bench_begin(&b);
    add_frame(&f, "x");
    buf_add_text(&f, "PADDING");
    expect_segment(&b, 1, &f, "x");
}

static void vlan_and_double_tags_are_looked_through(void **state)
{
    (void)state;
    static const unsigned outer[] = {0x8100, 0x88a8, 0x9100};
    for (size_t i = 0; i < 3; i++) {
        struct bench b;
        struct buf f = {0};
        bench_begin(&b);
        add_ethernet(&f, outer[i]);
        add_16(&f, 42);
        add_16(&f, 0x8100);
        add_16(&f, 7);
        add_16(&f, 0x0800);
        add_ip_tcp(&f, "get");
        expect_segment(&b, 1, &f, "get");
        assert_true(b.stats.vlan >= 2);
    }
}

static void cooked_loopback_and_raw_links_are_known(void **state)
{
    (void)state;
    static const struct {
        int linktype;
        size_t size;
        const char *head;
    } links[] = {
        {113, 16, "\0\4\0\1\0\6\2\0\0\0\0\1\0\0\x08\0"},
        {276, 20, "\x08\0\0\0\0\0\0\2\0\1\4\6\2\0\0\0\0\1\0\0"},
        {0, 4, "\2\0\0\0"},
        {0, 4, "\0\0\0\2"},
        {108, 4, "\0\0\0\2"},
        {101, 0, ""},
        {12, 0, ""},
        {228, 0, ""},
    };
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        struct bench b;
        struct buf f = {0};
        bench_begin(&b);
        buf_add(&f, links[i].head, links[i].size);
        add_ip_tcp(&f, "get");
        expect_segment(&b, links[i].linktype, &f, "get");
    }
}

static void unknown_link_is_counted(void **state)
{
    (void)state;
    struct bench b;
    struct buf f = {0};
    bench_begin(&b);
    add_frame(&f, "get");
    assert_int_equal(decode(&b, 105, &f), DECODE_NOTHING);
    assert_int_equal(b.stats.unknown_link, 1);
    buf_fini(&f);
    bench_end(&b);
}

static void total_length_zero_means_what_was_captured(void **state)
{
    (void)state;
    struct bench b;
    struct buf f = {0};
    bench_begin(&b);
    add_frame(&f, "a segment that the card will cut");
    f.at[14 + 2] = f.at[14 + 3] = 0;
    expect_segment(&b, 1, &f, "a segment that the card will cut");
}

static void ip_options_are_skipped(void **state)
{
    (void)state;
    struct bench b;
    struct buf f = {0};
    bench_begin(&b);
    add_ethernet(&f, 0x0800);
    add_ipv4(&f, 6, 4 + 20 + 3, 0x4000);
    f.at[14] = 0x46;
    buf_add(&f, "\1\1\1\0", 4);
    add_tcp(&f, "get");
    expect_segment(&b, 1, &f, "get");
}

static void ipv6_extension_headers_are_skipped(void **state)
{
    (void)state;
    struct bench b;
    struct buf f = {0};
    bench_begin(&b);
    add_ethernet(&f, 0x86dd);
    add_ipv6(&f, 0, 8 + 16 + 8 + 12 + 8 + 23);
    buf_add(&f, "\x3c\0\1\4\0\0\0\0", 8);                                // hop by hop
    buf_add(&f, "\x2b\1\1\4\0\0\0\0\1\6\0\0\0\0\0\0", 16);              // destination, 16 bytes
    buf_add(&f, "\x33\0\4\0\0\0\0\0", 8);                               // routing
    buf_add(&f, "\x2c\1\0\0\0\0\0\1\0\0\0\1", 12);                      // authentication
    buf_add(&f, "\6\0\0\0\0\0\0\1", 8);                                 // an atomic fragment
    add_tcp(&f, "get");
    expect_segment(&b, 1, &f, "get");
    assert_false(endpoint_is_v4(&b.out.segment.from));
}

static void endless_extension_headers_are_malformed(void **state)
{
    (void)state;
    struct bench b;
    struct buf f = {0};
    bench_begin(&b);
    add_ethernet(&f, 0x86dd);
    add_ipv6(&f, 60, 100 * 8);
    for (int i = 0; i < 100; i++)
        buf_add(&f, "\x3c\0\1\4\0\0\0\0", 8);
    assert_int_equal(decode(&b, 1, &f), DECODE_NOTHING);
    assert_int_equal(b.stats.malformed, 1);
    buf_fini(&f);
    bench_end(&b);
}

static void tunnels_are_opened(void **state)
{
    (void)state;
    enum { VXLAN, GENEVE, GRE, GRE_BRIDGE, ERSPAN_1, ERSPAN_2, ERSPAN_3, IPIP, KINDS };
    for (int kind = 0; kind < KINDS; kind++) {
        struct bench b;
        struct buf inner = {0}, f = {0}, head = {0};
        bench_begin(&b);
        if (kind == GRE || kind == IPIP)
            add_ip_tcp(&inner, "get");
        else
            add_frame(&inner, "get");
        unsigned protocol = 17;
        switch (kind) {
        case VXLAN:
            add_16(&head, 5000), add_16(&head, 4789), add_16(&head, 8 + 8 + (unsigned)inner.size), add_16(&head, 0);
            buf_add(&head, "\x08\0\0\0\0\0\7\0", 8);
            break;
        case GENEVE:
            add_16(&head, 5000), add_16(&head, 6081), add_16(&head, 8 + 12 + (unsigned)inner.size), add_16(&head, 0);
            buf_add(&head, "\1\0\x65\x58\0\0\7\0\1\2\3\0", 12);
            break;
        case GRE:
            protocol = 47;
            buf_add(&head, "\xb0\0\x08\0\0\0\0\0\0\0\0\1\0\0\0\2", 16); // checksum, key, sequence number
            break;
        case GRE_BRIDGE:
            protocol = 47;
            buf_add(&head, "\0\0\x65\x58", 4);
            break;
        case ERSPAN_1:
            protocol = 47;
            buf_add(&head, "\0\0\x88\xbe", 4);
            break;
        case ERSPAN_2:
            protocol = 47;
            buf_add(&head, "\x10\0\x88\xbe\0\0\0\1\x10\0\0\7\0\0\0\0", 16);
            break;
        case ERSPAN_3:
            protocol = 47;
            buf_add(&head, "\x10\0\x22\xeb\0\0\0\1\x20\0\0\7\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0", 28);
            break;
        case IPIP:
            protocol = 4;
            break;
        }
        add_ethernet(&f, 0x0800);
        add_ipv4(&f, protocol, (unsigned)(head.size + inner.size), 0x4000);
        buf_add_bytes(&f, buf_view(&head));
        buf_add_bytes(&f, buf_view(&inner));
        expect_segment(&b, 1, &f, "get");
        assert_true(b.stats.tunnels > 0);
        buf_fini(&inner);
        buf_fini(&head);
    }
}

static void tunnels_in_tunnels_end_somewhere(void **state)
{
    (void)state;
    struct bench b;
    struct buf f = {0};
    bench_begin(&b);
    add_ethernet(&f, 0x0800);
    for (unsigned i = 0; i < 50; i++)
        add_ipv4(&f, 4, 20 * (50 - i), 0x4000);
    add_ip_tcp(&f, "get");
    assert_int_equal(decode(&b, 1, &f), DECODE_NOTHING);
    assert_int_equal(b.stats.malformed, 1);
    buf_fini(&f);
    bench_end(&b);
}

static void truncated_inner_packet_keeps_its_length(void **state)
{
    (void)state;
    // A mirror cuts the inner packet before it wraps it: only the inner IP header tells how long it was.
    struct bench b;
    struct buf f = {0};
    bench_begin(&b);
    add_ethernet(&f, 0x0800);
    add_ipv4(&f, 6, 20 + 100, 0x4000);
    add_tcp(&f, "only this");
    assert_int_equal(decode(&b, 1, &f), DECODE_SEGMENT);
    assert_int_equal(b.out.segment.payload_bytes, 100);
    assert_int_equal(b.out.segment.payload.size, 9);
    assert_int_equal(b.stats.snap_cut, 1);
    buf_fini(&f);
    bench_end(&b);
}

static void other_protocols_are_counted(void **state)
{
    (void)state;
    struct bench b;
    struct buf f = {0};
    bench_begin(&b);
    add_ethernet(&f, 0x0806);
    buf_add(&f, "arp request, more or less", 24);
    assert_int_equal(decode(&b, 1, &f), DECODE_NOTHING);
    assert_int_equal(b.stats.not_ip, 1);
    buf_clear(&f);
    add_ethernet(&f, 0x0800);
    add_ipv4(&f, 17, 20, 0x4000);
    buf_add(&f, "\0\x35\x13\x88\0\x14\0\0dns answer..", 20);
    assert_int_equal(decode(&b, 1, &f), DECODE_NOTHING);
    assert_int_equal(b.stats.not_tcp, 1);
    buf_fini(&f);
    bench_end(&b);
}

static void lengths_that_contradict_are_malformed(void **state)
{
    (void)state;
    struct bench b;
    struct buf f = {0};
    bench_begin(&b);
    add_frame(&f, "get");
    f.at[14] = 0x41; // a header of four bytes
    assert_int_equal(decode(&b, 1, &f), DECODE_NOTHING);
    f.at[14] = 0x45;
    f.at[14 + 3] = 10; // shorter than its header
    assert_int_equal(decode(&b, 1, &f), DECODE_NOTHING);
    f.at[14 + 3] = 43;
    f.at[14 + 20 + 12] = 0x10; // a TCP header of four bytes
    assert_int_equal(decode(&b, 1, &f), DECODE_NOTHING);
    f.at[14 + 20 + 12] = 0xf0; // and one longer than the packet
    assert_int_equal(decode(&b, 1, &f), DECODE_NOTHING);
    assert_int_equal(b.stats.malformed, 4);
    buf_fini(&f);
    bench_end(&b);
}

// ---- fragments ------------------------------------------------------------------------------------------------------

static bool add_part(struct fragments *f, uint32_t id, uint32_t at, const char *text, bool more, struct datagram *whole)
{
    uint8_t *flush = guarded_end() - strlen(text);
    memcpy(flush, text, strlen(text));
    struct fragment part = {.id = id, .protocol = 6, .more = more, .offset_bytes = at, .payload = bytes_of(flush, strlen(text)),
                            .payload_bytes = (uint32_t)strlen(text), .time_ns = 1000};
    return fragments_add(f, &part, whole);
}

static void fragments_in_any_order_are_a_datagram(void **state)
{
    (void)state;
    static const int orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {2, 0, 1}};
    static const char *const texts[] = {"01234567", "89abcdef", "xyz"};
    for (size_t i = 0; i < 4; i++) {
        struct wire_stats stats = {0};
        struct fragments *f = fragments_open(&stats);
        struct datagram whole = {0};
        for (int k = 0; k < 3; k++) {
            int part = orders[i][k];
            assert_int_equal(add_part(f, 1, 8u * (unsigned)part, texts[part], part < 2, &whole), k == 2);
        }
        assert_true(bytes_equal_text(whole.payload, "0123456789abcdefxyz"));
        assert_int_equal(whole.payload_bytes, 19);
        fragments_close(f);
        assert_int_equal(stats.fragments_seen, 3);
    }
}

static void overlapping_fragment_keeps_first_copy_and_is_counted(void **state)
{
    (void)state;
    struct wire_stats stats = {0};
    struct fragments *f = fragments_open(&stats);
    struct datagram whole;
    assert_false(add_part(f, 1, 0, "01234567", true, &whole));
    assert_false(add_part(f, 1, 0, "XXXXXXXX89abcdef", true, &whole));
    assert_true(add_part(f, 1, 16, "xyz", false, &whole));
    assert_true(bytes_equal_text(whole.payload, "0123456789abcdefxyz"));
    assert_int_equal(stats.fragments_overlapping, 1);
    fragments_close(f);
}

static void fragments_of_different_datagrams_are_kept_apart(void **state)
{
    (void)state;
    struct wire_stats stats = {0};
    struct fragments *f = fragments_open(&stats);
    struct datagram whole;
    assert_false(add_part(f, 1, 0, "01234567", true, &whole));
    assert_false(add_part(f, 2, 8, "two", false, &whole));
    assert_true(add_part(f, 1, 8, "one", false, &whole));
    assert_true(bytes_equal_text(whole.payload, "01234567one"));
    fragments_close(f);
}

static void missing_fragment_is_given_up_in_time_and_counted(void **state)
{
    (void)state;
    struct wire_stats stats = {0};
    struct fragments *f = fragments_open(&stats);
    struct datagram whole;
    assert_false(add_part(f, 1, 0, "01234567", true, &whole));
    fragments_tick(f, 1000 + 29 * WHEN_NS_PER_S);
    assert_int_equal(stats.fragments_lost, 0);
    fragments_tick(f, 1000 + 31 * WHEN_NS_PER_S);
    assert_int_equal(stats.fragments_lost, 1);
    assert_false(add_part(f, 1, 8, "one", false, &whole));
    fragments_close(f);
}

static void many_unfinished_datagrams_are_bounded(void **state)
{
    (void)state;
    struct wire_stats stats = {0};
    struct fragments *f = fragments_open(&stats);
    struct datagram whole;
    for (uint32_t id = 0; id < 10000; id++)
        add_part(f, id, 65000, "01234567", true, &whole);
    assert_int_equal(stats.fragments_lost, 10000 - 64);
    fragments_close(f);
}

static void fragment_beyond_the_largest_datagram_is_malformed(void **state)
{
    (void)state;
    struct wire_stats stats = {0};
    struct fragments *f = fragments_open(&stats);
    struct datagram whole;
    assert_false(add_part(f, 1, 65528, "01234567", false, &whole));
    assert_false(add_part(f, 1, 0, "odd", true, &whole));
    assert_int_equal(stats.malformed, 2);
    fragments_close(f);
}

static void tcp_in_ipv6_fragments_is_one_segment(void **state)
{
    (void)state;
    struct bench b;
    struct buf tcp = {0}, f = {0};
    bench_begin(&b);
    add_tcp(&tcp, "a payload of some length");
    enum decode_result last = DECODE_NOTHING;
    for (unsigned at = 0; at < tcp.size; at += 16) {
        unsigned size = tcp.size - at < 16 ? (unsigned)tcp.size - at : 16;
        buf_clear(&f);
        add_ipv6(&f, 44, 8 + size);
        buf_add(&f, "\6\0", 2);
        add_16(&f, at | (at + size < tcp.size));
        add_32(&f, 99);
        buf_add(&f, tcp.at + at, size);
        last = decode(&b, 229, &f);
    }
    assert_int_equal(last, DECODE_SEGMENT);
    assert_true(bytes_equal_text(b.out.segment.payload, "a payload of some length"));
    buf_fini(&tcp);
    buf_fini(&f);
    bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ethernet_gives_the_segment_and_its_ends),
        cmocka_unit_test(ethernet_padding_is_not_payload),
        cmocka_unit_test(vlan_and_double_tags_are_looked_through),
        cmocka_unit_test(cooked_loopback_and_raw_links_are_known),
        cmocka_unit_test(unknown_link_is_counted),
        cmocka_unit_test(total_length_zero_means_what_was_captured),
        cmocka_unit_test(ip_options_are_skipped),
        cmocka_unit_test(ipv6_extension_headers_are_skipped),
        cmocka_unit_test(endless_extension_headers_are_malformed),
        cmocka_unit_test(tunnels_are_opened),
        cmocka_unit_test(tunnels_in_tunnels_end_somewhere),
        cmocka_unit_test(truncated_inner_packet_keeps_its_length),
        cmocka_unit_test(other_protocols_are_counted),
        cmocka_unit_test(lengths_that_contradict_are_malformed),
        cmocka_unit_test(fragments_in_any_order_are_a_datagram),
        cmocka_unit_test(overlapping_fragment_keeps_first_copy_and_is_counted),
        cmocka_unit_test(fragments_of_different_datagrams_are_kept_apart),
        cmocka_unit_test(missing_fragment_is_given_up_in_time_and_counted),
        cmocka_unit_test(many_unfinished_datagrams_are_bounded),
        cmocka_unit_test(fragment_beyond_the_largest_datagram_is_malformed),
        cmocka_unit_test(tcp_in_ipv6_fragments_is_one_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
