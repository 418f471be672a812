// What `record` and `rules` need of alerts: rules loaded from options, sinks parsed, findings printed.
#pragma once
#include "../alert/alert.h"
#include "../alert/sink.h"
#include "../base/option.h"

// Loads --rules (files, directories, "builtin", "none"; nothing: the built-in pack), switches --rule-off off and seals.
// Findings are printed as warnings and counted (notes only if `notes`). "none" gives NULL with no fault.
struct rules *alerts_load_rules(const struct option_list *paths, const struct option_list *off, bool notes, size_t *refused, struct fault *fault);

struct alert_sinks {
    struct sink_settings *at;
    size_t count;
    size_t refused;
};
// A sink that cannot be used is told as a warning and left out: recording goes on.
bool alerts_load_sinks(const struct option_list *texts, struct alert_sinks *sinks, struct fault *fault);
void alerts_free_sinks(struct alert_sinks *sinks);
