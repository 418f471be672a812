// What tests of the plan share: a recorded write in one line, and the plan as one text.
#pragma once
#include "../../../src/base/clock.h"
#include "../../../src/replay/plan.h"
#include "fake_tape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define MS(n) (INT64_C(1700000000000000000) + (int64_t)(n) * 1000000)

static const struct bytes cat_target[] = {{(const uint8_t *)"cat", 3}}, cat_v1_target[] = {{(const uint8_t *)"cat_v1", 6}};
static struct tape *tape;
static struct plan_settings set;
static struct plan *plan;
static char *docs; // "id:STEP,STEP id:..." in the order of handing out

static int setup(void **state)
{
    (void)state;
    static const char *index[] = {"cat"};
    tape = fake_open();
    set = (struct plan_settings){.tape = tape, .index = index, .index_count = 1, .since_ns = WHEN_UNKNOWN, .until_ns = WHEN_UNKNOWN, .memory_bytes = 1 << 20};
    plan = NULL;
    docs = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    plan_close(plan);
    tape_close(tape);
    free(docs);
    return 0;
}

struct w { // a write: exchange, what, document, result, sequence number, version, when
    uint64_t x;
    enum op_kind kind;
    const char *id;
    enum op_result result;
    int64_t seq, version;
    int start, end; // ms; end 0: start + 5, -1: unanswered
    const char *index;
    uint32_t flags;
    const char *error, *routing;
    int64_t term;
    uint32_t item;
    const char *type;
};

static void put(struct w w)
{
    struct op op = {.exchange = w.x, .item = w.item, .kind = w.kind, .result = w.result, .flags = w.flags, .index = bytes_of_text(w.index ? w.index : "cat"),
                    .id = bytes_of_text(w.id), .routing = bytes_of_text(w.routing ? w.routing : ""), .type = bytes_of_text(w.type ? w.type : ""), .error_type = bytes_of_text(w.error ? w.error : ""),
                    .shard = -1, .version = w.version ? w.version : OP_NONE, .seq_no = w.seq, .primary_term = w.seq >= 0 ? (w.term ? w.term : 1) : OP_NONE,
                    .status = w.result == OP_FAILED ? 409 : w.result == OP_UNKNOWN ? 0 : 200, .asked_version = OP_NONE, .source_at = w.x * 100, .source_bytes = 10};
    fake_op(tape, &op, MS(w.start), w.end < 0 ? WHEN_UNKNOWN : MS(w.end ? w.end : w.start + 5));
}
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-variable"
#define PUT(...) put((struct w){__VA_ARGS__})

static void build(void)
{
    struct fault f;
    struct buf out = {0};
    plan = plan_build(&set, &f);
    if (!plan)
        fail_msg("%s", f.text);
    for (struct plan_doc d;;) {
        assert_true(plan_next(plan, &d, &f));
        if (!d.step_count)
            break;
        buf_format(&out, "%s%.*s:", out.size ? " " : "", (int)d.id.size, (const char *)d.id.at);
        for (size_t i = 0; i < d.step_count; i++)
            buf_format(&out, "%s%c%llu", i ? "," : "", "ICUD"[d.steps[i].kind], (unsigned long long)d.steps[i].exchange);
    }
    docs = strdup(buf_text(&out));
    buf_fini(&out);
}

static void one_shard(void)
{
    fake_exchange(tape, &(struct exchange){.id = 1, .time_ns = MS(-1000), .answered_ns = MS(-990), .api = bytes_of_text("indices.create"),
                                           .targets = cat_target, .target_count = 1, .status = 200,
                                           .server_version = 71002}, "{\"settings\":{\"number_of_shards\":1}}");
    fake_life(tape, "cat", 1, MS(-995), true, true);
}

#define note(kind) plan_note_total(plan, kind)

static void accident(int at_ms)
{
    fake_exchange(tape, &(struct exchange){.id = 50, .time_ns = MS(at_ms), .answered_ns = WHEN_UNKNOWN, .api = bytes_of_text("indices.delete"), .verb = bytes_of_text("DELETE"),
                                           .targets = cat_target, .target_count = 1, .outcome = OUTCOME_UNANSWERED}, NULL);
    fake_life(tape, "cat", 50, MS(at_ms), false, true);
    fake_life(tape, "cat", 60, MS(at_ms + 20), true, false);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
