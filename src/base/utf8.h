// UTF-8: how long a character is, and how one is written.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Length of the well-formed character at `at`, or 0. *bad (may be NULL) is then how many bytes stand for one U+FFFD.
size_t utf8_length(const uint8_t *at, size_t left, size_t *bad);
// Writes a code point; `to` has room for 4. Returns the length.
size_t utf8_put(uint8_t *to, uint32_t code);
