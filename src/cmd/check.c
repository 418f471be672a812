// estape check: which writes the tape can prove complete, and which it cannot.
#include "cmd.h"

#include "../base/diag.h"
#include "replay_options.h"
#include "tape_options.h"

struct check_settings {
    struct replay_choice choice;
    const char *color;
    bool json;
};

#define AT(field) offsetof(struct check_settings, field)
static const struct option options[] = {
    TAPE_OPTION(AT(choice) + offsetof(struct replay_choice, tapes)),
    {'i', "index", OPTION_LIST, AT(choice) + offsetof(struct replay_choice, index), "PATTERN", "Only this index ('*' is a wildcard); default: all.", NULL, false},
    JSON_OPTION(AT(json), "One JSON array."),
    COLOR_OPTION(AT(color)),
};

static int run(void *settings, int operand_count, char **operands)
{
    struct check_settings *s = settings;
    struct fault fault = {0};
    struct replay_made made = {0};
    struct plan *plan = NULL;
    struct out out = {0};
    static const char *all[] = {"*"};
    int status = 0;
    if (!tape_options_no_operands("check", operand_count, operands, &fault))
        return diag_fault(&fault);
    struct tape *tape = tape_options_open(&s->choice.tapes, &fault);
    if (!tape)
        return diag_fault(&fault);
    tape_options_output(&out, s->color);
    if (!s->choice.index.count)
        s->choice.index = (struct option_list){all, 1};
    bool ok = replay_choice_make(&s->choice, tape, &made, &fault) && (plan = plan_build(&made.settings, &fault));
    if (ok) {
        const struct check *c = plan_check(plan);
        if (s->json) {
            replay_json_check(&out.text, c, plan);
            buf_add_byte(&out.text, '\n');
        } else {
            replay_print_check(&out, c, plan, true);
            if (!check_life_count(c))
                buf_add_text(&out.text, "no document writes to these indices on the tape\n");
        }
        for (size_t i = 0; i < check_life_count(c); i++)
            if (check_life(c, i)->verdict == CHECK_MISSING || check_life(c, i)->verdict == CHECK_NO_PROOF)
                status = 1;
    }
    plan_close(plan);
    if (s->choice.index.at == all)
        s->choice.index = (struct option_list){0};
    replay_choice_fini(&made);
    return tape_options_end(tape, &out, ok, &fault, status);
}

const struct command cmd_check = {
    .name = "check",
    .summary = "prove that a tape holds every write of an index, or show what is missing",
    .operands = "",
    .text = "Within a shard the cluster numbers every write densely. Recorded numbers, together with the holes that are explained, must be contiguous: then no write of this life of "
            "the index is missing on the tape, whatever the capture lost.\n\n"
            "Verdicts: proven (dense), explained (every hole has an explanation: by-query calls, refusals inside the engine, unanswered writes; matched in sum over the shards), "
            "missing (numbers that nothing explains, with the time between which they fall), no proof (no numbers: version 5, answers filtered with filter_path, switched off). "
            "The chain of versions of each document is a second witness that works on every version.",
    .examples = "estape check --index catalog\tis every write of catalog on the tape?\n"
                "estape check --json\tall indices, for a program\n",
    .see_also = "replay doc info",
    .exit_text = "0 every life is proven or explained; 1 something is missing or cannot be proven; 2 usage",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(struct check_settings),
    .run = run,
};
