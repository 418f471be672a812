// Remembers what is usual, in bounded maps, from the exchanges that pass.
//
// 1. Times are packet times; nothing is concluded before there is enough history to conclude it from.
// 2. A full map refuses new entries after dropping what has not been touched for an hour; refusals are counted.
// 3. The number of documents of an index is known only from its birth on, or from a count of the whole index.
#include "baseline.h"

#include "../base/glob.h"
#include "../base/map.h"
#include "../base/mem.h"
#include "event.h"

#include <stdio.h>
#include <stdlib.h>

enum { ACTORS_MAX = 262144, WRITERS_MAX = 524288, INDEX_BYTES = 256, USUAL_WRITES = 50 };
#define LIVE_NS (600 * WHEN_NS_PER_S)          // "takes writes": within the last ten minutes
#define HISTORY_NS (86400 * WHEN_NS_PER_S)     // before this nobody is "new"
#define NEW_NS (600 * WHEN_NS_PER_S)           // how long a newcomer is one
#define USUAL_NS (600 * WHEN_NS_PER_S)         // how long an index must have been written to have habits
#define STALE_NS (3600 * WHEN_NS_PER_S)
#define RATE_NS (60 * WHEN_NS_PER_S)

struct index_usual {
    int64_t first_ns, last_ns;
    uint64_t writes, by_hand;     // exchanges
    int64_t docs;                 // of which docs_known tells whether it is known
    bool docs_known, unsaved;
    int64_t rate_from_ns;
    uint64_t rate_docs;
    double rate;
};

struct newcomer {
    bool writer;
    uint64_t key;
    int64_t first_ns;
};

struct baseline {
    struct map *indices;
    struct nummap *actors, *writers;
    size_t indices_max;
    struct buf fresh;             // struct newcomer: remembered and not saved yet
    bool begin_saved;
    int64_t begin_ns, gap_from_ns, gap_to_ns;
    uint64_t evicted;
    struct bytes last_name;       // of the newest op, in last_text
    struct index_usual *last_index;
    uint8_t last_text[256];
};

struct baseline *baseline_open(size_t state_bytes_max)
{
    struct baseline *b = mem_zero(1, sizeof *b);
    if (!b)
        return NULL;
    b->indices = map_open();
    b->actors = nummap_open();
    b->writers = nummap_open();
    b->indices_max = state_bytes_max / INDEX_BYTES < 1024 ? 1024 : state_bytes_max / INDEX_BYTES;
    b->begin_ns = b->gap_from_ns = b->gap_to_ns = WHEN_UNKNOWN;
    if (!b->indices || !b->actors || !b->writers) {
        baseline_close(b);
        return NULL;
    }
    return b;
}

void baseline_close(struct baseline *b)
{
    if (!b)
        return;
    map_close_each(b->indices, mem_free);
    nummap_close(b->actors);
    nummap_close(b->writers);
    buf_fini(&b->fresh);
    mem_free(b);
}

// ---- indices ----------------------------------------------------------------------------------------------------------

static struct index_usual *find_index(const struct baseline *b, struct bytes name)
{
    union map_value *v = map_find(b->indices, name);
    return v ? v->ptr : NULL;
}

static void drop_stale(struct baseline *b, int64_t now_ns)
{
    struct bytes key, gone[256];
    size_t count = 0, at = 0;
    union map_value *v;
    while (count < 256 && map_next(b->indices, &at, &key, &v)) {
        const struct index_usual *u = v->ptr;
        if (u->last_ns == WHEN_UNKNOWN || now_ns - u->last_ns > STALE_NS)
            gone[count++] = key;
    }
    b->last_index = NULL;
    for (size_t i = 0; i < count; i++) {
        char *name = mem_text_copy(gone[i].at, gone[i].size); // the map's own copy dies with the entry
        if (!name)
            return;
        mem_free(find_index(b, gone[i]));
        map_drop(b->indices, bytes_of(name, gone[i].size));
        mem_free(name);
        b->evicted++;
    }
}

