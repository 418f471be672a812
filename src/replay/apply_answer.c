// What the answers of one lane mean: documents that were read, documents compared, items of a bulk.
#include "apply_inside.h"
#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/mem.h"
#include <errno.h>
#include <stdlib.h>

// Whether the document is as it was when the request left whose answer was lost. Versions tell it where there are no numbers.
static bool stands_as_before(const struct work *w, int64_t seq_no)
{
    if (!w->found)
        return w->doubt_known && w->doubt_version < 0;
    return seq_no >= 0 && w->seq_no >= 0 ? w->seq_no == seq_no : w->doubt_known && w->version == w->doubt_version;
}

// It stands where our request, and nothing else, would have left it.
static bool moved_by_one(const struct work *w)
{
    return w->doubt_known && w->found && (w->doubt_version < 0 || w->version == w->doubt_version + 1);
}

// A full document that nothing transforms: had it been written, it would be what stands there.
static bool says_what_it_writes(const struct apply *ap, const struct work *w, struct arena *a)
{
    const struct fold_action *act = &w->action;
    return act->kind == FOLD_FULL && !act->pipeline && !apply_index(ap, w->doc.slot)->pipeline && json_parse(a, buf_view(&act->body), NULL);
}

static bool see_document(struct apply *ap, struct work *w, const struct json *d)
{
    struct json *found = d ? json_member(d, "found") : NULL;
    w->looked = true;
    int64_t before = w->seq_no;
    w->found = found && json_true(found);
    w->seq_no = w->found ? json_int(json_member(d, "_seq_no"), -1) : -1;
    w->primary_term = w->found ? json_int(json_member(d, "_primary_term"), -1) : -1;
    w->version = w->found ? json_int(json_member(d, "_version"), -1) : -1;
    w->state = WORK_READY;
    bool doubt = w->in_doubt;
    w->in_doubt = false;
    if (doubt && stands_as_before(w, before))
        w->ours = w->wrote; // our last acknowledged write still stands: the lost one did not arrive, or not yet (then its guard fails)
    else if ((doubt && w->found && w->doubt_known) || apply_touched(ap, w)) {
        w->state = WORK_COMPARE;
        return true;
    }
    if (!w->found && apply_deleted_live(ap, w))
        return apply_finish(ap, w, WORK_LEFT, NULL);
    return true;
}

static bool read_answer(struct apply *ap, struct lane *l, struct target_reply *reply)
{
    struct arena a;
    arena_init(&a, 0);
    struct json *j = reply->status == 200 ? json_parse(&a, buf_view(&reply->body), NULL) : NULL, *docs = j ? json_member(j, "docs") : NULL;
    bool ok = true;
    if (!docs || docs->count != l->sent_count) {
        char why[300];
        target_reason(reply, why, sizeof why);
        arena_fini(&a);
        if ((reply->status == 0 || reply->status == 429 || reply->status == 503) && l->pauses < 12)
            return apply_pause(ap, l);
        return fault_system(ap->fault, "reading documents from the target: %s", reply->status ? why : reply->error);
    }
    size_t i = 0, unread = 0;
    for (struct json *d = docs->first; d && ok; d = d->next, i++) {
        struct work *w = &l->works[l->sent[i]];
        char why[200];
        if (!preflight_unread(d, why, sizeof why))
            ok = see_document(ap, w, d);
        else if (l->pauses >= 12)
            ok = apply_finish(ap, w, WORK_REFUSED, why);
        else
            unread++; // its shard is on its way: looked at again
    }
    arena_fini(&a);
    return ok && (unread ? apply_pause(ap, l) : apply_proceed(ap, l));
}

// Somebody wrote it since the restore. If it is exactly what the plan ends in, it was an earlier run of ours (or as good).
static bool compare_answer(struct apply *ap, struct lane *l, struct target_reply *reply)
{
    struct arena a;
    arena_init(&a, 0);
    struct json *j = reply->status == 200 ? json_parse(&a, buf_view(&reply->body), NULL) : NULL, *docs = j ? json_member(j, "docs") : NULL;
    if (!docs || docs->count != l->sent_count) {
        arena_fini(&a);
        if (l->pauses < 12)
            return apply_pause(ap, l);
        return fault_system(ap->fault, "reading documents from the target: %s", reply->error);
    }
    size_t i = 0;
    bool ok = true, unread = false;
    for (struct json *d = docs->first; d && ok; d = d->next, i++) {
        struct work *w = &l->works[l->sent[i]];
        char told[200];
        if (preflight_unread(d, told, sizeof told)) {
            unread |= l->pauses < 12;
            ok = l->pauses < 12 || apply_finish(ap, w, WORK_REFUSED, told);
            continue;
        }
        struct fold_settings fold = {.combine = !ap->set->exact, .pipelined = apply_index(ap, w->doc.slot)->pipeline};
        struct fault why = {0};
        struct json *source = json_member(d, "_source");
        bool same = false;
        uint32_t step = 0;
        while (step < w->doc.step_count) {
            if (!fold_next(ap->set->source, &w->doc, step, &fold, &w->action, &why))
                break;
            step += (uint32_t)w->action.steps;
            struct buf *content = w->action.kind == FOLD_FULL ? &w->action.body : w->action.kind == FOLD_UPDATE && w->action.insert.size ? &w->action.insert : NULL;
            struct json *want = content ? json_parse(&a, bytes_of(arena_copy(&a, content->at, content->size), content->size), NULL) : NULL;
            bool equal = source && want && json_equal(source, want);
            if (step == w->doc.step_count)
                same = equal;
            else if (equal && step > w->step) {
                w->step = step; // it stands in the middle of its steps: go on from there
                w->ours = true;
            }
        }
        if (!same && !w->ours && moved_by_one(w) && w->step < w->doc.step_count && fold_next(ap->set->source, &w->doc, w->step, &fold, &w->action, &why) &&
            !says_what_it_writes(ap, w, &a)) {
            w->step += (uint32_t)w->action.steps;
            w->ours = w->wrote = true;
            same = w->step == w->doc.step_count;
        }
        w->doubt_known = false;
        if (same)
            ok = apply_finish(ap, w, w->wrote ? WORK_APPLIED : WORK_ALREADY, NULL);
        else if (w->ours)
            w->state = WORK_READY;
        else
            ok = apply_finish(ap, w, WORK_LEFT, NULL);
    }
    arena_fini(&a);
    return ok && (unread ? apply_pause(ap, l) : apply_proceed(ap, l));
}

