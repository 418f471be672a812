// One write's answer, and the top members of any other: read in place by a cursor.
#include "answer.h"

#include <limits.h>
#include <stddef.h>

void answer_clear(struct op_answer *a, enum op_kind kind)
{
    *a = (struct op_answer){.kind = kind, .shard = -1, .version = OP_NONE, .seq_no = OP_NONE, .primary_term = OP_NONE};
}

static enum opjson_got read_plain(struct opjson *c, struct bytes *text, struct buf *into)
{
    struct opjson_text value;
    enum opjson_got got = opjson_read_scalar(c, &value);
    if (got == OPJSON_OK)
        *text = opjson_plain(value, into);
    return got;
}

// Calls `member` for every member of the object before the cursor.
typedef enum opjson_got member_fn(struct opjson *c, struct bytes key, void *ctx, struct buf *into);
static enum opjson_got each_member(struct opjson *c, member_fn *member, void *ctx, struct buf *into)
{
    enum opjson_got got = opjson_expect(c, '{');
    if (got)
        return got;
    uint8_t byte;
    if ((got = opjson_peek(c, &byte)))
        return got;
    if (byte == '}') {
        c->at++;
        return OPJSON_OK;
    }
    for (bool more = true; more;) {
        struct opjson_text key;
        if ((got = opjson_read_key(c, &key)) || (got = member(c, key.raw, ctx, into)) || (got = opjson_next(c, '}', &more)))
            return got;
    }
    return OPJSON_OK;
}

// ---- one write ------------------------------------------------------------------------------------------------------------

static enum opjson_got error_member(struct opjson *c, struct bytes key, void *ctx, struct buf *into)
{
    struct op_answer *a = ctx;
    int64_t shard;
    if (bytes_equal_text(key, "type"))
        return read_plain(c, &a->error_type, into);
    if (bytes_equal_text(key, "index_uuid"))
        return read_plain(c, &a->index_uuid, into);
    if (bytes_equal_text(key, "index") && !a->index.size)
        return read_plain(c, &a->index, into);
    if (bytes_equal_text(key, "shard")) {
        enum opjson_got got = opjson_read_int(c, &shard, -1);
        if (got == OPJSON_OK)
            a->shard = shard > INT_MAX || shard < -1 ? -1 : (int)shard;
        return got;
    }
    return opjson_skip(c);
}

// An error is an object with a type; before 2.0, and from proxies, a sentence.
static enum opjson_got read_error(struct opjson *c, struct op_answer *a, struct buf *into)
{
    uint8_t byte;
    enum opjson_got got = opjson_peek(c, &byte);
    if (got)
        return got;
    a->result = OP_FAILED;
    return byte == '{' ? each_member(c, error_member, a, into) : opjson_skip(c);
}

