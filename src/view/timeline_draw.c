// The timeline drawn: lanes of small bars with their totals in front, an axis of times above, destructive calls below.
//
// 1. No line is wider than the terminal; without one, bars take one column per bucket and nothing is cut.
// 2. With UTF-8 bars are block characters, else a ramp of ASCII.
// 3. A mark wins over a bar: '!' a destructive call, then blindness where the bar would be empty.
#include "timeline_inner.h"

#include "../base/clock.h"
#include "../base/mem.h"
#include "emit.h"

#include <stdio.h>
#include <stdlib.h>

enum { NUMBER_COLUMNS = 8, NAME_LEAST = 10, NAME_MOST = 30, EVENTS_SHOWN = 40 };

struct drawing {
    struct timeline *t;
    struct out *out;
    size_t name_columns;
    size_t bars;   // columns for the bars
    size_t per;    // buckets per column, at least 1
    enum paint paint; // of the cell drawn last
};

typedef uint64_t tally_get(const struct tally *tally);
static uint64_t get_writes(const struct tally *c) { return c->writes; }
static uint64_t get_reads(const struct tally *c) { return c->reads; }
static uint64_t get_errors(const struct tally *c) { return c->errors; }
static uint64_t get_destructive(const struct tally *c) { return c->destructive; }
static uint64_t get_all(const struct tally *c) { return c->writes + c->reads; }

static void cut_name(struct drawing *d, struct bytes name)
{
    size_t used = emit_cut(&d->out->text, name, d->name_columns, d->out->unicode);
    if (used < d->name_columns)
        out_pad(d->out, d->name_columns - used);
}

// "1234", "12.3k", "4.5M": at most six columns.
static void short_number(char *text, size_t room, uint64_t n)
{
    if (n < 100000)
        snprintf(text, room, "%llu", (unsigned long long)n);
    else if (n < 10000000)
        snprintf(text, room, "%.1fk", (double)n / 1e3);
    else if (n < UINT64_C(10000000000))
        snprintf(text, room, "%.1fM", (double)n / 1e6);
    else
        snprintf(text, room, "%.1fG", (double)n / 1e9);
}

// ---- the axis -------------------------------------------------------------------------------------------------------

static void axis(struct drawing *d)
{
    struct timeline *t = d->t;
    char time[48], label[16], *line = mem_zero(d->bars + 16, 1);
    if (!line)
        return;
    memset(line, ' ', d->bars);
    int64_t column_ns = t->settings.bucket_ns * (int64_t)d->per;
    size_t free_from = 0;
    for (size_t i = 0; i + 5 <= d->bars; i++) {
        int64_t at_ns = t->begin_ns + (int64_t)i * column_ns;
        clock_format_local(at_ns, time, sizeof time);
        bool days = column_ns * 12 > 86400 * WHEN_NS_PER_S, seconds = column_ns * 12 < 60 * WHEN_NS_PER_S;
        snprintf(label, sizeof label, "%.*s", days ? 5 : seconds ? 8 : 5, days ? time + 5 : time + 11);
        if (i < free_from || i + strlen(label) > d->bars)
            continue;
        memcpy(line + i, label, strlen(label));
        free_from = i + (strlen(label) > 5 ? 12 : 10);
    }
    for (size_t end = d->bars; end && line[end - 1] == ' ';)
        line[--end] = 0;
    out_pad(d->out, d->name_columns + NUMBER_COLUMNS + 1);
    out_paint(d->out, PAINT_DIM);
    buf_add_text(&d->out->text, line);
    out_paint(d->out, PAINT_NONE);
    buf_add_byte(&d->out->text, '\n');
    mem_free(line);
}

// ---- lanes ----------------------------------------------------------------------------------------------------------

struct column_sum {
    uint64_t value;
    struct tally tally;
    bool blind;
};

static struct column_sum column_of(const struct drawing *d, const struct tally *cells, size_t column, tally_get *get)
{
    struct column_sum sum = {0};
    for (size_t i = column * d->per; i < (column + 1) * d->per && i < d->t->bucket_count; i++) {
        sum.value += get(&cells[i]);
        sum.tally.errors += cells[i].errors;
        sum.tally.destructive += cells[i].destructive;
        sum.blind |= d->t->holes[i].blind;
    }
    return sum;
}

static void bar(struct drawing *d, uint64_t value, uint64_t most)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char ramp[] = ".:-=+*#@";
    size_t level = most ? (size_t)((value * 8 + most - 1) / most) : 0;
    level = level > 8 ? 8 : level;
    if (d->out->unicode)
        buf_add_text(&d->out->text, blocks[level - 1]);
    else
        buf_add_byte(&d->out->text, (uint8_t)ramp[level - 1]);
}

