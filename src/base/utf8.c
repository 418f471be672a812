// UTF-8: how long a character is, and how one is written.
#include "utf8.h"

size_t utf8_length(const uint8_t *at, size_t left, size_t *bad)
{
    uint8_t c = left ? at[0] : 0xff;
    size_t need = c < 0x80 ? 1 : c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    size_t i = 1;
    for (; i < need; i++) {
        // The second byte's range depends on the first: no surrogates, no longer form than needed, nothing past U+10FFFF.
        uint8_t low = i > 1 ? 0x80 : c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
        uint8_t high = i > 1 ? 0xbf : c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        if (i >= left || at[i] < low || at[i] > high) {
            need = 0;
            break;
        }
    }
    if (bad)
        *bad = i;
    return need;
}

size_t utf8_put(uint8_t *to, uint32_t code)
{
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = size; i-- > 1; code >>= 6)
        to[i] = (uint8_t)(0x80 | (code & 0x3f));
    to[0] = (uint8_t)(lead[size] | code);
    return size;
}
