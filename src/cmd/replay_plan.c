// A plan file: written by a dry run, executed later only where it would still do the same.
//
// The hash covers every step of every document, the by-query and the mapping calls: whatever changes them (a tape that went
// on, other choices, a target that was written meanwhile) changes it. Documents themselves stay on the tape.
#include "replay_plan.h"

#include "../base/diag.h"
#include "../base/json.h"
#include "../base/map.h"
#include "../base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { PLAN_FILE_FORMAT = 1, PLAN_FILE_BYTES_MAX = 4 << 20 };

static uint64_t add_hash(uint64_t hash, struct bytes b)
{
    uint64_t pair[3] = {hash, b.size, map_hash(b, 13)};
    return map_hash(bytes_of(pair, sizeof pair), 13);
}

static uint64_t add_number(uint64_t hash, uint64_t n)
{
    uint64_t pair[2] = {hash, n};
    return map_hash(bytes_of(pair, sizeof pair), 13);
}

static bool hash_plan(struct plan *p, uint64_t *out, struct fault *fault)
{
    uint64_t h = plan_fingerprint(p);
    if (!plan_rewind(p, fault))
        return false;
    for (struct plan_doc d;;) {
        if (!plan_next(p, &d, fault))
            return false;
        if (!d.step_count)
            break;
        h = add_hash(add_hash(add_hash(h, d.id), d.routing), d.type);
        h = add_number(h, (uint64_t)d.slot << 32 | d.epoch);
        for (size_t i = 0; i < d.step_count; i++) {
            const struct plan_step *s = &d.steps[i];
            const uint64_t step[] = {s->exchange, s->item, s->tape, s->kind, s->flags};
            h = add_hash(h, bytes_of(step, sizeof step));
        }
    }
    for (size_t i = 0; i < plan_barrier_count(p); i++)
        h = add_number(h, plan_barrier(p, i)->exchange);
    for (size_t i = 0; i < plan_slot_count(p); i++)
        h = plan_slot(p, i)->deleted ? add_number(h, plan_slot(p, i)->deletion) : h;
    for (size_t i = 0; i < plan_mapping_count(p); i++)
        h = add_number(h, plan_mapping(p, i)->exchange);
    *out = h;
    return plan_rewind(p, fault);
}

// ---- writing ----------------------------------------------------------------------------------------------------------

static void put_text(struct buf *b, const char *name, const char *text)
{
    if (!text)
        return;
    buf_format(b, ",\"%s\":", name);
    json_write_text(b, bytes_of_text(text));
}

static void put_list(struct buf *b, const char *name, const struct option_list *list)
{
    buf_format(b, ",\"%s\":[", name);
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            buf_add_byte(b, ',');
        json_write_text(b, bytes_of_text(list->at[i]));
    }
    buf_add_byte(b, ']');
}

bool replay_plan_save(const char *path, const struct replay_choice *c, const struct replay_run *r, struct fault *fault)
{
    struct buf b = {0};
    uint64_t hash;
    if (!hash_plan(r->plan, &hash, fault))
        return false;
    buf_format(&b, "{\"estape_plan\":%d", PLAN_FILE_FORMAT);
    put_text(&b, "cluster", r->about.uuid);
    put_list(&b, "index", &c->index);
    put_list(&b, "map", &c->maps);
    put_list(&b, "skip", &c->skip);
    put_text(&b, "before", c->before);
    put_text(&b, "unknown", c->unknown);
    put_text(&b, "casualties", c->casualties);
    buf_format(&b, ",\"since_ns\":%lld,\"until_ns\":%lld,\"allow_gaps\":%s,\"exact_versions\":%s,\"admin\":%s", (long long)c->since, (long long)c->until,
               c->allow_gaps ? "true" : "false", c->exact ? "true" : "false", c->admin ? "true" : "false");
    buf_format(&b, ",\"documents\":%llu,\"hash\":\"%016llx\"}\n", (unsigned long long)plan_total(r->plan)->documents, (unsigned long long)hash);
    FILE *f = b.failed ? NULL : fopen(path, "we");
    bool ok = f && fwrite(b.at, 1, b.size, f) == b.size;
    int error = errno;
    ok = f ? (fclose(f) == 0 && ok) : false;
    if (!ok)
        b.failed ? fault_memory(fault) : fault_user(fault, "--plan %s: %s", path, strerror(error));
    buf_fini(&b);
    return ok;
}

// ---- reading ----------------------------------------------------------------------------------------------------------

