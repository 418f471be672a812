// An in-memory tape behind the reading door.
#include "fake_tape.h"

#include "../../../src/base/diag.h"
#include "../../../src/base/glob.h"

#include <stdlib.h>

enum { MAX = 200000 };

struct tape {
    struct exchange *x;
    const char **body;
    size_t x_count;
    struct tape_op *op;
    size_t op_count;
    struct incarnation life[64];
    size_t life_tape[64];
    size_t life_count;
    struct resolution res[64];
    size_t res_count;
    struct tape_gap_row gap[64];
    size_t gap_count;
};

struct tape *fake_open(void)
{
    struct tape *t = calloc(1, sizeof *t);
    t->x = calloc(MAX, sizeof *t->x);
    t->body = calloc(MAX, sizeof *t->body);
    t->op = calloc(MAX, sizeof *t->op);
    return t;
}

void tape_close(struct tape *t)
{
    free(t->x);
    free(t->body);
    free(t->op);
    free(t);
}

void fake_exchange(struct tape *t, const struct exchange *x, const char *body)
{
    t->x[t->x_count] = *x;
    t->body[t->x_count++] = body;
}

void fake_op(struct tape *t, const struct op *op, int64_t time_ns, int64_t answered_ns)
{
    size_t i = 0;
    while (i < t->x_count && t->x[i].id != op->exchange)
        i++;
    if (i == t->x_count)
        fake_exchange(t, &(struct exchange){.id = op->exchange, .time_ns = time_ns, .answered_ns = answered_ns, .tcp_seq = (uint32_t)op->exchange,
                                            .flags = EXCHANGE_WRITE, .api = bytes_of_text("bulk")}, NULL);
    t->op[t->op_count++] = (struct tape_op){.op = *op, .time_ns = time_ns, .answered_ns = answered_ns};
}

void fake_life(struct tape *t, const char *index, uint64_t exchange, int64_t time_ns, bool born, bool seen)
{
    fake_life_of(t, 0, index, exchange, time_ns, born, seen);
}

void fake_life_of(struct tape *t, size_t which, const char *index, uint64_t exchange, int64_t time_ns, bool born, bool seen)
{
    t->life_tape[t->life_count] = which;
    t->life[t->life_count++] = (struct incarnation){.time_ns = time_ns, .exchange = exchange, .index = bytes_of_text(index), .born = born, .seen = seen};
}

void fake_resolution(struct tape *t, const char *name, const char *index, int64_t time_ns)
{
    t->res[t->res_count++] = (struct resolution){time_ns, bytes_of_text(name), bytes_of_text(index), bytes_of_text("alias")};
}

void fake_gap(struct tape *t, int64_t from_ns, int64_t to_ns, uint64_t bytes, enum gap_cause cause, int side)
{
    t->gap[t->gap_count++] = (struct tape_gap_row){.from_ns = from_ns, .to_ns = to_ns, .bytes = bytes, .cause = cause, .side = side};
}

size_t tape_count(const struct tape *t)
{
    (void)t;
    return 1;
}

bool tape_span(struct tape *t, int64_t *first_ns, int64_t *last_ns)
{
    for (size_t i = 0; i < t->x_count; i++) {
        *first_ns = !i || t->x[i].time_ns < *first_ns ? t->x[i].time_ns : *first_ns;
        *last_ns = !i || t->x[i].time_ns > *last_ns ? t->x[i].time_ns : *last_ns;
    }
    return t->x_count > 0;
}

const char *tape_name(const struct tape *t, size_t which)
{
    (void)t;
    (void)which;
    return "fake";
}

const char *tape_warning(struct tape *t)
{
    (void)t;
    return NULL;
}

bool tape_parse_id(struct tape *t, const char *text, size_t *which, uint64_t *id, struct fault *fault)
{
    (void)t;
    (void)fault;
    *which = 0;
    *id = strtoull(text, NULL, 10);
    return true;
}

static struct tape_row row_of(struct tape *t, size_t i)
{
    return (struct tape_row){.x = t->x[i]};
}

bool tape_get(struct tape *t, size_t which, uint64_t id, tape_row_fn *fn, void *ctx, struct fault *fault)
{
    (void)which;
    for (size_t i = 0; i < t->x_count; i++)
        if (t->x[i].id == id) {
            struct tape_row row = row_of(t, i);
            fn(ctx, &row);
            return true;
        }
    return fault_user(fault, "there is no exchange %llu", (unsigned long long)id);
}

