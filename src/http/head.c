// Takes a message's head apart: start line, fields, and what they say about the body.
//
// A whole head goes to llhttp in one piece, so that every span is one view and nothing is copied. What llhttp refuses (an
// unknown method, a blank in the target, two lengths) is taken apart line by line: a recorder writes down what was sent.
// 1. Both ways hand every field to add_field, so framing does not depend on which of them read the head.
// 2. Fields past BOUND_HEADERS_MAX still count for framing.
#include "head.h"

#include "start.h"

#include <llhttp.h>

enum { FOLDED_BYTES_MAX = BOUND_HEAD_BYTES_MAX };

void head_room_init(struct head_room *room)
{
    arena_init(&room->folded, FOLDED_BYTES_MAX + 4096);
}

void head_room_fini(struct head_room *room)
{
    arena_fini(&room->folded);
}

struct taking {
    struct head_room *room;
    struct head *head;
    struct bytes name;
    const uint8_t *value, *value_end; // from the first to the last span of one value: folds lie between
    bool done;
};

// ---- what fields say about the body ---------------------------------------------------------------------------------

// The next member of a comma-separated list.
static bool take_member(struct bytes *list, struct bytes *member)
{
    if (!list->size)
        return false;
    const uint8_t *comma = memchr(list->at, ',', list->size);
    size_t n = comma ? (size_t)(comma - list->at) : list->size;
    *member = bytes_trim(bytes_of(list->at, n));
    *list = bytes_from(*list, comma ? n + 1 : n);
    return true;
}

// The node takes a length up to 2^63-1 and refuses two that differ.
static void read_length(struct head *head, struct bytes value)
{
    struct bytes member;
    if (!bytes_trim(value).size)
        head->length_bad = true;
    while (take_member(&value, &member)) {
        uint64_t n = 0;
        bool bad = member.size == 0;
        for (size_t i = 0; i < member.size && !bad; i++) {
            uint8_t c = member.at[i];
            bad = c < '0' || c > '9' || n > ((uint64_t)INT64_MAX - (c - '0')) / 10;
            n = n * 10 + (uint64_t)(c - '0');
        }
        if (bad || (head->length_known && head->length != n)) {
            head->length_bad = true;
            continue;
        }
        head->length_known = true;
        head->length = n;
    }
}

static void read_transfer(struct head *head, struct bytes value)
{
    struct bytes member;
    while (take_member(&value, &member)) {
        const uint8_t *semicolon = memchr(member.at, ';', member.size);
        struct bytes name = semicolon ? bytes_trim(bytes_of(member.at, (size_t)(semicolon - member.at))) : member;
        if (bytes_equal_text_nocase(name, "chunked"))
            head->chunked = true;
        if (name.size && !bytes_equal_text_nocase(name, "identity"))
            head->transfer_coded = true;
    }
}

static void read_coding(struct head *head, struct bytes value)
{
    static const struct {
        const char *name;
        enum body_coding coding;
    } known[] = {
        {"identity", CODING_IDENTITY}, {"gzip", CODING_GZIP}, {"x-gzip", CODING_GZIP}, {"deflate", CODING_DEFLATE}, {"x-deflate", CODING_DEFLATE}, {"zstd", CODING_ZSTD},
    };
    struct bytes member;
    while (take_member(&value, &member)) {
        enum body_coding coding = member.size ? CODING_OTHER : CODING_IDENTITY;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            if (bytes_equal_text_nocase(member, known[i].name))
                coding = known[i].coding;
        if (coding != CODING_IDENTITY)
            head->coding = head->coding == CODING_IDENTITY ? coding : CODING_OTHER;
    }
}

static void read_framing(struct head *head, struct bytes name, struct bytes value)
{
    switch (name.size) {
    case 6:
        if (bytes_equal_text_nocase(name, "expect"))
            head->expects_continue = true;
        break;
    case 14:
        if (bytes_equal_text_nocase(name, "content-length"))
            read_length(head, value);
        break;
    case 16:
        if (bytes_equal_text_nocase(name, "content-encoding"))
            read_coding(head, value);
        break;
    case 17:
        if (bytes_equal_text_nocase(name, "transfer-encoding"))
            read_transfer(head, value);
        break;
    }
}

// RFC 9112 5.2: a fold is read as one blank.
static bool unfold(struct head_room *room, struct bytes *value)
{
    uint8_t *to = arena_alloc(&room->folded, value->size);
    if (!to)
        return false;
    size_t n = 0;
    for (size_t i = 0; i < value->size;) {
        size_t end = i;
        bool folds = false;
        while (end < value->size && bytes_is_blank(value->at[end]))
            folds |= value->at[end++] == '\n';
        if (folds) {
            to[n++] = ' ';
            i = end;
        } else {
            to[n++] = value->at[i++];
        }
    }
    *value = bytes_of(to, n);
    return true;
}

static void add_field(struct taking *t, struct bytes name, struct bytes value)
{
    struct head *head = t->head;
    value = bytes_trim(value);
    if (value.size && memchr(value.at, '\n', value.size) && !unfold(t->room, &value)) {
        head->cut = true;
        return;
    }
    read_framing(head, name, value);
    if (head->header_count == BOUND_HEADERS_MAX) {
        head->cut = true;
        return;
    }
    t->room->headers[head->header_count++] = (struct header){name, value};
}

// ---- by llhttp ------------------------------------------------------------------------------------------------------

static void extend(struct bytes *span, const char *at, size_t size)
{
    if (!span->at)
        span->at = (const uint8_t *)at;
    span->size += size;
}

