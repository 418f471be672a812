// The proof of completeness: bitmaps of recorded sequence numbers, the holes in them, and what explains the holes.
//
// Invariants: 1. a number counts once, however many answers repeat it. 2. memory is one bit per number seen, in chunks of
// 65,536 numbers. 3. holes beyond CHECK_HOLES_MAX per shard are counted, not listed.
#include "check.h"

#include "../../include/when.h"
#include "../base/map.h"
#include "../base/mem.h"

#include <stdlib.h>

enum { CHUNK_BITS = 65536, CHUNK_BYTES = CHUNK_BITS / 8, CHUNKS_MAX = 16384, TERMS_MAX = 32, ASKED_MAX = 16384 };

struct term {
    int64_t term, first_ns; // its earliest answer
    int64_t *asked_ns;      // when its first operations were asked
    size_t asked, room;
};

struct shard {
    struct check_shard out;
    struct term terms[TERMS_MAX]; // of the second feeding
    size_t term_count;
    struct nummap *chunks; // number / CHUNK_BITS -> bitmap
    struct check_hole *holes;
    size_t hole_room;
};

struct check {
    struct map *shard_of, *life_of; // packed key -> index + 1
    struct shard **shards;
    size_t shard_count, shard_room;
    struct check_life *lives;
    size_t life_count, life_room;
    size_t chunks; // in all: numbers scattered beyond CHUNKS_MAX chunks (hostile) count as having none
};

struct key {
    int64_t life;
    uint32_t name;
    int32_t shard;
};

struct check *check_open(void)
{
    struct check *c = mem_zero(1, sizeof *c);
    if (!c)
        return NULL;
    c->shard_of = map_open();
    c->life_of = map_open();
    if (!c->shard_of || !c->life_of) {
        check_close(c);
        return NULL;
    }
    return c;
}

static void free_shard(struct shard *s)
{
    nummap_close_each(s->chunks, mem_free);
    for (size_t i = 0; i < s->term_count; i++)
        mem_free(s->terms[i].asked_ns);
    mem_free(s->holes);
    mem_free(s);
}

void check_close(struct check *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->shard_count; i++)
        free_shard(c->shards[i]);
    mem_free(c->shards);
    mem_free(c->lives);
    if (c->shard_of)
        map_close(c->shard_of);
    if (c->life_of)
        map_close(c->life_of);
    mem_free(c);
}

static struct shard *shard_get(struct check *c, uint32_t name, int64_t life, int shard)
{
    struct key k;
    memset(&k, 0, sizeof k);
    k.name = name;
    k.life = life;
    k.shard = shard;
    bool fresh;
    union map_value *v = map_put(c->shard_of, bytes_of(&k, sizeof k), &fresh);
    if (!v)
        return NULL;
    if (!fresh)
        return v->num ? c->shards[v->num - 1] : NULL;
    if (c->shard_count == c->shard_room) {
        size_t room = c->shard_room ? c->shard_room * 2 : 16;
        struct shard **grown = mem_grow(c->shards, room * sizeof *grown);
        if (!grown)
            return NULL;
        c->shards = grown;
        c->shard_room = room;
    }
    struct shard *s = mem_zero(1, sizeof *s);
    if (!s || !(s->chunks = nummap_open())) {
        mem_free(s);
        return NULL;
    }
    s->out = (struct check_shard){.name = name, .life = life, .shard = shard, .first = OP_NONE, .last = OP_NONE, .expected_first = OP_NONE, .floor = OP_NONE,
                                  .term_first = OP_NONE, .term_last = OP_NONE, .time_first_ns = WHEN_UNKNOWN, .time_last_ns = WHEN_UNKNOWN};
    c->shards[c->shard_count++] = s;
    v->num = c->shard_count;
    return s;
}

static struct check_life *life_get(struct check *c, uint32_t name, int64_t life)
{
    struct key k;
    memset(&k, 0, sizeof k);
    k.name = name;
    k.life = life;
    bool fresh;
    union map_value *v = map_put(c->life_of, bytes_of(&k, sizeof k), &fresh);
    if (!v)
        return NULL;
    if (!fresh)
        return v->num ? &c->lives[v->num - 1] : NULL;
    if (c->life_count == c->life_room) {
        size_t room = c->life_room ? c->life_room * 2 : 16;
        struct check_life *grown = mem_grow(c->lives, room * sizeof *grown);
        if (!grown)
            return NULL;
        c->lives = grown;
        c->life_room = room;
    }
    c->lives[c->life_count] = (struct check_life){.name = name, .life = life};
    v->num = ++c->life_count;
    return &c->lives[v->num - 1];
}

