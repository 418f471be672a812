// Reads packets out of a byte stream in one of the capture formats: pcap (micro- and nanoseconds, either byte order), pcapng.
#pragma once
#include "../../include/fault.h"
#include "../../include/packet.h"
#include <stdbool.h>
#include <stddef.h>

enum read_event {
    READ_PACKET,
    READ_WAIT, // nothing more at the moment (a pipe)
    READ_END,  // end of the bytes, between two packets
    READ_CUT,  // end of the bytes, inside a packet or a header
    READ_BAD,  // damage: nothing behind it can be trusted; `problem` says what
};

enum reader_format { FORMAT_UNKNOWN, FORMAT_PCAP, FORMAT_PCAPNG };

struct reader_interface {
    int linktype;
    bool binary;       // units are 2^-exponent s, else 10^-exponent s
    uint8_t exponent;
    int64_t offset_s;
};

struct reader {
    int fd;
    bool waits;               // a pipe: never block in read
    uint8_t *buffer;
    size_t room, at, end;
    uint64_t passed_bytes;    // consumed before buffer[at]
    enum reader_format format;
    bool swapped, nanoseconds;
    uint32_t record_head_bytes;
    struct reader_interface *interfaces;
    size_t interface_count, interface_room;
    int64_t last_ns;
    char problem[120];
};

bool reader_init(struct reader *r, int fd, bool waits); // false: memory out. The descriptor stays the caller's
void reader_fini(struct reader *r);
void reader_restart(struct reader *r, int fd); // another file, or the same from its beginning
// Reads up to the first thing that tells the link type, without consuming a packet. READ_PACKET: known. May block.
enum read_event reader_begin(struct reader *r);
// packet->source is left alone; packet->at is borrowed until the next call.
enum read_event reader_next(struct reader *r, struct packet *packet);
int reader_linktype(const struct reader *r); // of the first interface, or -1
// What the first bytes are when they are no capture: "compressed with gzip", ... or NULL.
const char *reader_guess(const struct reader *r);
