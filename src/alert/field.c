// Fields: a table from names to how their values are had from an exchange.
//
// An empty text of an exchange means "not there": the field then has no value.
#include "event_inner.h"

#include "../../include/bounds.h"
#include "../base/clock.h"
#include "baseline.h"

#include <arpa/inet.h>
#include <stdio.h>

#define GAP_BEFORE_NS (60 * WHEN_NS_PER_S)

static const char *const outcome_names[OUTCOMES] = {"ok", "partial", "failed", "unanswered", "unknown"};
static const char *const auth_names[AUTH_KINDS] = {"none", "basic", "api_key", "bearer", "jwt", "service", "sigv4", "cert", "proxy", "negotiate", "other"};
static const char *const op_names[OP_KINDS] = {"index", "create", "update", "delete"};

// ---- getters ----------------------------------------------------------------------------------------------------------

static void add_direct(enum field_direct kind, struct event *e, const struct field *f, struct values *out)
{
    struct value v;
    if (field_direct_value(kind, f, e->x, &v))
        values_add(out, v);
}

static void get_text(struct event *e, const struct field *f, struct values *out)
{
    add_direct(DIRECT_TEXT, e, f, out);
}

static void get_int(struct event *e, const struct field *f, struct values *out)
{
    add_direct(DIRECT_INT, e, f, out);
}

static void get_flag(struct event *e, const struct field *f, struct values *out)
{
    add_direct(DIRECT_FLAG, e, f, out);
}

static void get_status(struct event *e, const struct field *f, struct values *out)
{
    add_direct(DIRECT_STATUS, e, f, out);
}

static void get_port(struct event *e, const struct field *f, struct values *out)
{
    values_add_int(out, f->flag ? e->x->server.port : e->x->client.port);
}

// Correlations group nearly every exchange by its client: inet_ntop's printf would be a tenth of the rules' time.
static void spell_v4(const uint8_t ip[4], char *to)
{
    for (int i = 0; i < 4; i++) {
        if (ip[i] >= 100)
            *to++ = (char)('0' + ip[i] / 100);
        if (ip[i] >= 10)
            *to++ = (char)('0' + ip[i] / 10 % 10);
        *to++ = (char)('0' + ip[i] % 10);
        *to++ = i < 3 ? '.' : 0;
    }
}

static const char *ip_text(struct event *e, int side)
{
    if (!e->ip_done[side]) {
        const struct endpoint *p = side ? &e->x->server : &e->x->client;
        if (endpoint_is_v4(p))
            spell_v4(p->ip + 12, e->ip[side]);
        else
            inet_ntop(AF_INET6, p->ip, e->ip[side], sizeof e->ip[side]);
        e->ip_done[side] = true;
    }
    return e->ip[side];
}

const char *event_client_ip(struct event *e)
{
    return ip_text(e, 0);
}

static void get_ip(struct event *e, const struct field *f, struct values *out)
{
    values_add_word(out, ip_text(e, (int)f->flag));
}

static void get_time(struct event *e, const struct field *f, struct values *out)
{
    int64_t at = f->flag ? e->x->answered_ns : e->x->time_ns;
    if (at == WHEN_UNKNOWN || (f->flag && e->attempt))
        return;
    char *text = e->time_text[f->flag & 1];
    clock_format_utc(at, text, sizeof e->time_text[0]);
    values_add(out, (struct value){VALUE_TIME, bytes_of_text(text), at, (double)at});
}

static void get_date(struct event *e, const struct field *f, struct values *out)
{
    struct values one = {0};
    get_time(e, f, &one);
    if (one.count)
        values_add_text(out, bytes_of(one.at[0].text.at, 10));
    values_fini(&one);
}

static void get_auth(struct event *e, const struct field *f, struct values *out)
{
    (void)f;
    values_add_word(out, auth_names[e->x->auth < AUTH_KINDS ? e->x->auth : AUTH_OTHER]);
}

static void get_outcome(struct event *e, const struct field *f, struct values *out)
{
    static const char *const ecs[OUTCOMES] = {"success", "failure", "failure", "unknown", "unknown"};
    if (!e->attempt && e->x->outcome < OUTCOMES)
        values_add_word(out, f->flag ? ecs[e->x->outcome] : outcome_names[e->x->outcome]);
}

static void get_acknowledged(struct event *e, const struct field *f, struct values *out)
{
    (void)f;
    if (!e->attempt && e->x->status > 0)
        values_add_bool(out, e->x->outcome == OUTCOME_OK);
}

