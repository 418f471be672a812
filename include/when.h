// Moments: nanoseconds since 1970-01-01 UTC, by the clock of the capture.
#pragma once
#include <stdint.h>

#define WHEN_NS_PER_US INT64_C(1000)
#define WHEN_NS_PER_MS INT64_C(1000000)
#define WHEN_NS_PER_S INT64_C(1000000000)
#define WHEN_UNKNOWN INT64_MIN

// A moment read from a file, in microseconds: what is beyond 1823 to 2116 is brought there, so that the difference of two
// moments always has an answer.
static inline int64_t when_from_us(int64_t time_us)
{
    const int64_t far_us = INT64_MAX / 2 / WHEN_NS_PER_US;
    return (time_us > far_us ? far_us : time_us < -far_us ? -far_us : time_us) * WHEN_NS_PER_US;
}

// The sum of two times read from a file, or the farthest there is.
static inline int64_t when_plus(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? b < 0 ? INT64_MIN : INT64_MAX : sum;
}

static inline int64_t when_us(int64_t time_ns)
{
    // Rounds towards the past also before 1970; any value has an answer, also WHEN_UNKNOWN.
    return time_ns / 1000 - (time_ns % 1000 < 0);
}
