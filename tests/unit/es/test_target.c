// Every place where a call can name an index is read, each name once, in order.
#include "../../../src/es/target.h"
#include "../../../src/es/target_rename.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>

struct example {
    const char *verb, *target, *body, *expected; // expected: names joined by " | "
};

static const struct example examples[] = {
    {"GET", "/a/_search", NULL, "a"},
    {"DELETE", "/a%2Cb,c", NULL, "a | b | c"},
    {"GET", "/logs-*,-logs-old,a,a/_search", NULL, "logs-* | -logs-old | a"},
    {"GET", "/remote:idx,local/_search", NULL, "remote:idx | local"},
    {"GET", "/%3Clogs-%7Bnow%2Fd%7D%3E/_count", NULL, "<logs-{now/d}>"},
    {"GET", "/a%2Fb/_search", NULL, "a/b"},
    {"GET", "/_search?index=q1,q2", NULL, "q1 | q2"},
    {"GET", "/a/_search?index=ignored", NULL, "a"},
    {"GET", "/_search", NULL, ""},
    {"GET", "/_cat/indices/a,b", NULL, "a | b"},
    {"GET", "/_nodes/stats/indices/docs", NULL, ""},
    {"GET", "/_info/http", NULL, ""},
    {"PUT", "/a/_alias/x", NULL, "a | x"},
    {"PUT", "/_data_stream/s", NULL, "s"},
    {"PUT", "/_index_template/t", "{\"index_patterns\":[\"a-*\",\"b-*\"]}", "a-* | b-*"},
    {"PUT", "/_template/t", "{\"template\":\"old-*\"}", "old-*"},
    {"POST", "/alias/_rollover/new-1", "{}", "alias | new-1"},
    {"PUT", "/a/_shrink/b", "{}", "a | b"},
    {"POST", "/a/_downsample/b", "{}", "a | b"},
    {"GET", "/_resolve/index/a*", NULL, "a*"},
    {"POST", "/_aliases", "{\"actions\":[{\"add\":{\"indices\":[\"i1\",\"i2\"],\"alias\":\"x\"}},{\"remove_index\":{\"index\":\"i3\"}},{\"remove\":{\"index\":\"i1\",\"aliases\":[\"y\"]}}]}",
     "i1 | i2 | x | i3 | y"},
    {"POST", "/_reindex", "{\"source\":{\"index\":[\"a\",\"b\"]},\"dest\":{\"index\":\"c\"}}", "a | b | c"},
    {"POST", "/_reindex", "{\"source\":{\"remote\":{\"host\":\"http://h:9200\",\"password\":\"p\"},\"index\":\"a\"},\"dest\":{\"index\":\"c\"}}", "a | c"},
    {"POST", "/_mget", "{\"docs\":[{\"_index\":\"a\",\"_id\":\"1\"},{\"_index\":\"b\",\"_id\":\"2\"},{\"_index\":\"a\",\"_id\":\"3\"}]}", "a | b"},
    {"POST", "/d/_mget", "{\"docs\":[{\"_id\":\"1\"},{\"_index\":\"b\",\"_id\":\"2\"}]}", "d | b"},
    {"PUT", "/_snapshot/r/s", "{\"indices\":\"a,b*\"}", "a | b*"},
    {"POST", "/_snapshot/r/s/_restore", "{\"indices\":\"a,b*\",\"rename_pattern\":\"(.+)\",\"rename_replacement\":\"restored_$1\"}", "a | b* | restored_a"},
    {"POST", "/_snapshot/r/s/_restore", "{\"indices\":[\"a\"],\"rename_pattern\":\"(((\",\"rename_replacement\":\"x\"}", "a"},
    {"POST", "/_data_stream/_modify", "{\"actions\":[{\"add_backing_index\":{\"data_stream\":\"s\",\"index\":\"i\"}}]}", "s | i"},
    {"POST", "/_cluster/reroute", "{\"commands\":[{\"move\":{\"index\":\"i\",\"shard\":0}}]}", "i"},
    {"PUT", "/f/_ccr/follow", "{\"remote_cluster\":\"eu\",\"leader_index\":\"l\"}", "f | eu:l"},
    {"PUT", "/_enrich/policy/p", "{\"match\":{\"indices\":[\"u\"],\"match_field\":\"m\"}}", "u"},
    {"PUT", "/_transform/t", "{\"source\":{\"index\":\"a\"},\"dest\":{\"index\":\"b\"}}", "a | b"},
    {"PUT", "/_plugins/_transform/t", "{\"transform\":{\"source_index\":\"a\",\"target_index\":\"b\"}}", "a | b"},
    {"POST", "/_ilm/move/i", "{}", "i"},
    {"POST", "/_plugins/_ism/add/i", "{\"policy_id\":\"p\"}", "i"},
    {"POST", "/_sql", "{\"query\":\"SELECT a FROM t1 AS x JOIN t2 y ON x.i = y.i WHERE b = 'FROM no'\"}", "t1 | t2"},
    {"POST", "/_sql", "{\"query\":\"SELECT EXTRACT(YEAR FROM d) FROM \\\"logs-*\\\" -- FROM no\\n LIMIT 1\"}", "logs-*"},
    {"POST", "/_sql", "{\"query\":\"SELECT * FROM (SELECT a FROM inner1) /* FROM no */\"}", "inner1"},
    {"POST", "/_sql", "{\"query\":\"SHOW COLUMNS IN t3\"}", "t3"},
    {"POST", "/_sql", "{\"query\":\"DESCRIBE t4\"}", "t4"},
    {"POST", "/_sql", "{\"query\":\"SELECT a FROM t WHERE x IN (1, 2) ORDER BY a DESC\"}", "t"},
    {"POST", "/_plugins/_sql", "{\"query\":\"DELETE FROM `my-index` WHERE a = 1\"}", "my-index"},
    {"POST", "/_sql", "{\"query\":\"SELECT * FROM cluster:idx, other\"}", "cluster:idx | other"},
    {"POST", "/_query", "{\"query\":\"FROM a, \\\"b-*\\\", c:d METADATA _id | WHERE x == \\\"FROM no\\\" | LOOKUP JOIN l ON k\"}", "a | b-* | c:d | l"},
    {"POST", "/_query", "{\"query\":\"ROW a = 1 | EVAL from = 2\"}", ""},
    {"POST", "/_query", "{\"query\":\"// FROM no\\nfrom eu:\\\"x-*\\\"|limit 1\"}", "eu:x-*"},
    {"POST", "/_plugins/_ppl", "{\"query\":\"search source=a,b | where c = 'source=no' | fields d\"}", "a | b"},
    {"POST", "/_plugins/_ppl", "{\"query\":\"source = `my-i` | head\"}", "my-i"},
    {"POST", "/_plugins/_ppl", "{\"query\":\"source=a | join left=l right=r on l.x = r.x b-1 | fields y\"}", "a | b-1"},
    {"POST", "/_plugins/_ppl", "{\"query\":\"source=a | left join left=l, right=r where l.x = r.x `b` as c\"}", "a | b"},
    {"POST", "/_plugins/_ppl", "{\"query\":\"source=a | join type=inner x, y b | cross join on 1=1 [ source=c | head 1 ] as d | where left = 1\"}", "a | b | c"},
    {"POST", "/_sql", "{\"query\":17}", ""},
    {"POST", "/_aliases", "{\"actions\":{\"add\":{\"index\":7}}}", ""},
    {"POST", "/_mget", "[1,2]", ""},
};

