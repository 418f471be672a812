// Names come out of credentials, secrets do not, and answers teach names to the credential that asked.
#include "../../../src/es/who.h"
#include "../../../src/es/who_token.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>

struct fixture {
    struct who_table *table;
    struct arena arena;
    struct who who;
};

static int begin(void **state)
{
    struct fixture *f = mem_zero(1, sizeof *f);
    f->table = who_open(3);
    arena_init(&f->arena, 0);
    *state = f;
    return 0;
}

static int end(void **state)
{
    struct fixture *f = *state;
    who_close(f->table);
    arena_fini(&f->arena);
    mem_free(f);
    return 0;
}

static struct who *read_headers_on(struct fixture *f, const struct conn *conn, const char *target, const char *const *pairs)
{
    struct header h[8];
    struct request_head head = {.conn = conn, .target = bytes_of_text(target), .headers = h};
    for (; pairs[0]; pairs += 2)
        h[head.header_count++] = (struct header){bytes_of_text(pairs[0]), bytes_of_text(pairs[1])};
    who_read(f->table, &head, &f->arena, &f->who);
    return &f->who;
}

static struct who *read_headers(struct fixture *f, const char *target, const char *const *pairs)
{
    return read_headers_on(f, NULL, target, pairs);
}

static struct who *read_auth(struct fixture *f, const char *value)
{
    const char *pairs[] = {"Authorization", value, NULL};
    return read_headers(f, "/", pairs);
}

static void assert_text(struct bytes b, const char *text)
{
    if (!bytes_equal_text(b, text))
        fail_msg("'%.*s' is not '%s'", (int)b.size, b.size ? (const char *)b.at : "", text);
}

static void learn(struct fixture *f, enum api api, const char *answer)
{
    who_learn_answer(f->table, &f->who, api, json_parse(&f->arena, bytes_of_text(answer), NULL));
}

