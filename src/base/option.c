// Options declared once: parsing of command lines and of configuration files.
#include "option.h"
#include "clock.h"
#include "diag.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parse {
    const struct command *command;
    void *settings;
    bool *given;       // by option: stood on the command line
    struct arena *texts; // where values of a configuration file live
    struct fault *fault;
};

static void *field_of(const struct parse *p, const struct option *o)
{
    return (char *)p->settings + o->offset;
}

static bool list_add(struct option_list *list, const char *text)
{
    const char **at = mem_grow((void *)list->at, (list->count + 1) * sizeof *at);
    if (!at)
        return false;
    list->at = at;
    list->at[list->count++] = text;
    return true;
}

static bool choice_holds(const char *choices, const char *value)
{
    size_t size = strlen(value);
    for (const char *at = choices; *at;) {
        size_t length = strcspn(at, "|");
        if (length == size && memcmp(at, value, size) == 0)
            return true;
        at += length;
        at += *at == '|';
    }
    return false;
}

static bool parse_count(const char *text, int64_t *count)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *count = strtoll(text, &end, 10);
    return !*end && !errno;
}

// `value` is NULL for a flag. where: "--name" or "file:3: name".
static bool set(struct parse *p, const struct option *o, const char *where, const char *value)
{
    void *field = field_of(p, o);
    switch (o->kind) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return true;
    case OPTION_CHOICE:
        if (!choice_holds(o->choices, value))
            return fault_user(p->fault, "%s %s: must be one of %s", where, value, o->choices);
        *(const char **)field = value;
        return true;
    case OPTION_TEXT:
        *(const char **)field = value;
        return true;
    case OPTION_LIST:
        return list_add(field, value) || fault_memory(p->fault);
    case OPTION_COUNT:
        return parse_count(value, field) || fault_user(p->fault, "%s %s: not a number", where, value);
    case OPTION_SIZE:
        return clock_parse_size(value, field) || fault_user(p->fault, "%s %s: not a size; write 500K, 64M or 2G", where, value);
    case OPTION_SPAN:
        return clock_parse_span(value, field) || fault_user(p->fault, "%s %s: not a span of time; write 90s, 5m, 2h or 7d", where, value);
    case OPTION_TIME:
        return clock_parse(value, clock_now_ns(), field) ||
               fault_user(p->fault, "%s %s: not a time; write 2026-11-24T14:02:11Z, '2026-11-24 14:02', 14:02, yesterday or -2h", where, value);
    case OPTION_GROUP:
        break;
    }
    return true;
}

static const struct option *by_letter(const struct command *c, char letter)
{
    for (size_t i = 0; i < c->option_count; i++)
        if (c->options[i].kind != OPTION_GROUP && c->options[i].letter == letter)
            return &c->options[i];
    return NULL;
}

static const struct option *by_name(const struct command *c, const char *name, size_t size)
{
    for (size_t i = 0; i < c->option_count; i++) {
        const struct option *o = &c->options[i];
        if (o->kind != OPTION_GROUP && o->name && strlen(o->name) == size && memcmp(o->name, name, size) == 0)
            return o;
    }
    return NULL;
}

static void mark_given(struct parse *p, const struct option *o)
{
    if (p->given)
        p->given[o - p->command->options] = true;
}

// The option whose name begins most alike is a guess worth telling.
static bool unknown_option(const struct parse *p, const char *name, size_t size)
{
    const char *near = NULL;
    size_t most = 2;
    for (size_t i = 0; i < p->command->option_count; i++) {
        const struct option *o = &p->command->options[i];
        size_t same = 0;
        while (o->kind != OPTION_GROUP && same < size && o->name[same] == name[same])
            same++;
        if (same > most) {
            most = same;
            near = o->name;
        }
    }
    return fault_user(p->fault, "no option --%.*s%s%s%s; see 'estape %s --help'", (int)size, name, near ? "; did you mean --" : "", near ? near : "", near ? "?" : "",
                      p->command->name);
}

// "--name", "--name=value", "--name value". *at moves over a value taken from the next argument.
static bool parse_long(struct parse *p, int argc, char **argv, int *at)
{
    const char *name = argv[*at] + 2, *equal = strchr(name, '=');
    size_t size = equal ? (size_t)(equal - name) : strlen(name);
    const struct option *o = by_name(p->command, name, size);
    if (!o)
        return unknown_option(p, name, size);
    const char *value = equal ? equal + 1 : NULL;
    if (o->kind == OPTION_FLAG && value)
        return fault_user(p->fault, "--%s takes no value", o->name);
    if (o->kind != OPTION_FLAG && !value) {
        if (*at + 1 >= argc)
            return fault_user(p->fault, "--%s needs a value: --%s %s", o->name, o->name, o->argument);
        value = argv[++*at];
    }
    char where[80];
    snprintf(where, sizeof where, "--%s", o->name);
    mark_given(p, o);
    return set(p, o, where, value);
}

// "-abc" bundles flags; the first that takes a value takes the rest ("-n5") or the next argument.
static bool parse_short(struct parse *p, int argc, char **argv, int *at)
{
    for (const char *c = argv[*at] + 1; *c; c++) {
        const struct option *o = by_letter(p->command, *c);
        if (!o)
            return fault_user(p->fault, "no option -%c; see 'estape %s --help'", *c, p->command->name);
        mark_given(p, o);
        char where[80];
        snprintf(where, sizeof where, "-%c", *c);
        if (o->kind == OPTION_FLAG) {
            set(p, o, where, NULL);
            continue;
        }
        const char *value = c[1] ? c + 1 : *at + 1 < argc ? argv[++*at] : NULL;
        if (!value)
            return fault_user(p->fault, "-%c needs a value: -%c %s", *c, *c, o->argument);
        return set(p, o, where, value);
    }
    return true;
}

