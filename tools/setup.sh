#!/bin/sh
# Installs what is missing: `build` (libraries and compiler), `node` (what a real node and its clients need on top: Java, Maven, pip), or
# `check` (what the tests need, `node` included).
# Debian 12 and 13. Root, or sudo. Does nothing, and asks for nothing, where everything is there.
set -eu

llhttp=node-llhttp
apt_has() { apt-cache show "$1" >/dev/null 2>&1; }

build="gcc make pkg-config libc6-dev libpcap-dev libsqlite3-dev libzstd-dev zlib1g-dev libxxhash-dev libcap-ng-dev libyaml-dev libpcre2-dev libcurl4-openssl-dev libssl-dev zstd"
check="$build clang libcmocka-dev sqlite3 python3 tcpdump curl jq iproute2 procps bsdutils rsyslog rsyslog-openssl openssl"
node="maven"
clients="python3-pip python3-venv"

case "${1:-build}" in
    build) want=$build ;;
    node) want="$build python3 $node $clients" ;;
    check) want="$check $node $clients" ;;
    *) echo "usage: tools/setup.sh build|node|check" >&2; exit 2 ;;
esac

missing() {
    for p in "$@"; do
        dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$p"
    done
}

need=$(missing $want)
# Debian 13 has a library of llhttp; Debian 12 ships its C source in node-llhttp.
if [ -z "$(missing libllhttp-dev)" ] || [ -z "$(missing node-llhttp)" ]; then llhttp=""; fi
case "${1:-build}" in
    check)
        # The sanitizers' runtime belongs to the version of clang that is (or will be) installed.
        if command -v clang >/dev/null 2>&1; then
            v=$(clang -dumpversion | cut -d. -f1)
            need="$need$(missing "libclang-rt-$v-dev")"
        fi
        ;;
esac
if [ "${1:-build}" != build ] && ! command -v javac >/dev/null 2>&1; then need="$need java"; fi
# Another tool's view of the same captures: without it that suite is skipped, the others run.
beside=""
if [ "${1:-build}" = check ]; then beside=$(missing tshark); fi
[ -z "$need$llhttp$beside" ] && exit 0

run=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || { echo "these packages are missing, and neither root nor sudo is here to install them: $need$llhttp$beside" >&2; exit 1; }
    run=sudo
fi
export DEBIAN_FRONTEND=noninteractive
$run apt-get update -q >/dev/null
if [ -n "$llhttp" ] && apt_has libllhttp-dev; then llhttp=libllhttp-dev; fi
case " $need" in
    *" java"*)
        java=openjdk-17-jdk-headless
        apt_has $java || java=openjdk-21-jdk-headless
        need=$(echo "$need" | sed "s/\\bjava\\b/$java/") ;;
esac
case " $need" in
    *" clang "*) if v=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -1) && [ -n "$v" ]; then need="$need libclang-rt-$v-dev"; fi ;;
esac
echo "installing: $need $llhttp $beside"
if [ -n "$need$llhttp" ]; then $run apt-get install -y -q --no-install-recommends $need $llhttp >/dev/null; fi
for p in $beside; do
    $run apt-get install -y -q --no-install-recommends "$p" >/dev/null || echo "$p cannot be installed: what needs it is skipped"
done
