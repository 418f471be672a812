// One lane: its documents' states on the target are read, the next action of each is sent, answers advance them.
//
// Invariants: 1. a document that somebody else wrote since the restore is never written. 2. an action whose answer was lost
// is never sent again before the document was looked at. 3. the journal has an intent before a request leaves, and the
// result before the lane takes new documents.
#include "apply_inside.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/mem.h"

#include <errno.h>
#include <stdlib.h>

uint64_t apply_key(const struct plan_doc *doc)
{
    const struct plan_step *last = &doc->steps[doc->step_count - 1];
    uint64_t k[5] = {doc->hash, doc->epoch, last->exchange, last->item, last->tape};
    return map_hash(bytes_of(k, sizeof k), 3);
}

static uint64_t work_key(const struct work *w)
{
    return apply_key(&w->doc);
}

uint64_t apply_source_key(uint64_t hash)
{
    return map_hash(bytes_of(&hash, sizeof hash), 5);
}

// The document whatever the plan: the number that our own last write of it got.
uint64_t apply_own_key(uint64_t hash)
{
    return map_hash(bytes_of(&hash, sizeof hash), 4);
}

#define WROTE 0x80000000u // in the journal's steps: some of them were requests, not only held

static bool write_journal(struct apply *ap, const struct work *w, enum journal_state state)
{
    struct journal_doc d = {state, w->found ? w->seq_no : -1, w->found ? w->primary_term : -1, w->found ? w->version : -1, w->step | (w->wrote ? WROTE : 0)};
    return !ap->set->journal || journal_put(ap->set->journal, work_key(w), &d, ap->fault);
}

void apply_dead_line(struct apply *ap, const struct buf *line)
{
    if (!ap->dead && ap->set->dead_letters)
        ap->dead = fopen(ap->set->dead_letters, "ae");
    if (ap->dead && !line->failed)
        fwrite(line->at, 1, line->size, ap->dead);
}

static void dead_letter(struct apply *ap, const struct work *w, const char *why)
{
    struct buf line = {0};
    const struct plan_step *s = &w->doc.steps[w->step < w->doc.step_count ? w->step : w->doc.step_count - 1];
    buf_add_text(&line, "{\"index\":");
    json_write_text(&line, bytes_of_text(plan_slot(ap->set->plan, w->doc.slot)->to));
    buf_add_text(&line, ",\"id\":");
    json_write_text(&line, w->doc.id);
    if (w->doc.routing.size) {
        buf_add_text(&line, ",\"routing\":");
        json_write_text(&line, w->doc.routing);
    }
    buf_format(&line, ",\"exchange\":%llu,\"item\":%u,\"reason\":", (unsigned long long)s->exchange, s->item);
    json_write_text(&line, bytes_of_text(why));
    buf_add_text(&line, "}\n");
    apply_dead_line(ap, &line);
    buf_fini(&line);
}

// Only rounds that follow ask for it.
static bool note_source(struct apply *ap, const struct work *w, const struct plan_step *last)
{
    struct journal_doc source = {JOURNAL_OWN, last->seq_no, last->primary_term, w->doc.life, 0};
    return last->seq_no < 0 || !ap->set->journal || !ap->set->to_follow || journal_put(ap->set->journal, apply_source_key(w->doc.hash), &source, ap->fault);
}

bool apply_finish(struct apply *ap, struct work *w, enum work_end end, const char *why)
{
    static const enum journal_state states[] = {JOURNAL_DONE, JOURNAL_DONE, JOURNAL_LEFT, JOURNAL_REFUSED, JOURNAL_REFUSED};
    w->state = WORK_END;
    w->end = end;
    ap->report->applied += end == WORK_APPLIED;
    ap->report->already += end == WORK_ALREADY;
    ap->report->left_alone += end == WORK_LEFT;
    ap->report->refused += end == WORK_REFUSED;
    ap->report->missing_base += end == WORK_NO_BASE;
    ap->report->parity_lost += w->parity_lost;
    ap->done_docs++;
    if (end == WORK_REFUSED || end == WORK_NO_BASE)
        dead_letter(ap, w, why ? why : "refused");
    fold_fini(&w->action);
    if (w->wrote && w->found && ap->set->journal) {
        struct journal_doc own = {JOURNAL_OWN, w->seq_no, w->primary_term, w->version, 0};
        if (!journal_put(ap->set->journal, apply_own_key(w->doc.hash), &own, ap->fault))
            return false;
    }
    const struct plan_step *last = &w->doc.steps[w->doc.step_count - 1];
    if ((end == WORK_APPLIED || end == WORK_ALREADY) && !note_source(ap, w, last))
        return false;
    return write_journal(ap, w, states[end]);
}

