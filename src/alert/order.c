// Puts what is cheap to ask first: of "and" and "or" the children are sorted by what their fields and tests cost.
//
// Tests have no side effects, so their order changes nothing but the time. The contents of the nodes move, not the nodes: a
// selection that a condition names twice is one list of children under two parents.
#include "rule.h"

static unsigned cost_of_test(const struct test *t, unsigned field)
{
    unsigned cost = 0;
    switch (t->kind) {
    case TEST_ANY:
        for (size_t i = 0; i < t->any_count && cost < 10000; i++)
            cost += cost_of_test(&t->any[i], field);
        return cost;
    case TEST_REGEX: return field * 4;
    case TEST_PATTERN: return t->pattern.folded ? field * 4 : t->pattern.shape == SHAPE_CONTAINS || t->pattern.shape == SHAPE_GENERAL ? 2 + field / 2 : 1;
    case TEST_FIELD: return field_cost(&t->field) + 4;
    default: return 1;
    }
}

static unsigned cost_of(const struct expr *e)
{
    unsigned cost = 0;
    if (e->kind == EXPR_ITEM) {
        unsigned field = e->item->keyword ? 100 : field_cost(&e->item->field);
        cost = field;
        for (size_t i = 0; i < e->item->test_count && cost < 10000; i++)
            cost += cost_of_test(&e->item->tests[i], field);
        return cost;
    }
    for (const struct expr *c = e->first; c && cost < 100000; c = c->next)
        cost += cost_of(c);
    return cost;
}

static void swap_contents(struct expr *a, struct expr *b)
{
    struct expr was = *a, *a_next = a->next, *b_next = b->next;
    *a = *b;
    *b = was;
    a->next = a_next;
    b->next = b_next;
}

void order_children(struct expr *e)
{
    for (struct expr *c = e->first; c; c = c->next)
        order_children(c);
    for (bool changed = e->kind == EXPR_AND || e->kind == EXPR_OR; changed;) { // few children; equal ones keep their order
        changed = false;
        for (struct expr *c = e->first; c && c->next; c = c->next)
            if (cost_of(c->next) < cost_of(c)) {
                swap_contents(c, c->next);
                changed = true;
            }
    }
}
