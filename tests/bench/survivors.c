// Counts the packets of a generated capture that begin a request, and makes cut copies of it: the truth for the loss benchmark.
//
// usage: survivors CAPTURE                       count
//        survivors CAPTURE mid|client|snap96 OUT write the cut copy, then count what is left in it
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TCP_AT = 14 + 20, PORT = 9200 };

static int begins_request(const uint8_t *frame, uint32_t size)
{
    static const char *const verbs[] = {"GET /", "POST /", "PUT /", "HEAD /", "DELETE /"};
    uint32_t head = TCP_AT + (frame[TCP_AT + 12] >> 4) * 4u;
    if ((frame[TCP_AT + 2] << 8 | frame[TCP_AT + 3]) != PORT)
        return 0;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        size_t n = strlen(verbs[i]);
        if (size >= head + n && memcmp(frame + head, verbs[i], n) == 0)
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    FILE *in = argc >= 2 ? fopen(argv[1], "rb") : NULL;
    FILE *out = argc == 4 ? fopen(argv[3], "wb") : NULL;
    const char *mode = argc == 4 ? argv[2] : "";
    static uint8_t frame[1 << 18];
    uint32_t head[6], record[4];
    unsigned long packets = 0, count = 0;
    if (!in || (argc == 4 && !out) || fread(head, sizeof head, 1, in) != 1)
        return 2;
    if (out)
        fwrite(head, sizeof head, 1, out);
    while (fread(record, sizeof record, 1, in) == 1 && record[2] <= sizeof frame && fread(frame, record[2], 1, in) == 1) {
        packets++;
        int from_client = (frame[TCP_AT + 2] << 8 | frame[TCP_AT + 3]) == PORT;
        if ((strcmp(mode, "mid") == 0 && packets <= 20000) || (strcmp(mode, "client") == 0 && !from_client))
            continue;
        if (strcmp(mode, "snap96") == 0 && record[2] > 96)
            record[2] = 96;
        count += begins_request(frame, record[2]) != 0;
        if (out) {
            fwrite(record, sizeof record, 1, out);
            fwrite(frame, record[2], 1, out);
        }
    }
    if (out && fclose(out) != 0)
        return 1;
    printf("%lu\n", count);
    return 0;
}
