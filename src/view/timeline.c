// What happened per bucket of time, gathered: tallies per bucket, per index and life, and per who.
//
// 1. A row is counted once in the whole, once for its who, and once for each index it concerns.
// 2. A write is counted as a write whether it succeeded or not; an error is counted besides.
// 3. A bucket is blind where nobody recorded during any part of it; lost bytes are counted by the bucket in which the gap begins.
// 4. A row belongs to the life of its index that was the last to begin before it; the call that ended a life belongs to it.
#include "timeline_inner.h"

#include "../base/clock.h"
#include "../base/mem.h"
#include "column.h"

enum { BUCKETS_DEFAULT = 60, BUCKETS_MOST = 10000, TOP_DEFAULT = 12, LANES_MOST = 20000 };

int64_t timeline_bucket_ns(int64_t range_ns, size_t most)
{
    static const int64_t round_ms[] = {
        1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 15000, 30000, 60000, 120000, 300000, 600000, 900000, 1800000,
        3600000, 7200000, 10800000, 21600000, 43200000, 86400000, 2 * 86400000, 7 * 86400000,
    };
    size_t count = sizeof round_ms / sizeof *round_ms;
    for (size_t i = 0; i < count; i++)
        if (range_ns / (round_ms[i] * WHEN_NS_PER_MS) < (int64_t)most)
            return round_ms[i] * WHEN_NS_PER_MS;
    int64_t week_ns = round_ms[count - 1] * WHEN_NS_PER_MS;
    return (range_ns / (int64_t)most / week_ns + 1) * week_ns;
}

struct timeline *timeline_open(const struct timeline_settings *settings)
{
    struct timeline *t = mem_zero(1, sizeof *t);
    if (!t)
        return NULL;
    t->settings = *settings;
    struct timeline_settings *s = &t->settings;
    s->top = s->top ? s->top : TOP_DEFAULT;
    s->buckets_max = s->buckets_max ? s->buckets_max : BUCKETS_DEFAULT;
    if (s->to_ns <= s->from_ns)
        s->to_ns = s->from_ns + WHEN_NS_PER_S;
    if (!s->bucket_ns)
        s->bucket_ns = timeline_bucket_ns(s->to_ns - s->from_ns, s->buckets_max - 1);
    if ((s->to_ns - s->from_ns) / s->bucket_ns >= BUCKETS_MOST)
        s->bucket_ns = timeline_bucket_ns(s->to_ns - s->from_ns, BUCKETS_MOST);
    t->event_out = s->like ? (struct out){.fd = -1, .columns = s->like->columns, .color = s->like->color, .unicode = s->like->unicode} : (struct out){.fd = -1};
    line_init(&t->event_lines, &t->event_out, false);
    t->begin_ns = s->from_ns - (s->from_ns % s->bucket_ns + s->bucket_ns) % s->bucket_ns;
    t->bucket_count = (size_t)((s->to_ns - t->begin_ns + s->bucket_ns - 1) / s->bucket_ns);
    t->whole.cells = mem_zero(t->bucket_count, sizeof *t->whole.cells);
    t->holes = mem_zero(t->bucket_count, sizeof *t->holes);
    t->index_lanes = map_open();
    t->who_lanes = map_open();
    if (t->whole.cells && t->holes && t->index_lanes && t->who_lanes)
        return t;
    timeline_close(t);
    return NULL;
}

static void close_lanes(struct map *lanes)
{
    size_t at = 0;
    struct bytes key;
    union map_value *value;
    while (lanes && map_next(lanes, &at, &key, &value))
        for (struct lane *l = value->ptr, *next; l; l = next) {
            next = l->next_life;
            mem_free(l->name);
            mem_free(l->cells);
            mem_free(l);
        }
    map_close(lanes);
}

void timeline_close(struct timeline *t)
{
    if (!t)
        return;
    if (t->index_lanes)
        close_lanes(t->index_lanes);
    if (t->who_lanes)
        close_lanes(t->who_lanes);
    for (size_t i = 0; i < t->event_count; i++)
        mem_free(t->events[i].line);
    mem_free(t->events);
    buf_fini(&t->event_out.text);
    mem_free(t->whole.cells);
    mem_free(t->holes);
    mem_free(t);
}

// ---- lanes ----------------------------------------------------------------------------------------------------------

static struct lane *new_lane(struct timeline *t, struct bytes name)
{
    struct lane *l = mem_zero(1, sizeof *l);
    if (!l)
        return NULL;
    l->born_ns = l->died_ns = WHEN_UNKNOWN;
    l->name = mem_text_copy(name.at, name.size);
    l->cells = mem_zero(t->bucket_count, sizeof *l->cells);
    if (l->name && l->cells)
        return l;
    mem_free(l->name);
    mem_free(l->cells);
    mem_free(l);
    return NULL;
}

// The first life of a lane; made when it is new. Past a limit all names share one lane.
static struct lane *find_lane(struct timeline *t, struct map *lanes, struct bytes name)
{
    bool fresh;
    if (map_count(lanes) >= LANES_MOST && !map_find(lanes, name))
        name = bytes_of_text("(others)");
    union map_value *v = map_put(lanes, name, &fresh);
    if (!v)
        return NULL;
    if (fresh && !(v->ptr = new_lane(t, name)))
        map_drop(lanes, name);
    else
        return v->ptr;
    return NULL;
}

