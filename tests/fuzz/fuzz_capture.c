// Fuzzes reading capture files: any bytes as a file, with a filter, until its end.
#include "src/capture/capture.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile uint8_t sink_of_bytes;

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size)
{
    int fd = memfd_create("capture", 0);
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    if (fd < 0 || write(fd, at, size) != (ssize_t)size)
        return 0;
    struct capture_source source = {name, false};
    struct capture_settings settings = {.sources = &source, .source_count = 1, .filter = size % 2 ? "tcp port 9200" : NULL};
    struct fault fault = {0};
    struct capture *c = capture_open(&settings, &fault);
    if (!c && fault.kind == FAULT_NONE)
        abort();
    struct packet packet;
    unsigned long packets = 0;
    for (enum capture_event e; c && (e = capture_next(c, 0, &packet, &fault)) != CAPTURE_END;) {
        if (e != CAPTURE_PACKET || ++packets > size || packet.wire_bytes < packet.caplen_bytes)
            abort();
        for (uint32_t i = 0; i < packet.caplen_bytes; i++)
            sink_of_bytes += packet.at[i];
    }
    while (c && capture_warning(c))
        ;
    capture_close(c);
    close(fd);
    return 0;
}
