// The table of subcommands, nothing else.
#include "cmd/cmd.h"
#include "cmd/help.h"

// A part that is not linked in leaves no row.
#pragma weak cmd_record
#pragma weak cmd_log
#pragma weak cmd_show
#pragma weak cmd_info
#pragma weak cmd_sql
#pragma weak cmd_doc
#pragma weak cmd_timeline
#pragma weak cmd_fsck
#pragma weak cmd_prune
#pragma weak cmd_alerts
#pragma weak cmd_rules
#pragma weak cmd_sinks
#pragma weak cmd_replay
#pragma weak cmd_check
#pragma weak cmd_verify
#pragma weak cmd_export
#pragma weak cmd_snapshots

int main(int argc, char **argv)
{
    const struct command *const commands[] = {
        &cmd_record, &cmd_log,    &cmd_show,  &cmd_timeline, &cmd_doc,    &cmd_info,   &cmd_sql,       &cmd_alerts, &cmd_rules,
        &cmd_sinks,  &cmd_replay, &cmd_check, &cmd_verify,   &cmd_export, &cmd_snapshots, &cmd_fsck,  &cmd_prune,
    };
    return help_main(commands, sizeof commands / sizeof *commands, argc, argv);
}