static struct lane *life_at(struct lane *l, int64_t time_ns, uint64_t exchange)
{
    while (l->next_life && !(l->died_by && exchange == l->died_by) && time_ns >= l->next_life->born_ns)
        l = l->next_life;
    return l;
}

bool timeline_life(struct timeline *t, const struct incarnation *life)
{
    struct lane *l = find_lane(t, t->index_lanes, life->index);
    if (!l)
        return false;
    while (l->next_life)
        l = l->next_life;
    if (!life->born) {
        l->died_ns = life->time_ns;
        l->died_by = life->exchange;
        return true;
    }
    if (l->born_ns != WHEN_UNKNOWN || l->died_ns != WHEN_UNKNOWN) {
        l->next_life = new_lane(t, life->index);
        if (!l->next_life)
            return false;
        l->next_life->life = l->life + 1;
        l = l->next_life;
    }
    l->born_ns = life->time_ns;
    return true;
}

// ---- counting -------------------------------------------------------------------------------------------------------

static void count(struct lane *l, size_t bucket, const struct tally *one)
{
    struct tally *const both[] = {&l->cells[bucket], &l->sum};
    for (size_t i = 0; i < 2; i++) {
        both[i]->writes += one->writes;
        both[i]->reads += one->reads;
        both[i]->errors += one->errors;
        both[i]->destructive += one->destructive;
        both[i]->docs += one->docs;
    }
}

static bool event_add(struct timeline *t, const struct tape_row *row, const char *tape_name, size_t bucket)
{
    if (t->event_count == t->event_room) {
        size_t room = t->event_room ? t->event_room * 2 : 32;
        struct event *grown = mem_grow(t->events, room * sizeof *grown);
        if (!grown)
            return false;
        t->events = grown;
        t->event_room = room;
    }
    char id[320];
    struct event e = {.time_ns = row->x.time_ns, .bucket = bucket};
    struct buf *line = &t->event_out.text;
    buf_clear(line);
    buf_format(line, "%s", view_id(row, tape_name, id, sizeof id));
    buf_add_byte(line, 0);
    if (t->event_out.columns) // a heading of the day must not begin in the id's line
        buf_add_byte(line, '\n');
    e.text_at = line->size;
    t->event_lines.several = tape_name != NULL;
    line_row(&t->event_lines, row, tape_name);
    e.line = line->failed ? NULL : mem_text_copy(line->at, line->size);
    if (!e.line)
        return false;
    t->events[t->event_count++] = e;
    return true;
}

static bool count_indices(struct timeline *t, const struct exchange *x, size_t bucket, const struct tally *one)
{
    size_t n = x->index_count ? x->index_count : x->target_count;
    for (size_t i = 0; i < n; i++) {
        struct tally share = *one;
        if (x->index_count)
            share.docs = (uint64_t)x->indices[i].ok + x->indices[i].deleted;
        struct lane *l = find_lane(t, t->index_lanes, x->index_count ? x->indices[i].index : x->targets[i]);
        if (!l)
            return false;
        count(life_at(l, x->time_ns, x->id), bucket, &share);
    }
    return true;
}

bool timeline_row(struct timeline *t, const struct tape_row *row, const char *tape_name)
{
    const struct exchange *x = &row->x;
    char ip[48];
    struct buf who = {0};
    if (x->time_ns < t->settings.from_ns || x->time_ns >= t->settings.to_ns)
        return true;
    size_t bucket = (size_t)((x->time_ns - t->begin_ns) / t->settings.bucket_ns);
    bool write = x->flags & EXCHANGE_WRITE;
    struct tally one = {
        .writes = write, .reads = !write, .destructive = x->danger.size > 0,
        .errors = x->outcome != OUTCOME_OK, .docs = x->docs > 0 ? (uint64_t)x->docs : 0,
    };
    count(&t->whole, bucket, &one);
    line_who(&who, x);
    buf_format(&who, "@%s", view_ip(&x->client, ip, sizeof ip));
    struct lane *lane = who.failed ? NULL : find_lane(t, t->who_lanes, buf_view(&who));
    buf_fini(&who);
    if (!lane)
        return false;
    count(lane, bucket, &one);
    return count_indices(t, x, bucket, &one) && (!one.destructive || event_add(t, row, tape_name, bucket));
}

void timeline_gap(struct timeline *t, const struct tape_gap_row *gap)
{
    int64_t from_ns = gap->from_ns < t->begin_ns ? t->begin_ns : gap->from_ns;
    int64_t end_ns = t->begin_ns + (int64_t)t->bucket_count * t->settings.bucket_ns;
    if (gap->to_ns < t->begin_ns || from_ns >= end_ns)
        return;
    size_t bucket = (size_t)((from_ns - t->begin_ns) / t->settings.bucket_ns);
    t->holes[bucket].gaps++;
    t->holes[bucket].bytes += gap->bytes;
    t->holes[bucket].packets += gap->packets;
    t->gap_count++;
    t->gap_bytes += gap->bytes;
    if (gap->cause == GAP_NOT_RECORDING)
        for (; bucket < t->bucket_count && t->begin_ns + (int64_t)bucket * t->settings.bucket_ns < gap->to_ns; bucket++)
            t->holes[bucket].blind = true;
}
