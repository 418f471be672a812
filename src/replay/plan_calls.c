// Exchanges of the plan that are no document writes: by-query calls and reindex (barriers), mappings, truncated writes, gaps.
#include "plan_inside.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/json.h"
#include "../base/mem.h"

#include <stdio.h>
#include <stdlib.h>

struct call_kind {
    const char *api;
    enum { CALL_UPDATE_BY_QUERY, CALL_DELETE_BY_QUERY, CALL_REINDEX, CALL_MAPPING, CALL_CREATE } kind;
};

static const struct call_kind kinds[] = {
    {"update_by_query", CALL_UPDATE_BY_QUERY}, {"delete_by_query", CALL_DELETE_BY_QUERY}, {"reindex", CALL_REINDEX},
    {"indices.put_mapping", CALL_MAPPING},     {"indices.create", CALL_CREATE},
};

static bool before_point(const struct plan *p, size_t tape, const struct exchange *x)
{
    if (!p->has_before)
        return true;
    return tape == p->before.tape ? x->id < p->before.id : x->time_ns < p->before.time_ns;
}

bool plan_call_in_range(const struct plan *p, size_t tape, const struct exchange *x)
{
    return before_point(p, tape, x) && (p->set.since_ns == WHEN_UNKNOWN || x->time_ns >= p->set.since_ns) &&
           (p->set.until_ns == WHEN_UNKNOWN || x->time_ns < p->set.until_ns);
}

bool plan_call_held(const struct plan *p, const struct buf *slots, int64_t time_ns)
{
    size_t n = plan_slots_in(slots), held = 0;
    for (size_t i = 0; i < (n ? n : p->slot_count); i++) { // without slots: of the cluster, held only where every copy has it
        uint32_t slot = (uint32_t)i;
        if (n)
            memcpy(&slot, slots->at + i * sizeof slot, sizeof slot);
        bool has = n && p->slots[slot].deleted && time_ns <= p->slots[slot].deletion_ns;
        for (size_t k = 0; k < p->set.seam_count; k++)
            has |= strcmp(p->set.seams[k].to, p->slots[slot].to) == 0 && p->set.seams[k].time_ns != WHEN_UNKNOWN && time_ns < p->set.seams[k].time_ns;
        held += has;
    }
    return held && held == (n ? n : p->slot_count);
}

static char *copy_bytes(struct bytes b)
{
    return mem_text_copy(b.at, b.size);
}

void plan_barrier_free(struct plan_barrier *b)
{
    mem_free(b->verb);
    mem_free(b->path);
    mem_free(b->api);
    mem_free(b->slots);
}

bool plan_barrier_add(struct plan *p, const struct tape_row *row, enum plan_barrier_kind kind, enum plan_admin admin, const struct buf *slots)
{
    const struct exchange *x = &row->x;
    if (p->barrier_count == p->barrier_room) {
        size_t room = p->barrier_room ? p->barrier_room * 2 : 16;
        struct plan_barrier *grown = mem_grow(p->barriers, room * sizeof *grown);
        if (!grown)
            return false;
        p->barriers = grown;
        p->barrier_room = room;
    }
    uint32_t *list = mem_alloc(slots->size + 1);
    if (!list)
        return false;
    if (slots->size)
        memcpy(list, slots->at, slots->size);
    struct plan_barrier *b = &p->barriers[p->barrier_count];
    *b = (struct plan_barrier){.kind = kind, .admin = admin, .slots = list, .slot_count = plan_slots_in(slots), .tape = row->tape, .exchange = x->id,
                               .time_ns = x->time_ns, .answered_ns = x->answered_ns, .verb = copy_bytes(x->verb), .path = copy_bytes(x->path),
                               .api = copy_bytes(x->api), .total = x->docs_total, .deleted = x->docs_deleted, .updated = kind == PLAN_BARRIER_ADMIN ? -1 : x->docs_ok,
                               .status = x->status, .unknown = x->outcome == OUTCOME_UNANSWERED || x->outcome == OUTCOME_UNKNOWN};
    p->barrier_count++;
    return b->verb && b->path && b->api;
}

static bool add_mapping(struct plan *p, uint32_t slot, const struct tape_row *row, bool create)
{
    if (p->mapping_count == p->mapping_room) {
        size_t room = p->mapping_room ? p->mapping_room * 2 : 16;
        struct plan_mapping *grown = mem_grow(p->mappings, room * sizeof *grown);
        if (!grown)
            return false;
        p->mappings = grown;
        p->mapping_room = room;
    }
    struct plan_mapping *m = &p->mappings[p->mapping_count];
    *m = (struct plan_mapping){slot, row->tape, row->x.id, row->x.time_ns, copy_bytes(row->x.path), create};
    p->mapping_count++;
    return m->path != NULL;
}

bool plan_collect_body(void *ctx, const struct body_piece *piece)
{
    struct buf *b = ctx;
    return b->size < 16 * 1024 * 1024 && buf_add_bytes(b, piece->bytes);
}

