// Tests of src/view: the log's columns and their order, tables that fit, the timeline's counting, documents' histories.
#include "../../../src/base/mem.h"
#include "../../../src/view/column.h"
#include "../../../src/view/doc.h"
#include "../../../src/view/emit.h"
#include "../../../src/view/table.h"
#include "../../../src/view/timeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define T0 (INT64_C(1764000000) * WHEN_NS_PER_S)

static struct tape_row a_row(uint64_t id, int64_t time_ns)
{
    static const struct bytes targets[] = {{(const uint8_t *)"logs", 4}};
    static const struct exchange_index indices[] = {{{(const uint8_t *)"logs-1", 6}, true, 2, 1, 0, 0}, {{(const uint8_t *)"logs", 4}, false, 0, 0, 0, 0}};
    struct tape_row row = {.x = {
        .id = id, .client = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 7}, .port = 40000}, .server = {.ip = {[15] = 1}, .port = 9200},
        .time_ns = time_ns, .answered_ns = time_ns + 5 * WHEN_NS_PER_MS, .verb = bytes_of_text("POST"), .path = bytes_of_text("/logs/_bulk"),
        .principal = bytes_of_text("alice"), .auth = AUTH_BASIC, .api = bytes_of_text("bulk"), .targets = targets, .target_count = 1,
        .indices = indices, .index_count = 2, .status = 200, .outcome = OUTCOME_PARTIAL, .docs = 3, .docs_ok = 2, .docs_failed = 1, .docs_deleted = 0,
        .docs_total = -1, .took_ms = -1, .request_bytes = 100, .flags = EXCHANGE_WRITE,
    }};
    return row;
}

static void json_has_every_field_in_the_documented_order(void **state)
{
    (void)state;
    static const char *const names[] = {
        "id", "time", "answered", "client_ip", "client_port", "server_ip", "server_port", "principal", "auth", "run_as", "forwarded_for", "agent", "opaque_id",
        "verb", "path", "api", "action", "targets", "indices", "status", "outcome", "reason", "docs", "docs_ok", "docs_failed", "docs_deleted", "took_ms",
        "duration_ms", "request_bytes", "response_bytes", "truncated", "write", "destructive",
    };
    assert_int_equal(view_column_count, sizeof names / sizeof *names);
    for (size_t i = 0; i < view_column_count; i++)
        assert_string_equal(view_columns[i].name, names[i]);
    struct tape_row row = a_row(7, T0);
    struct buf out = {0};
    view_row_json(&out, &row, NULL);
    assert_string_equal(buf_text(&out),
        "{\"id\":7,\"time\":\"2025-11-24T16:00:00.000000Z\",\"answered\":\"2025-11-24T16:00:00.005000Z\",\"client_ip\":\"10.0.0.7\",\"client_port\":40000,"
        "\"server_ip\":\"::1\",\"server_port\":9200,\"principal\":\"alice\",\"auth\":\"basic\",\"run_as\":null,\"forwarded_for\":null,\"agent\":null,"
        "\"opaque_id\":null,\"verb\":\"POST\",\"path\":\"/logs/_bulk\",\"api\":\"bulk\",\"action\":null,\"targets\":[\"logs\"],\"indices\":[\"logs-1\"],"
        "\"status\":200,\"outcome\":\"partial\",\"reason\":null,\"docs\":3,\"docs_ok\":2,\"docs_failed\":1,\"docs_deleted\":0,\"took_ms\":null,"
        "\"duration_ms\":5,\"request_bytes\":100,\"response_bytes\":0,\"truncated\":false,\"write\":true,\"destructive\":null}\n");
    buf_fini(&out);
}

static void an_unanswered_exchange_has_no_status_and_no_answer(void **state)
{
    (void)state;
    struct tape_row row = a_row(7, T0);
    struct buf out = {0};
    row.x.status = 0;
    row.x.answered_ns = WHEN_UNKNOWN;
    view_row_json(&out, &row, "node1");
    assert_non_null(strstr(buf_text(&out), "{\"id\":\"node1:7\","));
    assert_non_null(strstr(buf_text(&out), "\"answered\":null"));
    assert_non_null(strstr(buf_text(&out), "\"status\":null"));
    assert_non_null(strstr(buf_text(&out), "\"duration_ms\":null"));
    buf_fini(&out);
}

static size_t widest_line(const struct buf *text)
{
    size_t widest = 0;
    for (struct bytes rest = buf_view(text); rest.size;) {
        const uint8_t *end = memchr(rest.at, '\n', rest.size);
        size_t size = end ? (size_t)(end - rest.at) : rest.size;
        size_t used = emit_columns(bytes_of(rest.at, size));
        widest = used > widest ? used : widest;
        rest = bytes_from(rest, size + 1);
    }
    return widest;
}

