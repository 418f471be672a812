// The journal of a replay: which documents the target acknowledged, so that an interrupted run resumes and a second one
// changes nothing. One file per target; it belongs to one cluster and one plan (see meta).
#pragma once
#include "../../include/fault.h"
#include "../base/buf.h"

enum journal_state {
    JOURNAL_NONE,
    JOURNAL_INTENT,  // a request for it was sent; whether it arrived is not known
    JOURNAL_DONE,    // acknowledged: the last number, term and version are the target's
    JOURNAL_LEFT,    // left alone: somebody else had written it
    JOURNAL_REFUSED, // the target refused it for good
    JOURNAL_OWN,     // keyed by document alone: the number our own last write of it got
};

struct journal_doc {
    enum journal_state state;
    int64_t seq_no, primary_term, version; // -1 unknown
    uint32_t steps;                        // steps of the document done so far
};

struct journal;
// Made when it is missing. Fault user: not a journal, or in use.
struct journal *journal_open(const char *path, struct fault *fault);
bool journal_close(struct journal *j, struct fault *fault);
// False: there is none (out untouched).
bool journal_meta(struct journal *j, const char *key, struct buf *out);
bool journal_set_meta(struct journal *j, const char *key, struct bytes value, struct fault *fault); // durable at once
bool journal_is_fresh(const struct journal *j); // no document was noted when it was opened: then intents and ends noted since are not found
bool journal_find(struct journal *j, uint64_t key, struct journal_doc *doc); // state NONE: no row
bool journal_put(struct journal *j, uint64_t key, const struct journal_doc *doc, struct fault *fault);
bool journal_commit(struct journal *j, struct fault *fault); // survives a crash of this program from here on
