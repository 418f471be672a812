// The target against the plan, document by document: presence, source as JSON value, version where it was to be kept.
#pragma once
#include "apply.h"

enum verify_difference { VERIFY_MISSING, VERIFY_SHOULD_BE_GONE, VERIFY_SOURCE, VERIFY_VERSION, VERIFY_DIFFERENCES };

struct verify_report {
    uint64_t documents, equal, different, missing, should_be_gone, version_different;
    uint64_t present_only; // scripts or pipelines made it: its presence was checked, its content cannot be known
    uint64_t left_alone;   // somebody else wrote it since the restore (as the journal of the replay tells)
    uint64_t written_since; // differs, and somebody else wrote or deleted it after the replay: no fault of the replay's
    uint64_t refused;      // the target had refused it
    uint64_t unsampled;    // not in the sample, or not wanted
};

struct verify_settings {
    struct plan *plan;
    struct source *source;
    struct target *target;
    const struct target_about *about;
    const struct preflight_index *indices;
    size_t index_count;
    struct journal *journal; // may be NULL: then nobody's writes are told from the replay's own
    struct live *live;       // what live traffic deleted; NULL: not known
    uint64_t sample;         // 0: all; else about so many documents, chosen evenly by their hash
    bool exact, allow_gaps; // allow_gaps: what cannot be read off the tape is not compared
    bool (*wanted)(void *ctx, const struct plan_doc *doc); // only these documents; NULL: all
    // since: it counts as written_since
    void (*difference)(void *ctx, const struct plan_doc *doc, enum verify_difference what, bool since, struct bytes want, struct bytes have);
    void *ctx;
};
void verify_add(struct verify_report *to, const struct verify_report *from); // what was compared, added up
bool verify_run(const struct verify_settings *set, struct verify_report *report, struct fault *fault);
