// estape record: from devices or capture files to a tape.
#include "cmd.h"

#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/mem.h"
#include "../es/version.h"
#include "../recorder.h"
#include "alerts_record.h"
#include "privilege.h"
#include "tape_options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct record_settings {
    struct option_list devices, files, exclude, versions, ports, rules, rules_off, sinks;
    const char *tape, *bodies, *user, *config;
    bool follow, quiet, no_read_requests;
    uint64_t segment_size, max_size, ring;
    int64_t segment_age, keep_bodies, keep_log, flush, snaplen, silence;
};

#define AT(field) offsetof(struct record_settings, field)
static const struct option options[] = {
    {0, "Input", OPTION_GROUP, 0, NULL, NULL, NULL, false},
    {'i', "interface", OPTION_LIST, AT(devices), "DEV", "Record from this device; 'any' for all of them. May be repeated.", NULL, true},
    {'r', "read", OPTION_LIST, AT(files), "FILE", "Record from this capture file (pcap or pcapng), '-' for standard input. May be repeated; several files are merged by time.", NULL, false},
    {'F', "follow", OPTION_FLAG, AT(follow), NULL, "Wait for more at the end of a file: it is still being written.", NULL, false},
    {0, "port", OPTION_LIST, AT(ports), "N[,N...]|any", "Ports to watch; default 9200 for a device (any where a filter names ports), any for a file. With any, every TCP connection counts in which a verb and a path begin a message.", NULL, true},
    {0, "ring", OPTION_SIZE, AT(ring), "SIZE", "Memory for packets that wait in the kernel, at least 64M (the default).", NULL, true},
    {0, "snaplen", OPTION_COUNT, AT(snaplen), "BYTES", "Bytes kept of each packet of a device; default 262144, which cuts nothing.", NULL, true},
    {0, "Tape", OPTION_GROUP, 0, NULL, NULL, NULL, false},
    {'t', "tape", OPTION_TEXT, AT(tape), "DIR", "Directory of the tape, made if missing; default: $ESTAPE_TAPE, else /var/lib/estape if it is a tape, else ./estape.tape.", NULL, true},
    {0, "bodies", OPTION_CHOICE, AT(bodies), "writes|all|none", "Which bodies are kept: those of writes (the default; of reads only the request), all of them, or none.", "writes|all|none", true},
    {0, "no-read-requests", OPTION_FLAG, AT(no_read_requests), NULL, "Do not keep the request bodies of reads either.", NULL, true},
    {0, "exclude-index", OPTION_LIST, AT(exclude), "PATTERN", "Keep the bodies of this index off the tape; its rows stay. May be repeated.", NULL, true},
    {0, "segment-size", OPTION_SIZE, AT(segment_size), "SIZE", "Begin a new segment of the tape at this size; default 1G.", NULL, true},
    {0, "segment-age", OPTION_SPAN, AT(segment_age), "AGE", "Begin a new segment of the tape at this age; default 1h.", NULL, true},
    {0, "keep-bodies", OPTION_SPAN, AT(keep_bodies), "AGE", "Drop bodies older than this; default: keep.", NULL, true},
    {0, "keep-log", OPTION_SPAN, AT(keep_log), "AGE", "Drop whole segments older than this; default: keep.", NULL, true},
    {0, "max-size", OPTION_SIZE, AT(max_size), "SIZE", "Keep the tape under this size (default: no limit): the oldest bodies go first, then the oldest segments.", NULL, true},
    {0, "flush", OPTION_SPAN, AT(flush), "TIME", "Commit and sync at least so often (default 1s); a crash or a power loss takes no more than this.", NULL, true},
    {0, "Semantics", OPTION_GROUP, 0, NULL, NULL, NULL, false},
    {0, "version-of", OPTION_LIST, AT(versions), "HOST:PORT=VERSION", "The version of a cluster, where its answers do not tell: 10.0.0.5:9200=7.10, opensearch-2.19 for OpenSearch. May be repeated.", NULL, true},
    {0, "Alerts", OPTION_GROUP, 0, NULL, NULL, NULL, false},
    {0, "rules", OPTION_LIST, AT(rules), "DIR|FILE", "Rules to run (Sigma); 'builtin' names the built-in pack, which runs when nothing is given, 'none' switches alerts off. May be repeated.", NULL, true},
    {0, "rule-off", OPTION_LIST, AT(rules_off), "NAME", "Switch this rule off (name or id; '*' is a wildcard). May be repeated.", NULL, true},
    {0, "sink", OPTION_LIST, AT(sinks), "NAME=KIND ...", "Where alerts are sent: 'pager=webhook url=https://... secret-file=...', 'log=file path=/var/log/alerts', 'me=stdout format=text'. In the configuration file: sink.NAME = KIND ... May be repeated.", NULL, true},
    {0, "silence", OPTION_SPAN, AT(silence), "TIME", "From a device: not one packet for so long is an alert; default 5m.", NULL, true},
    {0, "Process", OPTION_GROUP, 0, NULL, NULL, NULL, false},
    {'u', "user", OPTION_TEXT, AT(user), "USER", "After opening devices become this user; default 'estape' where that user exists, else the user behind sudo.", NULL, true},
    {0, "config", OPTION_TEXT, AT(config), "FILE", "Read options from this file, one 'name = value' a line with the long names; default /etc/estape/estape.conf.", NULL, false},
    {'q', "quiet", OPTION_FLAG, AT(quiet), NULL, "No status line.", NULL, true},
};

