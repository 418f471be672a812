// estape replay: the recorded writes, written again onto a restored index.
#include "cmd.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/mem.h"
#include "../replay/verify.h"
#include "../view/emit.h"
#include "replay_follow.h"
#include "replay_options.h"
#include "replay_plan.h"
#include "tape_options.h"

#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct replay_settings {
    struct replay_choice choice;
    struct replay_account account;
    const char *color, *dead_letters, *mappings, *cutover, *plan;
    int64_t lanes, sample;
    bool json, dry_run, yes, in_place, quiet, follow;
};

#define AT(field) offsetof(struct replay_settings, field)
static const struct option options[] = {
    TAPE_OPTION(AT(choice) + offsetof(struct replay_choice, tapes)),
    REPLAY_CHOICE_OPTIONS(AT(choice)),
    REPLAY_ACCOUNT_OPTIONS(AT(account)),
    {0, "How", OPTION_GROUP, 0, NULL, NULL, NULL, false},
    {'n', "dry-run", OPTION_FLAG, AT(dry_run), NULL, "Print the plan and stop. Needs no target; with one, what it holds already is taken into account.", NULL, false},
    {'P', "plan", OPTION_TEXT, AT(plan), "FILE", "With --dry-run and --target: also write the plan down. Without --dry-run: do exactly what FILE says (it holds the choices), on the cluster it was made for; refused when tape, range or target have changed since.", NULL, false},
    {'F', "follow", OPTION_FLAG, AT(follow), NULL, "Go on with what is being recorded, and say when the copy is less than a second behind.", NULL, false},
    {0, "cutover", OPTION_TEXT, AT(cutover), "NAME", "Follow; when less than a second behind, block writes to NAME, write the rest, compare everything, and make NAME an alias of the copy in one step. NAME may be an alias or, as after an accident, an index (it is removed).", NULL, false},
    {0, "exact-versions", OPTION_FLAG, AT(choice) + offsetof(struct replay_choice, exact), NULL, "For an isolated copy: documents keep the versions they had (version_type=external_gte).", NULL, false},
    {0, "mappings", OPTION_CHOICE, AT(mappings), "HOW", "Fields that the target does not know yet: learn (the default: their types are decided first, by the documents that decided them once, in a scratch index that is made and removed) or as-is.", "learn|as-is", false},
    {0, "in-place", OPTION_FLAG, AT(in_place), NULL, "Write onto the index of the recorded name although the tape shows it alive.", NULL, false},
    {0, "lanes", OPTION_COUNT, AT(lanes), "N", "Connections to the target; default 4, at most 64.", NULL, false},
    {0, "dead-letters", OPTION_TEXT, AT(dead_letters), "FILE", "Where documents go that the target refuses; default JOURNAL.refused.ndjson.", NULL, false},
    {0, "sample", OPTION_COUNT, AT(sample), "N", "Compare only about N documents at the end; default all.", NULL, false},
    {'y', "yes", OPTION_FLAG, AT(yes), NULL, "Do not ask.", NULL, false},
    {'q', "quiet", OPTION_FLAG, AT(quiet), NULL, "No progress.", NULL, false},
    JSON_OPTION(AT(json), "The plan and the report as one JSON object."),
    COLOR_OPTION(AT(color)),
};

static volatile bool want_stop; // a signal flag

static void on_stop(int signal_number)
{
    (void)signal_number;
    if (want_stop)
        _exit(1); // the second time: at once; the journal resumes
    want_stop = true;
}

struct showing {
    bool terminal, quiet;
    int64_t told_ns;
};

static void show_progress(void *ctx, const struct apply_progress *p)
{
    struct showing *s = ctx;
    int64_t now_ns = clock_steady_ns();
    char left[32] = "?";
    if (!s->told_ns && !s->terminal)
        s->told_ns = now_ns; // nothing to tell yet
    if (s->quiet || now_ns - s->told_ns < (s->terminal ? WHEN_NS_PER_S / 4 : 10 * WHEN_NS_PER_S))
        return;
    s->told_ns = now_ns;
    double seconds = (double)p->elapsed_ns / 1e9, rate = seconds > 0 ? (double)p->documents_done / seconds : 0;
    if (rate > 0 && p->documents_total >= p->documents_done)
        clock_format_span((int64_t)((double)(p->documents_total - p->documents_done) / rate * 1e9), left, sizeof left);
    char line[200];
    snprintf(line, sizeof line, "%llu of %llu documents (%.0f %%), %.0f/s, %s left, %llu times busy, %llu refused", (unsigned long long)p->documents_done,
             (unsigned long long)p->documents_total, p->documents_total ? 100.0 * (double)p->documents_done / (double)p->documents_total : 100.0, rate, left,
             (unsigned long long)p->report->busy, (unsigned long long)p->report->refused);
    fprintf(stderr, s->terminal ? "\r%s\033[K" : "%s\n", line);
}

