// Index names in query texts: a small tokenizer that knows where SQL, ES|QL and PPL name what they read.
//
// It follows no grammar beyond that: comments and strings are skipped, FROM inside a function's parentheses (EXTRACT(YEAR FROM
// x)) is told from FROM of a subselect, and what it does not understand it leaves out.
#include "target.h"

#define DEPTH_MAX 64

enum token_kind { T_END, T_WORD, T_QUOTED, T_STRING, T_PUNCT };

struct token {
    enum token_kind kind;
    struct bytes text; // quotes taken off
};

struct lexer {
    struct bytes rest;
    enum target_language language;
};

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static bool starts(struct bytes b, const char *text)
{
    size_t n = strlen(text);
    return b.size >= n && memcmp(b.at, text, n) == 0;
}

static bool lexer_skip_comment(struct lexer *l)
{
    bool line = l->language == TARGET_SQL ? starts(l->rest, "--") : starts(l->rest, "//");
    if (!line && !starts(l->rest, "/*"))
        return false;
    const uint8_t *end = line ? memchr(l->rest.at, '\n', l->rest.size) : memmem(l->rest.at + 2, l->rest.size - 2, "*/", 2);
    l->rest = end ? bytes_from(l->rest, (size_t)(end - l->rest.at) + (line ? 1 : 2)) : bytes_from(l->rest, l->rest.size);
    return true;
}

// A quoted run: '' and "" and `` inside stand for the quote itself, a backslash takes the next byte with it. The text is cut
// at the closing quote; doubled quotes stay doubled (index names hold none).
static struct bytes lexer_quoted(struct lexer *l)
{
    uint8_t quote = l->rest.at[0];
    struct bytes b = l->rest;
    if (starts(b, "\"\"\"")) {
        const uint8_t *end = memmem(b.at + 3, b.size - 3, "\"\"\"", 3);
        size_t size = end ? (size_t)(end - b.at) - 3 : b.size - 3;
        l->rest = bytes_from(b, size + 6);
        return bytes_of(b.at + 3, size);
    }
    size_t i = 1;
    for (; i < b.size; i++) {
        if (b.at[i] == '\\' && quote != '`')
            i++;
        else if (b.at[i] == quote && i + 1 < b.size && b.at[i + 1] == quote)
            i++;
        else if (b.at[i] == quote)
            break;
    }
    if (i > b.size)
        i = b.size;
    l->rest = bytes_from(b, i + 1);
    return bytes_of(b.at + 1, i - 1);
}

// What ends an unquoted name. Names may hold * . - : @ and the <> {} / + of date math.
static bool ends_word(uint8_t c)
{
    return is_space(c) || memchr(",()[];|='\"`", c, 11) != NULL;
}

static struct token lexer_next(struct lexer *l)
{
    while (l->rest.size && (is_space(l->rest.at[0]) || lexer_skip_comment(l)))
        if (l->rest.size && is_space(l->rest.at[0]))
            l->rest = bytes_from(l->rest, 1);
    if (l->rest.size == 0)
        return (struct token){T_END, l->rest};
    uint8_t c = l->rest.at[0];
    if (c == '\'')
        return (struct token){T_STRING, lexer_quoted(l)};
    if (c == '"' || c == '`') {
        // In ES|QL and PPL double quotes are strings, which FROM takes as names; in SQL they quote identifiers.
        struct bytes text = lexer_quoted(l);
        return (struct token){T_QUOTED, text};
    }
    size_t i = 0;
    while (i < l->rest.size && !ends_word(l->rest.at[i]))
        i++;
    struct token t = {i ? T_WORD : T_PUNCT, bytes_of(l->rest.at, i ? i : 1)};
    l->rest = bytes_from(l->rest, t.text.size);
    return t;
}

static struct token lexer_peek(const struct lexer *l)
{
    struct lexer copy = *l;
    return lexer_next(&copy);
}

static bool is_word(struct token t, const char *text)
{
    return t.kind == T_WORD && bytes_equal_text_nocase(t.text, text);
}

static bool is_punct(struct token t, char c)
{
    return t.kind == T_PUNCT && t.text.at[0] == c;
}

static bool is_name(struct token t)
{
    return t.kind == T_WORD || t.kind == T_QUOTED;
}

// Quoted pieces may hold a whole comma list ("a,b").
static void add_name(struct target_list *t, struct token name)
{
    target_add_list(t, name.text);
}

// A name may be glued from pieces: cluster:"index-*", "cluster":index.
static void add_glued(struct target_list *t, struct lexer *l, struct token first)
{
    uint8_t text[512];
    size_t used = first.text.size;
    const uint8_t *end = l->rest.at;
    bool colon = first.text.size && first.text.at[first.text.size - 1] == ':' && first.kind == T_WORD;
    bool follows = l->rest.size && (l->rest.at[0] == '"' || l->rest.at[0] == ':') && end == l->rest.at;
    if (!follows || (!colon && l->rest.at[0] != ':') || used >= sizeof text) {
        add_name(t, first);
        return;
    }
    struct token second = lexer_next(l);
    if (used + second.text.size > sizeof text) {
        add_name(t, first);
        return;
    }
    memcpy(text, first.text.at, used);
    memcpy(text + used, second.text.at, second.text.size);
    target_add_list(t, bytes_of(text, used + second.text.size));
}

