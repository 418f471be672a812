// The door of alert: rules in the Sigma format run over exchanges as they pass; alerts come out. Knows no tape and no socket.
#pragma once
#include "../../include/exchange.h"
#include "../../include/fault.h"
#include "../../include/op.h"
#include "../../include/seen.h"
#include "../../include/stream.h"
#include "../base/buf.h"

enum alert_level { ALERT_INFORMATIONAL, ALERT_LOW, ALERT_MEDIUM, ALERT_HIGH, ALERT_CRITICAL, ALERT_LEVELS };
extern const char *const alert_level_names[ALERT_LEVELS];

// ---- rules ----------------------------------------------------------------------------------------------------------
struct rules;
// What is wrong with a rule file: one call per finding. `error`: the rule is refused; else a note.
typedef void rules_finding_fn(void *ctx, const char *file, int line, const char *rule, const char *text, bool error);

struct rules *rules_open(void);                  // empty; NULL: memory out
bool rules_add_builtin(struct rules *r, struct fault *fault);
// A file or a directory (every *.yml and *.yaml below it). A refused rule is told through `finding`; the others load.
bool rules_add(struct rules *r, const char *path, rules_finding_fn *finding, void *ctx, struct fault *fault);
bool rules_add_text(struct rules *r, const char *file, struct bytes text, rules_finding_fn *finding, void *ctx, struct fault *fault);
bool rules_disable(struct rules *r, const char *id_or_name_pattern);
bool rules_only(struct rules *r, const char *id_or_name_pattern, bool first); // leaves on what this names (first: and nothing else)
bool rules_seal(struct rules *r, rules_finding_fn *finding, void *ctx, struct fault *fault); // resolves correlations, builds the index by api, verb and field
size_t rules_count(const struct rules *r);
struct rule_view { const char *id, *name, *title, *description, *level, *file, *status; const char *const *tags; size_t tag_count; int line; bool correlation, enabled, refused, builtin, alone; struct bytes source; }; // alone: raises alerts itself, not only counted by others
bool rules_view(const struct rules *r, size_t which, struct rule_view *view);
void rules_close(struct rules *r);

// ---- evaluation -------------------------------------------------------------------------------------------------------
struct alert {
    char id[33];               // hash of rule id, rule version and exchange (or group and window): known at the attempt
    int64_t time_ns;           // of the exchange that raised it
    uint64_t exchange;         // 0: the recorder about itself
    enum alert_level level;
    const char *rule, *title;
    bool attempt;              // told before the outcome is known
    bool outcome;              // second word on an alert told as an attempt
    bool grouped;              // a summary of repeats that were counted into the first of their kind
    struct bytes text;         // for a woken person, one paragraph
    struct bytes json;         // the alert as `alerts --json` and sinks give it
};
typedef void alert_fn(void *ctx, const struct alert *alert); // everything borrowed until it returns

// Whether an alert's JSON is the first word on an attempt; and its second word, as JSON, where the recorder ended before the answer.
bool alert_is_attempt(struct bytes json);
void alert_end_unseen(struct bytes attempt, struct buf *json);

struct alert_settings {
    const char *tape_hint;     // text for the command to type next: "--tape DIR" or ""
    bool live;                 // false: the recorder's alerts about itself are never above low
    size_t state_bytes_max;    // of correlations and baselines; 0: 64 MiB
    bool profile;              // measure what each rule costs
};

struct alerter;
struct alerter *alert_open(const struct alert_settings *settings, struct rules *rules, alert_fn *fn, void *ctx); // borrows rules
void alert_attempt(struct alerter *a, const struct exchange *x);
void alert_done(struct alerter *a, const struct exchange *x);       // the outcome; also feeds baselines and correlations
void alert_ops(struct alerter *a, const struct op *ops, size_t count);
void alert_gap(struct alerter *a, const struct stream_gap *gap);
void alert_own(struct alerter *a, int64_t time_ns, const char *kind, const char *text); // the recorder about itself: kernel_loss, lag, disk, device_gone, silence, restart, clock_jump, sink_dead
// What is usual, for the next recorder: rows that changed since alert_saved; and each row again at the start, after a rebuild.
bool alert_save(struct alerter *a, seen_fn *put, void *ctx);
void alert_saved(struct alerter *a);                                 // all of it is stored
bool alert_load(void *alerter, const struct seen *seen);             // a seen_fn
void alert_tick(struct alerter *a, int64_t now_ns);
void alert_untold(struct alerter *a);                                // what was raised lately reached nobody: the next of each kind is told as the first
void alert_finish(struct alerter *a);                                // no more input: summaries and windows that wait are told
struct alert_stats { uint64_t events, evaluated, matched, raised, grouped, regex_limited, state_evicted; };
void alert_stats(const struct alerter *a, struct alert_stats *stats);
int64_t alert_memory_ns(const struct rules *rules);                  // how much of the tape before now a rebuild needs
// What follows comes from the tape: state is built, nothing is raised. sparse: it is not all of what was, so only
// correlations learn from it, not the baselines.
void alert_rebuild_begin(struct alerter *a, bool sparse);
void alert_rebuild_end(struct alerter *a);
// Where bodies come from for exchanges without a body_head whose request was kept (rows of a tape). NULL: nowhere.
typedef bool alert_body_fn(void *ctx, const struct exchange *x, struct buf *out);
void alert_body_source(struct alerter *a, alert_body_fn *fn, void *ctx);
// Where the ops of an exchange come from that alert_ops was not called for. fn hands each to `each`.
typedef void alert_each_op_fn(void *ctx, const struct op *op);
typedef void alert_ops_fn(void *ctx, const struct exchange *x, alert_each_op_fn *each, void *each_ctx);
void alert_ops_source(struct alerter *a, alert_ops_fn *fn, void *ctx);
// What one rule cost so far (time only with settings.profile, estimated from samples).
struct alert_rule_stats { uint64_t evaluated, matched, raised; int64_t spent_ns; };
void alert_rule_stats(const struct alerter *a, size_t rule, struct alert_rule_stats *stats);
void alert_close(struct alerter *a);
