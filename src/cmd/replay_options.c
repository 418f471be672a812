// What the replaying commands share: options to a plan, the target's account, the journal's place.
#include "replay_options.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/mem.h"
#include "tape_options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

bool replay_choice_make(const struct replay_choice *c, struct tape *tape, struct replay_made *out, struct fault *fault)
{
    memset(out, 0, sizeof *out);
    out->maps = mem_zero(c->maps.count, sizeof *out->maps);
    if (!out->maps)
        return fault_memory(fault);
    for (size_t i = 0; i < c->maps.count; i++) {
        const char *equal = strchr(c->maps.at[i], '=');
        if (!equal || equal == c->maps.at[i] || !equal[1])
            return fault_user(fault, "--map %s: say FROM=TO, the recorded index and the one to write to", c->maps.at[i]);
        out->maps[i].from = mem_text_copy(c->maps.at[i], (size_t)(equal - c->maps.at[i]));
        out->maps[i].to = equal + 1;
        if (!out->maps[i].from)
            return fault_memory(fault);
        out->settings.map_count = i + 1;
    }
    if (c->before && c->until)
        return fault_user(fault, "--before and --until are two ends: say one of them");
    const char *unknown = c->unknown ? c->unknown : "fail";
    out->settings = (struct plan_settings){
        .tape = tape, .index = c->index.at, .index_count = c->index.count, .maps = out->maps, .map_count = c->maps.count, .before = c->before,
        .skip = c->skip.at, .skip_count = c->skip.count, .since_ns = c->since ? c->since : WHEN_UNKNOWN, .until_ns = c->until ? c->until : WHEN_UNKNOWN,
        .unknown = strcmp(unknown, "apply") == 0 ? PLAN_UNKNOWN_APPLY : strcmp(unknown, "skip") == 0 ? PLAN_UNKNOWN_SKIP : PLAN_UNKNOWN_FAIL,
        .casualties_apply = c->casualties && strcmp(c->casualties, "apply") == 0, .allow_gaps = c->allow_gaps, .exact_versions = c->exact, .admin = c->admin,
        .spill_dir = c->tapes.count ? c->tapes.at[0] : tape_options_dir()};
    return true;
}

void replay_choice_fini(struct replay_made *made)
{
    for (size_t i = 0; made->maps && i < made->settings.map_count; i++)
        mem_free((char *)(uintptr_t)made->maps[i].from);
    mem_free(made->maps);
    made->maps = NULL;
}

// ---- the account ------------------------------------------------------------------------------------------------------

static bool ask_password(const char *user, char *text, size_t room, struct fault *fault)
{
    FILE *tty = fopen("/dev/tty", "r+e");
    struct termios old, quiet;
    if (!tty || tcgetattr(fileno(tty), &old) != 0) {
        if (tty)
            fclose(tty);
        return fault_user(fault, "no password for %s: set ESTAPE_PASSWORD, there is no terminal to ask on", user);
    }
    quiet = old;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    fprintf(tty, "Password of %s: ", user);
    fflush(tty);
    tcsetattr(fileno(tty), TCSAFLUSH, &quiet);
    bool ok = fgets(text, (int)room, tty) != NULL;
    tcsetattr(fileno(tty), TCSAFLUSH, &old);
    fputc('\n', tty);
    fclose(tty);
    text[ok ? strcspn(text, "\r\n") : 0] = 0;
    return ok || fault_user(fault, "no password for %s", user);
}

static bool read_key_file(const char *path, char *text, size_t room, struct fault *fault)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return fault_user(fault, "--api-key-file %s: %s", path, strerror(errno));
    bool ok = fgets(text, (int)room, f) != NULL;
    fclose(f);
    text[ok ? strcspn(text, "\r\n \t") : 0] = 0;
    return (ok && text[0]) || fault_user(fault, "--api-key-file %s: it is empty", path);
}

struct target *replay_target_open(const struct replay_account *a, unsigned lanes, struct target_about *about, struct fault *fault)
{
    char password[512] = "", key[2048] = "";
    const char *user = a->user ? a->user : getenv("ESTAPE_USER"), *env_key = getenv("ESTAPE_API_KEY"), *env_password = getenv("ESTAPE_PASSWORD");
    if (!a->target) {
        fault_user(fault, "which cluster? say --target http://HOST:PORT");
        return NULL;
    }
    if (user && strchr(user, ':')) {
        fault_user(fault, "--user takes the name alone; the password comes from $ESTAPE_PASSWORD or is asked for");
        return NULL;
    }
    if (a->api_key_file && !read_key_file(a->api_key_file, key, sizeof key, fault))
        return NULL;
    if (!key[0] && !a->user && env_key && *env_key)
        snprintf(key, sizeof key, "%s", env_key);
    if (user && !key[0] && !env_password && !ask_password(user, password, sizeof password, fault))
        return NULL;
    struct target_account account = {.url = a->target, .user = key[0] ? NULL : user, .password = env_password ? env_password : password,
                                     .api_key = key[0] ? key : NULL, .ca = a->ca, .netrc = !user && !key[0], .insecure = a->insecure};
    struct target *t = target_open(&account, lanes, fault);
    explicit_bzero(password, sizeof password);
    explicit_bzero(key, sizeof key);
    if (t && !target_learn(t, about, fault)) {
        target_close(t);
        return NULL;
    }
    return t;
}

