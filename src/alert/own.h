// The recorder's alerts about itself. For the files of this folder.
#pragma once
#include "alert.h"

const char *own_title(const char *kind, enum alert_level *level);
