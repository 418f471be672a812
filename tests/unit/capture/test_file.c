// Capture files: formats, damage, merging, following, filters, and what the user is told.
#include "src/capture/capture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[] = "/tmp/capture.XXXXXX";

static char *path_of(const char *name)
{
    static char paths[4][256];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

struct bytes_out {
    uint8_t at[8192];
    size_t size;
    bool swapped;
};

static void put(struct bytes_out *o, const void *at, size_t size)
{
    assert_true(o->size + size <= sizeof o->at);
    memcpy(o->at + o->size, at, size);
    o->size += size;
}

static void put_16(struct bytes_out *o, uint16_t v)
{
    v = o->swapped ? __builtin_bswap16(v) : v;
    put(o, &v, 2);
}

static void put_32(struct bytes_out *o, uint32_t v)
{
    v = o->swapped ? __builtin_bswap32(v) : v;
    put(o, &v, 4);
}

static void put_head(struct bytes_out *o, uint32_t magic, uint32_t linktype)
{
    put_32(o, magic);
    put_16(o, 2);
    put_16(o, 4);
    put_32(o, 0);
    put_32(o, 0);
    put_32(o, 262144);
    put_32(o, linktype);
}

static void put_packet(struct bytes_out *o, uint32_t seconds, uint32_t fraction, const char *text)
{
    put_32(o, seconds);
    put_32(o, fraction);
    put_32(o, (uint32_t)strlen(text));
    put_32(o, (uint32_t)strlen(text) + 5);
    put(o, text, strlen(text));
}

static void put_block(struct bytes_out *o, uint32_t type, const void *body, size_t size)
{
    put_32(o, type);
    put_32(o, (uint32_t)(12 + size));
    put(o, body, size);
    put_32(o, (uint32_t)(12 + size));
}

static void write_file(const char *path, const struct bytes_out *o, size_t from, size_t to, const char *mode)
{
    FILE *f = fopen(path, mode);
    assert_non_null(f);
    assert_int_equal(fwrite(o->at + from, 1, to - from, f), to - from);
    assert_int_equal(fclose(f), 0);
}

static struct capture *open_files(const char *const *names, size_t count, bool follow, const char *filter, struct fault *fault)
{
    struct capture_source sources[4];
    for (size_t i = 0; i < count; i++)
        sources[i] = (struct capture_source){names[i], false};
    *fault = (struct fault){0};
    struct capture_settings settings = {.sources = sources, .source_count = count, .follow = follow, .filter = filter};
    return capture_open(&settings, fault);
}

static struct capture *open_one(const char *name, bool follow)
{
    struct fault fault;
    struct capture *c = open_files(&name, 1, follow, NULL, &fault);
    if (!c)
        fail_msg("%s", fault.text);
    return c;
}

static void expect_packet(struct capture *c, int64_t time_ns, const char *text)
{
    struct packet p;
    struct fault fault = {0};
    enum capture_event e = CAPTURE_IDLE;
    for (int i = 0; i < 100 && e == CAPTURE_IDLE; i++)
        e = capture_next(c, 50, &p, &fault);
    assert_int_equal(e, CAPTURE_PACKET);
    assert_int_equal(p.time_ns, time_ns);
    assert_int_equal(p.caplen_bytes, strlen(text));
    assert_memory_equal(p.at, text, strlen(text));
}

static void expect_event(struct capture *c, enum capture_event expected)
{
    struct packet p;
    struct fault fault = {0};
    assert_int_equal(capture_next(c, 10, &p, &fault), expected);
}

static void expect_refused(const char *name, const char *text)
{
    struct fault fault;
    struct capture *c = open_files(&name, 1, false, NULL, &fault);
    assert_null(c);
    assert_int_equal(fault.kind, FAULT_USER);
    if (!strstr(fault.text, text))
        fail_msg("said: %s", fault.text);
}

#define SECOND INT64_C(1000000000)

static void pcap_in_either_order_and_unit_is_read(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct bytes_out o = {.swapped = i % 2};
        put_head(&o, i < 2 ? 0xa1b2c3d4 : 0xa1b23c4d, 1);
        put_packet(&o, 1700000000, 123456, "one");
        put_packet(&o, 1700000001, 0, "second packet");
        char *path = path_of("plain.pcap");
        write_file(path, &o, 0, o.size, "wb");
        struct capture *c = open_one(path, false);
        expect_packet(c, 1700000000 * SECOND + (i < 2 ? 123456000 : 123456), "one");
        expect_packet(c, 1700000001 * SECOND, "second packet");
        expect_event(c, CAPTURE_END);
        assert_null(capture_warning(c));
        struct capture_stats s;
        capture_stats(c, &s);
        assert_int_equal(s.packets_seen, 2);
        assert_int_equal(s.bytes_seen, 16);
        assert_false(capture_has_device(c));
        capture_close(c);
    }
}

