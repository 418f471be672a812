// Keeps, for every correlation and group, the matches inside its sliding window.
//
// 1. A window holds the matches of the last timespan up to the newest match of its group, in order of time.
// 2. A correlation with lower bounds alone is judged at every match; one with another bound when its window, begun by its
//    first match, is over.
// 3. After firing a group stays silent for one timespan; what happens meanwhile still counts.
// 4. Of an ordered correlation a step is kept in its group only once the step before it was seen. One that came first waits
//    in a ring of the correlation: exchanges are told when their requests end, not in the order in which they began.
// 5. All groups together stay under the bound: the group touched longest ago goes first, and is counted.
#include "correlate.h"

#include <stdlib.h>

enum { HITS_MAX = 10000, ORDERED_HITS_MAX = 512, COMBINATIONS_MAX = 64, GROUP_KEY_MAX = 1024, VALUE_SIZE_MAX = 128, CHAIN_MAX = 16, CHAIN_DEPTH_MAX = 4,
       EARLY_MAX = 256 };

struct hit {
    int64_t time_ns;
    uint64_t exchange;
    uint64_t hash;     // value_count
    double number;     // value_sum
    char *text;        // value_count, for the alert
    uint32_t which;
};

struct group {
    struct rule *rule;
    struct bytes key;
    struct hit *hits;
    size_t begin, count, room;  // hits[begin .. begin+count)
    struct nummap *distinct;    // value_count: hash -> matches
    double sum;
    uint32_t by_rule[RULES_PER_CORRELATION_MAX];
    int64_t quiet_until_ns;
    int64_t window_ns;          // at_end: when it began
    struct group *newer, *older;
    size_t bytes;
};

// A later step whose earlier one was not seen: it may still be told.
struct early {
    uint64_t key;               // hash of the group's; 0: taken
    int64_t time_ns;
    uint64_t exchange;
    uint32_t which;
};

struct early_ring {
    size_t next, count;         // the oldest is overwritten
    struct early at[EARLY_MAX];
};

struct correlator {
    struct rules *rules;
    fired_fn *fn;
    void *ctx;
    struct map **groups;        // by rule number
    struct group *newest, *oldest;
    size_t bytes, bytes_max;
    uint64_t overflow;
    int64_t now_ns;
    struct values values, keys[GROUP_KEYS_MAX];
    struct rule *chain[CHAIN_MAX]; // fired, and counted by other correlations
    size_t chain_count;
    unsigned depth;
    struct early_ring **early;  // by rule number, made when needed
};

struct correlator *correlator_open(struct rules *rules, size_t state_bytes_max, fired_fn *fn, void *ctx)
{
    struct correlator *c = mem_zero(1, sizeof *c);
    if (!c)
        return NULL;
    *c = (struct correlator){.rules = rules, .fn = fn, .ctx = ctx, .bytes_max = state_bytes_max, .now_ns = WHEN_UNKNOWN};
    c->groups = mem_zero(rules->all.count + 1, sizeof *c->groups);
    c->early = mem_zero(rules->all.count + 1, sizeof *c->early);
    if (c->groups && c->early)
        return c;
    mem_free(c->groups);
    mem_free(c->early);
    mem_free(c);
    return NULL;
}

// ---- groups -----------------------------------------------------------------------------------------------------------

static void unlink_group(struct correlator *c, struct group *g)
{
    *(g->newer ? &g->newer->older : &c->newest) = g->older;
    *(g->older ? &g->older->newer : &c->oldest) = g->newer;
    g->newer = g->older = NULL;
}

static void touch(struct correlator *c, struct group *g)
{
    if (c->newest == g)
        return;
    if (g->newer || g->older || c->oldest == g)
        unlink_group(c, g);
    g->older = c->newest;
    if (c->newest)
        c->newest->newer = g;
    c->newest = g;
    if (!c->oldest)
        c->oldest = g;
}

static void free_group(struct correlator *c, struct group *g)
{
    for (size_t i = 0; i < g->count; i++)
        mem_free(g->hits[g->begin + i].text);
    c->bytes -= g->bytes;
    mem_free(g->hits);
    if (g->distinct)
        nummap_close(g->distinct);
    mem_free((void *)g->key.at);
    mem_free(g);
}

