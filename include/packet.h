// A packet as a device or a file gave it. Borrowed until the next one.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct packet {
    int64_t time_ns;
    const uint8_t *at;
    uint32_t caplen_bytes; // what `at` holds
    uint32_t wire_bytes;   // what was on the wire; larger when a snap length cut the packet
    int linktype;          // a LINKTYPE_ value (tcpdump.org/linktypes.html)
    uint32_t source;       // which of the -i and -r operands, from 0
};

// The link types that src/wire decodes: BSD loopback, Ethernet, raw IP, Linux cooked.
static inline bool packet_linktype_is_known(int linktype)
{
    static const int known[] = {0, 1, 12, 14, 101, 108, 113, 228, 229, 276};
    for (unsigned i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i] == linktype)
            return true;
    return false;
}
