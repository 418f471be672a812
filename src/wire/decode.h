// Decoding: a captured packet of any supported link type becomes one TCP segment, through VLAN tags, tunnels and IP fragments.
#pragma once
#include "../../include/packet.h"
#include "../../include/segment.h"
#include "wire.h"

struct fragments;

enum decode_result {
    DECODE_SEGMENT, // *out is filled
    DECODE_NOTHING, // counted in the stats: not TCP, malformed, a fragment that waits for others, ...
};

struct decoder {
    struct fragments *fragments;
    struct wire_stats *stats;
};

// Offload leaves wrong checksums on what the capturing host sends, and merging leaves them on data it receives; so they are
// looked at only where neither can be: on a SYN, FIN or RST without data, to be held against the SYN of the same side.
enum decode_checksum { CHECKSUM_UNKNOWN, CHECKSUM_GOOD, CHECKSUM_BAD };

struct decoded {
    struct segment segment; // payload borrowed from the packet or from the fragment store until the next decode
    uint32_t ident;         // of this copy on the wire: a retransmission differs, the same packet seen twice does not
    enum decode_checksum checksum;
};

// A length that exceeds what was captured is a cut packet, not an
// error; bytes behind the IP length are padding and not looked at.
enum decode_result decode_packet(struct decoder *d, const struct packet *packet, struct decoded *out);
