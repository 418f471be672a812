// One capture file, standard input or pipe as a source of packets; a file may still be written, rotated or cut meanwhile.
//
// States: reading -> (follow: waiting at the end -> reading ...) -> ended. A followed file ends only when told to stop.
// While it waits, its name is looked up ten times a second: another inode there means that it was rotated, a size smaller
// than what was read means that it was cut and begins anew.
#include "file.h"

#include "../base/clock.h"
#include "../base/diag.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STOP_BYTES = 16 << 20 }; // a writer that never pauses must not keep us from stopping
#define LOOK_NS (100 * WHEN_NS_PER_MS)

static bool refuse(struct file *f, enum read_event e, struct fault *fault)
{
    const char *packed = reader_guess(&f->reader);
    if (packed)
        return fault_user(fault, "%s is compressed with %s; unpack it on the way in: %s -dc %s | estape record -r -", f->name, packed, packed, f->name);
    if (e == READ_END)
        return fault_user(fault, "%s is empty: not a capture file", f->name);
    if (e == READ_CUT)
        return fault_user(fault, "%s is too short to be a capture file", f->name);
    return fault_user(fault, "%s is not a capture file (pcap or pcapng): %s", f->name, f->reader.problem);
}

bool file_open(struct file *f, const char *name, bool follow, struct fault *fault)
{
    *f = (struct file){.name = name, .follow = follow, .fd = -1};
    struct stat st;
    bool standard = strcmp(name, "-") == 0;
    f->fd = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0)
        return fault_user(fault, "cannot open %s: %s", name, strerror(errno));
    if (standard)
        f->name = "standard input";
    if (fstat(f->fd, &st) != 0)
        return fault_user(fault, "cannot read %s: %s", f->name, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return fault_user(fault, "%s is a directory; name a capture file", name);
    if (standard && isatty(f->fd))
        return fault_user(fault, "standard input is a terminal; pipe a capture into it, as in: tcpdump -w - | estape record -r -");
    f->pipe = !S_ISREG(st.st_mode);
    f->follow = follow && !f->pipe;
    if (!reader_init(&f->reader, f->fd, f->pipe))
        return fault_memory(fault);
    enum read_event e = reader_begin(&f->reader);
    if (e == READ_PACKET || (f->follow && (e == READ_END || e == READ_CUT)))
        return true;
    return refuse(f, e, fault);
}

static void end(struct file *f, enum read_event e)
{
    f->ended = true;
    f->truncated = e == READ_CUT || e == READ_BAD;
    if (e == READ_CUT)
        snprintf(f->warning, sizeof f->warning, "%s ends inside a packet; what was whole is recorded", f->name);
    if (e == READ_BAD)
        snprintf(f->warning, sizeof f->warning, "%s is damaged: %s; what comes before it is recorded", f->name, f->reader.problem);
}

// True when there is another beginning to read from.
static bool begins_anew(struct file *f, enum read_event e)
{
    struct stat here, there;
    int64_t now_ns = clock_steady_ns();
    if (now_ns - f->looked_ns < LOOK_NS)
        return false;
    f->looked_ns = now_ns;
    uint64_t read_bytes = f->reader.passed_bytes + (f->reader.end - f->reader.at);
    bool rest = e == READ_CUT, anew = false;
    if (fstat(f->fd, &here) == 0 && (uint64_t)here.st_size < read_bytes) {
        anew = lseek(f->fd, 0, SEEK_SET) == 0;
        f->lost |= anew;
        // A ring of files (tcpdump -C -W) comes back to this one after having written others.
        if (anew && !f->begun_again)
            snprintf(f->warning, sizeof f->warning, "%s is begun anew by its writer; what went to other files meanwhile is not recorded", f->name);
        f->begun_again = true;
    } else if (f->fd != STDIN_FILENO && stat(f->name, &there) == 0 && (there.st_ino != here.st_ino || there.st_dev != here.st_dev) &&
               (uint64_t)here.st_size == read_bytes) {
        int fd = open(f->name, O_RDONLY | O_CLOEXEC);
        anew = fd >= 0;
        if (anew) {
            close(f->fd);
            f->fd = fd;
        }
    }
    if (!anew)
        return false;
    if (rest) {
        f->truncated = f->lost = true;
        snprintf(f->warning, sizeof f->warning, "%s was rotated inside a packet; the packet is lost", f->name);
    }
    reader_restart(&f->reader, f->fd);
    return true;
}

enum read_event file_next(struct file *f, struct packet *packet)
{
    while (!f->ended) {
        if (f->stopping && f->reader.passed_bytes >= f->stop_bytes) {
            end(f, READ_END);
            break;
        }
        enum read_event e = reader_next(&f->reader, packet);
        if (e == READ_PACKET)
            return e;
        if (e == READ_WAIT && !f->stopping)
            return e;
        bool at_end = e == READ_END || e == READ_CUT;
        if (f->follow && at_end && !f->stopping) {
            if (begins_anew(f, e))
                continue;
            return READ_WAIT;
        }
        // Told to stop: what is not there yet is not missed.
        end(f, f->stopping && e != READ_BAD ? READ_END : e);
    }
    return READ_END;
}

void file_stop(struct file *f)
{
    f->stopping = true;
    f->stop_bytes = f->reader.passed_bytes + (f->pipe || f->follow ? STOP_BYTES : 0);
}

void file_close(struct file *f)
{
    reader_fini(&f->reader);
    if (f->fd > STDIN_FILENO)
        close(f->fd);
    f->fd = -1;
}
