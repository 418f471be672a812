// Danger in settings: keys of index and cluster settings, written dotted, nested, or mixed.
#include "danger_look.h"

#define KEY_MAX 256

struct setting {
    char text[KEY_MAX];
    const char *key; // dotted, without the "index." that index settings may carry
    const struct json *value;
};

typedef enum danger_level setting_look(const struct setting *s);

static enum danger_level worst(enum danger_level a, enum danger_level b)
{
    return a > b ? a : b;
}

static enum danger_level settings_walk(const struct json *j, struct setting *s, size_t used, setting_look *look)
{
    enum danger_level level = DANGER_NONE;
    if (j->kind != JSON_KIND_OBJECT) {
        s->key = strncmp(s->text, "index.", 6) == 0 ? s->text + 6 : s->text;
        s->value = j;
        return look(s);
    }
    for (const struct json *m = j->first; m; m = m->next) {
        size_t dot = used ? 1 : 0;
        if (used + dot + m->key.size + 1 > KEY_MAX || memchr(m->key.at, 0, m->key.size))
            continue;
        if (dot)
            s->text[used] = '.';
        memcpy(s->text + used + dot, m->key.at, m->key.size);
        s->text[used + dot + m->key.size] = 0;
        level = worst(level, settings_walk(m, s, used + dot + m->key.size, look));
    }
    return level;
}

// PUT _settings takes {"settings":{...}}, {"index":{...}} or the keys at the top.
static enum danger_level index_settings(const struct danger_input *in, setting_look *look)
{
    struct setting s = {.key = NULL};
    const struct json *inner = json_member(in->body, "settings");
    const struct json *from = inner && inner->kind == JSON_KIND_OBJECT ? inner : in->body;
    return from && from->kind == JSON_KIND_OBJECT ? settings_walk(from, &s, 0, look) : DANGER_NONE;
}

static enum danger_level cluster_settings(const struct danger_input *in, setting_look *look)
{
    static const char *const scopes[] = {"persistent", "transient"};
    enum danger_level level = DANGER_NONE;
    for (size_t i = 0; i < 2; i++) {
        struct setting s = {.key = NULL};
        const struct json *from = json_member(in->body, scopes[i]);
        if (from && from->kind == JSON_KIND_OBJECT)
            level = worst(level, settings_walk(from, &s, 0, look));
    }
    return level;
}

static bool is_key(const struct setting *s, const char *key)
{
    return strcmp(s->key, key) == 0;
}

static bool under(const struct setting *s, const char *prefix)
{
    return strncmp(s->key, prefix, strlen(prefix)) == 0;
}

static bool is_true(const struct setting *s)
{
    return s->value->kind == JSON_KIND_TRUE || json_is_text(s->value, "true");
}

static bool is_false(const struct setting *s)
{
    return s->value->kind == JSON_KIND_FALSE || json_is_text(s->value, "false");
}

static bool is_null(const struct setting *s) // back to the default
{
    return s->value->kind == JSON_KIND_NULL;
}

static enum danger_level look_blocks(const struct setting *s)
{
    if (!under(s, "blocks.") || !is_true(s))
        return DANGER_NONE;
    return is_key(s, "blocks.read") || is_key(s, "blocks.read_only") ? DANGER_HIGH : DANGER_MEDIUM;
}

static enum danger_level look_weaken(const struct setting *s)
{
    bool weak = (is_key(s, "number_of_replicas") && json_int(s->value, -1) == 0) ||
                (is_key(s, "refresh_interval") && (json_is_text(s->value, "-1") || json_int(s->value, 0) == -1)) ||
                (is_key(s, "translog.durability") && (json_is_text(s->value, "async") || json_is_text(s->value, "ASYNC"))) ||
                (is_key(s, "soft_deletes.enabled") && is_false(s)) || is_key(s, "number_of_routing_shards") ||
                (is_key(s, "soft_deletes.retention_lease.period") && !is_null(s));
    return weak ? DANGER_MEDIUM : DANGER_NONE;
}

