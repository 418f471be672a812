// Bulk requests and answers taken apart as they pass: grammar, offsets, cuts, holes, limits.
#include "src/es/answer.h"
#include "src/es/bulk.h"
#include "src/es/opjson.h"
#include "src/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

struct sink {
    struct buf out;
    const char *secret, *excluded;
};

static enum bulk_guard guard(void *ctx, struct bytes index)
{
    struct sink *s = ctx;
    if (s->secret && bytes_equal_text(index, s->secret))
        return BULK_REDACT;
    return s->excluded && bytes_equal_text(index, s->excluded) ? BULK_EXCLUDE : BULK_KEEP;
}

static void out(void *ctx, struct bytes bytes)
{
    buf_add_bytes(&((struct sink *)ctx)->out, bytes);
}

static void withheld(void *ctx, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++)
        buf_add_byte(&((struct sink *)ctx)->out, '?');
}

struct taken {
    struct sink sink;
    struct op_budget budget;
    struct opqueue items;
    struct bulk *bulk;
};

static void take(struct taken *t, const char *body, size_t cut)
{
    struct bulk_hooks hooks = {&t->sink, guard, out, NULL, out, withheld};
    struct bulk_defaults defaults = {.index = bytes_of_text("idx")};
    t->budget.max_bytes = 1 << 20;
    opqueue_init(&t->items, &t->budget);
    t->bulk = bulk_open(&defaults, &hooks, &t->items);
    size_t size = strlen(body);
    for (size_t at = 0; at < size; at += cut) {
        size_t n = size - at < cut ? size - at : cut;
        char *copy = mem_alloc(n);
        memcpy(copy, body + at, n);
        bulk_feed(t->bulk, bytes_of(copy, n));
        mem_free(copy);
    }
    bulk_end(t->bulk);
}

static void give_back(struct taken *t)
{
    bulk_close(t->bulk);
    opqueue_fini(&t->items);
    buf_fini(&t->sink.out);
    assert_int_equal(t->budget.used_bytes, 0);
}

static void assert_source(struct taken *t, const struct op_ask *ask, const char *wanted)
{
    assert_int_equal(ask->source_bytes, strlen(wanted));
    assert_memory_equal(t->sink.out.at + ask->source_at, wanted, strlen(wanted));
}

static const char mixed[] =
    "{\"index\":{\"_index\":\"a\",\"_id\":\"1\",\"routing\":\"r\"}}\n{\"f\":1}\n"
    "\n"
    "{ \"delete\" : { \"_id\" : \"2\" , \"_index\" : \"b\" } }\r\n"
    "{\"create\":{}}\r\n{\"f\":\"{\\\"index\\\":{}}\"}\r\n"
    "{\"update\":{\"_id\":\"3\",\"_type\":\"t\",\"retry_on_conflict\":3}}\n{\"doc\":{\"script\":1},\"doc_as_upsert\":true}\n"
    "{\"update\":{\"_id\":4}}\n{\"script\":{\"source\":\"ctx._source.n++\"},\"upsert\":{\"n\":1}}\n"
    "{\"index\":{\"_id\":\"5\",\"version\":7,\"version_type\":\"external_gte\",\"pipeline\":\"p\"}}\n{}";

static void bulk_cut_anywhere_gives_the_same_items_and_offsets(void **state)
{
    (void)state;
    for (size_t cut = 1; cut <= sizeof mixed; cut++) {
        struct taken t = {0};
        take(&t, mixed, cut);
        struct op_ask a;
        assert_int_equal(bulk_total(t.bulk)->items, 6);
        assert_false(bulk_total(t.bulk)->malformed);
        assert_int_equal(t.sink.out.size, strlen(mixed));
        assert_memory_equal(t.sink.out.at, mixed, strlen(mixed));
        assert_true(opqueue_pop_ask(&t.items, &a));
        assert_true(a.kind == OP_INDEX && bytes_equal_text(a.index, "a") && bytes_equal_text(a.id, "1") && bytes_equal_text(a.routing, "r"));
        assert_int_equal(a.action_at, 0);
        assert_source(&t, &a, "{\"f\":1}");
        assert_true(opqueue_pop_ask(&t.items, &a));
        assert_true(a.kind == OP_DELETE && bytes_equal_text(a.index, "b") && bytes_equal_text(a.id, "2") && a.source_bytes == 0);
        assert_memory_equal(t.sink.out.at + a.action_at, "{ \"delete\"", 10);
        assert_true(opqueue_pop_ask(&t.items, &a));
        assert_true(a.kind == OP_CREATE && bytes_equal_text(a.index, "idx") && (a.flags & OP_ID_MINTED) && a.routing.size == 0);
        assert_source(&t, &a, "{\"f\":\"{\\\"index\\\":{}}\"}\r");
        assert_true(opqueue_pop_ask(&t.items, &a));
        assert_true(a.kind == OP_UPDATE && bytes_equal_text(a.type, "t") && (a.flags & OP_UPSERT) && !(a.flags & OP_SCRIPTED));
        assert_true(opqueue_pop_ask(&t.items, &a));
        assert_true(bytes_equal_text(a.id, "4") && (a.flags & OP_UPSERT) && (a.flags & OP_SCRIPTED));
        assert_true(opqueue_pop_ask(&t.items, &a));
        assert_true(a.asked_version == 7 && (a.flags & OP_EXTERNAL) && (a.flags & OP_EXTERNAL_GTE) && (a.flags & OP_PIPELINE));
        assert_source(&t, &a, "{}");
        assert_false(opqueue_pop_ask(&t.items, &a));
        give_back(&t);
    }
}