bool apply_touched(const struct apply *ap, const struct work *w)
{
    const struct preflight_index *p = apply_index(ap, w->doc.slot);
    const int64_t *max = ap->max_seq[p - ap->set->indices];
    struct journal_doc own;
    if (!w->found || w->ours)
        return false;
    if (ap->set->journal && journal_find(ap->set->journal, apply_own_key(w->doc.hash), &own) && own.seq_no >= 0 && own.seq_no == w->seq_no && own.primary_term == w->primary_term)
        return false;
    if (p->seam.kind == PLAN_SEAM_EMPTY && !ap->epoch)
        return true; // the index was empty: whoever wrote it was not us
    if (p->seam.kind == PLAN_SEAM_TIME)
        return false;
    // Its shard on the target: that of the source (doc.shard) is another where the target was made anew.
    int shard = route_shard(&p->seam.route, w->doc.id, w->doc.routing);
    if (shard < 0 || shard >= PREFLIGHT_SHARDS_MAX)
        return ap->set->following;
    return w->seq_no > max[shard];
}

// Deleted by live traffic since the restore: to be left so, unless the plan ends in a delete itself.
bool apply_deleted_live(const struct apply *ap, const struct work *w)
{
    const struct plan_step *last = &w->doc.steps[w->doc.step_count - 1];
    return ap->set->live && last->kind != OP_DELETE && live_deleted(ap->set->live, &w->doc);
}

// Steps that the copy may hold already: it does when the document stands at or behind their number.
static void pass_held(struct work *w)
{
    while (w->step < w->doc.step_count && (w->doc.steps[w->step].flags & PLAN_STEP_UNSURE) && !w->wrote) {
        const struct plan_step *s = &w->doc.steps[w->step];
        bool held;
        if (!w->found) // absent: only a later held delete can have taken it
            held = s->kind == OP_DELETE;
        else if (s->seq_no >= 0 && w->seq_no >= 0)
            held = w->seq_no >= s->seq_no;
        else
            held = s->version >= 0 && (w->version > s->version || (w->version == s->version && !(s->op_flags & OP_EXTERNAL_GTE))); // such a version may be given twice
        if (!held)
            break;
        w->step++;
    }
}

// ---- reading ----------------------------------------------------------------------------------------------------------

static bool send_read(struct apply *ap, struct lane *l, enum work_state which)
{
    l->sent_count = 0;
    buf_clear(&l->body);
    buf_add_text(&l->body, "{\"docs\":[");
    for (size_t i = 0; i < l->count; i++) {
        if (l->works[i].state != which)
            continue;
        if (l->sent_count)
            buf_add_byte(&l->body, ',');
        const struct work *w = &l->works[i];
        buf_add_byte(&l->body, '{');
        preflight_write_ref(&l->body, ap->set->about, apply_index(ap, w->doc.slot), &w->doc, "routing");
        buf_add_byte(&l->body, '}');
        l->sent[l->sent_count++] = i;
    }
    buf_add_text(&l->body, "]}");
    if (l->body.failed)
        return fault_memory(ap->fault);
    l->state = which == WORK_LOOK ? LANE_READING : LANE_COMPARING;
    ap->report->requests++;
    return target_start(ap->set->target, l->number, "POST", which == WORK_LOOK ? "/_mget?_source=false" : "/_mget", &l->body, ap->fault);
}

// ---- writing ----------------------------------------------------------------------------------------------------------

static void key_number(struct buf *b, const char *key, int64_t n)
{
    buf_format(b, ",\"%s\":%lld", key, (long long)n);
}

// The guard of a compare-and-set write.
static void add_guard(struct apply *ap, struct buf *b, const struct work *w, bool update)
{
    const struct target_about *about = ap->set->about;
    if (update ? about->update_seq_no : about->seq_no) {
        key_number(b, "if_seq_no", w->seq_no);
        key_number(b, "if_primary_term", w->primary_term);
    } else {
        key_number(b, about->major == 5 ? "_version" : "version", w->version);
    }
}

static void add_action(struct apply *ap, struct buf *b, struct work *w, const char *verb, bool guard, int64_t external)
{
    const struct preflight_index *p = apply_index(ap, w->doc.slot);
    bool five = ap->set->about->major == 5 && !ap->set->about->opensearch;
    bool parent = w->doc.steps[w->doc.step_count - 1].op_flags & OP_PARENT && !ap->set->about->typeless;
    buf_format(b, "{\"%s\":{", verb);
    preflight_write_ref(b, ap->set->about, p, &w->doc, parent ? "parent" : "routing");
    if (guard)
        add_guard(ap, b, w, verb[0] == 'u');
    if (external >= 0) {
        key_number(b, five ? "_version" : "version", external);
        buf_format(b, ",\"%s\":\"external_gte\"", five ? "_version_type" : "version_type");
    }
    if (w->action.pipeline && verb[0] != 'd') {
        buf_add_text(b, ",\"pipeline\":");
        json_write_text(b, plan_text(ap->set->plan, w->action.pipeline));
    }
    buf_add_text(b, "}}\n");
    w->sent_verb = (uint8_t)verb[0];
}

