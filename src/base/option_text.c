// What is written from the option tables: --help, man pages, shell completion.
#include "option.h"

#include <string.h>

enum { COLUMNS = 79, HELP_AT = 28 };

// Words of `text` up to `size` bytes, wrapped to COLUMNS, every line after the first begun with `indent` spaces. `at` is where
// the first line has got to.
static void wrap(struct buf *out, const char *text, size_t size, size_t at, size_t indent)
{
    size_t column = at;
    for (size_t i = 0; i < size;) {
        while (i < size && (text[i] == ' ' || text[i] == '\n'))
            i++;
        size_t word = i;
        while (i < size && text[i] != ' ' && text[i] != '\n')
            i++;
        if (i == word)
            break;
        if (column > indent && column + 1 + (i - word) > COLUMNS) {
            buf_format(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            buf_add_byte(out, ' ');
            column++;
        }
        buf_add(out, text + word, i - word);
        column += i - word;
    }
    buf_add_byte(out, '\n');
}

// A command line for a shell: broken before a word that would not fit, with a backslash that the shell understands too.
static void wrap_command(struct buf *out, const char *text, size_t size)
{
    size_t column = 0;
    for (size_t i = 0; i < size;) {
        size_t word = i;
        while (i < size && text[i] != ' ')
            i++;
        if (column && column + 1 + (i - word) > COLUMNS - 4) {
            buf_add_text(out, " \\\n     ");
            column = 5;
        }
        buf_format(out, "%s%.*s", word ? " " : "  ", (int)(i - word), text + word);
        column += i - word + (word ? 1 : 2);
        while (i < size && text[i] == ' ')
            i++;
    }
    buf_add_byte(out, '\n');
}

// The first sentence: up to a full stop that a space and a capital follow, or the end.
static size_t first_sentence(const char *text)
{
    for (size_t i = 0; text[i]; i++)
        if (text[i] == '.' && text[i + 1] == ' ' && ((text[i + 2] >= 'A' && text[i + 2] <= 'Z') || text[i + 2] == '\''))
            return i;
    size_t size = strlen(text);
    return size && text[size - 1] == '.' ? size - 1 : size;
}

static void option_spelling(struct buf *out, const struct option *o)
{
    if (o->letter)
        buf_format(out, "-%c, ", o->letter);
    else
        buf_add_text(out, "    ");
    buf_format(out, "--%s", o->name);
    if (o->argument)
        buf_format(out, " %s", o->argument);
}

void option_help(const struct command *c, struct buf *out)
{
    struct buf usage = {0};
    buf_format(&usage, "usage: estape %s [OPTION...] %s", c->name, c->operands ? c->operands : "");
    wrap(out, buf_text(&usage), usage.size, 0, 4);
    buf_fini(&usage);
    buf_add_byte(out, '\n');
    size_t text = strcspn(c->text, "\n");
    wrap(out, c->text, text, 0, 0);
    for (size_t i = 0; i < c->option_count; i++) {
        const struct option *o = &c->options[i];
        if (o->kind == OPTION_GROUP) {
            buf_format(out, "\n%s:\n", o->name);
            continue;
        }
        if (i == 0)
            buf_add_byte(out, '\n');
        size_t from = out->size;
        buf_add_text(out, "  ");
        option_spelling(out, o);
        size_t at = out->size - from;
        if (at + 2 > HELP_AT) {
            buf_format(out, "\n%*s", HELP_AT, "");
            at = HELP_AT;
        } else {
            buf_format(out, "%*s", (int)(HELP_AT - at), "");
            at = HELP_AT;
        }
        wrap(out, o->help, first_sentence(o->help), at, HELP_AT);
    }
    if (c->examples) {
        buf_add_text(out, "\nexamples:\n");
        for (const char *line = c->examples; *line;) {
            size_t size = strcspn(line, "\n"), command = strcspn(line, "\t\n");
            wrap_command(out, line, command);
            if (command < size) {
                buf_add_text(out, "      ");
                wrap(out, line + command + 1, size - command - 1, 6, 6);
            }
            line += size;
            line += *line == '\n';
        }
    }
    buf_format(out, "\nmore: man estape-%s\n", c->name);
}

// ---- roff -----------------------------------------------------------------------------------------------------------

static void roff(struct buf *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        bool line_start = i == 0 || text[i - 1] == '\n';
        if (line_start && (text[i] == '.' || text[i] == '\''))
            buf_add_text(out, "\\&");
        if (text[i] == '\\')
            buf_add_text(out, "\\e");
        else if (text[i] == '-')
            buf_add_text(out, "\\-");
        else
            buf_add_byte(out, (uint8_t)text[i]);
    }
}

