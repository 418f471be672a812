// estape rules test: runs rules over what a tape holds, as if they had run while it was recorded.
#include "rules.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/map.h"
#include "../base/mem.h"
#include "../view/emit.h"

#include <stdio.h>
#include <stdlib.h>

enum { BODY_BYTES = 65536, EXAMPLES = 5 };

struct fired { // by rule name
    uint64_t count;
    uint64_t examples[EXAMPLES];
    size_t example_count;
};

struct backtest {
    const struct rules_settings *settings;
    struct tape *tape;
    struct alerter *alerter;
    struct map *fired;
    struct tape_gap_row *gaps;
    size_t gap_count, gap_room, gap_next, tape_now;
    uint64_t exchanges;
    int64_t last_ns;
};

static void on_alert(void *ctx, const struct alert *alert)
{
    struct backtest *b = ctx;
    union map_value *v = map_put(b->fired, bytes_of_text(alert->rule), NULL);
    if (!v)
        return;
    if (!v->ptr)
        v->ptr = mem_zero(1, sizeof(struct fired));
    struct fired *f = v->ptr;
    if (!f)
        return;
    f->count++;
    if (alert->exchange && f->example_count < EXAMPLES)
        f->examples[f->example_count++] = alert->exchange;
}

static bool keep_gap(void *ctx, const struct tape_gap_row *gap)
{
    struct backtest *b = ctx;
    if (b->gap_count == b->gap_room) {
        size_t room = b->gap_room ? b->gap_room * 2 : 64;
        struct tape_gap_row *grown = mem_grow(b->gaps, room * sizeof *grown);
        if (!grown)
            return false;
        b->gaps = grown;
        b->gap_room = room;
    }
    b->gaps[b->gap_count++] = *gap;
    return true;
}

static int by_time(const void *a, const void *b)
{
    const struct tape_gap_row *x = a, *y = b;
    return x->to_ns < y->to_ns ? -1 : x->to_ns > y->to_ns;
}

static bool fetch_body(void *ctx, const struct exchange *x, struct buf *out)
{
    struct backtest *b = ctx;
    enum tape_body_state state;
    struct fault ignored = {0};
    return tape_body_range(b->tape, b->tape_now, x->id, BODY_REQUEST, 0, BODY_BYTES, out, &state, &ignored) && out->size;
}

struct handing {
    alert_each_op_fn *each;
    void *ctx;
};

static bool hand_op(void *ctx, const struct tape_op *op)
{
    const struct handing *h = ctx;
    h->each(h->ctx, &op->op);
    return true;
}

static void fetch_ops(void *ctx, const struct exchange *x, alert_each_op_fn *each, void *each_ctx)
{
    struct backtest *b = ctx;
    struct handing h = {each, each_ctx};
    struct tape_op_filter f = {.since_ns = WHEN_UNKNOWN, .until_ns = WHEN_UNKNOWN, .exchange_from = x->id, .exchange_to = x->id + 1};
    struct fault ignored = {0};
    tape_ops(b->tape, &f, hand_op, &h, &ignored);
}

static bool see_row(void *ctx, const struct tape_row *row)
{
    struct backtest *b = ctx;
    b->tape_now = row->tape;
    b->exchanges++;
    for (; b->gap_next < b->gap_count && b->gaps[b->gap_next].to_ns <= row->x.time_ns; b->gap_next++) {
        const struct tape_gap_row *g = &b->gaps[b->gap_next];
        struct stream_gap gap = {.from_ns = g->from_ns, .to_ns = g->to_ns, .size_bytes = g->bytes, .cause = g->cause, .side = g->side};
        alert_gap(b->alerter, &gap);
    }
    if (row->x.time_ns > b->last_ns) {
        b->last_ns = row->x.time_ns;
        alert_tick(b->alerter, b->last_ns);
    }
    alert_done(b->alerter, &row->x);
    return true;
}

