// The plan: what the tape says must be written so that the target equals the source at the chosen point.
//
// Flow: names and lives -> exchanges (barriers, mappings, gaps) -> ops -> proof (check) and judgement of unanswered ones
//       -> sorted by document -> ordered, reduced -> sorted by place on the tape -> handed out document by document.
// Invariants (docs/replay.md):
//  1. Only what the cluster accepted, or was judged to have done, becomes a step.
//  2. A document is (slot, type, id, shard); where the shard is not known, (slot, type, id, routing). No type and _doc mean
//     the index's own type.
//  3. Steps of a document stand in the order of effect: life, primary term, sequence number.
//  4. Nothing crosses a barrier: each stretch between barriers (epoch) is reduced alone.
//  5. What is left out is counted, by name.
#pragma once
#include "../base/buf.h"
#include "../tape/read.h"
#include "check.h"
#include "route.h"

enum plan_unknown { PLAN_UNKNOWN_FAIL, PLAN_UNKNOWN_SKIP, PLAN_UNKNOWN_APPLY };

struct plan_map {
    const char *from, *to; // source index (or the name it was written through) -> target index
};

enum plan_seam_kind {
    PLAN_SEAM_NONE,  // no target was asked: nothing is held
    PLAN_SEAM_EMPTY, // the target starts empty
    PLAN_SEAM_SEQ,   // a restored copy: per shard up to max_seq
    PLAN_SEAM_TIME,  // a copy without usable sequence numbers: what was answered before time_ns
};

// What the target held before the replay, per target index; found at pre-flight.
struct plan_seam {
    const char *to;
    enum plan_seam_kind kind;
    int64_t time_ns, end_ns; // the snapshot's start and end, or WHEN_UNKNOWN
    struct route_index route;
    // An empty target: tells documents apart where no recorded call tells the source's shards. The target's own at the first look;
    // a later look, when the replay has made the index, must not change it.
    struct route_index keys;
    const int64_t *max_seq;  // per shard: nothing above it is held
    const int64_t *sure_seq; // per shard: up to here all is held; between both documents are compared
};

// Going on where an earlier plan stopped: exchanges it has taken are not taken again, and what is already on the target is
// known by its source numbers.
struct plan_seen;
// A recorder commits what it took within its flush interval: a plan with seen leaves what is so new to the next one.
#define PLAN_FRESH_NS (2 * WHEN_NS_PER_S)
struct plan_seen *plan_seen_open(size_t tapes); // NULL: memory out
void plan_seen_close(struct plan_seen *s);
bool plan_seen_has(const struct plan_seen *s, size_t tape, uint64_t exchange);

struct plan_settings {
    struct tape *tape;
    const char *const *index;    // patterns; with maps, the maps' names are chosen too
    size_t index_count;
    const struct plan_map *maps;
    size_t map_count;
    const char *before;          // exchange id, or NULL
    const char *const *skip;
    size_t skip_count;
    int64_t since_ns, until_ns;  // WHEN_UNKNOWN: open
    enum plan_unknown unknown;
    bool casualties_apply, allow_gaps, exact_versions;
    bool admin;                  // recorded administrative calls are made again, deletions of chosen indices too
    const struct plan_seam *seams;
    size_t seam_count;
    int64_t whole_until_ns;      // with seen: what was answered until then is known to be on the tape, whole. 0: nothing is
    struct plan_seen *seen;      // NULL: a whole plan. Else taken exchanges are added to it, and a plan after the first is incremental
    // Last source operation applied to a document (of its key's hash); false: none. Only asked by incremental plans.
    bool (*applied)(void *ctx, uint64_t hash, int64_t *life, int64_t *term, int64_t *seq_no);
    void *applied_ctx;
    // In [since, until) index blocks are our own (a cut-over's): what they refuse is no casualty. 0: never; until 0: open
    int64_t blocked_since_ns, blocked_until_ns;
    bool names_only;             // no operation is read: the slots are there where maps or points name them (not patterns)
    const char *spill_dir;       // NULL: $TMPDIR
    size_t memory_bytes;         // 0: 256 MiB
};

