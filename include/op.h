// One document write inside an exchange, joined from the request's item and the answer's.
#pragma once
#include "bytes.h"

enum op_kind { OP_INDEX, OP_CREATE, OP_UPDATE, OP_DELETE, OP_KINDS };

enum op_result {
    OP_UNKNOWN,   // no answer was seen for it
    OP_CREATED,
    OP_UPDATED,
    OP_DELETED,
    OP_NOT_FOUND, // a delete that found nothing: accepted, consumes a sequence number
    OP_NOOP,
    OP_FAILED,    // refused: status and error_type say why
    OP_DROPPED,   // a pipeline dropped it
    OP_ACCEPTED,  // 2xx, but the answer's details were filtered out
    OP_RESULTS
};

enum op_flags {
    OP_SCRIPTED = 1,        // update by script
    OP_UPSERT = 2,          // upsert or doc_as_upsert given
    OP_ID_MINTED = 4,       // the cluster chose the id
    OP_ID_UNKNOWN = 8,      // the cluster chose it and the answer hid it
    OP_HOLE = 16,           // bytes of the item are missing
    OP_EXTERNAL = 32,       // version_type external or external_gte
    OP_EXTERNAL_GTE = 64,
    OP_PIPELINE = 128,      // a pipeline was named in the request
    OP_INDEX_ASKED = 256,   // index is the requested name: the answer did not say the concrete one
    OP_REQUIRE_ALIAS = 512,
    OP_CAS = 1024,          // if_seq_no/if_primary_term or an internal version was given
    OP_REDACTED = 2048,     // its document was redacted (written into a security index)
    OP_NOOP_DETECT_OFF = 4096, // detect_noop:false
    OP_FROM_BULK = 8192,
    OP_PARENT = 16384,      // version 5 to 6: routing is the document's _parent
};

#define OP_NONE INT64_C(-1)

// Strings are borrowed until the call that hands the op over returns.
struct op {
    uint64_t exchange;      // id of the exchange it belongs to
    uint32_t item;          // place in the bulk, from 0
    enum op_kind kind;
    enum op_result result;
    uint32_t flags;         // enum op_flags
    int status;             // per-item HTTP status, 0 unknown
    struct bytes asked;     // index as requested (item or URL), empty when the same as `index`
    struct bytes index;     // concrete index where the answer says, else as requested (OP_INDEX_ASKED)
    struct bytes type;      // mapping type of 5.x to 7.x, empty or _doc otherwise
    struct bytes id;
    struct bytes routing;   // empty: none. 5.x parent stands here too
    struct bytes pipeline;
    struct bytes error_type;
    struct bytes index_uuid; // where an error told it, else empty
    int shard;              // where an error told it, else -1
    int64_t version, seq_no, primary_term; // OP_NONE where unknown
    int64_t asked_version;  // external version asked for, else OP_NONE
    uint64_t action_at, action_bytes; // the item's action line in the decoded request body
    uint64_t source_at, source_bytes; // its document, doc or script body there; 0 bytes: none
};
