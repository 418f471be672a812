// What a rule sees: one exchange with its derived facts, asked by field name. Decoding happens when a rule asks, once.
#pragma once
#include "../../include/exchange.h"
#include "../../include/op.h"
#include "../base/buf.h"
#include "../base/json.h"

struct baseline;

enum value_kind { VALUE_TEXT, VALUE_INT, VALUE_REAL, VALUE_BOOL, VALUE_NULL, VALUE_TIME };

struct value {
    enum value_kind kind;
    struct bytes text; // of a number only as it was written, see value_text
    int64_t num;       // int, bool, time (ns)
    double real;       // int and real
};

struct values {
    struct value *at;
    size_t count, room;
};

// Item counts of the exchange's ops, gathered before its last word.
struct op_counts {
    uint32_t kinds[OP_KINDS];
    uint32_t overwritten; // full writes that replaced a document
    uint32_t scripted;
};

// Needs event_begin once; event_set for each exchange. Everything it gives is valid until the next event_set.
struct event {
    const struct exchange *x;
    bool attempt;
    const struct op_counts *ops;   // NULL: none
    struct baseline *baseline;     // NULL: its fields are missing
    struct arena arena;
    bool (*body_fn)(void *ctx, const struct exchange *x, struct buf *out); // for rows of a tape
    void *body_ctx;
    struct buf fetched;
    void (*ops_fn)(void *ctx, const struct exchange *x, void (*each)(void *, const struct op *), void *each_ctx);
    void *ops_ctx;
    bool ops_tried;
    struct op_counts ops_found;
    bool body_tried, body_parsed, body_escapes, path_cut;
    struct json *body;             // of event_json
    struct bytes body_text;        // body_head, or the body in ?source=
    unsigned digits;               // of the longest number in it
    bool digits_known;
    struct bytes stem, query;      // decoded path without query; query as sent
    struct values settings_names;  // canonical names
    const struct json **settings_nodes;
    bool settings_tried;
    char ip[2][48];
    bool ip_done[2];
    char time_text[2][40];
};

void event_begin(struct event *e);
void event_set(struct event *e, const struct exchange *x, bool attempt, const struct op_counts *ops, struct baseline *baseline);
void event_end(struct event *e);

struct field;
typedef void field_fn(struct event *e, const struct field *f, struct values *out);
// Fields of one value that lies in the exchange as it is: no list is made of it where one is enough.
enum field_direct { DIRECT_NONE, DIRECT_INT, DIRECT_STATUS, DIRECT_FLAG, DIRECT_TEXT };
struct field {
    field_fn *get;
    enum field_direct direct;
    size_t offset;      // in struct exchange
    uint32_t flag;      // for flags
    struct bytes path;  // for body., param. and setting. fields: what stands behind the dot
};

// Resolves a field name as rules write it. False: unknown, *why says what to do.
bool field_find(struct arena *a, struct bytes name, struct field *f, const char **why);
const char *field_nearest(struct bytes name);                   // a known name that resembles it, or NULL
bool field_name(size_t which, const char **name, const char **meaning); // the table, from 0; meaning NULL: another name for one above
bool field_of_request(const struct field *f);                   // its value is the same at the attempt and with the answer
bool field_is_key(const struct field *f, int *key);             // one of the fields that rules are indexed by
bool field_of_body(const struct field *f);                      // a path into the body
unsigned field_cost(const struct field *f);                     // of having its values, in rough units: what is cheap is asked first
enum { FIELD_KEY_API, FIELD_KEY_VERB, FIELD_KEY_DANGER, FIELD_KEY_INDEX, FIELD_KEY_STATUS, FIELD_KEY_REASON, FIELD_KEYS };

enum { VALUE_TEXT_ROOM = 40 };
struct bytes value_text(const struct value *v, char room[VALUE_TEXT_ROOM]); // numbers are spelt into room
void op_counts_add(struct op_counts *counts, const struct op *op);
void values_clear(struct values *v);
void values_fini(struct values *v);
bool values_add(struct values *v, struct value value);
void values_add_text(struct values *v, struct bytes text);

unsigned event_digits(struct event *e);                         // no number in the body has more digits before its point
// Every text of the event that keywords are looked for in.
void event_texts(struct event *e, struct values *out);

enum agent_kind { AGENT_NONE, AGENT_CLIENT, AGENT_TOOL, AGENT_BROWSER, AGENT_KIBANA };
enum agent_kind agent_kind_of(struct bytes agent, struct bytes opaque_id);
extern const char *const agent_kind_names[];
const char *event_client_ip(struct event *e);
