// The alerter: attempts and outcomes, correlations over sliding windows, grouping, memory, bounds, hostile input.
#include "feed.h"

#include "src/base/clock.h"

#define RULE(name, level, verb) "title: " name "\nname: " name "\nlogsource:\n  product: elasticsearch\nlevel: " level "\ndetection:\n  a:\n    verb: " verb "\n  condition: a\n"

static struct feed *f;

static int make(void **state)
{
    (void)state;
    f = calloc(1, sizeof *f);
    return !f;
}

static int unmake(void **state)
{
    (void)state;
    feed_close(f);
    free(f);
    return 0;
}

static void attempt_and_outcome_share_one_id(void **state)
{
    (void)state;
    feed_open(f, RULE("d", "critical", "DELETE"));
    feed_json(f, "{\"verb\":\"DELETE\",\"path\":\"/x\",\"attempt\":true}");
    size_t i = feed_place(f, "d");
    char id[33];
    memcpy(id, f->seen[i].id, 33);
    assert_int_equal(f->seen[i].attempts, 1);
    f->next_id--;
    feed_json(f, "{\"verb\":\"DELETE\",\"path\":\"/x\",\"outcome\":\"failed\",\"status\":404,\"reason\":\"index_not_found_exception\"}");
    assert_int_equal(f->seen[i].count, 2);
    assert_int_equal(f->seen[i].outcomes, 1);
    assert_string_equal(f->seen[i].id, id);
    assert_non_null(strstr(f->seen[i].text, "Refused: it had no effect (404, index_not_found_exception)"));
}

static void outcome_is_told_even_when_the_rule_no_longer_matches(void **state)
{
    (void)state;
    feed_open(f, "title: d\nname: d\nlogsource:\n  product: elasticsearch\nlevel: critical\ndetection:\n  a:\n    verb: DELETE\n  f:\n    outcome: failed\n  condition: a and not f\n");
    feed_json(f, "{\"verb\":\"DELETE\",\"both\":true,\"outcome\":\"failed\",\"status\":403}");
    assert_int_equal(f->seen[feed_place(f, "d")].outcomes, 1);
}

#define COUNT RULE("base", "low", "DELETE") "---\ntitle: many\nname: many\nlevel: critical\ncorrelation:\n  type: event_count\n  rules: base\n  group-by: principal\n  timespan: 60s\n  condition:\n    gte: 3\n"

static void window_slides_and_is_not_cut_at_full_minutes(void **state)
{
    (void)state;
    feed_open(f, COUNT);
    feed_json(f, "[{\"verb\":\"DELETE\",\"at\":50},{\"verb\":\"DELETE\",\"at\":70},{\"verb\":\"DELETE\",\"at\":109}]");
    assert_int_equal(feed_count(f, "many"), 1);
    assert_int_equal(feed_count(f, "base"), 0); // counted rules do not alert alone
}

static void window_forgets_what_is_older_than_its_time(void **state)
{
    (void)state;
    feed_open(f, COUNT);
    feed_json(f, "[{\"verb\":\"DELETE\",\"at\":0},{\"verb\":\"DELETE\",\"at\":40},{\"verb\":\"DELETE\",\"at\":61},{\"verb\":\"DELETE\",\"at\":101.5}]");
    assert_int_equal(feed_count(f, "many"), 0);
}

static void groups_are_counted_apart(void **state)
{
    (void)state;
    feed_open(f, COUNT);
    feed_json(f, "[{\"verb\":\"DELETE\",\"principal\":\"a\",\"repeat\":2},{\"verb\":\"DELETE\",\"principal\":\"b\",\"repeat\":2}]");
    assert_int_equal(feed_count(f, "many"), 0);
    feed_json(f, "{\"verb\":\"DELETE\",\"principal\":\"a\",\"at\":1}");
    assert_int_equal(feed_count(f, "many"), 1);
    assert_non_null(strstr(f->seen[feed_place(f, "many")].json, "\"group\":{\"principal\":\"a\"}"));
}

