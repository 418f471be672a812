// One TCP segment, decoded: what src/wire's decoder hands to its reassembler.
#pragma once
#include "bytes.h"
#include "endpoint.h"

enum segment_flags { SEGMENT_FIN = 1, SEGMENT_SYN = 2, SEGMENT_RST = 4, SEGMENT_PSH = 8, SEGMENT_ACK = 16 };

struct segment {
    int64_t time_ns;
    struct endpoint from, to;
    uint32_t seq, ack;
    uint8_t flags;          // enum segment_flags
    struct bytes payload;   // what was captured of it
    uint32_t payload_bytes; // what was on the wire; larger than payload.size when cut by a snap length
};
