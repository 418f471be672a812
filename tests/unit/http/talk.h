// A scripted TCP conversation fed to the door of http, and a textual trace of what its message sink is told.
//
// A script is an array of steps, sent one after the other; a side acknowledges what it has seen of the other at each of its
// steps. talk_check plays it whole, byte by byte, and cut at random places, and wants the same trace each time (pieces joined).
// Every piece lies flush against a page that cannot be read.
#pragma once
#include "../../../src/base/buf.h"
#include "../../../src/base/mem.h"
#include "../../../src/http/http.h"

enum step_kind { STEP_DONE, STEP_DATA, STEP_LOSE, STEP_UNSEEN, STEP_ACK, STEP_END, STEP_CLOSE, STEP_BACK, STEP_FILL };

struct step {
    enum step_kind kind;
    int side;
    const char *text;
    size_t size;
    enum stream_end how;
    enum gap_cause cause;
};

#define C(text) {STEP_DATA, 0, text, sizeof(text) - 1, 0, 0}              // the client sends one segment
#define S(text) {STEP_DATA, 1, text, sizeof(text) - 1, 0, 0}              // the server does
#define LOSE_C(n) {STEP_LOSE, 0, NULL, n, 0, GAP_LOST}                    // the client sent n bytes that were not captured
#define LOSE_S(n) {STEP_LOSE, 1, NULL, n, 0, GAP_LOST}
#define SNAP_C(n) {STEP_LOSE, 0, NULL, n, 0, GAP_SNAPLEN}
#define SNAP_S(n) {STEP_LOSE, 1, NULL, n, 0, GAP_SNAPLEN}
#define UNSEEN_S(n) {STEP_UNSEEN, 1, NULL, n, 0, 0}                       // the server's side is not captured at all; n bytes passed
#define ACK_S {STEP_ACK, 0, NULL, 0, 0, 0}                                // the server acknowledges what the client sent
#define FIN_C {STEP_END, 0, NULL, 0, END_FIN, 0}
#define FIN_S {STEP_END, 1, NULL, 0, END_FIN, 0}
#define RST_C {STEP_END, 0, NULL, 0, END_RST, 0}
#define RST_S {STEP_END, 1, NULL, 0, END_RST, 0}
#define CLOSE_AS(how) {STEP_CLOSE, 0, NULL, 0, how, 0}                    // the connection is over for another reason
#define BACK {STEP_BACK, 0, NULL, 0, 0, 0}                                 // what follows is stamped earlier: packets were displaced
#define FILL_C(n) {STEP_FILL, 0, NULL, n, 0, 0}                           // n bytes 'x', one segment per 64 KiB
#define FILL_S(n) {STEP_FILL, 1, NULL, n, 0, 0}

enum cutting { CUT_WHOLE, CUT_BYTES, CUT_RANDOM };

struct talk_options {
    bool midstream;     // no SYN was seen
    bool server_first;  // the server's packets were seen first: it is SIDE_A
    bool no_acks;       // acknowledgements are not known
    bool whole_only;    // segment borders mean something here: do not cut
    unsigned long failing; // this and all later allocations inside http fail; 0: none
};

struct talk {
    struct talk_options options;
    struct conn conn;
    struct buf trace;
    uint64_t sent[2];   // by script side: 0 client, 1 server
    uint64_t shown[2];  // how far each was acknowledged
    int64_t now_ns, request_ns; // the script's clock; when the newest request began
    void *last;         // exchange and direction of the last body piece: pieces are joined
    int last_way;
    bool last_raw;
    uint64_t next_id, requests_open;
    int conn_closed, orphans;
    bool over_fill;     // bodies of FILL are told by size
    struct http_stats stats;
};

// Trace of one way of playing.
const char *talk_play(struct talk *t, const struct step *steps, const struct talk_options *options, enum cutting cutting, unsigned seed);
void talk_fini(struct talk *t);
// Plays in every way and compares with `expected`.
void talk_check(const struct step *steps, const struct talk_options *options, const char *expected);
