// Looks request lines up in the trie of published routes, the way a node's own path trie does.
//
// Flow: the path is cut into segments; each is looked up once in the table of literals; the trie is then walked in the four
// modes of the node's resolver, in their order, until a node is found whose routes include the verb. All of it is repeated
// per version the server may be, newest first; nearly always the first one answers.
#include "route.h"

struct api_row { const char *name, *action; uint32_t flags; };
struct literal_row { const char *text; uint16_t size; };
struct edge_row { uint16_t literal, node; };
struct node_row {
    uint16_t first_edge, edge_count, wildcard, first_route, route_count;
    uint8_t versions, value_versions; // in which versions the node exists; in which it holds routes of its own
};
struct part_row { uint8_t segment, name; };
struct route_row {
    uint8_t verb, versions;
    uint16_t api, flags;
    uint8_t part_count;
    const char *template, *action;
    struct part_row parts[ROUTE_PARTS_MAX];
};

#include "route_table.h"

enum mode { EXPLICIT, WILDCARD_ROOT, WILDCARD_LEAF, WILDCARD_ANY, MODES };

#define SEGMENTS_MAX 16 // the longest template has eight
#define LITERAL_STAR 0xffff

struct segment {
    struct bytes text;
    uint16_t literal; // 0: no template has it
};

struct walk {
    struct segment segment[SEGMENTS_MAX];
    unsigned count;
    enum mode mode;
    uint8_t version; // one bit; all of them for walk_reach
};

static uint16_t literal_find(struct bytes text)
{
    uint32_t h = 5381;
    if (text.size == 1 && text.at[0] == '*')
        return LITERAL_STAR;
    if (text.size > 64)
        return 0;
    for (size_t i = 0; i < text.size; i++)
        h = (h * 33 + text.at[i]) & 0xfffff;
    for (uint32_t slot = h & (LITERAL_SLOTS - 1); literal_slots[slot]; slot = (slot + 1) & (LITERAL_SLOTS - 1)) {
        const struct literal_row *row = &literal_rows[literal_slots[slot]];
        if (row->size == text.size && memcmp(row->text, text.at, text.size) == 0)
            return literal_slots[slot];
    }
    return 0;
}

// Segments between slashes. Trailing empty ones vanish and empty ones in the middle stay, as Java's split does.
static bool walk_cut(struct walk *w, struct bytes path)
{
    if (path.size == 0 || path.at[0] != '/')
        return path.size == 0;
    while (path.size && path.at[path.size - 1] == '/')
        path.size--;
    for (size_t at = 1; at <= path.size;) {
        const uint8_t *slash = memchr(path.at + at, '/', path.size - at);
        size_t end = slash ? (size_t)(slash - path.at) : path.size;
        if (w->count == SEGMENTS_MAX)
            return false;
        struct segment *s = &w->segment[w->count++];
        s->text = bytes_of(path.at + at, end - at);
        s->literal = literal_find(s->text);
        at = end + 1;
    }
    return true;
}

static unsigned node_child(const struct walk *w, unsigned node, uint16_t literal)
{
    const struct node_row *n = &node_rows[node];
    if (literal == 0)
        return 0;
    if (literal == LITERAL_STAR)
        return n->wildcard && (node_rows[n->wildcard].versions & w->version) ? n->wildcard : 0;
    unsigned low = n->first_edge, high = low + n->edge_count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (edge_rows[middle].literal == literal)
            return node_rows[edge_rows[middle].node].versions & w->version ? edge_rows[middle].node : 0;
        if (edge_rows[middle].literal < literal)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

// The node's own PathTrie.retrieve: which child a segment may take depends on the mode and on where the segment stands.
// 0 means none, which the root can never be here.
static unsigned walk_down(const struct walk *w, unsigned node, unsigned at)
{
    bool last = at + 1 == w->count, used_wildcard;
    unsigned wildcard = node_rows[node].wildcard;
    if (wildcard && !(node_rows[wildcard].versions & w->version))
        wildcard = 0;
    unsigned next = node_child(w, node, w->segment[at].literal);
    if (next == 0) {
        bool allowed = w->mode == WILDCARD_ANY || (w->mode == WILDCARD_ROOT && at == 0) || (w->mode == WILDCARD_LEAF && last);
        if (!allowed || wildcard == 0)
            return 0;
        next = wildcard;
        used_wildcard = true;
    } else {
        bool empty = !(node_rows[next].value_versions & w->version);
        used_wildcard = next == wildcard;
        if (empty && wildcard && ((last && w->mode >= WILDCARD_LEAF) || (at == 0 && w->mode == WILDCARD_ROOT))) {
            next = wildcard;
            used_wildcard = true;
        }
    }
    if (last)
        return node_rows[next].value_versions & w->version ? next : 0;
    unsigned found = walk_down(w, next, at + 1);
    if (found == 0 && !used_wildcard && w->mode != EXPLICIT && wildcard)
        found = walk_down(w, wildcard, at + 1);
    return found;
}

static const struct route_row *node_route(unsigned node, uint8_t verb, uint8_t version)
{
    const struct node_row *n = &node_rows[node];
    for (unsigned i = 0; i < n->route_count; i++) {
        const struct route_row *r = &route_rows[n->first_route + i];
        if (r->verb == verb && (r->versions & version))
            return r;
    }
    return NULL;
}

static const struct route_row *walk_find(struct walk *w, uint8_t verb)
{
    if (w->count == 0)
        return node_route(0, verb, w->version);
    for (w->mode = EXPLICIT; w->mode < MODES; w->mode++) {
        unsigned node = walk_down(w, 0, 0);
        const struct route_row *r = node ? node_route(node, verb, w->version) : NULL;
        if (r)
            return r;
    }
    return NULL;
}

// In which versions some template fits the path and has the verb, however its turn comes: all others need no walk.
static unsigned walk_reach(const struct walk *w, unsigned node, unsigned at, uint8_t verb)
{
    const struct node_row *n = &node_rows[node];
    unsigned versions = 0;
    if (at == w->count) {
        for (unsigned i = 0; i < n->route_count; i++)
            if (route_rows[n->first_route + i].verb == verb)
                versions |= route_rows[n->first_route + i].versions;
        return versions;
    }
    unsigned child = node_child(w, node, w->segment[at].literal);
    if (child)
        versions = walk_reach(w, child, at + 1, verb);
    if (n->wildcard && n->wildcard != child)
        versions |= walk_reach(w, n->wildcard, at + 1, verb);
    return versions;
}

static int verb_number(struct bytes verb)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bytes_equal_text(verb, names[i]))
            return (int)i;
    return -1;
}

