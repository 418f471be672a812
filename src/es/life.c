// One entry per index name: is it alive, under which uuid, how far its numbers went, is a death suspected.
//
// States: UNKNOWN (never told to be born or dead), ALIVE, DEAD. `doubt` marks an ALIVE or UNKNOWN index whose deletion was
// asked for and not answered. A cluster comes to a deletion some time after it was asked, and answers writes of before that even
// later: for LINGER_NS numbers that go on neither refute a doubtful death nor begin a new life.
#include "life.h"

#include "../base/buf.h"
#include "../base/glob.h"
#include "../base/map.h"
#include "../base/mem.h"

enum life_state { UNKNOWN, ALIVE, DEAD };
enum { UUID_MAX = 32, FAR_MIN = 16 };
static const int64_t LINGER_NS = 60 * INT64_C(1000000000); // twice the time that clients wait for a deletion by default

struct entry {
    enum life_state state;
    bool doubt;
    struct life_moment doubted;
    int64_t born_ns; // WHEN_UNKNOWN: not seen
    int64_t died_ns; // while DEAD
    int64_t seq_max; // highest number seen in this life, -1 none; of the last one while DEAD
    char uuid[UUID_MAX];
};

struct life {
    life_told_fn *fn;
    void *ctx;
    struct map *indices;
    struct entry *last;   // found last, under last_name: writes come in runs
    struct buf last_name;
};

struct life *life_open(life_told_fn *fn, void *ctx)
{
    struct life *l = mem_zero(1, sizeof *l);
    if (!l)
        return NULL;
    l->fn = fn;
    l->ctx = ctx;
    if ((l->indices = map_open()))
        return l;
    mem_free(l);
    return NULL;
}

static void free_entries(struct life *l)
{
    size_t at = 0;
    struct bytes key;
    union map_value *value;
    while (map_next(l->indices, &at, &key, &value))
        mem_free(value->ptr);
    map_close(l->indices);
    l->last = NULL;
}

void life_close(struct life *l)
{
    if (!l)
        return;
    free_entries(l);
    buf_fini(&l->last_name);
    mem_free(l);
}

static struct entry *find(struct life *l, struct bytes index)
{
    if (l->last && bytes_equal(buf_view(&l->last_name), index))
        return l->last;
    union map_value *value = map_find(l->indices, index);
    if (!value)
        return NULL;
    buf_clear(&l->last_name);
    l->last = buf_add_bytes(&l->last_name, index) ? value->ptr : NULL;
    return value->ptr;
}

static struct entry *find_or_make(struct life *l, struct bytes index)
{
    struct entry *known = find(l, index);
    if (known || !index.size)
        return known;
    if (map_count(l->indices) >= LIFE_INDICES_MAX) {
        struct map *fresh = map_open();
        if (!fresh)
            return NULL;
        free_entries(l);
        l->indices = fresh;
    }
    struct entry *made = mem_zero(1, sizeof *made);
    bool ignored;
    union map_value *value = made ? map_put(l->indices, index, &ignored) : NULL;
    if (!value) {
        mem_free(made);
        return NULL;
    }
    made->seq_max = -1;
    made->born_ns = WHEN_UNKNOWN;
    value->ptr = made;
    return made;
}

static void tell(struct life *l, struct life_moment at, struct bytes index, const struct entry *e, bool born, bool seen)
{
    l->fn(l->ctx, &(struct incarnation){.time_ns = at.time_ns, .exchange = at.exchange, .index = index, .uuid = bytes_of_text(e->uuid), .born = born, .seen = seen});
}

static void bear(struct life *l, struct life_moment at, struct bytes index, struct entry *e, bool seen)
{
    e->uuid[0] = 0;
    e->seq_max = -1;
    e->state = ALIVE;
    e->doubt = false;
    e->born_ns = at.time_ns;
    tell(l, at, index, e, true, seen);
}

static void bury(struct life *l, struct life_moment at, struct bytes index, struct entry *e, bool seen)
{
    e->state = DEAD;
    e->doubt = false;
    e->died_ns = at.time_ns;
    tell(l, at, index, e, false, seen);
}

