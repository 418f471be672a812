// The request's side of an exchange: who asks what of which index, and what of its body may be stored.
#include "es_call.h"

#include "../../include/bounds.h"
#include "../base/mem.h"

// ---- the head ---------------------------------------------------------------------------------------------------------------

static bool verb_writes(struct bytes verb)
{
    return !bytes_equal_text(verb, "GET") && !bytes_equal_text(verb, "HEAD") && !bytes_equal_text(verb, "OPTIONS");
}

static bool is_own(struct bytes agent)
{
    static const char own[] = "estape/";
    return agent.size >= sizeof own - 1 && memcmp(agent.at, own, sizeof own - 1) == 0;
}

static struct bytes part(struct call *c, const char *name)
{
    bool plus = false; // a bare plus in a path is a plus sign but on versions 5 and 6
    unsigned mask = version_mask(c->es->versions, &c->x.server);
    if (mask && !(mask & ~(unsigned)(ROUTE_ES5 | ROUTE_ES6)))
        plus = true;
    return path_decode(&c->arena, route_part(&c->route, name, NULL), plus, NULL);
}

static struct bytes first_given(struct call *c, const char *one, const char *other)
{
    struct bytes value = path_query_value(&c->query, one);
    return value.size ? value : path_query_value(&c->query, other);
}

static void read_single(struct call *c)
{
    static const struct {
        enum api api;
        enum op_kind kind;
    } kinds[] = {{API_INDEX, OP_INDEX}, {API_CREATE, OP_CREATE}, {API_UPDATE, OP_UPDATE}, {API_DELETE, OP_DELETE}};
    struct op_ask *ask = &c->ask;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (c->route.api == kinds[i].api) {
            c->single = true;
            ask->kind = kinds[i].kind;
        }
    if (!c->single)
        return;
    if (ask->kind == OP_INDEX && bytes_equal_text(path_query_value(&c->query, "op_type"), "create"))
        ask->kind = OP_CREATE;
    ask->index = part(c, "index");
    ask->type = part(c, "type");
    ask->id = part(c, "id");
    ask->routing = first_given(c, "routing", "parent");
    if (path_query_value(&c->query, "parent").size)
        ask->flags |= OP_PARENT;
    ask->pipeline = path_query_value(&c->query, "pipeline");
    struct bytes version_type = path_query_value(&c->query, "version_type");
    int64_t version = path_query_int(&c->query, "version", OP_NONE);
    ask->asked_version = OP_NONE;
    if (bytes_equal_text_nocase(version_type, "external") || bytes_equal_text_nocase(version_type, "external_gt"))
        ask->flags |= OP_EXTERNAL;
    else if (bytes_equal_text_nocase(version_type, "external_gte") || bytes_equal_text_nocase(version_type, "force")) // force (5.x) takes any version
        ask->flags |= OP_EXTERNAL | OP_EXTERNAL_GTE;
    if (ask->flags & OP_EXTERNAL)
        ask->asked_version = version;
    else if (version != OP_NONE || path_query_find(&c->query, "if_seq_no"))
        ask->flags |= OP_CAS;
    if (!ask->id.size && ask->kind <= OP_CREATE)
        ask->flags |= OP_ID_MINTED;
    if (ask->pipeline.size)
        ask->flags |= OP_PIPELINE;
    if (path_query_true(&c->query, "require_alias", false))
        ask->flags |= OP_REQUIRE_ALIAS;
}

static enum bulk_guard guard_index(void *ctx, struct bytes index)
{
    struct call *c = ctx;
    target_add(&c->targets, index);
    // Without a name (memory was out) the URL's stands.
    if (es_is_security(c->es, index) || (!index.size && c->security)) {
        c->x.flags |= EXCHANGE_REDACTED;
        return BULK_REDACT;
    }
    return es_is_excluded(c->es, index) ? BULK_EXCLUDE : BULK_KEEP;
}

static void bulk_out(void *ctx, struct bytes bytes)
{
    es_body_emit(ctx, BODY_REQUEST, bytes);
}

