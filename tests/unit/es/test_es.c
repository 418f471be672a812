// Exchanges from head to last word: outcomes, documents, ops, bodies, attempts.
#include "es_probe.h"

#include <stdlib.h>

static struct op *op_at(struct probe *p, size_t i)
{
    assert_true(i < p->op_count);
    return &p->ops[i];
}

static void single_index_becomes_one_op(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    struct probe_row *row = probe_call(p, (struct probe_ask){"PUT", "/catalog/_doc/p%201?routing=r1&pipeline=enrich", .body = "{\"a\":1}", .auth = "Basic YWxpY2U6c2VjcmV0"},
                                       (struct probe_answer){201, "{\"_index\":\"catalog-1\",\"_id\":\"p 1\",\"_version\":1,\"result\":\"created\",\"_shards\":{\"total\":2,\"successful\":1,\"failed\":0},\"_seq_no\":0,\"_primary_term\":1}"});
    assert_true(row->attempted && row->done);
    assert_text(p, row->x.api, "index");
    assert_text(p, row->x.principal, "alice");
    assert_int_equal(row->x.outcome, OUTCOME_OK);
    assert_true(row->x.flags & EXCHANGE_WRITE);
    assert_true(row->x.docs == 1 && row->x.docs_ok == 1 && row->x.docs_failed == 0);
    assert_int_equal(row->x.index_count, 1);
    assert_text(p, row->x.indices[0].index, "catalog-1");
    assert_true(row->x.indices[0].concrete);
    assert_text(p, buf_view(&row->request), "{\"a\":1}");
    struct op *op = op_at(p, 0);
    assert_int_equal(p->op_count, 1);
    assert_true(op->kind == OP_INDEX && op->result == OP_CREATED && op->version == 1 && op->seq_no == 0 && op->primary_term == 1);
    assert_text(p, op->asked, "catalog");
    assert_text(p, op->index, "catalog-1");
    assert_text(p, op->id, "p 1");
    assert_text(p, op->routing, "r1");
    assert_text(p, op->pipeline, "enrich");
    assert_true(op->source_at == 0 && op->source_bytes == 7 && (op->flags & OP_PIPELINE));
    assert_int_equal(p->resolved_count, 1);
    assert_int_equal(p->life_count, 1);
    assert_true(p->lives[0].born && !p->lives[0].seen);
    probe_close(p);
}

static void minted_id_is_taken_from_the_answer_or_its_location(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    probe_call(p, (struct probe_ask){"POST", "/c/_doc", .body = "{}"}, (struct probe_answer){201, "{\"_index\":\"c\",\"_id\":\"AQLlz4s\",\"_version\":1,\"result\":\"created\",\"_seq_no\":4,\"_primary_term\":1}"});
    probe_call(p, (struct probe_ask){"POST", "/c/_doc?filter_path=result", .body = "{}"}, (struct probe_answer){201, "{\"result\":\"created\"}", .location = "/c/_doc/Loc%2F1?routing=x"});
    probe_call(p, (struct probe_ask){"POST", "/c/_doc?filter_path=result", .body = "{}"}, (struct probe_answer){201, "{\"result\":\"created\"}"});
    assert_text(p, op_at(p, 0)->id, "AQLlz4s");
    assert_true(op_at(p, 0)->flags & OP_ID_MINTED);
    assert_text(p, op_at(p, 1)->id, "Loc/1");
    assert_true(op_at(p, 1)->flags & OP_INDEX_ASKED);
    assert_true(op_at(p, 2)->flags & OP_ID_UNKNOWN);
    probe_close(p);
}

