// Before anything is written: origin of the copy, its numbers per shard, blocks.
//
// The copy's max_seq_no at the restore decides what is held. It is taken from the shard's commit, which stays that of the
// restore until the first flush, checked against the terms of the documents, and noted in the journal: a later run reads
// it there, since the numbers of the index move on with the first write.
#include "preflight.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/glob.h"
#include "../base/mem.h"

#include <stdio.h>
#include <stdlib.h>

void preflight_index_fini(struct preflight_index *p)
{
    mem_free(p->name);
    p->name = NULL;
}

static void path_of(struct buf *out, const char *index, const char *rest)
{
    buf_clear(out);
    buf_add_byte(out, '/');
    target_encode(out, bytes_of_text(index));
    buf_add_text(out, rest);
}

static struct json *first_member(struct json *j)
{
    return j ? j->first : NULL;
}

static void copy_text(char *to, size_t room, const struct json *j)
{
    snprintf(to, room, "%.*s", j && j->kind == JSON_KIND_STRING ? (int)j->text.size : 0, j && j->kind == JSON_KIND_STRING ? (const char *)j->text.at : "");
}

// ---- settings and state -----------------------------------------------------------------------------------------------

static bool read_settings(const struct preflight_settings *set, struct preflight_index *out, struct arena *a, struct fault *fault)
{
    struct buf path = {0};
    bool missing;
    path_of(&path, out->name, "/_settings");
    struct json *j = target_find(set->target, a, buf_text(&path), &missing, fault);
    buf_fini(&path);
    if (missing)
        return true;
    if (!j || !j->first)
        return false;
    if (!bytes_equal_text(j->first->key, out->name))
        return fault_user(fault, "%s is an alias of %.*s on the target: name the index itself (--map FROM=%.*s)", out->name, (int)j->first->key.size,
                          (const char *)j->first->key.at, (int)j->first->key.size, (const char *)j->first->key.at);
    out->exists = true;
    struct json *s = json_path(j->first, "settings.index");
    struct json *blocks = s ? json_member(s, "blocks") : NULL;
    for (struct json *b = first_member(blocks); b; b = b->next)
        if (json_is_text(b, "true") && (bytes_equal_text(b->key, "write") || bytes_equal_text(b->key, "read_only") || bytes_equal_text(b->key, "read_only_allow_delete")))
            return fault_user(fault, "%s is blocked on the target (index.blocks.%.*s): take the block off first", out->name, (int)b->key.size, (const char *)b->key.at);
    int64_t created = json_int(json_path(s, "version.created"), 0);
    created &= 0x7ffffff;
    out->seam.route.shards = (uint32_t)json_int(json_member(s, "number_of_shards"), 0);
    out->seam.route.partition = (uint32_t)json_int(json_member(s, "routing_partition_size"), 0);
    out->seam.route.old_default = created > 1000000 && created < 7000000 && !set->about->opensearch;
    out->seam.route.modulo = !set->about->opensearch && created >= 9040000;
    out->pipeline = json_member(s, "default_pipeline") || json_member(s, "final_pipeline");
    if (json_is_text(json_member(s, "default_pipeline"), "_none") && !json_member(s, "final_pipeline"))
        out->pipeline = false;
    if (!out->seam.route.shards || out->seam.route.shards > PREFLIGHT_SHARDS_MAX)
        return fault_system(fault, "%s has %u shards: this program knows up to %d", out->name, out->seam.route.shards, PREFLIGHT_SHARDS_MAX);
    return true;
}

static bool read_state(const struct preflight_settings *set, struct preflight_index *out, int64_t *terms, struct arena *a, struct fault *fault)
{
    struct buf path = {0};
    buf_add_text(&path, "/_cluster/state/metadata/");
    target_encode(&path, bytes_of_text(out->name));
    struct json *j = target_json(set->target, a, "GET", buf_text(&path), (struct bytes){0}, fault);
    buf_fini(&path);
    struct json *index = j ? json_path(j, "metadata.indices") : NULL;
    index = index ? json_member(index, out->name) : NULL;
    if (!j)
        return false;
    if (!index)
        return true;
    if (json_is_text(json_member(index, "state"), "close"))
        return fault_user(fault, "%s is closed on the target: open it first", out->name);
    out->seam.route.routing_shards = (uint32_t)json_int(json_member(index, "routing_num_shards"), 0);
    struct json *list = json_member(index, "primary_terms"), *types = json_member(index, "mappings");
    for (struct json *t = first_member(list); t; t = t->next) {
        int64_t shard = strtol((const char *)t->key.at, NULL, 10);
        if (shard >= 0 && shard < PREFLIGHT_SHARDS_MAX)
            terms[shard] = json_int(t, -1);
    }
    for (struct json *t = first_member(types); t && !set->about->typeless; t = t->next)
        if (!bytes_equal_text(t->key, "_default_"))
            snprintf(out->mapping_type, sizeof out->mapping_type, "%.*s", (int)t->key.size, (const char *)t->key.at);
    return true;
}

