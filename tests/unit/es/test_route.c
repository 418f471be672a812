// Request lines resolve to the API that a node of that version would call, and to nothing else.
#include "../../../src/es/route.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

static const struct { const char *name; unsigned bit; } products[] = {
    {"es5", ROUTE_ES5}, {"es6", ROUTE_ES6}, {"es7", ROUTE_ES7}, {"es8", ROUTE_ES8}, {"es9", ROUTE_ES9}, {"os1", ROUTE_OS1}, {"os2", ROUTE_OS2}, {"os3", ROUTE_OS3}};

static const char *resolve(const char *verb, const char *path, unsigned versions)
{
    static struct route_match m;
    route_find(bytes_of_text(verb), bytes_of_text(path), versions, &m);
    return (const char *)route_api_name(m.api).at;
}

// What the fields of one table line are; lines of '#' and the heading are passed over.
static size_t read_line(FILE *f, char *line, size_t room, char **field, size_t fields)
{
    while (fgets(line, (int)room, f)) {
        size_t n = 0;
        line[strcspn(line, "\n")] = 0;
        if (line[0] == '#' || strncmp(line, "verb\t", 5) == 0)
            continue;
        for (char *at = line; at && n < fields; n++) {
            field[n] = at;
            at = strchr(at, '\t');
            if (at)
                *at++ = 0;
        }
        return n;
    }
    return 0;
}

static void every_line_of_the_table_resolves_in_each_of_its_versions(void **state)
{
    FILE *f = fopen("tests/es-routes/examples.tsv", "r");
    char line[2048], *field[5];
    unsigned lines = 0, wrong = 0;
    (void)state;
    assert_non_null(f);
    while (read_line(f, line, sizeof line, field, 5) == 5) {
        lines++;
        for (size_t i = 0; i < 8; i++) {
            if (!strstr(field[4], products[i].name))
                continue;
            struct route_match m;
            route_find(bytes_of_text(field[0]), bytes_of_text(field[1]), products[i].bit, &m);
            if (strcmp((const char *)route_api_name(m.api).at, field[2]) != 0 || !m.template || strcmp(m.template, field[3]) != 0) {
                wrong++;
                print_message("%s %s on %s: %s (%s), not %s (%s)\n", field[0], field[1], products[i].name, (const char *)route_api_name(m.api).at,
                              m.template ? m.template : "-", field[2], field[3]);
            }
        }
    }
    fclose(f);
    assert_int_equal(wrong, 0);
    assert_true(lines > 1700);
}

static void what_running_nodes_registered_is_in_the_table(void **state)
{
    FILE *f = fopen("tests/es-routes/registered.tsv", "r");
    char line[2048], path[512], *field[4];
    unsigned wrong = 0, lines = 0;
    (void)state;
    assert_non_null(f);
    while (read_line(f, line, sizeof line, field, 4) == 4) {
        size_t used = 0;
        for (const char *p = field[1]; *p; p++) { // every {name} becomes "zz"
            if (*p == '{') {
                memcpy(path + used, "zz", 2);
                used += 2;
                p = strchr(p, '}');
            } else {
                path[used++] = *p;
            }
        }
        path[used] = 0;
        lines++;
        for (size_t i = 0; i < 8; i++) {
            const char *api = strstr(field[3], products[i].name) ? resolve(field[0], path, products[i].bit) : NULL;
            // 6.8 called X-Pack's APIs xpack.X.y; the newest list's name wins.
            if (api && strcmp(api, field[2]) != 0 && !(strncmp(field[2], "xpack.", 6) == 0 && strcmp(api, field[2] + 6) == 0)) {
                wrong++;
                print_message("%s %s on %s: %s, not %s\n", field[0], path, products[i].name, api, field[2]);
            }
        }
    }
    fclose(f);
    assert_int_equal(wrong, 0);
    assert_true(lines > 400);
}

#define IS(verb, path, versions, api) assert_string_equal(resolve(verb, path, versions), api)
#define UNKNOWN(verb, path, versions) IS(verb, path, versions, "")

