// Secrets never leave es: every form is sent with a marker, and everything handed out is searched for it.
#include "es_probe.h"

#include "../../../src/es/redact.h"

#include <ctype.h>
#include <stdlib.h>

static const char marker[] = "Zq7MarkerSecret9";

// ---- the hunt ---------------------------------------------------------------------------------------------------------------

static bool find(const struct buf *in, const char *what, size_t size)
{
    return size && in->size >= size && memmem(in->at, in->size, what, size) != NULL;
}

static size_t base64(const char *text, size_t size, size_t lead, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t padded[128] = {0};
    memcpy(padded + lead, text, size);
    size_t n = 0;
    for (size_t i = 0; i + 3 <= lead + size; i += 3) {
        unsigned v = (unsigned)padded[i] << 16 | (unsigned)padded[i + 1] << 8 | padded[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6)
            out[n++] = digits[v >> shift & 63];
    }
    return n;
}

// Plain, percent- and JSON-escaped are found by the middle of the marker in each spelling; base64 at each of three alignments.
static void assert_no_marker(struct probe *p, const char *where)
{
    struct buf *all = &p->all;
    char coded[512];
    if (find(all, marker, sizeof marker - 1))
        fail_msg("plain secret leaked: %s", where);
    for (size_t lead = 0; lead < 3; lead++) {
        size_t n = base64(marker, sizeof marker - 1, lead, coded);
        // The first group holds what stood before.
        if (find(all, coded + 4, n - 4))
            fail_msg("base64 of the secret leaked: %s", where);
    }
    size_t n = 0;
    for (const char *c = marker; *c; c++)
        n += (size_t)sprintf(coded + n, "%%%02X", (unsigned)*c);
    if (find(all, coded, n))
        fail_msg("percent-escaped secret leaked: %s", where);
    n = 0;
    for (const char *c = marker; *c; c++)
        n += (size_t)sprintf(coded + n, "\\u%04x", (unsigned)*c);
    if (find(all, coded, n))
        fail_msg("JSON-escaped secret leaked: %s", where);
}

enum spelling { PLAIN, PERCENT, JSON_ESCAPED, BASE64, SPELLINGS };

// Replaces every MARK in the text.
static char *spell(const char *text, enum spelling how)
{
    struct buf out = {0};
    char coded[512];
    const char *mark = text ? strstr(text, "MARK") : NULL;
    while (mark) {
        buf_add(&out, text, (size_t)(mark - text));
        if (how == BASE64) {
            char both[64];
            snprintf(both, sizeof both, "u:%s;;", marker);
            buf_add(&out, coded, base64(both, strlen(both), 0, coded));
        }
        for (const char *c = marker; *c && how != BASE64; c++)
            buf_format(&out, how == PERCENT ? "%%%02X" : how == JSON_ESCAPED ? "\\u%04x" : "%c", (unsigned)*c);
        text = mark + 4;
        mark = strstr(text, "MARK");
    }
    buf_add_text(&out, text ? text : "");
    buf_add_byte(&out, 0);
    return (char *)out.at;
}

struct form {
    const char *verb, *target, *request, *answer;
    int status;
};

