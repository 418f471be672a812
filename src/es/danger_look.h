// Looks into requests for the danger classes: each answers how bad this call is, DANGER_NONE when the class does not fit.
#pragma once
#include "danger.h"

typedef enum danger_level danger_look(const struct danger_input *in);

// danger_index.c: indices, documents, queries, scripts
danger_look danger_delete_evidence, danger_delete_system, danger_delete_many, danger_delete_one, danger_ransom_name, danger_remove_index,
    danger_remove_backing, danger_import_dangling, danger_delete_all, danger_rewrite_by_query, danger_reindex, danger_async, danger_update_script,
    danger_sql_delete, danger_close, danger_add_block, danger_direct, danger_inline_script, danger_restore;
// danger_admin.c: cluster, lifecycle, security
danger_look danger_empty_primary, danger_reroute, danger_scroll_all, danger_tasks_all, danger_template, danger_pipeline, danger_delete_phase,
    danger_retention, danger_repository, danger_grant, danger_lockout_password, danger_lockout_keys, danger_key_forever, danger_webhook, danger_url_repository;
// danger_settings.c: keys of index and cluster settings, dotted or nested
danger_look danger_settings_blocks, danger_settings_weaken, danger_settings_all, danger_settings_mapping, danger_settings_pipeline, danger_settings_logs,
    danger_cluster_readonly, danger_cluster_allocation, danger_cluster_guard, danger_cluster_audit, danger_cluster_remote;

bool danger_text_has(struct bytes text, const char *what);       // case-sensitive
bool danger_begins(struct bytes text, const char *prefix);
// Calls fn for the value and everything below it until one answers true.
bool danger_any(const struct json *j, bool (*fn)(const struct json *j));
