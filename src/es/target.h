// Which indices a call was asked to touch: expressions of URL and body, each once, in order, as asked.
//
// URL first, then body. Comma lists are split after decoding (clients send %2C), exclusions stay "-x", wildcards and date
// math stay unresolved, "cluster:index" stays whole.
#pragma once
#include "../../include/bytes.h"
#include "../base/json.h"
#include "../base/mem.h"
#include "path.h"
#include "route.h"

#define TARGET_MAX 4096 // more than this in one exchange: the rest is counted in `dropped`

struct target_list {
    struct arena *arena;   // holds the list and copies of the names
    struct bytes *at;
    size_t count, room;
    uint32_t *slots;       // index by hash, once the list is long
    size_t slot_count;
    uint64_t dropped;
    bool wildcard;         // *, _all, a pattern or an exclusion is among them
    bool all;              // "_all" or "*" is among them
    bool failed;           // memory ran out: names are missing
};

void target_init(struct target_list *t, struct arena *a);
void target_add(struct target_list *t, struct bytes name);            // one name, already decoded; copied when new
void target_add_list(struct target_list *t, struct bytes expression); // decoded comma list
// Names in the path (index, alias, data stream, target, ... parts, by API) and in query parameters that name indices.
void target_add_url(struct target_list *t, const struct route_match *m, const struct path_query *q);
// Names in a whole parsed body: _aliases, reindex, mget, rollover, resize, restore, templates' patterns, data streams, SQL,
// PPL, ES|QL, enrich, transform, rollup, CCR, ILM and ISM moves ... NULL body is fine.
void target_add_body(struct target_list *t, const struct route_match *m, const struct json *body);
bool target_body_matters(const struct route_match *m); // does target_add_body read anything for this API
// One header line of msearch or msearch template ({"index":"a,b"} or {}): true when it named an index.
bool target_add_msearch_header(struct target_list *t, struct bytes line);
// The names in FROM (SQL, ES|QL) or source=/index= (PPL) of a query text.
enum target_language { TARGET_SQL, TARGET_ESQL, TARGET_PPL };
void target_add_query_text(struct target_list *t, enum target_language language, struct bytes text);

bool target_is_wildcard(struct bytes name);        // *, _all, a pattern, an exclusion
bool target_is_system(struct bytes name);          // .kibana*, .security*, .opendistro_security, .ds-*, audit logs ... or a pattern that only fits such
bool target_is_security(struct bytes name);        // .security*, .opendistro_security, .opensearch-security, .kibana_security*
bool target_may_be_security(struct bytes name); // also a wildcard that can meet one
