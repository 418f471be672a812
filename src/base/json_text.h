// What the JSON scanner and the JSON tree share: digits and escapes.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool json_is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

// What stands for the letter behind a backslash ('n' -> line feed); 'u' and what is no escape give -1.
int json_plain_escape(uint8_t letter);