static void roff_text(struct buf *out, const char *text)
{
    roff(out, text, strlen(text));
}

static void roff_heading(struct buf *out, const char *kind, const char *text)
{
    buf_format(out, "%s \"", kind);
    roff_text(out, text);
    buf_add_text(out, "\"\n");
}

static void man_option(struct buf *out, const struct option *o)
{
    buf_add_text(out, ".TP\n");
    if (o->letter)
        buf_format(out, "\\fB\\-%c\\fR, ", o->letter);
    buf_add_text(out, "\\fB\\-\\-");
    roff_text(out, o->name);
    buf_add_text(out, "\\fR");
    if (o->argument) {
        buf_add_text(out, " \\fI");
        roff_text(out, o->argument);
        buf_add_text(out, "\\fR");
    }
    buf_add_byte(out, '\n');
    roff_text(out, o->help);
    if (o->config)
        buf_add_text(out, "\n.br\nMay stand in the configuration file.");
    buf_add_byte(out, '\n');
}

static void man_paragraphs(struct buf *out, const char *text)
{
    for (const char *at = text; *at;) {
        const char *end = strstr(at, "\n\n");
        size_t size = end ? (size_t)(end - at) : strlen(at);
        buf_add_text(out, ".PP\n");
        roff(out, at, size);
        buf_add_byte(out, '\n');
        at += size;
        while (*at == '\n')
            at++;
    }
}

static void man_examples(struct buf *out, const char *examples)
{
    roff_heading(out, ".SH", "EXAMPLES");
    for (const char *line = examples; *line;) {
        size_t size = strcspn(line, "\n"), command = strcspn(line, "\t\n");
        buf_add_text(out, ".TP\n\\fB");
        roff(out, line, command);
        buf_add_text(out, "\\fR\n");
        if (command < size)
            roff(out, line + command + 1, size - command - 1);
        buf_add_byte(out, '\n');
        line += size;
        line += *line == '\n';
    }
}

static void man_see_also(struct buf *out, const struct command *c)
{
    roff_heading(out, ".SH", "SEE ALSO");
    buf_add_text(out, "\\fBestape\\fR(1)");
    for (const char *at = c->see_also ? c->see_also : ""; *at;) {
        size_t size = strcspn(at, " ");
        buf_add_text(out, ", \\fBestape\\-");
        roff(out, at, size);
        buf_add_text(out, "\\fR(1)");
        at += size;
        at += *at == ' ';
    }
    buf_add_byte(out, '\n');
}

void option_man(const struct command *c, struct buf *out)
{
    buf_format(out, ".TH ESTAPE-%s 1 \"\" \"estape %s\" \"estape\"\n", c->name, ESTAPE_VERSION);
    roff_heading(out, ".SH", "NAME");
    buf_format(out, "estape\\-%s \\- ", c->name);
    roff_text(out, c->summary);
    buf_add_byte(out, '\n');
    roff_heading(out, ".SH", "SYNOPSIS");
    buf_format(out, "\\fBestape %s\\fR [\\fIOPTION\\fR...]", c->name);
    if (c->operands) {
        buf_add_text(out, " \\fI");
        roff_text(out, c->operands);
        buf_add_text(out, "\\fR");
    }
    buf_add_byte(out, '\n');
    roff_heading(out, ".SH", "DESCRIPTION");
    man_paragraphs(out, c->text);
    if (c->option_count)
        roff_heading(out, ".SH", "OPTIONS");
    for (size_t i = 0; i < c->option_count; i++) {
        if (c->options[i].kind == OPTION_GROUP)
            roff_heading(out, ".SS", c->options[i].name);
        else
            man_option(out, &c->options[i]);
    }
    roff_heading(out, ".SH", "EXIT STATUS");
    man_paragraphs(out, c->exit_text ? c->exit_text : "0 success; 1 failure (disk, memory, permission, device); 2 the request itself was wrong.");
    if (c->examples)
        man_examples(out, c->examples);
    man_see_also(out, c);
}