static void path_is_cut_before_decoding_and_literals_are_compared_undecoded(void **state)
{
    struct route_match m;
    (void)state;
    assert_true(route_find(bytes_of_text("GET"), bytes_of_text("/a%2Fb/_search"), ROUTE_ES9, &m));
    assert_int_equal(m.api, API_SEARCH);
    assert_true(bytes_equal_text(route_part(&m, "index", NULL), "a%2Fb"));
    IS("DELETE", "/_%61ll", ROUTE_ES7, "indices.delete");
    IS("DELETE", "/%2A", ROUTE_OS2, "indices.delete");
    IS("POST", "/t1/%5Fsearch", ROUTE_ES7, "index"); // a document of type _search
    IS("POST", "/t1/%5Fsearch", ROUTE_OS1, "index");
    UNKNOWN("POST", "/t1/%5Fsearch", ROUTE_ES8);
    UNKNOWN("POST", "/t1/%5Fsearch", ROUTE_OS3);
}

static void trailing_slashes_vanish_and_an_empty_segment_is_a_value(void **state)
{
    struct route_match m;
    (void)state;
    IS("GET", "/t1/_search/", ROUTE_ES9, "search");
    IS("DELETE", "/t1/", ROUTE_ES7, "indices.delete");
    assert_true(route_find(bytes_of_text("PUT"), bytes_of_text("/_template//x"), ROUTE_ES7, &m));
    assert_int_equal(m.api, API_INDEX);
    assert_true(bytes_equal_text(route_part(&m, "index", NULL), "_template"));
    assert_int_equal(route_part(&m, "type", NULL).size, 0);
    assert_true(bytes_equal_text(route_part(&m, "id", NULL), "x"));
    UNKNOWN("PUT", "/_template//x", ROUTE_ES8);
    UNKNOWN("PUT", "/_template//x", ROUTE_OS2);
    IS("GET", "/", ROUTE_ES9, "info");
    IS("HEAD", "/", ROUTE_ES5, "ping");
}

static void literals_win_then_wildcard_first_then_last_then_anywhere(void **state)
{
    (void)state;
    IS("GET", "/_snapshot/_search", ROUTE_ES7, "search");
    IS("GET", "/_cat/_search", ROUTE_OS2, "search");
    IS("POST", "/_template/_doc", ROUTE_ES7, "index");
    IS("GET", "/_alias/_mapping", ROUTE_ES7, "indices.get_mapping");
    IS("GET", "/_ingest/pipeline/_simulate", ROUTE_ES9, "ingest.simulate");
    IS("GET", "/_nodes/stats", ROUTE_ES9, "nodes.stats");
    IS("GET", "/_nodes/hot_threads", ROUTE_ES9, "nodes.hot_threads");
    IS("PUT", "/_security/api_key/clone", ROUTE_ES9, "security.clone_api_key");
    IS("GET", "/_plugins/_ml/models/_search", ROUTE_OS3, "ml.search_models");
}

static void of_several_templates_the_first_with_the_verb_decides(void **state)
{
    (void)state;
    IS("POST", "/_search/template", ROUTE_ES7, "search_template");
    IS("DELETE", "/_search/scroll", ROUTE_ES9, "clear_scroll");
    UNKNOWN("PUT", "/_search", ROUTE_ES7); // the literal holds routes: no wildcard takes its place, the node says 405
    UNKNOWN("DELETE", "/_search", ROUTE_ES9);
    UNKNOWN("PATCH", "/t1/_search", ROUTE_ES9);
}

static void head_exists_only_where_registered(void **state)
{
    (void)state;
    IS("HEAD", "/t1", ROUTE_ES9, "indices.exists");
    IS("HEAD", "/t1/_doc/1", ROUTE_ES9, "exists");
    IS("HEAD", "/t1/_source/1", ROUTE_OS2, "exists_source");
    IS("HEAD", "/_alias/a", ROUTE_ES9, "indices.exists_alias");
    UNKNOWN("HEAD", "/t1/_search", ROUTE_ES9);
    UNKNOWN("HEAD", "/_cluster/health", ROUTE_OS3);
    UNKNOWN("OPTIONS", "/t1", ROUTE_ES9);
    UNKNOWN("get", "/t1", ROUTE_ES9); // verbs are case-sensitive
    UNKNOWN("BREW", "/t1", ROUTE_ES9);
}

