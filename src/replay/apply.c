// Applies a plan: lanes take documents in the plan's order, barriers wait for all of them.
#include "apply_inside.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/mem.h"

#include <stdlib.h>
#include <unistd.h>

const struct preflight_index *apply_index(const struct apply *ap, uint32_t slot)
{
    const char *name = plan_slot(ap->set->plan, slot)->to;
    for (size_t i = 0; i < ap->set->index_count; i++)
        if (strcmp(ap->set->indices[i].name, name) == 0)
            return &ap->set->indices[i];
    return NULL;
}

static bool stopped(const struct apply *ap)
{
    return ap->set->stop && *(volatile const bool *)ap->set->stop;
}

static bool fetch(struct apply *ap)
{
    if (ap->have_next || ap->ended)
        return true;
    if (!plan_next(ap->set->plan, &ap->next, ap->fault))
        return false;
    ap->have_next = ap->next.step_count > 0;
    ap->ended = !ap->have_next;
    return true;
}

static bool take(struct apply *ap, struct lane *l)
{
    struct work *w = &l->works[l->count];
    struct buf body = w->action.body, insert = w->action.insert;
    memset(w, 0, sizeof *w);
    w->action.body = body;
    w->action.insert = insert;
    w->seq_no = w->primary_term = w->version = w->doubt_version = -1;
    w->doc = ap->next;
    void *steps = arena_copy(&l->arena, ap->next.steps, ap->next.step_count * sizeof *ap->next.steps);
    void *id = arena_copy(&l->arena, ap->next.id.at, ap->next.id.size), *routing = arena_copy(&l->arena, ap->next.routing.at, ap->next.routing.size);
    void *type = arena_copy(&l->arena, ap->next.type.at, ap->next.type.size);
    if (!steps || !id || !routing || !type)
        return fault_memory(ap->fault);
    w->doc.steps = steps;
    w->doc.id.at = id;
    w->doc.routing.at = routing;
    w->doc.type.at = type;
    l->count++;
    ap->have_next = false;
    return true;
}

// Fills an idle lane with documents of the current epoch.
static bool fill(struct apply *ap, struct lane *l)
{
    l->count = 0;
    uint64_t bytes = 0;
    while (l->count < ap->bulk_docs && bytes < APPLY_BULK_BYTES) {
        if (!fetch(ap))
            return false;
        if (!ap->have_next || ap->next.epoch != ap->epoch)
            break;
        for (size_t i = 0; i < ap->next.step_count; i++)
            bytes += ap->next.steps[i].source_bytes;
        if (!take(ap, l))
            return false;
    }
    return !l->count || apply_lane_begin(ap, l);
}

static void tell(struct apply *ap, bool last)
{
    int64_t now_ns = clock_steady_ns();
    if (!ap->set->progress || (!last && now_ns - ap->told_ns < 200 * WHEN_NS_PER_MS))
        return;
    ap->told_ns = now_ns;
    struct apply_progress p = {ap->report, ap->done_docs, ap->report->documents, ap->report->actions, now_ns - ap->began_ns, ap->last_time_ns};
    ap->set->progress(ap->set->ctx, &p);
}

static bool any_waiting(struct apply *ap, bool *resumed)
{
    bool waiting = false;
    int64_t now_ns = clock_steady_ns();
    for (unsigned i = 0; i < ap->set->lanes; i++) {
        struct lane *l = &ap->lanes[i];
        if (l->state != LANE_WAITING)
            continue;
        if (l->again_ns <= now_ns) {
            if (!apply_lane_resume(ap, l))
                return false;
            *resumed = true;
        }
        waiting |= l->state == LANE_WAITING;
    }
    return waiting || ap->fault->kind == FAULT_NONE;
}

static bool busy(const struct apply *ap)
{
    for (unsigned i = 0; i < ap->set->lanes; i++)
        if (ap->lanes[i].state != LANE_IDLE)
            return true;
    return false;
}

static bool turn(struct apply *ap)
{
    struct target_reply *reply;
    bool resumed = false;
    int lane = target_busy(ap->set->target) ? target_poll(ap->set->target, 100, &reply) : -1;
    if (lane >= 0 && !apply_lane_answer(ap, &ap->lanes[lane], reply))
        return false;
    if (!any_waiting(ap, &resumed))
        return false;
    if (lane < 0 && !resumed && !target_busy(ap->set->target))
        usleep(20000);
    tell(ap, false);
    return true;
}

// All documents of the current epoch.
static bool run_epoch(struct apply *ap)
{
    for (;;) {
        bool stop = stopped(ap);
        for (unsigned i = 0; i < ap->set->lanes && !stop; i++)
            if (ap->lanes[i].state == LANE_IDLE && !fill(ap, &ap->lanes[i]))
                return false;
        if (!busy(ap)) {
            ap->report->interrupted |= stop;
            return true;
        }
        if (!turn(ap))
            return false;
    }
}

