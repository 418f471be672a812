// What answers tell beyond their own exchange: indices by name, versions by shape, ids by Location.
#include "es_call.h"

#include "../base/mem.h"

// Views of the answer's top members outlive the collected answer.
void es_keep_told(struct call *c)
{
    struct bytes *const texts[] = {&c->told.error_type, &c->told.failure_type, &c->told.task, &c->told.result, &c->told.old_index, &c->told.new_index};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = es_keep(c, *texts[i]);
}

enum { NOTED_MAX = 1024 };

void es_note_index(struct call *c, struct bytes index)
{
    for (size_t i = 0; i < c->noted_count; i++)
        if (bytes_equal(c->noted[i].index, index))
            return;
    if (c->noted_count == c->noted_room) {
        size_t room = c->noted_room ? 2 * c->noted_room : 4;
        struct exchange_index *grown = room > NOTED_MAX ? NULL : arena_alloc(&c->arena, room * sizeof *grown);
        if (!grown)
            return;
        if (c->noted_count)
            memcpy(grown, c->noted, c->noted_count * sizeof *grown);
        c->noted = grown;
        c->noted_room = room;
    }
    struct bytes copy = es_keep(c, index);
    if (copy.size)
        c->noted[c->noted_count++] = (struct exchange_index){.index = copy, .concrete = true};
}

// "/{index}/{type}/{id}?routing=x": the last segment, decoded.
struct bytes es_location_id(struct call *c, struct bytes location)
{
    struct bytes path, query;
    path_split(location, &path, &query);
    for (size_t i = path.size; i-- > 0;)
        if (path.at[i] == '/')
            return path_decode(&c->arena, bytes_from(path, i + 1), false, NULL);
    return (struct bytes){0};
}

void es_learn_shape(struct call *c, const struct op_answer *answer)
{
    struct version_table *versions = c->es->versions;
    if (!answer->told_result || !answer->id.size || path_query_find(&c->query, "filter_path"))
        return;
    version_learn_shape(versions, &c->x.server, answer->type.size ? VERSION_SHAPE_TYPE : VERSION_SHAPE_NO_TYPE);
    if (answer->version >= 0)
        version_learn_shape(versions, &c->x.server, answer->seq_no >= 0 ? VERSION_SHAPE_SEQ : VERSION_SHAPE_NO_SEQ);
}

// ---- tables -----------------------------------------------------------------------------------------------------------------

static void tell_resolved(void *ctx, const struct resolution *r)
{
    struct es *e = ctx;
    e->sink.resolved(e->sink.ctx, r);
}

static void tell_life(void *ctx, const struct incarnation *life)
{
    struct es *e = ctx;
    e->sink.life(e->sink.ctx, life);
}

static void tell_late(void *ctx, const struct late_outcome *late)
{
    struct es *e = ctx;
    e->sink.late(e->sink.ctx, late);
}

bool es_learn_open(struct es *e)
{
    e->resolve = resolve_open(tell_resolved, e);
    e->life = life_open(tell_life, e);
    e->task = task_open(tell_late, e);
    return e->resolve && e->life && e->task;
}

void es_learn_close(struct es *e)
{
    resolve_close(e->resolve);
    life_close(e->life);
    task_close(e->task);
}

static int64_t now_of(const struct call *c)
{
    return c->x.answered_ns != WHEN_UNKNOWN ? c->x.answered_ns : c->x.time_ns;
}

static struct life_moment moment_of(const struct call *c)
{
    return (struct life_moment){now_of(c), c->x.time_ns, c->x.id};
}

// ---- requests ---------------------------------------------------------------------------------------------------------------

static bool api_in(enum api api, const enum api *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == api)
            return true;
    return false;
}

#define API_IN(which, ...) api_in(which, (const enum api[]){__VA_ARGS__}, sizeof((const enum api[]){__VA_ARGS__}) / sizeof(enum api))

// Calls that name what they read by the id of an earlier search.
static bool uses_handle(enum api api)
{
    return API_IN(api, API_SCROLL, API_CLEAR_SCROLL, API_SEARCH, API_DELETE_PIT, API_CLOSE_POINT_IN_TIME, API_ASYNC_SEARCH_GET, API_ASYNC_SEARCH_STATUS,
                  API_ASYNC_SEARCH_DELETE, API_SQL_QUERY, API_SQL_CLEAR_CURSOR, API_SQL_CLOSE, API_SQL_GET_ASYNC, API_SQL_GET_ASYNC_STATUS,
                  API_SQL_DELETE_ASYNC, API_ESQL_ASYNC_QUERY_GET, API_ESQL_ASYNC_QUERY_STOP, API_ESQL_ASYNC_QUERY_DELETE, API_EQL_GET, API_EQL_GET_STATUS,
                  API_EQL_DELETE, API_ASYNCHRONOUS_SEARCH_GET, API_ASYNCHRONOUS_SEARCH_DELETE);
}

