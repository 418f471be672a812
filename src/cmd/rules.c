// estape rules: what rules there are, whether they are right, what they would have said, and a draft of a new one.
#include "cmd.h"
#include "rules.h"

#include "../base/diag.h"
#include "../base/glob.h"
#include "../base/mem.h"
#include "../view/emit.h"

#include <stdio.h>
#include <unistd.h>

#define AT(field) offsetof(struct rules_settings, field)
static const struct option options[] = {
    {0, "rules", OPTION_LIST, AT(paths), "DIR|FILE", "The rules meant; 'builtin' (the default) is the built-in pack. May be repeated.", NULL, false},
    {'a', "all", OPTION_FLAG, AT(all), NULL, "Of list: also the rules that are only counted by others.", NULL, false},
    TAPE_OPTION(AT(tapes)),
    {'S', "since", OPTION_TIME, AT(since), "TIME", "Of test: only exchanges from this moment on.", NULL, false},
    {'U', "until", OPTION_TIME, AT(until), "TIME", "Of test: only exchanges before this moment.", NULL, false},
    {0, "from", OPTION_TEXT, AT(from), "ID", "Of new: the exchange the draft is made from.", NULL, false},
    JSON_OPTION(AT(json), "One JSON object per rule (list, test) or finding (check)."),
    COLOR_OPTION(AT(color)),
};

// ---- list and show ----------------------------------------------------------------------------------------------------

static void print_json(struct buf *out, const struct rule_view *v)
{
    const struct {
        const char *name, *text;
    } texts[] = {{"name", v->name}, {"id", v->id}, {"level", v->level}, {"title", v->title}, {"description", v->description}, {"status", v->status}, {"file", v->file}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        buf_format(out, "%s\"%s\":", i ? "," : "{", texts[i].name);
        emit_json(out, bytes_of_text(texts[i].text));
    }
    buf_format(out, ",\"line\":%d,\"correlation\":%s,\"alerts\":%s,\"builtin\":%s,\"tags\":[", v->line, v->correlation ? "true" : "false",
               v->alone ? "true" : "false", v->builtin ? "true" : "false");
    for (size_t i = 0; i < v->tag_count; i++) {
        buf_add_text(out, i ? "," : "");
        emit_json(out, bytes_of_text(v->tags[i]));
    }
    buf_add_text(out, "]}\n");
}

static bool print_list(const struct rules_settings *s, struct rules *r, struct out *out)
{
    struct rule_view v;
    for (size_t i = 0; rules_view(r, i, &v); i++) {
        if (v.refused || (!v.alone && !s->all && !s->json))
            continue;
        if (s->json) {
            print_json(&out->text, &v);
        } else {
            buf_format(&out->text, "%-13s %-28s ", v.level, v.name);
            emit_text(&out->text, bytes_of_text(v.title));
            buf_add_text(&out->text, v.alone ? "\n" : " (counted by others)\n");
        }
        if (!out_push(out))
            return false;
    }
    return true;
}

static bool show_rules(struct rules *r, int count, char **names, struct out *out, struct fault *fault)
{
    for (int i = 0; i < count; i++) {
        struct rule_view v;
        bool found = false;
        for (size_t k = 0; rules_view(r, k, &v); k++) {
            if (!glob_match(bytes_of_text(names[i]), bytes_of_text(v.name)) && !glob_match(bytes_of_text(names[i]), bytes_of_text(v.id)))
                continue;
            buf_format(&out->text, "%s# %s:%d\n", i || found ? "---\n" : "", v.file, v.line);
            emit_lines(&out->text, v.source);
            found = true;
        }
        if (!found)
            return fault_user(fault, "no rule has the name or id %s; 'estape rules list' names them", names[i]);
    }
    return true;
}

// ---- check ------------------------------------------------------------------------------------------------------------

struct checking {
    struct out *out;
    bool json;
    size_t errors, notes;
};

static void print_finding(void *ctx, const char *file, int line, const char *rule, const char *text, bool error)
{
    struct checking *c = ctx;
    struct buf *out = &c->out->text;
    c->errors += error;
    c->notes += !error;
    if (c->json) {
        buf_add_text(out, "{\"file\":");
        emit_json(out, bytes_of_text(file));
        buf_format(out, ",\"line\":%d,\"rule\":", line);
        emit_json(out, bytes_of_text(rule));
        buf_format(out, ",\"severity\":\"%s\",\"text\":", error ? "error" : "note");
        emit_json(out, bytes_of_text(text));
        buf_add_text(out, "}\n");
        return;
    }
    emit_text(out, bytes_of_text(file));
    buf_format(out, ":%d: %s", line, error ? "" : "note: ");
    if (*rule) {
        emit_text(out, bytes_of_text(rule));
        buf_add_text(out, ": ");
    }
    emit_text(out, bytes_of_text(text));
    buf_add_text(out, "\n");
}