// An update with if_seq_no may not carry upsert parts: they are taken out where the document is known to be there.
static void add_update_body(struct buf *b, const struct work *w)
{
    struct arena a;
    arena_init(&a, 0);
    struct json *j = json_parse(&a, buf_view(&w->action.body), NULL);
    bool any = false;
    buf_add_byte(b, '{');
    for (struct json *m = j ? j->first : NULL; m; m = m->next) {
        if (bytes_equal_text(m->key, "upsert") || bytes_equal_text(m->key, "doc_as_upsert") || bytes_equal_text(m->key, "scripted_upsert"))
            continue;
        if (any)
            buf_add_byte(b, ',');
        any = true;
        json_write_text(b, m->key);
        buf_add_byte(b, ':');
        for (size_t i = 0; i < m->raw.size; i++)
            buf_add_byte(b, m->raw.at[i] == '\n' || m->raw.at[i] == '\r' ? ' ' : m->raw.at[i]);
    }
    buf_add_text(b, "}\n");
    arena_fini(&a);
}

enum added { ADDED, DONE_HERE, FAILED_HERE };

// The next action of one document as bulk lines, or its end when there is nothing to send.
static enum added add_work(struct apply *ap, struct buf *b, struct work *w)
{
    struct fold_settings fold = {.combine = !ap->set->exact, .pipelined = apply_index(ap, w->doc.slot)->pipeline};
    struct fault why = {0};
    bool ok = true;
    pass_held(w);
    if (w->step == w->doc.step_count)
        return apply_finish(ap, w, w->wrote ? WORK_APPLIED : WORK_ALREADY, NULL) ? DONE_HERE : FAILED_HERE;
    if (!fold_next(ap->set->source, &w->doc, w->step, &fold, &w->action, &why)) {
        if (why.kind == FAULT_USER && ap->set->allow_gaps)
            return apply_finish(ap, w, WORK_REFUSED, why.text) ? DONE_HERE : FAILED_HERE;
        *ap->fault = why;
        return FAILED_HERE;
    }
    struct fold_action *act = &w->action;
    int64_t external = ap->set->exact && !w->parity_lost && act->kind != FOLD_UPDATE ? act->last->version : -1;
    w->exact_sent = external >= 0;
    w->parity_lost |= ap->set->exact && act->kind == FOLD_FULL && act->last->version < 0; // its answer hid it: it gets the next one
    if (act->last->time_ns > ap->last_time_ns)
        ap->last_time_ns = act->last->time_ns;
    if (act->kind == FOLD_DELETE) {
        if (!w->found && external < 0) {
            w->step += (uint32_t)act->steps;
            return add_work(ap, b, w);
        }
        add_action(ap, b, w, "delete", external < 0, external);
    } else if (act->kind == FOLD_FULL) {
        add_action(ap, b, w, w->found || external >= 0 ? "index" : "create", w->found && external < 0, external);
        target_add_line(b, buf_view(&act->body));
    } else if (w->found) {
        add_action(ap, b, w, "update", true, -1);
        add_update_body(b, w);
    } else if (act->insert.size) {
        external = ap->set->exact && !w->parity_lost ? act->last->version : -1;
        w->exact_sent = external >= 0;
        add_action(ap, b, w, external >= 0 ? "index" : "create", false, external);
        target_add_line(b, buf_view(&act->insert));
    } else if (act->may_insert) { // a scripted upsert: only the target can run it
        add_action(ap, b, w, "update", false, -1);
        target_add_line(b, buf_view(&act->body));
    } else {
        if (act->casualty || act->last->flags & PLAN_STEP_NOOP) { // no casualty after all: the copy does not have it either
            w->step += (uint32_t)act->steps;
            return add_work(ap, b, w);
        }
        ok = apply_finish(ap, w, WORK_NO_BASE, "the target does not have the document that this update changes");
        return ok ? DONE_HERE : FAILED_HERE;
    }
    return ADDED;
}

