// Joins rules and tape: what the alerter raises becomes alert rows, and what the tape holds becomes the alerter's memory.
//
// 1. The alerts of an exchange are written right behind its row, and only then committed: all in one transaction.
// 2. Memory is rebuilt at the first exchange, from the tape: the last ten minutes whole; before that, as far back as the
//    longest correlation looks, the destructive calls alone. At most REBUILD_ROWS_MAX rows.
// 3. The recorder's own troubles are told when they begin, not again while they last.
// 4. An attempt that the recorder before this one told and could not follow up gets its second word from this one.
#include "alarm.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "tape/outbox.h"
#include "tape/read.h"
#include "tape/seen.h"

#include <stdio.h>
#include <stdlib.h>

enum { REBUILD_ROWS_MAX = 500000, BODY_BYTES = 65536, OPEN_ATTEMPTS_MAX = 4096 };
#define REBUILD_WHOLE_NS (600 * WHEN_NS_PER_S)
#define SAVE_NS (60 * WHEN_NS_PER_S)  // between two times that what is usual is stored
#define LAG_NS (5 * WHEN_NS_PER_S)
#define JUMP_NS (5 * WHEN_NS_PER_S)
#define LOSS_QUIET_NS (60 * WHEN_NS_PER_S)

struct alarm {
    struct alarm_settings settings;
    struct tape_writer *tape;
    struct alerter *alerter;
    struct map *open_attempts;    // alert id -> its JSON; NULL: told
    struct fault *fault;          // of the call under way
    bool ok, rebuilt;
    bool raised;                  // by the call under way: to be committed and told
    bool lagging, troubled, silent;
    bool crashed, started;        // the recorder before this one ended without a word; this one was told
    int64_t clock_offset_ns;      // the tape's clock minus the steady one
    bool clock_known;
    uint64_t packets;
    int64_t packets_steady_ns;    // when their number last changed
    int64_t loss_told_ns;
    int64_t unstored_since_ns;    // the tape takes no rows since; unknown: it does
    int64_t last_ns;
    int64_t saved_steady_ns;
};

static void on_alert(void *ctx, const struct alert *alert)
{
    struct alarm *a = ctx;
    struct tape_alert row = {
        .exchange = alert->exchange, .time_ns = alert->time_ns, .id = bytes_of_text(alert->id), .rule = bytes_of_text(alert->rule),
        .title = bytes_of_text(alert->title), .level = bytes_of_text(alert_level_names[alert->level]), .json = alert->json,
        .outcome = alert->outcome,
    };
    if (!tape_write_alert(a->tape, &row, a->fault))
        a->ok = false;
    a->raised = true;
}

// ---- what the recorder before this one left ---------------------------------------------------------------------------

// An attempt told without its outcome so far: kept by the alert's id until the second word is met.
static bool note_attempt(struct alarm *a, const struct outbox_item *item)
{
    union map_value *v = map_find(a->open_attempts, item->id);
    if (item->outcome) {
        if (v)
            mem_free(v->ptr);
        map_drop(a->open_attempts, item->id);
        return true;
    }
    if (v || map_count(a->open_attempts) >= OPEN_ATTEMPTS_MAX || !alert_is_attempt(item->json))
        return true;
    char *copy = mem_text_copy(item->json.at, item->json.size);
    v = copy ? map_put(a->open_attempts, item->id, NULL) : NULL;
    if (v)
        v->ptr = copy;
    else
        mem_free(copy);
    return true;
}

static bool note_alert(void *ctx, const struct outbox_item *item)
{
    struct alarm *a = ctx;
    if (bytes_equal_text(item->rule, "recorder.start"))
        a->crashed = a->settings.live;
    else if (bytes_equal_text(item->rule, "recorder.stop"))
        a->crashed = false;
    return note_attempt(a, item);
}

// A start without a stop behind it is a recorder that was killed, or a machine that lost power.
static void look_for_crash(struct alarm *a)
{
    struct fault ignored = {0};
    struct outbox_place place = {0};
    struct outbox *o = outbox_open(a->settings.tape_dir, false, &ignored);
    if (o)
        outbox_each(o, &place, note_alert, a);
    outbox_close(o);
}

static struct bytes text_of(const struct json *j, const char *key)
{
    const struct json *m = json_member(j, key);
    return m && m->kind == JSON_KIND_STRING ? m->text : (struct bytes){0};
}

