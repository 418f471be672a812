// What became of an exchange: outcome, reason, document counts, from how it ended and what was answered.
#include "es_call.h"

static const struct {
    enum outcome outcome;
    const char *reason;
} fates[] = {
    [FATE_ANSWERED] = {OUTCOME_OK, ""},
    [FATE_CLIENT_LEFT] = {OUTCOME_UNANSWERED, "client_left"},
    [FATE_SERVER_LEFT] = {OUTCOME_UNANSWERED, "server_left"},
    [FATE_ANSWER_LOST] = {OUTCOME_UNKNOWN, "answer_lost"},
    [FATE_INCOMPLETE] = {OUTCOME_FAILED, "request_incomplete"},
    [FATE_NEVER_ACKNOWLEDGED] = {OUTCOME_FAILED, "never_acknowledged"},
    [FATE_OPEN] = {OUTCOME_UNANSWERED, "recording_ended"},
};

static bool is_by_query(const struct call *c)
{
    return c->route.flags & ROUTE_BY_QUERY;
}

// A 404 that means "not there" and nothing went wrong: a read, or a delete of a document that was missing.
static bool missing_is_fine(const struct call *c)
{
    if (c->x.status != 404)
        return false;
    if (!(c->x.flags & EXCHANGE_WRITE))
        return c->route.api != API_NONE;
    return c->single && c->ask.kind == OP_DELETE && !c->told.error_type.size && c->x.docs_ok == 1;
}

static void say(struct call *c, enum outcome outcome, struct bytes reason)
{
    c->x.outcome = outcome;
    c->x.reason = reason;
}

static void say_text(struct call *c, enum outcome outcome, const char *reason)
{
    say(c, outcome, bytes_of_text(reason));
}

// ---- refused as a whole ---------------------------------------------------------------------------------------------------

// Where the answer names no error type, its status does.
static struct bytes status_reason(const struct call *c)
{
    static const struct {
        int from, to;
        const char *reason;
    } reasons[] = {{401, 401, "unauthorized"}, {403, 403, "forbidden"}, {404, 404, "not_found"}, {405, 405, "method_not_allowed"},
                   {406, 406, "not_acceptable"}, {409, 409, "conflict"}, {413, 413, "request_too_large"}, {417, 417, "expectation_failed"},
                   {429, 429, "too_many_requests"}, {400, 499, "refused"}, {500, 999, "server_error"}};
    size_t i = 0;
    while (c->x.status < reasons[i].from || c->x.status > reasons[i].to)
        if (++i == sizeof reasons / sizeof *reasons)
            return bytes_of_text("refused");
    return bytes_of_text(reasons[i].reason);
}

static struct bytes refusal(struct call *c)
{
    if (c->answers && answer_bulk_total(c->answers)->error_type[0])
        return es_keep(c, bytes_of_text(answer_bulk_total(c->answers)->error_type));
    if (c->told_read && c->told.error_type.size)
        return c->told.error_type;
    return status_reason(c);
}

// ---- documents ------------------------------------------------------------------------------------------------------------

// A whole, unfiltered answer with fewer items than the request: the cluster did not execute those behind. Version 5 passes over
// a last document without a newline in silence.
static bool answer_is_short(struct call *c)
{
    const struct answer_bulk_totals *t = answer_bulk_total(c->answers);
    const struct bulk_totals *asked = c->bulk ? bulk_total(c->bulk) : NULL;
    return asked && t->items && t->complete && !t->holes && !asked->holes && !asked->malformed && t->items < asked->items;
}

static struct op_rest rest_of_bulk(struct call *c, struct bytes reason)
{
    struct op_rest rest = {.result = OP_UNKNOWN};
    if (c->x.outcome == OUTCOME_FAILED) {
        rest = (struct op_rest){OP_FAILED, c->x.status, reason};
    } else if (c->answers && c->answer_complete) {
        const struct answer_bulk_totals *t = answer_bulk_total(c->answers);
        bool accepted = c->x.status < 300 && !t->items && t->complete && (t->errors == 0 || (c->errors_kept && t->errors != 1));
        if (accepted)
            rest = (struct op_rest){.result = OP_ACCEPTED};
        else if (c->x.status < 300 && answer_is_short(c) && !c->items_filtered)
            rest = (struct op_rest){.result = OP_FAILED, .error_type = bytes_of_text("not_executed")};
    }
    return rest;
}