static const struct form forms[] = {
    // security, requests and answers
    {"PUT", "/_security/user/bob", "{\"password\":\"MARK\",\"roles\":[\"x\"]}", "{\"created\":true}", 200},
    {"PUT", "/_security/user/bob", "{\"password_hash\":\"MARK\",\"roles\":[\"x\"]}", "{}", 200},
    {"POST", "/_security/user/bob/_password", "{\"password\":\"MARK\"}", "{}", 200},
    {"POST", "/_xpack/security/user/bob/_password", "{\"password\":\"MARK\"}", "{}", 200},
    {"POST", "/_security/oauth2/token", "{\"grant_type\":\"password\",\"username\":\"u\",\"password\":\"MARK\"}", "{\"access_token\":\"MARK\",\"refresh_token\":\"MARK\",\"type\":\"Bearer\"}", 200},
    {"DELETE", "/_security/oauth2/token", "{\"token\":\"MARK\"}", "{}", 200},
    {"POST", "/_security/api_key/grant", "{\"grant_type\":\"access_token\",\"access_token\":\"MARK\",\"api_key\":{\"name\":\"n\"}}", "{\"id\":\"i\",\"api_key\":\"MARK\",\"encoded\":\"MARK\"}", 200},
    {"POST", "/_security/api_key", "{\"name\":\"n\"}", "{\"id\":\"i\",\"name\":\"n\",\"api_key\":\"MARK\",\"encoded\":\"MARK\"}", 200},
    {"POST", "/_security/service/elastic/fleet-server/credential/token/t1", NULL, "{\"created\":true,\"token\":{\"name\":\"t1\",\"value\":\"MARK\"}}", 200},
    {"POST", "/_security/saml/authenticate", "{\"content\":\"MARK\",\"ids\":[\"x\"]}", "{\"access_token\":\"MARK\"}", 200},
    {"POST", "/_security/saml/logout", "{\"token\":\"MARK\",\"refresh_token\":\"MARK\"}", "{\"redirect\":\"https://idp/?SAMLRequest=MARK\"}", 200},
    {"POST", "/_security/oidc/authenticate", "{\"redirect_uri\":\"https://x/?code=MARK\",\"state\":\"MARK\",\"nonce\":\"MARK\"}", "{\"access_token\":\"MARK\"}", 200},
    {"POST", "/_security/profile/_activate", "{\"grant_type\":\"password\",\"username\":\"u\",\"password\":\"MARK\"}", "{}", 200},
    {"GET", "/_security/enroll/kibana", NULL, "{\"token\":{\"name\":\"n\",\"value\":\"MARK\"},\"http_ca\":\"x\"}", 200},
    {"POST", "/_nodes/reload_secure_settings", "{\"secure_settings_password\":\"MARK\"}", "{}", 200},
    // OpenSearch
    {"PUT", "/_plugins/_security/api/internalusers/bob", "{\"password\":\"MARK\",\"backend_roles\":[]}", "{}", 201},
    {"PUT", "/_opendistro/_security/api/internalusers/bob", "{\"hash\":\"MARK\"}", "{}", 201},
    {"PATCH", "/_plugins/_security/api/internalusers", "[{\"op\":\"add\",\"path\":\"/bob\",\"value\":{\"password\":\"MARK\"}}]", "{}", 200},
    {"PUT", "/_plugins/_security/api/account", "{\"current_password\":\"MARK\",\"password\":\"MARK\"}", "{}", 200},
    {"POST", "/_plugins/_ml/connectors/_create", "{\"name\":\"c\",\"credential\":{\"access_key\":\"MARK\",\"anything\":\"MARK\"},\"actions\":[{\"headers\":{\"Authorization\":\"Bearer MARK\"}}]}", "{}", 200},
    {"POST", "/_plugins/_notifications/configs", "{\"config\":{\"slack\":{\"url\":\"https://hooks.slack.com/services/MARK\"}}}", "{}", 200},
    {"POST", "/_plugins/_query/_datasources", "{\"properties\":{\"prometheus.auth.username\":\"u\",\"prometheus.auth.password\":\"MARK\"}}", "{}", 201},
    {"POST", "/_plugins/_alerting/destinations/email_accounts", "{\"email\":\"a@b\",\"password\":\"MARK\"}", "{}", 200},
    // others
    {"POST", "/_reindex", "{\"source\":{\"remote\":{\"host\":\"https://u:MARK@h:9200\",\"username\":\"MARK\",\"password\":\"MARK\",\"headers\":{\"X-Any\":\"MARK\"}},\"index\":\"a\"},\"dest\":{\"index\":\"b\"}}", "{\"took\":1}", 200},
    {"PUT", "/_transform/t", "{\"source\":{\"index\":\"a\",\"remote\":{\"password\":\"MARK\",\"headers\":{\"k\":\"MARK\"}}}}", "{}", 200},
    {"PUT", "/_watcher/watch/w", "{\"actions\":{\"a\":{\"webhook\":{\"url\":\"https://x/MARK\",\"auth\":{\"basic\":{\"username\":\"u\",\"password\":\"MARK\"}},\"headers\":{\"Authorization\":\"MARK\"},\"body\":\"{\\\"token\\\":\\\"MARK\\\"}\"}}}}", "{}", 201},
    {"PUT", "/_inference/text_embedding/m", "{\"service\":\"openai\",\"service_settings\":{\"api_key\":\"MARK\",\"secret_parameters\":{\"k\":\"MARK\"}}}", "{}", 200},
    {"PUT", "/_snapshot/repo", "{\"type\":\"s3\",\"settings\":{\"bucket\":\"b\",\"access_key\":\"MARK\",\"secret_key\":\"MARK\",\"url\":\"ftp://u:MARK@h/p\"}}", "{\"acknowledged\":true}", 200},
    {"PUT", "/_snapshot/repo", "{\"type\":\"azure\",\"settings\":{\"sas_token\":\"MARK\",\"key\":\"MARK\",\"account\":\"MARK\"}}", "{}", 200},
    {"PUT", "/_cluster/settings", "{\"persistent\":{\"xpack.monitoring.exporters.x.auth.password\":\"MARK\",\"a\":{\"secure_bind_password\":\"MARK\"}}}", "{\"persistent\":{\"xpack.monitoring.exporters.x.auth.password\":\"MARK\"}}", 200},
    {"PUT", "/_ingest/pipeline/p", "{\"processors\":[{\"inference\":{\"api_key\":\"MARK\"}}]}", "{}", 200},
    {"POST", "/_connector/_secret", "{\"value\":\"MARK\"}", "{}", 200},
    // in URLs
    {"GET", "/c/_search?X-Amz-Signature=MARK&X-Amz-Security-Token=MARK&size=1", NULL, "{}", 200},
    {"GET", "/c/_search?access_token=MARK", NULL, "{}", 200},
    {"GET", "http://user:MARK@host:9200/c/_search", NULL, "{}", 200},
    {"POST", "/_security/api_key?source={\"password\":\"MARK\"}&source_content_type=application/json", NULL, "{}", 200},
    {"GET", "/c/_doc/1?api_key=MARK", NULL, "{\"error\":{\"type\":\"illegal_argument_exception\",\"reason\":\"request [/c/_doc/1] contains unrecognized parameter: [api_key] = MARK\"},\"status\":400}", 400},
    // documents of security indices
    {"PUT", "/.security-7/_doc/user-bob", "{\"password\":\"MARK\",\"anything\":\"MARK\"}", "{\"_index\":\".security-7\",\"_id\":\"user-bob\",\"_version\":1,\"result\":\"created\",\"_seq_no\":0,\"_primary_term\":1}", 201},
    {"POST", "/.opendistro_security/_update/internalusers", "{\"doc\":{\"x\":\"MARK\"}}", "{\"_index\":\".opendistro_security\",\"_id\":\"i\",\"_version\":2,\"result\":\"updated\",\"get\":{\"_source\":{\"x\":\"MARK\"}}}", 200},
    {"POST", "/.security/_doc", "{\"x\":\"MARK\"", "{\"error\":{\"type\":\"mapper_parsing_exception\",\"reason\":\"failed to parse field, preview of field's value: 'MARK'\"},\"status\":400}", 400},
    {"POST", "/_bulk", "{\"index\":{\"_index\":\".kibana_security_session_1\",\"_id\":\"1\"}}\n{\"a\":\"MARK\"}\n{\"index\":{\"_index\":\"c\",\"_id\":\"2\"}}\n{\"a\":1}\n",
     "{\"errors\":true,\"items\":[{\"index\":{\"_index\":\".kibana_security_session_1\",\"_id\":\"1\",\"status\":400,\"error\":{\"type\":\"m\",\"reason\":\"value MARK\"}}},{\"index\":{\"_index\":\"c\",\"_id\":\"2\",\"status\":201}}]}", 200},
    {"POST", "/.security/_bulk", "{\"index\":{}}\n{\"a\":\"MARK\"}\n", "{\"errors\":false,\"items\":[]}", 200},
    {"GET", "/_search", NULL, "{\"took\":1,\"hits\":{\"hits\":[{\"_index\":\"c\",\"_source\":{\"a\":\".security is fine\"}},{\"_index\" : \".security-7\",\"_source\":{\"password\":\"MARK\"}}]}}", 200},
    // refusals that echo
    {"PUT", "/_security/user/bob", "{\"password\":\"MARK\"", "{\"error\":{\"type\":\"x_content_parse_exception\",\"reason\":\"[1:2] failed near MARK\",\"caused_by\":{\"type\":\"t\",\"reason\":\"MARK\"}},\"status\":400}", 400},
    // broken ones: dropped whole
    {"PUT", "/_security/user/bob", "password: MARK", "{}", 400},
    {"POST", "/_security/oauth2/token", "grant_type=password&password=MARK", "oops MARK", 500},
    // members that are secret by what the call is, or by what a patch points at
    {"POST", "/_security/oauth2/token", "{\"grant_type\":\"_kerberos\",\"kerberos_ticket\":\"MARK\"}", "{}", 200},
    {"PATCH", "/_plugins/_security/api/internalusers/bob", "[{\"op\":\"replace\",\"path\":\"/password\",\"value\":\"MARK\"}]", "{}", 200},
    {"POST", "/_fleet/secret", "{\"value\":\"MARK\"}", "{}", 200},
    {"PUT", "/_plugins/_security/api/securityconfig/config", "{\"dynamic\":{\"authc\":{\"j\":{\"config\":{\"signing_key\":\"MARK\"}}}}}", "{}", 200},
    {"GET", "/c/_search", NULL, "{\"error\":{\"type\":\"security_exception\",\"reason\":\"no such token MARK\"},\"status\":401}", 401},
    {"GET", "http://user:MARK", NULL, "{}", 200},
    {"POST", "/_plugins/_alerting/destinations", "{\"slack\":{\"url\":\"https://hooks/MARK\"}}", "{}", 200},
    // keys inside URLs, authorizations under any name, members of free choice
    {"PUT", "/_snapshot/repo", "{\"type\":\"azure\",\"settings\":{\"base_path\":\"https://x.blob/c?sv=1&sig=MARK&se=2\"}}", "{}", 200},
    {"POST", "/_plugins/_ml/connectors/_create", "{\"actions\":[{\"url\":\"https://a/v1?key=MARK\",\"headers\":{\"x-any\":\"MARK\"}}]}", "{}", 200},
    {"PUT", "/_watcher/watch/w", "{\"input\":{\"http\":{\"request\":{\"host\":\"h\",\"path\":\"/run?code=MARK\",\"headers\":{\"X-Any\":\"MARK\"}}}}}", "{}", 201},
    {"PUT", "/_ingest/pipeline/p", "{\"processors\":[{\"set\":{\"field\":\"h\",\"value\":\"Bearer MARK\"}},{\"set\":{\"field\":\"h\",\"value\":\"ApiKey MARK\"}}]}", "{}", 200},
    {"PUT", "/_connector/c/_configuration", "{\"values\":{\"pw\":\"MARK\"}}", "{}", 200},
    {"PUT", "/_ingest/ip_location/database/g", "{\"name\":\"n\",\"maxmind\":{\"account_id\":\"a\",\"license_key\":\"MARK\"}}", "{}", 200},
    {"GET", "/c/_search?Authorization=Basic%20MARK", NULL, "{}", 200},
    {"POST", "/_reindex", "{\"source\":{\"index\":\"a\"},\"dest\":{\"index\":\".security-7\"},\"script\":{\"source\":\"ctx._source.p='MARK'\",\"params\":{\"x\":\"MARK\"}}}", "{\"took\":1}", 200},
    {"GET", "/c/_search#access_token=MARK", NULL, "{}", 200},
    {"GET", "/c/_search?size=1#access_token=MARK", NULL, "{}", 200},
    // unknown calls
    {"POST", "/_plugins/_brand_new/thing", "{\"client_secret\":\"MARK\"}", "{\"secret\":\"MARK\"}", 200},
};