static void get_targets(struct event *e, const struct field *f, struct values *out)
{
    bool targets = f->flag != 2, indices = f->flag != 1;
    for (size_t i = 0; targets && i < e->x->target_count; i++)
        values_add_text(out, e->x->targets[i]);
    for (size_t i = 0; indices && i < e->x->index_count; i++) {
        bool told = false;
        for (size_t j = 0; targets && !told && j < e->x->target_count; j++)
            told = bytes_equal(e->x->indices[i].index, e->x->targets[j]);
        if (!told)
            values_add_text(out, e->x->indices[i].index);
    }
}

static void get_target_count(struct event *e, const struct field *f, struct values *out)
{
    (void)f;
    values_add_int(out, (int64_t)e->x->target_count);
}

static void get_multiple(struct event *e, const struct field *f, struct values *out)
{
    (void)f;
    values_add_bool(out, e->x->target_count > 1);
}

static void get_duration(struct event *e, const struct field *f, struct values *out)
{
    if (e->attempt || e->x->answered_ns == WHEN_UNKNOWN)
        return;
    int64_t ns = e->x->answered_ns - e->x->time_ns;
    values_add_int(out, f->flag ? ns : ns / WHEN_NS_PER_MS);
}

static void get_bytes(struct event *e, const struct field *f, struct values *out)
{
    values_add_int(out, (int64_t)(f->flag ? e->x->response_bytes : e->x->request_bytes));
}

static void get_stem(struct event *e, const struct field *f, struct values *out)
{
    event_cut_path(e);
    if (!f->flag)
        values_add_text(out, e->stem);
    else if (e->query.size)
        values_add_text(out, event_decode(&e->arena, e->query, true));
}

static void get_param(struct event *e, const struct field *f, struct values *out)
{
    struct bytes value;
    if (event_find_param(e, f->path, &value))
        values_add_text(out, value);
}

static void get_body(struct event *e, const struct field *f, struct values *out)
{
    (void)f;
    event_try_body(e);
    if (e->body_text.size)
        values_add_text(out, e->body_text);
}

static void get_body_path(struct event *e, const struct field *f, struct values *out)
{
    if (event_may_hold(e, f->path))
        event_walk_json(event_json(e), f->path, out, 0);
}

static void get_body_cut(struct event *e, const struct field *f, struct values *out)
{
    (void)f;
    values_add_bool(out, e->x->body_head.size >= BOUND_RULE_BODY_BYTES);
}

static void get_settings(struct event *e, const struct field *f, struct values *out)
{
    (void)f;
    event_try_settings(e);
    for (size_t i = 0; i < e->settings_names.count; i++)
        values_add_text(out, e->settings_names.at[i].text);
}

static void get_setting(struct event *e, const struct field *f, struct values *out)
{
    event_try_settings(e);
    for (size_t i = 0; i < e->settings_names.count; i++)
        if (bytes_equal(e->settings_names.at[i].text, f->path))
            event_walk_json(e->settings_nodes[i], (struct bytes){0}, out, 0);
}

static void get_op(struct event *e, const struct field *f, struct values *out)
{
    (void)f;
    event_try_ops(e);
    for (int i = 0; e->ops && i < OP_KINDS; i++)
        if (e->ops->kinds[i])
            values_add_word(out, op_names[i]);
}

static void get_op_count(struct event *e, const struct field *f, struct values *out)
{
    event_try_ops(e);
    if (e->ops)
        values_add_int(out, f->flag < OP_KINDS ? e->ops->kinds[f->flag] : f->flag == OP_KINDS ? e->ops->overwritten : e->ops->scripted);
}

static void get_attempt(struct event *e, const struct field *f, struct values *out)
{
    (void)f;
    values_add_bool(out, e->attempt);
}

static void get_version(struct event *e, const struct field *f, struct values *out)
{
    uint32_t v = e->x->server_version;
    if (!v)
        return;
    if (f->flag) {
        values_add_word(out, v >= 1000000 ? "opensearch" : "elasticsearch");
        return;
    }
    char text[32];
    v %= 1000000;
    int n = snprintf(text, sizeof text, "%u.%u.%u", v / 10000, v / 100 % 100, v % 100);
    void *copy = arena_copy(&e->arena, text, (size_t)n);
    values_add_text(out, bytes_of(copy, copy ? (size_t)n : 0));
}

