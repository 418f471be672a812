// Decoding: a captured packet of any supported link type becomes one TCP segment, through VLAN tags, tunnels and IP fragments.
//
// Flow: a walk over layers. Each layer looks at the part that is left, moves it forward and names the next layer, until
// TCP is reached or a counter says why not. Tunnels come back to Ethernet or IP; their depth is bounded.
// 1. part.captured never exceeds what is readable at part.at; part.wire is what the layer above says was sent.
// 2. Nothing is read before it was checked against part.captured.
#include "decode.h"

#include "fragment.h"

enum link_type {
    LINK_NULL = 0, LINK_ETHERNET = 1, LINK_RAW_BSD = 12, LINK_RAW_OPENBSD = 14, LINK_RAW = 101, LINK_LOOP = 108,
    LINK_SLL = 113, LINK_IPV4 = 228, LINK_IPV6 = 229, LINK_SLL2 = 276,
};

enum ether_type {
    ETHER_IPV4 = 0x0800, ETHER_IPV6 = 0x86dd, ETHER_VLAN = 0x8100, ETHER_QINQ = 0x88a8, ETHER_QINQ_OLD = 0x9100,
    ETHER_BRIDGING = 0x6558, ETHER_ERSPAN = 0x88be, ETHER_ERSPAN_3 = 0x22eb,
};

enum ip_protocol {
    IP_HOP_OPTIONS = 0, IP_IPIP = 4, IP_TCP = 6, IP_UDP = 17, IP_IPV6 = 41, IP_ROUTING = 43, IP_FRAGMENT = 44, IP_GRE = 47,
    IP_AH = 51, IP_DEST_OPTIONS = 60, IP_MOBILITY = 135,
};

enum { PORT_VXLAN = 4789, PORT_VXLAN_LINUX = 8472, PORT_GENEVE = 6081 };
enum { LAYERS_MAX = 24, TUNNELS_MAX = 4, EXTENSIONS_MAX = 16 };

enum layer { LAYER_DONE, LAYER_STOP, LAYER_ETHERNET, LAYER_TYPE, LAYER_IP, LAYER_TRANSPORT };

struct part {
    const uint8_t *at;
    uint32_t captured, wire;
};

struct walk {
    struct decoder *decoder;
    struct decoded *out;
    struct part part;
    unsigned tunnels;
    uint16_t type;      // LAYER_TYPE: the Ethernet type of what part holds
    uint8_t protocol;   // LAYER_TRANSPORT: the IP protocol of what part holds
    uint32_t packet_id; // IPv4 identification, or 0
};

static uint16_t read_16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t read_32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

// False when fewer bytes were captured.
static bool move(struct part *p, uint32_t bytes)
{
    if (p->captured < bytes)
        return false;
    p->at += bytes;
    p->captured -= bytes;
    p->wire = p->wire > bytes ? p->wire - bytes : 0;
    if (p->wire < p->captured)
        p->wire = p->captured;
    return true;
}

// The layer above says how long it is: the rest is padding.
static void limit(struct part *p, uint32_t bytes)
{
    p->wire = bytes;
    if (p->captured > bytes)
        p->captured = bytes;
}

static enum layer stop(uint64_t *counter)
{
    (*counter)++;
    return LAYER_STOP;
}

static enum layer malformed(struct walk *w)
{
    return stop(&w->decoder->stats->malformed);
}

static enum layer enter_tunnel(struct walk *w, enum layer next)
{
    w->decoder->stats->tunnels++;
    return ++w->tunnels > TUNNELS_MAX ? malformed(w) : next;
}

static enum layer walk_ethernet(struct walk *w)
{
    if (w->part.captured < 14)
        return malformed(w);
    w->type = read_16(w->part.at + 12);
    move(&w->part, 14);
    return LAYER_TYPE;
}

static enum layer walk_type(struct walk *w)
{
    switch (w->type) {
    case ETHER_IPV4:
    case ETHER_IPV6:
        return LAYER_IP;
    case ETHER_VLAN:
    case ETHER_QINQ:
    case ETHER_QINQ_OLD:
        if (w->part.captured < 4)
            return malformed(w);
        w->decoder->stats->vlan++;
        w->type = read_16(w->part.at + 2);
        move(&w->part, 4);
        return LAYER_TYPE;
    default:
        return stop(&w->decoder->stats->not_ip);
    }
}

