// Reads who sent a request from its headers and URL, and remembers the names that answers give to credentials.
//
// Flow: one pass over the headers sorts out what tells something; the strongest credential decides (Authorization, then URL,
// then a proxy's word, then a client certificate a proxy reports); learned names are laid over it.
// Invariants: 1. no secret is copied: passwords, keys, tokens and signatures are decoded on the stack or in the arena only as
// far as the name needs, and that scratch is wiped. 2. the learned table holds at most names_max names, newest kept. 3. a
// fingerprint is keyed with random bytes that live in this table alone.
#include "who.h"
#include "../base/map.h"
#include "path.h"
#include "who_token.h"
#include <sys/random.h>

struct name { // learned; a ring by last use
    uint64_t credential;
    struct name *older, *newer;
    char *principal, *realm;
};

struct who_table {
    struct nummap *names;
    struct name ends;      // ends.newer: the oldest, ends.older: the newest
    size_t names_max;
    uint64_t key[2];
};

struct who_table *who_open(size_t names_max)
{
    struct who_table *w = mem_zero(1, sizeof *w);
    if (!w || !(w->names = nummap_open())) {
        mem_free(w);
        return NULL;
    }
    w->ends.older = w->ends.newer = &w->ends;
    w->names_max = names_max ? names_max : 1;
    if (getrandom(w->key, sizeof w->key, 0) != sizeof w->key) { // early boot only; an address is better than a constant
        w->key[0] = (uint64_t)(uintptr_t)w;
        w->key[1] = (uint64_t)(uintptr_t)&w;
    }
    return w;
}

static void name_unlink(struct name *n)
{
    n->older->newer = n->newer;
    n->newer->older = n->older;
}

static void name_link_newest(struct who_table *w, struct name *n)
{
    n->older = w->ends.older;
    n->newer = &w->ends;
    w->ends.older->newer = n;
    w->ends.older = n;
}

static void name_free(struct name *n)
{
    mem_free(n->principal);
    mem_free(n->realm);
    mem_free(n);
}

void who_close(struct who_table *w)
{
    if (!w)
        return;
    for (struct name *n = w->ends.newer; n != &w->ends;) {
        struct name *newer = n->newer;
        name_free(n);
        n = newer;
    }
    nummap_close(w->names);
    explicit_bzero(w->key, sizeof w->key);
    mem_free(w);
}

void who_forget(struct who_table *w, uint64_t credential)
{
    union map_value *slot = credential ? nummap_find(w->names, credential) : NULL;
    if (!slot)
        return;
    struct name *n = slot->ptr;
    nummap_drop(w->names, credential);
    name_unlink(n);
    name_free(n);
}

void who_learn(struct who_table *w, uint64_t credential, struct bytes principal, struct bytes realm)
{
    if (credential == 0 || (principal.size == 0 && realm.size == 0))
        return;
    char *p = mem_text_copy(principal.at, principal.size), *r = mem_text_copy(realm.at, realm.size);
    union map_value *slot = p && r ? nummap_put(w->names, credential, NULL) : NULL;
    struct name *n = slot ? slot->ptr ? slot->ptr : mem_zero(1, sizeof *n) : NULL;
    if (!n) {
        if (slot)
            nummap_drop(w->names, credential);
        mem_free(p);
        mem_free(r);
        return;
    }
    if (slot->ptr) {
        name_unlink(n);
        mem_free(n->principal);
        mem_free(n->realm);
    }
    slot->ptr = n;
    n->credential = credential;
    n->principal = p;
    n->realm = r;
    name_link_newest(w, n);
    if (nummap_count(w->names) > w->names_max)
        who_forget(w, w->ends.newer->credential);
}

bool who_lookup(struct who_table *w, uint64_t credential, struct bytes *principal, struct bytes *realm)
{
    union map_value *slot = credential ? nummap_find(w->names, credential) : NULL;
    if (!slot)
        return false;
    struct name *n = slot->ptr;
    name_unlink(n);
    name_link_newest(w, n);
    *principal = bytes_of_text(n->principal);
    *realm = bytes_of_text(n->realm);
    return true;
}

// ---- headers ----------------------------------------------------------------------------------------------------------

enum known {
    H_AUTHORIZATION, H_SECONDARY, H_RUN_AS, H_PROXY_USER, H_FORWARDED_FOR, H_FORWARDED, H_AGENT, H_OPAQUE, H_TRACE, H_META,
    H_ORIGIN_PRODUCT, H_ORIGIN, H_CERT, H_CERT_ENVOY, KNOWN
};

