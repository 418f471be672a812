// One exchange on its way through es, and the state that all exchanges share. For the es_* files alone.
//
// Flow: request (head: who, route, targets, plan) -> request_body -> request_end (targets of the body, danger, attempt)
// -> response -> response_body -> response_end -> close (outcome, rest of the ops, done).
// 1. Nothing of a body reaches the record sink but through es_body_emit, which only redacted bytes may enter.
// 2. Bulk bodies are never collected; what is collected of others is bounded and counted in es.held.
// 3. done is the last word: bodies and ops of the exchange have left before.
#pragma once
#include "answer.h"
#include "bulk.h"
#include "danger.h"
#include "es.h"
#include "life.h"
#include "path.h"
#include "reads.h"
#include "redact.h"
#include "resolve.h"
#include "route.h"
#include "target.h"
#include "task.h"
#include "version.h"
#include "who.h"
#include "op.h"

#define ES_TREE_BYTES_MAX (1024 * 1024)       // a body that is read as a tree for what it names
#define ES_HELD_BYTES_MAX (24 * 1024 * 1024)  // collected bodies of all exchanges together
#define ES_ITEMS_BYTES_MAX (40 * 1024 * 1024) // items of all bulks between request and answer
#define ES_CALL_ARENA_MAX (4 * 1024 * 1024)   // names of one exchange
#define ES_INDICES_MAX 4096                   // indices counted per exchange

struct es {
    struct record_sink sink;
    struct message_sink door;
    enum es_bodies bodies;
    bool read_requests, ops;
    char **exclude;
    size_t exclude_count;
    struct who_table *whos;
    struct version_table *versions;
    struct op_budget items, held;
    struct resolve *resolve;
    struct life *life;
    struct task *task;
    struct es_stats stats;
};

// One side's body while it passes.
struct es_body {
    bool keep;          // may be stored at all
    enum redact_mode mode;
    bool lines;         // NDJSON
    bool decodable;     // JSON by its content type
    bool collect;       // into `whole`, for redaction or a tree
    size_t collect_max;
    struct buf whole;
    bool over;          // longer than collect_max, or memory is out
    bool broken;        // a hole, or still content-coded: cannot be read as a whole
    bool marked;        // the marker that stands for it has left
    bool dropped;       // failed closed
    bool watched;       // cannot be taken apart: let through until a security index is named in it
    bool guarded;       // may hold documents of one: behind a hole, or once a coding cannot be undone, nothing more is let through
    struct redact_watch watch;
    bool emitted, missing;
    uint64_t bytes;     // that left
};

// An alias that would point to an index, or (no name) an index that would be deleted.
struct es_action {
    struct bytes name, index;
    bool write_index;
};

struct call {
    struct es *es;
    struct arena arena;
    struct exchange x;
    struct route_match route;
    struct path_query query;
    struct who who;
    struct target_list targets;
    struct redact_plan plan;
    bool security, excluded, target_redacted, attempted, write_verb;
    unsigned danger_seen;
    bool request_complete, request_ended, response_ended, response_ended_whole;
    struct exchange_index *noted, asked; // concrete indices that the answer named; else the one asked for
    size_t noted_count, noted_room;

    struct es_body request, response;
    struct buf head;        // first bytes of the request as stored, for rules
    struct buf line;        // a header line of msearch under way
    bool line_is_body;
    struct op_join *join;   // document writes in it
    struct bulk *bulk;
    struct answer_bulk *answers;
    struct reads *reads;
    struct bulk_peek peek;  // of a single update
    bool single;            // one document write named by the path
    struct op_ask ask;      // of it

    bool answered;          // an answer's head was seen
    bool answer_complete, answer_scannable;
    int64_t answer_end_ns;
    struct es_action *actions; // what an _aliases request would change
    size_t action_count, action_room;
    bool renames;           // a restore under other names
    bool running;           // an async search that goes on
    struct buf location;    // Location header of the answer
    struct answer_head told;
    struct buf told_text;
    bool told_read;
    bool items_filtered;        // a filter_path that may leave out items of a bulk's answer
    bool errors_kept;           // and leaves out only those that went well
};

// es_request.c
void es_request_open(struct call *c, const struct request_head *head);
void es_request_feed(struct call *c, const struct body_piece *piece);
void es_request_end(struct call *c, const struct message_end *end);
// es_answer.c
void es_answer_open(struct call *c, const struct response_head *head);
void es_answer_feed(struct call *c, const struct body_piece *piece);
void es_answer_end(struct call *c, const struct message_end *end);
// es_outcome.c: fills outcome, reason, documents
void es_outcome(struct call *c, const struct exchange_end *end);

// Bytes that may be stored leave here; also fills the head for rules.
void es_body_emit(struct call *c, enum body_side side, struct bytes bytes);
// The same for bytes that nothing could take apart, and for holes.
void es_body_emit_unread(struct call *c, enum body_side side, const struct body_piece *piece);
void es_body_hole(struct call *c, enum body_side side, const struct body_piece *piece);
// A hole in a body as it comes: the body cannot be read as a whole any more.
void es_body_note_hole(struct call *c, enum body_side side, const struct body_piece *piece);
// Collects for later; false when it does not fit any more (then `over` is set).
bool es_body_collect(struct call *c, struct es_body *b, struct bytes bytes);
void es_body_release(struct call *c, struct es_body *b);
// The collected body leaves redacted, or is dropped.
void es_body_finish(struct call *c, enum body_side side, bool refused);
bool es_header_is_json(struct bytes content_type, bool *lines);
struct bytes es_header(const struct header *headers, size_t count, const char *name);
// Is it a security index, or a name that is known to stand for one?
bool es_is_security(const struct es *e, struct bytes name);
bool es_is_excluded(const struct es *e, struct bytes index);
// es_learn.c
void es_keep_told(struct call *c);
void es_note_index(struct call *c, struct bytes index);
struct bytes es_location_id(struct call *c, struct bytes location);
void es_learn_shape(struct call *c, const struct op_answer *answer);
bool es_learn_matters(const struct call *c);   // is a tree of the answer wanted
void es_learn(struct call *c, const struct json *answer);
void es_learn_text(struct call *c, struct bytes text); // an answer in columns
bool es_learn_open(struct es *e);
void es_learn_close(struct es *e);
bool es_learn_asks(const struct call *c);                       // is a tree of the request wanted
void es_learn_request(struct call *c, const struct json *body, struct bytes text); // targets that ids stand for, actions
void es_learn_handle(void *ctx, const char *name, struct bytes value); // a reads_handle_fn
void es_learn_write(void *ctx, const struct op *op);            // an answered write
void es_learn_outcome(struct call *c);                          // lives and names that an acknowledged call changed
bool es_filter_keeps_items(struct bytes filter); // a filter_path that leaves an entry for every item of a bulk
bool es_filter_keeps_errors(struct bytes filter); // one that leaves out only what went well
struct bytes es_keep(struct call *c, struct bytes text); // a copy in the exchange's arena
