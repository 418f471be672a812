// Reads credentials for the names in them: Basic, ApiKey, Bearer (service accounts, JWT, opaque), AWS SigV4, Negotiate.
#include "who_token.h"
#include "../base/json.h"

#define SCRATCH_MAX (16 * 1024) // longer credentials do not fit in a node's header limit either

static uint64_t rotated(uint64_t v, int by)
{
    return v << by | v >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1]; v[1] = rotated(v[1], 13); v[1] ^= v[0]; v[0] = rotated(v[0], 32);
    v[2] += v[3]; v[3] = rotated(v[3], 16); v[3] ^= v[2];
    v[0] += v[3]; v[3] = rotated(v[3], 21); v[3] ^= v[0];
    v[2] += v[1]; v[1] = rotated(v[1], 17); v[1] ^= v[2]; v[2] = rotated(v[2], 32);
}

struct sip {
    uint64_t v[4], word, size;
};

static void sip_add(struct sip *s, struct bytes b)
{
    for (size_t i = 0; i < b.size; i++) {
        s->word |= (uint64_t)b.at[i] << (s->size++ % 8 * 8);
        if (s->size % 8 == 0) {
            s->v[3] ^= s->word;
            sip_round(s->v);
            sip_round(s->v);
            s->v[0] ^= s->word;
            s->word = 0;
        }
    }
}

uint64_t token_fingerprint(const uint64_t key[2], const char *kind, struct bytes bytes)
{
    struct sip s = {{key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u}, 0, 0};
    sip_add(&s, bytes_of(kind, strlen(kind) + 1));
    sip_add(&s, bytes);
    s.word |= s.size << 56;
    s.v[3] ^= s.word;
    sip_round(s.v);
    sip_round(s.v);
    s.v[0] ^= s.word;
    s.v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(s.v);
    uint64_t h = s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3];
    return h ? h : 1;
}

static int base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

size_t token_base64(struct bytes text, uint8_t *to)
{
    uint32_t bits = 0;
    size_t made = 0, have = 0;
    while (text.size && text.at[text.size - 1] == '=')
        text.size--;
    for (size_t i = 0; i < text.size; i++) {
        int v = base64_value(text.at[i]);
        if (v < 0)
            return SIZE_MAX;
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            to[made++] = (uint8_t)(bits >> have);
        }
    }
    return text.size % 4 == 1 ? SIZE_MAX : made;
}

// The part of base64("name:secret") before the first ':', in the arena; the decoded whole is wiped.
static struct bytes name_before_colon(struct bytes text, struct arena *a, bool *colon_found)
{
    uint8_t scratch[SCRATCH_MAX * 3 / 4 + 4];
    struct bytes name = bytes_of("", 0);
    *colon_found = false;
    if (text.size > SCRATCH_MAX)
        return name;
    size_t size = token_base64(text, scratch);
    if (size == SIZE_MAX)
        return name;
    const uint8_t *colon = memchr(scratch, ':', size);
    *colon_found = colon != NULL;
    if (colon) {
        size_t length = (size_t)(colon - scratch);
        const void *copy = arena_copy(a, scratch, length);
        name = copy ? bytes_of(copy, length) : name;
    }
    explicit_bzero(scratch, size);
    return name;
}

// base64 of 00 01 00 01 "elastic/fleet-server/token name:secret" (the node's ServiceAccountToken)
static bool read_service(const uint64_t key[2], struct bytes text, struct arena *a, struct token *t)
{
    uint8_t scratch[1024];
    if (text.size < 8 || text.size > 1200 || memcmp(text.at, "AAEAA", 5) != 0)
        return false;
    size_t size = token_base64(text, scratch);
    bool is = size != SIZE_MAX && size > 4 && memcmp(scratch, "\0\1\0\1", 4) == 0;
    const uint8_t *colon = is ? memchr(scratch + 4, ':', size - 4) : NULL;
    const uint8_t *slash = colon ? memchr(scratch + 4, '/', (size_t)(colon - scratch) - 4) : NULL;
    if (slash) {
        size_t length = (size_t)(colon - scratch) - 4;
        const void *copy = arena_copy(a, scratch + 4, length);
        *t = (struct token){AUTH_SERVICE, copy ? bytes_of(copy, length) : bytes_of("", 0), bytes_of("", 0), token_fingerprint(key, "bearer", text)};
    }
    if (size != SIZE_MAX)
        explicit_bzero(scratch, size);
    return slash != NULL;
}

static struct bytes claim(const struct json *claims, const char *name)
{
    const struct json *j = json_member(claims, name);
    return j && j->kind == JSON_KIND_STRING ? j->text : bytes_of("", 0);
}

bool token_read_jwt(const uint64_t key[2], struct bytes text, struct arena *a, struct token *t)
{
    static const char *const subjects[] = {"sub", "preferred_username", "upn", "email", "client_id"};
    const uint8_t *first = text.size ? memchr(text.at, '.', text.size) : NULL;
    const uint8_t *second = first ? memchr(first + 1, '.', (size_t)(text.at + text.size - first) - 1) : NULL;
    if (!second || text.size > SCRATCH_MAX || memchr(second + 1, '.', (size_t)(text.at + text.size - second) - 1))
        return false;
    struct bytes payload = bytes_of(first + 1, (size_t)(second - first) - 1);
    uint8_t *claims = payload.size ? arena_alloc(a, payload.size + 4) : NULL;
    size_t size = claims ? token_base64(payload, claims) : SIZE_MAX;
    const struct json *j = size == SIZE_MAX ? NULL : json_parse(a, bytes_of(claims, size), NULL);
    if (!j || j->kind != JSON_KIND_OBJECT)
        return false;
    *t = (struct token){.auth = AUTH_JWT, .realm = claim(j, "iss"), .fingerprint = token_fingerprint(key, "bearer", text)};
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects && t->principal.size == 0; i++)
        t->principal = claim(j, subjects[i]);
    return true;
}