static void get_username(struct event *e, const struct field *f, struct values *out)
{
    (void)f;
    values_add_text(out, e->x->principal.size ? e->x->principal : bytes_of_text("-"));
}

static void get_agent_kind(struct event *e, const struct field *f, struct values *out)
{
    (void)f;
    values_add_word(out, agent_kind_names[agent_kind_of(e->x->agent, e->x->opaque_id)]);
}

static void get_usual(struct event *e, const struct field *f, struct values *out)
{
    struct bytes index;
    if (!e->baseline)
        return;
    switch (f->flag) {
    case 0: values_add_bool(out, baseline_live_writes(e->baseline, e->x, &index)); break;
    case 1: values_add_bool(out, baseline_first_seen(e->baseline, e->x)); break;
    case 2: values_add_bool(out, baseline_first_write(e->baseline, e->x)); break;
    case 3: values_add_bool(out, baseline_app_only(e->baseline, e->x)); break;
    case 4: values_add_bool(out, baseline_gap_before(e->baseline, e->x, GAP_BEFORE_NS)); break;
    default: break;
    }
}

static void get_known_docs(struct event *e, const struct field *f, struct values *out)
{
    int64_t known = e->baseline ? baseline_known_docs(e->baseline, e->x) : -1;
    if (known < 0)
        return;
    if (!f->flag)
        values_add_int(out, known);
    else if (known > 0 && e->x->docs_deleted >= 0)
        values_add_real(out, (double)e->x->docs_deleted * 100 / (double)known);
}

// ---- the table --------------------------------------------------------------------------------------------------------

struct field_row {
    const char *name;
    field_fn *get;
    size_t offset;
    uint32_t flag;
    const char *meaning; // NULL: another name for a field above
};

