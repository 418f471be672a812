// Names, words and small codes of the tape's format that need more than SQL.
#include "format.h"

#include <stdio.h>
#include <time.h>

const char *const format_outcomes[OUTCOMES] = {"ok", "partial", "failed", "unanswered", "unknown"};
const char *const format_auths[AUTH_KINDS] = {"none", "basic", "api_key", "bearer", "jwt", "service", "sigv4", "cert", "proxy",
                                              "negotiate", "other"};
const char *const format_causes[GAP_CAUSES] = {"lost", "snaplen", "midstream", "evicted", "end", "kernel", "not_recording",
                                               "unparsed", "orphan", "disk"};
const char *const format_opaques[OPAQUE_OTHER + 1] = {"tls", "http2", "upgrade", "connect", "other"};
const char *const format_op_kinds[OP_KINDS] = {"index", "create", "update", "delete"};
const char *const format_op_results[OP_RESULTS] = {"unknown", "created", "updated", "deleted", "not_found", "noop", "failed",
                                                   "dropped", "accepted"};

int format_word_find(const char *const *words, size_t count, struct bytes word, int otherwise)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_equal_text(word, words[i]))
            return (int)i;
    return otherwise;
}

void format_segment_name(int64_t start_us, uint32_t number, char name[FORMAT_NAME_SIZE])
{
    time_t seconds = (time_t)(start_us / 1000000);
    struct tm tm;
    // Years that do not fit four digits would break the name's shape.
    if (start_us < 0 || start_us / 1000000 > INT64_C(253402300799) || !gmtime_r(&seconds, &tm)) {
        seconds = 0;
        gmtime_r(&seconds, &tm);
    }
    char date[24];
    strftime(date, sizeof date, "%Y%m%dT%H%M%SZ", &tm);
    snprintf(name, FORMAT_NAME_SIZE, "%.16s-%06u", date, number % 1000000000u);
}

bool format_parse_name(const char *file, size_t *name_size, uint32_t *number, bool *body)
{
    static const char shape[] = "00000000T000000Z-"; // 0: a digit
    size_t i;
    for (i = 0; shape[i]; i++)
        if (shape[i] == '0' ? file[i] < '0' || file[i] > '9' : file[i] != shape[i])
            return false;
    uint32_t n = 0;
    size_t digits = 0;
    for (; file[i] >= '0' && file[i] <= '9' && digits < 9; i++, digits++)
        n = n * 10 + (uint32_t)(file[i] - '0');
    if (digits < 6)
        return false;
    *body = strcmp(file + i, FORMAT_BODY_SUFFIX) == 0;
    if (!*body && strcmp(file + i, FORMAT_LOG_SUFFIX) != 0)
        return false;
    *name_size = i;
    *number = n;
    return true;
}

bool format_next_number(struct bytes *list, int64_t *number)
{
    size_t i = 0;
    while (i < list->size && (list->at[i] < '0' || list->at[i] > '9'))
        i++;
    if (i == list->size)
        return false;
    bool minus = i && list->at[i - 1] == '-';
    uint64_t n = 0;
    for (; i < list->size && list->at[i] >= '0' && list->at[i] <= '9'; i++)
        n = n * 10 + (uint64_t)(list->at[i] - '0');
    *list = (struct bytes){list->at + i, list->size - i};
    n &= INT64_MAX; // a damaged one stays harmless
    *number = minus ? -(int64_t)n : (int64_t)n;
    return true;
}

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t format_pack_trace(struct bytes text, uint8_t packed[25])
{
    // version "00" - 16 bytes - 8 bytes - flags; only lower-case hex round-trips
    if (text.size != 55 || memcmp(text.at, "00-", 3) != 0 || text.at[35] != '-' || text.at[52] != '-')
        return 0;
    size_t n = 0;
    for (size_t i = 3; i < 55; i += 2) {
        if (i == 35 || i == 52)
            i++;
        int high = hex_digit(text.at[i]), low = hex_digit(text.at[i + 1]);
        if (high < 0 || low < 0)
            return 0;
        packed[n++] = (uint8_t)(high << 4 | low);
    }
    return n;
}

size_t format_unpack_trace(struct bytes packed, char text[56])
{
    if (packed.size != 25)
        return 0;
    char *to = text + sprintf(text, "00-");
    for (size_t i = 0; i < 25; i++) {
        if (i == 16 || i == 24)
            *to++ = '-';
        to += sprintf(to, "%02x", packed.at[i]);
    }
    return 55;
}

// The part that changes from call to call: a document's id (the segment after _doc and its like), or any segment that
// holds a digit; from there to the end when the query holds digits too.
struct format_path format_split_path(struct bytes path)
{
    size_t query = path.size;
    for (size_t i = 0; i < path.size && query == path.size; i++)
        if (path.at[i] == '?')
            query = i;
    bool query_varies = false;
    for (size_t i = query; i < path.size; i++)
        query_varies |= path.at[i] >= '0' && path.at[i] <= '9';

    size_t from = query, to = query; // of the segment that varies
    size_t segments = 0;
    for (size_t i = 0; i < query;) {
        size_t start = i + (path.at[i] == '/'), end = start;
        bool digit = false;
        while (end < query && path.at[end] != '/') {
            digit |= path.at[end] >= '0' && path.at[end] <= '9';
            end++;
        }
        // The first segment names the index: it repeats. /index/type/id of old versions is met by the third.
        bool varies = segments >= 1 && end > start && path.at[start] != '_' && (digit || segments >= 2);
        if (varies && from == query) {
            from = start;
            to = end;
        }
        segments++;
        i = end > i ? end : i + 1;
    }
    if (query_varies) {
        if (from == query) { // a query alone varies from its first value on
            const uint8_t *equals = memchr(path.at + query, '=', path.size - query);
            from = equals ? (size_t)(equals - path.at) + 1 : query;
        }
        to = path.size;
    }
    return (struct format_path){{path.at, from}, {path.at + from, to - from}, {path.at + to, path.size - to}};
}
