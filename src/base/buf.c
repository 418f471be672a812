// A growable run of bytes, and the varints that packed formats are made of.
#include "buf.h"
#include "mem.h"

#include <stdio.h>

void buf_fini(struct buf *b)
{
    mem_free(b->at);
    *b = (struct buf){0};
}

void buf_clear(struct buf *b)
{
    b->size = 0;
    b->failed = false;
}

bool buf_reserve(struct buf *b, size_t more)
{
    if (b->room - b->size >= more)
        return true;
    if (more > SIZE_MAX / 2 - b->size) {
        b->failed = true;
        return false;
    }
    size_t room = b->room ? b->room : 64;
    while (room - b->size < more)
        room = room < (16u << 20) ? room * 2 : room + room / 2;
    uint8_t *at = mem_grow(b->at, room);
    if (!at) {
        b->failed = true;
        return false;
    }
    b->at = at;
    b->room = room;
    return true;
}

bool buf_add(struct buf *b, const void *at, size_t size)
{
    if (!size)
        return true;
    if (!buf_reserve(b, size))
        return false;
    memcpy(b->at + b->size, at, size);
    b->size += size;
    return true;
}

bool buf_add_bytes(struct buf *b, struct bytes s)
{
    return buf_add(b, s.at, s.size);
}

bool buf_add_byte(struct buf *b, uint8_t c)
{
    if (b->size == b->room && !buf_reserve(b, 1))
        return false;
    b->at[b->size++] = c;
    return true;
}

bool buf_add_text(struct buf *b, const char *text)
{
    return buf_add(b, text, strlen(text));
}

bool buf_format(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || !buf_reserve(b, (size_t)n + 1)) {
        b->failed = true;
        return false;
    }
    va_start(args, format);
    vsnprintf((char *)b->at + b->size, (size_t)n + 1, format, args);
    va_end(args);
    b->size += (size_t)n;
    return true;
}

bool buf_add_decimal(struct buf *b, int64_t v)
{
    uint8_t text[20], *at = text + sizeof text;
    uint64_t rest = v < 0 ? -(uint64_t)v : (uint64_t)v;
    do
        *--at = (uint8_t)('0' + rest % 10);
    while (rest /= 10);
    if (v < 0)
        *--at = '-';
    return buf_add(b, at, (size_t)(text + sizeof text - at));
}

void buf_drop_front(struct buf *b, size_t size)
{
    if (size >= b->size) {
        b->size = 0;
        return;
    }
    if (!size)
        return;
    memmove(b->at, b->at + size, b->size - size);
    b->size -= size;
}

bool buf_add_varint(struct buf *b, uint64_t v)
{
    if (b->room - b->size < 10 && !buf_reserve(b, 10))
        return false;
    uint8_t *to = b->at + b->size;
    for (; v >= 0x80; v >>= 7)
        *to++ = (uint8_t)(v | 0x80);
    *to++ = (uint8_t)v;
    b->size = (size_t)(to - b->at);
    return true;
}

bool buf_add_zigzag(struct buf *b, int64_t v)
{
    return buf_add_varint(b, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

struct bytes buf_view(const struct buf *b)
{
    return (struct bytes){b->at, b->size};
}

const char *buf_text(struct buf *b)
{
    if (!buf_reserve(b, 1))
        return "";
    b->at[b->size] = 0;
    return (const char *)b->at;
}

bool take_varint(struct bytes *from, uint64_t *v)
{
    uint64_t value = 0;
    for (size_t i = 0; i < from->size && i < 10; i++) {
        uint8_t byte = from->at[i];
        if (i == 9 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80)) {
            *from = bytes_from(*from, i + 1);
            *v = value;
            return true;
        }
    }
    *v = 0;
    return false;
}

bool take_zigzag(struct bytes *from, int64_t *v)
{
    uint64_t raw;
    bool ok = take_varint(from, &raw);
    *v = (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
    return ok;
}

bool take_bytes(struct bytes *from, size_t size, struct bytes *out)
{
    if (size > from->size) {
        *out = (struct bytes){from->at, 0};
        return false;
    }
    *out = (struct bytes){from->at, size};
    *from = bytes_from(*from, size);
    return true;
}
