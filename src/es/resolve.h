// Which concrete index a name stood for: aliases, data streams, date math, write aliases, learned from any answer that tells.
#pragma once
#include "../../include/record.h"
#include "../base/json.h"

#define RESOLVE_NAMES_MAX 65536 // past it the table starts anew: resolutions are told again, nothing is lost

struct resolve;
typedef void resolve_told_fn(void *ctx, const struct resolution *r);
struct resolve *resolve_open(resolve_told_fn *fn, void *ctx); // NULL: memory out
void resolve_close(struct resolve *r);

// fn is called when the name is new or stands for another index than before.
void resolve_learn(struct resolve *r, int64_t time_ns, struct bytes name, struct bytes index, const char *kind);
bool resolve_find(struct resolve *r, struct bytes name, struct bytes *index); // borrowed until the next learn

// What a write's answer tells: the name asked for and the index that took the document.
void resolve_learn_write(struct resolve *r, int64_t time_ns, struct bytes asked, struct bytes index);
// {index:{"aliases":{alias:{...}}}} and the same inside cluster state; [{"alias":..,"index":..}] of _cat; data streams.
// A name of several indices resolves only where one is its write index.
void resolve_learn_answer(struct resolve *r, int64_t time_ns, const struct json *answer);

// The same as columns of text: alias, index, ..., is_write_index. `heading`: the first line names the columns.
void resolve_learn_columns(struct resolve *r, int64_t time_ns, struct bytes text, bool heading);

// The actions of an _aliases request: adds of one alias to one index, and indices it removes. The views borrow from `body`.
struct resolve_action {
    struct bytes name, index; // name empty: the index is deleted (remove_index)
    bool write_index;         // it says so itself; else the alias may have another index that takes the writes
};
typedef void resolve_action_fn(void *ctx, const struct resolve_action *action);
void resolve_read_actions(const struct json *body, resolve_action_fn *fn, void *ctx);
// The aliases that a call making `index` gives it: {"aliases":{alias:{...}}}.
void resolve_read_aliases(const struct json *body, struct bytes index, resolve_action_fn *fn, void *ctx);
