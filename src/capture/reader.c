// Reads packets out of a byte stream in one of the capture formats: pcap (micro- and nanoseconds, either byte order), pcapng.
//
// Formats: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng; and the modified pcap of old Linux kernels (24-byte heads).
// 1. buffer[at..end) are the bytes read and not yet consumed; a packet handed out lies in it until the next call.
// 2. Every length from the file is checked against RECORD_MAX before memory is asked for.
#include "reader.h"

#include "../base/mem.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    BUFFER_BYTES = 128 * 1024, // stays in the second-level cache
    RECORD_MAX = 16 * 1024 * 1024,
    INTERFACES_MAX = 4096,
};

enum magic {
    MAGIC_MICRO = (int)0xa1b2c3d4, MAGIC_NANO = (int)0xa1b23c4d, MAGIC_MODIFIED = (int)0xa1b2cd34,
    BLOCK_SECTION = 0x0a0d0d0a, BLOCK_ORDER = 0x1a2b3c4d,
};
enum block { BLOCK_INTERFACE = 1, BLOCK_PACKET = 2, BLOCK_SIMPLE = 3, BLOCK_ENHANCED = 6 };

bool reader_init(struct reader *r, int fd, bool waits)
{
    *r = (struct reader){.fd = fd, .waits = waits};
    r->buffer = mem_alloc(BUFFER_BYTES);
    r->room = BUFFER_BYTES;
    return r->buffer;
}

void reader_fini(struct reader *r)
{
    mem_free(r->buffer);
    mem_free(r->interfaces);
    r->buffer = NULL;
    r->interfaces = NULL;
}

void reader_restart(struct reader *r, int fd)
{
    r->fd = fd;
    r->at = r->end = 0;
    r->passed_bytes = 0;
    r->format = FORMAT_UNKNOWN;
    r->interface_count = 0;
}

static enum read_event bad(struct reader *r, const char *what)
{
    snprintf(r->problem, sizeof r->problem, "%s at byte %llu", what, (unsigned long long)r->passed_bytes);
    return READ_BAD;
}

static bool make_room(struct reader *r, size_t bytes)
{
    if (r->at) {
        memmove(r->buffer, r->buffer + r->at, r->end - r->at);
        r->end -= r->at;
        r->at = 0;
    }
    if (bytes <= r->room)
        return true;
    uint8_t *larger = mem_grow(r->buffer, bytes);
    if (!larger)
        return false;
    r->buffer = larger;
    r->room = bytes;
    return true;
}

// READ_PACKET: `bytes` bytes are there.
static enum read_event want(struct reader *r, size_t bytes, bool block)
{
    if (r->end - r->at >= bytes)
        return READ_PACKET;
    if (!make_room(r, bytes))
        return bad(r, "out of memory for a record");
    while (r->end < bytes) {
        struct pollfd ready = {.fd = r->fd, .events = POLLIN};
        if (r->waits && !block && poll(&ready, 1, 0) <= 0)
            return READ_WAIT;
        ssize_t got = read(r->fd, r->buffer + r->end, r->room - r->end);
        if (got < 0 && (errno == EINTR || errno == EAGAIN) && !block)
            return READ_WAIT;
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got < 0)
            return bad(r, strerror(errno));
        if (got == 0)
            return r->end ? READ_CUT : READ_END;
        r->end += (size_t)got;
    }
    return READ_PACKET;
}

static void consume(struct reader *r, size_t bytes)
{
    r->at += bytes;
    r->passed_bytes += bytes;
}

static uint16_t get_16(const struct reader *r, const uint8_t *at)
{
    uint16_t v;
    memcpy(&v, at, 2);
    return r->swapped ? __builtin_bswap16(v) : v;
}

static uint32_t get_32(const struct reader *r, const uint8_t *at)
{
    uint32_t v;
    memcpy(&v, at, 4);
    return r->swapped ? __builtin_bswap32(v) : v;
}

static bool add_interface(struct reader *r, const struct reader_interface *i)
{
    if (r->interface_count == r->interface_room) {
        size_t room = r->interface_room ? r->interface_room * 2 : 4;
        struct reader_interface *larger = room <= INTERFACES_MAX ? mem_grow(r->interfaces, room * sizeof *larger) : NULL;
        if (!larger)
            return false;
        r->interfaces = larger;
        r->interface_room = room;
    }
    r->interfaces[r->interface_count++] = *i;
    return true;
}

// ---- pcap -----------------------------------------------------------------------------------------------------------

