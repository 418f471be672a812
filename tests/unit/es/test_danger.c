// Every danger class has a call that is in it and one that nearly is.
#include "../../../src/es/danger.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>

static struct danger classify(const char *verb, const char *target, const char *body)
{
    struct arena a;
    struct route_match m;
    struct path_query q;
    struct target_list t;
    struct bytes path, query;
    arena_init(&a, 0);
    path_split(bytes_of_text(target), &path, &query);
    path_query_read(&a, query, &q);
    route_find(bytes_of_text(verb), path, ROUTE_ANY, &m);
    target_init(&t, &a);
    target_add_url(&t, &m, &q);
    struct json *tree = body ? json_parse(&a, bytes_of_text(body), NULL) : NULL;
    if (body)
        assert_non_null(tree);
    target_add_body(&t, &m, tree);
    struct danger_input in = {.route = &m, .query = &q, .body = tree, .targets = &t, .raw = bytes_of_text(body)};
    struct danger d = danger_of(&in);
    assert_true(m.api != API_NONE || !d.id);
    arena_fini(&a);
    return d;
}

struct example {
    const char *id; // NULL: none
    enum danger_level level;
    const char *verb, *target, *body;
};

#define CRITICAL DANGER_CRITICAL
#define HIGH DANGER_HIGH
#define MEDIUM DANGER_MEDIUM
#define NONE NULL, DANGER_NONE

