// What tapes cover, and as plainly what they do not: one line per kind of loss, its endpoints below it.
#include "info.h"

#include "../base/clock.h"
#include "../base/mem.h"
#include "column.h"
#include "emit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { LABEL_COLUMNS = 26, VALUE_COLUMNS_LEAST = 20, LIST_MOST = 12, NUMBER_ROOM = 40 };

// "1,234,567"
static const char *grouped(uint64_t n, char *text, size_t room)
{
    char plain[24];
    int size = snprintf(plain, sizeof plain, "%llu", (unsigned long long)n), to = 0;
    for (int i = 0; i < size && (size_t)to + 2 < room; i++) {
        if (i && (size - i) % 3 == 0)
            text[to++] = ',';
        text[to++] = plain[i];
    }
    text[to] = 0;
    return text;
}

static void label(struct out *o, const char *name)
{
    buf_format(&o->text, "  %-*s", LABEL_COLUMNS, name);
}

// The rest of a line behind its label; on a terminal it goes on below where it would not fit.
static void value(struct out *o, struct bytes text)
{
    size_t room = o->columns > LABEL_COLUMNS + 2 + VALUE_COLUMNS_LEAST ? o->columns - LABEL_COLUMNS - 2 : SIZE_MAX, used = 0;
    while (text.size) {
        const uint8_t *blank = memchr(text.at, ' ', text.size);
        struct bytes word = {text.at, blank ? (size_t)(blank - text.at) : text.size};
        size_t columns = emit_columns(word);
        if (used && used + 1 + columns > room) {
            buf_add_byte(&o->text, '\n');
            label(o, "");
            used = 0;
        } else if (used) {
            buf_add_byte(&o->text, ' ');
            used++;
        }
        emit_text(&o->text, word);
        used += columns;
        text = bytes_from(text, word.size);
        if (text.size)
            text = bytes_from(text, 1);
    }
    buf_add_byte(&o->text, '\n');
}

static void line_of(struct out *o, enum paint paint, const char *name, const char *format, va_list args)
{
    char text[400];
    vsnprintf(text, sizeof text, format, args);
    out_paint(o, paint);
    label(o, name);
    out_paint(o, PAINT_NONE);
    value(o, bytes_of_text(text));
}

