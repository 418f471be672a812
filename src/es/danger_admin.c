// Danger to the cluster, its lifecycle policies, its backups and its accounts.
#include "danger_look.h"
#include "../base/glob.h"

// ---- cluster ----------------------------------------------------------------------------------------------------------

static bool dry(const struct danger_input *in)
{
    return path_query_true(in->query, "dry_run", false) || json_true(json_member(in->body, "dry_run"));
}

enum danger_level danger_empty_primary(const struct danger_input *in)
{
    static const char *const kinds[] = {"allocate_empty_primary", "allocate_stale_primary"};
    const struct json *commands = json_member(in->body, "commands");
    for (const struct json *c = commands && !dry(in) ? commands->first : NULL; c; c = c->next)
        for (size_t i = 0; i < 2; i++)
            if (json_true(json_member(json_member(c, kinds[i]), "accept_data_loss")))
                return DANGER_CRITICAL;
    return DANGER_NONE;
}

enum danger_level danger_reroute(const struct danger_input *in)
{
    const struct json *commands = json_member(in->body, "commands");
    bool moves = commands && (commands->kind == JSON_KIND_OBJECT || commands->count > 0);
    return !dry(in) && (moves || in->body_unread) ? DANGER_MEDIUM : DANGER_NONE;
}

enum danger_level danger_scroll_all(const struct danger_input *in)
{
    const struct json *ids = json_member(in->body, "scroll_id");
    bool all = bytes_equal_text(route_part(in->route, "scroll_id", NULL), "_all") || bytes_equal_text(path_query_value(in->query, "scroll_id"), "_all") ||
               json_is_text(ids, "_all");
    for (const struct json *i = ids && ids->kind == JSON_KIND_ARRAY ? ids->first : NULL; i; i = i->next)
        all |= json_is_text(i, "_all");
    return all ? DANGER_MEDIUM : DANGER_NONE;
}

enum danger_level danger_tasks_all(const struct danger_input *in)
{
    return route_part(in->route, "task_id", NULL).size == 0 && path_query_value(in->query, "parent_task_id").size == 0 ? DANGER_MEDIUM : DANGER_NONE;
}

// ---- templates, pipelines, lifecycle -----------------------------------------------------------------------------------

static bool is_plain_star(const struct json *patterns)
{
    if (!patterns || patterns->kind != JSON_KIND_ARRAY)
        return json_is_text(patterns, "*");
    for (const struct json *p = patterns->first; p; p = p->next)
        if (json_is_text(p, "*"))
            return true;
    return false;
}

enum danger_level danger_template(const struct danger_input *in)
{
    struct bytes name = route_part(in->route, "name", NULL);
    bool put = in->route->api == API_INDICES_PUT_TEMPLATE || in->route->api == API_INDICES_PUT_INDEX_TEMPLATE;
    if (put)
        return is_plain_star(json_member(in->body, "index_patterns")) || is_plain_star(json_member(in->body, "template")) ? DANGER_HIGH : DANGER_MEDIUM;
    return glob_is_pattern(name) || danger_text_has(name, "%2A") || danger_text_has(name, "%2a") ? DANGER_HIGH : DANGER_MEDIUM;
}

static bool drops(const struct json *j)
{
    static const char *const names[] = {"drop", "remove", "script"};
    if (j->kind != JSON_KIND_ARRAY)
        return false;
    for (const struct json *p = j->first; p; p = p->next)
        for (size_t i = 0; i < 3; i++)
            if (json_member(p, names[i]) && json_member(p, names[i])->kind == JSON_KIND_OBJECT)
                return true;
    return false;
}

// foreach carries one processor as an object.
static bool foreach_drops(const struct json *j)
{
    const struct json *inner = json_path(j, "foreach.processor");
    return inner && (json_member(inner, "remove") || json_member(inner, "script") || json_member(inner, "drop"));
}

enum danger_level danger_pipeline(const struct danger_input *in)
{
    return danger_any(in->body, drops) || danger_any(in->body, foreach_drops) ? DANGER_HIGH : DANGER_NONE;
}

enum danger_level danger_delete_phase(const struct danger_input *in)
{
    return json_path(in->body, "policy.phases.delete") || json_path(in->body, "phases.delete") ? DANGER_HIGH : DANGER_NONE;
}

enum danger_level danger_retention(const struct danger_input *in)
{
    const struct json *retention = json_member(in->body, "data_retention");
    return retention && retention->kind != JSON_KIND_NULL ? DANGER_HIGH : DANGER_NONE;
}