static void finish_ops(struct call *c)
{
    if (!c->join)
        return;
    struct op_end end = {.request = c->bulk ? bulk_total(c->bulk) : NULL, .rest = rest_of_bulk(c, c->x.reason)};
    if (c->answers) {
        const struct answer_bulk_totals *t = answer_bulk_total(c->answers);
        end.answers_complete = t->complete || (t->holes && c->response_ended_whole);
        end.answers_holed = t->holes;
        end.answers_sparse = c->items_filtered && answer_is_short(c);
    }
    if (!c->es->ops)
        return;
    op_join_finish(c->join, &end);
    const struct op_totals *totals = op_join_totals(c->join);
    struct exchange *x = &c->x;
    x->docs = (int64_t)totals->docs;
    x->docs_ok = (int64_t)totals->ok;
    x->docs_failed = (int64_t)totals->failed;
    x->docs_deleted = (int64_t)totals->deleted;
    // Items that were never held have no op; they are counted all the same.
    if (c->bulk && (uint64_t)x->docs < bulk_total(c->bulk)->items)
        x->docs = (int64_t)bulk_total(c->bulk)->items;
    if (end.answers_sparse) { // how many are told, but not which
        x->docs_failed = (int64_t)answer_bulk_total(c->answers)->items;
        if (c->errors_kept && x->docs >= x->docs_failed)
            x->docs_ok = x->docs - x->docs_failed;
    }
    x->indices = op_join_indices(c->join, &x->index_count);
}

static int64_t or_zero(int64_t n)
{
    return n > 0 ? n : 0;
}

static void count_by_query(struct call *c)
{
    const struct answer_head *t = &c->told;
    struct exchange *x = &c->x;
    if (!c->told_read || t->total < 0)
        return;
    x->docs_total = t->total;
    x->docs_deleted = or_zero(t->deleted);
    x->docs_ok = or_zero(t->created) + or_zero(t->updated) + or_zero(t->deleted) + or_zero(t->noops);
    x->docs_failed = or_zero(t->version_conflicts) + (t->has_failures ? 1 : 0);
    x->docs = x->docs_ok + x->docs_failed;
}

// The index asked for stands for the concrete one where no answer tells more and only one can be meant.
static void count_asked_index(struct call *c)
{
    struct exchange *x = &c->x;
    bool reindex = c->route.api == API_REINDEX && c->targets.count > 1; // named last: where the documents go
    if (x->index_count || x->docs <= 0 || (c->targets.count != 1 && !reindex) || (c->targets.wildcard && !reindex))
        return;
    struct exchange_index *row = c->noted_count ? &c->noted[0] : &c->asked;
    if (!c->noted_count)
        *row = (struct exchange_index){.index = c->targets.at[c->targets.count - 1]};
    row->ok = (uint32_t)(x->docs_ok > 0 ? x->docs_ok : 0);
    row->failed = (uint32_t)(x->docs_failed > 0 ? x->docs_failed : 0);
    row->deleted = (uint32_t)(x->docs_deleted > 0 ? x->docs_deleted : 0);
    x->indices = row;
    x->index_count = 1;
}

// ---- reads ----------------------------------------------------------------------------------------------------------------

static void finish_reads(struct call *c)
{
    struct reads_result r;
    if (!c->reads)
        return;
    reads_end(c->reads, &r);
    if (!c->answer_scannable)
        return;
    c->x.took_ms = r.took_ms;
    c->x.docs_total = r.hits_total;
    if (r.timed_out == 1)
        say_text(c, OUTCOME_PARTIAL, "timed_out");
    else if (r.shards_failed > 0)
        say_text(c, OUTCOME_PARTIAL, "shards_failed");
    if (r.answers_failed > 0) {
        struct bytes type = es_keep(c, bytes_of_text(r.error_type));
        say(c, r.answers_failed == r.answers ? OUTCOME_FAILED : OUTCOME_PARTIAL, type.size ? type : bytes_of_text("errors"));
    }
}

// ---- the verdict ----------------------------------------------------------------------------------------------------------