static void each_place_is_read(void **state)
{
    unsigned wrong = 0;
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        struct arena a;
        struct route_match m;
        struct path_query q;
        struct target_list t;
        struct bytes path, query;
        char got[1024] = "";
        arena_init(&a, 0);
        path_split(bytes_of_text(examples[i].target), &path, &query);
        path_query_read(&a, query, &q);
        assert_true(route_find(bytes_of_text(examples[i].verb), path, ROUTE_ANY, &m));
        target_init(&t, &a);
        target_add_url(&t, &m, &q);
        if (examples[i].body)
            target_add_body(&t, &m, json_parse(&a, bytes_of_text(examples[i].body), NULL));
        for (size_t k = 0; k < t.count; k++)
            sprintf(got + strlen(got), "%s%.*s", k ? " | " : "", (int)t.at[k].size, (const char *)t.at[k].at);
        if (strcmp(got, examples[i].expected) != 0) {
            wrong++;
            print_message("%s %s %s: '%s', not '%s'\n", examples[i].verb, examples[i].target, examples[i].body ? examples[i].body : "", got, examples[i].expected);
        }
        arena_fini(&a);
    }
    assert_int_equal(wrong, 0);
}

static void msearch_headers_name_indices(void **state)
{
    struct arena a;
    struct target_list t;
    (void)state;
    arena_init(&a, 0);
    target_init(&t, &a);
    assert_true(target_add_msearch_header(&t, bytes_of_text("{\"index\":\"a,b\"}")));
    assert_true(target_add_msearch_header(&t, bytes_of_text("{\"index\":[\"c\",\"a\"],\"preference\":\"x\"}")));
    assert_false(target_add_msearch_header(&t, bytes_of_text("{}")));
    assert_false(target_add_msearch_header(&t, bytes_of_text("{\"index\":")));
    assert_false(target_add_msearch_header(&t, bytes_of_text("")));
    assert_int_equal(t.count, 3);
    arena_fini(&a);
}

static void a_list_past_its_bound_counts_what_it_drops(void **state)
{
    struct arena a;
    struct target_list t;
    char name[16];
    (void)state;
    arena_init(&a, 0);
    target_init(&t, &a);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < TARGET_MAX + 100; i++) {
            sprintf(name, "i%d", i);
            target_add(&t, bytes_of_text(name));
        }
    assert_int_equal(t.count, TARGET_MAX);
    assert_int_equal(t.dropped, 200);
    assert_false(t.failed);
    assert_true(bytes_equal_text(t.at[TARGET_MAX - 1], "i4095"));
    arena_fini(&a);
}

