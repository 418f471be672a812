# Turns rule files into the rows of src/alert/pack.c: FILE_OF("name", "text"),
# Joined by hand: what a backslash means in a replacement differs between awks.
function escaped(text, what,    parts, n, i, out)
{
    n = split(text, parts, what)
    out = parts[1]
    for (i = 2; i <= n; i++)
        out = out "\\" (what == "\"" ? "\"" : "\\") parts[i]
    return out
}
FNR == 1 {
    if (NR > 1) print "),"
    name = FILENAME
    sub(/^.*\//, "", name)
    printf "FILE_OF(\"%s\",\n", name
}
{ print "\"" escaped(escaped($0, "\\"), "\"") "\\n\"" }
END { if (NR) print ")," }
