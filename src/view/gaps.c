// What was not seen, as a list: the columns of the view `gaps`.
#include "gaps.h"

#include "../base/clock.h"
#include "column.h"

static void cell_time(struct table_cells *c, int64_t time_ns, bool local)
{
    char text[48];
    table_cell_format(c, TABLE_STRING, "%s", local ? clock_format_local(time_ns, text, sizeof text) : clock_format_utc(time_ns, text, sizeof text));
}

static void cell_endpoint(struct table_cells *c, const struct endpoint *e)
{
    char text[64];
    if (e->port)
        table_cell_format(c, TABLE_STRING, "%s", view_endpoint(e, text, sizeof text));
    else
        table_cell_null(c);
}

bool gaps_print(struct out *out, const char *const *names, const struct tape_gap_row *gaps, size_t count, enum table_format format)
{
    static const char *const heads[] = {"from", "to", "cause", "bytes", "packets", "client", "server", "side", "count", "rows_lost", "tape"};
    static const char *const sides[] = {"client", "server"};
    struct table *t = table_open(out, format, heads, names ? 11 : 10);
    struct table_cells c = {0};
    if (!t)
        return false;
    bool ok = true;
    for (size_t i = 0; i < count && ok; i++) {
        const struct tape_gap_row *g = &gaps[i];
        cell_time(&c, g->from_ns, format == TABLE_TEXT);
        cell_time(&c, g->to_ns, format == TABLE_TEXT);
        table_cell_format(&c, TABLE_STRING, "%s", view_cause_name(g->cause));
        table_cell_format(&c, TABLE_INTEGER, "%llu", (unsigned long long)g->bytes);
        table_cell_format(&c, TABLE_INTEGER, "%llu", (unsigned long long)g->packets);
        cell_endpoint(&c, &g->client);
        cell_endpoint(&c, &g->server);
        if (g->side == 0 || g->side == 1)
            table_cell_format(&c, TABLE_STRING, "%s", sides[g->side]);
        else
            table_cell_null(&c);
        table_cell_format(&c, TABLE_INTEGER, "%llu", (unsigned long long)(g->count ? g->count : 1));
        table_cell_format(&c, TABLE_INTEGER, "%llu", (unsigned long long)g->rows_lost);
        if (names)
            table_cell_text(&c, bytes_of_text(names[g->tape]));
        ok = table_cells_row(t, &c);
    }
    table_cells_fini(&c);
    return table_close(t) && ok;
}
