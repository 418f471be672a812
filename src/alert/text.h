// The words of an alert: one paragraph for a woken person, one JSON object for programs. For the files of this folder.
#pragma once
#include "correlate.h"

struct telling {
    const struct rule *rule;    // NULL: the recorder about itself
    const char *kind;           // of that
    struct bytes own_text;
    enum alert_level level;
    const char *title;
    const char *id;
    int64_t time_ns;
    uint64_t exchange;
    struct event *event;        // NULL: none at hand
    const struct fired *fired;  // of a correlation
    const char *tape_hint;
    bool attempt, outcome;
    uint64_t repeats;           // > 0: a summary
    int64_t repeats_from_ns;
};

void telling_text(const struct telling *t, struct buf *out);
void telling_json(const struct telling *t, struct bytes text, struct buf *out);
// Printable, without control characters, cut at `most` bytes between characters.
void text_add_safe(struct buf *out, struct bytes text, size_t most);
