// Sinks: where alerts go. A sink is one line of configuration; sending blocks for at most its time limit. For src/sender.c and
// the command `sinks`: the process that parses packets never calls this.
#pragma once
#include "../../include/fault.h"
#include "../base/buf.h"
#include "alert.h"

enum sink_kind { SINK_STDOUT, SINK_FILE, SINK_EXEC, SINK_WEBHOOK, SINK_SLACK, SINK_PAGERDUTY, SINK_ALERTMANAGER, SINK_SYSLOG, SINK_MAIL, SINK_KINDS };
extern const char *const sink_kind_names[SINK_KINDS];

enum { SINK_VARIABLES = 3 };

struct sink_settings {
    char *name;
    enum sink_kind kind;
    enum alert_level level;      // the lowest that is sent; default low
    bool outcomes;               // also second words; default yes
    bool text;                   // stdout, file, exec: the paragraph instead of JSON
    int64_t timeout_ns, give_up_ns, active_ns;
    char *url, *path, *command, *address, *proxy, *ca_file, *cert_file, *key_file, *to, *from, *host;
    char *secret;                // read from a file or the environment, never shown
    char *variables[SINK_VARIABLES]; // of the environment, that the secret, the address and the proxy were read from
    char *transport, *framing;   // of syslog
    int facility;
};

// "NAME=KIND key=value key='a b' ...", as --sink and "sink.NAME = KIND key=value ..." in estape.conf give it.
// Fault user: what is wrong and what to do. Secrets are read here, so that privileges can be dropped afterwards.
bool sink_parse(const char *text, struct sink_settings *s, struct fault *fault);
void sink_settings_free(struct sink_settings *s);
// Once all sinks are read (two may name one variable): a program that a sink starts does not inherit another's secret.
void sink_hide_variables(const struct sink_settings *s);
// The sinks of a configuration file (lines "sink.NAME = ..."); other lines are passed over. texts: fresh strings.
bool sink_read_config(const char *path, char ***texts, size_t *count, struct fault *fault);

struct sink_message {
    const char *id;
    struct bytes json;           // the alert
    bool outcome;
    int64_t now_ns;
};

enum sink_result {
    SINK_SENT,
    SINK_RETRY,    // later
    SINK_REFUSED,  // this alert never
    SINK_CLOSED,   // the receiver said: nothing any more
};
struct sink_answer {
    enum sink_result result;
    int64_t retry_after_ns;      // 0: the schedule decides
    char why[256];               // without secrets
};

struct sink;
struct sink *sink_open(const struct sink_settings *settings); // borrows; NULL: memory out. Connects when first used
void sink_send(struct sink *s, const struct sink_message *m, struct sink_answer *answer);
void sink_close(struct sink *s);

// When to try again after `tries` failures: growing to five minutes, with jitter.
int64_t sink_backoff_ns(int tries, uint64_t random);
// Standard Webhooks 1.0.0: "v1,..." for each "whsec_..." of the secret (space-separated). False: a secret is malformed.
bool sink_sign(const char *secret, const char *id, int64_t unix_seconds, struct bytes body, struct buf *out);
