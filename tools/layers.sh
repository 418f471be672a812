#!/bin/sh
# Fails when an #include breaks the direction of the house: stages know base and include, never each other.
# One row per room: the rooms of src/ whose headers it may include besides its own, base and include/.
set -eu
cd "$(dirname "$0")/.."

may() {
    case "$1" in
        base) echo "" ;;
        capture|wire|http|es|tape|alert) echo "" ;;
        view) echo "tape" ;;
        replay) echo "tape es" ;;
        cmd) echo "top capture wire http es tape alert view replay" ;;
        top) echo "top capture wire http es tape alert cmd" ;;
    esac
}

# The one room that may know a foreign library.
library() {
    case "$1" in
        pcap.h|pcap/*) echo capture ;;
        llhttp.h) echo http ;;
        sqlite3.h) echo tape ;;
        curl/*) echo "replay alert" ;;
        yaml.h|pcre2.h) echo alert ;;
        openssl/*) echo "alert es" ;;
        *) echo any ;;
    esac
}

bad=0 seen=0
complain() { echo "$1" >&2; bad=$((bad + 1)); }

for file in $(find src -name '*.[ch]' | sort); do
    dir=$(dirname "$file")
    room=$(echo "${dir#src}" | cut -d/ -f2)
    [ -n "$room" ] || room=top
    for inc in $(sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*/\1/p' "$file"); do
        seen=$((seen + 1))
        path=$(realpath -m --relative-to=. "$dir/$inc" 2>/dev/null)
        [ -f "$path" ] || path=$inc
        case "$path" in
            include/*|src/base/*|gen/*|build/*) continue ;;
            src/*/*) to=$(echo "$path" | cut -d/ -f2) ;;
            src/*) to=top ;;
            *) continue ;;
        esac
        [ "$to" = "$room" ] && continue
        case " $(may "$room") " in
            *" $to "*) ;;
            *) complain "$file: $room may not include $path" ;;
        esac
    done
    for inc in $(sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*<\([^>]*\)>.*/\1/p' "$file"); do
        seen=$((seen + 1))
        rooms=$(library "$inc")
        [ "$rooms" = any ] && continue
        case " $rooms " in
            *" $room "*) ;;
            *) complain "$file: only src/{$rooms} may know <$inc>" ;;
        esac
    done
done
for file in include/*.h; do
    if sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*/\1/p' "$file" | grep -q '/'; then
        complain "$file: a noun may include other nouns alone"
    fi
done
for file in $(find src include -name '*.[ch]'); do
    head -1 "$file" | grep -q '^//' || complain "$file: line 1 does not say what the file is for"
done
echo "$seen includes looked at"
[ "$bad" -eq 0 ]
