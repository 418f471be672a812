// Takes a message's head apart: start line, fields, and what they say about the body.
#pragma once
#include "../../include/bounds.h"
#include "../../include/message.h"
#include "../base/mem.h"

enum head_kind { HEAD_NONE, HEAD_REQUEST, HEAD_RESPONSE };

struct head {
    enum head_kind kind;
    struct bytes method, target;  // request
    int version_minor;
    int status;                   // response
    const struct header *headers; // views into the head's bytes, or into the room where a folded value was joined
    size_t header_count;
    bool cut;                     // not all of it is here: more fields than are kept, or bytes missing at its end
    bool malformed;               // llhttp refused it; taken apart line by line
    // Framing, RFC 9112 section 6
    bool length_known, length_bad;
    uint64_t length;
    bool chunked, transfer_coded; // chunked among the transfer codings; any transfer coding
    enum body_coding coding;
    bool expects_continue;
};

// Scratch of one head at a time; head_room_init with zeroes.
struct head_room {
    struct header headers[BOUND_HEADERS_MAX];
    struct arena folded;
};
void head_room_init(struct head_room *room);
void head_room_fini(struct head_room *room);

// `whole`: the bytes end with the blank line. A cut head yields its whole lines and, of a request, what is there of the target.
// False: no method and target (or no status) is in it. Valid until the next head is taken apart in the same room.
bool head_parse(struct head_room *room, enum head_kind kind, struct bytes bytes, bool whole, struct head *head);
