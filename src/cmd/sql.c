// estape sql: any SELECT over all segments of the tapes.
#include "cmd.h"

#include "../base/diag.h"
#include "../view/table.h"
#include "tape_options.h"

#include <errno.h>
#include <stdio.h>

struct sql_settings {
    struct option_list tapes;
    bool json, csv;
    const char *color, *file;
};

#define AT(field) offsetof(struct sql_settings, field)
static const struct option options[] = {
    TAPE_OPTION(AT(tapes)),
    {0, "file", OPTION_TEXT, AT(file), "FILE", "Read the statement from this file, '-' for standard input.", NULL, false},
    JSON_OPTION(AT(json), "One JSON object per row."),
    {0, "csv", OPTION_FLAG, AT(csv), NULL, "CSV (RFC 4180) with a heading line.", NULL, false},
    COLOR_OPTION(AT(color)),
};

struct printer {
    struct out *out;
    enum table_format format;
    struct table *table;
    bool failed;
};

static bool print_row(void *ctx, int columns, const char *const *names, const struct bytes *values, const int *types)
{
    struct printer *p = ctx;
    if (!values) { // the heads
        p->table = table_open(p->out, p->format, names, (size_t)columns);
        p->failed = !p->table;
        return p->table != NULL;
    }
    return table_row(p->table, values, types);
}

static bool read_statement(const char *file, struct buf *sql, struct fault *fault)
{
    FILE *from = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
    char piece[4096];
    if (!from)
        return fault_user(fault, "--file %s: %s", file, strerror(errno));
    for (size_t n; (n = fread(piece, 1, sizeof piece, from)) > 0;)
        buf_add(sql, piece, n);
    if (from != stdin)
        fclose(from);
    return !sql->failed || fault_memory(fault);
}

static bool gather(const struct sql_settings *s, int operand_count, char **operands, struct buf *sql, struct fault *fault)
{
    if (s->json && s->csv)
        return fault_user(fault, "--json and --csv exclude each other");
    if (s->file && operand_count)
        return fault_user(fault, "either --file or a statement, not both");
    if (s->file)
        return read_statement(s->file, sql, fault);
    if (!operand_count)
        return fault_user(fault, "sql needs a statement: estape sql \"SELECT time, principal, verb, path FROM audit WHERE destructive IS NOT NULL\"");
    for (int i = 0; i < operand_count; i++)
        buf_format(sql, "%s%s", i ? " " : "", operands[i]);
    return !sql->failed || fault_memory(fault);
}

static int run(void *settings, int operand_count, char **operands)
{
    struct sql_settings *s = settings;
    struct fault fault = {0};
    struct out out;
    struct buf sql = {0};
    tape_options_output(&out, s->color);
    struct printer p = {.out = &out, .format = s->json ? TABLE_JSON : s->csv ? TABLE_CSV : TABLE_TEXT};
    bool ok = gather(s, operand_count, operands, &sql, &fault);
    struct tape *t = ok ? tape_options_open(&s->tapes, &fault) : NULL;
    ok = t && tape_sql(t, buf_text(&sql), print_row, &p, &fault);
    if (ok && p.failed)
        ok = fault_memory(&fault);
    if (p.table && !table_close(p.table) && ok && !out.error)
        ok = fault_memory(&fault);
    buf_fini(&sql);
    return tape_options_end(t, &out, ok, &fault, 0);
}

const struct command cmd_sql = {
    .name = "sql",
    .summary = "run a SELECT over all segments of a tape",
    .operands = "STATEMENT",
    .text = "The tables are the same for any number of segments and tapes:\n\n"
            "audit: one row per exchange, with the fields of 'estape log --json'; targets and indices are JSON arrays. A condition on its hidden column "
            "\"index\" finds exchanges that concern an index.\n\n"
            "writes: one row per exchange that changes data and index it touched, with document counts by result. "
            "ops: one row per document write (exchange, item, index, id, op, result, version, seq_no, primary_term ...).\n\n"
            "gaps, alerts, segments, heartbeats, lives (of indices), resolutions (names to indices), late (outcomes learned afterwards), opaque (connections that "
            "could not be read), connections, summary.\n\n"
            "Conditions with = on id, time, principal, client_ip, agent, verb, api, outcome, write and destructive, ranges on id and time, and ORDER BY time "
            "are carried out by the tape's own ways in; everything else reads all rows. Nothing can be written.",
    .examples = "estape sql \"SELECT principal, count(*) FROM audit WHERE write GROUP BY 1\"\twho writes\n"
                "estape sql --csv \"SELECT * FROM gaps\" > gaps.csv\twhat was not seen, as CSV\n",
    .see_also = "log info",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(struct sql_settings),
    .run = run,
};
