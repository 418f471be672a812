// Sinks: their configuration lines, the retry schedule, and the table that leads to each kind.
#include "sink_inner.h"

#include "../base/clock.h"
#include "../base/diag.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SECRET_BYTES_MAX = 8192, LINE_MAX_BYTES = 8192, CONFIG_SINKS_MAX = 64 };

const char *const sink_kind_names[SINK_KINDS] = {"stdout", "file", "exec", "webhook", "slack", "pagerduty", "alertmanager", "syslog", "mail"};

static const struct {
    sink_send_fn *send;
    void (*close)(struct sink *s);
} kinds[SINK_KINDS] = {
    [SINK_STDOUT] = {sink_send_stream, NULL},       [SINK_FILE] = {sink_send_stream, NULL},
    [SINK_EXEC] = {sink_send_exec, NULL},           [SINK_WEBHOOK] = {sink_send_http, sink_close_http},
    [SINK_SLACK] = {sink_send_http, sink_close_http}, [SINK_PAGERDUTY] = {sink_send_http, sink_close_http},
    [SINK_ALERTMANAGER] = {sink_send_http, sink_close_http}, [SINK_SYSLOG] = {sink_send_syslog, sink_close_syslog},
    [SINK_MAIL] = {sink_send_mail, NULL},
};

// ---- words ------------------------------------------------------------------------------------------------------------

char **sink_split(const char *text, size_t *count)
{
    size_t size = strlen(text);
    char **words = mem_zero(size / 2 + 3, sizeof *words), *room = mem_alloc(size + 2), *to = room;
    *count = 0;
    if (!words || !room) {
        mem_free(words);
        mem_free(room);
        return NULL;
    }
    words[0] = room; // also when there is no word: what is freed
    for (const char *at = text; *at;) {
        while (*at == ' ' || *at == '\t')
            at++;
        if (!*at)
            break;
        words[(*count)++] = to;
        for (char quote = 0; *at && (quote || (*at != ' ' && *at != '\t')); at++) {
            if (quote ? *at == quote : *at == '\'' || *at == '"')
                quote = quote ? 0 : *at;
            else
                *to++ = *at;
        }
        *to++ = 0;
    }
    *to = 0;
    return words;
}

// ---- configuration ----------------------------------------------------------------------------------------------------

void sink_settings_free(struct sink_settings *s)
{
    char *texts[] = {s->name, s->url, s->path, s->command, s->address, s->proxy, s->ca_file, s->cert_file, s->key_file, s->to, s->from, s->host, s->transport, s->framing,
                     s->variables[0], s->variables[1], s->variables[2]};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        mem_free(texts[i]);
    if (s->secret)
        explicit_bzero(s->secret, strlen(s->secret));
    mem_free(s->secret);
    *s = (struct sink_settings){0};
}

static bool set_text(char **to, const char *value, struct fault *fault)
{
    mem_free(*to);
    *to = mem_text_copy(value, strlen(value));
    return *to || fault_memory(fault);
}

static bool read_secret(const char *path, char **to, struct fault *fault)
{
    char text[SECRET_BYTES_MAX];
    FILE *file = fopen(path, "re");
    if (!file)
        return fault_user(fault, "cannot read the secret in %s: %s", path, strerror(errno));
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    while (size && (text[size - 1] == '\n' || text[size - 1] == '\r' || text[size - 1] == ' '))
        size--;
    text[size] = 0;
    bool ok = size ? set_text(to, text, fault) : fault_user(fault, "the secret in %s is empty", path);
    explicit_bzero(text, sizeof text);
    return ok;
}

static bool env_secret(const char *name, char **to, char **variable, struct fault *fault)
{
    const char *value = getenv(name);
    if (!value || !*value)
        return fault_user(fault, "the environment variable %s is not set", name);
    return set_text(to, value, fault) && set_text(variable, name, fault);
}

void sink_hide_variables(const struct sink_settings *s)
{
    for (size_t i = 0; i < SINK_VARIABLES; i++)
        if (s->variables[i])
            unsetenv(s->variables[i]);
}

