// Before anything is written: what the target is, what the restored copy holds already, whether it may be written at all.
#pragma once
#include "../tape/journal.h"
#include "plan.h"
#include "target.h"

enum { PREFLIGHT_SHARDS_MAX = 1024, PREFLIGHT_UNSURE = 1000 };

struct preflight_index {
    char *name;
    bool exists, restored;     // restored: the cluster says it came from a snapshot
    char repository[256], snapshot[256];
    struct plan_seam seam;     // .to is name; arrays below
    int64_t max_seq[PREFLIGHT_SHARDS_MAX], sure_seq[PREFLIGHT_SHARDS_MAX];
    int64_t restored_ns;       // when the restore of its first shard began, by the cluster's clock, or WHEN_UNKNOWN
    bool pipeline;             // index.default_pipeline or final_pipeline is set
    uint64_t documents;
    char mapping_type[128];    // of version 5 and 6
};

struct preflight_settings {
    struct target *target;
    const struct target_about *about;
    struct journal *journal;   // may be NULL (first look); holds what an earlier run noted
    struct tape *tape;
    const char *snapshot;      // REPO/NAME, or NULL
    bool from_now_unknown_ok;  // the user bounded the range by --since: a copy without known origin is taken as it is
    int64_t since_ns;
};

// Fault user with the option that overrides it, or system. Notes the seam in the journal when there is one.
bool preflight_index(const struct preflight_settings *set, const char *name, struct preflight_index *out, struct fault *fault);
// Whether the account may write into an existing index: a delete that cannot succeed. Fault user: why not.
bool preflight_may_write(const struct preflight_settings *set, const struct preflight_index *p, struct fault *fault);
// The type of its documents on versions 5 and 6.
struct bytes preflight_type(const struct preflight_index *p);
// "_index":..,"_type":..,"_id":..,"routing":.. as the target's version wants them; routing_key: routing or parent
void preflight_write_ref(struct buf *b, const struct target_about *about, const struct preflight_index *p, const struct plan_doc *doc, const char *routing_key);
// A document of a _mget answer that the target could not read (its shard is not there): why. An index that is missing is an answer.
bool preflight_unread(const struct json *doc, char *why, size_t room);
// The largest request that the target takes, 0: it does not tell.
uint64_t preflight_request_max(struct target *t);
// Today's highest number of every shard.
bool preflight_numbers(struct target *t, const char *index, int64_t *max_seq, struct fault *fault);
void preflight_index_fini(struct preflight_index *p);
