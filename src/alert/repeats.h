// The rate guard: of a kind of alert the first is told, repeats are counted and told in a summary. For the files of this folder.
#pragma once
#include "rule.h"

// A kind is the rule, who and from where; for level high also on what.
struct repeat {
    struct rule *rule;
    int64_t first_ns, last_ns;
    uint64_t count, last_exchange;
    char *who;
};
typedef void repeat_fn(void *ctx, const struct repeat *r);

struct repeats;
struct repeats *repeats_open(repeat_fn *summary, void *ctx); // NULL: memory out
void repeats_close(struct repeats *r);
// False: it was counted and will be told in a summary. Critical ones are never counted, nor what there is no memory for.
bool repeats_is_first(struct repeats *r, struct rule *rule, struct event *e);
void repeats_end(struct repeats *r, int64_t now_ns);         // summaries that are due; INT64_MAX: all
void repeats_forget_counts(struct repeats *r);
void repeats_forget(struct repeats *r);                      // nothing was told so far: the next of each kind is the first
