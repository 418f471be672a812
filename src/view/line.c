// The log as lines for eyes. On a narrow terminal the day stands in a heading and the time alone in the line.
#include "line.h"

#include "../base/clock.h"
#include "column.h"
#include "emit.h"

#include <stdio.h>

enum { WIDE_COLUMNS = 130, WHO_MOST = 28, ACTION_MOST = 26, LIST_MOST = 3, CELL_LEAST = 6, TARGETS_LEAST = 12, MORE_LEAST = 8 };

void line_init(struct line_state *l, struct out *out, bool several)
{
    *l = (struct line_state){.out = out, .several = several, .who = 20, .action = 16};
}

void line_who(struct buf *out, const struct exchange *x)
{
    if (x->principal.size) {
        if (x->auth == AUTH_API_KEY)
            buf_add_text(out, "key ");
        emit_text(out, x->principal);
    } else {
        buf_add_text(out, x->auth == AUTH_NONE ? "-" : view_auth_name(x->auth));
    }
    if (x->run_as.size) {
        buf_add_text(out, " as ");
        emit_text(out, x->run_as);
    }
}

void line_targets(struct buf *out, const struct exchange *x)
{
    size_t told = 0, count = x->target_count ? x->target_count : x->index_count;
    // What was asked tells more than what it became ("logs-*"), unless it is one name that is an alias.
    if (x->target_count == 1 && x->index_count == 1 && x->indices[0].concrete && !bytes_equal(x->targets[0], x->indices[0].index)) {
        emit_text(out, x->targets[0]);
        buf_add_text(out, "->");
        emit_text(out, x->indices[0].index);
        return;
    }
    for (size_t i = 0; i < count && told < LIST_MOST; i++, told++) {
        if (told)
            buf_add_byte(out, ',');
        emit_text(out, x->target_count ? x->targets[i] : x->indices[i].index);
    }
    if (count > told)
        buf_format(out, ",+%zu", count - told);
}

static void add_status(struct buf *out, const struct exchange *x)
{
    if (x->status)
        buf_format(out, "%d", x->status);
    if (!x->status || (x->outcome != OUTCOME_OK && x->outcome != OUTCOME_FAILED))
        buf_format(out, "%s%s", x->status ? " " : "", view_outcome_name(x->outcome));
}

static void add_reason(struct buf *out, const struct exchange *x)
{
    if (x->reason.size) {
        buf_add_byte(out, ' ');
        emit_text(out, x->reason);
    }
}

void line_outcome(struct buf *out, const struct exchange *x)
{
    add_status(out, x);
    add_reason(out, x);
}

void line_docs(struct buf *out, const struct exchange *x)
{
    if (x->docs > 0)
        buf_format(out, "%lld doc%s", (long long)x->docs, x->docs == 1 ? "" : "s");
    if (x->docs > 0 && x->docs_failed > 0)
        buf_format(out, ", %lld failed", (long long)x->docs_failed);
    if (x->docs > 1 && x->docs_deleted > 0)
        buf_format(out, ", %lld deleted", (long long)x->docs_deleted);
    if (x->docs <= 0 && x->docs_total >= 0) // what a read found; of a write by query, what it worked on
        buf_format(out, "%lld %s%s", (long long)x->docs_total, x->flags & EXCHANGE_WRITE ? "doc" : "hit", x->docs_total == 1 ? "" : "s");
}

// What was added since `from` is padded to `width` columns.
static void pad_to(struct out *o, size_t from, size_t width)
{
    size_t used = emit_columns(bytes_of(o->text.at + from, o->text.size - from));
    if (used < width)
        out_pad(o, width - used);
}

// The columns it took in the line.
static size_t put_time(struct line_state *l, int64_t time_ns)
{
    char text[48];
    struct out *o = l->out;
    clock_format_local(time_ns, text, sizeof text);
    if (!o->columns || o->columns >= WIDE_COLUMNS || strlen(text) < 24) {
        out_paint(o, PAINT_DIM);
        buf_format(&o->text, "%s", text);
        out_paint(o, PAINT_NONE);
        return strlen(text);
    }
    char day[16 + 8];
    snprintf(day, sizeof day, "%.10s", text);
    if (strncmp(day, l->day, sizeof l->day - 1) != 0) {
        snprintf(l->day, sizeof l->day, "%.10s", text);
        out_paint(o, PAINT_BOLD);
        buf_format(&o->text, "%s %s\n", l->day, text + 23);
        out_paint(o, PAINT_NONE);
    }
    out_paint(o, PAINT_DIM);
    buf_format(&o->text, "%.12s", text + 11);
    out_paint(o, PAINT_NONE);
    return 12;
}

// How much room the line at hand has; without a terminal nothing is ever cut.
struct room {
    size_t who, action, targets, more;
};

static size_t shrink(size_t have, size_t least, size_t *over)
{
    size_t by = have > least ? have - least : 0;
    by = by < *over ? by : *over;
    *over -= by;
    return have - by;
}

