// Tells what a connection carries that is not HTTP/1.x.
#pragma once
#include "../../include/message.h"
#include "start.h"

// Judges bytes at the beginning of a segment: a TLS record (also in the middle of a connection) or an HTTP/2 preface.
enum start_verdict sniff_opaque(struct bytes b, enum opaque_kind *kind);