static struct index_usual *make_index(struct baseline *b, struct bytes name, int64_t now_ns)
{
    struct index_usual *u = find_index(b, name);
    if (u || !name.size)
        return u;
    if (map_count(b->indices) >= b->indices_max)
        drop_stale(b, now_ns);
    if (map_count(b->indices) >= b->indices_max) {
        b->evicted++;
        return NULL;
    }
    u = mem_zero(1, sizeof *u);
    union map_value *v = u ? map_put(b->indices, name, NULL) : NULL;
    if (!v) {
        mem_free(u);
        return NULL;
    }
    u->first_ns = u->last_ns = WHEN_UNKNOWN;
    v->ptr = u;
    return u;
}

static bool is_name(struct bytes target)
{
    return target.size && target.at[0] != '-' && target.at[0] != '<' && !glob_is_pattern(target) && !bytes_equal_text(target, "_all");
}

// ---- who --------------------------------------------------------------------------------------------------------------

static uint64_t actor_of(const struct exchange *x)
{
    return map_hash(x->principal, 1) * 31 + map_hash(bytes_of(x->client.ip, 16), 2);
}

static uint64_t writer_of(const struct exchange *x, struct bytes index)
{
    return actor_of(x) ^ map_hash(index, 3);
}

static void remember(struct baseline *b, struct nummap *m, uint64_t key, size_t max, int64_t now_ns)
{
    if (nummap_find(m, key))
        return;
    if (nummap_count(m) >= max) {
        b->evicted++;
        return;
    }
    union map_value *v = nummap_put(m, key, NULL);
    if (!v)
        return;
    v->num = (uint64_t)now_ns;
    struct newcomer n = {m == b->writers, key, now_ns};
    buf_add(&b->fresh, &n, sizeof n);
}

static bool is_doc_write(const struct exchange *x)
{
    static const struct {
        const char *name;
        size_t size;
    } apis[] = {{"bulk", 4}, {"index", 5}, {"update", 6}, {"delete", 6}, {"create", 6}, {"bulk_stream", 11}};
    for (size_t i = 0; i < sizeof apis / sizeof *apis; i++)
        if (x->api.size == apis[i].size && memcmp(x->api.at, apis[i].name, apis[i].size) == 0)
            return (x->flags & EXCHANGE_WRITE) != 0;
    return false;
}

static bool by_hand(const struct exchange *x)
{
    return agent_kind_of(x->agent, x->opaque_id) >= AGENT_TOOL;
}

// ---- learning ---------------------------------------------------------------------------------------------------------

static void note_write(struct baseline *b, const struct exchange *x, struct bytes name, uint64_t docs, bool last_word)
{
    struct index_usual *u = make_index(b, name, x->time_ns);
    if (!u)
        return;
    if (u->first_ns == WHEN_UNKNOWN)
        u->first_ns = u->rate_from_ns = x->time_ns;
    if (x->time_ns > u->last_ns)
        u->last_ns = x->time_ns;
    u->unsaved = true;
    if (!last_word)
        return;
    u->writes++;
    u->by_hand += by_hand(x);
    u->rate_docs += docs;
    if (x->time_ns - u->rate_from_ns >= RATE_NS) {
        u->rate = (double)u->rate_docs * 1e9 / (double)(x->time_ns - u->rate_from_ns);
        u->rate_from_ns = x->time_ns;
        u->rate_docs = 0;
    }
    remember(b, b->writers, writer_of(x, name), WRITERS_MAX, x->time_ns);
}

static void note_writes(struct baseline *b, const struct exchange *x, bool last_word)
{
    for (size_t i = 0; i < x->index_count; i++) {
        const struct exchange_index *n = &x->indices[i];
        if (is_name(n->index))
            note_write(b, x, n->index, (uint64_t)n->ok + n->deleted + n->failed + n->unknown, last_word);
    }
    for (size_t i = 0; i < x->target_count; i++) {
        bool told = !is_name(x->targets[i]);
        for (size_t j = 0; j < x->index_count && !told; j++)
            told = bytes_equal(x->indices[j].index, x->targets[i]);
        if (!told)
            note_write(b, x, x->targets[i], x->docs > 0 ? (uint64_t)x->docs : 1, last_word);
    }
}

void baseline_write(struct baseline *b, const struct exchange *x)
{
    if (is_doc_write(x))
        note_writes(b, x, false);
}