static void form_leaks_nothing(const struct form *form, enum spelling how, size_t cut, enum es_bodies bodies)
{
    struct probe *p = probe_open_with((struct es_settings){.bodies = bodies, .read_requests = true, .ops = true});
    p->cut = cut;
    char *target = spell(form->target, how == JSON_ESCAPED ? PLAIN : how);
    char *request = spell(form->request, how == PERCENT ? PLAIN : how);
    char *answer = spell(form->answer, how == PERCENT ? PLAIN : how);
    struct probe_row *row = probe_call(p, (struct probe_ask){form->verb, target, .body = request}, (struct probe_answer){form->status, answer});
    assert_true(row->done);
    assert_no_marker(p, form->target);
    free(target);
    free(request);
    free(answer);
    probe_close(p);
}

static void every_form_leaves_without_its_secret(void **state)
{
    (void)state;
    static const size_t cuts[] = {0, 1, 7};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        for (int how = 0; how < SPELLINGS; how++)
            for (size_t c = 0; c < 3; c++)
                form_leaks_nothing(&forms[i], (enum spelling)how, cuts[c], c == 1 ? ES_BODIES_ALL : ES_BODIES_WRITES);
}

static void truncated_and_holed_forms_leave_without_their_secret(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char *target = spell(forms[i].target, PLAIN), *request = spell(forms[i].request, PLAIN), *answer = spell(forms[i].answer, PLAIN);
        size_t size = strlen(request);
        for (size_t at = 1; at + 2 < size; at += 5) {
            struct probe *p = probe_open();
            probe_call(p, (struct probe_ask){forms[i].verb, target, .body = request, .hole_at = at, .hole_bytes = 1}, (struct probe_answer){forms[i].status, answer});
            void *handle = probe_request(p, (struct probe_ask){forms[i].verb, target, .body = request, .body_size = at, .unfinished = true});
            probe_lose(p, handle, FATE_INCOMPLETE);
            handle = probe_request(p, (struct probe_ask){forms[i].verb, target, .unfinished = true});
            p->in->request_body(p->in->ctx, handle, &(struct body_piece){.bytes = bytes_of(request, size), .raw = true});
            probe_lose(p, handle, FATE_CLIENT_LEFT);
            // A hole may cut the marker itself: half of it is still a leak.
            for (size_t half = 0; half < 2; half++)
                if (find(&p->all, marker + 8 * half, 8))
                    fail_msg("%s leaked with a hole at %zu", forms[i].target, at);
            probe_close(p);
        }
        free(target);
        free(request);
        free(answer);
    }
}

