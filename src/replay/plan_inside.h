// What the parts of the plan share: names with their lives, packed op records, judgements. Not for others.
#pragma once
#include "../base/map.h"
#include "plan.h"
#include "sorter.h"

#define PLAN_LIFE_FIRST INT64_C(0) // key of a life that began before the tape

struct plan_life {
    int64_t key;               // when it began, PLAN_LIFE_FIRST when before the tape; orders lives
    int64_t end_ns, end_until_ns; // the request that ended it and its answer; INT64_MAX: open
    uint64_t end_exchange;
    size_t end_tape;
    int64_t born_ns;           // answer of the request that began it: what is asked later meets it
    bool born;                 // its beginning is on the tape: numbers start at 0
    uint64_t born_told;        // a bit per tape that told the beginning
    bool end_seen;             // by a call; else concluded
    bool end_skipped;          // the call that ended it is left out
    bool ended;
    uint64_t born_exchange;
    size_t born_tape;
    struct route_index route;  // shards 0: not told by the call that made it
    uint64_t ops;              // seen in it: a life that is only concluded and empty never was
};

struct plan_name {
    char *text;
    int slot;                  // -1: not chosen
    size_t outlived;           // lives before this one end with a deletion that is made again
    bool redirected;           // an index that took the place of an alias: belongs to the alias' index
    struct plan_life *lives;
    size_t life_count;
    struct nummap *tops;       // life index << 16 | shard + 1 -> highest number seen + 1
    struct nummap *settled;    // tape << 48 | the same by the life's own shards -> highest number answered before its end + 1
};

struct plan_resolution {
    int64_t time_ns;
    char *name, *index;
    bool alias;
};

struct plan_seen {
    struct nummap *recent;     // exchanges taken, newer than floor
    struct nummap *highest;    // hash of index, life and shard -> highest number + 1
    uint64_t *floor, *newest;  // per tape: below floor all were taken
    struct plan_seen_mark *marks; // per tape a ring of PLAN_SEEN_MARKS: the first exchange of a second
    struct nummap *calls;      // by-query, mapping, ... taken: few, and they may take hours: never forgotten
    size_t tapes;
    bool incremental;          // a plan was made before
    struct plan_seen_type *types; // keys of documents must not change from plan to plan
    size_t type_count;
};
struct plan_seen_type {
    char *from, *type;
    bool several;
};
struct plan_seen_mark {
    int64_t time_ns;
    uint64_t exchange;
};
// What lies so many exchanges behind the newest, and was sent so many seconds before it, is below the floor.
enum { PLAN_SEEN_WINDOW = 100000, PLAN_SEEN_MARKS = 180 };

struct plan_point {            // an exchange named by --before or --skip
    size_t tape;
    uint64_t id;
    int64_t time_ns, answered_ns;
};

enum plan_error { PLAN_ERR_NONE, PLAN_ERR_DOC_MISSING, PLAN_ERR_CONFLICT, PLAN_ERR_INDEX_GONE, PLAN_ERR_INDEX_CLOSED, PLAN_ERR_BLOCKED, PLAN_ERR_OTHER };

enum rec_marks { REC_SKIPPED = 1, REC_HELD = 2, REC_UNSURE = 4, REC_MINTED = 8, REC_AFTER_SKIP = 16, REC_DONE = 32, REC_NOT_DONE = 64, REC_TIME_ORDER = 128,
                 REC_REBORN = 256 }; // its index had been emptied by a skipped operation: what it met is not what the target holds

struct op_rec {                // followed by id, routing, type
    uint64_t hash;             // of slot, id, shard or routing
    int64_t life;
    uint64_t exchange;
    int64_t time_ns, answered_ns, version, seq_no, primary_term;
    uint64_t source_at, source_bytes;
    uint32_t slot, item, op_flags, epoch, pipeline;
    int32_t shard;
    uint16_t tape, status, id_size, routing_size, type_size, marks;
    uint8_t kind, result, error, pad[5];
};
_Static_assert(sizeof(struct op_rec) == 128, "records are kept small: ten million of them are sorted");

struct doc_head {              // of a reduced document in the second sorter; followed by steps, id, routing, type
    uint64_t place;            // epoch and exchange of the first step: plan_place()
    uint32_t epoch, slot, flags, step_count, item;
    int32_t shard;
    uint64_t hash;
    int64_t held_seq, held_term, final_version;
    int64_t life, held_version;
    uint32_t id_size, routing_size, type_size, pad;
};

static inline uint64_t plan_place(uint32_t epoch, uint64_t exchange)
{
    return (uint64_t)epoch << 44 ^ exchange; // orders as (epoch, exchange): exchanges stay far below 2^44
}

struct plan_unanswered {       // an op whose answer nobody saw, to be judged by the holes
    uint64_t exchange;
    int64_t time_ns, life;
    uint32_t item, name;
    uint16_t tape;
    uint64_t document;         // plan_document()
    int shard;
    bool id_known;
    bool judged, done;
    int64_t seq_no, primary_term;
};

