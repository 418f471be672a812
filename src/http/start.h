// Recognises where a message begins and where its head ends, in bytes that may stop anywhere.
#pragma once
#include "../../include/bytes.h"

enum start_verdict { START_NO, START_MORE, START_YES };

// How much is needed to believe in a start line.
enum start_care {
    START_CAREFUL,  // in the middle of unknown bytes: a known method and a target that can be one
    START_TRUSTING, // a message must begin here: any token, a space, something
};

// At most this many bytes decide; START_MORE is never answered for more.
#define START_BYTES_MAX 64

// `b` is judged from its first byte: blank lines before a message are the caller's (start_blank).
enum start_verdict start_of_request(struct bytes b, enum start_care care);
enum start_verdict start_of_response(struct bytes b);
bool start_is_method(struct bytes token);     // one of the methods that llhttp knows for HTTP
size_t start_blank(struct bytes b);           // CR and LF before a message
// Is this whole first line (without its end) one of a request? A careful start needs a version, a trusted one a version or a path.
bool start_line_fits(struct bytes line, enum start_care care);
// Bytes up to and with the blank line that ends a head that begins at b; 0: not there yet. Resumes at *scanned.
size_t start_head_size(struct bytes b, size_t *scanned);
