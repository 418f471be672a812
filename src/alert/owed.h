// Correlations that fired at an attempt and owe a second word when the answer is there. For the files of this folder.
#pragma once
#include "correlate.h"

struct owed;
struct owed *owed_open(void); // NULL: memory out
void owed_close(struct owed *o);
void owed_add(struct owed *o, const struct fired *f, const char *id); // f->exchange is the call attempted
typedef void owed_fn(void *ctx, const struct fired *f, const char *id);
void owed_pay(struct owed *o, uint64_t exchange, owed_fn *fn, void *ctx);
