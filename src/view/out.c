// Where printed text goes: buffering, colour and width of standard output.
#include "out.h"

#include "../base/diag.h"
#include "../base/file.h"
#include "emit.h"

#include <errno.h>
#include <langinfo.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PUSH_BYTES = 64 * 1024 };

void out_init(struct out *o, int fd, enum out_color color)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM"), *columns = getenv("COLUMNS");
    struct winsize w;
    *o = (struct out){.fd = fd};
    o->terminal = fd >= 0 && isatty(fd);
    bool wanted = o->terminal && !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
    o->color = color == OUT_COLOR_ALWAYS || (color == OUT_COLOR_AUTO && wanted);
    o->unicode = o->terminal && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    if (!o->terminal)
        return;
    long width = columns ? strtol(columns, NULL, 10) : 0;
    if (width <= 0)
        width = ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
    o->columns = (size_t)width < 20 ? 20 : (size_t)width;
}

bool out_color_parse(const char *text, enum out_color *color)
{
    static const char *const names[] = {"auto", "always", "never"};
    for (size_t i = 0; i < 3; i++)
        if (strcmp(text ? text : "auto", names[i]) == 0) {
            *color = (enum out_color)i;
            return true;
        }
    return false;
}

// A terminal whose locale is not UTF-8 may take bytes of a sequence for controls: there every character beyond ASCII is
// spelt out, as JSON does, so that --json stays exact.
static void spell_out(struct buf *text)
{
    struct buf spelt = {0};
    struct bytes rest = buf_view(text);
    while (rest.size) {
        struct emit_char c = emit_next(rest);
        if (rest.at[0] < 0x80)
            buf_add_byte(&spelt, rest.at[0]);
        else if (c.code < 0)
            buf_format(&spelt, "\\x%02x", rest.at[0]);
        else if (c.code < 0x10000)
            buf_format(&spelt, "\\u%04x", (unsigned)c.code);
        else
            buf_format(&spelt, "\\u%04x\\u%04x", 0xd7c0u + ((unsigned)c.code >> 10), 0xdc00u + ((unsigned)c.code & 0x3ff));
        rest = bytes_from(rest, c.size);
    }
    buf_fini(text);
    *text = spelt;
}

bool out_flush(struct out *o)
{
    if (o->terminal && !o->unicode)
        spell_out(&o->text);
    if (o->text.failed && !o->error)
        o->error = ENOMEM;
    if (o->fd < 0)
        return !o->error;
    if (!o->error && !file_write(o->fd, buf_view(&o->text)))
        o->error = errno;
    buf_clear(&o->text);
    return !o->error;
}

bool out_push(struct out *o)
{
    return o->text.size < PUSH_BYTES && !o->text.failed ? !o->error : out_flush(o);
}

bool out_close(struct out *o, struct fault *fault)
{
    bool ok = out_flush(o);
    buf_fini(&o->text);
    if (ok)
        return true;
    return o->error == ENOMEM ? fault_memory(fault) : fault_errno(fault, o->error, "cannot write the output");
}

void out_paint(struct out *o, enum paint paint)
{
    static const char *const codes[] = {"\033[0m", "\033[1m", "\033[2m", "\033[31m", "\033[32m", "\033[33m", "\033[34m", "\033[35m", "\033[36m", "\033[1;37;41m"};
    if (o->color)
        buf_add_text(&o->text, codes[paint]);
}

void out_pad(struct out *o, size_t columns)
{
    static const char spaces[] = "                                ";
    for (; columns >= 32; columns -= 32)
        buf_add(&o->text, spaces, 32);
    buf_add(&o->text, spaces, columns);
}
