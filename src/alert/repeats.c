// Counts repeats by kind, in a bounded map.
//
// 1. The first of a kind is told, and so is one whose kind was quiet for the grouping time.
// 2. Repeats are told in one summary when the grouping time is over.
// 3. What cannot be remembered is told, never hidden.
#include "repeats.h"

#include "text.h"

enum { KINDS_MAX = 65536 };
#define GROUPING_NS (300 * WHEN_NS_PER_S)

struct repeats {
    struct nummap *kinds;    // hash -> struct repeat *
    repeat_fn *summary;
    void *ctx;
};

struct repeats *repeats_open(repeat_fn *summary, void *ctx)
{
    struct repeats *r = mem_zero(1, sizeof *r);
    if (!r)
        return NULL;
    *r = (struct repeats){nummap_open(), summary, ctx};
    if (r->kinds)
        return r;
    mem_free(r);
    return NULL;
}

static void free_kind(void *at)
{
    struct repeat *k = at;
    if (k)
        mem_free(k->who);
    mem_free(k);
}

void repeats_close(struct repeats *r)
{
    if (!r)
        return;
    nummap_close_each(r->kinds, free_kind);
    mem_free(r);
}

static uint64_t key_of(const struct rule *rule, const struct exchange *x)
{
    uint64_t key = (uint64_t)rule->number * UINT64_C(0x9e3779b97f4a7c15);
    key ^= map_hash(x->principal, 11) + map_hash(bytes_of(x->client.ip, 16), 12);
    for (size_t i = 0; rule->level >= ALERT_HIGH && i < x->target_count; i++)
        key = key * 31 + map_hash(x->targets[i], 13);
    return key;
}

static struct repeat *make_kind(struct rule *rule, struct event *e)
{
    const struct exchange *x = e->x;
    struct repeat *k = mem_zero(1, sizeof *k);
    struct buf who = {0};
    buf_add_text(&who, "by ");
    text_add_safe(&who, x->principal.size ? x->principal : bytes_of_text("an anonymous caller"), 160);
    buf_format(&who, " from %s", event_client_ip(e));
    if (k) {
        *k = (struct repeat){.rule = rule, .first_ns = x->time_ns, .last_ns = x->time_ns};
        k->who = mem_text_copy(who.at, who.size);
    }
    buf_fini(&who);
    if (k && k->who)
        return k;
    free_kind(k);
    return NULL;
}

static void summarise(struct repeats *r, struct repeat *k)
{
    r->summary(r->ctx, k);
    k->first_ns = k->last_ns;
    k->count = 0;
}

bool repeats_is_first(struct repeats *r, struct rule *rule, struct event *e)
{
    const struct exchange *x = e->x;
    if (rule->level == ALERT_CRITICAL)
        return true;
    uint64_t key = key_of(rule, x);
    union map_value *v = nummap_find(r->kinds, key);
    if (!v) {
        struct repeat *fresh = nummap_count(r->kinds) < KINDS_MAX ? make_kind(rule, e) : NULL;
        v = fresh ? nummap_put(r->kinds, key, NULL) : NULL;
        if (v)
            v->ptr = fresh;
        else
            free_kind(fresh);
        return true;
    }
    struct repeat *k = v->ptr;
    if (x->time_ns - k->first_ns > GROUPING_NS) {
        if (k->count)
            summarise(r, k);
        bool quiet = x->time_ns - k->last_ns > GROUPING_NS;
        k->first_ns = k->last_ns = x->time_ns;
        if (quiet)
            return true;
    }
    k->last_ns = x->time_ns > k->last_ns ? x->time_ns : k->last_ns;
    k->last_exchange = x->id;
    k->count++;
    return false;
}

void repeats_end(struct repeats *r, int64_t now_ns)
{
    size_t at = 0, gone = 0;
    uint64_t key, drop[256];
    union map_value *v;
    bool all = now_ns == INT64_MAX;
    while (nummap_next(r->kinds, &at, &key, &v)) {
        struct repeat *k = v->ptr;
        if (!all && now_ns - k->first_ns <= GROUPING_NS)
            continue;
        if (k->count)
            summarise(r, k);
        else if (gone < sizeof drop / sizeof *drop && !all && now_ns - k->last_ns > GROUPING_NS)
            drop[gone++] = key;
    }
    for (size_t i = 0; i < gone; i++) {
        free_kind(nummap_find(r->kinds, drop[i])->ptr);
        nummap_drop(r->kinds, drop[i]);
    }
}

void repeats_forget(struct repeats *r)
{
    size_t at = 0;
    uint64_t key;
    union map_value *v;
    while (nummap_next(r->kinds, &at, &key, &v)) {
        struct repeat *k = v->ptr;
        k->first_ns = k->last_ns = 0; // long ago
        k->count = 0;
    }
}

void repeats_forget_counts(struct repeats *r)
{
    size_t at = 0;
    uint64_t key;
    union map_value *v;
    while (nummap_next(r->kinds, &at, &key, &v))
        ((struct repeat *)v->ptr)->count = 0;
}