static void the_version_decides_between_a_typed_path_and_a_document(void **state)
{
    struct route_match m;
    (void)state;
    IS("POST", "/t1/_doc/_search", ROUTE_ES7, "search");
    IS("POST", "/t1/_doc/_search", ROUTE_OS1, "search");
    IS("POST", "/t1/_doc/_search", ROUTE_ES8, "index");
    IS("POST", "/t1/_doc/_search", ROUTE_OS2, "index");
    IS("PUT", "/t1/_doc/_mapping", ROUTE_ES6, "indices.put_mapping");
    IS("PUT", "/t1/_doc/_mapping", ROUTE_ES9, "index");
    IS("PUT", "/t1/doc/1", ROUTE_ES6, "index");
    UNKNOWN("PUT", "/t1/doc/1", ROUTE_ES9);
    IS("POST", "/t1/doc/1/_update", ROUTE_ES5, "update");
    IS("PUT", "/t1/doc/1/_create", ROUTE_ES6, "create");
    assert_true(route_find(bytes_of_text("DELETE"), bytes_of_text("/t1/doc/1"), ROUTE_ES7, &m));
    assert_int_equal(m.api, API_DELETE);
    assert_true(m.flags & ROUTE_TYPED);
}

static void an_unknown_version_takes_the_newest_reading_that_fits(void **state)
{
    struct route_match m;
    (void)state;
    IS("POST", "/t1/_doc/_search", ROUTE_ANY, "index");
    IS("PUT", "/t1/doc/1", ROUTE_ANY, "index");
    assert_true(route_find(bytes_of_text("PUT"), bytes_of_text("/t1/doc/1"), ROUTE_ANY, &m));
    assert_int_equal(m.versions & ~(unsigned)ROUTE_WITH_TYPES, 0);
    IS("POST", "/_opendistro/_ism/add/x", ROUTE_ANY, "ism.add_policy");
    IS("PUT", "/_xpack/security/user/joe", ROUTE_ANY, "security.put_user");
    IS("POST", "/_plugins/_sql", ROUTE_ANY, "sql.query");
}

