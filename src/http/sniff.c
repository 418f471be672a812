// Tells what a connection carries that is not HTTP/1.x.
#include "sniff.h"

// RFC 8446 5.1, 5.2: type, version 3.0 to 3.4, length up to 2^14 and what encryption adds (2^11 in the older versions).
static enum start_verdict sniff_tls(struct bytes b)
{
    enum { HANDSHAKE_MIN = 0x14, APPLICATION_DATA = 0x17, RECORD_BYTES_MAX = (1 << 14) + (1 << 11) };
    if (b.size >= 1 && (b.at[0] < HANDSHAKE_MIN || b.at[0] > APPLICATION_DATA))
        return START_NO;
    if (b.size >= 2 && b.at[1] != 3)
        return START_NO;
    if (b.size >= 3 && b.at[2] > 4)
        return START_NO;
    if (b.size < 5)
        return START_MORE;
    unsigned length = (unsigned)b.at[3] << 8 | b.at[4];
    return length && length <= RECORD_BYTES_MAX ? START_YES : START_NO;
}

// RFC 9113 3.4
static enum start_verdict sniff_http2(struct bytes b)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    size_t n = sizeof preface - 1;
    if (memcmp(b.at, preface, b.size < n ? b.size : n) != 0)
        return START_NO;
    return b.size < n ? START_MORE : START_YES;
}

enum start_verdict sniff_opaque(struct bytes b, enum opaque_kind *kind)
{
    if (!b.size)
        return START_MORE;
    enum start_verdict tls = sniff_tls(b);
    *kind = tls == START_NO ? OPAQUE_HTTP2 : OPAQUE_TLS;
    return tls == START_NO ? sniff_http2(b) : tls;
}
