// Percent-decoding (RFC 3986 2.1), as it is.
#include "percent.h"

size_t percent_decode(struct bytes text, bool plus, uint8_t *to, size_t *malformed)
{
    size_t made = 0, bad = 0;
    for (size_t i = 0; i < text.size; i++) {
        int high, low;
        if (text.at[i] != '%') {
            to[made++] = plus && text.at[i] == '+' ? ' ' : text.at[i];
        } else if (i + 2 < text.size && (high = bytes_hex_value(text.at[i + 1])) >= 0 && (low = bytes_hex_value(text.at[i + 2])) >= 0) {
            to[made++] = (uint8_t)(high << 4 | low);
            i += 2;
        } else {
            to[made++] = '%';
            bad++;
        }
    }
    if (malformed)
        *malformed = bad;
    return made;
}