static bool set_level(struct sink_settings *s, const char *value, struct fault *fault)
{
    for (int i = 0; i < ALERT_LEVELS; i++)
        if (strcmp(value, alert_level_names[i]) == 0) {
            s->level = (enum alert_level)i;
            return true;
        }
    return fault_user(fault, "level=%s: informational, low, medium, high and critical are levels", value);
}

static bool set_span(int64_t *to, const char *key, const char *value, struct fault *fault)
{
    if (clock_parse_span(value, to) && *to > 0)
        return true;
    return fault_user(fault, "%s=%s: say a time as 15s, 5m, 72h", key, value);
}

static bool set_facility(struct sink_settings *s, const char *value, struct fault *fault)
{
    static const char *const names[] = {"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
                                        "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"};
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
        if (strcmp(value, names[i]) == 0) {
            s->facility = i;
            return true;
        }
    return fault_user(fault, "facility=%s is none of syslog's", value);
}

static bool set_yes(bool *to, const char *key, const char *value, struct fault *fault)
{
    *to = strcmp(value, "yes") == 0;
    return *to || strcmp(value, "no") == 0 || fault_user(fault, "%s=%s: say yes or no", key, value);
}

static bool set_format(struct sink_settings *s, const char *value, struct fault *fault)
{
    s->text = strcmp(value, "text") == 0;
    return s->text || strcmp(value, "json") == 0 || fault_user(fault, "format=%s: say json or text", value);
}

#define BIT(kind) (1u << (kind))
enum {
    ANY_KIND = (1u << SINK_KINDS) - 1,
    HTTP_KIND = BIT(SINK_WEBHOOK) | BIT(SINK_SLACK) | BIT(SINK_PAGERDUTY) | BIT(SINK_ALERTMANAGER),
    STREAM_KIND = BIT(SINK_STDOUT) | BIT(SINK_FILE) | BIT(SINK_EXEC),
};

#define TEXT(field) offsetof(struct sink_settings, field)
static const struct {
    const char *key;
    unsigned kinds;
    size_t offset;
} text_keys[] = {
    {"url", HTTP_KIND & ~BIT(SINK_SLACK), TEXT(url)}, {"path", BIT(SINK_FILE), TEXT(path)}, {"command", BIT(SINK_EXEC) | BIT(SINK_MAIL), TEXT(command)},
    {"address", BIT(SINK_SYSLOG), TEXT(address)}, {"proxy", HTTP_KIND, TEXT(proxy)}, {"ca-file", HTTP_KIND | BIT(SINK_SYSLOG), TEXT(ca_file)},
    {"cert-file", HTTP_KIND | BIT(SINK_SYSLOG), TEXT(cert_file)}, {"cert-key-file", HTTP_KIND | BIT(SINK_SYSLOG), TEXT(key_file)},
    {"to", BIT(SINK_MAIL), TEXT(to)}, {"from", BIT(SINK_MAIL), TEXT(from)}, {"host", BIT(SINK_SYSLOG), TEXT(host)},
    {"transport", BIT(SINK_SYSLOG), TEXT(transport)}, {"framing", BIT(SINK_SYSLOG), TEXT(framing)},
};

