// One exchange whole: who, what, what became of it, its bodies, its document writes, alerts on it, what was learned later.
#pragma once
#include "../tape/read.h"
#include "body.h"
#include "out.h"

struct show_alert {
    struct bytes time, level, rule, title;
};

struct show_op {
    struct op op; // texts borrowed from whoever gathered them
    uint32_t life;
};

struct show {
    const struct tape_row *row;
    const char *tape_name;             // NULL: one tape alone
    const struct body_text *bodies[2]; // by enum body_side
    enum tape_body_state states[2];
    const struct show_op *ops;
    size_t op_count;
    uint64_t ops_more;                 // not given
    const struct show_alert *alerts;
    size_t alert_count;
    const struct late_outcome *late;   // NULL: none
    const char *const *also;           // names of other tapes that saw it
    size_t also_count;
};

void show_print(struct out *o, const struct show *s);
void show_json(struct buf *out, const struct show *s); // the log's fields, and: traceparent task server_version flags also request response ops alerts late
