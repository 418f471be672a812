// What replay, verify, export, check and snapshots have in common: which writes, which target, whose account.
#pragma once
#include "../base/option.h"
#include "../replay/apply.h"
#include "../replay/plan.h"
#include "../replay/target.h"
#include "../view/out.h"

enum { REPLAY_REFUSED = 3 }; // exit status: refused before writing, a decision is missing

struct replay_choice {
    struct option_list tapes, index, maps, skip;
    const char *before, *unknown, *casualties;
    int64_t since, until;
    bool allow_gaps, exact, admin;
};
struct replay_account {
    const char *target, *user, *api_key_file, *ca, *snapshot, *journal;
    bool insecure;
};

#define CHOICE_AT(base, field) ((base) + offsetof(struct replay_choice, field))
#define ACCOUNT_AT(base, field) ((base) + offsetof(struct replay_account, field))
#define REPLAY_CHOICE_OPTIONS(base) \
    {0, "Which writes", OPTION_GROUP, 0, NULL, NULL, NULL, false}, \
    {'i', "index", OPTION_LIST, CHOICE_AT(base, index), "PATTERN", "Writes to this index ('*' is a wildcard), through whatever alias they came; default: the indices of --before, --skip or --map.", NULL, false}, \
    {'m', "map", OPTION_LIST, CHOICE_AT(base, maps), "FROM=TO", "Writes recorded for index FROM (or through alias FROM) go to index TO. May be repeated.", NULL, false}, \
    {'b', "before", OPTION_TEXT, CHOICE_AT(base, before), "ID", "Stop just before this exchange. If it ended the life of an index, all of that life counts.", NULL, false}, \
    {'k', "skip", OPTION_LIST, CHOICE_AT(base, skip), "ID", "Leave this exchange out and go on as if it had never been sent. May be repeated.", NULL, false}, \
    {'S', "since", OPTION_TIME, CHOICE_AT(base, since), "TIME", "Only writes from this moment on, by the recorder's clock.", NULL, false}, \
    {'U', "until", OPTION_TIME, CHOICE_AT(base, until), "TIME", "Only writes before this moment.", NULL, false}, \
    {0, "Decisions", OPTION_GROUP, 0, NULL, NULL, NULL, false}, \
    {0, "unknown", OPTION_CHOICE, CHOICE_AT(base, unknown), "HOW", "Writes without an answer of which nothing shows whether they happened: fail (refuse and say which; the default), skip or apply.", "fail|skip|apply", false}, \
    {0, "casualties", OPTION_CHOICE, CHOICE_AT(base, casualties), "HOW", "Writes that were refused only because of a skipped operation: list (the default; the exit status says so) or apply.", "list|apply", false}, \
    {0, "admin", OPTION_FLAG, CHOICE_AT(base, admin), NULL, "Recorded administrative calls are made again: deletions of the chosen indices (the target index is deleted first, only the last life is written), their settings, blocks and aliases, and templates, pipelines and stored scripts. Default: left out and counted; mapping calls are always made.", NULL, false}, \
    {0, "allow-gaps", OPTION_FLAG, CHOICE_AT(base, allow_gaps), NULL, "Go on although writes are missing on the tape, or their bodies are.", NULL, false}

#define REPLAY_ACCOUNT_OPTIONS(base) \
    {0, "Target", OPTION_GROUP, 0, NULL, NULL, NULL, false}, \
    {'T', "target", OPTION_TEXT, ACCOUNT_AT(base, target), "URL", "The cluster to write to: http://HOST:PORT or https://HOST:PORT.", NULL, false}, \
    {0, "user", OPTION_TEXT, ACCOUNT_AT(base, user), "NAME", "Account of the target. The password comes from $ESTAPE_PASSWORD or is asked for. Without --user: $ESTAPE_USER, else ~/.netrc.", NULL, false}, \
    {0, "api-key-file", OPTION_TEXT, ACCOUNT_AT(base, api_key_file), "FILE", "A file with the encoded API key (base64 of id:key). Or $ESTAPE_API_KEY.", NULL, false}, \
    {0, "ca", OPTION_TEXT, ACCOUNT_AT(base, ca), "FILE", "Certificates to trust (PEM).", NULL, false}, \
    {0, "insecure", OPTION_FLAG, ACCOUNT_AT(base, insecure), NULL, "Do not check the target's certificate.", NULL, false}, \
    {0, "snapshot", OPTION_TEXT, ACCOUNT_AT(base, snapshot), "REPO/NAME", "The snapshot that the target was restored from, where the target does not say.", NULL, false}, \
    {0, "journal", OPTION_TEXT, ACCOUNT_AT(base, journal), "FILE", "Where to note what the target acknowledged; default replay-*.db in the (first) tape.", NULL, false}

// The choice as plan settings; free with replay_choice_fini. Borrows from the options.
struct replay_made {
    struct plan_settings settings;
    struct plan_map *maps;
    struct buf text; // NUL-terminated halves of --map
};
bool replay_choice_make(const struct replay_choice *c, struct tape *tape, struct replay_made *out, struct fault *fault);
void replay_choice_fini(struct replay_made *made);

// Opens the target with the account from options, environment, files or a prompt, and learns what it is.
struct target *replay_target_open(const struct replay_account *a, unsigned lanes, struct target_about *about, struct fault *fault);

// The whole way to a plan for a target: a first plan names the indices, pre-flight looks at them, the second knows the cut.
struct replay_run {
    struct replay_made made;
    struct plan *plan;
    struct target *target;
    struct target_about about;
    struct journal *journal;
    char journal_path[4096];
    struct preflight_index *indices;
    struct plan_seam *seams;
    size_t index_count;
    struct plan_seen *seen; // set before opening: the plan begins a series
    bool refused; // the fault is a missing decision, exit status 3
};
bool replay_run_open(struct replay_run *r, const struct replay_choice *c, const struct replay_account *a, struct tape *tape, unsigned lanes, bool write, struct fault *fault);
// The journal's note of when a cut-over blocked writes: what that refused is no casualty.
#define REPLAY_BLOCKED "blocked"
void replay_run_close(struct replay_run *r);

// The plan for people, and as one JSON object (no line feed behind).
void replay_print_plan(struct out *o, const struct plan *p, struct tape *t, bool exact);
void replay_json_plan(struct buf *out, const struct plan *p, struct tape *t);
void replay_print_check(struct out *o, const struct check *c, const struct plan *p, bool holes);
void replay_json_check(struct buf *out, const struct check *c, const struct plan *p);
