// estape snapshots: which snapshots of a target, together with the tape, give a complete recovery.
#include "cmd.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/glob.h"
#include "../base/mem.h"
#include "../view/emit.h"
#include "replay_options.h"
#include "tape_options.h"

#include <stdlib.h>

struct snapshots_settings {
    struct replay_choice choice;
    struct replay_account account;
    const char *color;
    bool json;
};

#define AT(field) offsetof(struct snapshots_settings, field)
static const struct option options[] = {
    TAPE_OPTION(AT(choice) + offsetof(struct replay_choice, tapes)),
    {'i', "index", OPTION_LIST, AT(choice) + offsetof(struct replay_choice, index), "PATTERN", "Snapshots that hold this index ('*' is a wildcard); default: all.", NULL, false},
    {'U', "until", OPTION_TIME, AT(choice) + offsetof(struct replay_choice, until), "TIME", "Recovery up to this moment: only snapshots that began before it; default: now.", NULL, false},
    REPLAY_ACCOUNT_OPTIONS(AT(account)),
    {0, "Output", OPTION_GROUP, 0, NULL, NULL, NULL, false},
    JSON_OPTION(AT(json), "One JSON object per snapshot and index."),
    COLOR_OPTION(AT(color)),
};

struct found {
    char *repository, *name, *index, *state;
    int64_t start_ns, end_ns;
};

struct finding {
    const struct snapshots_settings *set;
    struct target *target;
    struct found *at;
    size_t count, room;
    struct fault *fault;
};

static char *copy(const struct json *j)
{
    return j && j->kind == JSON_KIND_STRING ? mem_text_copy(j->text.at, j->text.size) : mem_text_copy("", 0);
}

static bool wanted(const struct snapshots_settings *s, struct bytes index)
{
    bool hit = !s->choice.index.count;
    for (size_t i = 0; i < s->choice.index.count; i++)
        hit |= glob_match(bytes_of_text(s->choice.index.at[i]), index);
    return hit;
}

static bool add(struct finding *f, struct bytes repository, const struct json *snapshot, const struct json *index)
{
    if (f->count == f->room) {
        size_t room = f->room ? f->room * 2 : 64;
        struct found *grown = mem_grow(f->at, room * sizeof *grown);
        if (!grown)
            return fault_memory(f->fault);
        f->at = grown;
        f->room = room;
    }
    struct found *to = &f->at[f->count++];
    *to = (struct found){.repository = mem_text_copy(repository.at, repository.size), .name = copy(json_member(snapshot, "snapshot")), .index = copy(index),
                         .state = copy(json_member(snapshot, "state")), .start_ns = json_int(json_member(snapshot, "start_time_in_millis"), 0) * WHEN_NS_PER_MS,
                         .end_ns = json_int(json_member(snapshot, "end_time_in_millis"), 0) * WHEN_NS_PER_MS};
    return (to->repository && to->name && to->index && to->state) || fault_memory(f->fault);
}

static bool look_into(struct finding *f, struct arena *a, struct bytes repository)
{
    struct buf path = {0};
    bool missing;
    buf_add_text(&path, "/_snapshot/");
    target_encode(&path, repository);
    buf_add_text(&path, "/_all");
    struct json *j = target_find(f->target, a, buf_text(&path), &missing, f->fault);
    buf_fini(&path);
    struct json *list = j ? json_member(j, "snapshots") : NULL;
    for (struct json *s = list ? list->first : NULL; s; s = s->next) {
        struct json *indices = json_member(s, "indices");
        int64_t start_ns = json_int(json_member(s, "start_time_in_millis"), 0) * WHEN_NS_PER_MS;
        if (f->set->choice.until && start_ns >= f->set->choice.until)
            continue;
        for (struct json *i = indices ? indices->first : NULL; i; i = i->next)
            if (i->kind == JSON_KIND_STRING && wanted(f->set, i->text) && !add(f, repository, s, i))
                return false;
    }
    return j || missing;
}

static int newest_first(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->start_ns != y->start_ns)
        return x->start_ns > y->start_ns ? -1 : 1;
    return strcmp(x->index, y->index);
}

static bool first_row(void *ctx, const struct tape_row *row)
{
    *(int64_t *)ctx = row->x.time_ns;
    return false;
}

// What stands against a complete recovery of this index from this snapshot; NULL: nothing.
static const char *against(const struct found *f, const struct plan *plan, int64_t tape_ns, bool *unproven)
{
    const struct check *c = plan_check(plan);
    const char *why = NULL;
    *unproven = false;
    if (strcmp(f->state, "SUCCESS") != 0)
        return "the snapshot is not complete";
    if (tape_ns == WHEN_UNKNOWN || tape_ns > f->start_ns)
        return "the tape begins after it";
    for (size_t i = 0; i < check_life_count(c); i++) {
        const struct check_life *l = check_life(c, i);
        if (strcmp(plan_name_text(plan, l->name), f->index) != 0)
            continue;
        *unproven |= l->verdict == CHECK_NO_PROOF || l->accepted_without_number > 0;
        for (size_t s = 0; l->verdict == CHECK_MISSING && s < check_shard_count(c); s++) {
            const struct check_shard *sh = check_shard(c, s);
            for (size_t h = 0; sh->name == l->name && sh->life == l->life && h < sh->hole_count; h++)
                if (sh->holes[h].until_ns == WHEN_UNKNOWN || sh->holes[h].until_ns > f->start_ns)
                    why = "writes after it are missing on the tape";
        }
    }
    return why;
}