static void judge_told(struct call *c)
{
    const struct answer_head *t = &c->told;
    bool write = c->x.flags & EXCHANGE_WRITE;
    if (!c->told_read)
        return;
    c->x.took_ms = t->took_ms;
    if (t->task.size && write)
        c->x.task = t->task;
    if (t->error_type.size && c->x.status < 400)
        say(c, OUTCOME_FAILED, t->error_type);
    else if (t->acknowledged == 0 && write)
        say_text(c, OUTCOME_PARTIAL, "not_acknowledged");
    else if (t->timed_out == 1)
        say_text(c, OUTCOME_PARTIAL, "timed_out");
    else if (t->has_failures || t->shards_failed > 0)
        say(c, OUTCOME_PARTIAL, t->failure_type.size ? t->failure_type : bytes_of_text(t->has_failures ? "failures" : "shards_failed"));
    else if (t->version_conflicts > 0)
        say_text(c, OUTCOME_PARTIAL, "version_conflict_engine_exception");
    else if (t->errors == 1)
        say_text(c, OUTCOME_PARTIAL, "errors");
}

static void judge_bulk(struct call *c)
{
    const struct exchange *x = &c->x;
    if (!c->answers || x->outcome != OUTCOME_OK)
        return;
    const struct answer_bulk_totals *t = answer_bulk_total(c->answers);
    c->x.took_ms = t->took_ms;
    struct bytes reason = es_keep(c, op_join_error(c->join));
    if (x->docs_failed > 0 && x->docs_failed == x->docs)
        say(c, OUTCOME_FAILED, reason);
    else if (x->docs_failed > 0)
        say(c, OUTCOME_PARTIAL, reason.size ? reason : bytes_of_text("errors"));
    else if (t->errors == 1)
        say_text(c, OUTCOME_PARTIAL, "errors");
    else if (!c->answer_complete && t->errors != 0 && op_join_totals(c->join)->unknown)
        say_text(c, OUTCOME_UNKNOWN, "answer_lost");
}

static void judge_answered(struct call *c)
{
    struct exchange *x = &c->x;
    say_text(c, OUTCOME_OK, "");
    if (x->status < 200 && x->status != 101)
        say_text(c, OUTCOME_UNKNOWN, "answer_lost");
    else if (x->status >= 400)
        say(c, OUTCOME_FAILED, refusal(c));
    finish_ops(c);
    if (missing_is_fine(c))
        say_text(c, OUTCOME_OK, "");
    else if (c->single && c->join && c->es->ops && op_join_totals(c->join)->unknown)
        say_text(c, OUTCOME_UNKNOWN, "answer_lost");
    if (x->outcome != OUTCOME_OK)
        return;
    finish_reads(c);
    if (!c->single)
        judge_told(c);
    if (is_by_query(c))
        count_by_query(c);
    judge_bulk(c);
}

void es_outcome(struct call *c, const struct exchange_end *end)
{
    struct exchange *x = &c->x;
    if (!c->request_ended)
        es_request_end(c, &(struct message_end){.time_ns = end->time_ns, .truncated = true, .wire_bytes = c->request.bytes});
    if (c->answered && !c->response_ended)
        es_answer_end(c, &(struct message_end){.time_ns = end->time_ns, .truncated = true, .wire_bytes = c->response.bytes});
    // An answer decides, however the connection ended.
    if (c->answered && (x->status >= 200 || x->status == 101)) {
        judge_answered(c);
    } else {
        say_text(c, fates[end->fate].outcome, fates[end->fate].reason);
        if (end->fate == FATE_ANSWERED)
            say_text(c, OUTCOME_UNKNOWN, "answer_lost");
        finish_ops(c);
    }
    count_asked_index(c);
    if (!x->index_count && c->noted_count) {
        x->indices = c->noted;
        x->index_count = c->noted_count;
    }
    if (c->request.emitted)
        x->flags |= EXCHANGE_REQUEST_KEPT;
    if (c->response.emitted)
        x->flags |= EXCHANGE_RESPONSE_KEPT;
    if ((c->request.keep && c->request.missing) || (c->response.keep && c->response.missing && c->answered))
        x->flags |= EXCHANGE_TRUNCATED;
    if (x->flags & EXCHANGE_UNDECODED)
        c->es->stats.undecoded++;
    if (x->flags & EXCHANGE_MALFORMED)
        c->es->stats.malformed++;
    struct bytes principal, realm;
    if (c->who.credential && who_lookup(c->es->whos, c->who.credential, &principal, &realm) && principal.size) {
        x->principal = es_keep(c, principal);
        if (realm.size)
            x->realm = es_keep(c, realm);
    }
    x->body_head = buf_view(&c->head);
    if (!(x->flags & EXCHANGE_OWN))
        es_learn_outcome(c);
}