static int on_method(llhttp_t *p, const char *at, size_t size)
{
    extend(&((struct taking *)p->data)->head->method, at, size);
    return 0;
}

static int on_url(llhttp_t *p, const char *at, size_t size)
{
    extend(&((struct taking *)p->data)->head->target, at, size);
    return 0;
}

static int on_field(llhttp_t *p, const char *at, size_t size)
{
    extend(&((struct taking *)p->data)->name, at, size);
    return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t size)
{
    struct taking *t = p->data;
    if (!t->value)
        t->value = (const uint8_t *)at;
    t->value_end = (const uint8_t *)at + size;
    return 0;
}

static int on_value_complete(llhttp_t *p)
{
    struct taking *t = p->data;
    add_field(t, t->name, bytes_of(t->value, t->value ? (size_t)(t->value_end - t->value) : 0));
    t->name = (struct bytes){0};
    t->value = t->value_end = NULL;
    return 0;
}

static int on_headers_complete(llhttp_t *p)
{
    ((struct taking *)p->data)->done = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t head_settings = {
    .on_method = on_method,
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
};

static bool take_by_llhttp(struct taking *t, enum head_kind kind, struct bytes bytes)
{
    llhttp_t parser;
    llhttp_init(&parser, kind == HEAD_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &head_settings);
    llhttp_set_lenient_chunked_length(&parser, 1);
    llhttp_set_lenient_transfer_encoding(&parser, 1);
    llhttp_set_lenient_keep_alive(&parser, 1);
    parser.data = t;
    llhttp_execute(&parser, (const char *)bytes.at, bytes.size);
    if (!t->done)
        return false;
    t->head->version_minor = llhttp_get_http_minor(&parser);
    t->head->status = kind == HEAD_RESPONSE ? llhttp_get_status_code(&parser) : 0;
    return llhttp_get_http_major(&parser) == 1 && (kind == HEAD_RESPONSE || (t->head->method.size && t->head->target.size));
}

// ---- line by line ---------------------------------------------------------------------------------------------------

// A line without its end. False: no line end is there.
static bool take_line(struct bytes *from, struct bytes *line)
{
    const uint8_t *lf = from->size ? memchr(from->at, '\n', from->size) : NULL;
    size_t n = lf ? (size_t)(lf - from->at) : from->size;
    *line = bytes_of(from->at, n);
    *from = bytes_from(*from, lf ? n + 1 : n);
    if (lf && line->size && line->at[line->size - 1] == '\r')
        line->size--;
    return lf != NULL;
}

static bool take_request_line(struct head *head, struct bytes line, bool whole)
{
    const uint8_t *space = line.size ? memchr(line.at, ' ', line.size) : NULL;
    if (!space || space == line.at)
        return false;
    head->method = bytes_of(line.at, (size_t)(space - line.at));
    struct bytes rest = bytes_trim(bytes_from(line, head->method.size + 1));
    if (!rest.size)
        return false;
    size_t last = rest.size;
    while (last && rest.at[last - 1] != ' ')
        last--;
    bool versioned = last && rest.size - last >= 5 && memcmp(rest.at + last, "HTTP/", 5) == 0;
    if (versioned) {
        head->version_minor = rest.size - last == 8 && rest.at[last + 7] >= '0' && rest.at[last + 7] <= '9' ? rest.at[last + 7] - '0' : 0;
        head->target = bytes_trim(bytes_of(rest.at, last));
        return head->target.size > 0;
    }
    // A cut line may end within the version, and then nothing says that it was another than 1.1.
    head->version_minor = !whole;
    const uint8_t *blank = memchr(rest.at, ' ', rest.size);
    head->target = !whole && blank ? bytes_of(rest.at, (size_t)(blank - rest.at)) : rest;
    return true;
}

static bool take_status_line(struct head *head, struct bytes line)
{
    if (start_of_response(line) != START_YES)
        return false;
    head->version_minor = line.at[7] - '0';
    head->status = (line.at[9] - '0') * 100 + (line.at[10] - '0') * 10 + (line.at[11] - '0');
    return head->status >= 100;
}

static bool take_by_lines(struct taking *t, enum head_kind kind, struct bytes bytes)
{
    struct bytes line;
    bool ended = take_line(&bytes, &line);
    if (kind == HEAD_REQUEST ? !take_request_line(t->head, line, ended) : !take_status_line(t->head, line))
        return false;
    while (take_line(&bytes, &line) && line.size) {
        const uint8_t *from = line.at;
        // A following line that begins with a blank belongs to this one. One that is cut off is not known to.
        while (bytes.size && (bytes.at[0] == ' ' || bytes.at[0] == '\t') && memchr(bytes.at, '\n', bytes.size)) {
            struct bytes more;
            take_line(&bytes, &more);
            line.size = (size_t)(more.at + more.size - from);
        }
        const uint8_t *colon = memchr(line.at, ':', line.size);
        if (!colon)
            continue;
        struct bytes name = bytes_trim(bytes_of(from, (size_t)(colon - from)));
        add_field(t, name, bytes_from(line, (size_t)(colon - from) + 1));
    }
    return true;
}

bool head_parse(struct head_room *room, enum head_kind kind, struct bytes bytes, bool whole, struct head *head)
{
    struct taking t = {.room = room, .head = head};
    arena_reset(&room->folded);
    *head = (struct head){.kind = kind, .headers = room->headers};
    if (whole && take_by_llhttp(&t, kind, bytes))
        return true;
    *head = (struct head){.kind = kind, .headers = room->headers, .malformed = whole, .cut = !whole};
    t = (struct taking){.room = room, .head = head};
    arena_reset(&room->folded);
    return take_by_lines(&t, kind, bytes);
}