static void matches_out_of_order_count_in_their_time(void **state)
{
    (void)state;
    feed_open(f, COUNT);
    feed_json(f, "[{\"verb\":\"DELETE\",\"at\":30},{\"verb\":\"DELETE\",\"at\":10},{\"verb\":\"DELETE\",\"at\":20}]");
    assert_int_equal(feed_count(f, "many"), 1);
}

static void an_exchange_counts_once_although_it_is_seen_twice(void **state)
{
    (void)state;
    feed_open(f, COUNT);
    feed_json(f, "{\"verb\":\"DELETE\",\"both\":true,\"repeat\":2,\"step\":1,\"outcome\":\"ok\",\"status\":200}");
    assert_int_equal(feed_count(f, "many"), 0);
}

static void upper_bound_is_judged_when_the_window_is_over(void **state)
{
    (void)state;
    feed_open(f, RULE("base", "low", "DELETE") "---\ntitle: few\nname: few\nlevel: critical\ncorrelation:\n  type: event_count\n  rules: base\n  timespan: 60s\n  condition:\n    gte: 2\n    lte: 3\n");
    feed_json(f, "[{\"verb\":\"DELETE\",\"at\":0,\"repeat\":3,\"step\":1},{\"verb\":\"GET\",\"at\":30}]");
    assert_int_equal(feed_count(f, "few"), 0);
    feed_json(f, "{\"verb\":\"GET\",\"at\":62}");
    assert_int_equal(feed_count(f, "few"), 1);
    feed_json(f, "[{\"verb\":\"DELETE\",\"at\":100,\"repeat\":4,\"step\":1},{\"verb\":\"GET\",\"at\":170}]");
    assert_int_equal(feed_count(f, "few"), 1);
}

#define ORDERED(type) RULE("one", "low", "PUT") "---\n" RULE("two", "low", "DELETE") "---\ntitle: both\nname: both\nlevel: critical\ncorrelation:\n  type: " type "\n  rules:\n    - one\n    - two\n  group-by: thing\n  aliases:\n    thing:\n      one: principal\n      two: run_as\n  timespan: 60s\n"

static void a_correlation_told_at_the_attempt_gets_its_outcome_under_the_same_id(void **state)
{
    (void)state;
    feed_open(f, COUNT);
    feed_json(f, "{\"verb\":\"DELETE\",\"principal\":\"a\",\"repeat\":2,\"both\":true,\"outcome\":\"ok\",\"status\":200}");
    feed_json(f, "{\"verb\":\"DELETE\",\"principal\":\"a\",\"at\":1,\"attempt\":true}");
    size_t i = feed_place(f, "many");
    char id[33];
    memcpy(id, f->seen[i].id, 33);
    assert_int_equal(f->seen[i].attempts, 1);
    assert_non_null(strstr(f->seen[i].json, "\"outcome\":null"));
    f->next_id--;
    feed_json(f, "{\"verb\":\"DELETE\",\"principal\":\"a\",\"at\":1,\"outcome\":\"ok\",\"status\":200}");
    assert_int_equal(f->seen[i].count, 2);
    assert_int_equal(f->seen[i].outcomes, 1);
    assert_string_equal(f->seen[i].id, id);
    assert_non_null(strstr(f->seen[i].json, "\"kind\":\"outcome\""));
    assert_non_null(strstr(f->seen[i].json, "\"outcome\":\"ok\""));
    assert_non_null(strstr(f->seen[i].json, "\"group\":{\"principal\":\"a\"}"));
    assert_non_null(strstr(f->seen[i].json, "\"exchanges\":[1,2,3]"));
    feed_json(f, "{\"verb\":\"DELETE\",\"principal\":\"a\",\"at\":2,\"both\":true,\"outcome\":\"ok\",\"status\":200}"); // silent for its time
    assert_int_equal(f->seen[i].count, 2);
}

static void temporal_takes_any_order_and_follows_aliases(void **state)
{
    (void)state;
    feed_open(f, ORDERED("temporal"));
    feed_json(f, "[{\"verb\":\"DELETE\",\"run_as\":\"a\"},{\"verb\":\"PUT\",\"principal\":\"b\",\"at\":1}]");
    assert_int_equal(feed_count(f, "both"), 0);
    feed_json(f, "{\"verb\":\"PUT\",\"principal\":\"a\",\"at\":2}");
    assert_int_equal(feed_count(f, "both"), 1);
}

