// Which exchanges a plan has taken already, for plans that go on with a growing tape.
//
// Exchanges are numbered by their requests and stored by their answers: a slow one appears behind faster, later ones. So the
// newest number is no mark; the taken ones are remembered, those far behind the newest by a floor alone. An exchange that
// took longer than PLAN_SEEN_MARKS seconds, and saw PLAN_SEEN_WINDOW others begin meanwhile, would be passed over.
#include "plan_inside.h"

#include "../base/mem.h"

#include <string.h>

struct plan_seen *plan_seen_open(size_t tapes)
{
    struct plan_seen *s = mem_zero(1, sizeof *s);
    if (!s)
        return NULL;
    s->recent = nummap_open();
    s->highest = nummap_open();
    s->floor = mem_zero(tapes + 1, sizeof *s->floor);
    s->newest = mem_zero(tapes + 1, sizeof *s->newest);
    s->marks = mem_zero((tapes + 1) * PLAN_SEEN_MARKS, sizeof *s->marks);
    s->calls = nummap_open();
    s->tapes = tapes;
    if (s->recent && s->highest && s->calls && s->marks && s->floor && s->newest)
        return s;
    plan_seen_close(s);
    return NULL;
}

void plan_seen_close(struct plan_seen *s)
{
    if (!s)
        return;
    nummap_close(s->recent);
    nummap_close(s->highest);
    nummap_close(s->calls);
    mem_free(s->marks);
    for (size_t i = 0; i < s->type_count; i++) {
        mem_free(s->types[i].from);
        mem_free(s->types[i].type);
    }
    mem_free(s->types);
    mem_free(s->floor);
    mem_free(s->newest);
    mem_free(s);
}

static bool add_type(struct plan_seen *s, const struct plan_slot *slot)
{
    struct plan_seen_type *grown = mem_grow(s->types, (s->type_count + 1) * sizeof *grown);
    if (!grown)
        return false;
    s->types = grown;
    struct plan_seen_type *t = &s->types[s->type_count];
    *t = (struct plan_seen_type){mem_text_copy(slot->from, strlen(slot->from)), mem_text_copy(slot->type, strlen(slot->type)), slot->several_types};
    s->type_count += t->from && t->type;
    return t->from && t->type;
}

bool plan_seen_types(struct plan *p)
{
    struct plan_seen *s = p->set.seen;
    for (size_t i = 0; s && i < p->slot_count; i++) {
        struct plan_slot *slot = &p->slots[i];
        size_t k = 0;
        while (k < s->type_count && strcmp(s->types[k].from, slot->from) != 0)
            k++;
        if (k == s->type_count) {
            if (slot->type && !add_type(s, slot))
                return false;
            continue;
        }
        struct plan_seen_type *t = &s->types[k];
        t->several |= slot->several_types || (slot->type && strcmp(slot->type, t->type) != 0);
        mem_free(slot->type);
        slot->several_types = t->several;
        slot->type = mem_text_copy(t->type, strlen(t->type));
        if (!slot->type)
            return false;
    }
    return true;
}

static uint64_t key(size_t tape, uint64_t exchange)
{
    return (uint64_t)tape << 56 ^ exchange;
}

bool plan_seen_has(const struct plan_seen *s, size_t tape, uint64_t exchange)
{
    return exchange < s->floor[tape] || nummap_find(s->recent, key(tape, exchange)) != NULL;
}

bool plan_seen_add(struct plan_seen *s, size_t tape, uint64_t exchange, int64_t time_ns)
{
    bool fresh;
    struct plan_seen_mark *mark = &s->marks[tape * PLAN_SEEN_MARKS + (size_t)(time_ns / WHEN_NS_PER_S % PLAN_SEEN_MARKS)];
    if (exchange > s->newest[tape])
        s->newest[tape] = exchange;
    if (time_ns / WHEN_NS_PER_S > mark->time_ns / WHEN_NS_PER_S || exchange < mark->exchange)
        *mark = (struct plan_seen_mark){time_ns, exchange};
    union map_value *v = nummap_put(s->recent, key(tape, exchange), &fresh);
    if (v)
        v->num = exchange;
    return v != NULL;
}

bool plan_seen_call(struct plan_seen *s, size_t tape, uint64_t exchange, bool *fresh)
{
    return nummap_put(s->calls, key(tape, exchange), fresh) != NULL;
}

static uint64_t shard_key(const char *index, int64_t life, int shard)
{
    int64_t key[3] = {(int64_t)map_hash(bytes_of_text(index), 17), life, shard};
    return map_hash(bytes_of(key, sizeof key), 17);
}

bool plan_seen_number(struct plan_seen *s, const char *index, int64_t life, int shard, int64_t seq_no)
{
    bool fresh;
    union map_value *v = nummap_put(s->highest, shard_key(index, life, shard), &fresh);
    if (v && (fresh || v->num < (uint64_t)seq_no + 1))
        v->num = (uint64_t)seq_no + 1;
    return v != NULL;
}

int64_t plan_seen_highest(const struct plan *p, const char *index, int shard)
{
    for (size_t i = 0; p->set.seen && i < p->name_count; i++) {
        const struct plan_name *n = &p->names[i];
        if (strcmp(n->text, index) != 0)
            continue;
        int64_t life = n->life_count ? n->lives[n->life_count - 1].key : PLAN_LIFE_FIRST;
        union map_value *v = nummap_find(p->set.seen->highest, shard_key(index, life, shard));
        return v ? (int64_t)v->num - 1 : -1;
    }
    return -1;
}

// The first exchange of the newest PLAN_SEEN_MARKS seconds in which any began.
static uint64_t first_of_marks(const struct plan_seen_mark *marks)
{
    int64_t newest_ns = 0;
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < PLAN_SEEN_MARKS; i++)
        newest_ns = marks[i].time_ns > newest_ns ? marks[i].time_ns : newest_ns;
    for (size_t i = 0; i < PLAN_SEEN_MARKS; i++)
        if (marks[i].time_ns && marks[i].time_ns > newest_ns - PLAN_SEEN_MARKS * WHEN_NS_PER_S && marks[i].exchange < first)
            first = marks[i].exchange;
    return first;
}

void plan_seen_settle(struct plan_seen *s)
{
    s->incremental = true;
    for (size_t t = 0; t < s->tapes; t++) {
        uint64_t floor = s->newest[t] > PLAN_SEEN_WINDOW ? s->newest[t] - PLAN_SEEN_WINDOW : 0;
        uint64_t sent = first_of_marks(&s->marks[t * PLAN_SEEN_MARKS]);
        floor = sent < floor ? sent : floor;
        for (uint64_t x = s->floor[t]; x < floor && nummap_count(s->recent); x++)
            nummap_drop(s->recent, key(t, x));
        s->floor[t] = floor > s->floor[t] ? floor : s->floor[t];
    }
}
