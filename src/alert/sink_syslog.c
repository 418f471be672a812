// Sinks of syslog: RFC 5424 messages over UDP, TCP (RFC 6587) and TLS (RFC 5425).
//
// Syslog has no acknowledgement: a message counts as sent once the connection took it, after a look whether the other side
// has closed meanwhile.
#include "sink_inner.h"

#include "../base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MESSAGE_BYTES_MAX = 2048 }; // common receivers cut there

struct connection {
    int fd;
    SSL_CTX *context;
    SSL *tls;
};

// ---- the line ---------------------------------------------------------------------------------------------------------

static void add_param(struct buf *out, const char *name, struct bytes value)
{
    if (!value.size)
        return;
    buf_format(out, " %s=\"", name);
    for (size_t i = 0; i < value.size && i < 200; i++) {
        if (value.at[i] == '"' || value.at[i] == '\\' || value.at[i] == ']')
            buf_add_byte(out, '\\');
        buf_add_byte(out, value.at[i] < ' ' ? '?' : value.at[i]);
    }
    buf_add_text(out, "\"");
}

static void add_host(struct buf *out, const struct sink_settings *s)
{
    char name[256] = "-";
    if (s->host)
        snprintf(name, sizeof name, "%s", s->host);
    else if (gethostname(name, sizeof name) != 0)
        snprintf(name, sizeof name, "-");
    name[sizeof name - 1] = 0;
    for (char *c = name; *c; c++)
        if (*c < 33 || *c > 126)
            *c = '_';
    buf_add_text(out, *name ? name : "-");
}

void sink_line_syslog(const struct sink_settings *s, const struct sink_message *m, const struct sink_alert *a, struct buf *out)
{
    static const int severities[ALERT_LEVELS] = {6, 5, 4, 3, 2};
    char exchange[24];
    snprintf(exchange, sizeof exchange, "%lld", (long long)a->exchange);
    buf_format(out, "<%d>1 ", s->facility * 8 + severities[a->level_number]);
    buf_add_bytes(out, a->time.size ? a->time : bytes_of_text("-"));
    buf_add_text(out, " ");
    add_host(out, s);
    buf_format(out, " estape %d alert [alert@32473", (int)getpid());
    add_param(out, "id", bytes_of_text(m->id));
    add_param(out, "rule", a->rule);
    add_param(out, "level", a->level);
    add_param(out, "kind", a->kind);
    add_param(out, "principal", a->principal);
    add_param(out, "client", a->client_ip);
    add_param(out, "verb", a->verb);
    add_param(out, "api", a->api);
    add_param(out, "index", sink_alert_index(a));
    add_param(out, "outcome", a->outcome);
    if (a->exchange >= 0)
        add_param(out, "exchange", bytes_of_text(exchange));
    buf_add_text(out, "] \xef\xbb\xbf");
    size_t room = out->size < MESSAGE_BYTES_MAX ? MESSAGE_BYTES_MAX - out->size : 0, n = a->text.size < room ? a->text.size : room;
    while (n && n < a->text.size && (a->text.at[n] & 0xc0) == 0x80)
        n--;
    for (size_t i = 0; i < n; i++)
        buf_add_byte(out, a->text.at[i] < ' ' ? ' ' : a->text.at[i]);
}

// ---- the connection ---------------------------------------------------------------------------------------------------

