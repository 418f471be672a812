// What is no document: missing indices and mappings before, by-query calls and reindex between.
#include "apply_inside.h"
#include "scout.h"

#include "../base/diag.h"
#include "../base/mem.h"

#include <stdlib.h>
#include <unistd.h>

static void index_path(struct buf *out, const char *index, const char *rest)
{
    buf_clear(out);
    buf_add_byte(out, '/');
    target_encode(out, bytes_of_text(index));
    buf_add_text(out, rest);
}

// All targets of a call that was about several indices.
static void barrier_path(const struct apply *ap, struct buf *out, const struct plan_barrier *b, const char *rest)
{
    buf_clear(out);
    for (size_t i = 0; i < b->slot_count; i++) {
        buf_add_byte(out, i ? ',' : '/');
        target_encode(out, bytes_of_text(plan_slot(ap->set->plan, b->slots[i])->to));
    }
    buf_add_text(out, rest);
}

static bool expect_2xx(struct apply *ap, const char *what, const struct target_reply *reply)
{
    char why[300];
    if (reply->status / 100 == 2)
        return true;
    target_reason(reply, why, sizeof why);
    return fault_system(ap->fault, "%s: the target answered %s", what, why);
}

// The body of the recorded creation, without aliases: they are swapped in at the end, by the user.
static bool create_index(struct apply *ap, const struct preflight_index *p, const struct plan_mapping *m)
{
    struct buf path = {0}, body = {0};
    struct bytes recorded = {0};
    struct target_reply reply = {0};
    struct arena a;
    bool any = false;
    arena_init(&a, 0);
    bool ok = !m || source_request(ap->set->source, m->tape, m->exchange, &recorded, ap->fault);
    struct json *j = ok && recorded.size ? json_parse(&a, recorded, NULL) : NULL;
    buf_add_byte(&body, '{');
    for (struct json *c = j && j->kind == JSON_KIND_OBJECT ? j->first : NULL; c; c = c->next) {
        if (bytes_equal_text(c->key, "aliases"))
            continue;
        if (any)
            buf_add_byte(&body, ',');
        any = true;
        json_write_text(&body, c->key);
        buf_add_byte(&body, ':');
        struct json *first = c->first;
        bool typed = bytes_equal_text(c->key, "mappings") && ap->set->about->typeless && first && c->count == 1 && first->kind == JSON_KIND_OBJECT &&
                     !bytes_equal_text(first->key, "properties") && (json_member(first, "properties") || !first->first) && !bytes_equal_text(first->key, "_source");
        buf_add_bytes(&body, typed ? first->raw : c->raw);
    }
    buf_add_byte(&body, '}');
    index_path(&path, p->name, "");
    ok = ok && target_call(ap->set->target, "PUT", buf_text(&path), buf_view(&body), &reply, ap->fault);
    bool ours = ok && reply.status == 400 && plan_slot(ap->set->plan, m ? m->slot : 0)->deleted && memmem(reply.body.at, reply.body.size, "already_exists", 14);
    ok = ok && (ours || expect_2xx(ap, "creating the index", &reply)); // ours: an interrupted run made it
    arena_fini(&a);
    buf_fini(&path);
    buf_fini(&body);
    target_reply_fini(&reply);
    return ok;
}

// The type that a recorded mapping call names: /INDEX/_mapping/TYPE, or /INDEX/TYPE/_mapping as version 5 also takes it.
static struct bytes mapping_type(const char *path)
{
    struct bytes parts[4] = {{0}};
    size_t count = 0;
    for (const char *at = path; *at && *at != '?' && count < 4;) {
        at += *at == '/';
        size_t n = strcspn(at, "/?");
        if (n)
            parts[count++] = bytes_of(at, n);
        at += n;
    }
    if (count != 3)
        return (struct bytes){0};
    bool last = bytes_equal_text(parts[2], "_mapping") || bytes_equal_text(parts[2], "_mappings");
    return plan_own_type(parts[last ? 1 : 2]);
}

static bool put_mapping(struct apply *ap, const struct preflight_index *p, const struct plan_mapping *m)
{
    struct buf path = {0};
    struct bytes body;
    struct target_reply reply = {0};
    struct arena a;
    arena_init(&a, 0);
    bool ok = source_request(ap->set->source, m->tape, m->exchange, &body, ap->fault);
    struct json *j = ok ? json_parse(&a, body, NULL) : NULL;
    // Typed bodies of before 7 are unwrapped for a target without types.
    if (j && ap->set->about->typeless && j->count == 1 && j->first->kind == JSON_KIND_OBJECT && json_member(j->first, "properties") && !bytes_equal_text(j->first->key, "properties"))
        body = j->first->raw;
    index_path(&path, p->name, "/_mapping");
    if (!ap->set->about->typeless) {
        struct bytes type = plan_slot(ap->set->plan, m->slot)->several_types ? mapping_type(m->path) : (struct bytes){0};
        buf_add_byte(&path, '/');
        if (type.size)
            buf_add_bytes(&path, type); // encoded as it was recorded
        else
            target_encode(&path, preflight_type(p));
    }
    ok = ok && target_call(ap->set->target, "PUT", buf_text(&path), body, &reply, ap->fault) && expect_2xx(ap, "a recorded mapping call (--mappings=as-is goes on without)", &reply);
    arena_fini(&a);
    buf_fini(&path);
    target_reply_fini(&reply);
    return ok;
}

