// Which bodies and parameters carry secrets, and how they are replaced.
//
// A body is read as a tree and written out again by splicing: every value to be replaced is a range of the source, what lies
// between is copied as it stands. So a redacted body keeps its spelling, and a marker stands where a secret stood.
#include "redact.h"

#include "../../include/bounds.h"
#include "../base/glob.h"
#include "../base/json.h"

#include <stdio.h>

const char redact_marker_document[] = "{\"_redacted\":\"[redacted]\"}";
static const char marker_text[] = "\"[redacted]\"";
static const char marker_plain[] = "[redacted]";

#define COUNT(a) (sizeof(a) / sizeof *(a))

// Calls whose bodies are queries, documents, mappings or index settings: data, never read for secrets.
static const char *const data_apis[] = {
    "index", "create", "update", "delete", "bulk*", "get", "get_source", "exists", "exists_source", "mget", "indices.*", "cat.*", "search",
    "search_mvt", "search_shards", "search_template", "msearch", "msearch_template", "count", "scroll", "clear_scroll", "explain",
    "field_caps", "terms_enum", "termvectors", "mtermvectors", "rank_eval", "delete_by_query*", "update_by_query*", "reindex_rethrottle",
    "scripts_painless_execute", "render_search_template", "sql.*", "esql.*", "eql.*", "ppl.*", "async_search.*", "open_point_in_time",
    "close_point_in_time", "create_pit", "delete_pit", "delete_all_pits", "get_all_pits", "knn_search", "graph.explore", "tasks.*",
    "cluster.health", "cluster.reroute", "cluster.allocation_explain", "monitoring.bulk", "ml.post_data", "text_structure.*", "info", "ping", "list.*",
    "rollup.rollup_search", "fleet.search", "fleet.msearch",
};

// Members of certain APIs that no rule about names would find. NULL key list ends.
static const struct {
    const char *api;
    const char *keys[12];
} secret_keys[] = {
    {"reindex", {"username", "headers"}},
    {"transform.*", {"username", "headers"}},
    {"security.saml_*", {"content", "realm_url", "redirect", "redirect_uri", "query_string", "queryString", "saml_message", "in_response_to", "ids"}},
    {"security.oidc_*", {"redirect_uri", "redirect", "state", "nonce", "content"}},
    {"security.get_token", {"kerberos_ticket"}},
    {"fleet.*secret*", {"value"}},
    {"security.delegate_pki", {"x509_certificate_chain"}},
    {"security.enroll_*", {"http_ca_key", "http_ca_cert", "transport_ca_key", "transport_ca_cert", "transport_key", "transport_cert", "value"}},
    {"security.*service_token*", {"value"}},
    {"security.grant_api_key", {"client_authentication"}},
    {"snapshot.create_repository", {"sas", "key", "account", "connection_string", "client_credentials_file"}},
    {"snapshot.get_repository", {"sas", "key", "account", "connection_string"}},
    {"cluster.*_settings", {"bind_dn"}},
    {"inference.*", {"service_account_json", "key"}},
    {"notifications.*", {"url", "webhook_url", "header_params"}},
    {"alerting.*", {"url", "webhook_url", "header_params", "query_params"}},
    {"watcher.*", {"url", "params"}},
    {"ml.*connector*", {"session", "roleArn"}},
    {"connector.*", {"value", "values"}},
    {"query.*", {"username", "auth"}},
    {"*", {"authorization", "proxy-authorization", "cookie", "set-cookie", "connection_string", "service_account_json", "passphrase", "sas", "headers", "header_params"}},
};

// The cluster's own words: what a strictly redacted answer may still say.
static const char *const plain_keys[] = {
    "_index", "_type", "_id", "_version", "_seq_no", "_primary_term", "result", "status", "took", "errors", "type", "index", "index_uuid",
    "shard", "total", "successful", "failed", "skipped", "timed_out", "updated", "deleted", "created", "batches", "noops",
    "version_conflicts", "acknowledged", "shards_acknowledged", "task", "found", "forced_refresh", "resource.type", "resource.id",
    "ingest_took", "throttled_millis", "requests_per_second", "count", "relation", "max_score",
};

static bool name_in(struct bytes name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_equal_text_nocase(name, list[i]))
            return true;
    return false;
}

static bool is_data_api(struct bytes api)
{
    for (size_t i = 0; i < COUNT(data_apis); i++)
        if (glob_match(bytes_of_text(data_apis[i]), api))
            return true;
    return false;
}