static void temporal_ordered_wants_the_order(void **state)
{
    (void)state;
    feed_open(f, ORDERED("temporal_ordered"));
    feed_json(f, "[{\"verb\":\"DELETE\",\"run_as\":\"a\"},{\"verb\":\"PUT\",\"principal\":\"a\",\"at\":1}]");
    assert_int_equal(feed_count(f, "both"), 0);
    feed_json(f, "{\"verb\":\"DELETE\",\"run_as\":\"a\",\"at\":2}");
    assert_int_equal(feed_count(f, "both"), 1);
    feed_json(f, "[{\"verb\":\"PUT\",\"principal\":\"z\",\"at\":100},{\"verb\":\"DELETE\",\"run_as\":\"z\",\"at\":161}]");
    assert_int_equal(feed_count(f, "both"), 1);
}

static void a_later_step_that_is_told_first_still_counts(void **state)
{
    (void)state;
    feed_open(f, ORDERED("temporal_ordered"));
    feed_json(f, "[{\"verb\":\"DELETE\",\"run_as\":\"a\",\"at\":2},{\"verb\":\"PUT\",\"principal\":\"b\",\"at\":1}]"); // of other groups
    assert_int_equal(feed_count(f, "both"), 0);
    feed_json(f, "{\"verb\":\"PUT\",\"principal\":\"a\",\"at\":1}"); // a large body: told when it ended
    assert_int_equal(feed_count(f, "both"), 1);
    feed_json(f, "[{\"verb\":\"DELETE\",\"run_as\":\"c\",\"at\":3},{\"verb\":\"PUT\",\"principal\":\"c\",\"at\":4}]"); // in the wrong order
    assert_int_equal(feed_count(f, "both"), 1);
}

static void repeats_are_grouped_into_a_summary(void **state)
{
    (void)state;
    feed_open(f, RULE("m", "medium", "DELETE"));
    feed_json(f, "{\"verb\":\"DELETE\",\"repeat\":50,\"step\":1}");
    size_t i = feed_place(f, "m");
    assert_int_equal(f->seen[i].count, 1);
    feed_json(f, "{\"verb\":\"DELETE\",\"principal\":\"other\",\"at\":60}"); // another kind: its first is told
    assert_int_equal(f->seen[i].count, 2);
    feed_json(f, "{\"verb\":\"GET\",\"at\":400}");
    assert_int_equal(f->seen[i].summaries, 1);
    assert_non_null(strstr(f->seen[i].text, "49 more like it"));
    assert_non_null(strstr(f->seen[i].json, "\"repeats\":49"));
}

static void what_reached_nobody_does_not_hide_the_next_of_its_kind(void **state)
{
    (void)state;
    feed_open(f, "title: r\nname: r\nlogsource:\n  product: elasticsearch\nlevel: high\ndetection:\n  a:\n    verb: DELETE\n  condition: a\n");
    feed_json(f, "[{\"verb\":\"DELETE\",\"targets\":[\"i\"]},{\"verb\":\"DELETE\",\"targets\":[\"i\"],\"at\":1}]");
    assert_int_equal(feed_count(f, "r"), 1);
    alert_untold(f->alerter);
    feed_json(f, "[{\"verb\":\"DELETE\",\"targets\":[\"i\"],\"at\":2},{\"verb\":\"DELETE\",\"targets\":[\"i\"],\"at\":3}]");
    assert_int_equal(feed_count(f, "r"), 2);
}

static void critical_alerts_are_never_grouped(void **state)
{
    (void)state;
    feed_open(f, RULE("c", "critical", "DELETE"));
    feed_json(f, "{\"verb\":\"DELETE\",\"repeat\":50,\"step\":1}");
    assert_int_equal(feed_count(f, "c"), 50);
}

