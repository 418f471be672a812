// Between the sinks' rooms: what each kind of sink implements.
#pragma once
#include "sink.h"
#include "../base/json.h"

struct sink_alert {              // an alert, taken apart once for all presets
    struct arena arena;
    const struct json *root;
    struct bytes level, rule, title, text, time, principal, client_ip, agent, verb, api, outcome, kind;
    int64_t exchange;
    enum alert_level level_number;
};
bool sink_alert_parse(struct sink_alert *a, struct bytes json);
void sink_alert_free(struct sink_alert *a);
struct bytes sink_alert_index(const struct sink_alert *a); // its first target, or empty

void answer_set(struct sink_answer *answer, enum sink_result result, const char *format, ...) __attribute__((format(printf, 3, 4)));

struct sink {
    const struct sink_settings *settings;
    void *state;                 // of the kind
};

typedef void sink_send_fn(struct sink *s, const struct sink_message *m, const struct sink_alert *a, struct sink_answer *answer);
sink_send_fn sink_send_http, sink_send_syslog, sink_send_exec, sink_send_mail, sink_send_stream;
void sink_close_http(struct sink *s);
void sink_close_syslog(struct sink *s);

// Bodies of the HTTP presets, for tests too.
void sink_body_slack(const struct sink_alert *a, struct buf *out);
void sink_body_pagerduty(const struct sink_settings *s, const struct sink_message *m, const struct sink_alert *a, struct buf *out);
void sink_body_alertmanager(const struct sink_settings *s, const struct sink_message *m, const struct sink_alert *a, struct buf *out);
void sink_body_webhook(const struct sink_message *m, struct buf *out);
void sink_line_syslog(const struct sink_settings *s, const struct sink_message *m, const struct sink_alert *a, struct buf *out);
// Splits a command at blanks, with '...' and "..."; argv ends with NULL. Memory: free argv[0] and argv.
char **sink_split(const char *text, size_t *count);
