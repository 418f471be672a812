# Makes src/es/route_api.h (-v part=api) or src/es/route_table.h (-v part=table) from src/es/routes.tsv. POSIX awk.

function number(name, table, count) { return (name in table) ? table[name] : table[name] = count }

function text_hash(s,   i, h) { # as literal_hash in route.c
    h = 5381
    for (i = 1; i <= length(s); i++)
        h = (h * 33 + ord[substr(s, i, 1)]) % 1048576
    return h
}

function api_constant(name) {
    sub(/^_/, "", name)
    gsub(/[^a-zA-Z0-9]/, "_", name)
    return "API_" toupper(name)
}

function or_bits(a, b,   r, p) {
    r = 0
    for (p = 1; p < 256; p *= 2)
        if (int(a / p) % 2 || int(b / p) % 2)
            r += p
    return r
}

function node_new(   n) { n = node_count++; node_bits[n] = 0; value_bits[n] = 0; wildcard[n] = 0; children[n] = ""; return n }

function fail(why) { print "make_table.awk: line " NR ": " why > "/dev/stderr"; failed = 1; exit 1 }

BEGIN {
    FS = "\t"
    for (i = 1; i < 256; i++)
        ord[sprintf("%c", i)] = i
    split("es5 es6 es7 es8 es9 os1 os2 os3", names, " ")
    for (i = 1; i <= 8; i++)
        bit[names[i]] = 2 ^ (i - 1)
    split("write admin doc bulk by_query ndjson body secret typed legacy hits server_only", flag_names, " ")
    for (i = 1; i in flag_names; i++)
        flag_bit[flag_names[i]] = 2 ^ (i - 1)
    split("GET HEAD POST PUT DELETE PATCH OPTIONS", verb_names, " ")
    for (i = 1; i <= 7; i++)
        verb[verb_names[i]] = i - 1
    node_count = 0; node_new(); literal_count = 1; part_count = 1; api_count = 1; route_count = 0
}

/^#/ || $1 == "verb" { next }

