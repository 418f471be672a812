// YAML as rules are written in it: a tree that knows its lines. Anchors, aliases, tags and duplicate keys are refused.
#pragma once
#include "../../include/bytes.h"
#include "../base/mem.h"

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml {
    enum yaml_kind kind;
    int line;                 // from 1
    bool quoted;              // a scalar in quotes or a block: always a string
    struct bytes key;         // when it is a member of a map
    int key_line;
    struct bytes text;        // of a scalar; a NUL follows
    struct yaml *first, *last, *next;
    size_t count;
    struct bytes source;      // of a document: its lines in the file
};

struct yaml_error {
    int line;
    char text[160];
};

// The documents of a file in order, joined by `next`; memory from the arena. NULL: error filled (an empty file is one).
struct yaml *yaml_parse(struct arena *a, struct bytes text, struct yaml_error *error);
struct yaml *yaml_member(const struct yaml *map, const char *key); // NULL: none, or no map
bool yaml_is_null(const struct yaml *y);                           // plain null, Null, NULL, ~ or nothing
bool yaml_is_bool(const struct yaml *y, bool *value);              // plain, as YAML 1.1 has them
bool yaml_is_int(const struct yaml *y, int64_t *value);
bool yaml_is_number(const struct yaml *y, double *value);          // plain integers and decimals