enum plan_step_flags {
    PLAN_STEP_CASUALTY = 1,   // refused only because of a skipped operation
    PLAN_STEP_COLLISION = 2,  // accepted only because of one
    PLAN_STEP_JUDGED = 4,     // unanswered; judged to have happened
    PLAN_STEP_ASSUMED = 8,    // unanswered; applied because the user said so
    PLAN_STEP_UNSURE = 16,    // the restored copy may hold it: compare sequence numbers
    PLAN_STEP_NOOP = 32,      // a noop of the second life
    PLAN_STEP_INSERT = 64,    // an update that inserted: its content is the upsert document
    PLAN_STEP_MINTED = 128,   // the id was minted here
};

struct plan_step {
    uint64_t exchange;
    uint64_t source_at, source_bytes; // in the decoded request body
    int64_t seq_no, primary_term, version, time_ns;
    uint32_t item, op_flags;          // enum op_flags
    uint16_t tape, flags;             // enum plan_step_flags
    uint8_t kind, result;             // enum op_kind, op_result
    uint8_t pad[2];
    uint32_t pipeline;                // number of its pipeline's name (plan_text), 0: none
};

enum plan_doc_flags {
    PLAN_DOC_DIVERGED = 1,     // an operation before was skipped: the source's answers tell of another document
    PLAN_DOC_HELD_EXISTS = 2,  // the last held operation left a document
    PLAN_DOC_HELD_GONE = 4,    // ... or deleted it
    PLAN_DOC_LAST = 8,         // no later epoch touches it
    PLAN_DOC_BASE_EMPTY = 16,  // nothing of it can be on the target (empty seam, first epoch)
    PLAN_DOC_TIME_ORDER = 32,  // somewhere its order rests on time alone
};

struct plan_doc {
    uint32_t slot, epoch;
    uint32_t flags;
    int shard;             // -1 unknown
    uint64_t hash;         // of its key: lanes and the journal use it
    struct bytes id, routing, type;
    int64_t life;          // of its last step
    int64_t held_seq, held_term, held_version; // last held operation, OP_NONE
    int64_t final_version; // recorded version after its last step, OP_NONE
    const struct plan_step *steps;
    size_t step_count;
};

// Between barriers nothing is reduced. Administrative calls keep their place in the order, but change no document.
enum plan_barrier_kind { PLAN_BARRIER_UPDATE_BY_QUERY, PLAN_BARRIER_DELETE_BY_QUERY, PLAN_BARRIER_REINDEX, PLAN_BARRIER_ADMIN };
enum plan_admin {
    PLAN_ADMIN_INDEX,   // about chosen indices: the path's index becomes the target's
    PLAN_ADMIN_ALIASES, // _aliases: the actions about chosen indices (plan_aliases)
    PLAN_ADMIN_CLUSTER, // templates, pipelines, stored scripts: as they were recorded
};
struct plan_barrier {
    enum plan_barrier_kind kind;
    enum plan_admin admin;
    uint32_t *slots;       // the chosen ones it touches; none for what belongs to the cluster
    size_t slot_count;
    uint32_t epoch;        // it runs after the epoch of this number
    size_t tape;
    uint64_t exchange;
    int64_t time_ns, answered_ns;
    char *verb, *path, *api;
    int64_t total, deleted, updated; // as recorded, -1 unknown
    int status;
    bool unknown;          // its outcome is not known
};

struct plan_mapping {      // a mapping call, a creation of an index
    uint32_t slot;
    size_t tape;
    uint64_t exchange;
    int64_t time_ns;
    char *path;
    bool create;
};

struct plan_count {
    uint64_t ops, by_kind[OP_KINDS], accepted, refused, noops, dropped, held, unsure, outside, skipped, documents, steps, source_bytes;
    uint64_t judged_done, judged_not_done, unknown, unknown_ids, minted, unresolved_names;
    uint64_t casualties, casualties_possible, collisions, collisions_possible, left_out_refused, time_ordered, truncated_ops, redacted_ops, pipelines, scripts;
    uint64_t late; // arrived behind a later write of their document that was applied already
    uint64_t truncated_writes, gaps, gap_bytes, missing_numbers, redirected;
    uint64_t outlived;   // of a life that ends with a repeated deletion
    uint64_t admin_left; // administrative calls that are not made again: without admin, or not repeatable (told)
};

