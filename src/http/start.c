// Recognises where a message begins and where its head ends, in bytes that may stop anywhere.
#include "start.h"

#include <llhttp.h>

enum { TOKEN_MAX = 32 };

static const char *const method_names[] = {
#define METHOD_NAME(number, name, text) #text,
    HTTP_METHOD_MAP(METHOD_NAME)
#undef METHOD_NAME
};

// RFC 9110 5.6.2
static bool is_token_byte(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return true;
    if ((c | 32) >= 'a' && (c | 32) <= 'z')
        return true;
    return c && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

bool start_is_method(struct bytes token)
{
    for (size_t i = 0; i < sizeof method_names / sizeof method_names[0]; i++)
        if (bytes_equal_text(token, method_names[i]))
            return true;
    return false;
}

static bool may_become_method(struct bytes part)
{
    for (size_t i = 0; i < sizeof method_names / sizeof method_names[0]; i++)
        if (strlen(method_names[i]) > part.size && memcmp(method_names[i], part.at, part.size) == 0)
            return true;
    return false;
}

// Does b begin with text, or could it when more came?
static enum start_verdict begins_nocase(struct bytes b, const char *text)
{
    for (size_t i = 0; text[i]; i++) {
        if (i == b.size)
            return START_MORE;
        uint8_t c = b.at[i];
        if (c >= 'A' && c <= 'Z')
            c |= 32;
        if (c != (uint8_t)text[i])
            return START_NO;
    }
    return START_YES;
}

static enum start_verdict target_begins(struct bytes b, bool connect)
{
    if (!b.size)
        return START_MORE;
    if (connect)
        return b.at[0] > ' ' && b.at[0] < 0x7f ? START_YES : START_NO;
    if (b.at[0] == '/')
        return START_YES;
    static const char *const forms[] = {"http://", "https://", "* http/"};
    enum start_verdict best = START_NO;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        enum start_verdict v = begins_nocase(b, forms[i]);
        if (v > best)
            best = v;
    }
    return best;
}

enum start_verdict start_of_request(struct bytes b, enum start_care care)
{
    size_t n = 0;
    while (n < b.size && n <= TOKEN_MAX && is_token_byte(b.at[n]))
        n++;
    struct bytes token = bytes_of(b.at, n);
    if (n > TOKEN_MAX)
        return START_NO;
    if (n == b.size)
        return care == START_TRUSTING || !n || may_become_method(token) || start_is_method(token) ? START_MORE : START_NO;
    if (!n || b.at[n] != ' ')
        return START_NO;
    struct bytes target = bytes_from(b, n + 1);
    if (care == START_CAREFUL)
        return start_is_method(token) ? target_begins(target, bytes_equal_text(token, "CONNECT")) : START_NO;
    if (!target.size)
        return START_MORE;
    return target.at[0] > ' ' ? START_YES : START_NO;
}

enum start_verdict start_of_response(struct bytes b)
{
    static const char shape[] = "HTTP/1.d Ddd"; // D: not 0
    for (size_t i = 0; shape[i]; i++) {
        if (i == b.size)
            return START_MORE;
        bool digit = b.at[i] >= (shape[i] == 'D' ? '1' : '0') && b.at[i] <= '9';
        if ((shape[i] | 32) == 'd' ? !digit : b.at[i] != (uint8_t)shape[i])
            return START_NO;
    }
    return START_YES;
}

size_t start_blank(struct bytes b)
{
    size_t n = 0;
    while (n < b.size && (b.at[n] == '\r' || b.at[n] == '\n'))
        n++;
    return n;
}

bool start_line_fits(struct bytes line, enum start_care care)
{
    size_t end = line.size;
    while (end && (line.at[end - 1] == '\r' || line.at[end - 1] == ' '))
        end--;
    size_t last = end;
    while (last && line.at[last - 1] != ' ')
        last--;
    if (last && end - last >= 6 && memcmp(line.at + last, "HTTP/", 5) == 0)
        return true;
    const uint8_t *space = memchr(line.at, ' ', line.size);
    return care == START_TRUSTING && space && space + 1 < line.at + line.size && space[1] == '/';
}

size_t start_head_size(struct bytes b, size_t *scanned)
{
    size_t from = *scanned;
    while (from < b.size) {
        const uint8_t *lf = memchr(b.at + from, '\n', b.size - from);
        if (!lf)
            break;
        size_t next = (size_t)(lf - b.at) + 1;
        if (next < b.size && b.at[next] == '\n')
            return next + 1;
        if (next + 1 < b.size && b.at[next] == '\r' && b.at[next + 1] == '\n')
            return next + 2;
        if (next + 1 >= b.size) { // undecided: come back to this line's end
            *scanned = next - 1;
            return 0;
        }
        from = next;
    }
    *scanned = b.size;
    return 0;
}
