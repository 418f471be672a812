// The subcommands: one file each, options -> call -> exit code.
#pragma once
#include "../base/option.h"

extern const struct command cmd_record, cmd_log, cmd_show, cmd_info, cmd_sql, cmd_doc, cmd_timeline, cmd_fsck, cmd_prune;
extern const struct command cmd_alerts, cmd_rules, cmd_sinks;
extern const struct command cmd_replay, cmd_check, cmd_verify, cmd_export, cmd_snapshots;