static void bulk_script(void *ctx, struct bytes source)
{
    struct call *c = ctx;
    if (danger_script_deletes(source))
        c->danger_seen |= DANGER_SEEN_SCRIPT_DELETE;
}

static void bulk_unread(void *ctx, struct bytes bytes)
{
    es_body_emit_unread(ctx, BODY_REQUEST, &(struct body_piece){.bytes = bytes});
}

static void bulk_withheld(void *ctx, uint64_t size_bytes)
{
    es_body_hole(ctx, BODY_REQUEST, &(struct body_piece){.hole_bytes = size_bytes});
}

static void hand_ops(void *ctx, const struct op *ops, size_t count)
{
    struct call *c = ctx;
    struct es *e = c->es;
    e->stats.ops += count;
    for (size_t i = 0; i < count; i++)
        e->stats.ops_failed += ops[i].result == OP_FAILED;
    e->sink.ops(e->sink.ctx, ops, count);
}

static void open_ops(struct call *c)
{
    bool is_bulk = c->route.flags & ROUTE_BULK;
    if ((!is_bulk && !c->single) || (c->x.flags & EXCHANGE_OWN))
        return;
    struct op_join_hooks hooks = {.ctx = c, .ops = hand_ops, .told = es_learn_write};
    c->join = op_join_open(c->x.id, &hooks, &c->es->items);
    if (!is_bulk || !c->join)
        return;
    if (!c->request.decodable)
        return;
    struct bulk_defaults defaults = {
        .index = part(c, "index"), .type = part(c, "type"), .routing = path_query_value(&c->query, "routing"),
        .pipeline = path_query_value(&c->query, "pipeline"), .require_alias = path_query_true(&c->query, "require_alias", false),
    };
    struct bulk_hooks bulk_hooks = {c, guard_index, bulk_out, bulk_script, bulk_unread, bulk_withheld};
    c->bulk = bulk_open(&defaults, &bulk_hooks, op_join_asks(c->join));
}

static void plan_bodies(struct call *c, const struct request_head *head)
{
    struct es *e = c->es;
    bool writes = c->x.flags & EXCHANGE_WRITE || (c->route.api == API_NONE && c->write_verb);
    bool any = e->bodies != ES_BODIES_NONE && !(c->x.flags & EXCHANGE_OWN) && !c->excluded;
    c->request.keep = any && (writes || e->read_requests);
    c->response.keep = any && (writes || e->bodies == ES_BODIES_ALL);
    c->request.mode = c->plan.request;
    c->request.watch.seen = c->response.watch.seen = c->security;
    c->request.guarded = c->route.flags & ROUTE_BULK;
    c->response.mode = c->plan.response;
    c->request.decodable = es_header_is_json(es_header(head->headers, head->header_count, "content-type"), &c->request.lines);
    c->request.lines |= (c->route.flags & ROUTE_NDJSON) != 0;
    bool tree = target_body_matters(&c->route) || danger_body_matters(&c->route) || es_learn_asks(c);
    c->request.collect = c->request.mode == REDACT_TREE || c->request.mode == REDACT_STRICT || (tree && !(c->route.flags & ROUTE_NDJSON));
    c->request.collect_max = c->request.mode == REDACT_NONE ? ES_TREE_BYTES_MAX : BOUND_REDACT_BYTES_MAX;
}

