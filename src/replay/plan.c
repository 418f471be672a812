// The plan, built and handed out: see plan.h for the flow.
#include "plan.h"
#include "plan_inside.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { NOTES_MAX = 10000 };

bool plan_note_add(struct plan *p, enum plan_note_kind kind, const struct op_rec *rec, const char *format, ...)
{
    p->note_total[kind]++;
    if (p->note_count >= NOTES_MAX)
        return true;
    if (p->note_count == p->note_room) {
        size_t room = p->note_room ? p->note_room * 2 : 64;
        struct plan_note *grown = mem_grow(p->notes, room * sizeof *grown);
        if (!grown) {
            p->fail_memory = true;
            return true;
        }
        p->notes = grown;
        p->note_room = room;
    }
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct plan_note *n = &p->notes[p->note_count++];
    *n = (struct plan_note){.kind = kind, .text = mem_text_copy(text, strlen(text))};
    if (rec) {
        struct bytes id = rec_id(rec);
        n->slot = rec->slot;
        n->tape = rec->tape;
        n->exchange = rec->exchange;
        n->item = rec->item;
        n->id = rec->id_size ? mem_text_copy(id.at, id.size) : NULL;
    }
    p->fail_memory |= !n->text;
    return true;
}

void plan_refuse(struct plan *p, const char *format, ...)
{
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (p->refusal.size)
        buf_add_text(&p->refusal, "\n");
    buf_add_text(&p->refusal, text);
}

uint32_t plan_text_number(struct plan *p, struct bytes text)
{
    bool fresh;
    union map_value *v = map_put(p->text_of, text, &fresh);
    if (!v)
        return 0;
    if (v->num)
        return (uint32_t)v->num;
    char **grown = mem_grow(p->texts, (p->text_count + 1) * sizeof *grown);
    if (!grown)
        return 0;
    p->texts = grown;
    if (!(grown[p->text_count] = mem_text_copy(text.at, text.size)))
        return 0;
    v->num = ++p->text_count;
    return (uint32_t)v->num;
}

struct bytes plan_text(const struct plan *p, uint32_t number)
{
    return number && number <= p->text_count ? bytes_of_text(p->texts[number - 1]) : (struct bytes){0};
}

// ---- what must not be applied as it stands ----------------------------------------------------------------------------

static void sum_counts(struct plan *p)
{
    uint64_t gaps = p->total.gaps, gap_bytes = p->total.gap_bytes, admin_left = p->total.admin_left;
    p->total = (struct plan_count){0};
    for (size_t i = 0; i < p->slot_count; i++) {
        const uint64_t *from = (const uint64_t *)&p->slots[i].count;
        uint64_t *to = (uint64_t *)&p->total;
        for (size_t k = 0; k < sizeof p->total / sizeof *to; k++)
            to[k] += from[k];
    }
    p->total.gaps = gaps;
    p->total.gap_bytes = gap_bytes;
    p->total.admin_left = admin_left;
}

// A life that ended inside the range and is not skipped: its documents are gone at the chosen point.
static void refuse_lives(struct plan *p)
{
    for (size_t i = 0; i < p->name_count; i++) {
        struct plan_name *n = &p->names[i];
        for (size_t l = 0; n->slot >= 0 && l < n->life_count; l++) {
            const struct plan_life *life = &n->lives[l];
            const struct plan_slot *s = &p->slots[n->slot];
            char when[48];
            if (l < n->outlived || !life->ended || life->end_skipped || (!life->ops && !life->end_seen) || (p->has_before && plan_point_hit(&p->before, life->end_tape, life->end_exchange)))
                continue;
            if (p->has_before && life->end_ns >= p->before.time_ns)
                continue;
            if ((p->set.until_ns != WHEN_UNKNOWN && life->end_ns >= p->set.until_ns) || (p->set.since_ns != WHEN_UNKNOWN && life->end_ns < p->set.since_ns))
                continue;
            bool before_copy = false;
            for (size_t k = 0; k < p->set.seam_count; k++)
                before_copy |= strcmp(p->set.seams[k].to, s->to) == 0 && p->set.seams[k].time_ns != WHEN_UNKNOWN && life->end_ns < p->set.seams[k].time_ns;
            if (before_copy)
                continue;
            clock_format_utc(life->end_ns, when, sizeof when);
            if (life->end_seen)
                plan_refuse(p, "%s was deleted at %s by exchange %llu, inside the range: say --skip %llu to play the writes as if it had not been, --before %llu to stop just before it, or --admin to delete it again",
                            n->text, when, (unsigned long long)life->end_exchange, (unsigned long long)life->end_exchange, (unsigned long long)life->end_exchange);
            else if (!p->set.allow_gaps)
                plan_refuse(p, "%s seems to have been deleted and made anew about %s by a call that is not on the tape: --until that moment, or --allow-gaps to go on as if it had not been",
                            n->text, when);
        }
    }
}

