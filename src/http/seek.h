// Finds where messages begin on one side, and takes their heads to the connection.
#pragma once
#include "conn.h"

// Each returns how many bytes of `rest` it has dealt with; 0: it has changed the mode, ask again.
size_t seek_start(struct conn_state *c, struct side *s, const struct side_place *at, struct bytes rest);    // SIDE_RESYNC, SIDE_START
size_t seek_head(struct conn_state *c, struct side *s, const struct side_place *at, struct bytes rest);     // SIDE_HEAD
size_t seek_overlong(struct conn_state *c, struct side *s, const struct side_place *at, struct bytes rest); // SIDE_OVERLONG
// A head begins with what is held, of which the last `added` bytes are given back to the piece. Returns bytes taken of those.
size_t seek_begin_head(struct side *s, const struct side_place *at, size_t added);
// Tells what there is of an unfinished head.
void seek_cut_head(struct conn_state *c, struct side *s, enum finish how, int64_t time_ns);