static void drop_group(struct correlator *c, struct group *g)
{
    unlink_group(c, g);
    map_drop(c->groups[g->rule->number], g->key);
    free_group(c, g);
}

void correlator_close(struct correlator *c)
{
    if (!c)
        return;
    while (c->oldest)
        drop_group(c, c->oldest);
    for (size_t i = 0; i < c->rules->all.count; i++) {
        if (c->groups[i])
            map_close(c->groups[i]);
        mem_free(c->early[i]);
    }
    for (size_t i = 0; i < GROUP_KEYS_MAX; i++)
        values_fini(&c->keys[i]);
    values_fini(&c->values);
    mem_free(c->groups);
    mem_free(c->early);
    mem_free(c);
}

static void account(struct correlator *c, struct group *g, size_t bytes)
{
    g->bytes += bytes;
    c->bytes += bytes;
    while (c->bytes > c->bytes_max && c->oldest && c->oldest != g) {
        c->overflow++;
        drop_group(c, c->oldest);
    }
}

static struct group *find_group(struct correlator *c, struct rule *rule, struct bytes key)
{
    struct map **groups = &c->groups[rule->number];
    if (!*groups)
        *groups = map_open();
    union map_value *v = *groups ? map_put(*groups, key, NULL) : NULL;
    if (!v)
        return NULL;
    struct group *g = v->ptr;
    if (!g) {
        g = mem_zero(1, sizeof *g);
        char *copy = g ? mem_text_copy(key.at, key.size) : NULL;
        if (!copy) {
            mem_free(g);
            map_drop(*groups, key);
            return NULL;
        }
        g->rule = rule;
        g->key = bytes_of(copy, key.size);
        g->quiet_until_ns = g->window_ns = WHEN_UNKNOWN;
        v->ptr = g;
        touch(c, g);
        account(c, g, sizeof *g + 2 * key.size + 64);
    }
    touch(c, g);
    return g;
}

// ---- hits -------------------------------------------------------------------------------------------------------------

static void forget_first(struct correlator *c, struct group *g)
{
    struct hit *h = &g->hits[g->begin];
    union map_value *v = g->distinct ? nummap_find(g->distinct, h->hash) : NULL;
    if (v && --v->num == 0)
        nummap_drop(g->distinct, h->hash);
    g->sum -= h->number;
    g->by_rule[h->which]--;
    size_t text = h->text ? strlen(h->text) + 16 : 0;
    mem_free(h->text);
    g->begin++;
    g->count--;
    if (!g->count) {
        g->begin = 0;
        g->sum = 0;
    }
    g->bytes -= text;
    c->bytes -= text;
}

static void slide(struct correlator *c, struct group *g)
{
    const struct correlation *k = g->rule->correlation;
    while (g->count && g->hits[g->begin + g->count - 1].time_ns - g->hits[g->begin].time_ns > k->timespan_ns)
        forget_first(c, g);
}

static bool make_room(struct correlator *c, struct group *g)
{
    if (g->begin + g->count < g->room)
        return true;
    if (g->begin >= g->room / 2 && g->begin) {
        memmove(g->hits, g->hits + g->begin, g->count * sizeof *g->hits);
        g->begin = 0;
        return true;
    }
    size_t room = g->room ? g->room * 2 : 8;
    struct hit *hits = mem_grow(g->hits, room * sizeof *hits);
    if (!hits)
        return false;
    g->hits = hits;
    size_t more = (room - g->room) * sizeof *hits;
    g->room = room;
    account(c, g, more);
    return true;
}

static bool add_hit(struct correlator *c, struct group *g, struct hit hit)
{
    const struct correlation *k = g->rule->correlation;
    size_t most = k->type == CORRELATE_TEMPORAL || k->type == CORRELATE_TEMPORAL_ORDERED ? ORDERED_HITS_MAX : HITS_MAX;
    if (g->count >= most) {
        c->overflow++;
        forget_first(c, g);
    }
    if (k->type == CORRELATE_VALUE_COUNT) {
        if (!g->distinct)
            g->distinct = nummap_open();
        union map_value *v = g->distinct ? nummap_put(g->distinct, hit.hash, NULL) : NULL;
        if (!v)
            return false;
        v->num++;
    }
    if (!make_room(c, g)) {
        c->overflow++;
        return false;
    }
    size_t at = g->begin + g->count;
    for (; at > g->begin && g->hits[at - 1].time_ns > hit.time_ns; at--)
        g->hits[at] = g->hits[at - 1];
    g->hits[at] = hit;
    g->count++;
    g->sum += hit.number;
    g->by_rule[hit.which]++;
    if (hit.text)
        account(c, g, strlen(hit.text) + 16);
    return true;
}

