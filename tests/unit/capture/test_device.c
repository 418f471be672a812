// Devices: real packets on the loopback of a network namespace of our own. Skipped where that may not be made.
#include "src/capture/capture.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static bool have_namespace;

static int enter_namespace(void **state)
{
    (void)state;
    if (unshare(CLONE_NEWNET) != 0)
        return 0;
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    have_namespace = ioctl(s, SIOCSIFFLAGS, &lo) == 0;
    close(s);
    return 0;
}

static void need_namespace(void)
{
    if (!have_namespace)
        skip();
}

static struct capture *open_device(const char *name, const char *filter, const uint16_t *ports, size_t port_count, struct fault *fault)
{
    struct capture_source source = {name, true};
    struct capture_settings settings = {.sources = &source, .source_count = 1, .filter = filter, .ports = ports, .port_count = port_count};
    *fault = (struct fault){0};
    return capture_open(&settings, fault);
}

// One datagram on the loopback is one packet there.
static void send_datagrams(int port, int count)
{
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < count; i++)
        sendto(s, "datagram", 8, 0, (struct sockaddr *)&to, sizeof to);
    close(s);
}

// An attempt to connect where nobody listens: a SYN and a RST.
static void knock(int port)
{
    int s = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_not_equal(connect(s, (struct sockaddr *)&to, sizeof to), 0);
    close(s);
}

static int count_until(struct capture *c, enum capture_event last, int idle_max)
{
    struct packet p;
    struct fault fault;
    int packets = 0;
    for (int idle = 0; idle < idle_max;) {
        enum capture_event e = capture_next(c, 50, &p, &fault);
        if (e == last)
            return packets;
        if (e == CAPTURE_PACKET)
            packets++;
        else
            idle++;
    }
    return last == CAPTURE_IDLE ? packets : -1;
}

static void device_gives_packets_of_the_watched_ports_only(void **state)
{
    (void)state;
    need_namespace();
    static const char *const names[] = {"lo", "any"};
    for (int i = 0; i < 2; i++) {
        struct fault fault;
        struct capture *c = open_device(names[i], NULL, (uint16_t[]){9200, 9201}, 2, &fault);
        if (!c)
            fail_msg("%s", fault.text);
        knock(9200);
        knock(9201);
        knock(9999);
        send_datagrams(9200, 3);
        send_datagrams(4789, 1); // VXLAN
        capture_break(c);
        assert_int_equal(count_until(c, CAPTURE_END, 100), 5); // each SYN and its refusal, and the tunnel's
        struct capture_stats s;
        capture_stats(c, &s);
        assert_int_equal(s.kernel_dropped, 0);
        assert_true(s.kernel_received >= 5);
        assert_true(capture_has_device(c));
        capture_close(c);
    }
}

static void stopping_gives_everything_that_the_kernel_holds(void **state)
{
    (void)state;
    need_namespace();
    struct fault fault;
    struct capture *c = open_device("lo", "udp dst port 9300", NULL, 0, &fault);
    assert_non_null(c);
    enum { COUNT = 20000 };
    send_datagrams(9300, COUNT);
    capture_break(c);
    send_datagrams(9300, 10); // possibly too late, never in the way
    int got = count_until(c, CAPTURE_END, 1000);
    assert_in_range(got, COUNT, COUNT + 10);
    capture_close(c);
}

static void waiting_ends_without_packets(void **state)
{
    (void)state;
    need_namespace();
    struct fault fault;
    struct capture *c = open_device("lo", NULL, NULL, 0, &fault);
    assert_non_null(c);
    struct packet p;
    assert_int_equal(capture_next(c, 1, &p, &fault), CAPTURE_IDLE);
    capture_close(c);
}

static void device_that_goes_away_is_a_fault_with_its_name(void **state)
{
    (void)state;
    need_namespace();
    if (system("ip link add tapdevice type veth peer name tapother 2>/dev/null && ip link set tapdevice up") != 0)
        skip();
    struct fault fault;
    struct capture *c = open_device("tapdevice", NULL, NULL, 0, &fault);
    assert_non_null(c);
    assert_int_equal(system("ip link del tapdevice"), 0);
    struct packet p;
    enum capture_event e = CAPTURE_IDLE;
    for (int i = 0; i < 40 && e != CAPTURE_FAULT; i++)
        e = capture_next(c, 50, &p, &fault);
    assert_int_equal(e, CAPTURE_FAULT);
    assert_int_equal(fault.kind, FAULT_SYSTEM);
    assert_non_null(strstr(fault.text, "tapdevice"));
    capture_close(c);
}

static void unknown_device_is_refused_with_those_that_exist(void **state)
{
    (void)state;
    need_namespace();
    struct fault fault;
    assert_null(open_device("nosuch0", NULL, NULL, 0, &fault));
    assert_int_equal(fault.kind, FAULT_USER);
    assert_non_null(strstr(fault.text, "no such device: nosuch0; there are: "));
    assert_non_null(strstr(fault.text, "lo"));
}

static void bad_filter_for_a_device_is_refused_with_the_reason(void **state)
{
    (void)state;
    need_namespace();
    struct fault fault;
    assert_null(open_device("lo", "tcp prot 9200", NULL, 0, &fault));
    assert_int_equal(fault.kind, FAULT_USER);
    assert_non_null(strstr(fault.text, "bad capture filter"));
}

static void missing_permission_names_the_capability(void **state)
{
    (void)state;
    need_namespace();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct fault fault;
        if (setuid(65534) != 0)
            _exit(3);
        struct capture *c = open_device("lo", NULL, NULL, 0, &fault);
        _exit(!c && fault.kind == FAULT_USER && strstr(fault.text, "CAP_NET_RAW") && strstr(fault.text, "sudo") ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(device_gives_packets_of_the_watched_ports_only),
        cmocka_unit_test(stopping_gives_everything_that_the_kernel_holds),
        cmocka_unit_test(waiting_ends_without_packets),
        cmocka_unit_test(device_that_goes_away_is_a_fault_with_its_name),
        cmocka_unit_test(unknown_device_is_refused_with_those_that_exist),
        cmocka_unit_test(bad_filter_for_a_device_is_refused_with_the_reason),
        cmocka_unit_test(missing_permission_names_the_capability),
    };
    return cmocka_run_group_tests(tests, enter_namespace, NULL);
}