#define X(field) offsetof(struct exchange, field)
static const struct field_row rows[] = {
    {"time", get_time, 0, 0, "moment of the request's first byte"},
    {"answered", get_time, 0, 1, "moment of the answer's last byte"},
    {"id", get_int, X(id), 0, "exchange id"},
    {"client_ip", get_ip, 0, 0, "address of the client"},
    {"client_port", get_port, 0, 0, "its port"},
    {"server_ip", get_ip, 0, 1, "address of the node"},
    {"server_port", get_port, 0, 1, "its port"},
    {"principal", get_text, X(principal), 0, "user, API key id or token subject"},
    {"auth", get_auth, 0, 0, "none, basic, api_key, bearer, ..."},
    {"run_as", get_text, X(run_as), 0, "user the call was made for"},
    {"forwarded_for", get_text, X(forwarded_for), 0, "client address that a proxy told"},
    {"agent", get_text, X(agent), 0, "user agent"},
    {"agent_kind", get_agent_kind, 0, 0, "tool (Postman, curl, ...), browser, kibana, client or none"},
    {"opaque_id", get_text, X(opaque_id), 0, "X-Opaque-Id"},
    {"traceparent", get_text, X(traceparent), 0, "trace id"},
    {"realm", get_text, X(realm), 0, "realm of the login"},
    {"verb", get_text, X(verb), 0, "HTTP method"},
    {"path", get_text, X(path), 0, "path and query as sent, secrets taken out"},
    {"path_decoded", get_stem, 0, 0, "path alone, percent signs decoded, no slash at the end"},
    {"query", get_stem, 0, 1, "query, decoded"},
    {"api", get_text, X(api), 0, "name of the call: indices.delete, bulk, ..."},
    {"action", get_text, X(action), 0, "the cluster's name for it"},
    {"targets", get_targets, 0, 1, "index expressions as asked"},
    {"indices", get_targets, 0, 2, "concrete indices as the answer names them"},
    {"index", get_targets, 0, 0, "both of them"},
    {"target_count", get_target_count, 0, 0, "how many index expressions"},
    {"multiple", get_multiple, 0, 0, "more than one index expression"},
    {"wildcard", get_flag, 0, EXCHANGE_WILDCARD, "an index expression holds *, _all or an exclusion"},
    {"status", get_status, 0, 0, "HTTP status of the answer"},
    {"outcome", get_outcome, 0, 0, "ok, partial, failed, unanswered or unknown; missing while the answer is awaited"},
    {"reason", get_text, X(reason), 0, "the cluster's error type, or why an answer is missing"},
    {"acknowledged", get_acknowledged, 0, 0, "the cluster said that all of it was done"},
    {"docs", get_int, X(docs), 0, "document writes in the request"},
    {"docs_ok", get_int, X(docs_ok), 0, "of these, accepted"},
    {"docs_failed", get_int, X(docs_failed), 0, "of these, refused"},
    {"docs_deleted", get_int, X(docs_deleted), 0, "documents deleted"},
    {"deleted", get_int, X(docs_deleted), 0, NULL},
    {"docs_total", get_int, X(docs_total), 0, "documents a by-query call worked on, or hits of a read"},
    {"total", get_int, X(docs_total), 0, NULL},
    {"deleted_percent", get_known_docs, 0, 1, "documents deleted, in percent of what the index was known to hold"},
    {"known_docs", get_known_docs, 0, 0, "documents the index was known to hold before"},
    {"took_ms", get_int, X(took_ms), 0, "the cluster's own took"},
    {"duration_ms", get_duration, 0, 0, "request's first byte to answer's last"},
    {"request_bytes", get_bytes, 0, 0, "body size of the request"},
    {"response_bytes", get_bytes, 0, 1, "body size of the answer"},
    {"write", get_flag, 0, EXCHANGE_WRITE, "it changes data or configuration"},
    {"truncated", get_flag, 0, EXCHANGE_TRUNCATED, "bytes of a body are missing"},
    {"head_truncated", get_flag, 0, EXCHANGE_HEAD_TRUNCATED, "the request's head was cut"},
    {"redacted", get_flag, 0, EXCHANGE_REDACTED, "something secret was taken out"},
    {"undecoded", get_flag, 0, EXCHANGE_UNDECODED, "a body could not be read (content coding, SMILE, CBOR)"},
    {"malformed", get_flag, 0, EXCHANGE_MALFORMED, "a body that should be JSON is not"},
    {"own", get_flag, 0, EXCHANGE_OWN, "estape's own traffic; rules that do not name this field never see it"},
    {"destructive", get_text, X(danger), 0, "danger class of this one exchange"},
    {"danger", get_text, X(danger), 0, NULL},
    {"task", get_text, X(task), 0, "id of the task that will finish the call"},
    {"attempt", get_attempt, 0, 0, "true while the answer is awaited"},
    {"op", get_op, 0, 0, "kinds of document writes in it: index, create, update, delete"},
    {"items_index", get_op_count, 0, OP_INDEX, "index items"},
    {"items_create", get_op_count, 0, OP_CREATE, "create items"},
    {"items_update", get_op_count, 0, OP_UPDATE, "update items"},
    {"items_delete", get_op_count, 0, OP_DELETE, "delete items"},
    {"items_overwritten", get_op_count, 0, OP_KINDS, "full writes that replaced an existing document"},
    {"items_scripted", get_op_count, 0, OP_KINDS + 1, "updates by script"},
    {"body", get_body, 0, 0, "the request's body (first 64 KiB; not of bulks)"},
    {"body_truncated", get_body_cut, 0, 0, "the body was longer than rules see"},
    {"settings", get_settings, 0, 0, "names of the settings a call changes, index settings with the prefix index."},
    {"version", get_version, 0, 0, "version of the cluster, where known"},
    {"product", get_version, 0, 1, "elasticsearch or opensearch, where known"},
    {"live_writes", get_usual, 0, 0, "a target took document writes within the last ten minutes"},
    {"first_seen", get_usual, 0, 1, "this principal and address are new, after at least a day of history"},
    {"first_write", get_usual, 0, 2, "this principal and address never wrote to this index, which others do"},
    {"app_only", get_usual, 0, 3, "the index was written by applications alone so far"},
    {"gap", get_usual, 0, 4, "something was lost or nobody recorded within the last minute before it"},
    // Sigma's webserver category
    {"date", get_date, 0, 0, NULL},
    {"cs-username", get_username, 0, 0, NULL},
    {"c-ip", get_ip, 0, 0, NULL},
    {"c-port", get_port, 0, 0, NULL},
    {"s-ip", get_ip, 0, 1, NULL},
    {"s-port", get_port, 0, 1, NULL},
    {"cs-method", get_text, X(verb), 0, NULL},
    {"cs-uri", get_text, X(path), 0, NULL},
    {"c-uri", get_text, X(path), 0, NULL},
    {"cs-uri-stem", get_stem, 0, 0, NULL},
    {"cs-uri-query", get_stem, 0, 1, NULL},
    {"c-uri-query", get_stem, 0, 1, NULL},
    {"sc-status", get_status, 0, 0, NULL},
    {"time-taken", get_duration, 0, 0, NULL},
    {"cs-user-agent", get_text, X(agent), 0, NULL},
    {"c-useragent", get_text, X(agent), 0, NULL},
    {"cs-bytes", get_bytes, 0, 0, NULL},
    {"sc-bytes", get_bytes, 0, 1, NULL},
    // ECS
    {"@timestamp", get_time, 0, 0, NULL},
    {"event.start", get_time, 0, 0, NULL},
    {"event.end", get_time, 0, 1, NULL},
    {"event.action", get_text, X(action), 0, NULL},
    {"event.outcome", get_outcome, 0, 1, NULL},
    {"event.reason", get_text, X(reason), 0, NULL},
    {"event.duration", get_duration, 0, 1, NULL},
    {"user.name", get_text, X(principal), 0, NULL},
    {"user.effective.name", get_text, X(run_as), 0, NULL},
    {"user.domain", get_text, X(realm), 0, NULL},
    {"source.ip", get_ip, 0, 0, NULL},
    {"source.port", get_port, 0, 0, NULL},
    {"client.ip", get_ip, 0, 0, NULL},
    {"client.port", get_port, 0, 0, NULL},
    {"network.forwarded_ip", get_text, X(forwarded_for), 0, NULL},
    {"destination.ip", get_ip, 0, 1, NULL},
    {"destination.port", get_port, 0, 1, NULL},
    {"server.ip", get_ip, 0, 1, NULL},
    {"server.port", get_port, 0, 1, NULL},
    {"http.request.method", get_text, X(verb), 0, NULL},
    {"http.request.id", get_text, X(opaque_id), 0, NULL},
    {"http.request.body.content", get_body, 0, 0, NULL},
    {"http.request.body.bytes", get_bytes, 0, 0, NULL},
    {"http.response.body.bytes", get_bytes, 0, 1, NULL},
    {"http.response.status_code", get_status, 0, 0, NULL},
    {"url.path", get_stem, 0, 0, NULL},
    {"url.query", get_stem, 0, 1, NULL},
    {"url.original", get_text, X(path), 0, NULL},
    {"user_agent.original", get_text, X(agent), 0, NULL},
    {"trace.id", get_text, X(traceparent), 0, NULL},
};
enum { ROWS = sizeof rows / sizeof *rows };

