// Takes a bulk request apart while it passes: action lines become items, document lines are only measured.
//
// The grammar is that of the cluster's own parser: an action line, then a document line except after delete; \r\n is
// tolerated, empty lines between items are skipped, a missing final newline is tolerated here though not by the cluster.
// Memory: one action line (at most BULK_LINE_MAX) and the queue of items, which its budget bounds.
#pragma once
#include "opqueue.h"

#define BULK_LINE_MAX (256 * 1024) // of an action line; the cluster's ids are at most 512 bytes
#define BULK_SCRIPT_MAX 4096           // of an update's document line, looked at for what its script does
#define BULK_RUNS_MAX 32           // stretches of items between holes; behind the last nothing is taken apart any more

// What the URL says for items that do not say it themselves.
struct bulk_defaults {
    struct bytes index, type, routing, pipeline;
    bool require_alias;
};

enum bulk_guard { BULK_KEEP, BULK_REDACT, BULK_EXCLUDE };

struct bulk_hooks {
    void *ctx;
    // May this index's documents reach the tape?
    enum bulk_guard (*guard)(void *ctx, struct bytes index);
    // The body as it may be stored: in order, cut anywhere. Offsets of items count these bytes.
    void (*out)(void *ctx, struct bytes bytes);
    // The document line of an update with a script, its first BULK_SCRIPT_MAX bytes. May be NULL.
    void (*script)(void *ctx, struct bytes source);
    // Bytes that belong to no item that could be read (behind a malformed line): the receiver decides.
    void (*unread)(void *ctx, struct bytes bytes);
    // That many bytes stay away: behind a hole, nobody knows to which index they belong.
    void (*withheld)(void *ctx, uint64_t size_bytes);
};

// Items that stand together: between two holes of the request, nothing is missing among them.
struct bulk_run {
    uint64_t items;   // in the queue
    bool torn_front;  // bytes are missing before it: an unknown number of items
    bool torn_back;   // the last item of the run has a hole (OP_HOLE), and so may have items behind it
};

struct bulk_totals {
    uint64_t items;      // taken apart
    uint64_t unheld;     // of these, not in the queue: its budget was spent
    uint64_t redacted;   // documents replaced in the stored body
    uint64_t by_kind[OP_KINDS], scripted;
    bool malformed;      // a line is no action: nothing behind it was taken apart
    bool holes;
    bool blind;          // bytes passed that could not be taken apart (still content-coded, SMILE, too many holes)
    struct bulk_run runs[BULK_RUNS_MAX];
    size_t run_count;
};

struct bulk;
struct bulk *bulk_open(const struct bulk_defaults *defaults, const struct bulk_hooks *hooks, struct opqueue *items); // NULL: memory out
void bulk_feed(struct bulk *b, struct bytes bytes);
// Bytes that were never seen, `size_bytes` of the body as it is stored. The next item begins at a line that is an action.
void bulk_hole(struct bulk *b, uint64_t size_bytes);
void bulk_end(struct bulk *b); // no more bytes
const struct bulk_totals *bulk_total(const struct bulk *b);
void bulk_close(struct bulk *b);

// One action line, complete: false when it is none. Strings are views into `line`, or into `into` where escapes had to be
// resolved (it must have room for the whole line). Offsets are not filled.
bool bulk_read_action(struct bytes line, const struct bulk_defaults *defaults, struct buf *into, struct op_ask *ask);
// Members of a document line of an update that decide how it can be repeated: a scan of any size, fed in pieces.
struct bulk_peek {
    unsigned depth;
    bool in_string, escaped, after_key, literal_next;
    uint8_t key[20], key_size, literal;
    uint32_t flags; // OP_SCRIPTED, OP_UPSERT, OP_NOOP_DETECT_OFF
};
void bulk_peek_feed(struct bulk_peek *p, struct bytes bytes);