// Signal flags: the only writable globals (with the recorder they act on).
static volatile sig_atomic_t want_counters;
static struct recorder *volatile running;

static void on_stop(int signal_number)
{
    (void)signal_number;
    if (running)
        recorder_stop(running);
}

static void on_counters(int signal_number)
{
    (void)signal_number;
    want_counters = 1;
}

// ---- the status line ------------------------------------------------------------------------------------------------

struct status {
    bool terminal, quiet;
    int64_t began_ns, told_ns, last_ns;
    uint64_t last_requests, last_writes;
    const char *told_trouble;
    struct recorder *recorder;
    const char *device, *who, *dir; // device NULL: nothing to say of who records; who NULL: root, for want of another
};

static double per_second(uint64_t now, uint64_t before, int64_t span_ns)
{
    return span_ns > 0 ? (double)(now - before) * 1e9 / (double)span_ns : 0;
}

static void print_counters(const struct recorder_stats *s)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"packets seen", s->capture.packets_seen}, {"bytes seen", s->capture.bytes_seen},
        {"kernel dropped", s->capture.kernel_dropped}, {"interface dropped", s->capture.interface_dropped},
        {"segments seen", s->wire.segments_seen}, {"segments out of order", s->wire.out_of_order},
        {"segments retransmitted", s->wire.retransmitted}, {"packets seen twice", s->wire.duplicates},
        {"overlaps conflicting", s->wire.overlaps_conflicting}, {"gaps", s->wire.gaps}, {"gap bytes", s->wire.gap_bytes},
        {"connections seen", s->wire.conns_seen}, {"connections open", s->wire.conns_open},
        {"connections joined midstream", s->wire.conns_midstream}, {"connections seen from one side", s->wire.conns_one_sided},
        {"connections evicted", s->wire.conns_evicted}, {"bytes waiting for order", s->wire.reorder_bytes},
        {"requests", s->http.requests}, {"answers", s->http.responses}, {"answers without request", s->http.orphans},
        {"requests truncated", s->http.truncated_requests}, {"answers truncated", s->http.truncated_responses},
        {"heads cut", s->http.heads_truncated}, {"resynchronisations", s->http.resyncs}, {"bytes not parsed", s->http.unparsed_bytes},
        {"connections not HTTP/1", s->http.opaque_conns}, {"bodies not decodable", s->http.undecodable},
        {"writes", s->es.writes}, {"document writes", s->es.ops}, {"destructive", s->es.destructive},
        {"unknown routes", s->es.unknown_routes}, {"redactions", s->es.redactions}, {"tape bytes", s->tape_bytes},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        fprintf(stderr, "%-32s %llu\n", rows[i].name, (unsigned long long)rows[i].value);
    fflush(stderr);
}

// What a narrow terminal cuts off stands last; a trouble stands first.
static void print_status(struct status *st, const struct recorder_stats *s, int64_t now_ns)
{
    char size[32], lag[32], holes[32], line[512];
    int64_t span_ns = now_ns - st->last_ns;
    uint64_t lost = s->capture.kernel_dropped + s->capture.interface_dropped;
    clock_format_size(s->tape_bytes, size, sizeof size);
    clock_format_size(s->wire.gap_bytes, holes, sizeof holes);
    clock_format_span(s->lag_ns, lag, sizeof lag);
    int n = snprintf(line, sizeof line, "%s%s%.0f requests/s, %.0f writes/s, lost %llu pkts + %s, tape %s, lag %s, %llu packets",
                     s->trouble ? s->trouble : "", s->trouble ? "; " : "", per_second(s->http.requests, st->last_requests, span_ns),
                     per_second(s->es.writes, st->last_writes, span_ns), (unsigned long long)lost, holes, size, lag,
                     (unsigned long long)s->capture.packets_seen);
    if (st->terminal) {
        struct winsize w;
        int width = ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col - 1 : 79;
        fprintf(stderr, "\r%.*s\033[K", n < width ? n : width, line);
    } else {
        fprintf(stderr, "%s\n", line);
    }
    fflush(stderr);
    st->last_ns = now_ns;
    st->last_requests = s->http.requests;
    st->last_writes = s->es.writes;
}

