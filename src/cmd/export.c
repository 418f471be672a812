// estape export: the plan as files for other tools, _bulk bodies or final documents.
#include "cmd.h"

#include "../base/diag.h"
#include "../base/mem.h"
#include "../replay/fold.h"
#include "../view/emit.h"
#include "replay_options.h"
#include "tape_options.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 9 << 20 };

struct export_settings {
    struct replay_choice choice;
    const char *ndjson, *docs;
    bool typeless;
};

#define AT(field) offsetof(struct export_settings, field)
static const struct option options[] = {
    TAPE_OPTION(AT(choice) + offsetof(struct replay_choice, tapes)),
    REPLAY_CHOICE_OPTIONS(AT(choice)),
    {0, "Output", OPTION_GROUP, 0, NULL, NULL, NULL, false},
    {0, "ndjson", OPTION_TEXT, AT(ndjson), "DIR", "Bodies for _bulk in this directory, 000001.ndjson and so on, under 10 MiB each, to be sent in that order.", NULL, false},
    {0, "typeless", OPTION_FLAG, AT(typeless), NULL, "With --ndjson: leave out the types of versions 5 and 6, for a newer target.", NULL, false},
    {0, "docs", OPTION_TEXT, AT(docs), "FILE", "One line per document that exists at the end: _index, _id, _routing, _version, _source. '-' is standard output.", NULL, false},
};

struct exporting {
    const struct export_settings *set;
    struct plan *plan;
    FILE *file;
    char path[4200];         // of the file, empty: standard output
    unsigned number;
    uint64_t file_bytes, documents, files, unknown;
    struct fault *fault;
};

static bool make_file(struct exporting *e)
{
    e->file = fopen(e->path, "wxe");
    if (e->file)
        return true;
    fault_user(e->fault, "%s: %s", e->path, strerror(errno));
    e->path[0] = 0; // not ours
    return false;
}

static bool next_file(struct exporting *e)
{
    bool closed = !e->file || fclose(e->file) == 0;
    e->file = NULL;
    if (!closed)
        return fault_errno(e->fault, errno, "writing %s", e->path);
    snprintf(e->path, sizeof e->path, "%s/%06u.ndjson", e->set->ndjson, ++e->number);
    e->file_bytes = 0;
    e->files++;
    return make_file(e);
}

static bool put(struct exporting *e, const struct buf *b)
{
    if (b->failed)
        return fault_memory(e->fault);
    e->file_bytes += b->size;
    return fwrite(b->at, 1, b->size, e->file) == b->size || fault_errno(e->fault, errno, "writing %s", e->path[0] ? e->path : "standard output");
}

static void put_type(struct buf *b, struct bytes type)
{
    if (!type.size)
        return;
    buf_add_text(b, ",\"_type\":");
    json_write_text(b, type);
}

// Versions 5 and 6 want the type with every action, version 8 refuses it.
static struct bytes action_type(const struct exporting *e, const struct plan_doc *doc)
{
    const char *usual = plan_slot(e->plan, doc->slot)->type;
    if (e->set->typeless)
        return (struct bytes){0};
    return plan_own_type(doc->type).size || !usual ? doc->type : bytes_of_text(usual);
}

static bool put_action(struct exporting *e, const struct plan_doc *doc, const struct fold_action *a)
{
    static const char *const verbs[] = {"delete", "index", "update"};
    struct buf b = {0};
    buf_format(&b, "{\"%s\":{\"_index\":", verbs[a->kind]);
    json_write_text(&b, bytes_of_text(plan_slot(e->plan, doc->slot)->to));
    put_type(&b, action_type(e, doc));
    buf_add_text(&b, ",\"_id\":");
    json_write_text(&b, doc->id);
    if (doc->routing.size) {
        bool parent = doc->steps[doc->step_count - 1].op_flags & OP_PARENT && !e->set->typeless;
        buf_add_text(&b, parent ? ",\"parent\":" : ",\"routing\":");
        json_write_text(&b, doc->routing);
    }
    if (a->pipeline) {
        buf_add_text(&b, ",\"pipeline\":");
        json_write_text(&b, plan_text(e->plan, a->pipeline));
    }
    buf_add_text(&b, "}}\n");
    if (a->kind != FOLD_DELETE)
        target_add_line(&b, buf_view(&a->body));
    bool ok = (e->file && e->file_bytes + b.size <= FILE_BYTES_MAX) || next_file(e);
    ok = ok && put(e, &b);
    buf_fini(&b);
    return ok;
}

static bool put_document(struct exporting *e, const struct plan_doc *doc, const struct fold_action *a)
{
    struct buf b = {0};
    buf_add_text(&b, "{\"_index\":");
    json_write_text(&b, bytes_of_text(plan_slot(e->plan, doc->slot)->to));
    if (plan_slot(e->plan, doc->slot)->several_types) // else it tells nothing apart
        put_type(&b, doc->type);
    buf_add_text(&b, ",\"_id\":");
    json_write_text(&b, doc->id);
    if (doc->routing.size) {
        buf_add_text(&b, ",\"_routing\":");
        json_write_text(&b, doc->routing);
    }
    if (doc->final_version >= 0)
        buf_format(&b, ",\"_version\":%lld", (long long)doc->final_version);
    const struct plan_step *last = &doc->steps[doc->step_count - 1];
    if (last->seq_no >= 0)
        buf_format(&b, ",\"_seq_no\":%lld,\"_primary_term\":%lld", (long long)last->seq_no, (long long)last->primary_term);
    buf_add_text(&b, ",\"_source\":");
    for (size_t i = 0; i < a->body.size; i++)
        buf_add_byte(&b, a->body.at[i] == '\n' || a->body.at[i] == '\r' ? ' ' : a->body.at[i]);
    buf_add_text(&b, "}\n");
    bool ok = put(e, &b);
    buf_fini(&b);
    return ok;
}

