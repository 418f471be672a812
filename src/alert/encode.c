// The modifiers that write a text in another way: UTF-16, base64 at any offset, dashes of Windows.
#include "item_inner.h"

#include <openssl/evp.h>

enum { WINDASH_MAX = 3 };

static unsigned code_point(const struct pattern *p, size_t *i)
{
    uint8_t c = p->byte[*i];
    unsigned more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0, v = more ? c & (0x3f >> more) : c;
    for (; more && *i + 1 < p->size && (p->byte[*i + 1] & 0xc0) == 0x80; more--)
        v = v << 6 | (p->byte[++*i] & 0x3f);
    return v;
}

static bool encode_wide(struct chain *c, struct work *w, const char *name, bool big, bool mark)
{
    if (!work_need_text(c, w, name))
        return false;
    struct pattern old = w->pattern, *p = &w->pattern;
    size_t room = old.size * 4 + 2, n = 0;
    p->byte = arena_alloc(&c->l->rules->arena, room);
    p->special = arena_alloc(&c->l->rules->arena, room);
    if (!work_memory(c, p->byte) || !work_memory(c, p->special))
        return false;
    memset(p->special, PLAIN, room);
    if (mark)
        p->byte[n++] = 0xff, p->byte[n++] = 0xfe;
    for (size_t i = 0; i < old.size; i++) {
        if (old.special[i] != PLAIN) {
            p->byte[n] = old.byte[i];
            p->special[n++] = old.special[i];
            continue;
        }
        unsigned v = code_point(&old, &i), units[2] = {v, 0}, count = 1;
        if (v > 0xffff) {
            units[0] = 0xd800 + ((v - 0x10000) >> 10);
            units[1] = 0xdc00 + ((v - 0x10000) & 0x3ff);
            count = 2;
        }
        for (unsigned u = 0; u < count; u++) {
            p->byte[n++] = (uint8_t)(big ? units[u] >> 8 : units[u]);
            p->byte[n++] = (uint8_t)(big ? units[u] : units[u] >> 8);
        }
    }
    p->size = n;
    return true;
}

bool encode_wide_le(struct chain *c, struct work *w) { return encode_wide(c, w, "wide", false, false); }
bool encode_utf16be(struct chain *c, struct work *w) { return encode_wide(c, w, "utf16be", true, false); }
bool encode_utf16(struct chain *c, struct work *w) { return encode_wide(c, w, "utf16", false, true); }

static bool set_plain(struct chain *c, struct pattern *p, const uint8_t *at, size_t size)
{
    *p = (struct pattern){.byte = arena_copy(&c->l->rules->arena, at, size), .special = arena_alloc(&c->l->rules->arena, size + 1), .size = size};
    if (!work_memory(c, p->byte) || !work_memory(c, p->special))
        return false;
    memset(p->special, PLAIN, size);
    return true;
}

// Base64 of `shift` spaces and the bytes, without the characters that depend on what stands around them.
static bool set_base64(struct chain *c, struct pattern *to, const struct pattern *from, size_t shift, bool offset)
{
    static const size_t start[] = {0, 2, 3}, cut[] = {0, 3, 2};
    size_t size = from->size + shift;
    uint8_t *in = mem_alloc(size + 1), *out = mem_alloc((size + 2) / 3 * 4 + 1);
    bool ok = in && out;
    if (ok) {
        memset(in, ' ', shift);
        memcpy(in + shift, from->byte, from->size);
        size_t n = (size_t)EVP_EncodeBlock(out, in, (int)size);
        size_t begin = offset ? start[shift] : 0, end = offset ? cut[size % 3] : 0;
        ok = set_plain(c, to, out + begin, n > begin + end ? n - begin - end : 0);
    }
    mem_free(in);
    mem_free(out);
    return ok;
}

static bool need_plain(struct chain *c, struct work *w, const char *name)
{
    if (!work_need_text(c, w, name))
        return false;
    if (pattern_plain(&w->pattern))
        return true;
    loader_refuse(c->l, w->line, "'%s' cannot encode wildcards; put contains, startswith or endswith behind it", name);
    return false;
}

bool encode_base64(struct chain *c, struct work *w)
{
    struct pattern plain = w->pattern;
    return need_plain(c, w, "base64") && set_base64(c, &w->pattern, &plain, 0, false);
}

bool work_become_any(struct chain *c, struct work *w, size_t count)
{
    struct work *any = arena_alloc(&c->l->rules->arena, count * sizeof *any);
    if (!work_memory(c, any))
        return false;
    for (size_t i = 0; i < count; i++)
        any[i] = *w;
    w->kind = WORK_ANY;
    w->any = any;
    w->any_count = count;
    return true;
}

bool encode_base64offset(struct chain *c, struct work *w)
{
    struct pattern plain = w->pattern;
    if (!need_plain(c, w, "base64offset") || !work_become_any(c, w, 3))
        return false;
    for (size_t i = 0; i < 3; i++)
        if (!set_base64(c, &w->any[i].pattern, &plain, i, true))
            return false;
    return true;
}

bool work_is_word(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' || c >= 0x80;
}

static bool is_dash(const struct pattern *p, size_t i)
{
    if (p->special[i] != PLAIN || (p->byte[i] != '-' && p->byte[i] != '/'))
        return false;
    bool word_before = i && p->special[i - 1] == PLAIN && work_is_word(p->byte[i - 1]);
    bool word_behind = i + 1 < p->size && p->special[i + 1] == PLAIN && work_is_word(p->byte[i + 1]);
    return !word_before && word_behind;
}

static bool put_dashes(struct chain *c, struct pattern *to, const struct pattern *from, size_t choice)
{
    static const char *const dashes[] = {"-", "/", "\xe2\x80\x93", "\xe2\x80\x94", "\xe2\x80\x95"};
    size_t room = from->size + 3 * WINDASH_MAX, n = 0;
    uint8_t *byte = arena_alloc(&c->l->rules->arena, room), *special = arena_alloc(&c->l->rules->arena, room);
    if (!work_memory(c, byte) || !work_memory(c, special))
        return false;
    for (size_t i = 0; i < from->size; i++) {
        const char *dash = is_dash(from, i) ? dashes[choice % 5] : NULL;
        if (!dash) {
            byte[n] = from->byte[i];
            special[n++] = from->special[i];
            continue;
        }
        choice /= 5;
        for (; *dash; dash++)
            byte[n] = (uint8_t)*dash, special[n++] = PLAIN;
    }
    *to = (struct pattern){.byte = byte, .special = special, .size = n};
    return true;
}

bool encode_windash(struct chain *c, struct work *w)
{
    if (!work_need_text(c, w, "windash"))
        return false;
    struct pattern plain = w->pattern;
    size_t dashes = 0, count = 1;
    for (size_t i = 0; i < plain.size; i++)
        dashes += is_dash(&plain, i);
    if (dashes > WINDASH_MAX)
        return work_refuse(c, w, "'windash' expands at most three dashes in one value; write several values");
    for (size_t i = 0; i < dashes; i++)
        count *= 5;
    if (!work_become_any(c, w, count))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!put_dashes(c, &w->any[i].pattern, &plain, i))
            return false;
    return true;
}