static void each_kind_of_credential_gives_its_name(void **state)
{
    static const struct { const char *value; enum auth_kind auth; const char *principal, *realm; } cases[] = {
        {"Basic YWxpY2U6cGFzczp3b3Jk", AUTH_BASIC, "alice", ""}, // alice:pass:word
        {"basic YWxpY2U6eA==", AUTH_BASIC, "alice", ""},
        {"Basic !!!", AUTH_BASIC, "", ""},
        {"ApiKey aWQxOmtleTE=", AUTH_API_KEY, "id1", ""}, // id1:key1
        {"ApiKey essu_abc", AUTH_API_KEY, "", ""},
        {"Bearer AAEAAWVsYXN0aWMvZmxlZXQtc2VydmVyL3Rva2VuMTpzZWNyZXQ", AUTH_SERVICE, "elastic/fleet-server/token1", ""},
        {"Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IiLCJpc3MiOiJodHRwczovL2lkcCJ9.c2ln", AUTH_JWT, "bob", "https://idp"},
        {"Bearer eyJhbGciOiJIUzI1NiJ9.eyJwcmVmZXJyZWRfdXNlcm5hbWUiOiJjYXJvbCJ9.c2ln", AUTH_JWT, "carol", ""},
        {"Bearer dGhpcyBpcyBvcGFxdWU", AUTH_BEARER, "", ""},
        {"Bearer a.b.c", AUTH_BEARER, "", ""},
        {"AWS4-HMAC-SHA256 Credential=AKIAX/20261124/eu-west-1/es/aws4_request, SignedHeaders=host, Signature=abcdef", AUTH_SIGV4, "AKIAX", "eu-west-1/es"},
        {"AWS4-HMAC-SHA256 Signature=abcdef", AUTH_SIGV4, "", ""},
        {"Negotiate YIIabc", AUTH_NEGOTIATE, "", ""},
        {"Digest username=x", AUTH_OTHER, "", ""},
        {"Basic", AUTH_BASIC, "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct who *w = read_auth(*state, cases[i].value);
        if (w->auth != cases[i].auth)
            fail_msg("%s: kind %d", cases[i].value, w->auth);
        assert_text(w->principal, cases[i].principal);
        assert_text(w->realm, cases[i].realm);
    }
}

static void no_secret_stays_in_the_arena(void **state)
{
    struct fixture *f = *state;
    read_auth(f, "Basic YWxpY2U6czNjcjN0TUFSS0VS"); // alice:s3cr3tMARKER
    assert_text(f->who.principal, "alice");
    // The name's copy has nothing of the password behind it.
    assert_null(memmem(f->who.principal.at, 64, "s3cr3t", 6));
}

static void headers_tell_the_rest(void **state)
{
    const char *pairs[] = {"es-security-runas-user", "deputy", "X-Forwarded-For", "10.0.0.1", "x-forwarded-for", "10.0.0.2", "User-Agent", "curl/8",
                           "X-Opaque-Id", " job-7 ", "traceparent", "00-a-b-01", "Origin", "http://ui:8080", "es-secondary-authorization", "ApiKey aWQxOmtleTE=", NULL};
    struct who *w = read_headers(*state, "/", pairs);
    assert_int_equal(w->auth, AUTH_NONE);
    assert_text(w->run_as, "deputy");
    assert_text(w->forwarded_for, "10.0.0.1, 10.0.0.2");
    assert_text(w->agent, "curl/8");
    assert_text(w->opaque_id, "job-7");
    assert_text(w->traceparent, "00-a-b-01");
    assert_text(w->origin, "ui:8080");
    assert_text(w->secondary, "id1");
}

static void proxies_and_certificates_name_whom_they_let_in(void **state)
{
    const char *proxy[] = {"x-proxy-user", "dora", "x-proxy-roles", "admin", NULL};
    const char *envoy[] = {"X-Forwarded-Client-Cert", "By=spiffe://a;Hash=1;Subject=\"CN=svc,O=x\";URI=b", NULL};
    const char *nginx[] = {"ssl-client-subject-dn", "CN=svc", NULL};
    const char *impersonate[] = {"Authorization", "Basic YWxpY2U6eA==", "opendistro_security_impersonate_as", "bob", "x-proxy-user", "mallory", NULL};
    assert_int_equal(read_headers(*state, "/", proxy)->auth, AUTH_PROXY);
    assert_text(((struct fixture *)*state)->who.principal, "dora");
    assert_text(read_headers(*state, "/", envoy)->principal, "CN=svc,O=x");
    assert_int_equal(read_headers(*state, "/", nginx)->auth, AUTH_CERT);
    struct who *w = read_headers(*state, "/", impersonate);
    assert_text(w->principal, "alice");
    assert_text(w->run_as, "bob");
}

static void urls_carry_credentials_too(void **state)
{
    const char *none[] = {NULL};
    struct who *w = read_headers(*state, "/a/_search?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=ASIAY%2F20261124%2Fus-east-1%2Faoss%2Faws4_request&X-Amz-Signature=x", none);
    assert_int_equal(w->auth, AUTH_SIGV4);
    assert_text(w->principal, "ASIAY");
    assert_text(w->realm, "us-east-1/aoss");
    w = read_headers(*state, "/a?jwt=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IifQ.c2ln", none);
    assert_int_equal(w->auth, AUTH_JWT);
    assert_text(w->principal, "bob");
    w = read_headers(*state, "http://al%69ce:secret@h:9200/a", none);
    assert_int_equal(w->auth, AUTH_BASIC);
    assert_text(w->principal, "alice");
    assert_int_equal(read_headers(*state, "/a?token=1", none)->auth, AUTH_NONE);
}

static void answers_teach_names_to_the_credential_that_asked(void **state)
{
    struct fixture *f = *state;
    read_auth(f, "Bearer b3BhcXVl");
    learn(f, API_SECURITY_AUTHENTICATE, "{\"username\":\"erin\",\"authentication_realm\":{\"name\":\"native1\"}}");
    assert_text(read_auth(f, "Bearer b3BhcXVl")->principal, "erin");
    assert_text(f->who.realm, "native1");
    assert_text(read_auth(f, "Bearer b3RoZXI")->principal, "");
    learn(f, API_SECURITY_GET_TOKEN, "{\"access_token\":\"dG9rZW4\",\"authentication\":{\"username\":\"frank\"}}");
    assert_text(read_auth(f, "Bearer dG9rZW4")->principal, "frank");
    read_auth(f, "Basic YWxpY2U6eA==");
    learn(f, API_SECURITY_CREATE_API_KEY, "{\"id\":\"id1\",\"name\":\"nightly\",\"api_key\":\"key1\"}");
    assert_text(read_auth(f, "ApiKey aWQxOmtleTE=")->principal, "id1");
    assert_text(f->who.realm, "alice/nightly");
}

static void a_run_as_answer_does_not_rename_the_credential(void **state)
{
    struct fixture *f = *state;
    const char *pairs[] = {"Authorization", "Bearer b3BhcXVl", "es-security-runas-user", "deputy", NULL};
    read_headers(f, "/_security/_authenticate", pairs);
    learn(f, API_SECURITY_AUTHENTICATE, "{\"username\":\"deputy\"}");
    assert_text(read_auth(f, "Bearer b3BhcXVl")->principal, "");
}

static void a_name_told_to_a_session_is_that_sessions_alone(void **state)
{
    struct fixture *f = *state;
    const struct conn first = {.serial = 1}, second = {.serial = 2};
    const char *bare[] = {"User-Agent", "curl/8", "X-Opaque-Id", "1", NULL}, *other[] = {"User-Agent", "curl/9", "Accept", "*/*", NULL};
    const char *proxied[] = {"X-Forwarded-For", "10.0.0.9", NULL}, *own[] = {"x-remote-user", "carol", NULL}, *own2[] = {"x-remote-user", "dave", NULL};
    read_headers_on(f, &first, "/_security/_authenticate", bare);
    assert_int_equal(f->who.auth, AUTH_NONE);
    learn(f, API_SECURITY_AUTHENTICATE, "{\"username\":\"frank\",\"authentication_realm\":{\"name\":\"pki1\"}}");
    assert_text(read_headers_on(f, &first, "/a", other)->principal, "frank"); // harmless headers may differ
    assert_text(f->who.realm, "pki1");
    assert_int_equal(f->who.auth, AUTH_NONE);
    assert_text(read_headers_on(f, &second, "/a", bare)->principal, "");
    assert_text(read_headers_on(f, &first, "/a", proxied)->principal, ""); // somebody else behind a proxy
    read_headers_on(f, &first, "/_plugins/_security/authinfo", own);
    learn(f, API_SECURITY_AUTHINFO, "{\"user_name\":\"carol\"}");
    assert_text(read_headers_on(f, &first, "/a", own)->principal, "carol"); // a header that no list knows
    assert_text(read_headers_on(f, &first, "/a", own2)->principal, "");
    who_forget(f->table, read_headers_on(f, &first, "/a", bare)->credential);
    assert_text(read_headers_on(f, &first, "/a", bare)->principal, "");
}

static void a_cookie_is_one_session_over_many_connections(void **state)
{
    struct fixture *f = *state;
    const struct conn first = {.serial = 1}, second = {.serial = 2};
    const char *cookie[] = {"Cookie", "security_authentication=abc", NULL}, *another[] = {"Cookie", "security_authentication=abd", NULL}, *none[] = {NULL};
    read_headers_on(f, &first, "/_plugins/_security/authinfo", cookie);
    learn(f, API_SECURITY_AUTHINFO, "{\"user_name\":\"erin\"}");
    assert_text(read_headers_on(f, &second, "/a", cookie)->principal, "erin");
    assert_text(read_headers_on(f, &first, "/a", another)->principal, "");
    assert_text(read_headers_on(f, &first, "/a", none)->principal, "");
}

static void who_is_anonymous_stays_nobody(void **state)
{
    struct fixture *f = *state;
    const struct conn conn = {.serial = 1};
    const char *none[] = {NULL};
    static const struct { enum api api; const char *answer; } answers[] = {
        {API_SECURITY_AUTHENTICATE, "{\"username\":\"guest\",\"authentication_realm\":{\"name\":\"__anonymous\"}}"},
        {API_SECURITY_AUTHENTICATE, "{\"username\":\"_anonymous\"}"},
        {API_SECURITY_AUTHINFO, "{\"user_name\":\"opendistro_security_anonymous\"}"},
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        read_headers_on(f, &conn, "/_security/_authenticate", none);
        learn(f, answers[i].api, answers[i].answer);
        assert_text(read_headers_on(f, &conn, "/a", none)->principal, "");
    }
}

static void a_ticket_names_its_own_request_and_a_session_that_goes_on_without_one_asks_again(void **state)
{
    struct fixture *f = *state;
    const struct conn conn = {.serial = 1};
    const char *ticket[] = {"Authorization", "Negotiate YIIabc", NULL}, *later[] = {"Authorization", "Negotiate YIIabd", NULL}, *none[] = {NULL};
    read_headers_on(f, &conn, "/_security/_authenticate", ticket);
    assert_int_equal(f->who.auth, AUTH_NEGOTIATE);
    learn(f, API_SECURITY_AUTHENTICATE, "{\"username\":\"frank@REALM\",\"authentication_realm\":{\"name\":\"kerb1\"}}");
    assert_text(read_headers_on(f, &conn, "/a", ticket)->principal, "frank@REALM");
    assert_text(read_headers_on(f, &conn, "/a", later)->principal, ""); // a pool may carry another one's ticket
    assert_text(read_headers_on(f, &conn, "/a", none)->principal, "");
}

static void the_name_used_least_recently_goes_first(void **state)
{
    struct fixture *f = *state;
    struct bytes p, r;
    for (uint64_t i = 1; i <= 3; i++)
        who_learn(f->table, i, bytes_of_text("n"), bytes_of_text(""));
    assert_true(who_lookup(f->table, 1, &p, &r));
    who_learn(f->table, 4, bytes_of_text("n4"), bytes_of_text(""));
    assert_true(who_lookup(f->table, 1, &p, &r));
    assert_false(who_lookup(f->table, 2, &p, &r));
    assert_true(who_lookup(f->table, 4, &p, &r));
    assert_text(p, "n4");
    who_learn(f->table, 4, bytes_of_text("renamed"), bytes_of_text("r"));
    assert_true(who_lookup(f->table, 4, &p, &r));
    assert_text(p, "renamed");
    who_learn(f->table, 0, bytes_of_text("nobody"), bytes_of_text(""));
    assert_false(who_lookup(f->table, 0, &p, &r));
}

static void fingerprints_follow_siphash(void **state)
{
    // The reference's vector for key 00..0f and the 15 bytes 00..0e is a129ca6149be45e5. The kind and its NUL come first here.
    uint64_t key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
    uint8_t rest[14] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
    (void)state;
    assert_true(token_fingerprint(key, "", bytes_of(rest, 14)) == 0xa129ca6149be45e5u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_kind_of_credential_gives_its_name, begin, end),
        cmocka_unit_test_setup_teardown(no_secret_stays_in_the_arena, begin, end),
        cmocka_unit_test_setup_teardown(headers_tell_the_rest, begin, end),
        cmocka_unit_test_setup_teardown(proxies_and_certificates_name_whom_they_let_in, begin, end),
        cmocka_unit_test_setup_teardown(urls_carry_credentials_too, begin, end),
        cmocka_unit_test_setup_teardown(answers_teach_names_to_the_credential_that_asked, begin, end),
        cmocka_unit_test_setup_teardown(a_run_as_answer_does_not_rename_the_credential, begin, end),
        cmocka_unit_test_setup_teardown(a_name_told_to_a_session_is_that_sessions_alone, begin, end),
        cmocka_unit_test_setup_teardown(a_cookie_is_one_session_over_many_connections, begin, end),
        cmocka_unit_test_setup_teardown(who_is_anonymous_stays_nobody, begin, end),
        cmocka_unit_test_setup_teardown(a_ticket_names_its_own_request_and_a_session_that_goes_on_without_one_asks_again, begin, end),
        cmocka_unit_test_setup_teardown(the_name_used_least_recently_goes_first, begin, end),
        cmocka_unit_test_setup_teardown(fingerprints_follow_siphash, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
