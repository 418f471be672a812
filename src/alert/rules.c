// The rule set: files to documents, documents to rules, and the pack that is compiled in.
//
// 1. rules_add reads a document's head (title, id, level); what it detects is compiled by rules_seal, when placeholders
//    and the rules that correlations name are all known.
// 2. A rule is whole or refused: every finding has a file, a line and a reason.
// 3. A later rule with the id of an earlier one takes its place.
#include "rule.h"

#include "../base/diag.h"
#include "../base/glob.h"
#include "pack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 4 << 20, DIR_DEPTH_MAX = 16, RULES_MAX = 100000 };

const char *const alert_level_names[ALERT_LEVELS] = {"informational", "low", "medium", "high", "critical"};

// ---- findings ---------------------------------------------------------------------------------------------------------

static void tell(struct loader *l, int line, bool error, const char *format, va_list args)
{
    char text[512];
    vsnprintf(text, sizeof text, format, args);
    if (error)
        l->errors++;
    if (error && l->rule)
        l->rule->refused = true;
    const char *name = l->rule ? l->rule->name ? l->rule->name : l->rule->title : NULL;
    if (l->finding)
        l->finding(l->ctx, l->file, line ? line : l->rule ? l->rule->line : 1, name ? name : "", text, error);
}

void loader_refuse(struct loader *l, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tell(l, line, true, format, args);
    va_end(args);
}

void loader_note(struct loader *l, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tell(l, line, false, format, args);
    va_end(args);
}

const char *loader_text(struct loader *l, struct bytes text)
{
    const char *copy = arena_copy(&l->rules->arena, text.at, text.size);
    if (!copy)
        loader_refuse(l, 0, "out of memory");
    return copy ? copy : "";
}

// ---- the set ----------------------------------------------------------------------------------------------------------

bool rule_list_add(struct rule_list *list, struct rule *rule)
{
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 8;
        struct rule **at = mem_grow(list->at, room * sizeof(struct rule *));
        if (!at)
            return false;
        list->at = at;
        list->room = room;
    }
    list->at[list->count++] = rule;
    return true;
}

bool rules_keep_regex(struct rules *r, struct regex *regex)
{
    if (r->regex_count == r->regex_room) {
        size_t room = r->regex_room ? r->regex_room * 2 : 8;
        struct regex **at = mem_grow(r->regexes, room * sizeof(struct regex *));
        if (!at) {
            regex_close(regex);
            return false;
        }
        r->regexes = at;
        r->regex_room = room;
    }
    r->regexes[r->regex_count++] = regex;
    return true;
}

struct rules *rules_open(void)
{
    struct rules *r = mem_zero(1, sizeof *r);
    if (!r)
        return NULL;
    arena_init(&r->arena, 0);
    r->placeholders = map_open();
    if (!r->placeholders) {
        rules_close(r);
        return NULL;
    }
    return r;
}

static void free_list(void *at)
{
    struct rule_list *list = at;
    if (list)
        mem_free(list->at);
    mem_free(list);
}

void rules_close(struct rules *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->regex_count; i++)
        regex_close(r->regexes[i]);
    mem_free(r->regexes);
    for (int k = 0; k < FIELD_KEYS; k++)
        map_close_each(r->index[k], free_list);
    for (size_t i = 0; i < sizeof r->status / sizeof *r->status; i++)
        mem_free(r->status[i].at);
    mem_free(r->always.at);
    mem_free(r->all.at);
    map_close(r->placeholders);
    arena_fini(&r->arena);
    mem_free(r);
}

static bool rule_is(const struct rule *rule, struct bytes id_or_name)
{
    return (rule->id && bytes_equal_text_nocase(id_or_name, rule->id)) || (rule->name && bytes_equal_text(id_or_name, rule->name));
}

struct rule *rules_find(const struct rules *r, struct bytes id_or_name)
{
    for (size_t i = r->all.count; i-- > 0;)
        if (!r->all.at[i]->refused && rule_is(r->all.at[i], id_or_name))
            return r->all.at[i];
    return NULL;
}

// ---- documents -------------------------------------------------------------------------------------------------------

static void replace_earlier(struct loader *l, struct rule *rule)
{
    for (size_t i = 0; i < l->rules->all.count; i++) {
        struct rule *old = l->rules->all.at[i];
        if (old->refused || !((rule->id && rule_is(old, bytes_of_text(rule->id))) || (rule->name && old->name && strcmp(rule->name, old->name) == 0)))
            continue;
        loader_note(l, rule->line, "takes the place of the rule '%s' of %s", old->name ? old->name : old->title, old->builtin ? "the built-in pack" : old->file);
        old->refused = true;
    }
}

