// Learns which version each server speaks; decides nothing by itself but what the evidence excludes.
//
// Flow: given numbers are laid in first and never change; answers that name a number set it; shapes and headers only narrow
// the mask of versions that are still possible.
// Invariants: 1. a given number is never overwritten. 2. the mask is never 0: evidence that contradicts all of it replaces it
// (a cluster being upgraded, another server behind the same address). 3. the table holds at most SERVERS_MAX servers; past
// that what was learned (not what was given) is forgotten and learned again.
#include "version.h"
#include "../base/map.h"

#define SERVERS_MAX 4096

struct server {
    uint32_t number; // 0: not told
    unsigned mask;   // enum route_version bits still possible
    bool given;
};

struct version_table {
    struct map *servers;
};

static struct bytes server_key(const struct endpoint *e, uint8_t key[18])
{
    memcpy(key, e->ip, 16);
    key[16] = (uint8_t)(e->port >> 8);
    key[17] = (uint8_t)e->port;
    return bytes_of(key, 18);
}

static void table_forget(struct version_table *v)
{
    struct map *kept = map_open();
    struct bytes key;
    union map_value *value;
    if (!kept)
        return;
    for (size_t at = 0; map_next(v->servers, &at, &key, &value);) {
        struct server *s = value->ptr;
        union map_value *copy = s->given ? map_put(kept, key, NULL) : NULL;
        if (copy)
            copy->ptr = s;
        else
            mem_free(s);
    }
    map_close(v->servers);
    v->servers = kept;
}

// NULL: memory out.
static struct server *table_server(struct version_table *v, const struct endpoint *e)
{
    uint8_t bytes[18];
    struct bytes key = server_key(e, bytes);
    union map_value *value = map_find(v->servers, key);
    if (value)
        return value->ptr;
    if (map_count(v->servers) >= SERVERS_MAX)
        table_forget(v);
    struct server *s = mem_zero(1, sizeof *s);
    value = s ? map_put(v->servers, key, NULL) : NULL;
    if (!value) {
        mem_free(s);
        return NULL;
    }
    s->mask = ROUTE_ANY;
    value->ptr = s;
    return s;
}

static void server_narrow(struct server *s, unsigned mask)
{
    if (s == NULL || s->given || s->number || mask == 0)
        return;
    s->mask = s->mask & mask ? s->mask & mask : mask;
}

static void server_tell(struct server *s, uint32_t number)
{
    unsigned bit = route_version_bit(number);
    if (s == NULL || s->given || bit == 0)
        return;
    s->number = number;
    s->mask = bit;
}

struct version_table *version_open(const struct es_version_of *given, size_t count)
{
    struct version_table *v = mem_zero(1, sizeof *v);
    if (!v || !(v->servers = map_open())) {
        mem_free(v);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        struct server *s = table_server(v, &given[i].server);
        if (!s) {
            version_close(v);
            return NULL;
        }
        server_tell(s, given[i].version);
        s->given = s->number != 0;
    }
    return v;
}

void version_close(struct version_table *v)
{
    struct bytes key;
    union map_value *value;
    if (!v)
        return;
    for (size_t at = 0; map_next(v->servers, &at, &key, &value);)
        mem_free(value->ptr);
    map_close(v->servers);
    mem_free(v);
}

static const struct server *table_look(struct version_table *v, const struct endpoint *e)
{
    uint8_t bytes[18];
    union map_value *value = map_find(v->servers, server_key(e, bytes));
    return value ? value->ptr : NULL;
}

uint32_t version_of(struct version_table *v, const struct endpoint *server)
{
    const struct server *s = table_look(v, server);
    if (!s)
        return 0;
    if (s->number)
        return s->number;
    for (unsigned major = 1; major <= 9; major++) {
        if (s->mask == route_version_bit(major * 10000))
            return major * 10000;
        if (major <= 3 && s->mask == route_version_bit(1000000 + major * 10000))
            return 1000000 + major * 10000;
    }
    return 0;
}

