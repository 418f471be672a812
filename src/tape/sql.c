// tape_sql: any read-only SQL over virtual tables that walk all segments of all tapes.
//
// 1. The connection has no file: its only tables are the virtual ones. Nothing can be attached, written or set.
// 2. Conditions on columns that segments can be sought by are handed down; SQLite checks every one of them again.
#include "sql.h"

#include "../base/clock.h"
#include "../base/diag.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { LIMITS_MOST = 16, STEPS_COST = 1000000 };

struct module {            // what a virtual table's methods are given
    struct tape *tape;
    const struct sql_table *table;
    bool *declaring;       // the authorizer lets a table declare itself
};

struct vtab {
    sqlite3_vtab base;
    struct module *module;
};

// ---- columns --------------------------------------------------------------------------------------------------------

void sql_result_text(sqlite3_context *to, struct bytes text)
{
    if (text.size)
        sqlite3_result_text64(to, (const char *)text.at, text.size, SQLITE_TRANSIENT, SQLITE_UTF8);
    else
        sqlite3_result_null(to);
}

void sql_result_word(sqlite3_context *to, const char *text)
{
    sqlite3_result_text(to, text, -1, SQLITE_STATIC);
}

void sql_result_known(sqlite3_context *to, int64_t number)
{
    if (number < 0)
        sqlite3_result_null(to);
    else
        sqlite3_result_int64(to, number);
}

void sql_result_time(sqlite3_context *to, int64_t time_ns)
{
    char text[48];
    if (time_ns == WHEN_UNKNOWN)
        sqlite3_result_null(to);
    else
        sqlite3_result_text(to, clock_format_utc(time_ns, text, sizeof text), -1, SQLITE_TRANSIENT);
}

bool sql_time_bounds(struct bytes text, int64_t *from_ns, int64_t *to_ns)
{
    char day[40];
    if (text.size < 10)
        return false;
    snprintf(day, sizeof day, "%.10sT00:00:00Z", (const char *)text.at);
    if (!clock_parse(day, 0, from_ns))
        return false;
    *to_ns = *from_ns + 86400 * WHEN_NS_PER_S;
    // "YYYY-MM-DDTHH:MM:SS...": the hour is certain as well.
    if (text.size >= 13 && text.at[10] == 'T' && isdigit(text.at[11]) && isdigit(text.at[12])) {
        int hour = (text.at[11] - '0') * 10 + text.at[12] - '0';
        *from_ns += hour * 3600 * WHEN_NS_PER_S;
        *to_ns = *from_ns + 3600 * WHEN_NS_PER_S;
    }
    return true;
}

// ---- the module -----------------------------------------------------------------------------------------------------

static int vtab_fault(sqlite3_vtab *vtab, const struct fault *fault)
{
    sqlite3_free(vtab->zErrMsg);
    vtab->zErrMsg = sqlite3_mprintf("%s", fault->text);
    return SQLITE_ERROR;
}

static int on_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **error)
{
    (void)argc, (void)argv, (void)error;
    struct module *m = aux;
    char sql[2048];
    snprintf(sql, sizeof sql, "CREATE TABLE x(%s)", m->table->columns);
    *m->declaring = true;
    int rc = sqlite3_declare_vtab(db, sql);
    *m->declaring = false;
    if (rc != SQLITE_OK)
        return rc;
    struct vtab *v = sqlite3_malloc(sizeof *v);
    if (!v)
        return SQLITE_NOMEM;
    *v = (struct vtab){.module = m};
    *out = &v->base;
    return SQLITE_OK;
}

static int on_disconnect(sqlite3_vtab *vtab)
{
    sqlite3_free(vtab);
    return SQLITE_OK;
}

static bool op_of(unsigned char op, char allowed, enum sql_op *out)
{
    bool ranges = allowed == '<', nulls = allowed == '!';
    switch (op) {
    case SQLITE_INDEX_CONSTRAINT_EQ: *out = SQL_EQ; return allowed != '.';
    case SQLITE_INDEX_CONSTRAINT_GT: *out = SQL_GT; return ranges;
    case SQLITE_INDEX_CONSTRAINT_GE: *out = SQL_GE; return ranges;
    case SQLITE_INDEX_CONSTRAINT_LT: *out = SQL_LT; return ranges;
    case SQLITE_INDEX_CONSTRAINT_LE: *out = SQL_LE; return ranges;
    case SQLITE_INDEX_CONSTRAINT_ISNOTNULL: *out = SQL_IS_NOT_NULL; return nulls;
    default: return false;
    }
}