// ---- numbers per shard ------------------------------------------------------------------------------------------------

static bool read_stats(const struct preflight_settings *set, struct preflight_index *out, int64_t *now, struct arena *a, struct fault *fault)
{
    struct buf path = {0};
    path_of(&path, out->name, "/_stats/docs?level=shards");
    struct json *j = target_json(set->target, a, "GET", buf_text(&path), (struct bytes){0}, fault);
    buf_fini(&path);
    struct json *index = j ? json_member(j, "indices") : NULL;
    index = index ? json_member(index, out->name) : NULL;
    struct json *shards = index ? json_member(index, "shards") : NULL;
    if (!j)
        return false;
    if (!shards)
        return fault_system(fault, "%s: the target tells nothing about its shards (is it allocated?)", out->name);
    out->documents = (uint64_t)json_int(json_path(index, "primaries.docs.count"), 0);
    for (struct json *s = shards->first; s; s = s->next) {
        int64_t shard = strtol((const char *)s->key.at, NULL, 10);
        for (struct json *copy = s->first; copy && shard >= 0 && shard < PREFLIGHT_SHARDS_MAX; copy = copy->next) {
            struct json *primary = json_path(copy, "routing.primary"), *seq = json_member(copy, "seq_no"), *user = json_path(copy, "commit.user_data");
            if (!primary || !json_true(primary) || !seq)
                continue;
            now[shard] = json_int(json_member(seq, "max_seq_no"), -1);
            out->max_seq[shard] = json_int(json_member(user, "max_seq_no"), now[shard]);
            out->sure_seq[shard] = json_int(json_member(user, "local_checkpoint"), out->max_seq[shard]);
        }
    }
    return true;
}

bool preflight_numbers(struct target *t, const char *index, int64_t *max_seq, struct fault *fault)
{
    struct preflight_settings set = {.target = t};
    struct preflight_index *p = mem_zero(1, sizeof *p);
    struct arena a;
    if (!p)
        return fault_memory(fault);
    arena_init(&a, 64 << 20);
    p->name = (char *)(uintptr_t)index;
    bool ok = read_stats(&set, p, max_seq, &a, fault);
    arena_fini(&a);
    mem_free(p);
    return ok;
}

static bool read_recovery(const struct preflight_settings *set, struct preflight_index *out, struct arena *a, struct fault *fault)
{
    struct buf path = {0};
    path_of(&path, out->name, "/_recovery");
    struct json *j = target_json(set->target, a, "GET", buf_text(&path), (struct bytes){0}, fault);
    buf_fini(&path);
    struct json *index = j ? json_member(j, out->name) : NULL, *shards = index ? json_member(index, "shards") : NULL;
    for (struct json *s = first_member(shards); s; s = s->next)
        if (json_is_text(json_member(s, "type"), "SNAPSHOT") && json_true(json_member(s, "primary"))) {
            int64_t start_ns = json_int(json_member(s, "start_time_in_millis"), 0) * WHEN_NS_PER_MS;
            out->restored = true;
            if (start_ns && (out->restored_ns == WHEN_UNKNOWN || start_ns < out->restored_ns))
                out->restored_ns = start_ns;
            copy_text(out->repository, sizeof out->repository, json_path(s, "source.repository"));
            copy_text(out->snapshot, sizeof out->snapshot, json_path(s, "source.snapshot"));
        }
    return j != NULL;
}

// ---- when the snapshot was taken --------------------------------------------------------------------------------------

struct snapshot_search {
    const char *repository, *snapshot;
    int64_t time_ns, end_ns;
};

static bool see_snapshot(void *ctx, const struct tape_row *row)
{
    struct snapshot_search *s = ctx;
    struct buf want = {0};
    buf_add_text(&want, "/_snapshot/");
    target_encode(&want, bytes_of_text(s->repository));
    buf_add_byte(&want, '/');
    target_encode(&want, bytes_of_text(s->snapshot));
    size_t n = want.size;
    if (row->x.path.size >= n && memcmp(row->x.path.at, want.at, n) == 0 && (row->x.path.size == n || row->x.path.at[n] == '?') && row->x.outcome != OUTCOME_FAILED) {
        s->time_ns = row->x.time_ns;
        if (row->x.answered_ns != WHEN_UNKNOWN && row->x.took_ms != 0 && s->end_ns == WHEN_UNKNOWN)
            s->end_ns = row->x.answered_ns;
    }
    buf_fini(&want);
    return true;
}