static void line(struct out *o, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void line(struct out *o, const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line_of(o, PAINT_NONE, name, format, args);
    va_end(args);
}

static void heading(struct out *o, const char *text)
{
    out_paint(o, PAINT_BOLD);
    buf_format(&o->text, "%s%s\n", o->text.size ? "\n" : "", text);
    out_paint(o, PAINT_NONE);
}

static uint64_t count_of(const struct info *info, const char *what, const char *word)
{
    uint64_t n = 0;
    for (size_t i = 0; i < info->count_count; i++)
        if (bytes_equal_text(info->counts[i].what, what) && (!word || bytes_equal_text(info->counts[i].word, word)))
            n += info->counts[i].n;
    return n;
}

// ---- what is there --------------------------------------------------------------------------------------------------

// Silence that was listened to tells something; silence that was not tells nothing.
static void print_listened(struct out *o, const struct info_tape *t)
{
    char from[48], to[48], span[32];
    if (t->beat_first_ns == WHEN_UNKNOWN)
        line(o, "listened", "not known");
    else
        line(o, "listened", "%s to %s (%s)", clock_format_local(t->beat_first_ns, from, sizeof from), clock_format_local(t->beat_last_ns, to, sizeof to),
                   clock_format_span(t->beat_last_ns - t->beat_first_ns, span, sizeof span));
}

static void print_tape(struct out *o, const struct info_tape *t)
{
    char from[48], to[48], span[32], n[NUMBER_ROOM], ops[NUMBER_ROOM], log[32], body[32], each[48] = "";
    struct buf name = {0};
    buf_format(&name, "tape %s%s%s", t->dir, strcmp(t->dir, t->name) ? " named " : "", strcmp(t->dir, t->name) ? t->name : "");
    out_paint(o, PAINT_BOLD);
    buf_add_text(&o->text, o->text.size ? "\n" : "");
    emit_text(&o->text, buf_view(&name));
    out_paint(o, PAINT_NONE);
    buf_add_byte(&o->text, '\n');
    buf_fini(&name);
    if (t->first_ns == WHEN_UNKNOWN) {
        line(o, "time", "no exchange%s", t->live ? " yet; a recorder is writing it" : "");
        print_listened(o, t);
    } else {
        line(o, "time", "%s to %s (%s)%s", clock_format_local(t->first_ns, from, sizeof from), clock_format_local(t->last_ns, to, sizeof to),
                   clock_format_span(t->last_ns - t->first_ns, span, sizeof span), t->live ? ", being recorded" : "");
    }
    line(o, "exchanges", "%s, with %s document writes", grouped(t->exchanges, n, sizeof n), grouped(t->ops, ops, sizeof ops));
    line(o, "alerts", "%s", grouped(t->alerts, n, sizeof n));
    if (t->exchanges)
        snprintf(each, sizeof each, " (%llu bytes per exchange)", (unsigned long long)(t->log_bytes / t->exchanges));
    line(o, "size", "%s of log%s, %s of bodies, in %llu segment%s", clock_format_size(t->log_bytes, log, sizeof log), each,
         clock_format_size(t->body_bytes, body, sizeof body), (unsigned long long)t->segments, t->segments == 1 ? "" : "s");
}

// ---- what is not there ----------------------------------------------------------------------------------------------

struct missing {
    struct out *out;
    size_t lines;
};

static void miss(struct missing *m, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void miss(struct missing *m, const char *name, const char *format, ...)
{
    va_list args;
    m->lines++;
    va_start(args, format);
    line_of(m->out, PAINT_YELLOW, name, format, args);
    va_end(args);
}

static void more(struct missing *m, struct buf *text)
{
    label(m->out, "");
    value(m->out, buf_view(text));
    buf_clear(text);
}

static void miss_spans(struct missing *m, const struct info *info)
{
    char total[32], from[48], to[48], span[32];
    const struct info_gap *g = &info->gaps[GAP_NOT_RECORDING];
    struct buf text = {0};
    if (!g->gaps)
        return;
    miss(m, "nobody was recording", "%llu time%s, %s in all", (unsigned long long)g->gaps, g->gaps == 1 ? "" : "s", clock_format_span(g->time_ns, total, sizeof total));
    for (size_t i = 0; i < info->span_count && i < LIST_MOST; i++) {
        const struct info_span *s = &info->spans[i];
        buf_format(&text, "%s to %s (%s)", clock_format_local(s->from_ns, from, sizeof from), clock_format_local(s->to_ns, to, sizeof to),
                   clock_format_span(s->to_ns - s->from_ns, span, sizeof span));
        if (info->tape_count > 1)
            buf_format(&text, " on %s", info->tapes[s->tape].name);
        more(m, &text);
    }
    if (info->span_count > LIST_MOST) {
        buf_format(&text, "and %zu more: estape log --gaps only", info->span_count - LIST_MOST);
        more(m, &text);
    }
    buf_fini(&text);
}

static int flow_order(const void *a, const void *b)
{
    const struct info_flow *x = *(const struct info_flow *const *)a, *y = *(const struct info_flow *const *)b;
    return x->gap_bytes != y->gap_bytes ? (x->gap_bytes < y->gap_bytes ? 1 : -1) : x->gaps < y->gaps ? 1 : x->gaps > y->gaps ? -1 : 0;
}

static void miss_flows(struct missing *m, const struct info *info)
{
    char size[32];
    struct buf text = {0};
    const struct info_flow **sorted = mem_zero(info->flow_count + 1, sizeof *sorted);
    size_t count = 0;
    for (size_t i = 0; sorted && i < info->flow_count; i++)
        if (info->flows[i].gaps)
            sorted[count++] = &info->flows[i];
    if (count)
        qsort(sorted, count, sizeof *sorted, flow_order);
    for (size_t i = 0; i < count && i < LIST_MOST; i++) {
        const struct info_flow *f = sorted[i];
        buf_add_text(&text, i ? "" : "by endpoint: ");
        buf_add_bytes(&text, f->client.size ? f->client : bytes_of_text("?"));
        buf_add_text(&text, " to ");
        buf_add_bytes(&text, f->server);
        buf_format(&text, ":%u  %s in %llu gap%s", f->port, clock_format_size(f->gap_bytes, size, sizeof size), (unsigned long long)f->gaps, f->gaps == 1 ? "" : "s");
        more(m, &text);
    }
    if (count > LIST_MOST) {
        buf_format(&text, "and %zu more pairs of endpoints", count - LIST_MOST);
        more(m, &text);
    }
    mem_free(sorted);
    buf_fini(&text);
}

static void miss_gaps(struct missing *m, const struct info *info)
{
    char size[32];
    bool any = false;
    for (int cause = 0; cause < GAP_CAUSES; cause++) {
        const struct info_gap *g = &info->gaps[cause];
        if (!g->gaps || cause == GAP_NOT_RECORDING)
            continue;
        struct buf text = {0};
        buf_format(&text, "%llu gap%s", (unsigned long long)g->gaps, g->gaps == 1 ? "" : "s");
        if (g->bytes)
            buf_format(&text, ", %s", clock_format_size(g->bytes, size, sizeof size));
        if (g->packets)
            buf_format(&text, ", %llu packets", (unsigned long long)g->packets);
        if (g->rows_lost)
            buf_format(&text, ", %llu exchanges", (unsigned long long)g->rows_lost);
        buf_format(&text, " (%s)", view_cause_text((enum gap_cause)cause));
        miss(m, view_cause_name((enum gap_cause)cause), "%s", buf_text(&text));
        buf_fini(&text);
        any = true;
    }
    if (any)
        miss_flows(m, info);
}

static void miss_conns(struct missing *m, const struct info *info)
{
    struct info_flow sum = {0};
    for (size_t i = 0; i < info->flow_count; i++) {
        sum.conns += info->flows[i].conns;
        sum.midstream += info->flows[i].midstream;
        sum.only_client += info->flows[i].only_client;
        sum.only_server += info->flows[i].only_server;
    }
    if (sum.midstream)
        miss(m, "joined midstream", "%llu of %llu connections: what they did before is not here", (unsigned long long)sum.midstream, (unsigned long long)sum.conns);
    if (sum.only_client)
        miss(m, "only the client's side", "%llu of %llu connections: their answers are not here", (unsigned long long)sum.only_client, (unsigned long long)sum.conns);
    if (sum.only_server)
        miss(m, "only the server's side", "%llu of %llu connections: their requests are not here", (unsigned long long)sum.only_server, (unsigned long long)sum.conns);
    for (size_t i = 0; i < info->opaque_count; i++) {
        const struct info_opaque *o = &info->opaques[i];
        static const struct { const char *kind, *text; } kinds[] = {
            {"tls", "TLS, not readable"}, {"http2", "HTTP/2, not readable"}, {"upgrade", "after an upgrade"}, {"connect", "after CONNECT"}, {"other", "neither HTTP nor TLS"},
        };
        const char *text = "not readable";
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            if (bytes_equal_text(o->kind, kinds[k].kind))
                text = kinds[k].text;
        if (i < LIST_MOST)
            miss(m, text, "%llu connection%s from %.*s to %.*s:%u", (unsigned long long)o->conns, o->conns == 1 ? "" : "s", (int)o->client.size, (const char *)o->client.at,
                 (int)o->server.size, (const char *)o->server.at, o->port);
    }
    if (info->opaque_count > LIST_MOST)
        miss(m, "", "and %zu more: estape sql \"SELECT * FROM opaque\"", info->opaque_count - LIST_MOST);
}

static void miss_rest(struct missing *m, const struct info *info)
{
    if (info->truncated)
        miss(m, "bodies cut", "%llu exchanges: bytes of a kept body were not seen", (unsigned long long)info->truncated);
    if (info->head_truncated)
        miss(m, "heads cut", "%llu exchanges: path or headers may be incomplete", (unsigned long long)info->head_truncated);
    if (info->undecoded)
        miss(m, "bodies not decodable", "%llu exchanges", (unsigned long long)info->undecoded);
    if (info->malformed)
        miss(m, "bodies not JSON", "%llu exchanges whose body should be JSON and is not", (unsigned long long)info->malformed);
    if (info->redacted)
        miss(m, "secrets taken out", "%llu exchanges", (unsigned long long)info->redacted);
    if (info->counters.kernel_dropped || info->counters.interface_dropped)
        miss(m, "dropped before capture", "%llu packets by the kernel, %llu by the interface", (unsigned long long)info->counters.kernel_dropped,
             (unsigned long long)info->counters.interface_dropped);
    if (info->counters.orphans)
        miss(m, "answers without request", "%llu", (unsigned long long)info->counters.orphans);
    for (size_t i = 0; i < info->tape_count; i++) {
        const struct info_tape *t = &info->tapes[i];
        const char *name = info->tape_count > 1 ? t->name : "", *of = info->tape_count > 1 ? " of tape " : "";
        if (t->damaged)
            miss(m, "damaged segments", "%llu%s%s: 'estape fsck' tells more", (unsigned long long)t->damaged, of, name);
        if (t->missing)
            miss(m, "missing segments", "%llu%s%s: the files are gone, and not by estape", (unsigned long long)t->missing, of, name);
        if (t->dropped)
            miss(m, "dropped segments", "%llu%s%s, as retention or prune was told", (unsigned long long)t->dropped, of, name);
        if (t->bodies_dropped)
            miss(m, "dropped bodies", "of %llu segments%s%s, as retention or prune was told", (unsigned long long)t->bodies_dropped, of, name);
        if (t->bodies_missing)
            miss(m, "missing bodies", "of %llu segments%s%s: the files are gone, and not by estape", (unsigned long long)t->bodies_missing, of, name);
    }
}

// ---- counts ---------------------------------------------------------------------------------------------------------

static int count_order(const void *a, const void *b)
{
    const struct info_count *x = *(const struct info_count *const *)a, *y = *(const struct info_count *const *)b;
    if (x->n != y->n)
        return x->n < y->n ? 1 : -1;
    size_t size = x->word.size < y->word.size ? x->word.size : y->word.size;
    int order = size ? memcmp(x->word.at, y->word.at, size) : 0;
    return order ? order : x->word.size < y->word.size ? -1 : x->word.size > y->word.size;
}

static const struct info_count **sorted_counts(const struct info *info, const char *what, size_t *count)
{
    const struct info_count **sorted = mem_zero(info->count_count + 1, sizeof *sorted);
    *count = 0;
    for (size_t i = 0; sorted && i < info->count_count; i++)
        if (bytes_equal_text(info->counts[i].what, what) && info->counts[i].n)
            sorted[(*count)++] = &info->counts[i];
    if (sorted && *count)
        qsort(sorted, *count, sizeof *sorted, count_order);
    return sorted;
}

static void print_counts(struct out *o, const struct info *info, const char *head, const char *what, const char *empty)
{
    size_t count;
    char n[NUMBER_ROOM];
    const struct info_count **sorted = sorted_counts(info, what, &count);
    if (count)
        heading(o, head);
    for (size_t i = 0; i < count && i < LIST_MOST; i++) {
        buf_format(&o->text, "  %12s  ", grouped(sorted[i]->n, n, sizeof n));
        emit_text(&o->text, sorted[i]->word.size ? sorted[i]->word : bytes_of_text(empty));
        buf_add_byte(&o->text, '\n');
    }
    if (count > LIST_MOST)
        buf_format(&o->text, "  %12s  and %zu more\n", "", count - LIST_MOST);
    mem_free(sorted);
}

void info_print(struct out *o, const struct info *info)
{
    struct missing m = {o, 0};
    char n[NUMBER_ROOM];
    for (size_t i = 0; i < info->tape_count; i++)
        print_tape(o, &info->tapes[i]);
    heading(o, "what is not on it");
    miss_spans(&m, info);
    miss_gaps(&m, info);
    miss_conns(&m, info);
    miss_rest(&m, info);
    if (!m.lines)
        buf_add_text(&o->text, "  nothing that is known of\n");
    heading(o, "what was captured");
    char size[32];
    uint64_t conns = 0;
    line(o, "packets", "%s, %s", grouped(info->counters.packets, n, sizeof n), clock_format_size(info->counters.bytes, size, sizeof size));
    for (size_t i = 0; i < info->flow_count; i++)
        conns += info->flows[i].conns;
    line(o, "connections that ended", "%s", grouped(conns, n, sizeof n));
    line(o, "writes", "%s", grouped(count_of(info, "write", "1"), n, sizeof n));
    line(o, "destructive", "%s", grouped(count_of(info, "danger", NULL), n, sizeof n));
    print_counts(o, info, "destructive calls", "danger", "");
    print_counts(o, info, "outcomes", "outcome", "");
    print_counts(o, info, "APIs", "api", "(no published route fits)");
}

// ---- JSON -----------------------------------------------------------------------------------------------------------

static void json_time(struct buf *out, const char *name, int64_t time_ns)
{
    char text[48];
    if (time_ns == WHEN_UNKNOWN)
        buf_format(out, ",\"%s\":null", name);
    else
        buf_format(out, ",\"%s\":\"%s\"", name, clock_format_utc(time_ns, text, sizeof text));
}

static void json_number(struct buf *out, const char *name, uint64_t n)
{
    buf_format(out, ",\"%s\":%llu", name, (unsigned long long)n);
}

static void json_text(struct buf *out, const char *name, struct bytes text)
{
    buf_format(out, ",\"%s\":", name);
    emit_json(out, text);
}

static void json_tapes(struct buf *out, const struct info *info)
{
    buf_add_text(out, "{\"tapes\":[");
    for (size_t i = 0; i < info->tape_count; i++) {
        const struct info_tape *t = &info->tapes[i];
        buf_add_text(out, i ? ",{\"name\":" : "{\"name\":");
        emit_json(out, bytes_of_text(t->name));
        json_text(out, "dir", bytes_of_text(t->dir));
        buf_format(out, ",\"recording\":%s", t->live ? "true" : "false");
        json_time(out, "first", t->first_ns);
        json_time(out, "last", t->last_ns);
        json_time(out, "listened_first", t->beat_first_ns);
        json_time(out, "listened_last", t->beat_last_ns);
        const struct { const char *name; uint64_t n; } numbers[] = {
            {"exchanges", t->exchanges}, {"ops", t->ops}, {"alerts", t->alerts}, {"log_bytes", t->log_bytes}, {"body_bytes", t->body_bytes},
            {"segments", t->segments}, {"segments_damaged", t->damaged}, {"segments_missing", t->missing}, {"segments_dropped", t->dropped},
            {"bodies_kept", t->bodies_kept}, {"bodies_dropped", t->bodies_dropped}, {"bodies_missing", t->bodies_missing},
        };
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
            json_number(out, numbers[k].name, numbers[k].n);
        buf_add_byte(out, '}');
    }
    buf_add_byte(out, ']');
}

static void json_gaps(struct buf *out, const struct info *info)
{
    bool first = true;
    buf_add_text(out, ",\"gaps\":[");
    for (int cause = 0; cause < GAP_CAUSES; cause++) {
        const struct info_gap *g = &info->gaps[cause];
        if (!g->gaps)
            continue;
        buf_format(out, "%s{\"cause\":\"%s\"", first ? "" : ",", view_cause_name((enum gap_cause)cause));
        first = false;
        json_number(out, "gaps", g->gaps);
        json_number(out, "bytes", g->bytes);
        json_number(out, "packets", g->packets);
        json_number(out, "rows_lost", g->rows_lost);
        json_time(out, "first", g->first_ns);
        json_time(out, "last", g->last_ns);
        buf_add_byte(out, '}');
    }
    buf_add_text(out, "],\"not_recording\":[");
    for (size_t i = 0; i < info->span_count; i++) {
        buf_add_text(out, i ? ",{\"tape\":" : "{\"tape\":");
        emit_json(out, bytes_of_text(info->tapes[info->spans[i].tape].name));
        json_time(out, "from", info->spans[i].from_ns);
        json_time(out, "to", info->spans[i].to_ns);
        buf_add_byte(out, '}');
    }
    buf_add_byte(out, ']');
}

static void json_flows(struct buf *out, const struct info *info)
{
    uint64_t other = 0; // those in which nobody asked anything have no server; what they were stands under "opaque"
    bool first = true;
    buf_add_text(out, ",\"connections\":[");
    for (size_t i = 0; i < info->flow_count; i++) {
        const struct info_flow *f = &info->flows[i];
        if (!f->server.size) {
            other += f->conns;
            continue;
        }
        buf_add_text(out, first ? "{\"server\":" : ",{\"server\":");
        first = false;
        emit_json(out, f->server);
        json_number(out, "port", f->port);
        json_text(out, "client", f->client);
        json_number(out, "conns", f->conns);
        json_number(out, "midstream", f->midstream);
        json_number(out, "only_client", f->only_client);
        json_number(out, "only_server", f->only_server);
        json_number(out, "gaps", f->gaps);
        json_number(out, "gap_bytes", f->gap_bytes);
        buf_add_byte(out, '}');
    }
    buf_add_byte(out, ']');
    json_number(out, "connections_without_http", other);
    buf_add_text(out, ",\"opaque\":[");
    for (size_t i = 0; i < info->opaque_count; i++) {
        const struct info_opaque *p = &info->opaques[i];
        buf_add_text(out, i ? ",{\"kind\":" : "{\"kind\":");
        emit_json(out, p->kind);
        json_text(out, "server", p->server);
        json_number(out, "port", p->port);
        json_text(out, "client", p->client);
        json_number(out, "conns", p->conns);
        json_time(out, "first", p->first_ns);
        json_time(out, "last", p->last_ns);
        buf_add_byte(out, '}');
    }
    buf_add_byte(out, ']');
}

static void json_counts(struct buf *out, const struct info *info)
{
    static const char *const whats[] = {"api", "danger", "outcome", "verb"};
    for (size_t i = 0; i < sizeof whats / sizeof *whats; i++) {
        size_t count;
        const struct info_count **sorted = sorted_counts(info, whats[i], &count);
        buf_format(out, ",\"%s\":{", whats[i]);
        for (size_t k = 0; k < count; k++) {
            buf_add_text(out, k ? "," : "");
            emit_json(out, sorted[k]->word);
            buf_format(out, ":%llu", (unsigned long long)sorted[k]->n);
        }
        buf_add_byte(out, '}');
        mem_free(sorted);
    }
}

void info_json(struct buf *out, const struct info *info)
{
    const struct info_counters *c = &info->counters;
    json_tapes(out, info);
    json_gaps(out, info);
    json_flows(out, info);
    const struct { const char *name; uint64_t n; } numbers[] = {
        {"packets", c->packets}, {"bytes", c->bytes}, {"kernel_dropped", c->kernel_dropped}, {"interface_dropped", c->interface_dropped},
        {"orphans", c->orphans}, {"unparsed_bytes", c->unparsed_bytes}, {"overlaps_conflicting", c->overlaps_conflicting}, {"undecodable", c->undecodable},
        {"truncated", info->truncated}, {"head_truncated", info->head_truncated}, {"redacted", info->redacted}, {"undecoded", info->undecoded},
        {"malformed", info->malformed}, {"own", info->own}, {"writes", count_of(info, "write", "1")}, {"destructive", count_of(info, "danger", NULL)},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_number(out, numbers[i].name, numbers[i].n);
    json_counts(out, info);
    buf_add_text(out, "}\n");
}
