// Compiles a correlation document: which rules it counts, by what, in which time, and how many are too many.
#include "rule.h"

#include <stdlib.h>

static bool parse_timespan(struct bytes text, int64_t *span_ns)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    int64_t n = 0;
    size_t i = 0;
    for (; i < text.size && text.at[i] >= '0' && text.at[i] <= '9' && n < 1000000; i++)
        n = n * 10 + (text.at[i] - '0');
    if (!i || i + 1 != text.size || !n)
        return false;
    for (size_t u = 0; u < sizeof units / sizeof *units; u++)
        if (text.at[i] == (uint8_t)units[u].unit) {
            *span_ns = n * units[u].seconds * WHEN_NS_PER_S;
            return true;
        }
    return false;
}

static bool take_type(struct loader *l, const struct yaml *y, struct correlation *c)
{
    static const char *const names[] = {"event_count", "value_count", "value_sum", "temporal", "temporal_ordered"};
    static const char *const others[] = {"value_avg", "value_percentile", "value_median"};
    for (size_t i = 0; y && i < sizeof names / sizeof *names; i++)
        if (bytes_equal_text(y->text, names[i])) {
            c->type = (enum correlation_type)i;
            return true;
        }
    for (size_t i = 0; y && i < sizeof others / sizeof *others; i++)
        if (bytes_equal_text(y->text, others[i])) {
            loader_refuse(l, y->line, "correlations of type '%s' are not supported", others[i]);
            return false;
        }
    loader_refuse(l, y ? y->line : l->rule->line, "the type must be event_count, value_count, value_sum, temporal or temporal_ordered");
    return false;
}

static bool take_rule(struct loader *l, const struct yaml *y, struct correlation *c)
{
    struct rule *rule = y->kind == YAML_SCALAR ? rules_find(l->rules, y->text) : NULL;
    if (!rule || rule->is_filter || rule->refused || rule == l->rule) {
        loader_refuse(l, y->line, "the rule '%.*s' %s", (int)y->text.size, y->kind == YAML_SCALAR ? (const char *)y->text.at : "",
                      !rule ? "is not among those loaded" : rule == l->rule ? "is this correlation itself" : "was refused");
        return false;
    }
    if (c->rule_count == RULES_PER_CORRELATION_MAX) {
        loader_refuse(l, y->line, "a correlation joins at most %d rules", RULES_PER_CORRELATION_MAX);
        return false;
    }
    c->rules[c->rule_count++] = rule;
    return true;
}

static bool take_rules(struct loader *l, const struct yaml *y, struct correlation *c)
{
    if (!y || (y->kind == YAML_LIST && !y->count) || y->kind == YAML_MAP) {
        loader_refuse(l, y ? y->line : l->rule->line, "'rules' must name one rule or more");
        return false;
    }
    if (y->kind == YAML_SCALAR)
        return take_rule(l, y, c);
    bool ok = true;
    for (const struct yaml *one = y->first; one; one = one->next)
        ok &= take_rule(l, one, c);
    return ok;
}

// The field that `name` means for one of the rules: an alias says so, else it is the field of that name.
static bool resolve(struct loader *l, const struct yaml *aliases, struct bytes name, int line, const struct rule *rule, struct field *f)
{
    const struct yaml *alias = NULL;
    for (const struct yaml *a = aliases ? aliases->first : NULL; a && !alias; a = a->next)
        if (bytes_equal(a->key, name))
            alias = a;
    struct bytes field = name;
    if (alias) {
        const struct yaml *m = rule->name ? yaml_member(alias, rule->name) : NULL;
        if (!m && rule->id)
            m = yaml_member(alias, rule->id);
        if (!m) {
            loader_refuse(l, alias->line, "the alias '%.*s' says nothing about the rule '%s'", (int)name.size, (const char *)name.at,
                          rule->name ? rule->name : rule->id ? rule->id : rule->title);
            return false;
        }
        field = m->text;
        line = m->line;
    }
    const char *why = NULL;
    if (field_find(&l->rules->arena, field, f, &why))
        return true;
    const char *nearest = why ? NULL : field_nearest(field);
    loader_refuse(l, line, "unknown field '%.*s'%s%s%s", (int)field.size, (const char *)field.at, why ? ": " : nearest ? "; did you mean '" : "",
                  why ? why : nearest ? nearest : "", nearest ? "'?" : "");
    return false;
}

static bool take_key(struct loader *l, const struct yaml *y, const struct yaml *aliases, struct correlation *c)
{
    if (y->kind != YAML_SCALAR || c->key_count == GROUP_KEYS_MAX) {
        loader_refuse(l, y->line, "'group-by' takes up to %d field names", GROUP_KEYS_MAX);
        return false;
    }
    struct group_key *key = &c->keys[c->key_count++];
    key->name = y->text;
    for (size_t i = 0; i < c->rule_count; i++)
        if (!resolve(l, aliases, y->text, y->line, c->rules[i], &key->field[i]))
            return false;
    return true;
}

static bool take_group_by(struct loader *l, const struct yaml *y, const struct yaml *aliases, struct correlation *c)
{
    if (!y)
        return true;
    if (y->kind != YAML_LIST)
        return take_key(l, y, aliases, c);
    bool ok = true;
    for (const struct yaml *one = y->first; one; one = one->next)
        ok = ok && take_key(l, one, aliases, c);
    return ok;
}

