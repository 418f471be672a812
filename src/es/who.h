// Who sent a request: principal, kind of credential, run-as, forwarded address, agent and ids, from its headers and URL.
//
// Never keeps a secret: passwords, keys, tokens and signatures are read in place and neither copied nor stored. To attach
// names that answers tell about a credential (who am I, token grants, key creation), a fingerprint of it under a random key
// held in memory only is used; it never leaves the process and is no hash of the secret alone.
#pragma once
#include "../../include/exchange.h"
#include "../../include/message.h"
#include "../base/json.h"
#include "../base/mem.h"
#include "route.h"

struct who { // arena or borrowed from the head; empty: not given
    enum auth_kind auth;
    struct bytes principal;     // user, API key id, token subject, access key id, service account, certificate subject
    struct bytes realm;         // issuer of a JWT, realm a node told, region and service of SigV4, "owner/key name" of an API key
    struct bytes run_as;        // effective user asked for
    struct bytes secondary;     // principal of es-secondary-authorization
    struct bytes forwarded_for; // X-Forwarded-For or Forwarded, as sent
    struct bytes agent, opaque_id, traceparent;
    struct bytes client_meta;   // x-elastic-client-meta
    struct bytes origin;        // x-elastic-product-origin, else Origin's host for browsers
    uint64_t credential;        // fingerprint of the credential, without one of the session (token_session); 0: neither
};

struct who_table;
struct who_table *who_open(size_t names_max); // names remembered, least recently used go first; NULL: memory out
void who_close(struct who_table *w);

// Never fails: what cannot be read stays empty. Learned names are attached.
void who_read(struct who_table *w, const struct request_head *head, struct arena *a, struct who *who);

// Attaches a name to a credential.
void who_learn(struct who_table *w, uint64_t credential, struct bytes principal, struct bytes realm);
void who_forget(struct who_table *w, uint64_t credential); // what it was good for is over
bool who_lookup(struct who_table *w, uint64_t credential, struct bytes *principal, struct bytes *realm); // borrowed until the next learn
// Reads the answer of an API that tells names: _authenticate, token grants, SAML and OIDC, API key creation and listing.
// `asker` is the who of the request. `answer` is the unredacted tree, used here and nowhere else.
void who_learn_answer(struct who_table *w, const struct who *asker, enum api api, const struct json *answer);
bool who_answer_matters(enum api api);