// Whatever allocation fails, what cannot be redacted is not handed on.
static void secrets_stay_inside_when_memory_runs_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char *target = spell(forms[i].target, PLAIN), *request = spell(forms[i].request, PLAIN), *answer = spell(forms[i].answer, PLAIN);
        for (unsigned long n = 1; n < 90; n++) {
            struct probe *p = probe_open();
            struct request_head head = {.conn = &p->conn, .time_ns = 1, .method = bytes_of_text(forms[i].verb), .target = bytes_of_text(target)};
            p->deaf = true;
            mem_fail_after(n);
            void *handle = p->in->request(p->in->ctx, &head);
            p->in->request_body(p->in->ctx, handle, &(struct body_piece){.bytes = bytes_of_text(request)});
            p->in->request_end(p->in->ctx, handle, &(struct message_end){.complete = true});
            p->in->response(p->in->ctx, handle, &(struct response_head){.status = forms[i].status});
            p->in->response_body(p->in->ctx, handle, &(struct body_piece){.bytes = bytes_of_text(answer)});
            p->in->response_end(p->in->ctx, handle, &(struct message_end){.complete = true});
            p->in->close(p->in->ctx, handle, &(struct exchange_end){.fate = FATE_ANSWERED});
            mem_fail_after(0);
            assert_int_equal(p->deaf_done, 1);
            if (memmem(p->heard, p->heard_size, marker, sizeof marker - 1))
                fail_msg("%s leaked when allocation %lu failed", forms[i].target, n);
            probe_close(p);
        }
        free(target);
        free(request);
        free(answer);
    }
}

