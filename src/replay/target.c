// The cluster that is written to, over libcurl.
//
// Flow: target_call on a handle of its own; lanes on handles of a multi handle. Connections are kept alive.
// Invariants: 1. a lane has at most one request. 2. a reply's buffer belongs to its lane until the next start. 3. no body is
// sent twice: libcurl repeats by itself what a connection that it used before did not answer, unless it cannot rewind the body.
#include "target.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/mem.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <zlib.h>

enum { CONNECT_SECONDS = 20, LANES_MAX = 64, GZIP_FROM_BYTES = 4096 };

struct lane {
    CURL *curl;
    struct curl_slist *headers;
    struct buf body, packed;
    struct bytes sending; // what of the body was not handed to libcurl yet
    struct target_reply reply;
    bool busy;
};

struct target {
    char *url;
    struct target_account account;
    char opaque[48];
    CURLM *multi;
    struct lane call;
    struct lane lanes[LANES_MAX];
    unsigned lane_count, busy;
    bool gzip;
};

static size_t receive(char *at, size_t one, size_t size, void *ctx)
{
    (void)one;
    return buf_add(ctx, at, size) ? size : 0;
}

static size_t give(char *to, size_t one, size_t room, void *ctx)
{
    struct lane *l = ctx;
    size_t n = one * room < l->sending.size ? one * room : l->sending.size;
    if (n)
        memcpy(to, l->sending.at, n);
    l->sending = bytes_from(l->sending, n);
    return n;
}

static char *copy_text(const char *text)
{
    return text ? mem_text_copy(text, strlen(text)) : NULL;
}

