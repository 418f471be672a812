// The lock file of a tape: a write lock on its first byte decides (of the open file, so that readers can ask with F_OFD_GETLK);
// the pid inside is for the message. The file stays: removing it would race.
#include "lock.h"

#include "../base/diag.h"
#include "format.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int lock_take(const char *dir, struct fault *fault)
{
    char path[PATH_MAX], text[32] = "";
    snprintf(path, sizeof path, "%s/" FORMAT_LOCK_NAME, dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        fault_errno(fault, errno, "cannot open %s", path);
        return -1;
    }
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    if (fcntl(fd, F_OFD_SETLK, &range) == 0) {
        // A disk that is full must not keep us from recording: the pid is only for the message.
        int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
        if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)size, 0) != size)
            text[0] = 0;
        return fd;
    }
    int error = errno;
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    close(fd);
    if (error != EAGAIN && error != EACCES)
        fault_errno(fault, error, "cannot lock %s", path);
    else if (got > 0 && atol(text) > 0)
        fault_user(fault, "another recorder is writing %s, pid %ld", dir, atol(text));
    else
        fault_user(fault, "another recorder is writing %s", dir);
    return -1;
}

void lock_drop(int fd)
{
    if (fd < 0)
        return;
    if (ftruncate(fd, 0) != 0)
        errno = 0; // a stale pid in an unlocked file misleads nobody
    close(fd);
}