bool apply_noted(struct apply *ap, const char *what, struct apply_mark id, bool set)
{
    struct buf key = {0}, value = {0};
    bool found = false;
    buf_format(&key, "%s:%zu:%llu:%u", what, id.tape, (unsigned long long)id.exchange, id.slot);
    if (ap->set->journal && set)
        journal_set_meta(ap->set->journal, buf_text(&key), bytes_of_text("done"), ap->fault);
    else if (ap->set->journal)
        found = journal_meta(ap->set->journal, buf_text(&key), &value);
    buf_fini(&key);
    buf_fini(&value);
    return found;
}

static struct apply_mark mark_of(const struct plan_mapping *m)
{
    return (struct apply_mark){m->tape, m->exchange, m->slot};
}

// A recorded deletion, and the creation of the life behind it.
static bool again_from_nothing(struct apply *ap, uint32_t slot, const struct preflight_index *index, const struct plan_mapping *creation)
{
    int64_t *max = ap->max_seq[index - ap->set->indices];
    if (!apply_delete(ap, slot, index))
        return false;
    for (size_t i = 0; i < PREFLIGHT_SHARDS_MAX; i++)
        max[i] = -1; // nothing in it is the copy's
    if (!creation || apply_noted(ap, "created", mark_of(creation), false))
        return true;
    if (!create_index(ap, index, creation))
        return false;
    apply_noted(ap, "created", mark_of(creation), true);
    return ap->fault->kind == FAULT_NONE;
}

bool apply_prepare(struct apply *ap)
{
    struct plan *p = ap->set->plan;
    for (size_t s = 0; s < plan_slot_count(p); s++) {
        const struct preflight_index *index = apply_index(ap, (uint32_t)s);
        const struct plan_mapping *creation = NULL;
        if (!index)
            return fault_system(ap->fault, "no pre-flight for %s", plan_slot(p, s)->to);
        for (size_t i = 0; i < plan_mapping_count(p); i++)
            if (plan_mapping(p, i)->slot == s && plan_mapping(p, i)->create)
                creation = plan_mapping(p, i);
        if (plan_slot(p, s)->deleted ? !again_from_nothing(ap, (uint32_t)s, index, creation) : !index->exists && creation && !create_index(ap, index, creation))
            return false;
        for (size_t i = 0; i < plan_mapping_count(p); i++) {
            const struct plan_mapping *m = plan_mapping(p, i);
            if (m->slot != s || m->create || ap->set->no_mapping_calls || apply_noted(ap, "mapping", mark_of(m), false))
                continue;
            if (!put_mapping(ap, index, m))
                return false;
            apply_noted(ap, "mapping", mark_of(m), true);
        }
    }
    struct scout_report scouted;
    if (ap->set->mappings_as_they_are || apply_noted(ap, "scout", (struct apply_mark){0}, false))
        return true;
    if (!scout_run(ap->set, &scouted, ap->fault))
        return false;
    ap->report->mapping_documents = scouted.documents;
    apply_noted(ap, "scout", (struct apply_mark){0}, true);
    return ap->fault->kind == FAULT_NONE;
}

bool apply_refresh(struct apply *ap)
{
    struct buf path = {0};
    struct target_reply reply = {0};
    bool ok = true;
    for (size_t s = 0; ok && s < plan_slot_count(ap->set->plan); s++) {
        index_path(&path, plan_slot(ap->set->plan, s)->to, "/_refresh");
        ok = target_call(ap->set->target, "POST", buf_text(&path), (struct bytes){0}, &reply, ap->fault);
        ok = ok && (reply.status == 404 || expect_2xx(ap, "refreshing", &reply));
    }
    buf_fini(&path);
    target_reply_fini(&reply);
    return ok;
}