static void paint_to(struct drawing *d, enum paint paint)
{
    if (d->paint == paint)
        return;
    if (d->paint != PAINT_NONE)
        out_paint(d->out, PAINT_NONE);
    if (paint != PAINT_NONE)
        out_paint(d->out, paint);
    d->paint = paint;
}

static void blind(struct drawing *d)
{
    paint_to(d, PAINT_MAGENTA);
    buf_add_text(&d->out->text, d->out->unicode ? "░" : "~");
}

static void bars(struct drawing *d, const struct tally *cells, tally_get *get, enum paint paint, bool marks)
{
    uint64_t most = 0;
    for (size_t i = 0; i < d->bars; i++) {
        struct column_sum sum = column_of(d, cells, i, get);
        most = sum.value > most ? sum.value : most;
    }
    size_t pending = 0;
    for (size_t i = 0; i < d->bars; i++) {
        struct column_sum sum = column_of(d, cells, i, get);
        if (!sum.value && !sum.blind) {
            pending++;
            continue;
        }
        if (pending)
            paint_to(d, PAINT_NONE);
        out_pad(d->out, pending);
        pending = 0;
        if (marks && sum.tally.destructive) {
            paint_to(d, PAINT_ALARM);
            buf_add_byte(&d->out->text, '!');
        } else if (!sum.value) {
            blind(d);
        } else {
            paint_to(d, marks && sum.tally.errors ? PAINT_YELLOW : paint);
            bar(d, sum.value, most);
        }
    }
    paint_to(d, PAINT_NONE);
    buf_add_byte(&d->out->text, '\n');
}

static void lane(struct drawing *d, struct bytes name, const struct tally *cells, uint64_t total, tally_get *get, enum paint paint, bool marks)
{
    char number[24];
    cut_name(d, name);
    short_number(number, sizeof number, total);
    buf_format(&d->out->text, "%*s ", NUMBER_COLUMNS, number);
    bars(d, cells, get, paint, marks);
    out_push(d->out);
}

static void hole_lane(struct drawing *d)
{
    struct timeline *t = d->t;
    if (!t->gap_count)
        return;
    char number[24];
    cut_name(d, bytes_of_text("not seen (gaps)"));
    short_number(number, sizeof number, t->gap_count);
    buf_format(&d->out->text, "%*s ", NUMBER_COLUMNS, number);
    size_t pending = 0;
    for (size_t i = 0; i < d->bars; i++) {
        bool any = false;
        for (size_t b = i * d->per; b < (i + 1) * d->per && b < t->bucket_count; b++)
            any |= t->holes[b].gaps || t->holes[b].blind;
        if (!any) {
            pending++;
            continue;
        }
        if (pending)
            paint_to(d, PAINT_NONE);
        out_pad(d->out, pending);
        pending = 0;
        blind(d);
    }
    paint_to(d, PAINT_NONE);
    buf_add_byte(&d->out->text, '\n');
}

// ---- groups ---------------------------------------------------------------------------------------------------------

struct lane_list {
    struct lane **at;
    size_t count;
};

static uint64_t lane_weight(const struct lane *first)
{
    uint64_t weight = 0;
    for (; first; first = first->next_life)
        weight += get_all(&first->sum) + first->sum.destructive * 1000000; // what was destroyed is always shown
    return weight;
}

static int lane_order(const void *a, const void *b)
{
    const struct lane *x = *(struct lane *const *)a, *y = *(struct lane *const *)b;
    uint64_t left = lane_weight(x), right = lane_weight(y);
    return left != right ? (left < right ? 1 : -1) : strcmp(x->name, y->name);
}

static struct lane_list sorted(struct map *lanes)
{
    struct lane_list list = {mem_zero(map_count(lanes) + 1, sizeof *list.at), 0};
    size_t at = 0;
    struct bytes key;
    union map_value *value;
    while (list.at && map_next(lanes, &at, &key, &value))
        if (lane_weight(value->ptr))
            list.at[list.count++] = value->ptr;
    if (list.at)
        qsort(list.at, list.count, sizeof *list.at, lane_order);
    return list;
}

static void life_note(struct buf *name, const struct lane *l)
{
    buf_add_text(name, l->name);
    if (l->life || l->next_life)
        buf_format(name, " (life %u)", l->life + 1);
}

