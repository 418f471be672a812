// Partial updates folded into a document by the cluster's merge rules (XContentHelper.update).
#pragma once
#include "../base/json.h"

// Maps merge recursively, everything else (arrays, scalars, null) replaces. *changed tells whether the cluster would call
// it a change (detect_noop compares values; numbers by their Java type and value). The result lives in the arena and may
// share nodes with both inputs, which stay valid but must not be used any more. NULL: memory out.
struct json *merge_update(struct arena *a, const struct json *base, const struct json *doc, bool *changed);

// Whether merging first `a`, then `b` onto any base equals merging `merge_update(a, b)` onto it. False when b brings a map
// where a brings something else (that map would meet a's value, not the base's).
bool merge_can_combine(const struct json *a, const struct json *b);

// The cluster parses and writes a document again when it updates it. True where that keeps every number's value:
// integers up to 18 digits, decimals up to 15 significant digits with a small exponent.
bool merge_numbers_plain(const struct json *j);
