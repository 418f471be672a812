// Capture filters: the default one for devices, and a user's one applied to files link type by link type.
#pragma once
#include "../../include/fault.h"
#include "../../include/packet.h"
#include "../base/buf.h"
#include "capture.h"
#include <pcap.h>

// The default filter in tcpdump syntax: the watched ports, tagged and in tunnels, and later fragments. `vlan`: the link type
// knows the keyword.
void filter_default(const struct capture_settings *settings, bool vlan, struct buf *text);

struct filter;
struct filter *filter_open(const char *text);              // NULL: memory out
bool filter_check(struct filter *f, int linktype, struct fault *fault); // compiles for this link type
// A link type for which the filter has no meaning lets nothing pass; *told is set once per link type.
bool filter_passes(struct filter *f, const struct packet *packet, bool *unfit);
void filter_close(struct filter *f);