static void read_route(struct call *c, const struct request_head *head)
{
    struct es *e = c->es;
    struct bytes path, query;
    struct bytes target = es_keep(c, head->target);
    path_split(target, &path, &query);
    path_query_read(&c->arena, query, &c->query);
    c->x.server_version = version_of(e->versions, &c->x.server);
    unsigned mask = version_mask(e->versions, &c->x.server);
    if (version_asks_compatible_7(head))
        mask |= ROUTE_ES7;
    // A request line with a blank in its path is refused before any route is looked for.
    if ((path.size && memchr(path.at, ' ', path.size)) || !route_find(c->x.verb, path, mask, &c->route))
        e->stats.unknown_routes++;
    c->x.api = route_api_name(c->route.api);
    c->x.action = bytes_of_text(c->route.action);
    target_init(&c->targets, &c->arena);
    target_add_url(&c->targets, &c->route, &c->query);
    for (size_t i = 0; i < c->targets.count; i++) {
        // No index is called so: it is an administrative call, read as a document of a version that has no such call.
        bool no_index = c->targets.at[i].size && c->targets.at[i].at[0] == '_' && !bytes_equal_text(c->targets.at[i], "_all");
        c->security |= no_index || es_is_security(e, c->targets.at[i]);
        c->excluded |= es_is_excluded(e, c->targets.at[i]);
    }
    c->security |= c->targets.failed; // memory is out, a name is missing: it may have been one
    c->plan = redact_plan_of(&c->route, c->security);
    c->x.path = redact_target(&c->arena, target, &c->plan, &c->target_redacted);
    if (c->target_redacted)
        c->x.flags |= EXCHANGE_REDACTED;
}

static void read_who(struct call *c, const struct request_head *head)
{
    struct who *w = &c->who;
    struct exchange *x = &c->x;
    who_read(c->es->whos, head, &c->arena, w);
    x->auth = w->auth;
    x->principal = w->principal = es_keep(c, w->principal);
    x->realm = w->realm = es_keep(c, w->realm);
    x->run_as = w->run_as = es_keep(c, w->run_as);
    x->forwarded_for = w->forwarded_for = es_keep(c, w->forwarded_for);
    x->agent = w->agent = es_keep(c, w->agent);
    x->opaque_id = w->opaque_id = es_keep(c, w->opaque_id);
    x->traceparent = w->traceparent = es_keep(c, w->traceparent);
    w->secondary = w->client_meta = w->origin = (struct bytes){0};
    if (is_own(x->agent))
        x->flags |= EXCHANGE_OWN;
}

// A call that only says what it would do changes nothing. `body`: NULL while only the head is known.
static bool only_tries(const struct call *c, const struct json *body)
{
    static const struct {
        enum api api;
        const char *parameter;
        bool in_body;
    } trials[] = {{API_INDICES_ROLLOVER, "dry_run", false},          {API_CLUSTER_REROUTE, "dry_run", true},
                  {API_ILM_MIGRATE_TO_DATA_TIERS, "dry_run", false}, {API_TRANSFORM_UPGRADE_TRANSFORMS, "dry_run", false},
                  {API_ALERTING_EXECUTE_MONITOR, "dryrun", false},   {API_ALERTING_EXECUTE_AD_HOC_MONITOR, "dryrun", false}};
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++)
        if (c->route.api == trials[i].api)
            return path_query_true(&c->query, trials[i].parameter, false) || (trials[i].in_body && json_true(json_member(body, "dry_run")));
    return false;
}

void es_request_open(struct call *c, const struct request_head *head)
{
    struct exchange *x = &c->x;
    x->conn = head->conn->serial;
    x->client = head->conn->end[head->client_side];
    x->server = head->conn->end[!head->client_side];
    x->time_ns = head->time_ns;
    x->answered_ns = WHEN_UNKNOWN;
    x->tcp_seq = head->conn->first_seq[head->client_side] + (uint32_t)head->stream_offset;
    x->verb = es_keep(c, head->method);
    x->docs = x->docs_ok = x->docs_failed = x->docs_deleted = x->docs_total = x->took_ms = -1;
    if (head->head_truncated)
        x->flags |= EXCHANGE_HEAD_TRUNCATED;
    c->write_verb = verb_writes(x->verb);
    read_route(c, head);
    read_who(c, head);
    if (c->route.flags & ROUTE_WRITE && !only_tries(c, NULL)) {
        x->flags |= EXCHANGE_WRITE;
        c->es->stats.writes++;
    }
    read_single(c);
    plan_bodies(c, head);
    open_ops(c);
}

// ---- the body ---------------------------------------------------------------------------------------------------------------