static void disconnect(struct connection *c)
{
    if (c->tls) {
        SSL_shutdown(c->tls);
        SSL_free(c->tls);
    }
    c->tls = NULL;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

void sink_close_syslog(struct sink *s)
{
    struct connection *c = s->state;
    if (!c)
        return;
    disconnect(c);
    if (c->context)
        SSL_CTX_free(c->context);
    mem_free(c);
    s->state = NULL;
}

static bool is_transport(const struct sink_settings *s, const char *transport)
{
    return strcmp(s->transport ? s->transport : "udp", transport) == 0;
}

static bool split_address(const struct sink_settings *s, char *host, size_t room, char *port, size_t port_room)
{
    const char *text = s->address, *colon = strrchr(text, ':');
    if (*text == '[') {
        const char *end = strchr(text, ']');
        if (!end || (size_t)(end - text) > room)
            return false;
        snprintf(host, room, "%.*s", (int)(end - text - 1), text + 1);
        colon = end[1] == ':' ? end + 1 : NULL;
    } else {
        snprintf(host, room, "%.*s", (int)(colon ? colon - text : (long)strlen(text)), text);
    }
    snprintf(port, port_room, "%s", colon ? colon + 1 : is_transport(s, "tls") ? "6514" : "514");
    return *host;
}

static bool wait_for(int fd, short events, int64_t until_ns)
{
    int64_t left_ns = until_ns - clock_steady_ns();
    struct pollfd p = {.fd = fd, .events = events};
    return left_ns > 0 && poll(&p, 1, (int)(left_ns / WHEN_NS_PER_MS) + 1) > 0;
}

static int connect_one(const struct addrinfo *a, int64_t until_ns)
{
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol), error = 0;
    socklen_t size = sizeof error;
    if (fd < 0)
        return -1;
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        return fd;
    error = errno;
    if (error == EINPROGRESS) {
        error = ETIMEDOUT;
        if (wait_for(fd, POLLOUT, until_ns))
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (!error)
            return fd;
    }
    close(fd);
    errno = error;
    return -1;
}

static bool connect_to(struct connection *c, const struct sink_settings *s, const char *host, const char *port, int64_t until_ns, struct sink_answer *answer)
{
    struct addrinfo want = {.ai_socktype = is_transport(s, "udp") ? SOCK_DGRAM : SOCK_STREAM}, *list = NULL;
    int error = getaddrinfo(host, port, &want, &list);
    if (error) {
        answer_set(answer, SINK_RETRY, "%s: %s", host, gai_strerror(error));
        return false;
    }
    for (struct addrinfo *a = list; a && c->fd < 0; a = a->ai_next)
        c->fd = connect_one(a, until_ns);
    error = errno;
    freeaddrinfo(list);
    if (c->fd < 0)
        answer_set(answer, SINK_RETRY, "%s:%s: %s", host, port, strerror(error));
    return c->fd >= 0;
}

static void tls_why(struct sink_answer *answer, const char *what, SSL *tls)
{
    unsigned long code = ERR_get_error();
    long verdict = tls ? SSL_get_verify_result(tls) : X509_V_OK;
    char text[160];
    ERR_error_string_n(code, text, sizeof text);
    answer_set(answer, SINK_RETRY, "TLS: %s: %s", what, verdict != X509_V_OK ? X509_verify_cert_error_string(verdict) : code ? text : "closed");
    ERR_clear_error();
}

// Repeats a TLS call until it is done, the time is up or it failed.
static bool tls_go_on(struct connection *c, int result, int64_t until_ns)
{
    int why = SSL_get_error(c->tls, result);
    if (why == SSL_ERROR_WANT_READ)
        return wait_for(c->fd, POLLIN, until_ns);
    return why == SSL_ERROR_WANT_WRITE && wait_for(c->fd, POLLOUT, until_ns);
}

static bool make_context(struct connection *c, const struct sink_settings *s, struct sink_answer *answer)
{
    if (c->context)
        return true;
    c->context = SSL_CTX_new(TLS_client_method());
    bool ok = c->context && SSL_CTX_set_min_proto_version(c->context, TLS1_2_VERSION);
    ok = ok && (s->ca_file ? SSL_CTX_load_verify_locations(c->context, s->ca_file, NULL) : SSL_CTX_set_default_verify_paths(c->context)) == 1;
    if (ok && s->cert_file)
        ok = SSL_CTX_use_certificate_chain_file(c->context, s->cert_file) == 1 &&
             SSL_CTX_use_PrivateKey_file(c->context, s->key_file ? s->key_file : s->cert_file, SSL_FILETYPE_PEM) == 1;
    if (ok) {
        SSL_CTX_set_verify(c->context, SSL_VERIFY_PEER, NULL);
        return true;
    }
    tls_why(answer, "certificates", NULL);
    if (c->context)
        SSL_CTX_free(c->context);
    c->context = NULL;
    return false;
}

