// One network device as a source of packets, through libpcap's ring.
//
// Not in immediate mode: the kernel then fills whole blocks of the ring, which costs least, and gives up a block that is
// not full after DEVICE_BLOCK_MS.
#include "device.h"

#include "../base/diag.h"

#include <linux/filter.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { RING_BYTES_MIN = 64 << 20, NAMES_MAX = 12 };

static bool refuse_name(const char *name, struct fault *fault)
{
    char names[256] = "", problem[PCAP_ERRBUF_SIZE];
    size_t used = 0;
    int count = 0;
    pcap_if_t *all = NULL;
    if (pcap_findalldevs(&all, problem) == 0)
        for (pcap_if_t *i = all; i && count < NAMES_MAX; i = i->next) {
            // The list ends with things that are no network devices.
            if (strncmp(i->name, "nf", 2) == 0 || strncmp(i->name, "usbmon", 6) == 0 || strncmp(i->name, "dbus-", 5) == 0 ||
                strncmp(i->name, "bluetooth", 9) == 0)
                continue;
            int n = snprintf(names + used, sizeof names - used, "%s%s", count++ ? ", " : "", i->name);
            used += n > 0 && (size_t)n < sizeof names - used ? (size_t)n : 0;
        }
    if (all)
        pcap_freealldevs(all);
    if (!used)
        return fault_user(fault, "no such device: %s", name);
    return fault_user(fault, "no such device: %s; there are: %s", name, names);
}

static bool refuse(struct device *d, int status, struct fault *fault)
{
    switch (status) {
    case PCAP_ERROR_NO_SUCH_DEVICE:
        return refuse_name(d->name, fault);
    case PCAP_ERROR_PERM_DENIED:
    case PCAP_ERROR_PROMISC_PERM_DENIED:
        return fault_user(fault, "no permission to capture on %s: CAP_NET_RAW is missing; run with sudo, or give the program the capability "
                                 "once: sudo setcap cap_net_raw+ep estape", d->name);
    case PCAP_ERROR_IFACE_NOT_UP:
        return fault_user(fault, "device %s is not up; bring it up first: ip link set %s up", d->name, d->name);
    default:
        return fault_system(fault, "cannot capture on %s: %s", d->name, status == PCAP_ERROR ? pcap_geterr(d->pcap) : pcap_statustostr(status));
    }
}

static void choose_linktype(struct device *d)
{
    int *types = NULL, count = pcap_list_datalinks(d->pcap, &types);
    for (int i = 0; i < count; i++)
        if (types[i] == DLT_LINUX_SLL2 && pcap_datalink(d->pcap) == DLT_LINUX_SLL)
            pcap_set_datalink(d->pcap, DLT_LINUX_SLL2);
    if (types)
        pcap_free_datalinks(types);
    d->linktype = pcap_datalink(d->pcap);
}

static bool set_filter(struct device *d, const struct capture_settings *settings, struct fault *fault)
{
    struct buf text = {0};
    struct bpf_program program;
    if (settings->filter)
        buf_add_text(&text, settings->filter);
    else
        filter_default(settings, d->linktype == DLT_EN10MB, &text);
    if (text.failed) {
        buf_fini(&text);
        return fault_memory(fault);
    }
    bool ok = pcap_compile(d->pcap, &program, buf_text(&text), 1, PCAP_NETMASK_UNKNOWN) == 0;
    if (!ok)
        fault_user(fault, "bad capture filter '%s': %s", buf_text(&text), pcap_geterr(d->pcap));
    buf_fini(&text);
    if (!ok)
        return false;
    ok = pcap_setfilter(d->pcap, &program) == 0;
    if (!ok)
        fault_system(fault, "cannot set the capture filter on %s: %s", d->name, pcap_geterr(d->pcap));
    pcap_freecode(&program);
    return ok;
}

