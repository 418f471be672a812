// Fuzzes the JSON readers: scanner (cut in two places) and tree must agree on what is one JSON document.
#include "src/base/json.h"
#include "src/base/mem.h"

#include <stdlib.h>

struct tally {
    unsigned docs;
};

static enum json_do count(void *ctx, const struct json_token *t)
{
    struct tally *tally = ctx;
    tally->docs += t->event == JSON_DOC_END;
    if (t->end < t->at)
        abort();
    return JSON_GO;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct tally tally = {0};
    struct json_scan *s = json_open(count, &tally, 64);
    size_t cut = data[0] % size;
    bool whole = json_feed(s, bytes_of(data, cut)) && json_feed(s, bytes_of(data + cut, size - cut));
    whole = json_end(s) && whole;
    json_close(s);
    struct arena a;
    arena_init(&a, 64 << 20);
    struct json *j = json_parse(&a, bytes_of(data, size), NULL);
    if ((j != NULL) != (whole && tally.docs == 1))
        abort();
    if (j) {
        struct buf out = {0}, again = {0};
        json_write(&out, j);
        struct json *k = json_parse(&a, buf_view(&out), NULL);
        if (k) {
            json_write(&again, k);
            if (!bytes_equal(buf_view(&out), buf_view(&again)) || !json_equal(k, k))
                abort();
        } else if (!out.failed) {
            abort();
        }
        buf_fini(&out);
        buf_fini(&again);
    }
    arena_fini(&a);
    return 0;
}
