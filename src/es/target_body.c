// Index names in bodies: a table says for each API where they stand; what a path cannot say has a function of its own.
#include "target.h"
#include "../base/glob.h"
#include "target_rename.h"

// "a.b" members, "x[]" every element of an array, "*" every member. Leaves: a text is a comma list, an array holds texts.
struct body_row {
    enum api api;
    const char *at;
};

static const struct body_row body_rows[] = {
    {API_REINDEX, "source.index"},
    {API_REINDEX, "dest.index"},
    {API_INDICES_MIGRATE_REINDEX, "source.index"},
    {API_MGET, "docs[]._index"},
    {API_MTERMVECTORS, "docs[]._index"},
    {API_SNAPSHOT_CREATE, "indices"},
    {API_SNAPSHOT_CLONE, "indices"},
    {API_SEARCHABLE_SNAPSHOTS_MOUNT, "index"},
    {API_SEARCHABLE_SNAPSHOTS_MOUNT, "renamed_index"},
    {API_REMOTE_STORE_RESTORE, "indices"},
    {API_INDICES_PUT_TEMPLATE, "index_patterns"},
    {API_INDICES_PUT_TEMPLATE, "template"},
    {API_INDICES_PUT_INDEX_TEMPLATE, "index_patterns"},
    {API_INDICES_SIMULATE_TEMPLATE, "index_patterns"},
    {API_INDICES_SIMULATE_INDEX_TEMPLATE, "index_patterns"},
    {API_INDICES_MODIFY_DATA_STREAM, "actions[].*.data_stream"},
    {API_INDICES_MODIFY_DATA_STREAM, "actions[].*.index"},
    {API_CLUSTER_REROUTE, "commands[].*.index"},
    {API_CLUSTER_ALLOCATION_EXPLAIN, "index"},
    {API_ENRICH_PUT_POLICY, "*.indices"},
    {API_TRANSFORM_PUT_TRANSFORM, "source.index"},
    {API_TRANSFORM_PUT_TRANSFORM, "dest.index"},
    {API_TRANSFORM_UPDATE_TRANSFORM, "source.index"},
    {API_TRANSFORM_UPDATE_TRANSFORM, "dest.index"},
    {API_TRANSFORM_PREVIEW_TRANSFORM, "source.index"},
    {API_TRANSFORM_PREVIEW_TRANSFORM, "dest.index"},
    {API_TRANSFORMS_PUT, "transform.source_index"},
    {API_TRANSFORMS_PUT, "transform.target_index"},
    {API_TRANSFORMS_PREVIEW, "transform.source_index"},
    {API_ROLLUPS_PUT, "rollup.source_index"},
    {API_ROLLUPS_PUT, "rollup.target_index"},
    {API_ROLLUP_PUT_JOB, "index_pattern"},
    {API_ROLLUP_PUT_JOB, "rollup_index"},
    {API_CCR_PUT_AUTO_FOLLOW_PATTERN, "leader_index_patterns"},
    {API_CCR_FORGET_FOLLOWER, "follower_index"},
    {API_ML_PUT_DATAFEED, "indices"},
    {API_ML_PUT_DATAFEED, "indexes"},
    {API_ML_UPDATE_DATAFEED, "indices"},
    {API_ML_UPDATE_DATAFEED, "indexes"},
    {API_ML_PREVIEW_DATAFEED, "datafeed_config.indices"},
    {API_ML_PUT_DATA_FRAME_ANALYTICS, "source.index"},
    {API_ML_PUT_DATA_FRAME_ANALYTICS, "dest.index"},
    {API_SLM_PUT_LIFECYCLE, "config.indices"},
    {API_SM_CREATE_POLICY, "snapshot_config.indices"},
    {API_SM_UPDATE_POLICY, "snapshot_config.indices"},
    {API_WATCHER_PUT_WATCH, "input.search.request.indices"},
    {API_WATCHER_EXECUTE_WATCH, "watch.input.search.request.indices"},
    {API_KNN_TRAIN_MODEL, "training_index"},
};

static void add_leaf(struct target_list *t, const struct json *j)
{
    if (j->kind == JSON_KIND_STRING)
        target_add_list(t, j->text);
    else if (j->kind == JSON_KIND_ARRAY)
        for (const struct json *i = j->first; i; i = i->next)
            if (i->kind == JSON_KIND_STRING)
                target_add_list(t, i->text);
}

