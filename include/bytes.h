// A borrowed run of bytes: where it begins and how many there are.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *at;
    size_t size;
};

static inline struct bytes bytes_of(const void *at, size_t size)
{
    return (struct bytes){at, size};
}

static inline struct bytes bytes_of_text(const char *text)
{
    return (struct bytes){(const uint8_t *)text, text ? strlen(text) : 0};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.at, b.at, a.size) == 0);
}

static inline bool bytes_equal_text(struct bytes a, const char *text)
{
    return bytes_equal(a, bytes_of_text(text));
}

// A hexadecimal digit of either case; -1: none.
static inline int bytes_hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// ASCII only, as HTTP field names and Elasticsearch's own words are.
static inline bool bytes_equal_text_nocase(struct bytes a, const char *text)
{
    size_t i;
    for (i = 0; i < a.size && text[i]; i++) {
        unsigned x = a.at[i], y = (uint8_t)text[i];
        x = x - 'A' < 26u ? x | 32 : x;
        y = y - 'A' < 26u ? y | 32 : y;
        if (x != y)
            return false;
    }
    return i == a.size && !text[i];
}

// The part from `from` on; empty when `from` lies past the end.
static inline struct bytes bytes_from(struct bytes b, size_t from)
{
    if (from > b.size)
        from = b.size;
    return (struct bytes){from ? b.at + from : b.at, b.size - from}; // nothing may be added to a null pointer, not even 0
}

static inline bool bytes_is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// Without the blanks (space, tab, CR, LF) at its ends.
static inline struct bytes bytes_trim(struct bytes b)
{
    while (b.size && bytes_is_blank(b.at[0]))
        b = bytes_from(b, 1);
    while (b.size && bytes_is_blank(b.at[b.size - 1]))
        b.size--;
    return b;
}