void baseline_ops(struct baseline *b, const struct op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct op *op = &ops[i];
        if (op->result != OP_CREATED && op->result != OP_DELETED)
            continue;
        if (!b->last_index || !bytes_equal(b->last_name, op->index)) {
            if (op->index.size > sizeof b->last_text)
                continue;
            b->last_index = find_index(b, op->index);
            if (!b->last_index)
                b->last_index = make_index(b, op->index, 0);
            if (op->index.size)
                memcpy(b->last_text, op->index.at, op->index.size);
            b->last_name = bytes_of(b->last_text, op->index.size);
        }
        struct index_usual *u = b->last_index;
        if (!u)
            continue;
        if (op->result == OP_CREATED && op->seq_no == 0 && op->version == 1 && !u->docs_known && !u->writes) {
            u->docs_known = true; // its first document: it is counted from birth
            u->docs = 0;
        }
        u->docs += op->result == OP_CREATED ? 1 : -1;
    }
}

// A whole index counted: no query, no filter, one name.
static void note_count(struct baseline *b, const struct exchange *x)
{
    bool counts = bytes_equal_text(x->api, "count") || bytes_equal_text(x->api, "search") || bytes_equal_text(x->api, "cat.count");
    if (!counts || x->docs_total < 0 || x->outcome != OUTCOME_OK || x->target_count != 1 || x->body_head.size || !is_name(x->targets[0]))
        return;
    if (x->path.size && memmem(x->path.at, x->path.size, "q=", 2))
        return;
    if (bytes_equal_text(x->api, "search") && x->docs_total == 10000) // the cluster stops counting there
        return;
    struct index_usual *u = find_index(b, x->targets[0]);
    if (!u)
        return;
    u->docs = x->docs_total;
    u->docs_known = u->unsaved = true;
}

static void note_admin(struct baseline *b, const struct exchange *x)
{
    if (x->outcome != OUTCOME_OK && x->outcome != OUTCOME_UNANSWERED)
        return;
    bool born = bytes_equal_text(x->api, "indices.create"), died = bytes_equal_text(x->api, "indices.delete");
    bool by_query = bytes_equal_text(x->api, "delete_by_query");
    if (!born && !died && !by_query && !bytes_equal_text(x->api, "reindex"))
        return;
    for (size_t i = 0; i < x->target_count; i++) {
        struct index_usual *u = is_name(x->targets[i]) ? born ? make_index(b, x->targets[i], x->time_ns) : find_index(b, x->targets[i]) : NULL;
        if (!u)
            continue;
        u->unsaved = true;
        if (by_query) {
            u->docs -= x->docs_deleted > 0 && x->target_count == 1 ? x->docs_deleted : 0;
            u->docs_known = u->docs_known && x->target_count == 1 && u->docs >= 0;
            continue;
        }
        u->docs = 0;
        u->docs_known = born;
        b->last_index = NULL;
    }
}

void baseline_see(struct baseline *b, const struct exchange *x)
{
    if (b->begin_ns == WHEN_UNKNOWN)
        b->begin_ns = x->time_ns;
    remember(b, b->actors, actor_of(x), ACTORS_MAX, x->time_ns);
    if (is_doc_write(x))
        note_writes(b, x, true);
    else if (x->flags & EXCHANGE_WRITE)
        note_admin(b, x);
    else if (x->docs_total >= 0)
        note_count(b, x);
}

void baseline_gap(struct baseline *b, const struct stream_gap *gap)
{
    switch (gap->cause) {
    case GAP_LOST:
    case GAP_EVICTED:
    case GAP_KERNEL:
    case GAP_NOT_RECORDING:
    case GAP_DISK: break;
    default: return; // a snap length, a late start, the end: nothing was missed that would have been recorded
    }
    if (gap->to_ns > b->gap_to_ns)
        b->gap_from_ns = gap->from_ns, b->gap_to_ns = gap->to_ns;
}

// ---- across restarts ----------------------------------------------------------------------------------------------------