static void deletes_updates_and_refusals_have_their_words(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    static const struct {
        struct probe_ask ask;
        struct probe_answer answer;
        enum outcome outcome;
        enum op_result result;
        const char *reason;
        uint32_t flags;
    } cases[] = {
        {{"DELETE", "/c/_doc/1"}, {404, "{\"_index\":\"c\",\"_id\":\"1\",\"_version\":1,\"result\":\"not_found\",\"_seq_no\":9,\"_primary_term\":1}"}, OUTCOME_OK, OP_NOT_FOUND, "", 0},
        {{"DELETE", "/c/_doc/1"}, {404, "{\"error\":{\"type\":\"index_not_found_exception\",\"reason\":\"no such index [c]\",\"index\":\"c\",\"index_uuid\":\"_na_\"},\"status\":404}"}, OUTCOME_FAILED, OP_FAILED, "index_not_found_exception", 0},
        {{"DELETE", "/c/_doc/1"}, {200, "{\"_index\":\"c\",\"_id\":\"1\",\"_version\":2,\"result\":\"deleted\",\"_seq_no\":9,\"_primary_term\":1}"}, OUTCOME_OK, OP_DELETED, "", 0},
        {{"POST", "/c/_update/1", .body = "{\"script\":{\"source\":\"x\"},\"upsert\":{}}"}, {200, "{\"_index\":\"c\",\"_id\":\"1\",\"_version\":3,\"result\":\"noop\",\"_seq_no\":7,\"_primary_term\":1}"}, OUTCOME_OK, OP_NOOP, "", OP_SCRIPTED | OP_UPSERT},
        {{"POST", "/c/_update/1", .body = "{\"doc\":{\"script\":1},\"detect_noop\":false}"}, {404, "{\"error\":{\"root_cause\":[{\"type\":\"a\"}],\"type\":\"document_missing_exception\",\"reason\":\"[1]: document missing\",\"index_uuid\":\"u1\",\"shard\":\"0\",\"index\":\"c\"},\"status\":404}"}, OUTCOME_FAILED, OP_FAILED, "document_missing_exception", OP_NOOP_DETECT_OFF},
        {{"PUT", "/c/_create/1", .body = "{}"}, {409, "{\"error\":{\"type\":\"version_conflict_engine_exception\",\"reason\":\"r\",\"index_uuid\":\"u1\",\"shard\":\"3\",\"index\":\"c\"},\"status\":409}"}, OUTCOME_FAILED, OP_FAILED, "version_conflict_engine_exception", 0},
        {{"PUT", "/c/_doc/1?version=5&version_type=external_gte", .body = "{}"}, {200, "{\"_index\":\"c\",\"_id\":\"1\",\"_version\":5,\"result\":\"updated\",\"_seq_no\":10,\"_primary_term\":1}"}, OUTCOME_OK, OP_UPDATED, "", OP_EXTERNAL | OP_EXTERNAL_GTE},
        {{"PUT", "/c/_doc/1?if_seq_no=5&if_primary_term=1", .body = "{}"}, {200, "{\"_index\":\"c\",\"_id\":\"1\",\"_version\":6,\"result\":\"updated\",\"_seq_no\":11,\"_primary_term\":1}"}, OUTCOME_OK, OP_UPDATED, "", OP_CAS},
        {{"PUT", "/c/_doc/1", .body = "{}"}, {503, "upstream is gone", .type = "text/plain"}, OUTCOME_FAILED, OP_FAILED, "server_error", 0},
        {{"POST", "/c/_doc?pipeline=dropper", .body = "{}"}, {200, "{\"_index\":\"c\",\"_id\":\"auto-generated\",\"_version\":-3,\"result\":\"noop\"}"}, OUTCOME_OK, OP_DROPPED, "", OP_ID_UNKNOWN},
        {{"PUT", "/c/_create/9?pipeline=dropper", .body = "{}"}, {200, "{\"_index\":\"c\",\"_id\":\"9\",\"_version\":-4,\"result\":\"noop\"}"}, OUTCOME_OK, OP_DROPPED, "", 0},
        {{"PUT", "/c/_doc/9?pipeline=dropper&version=7&version_type=external", .body = "{}"}, {200, "{\"_index\":\"c\",\"_id\":\"9\",\"_version\":7,\"result\":\"noop\"}"}, OUTCOME_OK, OP_DROPPED, "", OP_EXTERNAL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct probe_row *row = probe_call(p, cases[i].ask, cases[i].answer);
        assert_int_equal(row->x.outcome, cases[i].outcome);
        assert_text(p, row->x.reason, cases[i].reason);
        struct op *op = op_at(p, i);
        assert_int_equal(op->result, cases[i].result);
        assert_int_equal(op->flags & cases[i].flags, cases[i].flags);
        assert_true(op->result != OP_FAILED || row->x.docs_failed == 1);
    }
    assert_int_equal(op_at(p, 5)->shard, 3);
    assert_text(p, op_at(p, 5)->index_uuid, "u1");
    assert_true(op_at(p, 6)->asked_version == 5);
    probe_close(p);
}

static void typed_paths_of_old_versions_keep_their_type_and_parent(void **state)
{
    (void)state;
    struct probe *p = probe_open_with((struct es_settings){.bodies = ES_BODIES_WRITES, .read_requests = true, .ops = true,
                                                            .versions = &(struct es_version_of){{.port = 9200}, 50616}, .version_count = 1});
    probe_call(p, (struct probe_ask){"PUT", "/c/item/1+2?parent=p9", .body = "{}"},
               (struct probe_answer){201, "{\"_index\":\"c\",\"_type\":\"item\",\"_id\":\"1 2\",\"_version\":1,\"result\":\"created\",\"created\":true}"});
    struct op *op = op_at(p, 0);
    assert_text(p, op->type, "item");
    assert_text(p, op->id, "1 2");
    assert_text(p, op->routing, "p9");
    assert_true(op->version == 1 && op->seq_no == OP_NONE);
    probe_close(p);
}

static const char bulk_body[] = "{\"index\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{\"f\":1}\n{\"create\":{\"_index\":\"b\"}}\n{\"f\":2}\n{\"delete\":{\"_index\":\"a\",\"_id\":\"3\"}}\n{\"update\":{\"_index\":\"a\",\"_id\":\"4\"}}\n{\"doc\":{}}\n";
static const char bulk_answer[] =
    "{\"took\":7,\"errors\":true,\"items\":[{\"index\":{\"_index\":\"a\",\"_id\":\"1\",\"_version\":2,\"result\":\"updated\",\"_seq_no\":5,\"_primary_term\":1,\"status\":200}},"
    "{\"create\":{\"_index\":\"b-000001\",\"_id\":\"gen\",\"_version\":1,\"result\":\"created\",\"_seq_no\":0,\"_primary_term\":1,\"status\":201}},"
    "{\"delete\":{\"_index\":\"a\",\"_id\":\"3\",\"_version\":4,\"result\":\"deleted\",\"_seq_no\":6,\"_primary_term\":1,\"status\":200}},"
    "{\"update\":{\"_index\":\"a\",\"_id\":\"4\",\"status\":404,\"error\":{\"type\":\"document_missing_exception\",\"index\":\"a\",\"index_uuid\":\"uu\",\"shard\":\"0\"}}}]}";

static void bulk_is_joined_item_by_item_however_it_is_cut(void **state)
{
    (void)state;
    for (size_t cut = 0; cut < 80; cut++) {
        struct probe *p = probe_open();
        p->cut = cut;
        struct probe_row *row = probe_call(p, (struct probe_ask){"POST", "/_bulk", "application/x-ndjson", .body = bulk_body}, (struct probe_answer){200, bulk_answer});
        assert_int_equal(p->op_count, 4);
        assert_int_equal(row->x.outcome, OUTCOME_PARTIAL);
        assert_text(p, row->x.reason, "document_missing_exception");
        assert_true(row->x.docs == 4 && row->x.docs_ok == 3 && row->x.docs_failed == 1 && row->x.docs_deleted == 1 && row->x.took_ms == 7);
        assert_int_equal(row->x.index_count, 2);
        assert_true(row->x.indices[0].ok == 2 && row->x.indices[0].failed == 1 && row->x.indices[0].deleted == 1);
        assert_int_equal(row->x.target_count, 2);
        assert_true(op_at(p, 1)->flags & OP_ID_MINTED);
        assert_text(p, op_at(p, 1)->id, "gen");
        assert_text(p, op_at(p, 1)->asked, "b");
        assert_text(p, op_at(p, 3)->index_uuid, "uu");
        assert_true(op_at(p, 2)->kind == OP_DELETE && op_at(p, 2)->item == 2);
        assert_text(p, buf_view(&row->request), bulk_body);
        assert_text(p, buf_view(&row->response), bulk_answer);
        assert_true((row->x.flags & EXCHANGE_REQUEST_KEPT) && (row->x.flags & EXCHANGE_RESPONSE_KEPT) && !(row->x.flags & EXCHANGE_TRUNCATED));
        probe_close(p);
    }
}

static void filtered_bulk_answers_are_read_for_what_they_say(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    probe_call(p, (struct probe_ask){"POST", "/_bulk?filter_path=errors,items.*.error,items.*.status", .body = bulk_body},
               (struct probe_answer){200, "{\"errors\":true,\"items\":[{\"index\":{\"status\":200}},{\"create\":{\"status\":201}},{\"delete\":{\"status\":404}},{\"update\":{\"status\":429,\"error\":{\"type\":\"es_rejected_execution_exception\"}}}]}"});
    assert_int_equal(p->op_count, 4);
    assert_true(op_at(p, 0)->result == OP_ACCEPTED && (op_at(p, 0)->flags & OP_INDEX_ASKED));
    assert_true(op_at(p, 1)->result == OP_CREATED && (op_at(p, 1)->flags & OP_ID_UNKNOWN));
    assert_true(op_at(p, 2)->result == OP_NOT_FOUND);
    assert_true(op_at(p, 3)->result == OP_FAILED && op_at(p, 3)->status == 429);
    struct probe_row *row = probe_call(p, (struct probe_ask){"POST", "/_bulk?filter_path=errors,took", .body = bulk_body}, (struct probe_answer){200, "{\"took\":3,\"errors\":false}"});
    assert_int_equal(p->op_count, 8);
    for (size_t i = 4; i < 8; i++)
        assert_int_equal(op_at(p, i)->result, OP_ACCEPTED);
    assert_true(row->x.outcome == OUTCOME_OK && row->x.docs_ok == 4);
    row = probe_call(p, (struct probe_ask){"POST", "/_bulk?filter_path=errors,items.*.error", .body = bulk_body},
                     (struct probe_answer){200, "{\"errors\":true,\"items\":[{\"update\":{\"error\":{\"type\":\"x\"}}}]}"});
    assert_int_equal(p->op_count, 12);
    for (size_t i = 8; i < 12; i++)
        assert_int_equal(op_at(p, i)->result, OP_UNKNOWN);
    assert_true(row->x.outcome == OUTCOME_PARTIAL && row->x.docs_failed == 1);
    probe_close(p);
}

static void bulk_refused_as_a_whole_fails_every_item(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    struct probe_row *row = probe_call(p, (struct probe_ask){"PUT", "/_bulk", .body = bulk_body},
                                       (struct probe_answer){429, "{\"error\":{\"root_cause\":[],\"type\":\"es_rejected_execution_exception\",\"reason\":\"r\"},\"status\":429}"});
    assert_int_equal(p->op_count, 4);
    assert_true(row->x.outcome == OUTCOME_FAILED && row->x.docs_failed == 4);
    assert_text(p, row->x.reason, "es_rejected_execution_exception");
    for (size_t i = 0; i < 4; i++) {
        assert_true(op_at(p, i)->result == OP_FAILED && op_at(p, i)->status == 429);
        assert_text(p, op_at(p, i)->error_type, "es_rejected_execution_exception");
    }
    probe_close(p);
}

static void bulk_that_deletes_by_script_is_dangerous(void **state)
{
    (void)state;
    for (size_t cut = 0; cut < 40; cut += 13) {
        struct probe *p = probe_open();
        p->cut = cut;
        probe_lose(p, probe_request(p, (struct probe_ask){"POST", "/_bulk", .body = "{\"update\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{\"script\":{\"source\":\"ctx.op = 'delete'\"}}\n"}), FATE_CLIENT_LEFT);
        assert_text(p, p->rows[0].attempt.danger, "docs.script");
        probe_lose(p, probe_request(p, (struct probe_ask){"POST", "/_bulk", .body = "{\"update\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{\"script\":{\"source\":\"ctx._source.n++\"}}\n"}), FATE_CLIENT_LEFT);
        assert_text(p, p->rows[1].x.danger, "");
        probe_close(p);
    }
}

static void missing_answers_have_a_word_each(void **state)
{
    (void)state;
    static const struct {
        enum exchange_fate fate;
        enum outcome outcome;
        const char *reason;
        enum op_result result;
    } cases[] = {
        {FATE_CLIENT_LEFT, OUTCOME_UNANSWERED, "client_left", OP_UNKNOWN},
        {FATE_SERVER_LEFT, OUTCOME_UNANSWERED, "server_left", OP_UNKNOWN},
        {FATE_ANSWER_LOST, OUTCOME_UNKNOWN, "answer_lost", OP_UNKNOWN},
        {FATE_INCOMPLETE, OUTCOME_FAILED, "request_incomplete", OP_FAILED},
        {FATE_NEVER_ACKNOWLEDGED, OUTCOME_FAILED, "never_acknowledged", OP_FAILED},
        {FATE_OPEN, OUTCOME_UNANSWERED, "recording_ended", OP_UNKNOWN},
    };
    struct probe *p = probe_open();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool unfinished = cases[i].fate == FATE_INCOMPLETE;
        void *handle = probe_request(p, (struct probe_ask){"POST", "/_bulk", .body = bulk_body, .unfinished = unfinished});
        probe_lose(p, handle, cases[i].fate);
        struct probe_row *row = &p->rows[i];
        assert_int_equal(row->attempted, !unfinished);
        assert_int_equal(row->x.outcome, cases[i].outcome);
        assert_text(p, row->x.reason, cases[i].reason);
        assert_true(row->x.status == 0 && row->x.answered_ns == WHEN_UNKNOWN);
        assert_int_equal(p->op_count, 4 * (i + 1));
        for (size_t k = 0; k < 4; k++)
            assert_int_equal(op_at(p, 4 * i + k)->result, cases[i].result);
    }
    probe_close(p);
}

