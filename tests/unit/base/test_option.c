// Option tables: parsing, the configuration file, help that fits, pages made from the same rows.
#include "src/base/option.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct settings {
    bool quiet, all;
    const char *tape, *mode;
    struct option_list files;
    int64_t count, age;
    uint64_t size;
};

#define AT(f) offsetof(struct settings, f)
static const struct option options[] = {
    {0, "Input", OPTION_GROUP, 0, NULL, NULL, NULL, false},
    {'r', "read", OPTION_LIST, AT(files), "FILE", "Read this file. May be repeated, which is explained here at such length that the line must be wrapped.", NULL, true},
    {'n', "count", OPTION_COUNT, AT(count), "N", "So many.", NULL, true},
    {0, "age", OPTION_SPAN, AT(age), "AGE", "So old.", NULL, true},
    {0, "size", OPTION_SIZE, AT(size), "SIZE", "So large.", NULL, true},
    {0, "mode", OPTION_CHOICE, AT(mode), "writes|all", "Which.", "writes|all", true},
    {'t', "tape", OPTION_TEXT, AT(tape), "DIR", "Where.", NULL, true},
    {'q', "quiet", OPTION_FLAG, AT(quiet), NULL, "No words.", NULL, true},
    {'a', "all", OPTION_FLAG, AT(all), NULL, "All.", NULL, false},
};

static int run(void *settings, int count, char **operands)
{
    (void)settings, (void)count, (void)operands;
    return 0;
}

static const struct command command = {
    .name = "test", .summary = "test it - with a dash", .operands = "[FILTER...]", .text = "First paragraph.\n\n.Second paragraph.",
    .examples = "estape test -q\tquietly\n", .see_also = "log show", .options = options, .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(struct settings), .run = run,
};

struct parsed {
    struct settings s;
    struct fault fault;
    int count;
    char **operands;
    bool help, ok;
};

static void parse(struct parsed *p, int argc, char **argv)
{
    *p = (struct parsed){0};
    p->ok = option_parse(&command, argc, argv, &p->s, &p->count, &p->operands, &p->help, &p->fault);
}

#define PARSE(p, ...)                                  \
    do {                                               \
        char *argv[] = {"test", __VA_ARGS__};          \
        parse(p, (int)(sizeof argv / sizeof *argv), argv); \
    } while (0)

static void every_spelling_of_an_option_is_understood(void **state)
{
    (void)state;
    struct parsed p;
    PARSE(&p, "-qa", "-n5", "--read=x", "-r", "y", "host", "--size", "64M", "--age=1h30m", "--mode", "all", "--", "-q");
    assert_true(p.ok && p.s.quiet && p.s.all && p.s.count == 5 && p.s.size == 64 << 20);
    assert_true(p.s.age == INT64_C(5400000000000) && strcmp(p.s.mode, "all") == 0);
    assert_int_equal(p.s.files.count, 2);
    assert_string_equal(p.s.files.at[1], "y");
    assert_int_equal(p.count, 2);
    assert_string_equal(p.operands[0], "host");
    assert_string_equal(p.operands[1], "-q");
    option_free(&command, &p.s, p.operands);
    PARSE(&p, "-q", "--help", "--nonsense");
    assert_true(p.ok && p.help);
    option_free(&command, &p.s, p.operands);
}

static void mistakes_are_named_in_one_line(void **state)
{
    (void)state;
    static char *const rows[][3] = {
        {"--nonsense", NULL, "no option --nonsense; see 'estape test --help'"},
        {"--siz", "1", "no option --siz; did you mean --size?; see 'estape test --help'"},
        {"-x", NULL, "no option -x; see 'estape test --help'"},
        {"--size", "big", "--size big: not a size; write 500K, 64M or 2G"},
        {"--age", "old", "--age old: not a span of time; write 90s, 5m, 2h or 7d"},
        {"--mode", "some", "--mode some: must be one of writes|all"},
        {"--mode", NULL, "--mode needs a value: --mode writes|all"},
        {"-n", "-3", "-n -3: not a number"},
        {"--quiet=1", NULL, "--quiet takes no value"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct parsed p;
        char *argv[] = {"test", rows[i][0], rows[i][1]};
        parse(&p, rows[i][1] ? 3 : 2, argv);
        assert_false(p.ok);
        assert_true(p.fault.kind == FAULT_USER);
        assert_string_equal(p.fault.text, rows[i][2]);
        option_free(&command, &p.s, p.operands);
    }
}

static char *config_of(const char *text)
{
    static char path[64];
    snprintf(path, sizeof path, "%s/estape-option-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    return path;
}

static void configuration_fills_what_the_command_line_left_open(void **state)
{
    (void)state;
    struct parsed p;
    struct arena texts = {0};
    PARSE(&p, "--count", "7", "--age", "0s");
    char *path = config_of("# comment\n\n  tape = /var/lib/x \ncount = 9\nage = 5m\nquiet = yes\nread = a\nread = b\n");
    assert_true(option_read_config(&command, path, &p.s, p.operands, &texts, &p.fault));
    assert_true(p.s.count == 7 && p.s.age == 0 && p.s.quiet && p.s.files.count == 2);
    assert_string_equal(p.s.tape, "/var/lib/x");
    unlink(path);
    option_free(&command, &p.s, p.operands);
    arena_fini(&texts);
}

static void configuration_mistakes_name_file_and_line(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"\nnonsense = 1\n", ":2: no setting of that name: nonsense"}, {"all = yes\n", ":1: no setting of that name: all"},
        {"quiet\n", ":1: not a 'name = value' line: quiet"}, {"quiet = perhaps\n", ":1: quiet = perhaps: must be yes or no"},
        {"size = x\n", ":1: size x: not a size"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct parsed p;
        struct arena texts = {0};
        PARSE(&p, "x");
        char *path = config_of(rows[i][0]);
        assert_false(option_read_config(&command, path, &p.s, p.operands, &texts, &p.fault));
        if (!strstr(p.fault.text, rows[i][1]))
            fail_msg("%s", p.fault.text);
        unlink(path);
        option_free(&command, &p.s, p.operands);
        arena_fini(&texts);
    }
}

static void help_fits_eighty_columns_and_the_page_escapes(void **state)
{
    (void)state;
    struct buf out = {0};
    option_help(&command, &out);
    for (const char *line = buf_text(&out); *line;) {
        size_t size = strcspn(line, "\n");
        assert_true(size < 80);
        line += size;
        line += *line == '\n';
    }
    assert_non_null(strstr(buf_text(&out), "-r, --read FILE"));
    assert_non_null(strstr(buf_text(&out), "Read this file\n"));
    buf_clear(&out);
    option_man(&command, &out);
    assert_non_null(strstr(buf_text(&out), "with a dash"));
    assert_non_null(strstr(buf_text(&out), "\n\\&.Second paragraph."));
    assert_non_null(strstr(buf_text(&out), "estape\\-show"));
    buf_clear(&out);
    const struct command *all[] = {&command};
    option_completion(all, 1, "bash", &out);
    assert_non_null(strstr(buf_text(&out), "test:--mode) COMPREPLY=($(compgen -W 'writes all'"));
    buf_clear(&out);
    option_completion(all, 1, "tcsh", &out);
    assert_int_equal(out.size, 0);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_spelling_of_an_option_is_understood),
        cmocka_unit_test(mistakes_are_named_in_one_line),
        cmocka_unit_test(configuration_fills_what_the_command_line_left_open),
        cmocka_unit_test(configuration_mistakes_name_file_and_line),
        cmocka_unit_test(help_fits_eighty_columns_and_the_page_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
