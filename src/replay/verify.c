// The target against the plan, document by document.
//
// What a document should be is computed as apply computes it. Where only the target can compute it (scripts, pipelines,
// by-query calls), presence is checked and the count is told. A partial update without a known base must change nothing when
// merged onto what is there.
#include "verify.h"
#include "apply_inside.h"
#include "merge.h"

#include "../base/diag.h"
#include "../base/mem.h"

#include <unistd.h>

enum { BATCH = 500, BATCH_BYTES = 8 << 20, LANES = 4, PAUSES_MAX = 10 };

enum want { WANT_GONE, WANT_SOURCE, WANT_MERGED, WANT_PRESENT, WANT_ANY };

struct item {
    struct plan_doc doc;
    enum want want;
    struct bytes body; // in the arena
    enum journal_state journal;
};

// One question under way: its documents, until the answer was read.
struct batch {
    struct arena arena;
    struct item items[BATCH];
    size_t count, bytes;
    bool asked;
    unsigned pauses;
};

struct verifying {
    const struct verify_settings *set;
    struct verify_report *report;
    struct fault *fault;
    struct batch *batches;
    unsigned lanes;
    struct arena parsed;
    struct buf body;
    struct fold_action action;
};

static const struct preflight_index *index_of(const struct verify_settings *set, uint32_t slot)
{
    for (size_t i = 0; i < set->index_count; i++)
        if (strcmp(set->indices[i].name, plan_slot(set->plan, slot)->to) == 0)
            return &set->indices[i];
    return NULL;
}

static bool expect(struct verifying *v, struct batch *batch, struct item *it)
{
    struct fold_settings fold = {.combine = true};
    uint32_t step = 0;
    bool known = true;
    it->want = WANT_ANY;
    while (step < it->doc.step_count) {
        if (!fold_next(v->set->source, &it->doc, step, &fold, &v->action, v->fault)) {
            if (v->fault->kind != FAULT_USER || !v->set->allow_gaps)
                return false;
            *v->fault = (struct fault){0}; // its bytes are missing: told when it was left out
            it->want = WANT_ANY;
            return true;
        }
        step += (uint32_t)v->action.steps;
        const struct fold_action *a = &v->action;
        bool unsure_casualty = a->casualty && it->want == WANT_ANY;
        if (a->kind == FOLD_DELETE)
            it->want = WANT_GONE, known = true;
        else if (a->kind == FOLD_FULL && !a->pipeline && !index_of(v->set, it->doc.slot)->pipeline)
            it->want = WANT_SOURCE, known = true;
        else if (a->kind == FOLD_UPDATE && !a->scripted && !a->may_insert && known && (it->want == WANT_ANY || it->want == WANT_MERGED) && step == a->steps)
            it->want = unsure_casualty ? WANT_ANY : WANT_MERGED;
        else if (!unsure_casualty)
            it->want = WANT_PRESENT, known = false;
        if (it->want == WANT_SOURCE || it->want == WANT_MERGED) {
            void *copy = arena_copy(&batch->arena, a->body.at, a->body.size);
            if (!copy)
                return fault_memory(v->fault);
            it->body = bytes_of(copy, a->body.size);
            batch->bytes += a->body.size;
        }
        // A script may delete its document; only the recorded answer tells.
        if (a->last->result == OP_DELETED && a->kind == FOLD_UPDATE)
            it->want = WANT_ANY;
    }
    return true;
}

// The replay knows the number that its own last write of the document got, and what the copy held before it began: a higher
// one is somebody else's, later. Nothing is believed of a write whose answer was lost, nor where by-query calls wrote for us.
static bool written_since(const struct verifying *v, const struct item *it, const struct json *d)
{
    const struct preflight_index *p = index_of(v->set, it->doc.slot);
    int64_t seq_no = json_int(json_member(d, "_seq_no"), -1), version = json_int(json_member(d, "_version"), -1);
    struct journal_doc own;
    if (!v->set->journal || it->journal == JOURNAL_INTENT)
        return false;
    bool found = json_true(json_member(d, "found"));
    if (found && journal_find(v->set->journal, apply_own_key(it->doc.hash), &own))
        return own.seq_no >= 0 && seq_no >= 0 ? seq_no > own.seq_no : own.version >= 0 && version > own.version;
    if (!found || it->journal == JOURNAL_NONE) // NONE: the replay never came to it
        return !found && it->journal != JOURNAL_NONE && v->set->live && live_deleted(v->set->live, &it->doc);
    int shard = route_shard(&p->seam.route, it->doc.id, it->doc.routing);
    bool numbered = p->seam.kind == PLAN_SEAM_EMPTY || (p->seam.kind == PLAN_SEAM_SEQ && shard >= 0 && shard < PREFLIGHT_SHARDS_MAX);
    return seq_no >= 0 && numbered && !plan_changes(v->set->plan, it->doc.slot, 0, UINT32_MAX) && (p->seam.kind == PLAN_SEAM_EMPTY || seq_no > p->max_seq[shard]);
}