static void group(struct drawing *d, const char *head, struct map *lanes)
{
    struct lane_list list = sorted(lanes);
    size_t top = d->t->settings.top;
    struct tally rest = {0};
    if (!list.count) {
        mem_free(list.at);
        return;
    }
    out_paint(d->out, PAINT_BOLD);
    buf_format(&d->out->text, "\n%s\n", head);
    out_paint(d->out, PAINT_NONE);
    for (size_t i = 0; i < list.count; i++)
        for (struct lane *l = list.at[i]; l; l = l->next_life) {
            struct buf name = {0};
            if (i >= top) {
                rest.reads += get_all(&l->sum);
                continue;
            }
            if (!get_all(&l->sum) && !l->life)
                continue;
            life_note(&name, l);
            lane(d, buf_view(&name), l->cells, get_all(&l->sum), get_all, PAINT_BLUE, true);
            buf_fini(&name);
        }
    if (list.count > top)
        buf_format(&d->out->text, "and %zu more with %llu exchanges\n", list.count - top, (unsigned long long)rest.reads);
    mem_free(list.at);
}

static size_t longest_name(struct map *lanes)
{
    struct lane_list list = sorted(lanes);
    size_t most = 0;
    for (size_t i = 0; i < list.count; i++) {
        size_t used = emit_columns(bytes_of_text(list.at[i]->name)) + (list.at[i]->next_life ? 9 : 0);
        most = used > most ? used : most;
    }
    mem_free(list.at);
    return most;
}

// ---- lives and events -----------------------------------------------------------------------------------------------

static void lives(struct drawing *d)
{
    struct lane_list list = sorted(d->t->index_lanes);
    bool head = false;
    char born[48], died[48];
    for (size_t i = 0; i < list.count && i < d->t->settings.top; i++)
        for (struct lane *l = list.at[i]; l && (list.at[i]->next_life || list.at[i]->died_ns != WHEN_UNKNOWN); l = l->next_life) {
            if (!head)
                buf_add_text(&d->out->text, "\nlives of an index\n");
            head = true;
            buf_add_text(&d->out->text, "  ");
            struct buf text = {0};
            life_note(&text, l);
            clock_format_local(l->born_ns == WHEN_UNKNOWN ? 0 : l->born_ns, born, sizeof born);
            clock_format_local(l->died_ns == WHEN_UNKNOWN ? 0 : l->died_ns, died, sizeof died);
            buf_format(&text, "  %s%s  %s%s", l->born_ns == WHEN_UNKNOWN ? "" : "from ", l->born_ns == WHEN_UNKNOWN ? "existed before" : born,
                       l->died_ns == WHEN_UNKNOWN ? "" : "until ", l->died_ns == WHEN_UNKNOWN ? "still there" : died);
            if (l->died_by)
                buf_format(&text, " (ended by %llu)", (unsigned long long)l->died_by);
            emit_cut(&d->out->text, buf_view(&text), d->out->columns ? d->out->columns - 3 : SIZE_MAX, d->out->unicode);
            buf_add_byte(&d->out->text, '\n');
            buf_fini(&text);
        }
    mem_free(list.at);
}

static void events(struct drawing *d)
{
    struct timeline *t = d->t;
    if (!t->event_count)
        return;
    out_paint(d->out, PAINT_BOLD);
    buf_format(&d->out->text, "\ndestructive (%zu)\n", t->event_count);
    out_paint(d->out, PAINT_NONE);
    size_t from = t->event_count > EVENTS_SHOWN ? t->event_count - EVENTS_SHOWN : 0;
    if (from)
        buf_format(&d->out->text, "%zu earlier ones: estape log --destructive\n", from);
    for (size_t i = from; i < t->event_count; i++) {
        buf_add_text(&d->out->text, t->events[i].line + t->events[i].text_at);
    }
}

static void heading(struct drawing *d)
{
    struct timeline *t = d->t;
    char from[48], to[48], size[32];
    struct buf line = {0};
    clock_format_local(t->settings.from_ns, from, sizeof from);
    clock_format_local(t->settings.to_ns, to, sizeof to);
    clock_format_span(t->settings.bucket_ns * (int64_t)d->per, size, sizeof size);
    buf_format(&line, "%s to %s", from, to);
    emit_cut(&d->out->text, buf_view(&line), d->out->columns ? d->out->columns - 1 : SIZE_MAX, d->out->unicode);
    buf_format(&d->out->text, "\n%llu exchanges, a column is %s\n\n", (unsigned long long)get_all(&t->whole.sum), size);
    buf_fini(&line);
}

