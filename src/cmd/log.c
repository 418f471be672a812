// estape log: the exchanges of a tape, one a line, filtered, followed, as text, JSON or CSV.
#include "cmd.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/mem.h"
#include "../view/column.h"
#include "../view/gaps.h"
#include "../view/line.h"
#include "tape_options.h"

#include <signal.h>
#include <stdlib.h>

enum { FOLLOW_WAIT_MS = 1000, FOLLOW_BEFORE = 10 };

struct log_settings {
    struct option_list tapes;
    struct filter_options filter;
    int64_t newest;
    bool none;          // -n 0
    bool follow, json, csv;
    const char *color, *gaps;
};

#define AT(field) offsetof(struct log_settings, field)
static const struct option options[] = {
    TAPE_OPTION(AT(tapes)),
    FILTER_OPTIONS(AT(filter)),
    {'n', "lines", OPTION_COUNT, AT(newest), "N", "Only the newest N of them (still oldest first).", NULL, false},
    {'f', "follow", OPTION_FLAG, AT(follow), NULL, "Go on with what is being recorded. Begins with the newest 10 unless -n or --since says otherwise.", NULL, false},
    {0, "Output", OPTION_GROUP, 0, NULL, NULL, NULL, false},
    JSON_OPTION(AT(json), "One JSON object per line."),
    {0, "csv", OPTION_FLAG, AT(csv), NULL, "CSV (RFC 4180) with a heading line. Values are exact: a spreadsheet may take one that begins with = for a formula.", NULL, false},
    {0, "gaps", OPTION_CHOICE, AT(gaps), "HOW", "What was not seen: show it between the lines (the default for text), hide it, or only list it.", "show|hide|only", false},
    COLOR_OPTION(AT(color)),
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

// ---- gaps between rows ----------------------------------------------------------------------------------------------

struct gap_list {
    struct tape_gap_row *at;
    size_t count, room, next;
    bool failed;
};

static bool gap_keep(void *ctx, const struct tape_gap_row *gap)
{
    struct gap_list *list = ctx;
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 256;
        struct tape_gap_row *grown = mem_grow(list->at, room * sizeof *grown);
        list->failed = !grown;
        if (!grown)
            return false;
        list->at = grown;
        list->room = room;
    }
    list->at[list->count++] = *gap;
    return true;
}

static int gap_order(const void *a, const void *b)
{
    const struct tape_gap_row *x = a, *y = b;
    return x->from_ns < y->from_ns ? -1 : x->from_ns > y->from_ns;
}

// ---- rows -----------------------------------------------------------------------------------------------------------

struct printer {
    const struct log_settings *settings;
    struct tape *tape;
    struct out *out;
    struct line_state lines;
    struct gap_list gaps;
    const char *names[64];
    struct tape_cursor *cursor; // NULL unless following
    bool text, several;
};

static bool print_gaps_until(struct printer *p, int64_t time_ns)
{
    struct line_gap sum = {0};
    for (; p->gaps.next < p->gaps.count && p->gaps.at[p->gaps.next].from_ns < time_ns; p->gaps.next++)
        line_gap_add(&sum, &p->gaps.at[p->gaps.next]);
    return !sum.count || line_gap(&p->lines, &sum);
}

static bool print_row(void *ctx, const struct tape_row *row)
{
    struct printer *p = ctx;
    const char *name = p->several ? tape_name(p->tape, row->tape) : NULL;
    if (interrupted)
        return false;
    if (p->cursor)
        tape_cursor_seen(p->cursor, row);
    if (p->settings->json)
        view_row_json(&p->out->text, row, name);
    else if (p->settings->csv)
        view_row_csv(&p->out->text, row, name, p->out->terminal);
    else
        return print_gaps_until(p, row->x.time_ns) && line_row(&p->lines, row, name);
    return out_push(p->out);
}

static bool load_gaps(struct printer *p, const struct tape_filter *f, struct fault *fault)
{
    if (!p->text || (p->settings->gaps && strcmp(p->settings->gaps, "hide") == 0))
        return true;
    if (!tape_gaps(p->tape, f->since_ns, f->until_ns, gap_keep, &p->gaps, fault))
        return false;
    if (p->gaps.failed)
        return fault_memory(fault);
    if (p->gaps.count)
        qsort(p->gaps.at, p->gaps.count, sizeof *p->gaps.at, gap_order);
    return true;
}

// With -n only the gaps that fall behind the first printed row belong to the picture.
static bool print_row_newest(void *ctx, const struct tape_row *row)
{
    struct printer *p = ctx;
    while (p->gaps.next < p->gaps.count && p->gaps.at[p->gaps.next].from_ns < row->x.time_ns)
        p->gaps.next++;
    return print_row(ctx, row);
}

struct newest_printer {
    struct printer *printer;
    bool begun;
};