static void written(struct work *w, const struct json *item)
{
    w->step += (uint32_t)w->action.steps;
    w->wrote = w->ours = true;
    w->doubt_known = false;
    w->tries = 0;
    int64_t seq = json_int(json_member(item, "_seq_no"), -1), term = json_int(json_member(item, "_primary_term"), -1), version = json_int(json_member(item, "_version"), -1);
    bool noop = json_is_text(json_member(item, "result"), "noop");
    w->found = !json_is_text(json_member(item, "result"), "deleted") && w->sent_verb != 'd';
    if (!noop || seq >= 0) {
        w->seq_no = seq;
        w->primary_term = term;
        w->version = version;
    }
}

static bool retry(struct apply *ap, struct work *w, enum work_state state, const char *why)
{
    ap->report->retries++;
    if (++w->tries > APPLY_TRIES)
        return apply_finish(ap, w, WORK_REFUSED, why);
    w->state = state;
    return true;
}

static bool see_item(struct apply *ap, struct work *w, const struct json *item, bool *busy)
{
    int64_t status = json_int(json_member(item, "status"), 0);
    struct json *error = json_member(item, "error"), *type = error ? json_member(error, "type") : NULL, *reason = error ? json_member(error, "reason") : NULL;
    char why[400];
    snprintf(why, sizeof why, "%lld %.*s: %.*s", (long long)status, type ? (int)type->text.size : 0, type ? (const char *)type->text.at : "",
             reason && reason->kind == JSON_KIND_STRING ? (int)(reason->text.size > 250 ? 250 : reason->text.size) : 0,
             reason && reason->kind == JSON_KIND_STRING ? (const char *)reason->text.at : "");
    if (status / 100 == 2 || (status == 404 && !error && w->sent_verb == 'd')) {
        written(w, item);
        if (w->step < w->doc.step_count) {
            w->state = WORK_READY;
            return true;
        }
        return apply_finish(ap, w, WORK_APPLIED, NULL);
    }
    if (status == 429 || status == 503) {
        *busy = true;
        w->state = WORK_READY;
        return true;
    }
    if (status == 409) {
        if (w->exact_sent) { // deleted and re-created late: its old version cannot come back
            w->parity_lost = true;
            return retry(ap, w, WORK_LOOK, why);
        }
        w->ours = false; // between our look and our write somebody was there (or a lost request of ours arrived late): look again
        w->in_doubt = w->doubt_known;
        return retry(ap, w, WORK_LOOK, why);
    }
    if (status == 404 && w->sent_verb == 'u')
        return retry(ap, w, WORK_LOOK, why);
    return apply_finish(ap, w, WORK_REFUSED, why);
}

static bool write_answer(struct apply *ap, struct lane *l, struct target_reply *reply)
{
    struct arena a;
    arena_init(&a, 0);
    struct json *j = reply->status == 200 ? json_parse(&a, buf_view(&reply->body), NULL) : NULL, *items = j ? json_member(j, "items") : NULL;
    bool busy = false, ok = true;
    if (!items || items->count != l->sent_count) {
        if (reply->status == 413 && l->sent_count == 1) {
            arena_fini(&a);
            return apply_finish(ap, &l->works[l->sent[0]], WORK_REFUSED, "413 larger than the target takes (http.max_content_length)") && apply_proceed(ap, l);
        }
        bool again = reply->status == 0 || reply->status == 429 || reply->status >= 500 || reply->status == 200;
        char why[300];
        target_reason(reply, why, sizeof why);
        arena_fini(&a);
        for (size_t i = 0; i < l->sent_count; i++) {
            struct work *w = &l->works[l->sent[i]];
            bool nothing_ran = reply->status == 429 || reply->status == 413;
            w->in_doubt = !nothing_ran;
            w->doubt_known |= w->in_doubt && (!w->found || w->version >= 0);
            w->doubt_version = w->found ? w->version : -1;
            w->state = nothing_ran ? WORK_READY : WORK_LOOK; // its answer was lost: never send blindly again
        }
        if (again && l->pauses < 12)
            return apply_pause(ap, l);
        if (reply->status == 413) {
            l->one_by_one = true;
            return apply_pause(ap, l);
        }
        return fault_system(ap->fault, "the target refused a bulk: %s", reply->status ? why : reply->error);
    }
    size_t i = 0;
    for (struct json *it = items->first; it && ok; it = it->next, i++)
        ok = it->first && see_item(ap, &l->works[l->sent[i]], it->first, &busy);
    arena_fini(&a);
    if (!ok)
        return false;
    if (busy)
        return apply_pause(ap, l);
    l->pauses = 0;
    if (ap->bulk_docs < APPLY_BATCH_DOCS)
        ap->bulk_docs += 10;
    return apply_proceed(ap, l);
}

bool apply_lane_answer(struct apply *ap, struct lane *l, struct target_reply *reply)
{
    return l->state == LANE_READING ? read_answer(ap, l, reply) : l->state == LANE_COMPARING ? compare_answer(ap, l, reply) : write_answer(ap, l, reply);
}
