// Sinks over HTTP: signed webhooks and the presets for Slack, PagerDuty and Alertmanager.
#include "sink_inner.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SIGNED_KEY_MAX = 64, SIGNED_KEY_MIN = 24, ANSWER_BYTES = 200, SLACK_TEXT_MAX = 3000, PAGER_SUMMARY_MAX = 1000, RETRY_AFTER_MAX_S = 86400 };

// ---- Standard Webhooks ------------------------------------------------------------------------------------------------

static bool decode_key(const char *at, size_t size, uint8_t *key, size_t *key_size)
{
    char text[256];
    uint8_t out[256];
    if (size < 6 || strncmp(at, "whsec_", 6) != 0 || size - 6 >= sizeof text - 4)
        return false;
    memcpy(text, at + 6, size - 6);
    size_t n = size - 6, pad = 0;
    while (n && text[n - 1] == '=')
        n--, pad++;
    while (n % 4)
        text[n++] = '=';
    pad = 0;
    while (pad < 2 && n > pad && text[n - 1 - pad] == '=')
        pad++;
    int decoded = n ? EVP_DecodeBlock(out, (const uint8_t *)text, (int)n) : -1;
    if (decoded < 0 || (size_t)decoded < pad)
        return false;
    *key_size = (size_t)decoded - pad;
    bool ok = *key_size >= SIGNED_KEY_MIN && *key_size <= SIGNED_KEY_MAX;
    if (ok)
        memcpy(key, out, *key_size);
    explicit_bzero(out, sizeof out);
    explicit_bzero(text, sizeof text);
    return ok;
}

bool sink_sign(const char *secret, const char *id, int64_t unix_seconds, struct bytes body, struct buf *out)
{
    struct buf text = {0};
    bool ok = true, any = false;
    buf_format(&text, "%s.%lld.", id, (long long)unix_seconds);
    buf_add_bytes(&text, body);
    for (const char *at = secret; ok && *at;) {
        size_t size = strcspn(at, " ");
        uint8_t key[SIGNED_KEY_MAX], mac[EVP_MAX_MD_SIZE];
        size_t key_size;
        unsigned mac_size = 0;
        char encoded[96];
        ok = decode_key(at, size, key, &key_size) && HMAC(EVP_sha256(), key, (int)key_size, text.at, text.size, mac, &mac_size);
        if (ok) {
            EVP_EncodeBlock((uint8_t *)encoded, mac, (int)mac_size);
            buf_format(out, "%sv1,%s", any ? " " : "", encoded);
            any = true;
        }
        explicit_bzero(key, sizeof key);
        at += size;
        at += strspn(at, " ");
    }
    ok = ok && any && !text.failed && !out->failed;
    buf_fini(&text);
    return ok;
}

// ---- bodies -----------------------------------------------------------------------------------------------------------

static void add_member(struct buf *out, const char *name, struct bytes text)
{
    if (!text.size)
        return;
    buf_format(out, "%s\"%s\":", out->size && out->at[out->size - 1] != '{' ? "," : "", name);
    json_write_text(out, text);
}

void sink_body_webhook(const struct sink_message *m, struct buf *out)
{
    char time[40];
    time_t seconds = (time_t)(m->now_ns / WHEN_NS_PER_S);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", &tm);
    buf_format(out, "{\"type\":\"%s\",\"timestamp\":\"%s\",\"data\":", m->outcome ? "alert.outcome" : "alert", time);
    buf_add_bytes(out, m->json);
    buf_add_text(out, "}");
}

void sink_body_slack(const struct sink_alert *a, struct buf *out)
{
    struct buf text = {0};
    for (size_t i = 0; i < a->text.size && text.size < SLACK_TEXT_MAX; i++) {
        uint8_t c = a->text.at[i];
        if (c == '&')
            buf_add_text(&text, "&amp;");
        else if (c == '<')
            buf_add_text(&text, "&lt;");
        else if (c == '>')
            buf_add_text(&text, "&gt;");
        else
            buf_add_byte(&text, c);
    }
    buf_add_text(out, "{\"text\":");
    json_write_text(out, buf_view(&text));
    buf_add_text(out, "}");
    buf_fini(&text);
}

static struct bytes cut(struct bytes text, size_t most)
{
    while (most && text.size > most && (text.at[most] & 0xc0) == 0x80)
        most--;
    return text.size > most ? bytes_of(text.at, most) : text;
}

