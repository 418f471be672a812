// What a connection holds back: segments that wait for a hole or for what they acknowledge, and the last bytes delivered.
//
// 1. A half's list is sorted by offset and its pieces never overlap.
// 2. held_bytes of half and totals count the pieces' heads too, so that many tiny ones are bounded as well.
#include "held.h"

#include "../base/mem.h"
#include "claim.h"

void held_drop(struct held_totals *t, struct half *h, struct held *p)
{
    *(p->prev ? &p->prev->next : &h->head) = p->next;
    *(p->next ? &p->next->prev : &h->tail) = p->prev;
    size_t cost = sizeof *p + p->captured;
    h->held_bytes -= cost;
    h->held_count--;
    t->held_bytes -= cost;
    t->stats->reorder_bytes = t->held_bytes;
    mem_free(p);
}

static void link_in(struct held_totals *t, struct half *h, struct held *after, struct held *p)
{
    p->prev = after;
    p->next = after ? after->next : h->head;
    *(p->prev ? &p->prev->next : &h->head) = p;
    *(p->next ? &p->next->prev : &h->tail) = p;
    size_t cost = sizeof *p + p->captured;
    h->held_bytes += cost;
    h->held_count++;
    t->held_bytes += cost;
    t->stats->reorder_bytes = t->held_bytes;
}

static bool hold_part(struct held_totals *t, struct flow *f, struct half *h, struct held *after, int64_t at, const struct portion *p)
{
    struct held *new = mem_alloc(sizeof *new + p->captured);
    if (!new) {
        t->stats->evicted_bytes += p->size_bytes;
        return false;
    }
    *new = (struct held){.at = at, .size_bytes = p->size_bytes, .captured = p->captured, .ack = p->ack, .ack_valid = p->ack_valid,
                         .segment_start = p->segment_start, .arrival = f->packets, .time_ns = p->time_ns};
    if (p->captured)
        memcpy(new->bytes, p->bytes, p->captured);
    link_in(t, h, after, new);
    return true;
}

struct portion portion_part(const struct portion *p, int64_t at, int64_t from, int64_t to)
{
    struct portion part = *p;
    uint32_t skip = (uint32_t)(from - at);
    part.size_bytes = (uint32_t)(to - from);
    part.bytes = skip < p->captured ? p->bytes + skip : p->bytes;
    part.captured = skip < p->captured ? p->captured - skip : 0;
    if (part.captured > part.size_bytes)
        part.captured = part.size_bytes;
    part.segment_start = p->segment_start && !skip;
    return part;
}

static bool differs(const struct held *h, const struct portion *p, int64_t at)
{
    int64_t from = most(h->at, at), to = least(h->at + h->captured, at + p->captured);
    return to > from && memcmp(h->bytes + (from - h->at), p->bytes + (from - at), (size_t)(to - from)) != 0;
}

void held_add(struct held_totals *t, struct flow *f, int side, int64_t at, const struct portion *p)
{
    struct half *h = &f->half[side];
    int64_t from = at, end = at + p->size_bytes;
    struct held *before = h->tail;
    while (before && before->at > at)
        before = before->prev;
    bool overlap = false, conflict = false, fresh = false;
    for (struct held *next; from < end; before = next) {
        next = before ? before->next : h->head;
        if (before && before->at + before->size_bytes > from) {
            overlap = true;
            conflict |= differs(before, p, at);
            from = before->at + before->size_bytes;
        }
        int64_t to = next ? least(next->at, end) : end;
        if (to > from) {
            struct portion part = portion_part(p, at, from, to);
            if (!hold_part(t, f, h, before, from, &part))
                return;
            fresh = true;
            from = to;
        }
        if (!next)
            break;
    }
    t->stats->overlaps_conflicting += conflict;
    t->stats->overlaps += overlap && fresh;
    t->stats->retransmitted += !fresh;
}

// ---- the tail -------------------------------------------------------------------------------------------------------

void tail_keep(struct half *h, const struct portion *p)
{
    uint32_t fresh = p->captured < FLOW_TAIL ? p->captured : FLOW_TAIL, old = h->tail_size;
    if (p->captured < p->size_bytes) {
        h->tail_size = 0;
        return;
    }
    if (old > FLOW_TAIL - fresh) {
        memmove(h->tail_bytes, h->tail_bytes + (old + fresh - FLOW_TAIL), FLOW_TAIL - fresh);
        old = FLOW_TAIL - fresh;
    }
    if (fresh)
        memcpy(h->tail_bytes + old, p->bytes + (p->captured - fresh), fresh);
    h->tail_size = (uint8_t)(old + fresh);
}

bool tail_differs(const struct half *h, const struct portion *p, int64_t at)
{
    int64_t from = most(at, h->next - h->tail_size), to = least(at + p->captured, h->next);
    return to > from && memcmp(p->bytes + (from - at), h->tail_bytes + (h->tail_size - (h->next - from)), (size_t)(to - from)) != 0;
}
