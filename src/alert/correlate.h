// Correlations: counts matches of rules over sliding windows, by group, in bounded memory.
#pragma once
#include "rule.h"

enum { FIRED_EXCHANGES_MAX = 20, FIRED_VALUES_MAX = 10 };

struct fired {
    struct rule *rule;
    int64_t time_ns, first_ns;    // of the newest and the oldest match in the window
    uint64_t exchange;            // the newest
    uint64_t exchanges[FIRED_EXCHANGES_MAX];
    size_t exchange_count;
    struct bytes group;           // group-by values, in order, joined by 0x1f
    double number;                // count, distinct values or sum, as the type says
    uint64_t matches;
    struct bytes values[FIRED_VALUES_MAX]; // of value_count: some of them
    size_t value_count;
    bool live;                    // the newest match is the event at hand
};
typedef void fired_fn(void *ctx, const struct fired *f);

struct correlator;
struct correlator *correlator_open(struct rules *rules, size_t state_bytes_max, fired_fn *fn, void *ctx); // NULL: memory out
// The rule matched the event: every correlation that counts it is told. `which` correlations wait for a value that the
// event does not have yet stays with the caller: correlator_wants tells.
void correlator_feed(struct correlator *c, const struct rule *rule, struct event *e);
bool correlator_wants(struct correlator *c, const struct feed *feed, struct event *e); // the event has what the feed needs
void correlator_feed_one(struct correlator *c, const struct feed *feed, struct event *e);
void correlator_tick(struct correlator *c, int64_t now_ns);
uint64_t correlator_overflow(const struct correlator *c); // matches and groups forgotten at the bound
int64_t correlator_longest_ns(const struct rules *rules); // of all timespans
void correlator_close(struct correlator *c);
