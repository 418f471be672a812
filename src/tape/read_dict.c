// The dictionaries of a segment, read entry by entry when a row needs them and kept while the segment is open.
#include "read_inner.h"

#include <arpa/inet.h>

struct bytes dict_column(struct open_segment *o, sqlite3_stmt *stmt, int column)
{
    const void *at = sqlite3_column_blob(stmt, column);
    size_t size = (size_t)sqlite3_column_bytes(stmt, column);
    if (!at || !size)
        return (struct bytes){NULL, 0};
    void *copy = arena_copy(&o->arena, at, size);
    return copy ? bytes_of(copy, size) : (struct bytes){NULL, 0};
}

bool dict_parse_ip(struct bytes text, uint8_t ip[16])
{
    char copy[64];
    struct in_addr four;
    if (!text.size || text.size >= sizeof copy)
        return false;
    memcpy(copy, text.at, text.size);
    copy[text.size] = 0;
    if (inet_pton(AF_INET, copy, &four) == 1) {
        memset(ip, 0, 10);
        ip[10] = ip[11] = 0xff;
        memcpy(ip + 12, &four, 4);
        return true;
    }
    return inet_pton(AF_INET6, copy, ip) == 1;
}

const char *dict_ip_text(const struct endpoint *e, char *text, size_t room)
{
    bool four = endpoint_is_v4(e);
    const char *made = inet_ntop(four ? AF_INET : AF_INET6, four ? e->ip + 12 : e->ip, text, (socklen_t)room);
    return made ? made : "";
}

// An entry of `map`, made zeroed with `size` bytes from the arena when it is new. *fresh: fill it from `stmt`, which then
// stands on the row (or *fresh is false again: the row is missing and the entry stays empty).
static void *entry(struct open_segment *o, struct nummap *map, sqlite3_stmt *stmt, int64_t id, size_t size, bool *fresh)
{
    union map_value *known = nummap_find(map, (uint64_t)id);
    *fresh = false;
    if (known)
        return known->ptr;
    void *made = arena_alloc(&o->arena, size);
    if (!made)
        return NULL;
    memset(made, 0, size);
    bool put;
    union map_value *v = nummap_put(map, (uint64_t)id, &put);
    if (!v)
        return NULL;
    v->ptr = made;
    sqlite3_reset(stmt);
    sqlite3_bind_int64(stmt, 1, id);
    *fresh = true;
    return made;
}

static bool stands(sqlite3_stmt *stmt)
{
    return sqlite3_step(stmt) == SQLITE_ROW;
}

const struct who_info *dict_who(struct open_segment *o, int64_t id)
{
    bool fresh;
    struct who_info *w = entry(o, o->whos, o->who_stmt, id, sizeof *w, &fresh);
    if (!fresh)
        return w;
    if (stands(o->who_stmt)) {
        w->principal = dict_column(o, o->who_stmt, 0);
        struct bytes auth = bytes_of(sqlite3_column_blob(o->who_stmt, 1), (size_t)sqlite3_column_bytes(o->who_stmt, 1));
        w->auth = (enum auth_kind)format_word_find(format_auths, AUTH_KINDS, auth, AUTH_OTHER);
        w->run_as = dict_column(o, o->who_stmt, 2);
        w->forwarded_for = dict_column(o, o->who_stmt, 3);
        w->agent = dict_column(o, o->who_stmt, 4);
        w->realm = dict_column(o, o->who_stmt, 5);
    }
    sqlite3_reset(o->who_stmt);
    return w;
}

const struct shape_info *dict_shape(struct open_segment *o, int64_t id)
{
    bool fresh;
    struct shape_info *h = entry(o, o->shapes, o->shape_stmt, id, sizeof *h, &fresh);
    if (!fresh)
        return h;
    sqlite3_stmt *stmt = o->shape_stmt;
    h->outcome = OUTCOME_UNKNOWN;
    if (stands(stmt)) {
        h->verb = dict_column(o, stmt, 0);
        h->api = dict_column(o, stmt, 1);
        h->action = dict_column(o, stmt, 2);
        h->status = sqlite3_column_int(stmt, 3);
        struct bytes outcome = bytes_of(sqlite3_column_blob(stmt, 4), (size_t)sqlite3_column_bytes(stmt, 4));
        h->outcome = (enum outcome)format_word_find(format_outcomes, OUTCOMES, outcome, OUTCOME_UNKNOWN);
        h->reason = dict_column(o, stmt, 5);
        h->danger = dict_column(o, stmt, 6);
        h->flags = (uint32_t)sqlite3_column_int64(stmt, 7);
        h->server_version = (uint32_t)sqlite3_column_int64(stmt, 8);
    }
    sqlite3_reset(stmt);
    return h;
}

