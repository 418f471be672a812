// A file system between a program and the disk (LD_PRELOAD), for tests: writes down in their order what happens to the files of one
// directory, so that the state after a power loss at any of these moments can be made, and lets the program's clock be set.
//
// SHIM_DIR=DIR SHIM_LOG=FILE   each change and each sync of a file below DIR is appended to FILE (struct record, then its bytes)
// SHIM_CLOCK=FILE              the first eight bytes of FILE, nanoseconds, are added to the real-time clock
// Not known to it: memory that is mapped shared (SQLite's -shm, which is made anew after a crash).
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { FDS = 4096 };
enum what { CREATE = 1, WRITE, TRUNCATE, UNLINK, RENAME, SYNC, SYNC_DIR, MKDIR };

struct record {
    uint32_t what, size; // bytes that follow: a path, two paths, or what was written
    uint64_t file;       // inode
    int64_t offset;      // of a sync: when it began, in nanoseconds
    int64_t time_ns;
};

static char dir[PATH_MAX];
static int log_fd = -1;
static uint64_t inode_of[FDS]; // 0: not one of ours
static bool is_dir[FDS];
static volatile int64_t *clock_step;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) \
        real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static int real_clock(clockid_t id, struct timespec *ts)
{
    REAL(clock_gettime);
    return real(id, ts);
}

__attribute__((constructor)) static void begin(void)
{
    const char *log = getenv("SHIM_LOG"), *below = getenv("SHIM_DIR"), *clock = getenv("SHIM_CLOCK");
    if (below && log && realpath(below, dir)) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        log_fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FDS - 1);
        close(fd);
    }
    if (clock) {
        int fd = open(clock, O_RDONLY | O_CLOEXEC);
        void *at = mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
        clock_step = at == MAP_FAILED ? NULL : at;
        close(fd);
    }
}