void sink_body_pagerduty(const struct sink_settings *s, const struct sink_message *m, const struct sink_alert *a, struct buf *out)
{
    static const char *const severities[ALERT_LEVELS] = {"info", "info", "warning", "error", "critical"};
    struct bytes index = sink_alert_index(a);
    buf_add_text(out, "{");
    add_member(out, "routing_key", bytes_of_text(s->secret));
    add_member(out, "event_action", bytes_of_text("trigger"));
    char id[64];
    snprintf(id, sizeof id, "estape-%.40s", m->id);
    id[strcspn(id, ".")] = 0;
    size_t size = strlen(id);
    if (size > 2 && strcmp(id + size - 2, "-2") == 0)
        id[size - 2] = 0; // the outcome joins the alert that was opened by the attempt
    add_member(out, "dedup_key", bytes_of_text(id));
    buf_add_text(out, ",\"payload\":{");
    add_member(out, "summary", cut(a->text, PAGER_SUMMARY_MAX));
    add_member(out, "source", a->client_ip.size ? a->client_ip : bytes_of_text("estape"));
    add_member(out, "severity", bytes_of_text(severities[a->level_number]));
    add_member(out, "timestamp", a->time);
    add_member(out, "component", index);
    add_member(out, "group", a->principal);
    add_member(out, "class", a->rule);
    buf_add_text(out, ",\"custom_details\":");
    buf_add_bytes(out, m->json);
    buf_add_text(out, "}}");
}

static void add_end(struct buf *out, int64_t now_ns, int64_t active_ns)
{
    char time[40];
    time_t seconds = (time_t)((now_ns + active_ns) / WHEN_NS_PER_S);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", &tm);
    add_member(out, "endsAt", bytes_of_text(time));
}

void sink_body_alertmanager(const struct sink_settings *s, const struct sink_message *m, const struct sink_alert *a, struct buf *out)
{
    buf_add_text(out, "[{\"labels\":{");
    add_member(out, "alertname", a->rule.size ? a->rule : bytes_of_text("estape"));
    add_member(out, "severity", a->level);
    add_member(out, "alert_id", cut(bytes_of_text(m->id), 32));
    add_member(out, "index", sink_alert_index(a));
    add_member(out, "principal", a->principal);
    add_member(out, "client_ip", a->client_ip);
    buf_add_text(out, "},\"annotations\":{");
    add_member(out, "summary", a->title);
    add_member(out, "description", a->text);
    add_member(out, "outcome", a->outcome);
    buf_add_text(out, "}");
    add_member(out, "startsAt", a->time);
    add_end(out, m->now_ns, s->active_ns); // without an end it would resolve itself a few minutes later
    buf_add_text(out, "}]");
}

// ---- the request ------------------------------------------------------------------------------------------------------

struct reply {
    char head[ANSWER_BYTES];
    size_t size;
    long retry_after_s;
};

static size_t take_body(char *at, size_t one, size_t count, void *ctx)
{
    struct reply *r = ctx;
    size_t size = one * count, room = sizeof r->head - 1 - r->size, n = size < room ? size : room;
    memcpy(r->head + r->size, at, n);
    r->size += n;
    return size; // the rest is read and forgotten
}

static size_t take_header(char *at, size_t one, size_t count, void *ctx)
{
    struct reply *r = ctx;
    size_t size = one * count;
    char text[64];
    if (size > 12 && size < sizeof text + 12 && strncasecmp(at, "retry-after:", 12) == 0) {
        memcpy(text, at + 12, size - 12);
        text[size - 12] = 0;
        char *end;
        long seconds = strtol(text, &end, 10);
        if (end == text) {
            time_t when = curl_getdate(text, NULL);
            seconds = when > 0 ? (long)(when - time(NULL)) : 0;
        }
        r->retry_after_s = seconds < 0 ? 0 : seconds > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : seconds;
    }
    return size;
}

static bool write_body(const struct sink_settings *s, const struct sink_message *m, const struct sink_alert *a, struct buf *body)
{
    switch (s->kind) {
    case SINK_SLACK: sink_body_slack(a, body); break;
    case SINK_PAGERDUTY: sink_body_pagerduty(s, m, a, body); break;
    case SINK_ALERTMANAGER: sink_body_alertmanager(s, m, a, body); break;
    default: sink_body_webhook(m, body); break;
    }
    return !body->failed;
}