// name [[AS] alias] {, name [[AS] alias]}: everything up to a word that begins the next clause.
static void sql_tables(struct target_list *t, struct lexer *l)
{
    for (;;) {
        struct token name = lexer_peek(l);
        if (!is_name(name)) // a subselect: its own FROM will be met
            return;
        name = lexer_next(l);
        add_glued(t, l, name);
        struct token next = lexer_peek(l);
        if (is_word(next, "AS")) {
            lexer_next(l);
            lexer_next(l);
        } else if (is_name(next)) {
            static const char *const clauses[] = {"WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS",
                                                  "NATURAL", "ON", "UNION", "PIVOT", "USING", "FOR", "LIKE", "OFFSET", "SET", "TOP"};
            for (size_t i = 0; i < sizeof clauses / sizeof *clauses; i++)
                if (is_word(next, clauses[i]))
                    return;
            lexer_next(l);
        }
        if (!is_punct(lexer_peek(l), ','))
            return;
        lexer_next(l);
    }
}

static void add_sql(struct target_list *t, struct lexer *l)
{
    bool select[DEPTH_MAX + 1] = {true}; // is this level of parentheses a subselect
    unsigned depth = 0;
    bool show = false; // SHOW COLUMNS IN x, DESCRIBE x
    for (struct token k = lexer_next(l); k.kind != T_END; k = lexer_next(l)) {
        if (is_punct(k, '(')) {
            struct token next = lexer_peek(l);
            if (++depth <= DEPTH_MAX)
                select[depth] = is_word(next, "SELECT") || is_word(next, "WITH") || is_word(next, "FROM");
        } else if (is_punct(k, ')')) {
            depth -= depth > 0;
        } else if (is_word(k, "SHOW")) {
            show = true;
        } else if ((is_word(k, "FROM") || is_word(k, "JOIN")) && (depth > DEPTH_MAX || select[depth])) {
            sql_tables(t, l);
        } else if (is_word(k, "DESCRIBE") || is_word(k, "DESC") || (show && is_word(k, "IN"))) {
            struct token next = lexer_peek(l);
            if (is_word(next, "TABLES"))
                lexer_next(l);
            if (is_name(lexer_peek(l)) && !is_word(lexer_peek(l), "LIKE") && (show || t->count == 0))
                sql_tables(t, l);
        }
    }
}

// FROM a, b, "c-*" METADATA _id | ... | LOOKUP JOIN d ON x; TS and PROMQL sources likewise.
static void esql_sources(struct target_list *t, struct lexer *l)
{
    for (;;) {
        struct token name = lexer_peek(l);
        if (!is_name(name) || is_word(name, "METADATA"))
            return;
        name = lexer_next(l);
        add_glued(t, l, name);
        if (!is_punct(lexer_peek(l), ','))
            return;
        lexer_next(l);
    }
}

static void add_esql(struct target_list *t, struct lexer *l)
{
    bool command = true; // the next word is a command's name
    for (struct token k = lexer_next(l); k.kind != T_END; k = lexer_next(l)) {
        bool first = command;
        command = is_punct(k, '|') || is_punct(k, '(') || is_punct(k, ';');
        if (first && (is_word(k, "FROM") || is_word(k, "TS"))) {
            esql_sources(t, l);
        } else if (first && is_word(k, "LOOKUP") && is_word(lexer_peek(l), "JOIN")) {
            lexer_next(l);
            if (is_name(lexer_peek(l)))
                add_glued(t, l, lexer_next(l));
        }
    }
}

// join [left = l right = r] {on condition | fields} name [as alias]: the joined index ends the command, an alias aside. A subsearch
// in its place names its own. Stops at what ends the command.
static void ppl_join(struct target_list *t, struct lexer *l)
{
    struct token name = {0};
    for (;;) {
        struct token k = lexer_peek(l);
        if (is_punct(k, '['))
            return;
        if (k.kind == T_END || is_punct(k, '|') || is_punct(k, ']'))
            break;
        lexer_next(l);
        if (is_word(k, "as"))
            lexer_next(l);
        else
            name = k;
    }
    if (is_name(name))
        add_name(t, name);
}

static bool is_join_kind(struct token k)
{
    static const char *const kinds[] = {"inner", "left", "right", "full", "outer", "cross", "semi", "anti"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (is_word(k, kinds[i]))
            return true;
    return false;
}

// [search] source=a,b | ...; index= likewise; describe a; lookup a; [ source=c ] in subsearches; joins.
static void add_ppl(struct target_list *t, struct lexer *l)
{
    bool command = true;
    for (struct token k = lexer_next(l); k.kind != T_END; k = lexer_next(l)) {
        bool first = command;
        command = is_punct(k, '|') || is_punct(k, '[') || (first && (is_word(k, "search") || is_word(k, "explain") || is_join_kind(k)));
        if (first && (is_word(k, "source") || is_word(k, "index")) && is_punct(lexer_peek(l), '=')) {
            lexer_next(l);
            esql_sources(t, l);
        } else if (first && (is_word(k, "describe") || is_word(k, "lookup")) && is_name(lexer_peek(l))) {
            add_glued(t, l, lexer_next(l));
        } else if (first && is_word(k, "join")) {
            ppl_join(t, l);
        }
    }
}

void target_add_query_text(struct target_list *t, enum target_language language, struct bytes text)
{
    struct lexer l = {text, language};
    if (language == TARGET_SQL)
        add_sql(t, &l);
    else if (language == TARGET_ESQL)
        add_esql(t, &l);
    else
        add_ppl(t, &l);
}
