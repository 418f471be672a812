// Golden pairs of the built-in pack: every rule that alerts fires on its example and is silent on its near miss.
#include "feed.h"

static struct arena arena;

static const struct json *read_golden(void)
{
    static char text[1 << 20];
    FILE *file = fopen("tests/unit/alert/golden.json", "re");
    assert_non_null(file);
    size_t size = fread(text, 1, sizeof text, file);
    fclose(file);
    const struct json *j = json_parse(&arena, bytes_of(text, size), NULL);
    assert_non_null(j);
    return json_member(j, "golden");
}

static unsigned fires(const char *rule, const struct json *events)
{
    struct feed *f = calloc(1, sizeof *f);
    feed_open(f, NULL);
    for (const struct json *e = events->first; e; e = e->next)
        feed_event(f, e);
    unsigned count = feed_count(f, rule);
    feed_close(f);
    free(f);
    return count;
}

static void every_rule_fires_on_its_example_and_not_on_its_near_miss(void **state)
{
    (void)state;
    size_t pairs = 0, wrong = 0;
    for (const struct json *g = read_golden()->first; g; g = g->next, pairs++) {
        char rule[64];
        snprintf(rule, sizeof rule, "%.*s", (int)feed_text(g, "rule").size, (const char *)feed_text(g, "rule").at);
        unsigned on = fires(rule, json_member(g, "fires")), off = fires(rule, json_member(g, "silent"));
        if (on == 0 || off != 0) {
            print_error("%s: %u alerts on its example, %u on its near miss\n", rule, on, off);
            wrong++;
        }
    }
    assert_true(pairs > 90);
    assert_int_equal(wrong, 0);
}

static void every_rule_that_alerts_has_a_golden_pair(void **state)
{
    (void)state;
    struct feed *f = calloc(1, sizeof *f);
    const struct json *golden = read_golden();
    struct rule_view v;
    feed_open(f, NULL);
    for (size_t i = 0; rules_view(f->rules, i, &v); i++) {
        bool found = !v.alone;
        for (const struct json *g = golden->first; g && !found; g = g->next)
            found = bytes_equal_text(feed_text(g, "rule"), v.name);
        if (!found)
            print_error("%s has no golden pair\n", v.name);
        assert_true(found);
        assert_true(v.enabled && !v.refused);
        assert_true(*v.id && *v.title && *v.description && *v.level);
    }
    feed_close(f);
    free(f);
}

// The accident in small: writers, the DELETE by hand, writers again, the restore.
static void accident_raises_one_critical_alert_that_names_who_and_client(void **state)
{
    (void)state;
    struct feed *f = calloc(1, sizeof *f);
    feed_open(f, NULL);
    feed_json(f, "[{\"api\":\"bulk\",\"verb\":\"POST\",\"path\":\"/_bulk\",\"targets\":[\"catalog\"],\"write\":true,\"agent\":\"elasticsearch-py/7\",\"principal\":\"import\",\"docs\":70,\"status\":200,\"outcome\":\"ok\",\"repeat\":60,\"step\":1},"
                 "{\"api\":\"indices.delete\",\"verb\":\"DELETE\",\"path\":\"/catalog\",\"targets\":[\"catalog\"],\"write\":true,\"agent\":\"PostmanRuntime/7.39.0\",\"principal\":\"alice\",\"client_ip\":\"10.1.7.23\",\"at\":61,\"both\":true,\"outcome\":\"unanswered\",\"reason\":\"client_left\"},"
                 "{\"api\":\"bulk\",\"verb\":\"POST\",\"path\":\"/_bulk\",\"targets\":[\"catalog\"],\"write\":true,\"agent\":\"elasticsearch-py/7\",\"principal\":\"import\",\"docs\":70,\"status\":200,\"outcome\":\"ok\",\"repeat\":60,\"step\":1,\"at\":62},"
                 "{\"api\":\"snapshot.restore\",\"verb\":\"POST\",\"path\":\"/_snapshot/r/s/_restore\",\"targets\":[\"catalog\"],\"write\":true,\"agent\":\"curl/7\",\"principal\":\"backup\",\"at\":200,\"both\":true,\"status\":200,\"outcome\":\"ok\"}]");
    size_t critical = 0;
    for (size_t i = 0; i < f->seen_count; i++)
        critical += f->seen[i].level == ALERT_CRITICAL;
    assert_int_equal(critical, 1);
    size_t i = feed_place(f, "index.delete.live");
    assert_int_equal(f->seen[i].attempts, 1);
    assert_int_equal(f->seen[i].outcomes, 1);
    assert_non_null(strstr(f->seen[i].text, "catalog by alice from 10.1.7.23 with PostmanRuntime/7.39.0"));
    assert_non_null(strstr(f->seen[i].text, "estape replay --skip 61 --tape T"));
    assert_non_null(strstr(f->seen[i].json, "\"outcome\":\"unanswered\""));
    feed_close(f);
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_fires_on_its_example_and_not_on_its_near_miss),
        cmocka_unit_test(every_rule_that_alerts_has_a_golden_pair),
        cmocka_unit_test(accident_raises_one_critical_alert_that_names_who_and_client),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&arena);
    return failed;
}