static bool hole_matters(const struct plan *p, const struct check_hole *h)
{
    // A growing tape: what is being answered right now leaves holes that the next look fills.
    if (p->set.seen && (h->until_ns == WHEN_UNKNOWN || h->until_ns > p->newest_ns - 30 * WHEN_NS_PER_S))
        return false;
    if (p->has_before && h->after_ns != WHEN_UNKNOWN && h->after_ns > p->before.answered_ns)
        return false;
    return p->set.until_ns == WHEN_UNKNOWN || h->after_ns == WHEN_UNKNOWN || h->after_ns < p->set.until_ns;
}

static void refuse_missing(struct plan *p)
{
    for (size_t i = 0; i < check_life_count(p->check); i++) {
        const struct check_life *life = check_life(p->check, i);
        const struct plan_name *n = &p->names[life->name];
        bool matters = false;
        if (n->outlived && (n->outlived == n->life_count || life->life < n->lives[n->outlived].key))
            continue; // gone with a deletion that is made again
        if (life->verdict == CHECK_NO_PROOF || (life->verdict == CHECK_EXPLAINED && life->accepted_without_number)) {
            plan_note_add(p, PLAN_NOTE_TOLD, NULL, "%s: %llu of %llu writes carry no sequence number (version 5, or filtered answers): completeness cannot be proven",
                          p->names[life->name].text, (unsigned long long)life->accepted_without_number, (unsigned long long)life->ops);
            if (p->total.gap_bytes && !p->set.allow_gaps)
                plan_refuse(p, "%llu bytes were lost in the range, and %s gives no proof that no write was among them: --allow-gaps goes on",
                            (unsigned long long)p->total.gap_bytes, p->names[life->name].text);
        }
        for (size_t s = 0; s < check_shard_count(p->check); s++) {
            const struct check_shard *sh = check_shard(p->check, s);
            if (sh->name != life->name || sh->life != life->life)
                continue;
            for (size_t h = 0; h < sh->hole_count; h++)
                matters |= hole_matters(p, &sh->holes[h]);
        }
        if (life->verdict == CHECK_MISSING && matters) {
            p->total.missing_numbers += life->unexplained;
            if (!p->set.allow_gaps)
                plan_refuse(p, "%s: %llu writes that the cluster numbered are not on the tape (estape check --index %s tells which): --allow-gaps goes on without them",
                            p->names[life->name].text, (unsigned long long)life->unexplained, p->names[life->name].text);
        }
    }
}

static bool without_proof(const struct plan *p, size_t name)
{
    bool none = false;
    for (size_t i = 0; i < check_life_count(p->check); i++)
        none |= check_life(p->check, i)->name == name && (check_life(p->check, i)->verdict == CHECK_NO_PROOF || check_life(p->check, i)->accepted_without_number);
    return none;
}

static bool begins_before(const struct plan_name *n)
{
    return !n->life_count || (!n->lives[0].born && n->lives[0].ops);
}

// Where numbers do not tell: a copy that is older than the tape, an empty target under a tape that begins in mid-life.
static void refuse_beginnings(struct plan *p)
{
    int64_t first_ns, last_ns;
    char taken[48], begins[48];
    bool any = tape_span(p->set.tape, &first_ns, &last_ns);
    for (size_t i = 0; i < p->name_count && any && !p->set.allow_gaps; i++) {
        const struct plan_name *n = &p->names[i];
        const struct plan_slot *s = n->slot >= 0 && !n->redirected ? &p->slots[n->slot] : NULL;
        const struct plan_seam *seam = NULL;
        for (size_t k = 0; s && k < p->set.seam_count; k++)
            seam = strcmp(p->set.seams[k].to, s->to) == 0 ? &p->set.seams[k] : seam;
        if (!seam || s->deleted || !s->count.accepted)
            continue;
        bool timed = seam->kind == PLAN_SEAM_TIME || (seam->kind == PLAN_SEAM_SEQ && without_proof(p, i));
        if (timed && seam->time_ns != WHEN_UNKNOWN && p->set.since_ns == WHEN_UNKNOWN && first_ns > seam->time_ns)
            plan_refuse(p, "the copy %s was taken at %s, and the tape begins at %s: what was written between is not on it: --allow-gaps goes on without that", s->to,
                        clock_format_utc(seam->time_ns, taken, sizeof taken), clock_format_utc(first_ns, begins, sizeof begins));
        if (seam->kind == PLAN_SEAM_EMPTY && p->set.since_ns == WHEN_UNKNOWN && begins_before(n))
            plan_refuse(p, "%s is empty or missing on the target, and the tape does not hold the beginning of %s: restore a snapshot first, or --allow-gaps begins with nothing",
                        s->to, n->text);
    }
}

