// estape verify: the target against the plan, document by document.
#include "cmd.h"

#include "../base/diag.h"
#include "../replay/verify.h"
#include "../view/emit.h"
#include "replay_options.h"
#include "tape_options.h"

struct verify_options {
    struct replay_choice choice;
    struct replay_account account;
    const char *color;
    int64_t sample;
    bool json;
};

#define AT(field) offsetof(struct verify_options, field)
static const struct option options[] = {
    TAPE_OPTION(AT(choice) + offsetof(struct replay_choice, tapes)),
    REPLAY_CHOICE_OPTIONS(AT(choice)),
    REPLAY_ACCOUNT_OPTIONS(AT(account)),
    {0, "Output", OPTION_GROUP, 0, NULL, NULL, NULL, false},
    {0, "exact-versions", OPTION_FLAG, AT(choice) + offsetof(struct replay_choice, exact), NULL, "Compare versions too, as after replay --exact-versions.", NULL, false},
    {'n', "sample", OPTION_COUNT, AT(sample), "N", "Compare only about N documents, spread evenly.", NULL, false},
    JSON_OPTION(AT(json), "One JSON object per difference, then one with the counts."),
    COLOR_OPTION(AT(color)),
};

struct telling {
    struct out *out;
    bool json;
    const struct plan *plan;
};

static void difference(void *ctx, const struct plan_doc *doc, enum verify_difference what, bool since, struct bytes want, struct bytes have)
{
    static const char *const words[VERIFY_DIFFERENCES] = {"missing", "should be gone", "source", "version"};
    struct telling *t = ctx;
    struct buf *b = &t->out->text;
    const struct plan_step *last = &doc->steps[doc->step_count - 1];
    if (t->json) {
        buf_add_text(b, "{\"index\":");
        emit_json(b, bytes_of_text(plan_slot(t->plan, doc->slot)->to));
        buf_add_text(b, ",\"id\":");
        emit_json(b, doc->id);
        if (doc->routing.size) {
            buf_add_text(b, ",\"routing\":");
            emit_json(b, doc->routing);
        }
        buf_format(b, ",\"difference\":\"%s\",\"written_since\":%s,\"exchange\":%llu,\"item\":%u,\"plan\":", words[what], since ? "true" : "false", (unsigned long long)last->exchange, last->item);
        emit_json(b, want);
        buf_add_text(b, ",\"target\":");
        emit_json(b, have);
        buf_add_text(b, "}\n");
    } else if (!since) {
        emit_text(b, doc->id);
        buf_format(b, ": %s (written by exchange %llu, item %u)\n", words[what], (unsigned long long)last->exchange, last->item);
        if (what == VERIFY_SOURCE) {
            buf_add_text(b, "  plan:   ");
            emit_cut(b, want, 300, false);
            buf_add_text(b, "\n  target: ");
            emit_cut(b, have, 300, false);
            buf_add_byte(b, '\n');
        }
    }
    out_push(t->out);
}

static int run(void *settings, int operand_count, char **operands)
{
    struct verify_options *s = settings;
    struct fault fault = {0};
    struct replay_run r = {0};
    struct out out = {0};
    int status = 0;
    if (!tape_options_no_operands("verify", operand_count, operands, &fault))
        return diag_fault(&fault);
    struct tape *tape = tape_options_open(&s->choice.tapes, &fault);
    if (!tape)
        return diag_fault(&fault);
    tape_options_output(&out, s->color);
    struct source *source = source_open(tape);
    bool ok = source ? replay_run_open(&r, &s->choice, &s->account, tape, 4, false, &fault) : fault_memory(&fault);
    struct live *live = ok ? live_open(tape, r.plan) : NULL;
    ok = ok && (live || fault_memory(&fault)) && live_refresh(live, r.indices, r.index_count, &fault);
    struct telling t = {&out, s->json, r.plan};
    struct verify_report v = {0};
    struct verify_settings set = {.plan = r.plan, .source = source, .target = r.target, .about = &r.about, .indices = r.indices, .index_count = r.index_count,
                                  .journal = r.journal, .sample = (uint64_t)s->sample, .exact = s->choice.exact, .allow_gaps = s->choice.allow_gaps, .live = live, .difference = difference, .ctx = &t};
    ok = ok && verify_run(&set, &v, &fault);
    if (ok) {
        uint64_t bad = v.missing + v.should_be_gone + v.different + v.version_different + v.left_alone + v.refused;
        const struct {
            const char *name, *label;
            uint64_t n;
        } rows[] = {{"documents", "documents in the plan", v.documents}, {"equal", "equal", v.equal}, {"presence", "compared by presence alone", v.present_only},
                    {"missing", "missing", v.missing}, {"should_be_gone", "should be gone", v.should_be_gone}, {"different", "different", v.different},
                    {"version_different", "with another version", v.version_different}, {"written_since", "changed since by others, not compared", v.written_since}, {"left_alone", "left alone: somebody else wrote them", v.left_alone},
                    {"refused", "refused by the target", v.refused}, {"not_sampled", "not in the sample", v.unsampled}};
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            if (s->json)
                buf_format(&out.text, "%s\"%s\":%llu", i ? "," : "{", rows[i].name, (unsigned long long)rows[i].n);
            else if (rows[i].n || i < 2)
                buf_format(&out.text, "  %-40s %12llu\n", rows[i].label, (unsigned long long)rows[i].n);
        buf_add_text(&out.text, s->json ? "}\n" : bad ? "the target does NOT equal the plan\n" : v.written_since ? "the target equals the plan, aside from what others changed since\n" : "the target equals the plan\n");
        status = bad ? 1 : 0;
    }
    bool refused = r.refused && !ok;
    live_close(live);
    source_close(source);
    replay_run_close(&r);
    int end = tape_options_end(tape, &out, ok, &fault, status);
    return refused && end == 2 ? REPLAY_REFUSED : end;
}

const struct command cmd_verify = {
    .name = "verify",
    .summary = "compare a target with what a tape says it must hold, document by document",
    .operands = "",
    .text = "Makes the same plan as replay with the same options and compares the target with it: presence, source (as JSON values), and the version with --exact-versions. Nothing is "
            "written. Documents made by scripts, pipelines or by-query calls are compared by presence alone: only the cluster can compute their content.\n\n"
            "Run it after a replay: the journal of that replay tells what the copy held before it.",
    .examples = "estape verify --before 4711 --map catalog=catalog_restored --target http://es:9200\tafter the replay with the same options\n",
    .see_also = "replay check",
    .exit_text = "0 the target equals the plan; 1 it does not, or something failed; 2 usage; 3 a decision is missing",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(struct verify_options),
    .run = run,
};