static void print_end(const struct status *st, const struct recorder_stats *s)
{
    char size[32], span[32];
    clock_format_size(s->tape_bytes, size, sizeof size);
    clock_format_span(clock_steady_ns() - st->began_ns, span, sizeof span);
    if (st->terminal)
        fputs("\r\033[K", stderr);
    diag_line("recorded %llu requests (%llu writes, %llu destructive) from %llu packets in %s; lost %llu packets, %llu bytes in %llu gaps",
              (unsigned long long)s->http.requests, (unsigned long long)s->es.writes, (unsigned long long)s->es.destructive,
              (unsigned long long)s->capture.packets_seen, span,
              (unsigned long long)(s->capture.kernel_dropped + s->capture.interface_dropped), (unsigned long long)s->wire.gap_bytes,
              (unsigned long long)s->wire.gaps);
}

// Said once the tape is open, when it is true.
static void print_begin(struct status *st)
{
    if (!st->device)
        return;
    if (!st->who)
        diag_warn("recording as root: there is no user 'estape' and nobody behind sudo; name a user with -u");
    else if (!st->quiet)
        diag_line("recording %s as %s to %s", st->device, st->who, st->dir);
    st->device = NULL;
}

static void report(void *ctx, const struct recorder_stats *s, bool final)
{
    struct status *st = ctx;
    int64_t now_ns = clock_steady_ns();
    print_begin(st);
    for (const char *warning; (warning = recorder_warning(st->recorder));) {
        if (st->terminal && !st->quiet)
            fputs("\r\033[K", stderr);
        diag_warn("%s", warning);
    }
    if (want_counters) {
        want_counters = 0;
        print_counters(s);
    }
    // A disk that refuses is told at once, also to those who asked for quiet: what is not stored is lost.
    if (s->trouble != st->told_trouble) {
        diag_warn("%s", s->trouble ? s->trouble : "the disk takes writes again: everything is stored");
        st->told_trouble = s->trouble;
    }
    if (st->quiet)
        return;
    if (final) {
        print_end(st, s);
        return;
    }
    int64_t every_ns = st->terminal ? WHEN_NS_PER_S : 60 * WHEN_NS_PER_S;
    if (now_ns - st->told_ns < every_ns)
        return;
    st->told_ns = now_ns;
    print_status(st, s, now_ns);
}

// ---- options to settings --------------------------------------------------------------------------------------------

enum { PORTS_MAX = 64 };

struct becoming { // what a delivery process needs to give its privileges up, whenever it starts
    const struct record_settings *s;
    const struct made *m;
};

struct made {
    struct recorder_settings settings;
    struct capture_source *sources;
    uint16_t ports[PORTS_MAX];
    size_t port_count;
    struct es_version_of *versions;
    struct buf filter;
    char dir[4096];
    struct rules *rules;
    struct alert_sinks sinks;
    struct becoming becoming;
};

static bool parse_ports(struct made *m, const struct record_settings *s, bool live, struct fault *fault)
{
    bool chosen = m->filter.size && strstr(buf_text(&m->filter), "port"); // the filter says which
    bool any = !s->ports.count && (!live || chosen);
    if (!s->ports.count && !any)
        m->ports[m->port_count++] = 9200;
    for (size_t i = 0; i < s->ports.count; i++) {
        if (!*s->ports.at[i])
            return fault_user(fault, "--port: name a port, as --port 9200, or 'any'");
        for (const char *at = s->ports.at[i]; *at;) {
            size_t len = strcspn(at, ",");
            char *end;
            unsigned long port = strtoul(at, &end, 10);
            if (len == 3 && strncmp(at, "any", 3) == 0)
                any = true;
            else if (end != at + len || !len || port == 0 || port > 65535)
                return fault_user(fault, "--port %s: a port is a number from 1 to 65535, or 'any'", s->ports.at[i]);
            else if (m->port_count == PORTS_MAX)
                return fault_user(fault, "--port: at most %d ports; use 'any' and a capture filter", PORTS_MAX);
            else
                m->ports[m->port_count++] = (uint16_t)port;
            at += len;
            at += *at == ',';
        }
    }
    if (any)
        m->port_count = 0;
    return true;
}