static enum layer give_fragment(struct walk *w, struct fragment *f)
{
    memcpy(f->from, w->out->segment.from.ip, 16);
    memcpy(f->to, w->out->segment.to.ip, 16);
    f->payload = bytes_of(w->part.at, w->part.captured);
    f->payload_bytes = w->part.wire;
    f->time_ns = w->out->segment.time_ns;
    struct datagram whole;
    if (!fragments_add(w->decoder->fragments, f, &whole))
        return LAYER_STOP;
    w->part = (struct part){whole.payload.at, (uint32_t)whole.payload.size, whole.payload_bytes};
    w->protocol = f->protocol;
    return LAYER_TRANSPORT;
}

static void set_v4(struct endpoint *e, const uint8_t *at)
{
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    memcpy(e->ip, prefix, 12);
    memcpy(e->ip + 12, at, 4);
}

static enum layer walk_ipv4(struct walk *w)
{
    const uint8_t *at = w->part.at;
    if (w->part.captured < 20)
        return malformed(w);
    uint32_t head = (at[0] & 15u) * 4, total = read_16(at + 2), position = read_16(at + 6);
    // A packet that segmentation offload will cut still carries the length 0.
    if (total == 0)
        total = w->part.wire;
    if (head < 20 || total < head || w->part.captured < head)
        return malformed(w);
    set_v4(&w->out->segment.from, at + 12);
    set_v4(&w->out->segment.to, at + 16);
    w->protocol = at[9];
    w->packet_id = read_16(at + 4);
    limit(&w->part, total);
    move(&w->part, head);
    if (!(position & 0x3fff))
        return LAYER_TRANSPORT;
    if (w->protocol != IP_TCP && w->protocol != IP_UDP && w->protocol != IP_GRE)
        return stop(&w->decoder->stats->not_tcp);
    struct fragment f = {.id = w->packet_id, .protocol = w->protocol, .more = position & 0x2000, .offset_bytes = (position & 0x1fffu) * 8};
    return give_fragment(w, &f);
}

static enum layer walk_ipv6(struct walk *w)
{
    const uint8_t *at = w->part.at;
    if (w->part.captured < 40)
        return malformed(w);
    uint32_t size = read_16(at + 4);
    memcpy(w->out->segment.from.ip, at + 8, 16);
    memcpy(w->out->segment.to.ip, at + 24, 16);
    w->protocol = at[6];
    w->packet_id = 0;
    if (size) // 0: a jumbogram, or segmentation offload
        limit(&w->part, 40 + size);
    move(&w->part, 40);
    for (int i = 0; i < EXTENSIONS_MAX; i++) {
        at = w->part.at;
        uint32_t head;
        switch (w->protocol) {
        case IP_HOP_OPTIONS:
        case IP_ROUTING:
        case IP_DEST_OPTIONS:
        case IP_MOBILITY:
            head = w->part.captured < 2 ? 0 : at[1] * 8u + 8;
            break;
        case IP_AH:
            head = w->part.captured < 2 ? 0 : at[1] * 4u + 8;
            break;
        case IP_FRAGMENT:
            head = 8;
            break;
        default:
            return LAYER_TRANSPORT;
        }
        if (!head || w->part.captured < head)
            return malformed(w);
        bool fragment = w->protocol == IP_FRAGMENT;
        w->protocol = at[0];
        move(&w->part, head);
        uint32_t position = fragment ? read_16(at + 2) : 0;
        if (position & 0xfff9) {
            struct fragment f = {.id = read_32(at + 4), .protocol = w->protocol, .more = position & 1, .offset_bytes = position & 0xfff8};
            return give_fragment(w, &f);
        }
    }
    return malformed(w);
}

static enum layer walk_ip(struct walk *w)
{
    if (!w->part.captured)
        return malformed(w);
    switch (w->part.at[0] >> 4) {
    case 4:
        return walk_ipv4(w);
    case 6:
        return walk_ipv6(w);
    default:
        return malformed(w);
    }
}

