// Moments: nanoseconds since 1970-01-01 UTC, by the clock of the capture.
#pragma once
#include <stdint.h>

#define WHEN_NS_PER_US INT64_C(1000)
#define WHEN_NS_PER_MS INT64_C(1000000)
#define WHEN_NS_PER_S INT64_C(1000000000)
#define WHEN_UNKNOWN INT64_MIN

static inline int64_t when_us(int64_t time_ns)
{
    // Rounds towards the past also before 1970; any value has an answer, also WHEN_UNKNOWN.
    return time_ns / 1000 - (time_ns % 1000 < 0);
}