static enum op_result result_of(struct bytes word)
{
    static const struct {
        const char *word;
        size_t size;
        enum op_result result;
    } words[] = {{"created", 7, OP_CREATED}, {"updated", 7, OP_UPDATED}, {"deleted", 7, OP_DELETED}, {"not_found", 9, OP_NOT_FOUND}, {"noop", 4, OP_NOOP}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (word.size == words[i].size && memcmp(word.at, words[i].word, word.size) == 0)
            return words[i].result;
    return OP_UNKNOWN;
}

static enum opjson_got read_result(struct opjson *c, struct op_answer *a)
{
    struct opjson_text word;
    enum opjson_got got = opjson_read_scalar(c, &word);
    if (got == OPJSON_OK) {
        a->result = result_of(word.raw);
        a->told_result = true;
    }
    return got;
}

enum write_field { WRITE_OTHER, WRITE_INDEX, WRITE_TYPE, WRITE_ID, WRITE_VERSION, WRITE_RESULT, WRITE_SEQ_NO, WRITE_TERM, WRITE_STATUS, WRITE_ERROR };

static enum write_field write_field_of(struct bytes key)
{
    switch (key.size) {
    case 3: return memcmp(key.at, "_id", 3) == 0 ? WRITE_ID : WRITE_OTHER;
    case 5: return memcmp(key.at, "_type", 5) == 0 ? WRITE_TYPE : memcmp(key.at, "error", 5) == 0 ? WRITE_ERROR : WRITE_OTHER;
    case 6: return memcmp(key.at, "_index", 6) == 0 ? WRITE_INDEX : memcmp(key.at, "result", 6) == 0 ? WRITE_RESULT
                 : memcmp(key.at, "status", 6) == 0 ? WRITE_STATUS : WRITE_OTHER;
    case 7: return memcmp(key.at, "_seq_no", 7) == 0 ? WRITE_SEQ_NO : WRITE_OTHER;
    case 8: return memcmp(key.at, "_version", 8) == 0 ? WRITE_VERSION : WRITE_OTHER;
    case 13: return memcmp(key.at, "_primary_term", 13) == 0 ? WRITE_TERM : WRITE_OTHER;
    default: return WRITE_OTHER;
    }
}

static enum opjson_got write_member(struct opjson *c, struct bytes key, void *ctx, struct buf *into)
{
    struct op_answer *a = ctx;
    int64_t number;
    enum opjson_got got;
    switch (write_field_of(key)) {
    case WRITE_INDEX: return read_plain(c, &a->index, into);
    case WRITE_TYPE: return read_plain(c, &a->type, into);
    case WRITE_ID: return read_plain(c, &a->id, into);
    case WRITE_VERSION: return opjson_read_int(c, &a->version, OP_NONE);
    case WRITE_SEQ_NO: return opjson_read_int(c, &a->seq_no, OP_NONE);
    case WRITE_TERM: return opjson_read_int(c, &a->primary_term, OP_NONE);
    case WRITE_RESULT: return read_result(c, a);
    case WRITE_ERROR: return read_error(c, a, into);
    case WRITE_STATUS:
        got = opjson_read_int(c, &number, 0);
        if (got == OPJSON_OK)
            a->status = number < 0 || number > 999 ? 0 : (int)number;
        return got;
    case WRITE_OTHER: return opjson_skip(c);
    }
    return OPJSON_BAD;
}

enum opjson_got answer_read_write(struct opjson *c, struct op_answer *answer, struct buf *into)
{
    return each_member(c, write_member, answer, into);
}

static enum op_result hidden_result(const struct op_answer *a, bool minted)
{
    if (a->kind == OP_DELETE)
        return a->status == 404 ? OP_NOT_FOUND : OP_DELETED;
    if (a->status == 201)
        return OP_CREATED;
    // A new document is always answered 201: 200 for it means that a pipeline dropped it.
    if (a->kind == OP_CREATE || (a->kind == OP_INDEX && minted))
        return OP_DROPPED;
    return OP_ACCEPTED;
}

void answer_conclude(struct op_answer *a, bool minted)
{
    // A document that a pipeline dropped is answered with the version asked for: -3 for any, -4 for none, or an external one.
    if (a->result == OP_NOOP && (a->kind == OP_INDEX || a->kind == OP_CREATE || a->version < -1)) {
        a->result = OP_DROPPED;
        a->version = OP_NONE;
    }
    if (a->version < 0)
        a->version = OP_NONE;
    if (a->seq_no < 0)
        a->seq_no = OP_NONE;
    // A 404 whose words are missing: no such document, or no such index.
    if (a->result == OP_UNKNOWN && a->status == 404 && (a->flags & OP_HOLE))
        return;
    if (a->result == OP_UNKNOWN && a->status >= 200 && a->status < 300)
        a->result = hidden_result(a, minted);
    else if (a->result == OP_UNKNOWN && a->kind == OP_DELETE && a->status == 404)
        a->result = OP_NOT_FOUND;
    else if (a->result == OP_UNKNOWN && a->status >= 300)
        a->result = OP_FAILED;
    if (a->result == OP_FAILED) {
        a->version = a->seq_no = a->primary_term = OP_NONE;
    } else {
        a->error_type = (struct bytes){0};
    }
}

// ---- everything else --------------------------------------------------------------------------------------------------------

static enum opjson_got read_flag(struct opjson *c, int *flag)
{
    struct opjson_text value;
    uint8_t byte;
    enum opjson_got got = opjson_peek(c, &byte);
    if (got)
        return got;
    if (byte == '{' || byte == '[')
        return opjson_skip(c);
    got = opjson_read_scalar(c, &value);
    if (got == OPJSON_OK)
        *flag = bytes_equal_text(value.raw, "true") ? 1 : bytes_equal_text(value.raw, "false") ? 0 : -1;
    return got;
}

enum { CAUSES_MAX = 4 }; // how deep a failure's error may lie

struct type_reading {
    struct bytes *type;
    int depth;
};

static enum opjson_got type_member(struct opjson *c, struct bytes key, void *ctx, struct buf *into)
{
    struct type_reading *r = ctx;
    uint8_t byte;
    bool is_cause = bytes_equal_text(key, "cause") || bytes_equal_text(key, "reason") || bytes_equal_text(key, "exception");
    if (bytes_equal_text(key, "type") && !opjson_peek(c, &byte) && byte == '"')
        return read_plain(c, r->type, into);
    // failures[] of by-query and of shards hold their error one level down
    if (is_cause && !r->type->size && r->depth < CAUSES_MAX && !opjson_peek(c, &byte) && byte == '{')
        return each_member(c, type_member, &(struct type_reading){r->type, r->depth + 1}, into);
    return opjson_skip(c);
}

static enum opjson_got read_error_type(struct opjson *c, struct bytes *type, struct buf *into)
{
    uint8_t byte;
    enum opjson_got got = opjson_peek(c, &byte);
    if (got)
        return got;
    if (byte == '{')
        return each_member(c, type_member, &(struct type_reading){type, 0}, into);
    struct bytes sentence = {0};
    got = byte == '"' ? read_plain(c, &sentence, into) : opjson_skip(c);
    // Before 2.0: "IndexMissingException[[x] missing]"; others: a sentence, which is no type.
    size_t word = 0;
    while (word < sentence.size && (sentence.at[word] | 32) >= 'a' && (sentence.at[word] | 32) <= 'z')
        word++;
    if (word && word < sentence.size && sentence.at[word] == '[')
        *type = bytes_of(sentence.at, word);
    return got;
}

static enum opjson_got read_failures(struct opjson *c, struct answer_head *h, struct buf *into)
{
    uint8_t byte;
    enum opjson_got got = opjson_peek(c, &byte);
    if (got || byte != '[')
        return got ? got : opjson_skip(c);
    struct opjson inside = {c->at + 1, c->end};
    if (!opjson_peek(&inside, &byte) && byte != ']') {
        h->has_failures = true;
        if (byte == '{')
            each_member(&inside, type_member, &(struct type_reading){&h->failure_type, 0}, into);
    }
    return opjson_skip(c);
}

static enum opjson_got shards_member(struct opjson *c, struct bytes key, void *ctx, struct buf *into)
{
    struct answer_head *h = ctx;
    if (bytes_equal_text(key, "failed"))
        return opjson_read_int(c, &h->shards_failed, -1);
    if (bytes_equal_text(key, "total"))
        return opjson_read_int(c, &h->shards_total, -1);
    if (bytes_equal_text(key, "failures")) {
        struct opjson inside = *c;
        uint8_t byte;
        if (!opjson_expect(&inside, '[') && !opjson_peek(&inside, &byte) && byte == '{')
            each_member(&inside, type_member, &(struct type_reading){&h->failure_type, 0}, into);
    }
    return opjson_skip(c);
}

// A restore or a snapshot that was waited for.
static enum opjson_got snapshot_member(struct opjson *c, struct bytes key, void *ctx, struct buf *into)
{
    uint8_t byte;
    enum opjson_got got = opjson_peek(c, &byte);
    if (got)
        return got;
    return byte == '{' && bytes_equal_text(key, "shards") ? each_member(c, shards_member, ctx, into) : opjson_skip(c);
}

enum head_kind { HEAD_NUMBER, HEAD_FLAG, HEAD_TEXT };
#define HEAD(name, kind) {#name, sizeof #name - 1, kind, offsetof(struct answer_head, name)}
static const struct {
    const char *name;
    size_t size;
    enum head_kind kind;
    size_t offset;
} head_fields[] = {
    {"took", 4, HEAD_NUMBER, offsetof(struct answer_head, took_ms)}, HEAD(total, HEAD_NUMBER), HEAD(updated, HEAD_NUMBER), HEAD(deleted, HEAD_NUMBER),
    HEAD(created, HEAD_NUMBER), HEAD(noops, HEAD_NUMBER), HEAD(version_conflicts, HEAD_NUMBER), HEAD(timed_out, HEAD_FLAG), HEAD(acknowledged, HEAD_FLAG),
    HEAD(errors, HEAD_FLAG), HEAD(found, HEAD_FLAG), HEAD(rolled_over, HEAD_FLAG), HEAD(task, HEAD_TEXT), HEAD(result, HEAD_TEXT),
    HEAD(old_index, HEAD_TEXT), HEAD(new_index, HEAD_TEXT),
};

static enum opjson_got read_head_field(struct opjson *c, size_t which, struct answer_head *h, struct buf *into)
{
    void *to = (uint8_t *)h + head_fields[which].offset;
    switch (head_fields[which].kind) {
    case HEAD_NUMBER: return opjson_read_int(c, to, -1);
    case HEAD_FLAG: return read_flag(c, to);
    case HEAD_TEXT: return read_plain(c, to, into);
    }
    return OPJSON_BAD;
}

static enum opjson_got head_member(struct opjson *c, struct bytes key, void *ctx, struct buf *into)
{
    struct answer_head *h = ctx;
    uint8_t byte;
    enum opjson_got got = opjson_peek(c, &byte);
    if (got)
        return got;
    bool container = byte == '{' || byte == '[';
    for (size_t i = 0; i < sizeof head_fields / sizeof *head_fields && !container; i++)
        if (key.size == head_fields[i].size && memcmp(key.at, head_fields[i].name, key.size) == 0)
            return read_head_field(c, i, h, into);
    if (bytes_equal_text(key, "error"))
        return read_error_type(c, &h->error_type, into);
    if (bytes_equal_text(key, "failures"))
        return read_failures(c, h, into);
    if (bytes_equal_text(key, "_shards") && byte == '{')
        return each_member(c, shards_member, h, into);
    if (bytes_equal_text(key, "snapshot") && byte == '{')
        return each_member(c, snapshot_member, h, into);
    return opjson_skip(c);
}

void answer_read_head(struct bytes text, struct answer_head *head, struct buf *into)
{
    *head = (struct answer_head){-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, .rolled_over = -1};
    uint8_t byte;
    struct opjson c = opjson_of(text);
    if (opjson_peek(&c, &byte) || byte != '{' || !buf_reserve(into, text.size))
        return;
    head->is_object = true;
    head->whole = each_member(&c, head_member, head, into) == OPJSON_OK;
}
