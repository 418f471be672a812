// A growable run of bytes. A failed append sets `failed` and keeps what was there; check once at the end.
#pragma once
#include "../../include/bytes.h"
#include <stdarg.h>

struct buf {
    uint8_t *at;
    size_t size, room;
    bool failed;
};

void buf_fini(struct buf *b);
void buf_clear(struct buf *b);                        // size 0, memory kept, failed reset
bool buf_reserve(struct buf *b, size_t more);         // room for `more` further bytes
bool buf_add(struct buf *b, const void *at, size_t size);
bool buf_add_bytes(struct buf *b, struct bytes s);
bool buf_add_byte(struct buf *b, uint8_t c);
bool buf_add_text(struct buf *b, const char *text);
bool buf_format(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool buf_add_decimal(struct buf *b, int64_t v);
void buf_drop_front(struct buf *b, size_t size);      // memmove
bool buf_add_varint(struct buf *b, uint64_t v);       // LEB128
bool buf_add_zigzag(struct buf *b, int64_t v);
struct bytes buf_view(const struct buf *b);
const char *buf_text(struct buf *b);                  // NUL-terminated view; "" on failure

// Reading counterparts over a shrinking view; false (and 0) at the end or on a malformed number.
bool take_varint(struct bytes *from, uint64_t *v);
bool take_zigzag(struct bytes *from, int64_t *v);
bool take_bytes(struct bytes *from, size_t size, struct bytes *out);
