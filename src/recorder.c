// The write side, wired: capture, decode, reassemble, parse, classify, store, alert.
//
// Two threads, one queue. The wire side (the caller's thread) runs capture to classified exchange and never compresses or
// commits; the tape side takes parcels from the queue, stores them and evaluates rules.
// 1. Whatever es hands out passes the queue in order: a body's pieces and an exchange's ops before its last word.
// 2. Only the tape side touches the tape writer, except tape_write_next_id (atomic).
// 3. When the tape side fails for good it leaves the queue; the wire side sees that at its next tick and stops.
#include "recorder.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/mem.h"
#include "parcel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum {
    QUEUE_BYTES = 16 << 20,
    TICK_MS = 100,           // wall time between two looks at the clock
    PACKETS_PER_CLOCK = 256, // packets between two readings of the wall clock
    REPORT_MS = 1000,
};
#define HEARTBEAT_NS (60 * WHEN_NS_PER_S)

enum note_tag { NOTE_TICK, NOTE_HEARTBEAT, NOTE_GAP, NOTE_FLUSH, NOTE_OWN };

struct beat_note {
    int64_t time_ns, wall_ns;
    struct tape_counters counters;
};

struct own_note { // what the recorder has to tell about itself
    int64_t time_ns;
    char kind[16], text[480];
};

struct recorder {
    struct recorder_settings settings;
    struct capture *capture;
    struct wire *wire;
    struct http *http;
    struct es *es;
    struct tape_writer *tape;
    struct alarm *alarm;
    bool ending;             // no more notes to the tape side
    struct ring *ring;
    struct parcel_packer packer;

    // the wire side's clocks
    int64_t packet_ns;       // newest packet time
    int64_t beat_ns;         // of the last heartbeat, on the clock of the tape
    int64_t tick_steady_ns, report_steady_ns;
    int64_t tick_packet_ns;  // files: packet time of the last tick
    int64_t clock_packet_ns, packet_steady_ns; // followed files: the newest packet's time, and the steady clock's when it came
    struct capture_stats told; // kernel drops already told as gaps
    int64_t told_ns;

    // the tape side
    pthread_t thread;
    struct fault tape_fault;
    bool tape_failed;        // tape side only, until joined
    _Atomic uint64_t tape_bytes;
    _Atomic int64_t stored_wall_ns; // when the newest tick the tape side has worked through was sent
    _Atomic(const char *) trouble;
    _Atomic bool failed;
};

struct recorder *recorder_open(const struct recorder_settings *settings, struct fault *fault)
{
    struct recorder *r = mem_zero(1, sizeof *r);
    if (!r) {
        fault_memory(fault);
        return NULL;
    }
    r->settings = *settings;
    r->packet_ns = WHEN_UNKNOWN;
    r->beat_ns = WHEN_UNKNOWN;
    r->capture = capture_open(&settings->capture, fault);
    if (!r->capture) {
        recorder_close(r);
        return NULL;
    }
    return r;
}

// ---- the tape side --------------------------------------------------------------------------------------------------

static void tape_result(struct recorder *r, bool ok)
{
    if (!ok)
        r->tape_failed = true;
}

static void store_attempt(void *ctx, const struct exchange *x)
{
    struct recorder *r = ctx;
    tape_result(r, alarm_attempt(r->alarm, x, &r->tape_fault));
}

static void store_body(void *ctx, uint64_t id, enum body_side side, const struct body_piece *piece)
{
    struct recorder *r = ctx;
    tape_result(r, tape_write_body(r->tape, id, side, piece, &r->tape_fault));
}

static void store_ops(void *ctx, const struct op *ops, size_t count)
{
    struct recorder *r = ctx;
    tape_result(r, tape_write_ops(r->tape, ops, count, &r->tape_fault));
    alarm_ops(r->alarm, ops, count);
}

static void store_done(void *ctx, const struct exchange *x)
{
    struct recorder *r = ctx;
    tape_result(r, tape_write_exchange(r->tape, x, &r->tape_fault) && alarm_done(r->alarm, x, &r->tape_fault));
}