static int64_t now_ns(void)
{
    struct timespec now;
    real_clock(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void tell(enum what what, uint64_t file, int64_t offset, const void *bytes, size_t size)
{
    struct record r = {what, (uint32_t)size, file, offset, now_ns()};
    struct iovec parts[2] = {{&r, sizeof r}, {(void *)(uintptr_t)bytes, size}};
    static ssize_t (*real)(int, const struct iovec *, int);
    if (!real)
        real = (ssize_t(*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
    if (real(log_fd, parts, 2) != (ssize_t)(sizeof r + size)) {
        static const char why[] = "shim: the log cannot be written\n";
        (void)!write(2, why, sizeof why - 1);
        abort();
    }
}

static bool full_path(int at, const char *path, char out[PATH_MAX])
{
    char base[PATH_MAX], parent[PATH_MAX], link[64];
    if (log_fd < 0)
        return false;
    if (path[0] == '/') {
        snprintf(base, sizeof base, "%s", path);
    } else if (at == AT_FDCWD) {
        if (!getcwd(parent, sizeof parent))
            return false;
        snprintf(base, sizeof base, "%.2000s/%.2000s", parent, path);
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        ssize_t n = readlink(link, parent, sizeof parent - 1);
        if (n < 0)
            return false;
        snprintf(base, sizeof base, "%.*s/%.2000s", (int)n, parent, path);
    }
    char *slash = strrchr(base, '/');
    *slash = 0;
    if (!realpath(slash == base ? "/" : base, parent))
        return false;
    snprintf(out, PATH_MAX, "%.2000s/%.2000s", parent, slash + 1);
    size_t n = strlen(dir);
    return strncmp(out, dir, n) == 0 && (out[n] == '/' || out[n] == 0);
}

static void tell_path(enum what what, uint64_t file, const char *path)
{
    tell(what, file, 0, path, strlen(path));
}

static int opened(int fd, const char *path, int flags, bool was_there)
{
    struct stat st;
    if (fd < 0 || fd >= FDS || fstat(fd, &st) != 0)
        return fd;
    inode_of[fd] = st.st_ino;
    is_dir[fd] = S_ISDIR(st.st_mode);
    if (!is_dir[fd] && !was_there)
        tell_path(CREATE, st.st_ino, path);
    else if (flags & O_TRUNC)
        tell(TRUNCATE, st.st_ino, 0, NULL, 0);
    return fd;
}

static int open_any(int at, const char *path, int flags, mode_t mode)
{
    static int (*real)(int, const char *, int, ...);
    if (!real)
        real = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat");
    char full[PATH_MAX];
    int saved = errno;
    if (!full_path(at, path, full)) {
        errno = saved;
        int fd = real(at, path, flags, mode);
        if (fd >= 0 && fd < FDS)
            inode_of[fd] = 0;
        return fd;
    }
    pthread_mutex_lock(&lock);
    bool was_there = access(full, F_OK) == 0;
    errno = saved;
    int fd = opened(real(at, path, flags, mode), full, flags, was_there);
    pthread_mutex_unlock(&lock);
    return fd;
}

#define OPEN_ARGS \
    va_list args; \
    va_start(args, flags); \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0; \
    va_end(args)

int open(const char *path, int flags, ...)
{
    OPEN_ARGS;
    return open_any(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    OPEN_ARGS;
    return open_any(AT_FDCWD, path, flags, mode);
}

int openat(int at, const char *path, int flags, ...)
{
    OPEN_ARGS;
    return open_any(at, path, flags, mode);
}

int openat64(int at, const char *path, int flags, ...)
{
    OPEN_ARGS;
    return open_any(at, path, flags, mode);
}

int close(int fd)
{
    REAL(close);
    if (fd == log_fd && fd >= 0)
        return 0;
    if (fd >= 0 && fd < FDS)
        inode_of[fd] = 0;
    return real(fd);
}

static bool ours(int fd)
{
    return log_fd >= 0 && fd >= 0 && fd < FDS && inode_of[fd] && fd != log_fd;
}

static ssize_t written(int fd, const void *at, ssize_t size, int64_t offset)
{
    if (size > 0)
        tell(WRITE, inode_of[fd], offset, at, (size_t)size);
    return size;
}

ssize_t write(int fd, const void *at, size_t size)
{
    REAL(write);
    if (!ours(fd))
        return real(fd, at, size);
    pthread_mutex_lock(&lock);
    int64_t offset = fcntl(fd, F_GETFL) & O_APPEND ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    ssize_t n = written(fd, at, real(fd, at, size), offset);
    pthread_mutex_unlock(&lock);
    return n;
}

ssize_t pwrite64(int fd, const void *at, size_t size, off64_t offset)
{
    REAL(pwrite64);
    if (!ours(fd))
        return real(fd, at, size, offset);
    pthread_mutex_lock(&lock);
    ssize_t n = written(fd, at, real(fd, at, size, offset), offset);
    pthread_mutex_unlock(&lock);
    return n;
}

ssize_t pwrite(int fd, const void *at, size_t size, off_t offset)
{
    return pwrite64(fd, at, size, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(writev);
    if (!ours(fd))
        return real(fd, parts, count);
    ssize_t all = 0;
    for (int i = 0; i < count; i++) {
        ssize_t n = write(fd, parts[i].iov_base, parts[i].iov_len);
        if (n < 0)
            return all ? all : n;
        all += n;
        if ((size_t)n < parts[i].iov_len)
            break;
    }
    return all;
}

int ftruncate64(int fd, off64_t size)
{
    REAL(ftruncate64);
    if (!ours(fd))
        return real(fd, size);
    pthread_mutex_lock(&lock);
    int code = real(fd, size);
    if (code == 0)
        tell(TRUNCATE, inode_of[fd], size, NULL, 0);
    pthread_mutex_unlock(&lock);
    return code;
}

int ftruncate(int fd, off_t size)
{
    return ftruncate64(fd, size);
}

// What is written while the sync is under way is not promised: the lock holds it back.
static int sync_any(int fd, int (*real)(int))
{
    if (!ours(fd))
        return real(fd);
    pthread_mutex_lock(&lock);
    int64_t began_ns = now_ns();
    int code = real(fd);
    if (code == 0)
        tell(is_dir[fd] ? SYNC_DIR : SYNC, inode_of[fd], began_ns, NULL, 0);
    pthread_mutex_unlock(&lock);
    return code;
}

int fsync(int fd)
{
    REAL(fsync);
    return sync_any(fd, real);
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    return sync_any(fd, real);
}

static int unlink_any(int at, const char *path, int flags)
{
    REAL(unlinkat);
    char full[PATH_MAX];
    struct stat st;
    if (!full_path(at, path, full) || lstat(full, &st) != 0)
        return real(at, path, flags);
    pthread_mutex_lock(&lock);
    int code = real(at, path, flags);
    if (code == 0)
        tell_path(UNLINK, st.st_ino, full);
    pthread_mutex_unlock(&lock);
    return code;
}

int unlink(const char *path)
{
    return unlink_any(AT_FDCWD, path, 0);
}

int unlinkat(int at, const char *path, int flags)
{
    return unlink_any(at, path, flags);
}

int rename(const char *from, const char *to)
{
    REAL(rename);
    char a[PATH_MAX], b[PATH_MAX], both[2 * PATH_MAX];
    struct stat st;
    if (!full_path(AT_FDCWD, from, a) || !full_path(AT_FDCWD, to, b) || lstat(a, &st) != 0)
        return real(from, to);
    pthread_mutex_lock(&lock);
    int code = real(from, to);
    size_t n = strlen(a) + 1;
    memcpy(both, a, n);
    memcpy(both + n, b, strlen(b));
    if (code == 0)
        tell(RENAME, st.st_ino, 0, both, n + strlen(b));
    pthread_mutex_unlock(&lock);
    return code;
}

// ---- the clock ------------------------------------------------------------------------------------------------------

static int64_t step(void)
{
    return clock_step ? *clock_step : 0;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
    int code = real_clock(id, ts);
    if (code == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        int64_t now = (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec + step();
        ts->tv_sec = now / 1000000000;
        ts->tv_nsec = now % 1000000000;
    }
    return code;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec ts;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
        return -1;
    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec ts;
    if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
        return -1;
    if (out)
        *out = ts.tv_sec;
    return ts.tv_sec;
}
