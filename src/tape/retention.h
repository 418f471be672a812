// Retention: which segments' files are dropped, by age and by the size of the whole tape. Dropping is unlinking.
#pragma once
#include "catalog.h"
#include "write.h"

// Drops what the settings no longer keep. current_bytes: of the open segment, which is never dropped.
bool retention_apply(struct catalog *c, const struct tape_settings *settings, int64_t now_us, uint64_t current_bytes,
                     struct fault *fault);
