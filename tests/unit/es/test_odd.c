// Odd but legal requests: what the log says of each, as a node would have taken it.
#include "es_probe.h"

#include <stdlib.h>

#define ACK "{\"acknowledged\":true}"
#define WRITTEN "{\"_index\":\"idx\",\"_id\":\"1\",\"_version\":1,\"result\":\"created\",\"_seq_no\":0,\"_primary_term\":1}"
#define HITS "{\"took\":1,\"timed_out\":false,\"hits\":{\"total\":{\"value\":0,\"relation\":\"eq\"},\"hits\":[]}}"
#define REROUTE "{\"commands\":[{\"move\":{\"index\":\"t\",\"shard\":0,\"from_node\":\"a\",\"to_node\":\"b\"}}]"
#define ROLLED(dry) "{\"acknowledged\":false,\"shards_acknowledged\":false,\"old_index\":\"o-1\",\"new_index\":\"o-2\",\"rolled_over\":false,\"dry_run\":" dry ",\"conditions\":{}}"

static const struct odd {
    const char *verb, *target, *body, *answer;
    int status;
    const char *api, *targets; // targets: joined with blanks
    bool write;
    const char *destructive;   // NULL: none
} odd[] = {
    {"POST", "/_bulk/", "{\"index\":{\"_index\":\"a\"}}\n{}\n", "{\"took\":1,\"errors\":false,\"items\":[{\"index\":{\"_index\":\"a\",\"_id\":\"x\",\"status\":201,\"result\":\"created\"}}]}", 200, "bulk", "a", true, NULL},
    {"POST", "/idx/_doc/", "{}", WRITTEN, 201, "index", "idx", true, NULL},
    {"PUT", "/idx/_doc/%2F", "{}", WRITTEN, 201, "index", "idx", true, NULL},
    {"PUT", "/idx/_doc/9?op_type=create", "{}", WRITTEN, 201, "index", "idx", true, NULL},
    {"DELETE", "/?index=cat", NULL, ACK, 200, "indices.delete", "cat", true, "index.delete"},
    {"DELETE", "/?index=cat,dog*", NULL, ACK, 200, "indices.delete", "cat dog*", true, "index.delete.many"},
    {"DELETE", "/%3Clogs-%7Bnow%2Fd%7D%3E", NULL, ACK, 200, "indices.delete", "<logs-{now/d}>", true, "index.delete.many"},
    {"DELETE", "/*,-keep", NULL, ACK, 200, "indices.delete", "* -keep", true, "index.delete.many"},
    {"GET", "/%3Clogs-%7Bnow%2Fd%7D%3E,-x*,c1:other/_search", "{}", HITS, 200, "search", "<logs-{now/d}> -x* c1:other", false, NULL},
    {"POST", "/idx/_search", "{}", HITS, 200, "search", "idx", false, NULL},
    {"HEAD", "/idx", NULL, "", 200, "indices.exists", "idx", false, NULL},
    {"HEAD", "/_search", NULL, "", 405, NULL, "", false, NULL},
    {"OPTIONS", "/idx", NULL, "", 200, NULL, "", false, NULL},
    {"POST", "/al/_rollover?dry_run=true", "{}", ROLLED("true"), 200, "indices.rollover", "al", false, NULL},
    {"POST", "/al/_rollover?dry_run", "{}", ROLLED("true"), 200, "indices.rollover", "al", false, NULL},
    {"POST", "/al/_rollover?dry_run=false", "{}", "{\"acknowledged\":true,\"old_index\":\"o-1\",\"new_index\":\"o-2\",\"rolled_over\":true}", 200, "indices.rollover", "al", true, NULL},
    {"POST", "/_cluster/reroute?dry_run=true", REROUTE "}", ACK, 200, "cluster.reroute", "t", false, NULL},
    {"POST", "/_cluster/reroute", REROUTE ",\"dry_run\":true}", ACK, 200, "cluster.reroute", "t", false, NULL},
    {"POST", "/_cluster/reroute", REROUTE "}", ACK, 200, "cluster.reroute", "t", true, "shard.reroute"},
    {"POST", "/_aliases", "{\"actions\":[{\"remove_index\":{\"index\":\"old\"}},{\"add\":{\"index\":\"new\",\"alias\":\"old\"}}]}", ACK, 200, "indices.update_aliases", "old new", true, "alias.remove_index"},
    {"PUT", "/src/_clone/dst", "{}", "{\"acknowledged\":true,\"index\":\"dst\"}", 200, "indices.clone", "src dst", true, NULL},
    {"POST", "/_sql?format=json", "{\"query\":\"SELECT * FROM \\\"a-*\\\", b WHERE x = 1\"}", "{\"columns\":[],\"rows\":[]}", 200, "sql.query", "a-* b", false, NULL},
    {"POST", "/_plugins/_ppl", "{\"query\":\"source=a,b* | where x = 1\"}", "{\"schema\":[],\"datarows\":[]}", 200, "ppl.query", "a b*", false, NULL},
    {"POST", "/_query", "{\"query\":\"FROM a,b METADATA _index | LOOKUP JOIN lk ON x\"}", "{\"columns\":[],\"values\":[]}", 200, "esql.query", "a b lk", false, NULL},
    {"POST", "/_msearch/template", "{\"index\":\"a\"}\n{\"source\":\"{}\"}\n{\"index\":[\"b\",\"c\"]}\n{\"id\":\"x\"}\n", "{\"took\":1,\"responses\":[]}", 200, "msearch_template", "a b c", false, NULL},
    {"GET", "/idx/_search?source=%7B%7D&source_content_type=application/json", NULL, HITS, 200, "search", "idx", false, NULL},
    {"POST", "/_index_template/_simulate_index/logs-1", NULL, "{}", 200, "indices.simulate_index_template", "logs-1", false, NULL},
    {"POST", "/_snapshot/r/s/_restore", "{\"indices\":\"a,b-*\",\"rename_pattern\":\"(.+)\",\"rename_replacement\":\"restored-$1\"}", "{\"accepted\":true}", 200, "snapshot.restore", "a b-* restored-a", true, "snapshot.restore"},
};

