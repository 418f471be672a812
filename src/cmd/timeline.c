// estape timeline: what happened per bucket of time, by index and by who, drawn.
#include "cmd.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../view/timeline.h"
#include "tape_options.h"

struct timeline_options {
    struct option_list tapes;
    struct filter_options filter;
    const char *around, *color;
    int64_t span, bucket, top;
    bool json;
};

#define AT(field) offsetof(struct timeline_options, field)
static const struct option options[] = {
    TAPE_OPTION(AT(tapes)),
    {0, "around", OPTION_TEXT, AT(around), "ID", "Zoom to the time around this exchange.", NULL, false},
    {0, "span", OPTION_SPAN, AT(span), "TIME", "With --around: so much before and after it; default 15m.", NULL, false},
    {'b', "bucket", OPTION_SPAN, AT(bucket), "TIME", "Length of a bucket; default: a round length that fits the width.", NULL, false},
    {0, "top", OPTION_COUNT, AT(top), "N", "Show so many indices and users; default 12.", NULL, false},
    FILTER_OPTIONS(AT(filter)),
    {0, "Output", OPTION_GROUP, 0, NULL, NULL, NULL, false},
    JSON_OPTION(AT(json), "One JSON object: totals, buckets, indices with their lives, who."),
    COLOR_OPTION(AT(color)),
};

enum { AROUND_DEFAULT_S = 15 * 60, NAMES_COLUMNS = 26, BUCKETS_JSON = 60 };

struct feed {
    struct timeline *timeline;
    struct tape *tape;
    bool failed;
};

static bool feed_life(void *ctx, size_t which, const struct incarnation *life)
{
    struct feed *f = ctx;
    (void)which;
    f->failed |= !timeline_life(f->timeline, life);
    return !f->failed;
}

static bool feed_row(void *ctx, const struct tape_row *row)
{
    struct feed *f = ctx;
    f->failed |= !timeline_row(f->timeline, row, tape_count(f->tape) > 1 ? tape_name(f->tape, row->tape) : NULL);
    return !f->failed;
}

static bool feed_gap(void *ctx, const struct tape_gap_row *gap)
{
    struct feed *f = ctx;
    timeline_gap(f->timeline, gap);
    return true;
}

static bool keep_time(void *ctx, const struct tape_row *row)
{
    *(int64_t *)ctx = row->x.time_ns;
    return false;
}

// The range that is drawn. False: fault, or (kind NONE) nothing was recorded.
static bool choose_range(const struct timeline_options *o, struct tape *t, const struct tape_filter *f, struct timeline_settings *s, struct fault *fault)
{
    int64_t first_ns, last_ns, at_ns = 0;
    if (!tape_span(t, &first_ns, &last_ns))
        return false;
    s->from_ns = first_ns;
    s->to_ns = last_ns + 1;
    if (o->around) {
        size_t which;
        uint64_t id;
        int64_t span_ns = o->span ? o->span : AROUND_DEFAULT_S * WHEN_NS_PER_S;
        if (!tape_parse_id(t, o->around, &which, &id, fault) || !tape_get(t, which, id, keep_time, &at_ns, fault))
            return false;
        s->from_ns = at_ns - span_ns > first_ns ? at_ns - span_ns : first_ns;
        s->to_ns = at_ns + span_ns < last_ns ? at_ns + span_ns : last_ns + 1;
    }
    if (f->since_ns && f->since_ns > s->from_ns)
        s->from_ns = f->since_ns;
    if (f->until_ns && f->until_ns < s->to_ns)
        s->to_ns = f->until_ns;
    return true;
}

static bool gather(const struct timeline_options *o, struct tape *t, struct tape_filter *f, struct timeline *timeline, const struct timeline_settings *s,
                   struct fault *fault)
{
    struct feed feed = {timeline, t, false};
    (void)o;
    f->since_ns = s->from_ns;
    f->until_ns = s->to_ns;
    bool ok = tape_lives(t, feed_life, &feed, fault) && tape_select(t, f, feed_row, &feed, fault) && tape_gaps(t, s->from_ns, s->to_ns, feed_gap, &feed, fault);
    return ok && (!feed.failed || fault_memory(fault));
}

static bool draw(const struct timeline_options *o, struct tape *t, struct tape_filter *f, struct out *out, struct fault *fault)
{
    size_t room = out->columns > NAMES_COLUMNS + 20 ? out->columns - NAMES_COLUMNS : BUCKETS_JSON;
    struct timeline_settings s = {.like = out, .bucket_ns = o->bucket, .top = (size_t)o->top, .buckets_max = o->json || !out->columns ? BUCKETS_JSON : room};
    if (!choose_range(o, t, f, &s, fault)) {
        if (!fault->kind && o->json)
            buf_add_text(&out->text, "{\"from\":null,\"to\":null,\"buckets\":[]}\n");
        else if (!fault->kind)
            buf_add_text(&out->text, "nothing was recorded\n");
        return !fault->kind;
    }
    struct timeline *timeline = timeline_open(&s);
    if (!timeline)
        return fault_memory(fault);
    bool ok = gather(o, t, f, timeline, &s, fault);
    if (ok && o->json)
        timeline_json(timeline, &out->text);
    else if (ok)
        timeline_print(timeline, out);
    timeline_close(timeline);
    return ok;
}

static int run(void *settings, int operand_count, char **operands)
{
    struct timeline_options *o = settings;
    struct fault fault = {0};
    struct out out;
    struct tape_filter filter;
    tape_options_output(&out, o->color);
    bool ok = tape_options_no_operands("timeline", operand_count, operands, &fault);
    if (ok && o->span && !o->around)
        ok = fault_user(&fault, "--span belongs to --around ID; to bound the time use --since and --until");
    struct tape *t = ok ? tape_options_open(&o->tapes, &fault) : NULL;
    ok = t && filter_options_apply(&o->filter, t, &filter, &fault) && draw(o, t, &filter, &out, &fault);
    return tape_options_end(t, &out, ok, &fault, 0);
}

const struct command cmd_timeline = {
    .name = "timeline",
    .summary = "draw what happened when: writes, reads, errors, destructive calls, gaps",
    .operands = "",
    .text = "Draws one line per kind of exchange, per index and per user; a column is a bucket of time. '!' marks a destructive call, yellow a bucket with errors, "
            "shading a time in which nobody was recording. An index that was deleted and born again has one line per life.\n\n"
            "On a terminal bars are block characters and the drawing is as wide as the terminal; elsewhere it is plain text with one column per bucket.",
    .examples = "estape timeline --since -24h\tthe last day\n"
                "estape timeline --around 4711\ta quarter of an hour before and after an exchange\n",
    .see_also = "log doc show",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(struct timeline_options),
    .run = run,
};
