// Reads of single documents as witnesses: who found a document that only an unanswered write can have made saw that it happened.
//
// Only where nothing else can explain it: the document was known to be absent (or there) before the write, and the read was asked
// behind the write's request and answered before the next write to that document was sent.
#include "plan_inside.h"

#include "../base/diag.h"
#include "../base/mem.h"
#include "../base/percent.h"
#include "../es/path.h"

#include <stdlib.h>

struct plan_read {
    uint64_t document;  // plan_document()
    int64_t time_ns, answered_ns;
    bool found;
};

uint64_t plan_document(uint32_t slot, struct bytes id, int shard)
{
    uint64_t key[3] = {map_hash(id, 21), slot, (uint64_t)(int64_t)shard};
    return map_hash(bytes_of(key, sizeof key), 21);
}

struct read_pass {
    struct plan *p;
    struct nummap *wanted;
    struct buf slots, id, routing;
    struct arena arena;
    bool failed;
};

// False where versions differ in their reading (a bare plus) or nothing is there.
static bool decode(struct bytes text, struct buf *out)
{
    buf_clear(out);
    if (!text.size || memchr(text.at, '+', text.size) || !buf_add_bytes(out, text))
        return false;
    out->size = percent_decode(text, false, out->at, NULL);
    return true;
}

// /INDEX/_doc/ID, /INDEX/TYPE/ID, /INDEX/_source/ID: the third part, and the routing.
static bool read_path(struct read_pass *c, struct bytes target)
{
    static const char *const other_reads[] = {"realtime", "parent", "version"};
    struct path_query query;
    struct bytes path, raw_query;
    size_t parts = 0, from = 0;
    path_split(target, &path, &raw_query);
    for (size_t i = 0; i < path.size; i++)
        if (path.at[i] == '/') {
            parts++;
            from = i + 1;
        }
    arena_reset(&c->arena);
    path_query_read(&c->arena, raw_query, &query);
    const struct path_param *routing = path_query_find(&query, "routing");
    buf_clear(&c->routing);
    for (size_t i = 0; i < sizeof other_reads / sizeof *other_reads; i++)
        if (path_query_value(&query, other_reads[i]).size)
            return false;
    return parts == 3 && !query.cut && decode(bytes_from(path, from), &c->id) &&
           (!routing || !routing->raw_value.size || decode(routing->raw_value, &c->routing));
}

static bool keep(struct plan *p, struct plan_read r)
{
    if (p->read_count == p->read_room) {
        size_t room = p->read_room ? p->read_room * 2 : 64;
        struct plan_read *grown = mem_grow(p->reads, room * sizeof *grown);
        if (!grown)
            return false;
        p->reads = grown;
        p->read_room = room;
    }
    p->reads[p->read_count++] = r;
    return true;
}

static bool see_read(void *ctx, const struct tape_row *row)
{
    struct read_pass *c = ctx;
    const struct exchange *x = &row->x;
    bool head = bytes_equal_text(x->verb, "HEAD"), found = x->status == 200;
    uint32_t slot;
    // A HEAD's 404 does not say whether the document or the index is missing; nor does an error.
    if ((!found && (x->status != 404 || head || bytes_equal_text(x->reason, "index_not_found_exception"))) || x->answered_ns == WHEN_UNKNOWN)
        return true;
    buf_clear(&c->slots);
    if (!plan_names_chosen(c->p, x, &c->slots))
        return !(c->failed = true);
    if (plan_slots_in(&c->slots) != 1 || !read_path(c, x->path))
        return true;
    memcpy(&slot, c->slots.at, sizeof slot);
    uint64_t document = plan_document(slot, buf_view(&c->id), route_shard(&c->p->slots[slot].route, buf_view(&c->id), buf_view(&c->routing)));
    if (c->p->slots[slot].several_types || !nummap_find(c->wanted, document))
        return true;
    c->failed = !keep(c->p, (struct plan_read){document, x->time_ns, x->answered_ns, found});
    return !c->failed;
}

