// Percent-decoding (RFC 3986 2.1), as it is.
#pragma once
#include "../../include/bytes.h"

// Writes what `text` stands for; `to` has room for text.size and may be text's own place. Returns the length. An escape that is
// none stays as it is and is counted in *malformed (may be NULL). `plus`: '+' is a space.
size_t percent_decode(struct bytes text, bool plus, uint8_t *to, size_t *malformed);
