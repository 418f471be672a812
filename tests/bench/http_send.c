// Sends prepared HTTP requests over several connections as fast as the answers come: the tuned loader that replays are measured against.
//
// usage: http_send PORT CONNECTIONS FILE      FILE: records of a 32-bit length (host order) and a whole request
// Prints one line: requests, seconds, requests refused (a status that is not 2xx, or "errors":true).
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <fcntl.h>
#include <unistd.h>

static const uint8_t *file;
static uint64_t *at; // of each record
static size_t count;
static atomic_size_t next;
static atomic_size_t refused;
static int port;

static int dial(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(s, (struct sockaddr *)&to, sizeof to) != 0) {
        perror("connect");
        exit(1);
    }
    return s;
}

static void put(int s, const uint8_t *p, size_t n)
{
    for (ssize_t done; n; p += done, n -= (size_t)done)
        if ((done = send(s, p, n, MSG_NOSIGNAL)) <= 0) {
            perror("send");
            exit(1);
        }
}

// One answer with a Content-Length; true: 2xx and no item refused.
static int answer(int s, char **buf, size_t *room)
{
    size_t have = 0, need = 0;
    for (;;) {
        if (have + 65536 > *room)
            *buf = realloc(*buf, *room *= 2);
        ssize_t n = recv(s, *buf + have, *room - have - 1, 0);
        if (n <= 0) {
            fprintf(stderr, "the connection ended\n");
            exit(1);
        }
        have += (size_t)n;
        (*buf)[have] = 0;
        char *end = need ? NULL : strstr(*buf, "\r\n\r\n");
        if (end) {
            char *length = strcasestr(*buf, "content-length:");
            need = (size_t)(end + 4 - *buf) + (length ? strtoul(length + 15, NULL, 10) : 0);
        }
        if (need && have >= need)
            return (*buf)[9] == '2' && !strstr(*buf, "\"errors\":true");
    }
}

static void *lane(void *ctx)
{
    size_t room = 1 << 20, i;
    char *buf = malloc(room);
    int s = dial();
    (void)ctx;
    while ((i = atomic_fetch_add(&next, 1)) < count) {
        uint32_t n;
        memcpy(&n, file + at[i], 4);
        put(s, file + at[i] + 4, n);
        if (!answer(s, &buf, &room))
            atomic_fetch_add(&refused, 1);
    }
    close(s);
    free(buf);
    return NULL;
}

int main(int argc, char **argv)
{
    struct stat st;
    struct timespec a, b;
    int lanes = argc == 4 ? atoi(argv[2]) : 0, fd = argc == 4 ? open(argv[3], O_RDONLY) : -1;
    pthread_t threads[64];
    if (fd < 0 || fstat(fd, &st) != 0 || lanes < 1 || lanes > 64)
        return fprintf(stderr, "usage: http_send PORT CONNECTIONS FILE\n"), 2;
    port = atoi(argv[1]);
    file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    for (uint64_t o = 0; o + 4 <= (uint64_t)st.st_size; count++) {
        uint32_t n;
        if ((count & (count - 1)) == 0)
            at = realloc(at, (count ? count * 2 : 2) * sizeof *at);
        at[count] = o;
        memcpy(&n, file + o, 4);
        o += 4 + n;
    }
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int i = 0; i < lanes; i++)
        pthread_create(&threads[i], NULL, lane, NULL);
    for (int i = 0; i < lanes; i++)
        pthread_join(threads[i], NULL);
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%zu %.6f %zu\n", count, (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9, atomic_load(&refused));
    return 0;
}