// Calls whose body may give the new index its aliases.
static bool makes_index(enum api api)
{
    return API_IN(api, API_INDICES_CREATE, API_INDICES_CLONE, API_INDICES_SHRINK, API_INDICES_SPLIT);
}

bool es_learn_asks(const struct call *c)
{
    return uses_handle(c->route.api) || makes_index(c->route.api) || API_IN(c->route.api, API_INDICES_UPDATE_ALIASES, API_SNAPSHOT_RESTORE);
}

static void add_target(void *ctx, struct bytes target)
{
    struct call *c = ctx;
    target_add(&c->targets, target);
}

static void look_up(struct call *c, struct bytes id)
{
    if (id.size)
        task_tied(c->es->task, id, add_target, c);
}

static void look_up_json(struct call *c, const struct json *ids)
{
    if (ids && ids->kind == JSON_KIND_STRING)
        look_up(c, ids->text);
    for (const struct json *id = ids && ids->kind == JSON_KIND_ARRAY ? ids->first : NULL; id; id = id->next)
        if (id->kind == JSON_KIND_STRING)
            look_up(c, id->text);
}

static void look_up_handles(struct call *c, const struct json *body, struct bytes text)
{
    static const char *const parts[] = {"scroll_id", "id"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct bytes raw = route_part(&c->route, parts[i], NULL);
        if (raw.size)
            look_up(c, path_decode(&c->arena, raw, false, NULL));
    }
    look_up(c, path_query_value(&c->query, "scroll_id"));
    if (body) {
        static const char *const members[] = {"scroll_id", "pit_id", "id", "cursor", "pit.id"};
        if (c->route.api == API_SEARCH) { // its other members are the search's own
            look_up_json(c, json_path(body, "pit.id"));
            return;
        }
        for (size_t i = 0; i < sizeof members / sizeof *members; i++)
            look_up_json(c, json_path(body, members[i]));
        look_up_json(c, body);
        return;
    }
    // Version 5 takes the bare id as the body.
    while (text.size && text.at[text.size - 1] <= ' ')
        text.size--;
    look_up(c, text);
}

static void keep_action(void *ctx, const struct resolve_action *action)
{
    enum { ACTIONS_MAX = 1024 };
    struct call *c = ctx;
    if (c->action_count == c->action_room) {
        size_t room = c->action_room ? 2 * c->action_room : 8;
        struct es_action *grown = room > ACTIONS_MAX ? NULL : arena_alloc(&c->arena, room * sizeof *grown);
        if (!grown)
            return;
        if (c->action_count)
            memcpy(grown, c->actions, c->action_count * sizeof *grown);
        c->actions = grown;
        c->action_room = room;
    }
    c->actions[c->action_count++] = (struct es_action){es_keep(c, action->name), es_keep(c, action->index), action->write_index};
}

// The plain name of the index that the path asks to make; empty where it is none.
static struct bytes new_name(struct call *c)
{
    const char *part = c->route.api == API_INDICES_CREATE ? "index" : "target";
    struct bytes name = path_decode(&c->arena, route_part(&c->route, part, NULL), false, NULL);
    return name.size && name.at[0] != '<' && !target_is_wildcard(name) ? name : bytes_of("", 0);
}

void es_learn_request(struct call *c, const struct json *body, struct bytes text)
{
    if (uses_handle(c->route.api))
        look_up_handles(c, body, text);
    if (body && c->route.api == API_INDICES_UPDATE_ALIASES)
        resolve_read_actions(body, keep_action, c);
    if (body && makes_index(c->route.api))
        resolve_read_aliases(body, new_name(c), keep_action, c);
    if (c->route.api == API_SNAPSHOT_RESTORE)
        c->renames = body && json_member(body, "rename_pattern");
}

// ---- answers ----------------------------------------------------------------------------------------------------------------

static bool tells_names(enum api api)
{
    return API_IN(api, API_INDICES_GET_ALIAS, API_INDICES_GET, API_CAT_ALIASES, API_CLUSTER_STATE, API_INDICES_GET_DATA_STREAM);
}

static bool tells_task(const struct call *c)
{
    bool document = c->route.api == API_GET && c->targets.count == 1 && bytes_equal_text(c->targets.at[0], ".tasks");
    return c->route.api == API_TASKS_GET || document;
}

static bool tells_async(enum api api)
{
    return API_IN(api, API_ASYNC_SEARCH_SUBMIT, API_ASYNC_SEARCH_GET, API_ASYNC_SEARCH_STATUS);
}