static void refuse_rest(struct plan *p)
{
    const struct plan_count *c = &p->total;
    if (c->unknown && p->set.unknown == PLAN_UNKNOWN_FAIL)
        plan_refuse(p, "%llu writes were not answered and nothing shows whether they happened: --unknown=skip leaves them out, --unknown=apply writes them",
                    (unsigned long long)c->unknown);
    if (c->unknown_ids && p->set.unknown == PLAN_UNKNOWN_FAIL)
        plan_refuse(p, "%llu documents have ids that nobody saw: --unknown=skip leaves them out", (unsigned long long)c->unknown_ids);
    for (size_t i = 0; i < p->barrier_count; i++)
        if (p->barriers[i].unknown && p->set.unknown == PLAN_UNKNOWN_FAIL)
            plan_refuse(p, "exchange %llu (%s) was not answered: --unknown=skip leaves it out, --unknown=apply runs it", (unsigned long long)p->barriers[i].exchange,
                        p->barriers[i].api);
    if (c->truncated_ops && !p->set.allow_gaps)
        plan_refuse(p, "bytes of %llu accepted writes are missing on the tape: --allow-gaps leaves them out", (unsigned long long)c->truncated_ops);
    if (c->redacted_ops && !p->set.allow_gaps)
        plan_refuse(p, "%llu writes went into security indices and were redacted: --allow-gaps leaves them out", (unsigned long long)c->redacted_ops);
    if (c->unresolved_names)
        plan_note_add(p, PLAN_NOTE_TOLD, NULL, "%llu writes name an index that no answer confirmed", (unsigned long long)c->unresolved_names);
}

// ---- building ---------------------------------------------------------------------------------------------------------

struct plan *plan_build(const struct plan_settings *settings, struct fault *fault)
{
    struct plan *p = mem_zero(1, sizeof *p);
    *fault = (struct fault){0};
    if (!p) {
        fault_memory(fault);
        return NULL;
    }
    p->set = *settings;
    p->started_ns = clock_now_ns();
    p->incremental = settings->seen && settings->seen->incremental;
    p->fault = fault;
    p->spill_dir = settings->spill_dir ? mem_text_copy(settings->spill_dir, strlen(settings->spill_dir)) : NULL;
    p->name_of = map_open();
    p->text_of = map_open();
    bool ok = p->name_of && p->text_of && (p->spill_dir || !settings->spill_dir);
    if (!ok)
        fault_memory(fault);
    if (ok && settings->before && settings->skip_count)
        for (size_t i = 0; i < settings->skip_count; i++)
            if (strcmp(settings->before, settings->skip[i]) == 0)
                ok = fault_user(fault, "exchange %s cannot be both skipped and the end", settings->before);
    ok = ok && plan_names_load(p, fault);
    if (ok && settings->names_only)
        return p;
    ok = ok && plan_calls_load(p, fault) && plan_gaps_load(p, fault) && plan_ops_load(p, fault) &&
         plan_reads_load(p, fault) && plan_judge_holes(p, fault) && plan_docs_reduce(p, fault);
    if (ok) {
        sum_counts(p);
        if (!p->incremental) { // a plan that goes on was let through when it began
            refuse_lives(p);
            refuse_missing(p);
            refuse_beginnings(p);
            refuse_rest(p);
        }
        if (p->fail_memory || p->refusal.failed)
            ok = fault_memory(fault);
    }
    if (!ok) {
        if (fault->kind == FAULT_NONE)
            fault_memory(fault);
        plan_close(p);
        return NULL;
    }
    return p;
}

