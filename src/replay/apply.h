// Applies a plan to the target: bulks over several connections, compare-and-set, journal, dead letters, barriers.
#pragma once
#include "../tape/journal.h"
#include "fold.h"
#include "live.h"
#include "plan.h"
#include "preflight.h"
#include "target.h"

struct apply_report {
    uint64_t documents;      // of the plan
    uint64_t applied;        // documents brought to their end state by this run
    uint64_t already;        // there already (held, an earlier run, or nothing to do)
    uint64_t left_alone;     // somebody else had written them since the restore
    uint64_t refused;        // by the target, for good: in the dead-letter file
    uint64_t missing_base;   // an update whose document the target does not have
    uint64_t parity_lost;    // --exact-versions: written, but with another version
    uint64_t requests, actions, bytes, busy, retries; // busy: 429 and 503
    uint64_t barriers, barriers_different;
    uint64_t admin, admin_refused; // administrative calls made again, and those that the target refused
    uint64_t mapping_documents; // that decided new fields' types, see scout.h
    bool interrupted;
};

struct apply_progress {
    const struct apply_report *report;
    uint64_t documents_done, documents_total, actions_done;
    int64_t elapsed_ns;
    int64_t last_time_ns;    // recorded time of the newest step sent
};

struct apply_settings {
    struct plan *plan;
    struct source *source;
    struct target *target;
    const struct target_about *about;
    struct journal *journal;
    const struct preflight_index *indices; // one per slot, by name
    size_t index_count;
    const char *dead_letters; // file, made when something goes there
    unsigned lanes;
    bool exact, allow_gaps, run_unknown_barriers, mappings_as_they_are, following;
    bool no_mapping_calls;    // the user keeps the target's mapping
    bool to_follow;           // rounds will come behind this one
    const bool *stop;         // set from outside: finish what is under way, then return
    void (*progress)(void *ctx, const struct apply_progress *p);
    void *ctx;
    struct live *live;        // what live traffic deleted on the target since the restore; NULL: not known
};

uint64_t apply_own_key(uint64_t hash);    // of the journal's row with the number that our last write of a document got
uint64_t apply_source_key(uint64_t hash); // of the journal's row with a document's last applied source operation

// Mapping calls, missing indices, then all documents and barriers. False: fault (the journal holds what was done).
bool apply_run(const struct apply_settings *set, struct apply_report *report, struct fault *fault);
