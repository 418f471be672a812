// From argv to the subcommand's run, and everything that is told about the subcommands themselves.
#pragma once
#include "../base/option.h"

// Finds and runs the subcommand argv[1]; NULL rows are passed over. Also: help [COMMAND], --help, --version, and for the
// build `help --man PAGE` and `help --completion SHELL`. Returns the exit status; output that could not be written is 1.
int help_main(const struct command *const *commands, size_t count, int argc, char **argv);