// Headers and bodies of a multi-search alternate; only headers name indices.
static void feed_lines(struct call *c, struct bytes bytes)
{
    while (bytes.size) {
        const uint8_t *newline = memchr(bytes.at, '\n', bytes.size);
        size_t size = newline ? (size_t)(newline - bytes.at) : bytes.size;
        if (!c->line_is_body && c->line.size + size <= BULK_LINE_MAX)
            buf_add(&c->line, bytes.at, size);
        if (newline) {
            if (!c->line_is_body && c->line.size)
                target_add_msearch_header(&c->targets, buf_view(&c->line));
            // An empty line can stand for an empty header.
            c->line_is_body = !c->line_is_body;
            buf_clear(&c->line);
        }
        bytes = bytes_from(bytes, size + (newline != NULL));
    }
}

static bool is_msearch(const struct call *c)
{
    return c->route.api == API_MSEARCH || c->route.api == API_MSEARCH_TEMPLATE;
}

static void note_hole(struct call *c, const struct body_piece *piece)
{
    if (c->bulk)
        bulk_hole(c->bulk, piece->hole_bytes);
    if (c->bulk && c->answers) // a streaming bulk: answers come while the request does
        op_join_positions_unsure(c->join);
    es_body_note_hole(c, BODY_REQUEST, piece);
}

static void mark_whole(struct call *c, enum body_side side, struct es_body *b)
{
    if (b->marked)
        return;
    b->marked = true;
    c->x.flags |= EXCHANGE_REDACTED;
    c->es->stats.redactions++;
    es_body_emit(c, side, bytes_of_text(redact_marker_document));
}

// Still content-coded: nothing can be read from here on.
static void feed_raw(struct call *c, const struct body_piece *piece)
{
    struct es_body *b = &c->request;
    b->broken = true;
    c->x.flags |= EXCHANGE_UNDECODED;
    if (b->mode == REDACT_WHOLE) {
        mark_whole(c, BODY_REQUEST, b);
        return;
    }
    if (b->mode == REDACT_NONE && !(c->security && (c->route.flags & ROUTE_BULK)))
        es_body_emit_unread(c, BODY_REQUEST, piece);
}

void es_request_feed(struct call *c, const struct body_piece *piece)
{
    struct es_body *b = &c->request;
    if (piece->hole_bytes || piece->hole_unknown) {
        note_hole(c, piece);
        return;
    }
    if (piece->raw) {
        feed_raw(c, piece);
        return;
    }
    if (is_msearch(c) && !b->broken) // behind a hole nothing tells headers from bodies
        feed_lines(c, piece->bytes);
    if (c->single && c->ask.kind == OP_UPDATE)
        bulk_peek_feed(&c->peek, piece->bytes);
    if (b->collect)
        es_body_collect(c, b, piece->bytes);
    if (c->bulk)
        bulk_feed(c->bulk, piece->bytes);
    else if (b->mode == REDACT_WHOLE || ((c->route.flags & ROUTE_BULK) && c->security))
        mark_whole(c, BODY_REQUEST, b);
    else if (c->route.flags & ROUTE_BULK)
        es_body_emit_unread(c, BODY_REQUEST, piece);
    else if (b->mode == REDACT_NONE)
        es_body_emit(c, BODY_REQUEST, piece->bytes);
}

// ---- the end ----------------------------------------------------------------------------------------------------------------

static bool source_parameter(struct call *c, struct bytes *body)
{
    const struct path_param *p = path_query_find(&c->query, "source");
    if (!p || !p->value.size)
        return false;
    *body = p->value;
    return true;
}