// The tape's own sight of the call is by the recorder's clock, as all ops are; the repository's times are the cluster's.
static bool snapshot_times(const struct preflight_settings *set, struct preflight_index *out, struct arena *a, struct fault *fault)
{
    const char *apis[] = {"snapshot.create"};
    struct snapshot_search s = {out->repository, out->snapshot, WHEN_UNKNOWN, WHEN_UNKNOWN};
    struct tape_filter f = {.since_ns = WHEN_UNKNOWN, .until_ns = WHEN_UNKNOWN, .api = apis, .api_count = 1};
    struct buf path = {0};
    bool missing;
    if (!tape_select(set->tape, &f, see_snapshot, &s, fault))
        return false;
    buf_add_text(&path, "/_snapshot/");
    target_encode(&path, bytes_of_text(out->repository));
    buf_add_byte(&path, '/');
    target_encode(&path, bytes_of_text(out->snapshot));
    struct json *j = target_find(set->target, a, buf_text(&path), &missing, fault);
    buf_fini(&path);
    struct json *snap = j ? first_member(json_member(j, "snapshots")) : NULL;
    if (snap) {
        int64_t start_ns = json_int(json_member(snap, "start_time_in_millis"), 0) * WHEN_NS_PER_MS, end_ns = json_int(json_member(snap, "end_time_in_millis"), 0) * WHEN_NS_PER_MS;
        if (start_ns && s.time_ns == WHEN_UNKNOWN)
            s.time_ns = start_ns;
        if (end_ns && start_ns)
            s.end_ns = s.time_ns + (end_ns - start_ns) + WHEN_NS_PER_S;
    } else {
        *fault = (struct fault){0}; // the repository may be gone, or not for this account
    }
    out->seam.time_ns = s.time_ns;
    out->seam.end_ns = s.end_ns;
    return true;
}

// ---- the seam ---------------------------------------------------------------------------------------------------------

static void journal_key(const struct preflight_index *p, struct buf *key)
{
    buf_clear(key);
    buf_format(key, "seam:%s", p->name);
}

#define KEYS " keys "

static bool recall(const struct preflight_settings *set, struct preflight_index *out)
{
    struct buf key = {0}, value = {0};
    journal_key(out, &key);
    bool found = set->journal && journal_meta(set->journal, buf_text(&key), &value);
    if (found) {
        long long kind, time_ns, end_ns, n;
        int used = 0;
        const char *at = buf_text(&value);
        found = sscanf(at, "%lld %lld %lld%n", &kind, &time_ns, &end_ns, &used) == 3;
        out->seam.kind = (enum plan_seam_kind)kind;
        out->seam.time_ns = time_ns;
        out->seam.end_ns = end_ns;
        at += used;
        for (uint32_t s = 0; found && s < out->seam.route.shards && kind == PLAN_SEAM_SEQ; s++) {
            long long sure;
            if (sscanf(at, " %lld/%lld%n", &n, &sure, &used) != 2)
                break; // made anew since, with more shards
            out->max_seq[s] = n;
            out->sure_seq[s] = sure;
            at += used;
        }
        unsigned old_default, modulo;
        struct route_index k = {0};
        at = strstr(buf_text(&value), KEYS);
        if (at && sscanf(at + sizeof KEYS - 1, "%u %u %u %u %u", &k.shards, &k.routing_shards, &k.partition, &old_default, &modulo) == 5) {
            k.old_default = old_default;
            k.modulo = modulo;
            out->seam.keys = k;
        }
    }
    buf_fini(&key);
    buf_fini(&value);
    return found;
}

static bool note(const struct preflight_settings *set, const struct preflight_index *p, struct fault *fault)
{
    struct buf key = {0}, value = {0};
    if (!set->journal)
        return true;
    journal_key(p, &key);
    buf_format(&value, "%d %lld %lld", (int)p->seam.kind, (long long)p->seam.time_ns, (long long)p->seam.end_ns);
    for (uint32_t s = 0; s < p->seam.route.shards && p->seam.kind == PLAN_SEAM_SEQ; s++)
        buf_format(&value, " %lld/%lld", (long long)p->max_seq[s], (long long)p->sure_seq[s]);
    const struct route_index *k = &p->seam.keys;
    buf_format(&value, KEYS "%u %u %u %u %u", k->shards, k->routing_shards, k->partition, k->old_default, k->modulo);
    bool ok = journal_set_meta(set->journal, buf_text(&key), buf_view(&value), fault);
    buf_fini(&key);
    buf_fini(&value);
    return ok;
}