struct redact_plan redact_plan_of(const struct route_match *m, bool security_target)
{
    struct bytes api = route_api_name(m->api);
    bool secret = m->api == API_NONE || (m->flags & ROUTE_SECRET) || !is_data_api(api);
    if (secret)
        return (struct redact_plan){REDACT_TREE, REDACT_TREE};
    if (!security_target)
        return (struct redact_plan){REDACT_NONE, REDACT_NONE};
    // Settings and mappings of a security index are no documents.
    if (glob_match(bytes_of_text("indices.*"), api) || glob_match(bytes_of_text("cat.*"), api))
        return (struct redact_plan){REDACT_TREE, REDACT_TREE};
    // A bulk replaces documents one by one.
    return (struct redact_plan){m->flags & ROUTE_BULK ? REDACT_NONE : REDACT_WHOLE, REDACT_STRICT};
}

// ---- names ------------------------------------------------------------------------------------------------------------------

static bool contains_nocase(struct bytes text, const char *word)
{
    size_t size = strlen(word);
    for (size_t i = 0; i + size <= text.size; i++)
        if (bytes_equal_text_nocase(bytes_of(text.at + i, size), word))
            return true;
    return false;
}

bool redact_name_is_secret(struct bytes name)
{
    static const char *const words[] = {"passw", "secret", "token", "api_key", "apikey", "api-key", "credential", "private_key", "privatekey",
                                        "access_key", "accesskey", "signing_key", "exchange_key", "encryption_key", "encoded", "signature", "jwt", "assertion",
                                        "license_key", "auth_key", "account_key", "accountkey", "shared_key", "pwd"};
    static const char *const harmless[] = {"tokenizer", "token_chars", "token_count", "max_token_length", "min_token_length", "tokenization",
                                           "tokens", "max_tokens", "max_token_count", "x-amz-credential", "custom_token_chars", "token_filters",
                                           "token_filter", "tokenize", "max_tokens_to_sample", "token_pruning_config", "prune_tokens",
                                           "last_token", "token_service", "credential_id", "search_tokenizer", "encoded_at"};
    if (name.size >= 4 && bytes_equal_text_nocase(bytes_from(name, name.size - 4), "hash"))
        return true;
    for (size_t i = 0; i < COUNT(words); i++)
        if (contains_nocase(name, words[i]))
            return !name_in(name, harmless, COUNT(harmless));
    return false;
}

// ---- bytes that cannot be read ----------------------------------------------------------------------------------------------

bool redact_watch(struct redact_watch *w, struct bytes bytes)
{
    static const char *const bare[] = {".security", ".opendistro_security", ".kibana_security", ".opensearch-security", "\\u002e", "\\u002E"};
    static const char *const quoted[] = {"\".security", "\".opendistro_security", "\".kibana_security", "\".opensearch-security", "\"\\u002e", "\"\\u002E",
                                         ":.security", ":.opendistro_security"}; // of another cluster
    const char *const *names = w->quoted ? quoted : bare;
    uint8_t seam[2 * sizeof w->tail];
    size_t count = w->quoted ? COUNT(quoted) : COUNT(bare);
    for (size_t i = 0; i < count && !w->seen; i++)
        w->seen = bytes.size && memmem(bytes.at, bytes.size, names[i], strlen(names[i])) != NULL;
    // A name cut by the border of two pieces.
    size_t n = bytes.size < sizeof w->tail ? bytes.size : sizeof w->tail;
    memcpy(seam, w->tail, w->tail_size);
    if (n)
        memcpy(seam + w->tail_size, bytes.at, n);
    size_t size = w->tail_size + n;
    for (size_t i = 0; i < count && !w->seen; i++)
        w->seen = memmem(seam, size, names[i], strlen(names[i])) != NULL;
    struct bytes last = bytes.size >= sizeof w->tail ? bytes : bytes_of(seam, size);
    w->tail_size = last.size < sizeof w->tail ? last.size : sizeof w->tail;
    memcpy(w->tail, last.at + last.size - w->tail_size, w->tail_size);
    return w->seen;
}

// ---- URLs -------------------------------------------------------------------------------------------------------------------

// Three dotted parts of which the first is base64 of `{"`: a JSON web token, whatever it is called.
static bool is_jwt(struct bytes value)
{
    int dots = 0;
    for (size_t i = 0; i < value.size; i++)
        dots += value.at[i] == '.';
    return dots == 2 && value.size > 20 && memcmp(value.at, "eyJ", 3) == 0;
}

// Parameters of URLs that carry a key: signatures of shared access, keys of web hooks.
static bool parameter_is_secret(struct bytes name)
{
    static const char *const names[] = {"sig", "key", "auth", "authorization", "code"};
    return redact_name_is_secret(name) || name_in(name, names, COUNT(names));
}

