// Holds the built-in rule pack, made from src/alert/rules/*.yml at build time.
#include "pack.h"

#define FILE_OF(name, text) {"builtin:" name, text, sizeof text - 1}
static const struct pack_file files[] = {
#include "rules_pack.inc"
};

size_t pack_files(const struct pack_file **list)
{
    *list = files;
    return sizeof files / sizeof *files;
}
