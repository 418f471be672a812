// Inside of the timeline: what gathering (timeline.c) and drawing (timeline_draw.c) share.
#pragma once
#include "timeline.h"

#include "../base/map.h"
#include "line.h"

struct tally {
    uint64_t writes, reads, errors, destructive, docs;
};

struct lane {
    char *name;
    unsigned life;            // from 0
    int64_t born_ns, died_ns; // WHEN_UNKNOWN: not seen
    uint64_t died_by;
    struct tally *cells, sum;
    struct lane *next_life;
};

struct hole {
    uint64_t gaps, bytes, packets;
    bool blind; // nobody was recording
};

struct event {          // a destructive call
    int64_t time_ns;
    size_t bucket;
    char *line;         // its id, NUL, its line in the log with what stands above it
    size_t text_at;
};

struct timeline {
    struct timeline_settings settings;
    int64_t begin_ns;   // of bucket 0: a multiple of the bucket's size
    size_t bucket_count;
    struct lane whole;
    struct hole *holes;
    struct map *index_lanes, *who_lanes;
    struct out event_out;
    struct line_state event_lines;
    struct event *events;
    size_t event_count, event_room;
    uint64_t gap_count, gap_bytes;
};