// idxStr tells which conditions come as arguments: per condition "column,op;".
static int on_best(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
    const struct sql_table *table = ((struct vtab *)vtab)->module->table;
    size_t columns = table->limits ? strlen(table->limits) : 0;
    double cost = STEPS_COST * 10.0;
    char plan[LIMITS_MOST * 12 + 1] = "";
    int taken = 0;
    for (int i = 0; i < info->nConstraint && taken < LIMITS_MOST; i++) {
        const struct sqlite3_index_constraint *c = &info->aConstraint[i];
        enum sql_op op;
        if (!c->usable || c->iColumn < 0 || (size_t)c->iColumn >= columns || !op_of(c->op, table->limits[c->iColumn], &op))
            continue;
        snprintf(plan + strlen(plan), sizeof plan - strlen(plan), "%d,%d;", c->iColumn, (int)op);
        info->aConstraintUsage[i].argvIndex = ++taken;
        cost /= op == SQL_EQ ? 100 : 3;
    }
    info->idxStr = sqlite3_mprintf("%s", plan);
    info->needToFreeIdxStr = 1;
    info->estimatedCost = cost;
    info->estimatedRows = (sqlite3_int64)(cost < 1 ? 1 : cost);
    bool order = table->by_time && info->nOrderBy >= 1 && info->nOrderBy <= 2 && info->aOrderBy[0].iColumn == 1 && !info->aOrderBy[0].desc;
    if (order && info->nOrderBy == 2)
        order = info->aOrderBy[1].iColumn == 0 && !info->aOrderBy[1].desc;
    info->orderByConsumed = order;
    return info->idxStr ? SQLITE_OK : SQLITE_NOMEM;
}

static int on_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out)
{
    struct module *m = ((struct vtab *)vtab)->module;
    struct sql_cursor *c = sqlite3_malloc(sizeof *c);
    if (!c)
        return SQLITE_NOMEM;
    *c = (struct sql_cursor){.tape = m->tape, .table = m->table, .end = true};
    *out = &c->base;
    return SQLITE_OK;
}

static void finish(struct sql_cursor *c)
{
    if (c->state)
        c->table->end(c);
    c->state = NULL;
    c->end = true;
}

static int on_close(sqlite3_vtab_cursor *cursor)
{
    finish((struct sql_cursor *)cursor);
    sqlite3_free(cursor);
    return SQLITE_OK;
}

static int on_next(sqlite3_vtab_cursor *cursor)
{
    struct sql_cursor *c = (struct sql_cursor *)cursor;
    struct fault fault = {0};
    int got = c->table->next(c, &fault);
    c->row++;
    c->end = got <= 0;
    return got < 0 ? vtab_fault(cursor->pVtab, &fault) : SQLITE_OK;
}

static int on_filter(sqlite3_vtab_cursor *cursor, int number, const char *plan, int argc, sqlite3_value **argv)
{
    (void)number;
    struct sql_cursor *c = (struct sql_cursor *)cursor;
    struct sql_limit limits[LIMITS_MOST];
    struct fault fault = {0};
    finish(c);
    for (int i = 0; i < argc && i < LIMITS_MOST; i++) {
        char *end;
        struct sql_limit *l = &limits[i];
        *l = (struct sql_limit){.column = (int)strtol(plan, &end, 10)};
        l->op = (enum sql_op)strtol(end + 1, &end, 10);
        plan = end + 1;
        l->is_number = sqlite3_value_type(argv[i]) == SQLITE_INTEGER;
        l->number = sqlite3_value_int64(argv[i]);
        const void *text = sqlite3_value_text(argv[i]);
        l->text = bytes_of(text, text ? (size_t)sqlite3_value_bytes(argv[i]) : 0);
    }
    c->row = 0;
    if (!c->table->begin(c, limits, (size_t)(argc < LIMITS_MOST ? argc : LIMITS_MOST), &fault)) {
        finish(c);
        return vtab_fault(cursor->pVtab, &fault);
    }
    return on_next(cursor);
}

static int on_eof(sqlite3_vtab_cursor *cursor)
{
    return ((struct sql_cursor *)cursor)->end;
}

static int on_column(sqlite3_vtab_cursor *cursor, sqlite3_context *to, int column)
{
    struct sql_cursor *c = (struct sql_cursor *)cursor;
    c->table->column(c, to, column);
    return SQLITE_OK;
}

static int on_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *row)
{
    *row = ((struct sql_cursor *)cursor)->row;
    return SQLITE_OK;
}

static const sqlite3_module module = {
    .iVersion = 1, .xConnect = on_connect, .xBestIndex = on_best, .xDisconnect = on_disconnect, .xDestroy = on_disconnect, .xOpen = on_open,
    .xClose = on_close, .xFilter = on_filter, .xNext = on_next, .xEof = on_eof, .xColumn = on_column, .xRowid = on_rowid,
};

// ---- the connection -------------------------------------------------------------------------------------------------

