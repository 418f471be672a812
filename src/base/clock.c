// Times as people write them: RFC 3339 and relative, to nanoseconds and back; spans and sizes.
#include "clock.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (int64_t)t.tv_sec * WHEN_NS_PER_S + t.tv_nsec;
}

int64_t clock_now_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t clock_steady_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

// ---- spans ----------------------------------------------------------------------------------------------------------

static const struct unit {
    const char *name;
    int64_t ns;
} units[] = {
    {"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", WHEN_NS_PER_S}, {"m", 60 * WHEN_NS_PER_S}, {"min", 60 * WHEN_NS_PER_S},
    {"h", 3600 * WHEN_NS_PER_S}, {"d", 86400 * WHEN_NS_PER_S}, {"w", 7 * 86400 * WHEN_NS_PER_S},
};

static const struct unit *find_unit(const char *at, size_t size)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strlen(units[i].name) == size && strncmp(units[i].name, at, size) == 0)
            return &units[i];
    return NULL;
}

// "1h30m", "1.5h", "90"; stops at the first byte that does not belong to it.
static bool take_span(const char **text, int64_t *span_ns)
{
    const char *at = *text;
    double total = 0;
    bool any = false;
    while (isdigit((unsigned char)*at)) {
        char *end;
        double number = strtod(at, &end);
        size_t letters = 0;
        while (isalpha((unsigned char)end[letters]))
            letters++;
        const struct unit *unit = letters ? find_unit(end, letters) : find_unit("s", 1);
        if (!unit || end == at)
            return false;
        total += number * (double)unit->ns;
        at = end + letters;
        any = true;
    }
    if (!any || !(total >= 0 && total < 9.2e18))
        return false;
    *text = at;
    *span_ns = (int64_t)total;
    return true;
}

bool clock_parse_span(const char *text, int64_t *span_ns)
{
    return take_span(&text, span_ns) && !*text;
}

char *clock_format_span(int64_t span_ns, char *text, size_t room)
{
    const char *sign = span_ns < 0 ? "-" : "";
    double s = (double)(span_ns < 0 ? -(span_ns + 1) : span_ns) / 1e9;
    if (s < 1)
        snprintf(text, room, "%s%.0f ms", sign, s * 1000);
    else if (s < 60)
        snprintf(text, room, "%s%.1f s", sign, s);
    else if (s < 3600)
        snprintf(text, room, "%s%d min", sign, (int)(s / 60));
    else if (s < 86400)
        snprintf(text, room, "%s%d h %d min", sign, (int)(s / 3600), (int)(s / 60) % 60);
    else
        snprintf(text, room, "%s%d d %d h", sign, (int)(s / 86400), (int)(s / 3600) % 24);
    return text;
}

// ---- moments --------------------------------------------------------------------------------------------------------

// Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant's days_from_civil).
static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

struct written {
    int year, month, day, hour, minute, second;
    int64_t fraction_ns;
};

static bool take_digits(const char **at, int count, int *out)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (!isdigit((unsigned char)(*at)[i]))
            return false;
        value = value * 10 + ((*at)[i] - '0');
    }
    *at += count;
    *out = value;
    return true;
}

static bool take_char(const char **at, const char *set)
{
    if (!**at || !strchr(set, **at))
        return false;
    ++*at;
    return true;
}

static void take_fraction(const char **at, int64_t *ns)
{
    *ns = 0;
    if ((**at != '.' && **at != ',') || !isdigit((unsigned char)(*at)[1]))
        return;
    int64_t unit = 100000000;
    for (++*at; isdigit((unsigned char)**at); ++*at, unit /= 10)
        *ns += (**at - '0') * unit;
}

// "14:02[:11[.5]]"
static bool take_time_of_day(const char **at, struct written *w)
{
    if (!take_digits(at, 2, &w->hour) || !take_char(at, ":") || !take_digits(at, 2, &w->minute))
        return false;
    w->second = 0;
    w->fraction_ns = 0;
    if (**at == ':') {
        ++*at;
        if (!take_digits(at, 2, &w->second))
            return false;
        take_fraction(at, &w->fraction_ns);
    }
    return w->hour <= 23 && w->minute <= 59 && w->second <= 60;
}

static bool take_date(const char **at, struct written *w)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (!take_digits(at, 4, &w->year) || !take_char(at, "-") || !take_digits(at, 2, &w->month) || !take_char(at, "-") ||
        !take_digits(at, 2, &w->day))
        return false;
    bool leap = (w->year % 4 == 0 && w->year % 100 != 0) || w->year % 400 == 0;
    return w->month >= 1 && w->month <= 12 && w->day >= 1 && w->day <= days[w->month - 1] + (w->month == 2 && leap);
}

// "Z", "+01:00", "-0530"; false without one (nothing taken).
static bool take_zone(const char **at, int *offset_s)
{
    const char *p = *at;
    int hours, minutes = 0;
    if (take_char(&p, "Zz")) {
        *offset_s = 0;
        *at = p;
        return true;
    }
    int sign = *p == '-' ? -1 : 1;
    if (!take_char(&p, "+-") || !take_digits(&p, 2, &hours))
        return false;
    take_char(&p, ":");
    if (isdigit((unsigned char)*p) && !take_digits(&p, 2, &minutes))
        return false;
    *offset_s = sign * (hours * 3600 + minutes * 60);
    *at = p;
    return true;
}

static int64_t moment_of(const struct written *w, const int *offset_s)
{
    if (offset_s) {
        int64_t s = days_of(w->year, w->month, w->day) * 86400 + w->hour * 3600 + w->minute * 60 + w->second - *offset_s;
        return s * WHEN_NS_PER_S + w->fraction_ns;
    }
    struct tm local = {.tm_year = w->year - 1900, .tm_mon = w->month - 1, .tm_mday = w->day, .tm_hour = w->hour,
                       .tm_min = w->minute, .tm_sec = w->second, .tm_isdst = -1};
    return (int64_t)mktime(&local) * WHEN_NS_PER_S + w->fraction_ns;
}