static void bulk_document_of_a_secret_index_is_replaced_and_offsets_follow(void **state)
{
    (void)state;
    static const char body[] = "{\"index\":{\"_index\":\".security\",\"_id\":\"u\"}}\n{\"password\":\"MARK\"}\n{\"index\":{\"_id\":\"2\"}}\n{\"password\":\"mine\"}\n"
                               "{\"create\":{\"_index\":\"off\"}}\n{\"a\":\"HIDE\"}";
    for (size_t cut = 1; cut <= sizeof body; cut++) {
        struct taken t = {.sink = {.secret = ".security", .excluded = "off"}};
        take(&t, body, cut);
        struct op_ask a;
        buf_text(&t.sink.out);
        assert_null(memmem(t.sink.out.at, t.sink.out.size, "MARK", 4));
        assert_null(memmem(t.sink.out.at, t.sink.out.size, "HIDE", 4));
        assert_true(opqueue_pop_ask(&t.items, &a));
        assert_true(a.flags & OP_REDACTED);
        assert_source(&t, &a, "{\"_redacted\":\"[redacted]\"}");
        assert_true(opqueue_pop_ask(&t.items, &a));
        assert_false(a.flags & OP_REDACTED);
        assert_source(&t, &a, "{\"password\":\"mine\"}");
        assert_true(opqueue_pop_ask(&t.items, &a));
        assert_true(a.flags & OP_REDACTED);
        assert_source(&t, &a, "{\"_excluded\":\"[excluded]\"}");
        give_back(&t);
    }
}

static void bulk_hole_keeps_items_before_and_after_it(void **state)
{
    (void)state;
    struct taken t = {0};
    struct bulk_hooks hooks = {&t.sink, guard, out, NULL, out, withheld};
    t.budget.max_bytes = 1 << 20;
    opqueue_init(&t.items, &t.budget);
    t.bulk = bulk_open(&(struct bulk_defaults){.index = bytes_of_text("i")}, &hooks, &t.items);
    bulk_feed(t.bulk, bytes_of_text("{\"index\":{\"_id\":\"1\"}}\n{\"a\":1}\n{\"index\":{\"_id\":\"2\"}}\n{\"a\":"));
    bulk_hole(t.bulk, 100);
    bulk_feed(t.bulk, bytes_of_text("\":3}}}\n{\"x\":{}}\n{\"delete\":{\"_id\":\"8\"}}\n{\"index\":{\"_id\":\"9\"}}\n{\"a\":9}\n"));
    bulk_end(t.bulk);
    const struct bulk_totals *totals = bulk_total(t.bulk);
    assert_true(totals->holes);
    assert_false(totals->malformed);
    assert_int_equal(totals->run_count, 2);
    assert_int_equal(totals->runs[0].items, 2);
    assert_true(totals->runs[0].torn_back);
    assert_int_equal(totals->runs[1].items, 2);
    struct op_ask a;
    assert_true(opqueue_pop_ask(&t.items, &a) && !(a.flags & OP_HOLE));
    assert_true(opqueue_pop_ask(&t.items, &a) && (a.flags & OP_HOLE) && bytes_equal_text(a.id, "2"));
    assert_true(opqueue_pop_ask(&t.items, &a) && a.kind == OP_DELETE && bytes_equal_text(a.id, "8"));
    assert_true(opqueue_pop_ask(&t.items, &a) && bytes_equal_text(a.id, "9"));
    assert_null(memmem(t.sink.out.at, t.sink.out.size, "{\"x\"", 4)); // whose document that is, nobody knows
    // The hole counts in the offsets.
    assert_int_equal(a.source_at, t.sink.out.size + 100 - strlen("{\"a\":9}\n"));
    give_back(&t);
}