static int by_document(const void *a, const void *b)
{
    const struct plan_read *x = a, *y = b;
    return x->document != y->document ? (x->document < y->document ? -1 : 1) : x->time_ns < y->time_ns ? -1 : x->time_ns > y->time_ns;
}

bool plan_reads_load(struct plan *p, struct fault *fault)
{
    const char *apis[] = {"get", "exists", "get_source", "exists_source"};
    struct read_pass c = {.p = p, .wanted = nummap_open()};
    int64_t first_ns = INT64_MAX;
    arena_init(&c.arena, 0);
    bool fresh, ok = c.wanted || fault_memory(fault);
    for (size_t i = 0; ok && i < p->unanswered_count; i++) {
        first_ns = p->unanswered[i].time_ns < first_ns ? p->unanswered[i].time_ns : first_ns;
        ok = !p->unanswered[i].id_known || nummap_put(c.wanted, p->unanswered[i].document, &fresh) || fault_memory(fault);
    }
    struct tape_filter f = {.since_ns = first_ns, .until_ns = WHEN_UNKNOWN, .api = apis, .api_count = sizeof apis / sizeof *apis};
    ok = ok && (!p->unanswered_count || tape_select(p->set.tape, &f, see_read, &c, fault)) && (!c.failed || fault_memory(fault));
    if (p->read_count)
        qsort(p->reads, p->read_count, sizeof *p->reads, by_document);
    nummap_close(c.wanted);
    arena_fini(&c.arena);
    buf_fini(&c.slots);
    buf_fini(&c.id);
    buf_fini(&c.routing);
    return ok;
}

// Whether a read in (from, until) saw the document there (or not there).
static bool seen(const struct plan *p, uint64_t document, int64_t from_ns, int64_t until_ns, bool found)
{
    size_t low = 0, high = p->read_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (p->reads[mid].document < document)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < p->read_count && p->reads[low].document == document; low++)
        if (p->reads[low].time_ns > from_ns && p->reads[low].answered_ns < until_ns && p->reads[low].found == found)
            return true;
    return false;
}

static bool is_open(const struct op_rec *r)
{
    return r->result == OP_UNKNOWN && !(r->marks & (REC_DONE | REC_NOT_DONE));
}

void plan_judge_reads(const struct plan *p, struct op_rec **ops, size_t count)
{
    bool known = count && ops[0]->life != PLAN_LIFE_FIRST && !(ops[0]->marks & (REC_HELD | REC_UNSURE)), exists = false; // its index was born on this tape
    for (size_t i = 0; p->read_count && i < count; i++) {
        struct op_rec *r = ops[i];
        int64_t until_ns = INT64_MAX;
        for (size_t k = 0; k < count; k++)
            if (k != i && ops[k]->result != OP_FAILED && ops[k]->time_ns >= r->time_ns && ops[k]->time_ns < until_ns)
                until_ns = ops[k]->time_ns;
        bool makes = r->kind != OP_DELETE && (r->kind != OP_UPDATE || (r->op_flags & OP_UPSERT)), wants = r->kind == OP_DELETE ? exists : !exists;
        if (is_open(r) && known && wants && (makes || r->kind == OP_DELETE) && seen(p, plan_document(r->slot, rec_id(r), r->shard), r->time_ns, until_ns, makes))
            r->marks |= REC_DONE;
        if (r->result == OP_CREATED || r->result == OP_UPDATED || (r->result == OP_UNKNOWN && (r->marks & REC_DONE) && r->kind != OP_DELETE))
            known = true, exists = true;
        else if (r->result == OP_DELETED || r->result == OP_NOT_FOUND || (r->result == OP_UNKNOWN && (r->marks & REC_DONE)))
            known = true, exists = false;
        else if (is_open(r))
            known = false;
    }
}
