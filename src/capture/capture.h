// The door of capture: devices and files become packets. The only stage that knows libpcap.
#pragma once
#include "../../include/fault.h"
#include "../../include/packet.h"
#include <stdbool.h>
#include <stdio.h>

struct capture_source {
    const char *name;  // device, file name, or "-"
    bool device;
};

struct capture_settings {
    const struct capture_source *sources;
    size_t source_count;
    const char *filter;        // tcpdump syntax; NULL: the default filter for devices, none for files
    const uint16_t *ports;     // watched ports for the default filter
    size_t port_count;         // 0: any port
    uint64_t ring_bytes;       // devices; at least 64 MiB
    uint32_t snaplen_bytes;    // devices; 262144
    bool follow;               // files: wait for more at the end (also when the file is rotated: same name, new inode)
};

struct capture_stats {
    uint64_t packets_seen, bytes_seen;
    uint64_t kernel_received, kernel_dropped, interface_dropped; // devices, since open
    uint64_t files_truncated;                                    // files that end inside a packet
};

// A span of which a source did not bring every packet: a followed file's writer begun it anew, or cut it off inside a packet;
// a device was down.
struct capture_loss {
    int64_t from_ns, to_ns; // packet times; WHEN_UNKNOWN: nothing came before, or after
};

enum capture_event { CAPTURE_PACKET, CAPTURE_IDLE, CAPTURE_END, CAPTURE_FAULT };

struct capture;
// Opens everything before returning (so that privileges can be dropped after). Faults are one line: no such device, which
// capability is missing, not a capture file, unknown link type, bad filter with libpcap's reason.
struct capture *capture_open(const struct capture_settings *settings, struct fault *fault);
// The next packet in order of time over all files (files are merged; devices as they come). CAPTURE_IDLE after at most
// `wait_ms` without one. CAPTURE_END: all files read to their end. CAPTURE_FAULT: a device went away; fault says which.
// A truncated file yields what was whole, then counts files_truncated and warns through `capture_warning`.
enum capture_event capture_next(struct capture *c, int wait_ms, struct packet *packet, struct fault *fault);
void capture_break(struct capture *c);                 // from a signal handler: drain what the kernel holds, then CAPTURE_END
void capture_stats(struct capture *c, struct capture_stats *stats);
const char *capture_warning(struct capture *c);        // the next warning line, or NULL
bool capture_take_loss(struct capture *c, struct capture_loss *loss); // the next loss not yet taken; one without an end at the end only
bool capture_has_device(const struct capture *c);
void capture_close(struct capture *c);
