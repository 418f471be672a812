// One credential, as it stands in an Authorization header or a URL, read for the name it gives away.
#pragma once
#include "../../include/exchange.h"
#include "../../include/message.h"
#include "../base/mem.h"

struct token {
    enum auth_kind auth;
    struct bytes principal, realm; // in the arena or borrowed; empty when it tells none
    uint64_t fingerprint;          // 0: nothing to recognise it by
};

// The value of an Authorization header. False when it tells no name (auth and fingerprint are set all the same).
bool token_read(const uint64_t key[2], struct bytes value, struct arena *a, struct token *t);
bool token_read_jwt(const uint64_t key[2], struct bytes text, struct arena *a, struct token *t);      // false: no JWT
bool token_read_sigv4(const uint64_t key[2], struct bytes credential, struct token *t); // AKIA.../date/region/service/aws4_request
// What a request without a credential of its own may be let in by: its cookie on whatever connection, else the connection it comes over;
// and any header that could be a proxy's word. Another session has another number; 0: nothing to recognise it by.
uint64_t token_session(const uint64_t key[2], const struct request_head *head);
// SipHash-2-4 of kind and bytes; never 0.
uint64_t token_fingerprint(const uint64_t key[2], const char *kind, struct bytes bytes);
// Standard and URL-safe base64, padding optional; `to` has room for size * 3 / 4 + 3. SIZE_MAX: not base64.
size_t token_base64(struct bytes text, uint8_t *to);
