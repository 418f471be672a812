// Sinks on this machine: a program (alert on its standard input), the local sendmail, standard output and files.
#include "sink_inner.h"

#include "../base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

// ---- programs ---------------------------------------------------------------------------------------------------------

static void become_program(char **argv, int input, const char *id, struct bytes level)
{
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)level.size, level.size ? (const char *)level.at : "");
    setenv("ESTAPE_ALERT_ID", id, 1);
    setenv("ESTAPE_ALERT_LEVEL", text, 1);
    setpgid(0, 0); // so that the time limit reaches what it starts, too
    signal(SIGPIPE, SIG_DFL);
    dup2(input, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    closefrom(3);
    execvp(argv[0], argv);
    _exit(127);
}

// Feeds the program and waits for it. False: the time was up (it is killed) or it could not take the input.
static bool feed(int fd, struct bytes rest, int64_t until_ns)
{
    while (rest.size) {
        int64_t left_ns = until_ns - clock_steady_ns();
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (left_ns <= 0 || poll(&p, 1, (int)(left_ns / WHEN_NS_PER_MS) + 1) <= 0)
            return false;
        ssize_t n = write(fd, rest.at, rest.size);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return errno == EPIPE; // it does not want to read: its status decides
        rest = bytes_from(rest, n > 0 ? (size_t)n : 0);
    }
    return true;
}

static bool await(pid_t child, int64_t until_ns, int *status)
{
    for (int ms = 1;; ms = ms < 50 ? ms * 2 : 50) {
        pid_t gone = waitpid(child, status, WNOHANG);
        if (gone == child || (gone < 0 && errno != EINTR))
            return gone == child;
        if (clock_steady_ns() >= until_ns)
            return false;
        poll(NULL, 0, ms);
    }
}

static void run_program(const char *command, const struct sink_message *m, struct bytes level, struct bytes input, int64_t timeout_ns, struct sink_answer *answer)
{
    size_t count;
    char **argv = sink_split(command, &count);
    int pipes[2];
    if (!argv || !count || pipe2(pipes, O_CLOEXEC) != 0) {
        answer_set(answer, SINK_RETRY, "cannot start %s", command);
        goto done;
    }
    int64_t until_ns = clock_steady_ns() + timeout_ns;
    pid_t child = fork();
    if (child == 0)
        become_program(argv, pipes[0], m->id, level);
    close(pipes[0]);
    if (child < 0) {
        close(pipes[1]);
        answer_set(answer, SINK_RETRY, "cannot start %s: %s", argv[0], strerror(errno));
        goto done;
    }
    fcntl(pipes[1], F_SETFL, O_NONBLOCK);
    bool fed = feed(pipes[1], input, until_ns);
    close(pipes[1]);
    int status = 0;
    if (!fed || !await(child, until_ns, &status)) {
        kill(-child, SIGKILL);
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        answer_set(answer, SINK_RETRY, "%s was not done after %lld s", argv[0], (long long)(timeout_ns / WHEN_NS_PER_S));
    } else if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        answer_set(answer, SINK_SENT, "sent");
    } else if (WIFEXITED(status)) {
        answer_set(answer, SINK_RETRY, WEXITSTATUS(status) == 127 ? "%s: cannot be run (%d)" : "%s: exit status %d", argv[0], WEXITSTATUS(status));
    } else {
        answer_set(answer, SINK_RETRY, "%s: killed by signal %d", argv[0], WTERMSIG(status));
    }
done:
    if (argv)
        mem_free(argv[0]);
    mem_free(argv);
}

void sink_send_exec(struct sink *s, const struct sink_message *m, const struct sink_alert *a, struct sink_answer *answer)
{
    struct buf input = {0};
    buf_add_bytes(&input, s->settings->text ? a->text : m->json);
    buf_add_byte(&input, '\n');
    run_program(s->settings->command, m, a->level, buf_view(&input), s->settings->timeout_ns, answer);
    buf_fini(&input);
}

// ---- mail -------------------------------------------------------------------------------------------------------------

// Header text: ASCII stays, anything else becomes one RFC 2047 word; never a line break.
static void add_header_text(struct buf *out, struct bytes text)
{
    bool plain = true;
    for (size_t i = 0; i < text.size; i++)
        plain &= text.at[i] >= ' ' && text.at[i] < 0x7f;
    if (plain) {
        buf_add_bytes(out, text.size > 200 ? bytes_of(text.at, 200) : text);
        return;
    }
    buf_add_text(out, "=?UTF-8?Q?");
    for (size_t i = 0; i < text.size && i < 60; i++) {
        uint8_t c = text.at[i];
        bool letter = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
        buf_format(out, letter ? "%c" : "=%02X", c);
    }
    buf_add_text(out, "?=");
}

void sink_send_mail(struct sink *s, const struct sink_message *m, const struct sink_alert *a, struct sink_answer *answer)
{
    const struct sink_settings *set = s->settings;
    struct buf mail = {0}, command = {0};
    if (set->from)
        buf_format(&mail, "From: %s\r\n", set->from);
    buf_format(&mail, "To: %s\r\nSubject: [", set->to);
    add_header_text(&mail, a->level);
    buf_add_text(&mail, "] ");
    add_header_text(&mail, a->title);
    buf_format(&mail, "\r\nMessage-ID: <%s@estape>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                      "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", m->id);
    for (size_t i = 0, column = 0; i < a->text.size; i++, column++) { // lines end before 998 bytes
        if (column > 900 && a->text.at[i] == ' ') {
            buf_add_text(&mail, "\r\n");
            column = 0;
            continue;
        }
        buf_add_byte(&mail, a->text.at[i]);
    }
    buf_format(&mail, "\r\n\r\nalert id: %s\r\n", m->id);
    buf_add_text(&command, set->command ? set->command : "/usr/sbin/sendmail -t -i");
    run_program(buf_text(&command), m, a->level, buf_view(&mail), set->timeout_ns, answer);
    buf_fini(&mail);
    buf_fini(&command);
}

// ---- standard output and files ----------------------------------------------------------------------------------------

void sink_send_stream(struct sink *s, const struct sink_message *m, const struct sink_alert *a, struct sink_answer *answer)
{
    const struct sink_settings *set = s->settings;
    struct buf line = {0};
    buf_add_bytes(&line, set->text ? a->text : m->json);
    buf_add_byte(&line, '\n');
    // Opened for each: a rotated file is found again, a removed one made anew.
    int fd = set->kind == SINK_STDOUT ? STDOUT_FILENO : open(set->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    off_t end = fd >= 0 && set->kind == SINK_FILE ? lseek(fd, 0, SEEK_END) : -1;
    struct bytes rest = buf_view(&line);
    while (fd >= 0 && rest.size) {
        ssize_t n = write(fd, rest.at, rest.size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        rest = bytes_from(rest, (size_t)n);
    }
    int error = errno;
    if (!rest.size && !line.failed && fd >= 0) {
        if (set->kind == SINK_FILE)
            fdatasync(fd);
        answer_set(answer, SINK_SENT, "sent");
    } else {
        // Half a line would spoil the next: taken back.
        if (end >= 0 && ftruncate(fd, end) != 0)
            end = -1; // no regular file
        answer_set(answer, SINK_RETRY, "%s: %s", set->kind == SINK_STDOUT ? "standard output" : set->path, strerror(error));
    }
    if (fd >= 0 && set->kind == SINK_FILE)
        close(fd);
    buf_fini(&line);
}