static const struct example examples[] = {
    // Loss of indices
    {"index.delete", HIGH, "DELETE", "/catalog", NULL},
    {"index.delete", HIGH, "DELETE", "/?index=catalog", NULL},
    {NONE, "DELETE", "/", NULL},
    {NONE, "GET", "/catalog", NULL},
    {NONE, "DELETE", "/catalog/_doc/1", NULL},
    {"index.delete.many", CRITICAL, "DELETE", "/*", NULL},
    {"index.delete.many", CRITICAL, "DELETE", "/_%61ll", NULL},
    {"index.delete.many", CRITICAL, "DELETE", "/a%2Cb", NULL},
    {"index.delete.many", CRITICAL, "DELETE", "/logs-*,-logs-keep", NULL},
    {"index.delete.many", CRITICAL, "DELETE", "/%3Clogs-%7Bnow%2Fd%7D%3E", NULL},
    {"index.delete", HIGH, "DELETE", "/a%2Ca", NULL},
    {"index.delete.system", CRITICAL, "DELETE", "/.kibana_1", NULL},
    {"index.delete.system", CRITICAL, "DELETE", "/.security*", NULL},
    {"index.delete.system", CRITICAL, "DELETE", "/security-auditlog-2026.11.24", NULL},
    {"index.delete", HIGH, "DELETE", "/kibana", NULL},
    {"evidence.delete", CRITICAL, "DELETE", "/.siem-signals-default", NULL},
    {"stream.delete", CRITICAL, "DELETE", "/_data_stream/logs", NULL},
    {NONE, "GET", "/_data_stream/logs", NULL},
    {"alias.remove_index", CRITICAL, "POST", "/_aliases", "{\"actions\":[{\"add\":{\"index\":\"b\",\"alias\":\"a\"}},{\"remove_index\":{\"index\":\"a\"}}]}"},
    {NONE, "POST", "/_aliases", "{\"actions\":[{\"remove\":{\"index\":\"b\",\"alias\":\"a\"}}]}"},
    {"stream.modify", MEDIUM, "POST", "/_data_stream/_modify", "{\"actions\":[{\"remove_backing_index\":{\"data_stream\":\"s\",\"index\":\".ds-s-1\"}}]}"},
    {NONE, "POST", "/_data_stream/_modify", "{\"actions\":[{\"add_backing_index\":{\"data_stream\":\"s\",\"index\":\"x\"}}]}"},
    {"dangling.delete", CRITICAL, "DELETE", "/_dangling/zmM4e0JtBkeUjiHD-MihPQ?accept_data_loss=true", NULL},
    {NONE, "GET", "/_dangling", NULL},
    {"dangling.import", HIGH, "POST", "/_dangling/zmM4e0JtBkeUjiHD-MihPQ?accept_data_loss=true", NULL},
    {NONE, "POST", "/_dangling/zmM4e0JtBkeUjiHD-MihPQ", NULL},
    {"features.reset", CRITICAL, "POST", "/_features/_reset", NULL},
    {NONE, "GET", "/_features", NULL},
    {"encryption.reset", CRITICAL, "POST", "/_encryption/_reset?accept_data_loss=true", NULL},
    {"index.ransom", CRITICAL, "PUT", "/read_me_to_recover", NULL},
    {"index.ransom", CRITICAL, "PUT", "/a1b2-meow", NULL},
    {"index.ransom", CRITICAL, "POST", "/read_me/_bulk", NULL},
    {NONE, "PUT", "/recovery-warnings-2026", NULL},
    {NONE, "POST", "/read_me/_search", NULL},
    // Loss of documents
    {"docs.delete_all", CRITICAL, "POST", "/t/_delete_by_query", "{\"query\":{\"match_all\":{}}}"},
    {"docs.delete_all", CRITICAL, "POST", "/t/_delete_by_query", NULL},
    {"docs.delete_all", CRITICAL, "POST", "/t/_delete_by_query", "{\"query\":{\"bool\":{\"filter\":[{\"match_all\":{}}]}}}"},
    {"docs.delete_all", CRITICAL, "POST", "/t/_delete_by_query?q=*", NULL},
    {"docs.delete_all", CRITICAL, "POST", "/_all/_delete_by_query", "{\"query\":{\"term\":{\"a\":1}}}"},
    {"docs.delete_by_query", HIGH, "POST", "/t/_delete_by_query", "{\"query\":{\"term\":{\"a\":1}}}"},
    {"docs.delete_by_query", HIGH, "POST", "/t/_delete_by_query?q=a:1", NULL},
    {"docs.delete_by_query", HIGH, "POST", "/t/_delete_by_query", "{\"query\":{\"bool\":{\"must\":{\"match_all\":{}},\"must_not\":{\"term\":{\"a\":1}}}}}"},
    {NONE, "POST", "/_delete_by_query/node:1/_rethrottle?requests_per_second=1", NULL},
    {"docs.async", CRITICAL, "POST", "/t/_delete_by_query?wait_for_completion=false", "{\"query\":{\"term\":{\"a\":1}}}"},
    {"docs.delete_all", CRITICAL, "POST", "/t/_delete_by_query?wait_for_completion=false", "{\"query\":{\"match_all\":{}}}"},
    {"docs.async", HIGH, "POST", "/_reindex?wait_for_completion=false", "{\"source\":{\"index\":\"a\"},\"dest\":{\"index\":\"b\"}}"},
    {"docs.update_by_query", HIGH, "POST", "/t/_update_by_query", "{\"script\":{\"source\":\"ctx._source.a=1\"}}"},
    {"docs.update_by_query", CRITICAL, "POST", "/t/_update_by_query", "{\"script\":{\"source\":\"if (ctx._source.x == 1) { ctx.op = 'delete' }\"}}"},
    {"docs.update_by_query", CRITICAL, "POST", "/t/_update_by_query", "{\"script\":\"ctx['op'] = \\\"delete\\\"\"}"},
    {"docs.update_by_query", HIGH, "POST", "/t/_update_by_query", "{\"script\":{\"source\":\"if (ctx.op == 'delete') { ctx._source.a = 1 }\"}}"},
    {NONE, "POST", "/t/_update_by_query?conflicts=proceed", NULL},
    {"docs.reindex", MEDIUM, "POST", "/_reindex", "{\"source\":{\"index\":\"a\"},\"dest\":{\"index\":\"b\"}}"},
    {"docs.reindex", HIGH, "POST", "/_reindex", "{\"source\":{\"remote\":{\"host\":\"http://x:9200\"},\"index\":\"a\"},\"dest\":{\"index\":\"b\"}}"},
    {NONE, "POST", "/_reindex", "{\"source\":{\"index\":\"a\"},\"dest\":{\"index\":\"b\",\"op_type\":\"create\"}}"},
    {"docs.script", MEDIUM, "POST", "/t/_update/1", "{\"script\":{\"source\":\"ctx.op = 'delete'\"}}"},
    {NONE, "POST", "/t/_update/1", "{\"script\":{\"source\":\"ctx._source.n += 1\"}}"},
    {"docs.sql_delete", HIGH, "POST", "/_plugins/_sql", "{\"query\":\" DELETE FROM t WHERE a = 1\"}"},
    {NONE, "POST", "/_plugins/_sql", "{\"query\":\"SELECT deleted FROM t\"}"},
    {NONE, "POST", "/_bulk", NULL},
    // Availability
    {"index.close", HIGH, "POST", "/t/_close", NULL},
    {"index.close", CRITICAL, "POST", "/t*/_close", NULL},
    {NONE, "POST", "/t/_open", NULL},
    {"index.block", MEDIUM, "PUT", "/t/_block/write", NULL},
    {"index.block", HIGH, "PUT", "/t/_block/read_only", NULL},
    {NONE, "DELETE", "/t/_block/write", NULL},
    {"index.block", MEDIUM, "PUT", "/t/_settings", "{\"index.blocks.write\":true}"},
    {"index.block", HIGH, "PUT", "/t/_settings", "{\"index\":{\"blocks\":{\"read_only\":\"true\"}}}"},
    {NONE, "PUT", "/t/_settings", "{\"index\":{\"blocks\":{\"read_only_allow_delete\":null}}}"},
    {"cluster.readonly", CRITICAL, "PUT", "/_cluster/settings", "{\"persistent\":{\"cluster.blocks.read_only\":true}}"},
    {NONE, "PUT", "/_cluster/settings", "{\"persistent\":{\"cluster.blocks.read_only\":false}}"},
    {"index.weaken", MEDIUM, "PUT", "/t/_settings", "{\"settings\":{\"index\":{\"number_of_replicas\":\"0\"}}}"},
    {"index.weaken", MEDIUM, "PUT", "/t/_settings", "{\"refresh_interval\":\"-1\"}"},
    {"index.weaken", MEDIUM, "PUT", "/t/_settings", "{\"index.translog.durability\":\"async\"}"},
    {NONE, "PUT", "/t/_settings", "{\"number_of_replicas\":1,\"refresh_interval\":\"30s\"}"},
    {"index.settings_all", HIGH, "PUT", "/_settings", "{\"number_of_replicas\":1}"},
    {"index.settings_all", HIGH, "PUT", "/_all/_settings", "{\"number_of_replicas\":1}"},
    {"index.forcemerge", MEDIUM, "POST", "/t/_forcemerge?max_num_segments=1", NULL},
    {NONE, "POST", "/t/_flush", NULL},
    {"index.downsample", MEDIUM, "POST", "/t/_downsample/t2", "{\"fixed_interval\":\"1d\"}"},
    {NONE, "PUT", "/t/_shrink/t2", NULL},
    {"shard.empty_primary", CRITICAL, "POST", "/_cluster/reroute",
     "{\"commands\":[{\"allocate_empty_primary\":{\"index\":\"t\",\"shard\":0,\"node\":\"n\",\"accept_data_loss\":true}}]}"},
    {"shard.reroute", MEDIUM, "POST", "/_cluster/reroute", "{\"commands\":[{\"move\":{\"index\":\"t\",\"shard\":0,\"from_node\":\"a\",\"to_node\":\"b\"}}]}"},
    {NONE, "POST", "/_cluster/reroute?dry_run=true", "{\"commands\":[{\"move\":{\"index\":\"t\",\"shard\":0,\"from_node\":\"a\",\"to_node\":\"b\"}}]}"},
    {NONE, "POST", "/_cluster/reroute?retry_failed=true", NULL},
    {"cluster.allocation", HIGH, "PUT", "/_cluster/settings", "{\"transient\":{\"cluster\":{\"routing\":{\"allocation\":{\"enable\":\"none\"}}}}}"},
    {"cluster.allocation", HIGH, "PUT", "/_cluster/settings", "{\"persistent\":{\"cluster.routing.allocation.disk.watermark.low\":\"99%\"}}"},
    {NONE, "PUT", "/_cluster/settings", "{\"transient\":{\"cluster.routing.allocation.enable\":\"all\"}}"},
    {NONE, "PUT", "/_cluster/settings", "{\"transient\":{\"cluster.routing.allocation.exclude._ip\":null}}"},
    {"cluster.guard_off", HIGH, "PUT", "/_cluster/settings", "{\"persistent\":{\"action.destructive_requires_name\":\"false\"}}"},
    {NONE, "PUT", "/_cluster/settings", "{\"persistent\":{\"action.destructive_requires_name\":true}}"},
    {"cluster.node_out", HIGH, "POST", "/_cluster/voting_config_exclusions?node_names=a", NULL},
    {"cluster.node_out", HIGH, "PUT", "/_nodes/abc/shutdown", "{\"type\":\"remove\",\"reason\":\"x\"}"},
    {NONE, "GET", "/_nodes/abc/shutdown", NULL},
    {"work.cancel", MEDIUM, "DELETE", "/_search/scroll/_all", NULL},
    {"work.cancel", MEDIUM, "POST", "/_tasks/_cancel?actions=*search", NULL},
    {"work.cancel", MEDIUM, "DELETE", "/_search/point_in_time/_all", NULL},
    {NONE, "DELETE", "/_search/scroll", "{\"scroll_id\":\"DXF1ZXJ5\"}"},
    {NONE, "POST", "/_tasks/node:7/_cancel", NULL},
    // Templates, mappings, pipelines, lifecycle
    {"template.change", MEDIUM, "PUT", "/_index_template/t", "{\"index_patterns\":[\"logs-*\"]}"},
    {"template.change", HIGH, "PUT", "/_template/t", "{\"index_patterns\":[\"*\"],\"order\":100}"},
    {"template.change", HIGH, "DELETE", "/_index_template/*", NULL},
    {NONE, "GET", "/_index_template/*", NULL},
    {"mapping.change", MEDIUM, "PUT", "/t/_settings", "{\"index.mapping.total_fields.limit\":100000}"},
    {NONE, "PUT", "/t/_mapping", "{\"properties\":{\"a\":{\"type\":\"keyword\"}}}"},
    {"pipeline.change", HIGH, "DELETE", "/_ingest/pipeline/*", NULL},
    {"pipeline.change", HIGH, "PUT", "/_ingest/pipeline/p", "{\"processors\":[{\"set\":{\"field\":\"a\",\"value\":1}},{\"drop\":{\"if\":\"true\"}}]}"},
    {"pipeline.change", HIGH, "PUT", "/_ingest/pipeline/p", "{\"processors\":[{\"foreach\":{\"field\":\"a\",\"processor\":{\"remove\":{\"field\":\"b\"}}}}]}"},
    {"pipeline.change", HIGH, "PUT", "/t/_settings", "{\"index.default_pipeline\":\"p\"}"},
    {NONE, "PUT", "/_ingest/pipeline/p", "{\"description\":\"drop\",\"processors\":[{\"set\":{\"field\":\"remove\",\"value\":1}}]}"},
    {"ilm.change", HIGH, "PUT", "/_ilm/policy/p", "{\"policy\":{\"phases\":{\"delete\":{\"min_age\":\"1d\",\"actions\":{\"delete\":{}}}}}}"},
    {"ilm.change", HIGH, "POST", "/_ilm/stop", NULL},
    {"ilm.change", HIGH, "POST", "/_ilm/move/t", "{\"current_step\":{},\"next_step\":{}}"},
    {NONE, "PUT", "/_ilm/policy/p", "{\"policy\":{\"phases\":{\"hot\":{\"actions\":{}}}}}"},
    {NONE, "POST", "/_ilm/start", NULL},
    {"ilm.detach", MEDIUM, "POST", "/t/_ilm/remove", NULL},
    {NONE, "POST", "/t/_ilm/retry", NULL},
    {"stream.retention", HIGH, "PUT", "/_data_stream/s/_lifecycle", "{\"data_retention\":\"1d\"}"},
    {"stream.retention", HIGH, "DELETE", "/_data_stream/s/_lifecycle", NULL},
    {NONE, "PUT", "/_data_stream/s/_lifecycle", "{}"},
    {"ism.change", HIGH, "PUT", "/_plugins/_ism/policies/p", "{\"policy\":{}}"},
    {"ism.change", HIGH, "POST", "/_opendistro/_ism/add/t", "{\"policy_id\":\"p\"}"},
    {NONE, "GET", "/_plugins/_ism/explain/t", NULL},
    {"feature.delete", MEDIUM, "DELETE", "/_transform/x?delete_dest_index=true", NULL},
    {"feature.delete", MEDIUM, "DELETE", "/_enrich/policy/x", NULL},
    {NONE, "POST", "/_transform/x/_stop", NULL},
    {"script.change", MEDIUM, "PUT", "/_scripts/s", "{\"script\":{\"lang\":\"painless\",\"source\":\"1\"}}"},
    {NONE, "GET", "/_scripts/s", NULL},
    // Recovery inhibited
    {"snapshot.delete", CRITICAL, "DELETE", "/_snapshot/r/s1", NULL},
    {"repository.delete", HIGH, "DELETE", "/_snapshot/r", NULL},
    {"repository.change", HIGH, "PUT", "/_snapshot/r", "{\"type\":\"fs\",\"settings\":{\"location\":\"/x\"}}"},
    {NONE, "PUT", "/_snapshot/r/s1", NULL},
    {NONE, "POST", "/_snapshot/r/_verify", NULL},
    {NONE, "POST", "/_snapshot/r/_cleanup", NULL},
    {"snapshot.restore", HIGH, "POST", "/_snapshot/r/s1/_restore", "{\"indices\":\"a\"}"},
    {NONE, "GET", "/_snapshot/r/s1/_status", NULL},
    {"slm.stop", HIGH, "POST", "/_slm/stop", NULL},
    {"slm.stop", HIGH, "POST", "/_plugins/_sm/policies/p/_stop", NULL},
    {NONE, "POST", "/_slm/start", NULL},
    {"ccr.detach", HIGH, "POST", "/t/_ccr/unfollow", NULL},
    {"ccr.detach", HIGH, "POST", "/_plugins/_replication/t/_stop", "{}"},
    {NONE, "POST", "/t/_ccr/resume_follow", NULL},
    {"remotestore.restore", MEDIUM, "POST", "/_remotestore/_restore", "{\"indices\":[\"t\"]}"},
    {NONE, "GET", "/_remotestore/stats/t", NULL},
    // Security and audit
    {"audit.change", CRITICAL, "PUT", "/_cluster/settings", "{\"transient\":{\"xpack.security.audit.logfile.events.exclude\":[\"_all\"]}}"},
    {"audit.change", CRITICAL, "PATCH", "/_plugins/_security/api/audit", "[{\"op\":\"replace\",\"path\":\"/config/enabled\",\"value\":false}]"},
    {"audit.change", CRITICAL, "PUT", "/t/_settings", "{\"index.search.slowlog.threshold.query.warn\":\"-1\"}"},
    {NONE, "GET", "/_plugins/_security/api/audit", NULL},
    {"license.change", HIGH, "POST", "/_license/start_basic?acknowledge=true", NULL},
    {"license.change", HIGH, "DELETE", "/_license", NULL},
    {NONE, "GET", "/_license", NULL},
    {"security.change", HIGH, "PUT", "/_security/role/r", "{\"indices\":[{\"names\":[\"a*\"],\"privileges\":[\"read\"]}]}"},
    {"security.change", HIGH, "DELETE", "/_xpack/security/user/joe", NULL},
    {"security.change", HIGH, "DELETE", "/_plugins/_security/api/internalusers/joe", NULL},
    {"security.change", HIGH, "PUT", "/_security/user/joe/_password", "{\"password\":\"x\"}"},
    {NONE, "GET", "/_security/user/joe", NULL},
    {"security.grant", CRITICAL, "PUT", "/_security/user/joe", "{\"password\":\"x\",\"roles\":[\"superuser\"]}"},
    {"security.grant", CRITICAL, "PUT", "/_security/role/r", "{\"indices\":[{\"names\":[\"*\"],\"privileges\":[\"all\"]}]}"},
    {"security.grant", CRITICAL, "PUT", "/_security/role/r", "{\"run_as\":[\"*\"]}"},
    {"security.grant", CRITICAL, "PUT", "/_plugins/_security/api/rolesmapping/all_access", "{\"users\":[\"joe\"]}"},
    {"security.grant", CRITICAL, "PATCH", "/_plugins/_security/api/internalusers/joe", "[{\"op\":\"add\",\"path\":\"/backend_roles\",\"value\":[\"all_access\"]}]"},
    {"security.change", HIGH, "PUT", "/_security/user/joe", "{\"password\":\"superuser\",\"roles\":[\"viewer\"]}"},
    {"security.lockout", HIGH, "PUT", "/_security/user/elastic/_password", "{\"password\":\"x\"}"},
    {"security.lockout", HIGH, "PUT", "/_security/user/joe/_disable", NULL},
    {"security.lockout", HIGH, "DELETE", "/_security/api_key", "{\"realm_name\":\"native1\"}"},
    {NONE, "DELETE", "/_security/api_key", "{\"ids\":[\"x\"],\"owner\":true}"},
    {"security.persist", MEDIUM, "POST", "/_security/api_key", "{\"name\":\"k\",\"role_descriptors\":{\"r\":{\"cluster\":[\"monitor\"]}}}"},
    {"security.persist", MEDIUM, "PUT", "/_security/api_key", "{\"name\":\"k\",\"expiration\":\"1d\",\"role_descriptors\":{}}"},
    {NONE, "POST", "/_security/api_key", "{\"name\":\"k\",\"expiration\":\"1d\",\"role_descriptors\":{\"r\":{\"cluster\":[\"monitor\"]}}}"},
    {"security.direct", CRITICAL, "PUT", "/.security/_doc/user-joe", "{}"},
    {"security.direct", CRITICAL, "POST", "/.opendistro_security/_delete_by_query", "{\"query\":{\"term\":{\"a\":1}}}"},
    {NONE, "GET", "/.security/_doc/user-joe", NULL},
    {"alarm.off", HIGH, "DELETE", "/_watcher/watch/w", NULL},
    {"alarm.off", HIGH, "POST", "/_watcher/_stop", NULL},
    {"alarm.off", HIGH, "DELETE", "/_plugins/_alerting/monitors/m", NULL},
    {NONE, "PUT", "/_watcher/watch/w/_ack", NULL},
    // Code and ways out
    {"script.run", MEDIUM, "POST", "/_scripts/painless/_execute", "{\"script\":{\"source\":\"1+1\"}}"},
    {"script.run", CRITICAL, "POST", "/t/_search", "{\"script_fields\":{\"x\":{\"script\":\"java.lang.Math.class.forName(\\\"java.lang.Runtime\\\")\"}}}"},
    {"script.run", CRITICAL, "POST", "/t/_search", "{\"script_fields\":{\"x\":{\"lang\":\"groovy\",\"script\":\"1\"}}}"},
    {NONE, "POST", "/t/_search", "{\"query\":{\"script\":{\"script\":{\"lang\":\"painless\",\"source\":\"doc.a.value > 1\"}}}}"},
    {"data.out", HIGH, "PUT", "/_watcher/watch/w", "{\"actions\":{\"a\":{\"webhook\":{\"host\":\"h\"}}}}"},
    {"data.out", HIGH, "PUT", "/_cluster/settings", "{\"persistent\":{\"cluster.remote.x.seeds\":[\"h:9300\"]}}"},
    {NONE, "PUT", "/_watcher/watch/w", "{\"actions\":{\"a\":{\"logging\":{\"text\":\"webhook\"}}}}"},
    // The catalogue's other spellings of the same classes
    {"index.ransom", CRITICAL, "POST", "/read_me/_bulk/stream", NULL},
    {"index.delete.system", CRITICAL, "DELETE", "/.kibana_1", NULL},
    {"index.delete.system", CRITICAL, "DELETE", "/.opendistro_security", NULL},
    {"index.delete.system", CRITICAL, "DELETE", "/security-auditlog-2026.11.25", NULL},
    {"index.delete.many", CRITICAL, "DELETE", "/a,b", NULL},
    {"index.delete.many", CRITICAL, "DELETE", "/%2A,-keep", NULL},
    {"index.delete.many", CRITICAL, "DELETE", "/%3Clogs-%7Bnow%2Fd%7D%3E", NULL},
    {"index.delete.many", CRITICAL, "DELETE", "/_%61ll", NULL},
    {"index.delete", HIGH, "DELETE", "/cluster_one:catalog", NULL},
    {"stream.delete", CRITICAL, "DELETE", "/_data_stream/*", NULL},
    {"docs.async", CRITICAL, "POST", "/t/_update_by_query?wait_for_completion=false", "{\"script\":{\"source\":\"ctx._source.a=1\"}}"},
    {"docs.reindex", MEDIUM, "POST", "/_reindex", "{\"conflicts\":\"proceed\",\"source\":{\"index\":\"a\"},\"dest\":{\"index\":\"b\",\"op_type\":\"create\"}}"},
    {NONE, "DELETE", "/t/_doc/1", NULL},
    {NONE, "PUT", "/t/_doc/1?version=7&version_type=external", "{}"},
    {"index.block", HIGH, "PUT", "/t/_block/read", NULL},
    {"index.block", MEDIUM, "PUT", "/t/_block/metadata", NULL},
    {"index.weaken", MEDIUM, "PUT", "/t/_settings", "{\"index.soft_deletes.enabled\":\"false\"}"},
    {NONE, "POST", "/t/_freeze", NULL},
    {NONE, "POST", "/t/_cache/clear", NULL},
    {NONE, "POST", "/alias/_rollover", NULL},
    {"cluster.allocation", HIGH, "PUT", "/_cluster/settings", "{\"transient\":{\"cluster.routing.allocation.exclude._ip\":\"10.0.0.1\"}}"},
    {"cluster.allocation", HIGH, "PUT", "/_cluster/settings", "{\"persistent\":{\"cluster.max_shards_per_node\":5}}"},
    {"cluster.allocation", HIGH, "PUT", "/_cluster/settings", "{\"persistent\":{\"indices.recovery.max_bytes_per_sec\":\"1kb\"}}"},
    {"cluster.allocation", HIGH, "PUT", "/_cluster/settings", "{\"persistent\":{\"indices.breaker.total.limit\":\"99%\"}}"},
    {"cluster.allocation", HIGH, "PUT", "/_cluster/settings", "{\"persistent\":{\"discovery.zen.minimum_master_nodes\":1}}"},
    {"cluster.guard_off", HIGH, "PUT", "/_cluster/settings", "{\"persistent\":{\"action.auto_create_index\":\"true\"}}"},
    {"cluster.guard_off", HIGH, "PUT", "/_cluster/settings", "{\"persistent\":{\"search.allow_expensive_queries\":true}}"},
    {"cluster.guard_off", HIGH, "PUT", "/_cluster/settings", "{\"persistent\":{\"script.max_compilations_rate\":\"use-context\"}}"},
    {"cluster.guard_off", HIGH, "PUT", "/_cluster/settings", "{\"persistent\":{\"cluster.indices.close.enable\":true}}"},
    {"cluster.node_out", HIGH, "DELETE", "/_cluster/voting_config_exclusions", NULL},
    {"cluster.node_out", HIGH, "PUT", "/_cluster/decommission/awareness/zone/a", NULL},
    {"cluster.node_out", HIGH, "PUT", "/_cluster/routing/awareness/zone/weights", "{\"weights\":{\"a\":\"0\"}}"},
    {"shard.empty_primary", CRITICAL, "POST", "/_cluster/reroute",
     "{\"commands\":[{\"allocate_stale_primary\":{\"index\":\"t\",\"shard\":0,\"node\":\"n\",\"accept_data_loss\":true}}]}"},
    {"shard.reroute", MEDIUM, "POST", "/_cluster/reroute", "{\"commands\":[{\"cancel\":{\"index\":\"t\",\"shard\":0,\"node\":\"n\"}}]}"},
    {"template.change", MEDIUM, "DELETE", "/_component_template/c", NULL},
    {"template.change", HIGH, "DELETE", "/_template/*", NULL},
    {"pipeline.change", HIGH, "PUT", "/t/_settings", "{\"index\":{\"final_pipeline\":\"p\"}}"},
    {"pipeline.change", HIGH, "PUT", "/_ingest/pipeline/p", "{\"processors\":[{\"script\":{\"source\":\"ctx.a = 1\"}}]}"},
    {"ilm.change", HIGH, "DELETE", "/_ilm/policy/p", NULL},
    {"ilm.detach", MEDIUM, "POST", "/_ilm/migrate_to_data_tiers", NULL},
    {"stream.retention", HIGH, "PUT", "/_data_stream/s/_options", "{\"failure_store\":{\"enabled\":false}}"},
    {"ism.change", HIGH, "DELETE", "/_plugins/_ism/policies/p", NULL},
    {"ism.change", HIGH, "POST", "/_plugins/_ism/change_policy/t", "{\"policy_id\":\"p\"}"},
    {"ism.change", HIGH, "POST", "/_plugins/_ism/remove/t", NULL},
    {"feature.delete", MEDIUM, "DELETE", "/_rollup/job/x", NULL},
    {"feature.delete", MEDIUM, "DELETE", "/_ml/anomaly_detectors/x", NULL},
    {"feature.delete", MEDIUM, "DELETE", "/_ml/trained_models/x", NULL},
    {"feature.delete", MEDIUM, "DELETE", "/_xpack/ml/anomaly_detectors/j/model_snapshots/s", NULL},
    {"feature.delete", MEDIUM, "DELETE", "/_synonyms/x", NULL},
    {"feature.delete", MEDIUM, "DELETE", "/_query_rules/x", NULL},
    {"feature.delete", MEDIUM, "DELETE", "/_inference/x", NULL},
    {"feature.delete", MEDIUM, "DELETE", "/_connector/x", NULL},
    {"feature.delete", MEDIUM, "DELETE", "/_data_frame/transforms/x", NULL},
    {"feature.delete", MEDIUM, "DELETE", "/_plugins/_transform/x", NULL},
    {"feature.delete", MEDIUM, "DELETE", "/_plugins/_rollup/jobs/x", NULL},
    {"feature.delete", MEDIUM, "DELETE", "/_plugins/_ml/models/x", NULL},
    {"feature.delete", MEDIUM, "DELETE", "/_plugins/_anomaly_detection/detectors/x", NULL},
    {"script.change", MEDIUM, "DELETE", "/_scripts/s", NULL},
    {"snapshot.delete", CRITICAL, "DELETE", "/_snapshot/r/*", NULL},
    {"repository.delete", HIGH, "DELETE", "/_snapshot/*", NULL},
    {"repository.change", HIGH, "PUT", "/_snapshot/r", "{\"type\":\"url\",\"settings\":{\"url\":\"http://x\"}}"},
    {"slm.stop", HIGH, "DELETE", "/_slm/policy/p", NULL},
    {"slm.stop", HIGH, "POST", "/_slm/_execute_retention", NULL},
    {"slm.stop", HIGH, "DELETE", "/_plugins/_sm/policies/p", NULL},
    {"ccr.detach", HIGH, "POST", "/t/_ccr/pause_follow", NULL},
    {"ccr.detach", HIGH, "DELETE", "/_ccr/auto_follow/p", NULL},
    {"audit.change", CRITICAL, "PUT", "/_cluster/settings", "{\"transient\":{\"logger.org.elasticsearch\":\"OFF\"}}"},
    {"audit.change", CRITICAL, "PUT", "/_cluster/settings", "{\"persistent\":{\"plugins.security.audit.type\":\"noop\"}}"},
    {"audit.change", CRITICAL, "PUT", "/_plugins/_security/api/audit/config", "{\"enabled\":false}"},
    {"license.change", HIGH, "PUT", "/_license", "{\"licenses\":[]}"},
    {"security.change", HIGH, "PUT", "/_security/role_mapping/m", "{\"roles\":[\"viewer\"],\"rules\":{}}"},
    {"security.change", HIGH, "DELETE", "/_security/privilege/app/p", NULL},
    {"security.change", HIGH, "PUT", "/_plugins/_security/api/actiongroups/g", "{\"allowed_actions\":[\"read\"]}"},
    {"security.change", HIGH, "DELETE", "/_plugins/_security/api/tenants/t", NULL},
    {"security.change", HIGH, "PUT", "/_plugins/_security/api/nodesdn/c", "{\"nodes_dn\":[]}"},
    {"security.change", HIGH, "PUT", "/_plugins/_security/api/allowlist", "{\"enabled\":false}"},
    {"security.change", HIGH, "PUT", "/_plugins/_security/api/securityconfig/config", "{\"dynamic\":{}}"},
    {"security.change", HIGH, "DELETE", "/_opendistro/_security/api/roles/r", NULL},
    {"security.change", HIGH, "PUT", "/_shield/role/r", "{\"indices\":[]}"},
    {"security.lockout", HIGH, "PUT", "/_security/user/kibana_system/_password", "{\"password\":\"x\"}"},
    {"security.lockout", HIGH, "DELETE", "/_security/oauth2/token", "{\"token\":\"x\"}"},
    {"security.persist", MEDIUM, "POST", "/_security/api_key/grant", "{\"grant_type\":\"password\"}"},
    {"security.persist", MEDIUM, "POST", "/_security/cross_cluster/api_key", "{\"name\":\"k\"}"},
    {"security.persist", MEDIUM, "POST", "/_security/service/elastic/kibana/credential/token/t", NULL},
    {"security.grant", CRITICAL, "POST", "/_security/api_key/_bulk_update",
     "{\"ids\":[\"a\"],\"role_descriptors\":{\"r\":{\"indices\":[{\"names\":[\"*\"],\"privileges\":[\"all\"]}]}}}"},
    {"alarm.off", HIGH, "PUT", "/_watcher/watch/w/_deactivate", NULL},
    {"alarm.off", HIGH, "DELETE", "/_plugins/_alerting/workflows/w", NULL},
    {"alarm.off", HIGH, "DELETE", "/_plugins/_notifications/configs/c", NULL},
    {"data.out", HIGH, "POST", "/_plugins/_query/_datasources", "{\"name\":\"s3\"}"},
    {NONE, "POST", "/_nodes/reload_secure_settings", "{}"},
};

