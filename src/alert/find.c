// Looks for a text in a text without regard to case: sixteen places at once.
#include "find.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

bool find_same_nocase(const uint8_t *at, struct bytes core)
{
    for (size_t i = 0; i < core.size; i++) {
        uint8_t c = at[i] >= 'A' && at[i] <= 'Z' ? at[i] | 32 : at[i];
        if (c != core.at[i])
            return false;
    }
    return true;
}

bool find_nocase(struct bytes text, struct bytes core, uint64_t *limited)
{
    if (!core.size)
        return true;
    if (text.size < core.size)
        return false;
    const uint8_t *at = text.at, *end = text.at + (text.size - core.size) + 1;
    size_t steps = 0;
#ifdef __SSE2__
    // Where the first byte and the middle one fit, in either case. JSON is full of first bytes that fit (quotes) and of letters;
    // of both at their distance there are few.
    size_t middle = core.size / 2;
    uint8_t first = core.at[0], inner = core.at[middle];
    const __m128i c0 = _mm_set1_epi8((char)first), fold0 = _mm_set1_epi8(first >= 'a' && first <= 'z' ? 0x20 : 0);
    const __m128i c1 = _mm_set1_epi8((char)inner), fold1 = _mm_set1_epi8(inner >= 'a' && inner <= 'z' ? 0x20 : 0);
    for (; end - at >= 16 && steps < FIND_STEPS_MAX; at += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)at), w = _mm_loadu_si128((const __m128i *)(const void *)(at + middle));
        __m128i fits = _mm_and_si128(_mm_cmpeq_epi8(_mm_or_si128(v, fold0), c0), _mm_cmpeq_epi8(_mm_or_si128(w, fold1), c1));
        for (unsigned mask = (unsigned)_mm_movemask_epi8(fits); mask; mask &= mask - 1, steps += core.size)
            if (find_same_nocase(at + __builtin_ctz(mask), core))
                return true;
    }
#endif
    for (; at < end && steps < FIND_STEPS_MAX; at++, steps += core.size / 8 + 1)
        if (find_same_nocase(at, core))
            return true;
    *limited += at < end;
    return false;
}

size_t find_digit(struct bytes text, size_t from)
{
#ifdef __SSE2__
    for (; from + 16 <= text.size; from += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(text.at + from));
        __m128i digits = _mm_cmplt_epi8(_mm_add_epi8(v, _mm_set1_epi8((char)(0x80 - '0'))), _mm_set1_epi8((char)(0x80 + 10)));
        int mask = _mm_movemask_epi8(digits);
        if (mask)
            return from + (size_t)__builtin_ctz((unsigned)mask);
    }
#endif
    while (from < text.size && (text.at[from] < '0' || text.at[from] > '9'))
        from++;
    return from;
}
