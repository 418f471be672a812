// From root to an ordinary user without capabilities, after the devices are open.
#pragma once
#include "../../include/fault.h"

// No core of this process, nor of those it forks, is ever written, and no process without privileges may look into it: what
// arrives from the wire holds secrets until it is redacted.
void privilege_forbid_cores(void);

// Chooses the user: `wanted` (an error if it does not exist), else "estape" where that user exists, else the user behind
// sudo. Gives `dir` to that user when it is root's (made if missing), then becomes that user for good: no capabilities, no
// new privileges. Not root: only the capabilities are dropped. Where root remains (wanted, or nobody to become) it gives its
// capabilities up all the same; only a tape that lies with another user keeps it the one to write there. *who: the user's name
// (static until the next call), or NULL when there is nobody to become; the caller says so.
bool privilege_drop(const char *wanted, const char *dir, const char **who, struct fault *fault);