// ---- judging ----------------------------------------------------------------------------------------------------------

static bool within(const struct correlation *k, double n)
{
    for (size_t i = 0; i < k->bound_count; i++) {
        double b = k->bounds[i].number;
        bool ok = false;
        switch (k->bounds[i].op) {
        case BOUND_GT: ok = n > b; break;
        case BOUND_GTE: ok = n >= b; break;
        case BOUND_LT: ok = n < b; break;
        case BOUND_LTE: ok = n <= b; break;
        case BOUND_EQ: ok = n == b; break;
        case BOUND_NEQ: ok = n != b; break;
        }
        if (!ok)
            return false;
    }
    return true;
}

// Is there, for the hit at `last`, an earlier one of each rule before it, in order and inside the window?
static bool chain_ends_at(const struct group *g, size_t last)
{
    const struct correlation *k = g->rule->correlation;
    const struct hit *end = &g->hits[last], *at = end;
    size_t step = k->rule_count - 1;
    for (size_t i = last; step > 0 && i-- > g->begin;) {
        const struct hit *h = &g->hits[i];
        if (end->time_ns - h->time_ns > k->timespan_ns)
            return false;
        if (h->which == step - 1 && h->time_ns <= at->time_ns && h->exchange != at->exchange) {
            at = h;
            step--;
        }
    }
    return step == 0;
}

static bool in_order(const struct group *g)
{
    const struct correlation *k = g->rule->correlation;
    for (size_t i = g->begin + g->count; i-- > g->begin;)
        if (g->hits[i].which == k->rule_count - 1 && chain_ends_at(g, i))
            return true;
    return false;
}

static bool judge(const struct group *g, double *number)
{
    const struct correlation *k = g->rule->correlation;
    *number = (double)g->count;
    switch (k->type) {
    case CORRELATE_EVENT_COUNT: break;
    case CORRELATE_VALUE_COUNT: *number = g->distinct ? (double)nummap_count(g->distinct) : 0; break;
    case CORRELATE_VALUE_SUM: *number = g->sum; break;
    case CORRELATE_TEMPORAL:
    case CORRELATE_TEMPORAL_ORDERED:
        for (size_t i = 0; i < k->rule_count; i++)
            if (!g->by_rule[i])
                return false;
        return k->type == CORRELATE_TEMPORAL || in_order(g);
    }
    return within(k, *number);
}

static void list_values(struct fired *f, const struct hit *h)
{
    if (!h->text || f->value_count == FIRED_VALUES_MAX)
        return;
    for (size_t i = 0; i < f->value_count; i++)
        if (bytes_equal_text(f->values[i], h->text))
            return;
    f->values[f->value_count++] = bytes_of_text(h->text);
}

static void fire(struct correlator *c, struct group *g, double number, bool live)
{
    const struct hit *newest = &g->hits[g->begin + g->count - 1];
    struct fired f = {.rule = g->rule, .time_ns = newest->time_ns, .first_ns = g->hits[g->begin].time_ns, .exchange = newest->exchange,
                      .group = g->key, .number = number, .matches = g->count, .live = live};
    for (size_t i = 0; i < g->count; i++) {
        const struct hit *h = &g->hits[g->begin + i];
        bool told = f.exchange_count && f.exchanges[f.exchange_count - 1] == h->exchange;
        if (!told && f.exchange_count < FIRED_EXCHANGES_MAX)
            f.exchanges[f.exchange_count++] = h->exchange;
        list_values(&f, h);
    }
    g->quiet_until_ns = newest->time_ns + g->rule->correlation->timespan_ns;
    c->fn(c->ctx, &f);
}

