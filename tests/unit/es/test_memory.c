// When memory runs out at any allocation the request side stays whole: names may be missing, nothing is lost or broken.
#include "../../../src/es/danger.h"
#include "../../../src/es/reads.h"
#include "../../../src/es/version.h"
#include "../../../src/es/who.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>

// One call from head to verdict, with everything that is learned on the way. True when nothing failed.
static bool walk(void)
{
    static const char body[] = "{\"indices\":\"a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r\",\"rename_pattern\":\"(.+)\",\"rename_replacement\":\"new_$1\"}";
    struct endpoint server = {.ip = {1}, .port = 9200};
    struct es_version_of given = {server, 71002};
    struct header headers[] = {{bytes_of_text("Authorization"), bytes_of_text("Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IiLCJpc3MiOiJodHRwczovL2lkcCJ9.c2ln")},
                               {bytes_of_text("X-Forwarded-For"), bytes_of_text("1")}, {bytes_of_text("X-Forwarded-For"), bytes_of_text("2")}};
    struct request_head head = {.target = bytes_of_text("/_snapshot/r/s%2B/_restore?a=%20b&wait_for_completion=false"), .headers = headers, .header_count = 3};
    struct version_table *versions = version_open(&given, 1);
    struct who_table *whos = who_open(2);
    struct reads *reads = reads_open();
    struct arena a;
    struct who who;
    struct route_match m;
    struct path_query q;
    struct target_list t;
    struct bytes path, query;
    struct reads_result r;
    bool whole = versions && whos && reads;
    arena_init(&a, 0);
    if (whole) {
        path_split(head.target, &path, &query);
        path_query_read(&a, query, &q);
        assert_true(route_find(bytes_of_text("POST"), path, version_mask(versions, &server), &m));
        assert_int_equal(m.api, API_SNAPSHOT_RESTORE); // matching needs no memory
        who_read(whos, &head, &a, &who);
        assert_true(who.auth == AUTH_JWT || who.auth == AUTH_BEARER);
        for (uint64_t i = 1; i < 5; i++)
            who_learn(whos, i, bytes_of_text("name"), bytes_of_text("realm"));
        version_learn_shape(versions, &(struct endpoint){.port = 1}, VERSION_SHAPE_TYPE);
        target_init(&t, &a);
        target_add_url(&t, &m, &q);
        struct json *tree = json_parse(&a, bytes_of_text(body), NULL);
        target_add_body(&t, &m, tree);
        struct danger_input in = {.route = &m, .query = &q, .body = tree, .targets = &t};
        assert_string_equal(danger_of(&in).id, "snapshot.restore");
        reads_feed(reads, bytes_of_text("{\"hits\":{\"total\":1,\"hits\":[{\"_index\":\"a\"}]}}"));
        reads_end(reads, &r);
        whole = tree && t.count == 36 && !t.failed && who.principal.size == 3;
    }
    arena_fini(&a);
    reads_close(reads);
    who_close(whos);
    version_close(versions);
    return whole;
}

static void each_allocation_may_fail(void **state)
{
    unsigned long failures = 0;
    (void)state;
    assert_true(walk());
    for (unsigned long n = 1; n < 1000; n++) {
        mem_fail_after(n);
        bool whole = walk();
        mem_fail_after(0);
        if (whole)
            break;
        failures++;
    }
    assert_true(failures > 5 && failures < 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