static bool print_row_of_newest(void *ctx, const struct tape_row *row)
{
    struct newest_printer *n = ctx;
    bool first = !n->begun;
    n->begun = true;
    return first ? print_row_newest(n->printer, row) : print_row(n->printer, row);
}

static bool see_row(void *ctx, const struct tape_row *row)
{
    struct printer *p = ctx;
    tape_cursor_seen(p->cursor, row);
    return true;
}

// -n 0: nothing of what is there; a follower begins behind it.
static bool skip_all(struct printer *p, struct tape_filter *f, struct fault *fault)
{
    if (!p->cursor)
        return true;
    f->newest = 1;
    bool ok = tape_select(p->tape, f, see_row, p, fault);
    f->newest = 0;
    return ok;
}

static bool follow(struct printer *p, const struct tape_filter *f, struct fault *fault)
{
    while (!interrupted && out_flush(p->out)) {
        if (!tape_wait(p->tape, FOLLOW_WAIT_MS))
            continue;
        tape_options_warn(p->tape);
        if (!tape_follow(p->tape, p->cursor, f, print_row, p, fault))
            return false;
    }
    return true;
}

static bool print_what_is_there(struct printer *p, struct tape_filter *f, struct fault *fault)
{
    const struct log_settings *s = p->settings;
    f->newest = s->newest ? s->newest : s->follow && !s->filter.since ? FOLLOW_BEFORE : 0;
    struct newest_printer newest = {p, f->newest == 0};
    bool ok = load_gaps(p, f, fault) && tape_select(p->tape, f, print_row_of_newest, &newest, fault);
    f->newest = 0;
    if (ok && p->text && !interrupted)
        print_gaps_until(p, INT64_MAX);
    return ok;
}

static bool print_log(struct printer *p, struct tape_filter *f, struct fault *fault)
{
    const struct log_settings *s = p->settings;
    if (s->csv)
        view_csv_head(&p->out->text);
    if (s->follow && !(p->cursor = tape_cursor_open(p->tape, fault)))
        return false;
    bool ok = s->none ? skip_all(p, f, fault) : print_what_is_there(p, f, fault);
    if (ok && s->follow)
        ok = follow(p, f, fault);
    tape_cursor_close(p->cursor);
    p->cursor = NULL;
    return ok;
}

// --gaps only: each one by itself.
static bool print_gap_list(struct printer *p, const struct tape_filter *f, struct fault *fault)
{
    if (!load_gaps(p, f, fault))
        return false;
    return gaps_print(p->out, p->several ? p->names : NULL, p->gaps.at, p->gaps.count, p->settings->json ? TABLE_JSON : p->settings->csv ? TABLE_CSV : TABLE_TEXT) || fault_memory(fault);
}

static int run(void *settings, int operand_count, char **operands)
{
    struct log_settings *s = settings;
    struct fault fault = {0};
    struct out out;
    struct tape_filter filter;
    tape_options_output(&out, s->color);
    s->none = !s->newest && option_given(&cmd_log, operands, "lines");
    bool ok = tape_options_no_operands("log", operand_count, operands, &fault);
    if (ok && s->json && s->csv)
        ok = fault_user(&fault, "--json and --csv exclude each other");
    struct tape *t = ok ? tape_options_open(&s->tapes, &fault) : NULL;
    struct printer p = {.settings = s, .tape = t, .out = &out, .text = !s->json && !s->csv};
    ok = t && filter_options_apply(&s->filter, t, &filter, &fault);
    if (s->follow)
        sigaction(SIGINT, &(struct sigaction){.sa_handler = on_interrupt}, NULL);
    if (ok) {
        p.several = tape_count(t) > 1;
        for (size_t i = 0; i < tape_count(t) && i < 64; i++)
            p.names[i] = tape_name(t, i);
        line_init(&p.lines, &out, p.several);
        bool only = s->gaps && strcmp(s->gaps, "only") == 0;
        p.text |= only;
        ok = only ? print_gap_list(&p, &filter, &fault) : print_log(&p, &filter, &fault);
    }
    mem_free(p.gaps.at);
    return tape_options_end(t, &out, ok, &fault, 0);
}

const struct command cmd_log = {
    .name = "log",
    .summary = "list the exchanges of a tape: who ran which verb on which index",
    .operands = "",
    .text = "Prints one line per exchange, oldest first: time, id, who and from where, verb, API (or the path where no published API fits), "
            "targets, status or outcome, documents written or hits found, the time it took, and its danger class.\n\n"
            "What was not seen stands between the lines as well, since the absence of a line means something only where everything was seen.\n\n"
            "--json prints one object per line; its fields are those of the view audit and of --csv, and they are stable.",
    .examples = "estape log --destructive --since yesterday\twhat was dangerous since yesterday\n"
                "estape log --index 'logs-*' --writes -f\twrites to these indices as they happen\n"
                "estape log --who alice --json | jq .path\twhat alice asked for\n",
    .see_also = "show timeline doc info sql",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(struct log_settings),
    .run = run,
};
