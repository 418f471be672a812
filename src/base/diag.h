// Filling faults, and the few lines that go to standard error.
#pragma once
#include "../../include/fault.h"

// Both return false, so that a caller can `return fault_user(f, ...)`. The text is one line without a newline.
bool fault_user(struct fault *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool fault_system(struct fault *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
// As fault_system, with ": " and the text of `error` (an errno) behind it.
bool fault_errno(struct fault *f, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool fault_memory(struct fault *f); // "out of memory"

// "estape: " + text + newline on standard error. For cmd/ and the recorder's status only. Control characters escaped.
void diag_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
void diag_warn(const char *format, ...) __attribute__((format(printf, 1, 2))); // "estape: warning: "
// Prints the fault; returns the exit status that belongs to it (2 user, 1 system).
int diag_fault(const struct fault *f);
