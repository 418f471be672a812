// Where printed text goes: a buffered descriptor that knows its width, its colours and whether writing failed.
#pragma once
#include "../../include/fault.h"
#include "../base/buf.h"

enum out_color { OUT_COLOR_AUTO, OUT_COLOR_ALWAYS, OUT_COLOR_NEVER };

struct out {
    struct buf text;     // append here, then out_push
    int fd;              // -1: text stays in `text` (tests)
    int error;           // errno of the first write that failed; later pushes are dropped
    bool terminal, color, unicode;
    size_t columns;      // width of the terminal; 0: not a terminal, no limit
};

// AUTO: colour on a terminal unless NO_COLOR is set (not empty) or TERM is dumb. COLUMNS overrides the width. Characters
// outside ASCII are drawn on a terminal when the locale's character set is UTF-8.
void out_init(struct out *o, int fd, enum out_color color);
bool out_color_parse(const char *text, enum out_color *color); // "auto" "always" "never"; NULL: auto
bool out_push(struct out *o);   // writes once 64 KiB are waiting; false: the reader is gone or the disk is full, stop
bool out_flush(struct out *o);  // writes all
// Flushes and frees. False: not everything was written; fault.error tells (EPIPE: a closed pipe, no reason to print).
bool out_close(struct out *o, struct fault *fault);

enum paint { PAINT_NONE, PAINT_BOLD, PAINT_DIM, PAINT_RED, PAINT_GREEN, PAINT_YELLOW, PAINT_BLUE, PAINT_MAGENTA, PAINT_CYAN, PAINT_ALARM };
void out_paint(struct out *o, enum paint paint); // PAINT_NONE: back to plain; nothing without colour
void out_pad(struct out *o, size_t columns);     // spaces
