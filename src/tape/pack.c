// Compressing blocks on a thread of their own: a ring of jobs between one giver and one worker.
//
// 1. put >= done >= taken, and put - taken <= JOBS; the worker owns [done, put), the giver all others.
#include "pack.h"

#include "../base/mem.h"

#include <pthread.h>
#include <signal.h>
#include <zstd.h>

enum { JOBS = 6 };

struct pack {
    struct pack_job jobs[JOBS];
    unsigned long put, done, taken;
    pthread_mutex_t mutex;
    pthread_cond_t filled, finished;
    pthread_t thread;
    bool threaded, stop;
    ZSTD_CCtx *zstd;
    int level;
};

static void compress(struct pack *p, struct pack_job *job)
{
    size_t bound = ZSTD_compressBound(job->raw.size);
    buf_clear(&job->data);
    job->failed = !buf_reserve(&job->data, bound);
    size_t size = job->failed ? 0 : ZSTD_compressCCtx(p->zstd, job->data.at, bound, job->raw.at, job->raw.size, p->level);
    job->failed |= ZSTD_isError(size);
    job->data.size = job->failed ? 0 : size;
}

static void *work(void *ctx)
{
    struct pack *p = ctx;
    pthread_setname_np(pthread_self(), "estape-pack");
    pthread_mutex_lock(&p->mutex);
    for (;;) {
        while (p->done == p->put && !p->stop)
            pthread_cond_wait(&p->filled, &p->mutex);
        if (p->done == p->put)
            break;
        struct pack_job *job = &p->jobs[p->done % JOBS];
        pthread_mutex_unlock(&p->mutex);
        compress(p, job);
        pthread_mutex_lock(&p->mutex);
        p->done++;
        pthread_cond_signal(&p->finished);
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

struct pack *pack_open(int level)
{
    struct pack *p = mem_zero(1, sizeof *p);
    if (!p)
        return NULL;
    p->level = level;
    p->zstd = ZSTD_createCCtx();
    if (!p->zstd) {
        mem_free(p);
        return NULL;
    }
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->filled, NULL);
    pthread_cond_init(&p->finished, NULL);
    // Signals are for the program's own threads.
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    p->threaded = pthread_create(&p->thread, NULL, work, p) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return p;
}

void pack_close(struct pack *p)
{
    if (!p)
        return;
    if (p->threaded) {
        pthread_mutex_lock(&p->mutex);
        p->stop = true;
        pthread_cond_signal(&p->filled);
        pthread_mutex_unlock(&p->mutex);
        pthread_join(p->thread, NULL);
    }
    for (size_t i = 0; i < JOBS; i++) {
        buf_fini(&p->jobs[i].dir);
        buf_fini(&p->jobs[i].raw);
        buf_fini(&p->jobs[i].data);
    }
    pthread_mutex_destroy(&p->mutex);
    pthread_cond_destroy(&p->filled);
    pthread_cond_destroy(&p->finished);
    ZSTD_freeCCtx(p->zstd);
    mem_free(p);
}

// put and taken are the giver's own: only `done` is looked at under the lock.
struct pack_job *pack_slot(struct pack *p)
{
    return p->put - p->taken < JOBS ? &p->jobs[p->put % JOBS] : NULL;
}

void pack_put(struct pack *p)
{
    if (!p->threaded)
        compress(p, &p->jobs[p->put % JOBS]);
    pthread_mutex_lock(&p->mutex);
    p->put++;
    p->done += !p->threaded;
    pthread_cond_signal(&p->filled);
    pthread_mutex_unlock(&p->mutex);
}

struct pack_job *pack_take(struct pack *p, bool wait)
{
    if (p->taken == p->put)
        return NULL;
    pthread_mutex_lock(&p->mutex);
    while (wait && p->done == p->taken)
        pthread_cond_wait(&p->finished, &p->mutex);
    bool ready = p->done > p->taken;
    pthread_mutex_unlock(&p->mutex);
    return ready ? &p->jobs[p->taken % JOBS] : NULL;
}

void pack_release(struct pack *p)
{
    p->taken++;
}

void pack_discard(struct pack *p)
{
    while (pack_take(p, true))
        pack_release(p);
}