static bool set_secret(struct sink_settings *s, const char *key, const char *value, bool *known, struct fault *fault)
{
    static const struct {
        const char *stem;
        unsigned kinds, open_kinds; // of the latter it may stand in the open, too
        size_t offset, variable;
    } secrets[] = {{"secret", BIT(SINK_WEBHOOK), 0, TEXT(secret), 0}, {"key", BIT(SINK_PAGERDUTY), 0, TEXT(secret), 0}, {"token", BIT(SINK_ALERTMANAGER), 0, TEXT(secret), 0},
                   {"url", BIT(SINK_SLACK) | BIT(SINK_WEBHOOK), BIT(SINK_WEBHOOK), TEXT(url), 1}, {"proxy", HTTP_KIND, HTTP_KIND, TEXT(proxy), 2}};
    *known = true;
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
        size_t size = strlen(secrets[i].stem);
        if (strncmp(key, secrets[i].stem, size) != 0 || !(secrets[i].kinds & BIT(s->kind)))
            continue;
        char **to = (char **)(void *)((char *)s + secrets[i].offset);
        if (strcmp(key + size, "-file") == 0)
            return read_secret(value, to, fault);
        if (strcmp(key + size, "-env") == 0)
            return env_secret(value, to, &s->variables[secrets[i].variable], fault);
        if (!key[size] && !(secrets[i].open_kinds & BIT(s->kind)))
            return fault_user(fault, "a secret does not stand in the open: write it to a file and say %s-file=PATH, or %s-env=VARIABLE", key, key);
        if (!key[size] && to == &s->proxy && strchr(value, '@'))
            return fault_user(fault, "no user and password in the open: write the proxy's address to a file and say proxy-file=PATH, or proxy-env=VARIABLE");
    }
    *known = false;
    return true;
}

static bool set_key(struct sink_settings *s, const char *key, const char *value, struct fault *fault)
{
    bool known;
    if (!set_secret(s, key, value, &known, fault) || known)
        return known && !fault->kind;
    for (size_t i = 0; i < sizeof text_keys / sizeof *text_keys; i++)
        if (strcmp(key, text_keys[i].key) == 0 && (text_keys[i].kinds & BIT(s->kind)))
            return set_text((char **)(void *)((char *)s + text_keys[i].offset), value, fault);
    if (strcmp(key, "level") == 0)
        return set_level(s, value, fault);
    if (strcmp(key, "outcomes") == 0)
        return set_yes(&s->outcomes, key, value, fault);
    if (strcmp(key, "timeout") == 0)
        return set_span(&s->timeout_ns, key, value, fault);
    if (strcmp(key, "give-up") == 0)
        return set_span(&s->give_up_ns, key, value, fault);
    if (strcmp(key, "active") == 0 && s->kind == SINK_ALERTMANAGER)
        return set_span(&s->active_ns, key, value, fault);
    if (strcmp(key, "facility") == 0 && s->kind == SINK_SYSLOG)
        return set_facility(s, value, fault);
    if (strcmp(key, "format") == 0 && (BIT(s->kind) & STREAM_KIND))
        return set_format(s, value, fault);
    return fault_user(fault, "a sink of kind %s has no setting '%s'; see docs/sinks.md", sink_kind_names[s->kind], key);
}

static bool is_one_of(const char *word, const char *a, const char *b, const char *c)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0 || (c && strcmp(word, c) == 0);
}

static bool check_url(const struct sink_settings *s, struct fault *fault)
{
    if (strncmp(s->url, "http://", 7) != 0 && strncmp(s->url, "https://", 8) != 0)
        return fault_user(fault, "a URL begins with https:// or http://");
    const char *host = strstr(s->url, "://") + 3, *at = strchr(host, '@'), *slash = strchr(host, '/');
    if (at && (!slash || at < slash))
        return fault_user(fault, "no user and password in a URL");
    return true;
}