static void odd_requests_are_named_as_the_node_takes_them(void **state)
{
    unsigned wrong = 0;
    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        const struct odd *o = &odd[i];
        struct probe *p = probe_open();
        struct probe_row *row = probe_call(p, (struct probe_ask){o->verb, o->target, .body = o->body}, (struct probe_answer){o->status, o->answer});
        struct buf targets = {0};
        for (size_t k = 0; k < row->x.target_count; k++) {
            if (k)
                buf_add_byte(&targets, ' ');
            buf_add_bytes(&targets, row->x.targets[k]);
        }
        bool right = bytes_equal_text(row->x.api, o->api ? o->api : "") && bytes_equal_text(buf_view(&targets), o->targets) &&
                     !!(row->x.flags & EXCHANGE_WRITE) == o->write && bytes_equal_text(row->x.danger, o->destructive ? o->destructive : "") &&
                     (o->status >= 400 || row->x.outcome == OUTCOME_OK);
        if (!right) {
            wrong++;
            print_message("%s %s: api %.*s, targets %.*s, write %d, danger %.*s, outcome %d\n", o->verb, o->target, (int)row->x.api.size, (const char *)row->x.api.at,
                          (int)targets.size, (const char *)targets.at, !!(row->x.flags & EXCHANGE_WRITE), (int)row->x.danger.size, (const char *)row->x.danger.at, (int)row->x.outcome);
        }
        buf_fini(&targets);
        probe_close(p);
    }
    assert_int_equal(wrong, 0);
}

// No node honours another verb than the request line's.
static void an_overriding_header_or_parameter_changes_no_verb(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    struct probe_row *row = probe_call(p, (struct probe_ask){"POST", "/idx/_search?_method=DELETE", .body = "{}"}, (struct probe_answer){200, HITS});
    assert_text(p, row->x.verb, "POST");
    assert_text(p, row->x.api, "search");
    assert_false(row->x.flags & EXCHANGE_WRITE);
    probe_close(p);
}

