// Which exchanges a plan has taken already, for plans that go on with a growing tape.
//
// Exchanges are numbered by their requests and stored by their answers: a slow one appears behind faster, later ones. So the
// newest number is no mark; the taken ones are remembered, those far behind the newest by a floor alone.
#include "plan_inside.h"

#include "../base/mem.h"

struct plan_seen *plan_seen_open(size_t tapes)
{
    struct plan_seen *s = mem_zero(1, sizeof *s);
    if (!s)
        return NULL;
    s->recent = nummap_open();
    s->floor = mem_zero(tapes + 1, sizeof *s->floor);
    s->newest = mem_zero(tapes + 1, sizeof *s->newest);
    s->tapes = tapes;
    if (s->recent && s->floor && s->newest)
        return s;
    plan_seen_close(s);
    return NULL;
}

void plan_seen_close(struct plan_seen *s)
{
    if (!s)
        return;
    nummap_close(s->recent);
    mem_free(s->floor);
    mem_free(s->newest);
    mem_free(s);
}

static uint64_t key(size_t tape, uint64_t exchange)
{
    return (uint64_t)tape << 56 ^ exchange;
}

bool plan_seen_has(const struct plan_seen *s, size_t tape, uint64_t exchange)
{
    return exchange < s->floor[tape] || nummap_find(s->recent, key(tape, exchange)) != NULL;
}

bool plan_seen_add(struct plan_seen *s, size_t tape, uint64_t exchange)
{
    bool fresh;
    if (exchange > s->newest[tape])
        s->newest[tape] = exchange;
    union map_value *v = nummap_put(s->recent, key(tape, exchange), &fresh);
    if (v)
        v->num = exchange;
    return v != NULL;
}

void plan_seen_settle(struct plan_seen *s)
{
    s->incremental = true;
    for (size_t t = 0; t < s->tapes; t++) {
        uint64_t floor = s->newest[t] > PLAN_SEEN_WINDOW ? s->newest[t] - PLAN_SEEN_WINDOW : 0;
        for (uint64_t x = s->floor[t]; x < floor && nummap_count(s->recent); x++)
            nummap_drop(s->recent, key(t, x));
        s->floor[t] = floor;
    }
}