static bool send_write(struct apply *ap, struct lane *l)
{
    l->sent_count = 0;
    buf_clear(&l->body);
    for (size_t i = 0; i < l->count && l->body.size < APPLY_BULK_BYTES && !(l->one_by_one && l->sent_count); i++) {
        struct work *w = &l->works[i];
        if (w->state != WORK_READY)
            continue;
        enum added added = add_work(ap, &l->body, w);
        if (added == FAILED_HERE)
            return false;
        if (added == DONE_HERE)
            continue;
        if (!write_journal(ap, w, JOURNAL_INTENT))
            return false;
        w->state = WORK_SENT;
        l->sent[l->sent_count++] = i;
    }
    if (l->body.failed)
        return fault_memory(ap->fault);
    if (!l->sent_count)
        return true;
    if (ap->set->journal && !journal_commit(ap->set->journal, ap->fault))
        return false;
    l->state = LANE_WRITING;
    ap->report->requests++;
    ap->report->actions += l->sent_count;
    ap->report->bytes += l->body.size;
    return target_start(ap->set->target, l->number, "POST", "/_bulk", &l->body, ap->fault);
}

// ---- the next request of a lane ---------------------------------------------------------------------------------------

bool apply_proceed(struct apply *ap, struct lane *l)
{
    while (ap->fault->kind == FAULT_NONE) {
        size_t look = 0, ready = 0, compare = 0;
        for (size_t i = 0; i < l->count; i++) {
            look += l->works[i].state == WORK_LOOK;
            ready += l->works[i].state == WORK_READY;
            compare += l->works[i].state == WORK_COMPARE;
        }
        if (look)
            return send_read(ap, l, WORK_LOOK);
        if (compare)
            return send_read(ap, l, WORK_COMPARE);
        if (!ready)
            break;
        if (!send_write(ap, l))
            return false;
        if (l->state == LANE_WRITING)
            return true;
    }
    l->state = LANE_IDLE;
    l->count = 0;
    arena_reset(&l->arena);
    return !ap->set->journal || journal_commit(ap->set->journal, ap->fault);
}

bool apply_lane_begin(struct apply *ap, struct lane *l)
{
    l->pauses = 0;
    l->one_by_one = false;
    for (size_t i = 0; i < l->count; i++) {
        struct work *w = &l->works[i];
        struct journal_doc d;
        const struct preflight_index *p = apply_index(ap, w->doc.slot);
        w->state = WORK_LOOK;
        if (ap->set->journal && !journal_is_fresh(ap->set->journal) && journal_find(ap->set->journal, work_key(w), &d)) {
            uint32_t steps = d.steps & ~WROTE;
            w->step = steps < w->doc.step_count ? steps : (uint32_t)w->doc.step_count;
            if (d.state == JOURNAL_DONE) {
                w->state = WORK_END;
                ap->report->already++;
                ap->done_docs++;
                if (!note_source(ap, w, &w->doc.steps[w->doc.step_count - 1]))
                    return false;
                continue;
            }
            // An earlier run sent something and did not hear what became of it, or was refused: look again.
            w->in_doubt = d.state == JOURNAL_INTENT;
            w->wrote = (d.steps & WROTE) != 0;
            w->seq_no = d.seq_no;
            w->doubt_version = d.version;
            w->doubt_known = w->in_doubt && (d.version >= 0 || d.seq_no < 0);
        }
        if (w->in_doubt || w->doc.epoch > 0)
            continue;
        // The tape's own numbers spare the look where they are certain: the copy's document is the one last held.
        bool number = ap->set->about->seq_no && w->doc.held_seq >= 0 && w->doc.held_term >= 0 && !(w->doc.steps[0].flags & PLAN_STEP_UNSURE);
        if (p->seam.kind == PLAN_SEAM_EMPTY && (w->doc.flags & PLAN_DOC_BASE_EMPTY) && !apply_deleted_live(ap, w)) {
            w->state = WORK_READY;
        } else if (number && (w->doc.flags & PLAN_DOC_HELD_EXISTS)) {
            w->found = true;
            w->seq_no = w->doc.held_seq;
            w->primary_term = w->doc.held_term;
            w->version = w->doc.held_version;
            w->state = WORK_READY;
        }
    }
    return apply_proceed(ap, l);
}

bool apply_lane_resume(struct apply *ap, struct lane *l)
{
    return apply_proceed(ap, l);
}

bool apply_pause(struct apply *ap, struct lane *l)
{
    int64_t wait_ms = 200 << (l->pauses < 7 ? l->pauses : 7);
    l->pauses++;
    ap->report->busy++;
    ap->bulk_docs = ap->bulk_docs > 100 ? ap->bulk_docs / 2 : 50;
    l->state = LANE_WAITING;
    l->again_ns = clock_steady_ns() + wait_ms * WHEN_NS_PER_MS;
    return true;
}
