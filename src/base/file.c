// Writing to file descriptors.
#include "file.h"

#include <errno.h>
#include <unistd.h>

bool file_write(int fd, struct bytes what)
{
    while (what.size) {
        ssize_t n = write(fd, what.at, what.size);
        if (n == 0)
            errno = EIO; // of something: no regular file or pipe does that
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        what = bytes_from(what, n > 0 ? (size_t)n : 0);
    }
    return true;
}