// ---- plan, pre-flight, plan -------------------------------------------------------------------------------------------

static bool open_journal(struct replay_run *r, const struct replay_choice *c, const struct replay_account *a, bool write, struct fault *fault)
{
    struct buf value = {0};
    char print[32];
    bool ok = true;
    if (a->journal)
        snprintf(r->journal_path, sizeof r->journal_path, "%s", a->journal);
    else
        snprintf(r->journal_path, sizeof r->journal_path, "%s/replay-%.8s-%08llx.db", c->tapes.count ? c->tapes.at[0] : tape_options_dir(), r->about.uuid,
                 (unsigned long long)(plan_fingerprint(r->plan) & 0xffffffff));
    if (!write && access(r->journal_path, F_OK) != 0)
        return true;
    r->journal = journal_open(r->journal_path, fault);
    if (!r->journal)
        return false;
    snprintf(print, sizeof print, "%016llx", (unsigned long long)plan_fingerprint(r->plan));
    if (journal_meta(r->journal, "cluster", &value) && !bytes_equal_text(buf_view(&value), r->about.uuid)) {
        r->refused = true;
        ok = fault_user(fault, "%s belongs to another cluster: a journal holds what one target acknowledged; name another with --journal", r->journal_path);
    } else if (ok && journal_meta(r->journal, "plan", &value) && !bytes_equal_text(buf_view(&value), print)) {
        r->refused = true;
        ok = fault_user(fault, "%s belongs to a replay with other choices (indices, --before, --skip, ...): name another with --journal", r->journal_path);
    } else if (write) {
        ok = journal_set_meta(r->journal, "cluster", bytes_of_text(r->about.uuid), fault) && journal_set_meta(r->journal, "plan", bytes_of_text(print), fault);
    }
    buf_fini(&value);
    return ok;
}

// Names that nothing was recorded for are a mistake, most likely: an empty plan would equal any target.
static bool anything_recorded(const struct plan *p, struct fault *fault)
{
    const struct plan_count *c = plan_total(p);
    bool any = c->ops || c->outside || c->outlived || plan_barrier_count(p) || plan_mapping_count(p) || !plan_slot_count(p);
    return any || fault_user(fault, "no document write to %s is on the tape: names are as recorded ('estape log' shows them)", plan_slot(p, 0)->from);
}

static void recall_block(struct replay_run *r)
{
    struct buf value = {0};
    if (r->journal && journal_meta(r->journal, REPLAY_BLOCKED, &value))
        sscanf(buf_text(&value), "%" SCNd64 " %" SCNd64, &r->made.settings.blocked_since_ns, &r->made.settings.blocked_until_ns);
    buf_fini(&value);
}

bool replay_run_open(struct replay_run *r, const struct replay_choice *c, const struct replay_account *a, struct tape *tape, unsigned lanes, bool write, struct fault *fault)
{
    struct plan_seen *seen = r->seen;
    memset(r, 0, sizeof *r);
    r->seen = seen;
    *fault = (struct fault){0};
    r->target = replay_target_open(a, lanes, &r->about, fault);
    if (!r->target || !replay_choice_make(c, tape, &r->made, fault))
        return false;
    r->made.settings.names_only = !c->index.count; // a pattern is known by the names that the operations bring
    if (!(r->plan = plan_build(&r->made.settings, fault)))
        return false;
    r->made.settings.names_only = false;
    if (!open_journal(r, c, a, write, fault))
        return false;
    recall_block(r);
    size_t n = plan_slot_count(r->plan);
    r->indices = mem_zero(n, sizeof *r->indices);
    r->seams = mem_zero(n, sizeof *r->seams);
    if (!r->indices || !r->seams)
        return fault_memory(fault);
    struct preflight_settings pre = {.target = r->target, .about = &r->about, .journal = r->journal, .tape = tape, .snapshot = a->snapshot,
                                     .since_ns = r->made.settings.since_ns};
    for (size_t i = 0; i < n; i++) {
        if (!preflight_index(&pre, plan_slot(r->plan, i)->to, &r->indices[i], fault)) {
            r->refused = fault->kind == FAULT_USER;
            r->index_count = i + 1;
            return false;
        }
        if (write && !preflight_may_write(&pre, &r->indices[i], fault)) {
            r->refused = fault->kind == FAULT_USER;
            r->index_count = i + 1;
            return false;
        }
        r->seams[i] = r->indices[i].seam;
        r->index_count = i + 1;
    }
    r->made.settings.seams = r->seams;
    r->made.settings.seam_count = n;
    r->made.settings.seen = seen;
    plan_close(r->plan);
    r->plan = plan_build(&r->made.settings, fault);
    return r->plan && (seen || anything_recorded(r->plan, fault));
}

void replay_run_close(struct replay_run *r)
{
    struct fault ignored;
    plan_close(r->plan);
    journal_close(r->journal, &ignored);
    target_close(r->target);
    for (size_t i = 0; i < r->index_count; i++)
        preflight_index_fini(&r->indices[i]);
    mem_free(r->indices);
    mem_free(r->seams);
    replay_choice_fini(&r->made);
}
