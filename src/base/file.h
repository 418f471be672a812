// Writing to file descriptors.
#pragma once
#include "../../include/bytes.h"

// All of it, however many calls that takes. False: errno tells why.
bool file_write(int fd, struct bytes what);
