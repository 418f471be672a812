// Which shard a document lives on: murmur3 over UTF-16LE, as the cluster computes it.
#include "route.h"

struct murmur {
    uint32_t h, tail;
    uint32_t size;   // bytes fed
};

static uint32_t rotate(uint32_t x, int by)
{
    return x << by | x >> (32 - by);
}

static uint32_t scramble(uint32_t k)
{
    return rotate(k * 0xcc9e2d51u, 15) * 0x1b873593u;
}

static void murmur_unit(struct murmur *m, uint32_t unit)
{
    m->size += 2;
    if (m->size & 2) { // first half of a four-byte block
        m->tail = unit;
        return;
    }
    m->h = rotate(m->h ^ scramble(m->tail | unit << 16), 13) * 5 + 0xe6546b64u;
}

static uint32_t murmur_end(struct murmur *m)
{
    uint32_t h = m->h;
    if (m->size & 2)
        h ^= scramble(m->tail);
    h ^= m->size;
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return h ^ h >> 16;
}

// One code point; U+FFFD and a step of one byte where it is not UTF-8.
static uint32_t take_point(struct bytes text, size_t *at)
{
    uint8_t c = text.at[*at];
    unsigned more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 4;
    uint32_t point = more == 0 ? c : more < 4 ? c & (0x3fu >> more) : 0;
    if (more == 4 || *at + more >= text.size) {
        *at += 1;
        return more ? 0xfffd : point;
    }
    for (unsigned i = 1; i <= more; i++) {
        if ((text.at[*at + i] & 0xc0) != 0x80) {
            *at += 1;
            return 0xfffd;
        }
        point = point << 6 | (text.at[*at + i] & 0x3f);
    }
    *at += more + 1;
    return point;
}

uint32_t route_hash(struct bytes text)
{
    struct murmur m = {0};
    for (size_t at = 0; at < text.size;) {
        uint32_t point = take_point(text, &at);
        if (point >= 0x10000) {
            murmur_unit(&m, 0xd800 + ((point - 0x10000) >> 10));
            murmur_unit(&m, 0xdc00 + ((point - 0x10000) & 0x3ff));
        } else {
            murmur_unit(&m, point);
        }
    }
    return murmur_end(&m);
}

uint32_t route_default_routing_shards(uint32_t shards)
{
    unsigned log2 = 0;
    while (log2 < 31 && (UINT32_C(1) << log2) < shards)
        log2++;
    unsigned splits = log2 < 9 ? 10 - log2 : 1;
    return shards << splits;
}

static uint32_t floor_mod(int32_t value, uint32_t by)
{
    int64_t rest = (int64_t)value % (int64_t)by;
    return (uint32_t)(rest < 0 ? rest + by : rest);
}

int route_shard(const struct route_index *index, struct bytes id, struct bytes routing)
{
    if (!index->shards)
        return -1;
    uint32_t h = route_hash(routing.size ? routing : id);
    if (index->partition > 1)
        h += floor_mod((int32_t)route_hash(id), index->partition);
    if (index->modulo)
        return (int)floor_mod((int32_t)h, index->shards);
    uint32_t rns = index->routing_shards ? index->routing_shards
                   : index->old_default  ? index->shards
                                         : route_default_routing_shards(index->shards);
    uint32_t factor = rns / index->shards;
    return factor ? (int)(floor_mod((int32_t)h, rns) / factor) : -1;
}