#define NAME(text) text, sizeof text - 1

static const struct { const char *name; uint8_t size; enum known known; } known_headers[] = {
    {NAME("authorization"), H_AUTHORIZATION},
    {NAME("es-secondary-authorization"), H_SECONDARY},
    {NAME("es-security-runas-user"), H_RUN_AS},
    {NAME("opendistro_security_impersonate_as"), H_RUN_AS},
    {NAME("x-proxy-user"), H_PROXY_USER},
    {NAME("x-forwarded-for"), H_FORWARDED_FOR},
    {NAME("forwarded"), H_FORWARDED},
    {NAME("user-agent"), H_AGENT},
    {NAME("x-opaque-id"), H_OPAQUE},
    {NAME("traceparent"), H_TRACE},
    {NAME("x-elastic-client-meta"), H_META},
    {NAME("x-elastic-product-origin"), H_ORIGIN_PRODUCT},
    {NAME("origin"), H_ORIGIN},
    // Subjects of client certificates as proxies pass them on: nginx and its ingress, Apache, HAProxy, Traefik, AWS.
    {NAME("ssl-client-subject-dn"), H_CERT},
    {NAME("x-ssl-client-s-dn"), H_CERT},
    {NAME("x-ssl-client-dn"), H_CERT},
    {NAME("x-client-subject-dn"), H_CERT},
    {NAME("ssl_client_s_dn"), H_CERT},
    {NAME("x-forwarded-tls-client-cert-info"), H_CERT},
    {NAME("x-amzn-mtls-clientcert-subject"), H_CERT},
    {NAME("x-forwarded-client-cert"), H_CERT_ENVOY},
};

static int header_known(struct bytes name)
{
    if (name.size < 6 || name.size > 34) // no known one is shorter or longer
        return -1;
    for (size_t i = 0; i < sizeof known_headers / sizeof *known_headers; i++)
        if (name.size == known_headers[i].size && bytes_equal_text_nocase(name, known_headers[i].name))
            return (int)known_headers[i].known;
    return -1;
}

// Several headers of one name mean one list (RFC 9110 5.3).
static struct bytes joined(struct arena *a, struct bytes first, struct bytes second)
{
    uint8_t *at = arena_alloc(a, first.size + second.size + 2);
    if (!at)
        return first;
    memcpy(at, first.at, first.size);
    memcpy(at + first.size, ", ", 2);
    memcpy(at + first.size + 2, second.at, second.size);
    return bytes_of(at, first.size + second.size + 2);
}

// The subject inside Envoy's list of By=...;Hash=...;Subject="...";URI=...
static struct bytes envoy_subject(struct bytes value)
{
    static const char key[] = "Subject=\"";
    const uint8_t *at = value.size ? memmem(value.at, value.size, key, sizeof key - 1) : NULL;
    if (!at)
        return bytes_of("", 0);
    struct bytes rest = bytes_from(value, (size_t)(at - value.at) + sizeof key - 1);
    const uint8_t *end = memchr(rest.at, '"', rest.size);
    return end ? bytes_of(rest.at, (size_t)(end - rest.at)) : bytes_of("", 0);
}

static struct bytes origin_host(struct bytes value)
{
    const uint8_t *scheme = value.size ? memmem(value.at, value.size, "://", 3) : NULL;
    return scheme ? bytes_from(value, (size_t)(scheme - value.at) + 3) : value;
}

static void who_from_token(struct who *who, const struct token *t)
{
    who->auth = t->auth;
    who->principal = t->principal;
    who->realm = t->realm;
    who->credential = t->fingerprint;
}