static void print_found(struct out *out, const struct found *f, const char *why, bool unproven, bool json)
{
    char start[48];
    struct buf *b = &out->text;
    clock_format_utc(f->start_ns, start, sizeof start);
    if (json) {
        buf_add_text(b, "{\"repository\":");
        emit_json(b, bytes_of_text(f->repository));
        buf_add_text(b, ",\"snapshot\":");
        emit_json(b, bytes_of_text(f->name));
        buf_add_text(b, ",\"index\":");
        emit_json(b, bytes_of_text(f->index));
        buf_format(b, ",\"started\":\"%s\",\"complete\":%s,\"proven\":%s,\"reason\":", start, why ? "false" : "true", why || unproven ? "false" : "true");
        if (why)
            emit_json(b, bytes_of_text(why));
        else
            buf_add_text(b, "null");
        buf_add_text(b, "}\n");
        return;
    }
    out_paint(out, why ? PAINT_RED : unproven ? PAINT_YELLOW : PAINT_GREEN);
    buf_format(b, "%-9s", why ? "no" : unproven ? "likely" : "complete");
    out_paint(out, PAINT_NONE);
    buf_format(b, " %s  ", start);
    emit_text(b, bytes_of_text(f->repository));
    buf_add_byte(b, '/');
    emit_text(b, bytes_of_text(f->name));
    buf_add_text(b, "  ");
    emit_text(b, bytes_of_text(f->index));
    buf_format(b, "%s%s\n", why ? ": " : unproven ? ": not every write carries a number, so completeness cannot be proven" : "", why ? why : "");
}

static bool list_all(struct finding *f, struct arena *a)
{
    struct json *repositories = target_json(f->target, a, "GET", "/_snapshot/_all", (struct bytes){0}, f->fault);
    for (struct json *r = repositories ? repositories->first : NULL; r; r = r->next)
        if (!look_into(f, a, r->key))
            return false;
    if (f->count)
        qsort(f->at, f->count, sizeof *f->at, newest_first);
    return repositories != NULL;
}

static int run(void *settings, int operand_count, char **operands)
{
    struct snapshots_settings *s = settings;
    struct fault fault = {0};
    struct replay_made made = {0};
    struct plan *plan = NULL;
    struct out out = {0};
    struct target_about about;
    struct arena a;
    static const char *all[] = {"*"};
    int64_t tape_ns = WHEN_UNKNOWN;
    size_t complete = 0;
    if (!tape_options_no_operands("snapshots", operand_count, operands, &fault))
        return diag_fault(&fault);
    struct tape *tape = tape_options_open(&s->choice.tapes, &fault);
    if (!tape)
        return diag_fault(&fault);
    tape_options_output(&out, s->color);
    arena_init(&a, 0);
    struct finding f = {.set = s, .fault = &fault};
    struct replay_choice choice = s->choice;
    if (!choice.index.count)
        choice.index = (struct option_list){all, 1};
    struct tape_filter any = {.since_ns = WHEN_UNKNOWN, .until_ns = WHEN_UNKNOWN};
    bool ok = (f.target = replay_target_open(&s->account, 1, &about, &fault)) && tape_select(tape, &any, first_row, &tape_ns, &fault) &&
              replay_choice_make(&choice, tape, &made, &fault) && (plan = plan_build(&made.settings, &fault)) && list_all(&f, &a);
    for (size_t i = 0; ok && i < f.count; i++) {
        bool unproven;
        const char *why = against(&f.at[i], plan, tape_ns, &unproven);
        complete += !why;
        print_found(&out, &f.at[i], why, unproven, s->json);
    }
    if (ok && !complete && !s->json) {
        char begins[48] = "nothing";
        if (tape_ns != WHEN_UNKNOWN)
            clock_format_utc(tape_ns, begins, sizeof begins);
        buf_format(&out.text, "no snapshot gives a complete recovery; the tape alone holds what was written since %s\n", begins);
    }
    for (size_t i = 0; i < f.count; i++) {
        mem_free(f.at[i].repository);
        mem_free(f.at[i].name);
        mem_free(f.at[i].index);
        mem_free(f.at[i].state);
    }
    mem_free(f.at);
    plan_close(plan);
    replay_choice_fini(&made);
    target_close(f.target);
    arena_fini(&a);
    return tape_options_end(tape, &out, ok, &fault, complete ? 0 : 1);
}

const struct command cmd_snapshots = {
    .name = "snapshots",
    .summary = "which snapshots of a cluster, together with the tape, give a complete recovery",
    .operands = "",
    .text = "Lists the snapshots of all repositories of the target that hold the index, the newest first, and says of each whether the tape reaches back to it and holds every write since: "
            "complete (proven), likely (the tape reaches back, but not every write can be proven), or no, with the reason.",
    .examples = "estape snapshots --index catalog --target http://es:9200\twhich snapshot to restore\n",
    .see_also = "replay check",
    .exit_text = "0 there is one; 1 there is none, or something failed; 2 usage",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(struct snapshots_settings),
    .run = run,
};
