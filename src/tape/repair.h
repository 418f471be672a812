// Segments that their recorder did not seal: made whole, summed up and sealed. Also the last step of an ordinary seal.
#pragma once
#include "catalog.h"

// Summary rows, sealed = 1 (and repaired), in one transaction. A SQLite code.
int repair_finish_log(sqlite3 *log, bool repaired);
// Every segment of the catalog that is not sealed. False: fault user (a later format); damage to one is no fault: it stays
// as it is, and *ids_lost tells that ids given out in it are not known.
bool repair_all(struct catalog *c, bool *ids_lost, struct fault *fault);
bool repair_segment(struct catalog *c, struct catalog_segment *s, bool *ids_lost, struct fault *fault);
