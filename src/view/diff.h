// What changed between two JSON documents, path by path; and an update's merge, as the cluster does it.
#pragma once
#include "../base/json.h"

enum diff_kind { DIFF_ADD, DIFF_REMOVE, DIFF_REPLACE };
// path: "a.b" (a member's name with a dot in it stands in quotes); from or to is NULL where there is none.
typedef bool diff_fn(void *ctx, enum diff_kind kind, struct bytes path, const struct json *from, const struct json *to);
// Objects are compared member by member, everything else as a value. from NULL: every member of `to` was added. False: fn stopped, or memory out.
bool diff_json(const struct json *from, const struct json *to, diff_fn *fn, void *ctx);
// `base` with `patch` laid over it: objects merge, other values replace. New nodes from the arena; NULL: memory out.
struct json *diff_merge(struct arena *a, const struct json *base, const struct json *patch);
