// Writing a tape: exchanges, bodies, ops, gaps and counters become rows and blocks of the current segment.
// One writer per tape (a lock file says who). Nothing here is thread-safe: the tape thread owns it.
#pragma once
#include "../../include/fault.h"
#include "../../include/record.h"

struct tape_settings {
    const char *dir;
    uint64_t segment_bytes;       // rotate by size of log+body (default 1 GiB)
    int64_t segment_ns;           // rotate by age (default 1 h)
    int64_t flush_ns;             // commit and sync at least so often (default 1 s)
    int64_t keep_bodies_ns, keep_log_ns; // 0: for ever
    uint64_t max_bytes;           // of the whole tape; oldest bodies go first, then oldest logs. 0: no limit
    int compression;              // zstd level, default 1
    bool live;                    // wall clock drives rotation and heartbeats; else the packets' time does
};

struct tape_counters {            // written with every heartbeat, cumulative since the recorder started
    uint64_t packets, bytes, kernel_dropped, interface_dropped, gap_bytes, gaps, conns, conns_midstream, conns_one_sided;
    uint64_t requests, responses, orphans, truncated, unparsed_bytes, overlaps_conflicting, undecodable;
};

struct tape_gap {
    const struct conn *conn;      // NULL: no connection known
    int64_t from_ns, to_ns;
    uint64_t bytes, packets;      // what is known; 0 otherwise
    enum gap_cause cause;
    int side;                     // of conn (enum stream_side), -1 unknown; the tape tells client from server
};

struct tape_alert {               // a row that commits with the exchange that raised it
    uint64_t exchange;            // 0: the recorder about itself
    int64_t time_ns;
    struct bytes id, rule, title, level, json; // json: the whole alert as sinks get it
    bool outcome;                 // second word on an alert told before as an attempt
};

struct tape_writer;
// Creates the directory if it is missing (0700). Faults (kind user): something else than a tape, another writer (with its
// pid), a later format. Repairs after a crash: seals the last segment, records the hole as GAP_NOT_RECORDING.
struct tape_writer *tape_write_open(const struct tape_settings *settings, struct fault *fault);
uint64_t tape_write_next_id(struct tape_writer *w);      // also safe to call from the wire thread (atomic)
// Every call returns false only when the tape is in trouble for good (fault filled). A full disk is no fault: bodies
// stop first, then rows, both counted and recorded as GAP_DISK when it resumes; see tape_write_trouble.
bool tape_write_body(struct tape_writer *w, uint64_t id, enum body_side side, const struct body_piece *piece, struct fault *f);
bool tape_write_ops(struct tape_writer *w, const struct op *ops, size_t count, struct fault *f);
bool tape_write_exchange(struct tape_writer *w, const struct exchange *x, struct fault *f);
bool tape_write_late(struct tape_writer *w, const struct late_outcome *late, struct fault *f);
bool tape_write_resolution(struct tape_writer *w, const struct resolution *r, struct fault *f);
bool tape_write_life(struct tape_writer *w, const struct incarnation *life, struct fault *f);
bool tape_write_gap(struct tape_writer *w, const struct tape_gap *gap, struct fault *f);
bool tape_write_opaque(struct tape_writer *w, const struct conn *conn, enum opaque_kind kind, int64_t time_ns, struct fault *f);
bool tape_write_conn(struct tape_writer *w, const struct conn *conn, int client_side, enum stream_end how, int64_t time_ns, struct fault *f);
bool tape_write_alert(struct tape_writer *w, const struct tape_alert *alert, struct fault *f);
// Commits what tape_write_alert wrote since: at once when live, for a file a few times a second. An alert stands in the
// transaction of the exchange that was written before it, with whatever else that one raised, as long as nothing else is
// written in between.
bool tape_write_alerts_end(struct tape_writer *w, struct fault *f);
bool tape_write_heartbeat(struct tape_writer *w, int64_t time_ns, const struct tape_counters *counters, struct fault *f);
// Time passed: flush, rotation, retention. now_ns: wall clock when live, else the packets' time.
bool tape_write_tick(struct tape_writer *w, int64_t now_ns, struct fault *f);
bool tape_write_flush(struct tape_writer *w, struct fault *f);  // commit and sync now
const char *tape_write_trouble(const struct tape_writer *w);    // NULL, or why it is not storing ("disk full: bodies are not kept")
bool tape_write_stores_rows(const struct tape_writer *w);        // false: nothing that is written now is kept, alerts included
uint64_t tape_write_bytes(const struct tape_writer *w);         // size of the whole tape on disk
bool tape_write_close(struct tape_writer *w, struct fault *f);  // seals and syncs; w is gone