static bool export_document(struct exporting *e, struct source *source, const struct plan_doc *doc, struct fold_action *a)
{
    struct fold_settings fold = {.combine = true};
    uint32_t step = 0;
    e->documents++;
    while (step < doc->step_count) {
        if (!fold_next(source, doc, step, &fold, a, e->fault)) {
            if (e->fault->kind != FAULT_USER || !e->set->choice.allow_gaps)
                return false;
            *e->fault = (struct fault){0}; // its bytes are missing: left out, as asked for
            e->unknown++;
            return true;
        }
        step += (uint32_t)a->steps;
        if (e->set->ndjson && !put_action(e, doc, a))
            return false;
    }
    if (!e->set->docs || a->kind == FOLD_DELETE)
        return true;
    bool last = (doc->flags & PLAN_DOC_LAST) && !plan_changes(e->plan, doc->slot, doc->epoch, UINT32_MAX);
    if (!last && (doc->flags & PLAN_DOC_LAST))
        e->unknown++; // a by-query call behind it may have changed it
    if (!last)
        return true;
    if (a->kind == FOLD_FULL && !a->pipeline)
        return put_document(e, doc, a);
    e->unknown++;
    return true;
}

static bool open_output(struct exporting *e)
{
    if (e->set->ndjson && e->set->docs)
        return fault_user(e->fault, "--ndjson or --docs, not both");
    if (!e->set->ndjson && !e->set->docs)
        return fault_user(e->fault, "where to? say --ndjson DIR or --docs FILE");
    if (e->set->ndjson)
        return mkdir(e->set->ndjson, 0700) == 0 || errno == EEXIST || fault_user(e->fault, "%s: %s", e->set->ndjson, strerror(errno));
    bool standard = strcmp(e->set->docs, "-") == 0;
    if (!standard) {
        snprintf(e->path, sizeof e->path, "%s", e->set->docs);
        return make_file(e);
    }
    int fd = dup(STDOUT_FILENO);
    e->file = fdopen(fd, "w");
    return e->file || fault_user(e->fault, "%s: %s", e->set->docs, strerror(errno));
}

static bool export_all(struct exporting *e, struct tape *tape)
{
    struct source *source = source_open(tape);
    struct fold_action a = {0};
    struct plan_doc doc;
    umask(077); // documents are nobody else's
    bool ok = source ? open_output(e) : fault_memory(e->fault);
    while (ok && (ok = plan_next(e->plan, &doc, e->fault)) && doc.step_count)
        ok = export_document(e, source, &doc, &a);
    if (e->file && fclose(e->file) != 0 && ok)
        ok = fault_errno(e->fault, errno, "writing %s", e->path[0] ? e->path : "standard output");
    if (!ok && e->path[0])
        unlink(e->path); // half a file would be taken for a whole one
    fold_fini(&a);
    source_close(source);
    return ok;
}

static int run(void *settings, int operand_count, char **operands)
{
    struct export_settings *s = settings;
    struct fault fault = {0};
    struct replay_made made = {0};
    int status = 0;
    if (!tape_options_no_operands("export", operand_count, operands, &fault))
        return diag_fault(&fault);
    struct tape *tape = tape_options_open(&s->choice.tapes, &fault);
    if (!tape)
        return diag_fault(&fault);
    struct exporting e = {.set = s, .fault = &fault};
    bool ok = replay_choice_make(&s->choice, tape, &made, &fault) && (e.plan = plan_build(&made.settings, &fault));
    if (ok && plan_refusal(e.plan)) {
        fault_user(&fault, "refused: %.*s", (int)strcspn(plan_refusal(e.plan), "\n"), plan_refusal(e.plan));
        diag_fault(&fault);
        fault = (struct fault){0};
        status = REPLAY_REFUSED;
    } else if (ok && (ok = export_all(&e, tape))) {
        diag_line("%llu documents exported%s", (unsigned long long)e.documents, plan_barrier_count(e.plan) ? "; by-query calls are not in the files" : "");
        if (e.unknown)
            diag_warn("%llu documents were left out: only a cluster can compute them (scripts, pipelines, updates of documents that are not on the tape)",
                      (unsigned long long)e.unknown);
        status = e.unknown || plan_barrier_count(e.plan) ? 1 : 0;
    }
    plan_close(e.plan);
    replay_choice_fini(&made);
    return tape_options_end(tape, NULL, ok, &fault, status);
}

const struct command cmd_export = {
    .name = "export",
    .summary = "write a replay's plan as files for other tools",
    .operands = "",
    .text = "The same plan as replay makes, as bodies for the _bulk API (send them in the order of their names, to a copy that holds nothing newer) or as the documents that exist at the "
            "end. What a restored copy holds already is not known here: --since bounds the range.",
    .examples = "estape export --before 4711 --map catalog=catalog_restored --ndjson out\tthen: for f in out/*.ndjson; do curl -H 'Content-Type: application/x-ndjson' "
                "--data-binary @$f http://es:9200/_bulk; done\n"
                "estape export --index catalog --docs -\tthe documents as the tape knows them\n",
    .see_also = "replay",
    .exit_text = "0 everything is in the files; 1 something is not (told), or failed; 2 usage; 3 a decision is missing",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(struct export_settings),
    .run = run,
};