bool tape_select(struct tape *t, const struct tape_filter *f, tape_row_fn *fn, void *ctx, struct fault *fault)
{
    (void)fault;
    for (size_t i = 0; i < t->x_count; i++) {
        bool hit = !f->api_count;
        for (size_t k = 0; k < f->api_count; k++)
            hit |= glob_match(bytes_of_text(f->api[k]), t->x[i].api);
        struct tape_row row = row_of(t, i);
        if (hit && !fn(ctx, &row))
            break;
    }
    return true;
}

bool tape_body(struct tape *t, size_t which, uint64_t id, enum body_side side, tape_body_fn *fn, void *ctx, enum tape_body_state *state, struct fault *fault)
{
    (void)which;
    (void)fault;
    *state = TAPE_BODY_NOT_KEPT;
    for (size_t i = 0; i < t->x_count; i++)
        if (t->x[i].id == id && t->body[i] && side == BODY_REQUEST) {
            struct body_piece piece = {.bytes = bytes_of_text(t->body[i])};
            *state = TAPE_BODY_WHOLE;
            fn(ctx, &piece);
        }
    return true;
}

struct range {
    uint64_t at, size;
    struct buf *out;
};

static bool take_range(void *ctx, const struct body_piece *piece)
{
    struct range *r = ctx;
    struct bytes b = bytes_from(piece->bytes, r->at);
    buf_add(r->out, b.at, b.size < r->size ? b.size : r->size);
    return false;
}

bool tape_body_range(struct tape *t, size_t which, uint64_t id, enum body_side side, uint64_t at, uint64_t size, struct buf *out, enum tape_body_state *state,
                     struct fault *fault)
{
    struct range r = {at, size, out};
    return tape_body(t, which, id, side, take_range, &r, state, fault);
}

static int by_exchange(const void *a, const void *b)
{
    const struct tape_op *x = a, *y = b;
    if (x->op.exchange != y->op.exchange)
        return x->op.exchange < y->op.exchange ? -1 : 1;
    return x->op.item < y->op.item ? -1 : x->op.item > y->op.item;
}

bool tape_ops(struct tape *t, const struct tape_op_filter *filter, tape_op_fn *fn, void *ctx, struct fault *fault)
{
    (void)filter;
    (void)fault;
    if (t->op_count)
        qsort(t->op, t->op_count, sizeof *t->op, by_exchange);
    for (size_t i = 0; i < t->op_count; i++)
        if (!fn(ctx, &t->op[i]))
            break;
    return true;
}

bool tape_gaps(struct tape *t, int64_t since_ns, int64_t until_ns, tape_gap_fn *fn, void *ctx, struct fault *fault)
{
    (void)fault;
    for (size_t i = 0; i < t->gap_count; i++)
        if ((since_ns == WHEN_UNKNOWN || t->gap[i].to_ns >= since_ns) && (until_ns == WHEN_UNKNOWN || t->gap[i].from_ns < until_ns) && !fn(ctx, &t->gap[i]))
            break;
    return true;
}

bool tape_resolutions(struct tape *t, tape_resolution_fn *fn, void *ctx, struct fault *fault)
{
    (void)fault;
    for (size_t i = 0; i < t->res_count; i++)
        if (!fn(ctx, 0, &t->res[i]))
            break;
    return true;
}

bool tape_lives(struct tape *t, tape_life_fn *fn, void *ctx, struct fault *fault)
{
    (void)fault;
    for (size_t i = 0; i < t->life_count; i++)
        if (!fn(ctx, t->life_tape[i], &t->life[i]))
            break;
    return true;
}

bool tape_lates(struct tape *t, tape_late_fn *fn, void *ctx, struct fault *fault)
{
    (void)t;
    (void)fn;
    (void)ctx;
    (void)fault;
    return true;
}

bool tape_wait(struct tape *t, int wait_ms)
{
    (void)t;
    (void)wait_ms;
    return false;
}

bool tape_sql(struct tape *t, const char *sql, tape_sql_fn *fn, void *ctx, struct fault *fault)
{
    (void)t;
    (void)sql;
    (void)fn;
    (void)ctx;
    return fault_user(fault, "no SQL here");
}
