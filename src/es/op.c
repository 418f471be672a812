// Items of a request and of an answer become ops.
//
// Flow: answer -> (ask of the same place) -> op -> batch -> hooks.ops. Unsure positions: answer -> queue, joined in finish.
// 1. Ops leave in item order, each once.
// 2. ok + failed + unknown = docs; deleted are part of ok.
// 3. A batch's strings live in its arena until it has left.
#include "op.h"

#include "answer.h"

#include "../base/map.h"
#include "../base/mem.h"

enum { BATCH = 256, BATCH_ARENA_BYTES = 8 << 20, INDICES_MAX = 4096 };

struct op_join {
    uint64_t exchange;
    struct op_join_hooks hooks;
    struct opqueue asks, answers;
    bool unsure, holed, too_many_runs;
    uint64_t joined;         // items joined while both sides were sure
    uint64_t first_run, answer_runs[BULK_RUNS_MAX]; // answers kept before the first hole, and behind each
    size_t answer_run_count;
    uint32_t next_item;
    struct op *batch;        // made with the first op: waiting exchanges hold none
    size_t batched, batch_room;
    struct arena arena;      // strings of the batch
    struct bytes last_index; // in the arena: repeated names are not copied again
    struct op_totals totals;
    struct map *by_index;    // name -> place in indices
    struct arena names;
    struct exchange_index *indices;
    size_t index_count, index_room, last_place;
    char error_type[96];
};

struct op_join *op_join_open(uint64_t exchange, const struct op_join_hooks *hooks, struct op_budget *budget)
{
    struct op_join *j = mem_zero(1, sizeof *j);
    if (!j)
        return NULL;
    j->exchange = exchange;
    j->hooks = *hooks;
    opqueue_init(&j->asks, budget);
    opqueue_init(&j->answers, budget);
    arena_init(&j->arena, 0);
    arena_init(&j->names, 0);
    return j;
}

void op_join_close(struct op_join *j)
{
    if (!j)
        return;
    opqueue_fini(&j->asks);
    opqueue_fini(&j->answers);
    arena_fini(&j->arena);
    arena_fini(&j->names);
    if (j->by_index)
        map_close(j->by_index);
    mem_free(j->batch);
    mem_free(j->indices);
    mem_free(j);
}

struct opqueue *op_join_asks(struct op_join *j)
{
    return &j->asks;
}

void op_join_positions_unsure(struct op_join *j)
{
    j->unsure = true;
}

// ---- counting -----------------------------------------------------------------------------------------------------------

static struct exchange_index *index_row(struct op_join *j, struct bytes index, bool concrete)
{
    if (j->last_place < j->index_count && bytes_equal(j->indices[j->last_place].index, index))
        return &j->indices[j->last_place];
    if (!j->by_index && !(j->by_index = map_open()))
        return NULL;
    union map_value *known = map_find(j->by_index, index);
    if (known) {
        j->last_place = known->num;
        return &j->indices[known->num];
    }
    if (j->index_count == INDICES_MAX)
        return NULL;
    if (j->index_count == j->index_room) {
        size_t room = j->index_room ? 2 * j->index_room : 4;
        void *grown = mem_grow(j->indices, room * sizeof *j->indices);
        if (!grown)
            return NULL;
        j->indices = grown;
        j->index_room = room;
    }
    const void *name = arena_copy(&j->names, index.at, index.size);
    bool fresh;
    union map_value *place = name ? map_put(j->by_index, index, &fresh) : NULL;
    if (!place)
        return NULL;
    place->num = j->last_place = j->index_count;
    j->indices[j->index_count] = (struct exchange_index){.index = bytes_of(name, index.size), .concrete = concrete};
    return &j->indices[j->index_count++];
}

// A name that the cluster does not know is the name that was asked for.
static bool is_concrete(const struct op *op)
{
    return !(op->flags & OP_INDEX_ASKED) && !(op->result == OP_FAILED && bytes_equal_text(op->error_type, "index_not_found_exception"));
}