static bool tell_unknown(struct alarm *a, struct bytes id, const char *first, int64_t now_ns)
{
    struct arena arena;
    struct buf json = {0};
    arena_init(&arena, 0);
    alert_end_unseen(bytes_of_text(first), &json);
    const struct json *j = json.failed ? NULL : json_parse(&arena, buf_view(&json), NULL);
    bool ok = true;
    if (j && j->kind == JSON_KIND_OBJECT) {
        struct tape_alert row = {.exchange = (uint64_t)json_int(json_member(j, "exchange"), 0), .time_ns = now_ns, .id = id, .rule = text_of(j, "rule"),
                                 .title = text_of(j, "title"), .level = text_of(j, "level"), .json = buf_view(&json), .outcome = true};
        ok = tape_write_alert(a->tape, &row, a->fault);
        a->raised = true;
    }
    buf_fini(&json);
    arena_fini(&arena);
    return ok;
}

// Calls whose attempt was told and whose answer nobody saw: the recorder ended in between. Their second word says so.
static void tell_open_attempts(struct alarm *a, int64_t now_ns)
{
    size_t at = 0;
    struct bytes id;
    union map_value *v;
    while (a->open_attempts && map_next(a->open_attempts, &at, &id, &v))
        if (!tell_unknown(a, id, v->ptr, now_ns))
            a->ok = false;
    map_close_each(a->open_attempts, mem_free);
    a->open_attempts = NULL;
}

// As a shell takes it, from whatever directory: it is pasted far from where the recorder was started.
static void add_hint(struct buf *out, const char *dir)
{
    char *whole = realpath(dir, NULL);
    const char *path = whole ? whole : dir;
    bool plain = strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:,@") == strlen(path);
    buf_add_text(out, plain ? "--tape " : "--tape '");
    for (const char *c = path; *c; c++)
        if (*c == '\'')
            buf_add_text(out, "'\\''");
        else
            buf_add_byte(out, (uint8_t)*c);
    buf_add_text(out, plain ? "" : "'");
    free(whole);
}

struct alarm *alarm_open(const struct alarm_settings *settings, struct tape_writer *tape, struct fault *fault)
{
    struct alarm *a = mem_zero(1, sizeof *a);
    struct buf hint = {0};
    add_hint(&hint, settings->tape_dir);
    struct alert_settings alert = {.tape_hint = strcmp(settings->tape_dir, "/var/lib/estape") == 0 ? "" : buf_text(&hint), .live = settings->live};
    if (a) {
        *a = (struct alarm){.settings = *settings, .tape = tape, .packets_steady_ns = WHEN_UNKNOWN, .loss_told_ns = WHEN_UNKNOWN, .unstored_since_ns = WHEN_UNKNOWN, .last_ns = WHEN_UNKNOWN, .saved_steady_ns = clock_steady_ns()};
        if (!a->settings.silence_ns)
            a->settings.silence_ns = 300 * WHEN_NS_PER_S;
        // Opening an empty tape for reading costs more than many a short capture's rules.
        a->rebuilt = tape_is_empty(settings->tape_dir);
        a->alerter = alert_open(&alert, settings->rules, on_alert, a);
        a->open_attempts = map_open();
    }
    buf_fini(&hint);
    if (a && a->alerter && a->open_attempts) {
        look_for_crash(a);
        return a;
    }
    alarm_close(a);
    fault_memory(fault);
    return NULL;
}

void alarm_close(struct alarm *a)
{
    if (!a)
        return;
    if (a->alerter)
        alert_close(a->alerter);
    map_close_each(a->open_attempts, mem_free);
    mem_free(a);
}

// ---- memory from the tape ---------------------------------------------------------------------------------------------

struct rebuild {
    struct alarm *alarm;
    struct tape *tape;
    int64_t newest_ns;
};

static bool body_from_tape(void *ctx, const struct exchange *x, struct buf *out)
{
    struct rebuild *r = ctx;
    enum tape_body_state state;
    struct fault ignored = {0};
    return tape_body_range(r->tape, 0, x->id, BODY_REQUEST, 0, BODY_BYTES, out, &state, &ignored) && out->size;
}

static bool rebuild_row(void *ctx, const struct tape_row *row)
{
    struct rebuild *r = ctx;
    alert_done(r->alarm->alerter, &row->x);
    return true;
}

static bool note_newest(void *ctx, const struct tape_row *row)
{
    struct rebuild *r = ctx;
    r->newest_ns = row->x.time_ns;
    return true;
}

// Between the newest row and now nobody recorded: rules that ask what went before must know.
static void tell_unrecorded(struct rebuild *r, int64_t now_ns)
{
    struct fault ignored = {0};
    struct tape_filter newest = {.since_ns = WHEN_UNKNOWN, .until_ns = now_ns, .newest = 1};
    tape_select(r->tape, &newest, note_newest, r, &ignored);
    if (r->newest_ns == WHEN_UNKNOWN || r->newest_ns >= now_ns)
        return;
    struct stream_gap gap = {.from_ns = r->newest_ns, .to_ns = now_ns, .cause = GAP_NOT_RECORDING};
    alert_gap(r->alarm->alerter, &gap);
}

