// A value of a rule on its way through the modifiers: shared by item.c and the encodings in encode.c.
#pragma once
#include "rule.h"

enum work_kind { WORK_TEXT, WORK_NUMBER, WORK_BOOL, WORK_NULL, WORK_TEST, WORK_ANY };

// A value on its way through the modifiers.
struct work {
    enum work_kind kind;
    int line;
    struct bytes raw;        // of a text, as written
    struct pattern pattern;
    double number;
    bool truth;
    struct test test;        // WORK_TEST
    struct work *any;        // WORK_ANY
    size_t any_count;
};

struct chain {
    struct loader *l;
    struct item *item;
    size_t applied;          // modifiers before this one
    bool cased, utf16_mark, negated, all;
    uint32_t regex_options;
    int line;
};

// Each tells the loader what is wrong and returns false.
bool work_refuse(struct chain *c, const struct work *w, const char *what);
bool work_need_text(struct chain *c, struct work *w, const char *modifier);
bool work_memory(struct chain *c, const void *at);
bool work_become_any(struct chain *c, struct work *w, size_t count); // count empty values, one of which is to match
bool work_is_word(uint8_t c); // of an option or a placeholder's name

// The modifiers that write a text in another way.
bool encode_wide_le(struct chain *c, struct work *w);
bool encode_utf16be(struct chain *c, struct work *w);
bool encode_utf16(struct chain *c, struct work *w);
bool encode_base64(struct chain *c, struct work *w);
bool encode_base64offset(struct chain *c, struct work *w);
bool encode_windash(struct chain *c, struct work *w);
