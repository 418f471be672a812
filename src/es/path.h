// Request targets taken apart: path and query, percent-decoding, query parameters as the node reads them.
#pragma once
#include "../../include/bytes.h"
#include "../base/mem.h"

// "http://host/a?b" (refused by nodes, seen from proxies), "/a?b#c" -> path "/a", query "b". Both borrowed.
void path_split(struct bytes target, struct bytes *path, struct bytes *query);

// Percent-decoding into the arena (or `raw` itself when there is nothing to decode). Invalid UTF-8 becomes U+FFFD as in the
// node; a malformed escape, which the node refuses with 400, stays as it is and sets *malformed (may be NULL).
// `plus`: '+' is a space (queries always; paths on versions 5 and 6). Empty on memory out.
struct bytes path_decode(struct arena *a, struct bytes raw, bool plus, bool *malformed);

struct path_param {
    struct bytes name, value; // decoded
    struct bytes raw_name, raw_value;
    bool bare;                // no '=' was there
};

struct path_query {
    struct path_param *at;
    size_t count;
    bool malformed, cut;      // cut: more than 256 parameters, the rest was left out
};

// Separators are '&' and ';' as in the node. Arena memory; the raw views point into `query`.
void path_query_read(struct arena *a, struct bytes query, struct path_query *q);
// The last of that name decides, as in the node. NULL: not given.
const struct path_param *path_query_find(const struct path_query *q, const char *name);
struct bytes path_query_value(const struct path_query *q, const char *name); // empty: not given or empty
bool path_query_true(const struct path_query *q, const char *name, bool otherwise); // given bare or "" counts as true
int64_t path_query_int(const struct path_query *q, const char *name, int64_t otherwise);
