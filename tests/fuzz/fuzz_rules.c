// Fuzzes the rule loader and the evaluator: any text as a rule file, run over a few exchanges.
#include "src/alert/alert.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_alert(void *ctx, const struct alert *a)
{
    (void)ctx;
    if (a->text.size == 0 || a->json.size < 2 || a->json.at[0] != '{')
        abort();
}

// Text before a NUL is the rule file, text behind it a request body.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fault fault = {0};
    const uint8_t *cut = memchr(data, 0, size);
    struct bytes rule = bytes_of(data, cut ? (size_t)(cut - data) : size), body = cut ? bytes_from(bytes_of(data, size), rule.size + 1) : (struct bytes){0};
    struct rules *r = rules_open();
    struct alert_settings settings = {.live = true, .state_bytes_max = 1 << 20};
    if (!r || !rules_add_text(r, "fuzz", rule, NULL, NULL, &fault) || !rules_seal(r, NULL, NULL, &fault)) {
        rules_close(r);
        return 0;
    }
    struct alerter *a = alert_open(&settings, r, on_alert, NULL);
    struct bytes targets[] = {bytes_of_text("logs-1"), bytes_of_text("*")};
    struct exchange x = {.id = 1, .time_ns = INT64_C(1700000000000000000), .answered_ns = WHEN_UNKNOWN, .verb = bytes_of_text("DELETE"), .path = bytes_of_text("/logs-1?q=a%20b"),
                         .api = bytes_of_text("indices.put_settings"), .principal = bytes_of_text("alice"), .agent = bytes_of_text("curl/8"), .targets = targets, .target_count = 2,
                         .flags = EXCHANGE_WRITE | EXCHANGE_WILDCARD, .docs = 3, .docs_ok = 1, .docs_failed = -1, .docs_deleted = 2, .docs_total = -1, .took_ms = 5,
                         .status = 200, .body_head = body};
    for (int i = 0; a && i < 4; i++, x.id++, x.time_ns += WHEN_NS_PER_S) {
        alert_attempt(a, &x);
        alert_done(a, &x);
        alert_tick(a, x.time_ns);
    }
    if (a)
        alert_finish(a);
    alert_close(a);
    rules_close(r);
    return 0;
}