static void each_class_knows_its_calls_and_their_neighbours(void **state)
{
    unsigned wrong = 0;
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        const struct example *e = &examples[i];
        struct danger d = classify(e->verb, e->target, e->body);
        bool same = (!d.id && !e->id) || (d.id && e->id && strcmp(d.id, e->id) == 0 && d.level == e->level);
        if (!same) {
            wrong++;
            print_message("%s %s %s: %s %s, not %s\n", e->verb, e->target, e->body ? e->body : "", d.id ? d.id : "none", danger_level_name(d.level), e->id ? e->id : "none");
        }
    }
    assert_int_equal(wrong, 0);
}

static void each_class_has_an_example(void **state)
{
    struct danger view;
    (void)state;
    for (size_t i = 0; danger_class_view(i, &view); i++) {
        bool found = false;
        for (size_t k = 0; k < sizeof examples / sizeof *examples; k++)
            found |= examples[k].id && strcmp(examples[k].id, view.id) == 0;
        if (!found)
            fail_msg("no example of %s", view.id);
    }
    assert_true(danger_class_count() >= 50);
}

static void a_delete_by_query_whose_body_was_not_read_is_not_called_empty(void **state)
{
    struct arena a;
    struct route_match m;
    struct path_query q = {0};
    struct target_list t;
    (void)state;
    arena_init(&a, 0);
    target_init(&t, &a);
    target_add(&t, bytes_of_text("t"));
    route_find(bytes_of_text("POST"), bytes_of_text("/t/_delete_by_query"), ROUTE_ES8, &m);
    struct danger_input in = {.route = &m, .query = &q, .body_unread = true, .targets = &t};
    assert_string_equal(danger_of(&in).id, "docs.delete_by_query");
    arena_fini(&a);
}

static void a_bulk_that_writes_into_security_indices_or_deletes_by_script_is_seen(void **state)
{
    struct arena a;
    struct route_match m;
    struct path_query q = {0};
    struct target_list t;
    (void)state;
    arena_init(&a, 0);
    target_init(&t, &a);
    route_find(bytes_of_text("POST"), bytes_of_text("/_bulk"), ROUTE_ES8, &m);
    struct danger_input in = {.route = &m, .query = &q, .targets = &t, .seen = DANGER_SEEN_SCRIPT};
    assert_null(danger_of(&in).id);
    in.seen |= DANGER_SEEN_SCRIPT_DELETE;
    assert_string_equal(danger_of(&in).id, "docs.script");
    target_add(&t, bytes_of_text(".security-7"));
    assert_string_equal(danger_of(&in).id, "security.direct");
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_class_knows_its_calls_and_their_neighbours),
        cmocka_unit_test(each_class_has_an_example),
        cmocka_unit_test(a_delete_by_query_whose_body_was_not_read_is_not_called_empty),
        cmocka_unit_test(a_bulk_that_writes_into_security_indices_or_deletes_by_script_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
