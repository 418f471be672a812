// What `record` and `rules` need of alerts: rules loaded from options, sinks parsed, findings printed.
#pragma once
#include "../alert/alert.h"
#include "../alert/sink.h"
#include "../base/option.h"

// Loads --rules (files, directories, "builtin", "none"; nothing: the built-in pack), switches --rule-off off and seals.
// Errors are printed as warnings and counted, notes only if asked for. "none" gives NULL with no fault.
struct rules_wanted {
    struct option_list paths, off, only; // only: names or ids, nothing else is left on
    bool notes;
};
struct rules *alerts_load_rules(const struct rules_wanted *wanted, size_t *refused, struct fault *fault);

struct alert_sinks {
    struct sink_settings *at;
    size_t count;
    size_t refused;
};
// A sink that cannot be used is told as a warning and left out: recording goes on.
bool alerts_load_sinks(const struct option_list *texts, struct alert_sinks *sinks, struct fault *fault);
void alerts_free_sinks(struct alert_sinks *sinks);
