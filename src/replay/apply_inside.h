// What the parts of applying share: lanes with their documents under way. Not for others.
#pragma once
#include "../base/map.h"
#include "apply.h"

#include <stdio.h>

enum { APPLY_BATCH_DOCS = 1000, APPLY_BULK_BYTES = 5 << 20, APPLY_TRIES = 6 };

enum work_state {
    WORK_LOOK,    // what the target holds must be read first
    WORK_READY,   // the target's state is known: the next action can be sent
    WORK_SENT,
    WORK_COMPARE, // touched by somebody: is it what we would write?
    WORK_END
};

enum work_end { WORK_APPLIED, WORK_ALREADY, WORK_LEFT, WORK_REFUSED, WORK_NO_BASE };

struct work {
    struct plan_doc doc;        // copied into the lane's arena
    enum work_state state;
    enum work_end end;
    uint32_t step;              // next step
    uint32_t tries;
    bool found, ours, wrote, in_doubt, parity_lost, looked;
    int64_t seq_no, primary_term, version; // the target's, when found
    bool doubt_known;           // an answer was lost; doubt_version tells what stood there when its request left
    int64_t doubt_version;      // -1: no document
    struct fold_action action;
    bool exact_sent;            // the last action carried an external version
    uint8_t sent_verb;          // first letter of the bulk verb: i c d u
};

enum lane_state { LANE_IDLE, LANE_READING, LANE_COMPARING, LANE_WRITING, LANE_WAITING };

struct lane {
    unsigned number;
    enum lane_state state;
    struct arena arena;
    struct work *works;
    size_t count;
    size_t *sent;               // works of the request under way, in order of items
    size_t sent_count;
    int64_t again_ns;           // LANE_WAITING: when to try again
    unsigned pauses;
    bool one_by_one;            // a bulk was larger than the target takes
    struct buf body;
};

struct apply {
    const struct apply_settings *set;
    struct apply_report *report;
    struct fault *fault;
    struct lane *lanes;
    struct plan_doc next;       // taken from the plan, not yet in a lane (points into the plan)
    bool have_next, ended;
    uint32_t epoch;
    uint64_t done_docs;
    int64_t began_ns, told_ns, last_time_ns;
    size_t bulk_docs;           // shrinks when the target is busy
    FILE *dead;
    size_t barrier;
    int64_t (*max_seq)[PREFLIGHT_SHARDS_MAX]; // per index: nothing of somebody else stands at or below
};

const struct preflight_index *apply_index(const struct apply *ap, uint32_t slot);
uint64_t apply_key(const struct plan_doc *doc); // of its row in the journal
// apply_batch.c: one lane's requests and what their answers mean
bool apply_lane_begin(struct apply *ap, struct lane *l);  // works are in; sends the first request
bool apply_lane_resume(struct apply *ap, struct lane *l); // after a pause
bool apply_proceed(struct apply *ap, struct lane *l);     // sends the lane's next request, or the lane is idle again
bool apply_pause(struct apply *ap, struct lane *l);       // the target is busy, or an answer was lost
bool apply_finish(struct apply *ap, struct work *w, enum work_end end, const char *why); // counts and notes a document's end
bool apply_touched(const struct apply *ap, const struct work *w); // somebody else wrote it since the restore
bool apply_deleted_live(const struct apply *ap, const struct work *w);
// apply_answer.c: what a lane's answers mean
bool apply_lane_answer(struct apply *ap, struct lane *l, struct target_reply *reply);
// apply_call.c: what is no document
bool apply_prepare(struct apply *ap);                     // indices, mappings
bool apply_barrier(struct apply *ap, const struct plan_barrier *b);
struct apply_mark {
    size_t tape;
    uint64_t exchange;
    uint32_t slot;
};
bool apply_noted(struct apply *ap, const char *what, struct apply_mark id, bool set); // a call's mark in the journal, asked or set
void apply_dead_line(struct apply *ap, const struct buf *line);
// apply_admin.c: administrative calls, made again
bool apply_delete(struct apply *ap, uint32_t slot, const struct preflight_index *index);
bool apply_admin(struct apply *ap, const struct plan_barrier *b);
void apply_recall_numbers(struct apply *ap);               // as the last barrier of an earlier round left them
bool apply_note_numbers(struct apply *ap, const struct plan_barrier *b); // after a barrier: its writes are ours
bool apply_refresh(struct apply *ap);
