// The door of wire: packets become, per connection, two ordered byte streams with their gaps (include/stream.h).
// decode: link, VLAN, tunnels, IP, fragments -> segments. stream: segments -> ordered pieces and gaps.
#pragma once
#include "../../include/packet.h"
#include "../../include/stream.h"

struct wire_settings {
    const uint16_t *ports; // connections with one of these ports; none: every TCP connection
    size_t port_count;
    int64_t idle_ns;       // a connection without packets for so long is closed as END_IDLE (default 1 h; checked by tick)
};

// Every counter of the stage; names in docs/fields.md. Verdicts are counted here, never logged.
struct wire_stats {
    uint64_t packets_seen, packets_kept, not_ip, not_tcp, other_port, malformed, unknown_link;
    uint64_t vlan, tunnels, fragments_seen, fragments_lost, fragments_overlapping, snap_cut;
    uint64_t segments_seen, retransmitted, duplicates, overlaps, overlaps_conflicting, out_of_order, keepalives;
    uint64_t bytes_kept, gap_bytes, gaps, evicted_bytes;
    uint64_t conns_seen, conns_open, conns_midstream, conns_one_sided, conns_evicted, resets;
    uint64_t reorder_bytes; // waiting now
};

struct wire;
struct wire *wire_open(const struct wire_settings *settings, const struct stream_sink *sink); // NULL: memory out
void wire_feed(struct wire *w, const struct packet *packet);
void wire_tick(struct wire *w, int64_t now_ns);    // time passed (the capture's clock): idle connections, fragment timeouts
void wire_stats(const struct wire *w, struct wire_stats *stats);
void wire_close(struct wire *w);                   // flushes with gaps, ends every connection as END_INPUT
