// Escaping: the one road from recorded bytes to a terminal, a page of text or a line of JSON.
//
// Whatever was on the wire may hold control characters, terminal escapes, broken UTF-8 and characters that reorder or
// hide text. In text these become \n \t \x1b \u202e \xff and so on; in JSON the escapes of JSON. The backslash itself
// is left alone in text: text is for eyes, --json is exact.
#pragma once
#include "../base/buf.h"

void emit_text(struct buf *out, struct bytes text);            // one line: line feeds are escaped too
void emit_lines(struct buf *out, struct bytes text);           // several lines: line feeds and tabs pass
// At most `columns` terminal columns, with an ellipsis ("...", or one character when unicode) where it was cut. Returns columns used.
size_t emit_cut(struct buf *out, struct bytes text, size_t columns, bool unicode);
size_t emit_columns(struct bytes text);                        // terminal columns emit_text would use
void emit_json(struct buf *out, struct bytes text);            // quoted; pure meaning kept, invalid UTF-8 becomes U+FFFD
void emit_csv(struct buf *out, struct bytes text);             // RFC 4180: quoted where it must be, bytes exact
// The character at the front of `text`: its length in bytes, its code point (-1: not UTF-8), its columns, whether it may be shown as it is.
struct emit_char { size_t size; int32_t code; unsigned columns; bool plain; };
struct emit_char emit_next(struct bytes text);
