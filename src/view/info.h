// What tapes cover, and as plainly what they do not.
#pragma once
#include "../tape/info.h"
#include "out.h"

void info_print(struct out *o, const struct info *info);
void info_json(struct buf *out, const struct info *info); // one object