static void repeats_that_wait_at_the_end_are_told(void **state)
{
    (void)state;
    feed_open(f, RULE("m", "medium", "DELETE"));
    feed_json(f, "{\"verb\":\"DELETE\",\"repeat\":3}");
    alert_finish(f->alerter);
    assert_int_equal(f->seen[feed_place(f, "m")].summaries, 1);
}

static void rebuilt_memory_counts_and_tells_nothing(void **state)
{
    (void)state;
    feed_open(f, COUNT);
    alert_rebuild_begin(f->alerter, false);
    feed_json(f, "{\"verb\":\"DELETE\",\"repeat\":2}");
    alert_rebuild_end(f->alerter);
    assert_int_equal(f->seen_count, 0);
    feed_json(f, "{\"verb\":\"DELETE\",\"at\":5}");
    assert_int_equal(feed_count(f, "many"), 1);
}

static void own_alerts_of_a_capture_are_never_above_low(void **state)
{
    (void)state;
    feed_open_live(f, RULE("c", "critical", "DELETE"), false);
    alert_own(f->alerter, FEED_BEGIN_NS, "disk", "full");
    alert_own(f->alerter, FEED_BEGIN_NS, "sink_dead", "gone");
    for (size_t i = 0; i < f->seen_count; i++)
        assert_true(f->seen[i].level <= ALERT_LOW);
    assert_int_equal(f->seen_count, 2);
}

static void own_alerts_of_a_device_have_their_level(void **state)
{
    (void)state;
    feed_open(f, RULE("c", "critical", "DELETE"));
    alert_own(f->alerter, FEED_BEGIN_NS, "disk", "disk full");
    assert_int_equal(f->seen[feed_place(f, "recorder.disk")].level, ALERT_HIGH);
    assert_non_null(strstr(f->seen[0].text, "disk full"));
}

static void state_is_bounded_and_overflow_is_told(void **state)
{
    (void)state;
    struct fault fault = {0};
    memset(f, 0, sizeof *f);
    arena_init(&f->arena, 0);
    f->rules = rules_open();
    assert_true(rules_add_text(f->rules, "t", bytes_of_text(COUNT), NULL, NULL, &fault) && rules_seal(f->rules, NULL, NULL, &fault));
    struct alert_settings settings = {.live = true, .state_bytes_max = 64 * 1024};
    f->alerter = alert_open(&settings, f->rules, feed_alert, f);
    for (int i = 0; i < 2000; i++) {
        char event[128];
        snprintf(event, sizeof event, "{\"verb\":\"DELETE\",\"principal\":\"user-%d\"}", i);
        feed_json(f, event);
    }
    struct alert_stats stats;
    alert_stats(f->alerter, &stats);
    assert_true(stats.state_evicted > 0);
    alert_tick(f->alerter, FEED_BEGIN_NS + 10 * WHEN_NS_PER_S);
    assert_int_equal(feed_count(f, "recorder.state"), 1);
}

static void hostile_regular_expression_cannot_stall(void **state)
{
    (void)state;
    feed_open(f, "title: r\nname: r\nlogsource:\n  product: elasticsearch\nlevel: critical\ndetection:\n  a:\n    body|re: '^(a+)+$'\n  condition: a\n");
    char *event = malloc(70000);
    strcpy(event, "{\"verb\":\"GET\",\"repeat\":20,\"body\":\"");
    size_t n = strlen(event);
    memset(event + n, 'a', 60000);
    strcpy(event + n + 60000, "!\"}");
    int64_t begun_ns = clock_steady_ns();
    feed_json(f, event);
    free(event);
    struct alert_stats stats;
    alert_stats(f->alerter, &stats);
    assert_true(stats.regex_limited > 0);
    assert_true(clock_steady_ns() - begun_ns < 5 * WHEN_NS_PER_S);
    assert_int_equal(feed_count(f, "r"), 0);
}

