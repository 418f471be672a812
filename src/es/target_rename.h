// The renaming of a restore: "rename_pattern" and "rename_replacement" applied to one plain index name.
#pragma once
#include "../../include/bytes.h"

// Java's String.replaceAll for the patterns people write: literal text, ., \d, \w, [0-9], [a-z], [a-z0-9] with *, + or *?, +?, groups, ^ and $.
// False: the pattern has more than that, or the result does not fit `room`; then the new name is not known.
bool target_rename(struct bytes name, struct bytes pattern, struct bytes replacement, char *to, size_t room, size_t *size);
