// estape prune: drops old or chosen bodies and segments of a tape that nobody records on.
#include "cmd.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../tape/prune.h"
#include "../view/emit.h"
#include "tape_options.h"

struct prune_options {
    const char *tape, *color;
    int64_t bodies_older, before;
    uint64_t max_size;
    struct option_list index, segment;
    bool keep_log, dry_run, json;
    bool by_age, by_time, by_size; // given: 0 is an age, a moment and a size too
};

#define AT(field) offsetof(struct prune_options, field)
static const struct option options[] = {
    {'t', "tape", OPTION_TEXT, AT(tape), "DIR", "The tape; default: $ESTAPE_TAPE, else /var/lib/estape if it is a tape, else ./estape.tape.", NULL, false},
    {0, "bodies-older", OPTION_SPAN, AT(bodies_older), "AGE", "Drop the bodies of segments that ended longer ago than this; their rows stay.", NULL, false},
    {0, "before", OPTION_TIME, AT(before), "TIME", "Drop whole segments, rows and bodies, that ended before this moment.", NULL, false},
    {0, "max-size", OPTION_SIZE, AT(max_size), "SIZE", "Drop the oldest bodies, then the oldest segments, until the tape is smaller than this.", NULL, false},
    {0, "index", OPTION_LIST, AT(index), "PATTERN", "Drop the bodies of exchanges with this index, in every segment. May be repeated.", NULL, false},
    {0, "segment", OPTION_LIST, AT(segment), "NAME", "Drop this segment ('estape sql \"SELECT name, first, last FROM segments\"' lists them). May be repeated.", NULL, false},
    {0, "keep-log", OPTION_FLAG, AT(keep_log), NULL, "With --segment: drop its bodies only.", NULL, false},
    {0, "dry-run", OPTION_FLAG, AT(dry_run), NULL, "Only say what would be dropped.", NULL, false},
    JSON_OPTION(AT(json), "The result as one JSON object."),
    COLOR_OPTION(AT(color)),
};

static bool check(const struct prune_options *o, struct fault *fault)
{
    if (!o->by_age && !o->by_time && !o->by_size && !o->index.count && !o->segment.count)
        return fault_user(fault, "prune needs to be told what to drop: --bodies-older AGE, --before TIME, --max-size SIZE, --index PATTERN or --segment NAME");
    if (o->by_size && !o->max_size)
        return fault_user(fault, "--max-size 0: no tape is that small; to drop all bodies say --bodies-older 0s, to drop everything remove the directory");
    if (o->keep_log && !o->segment.count)
        return fault_user(fault, "--keep-log belongs to --segment");
    return true;
}

static void print(const struct prune_options *o, struct out *out, const struct prune_result *r)
{
    char size[32];
    if (o->json) {
        buf_format(&out->text, "{\"dry_run\":%s,\"bodies_dropped\":%llu,\"segments_dropped\":%llu,\"exchanges_stripped\":%llu,\"bytes_freed\":%llu}\n",
                   o->dry_run ? "true" : "false", (unsigned long long)r->bodies_dropped, (unsigned long long)r->logs_dropped,
                   (unsigned long long)r->exchanges_stripped, (unsigned long long)r->bytes_freed);
        return;
    }
    buf_format(&out->text, "%s %llu body file%s, %llu segment%s", o->dry_run ? "would drop" : "dropped", (unsigned long long)r->bodies_dropped,
               r->bodies_dropped == 1 ? "" : "s", (unsigned long long)r->logs_dropped, r->logs_dropped == 1 ? "" : "s");
    if (o->index.count)
        buf_format(&out->text, ", the bodies of %llu exchanges", (unsigned long long)r->exchanges_stripped);
    buf_format(&out->text, ": %s\n", clock_format_size(r->bytes_freed, size, sizeof size));
}

static int run(void *settings, int operand_count, char **operands)
{
    struct prune_options *o = settings;
    struct fault fault = {0};
    struct out out;
    int64_t now_ns = clock_now_ns();
    const char *dir = o->tape ? o->tape : tape_options_dir();
    o->by_age = option_given(&cmd_prune, operands, "bodies-older");
    o->by_time = option_given(&cmd_prune, operands, "before");
    o->by_size = option_given(&cmd_prune, operands, "max-size");
    struct prune_result result = {0};
    struct prune_settings s = {
        .bodies_before_ns = o->by_age ? now_ns - o->bodies_older : WHEN_UNKNOWN, .log_before_ns = o->by_time ? o->before : WHEN_UNKNOWN,
        .max_bytes = o->max_size, .index = o->index.at, .index_count = o->index.count, .segment = o->segment.at, .segment_count = o->segment.count,
        .keep_log = o->keep_log, .dry_run = o->dry_run,
    };
    tape_options_output(&out, o->color);
    bool ok = tape_options_no_operands("prune", operand_count, operands, &fault) && check(o, &fault) &&
              tape_options_there(dir, o->tape, &fault) && tape_prune(dir, &s, now_ns, &result, &fault);
    if (ok)
        print(o, &out, &result);
    return tape_options_end(NULL, &out, ok, &fault, 0);
}

const struct command cmd_prune = {
    .name = "prune",
    .summary = "drop old or chosen bodies and segments of a tape",
    .operands = "",
    .text = "Drops what a tape need not hold any longer. Dropping is unlinking whole files, except for --index, which rewrites body files. What was dropped, when and why "
            "stays on the tape, so that \"not here\" can always be told from \"never seen\".\n\n"
            "A recorder drops by itself with --keep-bodies, --keep-log and --max-size; prune refuses a tape that is being recorded.",
    .examples = "estape prune --bodies-older 14d\tkeep two weeks of bodies, all rows\n"
                "estape prune --index 'customers-*' --dry-run\thow much would an erasure free\n",
    .see_also = "record info fsck",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(struct prune_options),
    .run = run,
};