static bool start_tls(struct connection *c, const struct sink_settings *s, const char *host, int64_t until_ns, struct sink_answer *answer)
{
    if (!make_context(c, s, answer))
        return false;
    c->tls = SSL_new(c->context);
    if (!c->tls || !SSL_set_fd(c->tls, c->fd)) {
        tls_why(answer, "start", NULL);
        return false;
    }
    // An address is checked against the certificate's addresses, a name against its names.
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(c->tls), host) != 1) {
        SSL_set_tlsext_host_name(c->tls, host);
        SSL_set1_host(c->tls, host);
    }
    int result;
    while ((result = SSL_connect(c->tls)) != 1)
        if (!tls_go_on(c, result, until_ns)) {
            tls_why(answer, "handshake", c->tls);
            return false;
        }
    return true;
}

// Nothing comes back over syslog: readable means that the receiver closed.
static bool is_stale(struct connection *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    char byte;
    if (c->fd < 0 || poll(&p, 1, 0) <= 0)
        return false;
    if (c->tls) {
        int result = SSL_peek(c->tls, &byte, 1); // session tickets are read here
        return result <= 0 && SSL_get_error(c->tls, result) != SSL_ERROR_WANT_READ;
    }
    return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

static bool ensure(struct connection *c, const struct sink_settings *s, int64_t until_ns, struct sink_answer *answer)
{
    char host[256], port[16];
    if (!is_transport(s, "udp") && is_stale(c))
        disconnect(c);
    if (c->fd >= 0)
        return true;
    if (!split_address(s, host, sizeof host, port, sizeof port)) {
        answer_set(answer, SINK_RETRY, "%s is no HOST:PORT", s->address);
        return false;
    }
    if (!connect_to(c, s, host, port, until_ns, answer))
        return false;
    if (is_transport(s, "tls") && !start_tls(c, s, host, until_ns, answer)) {
        disconnect(c);
        return false;
    }
    return true;
}

static bool put(struct connection *c, struct bytes rest, int64_t until_ns)
{
    while (rest.size) {
        ssize_t n;
        if (c->tls) {
            int result = SSL_write(c->tls, rest.at, (int)rest.size);
            if (result <= 0 && !tls_go_on(c, result, until_ns))
                return false;
            n = result > 0 ? result : 0;
        } else {
            n = send(c->fd, rest.at, rest.size, MSG_NOSIGNAL);
            if (n < 0 && errno != EAGAIN && errno != EINTR)
                return false;
            if (n < 0 && !wait_for(c->fd, POLLOUT, until_ns))
                return false;
            n = n > 0 ? n : 0;
        }
        rest = bytes_from(rest, (size_t)n);
    }
    return true;
}

void sink_send_syslog(struct sink *s, const struct sink_message *m, const struct sink_alert *a, struct sink_answer *answer)
{
    struct connection *c = s->state;
    int64_t until_ns = clock_steady_ns() + s->settings->timeout_ns;
    struct buf line = {0}, framed = {0};
    if (!c) {
        c = s->state = mem_zero(1, sizeof *c);
        if (!c) {
            answer_set(answer, SINK_RETRY, "out of memory");
            return;
        }
        c->fd = -1;
    }
    sink_line_syslog(s->settings, m, a, &line);
    bool newline = s->settings->framing && strcmp(s->settings->framing, "newline") == 0;
    if (!is_transport(s->settings, "udp") && !newline)
        buf_format(&framed, "%zu ", line.size);
    buf_add_bytes(&framed, buf_view(&line));
    if (!is_transport(s->settings, "udp") && newline)
        buf_add_byte(&framed, '\n');
    if (ensure(c, s->settings, until_ns, answer)) {
        if (put(c, buf_view(&framed), until_ns) && !framed.failed) {
            answer_set(answer, SINK_SENT, "sent");
        } else {
            answer_set(answer, SINK_RETRY, "%s: %s", s->settings->address, c->tls ? "the TLS connection broke" : strerror(errno));
            disconnect(c);
        }
    }
    buf_fini(&line);
    buf_fini(&framed);
}