// The recorded index itself, still alive: most likely a mistake.
static bool right_place(const struct replay_settings *s, struct replay_run *r, struct fault *fault)
{
    for (size_t i = 0; i < plan_slot_count(r->plan); i++) {
        const struct plan_slot *slot = plan_slot(r->plan, i);
        if (!s->in_place && r->indices[i].exists && strcmp(slot->from, slot->to) == 0 && !r->indices[i].restored && r->indices[i].seam.kind != PLAN_SEAM_EMPTY) {
            r->refused = true;
            return fault_user(fault, "%s is the index that was recorded, not a restored copy: name the copy with --map %s=COPY, or say --in-place", slot->to, slot->from);
        }
        if (!s->in_place && slot->deleted && r->indices[i].exists && !r->indices[i].restored && r->indices[i].seam.kind != PLAN_SEAM_EMPTY) {
            r->refused = true;
            return fault_user(fault, "--admin would delete %s first (exchange %llu), and the target does not say that it was restored from a snapshot: leave the deletion out with "
                              "--skip %llu, or say --in-place", slot->to, (unsigned long long)slot->deletion, (unsigned long long)slot->deletion);
        }
        if (slot->type_clashes && r->about.typeless) {
            r->refused = true;
            return fault_user(fault, "%llu ids of %s stand under several types, and %s %s has no types: one document would overwrite another; replay onto a version before 7, "
                              "or take the documents out with estape export --docs and give them ids of their own",
                              (unsigned long long)slot->type_clashes, slot->from, r->about.opensearch ? "OpenSearch" : "Elasticsearch", r->about.version);
        }
    }
    return true;
}

// A document beyond the target's limit would be refused after all the others were written.
static bool small_enough(const struct replay_settings *s, struct replay_run *r, struct fault *fault)
{
    struct plan_largest l = plan_largest(r->plan);
    uint64_t max = l.bytes > 1 << 20 && !s->choice.allow_gaps ? preflight_request_max(r->target) : 0;
    if (!max || l.bytes + 1024 <= max)
        return true;
    r->refused = true;
    return fault_user(fault, "exchange %llu, item %u holds a document of %llu bytes, and the target takes requests up to %llu (http.max_content_length): raise it there, or "
                      "--allow-gaps leaves such documents out", (unsigned long long)l.exchange, l.item, (unsigned long long)l.bytes, (unsigned long long)max);
}

