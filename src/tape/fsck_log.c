// Checking a log file: its one row about itself, references, ways in, ops, parts, summary.
#include "fsck_inner.h"
#include "oplog.h"

#include <stdio.h>

struct rule {
    int invariant;
    const char *sql, *text;
};

static const struct rule rules[] = {
    {2, "SELECT count(*)!=1 FROM segment", "segment has not one row"},
    {3, "SELECT count(*) FROM x LEFT JOIN call c ON c.id=x.call WHERE c.id IS NULL", "exchanges without a call"},
    {3, "SELECT count(*) FROM call c LEFT JOIN who w ON w.id=c.who LEFT JOIN shape h ON h.id=c.shape LEFT JOIN list o ON o.id=c.targets"
        " LEFT JOIN path p ON p.id=c.path WHERE w.id IS NULL OR h.id IS NULL OR o.id IS NULL AND c.targets!=0 OR p.id IS NULL",
     "calls that name missing rows"},
    {3, "SELECT count(*) FROM x LEFT JOIN conn n ON n.id=x.conn WHERE x.conn IS NOT NULL AND n.id IS NULL", "exchanges without their connection"},
    {3, "SELECT count(*) FROM conn n LEFT JOIN ip a ON a.id=n.client LEFT JOIN ip b ON b.id=n.server WHERE a.id IS NULL OR b.id IS NULL",
     "connections without an address"},
    {3, "SELECT count(*) FROM x LEFT JOIN tally y ON y.id=x.tally WHERE x.tally IS NOT NULL AND y.id IS NULL", "exchanges without their tally"},
    {3, "SELECT count(*) FROM x LEFT JOIN word w ON w.id=x.oid WHERE typeof(x.oid)='integer' AND w.id IS NULL", "opaque ids without a word"},
    {3, "SELECT count(*) FROM x LEFT JOIN list l ON l.id=x.idx WHERE typeof(x.idx)='integer' AND l.id IS NULL", "exchanges without their list of indices"},
    {3, "SELECT count(*) FROM list l, json_each(l.names) e LEFT JOIN name n ON n.id=abs(e.value) WHERE n.id IS NULL", "lists of missing names"},
    {3, "SELECT count(*) FROM op_alias a LEFT JOIN name n ON n.id=a.name WHERE n.id IS NULL", "aliases of missing names"},
    {3, "SELECT count(*) FROM op_name s LEFT JOIN name n ON n.id=s.name LEFT JOIN op_block b ON b.id=s.block WHERE n.id IS NULL OR b.id IS NULL",
     "op_name rows that name missing rows"},
    {4, "SELECT count(*) FROM (SELECT abs(e.value), x.id>>6 FROM x JOIN json_each(CASE typeof(x.idx) WHEN 'integer' THEN"
        " (SELECT names FROM list WHERE id=x.idx) ELSE coalesce(x.idx,'[]') END) e UNION SELECT e.value, k.bucket FROM seek k JOIN call c"
        " ON c.id=k.call JOIN list l ON l.id=c.targets JOIN json_each(l.names) e WHERE k.n>0 EXCEPT SELECT name, bucket FROM seek_name)",
     "names that seek_name does not lead to"},
    {4, "SELECT count(*) FROM x LEFT JOIN bucket b ON b.id=x.id>>6 WHERE b.id IS NULL OR x.t<b.lo OR x.t>b.hi",
     "exchanges outside their bucket's time"},
    {5, "SELECT rows!=(SELECT count(*) FROM x) FROM segment", "segment.rows is wrong"},
    {5, "SELECT coalesce(first_x,-1)!=coalesce((SELECT min(id) FROM x),-1) OR coalesce(last_x,-1)!=coalesce((SELECT max(id) FROM x),-1)"
        " FROM segment", "segment.first_x or last_x is wrong"},
    {5, "SELECT count(*) FROM x WHERE id>=(SELECT next_id FROM segment)", "exchanges with an id that was not given out"},
    {6, "SELECT ops!=(SELECT coalesce(sum(n),0) FROM op_block) FROM segment", "segment.ops is wrong"},
    {9, "SELECT count(*) FROM (SELECT x, side FROM part GROUP BY 1,2 HAVING min(n)!=0 OR max(n)!=count(*)-1)", "bodies with parts missing"},
    {9, "SELECT count(*) FROM x WHERE req=-1 AND NOT EXISTS(SELECT 1 FROM part WHERE x=x.id AND side=0)"
        " OR resp=-1 AND NOT EXISTS(SELECT 1 FROM part WHERE x=x.id AND side=1)", "bodies whose parts are missing"},
    {9, "SELECT count(*) FROM part p LEFT JOIN x ON x.id=p.x WHERE x.id IS NULL OR CASE p.side WHEN 0 THEN x.req ELSE x.resp END IS NOT -1",
     "parts that no body has"},
    {9, "SELECT count(*) FROM part WHERE (place IS NULL)=(hole IS NULL)", "parts that are neither a place nor a hole"},
};

