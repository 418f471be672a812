// A plan and a proof as text and as JSON.
#include "replay_options.h"


#include "../base/clock.h"
#include "../base/json.h"
#include "../view/emit.h"

#include <stdio.h>

static const char *const kind_words[OP_KINDS] = {"index", "create", "update", "delete"};
static const char *const verdict_words[CHECK_VERDICTS] = {"proven", "explained", "missing", "no proof"};
static const char *const note_words[PLAN_NOTES] = {"unknown", "judged", "casualty", "collision", "truncated", "gap", "life", "told"};

enum { NOTES_SHOWN = 20 };
static const uint8_t notes_shown[PLAN_NOTES] = { // examples where nobody has to decide on each, more where they refuse
    [PLAN_NOTE_UNKNOWN] = NOTES_SHOWN, [PLAN_NOTE_JUDGED] = 3, [PLAN_NOTE_CASUALTY] = 3, [PLAN_NOTE_COLLISION] = 3,
    [PLAN_NOTE_TRUNCATED] = NOTES_SHOWN, [PLAN_NOTE_GAP] = NOTES_SHOWN, [PLAN_NOTE_LIFE] = NOTES_SHOWN, [PLAN_NOTE_TOLD] = NOTES_SHOWN,
};

static void exchange_text(struct buf *b, struct tape *t, size_t tape, uint64_t id)
{
    if (t && tape_count(t) > 1)
        buf_format(b, "%s:", tape_name(t, tape));
    buf_format(b, "%llu", (unsigned long long)id);
}

static void line(struct out *o, const char *label, uint64_t n, const char *rest)
{
    if (n)
        buf_format(&o->text, "  %-34s %12llu%s%s\n", label, (unsigned long long)n, *rest ? "  " : "", rest);
}

static void print_counts(struct out *o, const struct plan_count *c, bool exact)
{
    char size[32], rest[160];
    for (int k = 0; k < OP_KINDS; k++)
        line(o, kind_words[k], c->by_kind[k], "");
    line(o, "refused by the cluster", c->refused, "left out");
    line(o, "changed nothing (noop, dropped)", c->noops + c->dropped, "left out");
    line(o, "the restored copy holds", c->held, "left out");
    line(o, "the restored copy may hold", c->unsure, "compared one by one");
    line(o, "outside the range", c->outside, "left out");
    line(o, "of skipped exchanges", c->skipped, "left out");
    line(o, "of a life that ends with a deletion", c->outlived, "left out, the deletion is made again");
    line(o, "unanswered, judged to have happened", c->judged_done, "applied");
    line(o, "unanswered, judged not to have", c->judged_not_done, "left out");
    line(o, "unanswered, not known", c->unknown, "see --unknown");
    line(o, "ids nobody saw", c->unknown_ids, "");
    line(o, "ids minted here", c->minted, "the cluster's own were filtered out of its answers");
    line(o, "casualties", c->casualties, "refused only because of a skipped operation, see --casualties");
    line(o, "possible casualties", c->casualties_possible, "if the restored copy holds their document");
    line(o, "collisions", c->collisions, "accepted only because of a skipped operation");
    line(o, "possible collisions", c->collisions_possible, "if the restored copy holds their document");
    line(o, "refused either way", c->left_out_refused, "left out");
    line(o, "through an alias turned index", c->redirected, "belong to the index the alias meant");
    line(o, "scripts", c->scripts, "run by the target, in order");
    line(o, "through a pipeline", c->pipelines, "the target runs it again");
    line(o, "ordered by time alone", c->time_ordered, "documents whose writes overlapped, without numbers");
    line(o, "with missing bytes", c->truncated_ops, "");
    clock_format_size(c->source_bytes, size, sizeof size);
    snprintf(rest, sizeof rest, "in %llu steps, %s%s", (unsigned long long)c->steps, size, exact ? ", versions kept" : "");
    buf_format(&o->text, "  %-34s %12llu  %s\n", "documents to write", (unsigned long long)c->documents, rest);
}

static void print_note(struct out *o, const struct plan_note *n, struct tape *t)
{
    buf_format(&o->text, "  %s", note_words[n->kind]);
    if (n->exchange) {
        buf_add_text(&o->text, " exchange ");
        exchange_text(&o->text, t, n->tape, n->exchange);
        if (n->item)
            buf_format(&o->text, " item %u", n->item);
    }
    if (n->id) {
        buf_add_text(&o->text, " document ");
        emit_text(&o->text, bytes_of_text(n->id));
    }
    buf_add_text(&o->text, ": ");
    emit_text(&o->text, bytes_of_text(n->text));
    buf_add_byte(&o->text, '\n');
}

