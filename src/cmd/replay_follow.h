// Going on with what is being recorded, and the switch: replay --follow and --cutover.
#pragma once
#include "../replay/verify.h"
#include "replay_options.h"

struct replay_following {
    struct replay_run *run;
    struct tape *tape;
    struct apply_settings *apply;   // its plan is replaced as the tape grows
    struct apply_report *report;    // grows
    const char *cutover;            // index or alias to take over, or NULL
    const bool *stop;
    bool quiet, terminal;
    uint64_t refused_meanwhile;     // writes that the block of a cut-over refused
    bool switched;
    int64_t blocked_ns;             // how long the old index took no writes
    struct plan_count sum;          // of all plans
    struct verify_report compared;  // of the cut-over
    bool comparing;                 // each round is compared when it was applied
    void (*difference)(void *ctx, const struct plan_doc *doc, enum verify_difference what, bool since, struct bytes want, struct bytes have);
    void *ctx;
};
// One plan of what is new on the tape, applied; any: there was something. False: fault.
bool replay_round(struct replay_following *f, bool *any, struct fault *fault);
// Rounds until one took less than a second: so far is the copy behind. *near: false when it was stopped before.
bool replay_come_near(struct replay_following *f, bool *near, struct fault *fault);
void replay_tell(const struct replay_following *f, const char *text);
// Compares, blocks writes to the old index, writes the rest, moves the name over. False: fault, the block is taken back.
bool replay_switch(struct replay_following *f, struct fault *fault);
// Until stopped, or switched over. False: fault; before a switch nothing but the block was changed, and it is taken back.
bool replay_follow(struct replay_following *f, struct fault *fault);
