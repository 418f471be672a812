// A bulk request, line by line, cut anywhere.
//
// Flow: feed -> lines -> action line (kept whole) -> source line (measured, passed on or replaced) -> item into the queue.
// 1. Every byte fed leaves through hooks.out, in order, except the documents of guarded indices, for which a marker leaves,
//    and bytes behind a hole that belong to no known item, for which a hole of the same size is told.
// 2. at_out counts exactly the bytes and holes that left: offsets of items are offsets in the stored body.
// 3. An item enters the queue when its last byte has passed, or when a hole tore it (then with OP_HOLE).
// States: ACTION (in or before an action line), SOURCE (in a document line), SEEK (behind a hole, before a line begins),
// TRY (behind a hole, in a line that may be an action), STOP (malformed, nothing more is taken apart). In ACTION and TRY a
// line is held until it is whole.
#include "bulk.h"

#include "../base/mem.h"
#include "opjson.h"

static const char redacted_source[] = "{\"_redacted\":\"[redacted]\"}";
static const char excluded_source[] = "{\"_excluded\":\"[excluded]\"}";

enum bulk_state { STATE_ACTION, STATE_SOURCE, STATE_SEEK, STATE_TRY, STATE_STOP };

struct bulk {
    struct bulk_defaults defaults;
    struct bulk_hooks hooks;
    struct opqueue *items;
    enum bulk_state state;
    uint64_t at_out;       // bytes that left
    struct buf line;       // an action line that came in pieces
    struct buf names;      // the strings of the item under way
    struct op_ask item;
    enum bulk_guard guard; // of the item under way
    bool source_began;
    struct bulk_peek peek;
    struct buf script;     // first bytes of an update's document line
    struct buf guarded;    // the index that guard_known speaks of
    enum bulk_guard guard_known;
    struct bulk_totals totals;
};

static bool copy_text(struct buf *names, struct bytes *text)
{
    size_t at = names->size;
    if (!buf_add_bytes(names, *text))
        return false;
    *text = bytes_of(names->at + at, text->size);
    return true;
}

struct bulk *bulk_open(const struct bulk_defaults *defaults, const struct bulk_hooks *hooks, struct opqueue *items)
{
    struct bulk *b = mem_zero(1, sizeof *b);
    if (!b)
        return NULL;
    b->defaults = *defaults;
    b->hooks = *hooks;
    b->items = items;
    b->totals.run_count = 1;
    return b;
}

void bulk_close(struct bulk *b)
{
    if (!b)
        return;
    buf_fini(&b->line);
    buf_fini(&b->names);
    buf_fini(&b->guarded);
    buf_fini(&b->script);
    mem_free(b);
}

const struct bulk_totals *bulk_total(const struct bulk *b)
{
    return &b->totals;
}

// ---- action lines -----------------------------------------------------------------------------------------------------

enum action_field {
    FIELD_OTHER, FIELD_INDEX, FIELD_TYPE, FIELD_ID, FIELD_ROUTING, FIELD_PARENT, FIELD_OP_TYPE, FIELD_VERSION, FIELD_VERSION_TYPE,
    FIELD_PIPELINE, FIELD_IF_SEQ_NO, FIELD_IF_TERM, FIELD_REQUIRE_ALIAS
};

#define NAMED(name, field) {name, sizeof name - 1, field}
static const struct {
    const char *name;
    size_t size;
    enum action_field field;
} action_fields[] = {
    NAMED("_id", FIELD_ID),           NAMED("_index", FIELD_INDEX),       NAMED("_type", FIELD_TYPE),
    NAMED("routing", FIELD_ROUTING),  NAMED("_routing", FIELD_ROUTING),   NAMED("parent", FIELD_PARENT),
    NAMED("_parent", FIELD_PARENT),   NAMED("op_type", FIELD_OP_TYPE),    NAMED("version", FIELD_VERSION),
    NAMED("_version", FIELD_VERSION), NAMED("version_type", FIELD_VERSION_TYPE), NAMED("_version_type", FIELD_VERSION_TYPE),
    NAMED("pipeline", FIELD_PIPELINE), NAMED("if_seq_no", FIELD_IF_SEQ_NO), NAMED("if_primary_term", FIELD_IF_TERM),
    NAMED("require_alias", FIELD_REQUIRE_ALIAS),
};

