// Ops become blocks: collected up to FORMAT_OPS_PER_BLOCK, packed, and stored again at each commit while the block grows.
//
// 1. A block that is stored again keeps its number and only gains ops.
// 2. Every index name of a block's ops has a row in op_name.
#include "writer.h"

#include "oplog.h"

void op_forget(struct tape_writer *w)
{
    w->op_count = w->ops_stored = 0;
    w->op_block = 0;
    arena_reset(&w->op_text);
}

static void next_block(struct tape_writer *w)
{
    w->op_count = w->ops_stored = 0;
    w->op_block++;
    arena_reset(&w->op_text);
}

static bool store_names(struct tape_writer *w, int64_t block)
{
    struct bytes last = {NULL, 0};
    sqlite3_stmt *row = w->seg.log_stmt[LOG_OP_NAME];
    for (size_t i = w->ops_stored; i < w->op_count; i++) {
        struct bytes index = w->ops[i].index;
        if (last.at && bytes_equal(index, last))
            continue;
        last = index;
        int64_t name = row_name(w, index);
        if (!name)
            return false;
        db_bind(row, 1, name);
        db_bind(row, 2, block);
        if (!writer_stored(w, db_run(row)))
            return false;
    }
    return true;
}

// Which index a name meant that ops were asked of: so a document is found by its alias.
static bool store_aliases(struct tape_writer *w)
{
    const struct op *last = NULL;
    sqlite3_stmt *row = w->seg.log_stmt[LOG_OP_ALIAS];
    for (size_t i = w->ops_stored; i < w->op_count; i++) {
        const struct op *op = &w->ops[i];
        if (!op->asked.size || (last && bytes_equal(last->asked, op->asked) && bytes_equal(last->index, op->index)))
            continue;
        last = op;
        int64_t name = row_name(w, op->index);
        if (!name)
            return false;
        db_bind_word(row, 1, op->asked);
        db_bind(row, 2, name);
        if (!writer_stored(w, db_run(row)))
            return false;
    }
    return true;
}

bool op_store(struct tape_writer *w)
{
    if (w->op_count == w->ops_stored)
        return true;
    if (!oplog_pack(w->ops, w->op_count, w->settings.compression, w->zstd, &w->op_data, &w->op_filter))
        return writer_fail(w);
    uint64_t first = w->ops[0].exchange, last = first;
    for (size_t i = 1; i < w->op_count; i++) {
        first = w->ops[i].exchange < first ? w->ops[i].exchange : first;
        last = w->ops[i].exchange > last ? w->ops[i].exchange : last;
    }
    sqlite3_stmt *row = w->seg.log_stmt[LOG_OP_BLOCK];
    db_bind(row, 1, w->op_block + 1);
    db_bind(row, 2, (int64_t)first);
    db_bind(row, 3, (int64_t)last);
    db_bind(row, 4, (int64_t)w->op_count);
    db_bind(row, 5, (int64_t)oplog_sum(buf_view(&w->op_data), buf_view(&w->op_filter)));
    db_bind_blob(row, 6, buf_view(&w->op_filter));
    db_bind_blob(row, 7, buf_view(&w->op_data));
    if (!writer_stored(w, db_run(row)) || !store_names(w, w->op_block + 1) || !store_aliases(w))
        return false;
    w->ops_stored = w->op_count;
    return true;
}

static bool keep_text(struct tape_writer *w, struct bytes *text)
{
    if (!text->size) {
        *text = bytes_of("", 0);
        return true;
    }
    const uint8_t *copy = arena_copy(&w->op_text, text->at, text->size);
    if (!copy)
        return writer_fail(w);
    text->at = copy;
    return true;
}

// Index names repeat from op to op: one copy serves the run.
static bool keep_op(struct tape_writer *w, const struct op *op)
{
    const struct op *before = w->op_count ? &w->ops[w->op_count - 1] : NULL;
    struct op *to = &w->ops[w->op_count];
    *to = *op;
    if (before && bytes_equal(before->index, op->index))
        to->index = before->index;
    else if (!keep_text(w, &to->index))
        return false;
    if (before && bytes_equal(before->asked, op->asked))
        to->asked = before->asked;
    else if (!keep_text(w, &to->asked))
        return false;
    if (!keep_text(w, &to->type) || !keep_text(w, &to->id) || !keep_text(w, &to->routing) || !keep_text(w, &to->pipeline) ||
        !keep_text(w, &to->error_type) || !keep_text(w, &to->index_uuid))
        return false;
    w->op_count++;
    return true;
}

bool tape_write_ops(struct tape_writer *w, const struct op *ops, size_t count, struct fault *f)
{
    if (!writer_ready(w, WHEN_UNKNOWN))
        return writer_result(w, f);
    for (size_t i = 0; i < count; i++) {
        if (w->op_count == FORMAT_OPS_PER_BLOCK || w->op_text.used_bytes > OP_TEXT_BYTES_MAX) {
            if (!op_store(w))
                return writer_result(w, f);
            next_block(w);
        }
        if (!keep_op(w, &ops[i]))
            break;
        w->seg.ops++;
    }
    bool fresh;
    if (count && !nummap_put(w->op_owners, ops[0].exchange, &fresh))
        writer_fail(w);
    return writer_result(w, f);
}

void op_fini(struct tape_writer *w)
{
    mem_free(w->ops);
    arena_fini(&w->op_text);
    buf_fini(&w->op_data);
    buf_fini(&w->op_filter);
}