// RFC 2784, 2890; ERSPAN: type I has no sequence number and no header of its own, II has 8 bytes, III 12 and optionally 8.
static enum layer walk_gre(struct walk *w)
{
    const uint8_t *at = w->part.at;
    if (w->part.captured < 4)
        return malformed(w);
    uint16_t flags = read_16(at);
    w->type = read_16(at + 2);
    if (flags & 7 || flags & 0x4000) // another version (PPTP), or source routes
        return stop(&w->decoder->stats->not_tcp);
    uint32_t head = 4 + (flags & 0x8000 ? 4 : 0) + (flags & 0x2000 ? 4 : 0) + (flags & 0x1000 ? 4 : 0);
    if (w->type == ETHER_ERSPAN && flags & 0x1000)
        head += 8;
    if (w->type == ETHER_ERSPAN_3) {
        if (w->part.captured < head + 12)
            return malformed(w);
        head += at[head + 11] & 1 ? 20 : 12;
    }
    if (!move(&w->part, head))
        return malformed(w);
    bool frame = w->type == ETHER_BRIDGING || w->type == ETHER_ERSPAN || w->type == ETHER_ERSPAN_3;
    return enter_tunnel(w, frame ? LAYER_ETHERNET : LAYER_TYPE);
}

// RFC 7348, RFC 8926. Told by the port they go to.
static enum layer walk_udp(struct walk *w)
{
    const uint8_t *at = w->part.at;
    if (w->part.captured < 16)
        return stop(&w->decoder->stats->not_tcp);
    uint16_t port = read_16(at + 2);
    if ((port == PORT_VXLAN || port == PORT_VXLAN_LINUX) && at[8] & 8) {
        move(&w->part, 16);
        return enter_tunnel(w, LAYER_ETHERNET);
    }
    if (port == PORT_GENEVE && at[8] >> 6 == 0) {
        w->type = read_16(at + 10);
        if (!move(&w->part, 16 + (at[8] & 63u) * 4))
            return malformed(w);
        return enter_tunnel(w, w->type == ETHER_BRIDGING ? LAYER_ETHERNET : LAYER_TYPE);
    }
    return stop(&w->decoder->stats->not_tcp);
}

static uint32_t mix(uint32_t hash, uint32_t value)
{
    return (hash ^ value) * UINT32_C(0x9e3779b1) + (hash >> 15);
}

// The sender's timestamp (RFC 7323), or 0.
static uint32_t timestamp_of(const uint8_t *at, uint32_t head)
{
    // The usual layout first: two no-operations, then the timestamps.
    if (head >= 32 && read_32(at + 20) == 0x0101080a)
        return read_32(at + 24);
    for (uint32_t i = 20; i + 1 < head;) {
        if (at[i] == 0)
            break;
        uint32_t size = at[i] == 1 ? 1 : at[i + 1];
        if (size == 0)
            break;
        if (at[i] == 8 && size == 10 && i + 10 <= head)
            return read_32(at + i + 2);
        i += size;
    }
    return 0;
}

static uint32_t sum_16(uint32_t sum, const uint8_t *at, size_t size)
{
    for (size_t i = 0; i + 1 < size; i += 2)
        sum += read_16(at + i);
    return sum;
}

// Of a segment without data: header and pseudo-header (RFC 9293 3.1).
static enum decode_checksum check_header(const struct segment *s, const uint8_t *at, uint32_t head)
{
    bool four = endpoint_is_v4(&s->from);
    uint32_t sum = head + IP_TCP;
    sum = sum_16(sum, s->from.ip + (four ? 12 : 0), four ? 4 : 16);
    sum = sum_16(sum, s->to.ip + (four ? 12 : 0), four ? 4 : 16);
    sum = sum_16(sum, at, head);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff ? CHECKSUM_GOOD : CHECKSUM_BAD;
}

