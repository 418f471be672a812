// A packet as a device or a file gave it. Borrowed until the next one.
#pragma once
#include <stdint.h>

struct packet {
    int64_t time_ns;
    const uint8_t *at;
    uint32_t caplen_bytes; // what `at` holds
    uint32_t wire_bytes;   // what was on the wire; larger when a snap length cut the packet
    int linktype;          // a LINKTYPE_ value (tcpdump.org/linktypes.html)
    uint32_t source;       // which of the -i and -r operands, from 0
};
