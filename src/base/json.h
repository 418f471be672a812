// Reading and writing JSON: a push scanner for streams of any size, a small tree for bodies that fit in memory, a writer.
#pragma once
#include "../../include/bytes.h"
#include "buf.h"
#include "mem.h"

// ---- the scanner: fed in pieces cut anywhere, constant memory, never reads past its input -------------------------
enum json_event {
    JSON_OBJECT, JSON_OBJECT_END, JSON_ARRAY, JSON_ARRAY_END,
    JSON_KEY,    // text: the key, escapes resolved, UTF-8 (lone surrogates become U+FFFD)
    JSON_STRING, // text: as above
    JSON_NUMBER, // text: as written
    JSON_TRUE, JSON_FALSE, JSON_NULL,
    JSON_DOC_END // a whole top-level value ended (several may follow each other)
};

struct json_token {
    enum json_event event;
    struct bytes text;   // borrowed until the callback returns; cut at text_max with `cut` set
    bool cut;
    unsigned depth;      // of the container the token stands in; 0 top level
    uint64_t at, end;    // byte range in the whole input: [at, end), raw, quotes included
};

// A callback's answer. JSON_SKIP is honoured for JSON_OBJECT, JSON_ARRAY and JSON_KEY: the container (or the key's value)
// is passed over quickly (brackets and strings only) and its END event still comes (for a key: nothing comes). JSON_LEAVE is
// honoured for JSON_STRING: the rest of the container that it stands in is passed over so.
enum json_do { JSON_GO, JSON_SKIP, JSON_LEAVE, JSON_STOP };
typedef enum json_do json_fn(void *ctx, const struct json_token *token);

struct json_scan;
struct json_scan *json_open(json_fn *fn, void *ctx, size_t text_max); // NULL: memory out
// False once the input is not JSON (or the callback said JSON_STOP): further input is ignored until json_reset.
bool json_feed(struct json_scan *s, struct bytes piece);
bool json_end(struct json_scan *s);   // no more input: true when it ended between values
bool json_malformed(const struct json_scan *s);
void json_reset(struct json_scan *s); // ready for a new document; offsets start at 0 again
void json_close(struct json_scan *s);

// ---- the tree: whole documents; numbers keep their spelling; key order and duplicate keys are kept ----------------
enum json_kind { JSON_KIND_NULL, JSON_KIND_FALSE, JSON_KIND_TRUE, JSON_KIND_NUMBER, JSON_KIND_STRING, JSON_KIND_ARRAY, JSON_KIND_OBJECT };
struct json {
    enum json_kind kind;
    struct bytes text;       // string value (escapes resolved) or number as written
    struct bytes key;        // when it is a member of an object
    struct json *first, *next; // children, siblings
    size_t count;            // children
    struct bytes raw;        // the source bytes of this value, in the parsed input (borrowed from it)
};
// Memory from the arena; strings without escapes and raw point into `text`, which must live as long. NULL: not JSON,
// deeper than BOUND_JSON_DEPTH, or memory out; *error_at (may be NULL) tells where.
struct json *json_parse(struct arena *a, struct bytes text, size_t *error_at);
struct json *json_member(const struct json *object, const char *key);      // last one of that name, NULL if none or no object
struct json *json_path(const struct json *from, const char *dotted);       // "query.match_all"; no escaping
bool json_is_text(const struct json *j, const char *text);
int64_t json_int(const struct json *j, int64_t otherwise);                 // integers only (also "123" strings)
bool json_true(const struct json *j);
bool json_equal(const struct json *a, const struct json *b);               // as values: member order free, 1 == 1.0 == 1e0, last duplicate wins

// ---- the writer ---------------------------------------------------------------------------------------------------
void json_write_text(struct buf *out, struct bytes text);                  // quoted; invalid UTF-8 becomes U+FFFD
void json_write(struct buf *out, const struct json *j);                    // compact; numbers as written
void json_write_pretty(struct buf *out, const struct json *j, int indent);