static void tell(struct verifying *v, const struct item *it, enum verify_difference what, const struct json *d)
{
    struct json *source = json_member(d, "_source");
    uint64_t *counts[] = {&v->report->missing, &v->report->should_be_gone, &v->report->different, &v->report->version_different};
    if (it->journal == JOURNAL_LEFT) {
        v->report->left_alone++;
        return;
    }
    if (it->journal == JOURNAL_REFUSED) {
        v->report->refused++;
        return;
    }
    bool since = written_since(v, it, d);
    ++*(since ? &v->report->written_since : counts[what]);
    if (v->set->difference)
        v->set->difference(v->set->ctx, &it->doc, what, since, it->body, source ? source->raw : (struct bytes){0});
}

static bool version_differs(const struct verifying *v, const struct item *it, const struct json *d)
{
    return v->set->exact && it->doc.final_version >= 0 && !(it->doc.flags & PLAN_DOC_DIVERGED) && json_int(json_member(d, "_version"), -1) != it->doc.final_version;
}

static void judge(struct verifying *v, const struct item *it, const struct json *d)
{
    struct json *found = json_member(d, "found"), *source = json_member(d, "_source");
    bool there = found && json_true(found), changed = false;
    if (it->want == WANT_ANY) {
        v->report->present_only++;
        return;
    }
    if (it->want == WANT_GONE) {
        if (there)
            tell(v, it, VERIFY_SHOULD_BE_GONE, d);
        else
            v->report->equal++;
        return;
    }
    if (!there) {
        tell(v, it, VERIFY_MISSING, d);
        return;
    }
    if (it->want == WANT_PRESENT) {
        v->report->present_only++;
        return;
    }
    if (it->want == WANT_SOURCE && source && bytes_equal(source->raw, bytes_trim(it->body)) && !version_differs(v, it, d)) {
        v->report->equal++; // byte for byte
        return;
    }
    struct json *want = json_parse(&v->parsed, it->body, NULL);
    bool same = want && source;
    if (same && it->want == WANT_SOURCE) {
        same = json_equal(source, want);
    } else if (same) {
        struct json *doc = json_member(want, "doc");
        same = doc && merge_update(&v->parsed, source, doc, &changed) && !changed;
    }
    bool raw_unknown = it->want == WANT_SOURCE && !want; // not JSON on the tape: content cannot be compared
    if (raw_unknown)
        v->report->present_only++;
    else if (!same)
        tell(v, it, VERIFY_SOURCE, d);
    else if (version_differs(v, it, d))
        tell(v, it, VERIFY_VERSION, d);
    else
        v->report->equal++;
}

static void add_ref(struct verifying *v, const struct item *it)
{
    buf_add_text(&v->body, v->body.size > 10 ? ",{" : "{");
    preflight_write_ref(&v->body, v->set->about, index_of(v->set, it->doc.slot), &it->doc, "routing");
    buf_add_byte(&v->body, '}');
}

static bool ask(struct verifying *v, unsigned lane)
{
    struct batch *b = &v->batches[lane];
    buf_clear(&v->body);
    buf_add_text(&v->body, "{\"docs\":[");
    for (size_t i = 0; i < b->count; i++)
        add_ref(v, &b->items[i]);
    buf_add_text(&v->body, "]}");
    if (v->body.failed)
        return fault_memory(v->fault);
    b->asked = true;
    return target_start(v->set->target, lane, "POST", "/_mget", &v->body, v->fault);
}

static bool hear(struct verifying *v, unsigned lane, struct target_reply *reply)
{
    struct batch *b = &v->batches[lane];
    char why[300];
    bool busy = reply->status == 0 || reply->status == 429 || reply->status == 503, unread = false;
    b->asked = false;
    arena_reset(&v->parsed);
    struct json *j = reply->status == 200 ? json_parse(&v->parsed, buf_view(&reply->body), NULL) : NULL, *docs = json_member(j, "docs");
    for (struct json *d = docs ? docs->first : NULL; d && !unread; d = d->next)
        unread = preflight_unread(d, why, sizeof why);
    if ((busy || unread) && b->pauses < PAUSES_MAX) {
        usleep(200000u << (b->pauses < 4 ? b->pauses : 4));
        b->pauses++;
        return ask(v, lane);
    }
    if (unread)
        return fault_system(v->fault, "reading documents from the target: %s", why);
    if (!docs || docs->count != b->count) {
        target_reason(reply, why, sizeof why);
        return fault_system(v->fault, "reading documents from the target: %s", reply->status ? why : reply->error);
    }
    size_t i = 0;
    for (struct json *d = docs->first; d; d = d->next, i++)
        judge(v, &b->items[i], d);
    b->count = b->bytes = b->pauses = 0;
    arena_reset(&b->arena);
    return true;
}

