// Administrative calls of the range: which are made again when the user asks for it, and how; the others are counted.
//
// A recorded deletion that is made again makes everything before it on its index unnecessary: it comes first, and of that
// index only the last life is planned. All other calls keep their place between the writes.
#include "plan_inside.h"

#include "../base/diag.h"
#include "../base/glob.h"
#include "../base/json.h"
#include "../base/mem.h"

enum { ADMIN_NEVER = 100 }; // it makes or takes whole indices that a plan does not hold: told

static const struct admin_kind {
    const char *api;
    int how; // enum plan_admin, or ADMIN_NEVER
} kinds[] = {
    {"indices.put_settings", PLAN_ADMIN_INDEX},
    {"indices.add_block", PLAN_ADMIN_INDEX},
    {"indices.open", PLAN_ADMIN_INDEX},
    {"indices.close", PLAN_ADMIN_INDEX},
    {"indices.put_alias", PLAN_ADMIN_INDEX},
    {"indices.delete_alias", PLAN_ADMIN_INDEX},
    {"indices.update_aliases", PLAN_ADMIN_ALIASES},
    {"indices.put_template", PLAN_ADMIN_CLUSTER},
    {"indices.delete_template", PLAN_ADMIN_CLUSTER},
    {"indices.put_index_template", PLAN_ADMIN_CLUSTER},
    {"indices.delete_index_template", PLAN_ADMIN_CLUSTER},
    {"cluster.put_component_template", PLAN_ADMIN_CLUSTER},
    {"cluster.delete_component_template", PLAN_ADMIN_CLUSTER},
    {"ingest.put_pipeline", PLAN_ADMIN_CLUSTER},
    {"ingest.delete_pipeline", PLAN_ADMIN_CLUSTER},
    {"put_script", PLAN_ADMIN_CLUSTER},
    {"delete_script", PLAN_ADMIN_CLUSTER},
    {"indices.rollover", ADMIN_NEVER},
    {"indices.shrink", ADMIN_NEVER},
    {"indices.split", ADMIN_NEVER},
    {"indices.clone", ADMIN_NEVER},
    {"indices.create_data_stream", ADMIN_NEVER},
    {"indices.delete_data_stream", ADMIN_NEVER},
    {"snapshot.restore", ADMIN_NEVER},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

// ---- deletions --------------------------------------------------------------------------------------------------------

static bool deletion_counts(const struct plan *p, const struct plan_slot *s, const struct plan_life *l)
{
    if (!l->ended || !l->end_seen || l->end_skipped || (p->has_before && (plan_point_hit(&p->before, l->end_tape, l->end_exchange) || l->end_ns >= p->before.time_ns)))
        return false;
    if ((p->set.until_ns != WHEN_UNKNOWN && l->end_ns >= p->set.until_ns) || (p->set.since_ns != WHEN_UNKNOWN && l->end_ns < p->set.since_ns))
        return false;
    for (size_t k = 0; k < p->set.seam_count; k++)
        if (strcmp(p->set.seams[k].to, s->to) == 0 && p->set.seams[k].time_ns != WHEN_UNKNOWN && l->end_ns < p->set.seams[k].time_ns)
            return false; // the copy was made after it
    return true;
}

void plan_deletions_find(struct plan *p)
{
    for (size_t i = 0; p->set.admin && i < p->name_count; i++) {
        int slot = plan_names_slot(p, (int)i);
        struct plan_name *n = &p->names[i];
        for (size_t l = n->life_count; slot >= 0 && !n->redirected && l-- > 0;) {
            struct plan_slot *s = &p->slots[slot];
            if (!deletion_counts(p, s, &n->lives[l]))
                continue;
            n->outlived = l + 1;
            s->deleted = true;
            s->deletion = n->lives[l].end_exchange;
            s->deletion_tape = n->lives[l].end_tape;
            s->deletion_ns = n->lives[l].end_ns;
            break;
        }
    }
}

// ---- aliases ----------------------------------------------------------------------------------------------------------

// One index expression of an action, as one action for each chosen index.
static bool write_actions(struct plan *p, int64_t time_ns, const struct json *action, struct bytes name, struct buf *out, size_t *actions)
{
    struct buf slots = {0};
    bool ok = plan_names_chosen_one(p, name, time_ns, &slots);
    for (size_t i = 0; ok && i < plan_slots_in(&slots); i++) {
        uint32_t slot;
        memcpy(&slot, slots.at + i * sizeof slot, sizeof slot);
        buf_add_text(out, *actions ? ",{" : "{");
        json_write_text(out, action->key);
        buf_add_text(out, ":{\"index\":");
        json_write_text(out, bytes_of_text(p->slots[slot].to));
        for (const struct json *m = action->first; m; m = m->next) {
            if (bytes_equal_text(m->key, "index") || bytes_equal_text(m->key, "indices"))
                continue;
            buf_add_byte(out, ',');
            json_write_text(out, m->key);
            buf_add_byte(out, ':');
            buf_add_bytes(out, m->raw);
        }
        buf_add_text(out, "}}");
        ++*actions;
    }
    buf_fini(&slots);
    return ok;
}

bool plan_aliases(struct plan *p, int64_t time_ns, struct bytes body, struct buf *out, size_t *actions)
{
    struct arena a;
    bool ok = true;
    arena_init(&a, 64 << 20);
    struct json *j = body.size ? json_parse(&a, body, NULL) : NULL;
    const struct json *list = j ? json_member(j, "actions") : NULL;
    *actions = 0;
    buf_add_text(out, "{\"actions\":[");
    for (const struct json *entry = list ? list->first : NULL; entry && ok; entry = entry->next) {
        const struct json *action = entry->first;
        if (!action || bytes_equal_text(action->key, "remove_index"))
            continue; // a deletion: the life it ends tells
        const struct json *one = json_member(action, "index"), *many = json_member(action, "indices");
        if (one && one->kind == JSON_KIND_STRING)
            ok = write_actions(p, time_ns, action, one->text, out, actions);
        for (const struct json *m = many ? many->first : NULL; m && ok; m = m->next)
            if (m->kind == JSON_KIND_STRING)
                ok = write_actions(p, time_ns, action, m->text, out, actions);
    }
    buf_add_text(out, "]}");
    arena_fini(&a);
    return ok && !out->failed;
}

static bool aliases_chosen(struct plan *p, const struct tape_row *row, bool *chosen)
{
    struct buf body = {0}, out = {0};
    enum tape_body_state state;
    struct fault ignored = {0};
    size_t actions = 0;
    bool ok = true;
    if (tape_body(p->set.tape, row->tape, row->x.id, BODY_REQUEST, plan_collect_body, &body, &state, &ignored))
        ok = plan_aliases(p, row->x.time_ns, buf_view(&body), &out, &actions);
    *chosen = actions > 0;
    buf_fini(&body);
    buf_fini(&out);
    return ok;
}

// ---- calls ------------------------------------------------------------------------------------------------------------

struct admin_pass {
    struct plan *p;
    struct buf slots;
    bool failed;
};

// A call without an index is about all of them.
static bool touched(struct plan *p, int how, const struct tape_row *row, struct buf *slots)
{
    if (how == PLAN_ADMIN_CLUSTER)
        return true;
    if (how == PLAN_ADMIN_INDEX && !row->x.target_count && !row->x.index_count)
        return plan_names_chosen_one(p, bytes_of_text("_all"), row->x.time_ns, slots);
    return plan_names_chosen(p, &row->x, slots);
}

static bool see_admin(void *ctx, const struct tape_row *row)
{
    struct admin_pass *c = ctx;
    struct plan *p = c->p;
    const struct exchange *x = &row->x;
    size_t k = 0;
    bool chosen = true;
    while (k < KINDS && !bytes_equal_text(x->api, kinds[k].api))
        k++;
    if (k == KINDS || x->flags & EXCHANGE_OWN || x->outcome == OUTCOME_FAILED || !plan_call_in_range(p, row->tape, x) || plan_is_skipped(p, row->tape, x->id) ||
        plan_too_fresh(p, x->time_ns, x->answered_ns))
        return true;
    int how = kinds[k].how;
    buf_clear(&c->slots);
    if (!touched(p, how, row, &c->slots) || (how == PLAN_ADMIN_ALIASES && !aliases_chosen(p, row, &chosen)))
        return !(c->failed = true);
    chosen = how == PLAN_ADMIN_CLUSTER || (chosen && c->slots.size);
    if (!chosen || plan_call_held(p, &c->slots, x->time_ns))
        return true;
    if (p->set.admin && how != ADMIN_NEVER) {
        c->failed = !plan_barrier_add(p, row, PLAN_BARRIER_ADMIN, (enum plan_admin)how, &c->slots);
        return !c->failed;
    }
    p->total.admin_left++;
    if (p->set.admin)
        plan_note_add(p, PLAN_NOTE_TOLD, NULL, "exchange %llu (%s) makes or takes whole indices: it is not made again", (unsigned long long)x->id, kinds[k].api);
    return !p->fail_memory;
}

static bool reopened(const struct plan *p, const struct plan_barrier *close)
{
    for (size_t i = 0; i < p->barrier_count; i++) {
        const struct plan_barrier *b = &p->barriers[i];
        if (b->kind == PLAN_BARRIER_ADMIN && strcmp(b->api, "indices.open") == 0 && b->time_ns > close->time_ns && b->slot_count && b->slots[0] == close->slots[0])
            return true;
    }
    return false;
}

// An index that would stay closed could be neither compared nor written: the last close is left to the user.
static void drop_last_closes(struct plan *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->barrier_count; i++) {
        struct plan_barrier *b = &p->barriers[i];
        if (b->kind == PLAN_BARRIER_ADMIN && strcmp(b->api, "indices.close") == 0 && !reopened(p, b)) {
            p->total.admin_left++;
            plan_note_add(p, PLAN_NOTE_TOLD, NULL, "exchange %llu closes the index at the end: close it yourself when the copy was compared", (unsigned long long)b->exchange);
            plan_barrier_free(b);
            continue;
        }
        p->barriers[kept++] = *b;
    }
    p->barrier_count = kept;
}

bool plan_admin_load(struct plan *p, struct fault *fault)
{
    const char *apis[KINDS];
    struct admin_pass c = {.p = p};
    for (size_t i = 0; i < KINDS; i++)
        apis[i] = kinds[i].api;
    struct tape_filter f = {.since_ns = p->set.since_ns, .until_ns = p->set.until_ns, .api = apis, .api_count = KINDS};
    if (p->incremental)
        return true; // goes on behind a plan that counted them
    bool ok = tape_select(p->set.tape, &f, see_admin, &c, fault);
    buf_fini(&c.slots);
    if (ok && (c.failed || p->fail_memory))
        ok = fault_memory(fault);
    if (ok)
        drop_last_closes(p);
    if (ok && p->total.admin_left && !p->set.admin)
        plan_note_add(p, PLAN_NOTE_TOLD, NULL, "administrative calls in the range (settings, aliases, templates, pipelines, ...): %llu, left out; --admin makes them again",
                      (unsigned long long)p->total.admin_left);
    return ok;
}
