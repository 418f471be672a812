// The lock file of a tape: one writer (a recorder, prune) at a time, known by its pid.
#pragma once
#include "../../include/fault.h"

// The held lock as a descriptor, or -1. Fault user: somebody else holds it.
int lock_take(const char *dir, struct fault *fault);
void lock_drop(int fd);