static bool confirm(const struct replay_settings *s, struct replay_run *r, struct fault *fault)
{
    char answer[16] = "";
    if (s->yes || s->json || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return true;
    fprintf(stderr, "Write %llu documents to %s (%s %s)? [y/N] ", (unsigned long long)plan_total(r->plan)->documents, target_url(r->target), r->about.name, r->about.version);
    if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
        return true;
    return fault_user(fault, "nothing was written");
}

static void difference(void *ctx, const struct plan_doc *doc, enum verify_difference what, bool since, struct bytes want, struct bytes have)
{
    static const char *const words[VERIFY_DIFFERENCES] = {"missing", "should be gone", "differs", "has another version"};
    struct out *o = ctx;
    const struct plan_step *last = &doc->steps[doc->step_count - 1];
    if (!o || since)
        return;
    emit_text(&o->text, doc->id);
    buf_format(&o->text, ": %s (written by exchange %llu, item %u)\n", words[what], (unsigned long long)last->exchange, last->item);
    if (what == VERIFY_SOURCE) {
        buf_add_text(&o->text, "  plan:   ");
        emit_cut(&o->text, want, 300, false);
        buf_add_text(&o->text, "\n  target: ");
        emit_cut(&o->text, have, 300, false);
        buf_add_byte(&o->text, '\n');
    }
    out_push(o);
}

struct numbers {
    const char *name, *label;
    uint64_t n;
    bool bad;
};

struct spent { // steady nanoseconds
    int64_t writing_ns, comparing_ns;
};

static bool print_report(const struct replay_settings *s, struct out *o, const struct plan_count *c, const struct apply_report *a, const struct verify_report *v, struct spent spent)
{
    bool followed = (s->follow || s->cutover) && !v->documents;
    bool skip_unknown = !s->choice.unknown || strcmp(s->choice.unknown, "apply") != 0;
    const struct numbers rows[] = {
        {"applied", "applied", a->applied, false},
        {"already", "there already", a->already, false},
        {"left_alone", "left alone: somebody else wrote them", a->left_alone, true},
        {"refused", "refused by the target", a->refused, true},
        {"missing_base", "updates without their document", a->missing_base, true},
        {"minted", "with ids minted here", c->minted, false},
        {"judged", "writes judged to have happened", c->judged_done, false},
        {"unknown", "writes unknown", c->unknown, c->unknown > 0 && skip_unknown},
        {"casualties", "casualties", c->casualties, !s->choice.casualties || strcmp(s->choice.casualties, "apply") != 0},
        {"casualties_possible", "possible casualties (told in the plan)", c->casualties_possible, false},
        {"collisions", "collisions", c->collisions, false},
        {"collisions_possible", "possible collisions (told in the plan)", c->collisions_possible, false},
        {"late", "came too late for their place", c->late, true},
        {"parity_lost", "version parity lost", a->parity_lost, false},
        {"admin", "administrative calls made again", a->admin, false},
        {"admin_refused", "administrative calls refused", a->admin_refused, true},
        {"barriers_different", "by-query calls with other counts", a->barriers_different, true},
        {"busy", "times the target was busy", a->busy, false},
        {"compared", "compared and equal", v->equal, false},
        {"compared_presence", "compared by presence alone", v->present_only, false},
        {"written_since", "changed since by others, not compared", v->written_since, false},
        {"missing", "missing", v->missing, true},
        {"should_be_gone", "should be gone", v->should_be_gone, true},
        {"different", "different", v->different, true},
        {"version_different", "with another version", v->version_different > a->parity_lost ? v->version_different : 0, true},
    };
    bool equal = !a->interrupted;
    if (s->json)
        buf_add_text(&o->text, ",\"report\":{");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        equal &= !(rows[i].bad && rows[i].n);
        if (s->json) {
            buf_format(&o->text, "%s\"%s\":%llu", i ? "," : "", rows[i].name, (unsigned long long)rows[i].n);
        } else if (rows[i].n) {
            out_paint(o, rows[i].bad ? PAINT_RED : PAINT_NONE);
            buf_format(&o->text, "  %-40s %12llu\n", rows[i].label, (unsigned long long)rows[i].n);
            out_paint(o, PAINT_NONE);
        }
    }
    double writing = (double)spent.writing_ns / 1e9, comparing = (double)spent.comparing_ns / 1e9;
    if (!s->json && writing > 0)
        buf_format(&o->text, "  %-40s %12.1f s, %.0f documents/s\n", "written in", writing, (double)a->applied / writing);
    if (!s->json && comparing > 0)
        buf_format(&o->text, "  %-40s %12.1f s, %.0f documents/s\n", "compared in", comparing, (double)(v->documents - v->unsampled) / comparing);
    if (s->json)
        buf_format(&o->text, ",\"seconds_writing\":%.3f,\"seconds_comparing\":%.3f,\"interrupted\":%s,\"equal\":%s}}\n", writing, comparing, a->interrupted ? "true" : "false",
                   equal ? "true" : "false");
    else
        buf_format(&o->text, "%s\n", a->interrupted ? "interrupted: the same command goes on where it stopped"
                                     : equal && followed ? "stopped following; estape verify compares the target with the tape"
                                     : equal        ? "the target equals the plan"
                                                    : "the target does NOT equal the plan");
    return equal;
}