static enum action_field action_field_of(struct bytes key)
{
    for (size_t i = 0; i < sizeof action_fields / sizeof *action_fields; i++)
        if (key.size == action_fields[i].size && memcmp(key.at, action_fields[i].name, key.size) == 0)
            return action_fields[i].field;
    return FIELD_OTHER;
}

static bool kind_of(struct bytes word, enum op_kind *kind)
{
    static const char words[OP_KINDS][7] = {"index", "create", "update", "delete"};
    for (int i = 0; i < OP_KINDS; i++)
        if (word.size == 6u - (i == 0) && memcmp(word.at, words[i], word.size) == 0) {
            *kind = (enum op_kind)i;
            return true;
        }
    return false;
}

struct action_reading {
    struct op_ask *ask;
    struct bytes parent;
    int64_t version;
};

static void take_version_type(struct op_ask *ask, struct bytes value)
{
    if (bytes_equal_text_nocase(value, "external") || bytes_equal_text_nocase(value, "external_gt"))
        ask->flags |= OP_EXTERNAL;
    else if (bytes_equal_text_nocase(value, "external_gte") || bytes_equal_text_nocase(value, "force")) // force (5.x) takes any version
        ask->flags |= OP_EXTERNAL | OP_EXTERNAL_GTE;
}

static void take_action_field(struct action_reading *r, enum action_field field, struct bytes value)
{
    struct op_ask *ask = r->ask;
    switch (field) {
    case FIELD_INDEX: ask->index = value; break;
    case FIELD_TYPE: ask->type = value; break;
    case FIELD_ID: ask->id = value; break;
    case FIELD_ROUTING: ask->routing = value; break;
    case FIELD_PARENT: r->parent = value; break;
    case FIELD_PIPELINE: ask->pipeline = value; break;
    case FIELD_VERSION: r->version = opjson_int(value, OP_NONE); break;
    case FIELD_VERSION_TYPE: take_version_type(ask, value); break;
    case FIELD_IF_SEQ_NO:
    case FIELD_IF_TERM: ask->flags |= OP_CAS; break;
    case FIELD_OP_TYPE:
        if (ask->kind == OP_INDEX && bytes_equal_text(value, "create"))
            ask->kind = OP_CREATE;
        break;
    case FIELD_REQUIRE_ALIAS:
        ask->flags = bytes_equal_text(value, "true") ? ask->flags | OP_REQUIRE_ALIAS : ask->flags & ~(uint32_t)OP_REQUIRE_ALIAS;
        break;
    case FIELD_OTHER: break;
    }
}

static enum opjson_got read_action_member(struct opjson *c, struct action_reading *r, struct buf *into)
{
    struct opjson_text key, value;
    enum opjson_got got = opjson_read_key(c, &key);
    if (got)
        return got;
    enum action_field field = action_field_of(key.raw);
    if (field == FIELD_OTHER)
        return opjson_skip(c);
    got = opjson_read_scalar(c, &value);
    if (got == OPJSON_OK)
        take_action_field(r, field, opjson_plain(value, into));
    return got;
}

static void finish_action(struct action_reading *r)
{
    struct op_ask *ask = r->ask;
    if (r->parent.size)
        ask->flags |= OP_PARENT;
    if (!ask->routing.size)
        ask->routing = r->parent;
    if (ask->flags & OP_EXTERNAL)
        ask->asked_version = r->version;
    else if (r->version != OP_NONE && r->version >= 0)
        ask->flags |= OP_CAS;
    if (!ask->id.size && ask->kind <= OP_CREATE)
        ask->flags |= OP_ID_MINTED;
    if (ask->pipeline.size)
        ask->flags |= OP_PIPELINE;
}

