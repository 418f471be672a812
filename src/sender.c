// The delivery processes: a supervisor that starts one worker for each sink again when it dies, and the workers.
//
//   recorder --(commit, wake)--> worker --outbox_head--> sink --outbox_finish--> next
//
// 1. A worker finishes one alert before it looks at the next: order per sink.
// 2. Nothing is finished before the sink accepted it: killed at any instant, a worker repeats at most its last alert.
// 3. Workers end with their supervisor, and the recorder starts a supervisor that died again: delivery never stays dead while
//    recording goes on. With the recorder all end: it holds the writing end of the life line.
#include "sender.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/mem.h"
#include "tape/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_MS = 500, RESTART_MS = 500, NOTICE_SIZE = 400, READY_S = 10 };
#define SUPERVISOR_NS WHEN_NS_PER_S      // between two tries to start the supervisor again
#define DOWN_NS (600 * WHEN_NS_PER_S) // failing for so long is told

struct shared {                  // between the recorder and all of its senders
    _Atomic uint32_t commits;    // also the futex that workers sleep on
    _Atomic uint32_t stop;
};

struct sender {
    struct sender_settings settings;
    struct shared *shared;
    int life[2], notices[2];     // life: held open by the recorder alone
    pid_t supervisor;
    char pending[2 * NOTICE_SIZE];
    size_t pending_size;
    int64_t started_steady_ns;   // when the supervisor was last tried
};

static void sleep_on(struct shared *shared, uint32_t seen, int ms)
{
    struct timespec limit = {ms / 1000, (long)(ms % 1000) * 1000000};
    syscall(SYS_futex, &shared->commits, FUTEX_WAIT, seen, &limit, NULL, 0);
}