// A batch that can be filled: one whose answer is awaited is heard first where none is free.
static struct batch *free_batch(struct verifying *v)
{
    for (;;) {
        struct target_reply *reply;
        for (unsigned i = 0; i < v->lanes; i++)
            if (!v->batches[i].asked)
                return &v->batches[i];
        int lane = target_poll(v->set->target, 1000, &reply);
        if (lane >= 0 && !hear(v, (unsigned)lane, reply))
            return NULL;
    }
}

static bool hear_all(struct verifying *v)
{
    for (unsigned i = 0; i < v->lanes; i++)
        if (v->batches[i].count && !v->batches[i].asked && !ask(v, i))
            return false;
    while (target_busy(v->set->target)) {
        struct target_reply *reply;
        int lane = target_poll(v->set->target, 1000, &reply);
        if (lane >= 0 && !hear(v, (unsigned)lane, reply))
            return false;
    }
    return true;
}

static bool keep(struct verifying *v, struct batch *b, const struct plan_doc *doc)
{
    struct item *it = &b->items[b->count];
    *it = (struct item){.doc = *doc};
    struct arena *a = &b->arena;
    it->doc.steps = arena_copy(a, doc->steps, doc->step_count * sizeof *doc->steps);
    it->doc.id.at = arena_copy(a, doc->id.at, doc->id.size);
    it->doc.routing.at = arena_copy(a, doc->routing.at, doc->routing.size);
    it->doc.type.at = arena_copy(a, doc->type.at, doc->type.size);
    if (!it->doc.steps || !it->doc.id.at || !it->doc.routing.at || !it->doc.type.at)
        return fault_memory(v->fault);
    struct journal_doc d;
    if (v->set->journal && journal_find(v->set->journal, apply_key(&it->doc), &d))
        it->journal = d.state;
    if (!expect(v, b, it))
        return false;
    b->count++;
    return true;
}

// Lanes of the target that is open; a fault leaves none under way.
static bool open_batches(struct verifying *v)
{
    v->lanes = target_lanes(v->set->target) < LANES ? target_lanes(v->set->target) : LANES;
    v->batches = mem_zero(v->lanes, sizeof *v->batches);
    for (unsigned i = 0; v->batches && i < v->lanes; i++)
        arena_init(&v->batches[i].arena, 0);
    arena_init(&v->parsed, 0);
    return v->batches != NULL;
}

static void close_batches(struct verifying *v)
{
    struct target_reply *reply;
    while (target_busy(v->set->target))
        target_poll(v->set->target, 1000, &reply);
    for (unsigned i = 0; v->batches && i < v->lanes; i++)
        arena_fini(&v->batches[i].arena);
    arena_fini(&v->parsed);
    mem_free(v->batches);
}

void verify_add(struct verify_report *to, const struct verify_report *from)
{
    uint64_t *sum = (uint64_t *)to;
    const uint64_t *part = (const uint64_t *)from;
    for (size_t i = 0; i < sizeof *to / sizeof *sum; i++)
        sum[i] += part[i];
    to->documents -= from->unsampled;
    to->unsampled -= from->unsampled;
}

bool verify_run(const struct verify_settings *set, struct verify_report *report, struct fault *fault)
{
    struct verifying *v = mem_zero(1, sizeof *v);
    struct plan_doc doc;
    *report = (struct verify_report){0};
    *fault = (struct fault){0};
    if (!v)
        return fault_memory(fault);
    v->set = set;
    v->report = report;
    v->fault = fault;
    struct batch *b = NULL;
    uint64_t total = plan_total(set->plan)->documents;
    bool ok = (open_batches(v) || fault_memory(fault)) && plan_rewind(set->plan, fault);
    while (ok) {
        ok = plan_next(set->plan, &doc, fault);
        if (!ok || !doc.step_count)
            break;
        if (!(doc.flags & PLAN_DOC_LAST) && plan_barrier_count(set->plan)) // a later stretch decides it
            continue;
        report->documents++;
        if ((set->wanted && !set->wanted(set->ctx, &doc)) || (set->sample && total > set->sample && doc.hash % total >= set->sample)) {
            report->unsampled++;
            continue;
        }
        // A by-query call behind it may have changed it: only presence is known then, if that.
        if (plan_changes(set->plan, doc.slot, doc.epoch, UINT32_MAX)) {
            report->present_only++;
            continue;
        }
        ok = (b || (b = free_batch(v))) && keep(v, b, &doc);
        if (ok && (b->count == BATCH || b->bytes >= BATCH_BYTES)) {
            ok = ask(v, (unsigned)(b - v->batches));
            b = NULL;
        }
    }
    ok = ok && hear_all(v);
    close_batches(v);
    fold_fini(&v->action);
    buf_fini(&v->body);
    mem_free(v);
    return ok;
}