struct splice {
    struct buf *out;
    const uint8_t *copied; // everything before went out
    bool changed;
};

static void splice_to(struct splice *s, const uint8_t *from, const uint8_t *to, const char *marker)
{
    if (from < s->copied)
        return;
    buf_add(s->out, s->copied, (size_t)(from - s->copied));
    buf_add_text(s->out, marker);
    s->copied = to;
    s->changed = true;
}

// user:secret@ behind :// in any text; ends at what cannot stand in an authority.
static void splice_userinfo(struct splice *s, struct bytes text)
{
    const uint8_t *end = text.at + text.size;
    for (const uint8_t *p = text.at; p + 3 <= end; p++) {
        if (memcmp(p, "://", 3))
            continue;
        const uint8_t *at = NULL, *from = p + 3;
        for (const uint8_t *q = from; q < end && *q != '/' && *q != '?' && *q != '#' && *q != '"' && *q > ' '; q++)
            if (*q == '@')
                at = q;
        if (!at)
            continue;
        const uint8_t *colon = memchr(from, ':', (size_t)(at - from));
        splice_to(s, colon ? colon + 1 : from, at, marker_plain);
    }
}

// A target that was cut inside "http://user:secr": what follows the colon is no port unless a path comes behind it.
static void splice_cut_userinfo(struct splice *s, struct bytes target)
{
    const uint8_t *from = memmem(target.at, target.size, "://", 3), *end = target.at + target.size;
    if (!from || s->changed)
        return;
    from += 3;
    const uint8_t *stop = from;
    while (stop < end && *stop != '/' && *stop != '?' && *stop != '#')
        stop++;
    const uint8_t *colon = from < stop && *from != '[' ? memchr(from, ':', (size_t)(stop - from)) : NULL;
    bool port = colon && stop < end;
    for (const uint8_t *p = colon ? colon + 1 : stop; p < stop; p++)
        port &= *p >= '0' && *p <= '9';
    if (colon && !port)
        splice_to(s, colon + 1, stop, marker_plain);
}

// name=value pairs of a query, wherever it stands.
static void splice_query(struct splice *s, struct bytes query, bool bodies_too)
{
    uint8_t name_room[64];
    const uint8_t *at = query.at, *end = query.at + query.size;
    while (at < end) {
        const uint8_t *stop = at;
        while (stop < end && *stop != '&' && *stop != ';' && *stop != '#')
            stop++;
        const uint8_t *equals = memchr(at, '=', (size_t)(stop - at));
        if (equals) {
            // Names are compared decoded; only percent-escapes of ASCII matter here.
            size_t n = 0;
            for (const uint8_t *p = at; p < equals && n < sizeof name_room; n++) {
                unsigned high = 0, low = 0;
                char hex[3] = {0};
                if (*p == '%' && equals - p >= 3)
                    memcpy(hex, p + 1, 2);
                if (hex[0] && sscanf(hex, "%1x%1x", &high, &low) == 2) {
                    name_room[n] = (uint8_t)(high << 4 | low);
                    p += 3;
                } else {
                    name_room[n] = *p++;
                }
            }
            struct bytes name = bytes_of(name_room, n), value = bytes_of(equals + 1, (size_t)(stop - equals - 1));
            bool body = bodies_too && bytes_equal_text(name, "source");
            if (value.size && (body || parameter_is_secret(name) || is_jwt(value))) {
                // A secret may hold a semicolon of its own: all up to the next ampersand goes.
                while (stop < end && *stop != '&')
                    stop++;
                splice_to(s, value.at, stop, marker_plain);
            }
        }
        at = stop < end ? stop + 1 : end;
    }
}

struct bytes redact_target(struct arena *a, struct bytes target, const struct redact_plan *plan, bool *changed)
{
    struct buf out = {0};
    struct splice s = {&out, target.at, false};
    const uint8_t *mark = target.size ? memchr(target.at, '?', target.size) : NULL;
    if (!mark && target.size)
        mark = memchr(target.at, '#', target.size); // no client should send one; what stands behind it is a query's for nobody
    size_t path_size = mark ? (size_t)(mark - target.at) : target.size;
    splice_userinfo(&s, bytes_of(target.at, path_size));
    if (target.size && target.at[0] != '/')
        splice_cut_userinfo(&s, bytes_of(target.at, path_size));
    if (mark)
        splice_query(&s, bytes_from(target, path_size + 1), plan->request != REDACT_NONE);
    *changed = s.changed;
    if (!s.changed)
        return target;
    buf_add(&out, s.copied, (size_t)(target.at + target.size - s.copied));
    const void *copy = out.failed ? NULL : arena_copy(a, out.at, out.size);
    struct bytes result = copy ? bytes_of(copy, out.size) : (struct bytes){0};
    buf_fini(&out);
    return result;
}

