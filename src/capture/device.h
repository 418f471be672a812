// One network device as a source of packets, through libpcap's ring.
#pragma once
#include "../../include/when.h"
#include "capture.h"
#include "filter.h"

enum { DEVICE_BLOCK_MS = 20 }; // how long the kernel keeps a block of the ring that is not full

struct device {
    const char *name;
    pcap_t *pcap;
    int fd;
    int linktype;
    bool nanoseconds;
    bool stopped;
    unsigned received, dropped, interface_dropped; // last readings: the kernel's counters are 32 bits wide
};

bool device_open(struct device *d, const char *name, const struct capture_settings *settings, struct fault *fault);
// 1: a packet, borrowed until the next call; 0: none now; -1: the device is gone, fault filled.
int device_next(struct device *d, struct packet *packet, struct fault *fault);
bool device_is_up(const struct device *d); // as its administrator set it; true where that cannot be told
void device_stop(struct device *d);  // no new packet enters the ring; what is in it still comes
void device_count(struct device *d, struct capture_stats *stats); // adds what was counted since the last call
void device_close(struct device *d);
