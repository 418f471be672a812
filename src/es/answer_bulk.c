// A bulk's answer, item by item as it passes: {"took":..,"errors":..,"items":[{"index":{...}},...]}, cut anywhere.
//
// Flow: feed -> (carry) -> members until `items` -> items -> members until the end -> perhaps another answer (streaming bulk).
// 1. An item is read from contiguous bytes: from the piece itself, or from `carry` where a piece ended inside it.
// 2. An item that did not end is read again only when the carry has doubled (or is small): linear over any cutting.
// 3. Behind a hole the next bytes that look like an item's beginning take the reading up again.
#include "answer.h"

#include "../base/mem.h"

enum { SMALL_CARRY = 2048 };
enum answer_state { BEFORE, MEMBERS, ITEMS, LOST, DEAD };

struct answer_bulk {
    answer_item_fn *fn;
    void *ctx;
    enum answer_state state;
    struct buf carry;    // the beginning of what did not end in the pieces before
    size_t try_at;       // carry size from which reading it again pays
    struct buf plain;    // resolved strings of one item
    struct answer_bulk_totals totals;
};

struct answer_bulk *answer_bulk_open(answer_item_fn *fn, void *ctx)
{
    struct answer_bulk *a = mem_zero(1, sizeof *a);
    if (!a)
        return NULL;
    a->fn = fn;
    a->ctx = ctx;
    a->totals.took_ms = -1;
    a->totals.errors = -1;
    return a;
}

void answer_bulk_close(struct answer_bulk *a)
{
    if (!a)
        return;
    buf_fini(&a->carry);
    buf_fini(&a->plain);
    mem_free(a);
}

const struct answer_bulk_totals *answer_bulk_total(const struct answer_bulk *a)
{
    return &a->totals;
}

static bool item_kind(struct bytes word, enum op_kind *kind)
{
    if (!word.size)
        return false;
    switch (word.at[0]) {
    case 'i': *kind = OP_INDEX; return word.size == 5 && memcmp(word.at, "index", 5) == 0;
    case 'c': *kind = OP_CREATE; return word.size == 6 && memcmp(word.at, "create", 6) == 0;
    case 'u': *kind = OP_UPDATE; return word.size == 6 && memcmp(word.at, "update", 6) == 0;
    case 'd': *kind = OP_DELETE; return word.size == 6 && memcmp(word.at, "delete", 6) == 0;
    default: return false;
    }
}

// One element of `items`. The cursor moves only when it is OK.
static enum opjson_got read_item(struct answer_bulk *a, struct opjson *c)
{
    struct opjson at = *c;
    struct opjson_text word;
    struct op_answer answer;
    enum op_kind kind;
    enum opjson_got got;
    if ((got = opjson_expect(&at, '{')) || (got = opjson_read_key(&at, &word)))
        return got;
    if (!item_kind(word.raw, &kind))
        return OPJSON_BAD;
    answer_clear(&answer, kind);
    size_t most = (size_t)(at.end - at.at);
    buf_clear(&a->plain);
    if (a->plain.room < most)
        buf_reserve(&a->plain, most);
    if ((got = answer_read_write(&at, &answer, &a->plain)) || (got = opjson_expect(&at, '}')))
        return got;
    *c = at;
    a->totals.items++;
    a->fn(a->ctx, &answer);
    return OPJSON_OK;
}

static enum opjson_got read_items(struct answer_bulk *a, struct opjson *c)
{
    for (;;) {
        uint8_t byte;
        enum opjson_got got = opjson_peek(c, &byte);
        if (got)
            return got;
        if (byte == ']') {
            c->at++;
            a->state = MEMBERS;
            return OPJSON_OK;
        }
        if (byte == ',') {
            c->at++;
            continue;
        }
        if ((got = read_item(a, c)))
            return got;
    }
}


// {"error":{"root_cause":[...],"type":"...","reason":...},"status":429}
static enum opjson_got read_refusal(struct answer_bulk *a, struct opjson *c)
{
    struct opjson at = *c;
    enum opjson_got got = opjson_skip(&at);
    if (got)
        return got;
    struct buf wrapped = {0}, plain = {0};
    struct answer_head head;
    buf_add_text(&wrapped, "{\"error\":");
    buf_add(&wrapped, c->at, (size_t)(at.at - c->at));
    buf_add_text(&wrapped, "}");
    answer_read_head(buf_view(&wrapped), &head, &plain);
    size_t size = head.error_type.size < sizeof a->totals.error_type - 1 ? head.error_type.size : sizeof a->totals.error_type - 1;
    if (size)
        memcpy(a->totals.error_type, head.error_type.at, size);
    a->totals.error_type[size] = 0;
    buf_fini(&wrapped);
    buf_fini(&plain);
    *c = at;
    return OPJSON_OK;
}

