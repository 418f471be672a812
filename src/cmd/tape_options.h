// What every command that reads a tape has in common: which tapes, which rows, which format, how it ends.
#pragma once
#include "../base/option.h"
#include "../tape/read.h"
#include "../view/out.h"

// Rows for a command's option table.
#define TAPE_OPTION(field_offset) \
    {'t', "tape", OPTION_LIST, field_offset, "DIR", "The tape to read; default: $ESTAPE_TAPE, else /var/lib/estape if it is a tape, else ./estape.tape. May be repeated: several tapes are merged by time, what two of them saw is shown once.", NULL, false}
#define JSON_OPTION(field_offset, what) {'j', "json", OPTION_FLAG, field_offset, NULL, what, NULL, false}
#define COLOR_OPTION(field_offset) \
    {0, "color", OPTION_CHOICE, field_offset, "WHEN", "Colour: auto (on a terminal, unless NO_COLOR is set; the default), always or never.", "auto|always|never", false}

// Conditions on exchanges, as struct tape_filter takes them.
struct filter_options {
    struct option_list who, client, agent, api, verb, index, status, outcome, danger;
    int64_t since, until;
    bool writes, destructive;
    const char *grep, *before, *after, *conn;
};
#define FILTER_AT(base, field) ((base) + offsetof(struct filter_options, field))
#define FILTER_OPTIONS(base) \
    {0, "Which exchanges", OPTION_GROUP, 0, NULL, NULL, NULL, false}, \
    {'S', "since", OPTION_TIME, FILTER_AT(base, since), "TIME", "Only from this moment on: RFC 3339, '2026-11-24 14:02', '14:02', 'yesterday', '-2h'.", NULL, false}, \
    {'U', "until", OPTION_TIME, FILTER_AT(base, until), "TIME", "Only before this moment.", NULL, false}, \
    {'w', "who", OPTION_LIST, FILTER_AT(base, who), "NAME", "Only by this principal (or run-as user); '*' is a wildcard. Options of one name add up, different ones must all hold.", NULL, false}, \
    {0, "client", OPTION_LIST, FILTER_AT(base, client), "IP", "Only from this address: 10.1.7.23, 10.1.7.23:52144, 10.1.*, 10.1.0.0/16. Forwarded addresses count too.", NULL, false}, \
    {0, "agent", OPTION_LIST, FILTER_AT(base, agent), "TEXT", "Only from this client software; '*' is a wildcard ('PostmanRuntime*').", NULL, false}, \
    {'a', "api", OPTION_LIST, FILTER_AT(base, api), "NAME", "Only this API: bulk, indices.delete, 'indices.*'.", NULL, false}, \
    {'v', "verb", OPTION_LIST, FILTER_AT(base, verb), "VERB", "Only this HTTP method.", NULL, false}, \
    {'i', "index", OPTION_LIST, FILTER_AT(base, index), "INDEX", "Only what concerns this index, asked for by name or reached through an alias; '*' is a wildcard.", NULL, false}, \
    {'s', "status", OPTION_LIST, FILTER_AT(base, status), "CODE", "Only with this HTTP status: 404, 4xx, 500-599, none.", NULL, false}, \
    {'o', "outcome", OPTION_LIST, FILTER_AT(base, outcome), "WORD", "Only with this outcome: ok, partial, failed, unanswered, unknown.", NULL, false}, \
    {0, "danger", OPTION_LIST, FILTER_AT(base, danger), "CLASS", "Only of this danger class ('index.*').", NULL, false}, \
    {'W', "writes", OPTION_FLAG, FILTER_AT(base, writes), NULL, "Only what changes data or configuration.", NULL, false}, \
    {'D', "destructive", OPTION_FLAG, FILTER_AT(base, destructive), NULL, "Only what carries a danger class.", NULL, false}, \
    {'g', "grep", OPTION_TEXT, FILTER_AT(base, grep), "TEXT", "Only where the path, the opaque id, the agent or the reason holds this text.", NULL, false}, \
    {0, "before", OPTION_TEXT, FILTER_AT(base, before), "ID", "Only what came before this exchange.", NULL, false}, \
    {0, "after", OPTION_TEXT, FILTER_AT(base, after), "ID", "Only what came after this exchange.", NULL, false}, \
    {0, "conn", OPTION_TEXT, FILTER_AT(base, conn), "ID", "Only what went over the same connection as this exchange.", NULL, false}

// Looks up what names an exchange (--before, --after, --conn) and checks the words. The filter borrows from the options.
bool filter_options_apply(const struct filter_options *o, struct tape *t, struct tape_filter *filter, struct fault *fault);

// The directory when no --tape is given.
const char *tape_options_dir(void);
// For what opens a tape by other means than tape_options_open: there is a directory that can be read. `named`: with --tape.
bool tape_options_there(const char *dir, bool named, struct fault *fault);
// Opens the tapes of --tape, or the default one; warnings are printed. NULL: fault filled.
struct tape *tape_options_open(const struct option_list *tapes, struct fault *fault);
void tape_options_warn(struct tape *t);
bool tape_options_no_operands(const char *command, int operand_count, char **operands, struct fault *fault);
// Standard output, with the locale's characters and --color (NULL: auto).
void tape_options_output(struct out *o, const char *color);
// Prints what is left of warnings, closes both (tape may be NULL) and gives the exit status. A closed pipe is quiet.
int tape_options_end(struct tape *t, struct out *o, bool ok, struct fault *fault, int status);
