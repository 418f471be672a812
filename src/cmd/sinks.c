// estape sinks: what sinks are configured, a test of one, and sending by hand what waits.
#include "cmd.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/mem.h"
#include "../sender.h"
#include "../view/emit.h"
#include "alerts_record.h"
#include "tape_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct sinks_settings {
    struct option_list sinks;
    const char *config, *tape;
    bool json;
};

#define AT(field) offsetof(struct sinks_settings, field)
static const struct option options[] = {
    {0, "sink", OPTION_LIST, AT(sinks), "NAME=KIND ...", "A sink beside those of the configuration file. May be repeated.", NULL, false},
    {0, "config", OPTION_TEXT, AT(config), "FILE", "The configuration file; default /etc/estape/estape.conf.", NULL, false},
    {'t', "tape", OPTION_TEXT, AT(tape), "DIR", "Of send: the tape whose alerts wait; default: $ESTAPE_TAPE, else /var/lib/estape if it is a tape, else ./estape.tape.", NULL, false},
    JSON_OPTION(AT(json), "Of list: one JSON object per sink."),
};

struct configured {
    char **texts;
    size_t count;
    struct alert_sinks sinks;
};

static bool load(const struct sinks_settings *s, struct configured *c, struct fault *fault)
{
    const char *path = s->config ? s->config : "/etc/estape/estape.conf";
    struct option_list all = {0};
    bool ok = true;
    if (s->config || access(path, R_OK) == 0)
        ok = sink_read_config(path, &c->texts, &c->count, fault);
    all.at = mem_zero(c->count + s->sinks.count + 1, sizeof *all.at);
    if (ok && !all.at)
        ok = fault_memory(fault);
    for (size_t i = 0; ok && i < s->sinks.count; i++)
        all.at[all.count++] = s->sinks.at[i];
    for (size_t i = 0; ok && i < c->count; i++)
        all.at[all.count++] = c->texts[i];
    ok = ok && alerts_load_sinks(&all, &c->sinks, fault);
    mem_free((void *)all.at);
    return ok;
}

static void unload(struct configured *c)
{
    alerts_free_sinks(&c->sinks);
    for (size_t i = 0; i < c->count; i++)
        mem_free(c->texts[i]);
    mem_free(c->texts);
}

static const struct sink_settings *find(const struct configured *c, const char *name, struct fault *fault)
{
    for (size_t i = 0; i < c->sinks.count; i++)
        if (strcmp(c->sinks.at[i].name, name) == 0)
            return &c->sinks.at[i];
    fault_user(fault, "no sink is called %s; 'estape sinks list' names them", name);
    return NULL;
}

// Where it goes, without what is secret: of a URL the host alone.
static void add_where(struct buf *out, const struct sink_settings *k)
{
    const char *url = k->url;
    if (url) {
        const char *host = strstr(url, "://");
        size_t size = host ? strcspn(host + 3, "/?#") : 0;
        emit_text(out, bytes_of(url, host ? (size_t)(host + 3 - url) + size : 0));
    } else {
        const char *where = k->path ? k->path : k->command ? k->command : k->address ? k->address : k->to ? k->to : "";
        emit_text(out, bytes_of_text(where));
    }
}

static void print_list(const struct sinks_settings *s, const struct configured *c, struct out *out)
{
    if (!c->sinks.count && !s->json)
        buf_add_text(&out->text, "no sink is configured: alerts stay on the tape ('estape alerts'); man estape-sinks tells how to send them\n");
    for (size_t i = 0; i < c->sinks.count; i++) {
        const struct sink_settings *k = &c->sinks.at[i];
        if (s->json) {
            struct buf where = {0};
            add_where(&where, k);
            buf_format(&out->text, "{\"name\":\"%s\",\"kind\":\"%s\",\"level\":\"%s\",\"where\":", k->name, sink_kind_names[k->kind], alert_level_names[k->level]);
            emit_json(&out->text, buf_view(&where));
            buf_add_text(&out->text, "}\n");
            buf_fini(&where);
            continue;
        }
        buf_format(&out->text, "%-20s %-13s from %-13s ", k->name, sink_kind_names[k->kind], alert_level_names[k->level]);
        add_where(&out->text, k);
        buf_add_text(&out->text, "\n");
    }
}