// The newest document at or below the commit's number must be of an earlier term than today's: else it was flushed since.
static bool commit_is_the_restores(const struct preflight_settings *set, const struct preflight_index *p, uint32_t shard, int64_t term, bool *yes, struct arena *a,
                                   struct fault *fault)
{
    struct buf path = {0}, body = {0};
    char rest[96];
    snprintf(rest, sizeof rest, "/_search?preference=_shards:%u", shard);
    path_of(&path, p->name, rest);
    buf_format(&body, "{\"size\":1,\"_source\":false,\"seq_no_primary_term\":true,\"query\":{\"range\":{\"_seq_no\":{\"lte\":%lld}}},\"sort\":[{\"_seq_no\":\"desc\"}]}",
               (long long)p->max_seq[shard]);
    struct json *j = target_json(set->target, a, "POST", buf_text(&path), buf_view(&body), fault);
    struct json *hit = j ? first_member(json_path(j, "hits.hits")) : NULL;
    *yes = !hit || json_int(json_member(hit, "_primary_term"), 0) < term;
    buf_fini(&path);
    buf_fini(&body);
    return j != NULL;
}

static bool decide_seam(const struct preflight_settings *set, struct preflight_index *out, const int64_t *now, const int64_t *terms, struct arena *a, struct fault *fault)
{
    bool any = false;
    for (uint32_t s = 0; s < out->seam.route.shards; s++)
        any |= now[s] >= 0;
    if (!any && !out->documents && (set->about->seq_no || !out->restored)) {
        out->seam.kind = PLAN_SEAM_EMPTY;
        return true;
    }
    if (!out->restored && !set->snapshot && set->since_ns == WHEN_UNKNOWN)
        return fault_user(fault, "%s holds %llu documents, and the target does not say which snapshot they came from: name it with --snapshot REPOSITORY/NAME, or bound the "
                                 "range with --since", out->name, (unsigned long long)out->documents);
    if (set->snapshot && !out->restored) {
        const char *slash = strchr(set->snapshot, '/');
        if (!slash)
            return fault_user(fault, "--snapshot %s: say REPOSITORY/NAME", set->snapshot);
        snprintf(out->repository, sizeof out->repository, "%.*s", (int)(slash - set->snapshot), set->snapshot);
        snprintf(out->snapshot, sizeof out->snapshot, "%s", slash + 1);
    }
    if (out->snapshot[0] && !snapshot_times(set, out, a, fault))
        return false;
    if (!out->snapshot[0])
        out->seam.time_ns = set->since_ns;
    if (!any) { // version 5 tells no numbers
        if (out->seam.time_ns == WHEN_UNKNOWN)
            return fault_user(fault, "%s: when its snapshot %s/%s was taken is neither on the tape nor in the repository: bound the range with --since", out->name,
                              out->repository, out->snapshot);
        out->seam.kind = PLAN_SEAM_TIME;
        return true;
    }
    if (!out->snapshot[0]) {
        out->seam.kind = PLAN_SEAM_TIME;
        return true;
    }
    out->seam.kind = PLAN_SEAM_SEQ;
    for (uint32_t s = 0; s < out->seam.route.shards; s++) {
        bool yes = true;
        if (set->about->update_seq_no && out->restored && out->max_seq[s] >= 0 && !commit_is_the_restores(set, out, s, terms[s], &yes, a, fault))
            return false;
        if (!yes)
            return fault_user(fault, "%s was written and flushed since it was restored, so what the copy held can no longer be told: restore it once more, or go on with the "
                                     "journal of the first run (--journal)", out->name);
        int64_t sure = out->max_seq[s] - PREFLIGHT_UNSURE;
        if (out->sure_seq[s] > sure)
            out->sure_seq[s] = sure < -1 ? -1 : sure;
    }
    return true;
}

struct bytes preflight_type(const struct preflight_index *p)
{
    return bytes_of_text(p->mapping_type[0] ? p->mapping_type : "_doc");
}

void preflight_write_ref(struct buf *b, const struct target_about *about, const struct preflight_index *p, const struct plan_doc *doc, const char *routing_key)
{
    buf_add_text(b, "\"_index\":");
    json_write_text(b, bytes_of_text(p->name));
    if (!about->typeless) {
        buf_add_text(b, ",\"_type\":");
        json_write_text(b, doc->type.size ? doc->type : preflight_type(p));
    }
    buf_add_text(b, ",\"_id\":");
    json_write_text(b, doc->id);
    if (!doc->routing.size)
        return;
    bool five = about->major == 5 && !about->opensearch;
    buf_format(b, ",\"%s%s\":", five ? "_" : "", routing_key);
    json_write_text(b, doc->routing);
}