static int authorize(void *ctx, int action, const char *a, const char *b, const char *c, const char *d)
{
    (void)a, (void)c, (void)d;
    if (*(const bool *)ctx)
        return SQLITE_OK;
    switch (action) {
    case SQLITE_SELECT: case SQLITE_READ: case SQLITE_RECURSIVE: return SQLITE_OK;
    case SQLITE_FUNCTION: return b && strcmp(b, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
    default: return SQLITE_DENY;
    }
}

enum { TABLES_OWN = 4 };

static bool add_tables(sqlite3 *db, struct tape *t, struct module *modules, bool *declaring)
{
    const struct sql_table *const own[TABLES_OWN] = {&sql_audit, &sql_writes, &sql_ops, &sql_segments};
    for (size_t i = 0; i < TABLES_OWN + sql_plain_count; i++) {
        modules[i] = (struct module){.tape = t, .declaring = declaring, .table = i < TABLES_OWN ? own[i] : &sql_plain[i - TABLES_OWN]};
        if (sqlite3_create_module_v2(db, modules[i].table->name, &module, &modules[i], NULL) != SQLITE_OK)
            return false;
    }
    return true;
}

static bool sql_fault(sqlite3 *db, struct fault *fault)
{
    const char *message = sqlite3_errmsg(db);
    int rc = sqlite3_errcode(db);
    if (rc == SQLITE_NOMEM)
        return fault_memory(fault);
    if (rc == SQLITE_AUTH || strstr(message, "may not be modified"))
        return fault_user(fault, "SQL: %s: a tape can only be read, with SELECT", message);
    if (strncmp(message, "no such table", 13) == 0)
        return fault_user(fault, "SQL: %s; there are audit, writes, ops, gaps, alerts, segments, heartbeats, lives, resolutions, late, opaque, connections, summary", message);
    int at = sqlite3_error_offset(db);
    if (at >= 0)
        return fault_user(fault, "SQL: %s, at character %d", message, at + 1);
    return fault_user(fault, "SQL: %s", message);
}

static bool run_statement(sqlite3 *db, sqlite3_stmt *stmt, tape_sql_fn *fn, void *ctx, struct fault *fault)
{
    int columns = sqlite3_column_count(stmt), rc = SQLITE_DONE;
    const char **names = mem_zero((size_t)columns, sizeof *names);
    struct bytes *values = mem_zero((size_t)columns, sizeof *values);
    int *types = mem_zero((size_t)columns, sizeof *types);
    bool ok = names && values && types, go = ok;
    for (int i = 0; ok && i < columns; i++)
        names[i] = sqlite3_column_name(stmt, i);
    if (go)
        go = fn(ctx, columns, names, NULL, NULL);
    while (go && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        for (int i = 0; i < columns; i++) {
            static const int kinds[] = {[SQLITE_INTEGER] = 1, [SQLITE_FLOAT] = 2, [SQLITE_TEXT] = 3, [SQLITE_BLOB] = 4, [SQLITE_NULL] = 0};
            types[i] = kinds[sqlite3_column_type(stmt, i)];
            const void *at = types[i] == 4 ? sqlite3_column_blob(stmt, i) : (const void *)sqlite3_column_text(stmt, i);
            values[i] = bytes_of(at, at ? (size_t)sqlite3_column_bytes(stmt, i) : 0);
        }
        go = fn(ctx, columns, names, values, types);
    }
    mem_free(names);
    mem_free(values);
    mem_free(types);
    if (!ok)
        return fault_memory(fault);
    return !go || rc == SQLITE_DONE || sql_fault(db, fault);
}

static bool only_spaces(const char *tail)
{
    for (; *tail; tail++)
        if (!isspace((unsigned char)*tail) && *tail != ';')
            return false;
    return true;
}

bool tape_sql(struct tape *t, const char *sql, tape_sql_fn *fn, void *ctx, struct fault *fault)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    const char *tail = "";
    bool declaring = false;
    struct module *modules = mem_zero(TABLES_OWN + sql_plain_count, sizeof *modules);
    bool ok = modules && sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK && add_tables(db, t, modules, &declaring);
    if (!ok) {
        fault_memory(fault);
    } else {
        sqlite3_set_authorizer(db, authorize, &declaring);
        ok = sqlite3_prepare_v2(db, sql, -1, &stmt, &tail) == SQLITE_OK || sql_fault(db, fault);
        if (ok && !stmt)
            ok = fault_user(fault, "SQL: there is no statement; try \"SELECT * FROM audit LIMIT 10\"");
        if (ok && !only_spaces(tail))
            ok = fault_user(fault, "SQL: one statement at a time; what follows '%.40s' is too much", sql);
        ok = ok && run_statement(db, stmt, fn, ctx, fault);
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    mem_free(modules);
    return ok;
}
