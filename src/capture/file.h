// One capture file, standard input or pipe as a source of packets; a file may still be written, rotated or cut meanwhile.
#pragma once
#include "capture.h"
#include "reader.h"

struct file {
    const char *name;     // "-": standard input
    bool follow, stopping;
    bool pipe;            // not a regular file: it can keep us waiting
    bool ended, truncated;
    bool begun_again;     // was cut by its writer and told so
    bool lost;            // packets between the last one and the next never came this way; the taker clears it
    int fd;
    struct reader reader;
    uint64_t stop_bytes;  // when stopping: read no farther
    int64_t looked_ns;    // when a followed name was last looked up
    char warning[256];    // empty, or to be told once
};

bool file_open(struct file *f, const char *name, bool follow, struct fault *fault);
// READ_PACKET, READ_WAIT, or READ_END once and for all (with `truncated` and `warning` when it ended badly).
enum read_event file_next(struct file *f, struct packet *packet);
void file_stop(struct file *f); // a pipe gives what it holds, a followed file what is written, any other nothing more
void file_close(struct file *f);