static void match_fill(struct route_match *m, const struct walk *w, const struct route_row *r)
{
    m->api = r->api;
    m->flags = r->flags;
    m->versions = r->versions;
    m->template = r->template;
    m->action = r->action;
    m->part_count = r->part_count;
    for (size_t i = 0; i < r->part_count; i++)
        m->parts[i] = (struct route_part){part_names[r->parts[i].name], w->segment[r->parts[i].segment].text};
}

// Where the version is a guess, a typed reading needs names a typed cluster would take: neither an index nor a type may
// begin with '_', but for _all and _doc. Without this every unknown /_plugins/_x/y would pass for a document.
static bool match_is_plausible(const struct route_match *m)
{
    if (!(m->flags & ROUTE_TYPED))
        return true;
    struct bytes index = route_part(m, "index", NULL), type = route_part(m, "type", NULL);
    if (index.size && index.at[0] == '_' && !bytes_equal_text(index, "_all"))
        return false;
    return !(type.size && type.at[0] == '_' && !bytes_equal_text(type, "_doc"));
}

bool route_find(struct bytes verb, struct bytes path, unsigned versions, struct route_match *match)
{
    static const uint8_t order[] = {ROUTE_ES9, ROUTE_OS3, ROUTE_ES8, ROUTE_OS2, ROUTE_ES7, ROUTE_OS1, ROUTE_ES6, ROUTE_ES5};
    int number = verb_number(verb);
    struct walk w;
    *match = (struct route_match){.api = API_NONE, .action = ""};
    w.count = 0;
    if (number < 0 || !walk_cut(&w, path))
        return false;
    bool guess = (versions & (versions - 1)) != 0, reached = false;
    unsigned asked = versions;
    for (size_t i = 0; i < sizeof order; i++) {
        if (!(versions & order[i]))
            continue;
        w.version = order[i];
        const struct route_row *r = walk_find(&w, (uint8_t)number);
        if (!r && guess && !reached) {
            w.version = ROUTE_ANY;
            versions &= walk_reach(&w, 0, 0, (uint8_t)number);
            reached = true;
        }
        if (!r)
            continue;
        match_fill(match, &w, r);
        match->versions &= asked;
        if (!guess || match_is_plausible(match))
            return true;
        *match = (struct route_match){.api = API_NONE, .action = ""};
    }
    return false;
}

struct bytes route_part(const struct route_match *match, const char *name, bool *found)
{
    for (size_t i = 0; i < match->part_count; i++) {
        if (strcmp(match->parts[i].name, name) == 0) {
            if (found)
                *found = true;
            return match->parts[i].raw;
        }
    }
    if (found)
        *found = false;
    return bytes_of("", 0);
}

struct bytes route_api_name(enum api api)
{
    return bytes_of_text(api < APIS ? api_rows[api].name : "");
}

struct bytes route_api_action(enum api api)
{
    return bytes_of_text(api < APIS ? api_rows[api].action : "");
}

enum api route_api_by_name(struct bytes name)
{
    for (unsigned i = 1; i < APIS; i++)
        if (bytes_equal_text(name, api_rows[i].name))
            return i;
    return API_NONE;
}

unsigned route_version_bit(uint32_t server_version)
{
    bool opensearch = server_version >= 1000000;
    unsigned major = server_version % 1000000 / 10000;
    if (opensearch)
        return major >= 1 && major <= 3 ? ROUTE_OS1 << (major - 1) : major > 3 ? ROUTE_OS3 : 0;
    return major >= 5 && major <= 9 ? ROUTE_ES5 << (major - 5) : major > 9 ? ROUTE_ES9 : 0;
}