static void rebuild(struct alarm *a, int64_t now_ns)
{
    struct fault ignored = {0};
    const char *dirs[] = {a->settings.tape_dir};
    struct rebuild r = {a, NULL, WHEN_UNKNOWN};
    int64_t memory_ns = alert_memory_ns(a->settings.rules);
    a->rebuilt = true;
    r.tape = tape_open(dirs, 1, &ignored);
    if (!r.tape)
        return;
    struct tape_filter sparse = {.since_ns = now_ns - memory_ns, .until_ns = now_ns - REBUILD_WHOLE_NS, .destructive = true, .newest = REBUILD_ROWS_MAX};
    struct tape_filter whole = {.since_ns = now_ns - REBUILD_WHOLE_NS, .until_ns = now_ns, .newest = REBUILD_ROWS_MAX};
    alert_body_source(a->alerter, body_from_tape, &r);
    alert_rebuild_begin(a->alerter, true);
    if (memory_ns > REBUILD_WHOLE_NS)
        tape_select(r.tape, &sparse, rebuild_row, &r, &ignored);
    alert_rebuild_begin(a->alerter, false);
    tape_select(r.tape, &whole, rebuild_row, &r, &ignored);
    alert_rebuild_end(a->alerter);
    alert_body_source(a->alerter, NULL, NULL);
    tell_unrecorded(&r, now_ns);
    tape_close(r.tape);
    tape_seen_each(a->tape, alert_load, a->alerter);
}

static void save(struct alarm *a)
{
    a->saved_steady_ns = clock_steady_ns();
    if (a->rebuilt && tape_seen_begin(a->tape) && tape_seen_end(a->tape, alert_save(a->alerter, tape_seen_put, a->tape)))
        alert_saved(a->alerter);
}

// ---- what passes ------------------------------------------------------------------------------------------------------

static void begin(struct alarm *a, int64_t time_ns, struct fault *fault)
{
    a->fault = fault;
    a->ok = true;
    if (!a->rebuilt && time_ns != WHEN_UNKNOWN)
        rebuild(a, time_ns);
    if (time_ns != WHEN_UNKNOWN)
        tell_open_attempts(a, time_ns);
    if (time_ns > a->last_ns)
        a->last_ns = time_ns;
}

static bool end(struct alarm *a)
{
    if (!a->raised)
        return a->ok;
    a->raised = false;
    a->ok = tape_write_alerts_end(a->tape, a->fault) && a->ok;
    sender_wake(a->settings.sender);
    return a->ok;
}

bool alarm_attempt(struct alarm *a, const struct exchange *x, struct fault *fault)
{
    if (!a)
        return true;
    begin(a, x->time_ns, fault);
    alert_attempt(a->alerter, x);
    return end(a);
}

void alarm_ops(struct alarm *a, const struct op *ops, size_t count)
{
    if (a)
        alert_ops(a->alerter, ops, count);
}

bool alarm_done(struct alarm *a, const struct exchange *x, struct fault *fault)
{
    if (!a)
        return true;
    begin(a, x->time_ns, fault);
    alert_done(a->alerter, x);
    return end(a);
}

bool alarm_gap(struct alarm *a, const struct tape_gap *gap, struct fault *fault)
{
    if (!a)
        return true;
    begin(a, WHEN_UNKNOWN, fault);
    struct stream_gap seen = {.from_ns = gap->from_ns, .to_ns = gap->to_ns, .size_bytes = gap->bytes, .cause = gap->cause, .side = gap->side};
    alert_gap(a->alerter, &seen);
    if (gap->cause != GAP_KERNEL || (a->loss_told_ns != WHEN_UNKNOWN && gap->to_ns - a->loss_told_ns < LOSS_QUIET_NS))
        return true;
    char text[128];
    snprintf(text, sizeof text, "the kernel dropped %llu packets before they could be read", (unsigned long long)gap->packets);
    a->loss_told_ns = gap->to_ns;
    alert_own(a->alerter, gap->to_ns, "kernel_loss", text);
    return end(a);
}

// ---- the recorder about itself ----------------------------------------------------------------------------------------

bool alarm_own(struct alarm *a, int64_t time_ns, const char *kind, const char *text, struct fault *fault)
{
    if (!a)
        return true;
    begin(a, WHEN_UNKNOWN, fault);
    alert_own(a->alerter, time_ns == WHEN_UNKNOWN ? clock_now_ns() : time_ns, kind, text);
    return end(a);
}