static void store_late(void *ctx, const struct late_outcome *late)
{
    struct recorder *r = ctx;
    tape_result(r, tape_write_late(r->tape, late, &r->tape_fault));
}

static void store_resolved(void *ctx, const struct resolution *resolution)
{
    struct recorder *r = ctx;
    tape_result(r, tape_write_resolution(r->tape, resolution, &r->tape_fault));
}

static void store_life(void *ctx, const struct incarnation *life)
{
    struct recorder *r = ctx;
    tape_result(r, tape_write_life(r->tape, life, &r->tape_fault));
}

static void store_gap(void *ctx, const struct conn *conn, const struct stream_gap *gap)
{
    struct recorder *r = ctx;
    struct tape_gap row = {conn, gap->from_ns, gap->to_ns, gap->size_bytes, 0, gap->cause, gap->side};
    tape_result(r, tape_write_gap(r->tape, &row, &r->tape_fault) && alarm_gap(r->alarm, &row, &r->tape_fault));
}

static void store_opaque(void *ctx, const struct conn *conn, enum opaque_kind kind, int64_t time_ns)
{
    struct recorder *r = ctx;
    tape_result(r, tape_write_opaque(r->tape, conn, kind, time_ns, &r->tape_fault));
}

static void store_conn(void *ctx, const struct conn *conn, int client_side, enum stream_end how, int64_t time_ns)
{
    struct recorder *r = ctx;
    tape_result(r, tape_write_conn(r->tape, conn, client_side, how, time_ns, &r->tape_fault));
}

static void store_note(void *ctx, int tag, const void *note, size_t size)
{
    struct recorder *r = ctx;
    (void)size;
    const struct beat_note *beat = note;
    switch ((enum note_tag)tag) {
    case NOTE_HEARTBEAT:
        tape_result(r, tape_write_heartbeat(r->tape, beat->time_ns, &beat->counters, &r->tape_fault));
        break;
    case NOTE_TICK:
        tape_result(r, tape_write_tick(r->tape, beat->time_ns, &r->tape_fault));
        struct alarm_moment now = {beat->time_ns, beat->wall_ns, beat->counters.packets, tape_write_trouble(r->tape)};
        tape_result(r, alarm_tick(r->alarm, &now, &r->tape_fault));
        atomic_store(&r->stored_wall_ns, beat->wall_ns);
        atomic_store(&r->tape_bytes, tape_write_bytes(r->tape));
        atomic_store(&r->trouble, tape_write_trouble(r->tape));
        break;
    case NOTE_GAP:
        tape_result(r, tape_write_gap(r->tape, note, &r->tape_fault) && alarm_gap(r->alarm, note, &r->tape_fault));
        break;
    case NOTE_OWN: {
        const struct own_note *own = note;
        tape_result(r, alarm_own(r->alarm, own->time_ns, own->kind, own->text, &r->tape_fault));
        break;
    }
    case NOTE_FLUSH:
        tape_result(r, tape_write_flush(r->tape, &r->tape_fault));
        break;
    }
}

static void *tape_side(void *ctx)
{
    struct recorder *r = ctx;
    pthread_setname_np(pthread_self(), "estape-tape"); // so that top -H and perf tell the two sides apart
    struct parcel_receiver to = {
        .sink = {.ctx = r, .attempt = store_attempt, .body = store_body, .ops = store_ops, .done = store_done, .late = store_late,
                 .resolved = store_resolved, .life = store_life, .gap = store_gap, .opaque = store_opaque, .conn_close = store_conn},
        .note = store_note,
    };
    bool ended = false;
    while (!ended && !r->tape_failed) {
        size_t size;
        void *message = ring_peek(r->ring, &size, 1000, &ended);
        if (!message)
            continue;
        parcel_open_message(message, &to);
        ring_release(r->ring);
    }
    if (r->tape_failed) {
        atomic_store(&r->failed, true);
        ring_leave(r->ring);
    }
    return NULL;
}

