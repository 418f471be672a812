// The answer's side of an exchange: what it tells about the writes and reads asked for, and what of it may be stored.
#include "es_call.h"

#include "../../include/bounds.h"
#include "../base/mem.h"

static void take_item(void *ctx, const struct op_answer *answer)
{
    struct call *c = ctx;
    op_join_answer(c->join, answer);
}

static void note_index(void *ctx, struct bytes index)
{
    es_note_index(ctx, index);
}

static bool word_in(struct bytes list, const char *word)
{
    size_t size = strlen(word);
    while (list.size) {
        const uint8_t *comma = memchr(list.at, ',', list.size);
        size_t n = comma ? (size_t)(comma - list.at) : list.size;
        if (n == size && memcmp(list.at, word, n) == 0)
            return true;
        list = bytes_from(list, n + (comma != NULL));
    }
    return false;
}

static bool filter_names(struct bytes filter, const char *const *words)
{
    if (!filter.size)
        return true;
    for (; *words; words++)
        if (word_in(filter, *words))
            return true;
    return false;
}

// Does the filter keep an entry for every item? Items of which nothing is left vanish, and with them the positions.
bool es_filter_keeps_items(struct bytes filter)
{
    static const char *const keepers[] = {"*", "**", "items", "items.*", "items.**", "items.*.*", "items.*.status", "*.*.status", "**.status", "items.**.status",
                                          "items.*._index", "items.*._id", "items.*.result", "items.*._version", "items.*._seq_no", "*.*._id", "items.*._*", NULL};
    if (filter_names(filter, keepers))
        return true;
    // Only exclusions: everything else stays.
    for (size_t i = 0; i < filter.size; i++)
        if ((i == 0 || filter.at[i - 1] == ',') && filter.at[i] != '-')
            return false;
    return true;
}

// Does it keep what went wrong? Then what it leaves out went well.
bool es_filter_keeps_errors(struct bytes filter)
{
    static const char *const keepers[] = {"items.*.error", "items.*.error.*", "items.*.error.type", "items.*.error.**", "*.*.error", "**.error", "items.**.error", NULL};
    return filter.size && filter_names(filter, keepers);
}

static void open_scanners(struct call *c, const struct response_head *head)
{
    bool bulk = (c->route.flags & ROUTE_BULK) && c->join && c->es->ops;
    if (bulk) {
        // A request in SMILE has no totals: its items are known from their answers alone.
        const struct bulk_totals *t = c->bulk ? bulk_total(c->bulk) : NULL;
        struct bytes filter = path_query_value(&c->query, "filter_path");
        c->items_filtered = !es_filter_keeps_items(filter);
        c->errors_kept = c->items_filtered && es_filter_keeps_errors(filter);
        if ((t && t->holes) || c->items_filtered)
            op_join_positions_unsure(c->join);
        c->answers = answer_bulk_open(take_item, c);
    } else if ((c->route.flags & ROUTE_HITS) && head->status < 400) {
        c->reads = reads_open();
        if (c->reads) {
            reads_on_index(c->reads, note_index, c);
            reads_on_handle(c->reads, es_learn_handle, c);
        }
    }
}

// Answers to reads may hold documents of a security index: of one that the body names (multi-search, multi-get), of one that a
// wildcard meets.
static void guard_read(struct call *c, struct es_body *b)
{
    bool any = c->targets.count == 0;
    for (size_t i = 0; i < c->targets.count; i++) {
        any |= target_may_be_security(c->targets.at[i]);
        if (b->mode == REDACT_NONE && es_is_security(c->es, c->targets.at[i]))
            b->mode = REDACT_STRICT;
    }
    b->guarded = any;
    b->watched = b->watch.quoted = true;
}

void es_answer_open(struct call *c, const struct response_head *head)
{
    struct es *e = c->es;
    struct es_body *b = &c->response;
    c->answered = true;
    c->x.status = head->status;
    version_learn_head(e->versions, &c->x.server, head);
    c->x.server_version = version_of(e->versions, &c->x.server);
    struct bytes location = es_header(head->headers, head->header_count, "location");
    buf_add_bytes(&c->location, location);
    b->decodable = es_header_is_json(es_header(head->headers, head->header_count, "content-type"), &b->lines);
    // Answers in text columns (_cat) are no JSON either.
    struct bytes type = es_header(head->headers, head->header_count, "content-type");
    bool text = type.size >= 5 && bytes_equal_text_nocase(bytes_of(type.at, 5), "text/");
    c->answer_scannable = b->decodable && !text;
    if (text)
        b->decodable = false;
    if (c->bulk && bulk_total(c->bulk)->redacted)
        b->mode = REDACT_STRICT;
    b->watched = (c->route.flags & ROUTE_BULK) && (!c->bulk || bulk_total(c->bulk)->holes || bulk_total(c->bulk)->malformed || c->request.broken);
    b->guarded = b->watched;
    if (b->keep && (c->route.flags & ROUTE_HITS) && b->decodable)
        guard_read(c, b);
    // A refusal may quote what it refuses: documents of a security index, a URL with a secret in it.
    if (b->mode == REDACT_NONE && c->target_redacted && head->status >= 400)
        b->mode = REDACT_TREE;
    // Who is not let in may read his credentials back.
    if (b->mode == REDACT_NONE && head->status == 401)
        b->mode = REDACT_TREE;
    if (head->status == 401 && c->who.auth == AUTH_NONE)
        who_forget(c->es->whos, c->who.credential);
    open_scanners(c, head);
    bool learns = version_answer_matters(c->route.api) || who_answer_matters(c->route.api) || es_learn_matters(c);
    bool whole = b->mode != REDACT_NONE && b->keep;
    b->collect = whole || learns || (!c->answers && !c->reads);
    b->collect_max = whole ? BOUND_REDACT_BYTES_MAX : learns ? ES_TREE_BYTES_MAX : ANSWER_HEAD_MAX;
}

