// A document's steps become requests: full writes with partial updates folded in, deletes, updates for the target to run.
#pragma once
#include "plan.h"
#include "source.h"

enum fold_kind { FOLD_DELETE, FOLD_FULL, FOLD_UPDATE };

struct fold_action {
    enum fold_kind kind;
    struct buf body;        // FULL: the document; UPDATE: the update's body
    size_t steps;           // how many steps it stands for
    const struct plan_step *last; // the step whose version it ends at
    bool raw;               // FULL: the client's bytes as they were (nothing folded in)
    bool may_insert;        // UPDATE: its body can make the document (upsert, doc_as_upsert)
    bool scripted, collision, casualty, unsure;
    struct buf insert;      // UPDATE, not scripted: what it inserts where there is no document
    uint32_t pipeline;
};

struct fold_settings {
    bool combine;           // several partial updates may become one (versions are not kept)
    bool pipelined;         // the index has a default pipeline: a full document is not on the target as it was sent
    bool big_integers_kept; // source newer than version 5: integers beyond 64 bits survive updates
};

void fold_fini(struct fold_action *a);
// The action for steps[from...]. False: fault (user: a body cannot be had, or is no JSON).
bool fold_next(struct source *s, const struct plan_doc *doc, size_t from, const struct fold_settings *set, struct fold_action *out, struct fault *fault);