void life_born(struct life *l, struct life_moment at, struct bytes index)
{
    struct entry *e = find_or_make(l, index);
    if (!e)
        return;
    // What is created must have been gone: a death that nobody saw.
    if (e->state == ALIVE || e->doubt)
        bury(l, e->doubt ? e->doubted : at, index, e, false);
    bear(l, at, index, e, true);
}

static void die(struct life *l, struct life_moment at, struct bytes index, struct entry *e, bool sure)
{
    if (sure && e->state != DEAD)
        bury(l, at, index, e, true);
    if (sure || e->state == DEAD || e->doubt)
        return;
    e->doubt = true;
    e->doubted = at;
}

void life_died(struct life *l, struct life_moment at, struct bytes name, bool sure)
{
    bool all = bytes_equal_text(name, "_all");
    if (!all && !glob_is_pattern(name)) {
        struct entry *e = find_or_make(l, name);
        if (e)
            die(l, at, name, e, sure);
        return;
    }
    size_t next = 0;
    struct bytes key;
    union map_value *value;
    while (map_next(l->indices, &next, &key, &value))
        if (all || glob_match(name, key))
            die(l, at, key, value->ptr, sure);
}

void life_missing(struct life *l, struct life_moment at, struct bytes index)
{
    struct entry *e = find(l, index);
    if (e && e->born_ns != WHEN_UNKNOWN && at.asked_ns < e->born_ns)
        return;
    if (e && e->state != DEAD && (e->state == ALIVE || e->doubt || e->seq_max >= 0))
        bury(l, e->doubt ? e->doubted : at, index, e, false);
}

// Numbers began again: at 0, or far below what this life had reached. Shards advance alike, so half is far.
static bool began_again(const struct entry *e, int64_t seq_no)
{
    return seq_no == 0 || (e->seq_max >= FAR_MIN && seq_no >= 0 && 2 * seq_no < e->seq_max);
}

static bool goes_on(const struct entry *e, int64_t seq_no)
{
    return e->seq_max >= FAR_MIN && seq_no >= 0 && !began_again(e, seq_no);
}

static void take_uuid(struct life *l, struct life_moment at, struct bytes index, struct entry *e, struct bytes uuid)
{
    if (!uuid.size || uuid.size >= UUID_MAX || bytes_equal_text(uuid, "_na_") || bytes_equal_text(uuid, e->uuid))
        return;
    if (e->uuid[0]) {
        if (e->state != DEAD)
            bury(l, e->doubt ? e->doubted : at, index, e, false);
        bear(l, at, index, e, false);
    }
    memcpy(e->uuid, uuid.at, uuid.size);
    e->uuid[uuid.size] = 0;
}

static bool succeeded(const struct op *op)
{
    return op->result == OP_CREATED || op->result == OP_UPDATED || op->result == OP_DELETED || op->result == OP_NOT_FOUND;
}

void life_wrote(struct life *l, struct life_moment at, const struct op *op)
{
    if (op->flags & OP_INDEX_ASKED)
        return;
    if (op->result == OP_FAILED) {
        if (bytes_equal_text(op->error_type, "index_not_found_exception"))
            life_missing(l, at, op->index);
        else if (op->index_uuid.size) {
            struct entry *known = find_or_make(l, op->index);
            if (known)
                take_uuid(l, at, op->index, known, op->index_uuid);
        }
        return;
    }
    if (!succeeded(op))
        return;
    struct entry *e = find_or_make(l, op->index);
    if (!e)
        return;
    if (e->doubt && (op->primary_term == 1 || op->primary_term == OP_NONE) && began_again(e, op->seq_no)) {
        bury(l, e->doubted, op->index, e, false);
    } else if (e->doubt && op->seq_no > e->seq_max && e->seq_max >= 0 && at.time_ns - e->doubted.time_ns > LINGER_NS) {
        e->doubt = false; // numbers go on: it was not deleted
    }
    if (e->state == DEAD && goes_on(e, op->seq_no) && at.time_ns - e->died_ns <= LINGER_NS)
        return; // a late answer of the life that ended
    bool first = op->seq_no == 0 && op->primary_term == 1;
    if (e->state == DEAD || (e->state == UNKNOWN && first && e->seq_max < 0))
        bear(l, at, op->index, e, false);
    if (op->seq_no > e->seq_max)
        e->seq_max = op->seq_no;
}
