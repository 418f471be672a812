// Filling faults, and the few lines that go to standard error.
#include "diag.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fill(struct fault *f, enum fault_kind kind, int error, const char *format, va_list args)
{
    if (!f)
        return;
    f->kind = kind;
    f->error = error;
    vsnprintf(f->text, sizeof f->text, format, args);
    if (!error)
        return;
    size_t used = strlen(f->text);
    char why[128];
    snprintf(f->text + used, sizeof f->text - used, ": %s", strerror_r(error, why, sizeof why));
}

#define FILL(kind, error)             \
    va_list args;                     \
    va_start(args, format);           \
    fill(f, kind, error, format, args); \
    va_end(args);                     \
    return false

bool fault_user(struct fault *f, const char *format, ...)
{
    FILL(FAULT_USER, 0);
}

bool fault_system(struct fault *f, const char *format, ...)
{
    FILL(FAULT_SYSTEM, 0);
}

bool fault_errno(struct fault *f, int error, const char *format, ...)
{
    FILL(FAULT_SYSTEM, error);
}

bool fault_memory(struct fault *f)
{
    fault_system(f, "out of memory");
    if (f)
        f->error = ENOMEM;
    return false;
}

// Names of files and bytes from the wire may stand in a message: nothing that moves a terminal's cursor leaves here.
static void say(const char *prefix, const char *text)
{
    char line[1200];
    size_t n = 0;
    for (const char *c = prefix; *c && n < sizeof line - 8; c++)
        line[n++] = *c;
    for (const unsigned char *c = (const unsigned char *)text; *c && n < sizeof line - 8; c++) {
        if (*c >= 0x20 && *c != 0x7f)
            line[n++] = (char)*c;
        else
            n += (size_t)snprintf(line + n, 5, "\\x%02x", *c);
    }
    line[n++] = '\n';
    fwrite(line, 1, n, stderr);
    fflush(stderr);
}

void diag_line(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    say("estape: ", text);
}

void diag_warn(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    say("estape: warning: ", text);
}

int diag_fault(const struct fault *f)
{
    say("estape: ", f->text[0] ? f->text : "failed for a reason that was not told");
    return f->kind == FAULT_USER ? 2 : 1;
}
