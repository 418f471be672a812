// Which API a request line is: verb and path looked up in the table of published routes (route_table.h, made by tools/routes).
//
// Resolution follows the node's own resolver: the path is cut at '/' before percent-decoding, literals are compared
// undecoded, trailing slashes are ignored, an empty segment in the middle is a value; literal templates win over a wildcard
// in the first segment, over one in the last, over wildcards anywhere; of several fitting templates the first that has the
// verb wins. Which templates exist depends on the server's version.
#pragma once
#include "../../include/bytes.h"
#include "route_api.h" // enum api: API_NONE, API_BULK, API_INDICES_DELETE, ... one per published API name

enum route_version { // one bit per product and major version
    ROUTE_ES5 = 1, ROUTE_ES6 = 2, ROUTE_ES7 = 4, ROUTE_ES8 = 8, ROUTE_ES9 = 16, ROUTE_OS1 = 32, ROUTE_OS2 = 64, ROUTE_OS3 = 128,
    ROUTE_ANY = 255,
    ROUTE_WITH_TYPES = ROUTE_ES5 | ROUTE_ES6 | ROUTE_ES7 | ROUTE_OS1, // mapping types stand in paths
};

enum route_flags {
    ROUTE_WRITE = 1,       // changes data or configuration
    ROUTE_ADMIN = 2,       // of these: indices, metadata, configuration, security rather than documents
    ROUTE_DOC = 4,         // writes one document named by the path (index, create, update, delete)
    ROUTE_BULK = 8,        // its body is bulk NDJSON
    ROUTE_BY_QUERY = 16,   // delete_by_query, update_by_query, reindex: counts only in the answer
    ROUTE_NDJSON = 32,     // the body is lines of JSON (bulk, msearch, find_structure ...)
    ROUTE_BODY = 64,       // the API takes a body
    ROUTE_SECRET = 128,    // request or answer of this API can carry secrets
    ROUTE_TYPED = 256,     // the template holds a mapping type
    ROUTE_LEGACY = 512,    // /_xpack, /_opendistro and other retired spellings
    ROUTE_HITS = 1024,     // the answer holds documents
    ROUTE_SERVER_ONLY = 2048, // registered by nodes, in no published list
};

#define ROUTE_PARTS_MAX 6

struct route_part {
    const char *name;  // as in the template: "index", "id", "type", "name", "repository", "snapshot" ...
    struct bytes raw;  // that segment, not decoded; borrowed from the path
};

struct route_match {
    enum api api;         // API_NONE: no published route fits
    uint32_t flags;       // enum route_flags
    unsigned versions;    // in which of the asked versions this reading holds (enum route_version bits)
    const char *template; // "/{index}/_doc/{id}"; NULL when unknown
    const char *action;   // the transport action of this spelling; "" where no source names one
    struct route_part parts[ROUTE_PARTS_MAX];
    size_t part_count;
};

// `path` without the query. `versions`: what the server may be (enum route_version bits); several: the newest in which the
// path means something decides; ROUTE_ANY when nothing is known. False (and API_NONE): unknown in all of them.
bool route_find(struct bytes verb, struct bytes path, unsigned versions, struct route_match *match);
// The part of that name, undecoded; empty when the template has none (*found, may be NULL, tells).
struct bytes route_part(const struct route_match *match, const char *name, bool *found);

// Names of an API. Its action as the newest product names it; products that share the API's name may call it otherwise, so a
// matched call's own is in route_match. Empty where no source gives one.
struct bytes route_api_name(enum api api);
struct bytes route_api_action(enum api api);
enum api route_api_by_name(struct bytes name); // API_NONE when there is none

// major*10000+minor*100+patch, +1000000 for OpenSearch (struct exchange's server_version) -> its bit; 0 when it is none of them.
unsigned route_version_bit(uint32_t server_version);