static bool lane_open(struct target *t, struct lane *l)
{
    l->curl = curl_easy_init();
    if (!l->curl)
        return false;
    char opaque[80];
    snprintf(opaque, sizeof opaque, "X-Opaque-Id: %s", t->opaque);
    l->headers = curl_slist_append(l->headers, "Content-Type: application/json");
    l->headers = curl_slist_append(l->headers, opaque);
    l->headers = curl_slist_append(l->headers, "Expect:");
    if (t->account.api_key) {
        struct buf auth = {0};
        buf_format(&auth, "Authorization: ApiKey %s", t->account.api_key);
        l->headers = curl_slist_append(l->headers, buf_text(&auth));
        buf_fini(&auth);
    }
    curl_easy_setopt(l->curl, CURLOPT_USERAGENT, "estape/" ESTAPE_VERSION);
    curl_easy_setopt(l->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(l->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(l->curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(l->curl, CURLOPT_UPLOAD_BUFFERSIZE, 512L * 1024);
    curl_easy_setopt(l->curl, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(l->curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(l->curl, CURLOPT_ERRORBUFFER, l->reply.error);
    curl_easy_setopt(l->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    if (t->account.user) {
        curl_easy_setopt(l->curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        curl_easy_setopt(l->curl, CURLOPT_USERNAME, t->account.user);
        curl_easy_setopt(l->curl, CURLOPT_PASSWORD, t->account.password ? t->account.password : "");
    }
    if (t->account.netrc)
        curl_easy_setopt(l->curl, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
    if (t->account.ca)
        curl_easy_setopt(l->curl, CURLOPT_CAINFO, t->account.ca);
    if (t->account.insecure) {
        curl_easy_setopt(l->curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(l->curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    return l->headers != NULL;
}

static void lane_close(struct lane *l)
{
    if (l->curl)
        curl_easy_cleanup(l->curl);
    curl_slist_free_all(l->headers);
    buf_fini(&l->body);
    buf_fini(&l->packed);
    buf_fini(&l->reply.body);
}

static void make_opaque_id(struct target *t)
{
    uint8_t r[8] = {0};
    if (getrandom(r, sizeof r, GRND_NONBLOCK) != sizeof r) {
        int64_t now_ns = clock_now_ns();
        memcpy(r, &now_ns, sizeof r);
    }
    snprintf(t->opaque, sizeof t->opaque, "estape-%02x%02x%02x%02x%02x%02x%02x%02x", r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]);
}

struct target *target_open(const struct target_account *account, unsigned lanes, struct fault *fault)
{
    if (strncmp(account->url, "http://", 7) != 0 && strncmp(account->url, "https://", 8) != 0) {
        fault_user(fault, "--target %s: give the address as http://HOST:PORT or https://HOST:PORT", account->url);
        return NULL;
    }
    const char *host = strstr(account->url, "://") + 3;
    if (memchr(host, '@', strcspn(host, "/"))) {
        fault_user(fault, "--target: no account in the address; use --user, --api-key-file or ~/.netrc");
        return NULL;
    }
    struct target *t = mem_zero(1, sizeof *t);
    if (!t || curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        mem_free(t);
        fault_memory(fault);
        return NULL;
    }
    t->url = copy_text(account->url);
    t->account = *account;
    t->account.user = copy_text(account->user);
    t->account.password = copy_text(account->password);
    t->account.api_key = copy_text(account->api_key);
    t->account.ca = copy_text(account->ca);
    t->lane_count = lanes > LANES_MAX ? LANES_MAX : lanes;
    t->gzip = strncmp(account->url, "http://127.", 11) != 0 && strncmp(account->url, "http://localhost", 16) != 0;
    make_opaque_id(t);
    t->multi = curl_multi_init();
    bool ok = t->url && t->multi && lane_open(t, &t->call);
    for (size_t n = t->url ? strlen(t->url) : 0; n && t->url[n - 1] == '/'; n--)
        t->url[n - 1] = 0;
    for (unsigned i = 0; ok && i < t->lane_count; i++)
        ok = lane_open(t, &t->lanes[i]);
    if (!ok) {
        target_close(t);
        fault_memory(fault);
        return NULL;
    }
    return t;
}

void target_close(struct target *t)
{
    if (!t)
        return;
    for (unsigned i = 0; i < t->lane_count; i++) {
        if (t->lanes[i].busy)
            curl_multi_remove_handle(t->multi, t->lanes[i].curl);
        lane_close(&t->lanes[i]);
    }
    lane_close(&t->call);
    if (t->multi)
        curl_multi_cleanup(t->multi);
    mem_free(t->url);
    mem_free((char *)t->account.user);
    if (t->account.password)
        explicit_bzero((char *)t->account.password, strlen(t->account.password));
    mem_free((char *)t->account.password);
    mem_free((char *)t->account.api_key);
    mem_free((char *)t->account.ca);
    mem_free(t);
}

const char *target_url(const struct target *t)
{
    return t->url;
}

const char *target_opaque_id(const struct target *t)
{
    return t->opaque;
}

static bool pack(struct buf *out, struct bytes body)
{
    z_stream z = {0};
    buf_clear(out);
    if (deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    uLong bound = deflateBound(&z, (uLong)body.size);
    bool ok = buf_reserve(out, bound);
    if (ok) {
        z.next_in = (Bytef *)(uintptr_t)body.at;
        z.avail_in = (uInt)body.size;
        z.next_out = out->at;
        z.avail_out = (uInt)bound;
        ok = deflate(&z, Z_FINISH) == Z_STREAM_END;
        out->size = ok ? z.total_out : 0;
    }
    deflateEnd(&z);
    return ok;
}

static bool prepare(struct target *t, struct lane *l, const char *verb, const char *path, struct bytes body)
{
    struct buf url = {0};
    bool head = strcmp(verb, "HEAD") == 0, send = body.size || strcmp(verb, "POST") == 0 || strcmp(verb, "PUT") == 0;
    buf_format(&url, "%s%s", t->url, path);
    buf_clear(&l->reply.body);
    l->reply.status = 0;
    l->reply.error[0] = 0;
    // The encoding header is the last of the list, put there and taken away as bodies need it.
    static const char encoding[] = "Content-Encoding: gzip";
    struct curl_slist *last = l->headers;
    while (last->next && last->next->next)
        last = last->next;
    if (last->next && strcmp(last->next->data, encoding) == 0) {
        curl_slist_free_all(last->next);
        last->next = NULL;
    }
    if (t->gzip && body.size >= GZIP_FROM_BYTES && pack(&l->packed, body)) {
        body = buf_view(&l->packed);
        curl_slist_append(l->headers, encoding);
    }
    curl_easy_setopt(l->curl, CURLOPT_URL, buf_text(&url));
    curl_easy_setopt(l->curl, CURLOPT_HTTPHEADER, l->headers);
    curl_easy_setopt(l->curl, CURLOPT_WRITEDATA, &l->reply.body);
    curl_easy_setopt(l->curl, CURLOPT_NOBODY, head ? 1L : 0L);
    if (send) {
        curl_easy_setopt(l->curl, CURLOPT_POST, 1L);
        l->sending = body;
        curl_easy_setopt(l->curl, CURLOPT_POSTFIELDS, body.size ? NULL : "");
        curl_easy_setopt(l->curl, CURLOPT_READFUNCTION, give);
        curl_easy_setopt(l->curl, CURLOPT_READDATA, l);
        curl_easy_setopt(l->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.size);
    } else if (!head) {
        curl_easy_setopt(l->curl, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(l->curl, CURLOPT_CUSTOMREQUEST, head ? NULL : verb);
    buf_fini(&url);
    return true;
}

static void settle(struct lane *l, CURLcode code)
{
    if (code == CURLE_OK) {
        curl_easy_getinfo(l->curl, CURLINFO_RESPONSE_CODE, &l->reply.status);
        return;
    }
    l->reply.status = 0;
    if (!l->reply.error[0])
        snprintf(l->reply.error, sizeof l->reply.error, "%s", curl_easy_strerror(code));
}

bool target_call(struct target *t, const char *verb, const char *path, struct bytes body, struct target_reply *reply, struct fault *fault)
{
    prepare(t, &t->call, verb, path, body);
    settle(&t->call, curl_easy_perform(t->call.curl));
    buf_clear(&reply->body);
    reply->status = t->call.reply.status;
    memcpy(reply->error, t->call.reply.error, sizeof reply->error);
    buf_add_bytes(&reply->body, buf_view(&t->call.reply.body));
    if (!reply->status)
        return fault_system(fault, "%s %s%s: %s", verb, t->url, path, reply->error);
    return !reply->body.failed || fault_memory(fault);
}

void target_reply_fini(struct target_reply *reply)
{
    buf_fini(&reply->body);
}

void target_reason(const struct target_reply *reply, char *text, size_t room)
{
    struct arena a;
    arena_init(&a, 16 << 20);
    struct json *j = json_parse(&a, buf_view(&reply->body), NULL), *e = j ? json_member(j, "error") : NULL;
    struct json *why = e ? json_member(e, "reason") : NULL, *type = e ? json_member(e, "type") : NULL;
    if (why && why->kind == JSON_KIND_STRING)
        snprintf(text, room, "%ld %.*s: %.*s", reply->status, type ? (int)type->text.size : 0, type ? (const char *)type->text.at : "", (int)why->text.size, (const char *)why->text.at);
    else if (e && e->kind == JSON_KIND_STRING)
        snprintf(text, room, "%ld %.*s", reply->status, (int)e->text.size, (const char *)e->text.at);
    else
        snprintf(text, room, "%ld %.*s", reply->status, (int)(reply->body.size > 200 ? 200 : reply->body.size), reply->body.at ? (const char *)reply->body.at : "");
    arena_fini(&a);
}

static struct json *call_json(struct target *t, struct arena *a, const char *verb, const char *path, struct bytes body, bool *missing, struct fault *fault)
{
    struct target_reply reply = {0};
    struct json *j = NULL;
    if (target_call(t, verb, path, body, &reply, fault)) {
        if (missing && reply.status == 404) {
            *missing = true;
        } else if (reply.status / 100 != 2) {
            char why[300];
            target_reason(&reply, why, sizeof why);
            if (reply.status == 401 || reply.status == 403)
                fault_user(fault, "the account may not %s %s: the target answered %s (--user, --api-key-file)", verb, path, why);
            else
                fault_system(fault, "%s %s: the target answered %s", verb, path, why);
        } else {
            void *kept = arena_copy(a, reply.body.at ? reply.body.at : (const uint8_t *)"", reply.body.size);
            j = kept ? json_parse(a, bytes_of(kept, reply.body.size), NULL) : NULL;
            if (!j)
                fault_system(fault, "%s %s: the target's answer is no JSON", verb, path);
        }
    }
    target_reply_fini(&reply);
    return j;
}

struct json *target_json(struct target *t, struct arena *a, const char *verb, const char *path, struct bytes body, struct fault *fault)
{
    return call_json(t, a, verb, path, body, NULL, fault);
}

struct json *target_find(struct target *t, struct arena *a, const char *path, bool *missing, struct fault *fault)
{
    *missing = false;
    return call_json(t, a, "GET", path, (struct bytes){0}, missing, fault);
}

bool target_start(struct target *t, unsigned lane, const char *verb, const char *path, struct buf *body, struct fault *fault)
{
    struct lane *l = &t->lanes[lane];
    struct buf old = l->body;
    l->body = *body;
    *body = old;
    buf_clear(body);
    prepare(t, l, verb, path, buf_view(&l->body));
    if (curl_multi_add_handle(t->multi, l->curl) != CURLM_OK)
        return fault_system(fault, "cannot start a request");
    l->busy = true;
    t->busy++;
    return true;
}

static int finished(struct target *t, struct target_reply **reply)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(t->multi, &left))) {
        if (m->msg != CURLMSG_DONE)
            continue;
        CURL *curl = m->easy_handle;
        CURLcode code = m->data.result;
        curl_multi_remove_handle(t->multi, curl);
        for (unsigned i = 0; i < t->lane_count; i++)
            if (t->lanes[i].curl == curl) {
                settle(&t->lanes[i], code);
                t->lanes[i].busy = false;
                t->busy--;
                *reply = &t->lanes[i].reply;
                return (int)i;
            }
    }
    return -1;
}

int target_poll(struct target *t, int wait_ms, struct target_reply **reply)
{
    int running, lane = finished(t, reply);
    if (lane >= 0)
        return lane;
    int64_t until_ns = clock_steady_ns() + (int64_t)wait_ms * WHEN_NS_PER_MS;
    do {
        curl_multi_perform(t->multi, &running);
        if ((lane = finished(t, reply)) >= 0)
            return lane;
        int64_t left_ms = (until_ns - clock_steady_ns()) / WHEN_NS_PER_MS;
        if (left_ms <= 0)
            return -1;
        curl_multi_poll(t->multi, NULL, 0, (int)left_ms, NULL);
    } while (t->busy);
    return -1;
}

void target_add_line(struct buf *b, struct bytes json)
{
    size_t from = b->size;
    buf_add_bytes(b, json);
    buf_add_byte(b, '\n');
    if (!b->failed && json.size && (memchr(json.at, '\n', json.size) || memchr(json.at, '\r', json.size)))
        for (size_t i = from; i + 1 < b->size; i++)
            b->at[i] = b->at[i] == '\n' || b->at[i] == '\r' ? ' ' : b->at[i];
}

unsigned target_lanes(const struct target *t)
{
    return t->lane_count;
}

unsigned target_busy(const struct target *t)
{
    return t->busy;
}

void target_encode(struct buf *out, struct bytes text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.at[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
        if (plain) {
            buf_add_byte(out, c);
        } else {
            buf_add_byte(out, '%');
            buf_add_byte(out, (uint8_t)hex[c >> 4]);
            buf_add_byte(out, (uint8_t)hex[c & 15]);
        }
    }
}

static void copy_field(char *to, size_t room, const struct json *j)
{
    if (j && j->kind == JSON_KIND_STRING)
        snprintf(to, room, "%.*s", (int)j->text.size, (const char *)j->text.at);
}

// A bare node has no GET /: the version then comes from _nodes.
static bool learn_from_nodes(struct target *t, struct arena *a, struct target_about *about, struct fault *fault)
{
    struct json *nodes = target_json(t, a, "GET", "/_nodes/_local?filter_path=cluster_name,nodes.*.version", (struct bytes){0}, fault);
    struct json *list = nodes ? json_member(nodes, "nodes") : NULL;
    struct json *state = list ? target_json(t, a, "GET", "/_cluster/state/version", (struct bytes){0}, fault) : NULL;
    if (!state)
        return false;
    copy_field(about->name, sizeof about->name, json_member(nodes, "cluster_name"));
    copy_field(about->uuid, sizeof about->uuid, json_member(state, "cluster_uuid"));
    copy_field(about->version, sizeof about->version, list->first ? json_member(list->first, "version") : NULL);
    return true;
}

bool target_learn(struct target *t, struct target_about *about, struct fault *fault)
{
    struct arena a;
    bool missing;
    *about = (struct target_about){0};
    arena_init(&a, 16 << 20);
    struct json *root = target_find(t, &a, "/", &missing, fault);
    bool ok = root != NULL;
    if (!root && fault->kind == FAULT_USER) {
        arena_fini(&a);
        return false;
    }
    if (root) {
        copy_field(about->name, sizeof about->name, json_member(root, "cluster_name"));
        copy_field(about->uuid, sizeof about->uuid, json_member(root, "cluster_uuid"));
        copy_field(about->version, sizeof about->version, json_path(root, "version.number"));
        about->opensearch = json_is_text(json_path(root, "version.distribution"), "opensearch");
    } else if (missing || fault->kind != FAULT_NONE) {
        struct fault first = *fault;
        *fault = (struct fault){0};
        ok = learn_from_nodes(t, &a, about, fault);
        if (!ok && !missing)
            *fault = first;
    }
    arena_fini(&a);
    unsigned major = 0, minor = 0, patch = 0;
    if (!ok || sscanf(about->version, "%u.%u.%u", &major, &minor, &patch) < 2)
        return ok ? fault_system(fault, "%s does not tell its version: is it Elasticsearch or OpenSearch?", t->url) : false;
    about->major = major;
    about->number = major * 10000 + minor * 100 + patch + (about->opensearch ? 1000000 : 0);
    about->typeless = about->opensearch || major >= 7;
    about->seq_no = about->opensearch || major >= 7 || (major == 6 && minor >= 7);
    about->update_seq_no = about->opensearch || major >= 7;
    return true;
}