// What only the body names: indices, and how dangerous the call is. Reads the unredacted body, keeps nothing of it.
static void read_body(struct call *c)
{
    struct es_body *b = &c->request;
    struct arena arena;
    arena_init(&arena, 64 * (size_t)ES_TREE_BYTES_MAX);
    struct bytes text = buf_view(&b->whole);
    if (!text.size)
        source_parameter(c, &text);
    struct json *tree = NULL;
    bool unread = b->over || b->broken || !b->decodable;
    if (text.size && !unread && !b->lines) {
        tree = json_parse(&arena, text, NULL);
        if (!tree) {
            unread = true;
            c->x.flags |= EXCHANGE_MALFORMED;
        }
    }
    if (tree)
        target_add_body(&c->targets, &c->route, tree);
    if (c->x.flags & EXCHANGE_WRITE && only_tries(c, tree)) {
        c->x.flags &= ~(uint32_t)EXCHANGE_WRITE;
        c->es->stats.writes--;
    }
    if (es_learn_asks(c))
        es_learn_request(c, tree, text);
    struct danger_input in = {.route = &c->route, .query = &c->query, .body = tree, .body_unread = unread && (b->whole.size || b->over || b->broken),
                              .targets = &c->targets, .raw = text.size ? bytes_of(text.at, text.size < BOUND_RULE_BODY_BYTES ? text.size : BOUND_RULE_BODY_BYTES) : buf_view(&c->head),
                              .seen = c->danger_seen | (c->bulk && bulk_total(c->bulk)->scripted ? (unsigned)DANGER_SEEN_SCRIPT : 0)};
    struct danger danger = danger_of(&in);
    if (danger.id && danger.level >= DANGER_MEDIUM) {
        c->x.danger = bytes_of_text(danger.id);
        c->es->stats.destructive++;
    }
    if (bytes_equal_text(c->x.danger, "docs.sql_delete") && !(c->x.flags & EXCHANGE_WRITE)) {
        c->x.flags |= EXCHANGE_WRITE;
        c->es->stats.writes++;
    }
    arena_fini(&arena);
}

static void set_targets(struct call *c)
{
    c->x.targets = c->targets.at;
    c->x.target_count = c->targets.count;
    c->x.flags &= ~(uint32_t)EXCHANGE_WILDCARD;
    if (c->targets.wildcard || c->targets.all)
        c->x.flags |= EXCHANGE_WILDCARD;
}

static void end_single(struct call *c)
{
    struct es_body *b = &c->request;
    c->ask.flags |= c->peek.flags;
    c->ask.source_bytes = b->bytes;
    if (b->missing)
        c->ask.flags |= OP_HOLE;
    if (b->marked || c->excluded)
        c->ask.flags |= OP_REDACTED;
    opqueue_push_ask(op_join_asks(c->join), &c->ask);
}

void es_request_end(struct call *c, const struct message_end *end)
{
    struct es_body *b = &c->request;
    c->request_ended = true;
    c->x.request_bytes = end->wire_bytes;
    c->request_complete = end->complete;
    b->missing |= end->missing_bytes || end->truncated || !end->complete;
    b->broken |= end->missing_bytes || end->truncated || !end->complete;
    if (end->undecodable || (!b->decodable && end->wire_bytes))
        c->x.flags |= EXCHANGE_UNDECODED;
    if (is_msearch(c) && c->line.size && !c->line_is_body)
        target_add_msearch_header(&c->targets, buf_view(&c->line));
    if (c->bulk) {
        bulk_end(c->bulk);
        if (bulk_total(c->bulk)->malformed)
            c->x.flags |= EXCHANGE_MALFORMED;
        if (c->x.flags & EXCHANGE_UNDECODED || bulk_total(c->bulk)->unheld)
            b->missing |= bulk_total(c->bulk)->blind;
        c->x.docs = (int64_t)bulk_total(c->bulk)->items;
    }
    es_body_finish(c, BODY_REQUEST, false);
    read_body(c);
    es_body_release(c, b);
    b->whole = (struct buf){0};
    if (c->single && c->join) {
        c->x.docs = 1;
        end_single(c);
    }
    set_targets(c);
    if (!end->complete || c->attempted)
        return;
    c->attempted = true;
    struct exchange attempt = c->x;
    attempt.flags |= EXCHANGE_ATTEMPT | (b->emitted ? EXCHANGE_REQUEST_KEPT : 0);
    attempt.outcome = OUTCOME_UNANSWERED;
    attempt.body_head = buf_view(&c->head);
    c->es->sink.attempt(c->es->sink.ctx, &attempt);
}
