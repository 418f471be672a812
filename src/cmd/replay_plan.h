// A plan file: the choices of a plan that was looked at, the cluster it was made for, and a hash of everything it would do.
#pragma once
#include "replay_options.h"

struct replay_plan_file {
    struct arena arena;    // holds the choices' texts
    char cluster[128], hash[17];
    uint64_t documents;
};

// Writes what `r` would do. False: fault.
bool replay_plan_save(const char *path, const struct replay_choice *c, const struct replay_run *r, struct fault *fault);
// Fills the choices from the file; none may have been given beside it. Free with replay_plan_fini when the choices are done with.
bool replay_plan_load(const char *path, struct replay_choice *c, struct replay_plan_file *out, struct fault *fault);
void replay_plan_fini(struct replay_plan_file *f);
// The opened run does exactly what the file says, on the same cluster. False: fault user (a refusal) or system.
bool replay_plan_check(const char *path, const struct replay_plan_file *f, struct replay_run *r, struct fault *fault);
