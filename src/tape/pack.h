// Compressing blocks beside the tape's thread: a few jobs in flight, given back in order.
#pragma once
#include "../base/buf.h"

struct pack_job {
    int64_t block;
    struct buf dir, raw; // in: the directory, the bytes
    struct buf data;     // out: one zstd frame
    bool whole;          // nobody knows a part of it yet, and nothing will be added: it goes to the file of blocks
    bool failed;         // memory was out
};

struct pack;
// Without a second thread (none to be had) the work is done in pack_put. NULL: memory out.
struct pack *pack_open(int level);
void pack_close(struct pack *p);
struct pack_job *pack_slot(struct pack *p); // an empty job to fill, its buffers to be reused; NULL: all are in flight
void pack_put(struct pack *p);              // the slot is filled
// The oldest job, done. NULL: none in flight, or (wait false) it is not done yet. Valid until pack_release.
struct pack_job *pack_take(struct pack *p, bool wait);
void pack_release(struct pack *p);
void pack_discard(struct pack *p);          // everything in flight is dropped
