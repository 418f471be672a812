// Documents of the target that live traffic deleted since the restore, as the tape shows: they are not created again.
#pragma once
#include "preflight.h"

struct live;
struct live *live_open(struct tape *tape, const struct plan *plan); // NULL: memory out. The plan's slots alone are kept
void live_close(struct live *l);
// Takes what the tape has got since the last call. Our own writes are no ops of the tape. False: fault.
bool live_refresh(struct live *l, const struct preflight_index *indices, size_t index_count, struct fault *fault);
// Type as in the plan. Deletes that found nothing count: they were meant for the document that the replay would bring.
bool live_deleted(const struct live *l, const struct plan_doc *doc);
