// Elasticsearch-style wildcards: '*' any run, no other magic. Case-sensitive.
#pragma once
#include "../../include/bytes.h"
bool glob_match(struct bytes pattern, struct bytes text);
bool glob_is_pattern(struct bytes text); // holds a '*'