// A test looks like any alert, says what it is, and has an id of its own.
static bool test_one(const struct sink_settings *k, struct fault *fault)
{
    char id[64], time[48];
    int64_t now_ns = clock_now_ns();
    struct buf json = {0};
    struct sink_answer answer = {.result = SINK_RETRY};
    snprintf(id, sizeof id, "test%lld", (long long)now_ns);
    clock_format_utc(now_ns, time, sizeof time);
    buf_format(&json, "{\"id\":\"%s\",\"time\":\"%s\",\"level\":\"%s\",\"rule\":\"recorder.test\",\"rule_id\":null,\"title\":\"A test of the sink %s\","
                      "\"exchange\":null,\"principal\":null,\"client_ip\":null,\"agent\":null,\"verb\":null,\"path\":null,\"api\":null,\"targets\":[],"
                      "\"indices\":[],\"docs\":null,\"outcome\":null,\"kind\":\"test\",\"tags\":[],\"text\":\"This is a test of the sink %s: nothing happened.\",\"next\":[]}",
               id, time, alert_level_names[k->level], k->name, k->name);
    struct sink *sink = sink_open(k);
    struct sink_message m = {.id = id, .json = buf_view(&json), .now_ns = now_ns};
    if (sink && !json.failed)
        sink_send(sink, &m, &answer);
    sink_close(sink);
    buf_fini(&json);
    return answer.result == SINK_SENT || fault_system(fault, "sink %s: %s", k->name, *answer.why ? answer.why : "out of memory");
}

static bool send_one(const struct sinks_settings *s, const struct sink_settings *k, struct out *out, struct fault *fault)
{
    const char *dir = s->tape ? s->tape : tape_options_dir();
    struct sender_progress p;
    if (!tape_options_there(dir, s->tape, fault) || !sender_deliver(dir, k, &p, fault))
        return false;
    buf_format(&out->text, "%s: %llu sent, %llu waiting", k->name, (unsigned long long)p.sent, (unsigned long long)p.left);
    if (p.failed) {
        buf_add_text(&out->text, ": ");
        emit_text(&out->text, bytes_of_text(p.why));
    }
    buf_add_text(&out->text, "\n");
    return !p.failed || fault_system(fault, "sink %s: %s", k->name, p.why);
}

static bool run_verb(const struct sinks_settings *s, const struct configured *c, int count, char **operands, struct out *out, struct fault *fault)
{
    const char *verb = count ? operands[0] : "list";
    bool test = strcmp(verb, "test") == 0, ok = true;
    if (strcmp(verb, "list") == 0) {
        print_list(s, c, out);
        return true;
    }
    if (!test && strcmp(verb, "send") != 0)
        return fault_user(fault, "'%s': list, test and send are known", verb);
    if (count < 2)
        return fault_user(fault, "say which: estape sinks %s NAME", verb);
    for (int i = 1; ok && i < count; i++) {
        const struct sink_settings *k = find(c, operands[i], fault);
        ok = k && (test ? test_one(k, fault) : send_one(s, k, out, fault));
        if (ok && test)
            buf_format(&out->text, "%s: sent\n", k->name);
    }
    return ok;
}

static int run(void *settings, int operand_count, char **operands)
{
    struct sinks_settings *s = settings;
    struct fault fault = {0};
    struct configured c = {0};
    struct out out;
    tape_options_output(&out, NULL);
    bool ok = load(s, &c, &fault) && run_verb(s, &c, operand_count, operands, &out, &fault);
    unload(&c);
    return tape_options_end(NULL, &out, ok, &fault, 0);
}

const struct command cmd_sinks = {
    .name = "sinks",
    .summary = "list the sinks of alerts, test one, send by hand what waits",
    .operands = "[list | test NAME... | send NAME...]",
    .text = "A sink is where alerts go: a line 'sink.NAME = KIND key=value ...' in estape.conf, or --sink. docs/sinks.md tells the kinds and their "
            "settings.\n\ntest sends one message that says it is a test and prints what came of it. send delivers what waits on a tape for a sink, one "
            "try each: for tapes that nobody records to any more.",
    .examples = "estape sinks test pager\tdoes it arrive?\n"
                "estape sinks test x --sink 'x=webhook url=http://127.0.0.1:8080/hook'\tone that is not configured yet\n",
    .see_also = "alerts rules record",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(struct sinks_settings),
    .run = run,
};