static void lose_items(struct call *c)
{
    if (c->answers) {
        answer_bulk_hole(c->answers);
        op_join_answer_hole(c->join);
    }
}

static void note_hole(struct call *c, const struct body_piece *piece)
{
    lose_items(c);
    es_body_note_hole(c, BODY_RESPONSE, piece);
}

static void feed_raw(struct call *c, const struct body_piece *piece)
{
    struct es_body *b = &c->response;
    c->x.flags |= EXCHANGE_UNDECODED;
    c->answer_scannable = false;
    b->broken = true;
    lose_items(c);
    if (b->mode == REDACT_NONE)
        es_body_emit_unread(c, BODY_RESPONSE, piece);
}

void es_answer_feed(struct call *c, const struct body_piece *piece)
{
    struct es_body *b = &c->response;
    if (piece->hole_bytes || piece->hole_unknown) {
        note_hole(c, piece);
        return;
    }
    if (piece->raw) {
        feed_raw(c, piece);
        return;
    }
    if (b->collect && !b->broken) // what stands on both sides of a hole is not one text
        es_body_collect(c, b, piece->bytes);
    if (b->mode == REDACT_NONE && b->watched)
        es_body_emit_unread(c, BODY_RESPONSE, piece);
    else if (b->mode == REDACT_NONE)
        es_body_emit(c, BODY_RESPONSE, piece->bytes);
    if (!c->answer_scannable)
        return;
    if (c->answers) {
        answer_bulk_feed(c->answers, piece->bytes);
        op_join_flush(c->join);
    } else if (c->reads && !b->broken) {
        reads_feed(c->reads, piece->bytes);
    }
}

// What was collected, read before it is redacted: names of credentials, versions, the top members.
static void read_collected(struct call *c)
{
    struct es *e = c->es;
    struct es_body *b = &c->response;
    struct bytes text = buf_view(&b->whole);
    if (text.size && !c->answer_scannable)
        es_learn_text(c, text);
    if (!text.size || !c->answer_scannable)
        return;
    if (!c->answers && !c->reads) {
        answer_read_head(text, &c->told, &c->told_text);
        c->told_read = c->told.is_object;
        if (c->told_read)
            es_keep_told(c);
    }
    bool version = version_answer_matters(c->route.api), who = who_answer_matters(c->route.api);
    if ((!version && !who && !es_learn_matters(c)) || b->over || b->broken)
        return;
    struct arena arena;
    arena_init(&arena, 64 * (size_t)ES_TREE_BYTES_MAX);
    struct json *tree = json_parse(&arena, text, NULL);
    if (tree && version && c->x.status < 300)
        version_learn_answer(e->versions, &c->x.server, c->route.api, tree);
    if (tree && who && c->x.status < 300)
        who_learn_answer(e->whos, &c->who, c->route.api, tree);
    if (tree)
        es_learn(c, tree);
    arena_fini(&arena);
}

static void read_single(struct call *c)
{
    struct op_answer answer;
    struct buf into = {0};
    struct bytes text = buf_view(&c->response.whole);
    answer_clear(&answer, c->ask.kind);
    bool object = text.size && c->answer_scannable;
    if (object && memchr(text.at, '\\', text.size))
        buf_reserve(&into, text.size);
    struct opjson cursor = opjson_of(text);
    if (object)
        answer_read_write(&cursor, &answer, &into);
    if (!answer.status)
        answer.status = c->x.status;
    if (!c->answer_complete)
        answer.flags |= OP_HOLE;
    // The Location of a created document tells the id that a filter took out of the body.
    struct bytes location = buf_view(&c->location);
    if (!answer.id.size && !c->ask.id.size && location.size)
        answer.id = es_location_id(c, location);
    if (c->answer_complete && c->x.status >= 200 && c->x.status < 300 && answer.result != OP_FAILED)
        es_learn_shape(c, &answer);
    op_join_answer(c->join, &answer);
    op_join_flush(c->join);
    buf_fini(&into);
}

void es_answer_end(struct call *c, const struct message_end *end)
{
    struct es_body *b = &c->response;
    c->response_ended = true;
    c->response_ended_whole = end->complete && !end->truncated;
    c->x.response_bytes = end->wire_bytes;
    c->answer_complete = end->complete && !end->missing_bytes && !end->truncated;
    c->answer_end_ns = end->time_ns;
    c->x.answered_ns = end->time_ns;
    b->missing |= !c->answer_complete;
    b->broken |= !c->answer_complete;
    if (end->undecodable)
        c->x.flags |= EXCHANGE_UNDECODED;
    if (c->answers)
        answer_bulk_end(c->answers);
    read_collected(c);
    if (c->single && c->join && c->es->ops)
        read_single(c);
    // A refusal may quote the request: where that could hold a secret, its sentences go.
    bool secret = c->x.status == 401 || (c->route.flags & ROUTE_SECRET) || (c->x.flags & EXCHANGE_REDACTED) || c->request.over || c->request.broken;
    es_body_finish(c, BODY_RESPONSE, c->x.status >= 400 && secret);
    es_body_release(c, b);
}