// "10.0.0.5", "[::1]"
static bool parse_address(const char *text, size_t size, struct endpoint *to)
{
    char host[64];
    if (size >= 2 && text[0] == '[' && text[size - 1] == ']')
        text++, size -= 2;
    if (size >= sizeof host)
        return false;
    snprintf(host, sizeof host, "%.*s", (int)size, text);
    struct in_addr four;
    if (inet_pton(AF_INET, host, &four) != 1)
        return inet_pton(AF_INET6, host, to->ip) == 1;
    to->ip[10] = to->ip[11] = 0xff;
    memcpy(to->ip + 12, &four, 4);
    return true;
}

static bool parse_version(const char *text, struct es_version_of *v, struct fault *fault)
{
    const char *equal = strchr(text, '='), *colon = equal ? memrchr(text, ':', (size_t)(equal - text)) : NULL;
    unsigned port;
    *v = (struct es_version_of){0};
    if (colon && sscanf(colon + 1, "%u=", &port) == 1 && port && port < 65536 && parse_address(text, (size_t)(colon - text), &v->server) &&
        version_parse(bytes_of_text(equal + 1), &v->version)) {
        v->server.port = (uint16_t)port;
        return true;
    }
    return fault_user(fault, "--version-of %s: say ADDRESS:PORT=VERSION, as 10.0.0.5:9200=7.10 or [::1]:9200=opensearch-2.19", text);
}

static bool make_settings(struct made *m, const struct record_settings *s, int operand_count, char **operands, struct fault *fault)
{
    size_t count = s->devices.count + s->files.count;
    if (!count)
        return fault_user(fault, "nothing to record: name a device with -i DEV or a capture file with -r FILE");
    m->sources = mem_zero(count, sizeof *m->sources);
    m->versions = mem_zero(s->versions.count, sizeof *m->versions);
    if (!m->sources || !m->versions)
        return fault_memory(fault);
    for (size_t i = 0; i < count; i++) {
        bool device = i < s->devices.count;
        m->sources[i] = (struct capture_source){device ? s->devices.at[i] : s->files.at[i - s->devices.count], device};
    }
    for (size_t i = 0; i < s->versions.count; i++)
        if (!parse_version(s->versions.at[i], &m->versions[i], fault))
            return false;
    bool live = s->devices.count > 0;
    for (int i = 0; i < operand_count; i++)
        buf_format(&m->filter, "%s%s", i ? " " : "", operands[i]);
    if (!parse_ports(m, s, live, fault))
        return false;
    snprintf(m->dir, sizeof m->dir, "%s", s->tape ? s->tape : tape_options_dir());
    m->settings = (struct recorder_settings){
        .capture = {.sources = m->sources, .source_count = count, .filter = operand_count ? buf_text(&m->filter) : NULL, .ports = m->ports,
                    .port_count = m->port_count, .ring_bytes = s->ring < (64u << 20) ? 64u << 20 : s->ring,
                    .snaplen_bytes = s->snaplen > 0 ? (uint32_t)s->snaplen : 262144, .follow = s->follow},
        .wire = {.ports = m->ports, .port_count = m->port_count},
        .es = {.bodies = strcmp(s->bodies, "all") == 0 ? ES_BODIES_ALL : strcmp(s->bodies, "none") == 0 ? ES_BODIES_NONE : ES_BODIES_WRITES,
               .read_requests = !s->no_read_requests, .exclude_index = s->exclude.at, .exclude_count = s->exclude.count,
               .versions = m->versions, .version_count = s->versions.count, .ops = true},
        .tape = {.dir = m->dir, .segment_bytes = s->segment_size ? s->segment_size : 1u << 30,
                 .segment_ns = s->segment_age ? s->segment_age : 3600 * WHEN_NS_PER_S, .flush_ns = s->flush ? s->flush : WHEN_NS_PER_S,
                 .keep_bodies_ns = s->keep_bodies, .keep_log_ns = s->keep_log, .max_bytes = s->max_size, .compression = 1,
                 .live = live || s->follow},
        .silence_ns = s->silence,
        .quiet = s->quiet,
    };
    return true;
}

static void set_signals(void)
{
    const int stops[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction act = {.sa_handler = on_stop};
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++)
        sigaction(stops[i], &act, NULL);
    act.sa_handler = on_counters;
    act.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &act, NULL);
}

static bool become_ordinary(const struct record_settings *s, const struct made *m, struct status *st, struct fault *fault)
{
    if (!s->devices.count)
        return true;
    st->device = s->devices.at[0];
    st->dir = m->dir;
    return privilege_drop(s->user, m->dir, &st->who, fault);
}