void sender_wake(struct sender *s)
{
    if (!s)
        return;
    atomic_fetch_add(&s->shared->commits, 1);
    syscall(SYS_futex, &s->shared->commits, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

// ---- a worker ---------------------------------------------------------------------------------------------------------

struct worker {
    const struct sink_settings *settings;
    const char *dir;
    struct shared *shared;       // NULL: one pass over what waits
    int life, notices;
    bool from_start;             // the tape did not exist when the recorder started: every alert on it is new
    struct outbox *outbox;
    struct sink *sink;
    int64_t failing_since_ns;
    bool down_told, closed;
    struct sender_progress progress;
};

static void notice(struct worker *w, const char *format, const char *why)
{
    char line[NOTICE_SIZE], text[300];
    snprintf(text, sizeof text, format, why);
    int size = snprintf(line, sizeof line, "sink '%s' %s\n", w->settings->name, text);
    for (char *c = line; c < line + size - 1; c++)
        *c = *c == '\n' ? ' ' : *c;
    if (w->notices >= 0 && write(w->notices, line, (size_t)size) < 0) {
        // Nobody listens any more: the state is in the outbox.
    }
}

static bool open_outbox(struct worker *w, struct fault *fault)
{
    struct buf path = {0};
    struct stat st;
    buf_format(&path, "%s/tape.db", w->dir);
    bool there = stat(buf_text(&path), &st) == 0;
    buf_fini(&path);
    if (w->outbox)
        return true;
    if (!there)
        return false;
    w->outbox = outbox_open(w->dir, true, fault);
    if (!w->outbox)
        return false;
    if (outbox_register(w->outbox, w->settings->name, w->from_start, fault))
        return true;
    outbox_close(w->outbox);
    w->outbox = NULL;
    return false;
}

static enum alert_level level_of(struct bytes word)
{
    for (int i = 0; i < ALERT_LEVELS; i++)
        if (bytes_equal_text(word, alert_level_names[i]))
            return (enum alert_level)i;
    return ALERT_CRITICAL;
}

static bool about_itself(const struct worker *w, const struct outbox_item *item)
{
    char name[96];
    snprintf(name, sizeof name, "sink '%s' ", w->settings->name);
    return bytes_equal_text(item->rule, "recorder.sink_dead") && memmem(item->json.at, item->json.size, name, strlen(name));
}

static const char *passed_over(struct worker *w, const struct outbox_item *item, bool *pass)
{
    *pass = level_of(item->level) < w->settings->level || (item->outcome && !w->settings->outcomes) || about_itself(w, item);
    if (!*pass && outbox_muted(w->outbox, item->id, item->rule, clock_now_ns())) {
        *pass = true;
        return "muted";
    }
    return NULL;
}

// How many failures fit into the time after which an alert is given up.
static int tries_max(int64_t give_up_ns)
{
    int tries = 0;
    for (int64_t sum_ns = 0; sum_ns < give_up_ns && tries < 100000; tries++)
        sum_ns += sink_backoff_ns(tries + 1, 500);
    return tries;
}

static void settle_failure(struct worker *w, const struct outbox_item *item, const struct sink_answer *answer)
{
    struct fault ignored = {0};
    int64_t now_ns = clock_now_ns(), steady_ns = clock_steady_ns();
    uint64_t random = 0;
    snprintf(w->progress.why, sizeof w->progress.why, "%s", answer->why);
    w->progress.failed++;
    if (answer->result == SINK_REFUSED || answer->result == SINK_CLOSED || item->tries + 1 >= tries_max(w->settings->give_up_ns)) {
        outbox_finish(w->outbox, w->settings->name, item, "dead", now_ns, answer->why, &ignored);
        if (!w->closed)
            notice(w, answer->result == SINK_CLOSED ? "is closed for good by its receiver: %s" : "gave an alert up: %s", answer->why);
        w->closed = answer->result == SINK_CLOSED;
        return;
    }
    if (!w->failing_since_ns)
        w->failing_since_ns = steady_ns;
    if (!w->down_told && steady_ns - w->failing_since_ns > DOWN_NS) {
        notice(w, "has taken nothing for ten minutes: %s", answer->why);
        w->down_told = true;
    }
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = (uint64_t)steady_ns;
    int64_t wait_ns = sink_backoff_ns(item->tries + 1, random);
    wait_ns = answer->retry_after_ns > wait_ns ? answer->retry_after_ns : wait_ns;
    outbox_failed(w->outbox, w->settings->name, item, now_ns, now_ns + wait_ns, answer->why, &ignored);
}

static void send_one(struct worker *w, const struct outbox_item *item)
{
    struct fault ignored = {0};
    struct sink_answer answer;
    char id[80];
    snprintf(id, sizeof id, "%.*s%s", (int)item->id.size, (const char *)item->id.at, item->outcome ? "-2" : "");
    struct sink_message m = {.id = id, .json = item->json, .outcome = item->outcome, .now_ns = clock_now_ns()};
    if (w->closed)
        answer = (struct sink_answer){SINK_CLOSED, 0, "the receiver closed this sink"};
    else
        sink_send(w->sink, &m, &answer);
    if (answer.result != SINK_SENT) {
        settle_failure(w, item, &answer);
        return;
    }
    w->failing_since_ns = 0;
    w->down_told = false;
    w->progress.sent++;
    outbox_finish(w->outbox, w->settings->name, item, "sent", clock_now_ns(), NULL, &ignored);
}

// Works off what is due. False: nothing is left that could be sent now; *wait_ms says when to look again.
static bool work_once(struct worker *w, int *wait_ms)
{
    struct fault ignored = {0};
    struct outbox_item item;
    bool found = false, pass;
    *wait_ms = LOOK_MS;
    if (!open_outbox(w, &ignored) || !outbox_head(w->outbox, w->settings->name, &item, &found, &ignored) || !found)
        return false;
    const char *state = passed_over(w, &item, &pass);
    if (pass) {
        outbox_finish(w->outbox, w->settings->name, &item, state, clock_now_ns(), NULL, &ignored);
        return true;
    }
    int64_t left_ns = item.next_ns - clock_now_ns();
    if (left_ns > 0 && w->shared) {
        *wait_ms = left_ns / WHEN_NS_PER_MS < LOOK_MS ? (int)(left_ns / WHEN_NS_PER_MS) + 1 : LOOK_MS;
        return false;
    }
    uint64_t failed = w->progress.failed;
    send_one(w, &item);
    return w->shared || w->progress.failed == failed;
}

static bool recorder_lives(const struct worker *w)
{
    struct pollfd p = {.fd = w->life, .events = POLLIN};
    return poll(&p, 1, 0) == 0; // readable means the end of the file
}

static void work(struct worker *w)
{
    w->sink = sink_open(w->settings);
    for (bool last = false; w->sink;) {
        uint32_t seen = atomic_load(&w->shared->commits);
        int wait_ms;
        bool ending = atomic_load(&w->shared->stop) || !recorder_lives(w);
        while (work_once(w, &wait_ms)) {
        }
        if (ending && last)
            break;
        last = ending; // one more round: what was committed before the end is seen
        if (!ending)
            sleep_on(w->shared, seen, wait_ms);
    }
    sink_close(w->sink);
    outbox_close(w->outbox);
}

// ---- the supervisor ---------------------------------------------------------------------------------------------------

static pid_t start_worker(struct worker *w)
{
    pid_t supervisor = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == supervisor) // it may have died before we asked to die with it
        work(w);
    _exit(0);
}

static void register_all(struct worker *workers, size_t count, struct fault *fault)
{
    for (size_t i = 0; i < count; i++) {
        if (open_outbox(&workers[i], fault))
            workers[i].from_start = true; // from here on: what is registered stays so
        outbox_close(workers[i].outbox);  // SQLite's connections do not cross a fork
        workers[i].outbox = NULL;
    }
}

static void supervise(struct worker *workers, pid_t *pids, size_t count)
{
    struct shared *shared = workers[0].shared;
    for (size_t i = 0; i < count; i++)
        pids[i] = start_worker(&workers[i]);
    for (size_t left = count; left;) {
        uint32_t seen = atomic_load(&shared->commits);
        int status;
        bool ending = atomic_load(&shared->stop) || !recorder_lives(&workers[0]);
        left = 0;
        for (size_t i = 0; i < count; i++) {
            if (pids[i] > 0 && waitpid(pids[i], &status, WNOHANG) == pids[i])
                pids[i] = 0;
            if (pids[i] <= 0 && !ending)
                pids[i] = start_worker(&workers[i]);
            left += pids[i] > 0 || !ending;
        }
        if (left)
            sleep_on(shared, seen, ending ? 20 : RESTART_MS);
        struct timespec pause = {0, 20 * 1000000}; // commits wake it, too: no faster than this
        nanosleep(&pause, NULL);
    }
}

// What the recorder has open (devices, the tape and its lock) is none of ours: a recorder that ended must not live on in here.
static void keep_only(int a, int b)
{
    unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);
    if (low > 3)
        close_range(3, low - 1, 0);
    if (high > low + 1)
        close_range(low + 1, high - 1, 0);
    close_range(high + 1, ~0u, 0);
}