bool bulk_read_action(struct bytes line, const struct bulk_defaults *defaults, struct buf *into, struct op_ask *ask)
{
    struct opjson c = opjson_of(line);
    struct opjson_text word;
    *ask = (struct op_ask){.index = defaults->index, .type = defaults->type, .routing = defaults->routing, .pipeline = defaults->pipeline,
                           .asked_version = OP_NONE, .flags = OP_FROM_BULK | (defaults->require_alias ? OP_REQUIRE_ALIAS : 0)};
    struct action_reading r = {.ask = ask, .version = OP_NONE};
    if (opjson_expect(&c, '{') || opjson_read_key(&c, &word) || !kind_of(word.raw, &ask->kind))
        return false;
    uint8_t byte;
    if (opjson_expect(&c, '{') || opjson_peek(&c, &byte))
        return false;
    if (byte == '}')
        c.at++;
    for (bool more = byte != '}'; more;)
        if (read_action_member(&c, &r, into) || opjson_next(&c, '}', &more))
            return false;
    if (opjson_expect(&c, '}') || opjson_peek(&c, &byte) != OPJSON_MORE)
        return false;
    finish_action(&r);
    return true;
}

// ---- document lines of updates ------------------------------------------------------------------------------------------

static void peek_member(struct bulk_peek *p, uint8_t first)
{
    struct bytes key = bytes_of(p->key, p->key_size);
    if (bytes_equal_text(key, "script"))
        p->flags |= OP_SCRIPTED;
    else if (bytes_equal_text(key, "upsert") || (bytes_equal_text(key, "doc_as_upsert") && first == 't'))
        p->flags |= OP_UPSERT;
    else if (bytes_equal_text(key, "detect_noop") && first == 'f')
        p->flags |= OP_NOOP_DETECT_OFF;
}

static void peek_in_string(struct bulk_peek *p, const uint8_t **at, const uint8_t *end)
{
    for (const uint8_t *c = *at; c < end; c++) {
        if (p->escaped) {
            p->escaped = false;
        } else if (*c == '\\') {
            p->escaped = true;
        } else if (*c == '"') {
            p->in_string = false;
            *at = c + 1;
            return;
        }
        if (p->depth == 1 && !p->after_key && p->key_size < sizeof p->key)
            p->key[p->key_size++] = *c;
    }
    *at = end;
}

// Outside strings: brackets count the depth; at depth 1 a colon ends a key, a comma a member.
static void peek_outside(struct bulk_peek *p, uint8_t c)
{
    if (p->literal_next && c != ' ' && c != '\t' && c != '\r') {
        peek_member(p, c);
        p->literal_next = false;
    }
    switch (c) {
    case '"':
        p->in_string = true;
        if (p->depth == 1 && !p->after_key)
            p->key_size = 0;
        break;
    case '{':
    case '[': p->depth++; break;
    case '}':
    case ']': p->depth -= p->depth > 0; break;
    case ':':
        if (p->depth == 1)
            p->after_key = p->literal_next = true;
        break;
    case ',':
        if (p->depth == 1)
            p->after_key = false;
        break;
    default: break;
    }
}

void bulk_peek_feed(struct bulk_peek *p, struct bytes bytes)
{
    if (!bytes.size)
        return;
    const uint8_t *at = bytes.at, *end = bytes.at + bytes.size;
    while (at < end) {
        if (p->in_string)
            peek_in_string(p, &at, end);
        else
            peek_outside(p, *at++);
    }
}

// ---- items ----------------------------------------------------------------------------------------------------------------

static void pass(struct bulk *b, const uint8_t *from, const uint8_t *to)
{
    if (to == from)
        return;
    b->at_out += (uint64_t)(to - from);
    b->hooks.out(b->hooks.ctx, bytes_of(from, (size_t)(to - from)));
}

static struct bulk_run *run_now(struct bulk *b)
{
    return &b->totals.runs[b->totals.run_count - 1];
}

static void end_item(struct bulk *b)
{
    b->totals.items++;
    b->totals.by_kind[b->item.kind]++;
    b->totals.scripted += (b->item.flags & OP_SCRIPTED) != 0;
    // Once one item could not be held the later ones are not either: the queue stays a prefix.
    if (!b->totals.unheld && opqueue_push_ask(b->items, &b->item))
        run_now(b)->items++;
    else
        b->totals.unheld++;
    b->state = STATE_ACTION;
}