void timeline_print(struct timeline *t, struct out *out)
{
    struct drawing d = {t, out, 0, t->bucket_count, 1, PAINT_NONE};
    size_t names = longest_name(t->index_lanes), whos = longest_name(t->who_lanes);
    d.name_columns = names > whos ? names : whos;
    d.name_columns = d.name_columns < 16 ? 16 : d.name_columns > NAME_MOST ? NAME_MOST : d.name_columns;
    if (out->columns && out->columns < 3 * d.name_columns)
        d.name_columns = out->columns / 3 < NAME_LEAST ? NAME_LEAST : out->columns / 3;
    if (out->columns) {
        size_t taken = d.name_columns + NUMBER_COLUMNS + 2, room = out->columns > taken ? out->columns - taken : 1;
        d.per = (t->bucket_count + room - 1) / room;
        d.bars = (t->bucket_count + d.per - 1) / d.per;
    }
    heading(&d);
    axis(&d);
    lane(&d, bytes_of_text("writes"), t->whole.cells, t->whole.sum.writes, get_writes, PAINT_GREEN, false);
    lane(&d, bytes_of_text("reads"), t->whole.cells, t->whole.sum.reads, get_reads, PAINT_CYAN, false);
    lane(&d, bytes_of_text("errors"), t->whole.cells, t->whole.sum.errors, get_errors, PAINT_YELLOW, false);
    lane(&d, bytes_of_text("destructive"), t->whole.cells, t->whole.sum.destructive, get_destructive, PAINT_RED, true);
    hole_lane(&d);
    group(&d, "by index", t->index_lanes);
    group(&d, "by who", t->who_lanes);
    lives(&d);
    events(&d);
}

// ---- JSON -----------------------------------------------------------------------------------------------------------

static void json_time(struct buf *out, int64_t time_ns)
{
    char text[48];
    if (time_ns == WHEN_UNKNOWN)
        buf_add_text(out, "null");
    else
        buf_format(out, "\"%s\"", clock_format_utc(time_ns, text, sizeof text));
}

static void json_tally(struct buf *out, const struct tally *c)
{
    buf_format(out, "\"writes\":%llu,\"reads\":%llu,\"errors\":%llu,\"destructive\":%llu,\"docs\":%llu", (unsigned long long)c->writes,
               (unsigned long long)c->reads, (unsigned long long)c->errors, (unsigned long long)c->destructive, (unsigned long long)c->docs);
}

static void json_counts(struct timeline *t, struct buf *out, const struct lane *l)
{
    buf_add_text(out, ",\"counts\":[");
    for (size_t i = 0; i < t->bucket_count; i++)
        buf_format(out, "%s%llu", i ? "," : "", (unsigned long long)get_all(&l->cells[i]));
    buf_add_text(out, "]}");
}

static void json_lanes(struct timeline *t, struct buf *out, struct map *lanes, bool index)
{
    struct lane_list list = sorted(lanes);
    bool first = true;
    for (size_t i = 0; i < list.count; i++)
        for (struct lane *l = list.at[i]; l; l = l->next_life, first = false) {
            buf_format(out, "%s{\"%s\":", first ? "" : ",", index ? "index" : "who");
            emit_json(out, bytes_of_text(l->name));
            if (index) {
                buf_format(out, ",\"life\":%u,\"born\":", l->life + 1);
                json_time(out, l->born_ns);
                buf_add_text(out, ",\"died\":");
                json_time(out, l->died_ns);
            }
            buf_add_byte(out, ',');
            json_tally(out, &l->sum);
            json_counts(t, out, l);
        }
    mem_free(list.at);
}

void timeline_json(struct timeline *t, struct buf *out)
{
    buf_add_text(out, "{\"from\":");
    json_time(out, t->settings.from_ns);
    buf_add_text(out, ",\"to\":");
    json_time(out, t->settings.to_ns);
    buf_format(out, ",\"bucket_ms\":%lld,", (long long)(t->settings.bucket_ns / WHEN_NS_PER_MS));
    json_tally(out, &t->whole.sum);
    buf_format(out, ",\"gaps\":%llu,\"gap_bytes\":%llu,\"buckets\":[", (unsigned long long)t->gap_count, (unsigned long long)t->gap_bytes);
    for (size_t i = 0; i < t->bucket_count; i++) {
        buf_format(out, "%s{\"time\":", i ? "," : "");
        json_time(out, t->begin_ns + (int64_t)i * t->settings.bucket_ns);
        buf_add_byte(out, ',');
        json_tally(out, &t->whole.cells[i]);
        buf_format(out, ",\"gaps\":%llu,\"gap_bytes\":%llu,\"recording\":%s}", (unsigned long long)t->holes[i].gaps,
                   (unsigned long long)t->holes[i].bytes, t->holes[i].blind ? "false" : "true");
    }
    buf_add_text(out, "],\"indices\":[");
    json_lanes(t, out, t->index_lanes, true);
    buf_add_text(out, "],\"who\":[");
    json_lanes(t, out, t->who_lanes, false);
    buf_add_text(out, "],\"destructive_ids\":[");
    for (size_t i = 0; i < t->event_count; i++) {
        const char *id = t->events[i].line;
        buf_add_text(out, i ? "," : "");
        if (strspn(id, "0123456789") == strlen(id))
            buf_add_text(out, id);
        else
            emit_json(out, bytes_of_text(id));
    }
    buf_add_text(out, "]}\n");
}