static bool check_rules(const struct rules_settings *s, int count, char **paths, struct out *out, size_t *errors, struct fault *fault)
{
    struct checking c = {.out = out, .json = s->json};
    struct rules *r = rules_open();
    bool ok = r || fault_memory(fault);
    if (ok && !count)
        ok = fault_user(fault, "say which: estape rules check FILE|DIR...");
    for (int i = 0; ok && i < count; i++)
        ok = strcmp(paths[i], "builtin") == 0 ? rules_add_builtin(r, fault) : rules_add(r, paths[i], print_finding, &c, fault);
    ok = ok && rules_seal(r, print_finding, &c, fault);
    size_t good = 0;
    struct rule_view v;
    for (size_t i = 0; ok && rules_view(r, i, &v); i++)
        good += !v.refused;
    if (ok && !s->json)
        buf_format(&out->text, "%zu rules are right, %zu findings, %zu notes\n", good, c.errors, c.notes);
    *errors = c.errors;
    rules_close(r);
    return ok;
}

// ---- the command ------------------------------------------------------------------------------------------------------

static struct rules *load(const struct rules_settings *s, struct fault *fault)
{
    size_t refused;
    struct rules *r = alerts_load_rules(&(struct rules_wanted){.paths = s->paths}, &refused, fault);
    if (!r && !fault->kind)
        fault_user(fault, "--rules none: there is nothing to look at");
    return r;
}

// The rules of `test`: files and directories as they are; names pick from --rules.
static struct rules *load_named(const struct rules_settings *s, int count, char **operands, struct fault *fault)
{
    const char *at[64], *named[64];
    struct rules_wanted wanted = {.paths = {.at = at}, .only = {.at = named}};
    size_t refused;
    for (int i = 0; i < count && i < 64; i++) {
        struct option_list *list = access(operands[i], F_OK) == 0 || strcmp(operands[i], "builtin") == 0 ? &wanted.paths : &wanted.only;
        list->at[list->count++] = operands[i];
    }
    if (!wanted.paths.count)
        wanted.paths = s->paths;
    struct rules *r = alerts_load_rules(&wanted, &refused, fault);
    if (!r && !fault->kind)
        fault_user(fault, "--rules none: there is nothing to test");
    return r;
}

static bool run_verb(const struct rules_settings *s, const char *verb, int count, char **operands, struct out *out, int *status, struct fault *fault)
{
    size_t errors = 0;
    if (strcmp(verb, "check") == 0) {
        bool ok = check_rules(s, count, operands, out, &errors, fault);
        *status = errors ? 1 : 0;
        return ok;
    }
    if (strcmp(verb, "new") == 0)
        return rules_draft(s, out, fault);
    bool test = strcmp(verb, "test") == 0, show = strcmp(verb, "show") == 0;
    if (!test && !show && strcmp(verb, "list") != 0)
        return fault_user(fault, "'%s': list, show, check, test and new are known", verb);
    struct rules *r = test ? load_named(s, count, operands, fault) : load(s, fault);
    bool ok = r != NULL;
    if (ok && show && !count)
        ok = fault_user(fault, "say which: estape rules show NAME...");
    else if (ok && show)
        ok = show_rules(r, count, operands, out, fault);
    else if (ok && test)
        ok = rules_backtest(s, r, out, fault);
    else if (ok)
        print_list(s, r, out);
    rules_close(r);
    return ok;
}

static int run(void *settings, int operand_count, char **operands)
{
    struct rules_settings *s = settings;
    struct fault fault = {0};
    struct out out;
    int status = 0;
    tape_options_output(&out, s->color);
    const char *verb = operand_count ? operands[0] : "list";
    bool ok = run_verb(s, verb, operand_count ? operand_count - 1 : 0, operands + 1, &out, &status, &fault);
    return tape_options_end(NULL, &out, ok, &fault, status);
}

const struct command cmd_rules = {
    .name = "rules",
    .summary = "list, show, check and backtest alert rules, or draft a new one",
    .operands = "[list | show NAME... | check FILE|DIR... | test [RULE...] | new --from ID]",
    .text = "Rules are files in the Sigma format; docs/rules.md tells the fields and how to write one.\n\n"
            "list names them; show prints their source; check explains everything that is mistaken or not supported, with file, line and reason (exit "
            "status 1 when there is anything); test runs rules (files, or names of --rules) over a tape and says what would have fired, how often and at "
            "what cost; new writes a draft that matches exchanges like the one given.",
    .examples = "estape rules check ./rules\tbefore they are used\n"
                "estape rules test ./rules/mine.yml --tape /var/lib/estape --since -7d\twhat would it have said last week?\n"
                "estape rules new --from 4711 > mine.yml\ta draft\n",
    .see_also = "alerts sinks record",
    .exit_text = "0: done. 1: something failed, or check found something. 2: usage.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(struct rules_settings),
    .run = run,
};