static void hole_in_a_request_keeps_what_stands_around_it(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    // From inside the first document to inside the second: the create is missing.
    size_t at = (size_t)(strstr(bulk_body, "{\"f\":1}") - bulk_body) + 3, to = (size_t)(strstr(bulk_body, "{\"f\":2}") - bulk_body) + 3;
    struct probe_row *row = probe_call(p, (struct probe_ask){"POST", "/_bulk", .body = bulk_body, .hole_at = at, .hole_bytes = to - at}, (struct probe_answer){200, bulk_answer});
    assert_int_equal(p->op_count, 4);
    assert_true((op_at(p, 0)->flags & OP_HOLE) && op_at(p, 0)->result == OP_UPDATED);
    assert_text(p, op_at(p, 0)->id, "1");
    assert_true((op_at(p, 1)->flags & OP_HOLE) && op_at(p, 1)->kind == OP_CREATE && op_at(p, 1)->source_bytes == 0);
    assert_text(p, op_at(p, 1)->id, "gen");
    assert_false(op_at(p, 2)->flags & OP_HOLE);
    assert_true(op_at(p, 2)->item == 2 && op_at(p, 2)->action_bytes > 0);
    assert_text(p, op_at(p, 3)->id, "4");
    assert_memory_equal(row->request.at + op_at(p, 3)->source_at, "{\"doc\":{}}", 10);
    assert_true(row->x.flags & EXCHANGE_TRUNCATED);
    assert_int_equal(row->x.docs, 4);
    probe_close(p);
}