static enum bulk_guard guard_of(struct bulk *b, struct bytes index)
{
    if (b->guarded.size == 0 || !bytes_equal(buf_view(&b->guarded), index)) {
        b->guard_known = b->hooks.guard(b->hooks.ctx, index);
        buf_clear(&b->guarded);
        buf_add_bytes(&b->guarded, index);
    }
    return b->guard_known;
}

// Copies the item's strings out of the line, which may lie in a piece that goes away.
static bool keep_names(struct bulk *b)
{
    struct op_ask *a = &b->item;
    size_t size = a->index.size + a->type.size + a->id.size + a->routing.size + a->pipeline.size;
    buf_clear(&b->names);
    if (!buf_reserve(&b->names, size + 1))
        return false;
    return copy_text(&b->names, &a->index) && copy_text(&b->names, &a->type) && copy_text(&b->names, &a->id) && copy_text(&b->names, &a->routing) &&
           copy_text(&b->names, &a->pipeline);
}

// A whole line that should be an action; it began at line_at of the stored body and is about to leave.
static bool begin_item(struct bulk *b, struct bytes line, uint64_t line_at)
{
    struct buf plain = {0};
    bool needs_room = memchr(line.at, '\\', line.size) != NULL;
    bool ok = (!needs_room || buf_reserve(&plain, line.size)) && bulk_read_action(line, &b->defaults, &plain, &b->item) && keep_names(b);
    buf_fini(&plain);
    if (!ok)
        return false;
    b->item.action_at = line_at;
    b->item.action_bytes = line.size;
    b->item.source_at = line_at + line.size + 1;
    b->guard = guard_of(b, b->item.index);
    b->source_began = false;
    b->peek = (struct bulk_peek){0};
    if (b->item.kind == OP_DELETE)
        end_item(b);
    else
        b->state = STATE_SOURCE;
    return true;
}

static bool is_blank(struct bytes line)
{
    return line.size == 0 || (line.size == 1 && line.at[0] == '\r');
}

static void peek_source(struct bulk *b, struct bytes bytes)
{
    size_t room = BULK_SCRIPT_MAX - b->script.size;
    bulk_peek_feed(&b->peek, bytes);
    if (bytes.size && b->hooks.script)
        buf_add(&b->script, bytes.at, bytes.size < room ? bytes.size : room);
}

static void source_part(struct bulk *b, const uint8_t *from, const uint8_t *to, bool ends)
{
    const char *marker = b->guard == BULK_REDACT ? redacted_source : excluded_source;
    if (!b->source_began) {
        b->source_began = true;
        b->item.source_at = b->at_out;
        if (b->guard != BULK_KEEP) {
            pass(b, (const uint8_t *)marker, (const uint8_t *)marker + strlen(marker));
            b->item.flags |= OP_REDACTED;
            b->totals.redacted++;
        }
    }
    if (b->item.kind == OP_UPDATE)
        peek_source(b, bytes_of(from, (size_t)(to - from)));
    if (b->guard == BULK_KEEP)
        pass(b, from, to);
    if (!ends)
        return;
    b->item.source_bytes = b->at_out - b->item.source_at;
    b->item.flags |= b->peek.flags;
    if ((b->item.flags & OP_SCRIPTED) && b->script.size)
        b->hooks.script(b->hooks.ctx, buf_view(&b->script));
    buf_clear(&b->script);
}

// Source bytes up to the newline or the end of the piece.
static const uint8_t *feed_source(struct bulk *b, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
    if (!newline) {
        source_part(b, at, end, false);
        return end;
    }
    source_part(b, at, newline, true);
    end_item(b);
    pass(b, newline, newline + 1);
    return newline + 1;
}

static void withhold(struct bulk *b, uint64_t size)
{
    if (!size)
        return;
    b->at_out += size;
    b->hooks.withheld(b->hooks.ctx, size);
}

// Behind a hole, up to the next line: the rest of something.
static const uint8_t *feed_seek(struct bulk *b, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
    withhold(b, (uint64_t)((newline ? newline + 1 : end) - at));
    if (newline)
        b->state = STATE_TRY;
    return newline ? newline + 1 : end;
}

static void give_unread(struct bulk *b, struct bytes bytes)
{
    if (!bytes.size)
        return;
    b->at_out += bytes.size;
    b->hooks.unread(b->hooks.ctx, bytes);
}