bool preflight_may_write(const struct preflight_settings *set, const struct preflight_index *p, struct fault *fault)
{
    bool five = set->about->major == 5 && !set->about->opensearch;
    struct buf body = {0};
    struct target_reply reply = {0};
    struct arena a;
    char why[300];
    if (!p->exists)
        return true;
    arena_init(&a, 1 << 20);
    // No document has this number: a conflict, which changes nothing and takes no number.
    const struct plan_doc none = {.id = bytes_of_text("estape-may-write")};
    buf_add_text(&body, "{\"delete\":{");
    preflight_write_ref(&body, set->about, p, &none, "routing");
    buf_add_text(&body, set->about->seq_no ? ",\"if_seq_no\":4611686018427387904,\"if_primary_term\":1}}\n" : five ? ",\"_version\":4611686018427387904}}\n" : ",\"version\":4611686018427387904}}\n");
    bool ok = target_call(set->target, "POST", "/_bulk", buf_view(&body), &reply, fault);
    struct json *j = ok ? json_parse(&a, buf_view(&reply.body), NULL) : NULL, *item = first_member(first_member(json_member(j, "items")));
    struct json *error = json_member(item, "error");
    int64_t status = item ? json_int(json_member(item, "status"), 0) : reply.status;
    if (ok && (status == 401 || status == 403)) {
        target_reason(&reply, why, sizeof why);
        if (error && json_member(error, "reason"))
            copy_text(why, sizeof why, json_member(error, "reason"));
        ok = fault_user(fault, "nothing may be written into %s: the target answered %lld %s", p->name, (long long)status, why);
    }
    buf_fini(&body);
    target_reply_fini(&reply);
    arena_fini(&a);
    return ok;
}

bool preflight_unread(const struct json *doc, char *why, size_t room)
{
    const struct json *error = doc ? json_member(doc, "error") : NULL, *type = error ? json_member(error, "type") : NULL, *reason = error ? json_member(error, "reason") : NULL;
    if (!error || (type && bytes_equal_text(type->text, "index_not_found_exception")))
        return false;
    int n = snprintf(why, room, "the target could not read the document: ");
    copy_text(why + n, room - (size_t)n, reason ? reason : type);
    return true;
}

uint64_t preflight_request_max(struct target *t)
{
    struct arena a;
    struct fault ignored = {0};
    arena_init(&a, 16 << 20);
    struct json *j = target_json(t, &a, "GET", "/_nodes/_local/http?filter_path=nodes.*.http.max_content_length_in_bytes", (struct bytes){0}, &ignored);
    struct json *node = j ? first_member(json_member(j, "nodes")) : NULL, *max = node ? json_path(node, "http.max_content_length_in_bytes") : NULL;
    int64_t n = max ? json_int(max, 0) : 0;
    arena_fini(&a);
    return n > 0 ? (uint64_t)n : 0;
}

bool preflight_index(const struct preflight_settings *set, const char *name, struct preflight_index *out, struct fault *fault)
{
    struct arena a;
    static const int64_t none = -1;
    int64_t *now = mem_alloc(2 * PREFLIGHT_SHARDS_MAX * sizeof *now), *terms = now + PREFLIGHT_SHARDS_MAX;
    memset(out, 0, sizeof *out);
    out->name = mem_text_copy(name, strlen(name));
    out->restored_ns = WHEN_UNKNOWN;
    if (!now || !out->name) {
        mem_free(now);
        return fault_memory(fault);
    }
    for (size_t i = 0; i < PREFLIGHT_SHARDS_MAX; i++)
        now[i] = terms[i] = out->max_seq[i] = out->sure_seq[i] = none;
    out->seam = (struct plan_seam){.to = out->name, .kind = PLAN_SEAM_EMPTY, .time_ns = WHEN_UNKNOWN, .end_ns = WHEN_UNKNOWN, .max_seq = out->max_seq, .sure_seq = out->sure_seq};
    arena_init(&a, 64 << 20);
    bool ok = read_settings(set, out, &a, fault);
    if (ok && out->exists) {
        ok = read_state(set, out, terms, &a, fault) && read_stats(set, out, now, &a, fault) && read_recovery(set, out, &a, fault);
        out->seam.keys = out->seam.route;
        if (ok && !recall(set, out))
            ok = decide_seam(set, out, now, terms, &a, fault) && note(set, out, fault);
    } else if (ok && !recall(set, out)) {
        ok = note(set, out, fault);
    }
    arena_fini(&a);
    mem_free(now);
    return ok;
}