bool token_read_sigv4(const uint64_t key[2], struct bytes credential, struct token *t)
{
    const uint8_t *part[5] = {credential.at};
    size_t parts = 1;
    for (size_t i = 0; i < credential.size && parts < 5; i++)
        if (credential.at[i] == '/')
            part[parts++] = credential.at + i + 1;
    if (parts < 5 || part[1] - part[0] < 2)
        return false;
    *t = (struct token){.auth = AUTH_SIGV4};
    t->principal = bytes_of(part[0], (size_t)(part[1] - part[0]) - 1);
    t->realm = bytes_of(part[2], (size_t)(part[4] - part[2]) - 1); // region/service
    t->fingerprint = token_fingerprint(key, "sigv4", t->principal);
    return true;
}

static bool read_sigv4_header(const uint64_t key[2], struct bytes rest, struct token *t)
{
    static const char name[] = "Credential=";
    const uint8_t *at = rest.size ? memmem(rest.at, rest.size, name, sizeof name - 1) : NULL;
    if (!at)
        return false;
    struct bytes credential = bytes_from(rest, (size_t)(at - rest.at) + sizeof name - 1);
    for (size_t i = 0; i < credential.size; i++)
        if (credential.at[i] == ',' || credential.at[i] == ' ')
            credential.size = i;
    return token_read_sigv4(key, credential, t);
}

static void read_bearer(const uint64_t key[2], struct bytes rest, struct arena *a, struct token *t)
{
    if (!read_service(key, rest, a, t) && !token_read_jwt(key, rest, a, t))
        *t = (struct token){.auth = AUTH_BEARER, .fingerprint = token_fingerprint(key, "bearer", rest)};
}

bool token_read(const uint64_t key[2], struct bytes value, struct arena *a, struct token *t)
{
    const uint8_t *space = memchr(value.at, ' ', value.size);
    struct bytes scheme = bytes_of(value.at, space ? (size_t)(space - value.at) : value.size);
    struct bytes rest = bytes_from(value, scheme.size);
    bool colon;
    while (rest.size && rest.at[0] == ' ')
        rest = bytes_from(rest, 1);
    *t = (struct token){.auth = AUTH_OTHER};
    if (bytes_equal_text_nocase(scheme, "Basic")) {
        t->auth = AUTH_BASIC;
        t->principal = name_before_colon(rest, a, &colon);
        t->fingerprint = token_fingerprint(key, "basic", rest);
    } else if (bytes_equal_text_nocase(scheme, "ApiKey")) {
        t->auth = AUTH_API_KEY;
        t->principal = name_before_colon(rest, a, &colon); // cloud keys (essu_...) are opaque
        t->fingerprint = colon ? token_fingerprint(key, "apikey", t->principal) : token_fingerprint(key, "apikey-opaque", rest);
    } else if (bytes_equal_text_nocase(scheme, "Bearer")) {
        read_bearer(key, rest, a, t);
    } else if (bytes_equal_text_nocase(scheme, "AWS4-HMAC-SHA256")) {
        t->auth = AUTH_SIGV4;
        read_sigv4_header(key, rest, t);
    } else if (bytes_equal_text_nocase(scheme, "Negotiate") || bytes_equal_text_nocase(scheme, "Kerberos")) {
        t->auth = AUTH_NEGOTIATE;
    }
    // Tickets and digests are made anew for each request: what names one names that request and its repetitions.
    if (t->fingerprint == 0 && rest.size)
        t->fingerprint = token_fingerprint(key, "once", value);
    return t->principal.size > 0;
}

// Headers that say nothing of who sends: they may differ from request to request of one session.
static bool header_tells_nobody(struct bytes name)
{
    static const char *const names[] = {
        "accept", "accept-encoding", "accept-language", "cache-control", "connection", "content-encoding", "content-length", "content-type",
        "date", "expect", "host", "if-modified-since", "if-none-match", "keep-alive", "origin", "pragma", "referer", "te", "trace-id", "traceparent",
        "tracestate", "transfer-encoding", "upgrade-insecure-requests", "user-agent", "x-elastic-client-meta", "x-elastic-product-origin",
        "x-opaque-id", "x-request-id",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bytes_equal_text_nocase(name, names[i]))
            return true;
    return false;
}

uint64_t token_session(const uint64_t key[2], const struct request_head *head)
{
    uint64_t sum[3] = {0};
    bool cookie = false, told = false;
    for (size_t i = 0; i < head->header_count; i++) {
        const struct header *h = &head->headers[i];
        if (header_tells_nobody(h->name))
            continue;
        cookie |= bytes_equal_text_nocase(h->name, "cookie");
        told = true;
        sum[1] = token_fingerprint(key, "name", h->name);
        sum[2] = token_fingerprint(key, "value", h->value);
        sum[0] = token_fingerprint(key, "header", bytes_of(sum, sizeof sum));
    }
    if (head->head_truncated || (!cookie && !head->conn))
        return 0;
    sum[1] = cookie ? 0 : head->conn->serial;
    sum[2] = told;
    return token_fingerprint(key, "session", bytes_of(sum, sizeof sum));
}
