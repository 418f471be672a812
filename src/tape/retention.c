// Retention: by age first, then the oldest bodies, then the oldest logs until the tape fits.
#include "retention.h"

// When the newest thing in a segment happened; the start where nothing did.
static int64_t segment_end_us(const struct catalog_segment *s)
{
    return s->last_us != INT64_MIN ? s->last_us : s->start_us;
}

static bool is_older(const struct catalog_segment *s, int64_t keep_ns, int64_t now_us)
{
    return keep_ns > 0 && segment_end_us(s) < now_us - keep_ns / WHEN_NS_PER_US;
}

bool retention_apply(struct catalog *c, const struct tape_settings *settings, int64_t now_us, uint64_t current_bytes,
                     struct fault *fault)
{
    for (size_t i = 0; i < c->count; i++) {
        struct catalog_segment *s = &c->at[i];
        if (!s->sealed)
            continue;
        if (!s->log_gone && is_older(s, settings->keep_log_ns, now_us) && !catalog_drop_log(c, s, now_us, "age", fault))
            return false;
        if (!s->body_gone && is_older(s, settings->keep_bodies_ns, now_us) && !catalog_drop_body(c, s, now_us, "age", fault))
            return false;
    }
    if (!settings->max_bytes)
        return true;
    for (int logs = 0; logs < 2; logs++)
        for (size_t i = 0; i < c->count && catalog_bytes(c) + current_bytes > settings->max_bytes; i++) {
            struct catalog_segment *s = &c->at[i];
            if (!s->sealed || (logs ? s->log_gone : s->body_gone))
                continue;
            if (!(logs ? catalog_drop_log : catalog_drop_body)(c, s, now_us, "size", fault))
                return false;
        }
    return true;
}