static bool opens_handle(enum api api)
{
    return API_IN(api, API_OPEN_POINT_IN_TIME, API_CREATE_PIT);
}

// Calls whose answers list the indices they made, changed or copied; searches, gets and writes name theirs document by document.
static bool names_indices(enum api api)
{
    return API_IN(api, API_INDICES_CREATE, API_INDICES_CREATE_FROM, API_INDICES_CLONE, API_INDICES_SHRINK, API_INDICES_SPLIT, API_INDICES_CLOSE,
                  API_INDICES_ADD_BLOCK, API_INDICES_ROLLOVER, API_SNAPSHOT_CREATE, API_SNAPSHOT_RESTORE, API_SEARCHABLE_SNAPSHOTS_MOUNT);
}

bool es_learn_matters(const struct call *c)
{
    return names_indices(c->route.api) || tells_names(c->route.api) || tells_task(c) || tells_async(c->route.api) || opens_handle(c->route.api);
}

void es_learn_handle(void *ctx, const char *name, struct bytes value)
{
    struct call *c = ctx;
    (void)name;
    task_tie(c->es->task, value, c->targets.at, c->targets.count);
}

static struct bytes text_of(const struct json *j)
{
    return j && j->kind == JSON_KIND_STRING ? j->text : (struct bytes){0};
}

static void note_text(struct call *c, const struct json *name)
{
    struct bytes text = text_of(name);
    if (text.size)
        es_note_index(c, text);
}

// {"index":...}, {"old_index":..., "new_index":...}, {"indices":{NAME:{}}}, {"indices":[{"name":...}]}, {"snapshot":{"indices":[...]}}
static void note_named(struct call *c, const struct json *answer)
{
    note_text(c, json_member(answer, "index"));
    if (json_true(json_member(answer, "rolled_over"))) { // else the new one does not exist
        note_text(c, json_member(answer, "old_index"));
        note_text(c, json_member(answer, "new_index"));
    }
    const struct json *list = json_member(answer, "indices");
    if (!list)
        list = json_path(answer, "snapshot.indices");
    for (const struct json *i = list ? list->first : NULL; i; i = i->next) {
        if (list->kind == JSON_KIND_OBJECT && i->key.size)
            es_note_index(c, i->key);
        else if (list->kind == JSON_KIND_ARRAY)
            note_text(c, i->kind == JSON_KIND_OBJECT ? json_member(i, "name") : i);
    }
}

static void learn_task(struct call *c, const struct json *answer)
{
    const char *part = c->route.api == API_TASKS_GET ? "task_id" : "id";
    struct bytes id = path_decode(&c->arena, route_part(&c->route, part, NULL), false, NULL);
    if (id.size)
        task_read_answer(c->es->task, id, now_of(c), answer);
}

static void learn_async(struct call *c, const struct json *answer)
{
    struct bytes id = text_of(json_member(answer, "id"));
    if (!id.size)
        return;
    if (c->route.api != API_ASYNC_SEARCH_SUBMIT) {
        task_read_async(c->es->task, id, now_of(c), answer);
        return;
    }
    task_tie(c->es->task, id, c->targets.at, c->targets.count);
    c->running = json_true(json_member(answer, "is_running"));
    if (c->running) {
        c->x.task = es_keep(c, id);
        task_started(c->es->task, id, c->x.id);
    }
}

void es_learn(struct call *c, const struct json *answer)
{
    enum api api = c->route.api;
    if (c->x.status >= 300 && api != API_TASKS_GET)
        return;
    if (names_indices(api))
        note_named(c, answer);
    if (tells_names(api))
        resolve_learn_answer(c->es->resolve, now_of(c), answer);
    if (tells_task(c))
        learn_task(c, answer);
    if (tells_async(api))
        learn_async(c, answer);
    if (opens_handle(api)) {
        es_learn_handle(c, "id", text_of(json_member(answer, "id")));
        es_learn_handle(c, "pit_id", text_of(json_member(answer, "pit_id")));
    }
}

void es_learn_text(struct call *c, struct bytes text)
{
    bool default_columns = !path_query_find(&c->query, "h") && !path_query_find(&c->query, "format");
    if (c->route.api == API_CAT_ALIASES && c->x.status == 200 && default_columns && !(c->x.flags & EXCHANGE_UNDECODED))
        resolve_learn_columns(c->es->resolve, now_of(c), text, path_query_true(&c->query, "v", false));
}