void replay_print_plan(struct out *o, const struct plan *p, struct tape *t, bool exact)
{
    for (size_t i = 0; i < plan_slot_count(p); i++) {
        const struct plan_slot *s = plan_slot(p, i);
        static const char *const seams[] = {"what the target holds is asked before the replay", "the target starts empty", "a restored copy, cut by sequence number",
                                            "a copy, cut by time"};
        emit_text(&o->text, bytes_of_text(s->from));
        if (strcmp(s->from, s->to) != 0) {
            buf_add_text(&o->text, " -> ");
            emit_text(&o->text, bytes_of_text(s->to));
        }
        buf_format(&o->text, ": %llu writes recorded; %s\n", (unsigned long long)s->count.ops, seams[s->seam]);
        print_counts(o, &s->count, exact);
        if (s->deleted) {
            out_paint(o, PAINT_RED);
            buf_add_text(&o->text, "  deletes ");
            emit_text(&o->text, bytes_of_text(s->to));
            buf_add_text(&o->text, " first: exchange ");
            exchange_text(&o->text, t, s->deletion_tape, s->deletion);
            out_paint(o, PAINT_NONE);
            buf_add_byte(&o->text, '\n');
        }
    }
    for (size_t i = 0; i < plan_barrier_count(p); i++) {
        const struct plan_barrier *b = plan_barrier(p, i);
        buf_add_text(&o->text, b->kind == PLAN_BARRIER_ADMIN ? "call: exchange " : "barrier: exchange ");
        exchange_text(&o->text, t, b->tape, b->exchange);
        buf_format(&o->text, " %s ", b->kind == PLAN_BARRIER_ADMIN ? b->verb : "");
        emit_text(&o->text, bytes_of_text(b->path));
        if (b->kind != PLAN_BARRIER_ADMIN)
            buf_format(&o->text, ", %lld documents", (long long)b->updated);
        buf_add_text(&o->text, b->unknown ? ", outcome unknown\n" : "\n");
    }
    if (!plan_total(p)->ops)
        buf_add_text(&o->text, "no document writes to these indices on the tape\n");
    size_t shown[PLAN_NOTES] = {0};
    for (size_t i = 0; i < plan_note_count(p); i++) {
        const struct plan_note *n = plan_note(p, i);
        if (shown[n->kind]++ < notes_shown[n->kind])
            print_note(o, n, t);
    }
    for (int k = 0; k < PLAN_NOTES; k++)
        if (plan_note_total(p, (enum plan_note_kind)k) > notes_shown[k])
            buf_format(&o->text, "  %s: %llu in all, %d shown; --json lists more\n", note_words[k], (unsigned long long)plan_note_total(p, (enum plan_note_kind)k), notes_shown[k]);
    replay_print_check(o, plan_check(p), p, false);
    const char *refusal = plan_refusal(p);
    if (refusal) {
        out_paint(o, PAINT_RED);
        buf_add_text(&o->text, "refused: ");
        emit_lines(&o->text, bytes_of_text(refusal));
        out_paint(o, PAINT_NONE);
        buf_add_byte(&o->text, '\n');
    }
}

static void number(struct buf *b, const char *name, uint64_t n)
{
    buf_format(b, "\"%s\":%llu,", name, (unsigned long long)n);
}

