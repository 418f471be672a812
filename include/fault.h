// Bad news of the first kind: our machine failed. Filled where the knowledge is, printed only in cmd/.
#pragma once
#include <stdbool.h>

enum fault_kind {
    FAULT_NONE,
    FAULT_USER,   // what the user asked for cannot be done: exit status 2
    FAULT_SYSTEM, // memory, disk, permission, device: exit status 1
};

// One line, without a trailing newline: what was wrong, and what to do.
struct fault {
    enum fault_kind kind;
    int error; // errno at the time, or 0
    char text[480];
};
