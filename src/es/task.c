// Two rings of bounded size, each with a map from id to place.
#include "task.h"

#include "../base/map.h"
#include "../base/mem.h"

enum { TIE_BYTES_MAX = 1024 };

struct running {
    uint64_t key, exchange;
};

struct tie {
    uint64_t key;
    struct buf names; // each followed by a NUL
};

struct task {
    task_late_fn *fn;
    void *ctx;
    struct running *running; // TASK_MAX of them, made with the first
    size_t running_next;
    struct nummap *by_task; // hash -> place + 1
    struct tie *ties;         // TASK_TIES of them, made with the first
    size_t tie_next;
    struct nummap *by_tie;
};

struct task *task_open(task_late_fn *fn, void *ctx)
{
    struct task *t = mem_zero(1, sizeof *t);
    if (!t)
        return NULL;
    t->fn = fn;
    t->ctx = ctx;
    t->by_task = nummap_open();
    t->by_tie = nummap_open();
    if (t->by_task && t->by_tie)
        return t;
    task_close(t);
    return NULL;
}

void task_close(struct task *t)
{
    if (!t)
        return;
    for (size_t i = 0; t->ties && i < TASK_TIES; i++)
        buf_fini(&t->ties[i].names);
    mem_free(t->ties);
    mem_free(t->running);
    if (t->by_task)
        nummap_close(t->by_task);
    if (t->by_tie)
        nummap_close(t->by_tie);
    mem_free(t);
}

static uint64_t key_of(struct bytes id)
{
    return map_hash(id, 0x657374617065) | 1;
}

// ---- tasks --------------------------------------------------------------------------------------------------------------

void task_started(struct task *t, struct bytes id, uint64_t exchange)
{
    if (!t->running && !(t->running = mem_zero(TASK_MAX, sizeof *t->running)))
        return;
    struct running *r = &t->running[t->running_next % TASK_MAX];
    bool fresh;
    uint64_t key = key_of(id);
    if (r->key)
        nummap_drop(t->by_task, r->key);
    *r = (struct running){0};
    union map_value *place = nummap_put(t->by_task, key, &fresh);
    if (!place)
        return;
    *r = (struct running){key, exchange};
    place->num = t->running_next++ % TASK_MAX + 1;
}

// The call that started it; forgotten by this.
static bool finish(struct task *t, struct bytes id, uint64_t *exchange)
{
    uint64_t key = key_of(id);
    union map_value *place = nummap_find(t->by_task, key);
    if (!place)
        return false;
    struct running *r = &t->running[place->num - 1];
    bool same = r->key == key;
    *exchange = r->exchange;
    if (same)
        *r = (struct running){0};
    nummap_drop(t->by_task, key);
    return same;
}

static int64_t number_of(const struct json *response, const char *name)
{
    int64_t n = json_int(json_member(response, name), 0);
    return n > 0 ? n : 0;
}

static struct bytes type_of(const struct json *error)
{
    const struct json *type = json_member(error, "type");
    return type && type->kind == JSON_KIND_STRING ? type->text : (struct bytes){0};
}

void task_read_answer(struct task *t, struct bytes id, int64_t time_ns, const struct json *answer)
{
    const struct json *source = json_member(answer, "_source"); // of a document in .tasks
    if (source)
        answer = source;
    const struct json *response = json_member(answer, "response"), *error = json_member(answer, "error"), *failures = json_member(response, "failures");
    uint64_t exchange;
    if (!json_true(json_member(answer, "completed")) || !finish(t, id, &exchange))
        return;
    struct late_outcome late = {.exchange = exchange, .time_ns = time_ns, .outcome = OUTCOME_OK, .docs = -1, .docs_ok = -1, .docs_failed = -1, .docs_deleted = -1};
    if (json_member(response, "total")) { // of documents: other tasks answer otherwise
        late.docs_deleted = number_of(response, "deleted");
        late.docs_ok = number_of(response, "created") + number_of(response, "updated") + late.docs_deleted + number_of(response, "noops");
        late.docs_failed = number_of(response, "version_conflicts") + (failures ? (int64_t)failures->count : 0);
        late.docs = late.docs_ok + late.docs_failed;
    }
    if (error) {
        late.outcome = OUTCOME_FAILED;
        late.reason = type_of(error);
    } else if (failures && failures->count) {
        late.outcome = OUTCOME_PARTIAL;
        late.reason = type_of(json_member(failures->first, "cause"));
    } else if (late.docs_failed > 0) {
        late.outcome = OUTCOME_PARTIAL;
        late.reason = bytes_of_text("version_conflict_engine_exception");
    } else if (response && json_member(response, "canceled")) {
        late.outcome = OUTCOME_PARTIAL;
        late.reason = bytes_of_text("canceled");
    }
    t->fn(t->ctx, &late);
}

void task_read_async(struct task *t, struct bytes id, int64_t time_ns, const struct json *answer)
{
    const struct json *running = json_member(answer, "is_running"), *partial = json_member(answer, "is_partial");
    const struct json *error = json_member(answer, "error");
    uint64_t exchange;
    if (!running || json_true(running) || !finish(t, id, &exchange))
        return;
    struct late_outcome late = {.exchange = exchange, .time_ns = time_ns, .outcome = OUTCOME_OK, .docs = -1, .docs_ok = -1, .docs_failed = -1, .docs_deleted = -1};
    if (error) {
        late.outcome = OUTCOME_FAILED;
        late.reason = type_of(error);
    } else if (json_true(partial)) {
        late.outcome = OUTCOME_PARTIAL;
    }
    t->fn(t->ctx, &late);
}

// ---- ties ---------------------------------------------------------------------------------------------------------------

void task_tie(struct task *t, struct bytes id, const struct bytes *targets, size_t count)
{
    uint64_t key = key_of(id);
    bool fresh;
    if (!id.size || !count || (!t->ties && !(t->ties = mem_zero(TASK_TIES, sizeof *t->ties))))
        return;
    union map_value *place = nummap_find(t->by_tie, key);
    if (place && t->ties[place->num - 1].key == key)
        return;
    struct tie *tie = &t->ties[t->tie_next % TASK_TIES];
    if (tie->key)
        nummap_drop(t->by_tie, tie->key);
    tie->key = 0;
    buf_clear(&tie->names);
    for (size_t i = 0; i < count && tie->names.size + targets[i].size < TIE_BYTES_MAX; i++) {
        buf_add_bytes(&tie->names, targets[i]);
        buf_add_byte(&tie->names, 0);
    }
    place = tie->names.failed ? NULL : nummap_put(t->by_tie, key, &fresh);
    if (!place)
        return;
    tie->key = key;
    place->num = t->tie_next++ % TASK_TIES + 1;
}

bool task_tied(struct task *t, struct bytes id, void (*fn)(void *ctx, struct bytes target), void *ctx)
{
    uint64_t key = key_of(id);
    union map_value *place = nummap_find(t->by_tie, key);
    if (!place || t->ties[place->num - 1].key != key)
        return false;
    struct bytes rest = buf_view(&t->ties[place->num - 1].names);
    while (rest.size) {
        size_t n = strnlen((const char *)rest.at, rest.size);
        fn(ctx, bytes_of(rest.at, n));
        rest = bytes_from(rest, n + 1);
    }
    return true;
}
