// Names, their lives, aliases, and which of them were chosen for the plan.
//
// Flow: events of lives and resolutions come from the tapes; --before and --skip become points; slots come from --map,
// --index or what the points touched; then every op asks for its name and life.
// Invariants: 1. lives of a name are ordered by key. 2. an op belongs to the life its times allow; where they allow two,
// the nearer sequence number decides.
#include "plan_inside.h"

#include "../base/diag.h"
#include "../base/glob.h"
#include "../base/mem.h"

#include <stdlib.h>

bool plan_point_hit(const struct plan_point *pt, size_t tape, uint64_t exchange)
{
    return pt->tape == tape && pt->id == exchange;
}

bool plan_is_skipped(const struct plan *p, size_t tape, uint64_t exchange)
{
    for (size_t i = 0; i < p->skip_count; i++)
        if (plan_point_hit(&p->skips[i], tape, exchange))
            return true;
    return false;
}

int plan_names_find(struct plan *p, struct bytes text)
{
    bool fresh;
    union map_value *v = map_put(p->name_of, text, &fresh);
    if (!v)
        return -1;
    if (v->num)
        return (int)v->num - 1;
    if (p->name_count == p->name_room) {
        size_t room = p->name_room ? p->name_room * 2 : 32;
        struct plan_name *grown = mem_grow(p->names, room * sizeof *grown);
        if (!grown)
            return -1;
        p->names = grown;
        p->name_room = room;
    }
    struct plan_name *n = &p->names[p->name_count];
    *n = (struct plan_name){.text = mem_text_copy(text.at, text.size), .slot = -1, .tops = nummap_open(), .settled = nummap_open()};
    if (!n->text || !n->tops || !n->settled) {
        mem_free(n->text);
        nummap_close(n->tops);
        nummap_close(n->settled);
        return -1;
    }
    v->num = ++p->name_count;
    return (int)v->num - 1;
}

void plan_names_free(struct plan *p)
{
    for (size_t i = 0; i < p->name_count; i++) {
        mem_free(p->names[i].text);
        mem_free(p->names[i].lives);
        nummap_close(p->names[i].tops);
        nummap_close(p->names[i].settled);
    }
    for (size_t i = 0; i < p->resolution_count; i++) {
        mem_free(p->resolutions[i].name);
        mem_free(p->resolutions[i].index);
    }
    mem_free(p->names);
    mem_free(p->resolutions);
    if (p->name_of)
        map_close(p->name_of);
}

// ---- lives ------------------------------------------------------------------------------------------------------------

