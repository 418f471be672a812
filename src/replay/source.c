// Bodies of recorded writes, with a few whole requests kept.
#include "source.h"

#include "../base/diag.h"
#include "../base/mem.h"

enum { KEPT = 8, WHOLE_BYTES_MAX = 32 << 20 };

struct kept {
    size_t tape;
    uint64_t exchange, used;
    struct buf body;
    enum tape_body_state state;
    bool whole;
};

struct source {
    struct tape *tape;
    struct kept kept[KEPT];
    uint64_t clock;
    struct buf part;
};

struct source *source_open(struct tape *t)
{
    struct source *s = mem_zero(1, sizeof *s);
    if (s)
        s->tape = t;
    return s;
}

void source_close(struct source *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < KEPT; i++)
        buf_fini(&s->kept[i].body);
    buf_fini(&s->part);
    mem_free(s);
}

struct collecting {
    struct buf *out;
    bool hole, too_large;
};

static bool collect(void *ctx, const struct body_piece *piece)
{
    struct collecting *c = ctx;
    c->hole |= piece->hole_bytes > 0 || piece->hole_unknown;
    if (c->out->size + piece->bytes.size > WHOLE_BYTES_MAX)
        return !(c->too_large = true);
    return buf_add_bytes(c->out, piece->bytes) && !c->hole;
}

static const char *state_text(enum tape_body_state state)
{
    static const char *const texts[] = {"whole", "bytes are missing", "it was not kept", "it was pruned", "its file is missing", "it is damaged"};
    return texts[state <= TAPE_BODY_DAMAGED ? state : TAPE_BODY_DAMAGED];
}

static bool load(struct source *s, size_t tape, uint64_t exchange, struct kept **out, struct fault *fault)
{
    struct kept *k = &s->kept[0];
    for (size_t i = 0; i < KEPT; i++) {
        if (s->kept[i].used && s->kept[i].exchange == exchange && s->kept[i].tape == tape) {
            s->kept[i].used = ++s->clock;
            *out = &s->kept[i];
            return true;
        }
        if (s->kept[i].used < k->used)
            k = &s->kept[i];
    }
    struct collecting c = {.out = &k->body};
    buf_clear(&k->body);
    k->used = 0;
    if (!tape_body(s->tape, tape, exchange, BODY_REQUEST, collect, &c, &k->state, fault))
        return false;
    if (k->body.failed)
        return fault_memory(fault);
    if (c.hole)
        k->state = TAPE_BODY_HOLES;
    k->whole = !c.too_large;
    k->tape = tape;
    k->exchange = exchange;
    k->used = ++s->clock;
    *out = k;
    return true;
}

bool source_get(struct source *s, const struct plan_step *step, struct bytes *body, struct fault *fault)
{
    struct kept *k;
    enum tape_body_state state;
    if (!step->source_bytes) {
        *body = (struct bytes){0};
        return true;
    }
    if (!load(s, step->tape, step->exchange, &k, fault))
        return false;
    if (k->state == TAPE_BODY_WHOLE && k->whole && step->source_at + step->source_bytes <= k->body.size) {
        *body = bytes_of(k->body.at + step->source_at, (size_t)step->source_bytes);
        return true;
    }
    if (k->state != TAPE_BODY_WHOLE && k->state != TAPE_BODY_HOLES)
        return fault_user(fault, "the body of exchange %llu cannot be had: %s (--allow-gaps leaves such writes out)", (unsigned long long)step->exchange,
                          state_text(k->state));
    buf_clear(&s->part);
    if (!tape_body_range(s->tape, step->tape, step->exchange, BODY_REQUEST, step->source_at, step->source_bytes, &s->part, &state, fault))
        return false;
    if (s->part.failed)
        return fault_memory(fault);
    if (s->part.size != step->source_bytes)
        return fault_user(fault, "exchange %llu, item %u: %s (--allow-gaps leaves such writes out)", (unsigned long long)step->exchange, step->item,
                          state_text(state == TAPE_BODY_WHOLE ? TAPE_BODY_HOLES : state));
    *body = buf_view(&s->part);
    return true;
}

bool source_request(struct source *s, size_t tape, uint64_t exchange, struct bytes *body, struct fault *fault)
{
    struct kept *k;
    if (!load(s, tape, exchange, &k, fault))
        return false;
    *body = buf_view(&k->body);
    if (k->state == TAPE_BODY_WHOLE && k->whole)
        return true;
    if (k->state == TAPE_BODY_NOT_KEPT && !k->body.size)
        return true; // a call without a body
    return fault_user(fault, "the body of exchange %llu cannot be had: %s", (unsigned long long)exchange, state_text(k->whole ? k->state : TAPE_BODY_DAMAGED));
}
