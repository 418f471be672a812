// estape fsck: checks tapes and says what is wrong with them.
#include "cmd.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../tape/fsck.h"
#include "../view/emit.h"
#include "tape_options.h"

#include <stdlib.h>
#include <unistd.h>

struct fsck_settings {
    struct option_list tapes;
    bool json, quiet;
    const char *color;
};

#define AT(field) offsetof(struct fsck_settings, field)
static const struct option options[] = {
    {'t', "tape", OPTION_LIST, AT(tapes), "DIR", "The tape to check; default: $ESTAPE_TAPE, else /var/lib/estape if it is a tape, else ./estape.tape. May be repeated.", NULL, false},
    {'q', "quiet", OPTION_FLAG, AT(quiet), NULL, "Say nothing when nothing is wrong.", NULL, false},
    JSON_OPTION(AT(json), "One JSON object per finding, and one with the totals at the end."),
    COLOR_OPTION(AT(color)),
};

struct printer {
    const struct fsck_settings *settings;
    struct out *out;
    const char *dir;
};

static void print_finding(void *ctx, const struct fsck_finding *f)
{
    struct printer *p = ctx;
    struct buf *out = &p->out->text;
    if (p->settings->json) {
        buf_add_text(out, "{\"tape\":");
        emit_json(out, bytes_of_text(p->dir));
        buf_add_text(out, ",\"file\":");
        emit_json(out, bytes_of_text(f->file));
        buf_format(out, ",\"invariant\":%d,\"harmless\":%s,\"text\":", f->invariant, f->harmless ? "true" : "false");
        emit_json(out, bytes_of_text(f->text));
        buf_add_text(out, "}\n");
    } else if (!f->harmless || !p->settings->quiet) {
        out_paint(p->out, f->harmless ? PAINT_DIM : PAINT_RED);
        buf_add_text(out, f->harmless ? "note: " : "damage: ");
        out_paint(p->out, PAINT_NONE);
        emit_text(out, bytes_of_text(f->file));
        buf_add_text(out, *f->file ? ": " : "");
        emit_text(out, bytes_of_text(f->text));
        buf_format(out, " (invariant %d)\n", f->invariant);
    }
    out_push(p->out);
}

static void print_totals(struct printer *p, const struct fsck_stats *s)
{
    struct buf *out = &p->out->text;
    char size[32];
    if (p->settings->json) {
        buf_add_text(out, "{\"tape\":");
        emit_json(out, bytes_of_text(p->dir));
        buf_format(out, ",\"segments\":%llu,\"exchanges\":%llu,\"ops\":%llu,\"bodies\":%llu,\"blocks\":%llu,\"bytes\":%llu,\"damaged\":%llu}\n",
                   (unsigned long long)s->segments, (unsigned long long)s->exchanges, (unsigned long long)s->ops, (unsigned long long)s->bodies,
                   (unsigned long long)s->blocks, (unsigned long long)s->bytes, (unsigned long long)s->damaged);
    } else if (s->damaged || !p->settings->quiet) {
        emit_text(out, bytes_of_text(p->dir));
        buf_format(out, ": %llu segment%s, %llu exchanges, %llu document writes, %llu bodies, %s: ", (unsigned long long)s->segments, s->segments == 1 ? "" : "s",
                   (unsigned long long)s->exchanges, (unsigned long long)s->ops, (unsigned long long)s->bodies, clock_format_size(s->bytes, size, sizeof size));
        out_paint(p->out, s->damaged ? PAINT_RED : PAINT_GREEN);
        if (s->damaged)
            buf_format(out, "%llu finding%s of damage", (unsigned long long)s->damaged, s->damaged == 1 ? "" : "s");
        else
            buf_add_text(out, "sound");
        out_paint(p->out, PAINT_NONE);
        buf_add_byte(out, '\n');
    }
}

static int run(void *settings, int operand_count, char **operands)
{
    struct fsck_settings *s = settings;
    struct fault fault = {0};
    struct out out;
    const char *dir = tape_options_dir();
    tape_options_output(&out, s->color);
    uint64_t damaged = 0;
    bool ok = tape_options_no_operands("fsck", operand_count, operands, &fault);
    for (size_t i = 0; ok && i < (s->tapes.count ? s->tapes.count : 1); i++) {
        struct printer p = {s, &out, s->tapes.count ? s->tapes.at[i] : dir};
        struct fsck_stats stats = {0};
        ok = tape_options_there(p.dir, s->tapes.count, &fault) && fsck_tape(p.dir, print_finding, &p, &stats, &fault);
        if (ok)
            print_totals(&p, &stats);
        damaged += stats.damaged;
    }
    return tape_options_end(NULL, &out, ok, &fault, damaged ? 1 : 0);
}

const struct command cmd_fsck = {
    .name = "fsck",
    .summary = "check a tape for damage",
    .operands = "",
    .text = "Checks SQLite's own structures, checksums of all blocks, references between rows and blocks, and the invariants that docs/tape-format.md numbers. "
            "Nothing is written; a recorder may be running.",
    .examples = "estape fsck --tape incident.tape\tcheck a tape\n",
    .see_also = "info prune",
    .exit_text = "0: sound, 1: damage was found or the check failed, 2: no tape.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(struct fsck_settings),
    .run = run,
};
