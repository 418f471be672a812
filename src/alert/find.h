// Looks for a text in a text, fast and in bounded time. For the files of this folder.
#pragma once
#include "../../include/bytes.h"

#include <stdint.h>

// Comparisons that one search may take: some milliseconds. An honest one takes a hundredth of it on the longest text.
enum { FIND_STEPS_MAX = 4 << 20 };

// core: lower case. Case of ASCII letters does not count. *limited grows when the search gave up: taken as not found.
bool find_nocase(struct bytes text, struct bytes core, uint64_t *limited);
bool find_same_nocase(const uint8_t *at, struct bytes core); // core.size bytes are there
size_t find_digit(struct bytes text, size_t from);           // where the next one stands, or text.size
