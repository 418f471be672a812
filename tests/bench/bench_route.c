// How long one request line takes to be matched: nanoseconds per look-up over the kinds of paths that clusters see.
//
// usage: bench_route     prints name, value, goal, unit, tab-separated; `make bench-route` builds and runs it
#include "../../src/es/route.h"
#include <stdio.h>
#include <time.h>

struct line {
    const char *verb, *path;
};

static const struct line mix[] = {
    {"POST", "/_bulk"}, {"POST", "/logs-2026.11.24/_bulk"}, {"POST", "/catalog/_search"}, {"GET", "/catalog/_doc/4711"}, {"PUT", "/catalog/_doc/4711"},
    {"POST", "/catalog/_update/4711"}, {"POST", "/_msearch"}, {"GET", "/_cluster/health"}, {"GET", "/_cat/indices/a*"}, {"POST", "/_search/scroll"},
    {"GET", "/_nodes/_local/stats/http,thread_pool"}, {"HEAD", "/catalog"}, {"POST", "/catalog/_delete_by_query"}, {"GET", "/"}, {"DELETE", "/catalog"},
};
static const struct line odd[] = { // typed paths and what no route fits: every version is tried before they are given up
    {"PUT", "/catalog/product/4711"}, {"POST", "/catalog/product/4711/_update"}, {"GET", "/favicon.ico/x/y/z"}, {"POST", "/_plugins/_nobody/knows"},
};

static void measure(const char *name, const struct line *lines, size_t count, unsigned versions)
{
    enum { ROUNDS = 400000 };
    struct timespec from, to;
    unsigned long found = 0;
    double best = 1e9;
    for (int repeat = 0; repeat < 5; repeat++) {
        clock_gettime(CLOCK_MONOTONIC, &from);
        for (unsigned i = 0; i < ROUNDS; i++) {
            const struct line *l = &lines[i % count];
            struct route_match m;
            found += route_find(bytes_of_text(l->verb), bytes_of_text(l->path), versions, &m);
        }
        clock_gettime(CLOCK_MONOTONIC, &to);
        double ns = ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / ROUNDS;
        best = ns < best ? ns : best;
    }
    printf("route match: %s\t%.1f\t<= 300\tns\n", name, best);
    if (found == 1) // never: keeps the work from being left out
        printf("\n");
}

int main(void)
{
    measure("version known", mix, sizeof mix / sizeof *mix, ROUTE_ES8);
    measure("version not known", mix, sizeof mix / sizeof *mix, ROUTE_ANY);
    measure("typed paths, version known", odd, sizeof odd / sizeof *odd, ROUTE_ES7);
    measure("typed paths and no route at all, version not known", odd, sizeof odd / sizeof *odd, ROUTE_ANY);
    return 0;
}