// {opened by, its answer, asked later, with}: the later call reads what the first one named.
static void every_kind_of_handle_leads_to_the_call_that_opened_it(void **state)
{
    (void)state;
    static const struct {
        struct probe_ask open;
        const char *answer;
        struct probe_ask later;
    } cases[] = {
        {{"POST", "/c,d/_search?scroll=1m", .body = "{}"}, "{\"_scroll_id\":\"H1\",\"took\":1,\"hits\":{\"hits\":[]}}", {"GET", "/_search/scroll?scroll_id=H1"}},
        {{"POST", "/c,d/_pit?keep_alive=1m"}, "{\"id\":\"H1\"}", {"POST", "/_search", .body = "{\"id\":\"H2\",\"pit\":{\"id\":\"H1\"}}"}},
        {{"POST", "/c,d/_async_search", .body = "{}"}, "{\"id\":\"H1\",\"is_running\":true,\"response\":{}}", {"DELETE", "/_async_search/H1"}},
        {{"POST", "/_sql", .body = "{\"query\":\"SELECT * FROM \\\"c,d\\\"\"}"}, "{\"cursor\":\"H1\",\"columns\":[],\"rows\":[]}", {"POST", "/_sql", .body = "{\"cursor\":\"H1\"}"}},
        {{"POST", "/_sql", .body = "{\"query\":\"SELECT * FROM \\\"c,d\\\"\"}"}, "{\"cursor\":\"H1\",\"columns\":[],\"rows\":[]}", {"POST", "/_sql/close", .body = "{\"cursor\":\"H1\"}"}},
        {{"POST", "/_sql", .body = "{\"query\":\"SELECT * FROM \\\"c,d\\\"\"}"}, "{\"id\":\"H1\",\"is_running\":true,\"rows\":[]}", {"GET", "/_sql/async/H1"}},
        {{"POST", "/_query/async", .body = "{\"query\":\"FROM c,d\"}"}, "{\"id\":\"H1\",\"is_running\":true}", {"GET", "/_query/async/H1"}},
        {{"POST", "/_query/async", .body = "{\"query\":\"FROM c,d\"}"}, "{\"id\":\"H1\",\"is_running\":true}", {"DELETE", "/_query/async/H1"}},
        {{"POST", "/c,d/_eql/search", .body = "{\"query\":\"any where true\"}"}, "{\"id\":\"H1\",\"is_running\":true}", {"GET", "/_eql/search/H1"}},
        {{"POST", "/_plugins/_asynchronous_search?index=c,d", .body = "{}"}, "{\"id\":\"H1\",\"state\":\"RUNNING\"}", {"GET", "/_plugins/_asynchronous_search/H1"}},
        {{"POST", "/c,d/_search/point_in_time?keep_alive=1m"}, "{\"pit_id\":\"H1\"}", {"DELETE", "/_search/point_in_time", .body = "{\"pit_id\":[\"H1\"]}"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct probe *p = probe_open();
        probe_call(p, cases[i].open, (struct probe_answer){200, cases[i].answer});
        struct probe_row *row = probe_call(p, cases[i].later, (struct probe_answer){200, "{}"});
        if (row->x.target_count != 2)
            print_message("%s %s: %zu targets\n", cases[i].later.verb, cases[i].later.target, row->x.target_count);
        assert_int_equal(row->x.target_count, 2);
        assert_text(p, row->x.targets[0], "c");
        assert_text(p, row->x.targets[1], "d");
        probe_close(p);
    }
}

// What a filter that keeps errors leaves out went well; which of the rest failed is told only where all did.
static void a_filter_that_keeps_errors_tells_what_went_well(void **state)
{
    (void)state;
    static const char body[] = "{\"index\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{}\n{\"delete\":{\"_index\":\"a\",\"_id\":\"2\"}}\n";
    static const struct {
        const char *target, *answer;
        int64_t ok, failed; // of two
        enum op_result first, second;
    } cases[] = {
        {"/_bulk?filter_path=items.*.error", "{}", 2, 0, OP_ACCEPTED, OP_ACCEPTED},
        {"/_bulk?filter_path=errors,items.*.error", "{\"errors\":false}", 2, 0, OP_ACCEPTED, OP_ACCEPTED},
        {"/_bulk?filter_path=items.*.error", "{\"items\":[{\"delete\":{\"error\":{\"type\":\"x\"}}}]}", 1, 1, OP_UNKNOWN, OP_UNKNOWN},
        {"/_bulk?filter_path=items.*.error", "{\"items\":[{\"index\":{\"error\":{\"type\":\"x\"}}},{\"delete\":{\"error\":{\"type\":\"x\"}}}]}", 0, 2, OP_FAILED, OP_FAILED},
        {"/_bulk?filter_path=took", "{\"took\":3}", 0, 0, OP_UNKNOWN, OP_UNKNOWN},
        {"/_bulk?filter_path=errors", "{\"errors\":true}", 0, 0, OP_UNKNOWN, OP_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct probe *p = probe_open();
        struct probe_row *row = probe_call(p, (struct probe_ask){"POST", cases[i].target, .body = body}, (struct probe_answer){200, cases[i].answer});
        assert_int_equal(p->op_count, 2);
        assert_int_equal(row->x.docs, 2);
        assert_int_equal(row->x.docs_ok, cases[i].ok);
        assert_int_equal(row->x.docs_failed, cases[i].failed);
        assert_int_equal(p->ops[0].result, cases[i].first);
        assert_int_equal(p->ops[1].result, cases[i].second);
        probe_close(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_requests_are_named_as_the_node_takes_them),
        cmocka_unit_test(an_overriding_header_or_parameter_changes_no_verb),
        cmocka_unit_test(every_kind_of_handle_leads_to_the_call_that_opened_it),
        cmocka_unit_test(a_filter_that_keeps_errors_tells_what_went_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