static bool check(struct sink_settings *s, struct fault *fault)
{
    if (s->kind == SINK_PAGERDUTY && !s->url && !set_text(&s->url, "https://events.pagerduty.com/v2/enqueue", fault))
        return false;
    const struct {
        unsigned kinds;
        const char *value, *say;
    } needed[] = {
        {HTTP_KIND & ~BIT(SINK_SLACK), s->url, "url=https://..."}, {BIT(SINK_SLACK), s->url, "url-file=PATH (the address is a secret)"},
        {BIT(SINK_FILE), s->path, "path=FILE"}, {BIT(SINK_EXEC), s->command, "command='/path/to/program argument'"},
        {BIT(SINK_PAGERDUTY), s->secret, "key-file=PATH (the routing key)"}, {BIT(SINK_SYSLOG), s->address, "address=HOST:PORT"},
        {BIT(SINK_MAIL), s->to, "to=ADDRESS"},
    };
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if ((needed[i].kinds & BIT(s->kind)) && !needed[i].value)
            return fault_user(fault, "a sink of kind %s needs %s", sink_kind_names[s->kind], needed[i].say);
    if ((BIT(s->kind) & HTTP_KIND) && !check_url(s, fault))
        return false;
    if (s->transport && !is_one_of(s->transport, "udp", "tcp", "tls"))
        return fault_user(fault, "transport=%s: udp, tcp and tls are known", s->transport);
    if (s->framing && !is_one_of(s->framing, "octets", "newline", NULL))
        return fault_user(fault, "framing=%s: octets and newline are known", s->framing);
    if (s->kind == SINK_WEBHOOK && s->secret) {
        struct buf ignored = {0};
        bool ok = sink_sign(s->secret, "x", 0, (struct bytes){0}, &ignored);
        buf_fini(&ignored);
        if (!ok)
            return fault_user(fault, "the secret must be whsec_ and base64 of 24 to 64 bytes");
    }
    return true;
}

static bool set_word(struct sink_settings *s, char *word, struct fault *fault)
{
    char *equal = strchr(word, '=');
    if (!equal)
        return fault_user(fault, "'%s' is no key=value", word);
    *equal = 0;
    return set_key(s, word, equal + 1, fault);
}

static bool name_ok(const char *name)
{
    size_t size = strlen(name);
    return size && size < 60 && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == size;
}

static bool take_kind(struct sink_settings *s, const char *word, struct fault *fault)
{
    for (int i = 0; i < SINK_KINDS; i++)
        if (strcmp(word, sink_kind_names[i]) == 0) {
            s->kind = (enum sink_kind)i;
            return true;
        }
    return fault_user(fault, "'%s' is no kind of sink: stdout, file, exec, webhook, slack, pagerduty, alertmanager, syslog and mail are", word);
}

bool sink_parse(const char *text, struct sink_settings *s, struct fault *fault)
{
    struct fault why = {0};
    size_t count;
    char **words = sink_split(text, &count);
    *s = (struct sink_settings){.level = ALERT_LOW, .outcomes = true, .timeout_ns = 15 * WHEN_NS_PER_S, .give_up_ns = 72 * 3600 * WHEN_NS_PER_S,
                                .active_ns = 3600 * WHEN_NS_PER_S, .facility = 16};
    if (!words)
        return fault_memory(fault);
    char *equal = count ? strchr(words[0], '=') : NULL, *kind = equal ? equal + 1 : count ? words[0] : "";
    if (equal)
        *equal = 0;
    const char *name = count ? words[0] : "";
    bool ok = name_ok(name) || fault_user(&why, "a sink is NAME=KIND key=value ..., as in pager=webhook url=https://... secret-file=...");
    ok = ok && set_text(&s->name, name, &why) && take_kind(s, kind, &why);
    for (size_t i = 1; ok && i < count; i++)
        ok = set_word(s, words[i], &why);
    ok = ok && check(s, &why);
    if (!ok) {
        fault_user(fault, "sink %s: %s", name_ok(name) ? name : "?", why.text);
        sink_settings_free(s);
    }
    mem_free(words[0]);
    mem_free(words);
    return ok;
}

bool sink_read_config(const char *path, char ***texts, size_t *count, struct fault *fault)
{
    char line[LINE_MAX_BYTES];
    FILE *file = fopen(path, "re");
    *count = 0;
    *texts = mem_zero(CONFIG_SINKS_MAX, sizeof **texts);
    if (!file || !*texts) {
        if (file)
            fclose(file);
        return file ? fault_memory(fault) : fault_user(fault, "%s: %s", path, strerror(errno));
    }
    while (*count < CONFIG_SINKS_MAX && fgets(line, sizeof line, file)) {
        char *at = line + strspn(line, " \t"), *equal = strchr(at, '=');
        if (strncmp(at, "sink.", 5) != 0 || !equal)
            continue;
        char *end = equal;
        while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        char *value = equal + 1 + strspn(equal + 1, " \t");
        value[strcspn(value, "\r\n")] = 0;
        struct buf joined = {0};
        buf_format(&joined, "%.*s=%s", (int)(end - at - 5), at + 5, value);
        char *copy = mem_text_copy(joined.at, joined.size);
        buf_fini(&joined);
        if (copy)
            (*texts)[(*count)++] = copy;
    }
    fclose(file);
    return true;
}