static void json_counts(struct buf *b, const struct plan_count *c)
{
    buf_add_text(b, "\"ops\":{");
    for (int k = 0; k < OP_KINDS; k++)
        buf_format(b, "%s\"%s\":%llu", k ? "," : "", kind_words[k], (unsigned long long)c->by_kind[k]);
    buf_add_text(b, "},");
    const struct {
        const char *name;
        uint64_t n;
    } rows[] = {{"accepted", c->accepted}, {"refused", c->refused}, {"noop", c->noops}, {"dropped", c->dropped}, {"held", c->held}, {"unsure", c->unsure},
                {"outside", c->outside}, {"skipped", c->skipped}, {"judged_done", c->judged_done}, {"judged_not_done", c->judged_not_done},
                {"unknown", c->unknown}, {"unknown_ids", c->unknown_ids}, {"minted", c->minted}, {"casualties", c->casualties},
                {"casualties_possible", c->casualties_possible}, {"collisions", c->collisions}, {"collisions_possible", c->collisions_possible}, {"refused_either_way", c->left_out_refused},
                {"redirected", c->redirected}, {"scripts", c->scripts}, {"pipelines", c->pipelines}, {"ordered_by_time", c->time_ordered},
                {"missing_bytes", c->truncated_ops}, {"outlived", c->outlived}, {"documents", c->documents}, {"steps", c->steps}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        number(b, rows[i].name, rows[i].n);
    buf_format(b, "\"bytes\":%llu", (unsigned long long)c->source_bytes);
}

void replay_json_plan(struct buf *b, const struct plan *p, struct tape *t)
{
    buf_add_text(b, "{\"indices\":[");
    for (size_t i = 0; i < plan_slot_count(p); i++) {
        buf_add_text(b, i ? ",{\"from\":" : "{\"from\":");
        emit_json(b, bytes_of_text(plan_slot(p, i)->from));
        buf_add_text(b, ",\"to\":");
        emit_json(b, bytes_of_text(plan_slot(p, i)->to));
        buf_add_byte(b, ',');
        json_counts(b, &plan_slot(p, i)->count);
        if (plan_slot(p, i)->deleted) {
            buf_add_text(b, ",\"deleted_first\":\"");
            exchange_text(b, t, plan_slot(p, i)->deletion_tape, plan_slot(p, i)->deletion);
            buf_add_byte(b, '"');
        }
        buf_add_byte(b, '}');
    }
    buf_add_text(b, "],\"barriers\":[");
    for (size_t i = 0; i < plan_barrier_count(p); i++) {
        const struct plan_barrier *x = plan_barrier(p, i);
        buf_format(b, "%s{\"exchange\":\"", i ? "," : "");
        exchange_text(b, t, x->tape, x->exchange);
        buf_format(b, "\",\"api\":\"%s\",\"path\":", x->api);
        emit_json(b, bytes_of_text(x->path));
        buf_format(b, ",\"documents\":%lld,\"unknown\":%s}", (long long)x->updated, x->unknown ? "true" : "false");
    }
    buf_add_text(b, "],\"notes\":[");
    for (size_t i = 0; i < plan_note_count(p); i++) {
        const struct plan_note *n = plan_note(p, i);
        buf_format(b, "%s{\"kind\":\"%s\"", i ? "," : "", note_words[n->kind]);
        if (n->exchange) {
            buf_add_text(b, ",\"exchange\":\"");
            exchange_text(b, t, n->tape, n->exchange);
            buf_format(b, "\",\"item\":%u", n->item);
        }
        if (n->id) {
            buf_add_text(b, ",\"id\":");
            emit_json(b, bytes_of_text(n->id));
        }
        buf_add_text(b, ",\"text\":");
        emit_json(b, bytes_of_text(n->text));
        buf_add_byte(b, '}');
    }
    const struct plan_count *c = plan_total(p);
    buf_format(b, "],\"gaps\":%llu,\"gap_bytes\":%llu,\"missing_numbers\":%llu,\"admin_left_out\":%llu,\"refusal\":", (unsigned long long)c->gaps, (unsigned long long)c->gap_bytes,
               (unsigned long long)c->missing_numbers, (unsigned long long)c->admin_left);
    if (plan_refusal(p))
        emit_json(b, bytes_of_text(plan_refusal(p)));
    else
        buf_add_text(b, "null");
    buf_add_text(b, ",\"check\":");
    replay_json_check(b, plan_check(p), p);
    buf_add_byte(b, '}');
}

// ---- the proof --------------------------------------------------------------------------------------------------------

static void print_hole(struct out *o, const struct check_hole *h)
{
    char after[48] = "the beginning", until[48] = "the end";
    if (h->after_ns != WHEN_UNKNOWN)
        clock_format_utc(h->after_ns, after, sizeof after);
    if (h->until_ns != WHEN_UNKNOWN)
        clock_format_utc(h->until_ns, until, sizeof until);
    if (h->from == h->to)
        buf_format(&o->text, "      missing %lld", (long long)h->from);
    else
        buf_format(&o->text, "      missing %lld to %lld", (long long)h->from, (long long)h->to);
    buf_format(&o->text, ", between %s and %s\n", after, until);
}

static const char *cause(const struct check_life *l, const struct plan *p)
{
    if (plan_total(p)->gap_bytes)
        return "bytes were lost in this time (estape log --gaps only)";
    if (l->unanswered)
        return "writes without an answer, a node without a tap, or internal writers";
    return "a node without a tap, or internal writers (transforms, watcher, replication)";
}

void replay_print_check(struct out *o, const struct check *c, const struct plan *p, bool holes)
{
    for (size_t i = 0; i < check_life_count(c); i++) {
        const struct check_life *l = check_life(c, i);
        char began[48] = "before the tape";
        if (l->life)
            clock_format_utc(l->life, began, sizeof began);
        out_paint(o, l->verdict == CHECK_MISSING ? PAINT_RED : l->verdict == CHECK_NO_PROOF ? PAINT_YELLOW : PAINT_GREEN);
        buf_format(&o->text, "%-9s", verdict_words[l->verdict]);
        out_paint(o, PAINT_NONE);
        buf_add_byte(&o->text, ' ');
        emit_text(&o->text, bytes_of_text(plan_name_text(p, l->name)));
        buf_format(&o->text, " (life begun %s): %llu writes, %llu with numbers", began, (unsigned long long)l->ops, (unsigned long long)l->numbered);
        if (l->missing)
            buf_format(&o->text, ", %llu numbers not seen, %llu explained (by-query %llu, unanswered %llu, refused by the engine %llu, without number %llu, primary changed %llu)",
                       (unsigned long long)l->missing, (unsigned long long)l->explained, (unsigned long long)l->by_query, (unsigned long long)l->unanswered,
                       (unsigned long long)l->engine_failures, (unsigned long long)l->accepted_without_number, (unsigned long long)l->primary_changes);
        if (l->verdict == CHECK_NO_PROOF)
            buf_add_text(&o->text, ": no sequence numbers in its answers (version 5, filtered answers, or switched off)");
        buf_format(&o->text, "; version chains %llu whole, %llu broken\n", (unsigned long long)l->chains_proven, (unsigned long long)l->chains_broken);
        for (size_t s = 0; holes && s < check_shard_count(c); s++) {
            const struct check_shard *sh = check_shard(c, s);
            if (sh->name != l->name || sh->life != l->life || !sh->numbers)
                continue;
            if (sh->shard >= 0)
                buf_format(&o->text, "    shard %d: ", sh->shard);
            else
                buf_add_text(&o->text, "    shards not told apart (their number is not on the tape): ");
            buf_format(&o->text, "%lld to %lld, terms %lld to %lld, %s\n", (long long)sh->first, (long long)sh->last, (long long)sh->term_first,
                       (long long)sh->term_last, verdict_words[sh->verdict]);
            for (size_t h = 0; h < sh->hole_count && h < NOTES_SHOWN; h++)
                print_hole(o, &sh->holes[h]);
        }
        if (holes && l->unexplained)
            buf_format(&o->text, "    likely cause: %s\n", cause(l, p));
    }
}

void replay_json_check(struct buf *b, const struct check *c, const struct plan *p)
{
    buf_add_byte(b, '[');
    for (size_t i = 0; i < check_life_count(c); i++) {
        const struct check_life *l = check_life(c, i);
        char text[48];
        bool any = false;
        buf_add_text(b, i ? ",{\"index\":" : "{\"index\":");
        emit_json(b, bytes_of_text(plan_name_text(p, l->name)));
        if (l->life)
            buf_format(b, ",\"begun\":\"%s\"", clock_format_utc(l->life, text, sizeof text));
        else
            buf_add_text(b, ",\"begun\":null");
        buf_format(b, ",\"verdict\":\"%s\",", verdict_words[l->verdict]);
        number(b, "writes", l->ops);
        number(b, "numbered", l->numbered);
        number(b, "missing", l->missing);
        number(b, "explained", l->explained);
        number(b, "unexplained", l->unexplained);
        number(b, "chains_whole", l->chains_proven);
        number(b, "chains_broken", l->chains_broken);
        buf_add_text(b, "\"shards\":[");
        for (size_t s = 0; s < check_shard_count(c); s++) {
            const struct check_shard *sh = check_shard(c, s);
            if (sh->name != l->name || sh->life != l->life || !sh->numbers)
                continue;
            buf_format(b, "%s{\"shard\":", any ? "," : "");
            any = true;
            if (sh->shard >= 0)
                buf_format(b, "%d", sh->shard);
            else
                buf_add_text(b, "null");
            buf_format(b, ",\"first\":%lld,\"last\":%lld,\"missing\":%llu,\"verdict\":\"%s\",\"holes\":[", (long long)sh->first, (long long)sh->last,
                       (unsigned long long)sh->missing, verdict_words[sh->verdict]);
            for (size_t h = 0, told = 0; h < sh->hole_count; h++) {
                if (sh->holes[h].to < sh->floor)
                    continue;
                buf_format(b, "%s{\"from\":%lld,\"to\":%lld", told++ ? "," : "", (long long)sh->holes[h].from, (long long)sh->holes[h].to);
                if (sh->holes[h].after_ns != WHEN_UNKNOWN)
                    buf_format(b, ",\"after\":\"%s\"", clock_format_utc(sh->holes[h].after_ns, text, sizeof text));
                if (sh->holes[h].until_ns != WHEN_UNKNOWN)
                    buf_format(b, ",\"until\":\"%s\"", clock_format_utc(sh->holes[h].until_ns, text, sizeof text));
                buf_add_byte(b, '}');
            }
            buf_add_text(b, "]}");
        }
        buf_add_text(b, "]}");
    }
    buf_add_byte(b, ']');
}