static const struct json *setting(const struct json *settings, const char *name)
{
    char dotted[80];
    snprintf(dotted, sizeof dotted, "index.%s", name);
    const struct json *j = json_path(settings, dotted);
    j = j ? j : json_member(settings, dotted);
    return j ? j : json_member(settings, name);
}

// Shards as the call that made the index says; the defaults of its version where it does not.
static struct route_index read_route(struct plan *p, const struct tape_row *row)
{
    unsigned version = row->x.server_version;
    struct route_index r = {.old_default = version && version < 70000, .modulo = version >= 90400 && version < 1000000};
    struct buf body = {0};
    enum tape_body_state state;
    struct fault ignored = {0};
    struct arena a;
    arena_init(&a, 64 * 1024 * 1024);
    bool ok = tape_body(p->set.tape, row->tape, row->x.id, BODY_REQUEST, plan_collect_body, &body, &state, &ignored);
    struct json *j = ok && body.size ? json_parse(&a, buf_view(&body), NULL) : NULL;
    const struct json *settings = j ? json_member(j, "settings") : NULL;
    settings = settings ? settings : j; // old versions took them at the top
    const struct json *shards = settings ? setting(settings, "number_of_shards") : NULL, *rns = settings ? setting(settings, "number_of_routing_shards") : NULL;
    const struct json *part = settings ? setting(settings, "routing_partition_size") : NULL;
    int64_t count = shards ? json_int(shards, 0) : version && version < 70000 ? 5 : version ? 1 : 0;
    r.shards = count > 0 && count <= 1024 ? (uint32_t)count : 0;
    r.routing_shards = rns ? (uint32_t)json_int(rns, 0) : 0;
    r.partition = part ? (uint32_t)json_int(part, 0) : 0;
    arena_fini(&a);
    buf_fini(&body);
    return r;
}

static void learn_shards(struct plan *p, uint32_t slot, const struct tape_row *row)
{
    struct route_index r = read_route(p, row);
    for (size_t n = 0; n < p->name_count; n++)
        for (size_t l = 0; l < p->names[n].life_count; l++) {
            struct plan_life *life = &p->names[n].lives[l];
            if (life->born && life->born_exchange == row->x.id && life->born_tape == row->tape)
                life->route = r;
        }
    if (!p->slots[slot].route_known && r.shards) {
        p->slots[slot].route = r;
        p->slots[slot].route_known = true;
    }
}

// A reindex belongs to the index it writes to. Its name stands in the body.
static bool reindex_slot(struct plan *p, const struct tape_row *row, struct buf *slots)
{
    struct buf body = {0};
    enum tape_body_state state;
    struct fault ignored = {0};
    bool ok = true;
    if (tape_body(p->set.tape, row->tape, row->x.id, BODY_REQUEST, plan_collect_body, &body, &state, &ignored) && body.size) {
        struct arena a;
        arena_init(&a, 64 * 1024 * 1024);
        struct json *j = json_parse(&a, buf_view(&body), NULL);
        const struct json *dest = j ? json_path(j, "dest.index") : NULL;
        if (dest && dest->kind == JSON_KIND_STRING)
            ok = plan_names_chosen_one(p, dest->text, row->x.time_ns, slots);
        arena_fini(&a);
    }
    buf_fini(&body);
    return ok;
}

struct call_pass {
    struct plan *p;
    struct buf slots;
    bool failed;
};

static bool add_call(struct plan *p, int kind, const struct tape_row *row, const struct buf *slots)
{
    uint32_t slot;
    switch (kind) {
    case CALL_UPDATE_BY_QUERY:
        return plan_barrier_add(p, row, PLAN_BARRIER_UPDATE_BY_QUERY, PLAN_ADMIN_INDEX, slots);
    case CALL_DELETE_BY_QUERY:
        return plan_barrier_add(p, row, PLAN_BARRIER_DELETE_BY_QUERY, PLAN_ADMIN_INDEX, slots);
    case CALL_REINDEX:
        return plan_barrier_add(p, row, PLAN_BARRIER_REINDEX, PLAN_ADMIN_INDEX, slots);
    default:
        for (size_t i = 0; i < plan_slots_in(slots); i++) {
            memcpy(&slot, slots->at + i * sizeof slot, sizeof slot);
            if (!add_mapping(p, slot, row, kind == CALL_CREATE))
                return false;
        }
        return true;
    }
}