static bool is_help(const char *text)
{
    return strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0;
}

// What the command line set stays known: it stands in front of the operands that run() gets.
struct operands_head {
    size_t option_count;
    bool given[];
};

static struct operands_head *head_of(char **operands)
{
    return (struct operands_head *)operands[-1];
}

bool option_parse(const struct command *c, int argc, char **argv, void *settings, int *operand_count, char ***operands, bool *help,
                  struct fault *fault)
{
    *help = false;
    *operand_count = 0;
    *operands = NULL;
    struct operands_head *head = mem_zero(1, sizeof *head + c->option_count * sizeof(bool));
    char **room = mem_zero((size_t)argc + 2, sizeof *room);
    if (!head || !room) {
        mem_free(head);
        mem_free(room);
        return fault_memory(fault);
    }
    head->option_count = c->option_count;
    room[0] = (char *)head;
    *operands = room + 1;
    struct parse p = {.command = c, .settings = settings, .given = head->given, .fault = fault};
    bool only_operands = false;
    for (int i = 1; i < argc; i++) {
        bool ok = true;
        if (!only_operands && is_help(argv[i]) && !(argv[i][1] == 'h' && by_letter(c, 'h'))) {
            *help = true;
            return true;
        }
        if (only_operands || argv[i][0] != '-' || !argv[i][1])
            (*operands)[(*operand_count)++] = argv[i];
        else if (strcmp(argv[i], "--") == 0)
            only_operands = true;
        else
            ok = argv[i][1] == '-' ? parse_long(&p, argc, argv, &i) : parse_short(&p, argc, argv, &i);
        if (!ok)
            return false;
    }
    if (*operand_count && !c->operands)
        return fault_user(fault, "'%s' is one word too many; see 'estape %s --help'", (*operands)[0], c->name);
    return true;
}

bool option_given(const struct command *c, char **operands, const char *name)
{
    const struct option *o = by_name(c, name, strlen(name));
    return o && operands && head_of(operands)->given[o - c->options];
}

void option_free(const struct command *c, void *settings, char **operands)
{
    for (size_t i = 0; i < c->option_count; i++)
        if (c->options[i].kind == OPTION_LIST) {
            struct option_list *list = (struct option_list *)(void *)((char *)settings + c->options[i].offset);
            mem_free((void *)list->at);
            *list = (struct option_list){0};
        }
    if (operands) {
        mem_free(head_of(operands));
        mem_free(operands - 1);
    }
}

// ---- the configuration file -----------------------------------------------------------------------------------------

static char *trim(char *text)
{
    while (*text == ' ' || *text == '\t')
        text++;
    char *end = text + strlen(text);
    while (end > text && strchr(" \t\r\n", end[-1]))
        end--;
    *end = 0;
    return text;
}

// Flags are written `quiet = yes`.
static bool set_from_file(struct parse *p, const struct option *o, const char *where, const char *value)
{
    if (o->kind == OPTION_FLAG) {
        if (choice_holds("yes|true|on|1", value))
            return set(p, o, where, NULL);
        return choice_holds("no|false|off|0", value) || fault_user(p->fault, "%s = %s: must be yes or no", where, value);
    }
    const char *copy = arena_copy(p->texts, value, strlen(value));
    return copy ? set(p, o, where, copy) : fault_memory(p->fault);
}

bool option_read_config(const struct command *c, const char *path, void *settings, char **operands, struct arena *texts, struct fault *fault)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return fault_user(fault, "%s: %s", path, strerror(errno));
    struct parse p = {.command = c, .settings = settings, .texts = texts, .fault = fault};
    const bool *given = head_of(operands)->given;
    char line[4096], where[4300];
    bool ok = true;
    for (int number = 1; ok && fgets(line, sizeof line, file); number++) {
        char *text = trim(line);
        if (!*text || *text == '#')
            continue;
        char *equal = strchr(text, '=');
        snprintf(where, sizeof where, "%s:%d", path, number);
        if (!equal) {
            ok = fault_user(fault, "%s: not a 'name = value' line: %s", where, text);
            break;
        }
        *equal = 0;
        char *name = trim(text), *value = trim(equal + 1);
        const struct option *o = by_name(c, name, strlen(name));
        char *dot = o ? NULL : strchr(name, '.'), joined[sizeof line];
        if (dot) { // "sink.pager = webhook ..." is one more entry "pager=webhook ..." of the list "sink"
            o = by_name(c, name, (size_t)(dot - name));
            o = o && o->kind == OPTION_LIST ? o : NULL;
            snprintf(joined, sizeof joined, "%.*s=%s", (int)strlen(dot + 1), dot + 1, value);
            value = joined;
        }
        if (!o || !o->config) {
            ok = fault_user(fault, "%s: no setting of that name: %s; see 'estape %s --help'", where, name, c->name);
            break;
        }
        snprintf(where, sizeof where, "%s:%d: %s", path, number, o->name);
        if (!given[o - c->options])
            ok = set_from_file(&p, o, where, value);
    }
    fclose(file);
    return ok;
}