static void hole_in_an_answer_loses_only_what_it_covers(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    size_t at = (size_t)(strstr(bulk_answer, "gen") - bulk_answer);
    probe_call(p, (struct probe_ask){"POST", "/_bulk", .body = bulk_body}, (struct probe_answer){200, bulk_answer, .hole_at = at, .hole_bytes = 20});
    assert_int_equal(p->op_count, 4);
    assert_int_equal(op_at(p, 0)->result, OP_UPDATED);
    assert_int_equal(op_at(p, 1)->result, OP_UNKNOWN);
    assert_true(op_at(p, 2)->result == OP_DELETED && op_at(p, 2)->seq_no == 6);
    assert_int_equal(op_at(p, 3)->result, OP_FAILED);
    probe_close(p);
}

// Twelve items with ids of their own; pieces of the request or the answer are cut out around every third.
static void several_holes_are_bridged_by_ids(void **state)
{
    (void)state;
    struct buf request = {0}, answer = {0};
    size_t lines[13], items[13];
    buf_add_text(&answer, "{\"took\":1,\"errors\":false,\"items\":[");
    for (int i = 0; i < 12; i++) {
        lines[i] = request.size;
        buf_format(&request, "{\"index\":{\"_index\":\"a\",\"_id\":\"n%d\"}}\n{\"number\":%d}\n", i, i);
        items[i] = answer.size;
        buf_format(&answer, "%s{\"index\":{\"_index\":\"a\",\"_id\":\"n%d\",\"_version\":1,\"result\":\"created\",\"_seq_no\":%d,\"_primary_term\":1,\"status\":201}}", i ? "," : "", i, 100 + i);
    }
    lines[12] = request.size;
    buf_add_text(&answer, "]}");
    for (int side = 0; side < 2; side++) {
        struct probe *p = probe_open();
        void *handle = probe_request(p, (struct probe_ask){"POST", "/_bulk", .unfinished = true});
        struct bytes body = buf_view(&request);
        for (int i = 0; i < 12; i += 4) { // items 2, 6 and 10 have a hole in the request
            struct bytes part = bytes_of(body.at + lines[i], lines[i + 4] - lines[i]);
            size_t hole = lines[i + 2] - lines[i] + 8;
            p->in->request_body(p->in->ctx, handle, &(struct body_piece){.bytes = bytes_of(part.at, side ? part.size : hole)});
            if (side)
                continue;
            p->in->request_body(p->in->ctx, handle, &(struct body_piece){.hole_bytes = 8});
            p->in->request_body(p->in->ctx, handle, &(struct body_piece){.bytes = bytes_from(part, hole + 8)});
        }
        p->in->request_end(p->in->ctx, handle, &(struct message_end){.complete = true, .wire_bytes = body.size, .missing_bytes = side ? 0 : 24});
        p->in->response(p->in->ctx, handle, &(struct response_head){.status = 200});
        struct bytes told = buf_view(&answer);
        size_t from = 0;
        for (int i = 2; side && i < 12; i += 4) {
            size_t hole = items[i] + 12;
            p->in->response_body(p->in->ctx, handle, &(struct body_piece){.bytes = bytes_of(told.at + from, hole - from)});
            p->in->response_body(p->in->ctx, handle, &(struct body_piece){.hole_bytes = 30});
            from = hole + 30;
        }
        p->in->response_body(p->in->ctx, handle, &(struct body_piece){.bytes = bytes_from(told, from)});
        p->in->response_end(p->in->ctx, handle, &(struct message_end){.complete = true, .wire_bytes = told.size, .missing_bytes = side ? 90 : 0});
        p->in->close(p->in->ctx, handle, &(struct exchange_end){.fate = FATE_ANSWERED});
        assert_int_equal(p->op_count, 12);
        for (int i = 0; i < 12; i++) {
            char id[8];
            snprintf(id, sizeof id, "n%d", i);
            struct op *op = op_at(p, (size_t)i);
            assert_int_equal(op->item, i);
            assert_text(p, op->id, id);
            bool torn = i % 4 == 2;
            if (!side) {
                assert_true(op->seq_no == 100 + i && op->result == OP_CREATED);
                assert_int_equal((op->flags & OP_HOLE) != 0, torn);
                assert_true(torn || op->action_at == lines[i]);
            } else {
                assert_int_equal(op->result, torn ? OP_UNKNOWN : OP_CREATED);
                assert_true(torn || op->seq_no == 100 + i);
            }
        }
        probe_close(p);
    }
    buf_fini(&request);
    buf_fini(&answer);
}