static void credentials_in_headers_leave_no_secret(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    char auth[256], both[64], coded[128] = {0};
    snprintf(both, sizeof both, "alice:%s;;", marker);
    base64(both, strlen(both), 0, coded);
    snprintf(auth, sizeof auth, "Basic %s", coded);
    struct probe_row *row = probe_call(p, (struct probe_ask){"GET", "/c/_search", .auth = auth}, (struct probe_answer){200, "{}"});
    assert_text(p, row->x.principal, "alice");
    snprintf(auth, sizeof auth, "ApiKey %s", coded);
    row = probe_call(p, (struct probe_ask){"GET", "/c/_search", .auth = auth}, (struct probe_answer){200, "{}"});
    snprintf(auth, sizeof auth, "Bearer %s", marker);
    probe_call(p, (struct probe_ask){"GET", "/c/_search", .auth = auth}, (struct probe_answer){200, "{}"});
    snprintf(auth, sizeof auth, "AWS4-HMAC-SHA256 Credential=AKIA1/20260101/eu/es/aws4_request, SignedHeaders=host, Signature=%s", marker);
    probe_call(p, (struct probe_ask){"GET", "/c/_search", .auth = auth}, (struct probe_answer){200, "{}"});
    assert_no_marker(p, "headers");
    probe_close(p);
}