// ---- the wire side --------------------------------------------------------------------------------------------------

static uint64_t next_id(void *ctx)
{
    return tape_write_next_id(ctx);
}

static bool open_stages(struct recorder *r, struct fault *fault)
{
    r->tape = tape_write_open(&r->settings.tape, fault);
    if (!r->tape)
        return false;
    struct alarm_settings alarm = {.rules = r->settings.rules, .tape_dir = r->settings.tape.dir, .live = r->settings.tape.live, .sender = r->settings.sender,
                                   .silence_ns = r->settings.silence_ns, .rules_refused = r->settings.rules_refused};
    if (alarm.rules && !(r->alarm = alarm_open(&alarm, r->tape, fault)))
        return false;
    r->ring = ring_open(QUEUE_BYTES);
    r->packer = (struct parcel_packer){.ring = r->ring, .next_id = next_id, .next_id_ctx = r->tape};
    struct record_sink records = parcel_sink(&r->packer);
    r->es = r->ring ? es_open(&r->settings.es, &records) : NULL;
    r->http = r->es ? http_open(es_sink(r->es)) : NULL;
    r->wire = r->http ? wire_open(&r->settings.wire, http_sink(r->http)) : NULL;
    return r->wire || fault_memory(fault);
}

static void gather(struct recorder *r, struct recorder_stats *stats)
{
    *stats = (struct recorder_stats){0};
    capture_stats(r->capture, &stats->capture);
    if (r->wire)
        wire_stats(r->wire, &stats->wire);
    if (r->http)
        http_stats(r->http, &stats->http);
    if (r->es)
        es_stats(r->es, &stats->es);
    stats->tape_bytes = atomic_load(&r->tape_bytes);
    stats->trouble = atomic_load(&r->trouble);
    stats->parcels_refused = r->packer.stats.refused;
    int64_t stored = atomic_load(&r->stored_wall_ns);
    stats->lag_ns = stored ? clock_steady_ns() - stored : 0;
}

// The clock that drives rotation, heartbeats and idle connections: the wall's for devices, the packets' for files; in a followed
// one it goes on from the newest packet while none comes, whenever that was.
static int64_t tape_now(const struct recorder *r)
{
    if (capture_has_device(r->capture))
        return clock_now_ns();
    return r->settings.tape.live && r->packet_ns != WHEN_UNKNOWN ? r->packet_ns + clock_steady_ns() - r->packet_steady_ns : r->packet_ns;
}

static void send_beat(struct recorder *r, enum note_tag tag, int64_t now_ns)
{
    struct beat_note note = {.time_ns = now_ns, .wall_ns = clock_steady_ns()};
    if (tag == NOTE_HEARTBEAT) {
        struct recorder_stats s;
        gather(r, &s);
        note.counters = (struct tape_counters){
            .packets = s.capture.packets_seen,
            .bytes = s.capture.bytes_seen,
            .kernel_dropped = s.capture.kernel_dropped,
            .interface_dropped = s.capture.interface_dropped,
            .gap_bytes = s.wire.gap_bytes,
            .gaps = s.wire.gaps,
            .conns = s.wire.conns_seen,
            .conns_midstream = s.wire.conns_midstream,
            .conns_one_sided = s.wire.conns_one_sided,
            .requests = s.http.requests,
            .responses = s.http.responses,
            .orphans = s.http.orphans,
            .truncated = s.http.truncated_requests + s.http.truncated_responses,
            .unparsed_bytes = s.http.unparsed_bytes,
            .overlaps_conflicting = s.wire.overlaps_conflicting,
            .undecodable = s.http.undecodable,
        };
    } else {
        struct capture_stats s;
        capture_stats(r->capture, &s);
        note.counters.packets = s.packets_seen;
    }
    parcel_note(&r->packer, tag, &note, sizeof note);
}