static enum danger_level look_mapping(const struct setting *s)
{
    return is_key(s, "mapping.total_fields.limit") && !is_null(s) ? DANGER_MEDIUM : DANGER_NONE;
}

static enum danger_level look_pipeline(const struct setting *s)
{
    return is_key(s, "default_pipeline") || is_key(s, "final_pipeline") ? DANGER_HIGH : DANGER_NONE;
}

static enum danger_level look_logs(const struct setting *s)
{
    return under(s, "search.slowlog.") || under(s, "indexing.slowlog.") ? DANGER_CRITICAL : DANGER_NONE;
}

static enum danger_level look_readonly(const struct setting *s)
{
    return under(s, "cluster.blocks.read_only") && is_true(s) ? DANGER_CRITICAL : DANGER_NONE;
}

static enum danger_level look_allocation(const struct setting *s)
{
    static const char *const prefixes[] = {"cluster.routing.allocation.exclude.", "cluster.routing.allocation.include.", "cluster.routing.allocation.require.",
                                           "cluster.routing.allocation.disk.", "cluster.max_shards_per_node", "indices.recovery.",
                                           "indices.breaker.", "discovery.", "cluster.routing.rebalance.enable"};
    if (is_null(s))
        return DANGER_NONE;
    if (is_key(s, "cluster.routing.allocation.enable"))
        return json_is_text(s->value, "all") ? DANGER_NONE : DANGER_HIGH;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (under(s, prefixes[i]))
            return DANGER_HIGH;
    return DANGER_NONE;
}

static enum danger_level look_guard(const struct setting *s)
{
    bool off = (is_key(s, "action.destructive_requires_name") && is_false(s)) || (is_key(s, "action.auto_create_index") && !is_null(s)) ||
               (is_key(s, "search.allow_expensive_queries") && is_true(s)) || (under(s, "script.") && !is_null(s)) ||
               (is_key(s, "cluster.indices.close.enable") && is_true(s)) || (is_key(s, "plugins.sql.delete.enabled") && is_true(s));
    return off ? DANGER_HIGH : DANGER_NONE;
}

static enum danger_level look_audit(const struct setting *s)
{
    static const char *const prefixes[] = {"xpack.security.audit.", "plugins.security.audit.", "opendistro_security.audit.", "logger.",
                                           "search.slowlog.", "cluster.search.request.slowlog.", "esql.querylog.", "elasticsearch.querylog."};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (under(s, prefixes[i]))
            return DANGER_CRITICAL;
    return DANGER_NONE;
}

static enum danger_level look_remote(const struct setting *s)
{
    return (under(s, "cluster.remote.") || under(s, "search.remote.")) && !is_null(s) ? DANGER_HIGH : DANGER_NONE;
}

enum danger_level danger_settings_blocks(const struct danger_input *in) { return index_settings(in, look_blocks); }
enum danger_level danger_settings_weaken(const struct danger_input *in) { return index_settings(in, look_weaken); }
enum danger_level danger_settings_mapping(const struct danger_input *in) { return index_settings(in, look_mapping); }
enum danger_level danger_settings_pipeline(const struct danger_input *in) { return index_settings(in, look_pipeline); }
enum danger_level danger_settings_logs(const struct danger_input *in) { return index_settings(in, look_logs); }
enum danger_level danger_cluster_readonly(const struct danger_input *in) { return cluster_settings(in, look_readonly); }
enum danger_level danger_cluster_allocation(const struct danger_input *in) { return cluster_settings(in, look_allocation); }
enum danger_level danger_cluster_guard(const struct danger_input *in) { return cluster_settings(in, look_guard); }
enum danger_level danger_cluster_audit(const struct danger_input *in) { return cluster_settings(in, look_audit); }
enum danger_level danger_cluster_remote(const struct danger_input *in) { return cluster_settings(in, look_remote); }

enum danger_level danger_settings_all(const struct danger_input *in)
{
    return in->targets->count == 0 || in->targets->all ? DANGER_HIGH : DANGER_NONE;
}
