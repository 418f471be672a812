// The door of capture: opens the sources, and gives their packets one by one, files merged by time.
//
// Flow: capture_next asks every device in turn, then takes the earliest of the packets that the files hold ready; with
// nothing to give it waits on all descriptors at once.
// 1. A file's packet that is ready (`have`) stays borrowed from that file's buffer until it was given and the file is asked again.
// 2. Files that may still bring an earlier packet (a pipe, not at its end) hold the merge up; followed files do not.
// States: running -> (capture_break) draining -> ended.
#include "capture.h"

#include "../base/buf.h"
#include "../base/clock.h"
#include "../base/diag.h"
#include "../base/mem.h"
#include "device.h"
#include "file.h"
#include "filter.h"

#include <poll.h>
#include <signal.h>
#include <string.h>

enum { WARNINGS_MAX = 16, FOLLOW_WAIT_MS = 20, LOOK_MS = 100 };

struct source {
    bool device;
    uint32_t index;
    struct packet packet; // files: the next one
    bool have;
    int64_t last_ns;      // files: of the newest packet
    int64_t down_ns;      // devices: since when it is down, 0: it is up
    bool lossy;
    struct capture_loss loss; // where lossy; several not yet taken are one
    union {
        struct device dev;
        struct file file;
    };
};

struct capture {
    struct source *sources;
    size_t count, devices, turn;
    struct pollfd *polls;
    struct filter *filter;           // of files
    struct capture_stats stats;
    volatile sig_atomic_t want_stop; // set by a signal handler
    bool draining;
    int64_t drain_until_ns;
    int64_t looked_ns;               // when we last looked whether the devices are up
    char warnings[WARNINGS_MAX][256];
    unsigned warned, told;
};

static void warn(struct capture *c, const char *text)
{
    if (c->warned - c->told < WARNINGS_MAX)
        snprintf(c->warnings[c->warned++ % WARNINGS_MAX], sizeof c->warnings[0], "%s", text);
}

// ---- opening --------------------------------------------------------------------------------------------------------

static bool check_file(struct capture *c, struct file *f, struct fault *fault)
{
    int linktype = reader_linktype(&f->reader);
    if (linktype >= 0 && !packet_linktype_is_known(linktype)) {
        const char *name = pcap_datalink_val_to_name(linktype);
        return fault_user(fault, "%s has the link type %s (%d), which is not supported", f->name, name ? name : "unknown", linktype);
    }
    // A file that is still empty tells no link type; the filter's syntax can be checked all the same.
    return !c->filter || filter_check(c->filter, linktype >= 0 ? linktype : DLT_EN10MB, fault);
}

static bool open_source(struct capture *c, const struct capture_settings *settings, size_t i, struct fault *fault)
{
    struct source *s = &c->sources[i];
    const struct capture_source *from = &settings->sources[i];
    s->index = (uint32_t)i;
    s->device = from->device;
    s->last_ns = WHEN_UNKNOWN;
    c->count = i + 1;
    if (from->device) {
        c->devices++;
        return device_open(&s->dev, from->name, settings, fault);
    }
    return file_open(&s->file, from->name, settings->follow, fault) && check_file(c, &s->file, fault);
}

struct capture *capture_open(const struct capture_settings *settings, struct fault *fault)
{
    struct capture *c = mem_zero(1, sizeof *c);
    if (!c) {
        fault_memory(fault);
        return NULL;
    }
    c->sources = mem_zero(settings->source_count, sizeof *c->sources);
    c->polls = mem_zero(settings->source_count, sizeof *c->polls);
    c->filter = settings->filter ? filter_open(settings->filter) : NULL;
    bool ok = c->sources && c->polls && (c->filter || !settings->filter);
    if (!ok)
        fault_memory(fault);
    for (size_t i = 0; ok && i < settings->source_count; i++)
        ok = open_source(c, settings, i, fault);
    if (ok)
        return c;
    capture_close(c);
    return NULL;
}

