// Which request does an answer belong to: acknowledgement bounds, order decides, and doubt is told instead of guessed.
//
// An answer at server offset S that acknowledges A can belong to a request that ends at or before A, or, being a refusal, to one
// that A cuts: it was refused while it came. Among those, order decides: while nothing was lost the first one waiting is meant.
//
// When server bytes were lost, an unknown number of answers is missing, and order alone would shift every pair behind them.
// What helps is the client's own acknowledgement: a client that waits for its answer has acknowledged all of it when it sends the
// next request. So requests sent with the same acknowledgement P form a group (one request, or several pipelined), and the answers
// to a group begin at P.
// 1. Doubt ends at the first answer whose group begins behind the loss: the first of that group is meant, all earlier ones are passed.
// 2. Within a group that the loss has hit, a lone request is meant; of several, lost ones included, none is (they stay unanswered, the answer is an orphan).
// 3. A phantom (client bytes that were lost) swallows answers until one comes that belongs to a later group.
#include "pair.h"

#include "../base/mem.h"

struct pending *pair_add(struct pair_queue *q)
{
    struct pending *p = mem_zero(1, sizeof *p);
    if (!p)
        return NULL;
    if (q->last)
        q->last->next = p;
    else
        q->first = p;
    q->last = p;
    q->waiting++;
    return p;
}

void pair_add_phantom(struct pair_queue *q, uint64_t start, uint64_t end, uint64_t ack)
{
    struct pending *p = q->last;
    if (p && p->phantom && p->ack == ack) {
        p->end = end;
        return;
    }
    p = pair_add(q);
    if (!p)
        return;
    p->phantom = p->complete = true;
    p->start = start;
    p->end = end;
    p->ack = ack;
    p->ack_known = true;
}

void pair_lose(struct pair_queue *q, uint64_t end)
{
    q->doubt = true;
    if (end > q->lost_end)
        q->lost_end = end;
}

enum { STATUS_REFUSING = 300 };

static bool eligible(const struct pending *p, const struct pair_place *a)
{
    if (p->answer != ANSWER_NONE || p->passed)
        return false;
    if (p->ack_known && p->ack > a->start)
        return false;
    if (!a->ack_known || p->end <= a->ack)
        return true;
    return p->start < a->ack && (p->phantom || a->status >= STATUS_REFUSING || p->lost_bytes);
}

static struct pending *next_eligible(struct pending *p, const struct pair_place *a)
{
    while (p && !eligible(p, a))
        p = p->next;
    return p;
}

static struct pending *next_real(struct pending *p, const struct pair_place *a)
{
    do
        p = next_eligible(p->next, a);
    while (p && p->phantom);
    return p;
}

// The first waiting is a phantom: is a request behind it meant?
static struct pending *past_phantom(struct pending *phantom, const struct pair_place *a)
{
    struct pending *p = next_real(phantom, a);
    while (p && p->ack_known && p->ack <= phantom->ack)
        p = next_real(p, a);
    return p;
}

// The newest group that can be meant; NULL: nobody's acknowledgement is known.
static struct pending *newest_group(struct pending *first, const struct pair_place *a)
{
    struct pending *group = NULL;
    for (struct pending *p = first; p; p = next_eligible(p->next, a))
        if (p->ack_known && (!group || p->ack > group->ack))
            group = p;
    return group;
}

// Has the server received anything of a later request, or of what was lost there?
static bool is_alone(const struct pending *p, const struct pair_place *a)
{
    while ((p = p->next) != NULL)
        if (p->answer == ANSWER_NONE && (!a->ack_known || p->start < a->ack))
            return false;
    return true;
}

static struct pending *pick_in_doubt(const struct pair_queue *q, struct pending *first, const struct pair_place *a)
{
    struct pending *group = newest_group(first, a);
    if (!group)
        return first->phantom ? past_phantom(first, a) : first;
    if (group->ack == a->start || q->lost_end <= group->ack)
        return group->phantom ? past_phantom(group, a) : group;
    return !group->phantom && is_alone(group, a) ? group : NULL;
}

struct pending *pair_pick(struct pair_queue *q, const struct pair_place *place)
{
    struct pending *first = next_eligible(q->first, place), *picked;
    if (!first)
        return NULL;
    if (q->doubt)
        picked = pick_in_doubt(q, first, place);
    else
        picked = first->phantom ? past_phantom(first, place) : first;
    if (!picked) {
        for (struct pending *p = first; p; p = next_eligible(p->next, place))
            p->doubtful = true;
        return NULL;
    }
    q->doubt = false;
    for (struct pending *p = q->first; p != picked; p = p->next)
        if (p->answer == ANSWER_NONE)
            p->passed = true;
    return picked;
}

void pair_remove(struct pair_queue *q, struct pending *p)
{
    struct pending **link = &q->first, *before = NULL;
    while (*link != p) {
        before = *link;
        link = &before->next;
    }
    *link = p->next;
    if (q->last == p)
        q->last = before;
    q->waiting--;
    mem_free(p);
}

enum exchange_fate pair_fate(const struct pair_queue *q, const struct pending *p, const struct pair_death *death)
{
    const struct conn *conn = death->conn;
    bool died = death->first_left >= 0 || death->how == END_IDLE || death->how == END_REUSED;
    int server = !death->client;
    if (p->answer != ANSWER_NONE)
        return FATE_ANSWERED;
    if (p->passed || p->doubtful)
        return FATE_ANSWER_LOST;
    if (!p->complete && !p->lost_bytes)
        return died ? FATE_INCOMPLETE : death->how == END_INPUT ? FATE_OPEN : FATE_ANSWER_LOST;
    if (!conn->seen[server])
        return FATE_ANSWER_LOST;
    if (q->doubt && (!p->ack_known || q->lost_end > p->ack))
        return FATE_ANSWER_LOST;
    if (died && conn->ack_known[death->client] && p->end != UINT64_MAX && conn->acked[death->client] < p->end)
        return FATE_NEVER_ACKNOWLEDGED;
    if (death->first_left >= 0)
        return death->first_left == death->client ? FATE_CLIENT_LEFT : FATE_SERVER_LEFT;
    return death->how == END_INPUT ? FATE_OPEN : FATE_ANSWER_LOST;
}
