// Passing over JSON many bytes at once: a string's text, a value that nobody wants.
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { JSON_SKIP_BLOCK = 64 };

struct json_skip {
    unsigned depth;          // containers that are open, the one to pass over included
    bool in_string, escaped; // escaped: a backslash came last in it
};

// Looks at 64 bytes with a quarter of the instructions that going from byte to byte takes. How many were passed: 64; fewer
// when the container ended (its last bracket is the last of them, and depth is 0); 0 when something wants a closer look (a
// comment, or a machine without SSE2): nothing was done then.
unsigned json_skip_block(struct json_skip *s, const uint8_t *at);
// The first '"' or '\' in [at, end), or end.
const uint8_t *json_skip_text(const uint8_t *at, const uint8_t *end);