static void bulk_line_that_is_no_action_stops_the_taking_apart_and_says_so(void **state)
{
    (void)state;
    static const char *const bad[] = {"{\"index\":{}}\n{}\nnonsense\n{\"index\":{}}\n{}\n", "{\"index\":{}}\n{}\n{\"what\":{}}\n", "{\"index\":{}}\n{}\n{\"index\":[]}\n",
                                      "{\"index\":{}}\n{}\n{\"index\":{}} x\n", "{\"index\":{}}\n{}\n{\"index\":{\"_id\":{}}}\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct taken t = {0};
        take(&t, bad[i], 7);
        assert_true(bulk_total(t.bulk)->malformed);
        assert_int_equal(bulk_total(t.bulk)->items, 1);
        assert_int_equal(t.sink.out.size, strlen(bad[i]));
        give_back(&t);
    }
}

static void bulk_beyond_the_budget_is_counted_and_the_rest_still_held(void **state)
{
    (void)state;
    struct taken t = {0};
    struct bulk_hooks hooks = {&t.sink, guard, out, NULL, out, withheld};
    t.budget.max_bytes = 64 * 1024;
    opqueue_init(&t.items, &t.budget);
    t.bulk = bulk_open(&(struct bulk_defaults){.index = bytes_of_text("i")}, &hooks, &t.items);
    for (int i = 0; i < 10000; i++) {
        char line[128];
        snprintf(line, sizeof line, "{\"index\":{\"_id\":\"document-%d\"}}\n{}\n", i);
        bulk_feed(t.bulk, bytes_of_text(line));
    }
    bulk_end(t.bulk);
    const struct bulk_totals *totals = bulk_total(t.bulk);
    assert_int_equal(totals->items, 10000);
    assert_true(totals->unheld > 0 && totals->unheld < 10000);
    assert_int_equal(t.items.count + totals->unheld, 10000);
    assert_true(t.budget.used_bytes <= t.budget.max_bytes);
    give_back(&t);
}

// ---- answers ------------------------------------------------------------------------------------------------------------

struct answers {
    struct op_answer at[16];
    char ids[16][32], errors[16][64];
    size_t count;
};

static void keep_answer(void *ctx, const struct op_answer *a)
{
    struct answers *s = ctx;
    if (s->count == 16)
        return;
    s->at[s->count] = *a;
    answer_conclude(&s->at[s->count], !a->id.size);
    snprintf(s->ids[s->count], sizeof s->ids[0], "%.*s", (int)a->id.size, (const char *)a->id.at);
    snprintf(s->errors[s->count], sizeof s->errors[0], "%.*s", (int)a->error_type.size, (const char *)a->error_type.at);
    s->count++;
}

static const char reply[] =
    "{\"took\":30,\"ingest_took\":2,\"errors\":true,\"items\":["
    "{\"index\":{\"_index\":\"a\",\"_type\":\"_doc\",\"_id\":\"1\",\"_version\":2,\"result\":\"updated\",\"_shards\":{\"total\":2,\"successful\":1,\"failed\":0},\"_seq_no\":7,\"_primary_term\":3,\"status\":200}},"
    "{\"delete\":{\"_index\":\"a\",\"_id\":\"q\\\"\\u00e9\",\"_version\":1,\"result\":\"not_found\",\"_seq_no\":8,\"_primary_term\":3,\"status\":404}},"
    "{\"create\":{\"_index\":\"a\",\"_id\":\"3\",\"status\":409,\"error\":{\"type\":\"version_conflict_engine_exception\",\"reason\":\"[3]: {\\\"x\\\"}\",\"index_uuid\":\"UUID\",\"shard\":\"4\",\"index\":\"a\"}}},"
    "{\"index\":{\"_index\":\"a\",\"_id\":\"4\",\"_version\":-3,\"result\":\"noop\",\"status\":200}},"
    "{\"update\":{\"status\":200}}]}";

static void answer_cut_anywhere_gives_the_same_items(void **state)
{
    (void)state;
    for (size_t cut = 1; cut <= sizeof reply; cut++) {
        struct answers s = {0};
        struct answer_bulk *a = answer_bulk_open(keep_answer, &s);
        for (size_t at = 0; at < strlen(reply); at += cut) {
            size_t n = strlen(reply) - at < cut ? strlen(reply) - at : cut;
            char *copy = mem_alloc(n);
            memcpy(copy, reply + at, n);
            answer_bulk_feed(a, bytes_of(copy, n));
            mem_free(copy);
        }
        answer_bulk_end(a);
        const struct answer_bulk_totals *t = answer_bulk_total(a);
        assert_true(t->complete && !t->malformed && t->errors == 1 && t->took_ms == 30 && t->items == 5);
        assert_true(s.at[0].result == OP_UPDATED && s.at[0].version == 2 && s.at[0].seq_no == 7 && s.at[0].primary_term == 3);
        assert_true(s.at[1].result == OP_NOT_FOUND && s.at[1].seq_no == 8);
        assert_string_equal(s.ids[1], "q\"é");
        assert_true(s.at[2].result == OP_FAILED && s.at[2].status == 409 && s.at[2].shard == 4);
        assert_string_equal(s.errors[2], "version_conflict_engine_exception");
        assert_true(s.at[3].result == OP_DROPPED && s.at[3].version == OP_NONE);
        assert_true(s.at[4].result == OP_ACCEPTED);
        answer_bulk_close(a);
    }
}

