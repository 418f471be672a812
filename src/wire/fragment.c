// IP fragments of both versions become datagrams again; the first copy of every byte wins, as in include/stream.h.
//
// Flow: fragments_add finds or makes the datagram's slot, copies what is new, and hands the datagram out once every unit
// of eight bytes from 0 to the end is covered. A slot leaves by completion, by age, or when a new datagram needs its place.
// 1. A unit's bit is set once its bytes have passed on the wire; its bytes are those of the first copy.
// 2. end_bytes is known (not UNKNOWN) once the last fragment was seen.
// 3. Slots, and with them memory, never exceed SLOTS x 64 KiB; the oldest makes room.
#include "fragment.h"

#include "../../include/when.h"
#include "../base/mem.h"

enum { SLOTS = 64, DATAGRAM_MAX = 65536, UNITS = DATAGRAM_MAX / 8 };
#define WAIT_NS (30 * WHEN_NS_PER_S)
#define UNKNOWN UINT32_MAX

struct slot {
    bool used;
    uint8_t from[16], to[16];
    uint32_t id;
    uint8_t protocol;
    int64_t time_ns;      // of the first fragment
    uint64_t parts;       // fragments seen
    uint32_t end_bytes;   // of the datagram, or UNKNOWN
    uint32_t units_seen;
    uint32_t cut_bytes;   // captured without a hole up to here at most
    uint64_t seen[UNITS / 64];
    uint8_t *at;          // room bytes
    uint32_t room;
};

struct fragments {
    struct wire_stats *stats;
    struct slot slots[SLOTS];
    struct slot *handed; // the datagram that was handed out last: its bytes are borrowed
    size_t used;
};

struct fragments *fragments_open(struct wire_stats *stats)
{
    struct fragments *f = mem_zero(1, sizeof *f);
    if (f)
        f->stats = stats;
    return f;
}

static void clear(struct fragments *f, struct slot *s)
{
    f->used -= s->used;
    mem_free(s->at);
    s->at = NULL;
    s->room = 0;
    s->used = false;
}

static void give_up(struct fragments *f, struct slot *s)
{
    f->stats->fragments_lost += s->parts;
    clear(f, s);
}

static bool same(const struct slot *s, const struct fragment *part)
{
    return s->used && s->id == part->id && s->protocol == part->protocol && memcmp(s->from, part->from, 16) == 0 &&
           memcmp(s->to, part->to, 16) == 0;
}

static struct slot *find(struct fragments *f, const struct fragment *part)
{
    struct slot *free_slot = NULL, *oldest = NULL;
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *s = &f->slots[i];
        if (same(s, part))
            return s;
        if (!s->used && !free_slot)
            free_slot = s;
        if (s->used && (!oldest || s->time_ns < oldest->time_ns))
            oldest = s;
    }
    if (!free_slot) {
        give_up(f, oldest);
        free_slot = oldest;
    }
    *free_slot = (struct slot){.used = true, .id = part->id, .protocol = part->protocol, .time_ns = part->time_ns,
                               .end_bytes = UNKNOWN, .cut_bytes = UNKNOWN};
    memcpy(free_slot->from, part->from, 16);
    memcpy(free_slot->to, part->to, 16);
    f->used++;
    return free_slot;
}

static bool make_room(struct slot *s, uint32_t bytes)
{
    if (bytes <= s->room)
        return true;
    uint32_t room = s->room ? s->room : 4096;
    while (room < bytes)
        room *= 2;
    uint8_t *at = mem_grow(s->at, room);
    if (!at)
        return false;
    s->at = at;
    s->room = room;
    return true;
}

// Copies the units of the fragment that no earlier one brought. True when some were there already.
static bool copy_new(struct slot *s, const struct fragment *part, uint32_t end)
{
    bool overlap = false;
    for (uint32_t at = part->offset_bytes; at < end; at += 8) {
        uint32_t unit = at / 8, in = at - part->offset_bytes;
        uint64_t bit = UINT64_C(1) << (unit % 64);
        if (s->seen[unit / 64] & bit) {
            overlap = true;
            continue;
        }
        s->seen[unit / 64] |= bit;
        s->units_seen++;
        uint32_t size = end - at < 8 ? end - at : 8;
        uint32_t have = in < part->payload.size ? (uint32_t)part->payload.size - in : 0;
        if (have < size && at + have < s->cut_bytes)
            s->cut_bytes = at + have;
        if (have)
            memcpy(s->at + at, part->payload.at + in, have < size ? have : size);
    }
    return overlap;
}

bool fragments_add(struct fragments *f, const struct fragment *part, struct datagram *whole)
{
    if (f->handed) {
        clear(f, f->handed);
        f->handed = NULL;
    }
    f->stats->fragments_seen++;
    uint64_t end = (uint64_t)part->offset_bytes + part->payload_bytes;
    if (end > DATAGRAM_MAX - 1 || part->payload_bytes == 0 || (part->more && part->payload_bytes % 8)) {
        f->stats->malformed++;
        return false;
    }
    struct slot *s = find(f, part);
    s->parts++;
    if (!make_room(s, (uint32_t)end)) {
        give_up(f, s);
        return false;
    }
    // The end is what the first last fragment said; bytes behind it are nobody's.
    if (!part->more && s->end_bytes == UNKNOWN)
        s->end_bytes = (uint32_t)end;
    if (copy_new(s, part, (uint32_t)end))
        f->stats->fragments_overlapping++;
    if (s->end_bytes == UNKNOWN || s->units_seen < (s->end_bytes + 7) / 8)
        return false;
    for (uint32_t unit = 0; unit < (s->end_bytes + 7) / 8; unit++)
        if (!(s->seen[unit / 64] & UINT64_C(1) << (unit % 64)))
            return false;
    uint32_t captured = s->cut_bytes < s->end_bytes ? s->cut_bytes : s->end_bytes;
    *whole = (struct datagram){{s->at, captured}, s->end_bytes};
    f->handed = s;
    return true;
}

void fragments_tick(struct fragments *f, int64_t now_ns)
{
    for (size_t i = 0; f->used && i < SLOTS; i++)
        if (f->slots[i].used && &f->slots[i] != f->handed && now_ns - f->slots[i].time_ns >= WAIT_NS)
            give_up(f, &f->slots[i]);
}

void fragments_close(struct fragments *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        mem_free(f->slots[i].at);
    mem_free(f);
}
