// The catalogue of danger classes: which API, under which condition, means which class and level.
#include "danger_look.h"

struct danger_row {
    enum api api;             // API_NONE: any API, its look decides
    const char *id;
    enum danger_level level;  // of a row without a look, and the class's usual level
    danger_look *look;        // NULL: the call itself is enough
    bool body;                // the look reads the body
};

#define MEDIUM DANGER_MEDIUM
#define HIGH DANGER_HIGH
#define CRITICAL DANGER_CRITICAL

// Of rows with the same level the first decides. Two tables, so that the calls that come by the thousand pass a short one.
static const struct danger_row document_rows[] = { // documents, and calls that only read
    {API_INDEX, "index.ransom", CRITICAL, danger_ransom_name, false},
    {API_CREATE, "index.ransom", CRITICAL, danger_ransom_name, false},
    {API_BULK, "index.ransom", CRITICAL, danger_ransom_name, false},
    {API_BULK_STREAM, "index.ransom", CRITICAL, danger_ransom_name, false},
    {API_NONE, "security.direct", CRITICAL, danger_direct, false},
    {API_DELETE_BY_QUERY, "docs.delete_all", CRITICAL, danger_delete_all, true},
    {API_UPDATE_BY_QUERY, "docs.update_by_query", HIGH, danger_rewrite_by_query, true},
    {API_DELETE_BY_QUERY, "docs.async", CRITICAL, danger_async, false},
    {API_UPDATE_BY_QUERY, "docs.async", CRITICAL, danger_async, true},
    {API_REINDEX, "docs.async", HIGH, danger_async, true},
    {API_DELETE_BY_QUERY, "docs.delete_by_query", HIGH, NULL, false},
    {API_REINDEX, "docs.reindex", MEDIUM, danger_reindex, true},
    {API_UPDATE, "docs.script", MEDIUM, danger_update_script, true},
    {API_BULK, "docs.script", MEDIUM, danger_update_script, false},
    {API_BULK_STREAM, "docs.script", MEDIUM, danger_update_script, false},
    {API_SQL_QUERY, "docs.sql_delete", HIGH, danger_sql_delete, true},
    {API_CLEAR_SCROLL, "work.cancel", MEDIUM, danger_scroll_all, true},
    {API_DELETE_ALL_PITS, "work.cancel", MEDIUM, NULL, false},
    {API_SCRIPTS_PAINLESS_EXECUTE, "script.run", MEDIUM, danger_inline_script, true},
    {API_SEARCH, "script.run", CRITICAL, danger_inline_script, false},
    {API_UPDATE, "script.run", CRITICAL, danger_inline_script, true},
    {API_UPDATE_BY_QUERY, "script.run", CRITICAL, danger_inline_script, true},
};