void plan_close(struct plan *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->slot_count; i++) {
        mem_free(p->slots[i].from);
        mem_free(p->slots[i].to);
        mem_free(p->slots[i].type);
    }
    for (size_t i = 0; i < p->barrier_count; i++)
        plan_barrier_free(&p->barriers[i]);
    for (size_t i = 0; i < p->mapping_count; i++)
        mem_free(p->mappings[i].path);
    for (size_t i = 0; i < p->note_count; i++) {
        mem_free(p->notes[i].text);
        mem_free(p->notes[i].id);
    }
    for (size_t i = 0; i < p->text_count; i++)
        mem_free(p->texts[i]);
    plan_names_free(p);
    check_close(p->check);
    nummap_close(p->unanswered_of);
    if (p->text_of)
        map_close(p->text_of);
    sorter_close(p->by_doc);
    sorter_close(p->by_place);
    buf_fini(&p->refusal);
    buf_fini(&p->record);
    mem_free(p->slots);
    mem_free(p->skips);
    mem_free(p->barriers);
    mem_free(p->mappings);
    mem_free(p->notes);
    mem_free(p->texts);
    mem_free(p->unanswered);
    mem_free(p->reads);
    mem_free(p->spill_dir);
    mem_free(p);
}

const char *plan_refusal(const struct plan *p)
{
    return p->refusal.size ? buf_text((struct buf *)&p->refusal) : NULL;
}

const struct plan_count *plan_total(const struct plan *p)
{
    return &p->total;
}

size_t plan_slot_count(const struct plan *p)
{
    return p->slot_count;
}

const struct plan_slot *plan_slot(const struct plan *p, size_t i)
{
    return &p->slots[i];
}

size_t plan_barrier_count(const struct plan *p)
{
    return p->barrier_count;
}

const struct plan_barrier *plan_barrier(const struct plan *p, size_t i)
{
    return &p->barriers[i];
}

bool plan_changes(const struct plan *p, uint32_t slot, uint32_t from, uint32_t to)
{
    for (size_t i = from; i < p->barrier_count && i < to; i++)
        for (size_t k = 0; p->barriers[i].kind != PLAN_BARRIER_ADMIN && k < p->barriers[i].slot_count; k++)
            if (p->barriers[i].slots[k] == slot)
                return true;
    return false;
}

size_t plan_mapping_count(const struct plan *p)
{
    return p->mapping_count;
}

const struct plan_mapping *plan_mapping(const struct plan *p, size_t i)
{
    return &p->mappings[i];
}

size_t plan_note_count(const struct plan *p)
{
    return p->note_count;
}

const struct plan_note *plan_note(const struct plan *p, size_t i)
{
    return &p->notes[i];
}

uint64_t plan_note_total(const struct plan *p, enum plan_note_kind kind)
{
    return p->note_total[kind];
}

const struct check *plan_check(const struct plan *p)
{
    return p->check;
}

const char *plan_name_text(const struct plan *p, uint32_t name)
{
    return p->names[name].text;
}

struct plan_largest plan_largest(const struct plan *p)
{
    return p->largest;
}

uint64_t plan_fingerprint(const struct plan *p)
{
    struct buf b = {0};
    for (size_t i = 0; i < p->slot_count; i++)
        buf_format(&b, "%s>%s\n", p->slots[i].from, p->slots[i].to);
    buf_format(&b, "before %s\n", p->set.before ? p->set.before : "");
    for (size_t i = 0; i < p->set.skip_count; i++)
        buf_format(&b, "skip %s\n", p->set.skip[i]);
    if (p->set.admin)
        buf_add_text(&b, "admin\n");
    buf_format(&b, "%lld %lld %d %d %d", (long long)p->set.since_ns, (long long)p->set.until_ns, (int)p->set.unknown, p->set.casualties_apply,
               p->set.exact_versions);
    uint64_t print = map_hash(buf_view(&b), 11);
    buf_fini(&b);
    return print;
}

// ---- handing out ------------------------------------------------------------------------------------------------------

bool plan_next(struct plan *p, struct plan_doc *doc, struct fault *fault)
{
    struct bytes r;
    *doc = (struct plan_doc){0};
    if (!sorter_next(p->by_place, &r, fault))
        return false;
    if (!r.size)
        return true;
    struct doc_head head;
    memcpy(&head, r.at, sizeof head);
    const uint8_t *at = r.at + sizeof head;
    *doc = (struct plan_doc){.slot = head.slot, .epoch = head.epoch, .flags = head.flags, .shard = head.shard, .hash = head.hash,
                             .held_seq = head.held_seq, .held_term = head.held_term, .held_version = head.held_version, .life = head.life, .final_version = head.final_version,
                             .steps = (const struct plan_step *)(const void *)at, .step_count = head.step_count};
    at += head.step_count * sizeof(struct plan_step);
    doc->id = bytes_of(at, head.id_size);
    doc->routing = bytes_of(at + head.id_size, head.routing_size);
    doc->type = bytes_of(at + head.id_size + head.routing_size, head.type_size);
    return true;
}

bool plan_rewind(struct plan *p, struct fault *fault)
{
    return sorter_rewind(p->by_place, fault);
}
