// IP fragments of both versions become datagrams again; the first copy of every byte wins, as in include/stream.h.
#pragma once
#include "../../include/bytes.h"
#include "wire.h"

struct fragments;

struct fragment {
    uint8_t from[16], to[16]; // addresses as in struct endpoint
    uint32_t id;
    uint8_t protocol;         // of the datagram (IPv4) or of the first fragment's next header (IPv6)
    bool more;                // more fragments follow
    uint32_t offset_bytes;
    struct bytes payload;     // what was captured
    uint32_t payload_bytes;   // what was on the wire
    int64_t time_ns;
};

struct datagram {
    struct bytes payload;     // captured without a hole from the beginning; borrowed until the next add
    uint32_t payload_bytes;   // whole
};

struct fragments *fragments_open(struct wire_stats *stats); // NULL: memory out
// True once the datagram is whole.
bool fragments_add(struct fragments *f, const struct fragment *part, struct datagram *whole);
// Datagrams that waited 30 s are given up; their fragments are counted as fragments_lost.
void fragments_tick(struct fragments *f, int64_t now_ns);
void fragments_close(struct fragments *f);
