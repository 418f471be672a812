// Alerts on their way to the sinks: the alert rows of a tape's segments in order, and per sink how far delivery came
// (alerts.db). Also what people said about alerts: acknowledged, muted. One writer of deliveries per tape: the sender.
#pragma once
#include "../../include/fault.h"
#include "../base/buf.h"

struct outbox;
// write: alerts.db is made if it is missing; else it may be missing (nothing was delivered yet). Fault user: not a tape.
struct outbox *outbox_open(const char *dir, bool write, struct fault *fault);
void outbox_close(struct outbox *o);

struct outbox_item {
    uint32_t segment;
    int64_t alert;         // row in it
    struct bytes id, rule, level, json; // valid until the next outbox_head of this sink
    int64_t time_ns;
    bool outcome;
    int tries;             // failed ones so far
    int64_t next_ns;       // not before (wall clock); 0: at once
};

// A sink that is new here begins behind the newest alert, since what was raised before it existed is not for it; or with the
// oldest (from_start).
bool outbox_register(struct outbox *o, const char *sink, bool from_start, struct fault *fault);
// The oldest alert the sink has not finished with. found false: none. Order: segment, row.
bool outbox_head(struct outbox *o, const char *sink, struct outbox_item *item, bool *found, struct fault *fault);
// The sink is done with its head: state "sent", "muted", "dead" (given up), or NULL: passed over without a trace.
bool outbox_finish(struct outbox *o, const char *sink, const struct outbox_item *item, const char *state, int64_t now_ns, const char *why, struct fault *fault);
bool outbox_failed(struct outbox *o, const char *sink, const struct outbox_item *item, int64_t now_ns, int64_t next_ns, const char *why, struct fault *fault);
uint64_t outbox_waiting(struct outbox *o, const char *sink); // how many, at most 1000

// Every alert row behind *at (0, 0: from the oldest), in order; *at moves on. fn returns false to stop.
struct outbox_place {
    uint32_t segment;
    int64_t alert;
};
typedef bool outbox_each_fn(void *ctx, const struct outbox_item *item);
bool outbox_each(struct outbox *o, struct outbox_place *at, outbox_each_fn *fn, void *ctx);

typedef bool outbox_state_fn(void *ctx, const char *sink, const char *state, int tries, int64_t last_ns, const char *why);
bool outbox_states(struct outbox *o, struct bytes id, outbox_state_fn *fn, void *ctx); // of one alert; false: fn said stop

struct outbox_mark {
    bool acked;
    int64_t acked_ns;
    char by[64], why[256];
};
bool outbox_ack(struct outbox *o, const char *id, const char *by, const char *why, int64_t now_ns, struct fault *fault);
bool outbox_mark(struct outbox *o, struct bytes id, struct outbox_mark *mark);
// what: an alert's id or a rule's name. until_ns 0: for ever.
bool outbox_mute(struct outbox *o, const char *what, int64_t until_ns, const char *by, const char *why, int64_t now_ns, struct fault *fault);
bool outbox_unmute(struct outbox *o, const char *what, struct fault *fault);
bool outbox_muted(struct outbox *o, struct bytes id, struct bytes rule, int64_t now_ns);