void es_learn_write(void *ctx, const struct op *op)
{
    struct call *c = ctx;
    if (op->asked.size && op->result != OP_FAILED)
        resolve_learn_write(c->es->resolve, now_of(c), op->asked, op->index);
    life_wrote(c->es->life, moment_of(c), op);
}

// ---- outcomes ---------------------------------------------------------------------------------------------------------------

static bool is_sure(const struct call *c)
{
    return c->x.outcome == OUTCOME_OK || c->x.outcome == OUTCOME_PARTIAL;
}

static bool is_possible(const struct call *c)
{
    return c->x.outcome == OUTCOME_UNANSWERED || c->x.outcome == OUTCOME_UNKNOWN;
}

static void end_lives(struct call *c)
{
    for (size_t i = 0; i < c->targets.count; i++) {
        struct bytes name = c->targets.at[i];
        if (name.at[0] == '-' && name.size > 1) // what an exclusion spares is not known to be spared: nothing is concluded
            return;
    }
    for (size_t i = 0; i < c->targets.count; i++)
        if (c->targets.at[i].size && c->targets.at[i].at[0] != '<')
            life_died(c->es->life, moment_of(c), c->targets.at[i], is_sure(c));
}

static void end_stream(struct call *c)
{
    for (size_t i = 0; i < c->targets.count; i++) {
        struct buf pattern = {0};
        buf_add_text(&pattern, ".ds-");
        buf_add_bytes(&pattern, c->targets.at[i]);
        buf_add_text(&pattern, "-*");
        if (!pattern.failed)
            life_died(c->es->life, moment_of(c), buf_view(&pattern), is_sure(c));
        buf_fini(&pattern);
    }
}

// A new index joins an alias that is known to stand for another one: that one keeps the writes.
static bool joins_only(const struct call *c, const struct es_action *a)
{
    struct bytes known;
    return makes_index(c->route.api) && !a->write_index && resolve_find(c->es->resolve, a->name, &known) && !bytes_equal(known, a->index);
}

static void apply_actions(struct call *c)
{
    for (size_t i = 0; i < c->action_count; i++) {
        const struct es_action *a = &c->actions[i];
        if (!a->name.size)
            life_died(c->es->life, moment_of(c), a->index, is_sure(c));
        else if (is_sure(c) && !joins_only(c, a))
            resolve_learn(c->es->resolve, now_of(c), a->name, a->index, "alias");
    }
}

static void begin_life(struct call *c)
{
    struct bytes name = new_name(c);
    if (name.size)
        life_born(c->es->life, moment_of(c), name);
}

static void restored(struct call *c)
{
    if (c->renames)
        return; // the first write tells of the new name
    for (size_t i = 0; i < c->targets.count; i++)
        if (!target_is_wildcard(c->targets.at[i]))
            life_born(c->es->life, moment_of(c), c->targets.at[i]);
}

static void rolled_over(struct call *c)
{
    if (c->told.rolled_over != 1 || !c->told.new_index.size)
        return;
    life_born(c->es->life, moment_of(c), c->told.new_index);
    if (c->targets.count)
        resolve_learn(c->es->resolve, now_of(c), c->targets.at[0], c->told.new_index, "write");
}

// PUT /{index}/_alias/{name}
static void begin_alias(struct call *c)
{
    struct bytes index = path_decode(&c->arena, route_part(&c->route, "index", NULL), false, NULL);
    struct bytes name = path_decode(&c->arena, route_part(&c->route, "name", NULL), false, NULL);
    if (index.size && name.size && !memchr(index.at, ',', index.size))
        resolve_learn(c->es->resolve, now_of(c), name, index, "alias");
}

void es_learn_outcome(struct call *c)
{
    enum api api = c->route.api;
    bool sure = is_sure(c);
    if (!sure && !is_possible(c)) {
        if (c->x.status == 404 && c->targets.count == 1 && bytes_equal_text(c->x.reason, "index_not_found_exception") && (c->x.flags & EXCHANGE_WRITE))
            life_missing(c->es->life, moment_of(c), c->targets.at[0]);
        return;
    }
    if (api == API_INDICES_DELETE)
        end_lives(c);
    else if (api == API_INDICES_DELETE_DATA_STREAM)
        end_stream(c);
    apply_actions(c);
    if (!sure)
        return;
    if (makes_index(api))
        begin_life(c);
    else if (api == API_SNAPSHOT_RESTORE)
        restored(c);
    else if (api == API_INDICES_ROLLOVER)
        rolled_over(c);
    if (api == API_INDICES_PUT_ALIAS && c->targets.count == 2 && !c->targets.wildcard)
        begin_alias(c);
    if (c->x.task.size && (c->x.flags & EXCHANGE_WRITE))
        task_started(c->es->task, c->x.task, c->x.id);
}
