// Delivery: processes of their own that take alerts from the tape's outbox to the sinks, one for each sink, so that a sink that
// hangs holds up neither the recording nor the other sinks. They start before devices are opened and threads begin.
#pragma once
#include "alert/sink.h"

struct sender_settings {
    const char *dir;                 // of the tape; may not be there yet
    const struct sink_settings *sinks;
    size_t sink_count;
    bool (*become)(void *ctx, struct fault *fault); // gives up privileges in the new process; NULL: nothing to do
    void *ctx;
};

struct sender;
struct sender *sender_start(const struct sender_settings *settings, struct fault *fault);
void sender_wake(struct sender *s);                          // something was committed. Any thread; NULL is fine
bool sender_notice(struct sender *s, char *text, size_t room); // the next thing the sinks have to tell, if any; never waits
// Lets the sinks work off what they can within the grace, then ends them. What is left stays in the outbox. NULL is fine.
void sender_stop(struct sender *s, int64_t grace_ns);

// Delivers what waits, in this process, one try each; for `estape sinks send`. told: one call per alert.
struct sender_progress {
    uint64_t sent, failed, left;
    char why[256];
};
bool sender_deliver(const char *dir, const struct sink_settings *sink, struct sender_progress *progress, struct fault *fault);
