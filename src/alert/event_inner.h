// Between event.c (decoding), field.c (the table of fields) and match.c.
#pragma once
#include "event.h"

void values_add_word(struct values *v, const char *word);
void values_add_int(struct values *v, int64_t n);
void values_add_real(struct values *v, double n);
void values_add_bool(struct values *v, bool truth);
void values_add_json(struct values *v, const struct json *j);

struct bytes event_decode(struct arena *a, struct bytes text, bool plus_is_space); // percent signs
void event_cut_path(struct event *e);                                              // fills stem and query
bool event_find_param(struct event *e, struct bytes wanted, struct bytes *found);
void event_try_body(struct event *e);                                              // body_text
struct json *event_json(struct event *e);                                          // the body as a tree, or NULL
bool event_may_hold(struct event *e, struct bytes path);                           // false: no value can stand under this path
void event_walk_json(const struct json *j, struct bytes path, struct values *out, unsigned depth);
void event_try_settings(struct event *e);
void event_try_ops(struct event *e);

// The value of a field that lies in the exchange as it is; false: it has none. Inline: every item of every rule asks.
static inline bool field_direct_value(enum field_direct kind, const struct field *f, const struct exchange *x, struct value *v)
{
    const void *at = (const uint8_t *)x + f->offset;
    switch (kind) {
    case DIRECT_INT:
    case DIRECT_STATUS: {
        int64_t n = kind == DIRECT_INT ? *(const int64_t *)at : x->status > 0 ? x->status : -1;
        *v = (struct value){.kind = VALUE_INT, .num = n, .real = (double)n};
        return n >= 0;
    }
    case DIRECT_FLAG: {
        bool truth = (x->flags & f->flag) != 0;
        *v = (struct value){VALUE_BOOL, truth ? bytes_of("true", 4) : bytes_of("false", 5), truth, truth};
        return true;
    }
    case DIRECT_TEXT: *v = (struct value){.kind = VALUE_TEXT, .text = *(const struct bytes *)at}; return v->text.size > 0;
    case DIRECT_NONE: break;
    }
    return false;
}