static void count(struct op_join *j, const struct op *op)
{
    bool concrete = is_concrete(op);
    struct exchange_index *row = index_row(j, op->index, concrete);
    struct exchange_index spare = {0};
    if (!row)
        row = &spare;
    row->concrete |= concrete;
    j->totals.docs++;
    switch (op->result) {
    case OP_UNKNOWN:
        row->unknown++;
        j->totals.unknown++;
        break;
    case OP_FAILED:
        row->failed++;
        j->totals.failed++;
        if (!j->error_type[0] && op->error_type.size < sizeof j->error_type)
            memcpy(j->error_type, op->error_type.at ? op->error_type.at : (const uint8_t *)"", op->error_type.size);
        break;
    case OP_DELETED:
        row->deleted++;
        j->totals.deleted++;
        // fall through
    default:
        row->ok++;
        j->totals.ok++;
        break;
    }
}

const struct op_totals *op_join_totals(const struct op_join *j)
{
    return &j->totals;
}

const struct exchange_index *op_join_indices(const struct op_join *j, size_t *count)
{
    *count = j->index_count;
    return j->indices;
}

struct bytes op_join_error(const struct op_join *j)
{
    return bytes_of_text(j->error_type);
}

// ---- batches ---------------------------------------------------------------------------------------------------------------

void op_join_flush(struct op_join *j)
{
    if (j->batched)
        j->hooks.ops(j->hooks.ctx, j->batch, j->batched);
    j->batched = 0;
    j->last_index = (struct bytes){0};
    arena_reset(&j->arena);
}

static void keep(struct op_join *j, struct bytes *text)
{
    if (!text->size)
        return;
    const void *copy = arena_copy(&j->arena, text->at, text->size);
    *text = copy ? bytes_of(copy, text->size) : (struct bytes){0};
}

static void keep_index(struct op_join *j, struct bytes *text)
{
    if (bytes_equal(j->last_index, *text)) {
        *text = j->last_index;
        return;
    }
    keep(j, text);
    j->last_index = *text;
}

// The first batch is of one: most exchanges write one document.
static bool make_room(struct op_join *j)
{
    if (j->batched == j->batch_room && j->batch_room < BATCH) {
        size_t room = j->batch_room ? BATCH : 1;
        struct op *grown = mem_grow(j->batch, room * sizeof *grown);
        if (grown) {
            j->batch = grown;
            j->batch_room = room;
        }
    }
    if (j->batched == j->batch_room || j->arena.used_bytes > BATCH_ARENA_BYTES)
        op_join_flush(j);
    return j->batch_room > 0;
}

static void add(struct op_join *j, const struct op *from)
{
    if (!make_room(j)) { // memory is out: counted all the same
        count(j, from);
        return;
    }
    struct op *op = &j->batch[j->batched++];
    *op = *from;
    keep_index(j, &op->index);
    keep(j, &op->asked);
    keep(j, &op->type);
    keep(j, &op->id);
    keep(j, &op->routing);
    keep(j, &op->pipeline);
    keep(j, &op->error_type);
    keep(j, &op->index_uuid);
    count(j, op);
    if (j->hooks.told && op->result != OP_UNKNOWN)
        j->hooks.told(j->hooks.ctx, op);
}

// ---- joining -----------------------------------------------------------------------------------------------------------------

static struct op op_of_ask(const struct op_join *j, const struct op_ask *ask)
{
    return (struct op){
        .exchange = j->exchange, .item = j->next_item, .kind = ask->kind, .flags = ask->flags, .index = ask->index, .type = ask->type,
        .id = ask->id, .routing = ask->routing, .pipeline = ask->pipeline, .shard = -1, .version = OP_NONE, .seq_no = OP_NONE,
        .primary_term = OP_NONE, .asked_version = ask->asked_version, .action_at = ask->action_at, .action_bytes = ask->action_bytes,
        .source_at = ask->source_at, .source_bytes = ask->source_bytes,
    };
}

static bool is_plain_type(struct bytes type)
{
    return bytes_equal_text(type, "_doc");
}

static void finish_op(struct op *op)
{
    if ((op->flags & OP_ID_MINTED) && !op->id.size)
        op->flags |= OP_ID_UNKNOWN;
    if (is_plain_type(op->type))
        op->type.size = 0;
}