static bool activate(struct device *d, const struct capture_settings *settings, struct fault *fault)
{
    uint64_t ring = settings->ring_bytes > RING_BYTES_MIN ? settings->ring_bytes : RING_BYTES_MIN;
    pcap_set_snaplen(d->pcap, settings->snaplen_bytes ? (int)settings->snaplen_bytes : 262144);
    pcap_set_promisc(d->pcap, strcmp(d->name, "any") != 0);
    pcap_set_timeout(d->pcap, DEVICE_BLOCK_MS);
    pcap_set_buffer_size(d->pcap, ring > INT32_MAX ? INT32_MAX : (int)ring);
    d->nanoseconds = pcap_set_tstamp_precision(d->pcap, PCAP_TSTAMP_PRECISION_NANO) == 0;
    int status = pcap_activate(d->pcap);
    if (status < 0)
        return refuse(d, status, fault);
    d->nanoseconds = d->nanoseconds && pcap_get_tstamp_precision(d->pcap) == PCAP_TSTAMP_PRECISION_NANO;
    choose_linktype(d);
    if (!packet_linktype_is_known(d->linktype)) {
        const char *name = pcap_datalink_val_to_name(d->linktype);
        return fault_user(fault, "device %s has the link type %s (%d), which is not supported", d->name, name ? name : "unknown", d->linktype);
    }
    return true;
}

bool device_open(struct device *d, const char *name, const struct capture_settings *settings, struct fault *fault)
{
    char problem[PCAP_ERRBUF_SIZE];
    *d = (struct device){.name = name, .fd = -1};
    d->pcap = pcap_create(name, problem);
    if (!d->pcap)
        return fault_system(fault, "cannot capture on %s: %s", name, problem);
    if (!activate(d, settings, fault) || !set_filter(d, settings, fault))
        return false;
    d->fd = pcap_get_selectable_fd(d->pcap);
    if (d->fd < 0 || pcap_setnonblock(d->pcap, 1, problem) != 0)
        return fault_system(fault, "cannot wait for packets on %s", name);
    return true;
}

int device_next(struct device *d, struct packet *packet, struct fault *fault)
{
    struct pcap_pkthdr *head;
    const u_char *bytes;
    int got = pcap_next_ex(d->pcap, &head, &bytes);
    if (got == PCAP_ERROR_BREAK || got == 0)
        return 0;
    if (got < 0) {
        fault_system(fault, "device %s: %s", d->name, pcap_geterr(d->pcap));
        return -1;
    }
    packet->time_ns = head->ts.tv_sec * WHEN_NS_PER_S + head->ts.tv_usec * (d->nanoseconds ? 1 : WHEN_NS_PER_US);
    packet->at = bytes;
    packet->caplen_bytes = head->caplen;
    packet->wire_bytes = head->len < head->caplen ? head->caplen : head->len;
    packet->linktype = d->linktype;
    return 1;
}

bool device_is_up(const struct device *d)
{
    struct ifreq ask = {0};
    snprintf(ask.ifr_name, sizeof ask.ifr_name, "%s", d->name);
    return strlen(d->name) >= sizeof ask.ifr_name || ioctl(d->fd, SIOCGIFFLAGS, &ask) != 0 || ask.ifr_flags & IFF_UP;
}

void device_stop(struct device *d)
{
    // Past libpcap on purpose: its own call would apply the new filter to what already lies in the ring, too.
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {1, &nothing};
    d->stopped = setsockopt(d->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

void device_count(struct device *d, struct capture_stats *stats)
{
    struct pcap_stat now;
    if (pcap_stats(d->pcap, &now) != 0)
        return;
    stats->kernel_received += now.ps_recv - d->received;
    stats->kernel_dropped += now.ps_drop - d->dropped;
    stats->interface_dropped += now.ps_ifdrop - d->interface_dropped;
    d->received = now.ps_recv;
    d->dropped = now.ps_drop;
    d->interface_dropped = now.ps_ifdrop;
}

void device_close(struct device *d)
{
    if (d->pcap)
        pcap_close(d->pcap);
    d->pcap = NULL;
}