struct bytes dict_name(struct open_segment *o, int64_t id)
{
    bool fresh;
    struct bytes *name = entry(o, o->names, o->name_stmt, id, sizeof *name, &fresh);
    if (!name)
        return (struct bytes){NULL, 0};
    if (fresh) {
        if (stands(o->name_stmt))
            *name = dict_column(o, o->name_stmt, 0);
        sqlite3_reset(o->name_stmt);
    }
    return *name;
}

static bool list_fill(struct open_segment *o, struct list_info *list, struct bytes text)
{
    struct bytes rest = text;
    int64_t number;
    size_t count = 0;
    while (format_next_number(&rest, &number))
        count++;
    list->names = arena_alloc(&o->arena, (count + 1) * sizeof *list->names);
    list->indices = arena_alloc(&o->arena, (count + 1) * sizeof *list->indices);
    if (!list->names || !list->indices)
        return false;
    for (; format_next_number(&text, &number); list->count++) {
        list->names[list->count] = dict_name(o, number < 0 ? -number : number);
        list->indices[list->count] = (struct exchange_index){.index = list->names[list->count], .concrete = number > 0};
    }
    return true;
}

const struct list_info *dict_list(struct open_segment *o, int64_t id)
{
    bool fresh;
    struct list_info *list = entry(o, o->lists, o->list_stmt, id, sizeof *list, &fresh);
    if (!fresh)
        return list;
    struct bytes text = stands(o->list_stmt) ? dict_column(o, o->list_stmt, 0) : bytes_of("", 0);
    sqlite3_reset(o->list_stmt);
    return list_fill(o, list, text) ? list : NULL;
}

const struct path_info *dict_path(struct open_segment *o, int64_t id)
{
    bool fresh;
    struct path_info *p = entry(o, o->paths, o->path_stmt, id, sizeof *p, &fresh);
    if (!fresh)
        return p;
    if (stands(o->path_stmt)) {
        p->head = dict_column(o, o->path_stmt, 0);
        p->tail = dict_column(o, o->path_stmt, 1);
    }
    sqlite3_reset(o->path_stmt);
    return p;
}

const struct conn_info *dict_conn(struct open_segment *o, int64_t id)
{
    bool fresh;
    struct conn_info *c = entry(o, o->conns, o->conn_stmt, id, sizeof *c, &fresh);
    if (!fresh)
        return c;
    sqlite3_stmt *stmt = o->conn_stmt;
    if (stands(stmt)) {
        dict_parse_ip(bytes_of(sqlite3_column_blob(stmt, 0), (size_t)sqlite3_column_bytes(stmt, 0)), c->client.ip);
        c->client.port = (uint16_t)sqlite3_column_int(stmt, 1);
        dict_parse_ip(bytes_of(sqlite3_column_blob(stmt, 2), (size_t)sqlite3_column_bytes(stmt, 2)), c->server.ip);
        c->server.port = (uint16_t)sqlite3_column_int(stmt, 3);
    }
    sqlite3_reset(stmt);
    return c;
}

const struct call_info *dict_call(struct open_segment *o, int64_t id)
{
    bool fresh;
    struct call_info *c = entry(o, o->calls, o->call_stmt, id, sizeof *c, &fresh);
    if (!fresh)
        return c && c->who && c->shape && c->targets && c->path ? c : NULL;
    int64_t part[4] = {0};
    if (stands(o->call_stmt))
        for (int i = 0; i < 4; i++)
            part[i] = sqlite3_column_int64(o->call_stmt, i);
    sqlite3_reset(o->call_stmt);
    c->who = dict_who(o, part[0]);
    c->shape = dict_shape(o, part[1]);
    c->targets = dict_list(o, part[2]);
    c->path = dict_path(o, part[3]);
    return c->who && c->shape && c->targets && c->path ? c : NULL;
}

struct bytes dict_word(struct open_segment *o, int64_t id)
{
    bool fresh;
    struct bytes *w = entry(o, o->words, o->word_stmt, id, sizeof *w, &fresh);
    if (!w)
        return (struct bytes){NULL, 0};
    if (fresh) {
        if (stands(o->word_stmt))
            *w = dict_column(o, o->word_stmt, 0);
        sqlite3_reset(o->word_stmt);
    }
    return *w;
}