// ---- bodies -----------------------------------------------------------------------------------------------------------------

static bool key_of_api(struct bytes api, struct bytes key)
{
    for (size_t i = 0; i < COUNT(secret_keys); i++) {
        // Of a call that nobody published anything may be secret that is so elsewhere.
        if (api.size && !glob_match(bytes_of_text(secret_keys[i].api), api))
            continue;
        for (size_t k = 0; k < COUNT(secret_keys[i].keys) && secret_keys[i].keys[k]; k++)
            if (bytes_equal_text_nocase(key, secret_keys[i].keys[k]))
                return true;
    }
    return false;
}

// The last part of a dotted setting name decides as well as the whole ("a.b.key" is `key`).
static struct bytes last_part(struct bytes key)
{
    for (size_t i = key.size; i-- > 0;)
        if (key.at[i] == '.')
            return bytes_from(key, i + 1);
    return key;
}

static bool key_is_secret(const struct redact_body *how, struct bytes key)
{
    return redact_name_is_secret(key) || key_of_api(how->api, key) || key_of_api(how->api, last_part(key)) ||
           (how->scripts && bytes_equal_text(key, "script"));
}

static bool is_scalar(const struct json *j)
{
    return j->kind == JSON_KIND_STRING || j->kind == JSON_KIND_NUMBER;
}

static void splice_value(struct splice *s, const struct json *j)
{
    splice_to(s, j->raw.at, j->raw.at + j->raw.size, marker_text);
}

// "Bearer abc1": a scheme and one word that is none of a language.
static bool is_authorization(struct bytes text)
{
    static const char *const schemes[] = {"Basic ", "Bearer ", "ApiKey "};
    for (size_t i = 0; i < COUNT(schemes); i++) {
        size_t size = strlen(schemes[i]);
        if (text.size < size + 8 || !bytes_equal_text_nocase(bytes_of(text.at, size), schemes[i]))
            continue;
        struct bytes word = bytes_trim(bytes_from(text, size));
        bool odd = false;
        for (size_t k = 0; k < word.size; k++) {
            if (word.at[k] <= ' ')
                return false;
            odd |= (word.at[k] >= '0' && word.at[k] <= '9') || (word.at[k] >= 'A' && word.at[k] <= 'Z') || word.at[k] == '=';
        }
        return odd;
    }
    return false;
}

// bcrypt, PBKDF2 and argon2 strings, web tokens and authorizations give themselves away.
static bool is_secret_by_itself(struct bytes text)
{
    static const char *const begins[] = {"$2a$", "$2b$", "$2y$", "$argon2", "{PBKDF2}", "{SSHA}", "$pbkdf2", "$1$", "$5$", "$6$"};
    for (size_t i = 0; i < COUNT(begins); i++)
        if (text.size > 20 && memcmp(text.at, begins[i], strlen(begins[i])) == 0)
            return true;
    return is_jwt(text) || is_authorization(text);
}

static bool redact_embedded(const struct redact_body *how, struct bytes text);

static void walk_string(struct splice *s, const struct redact_body *how, const struct json *j)
{
    struct bytes text = j->text;
    bool strict = how->mode == REDACT_STRICT && !name_in(j->key, plain_keys, COUNT(plain_keys));
    bool sentence = how->refused && !name_in(j->key, plain_keys, COUNT(plain_keys));
    if (strict || sentence || is_secret_by_itself(text) || redact_embedded(how, text)) {
        splice_value(s, j);
        return;
    }
    // Inside the quotes as they stand in the source.
    struct bytes raw = bytes_of(j->raw.at + 1, j->raw.size - 2);
    splice_userinfo(s, raw);
    const uint8_t *mark = raw.size ? memchr(raw.at, '?', raw.size) : NULL;
    if (mark && (raw.at[0] == '/' || contains_nocase(raw, "://")))
        splice_query(s, bytes_from(raw, (size_t)(mark - raw.at) + 1), false);
}

// Below a secret name every text and number goes but what names the thing.
static bool names_a_thing(struct bytes key)
{
    static const char *const names[] = {"name", "id", "type", "username", "enabled", "expiration", "creation"};
    return name_in(key, names, COUNT(names));
}

