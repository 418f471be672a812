// Finds the rules that could match an event without evaluating them: each rule is filed under values that it needs.
//
// A rule is filed under a set of (field, value) of which at least one must be present for it to match: of "and" the most
// selective part is enough, of "or" every part is needed. A rule without such a set is tried on every event.
#include "rule.h"

#include <stdlib.h>

enum { KEYS_MAX = 512, KEY_SIZE_MAX = 255 };

struct key {
    int field;
    struct bytes value;
    unsigned status;          // of FIELD_KEY_STATUS
};

struct key_set {
    bool found;
    struct key *at;
    size_t count;
    const struct item *item;  // the one that all of them come from, if finding one of them says that it matches
};

// How few events a field's value is likely to leave.
static int selectivity(const struct key_set *s)
{
    static const int worth[FIELD_KEYS] = {[FIELD_KEY_API] = 1, [FIELD_KEY_VERB] = 0, [FIELD_KEY_DANGER] = 2, [FIELD_KEY_INDEX] = 3,
                                           [FIELD_KEY_STATUS] = 2, [FIELD_KEY_REASON] = 4};
    int least = 9;
    for (size_t i = 0; i < s->count; i++)
        least = worth[s->at[i].field] < least ? worth[s->at[i].field] : least;
    return least;
}

static bool add_key(struct arena *r, struct key_set *s, int field, struct bytes value)
{
    if (value.size > KEY_SIZE_MAX || s->count == KEYS_MAX)
        return false;
    if (!s->at)
        s->at = arena_alloc(r, KEYS_MAX * sizeof *s->at);
    uint8_t *low = s->at ? arena_copy(r, value.at, value.size) : NULL;
    if (!low)
        return false;
    for (size_t i = 0; i < value.size; i++)
        low[i] = low[i] >= 'A' && low[i] <= 'Z' ? low[i] | 32 : low[i];
    s->at[s->count++] = (struct key){field, bytes_of(low, value.size), 0};
    return true;
}

static bool add_status(struct arena *r, struct key_set *s, double number)
{
    if (number < 1 || number >= 600 || number != (int)number || !add_key(r, s, FIELD_KEY_STATUS, (struct bytes){0}))
        return false;
    s->at[s->count - 1].status = (unsigned)number;
    return true;
}

static bool add_test(struct arena *r, struct key_set *s, int field, const struct test *t)
{
    if (field == FIELD_KEY_STATUS)
        return t->kind == TEST_NUMBER && add_status(r, s, t->number);
    if (t->kind == TEST_ANY) {
        for (size_t i = 0; i < t->any_count; i++)
            if (!add_test(r, s, field, &t->any[i]))
                return false;
        return t->any_count > 0;
    }
    return t->kind == TEST_PATTERN && t->pattern.shape == SHAPE_EXACT && !t->pattern.folded && add_key(r, s, field, t->pattern.core);
}

static struct key_set keys_of_item(struct arena *r, const struct item *item)
{
    struct key_set s = {.found = false};
    int field;
    if (item->keyword || item->negated || !field_is_key(&item->field, &field))
        return s;
    bool implied = item->field.direct && !item->all;
    for (size_t i = 0; i < item->test_count; i++) {
        if (!add_test(r, &s, field, &item->tests[i]))
            return (struct key_set){.found = false};
        implied &= item->tests[i].kind != TEST_ANY && !item->tests[i].pattern.cased;
    }
    s.found = s.count > 0;
    s.item = implied ? item : NULL;
    return s;
}

static struct key_set keys_of(struct arena *r, const struct expr *e)
{
    struct key_set best = {.found = false};
    switch (e->kind) {
    case EXPR_ITEM: return keys_of_item(r, e->item);
    case EXPR_NOT: return best;
    case EXPR_AND:
        for (const struct expr *c = e->first; c; c = c->next) {
            struct key_set s = keys_of(r, c);
            if (s.found && (!best.found || selectivity(&s) > selectivity(&best) ||
                            (selectivity(&s) == selectivity(&best) && s.count < best.count)))
                best = s;
        }
        return best;
    case EXPR_OR: break;
    }
    for (const struct expr *c = e->first; c; c = c->next) {
        struct key_set s = keys_of(r, c);
        if (!s.found)
            return s;
        for (size_t i = 0; i < s.count; i++) {
            if (!add_key(r, &best, s.at[i].field, s.at[i].value))
                return (struct key_set){.found = false};
            best.at[best.count - 1].status = s.at[i].status;
        }
    }
    best.found = best.count > 0;
    return best;
}

// ---- which rules the answer cannot change -----------------------------------------------------------------------------