// ---- completion -----------------------------------------------------------------------------------------------------

static void shell_quote(struct buf *out, const char *text, size_t size)
{
    buf_add_byte(out, '\'');
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\'')
            buf_add_text(out, "'\\''");
        else
            buf_add_byte(out, (uint8_t)text[i]);
    }
    buf_add_byte(out, '\'');
}

static bool is_file_option(const struct option *o)
{
    return o->argument && (strstr(o->argument, "FILE") || strstr(o->argument, "DIR"));
}

// Words that an operand can begin with: "[list | test NAME...]" gives list and test.
static void operand_words(struct buf *out, const struct command *c)
{
    for (const char *at = c->operands ? c->operands : ""; *at; at += *at != 0) {
        at += strspn(at, "[ |");
        size_t size = strspn(at, "abcdefghijklmnopqrstuvwxyz");
        if (size && strchr(" |]", at[size])) // the end of the text, too
            buf_format(out, "%.*s ", (int)size, at);
        at += strcspn(at, "|");
    }
}

static void bash_options(struct buf *out, const struct command *c)
{
    for (size_t i = 0; i < c->option_count; i++)
        if (c->options[i].kind != OPTION_GROUP)
            buf_format(out, "--%s ", c->options[i].name);
    buf_add_text(out, "--help");
}

static void bash_case(struct buf *out, const struct command *c, const struct option *o)
{
    buf_format(out, "    %s:--%s", c->name, o->name);
    if (o->letter)
        buf_format(out, "|%s:-%c", c->name, o->letter);
    buf_add_text(out, ") ");
}