static void add_path(struct target_list *t, const struct json *from, const char *path)
{
    size_t length = strcspn(path, ".");
    const char *rest = path[length] ? path + length + 1 : "";
    if (!from)
        return;
    if (*path == 0) {
        add_leaf(t, from);
        return;
    }
    if (from->kind != JSON_KIND_OBJECT)
        return;
    bool array = length > 2 && memcmp(path + length - 2, "[]", 2) == 0;
    struct bytes name = bytes_of(path, array ? length - 2 : length);
    for (const struct json *j = from->first; j; j = j->next) {
        if (!bytes_equal_text(name, "*") && !bytes_equal(j->key, name))
            continue;
        if (!array)
            add_path(t, j, rest);
        else if (j->kind == JSON_KIND_ARRAY)
            for (const struct json *i = j->first; i; i = i->next)
                add_path(t, i, rest);
    }
}

// {"actions":[{"add":{"index":"a","alias":"b"}},{"remove_index":{"index":"c"}}]}: action by action, index before alias.
static void add_aliases(struct target_list *t, const struct json *body)
{
    static const char *const names[] = {"index", "indices", "alias", "aliases"};
    const struct json *actions = json_member(body, "actions");
    for (const struct json *a = actions ? actions->first : NULL; a; a = a->next)
        for (const struct json *action = a->kind == JSON_KIND_OBJECT ? a->first : NULL; action; action = action->next)
            for (size_t i = 0; i < 4; i++)
                add_path(t, action, names[i]);
}

// The name after the restore's renaming; only for plain names, a pattern's matches are not known.
static void add_renamed(struct target_list *t, struct bytes name, const struct json *pattern, const struct json *replacement)
{
    char made[256];
    size_t size;
    if (!target_is_wildcard(name) && target_rename(name, pattern->text, replacement->text, made, sizeof made, &size))
        target_add(t, bytes_of(made, size));
}

static void add_restore(struct target_list *t, const struct json *body)
{
    const struct json *pattern = json_member(body, "rename_pattern"), *replacement = json_member(body, "rename_replacement");
    size_t first = t->count;
    add_path(t, body, "indices");
    if (!pattern || !replacement || pattern->kind != JSON_KIND_STRING || replacement->kind != JSON_KIND_STRING)
        return;
    for (size_t i = first, last = t->count; i < last; i++)
        add_renamed(t, t->at[i], pattern, replacement);
}

// A remote's index is named as cross-cluster expressions name it.
static void add_remote(struct target_list *t, const struct json *body, const char *cluster, const char *index)
{
    const struct json *c = json_member(body, cluster), *i = json_member(body, index);
    char text[600];
    if (!i || i->kind != JSON_KIND_STRING)
        return;
    if (!c || c->kind != JSON_KIND_STRING || c->text.size + i->text.size + 1 > sizeof text) {
        target_add_list(t, i->text);
        return;
    }
    memcpy(text, c->text.at, c->text.size);
    text[c->text.size] = ':';
    memcpy(text + c->text.size + 1, i->text.at, i->text.size);
    target_add(t, bytes_of(text, c->text.size + 1 + i->text.size));
}

static bool query_language(enum api api, enum target_language *language)
{
    switch (api) {
    case API_SQL_QUERY: case API_SQL_TRANSLATE: case API_SQL_EXPLAIN:
        *language = TARGET_SQL;
        return true;
    case API_ESQL_QUERY: case API_ESQL_ASYNC_QUERY:
        *language = TARGET_ESQL;
        return true;
    case API_PPL_QUERY: case API_PPL_EXPLAIN:
        *language = TARGET_PPL;
        return true;
    default:
        return false;
    }
}

void target_add_body(struct target_list *t, const struct route_match *m, const struct json *body)
{
    enum target_language language;
    const struct json *query;
    if (!body || body->kind != JSON_KIND_OBJECT)
        return;
    switch (m->api) {
    case API_INDICES_UPDATE_ALIASES:
        add_aliases(t, body);
        return;
    case API_SNAPSHOT_RESTORE:
        add_restore(t, body);
        return;
    case API_CCR_FOLLOW:
        add_remote(t, body, "remote_cluster", "leader_index");
        return;
    case API_REPLICATION_START:
        add_remote(t, body, "leader_alias", "leader_index");
        return;
    default:
        break;
    }
    if (query_language(m->api, &language) && (query = json_member(body, "query")) && query->kind == JSON_KIND_STRING) {
        target_add_query_text(t, language, query->text);
        return;
    }
    for (size_t i = 0; i < sizeof body_rows / sizeof *body_rows; i++)
        if (body_rows[i].api == m->api)
            add_path(t, body, body_rows[i].at);
}

bool target_body_matters(const struct route_match *m)
{
    enum target_language language;
    switch (m->api) {
    case API_INDICES_UPDATE_ALIASES: case API_SNAPSHOT_RESTORE: case API_CCR_FOLLOW: case API_REPLICATION_START:
        return true;
    default:
        break;
    }
    if (query_language(m->api, &language))
        return true;
    for (size_t i = 0; i < sizeof body_rows / sizeof *body_rows; i++)
        if (body_rows[i].api == m->api)
            return true;
    return false;
}