// ---- backups and ways out ---------------------------------------------------------------------------------------------

enum danger_level danger_repository(const struct danger_input *in)
{
    return in->route->api == API_SNAPSHOT_CREATE_REPOSITORY ? DANGER_HIGH : DANGER_NONE;
}

enum danger_level danger_url_repository(const struct danger_input *in)
{
    return json_is_text(json_member(in->body, "type"), "url") ? DANGER_HIGH : DANGER_NONE;
}

static bool is_webhook(const struct json *j)
{
    return bytes_equal_text(j->key, "webhook") && j->kind == JSON_KIND_OBJECT;
}

enum danger_level danger_webhook(const struct danger_input *in)
{
    return danger_any(json_member(in->body, "actions"), is_webhook) ? DANGER_HIGH : DANGER_NONE;
}

// ---- accounts ---------------------------------------------------------------------------------------------------------

static bool holds(const struct json *list, const char *const *words)
{
    for (; list && *words; words++) {
        if (json_is_text(list, *words))
            return true;
        for (const struct json *i = list->kind == JSON_KIND_ARRAY ? list->first : NULL; i; i = i->next)
            if (json_is_text(i, *words))
                return true;
    }
    return false;
}

// Anywhere in the body: a list of roles with superuser or all_access, every right on every index, or run-as anybody.
static bool grants(const struct json *j)
{
    static const char *const super[] = {"superuser", "all_access", "admin", NULL}, *const star[] = {"*", NULL};
    static const char *const all[] = {"all", "*", "indices_all", "unlimited", "indices:*", NULL};
    static const char *const roles[] = {"roles", "backend_roles", "opendistro_security_roles", "opensearch_security_roles", "security_roles"};
    static const char *const names[] = {"names", "index_patterns"}, *const rights[] = {"privileges", "allowed_actions"};
    if (j->kind != JSON_KIND_OBJECT)
        return false;
    if (holds(json_member(j, "run_as"), star))
        return true;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (holds(json_member(j, roles[i]), super))
            return true;
    for (size_t i = 0; i < 2; i++)
        if (holds(json_member(j, names[i]), star) && holds(json_member(j, rights[i]), all))
            return true;
    return holds(json_member(j, "cluster_permissions"), star);
}

// A JSON patch names the member in its path instead: {"op":"add","path":"/alice/backend_roles/-","value":"all_access"}
static bool patch_grants(const struct json *j)
{
    static const char *const super[] = {"superuser", "all_access", "admin", NULL};
    const struct json *path = json_member(j, "path");
    return path && path->kind == JSON_KIND_STRING && danger_text_has(path->text, "roles") && holds(json_member(j, "value"), super);
}

enum danger_level danger_grant(const struct danger_input *in)
{
    struct bytes role = route_part(in->route, "role", NULL);
    bool mapping = in->route->api == API_SECURITY_CREATE_ROLE_MAPPING || in->route->api == API_SECURITY_PATCH_ROLE_MAPPING;
    bool super = mapping && (bytes_equal_text(role, "all_access") || bytes_equal_text(route_part(in->route, "name", NULL), "all_access"));
    return super || danger_any(in->body, grants) || danger_any(in->body, patch_grants) ? DANGER_CRITICAL : DANGER_NONE;
}

enum danger_level danger_lockout_password(const struct danger_input *in)
{
    static const char *const built_in[] = {"elastic", "kibana_system", "kibana", "logstash_system", "beats_system", "apm_system", "remote_monitoring_user", "admin"};
    struct bytes user = route_part(in->route, "username", NULL);
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++)
        if (bytes_equal_text(user, built_in[i]))
            return DANGER_HIGH;
    return DANGER_NONE;
}

// By realm or by user name, not one named key of one's own.
enum danger_level danger_lockout_keys(const struct danger_input *in)
{
    bool wide = json_member(in->body, "realm_name") || json_member(in->body, "username");
    return wide ? DANGER_HIGH : DANGER_NONE;
}

enum danger_level danger_key_forever(const struct danger_input *in)
{
    const struct json *roles = json_member(in->body, "role_descriptors");
    bool inherits = !roles || roles->kind != JSON_KIND_OBJECT || roles->count == 0;
    return !json_member(in->body, "expiration") || inherits ? DANGER_MEDIUM : DANGER_NONE;
}