static enum read_event begin_pcap(struct reader *r, uint32_t magic, bool block)
{
    enum read_event e = want(r, 24, block);
    if (e != READ_PACKET)
        return e;
    r->format = FORMAT_PCAP;
    r->nanoseconds = magic == (uint32_t)MAGIC_NANO;
    r->record_head_bytes = magic == (uint32_t)MAGIC_MODIFIED ? 24 : 16;
    // The upper half of the field holds flags about the frame check sequence.
    struct reader_interface i = {.linktype = (int)(get_32(r, r->buffer + r->at + 20) & 0xffff)};
    if (!add_interface(r, &i))
        return bad(r, "out of memory");
    consume(r, 24);
    return READ_PACKET;
}

static enum read_event next_pcap(struct reader *r, struct packet *packet)
{
    enum read_event e = want(r, r->record_head_bytes, false);
    if (e != READ_PACKET)
        return e;
    const uint8_t *head = r->buffer + r->at;
    uint32_t captured = get_32(r, head + 8), wire = get_32(r, head + 12);
    if (captured > RECORD_MAX)
        return bad(r, "a packet that claims to be larger than 16 MiB");
    e = want(r, r->record_head_bytes + captured, false);
    if (e != READ_PACKET)
        return e == READ_END ? READ_CUT : e;
    head = r->buffer + r->at;
    int64_t fraction = get_32(r, head + 4);
    packet->time_ns = (int64_t)get_32(r, head) * 1000000000 + (r->nanoseconds ? fraction : fraction * 1000);
    packet->at = head + r->record_head_bytes;
    packet->caplen_bytes = captured;
    packet->wire_bytes = wire < captured ? captured : wire;
    packet->linktype = r->interfaces[0].linktype;
    consume(r, r->record_head_bytes + captured);
    return READ_PACKET;
}

// ---- pcapng ---------------------------------------------------------------------------------------------------------

static int64_t to_ns(const struct reader_interface *i, uint64_t ticks)
{
    __uint128_t ns;
    if (i->binary) {
        ns = ((__uint128_t)ticks * 1000000000u) >> i->exponent;
    } else {
        static const uint32_t power[10] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};
        unsigned finer = i->exponent > 9 ? i->exponent - 9u : 0;
        ns = ticks;
        if (finer)
            ns = finer <= 9 ? ns / power[finer] : finer <= 18 ? ns / power[9] / power[finer - 9] : 0;
        else
            ns *= power[9 - i->exponent];
    }
    __int128_t at = (__int128_t)ns + (__int128_t)i->offset_s * 1000000000;
    return at < 0 ? 0 : at > INT64_MAX ? INT64_MAX : (int64_t)at;
}

static bool read_interface(struct reader *r, const uint8_t *body, uint32_t size)
{
    struct reader_interface i = {.exponent = 6};
    if (size < 8)
        return false;
    i.linktype = get_16(r, body);
    for (uint32_t at = 8; at + 4 <= size;) {
        uint32_t code = get_16(r, body + at), length = get_16(r, body + at + 2);
        const uint8_t *value = body + at + 4;
        if (code == 0 || length > size - at - 4)
            break;
        if (code == 9 && length >= 1) {
            i.binary = value[0] & 0x80;
            i.exponent = value[0] & 0x7f;
        }
        if (code == 14 && length >= 8) {
            uint32_t low = get_32(r, value + (r->swapped ? 4 : 0)), high = get_32(r, value + (r->swapped ? 0 : 4));
            i.offset_s = (int64_t)((uint64_t)high << 32 | low);
        }
        at += 4 + ((length + 3) & ~3u);
    }
    return add_interface(r, &i);
}

static enum read_event read_packet_block(struct reader *r, uint32_t type, const uint8_t *body, uint32_t size, struct packet *packet)
{
    uint32_t head = type == BLOCK_SIMPLE ? 4 : 20;
    if (size < head)
        return bad(r, "a packet block that is too short");
    uint32_t which = type == BLOCK_ENHANCED ? get_32(r, body) : type == BLOCK_PACKET ? get_16(r, body) : 0;
    uint32_t wire = get_32(r, body + head - 4), captured = type == BLOCK_SIMPLE ? wire : get_32(r, body + 12);
    if (type == BLOCK_SIMPLE && captured > size - head)
        captured = size - head; // cut by the snap length
    if (captured > size - head || which >= r->interface_count)
        return bad(r, "a packet block that contradicts itself");
    const struct reader_interface *i = &r->interfaces[which];
    if (type != BLOCK_SIMPLE)
        r->last_ns = to_ns(i, (uint64_t)get_32(r, body + 4) << 32 | get_32(r, body + 8));
    packet->time_ns = r->last_ns;
    packet->at = body + head;
    packet->caplen_bytes = captured;
    packet->wire_bytes = wire < captured ? captured : wire;
    packet->linktype = i->linktype;
    return READ_PACKET;
}