struct plan {
    struct plan_settings set;
    char *spill_dir;
    struct plan_slot *slots;
    size_t slot_count;
    struct plan_name *names;
    size_t name_count, name_room;
    struct map *name_of;       // text -> index + 1
    struct plan_resolution *resolutions;
    size_t resolution_count, resolution_room;
    struct plan_point before, *skips;
    size_t skip_count;
    bool has_before;
    struct plan_barrier *barriers;
    size_t barrier_count, barrier_room;
    struct plan_mapping *mappings;
    size_t mapping_count, mapping_room;
    struct plan_note *notes;
    size_t note_count, note_room;
    uint64_t note_total[PLAN_NOTES];
    char **texts;
    size_t text_count;
    struct map *text_of;
    struct check *check;
    struct plan_unanswered *unanswered;
    size_t unanswered_count, unanswered_room;
    struct plan_read *reads;   // of documents with unanswered writes, by document
    size_t read_count, read_room;
    struct nummap *unanswered_of; // hash of tape, exchange, item -> index + 1
    struct sorter *by_doc, *by_place;
    struct plan_count total;
    struct buf refusal, record; // record: the document being handed out
    uint64_t minted_exchange;  // cache for minting: whose connection is in mint_key
    size_t minted_tape;
    uint8_t mint_key[64];
    size_t mint_size;
    struct plan_largest largest;
    int64_t started_ns;        // when building began
    int64_t newest_ns;         // newest answer among the ops
    bool fail_memory;
    bool incremental;          // goes on where another plan stopped
    struct fault *fault;       // while building
};

// plan_names.c
bool plan_names_load(struct plan *p, struct fault *fault);           // lives and resolutions from the tapes, slots, points
int plan_names_find(struct plan *p, struct bytes text);              // -1: memory out
// The concrete name behind an asked one at a moment; an index of its own name wins where it lives. Borrowed.
struct bytes plan_names_resolve(struct plan *p, struct bytes asked, int64_t time_ns, bool *resolved);
size_t plan_names_life(struct plan *p, int name, const struct tape_op *t, int shard);
int plan_names_slot(struct plan *p, int name);                         // -1: not chosen, -2: memory out
// Appends the chosen slots that the call touches, each once. False: memory out.
bool plan_names_chosen(struct plan *p, const struct exchange *x, struct buf *slots);
bool plan_names_chosen_one(struct plan *p, struct bytes name, int64_t time_ns, struct buf *slots);
static inline size_t plan_slots_in(const struct buf *b)
{
    return b->size / sizeof(uint32_t);
}
void plan_names_free(struct plan *p);
bool plan_point_hit(const struct plan_point *pt, size_t tape, uint64_t exchange);
bool plan_seen_number(struct plan_seen *s, const char *index, int64_t life, int shard, int64_t seq_no); // false: memory out
bool plan_seen_add(struct plan_seen *s, size_t tape, uint64_t exchange, int64_t time_ns); // false: memory out
bool plan_seen_call(struct plan_seen *s, size_t tape, uint64_t exchange, bool *fresh); // false: memory out
bool plan_seen_types(struct plan *p); // the slots' types, those of earlier plans first; false: memory out
void plan_seen_settle(struct plan_seen *s); // after a plan: forgets what lies below the window
bool plan_is_skipped(const struct plan *p, size_t tape, uint64_t exchange);

// plan_calls.c: exchanges that are no document writes
bool plan_calls_load(struct plan *p, struct fault *fault);
bool plan_gaps_load(struct plan *p, struct fault *fault);

bool plan_barrier_add(struct plan *p, const struct tape_row *row, enum plan_barrier_kind kind, enum plan_admin admin, const struct buf *slots); // false: memory out
bool plan_call_held(const struct plan *p, const struct buf *slots, int64_t time_ns); // the restored copy has it, or a repeated deletion took it
bool plan_call_in_range(const struct plan *p, size_t tape, const struct exchange *x);

// plan_admin.c: administrative calls
void plan_barrier_free(struct plan_barrier *b);
void plan_deletions_find(struct plan *p); // admin: which deletions are made again
bool plan_admin_load(struct plan *p, struct fault *fault);
bool plan_collect_body(void *ctx, const struct body_piece *piece); // into a buf, up to a bound

// plan_ops.c: ops to records
bool plan_ops_load(struct plan *p, struct fault *fault);

// plan_reads.c
uint64_t plan_document(uint32_t slot, struct bytes id, int shard);
bool plan_reads_load(struct plan *p, struct fault *fault);
void plan_judge_reads(const struct plan *p, struct op_rec **ops, size_t count); // ordered ops of one document

// plan_judge.c
bool plan_judge_holes(struct plan *p, struct fault *fault);
void plan_judge_versions(struct op_rec **ops, size_t count);         // ordered ops of one document

// plan_doc.c: one document's records, ordered (plan_order.c) and reduced (plan_reduce.c) into the second sorter
bool plan_docs_reduce(struct plan *p, struct fault *fault);

// plan.c
bool plan_note_add(struct plan *p, enum plan_note_kind kind, const struct op_rec *rec, const char *format, ...) __attribute__((format(printf, 4, 5)));
void plan_refuse(struct plan *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
uint32_t plan_text_number(struct plan *p, struct bytes text);
static inline struct bytes rec_id(const struct op_rec *r)
{
    return bytes_of(r + 1, r->id_size);
}
static inline struct bytes rec_routing(const struct op_rec *r)
{
    return bytes_of((const uint8_t *)(r + 1) + r->id_size, r->routing_size);
}
static inline struct bytes rec_type(const struct op_rec *r)
{
    return bytes_of((const uint8_t *)(r + 1) + r->id_size + r->routing_size, r->type_size);
}
static inline struct bytes rec_own_type(const struct op_rec *r)
{
    return plan_own_type(rec_type(r));
}
static inline uint64_t rec_key(size_t tape, uint64_t exchange, uint32_t item)
{
    uint64_t k[3] = {tape, exchange, item};
    return map_hash(bytes_of(k, sizeof k), 0x65737461);
}
