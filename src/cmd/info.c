// estape info: what a tape covers, and as plainly what it does not.
#include "cmd.h"

#include "../base/diag.h"
#include "../view/info.h"
#include "tape_options.h"

struct info_options {
    struct option_list tapes;
    bool json;
    const char *color;
};

#define AT(field) offsetof(struct info_options, field)
static const struct option options[] = {
    TAPE_OPTION(AT(tapes)),
    JSON_OPTION(AT(json), "One JSON object."),
    COLOR_OPTION(AT(color)),
};

static int run(void *settings, int operand_count, char **operands)
{
    struct info_options *o = settings;
    struct fault fault = {0};
    struct out out;
    tape_options_output(&out, o->color);
    bool ok = tape_options_no_operands("info", operand_count, operands, &fault);
    struct tape *t = ok ? tape_options_open(&o->tapes, &fault) : NULL;
    struct info *info = t ? info_open(t, &fault) : NULL;
    if (info && o->json)
        info_json(&out.text, info);
    else if (info)
        info_print(&out, info);
    ok = info != NULL;
    info_close(info);
    return tape_options_end(t, &out, ok, &fault, 0);
}

const struct command cmd_info = {
    .name = "info",
    .summary = "tell what a tape covers, and what it does not",
    .operands = "",
    .text = "Prints the time a tape covers, its size and what is on it, and everything that is known not to be on it: times without a recorder, packets the kernel "
            "dropped, bytes lost on the way by endpoint, connections joined midstream or seen from one side, connections that could not be read (TLS, HTTP/2), "
            "truncated bodies, answers without a request, dropped bodies and segments.\n\n"
            "Only what is outside this list can be concluded from absence.",
    .examples = "estape info --tape incident.tape\twhat does this tape prove\n",
    .see_also = "log fsck timeline",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(struct info_options),
    .run = run,
};