static void memory_that_runs_out_is_told(void **state)
{
    struct arena a;
    struct target_list t;
    char name[64];
    (void)state;
    arena_init(&a, 8192);
    target_init(&t, &a);
    for (int i = 0; i < 1000; i++) {
        sprintf(name, "a-name-of-some-length-%d", i);
        target_add(&t, bytes_of_text(name));
    }
    assert_true(t.failed);
    assert_true(t.dropped > 0);
    arena_fini(&a);
}

static void wildcards_and_system_names_are_told_apart(void **state)
{
    (void)state;
    assert_true(target_is_wildcard(bytes_of_text("a*")));
    assert_true(target_is_wildcard(bytes_of_text("_all")));
    assert_true(target_is_wildcard(bytes_of_text("-a")));
    assert_false(target_is_wildcard(bytes_of_text("a-b")));
    assert_false(target_is_wildcard(bytes_of_text("")));
    assert_true(target_is_system(bytes_of_text(".kibana*")));
    assert_true(target_is_security(bytes_of_text(".security-7")));
    assert_true(target_is_security(bytes_of_text(".opendistro_security")));
    assert_false(target_is_security(bytes_of_text("security")));
    assert_false(target_is_system(bytes_of_text("kibana_sample_data")));
}

static void restores_rename_as_java_would(void **state)
{
    static const struct { const char *name, *pattern, *replacement, *made; } cases[] = {
        {"a", "(.+)", "restored_$1", "restored_a"}, {"index_1", "index_(.+)", "restored_$1", "restored_1"}, {"logs-2026", "^logs-(.*)$", "old-$1", "old-2026"},
        {"other", "^logs-(.*)$", "old-$1", "other"}, {"a-b", "(.+)-(.+)", "$2-$1", "b-a"}, {"a.b", "\\.", "-", "a-b"}, {"aXbX", "X", "y", "ayby"},
        {"n12m3", "(\\d+)", "<$1>", "n<12>m<3>"}, {"abc", "$", "_old", "abc_old"}, {"abc", "^", "pre_", "pre_abc"}, {"ab", "(.+?)", "$1.", "a.b."}, {"a", ".*", "x", "xx"},
        {"a", "a", "\\$1", "$1"}, {"a", "(a)", "$0$1", "aa"}, {"x7", "[a-z]([0-9])", "$1", "7"},
    };
    static const char *const beyond[] = {"(a|b)", "a{2}", "(?i)a", "[^a]", "a+", "(((", "a)", "\\bx", "(.+)+"};
    char made[64];
    size_t size;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(target_rename(bytes_of_text(cases[i].name), bytes_of_text(cases[i].pattern), bytes_of_text(cases[i].replacement), made, sizeof made, &size));
        if (!bytes_equal_text(bytes_of(made, size), cases[i].made))
            fail_msg("%s by %s: %.*s, not %s", cases[i].name, cases[i].pattern, (int)size, made, cases[i].made);
    }
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++)
        assert_false(target_rename(bytes_of_text("aab"), bytes_of_text(beyond[i]), bytes_of_text("x"), made, sizeof made, &size));
    assert_false(target_rename(bytes_of_text("a"), bytes_of_text("a"), bytes_of_text("$1"), made, sizeof made, &size)); // no such group
    assert_false(target_rename(bytes_of_text("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), bytes_of_text("(.*)(.*)(.*)(.*)(.*)(.*)x"),
                               bytes_of_text("y"), made, sizeof made, &size)); // gives up
    assert_false(target_rename(bytes_of_text("aaaaaaaaaaaaaaaaaaaa"), bytes_of_text("a"), bytes_of_text("0123456789"), made, sizeof made, &size));
}

static void hostile_query_texts_end(void **state)
{
    static const char *const texts[] = {"FROM", "FROM ,", "FROM \"", "FROM '", "/*", "--", "((((((((((", "FROM a AS", "SHOW COLUMNS IN", "DESC", "FROM a:", "FROM \"a\":", "\"\"\"",
                                        "FROM \"\"\"a", "source=", "[source=", "lookup", "FROM a\\", "'\\"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (int l = TARGET_SQL; l <= TARGET_PPL; l++) {
            struct arena a;
            struct target_list t;
            arena_init(&a, 0);
            target_init(&t, &a);
            uint8_t *copy = mem_alloc(strlen(texts[i]) ? strlen(texts[i]) : 1); // flush for the sanitizer
            memcpy(copy, texts[i], strlen(texts[i]));
            target_add_query_text(&t, (enum target_language)l, bytes_of(copy, strlen(texts[i])));
            assert_true(t.count <= 2);
            mem_free(copy);
            arena_fini(&a);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_place_is_read),
        cmocka_unit_test(msearch_headers_name_indices),
        cmocka_unit_test(a_list_past_its_bound_counts_what_it_drops),
        cmocka_unit_test(memory_that_runs_out_is_told),
        cmocka_unit_test(wildcards_and_system_names_are_told_apart),
        cmocka_unit_test(restores_rename_as_java_would),
        cmocka_unit_test(hostile_query_texts_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