static bool take_placeholders(struct loader *l, const struct yaml *doc)
{
    const struct yaml *y = yaml_member(doc, "placeholders");
    if (!y)
        return false;
    l->rule = NULL;
    if (y->kind != YAML_MAP)
        loader_refuse(l, y->line, "'placeholders' must be a map of names to lists of values");
    for (struct yaml *p = y->first; y->kind == YAML_MAP && p; p = p->next) {
        bool ok = p->kind == YAML_LIST && p->count;
        for (const struct yaml *v = p->first; ok && v; v = v->next)
            ok = v->kind == YAML_SCALAR;
        if (!ok) {
            loader_refuse(l, p->line, "the placeholder '%.*s' must be a list of texts", (int)p->key.size, (const char *)p->key.at);
            continue;
        }
        union map_value *v = map_put(l->rules->placeholders, p->key, NULL);
        if (v)
            v->ptr = p;
    }
    return true;
}

static bool take_document(struct loader *l, struct yaml *doc, bool builtin, struct fault *fault)
{
    if (take_placeholders(l, doc))
        return true;
    struct rule *rule = arena_alloc(&l->rules->arena, sizeof *rule);
    if (!rule)
        return fault_memory(fault);
    *rule = (struct rule){.builtin = builtin};
    rule_read_head(l, doc, rule);
    if (!rule->refused)
        replace_earlier(l, rule);
    rule->number = l->rules->all.count;
    if (rule->number >= RULES_MAX)
        return fault_user(fault, "more than %d rules", RULES_MAX);
    return rule_list_add(&l->rules->all, rule) || fault_memory(fault);
}

static bool add_text(struct rules *r, const char *file, struct bytes text, bool builtin, struct loader *l, struct fault *fault)
{
    struct yaml_error error;
    void *copy = arena_copy(&r->arena, text.at, text.size);
    char *name = arena_copy(&r->arena, file, strlen(file));
    if (!copy || !name)
        return fault_memory(fault);
    l->file = name;
    l->rule = NULL;
    struct yaml *doc = yaml_parse(&r->arena, bytes_of(copy, text.size), &error);
    if (!doc) {
        loader_refuse(l, error.line, "%s", error.text);
        return true;
    }
    for (struct yaml *next; doc; doc = next) {
        next = doc->next;
        if (!take_document(l, doc, builtin, fault))
            return false;
    }
    return true;
}

bool rules_add_text(struct rules *r, const char *file, struct bytes text, rules_finding_fn *finding, void *ctx, struct fault *fault)
{
    struct loader l = {.rules = r, .finding = finding, .ctx = ctx};
    return add_text(r, file, text, false, &l, fault);
}

bool rules_add_builtin(struct rules *r, struct fault *fault)
{
    struct loader l = {.rules = r};
    const struct pack_file *pack;
    size_t count = pack_files(&pack);
    for (size_t i = 0; i < count; i++)
        if (!add_text(r, pack[i].name, bytes_of(pack[i].text, pack[i].size), true, &l, fault))
            return false;
    return true;
}

// ---- files ------------------------------------------------------------------------------------------------------------

static bool read_file(const char *path, struct buf *text, struct fault *fault)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fault_user(fault, "cannot read the rule file %s: %s", path, strerror(errno));
    ssize_t n = 1;
    while (n > 0 && text->size <= FILE_BYTES_MAX && buf_reserve(text, 65536)) {
        n = read(fd, text->at + text->size, 65536);
        text->size += n > 0 ? (size_t)n : 0;
    }
    int error = errno;
    close(fd);
    if (n < 0)
        return fault_user(fault, "cannot read the rule file %s: %s", path, strerror(error));
    if (text->size > FILE_BYTES_MAX)
        return fault_user(fault, "the rule file %s is larger than %d MiB", path, FILE_BYTES_MAX >> 20);
    return !text->failed || fault_memory(fault);
}

static bool add_file(struct rules *r, const char *path, rules_finding_fn *finding, void *ctx, struct fault *fault)
{
    struct buf text = {0};
    bool ok = read_file(path, &text, fault) && rules_add_text(r, path, buf_view(&text), finding, ctx, fault);
    buf_fini(&text);
    return ok;
}

