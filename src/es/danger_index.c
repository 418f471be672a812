// Danger to indices and documents: what deletes, replaces or blocks them, and scripts.
#include "danger_look.h"
#include "../base/glob.h"

bool danger_text_has(struct bytes text, const char *what)
{
    size_t n = strlen(what);
    return text.size >= n && memmem(text.at, text.size, what, n) != NULL;
}

bool danger_begins(struct bytes text, const char *prefix)
{
    size_t n = strlen(prefix);
    return text.size >= n && memcmp(text.at, prefix, n) == 0;
}

bool danger_any(const struct json *j, bool (*fn)(const struct json *j))
{
    if (!j)
        return false;
    if (fn(j))
        return true;
    for (const struct json *i = j->first; i; i = i->next)
        if (danger_any(i, fn))
            return true;
    return false;
}

// ---- deleting indices -------------------------------------------------------------------------------------------------

static bool every_target(const struct danger_input *in, bool (*is)(struct bytes name))
{
    size_t named = 0;
    for (size_t i = 0; i < in->targets->count; i++) {
        struct bytes name = in->targets->at[i];
        if (name.at[0] == '-')
            continue;
        if (!is(name))
            return false;
        named++;
    }
    return named > 0;
}

static bool some_target(const struct danger_input *in, bool (*is)(struct bytes name))
{
    for (size_t i = 0; i < in->targets->count; i++)
        if (in->targets->at[i].at[0] != '-' && is(in->targets->at[i]))
            return true;
    return false;
}

static bool is_evidence(struct bytes name)
{
    return danger_begins(name, ".alerts-") || danger_begins(name, ".internal.alerts-") || danger_begins(name, ".siem-signals-") ||
           danger_begins(name, ".opendistro-alerting-") || danger_begins(name, ".opensearch-sap-");
}

enum danger_level danger_delete_evidence(const struct danger_input *in)
{
    return every_target(in, is_evidence) ? DANGER_CRITICAL : DANGER_NONE;
}

enum danger_level danger_delete_system(const struct danger_input *in)
{
    return every_target(in, target_is_system) || (!in->targets->wildcard && some_target(in, target_is_system)) ? DANGER_CRITICAL : DANGER_NONE;
}

enum danger_level danger_delete_many(const struct danger_input *in)
{
    bool many = in->targets->count > 1 || in->targets->wildcard || (in->targets->count == 1 && in->targets->at[0].at[0] == '<');
    return many ? DANGER_CRITICAL : DANGER_NONE;
}

// DELETE / without a name is refused by every version.
enum danger_level danger_delete_one(const struct danger_input *in)
{
    return in->targets->count == 1 ? DANGER_HIGH : DANGER_NONE;
}