unsigned version_mask(struct version_table *v, const struct endpoint *server)
{
    const struct server *s = table_look(v, server);
    return s ? s->mask : ROUTE_ANY;
}

// "7.10.2-SNAPSHOT" -> 71002; stops at the first byte that does not belong. False without a major.
static bool number_read(struct bytes text, uint32_t *number)
{
    uint32_t part[3] = {0};
    size_t i = 0, which = 0;
    for (; i < text.size && which < 3; i++) {
        if ((unsigned)(text.at[i] - '0') < 10) {
            if ((part[which] = part[which] * 10 + (text.at[i] - '0')) > 99)
                return false;
        } else if (text.at[i] == '.' && i > 0 && which < 2) {
            which++;
        } else {
            break;
        }
    }
    *number = part[0] * 10000 + part[1] * 100 + part[2];
    return part[0] > 0;
}

bool version_parse(struct bytes text, uint32_t *version)
{
    static const struct { const char *text; bool opensearch; } prefixes[] = {
        {"opensearch-", true}, {"opensearch", true}, {"elasticsearch-", false}, {"elasticsearch", false}, {"os", true}, {"es", false}, {"", false}};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t n = strlen(prefixes[i].text);
        if (text.size <= n || !bytes_equal_text_nocase(bytes_of(text.at, n), prefixes[i].text))
            continue;
        struct bytes rest = bytes_from(text, n);
        for (size_t k = 0; k < rest.size; k++)
            if ((unsigned)(rest.at[k] - '0') >= 10 && rest.at[k] != '.')
                return false;
        uint32_t number;
        if (!number_read(rest, &number))
            return false;
        // A bare 1.x to 3.x can only be OpenSearch here: Elasticsearch begins at 5.
        bool opensearch = prefixes[i].opensearch || (n == 0 && number < 40000);
        *version = number + (opensearch ? 1000000 : 0);
        return route_version_bit(*version) != 0;
    }
    return false;
}

static bool header_is(const struct header *h, const char *name)
{
    return bytes_equal_text_nocase(h->name, name);
}

// Warning: 299 Elasticsearch-7.10.2-747e1cc71def "text"   (RFC 7234 5.5; the node names itself as warn-agent)
static bool warning_read(struct bytes value, uint32_t *number)
{
    static const struct { const char *agent; uint32_t add; } agents[] = {{"Elasticsearch-", 0}, {"OpenSearch-", 1000000}};
    if (value.size < 4 || memcmp(value.at, "299 ", 4) != 0)
        return false;
    struct bytes rest = bytes_from(value, 4);
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(agents[i].agent);
        if (rest.size > n && memcmp(rest.at, agents[i].agent, n) == 0 && number_read(bytes_from(rest, n), number)) {
            *number += agents[i].add;
            return true;
        }
    }
    return false;
}

// The N of "compatible-with=N", 0 without.
static unsigned compatible_with(struct bytes value)
{
    static const char key[] = "compatible-with=";
    const uint8_t *at = value.size ? memmem(value.at, value.size, key, sizeof key - 1) : NULL;
    struct bytes rest = at ? bytes_from(value, (size_t)(at - value.at) + sizeof key - 1) : bytes_of("", 0);
    return rest.size && (unsigned)(rest.at[0] - '0') < 10 ? rest.at[0] - '0' : 0;
}