static const struct field_row not_recorded[] = {
    {"cs-host", NULL, 0, 0, "the Host header is not recorded; use server_ip"}, {"s-computername", NULL, 0, 0, "node names are not recorded; use server_ip"},
    {"cs-referer", NULL, 0, 0, "the Referer header is not recorded"},           {"cs-referrer", NULL, 0, 0, "the Referer header is not recorded"},
    {"cs-version", NULL, 0, 0, "the HTTP version is not recorded"},             {"cs-cookie", NULL, 0, 0, "cookies are secrets and never recorded"},
    {"http.request.referrer", NULL, 0, 0, "the Referer header is not recorded"},
    {"url.domain", NULL, 0, 0, "the Host header is not recorded; use server_ip"}, {"http.version", NULL, 0, 0, "the HTTP version is not recorded"},
};

static bool find_prefixed(struct arena *a, struct bytes name, struct field *f)
{
    static const struct {
        const char *prefix;
        field_fn *get;
    } prefixes[] = {{"body.", get_body_path}, {"param.", get_param}, {"setting.", get_setting}};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t size = strlen(prefixes[i].prefix);
        if (name.size <= size || memcmp(name.at, prefixes[i].prefix, size) != 0)
            continue;
        struct bytes path = bytes_from(name, size);
        void *copy = arena_copy(a, path.at, path.size);
        *f = (struct field){.get = prefixes[i].get, .path = bytes_of(copy, copy ? path.size : 0)};
        return copy != NULL;
    }
    return false;
}

static enum field_direct direct_of(field_fn *get)
{
    return get == get_int ? DIRECT_INT : get == get_status ? DIRECT_STATUS : get == get_flag ? DIRECT_FLAG : get == get_text ? DIRECT_TEXT : DIRECT_NONE;
}

bool field_find(struct arena *a, struct bytes name, struct field *f, const char **why)
{
    for (size_t i = 0; i < ROWS; i++)
        if (bytes_equal_text(name, rows[i].name)) {
            *f = (struct field){.get = rows[i].get, .direct = direct_of(rows[i].get), .offset = rows[i].offset, .flag = rows[i].flag};
            return true;
        }
    *why = NULL;
    for (size_t i = 0; i < sizeof not_recorded / sizeof *not_recorded; i++)
        if (bytes_equal_text(name, not_recorded[i].name))
            *why = not_recorded[i].meaning;
    return !*why && find_prefixed(a, name, f);
}