static bool save_newcomers(struct baseline *b, seen_fn *put, void *ctx)
{
    const struct newcomer *at = (const void *)buf_view(&b->fresh).at;
    bool ok = true;
    for (size_t i = 0; ok && i < b->fresh.size / sizeof *at; i++) {
        char word[17];
        snprintf(word, sizeof word, "%016llx", (unsigned long long)at[i].key);
        struct seen row = {.kind = at[i].writer ? "writer" : "actor", .word = bytes_of_text(word), .first_us = when_us(at[i].first_ns), .docs = -1};
        row.last_us = row.first_us;
        ok = put(ctx, &row);
    }
    return ok;
}

bool baseline_save(struct baseline *b, seen_fn *put, void *ctx)
{
    struct seen begin = {.kind = "begin", .first_us = when_us(b->begin_ns), .last_us = when_us(b->begin_ns), .docs = -1};
    if (b->begin_ns == WHEN_UNKNOWN)
        return true;
    if ((!b->begin_saved && !put(ctx, &begin)) || !save_newcomers(b, put, ctx))
        return false;
    size_t at = 0;
    struct bytes name;
    union map_value *v;
    while (map_next(b->indices, &at, &name, &v)) {
        const struct index_usual *u = v->ptr;
        if (!u->unsaved || u->first_ns == WHEN_UNKNOWN)
            continue;
        struct seen row = {.kind = "index", .word = name, .first_us = when_us(u->first_ns), .last_us = when_us(u->last_ns),
                           .writes = (int64_t)u->writes, .by_hand = (int64_t)u->by_hand, .docs = u->docs_known && u->docs >= 0 ? u->docs : -1};
        if (!put(ctx, &row))
            return false;
    }
    return true;
}

void baseline_saved(struct baseline *b)
{
    size_t at = 0;
    struct bytes name;
    union map_value *v;
    b->begin_saved = b->begin_ns != WHEN_UNKNOWN;
    buf_clear(&b->fresh);
    while (map_next(b->indices, &at, &name, &v))
        ((struct index_usual *)v->ptr)->unsaved = false;
}

static void load_index(struct baseline *b, const struct seen *seen)
{
    struct index_usual *u = make_index(b, seen->word, seen->last_us * WHEN_NS_PER_US);
    int64_t first_ns = seen->first_us * WHEN_NS_PER_US, last_ns = seen->last_us * WHEN_NS_PER_US;
    if (!u)
        return;
    if (u->first_ns == WHEN_UNKNOWN)
        u->rate_from_ns = last_ns;
    u->first_ns = u->first_ns == WHEN_UNKNOWN || first_ns < u->first_ns ? first_ns : u->first_ns;
    u->last_ns = last_ns > u->last_ns ? last_ns : u->last_ns;
    u->writes = (uint64_t)seen->writes > u->writes ? (uint64_t)seen->writes : u->writes;
    u->by_hand = (uint64_t)seen->by_hand > u->by_hand ? (uint64_t)seen->by_hand : u->by_hand;
    if (seen->docs >= 0) {
        u->docs = seen->docs;
        u->docs_known = true;
    }
}

void baseline_load(struct baseline *b, const struct seen *seen)
{
    int64_t first_ns = seen->first_us * WHEN_NS_PER_US;
    bool writer = strcmp(seen->kind, "writer") == 0, fresh = false;
    if (strcmp(seen->kind, "begin") == 0) {
        b->begin_ns = b->begin_ns == WHEN_UNKNOWN || first_ns < b->begin_ns ? first_ns : b->begin_ns;
        b->begin_saved = true;
    } else if (strcmp(seen->kind, "index") == 0) {
        load_index(b, seen);
    } else if ((writer || strcmp(seen->kind, "actor") == 0) && seen->word.size == 16) {
        char word[17] = "";
        memcpy(word, seen->word.at, 16);
        struct nummap *m = writer ? b->writers : b->actors;
        union map_value *v = nummap_count(m) < (writer ? WRITERS_MAX : ACTORS_MAX) ? nummap_put(m, strtoull(word, NULL, 16), &fresh) : NULL;
        if (v && (fresh || first_ns < (int64_t)v->num))
            v->num = (uint64_t)first_ns;
    }
}

// ---- asking -----------------------------------------------------------------------------------------------------------

static bool is_live(const struct index_usual *u, int64_t now_ns)
{
    return u && u->last_ns != WHEN_UNKNOWN && now_ns - u->last_ns <= LIVE_NS && now_ns - u->last_ns > -LIVE_NS;
}