// 1: set now, 0: was set before, -1: memory out, 2: no room for so scattered a number
static int mark(struct check *c, struct shard *s, int64_t number)
{
    bool fresh;
    uint64_t chunk = (uint64_t)number / CHUNK_BITS;
    if (c->chunks >= CHUNKS_MAX && !nummap_find(s->chunks, chunk))
        return 2;
    union map_value *v = nummap_put(s->chunks, chunk, &fresh);
    if (!v)
        return -1;
    if (!v->ptr) {
        if (!(v->ptr = mem_zero(1, CHUNK_BYTES)))
            return -1;
        c->chunks++;
    }
    uint8_t *bits = v->ptr;
    size_t bit = (size_t)number % CHUNK_BITS;
    if (bits[bit / 8] & (1u << (bit % 8)))
        return 0;
    bits[bit / 8] |= (uint8_t)(1u << (bit % 8));
    return 1;
}

bool check_feed(struct check *c, const struct check_op *op)
{
    struct check_life *life = life_get(c, op->name, op->life);
    if (!life)
        return false;
    if (op->engine_failure)
        life->engine_failures++;
    else if (op->unanswered)
        life->unanswered++;
    if (!op->accepted)
        return true;
    life->ops++;
    if (op->seq_no < 0) {
        life->accepted_without_number++;
        return true;
    }
    life->numbered++;
    struct shard *s = shard_get(c, op->name, op->life, op->shard);
    int fresh = s ? mark(c, s, op->seq_no) : -1;
    if (fresh < 0)
        return false;
    if (fresh == 2) {
        life->numbered--;
        life->accepted_without_number++;
        return true;
    }
    struct check_shard *o = &s->out;
    o->numbers += fresh == 1;
    o->repeated += fresh == 0;
    if (o->first == OP_NONE || op->seq_no < o->first)
        o->first = op->seq_no;
    if (op->seq_no > o->last)
        o->last = op->seq_no;
    if (op->primary_term >= 0 && (o->term_first == OP_NONE || op->primary_term < o->term_first))
        o->term_first = op->primary_term;
    if (op->primary_term > o->term_last)
        o->term_last = op->primary_term;
    if (o->time_first_ns == WHEN_UNKNOWN || op->time_ns < o->time_first_ns)
        o->time_first_ns = op->time_ns;
    if (o->time_last_ns == WHEN_UNKNOWN || op->answered_ns > o->time_last_ns)
        o->time_last_ns = op->answered_ns;
    return true;
}

bool check_explain(struct check *c, uint32_t name, int64_t life_key, uint64_t by_query, uint64_t own)
{
    struct check_life *life = life_get(c, name, life_key);
    if (!life)
        return false;
    life->by_query += by_query;
    life->own += own;
    return true;
}

bool check_expect(struct check *c, uint32_t name, int64_t life, int shard, int64_t first)
{
    struct shard *s = shard_get(c, name, life, shard);
    if (!s)
        return false;
    s->out.expected_first = first;
    return true;
}

bool check_floor(struct check *c, uint32_t name, int64_t life, int shard, int64_t floor)
{
    struct shard *s = shard_get(c, name, life, shard);
    if (!s)
        return false;
    s->out.floor = floor;
    return true;
}

bool check_chain(struct check *c, uint32_t name, int64_t life_key, bool whole)
{
    struct check_life *life = life_get(c, name, life_key);
    if (!life)
        return false;
    life->chains_proven += whole;
    life->chains_broken += !whole;
    return true;
}