static enum read_event read_section(struct reader *r, bool block)
{
    enum read_event e = want(r, 12, block);
    if (e != READ_PACKET)
        return e;
    uint32_t order;
    memcpy(&order, r->buffer + r->at + 8, 4);
    if (order != BLOCK_ORDER && order != __builtin_bswap32(BLOCK_ORDER))
        return bad(r, "a section without byte order");
    r->swapped = order != BLOCK_ORDER;
    r->interface_count = 0;
    return READ_PACKET;
}

// The next block whole, not consumed. READ_PACKET: *type and *body are set.
static enum read_event next_block(struct reader *r, uint32_t *type, uint32_t *length, bool block)
{
    enum read_event e = want(r, 12, block);
    if (e != READ_PACKET)
        return e;
    *type = get_32(r, r->buffer + r->at);
    if (*type == BLOCK_SECTION && (e = read_section(r, block)) != READ_PACKET)
        return e;
    *length = get_32(r, r->buffer + r->at + 4);
    if (*length < 12 || *length % 4 || *length > RECORD_MAX + 4096)
        return bad(r, "a block of impossible length");
    e = want(r, *length, block);
    return e == READ_END ? READ_CUT : e;
}

static enum read_event next_pcapng(struct reader *r, struct packet *packet)
{
    for (;;) {
        uint32_t type, length;
        enum read_event e = next_block(r, &type, &length, false);
        if (e != READ_PACKET)
            return e;
        const uint8_t *body = r->buffer + r->at + 8;
        if (type == BLOCK_ENHANCED || type == BLOCK_SIMPLE || type == BLOCK_PACKET) {
            e = read_packet_block(r, type, body, length - 12, packet);
            if (e == READ_PACKET)
                consume(r, length);
            return e;
        }
        if (type == BLOCK_INTERFACE && !read_interface(r, body, length - 12))
            return bad(r, "an interface description that cannot be read");
        consume(r, length);
    }
}

static enum read_event begin_pcapng(struct reader *r, bool block)
{
    while (!r->interface_count) {
        uint32_t type, length;
        enum read_event e = next_block(r, &type, &length, block);
        if (e != READ_PACKET)
            return e;
        r->format = FORMAT_PCAPNG;
        if (type == BLOCK_INTERFACE && !read_interface(r, r->buffer + r->at + 8, length - 12))
            return bad(r, "an interface description that cannot be read");
        consume(r, length);
    }
    return READ_PACKET;
}

// ---- both -----------------------------------------------------------------------------------------------------------

static enum read_event begin(struct reader *r, bool block)
{
    enum read_event e = want(r, 4, block);
    if (e != READ_PACKET)
        return e;
    uint32_t magic, swapped;
    memcpy(&magic, r->buffer + r->at, 4);
    swapped = __builtin_bswap32(magic);
    static const enum magic pcaps[] = {MAGIC_MICRO, MAGIC_NANO, MAGIC_MODIFIED};
    for (size_t i = 0; i < sizeof pcaps / sizeof *pcaps; i++)
        if (magic == (uint32_t)pcaps[i] || swapped == (uint32_t)pcaps[i]) {
            r->swapped = swapped == (uint32_t)pcaps[i];
            return begin_pcap(r, (uint32_t)pcaps[i], block);
        }
    if (magic == BLOCK_SECTION)
        return begin_pcapng(r, block);
    return bad(r, "no known magic number");
}

enum read_event reader_begin(struct reader *r)
{
    return begin(r, true);
}

enum read_event reader_next(struct reader *r, struct packet *packet)
{
    if (r->format == FORMAT_UNKNOWN) {
        enum read_event e = begin(r, false);
        if (e != READ_PACKET)
            return e;
    }
    return r->format == FORMAT_PCAP ? next_pcap(r, packet) : next_pcapng(r, packet);
}

int reader_linktype(const struct reader *r)
{
    return r->interface_count ? r->interfaces[0].linktype : -1;
}

const char *reader_guess(const struct reader *r)
{
    static const struct {
        const char *magic;
        size_t size;
        const char *text;
    } known[] = {
        {"\x1f\x8b", 2, "gzip"}, {"\x28\xb5\x2f\xfd", 4, "zstd"}, {"\xfd\x37\x7a\x58", 4, "xz"},
        {"BZh", 3, "bzip2"}, {"\x04\x22\x4d\x18", 4, "lz4"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (r->end - r->at >= known[i].size && memcmp(r->buffer + r->at, known[i].magic, known[i].size) == 0)
            return known[i].text;
    return NULL;
}