static void what_is_redacted_says_so_and_where(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    struct probe_row *row = probe_call(p, (struct probe_ask){"PUT", "/_snapshot/r?pretty", .body = "{ \"type\": \"s3\",\n \"settings\": {\"bucket\":\"b\", \"secret_key\" : \"abc\"} }"}, (struct probe_answer){200, "{\"acknowledged\":true}"});
    assert_text(p, buf_view(&row->request), "{ \"type\": \"s3\",\n \"settings\": {\"bucket\":\"b\", \"secret_key\" : \"[redacted]\"} }");
    assert_text(p, row->x.body_head, "{ \"type\": \"s3\",\n \"settings\": {\"bucket\":\"b\", \"secret_key\" : \"[redacted]\"} }");
    assert_true(row->x.flags & EXCHANGE_REDACTED);
    assert_text(p, buf_view(&row->response), "{\"acknowledged\":true}");
    row = probe_call(p, (struct probe_ask){"GET", "/c/_search?q=a&token=abc&size=1"}, (struct probe_answer){200, "{}"});
    assert_text(p, row->x.path, "/c/_search?q=a&token=[redacted]&size=1");
    static const char plain[] = "{\"description\":\"Basic authentication\",\"processors\":[{\"set\":{\"field\":\"a\",\"value\":\"Bearer {{ctx.token}}\"}},"
                                "{\"script\":{\"source\":\"ctx.a ? ctx.b : ctx.key == 1 & token\"}},{\"set\":{\"field\":\"u\",\"value\":\"https://h/p?size=1&sigma=2\"}}]}";
    row = probe_call(p, (struct probe_ask){"PUT", "/_ingest/pipeline/p", .body = plain}, (struct probe_answer){200, "{}"});
    assert_text(p, buf_view(&row->request), plain);
    assert_false(row->x.flags & EXCHANGE_REDACTED);
    row = probe_call(p, (struct probe_ask){"PUT", "/_security/user/b", .body = "password: abc", .type = "application/yaml"}, (struct probe_answer){200, "{}"});
    assert_true(row->request.size == 0 && (row->x.flags & EXCHANGE_REDACTED) && (row->x.flags & EXCHANGE_TRUNCATED));
    struct es_stats stats;
    es_stats(p->es, &stats);
    assert_int_equal(stats.redactions_failed_closed, 1);
    probe_close(p);
}

static void documents_and_mappings_stay_whole_whatever_their_fields_are_called(void **state)
{
    (void)state;
    static const struct form whole[] = {
        {"PUT", "/users/_doc/1", "{\"password\":\"p\",\"api_key\":\"k\",\"url\":\"http://u:p@h/\",\"token\":[1,2]}", "{\"_index\":\"users\",\"_id\":\"1\",\"result\":\"created\"}", 201},
        {"POST", "/_bulk", "{\"index\":{\"_index\":\"users\",\"_id\":\"1\"}}\n{\"secret\":\"s\",\"hash\":\"h\"}\n", "{\"errors\":false,\"items\":[]}", 200},
        {"PUT", "/users", "{\"settings\":{\"analysis\":{\"analyzer\":{\"a\":{\"tokenizer\":\"standard\"}}}},\"mappings\":{\"properties\":{\"password\":{\"type\":\"keyword\"}}}}", "{\"acknowledged\":true}", 200},
        {"POST", "/users/_update/1", "{\"doc\":{\"password\":\"p\"}}", "{\"_index\":\"users\",\"_id\":\"1\",\"result\":\"updated\"}", 200},
        {"POST", "/users/_search", "{\"query\":{\"term\":{\"token\":\"t\"}}}", "{}", 200},
        {"POST", "/users/_update_by_query", "{\"script\":{\"source\":\"ctx._source.password = params.password\",\"params\":{\"password\":\"x\"}}}", "{\"updated\":1,\"total\":1}", 200},
    };
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        struct probe *p = probe_open();
        struct probe_row *row = probe_call(p, (struct probe_ask){whole[i].verb, whole[i].target, .body = whole[i].request}, (struct probe_answer){whole[i].status, whole[i].answer});
        assert_text(p, buf_view(&row->request), whole[i].request);
        assert_false(row->x.flags & EXCHANGE_REDACTED);
        probe_close(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_leaves_without_its_secret),
        cmocka_unit_test(truncated_and_holed_forms_leave_without_their_secret),
        cmocka_unit_test(secrets_stay_inside_when_memory_runs_out),
        cmocka_unit_test(credentials_in_headers_leave_no_secret),
        cmocka_unit_test(what_is_redacted_says_so_and_where),
        cmocka_unit_test(documents_and_mappings_stay_whole_whatever_their_fields_are_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