// `ask` NULL: the request's side of this item is missing.
static void join(struct op_join *j, const struct op_ask *ask, const struct op_answer *answer)
{
    static const struct op_ask nothing = {.asked_version = OP_NONE, .flags = OP_HOLE | OP_FROM_BULK};
    struct op op = op_of_ask(j, ask ? ask : &nothing);
    struct op_answer a = *answer;
    if (!ask)
        op.kind = a.kind;
    answer_conclude(&a, op.flags & OP_ID_MINTED);
    op.result = a.result;
    op.status = a.status;
    // A refused item may name its index as asked; an error that names a uuid or a shard is the index's own.
    if (a.index.size) {
        if (ask && !bytes_equal(a.index, op.index))
            op.asked = op.index;
        op.index = a.index;
    } else {
        op.flags |= OP_INDEX_ASKED;
    }
    if (a.type.size)
        op.type = a.type;
    // What a pipeline dropped has no id unless the client gave one.
    if (a.id.size && !(a.result == OP_DROPPED && (op.flags & OP_ID_MINTED)))
        op.id = a.id;
    op.error_type = a.error_type;
    op.index_uuid = a.index_uuid;
    op.shard = a.shard;
    op.version = a.version;
    op.seq_no = a.seq_no;
    op.primary_term = a.primary_term;
    finish_op(&op);
    add(j, &op);
    j->next_item++;
}

static void emit_unanswered(struct op_join *j, const struct op_ask *ask, const struct op_rest *rest)
{
    struct op op = op_of_ask(j, ask);
    op.flags |= OP_INDEX_ASKED;
    op.result = rest->result;
    op.status = rest->status;
    op.error_type = rest->error_type;
    finish_op(&op);
    add(j, &op);
    j->next_item++;
}

void op_join_answer(struct op_join *j, const struct op_answer *answer)
{
    struct op_ask ask;
    if (j->unsure) {
        bool kept = opqueue_push_answer(&j->answers, answer);
        if (kept && j->answer_run_count)
            j->answer_runs[j->answer_run_count - 1]++;
        j->too_many_runs |= !kept;
        return;
    }
    j->joined++;
    bool held = opqueue_pop_ask(&j->asks, &ask);
    join(j, held ? &ask : NULL, answer);
}

static void rest_of_asks(struct op_join *j, uint64_t count, const struct op_rest *rest)
{
    struct op_ask ask;
    for (uint64_t i = 0; i < count && opqueue_pop_ask(&j->asks, &ask); i++)
        emit_unanswered(j, &ask, rest);
}

// Joins `count` asks and answers in step.
static void join_run(struct op_join *j, uint64_t count)
{
    struct op_ask ask;
    struct op_answer answer;
    for (uint64_t i = 0; i < count; i++) {
        bool asked = opqueue_pop_ask(&j->asks, &ask), answered = opqueue_pop_answer(&j->answers, &answer);
        if (!answered)
            return;
        join(j, asked ? &ask : NULL, &answer);
    }
}

static void join_missing(struct op_join *j, uint64_t count)
{
    struct op_answer answer;
    for (uint64_t i = 0; i < count && opqueue_pop_answer(&j->answers, &answer); i++)
        join(j, NULL, &answer);
}

// Whether an answer speaks of this item, as far as ids tell. Ids that the cluster chose are in no request.
static bool same_item(const struct op_ask *ask, const struct op_answer *answer)
{
    return ask->id.size && ask->kind == answer->kind && bytes_equal(ask->id, answer->id);
}

static void skip_asks(struct op_join *j, uint64_t count)
{
    struct op_ask ignored;
    for (uint64_t i = 0; i < count && opqueue_pop_ask(&j->asks, &ignored); i++)
        ;
}

// A run of items between two holes of the request: its place is where an answer has the id of its first item. At most `slack`
// answers belong to items that are missing before it. Returns how many are left over for later.
static uint64_t join_middle_run(struct op_join *j, uint64_t items, uint64_t slack)
{
    struct op_ask ask;
    struct op_answer answer;
    if (!items || !opqueue_pop_ask(&j->asks, &ask))
        return slack;
    for (uint64_t skipped = 0; ask.id.size && skipped <= slack && opqueue_pop_answer(&j->answers, &answer); skipped++) {
        if (same_item(&ask, &answer)) {
            join(j, &ask, &answer);
            join_run(j, items - 1);
            return slack - skipped;
        }
        join(j, NULL, &answer);
        if (skipped == slack) { // not found: the run's items are told from their answers alone
            skip_asks(j, items - 1);
            return items - 1;
        }
    }
    skip_asks(j, items - 1);
    return slack + items;
}

