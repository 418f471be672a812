// Times as people write them: RFC 3339 and relative, to nanoseconds and back.
#pragma once
#include "../../include/when.h"
#include <stdbool.h>
#include <stddef.h>

int64_t clock_now_ns(void);       // wall clock
int64_t clock_steady_ns(void);    // monotonic
// "2026-11-24T14:02:11Z", "...+01:00", "2026-11-24 14:02" and "2026-11-24" (local zone), "14:02[:11[.5]]" (today),
// "now", "yesterday", "today", "-2h", "2h ago", "90s", "1h30m" (that long before now), "@1700000000[.5]".
bool clock_parse(const char *text, int64_t now_ns, int64_t *time_ns);
// "30s", "5m", "2h", "7d", "4w", "1h30m", plain number = seconds.
bool clock_parse_span(const char *text, int64_t *span_ns);
// "2026-11-24T14:02:11.123456Z" (always UTC, microseconds). room >= 40. Returns text.
char *clock_format_utc(int64_t time_ns, char *text, size_t room);
// Local zone with offset: "2026-11-24 14:02:11.123+01:00".
char *clock_format_local(int64_t time_ns, char *text, size_t room);
char *clock_format_span(int64_t span_ns, char *text, size_t room); // "3.2 s", "14 min", "2 d 3 h"
// "64M", "500K", "2G", "1.5GiB", plain bytes.
bool clock_parse_size(const char *text, uint64_t *bytes);
char *clock_format_size(uint64_t bytes, char *text, size_t room); // "12.3 MiB"
