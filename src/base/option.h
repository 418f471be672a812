// Options declared once: a table drives parsing, --help, the man page, shell completion and the configuration file.
#pragma once
#include "../../include/fault.h"
#include "buf.h"
#include "mem.h"
#include <stdbool.h>
#include <stdint.h>

enum option_kind {
    OPTION_FLAG,   // bool
    OPTION_TEXT,   // const char *
    OPTION_LIST,   // struct option_list: may be repeated
    OPTION_COUNT,  // int64_t >= 0
    OPTION_SIZE,   // uint64_t bytes ("64M")
    OPTION_SPAN,   // int64_t ns ("5m")
    OPTION_TIME,   // int64_t time_ns ("-2h", RFC 3339)
    OPTION_CHOICE, // const char *, one of `choices` ("a|b|c")
    OPTION_GROUP,  // no option: a heading in --help and the man page
};

struct option_list {
    const char **at;
    size_t count;
};

struct option {
    char letter;          // 'i', or 0
    const char *name;     // "interface"
    enum option_kind kind;
    size_t offset;        // of the field in the command's settings struct
    const char *argument; // "DEV" for --help; NULL for flags
    const char *help;     // one or more sentences; shown in --help (first sentence) and the man page (all)
    const char *choices;
    bool config;          // may stand in estape.conf
};

struct command {
    const char *name;
    const char *summary;   // one line for `estape --help`
    const char *operands;  // "[FILTER...]" for the usage line
    const char *text;      // man page DESCRIPTION, paragraphs separated by blank lines
    const char *examples;  // man page EXAMPLES: "command line" TAB "what it does" NEWLINE ...
    const char *see_also;  // "log show"
    const char *exit_text; // meaning of the exit statuses where they differ from 0, 1, 2
    const struct option *options;
    size_t option_count;
    size_t settings_size;
    int (*run)(void *settings, int operand_count, char **operands);
};

// Parses argv[1..]; options and operands in any order, "--" ends options, --name=value, -n5, -abc bundles.
// *operands is a fresh array (option_free). --help is the caller's (it is seen as *help).
bool option_parse(const struct command *c, int argc, char **argv, void *settings, int *operand_count, char ***operands, bool *help,
                  struct fault *fault);
// Whether the option stood on the command line, where 0 is a value like any other. `operands` as run() gets them.
bool option_given(const struct command *c, char **operands, const char *name);
// Reads "name = value" lines for the options marked `config`; options already given on the command line win (`operands` as run()
// gets them). The texts that settings then point to live in `texts`.
bool option_read_config(const struct command *c, const char *path, void *settings, char **operands, struct arena *texts, struct fault *fault);
void option_free(const struct command *c, void *settings, char **operands);
void option_help(const struct command *c, struct buf *out);                // plain text, at most 80 columns
void option_man(const struct command *c, struct buf *out);                 // roff, man(7)
void option_completion(const struct command *const *commands, size_t count, const char *shell, struct buf *out); // "bash" "zsh" "fish"