static const char *copy(struct arena *a, const struct json *j)
{
    char *text = j && j->kind == JSON_KIND_STRING ? arena_alloc(a, j->text.size + 1) : NULL;
    if (!text)
        return NULL;
    memcpy(text, j->text.at, j->text.size);
    text[j->text.size] = 0;
    return text;
}

static bool take_list(struct arena *a, const struct json *j, struct option_list *out)
{
    out->count = 0;
    out->at = mem_alloc(((j ? j->count : 0) + 1) * sizeof *out->at); // given back with the other options
    for (const struct json *e = j && out->at ? j->first : NULL; e; e = e->next)
        if (!(out->at[out->count++] = copy(a, e)))
            return false;
    return out->at != NULL;
}

static bool read_file(const char *path, struct buf *text, struct fault *fault)
{
    char piece[65536];
    size_t n;
    FILE *f = fopen(path, "re");
    if (!f)
        return fault_user(fault, "--plan %s: %s (estape replay --dry-run --plan writes it)", path, strerror(errno));
    while ((n = fread(piece, 1, sizeof piece, f)) > 0 && text->size <= PLAN_FILE_BYTES_MAX)
        buf_add(text, piece, n);
    fclose(f);
    return !text->failed || fault_memory(fault);
}

bool replay_plan_load(const char *path, struct replay_choice *c, struct replay_plan_file *out, struct fault *fault)
{
    struct buf text = {0};
    memset(out, 0, sizeof *out);
    arena_init(&out->arena, 0);
    if (c->index.count || c->maps.count || c->skip.count || c->before || c->unknown || c->casualties || c->since || c->until || c->allow_gaps || c->exact || c->admin)
        return fault_user(fault, "--plan %s holds the choices (indices, maps, --before, --skip, decisions): give none beside it", path);
    bool ok = read_file(path, &text, fault);
    struct json *j = ok ? json_parse(&out->arena, buf_view(&text), NULL) : NULL;
    const struct json *hash = j ? json_path(j, "hash") : NULL, *cluster = j ? json_path(j, "cluster") : NULL;
    bool whole = j && json_int(json_path(j, "estape_plan"), 0) == PLAN_FILE_FORMAT && hash && hash->kind == JSON_KIND_STRING && cluster && cluster->kind == JSON_KIND_STRING;
    if (ok && !whole)
        ok = fault_user(fault, "--plan %s: this is no plan file of this version", path);
    if (ok) {
        snprintf(out->hash, sizeof out->hash, "%.*s", (int)hash->text.size, (const char *)hash->text.at);
        snprintf(out->cluster, sizeof out->cluster, "%.*s", (int)cluster->text.size, (const char *)cluster->text.at);
        out->documents = (uint64_t)json_int(json_path(j, "documents"), 0);
        ok = (take_list(&out->arena, json_path(j, "index"), &c->index) && take_list(&out->arena, json_path(j, "map"), &c->maps) &&
              take_list(&out->arena, json_path(j, "skip"), &c->skip)) || fault_user(fault, "--plan %s: this is no plan file of this version", path);
        c->before = copy(&out->arena, json_path(j, "before"));
        c->unknown = copy(&out->arena, json_path(j, "unknown"));
        c->casualties = copy(&out->arena, json_path(j, "casualties"));
        c->since = json_int(json_path(j, "since_ns"), 0);
        c->until = json_int(json_path(j, "until_ns"), 0);
        c->allow_gaps = json_path(j, "allow_gaps") && json_true(json_path(j, "allow_gaps"));
        c->admin = json_path(j, "admin") && json_true(json_path(j, "admin"));
        c->exact = json_path(j, "exact_versions") && json_true(json_path(j, "exact_versions"));
    }
    buf_fini(&text);
    return ok;
}

void replay_plan_fini(struct replay_plan_file *f)
{
    arena_fini(&f->arena);
}

bool replay_plan_check(const char *path, const struct replay_plan_file *f, struct replay_run *r, struct fault *fault)
{
    uint64_t hash;
    char text[17];
    if (strcmp(f->cluster, r->about.uuid) != 0) {
        r->refused = true;
        return fault_user(fault, "--plan %s was made for another cluster: make one for this target with --dry-run --plan", path);
    }
    if (!hash_plan(r->plan, &hash, fault))
        return false;
    snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
    if (strcmp(f->hash, text) == 0)
        return true;
    r->refused = true;
    return fault_user(fault, "--plan %s: the plan is not the same any more (%llu documents then, %llu now): the tape went on (end the range with --before or --until), or the "
                      "target was written; look at it again with --dry-run --plan", path, (unsigned long long)f->documents, (unsigned long long)plan_total(r->plan)->documents);
}