static void complete_bash(const struct command *const *commands, size_t count, struct buf *out)
{
    // "--name=value" comes as three words.
    buf_add_text(out, "_estape() {\n  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words verbs commands='");
    for (size_t i = 0; i < count; i++)
        buf_format(out, "%s ", commands[i]->name);
    buf_add_text(out, "'\n  if [ \"$cur\" = = ]; then cur=; elif [ \"$prev\" = = ]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
                      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    COMPREPLY=($(compgen -W \"$commands help --help --version\" -- \"$cur\"))\n    return\n  fi\n"
                      "  case ${COMP_WORDS[1]}:$prev in\n    help:*) COMPREPLY=($(compgen -W \"$commands\" -- \"$cur\")); return ;;\n");
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < commands[i]->option_count; k++) {
            const struct option *o = &commands[i]->options[k];
            if (o->kind == OPTION_CHOICE) {
                bash_case(out, commands[i], o);
                buf_add_text(out, "COMPREPLY=($(compgen -W '");
                for (const char *at = o->choices; *at; at++)
                    buf_add_byte(out, *at == '|' ? ' ' : (uint8_t)*at);
                buf_add_text(out, "' -- \"$cur\")); return ;;\n");
            } else if (is_file_option(o)) {
                bash_case(out, commands[i], o);
                buf_add_text(out, "COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n");
            } else if (o->kind != OPTION_FLAG && o->kind != OPTION_GROUP) {
                bash_case(out, commands[i], o);
                buf_add_text(out, "return ;;\n"); // nobody knows what may follow
            }
        }
    buf_add_text(out, "  esac\n  case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < count; i++) {
        buf_format(out, "    %s) words='", commands[i]->name);
        bash_options(out, commands[i]);
        buf_add_text(out, "' verbs='");
        operand_words(out, commands[i]);
        buf_add_text(out, "' ;;\n");
    }
    buf_add_text(out, "  esac\n  case $cur in\n    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
                      "    *) COMPREPLY=($(compgen -W \"$verbs\" -f -- \"$cur\")) ;;\n  esac\n}\ncomplete -o filenames -F _estape estape\n");
}

static void complete_zsh(const struct command *const *commands, size_t count, struct buf *out)
{
    buf_add_text(out, "#compdef estape\n_estape() {\n  if (( CURRENT == 2 )); then\n    local -a commands\n    commands=(\n");
    for (size_t i = 0; i < count; i++) {
        struct buf row = {0};
        buf_format(&row, "%s:%s", commands[i]->name, commands[i]->summary);
        buf_add_text(out, "      ");
        shell_quote(out, buf_text(&row), row.size);
        buf_add_byte(out, '\n');
        buf_fini(&row);
    }
    buf_add_text(out, "    )\n    _describe command commands\n    return\n  fi\n  case $words[2] in\n");
    for (size_t i = 0; i < count; i++) {
        buf_format(out, "    %s)\n      _arguments -s", commands[i]->name);
        for (size_t k = 0; k < commands[i]->option_count; k++) {
            const struct option *o = &commands[i]->options[k];
            if (o->kind == OPTION_GROUP)
                continue;
            struct buf row = {0};
            buf_format(&row, "%s--%s[", o->kind == OPTION_LIST ? "*" : "", o->name);
            for (size_t m = 0, size = first_sentence(o->help); m < size; m++) {
                if (strchr("[]:\\", o->help[m]))
                    buf_add_byte(&row, '\\');
                buf_add_byte(&row, (uint8_t)o->help[m]);
            }
            buf_add_byte(&row, ']');
            if (o->kind == OPTION_CHOICE) {
                buf_format(&row, ":%s:(", o->name);
                for (const char *at = o->choices; *at; at++)
                    buf_add_byte(&row, *at == '|' ? ' ' : (uint8_t)*at);
                buf_add_byte(&row, ')');
            } else if (o->kind != OPTION_FLAG) {
                buf_format(&row, ":%s:%s", o->name, is_file_option(o) ? "_files" : " ");
            }
            buf_add_text(out, " \\\n        ");
            shell_quote(out, buf_text(&row), row.size);
            buf_fini(&row);
        }
        buf_add_text(out, " \\\n        '*:file:_files' ;;\n");
    }
    buf_add_text(out, "  esac\n}\n_estape \"$@\"\n");
}

static void complete_fish(const struct command *const *commands, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        buf_format(out, "complete -c estape -n __fish_use_subcommand -a %s -d ", commands[i]->name);
        shell_quote(out, commands[i]->summary, strlen(commands[i]->summary));
        buf_add_byte(out, '\n');
        for (size_t k = 0; k < commands[i]->option_count; k++) {
            const struct option *o = &commands[i]->options[k];
            if (o->kind == OPTION_GROUP)
                continue;
            buf_format(out, "complete -c estape -n '__fish_seen_subcommand_from %s' -l %s", commands[i]->name, o->name);
            if (o->letter)
                buf_format(out, " -s %c", o->letter);
            if (o->kind != OPTION_FLAG)
                buf_add_text(out, " -r");
            if (o->kind == OPTION_CHOICE) {
                buf_add_text(out, " -f -a '");
                for (const char *at = o->choices; *at; at++)
                    buf_add_byte(out, *at == '|' ? ' ' : (uint8_t)*at);
                buf_add_byte(out, '\'');
            }
            buf_add_text(out, " -d ");
            shell_quote(out, o->help, first_sentence(o->help));
            buf_add_byte(out, '\n');
        }
    }
}

void option_completion(const struct command *const *commands, size_t count, const char *shell, struct buf *out)
{
    static const struct {
        const char *shell;
        void (*write)(const struct command *const *, size_t, struct buf *);
    } shells[] = {{"bash", complete_bash}, {"zsh", complete_zsh}, {"fish", complete_fish}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (strcmp(shell, shells[i].shell) == 0)
            shells[i].write(commands, count, out);
}