void version_learn_head(struct version_table *v, const struct endpoint *server, const struct response_head *head)
{
    struct server *s = NULL;
    for (size_t i = 0; i < head->header_count; i++) {
        const struct header *h = &head->headers[i];
        unsigned mask = 0;
        uint32_t number = 0;
        if (h->name.size == 17 && header_is(h, "X-elastic-product")) {
            mask = ROUTE_ES7 | ROUTE_ES8 | ROUTE_ES9;
        } else if (h->name.size == 12 && header_is(h, "Content-Type")) {
            unsigned n = compatible_with(h->value); // a node speaks its own major or the one before
            mask = n == 9 ? ROUTE_ES9 : n == 8 ? ROUTE_ES8 | ROUTE_ES9 : n == 7 ? ROUTE_ES7 | ROUTE_ES8 : 0;
        } else if (h->name.size == 7 && header_is(h, "Warning")) {
            if (!warning_read(h->value, &number))
                continue;
        }
        if (mask == 0 && number == 0)
            continue;
        if (!s && !(s = table_server(v, server)))
            return;
        if (number)
            server_tell(s, number);
        else
            server_narrow(s, mask);
    }
}

// GET /: {"version":{"number":"2.19.1","distribution":"opensearch",...},"tagline":...}
static void learn_info(struct server *s, const struct json *answer)
{
    const struct json *number = json_path(answer, "version.number");
    uint32_t n;
    if (!number || number->kind != JSON_KIND_STRING || !number_read(number->text, &n))
        return;
    const struct json *tagline = json_member(answer, "tagline");
    bool opensearch = json_is_text(json_path(answer, "version.distribution"), "opensearch") || n < 40000 ||
                      (tagline && tagline->text.size && memmem(tagline->text.at, tagline->text.size, "OpenSearch", 10));
    if (opensearch && n >= 50000) // compatibility.override_main_response_version: it calls itself 7.10.2
        server_narrow(s, ROUTE_OS1 | ROUTE_OS2);
    else
        server_tell(s, n + (opensearch ? 1000000 : 0));
}

// The versions of all nodes: told only when they agree on the major; the lowest number is kept.
static void learn_nodes(struct server *s, const struct json *first, bool members)
{
    uint32_t lowest = 0, n;
    for (const struct json *j = first; j; j = j->next) {
        const struct json *text = members ? json_member(j, "version") : j;
        if (!text || text->kind != JSON_KIND_STRING || !number_read(text->text, &n))
            return;
        if (lowest && n / 10000 != lowest / 10000)
            return;
        lowest = lowest == 0 || n < lowest ? n : lowest;
    }
    if (lowest)
        server_tell(s, lowest + (lowest < 40000 ? 1000000 : 0));
}

void version_learn_answer(struct version_table *v, const struct endpoint *server, enum api api, const struct json *answer)
{
    struct server *s = answer && version_answer_matters(api) ? table_server(v, server) : NULL;
    const struct json *nodes;
    if (!s)
        return;
    if (api == API_INFO)
        learn_info(s, answer);
    else if (api == API_NODES_INFO && (nodes = json_member(answer, "nodes")))
        learn_nodes(s, nodes->first, true);
    else if (api == API_CLUSTER_STATS && (nodes = json_path(answer, "nodes.versions")))
        learn_nodes(s, nodes->first, false);
}

bool version_answer_matters(enum api api)
{
    return api == API_INFO || api == API_NODES_INFO || api == API_CLUSTER_STATS;
}

void version_learn_shape(struct version_table *v, const struct endpoint *server, enum version_shape shape)
{
    static const unsigned masks[] = {
        [VERSION_SHAPE_TYPE] = ROUTE_WITH_TYPES,
        [VERSION_SHAPE_NO_TYPE] = ROUTE_ANY & ~ROUTE_WITH_TYPES,
        [VERSION_SHAPE_NO_SEQ] = ROUTE_ES5,
        [VERSION_SHAPE_SEQ] = ROUTE_ANY & ~ROUTE_ES5,
    };
    server_narrow(table_server(v, server), masks[shape]);
}

bool version_asks_compatible_7(const struct request_head *head)
{
    for (size_t i = 0; i < head->header_count; i++) {
        const struct header *h = &head->headers[i];
        if ((header_is(h, "Accept") || header_is(h, "Content-Type")) && compatible_with(h->value) == 7)
            return true;
    }
    return false;
}
