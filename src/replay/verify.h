// The target against the plan, document by document: presence, source as JSON value, version where it was to be kept.
#pragma once
#include "apply.h"

enum verify_difference { VERIFY_MISSING, VERIFY_SHOULD_BE_GONE, VERIFY_SOURCE, VERIFY_VERSION };

struct verify_report {
    uint64_t documents, equal, different, missing, should_be_gone, version_different;
    uint64_t present_only; // scripts or pipelines made it: its presence was checked, its content cannot be known
    uint64_t left_alone;   // somebody else wrote it since the restore (as the journal of the replay tells)
    uint64_t refused;      // the target had refused it
    uint64_t unsampled;    // not in the sample, or outside the times
};

struct verify_settings {
    struct plan *plan;
    struct source *source;
    struct target *target;
    const struct target_about *about;
    const struct preflight_index *indices;
    size_t index_count;
    struct journal *journal; // may be NULL
    uint64_t sample;         // 0: all; else about so many documents, chosen evenly by their hash
    bool exact, allow_gaps; // allow_gaps: what cannot be read off the tape is not compared
    int64_t since_ns, until_ns; // only documents whose last recorded write was sent in [since, until); 0: open
    void (*difference)(void *ctx, const struct plan_doc *doc, enum verify_difference what, struct bytes want, struct bytes have);
    void *ctx;
};
bool verify_run(const struct verify_settings *set, struct verify_report *report, struct fault *fault);