static void answer_with_a_hole_goes_on_at_the_next_item(void **state)
{
    (void)state;
    struct answers s = {0};
    struct answer_bulk *a = answer_bulk_open(keep_answer, &s);
    answer_bulk_feed(a, bytes_of(reply, 200));
    answer_bulk_hole(a);
    answer_bulk_feed(a, bytes_of_text(reply + 330));
    answer_bulk_end(a);
    assert_true(answer_bulk_total(a)->holes);
    assert_true(answer_bulk_total(a)->items >= 3);
    assert_true(answer_bulk_total(a)->complete);
    assert_true(s.at[s.count - 1].kind == OP_UPDATE);
    answer_bulk_close(a);
}

static void streamed_answers_follow_each_other(void **state)
{
    (void)state;
    struct answers s = {0};
    struct answer_bulk *a = answer_bulk_open(keep_answer, &s);
    answer_bulk_feed(a, bytes_of_text("{\"took\":1,\"errors\":false,\"items\":[{\"index\":{\"status\":201}}]}\n{\"took\":2,\"errors\":true,\"items\":[{\"index\":{\"status\":429,\"error\":{\"type\":\"t\"}}}]}"));
    answer_bulk_end(a);
    const struct answer_bulk_totals *t = answer_bulk_total(a);
    assert_true(t->complete && t->items == 2 && t->took_ms == 3 && t->errors == 1);
    answer_bulk_close(a);
}

static void refused_bulk_tells_type_and_status(void **state)
{
    (void)state;
    struct answer_bulk *a = answer_bulk_open(keep_answer, NULL);
    answer_bulk_feed(a, bytes_of_text("{\"error\":{\"root_cause\":[{\"type\":\"x\"}],\"type\":\"es_rejected_execution_exception\",\"reason\":\"r\"},\"status\":429}"));
    answer_bulk_end(a);
    assert_string_equal(answer_bulk_total(a)->error_type, "es_rejected_execution_exception");
    assert_int_equal(answer_bulk_total(a)->status, 429);
    answer_bulk_close(a);
}

static void head_of_any_answer_is_read_also_when_it_is_cut(void **state)
{
    (void)state;
    static const char text[] = "{\"took\":5,\"timed_out\":false,\"total\":12,\"updated\":3,\"deleted\":4,\"noops\":1,\"version_conflicts\":2,\"retries\":{\"bulk\":0},"
                               "\"failures\":[{\"index\":\"a\",\"cause\":{\"type\":\"mapper_parsing_exception\",\"reason\":\"x\"},\"status\":400}]}";
    struct answer_head h;
    struct buf into = {0};
    answer_read_head(bytes_of_text(text), &h, &into);
    assert_true(h.whole && h.took_ms == 5 && h.timed_out == 0 && h.total == 12 && h.updated == 3 && h.deleted == 4 && h.noops == 1 && h.version_conflicts == 2);
    assert_true(h.has_failures && bytes_equal_text(h.failure_type, "mapper_parsing_exception"));
    // Flush against a forbidden page, cut everywhere.
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(two + page, page, PROT_NONE);
    for (size_t n = 0; n < sizeof text - 1; n++) {
        memcpy(two + page - n, text, n);
        answer_read_head(bytes_of(two + page - n, n), &h, &into);
        assert_false(h.whole);
    }
    munmap(two, 2 * page);
    buf_fini(&into);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bulk_cut_anywhere_gives_the_same_items_and_offsets),
        cmocka_unit_test(bulk_document_of_a_secret_index_is_replaced_and_offsets_follow),
        cmocka_unit_test(bulk_hole_keeps_items_before_and_after_it),
        cmocka_unit_test(bulk_line_that_is_no_action_stops_the_taking_apart_and_says_so),
        cmocka_unit_test(bulk_beyond_the_budget_is_counted_and_the_rest_still_held),
        cmocka_unit_test(answer_cut_anywhere_gives_the_same_items),
        cmocka_unit_test(answer_with_a_hole_goes_on_at_the_next_item),
        cmocka_unit_test(streamed_answers_follow_each_other),
        cmocka_unit_test(refused_bulk_tells_type_and_status),
        cmocka_unit_test(head_of_any_answer_is_read_also_when_it_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