static const struct danger_row admin_rows[] = { // calls with ROUTE_ADMIN
    // Loss of indices and streams
    {API_INDICES_DELETE, "evidence.delete", CRITICAL, danger_delete_evidence, false},
    {API_INDICES_DELETE, "index.delete.system", CRITICAL, danger_delete_system, false},
    {API_INDICES_DELETE, "index.delete.many", CRITICAL, danger_delete_many, false},
    {API_INDICES_DELETE, "index.delete", HIGH, danger_delete_one, false},
    {API_INDICES_DELETE_DATA_STREAM, "stream.delete", CRITICAL, NULL, false},
    {API_INDICES_UPDATE_ALIASES, "alias.remove_index", CRITICAL, danger_remove_index, true},
    {API_INDICES_MODIFY_DATA_STREAM, "stream.modify", MEDIUM, danger_remove_backing, true},
    {API_DANGLING_INDICES_DELETE_DANGLING_INDEX, "dangling.delete", CRITICAL, NULL, false},
    {API_DANGLING_INDICES_IMPORT_DANGLING_INDEX, "dangling.import", HIGH, danger_import_dangling, false},
    {API_FEATURES_RESET_FEATURES, "features.reset", CRITICAL, NULL, false},
    {API_ENCRYPTION_RESET, "encryption.reset", CRITICAL, NULL, false},
    {API_INDICES_CREATE, "index.ransom", CRITICAL, danger_ransom_name, false},
    // Availability
    {API_CLUSTER_PUT_SETTINGS, "audit.change", CRITICAL, danger_cluster_audit, true},
    {API_CLUSTER_PUT_SETTINGS, "cluster.readonly", CRITICAL, danger_cluster_readonly, true},
    {API_CLUSTER_PUT_SETTINGS, "cluster.guard_off", HIGH, danger_cluster_guard, true},
    {API_CLUSTER_PUT_SETTINGS, "cluster.allocation", HIGH, danger_cluster_allocation, true},
    {API_CLUSTER_PUT_SETTINGS, "data.out", HIGH, danger_cluster_remote, true},
    {API_INDICES_PUT_SETTINGS, "audit.change", CRITICAL, danger_settings_logs, true},
    {API_INDICES_PUT_SETTINGS, "index.settings_all", HIGH, danger_settings_all, false},
    {API_INDICES_PUT_SETTINGS, "pipeline.change", HIGH, danger_settings_pipeline, true},
    {API_INDICES_PUT_SETTINGS, "index.block", MEDIUM, danger_settings_blocks, true},
    {API_INDICES_PUT_SETTINGS, "index.weaken", MEDIUM, danger_settings_weaken, true},
    {API_INDICES_PUT_SETTINGS, "mapping.change", MEDIUM, danger_settings_mapping, true},
    {API_INDICES_CLOSE, "index.close", HIGH, danger_close, false},
    {API_INDICES_ADD_BLOCK, "index.block", MEDIUM, danger_add_block, false},
    {API_INDICES_FORCEMERGE, "index.forcemerge", MEDIUM, NULL, false},
    {API_INDICES_DOWNSAMPLE, "index.downsample", MEDIUM, NULL, false},
    {API_CLUSTER_REROUTE, "shard.empty_primary", CRITICAL, danger_empty_primary, true},
    {API_CLUSTER_REROUTE, "shard.reroute", MEDIUM, danger_reroute, true},
    {API_CLUSTER_POST_VOTING_CONFIG_EXCLUSIONS, "cluster.node_out", HIGH, NULL, false},
    {API_CLUSTER_DELETE_VOTING_CONFIG_EXCLUSIONS, "cluster.node_out", HIGH, NULL, false},
    {API_SHUTDOWN_PUT_NODE, "cluster.node_out", HIGH, NULL, false},
    {API_CLUSTER_PUT_DECOMMISSION_AWARENESS, "cluster.node_out", HIGH, NULL, false},
    {API_CLUSTER_PUT_WEIGHTED_ROUTING, "cluster.node_out", HIGH, NULL, false},
    {API_TASKS_CANCEL, "work.cancel", MEDIUM, danger_tasks_all, false},
    // Templates, mappings, pipelines, lifecycle
    {API_INDICES_PUT_INDEX_TEMPLATE, "template.change", MEDIUM, danger_template, true},
    {API_INDICES_DELETE_INDEX_TEMPLATE, "template.change", MEDIUM, danger_template, false},
    {API_INDICES_PUT_TEMPLATE, "template.change", MEDIUM, danger_template, true},
    {API_INDICES_DELETE_TEMPLATE, "template.change", MEDIUM, danger_template, false},
    {API_CLUSTER_PUT_COMPONENT_TEMPLATE, "template.change", MEDIUM, danger_template, false},
    {API_CLUSTER_DELETE_COMPONENT_TEMPLATE, "template.change", MEDIUM, danger_template, false},
    {API_INGEST_DELETE_PIPELINE, "pipeline.change", HIGH, NULL, false},
    {API_INGEST_PUT_PIPELINE, "pipeline.change", HIGH, danger_pipeline, true},
    {API_ILM_PUT_LIFECYCLE, "ilm.change", HIGH, danger_delete_phase, true},
    {API_ILM_DELETE_LIFECYCLE, "ilm.change", HIGH, NULL, false},
    {API_ILM_STOP, "ilm.change", HIGH, NULL, false},
    {API_ILM_MOVE_TO_STEP, "ilm.change", HIGH, NULL, false},
    {API_ILM_REMOVE_POLICY, "ilm.detach", MEDIUM, NULL, false},
    {API_ILM_MIGRATE_TO_DATA_TIERS, "ilm.detach", MEDIUM, NULL, false},
    {API_INDICES_PUT_DATA_LIFECYCLE, "stream.retention", HIGH, danger_retention, true},
    {API_INDICES_DELETE_DATA_LIFECYCLE, "stream.retention", HIGH, NULL, false},
    {API_INDICES_PUT_DATA_STREAM_OPTIONS, "stream.retention", HIGH, NULL, false},
    {API_INDICES_DELETE_DATA_STREAM_OPTIONS, "stream.retention", HIGH, NULL, false},
    {API_ISM_PUT_POLICY, "ism.change", HIGH, NULL, false},
    {API_ISM_PUT_POLICIES, "ism.change", HIGH, NULL, false},
    {API_ISM_DELETE_POLICY, "ism.change", HIGH, NULL, false},
    {API_ISM_ADD_POLICY, "ism.change", HIGH, NULL, false},
    {API_ISM_CHANGE_POLICY, "ism.change", HIGH, NULL, false},
    {API_ISM_REMOVE_POLICY, "ism.change", HIGH, NULL, false},
    {API_ENRICH_DELETE_POLICY, "feature.delete", MEDIUM, NULL, false},
    {API_TRANSFORM_DELETE_TRANSFORM, "feature.delete", MEDIUM, NULL, false},
    {API_DATA_FRAME_TRANSFORM_DEPRECATED_DELETE_TRANSFORM, "feature.delete", MEDIUM, NULL, false},
    {API_TRANSFORMS_DELETE, "feature.delete", MEDIUM, NULL, false},
    {API_ROLLUP_DELETE_JOB, "feature.delete", MEDIUM, NULL, false},
    {API_ROLLUPS_DELETE, "feature.delete", MEDIUM, NULL, false},
    {API_ML_DELETE_JOB, "feature.delete", MEDIUM, NULL, false},
    {API_ML_DELETE_DATAFEED, "feature.delete", MEDIUM, NULL, false},
    {API_ML_DELETE_DATA_FRAME_ANALYTICS, "feature.delete", MEDIUM, NULL, false},
    {API_ML_DELETE_MODEL_SNAPSHOT, "feature.delete", MEDIUM, NULL, false},
    {API_ML_DELETE_TRAINED_MODEL, "feature.delete", MEDIUM, NULL, false},
    {API_ML_DELETE_CALENDAR, "feature.delete", MEDIUM, NULL, false},
    {API_ML_DELETE_FILTER, "feature.delete", MEDIUM, NULL, false},
    {API_ML_DELETE_MODEL, "feature.delete", MEDIUM, NULL, false},
    {API_ML_DELETE_MODEL_GROUP, "feature.delete", MEDIUM, NULL, false},
    {API_ML_DELETE_CONNECTOR, "feature.delete", MEDIUM, NULL, false},
    {API_ML_DELETE_AGENT, "feature.delete", MEDIUM, NULL, false},
    {API_ANOMALY_DETECTION_DELETE_DETECTOR, "feature.delete", MEDIUM, NULL, false},
    {API_KNN_DELETE_MODEL, "feature.delete", MEDIUM, NULL, false},
    {API_LTR_DELETE_STORE, "feature.delete", MEDIUM, NULL, false},
    {API_LTR_DELETE_DEFAULT_STORE, "feature.delete", MEDIUM, NULL, false},
    {API_LTR_DELETE_MODEL, "feature.delete", MEDIUM, NULL, false},
    {API_SYNONYMS_DELETE_SYNONYM, "feature.delete", MEDIUM, NULL, false},
    {API_SYNONYMS_DELETE_SYNONYM_RULE, "feature.delete", MEDIUM, NULL, false},
    {API_QUERY_RULES_DELETE_RULESET, "feature.delete", MEDIUM, NULL, false},
    {API_QUERY_RULES_DELETE_RULE, "feature.delete", MEDIUM, NULL, false},
    {API_INFERENCE_DELETE, "feature.delete", MEDIUM, NULL, false},
    {API_CONNECTOR_DELETE, "feature.delete", MEDIUM, NULL, false},
    {API_SEARCH_APPLICATION_DELETE, "feature.delete", MEDIUM, NULL, false},
    {API_PUT_SCRIPT, "script.change", MEDIUM, NULL, false},
    {API_DELETE_SCRIPT, "script.change", MEDIUM, NULL, false},
    // Recovery inhibited
    {API_SNAPSHOT_DELETE, "snapshot.delete", CRITICAL, NULL, false},
    {API_SNAPSHOT_DELETE_REPOSITORY, "repository.delete", HIGH, NULL, false},
    {API_SNAPSHOT_CREATE_REPOSITORY, "repository.change", HIGH, danger_repository, false},
    {API_SNAPSHOT_RESTORE, "snapshot.restore", HIGH, danger_restore, false},
    {API_SLM_DELETE_LIFECYCLE, "slm.stop", HIGH, NULL, false},
    {API_SLM_STOP, "slm.stop", HIGH, NULL, false},
    {API_SLM_EXECUTE_RETENTION, "slm.stop", HIGH, NULL, false},
    {API_SM_STOP_POLICY, "slm.stop", HIGH, NULL, false},
    {API_SM_DELETE_POLICY, "slm.stop", HIGH, NULL, false},
    {API_CCR_UNFOLLOW, "ccr.detach", HIGH, NULL, false},
    {API_CCR_PAUSE_FOLLOW, "ccr.detach", HIGH, NULL, false},
    {API_CCR_FORGET_FOLLOWER, "ccr.detach", HIGH, NULL, false},
    {API_CCR_PAUSE_AUTO_FOLLOW_PATTERN, "ccr.detach", HIGH, NULL, false},
    {API_CCR_DELETE_AUTO_FOLLOW_PATTERN, "ccr.detach", HIGH, NULL, false},
    {API_REPLICATION_STOP, "ccr.detach", HIGH, NULL, false},
    {API_REPLICATION_PAUSE, "ccr.detach", HIGH, NULL, false},
    {API_REPLICATION_DELETE_REPLICATION_RULE, "ccr.detach", HIGH, NULL, false},
    {API_REMOTE_STORE_RESTORE, "remotestore.restore", MEDIUM, NULL, false},
    // Security and audit
    {API_SECURITY_UPDATE_AUDIT_CONFIGURATION, "audit.change", CRITICAL, NULL, false},
    {API_SECURITY_PATCH_AUDIT_CONFIGURATION, "audit.change", CRITICAL, NULL, false},
    {API_LICENSE_POST_START_BASIC, "license.change", HIGH, NULL, false},
    {API_LICENSE_DELETE, "license.change", HIGH, NULL, false},
    {API_LICENSE_POST, "license.change", HIGH, NULL, false},
    {API_SECURITY_CHANGE_PASSWORD, "security.lockout", HIGH, danger_lockout_password, false},
    {API_SECURITY_DISABLE_USER, "security.lockout", HIGH, NULL, false},
    {API_SECURITY_INVALIDATE_API_KEY, "security.lockout", HIGH, danger_lockout_keys, true},
    {API_SECURITY_INVALIDATE_TOKEN, "security.lockout", HIGH, NULL, false},
    {API_SECURITY_CREATE_API_KEY, "security.grant", CRITICAL, danger_grant, true},
    {API_SECURITY_UPDATE_API_KEY, "security.grant", CRITICAL, danger_grant, true},
    {API_SECURITY_BULK_UPDATE_API_KEYS, "security.grant", CRITICAL, danger_grant, true},
    {API_SECURITY_CREATE_API_KEY, "security.persist", MEDIUM, danger_key_forever, true},
    {API_SECURITY_GRANT_API_KEY, "security.persist", MEDIUM, NULL, false},
    {API_SECURITY_CLONE_API_KEY, "security.persist", MEDIUM, NULL, false},
    {API_SECURITY_CREATE_CROSS_CLUSTER_API_KEY, "security.persist", MEDIUM, NULL, false},
    {API_SECURITY_CREATE_SERVICE_TOKEN, "security.persist", MEDIUM, NULL, false},
#define SECURITY_WRITE(api) {api, "security.grant", CRITICAL, danger_grant, true}, {api, "security.change", HIGH, NULL, false}
    SECURITY_WRITE(API_SECURITY_PUT_USER), SECURITY_WRITE(API_SECURITY_PUT_ROLE), SECURITY_WRITE(API_SECURITY_BULK_PUT_ROLE),
    SECURITY_WRITE(API_SECURITY_PUT_ROLE_MAPPING), SECURITY_WRITE(API_SECURITY_PUT_PRIVILEGES), SECURITY_WRITE(API_SECURITY_CREATE_USER),
    SECURITY_WRITE(API_SECURITY_CREATE_USER_LEGACY), SECURITY_WRITE(API_SECURITY_PATCH_USER), SECURITY_WRITE(API_SECURITY_PATCH_USERS),
    SECURITY_WRITE(API_SECURITY_CREATE_ROLE), SECURITY_WRITE(API_SECURITY_PATCH_ROLE), SECURITY_WRITE(API_SECURITY_PATCH_ROLES),
    SECURITY_WRITE(API_SECURITY_CREATE_ROLE_MAPPING), SECURITY_WRITE(API_SECURITY_PATCH_ROLE_MAPPING), SECURITY_WRITE(API_SECURITY_PATCH_ROLE_MAPPINGS),
    {API_SECURITY_CHANGE_PASSWORD, "security.change", HIGH, NULL, false},
    {API_SECURITY_ENABLE_USER, "security.change", HIGH, NULL, false},
    {API_SECURITY_DELETE_USER, "security.change", HIGH, NULL, false},
    {API_SECURITY_DELETE_USER_LEGACY, "security.change", HIGH, NULL, false},
    {API_SECURITY_DELETE_ROLE, "security.change", HIGH, NULL, false},
    {API_SECURITY_BULK_DELETE_ROLE, "security.change", HIGH, NULL, false},
    {API_SECURITY_DELETE_ROLE_MAPPING, "security.change", HIGH, NULL, false},
    {API_SECURITY_DELETE_PRIVILEGES, "security.change", HIGH, NULL, false},
    {API_SECURITY_CREATE_ACTION_GROUP, "security.change", HIGH, NULL, false},
    {API_SECURITY_PATCH_ACTION_GROUP, "security.change", HIGH, NULL, false},
    {API_SECURITY_PATCH_ACTION_GROUPS, "security.change", HIGH, NULL, false},
    {API_SECURITY_DELETE_ACTION_GROUP, "security.change", HIGH, NULL, false},
    {API_SECURITY_CREATE_TENANT, "security.change", HIGH, NULL, false},
    {API_SECURITY_PATCH_TENANT, "security.change", HIGH, NULL, false},
    {API_SECURITY_PATCH_TENANTS, "security.change", HIGH, NULL, false},
    {API_SECURITY_DELETE_TENANT, "security.change", HIGH, NULL, false},
    {API_SECURITY_CREATE_UPDATE_TENANCY_CONFIG, "security.change", HIGH, NULL, false},
    {API_SECURITY_UPDATE_DISTINGUISHED_NAME, "security.change", HIGH, NULL, false},
    {API_SECURITY_PATCH_DISTINGUISHED_NAME, "security.change", HIGH, NULL, false},
    {API_SECURITY_PATCH_DISTINGUISHED_NAMES, "security.change", HIGH, NULL, false},
    {API_SECURITY_DELETE_DISTINGUISHED_NAME, "security.change", HIGH, NULL, false},
    {API_SECURITY_CREATE_ALLOWLIST, "security.change", HIGH, NULL, false},
    {API_SECURITY_PATCH_ALLOWLIST, "security.change", HIGH, NULL, false},
    {API_SECURITY_UPDATE_CONFIGURATION, "security.change", HIGH, NULL, false},
    {API_SECURITY_PATCH_CONFIGURATION, "security.change", HIGH, NULL, false},
    {API_SECURITY_MIGRATE, "security.change", HIGH, NULL, false},
    {API_WATCHER_STOP, "alarm.off", HIGH, NULL, false},
    {API_WATCHER_DELETE_WATCH, "alarm.off", HIGH, NULL, false},
    {API_WATCHER_DEACTIVATE_WATCH, "alarm.off", HIGH, NULL, false},
    {API_ALERTING_DELETE_MONITOR, "alarm.off", HIGH, NULL, false},
    {API_ALERTING_DELETE_WORKFLOW, "alarm.off", HIGH, NULL, false},
    {API_ALERTING_DELETE_DESTINATION, "alarm.off", HIGH, NULL, false},
    {API_NOTIFICATIONS_DELETE_CONFIG, "alarm.off", HIGH, NULL, false},
    {API_NOTIFICATIONS_DELETE_CONFIGS, "alarm.off", HIGH, NULL, false},
    // Code and ways out
    {API_PUT_SCRIPT, "script.run", CRITICAL, danger_inline_script, false},
    {API_WATCHER_PUT_WATCH, "data.out", HIGH, danger_webhook, true},
    {API_SNAPSHOT_CREATE_REPOSITORY, "data.out", HIGH, danger_url_repository, true},
    {API_ESQL_PUT_DATA_SOURCE, "data.out", HIGH, NULL, false},
    {API_QUERY_DATASOURCES_CREATE, "data.out", HIGH, NULL, false},
    {API_QUERY_DATASOURCES_UPDATE, "data.out", HIGH, NULL, false},
};