// A section with three interfaces: microseconds and Ethernet; nanoseconds and SLL2; 2^-10 s with an offset.
static void put_pcapng(struct bytes_out *o)
{
    struct bytes_out b = {.swapped = o->swapped};
    put_32(&b, 0x1a2b3c4d);
    put_16(&b, 1);
    put_16(&b, 0);
    put(&b, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    put_block(o, 0x0a0d0d0a, b.at, b.size);
    static const uint16_t links[] = {1, 276, 1};
    for (int i = 0; i < 3; i++) {
        b.size = 0;
        put_16(&b, links[i]);
        put_16(&b, 0);
        put_32(&b, 0);
        if (i) {
            put_16(&b, 9);
            put_16(&b, 1);
            put(&b, i == 1 ? "\x09\0\0\0" : "\x8a\0\0\0", 4);
        }
        if (i == 2) {
            put_16(&b, 14);
            put_16(&b, 8);
            put_32(&b, o->swapped ? 0 : 100);
            put_32(&b, o->swapped ? 100 : 0);
            put_32(&b, 0);
        }
        put_block(o, 1, b.at, b.size);
    }
    put_block(o, 0x0bad, "skip me!", 8);
}

static void put_enhanced(struct bytes_out *o, uint32_t which, uint64_t ticks, const char *text)
{
    struct bytes_out b = {.swapped = o->swapped};
    put_32(&b, which);
    put_32(&b, (uint32_t)(ticks >> 32));
    put_32(&b, (uint32_t)ticks);
    put_32(&b, (uint32_t)strlen(text));
    put_32(&b, (uint32_t)strlen(text));
    put(&b, text, strlen(text));
    put(&b, "\0\0\0", (4 - strlen(text) % 4) % 4);
    put_block(o, 6, b.at, b.size);
}

static void pcapng_interfaces_keep_their_units_and_link_types(void **state)
{
    (void)state;
    for (int swapped = 0; swapped < 2; swapped++) {
        struct bytes_out o = {.swapped = swapped};
        put_pcapng(&o);
        put_enhanced(&o, 0, UINT64_C(1700000000000001), "micro");
        put_enhanced(&o, 1, UINT64_C(1700000001000000001), "nano");
        put_enhanced(&o, 2, 3 << 9, "binary");
        char *path = path_of("x.pcapng");
        write_file(path, &o, 0, o.size, "wb");
        struct capture *c = open_one(path, false);
        expect_packet(c, 1700000000 * SECOND + 1000, "micro");
        struct packet p;
        struct fault fault;
        assert_int_equal(capture_next(c, 0, &p, &fault), CAPTURE_PACKET);
        assert_int_equal(p.time_ns, 1700000001 * SECOND + 1);
        assert_int_equal(p.linktype, 276);
        expect_packet(c, 100 * SECOND + SECOND * 3 / 2, "binary");
        expect_event(c, CAPTURE_END);
        capture_close(c);
    }
}

static void truncated_file_gives_what_was_whole_and_warns(void **state)
{
    (void)state;
    struct bytes_out o = {0};
    put_head(&o, 0xa1b2c3d4, 1);
    put_packet(&o, 1, 0, "whole");
    size_t whole = o.size;
    put_packet(&o, 2, 0, "cut");
    char *path = path_of("cut.pcap");
    for (size_t size = whole + 1; size < o.size; size++) {
        write_file(path, &o, 0, size, "wb");
        struct capture *c = open_one(path, false);
        expect_packet(c, SECOND, "whole");
        expect_event(c, CAPTURE_END);
        const char *warning = capture_warning(c);
        assert_non_null(warning);
        assert_non_null(strstr(warning, "ends inside a packet"));
        assert_null(capture_warning(c));
        struct capture_stats s;
        capture_stats(c, &s);
        assert_int_equal(s.files_truncated, 1);
        capture_close(c);
    }
}

static void damaged_length_ends_the_file_with_a_warning(void **state)
{
    (void)state;
    struct bytes_out o = {0};
    put_head(&o, 0xa1b2c3d4, 1);
    put_packet(&o, 1, 0, "whole");
    put_32(&o, 2), put_32(&o, 0), put_32(&o, 0xfffffff0), put_32(&o, 0xfffffff0);
    char *path = path_of("damaged.pcap");
    write_file(path, &o, 0, o.size, "wb");
    struct capture *c = open_one(path, false);
    expect_packet(c, SECOND, "whole");
    expect_event(c, CAPTURE_END);
    assert_non_null(strstr(capture_warning(c), "damaged"));
    capture_close(c);
}

static void what_is_no_capture_is_refused_with_a_reason(void **state)
{
    (void)state;
    struct bytes_out o = {0};
    char *path = path_of("other");
    write_file(path, &o, 0, 0, "wb");
    expect_refused(path, "is empty");
    put(&o, "hello, I am a text", 18);
    write_file(path, &o, 0, o.size, "wb");
    expect_refused(path, "is not a capture file");
    write_file(path, &o, 0, 3, "wb");
    expect_refused(path, "too short");
    o.size = 0;
    put(&o, "\x28\xb5\x2f\xfd rest", 9);
    write_file(path, &o, 0, o.size, "wb");
    expect_refused(path, "compressed with zstd");
    o.size = 0;
    put_head(&o, 0xa1b2c3d4, 105);
    write_file(path, &o, 0, o.size, "wb");
    expect_refused(path, "link type IEEE802_11 (105)");
    expect_refused(folder, "is a directory");
    expect_refused(path_of("absent"), "No such file");
}

static void bad_filter_is_refused_with_the_reason(void **state)
{
    (void)state;
    struct bytes_out o = {0};
    struct fault fault;
    put_head(&o, 0xa1b2c3d4, 1);
    const char *path = path_of("plain.pcap");
    write_file(path, &o, 0, o.size, "wb");
    assert_null(open_files(&path, 1, false, "tcp prot 9200", &fault));
    assert_int_equal(fault.kind, FAULT_USER);
    assert_non_null(strstr(fault.text, "bad capture filter 'tcp prot 9200': "));
    assert_true(strlen(fault.text) > strlen("bad capture filter 'tcp prot 9200': "));
    assert_null(strchr(fault.text, '\n'));
}

static void filter_applies_to_files(void **state)
{
    (void)state;
    struct bytes_out o = {0};
    struct fault fault;
    put_head(&o, 0xa1b2c3d4, 1);
    put_packet(&o, 1, 0, "aaaaaaaaaaaa\x08\x06 an arp packet of some length.......");
    put_packet(&o, 2, 0, "aaaaaaaaaaaa\x86\xdd an ip6 packet of some length......");
    const char *path = path_of("plain.pcap");
    write_file(path, &o, 0, o.size, "wb");
    struct capture *c = open_files(&path, 1, false, "ether proto 0x86dd", &fault);
    assert_non_null(c);
    struct packet p;
    assert_int_equal(capture_next(c, 0, &p, &fault), CAPTURE_PACKET);
    assert_int_equal(p.time_ns, 2 * SECOND);
    expect_event(c, CAPTURE_END);
    capture_close(c);
}

static void files_are_merged_by_time(void **state)
{
    (void)state;
    const char *names[] = {path_of("a.pcap"), path_of("b.pcap")};
    struct fault fault;
    for (int i = 0; i < 2; i++) {
        struct bytes_out o = {0};
        put_head(&o, 0xa1b2c3d4, 1);
        put_packet(&o, 10 + (uint32_t)i, 0, i ? "b1" : "a1");
        put_packet(&o, 20 - (uint32_t)i, 0, i ? "b2" : "a2");
        write_file(names[i], &o, 0, o.size, "wb");
    }
    struct capture *c = open_files(names, 2, false, NULL, &fault);
    assert_non_null(c);
    expect_packet(c, 10 * SECOND, "a1");
    expect_packet(c, 11 * SECOND, "b1");
    expect_packet(c, 19 * SECOND, "b2");
    expect_packet(c, 20 * SECOND, "a2");
    expect_event(c, CAPTURE_END);
    capture_close(c);
}

static void followed_file_waits_for_more_and_for_its_rotation(void **state)
{
    (void)state;
    struct bytes_out o = {0};
    char *path = path_of("follow.pcap"), *old = path_of("follow.pcap.1");
    write_file(path, &o, 0, 0, "wb"); // not even a head yet
    struct capture *c = open_one(path, true);
    expect_event(c, CAPTURE_IDLE);
    put_head(&o, 0xa1b2c3d4, 1);
    put_packet(&o, 1, 0, "one");
    size_t first = o.size;
    put_packet(&o, 2, 0, "two");
    write_file(path, &o, 0, first + 7, "ab");
    expect_packet(c, SECOND, "one");
    expect_event(c, CAPTURE_IDLE);
    write_file(path, &o, first + 7, o.size, "ab");
    expect_packet(c, 2 * SECOND, "two");
    // Rotated: another file under the same name.
    assert_int_equal(rename(path, old), 0);
    o.size = 0;
    put_head(&o, 0xa1b23c4d, 276);
    put_packet(&o, 3, 5, "three");
    write_file(path, &o, 0, o.size, "wb");
    expect_packet(c, 3 * SECOND + 5, "three");
    struct capture_loss loss;
    assert_false(capture_take_loss(c, &loss));
    // Cut and begun anew in place.
    o.size = 0;
    put_head(&o, 0xa1b2c3d4, 1);
    write_file(path, &o, 0, o.size, "wb");
    for (int i = 0; i < 15; i++)
        expect_event(c, CAPTURE_IDLE);
    put_packet(&o, 4, 0, "four");
    write_file(path, &o, 24, o.size, "ab");
    expect_packet(c, 4 * SECOND, "four");
    assert_true(capture_take_loss(c, &loss));
    assert_int_equal(loss.from_ns, 3 * SECOND + 5);
    assert_int_equal(loss.to_ns, 4 * SECOND);
    assert_false(capture_take_loss(c, &loss));
    capture_break(c);
    expect_event(c, CAPTURE_END);
    const char *warning = capture_warning(c);
    assert_non_null(warning);
    assert_non_null(strstr(warning, "is begun anew by its writer"));
    assert_null(capture_warning(c));
    capture_close(c);
}

static void pipe_gives_packets_as_they_come_and_never_blocks(void **state)
{
    (void)state;
    struct bytes_out o = {0};
    int ends[2], saved = dup(STDIN_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[0], STDIN_FILENO);
    put_head(&o, 0xa1b2c3d4, 1);
    put_packet(&o, 1, 0, "one");
    assert_int_equal(write(ends[1], o.at, 30), 30);
    struct capture *c = open_one("-", false);
    expect_event(c, CAPTURE_IDLE);
    assert_int_equal(write(ends[1], o.at + 30, o.size - 30), (ssize_t)(o.size - 30));
    expect_packet(c, SECOND, "one");
    expect_event(c, CAPTURE_IDLE);
    // Stopped: what lies in the pipe is still read.
    assert_int_equal(write(ends[1], o.at + 24, o.size - 24), (ssize_t)(o.size - 24));
    capture_break(c);
    expect_packet(c, SECOND, "one");
    expect_event(c, CAPTURE_END);
    capture_close(c);
    dup2(saved, STDIN_FILENO);
    close(saved), close(ends[0]), close(ends[1]);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pcap_in_either_order_and_unit_is_read),
        cmocka_unit_test(pcapng_interfaces_keep_their_units_and_link_types),
        cmocka_unit_test(truncated_file_gives_what_was_whole_and_warns),
        cmocka_unit_test(damaged_length_ends_the_file_with_a_warning),
        cmocka_unit_test(what_is_no_capture_is_refused_with_a_reason),
        cmocka_unit_test(bad_filter_is_refused_with_the_reason),
        cmocka_unit_test(filter_applies_to_files),
        cmocka_unit_test(files_are_merged_by_time),
        cmocka_unit_test(followed_file_waits_for_more_and_for_its_rotation),
        cmocka_unit_test(pipe_gives_packets_as_they_come_and_never_blocks),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
