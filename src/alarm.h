// The tape side's alarm: rules run over what is stored, alert rows commit with it, and the recorder watches itself.
#pragma once
#include "alert/alert.h"
#include "sender.h"
#include "tape/write.h"

struct alarm_settings {
    struct rules *rules;     // sealed; NULL: no alerts at all
    const char *tape_dir;
    bool live;
    struct sender *sender;   // woken at every alert; NULL: no sinks
    size_t rules_refused;    // mistakes that were found in rules: an alert when a device is recorded
    int64_t silence_ns;      // nothing captured for so long is an alert; 0: 5 minutes
};

struct alarm;
struct alarm *alarm_open(const struct alarm_settings *settings, struct tape_writer *tape, struct fault *fault);
void alarm_close(struct alarm *a); // NULL is fine, as in every call here

// Each returns false when the tape failed for good (fault filled).
bool alarm_attempt(struct alarm *a, const struct exchange *x, struct fault *fault);
void alarm_ops(struct alarm *a, const struct op *ops, size_t count);
bool alarm_done(struct alarm *a, const struct exchange *x, struct fault *fault); // its row was written, not yet committed
bool alarm_gap(struct alarm *a, const struct tape_gap *gap, struct fault *fault);

struct alarm_moment {
    int64_t time_ns;         // the tape's clock
    int64_t sent_steady_ns;  // when the wire side sent it
    uint64_t packets;        // captured so far
    const char *trouble;     // of the tape, or NULL
};
bool alarm_tick(struct alarm *a, const struct alarm_moment *now, struct fault *fault);
bool alarm_own(struct alarm *a, int64_t time_ns, const char *kind, const char *text, struct fault *fault);
bool alarm_finish(struct alarm *a, int64_t time_ns, struct fault *fault); // no more input