static struct plan_life *life_add(struct plan_name *n, int64_t key)
{
    struct plan_life *grown = mem_grow(n->lives, (n->life_count + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    n->lives = grown;
    grown[n->life_count] = (struct plan_life){.key = key, .end_ns = INT64_MAX, .end_until_ns = INT64_MAX};
    return &grown[n->life_count++];
}

struct life_event {
    int name;
    size_t tape;
    int64_t time_ns;
    uint64_t exchange;
    bool born, seen;
};

struct life_list {
    struct plan *p;
    struct life_event *at;
    size_t count, room;
    bool failed;
};

static bool collect_life(void *ctx, size_t which, const struct incarnation *life)
{
    struct life_list *l = ctx;
    if (l->count == l->room) {
        size_t room = l->room ? l->room * 2 : 64;
        struct life_event *grown = mem_grow(l->at, room * sizeof *grown);
        if (!grown)
            return !(l->failed = true);
        l->at = grown;
        l->room = room;
    }
    int name = plan_names_find(l->p, life->index);
    if (name < 0)
        return !(l->failed = true);
    l->at[l->count++] = (struct life_event){name, which, life->time_ns, life->exchange, life->born, life->seen};
    return true;
}

static int by_time(const void *a, const void *b)
{
    const struct life_event *x = a, *y = b;
    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    return x->born - y->born; // an end before a beginning of the same moment
}

static bool point_of_row(void *ctx, const struct tape_row *row)
{
    struct plan_point *pt = ctx;
    pt->time_ns = row->x.time_ns;
    pt->answered_ns = row->x.answered_ns == WHEN_UNKNOWN ? row->x.time_ns : row->x.answered_ns;
    return false;
}

struct end_row {
    struct plan_point at;
    bool write_of_documents; // the conclusion hangs on what followed, not on the call that did it
};

static bool end_of_row(void *ctx, const struct tape_row *row)
{
    static const char *const documents[] = {"bulk", "index", "create", "update", "delete"};
    struct end_row *e = ctx;
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++)
        e->write_of_documents |= bytes_equal_text(row->x.api, documents[i]);
    return point_of_row(&e->at, row);
}

static struct end_row row_of_event(struct plan *p, const struct life_event *e)
{
    struct end_row row = {.at = {.tape = e->tape, .id = e->exchange, .time_ns = e->time_ns, .answered_ns = e->time_ns}};
    struct fault ignored = {0};
    if (e->exchange)
        tape_get(p->set.tape, e->tape, e->exchange, end_of_row, &row, &ignored);
    return row;
}

// A missing index that was asked for before this life began tells of the one before. It stands behind the beginning where
// another tap told that, with an answer that was quicker.
static bool tells_of_an_earlier_life(struct plan *p, const struct plan_life *last, const struct life_event *e)
{
    return !e->seen && last->born && e->tape != last->born_tape && row_of_event(p, e).at.time_ns < last->born_ns;
}

// Each tap concludes a beginning by itself, when the first write of the new life passes it.
static bool told_by_another_tap(const struct plan_life *last, const struct life_event *e)
{
    return last->born && !(last->born_told >> (e->tape & 63) & 1);
}

static void life_end(struct plan *p, struct plan_life *life, const struct life_event *e)
{
    struct end_row row = row_of_event(p, e);
    struct plan_point at = row.at;
    life->ended = true;
    life->end_ns = at.time_ns;
    life->end_until_ns = at.answered_ns > at.time_ns ? at.answered_ns : at.time_ns;
    life->end_exchange = e->exchange;
    life->end_tape = e->tape;
    life->end_seen = !e->born && (e->seen || (e->exchange && !row.write_of_documents));
    life->end_skipped = plan_is_skipped(p, e->tape, e->exchange);
}

static bool apply_life_event(struct plan *p, const struct life_event *e)
{
    struct plan_name *n = &p->names[e->name];
    struct plan_life *last = n->life_count ? &n->lives[n->life_count - 1] : NULL;
    if (!e->born) {
        if (last && last->ended)
            return true; // told twice: two taps, or a conclusion after the call
        if (last && tells_of_an_earlier_life(p, last, e))
            return true;
        if (!last && !(last = life_add(n, PLAN_LIFE_FIRST)))
            return false;
        life_end(p, last, e);
        return true;
    }
    if (last && !last->ended) {
        if ((e->seen && last->born) || told_by_another_tap(last, e)) {
            last->born_told |= UINT64_C(1) << (e->tape & 63);
            return true; // told twice
        }
        if (e->seen && n->life_count == 1 && !last->born) {
            last->born = true;
            return true;
        }
        life_end(p, last, e); // it must have died unseen
    } else if (!last && e->seen) { // made by a call, and perhaps anew
        if (!(last = life_add(n, PLAN_LIFE_FIRST)))
            return false;
        life_end(p, last, e);
    }
    last = life_add(n, e->time_ns);
    if (!last)
        return false;
    struct plan_point at = {.time_ns = e->time_ns, .answered_ns = e->time_ns};
    struct fault ignored = {0};
    if (e->exchange)
        tape_get(p->set.tape, e->tape, e->exchange, point_of_row, &at, &ignored);
    last->born = true;
    last->born_told = UINT64_C(1) << (e->tape & 63);
    last->born_ns = at.answered_ns;
    last->born_exchange = e->exchange;
    last->born_tape = e->tape;
    return true;
}

static bool load_lives(struct plan *p, struct fault *fault)
{
    struct life_list l = {.p = p};
    bool ok = tape_lives(p->set.tape, collect_life, &l, fault);
    if (ok && l.failed)
        ok = fault_memory(fault);
    if (ok && l.count)
        qsort(l.at, l.count, sizeof *l.at, by_time);
    for (size_t i = 0; ok && i < l.count; i++)
        if (!apply_life_event(p, &l.at[i]))
            ok = fault_memory(fault);
    mem_free(l.at);
    return ok;
}

// ---- resolutions ------------------------------------------------------------------------------------------------------

static bool collect_resolution(void *ctx, size_t which, const struct resolution *r)
{
    struct plan *p = ctx;
    (void)which;
    if (p->resolution_count == p->resolution_room) {
        size_t room = p->resolution_room ? p->resolution_room * 2 : 32;
        struct plan_resolution *grown = mem_grow(p->resolutions, room * sizeof *grown);
        if (!grown)
            return !(p->fail_memory = true);
        p->resolutions = grown;
        p->resolution_room = room;
    }
    if (bytes_equal(r->name, r->index))
        return true;
    struct plan_resolution *to = &p->resolutions[p->resolution_count];
    *to = (struct plan_resolution){.time_ns = r->time_ns, .name = mem_text_copy(r->name.at, r->name.size), .index = mem_text_copy(r->index.at, r->index.size),
                                   .alias = !bytes_equal_text(r->kind, "date_math")};
    p->resolution_count++;
    if (!to->name || !to->index)
        return !(p->fail_memory = true);
    return true;
}

static const struct plan_resolution *resolution_at(const struct plan *p, struct bytes name, int64_t time_ns)
{
    const struct plan_resolution *best = NULL;
    for (size_t i = 0; i < p->resolution_count; i++) {
        const struct plan_resolution *r = &p->resolutions[i];
        if (!bytes_equal_text(name, r->name))
            continue;
        if (!best || (best->time_ns > time_ns ? r->time_ns < best->time_ns : r->time_ns <= time_ns && r->time_ns >= best->time_ns))
            best = r;
    }
    return best;
}

struct bytes plan_names_resolve(struct plan *p, struct bytes asked, int64_t time_ns, bool *resolved)
{
    union map_value *v = map_find(p->name_of, asked);
    const struct plan_resolution *r = resolution_at(p, asked, time_ns);
    *resolved = true;
    if (v && v->num) {
        const struct plan_name *n = &p->names[v->num - 1];
        for (size_t i = 0; i < n->life_count; i++) // an index of that very name lived then
            if (time_ns >= n->lives[i].key && time_ns <= n->lives[i].end_until_ns && (n->lives[i].born || !r))
                return asked;
    }
    if (r)
        return bytes_of_text(r->index);
    // Nothing on the tape says otherwise: a name is an index. Known for sure only when answers named it so.
    *resolved = v && v->num && (p->names[v->num - 1].life_count || p->names[v->num - 1].slot >= 0);
    return asked;
}

// ---- slots ------------------------------------------------------------------------------------------------------------

static int slot_add(struct plan *p, const char *from, const char *to)
{
    for (size_t i = 0; i < p->slot_count; i++)
        if (strcmp(p->slots[i].to, to) == 0)
            return (int)i;
    struct plan_slot *grown = mem_grow(p->slots, (p->slot_count + 1) * sizeof *grown);
    if (!grown)
        return -1;
    p->slots = grown;
    struct plan_slot *s = &grown[p->slot_count];
    *s = (struct plan_slot){.from = mem_text_copy(from, strlen(from)), .to = mem_text_copy(to, strlen(to))};
    if (!s->from || !s->to) {
        mem_free(s->from);
        mem_free(s->to);
        return -1;
    }
    for (size_t i = 0; i < p->set.seam_count; i++)
        if (strcmp(p->set.seams[i].to, to) == 0) {
            s->seam = p->set.seams[i].kind;
            s->route_known = s->seam != PLAN_SEAM_EMPTY && p->set.seams[i].route.shards;
            s->route = s->seam == PLAN_SEAM_EMPTY ? p->set.seams[i].keys : p->set.seams[i].route;
        }
    return (int)p->slot_count++;
}

static const struct plan_map *map_of(const struct plan *p, const char *name)
{
    for (size_t i = 0; i < p->set.map_count; i++)
        if (strcmp(p->set.maps[i].from, name) == 0)
            return &p->set.maps[i];
    return NULL;
}

static bool pattern_hit(const struct plan *p, const char *name)
{
    for (size_t i = 0; i < p->set.index_count; i++)
        if (glob_match(bytes_of_text(p->set.index[i]), bytes_of_text(name)))
            return true;
    return false;
}

// Slot of a concrete name; -2: memory out, -1: not chosen.
static int choose(struct plan *p, struct plan_name *n, int depth)
{
    const struct plan_map *m = map_of(p, n->text);
    // An index that appeared under what had been an alias of a chosen index: the accident's second life.
    for (size_t i = 0; depth < 4 && p->skip_count && i < p->resolution_count; i++) {
        const struct plan_resolution *r = &p->resolutions[i];
        if (!r->alias || strcmp(r->name, n->text) != 0)
            continue;
        bool born_after = false;
        for (size_t k = 0; k < n->life_count; k++)
            born_after |= n->lives[k].born && n->lives[k].key > r->time_ns;
        int meant = plan_names_find(p, bytes_of_text(r->index));
        if (meant < 0)
            return -2;
        n = &p->names[plan_names_find(p, bytes_of_text(r->name))];
        int slot = born_after ? choose(p, &p->names[meant], depth + 1) : -1;
        if (slot >= 0 || slot == -2) {
            n->redirected = slot >= 0;
            return slot;
        }
    }
    if (m) {
        int slot = slot_add(p, n->text, m->to);
        return slot < 0 ? -2 : slot;
    }
    // A map may name the alias that writes went through.
    for (size_t i = 0; i < p->resolution_count; i++)
        if (p->resolutions[i].alias && strcmp(p->resolutions[i].index, n->text) == 0 && (m = map_of(p, p->resolutions[i].name))) {
            int slot = slot_add(p, n->text, m->to);
            return slot < 0 ? -2 : slot;
        }
    bool hit = p->set.index_count && pattern_hit(p, n->text);
    for (size_t i = 0; !hit && p->set.index_count && i < p->resolution_count; i++)
        hit = p->resolutions[i].alias && strcmp(p->resolutions[i].index, n->text) == 0 && pattern_hit(p, p->resolutions[i].name);
    if (!hit)
        return -1;
    int slot = slot_add(p, n->text, n->text);
    return slot < 0 ? -2 : slot;
}

// Chosen lazily: slot -1 in a name means "asked and not chosen", hence the mark.
enum { SLOT_NOT_ASKED = -3 };

int plan_names_slot(struct plan *p, int name)
{
    struct plan_name *n = &p->names[name];
    if (n->slot == -1) {
        int slot = choose(p, n, 0);
        p->names[name].slot = slot == -1 ? SLOT_NOT_ASKED : slot;
    }
    return p->names[name].slot < 0 ? (p->names[name].slot == -2 ? -2 : -1) : p->names[name].slot;
}

static bool add_slot(struct buf *slots, uint32_t slot)
{
    for (size_t i = 0; i < plan_slots_in(slots); i++)
        if (memcmp(slots->at + i * sizeof slot, &slot, sizeof slot) == 0)
            return true;
    return buf_add(slots, &slot, sizeof slot);
}

bool plan_names_chosen_one(struct plan *p, struct bytes text, int64_t time_ns, struct buf *slots)
{
    bool resolved, all = bytes_equal_text(text, "_all");
    if (glob_is_pattern(text) || all) {
        for (uint32_t s = 0; s < p->slot_count; s++)
            if ((all || glob_match(text, bytes_of_text(p->slots[s].from))) && !add_slot(slots, s))
                return false;
        return true;
    }
    int name = plan_names_find(p, plan_names_resolve(p, text, time_ns, &resolved));
    int found = name < 0 ? -2 : plan_names_slot(p, name);
    return found != -2 && (found < 0 || add_slot(slots, (uint32_t)found));
}

bool plan_names_chosen(struct plan *p, const struct exchange *x, struct buf *slots)
{
    for (size_t i = 0; i < x->index_count + x->target_count; i++)
        if (!plan_names_chosen_one(p, i < x->index_count ? x->indices[i].index : x->targets[i - x->index_count], x->time_ns, slots))
            return false;
    return true;
}

// ---- points -----------------------------------------------------------------------------------------------------------

struct point_row {
    struct plan *p;
    struct plan_point *point;
    struct buf *names; // NUL-separated: what it touched, for the default choice
};

static bool take_point_row(void *ctx, const struct tape_row *row)
{
    struct point_row *r = ctx;
    r->point->id = row->x.id;
    r->point->tape = row->tape;
    point_of_row(r->point, row);
    for (size_t i = 0; i < row->x.index_count; i++) {
        buf_add_bytes(r->names, row->x.indices[i].index);
        buf_add_byte(r->names, 0);
    }
    for (size_t i = 0; !row->x.index_count && i < row->x.target_count; i++) {
        buf_add_bytes(r->names, row->x.targets[i]);
        buf_add_byte(r->names, 0);
    }
    return false;
}

static bool load_point(struct plan *p, const char *text, struct plan_point *point, struct buf *names, struct fault *fault)
{
    struct point_row r = {p, point, names};
    return tape_parse_id(p->set.tape, text, &point->tape, &point->id, fault) && tape_get(p->set.tape, point->tape, point->id, take_point_row, &r, fault);
}

static bool choose_by_points(struct plan *p, struct buf *names, struct fault *fault)
{
    for (size_t at = 0; at < names->size; at += strlen((char *)names->at + at) + 1) {
        const char *text = (char *)names->at + at;
        bool resolved;
        if (glob_is_pattern(bytes_of_text(text)))
            return fault_user(fault, "the exchange names its indices by a pattern (%s): say which ones with --index or --map", text);
        struct bytes real = plan_names_resolve(p, bytes_of_text(text), p->has_before ? p->before.time_ns : p->skips[0].time_ns, &resolved);
        int name = plan_names_find(p, real);
        char *copy = mem_text_copy(real.at, real.size);
        int slot = name >= 0 && copy ? slot_add(p, copy, copy) : -1;
        mem_free(copy);
        if (slot < 0)
            return fault_memory(fault);
        p->names[name].slot = slot;
    }
    return true;
}

bool plan_names_load(struct plan *p, struct fault *fault)
{
    struct buf names = {0};
    bool ok = true;
    p->skips = mem_zero(p->set.skip_count, sizeof *p->skips);
    if (!p->skips)
        return fault_memory(fault);
    if (p->set.before) {
        ok = load_point(p, p->set.before, &p->before, &names, fault);
        p->has_before = ok;
    }
    for (size_t i = 0; ok && i < p->set.skip_count; i++) {
        ok = load_point(p, p->set.skip[i], &p->skips[i], &names, fault);
        p->skip_count += ok;
    }
    ok = ok && load_lives(p, fault) && tape_resolutions(p->set.tape, collect_resolution, p, fault);
    if (ok && p->fail_memory)
        ok = fault_memory(fault);
    for (size_t i = 0; ok && i < p->set.map_count; i++) // slots of maps exist even when nothing was written
        ok = slot_add(p, p->set.maps[i].from, p->set.maps[i].to) >= 0 || fault_memory(fault);
    if (ok && !p->set.map_count && !p->set.index_count) {
        if (!names.size && !p->set.before && !p->set.skip_count)
            ok = fault_user(fault, "which indices? name them with --index PATTERN or --map FROM=TO");
        else
            ok = choose_by_points(p, &names, fault);
    }
    buf_fini(&names);
    return ok;
}

// ---- the life of an op ------------------------------------------------------------------------------------------------

static uint64_t shard_key(size_t tape, size_t life, int shard)
{
    return (uint64_t)tape << 48 | (uint64_t)life << 16 | (uint16_t)(shard + 1);
}

static int64_t highest(struct nummap *m, uint64_t key)
{
    union map_value *v = nummap_find(m, key);
    return v ? (int64_t)v->num - 1 : -1;
}

static void raise_to(struct plan *p, struct nummap *m, uint64_t key, int64_t seq_no)
{
    bool fresh;
    union map_value *v = nummap_put(m, key, &fresh);
    if (!v)
        p->fail_memory = true;
    else if ((uint64_t)seq_no + 1 > v->num)
        v->num = (uint64_t)seq_no + 1;
}

// A shard gives its numbers in order: what is asked after a number was answered gets a higher one, or lives elsewhere. Only
// where the life's shards are known, and by the clock of one tape.
static bool is_overtaken(struct plan_name *n, size_t life, const struct tape_op *t)
{
    const struct plan_life *l = &n->lives[life];
    if (!l->route.shards || !t->op.id.size || t->time_ns < l->end_ns)
        return false;
    return t->op.seq_no <= highest(n->settled, shard_key(t->tape, life, route_shard(&l->route, t->op.id, t->op.routing)));
}

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

size_t plan_names_life(struct plan *p, int name, const struct tape_op *t, int shard)
{
    struct plan_name *n = &p->names[name];
    const struct op *op = &t->op;
    int64_t time_ns = t->time_ns, answered_ns = t->answered_ns;
    int64_t done_ns = answered_ns == WHEN_UNKNOWN ? INT64_MAX : answered_ns;
    size_t life = 0;
    if (!n->life_count)
        return 0;
    while (life + 1 < n->life_count) {
        const struct plan_life *l = &n->lives[life];
        if (done_ns < l->end_ns)
            break;                                              // surely before the end
        // From the answer of the deletion, or of the call that began the next life, on: surely behind the end.
        bool answered = l->end_until_ns > l->end_ns && time_ns > l->end_until_ns;
        if (answered || time_ns > l[1].born_ns || op->seq_no < 0 || op->result == OP_NOOP) {
            if (op->seq_no < 0 && time_ns < l->end_ns && (answered_ns == WHEN_UNKNOWN || op->version > 1))
                break;
            life++;
            continue;
        }
        // Both lives are possible: whichever the number continues. Asked before the new one's first answer, it is near its
        // beginning, however far the ops of another tape have brought it already.
        int64_t next = distance(op->seq_no, highest(n->tops, shard_key(0, life + 1, shard)) + 1);
        if (!is_overtaken(n, life, t) && distance(op->seq_no, highest(n->tops, shard_key(0, life, shard)) + 1) < (op->seq_no < next ? op->seq_no : next))
            break;
        life++;
    }
    n->lives[life].ops++;
    if (op->seq_no >= 0)
        raise_to(p, n->tops, shard_key(0, life, shard), op->seq_no);
    const struct plan_life *l = &n->lives[life];
    if (op->seq_no >= 0 && l->ended && l->route.shards && op->id.size && done_ns < l->end_ns)
        raise_to(p, n->settled, shard_key(t->tape, life, route_shard(&l->route, op->id, op->routing)), op->seq_no);
    return life;
}
