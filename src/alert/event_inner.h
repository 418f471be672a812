// Between event.c (decoding) and field.c (the table of fields).
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
