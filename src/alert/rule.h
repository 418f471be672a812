// What a loaded rule is made of. For the files of this folder; the door is alert.h.
#pragma once
#include "alert.h"
#include "match.h"
#include "yaml.h"

#include "../base/map.h"

enum correlation_type { CORRELATE_EVENT_COUNT, CORRELATE_VALUE_COUNT, CORRELATE_VALUE_SUM, CORRELATE_TEMPORAL, CORRELATE_TEMPORAL_ORDERED };
enum bound_op { BOUND_GT, BOUND_GTE, BOUND_LT, BOUND_LTE, BOUND_EQ, BOUND_NEQ };
enum { RULES_PER_CORRELATION_MAX = 16, GROUP_KEYS_MAX = 8 };

struct rule;
struct group_key {
    struct bytes name;
    struct field field[RULES_PER_CORRELATION_MAX]; // by referenced rule
};

struct correlation {
    enum correlation_type type;
    struct rule *rules[RULES_PER_CORRELATION_MAX];
    size_t rule_count;
    int64_t timespan_ns;
    struct group_key keys[GROUP_KEYS_MAX];
    size_t key_count;
    struct bytes value_name;
    struct field value[RULES_PER_CORRELATION_MAX];
    struct {
        enum bound_op op;
        double number;
    } bounds[2];
    size_t bound_count;
    bool generate;
    bool at_end;      // has an upper bound: judged when the window closes
};

struct feed { // a correlation that counts this rule's matches
    struct rule *correlation;
    size_t which;
};

struct rule {
    const char *id, *name, *title, *description, *level_name, *status, *file;
    const char **tags;
    size_t tag_count;
    int line;
    enum alert_level level;
    struct bytes source;
    uint64_t version;      // hash of the source
    size_t number;         // place in the set
    bool enabled, refused, is_correlation, is_filter, builtin;
    bool silent;           // feeds correlations only
    bool sees_own;         // names the field `own`
    bool sealed;
    bool request_only;     // names fields of the request alone: judged at the attempt, it need not be judged again
    bool needed;           // it alerts, or a correlation that is needed counts it
    struct yaml *doc;
    struct expr *expr;
    const struct item *implied; // matches whenever the index leads to the rule
    struct correlation *correlation;
    struct feed *feeds;
    size_t feed_count;
};

struct rule_list {
    struct rule **at;
    size_t count, room;
};

struct rules {
    struct arena arena;
    struct rule_list all;
    struct map *placeholders;     // name -> struct yaml * (a list)
    struct map *index[FIELD_KEYS]; // lower-case value -> struct rule_list *
    struct rule_list status[600];  // of FIELD_KEY_STATUS, by number
    struct rule_list always;      // rules that no key narrows down
    struct regex **regexes;
    size_t regex_count, regex_room;
    bool memory_out;
};

// One rule file being read.
struct loader {
    struct rules *rules;
    const char *file;
    struct rule *rule;     // whose name findings carry
    rules_finding_fn *finding;
    void *ctx;
    size_t errors;
};

void loader_refuse(struct loader *l, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
void loader_note(struct loader *l, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
const char *loader_text(struct loader *l, struct bytes text); // copied into the set's arena
bool rule_list_add(struct rule_list *list, struct rule *rule);
bool rules_keep_regex(struct rules *r, struct regex *regex);

void rule_read_head(struct loader *l, struct yaml *doc, struct rule *rule); // what it does not find as it should be is refused there
struct expr *detection_compile(struct loader *l, const struct yaml *detection, bool filter); // NULL: refused
bool item_compile(struct loader *l, const struct yaml *entry, struct item *item);            // one `field|modifiers: values`
struct correlation *correlation_compile(struct loader *l, const struct yaml *doc);
struct rule *rules_find(const struct rules *r, struct bytes id_or_name);
void order_children(struct expr *e); // cheap tests first
void index_build(struct rules *r);
// Rules that could match the event, each once; marks has room for all.
void index_candidates(const struct rules *r, struct event *e, struct rule_list *out, uint32_t *marks, uint32_t mark);