static void judge_window(struct correlator *c, struct group *g, int64_t now_ns)
{
    const struct correlation *k = g->rule->correlation;
    double number;
    if (g->window_ns == WHEN_UNKNOWN || now_ns - g->window_ns <= k->timespan_ns)
        return;
    if (g->count && judge(g, &number))
        fire(c, g, number, false);
    while (g->count)
        forget_first(c, g);
    g->window_ns = WHEN_UNKNOWN;
}

// ---- feeding ----------------------------------------------------------------------------------------------------------

static bool needs_value(const struct correlation *k)
{
    return k->type == CORRELATE_VALUE_COUNT || k->type == CORRELATE_VALUE_SUM;
}

// A later step without the one before it may be any call at all: it makes no group.
static bool is_early_step(struct correlator *c, const struct feed *feed, struct bytes key)
{
    const struct correlation *k = feed->correlation->correlation;
    if (k->type != CORRELATE_TEMPORAL_ORDERED || !feed->which)
        return false;
    struct map *groups = c->groups[feed->correlation->number];
    union map_value *v = groups ? map_find(groups, key) : NULL;
    return !v || !((struct group *)v->ptr)->by_rule[feed->which - 1];
}

static uint64_t early_key(struct bytes key)
{
    return map_hash(key, 21) | 1;
}

static void keep_early(struct correlator *c, const struct feed *feed, struct bytes key, const struct event *e)
{
    struct early_ring **ring = &c->early[feed->correlation->number];
    if (!*ring)
        *ring = mem_zero(1, sizeof **ring);
    if (!*ring)
        return;
    (*ring)->at[(*ring)->next] = (struct early){early_key(key), e->x->time_ns, e->x->id, (uint32_t)feed->which};
    (*ring)->next = ((*ring)->next + 1) % EARLY_MAX;
    (*ring)->count += (*ring)->count < EARLY_MAX;
}

// Step `which` has come: the steps behind it that were told before it, and happened after it, are taken into the group.
static void take_early(struct correlator *c, struct group *g, uint32_t which, int64_t time_ns)
{
    const struct correlation *k = g->rule->correlation;
    struct early_ring *ring = c->early[g->rule->number];
    uint64_t key = early_key(g->key);
    for (uint32_t step = which + 1; ring && step < k->rule_count; step++) {
        for (size_t i = 0; i < ring->count; i++) {
            struct early *early = &ring->at[i];
            bool in_time = early->time_ns >= time_ns && early->time_ns - time_ns <= k->timespan_ns;
            if (early->key != key || early->which != step || !in_time)
                continue;
            early->key = 0;
            add_hit(c, g, (struct hit){.time_ns = early->time_ns, .exchange = early->exchange, .which = step});
        }
        if (!g->by_rule[step])
            break;
    }
}

static void add_to_group(struct correlator *c, const struct feed *feed, struct bytes key, struct event *e)
{
    const struct correlation *k = feed->correlation->correlation;
    struct group *g = find_group(c, feed->correlation, key);
    struct hit hit = {.time_ns = e->x->time_ns, .exchange = e->x->id, .which = (uint32_t)feed->which};
    if (!g) {
        c->overflow++;
        return;
    }
    if (k->at_end) {
        judge_window(c, g, hit.time_ns);
        if (g->window_ns == WHEN_UNKNOWN)
            g->window_ns = hit.time_ns;
    }
    if (!needs_value(k) && !add_hit(c, g, hit))
        return;
    if (k->type == CORRELATE_TEMPORAL_ORDERED && hit.which + 1 < k->rule_count)
        take_early(c, g, hit.which, hit.time_ns);
    for (size_t i = 0; needs_value(k) && i < c->values.count; i++) {
        const struct value *v = &c->values.at[i];
        struct hit one = hit;
        if (k->type == CORRELATE_VALUE_SUM) {
            one.number = v->real;
        } else {
            char room[VALUE_TEXT_ROOM];
            struct bytes text = value_text(v, room);
            one.hash = map_hash(text, 0);
            one.text = mem_text_copy(text.at, text.size < VALUE_SIZE_MAX ? text.size : VALUE_SIZE_MAX);
        }
        if (!add_hit(c, g, one))
            mem_free(one.text);
    }
    if (!k->at_end)
        slide(c, g);
    double number;
    if (k->at_end || !g->count || (g->quiet_until_ns != WHEN_UNKNOWN && hit.time_ns <= g->quiet_until_ns) || !judge(g, &number))
        return;
    fire(c, g, number, g->hits[g->begin + g->count - 1].exchange == e->x->id);
    if (feed->correlation->feed_count && c->chain_count < CHAIN_MAX)
        c->chain[c->chain_count++] = feed->correlation;
}

