// What version a server speaks: given by the user, or learned from its answers; decides how ambiguous paths are read.
#pragma once
#include "../../include/message.h"
#include "../base/json.h"
#include "es.h"
#include "route.h"

struct version_table;
struct version_table *version_open(const struct es_version_of *given, size_t count); // NULL: memory out
void version_close(struct version_table *v);

// Exact number (as struct exchange's server_version), 0 while unknown. A major alone is known as e.g. 80000.
uint32_t version_of(struct version_table *v, const struct endpoint *server);
// What the server may be, for route_find: ROUTE_ANY while nothing is known, one bit once the version is.
unsigned version_mask(struct version_table *v, const struct endpoint *server);

// Learning. What was given wins always; what the server says of itself wins over what shapes suggest.
void version_learn_head(struct version_table *v, const struct endpoint *server, const struct response_head *head);
void version_learn_answer(struct version_table *v, const struct endpoint *server, enum api api, const struct json *answer); // GET /, _nodes, _cluster/stats

enum version_shape {
    VERSION_SHAPE_TYPE,    // a write's answer has _type: 5 to 7, OpenSearch 1
    VERSION_SHAPE_NO_TYPE, // ... has _id and no _type (and nothing was filtered): 8 and later, OpenSearch 2 and later
    VERSION_SHAPE_NO_SEQ,  // ... has _version and no _seq_no on success (and nothing was filtered): 5
    VERSION_SHAPE_SEQ,     // ... has _seq_no: 6 and later
};
void version_learn_shape(struct version_table *v, const struct endpoint *server, enum version_shape shape);
bool version_answer_matters(enum api api);
// "7.10.2", "opensearch-2.19", "os2" -> number; false when it is none.
bool version_parse(struct bytes text, uint32_t *version);
// Does a request ask an 8.x node for 7.x compatibility (Accept or Content-Type with compatible-with=7)?
bool version_asks_compatible_7(const struct request_head *head);