static bool add_hole(struct shard *s, int64_t from, int64_t to)
{
    if (from < s->out.floor && to >= s->out.floor)
        return add_hole(s, from, s->out.floor - 1) && add_hole(s, s->out.floor, to);
    if (from >= s->out.floor) // also where there is none: OP_NONE is below every number
        s->out.missing += (uint64_t)(to - from) + 1;
    if (s->out.hole_count == CHECK_HOLES_MAX)
        return true;
    if (s->out.hole_count == s->hole_room) {
        size_t room = s->hole_room ? s->hole_room * 2 : 16;
        struct check_hole *grown = mem_grow(s->holes, room * sizeof *grown);
        if (!grown)
            return false;
        s->holes = grown;
        s->hole_room = room;
    }
    s->holes[s->out.hole_count++] = (struct check_hole){.from = from, .to = to, .after_ns = WHEN_UNKNOWN, .until_ns = WHEN_UNKNOWN};
    return true;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

// Walks the chunks in order; absent chunks are holes as a whole, so a wild number costs nothing.
static bool find_holes(struct shard *s)
{
    size_t count = nummap_count(s->chunks), at = 0, n = 0;
    uint64_t *order = mem_alloc(count * sizeof *order), key;
    union map_value *v;
    if (!order)
        return false;
    while (nummap_next(s->chunks, &at, &key, &v))
        order[n++] = key;
    qsort(order, n, sizeof *order, by_number);
    int64_t next = s->out.expected_first != OP_NONE ? s->out.expected_first : s->out.first;
    if (s->out.floor != OP_NONE && s->out.floor < next)
        next = s->out.floor;
    bool ok = true;
    for (size_t i = 0; i < n && ok; i++) {
        const uint8_t *bits = nummap_find(s->chunks, order[i])->ptr;
        for (size_t b = 0; b < CHUNK_BITS && ok; b++) {
            if (b % 8 == 0 && !bits[b / 8]) {
                b += 7;
                continue;
            }
            int64_t number = (int64_t)(order[i] * CHUNK_BITS + b);
            if (!(bits[b / 8] & (1u << (b % 8))) || number < next)
                continue;
            if (number > next)
                ok = add_hole(s, next, number - 1);
            next = number + 1;
        }
    }
    mem_free(order);
    return ok;
}

static int by_key(const void *a, const void *b)
{
    const struct check_shard *x = &(*(struct shard *const *)a)->out, *y = &(*(struct shard *const *)b)->out;
    if (x->name != y->name)
        return x->name < y->name ? -1 : 1;
    if (x->life != y->life)
        return x->life < y->life ? -1 : 1;
    return x->shard < y->shard ? -1 : x->shard > y->shard;
}

static int life_by_key(const void *a, const void *b)
{
    const struct check_life *x = a, *y = b;
    if (x->name != y->name)
        return x->name < y->name ? -1 : 1;
    return x->life < y->life ? -1 : x->life > y->life;
}

static void judge_life(struct check *c, struct check_life *life)
{
    life->missing = 0;
    for (size_t i = 0; i < c->shard_count; i++)
        if (c->shards[i]->out.name == life->name && c->shards[i]->out.life == life->life)
            life->missing += c->shards[i]->out.missing;
    uint64_t sure = life->accepted_without_number + life->by_query + life->own;
    uint64_t possible = sure + life->unanswered + life->engine_failures + life->primary_changes;
    life->explained = life->missing < possible ? life->missing : possible;
    life->unexplained = life->missing - life->explained;
    life->verdict = !life->numbered      ? CHECK_NO_PROOF
                    : life->unexplained  ? CHECK_MISSING
                    : life->missing      ? CHECK_EXPLAINED
                                         : CHECK_PROVEN;
    if (life->verdict == CHECK_PROVEN && life->accepted_without_number)
        life->verdict = CHECK_EXPLAINED;
    for (size_t i = 0; i < c->shard_count; i++) {
        struct check_shard *s = &c->shards[i]->out;
        if (s->name == life->name && s->life == life->life)
            s->verdict = !s->numbers ? CHECK_NO_PROOF : !s->missing ? CHECK_PROVEN : life->unexplained ? CHECK_MISSING : CHECK_EXPLAINED;
    }
}

bool check_finish(struct check *c)
{
    for (size_t i = 0; i < c->shard_count; i++) {
        if (c->shards[i]->out.numbers && !find_holes(c->shards[i]))
            return false;
        c->shards[i]->out.holes = c->shards[i]->holes;
    }
    if (c->shard_count)
        qsort(c->shards, c->shard_count, sizeof *c->shards, by_key);
    if (c->life_count)
        qsort(c->lives, c->life_count, sizeof *c->lives, life_by_key);
    // The maps name places before the sort; lookups by key now go through a search of the sorted arrays.
    for (size_t i = 0; i < c->life_count; i++)
        judge_life(c, &c->lives[i]);
    return true;
}

bool check_has_holes(const struct check *c)
{
    for (size_t i = 0; i < c->shard_count; i++)
        if (c->shards[i]->out.hole_count)
            return true;
    return false;
}

static struct shard *find_sorted(const struct check *c, uint32_t name, int64_t life, int shard)
{
    struct shard probe = {.out = {.name = name, .life = life, .shard = shard}};
    const struct shard *key = &probe;
    struct shard **found = c->shard_count ? bsearch(&key, c->shards, c->shard_count, sizeof *c->shards, by_key) : NULL;
    return found ? *found : NULL;
}

const struct check_shard *check_find_shard(const struct check *c, uint32_t name, int64_t life, int shard)
{
    const struct shard *s = find_sorted(c, name, life, shard);
    return s ? &s->out : NULL;
}

// The first hole whose end lies at or behind `number`.
static size_t hole_from(const struct shard *s, int64_t number)
{
    size_t low = 0, high = s->out.hole_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (s->holes[mid].to < number)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void note_term(struct shard *s, const struct check_op *op)
{
    size_t i = 0;
    while (i < s->term_count && s->terms[i].term != op->primary_term)
        i++;
    if (op->primary_term < 0 || op->answered_ns == WHEN_UNKNOWN || i == TERMS_MAX)
        return;
    struct term *t = &s->terms[i];
    if (i == s->term_count)
        s->terms[s->term_count++] = (struct term){.term = op->primary_term, .first_ns = op->answered_ns};
    else if (op->answered_ns < t->first_ns)
        t->first_ns = op->answered_ns;
    if (t->term == s->out.term_first || t->asked == ASKED_MAX)
        return;
    if (t->asked == t->room) {
        size_t room = t->room ? t->room * 2 : 64;
        int64_t *grown = mem_grow(t->asked_ns, room * sizeof *grown);
        if (!grown)
            return; // less is explained then
        t->asked_ns = grown;
        t->room = room;
    }
    t->asked_ns[t->asked++] = op->time_ns;
}

// So many operations of the terms behind the first were under way when their primary took over: no more can have run before.
static uint64_t run_again(const struct shard *s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s->term_count; i++)
        for (size_t k = 0; k < s->terms[i].asked; k++)
            n += s->terms[i].asked_ns[k] <= s->terms[i].first_ns;
    return n;
}

// What a primary had under way when it was lost is run again by the next one, under a number of its own; the first number
// stays without an answer. So long before the new term's first answer may it have been given.
#define RETRIED_NS (60 * WHEN_NS_PER_S)

static bool at_primary_change(const struct shard *s, const struct check_hole *h)
{
    for (size_t i = 0; i < s->term_count; i++) {
        const struct term *t = &s->terms[i];
        if (t->term != s->out.term_first && (h->after_ns == WHEN_UNKNOWN || h->after_ns <= t->first_ns) &&
            (h->until_ns == WHEN_UNKNOWN || h->until_ns >= t->first_ns - RETRIED_NS))
            return true;
    }
    return false;
}

void check_conclude(struct check *c)
{
    for (size_t i = 0; i < c->shard_count; i++) {
        struct shard *s = c->shards[i];
        struct check_life *life = NULL;
        for (size_t l = 0; l < c->life_count; l++)
            if (c->lives[l].name == s->out.name && c->lives[l].life == s->out.life)
                life = &c->lives[l];
        uint64_t near = 0, again = run_again(s);
        for (size_t h = 0; h < s->out.hole_count && life; h++) {
            s->holes[h].primary_change = at_primary_change(s, &s->holes[h]);
            if (s->holes[h].primary_change && s->holes[h].from >= s->out.floor)
                near += (uint64_t)(s->holes[h].to - s->holes[h].from) + 1;
        }
        if (life)
            life->primary_changes += near < again ? near : again;
    }
    for (size_t i = 0; i < c->life_count; i++)
        judge_life(c, &c->lives[i]);
}

void check_locate(struct check *c, const struct check_op *op)
{
    if (!op->accepted || op->seq_no < 0)
        return;
    struct shard *s = find_sorted(c, op->name, op->life, op->shard);
    if (!s || !s->out.hole_count)
        return;
    note_term(s, op);
    size_t i = hole_from(s, op->seq_no);
    if (i < s->out.hole_count && s->holes[i].from == op->seq_no + 1) {
        s->holes[i].after_ns = op->time_ns;
        s->holes[i].before_exchange = op->exchange;
    }
    if (i > 0 && s->holes[i - 1].to == op->seq_no - 1) {
        s->holes[i - 1].until_ns = op->answered_ns;
        s->holes[i - 1].behind_exchange = op->exchange;
    }
}

size_t check_shard_count(const struct check *c)
{
    return c->shard_count;
}

const struct check_shard *check_shard(const struct check *c, size_t i)
{
    return &c->shards[i]->out;
}

size_t check_life_count(const struct check *c)
{
    return c->life_count;
}

const struct check_life *check_life(const struct check *c, size_t i)
{
    return &c->lives[i];
}