// Calls add_to_group for every combination of the group-by fields' values.
static void each_group(struct correlator *c, const struct feed *feed, struct event *e)
{
    const struct correlation *k = feed->correlation->correlation;
    uint8_t key[GROUP_KEY_MAX];
    size_t combinations = 1;
    for (size_t i = 0; i < k->key_count; i++) {
        values_clear(&c->keys[i]);
        k->keys[i].field[feed->which].get(e, &k->keys[i].field[feed->which], &c->keys[i]);
        if (!c->keys[i].count)
            values_add_text(&c->keys[i], (struct bytes){0});
        combinations *= c->keys[i].count ? c->keys[i].count : 1;
        if (combinations > COMBINATIONS_MAX) {
            c->overflow++;
            combinations = COMBINATIONS_MAX;
        }
    }
    for (size_t n = 0; n < combinations; n++) {
        size_t size = 0, rest = n;
        for (size_t i = 0; i < k->key_count; i++) {
            char room[VALUE_TEXT_ROOM];
            struct bytes text = c->keys[i].count ? value_text(&c->keys[i].at[rest % c->keys[i].count], room) : (struct bytes){0};
            rest /= c->keys[i].count ? c->keys[i].count : 1;
            if (i && size < sizeof key)
                key[size++] = 0x1f;
            size_t part = text.size < sizeof key - size ? text.size : sizeof key - size;
            if (part)
                memcpy(key + size, text.at, part);
            size += part;
        }
        if (is_early_step(c, feed, bytes_of(key, size)))
            keep_early(c, feed, bytes_of(key, size), e);
        else
            add_to_group(c, feed, bytes_of(key, size), e);
    }
}

bool correlator_wants(struct correlator *c, const struct feed *feed, struct event *e)
{
    const struct correlation *k = feed->correlation->correlation;
    if (!needs_value(k))
        return true;
    values_clear(&c->values);
    k->value[feed->which].get(e, &k->value[feed->which], &c->values);
    return c->values.count > 0;
}

void correlator_feed_one(struct correlator *c, const struct feed *feed, struct event *e)
{
    if (e->x->time_ns > c->now_ns)
        c->now_ns = e->x->time_ns;
    if (correlator_wants(c, feed, e))
        each_group(c, feed, e);
    // Chained ones only now: they use the same scratch.
    while (c->chain_count && c->depth < CHAIN_DEPTH_MAX) {
        const struct rule *fired = c->chain[--c->chain_count];
        c->depth++;
        correlator_feed(c, fired, e);
        c->depth--;
    }
}

void correlator_feed(struct correlator *c, const struct rule *rule, struct event *e)
{
    for (size_t i = 0; i < rule->feed_count; i++)
        if (rule->feeds[i].correlation->needed)
            correlator_feed_one(c, &rule->feeds[i], e);
}

void correlator_tick(struct correlator *c, int64_t now_ns)
{
    for (struct group *g = c->oldest, *next; g; g = next) {
        next = g->newer;
        const struct correlation *k = g->rule->correlation;
        if (k->at_end)
            judge_window(c, g, now_ns);
        int64_t last_ns = g->count ? g->hits[g->begin + g->count - 1].time_ns : WHEN_UNKNOWN;
        bool over = last_ns == WHEN_UNKNOWN || now_ns - last_ns > k->timespan_ns;
        if (over && (g->quiet_until_ns == WHEN_UNKNOWN || now_ns > g->quiet_until_ns))
            drop_group(c, g);
    }
}

uint64_t correlator_overflow(const struct correlator *c)
{
    return c->overflow;
}

int64_t correlator_longest_ns(const struct rules *rules)
{
    int64_t longest = 0;
    for (size_t i = 0; i < rules->all.count; i++) {
        const struct rule *r = rules->all.at[i];
        if (r->correlation && !r->refused && r->correlation->timespan_ns > longest)
            longest = r->correlation->timespan_ns;
    }
    return longest;
}
