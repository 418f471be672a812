// Scans answers to reads for counts and names; everything that could be a document is skipped unparsed.
//
// Flow: the scanner's events walk a stack of container kinds; a key decides what its value is, and what has no meaning here is
// skipped. Invariants: 1. memory does not grow with the answer: one text of TEXT_MAX bytes, INDICES_MAX names. 2. at most
// HITS_LOOKED hits are entered, only for their _index.
#include "reads.h"
#include "../base/json.h"

#define TEXT_MAX 4096 // scroll ids of many shards are long
#define DEEP 6
#define INDICES_MAX 64
#define HITS_LOOKED 64

enum place { P_TOP, P_RESPONSES, P_HITS, P_TOTAL, P_LIST, P_HIT, P_SHARDS, P_ROWS, P_DOCS, P_DOC, P_ERROR };
enum key { K_NONE, K_TOOK, K_TIMED_OUT, K_HITS, K_SHARDS, K_COUNT, K_ROWS, K_RESPONSES, K_RESPONSE, K_DOCS, K_HANDLE, K_FOUND, K_INDEX, K_TOTAL,
           K_VALUE, K_RELATION, K_FAILED, K_STATUS, K_ERROR, K_TYPE };

struct reads {
    struct json_scan *scan;
    struct reads_result r;
    enum place place[DEEP + 1]; // [d]: of the container at depth d
    enum key key;
    const char *handle;         // name of the text member met
    reads_index_fn *index_fn;
    reads_handle_fn *handle_fn;
    void *index_ctx, *handle_ctx;
    struct buf names;           // names already told
    size_t name_sizes[INDICES_MAX];
    char error[READS_ERROR_MAX]; // type of the error in the answer being read
    unsigned name_count, hits_looked;
    bool started;
};

#define KEY(place, name, key) {place, key, sizeof name - 1, name}
static const struct key_row {
    enum place place;
    enum key key;
    size_t size;
    const char *name;
} key_rows[] = {
    KEY(P_HIT, "_index", K_INDEX), // by far the most frequent
    KEY(P_TOP, "took", K_TOOK), KEY(P_TOP, "timed_out", K_TIMED_OUT), KEY(P_TOP, "hits", K_HITS), KEY(P_TOP, "_shards", K_SHARDS),
    KEY(P_TOP, "count", K_COUNT), KEY(P_TOP, "rows", K_ROWS), KEY(P_TOP, "values", K_ROWS), KEY(P_TOP, "datarows", K_ROWS),
    KEY(P_TOP, "responses", K_RESPONSES), KEY(P_TOP, "response", K_RESPONSE), KEY(P_TOP, "docs", K_DOCS), KEY(P_TOP, "found", K_FOUND),
    KEY(P_TOP, "_index", K_INDEX), KEY(P_TOP, "_scroll_id", K_HANDLE), KEY(P_TOP, "pit_id", K_HANDLE), KEY(P_TOP, "id", K_HANDLE),
    KEY(P_TOP, "cursor", K_HANDLE),
    KEY(P_HITS, "total", K_TOTAL), KEY(P_HITS, "hits", K_HITS), KEY(P_HITS, "events", K_HITS), KEY(P_HITS, "sequences", K_HITS),
    KEY(P_TOTAL, "value", K_VALUE), KEY(P_TOTAL, "relation", K_RELATION),
    KEY(P_TOP, "status", K_STATUS), KEY(P_TOP, "error", K_ERROR), KEY(P_ERROR, "type", K_TYPE),
    KEY(P_DOC, "_index", K_INDEX), KEY(P_DOC, "found", K_FOUND), KEY(P_SHARDS, "failed", K_FAILED),
};

static void add(int64_t *to, int64_t n)
{
    *to = (*to < 0 ? 0 : *to) + n;
}

static int64_t number(struct bytes text)
{
    int64_t n = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] < '0' || text.at[i] > '9' || n > INT64_MAX / 10 - 9)
            return -1;
        n = n * 10 + (text.at[i] - '0');
    }
    return text.size ? n : -1;
}