static unsigned distance(struct bytes a, const char *b)
{
    unsigned row[64], size = (unsigned)strlen(b);
    if (size >= 63 || a.size >= 63)
        return 99;
    for (unsigned j = 0; j <= size; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.size; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= size; j++) {
            unsigned above = row[j], best = diagonal + (a.at[i - 1] != (uint8_t)b[j - 1]);
            best = best < above + 1 ? best : above + 1;
            row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
            diagonal = above;
        }
    }
    return row[size];
}

const char *field_nearest(struct bytes name)
{
    const char *nearest = NULL;
    unsigned best = name.size / 3 + 2;
    for (size_t i = 0; i < ROWS; i++) {
        unsigned d = distance(name, rows[i].name);
        if (d < best) {
            best = d;
            nearest = rows[i].name;
        }
    }
    return nearest;
}

bool field_name(size_t which, const char **name, const char **meaning)
{
    if (which >= ROWS)
        return false;
    *name = rows[which].name;
    *meaning = rows[which].meaning;
    return true;
}

bool field_of_request(const struct field *f)
{
    static field_fn *const getters[] = {get_stem, get_param, get_body, get_body_path, get_body_cut, get_settings, get_setting, get_target_count, get_multiple,
                                        get_agent_kind, get_username, get_auth, get_ip, get_port, get_date};
    static const size_t texts[] = {X(verb), X(path), X(principal), X(run_as), X(forwarded_for), X(agent), X(opaque_id), X(traceparent), X(realm), X(api), X(danger)};
    for (size_t i = 0; i < sizeof getters / sizeof *getters; i++)
        if (f->get == getters[i])
            return true;
    for (size_t i = 0; f->get == get_text && i < sizeof texts / sizeof *texts; i++)
        if (f->offset == texts[i])
            return true;
    return (f->get == get_flag && f->flag == EXCHANGE_WILDCARD) || (f->get == get_targets && f->flag == 1);
}

bool field_of_body(const struct field *f)
{
    return f->get == get_body_path;
}

bool field_is_key(const struct field *f, int *key)
{
    if (f->get == get_text && f->offset == X(api))
        *key = FIELD_KEY_API;
    else if (f->get == get_text && f->offset == X(verb))
        *key = FIELD_KEY_VERB;
    else if (f->get == get_text && f->offset == X(danger))
        *key = FIELD_KEY_DANGER;
    else if (f->get == get_text && f->offset == X(reason))
        *key = FIELD_KEY_REASON;
    else if (f->get == get_status)
        *key = FIELD_KEY_STATUS;
    else if (f->get == get_targets)
        *key = FIELD_KEY_INDEX;
    else
        return false;
    return true;
}

unsigned field_cost(const struct field *f)
{
    static const struct {
        field_fn *get;
        unsigned cost;
    } costs[] = {
        {get_bytes, 2}, {get_port, 2}, {get_auth, 2}, {get_outcome, 2}, {get_acknowledged, 2}, {get_target_count, 2}, {get_multiple, 2}, {get_duration, 2},
        {get_attempt, 2}, {get_username, 2}, {get_targets, 4}, {get_agent_kind, 8}, {get_ip, 4}, {get_version, 4},
        {get_usual, 10}, {get_known_docs, 10}, {get_stem, 10}, {get_param, 12}, {get_time, 12}, {get_date, 12}, {get_body, 20}, {get_body_cut, 20},
        {get_body_path, 60}, {get_settings, 60}, {get_setting, 60}, {get_op, 200}, {get_op_count, 200}, // of a tape: a block is unpacked
    };
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++)
        if (f->get == costs[i].get)
            return costs[i].cost;
    return 1;
}

void event_texts(struct event *e, struct values *out)
{
    static const size_t texts[] = {X(verb), X(path), X(principal), X(run_as), X(forwarded_for), X(agent), X(opaque_id), X(realm), X(api), X(action), X(reason), X(danger)};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        get_text(e, &(struct field){.offset = texts[i]}, out);
    event_cut_path(e);
    values_add_text(out, e->stem);
    get_ip(e, &(struct field){0}, out);
    get_ip(e, &(struct field){.flag = 1}, out);
    get_targets(e, &(struct field){0}, out);
    get_body(e, NULL, out);
}