static void a_table_fits_the_terminal_and_cuts_nothing_elsewhere(void **state)
{
    (void)state;
    static const char *const names[] = {"n", "text", "more"};
    for (size_t columns = 0; columns < 120; columns += 7) {
        struct out out = {.fd = -1, .columns = columns};
        struct table *t = table_open(&out, TABLE_TEXT, names, 3);
        struct table_cells c = {0};
        for (int i = 0; i < 50; i++) {
            table_cell_format(&c, TABLE_INTEGER, "%d", i * 1000);
            table_cell_format(&c, TABLE_STRING, "%0*d", i + 1, 0);
            table_cell_text(&c, bytes_of_text("0123456789012345678901234567890"));
            assert_true(table_cells_row(t, &c));
        }
        table_cells_fini(&c);
        assert_true(table_close(t));
        if (columns)
            assert_true(widest_line(&out.text) <= columns);
        else
            assert_int_equal(widest_line(&out.text), 5 + 2 + 50 + 2 + 31);
        buf_fini(&out.text);
    }
}

static void rows_beyond_the_measured_ones_stream(void **state)
{
    (void)state;
    static const char *const names[] = {"n"};
    struct out out = {.fd = -1};
    struct table *t = table_open(&out, TABLE_TEXT, names, 1);
    struct table_cells c = {0};
    for (int i = 0; i < 5000; i++) {
        table_cell_format(&c, TABLE_INTEGER, "%d", i);
        assert_true(table_cells_row(t, &c));
    }
    table_cells_fini(&c);
    assert_true(table_close(t));
    size_t lines = 0;
    for (size_t i = 0; i < out.text.size; i++)
        lines += out.text.at[i] == '\n';
    assert_int_equal(lines, 5001);
    buf_fini(&out.text);
}

static void buckets_are_round_and_few_enough(void **state)
{
    (void)state;
    for (int64_t range_ns = 1; range_ns < INT64_C(1) << 60; range_ns = range_ns * 3 + 1)
        for (size_t most = 1; most < 200; most += 13)
            assert_true(range_ns / timeline_bucket_ns(range_ns, most) < (int64_t)most);
    assert_int_equal(timeline_bucket_ns(60 * WHEN_NS_PER_S, 61), WHEN_NS_PER_S);
}

static void a_timeline_counts_once_and_gives_each_life_its_lane(void **state)
{
    (void)state;
    struct out screen = {.fd = -1, .columns = 50};
    struct timeline_settings settings = {.from_ns = T0, .to_ns = T0 + 10 * WHEN_NS_PER_S, .bucket_ns = WHEN_NS_PER_S, .like = &screen};
    struct timeline *t = timeline_open(&settings);
    struct incarnation lives[] = {
        {.time_ns = T0 + 4 * WHEN_NS_PER_S, .exchange = 5, .index = bytes_of_text("logs-1"), .born = false},
        {.time_ns = T0 + 6 * WHEN_NS_PER_S, .exchange = 8, .index = bytes_of_text("logs-1"), .born = true},
    };
    assert_true(timeline_life(t, &lives[0]) && timeline_life(t, &lives[1]));
    for (int i = 0; i < 10; i++) {
        struct tape_row row = a_row((uint64_t)i + 1, T0 + i * WHEN_NS_PER_S);
        row.x.index_count = 1;
        if (i == 4)
            row.x.danger = bytes_of_text("index.delete");
        assert_true(timeline_row(t, &row, NULL));
    }
    struct tape_row outside = a_row(99, T0 + 10 * WHEN_NS_PER_S);
    assert_true(timeline_row(t, &outside, NULL));
    timeline_gap(t, &(struct tape_gap_row){.from_ns = T0 + 2 * WHEN_NS_PER_S, .to_ns = T0 + 3 * WHEN_NS_PER_S + 1, .cause = GAP_NOT_RECORDING});
    struct buf out = {0};
    timeline_json(t, &out);
    const char *json = buf_text(&out);
    assert_non_null(strstr(json, "\"bucket_ms\":1000,\"writes\":10,\"reads\":0,\"errors\":10,\"destructive\":1,\"docs\":30,\"gaps\":1"));
    assert_non_null(strstr(json, "{\"index\":\"logs-1\",\"life\":1,\"born\":null,\"died\":\"2025-11-24T16:00:04.000000Z\",\"writes\":6,"));
    assert_non_null(strstr(json, "{\"index\":\"logs-1\",\"life\":2,\"born\":\"2025-11-24T16:00:06.000000Z\",\"died\":null,\"writes\":4,"));
    assert_non_null(strstr(json, "\"counts\":[1,1,1,1,1,1,0,0,0,0]"));
    assert_non_null(strstr(json, "\"destructive_ids\":[5]"));
    size_t blind = 0;
    for (const char *at = json; (at = strstr(at, "\"recording\":false")); at++)
        blind++;
    assert_int_equal(blind, 2);
    for (size_t columns = 50; columns < 200; columns += 11) {
        for (int unicode = 0; unicode < 2; unicode++) {
            screen.columns = columns;
            screen.unicode = unicode;
            timeline_print(t, &screen);
            struct bytes told = buf_view(&screen.text);
            const uint8_t *events = memmem(told.at, told.size, "\ndestructive (1)", 16); // told for a screen of 50 columns
            assert_non_null(events);
            assert_true(widest_line(&screen.text) <= columns);
            buf_clear(&screen.text);
        }
    }
    buf_fini(&screen.text);
    timeline_close(t);
    buf_fini(&out);
}