static void tell_own(struct recorder *r, const char *kind, const char *text)
{
    struct own_note note = {.time_ns = tape_now(r)};
    snprintf(note.kind, sizeof note.kind, "%s", kind);
    snprintf(note.text, sizeof note.text, "%s", text);
    if (r->alarm)
        parcel_note(&r->packer, NOTE_OWN, &note, sizeof note);
}

// Packets that the kernel or the interface dropped since last told become a gap row with their number.
static void tell_drops(struct recorder *r, int64_t now_ns)
{
    struct capture_stats s;
    capture_stats(r->capture, &s);
    uint64_t dropped = s.kernel_dropped + s.interface_dropped, told = r->told.kernel_dropped + r->told.interface_dropped;
    if (dropped > told) {
        struct tape_gap gap = {.from_ns = r->told_ns, .to_ns = now_ns, .packets = dropped - told, .cause = GAP_KERNEL, .side = -1};
        parcel_note(&r->packer, NOTE_GAP, &gap, sizeof gap);
    }
    r->told = s;
    r->told_ns = now_ns;
}

// What a followed file did not bring becomes a gap row too: from its packet before to the one behind.
static void tell_losses(struct recorder *r, int64_t now_ns)
{
    for (struct capture_loss loss; capture_take_loss(r->capture, &loss);) {
        struct tape_gap gap = {.from_ns = loss.from_ns, .to_ns = loss.to_ns == WHEN_UNKNOWN ? now_ns : loss.to_ns, .cause = GAP_NOT_RECORDING, .side = -1};
        if (gap.from_ns == WHEN_UNKNOWN || gap.from_ns > gap.to_ns)
            gap.from_ns = gap.to_ns;
        parcel_note(&r->packer, NOTE_GAP, &gap, sizeof gap);
    }
}

static void tick(struct recorder *r)
{
    int64_t now_ns = tape_now(r);
    if (now_ns == WHEN_UNKNOWN)
        return;
    wire_tick(r->wire, now_ns);
    es_tick(r->es, now_ns);
    tell_losses(r, now_ns);
    if (capture_has_device(r->capture))
        tell_drops(r, now_ns);
    if (r->beat_ns == WHEN_UNKNOWN || now_ns - r->beat_ns >= HEARTBEAT_NS) {
        send_beat(r, NOTE_HEARTBEAT, now_ns);
        r->beat_ns = now_ns;
    }
    for (char notice[400]; sender_notice(r->settings.sender, notice, sizeof notice);)
        tell_own(r, "sink_dead", notice);
    send_beat(r, NOTE_TICK, now_ns);
}

static void look_at_clock(struct recorder *r, void (*report)(void *, const struct recorder_stats *, bool), void *ctx)
{
    int64_t steady_ns = clock_steady_ns();
    if (steady_ns - r->tick_steady_ns < TICK_MS * WHEN_NS_PER_MS)
        return;
    r->tick_steady_ns = steady_ns;
    if (r->packet_ns != r->clock_packet_ns) {
        r->clock_packet_ns = r->packet_ns;
        r->packet_steady_ns = steady_ns;
    }
    tick(r);
    if (report && steady_ns - r->report_steady_ns >= REPORT_MS * WHEN_NS_PER_MS) {
        r->report_steady_ns = steady_ns;
        struct recorder_stats stats;
        gather(r, &stats);
        report(ctx, &stats, false);
    }
}

