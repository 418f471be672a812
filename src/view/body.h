// A recorded body for eyes: JSON laid out, lines of a bulk one by one, missing bytes marked where they are missing.
#pragma once
#include "../tape/read.h"
#include "out.h"

struct body_hole {
    uint64_t at, bytes; // before the byte at `at` of what is there
    bool unknown;       // its size is not known
};

struct body_text {
    struct buf bytes;
    struct body_hole *holes;
    size_t hole_count, hole_room;
    uint64_t limit_bytes;  // keep this many; 0: all
    uint64_t total_bytes;  // of all pieces
    bool raw, failed;
};

bool body_piece_add(void *body_text, const struct body_piece *piece); // a tape_body_fn; collects
void body_text_fini(struct body_text *b);
// Printed with every line indented; says what is not there, and why.
void body_print(struct out *o, const struct body_text *b, enum tape_body_state state, bool truncated, int indent);
const char *body_state_text(enum tape_body_state state);
const char *body_state_name(enum tape_body_state state); // one word, for JSON
