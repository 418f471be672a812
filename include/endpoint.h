// One end of a TCP connection, and a connection seen as a pair of them.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct endpoint {
    uint8_t ip[16]; // IPv4 as ::ffff:a.b.c.d
    uint16_t port;  // host order
};

static inline bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && memcmp(a->ip, b->ip, 16) == 0;
}

static inline bool endpoint_is_v4(const struct endpoint *e)
{
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return memcmp(e->ip, prefix, 12) == 0;
}