static bool tests_request(const struct item *item)
{
    if (item->keyword || !field_of_request(&item->field))
        return false;
    for (size_t i = 0; i < item->test_count; i++)
        if (item->tests[i].kind == TEST_FIELD && !field_of_request(&item->tests[i].field))
            return false;
    return true;
}

static bool asks_request(const struct expr *e)
{
    if (e->kind == EXPR_ITEM)
        return tests_request(e->item);
    for (const struct expr *c = e->first; c; c = c->next)
        if (!asks_request(c))
            return false;
    return true;
}

static bool file_under(struct rules *r, struct rule *rule, const struct key *key)
{
    if (key->field == FIELD_KEY_STATUS) {
        struct rule_list *of_status = &r->status[key->status];
        return (of_status->count && of_status->at[of_status->count - 1] == rule) || rule_list_add(of_status, rule);
    }
    if (!r->index[key->field])
        r->index[key->field] = map_open();
    union map_value *v = r->index[key->field] ? map_put(r->index[key->field], key->value, NULL) : NULL;
    if (!v)
        return false;
    if (!v->ptr)
        v->ptr = mem_zero(1, sizeof(struct rule_list));
    struct rule_list *list = v->ptr;
    if (list && list->count && list->at[list->count - 1] == rule)
        return true; // the same value twice
    return list && rule_list_add(list, rule);
}

void index_build(struct rules *r)
{
    struct arena scratch; // key sets live as long as their rule is being filed
    arena_init(&scratch, 0);
    for (size_t i = 0; i < r->all.count; i++, arena_reset(&scratch)) {
        struct rule *rule = r->all.at[i];
        if (rule->refused || !rule->expr || rule->is_filter || !rule->needed)
            continue;
        order_children(rule->expr);
        rule->request_only = asks_request(rule->expr);
        struct key_set s = keys_of(&scratch, rule->expr);
        bool ok = true;
        rule->implied = s.found ? s.item : NULL;
        for (size_t k = 0; s.found && k < s.count; k++)
            ok &= file_under(r, rule, &s.at[k]);
        if (!s.found)
            ok = rule_list_add(&r->always, rule);
        if (!ok)
            r->memory_out = true;
    }
    arena_fini(&scratch);
}

static void mark_list(const struct rule_list *list, struct rule_list *out, uint32_t *marks, uint32_t mark)
{
    for (size_t i = 0; i < list->count; i++) {
        struct rule *rule = list->at[i];
        if (marks[rule->number] == mark)
            continue;
        marks[rule->number] = mark;
        out->at[out->count++] = rule;
    }
}

static void look_up(const struct rules *r, int field, struct bytes value, struct rule_list *out, uint32_t *marks, uint32_t mark)
{
    uint8_t low[KEY_SIZE_MAX];
    if (!r->index[field] || !value.size || value.size > sizeof low)
        return;
    for (size_t i = 0; i < value.size; i++)
        low[i] = value.at[i] >= 'A' && value.at[i] <= 'Z' ? value.at[i] | 32 : value.at[i];
    union map_value *v = map_find(r->index[field], bytes_of(low, value.size));
    if (v && v->ptr)
        mark_list(v->ptr, out, marks, mark);
}

void index_candidates(const struct rules *r, struct event *e, struct rule_list *out, uint32_t *marks, uint32_t mark)
{
    const struct exchange *x = e->x;
    out->count = 0;
    mark_list(&r->always, out, marks, mark);
    look_up(r, FIELD_KEY_API, x->api, out, marks, mark);
    look_up(r, FIELD_KEY_VERB, x->verb, out, marks, mark);
    look_up(r, FIELD_KEY_DANGER, x->danger, out, marks, mark);
    look_up(r, FIELD_KEY_REASON, x->reason, out, marks, mark);
    if (x->status > 0 && x->status < 600)
        mark_list(&r->status[x->status], out, marks, mark);
    if (r->index[FIELD_KEY_INDEX]) {
        for (size_t i = 0; i < x->target_count; i++)
            look_up(r, FIELD_KEY_INDEX, x->targets[i], out, marks, mark);
        for (size_t i = 0; i < x->index_count; i++)
            look_up(r, FIELD_KEY_INDEX, x->indices[i].index, out, marks, mark);
    }
    for (size_t i = 1, at; i < out->count; i++) { // few, and mostly in order
        struct rule *rule = out->at[i];
        for (at = i; at > 0 && out->at[at - 1]->number > rule->number; at--)
            out->at[at] = out->at[at - 1];
        out->at[at] = rule;
    }
}
