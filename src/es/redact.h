// Takes secrets out of request targets and bodies before anything is handed on. Documents are data and stay whole.
//
// Which bodies: those of APIs that can carry secrets (a table by API name), those of unknown calls, and everything that is
// written into or answered from a security index. A body that has to be read to be redacted and cannot be read (not JSON,
// cut, still encoded, longer than BOUND_REDACT_BYTES_MAX) is dropped whole: it fails closed.
#pragma once
#include "../base/buf.h"
#include "path.h"
#include "route.h"

enum redact_mode {
    REDACT_NONE,   // nothing secret can be in it: passes as it comes
    REDACT_TREE,   // is read whole; values of secret members are replaced
    REDACT_STRICT, // is read whole; every text and number is replaced but the cluster's own words (ids, results, error types)
    REDACT_WHOLE,  // is replaced by a marker
};

struct redact_plan {
    enum redact_mode request, response;
};

// security_target: a name of the URL is a security index.
struct redact_plan redact_plan_of(const struct route_match *m, bool security_target);

// The request target as it may be stored: values of secret parameters and userinfo replaced. Views into `target` when
// nothing had to be changed. Empty when memory is out.
struct bytes redact_target(struct arena *a, struct bytes target, const struct redact_plan *plan, bool *changed);

// A whole body. False: it must be dropped (not JSON, or memory is out). An answer with a refusal (`refused`) may quote the
// request: its sentences go too.
struct redact_body {
    enum redact_mode mode;
    struct bytes api;
    bool response, refused;
    bool lines;   // NDJSON: every line is a value of its own
    bool scripts; // they write into a security index: go as its documents do
};
bool redact_json(const struct redact_body *how, struct bytes body, struct buf *out, bool *changed);

extern const char redact_marker_document[]; // stands for a document or a whole body: {"_redacted":"[redacted]"}
bool redact_name_is_secret(struct bytes name); // of a member or parameter

// Looks for the name of a security index in bytes that nothing can take apart (SMILE, a broken bulk): true from the piece on
// that brings one. Zeroed to begin with.
struct redact_watch {
    uint8_t tail[32];
    size_t tail_size;
    bool quoted; // only where the name begins a JSON string
    bool seen;
};
bool redact_watch(struct redact_watch *w, struct bytes bytes);