// ---- giving packets -------------------------------------------------------------------------------------------------

// Until the end of its time down, or of the recording.
static void note_down(struct source *s)
{
    s->loss.from_ns = s->lossy ? s->loss.from_ns : s->down_ns;
    s->loss.to_ns = clock_now_ns();
    s->lossy = true;
}

// A device that is taken down and one that nothing happens on look the same to who waits for packets; libpcap ends only when it is removed.
static void look_at_devices(struct capture *c)
{
    char text[256];
    int64_t steady_ns = clock_steady_ns();
    if (!c->devices || steady_ns - c->looked_ns < LOOK_MS * WHEN_NS_PER_MS)
        return;
    c->looked_ns = steady_ns;
    for (size_t i = 0; i < c->count; i++) {
        struct source *s = &c->sources[i];
        if (!s->device || device_is_up(&s->dev) == (s->down_ns == 0))
            continue;
        if (s->down_ns) {
            note_down(s);
            s->down_ns = 0;
            snprintf(text, sizeof text, "device %.100s is up again: recording goes on", s->dev.name);
        } else {
            s->down_ns = clock_now_ns();
            snprintf(text, sizeof text, "device %.100s was taken down: nothing is heard on it until it is up again", s->dev.name);
        }
        warn(c, text);
    }
}

static void start_draining(struct capture *c)
{
    c->draining = true;
    // The kernel gives up a block that is not full within two of its periods.
    c->drain_until_ns = clock_steady_ns() + (2 * DEVICE_BLOCK_MS + 20) * WHEN_NS_PER_MS;
    for (size_t i = 0; i < c->count; i++) {
        if (c->sources[i].down_ns)
            note_down(&c->sources[i]);
        if (c->sources[i].device)
            device_stop(&c->sources[i].dev);
        else
            file_stop(&c->sources[i].file);
    }
}

static enum capture_event next_of_devices(struct capture *c, struct packet *packet, struct fault *fault)
{
    for (size_t i = 0; i < c->count; i++) {
        c->turn = c->turn + 1 < c->count ? c->turn + 1 : 0;
        struct source *s = &c->sources[c->turn];
        if (!s->device)
            continue;
        int got = device_next(&s->dev, packet, fault);
        if (got < 0)
            return CAPTURE_FAULT;
        if (got > 0) {
            packet->source = s->index;
            // Stay with a device that has packets, but not for ever.
            c->turn = c->devices == 1 ? (c->turn ? c->turn - 1 : c->count - 1) : c->turn;
            return CAPTURE_PACKET;
        }
    }
    return CAPTURE_IDLE;
}

static void look_at_filter(struct capture *c, struct source *s)
{
    bool unfit = false;
    if (!c->filter)
        return;
    s->have = filter_passes(c->filter, &s->packet, &unfit);
    if (unfit) {
        char text[256];
        snprintf(text, sizeof text, "%s: the capture filter has no meaning for link type %d; such packets are left out", s->file.name, s->packet.linktype);
        warn(c, text);
    }
}

// `to_ns` of the packet behind it, or WHEN_UNKNOWN when none will come.
static void note_loss(struct source *s, int64_t to_ns)
{
    s->file.lost = false;
    s->loss.from_ns = s->lossy ? s->loss.from_ns : s->last_ns;
    s->loss.to_ns = to_ns;
    s->lossy = true;
}

// Makes the file's next packet ready. READ_END also when it ended earlier.
static enum read_event prepare(struct capture *c, struct source *s)
{
    while (!s->have) {
        enum read_event e = file_next(&s->file, &s->packet);
        if (s->file.warning[0]) {
            warn(c, s->file.warning);
            c->stats.files_truncated++;
            s->file.warning[0] = 0;
        }
        if (s->file.lost && s->file.ended)
            note_loss(s, WHEN_UNKNOWN);
        if (e != READ_PACKET)
            return e;
        if (s->file.lost)
            note_loss(s, s->packet.time_ns);
        s->last_ns = s->packet.time_ns;
        c->stats.packets_seen++;
        c->stats.bytes_seen += s->packet.caplen_bytes;
        s->have = true;
        look_at_filter(c, s);
    }
    return READ_PACKET;
}