static void print_rule(struct backtest *b, struct out *out, const struct rule_view *v, size_t which)
{
    struct alert_rule_stats stats;
    union map_value *found = map_find(b->fired, bytes_of_text(v->name));
    const struct fired *f = found ? found->ptr : NULL;
    alert_rule_stats(b->alerter, which, &stats);
    if (b->settings->json) {
        buf_add_text(&out->text, "{\"rule\":");
        emit_json(&out->text, bytes_of_text(v->name));
        buf_format(&out->text, ",\"level\":\"%s\",\"matched\":%llu,\"alerts\":%llu,\"evaluated\":%llu,\"ns\":%lld,\"exchanges\":[", v->level,
                   (unsigned long long)stats.matched, (unsigned long long)(f ? f->count : 0), (unsigned long long)stats.evaluated, (long long)stats.spent_ns);
        for (size_t i = 0; f && i < f->example_count; i++)
            buf_format(&out->text, "%s%llu", i ? "," : "", (unsigned long long)f->examples[i]);
        buf_add_text(&out->text, "]}\n");
        return;
    }
    if (!stats.matched && !f)
        return;
    buf_format(&out->text, "%-13s %-28s matched %llu, %s %llu, in %.3f ms", v->level, v->name, (unsigned long long)stats.matched,
               v->alone ? "alerts" : "counted by others; alerts", (unsigned long long)(f ? f->count : 0), (double)stats.spent_ns / 1e6);
    for (size_t i = 0; f && i < f->example_count; i++)
        buf_format(&out->text, "%s%llu", i ? " " : "; exchanges ", (unsigned long long)f->examples[i]);
    buf_add_text(&out->text, f && f->count > f->example_count && f->example_count ? " ...\n" : "\n");
}

static void print_result(struct backtest *b, struct rules *r, struct out *out, int64_t spent_ns)
{
    struct rule_view v;
    struct alert_stats stats;
    size_t ran = 0;
    for (size_t i = 0; rules_view(r, i, &v); i++) {
        ran += !v.refused && v.enabled;
        if (!v.refused && (v.enabled || (b->settings->all && !b->settings->json)))
            print_rule(b, out, &v, i);
    }
    if (b->settings->json)
        return;
    char span[40];
    alert_stats(b->alerter, &stats);
    buf_format(&out->text, "%zu rules over %llu exchanges in %s (%.0f exchanges/s): %llu alerts", ran, (unsigned long long)b->exchanges,
               clock_format_span(spent_ns, span, sizeof span), spent_ns ? (double)b->exchanges * 1e9 / (double)spent_ns : 0, (unsigned long long)stats.raised);
    if (stats.regex_limited)
        buf_format(&out->text, "; %llu times a regular expression gave up at its limit", (unsigned long long)stats.regex_limited);
    if (stats.state_evicted)
        buf_format(&out->text, "; %llu entries were forgotten at the memory bound", (unsigned long long)stats.state_evicted);
    buf_add_text(&out->text, "\n");
}

bool rules_backtest(const struct rules_settings *s, struct rules *r, struct out *out, struct fault *fault)
{
    struct backtest b = {.settings = s, .last_ns = WHEN_UNKNOWN};
    struct alert_settings settings = {.tape_hint = "", .profile = true};
    struct tape_filter filter = {.since_ns = s->since ? s->since : WHEN_UNKNOWN, .until_ns = s->until ? s->until : WHEN_UNKNOWN};
    b.tape = tape_options_open(&s->tapes, fault);
    b.fired = b.tape ? map_open() : NULL;
    b.alerter = b.fired ? alert_open(&settings, r, on_alert, &b) : NULL;
    bool ok = b.alerter != NULL || (b.tape && fault_memory(fault));
    if (ok) {
        alert_body_source(b.alerter, fetch_body, &b);
        alert_ops_source(b.alerter, fetch_ops, &b);
        ok = tape_gaps(b.tape, filter.since_ns, filter.until_ns, keep_gap, &b, fault);
    }
    if (ok && b.gap_count)
        qsort(b.gaps, b.gap_count, sizeof *b.gaps, by_time);
    int64_t begun_ns = clock_steady_ns();
    ok = ok && tape_select(b.tape, &filter, see_row, &b, fault);
    if (ok) {
        alert_finish(b.alerter);
        print_result(&b, r, out, clock_steady_ns() - begun_ns);
        tape_options_warn(b.tape);
    }
    alert_close(b.alerter);
    map_close_each(b.fired, mem_free);
    mem_free(b.gaps);
    tape_close(b.tape);
    return ok;
}