static bool is_rule_name(const char *name)
{
    size_t size = strlen(name);
    return name[0] != '.' && ((size > 4 && strcmp(name + size - 4, ".yml") == 0) || (size > 5 && strcmp(name + size - 5, ".yaml") == 0));
}

static bool add_path(struct rules *r, const char *path, unsigned depth, size_t *files, rules_finding_fn *finding, void *ctx, struct fault *fault)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return fault_user(fault, "cannot read the rules in %s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode)) {
        ++*files;
        return add_file(r, path, finding, ctx, fault);
    }
    struct dirent **entries;
    int count = depth > DIR_DEPTH_MAX ? 0 : scandir(path, &entries, NULL, alphasort);
    if (count < 0)
        return fault_user(fault, "cannot read the rules in %s: %s", path, strerror(errno));
    bool ok = true;
    for (int i = 0; i < count; i++) {
        struct buf below = {0};
        buf_format(&below, "%s/%s", path, entries[i]->d_name);
        const char *name = buf_text(&below);
        if (ok && entries[i]->d_name[0] != '.' && stat(name, &st) == 0 && (S_ISDIR(st.st_mode) || is_rule_name(entries[i]->d_name)))
            ok = add_path(r, name, depth + 1, files, finding, ctx, fault);
        buf_fini(&below);
        free(entries[i]);
    }
    if (depth <= DIR_DEPTH_MAX)
        free(entries);
    return ok;
}

bool rules_add(struct rules *r, const char *path, rules_finding_fn *finding, void *ctx, struct fault *fault)
{
    size_t files = 0;
    bool ok = add_path(r, path, 0, &files, finding, ctx, fault);
    return ok && !files ? fault_user(fault, "there is no rule file (*.yml, *.yaml) in %s", path) : ok;
}

bool rules_disable(struct rules *r, const char *pattern)
{
    bool any = false;
    for (size_t i = 0; i < r->all.count; i++) {
        struct rule *rule = r->all.at[i];
        struct bytes p = bytes_of_text(pattern);
        if (rule->refused || !((rule->id && glob_match(p, bytes_of_text(rule->id))) || (rule->name && glob_match(p, bytes_of_text(rule->name)))))
            continue;
        rule->enabled = false;
        any = true;
    }
    return any;
}

bool rules_only(struct rules *r, const char *pattern, bool first)
{
    bool any = false;
    for (size_t i = 0; i < r->all.count; i++) {
        struct rule *rule = r->all.at[i];
        struct bytes p = bytes_of_text(pattern);
        bool named = (rule->id && glob_match(p, bytes_of_text(rule->id))) || (rule->name && glob_match(p, bytes_of_text(rule->name)));
        rule->enabled = named || (rule->enabled && !first);
        any |= named && !rule->refused;
    }
    return any;
}

// ---- sealing ----------------------------------------------------------------------------------------------------------

static void compile_filter(struct loader *l, struct rule *filter)
{
    const struct yaml *y = yaml_member(filter->doc, "filter"), *names = yaml_member(y, "rules");
    if (y->kind != YAML_MAP || !names) {
        loader_refuse(l, y->line, "'filter' needs 'rules' (a list, or any) and a condition");
        return;
    }
    filter->expr = detection_compile(l, y, true);
    bool any = names->kind == YAML_SCALAR && bytes_equal_text_nocase(names->text, "any");
    for (size_t i = 0; filter->expr && i < l->rules->all.count; i++) {
        struct rule *rule = l->rules->all.at[i];
        bool named = any || (names->kind == YAML_SCALAR && rule_is(rule, names->text));
        for (const struct yaml *n = names->first; n && !named; n = n->next)
            named = n->kind == YAML_SCALAR && rule_is(rule, n->text);
        if (!named || rule->refused || !rule->expr || rule->is_filter)
            continue;
        struct expr *both = arena_alloc(&l->rules->arena, 3 * sizeof *both);
        if (!both) {
            loader_refuse(l, 0, "out of memory");
            return;
        }
        both[1] = *rule->expr;
        both[2] = *filter->expr;
        both[1].next = &both[2];
        both[2].next = NULL;
        both[0] = (struct expr){.kind = EXPR_AND, .first = &both[1]};
        rule->expr = both;
        rule->version ^= filter->version;
    }
}