static const struct rule sealed_rules[] = {
    {11, "SELECT sealed!=1 FROM segment", "the catalog calls it sealed, the segment does not"},
    {11, "SELECT coalesce((SELECT sum(n) FROM summary WHERE what='api'),0)!=coalesce((SELECT sum(n) FROM seek),0)", "summary disagrees with seek"},
};

// ---- the way in by call ---------------------------------------------------------------------------------------------

// The calls of one bucket: exchanges come in order of their ids, so a bucket's stand together, and nothing has to be sorted.
struct bucket_calls {
    int64_t bucket;
    size_t count;
    struct {
        int64_t call, n;
    } at[64]; // a bucket is 64 ids
};

struct seek_check {
    sqlite3_stmt *n; // of a call in a bucket, as seek has it
    int64_t wrong, right;
};

static void count_call(struct bucket_calls *b, int64_t call)
{
    size_t i = 0;
    while (i < b->count && b->at[i].call != call)
        i++;
    if (i == b->count) {
        b->at[i].call = call;
        b->at[i].n = 0;
        b->count++;
    }
    b->at[i].n++;
}

static void compare_bucket(struct seek_check *c, struct bucket_calls *b)
{
    for (size_t i = 0; i < b->count; i++) {
        db_bind(c->n, 1, b->at[i].call);
        db_bind(c->n, 2, b->bucket);
        bool right = sqlite3_step(c->n) == SQLITE_ROW && sqlite3_column_int64(c->n, 0) == b->at[i].n;
        sqlite3_reset(c->n);
        c->right += right;
        c->wrong += !right;
    }
    b->count = 0;
}

// A row of seek accounts for a call of a bucket or it is one too many: whether there are any is told by how many were right.
static void check_seek(struct fsck_segment *s)
{
    struct seek_check check = {0};
    struct bucket_calls calls = {0};
    sqlite3_stmt *row = NULL;
    int code = sqlite3_prepare_v2(s->log, "SELECT id>>6, call FROM x ORDER BY id", -1, &row, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(s->log, "SELECT n FROM seek WHERE call=? AND bucket=?", -1, &check.n, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(row)) == SQLITE_ROW) {
        int64_t bucket = sqlite3_column_int64(row, 0);
        if (bucket != calls.bucket)
            compare_bucket(&check, &calls);
        calls.bucket = bucket;
        count_call(&calls, sqlite3_column_int64(row, 1));
        code = SQLITE_OK;
    }
    if (code == SQLITE_DONE) {
        compare_bucket(&check, &calls);
        int64_t more = db_int(s->log, "SELECT count(*) FROM seek WHERE n!=0", -1) - check.right;
        if (check.wrong)
            fsck_say(s->all, s->file, 4, false, "buckets that seek does not count right: %lld", (long long)check.wrong);
        if (more)
            fsck_say(s->all, s->file, 4, false, "rows of seek that no exchange accounts for: %lld", (long long)more);
    } else {
        fsck_say(s->all, s->file, 4, false, "cannot be checked: %s", sqlite3_errmsg(s->log));
    }
    sqlite3_finalize(row);
    sqlite3_finalize(check.n);
}