#define DOCUMENT_ROWS (sizeof document_rows / sizeof *document_rows)
#define ROWS (DOCUMENT_ROWS + sizeof admin_rows / sizeof *admin_rows)

static const struct danger_row *row_at(size_t which)
{
    return which < DOCUMENT_ROWS ? &document_rows[which] : &admin_rows[which - DOCUMENT_ROWS];
}

static const struct danger_row *rows_of(const struct route_match *m, const struct danger_row **end)
{
    if (m->flags & ROUTE_ADMIN) {
        *end = admin_rows + (ROWS - DOCUMENT_ROWS);
        return admin_rows;
    }
    *end = document_rows + DOCUMENT_ROWS;
    return document_rows;
}

struct danger danger_of(const struct danger_input *in)
{
    const struct danger_row *end, *row = rows_of(in->route, &end);
    struct danger worst = {NULL, DANGER_NONE};
    enum api api = in->route->api;
    for (; row < end && api != API_NONE; row++) {
        if (row->api != api && row->api != API_NONE)
            continue;
        enum danger_level level = row->look ? row->look(in) : row->level;
        if (level >= DANGER_MEDIUM && level > worst.level)
            worst = (struct danger){row->id, level};
    }
    return worst;
}

bool danger_body_matters(const struct route_match *m)
{
    const struct danger_row *end, *row = rows_of(m, &end);
    for (; row < end && m->api != API_NONE; row++)
        if (row->api == m->api && row->body)
            return true;
    return false;
}

const char *danger_level_name(enum danger_level level)
{
    static const char *const names[] = {"none", "low", "medium", "high", "critical"};
    return names[level];
}

static bool row_is_first_of_id(size_t row)
{
    for (size_t i = 0; i < row; i++)
        if (strcmp(row_at(i)->id, row_at(row)->id) == 0)
            return false;
    return true;
}

size_t danger_class_count(void)
{
    size_t count = 0;
    for (size_t i = 0; i < ROWS; i++)
        count += row_is_first_of_id(i);
    return count;
}

bool danger_class_view(size_t which, struct danger *view)
{
    for (size_t i = 0; i < ROWS; i++)
        if (row_is_first_of_id(i) && which-- == 0) {
            *view = (struct danger){row_at(i)->id, row_at(i)->level};
            return true;
        }
    return false;
}