// {"op":"replace","path":"/password","value":...}
static bool patches_a_secret(const struct redact_body *how, const struct json *j)
{
    const struct json *path = j->kind == JSON_KIND_OBJECT ? json_member(j, "path") : NULL;
    if (!path || path->kind != JSON_KIND_STRING)
        return false;
    struct bytes name = path->text;
    for (size_t i = name.size; i-- > 0;)
        if (name.at[i] == '/') {
            name = bytes_from(name, i + 1);
            break;
        }
    return name.size && key_is_secret(how, name);
}

static void walk(struct splice *s, const struct redact_body *how, const struct json *j, bool inside)
{
    if (j->kind == JSON_KIND_OBJECT || j->kind == JSON_KIND_ARRAY) {
        bool patch = patches_a_secret(how, j);
        for (const struct json *child = j->first; child; child = child->next) {
            bool named = j->kind == JSON_KIND_OBJECT;
            bool secret = named && child->key.size ? key_is_secret(how, child->key) : inside;
            secret |= patch && bytes_equal_text(child->key, "value");
            bool below = secret || (inside && !(named && names_a_thing(child->key)));
            if (below && is_scalar(child))
                splice_value(s, child);
            else
                walk(s, how, child, below);
        }
        return;
    }
    if (j->kind == JSON_KIND_STRING)
        walk_string(s, how, j);
    else if (j->kind == JSON_KIND_NUMBER && how->mode == REDACT_STRICT && !name_in(j->key, plain_keys, COUNT(plain_keys)))
        splice_value(s, j);
}

// What stands between the values of a source text, comments, goes with the secrets: written anew.
static void drop_comments(struct buf *out, size_t from)
{
    struct arena arena;
    struct buf fresh = {0};
    arena_init(&arena, 64 * (size_t)BOUND_REDACT_BYTES_MAX);
    struct json *tree = json_parse(&arena, bytes_of(out->at + from, out->size - from), NULL);
    if (tree)
        json_write(&fresh, tree);
    if (tree && !fresh.failed) {
        out->size = from;
        buf_add_bytes(out, buf_view(&fresh));
    } else {
        out->failed = true;
    }
    arena_fini(&arena);
    buf_fini(&fresh);
}

static bool redact_value(const struct redact_body *how, struct bytes text, struct buf *out, bool *changed)
{
    struct arena arena;
    size_t from = out->size;
    arena_init(&arena, 64 * (size_t)BOUND_REDACT_BYTES_MAX);
    struct json *tree = json_parse(&arena, text, NULL);
    if (tree) {
        struct splice s = {out, text.at, false};
        walk(&s, how, tree, false);
        buf_add(out, s.copied, (size_t)(text.at + text.size - s.copied));
        if (s.changed && !out->failed && memchr(text.at, '/', text.size))
            drop_comments(out, from);
        *changed |= s.changed;
    }
    arena_fini(&arena);
    return tree && !out->failed;
}

// JSON inside a string (a webhook's body, a stringified configuration): one level is looked through.
static bool redact_embedded(const struct redact_body *how, struct bytes text)
{
    size_t i = 0;
    while (i < text.size && text.at[i] <= ' ')
        i++;
    if (i == text.size || (text.at[i] != '{' && text.at[i] != '['))
        return false;
    struct arena arena;
    struct buf ignored = {0};
    arena_init(&arena, 64 * (size_t)BOUND_REDACT_BYTES_MAX);
    struct json *tree = json_parse(&arena, text, NULL);
    bool found = false;
    if (tree) {
        struct splice s = {&ignored, text.at, false};
        walk(&s, how, tree, false);
        found = s.changed;
    }
    arena_fini(&arena);
    buf_fini(&ignored);
    return found;
}

static bool is_blank(struct bytes line)
{
    for (size_t i = 0; i < line.size; i++)
        if (line.at[i] > ' ')
            return false;
    return true;
}

bool redact_json(const struct redact_body *how, struct bytes body, struct buf *out, bool *changed)
{
    *changed = false;
    if (is_blank(body))
        return buf_add_bytes(out, body);
    if (!how->lines)
        return redact_value(how, body, out, changed);
    while (body.size) {
        const uint8_t *newline = memchr(body.at, '\n', body.size);
        size_t size = newline ? (size_t)(newline - body.at) : body.size;
        struct bytes line = bytes_of(body.at, size);
        if (is_blank(line) ? !buf_add_bytes(out, line) : !redact_value(how, line, out, changed))
            return false;
        if (newline)
            buf_add_byte(out, '\n');
        body = bytes_from(body, size + (newline != NULL));
    }
    return !out->failed;
}
