// Collects the index expressions of a call: the list itself, and what path and query string name.
#include "target.h"
#include "../base/glob.h"
#include "../base/map.h"

#define HASHED_FROM 16 // shorter lists are searched one by one
#define SEED UINT64_C(0x9e3779b97f4a7c15)

void target_init(struct target_list *t, struct arena *a)
{
    *t = (struct target_list){.arena = a};
}

static bool is_text(struct bytes b, const char *text)
{
    return bytes_equal_text(b, text);
}

bool target_is_wildcard(struct bytes name)
{
    return (name.size && name.at[0] == '-') || glob_is_pattern(name) || is_text(name, "_all");
}

static bool list_room(struct target_list *t)
{
    if (t->count < t->room)
        return true;
    size_t room = t->room ? t->room * 2 : 8;
    struct bytes *at = arena_alloc(t->arena, room * sizeof *at);
    if (!at)
        return false;
    if (t->count)
        memcpy(at, t->at, t->count * sizeof *at);
    t->at = at;
    t->room = room;
    return true;
}

// Slots hold the place in the list plus one. Kept at most half full.
static bool list_hash(struct target_list *t)
{
    if (t->count < HASHED_FROM || t->count * 2 < t->slot_count)
        return true;
    size_t slots = t->slot_count ? t->slot_count * 2 : HASHED_FROM * 4;
    uint32_t *at = arena_alloc(t->arena, slots * sizeof *at);
    if (!at)
        return false;
    memset(at, 0, slots * sizeof *at);
    for (size_t i = 0; i < t->count; i++) {
        size_t s = map_hash(t->at[i], SEED) & (slots - 1);
        while (at[s])
            s = (s + 1) & (slots - 1);
        at[s] = (uint32_t)i + 1;
    }
    t->slots = at;
    t->slot_count = slots;
    return true;
}

static bool list_has(const struct target_list *t, struct bytes name, size_t *slot)
{
    if (t->slot_count == 0) {
        for (size_t i = 0; i < t->count; i++)
            if (bytes_equal(t->at[i], name))
                return true;
        return false;
    }
    size_t s = map_hash(name, SEED) & (t->slot_count - 1);
    for (; t->slots[s]; s = (s + 1) & (t->slot_count - 1))
        if (bytes_equal(t->at[t->slots[s] - 1], name))
            return true;
    *slot = s;
    return false;
}

void target_add(struct target_list *t, struct bytes name)
{
    size_t slot = 0;
    if (name.size == 0 || list_has(t, name, &slot))
        return;
    if (t->count >= TARGET_MAX) {
        t->dropped++;
        return;
    }
    const uint8_t *copy = list_room(t) ? arena_copy(t->arena, name.at, name.size) : NULL;
    if (!copy) {
        t->failed = true;
        t->dropped++;
        return;
    }
    t->at[t->count++] = bytes_of(copy, name.size);
    t->wildcard |= target_is_wildcard(name);
    t->all |= is_text(name, "_all") || is_text(name, "*");
    if (t->slot_count)
        t->slots[slot] = (uint32_t)t->count;
    if (!list_hash(t))
        t->failed = true;
}

void target_add_list(struct target_list *t, struct bytes expression)
{
    for (size_t at = 0; at < expression.size;) {
        const uint8_t *comma = memchr(expression.at + at, ',', expression.size - at);
        size_t end = comma ? (size_t)(comma - expression.at) : expression.size;
        target_add(t, bytes_of(expression.at + at, end - at));
        at = end + 1;
    }
}

// ---- what the path names ---------------------------------------------------------------------------------------------

// Template parts that are index expressions wherever they stand.
static const char *const index_parts[] = {"index", "target_index", "target", "alias", "new_index", "source", "dest", "index_name", "index_id", "source_index"};

// APIs whose {name} is a data stream, an alias or an index expression, not the name of something else.
static bool name_is_target(enum api api)
{
    switch (api) {
    case API_INDICES_CREATE_DATA_STREAM: case API_INDICES_DELETE_DATA_STREAM: case API_INDICES_GET_DATA_STREAM:
    case API_INDICES_DATA_STREAMS_STATS: case API_INDICES_MIGRATE_TO_DATA_STREAM: case API_INDICES_PROMOTE_DATA_STREAM:
    case API_INDICES_PUT_DATA_LIFECYCLE: case API_INDICES_GET_DATA_LIFECYCLE: case API_INDICES_DELETE_DATA_LIFECYCLE:
    case API_INDICES_PUT_DATA_STREAM_OPTIONS: case API_INDICES_GET_DATA_STREAM_OPTIONS: case API_INDICES_DELETE_DATA_STREAM_OPTIONS:
    case API_INDICES_PUT_DATA_STREAM_SETTINGS: case API_INDICES_GET_DATA_STREAM_SETTINGS: case API_INDICES_PUT_DATA_STREAM_MAPPINGS:
    case API_INDICES_SIMULATE_INDEX_TEMPLATE:
    case API_INDICES_GET_DATA_STREAM_MAPPINGS: case API_INDICES_RESOLVE_INDEX: case API_INDICES_RESOLVE_CLUSTER:
    case API_INDICES_PUT_ALIAS: case API_INDICES_GET_ALIAS: case API_INDICES_EXISTS_ALIAS: case API_INDICES_DELETE_ALIAS: case API_CAT_ALIASES:
        return true;
    default:
        return false;
    }
}

