// What every command that reads a tape has in common: choosing tapes, conditions on rows, ending with the right status.
#include "tape_options.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../view/column.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

const char *tape_options_dir(void)
{
    const char *from_env = getenv("ESTAPE_TAPE");
    return from_env && *from_env ? from_env : access("/var/lib/estape/tape.db", F_OK) == 0 ? "/var/lib/estape" : "./estape.tape";
}

bool tape_options_there(const char *dir, bool named, struct fault *fault)
{
    const char *from_env = getenv("ESTAPE_TAPE");
    struct stat st;
    bool there = stat(dir, &st) == 0;
    if (there && !S_ISDIR(st.st_mode))
        return fault_user(fault, "%s is not a tape: a tape is a directory", dir);
    if (there && access(dir, R_OK | X_OK) == 0)
        return true;
    if (errno != ENOENT)
        return fault_user(fault, "tape %s cannot be read: %s", dir, strerror(errno));
    if (named || (from_env && *from_env))
        return fault_user(fault, "there is no tape %s: make it with 'estape record', or name another with --tape DIR", dir);
    return fault_user(fault, "no tape: there is neither /var/lib/estape nor %s; name one with --tape DIR, or make one with 'estape record'", dir);
}

struct tape *tape_options_open(const struct option_list *tapes, struct fault *fault)
{
    const char *dir = tape_options_dir();
    if (!tapes->count && !tape_options_there(dir, false, fault))
        return NULL;
    struct tape *t = tape_open(tapes->count ? tapes->at : &dir, tapes->count ? tapes->count : 1, fault);
    if (t)
        tape_options_warn(t);
    return t;
}

void tape_options_warn(struct tape *t)
{
    for (const char *warning; (warning = tape_warning(t));)
        diag_warn("%s", warning);
}

bool tape_options_no_operands(const char *command, int operand_count, char **operands, struct fault *fault)
{
    if (!operand_count)
        return true;
    return fault_user(fault, "%s takes no operand, and '%s' is one; name a tape with --tape DIR, see 'estape %s --help'", command, operands[0], command);
}

void tape_options_output(struct out *o, const char *color)
{
    enum out_color when = OUT_COLOR_AUTO;
    setlocale(LC_CTYPE, "");
    out_color_parse(color, &when);
    out_init(o, STDOUT_FILENO, when);
}

int tape_options_end(struct tape *t, struct out *o, bool ok, struct fault *fault, int status)
{
    struct fault output = {0};
    if (o && !out_close(o, &output)) {
        if (output.error != EPIPE)
            diag_fault(&output);
        status = 1;
    }
    if (t) {
        tape_options_warn(t);
        tape_close(t);
    }
    if (ok || output.kind)
        return status;
    return diag_fault(fault);
}

// ---- conditions -----------------------------------------------------------------------------------------------------

static bool check_words(const struct option_list *list, const char *option, const char *(*name)(unsigned), unsigned names, const char *all, struct fault *fault)
{
    for (size_t i = 0; i < list->count; i++) {
        unsigned n = 0;
        while (n < names && strcmp(list->at[i], name(n)) != 0)
            n++;
        if (n == names)
            return fault_user(fault, "--%s %s: say one of %s", option, list->at[i], all);
    }
    return true;
}

static const char *outcome_name(unsigned n)
{
    return view_outcome_name((enum outcome)n);
}

static bool check_status(const struct option_list *list, struct fault *fault)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *s = list->at[i];
        char *end;
        long low = strtol(s, &end, 10), high = low;
        bool number = end == s + 3 && low >= 100 && low <= 999;
        if (number && *end == '-') {
            const char *from = end + 1;
            high = strtol(from, &end, 10);
            number = end == from + 3 && high >= low && high <= 999;
        }
        bool class = s[0] >= '1' && s[0] <= '5' && strcasecmp(s + 1, "xx") == 0;
        if (!(number && !*end) && !class && strcmp(s, "none") != 0)
            return fault_user(fault, "--status %s: say a code (404), a class (4xx), a range (500-599) or 'none'", s);
    }
    return true;
}

struct found {
    int64_t time_ns;
    uint64_t id, conn;
    struct endpoint client;
};

static bool keep_found(void *ctx, const struct tape_row *row)
{
    *(struct found *)ctx = (struct found){row->x.time_ns, row->x.id, row->x.conn, row->x.client};
    return false;
}

static bool find(struct tape *t, const char *text, struct found *found, struct fault *fault)
{
    size_t which;
    uint64_t id;
    return tape_parse_id(t, text, &which, &id, fault) && tape_get(t, which, id, keep_found, found, fault);
}

bool filter_options_apply(const struct filter_options *o, struct tape *t, struct tape_filter *f, struct fault *fault)
{
    *f = (struct tape_filter){
        .since_ns = o->since, .until_ns = o->until,
        .who = o->who.at, .who_count = o->who.count, .client = o->client.at, .client_count = o->client.count,
        .agent = o->agent.at, .agent_count = o->agent.count, .api = o->api.at, .api_count = o->api.count,
        .verb = o->verb.at, .verb_count = o->verb.count, .index = o->index.at, .index_count = o->index.count,
        .status = o->status.at, .status_count = o->status.count, .outcome = o->outcome.at, .outcome_count = o->outcome.count,
        .danger = o->danger.at, .danger_count = o->danger.count, .writes = o->writes, .destructive = o->destructive, .grep = o->grep,
    };
    struct found found = {0};
    bool one = tape_count(t) == 1;
    if (o->since && o->until && o->since >= o->until)
        return fault_user(fault, "--since is not before --until: nothing lies between them");
    if (!check_words(&o->outcome, "outcome", outcome_name, OUTCOMES, "ok, partial, failed, unanswered, unknown", fault) || !check_status(&o->status, fault))
        return false;
    if (o->before && !find(t, o->before, &found, fault))
        return false;
    if (o->before && one)
        f->id_to = found.id;
    if (o->before && !one && (!f->until_ns || f->until_ns > found.time_ns))
        f->until_ns = found.time_ns;
    if (o->after && !find(t, o->after, &found, fault))
        return false;
    if (o->after && one)
        f->id_from = found.id + 1;
    if (o->after && !one && f->since_ns < found.time_ns + 1)
        f->since_ns = found.time_ns + 1;
    if (o->conn && !find(t, o->conn, &found, fault))
        return false;
    if (o->conn) {
        f->conn = found.conn;
        f->conn_client = found.client;
    }
    return true;
}