static bool go(struct replay_settings *s, struct replay_run *r, struct out *out, int *status, struct fault *fault)
{
    char dead[4200];
    struct apply_report report = {0};
    struct verify_report compared = {0};
    struct showing showing = {.terminal = isatty(STDERR_FILENO), .quiet = s->quiet || s->json};
    struct source *source = source_open(r->made.settings.tape);
    struct live *live = source ? live_open(r->made.settings.tape, r->plan) : NULL;
    if (!live) {
        source_close(source);
        return fault_memory(fault);
    }
    snprintf(dead, sizeof dead, "%s.refused.ndjson", r->journal_path);
    struct apply_settings apply = {
        .plan = r->plan, .source = source, .target = r->target, .about = &r->about, .journal = r->journal, .indices = r->indices, .index_count = r->index_count,
        .dead_letters = s->dead_letters ? s->dead_letters : dead, .lanes = s->lanes > 0 ? (unsigned)s->lanes : 4, .exact = s->choice.exact,
        .allow_gaps = s->choice.allow_gaps, .mappings_as_they_are = s->mappings && strcmp(s->mappings, "as-is") == 0, .run_unknown_barriers = r->made.settings.unknown == PLAN_UNKNOWN_APPLY, .stop = (const bool *)&want_stop,
        .progress = show_progress, .ctx = &showing, .live = live,
        .no_mapping_calls = s->mappings && strcmp(s->mappings, "as-is") == 0, .to_follow = s->follow || s->cutover};
    struct sigaction act = {.sa_handler = on_stop};
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    int64_t began_ns = clock_steady_ns(), written_ns;
    bool ok = apply_run(&apply, &report, fault);
    written_ns = clock_steady_ns();
    if (showing.terminal && !showing.quiet)
        fputs("\r\033[K", stderr);
    struct verify_settings verify = {.plan = r->plan, .source = source, .target = r->target, .about = &r->about, .indices = r->indices, .index_count = r->index_count,
                                     .journal = r->journal, .sample = (uint64_t)s->sample, .exact = s->choice.exact, .allow_gaps = s->choice.allow_gaps, .live = live, .difference = difference, .ctx = s->json ? NULL : out};
    struct replay_following follow = {.run = r, .tape = r->made.settings.tape, .apply = &apply, .report = &report, .cutover = s->cutover, .stop = (const bool *)&want_stop,
                                      .sum = *plan_total(r->plan), .quiet = showing.quiet, .terminal = showing.terminal, .difference = difference, .ctx = s->json ? NULL : out};
    if (ok && (s->follow || s->cutover) && !report.interrupted) {
        ok = replay_follow(&follow, fault);
        compared = follow.compared;
        report.interrupted = false;
        if (ok && s->cutover && follow.switched && !s->json)
            buf_format(&out->text, "%s is now an alias of %s; it took no writes for %.1f s, %llu were refused meanwhile\n", s->cutover, plan_slot(r->plan, 0)->to,
                       (double)follow.blocked_ns / 1e9, (unsigned long long)follow.refused_meanwhile);
        else if (ok && s->cutover && !follow.switched)
            report.interrupted = true;
    } else {
        ok = ok && (report.interrupted || verify_run(&verify, &compared, fault));
    }
    if (ok)
        *status = print_report(s, out, &follow.sum, &report, &compared,
                               (struct spent){follow.run->seen ? 0 : written_ns - began_ns, compared.documents && !r->seen ? clock_steady_ns() - written_ns : 0}) ? 0 : 1;
    live_close(live);
    source_close(source);
    return ok;
}

static int dry_run(struct replay_settings *s, struct tape *tape, struct out *out)
{
    struct fault fault = {0};
    struct replay_made made = {0};
    struct plan *plan = NULL;
    bool ok = replay_choice_make(&s->choice, tape, &made, &fault) && (plan = plan_build(&made.settings, &fault));
    int status = ok && plan_refusal(plan) ? REPLAY_REFUSED : 0;
    if (ok && s->json) {
        replay_json_plan(&out->text, plan, tape);
        buf_add_byte(&out->text, '\n');
    } else if (ok) {
        replay_print_plan(out, plan, tape, s->choice.exact);
    }
    plan_close(plan);
    replay_choice_fini(&made);
    return tape_options_end(tape, out, ok, &fault, status);
}

enum { LANES_MAX = 64 };

// What can be told from the command line alone, and what the plan's names tell.
static bool options_fit(const struct replay_settings *s, struct fault *fault)
{
    bool follows = s->follow || s->cutover;
    if (s->plan && follows)
        return fault_user(fault, "--plan is one range that was looked at: it cannot be combined with --follow or --cutover");
    if (s->plan && s->dry_run && !s->account.target)
        return fault_user(fault, "--plan belongs to one cluster: say --target too");
    if (s->lanes > LANES_MAX)
        return fault_user(fault, "--lanes %lld: at most %d connections", (long long)s->lanes, LANES_MAX);
    if (follows && !(s->dry_run && !s->account.target) && (s->choice.before || s->choice.until || s->choice.admin))
        return fault_user(fault, "--follow goes on with what is being recorded: it cannot be combined with %s", s->choice.before ? "--before" : s->choice.until ? "--until" : "--admin");
    return true;
}

static bool switch_fits(const struct replay_settings *s, const struct replay_run *r, struct fault *fault)
{
    if (!s->cutover)
        return true;
    if (plan_slot_count(r->plan) != 1)
        return fault_user(fault, "--cutover moves one name to one copy, and these choices name %zu indices: replay them with --follow, and switch with _aliases", plan_slot_count(r->plan));
    if (strcmp(s->cutover, plan_slot(r->plan, 0)->to) == 0)
        return fault_user(fault, "--cutover %s is the copy itself: say the name that services use", s->cutover);
    return true;
}