static void run_supervisor(struct sender *s)
{
    size_t count = s->settings.sink_count;
    struct worker *workers = mem_zero(count, sizeof *workers);
    pid_t *pids = mem_zero(count, sizeof *pids);
    struct fault fault = {0};
    setpgid(0, 0); // an interrupt of the terminal is the recorder's affair
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    keep_only(s->life[0], s->notices[1]);
    bool ok = workers && pids && (!s->settings.become || s->settings.become(s->settings.ctx, &fault));
    for (size_t i = 0; ok && i < count; i++)
        workers[i] = (struct worker){.settings = &s->settings.sinks[i], .dir = s->settings.dir, .shared = s->shared, .life = s->life[0], .notices = s->notices[1]};
    if (ok) {
        register_all(workers, count, &fault);
        for (size_t i = 0; i < count; i++)
            workers[i].from_start = true; // it exists and is registered, or it is new: then all of it is
    }
    char line[NOTICE_SIZE];
    int size = snprintf(line, sizeof line, "%s%.300s\n", ok ? "ready " : "fault ", fault.text);
    if (write(s->notices[1], line, (size_t)size) < 0)
        _exit(1);
    if (ok)
        supervise(workers, pids, count);
    _exit(0);
}

// ---- the recorder's side ----------------------------------------------------------------------------------------------

static bool take_line(struct sender *s, char *text, size_t room)
{
    char *end = memchr(s->pending, '\n', s->pending_size);
    if (!end && s->pending_size < sizeof s->pending) {
        ssize_t n = read(s->notices[0], s->pending + s->pending_size, sizeof s->pending - s->pending_size);
        if (n > 0)
            s->pending_size += (size_t)n;
        end = memchr(s->pending, '\n', s->pending_size);
    }
    if (!end)
        return false;
    size_t size = (size_t)(end - s->pending);
    snprintf(text, room, "%.*s", (int)size, s->pending);
    s->pending_size -= size + 1;
    memmove(s->pending, end + 1, s->pending_size);
    return true;
}

