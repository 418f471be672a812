// Sinks: configuration, signatures, bodies of the presets, the retry schedule.
#include "feed.h"

#include "src/alert/sink_inner.h"

// Published with Standard Webhooks 1.0.0.
static void signature_equals_the_published_vector(void **state)
{
    (void)state;
    struct buf out = {0};
    assert_true(sink_sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, bytes_of_text("{\"test\": 2432232314}"), &out));
    assert_string_equal(buf_text(&out), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    buf_clear(&out);
    assert_true(sink_sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "m", 1, bytes_of_text("x"), &out));
    assert_non_null(strstr(buf_text(&out), " v1,")); // two keys while one is replaced
    buf_fini(&out);
}

static void malformed_secret_is_refused(void **state)
{
    (void)state;
    static const char *const secrets[] = {"", "secret", "whsec_", "whsec_AAAA", "whsec_!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!", "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"};
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
        struct buf out = {0};
        assert_false(sink_sign(secrets[i], "m", 1, bytes_of_text("x"), &out));
        buf_fini(&out);
    }
}

static void configuration_mistakes_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "NAME=KIND"}, {"a b=c", "no kind"}, {"x=webhook", "needs url="}, {"x=webhook url=ftp://y", "begins with"}, {"x=webhook url=http://u:p@h/", "no user and password"},
        {"x=webhook url=http://h secret=abc", "does not stand in the open"}, {"x=webhook url=http://h secret-file=/nonexistent/x", "cannot read the secret"},
        {"x=slack url=http://h", "does not stand in the open"}, {"x=file", "needs path="}, {"x=exec", "needs command="}, {"x=syslog address=h:1 transport=sctp", "udp, tcp and tls"},
        {"x=file path=/y level=loud", "are levels"}, {"x=file path=/y colour=red", "no setting 'colour'"}, {"x=file path=/y timeout=soon", "say a time"},
        {"x=pagerduty", "needs key-file="}, {"x=file path", "no key=value"}, {"x=mail", "needs to="}, {"x=webhook url=http://h secret-env=ESTAPE_NO_SUCH", "is not set"},
        {"x=webhook url=http://h proxy=http://u:p@h:1", "proxy-file="},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sink_settings s;
        struct fault fault = {0};
        if (sink_parse(cases[i].text, &s, &fault) || !strstr(fault.text, cases[i].says))
            fail_msg("'%s': '%s'", cases[i].text, fault.text);
    }
}

static void quotes_keep_blanks_together(void **state)
{
    (void)state;
    struct sink_settings s;
    struct fault fault = {0};
    assert_true(sink_parse("x=exec command='/bin/a \"b c\" d' level=critical timeout=3s", &s, &fault));
    assert_string_equal(s.command, "/bin/a \"b c\" d");
    assert_int_equal(s.level, ALERT_CRITICAL);
    size_t count;
    char **words = sink_split(s.command, &count);
    assert_int_equal(count, 3);
    assert_string_equal(words[1], "b c");
    mem_free(words[0]);
    mem_free(words);
    sink_settings_free(&s);
}

static void retries_slow_down_to_minutes_with_jitter(void **state)
{
    (void)state;
    int64_t before = 0;
    for (int tries = 1; tries < 20; tries++) {
        int64_t low = sink_backoff_ns(tries, 0), high = sink_backoff_ns(tries, 999);
        assert_true(low < high && low >= before * 3 / 4 && high <= 360 * WHEN_NS_PER_S);
        before = low;
    }
    assert_true(sink_backoff_ns(1, 0) < WHEN_NS_PER_S && sink_backoff_ns(1000, 500) <= 301 * WHEN_NS_PER_S);
}

static const char *const alert_json = "{\"id\":\"0123\",\"time\":\"2026-01-02T03:04:05.000000Z\",\"level\":\"critical\",\"rule\":\"index.delete\",\"title\":\"Index deleted\",\"exchange\":7,"
                                      "\"principal\":\"al\\\"ice]\",\"client_ip\":\"10.0.0.1\",\"targets\":[\"cat\"],\"outcome\":\"ok\",\"kind\":\"alert\",\"text\":\"line <1> & \\n two\"}";

static void syslog_line_escapes_and_stays_short(void **state)
{
    (void)state;
    struct sink_alert a;
    struct sink_settings s;
    struct fault fault = {0};
    struct buf out = {0};
    struct sink_message m = {.id = "0123", .json = bytes_of_text(alert_json)};
    assert_true(sink_parse("x=syslog address=h:514 host=node-1", &s, &fault) && sink_alert_parse(&a, m.json));
    sink_line_syslog(&s, &m, &a, &out);
    const char *line = buf_text(&out);
    assert_int_equal(strncmp(line, "<130>1 2026-01-02T03:04:05.000000Z node-1 estape ", 49), 0);
    assert_non_null(strstr(line, "principal=\"al\\\"ice\\]\""));
    assert_null(strchr(line, '\n'));
    assert_true(out.size <= 2048);
    buf_fini(&out);
    sink_alert_free(&a);
    sink_settings_free(&s);
}

static void bodies_of_the_presets_are_json(void **state)
{
    (void)state;
    struct sink_alert a;
    struct sink_settings s = {.secret = (char *)"key", .active_ns = 3600 * WHEN_NS_PER_S};
    struct sink_message m = {.id = "0123-2", .json = bytes_of_text(alert_json), .outcome = true, .now_ns = 1767322000 * WHEN_NS_PER_S};
    struct arena arena;
    arena_init(&arena, 0);
    assert_true(sink_alert_parse(&a, m.json));
    struct buf slack = {0}, pager = {0}, manager = {0}, hook = {0};
    sink_body_slack(&a, &slack);
    sink_body_pagerduty(&s, &m, &a, &pager);
    sink_body_alertmanager(&s, &m, &a, &manager);
    sink_body_webhook(&m, &hook);
    struct json *j = json_parse(&arena, buf_view(&slack), NULL);
    assert_true(json_is_text(json_member(j, "text"), "line &lt;1&gt; &amp; \n two"));
    j = json_parse(&arena, buf_view(&pager), NULL);
    assert_true(json_is_text(json_member(j, "dedup_key"), "estape-0123")); // the outcome joins its alert
    assert_true(json_is_text(json_path(j, "payload.severity"), "critical"));
    j = json_parse(&arena, buf_view(&manager), NULL);
    assert_true(j && j->kind == JSON_KIND_ARRAY && json_is_text(json_path(j->first, "labels.index"), "cat"));
    j = json_parse(&arena, buf_view(&hook), NULL);
    assert_true(json_is_text(json_member(j, "type"), "alert.outcome") && json_int(json_path(j, "data.exchange"), 0) == 7);
    buf_fini(&slack), buf_fini(&pager), buf_fini(&manager), buf_fini(&hook);
    sink_alert_free(&a);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signature_equals_the_published_vector), cmocka_unit_test(malformed_secret_is_refused), cmocka_unit_test(configuration_mistakes_are_told),
        cmocka_unit_test(quotes_keep_blanks_together), cmocka_unit_test(retries_slow_down_to_minutes_with_jitter), cmocka_unit_test(syslog_line_escapes_and_stays_short),
        cmocka_unit_test(bodies_of_the_presets_are_json),
    };
    (void)feed_open, (void)feed_event;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
