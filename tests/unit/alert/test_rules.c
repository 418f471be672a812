// Loading rules: what is refused, with which line and reason; and what single features mean.
#include "feed.h"

#define HEAD "title: t\nname: t\nlogsource:\n  product: elasticsearch\n"

// Line of the first finding; 0: none. *text is what it said.
static int first_line(const char *rule, char text[512])
{
    struct fault fault = {0};
    struct rules *r = rules_open();
    text[0] = 0;
    assert_true(rules_add_text(r, "f", bytes_of_text(rule), feed_finding, text, &fault));
    if (!*text)
        assert_true(rules_seal(r, feed_finding, text, &fault));
    rules_close(r);
    int line = 0;
    if (*text)
        assert_int_equal(sscanf(text, "f:%d:", &line), 1);
    return line;
}

static void mistaken_rule_is_refused_with_its_line_and_reason(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        int line;
        const char *says;
    } cases[] = {
        {"title: t\ndetection:\n  a:\n    verb: x\n  condition: a\n", 1, "'logsource' is missing"},
        {HEAD "level: bad\ndetection:\n  a:\n    verb: x\n  condition: a\n", 5, "level must be"},
        {HEAD "id: 123\ndetection:\n  a:\n    verb: x\n  condition: a\n", 5, "UUID"},
        {HEAD "status: unsupported\ndetection:\n  a:\n    verb: x\n  condition: a\n", 5, "unsupported"},
        {HEAD "taxonomy: splunk\ndetection:\n  a:\n    verb: x\n  condition: a\n", 5, "taxonomy"},
        {"title: t\nlogsource:\n  product: windows\ndetection:\n  a:\n    verb: x\n  condition: a\n", 3, "another log source"},
        {HEAD "detection:\n  a:\n    verv: x\n  condition: a\n", 7, "did you mean 'verb'"},
        {HEAD "detection:\n  a:\n    cs-host: x\n  condition: a\n", 7, "not recorded"},
        {HEAD "detection:\n  a:\n    verb|fuzzy: x\n  condition: a\n", 7, "unknown modifier 'fuzzy'"},
        {HEAD "detection:\n  a:\n    verb|all: x\n  condition: a\n", 7, "'all' on a single value"},
        {HEAD "detection:\n  a:\n    verb|contains: 5\n  condition: a\n", 7, "needs text"},
        {HEAD "detection:\n  a:\n    status|gt: x\n  condition: a\n", 7, "need a number"},
        {HEAD "detection:\n  a:\n    client_ip|cidr: 10.0.0.1/8\n  condition: a\n", 7, "no network"},
        {HEAD "detection:\n  a:\n    path|re: '\\d+'\n  condition: a\n", 7, "outside Sigma's subset"},
        {HEAD "detection:\n  a:\n    path|re: '(?=x)'\n  condition: a\n", 7, "outside Sigma's subset"},
        {HEAD "detection:\n  a:\n    path|re: '(a)\\1'\n  condition: a\n", 7, "back-references"},
        {HEAD "detection:\n  a:\n    path|re: 'a+?'\n  condition: a\n", 7, "lazy"},
        {HEAD "detection:\n  a:\n    path|re: '[a'\n  condition: a\n", 7, "not a valid regular expression"},
        {HEAD "detection:\n  a:\n    path|base64: 'a*'\n  condition: a\n", 7, "cannot encode wildcards"},
        {HEAD "detection:\n  a:\n    path|expand: '%nothing%'\n  condition: a\n", 7, "has no values"},
        {HEAD "detection:\n  a:\n    path:\n      - x\n      - null\n  condition: a\n", 9, "null stands alone"},
        {HEAD "detection:\n  a:\n    path: []\n  condition: a\n", 7, "can never match"},
        {HEAD "detection:\n  a: {}\n  condition: a\n", 6, "match everything"},
        {HEAD "detection:\n  a:\n    - x\n    - verb: y\n  condition: a\n", 8, "not both"},
        {HEAD "detection:\n  a:\n    verb: x\n", 6, "condition is missing"},
        {HEAD "detection:\n  a:\n    verb: x\n  condition: b\n", 8, "no selection has this name at 'b'"},
        {HEAD "detection:\n  a:\n    verb: x\n  condition: (a\n", 8, "closing parenthesis"},
        {HEAD "detection:\n  a:\n    verb: x\n  condition: a | count() > 5\n", 8, "write a correlation"},
        {HEAD "detection:\n  a:\n    verb: x\n  condition: 1 of z*\n", 8, "no selection has such a name"},
        {HEAD "detection:\n  a:\n    verb: x\n  timeframe: 5m\n  condition: a\n", 8, "write a correlation"},
        {HEAD "detection:\n  a: &x\n    verb: x\n  condition: a\n", 6, "anchors"},
        {HEAD "detection:\n  a: !!map\n    verb: x\n  condition: a\n", 6, "tags"},
        {HEAD "detection:\n  a:\n    verb: x\n    verb: y\n  condition: a\n", 8, "duplicate key 'verb'"},
        {HEAD "detection:\n  a:\n   verb: [\n  condition: a\n", 9, ""},
        {"title: t\ncorrelation:\n  type: value_avg\n  rules: x\n  timespan: 5m\n", 3, "not supported"},
        {"title: t\ncorrelation:\n  type: event_count\n  rules:\n    - nosuch\n  timespan: 5m\n  condition:\n    gte: 1\n", 5, "not among those loaded"},
        {HEAD "detection:\n  a:\n    verb: x\n  condition: a\n---\ntitle: c\ncorrelation:\n  type: event_count\n  rules: t\n  timespan: 5\n  condition:\n    gte: 1\n", 14, "'timespan'"},
        {HEAD "detection:\n  a:\n    verb: x\n  condition: a\n---\ntitle: c\ncorrelation:\n  type: value_count\n  rules: t\n  timespan: 5m\n  condition:\n    gte: 1\n", 16, "needs 'field'"},
        {HEAD "detection:\n  a:\n    verb: x\n  condition: a\n---\ntitle: c\ncorrelation:\n  type: event_count\n  rules: t\n  timespan: 5m\n  group-by: nofield\n  condition:\n    gte: 1\n", 15, "unknown field 'nofield'"},
        {"title: a\nname: a\ncorrelation:\n  type: temporal\n  rules: b\n  timespan: 5m\n---\ntitle: b\nname: b\ncorrelation:\n  type: temporal\n  rules: a\n  timespan: 5m\n", 1, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        int line = first_line(cases[i].rule, text);
        if (!*text || !strstr(text, cases[i].says) || (cases[i].line > 1 && line != cases[i].line))
            fail_msg("case %zu: expected line %d '%s', got '%s'", i, cases[i].line, cases[i].says, text);
    }
}

