// A dictionary of a segment, kept in a map that is emptied when it holds too much.
#include "dict.h"

enum { COUNT_MAX = 1 << 16, KEY_BYTES_MAX = 4 << 20 };

bool dict_init(struct dict *d)
{
    *d = (struct dict){.map = map_open()};
    return d->map != NULL;
}

void dict_fini(struct dict *d)
{
    if (d->map)
        map_close(d->map);
    d->map = NULL;
}

void dict_clear(struct dict *d)
{
    struct map *map = map_open();
    if (!map) { // keep the old one's memory, drop its contents one by one
        size_t at = 0;
        struct bytes key;
        union map_value *value;
        while (map_next(d->map, &at, &key, &value))
            value->num = 0;
    } else {
        map_close(d->map);
        d->map = map;
    }
    d->key_bytes = 0;
    d->last = 0;
}

static union map_value *put(struct dict *d, struct bytes key, bool *fresh)
{
    if (map_count(d->map) >= COUNT_MAX || d->key_bytes > KEY_BYTES_MAX) {
        int64_t last = d->last;
        dict_clear(d);
        d->last = last;
    }
    union map_value *value = map_put(d->map, key, fresh);
    if (value && *fresh)
        d->key_bytes += key.size;
    return value;
}

int64_t dict_number(struct dict *d, struct bytes key, bool *fresh)
{
    *fresh = false;
    union map_value *value = put(d, key, fresh);
    if (!value)
        return 0;
    if (!value->num) {
        *fresh = true;
        value->num = (uint64_t)++d->last;
    }
    return (int64_t)value->num;
}

int64_t dict_number_if_repeated(struct dict *d, struct bytes key, bool *fresh)
{
    bool first = false;
    *fresh = false;
    union map_value *value = put(d, key, &first);
    if (!value)
        return -1;
    if (first)
        return 0;
    if (!value->num) {
        *fresh = true;
        value->num = (uint64_t)++d->last;
    }
    return (int64_t)value->num;
}
