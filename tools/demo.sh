#!/bin/sh
# The main job, shown: records a bundled capture of the accident and reads the tape.
set -eu
cd "$(dirname "$0")/.."
estape=${BUILD:-build}/estape
work=${BUILD:-build}/demo
capture=tests/corpus/accident-os2191-a.pcap.zst
rm -rf "$work"
mkdir -p "$work"

say() { printf '\n%s\n' "== $*"; }
show() { printf '\n$ %s\n' "estape $*"; "$estape" "$@"; }

say "A real capture: services write to the index 'catalog', somebody sends DELETE /catalog from Postman and cancels."
printf '\n$ zstd -dc %s | estape record -r - --tape %s\n' "$capture" "$work/tape"
zstd -dcq "$capture" | "$estape" record -r - --tape "$work/tape"
export ESTAPE_TAPE="$work/tape"

say "Who ran which verb on which index: the last requests"
show log -n 12

say "What was destructive"
show log --destructive

say "What the rules made of it"
show alerts --level high

id=$("$estape" log --json --destructive --api indices.delete --index catalog | sed -n 's/^{"id":\([0-9]*\).*/\1/p' | head -1)
if [ -n "$id" ]; then
    say "Around that request"
    show timeline --around "$id" || true
    say "What a replay would write, had that request never been made"
    show replay --skip "$id" --index catalog --dry-run || true
fi

say "What the tape covers, and what it does not"
show info

cat <<END

== Where to go next
   $estape show $id          one exchange, whole
   $estape doc catalog/ID    every version of one document (ids: estape log --writes)
   $estape sql "SELECT principal, count(*) FROM audit GROUP BY 1"
   $estape --help            all commands; every one has --help and a man page
   sudo $estape record -i any --tape /var/lib/estape      your own cluster, port 9200
   docs/recovery.md          the worst day, step by step
   The tape of this demo is $work/tape; set ESTAPE_TAPE=$work/tape.
END
