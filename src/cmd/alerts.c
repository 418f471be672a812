// estape alerts: what was raised, what became of its delivery; acknowledging and muting.
#include "cmd.h"

#include "../alert/alert.h"
#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/json.h"
#include "../base/map.h"
#include "../base/mem.h"
#include "../base/glob.h"
#include "../tape/outbox.h"
#include "../view/emit.h"
#include "tape_options.h"

#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FOLLOW_MS = 300, ID_SHOWN = 12, ID_PREFIX_MIN = 4 };

struct alerts_settings {
    struct option_list tapes, rules;
    const char *level, *why, *color;
    int64_t since, until, mute_for;
    bool follow, json, details;
};

#define AT(field) offsetof(struct alerts_settings, field)
static const struct option options[] = {
    TAPE_OPTION(AT(tapes)),
    {'l', "level", OPTION_CHOICE, AT(level), "LEVEL", "Only of this level or above: informational, low, medium, high, critical.", "informational|low|medium|high|critical", false},
    {'r', "rule", OPTION_LIST, AT(rules), "NAME", "Only of this rule; '*' is a wildcard ('index.*'). May be repeated.", NULL, false},
    {'S', "since", OPTION_TIME, AT(since), "TIME", "Only from this moment on.", NULL, false},
    {'U', "until", OPTION_TIME, AT(until), "TIME", "Only before this moment.", NULL, false},
    {'f', "follow", OPTION_FLAG, AT(follow), NULL, "Go on with what is being raised.", NULL, false},
    {'d', "details", OPTION_FLAG, AT(details), NULL, "The whole text of each, with the command to type next and the state of delivery.", NULL, false},
    JSON_OPTION(AT(json), "One JSON object per alert."),
    {0, "why", OPTION_TEXT, AT(why), "TEXT", "Of ack and mute: the reason, kept with the name of the user.", NULL, false},
    {0, "for", OPTION_SPAN, AT(mute_for), "TIME", "Of mute: how long; default for ever.", NULL, false},
    COLOR_OPTION(AT(color)),
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

// ---- rows -------------------------------------------------------------------------------------------------------------

struct entry { // an alert with its newest word
    char *id, *json, *rule, *level;
    size_t json_size;
    int64_t time_ns;
    size_t order;
    struct outbox *outbox;
};

struct listing {
    const struct alerts_settings *settings;
    struct out *out;
    struct outbox **outboxes;
    struct outbox_place *places;
    size_t tapes, which;
    struct entry *entries;
    size_t count, room;
    struct map *by_id;
    bool failed;
};

static int level_number(const char *word)
{
    for (int i = 0; word && i < ALERT_LEVELS; i++)
        if (strcmp(word, alert_level_names[i]) == 0)
            return i;
    return 0;
}

static bool wanted(const struct alerts_settings *s, const struct outbox_item *item)
{
    char level[32];
    snprintf(level, sizeof level, "%.*s", (int)item->level.size, item->level.size ? (const char *)item->level.at : "");
    if (s->level && level_number(level) < level_number(s->level))
        return false;
    if ((s->since && item->time_ns < s->since) || (s->until && item->time_ns >= s->until))
        return false;
    bool named = !s->rules.count;
    for (size_t i = 0; i < s->rules.count && !named; i++)
        named = glob_match(bytes_of_text(s->rules.at[i]), item->rule);
    return named;
}

static char *copy(struct bytes text)
{
    return mem_text_copy(text.size ? text.at : (const uint8_t *)"", text.size);
}

static void free_entry(struct entry *e)
{
    mem_free(e->id);
    mem_free(e->json);
    mem_free(e->rule);
    mem_free(e->level);
}

static bool make_entry(struct listing *l, const struct outbox_item *item, struct entry *e)
{
    *e = (struct entry){copy(item->id), copy(item->json), copy(item->rule), copy(item->level), item->json.size, item->time_ns, l->count, l->outboxes[l->which]};
    return e->id && e->json && e->rule && e->level;
}

static bool keep_row(void *ctx, const struct outbox_item *item)
{
    struct listing *l = ctx;
    bool fresh = false;
    if (!wanted(l->settings, item))
        return true;
    union map_value *v = map_put(l->by_id, item->id, &fresh);
    if (v && !fresh) { // its second word
        struct entry *e = &l->entries[v->num];
        char *json = copy(item->json);
        if (json) {
            mem_free(e->json);
            e->json = json;
            e->json_size = item->json.size;
        }
        return json || !(l->failed = true);
    }
    if (l->count == l->room) {
        size_t room = l->room ? l->room * 2 : 64;
        struct entry *grown = mem_grow(l->entries, room * sizeof *grown);
        if (!grown)
            return !(l->failed = true);
        l->entries = grown;
        l->room = room;
    }
    if (!v || !make_entry(l, item, &l->entries[l->count]))
        return !(l->failed = true);
    v->num = l->count++;
    return true;
}

static int by_time(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

// ---- printing ---------------------------------------------------------------------------------------------------------

struct states {
    struct buf *out;
    bool json, any;
    char last[64];
};

// Rows come by sink and order: of each sink the newest state counts.
static bool add_state(void *ctx, const char *sink, const char *state, int tries, int64_t last_ns, const char *why)
{
    struct states *s = ctx;
    (void)last_ns;
    if (s->json) {
        buf_add_text(s->out, s->any ? "," : "");
        emit_json(s->out, bytes_of_text(sink));
        buf_format(s->out, ":{\"state\":\"%s\",\"tries\":%d,\"why\":", state, tries);
        if (*why)
            emit_json(s->out, bytes_of_text(why));
        else
            buf_add_text(s->out, "null");
        buf_add_text(s->out, "}");
    } else {
        buf_format(s->out, "%s%s: %s", s->any ? ", " : "", sink, state);
        if (*why && strcmp(state, "sent") != 0) {
            buf_add_text(s->out, " (");
            emit_text(s->out, bytes_of_text(why));
            buf_add_text(s->out, ")");
        }
    }
    s->any = true;
    return true;
}

static void collect_last_states(struct outbox *o, const char *id, struct states *to);

struct last_state {
    char sink[64], state[32], why[512];
    int tries;
    struct states *to;
};

static bool note_state(void *ctx, const char *sink, const char *state, int tries, int64_t last_ns, const char *why)
{
    struct last_state *last = ctx;
    if (*last->sink && strcmp(last->sink, sink) != 0)
        add_state(last->to, last->sink, last->state, last->tries, last_ns, last->why);
    snprintf(last->sink, sizeof last->sink, "%s", sink);
    snprintf(last->state, sizeof last->state, "%s", state);
    snprintf(last->why, sizeof last->why, "%s", why);
    last->tries = tries;
    return true;
}

static void collect_last_states(struct outbox *o, const char *id, struct states *to)
{
    struct last_state last = {.to = to};
    outbox_states(o, bytes_of_text(id), note_state, &last);
    if (*last.sink)
        add_state(to, last.sink, last.state, last.tries, 0, last.why);
}

static void print_json(struct listing *l, const struct entry *e)
{
    struct buf *out = &l->out->text;
    struct states s = {.out = out, .json = true};
    struct outbox_mark mark;
    char when[48];
    buf_add(out, e->json, e->json_size ? e->json_size - 1 : 0);
    buf_add_text(out, ",\"state\":{");
    collect_last_states(e->outbox, e->id, &s);
    buf_add_text(out, "},\"acked\":");
    if (outbox_mark(e->outbox, bytes_of_text(e->id), &mark)) {
        buf_format(out, "{\"time\":\"%s\",\"by\":", clock_format_utc(mark.acked_ns, when, sizeof when));
        emit_json(out, bytes_of_text(mark.by));
        buf_add_text(out, ",\"why\":");
        emit_json(out, bytes_of_text(mark.why));
        buf_add_text(out, "}");
    } else {
        buf_add_text(out, "null");
    }
    buf_add_text(out, "}\n");
}

static struct bytes member(const struct json *j, const char *key)
{
    const struct json *m = json_member(j, key);
    return m && m->kind == JSON_KIND_STRING ? m->text : (struct bytes){0};
}

static void add_part(struct buf *out, const char *before, struct bytes text, const char *after)
{
    if (!text.size)
        return;
    buf_add_text(out, before);
    emit_text(out, text);
    buf_add_text(out, after);
}

static void add_targets(struct buf *out, const struct json *j)
{
    const struct json *list = json_member(j, "targets");
    size_t n = 0;
    for (const struct json *t = list ? list->first : NULL; t && n < 4; t = t->next, n++) {
        buf_add_text(out, n ? ", " : ": ");
        emit_text(out, t->text);
    }
    if (list && list->count > n)
        buf_format(out, " and %zu more", list->count - n);
}

static enum paint level_paint(int level)
{
    static const enum paint paints[ALERT_LEVELS] = {PAINT_DIM, PAINT_NONE, PAINT_YELLOW, PAINT_RED, PAINT_ALARM};
    return paints[level];
}

static void print_head(struct listing *l, const struct entry *e, const struct json *j)
{
    struct buf *out = &l->out->text;
    char when[48];
    buf_add_text(out, clock_format_local(e->time_ns, when, sizeof when));
    buf_add_text(out, " ");
    out_paint(l->out, level_paint(level_number(e->level)));
    buf_format(out, "%-8s", strcmp(e->level, "informational") == 0 ? "info" : e->level);
    out_paint(l->out, PAINT_NONE);
    buf_add_text(out, " ");
    add_part(out, "", member(j, "title"), "");
    add_targets(out, j);
    add_part(out, " by ", member(j, "principal"), "");
    struct bytes ip = member(j, "client_ip"), agent = member(j, "agent");
    size_t word = 0;
    while (word < agent.size && agent.at[word] != '/' && agent.at[word] != ' ')
        word++;
    add_part(out, " (", ip, word ? ", " : ")");
    add_part(out, ip.size ? "" : " (", bytes_of(agent.at, word), ")");
    struct bytes kind = member(j, "kind"), outcome = member(j, "outcome");
    add_part(out, " ", outcome, "");
    if (!outcome.size && bytes_equal_text(kind, "attempt"))
        buf_add_text(out, " attempted");
    int64_t exchange = json_member(j, "exchange") ? json_int(json_member(j, "exchange"), -1) : -1;
    if (exchange > 0)
        buf_format(out, " #%lld", (long long)exchange);
    out_paint(l->out, PAINT_DIM);
    buf_format(out, " %.*s", ID_SHOWN, e->id);
    out_paint(l->out, PAINT_NONE);
}

static void print_text(struct listing *l, const struct entry *e)
{
    struct buf *out = &l->out->text;
    struct arena arena;
    struct outbox_mark mark;
    arena_init(&arena, 0);
    const struct json *j = json_parse(&arena, bytes_of(e->json, e->json_size), NULL);
    if (j) {
        print_head(l, e, j);
        if (outbox_mark(e->outbox, bytes_of_text(e->id), &mark)) {
            buf_add_text(out, " [acknowledged by ");
            emit_text(out, bytes_of_text(mark.by));
            add_part(out, ": ", bytes_of_text(mark.why), "");
            buf_add_text(out, "]");
        }
        buf_add_text(out, "\n");
        if (l->settings->details) {
            struct states s = {.out = out};
            add_part(out, "    ", member(j, "text"), "\n");
            buf_format(out, "    rule %s, id %s; ", e->rule, e->id);
            collect_last_states(e->outbox, e->id, &s);
            buf_add_text(out, s.any ? "\n" : "not sent to any sink\n");
        }
    }
    arena_fini(&arena);
}

static bool print_entry(struct listing *l, const struct entry *e)
{
    if (l->settings->json)
        print_json(l, e);
    else
        print_text(l, e);
    return out_push(l->out);
}

static bool print_row(void *ctx, const struct outbox_item *item)
{
    struct listing *l = ctx;
    struct entry e;
    if (interrupted)
        return false;
    if (!wanted(l->settings, item))
        return true;
    bool ok = make_entry(l, item, &e) && print_entry(l, &e);
    free_entry(&e);
    return ok;
}

static void follow(struct listing *l)
{
    struct sigaction act = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    while (!interrupted && out_flush(l->out)) {
        for (l->which = 0; l->which < l->tapes; l->which++)
            outbox_each(l->outboxes[l->which], &l->places[l->which], print_row, l);
        if (out_flush(l->out))
            usleep(FOLLOW_MS * 1000);
    }
}

static bool list(struct listing *l, struct fault *fault)
{
    l->by_id = map_open();
    for (l->which = 0; l->by_id && l->which < l->tapes; l->which++)
        outbox_each(l->outboxes[l->which], &l->places[l->which], keep_row, l);
    bool ok = (l->by_id && !l->failed) || fault_memory(fault);
    if (ok && l->count)
        qsort(l->entries, l->count, sizeof *l->entries, by_time);
    for (size_t i = 0; ok && i < l->count && print_entry(l, &l->entries[i]); i++) {
    }
    for (size_t i = 0; i < l->count; i++)
        free_entry(&l->entries[i]);
    mem_free(l->entries);
    if (l->by_id)
        map_close(l->by_id);
    if (ok && l->settings->follow)
        follow(l);
    return ok;
}

// ---- acknowledging and muting -----------------------------------------------------------------------------------------

struct search {
    const char *prefix;
    char found[64];
    size_t matches;
};

static bool compare_id(void *ctx, const struct outbox_item *item)
{
    struct search *s = ctx;
    size_t size = strlen(s->prefix);
    if (item->id.size < size || memcmp(item->id.at, s->prefix, size) != 0)
        return true;
    char id[64];
    snprintf(id, sizeof id, "%.*s", (int)item->id.size, (const char *)item->id.at);
    if (strcmp(id, s->found) != 0)
        s->matches++;
    memcpy(s->found, id, sizeof id);
    return true;
}

static bool find_id(struct outbox *o, const char *text, char id[64], struct fault *fault)
{
    struct search s = {.prefix = text};
    struct outbox_place place = {0};
    if (strlen(text) < ID_PREFIX_MIN)
        return fault_user(fault, "%s: give at least %d characters of an alert's id", text, ID_PREFIX_MIN);
    outbox_each(o, &place, compare_id, &s);
    if (s.matches == 1) {
        memcpy(id, s.found, 64);
        return true;
    }
    return fault_user(fault, s.matches ? "%s: several alerts begin so, give more of the id" : "%s: no alert of this tape has this id", text);
}

static const char *user_name(void)
{
    const struct passwd *p = getpwuid(getuid());
    const char *sudo = getenv("SUDO_USER");
    return sudo && *sudo ? sudo : p ? p->pw_name : "?";
}

static bool has_rule(void *ctx, const struct outbox_item *item)
{
    const char **wanted = ctx;
    if (bytes_equal_text(item->rule, *wanted))
        *wanted = NULL;
    return *wanted != NULL;
}

// A rule of one's own may not have spoken yet, so its name is taken; a name that is only mistyped mutes nothing, which must not
// be found out in the night.
static void warn_of_unknown(struct outbox *o, const char *name)
{
    struct fault ignored = {0};
    struct outbox_place place = {0};
    struct rules *pack = rules_open();
    struct rule_view v;
    bool known = strncmp(name, "recorder.", 9) == 0;
    const char *wanted = name;
    if (pack && rules_add_builtin(pack, &ignored))
        for (size_t i = 0; !known && rules_view(pack, i, &v); i++)
            known = strcmp(v.name, name) == 0;
    if (!known)
        outbox_each(o, &place, has_rule, &wanted);
    if (!known && wanted)
        diag_warn("no rule of the built-in pack and no alert of this tape is called %s; it is muted all the same", name);
    rules_close(pack);
}

static bool mark_one(const struct alerts_settings *s, struct outbox *o, const char *verb, const char *what, struct fault *fault)
{
    char id[64] = "";
    int64_t now_ns = clock_now_ns();
    bool rule = strchr(what, '.') || strspn(what, "0123456789abcdef") != strlen(what);
    if (strcmp(verb, "ack") == 0)
        return find_id(o, what, id, fault) && outbox_ack(o, id, user_name(), s->why, now_ns, fault);
    if (!rule && !find_id(o, what, id, fault))
        return false;
    if (strcmp(verb, "unmute") == 0) {
        const char *muted = rule ? what : id;
        if (!outbox_muted(o, bytes_of_text(muted), (struct bytes){0}, now_ns))
            return fault_user(fault, "%s is not muted", what);
        return outbox_unmute(o, muted, fault);
    }
    if (rule)
        warn_of_unknown(o, what);
    return outbox_mute(o, rule ? what : id, s->mute_for ? now_ns + s->mute_for : 0, user_name(), s->why, now_ns, fault);
}

static bool mark(const struct alerts_settings *s, const char *dir, int operand_count, char **operands, struct fault *fault)
{
    bool needs_why = strcmp(operands[0], "unmute") != 0;
    if (operand_count < 2)
        return fault_user(fault, "say what: estape alerts %s ID --why TEXT", operands[0]);
    if (needs_why && (!s->why || !*s->why))
        return fault_user(fault, "say why: estape alerts %s %s --why TEXT", operands[0], operands[1]);
    struct outbox *o = outbox_open(dir, true, fault);
    bool ok = o != NULL;
    for (int i = 1; ok && i < operand_count; i++)
        ok = mark_one(s, o, operands[0], operands[i], fault);
    outbox_close(o);
    return ok;
}

// ---- the command ------------------------------------------------------------------------------------------------------

static bool open_all(struct listing *l, const struct option_list *tapes, const char *fallback, struct fault *fault)
{
    l->tapes = tapes->count ? tapes->count : 1;
    l->outboxes = mem_zero(l->tapes, sizeof(struct outbox *));
    l->places = mem_zero(l->tapes, sizeof *l->places);
    bool ok = (l->outboxes && l->places) || fault_memory(fault);
    for (size_t i = 0; ok && i < l->tapes; i++) {
        const char *dir = tapes->count ? tapes->at[i] : fallback;
        struct buf path = {0};
        buf_format(&path, "%s/tape.db", dir);
        ok = tape_options_there(dir, tapes->count, fault) &&
             (access(buf_text(&path), F_OK) == 0 || fault_user(fault, "%s is not a tape: it holds no tape.db; 'estape record' makes one", dir));
        buf_fini(&path);
        ok = ok && (l->outboxes[i] = outbox_open(dir, false, fault)) != NULL;
    }
    return ok;
}

static int run(void *settings, int operand_count, char **operands)
{
    struct alerts_settings *s = settings;
    struct fault fault = {0};
    struct out out;
    struct listing l = {.settings = s, .out = &out};
    bool ok, marks = operand_count && (strcmp(operands[0], "ack") == 0 || strcmp(operands[0], "mute") == 0 || strcmp(operands[0], "unmute") == 0);
    tape_options_output(&out, s->color);
    if (operand_count && !marks)
        ok = fault_user(&fault, "'%s': ack, mute and unmute are known; without a word the alerts are listed", operands[0]);
    else if (marks)
        ok = mark(s, s->tapes.count ? s->tapes.at[0] : tape_options_dir(), operand_count, operands, &fault);
    else
        ok = open_all(&l, &s->tapes, tape_options_dir(), &fault) && list(&l, &fault);
    for (size_t i = 0; l.outboxes && i < l.tapes; i++)
        outbox_close(l.outboxes[i]);
    mem_free(l.outboxes);
    mem_free(l.places);
    return tape_options_end(NULL, &out, ok, &fault, 0);
}

const struct command cmd_alerts = {
    .name = "alerts",
    .summary = "list what rules raised, follow it, acknowledge or mute it",
    .operands = "[ack ID... | mute ID|RULE... | unmute ID|RULE...]",
    .text = "Lists the alerts of a tape, oldest first: when, how bad, what happened to which index, by whom, from where, with what, the exchange it "
            "is about, and the alert's id. An alert that was told as an attempt stands once, with its outcome.\n\n"
            "ack marks alerts as seen; mute keeps an alert, or every alert of a rule, from being sent (they are still raised and listed); both keep who "
            "said so and why. An id may be shortened.",
    .examples = "estape alerts --level high\twhat matters\n"
                "estape alerts -f --json\tas they come, for a program\n"
                "estape alerts ack 9f31 --why 'planned, CHG-1183'\tseen\n"
                "estape alerts mute docs.delete_by_query --for 2h --why 'clean-up under way'\tno more messages of this rule for a while\n",
    .see_also = "rules sinks timeline replay",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(struct alerts_settings),
    .run = run,
};