// A whole line where an action is due, with its newline if it has one. An action leaves and its item begins; anything else
// stays away behind a hole, and elsewhere ends the taking apart.
static void settle_line(struct bulk *b, struct bytes whole, bool newline)
{
    struct bytes line = bytes_of(whole.at, whole.size - newline);
    bool trying = b->state == STATE_TRY;
    if (is_blank(line) || begin_item(b, line, b->at_out)) {
        pass(b, whole.at, whole.at + whole.size);
    } else if (trying) {
        b->state = STATE_TRY;
        withhold(b, whole.size);
    } else {
        b->totals.malformed = true;
        b->state = STATE_STOP;
        give_unread(b, whole);
    }
}

// A line that comes in pieces is held until it is whole.
static const uint8_t *feed_line(struct bulk *b, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
    const uint8_t *stop_at = newline ? newline + 1 : end;
    size_t size = (size_t)(stop_at - at);
    if (newline && !b->line.size) {
        settle_line(b, bytes_of(at, size), true);
        return stop_at;
    }
    bool trying = b->state == STATE_TRY;
    if (b->line.size + size > BULK_LINE_MAX || !buf_add(&b->line, at, size)) { // too long for an action
        if (trying)
            withhold(b, b->line.size);
        else
            give_unread(b, buf_view(&b->line));
        b->totals.malformed |= !trying;
        b->state = trying ? STATE_SEEK : STATE_STOP;
        buf_clear(&b->line);
        return at;
    }
    if (newline) {
        settle_line(b, buf_view(&b->line), true);
        buf_clear(&b->line);
    }
    return stop_at;
}

void bulk_feed(struct bulk *b, struct bytes bytes)
{
    if (!bytes.size)
        return;
    const uint8_t *at = bytes.at, *end = bytes.at + bytes.size;
    while (at < end) {
        switch (b->state) {
        case STATE_SOURCE: at = feed_source(b, at, end); break;
        case STATE_SEEK: at = feed_seek(b, at, end); break;
        case STATE_ACTION:
        case STATE_TRY: at = feed_line(b, at, end); break;
        case STATE_STOP:
            give_unread(b, bytes_of(at, (size_t)(end - at)));
            at = end;
            break;
        }
    }
}

static void tear_item(struct bulk *b)
{
    if (b->state == STATE_SOURCE) {
        source_part(b, b->line.at, b->line.at, true);
        b->item.flags |= OP_HOLE;
        end_item(b);
    } else {
        withhold(b, b->line.size); // whose line this is will never be known
    }
    buf_clear(&b->line);
}

void bulk_hole(struct bulk *b, uint64_t size_bytes)
{
    b->totals.holes = true;
    if (b->state != STATE_STOP) {
        bool had_item = b->state == STATE_SOURCE;
        tear_item(b); // also ends in STATE_ACTION when an item was under way
        run_now(b)->torn_back = had_item;
        // Two holes with nothing between them are one.
        bool empty = run_now(b)->items == 0 && b->totals.run_count > 1;
        if (!empty && b->totals.run_count == BULK_RUNS_MAX) {
            b->totals.blind = true;
            b->state = STATE_STOP;
        } else {
            b->totals.run_count += !empty;
            *run_now(b) = (struct bulk_run){.torn_front = true};
            b->state = STATE_SEEK;
        }
    }
    b->at_out += size_bytes;
}

void bulk_end(struct bulk *b)
{
    if (b->state == STATE_SOURCE) {
        // Without a final newline the line is complete all the same; without any byte the document is missing.
        bool began = b->source_began;
        source_part(b, b->line.at, b->line.at, true);
        if (!began)
            b->item.flags |= OP_HOLE;
        end_item(b);
    } else if ((b->state == STATE_ACTION || b->state == STATE_TRY) && b->line.size) {
        settle_line(b, buf_view(&b->line), false);
        if (b->state == STATE_SOURCE) {
            b->item.flags |= OP_HOLE;
            b->item.source_bytes = 0;
            end_item(b);
        }
    }
    buf_clear(&b->line);
    b->state = STATE_STOP;
}
