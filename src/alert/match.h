// A detection compiled: a tree of and, or, not over items; an item tests one field (or the whole event) against values.
#pragma once
#include "event.h"

struct regex; // compiled, with limits

enum test_kind { TEST_PATTERN, TEST_NUMBER, TEST_BOOL, TEST_NULL, TEST_REGEX, TEST_CIDR, TEST_COMPARE, TEST_FIELD, TEST_EXISTS, TEST_PART, TEST_ANY };
enum compare { COMPARE_GT, COMPARE_GTE, COMPARE_LT, COMPARE_LTE };
enum time_part { PART_MINUTE, PART_HOUR, PART_DAY, PART_WEEK, PART_MONTH, PART_YEAR };
enum shape { SHAPE_EXACT, SHAPE_PREFIX, SHAPE_SUFFIX, SHAPE_CONTAINS, SHAPE_ANYTHING, SHAPE_GENERAL };
enum special { PLAIN, STAR, QUESTION };

// A Sigma string: bytes and, beside each, what it stands for. Lower case already where case does not count.
struct pattern {
    uint8_t *byte, *special;
    size_t size;
    enum shape shape;
    struct bytes core;  // what EXACT, PREFIX, SUFFIX, CONTAINS look for
    bool cased;
    struct regex *folded; // where case does not count beyond ASCII
};

struct test {
    enum test_kind kind;
    struct pattern pattern;
    double number;
    bool truth;            // bool, exists
    struct regex *regex;
    uint8_t ip[16];
    unsigned ip_bits;
    enum compare compare;
    enum time_part part;
    struct field field;    // fieldref
    bool ref_starts, ref_ends, cased;
    struct test *any;      // expansions: one of them is enough
    size_t any_count;
};

struct item {
    bool keyword;          // the whole event instead of a field
    struct field field;
    struct bytes name;     // as the rule writes it
    bool all, negated;
    unsigned digits;       // every test needs a number of so many digits in the body; 0: not so
    struct test *tests;
    size_t test_count;
    int line;
};

enum expr_kind { EXPR_AND, EXPR_OR, EXPR_NOT, EXPR_ITEM };
struct expr {
    enum expr_kind kind;
    struct expr *first, *next; // children, siblings
    struct item *item;
};

// Scratch of one evaluator, and what it counted.
struct matcher {
    struct values values, others;
    const struct item *implied; // of the rule at hand: known to match, since the index led to it
    uint64_t limited;      // a regular expression or a search gave up at its limit: taken as no match
};
void matcher_fini(struct matcher *m);

bool expr_match(struct matcher *m, const struct expr *expr, struct event *e);
bool pattern_match(struct matcher *m, const struct pattern *p, struct bytes text);

// A Sigma string with wildcards and escapes resolved; memory from the arena. cased is applied by pattern_seal.
bool pattern_parse(struct arena *a, struct bytes text, struct pattern *p);
bool pattern_plain(const struct pattern *p);                                   // holds no wildcard
bool pattern_seal(struct arena *a, struct pattern *p, bool cased);             // decides the shape

struct regex *regex_compile(struct bytes text, uint32_t options, const char **why); // NULL: *why
bool regex_check_subset(struct bytes text, const char **why);                  // Sigma's subset of PCRE
void regex_close(struct regex *r);
