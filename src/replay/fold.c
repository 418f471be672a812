// Steps to requests.
//
// A partial update is folded only where the result is certain to be the cluster's: onto a full document of the plan that no
// pipeline changed, by its merge rules, and only when every number survives a rewrite. Else the target's own _update does it.
#include "fold.h"

#include "../base/diag.h"
#include "merge.h"

void fold_fini(struct fold_action *a)
{
    buf_fini(&a->body);
    buf_fini(&a->insert);
}

static bool begin(struct fold_action *out)
{
    struct buf body = out->body, insert = out->insert;
    buf_clear(&body);
    buf_clear(&insert);
    *out = (struct fold_action){.body = body, .insert = insert};
    return true;
}

static void take_flags(struct fold_action *out, const struct plan_step *s)
{
    out->last = s;
    out->steps++;
    out->collision |= (s->flags & PLAN_STEP_COLLISION) != 0;
    out->casualty |= (s->flags & PLAN_STEP_CASUALTY) != 0;
    out->unsure |= (s->flags & PLAN_STEP_UNSURE) != 0;
}

static bool can_read(const struct plan_step *s)
{
    return s->kind == OP_UPDATE && !(s->op_flags & OP_SCRIPTED) && !s->pipeline;
}

// The doc of a partial update, or NULL: a script, no JSON, no doc.
static struct json *partial_of(struct arena *a, struct bytes body)
{
    struct json *j = json_parse(a, body, NULL);
    struct json *doc = j && !json_member(j, "script") ? json_member(j, "doc") : NULL;
    return doc && doc->kind == JSON_KIND_OBJECT ? doc : NULL;
}

// Folds following partial updates into `base` while that is certain.
static bool fold_behind(struct source *s, const struct plan_doc *doc, size_t from, struct json *base, struct fold_action *out, struct arena *a, struct fault *fault)
{
    struct json *now = base;
    bool plain = true, folded = false;
    for (size_t i = from; i < doc->step_count && can_read(&doc->steps[i]); i++) {
        struct bytes body;
        bool changed;
        if (!source_get(s, &doc->steps[i], &body, fault))
            return false;
        void *kept = arena_copy(a, body.at, body.size);
        struct json *partial = kept ? partial_of(a, bytes_of(kept, body.size)) : NULL;
        if (!partial)
            break;
        plain = plain && (folded || merge_numbers_plain(now)) && merge_numbers_plain(partial);
        struct json *merged = plain ? merge_update(a, now, partial, &changed) : NULL;
        if (!merged)
            break;
        now = merged;
        folded = true;
        take_flags(out, &doc->steps[i]);
    }
    if (!folded)
        return true;
    out->raw = false;
    buf_clear(&out->body);
    json_write(&out->body, now);
    return true;
}

static bool full(struct source *s, const struct plan_doc *doc, size_t from, struct bytes content, const struct fold_settings *set, struct fold_action *out, struct arena *a,
                 struct fault *fault)
{
    const struct plan_step *first = &doc->steps[from];
    void *kept = arena_copy(a, content.at, content.size);
    if (!kept)
        return fault_memory(fault);
    out->kind = FOLD_FULL;
    out->raw = true;
    out->pipeline = first->pipeline;
    buf_add(&out->body, kept, content.size);
    take_flags(out, first);
    if (first->pipeline || set->pipelined || from + 1 >= doc->step_count || !can_read(&doc->steps[from + 1]))
        return true;
    struct json *base = json_parse(a, bytes_of(kept, content.size), NULL);
    if (!base || base->kind != JSON_KIND_OBJECT)
        return true; // the cluster accepted it (SMILE, CBOR): its updates go through the target
    return fold_behind(s, doc, from + 1, base, out, a, fault);
}

static bool update(struct source *s, const struct plan_doc *doc, size_t from, const struct fold_settings *set, struct fold_action *out, struct arena *a, struct fault *fault)
{
    const struct plan_step *first = &doc->steps[from];
    struct bytes body;
    if (!source_get(s, first, &body, fault))
        return false;
    void *kept = arena_copy(a, body.at, body.size);
    struct json *j = kept ? json_parse(a, bytes_of(kept, body.size), NULL) : NULL;
    if (!j || j->kind != JSON_KIND_OBJECT)
        return fault_user(fault, "exchange %llu, item %u: the update's body is no JSON object", (unsigned long long)first->exchange, first->item);
    struct json *upsert = json_member(j, "upsert"), *partial = json_member(j, "doc"), *script = json_member(j, "script");
    bool doc_as_upsert = json_member(j, "doc_as_upsert") && json_true(json_member(j, "doc_as_upsert"));
    struct json *insert = doc_as_upsert ? partial : upsert;
    bool scripted_upsert = json_member(j, "scripted_upsert") && json_true(json_member(j, "scripted_upsert"));
    if (insert && !scripted_upsert && (first->flags & PLAN_STEP_INSERT))
        return full(s, doc, from, insert->raw, set, out, a, fault);
    out->kind = FOLD_UPDATE;
    out->scripted = script != NULL;
    out->may_insert = insert != NULL || scripted_upsert;
    out->pipeline = first->pipeline;
    if (insert && !scripted_upsert)
        buf_add_bytes(&out->insert, insert->raw);
    take_flags(out, first);
    buf_add_bytes(&out->body, bytes_of(kept, body.size));
    if (!set->combine || script || !partial || out->may_insert || first->pipeline || out->casualty)
        return true;
    struct json *now = partial;
    bool folded = false, changed;
    for (size_t i = from + 1; i < doc->step_count && can_read(&doc->steps[i]) && !(doc->steps[i].flags & PLAN_STEP_CASUALTY); i++) {
        if (!source_get(s, &doc->steps[i], &body, fault))
            return false;
        kept = arena_copy(a, body.at, body.size);
        struct json *next = kept ? json_parse(a, bytes_of(kept, body.size), NULL) : NULL;
        struct json *more = next && !json_member(next, "script") && !json_member(next, "upsert") && !json_member(next, "doc_as_upsert") ? json_member(next, "doc") : NULL;
        if (!more || more->kind != JSON_KIND_OBJECT || !merge_can_combine(now, more))
            break;
        struct json *merged = merge_update(a, now, more, &changed);
        if (!merged)
            break;
        now = merged;
        folded = true;
        take_flags(out, &doc->steps[i]);
    }
    if (folded) {
        buf_clear(&out->body);
        buf_add_text(&out->body, "{\"doc\":");
        json_write(&out->body, now);
        buf_add_text(&out->body, "}");
    }
    return true;
}

bool fold_next(struct source *s, const struct plan_doc *doc, size_t from, const struct fold_settings *set, struct fold_action *out, struct fault *fault)
{
    const struct plan_step *first = &doc->steps[from];
    struct arena a;
    struct bytes body;
    bool ok;
    begin(out);
    arena_init(&a, 0);
    if (first->kind == OP_DELETE || (first->kind == OP_UPDATE && first->result == OP_DELETED && !(doc->flags & PLAN_DOC_DIVERGED))) {
        out->kind = FOLD_DELETE;
        take_flags(out, first);
        ok = true;
    } else if (first->kind == OP_UPDATE) {
        ok = update(s, doc, from, set, out, &a, fault);
    } else {
        ok = source_get(s, first, &body, fault) && full(s, doc, from, body, set, out, &a, fault);
    }
    arena_fini(&a);
    if (ok && (out->body.failed || out->insert.failed))
        ok = fault_memory(fault);
    return ok;
}
