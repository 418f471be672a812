// The cluster that is written to: requests over libcurl, one at a time or several at once, and what it is.
//
// Every request names itself (User-Agent estape/VERSION, one X-Opaque-Id per run), so that a recorder knows its own traffic.
#pragma once
#include "../../include/fault.h"
#include "../base/buf.h"
#include "../base/json.h"

struct target_account {    // from cmd: never on a command line in clear
    const char *url;       // http[s]://host:port[/prefix]
    const char *user, *password; // basic
    const char *api_key;   // value of "Authorization: ApiKey ..."
    const char *ca;        // file of certificates, or NULL
    bool netrc, insecure;
};

struct target_reply {
    long status;           // 0: no answer (error says why)
    struct buf body;
    char error[256];
};

struct target;
// Does not connect yet. NULL: fault.
struct target *target_open(const struct target_account *account, unsigned lanes, struct fault *fault);
void target_close(struct target *t);
const char *target_url(const struct target *t);
const char *target_opaque_id(const struct target *t);

// Waits for the answer. body may be empty. False: nothing came back (fault system, with the reason).
bool target_call(struct target *t, const char *verb, const char *path, struct bytes body, struct target_reply *reply, struct fault *fault);
// As target_call, and the answer must be 2xx and JSON; it lives in the arena. NULL: fault (system, with the cluster's reason).
struct json *target_json(struct target *t, struct arena *a, const char *verb, const char *path, struct bytes body, struct fault *fault);
// As above, but 404 gives NULL with *missing set and no fault.
struct json *target_find(struct target *t, struct arena *a, const char *path, bool *missing, struct fault *fault);
void target_reply_fini(struct target_reply *reply);

// Several at once: one request per lane. Start takes the body's memory.
bool target_start(struct target *t, unsigned lane, const char *verb, const char *path, struct buf *body, struct fault *fault);
// Waits up to wait_ms; gives one lane whose answer is there, or -1. The reply is valid until the lane's next start.
int target_poll(struct target *t, int wait_ms, struct target_reply **reply);
unsigned target_lanes(const struct target *t);
unsigned target_busy(const struct target *t);

// A line of a _bulk body: line breaks inside a document sent over several lines would end it.
void target_add_line(struct buf *b, struct bytes json);
// Percent-encodes one path segment or parameter value.
void target_encode(struct buf *out, struct bytes text);
// The cluster's own words for an error answer, one line.
void target_reason(const struct target_reply *reply, char *text, size_t room);

struct target_about {
    char name[128], uuid[64], version[32];
    unsigned number;       // as struct exchange's server_version; 0 unknown
    bool opensearch, guessed;
    unsigned major;
    bool typeless;         // no _type in requests
    bool seq_no;           // documents have sequence numbers, and if_seq_no works for index and delete
    bool update_seq_no;    // if_seq_no works for updates
};
bool target_learn(struct target *t, struct target_about *about, struct fault *fault);