static bool take_condition(struct loader *l, const struct yaml *y, const struct yaml *aliases, struct correlation *c)
{
    static const char *const ops[] = {"gt", "gte", "lt", "lte", "eq", "neq"};
    bool temporal = c->type == CORRELATE_TEMPORAL || c->type == CORRELATE_TEMPORAL_ORDERED;
    bool of_value = c->type == CORRELATE_VALUE_COUNT || c->type == CORRELATE_VALUE_SUM;
    if (temporal) {
        if (y)
            loader_refuse(l, y->line, "conditions on temporal correlations are not supported: every rule of the list must occur");
        return !y;
    }
    if (!y || y->kind != YAML_MAP) {
        loader_refuse(l, y ? y->line : l->rule->line, "the correlation needs a condition such as 'gte: 3'");
        return false;
    }
    const struct yaml *field = yaml_member(y, "field");
    if (of_value && (!field || field->kind != YAML_SCALAR)) {
        loader_refuse(l, field ? field->line : y->line, "the condition needs 'field': what is counted");
        return false;
    }
    for (const struct yaml *m = y->first; m; m = m->next) {
        size_t op = 0;
        while (op < sizeof ops / sizeof *ops && !bytes_equal_text(m->key, ops[op]))
            op++;
        if (op == sizeof ops / sizeof *ops) {
            if (bytes_equal_text(m->key, "field") && of_value)
                continue;
            loader_refuse(l, m->key_line, "a condition knows gt, gte, lt, lte, eq, neq%s, not '%.*s'", of_value ? " and field" : "", (int)m->key.size,
                          (const char *)m->key.at);
            return false;
        }
        double number;
        if (!yaml_is_number(m, &number) || c->bound_count == 2) {
            loader_refuse(l, m->line, c->bound_count == 2 ? "at most two bounds" : "a bound is a number");
            return false;
        }
        c->bounds[c->bound_count].op = (enum bound_op)op;
        c->bounds[c->bound_count++].number = number;
        c->at_end |= op != BOUND_GT && op != BOUND_GTE;
    }
    if (!c->bound_count) {
        loader_refuse(l, y->line, "the correlation needs a condition such as 'gte: 3'");
        return false;
    }
    for (size_t i = 0; of_value && i < c->rule_count; i++)
        if (!resolve(l, aliases, field->text, field->line, c->rules[i], &c->value[i]))
            return false;
    if (of_value)
        c->value_name = field->text;
    return true;
}

static bool refuse_unknown(struct loader *l, const struct yaml *y)
{
    static const char *const known[] = {"type", "rules", "group-by", "timespan", "aliases", "condition", "generate"};
    for (const struct yaml *m = y->first; m; m = m->next) {
        size_t i = 0;
        while (i < sizeof known / sizeof *known && !bytes_equal_text(m->key, known[i]))
            i++;
        if (i == sizeof known / sizeof *known) {
            loader_refuse(l, m->key_line, "unknown key '%.*s' in a correlation", (int)m->key.size, (const char *)m->key.at);
            return false;
        }
    }
    return true;
}

static bool register_feeds(struct loader *l, struct correlation *c)
{
    for (size_t i = 0; i < c->rule_count; i++) {
        struct rule *r = c->rules[i];
        struct feed *feeds = arena_alloc(&l->rules->arena, (r->feed_count + 1) * sizeof *feeds);
        if (!feeds) {
            loader_refuse(l, l->rule->line, "out of memory");
            return false;
        }
        if (r->feed_count)
            memcpy(feeds, r->feeds, r->feed_count * sizeof *feeds);
        feeds[r->feed_count] = (struct feed){l->rule, i};
        r->feeds = feeds;
        r->feed_count++;
    }
    return true;
}

struct correlation *correlation_compile(struct loader *l, const struct yaml *doc)
{
    const struct yaml *y = yaml_member(doc, "correlation"), *aliases = yaml_member(y, "aliases"), *generate = yaml_member(y, "generate");
    struct correlation *c = arena_alloc(&l->rules->arena, sizeof *c);
    if (!c || y->kind != YAML_MAP) {
        loader_refuse(l, y->line, c ? "'correlation' must be a map" : "out of memory");
        return NULL;
    }
    *c = (struct correlation){0};
    const struct yaml *timespan = yaml_member(y, "timespan");
    bool ok = refuse_unknown(l, y);
    ok = take_type(l, yaml_member(y, "type"), c) && ok;
    ok = take_rules(l, yaml_member(y, "rules"), c) && ok;
    if (aliases && aliases->kind != YAML_MAP) {
        loader_refuse(l, aliases->line, "'aliases' must be a map of names to rules to fields");
        return NULL;
    }
    if (!timespan || timespan->kind != YAML_SCALAR || !parse_timespan(timespan->text, &c->timespan_ns)) {
        loader_refuse(l, timespan ? timespan->line : y->line, "'timespan' must be a number with s, m, h or d behind it");
        ok = false;
    }
    if (generate && !yaml_is_bool(generate, &c->generate)) {
        loader_refuse(l, generate->line, "'generate' must be true or false");
        ok = false;
    }
    ok = ok && take_group_by(l, yaml_member(y, "group-by"), aliases, c) && take_condition(l, yaml_member(y, "condition"), aliases, c);
    for (size_t i = 0; ok && i < c->rule_count; i++)
        if (c->rules[i]->is_correlation && c->rules[i]->correlation && c->rules[i]->correlation->at_end) {
            loader_refuse(l, y->line, "the correlation '%s' is judged when its time is over and cannot be counted by another", c->rules[i]->title);
            ok = false;
        }
    return ok && register_feeds(l, c) ? c : NULL;
}