static int run(void *settings, int operand_count, char **operands)
{
    struct replay_settings *s = settings;
    struct fault fault = {0};
    struct replay_run r = {0};
    struct out out = {0};
    int status = 0;
    if (!tape_options_no_operands("replay", operand_count, operands, &fault))
        return diag_fault(&fault);
    struct tape *tape = tape_options_open(&s->choice.tapes, &fault);
    if (!tape)
        return diag_fault(&fault);
    tape_options_output(&out, s->color);
    if (!options_fit(s, &fault))
        return tape_options_end(tape, &out, false, &fault, 2);
    if (s->dry_run && !s->account.target)
        return dry_run(s, tape, &out);
    struct plan_seen *seen = s->follow || s->cutover ? plan_seen_open(tape_count(tape)) : NULL;
    r.seen = seen;
    // All that a restored copy may hold must be in the first plan, also of a snapshot made a moment ago.
    if (seen)
        usleep(PLAN_FRESH_NS / WHEN_NS_PER_US);
    struct replay_plan_file file = {0};
    bool execute = s->plan && !s->dry_run;
    bool ok = !execute || replay_plan_load(s->plan, &s->choice, &file, &fault);
    ok = ok && replay_run_open(&r, &s->choice, &s->account, tape, s->lanes > 0 ? (unsigned)s->lanes : 4, !s->dry_run, &fault);
    ok = ok && switch_fits(s, &r, &fault) && right_place(s, &r, &fault) && small_enough(s, &r, &fault) && (!execute || replay_plan_check(s->plan, &file, &r, &fault));
    if (ok && s->plan && s->dry_run && !plan_refusal(r.plan))
        ok = replay_plan_save(s->plan, &s->choice, &r, &fault);
    if (ok) {
        if (s->json) {
            buf_add_text(&out.text, "{\"plan\":");
            replay_json_plan(&out.text, r.plan, tape);
        } else {
            replay_print_plan(&out, r.plan, tape, s->choice.exact);
            buf_format(&out.text, "target: %s, %s %s (%s)\n", target_url(r.target), r.about.opensearch ? "OpenSearch" : "Elasticsearch", r.about.version, r.about.name);
            out_flush(&out);
        }
        if (plan_refusal(r.plan))
            status = REPLAY_REFUSED;
        else if (!s->dry_run)
            ok = confirm(s, &r, &fault) && go(s, &r, &out, &status, &fault);
        if (s->json && (status == REPLAY_REFUSED || s->dry_run))
            buf_add_text(&out.text, "}\n");
    }
    bool refused = r.refused && !ok;
    replay_run_close(&r);
    plan_seen_close(seen);
    replay_plan_fini(&file);
    int end = tape_options_end(tape, &out, ok, &fault, status);
    return refused && end == 2 ? REPLAY_REFUSED : end;
}

const struct command cmd_replay = {
    .name = "replay",
    .summary = "write the recorded writes again, onto an index restored from a snapshot",
    .operands = "",
    .text = "Reads from the tape what the cluster accepted, in the cluster's own order, leaves out what the restored copy holds already, reduces it to what each document ends in, and "
            "writes that to the target; then compares every document with the plan.\n\n"
            "The default is safe on an index that is live again: a document that somebody wrote since the restore is left alone and reported. What was acknowledged is noted in a "
            "journal: an interrupted run resumes when the same command is given again, and a second run changes nothing.\n\n"
            "An index deletion inside the range must be named with --before (stop just before it) or --skip (go on as if it had not been), or made again with --admin. Mapping calls, by-query "
            "calls and reindex into the chosen indices are made again; other administrative calls only with --admin.",
    .examples = "estape replay --before 4711 --map catalog=catalog_restored --target http://es:9200\teverything up to the accident\n"
                "estape replay --skip 4711 --map catalog=catalog_restored --target http://es:9200\tand everything since\n"
                "estape replay --skip 4711 --dry-run\twhat would be written\n"
                "estape replay --plan plan.json --target http://es:9200\twhat --dry-run --plan plan.json wrote down\n",
    .see_also = "check verify export snapshots timeline",
    .exit_text = "0 the target equals the plan; 1 it does not, or something failed; 2 usage; 3 refused before anything was written, because a decision is missing (the text names the "
                 "option)",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(struct replay_settings),
    .run = run,
};