static void check_itself(struct fsck_segment *s)
{
    sqlite3_stmt *row = NULL;
    if (sqlite3_prepare_v2(s->log, "SELECT number, name, first_x, last_x, rows, ops FROM segment", -1, &row, NULL) == SQLITE_OK &&
        sqlite3_step(row) == SQLITE_ROW) {
        if (sqlite3_column_int64(row, 0) != s->number || !bytes_equal_text(db_text(row, 1), s->name))
            fsck_say(s->all, s->file, 2, false, "it says that it is segment %lld, %.*s", (long long)sqlite3_column_int64(row, 0),
                     (int)db_text(row, 1).size, (const char *)db_text(row, 1).at);
        s->first_x = (uint64_t)sqlite3_column_int64(row, 2);
        s->last_x = (uint64_t)sqlite3_column_int64(row, 3);
        s->all->stats->exchanges += (uint64_t)sqlite3_column_int64(row, 4);
        s->all->stats->ops += (uint64_t)sqlite3_column_int64(row, 5);
    }
    sqlite3_finalize(row);
}

struct names {
    sqlite3_stmt *has; // does op_name know this index in this block?
    struct bytes last;
};

static const char *check_ops(const struct op *ops, size_t count, sqlite3_stmt *row, struct names *names)
{
    uint64_t first = (uint64_t)sqlite3_column_int64(row, 1), last = (uint64_t)sqlite3_column_int64(row, 2);
    struct bytes filter = db_blob(row, 5);
    if (count != (uint64_t)sqlite3_column_int64(row, 3))
        return "it does not hold as many ops as told";
    names->last = bytes_of(NULL, 0);
    for (size_t i = 0; i < count; i++) {
        if (ops[i].exchange < first || ops[i].exchange > last)
            return "an op lies outside the block's exchanges";
        if (ops[i].id.size && !oplog_filter_has(filter, oplog_hash(ops[i].index, ops[i].id)))
            return "its filter denies a document that is there";
        if (names->last.at && bytes_equal(names->last, ops[i].index))
            continue;
        names->last = ops[i].index;
        db_bind_word(names->has, 1, ops[i].index);
        db_bind(names->has, 2, sqlite3_column_int64(row, 0));
        bool known = sqlite3_step(names->has) == SQLITE_ROW;
        sqlite3_reset(names->has);
        if (!known)
            return "op_name does not know one of its indices";
    }
    return NULL;
}

static void check_op_blocks(struct fsck_segment *s)
{
    struct arena arena;
    struct names names = {0};
    sqlite3_stmt *row = NULL;
    arena_init(&arena, (size_t)1 << 30);
    int code = sqlite3_prepare_v2(s->log, "SELECT id, first_x, last_x, n, sum, filter, data FROM op_block", -1, &row, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(s->log, "SELECT 1 FROM name n CROSS JOIN op_name o ON o.name=n.id WHERE n.text=? AND o.block=?", -1, &names.has, NULL);
    while (code == SQLITE_OK && sqlite3_step(row) == SQLITE_ROW) {
        struct bytes filter = db_blob(row, 5), data = db_blob(row, 6);
        struct op *ops;
        size_t count;
        const char *wrong = NULL;
        if (oplog_sum(data, filter) != (uint64_t)sqlite3_column_int64(row, 4))
            wrong = "its checksum is wrong";
        else if (!oplog_unpack(&arena, data, &ops, &count))
            wrong = "it does not unpack";
        else if (!oplog_filter_valid(filter))
            wrong = "its filter is malformed";
        else
            wrong = check_ops(ops, count, row, &names);
        if (wrong)
            fsck_say(s->all, s->file, 6, false, "block %lld of ops: %s", (long long)sqlite3_column_int64(row, 0), wrong);
        arena_reset(&arena);
    }
    sqlite3_finalize(row);
    sqlite3_finalize(names.has);
    arena_fini(&arena);
}

void fsck_log(struct fsck_segment *s)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        fsck_expect_none(s->all, s->log, s->file, rules[i].invariant, rules[i].sql, rules[i].text);
    for (size_t i = 0; s->sealed && i < sizeof sealed_rules / sizeof *sealed_rules; i++)
        fsck_expect_none(s->all, s->log, s->file, sealed_rules[i].invariant, sealed_rules[i].sql, sealed_rules[i].text);
    check_seek(s);
    check_itself(s);
    check_op_blocks(s);
}