// user:password@host, X-Amz-Credential and JWTs in the URL.
static bool who_from_url(struct who_table *w, struct bytes target, struct arena *a, struct who *who)
{
    static const char *const jwt_names[] = {"jwt", "token", "access_token", "auth_token", "authorization", "id_token"};
    struct bytes path, query;
    struct path_query q;
    struct token t;
    const uint8_t *scheme = target.size && target.at[0] != '/' ? memmem(target.at, target.size, "://", 3) : NULL;
    if (scheme) {
        struct bytes rest = bytes_from(target, (size_t)(scheme - target.at) + 3);
        const uint8_t *slash = memchr(rest.at, '/', rest.size);
        rest.size = slash ? (size_t)(slash - rest.at) : rest.size;
        const uint8_t *at = memrchr(rest.at, '@', rest.size), *colon = at ? memchr(rest.at, ':', (size_t)(at - rest.at)) : NULL;
        if (at) {
            who->auth = AUTH_BASIC;
            who->principal = path_decode(a, bytes_of(rest.at, (size_t)((colon ? colon : at) - rest.at)), false, NULL);
            who->credential = token_fingerprint(w->key, "userinfo", bytes_of(rest.at, (size_t)(at - rest.at)));
            return true;
        }
    }
    path_split(target, &path, &query);
    if (query.size == 0 || (!memmem(query.at, query.size, "X-Amz-Credential=", 17) && !memmem(query.at, query.size, "eyJ", 3)))
        return false;
    path_query_read(a, query, &q);
    struct bytes v = path_query_value(&q, "X-Amz-Credential");
    if (v.size && token_read_sigv4(w->key, v, &t)) {
        who_from_token(who, &t);
        return true;
    }
    for (size_t i = 0; i < sizeof jwt_names / sizeof *jwt_names; i++) {
        v = path_query_value(&q, jwt_names[i]);
        if (v.size && token_read_jwt(w->key, v, a, &t)) {
            who_from_token(who, &t);
            return true;
        }
    }
    return false;
}

void who_read(struct who_table *w, const struct request_head *head, struct arena *a, struct who *who)
{
    struct bytes seen[KNOWN] = {{0}};
    struct token t;
    *who = (struct who){.auth = AUTH_NONE};
    for (size_t i = 0; i < head->header_count; i++) {
        int k = header_known(head->headers[i].name);
        struct bytes value = bytes_trim(head->headers[i].value);
        if (k < 0 || value.size == 0)
            continue;
        if (seen[k].size == 0)
            seen[k] = value;
        else if (k == H_FORWARDED_FOR || k == H_FORWARDED)
            seen[k] = joined(a, seen[k], value);
    }
    who->run_as = seen[H_RUN_AS];
    who->forwarded_for = seen[H_FORWARDED_FOR].size ? seen[H_FORWARDED_FOR] : seen[H_FORWARDED];
    who->agent = seen[H_AGENT];
    who->opaque_id = seen[H_OPAQUE];
    who->traceparent = seen[H_TRACE];
    who->client_meta = seen[H_META];
    who->origin = seen[H_ORIGIN_PRODUCT].size ? seen[H_ORIGIN_PRODUCT] : origin_host(seen[H_ORIGIN]);
    if (seen[H_SECONDARY].size && token_read(w->key, seen[H_SECONDARY], a, &t))
        who->secondary = t.principal;

    if (seen[H_AUTHORIZATION].size) {
        token_read(w->key, seen[H_AUTHORIZATION], a, &t);
        who_from_token(who, &t);
    } else if (who_from_url(w, head->target, a, who)) {
        // named by the URL
    } else if (seen[H_PROXY_USER].size) {
        who->auth = AUTH_PROXY;
        who->principal = seen[H_PROXY_USER];
    } else if (seen[H_CERT].size || seen[H_CERT_ENVOY].size) {
        who->auth = AUTH_CERT;
        who->principal = seen[H_CERT].size ? seen[H_CERT] : envoy_subject(seen[H_CERT_ENVOY]);
    }

    if (who->auth == AUTH_NONE) // then a cookie, a header of a proxy's own or the connection itself may be what lets it in
        who->credential = token_session(w->key, head);

    struct bytes principal, realm;
    if (who_lookup(w, who->credential, &principal, &realm)) {
        if (who->principal.size == 0 && principal.size)
            who->principal = bytes_of(arena_copy(a, principal.at, principal.size), principal.size);
        if (realm.size && who->auth != AUTH_JWT && who->auth != AUTH_SIGV4)
            who->realm = bytes_of(arena_copy(a, realm.at, realm.size), realm.size);
    }
    if (!who->principal.at)
        who->principal.size = 0;
    if (!who->realm.at)
        who->realm.size = 0;
}

// ---- answers that tell names -----------------------------------------------------------------------------------------

static struct bytes text_at(const struct json *from, const char *dotted)
{
    const struct json *j = json_path(from, dotted);
    return j && j->kind == JSON_KIND_STRING ? j->text : bytes_of("", 0);
}

