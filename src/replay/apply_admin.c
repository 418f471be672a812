// Administrative calls that are made again: onto the target's index instead of the recorded one, each once.
#include "apply_inside.h"

#include "../base/diag.h"

// The part of a recorded path behind its index: /catalog/_settings?x gives /_settings?x, /_all/_open gives /_open.
static const char *behind_index(const char *path)
{
    const char *at = path;
    if (*at == '/' && (at[1] != '_' || strncmp(at, "/_all/", 6) == 0))
        at = at + 1 + strcspn(at + 1, "/?");
    return at;
}

static void refused(struct apply *ap, const struct plan_barrier *b, const struct target_reply *reply)
{
    char why[300];
    struct buf line = {0};
    target_reason(reply, why, sizeof why);
    ap->report->admin_refused++;
    buf_format(&line, "{\"exchange\":%llu,\"api\":\"%s\",\"reason\":", (unsigned long long)b->exchange, b->api);
    json_write_text(&line, bytes_of_text(why));
    buf_add_text(&line, "}\n");
    apply_dead_line(ap, &line);
    buf_fini(&line);
}

// One call. Gone already is what a delete wants.
static bool send(struct apply *ap, const struct plan_barrier *b, const char *path, struct bytes body)
{
    struct target_reply reply = {0};
    bool ok = target_call(ap->set->target, b->verb, path, body, &reply, ap->fault);
    if (ok && reply.status / 100 == 2)
        ap->report->admin++;
    else if (ok && !(reply.status == 404 && strcmp(b->verb, "DELETE") == 0))
        refused(ap, b, &reply);
    target_reply_fini(&reply);
    return ok;
}

// An opened index takes a while until its shards answer. If they never do, the next request tells.
static void await_shards(struct apply *ap, const char *index)
{
    struct buf path = {0};
    struct target_reply reply = {0};
    struct fault ignored = {0};
    buf_add_text(&path, "/_cluster/health/");
    target_encode(&path, bytes_of_text(index));
    buf_add_text(&path, "?wait_for_status=yellow&timeout=30s");
    target_call(ap->set->target, "GET", buf_text(&path), (struct bytes){0}, &reply, &ignored);
    target_reply_fini(&reply);
    buf_fini(&path);
}

bool apply_admin(struct apply *ap, const struct plan_barrier *b)
{
    struct buf path = {0}, body = {0};
    struct bytes recorded = {0};
    size_t actions = 0;
    if ((b->unknown && !ap->set->run_unknown_barriers) || apply_noted(ap, "admin", (struct apply_mark){b->tape, b->exchange, 0}, false))
        return true;
    bool ok = source_request(ap->set->source, b->tape, b->exchange, &recorded, ap->fault);
    if (b->admin == PLAN_ADMIN_CLUSTER) {
        ok = ok && send(ap, b, b->path, recorded);
    } else if (b->admin == PLAN_ADMIN_ALIASES) {
        ok = ok && (plan_aliases(ap->set->plan, b->time_ns, recorded, &body, &actions) || fault_memory(ap->fault));
        ok = ok && (!actions || send(ap, b, "/_aliases", buf_view(&body)));
    }
    for (size_t i = 0; ok && b->admin == PLAN_ADMIN_INDEX && i < b->slot_count; i++) {
        buf_clear(&path);
        buf_add_byte(&path, '/');
        target_encode(&path, bytes_of_text(plan_slot(ap->set->plan, b->slots[i])->to));
        buf_add_text(&path, behind_index(b->path));
        ok = send(ap, b, buf_text(&path), recorded);
        if (ok && strcmp(b->api, "indices.open") == 0)
            await_shards(ap, plan_slot(ap->set->plan, b->slots[i])->to);
    }
    if (ok)
        apply_noted(ap, "admin", (struct apply_mark){b->tape, b->exchange, 0}, true);
    buf_fini(&path);
    buf_fini(&body);
    return ok && ap->fault->kind == FAULT_NONE;
}

// ---- a deletion -------------------------------------------------------------------------------------------------------

static bool index_uuid(struct apply *ap, const char *path, struct buf *uuid, bool *missing)
{
    struct arena a;
    struct buf settings = {0};
    arena_init(&a, 16 << 20);
    buf_format(&settings, "%s/_settings", path);
    struct json *j = target_find(ap->set->target, &a, buf_text(&settings), missing, ap->fault);
    struct json *id = j && j->first ? json_path(j->first, "settings.index.uuid") : NULL;
    buf_clear(uuid);
    if (id && id->kind == JSON_KIND_STRING)
        buf_add_bytes(uuid, id->text);
    buf_fini(&settings);
    arena_fini(&a);
    return j || *missing;
}

static bool send_delete(struct apply *ap, const char *path)
{
    struct target_reply reply = {0};
    char why[300];
    bool ok = target_call(ap->set->target, "DELETE", path, (struct bytes){0}, &reply, ap->fault);
    if (ok && reply.status / 100 != 2 && reply.status != 404) {
        target_reason(&reply, why, sizeof why);
        ok = fault_system(ap->fault, "a recorded deletion: the target answered %s", why);
    }
    target_reply_fini(&reply);
    return ok;
}

// The journal names the index that is to go by its uuid: after an interruption nothing younger of the same name is taken for it.
bool apply_delete(struct apply *ap, uint32_t slot, const struct preflight_index *index)
{
    const struct plan_slot *s = plan_slot(ap->set->plan, slot);
    const struct apply_mark mark = {s->deletion_tape, s->deletion, slot};
    struct buf key = {0}, doomed = {0}, uuid = {0}, path = {0};
    bool missing = false;
    if (apply_noted(ap, "deleted", mark, false))
        return true;
    buf_add_byte(&path, '/');
    target_encode(&path, bytes_of_text(index->name));
    buf_format(&key, "deleting:%zu:%llu:%s", mark.tape, (unsigned long long)mark.exchange, index->name);
    bool ok = index_uuid(ap, buf_text(&path), &uuid, &missing);
    bool begun = ok && ap->set->journal && journal_meta(ap->set->journal, buf_text(&key), &doomed);
    if (ok && !missing && ap->set->journal && !begun)
        ok = journal_set_meta(ap->set->journal, buf_text(&key), buf_view(&uuid), ap->fault);
    if (ok && !missing && (!begun || bytes_equal(buf_view(&doomed), buf_view(&uuid)))) {
        ok = send_delete(ap, buf_text(&path));
        ap->report->admin += ok;
    }
    if (ok)
        apply_noted(ap, "deleted", mark, true);
    buf_fini(&key);
    buf_fini(&doomed);
    buf_fini(&uuid);
    buf_fini(&path);
    return ok && ap->fault->kind == FAULT_NONE;
}