static void watch_clock(struct alarm *a, const struct alarm_moment *now)
{
    int64_t offset_ns = now->time_ns - now->sent_steady_ns, jump_ns = offset_ns - a->clock_offset_ns;
    if (a->clock_known && (jump_ns > JUMP_NS || jump_ns < -JUMP_NS)) {
        char span[40], text[128];
        snprintf(text, sizeof text, "it went %s by %s", jump_ns > 0 ? "forward" : "back", clock_format_span(jump_ns < 0 ? -jump_ns : jump_ns, span, sizeof span));
        alert_own(a->alerter, now->time_ns, "clock_jump", text);
    }
    a->clock_offset_ns = offset_ns;
    a->clock_known = true;
}

static void watch_lag(struct alarm *a, const struct alarm_moment *now)
{
    int64_t lag_ns = clock_steady_ns() - now->sent_steady_ns;
    if (lag_ns > LAG_NS && !a->lagging) {
        char span[40], text[128];
        snprintf(text, sizeof text, "storing is %s behind; packets will be lost if it goes on", clock_format_span(lag_ns, span, sizeof span));
        alert_own(a->alerter, now->time_ns, "lag", text);
    }
    a->lagging = lag_ns > LAG_NS / 2 && (a->lagging || lag_ns > LAG_NS);
}

// By the steady clock: one that was set an hour forward is no hour of silence.
static void watch_silence(struct alarm *a, const struct alarm_moment *now)
{
    if (now->packets != a->packets || a->packets_steady_ns == WHEN_UNKNOWN) {
        a->packets = now->packets;
        a->packets_steady_ns = now->sent_steady_ns;
        a->silent = false;
    }
    int64_t silence_ns = now->sent_steady_ns - a->packets_steady_ns;
    if (a->silent || silence_ns < a->settings.silence_ns)
        return;
    char span[40], text[128];
    snprintf(text, sizeof text, "not one packet in %s: is the traffic still passing here?", clock_format_span(silence_ns, span, sizeof span));
    alert_own(a->alerter, now->time_ns, "silence", text);
    a->silent = true;
}

// A tape that takes no rows takes no alerts either: that it did not is told when it does again.
static void watch_disk(struct alarm *a, const struct alarm_moment *now)
{
    bool stores = tape_write_stores_rows(a->tape);
    if (now->trouble && !a->troubled)
        alert_own(a->alerter, now->time_ns, "disk", now->trouble);
    a->troubled = now->trouble != NULL;
    if (!stores && a->unstored_since_ns == WHEN_UNKNOWN) {
        a->unstored_since_ns = now->time_ns;
    } else if (stores && a->unstored_since_ns != WHEN_UNKNOWN) {
        char span[40], text[160];
        int64_t for_ns = now->time_ns - a->unstored_since_ns;
        a->unstored_since_ns = WHEN_UNKNOWN;
        alert_untold(a->alerter);
        snprintf(text, sizeof text, "for about %s nothing was stored, and no alert about what passed meanwhile was raised", clock_format_span(for_ns < 0 ? 0 : for_ns, span, sizeof span));
        alert_own(a->alerter, now->time_ns, "disk", text);
    }
}

bool alarm_tick(struct alarm *a, const struct alarm_moment *now, struct fault *fault)
{
    if (!a)
        return true;
    begin(a, WHEN_UNKNOWN, fault);
    if (a->settings.live && !a->started) {
        a->started = true;
        if (a->crashed)
            alert_own(a->alerter, now->time_ns, "restart", "the one before ended without a word: killed, out of memory, or the power went; what passed meanwhile is not recorded");
        alert_own(a->alerter, now->time_ns, "start", "estape " ESTAPE_VERSION " records");
        if (a->settings.rules_refused)
            alert_own(a->alerter, now->time_ns, "rules", "what is mistaken in them stands in the recorder's log, and 'estape rules check' tells it; the others run");
    }
    if (a->settings.live) {
        watch_clock(a, now);
        watch_lag(a, now);
        watch_silence(a, now);
    }
    tell_open_attempts(a, now->time_ns);
    watch_disk(a, now);
    alert_tick(a->alerter, now->time_ns);
    if (clock_steady_ns() - a->saved_steady_ns >= SAVE_NS)
        save(a);
    return end(a);
}

bool alarm_finish(struct alarm *a, int64_t time_ns, struct fault *fault)
{
    if (!a)
        return true;
    begin(a, WHEN_UNKNOWN, fault);
    alert_tick(a->alerter, time_ns);
    alert_finish(a->alerter);
    save(a);
    if (a->started)
        alert_own(a->alerter, time_ns, "stop", "it was asked to end, or its input ended");
    return end(a);
}