// ---- alerts: rules, and the processes that deliver ------------------------------------------------------------------

#define SENDER_GRACE_NS (10 * WHEN_NS_PER_S)

static bool become_sender(void *ctx, struct fault *fault)
{
    const struct becoming *b = ctx;
    const char *who;
    return !b->s->devices.count || privilege_drop(b->s->user, b->m->dir, &who, fault);
}

static bool start_alerts(const struct record_settings *s, struct made *m, struct fault *fault)
{
    size_t refused = 0;
    m->rules = alerts_load_rules(&(struct rules_wanted){.paths = s->rules, .off = s->rules_off}, &refused, fault);
    if ((!m->rules && fault->kind) || !alerts_load_sinks(&s->sinks, &m->sinks, fault))
        return false;
    m->settings.rules = m->rules;
    m->settings.rules_refused = refused;
    if (!m->rules || !m->sinks.count)
        return true;
    m->becoming = (struct becoming){s, m};
    struct sender_settings sender = {.dir = m->dir, .sinks = m->sinks.at, .sink_count = m->sinks.count, .become = become_sender, .ctx = &m->becoming};
    struct fault why = {0};
    m->settings.sender = sender_start(&sender, &why);
    if (!m->settings.sender)
        diag_warn("%s; alerts are kept on the tape and not sent", why.text);
    return true;
}

static void end_alerts(struct made *m)
{
    sender_stop(m->settings.sender, SENDER_GRACE_NS);
    alerts_free_sinks(&m->sinks);
    rules_close(m->rules);
}

static bool run_recorder(const struct record_settings *s, struct made *m, struct fault *fault)
{
    struct recorder *r = recorder_open(&m->settings, fault);
    if (!r)
        return false;
    struct status st = {.terminal = isatty(STDERR_FILENO), .quiet = s->quiet, .recorder = r};
    st.began_ns = st.last_ns = clock_steady_ns();
    st.told_ns = st.began_ns;
    bool ok = become_ordinary(s, m, &st, fault);
    if (ok) {
        running = r;
        set_signals();
        ok = recorder_run(r, report, &st, fault);
        running = NULL;
    }
    recorder_close(r);
    return ok;
}

static int run(void *settings, int operand_count, char **operands)
{
    struct record_settings *s = settings;
    struct fault fault = {0};
    struct made m = {0};
    struct arena texts = {0};
    const char *config = s->config ? s->config : "/etc/estape/estape.conf";
    privilege_forbid_cores(); // before a byte is read or a process forked
    bool ok = s->config || access(config, R_OK) == 0 ? option_read_config(&cmd_record, config, s, operands, &texts, &fault) : true;
    if (!s->bodies)
        s->bodies = "writes";
    ok = ok && make_settings(&m, s, operand_count, operands, &fault) && start_alerts(s, &m, &fault) && run_recorder(s, &m, &fault);
    end_alerts(&m);
    mem_free(m.sources);
    mem_free(m.versions);
    buf_fini(&m.filter);
    int status = ok ? 0 : diag_fault(&fault);
    arena_fini(&texts);
    return status;
}

const struct command cmd_record = {
    .name = "record",
    .summary = "record the traffic of a cluster from devices or capture files to a tape",
    .operands = "[FILTER...]",
    .text = "Watches HTTP traffic of Elasticsearch and OpenSearch, live with -i or from capture files with -r, and writes every exchange to a "
            "tape: who ran which verb on which index, what became of it, and the bodies of writes.\n\n"
            "The remaining operands are a capture filter as tcpdump takes them. Without one, devices watch the ports given with --port "
            "(VLAN tags, VXLAN, GENEVE, GRE and later IP fragments included).\n\n"
            "SIGINT and SIGTERM end the recording: what the kernel holds is still recorded, the tape is sealed and synced. SIGUSR1 prints "
            "the counters. On a terminal a status line shows packets, requests and writes per second, loss, the size of the tape and how far "
            "storing lags behind; elsewhere a line a minute does.",
    .examples = "sudo estape record -i any --tape /var/lib/estape\trecord all devices, port 9200\n"
                "estape record -r incident.pcap --tape incident.tape\tmake a tape from a capture\n"
                "sudo estape record -i eth0 --port 9200,9201 'host 10.1.7.23'\twith a capture filter\n"
                "ssh node tcpdump -i any -w - port 9200 | estape record -r -\trecord from afar\n",
    .see_also = "log show info timeline",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(struct record_settings),
    .run = run,
};