static bool excluded(const struct exchange *x, size_t from, struct bytes name)
{
    for (size_t i = from; i < x->target_count; i++)
        if (x->targets[i].size > 1 && x->targets[i].at[0] == '-' && glob_match(bytes_from(x->targets[i], 1), name))
            return true;
    return false;
}

static bool pattern_is_live(struct baseline *b, const struct exchange *x, size_t which, struct bytes *index)
{
    size_t at = 0;
    struct bytes name, pattern = bytes_equal_text(x->targets[which], "_all") ? bytes_of("*", 1) : x->targets[which];
    union map_value *v;
    while (map_next(b->indices, &at, &name, &v))
        if (is_live(v->ptr, x->time_ns) && glob_match(pattern, name) && !excluded(x, which + 1, name)) {
            *index = name;
            return true;
        }
    return false;
}

bool baseline_live_writes(struct baseline *b, const struct exchange *x, struct bytes *index)
{
    for (size_t i = 0; i < x->target_count; i++) {
        struct bytes target = x->targets[i];
        if (target.size && target.at[0] == '-')
            continue;
        if (!is_name(target) && pattern_is_live(b, x, i, index))
            return true;
        if (is_name(target) && is_live(find_index(b, target), x->time_ns)) {
            *index = target;
            return true;
        }
    }
    for (size_t i = 0; i < x->index_count; i++)
        if (is_live(find_index(b, x->indices[i].index), x->time_ns)) {
            *index = x->indices[i].index;
            return true;
        }
    return false;
}

bool baseline_first_seen(struct baseline *b, const struct exchange *x)
{
    if (b->begin_ns == WHEN_UNKNOWN || x->time_ns - b->begin_ns < HISTORY_NS)
        return false;
    union map_value *v = nummap_find(b->actors, actor_of(x));
    return v ? x->time_ns - (int64_t)v->num <= NEW_NS : nummap_count(b->actors) < ACTORS_MAX;
}

// Has the index been written long and often enough to have habits?
static struct index_usual *usual_index(struct baseline *b, const struct exchange *x, struct bytes name)
{
    struct index_usual *u = find_index(b, name);
    return u && u->writes >= USUAL_WRITES && x->time_ns - u->first_ns >= USUAL_NS ? u : NULL;
}

static struct bytes name_of(const struct exchange *x, size_t i)
{
    return i < x->index_count ? x->indices[i].index : x->targets[i - x->index_count];
}

bool baseline_first_write(struct baseline *b, const struct exchange *x)
{
    if (nummap_count(b->writers) >= WRITERS_MAX)
        return false;
    for (size_t i = 0; i < x->index_count + x->target_count; i++)
        if (usual_index(b, x, name_of(x, i)))
            return !nummap_find(b->writers, writer_of(x, name_of(x, i)));
    return false;
}

bool baseline_app_only(struct baseline *b, const struct exchange *x)
{
    for (size_t i = 0; i < x->index_count + x->target_count; i++) {
        struct index_usual *u = usual_index(b, x, name_of(x, i));
        if (u)
            return !u->by_hand;
    }
    return false;
}

int64_t baseline_known_docs(struct baseline *b, const struct exchange *x)
{
    int64_t sum = 0;
    bool any = false;
    for (size_t i = 0; i < x->target_count; i++) {
        const struct index_usual *u = is_name(x->targets[i]) ? find_index(b, x->targets[i]) : NULL;
        if (!u || !u->docs_known || u->docs < 0)
            return -1;
        sum += u->docs;
        any = true;
    }
    return any ? sum : -1;
}

bool baseline_gap_before(struct baseline *b, const struct exchange *x, int64_t span_ns)
{
    return b->gap_to_ns != WHEN_UNKNOWN && b->gap_from_ns <= x->time_ns && x->time_ns - b->gap_to_ns <= span_ns;
}

double baseline_rate(struct baseline *b, struct bytes index)
{
    const struct index_usual *u = find_index(b, index);
    return u ? u->rate : 0;
}

uint64_t baseline_evicted(const struct baseline *b)
{
    return b->evicted;
}
