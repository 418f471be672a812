"""What kind of call a route is: flags of routes.tsv from its API's name, verbs and body."""
import re

# Calls without a GET form that all the same change nothing.
READS = re.compile(r"""^(
    async_search\.(submit|delete) | asynchronous_search\.(search|delete) | clear_scroll | close_point_in_time | open_point_in_time | create_pit | delete_pit | delete_all_pits
  | eql\.delete | esql\.(query|async_query.*) | sql\.(query|explain|clear_cursor|delete_async|post_stats|translate) | ppl\..* | flow_framework\.search.* | _internal\.prevalidate_node_removal
  | data_frame_transform_deprecated\.preview_transform | transforms?\.preview(_transform)? | indices\.(disk_usage|simulate_.*)
  | inference\.(chat_completion_unified|completion|embedding|inference|rerank|sparse_embedding|stream_completion|text_embedding)
  | knn\.search_models | ml\.(chunk_model|estimate_model_memory|evaluate_data_frame|find_file_structure|infer_trained_model|predict|validate.*|execute_.*) | profiling\..*
  | query_rules\.test | search_application\.render_query | search_relevance\.search_configurations_search | security\.post_dashboards_info | text_structure\.find_structure
  | snapshot\.(verify_repository|repository_verify_integrity|repository_analyze) | security\.(saml|oidc)_prepare_authentication
  | security\.clear_.*cache.* | security\.flush_cache | searchable_snapshots\.clear_cache | ml\.clear_trained_model_deployment_cache | ltr\.clear_cache
  | anomaly_detection\.(preview|validate)_detector | (block|file)_cache\.prune
  | .*_rethrottle | cluster\.allocation_explain
)$""", re.X)
# Calls with a GET form that change something.
WRITES = re.compile(r"^$")
DOC = {"index", "create", "update", "delete"}
BULK = {"bulk", "bulk_stream", "monitoring.bulk"}
BY_QUERY = {"delete_by_query", "update_by_query", "reindex"}
HITS = re.compile(r"""^(search|msearch|scroll|mget|get|get_source|search_template|msearch_template|fleet\.(m?search)|async_search\.(submit|get)|asynchronous_search\.(search|get)
  |eql\.(search|get)|sql\.(query|get_async)|esql\.(query|async_query.*)|ppl\.query|knn_search|rollup\.rollup_search|search_application\.search|graph\.explore|explain|percolate|mpercolate
  |termvectors|mtermvectors|suggest|views\.search|anomaly_detection\.(search_.*|top_anomalies)|security\.query_.*|watcher\.query_watches|.*\.search_(models|agents|memory.*|message)|search_mvt)$""", re.X)
# APIs whose request or answer can carry a secret.
SECRET = re.compile(r"""^(security\.(?!(has_privileges|get_(role|role_mapping|privileges|builtin_privileges|settings)|clear_cached|health|who_am_i)).*
  | connector\..* | fleet\..*secret.* | inference\.(put.*|update|get|put_region_policy) | watcher\.(put_watch|execute_watch|get_watch|query_watches|update_settings)
  | snapshot\.(create_repository|get_repository) | reindex | transforms?\.(put.*|update.*|get.*|preview.*) | nodes\.reload_secure_settings | cluster\.(put_settings|get_settings|state)
  | ingest\.(put_pipeline|get_pipeline|simulate|put_(geoip|ip_location)_database|get_(geoip|ip_location)_database) | ml\.(create_connector|update_connector|get_connector|put_datafeed|update_datafeed|get_datafeeds|put_data_frame_analytics|get_data_frame_analytics|get_jobs)
  | notifications\..*config.* | query\.datasource.* | esql\.(put|get)_data_source | alerting\..* | license\.(post|get) | rollups?\..*put.* | logstash\.put_pipeline | ccr\..*
  | indices\.(put_settings|create|get_settings|get) | xpack\.license\..* | remote_store\..* | streams\.put.*)$""", re.X)
LEGACY = re.compile(r"^/_opendistro/|^/_shield/|/_xpack(/|$)|/_optimize|/_data_frame/")


def flags_of(row, verbs):
    """Flags of one row; `verbs` are all the verbs its API has."""
    name, flags = row["name"], []
    if WRITES.match(name):
        write = True
    else:
        write = not (verbs & {"GET", "HEAD"} or READS.match(name))
    if write:
        flags.append("write")
        if name in DOC:
            flags.append("doc")
        elif name in BULK:
            flags.append("bulk")
        elif name in BY_QUERY:
            flags.append("by_query")
        else:
            flags.append("admin")
    if row["kind"] == "ndjson":
        flags.append("ndjson")
    elif row["kind"] == "json":
        flags.append("body")
    if SECRET.match(name):
        flags.append("secret")
    if "{type}" in row["path"] and re.search(r"^/\{index\}/\{type\}|_mappings?/(field/)?\{type\}|_mappings?/\{type\}|^/_xpack/monitoring/|^/_monitoring/", row["path"]):
        flags.append("typed")
    if LEGACY.search(row["path"]):
        flags.append("legacy")
    if HITS.match(name):
        flags.append("hits")
    if row["server_only"]:
        flags.append("server_only")
    return flags