static enum layer walk_tcp(struct walk *w)
{
    struct segment *s = &w->out->segment;
    const uint8_t *at = w->part.at;
    if (w->part.captured < 20) {
        // A snap length so short that even the header is cut is no malice, but nothing can be made of it.
        return malformed(w);
    }
    uint32_t head = (at[12] >> 4) * 4u;
    if (head < 20 || head > w->part.wire)
        return malformed(w);
    s->from.port = read_16(at);
    s->to.port = read_16(at + 2);
    s->seq = read_32(at + 4);
    s->ack = read_32(at + 8);
    s->flags = at[13] & (SEGMENT_FIN | SEGMENT_SYN | SEGMENT_RST | SEGMENT_PSH | SEGMENT_ACK);
    uint32_t have = head < w->part.captured ? head : w->part.captured;
    s->payload_bytes = w->part.wire - head;
    s->payload = bytes_of(at + have, w->part.captured - have);
    if (s->payload.size < s->payload_bytes)
        w->decoder->stats->snap_cut++;
    uint32_t ident = mix(w->packet_id, read_32(at + 12)); // flags and window
    ident = mix(ident, s->ack);
    w->out->ident = mix(ident, timestamp_of(at, have));
    bool control = s->flags & (SEGMENT_SYN | SEGMENT_FIN | SEGMENT_RST) && !s->payload_bytes && have == head;
    w->out->checksum = control ? check_header(s, at, head) : CHECKSUM_UNKNOWN;
    return LAYER_DONE;
}

static enum layer walk_transport(struct walk *w)
{
    switch (w->protocol) {
    case IP_TCP:
        return walk_tcp(w);
    case IP_UDP:
        return walk_udp(w);
    case IP_GRE:
        return walk_gre(w);
    case IP_IPIP:
    case IP_IPV6:
        return enter_tunnel(w, LAYER_IP);
    default:
        return stop(&w->decoder->stats->not_tcp);
    }
}

// The four bytes of the loopback link: the family in the byte order of the machine that captured (NULL) or the network's.
static enum layer walk_loopback(struct walk *w)
{
    if (w->part.captured < 4)
        return malformed(w);
    uint32_t family = read_32(w->part.at);
    if (family > 0xffff)
        family = __builtin_bswap32(family);
    move(&w->part, 4);
    // IPv4 is 2 everywhere; IPv6 differs between Linux (10), NetBSD and OpenBSD (24), FreeBSD (28) and Darwin (30).
    bool ip = family == 2 || family == 10 || family == 24 || family == 28 || family == 30;
    return ip ? LAYER_IP : stop(&w->decoder->stats->not_ip);
}

static enum layer walk_cooked(struct walk *w, uint32_t head, uint32_t type_at)
{
    if (w->part.captured < head)
        return malformed(w);
    w->type = read_16(w->part.at + type_at);
    move(&w->part, head);
    return LAYER_TYPE;
}

static enum layer walk_link(struct walk *w, int linktype)
{
    switch (linktype) {
    case LINK_ETHERNET:
        return LAYER_ETHERNET;
    case LINK_SLL:
        return walk_cooked(w, 16, 14);
    case LINK_SLL2:
        return walk_cooked(w, 20, 0);
    case LINK_NULL:
    case LINK_LOOP:
        return walk_loopback(w);
    case LINK_RAW:
    case LINK_RAW_BSD:
    case LINK_RAW_OPENBSD:
    case LINK_IPV4:
    case LINK_IPV6:
        return LAYER_IP;
    default:
        return stop(&w->decoder->stats->unknown_link);
    }
}

enum decode_result decode_packet(struct decoder *d, const struct packet *packet, struct decoded *out)
{
    struct walk w = {.decoder = d, .out = out};
    w.part = (struct part){packet->at, packet->caplen_bytes, packet->wire_bytes};
    if (w.part.wire < w.part.captured)
        w.part.wire = w.part.captured;
    out->segment.time_ns = packet->time_ns;
    enum layer layer = walk_link(&w, packet->linktype);
    for (int i = 0; layer > LAYER_STOP && i < LAYERS_MAX; i++) {
        switch (layer) {
        case LAYER_ETHERNET:
            layer = walk_ethernet(&w);
            break;
        case LAYER_TYPE:
            layer = walk_type(&w);
            break;
        case LAYER_IP:
            layer = walk_ip(&w);
            break;
        default:
            layer = walk_transport(&w);
            break;
        }
    }
    if (layer > LAYER_STOP)
        d->stats->malformed++;
    return layer == LAYER_DONE ? DECODE_SEGMENT : DECODE_NOTHING;
}
