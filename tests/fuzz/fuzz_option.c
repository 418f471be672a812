// Fuzzes command lines and options files: any arguments to any command, any text as its configuration; nothing is run.
//
// Input: byte 0 the command, then arguments that end with a newline each; after a NUL the text of a configuration file.
#include "src/base/diag.h"
#include "src/cmd/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 32 };

static const struct command *const commands[] = {
    &cmd_record, &cmd_log, &cmd_show, &cmd_info, &cmd_sql, &cmd_doc, &cmd_timeline, &cmd_fsck, &cmd_prune, &cmd_alerts,
    &cmd_rules, &cmd_sinks, &cmd_replay, &cmd_check, &cmd_verify, &cmd_export, &cmd_snapshots,
};

static volatile size_t sink_of_bytes;

static void must(bool ok)
{
    if (!ok)
        abort();
}

// Every text that the settings point to can be read to its end.
static void look_at(const struct command *c, const char *settings)
{
    for (size_t i = 0; i < c->option_count; i++) {
        const struct option *o = &c->options[i];
        const void *field = settings + o->offset;
        if (o->kind == OPTION_TEXT || o->kind == OPTION_CHOICE) {
            const char *text = *(const char *const *)field;
            sink_of_bytes += text ? strlen(text) : 0;
        } else if (o->kind == OPTION_LIST) {
            const struct option_list *list = field;
            for (size_t n = 0; n < list->count; n++)
                sink_of_bytes += strlen(list->at[n]);
        } else if (o->kind == OPTION_COUNT) {
            must(*(const int64_t *)field >= -1);
        }
    }
}

static void read_config(const struct command *c, struct bytes text, void *settings, char **operands)
{
    struct fault fault = {0};
    struct arena texts;
    char path[64];
    int fd = memfd_create("estape.conf", 0);
    if (fd < 0 || write(fd, text.at, text.size) != (ssize_t)text.size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    arena_init(&texts, 0);
    if (option_read_config(c, path, settings, operands, &texts, &fault))
        look_at(c, settings);
    else
        must(fault.kind != FAULT_NONE && fault.text[0] && !strchr(fault.text, '\n'));
    arena_fini(&texts);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    const struct command *c = commands[data[0] % (sizeof commands / sizeof *commands)];
    char *text = malloc(size), *argv[ARGUMENTS_MAX + 1] = {(char *)(uintptr_t)c->name}, **operands = NULL;
    must(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    size_t args_size = strlen(text);
    struct bytes config = args_size + 1 < size ? bytes_of((uint8_t *)text + args_size + 1, size - args_size - 2) : (struct bytes){0};
    int argc = 1, count = 0;
    for (char *at = text, *end; at < text + args_size && argc < ARGUMENTS_MAX; at = end + 1) {
        end = strchrnul(at, '\n');
        argv[argc++] = strndup(at, (size_t)(end - at));
    }
    void *settings = mem_zero(1, c->settings_size ? c->settings_size : 1);
    struct fault fault = {0};
    bool help = false;
    must(settings != NULL);
    if (option_parse(c, argc, argv, settings, &count, &operands, &help, &fault)) {
        must(count >= 0 && count < argc);
        for (int i = 0; i < count; i++)
            sink_of_bytes += strlen(operands[i]);
        look_at(c, settings);
        if (config.size)
            read_config(c, config, settings, operands);
    } else {
        must(fault.kind == FAULT_USER && fault.text[0]);
    }
    option_free(c, settings, operands);
    mem_free(settings);
    for (int i = 1; i < argc; i++)
        free(argv[i]);
    free(text);
    return 0;
}