static size_t columns_of(const struct buf *text)
{
    return emit_columns(buf_view(text));
}

static size_t cell_width(struct line_state *l, const struct buf *text, size_t *width, size_t most)
{
    size_t used = columns_of(text);
    if (used > *width)
        *width = used < most ? used : most;
    return l->out->columns || used < *width ? *width : used;
}

static void put_cut(struct out *o, struct buf *text, size_t width)
{
    if (o->columns && columns_of(text) > width)
        emit_cut(&o->text, buf_view(text), width, o->unicode);
    else
        buf_add_bytes(&o->text, buf_view(text));
}

// A cell of a column; a longer one sticks out, or is cut on a terminal.
static void put_cell(struct out *o, struct buf *text, size_t width)
{
    size_t from = o->text.size;
    put_cut(o, text, width);
    pad_to(o, from, width);
    buf_add_byte(&o->text, ' ');
}

static enum paint outcome_paint(const struct exchange *x)
{
    if (x->outcome == OUTCOME_OK)
        return x->status >= 400 ? PAINT_NONE : PAINT_GREEN;
    return x->outcome == OUTCOME_FAILED ? PAINT_RED : PAINT_YELLOW;
}

struct cells {
    struct buf who, action, targets, status, more, danger;
};

static void fill_cells(struct cells *c, const struct exchange *x)
{
    char text[80];
    line_who(&c->who, x);
    buf_format(&c->who, "@%s", view_ip(&x->client, text, sizeof text));
    emit_text(&c->action, view_action_text(x));
    line_targets(&c->targets, x);
    add_status(&c->status, x);
    add_reason(&c->more, x);
    struct buf docs = {0};
    line_docs(&docs, x);
    if (docs.size)
        buf_format(&c->more, "  %s", buf_text(&docs));
    c->more.failed |= docs.failed;
    buf_fini(&docs);
    if (x->status && x->answered_ns != WHEN_UNKNOWN && x->answered_ns >= x->time_ns)
        buf_format(&c->more, "  %lld ms", (long long)((x->answered_ns - x->time_ns + WHEN_NS_PER_MS / 2) / WHEN_NS_PER_MS));
    if (x->flags & EXCHANGE_TRUNCATED)
        buf_add_text(&c->more, "  truncated");
    if (x->flags & EXCHANGE_HEAD_TRUNCATED)
        buf_add_text(&c->more, "  head cut");
    if (x->danger.size) {
        buf_add_text(&c->danger, "  ");
        emit_text(&c->danger, x->danger);
    }
}

// The parts that tell what happened (status, outcome, danger) are never cut: first the who and the API give way, then the
// targets, down to what still tells something; what stands behind the status takes what is left.
static struct room share_room(struct line_state *l, const struct cells *c, const struct exchange *x, size_t used)
{
    size_t verb = x->verb.size ? emit_columns(x->verb) : 1;
    struct room r = {.targets = columns_of(&c->targets), .more = SIZE_MAX};
    r.who = cell_width(l, &c->who, &l->who, WHO_MOST);
    r.action = cell_width(l, &c->action, &l->action, ACTION_MOST);
    if (!l->out->columns)
        return r;
    size_t fixed = used + 1 + 1 + (verb > 6 ? verb : 6) + 1 + 2 + (r.targets ? 2 : 0) + columns_of(&c->status) + columns_of(&c->danger);
    size_t have = l->out->columns - 1, need = fixed + r.who + r.action + r.targets, over = need > have ? need - have : 0;
    r.more = need < have ? have - need : 0;
    r.who = shrink(r.who, 2 * CELL_LEAST, &over);
    r.action = shrink(r.action, 2 * CELL_LEAST, &over);
    r.targets = shrink(r.targets, TARGETS_LEAST, &over);
    r.who = shrink(r.who, CELL_LEAST, &over);
    r.action = shrink(r.action, CELL_LEAST, &over);
    r.targets = shrink(r.targets, 1, &over);
    r.who = shrink(r.who, 0, &over);
    r.action = shrink(r.action, 0, &over);
    return r;
}

// Everything behind the aligned part, each piece only where there is something to say.
static void put_rest(struct out *o, const struct exchange *x, struct cells *c, const struct room *r)
{
    if (c->targets.size) {
        put_cut(o, &c->targets, r->targets);
        buf_add_text(&o->text, "  ");
    }
    out_paint(o, outcome_paint(x));
    buf_add_bytes(&o->text, buf_view(&c->status));
    if (!x->reason.size)
        out_paint(o, PAINT_NONE);
    if (r->more >= MORE_LEAST || columns_of(&c->more) <= r->more) // dots right behind a status would look like a cut one
        put_cut(o, &c->more, r->more);
    if (x->reason.size)
        out_paint(o, PAINT_NONE);
    if (x->danger.size) {
        out_paint(o, PAINT_RED);
        buf_add_bytes(&o->text, buf_view(&c->danger));
        out_paint(o, PAINT_NONE);
    }
}

