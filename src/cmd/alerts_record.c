// Loads rules and sinks as the options of `record` name them.
#include "alerts_record.h"

#include "../base/diag.h"
#include "../base/mem.h"

struct told {
    bool notes;
    size_t errors;
};

static void print_finding(void *ctx, const char *file, int line, const char *rule, const char *text, bool error)
{
    struct told *told = ctx;
    told->errors += error;
    if (error || told->notes)
        diag_warn("%s:%d: %s%s%s", file, line, rule, *rule ? ": " : "", text);
}

static bool add_one(struct rules *r, const char *path, struct told *told, struct fault *fault)
{
    if (strcmp(path, "builtin") == 0)
        return rules_add_builtin(r, fault);
    return rules_add(r, path, print_finding, told, fault);
}

struct rules *alerts_load_rules(const struct rules_wanted *wanted, size_t *refused, struct fault *fault)
{
    const struct option_list *paths = &wanted->paths, *off = &wanted->off, *only = &wanted->only;
    struct told told = {.notes = wanted->notes};
    struct rules *r = rules_open();
    bool ok = r || fault_memory(fault);
    *refused = 0;
    for (size_t i = 0; ok && i < paths->count; i++) {
        if (strcmp(paths->at[i], "none") == 0) {
            rules_close(r);
            return NULL;
        }
        ok = add_one(r, paths->at[i], &told, fault);
    }
    if (ok && !paths->count)
        ok = rules_add_builtin(r, fault);
    for (size_t i = 0; ok && i < off->count; i++)
        if (!rules_disable(r, off->at[i]))
            diag_warn("--rule-off %s: no rule has this name or id", off->at[i]);
    for (size_t i = 0; ok && i < only->count; i++)
        ok = rules_only(r, only->at[i], i == 0) || fault_user(fault, "%s is no file, and no rule has this name or id", only->at[i]);
    ok = ok && rules_seal(r, print_finding, &told, fault);
    *refused = told.errors;
    if (ok)
        return r;
    rules_close(r);
    return NULL;
}

bool alerts_load_sinks(const struct option_list *texts, struct alert_sinks *sinks, struct fault *fault)
{
    *sinks = (struct alert_sinks){.at = mem_zero(texts->count + 1, sizeof *sinks->at)};
    if (!sinks->at)
        return fault_memory(fault);
    for (size_t i = 0; i < texts->count; i++) {
        struct fault why = {0};
        struct sink_settings *s = &sinks->at[sinks->count];
        bool ok = sink_parse(texts->at[i], s, &why);
        for (size_t j = 0; ok && j < sinks->count; j++)
            if (strcmp(sinks->at[j].name, s->name) == 0) {
                ok = fault_user(&why, "sink %s: the name is taken", s->name);
                sink_settings_free(s);
            }
        if (ok) {
            sinks->count++;
            continue;
        }
        diag_warn("%s; this sink gets nothing", why.text);
        sinks->refused++;
    }
    for (size_t i = 0; i < sinks->count; i++)
        sink_hide_variables(&sinks->at[i]);
    return true;
}

void alerts_free_sinks(struct alert_sinks *sinks)
{
    for (size_t i = 0; i < sinks->count; i++)
        sink_settings_free(&sinks->at[i]);
    mem_free(sinks->at);
    *sinks = (struct alert_sinks){0};
}
