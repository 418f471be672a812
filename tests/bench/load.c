// A paced load over loopback for the live benchmark: bulks one way, small answers back, on one connection.
//
// usage: load MB_PER_SECOND SECONDS     port 9299, 127.0.0.1 only
#include <arpa/inet.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PORT = 9299, BODY = 256 * 1024 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *serve(void *ctx)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 36\r\n\r\n{\"took\":1,\"errors\":false,\"items\":[]}";
    int c = accept(*(int *)ctx, NULL, NULL);
    static char in[1 << 18];
    size_t total = 0, message = 0;
    char head[256];
    message = (size_t)snprintf(head, sizeof head, "POST /load/_bulk HTTP/1.1\r\nHost: es\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n", BODY) + BODY;
    for (ssize_t n; (n = read(c, in, sizeof in)) > 0;)
        for (total += (size_t)n; total >= message; total -= message)
            if (write(c, answer, sizeof answer - 1) < 0)
                return NULL;
    close(c);
    return NULL;
}

int main(int argc, char **argv)
{
    double rate = argc == 3 ? atof(argv[1]) * 1e6 : 0, seconds = argc == 3 ? atof(argv[2]) : 0;
    if (rate <= 0 || seconds <= 0 || seconds > 600)
        return 2;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&at, sizeof at) || listen(listener, 1)) {
        perror("load");
        return 1;
    }
    pthread_t server;
    pthread_create(&server, NULL, serve, &listener);
    if (connect(c, (void *)&at, sizeof at))
        return 1;
    static char message[BODY + 256], in[65536];
    size_t head = (size_t)snprintf(message, 256, "POST /load/_bulk HTTP/1.1\r\nHost: es\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n", BODY);
    uint64_t rng = 88172645463325252u;
    size_t used = head;
    while (used + 120 < head + BODY) {
        rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
        used += (size_t)snprintf(message + used, 121, "{\"index\":{\"_id\":\"%016llx\"}}\n{\"n\":%llu,\"w\":\"alpha bravo charlie delta echo\"}\n", (unsigned long long)rng, (unsigned long long)(rng >> 20));
    }
    memset(message + used, '\n', head + BODY - used);
    size_t size = head + BODY;
    double began = now(), sent = 0;
    while (now() - began < seconds) {
        double ahead = sent / rate - (now() - began);
        if (ahead > 0.001)
            usleep((useconds_t)(ahead * 1e6));
        for (size_t at_byte = 0; at_byte < size;) {
            ssize_t n = write(c, message + at_byte, size - at_byte);
            if (n <= 0)
                return 1;
            at_byte += (size_t)n;
        }
        sent += (double)size;
        if (recv(c, in, sizeof in, MSG_DONTWAIT) == 0)
            return 1;
    }
    shutdown(c, SHUT_WR);
    while (read(c, in, sizeof in) > 0)
        ;
    pthread_join(server, NULL);
    printf("%.1f MB/s\n", sent / (now() - began) / 1e6);
    return 0;
}