struct plan_slot {
    char *from, *to;
    struct route_index route;
    bool route_known;      // from the copy, or the call that made the source
    enum plan_seam_kind seam;
    char *type;            // the first type of its own that its documents were written with; NULL: none, or _doc alone
    bool several_types;    // versions 5 and 6: a document is (type, id)
    bool deleted;          // admin: a recorded deletion is made again, before everything else
    uint64_t deletion;     // its exchange
    size_t deletion_tape;
    int64_t deletion_ns;
    uint64_t type_clashes; // ids that stand under more than one type: a target without types cannot hold them apart
    struct plan_count count;
};

enum plan_note_kind {
    PLAN_NOTE_UNKNOWN, PLAN_NOTE_JUDGED, PLAN_NOTE_CASUALTY, PLAN_NOTE_COLLISION, PLAN_NOTE_TRUNCATED, PLAN_NOTE_GAP, PLAN_NOTE_LIFE, PLAN_NOTE_TOLD,
    PLAN_NOTES
};
struct plan_note {           // one thing the user should see; kept up to a bound, counted beyond it
    enum plan_note_kind kind;
    uint32_t slot;
    size_t tape;
    uint64_t exchange;
    uint32_t item;
    char *id;                // document, or NULL
    char *text;
};

struct plan;
// The highest number that the plans of a series saw in the newest life of an index on one shard; -1: none.
int64_t plan_seen_highest(const struct plan *p, const char *index, int shard);
// Builds the whole plan. NULL: fault. A plan that must be refused is still a plan: see plan_refusal.
struct plan *plan_build(const struct plan_settings *settings, struct fault *fault);
void plan_close(struct plan *p);
// NULL, or why it must not be applied as it stands; the text names the option that decides.
const char *plan_refusal(const struct plan *p);
const struct plan_count *plan_total(const struct plan *p);
size_t plan_slot_count(const struct plan *p);
const struct plan_slot *plan_slot(const struct plan *p, size_t i);
size_t plan_barrier_count(const struct plan *p);
const struct plan_barrier *plan_barrier(const struct plan *p, size_t i);
// Whether a by-query call or a reindex between these epochs may have changed documents of the slot.
bool plan_changes(const struct plan *p, uint32_t slot, uint32_t from, uint32_t to);
// The actions of an _aliases body that are about chosen indices, renamed; *actions 0: none. False: memory out.
bool plan_aliases(struct plan *p, int64_t time_ns, struct bytes body, struct buf *out, size_t *actions);
size_t plan_mapping_count(const struct plan *p);
const struct plan_mapping *plan_mapping(const struct plan *p, size_t i);
size_t plan_note_count(const struct plan *p);
const struct plan_note *plan_note(const struct plan *p, size_t i);
uint64_t plan_note_total(const struct plan *p, enum plan_note_kind kind);
struct bytes plan_text(const struct plan *p, uint32_t number); // a pipeline's name
const struct check *plan_check(const struct plan *p);
const char *plan_name_text(const struct plan *p, uint32_t name); // of check's index number
uint64_t plan_fingerprint(const struct plan *p); // of the choices that make a plan (indices, maps, before, skip, ...): a journal belongs to one
// The longest document or update body among the steps; bytes 0: none.
struct plan_largest {
    uint64_t bytes, exchange;
    uint32_t item, slot;
};
struct plan_largest plan_largest(const struct plan *p);
// Documents in order of epoch, then place on the tape. False: fault; doc->step_count 0: the end. Borrowed until the next call.
bool plan_next(struct plan *p, struct plan_doc *doc, struct fault *fault);
bool plan_rewind(struct plan *p, struct fault *fault);

// A type that tells documents apart; none where the call named none, or _doc.
static inline struct bytes plan_own_type(struct bytes type)
{
    return bytes_equal_text(type, "_doc") ? (struct bytes){0} : type;
}

// Every recorded write of the chosen range that the cluster parsed (accepted, or refused only by a conflict), unreduced, in
// order of the tape: what dynamic mapping saw. The op is borrowed until fn returns; fn returns false to stop.
typedef bool plan_source_fn(void *ctx, uint32_t slot, const struct tape_op *op);
bool plan_sources(struct plan *p, plan_source_fn *fn, void *ctx, struct fault *fault);