// The request has holes, the answer is whole: its first run counts from the front, its last from the back, what lies between
// is found by ids; an item that is missing is known from its answer only.
static void join_holed_request(struct op_join *j, const struct op_end *end)
{
    const struct bulk_totals *t = end->request;
    uint64_t asks = j->asks.count, answers = j->answers.count, first = t->runs[0].items;
    first = first > j->joined ? first - j->joined : 0;
    if (asks > answers) { // a document was taken for an action: only the front is sure
        join_run(j, first < answers ? first : answers);
        skip_asks(j, UINT64_MAX);
        join_missing(j, UINT64_MAX);
        return;
    }
    uint64_t slack = answers - asks;
    join_run(j, first);
    for (size_t i = 1; i < t->run_count; i++) {
        if (i + 1 < t->run_count) {
            slack = join_middle_run(j, t->runs[i].items, slack);
        } else {
            join_missing(j, slack);
            join_run(j, t->runs[i].items);
        }
    }
    join_missing(j, UINT64_MAX);
}

void op_join_answer_hole(struct op_join *j)
{
    // The item that was under way is lost; the next run of answers begins.
    if (j->holed && j->answer_run_count && j->answer_runs[j->answer_run_count - 1] == 0)
        return;
    if (j->answer_run_count < BULK_RUNS_MAX)
        j->answer_runs[j->answer_run_count++] = 0;
    else
        j->too_many_runs = true;
    if (j->unsure && !j->holed) // kept since the beginning: they are the first run
        j->first_run = j->answers.count;
    j->unsure = j->holed = true;
}

// A run of answers between two holes: its place is where an item of the request has the id of its first answer.
static uint64_t join_middle_answers(struct op_join *j, uint64_t count, uint64_t slack, const struct op_rest *lost)
{
    struct op_ask ask;
    struct op_answer answer;
    if (!count || !opqueue_pop_answer(&j->answers, &answer))
        return slack;
    for (uint64_t skipped = 0; skipped <= slack && opqueue_pop_ask(&j->asks, &ask); skipped++) {
        if (same_item(&ask, &answer)) {
            join(j, &ask, &answer);
            join_run(j, count - 1);
            return slack - skipped;
        }
        emit_unanswered(j, &ask, lost);
        if (skipped == slack)
            break;
    }
    for (uint64_t i = 1; i < count && opqueue_pop_answer(&j->answers, &answer); i++)
        ;
    return count - 1;
}

// The answer has holes, the request is whole: what was answered behind the last hole belongs to the last items.
static void join_holed_answer(struct op_join *j, const struct op_end *end)
{
    static const struct op_rest lost = {.result = OP_UNKNOWN};
    uint64_t asks = j->asks.count, answers = j->answers.count;
    if (answers > asks || end->request->unheld || j->too_many_runs)
        return;
    uint64_t slack = asks - answers;
    join_run(j, j->first_run);
    for (size_t i = 0; i < j->answer_run_count; i++) {
        if (i + 1 < j->answer_run_count) {
            slack = join_middle_answers(j, j->answer_runs[i], slack, &lost);
        } else {
            rest_of_asks(j, slack, &lost);
            join_run(j, j->answer_runs[i]);
        }
    }
}

void op_join_finish(struct op_join *j, const struct op_end *end)
{
    bool request_holed = end->request && end->request->holes;
    if (j->unsure && end->answers_sparse) {
        // Only refusals were answered, and not where: how many is all that is known.
        rest_of_asks(j, UINT64_MAX, &end->rest);
    } else if (j->holed && end->answers_complete && end->request && !request_holed) {
        join_holed_answer(j, end);
    } else if (j->holed) {
        rest_of_asks(j, UINT64_MAX, &(struct op_rest){.result = OP_UNKNOWN});
    } else if (j->unsure && request_holed && end->answers_complete) {
        join_holed_request(j, end);
    } else if (j->unsure) {
        join_run(j, j->answers.count);
    }
    rest_of_asks(j, UINT64_MAX, &end->rest);
    op_join_flush(j);
}
