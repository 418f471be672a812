// The built-in rule pack: the files of src/alert/rules, compiled in.
#pragma once
#include <stddef.h>

struct pack_file {
    const char *name; // "builtin:index_delete.yml"
    const char *text;
    size_t size;
};
size_t pack_files(const struct pack_file **files);
