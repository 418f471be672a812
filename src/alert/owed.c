// Keeps what a correlation said until the answer to its last call is known; bounded: beyond the bound there is no second word.
#include "owed.h"

enum { OWED_MAX = 16384 };

struct debt {
    struct debt *next;   // of the same exchange
    struct fired fired;
    char id[33];
    struct buf texts;    // what fired's group and values point to
};

struct owed {
    struct nummap *debts; // exchange -> struct debt *
    size_t count;
};

struct owed *owed_open(void)
{
    struct owed *o = mem_zero(1, sizeof *o);
    if (!o)
        return NULL;
    o->debts = nummap_open();
    if (o->debts)
        return o;
    mem_free(o);
    return NULL;
}

static void free_debts(void *at)
{
    for (struct debt *d = at, *next; d; d = next) {
        next = d->next;
        buf_fini(&d->texts);
        mem_free(d);
    }
}

void owed_close(struct owed *o)
{
    if (!o)
        return;
    nummap_close_each(o->debts, free_debts);
    mem_free(o);
}

static bool copy_texts(struct debt *d)
{
    struct fired *f = &d->fired;
    buf_add_bytes(&d->texts, f->group);
    for (size_t i = 0; i < f->value_count; i++)
        buf_add_bytes(&d->texts, f->values[i]);
    if (d->texts.failed)
        return false;
    const uint8_t *at = d->texts.at;
    f->group.at = at;
    at += f->group.size;
    for (size_t i = 0; i < f->value_count; at += f->values[i++].size)
        f->values[i].at = at;
    return true;
}

void owed_add(struct owed *o, const struct fired *f, const char *id)
{
    struct debt *d = o->count < OWED_MAX ? mem_zero(1, sizeof *d) : NULL;
    if (!d)
        return;
    d->fired = *f;
    memcpy(d->id, id, sizeof d->id);
    union map_value *v = copy_texts(d) ? nummap_put(o->debts, f->exchange, NULL) : NULL;
    if (!v) {
        buf_fini(&d->texts);
        mem_free(d);
        return;
    }
    d->next = v->ptr;
    v->ptr = d;
    o->count++;
}

void owed_pay(struct owed *o, uint64_t exchange, owed_fn *fn, void *ctx)
{
    union map_value *v = o->count ? nummap_find(o->debts, exchange) : NULL;
    struct debt *debts = v ? v->ptr : NULL;
    if (!v)
        return;
    for (const struct debt *d = debts; d; d = d->next, o->count--)
        fn(ctx, &d->fired, d->id);
    nummap_drop(o->debts, exchange);
    free_debts(debts);
}
