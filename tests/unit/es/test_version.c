// Versions are learned from what servers say and show, and what the user gave stays.
#include "../../../src/es/version.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct endpoint A = {.ip = {1}, .port = 9200}, B = {.ip = {1}, .port = 9201};

static void learn_text(struct version_table *v, enum api api, const char *text)
{
    struct arena a;
    arena_init(&a, 0);
    version_learn_answer(v, &A, api, json_parse(&a, bytes_of_text(text), NULL));
    arena_fini(&a);
}

static void learn_header(struct version_table *v, const char *name, const char *value)
{
    struct header h = {bytes_of_text(name), bytes_of_text(value)};
    struct response_head head = {.headers = &h, .header_count = 1};
    version_learn_head(v, &A, &head);
}

static void the_root_answer_names_the_version(void **state)
{
    struct version_table *v = version_open(NULL, 0);
    (void)state;
    assert_int_equal(version_mask(v, &A), ROUTE_ANY);
    assert_int_equal(version_of(v, &A), 0);
    learn_text(v, API_INFO, "{\"version\":{\"number\":\"7.10.2\",\"lucene_version\":\"8.7.0\"},\"tagline\":\"You Know, for Search\"}");
    assert_int_equal(version_of(v, &A), 71002);
    assert_int_equal(version_mask(v, &A), ROUTE_ES7);
    assert_int_equal(version_of(v, &B), 0);
    learn_text(v, API_INFO, "{\"version\":{\"distribution\":\"opensearch\",\"number\":\"2.19.1\"}}");
    assert_int_equal(version_of(v, &A), 1021901);
    version_close(v);
}

static void an_opensearch_that_calls_itself_7_is_not_believed(void **state)
{
    struct version_table *v = version_open(NULL, 0);
    (void)state;
    learn_text(v, API_INFO, "{\"version\":{\"number\":\"7.10.2\"},\"tagline\":\"The OpenSearch Project: https://opensearch.org/\"}");
    assert_int_equal(version_mask(v, &A), ROUTE_OS1 | ROUTE_OS2);
    version_close(v);
}

static void what_the_user_gave_wins(void **state)
{
    struct es_version_of given = {A, 71002};
    struct version_table *v = version_open(&given, 1);
    (void)state;
    learn_text(v, API_INFO, "{\"version\":{\"number\":\"8.19.0\"}}");
    version_learn_shape(v, &A, VERSION_SHAPE_NO_TYPE);
    assert_int_equal(version_of(v, &A), 71002);
    assert_int_equal(version_mask(v, &A), ROUTE_ES7);
    version_close(v);
}

static void headers_tell(void **state)
{
    struct version_table *v = version_open(NULL, 0);
    (void)state;
    learn_header(v, "X-elastic-product", "Elasticsearch");
    assert_int_equal(version_mask(v, &A), ROUTE_ES7 | ROUTE_ES8 | ROUTE_ES9);
    learn_header(v, "content-type", "application/vnd.elasticsearch+json;compatible-with=8");
    assert_int_equal(version_mask(v, &A), ROUTE_ES8 | ROUTE_ES9);
    learn_header(v, "Warning", "299 Elasticsearch-8.19.1-abc \"deprecated\"");
    assert_int_equal(version_of(v, &A), 81901);
    version_close(v);
    v = version_open(NULL, 0);
    learn_header(v, "warning", "299 OpenSearch-1.3.13-abc \"x\"");
    assert_int_equal(version_of(v, &A), 1010313);
    learn_header(v, "warning", "299 Elasticsearch-");
    learn_header(v, "warning", "299");
    assert_int_equal(version_of(v, &A), 1010313);
    version_close(v);
}

static void shapes_narrow_and_a_contradiction_begins_anew(void **state)
{
    struct version_table *v = version_open(NULL, 0);
    (void)state;
    version_learn_shape(v, &A, VERSION_SHAPE_TYPE);
    version_learn_shape(v, &A, VERSION_SHAPE_SEQ);
    assert_int_equal(version_mask(v, &A), ROUTE_ES6 | ROUTE_ES7 | ROUTE_OS1);
    version_learn_shape(v, &A, VERSION_SHAPE_NO_TYPE); // upgraded
    assert_int_equal(version_mask(v, &A), ROUTE_ES8 | ROUTE_ES9 | ROUTE_OS2 | ROUTE_OS3);
    version_learn_shape(v, &B, VERSION_SHAPE_NO_SEQ);
    assert_int_equal(version_of(v, &B), 50000);
    version_close(v);
}

static void nodes_agree_or_nothing_is_told(void **state)
{
    struct version_table *v = version_open(NULL, 0);
    (void)state;
    learn_text(v, API_NODES_INFO, "{\"nodes\":{\"a\":{\"version\":\"6.8.9\"},\"b\":{\"version\":\"7.10.2\"}}}");
    assert_int_equal(version_of(v, &A), 0);
    learn_text(v, API_NODES_INFO, "{\"nodes\":{\"a\":{\"version\":\"7.10.2\"},\"b\":{\"version\":\"7.9.0\"}}}");
    assert_int_equal(version_of(v, &A), 70900);
    learn_text(v, API_CLUSTER_STATS, "{\"nodes\":{\"versions\":[\"3.1.0\"]}}");
    assert_int_equal(version_of(v, &A), 1030100);
    learn_text(v, API_INFO, "{\"version\":{\"number\":\"\"}}");
    learn_text(v, API_INFO, "[]");
    version_close(v);
}

static void texts_are_parsed(void **state)
{
    static const struct { const char *text; uint32_t version; } cases[] = {
        {"7.10", 71000}, {"7.10.2", 71002}, {"8", 80000}, {"es6", 60000}, {"2.19", 1021900}, {"opensearch-3.1.0", 1030100}, {"OS2", 1020000}, {"elasticsearch-9.0", 90000}};
    static const char *const none[] = {"", "x", "es", "7.10x", "4.0", "0.9", "os9999", "7..1.1.1"};
    uint32_t version;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(version_parse(bytes_of_text(cases[i].text), &version));
        assert_int_equal(version, cases[i].version);
    }
    for (size_t i = 0; i < 7; i++)
        if (version_parse(bytes_of_text(none[i]), &version))
            fail_msg("'%s' passed as %u", none[i], version);
}

static void more_servers_than_the_table_holds_keep_the_given_ones(void **state)
{
    struct es_version_of given = {A, 60809};
    struct version_table *v = version_open(&given, 1);
    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        struct endpoint e = {.ip = {9, (uint8_t)(i >> 8), (uint8_t)i}, .port = 1};
        version_learn_shape(v, &e, VERSION_SHAPE_TYPE);
        assert_int_equal(version_mask(v, &e), ROUTE_WITH_TYPES);
    }
    assert_int_equal(version_of(v, &A), 60809);
    version_close(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_root_answer_names_the_version),
        cmocka_unit_test(an_opensearch_that_calls_itself_7_is_not_believed),
        cmocka_unit_test(what_the_user_gave_wins),
        cmocka_unit_test(headers_tell),
        cmocka_unit_test(shapes_narrow_and_a_contradiction_begins_anew),
        cmocka_unit_test(nodes_agree_or_nothing_is_told),
        cmocka_unit_test(texts_are_parsed),
        cmocka_unit_test(more_servers_than_the_table_holds_keep_the_given_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