static bool record(struct recorder *r, void (*report)(void *, const struct recorder_stats *, bool), void *ctx, struct fault *fault)
{
    r->told_ns = clock_now_ns();
    r->report_steady_ns = clock_steady_ns();
    if (report) {
        struct recorder_stats stats;
        gather(r, &stats);
        report(ctx, &stats, false);
    }
    if (r->settings.tape.live)
        tick(r);
    for (unsigned since_clock = 0;;) {
        struct packet packet;
        enum capture_event event = capture_next(r->capture, TICK_MS, &packet, fault);
        if (event == CAPTURE_END)
            return true;
        if (event == CAPTURE_FAULT)
            return false;
        if (event == CAPTURE_PACKET) {
            if (packet.time_ns > r->packet_ns)
                r->packet_ns = packet.time_ns;
            // A file is read faster than its time passed: rotation, heartbeats and idle connections go by the packets' time.
            // The first tick's heartbeat tells from when on a file was listened to.
            if (!capture_has_device(r->capture) && (r->beat_ns == WHEN_UNKNOWN || r->packet_ns - r->tick_packet_ns >= WHEN_NS_PER_S)) {
                r->tick_packet_ns = r->clock_packet_ns = r->packet_ns;
                r->packet_steady_ns = clock_steady_ns();
                tick(r);
            }
            wire_feed(r->wire, &packet);
        }
        if (event == CAPTURE_PACKET && ++since_clock < PACKETS_PER_CLOCK)
            continue;
        since_clock = 0;
        look_at_clock(r, report, ctx);
        if (atomic_load(&r->failed))
            return true;
    }
}

// Flushes the stages from the wire on, so that every stage still hands its rest to the next.
static void close_stages(struct recorder *r, struct recorder_stats *last)
{
    gather(r, last);
    if (r->wire)
        wire_close(r->wire);
    r->wire = NULL;
    struct wire_stats wire = last->wire;
    gather(r, last);
    last->wire = wire;
    if (r->http)
        http_close(r->http);
    if (r->es)
        es_close(r->es);
    r->http = NULL;
    r->es = NULL;
}

bool recorder_run(struct recorder *r, void (*report)(void *, const struct recorder_stats *, bool), void *ctx, struct fault *fault)
{
    if (!open_stages(r, fault))
        return false;
    if (pthread_create(&r->thread, NULL, tape_side, r) != 0)
        return fault_system(fault, "cannot start a thread");
    bool ok = record(r, report, ctx, fault);
    if (!ok && capture_has_device(r->capture))
        tell_own(r, "device_gone", fault->text);
    int64_t end_ns = tape_now(r);
    if (end_ns != WHEN_UNKNOWN)
        tell_losses(r, end_ns);
    if (end_ns != WHEN_UNKNOWN && capture_has_device(r->capture))
        tell_drops(r, end_ns);
    struct recorder_stats last;
    if (end_ns != WHEN_UNKNOWN)
        send_beat(r, NOTE_HEARTBEAT, end_ns);
    r->ending = true;
    close_stages(r, &last);
    parcel_flush(&r->packer);
    ring_finish(r->ring);
    pthread_join(r->thread, NULL);
    if (r->tape_failed && ok) {
        *fault = r->tape_fault;
        ok = false;
    }
    struct fault close_fault = {0};
    uint64_t bytes = 0;
    if (end_ns != WHEN_UNKNOWN && !r->tape_failed && !alarm_finish(r->alarm, end_ns, &close_fault) && ok) {
        *fault = close_fault;
        ok = false;
    }
    if (!tape_write_close(r->tape, &close_fault) && ok) {
        *fault = close_fault;
        ok = false;
    }
    r->tape = NULL;
    bytes = atomic_load(&r->tape_bytes);
    last.tape_bytes = bytes;
    last.lag_ns = 0;
    if (report)
        report(ctx, &last, true);
    return ok;
}

void recorder_stop(struct recorder *r)
{
    capture_break(r->capture);
}

const char *recorder_warning(struct recorder *r)
{
    const char *warning = capture_warning(r->capture);
    if (warning && capture_has_device(r->capture) && r->tick_steady_ns && !r->ending)
        tell_own(r, "device", warning);
    return warning;
}

void recorder_close(struct recorder *r)
{
    if (!r)
        return;
    struct recorder_stats last;
    if (r->capture)
        close_stages(r, &last);
    struct fault ignored = {0};
    if (r->tape)
        tape_write_close(r->tape, &ignored);
    alarm_close(r->alarm);
    if (r->capture)
        capture_close(r->capture);
    ring_close(r->ring);
    mem_free(r);
}
