// Passing over JSON many bytes at once, by bit masks of their quotes and brackets.
#include "json_skip.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

const uint8_t *json_skip_text(const uint8_t *at, const uint8_t *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    while (end - at >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)at);
        int mask = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)));
        if (mask)
            return at + __builtin_ctz((unsigned)mask);
        at += 16;
    }
#endif
    while (at < end && *at != '"' && *at != '\\')
        at++;
    return at;
}

#ifdef __SSE2__
static uint64_t block_mask(__m128i a, __m128i b, __m128i c, __m128i d, char byte)
{
    const __m128i wanted = _mm_set1_epi8(byte);
    uint64_t low = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(a, wanted)) | (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(b, wanted)) << 16;
    uint64_t high = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(c, wanted)) | (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(d, wanted)) << 16;
    return low | high << 32;
}

// The bytes behind an odd run of backslashes; *carry: the byte before the block (on return: its last one) ends such a run.
static uint64_t escaped_mask(uint64_t slashes, bool *carry)
{
    const uint64_t even = UINT64_C(0x5555555555555555);
    slashes &= ~(uint64_t)*carry;
    uint64_t behind = slashes << 1 | *carry, odd_starts = slashes & ~even & ~behind, sum;
    *carry = __builtin_add_overflow(odd_starts, slashes, &sum);
    return (even ^ sum << 1) & behind;
}

unsigned json_skip_block(struct json_skip *s, const uint8_t *at)
{
    const __m128i *from = (const __m128i *)(const void *)at, fold = _mm_set1_epi8(0x20);
    __m128i a = _mm_loadu_si128(from), b = _mm_loadu_si128(from + 1), c = _mm_loadu_si128(from + 2), d = _mm_loadu_si128(from + 3);
    bool escaped = s->in_string && s->escaped;
    uint64_t quotes = block_mask(a, b, c, d, '"'), slashes = block_mask(a, b, c, d, '\\');
    if (slashes || escaped)
        quotes &= ~escaped_mask(slashes, &escaped);
    uint64_t inside = quotes; // becomes: an odd number of quotes up to here
    for (unsigned by = 1; by < JSON_SKIP_BLOCK; by *= 2)
        inside ^= inside << by;
    if (s->in_string)
        inside = ~inside;
    if ((slashes | block_mask(a, b, c, d, '/')) & ~inside)
        return 0;
    // With that bit set '[' and '{' are one, as are ']' and '}'.
    a = _mm_or_si128(a, fold), b = _mm_or_si128(b, fold), c = _mm_or_si128(c, fold), d = _mm_or_si128(d, fold);
    uint64_t opens = block_mask(a, b, c, d, '{') & ~inside, closes = block_mask(a, b, c, d, '}') & ~inside;
    unsigned depth = s->depth;
    for (uint64_t both = opens | closes; both; both &= both - 1) {
        uint64_t one = both & -both;
        depth += opens & one ? 1u : -1u;
        if (!depth) {
            s->depth = 0;
            s->in_string = false;
            return (unsigned)__builtin_ctzll(one) + 1;
        }
    }
    s->depth = depth;
    s->in_string = inside >> (JSON_SKIP_BLOCK - 1);
    s->escaped = escaped;
    return JSON_SKIP_BLOCK;
}
#else
unsigned json_skip_block(struct json_skip *s, const uint8_t *at)
{
    (void)s;
    (void)at;
    return 0;
}
#endif