static bool part_is_target(const struct route_match *m, const char *name)
{
    if (strcmp(name, "name") == 0)
        return name_is_target(m->api);
    if (m->api == API_CLUSTER_INFO) // its {target} is a kind of statistics
        return false;
    for (size_t i = 0; i < sizeof index_parts / sizeof *index_parts; i++)
        if (strcmp(name, index_parts[i]) == 0)
            return true;
    return false;
}

void target_add_url(struct target_list *t, const struct route_match *m, const struct path_query *q)
{
    bool named = false;
    // In versions 5 and 6 '+' in a path is a space, later a plus sign; index names hold neither, so the later rule does.
    for (size_t i = 0; i < m->part_count; i++) {
        if (!part_is_target(m, m->parts[i].name))
            continue;
        named |= strcmp(m->parts[i].name, "index") == 0;
        target_add_list(t, path_decode(t->arena, m->parts[i].raw, false, NULL));
    }
    // The node keeps path parts and query parameters in one map: DELETE /?index=a deletes a.
    if (!named && m->api != API_NONE)
        target_add_list(t, path_query_value(q, "index"));
}

bool target_add_msearch_header(struct target_list *t, struct bytes line)
{
    struct json *header = json_parse(t->arena, line, NULL);
    const struct json *index = json_member(header, "index");
    size_t before = t->count;
    if (!index)
        index = json_member(header, "indices");
    if (!index)
        return false;
    if (index->kind == JSON_KIND_STRING) {
        target_add_list(t, index->text);
        return true;
    }
    for (const struct json *j = index->first; j; j = j->next)
        if (j->kind == JSON_KIND_STRING)
            target_add_list(t, j->text);
    return index->count > 0 || t->count > before;
}

// ---- what names say of themselves ------------------------------------------------------------------------------------

static bool begins(struct bytes name, const char *prefix)
{
    size_t n = strlen(prefix);
    return name.size >= n && memcmp(name.at, prefix, n) == 0;
}

static bool begins_any(struct bytes name, const char *const *prefixes)
{
    for (; *prefixes; prefixes++)
        if (begins(name, *prefixes))
            return true;
    return false;
}

static const char *const security_prefixes[] = {".security", ".opendistro_security", ".opensearch_security", ".opensearch-security",
                                               ".kibana_security", ".opendistro-security", ".plugins-security", NULL};

// <.security-{now/d}>, and <.secur{now{'ity'}}>, whose rest nobody computes here.
static bool date_math_is_security(struct bytes name)
{
    struct bytes fixed = bytes_from(name, 1);
    const uint8_t *brace = memchr(fixed.at, '{', fixed.size);
    if (brace)
        fixed.size = (size_t)(brace - fixed.at);
    if (begins_any(fixed, security_prefixes))
        return true;
    for (const char *const *p = security_prefixes; brace && fixed.size > 2 && *p; p++)
        if (fixed.size < strlen(*p) && memcmp(fixed.at, *p, fixed.size) == 0)
            return true;
    return false;
}

bool target_is_security(struct bytes name)
{
    if (name.size > 1 && name.at[0] == '<')
        return date_math_is_security(name);
    const uint8_t *colon = name.size ? memchr(name.at, ':', name.size) : NULL; // another cluster's
    return begins_any(name, security_prefixes) || (colon && begins_any(bytes_from(name, (size_t)(colon - name.at) + 1), security_prefixes));
}

bool target_may_be_security(struct bytes name)
{
    if (target_is_security(name) || is_text(name, "_all"))
        return true;
    const uint8_t *colon = name.size ? memchr(name.at, ':', name.size) : NULL;
    if (colon)
        name = bytes_from(name, (size_t)(colon - name.at) + 1);
    static const char *const examples[] = {".security-7", ".opendistro_security", ".kibana_security_solution_1"};
    for (size_t i = 0; i < sizeof examples / sizeof *examples && glob_is_pattern(name); i++)
        if (glob_match(name, bytes_of_text(examples[i])))
            return true;
    return false;
}

bool target_is_system(struct bytes name)
{
    static const char *const prefixes[] = {".kibana", ".ds-", "auditlog-", "security-auditlog-", ".opensearch_dashboards", ".tasks", ".fleet", ".async-search",
                                           ".watches", ".triggered_watches", ".ml-config", ".ml-state", ".ml-meta", ".ml-inference", ".transform-internal",
                                           ".enrich-", ".geoip_databases", ".apm-agent-configuration", ".apm-custom-link", ".logstash", ".synonyms", ".inference",
                                           ".connector", ".secrets-", ".plugins-", ".opendistro-", ".opendistro_", ".opensearch-", ".slm-history", ".ltrstore", NULL};
    return target_is_security(name) || begins_any(name, prefixes);
}