static unsigned count_for(const char *detection, const char *event)
{
    struct feed *f = calloc(1, sizeof *f);
    char rule[4096];
    snprintf(rule, sizeof rule, HEAD "level: critical\ndetection:\n%s", detection);
    feed_open(f, rule);
    feed_json(f, event);
    unsigned count = feed_count(f, "t");
    feed_close(f);
    free(f);
    return count;
}

// The escaping table of the specification.
static void backslashes_escape_only_before_wildcards(void **state)
{
    (void)state;
    static const struct {
        const char *value, *matches, *misses; // as JSON strings
    } cases[] = {
        {"a\\*b", "a*b", "axb"}, {"a*b", "axxb", "axxc"}, {"a?b", "axb", "axxb"}, {"a\\\\*b", "a\\\\xxb", "a*b"}, {"a\\\\\\*b", "a\\\\*b", "a\\\\xb"},
        {"a\\b", "a\\\\b", "ab"}, {"a\\\\b", "a\\\\b", "a\\\\\\\\b"}, {"a\\\\\\b", "a\\\\\\\\b", "a\\\\b"}, {"a\\\\\\\\b", "a\\\\\\\\b", "a\\\\b"}, {"AbC", "aBc", "ab"},
        {"ÄÖ*", "äöx", "äx"}, {"?b", "üb", "üüb"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char detection[256], event[256];
        snprintf(detection, sizeof detection, "  a:\n    principal: '%s'\n  condition: a\n", cases[i].value);
        snprintf(event, sizeof event, "{\"verb\":\"GET\",\"principal\":\"%s\"}", cases[i].matches);
        if (count_for(detection, event) != 1)
            fail_msg("'%s' should match %s", cases[i].value, cases[i].matches);
        snprintf(event, sizeof event, "{\"verb\":\"GET\",\"principal\":\"%s\"}", cases[i].misses);
        if (count_for(detection, event) != 0)
            fail_msg("'%s' should not match %s", cases[i].value, cases[i].misses);
    }
}

static void features_mean_what_the_specification_says(void **state)
{
    (void)state;
    static const struct {
        const char *detection, *event;
        unsigned count;
    } cases[] = {
        // binding: or is weakest, then and, then not
        {"  a:\n    verb: GET\n  b:\n    verb: PUT\n  c:\n    verb: POST\n  condition: a or b and c\n", "{\"verb\":\"GET\"}", 1},
        {"  a:\n    verb: GET\n  b:\n    verb: PUT\n  condition: not a and not b\n", "{\"verb\":\"DELETE\"}", 1},
        {"  a:\n    verb: GET\n  _b:\n    verb: PUT\n  condition: all of them\n", "{\"verb\":\"GET\"}", 1}, // names with _ are left out
        {"  a:\n    verb: GET\n  condition:\n    - a\n    - not a\n", "{\"verb\":\"PUT\"}", 1},              // a list is "or"
        {"  a:\n    - secret\n    - other\n  condition: a\n", "{\"verb\":\"GET\",\"path\":\"/x?q=SECRETS\"}", 1}, // keywords
        {"  a:\n    '|all':\n      - one\n      - two\n  condition: a\n", "{\"verb\":\"GET\",\"path\":\"/one\",\"agent\":\"two\"}", 1},
        {"  a:\n    '|all':\n      - one\n      - two\n  condition: a\n", "{\"verb\":\"GET\",\"path\":\"/one\"}", 0},
        {"  a:\n    principal: null\n  condition: a\n", "{\"verb\":\"GET\"}", 1},
        {"  a:\n    principal: null\n  condition: a\n", "{\"verb\":\"GET\",\"principal\":\"x\"}", 0},
        {"  a:\n    cs-username: '-'\n  condition: a\n", "{\"verb\":\"GET\"}", 1},
        {"  a:\n    time|hour: 22\n  condition: a\n", "{\"verb\":\"GET\"}", 1}, // FEED_BEGIN_NS is 2023-11-14T22:13:20Z
        {"  a:\n    time|minute: 13\n    time|day: 14\n    time|month: 11\n    time|year: 2023\n    time|week: 46\n  condition: a\n", "{\"verb\":\"GET\"}", 1},
        {"  a:\n    path|base64offset|contains: secret\n  condition: a\n", "{\"verb\":\"GET\",\"path\":\"/xc2VjcmV0\"}", 1},
        {"  a:\n    body.settings.index.number_of_replicas: 0\n  condition: a\n", "{\"verb\":\"PUT\",\"body\":\"{\\\"settings\\\":{\\\"index.number_of_replicas\\\":0}}\"}", 1},
        {"  a:\n    setting.index.number_of_replicas: 0\n  condition: a\n", "{\"verb\":\"PUT\",\"api\":\"indices.put_settings\",\"body\":\"{\\\"number_of_replicas\\\":\\\"0\\\"}\"}", 1},
        {"  a:\n    setting.index.number_of_replicas: 0\n  condition: a\n", "{\"verb\":\"PUT\",\"api\":\"indices.create\",\"body\":\"{\\\"settings\\\":{\\\"index\\\":{\\\"number_of_replicas\\\":0}}}\"}", 1},
        {"  a:\n    body.actions.remove_index.index: old\n  condition: a\n", "{\"verb\":\"POST\",\"body\":\"{\\\"actions\\\":[{\\\"add\\\":{}},{\\\"remove_index\\\":{\\\"index\\\":\\\"old\\\"}}]}\"}", 1},
        {"  a:\n    param.q: 'a b'\n  condition: a\n", "{\"verb\":\"GET\",\"path\":\"/_search?pretty&q=a%20b\"}", 1},
        {"  a:\n    body.query.match_all|exists: true\n  condition: a\n", "{\"verb\":\"GET\",\"path\":\"/_search?source=%7B%22query%22%3A%7B%22match_all%22%3A%7B%7D%7D%7D&source_content_type=application/json\"}", 1},
        {"  a:\n    path_decoded: '/a,b'\n  condition: a\n", "{\"verb\":\"GET\",\"path\":\"/a%2Cb/?x\"}", 1},
        {"  a:\n    index: b\n  condition: a\n", "{\"verb\":\"GET\",\"targets\":[\"a\",\"b\"]}", 1},
        {"  a:\n    event.outcome: failure\n  condition: a\n", "{\"verb\":\"GET\",\"outcome\":\"failed\",\"status\":404}", 1},
        {"  a:\n    agent_kind: kibana\n  condition: a\n", "{\"verb\":\"GET\",\"opaque_id\":\"1;kibana:application:dev_tools:\"}", 1},
        {"  a:\n    verb: GET\n  condition: a\n", "{\"verb\":\"GET\",\"own\":true}", 0},               // estape's own traffic
        {"  a:\n    verb: GET\n    own: true\n  condition: a\n", "{\"verb\":\"GET\",\"own\":true}", 1}, // unless asked for
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (count_for(cases[i].detection, cases[i].event) != cases[i].count)
            fail_msg("case %zu: %s on %s", i, cases[i].detection, cases[i].event);
}

static void each_modifier_matches_its_value_and_not_the_near_miss(void **state)
{
    (void)state;
    static const struct {
        const char *item, *matches, *misses; // of the detection; members of the event
    } cases[] = {
        {"path|contains: cat", "\"path\":\"/a/Catalog\"", "\"path\":\"/a/ca/t\""},
        {"path|startswith: /cat", "\"path\":\"/Catalog\"", "\"path\":\"/a/cat\""},
        {"path|endswith: log", "\"path\":\"/cataLOG\"", "\"path\":\"/log/a\""},
        {"path|contains|all:\n      - one\n      - two", "\"path\":\"/two/one\"", "\"path\":\"/one/one\""},
        {"path|cased: /Cat", "\"path\":\"/Cat\"", "\"path\":\"/cat\""},
        {"path|contains|cased: Cat", "\"path\":\"/x/Cat\"", "\"path\":\"/x/cat\""},
        {"principal|exists: true", "\"principal\":\"x\"", "\"path\":\"/\""},
        {"principal|exists: false", "\"path\":\"/\"", "\"principal\":\"x\""},
        {"path|re: '^/[a-c]+$'", "\"path\":\"/abc\"", "\"path\":\"/ABC\""},
        {"path|re|i: '^/[a-c]+$'", "\"path\":\"/ABC\"", "\"path\":\"/abd\""},
        {"principal|re|m: '^b$'", "\"principal\":\"a\\nb\\nc\"", "\"principal\":\"a\\nbb\\nc\""},
        {"principal|re|s: '^a.b$'", "\"principal\":\"a\\nb\"", "\"principal\":\"a\\n\\nb\""},
        {"principal|re: '^a.b$'", "\"principal\":\"a-b\"", "\"principal\":\"a\\nb\""},
        {"client_ip|cidr: 10.1.0.0/16", "\"client_ip\":\"10.1.2.3\"", "\"client_ip\":\"10.2.0.1\""},
        {"client_ip|cidr: 2001:db8::/32", "\"client_ip\":\"2001:db8:1::5\"", "\"client_ip\":\"2001:db9::5\""},
        {"path|base64: foo", "\"path\":\"Zm9v\"", "\"path\":\"foo\""},
        {"path|wide|base64: foo", "\"path\":\"ZgBvAG8A\"", "\"path\":\"Zm9v\""},
        {"path|utf16le|base64: foo", "\"path\":\"ZgBvAG8A\"", "\"path\":\"AGYAbwBv\""},
        {"path|utf16be|base64: foo", "\"path\":\"AGYAbwBv\"", "\"path\":\"ZgBvAG8A\""},
        {"path|utf16|base64: foo", "\"path\":\"//5mAG8AbwA=\"", "\"path\":\"ZgBvAG8A\""},
        {"path|windash|contains: ' -f'", "\"path\":\"rm /f\"", "\"path\":\"rm +f\""},
        {"path|windash|contains: ' -f'", "\"path\":\"rm \xe2\x80\x93""f\"", "\"path\":\"rm f\""},
        {"status|gt: 400", "\"status\":401", "\"status\":400"},
        {"status|gte: 400", "\"status\":400", "\"status\":399"},
        {"status|lt: 400", "\"status\":399", "\"status\":400"},
        {"status|lte: 400", "\"status\":400", "\"status\":401"},
        {"status|neq: 400", "\"status\":401", "\"status\":400"},
        {"principal|neq: alice", "\"principal\":\"bob\"", "\"principal\":\"Alice\""},
        {"principal|fieldref: opaque_id", "\"principal\":\"a\",\"opaque_id\":\"a\"", "\"principal\":\"a\",\"opaque_id\":\"b\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char detection[256], event[256];
        snprintf(detection, sizeof detection, "  a:\n    %s\n  condition: a\n", cases[i].item);
        snprintf(event, sizeof event, "{\"verb\":\"GET\",%s}", cases[i].matches);
        if (count_for(detection, event) != 1)
            fail_msg("%s should match %s", cases[i].item, event);
        snprintf(event, sizeof event, "{\"verb\":\"GET\",%s}", cases[i].misses);
        if (count_for(detection, event) != 0)
            fail_msg("%s should not match %s", cases[i].item, event);
    }
}

static void placeholders_take_their_values_from_a_document(void **state)
{
    (void)state;
    struct feed *f = calloc(1, sizeof *f);
    feed_open(f, "placeholders:\n  admins:\n    - alice\n    - 'bob*'\n---\n" HEAD "level: critical\ndetection:\n  a:\n    principal|expand: '%admins%'\n  condition: a\n");
    feed_json(f, "[{\"verb\":\"GET\",\"principal\":\"Alice\"},{\"verb\":\"GET\",\"principal\":\"bobby\"},{\"verb\":\"GET\",\"principal\":\"carol\"}]");
    assert_int_equal(feed_count(f, "t"), 2);
    feed_close(f);
    // An escaped percent sign is one, also beside a placeholder.
    feed_open(f, "placeholders:\n  name:\n    - x\n---\n" HEAD "level: critical\ndetection:\n  a:\n    principal|expand: '\\%plain%name%'\n  condition: a\n");
    feed_json(f, "[{\"verb\":\"GET\",\"principal\":\"%plainx\"},{\"verb\":\"GET\",\"principal\":\"\\\\%plainx\"},{\"verb\":\"GET\",\"principal\":\"%plain%name%\"}]");
    assert_int_equal(feed_count(f, "t"), 1);
    feed_close(f);
    free(f);
}

static void filter_tunes_a_rule_without_editing_it(void **state)
{
    (void)state;
    struct feed *f = calloc(1, sizeof *f);
    feed_open(f, HEAD "level: critical\ndetection:\n  a:\n    verb: DELETE\n  condition: a\n---\ntitle: not the cleaner\nlogsource:\n  product: elasticsearch\n"
                 "filter:\n  rules:\n    - t\n  cleaner:\n    principal: cleaner\n  condition: not cleaner\n");
    feed_json(f, "[{\"verb\":\"DELETE\",\"principal\":\"cleaner\"},{\"verb\":\"DELETE\",\"principal\":\"alice\"}]");
    assert_int_equal(feed_count(f, "t"), 1);
    feed_close(f);
    free(f);
}

static void later_rule_with_the_same_id_takes_the_place_of_the_earlier(void **state)
{
    (void)state;
    struct fault fault = {0};
    struct rules *r = rules_open();
    assert_true(rules_add_builtin(r, &fault));
    size_t before = rules_count(r);
    assert_true(rules_add_text(r, "mine", bytes_of_text("title: mine\nname: index.delete\nlogsource:\n  product: elasticsearch\ndetection:\n  a:\n    verb: DELETE\n  condition: a\nlevel: low\n"), NULL, NULL, &fault));
    assert_true(rules_seal(r, NULL, NULL, &fault));
    struct rule_view v;
    size_t live = 0;
    for (size_t i = 0; rules_view(r, i, &v); i++)
        live += !v.refused && strcmp(v.name, "index.delete") == 0;
    assert_int_equal(rules_count(r), before + 1);
    assert_int_equal(live, 1);
    rules_close(r);
}

// Every prefix and every one-byte change of a rule: refused or loaded, never worse.
static void damaged_rule_files_are_survived(void **state)
{
    (void)state;
    const char *rule = HEAD "level: high\ndetection:\n  a:\n    path|re|i: '^/[a-z]+$'\n    body.x|windash|contains: ' -f'\n  b:\n    - kw*\n  condition: (a or 1 of b*) and not a\n"
                            "---\ntitle: c\ncorrelation:\n  type: value_count\n  rules: t\n  group-by:\n    - principal\n  timespan: 5m\n  condition:\n    field: index\n    gte: 3\n";
    size_t size = strlen(rule);
    uint8_t *text = malloc(size);
    for (size_t n = 0; n < 2 * size; n++) {
        struct fault fault = {0};
        struct rules *r = rules_open();
        memcpy(text, rule, size);
        if (n >= size)
            text[n - size] ^= (uint8_t)(1 + n % 255);
        rules_add_text(r, "f", bytes_of(text, n < size ? n : size), NULL, NULL, &fault);
        rules_seal(r, NULL, NULL, &fault);
        rules_close(r);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistaken_rule_is_refused_with_its_line_and_reason),
        cmocka_unit_test(backslashes_escape_only_before_wildcards),
        cmocka_unit_test(features_mean_what_the_specification_says),
        cmocka_unit_test(each_modifier_matches_its_value_and_not_the_near_miss),
        cmocka_unit_test(placeholders_take_their_values_from_a_document),
        cmocka_unit_test(filter_tunes_a_rule_without_editing_it),
        cmocka_unit_test(later_rule_with_the_same_id_takes_the_place_of_the_earlier),
        cmocka_unit_test(damaged_rule_files_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
