// Documents of the target that live traffic deleted since the restore: read off the tape's operations on the target index.
//
// Since when: the restore as the cluster tells it, the beginning of the index's newest life on the tape, and per shard the
// highest number of the restored copy. With none of them an operation may belong to an earlier index of the same name, and
// is not believed.
#include "live.h"

#include "../base/buf.h"
#include "../base/diag.h"
#include "../base/map.h"
#include "../base/mem.h"

#define LATE_NS (120 * WHEN_NS_PER_S) // an exchange is stored by its answer: so far behind its request it is still found

struct live_slot {
    char *to;
    bool several_types;
    bool in_place;        // the recorded index itself: its deletes are the plan's, but for those since a restore
    int64_t born_ns;      // of the newest life on the tape
    const struct preflight_index *index;
};

struct live {
    struct tape *tape;
    struct live_slot *slots;
    size_t slot_count;
    struct map *deleted;
    struct buf key;
    int64_t newest_ns;    // request of the newest op seen
    bool failed;
};

struct live *live_open(struct tape *tape, const struct plan *plan)
{
    struct live *l = mem_zero(1, sizeof *l);
    size_t n = plan_slot_count(plan);
    if (!l)
        return NULL;
    l->tape = tape;
    l->newest_ns = WHEN_UNKNOWN;
    l->deleted = map_open();
    l->slots = mem_zero(n + 1, sizeof *l->slots);
    bool ok = l->deleted && l->slots;
    for (size_t i = 0; ok && i < n; i++) {
        const struct plan_slot *s = plan_slot(plan, i);
        l->slots[i] = (struct live_slot){.to = mem_text_copy(s->to, strlen(s->to)), .several_types = s->several_types, .in_place = strcmp(s->from, s->to) == 0,
                                         .born_ns = WHEN_UNKNOWN};
        ok = l->slots[i].to != NULL;
        l->slot_count = i + 1;
    }
    if (ok)
        return l;
    live_close(l);
    return NULL;
}

void live_close(struct live *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->slot_count; i++)
        mem_free(l->slots[i].to);
    mem_free(l->slots);
    if (l->deleted)
        map_close(l->deleted);
    buf_fini(&l->key);
    mem_free(l);
}

static bool make_key(struct buf *b, const struct live_slot *s, uint32_t slot, int shard, struct bytes id, struct bytes type)
{
    int32_t head[2] = {(int32_t)slot, shard};
    buf_clear(b);
    buf_add(b, head, sizeof head);
    buf_add_bytes(b, id);
    if (s->several_types) {
        buf_add_byte(b, 0);
        buf_add_bytes(b, plan_own_type(type));
    }
    return !b->failed;
}

static bool since_restore(const struct live_slot *s, const struct tape_op *t, int shard)
{
    const struct preflight_index *p = s->index;
    int64_t after_ns = p->restored_ns > s->born_ns ? p->restored_ns : s->born_ns;
    bool numbered = p->seam.kind == PLAN_SEAM_SEQ && t->op.seq_no >= 0 && shard >= 0 && (uint32_t)shard < p->seam.route.shards;
    if (s->in_place && p->restored_ns == WHEN_UNKNOWN)
        return false;
    if (after_ns == WHEN_UNKNOWN && !numbered)
        return false;
    return (after_ns == WHEN_UNKNOWN || t->time_ns >= after_ns) && (!numbered || t->op.seq_no > p->max_seq[shard]);
}

static bool see_op(void *ctx, const struct tape_op *t)
{
    struct live *l = ctx;
    const struct op *op = &t->op;
    bool gone = op->result == OP_DELETED || (op->kind == OP_DELETE && (op->result == OP_NOT_FOUND || op->result == OP_ACCEPTED));
    if (t->time_ns > l->newest_ns)
        l->newest_ns = t->time_ns;
    for (uint32_t i = 0; gone && i < l->slot_count; i++) {
        const struct live_slot *s = &l->slots[i];
        if (!s->index || !bytes_equal_text(op->index, s->to))
            continue;
        int shard = route_shard(&s->index->seam.route, op->id, op->routing);
        bool fresh;
        if (!since_restore(s, t, shard))
            continue;
        if (!make_key(&l->key, s, i, shard, op->id, op->type) || !map_put(l->deleted, buf_view(&l->key), &fresh))
            return !(l->failed = true);
    }
    return true;
}

static bool see_life(void *ctx, size_t which, const struct incarnation *life)
{
    struct live *l = ctx;
    (void)which;
    for (size_t i = 0; i < l->slot_count; i++)
        if (life->born && bytes_equal_text(life->index, l->slots[i].to) && life->time_ns > l->slots[i].born_ns)
            l->slots[i].born_ns = life->time_ns;
    return true;
}

bool live_refresh(struct live *l, const struct preflight_index *indices, size_t index_count, struct fault *fault)
{
    const char **names = mem_zero(l->slot_count + 1, sizeof *names);
    if (!names)
        return fault_memory(fault);
    for (size_t i = 0; i < l->slot_count; i++) {
        names[i] = l->slots[i].to;
        l->slots[i].index = NULL;
        for (size_t k = 0; k < index_count; k++)
            if (strcmp(indices[k].name, l->slots[i].to) == 0)
                l->slots[i].index = &indices[k];
    }
    struct tape_op_filter f = {.since_ns = l->newest_ns == WHEN_UNKNOWN ? WHEN_UNKNOWN : l->newest_ns - LATE_NS, .until_ns = WHEN_UNKNOWN, .index = names,
                               .index_count = l->slot_count};
    bool ok = tape_lives(l->tape, see_life, l, fault) && tape_ops(l->tape, &f, see_op, l, fault);
    mem_free(names);
    return ok && (!l->failed || fault_memory(fault));
}

bool live_deleted(const struct live *l, const struct plan_doc *doc)
{
    if (!map_count(l->deleted) || doc->slot >= l->slot_count || !l->slots[doc->slot].index)
        return false;
    const struct live_slot *s = &l->slots[doc->slot];
    struct buf key = {0};
    // Where the plan does not know the shard, the target's route does.
    int shard = route_shard(&s->index->seam.route, doc->id, doc->routing);
    bool hit = make_key(&key, s, doc->slot, shard, doc->id, doc->type) && map_find(l->deleted, buf_view(&key));
    buf_fini(&key);
    return hit;
}
