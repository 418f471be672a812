// Percent-decoding and query parameters, as the node's RestUtils reads them.
#include "path.h"
#include "../base/percent.h"
#include "../base/utf8.h"

#define PARAMS_MAX 256

void path_split(struct bytes target, struct bytes *path, struct bytes *query)
{
    const uint8_t *scheme = target.size && target.at[0] != '/' ? memmem(target.at, target.size, "://", 3) : NULL;
    if (scheme) { // absolute form: what stands before the authority's end is no path
        size_t from = (size_t)(scheme - target.at) + 3;
        const uint8_t *slash = from < target.size ? memchr(target.at + from, '/', target.size - from) : NULL;
        target = slash ? bytes_from(target, (size_t)(slash - target.at)) : bytes_of("/", 1);
    }
    const uint8_t *hash = target.size ? memchr(target.at, '#', target.size) : NULL;
    if (hash)
        target.size = (size_t)(hash - target.at);
    const uint8_t *mark = target.size ? memchr(target.at, '?', target.size) : NULL;
    *path = bytes_of(target.at, mark ? (size_t)(mark - target.at) : target.size);
    *query = mark ? bytes_from(target, (size_t)(mark - target.at) + 1) : bytes_of(target.at + target.size, 0);
}

static size_t utf8_mend(const uint8_t *from, size_t size, uint8_t *to)
{
    size_t made = 0;
    for (size_t i = 0; i < size;) {
        size_t bad, good = utf8_length(from + i, size - i, &bad);
        if (good) {
            memcpy(to + made, from + i, good);
            made += good;
            i += good;
        } else {
            memcpy(to + made, "\xef\xbf\xbd", 3);
            made += 3;
            i += bad;
        }
    }
    return made;
}

struct bytes path_decode(struct arena *a, struct bytes raw, bool plus, bool *malformed)
{
    bool plain = true, ascii = true;
    size_t bad = 0;
    if (malformed)
        *malformed = false;
    for (size_t i = 0; i < raw.size && plain; i++)
        plain = raw.at[i] != '%' && !(plus && raw.at[i] == '+');
    if (plain)
        return raw;
    // Worst case: every decoded byte becomes a three-byte U+FFFD, in a second buffer.
    uint8_t *bytes = arena_alloc(a, raw.size);
    if (!bytes)
        return bytes_of("", 0);
    size_t made = percent_decode(raw, plus, bytes, &bad);
    if (malformed)
        *malformed = bad > 0;
    for (size_t i = 0; i < made && ascii; i++)
        ascii = bytes[i] < 0x80;
    if (ascii)
        return bytes_of(bytes, made);
    uint8_t *mended = arena_alloc(a, made * 3);
    return mended ? bytes_of(mended, utf8_mend(bytes, made, mended)) : bytes_of("", 0);
}

void path_query_read(struct arena *a, struct bytes query, struct path_query *q)
{
    size_t count = query.size ? 1 : 0;
    *q = (struct path_query){0};
    for (size_t i = 0; i < query.size; i++)
        count += query.at[i] == '&' || query.at[i] == ';';
    q->cut = count > PARAMS_MAX;
    if (q->cut)
        count = PARAMS_MAX;
    if (count == 0)
        return;
    q->at = arena_alloc(a, count * sizeof *q->at);
    if (!q->at) {
        q->cut = true;
        return;
    }
    for (size_t at = 0; at <= query.size && q->count < count;) {
        size_t end = at, equals = SIZE_MAX;
        for (; end < query.size && query.at[end] != '&' && query.at[end] != ';'; end++)
            if (query.at[end] == '=' && equals == SIZE_MAX)
                equals = end;
        if (end > at) {
            struct path_param *p = &q->at[q->count++];
            bool bad_name, bad_value;
            p->bare = equals == SIZE_MAX;
            p->raw_name = bytes_of(query.at + at, (p->bare ? end : equals) - at);
            p->raw_value = p->bare ? bytes_of(query.at + end, 0) : bytes_of(query.at + equals + 1, end - equals - 1);
            p->name = path_decode(a, p->raw_name, true, &bad_name);
            p->value = path_decode(a, p->raw_value, true, &bad_value);
            q->malformed |= bad_name || bad_value;
        }
        at = end + 1;
    }
}

const struct path_param *path_query_find(const struct path_query *q, const char *name)
{
    for (size_t i = q ? q->count : 0; i-- > 0;)
        if (bytes_equal_text(q->at[i].name, name))
            return &q->at[i];
    return NULL;
}

struct bytes path_query_value(const struct path_query *q, const char *name)
{
    const struct path_param *p = path_query_find(q, name);
    return p ? p->value : bytes_of("", 0);
}

bool path_query_true(const struct path_query *q, const char *name, bool otherwise)
{
    const struct path_param *p = path_query_find(q, name);
    if (!p)
        return otherwise;
    // "0", "off" and "no" are false up to version 5 and refused later.
    static const char *const no[] = {"false", "0", "off", "no"};
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (bytes_equal_text(p->value, no[i]))
            return false;
    return true;
}

int64_t path_query_int(const struct path_query *q, const char *name, int64_t otherwise)
{
    struct bytes v = path_query_value(q, name);
    bool minus = v.size > 1 && v.at[0] == '-';
    int64_t n = 0;
    if (v.size == 0)
        return otherwise;
    for (size_t i = minus; i < v.size; i++) {
        int digit = v.at[i] - '0';
        if (digit < 0 || digit > 9 || n > (INT64_MAX - digit) / 10)
            return otherwise;
        n = n * 10 + digit;
    }
    return minus ? -n : n;
}
