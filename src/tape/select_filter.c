// Conditions on exchanges: each one asked of the smallest thing that can answer it, a dictionary's entry or a whole row.
#include "select.h"

#include "../base/diag.h"
#include "../base/glob.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct address {       // of --client
    bool cidr;         // ip and bits; else a pattern over the address as text
    uint8_t ip[16];
    unsigned bits;
    uint16_t port;     // 0: any
    struct bytes glob;
};

struct range {
    int low, high;
};

struct matcher {
    const struct tape_filter *f;
    struct address *clients;
    struct range *statuses;
};

// ---- parsing --------------------------------------------------------------------------------------------------------

static bool parse_address(const char *text, struct address *a, struct fault *fault)
{
    struct bytes whole = bytes_of_text(text);
    const char *slash = strchr(text, '/'), *colon = strrchr(text, ':');
    *a = (struct address){.glob = whole};
    if (text[0] == '[') { // [v6]:port
        const char *end = strchr(text, ']');
        size_t size = end ? (size_t)(end - text - 1) : 0;
        a->cidr = end && dict_parse_ip(bytes_of(text + 1, size), a->ip);
        a->bits = 128;
        a->port = end && end[1] == ':' ? (uint16_t)atoi(end + 2) : 0;
        return a->cidr || fault_user(fault, "--client %s: '[ADDRESS]:PORT' needs an IPv6 address", text);
    }
    if (slash) {
        struct bytes ip = bytes_of(text, (size_t)(slash - text));
        char *end;
        long bits = strtol(slash + 1, &end, 10);
        a->cidr = dict_parse_ip(ip, a->ip);
        bool four = a->cidr && memchr(ip.at, ':', ip.size) == NULL;
        if (!a->cidr || *end || end == slash + 1 || bits < 0 || bits > (four ? 32 : 128))
            return fault_user(fault, "--client %s: say a network as 10.1.0.0/16", text);
        a->bits = (unsigned)bits + (four ? 96 : 0);
        return true;
    }
    a->bits = 128;
    if (dict_parse_ip(whole, a->ip)) {
        a->cidr = true;
        return true;
    }
    if (colon && strchr(text, ':') == colon) { // v4:port, v4 pattern:port
        a->port = (uint16_t)atoi(colon + 1);
        a->glob = bytes_of(text, (size_t)(colon - text));
        a->cidr = dict_parse_ip(a->glob, a->ip);
    }
    if (!a->cidr && !glob_is_pattern(a->glob))
        return fault_user(fault, "--client %s: say an address (10.1.7.23), a network (10.1.0.0/16) or a pattern (10.1.*)", text);
    return true;
}

static bool parse_status(const char *text, struct range *r)
{
    char *end;
    if (strcmp(text, "none") == 0) {
        *r = (struct range){0, 0};
        return true;
    }
    if (text[0] >= '1' && text[0] <= '9' && strcasecmp(text + 1, "xx") == 0) {
        *r = (struct range){(text[0] - '0') * 100, (text[0] - '0') * 100 + 99};
        return true;
    }
    r->low = r->high = (int)strtol(text, &end, 10);
    if (*end == '-')
        r->high = (int)strtol(end + 1, &end, 10);
    return !*end && r->low > 0 && r->high >= r->low;
}

struct matcher *matcher_open(const struct tape_filter *filter, struct fault *fault)
{
    struct matcher *m = mem_zero(1, sizeof *m);
    if (m) {
        m->f = filter;
        m->clients = mem_zero(filter->client_count, sizeof *m->clients);
        m->statuses = mem_zero(filter->status_count, sizeof *m->statuses);
    }
    bool ok = m && m->clients && m->statuses;
    if (!ok)
        fault_memory(fault);
    for (size_t i = 0; ok && i < filter->client_count; i++)
        ok = parse_address(filter->client[i], &m->clients[i], fault);
    for (size_t i = 0; ok && i < filter->status_count; i++)
        ok = parse_status(filter->status[i], &m->statuses[i]) || fault_user(fault, "'%s' is no HTTP status, class (4xx), range (500-599) or 'none'", filter->status[i]);
    if (ok)
        return m;
    matcher_close(m);
    return NULL;
}

void matcher_close(struct matcher *m)
{
    if (!m)
        return;
    mem_free(m->clients);
    mem_free(m->statuses);
    mem_free(m);
}

const struct tape_filter *matcher_filter(const struct matcher *m)
{
    return m->f;
}

// ---- single conditions ----------------------------------------------------------------------------------------------

static bool one_of(const char *const *list, size_t count, struct bytes text)
{
    for (size_t i = 0; i < count; i++) {
        struct bytes pattern = bytes_of_text(list[i]);
        if (glob_is_pattern(pattern) ? glob_match(pattern, text) : bytes_equal(pattern, text))
            return true;
    }
    return count == 0;
}

static bool one_of_verbs(const struct tape_filter *f, struct bytes verb)
{
    for (size_t i = 0; i < f->verb_count; i++)
        if (bytes_equal_text_nocase(verb, f->verb[i]))
            return true;
    return f->verb_count == 0;
}

static bool status_matches(const struct matcher *m, int status)
{
    for (size_t i = 0; i < m->f->status_count; i++)
        if (status >= m->statuses[i].low && status <= m->statuses[i].high)
            return true;
    return m->f->status_count == 0;
}

bool matcher_has_calls(const struct matcher *m)
{
    const struct tape_filter *f = m->f;
    return f->who_count || f->agent_count || f->api_count || f->verb_count || f->outcome_count || f->danger_count ||
           f->status_count || f->writes || f->destructive;
}

