// The write side, wired: capture, decode, reassemble, parse, classify, store, alert.
#pragma once
#include "alarm.h"
#include "capture/capture.h"
#include "es/es.h"
#include "http/http.h"
#include "tape/write.h"
#include "wire/wire.h"

struct recorder_settings {
    struct capture_settings capture;
    struct wire_settings wire;
    struct es_settings es;
    struct tape_settings tape;
    struct rules *rules;   // sealed; NULL: no alerts. Must live as long as the recorder
    size_t rules_refused;  // mistakes found in them
    struct sender *sender; // delivers alerts; NULL: no sinks
    int64_t silence_ns;    // as in struct alarm_settings
    bool quiet;            // no status line
};

// A moment's view of everything counted, for the status line and SIGUSR1.
struct recorder_stats {
    struct capture_stats capture;
    struct wire_stats wire;
    struct http_stats http;
    struct es_stats es;
    uint64_t tape_bytes;
    int64_t lag_ns;         // how far the tape side is behind the wire side
    const char *trouble;    // of the tape, or NULL
    uint64_t parcels_refused;
};

struct recorder;
// Opens the devices and files; nothing is read yet. Privileges may be dropped after this, before recorder_run.
struct recorder *recorder_open(const struct recorder_settings *settings, struct fault *fault);
// Opens the tape and records until the input ends, recorder_stop is called or something fails. `report` is called when
// the tape is open, about once a second from the wire side, and once at the end, never from a signal handler.
bool recorder_run(struct recorder *r, void (*report)(void *ctx, const struct recorder_stats *stats, bool final), void *ctx,
                  struct fault *fault);
void recorder_stop(struct recorder *r); // from a signal handler: what the kernel holds is still recorded
const char *recorder_warning(struct recorder *r); // the next warning line of the capture, or NULL
void recorder_close(struct recorder *r);