// ---- alerts taken apart -----------------------------------------------------------------------------------------------

static struct bytes member(const struct json *root, const char *key)
{
    const struct json *j = json_member(root, key);
    return j && j->kind == JSON_KIND_STRING ? j->text : (struct bytes){0};
}

bool sink_alert_parse(struct sink_alert *a, struct bytes json)
{
    *a = (struct sink_alert){0};
    arena_init(&a->arena, 0);
    const struct json *r = json_parse(&a->arena, json, NULL);
    if (!r || r->kind != JSON_KIND_OBJECT) {
        arena_fini(&a->arena);
        return false;
    }
    a->root = r;
    a->level = member(r, "level");
    a->rule = member(r, "rule");
    a->title = member(r, "title");
    a->text = member(r, "text");
    a->time = member(r, "time");
    a->principal = member(r, "principal");
    a->client_ip = member(r, "client_ip");
    a->agent = member(r, "agent");
    a->verb = member(r, "verb");
    a->api = member(r, "api");
    a->outcome = member(r, "outcome");
    a->kind = member(r, "kind");
    a->exchange = json_member(r, "exchange") ? json_int(json_member(r, "exchange"), -1) : -1;
    for (int i = 0; i < ALERT_LEVELS; i++)
        if (bytes_equal_text(a->level, alert_level_names[i]))
            a->level_number = (enum alert_level)i;
    return true;
}

void sink_alert_free(struct sink_alert *a)
{
    arena_fini(&a->arena);
}

struct bytes sink_alert_index(const struct sink_alert *a)
{
    static const char *const lists[] = {"targets", "indices"};
    for (size_t i = 0; i < 2; i++) {
        const struct json *list = json_member(a->root, lists[i]);
        if (list && list->kind == JSON_KIND_ARRAY && list->first && list->first->kind == JSON_KIND_STRING)
            return list->first->text;
    }
    return (struct bytes){0};
}

// ---- sending ----------------------------------------------------------------------------------------------------------

void answer_set(struct sink_answer *answer, enum sink_result result, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(answer->why, sizeof answer->why, format, args);
    va_end(args);
    answer->result = result;
}

struct sink *sink_open(const struct sink_settings *settings)
{
    struct sink *s = mem_zero(1, sizeof *s);
    if (s)
        s->settings = settings;
    return s;
}

void sink_send(struct sink *s, const struct sink_message *m, struct sink_answer *answer)
{
    struct sink_alert a;
    *answer = (struct sink_answer){.result = SINK_RETRY};
    if (!sink_alert_parse(&a, m->json)) {
        answer_set(answer, SINK_REFUSED, "the alert is no JSON");
        return;
    }
    kinds[s->settings->kind].send(s, m, &a, answer);
    sink_alert_free(&a);
}

void sink_close(struct sink *s)
{
    if (s && kinds[s->settings->kind].close)
        kinds[s->settings->kind].close(s);
    mem_free(s);
}

int64_t sink_backoff_ns(int tries, uint64_t random)
{
    static const int seconds[] = {1, 5, 15, 30, 60, 120, 300};
    int last = sizeof seconds / sizeof *seconds - 1;
    int64_t base_ns = seconds[tries < 1 ? 0 : tries - 1 > last ? last : tries - 1] * WHEN_NS_PER_S;
    return base_ns - base_ns / 5 + (int64_t)(random % 1000) * (base_ns * 2 / 5) / 1000; // within a fifth to either side
}
