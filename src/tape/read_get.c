// One exchange by its id: found in the segment that holds it, or told why it is not there.
#include "select.h"

#include "../base/diag.h"

#include <stdio.h>

static struct raw_row *find_in(struct reel *r, struct reel_segment *s, uint64_t id)
{
    struct open_segment *o = segment_pin(r, s);
    if (!o)
        return NULL;
    sqlite3_stmt *rows = segment_statement(o, SEGMENT_ROWS);
    sqlite3_bind_int64(rows, 1, (int64_t)id);
    sqlite3_bind_int64(rows, 2, (int64_t)id + 1);
    struct raw_row *raw = sqlite3_step(rows) == SQLITE_ROW ? row_read(r, s) : NULL;
    sqlite3_reset(rows);
    if (!raw)
        segment_unpin(r, s);
    return raw;
}

struct raw_row *row_find(struct reel *r, uint64_t id)
{
    for (size_t i = r->count; i-- > 0;) {
        struct reel_segment *s = &r->segments[i];
        if (!s->log_here || (s->listed && (!s->rows || id < s->first_x || id > s->last_x)))
            continue;
        struct raw_row *raw = find_in(r, s, id);
        if (raw)
            return raw;
    }
    return NULL;
}

void row_free(struct raw_row *raw)
{
    if (!raw)
        return;
    segment_unpin(raw->reel, raw->segment);
    mem_free(raw);
}

// Ids that a tape no longer holds lie within a dropped segment, or between kept ones beside a dropped one.
static bool absent(struct reel *r, uint64_t id, struct fault *fault)
{
    uint64_t newest = 0;
    const struct reel_segment *gone = NULL;
    for (size_t i = 0; i < r->count; i++) {
        const struct reel_segment *s = &r->segments[i];
        if (s->log_gone_us && s->rows && id >= s->first_x && id <= s->last_x)
            gone = s;
        if (s->listed && s->last_x > newest)
            newest = s->last_x;
        if (!s->listed)
            newest = UINT64_MAX;
        if (!s->log_here && !s->log_gone_us && id >= s->first_x && id <= s->last_x)
            return fault_user(fault, "exchange %llu is not readable: segment %s, which holds its id, is missing from tape %s", (unsigned long long)id, s->name, r->name);
        if (s->state == SEGMENT_BAD && (!s->listed || (id >= s->first_x && id <= s->last_x)))
            return fault_user(fault, "exchange %llu is not readable: segment %s of tape %s, which may hold it, is damaged", (unsigned long long)id, s->name, r->name);
    }
    if (gone)
        return fault_user(fault, "exchange %llu is no longer on tape %s: segment %s was dropped (%s)", (unsigned long long)id, r->name, gone->name,
                          gone->log_gone_why ? gone->log_gone_why : "no reason told");
    if (newest != UINT64_MAX && id > newest)
        return fault_user(fault, "exchange %llu was never recorded on tape %s: its last one is %llu", (unsigned long long)id, r->name, (unsigned long long)newest);
    return fault_user(fault, "exchange %llu was never recorded on tape %s; see 'estape log'", (unsigned long long)id, r->name);
}

// ---- other taps -----------------------------------------------------------------------------------------------------

struct twins {
    const struct exchange *x;
    uint64_t seen_at;
};

static bool note_twin(void *ctx, const struct tape_row *row)
{
    struct twins *twins = ctx;
    const struct exchange *x = twins->x;
    if (row->x.tcp_seq == x->tcp_seq && endpoint_equal(&row->x.client, &x->client) && endpoint_equal(&row->x.server, &x->server))
        twins->seen_at |= row->also_at | UINT64_C(1) << row->tape;
    return true;
}

// A selection around its time over all tapes tells.
bool tape_seen_by(struct tape *t, const struct tape_row *row, uint64_t *also_at, struct fault *fault)
{
    char ip[64], client[80];
    const char *clients[] = {client};
    bool four = endpoint_is_v4(&row->x.client);
    struct twins twins = {.x = &row->x};
    *also_at = 0;
    if (t->count == 1 || !row->x.client.port)
        return true;
    snprintf(client, sizeof client, four ? "%s:%u" : "[%s]:%u", dict_ip_text(&row->x.client, ip, sizeof ip), row->x.client.port);
    struct tape_filter around = {.since_ns = row->x.time_ns - TWIN_US * 1000, .until_ns = row->x.time_ns + TWIN_US * 1000 + 1, .client = clients, .client_count = 1};
    if (!tape_select(t, &around, note_twin, &twins, fault))
        return false;
    *also_at = twins.seen_at & ~(UINT64_C(1) << row->tape);
    return true;
}

bool tape_get(struct tape *t, size_t which, uint64_t id, tape_row_fn *fn, void *ctx, struct fault *fault)
{
    struct reel *r = &t->reels[which];
    struct row_scratch scratch = {0};
    struct tape_row row;
    if (!reel_load_lates(r))
        return fault_memory(fault);
    struct raw_row *raw = row_find(r, id);
    if (!raw)
        return absent(r, id, fault);
    bool ok = row_join(raw, &scratch, &row) || fault_memory(fault);
    if (ok && fn)
        fn(ctx, &row);
    row_free(raw);
    row_scratch_fini(&scratch);
    return ok;
}