static void unknown_routes_stay_unknown(void **state)
{
    (void)state;
    UNKNOWN("POST", "/_plugins/_nobody/knows", ROUTE_ANY);
    UNKNOWN("POST", "/_plugins/_nobody", ROUTE_ANY);
    UNKNOWN("GET", "/a/b/c/d/e/f/g/h", ROUTE_ANY);
    UNKNOWN("GET", "no-slash", ROUTE_ANY);
    UNKNOWN("GET", "*", ROUTE_ANY);
    UNKNOWN("PUT", "/t1/_unknown", ROUTE_ANY);
    UNKNOWN("GET", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18", ROUTE_ANY);
    UNKNOWN("GET", "/t1/_search", 0);
}

static void plus_and_semicolon_belong_to_the_name(void **state)
{
    struct route_match m;
    (void)state;
    assert_true(route_find(bytes_of_text("GET"), bytes_of_text("/t1;x=1/_search"), ROUTE_ES9, &m));
    assert_true(bytes_equal_text(route_part(&m, "index", NULL), "t1;x=1"));
    assert_true(route_find(bytes_of_text("GET"), bytes_of_text("/a+b/_doc/c+d"), ROUTE_ES9, &m));
    assert_true(bytes_equal_text(route_part(&m, "id", NULL), "c+d"));
}

static void a_literal_star_is_a_name_like_any_other(void **state)
{
    struct route_match m;
    (void)state;
    assert_true(route_find(bytes_of_text("DELETE"), bytes_of_text("/*"), ROUTE_ES9, &m));
    assert_int_equal(m.api, API_INDICES_DELETE);
    assert_true(bytes_equal_text(route_part(&m, "index", NULL), "*"));
    IS("POST", "/*/_delete_by_query", ROUTE_OS3, "delete_by_query");
    IS("DELETE", "/_template/*", ROUTE_ES7, "indices.delete_template");
}

static void calls_without_an_index_are_known(void **state)
{
    (void)state;
    IS("DELETE", "/", ROUTE_ES7, "indices.delete");
    IS("POST", "/_close", ROUTE_ES7, "indices.close");
    IS("PUT", "/_settings", ROUTE_ES9, "indices.put_settings");
    IS("POST", "/_flush", ROUTE_OS3, "indices.flush");
    IS("PUT", "/_bulk", ROUTE_ES8, "bulk");
}

static void flags_tell_reads_from_writes(void **state)
{
    static const struct { const char *verb, *path; uint32_t set, clear; } cases[] = {
        {"POST", "/t/_search", ROUTE_HITS, ROUTE_WRITE},
        {"POST", "/_bulk", ROUTE_WRITE | ROUTE_BULK | ROUTE_NDJSON, ROUTE_ADMIN},
        {"PUT", "/t/_doc/1", ROUTE_WRITE | ROUTE_DOC, ROUTE_ADMIN},
        {"POST", "/t/_delete_by_query", ROUTE_WRITE | ROUTE_BY_QUERY, ROUTE_ADMIN},
        {"DELETE", "/t", ROUTE_WRITE | ROUTE_ADMIN, ROUTE_DOC},
        {"POST", "/_msearch", ROUTE_NDJSON | ROUTE_HITS, ROUTE_WRITE},
        {"POST", "/t/_refresh", 0, ROUTE_WRITE},
        {"POST", "/t/_forcemerge", ROUTE_WRITE | ROUTE_ADMIN, 0},
        {"POST", "/t/_pit?keep_alive=1m", 0, ROUTE_WRITE},
        {"PUT", "/_security/user/x", ROUTE_WRITE | ROUTE_ADMIN | ROUTE_SECRET, 0},
        {"POST", "/_reindex", ROUTE_WRITE | ROUTE_BY_QUERY | ROUTE_SECRET, 0},
        {"DELETE", "/_search/scroll", 0, ROUTE_WRITE},
        {"PUT", "/_ingest/pipeline/p", ROUTE_WRITE | ROUTE_SECRET, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct route_match m;
        struct bytes path = bytes_of(cases[i].path, strcspn(cases[i].path, "?"));
        assert_true(route_find(bytes_of_text(cases[i].verb), path, ROUTE_ANY, &m));
        if ((m.flags & cases[i].set) != cases[i].set || (m.flags & cases[i].clear))
            fail_msg("%s %s: flags %x", cases[i].verb, cases[i].path, m.flags);
    }
}

static void names_and_actions_are_told(void **state)
{
    (void)state;
    assert_true(bytes_equal_text(route_api_name(API_INDICES_DELETE), "indices.delete"));
    assert_true(bytes_equal_text(route_api_action(API_INDICES_DELETE), "indices:admin/delete"));
    assert_true(bytes_equal_text(route_api_action(API_BULK), "indices:data/write/bulk"));
    assert_int_equal(route_api_by_name(bytes_of_text("update_by_query")), API_UPDATE_BY_QUERY);
    assert_int_equal(route_api_by_name(bytes_of_text("no.such")), API_NONE);
    assert_int_equal(route_version_bit(71002), ROUTE_ES7);
    assert_int_equal(route_version_bit(1021900), ROUTE_OS2);
    assert_int_equal(route_version_bit(0), 0);
}

static void an_action_of_one_product_is_not_told_of_the_other(void **state)
{
    struct route_match m;
    (void)state;
    route_find(bytes_of_text("DELETE"), bytes_of_text("/_security/user/x"), ROUTE_ES8, &m);
    assert_string_equal(m.action, "cluster:admin/xpack/security/user/delete");
    route_find(bytes_of_text("DELETE"), bytes_of_text("/_plugins/_security/api/internalusers/x"), ROUTE_OS2, &m);
    assert_int_equal(m.api, API_SECURITY_DELETE_USER);
    assert_string_equal(m.action, "");
    route_find(bytes_of_text("GET"), bytes_of_text("/nothing/like/that/here"), ROUTE_ANY, &m);
    assert_string_equal(m.action, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_of_the_table_resolves_in_each_of_its_versions),
        cmocka_unit_test(what_running_nodes_registered_is_in_the_table),
        cmocka_unit_test(path_is_cut_before_decoding_and_literals_are_compared_undecoded),
        cmocka_unit_test(trailing_slashes_vanish_and_an_empty_segment_is_a_value),
        cmocka_unit_test(literals_win_then_wildcard_first_then_last_then_anywhere),
        cmocka_unit_test(of_several_templates_the_first_with_the_verb_decides),
        cmocka_unit_test(head_exists_only_where_registered),
        cmocka_unit_test(the_version_decides_between_a_typed_path_and_a_document),
        cmocka_unit_test(an_unknown_version_takes_the_newest_reading_that_fits),
        cmocka_unit_test(unknown_routes_stay_unknown),
        cmocka_unit_test(plus_and_semicolon_belong_to_the_name),
        cmocka_unit_test(a_literal_star_is_a_name_like_any_other),
        cmocka_unit_test(calls_without_an_index_are_known),
        cmocka_unit_test(flags_tell_reads_from_writes),
        cmocka_unit_test(names_and_actions_are_told),
        cmocka_unit_test(an_action_of_one_product_is_not_told_of_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