static enum opjson_got read_member(struct answer_bulk *a, struct opjson *c)
{
    struct opjson_text key, value;
    struct opjson at = *c;
    uint8_t byte;
    enum opjson_got got;
    if ((got = opjson_read_key(&at, &key)) || (got = opjson_peek(&at, &byte)))
        return got;
    if (bytes_equal_text(key.raw, "items") && byte == '[') {
        at.at++;
        a->totals.has_items = true;
        a->state = ITEMS;
        *c = at;
        return OPJSON_OK;
    }
    if (bytes_equal_text(key.raw, "error") && (byte == '{' || byte == '"')) {
        got = read_refusal(a, &at);
    } else if (byte == '{' || byte == '[') {
        got = opjson_skip(&at);
    } else if ((got = opjson_read_scalar(&at, &value)) == OPJSON_OK) {
        int64_t number = opjson_int(value.raw, -1);
        if (bytes_equal_text(key.raw, "took") && number >= 0)
            a->totals.took_ms = (a->totals.took_ms < 0 ? 0 : a->totals.took_ms) + number;
        else if (bytes_equal_text(key.raw, "errors") && !bytes_equal_text(value.raw, "false"))
            a->totals.errors = 1;
        else if (bytes_equal_text(key.raw, "errors") && a->totals.errors < 0)
            a->totals.errors = 0;
        else if (bytes_equal_text(key.raw, "status") && number > 0 && number < 1000)
            a->totals.status = (int)number;
    }
    if (got == OPJSON_OK)
        *c = at;
    return got;
}

static enum opjson_got read_members(struct answer_bulk *a, struct opjson *c)
{
    uint8_t byte;
    enum opjson_got got = opjson_peek(c, &byte);
    if (got)
        return got;
    if (byte == ',') {
        c->at++;
        return OPJSON_OK;
    }
    if (byte == '}') {
        c->at++;
        a->totals.complete = true;
        a->state = BEFORE;
        return OPJSON_OK;
    }
    return read_member(a, c);
}

static enum opjson_got read_before(struct answer_bulk *a, struct opjson *c)
{
    uint8_t byte;
    enum opjson_got got = opjson_peek(c, &byte);
    if (got)
        return got;
    if (byte != '{')
        return OPJSON_BAD;
    c->at++;
    a->totals.complete = false;
    a->state = MEMBERS;
    return OPJSON_OK;
}

// Behind a hole: the next `{"index":{` and its like that reads as an item of an answer.
static enum opjson_got read_lost(struct answer_bulk *a, struct opjson *c)
{
    static const char *const begins[] = {"{\"index\":{", "{\"create\":{", "{\"update\":{", "{\"delete\":{"};
    while (c->at < c->end) {
        const uint8_t *p = memchr(c->at, '{', (size_t)(c->end - c->at));
        if (!p) {
            c->at = c->end;
            return OPJSON_MORE;
        }
        c->at = p;
        size_t left = (size_t)(c->end - p);
        for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
            size_t size = strlen(begins[i]);
            if (memcmp(p, begins[i], left < size ? left : size))
                continue;
            if (left < size)
                return OPJSON_MORE;
            a->state = ITEMS;
            return OPJSON_OK;
        }
        c->at++;
    }
    return OPJSON_MORE;
}

static enum opjson_got step(struct answer_bulk *a, struct opjson *c)
{
    switch (a->state) {
    case BEFORE: return read_before(a, c);
    case MEMBERS: return read_members(a, c);
    case ITEMS: return read_items(a, c);
    case LOST: return read_lost(a, c);
    case DEAD: return OPJSON_MORE;
    }
    return OPJSON_MORE;
}

// Reads as far as the text goes; what did not end stays before the cursor.
static void run(struct answer_bulk *a, struct opjson *c)
{
    for (;;) {
        enum opjson_got got = step(a, c);
        if (got == OPJSON_MORE)
            return;
        if (got == OPJSON_BAD && a->totals.holes && a->state != BEFORE) {
            // What looked like an item behind the hole was none: look on behind its first byte.
            c->at += c->at < c->end;
            a->state = LOST;
        } else if (got == OPJSON_BAD) {
            a->totals.malformed = true;
            a->totals.complete = false;
            a->state = DEAD;
        }
    }
}

static void keep_rest(struct answer_bulk *a, struct bytes rest)
{
    if (rest.size > ANSWER_ITEM_MAX) {
        answer_bulk_hole(a); // an item beyond every measure counts as not seen
        return;
    }
    if (!buf_add_bytes(&a->carry, rest))
        answer_bulk_hole(a);
    a->try_at = a->carry.size < SMALL_CARRY ? 0 : 2 * a->carry.size;
}

void answer_bulk_feed(struct answer_bulk *a, struct bytes bytes)
{
    if (a->state == DEAD || !bytes.size)
        return;
    if (!a->carry.size) {
        struct opjson c = opjson_of(bytes);
        run(a, &c);
        if (a->state != DEAD && c.at < c.end)
            keep_rest(a, bytes_of(c.at, (size_t)(c.end - c.at)));
        return;
    }
    if (!buf_add_bytes(&a->carry, bytes)) {
        answer_bulk_hole(a);
        return;
    }
    if (a->carry.size < a->try_at)
        return;
    struct opjson c = opjson_of(buf_view(&a->carry));
    run(a, &c);
    size_t left = (size_t)(c.end - c.at);
    buf_drop_front(&a->carry, a->carry.size - left);
    a->try_at = left < SMALL_CARRY ? 0 : 2 * left;
    if (left > ANSWER_ITEM_MAX)
        answer_bulk_hole(a);
}

void answer_bulk_hole(struct answer_bulk *a)
{
    buf_clear(&a->carry);
    a->try_at = 0;
    a->totals.holes = true;
    a->totals.complete = false;
    if (a->state != DEAD)
        a->state = LOST;
}

void answer_bulk_end(struct answer_bulk *a)
{
    if (a->carry.size && a->state != DEAD) {
        struct opjson c = opjson_of(buf_view(&a->carry));
        run(a, &c);
    }
    buf_clear(&a->carry);
    if (a->state != BEFORE)
        a->totals.complete = false;
    a->state = DEAD;
}
