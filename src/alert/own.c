// What the recorder has to say about itself: kinds, titles, levels.
#include "own.h"

#include <string.h>

struct own_row {
    const char *kind, *title;
    enum alert_level level;
};

static const struct own_row rows[] = {
    {"kernel_loss", "The recorder lost packets", ALERT_MEDIUM},
    {"lag", "The recorder lags behind the traffic", ALERT_MEDIUM},
    {"disk", "The tape cannot be written", ALERT_HIGH},
    {"device_gone", "A capture device went away", ALERT_HIGH},
    {"device", "A capture device is down, or up again", ALERT_HIGH},
    {"silence", "Nothing was captured", ALERT_MEDIUM},
    {"start", "The recorder started", ALERT_INFORMATIONAL},
    {"stop", "The recorder stopped", ALERT_INFORMATIONAL},
    {"restart", "The recorder started after a crash", ALERT_MEDIUM},
    {"clock_jump", "The clock jumped", ALERT_LOW},
    {"sink_dead", "A sink refuses alerts for good", ALERT_HIGH},
    {"rules", "Rules were refused", ALERT_MEDIUM},
    {"state", "The memory of correlations overflowed", ALERT_LOW},
    {"test", "A test of the sink", ALERT_INFORMATIONAL},
};

const char *own_title(const char *kind, enum alert_level *level)
{
    static const struct own_row other = {"other", "The recorder", ALERT_MEDIUM};
    const struct own_row *found = &other;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].kind, kind) == 0)
            found = &rows[i];
    *level = found->level;
    return found->title;
}