static bool is_ransom(struct bytes name)
{
    static const char *const parts[] = {"meow", "read_me", "read-me", "readme_", "readme-", "to_recover", "to-recover", "recover_your", "recover-your",
                                        "how_to_restore", "your_data", "warning_read", "send_btc", "bitcoin"};
    static const char *const whole[] = {"readme", "warning", "recover", "please_read", "hacked"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (danger_text_has(name, parts[i]))
            return true;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (bytes_equal_text(name, whole[i]))
            return true;
    return false;
}

enum danger_level danger_ransom_name(const struct danger_input *in)
{
    return some_target(in, is_ransom) ? DANGER_CRITICAL : DANGER_NONE;
}

static bool action_has(const struct danger_input *in, const char *what)
{
    const struct json *actions = json_member(in->body, "actions");
    for (const struct json *a = actions ? actions->first : NULL; a; a = a->next)
        if (json_member(a, what))
            return true;
    return false;
}

enum danger_level danger_remove_index(const struct danger_input *in)
{
    return action_has(in, "remove_index") ? DANGER_CRITICAL : DANGER_NONE;
}

enum danger_level danger_remove_backing(const struct danger_input *in)
{
    return action_has(in, "remove_backing_index") ? DANGER_MEDIUM : DANGER_NONE;
}

enum danger_level danger_import_dangling(const struct danger_input *in) // refused without it
{
    return path_query_true(in->query, "accept_data_loss", false) ? DANGER_HIGH : DANGER_NONE;
}

enum danger_level danger_close(const struct danger_input *in)
{
    return in->targets->wildcard || in->targets->count != 1 ? DANGER_CRITICAL : DANGER_HIGH;
}

enum danger_level danger_add_block(const struct danger_input *in)
{
    struct bytes block = route_part(in->route, "block", NULL);
    return bytes_equal_text(block, "read") || bytes_equal_text(block, "read_only") ? DANGER_HIGH : DANGER_MEDIUM;
}

enum danger_level danger_restore(const struct danger_input *in)
{
    return in->route->api == API_SNAPSHOT_RESTORE ? DANGER_HIGH : DANGER_NONE;
}

enum danger_level danger_direct(const struct danger_input *in)
{
    bool documents = in->route->flags & (ROUTE_DOC | ROUTE_BULK | ROUTE_BY_QUERY);
    return documents && some_target(in, target_is_security) ? DANGER_CRITICAL : DANGER_NONE;
}

// ---- by query ---------------------------------------------------------------------------------------------------------

static bool matches_all(const struct json *query, unsigned depth);

static bool all_match_all(const struct json *clauses, unsigned depth)
{
    if (!clauses || clauses->kind == JSON_KIND_NULL)
        return true;
    if (clauses->kind == JSON_KIND_OBJECT)
        return matches_all(clauses, depth);
    for (const struct json *c = clauses->first; c; c = c->next)
        if (!matches_all(c, depth))
            return false;
    return true;
}

static bool any_match_all(const struct json *clauses, unsigned depth)
{
    if (!clauses || (clauses->kind == JSON_KIND_ARRAY && clauses->count == 0))
        return true;
    if (clauses->kind == JSON_KIND_OBJECT)
        return matches_all(clauses, depth);
    for (const struct json *c = clauses->first; c; c = c->next)
        if (matches_all(c, depth))
            return true;
    return false;
}

static bool is_star(struct bytes q)
{
    return bytes_equal_text(q, "*") || bytes_equal_text(q, "*:*");
}

// Queries that every document answers, in the shapes people write them.
static bool matches_all(const struct json *query, unsigned depth)
{
    if (!query || query->kind != JSON_KIND_OBJECT || query->count == 0 || depth > 16)
        return !query || query->kind == JSON_KIND_NULL || (query->kind == JSON_KIND_OBJECT && query->count == 0);
    if (json_member(query, "match_all"))
        return true;
    const struct json *text = json_path(query, "query_string.query");
    if (!text)
        text = json_path(query, "simple_query_string.query");
    if (text)
        return text->kind == JSON_KIND_STRING && is_star(text->text);
    const struct json *inner = json_path(query, "constant_score.filter");
    if (inner)
        return matches_all(inner, depth + 1);
    const struct json *exists = json_path(query, "exists.field");
    if (exists)
        return json_is_text(exists, "_id") || json_is_text(exists, "_index") || json_is_text(exists, "_seq_no");
    const struct json *b = json_member(query, "bool");
    if (!b)
        return false;
    const struct json *not = json_member(b, "must_not");
    bool excludes = not && (not->kind == JSON_KIND_OBJECT || not->count > 0);
    bool should_binds = !json_member(b, "must") && !json_member(b, "filter");
    return !excludes && all_match_all(json_member(b, "must"), depth + 1) && all_match_all(json_member(b, "filter"), depth + 1) &&
           (!should_binds || any_match_all(json_member(b, "should"), depth + 1));
}

static bool whole_index(const struct danger_input *in)
{
    const struct path_param *q = path_query_find(in->query, "q");
    if (in->targets->all)
        return true;
    if (q)
        return is_star(q->value);
    if (in->body)
        return matches_all(json_member(in->body, "query"), 0);
    return !in->body_unread && !path_query_find(in->query, "source");
}

enum danger_level danger_delete_all(const struct danger_input *in)
{
    return whole_index(in) ? DANGER_CRITICAL : DANGER_NONE;
}

// A script's text: "script": "..." or {"source": ...} ("inline" in 5.x).
static struct bytes script_text(const struct json *script)
{
    const struct json *source = script;
    if (script && script->kind == JSON_KIND_OBJECT) {
        source = json_member(script, "source");
        if (!source)
            source = json_member(script, "inline");
    }
    return source && source->kind == JSON_KIND_STRING ? source->text : bytes_of("", 0);
}

static size_t skip_blanks(struct bytes s, size_t i)
{
    while (i < s.size && bytes_is_blank(s.at[i]))
        i++;
    return i;
}

// At i: [.]op or ['op'], then = and 'delete' in either quote.
static bool op_is_delete(struct bytes s, size_t i)
{
    static const char *const forms[] = {".op", "['op']", "[\"op\"]"};
    size_t n = 0;
    i = skip_blanks(s, i);
    for (size_t f = 0; f < 3 && n == 0; f++)
        if (danger_begins(bytes_from(s, i), forms[f]))
            n = strlen(forms[f]);
    i = skip_blanks(s, i + n);
    if (n == 0 || i >= s.size || s.at[i] != '=' || (i + 1 < s.size && s.at[i + 1] == '='))
        return false;
    struct bytes rest = bytes_from(s, skip_blanks(s, i + 1));
    // A conditional may stand before the word: ctx.op = x > 3 ? 'delete' : 'none'
    const uint8_t *end = rest.size ? memchr(rest.at, ';', rest.size) : NULL;
    rest.size = end ? (size_t)(end - rest.at) : rest.size;
    return danger_text_has(rest, "'delete'") || danger_text_has(rest, "\"delete\"");
}

bool danger_script_deletes(struct bytes script)
{
    for (size_t i = 0; i + 3 < script.size; i++) {
        const uint8_t *ctx = memmem(script.at + i, script.size - i, "ctx", 3);
        if (!ctx)
            return false;
        i = (size_t)(ctx - script.at);
        if (op_is_delete(script, i + 3))
            return true;
    }
    return false;
}

enum danger_level danger_rewrite_by_query(const struct danger_input *in)
{
    const struct json *script = json_member(in->body, "script");
    if (!script)
        return DANGER_NONE;
    return danger_script_deletes(script_text(script)) ? DANGER_CRITICAL : DANGER_HIGH;
}

enum danger_level danger_reindex(const struct danger_input *in)
{
    const struct json *script = json_member(in->body, "script");
    if (json_path(in->body, "source.remote"))
        return DANGER_HIGH;
    bool create = json_is_text(json_path(in->body, "dest.op_type"), "create");
    // Into free ids alone nothing is overwritten.
    return create && !script && !json_is_text(json_member(in->body, "conflicts"), "proceed") ? DANGER_LOW : DANGER_MEDIUM;
}

// The answer names a task only: one level above what the call would be.
enum danger_level danger_async(const struct danger_input *in)
{
    enum danger_level base = DANGER_HIGH;
    if (path_query_true(in->query, "wait_for_completion", true))
        return DANGER_NONE;
    if (in->route->api == API_REINDEX)
        base = danger_reindex(in);
    else if (in->route->api == API_UPDATE_BY_QUERY && (base = danger_rewrite_by_query(in)) == DANGER_NONE)
        base = DANGER_LOW;
    return base == DANGER_CRITICAL ? base : base + 1;
}

enum danger_level danger_update_script(const struct danger_input *in)
{
    bool deletes = (in->seen & DANGER_SEEN_SCRIPT_DELETE) || danger_script_deletes(script_text(json_member(in->body, "script")));
    return deletes ? DANGER_MEDIUM : DANGER_NONE;
}

// Painless is sandboxed; these are the ways out of it and the languages that have none.
enum danger_level danger_inline_script(const struct danger_input *in)
{
    static const char *const words[] = {"java.lang.Runtime", "getRuntime", "ProcessBuilder", "java.lang.Class", "forName(", "java.lang.Math.class"};
    static const char *const languages[] = {"groovy", "mvel", "javascript", "python"};
    struct bytes raw = in->raw.size ? in->raw : in->body ? in->body->raw : bytes_of("", 0);
    // Four looks instead of ten: most searches hold no script.
    if (!danger_text_has(raw, "lang") && !danger_text_has(raw, "getRuntime") && !danger_text_has(raw, "ProcessBuilder") && !danger_text_has(raw, "forName("))
        return in->route->api == API_SCRIPTS_PAINLESS_EXECUTE ? DANGER_MEDIUM : DANGER_NONE;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (danger_text_has(raw, words[i]))
            return DANGER_CRITICAL;
    for (size_t i = 0; i < sizeof languages / sizeof *languages; i++) {
        const uint8_t *lang = raw.size ? memmem(raw.at, raw.size, "\"lang\"", 6) : NULL;
        struct bytes near = lang ? bytes_from(raw, (size_t)(lang - raw.at) + 6) : bytes_of("", 0);
        near.size = near.size < 24 ? near.size : 24;
        if (danger_text_has(near, languages[i]))
            return DANGER_CRITICAL;
    }
    return in->route->api == API_SCRIPTS_PAINLESS_EXECUTE ? DANGER_MEDIUM : DANGER_NONE;
}

// OpenSearch up to 2.x: DELETE FROM t [WHERE ...]
enum danger_level danger_sql_delete(const struct danger_input *in)
{
    const struct json *query = json_member(in->body, "query");
    struct bytes text = query && query->kind == JSON_KIND_STRING ? query->text : bytes_of("", 0);
    text = bytes_from(text, skip_blanks(text, 0));
    bool deletes = text.size > 7 && bytes_equal_text_nocase(bytes_of(text.at, 6), "delete") && bytes_is_blank(text.at[6]);
    return deletes ? DANGER_HIGH : DANGER_NONE;
}