static void answer_cut_off_leaves_the_rest_unknown(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    size_t at = (size_t)(strstr(bulk_answer, "\"delete\"") - bulk_answer);
    struct probe_row *row = probe_call(p, (struct probe_ask){"POST", "/_bulk", .body = bulk_body}, (struct probe_answer){200, bulk_answer, .body_size = at, .cut_off = true});
    assert_int_equal(p->op_count, 4);
    assert_int_equal(op_at(p, 1)->result, OP_CREATED);
    assert_int_equal(op_at(p, 2)->result, OP_UNKNOWN);
    assert_true(row->x.flags & EXCHANGE_TRUNCATED);
    assert_int_not_equal(row->x.outcome, OUTCOME_OK);
    probe_close(p);
}

static void delete_answered_404_without_words_is_unknown(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    struct probe_row *row = probe_call(p, (struct probe_ask){"DELETE", "/c/_doc/1"}, (struct probe_answer){404, "{\"", .cut_off = true});
    assert_int_equal(op_at(p, 0)->result, OP_UNKNOWN);
    assert_int_equal(row->x.outcome, OUTCOME_UNKNOWN);
    row = probe_call(p, (struct probe_ask){"DELETE", "/c/_doc/1?filter_path=none"}, (struct probe_answer){404, "{}"});
    assert_int_equal(op_at(p, 1)->result, OP_NOT_FOUND);
    assert_int_equal(row->x.outcome, OUTCOME_OK);
    probe_close(p);
}

static void by_query_has_counts_and_no_ops(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    struct probe_row *row = probe_call(p, (struct probe_ask){"POST", "/c/_delete_by_query", .body = "{\"query\":{\"match_all\":{}}}"},
                                       (struct probe_answer){200, "{\"took\":9,\"timed_out\":false,\"total\":10,\"deleted\":8,\"batches\":1,\"version_conflicts\":2,\"noops\":0,\"failures\":[]}"});
    assert_int_equal(p->op_count, 0);
    assert_true(row->x.docs_total == 10 && row->x.docs_deleted == 8 && row->x.docs_ok == 8 && row->x.docs_failed == 2 && row->x.docs == 10);
    assert_int_equal(row->x.outcome, OUTCOME_PARTIAL);
    assert_int_equal(row->x.index_count, 1);
    assert_true(row->x.indices[0].deleted == 8 && !row->x.indices[0].concrete);
    assert_text(p, row->x.body_head, "{\"query\":{\"match_all\":{}}}");
    row = probe_call(p, (struct probe_ask){"POST", "/c/_delete_by_query?wait_for_completion=false", .body = "{\"query\":{}}"}, (struct probe_answer){200, "{\"task\":\"node:42\"}"});
    assert_text(p, row->x.task, "node:42");
    probe_call(p, (struct probe_ask){"GET", "/_tasks/node:42"}, (struct probe_answer){200, "{\"completed\":false,\"task\":{}}"});
    assert_int_equal(p->late_count, 0);
    probe_call(p, (struct probe_ask){"GET", "/_tasks/node%3A42"},
               (struct probe_answer){200, "{\"completed\":true,\"task\":{\"id\":42},\"response\":{\"total\":3,\"deleted\":3,\"version_conflicts\":0,\"failures\":[]}}"});
    assert_int_equal(p->late_count, 1);
    assert_true(p->late[0].exchange == 2 && p->late[0].docs_deleted == 3 && p->late[0].outcome == OUTCOME_OK);
    probe_close(p);
}