static bool see_call(void *ctx, const struct tape_row *row)
{
    struct call_pass *c = ctx;
    struct plan *p = c->p;
    const struct exchange *x = &row->x;
    const struct call_kind *k = kinds;
    while (k < kinds + sizeof kinds / sizeof *kinds && !bytes_equal_text(x->api, k->api))
        k++;
    if (k == kinds + sizeof kinds / sizeof *kinds || x->flags & EXCHANGE_OWN || x->outcome == OUTCOME_FAILED)
        return true;
    buf_clear(&c->slots);
    bool ok = k->kind == CALL_REINDEX ? reindex_slot(p, row, &c->slots) : plan_names_chosen(p, x, &c->slots);
    if (!ok || p->fail_memory)
        return !(c->failed = true);
    if (!c->slots.size || plan_is_skipped(p, row->tape, x->id))
        return true;
    for (size_t i = 0; k->kind == CALL_CREATE && i < plan_slots_in(&c->slots); i++) {
        uint32_t slot;
        memcpy(&slot, c->slots.at + i * sizeof slot, sizeof slot);
        learn_shards(p, slot, row);
    }
    if (!plan_call_in_range(p, row->tape, x) || plan_too_fresh(p, x->time_ns, x->answered_ns))
        return true;
    bool fresh = true;
    if (p->set.seen && !plan_seen_call(p->set.seen, row->tape, x->id, &fresh))
        return !(c->failed = true);
    if (!fresh)
        return true;
    if (!plan_call_held(p, &c->slots, x->time_ns))
        c->failed = !add_call(p, k->kind, row, &c->slots);
    return !c->failed;
}

static int by_start(const void *a, const void *b)
{
    const struct plan_barrier *x = a, *y = b;
    return x->time_ns < y->time_ns ? -1 : x->time_ns > y->time_ns;
}

static bool explain_barriers(struct plan *p)
{
    for (size_t i = 0; i < p->barrier_count; i++) {
        struct plan_barrier *b = &p->barriers[i];
        b->epoch = (uint32_t)i;
        if (b->unknown)
            plan_note_add(p, PLAN_NOTE_UNKNOWN, NULL, "exchange %llu (%s %s) was not answered: whether it ran, and on which documents, is not known",
                          (unsigned long long)b->exchange, b->verb, b->path);
    }
    return !p->fail_memory;
}

static bool late_counts(void *ctx, size_t which, const struct late_outcome *late)
{
    struct plan *p = ctx;
    for (size_t i = 0; i < p->barrier_count; i++) {
        struct plan_barrier *b = &p->barriers[i];
        if (b->tape != which || b->exchange != late->exchange)
            continue;
        if (b->kind == PLAN_BARRIER_ADMIN)
            continue;
        b->unknown = late->outcome == OUTCOME_UNANSWERED || late->outcome == OUTCOME_UNKNOWN;
        b->updated = late->docs_ok;
        b->deleted = late->docs_deleted;
        b->total = late->docs;
        if (late->time_ns > b->answered_ns)
            b->answered_ns = late->time_ns;
    }
    return true;
}

bool plan_calls_load(struct plan *p, struct fault *fault)
{
    const char *apis[sizeof kinds / sizeof *kinds];
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        apis[i] = kinds[i].api;
    struct call_pass c = {.p = p};
    struct tape_filter f = {.since_ns = WHEN_UNKNOWN, .until_ns = WHEN_UNKNOWN, .api = apis, .api_count = sizeof apis / sizeof *apis};
    plan_deletions_find(p);
    bool ok = tape_select(p->set.tape, &f, see_call, &c, fault);
    buf_fini(&c.slots);
    if (ok && c.failed)
        ok = fault_memory(fault);
    ok = ok && plan_admin_load(p, fault) && tape_lates(p->set.tape, late_counts, p, fault);
    if (ok && p->barrier_count)
        qsort(p->barriers, p->barrier_count, sizeof *p->barriers, by_start);
    return ok && (explain_barriers(p) || fault_memory(fault));
}

// ---- gaps -------------------------------------------------------------------------------------------------------------

static bool see_gap(void *ctx, const struct tape_gap_row *g)
{
    struct plan *p = ctx;
    static const char *const why[GAP_CAUSES] = {"lost on the wire", "cut by a snap length", "before we joined a connection", "a limit was reached", "the recording ended",
                                                "dropped by the kernel", "nobody was recording", "bytes that belong to no message", "an answer without a request",
                                                "the disk refused"};
    // Joined midstream, an answer without request, the end: told by check where they matter.
    if (g->cause == GAP_MIDSTREAM || g->cause == GAP_END || g->cause == GAP_ORPHAN || g->side == 1)
        return true;
    char from[48], to[48];
    p->total.gaps++;
    p->total.gap_bytes += g->bytes;
    plan_note_add(p, PLAN_NOTE_GAP, NULL, "%s to %s: %llu bytes, %s", clock_format_utc(g->from_ns, from, sizeof from), clock_format_utc(g->to_ns, to, sizeof to),
                  (unsigned long long)g->bytes, g->cause < GAP_CAUSES ? why[g->cause] : "unknown");
    return !p->fail_memory;
}

bool plan_gaps_load(struct plan *p, struct fault *fault)
{
    int64_t since_ns = p->set.since_ns, until_ns = p->set.until_ns;
    for (size_t i = 0; i < p->set.seam_count; i++)
        if (since_ns == WHEN_UNKNOWN && p->set.seams[i].time_ns != WHEN_UNKNOWN)
            since_ns = p->set.seams[i].time_ns;
    if (p->has_before && (until_ns == WHEN_UNKNOWN || p->before.time_ns < until_ns))
        until_ns = p->before.time_ns;
    if (!tape_gaps(p->set.tape, since_ns, until_ns, see_gap, p, fault))
        return false;
    return !p->fail_memory || fault_memory(fault);
}