static bool run_barriers(struct apply *ap, uint32_t until)
{
    struct plan *p = ap->set->plan;
    while (ap->barrier < plan_barrier_count(p) && ap->barrier < until) {
        const struct plan_barrier *b = plan_barrier(p, ap->barrier++);
        // A by-query call sees what was refreshed; an administrative one needs none, and between close and open there is none to be had.
        if ((b->kind != PLAN_BARRIER_ADMIN && !apply_refresh(ap)) || !apply_barrier(ap, b) || !apply_note_numbers(ap, b))
            return false;
    }
    return true;
}

static bool run_all(struct apply *ap)
{
    if (!apply_prepare(ap) || !fetch(ap))
        return false;
    while (ap->have_next && !ap->report->interrupted) {
        if (!run_barriers(ap, ap->next.epoch))
            return false;
        ap->epoch = ap->next.epoch;
        if (!run_epoch(ap))
            return false;
    }
    if (!ap->report->interrupted && !run_barriers(ap, UINT32_MAX))
        return false;
    // Rounds that follow are quick ones: a refresh can take longer than the lag that ends them.
    return ap->report->interrupted || ap->set->following || apply_refresh(ap);
}

// A fault in one lane leaves the others' answers outstanding: they are heard before the journal closes.
static void drain(struct apply *ap)
{
    struct fault first = *ap->fault;
    int64_t until_ns = clock_steady_ns() + 10 * WHEN_NS_PER_S;
    while (target_busy(ap->set->target) && clock_steady_ns() < until_ns) {
        struct target_reply *reply;
        int lane = target_poll(ap->set->target, 100, &reply);
        struct lane *l = lane >= 0 ? &ap->lanes[lane] : NULL;
        if (l && l->state == LANE_WRITING) {
            for (size_t i = 0; i < l->count; i++)
                if (l->works[i].state == WORK_READY || l->works[i].state == WORK_LOOK || l->works[i].state == WORK_COMPARE)
                    l->works[i].state = WORK_END;
            // The items' answers go to the journal; nothing further is sent: a fault stands.
            apply_lane_answer(ap, l, reply);
        }
    }
    *ap->fault = first;
}

bool apply_run(const struct apply_settings *set, struct apply_report *report, struct fault *fault)
{
    struct apply ap = {.set = set, .report = report, .fault = fault, .bulk_docs = APPLY_BATCH_DOCS, .began_ns = clock_steady_ns()};
    *fault = (struct fault){0};
    report->documents = plan_total(set->plan)->documents;
    ap.lanes = mem_zero(set->lanes, sizeof *ap.lanes);
    ap.max_seq = mem_alloc((set->index_count + 1) * sizeof *ap.max_seq);
    bool ok = (ap.lanes && ap.max_seq) || fault_memory(fault);
    for (size_t i = 0; ok && i < set->index_count; i++)
        memcpy(ap.max_seq[i], set->indices[i].max_seq, sizeof *ap.max_seq);
    if (ok && set->following)
        apply_recall_numbers(&ap);
    for (unsigned i = 0; ok && i < set->lanes; i++) {
        struct lane *l = &ap.lanes[i];
        l->number = i;
        arena_init(&l->arena, 0);
        l->works = mem_zero(APPLY_BATCH_DOCS, sizeof *l->works);
        l->sent = mem_zero(APPLY_BATCH_DOCS, sizeof *l->sent);
        ok = (l->works && l->sent) || fault_memory(fault);
    }
    ok = ok && (!set->live || live_refresh(set->live, set->indices, set->index_count, fault));
    ok = ok && plan_rewind(set->plan, fault) && run_all(&ap);
    if (!ok && ap.lanes && fault->kind != FAULT_NONE)
        drain(&ap);
    if (!ok && fault->kind == FAULT_NONE)
        fault_memory(fault);
    struct fault second = {0};
    if (set->journal && !journal_commit(set->journal, ok ? fault : &second))
        ok = false;
    tell(&ap, true);
    for (unsigned i = 0; ap.lanes && i < set->lanes; i++) {
        struct lane *l = &ap.lanes[i];
        for (size_t w = 0; l->works && w < APPLY_BATCH_DOCS; w++)
            fold_fini(&l->works[w].action);
        mem_free(l->works);
        mem_free(l->sent);
        arena_fini(&l->arena);
        buf_fini(&l->body);
    }
    mem_free(ap.lanes);
    mem_free(ap.max_seq);
    if (ap.dead)
        fclose(ap.dead);
    return ok;
}