static struct curl_slist *add_header(struct curl_slist *list, const char *name, const char *value)
{
    struct buf line = {0};
    buf_format(&line, "%s: %s", name, value);
    struct curl_slist *more = curl_slist_append(list, buf_text(&line));
    buf_fini(&line);
    return more ? more : list;
}

static struct curl_slist *write_headers(const struct sink_settings *s, const struct sink_message *m, struct bytes body)
{
    struct curl_slist *list = add_header(NULL, "Content-Type", "application/json");
    list = add_header(list, "Expect", "");
    if (s->kind == SINK_ALERTMANAGER && s->secret) {
        struct buf token = {0};
        buf_format(&token, "Bearer %s", s->secret);
        list = add_header(list, "Authorization", buf_text(&token));
        explicit_bzero(token.at, token.size);
        buf_fini(&token);
    }
    if (s->kind != SINK_WEBHOOK)
        return list;
    char seconds[32];
    int64_t now_s = m->now_ns / WHEN_NS_PER_S;
    snprintf(seconds, sizeof seconds, "%lld", (long long)now_s);
    list = add_header(list, "webhook-id", m->id);
    list = add_header(list, "webhook-timestamp", seconds);
    struct buf signature = {0};
    if (s->secret && sink_sign(s->secret, m->id, now_s, body, &signature))
        list = add_header(list, "webhook-signature", buf_text(&signature));
    buf_fini(&signature);
    return list;
}

static void judge(const struct sink_settings *s, long status, const struct reply *r, struct sink_answer *answer)
{
    char head[ANSWER_BYTES];
    size_t n = 0;
    for (size_t i = 0; i < r->size && n + 1 < sizeof head; i++)
        head[n++] = (uint8_t)r->head[i] >= ' ' && (uint8_t)r->head[i] < 0x7f ? r->head[i] : ' ';
    head[n] = 0;
    enum sink_result result = SINK_RETRY;
    if (status / 100 == 2)
        result = SINK_SENT;
    else if (status == 410)
        result = SINK_CLOSED;
    else if (status == 413 || status == 422 || (status == 400 && s->kind != SINK_WEBHOOK))
        result = SINK_REFUSED;
    answer_set(answer, result, "HTTP %ld%s%.*s", status, n ? ": " : "", (int)(n < 120 ? n : 120), head);
    answer->retry_after_ns = r->retry_after_s * WHEN_NS_PER_S;
}

static void set_options(CURL *curl, const struct sink_settings *s)
{
    long ms = (long)(s->timeout_ns / WHEN_NS_PER_MS);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ms);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, ms < 10000 ? ms : 10000);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L); // 3xx is a failure: a signature is for one address
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "estape/" ESTAPE_VERSION);
    curl_easy_setopt(curl, CURLOPT_URL, s->url);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    if (s->proxy)
        curl_easy_setopt(curl, CURLOPT_PROXY, s->proxy);
    if (s->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, s->ca_file);
    if (s->cert_file)
        curl_easy_setopt(curl, CURLOPT_SSLCERT, s->cert_file);
    if (s->key_file)
        curl_easy_setopt(curl, CURLOPT_SSLKEY, s->key_file);
}

static CURL *handle_of(struct sink *s)
{
    if (!s->state) {
        s->state = curl_easy_init();
        if (s->state)
            set_options(s->state, s->settings);
    }
    return s->state;
}

void sink_send_http(struct sink *s, const struct sink_message *m, const struct sink_alert *a, struct sink_answer *answer)
{
    CURL *curl = handle_of(s);
    struct buf body = {0};
    struct reply reply = {0};
    if (!curl || !write_body(s->settings, m, a, &body)) {
        buf_fini(&body);
        answer_set(answer, SINK_RETRY, "out of memory");
        return;
    }
    struct curl_slist *headers = write_headers(s->settings, m, buf_view(&body));
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.size);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.at);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &reply);
    CURLcode code = curl_easy_perform(curl);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK)
        answer_set(answer, SINK_RETRY, "%s", curl_easy_strerror(code));
    else
        judge(s->settings, status, &reply, answer);
    curl_slist_free_all(headers);
    buf_fini(&body);
}

void sink_close_http(struct sink *s)
{
    if (s->state)
        curl_easy_cleanup(s->state);
    s->state = NULL;
}
