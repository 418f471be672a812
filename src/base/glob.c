// Elasticsearch-style wildcards: '*' any run, no other magic.
#include "glob.h"

// The classic two-pointer walk: on a mismatch go back to the last star and let it eat one byte more. O(n*m) at worst.
bool glob_match(struct bytes pattern, struct bytes text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, resume = 0;
    while (t < text.size) {
        if (p < pattern.size && pattern.at[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.size && pattern.at[p] == text.at[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.size && pattern.at[p] == '*')
        p++;
    return p == pattern.size;
}

bool glob_is_pattern(struct bytes text)
{
    return text.size && memchr(text.at, '*', text.size) != NULL;
}