// Cuts the line that began at `from` to the terminal's width; escape sequences of ours take no columns.
static void cut_line(struct out *o, size_t from)
{
    size_t used = 0, at = from, last = from;
    if (!o->columns)
        return;
    while (at < o->text.size) {
        if (o->text.at[at] == 0x1b) {
            while (at < o->text.size && o->text.at[at] != 'm')
                at++;
            at++;
            continue;
        }
        struct emit_char c = emit_next((struct bytes){o->text.at + at, o->text.size - at});
        if (used + c.columns > o->columns - 1 && emit_columns(bytes_of(o->text.at + at, o->text.size - at)) > 1) {
            o->text.size = last;
            buf_add_text(&o->text, o->unicode ? "…" : "~");
            out_paint(o, PAINT_NONE);
            return;
        }
        used += c.columns;
        at += c.size;
        last = at;
    }
}

static size_t line_start(const struct out *o)
{
    size_t from = o->text.size;
    while (from && o->text.at[from - 1] != '\n')
        from--;
    return from;
}

bool line_row(struct line_state *l, const struct tape_row *row, const char *tape_name)
{
    struct out *o = l->out;
    const struct exchange *x = &row->x;
    struct cells c = {0};
    struct buf head = {0};
    char text[320];
    fill_cells(&c, x);
    size_t time_columns = put_time(l, x->time_ns), from = line_start(o);
    buf_format(&head, "  %5s  ", view_id(row, l->several ? tape_name : NULL, text, sizeof text));
    buf_add_bytes(&o->text, buf_view(&head));
    struct room r = share_room(l, &c, x, time_columns + columns_of(&head));
    put_cell(o, &c.who, r.who);
    out_paint(o, x->danger.size ? PAINT_ALARM : PAINT_NONE);
    buf_add_byte(&o->text, x->danger.size ? '!' : ' '); // in front, where no narrow terminal cuts it off
    out_paint(o, PAINT_NONE);
    size_t at = o->text.size;
    emit_text(&o->text, x->verb.size ? x->verb : bytes_of_text("?"));
    pad_to(o, at, 6);
    buf_add_byte(&o->text, ' ');
    if (x->flags & EXCHANGE_WRITE)
        out_paint(o, PAINT_BOLD);
    put_cell(o, &c.action, r.action);
    buf_add_byte(&o->text, ' ');
    out_paint(o, PAINT_NONE);
    put_rest(o, x, &c, &r);
    cut_line(o, from);
    buf_add_byte(&o->text, '\n');
    struct buf *const parts[] = {&head, &c.who, &c.action, &c.targets, &c.status, &c.more, &c.danger};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        o->text.failed |= parts[i]->failed;
        buf_fini(parts[i]);
    }
    return out_push(o);
}

// ---- gaps -----------------------------------------------------------------------------------------------------------

void line_gap_add(struct line_gap *sum, const struct tape_gap_row *gap)
{
    if (!sum->count || gap->from_ns < sum->from_ns)
        sum->from_ns = gap->from_ns;
    if (!sum->count || gap->to_ns > sum->to_ns)
        sum->to_ns = gap->to_ns;
    sum->count += gap->count ? gap->count : 1;
    sum->bytes += gap->bytes;
    sum->packets += gap->packets;
    if ((unsigned)gap->cause < GAP_CAUSES)
        sum->by_cause[gap->cause] += gap->count ? gap->count : 1;
}

bool line_gap(struct line_state *l, const struct line_gap *sum)
{
    struct out *o = l->out;
    char text[48];
    put_time(l, sum->from_ns);
    size_t from = line_start(o);
    out_paint(o, PAINT_MAGENTA);
    buf_add_text(&o->text, "  -- not seen: ");
    if (sum->bytes)
        buf_format(&o->text, "%s ", clock_format_size(sum->bytes, text, sizeof text));
    if (sum->packets)
        buf_format(&o->text, "%llu packets ", (unsigned long long)sum->packets);
    if (sum->to_ns > sum->from_ns)
        buf_format(&o->text, "within %s ", clock_format_span(sum->to_ns - sum->from_ns, text, sizeof text));
    buf_format(&o->text, "(");
    bool first = true;
    for (int i = 0; i < GAP_CAUSES; i++) {
        if (!sum->by_cause[i])
            continue;
        buf_format(&o->text, "%s", first ? "" : ", ");
        if (sum->by_cause[i] > 1)
            buf_format(&o->text, "%llu x ", (unsigned long long)sum->by_cause[i]);
        buf_add_text(&o->text, view_cause_text((enum gap_cause)i));
        first = false;
    }
    buf_add_text(&o->text, ")");
    out_paint(o, PAINT_NONE);
    cut_line(o, from);
    buf_add_byte(&o->text, '\n');
    return out_push(o);
}