static void hostile_search_text_cannot_stall(void **state)
{
    (void)state;
    static const char *const wanted[] = {"body|contains", "body|cased|contains", "body", "path"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        char *rule = calloc(1, 8000), *event = malloc(70000), core[4001] = {0};
        memset(core, 'a', 3999); // nearly there at every place of the text
        if (i >= 2)
            for (size_t c = 0; c < 3999; c += 40)
                core[c] = '*';
        core[3999] = 'b';
        snprintf(rule, 8000, "title: r\nname: r\nlogsource:\n  product: elasticsearch\nlevel: critical\ndetection:\n  a:\n    %s: '%s'\n  condition: a\n", wanted[i], core);
        feed_open(f, rule);
        size_t n = (size_t)sprintf(event, "{\"verb\":\"GET\",\"repeat\":20,\"%s\":\"", i == 3 ? "path" : "body");
        memset(event + n, 'a', 60000);
        strcpy(event + n + 60000, "!\"}");
        int64_t begun_ns = clock_steady_ns();
        feed_json(f, event);
        int64_t took_ns = clock_steady_ns() - begun_ns;
        assert_int_equal(feed_count(f, "r"), 0);
        if (took_ns >= 5 * WHEN_NS_PER_S)
            fail_msg("%s: %lld ms", wanted[i], (long long)(took_ns / WHEN_NS_PER_MS));
        feed_close(f);
        memset(f, 0, sizeof *f);
        free(rule);
        free(event);
    }
    feed_open(f, NULL); // for the teardown
}

static void control_characters_of_the_wire_do_not_reach_the_text(void **state)
{
    (void)state;
    feed_open(f, RULE("c", "critical", "DELETE"));
    feed_json(f, "{\"verb\":\"DELETE\",\"agent\":\"x\\u001b[2J\\n\\u009b31m\",\"path\":\"/a\\tb\"}");
    const char *text = f->seen[0].text;
    for (const char *c = text; *c; c++)
        assert_true((uint8_t)*c >= ' ' && *c != 0x7f);
    assert_null(strstr(text, "\xc2\x9b"));
    assert_non_null(strstr(text, "\\x1b[2J"));
}

static void index_takes_writes_for_ten_minutes(void **state)
{
    (void)state;
    feed_open(f, "title: l\nname: l\nlogsource:\n  product: elasticsearch\nlevel: critical\ndetection:\n  a:\n    verb: DELETE\n    live_writes: true\n  condition: a\n");
    feed_json(f, "[{\"verb\":\"POST\",\"api\":\"bulk\",\"write\":true,\"targets\":[\"logs-1\"],\"docs\":1},{\"verb\":\"DELETE\",\"targets\":[\"logs-2\"],\"at\":1}]");
    assert_int_equal(feed_count(f, "l"), 0);
    feed_json(f, "{\"verb\":\"DELETE\",\"targets\":[\"logs-*\"],\"wildcard\":true,\"at\":599}");
    assert_int_equal(feed_count(f, "l"), 1);
    feed_json(f, "{\"verb\":\"DELETE\",\"targets\":[\"logs-*\",\"-logs-1\"],\"wildcard\":true,\"at\":599}");
    assert_int_equal(feed_count(f, "l"), 1);
    feed_json(f, "{\"verb\":\"DELETE\",\"targets\":[\"logs-1\"],\"at\":601}");
    assert_int_equal(feed_count(f, "l"), 1);
}

static void part_of_an_index_is_known_from_its_birth(void **state)
{
    (void)state;
    feed_open(f, "title: p\nname: p\nlogsource:\n  product: elasticsearch\nlevel: critical\ndetection:\n  a:\n    deleted_percent|gte: 50\n  condition: a\n");
    feed_json(f, "[{\"verb\":\"PUT\",\"api\":\"indices.create\",\"write\":true,\"targets\":[\"n\"],\"outcome\":\"ok\",\"status\":200},"
                 "{\"verb\":\"POST\",\"api\":\"bulk\",\"write\":true,\"targets\":[\"n\"],\"docs\":200,\"created\":200,\"outcome\":\"ok\",\"status\":200},"
                 "{\"verb\":\"POST\",\"api\":\"delete_by_query\",\"write\":true,\"targets\":[\"n\"],\"docs_deleted\":90,\"outcome\":\"ok\",\"status\":200}]");
    assert_int_equal(feed_count(f, "p"), 0);
    feed_json(f, "{\"verb\":\"POST\",\"api\":\"delete_by_query\",\"write\":true,\"targets\":[\"n\"],\"docs_deleted\":90,\"outcome\":\"ok\",\"status\":200}");
    assert_int_equal(feed_count(f, "p"), 1); // 90 of the 110 that were left
}