static enum capture_event next_of_files(struct capture *c, struct packet *packet)
{
    struct source *first = NULL;
    bool waits = false, held_up = false;
    for (size_t i = 0; i < c->count; i++) {
        struct source *s = &c->sources[i];
        if (s->device)
            continue;
        enum read_event e = prepare(c, s);
        waits |= e == READ_WAIT;
        held_up |= e == READ_WAIT && !s->file.follow;
        if (e == READ_PACKET && (!first || s->packet.time_ns < first->packet.time_ns))
            first = s;
    }
    if (held_up || !first)
        return waits ? CAPTURE_IDLE : CAPTURE_END;
    *packet = first->packet;
    packet->source = first->index;
    first->have = false;
    return CAPTURE_PACKET;
}

static void wait_for_more(struct capture *c, int wait_ms)
{
    nfds_t count = 0;
    for (size_t i = 0; i < c->count; i++) {
        const struct source *s = &c->sources[i];
        if (s->device)
            c->polls[count++] = (struct pollfd){.fd = s->dev.fd, .events = POLLIN};
        else if (s->file.pipe && !s->file.ended && !s->have)
            c->polls[count++] = (struct pollfd){.fd = s->file.fd, .events = POLLIN};
        else if (s->file.follow && wait_ms > FOLLOW_WAIT_MS)
            wait_ms = FOLLOW_WAIT_MS; // nothing tells when a file grows
    }
    poll(c->polls, count, wait_ms);
}

static enum capture_event look(struct capture *c, struct packet *packet, struct fault *fault)
{
    enum capture_event e = CAPTURE_END;
    if (c->devices) {
        e = next_of_devices(c, packet, fault);
        if (e == CAPTURE_PACKET) {
            c->stats.packets_seen++;
            c->stats.bytes_seen += packet->caplen_bytes;
        }
        if (e != CAPTURE_IDLE)
            return e;
        if (c->draining && clock_steady_ns() >= c->drain_until_ns)
            e = CAPTURE_END;
    }
    if (c->devices == c->count)
        return e;
    enum capture_event files = next_of_files(c, packet);
    return files == CAPTURE_END ? e : files;
}

enum capture_event capture_next(struct capture *c, int wait_ms, struct packet *packet, struct fault *fault)
{
    if (c->want_stop && !c->draining)
        start_draining(c);
    enum capture_event e = look(c, packet, fault);
    if (e != CAPTURE_IDLE)
        return e;
    look_at_devices(c);
    wait_for_more(c, c->draining && wait_ms > 5 ? 5 : wait_ms);
    return look(c, packet, fault);
}

void capture_break(struct capture *c)
{
    c->want_stop = 1;
}

void capture_stats(struct capture *c, struct capture_stats *stats)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->sources[i].device)
            device_count(&c->sources[i].dev, &c->stats);
    *stats = c->stats;
}

const char *capture_warning(struct capture *c)
{
    return c->told < c->warned ? c->warnings[c->told++ % WARNINGS_MAX] : NULL;
}

bool capture_take_loss(struct capture *c, struct capture_loss *loss)
{
    for (size_t i = 0; i < c->count; i++) {
        struct source *s = &c->sources[i];
        if (!s->lossy)
            continue;
        *loss = s->loss;
        s->lossy = false;
        return true;
    }
    return false;
}

bool capture_has_device(const struct capture *c)
{
    return c->devices > 0;
}

void capture_close(struct capture *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++) {
        if (c->sources[i].device)
            device_close(&c->sources[i].dev);
        else
            file_close(&c->sources[i].file);
    }
    filter_close(c->filter);
    mem_free(c->sources);
    mem_free(c->polls);
    mem_free(c);
}