static void compile(struct loader *l, struct rule *rule)
{
    const struct yaml *detection = yaml_member(rule->doc, "detection");
    if (rule->is_correlation) {
        rule->correlation = correlation_compile(l, rule->doc);
        rule->refused |= !rule->correlation;
    } else if (rule->is_filter) {
        compile_filter(l, rule);
    } else if (detection->kind != YAML_MAP) {
        loader_refuse(l, detection->line, "'detection' must be a map");
    } else {
        rule->expr = detection_compile(l, detection, false);
        rule->refused |= !rule->expr;
    }
    rule->sealed = true;
}

// A correlation may name another that stands behind it: rounds, until nothing is left that waits only for others.
static bool names_unsealed(const struct rules *r, const struct rule *rule)
{
    const struct yaml *names = yaml_member(yaml_member(rule->doc, "correlation"), "rules");
    for (const struct yaml *n = names && names->kind == YAML_SCALAR ? names : names ? names->first : NULL; n; n = n == names ? NULL : n->next) {
        struct rule *other = n->kind == YAML_SCALAR ? rules_find(r, n->text) : NULL;
        if (other && other != rule && other->is_correlation && !other->sealed)
            return true;
    }
    return false;
}

static void compile_all(struct loader *l, bool correlations, bool filters)
{
    for (bool progress = true; progress;) {
        progress = false;
        for (size_t i = 0; i < l->rules->all.count; i++) {
            struct rule *rule = l->rules->all.at[i];
            if (rule->sealed || rule->refused || rule->is_correlation != correlations || rule->is_filter != filters)
                continue;
            if (correlations && names_unsealed(l->rules, rule))
                continue;
            l->rule = rule;
            l->file = rule->file;
            compile(l, rule);
            progress = true;
        }
    }
    for (size_t i = 0; correlations && i < l->rules->all.count; i++) {
        struct rule *rule = l->rules->all.at[i];
        if (rule->sealed || rule->refused || !rule->is_correlation)
            continue;
        l->rule = rule;
        l->file = rule->file;
        loader_refuse(l, 0, "correlations that name each other in a circle");
    }
}

// Correlations may be chained: until nothing changes.
static void mark_needed(struct rules *r)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < r->all.count; i++) {
            struct rule *rule = r->all.at[i];
            bool needed = !rule->refused && rule->enabled && !rule->silent;
            for (size_t f = 0; f < rule->feed_count && !needed; f++)
                needed = rule->feeds[f].correlation->needed;
            changed |= needed && !rule->needed;
            rule->needed |= needed;
        }
    }
}

bool rules_seal(struct rules *r, rules_finding_fn *finding, void *ctx, struct fault *fault)
{
    struct loader l = {.rules = r, .finding = finding, .ctx = ctx};
    compile_all(&l, false, false);
    compile_all(&l, false, true);
    compile_all(&l, true, false);
    for (size_t i = 0; i < r->all.count; i++) {
        struct rule *rule = r->all.at[i];
        bool generate = !rule->feed_count;
        for (size_t f = 0; f < rule->feed_count; f++)
            generate |= rule->feeds[f].correlation->correlation->generate && rule->feeds[f].correlation->enabled;
        for (size_t t = 0; t < rule->tag_count; t++)
            generate &= strcmp(rule->tags[t], "estape.counted") != 0; // made to be counted, whatever a correlation asks for
        rule->silent = !generate;
    }
    mark_needed(r);
    index_build(r);
    return !r->memory_out || fault_memory(fault);
}

size_t rules_count(const struct rules *r)
{
    return r->all.count;
}

bool rules_view(const struct rules *r, size_t which, struct rule_view *view)
{
    if (which >= r->all.count)
        return false;
    const struct rule *rule = r->all.at[which];
    *view = (struct rule_view){
        .id = rule->id ? rule->id : "", .name = rule->name ? rule->name : rule->id ? rule->id : rule->title, .title = rule->title,
        .description = rule->description ? rule->description : "", .level = rule->level_name, .file = rule->file,
        .status = rule->status ? rule->status : "", .tags = rule->tags, .tag_count = rule->tag_count, .line = rule->line,
        .correlation = rule->is_correlation, .enabled = rule->enabled && !rule->refused, .refused = rule->refused, .builtin = rule->builtin, .alone = !rule->silent && rule->enabled && !rule->refused && !rule->is_filter,
        .source = rule->source,
    };
    return true;
}