static void thousand_rules_of_other_indices_are_not_evaluated(void **state)
{
    (void)state;
    struct buf text = {0};
    for (int i = 0; i < 1000; i++)
        buf_format(&text, "%stitle: r%d\nname: r%d\nlogsource:\n  product: elasticsearch\ndetection:\n  a:\n    verb: DELETE\n    index: other-%d\n  condition: a\n", i ? "---\n" : "", i, i, i);
    feed_open(f, buf_text(&text));
    buf_fini(&text);
    feed_json(f, "{\"verb\":\"DELETE\",\"targets\":[\"mine\",\"Other-7\"],\"repeat\":100}");
    struct alert_stats stats;
    alert_stats(f->alerter, &stats);
    assert_int_equal(stats.evaluated, 100);
    assert_int_equal(stats.matched, 100);
}

// The N-th allocation and all behind it fail, for every N until none does.
static void memory_may_run_out_at_any_moment(void **state)
{
    (void)state;
    feed_open(f, RULE("unused", "low", "X"));
    for (unsigned long n = 1, done = 0; !done && n < 4000; n += n < 300 ? 1 : 17) {
        struct fault fault = {0};
        mem_fail_after(0);
        struct feed *g = calloc(1, sizeof *g);
        mem_fail_after(n);
        struct rules *r = rules_open();
        bool ok = r && rules_add_text(r, "t", bytes_of_text(COUNT), NULL, NULL, &fault) && rules_seal(r, NULL, NULL, &fault);
        struct alert_settings settings = {.live = true};
        struct alerter *a = ok ? alert_open(&settings, r, feed_alert, g) : NULL;
        struct exchange x = {.verb = bytes_of_text("DELETE"), .principal = bytes_of_text("p"), .body_head = bytes_of_text("{\"a\":1}"), .flags = EXCHANGE_WRITE,
                             .docs = -1, .docs_deleted = -1, .docs_total = -1, .answered_ns = WHEN_UNKNOWN};
        for (x.id = 1; a && x.id < 5; x.id++, x.time_ns += 1000) {
            alert_attempt(a, &x);
            alert_done(a, &x);
        }
        if (a)
            alert_finish(a);
        done = a && mem_fail_after(0) < n;
        mem_fail_after(0);
        alert_close(a);
        rules_close(r);
        free(g);
    }
}

#define T(test) cmocka_unit_test_setup_teardown(test, make, unmake)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(attempt_and_outcome_share_one_id), T(outcome_is_told_even_when_the_rule_no_longer_matches), T(window_slides_and_is_not_cut_at_full_minutes),
        T(window_forgets_what_is_older_than_its_time), T(groups_are_counted_apart), T(a_correlation_told_at_the_attempt_gets_its_outcome_under_the_same_id), T(matches_out_of_order_count_in_their_time),
        T(an_exchange_counts_once_although_it_is_seen_twice), T(upper_bound_is_judged_when_the_window_is_over),
        T(temporal_takes_any_order_and_follows_aliases), T(temporal_ordered_wants_the_order), T(a_later_step_that_is_told_first_still_counts), T(repeats_are_grouped_into_a_summary),
        T(what_reached_nobody_does_not_hide_the_next_of_its_kind),
        T(critical_alerts_are_never_grouped), T(repeats_that_wait_at_the_end_are_told), T(rebuilt_memory_counts_and_tells_nothing),
        T(own_alerts_of_a_capture_are_never_above_low), T(own_alerts_of_a_device_have_their_level), T(state_is_bounded_and_overflow_is_told),
        T(hostile_regular_expression_cannot_stall), T(hostile_search_text_cannot_stall), T(control_characters_of_the_wire_do_not_reach_the_text), T(index_takes_writes_for_ten_minutes),
        T(part_of_an_index_is_known_from_its_birth), T(thousand_rules_of_other_indices_are_not_evaluated), T(memory_may_run_out_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