static void tell_index(struct reads *r, struct bytes name)
{
    size_t at = 0;
    if (!r->index_fn || name.size == 0 || r->name_count >= INDICES_MAX)
        return;
    for (unsigned i = 0; i < r->name_count; i++) {
        // Indices of one kind differ at their end, if at all.
        size_t n = r->name_sizes[i];
        if (n == name.size && r->names.at[at + n - 1] == name.at[n - 1] && memcmp(r->names.at + at, name.at, n) == 0)
            return;
        at += n;
    }
    if (memchr(name.at, 0, name.size) || !buf_add_bytes(&r->names, name))
        return;
    r->name_sizes[r->name_count++] = name.size;
    r->index_fn(r->index_ctx, name);
}

static enum json_do on_key(struct reads *r, const struct json_token *t)
{
    enum place place = r->place[t->depth];
    r->key = K_NONE;
    for (size_t i = 0; i < sizeof key_rows / sizeof *key_rows; i++) {
        if (key_rows[i].place == place && key_rows[i].size == t->text.size && memcmp(t->text.at, key_rows[i].name, t->text.size) == 0) {
            r->key = key_rows[i].key;
            r->handle = key_rows[i].name;
            return JSON_GO;
        }
    }
    return JSON_SKIP;
}

// What a container under `parent` is, or no place at all.
static int child_place(struct reads *r, enum place parent, bool array)
{
    switch (parent) {
    case P_TOP:
        if (array)
            return r->key == K_ROWS ? P_ROWS : r->key == K_RESPONSES ? P_RESPONSES : r->key == K_DOCS ? P_DOCS : -1;
        return r->key == K_HITS ? P_HITS : r->key == K_SHARDS ? P_SHARDS : r->key == K_RESPONSE ? P_TOP : r->key == K_ERROR ? P_ERROR : -1;
    case P_HITS:
        return array && r->key == K_HITS ? P_LIST : !array && r->key == K_TOTAL ? P_TOTAL : -1;
    case P_RESPONSES:
        add(&r->r.answers, 1);
        r->error[0] = 0;
        return array ? -1 : P_TOP;
    case P_LIST:
        add(&r->r.hits_returned, 1);
        return !array && r->index_fn && r->hits_looked++ < HITS_LOOKED ? P_HIT : -1;
    case P_ROWS:
        add(&r->r.hits_returned, 1);
        add(&r->r.hits_total, 1);
        return -1;
    case P_DOCS:
        return array ? -1 : P_DOC;
    default:
        return -1;
    }
}

static enum json_do on_container(struct reads *r, const struct json_token *t)
{
    bool array = t->event == JSON_ARRAY;
    int place;
    if (t->depth == 0) {
        if (r->started || array) // one object is what an answer is
            return array && !r->started ? JSON_SKIP : JSON_STOP;
        r->started = true;
        r->place[1] = P_TOP;
        return JSON_GO;
    }
    place = t->depth < DEEP ? child_place(r, r->place[t->depth], array) : -1;
    if (place < 0)
        return JSON_SKIP;
    r->place[t->depth + 1] = (enum place)place;
    if (place == P_LIST)
        add(&r->r.hits_returned, 0);
    if (place == P_ROWS) {
        add(&r->r.hits_returned, 0);
        add(&r->r.hits_total, 0);
    }
    return JSON_GO;
}

// Directly inside one of msearch's responses?
static bool in_response(const struct reads *r, const struct json_token *t)
{
    return t->depth == 3 && r->place[2] == P_RESPONSES;
}

// The status of one of msearch's answers; as with a single search, what is not there is no failure.
static void judge_response(struct reads *r, int64_t status)
{
    if (status < 400 || status == 404)
        return;
    add(&r->r.answers_failed, 1);
    if (!r->r.error_type[0])
        memcpy(r->r.error_type, r->error, sizeof r->error);
}

