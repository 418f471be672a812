// Dynamic mapping before the documents: fields that the target does not know yet are decided as they were decided once.
//
// The document that brought a field first decided its type, and may be gone from a reduced plan, or arrive in another order.
// So all recorded writes are looked through in their order; those that bring unknown fields go, in that order, into a scratch
// index with the target's settings and mapping, and the mapping that the cluster makes of them is put onto the target.
#pragma once
#include "apply.h"

struct scout_report {
    uint64_t writes, documents, fields; // looked through; sent to the scratch index; new fields
};

// False: fault. Nothing is done where a target's mapping is not dynamic or nothing is new.
bool scout_run(const struct apply_settings *set, struct scout_report *report, struct fault *fault);