// The recorded query string without what would end the call early or hide its counts.
static void keep_parameters(struct buf *out, const char *path)
{
    static const char *const drop[] = {"wait_for_completion", "filter_path", "timeout", "scroll", "refresh", "requests_per_second", "human", "pretty"};
    const char *at = strchr(path, '?');
    char sign = '?';
    for (at = at ? at + 1 : ""; *at;) {
        size_t n = strcspn(at, "&"), name = strcspn(at, "=&");
        bool dropped = false;
        for (size_t i = 0; i < sizeof drop / sizeof *drop; i++)
            dropped |= strlen(drop[i]) == name && memcmp(drop[i], at, name) == 0;
        if (!dropped && n) {
            buf_add_byte(out, (uint8_t)sign);
            buf_add(out, at, n);
            sign = '&';
        }
        at += n + (at[n] == '&');
    }
}

static void reindex_body(struct buf *out, struct bytes body, const char *to)
{
    struct arena a;
    arena_init(&a, 0);
    struct json *j = json_parse(&a, body, NULL);
    bool any = false;
    buf_add_byte(out, '{');
    for (struct json *m = j ? j->first : NULL; m; m = m->next) {
        if (any)
            buf_add_byte(out, ',');
        any = true;
        json_write_text(out, m->key);
        buf_add_byte(out, ':');
        if (!bytes_equal_text(m->key, "dest")) {
            buf_add_bytes(out, m->raw);
            continue;
        }
        buf_add_text(out, "{\"index\":");
        json_write_text(out, bytes_of_text(to));
        for (struct json *d = m->first; d; d = d->next)
            if (!bytes_equal_text(d->key, "index")) {
                buf_add_byte(out, ',');
                json_write_text(out, d->key);
                buf_add_byte(out, ':');
                buf_add_bytes(out, d->raw);
            }
        buf_add_byte(out, '}');
    }
    buf_add_byte(out, '}');
    arena_fini(&a);
}

static size_t p_shards(const struct preflight_index *p)
{
    return p->seam.route.shards ? p->seam.route.shards : 1;
}

void apply_recall_numbers(struct apply *ap)
{
    for (size_t i = 0; ap->set->journal && i < ap->set->index_count; i++) {
        struct buf key = {0}, value = {0};
        buf_format(&key, "numbers-last:%s", ap->set->indices[i].name);
        if (journal_meta(ap->set->journal, buf_text(&key), &value)) {
            char *at = (char *)(uintptr_t)buf_text(&value);
            for (size_t s = 0; s < p_shards(&ap->set->indices[i]) && *at; s++)
                ap->max_seq[i][s] = strtoll(at, &at, 10);
        }
        buf_fini(&key);
        buf_fini(&value);
    }
}

static bool barrier_writes(const struct apply *ap, const struct plan_barrier *b, const char *index)
{
    for (size_t i = 0; b->kind != PLAN_BARRIER_ADMIN && i < b->slot_count; i++)
        if (strcmp(plan_slot(ap->set->plan, b->slots[i])->to, index) == 0)
            return true;
    return false;
}

bool apply_note_numbers(struct apply *ap, const struct plan_barrier *b)
{
    for (size_t i = 0; i < ap->set->index_count; i++) {
        const struct preflight_index *p = &ap->set->indices[i];
        struct buf key = {0}, value = {0};
        bool ok = true;
        if (!barrier_writes(ap, b, p->name))
            continue;
        buf_format(&key, "numbers:%zu:%llu:%s", b->tape, (unsigned long long)b->exchange, p->name);
        if (ap->set->journal && journal_meta(ap->set->journal, buf_text(&key), &value)) {
            char *at = (char *)(uintptr_t)buf_text(&value);
            for (size_t s = 0; s < p_shards(&ap->set->indices[i]) && *at; s++)
                ap->max_seq[i][s] = strtoll(at, &at, 10);
        } else {
            ok = preflight_numbers(ap->set->target, p->name, ap->max_seq[i], ap->fault);
            // An index that was made by this run had no shards when it was looked at.
            size_t shards = p_shards(p);
            for (size_t s = shards; s < PREFLIGHT_SHARDS_MAX; s++)
                shards = ap->max_seq[i][s] >= 0 ? s + 1 : shards;
            for (size_t s = 0; s < shards; s++)
                buf_format(&value, "%lld ", (long long)ap->max_seq[i][s]);
            ok = ok && (!ap->set->journal || journal_set_meta(ap->set->journal, buf_text(&key), buf_view(&value), ap->fault));
        }
        // Rounds that follow begin behind the last barrier.
        buf_clear(&key);
        buf_format(&key, "numbers-last:%s", p->name);
        ok = ok && (!ap->set->journal || journal_set_meta(ap->set->journal, buf_text(&key), buf_view(&value), ap->fault));
        buf_fini(&key);
        buf_fini(&value);
        if (!ok)
            return false;
    }
    return true;
}