// "owner/key name"; either may be missing.
static struct bytes owner_and_name(char *text, size_t room, struct bytes owner, struct bytes name)
{
    size_t used = 0;
    owner.size = owner.size < room / 2 ? owner.size : room / 2;
    name.size = name.size < room / 2 - 1 ? name.size : room / 2 - 1;
    if (owner.size)
        memcpy(text, owner.at, owner.size);
    used = owner.size;
    if (name.size) {
        if (used)
            text[used++] = '/';
        memcpy(text + used, name.at, name.size);
        used += name.size;
    }
    return bytes_of(text, used);
}

static void learn_key(struct who_table *w, struct bytes id, struct bytes owner, struct bytes name)
{
    char text[512];
    if (id.size)
        who_learn(w, token_fingerprint(w->key, "apikey", id), id, owner_and_name(text, sizeof text, owner, name));
}

// Who needed no credential is nobody, whatever the node calls him.
static bool is_anonymous(struct bytes user, struct bytes realm)
{
    return bytes_equal_text(realm, "__anonymous") || bytes_equal_text(user, "_anonymous") || bytes_equal_text(user, "opendistro_security_anonymous");
}

// GET /_security/_authenticate; OpenSearch's authinfo says user_name.
static void learn_authenticate(struct who_table *w, const struct who *asker, const struct json *answer)
{
    struct bytes user = text_at(answer, "username"), key = text_at(answer, "api_key.id");
    if (user.size == 0)
        user = text_at(answer, "user_name");
    if (key.size)
        learn_key(w, key, user, text_at(answer, "api_key.name"));
    else if (asker->run_as.size == 0 && !is_anonymous(user, text_at(answer, "authentication_realm.name"))) // else the answer names the effective user, not the credential's
        who_learn(w, asker->credential, user, text_at(answer, "authentication_realm.name"));
}

// Token grants: the answer holds the new token and whose it is.
static void learn_token(struct who_table *w, const struct json *answer)
{
    struct bytes token = text_at(answer, "access_token"), user = text_at(answer, "authentication.username");
    struct bytes realm = text_at(answer, "authentication.authentication_realm.name");
    if (user.size == 0)
        user = text_at(answer, "username");
    if (realm.size == 0)
        realm = text_at(answer, "realm");
    if (token.size)
        who_learn(w, token_fingerprint(w->key, "bearer", token), user, realm);
}

void who_learn_answer(struct who_table *w, const struct who *asker, enum api api, const struct json *answer)
{
    const struct json *keys;
    switch (api) {
    case API_SECURITY_AUTHENTICATE:
    case API_SECURITY_AUTHINFO:
        learn_authenticate(w, asker, answer);
        break;
    case API_SECURITY_GET_TOKEN:
    case API_SECURITY_SAML_AUTHENTICATE:
    case API_SECURITY_OIDC_AUTHENTICATE:
    case API_SECURITY_DELEGATE_PKI:
        learn_token(w, answer);
        break;
    case API_SECURITY_CREATE_API_KEY:
        learn_key(w, text_at(answer, "id"), asker->run_as.size ? asker->run_as : asker->principal, text_at(answer, "name"));
        break;
    case API_SECURITY_GRANT_API_KEY: // its owner stands in the request's secrets: the key's name alone is told
    case API_SECURITY_CLONE_API_KEY:
    case API_SECURITY_CREATE_CROSS_CLUSTER_API_KEY:
        learn_key(w, text_at(answer, "id"), bytes_of("", 0), text_at(answer, "name"));
        break;
    case API_SECURITY_GET_API_KEY:
    case API_SECURITY_QUERY_API_KEYS:
        keys = json_member(answer, "api_keys");
        for (const struct json *k = keys ? keys->first : NULL; k; k = k->next)
            learn_key(w, text_at(k, "id"), text_at(k, "username"), text_at(k, "name"));
        break;
    default:
        break;
    }
}

bool who_answer_matters(enum api api)
{
    switch (api) {
    case API_SECURITY_AUTHENTICATE:
    case API_SECURITY_AUTHINFO:
    case API_SECURITY_GET_TOKEN:
    case API_SECURITY_SAML_AUTHENTICATE:
    case API_SECURITY_OIDC_AUTHENTICATE:
    case API_SECURITY_DELEGATE_PKI:
    case API_SECURITY_CREATE_API_KEY:
    case API_SECURITY_GRANT_API_KEY:
    case API_SECURITY_CLONE_API_KEY:
    case API_SECURITY_CREATE_CROSS_CLUSTER_API_KEY:
    case API_SECURITY_GET_API_KEY:
    case API_SECURITY_QUERY_API_KEYS:
        return true;
    default:
        return false;
    }
}