static bool parse_absolute(const char *at, int64_t now_ns, int64_t *time_ns)
{
    struct written w = {0};
    const char *start = at;
    int offset_s = 0;
    if (take_date(&at, &w)) {
        if (take_char(&at, "Tt ") && !take_time_of_day(&at, &w))
            return false;
    } else {
        time_t now_s = (time_t)(now_ns / WHEN_NS_PER_S);
        struct tm local;
        localtime_r(&now_s, &local);
        w = (struct written){.year = local.tm_year + 1900, .month = local.tm_mon + 1, .day = local.tm_mday};
        at = start;
        if (!take_time_of_day(&at, &w))
            return false;
    }
    while (*at == ' ')
        at++;
    bool zoned = take_zone(&at, &offset_s);
    if (*at || w.year < 1680 || w.year > 2260) // what 64 bits of nanoseconds can hold
        return false;
    *time_ns = moment_of(&w, zoned ? &offset_s : NULL);
    return true;
}

static bool parse_word(const char *text, int64_t now_ns, int64_t *time_ns)
{
    static const struct {
        const char *word;
        int days;
        bool midnight;
    } words[] = {{"now", 0, false}, {"today", 0, true}, {"yesterday", -1, true}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(text, words[i].word) != 0)
            continue;
        if (!words[i].midnight) {
            *time_ns = now_ns;
            return true;
        }
        time_t now_s = (time_t)(now_ns / WHEN_NS_PER_S);
        struct tm local;
        localtime_r(&now_s, &local);
        local.tm_mday += words[i].days;
        local.tm_hour = local.tm_min = local.tm_sec = 0;
        local.tm_isdst = -1;
        *time_ns = (int64_t)mktime(&local) * WHEN_NS_PER_S;
        return true;
    }
    return false;
}

static bool parse_epoch(const char *text, int64_t *time_ns)
{
    char *end;
    if (*text != '@' || !isdigit((unsigned char)text[1]))
        return false;
    unsigned long long s = strtoull(text + 1, &end, 10);
    const char *at = end;
    int64_t fraction_ns;
    take_fraction(&at, &fraction_ns);
    if (*at || s > 9000000000ull)
        return false;
    *time_ns = (int64_t)s * WHEN_NS_PER_S + fraction_ns;
    return true;
}

// "-2h", "2h ago", "1h30m": that long before now.
static bool parse_relative(const char *text, int64_t now_ns, int64_t *time_ns)
{
    const char *at = text;
    int64_t span_ns;
    bool signed_form = *at == '-';
    if (signed_form)
        at++;
    const char *digits = at;
    if (!take_span(&at, &span_ns))
        return false;
    bool unit = !isdigit((unsigned char)at[-1]) || signed_form;
    while (*at == ' ')
        at++;
    if (strcmp(at, "ago") == 0)
        at += 3;
    if (*at || at == digits || !unit)
        return false;
    *time_ns = now_ns - span_ns;
    return true;
}

bool clock_parse(const char *text, int64_t now_ns, int64_t *time_ns)
{
    return parse_word(text, now_ns, time_ns) || parse_epoch(text, time_ns) || parse_absolute(text, now_ns, time_ns) ||
           parse_relative(text, now_ns, time_ns);
}

static time_t floor_seconds(int64_t time_ns)
{
    int64_t s = time_ns / WHEN_NS_PER_S;
    return (time_t)(s - (time_ns % WHEN_NS_PER_S < 0));
}

char *clock_format_utc(int64_t time_ns, char *text, size_t room)
{
    time_t s = floor_seconds(time_ns);
    int us = (int)((time_ns - (int64_t)s * WHEN_NS_PER_S) / 1000);
    struct tm t;
    gmtime_r(&s, &t);
    snprintf(text, room, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min,
             t.tm_sec, us);
    return text;
}

char *clock_format_local(int64_t time_ns, char *text, size_t room)
{
    time_t s = floor_seconds(time_ns);
    int ms = (int)((time_ns - (int64_t)s * WHEN_NS_PER_S) / 1000000);
    struct tm t;
    localtime_r(&s, &t);
    long offset_min = t.tm_gmtoff / 60;
    snprintf(text, room, "%04d-%02d-%02d %02d:%02d:%02d.%03d%c%02ld:%02ld", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour,
             t.tm_min, t.tm_sec, ms, offset_min < 0 ? '-' : '+', labs(offset_min) / 60, labs(offset_min) % 60);
    return text;
}

// ---- sizes ----------------------------------------------------------------------------------------------------------

bool clock_parse_size(const char *text, uint64_t *bytes)
{
    static const char letters[] = "KMGTP";
    char *end;
    if (!isdigit((unsigned char)*text))
        return false;
    double number = strtod(text, &end);
    double scale = 1;
    if (*end && strchr("KMGTPkmgtp", *end)) {
        const char *letter = strchr(letters, toupper((unsigned char)*end));
        for (const char *l = letters; l <= letter; l++)
            scale *= 1024;
        end++;
        if (*end == 'i')
            end++;
    }
    if (*end == 'B' || *end == 'b')
        end++;
    double value = number * scale;
    if (*end || !(value < 1.8e19))
        return false;
    *bytes = (uint64_t)value;
    return true;
}

char *clock_format_size(uint64_t bytes, char *text, size_t room)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof names / sizeof *names) {
        value /= 1024;
        unit++;
    }
    snprintf(text, room, unit ? "%.1f %s" : "%.0f %s", value, names[unit]);
    return text;
}