bool matcher_has_client(const struct matcher *m)
{
    return m->f->client_count > 0;
}

bool matcher_needs_names(const struct matcher *m)
{
    return m->f->index_count > 0;
}

bool matcher_who(const struct matcher *m, const struct who_info *who)
{
    const struct tape_filter *f = m->f;
    bool person = !f->who_count || (who->principal.size && one_of(f->who, f->who_count, who->principal)) ||
                  (who->run_as.size && one_of(f->who, f->who_count, who->run_as));
    return person && one_of(f->agent, f->agent_count, who->agent);
}

bool matcher_shape(const struct matcher *m, const struct shape_info *h, bool answer_final)
{
    const struct tape_filter *f = m->f;
    if (f->writes && !(h->flags & EXCHANGE_WRITE))
        return false;
    if ((f->destructive || f->danger_count) && !h->danger.size)
        return false;
    if (answer_final && !(status_matches(m, h->status) && one_of(f->outcome, f->outcome_count, bytes_of_text(format_outcomes[h->outcome]))))
        return false;
    return one_of_verbs(f, h->verb) && one_of(f->api, f->api_count, h->api) && one_of(f->danger, f->danger_count, h->danger);
}

bool matcher_name(const struct matcher *m, struct bytes name)
{
    return one_of(m->f->index, m->f->index_count, name);
}

static bool within(const struct address *a, const uint8_t ip[16])
{
    unsigned whole = a->bits / 8, rest = a->bits % 8;
    if (memcmp(a->ip, ip, whole) != 0)
        return false;
    return !rest || (a->ip[whole] ^ ip[whole]) >> (8 - rest) == 0;
}

static bool address_matches(const struct address *a, const uint8_t ip[16])
{
    char text[64];
    if (a->cidr)
        return within(a, ip);
    struct endpoint e = {.port = 0};
    memcpy(e.ip, ip, 16);
    return glob_match(a->glob, bytes_of_text(dict_ip_text(&e, text, sizeof text)));
}

bool matcher_ip(const struct matcher *m, const uint8_t ip[16])
{
    for (size_t i = 0; i < m->f->client_count; i++)
        if (address_matches(&m->clients[i], ip))
            return true;
    return m->f->client_count == 0;
}

// "10.1.7.23, 10.0.0.1": each by itself.
bool matcher_forwarded(const struct matcher *m, struct bytes list)
{
    while (list.size) {
        const uint8_t *comma = memchr(list.at, ',', list.size);
        struct bytes one = {list.at, comma ? (size_t)(comma - list.at) : list.size};
        list = bytes_from(list, one.size + 1);
        while (one.size && one.at[0] == ' ')
            one = bytes_from(one, 1);
        uint8_t ip[16];
        bool known = dict_parse_ip(one, ip);
        for (size_t i = 0; i < m->f->client_count; i++)
            if (!m->clients[i].port && (known ? address_matches(&m->clients[i], ip) : !m->clients[i].cidr && glob_match(m->clients[i].glob, one)))
                return true;
    }
    return false;
}

static bool client_matches(const struct matcher *m, const struct exchange *x)
{
    for (size_t i = 0; i < m->f->client_count; i++)
        if ((!m->clients[i].port || m->clients[i].port == x->client.port) && address_matches(&m->clients[i], x->client.ip))
            return true;
    return m->f->client_count == 0 || matcher_forwarded(m, x->forwarded_for);
}

static bool holds(struct bytes text, const char *part)
{
    size_t size = strlen(part);
    if (!text.size)
        return !size;
    for (size_t i = 0; size <= text.size && i <= text.size - size; i++)
        if (strncasecmp((const char *)text.at + i, part, size) == 0)
            return true;
    return false;
}

static bool index_matches(const struct matcher *m, const struct exchange *x)
{
    for (size_t i = 0; i < x->target_count; i++)
        if (matcher_name(m, x->targets[i]))
            return true;
    for (size_t i = 0; i < x->index_count; i++)
        if (matcher_name(m, x->indices[i].index))
            return true;
    return m->f->index_count == 0;
}

// ---- whole rows -----------------------------------------------------------------------------------------------------

bool matcher_row(const struct matcher *m, const struct tape_row *row)
{
    const struct tape_filter *f = m->f;
    const struct exchange *x = &row->x;
    struct who_info who = {.principal = x->principal, .run_as = x->run_as, .agent = x->agent};
    struct shape_info shape = {.verb = x->verb, .api = x->api, .danger = x->danger, .status = x->status, .outcome = x->outcome, .flags = x->flags};
    bool grep = !f->grep || holds(x->path, f->grep) || holds(x->opaque_id, f->grep) || holds(x->agent, f->grep) || holds(x->reason, f->grep);
    return grep && matcher_who(m, &who) && matcher_shape(m, &shape, true) && client_matches(m, x) && index_matches(m, x) &&
           (!f->conn || (x->conn == f->conn && (!f->conn_client.port || endpoint_equal(&f->conn_client, &x->client))));
}

bool matcher_word(const struct matcher *m, const char *what, struct bytes word)
{
    const struct tape_filter *f = m->f;
    if (strcmp(what, "verb") == 0)
        return one_of_verbs(f, word);
    if (strcmp(what, "api") == 0)
        return one_of(f->api, f->api_count, word);
    if (strcmp(what, "danger") == 0)
        return word.size && one_of(f->danger, f->danger_count, word);
    return !f->writes || bytes_equal_text(word, "1"); // write
}
