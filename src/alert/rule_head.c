// What a rule document says about itself before its detection: title, id, level, status, tags, log source.
#include "rule.h"

static const char *take_text(struct loader *l, const struct yaml *doc, const char *key, bool needed)
{
    const struct yaml *y = yaml_member(doc, key);
    if (y && y->kind == YAML_SCALAR && y->text.size)
        return loader_text(l, y->text);
    if (y || needed)
        loader_refuse(l, y ? y->line : doc->line, y ? "'%s' must be text" : "'%s' is missing", key);
    return NULL;
}

static bool is_uuid(const char *text)
{
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    if (strlen(text) != sizeof shape - 1)
        return false;
    for (size_t i = 0; shape[i]; i++)
        if (shape[i] == '-' ? text[i] != '-' : !strchr("0123456789abcdefABCDEF", text[i]))
            return false;
    return true;
}

static void take_level(struct loader *l, const struct yaml *doc, struct rule *rule)
{
    rule->level = ALERT_MEDIUM;
    const struct yaml *y = yaml_member(doc, "level");
    for (int i = 0; y && i < ALERT_LEVELS; i++)
        if (bytes_equal_text(y->text, alert_level_names[i])) {
            rule->level = (enum alert_level)i;
            y = NULL;
        }
    if (y)
        loader_refuse(l, y->line, "the level must be informational, low, medium, high or critical");
    rule->level_name = alert_level_names[rule->level];
}

static void take_status(struct loader *l, const struct yaml *doc, struct rule *rule)
{
    static const char *const known[] = {"stable", "test", "experimental", "deprecated", "unsupported"};
    rule->status = take_text(l, doc, "status", false);
    const struct yaml *y = yaml_member(doc, "status"), *taxonomy = yaml_member(doc, "taxonomy");
    size_t i = 0;
    while (rule->status && i < sizeof known / sizeof *known && strcmp(rule->status, known[i]) != 0)
        i++;
    if (rule->status && i == sizeof known / sizeof *known)
        loader_refuse(l, y->line, "the status must be stable, test, experimental, deprecated or unsupported");
    else if (rule->status && i == 4)
        loader_refuse(l, y->line, "the rule says of itself that it is unsupported");
    else if (rule->status && i == 3)
        loader_note(l, y->line, "the rule says of itself that it is deprecated");
    if (taxonomy && !bytes_equal_text(taxonomy->text, "sigma") && !bytes_equal_text(taxonomy->text, "ecs") && !bytes_equal_text(taxonomy->text, "estape"))
        loader_refuse(l, taxonomy->line, "the taxonomy '%.*s' is not known: sigma, ecs and estape are", (int)taxonomy->text.size,
                      taxonomy->kind == YAML_SCALAR ? (const char *)taxonomy->text.at : "");
}

static void take_tags(struct loader *l, const struct yaml *doc, struct rule *rule)
{
    const struct yaml *y = yaml_member(doc, "tags");
    if (!y)
        return;
    rule->tags = y->kind == YAML_LIST ? arena_alloc(&l->rules->arena, (y->count + 1) * sizeof *rule->tags) : NULL;
    if (!rule->tags) {
        loader_refuse(l, y->line, "'tags' must be a list of texts");
        return;
    }
    for (const struct yaml *t = y->first; t; t = t->next) {
        if (t->kind != YAML_SCALAR || !memchr(t->text.at, '.', t->text.size))
            loader_refuse(l, t->line, "a tag is text with a namespace: attack.t1485");
        else
            rule->tags[rule->tag_count++] = loader_text(l, t->text);
    }
}

static bool word_is(const struct yaml *y, const char *const *words)
{
    for (; y && *words; words++)
        if (bytes_equal_text_nocase(y->text, *words))
            return true;
    return false;
}

static void take_logsource(struct loader *l, const struct yaml *doc)
{
    static const char *const products[] = {"elasticsearch", "opensearch", "estape", NULL};
    static const char *const categories[] = {"webserver", "database", "application", "proxy", NULL};
    const struct yaml *y = yaml_member(doc, "logsource");
    if (!y || y->kind != YAML_MAP) {
        loader_refuse(l, y ? y->line : doc->line, y ? "'logsource' must be a map" : "'logsource' is missing");
        return;
    }
    const struct yaml *product = yaml_member(y, "product"), *category = yaml_member(y, "category");
    if (product ? word_is(product, products) : word_is(category, categories))
        return;
    loader_refuse(l, (product ? product : y)->line,
                  "this rule is for another log source: the product must be elasticsearch or opensearch, or the category webserver or database alone");
}

void rule_read_head(struct loader *l, struct yaml *doc, struct rule *rule)
{
    rule->doc = doc;
    rule->line = doc->line;
    rule->file = l->file;
    rule->source = doc->source;
    rule->version = map_hash(doc->source, 0);
    rule->enabled = true;
    rule->title = "(no title)";
    l->rule = rule;
    if (doc->kind != YAML_MAP) {
        loader_refuse(l, doc->line, "a rule is a map: title, logsource, detection");
        return;
    }
    rule->title = take_text(l, doc, "title", true);
    if (!rule->title)
        rule->title = "(no title)";
    rule->id = take_text(l, doc, "id", false);
    rule->name = take_text(l, doc, "name", false);
    rule->description = take_text(l, doc, "description", false);
    if (rule->id && !is_uuid(rule->id))
        loader_refuse(l, yaml_member(doc, "id")->line, "the id must be a UUID");
    take_level(l, doc, rule);
    take_status(l, doc, rule);
    take_tags(l, doc, rule);
    if (yaml_member(doc, "action"))
        loader_refuse(l, yaml_member(doc, "action")->line, "rule collections ('action: global, repeat') are not supported: write each rule whole");
    rule->is_correlation = yaml_member(doc, "correlation") != NULL;
    rule->is_filter = yaml_member(doc, "filter") != NULL;
    if (!rule->is_correlation)
        take_logsource(l, doc);
    if (!rule->is_correlation && !rule->is_filter && !yaml_member(doc, "detection"))
        loader_refuse(l, doc->line, "'detection' is missing");
}
