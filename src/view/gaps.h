// What was not seen, as a list.
#pragma once
#include "../tape/read.h"
#include "table.h"

// names: of the tapes where there are several, else NULL. False: memory out, or the output is gone.
bool gaps_print(struct out *out, const char *const *names, const struct tape_gap_row *gaps, size_t count, enum table_format format);
