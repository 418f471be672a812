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

// An entry of `map`, made zeroed with `size` bytes from the arena when it is new: then *fresh is the statement to fill it
// from, bound to the id. NULL: memory out.
static void *entry(struct open_segment *o, struct nummap *map, enum segment_statement which, int64_t id, size_t size, sqlite3_stmt **fresh)
{
    union map_value *known = nummap_find(map, (uint64_t)id);
    *fresh = NULL;
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
    *fresh = segment_statement(o, which);
    sqlite3_bind_int64(*fresh, 1, id);
    return made;
}

static bool stands(sqlite3_stmt *stmt)
{
    return sqlite3_step(stmt) == SQLITE_ROW;
}

const struct who_info *dict_who(struct open_segment *o, int64_t id)
{
    sqlite3_stmt *stmt;
    struct who_info *w = entry(o, o->whos, SEGMENT_WHO, id, sizeof *w, &stmt);
    if (!stmt)
        return w;
    if (stands(stmt)) {
        w->principal = dict_column(o, stmt, 0);
        struct bytes auth = bytes_of(sqlite3_column_blob(stmt, 1), (size_t)sqlite3_column_bytes(stmt, 1));
        w->auth = (enum auth_kind)format_word_find(format_auths, AUTH_KINDS, auth, AUTH_OTHER);
        w->run_as = dict_column(o, stmt, 2);
        w->forwarded_for = dict_column(o, stmt, 3);
        w->agent = dict_column(o, stmt, 4);
        w->realm = dict_column(o, stmt, 5);
    }
    sqlite3_reset(stmt);
    return w;
}

const struct shape_info *dict_shape(struct open_segment *o, int64_t id)
{
    sqlite3_stmt *stmt;
    struct shape_info *h = entry(o, o->shapes, SEGMENT_SHAPE, id, sizeof *h, &stmt);
    if (!stmt)
        return h;
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
    sqlite3_stmt *stmt;
    struct bytes *name = entry(o, o->names, SEGMENT_NAME, id, sizeof *name, &stmt);
    if (!name)
        return (struct bytes){NULL, 0};
    if (stmt) {
        if (stands(stmt))
            *name = dict_column(o, stmt, 0);
        sqlite3_reset(stmt);
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
    sqlite3_stmt *stmt;
    struct list_info *list = entry(o, o->lists, SEGMENT_LIST, id, sizeof *list, &stmt);
    if (!stmt)
        return list;
    struct bytes text = stands(stmt) ? dict_column(o, stmt, 0) : bytes_of("", 0);
    sqlite3_reset(stmt);
    return list_fill(o, list, text) ? list : NULL;
}

const struct path_info *dict_path(struct open_segment *o, int64_t id)
{
    sqlite3_stmt *stmt;
    struct path_info *p = entry(o, o->paths, SEGMENT_PATH, id, sizeof *p, &stmt);
    if (!stmt)
        return p;
    if (stands(stmt)) {
        p->head = dict_column(o, stmt, 0);
        p->tail = dict_column(o, stmt, 1);
    }
    sqlite3_reset(stmt);
    return p;
}

const struct conn_info *dict_conn(struct open_segment *o, int64_t id)
{
    sqlite3_stmt *stmt;
    struct conn_info *c = entry(o, o->conns, SEGMENT_CONN, id, sizeof *c, &stmt);
    if (!stmt)
        return c;
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
    sqlite3_stmt *stmt;
    struct call_info *c = entry(o, o->calls, SEGMENT_CALL, id, sizeof *c, &stmt);
    if (!stmt)
        return c && c->who && c->shape && c->targets && c->path ? c : NULL;
    int64_t part[4] = {0};
    if (stands(stmt))
        for (int i = 0; i < 4; i++)
            part[i] = sqlite3_column_int64(stmt, i);
    sqlite3_reset(stmt);
    c->who = dict_who(o, part[0]);
    c->shape = dict_shape(o, part[1]);
    c->targets = dict_list(o, part[2]);
    c->path = dict_path(o, part[3]);
    return c->who && c->shape && c->targets && c->path ? c : NULL;
}

struct bytes dict_word(struct open_segment *o, int64_t id)
{
    sqlite3_stmt *stmt;
    struct bytes *w = entry(o, o->words, SEGMENT_WORD, id, sizeof *w, &stmt);
    if (!w)
        return (struct bytes){NULL, 0};
    if (stmt) {
        if (stands(stmt))
            *w = dict_column(o, stmt, 0);
        sqlite3_reset(stmt);
    }
    return *w;
}
