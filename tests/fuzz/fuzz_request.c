// Fuzzes the request side of es: request line, headers and body from the input; routes, targets, who and danger must come out in bounds.
#include "src/es/danger.h"
#include "src/es/reads.h"
#include "src/es/version.h"
#include "src/es/who.h"

#include <stdlib.h>

// The input's lines: verb and target, then "Name: value" headers, then an empty line and the body.
static struct bytes take_line(struct bytes *from)
{
    const uint8_t *end = from->size ? memchr(from->at, '\n', from->size) : NULL;
    struct bytes line = bytes_of(from->at, end ? (size_t)(end - from->at) : from->size);
    *from = bytes_from(*from, line.size + 1);
    return line;
}

static struct bytes take_until(struct bytes *from, char c)
{
    const uint8_t *end = from->size ? memchr(from->at, c, from->size) : NULL;
    struct bytes part = bytes_of(from->at, end ? (size_t)(end - from->at) : from->size);
    *from = bytes_from(*from, part.size + 1);
    return part;
}

static void look(struct bytes verb, struct bytes target, struct bytes body, struct arena *a)
{
    static const unsigned versions[] = {ROUTE_ANY, ROUTE_ES5, ROUTE_ES7, ROUTE_ES9, ROUTE_OS3};
    struct bytes path, query;
    struct path_query q;
    path_split(target, &path, &query);
    path_query_read(a, query, &q);
    struct json *tree = json_parse(a, body, NULL);
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        struct route_match m;
        struct target_list t;
        if (route_find(verb, path, versions[i], &m) != (m.api != API_NONE))
            abort();
        for (size_t p = 0; p < m.part_count; p++) {
            struct bytes raw = m.parts[p].raw;
            if (raw.size && (raw.at < path.at || raw.at + raw.size > path.at + path.size || memchr(raw.at, '/', raw.size)))
                abort();
        }
        target_init(&t, a);
        target_add_url(&t, &m, &q);
        target_add_body(&t, &m, tree);
        target_add_msearch_header(&t, body);
        if (t.count > TARGET_MAX)
            abort();
        struct danger_input in = {.route = &m, .query = &q, .body = tree, .targets = &t, .raw = body};
        struct danger d = danger_of(&in);
        if ((d.id != NULL) != (d.level >= DANGER_MEDIUM))
            abort();
    }
    for (int l = TARGET_SQL; l <= TARGET_PPL; l++) {
        struct target_list t;
        target_init(&t, a);
        target_add_query_text(&t, (enum target_language)l, body);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *flush = malloc(size ? size : 1); // so that the sanitizer sees a read past the end
    struct header headers[16];
    struct endpoint server = {.port = 9200};
    if (!flush)
        return 0;
    memcpy(flush, data, size);
    struct bytes rest = bytes_of(flush, size), line = take_line(&rest), verb = take_until(&line, ' ');
    struct request_head head = {.method = verb, .target = line, .headers = headers};
    struct arena a;
    for (struct bytes h = take_line(&rest); h.size && head.header_count < 16; h = take_line(&rest)) {
        struct bytes name = take_until(&h, ':');
        headers[head.header_count++] = (struct header){name, h};
    }
    arena_init(&a, 0);
    struct who_table *whos = who_open(4);
    struct version_table *versions = version_open(NULL, 0);
    struct reads *reads = reads_open();
    struct who who;
    struct reads_result result;
    struct response_head answer = {.headers = headers, .header_count = head.header_count};
    if (whos && versions && reads) {
        who_read(whos, &head, &a, &who);
        struct json *tree = json_parse(&a, rest, NULL);
        if (tree)
            for (unsigned api = 1; api < APIS; api++)
                if (who_answer_matters(api) || version_answer_matters(api)) {
                    who_learn_answer(whos, &who, api, tree);
                    version_learn_answer(versions, &server, api, tree);
                }
        who_read(whos, &head, &a, &who);
        version_learn_head(versions, &server, &answer);
        if (version_mask(versions, &server) == 0)
            abort();
        look(verb, head.target, rest, &a);
        for (size_t at = 0; at < rest.size; at += 7)
            reads_feed(reads, bytes_of(rest.at + at, rest.size - at < 7 ? rest.size - at : 7));
        reads_end(reads, &result);
        if (result.hits_returned < -1 || result.hits_total < -1)
            abort();
    }
    reads_close(reads);
    version_close(versions);
    who_close(whos);
    arena_fini(&a);
    free(flush);
    return 0;
}
