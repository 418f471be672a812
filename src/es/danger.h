// The danger class of one exchange: what kind of loss or weakening this single call can cause (docs/semantics.md lists all).
//
// Needs the request alone, so that it can be told at the attempt. The highest class that fits wins; below medium there is none.
#pragma once
#include "path.h"
#include "route.h"
#include "target.h"
#include "../base/json.h"

enum danger_level { DANGER_NONE, DANGER_LOW, DANGER_MEDIUM, DANGER_HIGH, DANGER_CRITICAL };

enum danger_seen { // what streaming readers (bulk) saw in bodies that are never a tree
    DANGER_SEEN_SCRIPT = 1,        // an update item with a script
    DANGER_SEEN_SCRIPT_DELETE = 2, // ... that sets ctx.op to delete
};

struct danger_input {
    const struct route_match *route;
    const struct path_query *query;
    const struct json *body;           // the request's body as a tree; NULL: none, too large, or not JSON
    bool body_unread;                  // there was a body that could not be read: conditions on it count as met only where leaving it out is the danger
    const struct target_list *targets; // of URL and body
    struct bytes raw;                  // the body as text (its first 64 KiB do), for words that betray code; may be empty
    unsigned seen;                     // enum danger_seen
};

struct danger {
    const char *id;  // "index.delete.many"; NULL: none at medium or above
    enum danger_level level;
};

struct danger danger_of(const struct danger_input *in);
bool danger_body_matters(const struct route_match *m); // would a tree of the body change the verdict for this API
const char *danger_level_name(enum danger_level level); // "medium"
size_t danger_class_count(void);
bool danger_class_view(size_t which, struct danger *view); // the catalogue, for help and tests
// An inline script that deletes (ctx.op = 'delete'), as far as its text shows it.
bool danger_script_deletes(struct bytes script);