static void on_number(struct reads *r, const struct json_token *t)
{
    int64_t n = number(t->text);
    if (n < 0)
        return;
    if (r->key == K_TOOK && (t->depth == 1 || r->r.took_ms < 0))
        r->r.took_ms = n;
    else if (r->key == K_TOTAL || r->key == K_VALUE || (r->key == K_COUNT && t->depth == 1))
        add(&r->r.hits_total, n);
    else if (r->key == K_FAILED)
        add(&r->r.shards_failed, n);
    else if (r->key == K_STATUS && in_response(r, t))
        judge_response(r, n);
}

static void on_text(struct reads *r, const struct json_token *t)
{
    if (r->key == K_INDEX)
        tell_index(r, t->text);
    else if (r->key == K_TYPE && t->depth == 4 && t->text.size < sizeof r->error)
        memcpy(r->error, t->text.at, t->text.size), r->error[t->text.size] = 0;
    else if (r->key == K_RELATION && bytes_equal_text(t->text, "gte"))
        r->r.hits_at_least = true;
    else if (r->key == K_HANDLE && t->depth == 1 && r->handle_fn && !t->cut)
        r->handle_fn(r->handle_ctx, r->handle, t->text);
}

static void on_bool(struct reads *r, bool value)
{
    if (r->key == K_TIMED_OUT) {
        r->r.timed_out = r->r.timed_out == 1 || value;
    } else if (r->key == K_FOUND) {
        add(&r->r.hits_total, value);
        add(&r->r.hits_returned, value);
    }
}

static enum json_do on_token(void *ctx, const struct json_token *t)
{
    struct reads *r = ctx;
    switch (t->event) {
    case JSON_KEY:
        return on_key(r, t);
    case JSON_OBJECT:
    case JSON_ARRAY:
        return on_container(r, t);
    case JSON_NUMBER:
        on_number(r, t);
        break;
    case JSON_STRING:
        on_text(r, t);
        if (r->key == K_INDEX && r->place[t->depth] == P_HIT) {
            r->key = K_NONE;
            return JSON_LEAVE; // the rest of a hit is its document
        }
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        on_bool(r, t->event == JSON_TRUE);
        break;
    default:
        break;
    }
    if (t->event >= JSON_STRING && t->event <= JSON_NULL)
        r->key = K_NONE;
    return JSON_GO;
}

static void reads_clear(struct reads *r)
{
    r->r = (struct reads_result){.hits_total = -1, .hits_returned = -1, .took_ms = -1, .timed_out = -1, .shards_failed = -1, .answers = -1, .answers_failed = -1};
    r->key = K_NONE;
    r->name_count = r->hits_looked = 0;
    r->started = false;
    r->error[0] = 0;
    buf_clear(&r->names);
}

struct reads *reads_open(void)
{
    struct reads *r = mem_zero(1, sizeof *r);
    if (!r || !(r->scan = json_open(on_token, r, TEXT_MAX))) {
        mem_free(r);
        return NULL;
    }
    reads_clear(r);
    return r;
}

bool reads_feed(struct reads *r, struct bytes piece)
{
    return json_feed(r->scan, piece);
}

void reads_end(struct reads *r, struct reads_result *result)
{
    r->r.complete = json_end(r->scan);
    r->r.malformed = json_malformed(r->scan);
    *result = r->r;
}

void reads_reset(struct reads *r)
{
    json_reset(r->scan);
    reads_clear(r);
}

void reads_close(struct reads *r)
{
    if (!r)
        return;
    json_close(r->scan);
    buf_fini(&r->names);
    mem_free(r);
}

void reads_on_index(struct reads *r, reads_index_fn *fn, void *ctx)
{
    r->index_fn = fn;
    r->index_ctx = ctx;
}

void reads_on_handle(struct reads *r, reads_handle_fn *fn, void *ctx)
{
    r->handle_fn = fn;
    r->handle_ctx = ctx;
}