static void bodies_are_kept_as_asked(void **state)
{
    (void)state;
    static const struct {
        enum es_bodies bodies;
        bool read_requests, write_request, write_response, read_request, read_response;
    } cases[] = {
        {ES_BODIES_WRITES, true, true, true, true, false},
        {ES_BODIES_WRITES, false, true, true, false, false},
        {ES_BODIES_ALL, true, true, true, true, true},
        {ES_BODIES_NONE, true, false, false, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct probe *p = probe_open_with((struct es_settings){.bodies = cases[i].bodies, .read_requests = cases[i].read_requests, .ops = true});
        struct probe_row *w = probe_call(p, (struct probe_ask){"POST", "/_bulk", .body = bulk_body}, (struct probe_answer){200, bulk_answer});
        assert_int_equal(w->request.size > 0, cases[i].write_request);
        assert_int_equal(w->response.size > 0, cases[i].write_response);
        assert_int_equal(p->op_count, 4);
        assert_int_equal(w->x.request_bytes, strlen(bulk_body));
        struct probe_row *r = probe_call(p, (struct probe_ask){"GET", "/c/_search", .body = "{\"query\":{}}"}, (struct probe_answer){200, "{\"took\":1,\"timed_out\":false,\"hits\":{\"total\":2,\"hits\":[{\"_index\":\"c\"}]}}"});
        assert_int_equal(r->request.size > 0, cases[i].read_request);
        assert_int_equal(r->response.size > 0, cases[i].read_response);
        assert_false(r->x.flags & EXCHANGE_WRITE);
        probe_close(p);
    }
}

static void own_traffic_and_excluded_indices_leave_no_bodies(void **state)
{
    (void)state;
    const char *patterns[] = {"private-*"};
    struct probe *p = probe_open_with((struct es_settings){.bodies = ES_BODIES_WRITES, .read_requests = true, .ops = true, .exclude_index = patterns, .exclude_count = 1});
    struct probe_row *own = probe_call(p, (struct probe_ask){"POST", "/_bulk", .body = bulk_body, .agent = "estape/0.1.0"}, (struct probe_answer){200, bulk_answer});
    assert_true(own->x.flags & EXCHANGE_OWN);
    assert_true(own->request.size == 0 && own->response.size == 0 && p->op_count == 0);
    struct probe_row *row = probe_call(p, (struct probe_ask){"PUT", "/private-1/_doc/1", .body = "{\"a\":1}"}, (struct probe_answer){201, "{\"_index\":\"private-1\",\"_id\":\"1\",\"_version\":1,\"result\":\"created\",\"_seq_no\":0,\"_primary_term\":1}"});
    assert_true(row->request.size == 0 && (op_at(p, 0)->flags & OP_REDACTED));
    probe_close(p);
}

static void ids_follow_the_order_of_request_heads(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    void *a = probe_request(p, (struct probe_ask){"POST", "/a/_doc", .body = "{}"});
    void *b = probe_request(p, (struct probe_ask){"GET", "/b/_count"});
    probe_answer(p, b, (struct probe_answer){200, "{\"count\":3}"});
    probe_answer(p, a, (struct probe_answer){201, "{}"});
    assert_text(p, p->rows[0].x.path, "/a/_doc");
    assert_text(p, p->rows[1].x.path, "/b/_count");
    probe_close(p);
}

static void missing_documents_are_no_failures_of_reads(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    struct probe_row *row = probe_call(p, (struct probe_ask){"GET", "/c/_doc/9"}, (struct probe_answer){404, "{\"_index\":\"c\",\"_id\":\"9\",\"found\":false}"});
    assert_int_equal(row->x.outcome, OUTCOME_OK);
    row = probe_call(p, (struct probe_ask){"HEAD", "/c"}, (struct probe_answer){404});
    assert_int_equal(row->x.outcome, OUTCOME_OK);
    row = probe_call(p, (struct probe_ask){"GET", "/c/_search"}, (struct probe_answer){400, "{\"error\":{\"type\":\"parsing_exception\",\"reason\":\"x\"},\"status\":400}"});
    assert_int_equal(row->x.outcome, OUTCOME_FAILED);
    assert_text(p, row->x.reason, "parsing_exception");
    row = probe_call(p, (struct probe_ask){"PUT", "/c"}, (struct probe_answer){200, "{\"acknowledged\":false,\"shards_acknowledged\":false,\"index\":\"c\"}"});
    assert_int_equal(row->x.outcome, OUTCOME_PARTIAL);
    row = probe_call(p, (struct probe_ask){"POST", "/_snapshot/r/s/_restore?wait_for_completion=true"}, (struct probe_answer){200, "{\"snapshot\":{\"snapshot\":\"s\",\"indices\":[\"c\"],\"shards\":{\"total\":2,\"failed\":1,\"successful\":1}}}"});
    assert_int_equal(row->x.outcome, OUTCOME_PARTIAL);
    assert_text(p, row->x.reason, "shards_failed");
    probe_close(p);
}

static void item_that_a_whole_answer_leaves_out_was_not_executed(void **state)
{
    static const char body[] = "{\"index\":{\"_index\":\"c\",\"_id\":\"1\"}}\n{\"n\":1}\n{\"index\":{\"_index\":\"c\",\"_id\":\"2\"}}\n{\"n\":2}";
    static const char answer[] = "{\"took\":1,\"errors\":false,\"items\":[{\"index\":{\"_index\":\"c\",\"_id\":\"1\",\"_version\":1,\"result\":\"created\",\"status\":201}}]}";
    (void)state;
    struct probe *p = probe_open();
    struct probe_row *row = probe_call(p, (struct probe_ask){"POST", "/_bulk", .body = body}, (struct probe_answer){200, answer});
    assert_int_equal(row->x.outcome, OUTCOME_PARTIAL);
    assert_text(p, row->x.reason, "not_executed");
    assert_true(row->x.docs == 2 && row->x.docs_ok == 1 && row->x.docs_failed == 1);
    assert_true(op_at(p, 0)->result == OP_CREATED && op_at(p, 1)->result == OP_FAILED && op_at(p, 1)->status == 0);
    assert_text(p, op_at(p, 1)->error_type, "not_executed");
    // The same answer, where a filter may have left items out, says nothing of the other.
    row = probe_call(p, (struct probe_ask){"POST", "/_bulk?filter_path=items.*.error", .body = body}, (struct probe_answer){200, answer});
    assert_true(op_at(p, 2)->result == OP_UNKNOWN && op_at(p, 3)->result == OP_UNKNOWN);
    probe_close(p);
}

static void bulk_in_smile_is_told_from_its_answer(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    struct probe_row *row = probe_call(p, (struct probe_ask){"POST", "/_bulk", "application/smile", .body = ":)\nxyz\xff"}, (struct probe_answer){200,
        "{\"took\":1,\"errors\":true,\"items\":[{\"index\":{\"_index\":\"c-1\",\"_id\":\"1\",\"_version\":2,\"result\":\"updated\",\"_seq_no\":7,\"_primary_term\":1,\"status\":200}},"
        "{\"delete\":{\"_index\":\"c-1\",\"_id\":\"2\",\"_version\":3,\"result\":\"deleted\",\"_seq_no\":8,\"_primary_term\":1,\"status\":200}},"
        "{\"create\":{\"_index\":\"c-1\",\"_id\":\"1\",\"status\":409,\"error\":{\"type\":\"version_conflict_engine_exception\"}}}]}"});
    assert_int_equal(row->x.outcome, OUTCOME_PARTIAL);
    assert_true(row->x.docs == 3 && row->x.docs_ok == 2 && row->x.docs_failed == 1 && row->x.docs_deleted == 1);
    assert_text(p, row->x.indices[0].index, "c-1");
    assert_true(op_at(p, 0)->kind == OP_INDEX && op_at(p, 0)->seq_no == 7 && op_at(p, 0)->flags & OP_HOLE && op_at(p, 0)->source_bytes == 0);
    assert_true(op_at(p, 1)->kind == OP_DELETE && op_at(p, 1)->result == OP_DELETED);
    assert_true(op_at(p, 2)->kind == OP_CREATE && op_at(p, 2)->result == OP_FAILED);
    probe_close(p);
}

static void smile_and_undecoded_bulks_are_kept_and_marked(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    struct probe_row *row = probe_call(p, (struct probe_ask){"POST", "/_bulk", "application/smile", .body = ":)\nxyz\xff"}, (struct probe_answer){200, ":)\n", .type = "application/smile"});
    assert_true(row->x.flags & EXCHANGE_UNDECODED);
    assert_int_equal(p->op_count, 0);
    assert_int_equal(row->request.size, 7);
    void *handle = probe_request(p, (struct probe_ask){"POST", "/_bulk", .unfinished = true});
    p->in->request_body(p->in->ctx, handle, &(struct body_piece){.bytes = bytes_of_text("\x1f\x8b garbage"), .raw = true});
    p->in->request_end(p->in->ctx, handle, &(struct message_end){.complete = true, .undecodable = true, .wire_bytes = 10});
    probe_answer(p, handle, (struct probe_answer){200, bulk_answer});
    assert_true(p->rows[1].x.flags & EXCHANGE_UNDECODED);
    assert_int_equal(p->rows[1].request.size, 10);
    assert_int_equal(p->op_count, 4); // what the answer alone tells
    probe_close(p);
}

// Whatever the n-th allocation is, the exchange ends with a row.
static void memory_running_out_never_crashes_nor_loses_a_row(void **state)
{
    (void)state;
    for (unsigned long n = 1; n < 150; n++) {
        struct probe *p = probe_open();
        struct request_head head = {.conn = &p->conn, .time_ns = 1, .method = bytes_of_text("POST"), .target = bytes_of_text("/_bulk?x=1")};
        p->deaf = true;
        mem_fail_after(n);
        void *handle = p->in->request(p->in->ctx, &head);
        p->in->request_body(p->in->ctx, handle, &(struct body_piece){.bytes = bytes_of_text(bulk_body)});
        p->in->request_end(p->in->ctx, handle, &(struct message_end){.complete = true});
        p->in->response(p->in->ctx, handle, &(struct response_head){.status = 200});
        p->in->response_body(p->in->ctx, handle, &(struct body_piece){.bytes = bytes_of_text(bulk_answer)});
        p->in->response_end(p->in->ctx, handle, &(struct message_end){.complete = true});
        p->in->close(p->in->ctx, handle, &(struct exchange_end){.fate = FATE_ANSWERED});
        mem_fail_after(0);
        assert_int_equal(p->deaf_done, 1);
        probe_close(p);
    }
}

static void answers_that_name_indices_are_listed(void **state)
{
    static const struct { const char *verb, *path, *answer, *first, *second; } cases[] = {
        {"PUT", "/%3Cx-%7Bnow%2Fd%7D%3E", "{\"acknowledged\":true,\"shards_acknowledged\":true,\"index\":\"x-2026.11.23\"}", "x-2026.11.23", NULL},
        {"POST", "/a*/_close", "{\"acknowledged\":true,\"shards_acknowledged\":true,\"indices\":{\"a1\":{\"closed\":true},\"a2\":{\"closed\":true}}}", "a1", "a2"},
        {"PUT", "/a*/_block/write", "{\"acknowledged\":true,\"indices\":[{\"name\":\"a1\",\"blocked\":true},{\"name\":\"a2\",\"blocked\":true}]}", "a1", "a2"},
        {"POST", "/r/_rollover", "{\"acknowledged\":true,\"old_index\":\"r-1\",\"new_index\":\"r-2\",\"rolled_over\":true,\"dry_run\":false}", "r-1", "r-2"},
        {"POST", "/_snapshot/r/s/_restore?wait_for_completion=true", "{\"snapshot\":{\"snapshot\":\"s\",\"indices\":[\"c_back\"],\"shards\":{\"failed\":0}}}", "c_back", NULL},
        {"PUT", "/_snapshot/r/s?wait_for_completion=true", "{\"snapshot\":{\"snapshot\":\"s\",\"indices\":[\"c\",\"d\"],\"shards\":{\"failed\":0}}}", "c", "d"},
        {"DELETE", "/gone/_doc/1", "{\"error\":{\"type\":\"index_not_found_exception\",\"index\":\"gone\",\"index_uuid\":\"_na_\"},\"status\":404}", NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct probe *p = probe_open();
        struct probe_row *row = probe_call(p, (struct probe_ask){cases[i].verb, cases[i].path, .body = "{}"}, (struct probe_answer){cases[i].first ? 200 : 404, cases[i].answer});
        size_t wanted = (cases[i].first != NULL) + (cases[i].second != NULL), concrete = 0;
        for (size_t k = 0; k < row->x.index_count; k++)
            concrete += row->x.indices[k].concrete;
        assert_int_equal(concrete, wanted);
        if (cases[i].first)
            assert_text(p, row->x.indices[0].index, cases[i].first);
        if (cases[i].second)
            assert_text(p, row->x.indices[1].index, cases[i].second);
        probe_close(p);
    }
}

static void a_path_with_a_blank_is_no_route(void **state)
{
    (void)state;
    struct probe *p = probe_open();
    struct probe_row *row = probe_call(p, (struct probe_ask){"GET", "/bad uri here"}, (struct probe_answer){400, "{}"});
    assert_int_equal(row->x.api.size, 0);
    assert_int_equal(row->x.target_count, 0);
    row = probe_call(p, (struct probe_ask){"GET", "/good%20name"}, (struct probe_answer){200, "{}"});
    assert_text(p, row->x.api, "indices.get");
    probe_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_index_becomes_one_op),
        cmocka_unit_test(minted_id_is_taken_from_the_answer_or_its_location),
        cmocka_unit_test(deletes_updates_and_refusals_have_their_words),
        cmocka_unit_test(typed_paths_of_old_versions_keep_their_type_and_parent),
        cmocka_unit_test(bulk_is_joined_item_by_item_however_it_is_cut),
        cmocka_unit_test(filtered_bulk_answers_are_read_for_what_they_say),
        cmocka_unit_test(bulk_refused_as_a_whole_fails_every_item),
        cmocka_unit_test(bulk_that_deletes_by_script_is_dangerous),
        cmocka_unit_test(missing_answers_have_a_word_each),
        cmocka_unit_test(hole_in_a_request_keeps_what_stands_around_it),
        cmocka_unit_test(hole_in_an_answer_loses_only_what_it_covers),
        cmocka_unit_test(several_holes_are_bridged_by_ids),
        cmocka_unit_test(answer_cut_off_leaves_the_rest_unknown),
        cmocka_unit_test(delete_answered_404_without_words_is_unknown),
        cmocka_unit_test(by_query_has_counts_and_no_ops),
        cmocka_unit_test(bodies_are_kept_as_asked),
        cmocka_unit_test(own_traffic_and_excluded_indices_leave_no_bodies),
        cmocka_unit_test(ids_follow_the_order_of_request_heads),
        cmocka_unit_test(missing_documents_are_no_failures_of_reads),
        cmocka_unit_test(item_that_a_whole_answer_leaves_out_was_not_executed),
        cmocka_unit_test(bulk_in_smile_is_told_from_its_answer),
        cmocka_unit_test(smile_and_undecoded_bulks_are_kept_and_marked),
        cmocka_unit_test(answers_that_name_indices_are_listed),
        cmocka_unit_test(a_path_with_a_blank_is_no_route),
        cmocka_unit_test(memory_running_out_never_crashes_nor_loses_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