// ---- documents ------------------------------------------------------------------------------------------------------

static struct doc_write a_write(enum op_kind kind, enum op_result result, int64_t version, const char *source)
{
    struct doc_write w = {.op = {.kind = kind, .result = result, .version = version, .seq_no = version, .primary_term = 1, .exchange = (uint64_t)version,
                                 .index = bytes_of_text("i"), .id = bytes_of_text("1")},
                          .time_ns = T0 + version * WHEN_NS_PER_S, .answered_ns = T0 + version * WHEN_NS_PER_S + 1, .source = bytes_of_text(source)};
    return w;
}

static void documents_are(struct doc_write *writes, size_t count, const char *const *wanted)
{
    struct doc d = {.index = bytes_of_text("i"), .id = bytes_of_text("1"), .writes = writes, .count = count};
    struct buf out = {0};
    doc_sort(&d);
    assert_true(doc_json(&out, &d));
    const char *at = buf_text(&out);
    for (size_t i = 0; i < count; i++) {
        at = strstr(at, "\"document\":");
        assert_non_null(at);
        at += strlen("\"document\":");
        assert_int_equal(strncmp(at, wanted[i], strlen(wanted[i])), 0);
    }
    buf_fini(&out);
}

static void partial_updates_are_merged_into_what_is_known(void **state)
{
    (void)state;
    struct doc_write writes[] = {
        a_write(OP_INDEX, OP_CREATED, 1, "{\"a\":1,\"b\":{\"c\":1}}"),
        a_write(OP_UPDATE, OP_UPDATED, 2, "{\"doc\":{\"b\":{\"d\":2}}}"),
        a_write(OP_UPDATE, OP_NOOP, 2, "{\"doc\":{\"a\":1}}"),
        a_write(OP_DELETE, OP_DELETED, 3, NULL),
        a_write(OP_UPDATE, OP_CREATED, 4, "{\"doc\":{\"x\":1},\"upsert\":{\"y\":2}}"),
    };
    documents_are(writes, 5, (const char *const[]){"{\"a\":1,\"b\":{\"c\":1}}", "{\"a\":1,\"b\":{\"c\":1,\"d\":2}}", "{\"a\":1,\"b\":{\"c\":1,\"d\":2}}", "null", "{\"y\":2}"});
}

static void after_a_script_or_a_missed_version_the_document_is_unknown_until_it_is_written_whole(void **state)
{
    (void)state;
    struct doc_write writes[] = {
        a_write(OP_INDEX, OP_CREATED, 1, "{\"a\":1}"), a_write(OP_UPDATE, OP_UPDATED, 2, "{\"script\":{\"source\":\"ctx._source.a++\"}}"),
        a_write(OP_INDEX, OP_UPDATED, 3, "{\"a\":7}"), a_write(OP_UPDATE, OP_UPDATED, 5, "{\"doc\":{\"b\":1}}"),
        a_write(OP_INDEX, OP_UNKNOWN, -1, "{\"a\":9}"), a_write(OP_UPDATE, OP_UPDATED, 7, "{\"doc\":{\"b\":2}}"),
    };
    writes[4].op.version = writes[4].op.seq_no = -1;
    writes[4].time_ns = T0 + 6 * WHEN_NS_PER_S;
    writes[4].answered_ns = WHEN_UNKNOWN;
    documents_are(writes, 6, (const char *const[]){"{\"a\":1}", "null", "{\"a\":7}", "null", "null", "null"});
}

static void writes_whose_answers_overtook_each_other_stand_in_the_cluster_s_order(void **state)
{
    (void)state;
    struct doc_write writes[] = {a_write(OP_INDEX, OP_CREATED, 1, "{\"v\":1}"), a_write(OP_INDEX, OP_UPDATED, 3, "{\"v\":3}"), a_write(OP_INDEX, OP_UPDATED, 2, "{\"v\":2}")};
    writes[2].answered_ns = T0 + 9 * WHEN_NS_PER_S;
    documents_are(writes, 3, (const char *const[]){"{\"v\":1}", "{\"v\":2}", "{\"v\":3}"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_has_every_field_in_the_documented_order),
        cmocka_unit_test(an_unanswered_exchange_has_no_status_and_no_answer),
        cmocka_unit_test(a_table_fits_the_terminal_and_cuts_nothing_elsewhere),
        cmocka_unit_test(rows_beyond_the_measured_ones_stream),
        cmocka_unit_test(buckets_are_round_and_few_enough),
        cmocka_unit_test(a_timeline_counts_once_and_gives_each_life_its_lane),
        cmocka_unit_test(partial_updates_are_merged_into_what_is_known),
        cmocka_unit_test(after_a_script_or_a_missed_version_the_document_is_unknown_until_it_is_written_whole),
        cmocka_unit_test(writes_whose_answers_overtook_each_other_stand_in_the_cluster_s_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
