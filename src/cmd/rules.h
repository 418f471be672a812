// Between the files of `estape rules`.
#pragma once
#include "alerts_record.h"
#include "tape_options.h"

struct rules_settings {
    struct option_list tapes, paths;
    const char *from, *color;
    int64_t since, until;
    bool json, all;
};

bool rules_backtest(const struct rules_settings *s, struct rules *r, struct out *out, struct fault *fault);
bool rules_draft(const struct rules_settings *s, struct out *out, struct fault *fault);