static bool await_ready(struct sender *s, struct fault *fault)
{
    char line[NOTICE_SIZE];
    struct pollfd p = {.fd = s->notices[0], .events = POLLIN};
    if (poll(&p, 1, READY_S * 1000) <= 0 || !take_line(s, line, sizeof line))
        return fault_system(fault, "the delivery process did not start");
    if (strncmp(line, "ready ", 6) != 0)
        return fault_system(fault, "the delivery process cannot start: %s", line + 6);
    return true;
}

static void free_sender(struct sender *s)
{
    int fds[] = {s->life[0], s->life[1], s->notices[0], s->notices[1]};
    for (size_t i = 0; i < 4; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (s->shared)
        munmap(s->shared, sizeof *s->shared);
    mem_free(s);
}

static bool start_supervisor(struct sender *s)
{
    s->started_steady_ns = clock_steady_ns();
    s->supervisor = fork();
    if (s->supervisor == 0)
        run_supervisor(s);
    return s->supervisor > 0;
}

struct sender *sender_start(const struct sender_settings *settings, struct fault *fault)
{
    struct sender *s = mem_zero(1, sizeof *s);
    if (!s) {
        fault_memory(fault);
        return NULL;
    }
    s->settings = *settings;
    s->life[0] = s->life[1] = s->notices[0] = s->notices[1] = -1;
    s->shared = mmap(NULL, sizeof *s->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s->shared == MAP_FAILED)
        s->shared = NULL;
    bool ok = s->shared && pipe2(s->life, O_CLOEXEC) == 0 && pipe2(s->notices, O_CLOEXEC) == 0;
    if (!ok || !start_supervisor(s)) {
        fault_errno(fault, errno, "cannot start the delivery process");
        free_sender(s);
        return NULL;
    }
    fcntl(s->notices[0], F_SETFL, O_NONBLOCK);
    if (await_ready(s, fault))
        return s;
    sender_stop(s, 0);
    return NULL;
}

// A supervisor that ended is started again; its end is told, and what comes of the new one only if that is bad.
static bool look_after_supervisor(struct sender *s, char *text, size_t room)
{
    bool died = s->supervisor > 0 && waitpid(s->supervisor, NULL, WNOHANG) == s->supervisor;
    if (died)
        s->supervisor = -1;
    if (s->supervisor <= 0 && clock_steady_ns() - s->started_steady_ns >= SUPERVISOR_NS)
        start_supervisor(s);
    if (died)
        snprintf(text, room, "the supervisor of the delivery processes was killed: it is started again, nothing is lost");
    return died;
}

bool sender_notice(struct sender *s, char *text, size_t room)
{
    if (!s)
        return false;
    while (take_line(s, text, room)) {
        if (strncmp(text, "ready ", 6) == 0)
            continue;
        if (strncmp(text, "fault ", 6) == 0)
            memmove(text, text + 6, strlen(text + 6) + 1);
        return true;
    }
    return look_after_supervisor(s, text, room);
}

void sender_stop(struct sender *s, int64_t grace_ns)
{
    if (!s)
        return;
    int64_t until_ns = clock_steady_ns() + grace_ns;
    atomic_store(&s->shared->stop, 1);
    sender_wake(s);
    close(s->life[1]);
    s->life[1] = -1;
    bool gone = s->supervisor <= 0;
    pid_t group = s->supervisor;
    while (!gone && clock_steady_ns() < until_ns) {
        gone = waitpid(s->supervisor, NULL, WNOHANG) == s->supervisor;
        struct timespec pause = {0, 5 * 1000000};
        if (!gone)
            nanosleep(&pause, NULL);
    }
    if (group > 0)
        kill(-group, SIGKILL); // its group: workers in the middle of a call, too
    if (!gone)
        waitpid(s->supervisor, NULL, 0);
    free_sender(s);
}

bool sender_deliver(const char *dir, const struct sink_settings *sink, struct sender_progress *progress, struct fault *fault)
{
    struct worker w = {.settings = sink, .dir = dir, .life = -1, .notices = -1};
    int wait_ms;
    signal(SIGPIPE, SIG_IGN);
    w.sink = sink_open(sink);
    bool ok = w.sink ? open_outbox(&w, fault) : fault_memory(fault);
    if (!ok && !fault->kind)
        fault_user(fault, "%s is not a tape", dir);
    while (ok && work_once(&w, &wait_ms)) {
    }
    if (ok)
        w.progress.left = outbox_waiting(w.outbox, sink->name);
    *progress = w.progress;
    sink_close(w.sink);
    outbox_close(w.outbox);
    return ok;
}
