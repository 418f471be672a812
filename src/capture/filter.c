// Capture filters: the default one for devices, and a user's one applied to files link type by link type.
#include "filter.h"

#include "../base/diag.h"
#include "../base/mem.h"

enum { LINKS_MAX = 16, PORTS_IN_FILTER = 16 };

struct compiled {
    int linktype;
    bool fit;
    struct bpf_program program;
};

struct filter {
    const char *text;
    struct compiled links[LINKS_MAX];
    size_t count;
};

static void add_watched(const struct capture_settings *s, struct buf *text)
{
    // Many ports make a long program for the kernel: then every TCP packet passes, and the ports are looked at later.
    if (s->port_count == 0 || s->port_count > PORTS_IN_FILTER)
        buf_add_text(text, "tcp");
    for (size_t i = 0; i < s->port_count && s->port_count <= PORTS_IN_FILTER; i++)
        buf_format(text, "%stcp port %u", i ? " or " : "", s->ports[i]);
    buf_add_text(text, " or (ip[6:2] & 0x1fff != 0)"                                                 // later fragments
                       " or (ip6 and (ip6[6] = 0 or ip6[6] = 43 or ip6[6] = 44 or ip6[6] = 51 or ip6[6] = 60))" // extension headers
                       " or udp dst port 4789 or udp dst port 8472 or udp dst port 6081"              // VXLAN, GENEVE
                       " or ip proto 47 or ip6 proto 47 or ip proto 4 or ip proto 41");               // GRE, IP in IP
}

void filter_default(const struct capture_settings *settings, bool vlan, struct buf *text)
{
    buf_add_text(text, "(");
    add_watched(settings, text);
    buf_add_text(text, ")");
    // Each `vlan` moves what follows behind one more tag: the second is the inner one of two.
    for (int tag = 0; vlan && tag < 2; tag++) {
        buf_add_text(text, " or (vlan and (");
        add_watched(settings, text);
        buf_add_text(text, "))");
    }
}

struct filter *filter_open(const char *text)
{
    struct filter *f = mem_zero(1, sizeof *f);
    if (f)
        f->text = text;
    return f;
}

static struct compiled *compile(struct filter *f, int linktype, struct fault *fault)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->links[i].linktype == linktype)
            return &f->links[i];
    if (f->count == LINKS_MAX)
        return NULL;
    struct compiled *c = &f->links[f->count];
    *c = (struct compiled){.linktype = linktype};
    // In libpcap's own numbering raw IP differs from the number in files.
    pcap_t *dead = pcap_open_dead(linktype == 101 ? DLT_RAW : linktype, 262144);
    if (!dead) {
        if (fault)
            fault_memory(fault);
        return NULL;
    }
    c->fit = pcap_compile(dead, &c->program, f->text, 1, PCAP_NETMASK_UNKNOWN) == 0;
    if (!c->fit && fault)
        fault_user(fault, "bad capture filter '%s': %s", f->text, pcap_geterr(dead));
    pcap_close(dead);
    f->count++;
    return c;
}

bool filter_check(struct filter *f, int linktype, struct fault *fault)
{
    struct compiled *c = compile(f, linktype, fault);
    if (c && !c->fit && fault->kind == FAULT_NONE)
        fault_user(fault, "bad capture filter '%s'", f->text);
    return c && c->fit;
}

bool filter_passes(struct filter *f, const struct packet *packet, bool *unfit)
{
    size_t before = f->count;
    struct compiled *c = compile(f, packet->linktype, NULL);
    *unfit = c && !c->fit && f->count > before;
    if (!c || !c->fit)
        return false;
    struct pcap_pkthdr head = {.caplen = packet->caplen_bytes, .len = packet->wire_bytes};
    return pcap_offline_filter(&c->program, &head, packet->at) != 0;
}

void filter_close(struct filter *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->count; i++)
        if (f->links[i].fit)
            pcap_freecode(&f->links[i].program);
    mem_free(f);
}
