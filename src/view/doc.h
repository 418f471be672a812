// The history of one document: every write with who and how, and what changed between versions.
#pragma once
#include "../tape/read.h"
#include "out.h"

struct doc_write {          // one op on the document; texts are borrowed
    struct op op;
    size_t tape;
    int64_t time_ns, answered_ns;
    uint32_t life;
    struct bytes who, client, agent, api;
    struct bytes source;    // its document, doc or script body
    enum tape_body_state source_state;
};

struct doc {
    struct bytes index, id; // as asked
    const char *const *tapes; // names where there are several, else NULL
    struct doc_write *writes;
    size_t count;
};

// Puts the writes in the cluster's own order: by index, life, then primary term and sequence number where known, else time of the answer.
void doc_sort(struct doc *d);
bool doc_print(struct out *o, const struct doc *d);   // false: memory out or the output is gone
bool doc_json(struct buf *out, const struct doc *d);  // the members "index" to "versions" of an object that the caller closes
