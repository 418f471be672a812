// From argv to the subcommand's run, and everything that is told about the subcommands themselves.
#include "help.h"

#include "../base/diag.h"
#include "../base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { COMMANDS_MAX = 64 };

struct table {
    const struct command *at[COMMANDS_MAX];
    size_t count;
};

static const struct command *find(const struct table *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->at[i]->name, name) == 0)
            return t->at[i];
    return NULL;
}

static const char about[] =
    "estape is a flight recorder for Elasticsearch and OpenSearch. It watches the cluster's HTTP traffic from the wire, writes down who ran "
    "which verb on which index, raises an alert when something destructive happens, and can play the recorded writes back onto an index "
    "restored from a snapshot.";

static int print(struct buf *out)
{
    bool failed = out->failed, written = fwrite(out->at, 1, out->size, stdout) == out->size && fflush(stdout) == 0;
    int why = errno; // told here: a text longer than the stream's buffer fails before the last flush
    buf_fini(out);
    if (failed)
        diag_line("out of memory");
    else if (!written)
        diag_line("cannot write the output: %s", strerror(why));
    clearerr(stdout);
    return failed || !written;
}

static int overview(const struct table *t)
{
    struct buf out = {0};
    buf_add_text(&out, "usage: estape COMMAND [OPTION...] [OPERAND...]\n\n"
                       "A flight recorder for Elasticsearch and OpenSearch: who ran which verb on which\n"
                       "index, from the wire; alerts on destructive operations; replays what was written\n"
                       "since the snapshot.\n\ncommands:\n");
    for (size_t i = 0; i < t->count; i++)
        buf_format(&out, "  %-10s %s\n", t->at[i]->name, t->at[i]->summary);
    buf_add_text(&out, "\n  estape COMMAND --help    what a command does and takes\n"
                       "  estape --version         the version\n\n"
                       "The tape is the directory given with --tape, else $ESTAPE_TAPE, else\n"
                       "/var/lib/estape where that is a tape, else ./estape.tape.\n\n"
                       "first steps:\n"
                       "  sudo estape record -i any               record port 9200 on this host\n"
                       "  estape record -r FILE.pcap              or from a capture file\n"
                       "  estape log --destructive                what was deleted, by whom\n");
    return print(&out);
}

static int overview_man(const struct table *t)
{
    struct buf out = {0};
    buf_format(&out, ".TH ESTAPE 1 \"\" \"estape %s\" \"estape\"\n.SH NAME\nestape \\- flight recorder for Elasticsearch and OpenSearch\n", ESTAPE_VERSION);
    buf_format(&out, ".SH SYNOPSIS\n\\fBestape\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR...] [\\fIOPERAND\\fR...]\n.SH DESCRIPTION\n%s\n.SH COMMANDS\n", about);
    for (size_t i = 0; i < t->count; i++)
        buf_format(&out, ".TP\n\\fBestape\\-%s\\fR(1)\n%s\n", t->at[i]->name, t->at[i]->summary);
    buf_add_text(&out, ".SH ENVIRONMENT\n.TP\n\\fBESTAPE_TAPE\\fR\nThe tape's directory where \\fB\\-\\-tape\\fR is not given.\n"
                       ".TP\n\\fBNO_COLOR\\fR\nNo colour on terminals.\n"
                       ".SH FILES\n.TP\n\\fI/etc/estape/estape.conf\\fR\nOptions of \\fBestape\\-record\\fR, one \\fIname = value\\fR a line.\n"
                       ".TP\n\\fI/var/lib/estape\\fR\nThe tape, where it is one.\n"
                       ".SH EXIT STATUS\n0 success; 1 failure (disk, memory, permission, device); 2 the request itself was wrong.\n.SH SEE ALSO\n");
    for (size_t i = 0; i < t->count; i++)
        buf_format(&out, "%s\\fBestape\\-%s\\fR(1)", i ? ", " : "", t->at[i]->name);
    buf_add_byte(&out, '\n');
    return print(&out);
}

static int unknown(const struct table *t, const char *name)
{
    const char *near = NULL;
    for (size_t i = 0; i < t->count && !near; i++)
        if (strncmp(t->at[i]->name, name, 2) == 0)
            near = t->at[i]->name;
    diag_line("there is no command '%s'%s%s%s; 'estape --help' lists them", name, near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
    return 2;
}

static int help_on(const struct table *t, const char *name)
{
    const struct command *c = find(t, name);
    if (!c)
        return unknown(t, name);
    struct buf out = {0};
    option_help(c, &out);
    return print(&out);
}

static int run_help(const struct table *t, int argc, char **argv)
{
    if (argc == 0)
        return overview(t);
    if (argc == 2 && strcmp(argv[0], "--man") == 0) {
        if (strcmp(argv[1], "estape") == 0)
            return overview_man(t);
        const struct command *c = find(t, argv[1]);
        if (!c)
            return unknown(t, argv[1]);
        struct buf out = {0};
        option_man(c, &out);
        return print(&out);
    }
    if (argc == 2 && strcmp(argv[0], "--completion") == 0) {
        struct buf out = {0};
        option_completion(t->at, t->count, argv[1], &out);
        if (!out.size) {
            diag_line("completion is made for bash, zsh and fish");
            return 2;
        }
        return print(&out);
    }
    if (argc == 1 && strcmp(argv[0], "--commands") == 0) {
        for (size_t i = 0; i < t->count; i++)
            printf("%s\n", t->at[i]->name);
        return 0;
    }
    return help_on(t, argv[0]);
}

static int run_command(const struct command *c, int argc, char **argv)
{
    void *settings = mem_zero(1, c->settings_size ? c->settings_size : 1);
    struct fault fault = {0};
    char **operands = NULL;
    int operand_count = 0, status;
    bool help = false;
    if (!settings) {
        fault_memory(&fault);
        status = diag_fault(&fault);
    } else if (!option_parse(c, argc, argv, settings, &operand_count, &operands, &help, &fault)) {
        status = diag_fault(&fault);
    } else if (help) {
        struct buf out = {0};
        option_help(c, &out);
        status = print(&out);
    } else {
        status = c->run(settings, operand_count, operands);
    }
    if (settings)
        option_free(c, settings, operands);
    mem_free(settings);
    return status;
}

static int dispatch(const struct table *t, int argc, char **argv)
{
    if (argc < 2) {
        overview(t);
        return 2;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return overview(t);
    if (strcmp(name, "help") == 0)
        return run_help(t, argc - 2, argv + 2);
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        printf("estape %s\n", ESTAPE_VERSION);
        return 0;
    }
    const struct command *c = find(t, name);
    return c ? run_command(c, argc - 1, argv + 1) : unknown(t, name);
}

// Where a standard descriptor is closed the next file opened, of a tape perhaps, would take its place and what is printed
// would be written into that. Opened this way every use of it fails, as it should.
static void hold_descriptors(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            _exit(1);
}

int help_main(const struct command *const *commands, size_t count, int argc, char **argv)
{
    struct table t = {0};
    hold_descriptors();
    for (size_t i = 0; i < count && t.count < COMMANDS_MAX; i++)
        if (commands[i])
            t.at[t.count++] = commands[i];
    int status = dispatch(&t, argc, argv);
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        diag_line("cannot write the output%s%s", errno ? ": " : "", errno ? strerror(errno) : "");
        return status ? status : 1;
    }
    return status;
}