// How many documents were written on the primaries since they started: what a by-query call did shows here, whatever the version.
static bool count_writes(struct apply *ap, const struct plan_barrier *b, int64_t *writes)
{
    struct buf path = {0};
    struct arena a;
    arena_init(&a, 0);
    barrier_path(ap, &path, b, "/_stats/indexing");
    struct json *j = target_json(ap->set->target, &a, "GET", buf_text(&path), (struct bytes){0}, ap->fault);
    struct json *n = j ? json_path(j, "_all.primaries.indexing") : NULL;
    *writes = n ? json_int(json_member(n, "index_total"), 0) + json_int(json_member(n, "delete_total"), 0) : 0;
    buf_fini(&path);
    arena_fini(&a);
    return j != NULL;
}

// A cluster goes on with a by-query call whose client is gone.
static bool wait_for_tasks(struct apply *ap)
{
    struct arena a;
    bool running = true, ok = true;
    arena_init(&a, 0);
    while (ok && running && !(ap->set->stop && *(volatile const bool *)ap->set->stop)) {
        bool missing;
        struct json *j = target_find(ap->set->target, &a, "/_tasks?actions=*byquery,*reindex", &missing, ap->fault), *nodes = j ? json_member(j, "nodes") : NULL;
        ok = j || missing;
        running = nodes && nodes->first;
        if (running)
            usleep(200000);
        arena_reset(&a);
    }
    arena_fini(&a);
    return ok;
}

// An earlier run began this call and did not hear what became of it: `wrote` documents since, 0: it never ran, or was not begun.
static bool began_before(struct apply *ap, const struct plan_barrier *b, int64_t *wrote)
{
    struct buf key = {0}, value = {0};
    int64_t now = 0;
    if (!ap->set->journal)
        return true;
    buf_format(&key, "barrier-begun:%zu:%llu", b->tape, (unsigned long long)b->exchange);
    bool begun = journal_meta(ap->set->journal, buf_text(&key), &value);
    bool ok = (!begun || (wait_for_tasks(ap) && apply_refresh(ap))) && count_writes(ap, b, &now);
    if (ok && begun) {
        *wrote = now - strtoll(buf_text(&value), NULL, 10);
    } else if (ok) {
        buf_format(&value, "%lld", (long long)now);
        ok = journal_set_meta(ap->set->journal, buf_text(&key), buf_view(&value), ap->fault);
    }
    buf_fini(&key);
    buf_fini(&value);
    return ok;
}

static bool barrier_done(struct apply *ap, const struct plan_barrier *b, int64_t wrote)
{
    ap->report->barriers++;
    ap->report->barriers_different += b->updated >= 0 && wrote != b->updated;
    apply_noted(ap, "barrier", (struct apply_mark){b->tape, b->exchange, 0}, true);
    return ap->fault->kind == FAULT_NONE;
}

bool apply_barrier(struct apply *ap, const struct plan_barrier *b)
{
    static const char *const rest[] = {"/_update_by_query", "/_delete_by_query", "/_reindex"};
    struct buf path = {0}, body = {0};
    struct bytes recorded;
    struct target_reply reply = {0};
    if (b->kind == PLAN_BARRIER_ADMIN)
        return apply_admin(ap, b);
    if ((b->unknown && !ap->set->run_unknown_barriers) || apply_noted(ap, "barrier", (struct apply_mark){b->tape, b->exchange, 0}, false))
        return true;
    int64_t wrote = 0;
    bool ok = began_before(ap, b, &wrote);
    if (ok && wrote > 0) // it ran to its end without us
        return barrier_done(ap, b, wrote);
    ok = ok && source_request(ap->set->source, b->tape, b->exchange, &recorded, ap->fault);
    if (b->kind == PLAN_BARRIER_REINDEX)
        buf_add_text(&path, rest[b->kind]);
    else
        barrier_path(ap, &path, b, rest[b->kind]);
    keep_parameters(&path, b->path);
    if (ok && b->kind == PLAN_BARRIER_REINDEX)
        reindex_body(&body, recorded, plan_slot(ap->set->plan, b->slots[0])->to);
    else if (ok)
        buf_add_bytes(&body, recorded);
    ok = ok && target_call(ap->set->target, "POST", buf_text(&path), buf_view(&body), &reply, ap->fault);
    ok = ok && (reply.status == 409 || expect_2xx(ap, "a by-query call", &reply));
    if (ok) {
        struct arena a;
        arena_init(&a, 0);
        struct json *j = json_parse(&a, buf_view(&reply.body), NULL);
        wrote = j ? json_int(json_member(j, "updated"), 0) + json_int(json_member(j, "deleted"), 0) + json_int(json_member(j, "created"), 0) : 0;
        arena_fini(&a);
        ok = barrier_done(ap, b, wrote);
    }
    buf_fini(&path);
    buf_fini(&body);
    target_reply_fini(&reply);
    return ok;
}