{
    if (NF != 7) fail("seven columns expected")
    if (!($1 in verb)) fail("unknown verb " $1)
    bits = 0
    n = split($5, p, ",")
    for (i = 1; i <= n; i++) { if (!(p[i] in bit)) fail("unknown product " p[i]); bits += bit[p[i]] }
    flags = 0
    n = split($7 == "-" ? "" : $7, p, ",")
    for (i = 1; i <= n; i++) { if (!(p[i] in flag_bit)) fail("unknown flag " p[i]); flags += flag_bit[p[i]] }
    if (!($3 in api_number)) {
        constant = api_constant($3)
        if (constant in constant_seen) fail("two APIs would be " constant)
        constant_seen[constant] = 1
        api_number[$3] = api_count; api_name[api_count] = $3; api_action[api_count] = $4 == "-" ? "" : $4
        api_flags[api_count] = flags; api_count++
    } else {
        if ($4 != "-" && (api_action[api_number[$3]] == "" || $5 ~ /es9/)) api_action[api_number[$3]] = $4
        a = api_number[$3]; kept = 0
        for (q = 1; q <= 2048; q *= 2)
            if (int(api_flags[a] / q) % 2 && int(flags / q) % 2) kept += q
        api_flags[a] = kept
    }
    # Walk and extend the trie; node 0 is the root.
    at = 0; node_bits[0] = or_bits(node_bits[0], bits)
    n = $2 == "/" ? 1 : split($2, p, "/")
    parts = ""; parts_n = 0
    for (i = 2; i <= n; i++) {
        if (p[i] ~ /^\{/) {
            if (!wildcard[at]) wildcard[at] = node_new()
            at = wildcard[at]
            name = substr(p[i], 2, length(p[i]) - 2)
            if (!(name in part_number)) { part_number[name] = part_count; part_name[part_count] = name; part_count++ }
            parts = parts (parts_n++ ? ", " : "") "{" (i - 2) ", " part_number[name] "}"
        } else {
            if (!(p[i] in literal_number)) { literal_number[p[i]] = literal_count; literal_name[literal_count] = p[i]; literal_count++ }
            l = literal_number[p[i]]
            if (!((at, l) in child)) { child[at, l] = node_new(); children[at] = children[at] " " l }
            at = child[at, l]
        }
        node_bits[at] = or_bits(node_bits[at], bits)
    }
    if (parts_n > 6) fail("more than six parts")
    value_bits[at] = or_bits(value_bits[at], bits)
    routes_at[at] = routes_at[at] sprintf("    {%d, %d, %s, %d, %d, \"%s\", \"%s\", {%s}},\n", verb[$1], bits, api_constant($3), flags, parts_n, $2, $4 == "-" ? "" : $4, parts_n ? parts : "{0, 0}")
    routes_n[at]++; route_count++
}

END {
    if (failed) exit 1
    if (part == "api") {
        print "// Every API of the published lists, one constant each. Made by tools/routes/make_table.awk from routes.tsv: do not edit."
        print "#pragma once\n"
        print "enum api {\n    API_NONE,"
        for (i = 1; i < api_count; i++) print "    " api_constant(api_name[i]) ", // " api_name[i]
        print "    APIS\n};"
        exit
    }
    print "// The routes as a trie in arrays, for route.c alone. Made by tools/routes/make_table.awk from routes.tsv: do not edit."
    print "static const struct api_row api_rows[APIS] = {\n    {\"\", \"\", 0},"
    for (i = 1; i < api_count; i++) printf "    {\"%s\", \"%s\", %d},\n", api_name[i], api_action[i], api_flags[i]
    print "};\n"
    printf "static const char *const part_names[%d] = {\"\"", part_count
    for (i = 1; i < part_count; i++) printf ",%s\"%s\"", i % 12 ? " " : "\n    ", part_name[i]
    print "};\n"
    size = 1
    while (size < literal_count * 4) size *= 2
    for (i = 1; i < literal_count; i++) {
        h = text_hash(literal_name[i]) % size
        while (h in slot) h = (h + 1) % size
        slot[h] = i
    }
    print "#define LITERAL_SLOTS " size
    printf "static const struct literal_row literal_rows[%d] = {\n    {\"\", 0},\n", literal_count
    for (i = 1; i < literal_count; i++) printf "    {\"%s\", %d},\n", literal_name[i], length(literal_name[i])
    print "};\n"
    printf "static const uint16_t literal_slots[LITERAL_SLOTS] = {"
    for (i = 0; i < size; i++) printf "%s%d,", i % 24 ? " " : "\n    ", slot[i] + 0
    print "\n};\n"
    # Children of a node stand together, by literal number; the routes of a node stand together.
    edges = 0; routes = 0; edge_text = ""; 
    for (i = 0; i < node_count; i++) {
        n = split(children[i], kid, " ")
        for (a = 2; a <= n; a++) # insertion sort
            for (b = a; b > 1 && kid[b - 1] + 0 > kid[b] + 0; b--) { t = kid[b]; kid[b] = kid[b - 1]; kid[b - 1] = t }
        row[i] = sprintf("    {%d, %d, %d, %d, %d, %d, %d},", edges, n, wildcard[i], routes, routes_n[i] + 0, node_bits[i], value_bits[i])
        for (a = 1; a <= n; a++) edge[edges++] = "{" kid[a] ", " child[i, kid[a]] "}"
        routes += routes_n[i]
    }
    printf "static const struct edge_row edge_rows[%d] = {", edges
    for (i = 0; i < edges; i++) printf "%s%s,", i % 10 ? " " : "\n    ", edge[i]
    print "\n};\n"
    printf "static const struct node_row node_rows[%d] = {\n", node_count
    for (i = 0; i < node_count; i++) print row[i]
    print "};\n"
    printf "static const struct route_row route_rows[%d] = {\n", route_count
    for (i = 0; i < node_count; i++) printf "%s", routes_at[i]
    print "};"
}
